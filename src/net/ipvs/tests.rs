use super::attributes::{self, dest, top};
use super::read::{self, Found};
use super::*;
use crate::model::lvs::{Method, Protocol, SchedulerFlags, Tunnel, TunnelChecksum, TunnelKind};
use crate::model::route::Family;
use crate::net::message::messages;
use crate::state::lvs::ServiceSettings;
use proptest::prelude::*;
use std::net::IpAddr;

fn settings() -> ServiceSettings {
    ServiceSettings {
        scheduler: "mh".into(),
        flags: SchedulerFlags {
            flag2: true,
            ..SchedulerFlags::default()
        },
        engine: Some("sip".into()),
        persistence: Some(50),
        mask: 0xffff_ff00,
    }
}

fn services() -> Vec<Found> {
    let four = ServiceKey::Address(Protocol::Tcp, "192.0.2.1".parse().unwrap(), 80);
    let six = ServiceKey::Address(Protocol::Udp, "2001:db8::1".parse().unwrap(), 53);
    vec![
        Found {
            key: four,
            settings: settings(),
        },
        Found {
            key: six,
            settings: ServiceSettings {
                scheduler: "rr".into(),
                flags: SchedulerFlags {
                    one_packet: true,
                    ..SchedulerFlags::default()
                },
                mask: 128,
                ..ServiceSettings::default()
            },
        },
        Found {
            key: ServiceKey::Mark(7, Family::Inet6),
            settings: ServiceSettings {
                mask: 64,
                ..settings()
            },
        },
    ]
}

fn destinations() -> Vec<(DestinationKey, DestinationSettings)> {
    let key = |address: &str, port| DestinationKey {
        address: address.parse::<IpAddr>().unwrap(),
        port,
    };
    vec![
        (
            key("198.51.100.1", 80),
            DestinationSettings {
                method: Method::Nat,
                weight: 65535,
                upper: 100,
                lower: 50,
            },
        ),
        (
            key("2001:db8::2", 0),
            DestinationSettings {
                method: Method::Tun(Tunnel {
                    kind: TunnelKind::Gue,
                    port: 6080,
                    checksum: TunnelChecksum::Remote,
                }),
                ..DestinationSettings::default()
            },
        ),
        (
            key("198.51.100.2", 8080),
            DestinationSettings {
                method: Method::Dr,
                ..DestinationSettings::default()
            },
        ),
    ]
}

/// Payload of the only message that `write` writes.
fn payload(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin(30, 0, 1);
    write(&mut writer);
    writer.end();
    messages(writer.bytes()).next().unwrap().payload.to_vec()
}

#[test]
fn what_is_asked_for_is_what_is_read() {
    for found in services() {
        let operation = Operation::AddService(found.key, found.settings.clone());
        let bytes = payload(|writer| attributes::operation(writer, &operation));
        assert_eq!(bytes[..4], [1, 1, 0, 0]);
        assert_eq!(read::service(&bytes), Some(found.clone()));
        for (server, settings) in destinations() {
            let operation = Operation::AddDestination(found.key, server, settings);
            let bytes = payload(|writer| attributes::operation(writer, &operation));
            assert_eq!(
                read::destination(&bytes, &found.key),
                Some((server, settings, false))
            );
        }
    }
    for group in [None, Some("224.0.0.81"), Some("ff02::81")] {
        let daemon = SyncDaemon {
            master: group.is_some(),
            interface: "eth0".into(),
            id: 5,
            max_length: Some(1400),
            group: group.map(|group| group.parse().unwrap()),
            port: Some(8848),
            ttl: Some(2),
        };
        let bytes = payload(|writer| {
            command(writer, cmd::NEW_DAEMON);
            attributes::daemon(writer, &daemon);
        });
        assert_eq!(read::daemon(&bytes), Some(daemon));
    }
}

/// `ipvsadm -A -t 192.0.2.1:80 -s wrr -p 50 -M 255.255.255.0`, as linux/ip_vs.h lays it out.
#[test]
fn the_bytes_of_a_service() {
    let bytes = [
        1, 1, 0, 0, // header
        76, 0, 1, 0, // service
        6, 0, 1, 0, 2, 0, 0, 0, // AF
        6, 0, 2, 0, 6, 0, 0, 0, // protocol
        20, 0, 3, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // address
        6, 0, 4, 0, 0, 80, 0, 0, // port
        8, 0, 6, 0, b'w', b'r', b'r', 0, // scheduler
        12, 0, 7, 0, 3, 0, 0, 0, 255, 255, 255, 255, // flags: persistent, hashed
        8, 0, 8, 0, 50, 0, 0, 0,
    ];
    assert_eq!(read::service(&bytes), None, "without a mask it is not whole");
    let mut bytes = bytes.to_vec();
    bytes[4] = 84;
    bytes.extend([8, 0, 9, 0, 255, 255, 255, 0]);
    let found = read::service(&bytes).unwrap();
    assert_eq!(found.key.to_string(), "[192.0.2.1]:tcp:80");
    assert_eq!(found.settings.persistence, Some(50));
    assert_eq!(found.settings.mask, 0xffff_ff00);
    assert_eq!(found.settings.flags, SchedulerFlags::default());
}

/// Counters of 64 bits are taken where there are both, else those of 32.
#[test]
fn counters_of_both_widths() {
    let found = &services()[0];
    let (server, settings) = destinations()[0];
    for (wide, connections) in [(true, (1 << 40) + 1), (false, 7)] {
        let stats = |writer: &mut Writer| {
            let nest = writer.nest(dest::STATS);
            writer.attribute(1, &7_u32.to_ne_bytes());
            writer.attribute(4, &(1_u64 << 33).to_ne_bytes());
            writer.attribute(9, &5_u32.to_ne_bytes());
            writer.close(nest);
            if wide {
                let nest = writer.nest(dest::STATS64);
                writer.attribute(1, &((1_u64 << 40) + 1).to_ne_bytes());
                writer.attribute(4, &(1_u64 << 33).to_ne_bytes());
                writer.attribute(9, &5_u64.to_ne_bytes());
                writer.close(nest);
            }
        };
        let expected = Traffic {
            connections,
            in_bytes: 1 << 33,
            in_byte_rate: 5,
            ..Traffic::default()
        };
        let with_stats = |kind: u16, operation: &Operation, more: &dyn Fn(&mut Writer)| {
            let bytes = payload(|writer| attributes::operation(writer, operation));
            let inside: Vec<u8> = read::nested(&bytes, kind).unwrap().to_vec();
            payload(|writer| {
                writer.put(&[0; 4]);
                let nest = writer.nest(kind);
                writer.put(&inside);
                more(writer);
                writer.close(nest);
            })
        };
        let operation = Operation::AddService(found.key, found.settings.clone());
        let bytes = with_stats(top::SERVICE, &operation, &stats);
        assert_eq!(counters::service(&bytes), Some((found.key, expected)));
        let operation = Operation::AddDestination(found.key, server, settings);
        let bytes = with_stats(top::DEST, &operation, &|writer| {
            stats(writer);
            writer.attribute(dest::ACTIVE_CONNS, &3_u32.to_ne_bytes());
            writer.attribute(dest::PERSIST_CONNS, &4_u32.to_ne_bytes());
        });
        let expected = ServerTraffic {
            traffic: expected,
            active: 3,
            inactive: 0,
            persistent: 4,
        };
        assert_eq!(
            counters::destination(&bytes, &found.key),
            Some((server, expected))
        );
    }
}

fn read_all(bytes: &[u8]) {
    let _ = counters::service(bytes);
    let _ = counters::destination(bytes, &services()[0].key);
    let _ = read::service(bytes);
    let _ = read::destination(bytes, &services()[0].key);
    let _ = read::destination(bytes, &services()[2].key);
    let _ = read::timeouts(bytes);
    let _ = read::daemon(bytes);
    let _ = read::version(bytes);
}

proptest! {
    #[test]
    fn no_answer_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        read_all(&bytes);
    }

    #[test]
    fn nor_does_a_good_one_that_was_damaged(
        which in 0usize..3,
        at in 0usize..200,
        byte in any::<u8>(),
        length in 0usize..200,
    ) {
        let found = &services()[which];
        let (server, settings) = destinations()[which];
        for operation in [
            Operation::AddService(found.key, found.settings.clone()),
            Operation::AddDestination(found.key, server, settings),
        ] {
            let mut bytes = payload(|writer| attributes::operation(writer, &operation));
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(length.max(1));
            read_all(&bytes);
        }
    }
}
