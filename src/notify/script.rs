//! Notify scripts: in the order of the states, nothing skipped, nothing killed.
//!
//! The scripts of one state change are started together (the state's script, then the generic one). Those of
//! the next change of the same subject start when these have ended, or after a grace beside them.

use crate::model::{Command, NotifyScript};
use crate::process::privileges::ScriptGroups;
use crate::process::spawner::{Ended, Outcome, Run, Running, Spawner};
use crate::state::VrrpState;
use crate::state::history::{NotifyHistory, ScriptHistory};
use crate::state::lvs::LvsNotification;
use crate::state::notify::{Notification, NotifyKind, Subject};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

/// How long a newer state waits for the scripts of an older one.
const GRACE: Duration = Duration::from_secs(5);

/// The same while the daemon stops: `notify_stop` must have its time.
const GRACE_AT_STOP: Duration = Duration::from_millis(500);

/// Changes of one subject that wait at most.
const QUEUE: usize = 256;

/// Scripts whose runs are remembered; beyond, the one that ran longest ago is forgotten.
const REMEMBERED: usize = 4096;

/// What came of notify scripts, for any thread.
#[derive(Debug, Clone, Default)]
pub struct NotifyHistories(Arc<Mutex<BTreeMap<Key, ScriptHistory>>>);

/// Subject, occasion, program.
type Key = (Subject, &'static str, String);

impl NotifyHistories {
    /// As they are now, by subject and occasion.
    pub fn snapshot(&self) -> Vec<NotifyHistory> {
        let all = self.lock();
        let one = |((subject, what, program), history): (&Key, &ScriptHistory)| NotifyHistory {
            subject: subject.clone(),
            what,
            program: program.clone(),
            history: history.clone(),
        };
        all.iter().map(one).collect()
    }

    fn record(&self, key: Key, outcome: &Outcome, (started, since): (SystemTime, Instant)) {
        let mut all = self.lock();
        if all.len() >= REMEMBERED && !all.contains_key(&key) {
            let last = |history: &ScriptHistory| history.last.back().map(|run| run.started);
            let oldest = all.iter().min_by_key(|(_, history)| last(history));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                all.remove(&oldest);
            }
        }
        let run = outcome.run(started, since.elapsed());
        all.entry(key).or_default().record(run);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, ScriptHistory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts notify scripts. Lives on the services thread.
pub struct Notifier {
    spawner: Spawner,
    groups: Arc<ScriptGroups>,
    subjects: HashMap<Subject, Queue>,
    stopping: watch::Sender<bool>,
    /// Notifications that are not finished.
    open: Arc<AtomicUsize>,
    closed: Arc<tokio::sync::Notify>,
    histories: NotifyHistories,
}

struct Queue {
    changes: mpsc::Sender<Change>,
    /// An advert of lower priority is being told: a second one says nothing new.
    lower_priority: Arc<AtomicBool>,
}

/// The scripts of one notification.
struct Change {
    what: &'static str,
    runs: Vec<(String, Run)>,
    /// Lowered when all have ended.
    _open: Open,
}

/// Counts as open until dropped.
struct Open {
    count: Arc<AtomicUsize>,
    closed: Arc<tokio::sync::Notify>,
    lower_priority: Option<Arc<AtomicBool>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(flag) = &self.lower_priority {
            flag.store(false, Ordering::Relaxed);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.closed.notify_one();
    }
}

impl Notifier {
    /// Nothing told yet.
    pub fn new(spawner: Spawner) -> Notifier {
        Notifier {
            spawner,
            groups: Arc::default(),
            subjects: HashMap::new(),
            stopping: watch::channel(false).0,
            open: Arc::default(),
            closed: Arc::default(),
            histories: NotifyHistories::default(),
        }
    }

    /// What came of scripts, for dumps.
    pub fn histories(&self) -> NotifyHistories {
        self.histories.clone()
    }

    /// Groups of the users that scripts run as: at start and at each reload.
    pub fn set_groups(&mut self, groups: ScriptGroups) {
        self.groups = Arc::new(groups);
    }

    /// Runs the scripts of a notification, in its turn.
    pub fn notify(&mut self, notification: &Notification) {
        let runs = self.runs(notification);
        let lower_priority = notification.kind == NotifyKind::MasterRxLowerPriority;
        self.enqueue(
            &notification.subject,
            what(notification.kind),
            runs,
            lower_priority,
        );
    }

    /// Runs the script for a virtual or a real server, in its turn.
    pub fn notify_lvs(&mut self, notification: &LvsNotification) {
        let Some(script) = notification.script.as_ref().filter(|script| !script.disabled) else {
            return;
        };
        let run = Run::command(script, &[], self.groups.get(script.identity));
        let name = match &notification.real {
            Some(real) => format!("{real} of {}", notification.server),
            None => notification.server.clone(),
        };
        let what = if notification.up { "UP" } else { "DOWN" };
        self.enqueue(
            &Subject::Lvs(name.into()),
            what,
            vec![(program(script), run)],
            false,
        );
    }

    fn enqueue(
        &mut self,
        subject: &Subject,
        what: &'static str,
        runs: Vec<(String, Run)>,
        lower_priority: bool,
    ) {
        if runs.is_empty() {
            return;
        }
        let queue = self.subjects.entry(subject.clone()).or_insert_with(|| {
            let (changes, waiting) = mpsc::channel(QUEUE);
            let worker = Worker {
                subject: subject.clone(),
                histories: self.histories.clone(),
                spawner: self.spawner.clone(),
                stopping: self.stopping.subscribe(),
                running: JoinSet::new(),
                told: "",
            };
            tokio::spawn(worker.run(waiting));
            Queue {
                changes,
                lower_priority: Arc::default(),
            }
        });
        if lower_priority && queue.lower_priority.swap(true, Ordering::Relaxed) {
            return;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let change = Change {
            what,
            runs,
            _open: Open {
                count: self.open.clone(),
                closed: self.closed.clone(),
                lower_priority: lower_priority.then(|| queue.lower_priority.clone()),
            },
        };
        if queue.changes.try_send(change).is_err() {
            let name = name(subject);
            warn!(target: "vrrp", "({name}) {QUEUE} notifications wait for their scripts - one is dropped");
        }
    }

    /// Waits until all is told, `limit` at most; what runs on then is left alone.
    pub async fn finish(&mut self, limit: Duration) {
        let _ = self.stopping.send(true);
        let (open, closed) = (self.open.clone(), self.closed.clone());
        let all = async {
            while open.load(Ordering::Relaxed) > 0 {
                closed.notified().await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            let count = self.open.load(Ordering::Relaxed);
            info!(
                target: "vrrp",
                "{count} notifications have not ended after {} s - their scripts run on", limit.as_secs_f32()
            );
        }
    }

    fn runs(&self, notification: &Notification) -> Vec<(String, Run)> {
        let scripts = &notification.scripts;
        let mut runs = Vec::new();
        let mut add = |script: &NotifyScript, further: &[&str]| {
            if !script.disabled {
                let run = Run::command(script, further, self.groups.get(script.identity));
                runs.push((program(script), run));
            }
        };
        match notification.kind {
            NotifyKind::State(state) => {
                let own = match state {
                    VrrpState::Backup => &scripts.backup,
                    VrrpState::Master => &scripts.master,
                    VrrpState::Fault => &scripts.fault,
                    VrrpState::Stop => &scripts.stop,
                    VrrpState::Deleted => &scripts.deleted,
                    VrrpState::Init => &None,
                };
                if let Some(script) = own {
                    add(script, &[]);
                }
                if let Some(script) = &scripts.generic {
                    let (kind, name) = match &notification.subject {
                        Subject::Instance(name) => ("INSTANCE", name),
                        Subject::Group(name) | Subject::Lvs(name) => ("GROUP", name),
                    };
                    let priority = match notification.subject {
                        Subject::Instance(_) => notification.priority.to_string(),
                        Subject::Group(_) | Subject::Lvs(_) => "0".to_owned(),
                    };
                    add(script, &[kind, name, state.as_str(), &priority]);
                }
            }
            NotifyKind::MasterRxLowerPriority => {
                if let Some(script) = &scripts.master_rx_lower_priority {
                    add(script, &[]);
                }
            }
            // For FIFOs only.
            NotifyKind::Priority(_) | NotifyKind::Still(_) => {}
        }
        runs
    }
}

/// Tells one subject's changes, one after the other.
struct Worker {
    subject: Subject,
    histories: NotifyHistories,
    spawner: Spawner,
    stopping: watch::Receiver<bool>,
    /// Scripts that have not ended.
    running: JoinSet<()>,
    /// What they tell.
    told: &'static str,
}

impl Worker {
    async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        while let Some(change) = changes.recv().await {
            self.wait_for_older(change.what).await;
            self.told = change.what;
            let open = Arc::new(change._open);
            for (program, run) in change.runs {
                let running = self.spawner.run(run);
                let started = (SystemTime::now(), Instant::now());
                let (subject, histories, open) = (self.subject.clone(), self.histories.clone(), open.clone());
                self.running.spawn(async move {
                    let outcome = watch_script(&name(&subject), &program, running).await;
                    histories.record((subject, change.what, program), &outcome, started);
                    drop(open);
                });
            }
        }
        // The daemon stops: what runs is left alone.
        self.running.detach_all();
    }

    async fn wait_for_older(&mut self, what: &str) {
        if self.running.is_empty() {
            return;
        }
        let mut stopping = self.stopping.clone();
        let grace = async {
            let grace = async {
                if stopping.wait_for(|stopping| *stopping).await.is_err() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(GRACE_AT_STOP).await;
            };
            tokio::select! {
                () = tokio::time::sleep(GRACE) => {}
                () = grace => {}
            }
        };
        let all = async { while self.running.join_next().await.is_some() {} };
        let ended = tokio::select! {
            biased;
            () = all => true,
            () = grace => false,
        };
        if !ended {
            info!(
                target: "vrrp",
                "({}) the notify script for {} still runs - starting that for {what} beside it", name(&self.subject), self.told
            );
        }
    }
}

async fn watch_script(name: &str, program: &str, mut running: Running) -> Outcome {
    let outcome = running.wait().await;
    if outcome.ended == Ended::Exited(0) {
        return outcome;
    }
    let said = if outcome.stderr.is_empty() {
        String::new()
    } else {
        format!(": {}", outcome.stderr)
    };
    warn!(target: "vrrp", "({name}) notify script {program} {}{said}", outcome.ended);
    outcome
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Instance(name) | Subject::Group(name) | Subject::Lvs(name) => name.to_string(),
    }
}

fn what(kind: NotifyKind) -> &'static str {
    match kind {
        NotifyKind::State(state) | NotifyKind::Priority(state) | NotifyKind::Still(state) => state.as_str(),
        NotifyKind::MasterRxLowerPriority => "MASTER_RX_LOWER_PRI",
    }
}

fn program(command: &Command) -> String {
    command.argv.first().cloned().unwrap_or_default()
}
