//! Signal dispositions: of this process before it can handle signals, and of scripts.

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
/// default action of the former would end the process.
pub fn ignore_early() {
    for signal in requests().into_iter().chain([libc::SIGPIPE]) {
        // SAFETY: SIG_IGN is no handler that could run.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
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
