//! A link that is up and has received nothing: nobody behind it becomes master before it has.

use crate::alone::*;
use crate::lab::{MS, S, Solo, advert_of, group_config, instance, interface};
use keepalived_rs::model::Instance;
use keepalived_rs::model::vrrp::Version;
use keepalived_rs::state::interface::Hearing;
use keepalived_rs::state::{Interface, VrrpState};
use keepalived_rs::vrrp::{Effect, Event};
use std::sync::Arc;
use std::time::Duration;

const INTERVAL: u64 = 100 * MS;
/// Master down interval at priority 100.
const DOWN: u64 = 3 * INTERVAL + 156 * INTERVAL / 256;

fn quick(priority: u8) -> Instance {
    Instance {
        version: Version::V3,
        advert_interval: Duration::from_millis(100),
        ..instance("VI_1", 51, priority)
    }
}

fn link(up: bool, hearing: Hearing) -> Event {
    let mut link = Interface::clone(&interface("eth0", 10, 2, up));
    link.hearing = hearing;
    Event::Interface(Arc::new(link))
}

/// A backup of a master with priority 150, whose link has gone and come back deaf.
fn back(config: &Instance, met: bool) -> Solo {
    let mut solo = start(config);
    if met {
        solo.packet(advert_of(&quick(150), 3));
    }
    solo.handle(link(false, Hearing::Something));
    solo.handle(link(true, Hearing::Nothing));
    solo
}

fn state(solo: &Solo) -> VrrpState {
    now(solo).state
}

fn announcements(solo: &Solo) -> usize {
    let own = |effect: &&Effect| matches!(effect, Effect::AnnounceSource { .. });
    solo.effects.iter().filter(own).count()
}

/// Who waits, and who takes over as ever.
#[test]
fn who_waits() {
    use Hearing::{Nothing, NothingSinceBoot, Something};
    let plain = quick(100);
    let mut peers = quick(100);
    peers.unicast = true;
    peers.peers = vec![keepalived_rs::model::vrrp::UnicastPeer {
        address: "192.0.2.3".parse().unwrap(),
        min_ttl: 0,
        max_ttl: 255,
    }];
    let owner = quick(255);
    let table: [(&str, &Instance, bool, Hearing, bool); 8] = [
        ("has met another", &plain, true, Nothing, true),
        ("hears", &plain, true, Something, false),
        ("has never met another", &plain, false, Nothing, false),
        ("peers in the file", &peers, false, Nothing, true),
        ("the machine's start", &plain, false, NothingSinceBoot, true),
        ("the start, with peers", &peers, false, NothingSinceBoot, true),
        ("an address owner", &owner, false, Nothing, false),
        (
            "an address owner at the start",
            &owner,
            false,
            NothingSinceBoot,
            false,
        ),
    ];
    for (what, config, met, hearing, waits) in table {
        let mut solo = start(config);
        if met {
            solo.packet(advert_of(&quick(150), 3));
        }
        solo.handle(link(false, Something));
        solo.handle(link(true, hearing));
        solo.pass(DOWN + MS);
        assert_eq!(state(&solo) == VrrpState::Backup, waits, "{what}");
        solo.pass(60 * S);
        assert_eq!(state(&solo) == VrrpState::Backup, waits, "{what}, after a minute");
    }
}

/// From the first frame on it is an election like any other, and nobody is waited for any longer.
#[test]
fn it_counts_from_the_first_frame() {
    for silent in [DOWN / 2, 5 * DOWN, 40 * S] {
        let mut solo = back(&quick(100), true);
        solo.pass(silent);
        let from = solo.now;
        solo.handle(link(true, Hearing::Something));
        assert_eq!(due(&solo), from + DOWN, "silent for {silent} ns");
        solo.pass(DOWN);
        assert_eq!(state(&solo), VrrpState::Master, "silent for {silent} ns");
    }
    let mut solo = back(&quick(100), true);
    solo.pass(5 * DOWN);
    solo.handle(link(true, Hearing::Something));
    solo.pass(DOWN / 2);
    solo.packet(advert_of(&quick(150), 3));
    solo.pass(DOWN / 2 + MS);
    assert_eq!(state(&solo), VrrpState::Backup);
}

/// The first frame is an advert: its word is what counts, also when it says good-bye.
#[test]
fn an_advert_is_evidence_enough() {
    let mut solo = back(&quick(100), true);
    solo.pass(5 * DOWN);
    let at = solo.now;
    solo.packet(advert_of(&quick(150), 3));
    solo.pass(10 * MS);
    solo.handle(link(true, Hearing::Something));
    assert_eq!(due(&solo), at + DOWN);

    let mut solo = back(&quick(100), true);
    solo.pass(DOWN / 2);
    let at = solo.now;
    solo.packet(advert_of(&quick(0), 3));
    solo.pass(MS);
    solo.handle(link(true, Hearing::Something));
    assert_eq!(due(&solo), at + 156 * INTERVAL / 256, "the skew time");
}

/// Said once, and heard by whoever waits too.
#[test]
fn it_makes_itself_heard() {
    let mut solo = back(&quick(100), true);
    assert_eq!(announcements(&solo), 1, "at once");
    let mut said = Vec::new();
    let mut heard = 0;
    for _ in 0..40 {
        solo.pass(INTERVAL);
        said.extend(solo.lines());
        heard += announcements(&solo);
    }
    assert_eq!(heard, 4);
    let waits = said
        .iter()
        .filter(|line| line.contains("eth0 is up, but has received nothing"));
    assert_eq!(waits.count(), 1, "{said:?}");
    assert!(adverts(&solo).is_empty());
    // A link that comes up once more is told of once more.
    solo.handle(link(false, Hearing::Something));
    solo.handle(link(true, Hearing::Nothing));
    solo.pass(DOWN + MS);
    assert!(
        solo.lines()
            .iter()
            .any(|line| line.contains("has received nothing"))
    );
}

/// At the start of the machine, and then a reload while it waits.
#[test]
fn a_reload_ends_no_wait() {
    let mut config = group_config(2, &[quick(100)]);
    let mut deaf = Interface::clone(&interface("eth0", 10, 2, true));
    deaf.hearing = Hearing::NothingSinceBoot;
    config.interfaces.insert("eth0".into(), Arc::new(deaf));
    let mut solo = Solo::start(config.clone());
    solo.pass(5 * DOWN);
    solo.handle(Event::Reconfigure(Box::new(config)));
    solo.pass(5 * DOWN);
    assert_eq!(state(&solo), VrrpState::Backup);
    solo.handle(link(true, Hearing::Something));
    solo.pass(DOWN);
    assert_eq!(state(&solo), VrrpState::Master);
}
