//! Changes of the configuration while it runs, and the end.

use crate::alone::*;
use crate::lab::{MS, S, Solo, advert_of, at, group_config, instance};
use keepalived_rs::model::Instance;
use keepalived_rs::model::vrrp::Version;
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::{Effect, Event, Group};
use std::time::Duration;

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
