//! Adverts and BFD packets, through the state machines that hear them.

use crate::driver::{Corpus, corpus, run};
use crate::lab::{MS, S, Solo, advert_of, at, group_config, instance, instance6, vip};
use keepalived_rs::bfd::session::{self, Session};
use keepalived_rs::model::bfd::BfdInstance;
use keepalived_rs::model::secret::{Key, Password};
use keepalived_rs::model::vrrp::{AuthHmac, Authentication, HmacMode, Instance, Version};
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::{Effect, Event, Received};
use keepalived_rs::wire::{self, ah, ipv4, trailer, vrrp};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

const PEER: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
/// Log lines of a run of packets in one second, for each instance: every kind of complaint is told once.
const LINES: usize = 200;

/// An IPv4 packet as a socket gives it; anything else is what follows an IPv6 header.
fn received(packet: &[u8]) -> Option<Received> {
    if packet.first()? >> 4 != 4 {
        return Some(Received {
            source: PEER,
            destination: Some("ff02::12".parse().expect("an address")),
            ttl: Some(255),
            total_length: None,
            identification: None,
            message: packet.into(),
            ah: false,
            arrival: 0,
        });
    }
    let header = ipv4::Repr::parse(packet).ok()?;
    Some(Received {
        source: header.source.into(),
        destination: Some(header.destination.into()),
        ttl: Some(header.ttl),
        total_length: Some(header.total_length),
        identification: Some(u16::from_be_bytes([packet[4], packet[5]])),
        message: packet.get(header.header_length..)?.into(),
        ah: header.protocol == 51,
        arrival: 0,
    })
}

fn hear(config: &Instance, name: &str, corpus: &Corpus) {
    let id = InstanceId(u32::from(config.vrid));
    let start = |host| Solo::start(group_config(host, std::slice::from_ref(config)));
    let mut solo = start(2);
    let (mut second, mut lines) = (0, 0);
    let mut heard = 0;
    run(name, corpus, 4000, |packet| {
        let _ = vrrp::Packet::new(packet).map(|packet| {
            let _ = packet.checksum_ok(PEER, PEER, false);
            assert!(packet.addresses(true).count() <= 255);
        });
        let _ = ah::Header::parse(packet);
        if let Some(last) = packet.last_chunk::<{ trailer::LENGTH }>() {
            let _ = trailer::Trailer::parse(last);
        }
        let Some(packet) = received(packet) else { return };
        solo.pass(3 * MS);
        let arrival = solo.now;
        solo.handle(Event::Packet {
            instance: id,
            packet: Received { arrival, ..packet },
        });
        heard += 1;
        if solo.now / S != second {
            (second, lines) = (solo.now / S, 0);
        }
        lines += solo.lines().len();
        assert!(lines < LINES, "{lines} lines in a second");
        assert!(solo.effects.len() < 20, "{:?}", solo.effects);
        let due = solo.group.deadline().expect("a timer that runs").0;
        assert!(
            due > solo.now,
            "what is due at {due} was not done at {}",
            solo.now
        );
    });
    assert!(heard > corpus.len() as u64, "packets that have an IP header");
    // A router that has heard all that still does its work.
    solo.pass(60 * S);
    let state = solo.group.snapshot(at(solo.now)).1[0].state;
    assert_eq!(state, VrrpState::Master);
    assert!(
        solo.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Advertise { .. }))
    );
}

#[test]
fn adverts_of_version_2_with_a_password() {
    let mut config = instance("V2", 51, 100);
    config.authentication = Authentication::Pass(Password::new(*b"s3cret12"));
    config.vips = vec![vip("192.0.2.100"), vip("192.0.2.101")];
    hear(&config, "VRRP version 2", &corpus("vrrp"));
}

#[test]
fn adverts_of_version_3() {
    let mut config = instance("V3", 61, 100);
    config.version = Version::V3;
    config.advert_interval = Duration::from_millis(500);
    config.vips = vec![vip("192.0.2.111")];
    hear(&config, "VRRP version 3", &corpus("vrrp"));
    let mut config = instance6("V6", 62, 100);
    config.vips = vec![vip("fe80::100"), vip("2001:db8:0:1::100")];
    hear(&config, "VRRP version 3 over IPv6", &corpus("vrrp"));
}

#[test]
fn adverts_with_an_authentication_header() {
    let mut config = instance("AH", 51, 100);
    config.authentication = Authentication::Ah(Password::new(*b"ahsecret"));
    hear(&config, "AH", &corpus("ah"));
}

#[test]
fn adverts_that_are_signed() {
    for mode in [HmacMode::Enforce, HmacMode::Permissive] {
        let mut config = instance6("HMAC", 62, 150);
        config.auth_hmac = Some(AuthHmac {
            keys: vec![(1, Key::new(b"0123456789abcdef0123456789abcdef".to_vec()))],
            active_key: 1,
            time_window: 10,
            monotonic: false,
            mode,
        });
        let mut inputs = corpus("vrrp");
        inputs.push(("ours".to_owned(), advert_of(&config, 1).message.into_vec()));
        config.priority = 100;
        hear(&config, "auth_hmac", &inputs);
    }
}

#[test]
fn packets_of_bfd() {
    let config = BfdInstance {
        name: "b".into(),
        source: None,
        neighbor: "192.0.2.2".parse().expect("an address"),
        min_rx: Duration::from_millis(50),
        min_tx: Duration::from_millis(50),
        idle_tx: Duration::from_secs(1),
        multiplier: 3,
        passive: false,
        ttl: None,
        max_hops: 0,
        multihop: false,
        weight: 0,
        reverse: false,
        vrrp: true,
        checker: true,
    };
    let mut out = Vec::new();
    let mut now = S;
    let mut session = Session::start(config.into(), at(now), 1, true, &mut out);
    run("BFD", &corpus("bfd"), 10_000, |input| {
        now += 5 * MS;
        out.clear();
        // One in two knows our discriminator, as the daemon sees to it.
        let Ok(mut packet) = wire::bfd::Repr::parse(input) else {
            return;
        };
        if packet.mine % 2 == 0 && packet.yours != 0 {
            packet.yours = session.discriminator();
        }
        let event = session::Event::Packet { packet, arrival: now };
        session.handle(at(now), event, &mut out);
        assert!(out.len() < 10, "{out:?}");
        if let Some((due, _)) = session.deadline() {
            assert!(due > now, "what is due at {due} was not done at {now}");
        }
    });
}

#[test]
fn what_a_corpus_holds_is_heard() {
    // Otherwise damaged ones would never get beyond the first check.
    let mut config = instance("AH", 51, 100);
    config.authentication = Authentication::Ah(Password::new(*b"ahsecret"));
    let mut solo = Solo::start(group_config(2, &[config]));
    let packet = received(&corpus("ah")[0].1).expect("an IP packet");
    let arrival = solo.now;
    let id = InstanceId(51);
    solo.handle(Event::Packet {
        instance: id,
        packet: Received { arrival, ..packet },
    });
    assert!(
        !solo
            .lines()
            .iter()
            .any(|line| line.contains("invalid IPSEC HMAC-MD5")),
        "{:?}",
        solo.lines()
    );
}
