//! The Internet checksum (RFC 1071), with pseudo headers and the incremental update of RFC 1624.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Adds up 16-bit words. Pieces must have an even length, but for the last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// An empty sum.
    pub fn new() -> Sum {
        Sum(0)
    }

    /// Adds bytes; an odd last one counts as the upper half of a word.
    pub fn bytes(mut self, bytes: &[u8]) -> Sum {
        let mut words = bytes.chunks_exact(2);
        for word in &mut words {
            self.0 += u64::from(u16::from_be_bytes([word[0], word[1]]));
        }
        if let [last] = words.remainder() {
            self.0 += u64::from(*last) << 8;
        }
        self
    }

    /// Adds one word.
    pub fn word(mut self, word: u16) -> Sum {
        self.0 += u64::from(word);
        self
    }

    /// The checksum: the one's complement of the folded sum. Over data that holds its own checksum it is 0.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // Folded above: fits.
        !(sum as u16)
    }
}

/// Pseudo header of IPv4: source, destination, zero, protocol, length (RFC 9568 5.2.8).
pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Sum {
    Sum::new()
        .bytes(&source.octets())
        .bytes(&destination.octets())
        .word(u16::from(protocol))
        .word(length)
}

/// Pseudo header of IPv6: source, destination, length, next header (RFC 8200 8.1).
pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, length: u32) -> Sum {
    Sum::new()
        .bytes(&source.octets())
        .bytes(&destination.octets())
        .bytes(&length.to_be_bytes())
        .word(u16::from(next_header))
}

/// Pseudo header of either family; `None` when the families differ.
pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Option<Sum> {
    match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => Some(pseudo_v4(s, d, protocol, u16::try_from(length).ok()?)),
        (IpAddr::V6(s), IpAddr::V6(d)) => Some(pseudo_v6(s, d, protocol, u32::try_from(length).ok()?)),
        _ => None,
    }
}

/// The checksum after one word of the data changed from `old` to `new` (RFC 1624, equation 3).
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ipv4_header_from_the_wire() {
        // 192.0.2.1 > 224.0.0.18, protocol 112, as captured.
        let header = [
            0x45, 0xc0, 0x00, 0x28, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x01,
            0xe0, 0x00, 0x00, 0x12,
        ];
        let checksum = Sum::new().bytes(&header).finish();
        let mut whole = header;
        whole[10..12].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(Sum::new().bytes(&whole).finish(), 0);
        assert_eq!(checksum, 0x1891);
    }

    #[test]
    fn an_odd_byte_is_the_upper_half() {
        assert_eq!(Sum::new().bytes(&[0x12, 0x34, 0x56]).finish(), !(0x1234 + 0x5600));
    }

    proptest! {
        #[test]
        fn an_update_equals_a_new_sum(mut data in prop::collection::vec(any::<u8>(), 2..64), at in any::<prop::sample::Index>(), new: u16) {
            data.truncate(data.len() & !1);
            // A sum of nothing but zeros has two representations; real packets are never all zero.
            data[0] |= 1;
            let at = at.index(data.len() / 2) * 2;
            prop_assume!(at != 0);
            let before = Sum::new().bytes(&data).finish();
            let old = u16::from_be_bytes([data[at], data[at + 1]]);
            data[at..at + 2].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(update(before, old, new), Sum::new().bytes(&data).finish());
        }
    }
}
