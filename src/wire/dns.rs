//! DNS messages (RFC 1035, 4.1), as far as a health check needs them: a query of one question, and the head of
//! a reply.

/// Longest name, with length bytes (RFC 1035, 3.1).
const LONGEST_NAME: usize = 255;

/// A query of one question, class IN, recursion desired. `None` when the name is no name.
pub fn query(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(12 + name.len() + 6);
    message.extend(id.to_be_bytes());
    // RD; one question.
    message.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.is_empty() {
        for label in name.split('.') {
            let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?;
            message.push(length);
            message.extend(label.as_bytes());
        }
    }
    message.push(0);
    if message.len() - 12 > LONGEST_NAME {
        return None;
    }
    message.extend(kind.to_be_bytes());
    message.extend(1_u16.to_be_bytes());
    Some(message)
}

/// The response code of the reply to a query, or `None` when this is not it.
pub fn reply(message: &[u8], id: u16) -> Option<u8> {
    let head = message.get(..12)?;
    let (got, flags) = (head.get(..2)?, head.get(2..4)?);
    let is_reply = flags.first()? & 0x80 != 0;
    (got == id.to_be_bytes() && is_reply).then(|| flags.get(1).copied().unwrap_or(0) & 0x0f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let head = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let soa = [&head[..], &[0, 0, 6, 0, 1]].concat();
        assert_eq!(query(0x1234, ".", 6), Some(soa));
        let a = [&head[..], b"\x07example\x03org\x00\x00\x01\x00\x01"].concat();
        assert_eq!(query(0x1234, "example.org", 1), Some(a.clone()));
        assert_eq!(query(0x1234, "example.org.", 1), Some(a));
        assert_eq!(query(1, "a..b", 1), None);
        assert_eq!(query(1, &"x".repeat(64), 1), None);
        assert_eq!(query(1, &"x.".repeat(128), 1), None);
        assert!(query(1, &"x.".repeat(127), 1).is_some());
    }

    #[test]
    fn replies() {
        let message = |id: u16, flags: [u8; 2]| [&id.to_be_bytes()[..], &flags, &[0; 8]].concat();
        assert_eq!(reply(&message(7, [0x81, 0x80]), 7), Some(0));
        assert_eq!(reply(&message(7, [0x81, 0x83]), 7), Some(3));
        assert_eq!(reply(&message(8, [0x81, 0x80]), 7), None);
        assert_eq!(reply(&message(7, [0x01, 0x00]), 7), None);
        assert_eq!(reply(&message(7, [0x81, 0x80])[..11], 7), None);
        assert_eq!(reply(b"", 7), None);
    }
}
