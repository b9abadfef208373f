//! What the daemon and the spawner say to each other: JSON, one message a datagram.

use super::Ended;
use serde::{Deserialize, Serialize};

/// Longest message, bytes; below the socket's default buffer.
pub(super) const LONGEST: usize = 128 * 1024;

/// From the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Start a program.
    Run {
        /// Chosen by the daemon, never used twice.
        id: u64,
        /// Program and arguments.
        argv: Vec<String>,
        /// argv\[0\] that it sees, if that is not the program's path.
        called: Option<String>,
        /// Added to the environment.
        environment: Vec<(String, String)>,
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
        /// Until it is ended by force.
        limit_ms: Option<u64>,
        /// It gets SIGTERM when the spawner ends.
        die_with_us: bool,
    },
    /// End its process group: SIGTERM, 2 s later SIGKILL.
    Kill { id: u64 },
}

/// From the spawner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It runs.
    Started { id: u64, pid: u32 },
    /// SIGKILL did not end it: it hangs in the kernel.
    Stuck { id: u64, pid: u32 },
    /// It has ended. Nothing follows for this id.
    Ended { id: u64, ended: Ended, stderr: String },
    /// A request was not understood.
    Malformed { why: String },
}
