//! What the checkers of real servers tell the load balancer.

use std::collections::VecDeque;
use std::fmt;
use std::time::SystemTime;

/// A checker that runs: its number is given by the load balancer and names one checker of one real server
/// until that checker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckerId(pub u32);

impl fmt::Display for CheckerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The verdict of a checker: the first one, and each that differs from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Who.
    pub checker: CheckerId,
    /// What it found.
    pub verdict: CheckVerdict,
}

/// What a checker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckVerdict {
    /// The service answers.
    Up,
    /// It does not, after all retries.
    Down {
        /// Why, for people.
        reason: String,
    },
    /// It answers, and this is added to the weight of the real server (`misc_dynamic`, FILE_CHECK).
    Weight(i64),
}

/// What a checker has found since it was started: the changes of its verdict.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CheckHistory {
    /// Verdicts that the server is down.
    pub failures: u64,
    /// The last changes, the oldest first; four at most.
    pub last: VecDeque<CheckChange>,
}

/// A verdict that differed from the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckChange {
    /// When.
    pub at: SystemTime,
    /// Why the server is down; `None`: it is up.
    pub down: Option<String>,
}

impl CheckHistory {
    const CHANGES: usize = 4;
    /// A reason is at most so long, bytes: servers have a say in it.
    const REASON: usize = 256;

    /// Takes a verdict down; one that only differs in its weight is none.
    pub fn take(&mut self, at: SystemTime, verdict: &CheckVerdict) {
        let down = match verdict {
            CheckVerdict::Down { reason } => {
                let mut end = reason.len().min(Self::REASON);
                while !reason.is_char_boundary(end) {
                    end -= 1;
                }
                Some(reason.get(..end).unwrap_or_default().to_owned())
            }
            CheckVerdict::Up | CheckVerdict::Weight(_) => None,
        };
        if self
            .last
            .back()
            .is_some_and(|last| last.down.is_some() == down.is_some())
        {
            return;
        }
        self.failures += u64::from(down.is_some());
        if self.last.len() == Self::CHANGES {
            self.last.pop_front();
        }
        self.last.push_back(CheckChange { at, down });
    }

    /// The last failure, and when it was.
    pub fn last_failure(&self) -> Option<(&str, SystemTime)> {
        let failures = self.last.iter().rev();
        failures
            .filter_map(|change| Some((change.down.as_deref()?, change.at)))
            .next()
    }
}

/// Where a checker stands: what a dump shows, and what its successor after a reload goes on with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// The present verdict.
    pub up: bool,
    /// There has been a verdict of a check that ran.
    pub has_run: bool,
    /// Failures in a row that count towards `retry`; `None` before the first result.
    pub iterations: Option<u32>,
    /// Number of the url that is asked next.
    pub url: usize,
    /// Number of the url that failed and is asked until it is good.
    pub failed_url: Option<usize>,
    /// MISC_CHECK: when it was started last.
    pub last_ran: Option<SystemTime>,
    /// MISC_CHECK: exit status of the last run.
    pub last_status: i32,
    /// PING_CHECK: sequence number of the last request.
    pub sequence: u16,
    /// What it adds to the weight of the real server.
    pub weight: i64,
    /// Checks that have been made.
    pub checks: u64,
    /// Those of them that failed; `retry` does not matter.
    pub bad: u64,
}

impl Standing {
    /// Of a checker that has not run: up, unless `alpha`.
    pub fn new(up: bool) -> Standing {
        Standing {
            up,
            ..Standing::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_kept_and_not_many() {
        let mut history = CheckHistory::default();
        let down = |reason: &str| CheckVerdict::Down {
            reason: reason.to_owned(),
        };
        history.take(SystemTime::UNIX_EPOCH, &down(&"\u{e9}".repeat(1000)));
        assert_eq!(history.last[0].down.as_ref().unwrap().len(), CheckHistory::REASON);
        for _ in 0..5 {
            history.take(SystemTime::UNIX_EPOCH, &CheckVerdict::Up);
            history.take(SystemTime::UNIX_EPOCH, &CheckVerdict::Weight(3));
            history.take(SystemTime::UNIX_EPOCH, &down("one"));
            history.take(SystemTime::UNIX_EPOCH, &down("two"));
        }
        assert_eq!((history.failures, history.last.len()), (6, CheckHistory::CHANGES));
        history.take(SystemTime::UNIX_EPOCH, &CheckVerdict::Up);
        assert_eq!(history.last_failure(), Some(("one", SystemTime::UNIX_EPOCH)));
    }
}
