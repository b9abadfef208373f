//! Going into the background.

use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// Held by the daemon; the launcher waits for it.
#[derive(Debug)]
pub struct Launcher {
    pipe: OwnedFd,
}

/// Forks twice and lets the original process wait until the daemon says [`Launcher::release`]: a service
/// manager that waits for the launcher then finds the pid file in place. Returns in the daemon only.
///
/// Standard input, output and error are /dev/null afterwards, the working directory is `/`.
/// There may be one thread only.
pub fn daemonise() -> io::Result<Launcher> {
    let (read, write) = pipe()?;
    if !fork_once()? {
        drop(write);
        let status = wait_for_daemon(File::from(read));
        std::process::exit(status);
    }
    drop(read);
    setsid()?;
    // Not a session leader: it can never get a controlling terminal.
    if !fork_once()? {
        std::process::exit(0);
    }
    chdir("/")?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    let pipe = write;
    nix::fcntl::fcntl(
        &pipe,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
    )?;
    Ok(Launcher { pipe })
}

impl Launcher {
    /// Lets the launcher end with this status.
    pub fn release(self, status: u8) {
        let _ = File::from(self.pipe).write_all(&[status]);
    }
}

/// True in the child.
fn fork_once() -> io::Result<bool> {
    // SAFETY: the caller has one thread only, so the child may do anything that the parent might.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(true),
        ForkResult::Parent { .. } => Ok(false),
    }
}

fn wait_for_daemon(mut pipe: File) -> i32 {
    let mut status = [0];
    match pipe.read(&mut status) {
        Ok(1) => i32::from(status[0]),
        // It ended without a word: what happened stands in the log.
        _ => 1,
    }
}
