//! Looks at real servers. Each checker is a task of the load balancer's runtime: it checks, writes its own log
//! lines, and reports its verdicts; what follows from a verdict is not its business.

pub mod connect;
mod dns;
mod follow;
pub mod http;
mod misc;
mod ping;
mod probe;
pub mod schedule;
pub mod smtp;
mod tcp;
mod udp;

use crate::model::lvs::{Checker, CheckerKind};
use crate::process::privileges::ScriptGroups;
use crate::process::spawner::Spawner;
use crate::state::check::{CheckReport, CheckVerdict, CheckerId, Standing};
pub use probe::Failure;
use schedule::Schedule;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// A checker to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// Stands in its reports.
    pub id: CheckerId,
    /// What it does.
    pub checker: Arc<Checker>,
    /// As it prints in log lines: `[10.0.0.1]:tcp:80`.
    pub virtual_server: String,
    /// As it prints in log lines.
    pub real_server: String,
    /// `weight` of the real server: what `misc_dynamic` counts from.
    pub weight: u32,
    /// `checker_log_all_failures`, or `log_all_failures` of the checker.
    pub log_all_failures: bool,
    /// Where it stands at the start ([`Standing::new`], or what its predecessor left), and from then on.
    pub standing: Arc<Mutex<Standing>>,
    /// What it needs beside the network.
    pub means: Arc<Means>,
    /// For FILE_CHECK and BFD_CHECK: what they follow.
    pub feed: Feed,
}

/// What checkers share.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// Runs the scripts of MISC_CHECK.
    pub spawner: Option<Spawner>,
    /// Groups of the users that scripts run as.
    pub groups: ScriptGroups,
    /// The `SSL` block, ready; `None` when it cannot be used.
    pub tls: Option<http::tls::Tls>,
}

/// What a checker follows that others look at.
#[derive(Debug, Clone, Default)]
pub enum Feed {
    /// Nothing.
    #[default]
    None,
    /// Value of a `track_file`; `None` while it is not known.
    File(watch::Receiver<Option<i64>>),
    /// The session of a BFD instance is up; `None` while it is not known.
    Bfd(watch::Receiver<Option<bool>>),
}

/// Starts a checker on the current `LocalSet`. Its first verdict and each that differs are reported; it ends
/// with the handle's `abort`, or when nobody takes reports any more.
pub fn start(job: Job, reports: mpsc::UnboundedSender<CheckReport>) -> AbortHandle {
    let desk = Box::new(Desk {
        schedule: Schedule::of(&job.checker, matches!(job.checker.kind, CheckerKind::Smtp { .. })),
        job,
        reports,
        last: None,
    });
    tokio::task::spawn_local(run(desk)).abort_handle()
}

/// There may be tens of thousands, most of them asleep: each takes what its own kind needs, not what the largest does,
/// and what an attempt needs is there while it lasts.
async fn run(desk: Box<Desk>) {
    let checker = desk.job.checker.clone();
    let checks: Pin<Box<dyn Future<Output = ()> + '_>> = match &checker.kind {
        CheckerKind::Tcp(connection) => Box::pin(probe::repeat(desk, tcp::Tcp(connection))),
        CheckerKind::Misc {
            command,
            timeout,
            dynamic,
        } => Box::pin(probe::repeat(desk, misc::Misc::new(command, *timeout, *dynamic))),
        CheckerKind::Http(check) => Box::pin(http::run(desk, check)),
        CheckerKind::Smtp { connection, helo } => {
            Box::pin(probe::repeat(desk, smtp::Smtp { connection, helo }))
        }
        CheckerKind::Dns(check) => Box::pin(probe::repeat(desk, dns::Dns(check))),
        CheckerKind::Udp(check) => Box::pin(probe::repeat(desk, udp::Udp(check))),
        CheckerKind::Ping(connection) => Box::pin(probe::repeat(desk, ping::Ping(connection))),
        CheckerKind::File(check) => Box::pin(follow::file(desk, check)),
        CheckerKind::Bfd { name } => Box::pin(follow::bfd(desk, name)),
    };
    checks.await;
}

/// A checker's dealings with the rest of the program.
struct Desk {
    job: Job,
    schedule: Schedule,
    reports: mpsc::UnboundedSender<CheckReport>,
    last: Option<CheckVerdict>,
}

impl Desk {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.job.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Failures of a server that is up are told, each.
    fn tells_all(&self) -> bool {
        self.job.log_all_failures && self.standing().up
    }

    /// Reports a verdict that differs from the last one.
    fn report(&mut self, verdict: CheckVerdict) {
        let same = match (&self.last, &verdict) {
            (Some(CheckVerdict::Down { .. }), CheckVerdict::Down { .. }) => true,
            (last, verdict) => last.as_ref() == Some(verdict),
        };
        if !same {
            self.last = Some(verdict.clone());
            let _ = self.reports.send(CheckReport {
                checker: self.job.id,
                verdict,
            });
        }
    }
}

/// Without a pattern, and differing each time: how the start of checkers is spread.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
