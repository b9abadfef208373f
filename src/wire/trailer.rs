//! The authentication trailer behind an advert (`auth_hmac`): who holds the key, and when it was sent.
//!
//! ```text
//!  0       1       2       4               8       10      12                  28
//!  | type  | key   | 0     | seconds       | 2^-16 | count | HMAC-SHA256, half |
//! ```
//!
//! The code covers a pseudo header (family, version, VRID, source address), the message with a checksum of
//! zero, and the trailer with a code of zero. The destination is no part of it.

use super::vrrp::{HEADER, field};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Length of a trailer.
pub const LENGTH: usize = 28;
/// The only type there is: HMAC-SHA256, its first 128 bits.
pub const TYPE_HMAC_SHA256_128: u8 = 1;
/// Length of what the code does not cover.
const CODE: usize = 16;
/// Where the code begins.
const CODE_AT: usize = LENGTH - CODE;

/// What a trailer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Which key it was made with.
    pub key_id: u8,
    /// When: seconds, 1/65536 seconds, and a counter, from the upper bits to the lower ones.
    pub stamp: u64,
    code: [u8; CODE],
}

impl Trailer {
    /// Reads it; `None` when it is of an unknown type, or its reserved bits are in use.
    pub fn parse(bytes: &[u8; LENGTH]) -> Option<Trailer> {
        let [kind, key_id, 0, 0, rest @ ..] = bytes else {
            return None;
        };
        let (stamp, code) = rest.split_first_chunk::<8>()?;
        (*kind == TYPE_HMAC_SHA256_128).then_some(Trailer {
            key_id: *key_id,
            stamp: u64::from_be_bytes(*stamp),
            code: *code.first_chunk()?,
        })
    }

    /// Makes the trailer of `message`.
    pub fn sign(key: &[u8], key_id: u8, stamp: u64, source: IpAddr, message: &[u8]) -> Trailer {
        let mut trailer = Trailer {
            key_id,
            stamp,
            code: [0; CODE],
        };
        trailer.code = trailer.expected(key, source, message).unwrap_or_default();
        trailer
    }

    /// Whether it was made with this key, for this message from this source. Takes the same time whatever differs.
    pub fn verify(&self, key: &[u8], source: IpAddr, message: &[u8]) -> bool {
        self.expected(key, source, message)
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
        let mut head = [0; CODE_AT];
        head[0] = TYPE_HMAC_SHA256_128;
        head[1] = self.key_id;
        head[4..].copy_from_slice(&self.stamp.to_be_bytes());
        head
    }

    fn expected(&self, key: &[u8], source: IpAddr, message: &[u8]) -> Option<[u8; CODE]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        let octet = |at: usize| message.get(at).copied().unwrap_or(0);
        let mut pseudo = [0; 20];
        pseudo[1] = octet(field::VERSION_TYPE) >> 4;
        pseudo[2] = octet(field::VRID);
        match source {
            IpAddr::V4(source) => {
                pseudo[0] = 4;
                pseudo[4..8].copy_from_slice(&source.octets());
            }
            IpAddr::V6(source) => {
                pseudo[0] = 6;
                pseudo[4..].copy_from_slice(&source.octets());
            }
        }
        mac.update(&pseudo);
        let (header, addresses) = message.split_at(HEADER.min(message.len()));
        mac.update(header.get(..field::CHECKSUM.start).unwrap_or(header));
        mac.update(&[0; 2]);
        mac.update(addresses);
        mac.update(&self.head());
        mac.update(&[0; CODE]);
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

    /// key, key id, stamp, source, message, trailer
    type Vector = (Vec<u8>, u8, u64, &'static str, &'static str, &'static str);

    /// Made with Python, apart from this code:
    ///
    /// ```python
    /// pseudo = bytes([ip.version, m[0] >> 4, m[1], 0]) + ip.packed.ljust(16, b"\0")
    /// head = bytes([1, key_id, 0, 0]) + struct.pack(">Q", stamp)
    /// code = hmac.new(key, pseudo + m[:6] + bytes(2) + m[8:] + head + bytes(16), hashlib.sha256).digest()[:16]
    /// ```
    fn vectors() -> [Vector; 3] {
        let text = b"0123456789abcdef0123456789abcdef".to_vec();
        [
            (
                text.clone(),
                1,
                0x6710_a2b3_8000_0000,
                "192.0.2.1",
                "313d96010032d38ec000026f",
                "010100006710a2b380000000b55976b6c3141c8bd4a8ed0b4c196fa6",
            ),
            (
                (0..64).collect(),
                255,
                0x6710_a2b3_ffff_ffff,
                "fe80::ff:fe00:100",
                "313e960200640bf2fe80000000000000000000000000010020010db8000000010000000000000100",
                "01ff00006710a2b3ffffffff77f9395d9e419f0ba3df5764ec81d80e",
            ),
            (
                text,
                7,
                1,
                "192.0.2.1",
                "21339602000155b2c0000264c00002650000000000000000",
                "010700000000000000000001d1bec5fc2b9ada7c6647ab97222c687c",
            ),
        ]
    }

    #[test]
    fn it_is_what_others_compute() {
        for (key, id, stamp, source, message, want) in vectors() {
            let (source, message) = (source.parse().unwrap(), bytes(message));
            let trailer = Trailer::sign(&key, id, stamp, source, &message);
            assert_eq!(trailer.bytes().to_vec(), bytes(want));
            let parsed = Trailer::parse(&bytes(want).try_into().unwrap()).unwrap();
            assert_eq!((parsed.key_id, parsed.stamp), (id, stamp));
            assert!(parsed.verify(&key, source, &message));
        }
    }

    #[test]
    fn the_checksum_may_change_and_nothing_else() {
        for (key, _, _, source, message, trailer) in vectors() {
            let (source, message, trailer) = (source.parse().unwrap(), bytes(message), bytes(trailer));
            for at in 0..message.len() {
                let mut changed = message.clone();
                changed[at] ^= 1;
                let trailer = Trailer::parse(&trailer.clone().try_into().unwrap()).unwrap();
                assert_eq!(
                    trailer.verify(&key, source, &changed),
                    field::CHECKSUM.contains(&at),
                    "byte {at}"
                );
            }
            for at in 0..LENGTH {
                let mut changed: [u8; LENGTH] = trailer.clone().try_into().unwrap();
                changed[at] ^= 1;
                let verified = Trailer::parse(&changed).map(|t| t.verify(&key, source, &message));
                assert_ne!(verified, Some(true), "byte {at} of the trailer");
                assert_eq!(verified, (![0, 2, 3].contains(&at)).then_some(false));
            }
            let trailer = Trailer::parse(&trailer.try_into().unwrap()).unwrap();
            assert!(!trailer.verify(&key, "192.0.2.9".parse().unwrap(), &message));
            assert!(!trailer.verify(b"another key of a sufficient length", source, &message));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_looked_at(bytes: [u8; LENGTH], message in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(trailer) = Trailer::parse(&bytes) {
                prop_assert_eq!(trailer.bytes(), bytes);
                prop_assert!(!trailer.verify(b"a key", IpAddr::from([192, 0, 2, 1]), &message));
            }
        }
    }
}
