//! UDP_CHECK, DNS_CHECK, PING_CHECK.

use crate::support::*;
use keepalived_rs::model::lvs::{Checker, CheckerKind, DnsCheck, DnsType, UdpCheck, UdpReply};
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::time::Duration;

/// A server that answers each datagram with what the function says, or not.
fn serve(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> u16 {
    let socket = UdpSocket::bind((HERE, 0)).expect("a port");
    let port = socket.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(reply) = answer(&buffer[..length]) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    port
}

fn nobody() -> u16 {
    let socket = UdpSocket::bind((HERE, 0)).expect("a port");
    socket.local_addr().expect("its address").port()
}

fn first(mut checker: Checker) -> (String, Vec<String>) {
    checker.log_all_failures = true;
    watch(checker, |mut watch| async move {
        let verdict = watch.verdict().await;
        (verdict, watch.lines.all())
    })
}

fn udp(port: u16, change: impl FnOnce(&mut UdpCheck)) -> Checker {
    let mut check = UdpCheck {
        connection: to(port),
        payload: None,
        reply: None,
        min_length: 0,
        max_length: 255,
    };
    check.connection.timeout = Duration::from_millis(300);
    change(&mut check);
    checker(CheckerKind::Udp(check))
}

#[test]
fn udp_without_a_reply() {
    let silent = serve(|_| None);
    assert_eq!(first(udp(silent, |_| ())).0, "up");
    let (verdict, lines) = first(udp(nobody(), |_| ()));
    assert!(verdict.contains("refused"), "{verdict}");
    assert_eq!(
        lines,
        [
            format!("UDP connection to {RS} failed."),
            format!("UDP_CHECK on service {RS} failed."),
        ]
    );
}

#[test]
fn udp_to_a_network_without_a_route() {
    let away = udp(nobody(), |check| {
        // There is none by way of the loopback.
        check.connection.address = "2001:db8::1".parse().expect("an address");
        check.connection.bind_interface = Some("lo".to_owned());
    });
    let (verdict, lines) = first(away);
    assert_eq!(verdict, "down: network unreachable");
    assert_eq!(
        lines,
        [
            "UDP connect error 101 - Network is unreachable".to_owned(),
            format!("UDP_CHECK on service {RS} failed."),
        ]
    );
}

#[test]
fn udp_with_a_reply() {
    let port = serve(|asked| (asked == b"ab").then(|| b"pong".to_vec()));
    let with = |data: &[u8], mask: Option<&[u8]>, least: u16, most: u16| {
        first(udp(port, |check| {
            check.payload = Some(b"ab".to_vec());
            (check.min_length, check.max_length) = (least, most);
            check.reply = Some(UdpReply {
                data: data.to_vec(),
                mask: mask.map(<[u8]>::to_vec),
            });
        }))
    };
    assert_eq!(with(b"", None, 9, 9).0, "up");
    assert_eq!(with(b"po\0g", Some(&[0xff, 0xff, 0, 0xff]), 0, 255).0, "up");
    // The shorter of the two counts.
    assert_eq!(with(b"po", None, 4, 4).0, "up");
    assert_eq!(with(b"pong and more", None, 0, 255).0, "up");
    let (verdict, lines) = with(b"ping", None, 0, 255);
    assert_eq!(verdict, "down: the reply differs at byte 1");
    assert_eq!(lines[0], format!("UDP check to {RS} reply data mismatch."));
    assert_eq!(
        with(b"p", None, 5, 255).0,
        "down: the reply has 4 bytes, not 5 to 255"
    );
    let silent = udp(serve(|_| None), |check| check.reply = Some(UdpReply::default()));
    assert_eq!(first(silent).0, "down: no reply within 0.300 s");
}

fn dns(port: u16, name: &str) -> Checker {
    let mut connection = to(port);
    connection.timeout = Duration::from_millis(300);
    checker(CheckerKind::Dns(DnsCheck {
        connection,
        kind: DnsType::A,
        name: name.to_owned(),
    }))
}

/// The answer to a query: its id, and these flags.
fn answer(query: &[u8], flags: [u8; 2]) -> Vec<u8> {
    [&query[..2], &flags, &query[4..]].concat()
}

#[test]
fn dns_answers() {
    let good = serve(|query| {
        assert_eq!(
            &query[2..],
            b"\x01\x00\x00\x01\0\0\0\0\0\0\x07example\x03org\0\x00\x01\x00\x01"
        );
        Some(answer(query, [0x81, 0x80]))
    });
    let (verdict, lines) = first(dns(good, "example.org"));
    assert_eq!((verdict.as_str(), lines), ("up", Vec::new()));
    let table = [
        (
            serve(|query| Some(answer(query, [0x81, 0x83]))),
            "down: the server answers with response code 3",
            "read error occurred. (rcode = 3)",
        ),
        (
            // An answer to another question, and a question.
            serve(|query| Some(answer(&[&[!query[0]], &query[1..]].concat(), [0x81, 0x80]))),
            "down: no answer within 0.300 s",
            "read timeout from socket",
        ),
        (
            serve(|query| Some(query.to_vec())),
            "down: no answer within 0.300 s",
            "read timeout from socket",
        ),
        (
            serve(|_| Some(b"x".to_vec())),
            "down: no answer within 0.300 s",
            "read timeout from socket",
        ),
        (
            nobody(),
            "down: Connection refused (os error 111)",
            "failed to read socket; errno 111 (Connection refused)",
        ),
    ];
    for (port, reason, text) in table {
        let (verdict, lines) = first(dns(port, "example.org"));
        assert_eq!(verdict, reason);
        assert_eq!(lines, [format!("DNS_CHECK ({RS}) {text}")]);
    }
}

#[test]
fn dns_retries_are_counted_in_the_line() {
    let healthy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let shared = healthy.clone();
    let port = serve(move |query| {
        let good = shared.load(std::sync::atomic::Ordering::Relaxed);
        Some(answer(query, if good { [0x81, 0x80] } else { [0x81, 0x82] }))
    });
    let mut checker = dns(port, ".");
    checker.retry = 2;
    watch(checker, |mut watch| async move {
        assert_eq!(watch.verdict().await, "up");
        healthy.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(watch.verdict().await.starts_with("down: "));
        assert_eq!(
            watch.lines.all(),
            [format!(
                "DNS_CHECK ({RS}) read error occurred. (rcode = 2) after 2 retries"
            )]
        );
    });
}

#[test]
fn ping() {
    for address in [HERE, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let mut connection = to(80);
        connection.address = address;
        let mut checker = checker(CheckerKind::Ping(connection));
        checker.alpha = true;
        watch(checker, |mut watch| async move {
            assert_eq!(watch.verdict().await, "up", "{address}");
            assert_eq!(watch.lines.all(), [format!("ICMP connection to {RS} success.")]);
            assert!(watch.standing.lock().expect("no panic").sequence > 0);
        });
    }
    // Nobody there, and a route to it.
    let mut connection = to(0);
    connection.address = [240, 0, 0, 1].into();
    connection.bind_interface = Some("lo".to_owned());
    connection.timeout = Duration::from_millis(200);
    let (verdict, lines) = first(checker(CheckerKind::Ping(connection)));
    assert!(verdict.starts_with("down: "), "{verdict} {lines:?}");
    assert_eq!(lines.last(), Some(&format!("ICMP CHECK on service {RS} failed.")));
}
