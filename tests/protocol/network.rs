//! A network whose losses, delays and partitions are said by the test, with the real code on its hosts. It looks all
//! the time for what must not be: two masters that hear each other, silence that nobody ends.

use crate::lab::{MS, Rng, S, at, interface, received};
use keepalived_rs::state::InstanceId;
use keepalived_rs::vrrp::group::Datagram;
use keepalived_rs::vrrp::{Effect, Effects, Event, Group, GroupConfig, Member, Received};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

/// A host in the simulated network.
pub struct Node {
    /// Last byte of its address.
    pub host: u8,
    /// Its groups, while the daemon runs.
    pub groups: Vec<Group>,
    /// Their configurations, for a restart.
    pub configs: Vec<GroupConfig>,
    /// The daemon runs.
    pub running: bool,
    /// The daemon runs, but gets no processor time.
    pub paused: bool,
    /// Its link is up.
    pub up: bool,
    /// Packets that wait for a paused daemon.
    pub inbox: VecDeque<Received>,
    /// Per VRID: addresses are claimed, and the last epoch.
    pub claims: BTreeMap<u32, (bool, u64)>,
    /// Since when nothing has kept it from becoming master, per VRID; an advert that it must obey counts.
    pub silent_since: BTreeMap<u32, u64>,
}

enum Item {
    Deliver(usize, Received),
    Applied(usize, InstanceId, u64),
}

/// The network.
pub struct Net {
    /// Time.
    pub now: u64,
    /// Hosts.
    pub nodes: Vec<Node>,
    /// Whether a host hears another: `[hearer][sender]`.
    pub hears: Vec<Vec<bool>>,
    /// A packet in so many is lost; 0 is none.
    pub loss: u64,
    /// Longest delay of a packet.
    pub delay: u64,
    /// Latest service of a timer.
    pub jitter: u64,
    /// Random numbers.
    pub rng: Rng,
    /// What must not have happened.
    pub violations: Vec<String>,
    /// What happened, for a failing seed.
    pub story: Option<Vec<String>>,
    queue: BTreeMap<(u64, u64), Item>,
    sequence: u64,
    /// Since when two hosts have been masters of a VRID and heard each other without loss.
    both: BTreeMap<(usize, usize, u32), u64>,
    /// Longest advert interval.
    pub interval: u64,
}

impl Net {
    /// An empty network.
    pub fn new(seed: u64) -> Net {
        Net {
            now: S,
            nodes: Vec::new(),
            hears: Vec::new(),
            loss: 0,
            delay: MS,
            jitter: 0,
            rng: Rng(seed),
            violations: Vec::new(),
            story: None,
            queue: BTreeMap::new(),
            sequence: 0,
            both: BTreeMap::new(),
            interval: S,
        }
    }

    /// Adds a host; its daemon is not running yet.
    pub fn add(&mut self, host: u8, configs: Vec<GroupConfig>) {
        self.nodes.push(Node {
            host,
            groups: Vec::new(),
            configs,
            running: false,
            paused: false,
            up: true,
            inbox: VecDeque::new(),
            claims: BTreeMap::new(),
            silent_since: BTreeMap::new(),
        });
        let count = self.nodes.len();
        self.hears = vec![vec![true; count]; count];
    }

    /// Adds to the story.
    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:10.4} {}", self.now as f64 / S as f64, what()));
        }
    }

    /// Starts a host's daemon.
    pub fn start(&mut self, node: usize) {
        self.tell(|| format!("host {node} starts"));
        let mut effects = Vec::new();
        let host = &mut self.nodes[node];
        host.running = true;
        host.paused = false;
        host.claims.clear();
        for config in &mut host.configs {
            config
                .interfaces
                .insert("eth0".into(), interface("eth0", 10, host.host, host.up));
        }
        for config in host.configs.clone() {
            let mut out = Vec::new();
            host.groups.push(Group::start(config, at(self.now), &mut out));
            effects.push((host.groups.len() - 1, out));
        }
        self.able_again(node);
        for (group, out) in effects {
            self.effects(node, group, out);
        }
    }

    /// Ends it without a word.
    pub fn kill(&mut self, node: usize) {
        self.tell(|| format!("host {node} is killed"));
        let host = &mut self.nodes[node];
        host.running = false;
        host.paused = false;
        host.groups.clear();
        host.inbox.clear();
        host.claims.clear();
        host.silent_since.clear();
    }

    /// Stops it as SIGTERM does.
    pub fn stop(&mut self, node: usize) {
        self.tell(|| format!("host {node} stops"));
        self.event(node, |_| Event::Stop { keep: false });
        self.kill(node);
    }

    /// Puts a host's link up or down.
    pub fn link(&mut self, node: usize, up: bool) {
        self.tell(|| format!("link of host {node} up: {up}"));
        self.nodes[node].up = up;
        let host = self.nodes[node].host;
        for config in &mut self.nodes[node].configs {
            config
                .interfaces
                .insert("eth0".into(), interface("eth0", 10, host, up));
        }
        self.event(node, |_| Event::Interface(interface("eth0", 10, host, up)));
        self.able_again(node);
    }

    /// Gives a paused daemon its processor back: it drains its sockets before it looks at its timers.
    pub fn resume(&mut self, node: usize) {
        self.tell(|| format!("host {node} goes on"));
        self.nodes[node].paused = false;
        self.able_again(node);
        while let Some(packet) = self.nodes[node].inbox.pop_front() {
            self.hand_over(node, packet);
        }
        self.tick(node);
    }

    /// From here on nothing keeps a host from becoming master.
    pub fn able_again(&mut self, node: usize) {
        let now = self.now;
        let host = &mut self.nodes[node];
        host.silent_since.clear();
        if host.running && !host.paused && host.up {
            for config in &host.configs {
                for member in &config.members {
                    host.silent_since.insert(member.id.0, now);
                }
            }
        }
    }

    /// An event for all groups of a host.
    pub fn event(&mut self, node: usize, event: impl Fn(usize) -> Event) {
        for group in 0..self.nodes[node].groups.len() {
            let mut out = Vec::new();
            let now = at(self.now);
            self.nodes[node].groups[group].handle(now, event(group), &mut out);
            self.effects(node, group, out);
        }
    }

    fn tick(&mut self, node: usize) {
        for group in 0..self.nodes[node].groups.len() {
            let due = self.nodes[node].groups[group]
                .deadline()
                .is_some_and(|(due, ..)| due <= self.now);
            if due {
                let mut out = Vec::new();
                let now = at(self.now);
                self.nodes[node].groups[group].handle(now, Event::Tick, &mut out);
                let left = self.nodes[node].groups[group].deadline();
                if left.is_some_and(|(due, ..)| due <= self.now) {
                    self.violations
                        .push(format!("host {node}: timer {left:?} is still due after a tick"));
                }
                self.effects(node, group, out);
            }
        }
    }

    fn hand_over(&mut self, node: usize, packet: Received) {
        let vrid = u32::from(packet.message[1]);
        let priority = packet.message[2];
        let instance = InstanceId(vrid);
        let Some(group) = self.nodes[node]
            .configs
            .iter()
            .position(|config| config.members.iter().any(|m| m.id == instance))
        else {
            return;
        };
        let config = &self.nodes[node].configs[group];
        let Some(member) = config.members.iter().find(|m| m.id == instance) else {
            return;
        };
        let own = member.config.priority;
        let obeyed = priority == 0
            || priority >= own
            || member.config.nopreempt
            || !member.config.preempt_delay.is_zero();
        let below = IpAddr::V4(Ipv4Addr::new(192, 0, 2, self.nodes[node].host)) < packet.source;
        let beaten = priority > own || priority == own && below;
        if obeyed {
            let arrival = packet.arrival;
            self.nodes[node]
                .silent_since
                .entry(vrid)
                .and_modify(|since| *since = (*since).max(arrival));
        }
        let mut out = Vec::new();
        let now = at(self.now);
        self.nodes[node].groups[group].handle(now, Event::Packet { instance, packet }, &mut out);
        self.effects(node, group, out);
        if beaten && self.nodes[node].claims.get(&vrid).is_some_and(|(held, _)| *held) {
            self.violations.push(format!(
                "host {node} heard priority {priority} for VRID {vrid} and is still master"
            ));
        }
    }

    /// Carries out what a group wants done.
    pub fn effects(&mut self, node: usize, group: usize, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Advertise { instance, priority } => {
                    let datagrams = self.nodes[node].groups[group].advert(instance, priority).to_vec();
                    if datagrams.is_empty() && self.nodes[node].up {
                        self.violations
                            .push(format!("host {node} has no packet for an advert"));
                    }
                    for datagram in datagrams {
                        self.send(node, &datagram);
                    }
                }
                Effect::Claim { instance, epoch, .. } => {
                    let before = self.nodes[node].claims.insert(instance.0, (true, epoch));
                    self.newer(node, before, epoch);
                    self.push(self.now + 2 * MS, Item::Applied(node, instance, epoch));
                    self.tell(|| format!("host {node} is master of {}", instance.0));
                }
                Effect::Release { instance, epoch } => {
                    let before = self.nodes[node].claims.insert(instance.0, (false, epoch));
                    self.newer(node, before, epoch);
                    if !before.is_some_and(|(held, _)| held) {
                        self.violations
                            .push(format!("host {node} releases what it has not claimed"));
                    }
                    self.tell(|| format!("host {node} is not master of {}", instance.0));
                }
                Effect::Announce { instance, .. } => {
                    if !self.nodes[node]
                        .claims
                        .get(&instance.0)
                        .is_some_and(|(held, _)| *held)
                    {
                        self.violations
                            .push(format!("host {node} announces what it does not hold"));
                    }
                }
                Effect::Report(notice) => {
                    self.tell(|| {
                        format!(
                            "host {node}: {}",
                            keepalived_rs::report::lines::line(&notice).text
                        )
                    });
                }
                Effect::AnnounceSource { .. } | Effect::Notify(_) => {}
            }
        }
    }

    fn newer(&mut self, node: usize, before: Option<(bool, u64)>, epoch: u64) {
        if before.is_some_and(|(_, old)| old >= epoch) {
            self.violations
                .push(format!("host {node}: epoch {epoch} is not newer than {before:?}"));
        }
    }

    fn send(&mut self, node: usize, datagram: &Datagram) {
        if !self.nodes[node].up {
            return;
        }
        for to in 0..self.nodes.len() {
            if to == node || !self.hears[to][node] || (self.loss > 0 && self.rng.once_in(self.loss)) {
                continue;
            }
            let arrival = self.now + 1 + self.rng.below(self.delay);
            self.push(arrival, Item::Deliver(to, received(datagram, arrival)));
        }
    }

    fn push(&mut self, time: u64, item: Item) {
        self.sequence += 1;
        self.queue.insert((time, self.sequence), item);
    }

    /// Runs to a moment.
    pub fn run(&mut self, end: u64) {
        loop {
            let queued = self.queue.first_key_value().map(|((time, _), _)| *time);
            let due = self
                .nodes
                .iter()
                .enumerate()
                .filter(|(_, node)| node.running && !node.paused);
            let due = due.flat_map(|(at, node)| {
                node.groups
                    .iter()
                    .filter_map(move |group| group.deadline().map(|(due, ..)| (due, at)))
            });
            let due = due.min();
            let next = queued
                .unwrap_or(u64::MAX)
                .min(due.map_or(u64::MAX, |(time, _)| time));
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if queued == Some(next) {
                if let Some((_, item)) = self.queue.pop_first() {
                    self.item(item);
                }
            } else if let Some((_, node)) = due {
                if self.jitter > 0 {
                    // The wake-up comes late; packets that came before are drained first.
                    self.now += self.rng.below(self.jitter);
                    while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now)
                    {
                        let item = entry.remove();
                        self.item(item);
                    }
                }
                self.tick(node);
            }
            self.check();
        }
        self.now = self.now.max(end);
        self.check();
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Deliver(to, packet) => {
                let node = &mut self.nodes[to];
                if !node.running || !node.up {
                    return;
                }
                if node.paused {
                    if node.inbox.len() < 1000 {
                        node.inbox.push_back(packet);
                    }
                    return;
                }
                self.hand_over(to, packet);
            }
            Item::Applied(node, instance, epoch) => {
                if self.nodes[node].running {
                    self.event(node, |_| Event::Applied {
                        instance,
                        epoch,
                        set: vec![true],
                    });
                }
            }
        }
    }

    /// Whether a host is master of a VRID.
    pub fn master(&self, node: usize, vrid: u32) -> bool {
        self.nodes[node].running && self.nodes[node].claims.get(&vrid).is_some_and(|(held, _)| *held)
    }

    /// Looks for what must not be.
    fn check(&mut self) {
        let count = self.nodes.len();
        let fine = |node: &Node| node.running && !node.paused && node.up;
        let vrids: Vec<u32> = self
            .nodes
            .iter()
            .flat_map(|node| node.silent_since.keys().copied())
            .collect();
        for a in 0..count {
            for b in a + 1..count {
                for vrid in &vrids {
                    let key = (a, b, *vrid);
                    let both = self.loss == 0
                        && fine(&self.nodes[a])
                        && fine(&self.nodes[b])
                        && self.hears[a][b]
                        && self.hears[b][a]
                        && self.master(a, *vrid)
                        && self.master(b, *vrid);
                    if !both {
                        self.both.remove(&key);
                        continue;
                    }
                    let since = *self.both.entry(key).or_insert(self.now);
                    let longest = self.interval + self.delay + self.jitter + 2;
                    if self.now - since > longest {
                        self.violations.push(format!(
                            "hosts {a} and {b} are both masters of {vrid} for {:.4} s and hear each other",
                            (self.now - since) as f64 / S as f64
                        ));
                        self.both.insert(key, self.now);
                    }
                }
            }
        }
        for (at, node) in self.nodes.iter_mut().enumerate() {
            for config in &node.configs {
                let bound = |member: &Member| {
                    let skew = (256 - u64::from(member.config.priority)) * self.interval.max(S) / 256;
                    u64::from(member.config.down_timer_adverts) * self.interval
                        + skew
                        + self.jitter
                        + self.delay
                        + MS
                };
                let late = |member: &Member| {
                    let held = node.claims.get(&member.id.0).is_some_and(|(held, _)| *held);
                    let since = node.silent_since.get(&member.id.0);
                    !held && since.is_some_and(|since| self.now.saturating_sub(*since) > bound(member))
                };
                if !config.members.is_empty() && config.members.iter().all(late) {
                    self.violations.push(format!(
                        "host {at} has heard no master that it obeys for its master down interval, and is none"
                    ));
                    for member in &config.members {
                        node.silent_since.insert(member.id.0, self.now);
                    }
                }
            }
        }
    }
}
