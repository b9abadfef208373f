//! How the thread is scheduled.

use crate::model::globals::ProcessSettings;
use crate::sys::schedule;
use std::io;

/// Nice value of the thread where `vrrp_priority` does not say.
const URGENT: i32 = -20;

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
    match settings.nice {
        // Without a word in the file it goes before what else wants to run at normal priority: it needs little,
        // and hundreds of scripts that start at once are in front of it otherwise. Without the right to do
        // so it is as it was.
        0 => drop(schedule::set_nice(URGENT)),
        nice => failed("priority", schedule::set_nice(nice)),
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
