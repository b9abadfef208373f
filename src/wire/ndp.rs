//! Unsolicited neighbour advertisement (RFC 4861 4.4), with its IPv6 header, as keepalived sends it.

use super::checksum::pseudo_v6;
use super::{Error, PROTOCOL_ICMPV6};
use std::net::Ipv6Addr;

/// EtherType of IPv6.
pub const ETHERTYPE: u16 = 0x86dd;
/// All nodes on the link: where unsolicited advertisements go (RFC 4861 7.2.6).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Ethernet address of [`ALL_NODES`].
pub const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
/// Length of an IPv6 header.
pub const IPV6_LENGTH: usize = 40;

const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const OPTION_TARGET_LINK_LAYER: u8 = 2;

/// Places of the fields, after the IPv6 header.
pub mod field {
    use std::ops::Range;
    /// ICMPv6 type.
    pub const TYPE: usize = 0;
    /// ICMPv6 code.
    pub const CODE: usize = 1;
    /// Checksum.
    pub const CHECKSUM: Range<usize> = 2..4;
    /// Router, Solicited, Override.
    pub const FLAGS: usize = 4;
    /// Target address.
    pub const TARGET: Range<usize> = 8..24;
    /// Target link-layer address option.
    pub const OPTION: usize = 24;
}

/// What an unsolicited neighbour advertisement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repr {
    /// The address that moved: source of the packet and target.
    pub target: Ipv6Addr,
    /// Where it goes.
    pub destination: Ipv6Addr,
    /// Sender forwards packets.
    pub router: bool,
    /// Answer to a solicitation.
    pub solicited: bool,
    /// Neighbours overwrite what they have.
    pub overrides: bool,
    /// Link-layer address of the target.
    pub mac: [u8; 6],
}

impl Repr {
    /// The unsolicited advertisement of `address`.
    pub fn unsolicited(address: Ipv6Addr, mac: [u8; 6], router: bool) -> Repr {
        Repr {
            target: address,
            destination: ALL_NODES,
            router,
            solicited: false,
            overrides: true,
            mac,
        }
    }

    /// Appends the whole IPv6 packet: hop limit 255, source the target itself.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let length = field::OPTION + 8;
        out.extend_from_slice(&[0x60, 0, 0, 0]);
        out.extend_from_slice(&(length as u16).to_be_bytes());
        out.extend_from_slice(&[PROTOCOL_ICMPV6, 255]);
        out.extend_from_slice(&self.target.octets());
        out.extend_from_slice(&self.destination.octets());
        let start = out.len();
        let flags =
            u8::from(self.router) << 7 | u8::from(self.solicited) << 6 | u8::from(self.overrides) << 5;
        out.extend_from_slice(&[NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
        out.extend_from_slice(&self.target.octets());
        out.extend_from_slice(&[OPTION_TARGET_LINK_LAYER, 1]);
        out.extend_from_slice(&self.mac);
        let checksum = pseudo_v6(self.target, self.destination, PROTOCOL_ICMPV6, length as u32)
            .bytes(&out[start..])
            .finish();
        out[start + field::CHECKSUM.start..start + field::CHECKSUM.end]
            .copy_from_slice(&checksum.to_be_bytes());
    }

    /// Reads a whole IPv6 packet.
    pub fn parse(packet: &[u8]) -> Result<Repr, Error> {
        let want = IPV6_LENGTH + field::OPTION + 8;
        if packet.len() < want {
            return Err(Error::Truncated {
                got: packet.len(),
                want,
            });
        }
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&packet[at..at + 16]);
            Ipv6Addr::from(octets)
        };
        let (source, destination) = (address(8), address(24));
        let icmp = &packet[IPV6_LENGTH..];
        if packet[6] != PROTOCOL_ICMPV6 || icmp[field::TYPE] != NEIGHBOUR_ADVERTISEMENT {
            return Err(Error::Field {
                field: "ICMPv6 type",
                got: u32::from(icmp[field::TYPE]),
            });
        }
        if icmp[field::OPTION] != OPTION_TARGET_LINK_LAYER || icmp[field::OPTION + 1] != 1 {
            return Err(Error::Field {
                field: "ND option",
                got: u32::from(icmp[field::OPTION]),
            });
        }
        let sum = pseudo_v6(source, destination, PROTOCOL_ICMPV6, icmp.len() as u32)
            .bytes(icmp)
            .finish();
        if sum != 0 {
            return Err(Error::Field {
                field: "checksum remainder",
                got: u32::from(sum),
            });
        }
        let mut mac = [0; 6];
        mac.copy_from_slice(&icmp[field::OPTION + 2..field::OPTION + 8]);
        Ok(Repr {
            target: address(IPV6_LENGTH + field::TARGET.start),
            destination,
            router: icmp[field::FLAGS] & 0x80 != 0,
            solicited: icmp[field::FLAGS] & 0x40 != 0,
            overrides: icmp[field::FLAGS] & 0x20 != 0,
            mac,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsolicited_advertisement() {
        // keepalived on 02:00:00:00:01:00, whole: the address that moved is the source, and it goes to all nodes,
        // not to the VRRP group.
        let recorded = "6000000000203aff20010db8000000010000000000000100ff0200000000000000000000000000018800f62b\
                        2000000020010db80000000100000000000001000201020000000100";
        let recorded: Vec<u8> = (0..recorded.len() / 2)
            .map(|at| u8::from_str_radix(&recorded[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let address: Ipv6Addr = "2001:db8:0:1::100".parse().unwrap();
        let repr = Repr::unsolicited(address, [2, 0, 0, 0, 1, 0], false);
        let mut out = Vec::new();
        repr.emit(&mut out);
        assert_eq!(out, recorded);
        assert_eq!(Repr::parse(&out), Ok(repr));
        for end in 0..out.len() {
            assert!(Repr::parse(&out[..end]).is_err());
        }
        out[70] ^= 1;
        assert!(Repr::parse(&out).is_err());
    }
}
