//! Waiting for descriptors, and waking a waiting thread.

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Waits until one of the descriptors is readable or has an error; returns one flag for each, all false
/// after the time out. `None` waits for ever. A signal ends the wait like a time out.
pub fn readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    match ppoll(&mut polled, timeout.map(TimeSpec::from_duration), None) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(polled.iter().map(|fd| fd.any().unwrap_or(false)).collect())
}

/// Wakes a thread that waits for it with [`readable`].
#[derive(Debug)]
pub struct Waker(EventFd);

impl Waker {
    /// A new one, not signalled.
    pub fn new() -> io::Result<Waker> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Waker(EventFd::from_value_and_flags(0, flags)?))
    }

    /// Wakes the thread. Never blocks: a full counter means that it is awake already.
    pub fn wake(&self) {
        let _ = self.0.write(1);
    }

    /// To be called by the woken thread before it looks for work.
    pub fn clear(&self) {
        let _ = self.0.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
