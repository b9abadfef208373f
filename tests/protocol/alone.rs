//! One router alone, and what the tests of its behaviour ask of it.

use crate::lab::{S, Solo, at, group_config};
use keepalived_rs::model::{Instance, Tracked};
use keepalived_rs::state::VrrpState;
use keepalived_rs::state::snapshot::InstanceSnapshot;
use keepalived_rs::state::track::{TrackSource, Verdict};
use keepalived_rs::vrrp::{Effect, Event};

/// Skew time of priority 100 at one second.
pub const SKEW_100: u64 = 156 * S / 256;

/// The one member.
pub fn now(solo: &Solo) -> InstanceSnapshot {
    solo.group.snapshot(at(solo.now)).1.remove(0)
}

/// The earliest timer.
pub fn due(solo: &Solo) -> u64 {
    solo.group.deadline().expect("a timer").0
}

/// Priorities of the adverts that were sent.
pub fn adverts(solo: &Solo) -> Vec<u8> {
    let sent = solo.effects.iter().filter_map(|effect| match effect {
        Effect::Advertise { priority, .. } => Some(*priority),
        _ => None,
    });
    sent.collect()
}

/// A group of one on host 2.
pub fn start(config: &Instance) -> Solo {
    Solo::start(group_config(2, std::slice::from_ref(config)))
}

/// The same as master.
pub fn master(config: &Instance) -> Solo {
    let mut solo = start(config);
    solo.pass(20 * S);
    assert_eq!(now(&solo).state, VrrpState::Master);
    solo
}

/// A tracker's verdict.
pub fn verdict(source: TrackSource, verdict: Verdict) -> Event {
    Event::Track { source, verdict }
}

/// A script.
pub fn script(name: &str) -> TrackSource {
    TrackSource::Script(name.into())
}

/// A reference to something tracked.
pub fn tracked(name: &str, weight: i32, reverse: bool) -> Tracked {
    Tracked {
        name: name.into(),
        weight,
        reverse,
    }
}
