//! All orders of events: two and three routers with the real code, every message delivered or lost, links that
//! flap, hosts that are killed and started, to a bounded depth. Whatever state that leads to, the network must
//! come to its one right master when it is left alone from there.

use crate::lab::{MS, S, at, group_config, instance, interface, received};
use keepalived_rs::model::vrrp::Instance;
use keepalived_rs::state::InstanceId;
use keepalived_rs::vrrp::{Effect, Effects, Event, Group, Received};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Clone)]
struct World {
    now: u64,
    configs: Vec<Vec<Instance>>,
    groups: Vec<Option<Group>>,
    up: Vec<bool>,
    /// Per host and instance.
    holds: Vec<Vec<bool>>,
    flight: Vec<(usize, Received)>,
    path: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The earliest timer.
    Timer,
    Deliver(usize),
    Lose(usize),
    Flap(usize),
    Kill(usize),
}

impl World {
    fn new(configs: Vec<Vec<Instance>>) -> World {
        let hosts = configs.len();
        let mut world = World {
            now: S,
            holds: configs.iter().map(|members| vec![false; members.len()]).collect(),
            groups: vec![None; hosts],
            up: vec![true; hosts],
            configs,
            flight: Vec::new(),
            path: Vec::new(),
        };
        for host in 0..hosts {
            world.start(host);
        }
        world
    }

    fn start(&mut self, host: usize) {
        let mut config = group_config(host as u8 + 1, &self.configs[host]);
        config.interfaces.insert(
            "eth0".into(),
            interface("eth0", 10, host as u8 + 1, self.up[host]),
        );
        let mut out = Vec::new();
        self.groups[host] = Some(Group::start(config, at(self.now), &mut out));
        self.carry_out(host, out);
    }

    fn handle(&mut self, host: usize, event: Event) {
        let mut out = Vec::new();
        if let Some(group) = &mut self.groups[host] {
            group.handle(at(self.now), event, &mut out);
        }
        self.carry_out(host, out);
        let all = self.holds[host].iter().all(|held| *held);
        let none = self.holds[host].iter().all(|held| !*held);
        assert!(
            all || none,
            "half of a sync group is master\n{}",
            self.path.join("\n")
        );
        if self.up[host] {
            let group = self.groups[host].as_ref();
            // Held back by its group it may wait without a timer of its own, but somebody has one.
            assert!(
                group.is_none_or(|g| g.deadline().is_some()),
                "nothing to wait for\n{}",
                self.path.join("\n")
            );
        }
    }

    fn carry_out(&mut self, host: usize, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Advertise { instance, priority } => {
                    let Some(group) = &mut self.groups[host] else {
                        continue;
                    };
                    let packets = group.advert(instance, priority).to_vec();
                    if !self.up[host] {
                        continue;
                    }
                    for packet in packets {
                        for to in (0..self.groups.len()).filter(|to| *to != host) {
                            self.flight.push((to, received(&packet, self.now)));
                        }
                    }
                }
                Effect::Claim { instance, .. } => self.hold(host, instance, true),
                Effect::Release { instance, .. } => self.hold(host, instance, false),
                _ => {}
            }
        }
    }

    fn hold(&mut self, host: usize, instance: InstanceId, held: bool) {
        let slot = self.configs[host]
            .iter()
            .position(|config| u32::from(config.vrid) == instance.0);
        let slot = &mut self.holds[host][slot.expect("one of its instances")];
        assert_ne!(*slot, held, "claimed or released twice\n{}", self.path.join("\n"));
        *slot = held;
    }

    fn steps(&self, trouble: bool) -> Vec<Step> {
        let mut steps = vec![Step::Timer];
        for message in 0..self.flight.len() {
            steps.push(Step::Deliver(message));
            steps.push(Step::Lose(message));
        }
        if trouble {
            for host in 0..self.groups.len() {
                steps.push(Step::Flap(host));
                steps.push(Step::Kill(host));
            }
        }
        steps
    }

    fn go(&mut self, step: Step) {
        self.path
            .push(format!("{:.4} {step:?}", self.now as f64 / S as f64));
        match step {
            Step::Timer => {
                let timers = self.groups.iter().enumerate();
                let next = timers
                    .filter_map(|(host, group)| Some((group.as_ref()?.deadline()?.0, host)))
                    .min();
                if let Some((due, host)) = next {
                    self.now = self.now.max(due);
                    self.handle(host, Event::Tick);
                }
            }
            Step::Deliver(message) => {
                self.now += 1;
                let (to, packet) = self.flight.remove(message);
                if !self.up[to] {
                    return;
                }
                let instance = InstanceId(u32::from(packet.message[1]));
                let priority = packet.message[2];
                let slot = self.configs[to]
                    .iter()
                    .position(|config| u32::from(config.vrid) == instance.0);
                let Some(slot) = slot else { return };
                let own = self.configs[to][slot].priority;
                let packet = Received {
                    arrival: self.now,
                    ..packet
                };
                self.handle(to, Event::Packet { instance, packet });
                if priority > own {
                    assert!(
                        !self.holds[to][slot],
                        "master beside a higher one\n{}",
                        self.path.join("\n")
                    );
                }
            }
            Step::Lose(message) => {
                self.flight.remove(message);
            }
            Step::Flap(host) => {
                self.up[host] = !self.up[host];
                let link = interface("eth0", 10, host as u8 + 1, self.up[host]);
                self.handle(host, Event::Interface(link));
            }
            Step::Kill(host) => {
                if self.groups[host].take().is_some() {
                    self.holds[host].fill(false);
                } else {
                    self.start(host);
                }
            }
        }
    }

    /// Left alone: everything works from here on. The highest is master of everything, alone, before long.
    fn settles(mut self) {
        self.path.push("left alone".into());
        for host in 0..self.groups.len() {
            if self.groups[host].is_none() {
                self.start(host);
            }
            if !self.up[host] {
                self.go(Step::Flap(host));
            }
        }
        let end = self.now + 2 * (3 * S + S) + S;
        let mut steps = 0;
        while self.now < end {
            steps += 1;
            assert!(
                steps < 10_000,
                "it does not come to rest\n{}",
                self.path.join("\n")
            );
            if self.flight.is_empty() {
                self.go(Step::Timer);
            } else {
                self.go(Step::Deliver(0));
            }
        }
        while !self.flight.is_empty() {
            self.go(Step::Deliver(0));
        }
        let best = self.groups.len() - 1;
        for (host, holds) in self.holds.iter().enumerate() {
            for held in holds {
                assert_eq!(
                    *held,
                    host == best,
                    "masters: {:?}\n{}",
                    self.holds,
                    self.path.join("\n")
                );
            }
        }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.now / MS, &self.up, &self.holds).hash(&mut hasher);
        for group in self.groups.iter().flatten() {
            let (_, members) = group.snapshot(at(self.now));
            for member in members {
                (member.state.as_str(), member.wanted.as_str(), member.master).hash(&mut hasher);
                (
                    member.read_timeout,
                    member.master_priority,
                    member.effective_priority,
                )
                    .hash(&mut hasher);
            }
        }
        let mut flight: Vec<_> = self
            .flight
            .iter()
            .map(|(to, p)| (to, p.source, p.message[1], p.message[2]))
            .collect();
        flight.sort();
        flight.hash(&mut hasher);
        hasher.finish()
    }
}

/// Looks at everything that `depth` steps can lead to. Returns how many different states that is.
fn explore(world: World, depth: usize, trouble: bool) -> usize {
    let mut seen = BTreeSet::new();
    let mut layer = vec![world];
    for _ in 0..depth {
        let mut next = Vec::new();
        for world in layer {
            for step in world.steps(trouble) {
                let mut after = world.clone();
                after.go(step);
                if seen.insert(after.fingerprint()) {
                    after.clone().settles();
                    next.push(after);
                }
            }
        }
        layer = next;
    }
    seen.len()
}

fn hosts(count: u8, vrids: &[u8]) -> Vec<Vec<Instance>> {
    let host = |host: u8| {
        vrids
            .iter()
            .map(|vrid| instance(&format!("VI_{vrid}"), *vrid, 50 * (host + 1)))
            .collect()
    };
    (0..count).map(host).collect()
}

#[test]
fn two_routers() {
    let states = explore(World::new(hosts(2, &[51])), 9, true);
    assert!(states > 1_000, "only {states} states were looked at");
}

#[test]
fn two_routers_with_a_sync_group() {
    let states = explore(World::new(hosts(2, &[51, 52])), 6, true);
    assert!(states > 500, "only {states} states were looked at");
}

#[test]
fn three_routers() {
    let states = explore(World::new(hosts(3, &[51])), 6, true);
    assert!(states > 1_000, "only {states} states were looked at");
}

#[test]
fn three_routers_whose_messages_get_lost() {
    let states = explore(World::new(hosts(3, &[51])), 8, false);
    assert!(states > 1_000, "only {states} states were looked at");
}

#[test]
fn an_address_owner_among_them() {
    let mut configs = hosts(2, &[51]);
    configs[1] = vec![instance("VI_51", 51, 255)];
    let states = explore(World::new(configs), 7, true);
    assert!(states > 500, "only {states} states were looked at");
}
