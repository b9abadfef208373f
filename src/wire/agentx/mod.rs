//! AgentX (RFC 2741): what a subagent and its master agent say to each other. Both byte orders are read; ours is
//! the network's.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use write::emit;

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

impl Value {
    /// An OCTET STRING of text.
    pub fn text(text: &str) -> Value {
        Value::Octets(text.as_bytes().to_vec())
    }
}
