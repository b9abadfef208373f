//! Packets of ours, written.

use super::{
    Binding, HEADER, INTERNET, LONGEST, NETWORK_BYTE_ORDER, REASON_SHUTDOWN, Said, VERSION, Value, kind,
};

/// A whole packet. `session`, `transaction` and `packet` go into its header.
pub fn emit(said: Said<'_>, session: u32, transaction: u32, packet: u32) -> Vec<u8> {
    let mut writer = Writer(vec![VERSION, 0, NETWORK_BYTE_ORDER, 0]);
    for number in [session, transaction, packet, 0] {
        writer.u32(number);
    }
    let kind = match said {
        Said::Open(description) => {
            // Timeout: the master's own.
            writer.u32(0);
            writer.oid(&[]);
            writer.octets(description.as_bytes());
            kind::OPEN
        }
        Said::Close => {
            writer.0.extend([REASON_SHUTDOWN, 0, 0, 0]);
            kind::CLOSE
        }
        Said::Register(subtree) => {
            // Timeout, priority (127 is the usual one), no range.
            writer.0.extend([0, 127, 0, 0]);
            writer.oid(subtree);
            kind::REGISTER
        }
        Said::Notify(bindings) => {
            writer.bindings(bindings);
            kind::NOTIFY
        }
        Said::Ping => kind::PING,
        Said::Response {
            error,
            index,
            bindings,
        } => {
            // sysUpTime: the master's.
            writer.u32(0);
            writer.u16(error);
            writer.u16(index);
            writer.bindings(bindings);
            kind::RESPONSE
        }
    };
    let mut bytes = writer.0;
    let length = u32::try_from(bytes.len() - HEADER).unwrap_or(u32::MAX);
    bytes[1] = kind;
    bytes[16..HEADER].copy_from_slice(&length.to_be_bytes());
    bytes
}

pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    fn u16(&mut self, number: u16) {
        self.0.extend(number.to_be_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_be_bytes());
    }

    pub(super) fn oid(&mut self, oid: &[u32]) {
        let (prefix, rest) = match oid.strip_prefix(&INTERNET) {
            Some([first, rest @ ..]) if (1..256).contains(first) => (*first, rest),
            _ => (0, oid),
        };
        let rest = &rest[..rest.len().min(LONGEST)];
        self.0.extend([
            u8::try_from(rest.len()).unwrap_or_default(),
            u8::try_from(prefix).unwrap_or_default(),
            0,
            0,
        ]);
        for number in rest {
            self.u32(*number);
        }
    }

    fn octets(&mut self, octets: &[u8]) {
        self.u32(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        self.0.extend(octets);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn bindings(&mut self, bindings: &[Binding]) {
        for (name, value) in bindings {
            self.u16(value.tag());
            self.u16(0);
            self.oid(name);
            match value {
                Value::Integer(number) => self.0.extend(number.to_be_bytes()),
                Value::Octets(octets) => self.octets(octets),
                Value::Oid(oid) => self.oid(oid),
                Value::IpAddress(address) => self.octets(address),
                Value::Counter32(number) | Value::Gauge32(number) | Value::TimeTicks(number) => {
                    self.u32(*number);
                }
                Value::Counter64(number) => self.0.extend(number.to_be_bytes()),
                Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {}
            }
        }
    }
}

impl Value {
    /// Number of its type (RFC 2741, 5.4).
    fn tag(&self) -> u16 {
        match self {
            Value::Integer(_) => 2,
            Value::Octets(_) => 4,
            Value::Oid(_) => 6,
            Value::IpAddress(_) => 64,
            Value::Counter32(_) => 65,
            Value::Gauge32(_) => 66,
            Value::TimeTicks(_) => 67,
            Value::Counter64(_) => 70,
            Value::NoSuchObject => 128,
            Value::NoSuchInstance => 129,
            Value::EndOfMibView => 130,
        }
    }
}
