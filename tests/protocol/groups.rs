//! Sync groups: one object, moved in one step.

use crate::lab::{S, Solo, advert_of, at, group_config, instance, interface};
use keepalived_rs::model::Tracked;
use keepalived_rs::model::vrrp::Instance;
use keepalived_rs::state::track::{TrackSource, Verdict};
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::{Effect, Event, Group};

fn pair() -> [Instance; 2] {
    [instance("VI_1", 51, 100), instance("VI_2", 52, 100)]
}

fn states(solo: &Solo) -> Vec<VrrpState> {
    solo.group
        .snapshot(at(solo.now))
        .1
        .iter()
        .map(|member| member.state)
        .collect()
}

fn master() -> Solo {
    let mut solo = Solo::start(group_config(2, &pair()));
    solo.pass(4 * S);
    assert_eq!(states(&solo), [VrrpState::Master; 2]);
    solo
}

fn zeros(solo: &Solo) -> Vec<u32> {
    let zeros = solo.effects.iter().filter_map(|effect| match effect {
        Effect::Advertise {
            instance,
            priority: 0,
        } => Some(instance.0),
        _ => None,
    });
    zeros.collect()
}

#[test]
fn one_member_alone_does_not_become_master() {
    let mut solo = Solo::start(group_config(2, &pair()));
    let peer = instance("VI_2", 52, 200);
    for _ in 0..10 {
        solo.packet(advert_of(&peer, 3));
        solo.pass(S);
        assert_eq!(states(&solo), [VrrpState::Backup; 2]);
    }
    let (_, members) = solo.group.snapshot(at(solo.now));
    assert_eq!(
        (members[0].wanted, members[1].wanted),
        (VrrpState::Master, VrrpState::Backup)
    );
    assert_eq!(
        members[0].cause,
        "no master was heard, but VI_2 of its sync group is not to be master"
    );
    // The other's master falls silent: both at once, and the adverts of both before anything else.
    solo.pass(4 * S);
    assert_eq!(states(&solo), [VrrpState::Master; 2]);
    let effects: Vec<_> = solo
        .effects
        .iter()
        .filter(|e| !matches!(e, Effect::Report(_)))
        .take(2)
        .collect();
    assert!(
        matches!(effects[..], [Effect::Advertise { .. }, Effect::Advertise { .. }]),
        "{effects:?}"
    );
}

#[test]
fn one_member_beaten_all_beaten() {
    let mut solo = master();
    solo.packet(advert_of(&instance("VI_2", 52, 200), 3));
    assert_eq!(states(&solo), [VrrpState::Backup; 2]);
    assert_eq!(
        solo.lines(),
        [
            "(VI_2) Master received advert from 192.0.2.3 with higher priority 200, ours 100",
            "(VI_2) Entering BACKUP STATE",
            "VRRP_Group(VG_1) Syncing instances to BACKUP state",
            "(VI_1) Entering BACKUP STATE",
        ]
    );
    assert!(zeros(&solo).is_empty());
}

#[test]
fn what_is_taken_from_one_is_given_up_by_all() {
    let mut solo = master();
    solo.handle(Event::Removed {
        instance: InstanceId(51),
    });
    assert_eq!(states(&solo), [VrrpState::Backup; 2]);
    assert_eq!(zeros(&solo), [51, 52], "before anything else");
    assert!(
        matches!(
            solo.effects[..2],
            [Effect::Advertise { .. }, Effect::Advertise { .. }]
        ),
        "{:?}",
        solo.effects
    );
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) Entering BACKUP STATE",
            "(VI_1) sent 0 priority",
            "VRRP_Group(VG_1) Syncing instances to BACKUP state",
            "(VI_2) Entering BACKUP STATE",
            "(VI_2) sent 0 priority",
        ]
    );
    // Nobody else is there: masters again after the skew time, not after a master down interval.
    solo.pass(S);
    assert_eq!(states(&solo), [VrrpState::Master; 2]);
    // A backup has nothing that could be taken from it.
    let mut backup = Solo::start(group_config(2, &pair()));
    backup.handle(Event::Removed {
        instance: InstanceId(51),
    });
    assert_eq!(states(&backup), [VrrpState::Backup; 2]);
    assert!(zeros(&backup).is_empty());
}

#[test]
fn one_fault_all_fault_and_back_together() {
    let mut configs = pair();
    configs[1].track_interfaces = vec![Tracked {
        name: "eth1".into(),
        weight: 0,
        reverse: false,
    }];
    let mut config = group_config(2, &configs);
    config
        .interfaces
        .insert("eth1".into(), interface("eth1", 11, 9, true));
    let mut solo = Solo::start(config);
    solo.pass(4 * S);
    solo.handle(Event::Interface(interface("eth1", 11, 9, false)));
    assert_eq!(states(&solo), [VrrpState::Fault; 2]);
    assert_eq!(zeros(&solo), [51, 52]);
    assert_eq!(
        solo.lines(),
        [
            "(VI_2) Entering FAULT STATE",
            "(VI_2) sent 0 priority",
            "VRRP_Group(VG_1) Syncing instances to FAULT state",
            "(VI_1) Entering FAULT STATE",
            "(VI_1) sent 0 priority",
        ]
    );
    let (group, members) = solo.group.snapshot(at(solo.now));
    let group = group.expect("a group");
    assert_eq!((group.state, group.members_fault), (VrrpState::Fault, 1));
    assert_eq!(members[0].cause, "sync group member VI_2 is in FAULT");
    assert_eq!(solo.group.deadline(), None);
    solo.handle(Event::Interface(interface("eth1", 11, 9, true)));
    assert_eq!(states(&solo), [VrrpState::Backup; 2]);
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) Entering BACKUP STATE",
            "VRRP_Group(VG_1) Syncing instances to BACKUP state",
            "(VI_2) Entering BACKUP STATE",
        ]
    );
}

#[test]
fn a_fault_at_the_start() {
    let mut configs = pair();
    configs[1].interface = "eth1".into();
    configs[1].vips[0].interface = "eth1".into();
    let mut config = group_config(2, &configs);
    config
        .interfaces
        .insert("eth1".into(), interface("eth1", 11, 9, false));
    let solo = Solo::start(config);
    assert_eq!(states(&solo), [VrrpState::Fault; 2]);
    assert_eq!(
        solo.lines(),
        [
            "(VI_2): entering FAULT state (interface eth1 down)",
            "(VI_2) entering FAULT state",
            "VRRP_Group(VG_1): Syncing VI_1 to FAULT state",
            "(VI_1) entering FAULT state",
        ]
    );
}

#[test]
fn all_wait_for_the_script_of_one() {
    let mut configs = pair();
    configs[0].track_scripts = vec![Tracked {
        name: "chk".into(),
        weight: 0,
        reverse: false,
    }];
    let mut solo = Solo::start(group_config(2, &configs));
    assert_eq!(states(&solo), [VrrpState::Init; 2]);
    assert_eq!(solo.group.deadline(), None);
    solo.handle(Event::Track {
        source: TrackSource::Script("chk".into()),
        verdict: Verdict::Up,
    });
    assert_eq!(states(&solo), [VrrpState::Backup; 2]);
}

#[test]
fn weights_of_members_do_not_count_without_the_keyword() {
    let mut configs = pair();
    configs[0].track_scripts = vec![Tracked {
        name: "chk".into(),
        weight: -20,
        reverse: false,
    }];
    configs[1].track_interfaces = vec![Tracked {
        name: "eth1".into(),
        weight: 7,
        reverse: false,
    }];
    let mut config = group_config(2, &configs);
    config
        .interfaces
        .insert("eth1".into(), interface("eth1", 11, 9, true));
    let mut solo = Solo::start(config);
    solo.handle(Event::Track {
        source: TrackSource::Script("chk".into()),
        verdict: Verdict::Down,
    });
    let (_, members) = solo.group.snapshot(at(solo.now));
    // The interface's does, as keepalived applies it.
    assert_eq!(
        (members[0].effective_priority, members[1].effective_priority),
        (100, 107)
    );
}

#[test]
fn a_lower_advert_announces_the_addresses_of_all() {
    let mut solo = master();
    solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
    let announced: Vec<u32> = solo
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Announce { instance, .. } => Some(instance.0),
            _ => None,
        })
        .collect();
    assert_eq!(announced, [51, 52]);
}

#[test]
fn the_last_adverts_of_all_come_first_at_the_stop() {
    let mut solo = master();
    solo.handle(Event::Stop { keep: false });
    assert_eq!(zeros(&solo), [51, 52]);
    let first_release = solo
        .effects
        .iter()
        .position(|e| matches!(e, Effect::Release { .. }));
    let last_zero = solo
        .effects
        .iter()
        .rposition(|e| matches!(e, Effect::Advertise { .. }));
    assert!(last_zero < first_release);
}

#[test]
fn a_reload_adds_a_member_to_a_master() {
    let [first, second] = pair();
    let mut solo = Solo::start(group_config(2, std::slice::from_ref(&first)));
    solo.pass(4 * S);
    solo.handle(Event::Reconfigure(Box::new(group_config(2, &[first, second]))));
    // It is not thrown out of MASTER by a member that knows nothing yet.
    assert_eq!(states(&solo), [VrrpState::Master, VrrpState::Backup]);
    assert_eq!(solo.lines(), ["(VI_2) Entering BACKUP STATE (init)"]);
    let mut beaten = Solo {
        group: solo.group.clone(),
        now: solo.now,
        effects: Vec::new(),
    };
    solo.pass(4 * S);
    assert_eq!(states(&solo), [VrrpState::Master; 2]);
    // But when that one has a master to obey, all do, and the others say so.
    beaten.packet(advert_of(&instance("VI_2", 52, 200), 3));
    assert_eq!(states(&beaten), [VrrpState::Backup; 2]);
    assert_eq!(zeros(&beaten), [51]);
}

#[test]
fn one_that_was_held_back_and_leaves_is_free() {
    let mut solo = Solo::start(group_config(2, &pair()));
    let peer = instance("VI_2", 52, 200);
    for _ in 0..5 {
        solo.packet(advert_of(&peer, 3));
        solo.pass(S);
    }
    let moving = solo.group.detach(InstanceId(51)).expect("the member");
    let mut out = Vec::new();
    let alone = group_config(2, &[instance("VI_1", 51, 100)]);
    let group = Group::start_with(alone, vec![moving], at(solo.now), &mut out);
    let mut freed = Solo {
        group,
        now: solo.now,
        effects: out,
    };
    freed.pass(1);
    assert_eq!(states(&freed), [VrrpState::Master]);
    let rest = group_config(2, &[instance("VI_2", 52, 100)]);
    solo.handle(Event::Reconfigure(Box::new(rest)));
    assert_eq!(states(&solo), [VrrpState::Backup]);
}
