//! Snapshots of the whole daemon, taken from any thread, and the thread that writes them when a signal asks.
//!
//! Some clients send the signal and read the file at once, without any wait: from the signal to the file there is
//! the thread that waits for the signal, the VRRP thread, and nothing else.

use super::super::company::Findings;
use super::super::dumps::Dumps;
use super::super::lvs;
use super::super::port::{Command, Handle, Taken};
use super::super::services::Services;
use super::super::snapshot;
use super::super::sockets::Sockets;
use super::bfd;
use crate::model::Configuration;
use crate::process::signal::{DumpSignals, Wanted};
use crate::state::bfd::SessionSnapshot;
use crate::state::lvs::LvsSnapshot;
use crate::state::snapshot::Snapshot;
use crate::sys::schedule;
use crate::vrrp::plan::Running;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

/// Longest wait for a thread's answer.
const LONGEST: Duration = Duration::from_secs(10);

/// Nice value of the thread that waits for signals, where real-time priority is not permitted.
const EAGER: i32 = -10;

/// Instances that are rendered so quickly, in some 0.1 ms, that nobody notices at that priority either.
const QUICK: usize = 16;

/// Where snapshots come from.
#[derive(Clone)]
pub(in crate::daemon) struct Source {
    pub port: Handle,
    pub sockets: Sockets,
    pub lvs: Arc<OnceLock<lvs::Handle>>,
    pub services: Arc<OnceLock<Services>>,
    pub findings: Findings,
    known: Arc<Mutex<Known>>,
}

/// What the main thread alone knows.
#[derive(Clone, Default)]
struct Known {
    config: Arc<Configuration>,
    running: Arc<Running>,
    static_set: Vec<bool>,
}

impl Source {
    pub(super) fn new(
        port: &Handle,
        sockets: &Sockets,
        lvs: &Arc<OnceLock<lvs::Handle>>,
        services: &Arc<OnceLock<Services>>,
        config: &Arc<Configuration>,
    ) -> Source {
        let known = Known {
            config: config.clone(),
            ..Known::default()
        };
        Source {
            port: port.clone(),
            sockets: sockets.clone(),
            lvs: lvs.clone(),
            services: services.clone(),
            findings: Findings::default(),
            known: Arc::new(Mutex::new(known)),
        }
    }

    /// What runs from now on.
    pub(super) fn runs(&self, config: &Arc<Configuration>, running: &Running) {
        let mut known = self.lock();
        known.config = config.clone();
        known.running = Arc::new(running.clone());
    }

    /// Which static addresses are set.
    pub(super) fn static_set(&self, set: Vec<bool>) {
        self.lock().static_set = set;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the other threads, and does not wait for them.
    pub(super) fn ask(&self, command: fn(mpsc::Sender<Taken>) -> Command) -> Asked {
        let (reply, taken) = mpsc::channel();
        self.port.send(command(reply));
        let known = self.lock().clone();
        let sessions = (!known.config.bfd.is_empty()).then(|| bfd::ask_sessions(&self.port));
        Asked {
            source: self.clone(),
            known,
            taken,
            sessions,
            lvs: self.lvs.get().map(lvs::Handle::snapshot),
        }
    }
}

/// Answers that are on their way.
pub(super) struct Asked {
    source: Source,
    known: Known,
    taken: mpsc::Receiver<Taken>,
    sessions: Option<mpsc::Receiver<Vec<SessionSnapshot>>>,
    lvs: Option<mpsc::Receiver<LvsSnapshot>>,
}

impl Asked {
    /// There is more than can be put together and rendered in a moment.
    fn takes_long(&self) -> bool {
        self.known.config.instances.len() > QUICK || self.lvs.is_some()
    }

    /// Waits for them. `None`, with an error in the log: the VRRP thread does not answer.
    pub(super) fn wait(self) -> Option<Snapshot> {
        let Asked {
            source,
            known,
            taken,
            sessions,
            lvs,
        } = self;
        let Ok(taken) = taken.recv_timeout(LONGEST) else {
            tracing::error!(target: "vrrp", "no snapshot: the VRRP thread does not answer");
            return None;
        };
        let interfaces = source.sockets.interfaces();
        let sockets = source.sockets.snapshot();
        let mut snapshot = snapshot::compose(known.config, &known.running, &interfaces, sockets, taken);
        if known.static_set.len() == snapshot.static_set.len() {
            snapshot.static_set = known.static_set;
        }
        if let Some(services) = source.services.get() {
            snapshot.scripts = services.scripts();
            snapshot.notify_scripts = services.notified();
            snapshot.files = services.files();
            snapshot.processes = services.processes();
        }
        source.findings.put(&mut snapshot.instances);
        if let Some(sessions) = sessions {
            bfd::put_sessions(&mut snapshot, &sessions);
        }
        snapshot.lvs = lvs.and_then(|lvs| lvs.recv_timeout(LONGEST).ok());
        Some(snapshot)
    }
}

/// Writes what signals ask for, on a thread of its own, until the process ends.
pub(super) fn obey_signals(source: Source, dumps: Dumps) -> std::io::Result<()> {
    std::thread::Builder::new().name("dump".into()).spawn(move || {
        let signals = DumpSignals::new();
        loop {
            be_eager();
            for wanted in signals.wait() {
                write(&source, &dumps, wanted);
            }
        }
    })?;
    Ok(())
}

fn write(source: &Source, dumps: &Dumps, wanted: Wanted) {
    let clear = wanted == Wanted::StatisticsCleared;
    let command = if clear {
        Command::SnapshotAndClear
    } else {
        Command::Snapshot
    };
    let asked = source.ask(command);
    if asked.takes_long() {
        be_patient();
    }
    let Some(snapshot) = asked.wait() else {
        return;
    };
    match wanted {
        Wanted::Data => dumps.data(&snapshot),
        Wanted::Statistics | Wanted::StatisticsCleared => dumps.stats(&snapshot, clear),
        Wanted::Json => dumps.json(&snapshot),
    }
}

/// Whoever has sent the signal runs on, and at normal priority the scheduler lets it finish its slice first: by
/// then it may have looked for the file in vain.
fn be_eager() {
    // Neither may be permitted: then it is served a little later.
    let _ = schedule::set_realtime(1).or_else(|_| schedule::set_nice(EAGER));
}

fn be_patient() {
    let _ = schedule::clear_realtime();
    let _ = schedule::set_nice(0);
}
