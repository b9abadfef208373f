//! The main thread of the running program: it starts the others, hears signals, reloads, and stops them in
//! order.

use super::control::Control;
use super::dumps::Dumps;
use super::kernel::{self, KernelHandle};
use super::late::{Lateness, Pressure};
use super::logging::Log;
use super::port::{self, Change, Command, Handle, Outputs, Scheduling, Taken};
use super::services::{Services, needs_scripts};
use super::sockets::Sockets;
use super::{reload, snapshot, start};
use crate::cli::Options;
use crate::config::{Class, Reading};
use crate::model::Configuration;
use crate::process::pidfile::PidFile;
use crate::process::{self, spawner};
use crate::report::lines;
use crate::state::InstanceId;
use crate::state::VrrpState;
use crate::state::kernel::{KernelInstance, KernelReport, KernelRequest, KernelSettings};
use crate::state::notice::{Notice, What};
use crate::sys::clock;
use crate::vrrp::Event;
use crate::vrrp::plan::{self, Plan};
use sd_notify::NotifyState;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a start has prepared.
pub(super) struct Running<'a> {
    pub options: &'a Options,
    pub log: &'a Log,
    pub configuration: Configuration,
    /// Locked until the end.
    pub pid_files: Vec<PidFile>,
    pub pid_path: PathBuf,
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
    State(Arc<str>, VrrpState),
    /// The VRRP thread was late.
    Late(Lateness),
    /// The VRRP thread has ended.
    PortEnded,
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
        match Supervisor::start(running).await {
            Ok(supervisor) => supervisor.supervise().await,
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
    config: Arc<Configuration>,
    running: plan::Running,
    port: Handle,
    kernel: KernelHandle,
    kernel_thread: JoinHandle<()>,
    sockets: Sockets,
    told: UnboundedReceiver<Told>,
    tell: UnboundedSender<Told>,
    services: Arc<OnceLock<Services>>,
    control: Option<Control>,
    dumps: Dumps,
    pid_files: Vec<PidFile>,
    states: BTreeMap<Arc<str>, VrrpState>,
    /// Counters at the last two beats: the older one is from before whatever has just happened.
    pressure: [Pressure; 2],
    reload: Reload,
    ready: bool,
}

#[derive(Default)]
struct Reload {
    in_progress: bool,
    queued: bool,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    data: Signal,
    statistics: Signal,
    clear: Signal,
    json: Signal,
    child: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let raw = |number| signal(SignalKind::from_raw(number));
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            data: signal(SignalKind::user_defined1())?,
            statistics: signal(SignalKind::user_defined2())?,
            clear: raw(libc::SIGRTMAX() - 1)?,
            json: raw(libc::SIGRTMIN() + 2)?,
            child: signal(SignalKind::child())?,
        })
    }
}

impl<'a> Supervisor<'a> {
    async fn start(running: Running<'a>) -> io::Result<Supervisor<'a>> {
        let Running {
            options,
            log,
            configuration,
            pid_files,
            pid_path,
        } = running;
        let config = Arc::new(effective(options, configuration));
        let nothing = config.instances.is_empty();
        let (tell, told) = unbounded_channel();
        let kernel_cell: Arc<OnceLock<KernelHandle>> = Arc::default();
        let services: Arc<OnceLock<Services>> = Arc::default();
        let port = port::start(outputs(&kernel_cell, &services, &tell))?;
        let sockets = Sockets::new(port.clone());
        let (kernel, kernel_thread) = {
            let (sockets, port, tell) = (sockets.clone(), port.clone(), tell.clone());
            kernel::spawn(kernel_settings(&config, options), move |report| match report {
                KernelReport::Interface(interface) => sockets.interface(interface),
                KernelReport::InterfaceGone { index, name } => sockets.interface_gone(index, name),
                KernelReport::Applied { instance, epoch, set } => {
                    port.send(Command::Event(Event::Applied { instance, epoch, set }));
                }
                // The kernel thread has said so and put it back.
                KernelReport::AddressRestored { .. } | KernelReport::Configured => {}
                KernelReport::Stopped => {
                    let _ = tell.send(Told::KernelStopped);
                }
            })?
        };
        let _ = kernel_cell.set(kernel.clone());
        sockets.set_kernel(kernel.clone());
        let control = match Control::open(&pid_path) {
            Ok(control) => Some(control),
            Err(error) => {
                tracing::warn!(
                    target: "parent",
                    "`keepalived-rs reload` cannot wait for a verdict: {}: {error}",
                    super::control::path(&pid_path).display()
                );
                None
            }
        };
        let mut supervisor = Supervisor {
            options,
            log,
            config,
            running: plan::Running::default(),
            port,
            kernel,
            kernel_thread,
            sockets,
            told,
            tell,
            services,
            control,
            dumps: Dumps::new(),
            pid_files,
            states: BTreeMap::new(),
            pressure: [Pressure::read(); 2],
            reload: Reload::default(),
            ready: false,
        };
        if let Some(path) = reload::marker(&supervisor.config.globals) {
            // From a daemon that was killed while it read.
            reload::unmark(&path);
        }
        let globals = &supervisor.config.globals;
        supervisor
            .run_script(
                "startup",
                globals.startup_script.as_ref(),
                globals.startup_script_timeout,
            )
            .await;
        if nothing && !options.all {
            tracing::info!(target: "parent", "Warning - keepalived has no configuration to run");
        } else {
            tracing::info!(target: "parent", "Starting VRRP thread, pid={}", std::process::id());
        }
        supervisor.serve(true);
        let first = plan::plan(&supervisor.running, &supervisor.config);
        supervisor.apply(first, true);
        Ok(supervisor)
    }

    async fn supervise(mut self) -> i32 {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(target: "parent", "cannot hear signals: {error}");
                return self.stop(1).await;
            }
        };
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
                _ = signals.data.recv() => self.dump(|dumps, snapshot| dumps.data(snapshot), false),
                _ = signals.statistics.recv() => self.dump(|dumps, snapshot| dumps.stats(snapshot, false), false),
                _ = signals.clear.recv() => self.dump(|dumps, snapshot| dumps.stats(snapshot, true), true),
                _ = signals.json.recv() => self.dump(|dumps, snapshot| dumps.json(snapshot), false),
                _ = signals.child.recv() => process::reap_orphans(),
                Some(told) = self.told.recv() => {
                    if matches!(told, Told::PortEnded) {
                        tracing::error!(target: "parent", "the VRRP thread has ended: stopping");
                        return self.stop(1).await;
                    }
                    self.hear(told).await;
                }
                () = accept(&mut self.control) => {}
                _ = beat.tick() => {
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
            Told::State(instance, state) => {
                self.states.insert(instance, state);
                // Many at once make one line.
                while let Ok(told) = self.told.try_recv() {
                    match told {
                        Told::State(instance, state) => {
                            self.states.insert(instance, state);
                        }
                        other => {
                            let _ = self.tell.send(other);
                            break;
                        }
                    }
                }
                self.status(None);
            }
            Told::Late(lateness) => self.explain(&lateness),
            Told::KernelStopped | Told::PortEnded => {}
        }
    }

    /// Gives the configuration to the services, which are started when something needs them.
    fn serve(&self, first: bool) {
        if let Some(services) = self.services() {
            services.configure(self.config.clone(), !first);
        }
    }

    /// The services, started if something needs them.
    fn services(&self) -> Option<&Services> {
        if self.services.get().is_none() && needs_scripts(&self.config) {
            let port = self.port.clone();
            let verdicts = move |source, verdict| port.send(Command::Event(Event::Track { source, verdict }));
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

    /// Hands a plan to the threads: kernel, sockets, then the groups in one step.
    fn apply(&mut self, plan: Plan, first: bool) {
        let config = &self.config;
        let globals = &config.globals;
        if let Some(name) = &globals.process_name {
            crate::process::set_comm(name);
        }
        self.port.send(Command::Schedule(Box::new(Scheduling {
            settings: globals.vrrp_process.clone(),
            max_auto_priority: globals.max_auto_priority,
            name: vrrp_name(globals),
            late: u64::try_from(globals.min_auto_priority_delay.as_nanos()).unwrap_or(u64::MAX),
        })));
        let (done, finished) = mpsc::channel();
        let change = Change {
            kernel: KernelRequest::Configure {
                instances: kernel_instances(&plan.running),
                settings: Box::new(kernel_settings(config, self.options)),
                clean: first,
            },
            detail: self.options.detail > 0,
            hold_until: if first { hold_until(config) } else { 0 },
            log_unknown: globals.log_unknown_vrids,
            plan: plan.clone(),
            done,
        };
        self.running = plan.running;
        let (port, tell) = (self.port.clone(), self.tell.clone());
        let then = move || {
            port.send(Command::Apply(Box::new(change)));
            let waiter = std::thread::Builder::new().name("apply".into()).spawn(move || {
                // The sender is dropped when the step is done.
                let _ = finished.recv();
                let _ = tell.send(Told::Applied);
            });
            if let Err(error) = waiter {
                tracing::error!(target: "parent", "cannot start a thread: {error}");
            }
        };
        let (sockets, running) = (self.sockets.clone(), self.running.clone());
        let (config, detail) = (self.config.clone(), self.options.detail > 0);
        let dump = self.options.dump_config;
        // In the kernel thread's turn: at the start it reports all interfaces before it does anything else.
        self.kernel.open_sockets(Vec::new(), move |_| {
            if dump {
                super::dumps::tell_configuration(&snapshot::at_start(config.clone(), &sockets.interfaces()));
            }
            sockets.configure(&running, &config.globals, detail, then)
        });
    }

    async fn applied(&mut self) {
        if self.ready {
            tracing::info!(target: "parent", "Reload complete");
            self.verdict("done").await;
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        } else {
            self.ready = true;
            tracing::info!(target: "parent", "Startup complete");
            let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
        }
        self.status(None);
        self.next_reload();
    }

    fn ask_reload(&mut self) {
        if self.reload.in_progress || !self.ready {
            tracing::debug!(target: "parent", "Reload already in progress, request queued");
            self.reload.queued = true;
            return;
        }
        self.reload.in_progress = true;
        tracing::info!(target: "parent", "Reloading ...");
        let mut notices = vec![NotifyState::Reloading];
        notices.extend(NotifyState::monotonic_usec_now());
        let _ = sd_notify::notify(&notices);
        let (options, tell) = (self.options.clone(), self.tell.clone());
        let seed = self.config.globals.random_seed;
        let marker = reload::marker(&self.config.globals);
        let reader = std::thread::Builder::new().name("reload".into()).spawn(move || {
            if let Some(path) = &marker {
                reload::mark(path);
            }
            let reading = Box::new(start::read(&options, seed));
            if let Some(path) = &marker {
                reload::unmark(path);
            }
            let _ = tell.send(Told::Read(reading));
        });
        if let Err(error) = reader {
            tracing::error!(target: "parent", "cannot start a thread to read the configuration: {error}");
            self.reload.in_progress = false;
        }
    }

    /// The file has been read: it is refused and nothing changes, or it is applied.
    async fn take(&mut self, reading: Reading) {
        start::tell(self.options, &reading);
        let check = self.config.globals.reload_check_config.is_some()
            || reading.configuration.globals.reload_check_config.is_some();
        if check {
            tracing::debug!(target: "parent", "validate conf before Reload");
        }
        if let Some(reason) = reload::refusal(&self.config, &reading, check) {
            if check {
                let details = reload::save_complaints(&self.config.globals, &reading);
                tracing::info!(target: "parent", "New config failed validation, see {details} for details");
            }
            self.refuse(&reason).await;
            return;
        }
        tracing::info!(target: "vrrp", "Reloading");
        let warnings = reading
            .diagnostics
            .iter()
            .filter(|d| d.class != Class::Ok)
            .count();
        self.config = Arc::new(effective(self.options, reading.configuration));
        let plan = plan::plan(&self.running, &self.config);
        let gone: Vec<Arc<str>> = self
            .states
            .keys()
            .filter(|name| !self.config.instances.iter().any(|i| i.name == ***name))
            .cloned()
            .collect();
        for name in gone {
            self.states.remove(&name);
        }
        if warnings > 0 {
            self.status(Some(&format!("reloaded, {warnings} complaints (see the log)")));
        }
        self.serve(false);
        self.apply(plan, false);
    }

    async fn refuse(&mut self, reason: &str) {
        tracing::error!(target: "parent", "{reason}");
        tracing::info!(
            target: "parent",
            "Reload refused, nothing has changed: the configuration from before stays"
        );
        self.verdict(&format!("refused: {reason}")).await;
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        self.status(Some(&format!("reload refused: {reason}")));
        self.next_reload();
    }

    fn next_reload(&mut self) {
        self.reload.in_progress = false;
        if std::mem::take(&mut self.reload.queued) {
            tracing::debug!(target: "parent", "Processing queued reload");
            self.ask_reload();
        }
    }

    async fn verdict(&mut self, text: &str) {
        if let Some(control) = &mut self.control {
            control.tell(text).await;
        }
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
    fn dump(
        &self,
        write: impl FnOnce(&Dumps, &crate::state::snapshot::Snapshot) + Send + 'static,
        clear: bool,
    ) {
        let (reply, answer) = mpsc::channel::<Taken>();
        self.port.send(if clear {
            Command::SnapshotAndClear(reply)
        } else {
            Command::Snapshot(reply)
        });
        let (config, running) = (self.config.clone(), self.running.clone());
        let (sockets, dumps) = (self.sockets.clone(), self.dumps.clone());
        let services = self.services.clone();
        let writer = std::thread::Builder::new().name("dump".into()).spawn(move || {
            let Ok(taken) = answer.recv_timeout(Duration::from_secs(10)) else {
                tracing::error!(target: "vrrp", "no snapshot: the VRRP thread does not answer");
                return;
            };
            let interfaces = sockets.interfaces();
            let mut snapshot = snapshot::compose(config, &running, &interfaces, sockets.snapshot(), taken);
            if let Some(services) = services.get() {
                snapshot.scripts = services.scripts();
            }
            write(&dumps, &snapshot);
        });
        if let Err(error) = writer {
            tracing::error!(target: "parent", "cannot start a thread to write the dump: {error}");
        }
    }

    /// All priority-0 adverts, then the addresses, then the rest.
    async fn stop(mut self, status: i32) -> i32 {
        tracing::info!(target: "parent", "Stopping");
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        let keep = self.options.keep_vips;
        let (done, finished) = mpsc::channel();
        self.port.send(Command::Stop { keep, done });
        let _ = finished.recv_timeout(Duration::from_secs(2));
        self.kernel.send(KernelRequest::Stop { keep });
        let limit = self.config.globals.child_wait_time;
        let kernel_stopped = async {
            while let Some(told) = self.told.recv().await {
                if matches!(told, Told::KernelStopped) {
                    break;
                }
            }
        };
        if tokio::time::timeout(limit, kernel_stopped).await.is_err() {
            tracing::warn!(target: "parent", "vrrp process failed to die - forcing termination");
        }
        if let Some(services) = self.services.get() {
            services.stop().await;
        }
        let globals = &self.config.globals;
        self.run_script(
            "shutdown",
            globals.shutdown_script.as_ref(),
            globals.shutdown_script_timeout,
        )
        .await;
        self.port.send(Command::End);
        self.say_usage();
        drop(std::mem::take(&mut self.pid_files));
        self.control = None;
        self.log.flush(Duration::from_millis(200));
        status
    }

    fn say_usage(&self) {
        use nix::sys::resource::{UsageWho, getrusage};
        let times = |who| {
            getrusage(who).map_or((0.0, 0.0), |u| {
                let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 * 1e-6;
                (seconds(u.user_time()), seconds(u.system_time()))
            })
        };
        let (own, children) = (times(UsageWho::RUSAGE_SELF), times(UsageWho::RUSAGE_CHILDREN));
        if self.log.detail() == 0 {
            tracing::info!(target: "vrrp", "Stopped");
            return;
        }
        tracing::debug!(
            target: "vrrp",
            "Stopped - used (self/children) {:.6}/{:.6} user time, {:.6}/{:.6} system time",
            own.0, children.0, own.1, children.1
        );
        tracing::debug!(
            target: "parent",
            "CPU usage (self/children) user: {:.6}/{:.6} system: {:.6}/{:.6}",
            own.0, children.0, own.1, children.1
        );
    }
}

async fn accept(control: &mut Option<Control>) {
    match control {
        Some(control) => control.accept().await,
        None => std::future::pending().await,
    }
}

fn outputs(
    kernel: &Arc<OnceLock<KernelHandle>>,
    services: &Arc<OnceLock<Services>>,
    tell: &UnboundedSender<Told>,
) -> Outputs {
    let notifier = services.clone();
    let (orders, closing) = (kernel.clone(), kernel.clone());
    let (states, late, ended) = (tell.clone(), tell.clone(), tell.clone());
    Outputs {
        kernel: Box::new(move |request| {
            if let Some(kernel) = orders.get() {
                kernel.send(request);
            }
        }),
        close: Box::new(move |sockets| {
            if let Some(kernel) = closing.get() {
                kernel.close_sockets(vec![sockets]);
            }
        }),
        notify: Box::new(move |notification| {
            if let Some(services) = notifier.get() {
                services.notify(notification);
            }
        }),
        report: Box::new(move |notice: &Notice| {
            lines::log(notice);
            if let (What::Entering { state, .. }, Some(instance)) = (&notice.what, &notice.instance) {
                let _ = states.send(Told::State(instance.clone(), *state));
            }
        }),
        late: Box::new(move |lateness| {
            let _ = late.send(Told::Late(lateness));
        }),
        ended: Box::new(move || {
            let _ = ended.send(Told::PortEnded);
        }),
    }
}

/// `process_names`, `vrrp_process_name`.
fn vrrp_name(globals: &crate::model::Globals) -> Option<String> {
    let default = || globals.process_names.then(|| "keepalived_vrrp".to_owned());
    globals.vrrp_process_name.clone().or_else(default)
}

/// What the command line leaves of the configuration.
fn effective(options: &Options, mut configuration: Configuration) -> Configuration {
    if !options.vrrp {
        configuration.instances.clear();
        configuration.sync_groups.clear();
    }
    configuration
}

fn kernel_instances(running: &plan::Running) -> Vec<KernelInstance> {
    let one = |id: InstanceId, config: &crate::model::Instance| KernelInstance {
        id,
        name: config.name.as_str().into(),
        interface: config.interface.clone(),
        vips: config.vips.as_slice().into(),
        excluded_vips: config.excluded_vips.as_slice().into(),
        accept: config.accept,
        promote_secondaries: config.promote_secondaries,
        owner: config.priority == 255,
    };
    running.members().map(|(_, m)| one(m.id, &m.config)).collect()
}

fn kernel_settings(config: &Configuration, options: &Options) -> KernelSettings {
    let globals = &config.globals;
    let of_instances = config
        .instances
        .iter()
        .flat_map(|instance| &instance.track_interfaces);
    let of_groups = config
        .sync_groups
        .iter()
        .flat_map(|group| &group.track_interfaces);
    KernelSettings {
        tracked_interfaces: of_instances
            .chain(of_groups)
            .map(|tracked| tracked.name.clone())
            .collect(),
        garp_interval: globals.garp_interval,
        gna_interval: globals.gna_interval,
        garp_groups: config.garp_groups.clone(),
        nftables_table: globals.nftables.clone().unwrap_or_else(|| "keepalived".into()),
        nftables_priority: globals.nftables_priority,
        nftables_ifindex: globals.nftables_ifindex,
        nftables_counters: globals.nftables_counters,
        command_buffer: globals.netlink_buffers.vrrp_command,
        monitor_buffer: globals.netlink_buffers.vrrp_monitor,
        log_addresses: options.address_monitoring,
    }
}

/// `vrrp_startup_delay`, and `vrrp_delay_after_boot` which counts from another moment: the longer of both.
fn hold_until(config: &Configuration) -> u64 {
    let globals = &config.globals;
    let nanoseconds = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    let now = clock::monotonic();
    let after_boot = nanoseconds(globals.delay_after_boot).saturating_sub(clock::since_boot());
    let delay = nanoseconds(globals.startup_delay).max(after_boot);
    if delay == 0 {
        return 0;
    }
    tracing::info!(target: "vrrp", "Delaying startup for {} seconds", Duration::from_nanos(delay).as_secs_f64());
    now.saturating_add(delay)
}
