//! Processes of our own, the spawner and the guard, and the taking leave of others' as process 1.

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use std::collections::BTreeSet;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Helpers whose end somebody waits for.
static OURS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A helper that runs. Its exit status is there for whoever waits for it, also when this process is process 1.
#[derive(Debug)]
pub struct Helper(Child);

impl Helper {
    /// Starts it.
    pub fn start(command: &mut Command) -> io::Result<Helper> {
        // Nobody reaps between its start and its entry.
        let mut ours = ours();
        let child = command.spawn()?;
        ours.insert(child.id());
        Ok(Helper(child))
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// SIGKILL. One that has ended already keeps its status.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.0.wait();
        ours().remove(&self.0.id());
        status
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Nobody waits for it any more.
        ours().remove(&self.0.id());
    }
}

/// As process 1 of a container: takes leave of processes whose parents have ended, but not of helpers, whose
/// status others want. One of those that has just ended hides who ended after it, so this is to be called from time
/// to time, too. Elsewhere nothing is ours to reap but helpers.
pub fn reap_orphans() {
    if std::process::id() != 1 {
        return;
    }
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let ours = ours();
    loop {
        let pid = match waitid(Id::All, peek) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => pid,
            _ => return,
        };
        let helper = u32::try_from(pid.as_raw()).is_ok_and(|pid| ours.contains(&pid));
        if helper || waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG).is_err() {
            return;
        }
    }
}

fn ours() -> MutexGuard<'static, BTreeSet<u32>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}
