//! VRRPv2 authentication data (RFC 2338 5.3.6; RFC 3768 removed it, keepalived keeps it).

/// Authentication type byte: none.
pub const TYPE_NONE: u8 = 0;
/// Authentication type byte: simple text password.
pub const TYPE_PASS: u8 = 1;
/// Authentication type byte: IPsec AH.
pub const TYPE_AH: u8 = 2;

/// Length of the authentication data at the end of a VRRPv2 message.
pub const LENGTH: usize = 8;

/// Whether two passwords are the same, in a time that does not depend on where they differ.
pub fn same(ours: &[u8; LENGTH], theirs: &[u8]) -> bool {
    theirs.len() == LENGTH
        && ours
            .iter()
            .zip(theirs)
            .fold(0u8, |differ, (a, b)| differ | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_eight_bytes_are_the_same() {
        assert!(same(b"s3cret12", b"s3cret12"));
        assert!(!same(b"s3cret12", b"s3cret13"));
        assert!(!same(b"s3cret12", b"s3cret1"));
        assert!(!same(b"wrong\0\0\0", b"wrong\0\0\x01"));
        assert!(same(b"wrong\0\0\0", b"wrong\0\0\0"));
    }
}
