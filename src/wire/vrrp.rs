//! The VRRP advertisement: RFC 3768 5.1 (version 2), RFC 9568 5.1 (version 3).

use super::checksum::{Sum, pseudo};
use super::{Error, PROTOCOL_VRRP, auth, be16};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of the part before the addresses.
pub const HEADER: usize = 8;
/// The only type there is.
pub const TYPE_ADVERTISEMENT: u8 = 1;
/// Priority of a master that gives up.
pub const PRIORITY_STOP: u8 = 0;
/// Priority of the address owner.
pub const PRIORITY_OWNER: u8 = 255;
/// Largest interval of version 3, in centiseconds: 12 bits.
pub const MAX_CENTISECONDS: u16 = 0xfff;

/// Places of the fields.
pub mod field {
    use std::ops::{Range, RangeFrom};
    /// Version (upper half) and type.
    pub const VERSION_TYPE: usize = 0;
    /// Virtual router id.
    pub const VRID: usize = 1;
    /// Priority.
    pub const PRIORITY: usize = 2;
    /// Number of addresses.
    pub const COUNT: usize = 3;
    /// Version 2: authentication type.
    pub const AUTH_TYPE: usize = 4;
    /// Version 2: interval in seconds.
    pub const INTERVAL_SECONDS: usize = 5;
    /// Version 3: four reserved bits, then the interval in centiseconds.
    pub const INTERVAL_CENTISECONDS: Range<usize> = 4..6;
    /// Checksum.
    pub const CHECKSUM: Range<usize> = 6..8;
    /// Addresses, then version 2's authentication data.
    pub const ADDRESSES: RangeFrom<usize> = 8..;
}

/// A message, looked at where it lies. Its fixed part is there; nothing else has been checked.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// A view of `bytes`, which begin after the IP header.
    pub fn new(bytes: &'a [u8]) -> Result<Packet<'a>, Error> {
        if bytes.len() < HEADER {
            return Err(Error::Truncated {
                got: bytes.len(),
                want: HEADER,
            });
        }
        Ok(Packet(bytes))
    }

    /// All of it.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Version, 0 to 15.
    pub fn version(self) -> u8 {
        self.0[field::VERSION_TYPE] >> 4
    }

    /// Type, 0 to 15.
    pub fn kind(self) -> u8 {
        self.0[field::VERSION_TYPE] & 0xf
    }

    /// Virtual router id.
    pub fn vrid(self) -> u8 {
        self.0[field::VRID]
    }

    /// Priority.
    pub fn priority(self) -> u8 {
        self.0[field::PRIORITY]
    }

    /// Number of addresses that the header promises.
    pub fn count(self) -> usize {
        usize::from(self.0[field::COUNT])
    }

    /// Version 2: authentication type.
    pub fn auth_type(self) -> u8 {
        self.0[field::AUTH_TYPE]
    }

    /// Version 2: interval in seconds.
    pub fn seconds(self) -> u8 {
        self.0[field::INTERVAL_SECONDS]
    }

    /// Version 3: interval in centiseconds.
    pub fn centiseconds(self) -> u16 {
        be16(self.0, field::INTERVAL_CENTISECONDS.start).unwrap_or(0) & MAX_CENTISECONDS
    }

    /// Checksum.
    pub fn checksum(self) -> u16 {
        be16(self.0, field::CHECKSUM.start).unwrap_or(0)
    }

    /// The addresses, of the family that says `ipv6`; as many as the header promises and the bytes hold.
    pub fn addresses(self, ipv6: bool) -> impl Iterator<Item = IpAddr> + 'a {
        let size = if ipv6 { 16 } else { 4 };
        self.0[HEADER..]
            .chunks_exact(size)
            .take(self.count())
            .filter_map(move |chunk| {
                if let Ok(octets) = <[u8; 16]>::try_from(chunk) {
                    return Some(IpAddr::V6(Ipv6Addr::from(octets)));
                }
                <[u8; 4]>::try_from(chunk)
                    .ok()
                    .map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
            })
    }

    /// Version 2 over IPv4: the last eight bytes.
    pub fn auth_data(self) -> &'a [u8] {
        &self.0[self.0.len().saturating_sub(auth::LENGTH).max(HEADER)..]
    }

    /// Whether the checksum is right. Version 3 and all of IPv6 have a pseudo header, version 2 over IPv4 none;
    /// `without_pseudo` (keyword `v3_checksum_as_v2`) leaves it out in version 3 too.
    pub fn checksum_ok(self, source: IpAddr, destination: IpAddr, without_pseudo: bool) -> bool {
        let sum = if without_pseudo || (self.version() == 2 && source.is_ipv4()) {
            Some(Sum::new())
        } else {
            pseudo(source, destination, PROTOCOL_VRRP, self.0.len())
        };
        sum.is_some_and(|sum| sum.bytes(self.0).finish() == 0)
    }

    /// How long a message with this header must be: addresses, and in version 2 over IPv4 the
    /// authentication data.
    pub fn expected_length(self, ipv6: bool) -> usize {
        let auth = if self.version() == 2 && !ipv6 {
            auth::LENGTH
        } else {
            0
        };
        HEADER + self.count() * if ipv6 { 16 } else { 4 } + auth
    }
}

/// Interval in the unit of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Version 2.
    Seconds(u8),
    /// Version 3.
    Centiseconds(u16),
}

/// What an advertisement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repr {
    /// Interval, and with it the version.
    pub interval: Interval,
    /// Virtual router id.
    pub vrid: u8,
    /// Priority; 0 gives up, 255 is the address owner.
    pub priority: u8,
    /// Addresses, all of one family; at most 255.
    pub addresses: Vec<IpAddr>,
    /// Version 2: authentication type.
    pub auth_type: u8,
    /// Version 2 over IPv4: authentication data.
    pub auth_data: [u8; auth::LENGTH],
}

impl Repr {
    /// Version 2 or 3.
    pub fn version(&self) -> u8 {
        match self.interval {
            Interval::Seconds(_) => 2,
            Interval::Centiseconds(_) => 3,
        }
    }

    /// Reads a message whose length is right. The checksum is looked at by [`Packet::checksum_ok`].
    pub fn parse(bytes: &[u8], ipv6: bool) -> Result<Repr, Error> {
        let packet = Packet::new(bytes)?;
        let interval = match packet.version() {
            2 => Interval::Seconds(packet.seconds()),
            3 => Interval::Centiseconds(packet.centiseconds()),
            other => {
                return Err(Error::Field {
                    field: "VRRP version",
                    got: u32::from(other),
                });
            }
        };
        if packet.kind() != TYPE_ADVERTISEMENT {
            return Err(Error::Field {
                field: "VRRP type",
                got: u32::from(packet.kind()),
            });
        }
        let want = packet.expected_length(ipv6);
        if bytes.len() != want {
            return Err(Error::Truncated {
                got: bytes.len(),
                want,
            });
        }
        let mut auth_data = [0; auth::LENGTH];
        if packet.version() == 2 && !ipv6 {
            auth_data.copy_from_slice(packet.auth_data());
        }
        Ok(Repr {
            interval,
            vrid: packet.vrid(),
            priority: packet.priority(),
            addresses: packet.addresses(ipv6).collect(),
            auth_type: if packet.version() == 2 {
                packet.auth_type()
            } else {
                auth::TYPE_NONE
            },
            auth_data,
        })
    }

    /// Appends the message. `pseudo_header`: source and destination of the pseudo header, `None` for a checksum
    /// over the message alone.
    pub fn emit(&self, ipv6: bool, pseudo_header: Option<(IpAddr, IpAddr)>, out: &mut Vec<u8>) {
        let start = out.len();
        let addresses = self.addresses.iter().take(255);
        out.extend_from_slice(&[
            self.version() << 4 | TYPE_ADVERTISEMENT,
            self.vrid,
            self.priority,
            addresses.len() as u8,
        ]);
        match self.interval {
            Interval::Seconds(seconds) => out.extend_from_slice(&[self.auth_type, seconds]),
            Interval::Centiseconds(centiseconds) => {
                out.extend_from_slice(&centiseconds.min(MAX_CENTISECONDS).to_be_bytes());
            }
        }
        out.extend_from_slice(&[0, 0]);
        for address in addresses {
            match address {
                IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
            }
        }
        if self.version() == 2 && !ipv6 {
            out.extend_from_slice(&self.auth_data);
        }
        let sum = pseudo_header
            .and_then(|(source, destination)| pseudo(source, destination, PROTOCOL_VRRP, out.len() - start))
            .unwrap_or_default();
        let checksum = sum.bytes(&out[start..]).finish();
        out[start + field::CHECKSUM.start..start + field::CHECKSUM.end]
            .copy_from_slice(&checksum.to_be_bytes());
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// keepalived, version 2 with a password, after the IP header.
    const V2_PASS: &str = "21339602010155b2c0000264c00002657333637265743132";
    /// keepalived, version 3 over IPv4, 192.0.2.1 > 224.0.0.18, half a second.
    const V3: &str = "313d96010032d38ec000026f";
    /// keepalived, version 3 over IPv6, fe80::ff:fe00:100 > ff02::12.
    const V3_IPV6: &str = "313e960200640bf2fe80000000000000000000000000010020010db8000000010000000000000100";

    #[test]
    fn version_2_with_a_password() {
        let repr = Repr {
            interval: Interval::Seconds(1),
            vrid: 51,
            priority: 150,
            addresses: vec![ip("192.0.2.100"), ip("192.0.2.101")],
            auth_type: auth::TYPE_PASS,
            auth_data: *b"s3cret12",
        };
        assert_eq!(Repr::parse(&bytes(V2_PASS), false), Ok(repr.clone()));
        let mut out = Vec::new();
        repr.emit(false, None, &mut out);
        assert_eq!(out, bytes(V2_PASS));
        assert!(
            Packet::new(&out)
                .unwrap()
                .checksum_ok(ip("192.0.2.1"), ip("224.0.0.18"), false)
        );
    }

    #[test]
    fn version_3_over_ipv4() {
        let (source, group) = (ip("192.0.2.1"), ip("224.0.0.18"));
        let repr = Repr {
            interval: Interval::Centiseconds(50),
            vrid: 61,
            priority: 150,
            addresses: vec![ip("192.0.2.111")],
            auth_type: auth::TYPE_NONE,
            auth_data: [0; 8],
        };
        assert_eq!(Repr::parse(&bytes(V3), false), Ok(repr.clone()));
        let mut out = Vec::new();
        repr.emit(false, Some((source, group)), &mut out);
        assert_eq!(out, bytes(V3));
        let packet = Packet::new(&out).unwrap();
        assert!(packet.checksum_ok(source, group, false));
        // The pseudo header is part of it.
        assert!(!packet.checksum_ok(source, group, true));
        assert!(!packet.checksum_ok(source, ip("192.0.2.2"), false));
    }

    #[test]
    fn version_3_over_ipv6() {
        let (source, group) = (ip("fe80::ff:fe00:100"), ip("ff02::12"));
        let repr = Repr::parse(&bytes(V3_IPV6), true).unwrap();
        assert_eq!(repr.addresses, [ip("fe80::100"), ip("2001:db8:0:1::100")]);
        assert_eq!((repr.interval, repr.vrid), (Interval::Centiseconds(100), 62));
        let mut out = Vec::new();
        repr.emit(true, Some((source, group)), &mut out);
        assert_eq!(out, bytes(V3_IPV6));
    }

    #[test]
    fn reserved_bits_are_no_part_of_the_interval() {
        let mut packet = bytes(V3);
        packet[4] |= 0xf0;
        assert_eq!(Packet::new(&packet).unwrap().centiseconds(), 50);
    }

    #[test]
    fn what_is_not_an_advert() {
        assert_eq!(
            Repr::parse(&bytes(V3)[..7], false),
            Err(Error::Truncated { got: 7, want: 8 })
        );
        assert_eq!(
            Repr::parse(&bytes(V3)[..8], false),
            Err(Error::Truncated { got: 8, want: 12 })
        );
        let mut packet = bytes(V3);
        packet[0] = 0x41;
        assert_eq!(
            Repr::parse(&packet, false),
            Err(Error::Field {
                field: "VRRP version",
                got: 4
            })
        );
        packet[0] = 0x32;
        assert_eq!(
            Repr::parse(&packet, false),
            Err(Error::Field {
                field: "VRRP type",
                got: 2
            })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..600), ipv6: bool) {
            let _ = Repr::parse(&bytes, ipv6);
            if let Ok(packet) = Packet::new(&bytes) {
                prop_assert!(packet.addresses(ipv6).count() <= packet.count());
                let _ = (packet.auth_data(), packet.expected_length(ipv6), packet.centiseconds());
                let _ = packet.checksum_ok(ip("192.0.2.1"), ip("224.0.0.18"), false);
                let _ = packet.checksum_ok(ip("192.0.2.1"), ip("ff02::12"), false);
            }
        }

        #[test]
        fn what_is_emitted_is_parsed(
            v3: bool, vrid: u8, priority: u8, interval in 0u16..4096,
            addresses in prop::collection::vec(any::<[u8; 4]>(), 0..256),
        ) {
            let repr = Repr {
                interval: if v3 { Interval::Centiseconds(interval) } else { Interval::Seconds(interval as u8) },
                vrid,
                priority,
                addresses: addresses.into_iter().map(IpAddr::from).take(255).collect(),
                auth_type: auth::TYPE_NONE,
                auth_data: [0; 8],
            };
            let ends = (ip("192.0.2.1"), ip("224.0.0.18"));
            let mut out = Vec::new();
            repr.emit(false, v3.then_some(ends), &mut out);
            prop_assert_eq!(Repr::parse(&out, false), Ok(repr));
            prop_assert!(Packet::new(&out).unwrap().checksum_ok(ends.0, ends.1, false));
        }
    }
}
