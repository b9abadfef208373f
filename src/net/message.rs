//! Netlink messages: written into one buffer for a batch, and read without an allocation.
//!
//! Reading never fails as a whole because of an attribute that nobody here asked for, and never reads
//! past what a length says.

use std::net::IpAddr;

/// Control messages of netlink itself.
pub const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
/// End of a dump.
pub const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;

const HEADER: usize = 16;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLA_TYPE_MASK: u16 = 0x3fff;
const NLA_F_NESTED: u16 = 0x8000;

/// Writes messages one after the other.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    message: usize,
}

/// A nested attribute that is being written.
#[derive(Debug)]
#[must_use = "a nested attribute must be closed"]
pub struct Nest(usize);

impl Writer {
    /// Forgets what was written; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The messages.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins a message. NLM_F_REQUEST is always set.
    pub fn begin(&mut self, kind: u16, flags: i32, sequence: u32) {
        self.message = self.bytes.len();
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
    }

    /// Bytes of the family's own header; padded to four.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    /// An attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// An attribute that is a string, with its NUL.
    pub fn attribute_text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// An attribute that is an address.
    pub fn attribute_ip(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    /// Opens a nested attribute.
    pub fn nest(&mut self, kind: u16) -> Nest {
        let at = self.bytes.len();
        self.attribute(kind | NLA_F_NESTED, &[]);
        Nest(at)
    }

    /// Closes it.
    pub fn close(&mut self, nest: Nest) {
        self.set_length_at(nest.0);
    }

    /// Writes the length of what begins there and ends here into its first two bytes.
    pub fn set_length_at(&mut self, at: usize) {
        let length = u16::try_from(self.bytes.len() - at).unwrap_or(u16::MAX);
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Asks for an acknowledgement of the last message, ended or not.
    pub fn acknowledge(&mut self) {
        let at = self.message + 6;
        if let Some(flags) = u16_at(&self.bytes, at) {
            let flags = flags | libc::NLM_F_ACK as u16;
            self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        }
    }

    /// Ends the message.
    pub fn end(&mut self) {
        let length = (self.bytes.len() - self.message) as u32;
        self.bytes[self.message..self.message + 4].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

/// One message that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Type.
    pub kind: u16,
    /// Flags.
    pub flags: u16,
    /// Sequence number of the request that it answers.
    pub sequence: u32,
    /// Port id: who asked, or whose request made the change that is told.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of a datagram. Ends at the first one that does not fit.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        if length < HEADER {
            return None;
        }
        let message = Message {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
            port: u32_at(bytes, 12)?,
            payload: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

/// Attributes after `skip` bytes of a family's header: type without its flag bits, value. Ends at the first
/// one that does not fit.
pub fn attributes(payload: &[u8], skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = payload.get(skip..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The kernel's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Sequence number of the request.
    pub sequence: u32,
    /// Type of the request.
    pub request: u16,
    /// 0, or the errno.
    pub errno: i32,
    /// What the kernel says about it.
    pub text: Option<String>,
}

impl Answer {
    /// Reads NLMSG_ERROR and NLMSG_DONE; `None` for other messages.
    pub fn read(message: &Message<'_>) -> Option<Answer> {
        let end_of_dump = message.kind == NLMSG_DONE;
        if message.kind != NLMSG_ERROR && !end_of_dump {
            return None;
        }
        let code = u32_at(message.payload, 0).map_or(0, |code| code as i32);
        let mut text = None;
        if message.flags & NLM_F_ACK_TLVS != 0 {
            let echoed = u32_at(message.payload, 4).unwrap_or(HEADER as u32) as usize;
            let skip = if end_of_dump {
                4
            } else if message.flags & NLM_F_CAPPED != 0 {
                4 + HEADER
            } else {
                4 + echoed.max(HEADER).next_multiple_of(4)
            };
            text = attributes(message.payload, skip)
                .find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)
                .map(|(_, value)| text_of(value));
        }
        Some(Answer {
            sequence: message.sequence,
            request: u16_at(message.payload, 8).filter(|_| !end_of_dump).unwrap_or(0),
            errno: code.saturating_neg(),
            text,
        })
    }
}

/// A number in the machine's byte order.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// A number in the machine's byte order.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    Some(u16::from_ne_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// A string, up to its NUL.
pub fn text_of(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut writer = Writer::default();
        writer.begin(20, libc::NLM_F_ACK, 7);
        writer.put(&[2, 32, 0, 0, 9, 0, 0, 0]);
        writer.attribute(1, &[192, 0, 2, 1]);
        let nest = writer.nest(4);
        writer.attribute_text(5, "abc");
        writer.close(nest);
        writer.end();
        writer.begin(21, 0, 8);
        writer.end();
        let read: Vec<Message<'_>> = messages(writer.bytes()).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (20, 5, 7));
        let list: Vec<(u16, &[u8])> = attributes(read[0].payload, 8).collect();
        assert_eq!(list[0], (1, &[192, 0, 2, 1][..]));
        assert_eq!(attributes(list[1].1, 0).collect::<Vec<_>>(), [(5, &b"abc\0"[..])]);
        assert_eq!(text_of(b"abc\0"), "abc");
        assert_eq!((read[1].kind, read[1].payload.len()), (21, 0));
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        let mut writer = Writer::default();
        writer.begin(20, 0, 1);
        writer.attribute(1, &[1, 2, 3, 4]);
        writer.end();
        let good = writer.bytes().to_vec();
        for cut in 0..good.len() {
            assert_eq!(messages(&good[..cut]).count(), 0);
        }
        for length in [0u16, 3, 9, 0xffff] {
            let mut bad = good.clone();
            bad[16..18].copy_from_slice(&length.to_ne_bytes());
            let message = messages(&bad).next().unwrap();
            assert_eq!(attributes(message.payload, 0).count(), 0);
        }
        let mut bad = good;
        bad[0..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(messages(&bad).count(), 0);
    }

    #[test]
    fn the_kernels_text_is_found() {
        let mut writer = Writer::default();
        writer.begin(NLMSG_ERROR, 0, 5);
        writer.put(&(-22i32).to_ne_bytes());
        writer.put(&[16, 0, 0, 0, 20, 0, 5, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        writer.attribute_text(NLMSGERR_ATTR_MSG, "ipv4: Invalid scope value");
        writer.end();
        let mut bytes = writer.bytes().to_vec();
        bytes[6..8].copy_from_slice(&(NLM_F_CAPPED | NLM_F_ACK_TLVS).to_ne_bytes());
        let answer = Answer::read(&messages(&bytes).next().unwrap()).unwrap();
        assert_eq!((answer.sequence, answer.request, answer.errno), (5, 20, 22));
        assert_eq!(answer.text.as_deref(), Some("ipv4: Invalid scope value"));
    }
}
