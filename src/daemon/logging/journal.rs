//! The journal's native protocol: one datagram an entry, a field a line, binary-safe where a value has line
//! breaks (systemd's JOURNAL_NATIVE_PROTOCOL).

use super::Record;

/// One entry.
pub(super) fn encode(record: &Record, identifier: &str, facility: u32, pid: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(record.text.len() + 192);
    field(&mut out, "MESSAGE", &record.text);
    field(&mut out, "PRIORITY", &record.priority.to_string());
    field(&mut out, "SYSLOG_FACILITY", &(facility >> 3).to_string());
    field(&mut out, "SYSLOG_IDENTIFIER", identifier);
    field(&mut out, "SYSLOG_PID", &pid.to_string());
    for (name, value) in &record.fields {
        field(&mut out, name, value);
    }
    out
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::super::Area;
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn an_entry_byte_for_byte() {
        let record = Record {
            time: SystemTime::UNIX_EPOCH,
            priority: 6,
            area: Area::Vrrp,
            text: "(VI_1) Entering MASTER STATE".into(),
            fields: vec![
                ("VRRP_INSTANCE", "VI_1".into()),
                ("VRRP_CAUSE", "two\nlines".into()),
            ],
        };
        let mut expected = b"MESSAGE=(VI_1) Entering MASTER STATE\nPRIORITY=6\nSYSLOG_FACILITY=3\n\
            SYSLOG_IDENTIFIER=Keepalived_vrrp\nSYSLOG_PID=7\nVRRP_INSTANCE=VI_1\nVRRP_CAUSE\n"
            .to_vec();
        expected.extend_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(b"two\nlines\n");
        assert_eq!(encode(&record, "Keepalived_vrrp", 3 << 3, 7), expected);
    }
}
