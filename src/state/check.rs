//! What the checkers of real servers tell the load balancer.

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
