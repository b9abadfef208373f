//! Starting scripts. The daemon itself never forks: a small process of its own does (the spawner), so that
//! neither a slow fork of a large process nor a hanging file system can stop the protocol.
//!
//! The spawner is this program under another name, started before the daemon has any thread; they talk over
//! a socket pair. It ends when the daemon does.

mod child;
mod client;
mod message;
mod server;

pub use client::{Run, Running, Spawner};

use super::helper::Helper;
use crate::state::history::{RunEnd, ScriptRun};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// argv\[0\] of the spawner: nobody who looks for keepalived may find it.
pub const NAME: &str = "(keepalived-rs spawner)";

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// Exit status. 127: it could not be executed; the reason is its last line on standard error.
    Exited(i32),
    /// Killed by a signal.
    Signal(i32),
    /// It ran longer than its limit and was ended.
    TimedOut,
    /// It was never started, and why.
    NotStarted(String),
}

impl std::fmt::Display for Ended {
    /// As keepalived puts it: `exited with status 1`, `due to signal 9`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Exited(status) => write!(f, "exited with status {status}"),
            Ended::Signal(signal) => write!(f, "due to signal {signal}"),
            Ended::TimedOut => write!(f, "timed out"),
            Ended::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// What came of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Process id, if it was started.
    pub pid: Option<u32>,
    /// How it ended.
    pub ended: Ended,
    /// Last line that it wrote to standard error; empty when there is none.
    pub stderr: String,
}

/// A spawner that runs, before there is a runtime to talk to it in.
#[derive(Debug)]
pub struct Launched {
    socket: OwnedFd,
    child: Helper,
}

impl Outcome {
    /// For the script's history. `started` and `duration` are the caller's.
    pub fn run(&self, started: SystemTime, duration: Duration) -> ScriptRun {
        ScriptRun {
            started,
            duration,
            end: match &self.ended {
                Ended::Exited(status) => RunEnd::Exited(*status),
                Ended::Signal(signal) => RunEnd::Signal(*signal),
                Ended::TimedOut => RunEnd::TimedOut,
                Ended::NotStarted(why) => RunEnd::NotStarted(why.clone()),
            },
            stderr: self.stderr.clone(),
        }
    }
}

/// Starts the spawner.
pub fn launch() -> io::Result<Launched> {
    launch_program("/proc/self/exe")
}

/// Starts the spawner from this file, which must be the keepalived-rs program.
pub fn launch_program(program: impl AsRef<std::ffi::OsStr>) -> io::Result<Launched> {
    let (ours, theirs) = socket_pair()?;
    let mut command = Command::new(program);
    // Not in the terminal's foreground group: Ctrl-C is for the daemon.
    command.arg0(NAME).stdin(Stdio::from(theirs)).process_group(0);
    let child = Helper::start(&mut command)?;
    Ok(Launched { socket: ours, child })
}

impl Launched {
    /// Process id of the spawner.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// To be called first in `main`: when this process is a spawner it does a spawner's work, and never returns.
pub fn run_if_spawner() {
    if std::env::args_os().next().is_some_and(|name| name == NAME) {
        super::set_comm("vrrp-spawner");
        std::process::exit(server::run_on_stdin());
    }
}

fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    )?)
}
