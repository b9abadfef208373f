//! Signal dispositions: of this process before it can handle signals, and of scripts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals that ask for something that only a daemon whose set-up is complete can do.
pub fn requests() -> [libc::c_int; 5] {
    [
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGRTMAX() - 1,
        libc::SIGRTMIN() + 2,
    ]
}

/// Ignores [`requests`] and SIGPIPE until handlers are in place: as the first thing in life, since the
/// default action of the former would end the process. Those that ask for dumps are blocked besides, in this
/// thread and all that it will make: they wait for [`DumpSignals::wait`].
pub fn ignore_early() {
    for signal in requests().into_iter().chain([libc::SIGPIPE]) {
        // SAFETY: SIG_IGN is no handler that could run.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let dumps = DumpSignals::new().0;
    // SAFETY: the mask is read during the call only.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const dumps, std::ptr::null_mut()) };
}

static TERMINATED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember_terminate(_: libc::c_int) {
    TERMINATED.store(true, Ordering::Relaxed);
}

/// From now on a SIGTERM is remembered until its handler is in place ([`terminated`]): once the pid file stands
/// somebody may send it, and its default action would leave that file and more behind.
pub fn remember_terminations() {
    let handler = remember_terminate as extern "C" fn(libc::c_int);
    // SAFETY: the handler does nothing but store to an atomic.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}

/// A SIGTERM has come since [`remember_terminations`].
pub fn terminated() -> bool {
    TERMINATED.load(Ordering::Relaxed)
}

/// What a signal asks to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// SIGUSR1.
    Data,
    /// SIGUSR2.
    Statistics,
    /// SIGRTMAX-1.
    StatisticsCleared,
    /// SIGRTMIN+2.
    Json,
}

impl Wanted {
    fn all() -> [(libc::c_int, Wanted); 4] {
        [
            (libc::SIGUSR1, Wanted::Data),
            (libc::SIGUSR2, Wanted::Statistics),
            (libc::SIGRTMAX() - 1, Wanted::StatisticsCleared),
            (libc::SIGRTMIN() + 2, Wanted::Json),
        ]
    }
}

/// The signals that ask for dumps. They are blocked in every thread ([`ignore_early`]), so that the kernel wakes the
/// thread that waits for them, and no other.
pub struct DumpSignals(libc::sigset_t);

impl DumpSignals {
    /// All of them.
    #[expect(
        clippy::new_without_default,
        reason = "a set of numbers that libc knows at run time"
    )]
    pub fn new() -> DumpSignals {
        // SAFETY: an all-zero sigset_t is emptied before use; the numbers are valid.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for (signal, _) in Wanted::all() {
                libc::sigaddset(&raw mut set, signal);
            }
            DumpSignals(set)
        }
    }

    /// Waits for one, and takes all that are there then, each kind once.
    pub fn wait(&self) -> BTreeSet<Wanted> {
        let mut wanted = BTreeSet::new();
        // SAFETY: the set and the time are read during the calls only; what came with the signal is not asked for.
        let mut signal = unsafe { libc::sigwaitinfo(&raw const self.0, std::ptr::null_mut()) };
        let none = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        while signal > 0 {
            let kind = Wanted::all().into_iter().find(|(number, _)| *number == signal);
            wanted.extend(kind.map(|(_, wanted)| wanted));
            // SAFETY: as above.
            signal = unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), &raw const none) };
        }
        wanted
    }
}

/// Default actions and an empty mask for a child between fork and exec. Async-signal-safe.
pub(super) fn reset_all() {
    // The kernel's struct sigaction with SIG_DFL, no flags and an empty mask, on every architecture.
    let default = [0_u64; 8];
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is no handler that could run; the action is read during the call only and is
        // longer than the kernel reads. Not libc's function: it leaves out the two signals that libc keeps
        // for itself, and posix_spawn(3), which started the spawner, has set those to be ignored.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null::<u64>(),
                size_of::<u64>(),
            )
        };
    }
    // SAFETY: an all-zero sigset_t is emptied before use; the mask is read during the call only.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
    }
}

/// Ignores every signal that can be ignored, but SIGCHLD, and blocks them all: a signal that comes for a child
/// before it has its default actions waits until then instead of getting lost.
pub fn ignore_all() {
    for signal in 1..=libc::SIGRTMAX() {
        let fault = [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGABRT,
            libc::SIGTRAP,
        ];
        if signal != libc::SIGCHLD && !fault.contains(&signal) {
            // SAFETY: SIG_IGN is no handler that could run; signals that cannot be ignored give an error.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
    // SAFETY: an all-zero sigset_t is filled before use; the mask is read during the call only.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut mask);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
    }
}
