//! Every state with every event: `states.txt` says what each pair leads to, and has a line for each.

use crate::lab::{MS, S, Solo, advert_of, group_config, instance, interface};
use keepalived_rs::model::Tracked;
use keepalived_rs::model::vrrp::Instance;
use keepalived_rs::state::notify::NotifyKind;
use keepalived_rs::state::track::{TrackSource, Verdict};
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::group::Reason;
use keepalived_rs::vrrp::{Effect, Event, Received};
use std::fmt::Write;

/// Tracks a script without weight, and one with.
fn config() -> Instance {
    let mut config = instance("VI_1", 51, 100);
    let tracked = |name: &str, weight: i32| Tracked {
        name: name.into(),
        weight,
        reverse: false,
    };
    config.track_scripts = vec![tracked("must", 0), tracked("should", -20)];
    config
}

fn verdict(name: &str, verdict: Verdict) -> Event {
    Event::Track {
        source: TrackSource::Script(name.into()),
        verdict,
    }
}

/// Host 2: between 1 and 3, so that equal priorities have both outcomes.
fn in_state(state: &str) -> Solo {
    let mut solo = Solo::start(group_config(2, &[config()]));
    if state == "INIT" {
        return solo;
    }
    solo.handle(verdict("must", Verdict::Up));
    match state {
        "BACKUP" => {}
        "MASTER" => {
            solo.pass(4 * S);
        }
        "FAULT" => {
            solo.handle(verdict("must", Verdict::Down));
        }
        "STOP" => {
            solo.handle(Event::Stop { keep: false });
        }
        other => panic!("no way to {other}"),
    }
    solo.pass(100 * MS);
    solo
}

const STATES: [&str; 5] = ["INIT", "BACKUP", "MASTER", "FAULT", "STOP"];

const EVENTS: [&str; 22] = [
    "advert of priority 200",
    "advert of priority 100, higher address",
    "advert of priority 100, lower address",
    "advert of priority 100, our address",
    "advert of priority 50",
    "advert of priority 0",
    "bad advert",
    "advert for another instance",
    "timer due",
    "tick without a timer due",
    "own interface down",
    "own interface up",
    "own interface gone",
    "own interface without address",
    "weightless script down",
    "weightless script up",
    "weighted script down",
    "addresses applied",
    "send failed",
    "reload: the same",
    "reload: taken away",
    "stop",
];

fn advert(priority: u8, host: u8) -> Event {
    let mut other = instance("VI_1", 51, priority.max(1));
    other.priority = priority.max(1);
    let packet = if priority == 0 {
        let mut sender = Solo::start(group_config(host, &[other]));
        let datagram = sender.group.advert(InstanceId(51), 0)[0].clone();
        crate::lab::received(&datagram, 0)
    } else {
        advert_of(&other, host)
    };
    Event::Packet {
        instance: InstanceId(51),
        packet,
    }
}

fn event(name: &str, solo: &Solo) -> Event {
    let mut event = match name {
        "advert of priority 200" => advert(200, 3),
        "advert of priority 100, higher address" => advert(100, 3),
        "advert of priority 100, lower address" => advert(100, 1),
        "advert of priority 100, our address" => advert(100, 2),
        "advert of priority 50" => advert(50, 3),
        "advert of priority 0" => advert(0, 3),
        "bad advert" => match advert(200, 3) {
            Event::Packet { instance, packet } => Event::Packet {
                instance,
                packet: Received {
                    ttl: Some(1),
                    ..packet
                },
            },
            other => other,
        },
        "advert for another instance" => match advert(200, 3) {
            Event::Packet { packet, .. } => Event::Packet {
                instance: InstanceId(99),
                packet,
            },
            other => other,
        },
        "timer due" | "tick without a timer due" => Event::Tick,
        "own interface down" => Event::Interface(interface("eth0", 10, 2, false)),
        "own interface up" => Event::Interface(interface("eth0", 10, 2, true)),
        "own interface gone" => Event::InterfaceGone {
            index: 10,
            name: "eth0".into(),
        },
        "own interface without address" => {
            let mut bare = (*interface("eth0", 10, 2, true)).clone();
            bare.addresses.clear();
            Event::Interface(bare.into())
        }
        "weightless script down" => verdict("must", Verdict::Down),
        "weightless script up" => verdict("must", Verdict::Up),
        "weighted script down" => verdict("should", Verdict::Down),
        "addresses applied" => Event::Applied {
            instance: InstanceId(51),
            epoch: 1,
            set: vec![true],
        },
        "send failed" => Event::SendFailed {
            instance: InstanceId(51),
            destination: "224.0.0.18".parse().expect("address"),
            errno: 101,
        },
        "reload: the same" => Event::Reconfigure(Box::new(group_config(2, &[config()]))),
        "reload: taken away" => Event::Reconfigure(Box::new(group_config(2, &[]))),
        "stop" => Event::Stop { keep: false },
        other => panic!("no event {other}"),
    };
    if let Event::Packet { packet, .. } = &mut event {
        packet.arrival = solo.now;
    }
    event
}

fn describe(solo: &Solo, before: Option<(u64, InstanceId, Reason)>) -> String {
    let mut words: Vec<String> = Vec::new();
    for effect in &solo.effects {
        words.push(match effect {
            Effect::Advertise { priority, .. } => format!("advert {priority}"),
            Effect::Claim { .. } => "claim".into(),
            Effect::Release { .. } => "release".into(),
            Effect::Announce { repeat, .. } => format!("announce {repeat}"),
            Effect::AnnounceSource { .. } => "announce source".into(),
            Effect::Notify(n) => match n.kind {
                NotifyKind::State(state) => format!("notify {}", state.as_str()),
                NotifyKind::MasterRxLowerPriority => "notify lower".into(),
                NotifyKind::Priority(_) => "notify priority".into(),
                NotifyKind::Still(_) => "notify still".into(),
            },
            Effect::Report(_) => continue,
        });
    }
    let after = solo.group.deadline();
    if after != before {
        words.push(match after {
            None => "no timer".into(),
            Some((due, _, reason)) => {
                format!("{reason:?} in {} ms", due.saturating_sub(solo.now) / MS)
            }
        });
    }
    words.join(", ")
}

#[test]
fn every_state_with_every_event() {
    let mut table = String::new();
    for state in STATES {
        for name in EVENTS {
            let mut solo = in_state(state);
            if let Some((due, ..)) = solo.group.deadline().filter(|_| name == "timer due") {
                solo.now = due;
            }
            let before = solo.group.deadline();
            let event = event(name, &solo);
            solo.handle(event);
            let (_, members) = solo.group.snapshot(crate::lab::at(solo.now));
            let after = members.first().map_or(VrrpState::Deleted, |member| member.state);
            writeln!(
                table,
                "{state:7}| {name:39}| {:8}| {}",
                after.as_str(),
                describe(&solo, before)
            )
            .expect("a String takes it");
        }
    }
    let table: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let expected = include_str!("states.txt");
    let expected: String = expected
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(table == expected, "the table is now:\n{table}");
}
