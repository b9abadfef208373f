//! `auth_hmac`: the stamps that we sign with, and those that have been seen.
//!
//! A stamp is 64 bits: seconds of the wall clock, 1/65536 seconds, and a counter. Two of them are compared in
//! serial number arithmetic (RFC 1982), so that it goes on when the seconds begin anew.

use crate::model::vrrp::{AuthHmac, HmacMode, UnicastPeer};
use crate::state::Statistics;
use crate::state::notice::Odd;
use crate::wire::trailer::{self, Trailer};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Multicast senders whose last stamp is remembered.
const SENDERS: usize = 4;

/// The stamp of a moment, with a counter of zero.
pub(super) fn stamp(wall: SystemTime) -> u64 {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 16) / 1_000_000_000;
    since.as_secs() << 32 | fraction << 16
}

/// How far `a` is ahead of `b`; below zero: behind.
fn ahead(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b) as i64
}

/// The window as a difference of stamps.
fn window(config: &AuthHmac) -> u64 {
    u64::from(config.time_window) << 32
}

/// The sender's side: each stamp is greater than the one before.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequence(Option<u64>);

impl Sequence {
    /// Goes on behind a stamp that was the last one; 0: there was none.
    pub fn after(last: u64) -> Sequence {
        Sequence((last != 0).then_some(last))
    }

    /// The last stamp; 0: there was none.
    pub fn last(&self) -> u64 {
        self.0.unwrap_or(0)
    }

    /// The next stamp: the clock, or one more than the last when the clock is not ahead of it. A last stamp so
    /// far ahead that nobody would accept it is forgotten: the clock has been set back.
    pub fn next(&mut self, wall: SystemTime, config: &AuthHmac) -> u64 {
        let clock = stamp(wall);
        let next = match self.0.map(|last| (last, ahead(clock, last))) {
            Some((last, difference))
                if difference <= 0 && (config.monotonic || difference.unsigned_abs() <= window(config)) =>
            {
                last.wrapping_add(1)
            }
            _ => clock,
        };
        self.0 = Some(next);
        next
    }

    /// The trailer of an advert; `None` when none is sent.
    pub fn sign(
        &mut self,
        config: &AuthHmac,
        wall: SystemTime,
        source: IpAddr,
        message: &[u8],
    ) -> Option<[u8; trailer::LENGTH]> {
        if config.mode == HmacMode::ReceiveOnly {
            return None;
        }
        let key = config.key(config.active_key)?;
        let stamp = self.next(wall, config);
        let trailer = Trailer::sign(key.expose(), config.active_key, stamp, source, message);
        Some(trailer.bytes())
    }
}

/// The receiver's side: the last stamp of each sender, the one that was heard last at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks(Vec<(IpAddr, u64)>);

impl Marks {
    /// Whether the stamp is newer than the last one of this sender, which it then is itself.
    fn accept(&mut self, source: IpAddr, stamp: u64, clock: u64, most: usize, config: &AuthHmac) -> bool {
        let known = self.0.iter().position(|(sender, _)| *sender == source);
        if let Some((_, mark)) = known.and_then(|at| self.0.get(at)) {
            // A mark that is out of the window is of a clock that has been set since.
            let counts = config.monotonic || ahead(*mark, clock).unsigned_abs() <= window(config);
            if counts && ahead(stamp, *mark) <= 0 {
                return false;
            }
        }
        if let Some(at) = known {
            self.0.remove(at);
        }
        let surplus = (self.0.len() + 1).saturating_sub(most.max(1));
        self.0.drain(..surplus);
        self.0.push((source, stamp));
        true
    }
}

/// A packet, as far as its trailer is concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    /// Sender.
    pub source: IpAddr,
    /// The message in front of the trailer.
    pub message: &'a [u8],
    /// The trailer, if there is one.
    pub trailer: Option<&'a [u8; trailer::LENGTH]>,
    /// The wall clock at its arrival.
    pub wall: SystemTime,
}

/// Checks a packet, in keepalived's order. `peers`: who can have sent it, `None` for multicast. `Ok`: accepted,
/// with something to say where the clocks drift apart.
pub(super) fn check(
    config: &AuthHmac,
    signed: Signed<'_>,
    peers: Option<&[UnicastPeer]>,
    marks: &mut Marks,
) -> Result<Option<Odd>, Odd> {
    let Some(trailer) = signed.trailer else {
        return match config.mode {
            HmacMode::Enforce => Err(Odd::HmacMissing),
            HmacMode::Permissive | HmacMode::ReceiveOnly => Ok(None),
        };
    };
    if peers.is_some_and(|peers| !peers.iter().any(|peer| peer.address == signed.source)) {
        return Err(Odd::NotAPeer);
    }
    let trailer = Trailer::parse(trailer).ok_or(Odd::HmacMalformed)?;
    let clock = stamp(signed.wall);
    let skew = ahead(trailer.stamp, clock);
    let seconds = skew / (1 << 32);
    if !config.monotonic && skew.unsigned_abs() > window(config) {
        return Err(Odd::HmacStale {
            skew: seconds,
            window: config.time_window,
        });
    }
    let key = config.key(trailer.key_id).ok_or(Odd::HmacKey(trailer.key_id))?;
    if !trailer.verify(key.expose(), signed.source, signed.message) {
        return Err(Odd::HmacWrong);
    }
    let most = peers.map_or(SENDERS, <[_]>::len);
    if !marks.accept(signed.source, trailer.stamp, clock, most, config) {
        return Err(Odd::HmacReplayed);
    }
    let drifts = !config.monotonic && skew.unsigned_abs() > window(config) / 2;
    Ok(drifts.then_some(Odd::HmacSkew {
        skew: seconds,
        window: config.time_window,
    }))
}

/// Where a refusal is counted.
pub(super) fn counter<'a>(reason: &Odd, statistics: &'a mut Statistics) -> &'a mut u64 {
    match reason {
        Odd::HmacMissing => &mut statistics.auth_ext_missing,
        Odd::HmacMalformed => &mut statistics.auth_ext_malformed,
        Odd::HmacStale { .. } => &mut statistics.auth_ext_stale,
        Odd::HmacKey(_) => &mut statistics.auth_ext_unknown_key,
        Odd::HmacWrong => &mut statistics.auth_ext_invalid_hmac,
        Odd::HmacReplayed => &mut statistics.auth_ext_replay,
        _ => &mut statistics.discarded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Key;
    use std::time::Duration;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
    const MESSAGE: &[u8] = &[0x31, 51, 100, 1, 0, 100, 0, 0, 192, 0, 2, 100];

    fn config(monotonic: bool, mode: HmacMode) -> AuthHmac {
        AuthHmac {
            keys: vec![
                (1, Key::new(KEY.to_vec())),
                (2, Key::new(b"another key, also of 32 bytes ...".to_vec())),
            ],
            active_key: 1,
            time_window: 10,
            monotonic,
            mode,
        }
    }

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 + millis)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// What a receiver at `wall` says to a trailer made at `sent`.
    fn hear(
        config: &AuthHmac,
        marks: &mut Marks,
        source: &str,
        sent: u64,
        wall: SystemTime,
    ) -> Result<Option<Odd>, Odd> {
        let trailer = Trailer::sign(KEY, 1, sent, ip(source), MESSAGE).bytes();
        let signed = Signed {
            source: ip(source),
            message: MESSAGE,
            trailer: Some(&trailer),
            wall,
        };
        check(config, signed, None, marks)
    }

    #[test]
    fn the_stamp_is_the_time_of_day() {
        assert_eq!(stamp(UNIX_EPOCH), 0);
        assert_eq!(stamp(UNIX_EPOCH + Duration::from_millis(1_500)), 0x1_8000_0000);
        // 2106: the seconds begin anew.
        assert_eq!(stamp(UNIX_EPOCH + Duration::from_secs((1 << 32) + 3)), 3 << 32);
    }

    #[test]
    fn stamps_grow_also_when_the_clock_does_not() {
        let (time, monotonic) = (config(false, HmacMode::Enforce), config(true, HmacMode::Enforce));
        let mut sequence = Sequence::default();
        let first = sequence.next(at(0), &time);
        assert_eq!(first, stamp(at(0)));
        assert_eq!(sequence.next(at(0), &time), first + 1);
        assert_eq!(sequence.next(at(1_000), &time), stamp(at(1_000)));
        // Set back by less than the window: goes on; by more: the peers have forgotten what was.
        let mut other = sequence.clone();
        let last = stamp(at(1_000));
        assert_eq!(sequence.next(at(1_000) - Duration::from_secs(9), &time), last + 1);
        assert_eq!(
            sequence.next(at(1_000) - Duration::from_secs(60), &time),
            stamp(at(1_000) - Duration::from_secs(60))
        );
        assert_eq!(
            other.next(at(1_000) - Duration::from_secs(60), &monotonic),
            last + 1
        );
    }

    #[test]
    fn the_window_holds_on_both_sides() {
        let config = config(false, HmacMode::Enforce);
        let hear = |sent: SystemTime| hear(&config, &mut Marks::default(), "192.0.2.2", stamp(sent), at(0));
        assert_eq!(hear(at(0)), Ok(None));
        assert_eq!(hear(at(5_000)), Ok(None));
        assert_eq!(hear(at(6_000)), Ok(Some(Odd::HmacSkew { skew: 6, window: 10 })));
        assert_eq!(
            hear(at(0) - Duration::from_secs(10)),
            Ok(Some(Odd::HmacSkew {
                skew: -10,
                window: 10
            }))
        );
        assert_eq!(hear(at(11_000)), Err(Odd::HmacStale { skew: 11, window: 10 }));
        assert_eq!(
            hear(at(0) - Duration::from_secs(3_600)),
            Err(Odd::HmacStale {
                skew: -3_600,
                window: 10
            })
        );
    }

    #[test]
    fn what_was_heard_once_is_not_heard_again() {
        for monotonic in [false, true] {
            let config = config(monotonic, HmacMode::Enforce);
            let mut marks = Marks::default();
            let mut hear = |source: &str, sent: u64| hear(&config, &mut marks, source, sent, at(0));
            let sent = stamp(at(0));
            assert_eq!(hear("192.0.2.2", sent), Ok(None));
            assert_eq!(hear("192.0.2.2", sent), Err(Odd::HmacReplayed));
            assert_eq!(hear("192.0.2.2", sent - 1), Err(Odd::HmacReplayed));
            assert_eq!(hear("192.0.2.2", sent + 1), Ok(None));
            // Each sender counts for itself. Four are remembered, those that were heard last.
            for sender in ["192.0.2.3", "192.0.2.4", "192.0.2.5"] {
                assert_eq!(hear(sender, sent), Ok(None));
            }
            assert_eq!(hear("192.0.2.2", sent + 2), Ok(None));
            assert_eq!(hear("192.0.2.6", sent), Ok(None));
            assert_eq!(hear("192.0.2.2", sent + 2), Err(Odd::HmacReplayed));
            assert_eq!(hear("192.0.2.3", sent), Ok(None));
        }
    }

    #[test]
    fn a_mark_of_another_time_is_forgotten_unless_only_growth_counts() {
        for (monotonic, want) in [(false, Ok(None)), (true, Err(Odd::HmacReplayed))] {
            let config = config(monotonic, HmacMode::Enforce);
            let mut marks = Marks::default();
            let ahead = at(3_600_000);
            assert_eq!(
                hear(&config, &mut marks, "192.0.2.2", stamp(ahead), ahead),
                Ok(None)
            );
            // Both clocks were an hour ahead, and have been set.
            assert_eq!(hear(&config, &mut marks, "192.0.2.2", stamp(at(0)), at(0)), want);
        }
    }

    #[test]
    fn only_growth_counts_and_any_clock_will_do() {
        let config = config(true, HmacMode::Enforce);
        let mut marks = Marks::default();
        assert_eq!(hear(&config, &mut marks, "192.0.2.2", 1, at(0)), Ok(None));
        assert_eq!(hear(&config, &mut marks, "192.0.2.2", 2, at(0)), Ok(None));
        assert_eq!(
            hear(&config, &mut marks, "192.0.2.2", 2, at(0)),
            Err(Odd::HmacReplayed)
        );
    }

    #[test]
    fn the_order_of_the_checks_is_keepalived_s() {
        let config = config(false, HmacMode::Permissive);
        let now = stamp(at(0));
        let other = b"a key that the other side has not";
        let check = |key: &[u8], id: u8, sent: u64, change: &dyn Fn(&mut [u8])| {
            let mut trailer = Trailer::sign(key, id, sent, ip("192.0.2.2"), MESSAGE).bytes();
            change(&mut trailer);
            let signed = Signed {
                source: ip("192.0.2.2"),
                message: MESSAGE,
                trailer: Some(&trailer),
                wall: at(0),
            };
            check(&config, signed, None, &mut Marks::default())
        };
        let as_is = |_: &mut [u8]| {};
        assert_eq!(check(KEY, 1, now, &as_is), Ok(None));
        // Malformed and stale; stale and of an unknown key; unknown, and wrong.
        assert_eq!(check(other, 9, 0, &|t| t[0] = 2), Err(Odd::HmacMalformed));
        assert_eq!(check(other, 9, now, &|t| t[3] = 1), Err(Odd::HmacMalformed));
        assert!(matches!(check(other, 9, 0, &as_is), Err(Odd::HmacStale { .. })));
        assert_eq!(check(other, 9, now, &as_is), Err(Odd::HmacKey(9)));
        // The key of another id; permissive does not mean that a wrong one will do.
        assert_eq!(check(KEY, 2, now, &as_is), Err(Odd::HmacWrong));
        assert_eq!(check(other, 1, now, &as_is), Err(Odd::HmacWrong));
    }

    #[test]
    fn a_wrong_one_leaves_no_mark() {
        let config = config(false, HmacMode::Enforce);
        let mut marks = Marks::default();
        let ahead = Trailer::sign(b"wrong", 1, stamp(at(9_000)), ip("192.0.2.2"), MESSAGE).bytes();
        let signed = Signed {
            source: ip("192.0.2.2"),
            message: MESSAGE,
            trailer: Some(&ahead),
            wall: at(0),
        };
        assert_eq!(check(&config, signed, None, &mut marks), Err(Odd::HmacWrong));
        assert_eq!(
            hear(&config, &mut marks, "192.0.2.2", stamp(at(0)), at(0)),
            Ok(None)
        );
    }

    #[test]
    fn without_a_trailer_the_mode_decides_and_a_stranger_is_no_peer() {
        let mut signed = Signed {
            source: ip("192.0.2.2"),
            message: MESSAGE,
            trailer: None,
            wall: at(0),
        };
        for (mode, want) in [
            (HmacMode::Enforce, Err(Odd::HmacMissing)),
            (HmacMode::Permissive, Ok(None)),
            (HmacMode::ReceiveOnly, Ok(None)),
        ] {
            let config = config(false, mode);
            assert_eq!(check(&config, signed, None, &mut Marks::default()), want);
            let sent = Sequence::default().sign(&config, at(0), signed.source, MESSAGE);
            assert_eq!(sent.is_some(), mode != HmacMode::ReceiveOnly);
        }
        let trailer = Trailer::sign(KEY, 1, stamp(at(0)), signed.source, MESSAGE).bytes();
        signed.trailer = Some(&trailer);
        let peer = |address: &str| UnicastPeer {
            address: ip(address),
            min_ttl: 0,
            max_ttl: 255,
        };
        let config = config(false, HmacMode::Enforce);
        let check = |peers: &[UnicastPeer]| check(&config, signed, Some(peers), &mut Marks::default());
        assert_eq!(check(&[peer("192.0.2.3")]), Err(Odd::NotAPeer));
        assert_eq!(check(&[peer("192.0.2.3"), peer("192.0.2.2")]), Ok(None));
    }
}
