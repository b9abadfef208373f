//! Bad packets: what is refused, counted, said, and that none of it moves a timer.

use crate::lab::{MS, S, Solo, advert_of, group_config, instance, instance6};
use keepalived_rs::model::secret::Password;
use keepalived_rs::model::vrrp::{Authentication, UnicastChecksum, UnicastPeer, Version};
use keepalived_rs::state::{InstanceId, Statistics, VrrpState};
use keepalived_rs::vrrp::{Effect, Received};
use std::net::IpAddr;
use std::time::Duration;

/// What was sent to keepalived 2.4.3 as master, from 192.0.2.2: what is wrong, the TTL, the bytes after the IP
/// header, and what it logged (where ours differs: what ours logs).
const RECORDED: [(&str, u8, &str, &[&str]); 13] = [
    (
        "TTL",
        100,
        "2133320101017c19c00002647333637265743132",
        &["(VI_1) invalid TTL/HL from 192.0.2.2. Received 100 and expect 255"],
    ),
    // keepalived: counted as length, `too long, length 40 and expect 32`.
    (
        "version",
        255,
        "3133320101016c19c00002647333637265743132",
        &["(VI_1) wrong VRRP version from 192.0.2.2. Received 3 and expect 2"],
    ),
    (
        "checksum",
        255,
        "2133320101016d08c00002647333637265743132",
        &["(VI_1) Invalid VRRPv2 checksum from 192.0.2.2"],
    ),
    (
        "type",
        255,
        "2233320101017b19c00002647333637265743132",
        &["(VI_1) Invalid packet type from 192.0.2.2. 2 and expect 1"],
    ),
    // keepalived had told of a wrong length already.
    (
        "length",
        255,
        "213332010101abca",
        &["(VI_1) vrrp packet from 192.0.2.2 too short, length 28 and expect 40"],
    ),
    // keepalived: never counted.
    (
        "interval",
        255,
        "2133320101037c17c00002647333637265743132",
        &["(VI_1) advertisement interval mismatch with 192.0.2.2 mine=1 sec rcv'd=3 sec"],
    ),
    (
        "address list",
        255,
        "2133320101017bb5c00002c87333637265743132",
        &[
            "(VI_1) ip address associated with VRID 51 not present in advert from 192.0.2.2: 192.0.2.100",
            "(VI_1) Received advert from 192.0.2.2 with lower priority 50, ours 100, forcing new election",
        ],
    ),
    (
        "address count",
        255,
        "213332020101b9b4c0000264c00002637333637265743132",
        &[
            "(VI_1) expected 1 VIPs but received 2",
            "(VI_1) Received advert from 192.0.2.2 with lower priority 50, ours 100, forcing new election",
        ],
    ),
    (
        "password",
        255,
        "2133320101019b84c000026477726f6e67000000",
        &["(VI_1) received an invalid passwd from 192.0.2.2!"],
    ),
    (
        "authentication type",
        255,
        "213332010001ea65c00002640000000000000000",
        &["(VI_1) received a 0 auth from 192.0.2.2, expecting 1!"],
    ),
    (
        "unknown authentication type",
        255,
        "213332010901e165c00002640000000000000000",
        &["(VI_1) Invalid auth type from 192.0.2.2: 9"],
    ),
    (
        "priority 0",
        255,
        "213300010101ae19c00002647333637265743132",
        &["(VI_1) Master received priority 0 message"],
    ),
    (
        "lower priority",
        255,
        "2133320101017c19c00002647333637265743132",
        &["(VI_1) Received advert from 192.0.2.2 with lower priority 50, ours 100, forcing new election"],
    ),
];

fn bytes(hex: &str) -> Box<[u8]> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
        .collect()
}

fn packet(ttl: u8, message: Box<[u8]>) -> Received {
    Received {
        source: "192.0.2.2".parse().expect("address"),
        destination: Some("224.0.0.18".parse().expect("address")),
        ttl: Some(ttl),
        total_length: u16::try_from(20 + message.len()).ok(),
        identification: Some(1),
        message,
        ah: false,
        arrival: 0,
    }
}

fn statistics(solo: &Solo) -> Statistics {
    solo.group.snapshot(crate::lab::at(solo.now)).1[0].statistics
}

fn state(solo: &Solo) -> VrrpState {
    solo.group.snapshot(crate::lab::at(solo.now)).1[0].state
}

fn recorded_instance() -> keepalived_rs::model::Instance {
    let mut config = instance("VI_1", 51, 100);
    config.vips = vec![crate::lab::vip("192.0.2.100")];
    config.authentication = Authentication::Pass(Password::new(*b"s3cret12"));
    config
}

fn master() -> Solo {
    let mut solo = Solo::start(group_config(1, &[recorded_instance()]));
    solo.pass(4 * S);
    assert_eq!(state(&solo), VrrpState::Master);
    solo
}

#[test]
fn the_recorded_packets_are_told_and_counted() {
    let mut solo = master();
    let before = statistics(&solo);
    for (what, ttl, hex, lines) in RECORDED {
        solo.packet(packet(ttl, bytes(hex)));
        // What is concluded from all of them is ours to say.
        let told = solo.lines();
        let told: Vec<_> = told.iter().filter(|line| !line.contains("two masters")).collect();
        assert_eq!(told, lines.iter().collect::<Vec<_>>(), "{what}");
        solo.pass(150 * MS);
    }
    let after = statistics(&solo);
    // As recorded; length, version and interval where their names say.
    let expected = Statistics {
        advert_rcvd: 4,
        packet_len_err: 1,
        version_err: 1,
        advert_interval_err: 1,
        ip_ttl_err: 1,
        invalid_type_rcvd: 1,
        addr_list_err: 2,
        invalid_authtype: 1,
        authtype_mismatch: 1,
        auth_failure: 1,
        checksum_err: 1,
        pri_zero_rcvd: 1,
        become_master: 1,
        advert_sent: after.advert_sent,
        ..before
    };
    assert_eq!(after, expected);
    assert_eq!(state(&solo), VrrpState::Master);
}

#[test]
fn the_second_of_a_kind_is_counted_and_not_told() {
    let mut solo = master();
    for (what, ttl, hex, _) in &RECORDED[..6] {
        solo.packet(packet(*ttl, bytes(hex)));
        assert_eq!(solo.lines().len(), 1, "{what}");
        solo.packet(packet(*ttl, bytes(hex)));
        assert_eq!(solo.lines().len(), 0, "{what}");
    }
    assert_eq!(statistics(&solo).checksum_err, 2);
}

#[test]
fn a_new_state_lets_it_be_told_again() {
    let mut solo = master();
    let (_, ttl, hex, _) = RECORDED[2];
    solo.packet(packet(ttl, bytes(hex)));
    let mut higher = recorded_instance();
    higher.priority = 200;
    solo.packet(advert_of(&higher, 2));
    assert_eq!(state(&solo), VrrpState::Backup);
    solo.packet(packet(ttl, bytes(hex)));
    assert_eq!(solo.lines(), ["(VI_1) Invalid VRRPv2 checksum from 192.0.2.2"]);
}

#[test]
fn no_refused_packet_moves_a_timer() {
    for as_master in [false, true] {
        let mut solo = if as_master {
            master()
        } else {
            Solo::start(group_config(1, &[recorded_instance()]))
        };
        solo.pass(300 * MS);
        let due = solo.group.deadline();
        for (what, ttl, hex, _) in RECORDED.iter().filter(|(what, ..)| {
            !["priority 0", "lower priority", "address list", "address count"].contains(what)
        }) {
            for _ in 0..50 {
                solo.packet(packet(*ttl, bytes(hex)));
                assert!(
                    !solo.effects.iter().any(|e| !matches!(e, Effect::Report(_))),
                    "{what}"
                );
            }
            assert_eq!(solo.group.deadline(), due, "{what}");
        }
        // Also what is not long enough to be anything.
        for length in 0..8 {
            let mut message = vec![0u8; length];
            if let Some(vrid) = message.get_mut(1) {
                *vrid = 51;
            }
            solo.packet(packet(255, message.into()));
        }
        assert_eq!(solo.group.deadline(), due);
    }
}

#[test]
fn a_flood_of_lower_priority_is_answered_within_bounds() {
    let mut solo = master();
    let lower = RECORDED[12];
    let (mut adverts, mut bursts, mut lines, mut scripts) = (0, 0, 0, 0);
    for _ in 0..2000 {
        let effects = solo.packet(packet(lower.1, bytes(lower.2))).clone();
        for effect in effects {
            match effect {
                Effect::Advertise { .. } => adverts += 1,
                Effect::Announce { .. } => bursts += 1,
                Effect::Report(_) => lines += 1,
                Effect::Notify(_) => scripts += 1,
                other => panic!("{other:?}"),
            }
        }
        solo.pass(MS / 2);
    }
    assert_eq!(adverts, 2000);
    assert!(
        bursts <= 8 && lines <= 8 && scripts <= 8,
        "{bursts} bursts, {lines} lines, {scripts} notifications"
    );
    assert!(bursts > 0);
}

#[test]
fn a_flood_does_not_delay_an_advert() {
    let mut solo = master();
    let mut last = solo.now;
    let (_, ttl, hex, _) = RECORDED[2];
    for _ in 0..10_000 {
        solo.packet(packet(ttl, bytes(hex)));
        for effect in solo.pass(MS).clone() {
            if let Effect::Advertise { .. } = effect {
                last = solo.now;
            }
        }
        assert!(solo.now - last <= S + MS);
    }
}

#[test]
fn version_3_learns_the_interval_but_not_zero() {
    let mut config = instance("VI_1", 51, 100);
    config.version = Version::V3;
    let mut solo = Solo::start(group_config(1, &[config.clone()]));
    config.priority = 200;
    config.advert_interval = Duration::from_millis(200);
    solo.packet(advert_of(&config, 2));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) master set to 192.0.2.2",
            "(VI_1) advertisement interval updated from 1000ms to 200ms by master",
            "(VI_1) advertisement interval mismatch ours = 100 centi-sec rcv'd=20 centi-sec",
        ]
    );
    // Three intervals and the skew time, of the master's interval: centiseconds, not seconds.
    let down = 600 * MS + 156 * 200 * MS / 256;
    assert_eq!(solo.group.deadline().map(|(due, ..)| due), Some(solo.now + down));
    let due = solo.group.deadline();
    let mut zero = advert_of(&config, 2);
    zero.message[4..6].copy_from_slice(&[0, 0]);
    solo.packet(zero);
    assert_eq!(solo.group.deadline(), due);
    assert_eq!(statistics(&solo).advert_interval_err, 1);
    solo.pass(down);
    assert!(
        solo.lines()
            .contains(&"(VI_1) changing advert interval from 200ms to locally configured 1000ms".into())
    );
    assert_eq!(solo.group.deadline().map(|(due, ..)| due), Some(solo.now + S));
}

#[test]
fn version_3_checksums_with_and_without_pseudo_header() {
    let mut config = instance("VI_1", 51, 100);
    config.version = Version::V3;
    let mut plain = config.clone();
    plain.v3_checksum_as_v2 = true;
    plain.priority = 200;
    let from_plain = advert_of(&plain, 2);
    let mut solo = Solo::start(group_config(1, &[config.clone()]));
    solo.packet(from_plain.clone());
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) Invalid VRRPv3 checksum from 192.0.2.2 (it has no pseudo header; v3_checksum_as_v2 would accept it)"
        ]
    );
    config.v3_checksum_as_v2 = true;
    let mut solo = Solo::start(group_config(1, &[config]));
    solo.packet(from_plain);
    assert_eq!(solo.lines(), ["(VI_1) master set to 192.0.2.2"]);
}

fn unicast(host: u8, priority: u8) -> keepalived_rs::model::Instance {
    let mut config = instance("VI_1", 51, priority);
    config.version = Version::V3;
    config.unicast = true;
    config.source = Some(IpAddr::from([192, 0, 2, host]));
    config.peers = vec![UnicastPeer {
        address: IpAddr::from([192, 0, 2, 3 - host]),
        min_ttl: 60,
        max_ttl: 64,
    }];
    config.unicast_ttl = Some(64);
    config
}

#[test]
fn unicast_goes_to_the_peer_and_comes_from_one() {
    let mut solo = Solo::start(group_config(1, &[unicast(1, 100)]));
    let advert = advert_of(&unicast(2, 200), 2);
    assert_eq!(
        (advert.ttl, advert.destination),
        (Some(64), Some(IpAddr::from([192, 0, 2, 1])))
    );
    solo.packet(advert.clone());
    assert_eq!(solo.lines(), ["(VI_1) master set to 192.0.2.2"]);

    let mut config = unicast(1, 100);
    config.check_unicast_source = true;
    let mut solo = Solo::start(group_config(1, &[config]));
    solo.packet(Received {
        ttl: Some(63),
        ..advert.clone()
    });
    assert_eq!(solo.lines(), ["(VI_1) master set to 192.0.2.2"]);
    solo.packet(Received {
        ttl: Some(65),
        ..advert.clone()
    });
    assert_eq!(
        solo.lines(),
        ["(VI_1) TTL/HL 65 from 192.0.2.2 not in range [60, 64]"]
    );
    let mut stranger = unicast(2, 200);
    stranger.source = Some(IpAddr::from([192, 0, 2, 9]));
    solo.packet(advert_of(&stranger, 9));
    assert_eq!(
        solo.lines(),
        ["(VI_1) unicast source address 192.0.2.9 not a unicast peer"]
    );
    let multicast = Received {
        destination: Some(IpAddr::from([224, 0, 0, 18])),
        ..advert
    };
    solo.packet(multicast);
    assert!(
        solo.lines()
            .iter()
            .any(|line| line.starts_with("(VI_1) Invalid VRRPv3 checksum"))
    );
}

#[test]
fn the_old_unicast_checksum_is_learned_unless_never() {
    let mut old = unicast(2, 200);
    old.unicast_checksum = UnicastChecksum::Old;
    let advert = advert_of(&old, 2);
    let mut solo = Solo::start(group_config(1, &[unicast(1, 100)]));
    solo.packet(advert.clone());
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) master set to 192.0.2.2",
            "(VI_1) Setting unicast VRRPv3 checksum to old version"
        ]
    );
    // From now on ours is the old one too.
    let ours = solo.group.advert(InstanceId(51), 100)[0].clone();
    let mut twin = unicast(1, 100);
    twin.unicast_checksum = UnicastChecksum::Old;
    assert_eq!(
        crate::lab::received(&ours, 0).message,
        advert_of(&twin, 1).message
    );

    let mut config = unicast(1, 100);
    config.unicast_checksum = UnicastChecksum::Never;
    let mut solo = Solo::start(group_config(1, &[config]));
    solo.packet(advert);
    assert_eq!(solo.lines(), ["(VI_1) Invalid VRRPv3 checksum from 192.0.2.2"]);
}

#[test]
fn ipv6_hop_limit_must_be_255() {
    let advert = advert_of(&instance6("VI_6", 62, 200), 2);
    assert_eq!(
        (advert.ttl, advert.source),
        (Some(255), "fe80::2".parse().expect("address"))
    );
    let mut solo = Solo::start(group_config(1, &[instance6("VI_6", 62, 100)]));
    solo.packet(Received {
        ttl: Some(64),
        ..advert.clone()
    });
    assert_eq!(
        solo.lines(),
        ["(VI_6) invalid TTL/HL from fe80::2. Received 64 and expect 255"]
    );
    solo.packet(advert);
    assert_eq!(solo.lines(), ["(VI_6) master set to fe80::2"]);
}

#[test]
fn the_address_list_is_looked_at_once_with_skip_check_adv_addr() {
    let mut other = instance("VI_1", 51, 200);
    other.vips.push(crate::lab::vip("192.0.2.77"));
    let advert = advert_of(&other, 2);
    let mut config = instance("VI_1", 51, 100);
    for (skip, counted) in [(false, 3), (true, 1)] {
        config.skip_check_adv_addr = skip;
        let mut solo = Solo::start(group_config(1, &[config.clone()]));
        for _ in 0..3 {
            solo.packet(advert.clone());
        }
        assert_eq!(statistics(&solo).addr_list_err, counted);
        // Never a reason to refuse it.
        assert_eq!(statistics(&solo).advert_rcvd, 3);
    }
}

#[test]
fn an_owner_that_ignores_adverts() {
    let mut config = instance("VI_1", 51, 255);
    config.owner_ignore_adverts = true;
    let mut solo = Solo::start(group_config(1, &[config.clone()]));
    solo.pass(MS);
    solo.packet(advert_of(&config, 2));
    assert_eq!(
        solo.lines(),
        ["(VI_1) Dropping packet(s) from 192.0.2.2 since we are address owner"]
    );
    assert_eq!(statistics(&solo).advert_rcvd, 0);
}

#[test]
fn ethernet_padding_is_no_error() {
    let mut advert = advert_of(&instance("VI_1", 51, 200), 2);
    let mut message = advert.message.to_vec();
    message.extend_from_slice(&[0; 6]);
    advert.message = message.into();
    let mut solo = Solo::start(group_config(1, &[instance("VI_1", 51, 100)]));
    solo.packet(advert);
    assert_eq!(solo.lines(), ["(VI_1) master set to 192.0.2.2"]);
}
