//! Packets of a master agent, read.

use super::{
    HEADER, Header, Heard, INTERNET, LARGEST, LONGEST, Malformed, NETWORK_BYTE_ORDER, NON_DEFAULT_CONTEXT,
    Oid, Range, VERSION, kind,
};

impl Header {
    /// Reads a header.
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Header, Malformed> {
        let [version, kind, flags, ..] = *bytes;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let mut reader = Reader {
            bytes: &bytes[4..],
            big: flags & NETWORK_BYTE_ORDER != 0,
        };
        let mut next = || reader.u32().unwrap_or_default();
        let header = Header {
            kind,
            flags,
            session: next(),
            transaction: next(),
            packet: next(),
            length: next(),
        };
        if header.length > LARGEST || !header.length.is_multiple_of(4) {
            return Err(Malformed::Length(header.length));
        }
        Ok(header)
    }

    /// Reads what follows this header.
    pub fn payload(&self, bytes: &[u8]) -> Result<Heard, Malformed> {
        let reader = Reader {
            bytes,
            big: self.flags & NETWORK_BYTE_ORDER != 0,
        };
        self.body(reader).ok_or(Malformed::Payload(self.kind))
    }

    fn body(&self, mut reader: Reader<'_>) -> Option<Heard> {
        let of_context = matches!(
            self.kind,
            kind::GET | kind::GET_NEXT | kind::GET_BULK | kind::TEST_SET
        );
        if of_context && self.flags & NON_DEFAULT_CONTEXT != 0 {
            return Some(Heard::OtherContext);
        }
        Some(match self.kind {
            kind::CLOSE => Heard::Close,
            kind::GET => Heard::Get(reader.ranges()?),
            kind::GET_NEXT => Heard::GetNext(reader.ranges()?),
            kind::GET_BULK => {
                let (non_repeaters, repetitions) = (reader.u16()?, reader.u16()?);
                Heard::GetBulk {
                    non_repeaters: non_repeaters.into(),
                    repetitions: repetitions.into(),
                    ranges: reader.ranges()?,
                }
            }
            kind::TEST_SET => Heard::TestSet,
            kind::COMMIT_SET => Heard::CommitSet,
            kind::UNDO_SET => Heard::UndoSet,
            kind::CLEANUP_SET => Heard::CleanupSet,
            kind::RESPONSE => {
                let uptime = reader.u32()?;
                let error = reader.u16()?;
                Heard::Response { error, uptime }
            }
            _ => Heard::Other,
        })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl Reader<'_> {
    fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (&first, rest) = self.bytes.split_first_chunk::<2>()?;
        self.bytes = rest;
        Some(match self.big {
            true => u16::from_be_bytes(first),
            false => u16::from_le_bytes(first),
        })
    }

    fn u32(&mut self) -> Option<u32> {
        let (&first, rest) = self.bytes.split_first_chunk::<4>()?;
        self.bytes = rest;
        Some(match self.big {
            true => u32::from_be_bytes(first),
            false => u32::from_le_bytes(first),
        })
    }

    /// An object identifier, and its `include`.
    fn oid(&mut self) -> Option<(Oid, bool)> {
        let (count, prefix, include, _) = (self.u8()?, self.u8()?, self.u8()?, self.u8()?);
        let count = usize::from(count);
        if count > LONGEST {
            return None;
        }
        let mut oid = Vec::with_capacity(count + 5);
        if prefix != 0 {
            oid.extend(INTERNET);
            oid.push(prefix.into());
        }
        for _ in 0..count {
            oid.push(self.u32()?);
        }
        Some((oid, include != 0))
    }

    fn ranges(&mut self) -> Option<Vec<Range>> {
        let mut ranges = Vec::new();
        while !self.bytes.is_empty() {
            let (start, include) = self.oid()?;
            let (end, _) = self.oid()?;
            ranges.push(Range { start, include, end });
        }
        Some(ranges)
    }
}
