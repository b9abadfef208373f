//! Scheduling of the calling thread, and limits of the process.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use std::io;

/// Makes the calling thread SCHED_RR with this priority (1 to 99). Its children and the threads that it
/// makes run at normal priority (SCHED_RESET_ON_FORK).
pub fn set_realtime(priority: u32) -> io::Result<()> {
    schedule(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, priority)
}

/// The real-time priority of the calling thread, if it has one (SCHED_RR or SCHED_FIFO).
pub fn realtime() -> Option<u32> {
    let mut parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread; the parameter is written during the call only.
    let result = unsafe { libc::sched_getparam(0, &mut parameter) };
    u32::try_from(parameter.sched_priority)
        .ok()
        .filter(|priority| result == 0 && *priority > 0)
}

/// Makes the calling thread SCHED_OTHER again.
pub fn clear_realtime() -> io::Result<()> {
    schedule(libc::SCHED_OTHER, 0)
}

fn schedule(policy: i32, priority: u32) -> io::Result<()> {
    let parameter = libc::sched_param {
        sched_priority: priority as i32,
    };
    // SAFETY: 0 is the calling thread; the parameter is read during the call only.
    check(unsafe { libc::sched_setscheduler(0, policy, &parameter) })
}

/// RLIMIT_RTTIME in microseconds: longer uninterrupted real-time work than this draws SIGXCPU, twice as
/// much SIGKILL (keepalived sets the soft limit to half of the hard one).
/// `None`: none, as far as the hard limit can be raised again.
pub fn limit_realtime(microseconds: Option<u32>) -> io::Result<()> {
    let limit = match microseconds.map(u64::from) {
        Some(hard) => libc::rlimit {
            rlim_cur: hard / 2,
            rlim_max: hard,
        },
        None => libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        },
    };
    // SAFETY: the limit is read during the call only.
    check(unsafe { libc::setrlimit(libc::RLIMIT_RTTIME, &limit) })
}

/// Nice value of the calling thread, -20 to 19.
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: takes numbers only. On Linux a "process" of id 0 is the calling thread.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })
}

/// A set of processors.
#[derive(Debug, Clone)]
pub struct Processors(CpuSet);

/// Processors that the calling thread may run on.
pub fn affinity() -> io::Result<Processors> {
    Ok(Processors(sched_getaffinity(Pid::from_raw(0))?))
}

/// The processor that the calling thread runs on.
pub fn processor() -> Option<usize> {
    // SAFETY: takes nothing, and returns a number.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Has the calling thread go on on another of its processors than this one. It may come back.
pub fn leave_processor(processor: usize) -> io::Result<()> {
    let before = affinity()?;
    let mut others = before.clone();
    others.0.unset(processor)?;
    if others.0 == CpuSet::new() {
        return Ok(());
    }
    restore_affinity(&others)?;
    restore_affinity(&before)
}

/// Lets the calling thread run on these again.
pub fn restore_affinity(processors: &Processors) -> io::Result<()> {
    Ok(sched_setaffinity(Pid::from_raw(0), &processors.0)?)
}

/// Binds the calling thread to these processors.
pub fn set_affinity(processors: &[u32]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor as usize)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Keeps all memory of the process in RAM, pages that are not touched yet when they are.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: takes flags only.
    check(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) })
}

/// The kernel may swap the process's memory again.
pub fn unlock_memory() -> io::Result<()> {
    // SAFETY: takes nothing.
    check(unsafe { libc::munlockall() })
}

/// Raises the soft limit of open files to at least this many, and the hard limit where that is allowed.
/// Returns the limits that hold now.
pub fn raise_open_files(wanted: u64) -> io::Result<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard)?;
    }
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?)
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_never_lowered() {
        let before = raise_open_files(0).unwrap();
        assert_eq!(raise_open_files(1).unwrap(), before);
        assert_eq!(raise_open_files(before.1.min(1 << 20)).unwrap().1, before.1);
    }
}
