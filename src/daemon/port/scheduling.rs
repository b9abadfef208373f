//! How the thread is scheduled.

use crate::model::globals::ProcessSettings;
use crate::sys::schedule;
use std::io;

/// How the thread is scheduled.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduling {
    /// `vrrp_*`.
    pub settings: ProcessSettings,
    /// Name of the thread, where the file gives one.
    pub name: Option<String>,
    /// `max_auto_priority`.
    pub max_auto_priority: i32,
    /// `min_auto_priority_delay`, nanoseconds.
    pub late: u64,
}

pub(super) fn set_scheduling(scheduling: &Scheduling) {
    let settings = &scheduling.settings;
    let failed = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            tracing::warn!(target: "vrrp", "Unable to set {what} of the VRRP thread - {error}");
        }
    };
    match settings.realtime {
        Some(priority) => failed("real-time priority", schedule::set_realtime(priority)),
        None => failed("scheduling", schedule::clear_realtime()),
    }
    if settings.nice != 0 {
        failed("priority", schedule::set_nice(settings.nice));
    }
    if !settings.affinity.is_empty() {
        failed("CPU affinity", schedule::set_affinity(&settings.affinity));
    }
    if settings.no_swap
        && let Err(error) = schedule::lock_memory()
    {
        tracing::info!(target: "vrrp", "Unable to lock process in memory - {error}");
    }
    // The default is not set: keepalived's parent starts a killed child again, here the kernel would end it all
    // because of a burst of work.
    if settings.realtime.is_some() && settings.rlimit_rttime != ProcessSettings::default().rlimit_rttime {
        failed(
            "real-time limit",
            schedule::limit_realtime(settings.rlimit_rttime),
        );
    }
}
