//! One behaviour a test: timers and their schedule, preemption, owners, holds, tracking, interfaces.

use crate::lab::{MS, S, Solo, advert_of, at, group_config, instance, instance6, interface};
use keepalived_rs::model::vrrp::{Authentication, InitialState, Version};
use keepalived_rs::model::{Instance, Tracked};
use keepalived_rs::state::snapshot::InstanceSnapshot;
use keepalived_rs::state::track::{TrackSource, Verdict};
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::{Effect, Event, Group, Received};
use std::time::Duration;

const SKEW_100: u64 = 156 * S / 256;

pub fn now(solo: &Solo) -> InstanceSnapshot {
    solo.group.snapshot(at(solo.now)).1.remove(0)
}

fn due(solo: &Solo) -> u64 {
    solo.group.deadline().expect("a timer").0
}

fn adverts(solo: &Solo) -> Vec<u8> {
    let sent = solo.effects.iter().filter_map(|effect| match effect {
        Effect::Advertise { priority, .. } => Some(*priority),
        _ => None,
    });
    sent.collect()
}

fn start(config: &Instance) -> Solo {
    Solo::start(group_config(2, std::slice::from_ref(config)))
}

fn master(config: &Instance) -> Solo {
    let mut solo = start(config);
    solo.pass(20 * S);
    assert_eq!(now(&solo).state, VrrpState::Master);
    solo
}

fn verdict(source: TrackSource, verdict: Verdict) -> Event {
    Event::Track { source, verdict }
}

fn script(name: &str) -> TrackSource {
    TrackSource::Script(name.into())
}

fn tracked(name: &str, weight: i32, reverse: bool) -> Tracked {
    Tracked {
        name: name.into(),
        weight,
        reverse,
    }
}

// Timers.

#[test]
fn a_late_advert_does_not_move_those_after_it() {
    let mut solo = master(&instance("VI_1", 51, 100));
    let first = due(&solo);
    for n in 0..100 {
        solo.now = first + n * S + 3 * MS;
        solo.handle(Event::Tick);
        assert_eq!(adverts(&solo), [100]);
        assert_eq!(due(&solo), first + (n + 1) * S);
    }
}

#[test]
fn missed_adverts_are_not_made_up_for() {
    let mut solo = master(&instance("VI_1", 51, 100));
    let first = due(&solo);
    solo.now = first + 7 * S + 300 * MS;
    solo.handle(Event::Tick);
    assert_eq!(adverts(&solo), [100]);
    assert_eq!(due(&solo), first + 8 * S);
}

#[test]
fn a_backup_counts_from_the_arrival() {
    let mut solo = start(&instance("VI_1", 51, 100));
    solo.now += 500 * MS;
    let packet = Received {
        arrival: solo.now - 40 * MS,
        ..advert_of(&instance("VI_1", 51, 150), 3)
    };
    let arrival = packet.arrival;
    solo.handle(Event::Packet {
        instance: InstanceId(51),
        packet,
    });
    assert_eq!(due(&solo), arrival + 3 * S + SKEW_100);
    // A clock that says "later than now" is not believed.
    let packet = Received {
        arrival: u64::MAX,
        ..advert_of(&instance("VI_1", 51, 150), 3)
    };
    solo.handle(Event::Packet {
        instance: InstanceId(51),
        packet,
    });
    assert_eq!(due(&solo), solo.now + 3 * S + SKEW_100);
}

#[test]
fn a_beaten_master_counts_from_the_arrival() {
    let mut solo = master(&instance("VI_1", 51, 100));
    let packet = Received {
        arrival: solo.now - 5 * MS,
        ..advert_of(&instance("VI_1", 51, 150), 3)
    };
    solo.handle(Event::Packet {
        instance: InstanceId(51),
        packet,
    });
    assert_eq!(due(&solo), solo.now - 5 * MS + 3 * S + SKEW_100);
    assert_eq!(now(&solo).master, Some("192.0.2.3".parse().expect("address")));
}

#[test]
fn the_first_timer() {
    let mut config = instance("VI_1", 51, 100);
    assert_eq!(due(&start(&config)), S + 3 * S + SKEW_100);
    // MASTER below 255: one interval and the skew time of an owner.
    config.initial_state = InitialState::Master;
    assert_eq!(due(&start(&config)), S + S + S / 256);
    // An owner at once.
    assert_eq!(due(&start(&instance("VI_1", 51, 255))), S);
    // down_timer_adverts, version 3, the interval of the file.
    config.initial_state = InitialState::Backup;
    config.version = Version::V3;
    config.advert_interval = Duration::from_millis(10);
    config.down_timer_adverts = 5;
    assert_eq!(due(&start(&config)), S + 50 * MS + 156 * 10 * MS / 256);
}

#[test]
fn nothing_happens_during_the_startup_delay() {
    let mut config = group_config(2, &[instance("VI_1", 51, 255)]);
    config.hold_until = 10 * S;
    let mut solo = Solo::start(config);
    solo.packet(advert_of(&instance("VI_1", 51, 255), 3));
    assert!(solo.effects.is_empty());
    assert_eq!(now(&solo).statistics.advert_rcvd, 0);
    assert_eq!(due(&solo), 10 * S);
    solo.pass(9 * S + MS);
    assert_eq!(now(&solo).state, VrrpState::Master);
}

#[test]
fn announcements_second_burst_and_refresh() {
    let mut config = instance("VI_1", 51, 100);
    config.garp.refresh = Duration::from_secs(60);
    config.garp.refresh_repeat = 2;
    let mut solo = start(&config);
    let mut bursts = Vec::new();
    for second in 0..130 {
        for effect in solo.pass(S).clone() {
            match effect {
                Effect::Claim { announce, .. } => bursts.push((second, announce)),
                Effect::Announce { repeat, .. } => bursts.push((second, repeat)),
                _ => {}
            }
        }
    }
    assert_eq!(bursts, [(3, 5), (8, 5), (63, 2), (123, 2)]);
}

#[test]
fn priority_0_shortens_the_wait_to_the_skew_time() {
    let mut solo = start(&instance("VI_1", 51, 100));
    solo.packet(advert_of(&instance("VI_1", 51, 150), 3));
    let mut sender = master(&instance("VI_1", 51, 150));
    let last = crate::lab::received(&sender.group.advert(InstanceId(51), 0)[0].clone(), 0);
    solo.packet(Received {
        source: "192.0.2.3".parse().expect("address"),
        ..last.clone()
    });
    // The checksum of version 2 does not cover the source.
    assert_eq!(solo.lines(), ["(VI_1) Backup received priority 0 advertisement"]);
    assert_eq!(due(&solo), solo.now + SKEW_100);
    solo.pass(SKEW_100);
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) Receive advertisement timeout",
            "(VI_1) Entering MASTER STATE"
        ]
    );
    assert_eq!(now(&solo).cause, "192.0.2.3 gave up (priority 0)");
}

#[test]
fn a_master_with_timer_expired_backup_steps_down_when_it_is_much_too_late() {
    let mut config = instance("VI_1", 51, 100);
    config.nopreempt = true;
    config.timer_expired_backup = Some(100);
    let mut solo = master(&config);
    solo.now = due(&solo) + 2 * S;
    solo.handle(Event::Tick);
    assert_eq!(now(&solo).state, VrrpState::Master);
    solo.now = due(&solo) + 3 * S;
    solo.handle(Event::Tick);
    assert_eq!(now(&solo).state, VrrpState::Backup);
    assert_eq!(adverts(&solo), Vec::<u8>::new());
    assert_eq!(solo.lines()[0], "VRRP thread timer expired 3.000000 seconds ago");
}

// Preemption.

#[test]
fn nopreempt_obeys_a_lower_master() {
    let mut config = instance("VI_1", 51, 100);
    config.nopreempt = true;
    let mut solo = start(&config);
    for _ in 0..20 {
        solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
        solo.pass(S);
        assert_eq!(now(&solo).state, VrrpState::Backup);
    }
    // It says so to nobody's surprise: no "discarding".
    assert_eq!(now(&solo).master_priority, 50);
}

#[test]
fn without_it_the_lower_master_is_let_run_out() {
    let mut solo = start(&instance("VI_1", 51, 100));
    let first = due(&solo);
    for n in 0..3 {
        solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
        assert_eq!(
            solo.lines(),
            ["(VI_1) received lower priority (50) advert from 192.0.2.3 - discarding"],
            "{n}"
        );
        solo.pass(S);
    }
    assert_eq!(due(&solo), first);
}

#[test]
fn preempt_delay() {
    let mut config = instance("VI_1", 51, 100);
    config.preempt_delay = Duration::from_millis(4500);
    let mut solo = start(&config);
    let mut story = Vec::new();
    let began = solo.now;
    for _ in 0..12 {
        solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
        let lines = solo.lines();
        let passed = solo.pass(S).clone();
        story.extend(lines.into_iter().chain(crate::lab::lines(&passed)));
        if now(&solo).state == VrrpState::Master {
            break;
        }
    }
    // The last advert obeyed came four seconds after the first one.
    let took = solo.now - began;
    assert!((7 * S..=9 * S).contains(&took), "{took}");
    assert_eq!(story[0], "(VI_1) start preempt delay (4.500000)");
    assert!(story.contains(&"(VI_1) received lower priority (50) advert from 192.0.2.3 - discarding".into()));
    assert_eq!(story.last().expect("a line"), "(VI_1) Entering MASTER STATE");

    // A master that is not lower calls it off.
    let mut solo = start(&config);
    solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
    solo.packet(advert_of(&instance("VI_1", 51, 150), 1));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) stop preempt delay",
            "(VI_1) master changed from 192.0.2.3 to 192.0.2.1"
        ]
    );
    solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
    assert_eq!(solo.lines()[0], "(VI_1) start preempt delay (4.500000)");
}

#[test]
fn what_a_master_says_to_lower_and_higher_ones() {
    let mut config = instance("VI_1", 51, 100);
    config.lower_prio_no_advert = true;
    config.higher_prio_send_advert = true;
    let mut solo = master(&config);
    let before = due(&solo);
    solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
    assert_eq!(
        solo.lines(),
        ["(VI_1) Received advert from 192.0.2.3 with lower priority 50, ours 100"]
    );
    assert_eq!(adverts(&solo), Vec::<u8>::new());
    assert_eq!(due(&solo), before);
    solo.packet(advert_of(&instance("VI_1", 51, 150), 3));
    assert_eq!(adverts(&solo), [100]);
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) Master received advert from 192.0.2.3 with higher priority 150, ours 100",
            "(VI_1) Entering BACKUP STATE"
        ]
    );
}

#[test]
fn equal_priorities_are_decided_by_the_address() {
    let mut solo = master(&instance("VI_1", 51, 100));
    solo.packet(advert_of(&instance("VI_1", 51, 100), 1));
    assert_eq!(now(&solo).state, VrrpState::Master);
    solo.packet(advert_of(&instance("VI_1", 51, 100), 3));
    assert_eq!(
        solo.lines()[0],
        "(VI_1) Master received advert from 192.0.2.3 with same priority 100 but higher IP address than ours"
    );
    // As numbers, not as text: .9 is lower than .10.
    let mut solo = Solo::start(group_config(9, &[instance("VI_1", 51, 100)]));
    solo.pass(4 * S);
    solo.packet(advert_of(&instance("VI_1", 51, 100), 10));
    assert_eq!(now(&solo).state, VrrpState::Backup);
}

// Address owners.

#[test]
fn of_two_owners_the_lower_address_gives_way() {
    let owner = instance("VI_1", 51, 255);
    let mut solo = master(&owner);
    solo.packet(advert_of(&owner, 3));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) CONFIGURATION ERROR: local instance and 192.0.2.3 are both configured as address owner, please resolve",
            "(VI_1) Entering BACKUP STATE"
        ]
    );
    assert!(due(&solo) > solo.now + 3 * S);
}

#[test]
fn of_two_owners_the_higher_address_insists_and_then_steps_down() {
    let owner = instance("VI_1", 51, 255);
    let mut solo = master(&owner);
    solo.packet(advert_of(&owner, 1));
    assert_eq!(adverts(&solo), [255, 255]);
    assert_eq!(solo.lines().len(), 1);
    // It goes on all the same.
    solo.pass(900 * MS);
    solo.packet(advert_of(&owner, 1));
    assert!(solo.effects.is_empty());
    solo.pass(200 * MS);
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) 192.0.2.1 is still advertising as address owner, please resolve - reducing our priority",
            "(VI_1) Changing effective priority from 255 to 254"
        ]
    );
    solo.packet(advert_of(&owner, 1));
    assert_eq!(now(&solo).state, VrrpState::Backup);
    // Until it is gone.
    solo.pass(4 * S);
    assert!(solo.lines().contains(
        &"(VI_1) Restoring our priority to 255 since other address owner has disappeared".to_owned()
    ));
    assert_eq!(
        (now(&solo).state, now(&solo).effective_priority),
        (VrrpState::Master, 255)
    );
}

#[test]
fn an_owner_that_heard_the_other_fall_silent_stays() {
    let owner = instance("VI_1", 51, 255);
    let mut solo = master(&owner);
    solo.packet(advert_of(&owner, 1));
    solo.pass(2 * S);
    assert!(
        solo.lines()
            .contains(&"(VI_1): rogue address owner appears to have stopped advertising".to_owned())
    );
    assert_eq!(
        (now(&solo).state, now(&solo).effective_priority),
        (VrrpState::Master, 255)
    );
}

// Tracking.

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
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        [
            "base 100",
            "interface eth1 +11",
            "script up +30",
            "script down -20",
            "script not +7",
            "file file -12"
        ]
    );
    assert_eq!(u64::from(snapshot.effective_priority), 116);
    assert_eq!(
        snapshot.master_down.as_nanos() as u64,
        3 * S + (256 - 116) * S / 256
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

// Interfaces.

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

#[test]
fn ah_is_not_acted_on_and_does_not_fight_its_peers() {
    let mut config = instance("VI_1", 51, 100);
    config.authentication = Authentication::Ah(*b"s3cret12");
    let solo = start(&config);
    assert_eq!(now(&solo).state, VrrpState::Fault);
    assert_eq!(
        solo.lines()[0],
        "(VI_1) auth_type AH: not yet acted on - going to fault state"
    );
}

// Reload.

fn reload(solo: &mut Solo, config: &Instance) {
    solo.handle(Event::Reconfigure(Box::new(group_config(
        2,
        std::slice::from_ref(config),
    ))));
}

#[test]
fn a_reload_without_a_change_does_nothing() {
    let config = instance("VI_1", 51, 100);
    let mut solo = master(&config);
    let before = (due(&solo), now(&solo).statistics);
    reload(&mut solo, &config);
    assert!(solo.effects.is_empty());
    assert_eq!((due(&solo), now(&solo).statistics), before);
}

#[test]
fn a_reload_changes_in_place() {
    let mut config = instance("VI_1", 51, 100);
    let mut solo = master(&config);
    let (before, statistics) = (due(&solo), now(&solo).statistics);
    config.priority = 140;
    config.vips.push(crate::lab::vip("192.0.2.9"));
    reload(&mut solo, &config);
    assert_eq!((now(&solo).state, due(&solo)), (VrrpState::Master, before));
    assert_eq!(now(&solo).statistics, statistics);
    assert!(
        solo.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Claim { epoch: 2, .. }))
    );
    let advert = solo.group.advert(InstanceId(51), 140)[0].clone();
    assert_eq!(crate::lab::received(&advert, 0), advert_of(&config, 2));
    // A shorter interval holds from now on.
    config.version = Version::V3;
    config.advert_interval = Duration::from_millis(100);
    reload(&mut solo, &config);
    assert_eq!(due(&solo), solo.now + 100 * MS);
    // A backup's deadline moves with the priority.
    let mut config = instance("VI_1", 51, 100);
    let mut solo = start(&config);
    let before = due(&solo);
    config.priority = 164;
    reload(&mut solo, &config);
    assert_eq!(due(&solo), before - S / 4);
}

#[test]
fn a_member_that_a_reload_takes_away_says_goodbye() {
    let mut solo = master(&instance("VI_1", 51, 100));
    solo.handle(Event::Reconfigure(Box::new(group_config(2, &[]))));
    assert_eq!(solo.lines(), ["(VI_1) sent 0 priority"]);
    assert_eq!(adverts(&solo), [0]);
    assert_eq!(solo.group.advert(InstanceId(51), 0)[0].bytes[22], 0);
    assert!(matches!(
        solo.effects[1..],
        [Effect::Report(_), Effect::Release { .. }, Effect::Notify(_)]
    ));
}

#[test]
fn a_member_moves_between_groups_with_all_its_state() {
    let config = instance("VI_1", 51, 100);
    let mut solo = master(&config);
    let before = (due(&solo), now(&solo).statistics);
    let moving = solo.group.detach(InstanceId(51)).expect("the member");
    assert!(solo.group.detach(InstanceId(51)).is_none());
    let mut out = Vec::new();
    let group = Group::start_with(group_config(2, &[config]), vec![moving], at(solo.now), &mut out);
    assert!(out.is_empty(), "{out:?}");
    let solo = Solo {
        group,
        now: solo.now,
        effects: out,
    };
    assert_eq!(
        (now(&solo).state, due(&solo), now(&solo).statistics),
        (VrrpState::Master, before.0, before.1)
    );
}

#[test]
fn the_stop() {
    let mut solo = master(&instance("VI_1", 51, 100));
    let mut kept = Solo {
        group: solo.group.clone(),
        now: solo.now,
        effects: Vec::new(),
    };
    solo.handle(Event::Stop { keep: false });
    assert_eq!(solo.lines(), ["(VI_1) sent 0 priority"]);
    assert_eq!(adverts(&solo), [0]);
    assert_eq!(solo.group.deadline(), None);
    // --dont-release-vrrp
    kept.handle(Event::Stop { keep: true });
    assert!(
        matches!(kept.effects[..], [Effect::Notify(_)]),
        "{:?}",
        kept.effects
    );
}

#[test]
fn counters_are_set_to_zero() {
    let mut solo = master(&instance("VI_1", 51, 100));
    assert!(now(&solo).statistics.advert_sent > 0);
    solo.group.clear_statistics();
    assert_eq!(now(&solo).statistics, Default::default());
}
