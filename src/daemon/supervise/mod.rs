//! The main thread of the running program: it starts the others, hears signals, reloads, and stops them in
//! order.

use super::company;
use super::control::{Control, Question};
use super::dumps::{self, Dumps};
use super::guard::Guard;
use super::kernel::KernelHandle;
use super::late::{Lateness, Pressure};
use super::logging::Log;
use super::lvs;
use super::port::{Command, Handle, Taken};
use super::reload_time::ReloadTime;
use super::services::{self, Services};
use super::sockets::Sockets;
use super::startup_delay::StartupDelay;
use crate::cli::Options;
use crate::config::Reading;
use crate::model::Configuration;
use crate::net::local_igmp::LocalIgmp;
use crate::process::pidfile::PidFile;
use crate::process::{helper, signal, spawner};
use crate::report;
use crate::serve::metrics::Server;
use crate::serve::snmp::Snmp;
use crate::state::VrrpState;
use crate::state::notice::Notice;
use crate::state::snapshot::Snapshot;
use crate::state::track::TrackSource;
use crate::vrrp::Event;
use crate::vrrp::plan::{self};
use sd_notify::NotifyState;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

mod balance;
mod begin;
mod bfd;
#[cfg_attr(not(feature = "dbus"), path = "no_bus.rs")]
mod bus;
mod change;
mod end;
mod link_watch;
mod metrics;
mod settings;
mod signals;
mod snmp;
mod taker;
mod watchers;

use change::Reload;
use signals::Signals;
use taker::Source;
use watchers::Watchers;

/// What a start has prepared.
pub(super) struct Running<'a> {
    pub options: &'a Options,
    pub log: &'a Log,
    pub configuration: Configuration,
    /// Locked until the end.
    pub pid_files: Vec<PidFile>,
    pub pid_path: PathBuf,
    pub bfd_pid_path: PathBuf,
    pub checkers_pid_path: PathBuf,
    /// The real-time priority that the process was started with.
    pub realtime: Option<u32>,
}

/// What the main thread is told.
enum Told {
    /// The sockets are open and the groups run.
    Applied,
    /// A reload's file has been read.
    Read(Box<Reading>),
    /// The kernel thread has given everything back.
    KernelStopped,
    /// An instance has a new state.
    State(Arc<str>, Notice),
    /// The VRRP thread was late.
    Late(Lateness),
    /// Two masters, or nobody ever heard: what there is to see is looked for.
    Company(Notice),
    /// Which static addresses are set.
    StaticSet(Vec<bool>),
    /// The SNMP thread asks for a snapshot.
    Snapshot(oneshot::Sender<Snapshot>),
    /// The VRRP thread has ended.
    PortEnded,
    /// A client of the bus wants something.
    #[cfg(feature = "dbus")]
    Asked(crate::serve::dbus::Asked),
}

/// Runs until the end; returns the exit status.
pub(super) fn run(running: Running<'_>) -> i32 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(target: "parent", "cannot start the runtime: {error}");
            return 1;
        }
    };
    let status = runtime.block_on(async {
        // Process 1 has no default actions: a SIGTERM during the start would be lost.
        let early = (std::process::id() == 1).then(Signals::new);
        match Supervisor::start(running).await {
            Ok(supervisor) => supervisor.supervise(early.unwrap_or_else(Signals::new)).await,
            Err(error) => {
                tracing::error!(target: "parent", "cannot start: {error}");
                // keepalived's status for missing permission.
                if error.kind() == io::ErrorKind::PermissionDenied {
                    4
                } else {
                    1
                }
            }
        }
    });
    runtime.shutdown_background();
    status
}

struct Supervisor<'a> {
    options: &'a Options,
    log: &'a Log,
    realtime: Option<u32>,
    config: Arc<Configuration>,
    running: plan::Running,
    port: Handle,
    kernel: KernelHandle,
    kernel_thread: JoinHandle<()>,
    sockets: Sockets,
    told: UnboundedReceiver<Told>,
    tell: UnboundedSender<Told>,
    services: Arc<OnceLock<Services>>,
    lvs: Arc<OnceLock<lvs::Handle>>,
    #[cfg_attr(not(feature = "dbus"), expect(dead_code, reason = "nothing to tell"))]
    bus: bus::Bus,
    snmp: Arc<OnceLock<Snmp>>,
    metrics: Option<Server>,
    control: Option<Control>,
    /// One more reference for each answer that is being given.
    answering: Arc<()>,
    watchers: Watchers,
    guard: Guard,
    dumps: Dumps,
    source: Source,
    pid_files: Vec<PidFile>,
    bfd_pid_path: PathBuf,
    checkers_pid_path: PathBuf,
    states: BTreeMap<Arc<str>, VrrpState>,
    /// Counters at the last two beats: the older one is from before whatever has just happened.
    pressure: [Pressure; 2],
    reload: Reload,
    reload_time: ReloadTime,
    startup_delay: StartupDelay,
    ready: bool,
    /// When what the start or a reload needed may go, if it has not gone yet.
    quiet_from: Option<Instant>,
    /// `disable_local_igmp`, until the end.
    _local_igmp: Option<LocalIgmp>,
}

impl<'a> Supervisor<'a> {
    async fn supervise(mut self, signals: io::Result<Signals>) -> i32 {
        let mut signals = match signals {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(target: "parent", "cannot hear signals: {error}");
                return self.stop(1).await;
            }
        };
        if signal::terminated() {
            return self.stop(0).await;
        }
        if let Err(error) = taker::obey_signals(self.source.clone(), self.dumps.clone()) {
            tracing::error!(target: "parent", "signals write no dumps: cannot start their thread: {error}");
        }
        let watchdog = sd_notify::watchdog_enabled().map(|t| t / 3);
        let mut beat = tokio::time::interval(watchdog.unwrap_or(Duration::from_secs(3)));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beats = None;
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => {
                    if !self.options.ignore_sigint {
                        break;
                    }
                }
                _ = signals.hangup.recv() => self.ask_reload(),
                () = self.reload_time.due() => self.ask_reload(),
                _ = signals.child.recv() => helper::reap_orphans(),
                Some(told) = self.told.recv() => {
                    if matches!(told, Told::PortEnded) {
                        tracing::error!(target: "parent", "the VRRP thread has ended: stopping");
                        self.guard.act().await;
                        return self.stop(1).await;
                    }
                    self.hear(told).await;
                }
                (question, client) = asked(&mut self.control) => self.answer_client(question, client),
                () = until(self.quiet_from) => {
                    self.quiet_from = None;
                    self.settle();
                }
                _ = beat.tick() => {
                    helper::reap_orphans();
                    if self.kernel_thread.is_finished() {
                        tracing::error!(target: "parent", "the kernel thread has ended: stopping");
                        return self.stop(1).await;
                    }
                    // The watchdog is fed only while the VRRP thread answers.
                    let now = self.port.beats();
                    if watchdog.is_some() && beats != Some(now) && self.ready {
                        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
                    }
                    beats = Some(now);
                    self.pressure = [self.pressure[1], Pressure::read()];
                    self.port.send(Command::Beat);
                }
            }
        }
        self.stop(0).await
    }

    async fn hear(&mut self, told: Told) {
        match told {
            Told::Applied => self.applied().await,
            Told::Read(reading) => self.take(*reading).await,
            Told::State(instance, notice) => {
                self.take_state(instance, &notice);
                // Many at once make one line.
                while let Ok(told) = self.told.try_recv() {
                    match told {
                        Told::State(instance, notice) => self.take_state(instance, &notice),
                        other => {
                            let _ = self.tell.send(other);
                            break;
                        }
                    }
                }
                self.status(None);
            }
            Told::Late(lateness) => self.explain(&lateness),
            Told::Company(notice) => {
                company::look(notice, self.sockets.interfaces(), self.source.findings.clone());
            }
            Told::StaticSet(set) => self.source.static_set(set),
            #[cfg(feature = "dbus")]
            Told::Asked(asked) => self.answer(asked),
            Told::Snapshot(reply) => {
                let wanted = self.config.globals.enable_snmp_checker;
                let counters = self.lvs.get().filter(|_| wanted).map(lvs::Handle::counters);
                self.snapshot(Command::Snapshot, move |mut snapshot| {
                    if let Some(counters) = counters {
                        counters.put(&mut snapshot);
                    }
                    let _ = reply.send(snapshot);
                });
            }
            Told::KernelStopped | Told::PortEnded => {}
        }
    }

    fn take_state(&mut self, instance: Arc<str>, notice: &Notice) {
        self.tell_lvs(&instance, notice.state);
        let before = self.states.insert(instance.clone(), notice.state);
        if !self.watchers.is_empty() {
            let now = SystemTime::now();
            self.watchers.tell(&report::watch::change(
                &instance,
                before,
                notice,
                now,
                &dumps::local,
            ));
        }
    }

    /// Gives the configuration to the services, which are started when something needs them.
    async fn serve(&self, first: bool) {
        if let Some(services) = self.services() {
            services.configure(self.config.clone(), !first).await;
        }
    }

    /// The services, started if something needs them.
    fn services(&self) -> Option<&Services> {
        if self.services.get().is_none() && services::needed(&self.config) {
            let port = self.port.clone();
            let lvs = self.lvs.clone();
            let verdicts = move |source: TrackSource, verdict| {
                if let (TrackSource::File(_), Some(lvs)) = (&source, lvs.get()) {
                    lvs.follow(source.clone(), verdict);
                }
                port.send(Command::Event(Event::Track { source, verdict }));
            };
            match spawner::launch().and_then(|spawner| Services::start(spawner, Arc::new(verdicts))) {
                Ok(services) => drop(self.services.set(services)),
                Err(error) => {
                    tracing::error!(target: "parent", "no script can be run: cannot start their process: {error}");
                }
            }
        }
        self.services.get()
    }

    /// `startup_script`, `shutdown_script`: awaited; what comes of it changes nothing.
    async fn run_script(&self, kind: &'static str, script: Option<&crate::model::Command>, limit: Duration) {
        if let (Some(script), Some(services)) = (script, self.services()) {
            services.run_script(kind, script, limit).await;
        }
    }

    async fn verdict(&mut self, text: &str) {
        if let Some(control) = &mut self.control {
            control.tell(text).await;
        }
    }

    /// `keepalived-rs status`: takes a snapshot and writes it to who asked, on another thread; so many at once. Who
    /// watches is taken in.
    fn answer_client(&mut self, question: Question, mut client: UnixStream) {
        const MOST: usize = 8;
        let write: fn(&Snapshot) -> String = match question {
            Question::Status => |snapshot| report::status::status(snapshot, &dumps::local),
            Question::Json => |snapshot| report::json_with_ours(snapshot, 2),
            Question::Watch => {
                let present = report::watch::present(&self.states, SystemTime::now(), &dumps::local);
                self.watchers.add(client, &present);
                return;
            }
        };
        let place = Arc::clone(&self.answering);
        if Arc::strong_count(&place) > MOST + 1 {
            return;
        }
        self.snapshot(Command::Snapshot, move |snapshot| {
            // What goes wrong is the client's.
            let _ = client.write_all(write(&snapshot).as_bytes());
            drop(place);
        });
    }

    /// The line that `systemctl status` shows.
    fn status(&self, news: Option<&str>) {
        let count = |state| self.states.values().filter(|s| **s == state).count();
        let all = self.config.instances.len();
        let mut text = format!(
            "{all} instance{}: {} master, {} backup, {} fault",
            if all == 1 { "" } else { "s" },
            count(VrrpState::Master),
            count(VrrpState::Backup),
            count(VrrpState::Fault),
        );
        if let Some(news) = news {
            text = format!("{text}; {}", news.replace('\n', " "));
        }
        let _ = sd_notify::notify(&[NotifyState::Status(&text)]);
    }

    fn explain(&mut self, lateness: &Lateness) {
        let seconds = Duration::from_nanos(lateness.late);
        tracing::info!(
            target: "vrrp",
            "A thread timer expired {}.{:06} seconds ago",
            seconds.as_secs(),
            seconds.subsec_micros()
        );
        let before = self.pressure[0];
        self.pressure = [self.pressure[1], Pressure::read()];
        tracing::info!(target: "vrrp", "Late: {}", self.pressure[1].explain(before, lateness));
        if let Some(priority) = lateness.raised {
            tracing::info!(target: "vrrp", "Set realtime priority {priority}");
        }
    }

    /// Takes a snapshot and writes it, both on another thread.
    fn dump(&self, write: impl FnOnce(&Dumps, &Snapshot) + Send + 'static, clear: bool) {
        let command = match clear {
            true => Command::SnapshotAndClear,
            false => Command::Snapshot,
        };
        let dumps = self.dumps.clone();
        self.snapshot(command, move |snapshot| write(&dumps, &snapshot));
    }

    /// Takes a snapshot, and does something with it on another thread.
    fn snapshot(
        &self,
        command: fn(mpsc::Sender<Taken>) -> Command,
        then: impl FnOnce(Snapshot) + Send + 'static,
    ) {
        let asked = self.source.ask(command);
        let taker = std::thread::Builder::new()
            .name("dump".into())
            .spawn(move || asked.wait().map(then));
        if let Err(error) = taker {
            tracing::error!(target: "parent", "cannot start a thread to take a snapshot: {error}");
        }
    }
}

/// Ends at this moment, or never.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

async fn asked(control: &mut Option<Control>) -> (Question, UnixStream) {
    match control {
        Some(control) => control.asked().await,
        None => std::future::pending().await,
    }
}
