//! BFD control packets (RFC 5880 4.1), version 1, without authentication.

use super::Error;
use std::fmt;

/// UDP port of single-hop sessions (RFC 5881).
pub const PORT_SINGLE_HOP: u16 = 3784;
/// UDP port of multihop sessions (RFC 5883).
pub const PORT_MULTIHOP: u16 = 4784;
/// Length of a packet without an authentication section.
pub const LENGTH: usize = 24;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// Places of the fields.
pub mod field {
    use std::ops::Range;
    /// Version (three bits) and diagnostic.
    pub const VERSION_DIAGNOSTIC: usize = 0;
    /// State (two bits) and flags.
    pub const STATE_FLAGS: usize = 1;
    /// Detection multiplier.
    pub const MULTIPLIER: usize = 2;
    /// Length of the packet.
    pub const LENGTH: usize = 3;
    /// My discriminator.
    pub const MINE: Range<usize> = 4..8;
    /// Your discriminator.
    pub const YOURS: Range<usize> = 8..12;
    /// Desired min TX interval, microseconds.
    pub const MIN_TX: Range<usize> = 12..16;
    /// Required min RX interval, microseconds.
    pub const MIN_RX: Range<usize> = 16..20;
}

/// State of a session, with its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum State {
    /// Held down by its administrator.
    AdminDown = 0,
    /// Down.
    #[default]
    Down = 1,
    /// The other side is heard, and does not yet say that it hears us.
    Init = 2,
    /// Up.
    Up = 3,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::AdminDown => "AdminDown",
            State::Down => "Down",
            State::Init => "Init",
            State::Up => "Up",
        })
    }
}

/// Why a session last went down (RFC 5880 4.1), with its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Diagnostic {
    /// None.
    #[default]
    None = 0,
    /// Nothing was heard for the detection time.
    Expired = 1,
    /// Echo function failed.
    EchoFailed = 2,
    /// The neighbour says that it is down.
    NeighborDown = 3,
    /// Forwarding plane reset.
    ForwardingReset = 4,
    /// Path down.
    PathDown = 5,
    /// Concatenated path down.
    ConcatenatedPathDown = 6,
    /// Administratively down.
    AdministrativelyDown = 7,
    /// Reverse concatenated path down.
    ReverseConcatenatedPathDown = 8,
}

impl Diagnostic {
    const ALL: [Diagnostic; 9] = [
        Diagnostic::None,
        Diagnostic::Expired,
        Diagnostic::EchoFailed,
        Diagnostic::NeighborDown,
        Diagnostic::ForwardingReset,
        Diagnostic::PathDown,
        Diagnostic::ConcatenatedPathDown,
        Diagnostic::AdministrativelyDown,
        Diagnostic::ReverseConcatenatedPathDown,
    ];
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Diagnostic::None => "No Diagnostic",
            Diagnostic::Expired => "Control Detection Time Expired",
            Diagnostic::EchoFailed => "Echo Function Failed",
            Diagnostic::NeighborDown => "Neighbor Signaled Session Down",
            Diagnostic::ForwardingReset => "Forwarding Plane Reset",
            Diagnostic::PathDown => "Path Down",
            Diagnostic::ConcatenatedPathDown => "Concatenated Path Down",
            Diagnostic::AdministrativelyDown => "Administratively Down",
            Diagnostic::ReverseConcatenatedPathDown => "Reverse Concatenated Path Down",
        })
    }
}

/// What a control packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    /// Why the sender's session last went down.
    pub diagnostic: Diagnostic,
    /// State of the sender's session.
    pub state: State,
    /// An answer with `final_` is asked for.
    pub poll: bool,
    /// Answer to a poll.
    pub final_: bool,
    /// The sender wishes no periodic packets.
    pub demand: bool,
    /// Detection multiplier, 1 to 255.
    pub multiplier: u8,
    /// The sender's discriminator, not 0.
    pub mine: u32,
    /// The receiver's discriminator, as the sender knows it; 0 when it does not.
    pub yours: u32,
    /// Interval in which the sender would like to send, microseconds.
    pub min_tx: u32,
    /// Least interval in which it can receive, microseconds; 0: it wants none.
    pub min_rx: u32,
}

impl Repr {
    /// Reads a packet, with the checks of RFC 5880 6.8.6 that need no session. An authenticated packet is
    /// refused: there is no session with authentication. Bytes behind the packet's own length do not count.
    pub fn parse(packet: &[u8]) -> Result<Repr, Error> {
        let bytes: &[u8; LENGTH] = packet.first_chunk().ok_or(Error::Truncated {
            got: packet.len(),
            want: LENGTH,
        })?;
        let refuse = |field, got: u8| {
            Err(Error::Field {
                field,
                got: u32::from(got),
            })
        };
        let version = bytes[field::VERSION_DIAGNOSTIC] >> 5;
        if version != VERSION {
            return refuse("BFD version", version);
        }
        let flags = bytes[field::STATE_FLAGS] & 0x3f;
        if flags & AUTHENTICATION != 0 {
            return refuse("BFD authentication bit", 1);
        }
        let length = bytes[field::LENGTH];
        if usize::from(length) < LENGTH || usize::from(length) > packet.len() {
            return refuse("BFD length", length);
        }
        let multiplier = bytes[field::MULTIPLIER];
        if multiplier == 0 {
            return refuse("BFD multiplier", 0);
        }
        if flags & MULTIPOINT != 0 {
            return refuse("BFD multipoint bit", 1);
        }
        if flags & (POLL | FINAL) == POLL | FINAL {
            return refuse("BFD flags with poll and final", flags);
        }
        let number = bytes[field::VERSION_DIAGNOSTIC] & 0x1f;
        let Some(&diagnostic) = Diagnostic::ALL.get(usize::from(number)) else {
            return refuse("BFD diagnostic", number);
        };
        let mine = be32(bytes, field::MINE.start);
        if mine == 0 {
            return refuse("BFD my discriminator", 0);
        }
        let state = match bytes[field::STATE_FLAGS] >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        let yours = be32(bytes, field::YOURS.start);
        if yours == 0 && matches!(state, State::Init | State::Up) {
            return refuse("BFD your discriminator", 0);
        }
        Ok(Repr {
            diagnostic,
            state,
            poll: flags & POLL != 0,
            final_: flags & FINAL != 0,
            demand: flags & DEMAND != 0,
            multiplier,
            mine,
            yours,
            min_tx: be32(bytes, field::MIN_TX.start),
            min_rx: be32(bytes, field::MIN_RX.start),
        })
    }

    /// The packet. Echo packets are not wished.
    pub fn emit(&self) -> [u8; LENGTH] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let mut bytes = [0; LENGTH];
        bytes[field::VERSION_DIAGNOSTIC] = VERSION << 5 | self.diagnostic as u8;
        bytes[field::STATE_FLAGS] = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.final_, FINAL)
            | flag(self.demand, DEMAND);
        bytes[field::MULTIPLIER] = self.multiplier;
        bytes[field::LENGTH] = LENGTH as u8;
        bytes[field::MINE].copy_from_slice(&self.mine.to_be_bytes());
        bytes[field::YOURS].copy_from_slice(&self.yours.to_be_bytes());
        bytes[field::MIN_TX].copy_from_slice(&self.min_tx.to_be_bytes());
        bytes[field::MIN_RX].copy_from_slice(&self.min_rx.to_be_bytes());
        bytes
    }
}

fn be32(bytes: &[u8; LENGTH], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// keepalived 2.2.7, coming up: it polls.
    const POLLING: [u8; 24] = [
        0x20, 0xe0, 0x03, 0x18, 0x97, 0xa4, 0xed, 0xba, 0xbb, 0xce, 0xaf, 0x02, 0x00, 0x01, 0x86, 0xa0, 0x00,
        0x01, 0x86, 0xa0, 0x00, 0x00, 0x00, 0x00,
    ];
    /// keepalived 2.2.7, its first packet.
    const FIRST: [u8; 24] = [
        0x20, 0x40, 0x03, 0x18, 0x97, 0xa4, 0xed, 0xba, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0f, 0x42, 0x40, 0x00,
        0x01, 0x86, 0xa0, 0x00, 0x00, 0x00, 0x00,
    ];

    fn polling() -> Repr {
        Repr {
            diagnostic: Diagnostic::None,
            state: State::Up,
            poll: true,
            final_: false,
            demand: false,
            multiplier: 3,
            mine: 0x97a4_edba,
            yours: 0xbbce_af02,
            min_tx: 100_000,
            min_rx: 100_000,
        }
    }

    #[test]
    fn packets_of_keepalived_are_read_and_written_byte_for_byte() {
        assert_eq!(Repr::parse(&POLLING), Ok(polling()));
        assert_eq!(polling().emit(), POLLING);
        let first = Repr {
            state: State::Down,
            poll: false,
            yours: 0,
            min_tx: 1_000_000,
            ..polling()
        };
        assert_eq!(Repr::parse(&FIRST), Ok(first));
        assert_eq!(first.emit(), FIRST);
    }

    #[test]
    fn diagnostics_states_and_flags_have_their_numbers() {
        for (number, diagnostic) in (0..).zip(Diagnostic::ALL) {
            let bytes = Repr {
                diagnostic,
                ..polling()
            }
            .emit();
            assert_eq!(bytes[0], 0x20 | number);
            assert_eq!(Repr::parse(&bytes).map(|p| p.diagnostic), Ok(diagnostic));
        }
        let states = [State::AdminDown, State::Down, State::Init, State::Up];
        for (number, state) in (0..).zip(states) {
            let bytes = Repr {
                state,
                poll: false,
                final_: true,
                demand: true,
                ..polling()
            }
            .emit();
            assert_eq!(bytes[1], number << 6 | 0x12);
            let packet = Repr::parse(&bytes).unwrap();
            assert_eq!((packet.state, packet.final_, packet.demand), (state, true, true));
        }
    }

    #[test]
    fn what_the_rfc_discards_is_refused() {
        for (at, value, what) in [
            (0, 0x00, "BFD version is 0"),
            (0, 0x40, "BFD version is 2"),
            (0, 0x29, "BFD diagnostic is 9"),
            (1, 0xc4, "BFD authentication bit is 1"),
            (1, 0xc1, "BFD multipoint bit is 1"),
            (1, 0xf0, "BFD flags with poll and final is 48"),
            (2, 0x00, "BFD multiplier is 0"),
            (3, 23, "BFD length is 23"),
            (3, 25, "BFD length is 25"),
        ] {
            let mut bytes = POLLING;
            bytes[at] = value;
            assert_eq!(Repr::parse(&bytes).unwrap_err().to_string(), what);
        }
        let mut mine = POLLING;
        mine[4..8].fill(0);
        assert!(Repr::parse(&mine).is_err());
        let mut yours = FIRST;
        yours[1] = 0x80;
        assert!(Repr::parse(&yours).is_err());
        for length in 0..24 {
            assert!(Repr::parse(&POLLING[..length]).is_err());
        }
    }

    #[test]
    fn bytes_behind_the_packet_do_not_count() {
        let mut long = POLLING.to_vec();
        long.extend([0xff; 40]);
        assert_eq!(Repr::parse(&long), Ok(polling()));
    }
}
