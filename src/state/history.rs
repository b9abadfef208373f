//! What came of scripts: the last runs of each, and how many there were.

use super::notify::Subject;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// Runs that are remembered of each script.
pub const RUNS: usize = 8;
/// Bytes of a script's last line that are remembered.
const LINE: usize = 200;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// Exit status.
    Exited(i32),
    /// Killed by a signal.
    Signal(i32),
    /// Ran longer than its limit, and was ended.
    TimedOut,
    /// It could not be started, and why.
    NotStarted(String),
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptRun {
    /// When it was started.
    pub started: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub end: RunEnd,
    /// Last line that it wrote to standard error; empty when there is none.
    pub stderr: String,
}

/// The runs of one script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScriptHistory {
    /// Runs that have ended.
    pub runs: u64,
    /// Those that did not exit with 0.
    pub failures: u64,
    /// Those that were ended because of their limit.
    pub timeouts: u64,
    /// The longest.
    pub longest: Duration,
    /// The last [`RUNS`] of them, the oldest first.
    pub last: VecDeque<ScriptRun>,
}

impl ScriptHistory {
    /// Takes in a run.
    pub fn record(&mut self, mut run: ScriptRun) {
        self.runs = self.runs.saturating_add(1);
        if run.end != RunEnd::Exited(0) {
            self.failures = self.failures.saturating_add(1);
        }
        if run.end == RunEnd::TimedOut {
            self.timeouts = self.timeouts.saturating_add(1);
        }
        self.longest = self.longest.max(run.duration);
        let mut length = run.stderr.len().min(LINE);
        while !run.stderr.is_char_boundary(length) {
            length -= 1;
        }
        run.stderr.truncate(length);
        run.stderr.shrink_to_fit();
        if self.last.len() >= RUNS {
            self.last.pop_front();
        }
        self.last.push_back(run);
    }
}

/// The runs of a notify script for one subject and one occasion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyHistory {
    /// About whom.
    pub subject: Subject,
    /// What was told: a state, `MASTER_RX_LOWER_PRI`, `UP` or `DOWN`.
    pub what: &'static str,
    /// The program.
    pub program: String,
    /// Its runs.
    pub history: ScriptHistory,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(end: RunEnd, stderr: String) -> ScriptRun {
        ScriptRun {
            started: SystemTime::UNIX_EPOCH,
            duration: Duration::from_millis(3),
            end,
            stderr,
        }
    }

    #[test]
    fn the_last_runs_are_kept_and_all_are_counted() {
        let mut history = ScriptHistory::default();
        for status in 0..100 {
            history.record(run(RunEnd::Exited(status % 2), "\u{e9}".repeat(LINE)));
        }
        history.record(run(RunEnd::TimedOut, String::new()));
        assert_eq!((history.runs, history.failures, history.timeouts), (101, 51, 1));
        assert_eq!(history.last.len(), RUNS);
        assert_eq!(history.last.back().map(|run| &run.end), Some(&RunEnd::TimedOut));
        assert!(history.last.iter().all(|run| run.stderr.len() <= LINE));
    }
}
