//! One absolute deadline on a timerfd.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// A timer that becomes readable at a moment of CLOCK_MONOTONIC.
#[derive(Debug)]
pub struct Deadline {
    timer: TimerFd,
    armed: Option<u64>,
}

impl Deadline {
    /// A timer that is not armed.
    pub fn new() -> io::Result<Deadline> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Deadline { timer, armed: None })
    }

    /// Arms it for that moment (nanoseconds; one that has passed fires at once), or disarms it. Costs a
    /// system call only when the moment is another one.
    pub fn set(&mut self, at: Option<u64>) -> io::Result<()> {
        if self.armed == at {
            return Ok(());
        }
        match at {
            // 0 would disarm it.
            Some(at) => self.timer.set(
                Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(at.max(1)))),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            )?,
            None => self.timer.unset()?,
        }
        self.armed = at;
        Ok(())
    }

    /// To be called when it is readable: true when it had expired. It is disarmed afterwards.
    pub fn expired(&mut self) -> bool {
        let mut count = [0u8; 8];
        let expired = nix::unistd::read(&self.timer, &mut count).is_ok();
        if expired {
            self.armed = None;
        }
        expired
    }
}

impl AsFd for Deadline {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

impl AsRawFd for Deadline {
    fn as_raw_fd(&self) -> RawFd {
        self.timer.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{clock, poll};

    #[test]
    fn fires_at_the_moment_and_not_before() {
        let mut deadline = Deadline::new().unwrap();
        let at = clock::monotonic() + 3_000_000;
        deadline.set(Some(at)).unwrap();
        assert!(!deadline.expired());
        poll::readable(&[deadline.as_fd()], None).unwrap();
        assert!(clock::monotonic() >= at);
        assert!(deadline.expired());
        assert!(!deadline.expired());
    }

    #[test]
    fn a_moment_that_has_passed_fires_at_once_and_none_disarms() {
        let mut deadline = Deadline::new().unwrap();
        deadline.set(Some(0)).unwrap();
        poll::readable(&[deadline.as_fd()], None).unwrap();
        deadline.set(None).unwrap();
        assert!(!deadline.expired());
    }
}
