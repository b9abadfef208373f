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

/// What of the thread's scheduling is the file's, so that a reload can take it back. What whoever started the daemon
/// has set stays as long as the file says nothing.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Scheduler {
    /// The load balancer's thread, not VRRP's.
    checkers: bool,
    realtime: bool,
    limit: bool,
    locked: bool,
    /// Before the file's.
    affinity: Option<schedule::Processors>,
}

impl Scheduler {
    /// For the load balancer's thread (`checker_*`).
    pub(in crate::daemon) fn of_checkers() -> Scheduler {
        Scheduler {
            checkers: true,
            ..Scheduler::default()
        }
    }

    /// Schedules the calling thread.
    pub(in crate::daemon) fn apply(&mut self, settings: &ProcessSettings) {
        let checkers = self.checkers;
        let failed = |what: &str, result: io::Result<()>| match result {
            Err(error) if checkers => {
                tracing::warn!(target: "checkers", "Unable to set {what} of the checker thread - {error}");
            }
            Err(error) => tracing::warn!(target: "vrrp", "Unable to set {what} of the VRRP thread - {error}"),
            Ok(()) => {}
        };
        match settings.realtime {
            Some(priority) => failed("real-time priority", schedule::set_realtime(priority)),
            None if self.realtime => failed("scheduling", schedule::clear_realtime()),
            None => {}
        }
        self.realtime = settings.realtime.is_some();
        match settings.nice {
            // Without a word in the file it goes before what else wants to run at normal priority: it needs little,
            // and hundreds of scripts that start at once are in front of it otherwise. Without the right to do
            // so it is as it was.
            0 if checkers => failed("priority", schedule::set_nice(0)),
            0 => drop(schedule::set_nice(URGENT)),
            nice => failed("priority", schedule::set_nice(nice)),
        }
        if !settings.affinity.is_empty() {
            self.affinity = self.affinity.take().or_else(|| schedule::affinity().ok());
            failed("CPU affinity", schedule::set_affinity(&settings.affinity));
        } else if let Some(before) = self.affinity.take() {
            failed("CPU affinity", schedule::restore_affinity(&before));
        }
        self.lock(settings.no_swap);
        // The default is not set: keepalived's parent starts a killed child again, here the kernel would end it all
        // because of a burst of work.
        let limit =
            settings.realtime.is_some() && settings.rlimit_rttime != ProcessSettings::default().rlimit_rttime;
        if limit {
            failed(
                "real-time limit",
                schedule::limit_realtime(Some(settings.rlimit_rttime)),
            );
        } else if self.limit {
            failed("real-time limit", schedule::limit_realtime(None));
        }
        self.limit = limit;
    }

    fn lock(&mut self, lock: bool) {
        let result = match (self.locked, lock) {
            (false, true) => schedule::lock_memory(),
            (true, false) => schedule::unlock_memory(),
            _ => return,
        };
        self.locked = lock;
        if let Err(error) = result {
            tracing::info!(target: "vrrp", "Unable to lock process in memory - {error}");
        }
    }
}
