//! Taking datagrams from a socket until it is empty, each with the moment of its arrival.

use crate::sys::clock;
use crate::sys::datagram::{Arrived, ReceiveRing};
use std::io;
use std::os::fd::AsFd;

/// What was taken from a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Datagrams taken.
    pub packets: usize,
    /// Nothing is left (as of that moment); otherwise the limit was reached.
    pub empty: bool,
}

/// Takes what has arrived, at most `most` datagrams, and hands each over with its arrival on CLOCK_MONOTONIC.
/// `last_empty` is when the socket was last empty, and is kept up to date.
pub(super) fn drain(
    ring: &mut ReceiveRing,
    socket: &impl AsFd,
    most: usize,
    last_empty: &mut u64,
    mut each: impl FnMut(&Arrived<'_>, u64),
) -> io::Result<Drained> {
    let mut packets = 0;
    while packets < most {
        let asked = ring.slots().min(most - packets);
        let mut clocks = None;
        let before = *last_empty;
        let count = ring.receive(socket, asked, |arrived| {
            let (mono, real) = *clocks.get_or_insert_with(|| (clock::monotonic(), clock::realtime()));
            each(&arrived, arrival(mono, real, arrived.stamp, before));
        })?;
        packets += count;
        if count < asked {
            *last_empty = clocks.map_or_else(clock::monotonic, |(mono, _)| mono);
            return Ok(Drained { packets, empty: true });
        }
    }
    Ok(Drained {
        packets,
        empty: false,
    })
}

/// Moment of arrival on the monotonic clock. The stamp is on the wall clock, which may have been set
/// meanwhile: the age is at least nothing, and at most the time since the socket was last empty.
fn arrival(mono: u64, real: u64, stamp: Option<u64>, last_empty: u64) -> u64 {
    let age = stamp.map_or(0, |stamp| real.saturating_sub(stamp));
    mono - age.min(mono.saturating_sub(last_empty)).min(mono)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_packet_is_never_more_than_the_time_since_the_last_look() {
        assert_eq!(arrival(1_000, 5_000, Some(4_900), 0), 900);
        assert_eq!(arrival(1_000, 5_000, Some(4_900), 950), 950);
        // The wall clock was set back, set forward; no stamp.
        assert_eq!(arrival(1_000, 3_000, Some(4_900), 0), 1_000);
        assert_eq!(arrival(1_000, 900_000, Some(4_900), 990), 990);
        assert_eq!(arrival(1_000, 5_000, None, 0), 1_000);
    }
}
