//! Clocks.

use crate::state::Now;
use nix::time::{ClockId, clock_gettime};
use std::time::SystemTime;

/// CLOCK_MONOTONIC, nanoseconds.
pub fn monotonic() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME, nanoseconds since 1970.
pub fn realtime() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// CLOCK_BOOTTIME, nanoseconds: time since the machine started, suspend included.
pub fn since_boot() -> u64 {
    read(ClockId::CLOCK_BOOTTIME)
}

/// This moment on both clocks.
pub fn now() -> Now {
    Now {
        mono: monotonic(),
        wall: SystemTime::now(),
    }
}

/// The kernel has all three clocks; a failure would be a build for another system. 0 makes every deadline
/// lie in the future rather than in the past.
fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_forward() {
        let (a, b) = (monotonic(), monotonic());
        assert!(a > 0 && b >= a);
        assert!(since_boot() >= a);
        assert!(realtime() > 1_600_000_000_000_000_000);
    }
}
