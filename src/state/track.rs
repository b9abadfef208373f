//! What trackers report to instances.

use std::sync::Arc;

/// Where a verdict comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrackSource {
    /// `vrrp_script`.
    Script(Arc<str>),
    /// `track_file`.
    File(Arc<str>),
    /// `vrrp_track_process`.
    Process(Arc<str>),
    /// `bfd_instance`.
    Bfd(Arc<str>),
}

/// What a tracker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Up.
    Up,
    /// Down.
    Down,
    /// The number in a tracked file.
    Value(i64),
}

/// Last result of a script run, for the log and the dumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptResult {
    /// Exit status.
    Exited(i32),
    /// Killed by a signal.
    Signal(i32),
    /// Ran longer than its timeout.
    TimedOut,
}
