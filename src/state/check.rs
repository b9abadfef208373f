//! What the checkers of real servers tell the load balancer.

use std::fmt;

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
