//! AgentX (RFC 2741): what a subagent and its master agent say to each other. Both byte orders are read; ours is
//! the network's.

use std::fmt;

/// Object identifier, as its numbers.
pub type Oid = Vec<u32>;

/// Length of a header.
pub const HEADER: usize = 20;

/// A payload longer than this is no master agent's.
pub const LARGEST: u32 = 1 << 17;

/// `agentx-Close-PDU` reason: the subagent is shutting down.
pub const REASON_SHUTDOWN: u8 = 5;

/// Errors of a response (RFC 2741, 6.2.16; the low ones are SNMP's).
pub mod error {
    /// None.
    pub const NONE: u16 = 0;
    /// `genErr`.
    pub const GENERAL: u16 = 5;
    /// `notWritable`.
    pub const NOT_WRITABLE: u16 = 17;
    /// `unsupportedContext`.
    pub const UNSUPPORTED_CONTEXT: u16 = 262;
    /// `duplicateRegistration`.
    pub const DUPLICATE_REGISTRATION: u16 = 263;
}

const VERSION: u8 = 1;
const NON_DEFAULT_CONTEXT: u8 = 0x08;
const NETWORK_BYTE_ORDER: u8 = 0x10;
/// 1.3.6.1, which may be left out.
const INTERNET: [u32; 4] = [1, 3, 6, 1];
/// Numbers in an object identifier (RFC 2578, 3.5).
const LONGEST: usize = 128;

/// A value of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// INTEGER.
    Integer(i32),
    /// OCTET STRING.
    Octets(Vec<u8>),
    /// OBJECT IDENTIFIER.
    Oid(Oid),
    /// IpAddress.
    IpAddress([u8; 4]),
    /// Counter32.
    Counter32(u32),
    /// Gauge32, Unsigned32.
    Gauge32(u32),
    /// TimeTicks, hundredths of a second.
    TimeTicks(u32),
    /// Counter64.
    Counter64(u64),
    /// There is no such object.
    NoSuchObject,
    /// There is such an object, but not this one of it.
    NoSuchInstance,
    /// Nothing follows.
    EndOfMibView,
}

/// An object and its value.
pub type Binding = (Oid, Value);

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Kind of the packet.
    pub kind: u8,
    /// Session.
    pub session: u32,
    /// Transaction.
    pub transaction: u32,
    /// Packet; an answer has its request's.
    pub packet: u32,
    /// Bytes that follow.
    pub length: u32,
    flags: u8,
}

/// From `start` to before `end`; an empty end is no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Start.
    pub start: Oid,
    /// The start itself counts.
    pub include: bool,
    /// End.
    pub end: Oid,
}

/// What the master agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The session is over.
    Close,
    /// The values of these objects.
    Get(Vec<Range>),
    /// The object after each of these.
    GetNext(Vec<Range>),
    /// The objects after these.
    GetBulk {
        /// For so many ranges: one object.
        non_repeaters: usize,
        /// For the others: so many.
        repetitions: usize,
        /// Ranges.
        ranges: Vec<Range>,
    },
    /// May these be set.
    TestSet,
    /// A step of a set that has not been allowed.
    CommitSet,
    /// The same.
    UndoSet,
    /// The same; it wants no answer.
    CleanupSet,
    /// Answer to what we said.
    Response {
        /// 0, or what is wrong.
        error: u16,
        /// `sysUpTime` of the master agent, hundredths of a second.
        uptime: u32,
    },
    /// A request in another context than the default one.
    OtherContext,
    /// A packet that a subagent never hears.
    Other,
}

/// What a subagent says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said<'a> {
    /// Opens a session: who we are.
    Open(&'a str),
    /// Ends it.
    Close,
    /// We answer for this subtree.
    Register(&'a [u32]),
    /// A notification.
    Notify(&'a [Binding]),
    /// Are you there.
    Ping,
    /// Answer to a request.
    Response {
        /// 0, or what is wrong.
        error: u16,
        /// Number of the binding that is wrong, from 1.
        index: u16,
        /// Values.
        bindings: &'a [Binding],
    },
}

/// A packet that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Version of AgentX.
    Version(u8),
    /// Longer than [`LARGEST`], or not a multiple of four.
    Length(u32),
    /// It ends early, or an object identifier in it is too long.
    Payload(u8),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Version(version) => write!(f, "it speaks version {version} of AgentX, not 1"),
            Malformed::Length(length) => write!(f, "it sent a packet of {length} bytes"),
            Malformed::Payload(kind) => write!(f, "it sent a malformed packet of kind {kind}"),
        }
    }
}

impl std::error::Error for Malformed {}

mod kind {
    pub const OPEN: u8 = 1;
    pub const CLOSE: u8 = 2;
    pub const REGISTER: u8 = 3;
    pub const GET: u8 = 5;
    pub const GET_NEXT: u8 = 6;
    pub const GET_BULK: u8 = 7;
    pub const TEST_SET: u8 = 8;
    pub const COMMIT_SET: u8 = 9;
    pub const UNDO_SET: u8 = 10;
    pub const CLEANUP_SET: u8 = 11;
    pub const NOTIFY: u8 = 12;
    pub const PING: u8 = 13;
    pub const RESPONSE: u8 = 18;
}

impl Header {
    /// Reads a header.
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Header, Malformed> {
        let [version, kind, flags, ..] = *bytes;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let mut reader = Reader {
            bytes: &bytes[4..],
            big: flags & NETWORK_BYTE_ORDER != 0,
        };
        let mut next = || reader.u32().unwrap_or_default();
        let header = Header {
            kind,
            flags,
            session: next(),
            transaction: next(),
            packet: next(),
            length: next(),
        };
        if header.length > LARGEST || !header.length.is_multiple_of(4) {
            return Err(Malformed::Length(header.length));
        }
        Ok(header)
    }

    /// Reads what follows this header.
    pub fn payload(&self, bytes: &[u8]) -> Result<Heard, Malformed> {
        let reader = Reader {
            bytes,
            big: self.flags & NETWORK_BYTE_ORDER != 0,
        };
        self.body(reader).ok_or(Malformed::Payload(self.kind))
    }

    fn body(&self, mut reader: Reader<'_>) -> Option<Heard> {
        let of_context = matches!(
            self.kind,
            kind::GET | kind::GET_NEXT | kind::GET_BULK | kind::TEST_SET
        );
        if of_context && self.flags & NON_DEFAULT_CONTEXT != 0 {
            return Some(Heard::OtherContext);
        }
        Some(match self.kind {
            kind::CLOSE => Heard::Close,
            kind::GET => Heard::Get(reader.ranges()?),
            kind::GET_NEXT => Heard::GetNext(reader.ranges()?),
            kind::GET_BULK => {
                let (non_repeaters, repetitions) = (reader.u16()?, reader.u16()?);
                Heard::GetBulk {
                    non_repeaters: non_repeaters.into(),
                    repetitions: repetitions.into(),
                    ranges: reader.ranges()?,
                }
            }
            kind::TEST_SET => Heard::TestSet,
            kind::COMMIT_SET => Heard::CommitSet,
            kind::UNDO_SET => Heard::UndoSet,
            kind::CLEANUP_SET => Heard::CleanupSet,
            kind::RESPONSE => {
                let uptime = reader.u32()?;
                let error = reader.u16()?;
                Heard::Response { error, uptime }
            }
            _ => Heard::Other,
        })
    }
}

/// A whole packet. `session`, `transaction` and `packet` go into its header.
pub fn emit(said: Said<'_>, session: u32, transaction: u32, packet: u32) -> Vec<u8> {
    let mut writer = Writer(vec![VERSION, 0, NETWORK_BYTE_ORDER, 0]);
    for number in [session, transaction, packet, 0] {
        writer.u32(number);
    }
    let kind = match said {
        Said::Open(description) => {
            // Timeout: the master's own.
            writer.u32(0);
            writer.oid(&[]);
            writer.octets(description.as_bytes());
            kind::OPEN
        }
        Said::Close => {
            writer.0.extend([REASON_SHUTDOWN, 0, 0, 0]);
            kind::CLOSE
        }
        Said::Register(subtree) => {
            // Timeout, priority (127 is the usual one), no range.
            writer.0.extend([0, 127, 0, 0]);
            writer.oid(subtree);
            kind::REGISTER
        }
        Said::Notify(bindings) => {
            writer.bindings(bindings);
            kind::NOTIFY
        }
        Said::Ping => kind::PING,
        Said::Response {
            error,
            index,
            bindings,
        } => {
            // sysUpTime: the master's.
            writer.u32(0);
            writer.u16(error);
            writer.u16(index);
            writer.bindings(bindings);
            kind::RESPONSE
        }
    };
    let mut bytes = writer.0;
    let length = u32::try_from(bytes.len() - HEADER).unwrap_or(u32::MAX);
    bytes[1] = kind;
    bytes[16..HEADER].copy_from_slice(&length.to_be_bytes());
    bytes
}

struct Reader<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl Reader<'_> {
    fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (&first, rest) = self.bytes.split_first_chunk::<2>()?;
        self.bytes = rest;
        Some(match self.big {
            true => u16::from_be_bytes(first),
            false => u16::from_le_bytes(first),
        })
    }

    fn u32(&mut self) -> Option<u32> {
        let (&first, rest) = self.bytes.split_first_chunk::<4>()?;
        self.bytes = rest;
        Some(match self.big {
            true => u32::from_be_bytes(first),
            false => u32::from_le_bytes(first),
        })
    }

    /// An object identifier, and its `include`.
    fn oid(&mut self) -> Option<(Oid, bool)> {
        let (count, prefix, include, _) = (self.u8()?, self.u8()?, self.u8()?, self.u8()?);
        let count = usize::from(count);
        if count > LONGEST {
            return None;
        }
        let mut oid = Vec::with_capacity(count + 5);
        if prefix != 0 {
            oid.extend(INTERNET);
            oid.push(prefix.into());
        }
        for _ in 0..count {
            oid.push(self.u32()?);
        }
        Some((oid, include != 0))
    }

    fn ranges(&mut self) -> Option<Vec<Range>> {
        let mut ranges = Vec::new();
        while !self.bytes.is_empty() {
            let (start, include) = self.oid()?;
            let (end, _) = self.oid()?;
            ranges.push(Range { start, include, end });
        }
        Some(ranges)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, number: u16) {
        self.0.extend(number.to_be_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_be_bytes());
    }

    fn oid(&mut self, oid: &[u32]) {
        let (prefix, rest) = match oid.strip_prefix(&INTERNET) {
            Some([first, rest @ ..]) if (1..256).contains(first) => (*first, rest),
            _ => (0, oid),
        };
        let rest = &rest[..rest.len().min(LONGEST)];
        self.0.extend([
            u8::try_from(rest.len()).unwrap_or_default(),
            u8::try_from(prefix).unwrap_or_default(),
            0,
            0,
        ]);
        for number in rest {
            self.u32(*number);
        }
    }

    fn octets(&mut self, octets: &[u8]) {
        self.u32(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        self.0.extend(octets);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn bindings(&mut self, bindings: &[Binding]) {
        for (name, value) in bindings {
            self.u16(value.tag());
            self.u16(0);
            self.oid(name);
            match value {
                Value::Integer(number) => self.0.extend(number.to_be_bytes()),
                Value::Octets(octets) => self.octets(octets),
                Value::Oid(oid) => self.oid(oid),
                Value::IpAddress(address) => self.octets(address),
                Value::Counter32(number) | Value::Gauge32(number) | Value::TimeTicks(number) => {
                    self.u32(*number);
                }
                Value::Counter64(number) => self.0.extend(number.to_be_bytes()),
                Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {}
            }
        }
    }
}

impl Value {
    /// Number of its type (RFC 2741, 5.4).
    fn tag(&self) -> u16 {
        match self {
            Value::Integer(_) => 2,
            Value::Octets(_) => 4,
            Value::Oid(_) => 6,
            Value::IpAddress(_) => 64,
            Value::Counter32(_) => 65,
            Value::Gauge32(_) => 66,
            Value::TimeTicks(_) => 67,
            Value::Counter64(_) => 70,
            Value::NoSuchObject => 128,
            Value::NoSuchInstance => 129,
            Value::EndOfMibView => 130,
        }
    }

    /// An OCTET STRING of text.
    pub fn text(text: &str) -> Value {
        Value::Octets(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<(Header, Heard), Malformed> {
        let (head, payload) = bytes.split_first_chunk().unwrap();
        let header = Header::parse(head)?;
        Ok((header, header.payload(payload)?))
    }

    /// RFC 2741, 5.1: the identifier 1.3.6.1.2.3 with its prefix, and the empty one.
    #[test]
    fn object_identifiers_are_written_as_the_rfc_shows() {
        let mut writer = Writer(Vec::new());
        writer.oid(&[1, 3, 6, 1, 2, 1, 1, 1, 0]);
        assert_eq!(
            writer.0,
            [4, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]
        );
        let mut writer = Writer(Vec::new());
        writer.oid(&[1, 2, 3, 4]);
        assert_eq!(writer.0[..8], [4, 0, 0, 0, 0, 0, 0, 1]);
        let mut writer = Writer(Vec::new());
        writer.oid(&[]);
        assert_eq!(writer.0, [0, 0, 0, 0]);
    }

    #[test]
    fn an_open_packet() {
        let bytes = emit(Said::Open("abcde"), 0, 0, 7);
        assert_eq!(
            bytes,
            [
                1, 1, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 20, // header
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, b'a', b'b', b'c', b'd', b'e', 0, 0, 0,
            ]
        );
    }

    #[test]
    fn requests_are_read_in_both_byte_orders() {
        let little = [
            1, 6, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 28, 0, 0, 0, // header
            2, 4, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, // start, included
            3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0, // end
        ];
        let range = Range {
            start: vec![1, 3, 6, 1, 4, 1, 256],
            include: true,
            end: vec![1, 3, 6],
        };
        let (header, heard) = parse(&little).unwrap();
        assert_eq!((header.session, header.transaction, header.packet), (9, 8, 7));
        assert_eq!(heard, Heard::GetNext(vec![range.clone()]));
        let big = [
            1, 7, 16, 0, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 32, // header
            0, 1, 0, 10, // non-repeaters, repetitions
            2, 4, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 6,
        ];
        let (_, heard) = parse(&big).unwrap();
        assert_eq!(
            heard,
            Heard::GetBulk {
                non_repeaters: 1,
                repetitions: 10,
                ranges: vec![range]
            }
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut bytes = emit(Said::Ping, 1, 2, 3);
        assert_eq!(parse(&bytes).unwrap().1, Heard::Other);
        bytes[0] = 2;
        assert_eq!(parse(&bytes).unwrap_err(), Malformed::Version(2));
        bytes[0] = 1;
        bytes[19] = 3;
        assert_eq!(parse(&bytes).unwrap_err(), Malformed::Length(3));
        bytes[16] = 1;
        bytes[19] = 0;
        assert_eq!(parse(&bytes).unwrap_err(), Malformed::Length(1 << 24));
        let mut response = emit(
            Said::Response {
                error: 263,
                index: 0,
                bindings: &[],
            },
            1,
            2,
            3,
        );
        assert_eq!(
            parse(&response).unwrap().1,
            Heard::Response {
                error: 263,
                uptime: 0
            }
        );
        response.truncate(HEADER + 4);
        assert_eq!(parse(&response).unwrap_err(), Malformed::Payload(18));
    }

    /// Whatever comes is read or refused; nothing panics and nothing large is allocated for a small packet.
    #[test]
    fn random_bytes() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut read = 0;
        for round in 0..200_000 {
            let length = HEADER + usize::try_from(random() % 120).unwrap();
            let mut bytes: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[0]).collect();
            bytes[0] = 1;
            bytes[1] %= 20;
            if round % 2 == 0 {
                // Small numbers get further.
                bytes[HEADER..].iter_mut().for_each(|byte| *byte %= 5);
                bytes[16..20].fill(0);
            }
            let (head, payload) = bytes.split_first_chunk().unwrap();
            if let Ok(header) = Header::parse(head)
                && header.payload(payload).is_ok()
            {
                read += 1;
            }
        }
        assert!(read > 1000, "{read}");
    }
}
