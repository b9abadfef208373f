//! `vrrp_track_process`: how many processes of a kind run.
//!
//! A thread of its own, since reading `/proc` can wait for the process that is read. It reads all processes once
//! and then follows the kernel's process events; where there are none, it reads all of them each second.

mod events;
mod pattern;
mod quorum;
mod table;

use super::script::Verdicts;
use crate::model::TrackProcess;
use crate::model::globals::Buffer;
use crate::state::snapshot::ProcessSnapshot;
use crate::state::track::{TrackSource, Verdict};
use crate::sys::poll::{self, Waker};
use crate::wire::process_event::ProcessEvent;
use events::Events;
use quorum::Quorum;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use table::Table;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

/// Without events all processes are read at this interval.
const INTERVAL: Duration = Duration::from_secs(1);
/// Datagrams taken before timers have their turn.
const AT_ONCE: usize = 1024;
/// Lost events are told of once in this time.
const QUIET: Duration = Duration::from_secs(60);

/// A view of all tracked processes, for any thread.
#[derive(Debug, Clone, Default)]
pub struct ProcessStates(Arc<Mutex<Vec<ProcessSnapshot>>>);

impl ProcessStates {
    /// As they are now, in the order of the file.
    pub fn snapshot(&self) -> Vec<ProcessSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All tracked processes.
pub struct ProcessTracker {
    verdicts: Verdicts,
    states: ProcessStates,
    thread: Option<(mpsc::Sender<Order>, Arc<Waker>)>,
}

struct Order {
    processes: Vec<TrackProcess>,
    buffer: Buffer,
    known: oneshot::Sender<()>,
}

impl ProcessTracker {
    /// Without any process.
    pub fn new(verdicts: Verdicts) -> ProcessTracker {
        ProcessTracker {
            verdicts,
            states: ProcessStates::default(),
            thread: None,
        }
    }

    /// For dumps.
    pub fn states(&self) -> ProcessStates {
        self.states.clone()
    }

    /// Takes the processes of a configuration. What is returned resolves when they have been counted.
    pub fn configure(&mut self, processes: &[TrackProcess], buffer: Buffer) -> oneshot::Receiver<()> {
        let (known, told) = oneshot::channel();
        if self.thread.is_none() && !processes.is_empty() {
            match self.start() {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => {
                    warn!(target: "vrrp", "track_process does not work: cannot start its thread: {error}");
                }
            }
        }
        if let Some((orders, waker)) = &self.thread {
            let _ = orders.send(Order {
                processes: processes.to_vec(),
                buffer,
                known,
            });
            waker.wake();
        }
        told
    }

    fn start(&self) -> io::Result<(mpsc::Sender<Order>, Arc<Waker>)> {
        let (orders, inbox) = mpsc::channel();
        let waker = Arc::new(Waker::new()?);
        let watcher = Watcher {
            inbox,
            waker: waker.clone(),
            verdicts: self.verdicts.clone(),
            states: self.states.clone(),
            events: None,
            tried: false,
            table: Table::default(),
            all: Vec::new(),
            next_scan: None,
            told_lost: None,
        };
        std::thread::Builder::new()
            .name("processes".to_owned())
            .spawn(move || watcher.run())?;
        Ok((orders, waker))
    }
}

struct Watcher {
    inbox: mpsc::Receiver<Order>,
    waker: Arc<Waker>,
    verdicts: Verdicts,
    states: ProcessStates,
    events: Option<Events>,
    /// Events have been asked for.
    tried: bool,
    table: Table,
    /// In the order of the file.
    all: Vec<(Arc<TrackProcess>, Quorum)>,
    /// All processes are read then.
    next_scan: Option<Instant>,
    told_lost: Option<Instant>,
}

impl Watcher {
    fn run(mut self) {
        loop {
            let mut descriptors = vec![self.waker.as_fd()];
            descriptors.extend(self.events.as_ref().map(AsFd::as_fd));
            let timers = self.all.iter().filter_map(|(_, quorum)| quorum.deadline());
            let next = timers.chain(self.next_scan).min();
            let left = next.map(|at| at.saturating_duration_since(Instant::now()));
            let Ok(ready) = poll::readable(&descriptors, left) else {
                return;
            };
            if ready.first() == Some(&true) {
                self.waker.clear();
                loop {
                    match self.inbox.try_recv() {
                        Ok(order) => self.configure(order),
                        Err(mpsc::TryRecvError::Empty) => break,
                        Err(mpsc::TryRecvError::Disconnected) => return,
                    }
                }
            }
            if ready.get(1) == Some(&true) {
                self.hear();
            }
            if self.next_scan.is_some_and(|at| at <= Instant::now()) {
                self.scan(false);
            }
            self.tick();
        }
    }

    fn configure(&mut self, order: Order) {
        if order.processes.is_empty() {
            // Nobody looks: the kernel need not tell.
            (self.events, self.tried, self.next_scan) = (None, false, None);
        } else if !self.tried {
            self.tried = true;
            self.events = self.listen(order.buffer);
        } else if let Some(events) = &self.events {
            events.set_buffer(order.buffer);
        }
        let mut before = std::mem::take(&mut self.all);
        let configs: Vec<Arc<TrackProcess>> = order.processes.into_iter().map(Arc::new).collect();
        self.table = Table::new(configs.clone());
        if !configs.is_empty() {
            self.read();
        }
        for (config, count) in configs.into_iter().zip(self.table.counts()) {
            let same = |old: &TrackProcess| {
                (
                    &old.name,
                    &old.process,
                    &old.params,
                    old.param_match,
                    old.full_command,
                ) == (
                    &config.name,
                    &config.process,
                    &config.params,
                    config.param_match,
                    config.full_command,
                )
            };
            let kept = before.iter().position(|(old, _)| same(old));
            let quorum = match kept.map(|at| before.swap_remove(at).1) {
                Some(mut quorum) => {
                    let changed = quorum.reconsider(&config, count, Instant::now());
                    if let Some(up) = changed {
                        self.tell(&config, up);
                    }
                    quorum
                }
                None => {
                    let quorum = Quorum::new(&config, count);
                    self.send(&config, quorum.up);
                    quorum
                }
            };
            self.all.push((config, quorum));
        }
        self.publish();
        let _ = order.known.send(());
    }

    fn listen(&self, buffer: Buffer) -> Option<Events> {
        match Events::open(buffer) {
            Ok(events) => {
                debug!(target: "vrrp", "proc_events has confirmed it is configured");
                Some(events)
            }
            Err(error) => {
                warn!(
                    target: "vrrp",
                    "Process events are not available, all processes are read each second instead: {error}"
                );
                None
            }
        }
    }

    fn hear(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(events) = &mut self.events else { return };
            let heard = match events.receive() {
                Ok(Some(heard)) => heard,
                Ok(None) => break,
                Err(error) => {
                    self.lost(&error);
                    return;
                }
            };
            for event in heard {
                let changed = match event {
                    ProcessEvent::Fork { parent, child } => self.table.fork(parent, child),
                    ProcessEvent::Exec(pid) | ProcessEvent::Name(pid) => self.table.changed(pid),
                    ProcessEvent::Exit(pid) => self.table.exit(pid),
                    ProcessEvent::Confirmed(_) => false,
                };
                if changed {
                    // One at a time: one that ends and one that begins are not the same as neither.
                    self.count(false);
                    self.publish();
                }
            }
        }
    }

    /// What happened meanwhile is not known.
    fn lost(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.told_lost.is_none_or(|at| now.duration_since(at) > QUIET) {
            self.told_lost = Some(now);
            info!(
                target: "vrrp",
                "Process events were lost, all processes are read again - increase process_monitor_rcv_bufs \
                 and/or set process_monitor_rcv_bufs_force: {error}"
            );
        }
        self.scan(true);
    }

    fn scan(&mut self, lost: bool) {
        self.read();
        self.count(lost);
        self.publish();
    }

    fn read(&mut self) {
        if let Err(error) = self.table.scan() {
            warn!(target: "vrrp", "Processes cannot be read: /proc: {error}");
        }
        self.next_scan = self.events.is_none().then(|| Instant::now() + INTERVAL);
    }

    fn count(&mut self, lost: bool) {
        let now = Instant::now();
        let mut changes = Vec::new();
        for ((config, quorum), count) in self.all.iter_mut().zip(self.table.counts()) {
            let (before, up) = (quorum.count, quorum.up);
            let changed = quorum.take(config, count, now);
            if lost && before != count {
                let word = match (up, quorum.would_be_up(config)) {
                    (false, true) => ", quorum up",
                    (true, false) => ", quorum down",
                    _ => "",
                };
                debug!(
                    target: "vrrp",
                    "Process {}, number of current processes changed from {before} to {count}{word}", config.name
                );
            }
            changes.extend(changed.map(|up| (config.clone(), up)));
        }
        for (config, up) in changes {
            self.tell(&config, up);
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let all = self.all.iter_mut();
        let changes: Vec<_> = all
            .filter_map(|(config, quorum)| Some((config.clone(), quorum.tick(config, now)?)))
            .collect();
        if !changes.is_empty() {
            self.publish();
        }
        for (config, up) in changes {
            self.tell(&config, up);
        }
    }

    fn tell(&self, config: &TrackProcess, up: bool) {
        let word = if up { "gained" } else { "lost" };
        info!(target: "vrrp", "Quorum {word} for tracked process {}", config.name);
        self.send(config, up);
    }

    fn send(&self, config: &TrackProcess, up: bool) {
        let verdict = if up { Verdict::Up } else { Verdict::Down };
        (self.verdicts)(TrackSource::Process(Arc::from(config.name.as_str())), verdict);
    }

    fn publish(&self) {
        let snapshots = self.all.iter().map(|(config, quorum)| ProcessSnapshot {
            config: config.clone(),
            current: quorum.count,
            have_quorum: quorum.up,
            fork_timer: quorum.fork.is_some(),
            terminate_timer: quorum.terminate.is_some(),
        });
        *self.states.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshots.collect();
    }
}
