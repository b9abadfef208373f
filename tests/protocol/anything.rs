//! Whatever comes in, in whatever order: nothing panics, nothing spins, and what is claimed is what a master has.

use crate::lab::{S, at, group_config, instance, instance6, interface};
use keepalived_rs::model::Tracked;
use keepalived_rs::model::vrrp::{Instance, Version};
use keepalived_rs::state::track::{TrackSource, Verdict};
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::{Effect, Event, Group, Received};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..4).prop_map(|host| IpAddr::from([192, 0, 2, host])),
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ]
}

/// Bytes, or something that looks like an advert.
fn message() -> impl Strategy<Value = Box<[u8]>> {
    let advert = (2u8..4, any::<u8>(), 0u8..3, any::<u16>(), any::<bool>()).prop_map(
        |(version, priority, count, interval, right)| {
            let mut bytes = vec![version << 4 | 1, 51, priority, count, 0, 1, 0, 0];
            if version == 3 {
                bytes[4..6].copy_from_slice(&interval.to_be_bytes());
            }
            bytes.extend_from_slice(&[192, 0, 2, 151].repeat(usize::from(count)));
            if version == 2 {
                bytes.extend_from_slice(&[0; 8]);
            }
            if right {
                let sum = keepalived_rs::wire::checksum::Sum::new().bytes(&bytes).finish();
                bytes[6..8].copy_from_slice(&sum.to_be_bytes());
            }
            bytes.into_boxed_slice()
        },
    );
    prop_oneof![
        advert,
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Vec::into_boxed_slice)
    ]
}

fn packet() -> impl Strategy<Value = Event> {
    let times = prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    (
        50u32..54,
        address(),
        prop::option::of(address()),
        prop::option::of(any::<u8>()),
        prop::option::of(any::<u16>()),
        message(),
        prop::bool::weighted(0.05),
        times,
    )
        .prop_map(
            |(id, source, destination, ttl, total_length, message, ah, arrival)| Event::Packet {
                instance: InstanceId(id),
                packet: Received {
                    source,
                    destination,
                    ttl: ttl.map(|ttl| if ttl < 200 { 255 } else { ttl }),
                    identification: total_length,
                    total_length: total_length.map(|total| {
                        if total < 60_000 {
                            20 + message.len() as u16
                        } else {
                            total
                        }
                    }),
                    message,
                    ah,
                    arrival,
                },
            },
        )
}

fn verdict() -> impl Strategy<Value = Event> {
    let source = prop_oneof![
        Just(TrackSource::Script("a".into())),
        Just(TrackSource::File("b".into())),
        Just(TrackSource::Process("c".into())),
        Just(TrackSource::Bfd("d".into())),
        Just(TrackSource::Script("unknown".into())),
    ];
    let verdict = prop_oneof![
        Just(Verdict::Up),
        Just(Verdict::Down),
        any::<i64>().prop_map(Verdict::Value)
    ];
    (source, verdict).prop_map(|(source, verdict)| Event::Track { source, verdict })
}

fn config() -> impl Strategy<Value = Vec<Instance>> {
    let tracked = |name: &'static str| {
        (-254i32..255, any::<bool>()).prop_map(move |(weight, reverse)| Tracked {
            name: name.into(),
            weight,
            reverse,
        })
    };
    let one = (
        (
            1u8..=255,
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        ),
        (1u64..41_000, 0u64..3000, prop::option::of(any::<u8>())),
        prop::collection::vec(tracked("a"), 0..2),
        prop::collection::vec(tracked("b"), 0..2),
        prop::collection::vec(tracked("c"), 0..2),
        prop::collection::vec(tracked("d"), 0..2),
    );
    prop::collection::vec(one, 0..3).prop_map(|all| {
        let members = all
            .into_iter()
            .zip(51u8..)
            .map(|((flags, times, a, b, c, d), vrid)| {
                let (priority, v3, ipv6, nopreempt, lower) = flags;
                let name = format!("VI_{vrid}");
                let mut config = if ipv6 {
                    instance6(&name, vrid, priority)
                } else {
                    instance(&name, vrid, priority)
                };
                if v3 {
                    config.version = Version::V3;
                    config.advert_interval = Duration::from_millis(times.0);
                }
                config.nopreempt = nopreempt;
                config.lower_prio_no_advert = lower;
                config.preempt_delay = Duration::from_millis(times.1);
                config.timer_expired_backup = times.2;
                config.garp.refresh = Duration::from_millis(times.1);
                (
                    config.track_scripts,
                    config.track_files,
                    config.track_processes,
                    config.track_bfd,
                ) = (a, b, c, d);
                config
            });
        members.collect()
    })
}

#[derive(Debug, Clone)]
enum Action {
    Event(Event),
    Reload(Vec<Instance>),
    Wait(u64),
    Advert(u32, u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => packet().prop_map(Action::Event),
        3 => verdict().prop_map(Action::Event),
        4 => prop_oneof![0u64..10 * S, Just(1), 0u64..400_000 * S].prop_map(Action::Wait),
        1 => Just(Action::Event(Event::Tick)),
        1 => (1u32..13, 0u8..4, any::<bool>())
            .prop_map(|(index, host, up)| Action::Event(Event::Interface(interface("eth0", index, host, up)))),
        1 => (1u32..13).prop_map(|index| Action::Event(Event::InterfaceGone { index, name: "eth0".into() })),
        1 => (50u32..54, 0u64..9, prop::collection::vec(any::<bool>(), 0..5)).prop_map(|(id, epoch, set)| {
            Action::Event(Event::Applied { instance: InstanceId(id), epoch, set })
        }),
        1 => (50u32..54, address(), any::<i32>()).prop_map(|(id, destination, errno)| {
            Action::Event(Event::SendFailed { instance: InstanceId(id), destination, errno })
        }),
        1 => config().prop_map(Action::Reload),
        1 => (50u32..54, any::<u8>()).prop_map(|(id, priority)| Action::Advert(id, priority)),
        1 => prop::bool::weighted(0.2).prop_map(|stop| {
            Action::Event(if stop { Event::Stop { keep: false } } else { Event::Tick })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn anything_in_any_order(first in config(), actions in prop::collection::vec(action(), 0..80), wild: bool) {
        let mut now = S;
        let mut out = Vec::new();
        let mut group = Group::start(group_config(2, &first), at(now), &mut out);
        let mut held: BTreeMap<u32, bool> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Event(event) => group.handle(at(now), event, &mut out),
                Action::Reload(config) => {
                    let config = Event::Reconfigure(Box::new(group_config(2, &config)));
                    group.handle(at(now), config, &mut out);
                }
                Action::Wait(time) => {
                    // A clock that goes wild is no reason to panic either.
                    now = if wild { now.wrapping_add(time << 20) } else { now + time };
                    group.handle(at_any(now), Event::Tick, &mut out);
                    if let Some((due, ..)) = group.deadline() {
                        prop_assert!(due > now, "{due} is due at {now} after a tick");
                    }
                }
                Action::Advert(id, priority) => {
                    for datagram in group.advert(InstanceId(id), priority) {
                        prop_assert!(datagram.bytes.len() >= 8);
                    }
                }
            }
            for effect in out.drain(..) {
                match effect {
                    Effect::Claim { instance, .. } => {
                        held.insert(instance.0, true);
                    }
                    Effect::Release { instance, .. } => {
                        prop_assert_eq!(held.insert(instance.0, false), Some(true), "released but not held");
                    }
                    Effect::Report(notice) => {
                        prop_assert!(!keepalived_rs::report::lines::line(&notice).text.is_empty());
                    }
                    _ => {}
                }
            }
            for member in group.snapshot(at_any(now)).1 {
                let has = held.get(&member.id.0).copied().unwrap_or_default();
                prop_assert_eq!(member.state == VrrpState::Master, has, "{} in {:?}", member.config.name, member.state);
                prop_assert!(member.effective_priority > 0);
            }
        }
    }
}

/// The wall clock cannot show every moment of the monotonic one.
fn at_any(mono: u64) -> keepalived_rs::state::Now {
    keepalived_rs::state::Now { mono, ..at(0) }
}
