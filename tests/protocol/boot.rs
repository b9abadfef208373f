//! The start, and links that come and go: nobody is master by surprise, and nobody stays in FAULT.

use crate::alone::*;
use crate::lab::{MS, Rng, S, Solo, advert_of, group_config, instance, interface};
use keepalived_rs::model::Instance;
use keepalived_rs::model::vrrp::Version;
use keepalived_rs::state::interface::IFF_RUNNING;
use keepalived_rs::state::track::Verdict;
use keepalived_rs::state::{Interface, VrrpState};
use keepalived_rs::vrrp::Event;
use std::sync::Arc;
use std::time::Duration;

const INTERVAL: u64 = 100 * MS;

fn quick(name: &str, priority: u8) -> Instance {
    Instance {
        version: Version::V3,
        advert_interval: Duration::from_millis(100),
        ..instance(name, 51, priority)
    }
}

fn up() -> Arc<Interface> {
    interface("eth0", 10, 2, true)
}

fn down() -> Arc<Interface> {
    interface("eth0", 10, 2, false)
}

/// A master of lower priority goes on sending, first heard `phase` from now.
fn hears_the_master(solo: &mut Solo, phase: u64, adverts: u64) {
    let theirs = quick("VI_1", 50);
    solo.pass(phase);
    for _ in 0..adverts {
        assert_ne!(now(solo).state, VrrpState::Master, "after a phase of {phase} ns");
        solo.packet(advert_of(&theirs, 3));
        solo.pass(INTERVAL);
    }
    assert_eq!(now(solo).state, VrrpState::Backup);
}

/// However late it becomes able to hear, and whatever kept it from that.
#[test]
fn nopreempt_holds_from_whatever_it_starts() {
    let mut config = quick("VI_1", 200);
    config.nopreempt = true;
    let mut able: Vec<(&str, Solo)> = Vec::new();
    able.push(("at once", start(&config)));

    let mut late = group_config(2, &[config.clone()]);
    late.interfaces.clear();
    let mut solo = Solo::start(late.clone());
    solo.pass(30 * S);
    solo.handle(Event::Interface(up()));
    able.push(("an interface that was not there", solo));

    late.interfaces.insert("eth0".into(), down());
    let mut solo = Solo::start(late.clone());
    solo.pass(30 * S);
    solo.handle(Event::Interface(up()));
    able.push(("a link that was down", solo));

    let mut bare = Interface::clone(&up());
    bare.addresses.clear();
    late.interfaces.insert("eth0".into(), Arc::new(bare));
    let mut solo = Solo::start(late.clone());
    solo.pass(30 * S);
    solo.handle(Event::Interface(up()));
    able.push(("an address that was not there", solo));

    late.interfaces.insert("eth0".into(), up());
    late.hold_until = 20 * S;
    let mut solo = Solo::start(late);
    solo.pass(19 * S);
    able.push(("the startup delay", solo));

    let mut scripted = config.clone();
    scripted.track_scripts.push(tracked("check", 0, false));
    let mut solo = start(&scripted);
    solo.pass(30 * S);
    solo.handle(verdict(script("check"), Verdict::Up));
    able.push(("a script without result", solo));

    let mut untracked = config.clone();
    untracked.dont_track_primary = true;
    let mut solo = start(&untracked);
    solo.packet(advert_of(&quick("VI_1", 50), 3));
    solo.handle(Event::Interface(down()));
    // A moment before it would believe that nobody is there.
    solo.pass(3 * INTERVAL);
    solo.handle(Event::Interface(up()));
    able.push(("an untracked link that was down", solo));

    for (what, solo) in able {
        for phase in (0..3 * INTERVAL).step_by(10_000_000) {
            let mut solo = Solo {
                group: solo.group.clone(),
                now: solo.now,
                effects: Vec::new(),
            };
            eprintln!("{what}, first advert after {phase} ns");
            hears_the_master(&mut solo, phase, 8);
        }
    }
}

/// A link without carrier, and one that waits for its authentication (dormant), are down: the kernel clears RUNNING.
#[test]
fn a_link_that_carries_nothing_is_down() {
    let mut solo = start(&quick("VI_1", 100));
    let mut dormant = Interface::clone(&up());
    dormant.flags &= !IFF_RUNNING;
    solo.handle(Event::Interface(Arc::new(dormant)));
    assert_eq!(now(&solo).state, VrrpState::Fault);
    let from = solo.now;
    solo.handle(Event::Interface(up()));
    assert_eq!(now(&solo).state, VrrpState::Backup);
    assert_eq!(due(&solo), from + 3 * INTERVAL + 156 * INTERVAL / 256);
}

/// Any order of snapshots: the state follows from the last one, and from nothing else.
#[test]
fn fault_is_a_function_of_what_is_there() {
    for seed in 0..200 {
        let mut rng = Rng(seed);
        let mut config = quick("VI_1", 100);
        config.track_interfaces.push(tracked("eth1", 0, false));
        config.track_scripts.push(tracked("check", 0, false));
        let mut groups = group_config(2, &[config]);
        groups
            .interfaces
            .insert("eth1".into(), interface("eth1", 11, 3, true));
        let mut solo = Solo::start(groups);
        let mut good = [true, true, true];
        for _ in 0..60 {
            let (what, is) = (rng.below(3) as usize, rng.once_in(2));
            match what {
                2 => {
                    let verdict_now = if is { Verdict::Up } else { Verdict::Down };
                    solo.handle(verdict(script("check"), verdict_now));
                }
                at => {
                    let (name, index) = [("eth0", 10), ("eth1", 11)][at];
                    if !is && rng.once_in(3) {
                        let name = name.to_owned();
                        solo.handle(Event::InterfaceGone { index, name });
                    } else {
                        solo.handle(Event::Interface(interface(name, index, 2, is)));
                    }
                }
            }
            good[what] = is;
            if rng.once_in(3) {
                solo.pass(rng.below(4) * INTERVAL);
            }
        }
        // The script has had its say by then.
        solo.handle(verdict(
            script("check"),
            if good[2] { Verdict::Up } else { Verdict::Down },
        ));
        let fault = now(&solo).state == VrrpState::Fault;
        assert_eq!(fault, good.contains(&false), "seed {seed}: {good:?}");
        for (name, index) in [("eth0", 10), ("eth1", 11)] {
            solo.handle(Event::Interface(interface(name, index, 2, true)));
        }
        solo.handle(verdict(script("check"), Verdict::Up));
        assert_ne!(now(&solo).state, VrrpState::Fault, "seed {seed}");
        solo.pass(S);
        assert_eq!(now(&solo).state, VrrpState::Master, "seed {seed}");
    }
}
