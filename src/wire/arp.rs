//! Gratuitous ARP (RFC 826, RFC 5227 3) as keepalived sends it: a request for the address itself, with the
//! hardware broadcast address as target.

use super::{Error, be16};
use std::net::Ipv4Addr;

/// EtherType of ARP.
pub const ETHERTYPE: u16 = 0x0806;
/// Opcode of a request.
pub const REQUEST: u16 = 1;
/// Opcode of a reply.
pub const REPLY: u16 = 2;

/// Places of the fields, with hardware addresses of six bytes.
pub mod field {
    use std::ops::Range;
    /// Hardware type.
    pub const HARDWARE: Range<usize> = 0..2;
    /// Protocol type.
    pub const PROTOCOL: Range<usize> = 2..4;
    /// Length of a hardware address.
    pub const HARDWARE_LENGTH: usize = 4;
    /// Length of a protocol address.
    pub const PROTOCOL_LENGTH: usize = 5;
    /// Opcode.
    pub const OPERATION: Range<usize> = 6..8;
    /// First byte of the four addresses.
    pub const ADDRESSES: usize = 8;
}

/// What an ARP packet for IPv4 says, without its link-layer header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repr {
    /// `ARPHRD_*`: 1 is Ethernet.
    pub hardware: u16,
    /// Opcode.
    pub operation: u16,
    /// Sender's hardware address.
    pub sender_mac: Vec<u8>,
    /// Sender's address.
    pub sender: Ipv4Addr,
    /// Target's hardware address.
    pub target_mac: Vec<u8>,
    /// Target's address.
    pub target: Ipv4Addr,
}

impl Repr {
    /// The gratuitous ARP for `address` from an interface with these hardware addresses.
    pub fn gratuitous(hardware: u16, mac: &[u8], broadcast: &[u8], address: Ipv4Addr) -> Repr {
        let mut target_mac = broadcast.to_vec();
        target_mac.resize(mac.len(), 0xff);
        Repr {
            hardware,
            operation: REQUEST,
            sender_mac: mac.to_vec(),
            sender: address,
            target_mac,
            target: address,
        }
    }

    /// Reads a packet; hardware addresses may have any length.
    pub fn parse(packet: &[u8]) -> Result<Repr, Error> {
        let want = |want: usize| Error::Truncated {
            got: packet.len(),
            want,
        };
        if packet.len() < field::ADDRESSES {
            return Err(want(field::ADDRESSES));
        }
        if packet[field::PROTOCOL_LENGTH] != 4 {
            return Err(Error::Field {
                field: "ARP protocol length",
                got: u32::from(packet[field::PROTOCOL_LENGTH]),
            });
        }
        let length = usize::from(packet[field::HARDWARE_LENGTH]);
        let end = field::ADDRESSES + 2 * (length + 4);
        let rest = packet.get(field::ADDRESSES..end).ok_or_else(|| want(end))?;
        let (first, second) = rest.split_at(length + 4);
        let address =
            |half: &[u8]| Ipv4Addr::new(half[length], half[length + 1], half[length + 2], half[length + 3]);
        Ok(Repr {
            hardware: be16(packet, field::HARDWARE.start).unwrap_or(0),
            operation: be16(packet, field::OPERATION.start).unwrap_or(0),
            sender_mac: first[..length].to_vec(),
            sender: address(first),
            target_mac: second[..length].to_vec(),
            target: address(second),
        })
    }

    /// Appends the packet.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hardware.to_be_bytes());
        out.extend_from_slice(&0x0800u16.to_be_bytes());
        out.extend_from_slice(&[self.sender_mac.len() as u8, 4]);
        out.extend_from_slice(&self.operation.to_be_bytes());
        out.extend_from_slice(&self.sender_mac);
        out.extend_from_slice(&self.sender.octets());
        out.extend_from_slice(&self.target_mac);
        out.extend_from_slice(&self.target.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gratuitous_arp_from_the_wire() {
        // keepalived on 02:00:00:00:01:00 for 192.0.2.100, after the Ethernet header.
        let bytes = [
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0xc0, 0x00,
            0x02, 0x64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0, 0x00, 0x02, 0x64,
        ];
        let repr = Repr::gratuitous(1, &[2, 0, 0, 0, 1, 0], &[0xff; 6], Ipv4Addr::new(192, 0, 2, 100));
        let mut out = Vec::new();
        repr.emit(&mut out);
        assert_eq!(out, bytes);
        assert_eq!(Repr::parse(&bytes), Ok(repr));
        for end in 0..bytes.len() {
            assert!(Repr::parse(&bytes[..end]).is_err());
        }
    }
}
