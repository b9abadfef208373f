//! `vrrp_script`: runs scripts at their interval and turns results into verdicts.

use crate::model::TrackScript;
use crate::process::privileges::ScriptGroups;
use crate::process::spawner::{Ended, Outcome, Run, Running, Spawner};
use crate::state::history::ScriptHistory;
use crate::state::snapshot::ScriptSnapshot;
use crate::state::track::{ScriptResult, TrackSource, Verdict};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use tracing::info;

/// Where verdicts go. Called on the services thread; must not block.
pub type Verdicts = Arc<dyn Fn(TrackSource, Verdict) + Send + Sync>;

/// The counter of successes and failures in a row.
///
/// 0 to `rise + fall - 1`; up from `rise` on. Below `rise` a success counts up and a failure starts again;
/// from `rise` on a failure counts down and a success starts again. The first result decides at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counter {
    rise: u32,
    fall: u32,
    value: u32,
    /// There has been no result yet.
    initialising: bool,
}

impl Counter {
    fn new(script: &TrackScript) -> Counter {
        let (rise, fall) = limits(script);
        Counter {
            rise,
            fall,
            value: if script.init_fail { 0 } else { rise - 1 },
            initialising: true,
        }
    }

    fn is_up(&self) -> bool {
        self.value >= self.rise
    }

    /// Takes a result. `Some` when it changes the verdict, or is the first one.
    fn take(&mut self, success: bool) -> Option<Verdict> {
        let first = std::mem::take(&mut self.initialising);
        let (top, was_up) = (self.rise + self.fall - 1, self.is_up());
        self.value = match success {
            true if self.value + 1 < self.rise => self.value + 1,
            true => top,
            false if self.value > self.rise => self.value - 1,
            false => 0,
        };
        if success && (first || (!was_up && self.is_up())) {
            self.value = top;
            Some(Verdict::Up)
        } else if !success && (first || (was_up && !self.is_up())) {
            self.value = 0;
            Some(Verdict::Down)
        } else {
            None
        }
    }

    /// The same standing under another `rise` and `fall`.
    fn scale(&mut self, script: &TrackScript) {
        let (rise, fall) = limits(script);
        let share = |value: u32, of: u32, to: u32| {
            u32::try_from(u64::from(value) * u64::from(to) / u64::from(of.max(1))).unwrap_or(u32::MAX)
        };
        self.value = if self.is_up() {
            rise + share(self.value - self.rise, self.fall, fall)
        } else {
            share(self.value, self.rise, rise)
        };
        (self.rise, self.fall) = (rise, fall);
    }
}

/// `rise` and `fall`, such that their sum is a number.
fn limits(script: &TrackScript) -> (u32, u32) {
    let limit = |n: u32| n.clamp(1, i32::MAX.unsigned_abs());
    (limit(script.rise), limit(script.fall))
}

#[derive(Debug, Clone)]
struct State {
    config: Arc<TrackScript>,
    counter: Counter,
    running: bool,
    last: Option<ScriptResult>,
    /// Exit status of the last run that exited; 0 before there is one.
    status: i32,
    history: ScriptHistory,
}

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A view of all scripts, for any thread.
#[derive(Debug, Clone, Default)]
pub struct ScriptStates(Arc<Mutex<Vec<Shared>>>);

impl ScriptStates {
    /// As they are now, in the order of the file.
    pub fn snapshot(&self) -> Vec<ScriptSnapshot> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.iter()
            .map(|state| {
                let state = lock(state);
                ScriptSnapshot {
                    config: state.config.clone(),
                    result: state.counter.value,
                    up: (!state.counter.initialising).then(|| state.counter.is_up()),
                    initialising: state.counter.initialising,
                    running: state.running,
                    last: state.last,
                    history: state.history.clone(),
                }
            })
            .collect()
    }
}

enum Control {
    /// New settings of the same script.
    Settings(ScriptGroups),
}

struct Entry {
    state: Shared,
    /// Dropped: the script is not run any more.
    control: mpsc::UnboundedSender<Control>,
}

/// All scripts. Lives on the services thread.
pub struct ScriptTracker {
    spawner: Spawner,
    verdicts: Verdicts,
    scripts: BTreeMap<String, Entry>,
    states: ScriptStates,
}

impl ScriptTracker {
    /// Without any script.
    pub fn new(spawner: Spawner, verdicts: Verdicts) -> ScriptTracker {
        ScriptTracker {
            spawner,
            verdicts,
            scripts: BTreeMap::new(),
            states: ScriptStates::default(),
        }
    }

    /// For dumps.
    pub fn states(&self) -> ScriptStates {
        self.states.clone()
    }

    /// Takes the scripts of a configuration: at start, and at each reload. One with the same name, command
    /// and user keeps its standing; one that is gone is ended.
    pub fn configure(&mut self, scripts: &[TrackScript], groups: &ScriptGroups, reload: bool) {
        let mut before = std::mem::take(&mut self.scripts);
        let mut states = Vec::with_capacity(scripts.len());
        for script in scripts {
            let kept = before
                .remove(&script.name)
                .filter(|entry| lock(&entry.state).config.command == script.command);
            let entry = match kept {
                Some(entry) => {
                    keep(&entry, script);
                    let _ = entry.control.send(Control::Settings(groups.clone()));
                    entry
                }
                None => self.add(script, groups, reload),
            };
            states.push(entry.state.clone());
            self.scripts.insert(script.name.clone(), entry);
        }
        *self.states.0.lock().unwrap_or_else(PoisonError::into_inner) = states;
    }

    /// Ends all scripts.
    pub fn stop(&mut self) {
        self.scripts.clear();
    }

    fn add(&self, script: &TrackScript, groups: &ScriptGroups, reload: bool) -> Entry {
        let (control, orders) = mpsc::unbounded_channel();
        let state = Arc::new(Mutex::new(State {
            config: Arc::new(script.clone()),
            counter: Counter::new(script),
            running: false,
            last: None,
            status: 0,
            history: ScriptHistory::default(),
        }));
        let report = {
            let (verdicts, name) = (self.verdicts.clone(), Arc::from(script.name.as_str()));
            move |verdict| verdicts(TrackSource::Script(Arc::clone(&name)), verdict)
        };
        if script.init_fail {
            report(Verdict::Down);
        } else if reload || script.command.disabled {
            // A new script does not hold a running instance until its first result; one that is never run
            // has none.
            report(Verdict::Up);
        }
        if !script.command.disabled {
            let task = Task {
                spawner: self.spawner.clone(),
                state: state.clone(),
                groups: groups.clone(),
                running: None,
                started: (SystemTime::UNIX_EPOCH, Instant::now()),
                timed_out: false,
                report,
            };
            tokio::spawn(task.run(orders));
        }
        Entry { state, control }
    }
}

fn keep(entry: &Entry, script: &TrackScript) {
    let mut state = lock(&entry.state);
    state.counter.scale(script);
    state.config = Arc::new(script.clone());
    if !state.counter.initialising {
        let word = if state.counter.is_up() {
            "successful"
        } else {
            "unsuccessful"
        };
        info!(target: "vrrp", "VRRP_Script({}) considered {word} on reload", script.name);
    }
}

struct Task<R> {
    spawner: Spawner,
    state: Shared,
    groups: ScriptGroups,
    running: Option<Running>,
    /// When the last run was started.
    started: (SystemTime, Instant),
    /// The present run is past its limit and being ended.
    timed_out: bool,
    report: R,
}

impl<R: Fn(Verdict)> Task<R> {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Control>) {
        let mut config = lock(&self.state).config.clone();
        let mut timer = timer(config.interval, Duration::ZERO);
        let mut limit = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Control::Settings(groups)) => {
                        self.groups = groups;
                        let before = std::mem::replace(&mut config, lock(&self.state).config.clone());
                        if before.interval != config.interval {
                            timer = self::timer(config.interval, config.interval);
                        }
                    }
                    None => {
                        if let Some(running) = &self.running {
                            running.kill();
                        }
                        return;
                    }
                },
                outcome = ended(&mut self.running) => {
                    self.running = None;
                    self.timed_out = false;
                    self.take(&outcome);
                }
                () = &mut limit, if self.running.is_some() && !self.timed_out => {
                    // The spawner ends it at the same moment; this is for the line about a skipped run.
                    self.timed_out = true;
                }
                _ = timer.tick() => {
                    if self.running.is_some() {
                        let doing = if self.timed_out { "being timed out" } else { "already running" };
                        info!(
                            target: "vrrp",
                            "Track script {} is {doing}, expect idle - skipping run", config.name
                        );
                    } else {
                        let timeout = if config.timeout.is_zero() { config.interval } else { config.timeout };
                        limit.as_mut().reset(tokio::time::Instant::now() + timeout);
                        self.start(&config, timeout);
                    }
                }
            }
        }
    }

    fn start(&mut self, config: &TrackScript, timeout: Duration) {
        let groups = self.groups.get(config.command.identity);
        let run = Run {
            limit: Some(timeout),
            die_with_us: true,
            ..Run::command(&config.command, &[], groups)
        };
        lock(&self.state).running = true;
        self.started = (SystemTime::now(), Instant::now());
        self.running = Some(self.spawner.run(run));
    }

    fn take(&self, outcome: &Outcome) {
        let mut state = lock(&self.state);
        state.running = false;
        state
            .history
            .record(outcome.run(self.started.0, self.started.1.elapsed()));
        state.last = match &outcome.ended {
            Ended::Exited(status) => Some(ScriptResult::Exited(*status)),
            Ended::Signal(signal) => Some(ScriptResult::Signal(*signal)),
            Ended::TimedOut => Some(ScriptResult::TimedOut),
            // Our fault, not the script's: no result.
            Ended::NotStarted(why) => {
                info!(target: "vrrp", "Track script {} could not be run: {why}", state.config.name);
                return;
            }
        };
        let name = state.config.name.as_str();
        if let Ended::Exited(status) = outcome.ended
            && status != state.status
        {
            info!(target: "vrrp", "Script `{name}` now returning {status}{}", said(outcome));
            state.status = status;
        }
        let verdict = state.counter.take(outcome.ended == Ended::Exited(0));
        let name = state.config.name.clone();
        drop(state);
        match (verdict, &outcome.ended) {
            (None, _) => return,
            (Some(Verdict::Up), _) => info!(target: "vrrp", "VRRP_Script({name}) succeeded"),
            (Some(_), Ended::TimedOut) => info!(target: "vrrp", "VRRP_Script({name}) timed_out"),
            (Some(_), how) => info!(target: "vrrp", "VRRP_Script({name}) failed ({how})"),
        }
        if let Some(verdict) = verdict {
            (self.report)(verdict);
        }
    }
}

/// The script's own words, where it could not even be executed: otherwise nobody would know why.
fn said(outcome: &Outcome) -> String {
    match &outcome.ended {
        Ended::Exited(127) if outcome.stderr.starts_with("cannot execute ") => {
            format!(" ({})", outcome.stderr)
        }
        _ => String::new(),
    }
}

async fn ended(running: &mut Option<Running>) -> Outcome {
    match running {
        Some(running) => running.wait().await,
        None => std::future::pending().await,
    }
}

fn timer(interval: Duration, first: Duration) -> Interval {
    // keepalived's shortest interval; zero would be a busy loop.
    let interval = interval.max(Duration::from_millis(1));
    let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + first, interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    timer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(rise: u32, fall: u32, init_fail: bool) -> TrackScript {
        TrackScript {
            name: "chk".into(),
            command: crate::model::Command::default(),
            interval: Duration::from_secs(1),
            timeout: Duration::ZERO,
            weight: 0,
            reverse: false,
            rise,
            fall,
            init_fail,
        }
    }

    /// One letter a result: `+` success, `-` failure; one letter a verdict: `U`, `D`, `.` for none.
    fn verdicts(counter: &mut Counter, results: &str) -> String {
        results
            .chars()
            .map(|result| match counter.take(result == '+') {
                Some(Verdict::Up) => 'U',
                Some(_) => 'D',
                None => '.',
            })
            .collect()
    }

    #[test]
    fn rise_and_fall() {
        for (rise, fall, init_fail, results, expected) in [
            (1, 1, false, "+-+-", "UDUD"),
            (1, 1, false, "--++", "D.U."),
            // As keepalived 2.2.7 was seen to do.
            (2, 3, false, "+--+---+++", "U.....D.U."),
            (3, 3, false, "+---++-+++", "U..D.....U"),
            (3, 1, false, "-+++", "D..U"),
            (3, 2, true, "+--", "U.D"),
            (3, 2, true, "-++-++", "D....."),
        ] {
            let mut counter = Counter::new(&script(rise, fall, init_fail));
            let seen = verdicts(&mut counter, results);
            assert_eq!(
                seen, expected,
                "rise {rise} fall {fall} init_fail {init_fail} {results}"
            );
        }
    }

    #[test]
    fn before_the_first_result() {
        assert_eq!(Counter::new(&script(3, 2, false)).value, 2);
        assert_eq!(Counter::new(&script(3, 2, true)).value, 0);
        assert!(!Counter::new(&script(3, 2, false)).is_up());
    }

    #[test]
    fn a_reload_scales_the_standing() {
        let scaled = |value: u32, rise: u32, fall: u32| {
            let mut counter = Counter {
                value,
                initialising: false,
                ..Counter::new(&script(2, 3, false))
            };
            let up = counter.is_up();
            counter.scale(&script(rise, fall, false));
            assert_eq!(counter.is_up(), up);
            counter.value
        };
        assert_eq!(scaled(4, 2, 3), 4);
        assert_eq!(scaled(4, 4, 6), 8);
        assert_eq!(scaled(2, 10, 1), 10);
        assert_eq!(scaled(1, 4, 1), 2);
        assert_eq!(scaled(0, 1, 1), 0);
        assert_eq!(scaled(1, 1, 1), 0);
    }

    #[test]
    fn no_numbers_overflow() {
        let mut counter = Counter::new(&script(u32::MAX, u32::MAX, false));
        assert_eq!(verdicts(&mut counter, "+-+"), "U..");
        counter.scale(&script(0, 0, false));
        assert_eq!(verdicts(&mut counter, "-"), "D");
    }
}
