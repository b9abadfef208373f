use super::write::Writer;
use super::*;

fn parse(bytes: &[u8]) -> Result<(Header, Heard), Malformed> {
    let (head, payload) = bytes.split_first_chunk().unwrap();
    let header = Header::parse(head)?;
    Ok((header, header.payload(payload)?))
}

/// RFC 2741, 5.1: the identifier 1.3.6.1.2.3 with its prefix, and the empty one.
#[test]
fn object_identifiers_are_written_as_the_rfc_shows() {
    let mut writer = Writer(Vec::new());
    writer.oid(&[1, 3, 6, 1, 2, 1, 1, 1, 0]);
    assert_eq!(
        writer.0,
        [4, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]
    );
    let mut writer = Writer(Vec::new());
    writer.oid(&[1, 2, 3, 4]);
    assert_eq!(writer.0[..8], [4, 0, 0, 0, 0, 0, 0, 1]);
    let mut writer = Writer(Vec::new());
    writer.oid(&[]);
    assert_eq!(writer.0, [0, 0, 0, 0]);
}

#[test]
fn an_open_packet() {
    let bytes = emit(Said::Open("abcde"), 0, 0, 7);
    assert_eq!(
        bytes,
        [
            1, 1, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 20, // header
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, b'a', b'b', b'c', b'd', b'e', 0, 0, 0,
        ]
    );
}

#[test]
fn requests_are_read_in_both_byte_orders() {
    let little = [
        1, 6, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 28, 0, 0, 0, // header
        2, 4, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, // start, included
        3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0, // end
    ];
    let range = Range {
        start: vec![1, 3, 6, 1, 4, 1, 256],
        include: true,
        end: vec![1, 3, 6],
    };
    let (header, heard) = parse(&little).unwrap();
    assert_eq!((header.session, header.transaction, header.packet), (9, 8, 7));
    assert_eq!(heard, Heard::GetNext(vec![range.clone()]));
    let big = [
        1, 7, 16, 0, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 32, // header
        0, 1, 0, 10, // non-repeaters, repetitions
        2, 4, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 6,
    ];
    let (_, heard) = parse(&big).unwrap();
    assert_eq!(
        heard,
        Heard::GetBulk {
            non_repeaters: 1,
            repetitions: 10,
            ranges: vec![range]
        }
    );
}

#[test]
fn what_is_wrong_is_said() {
    let mut bytes = emit(Said::Ping, 1, 2, 3);
    assert_eq!(parse(&bytes).unwrap().1, Heard::Other);
    bytes[0] = 2;
    assert_eq!(parse(&bytes).unwrap_err(), Malformed::Version(2));
    bytes[0] = 1;
    bytes[19] = 3;
    assert_eq!(parse(&bytes).unwrap_err(), Malformed::Length(3));
    bytes[16] = 1;
    bytes[19] = 0;
    assert_eq!(parse(&bytes).unwrap_err(), Malformed::Length(1 << 24));
    let mut response = emit(
        Said::Response {
            error: 263,
            index: 0,
            bindings: &[],
        },
        1,
        2,
        3,
    );
    assert_eq!(
        parse(&response).unwrap().1,
        Heard::Response {
            error: 263,
            uptime: 0
        }
    );
    response.truncate(HEADER + 4);
    assert_eq!(parse(&response).unwrap_err(), Malformed::Payload(18));
}

/// Whatever comes is read or refused; nothing panics and nothing large is allocated for a small packet.
#[test]
fn random_bytes() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut read = 0;
    for round in 0..200_000 {
        let length = HEADER + usize::try_from(random() % 120).unwrap();
        let mut bytes: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[0]).collect();
        bytes[0] = 1;
        bytes[1] %= 20;
        if round % 2 == 0 {
            // Small numbers get further.
            bytes[HEADER..].iter_mut().for_each(|byte| *byte %= 5);
            bytes[16..20].fill(0);
        }
        let (head, payload) = bytes.split_first_chunk().unwrap();
        if let Ok(header) = Header::parse(head)
            && header.payload(payload).is_ok()
        {
            read += 1;
        }
    }
    assert!(read > 1000, "{read}");
}
