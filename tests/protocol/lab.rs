//! What tests are built from: configurations, interfaces, packets, a random number generator that repeats itself,
//! and one group that a test drives by hand.

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
use std::collections::BTreeMap;
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
        over: None,
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
        static_interfaces: Vec::new(),
        authentication: Authentication::None,
        auth_hmac: None,
        source: None,
        track_source: false,
        multicast_group: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        unicast: false,
        peers: Vec::new(),
        unicast_fault_no_peer: false,
        check_unicast_source: false,
        unicast_ttl: None,
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
        verdicts: BTreeMap::new(),
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
            identification: None,
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
        identification: Some(u16::from_be_bytes([datagram.bytes[4], datagram.bytes[5]])),
        message: datagram.bytes[header.header_length..].into(),
        ah: header.protocol == 51,
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
