//! The IPv4 header in front of an advert, as keepalived writes it (IP_HDRINCL).

use super::checksum::Sum;
use super::{Error, be16};
use std::net::Ipv4Addr;

/// Length of a header without options.
pub const LENGTH: usize = 20;

/// Places of the fields.
pub mod field {
    use std::ops::Range;
    /// Version and header length in words.
    pub const VERSION_IHL: usize = 0;
    /// Type of service.
    pub const TOS: usize = 1;
    /// Total length.
    pub const TOTAL_LENGTH: Range<usize> = 2..4;
    /// Identification.
    pub const ID: Range<usize> = 4..6;
    /// Flags and fragment offset.
    pub const FRAGMENT: Range<usize> = 6..8;
    /// Time to live.
    pub const TTL: usize = 8;
    /// Protocol.
    pub const PROTOCOL: usize = 9;
    /// Header checksum.
    pub const CHECKSUM: Range<usize> = 10..12;
    /// Source address.
    pub const SOURCE: Range<usize> = 12..16;
    /// Destination address.
    pub const DESTINATION: Range<usize> = 16..20;
}

/// Type of service of adverts: internetwork control.
pub const TOS_INTERNETWORK_CONTROL: u8 = 0xc0;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    /// Header length in bytes, 20 to 60.
    pub header_length: usize,
    /// Total length in bytes.
    pub total_length: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol.
    pub protocol: u8,
    /// Source.
    pub source: Ipv4Addr,
    /// Destination.
    pub destination: Ipv4Addr,
}

impl Repr {
    /// Reads the header at the front of `packet`. The checksum is the kernel's business.
    pub fn parse(packet: &[u8]) -> Result<Repr, Error> {
        if packet.len() < LENGTH {
            return Err(Error::Truncated {
                got: packet.len(),
                want: LENGTH,
            });
        }
        if packet[field::VERSION_IHL] >> 4 != 4 {
            return Err(Error::Field {
                field: "IP version",
                got: u32::from(packet[field::VERSION_IHL] >> 4),
            });
        }
        let header_length = usize::from(packet[field::VERSION_IHL] & 0xf) * 4;
        if header_length < LENGTH {
            return Err(Error::Field {
                field: "IP header length",
                got: header_length as u32,
            });
        }
        if packet.len() < header_length {
            return Err(Error::Truncated {
                got: packet.len(),
                want: header_length,
            });
        }
        let address = |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
        Ok(Repr {
            header_length,
            total_length: be16(packet, field::TOTAL_LENGTH.start).unwrap_or(0),
            ttl: packet[field::TTL],
            protocol: packet[field::PROTOCOL],
            source: address(field::SOURCE.start),
            destination: address(field::DESTINATION.start),
        })
    }

    /// Appends a header without options: TOS 0xc0, identification 0, not fragmented, with its checksum (the
    /// kernel fills in both again).
    pub fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0x45, TOS_INTERNETWORK_CONTROL]);
        out.extend_from_slice(&self.total_length.to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, self.ttl, self.protocol, 0, 0]);
        out.extend_from_slice(&self.source.octets());
        out.extend_from_slice(&self.destination.octets());
        let checksum = Sum::new().bytes(&out[start..]).finish();
        out[start + field::CHECKSUM.start..start + field::CHECKSUM.end]
            .copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 192.0.2.1 > 224.0.0.18, protocol 112, 40 bytes.
    const HEADER: [u8; 20] = [
        0x45, 0xc0, 0x00, 0x28, 0x00, 0x00, 0x00, 0x00, 0xff, 0x70, 0x18, 0x92, 0xc0, 0x00, 0x02, 0x01, 0xe0,
        0x00, 0x00, 0x12,
    ];

    fn repr() -> Repr {
        Repr {
            header_length: 20,
            total_length: 40,
            ttl: 255,
            protocol: 112,
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(224, 0, 0, 18),
        }
    }

    #[test]
    fn emit_and_parse() {
        let mut out = Vec::new();
        repr().emit(&mut out);
        assert_eq!(out, HEADER);
        assert_eq!(Repr::parse(&out), Ok(repr()));
    }

    #[test]
    fn refuses_what_is_no_header() {
        assert_eq!(
            Repr::parse(&HEADER[..19]),
            Err(Error::Truncated { got: 19, want: 20 })
        );
        let mut short = HEADER;
        short[0] = 0x44;
        assert!(Repr::parse(&short).is_err());
        short[0] = 0x4f;
        assert_eq!(Repr::parse(&short), Err(Error::Truncated { got: 20, want: 60 }));
        short[0] = 0x65;
        assert!(Repr::parse(&short).is_err());
    }
}
