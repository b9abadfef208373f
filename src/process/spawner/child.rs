//! From fork to exec: what the new process does to itself.

use crate::process::signal;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid, write};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

/// Everything that the child needs, made before the fork: it allocates nothing.
pub(super) struct Plan<'a> {
    pub program: &'a CString,
    pub argv: Vec<*const libc::c_char>,
    pub environment: Vec<*const libc::c_char>,
    pub uid: u32,
    pub gid: u32,
    pub groups: &'a [u32],
    pub die_with_us: bool,
    pub parent: Pid,
}

impl Plan<'_> {
    /// Does not return: the program runs, or the process ends with 127 and says why on standard error.
    pub fn become_program(&self, stderr: &OwnedFd) -> ! {
        let (what, error) = match self.prepare(stderr) {
            Err(failed) => failed,
            Ok(()) => {
                // SAFETY: both arrays end in a null pointer and point into strings that live in the caller;
                // the program's name is a string of its own.
                unsafe {
                    libc::execvpe(
                        self.program.as_ptr(),
                        self.argv.as_ptr(),
                        self.environment.as_ptr(),
                    );
                }
                ("cannot execute", Errno::last())
            }
        };
        for part in [
            what.as_bytes(),
            b" ",
            self.program.as_bytes(),
            b": ",
            error.desc().as_bytes(),
            b"\n",
        ] {
            let _ = write(io::stderr(), part);
        }
        // SAFETY: ends the process without running what belongs to the parent.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&self, stderr: &OwnedFd) -> Result<(), (&'static str, Errno)> {
        let failed = |what| move |error| (what, error);
        signal::reset_all();
        nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0)).map_err(failed("setpgid for"))?;
        nix::unistd::dup2_stderr(stderr).map_err(failed("dup2 for"))?;
        // SAFETY: takes numbers only; descriptors from 3 on are closed at exec, whoever made them.
        unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
        self.change_user()?;
        if self.die_with_us {
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(failed("prctl for"))?;
            if getppid() != self.parent {
                return Err(("no parent for", Errno::ESRCH));
            }
        }
        Ok(())
    }

    fn change_user(&self) -> Result<(), (&'static str, Errno)> {
        let failed = |what| (what, Errno::last());
        // SAFETY: the kernel reads that many numbers during the call. The system calls themselves: there is
        // one thread, so there is nothing for libc's wrappers to synchronise.
        let result = unsafe { libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()) };
        // SAFETY: these take nothing and return numbers.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        // In a user namespace groups cannot be set; whoever stays who he is does not need it.
        if result < 0 && (uid, gid) != (self.uid, self.gid) {
            return Err(failed("setgroups for"));
        }
        // SAFETY: takes numbers only.
        if unsafe { libc::syscall(libc::SYS_setresgid, self.gid, self.gid, self.gid) } < 0 {
            return Err(failed("setgid for"));
        }
        // SAFETY: takes numbers only.
        if unsafe { libc::syscall(libc::SYS_setresuid, self.uid, self.uid, self.uid) } < 0 {
            return Err(failed("setuid for"));
        }
        Ok(())
    }
}

/// The array that exec wants, for as long as the strings live.
pub(super) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}
