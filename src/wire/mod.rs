//! Bytes and packets. A borrowed view gives the fields of a packet at their named places; an owned `Repr` is
//! what a packet says, with `parse` and `emit`. Nothing here panics on any input.

pub mod agentx;
pub mod ah;
pub mod arp;
pub mod auth;
pub mod bfd;
pub mod checksum;
pub mod dns;
pub mod ipv4;
pub mod ndp;
pub mod process_event;
pub mod trailer;
pub mod vrrp;

/// IP protocol number of VRRP.
pub const PROTOCOL_VRRP: u8 = 112;
/// IP protocol number of the IPsec authentication header.
pub const PROTOCOL_AH: u8 = 51;
/// IP protocol number of ICMPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;

/// Why bytes are not the packet that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The packet ends before its fixed part does.
    #[error("packet of {got} bytes, at least {want} are needed")]
    Truncated {
        /// Bytes there are.
        got: usize,
        /// Bytes needed.
        want: usize,
    },
    /// A field has a value that this packet cannot have.
    #[error("{field} is {got}")]
    Field {
        /// Which.
        field: &'static str,
        /// Its value.
        got: u32,
    },
}

/// Two bytes at `at`, or `None` past the end.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let b = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([b[0], b[1]]))
}
