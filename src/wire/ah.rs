//! The IPsec authentication header in front of a VRRPv2 advert (`auth_type AH`), as keepalived makes it: RFC 2402
//! with HMAC-MD5-96 (RFC 2403), and the source address in the place of the SPI.
//!
//! ```text
//!  0      1      2      4         8          12                24
//!  | next | size | 0    | source  | sequence | HMAC-MD5, 96 bits |
//! ```
//!
//! The code covers the IP header, with what changes on the way as zero, this header with a code of zero, and the
//! message. The TTL counts as changing between unicast peers only.

use super::{PROTOCOL_AH, PROTOCOL_VRRP, ipv4};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use std::net::Ipv4Addr;
use subtle::ConstantTimeEq;

/// Length of the header.
pub const LENGTH: usize = 24;
/// Length of the code.
const CODE: usize = 12;
/// Where the code begins.
const CODE_AT: usize = LENGTH - CODE;
/// Length of the header in words of four bytes, less two.
const SIZE: u8 = (LENGTH / 4 - 2) as u8;

/// What the code covers of the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outer {
    /// Total length.
    pub total_length: u16,
    /// Identification, which is not to be changed after signing.
    pub identification: u16,
    /// TTL; `None` between unicast peers.
    pub ttl: Option<u8>,
    /// Source.
    pub source: Ipv4Addr,
    /// Destination.
    pub destination: Ipv4Addr,
}

/// The header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Protocol of what follows.
    pub next: u8,
    /// Security parameters index: the source address.
    pub spi: u32,
    /// Sequence number.
    pub sequence: u32,
    reserved: [u8; 3],
    code: [u8; CODE],
}

impl Header {
    /// Splits a packet into header and message; `None` when it is too short.
    pub fn parse(packet: &[u8]) -> Option<(Header, &[u8])> {
        let (header, message) = packet.split_first_chunk::<LENGTH>()?;
        let [next, a, b, c, rest @ ..] = header;
        let (spi, rest) = rest.split_first_chunk()?;
        let (sequence, code) = rest.split_first_chunk()?;
        let header = Header {
            next: *next,
            spi: u32::from_be_bytes(*spi),
            sequence: u32::from_be_bytes(*sequence),
            reserved: [*a, *b, *c],
            code: *code.first_chunk()?,
        };
        Some((header, message))
    }

    /// Makes the header of `message`.
    pub fn sign(key: &[u8], outer: &Outer, sequence: u32, message: &[u8]) -> Header {
        let mut header = Header {
            next: PROTOCOL_VRRP,
            spi: u32::from(outer.source),
            sequence,
            reserved: [SIZE, 0, 0],
            code: [0; CODE],
        };
        header.code = header.expected(key, outer, message).unwrap_or_default();
        header
    }

    /// Whether it was made with this key for this packet. Takes the same time whatever differs.
    pub fn verify(&self, key: &[u8], outer: &Outer, message: &[u8]) -> bool {
        self.expected(key, outer, message)
            .is_some_and(|code| code.ct_eq(&self.code).into())
    }

    /// As it is sent.
    pub fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..CODE_AT].copy_from_slice(&self.head());
        bytes[CODE_AT..].copy_from_slice(&self.code);
        bytes
    }

    fn head(&self) -> [u8; CODE_AT] {
        let [a, b, c] = self.reserved;
        let mut head = [self.next, a, b, c, 0, 0, 0, 0, 0, 0, 0, 0];
        head[4..8].copy_from_slice(&self.spi.to_be_bytes());
        head[8..].copy_from_slice(&self.sequence.to_be_bytes());
        head
    }

    fn expected(&self, key: &[u8], outer: &Outer, message: &[u8]) -> Option<[u8; CODE]> {
        let mut ip = [0; ipv4::LENGTH];
        // Type of service, flags, fragment and checksum stay zero.
        ip[ipv4::field::VERSION_IHL] = 0x45;
        ip[ipv4::field::TOTAL_LENGTH].copy_from_slice(&outer.total_length.to_be_bytes());
        ip[ipv4::field::ID].copy_from_slice(&outer.identification.to_be_bytes());
        ip[ipv4::field::TTL] = outer.ttl.unwrap_or(0);
        ip[ipv4::field::PROTOCOL] = PROTOCOL_AH;
        ip[ipv4::field::SOURCE].copy_from_slice(&outer.source.octets());
        ip[ipv4::field::DESTINATION].copy_from_slice(&outer.destination.octets());
        let mut mac = Hmac::<Md5>::new_from_slice(key).ok()?;
        mac.update(&ip);
        mac.update(&self.head());
        mac.update(&[0; CODE]);
        mac.update(message);
        mac.finalize().into_bytes().first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    /// keepalived's second advert with the password `ahsecret`: what follows the IP header.
    const RECORDED: &str = "70040000c0000201000000027689bbbdc15331156ea861e1\
                            21339601020184 65c0000264 0000000000000000";
    const OUTER: Outer = Outer {
        total_length: 64,
        identification: 2,
        ttl: Some(255),
        source: Ipv4Addr::new(192, 0, 2, 1),
        destination: Ipv4Addr::new(224, 0, 0, 18),
    };

    fn recorded() -> Vec<u8> {
        bytes(&RECORDED.replace(' ', ""))
    }

    #[test]
    fn it_is_what_keepalived_sends() {
        let packet = recorded();
        let (header, message) = Header::parse(&packet).unwrap();
        assert_eq!((header.next, header.sequence), (PROTOCOL_VRRP, 2));
        assert_eq!(Ipv4Addr::from(header.spi), OUTER.source);
        assert_eq!(message.len(), 20);
        assert!(header.verify(b"ahsecret", &OUTER, message));
        assert_eq!(Header::sign(b"ahsecret", &OUTER, 2, message), header);
        assert_eq!(header.bytes().as_slice(), &packet[..LENGTH]);
    }

    #[test]
    fn each_bit_counts() {
        let packet = recorded();
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            let (header, message) = Header::parse(&changed).unwrap();
            assert!(!header.verify(b"ahsecret", &OUTER, message), "byte {at}");
        }
        let (header, message) = Header::parse(&packet).unwrap();
        assert!(!header.verify(b"ahsecreT", &OUTER, message));
        let others = [
            Outer {
                total_length: 65,
                ..OUTER
            },
            Outer {
                identification: 3,
                ..OUTER
            },
            Outer { ttl: None, ..OUTER },
            Outer {
                source: Ipv4Addr::new(192, 0, 2, 2),
                ..OUTER
            },
            Outer {
                destination: Ipv4Addr::new(192, 0, 2, 2),
                ..OUTER
            },
        ];
        for other in others {
            assert!(!header.verify(b"ahsecret", &other, message), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_looked_at(packet in prop::collection::vec(any::<u8>(), 0..60)) {
            match Header::parse(&packet) {
                Some((header, message)) => {
                    prop_assert_eq!([&header.bytes(), message].concat(), packet.as_slice());
                    prop_assert!(!header.verify(b"ahsecret", &OUTER, message));
                }
                None => prop_assert!(packet.len() < LENGTH),
            }
        }
    }
}
