//! What is tracked: weights, faults, interfaces, the source address.

use crate::alone::*;
use crate::lab::{S, Solo, advert_of, group_config, instance, instance6, interface};
use keepalived_rs::model::vrrp::Version;
use keepalived_rs::state::notice::What;
use keepalived_rs::state::track::{TrackSource, Verdict};
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::{Effect, Event};

#[test]
fn weights_add_up_and_move_the_deadline_of_a_backup() {
    let mut config = instance("VI_1", 51, 100);
    config.track_scripts = vec![
        tracked("up", 30, false),
        tracked("down", -20, false),
        tracked("not", -7, true),
    ];
    config.track_files = vec![tracked("file", 3, false)];
    config.track_interfaces = vec![tracked("eth1", 11, false)];
    config.notify_priority_changes = true;
    let mut solo = start(&config);
    assert_eq!(now(&solo).effective_priority, 100);
    let before = due(&solo);
    solo.handle(verdict(script("up"), Verdict::Up));
    assert_eq!(
        solo.lines(),
        ["(VI_1) Changing effective priority from 100 to 130"]
    );
    assert_eq!(due(&solo), before - 30 * S / 256);
    solo.handle(verdict(script("down"), Verdict::Down));
    solo.handle(verdict(script("not"), Verdict::Down));
    solo.handle(verdict(TrackSource::File("file".into()), Verdict::Value(-4)));
    solo.handle(Event::Interface(interface("eth1", 11, 9, true)));
    let snapshot = now(&solo);
    assert_eq!(snapshot.total_priority, 100 + 30 - 20 + 7 - 12 + 11);
    assert_eq!(
        snapshot
            .contributions
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect::<Vec<_>>(),
        [
            ("base", 100),
            ("interface eth1", 11),
            ("script up", 30),
            ("script down", -20),
            ("script not", 7),
            ("file file", -12)
        ]
    );
    assert_eq!(u64::from(snapshot.effective_priority), 116);
    assert_eq!(
        snapshot.master_down.as_nanos() as u64,
        3 * S + (256 - 116) * S / 256
    );
    let mut causes = solo.effects.iter().filter_map(|effect| match effect {
        Effect::Report(notice) if matches!(notice.what, What::Priority { .. }) => Some(&*notice.cause),
        _ => None,
    });
    assert_eq!(
        causes.next_back(),
        Some("base 100, interface eth1 +11, script up +30, script down -20, script not +7, file file -12")
    );
    // The clamp.
    solo.handle(verdict(TrackSource::File("file".into()), Verdict::Value(80)));
    assert_eq!(
        (now(&solo).total_priority, now(&solo).effective_priority),
        (368, 254)
    );
    // A weighted file far below is a fault.
    solo.handle(verdict(TrackSource::File("file".into()), Verdict::Value(-85)));
    assert_eq!(now(&solo).state, VrrpState::Fault);
}

#[test]
fn an_owner_is_not_weighed() {
    let mut config = instance("VI_1", 51, 255);
    config.track_scripts = vec![tracked("chk", -20, false)];
    let mut solo = master(&config);
    solo.handle(verdict(script("chk"), Verdict::Down));
    assert!(solo.effects.is_empty());
    assert_eq!(now(&solo).effective_priority, 255);
}

#[test]
fn a_changed_priority_is_in_the_next_advert_with_its_checksum() {
    for version in [Version::V2, Version::V3] {
        let mut config = instance("VI_1", 51, 100);
        config.version = version;
        config.track_scripts = vec![tracked("chk", -20, false)];
        let mut solo = master(&config);
        solo.group.advert(InstanceId(51), 100);
        solo.handle(verdict(script("chk"), Verdict::Down));
        assert!(adverts(&solo).is_empty());
        solo.pass(S);
        assert_eq!(adverts(&solo), [80]);
        let patched = crate::lab::received(&solo.group.advert(InstanceId(51), 80)[0].clone(), 0);
        let mut other = config.clone();
        other.track_scripts.clear();
        other.priority = 80;
        assert_eq!(patched, advert_of(&other, 2));
    }
}

#[test]
fn a_weightless_script_decides_silently_at_first() {
    let mut config = instance("VI_1", 51, 100);
    config.track_scripts = vec![tracked("chk", 0, false)];
    let mut solo = start(&config);
    assert!(solo.effects.is_empty(), "{:?}", solo.lines());
    assert_eq!((now(&solo).state, now(&solo).scripts_init), (VrrpState::Init, 1));
    solo.handle(verdict(script("chk"), Verdict::Down));
    assert_eq!(now(&solo).state, VrrpState::Fault);
    assert!(solo.lines().is_empty());
    solo.handle(verdict(script("chk"), Verdict::Up));
    assert_eq!(solo.lines(), ["(VI_1) Entering BACKUP STATE"]);
    solo.pass(4 * S);
    solo.handle(verdict(script("chk"), Verdict::Down));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1): entering FAULT state due to script chk",
            "(VI_1) Entering FAULT STATE",
            "(VI_1) sent 0 priority"
        ]
    );
    assert_eq!(adverts(&solo), [0]);
    assert_eq!(now(&solo).cause, "script chk fails");
    assert_eq!(
        (now(&solo).statistics.pri_zero_sent, now(&solo).tracker_faults),
        (1, 1)
    );
}

#[test]
fn reverse_without_weight_is_a_fault_while_it_succeeds() {
    let mut config = instance("VI_1", 51, 100);
    config.track_scripts = vec![tracked("chk", 0, true)];
    let mut solo = start(&config);
    solo.handle(verdict(script("chk"), Verdict::Up));
    assert_eq!(now(&solo).state, VrrpState::Fault);
    solo.handle(verdict(script("chk"), Verdict::Down));
    assert_eq!(now(&solo).state, VrrpState::Backup);
}

#[test]
fn a_file_without_weight() {
    let mut config = instance("VI_1", 51, 100);
    config.track_files = vec![tracked("tf", 0, false)];
    let mut solo = start(&config);
    solo.handle(verdict(TrackSource::File("tf".into()), Verdict::Value(1)));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1): tracked file tf now FAULT state",
            "(VI_1) Entering FAULT STATE"
        ]
    );
    solo.handle(verdict(TrackSource::File("tf".into()), Verdict::Value(0)));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1): tracked file tf leaving FAULT state",
            "(VI_1) Entering BACKUP STATE"
        ]
    );
}

#[test]
fn a_bfd_session_is_down_until_it_is_up() {
    let mut config = instance("VI_1", 51, 100);
    config.track_bfd = vec![tracked("b", 0, false)];
    let mut solo = start(&config);
    assert_eq!(now(&solo).state, VrrpState::Fault);
    solo.handle(verdict(TrackSource::Bfd("b".into()), Verdict::Up));
    assert_eq!(
        solo.lines(),
        [
            "VRRP_Instance(VI_1) Tracked BFD instance b is UP",
            "(VI_1) Entering BACKUP STATE"
        ]
    );
}

#[test]
fn the_link_goes_down_and_comes_back() {
    let mut solo = master(&instance("VI_1", 51, 100));
    solo.handle(Event::Interface(interface("eth0", 10, 2, false)));
    assert_eq!(
        solo.lines(),
        ["(VI_1) Entering FAULT STATE", "(VI_1) sent 0 priority"]
    );
    assert_eq!(now(&solo).interface_faults, ["i/f down"]);
    assert_eq!(now(&solo).cause, "interface eth0 down");
    assert_eq!(solo.group.deadline(), None);
    solo.handle(Event::Interface(interface("eth0", 10, 2, true)));
    assert_eq!(solo.lines(), ["(VI_1) Entering BACKUP STATE"]);
    assert_eq!(due(&solo), solo.now + 3 * S + SKEW_100);
}

#[test]
fn down_at_the_start() {
    let mut config = group_config(2, &[instance("VI_1", 51, 120)]);
    config
        .interfaces
        .insert("eth0".into(), interface("eth0", 10, 2, false));
    let solo = Solo::start(config);
    assert_eq!(
        solo.lines(),
        [
            "(VI_1): entering FAULT state (interface eth0 down)",
            "(VI_1) entering FAULT state"
        ]
    );
    assert!(
        solo.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Notify(_)))
    );
}

#[test]
fn deleted_and_made_again_with_another_index() {
    let mut solo = master(&instance("VI_1", 51, 100));
    solo.handle(Event::InterfaceGone {
        index: 10,
        name: "eth0".into(),
    });
    assert_eq!(
        (now(&solo).state, now(&solo).interface_index),
        (VrrpState::Fault, 0)
    );
    solo.handle(Event::Interface(interface("eth0", 42, 2, true)));
    assert_eq!(
        (now(&solo).state, now(&solo).interface_index),
        (VrrpState::Backup, 42)
    );
    // Old news of the old one.
    solo.handle(Event::InterfaceGone {
        index: 10,
        name: "eth0".into(),
    });
    assert_eq!(now(&solo).state, VrrpState::Backup);
    // Renamed away.
    solo.handle(Event::Interface(interface("eth9", 42, 2, true)));
    assert_eq!(now(&solo).state, VrrpState::Fault);
}

#[test]
fn one_that_does_not_exist_yet_is_waited_for() {
    let mut config = group_config(2, &[instance("VI_1", 51, 100)]);
    config.interfaces.clear();
    let mut solo = Solo::start(config);
    assert_eq!(now(&solo).state, VrrpState::Fault);
    solo.handle(Event::Interface(interface("eth0", 3, 2, true)));
    assert_eq!(now(&solo).state, VrrpState::Backup);
}

#[test]
fn dont_track_primary() {
    let mut config = instance("VI_1", 51, 100);
    config.dont_track_primary = true;
    let mut solo = master(&config);
    solo.handle(Event::Interface(interface("eth0", 10, 2, false)));
    assert_eq!(now(&solo).state, VrrpState::Master);
}

#[test]
fn the_source_address() {
    let mut link = (*interface("eth0", 10, 2, true)).clone();
    let bare = |link: &keepalived_rs::state::Interface| {
        let mut link = link.clone();
        link.addresses.clear();
        std::sync::Arc::new(link)
    };
    let mut solo = master(&instance("VI_1", 51, 100));
    solo.handle(Event::Interface(bare(&link)));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) entering FAULT state (no IPv4 address for interface)",
            "(VI_1) Entering FAULT STATE",
            "(VI_1) sent 0 priority"
        ]
    );
    // The last advert still goes out, from the address that is gone.
    assert_eq!(solo.group.advert(InstanceId(51), 0).len(), 1);
    // A virtual address on the interface is none to send from.
    let mut own = link.addresses[0].clone();
    own.address = "192.0.2.151".parse().expect("address");
    link.addresses.insert(0, own);
    solo.handle(Event::Interface(link.clone().into()));
    assert_eq!(now(&solo).source, Some("192.0.2.2".parse().expect("address")));
    // IPv6 sends from the link-local one.
    let solo = start(&instance6("VI_6", 62, 100));
    assert_eq!(now(&solo).source, Some("fe80::2".parse().expect("address")));
}
