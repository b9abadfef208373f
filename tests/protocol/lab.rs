//! Routers and a network to run them in: configuration builders, a random number generator that repeats itself,
//! and a network whose losses, delays and partitions are said by the test. The `vrrp` code is the real one.

use keepalived_rs::model::route::Family;
use keepalived_rs::model::vrrp::{
    Accept, Authentication, Garp, InitialState, Instance, SyncGroup, UnicastChecksum, Version,
};
use keepalived_rs::model::{Address, AddressFlags, IpNetwork, Lifetime, script::NotifyScripts};
use keepalived_rs::state::interface::{IFF_BROADCAST, IFF_MULTICAST, IFF_RUNNING, IFF_UP};
use keepalived_rs::state::{InstanceId, Interface, InterfaceAddress, Now};
use keepalived_rs::vrrp::group::Datagram;
use keepalived_rs::vrrp::{Effect, Effects, Event, Group, GroupConfig, Member, Received};
use keepalived_rs::wire::ipv4;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const S: u64 = 1_000_000_000;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `end`, without `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A moment of the test's clock.
pub fn at(mono: u64) -> Now {
    Now {
        mono,
        wall: SystemTime::UNIX_EPOCH + Duration::from_nanos(mono),
    }
}

/// An address as `virtual_ipaddress` has it.
pub fn vip(address: &str) -> Address {
    let address: IpAddr = address.parse().expect("address of a test");
    Address {
        network: IpNetwork {
            address,
            prefix: if address.is_ipv4() { 32 } else { 128 },
        },
        peer: None,
        broadcast: None,
        scope: 0,
        label: None,
        interface: "eth0".into(),
        interface_given: false,
        flags: AddressFlags::default(),
        no_track: false,
        preferred: Lifetime::default(),
        preferred_given: false,
        use_vmac: false,
        track_group: None,
    }
}

/// A `vrrp_instance` on eth0 with one address and keepalived's defaults.
pub fn instance(name: &str, vrid: u8, priority: u8) -> Instance {
    Instance {
        name: name.into(),
        line: 1,
        file: "keepalived.conf".into(),
        version: Version::V2,
        family: Family::Inet,
        native_ipv6: false,
        initial_state: if priority == 255 {
            InitialState::Master
        } else {
            InitialState::Backup
        },
        interface: "eth0".into(),
        vrf: None,
        vrid,
        priority,
        advert_interval: Duration::from_secs(1),
        vips: vec![vip(&format!("192.0.2.{}", 100 + vrid % 100))],
        excluded_vips: Vec::new(),
        no_vips: false,
        routes: Vec::new(),
        rules: Vec::new(),
        authentication: Authentication::None,
        auth_hmac: None,
        source: None,
        track_source: false,
        multicast_group: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        unicast: false,
        peers: Vec::new(),
        unicast_fault_no_peer: false,
        check_unicast_source: false,
        unicast_ttl: 255,
        unicast_checksum: UnicastChecksum::Auto,
        v3_checksum_as_v2: false,
        skip_check_adv_addr: false,
        strict: false,
        accept: Accept::Enabled,
        nopreempt: false,
        preempt_delay: Duration::ZERO,
        down_timer_adverts: 3,
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        timer_expired_backup: None,
        garp: Garp {
            master_delay: Duration::from_secs(5),
            master_repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
            extra_interface: Duration::ZERO,
            extra_interface_all: false,
        },
        kernel_rx_buffer: None,
        vmac: None,
        vmac_addresses: false,
        ipvlan: None,
        dont_track_primary: false,
        track_interfaces: Vec::new(),
        track_scripts: Vec::new(),
        track_files: Vec::new(),
        track_processes: Vec::new(),
        track_bfd: Vec::new(),
        promote_secondaries: false,
        linkbeat_polling: false,
        debug: 0,
        notify: NotifyScripts::default(),
        notify_deleted: false,
        notify_priority_changes: false,
        smtp_alert: false,
        config_faults: 0,
        sync_group: None,
    }
}

/// The same over IPv6, version 3.
pub fn instance6(name: &str, vrid: u8, priority: u8) -> Instance {
    Instance {
        version: Version::V3,
        family: Family::Inet6,
        vips: vec![vip("fe80::100"), vip("2001:db8::100")],
        multicast_group: IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        ..instance(name, vrid, priority)
    }
}

/// An interface with an IPv4 and a link-local address.
pub fn interface(name: &str, index: u32, host: u8, up: bool) -> Arc<Interface> {
    let address = |address: IpAddr, prefix: u8| InterfaceAddress {
        address,
        prefix,
        scope: 0,
        flags: 0,
        protocol: 0,
        label: None,
    };
    Arc::new(Interface {
        index,
        name: name.into(),
        flags: IFF_BROADCAST | IFF_MULTICAST | if up { IFF_UP | IFF_RUNNING } else { 0 },
        mtu: 1500,
        hardware_type: 1,
        mac: vec![2, 0, 0, 0, 0, host],
        mac_broadcast: vec![0xff; 6],
        addresses: vec![
            address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), 24),
            address(
                IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(host))),
                64,
            ),
        ],
        ..Interface::default()
    })
}

/// What a group of these instances starts from; more than one is a sync group `VG_1`.
pub fn group_config(host: u8, instances: &[Instance]) -> GroupConfig {
    let group = (instances.len() > 1).then(|| {
        Arc::new(SyncGroup {
            name: "VG_1".into(),
            members: instances.iter().map(|i| i.name.clone()).collect(),
            ..SyncGroup::default()
        })
    });
    let members = instances.iter().map(|config| {
        let mut config = config.clone();
        config.sync_group = group.as_ref().map(|group| group.name.clone());
        Member {
            id: InstanceId(u32::from(config.vrid)),
            config: Arc::new(config),
        }
    });
    GroupConfig {
        members: members.collect(),
        group,
        interfaces: BTreeMap::from([("eth0".into(), interface("eth0", 10, host, true))]),
        detail: true,
        hold_until: 0,
    }
}

/// What arrives when this datagram does.
pub fn received(datagram: &Datagram, arrival: u64) -> Received {
    if datagram.source.is_ipv6() {
        return Received {
            source: datagram.source,
            destination: Some(datagram.destination),
            ttl: Some(datagram.ttl),
            total_length: None,
            message: datagram.bytes.clone().into(),
            ah: false,
            arrival,
        };
    }
    let header = ipv4::Repr::parse(&datagram.bytes).expect("an IPv4 header");
    Received {
        source: IpAddr::V4(header.source),
        destination: Some(IpAddr::V4(header.destination)),
        ttl: Some(header.ttl),
        total_length: Some(header.total_length),
        message: datagram.bytes[header.header_length..].into(),
        ah: false,
        arrival,
    }
}

/// One group that a test drives by hand.
pub struct Solo {
    /// The group.
    pub group: Group,
    /// Time.
    pub now: u64,
    /// Effects of the last call.
    pub effects: Effects,
}

impl Solo {
    /// Starts a group at time 1 s.
    pub fn start(config: GroupConfig) -> Solo {
        let mut effects = Vec::new();
        let group = Group::start(config, at(S), &mut effects);
        Solo {
            group,
            now: S,
            effects,
        }
    }

    /// Handles an event now.
    pub fn handle(&mut self, event: Event) -> &Effects {
        self.effects.clear();
        self.group.handle(at(self.now), event, &mut self.effects);
        &self.effects
    }

    /// Lets time pass, with every timer on its way; all their effects stay.
    pub fn pass(&mut self, time: u64) -> &Effects {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some((due, ..)) = self.group.deadline().filter(|(due, ..)| *due <= end) {
            self.now = self.now.max(due);
            self.group.handle(at(self.now), Event::Tick, &mut all);
        }
        self.now = end;
        self.effects = all;
        &self.effects
    }

    /// A packet arrives now.
    pub fn packet(&mut self, packet: Received) -> &Effects {
        let vrid = packet.message.get(1).copied().unwrap_or_default();
        let arrival = self.now;
        self.handle(Event::Packet {
            instance: InstanceId(u32::from(vrid)),
            packet: Received { arrival, ..packet },
        })
    }

    /// The lines of the last effects.
    pub fn lines(&self) -> Vec<String> {
        lines(&self.effects)
    }
}

/// The lines that these effects log.
pub fn lines(effects: &Effects) -> Vec<String> {
    let notices = effects.iter().filter_map(|effect| match effect {
        Effect::Report(notice) => Some(keepalived_rs::report::lines::line(notice).text),
        _ => None,
    });
    notices.collect()
}

/// The packet that a router with this configuration sends.
pub fn advert_of(config: &Instance, host: u8) -> Received {
    let mut config = config.clone();
    config.sync_group = None;
    let mut group = Solo::start(group_config(host, &[config.clone()]));
    let datagram = group
        .group
        .advert(InstanceId(u32::from(config.vrid)), config.priority)[0]
        .clone();
    received(&datagram, 0)
}

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
