//! The services thread: what looks at this host and what tells others. It touches no VRRP state; it sends
//! verdicts and takes notifications.

use crate::model::checker::CheckerKind;
use crate::model::globals::NotifyFifo;
use crate::model::{Command, Configuration, Identity, NotifyScript};
use crate::notify::fifo::Fifos;
use crate::notify::mail::{self, Mailer};
use crate::notify::script::{Notifier, NotifyHistories};
use crate::process::privileges::ScriptGroups;
use crate::process::spawner::{Ended, Launched, Run, Spawner};
use crate::state::history::NotifyHistory;
use crate::state::lvs::{LvsMail, LvsNotification};
use crate::state::notify::Notification;
use crate::state::snapshot::{FileSnapshot, ProcessSnapshot, ScriptSnapshot};
use crate::track::file::{FileStates, FileTracker};
use crate::track::process::{ProcessStates, ProcessTracker};
use crate::track::script::{ScriptStates, ScriptTracker, Verdicts};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info};

/// All of the stop's notifications have this long.
const LAST_NOTIFICATIONS: Duration = Duration::from_millis(3800);

/// Scripts that read FIFOs have this long after the last line.
const LAST_LINES: Duration = Duration::from_millis(500);

/// What is tracked has this long to be looked at for the first time; a file system that hangs holds up no start.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// A handle to the services thread, for any thread. Nothing here blocks.
#[derive(Debug, Clone)]
pub struct Services {
    orders: mpsc::UnboundedSender<Order>,
    scripts: ScriptStates,
    files: FileStates,
    processes: ProcessStates,
    notified: NotifyHistories,
    spawner: Spawner,
}

#[derive(Debug)]
enum Order {
    Configure {
        config: Arc<Configuration>,
        groups: ScriptGroups,
        reload: bool,
        /// Dropped when files and processes have been looked at.
        looked: oneshot::Sender<()>,
    },
    Notify(Box<Notification>),
    Lvs(Box<LvsNotification>),
    LvsMail(Box<LvsMail>),
    Script {
        kind: &'static str,
        command: Command,
        limit: Duration,
        done: oneshot::Sender<()>,
    },
    Stop(oneshot::Sender<()>),
}

impl Services {
    /// Starts the thread. Verdicts of trackers go to `verdicts`, called on it.
    pub fn start(spawner: Launched, verdicts: Verdicts) -> io::Result<Services> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, waiting) = mpsc::unbounded_channel();
        let thread = {
            let _runtime = runtime.enter();
            let spawner = Spawner::attach(spawner)?;
            Thread {
                tracker: ScriptTracker::new(spawner.clone(), verdicts.clone()),
                files: FileTracker::new(verdicts.clone()),
                processes: ProcessTracker::new(verdicts),
                notifier: Notifier::new(spawner.clone()),
                fifos: Fifos::new(spawner.clone()),
                mailer: Mailer::start(),
                spawner,
                groups: ScriptGroups::default(),
            }
        };
        let (scripts, files) = (thread.tracker.states(), thread.files.states());
        let processes = thread.processes.states();
        let notified = thread.notifier.histories();
        let spawner = thread.spawner.clone();
        std::thread::Builder::new()
            .name("services".to_owned())
            .spawn(move || runtime.block_on(thread.run(waiting)))?;
        Ok(Services {
            orders,
            scripts,
            files,
            processes,
            notified,
            spawner,
        })
    }

    /// Takes a configuration, at start or at a reload. Looks up the groups of users first, which may wait for
    /// a server where `set_supplementary_groups` is on: not for a thread that must not wait. Returns when the
    /// verdicts on files and processes have been sent, so that instances begin with them.
    pub async fn configure(&self, config: Arc<Configuration>, reload: bool) {
        let groups = script_groups(&config);
        let (looked, done) = oneshot::channel();
        self.send(Order::Configure {
            config,
            groups,
            reload,
            looked,
        });
        let _ = tokio::time::timeout(FIRST_LOOK, done).await;
    }

    /// Tells others.
    pub fn notify(&self, notification: Notification) {
        self.send(Order::Notify(Box::new(notification)));
    }

    /// Tells others about a virtual or a real server.
    pub fn notify_lvs(&self, notification: LvsNotification) {
        self.send(Order::Lvs(Box::new(notification)));
    }

    /// Sends a mail about a virtual or a real server.
    pub fn mail_lvs(&self, mail: LvsMail) {
        self.send(Order::LvsMail(Box::new(mail)));
    }

    /// What starts scripts, for other threads too.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Tracked scripts as they are now.
    pub fn scripts(&self) -> Vec<ScriptSnapshot> {
        self.scripts.snapshot()
    }

    /// What came of notify scripts so far.
    pub fn notified(&self) -> Vec<NotifyHistory> {
        self.notified.snapshot()
    }

    /// Tracked files as they are now.
    pub fn files(&self) -> Vec<FileSnapshot> {
        self.files.snapshot()
    }

    /// Tracked processes as they are now.
    pub fn processes(&self) -> Vec<ProcessSnapshot> {
        self.processes.snapshot()
    }

    /// Runs `startup_script` or `shutdown_script` (`kind`: `startup`, `shutdown`) and waits for its end.
    pub async fn run_script(&self, kind: &'static str, command: &Command, limit: Duration) {
        let (done, end) = oneshot::channel();
        self.send(Order::Script {
            kind,
            command: command.clone(),
            limit,
            done,
        });
        let _ = end.await;
    }

    /// Ends tracked scripts, and waits until what has been given to [`Services::notify`] is told, below 4 s.
    pub async fn stop(&self) {
        let (done, end) = oneshot::channel();
        self.send(Order::Stop(done));
        let _ = end.await;
    }

    fn send(&self, order: Order) {
        // The thread ends after Stop only: nobody is left to be told.
        let _ = self.orders.send(order);
    }
}

/// Whether a configuration has work for this thread; with virtual servers it starts the program that loads the
/// kernel's module.
pub fn needed(config: &Configuration) -> bool {
    let virtual_servers = !config.lvs.servers.is_empty();
    virtual_servers
        || commands(config).next().is_some()
        || !config.files.is_empty()
        || !config.processes.is_empty()
        || fifos(config).next().is_some()
        || mails(config)
}

/// As whom the configuration's scripts run.
pub(super) fn identities(config: &Configuration) -> impl Iterator<Item = Identity> {
    commands(config)
        .filter(|command| !command.disabled)
        .map(|command| command.identity)
}

pub(super) fn script_groups(config: &Configuration) -> ScriptGroups {
    let identities = commands(config).map(|command| command.identity);
    ScriptGroups::of(identities, config.globals.set_supplementary_groups)
}

fn mails(config: &Configuration) -> bool {
    let instances = config.instances.iter().any(|instance| instance.smtp_alert);
    let groups = config.sync_groups.iter().any(|group| group.smtp_alert);
    (instances || groups) && mail::wanted(&config.globals)
}

fn fifos(config: &Configuration) -> impl Iterator<Item = &NotifyFifo> {
    let globals = &config.globals;
    let all = [
        &globals.notify_fifo,
        &globals.vrrp_notify_fifo,
        &globals.lvs_notify_fifo,
    ];
    all.into_iter().flatten()
}

fn commands(config: &Configuration) -> impl Iterator<Item = &NotifyScript> {
    let notify = config
        .instances
        .iter()
        .map(|i| &i.notify)
        .chain(config.sync_groups.iter().map(|g| &g.notify))
        .flat_map(|n| {
            [
                &n.backup,
                &n.master,
                &n.fault,
                &n.stop,
                &n.deleted,
                &n.generic,
                &n.master_rx_lower_priority,
            ]
        })
        .filter_map(Option::as_ref);
    let globals = &config.globals;
    let servers = &config.lvs.servers;
    let of_servers = servers.iter().flat_map(|s| [&s.quorum_up, &s.quorum_down]);
    let reals = servers.iter().flat_map(|server| &server.real_servers);
    let of_reals = reals.clone().flat_map(|r| [&r.notify_up, &r.notify_down]);
    let checks = reals
        .flat_map(|real| &real.checkers)
        .filter_map(|checker| match &checker.kind {
            CheckerKind::Misc { command, .. } => Some(command),
            _ => None,
        });
    notify
        .chain(of_servers.chain(of_reals).filter_map(Option::as_ref))
        .chain(checks)
        .chain(config.scripts.iter().map(|s| &s.command))
        .chain(globals.startup_script.iter())
        .chain(fifos(config).filter_map(|fifo| fifo.script.as_ref()))
        .chain(globals.shutdown_script.iter())
}

struct Thread {
    tracker: ScriptTracker,
    files: FileTracker,
    processes: ProcessTracker,
    notifier: Notifier,
    fifos: Fifos,
    mailer: Mailer,
    spawner: Spawner,
    groups: ScriptGroups,
}

impl Thread {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Configure {
                    config,
                    groups,
                    reload,
                    looked,
                } => {
                    self.groups = groups;
                    self.notifier.set_groups(self.groups.clone());
                    self.fifos.configure(&config.globals, &self.groups);
                    self.mailer.configure(&config.globals);
                    self.tracker.configure(&config.scripts, &self.groups, reload);
                    let files = self.files.configure(&config.files, reload);
                    let buffer = config.globals.netlink_buffers.process_monitor;
                    let processes = self.processes.configure(&config.processes, buffer);
                    tokio::spawn(async move {
                        let _ = files.await;
                        let _ = processes.await;
                        drop(looked);
                    });
                }
                Order::Notify(notification) => {
                    self.notifier.notify(&notification);
                    self.fifos.notify(&notification);
                    self.mailer.notify(&notification);
                }
                Order::Lvs(notification) => {
                    self.notifier.notify_lvs(&notification);
                    self.fifos.notify_lvs(&notification);
                }
                Order::LvsMail(mail) => self.mailer.notify_lvs(&mail),
                Order::Script {
                    kind,
                    command,
                    limit,
                    done,
                } => {
                    let groups = self.groups.get(command.identity);
                    let script = run_once(self.spawner.clone(), kind, command, groups, limit);
                    tokio::spawn(async move {
                        script.await;
                        let _ = done.send(());
                    });
                }
                Order::Stop(done) => {
                    self.tracker.stop();
                    tokio::join!(
                        self.notifier.finish(LAST_NOTIFICATIONS),
                        self.fifos.finish(LAST_LINES),
                        self.mailer.finish(LAST_NOTIFICATIONS)
                    );
                    let _ = done.send(());
                }
            }
        }
    }
}

async fn run_once(spawner: Spawner, kind: &str, command: Command, groups: Vec<u32>, limit: Duration) {
    if command.disabled {
        return;
    }
    let program = command.argv.first().map_or("", String::as_str);
    debug!(target: "parent", "Running {kind} script {program}");
    let run = Run {
        limit: Some(limit),
        ..Run::command(&command, &[], groups)
    };
    let outcome = spawner.run(run).wait().await;
    match outcome.ended {
        Ended::Exited(0) => debug!(target: "parent", "{kind} script script succeeded"),
        Ended::Exited(status) => info!(target: "parent", "{kind} script script failed, status {status}"),
        Ended::TimedOut => info!(target: "parent", "{kind} script timed out"),
        other => info!(target: "parent", "{kind} script script failed, {other}"),
    }
}
