//! What had happened in each recorded case when its files were written. Only what a run adds is here; the
//! configuration comes from the case's file.

use crate::moment;
use keepalived_rs::model::route::Family;
use keepalived_rs::model::vrrp::{Authentication, Version};
use keepalived_rs::state::VrrpState;
use keepalived_rs::state::snapshot::{InstanceSnapshot, Snapshot, SocketSnapshot};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A moment of a case: the ending of its files' names, and how to get there from the start.
pub type Moment = (&'static str, fn(&mut Snapshot));

pub const CASES: &[&str] = &[
    "01-v2-master-pass",
    "02-v2-backup",
    "03-v3-ipv4-master",
    "04-v3-ipv6-master",
    "05-unicast",
    "06-sync-group-tracking",
    "07-use-vmac",
    "08-routes-rules-static",
    "09-excluded-labels",
    "10-auth-ah",
    "11-auth-hmac",
    "12-bfd",
    "13-track-process",
    "14-fault-link-down",
    "15-30-vips",
    "16-all-global-defs",
    "17-all-instance-keywords",
    "18-stats-bad-packets",
    "19-groups-delays-linkbeat",
    "20-strict",
    "21-reload-changes",
    "22-lvs",
];

pub fn moments(case: &str) -> &'static [Moment] {
    match case {
        "01-v2-master-pass" => &[
            ("", |s| masters(s, 14, 3)),
            (".after-reload", |s| reloaded(s, 14, 7)),
        ],
        "02-v2-backup" => &[
            ("", |s| backup(s, 14, 3)),
            (".after-failover", |s| failed_over(s, 14, 5, 6)),
            (".after-return", |s| {
                backup(s, 14, 8);
                let instance = &mut s.instances[0];
                instance.last_advert_sent = Some(moment());
                let statistics = &mut instance.statistics;
                (statistics.advert_sent, statistics.become_master) = (9, 1);
                (statistics.release_master, statistics.pri_zero_rcvd) = (1, 1);
            }),
        ],
        "03-v3-ipv4-master" => &[("", |s| {
            masters(s, 13, 7);
            s.instances[0].master_down = Duration::from_micros(1);
        })],
        "04-v3-ipv6-master" => &[
            ("", |s| {
                masters(s, 14, 2);
                forwarding_checked(s, "eth0");
            }),
            (".after-reload", |s| {
                reloaded(s, 14, 5);
                forwarding_checked(s, "eth0");
            }),
        ],
        "05-unicast" | "11-auth-hmac" | "13-track-process" | "15-30-vips" => &[("", |s| masters(s, 13, 3))],
        "06-sync-group-tracking" => &[
            ("", |s| tracking(s, 3, [25, 10], 3, 5)),
            (".file-changed", |s| tracking(s, 5, [19, 10], 3, 3)),
            (".script-failed", |s| tracking(s, 9, [-1, -10], 0, 3)),
        ],
        "07-use-vmac" => &[
            ("", |s| {
                masters(s, 15, 3);
                vmacs(s, [2, 3, 4]);
            }),
            (".after-reload", |s| {
                reloaded(s, 15, 7);
                vmacs(s, [2, 3, 4]);
            }),
        ],
        "08-routes-rules-static" => &[
            ("", |s| masters(s, 13, 3)),
            (".after-reload", |s| reloaded(s, 13, 7)),
        ],
        "09-excluded-labels" => &[("", |s| {
            masters(s, 14, 3);
            s.instances[0].vips_set[1] = false;
            forwarding_checked(s, "eth0");
            forwarding_checked(s, "eth1");
            let eth0 = &mut s.interfaces[1].settings;
            (eth0.rp_filter, eth0.promote_secondaries) = (Some(0), 1);
        })],
        // A packet of another host's came in.
        "10-auth-ah" => &[("", |s| {
            masters(s, 13, 3);
            s.instances[0].statistics.auth_failure = 1;
        })],
        "12-bfd" => &[("", |s| {
            masters(s, 13, 4);
            add_priority(s, 0, -20);
            s.bfd[0].up = true;
        })],
        "14-fault-link-down" => &[
            ("", fault),
            (".link-up", |s| {
                masters(s, 14, 2);
                s.interfaces[1].settings.rp_filter = Some(0);
            }),
            (".link-down-again", fault_again),
        ],
        "16-all-global-defs" => &[("", |s| {
            masters(s, 19, 3);
            s.sockets[0].rx_buffer = 160;
        })],
        "17-all-instance-keywords" => &[("", |s| {
            masters(s, 16, 5);
            s.instances[0].statistics.advert_sent = 12;
            add_priority(s, 0, 20);
            let script = &mut s.scripts[0];
            (script.result, script.initialising) = (1, false);
            s.files[0].value = 4;
            s.instances[0].route_devices = vec![Some("eth0".into())];
            s.instances[1].firewall_set = true;
            more_vmacs(s, [2, 3]);
            forwarding_checked(s, "eth0");
        })],
        "18-stats-bad-packets" => &[
            ("", |s| backup(s, 13, 2)),
            (".after-failover", |s| failed_over(s, 13, 4, 6)),
            (".after-bad-packets", |s| {
                failed_over(s, 13, 8, 10);
                s.instances[0].logged_errors = 0x71ed;
                let statistics = &mut s.instances[0].statistics;
                (statistics.packet_len_err, statistics.ip_ttl_err) = (2, 1);
                (statistics.invalid_type_rcvd, statistics.addr_list_err) = (1, 2);
                (statistics.invalid_authtype, statistics.authtype_mismatch) = (1, 1);
                (statistics.auth_failure, statistics.pri_zero_rcvd) = (1, 2);
            }),
        ],
        "19-groups-delays-linkbeat" => &[
            ("", |s| masters(s, 13, 3)),
            (".after-reload", |s| reloaded(s, 13, 7)),
        ],
        "20-strict" => &[
            ("", |s| {
                masters(s, 14, 3);
                firewalled(s);
            }),
            (".after-reload", |s| {
                reloaded(s, 14, 7);
                firewalled(s);
            }),
        ],
        "21-reload-changes" | "22-lvs" => &[("", |s| masters(s, 14, 3))],
        other => panic!("{other}: no moments"),
    }
}

/// The moment at which the JSON of version 2 was asked for, in a run of its own.
pub fn second_run(case: &str, snapshot: &mut Snapshot) {
    moments(case)[0].1(snapshot);
    match case {
        "04-v3-ipv6-master" => snapshot.instances[0].statistics.advert_sent = 1,
        "06-sync-group-tracking" => add_priority(snapshot, 0, 19),
        _ => {}
    }
}

/// The file that the case ends with.
pub fn last_file(case: &str) -> &'static str {
    match case {
        "21-reload-changes" => "node1-after-reload.conf",
        _ => "node1.conf",
    }
}

/// What is known before the start: `-d`. Static addresses are set by then.
pub fn start(case: &str, mut snapshot: Snapshot) -> Snapshot {
    snapshot.static_set.fill(true);
    match case {
        "06-sync-group-tracking" => snapshot.files[0].value = 3,
        "07-use-vmac" => {
            vmacs(&mut snapshot, [5, 6, 7]);
            for interface in &mut snapshot.interfaces {
                interface.settings.arp_users = 0;
                interface.settings.ipv6_forwarding = None;
            }
        }
        "17-all-instance-keywords" => {
            snapshot.files[0].value = 4;
            more_vmacs(&mut snapshot, [4, 5]);
            for interface in &mut snapshot.interfaces {
                interface.settings.arp_users = 0;
            }
        }
        "14-fault-link-down" => {
            no_carrier(&mut snapshot);
            snapshot.interfaces[1].seen_up = false;
        }
        _ => {}
    }
    for group in &mut snapshot.garp_groups {
        (group.garp_next, group.gna_next) = (Some(moment()), Some(moment()));
    }
    snapshot
}

/// All instances are masters, each on its socket: the first receives on `fd`.
pub fn masters(snapshot: &mut Snapshot, fd: i32, sent: u64) {
    sockets(snapshot, fd);
    for instance in &mut snapshot.instances {
        become_master(instance, sent);
    }
    for group in &mut snapshot.groups {
        group.state = VrrpState::Master;
    }
}

fn become_master(instance: &mut InstanceSnapshot, sent: u64) {
    instance.state = VrrpState::Master;
    instance.wanted = VrrpState::Master;
    instance.last_transition = Some(moment());
    instance.read_timeout = Some(moment());
    instance.last_advert_sent = Some(moment());
    instance.master_down = master_down(instance);
    instance.vips_set.fill(true);
    instance.excluded_set.fill(true);
    instance.statistics.advert_sent = sent;
    instance.statistics.become_master = 1;
}

/// Still masters after a reload, which keepalived does without a new master down timer.
fn reloaded(snapshot: &mut Snapshot, fd: i32, sent: u64) {
    masters(snapshot, fd, sent);
    for instance in &mut snapshot.instances {
        instance.master_down = Duration::ZERO;
    }
}

/// Backup of 192.0.2.2, whose priority is 200.
pub fn backup(snapshot: &mut Snapshot, fd: i32, received: u64) {
    sockets(snapshot, fd);
    let instance = &mut snapshot.instances[0];
    instance.state = VrrpState::Backup;
    instance.master = Some("192.0.2.2".parse().unwrap());
    instance.master_priority = 200;
    instance.last_transition = Some(moment());
    instance.read_timeout = Some(moment());
    instance.master_down = master_down(instance);
    instance.statistics.advert_rcvd = received;
}

/// Master since 192.0.2.2 has sent priority 0: the timer then was the skew time.
pub fn failed_over(snapshot: &mut Snapshot, fd: i32, received: u64, sent: u64) {
    masters(snapshot, fd, sent);
    let instance = &mut snapshot.instances[0];
    instance.master_down = skew(instance);
    instance.master_priority = 200;
    instance.statistics.advert_rcvd = received;
    instance.statistics.pri_zero_rcvd = 1;
}

fn skew(instance: &InstanceSnapshot) -> Duration {
    let interval = match instance.config.version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => instance.master_interval,
    };
    let micros = interval.as_micros() * u128::from(256 - u16::from(instance.effective_priority)) / 256;
    Duration::from_micros(micros.try_into().unwrap())
}

fn master_down(instance: &InstanceSnapshot) -> Duration {
    instance.master_interval * instance.config.down_timer_adverts + skew(instance)
}

/// Trackers add to the priority of an instance.
fn add_priority(snapshot: &mut Snapshot, instance: usize, weight: i32) {
    let instance = &mut snapshot.instances[instance];
    instance.total_priority = i32::from(instance.config.priority) + weight;
    instance.effective_priority = instance.total_priority.try_into().unwrap();
    instance.master_down = master_down(instance);
}

/// Sockets as instances need them: one pair for each interface, family, protocol and kind of address.
fn sockets(snapshot: &mut Snapshot, mut fd: i32) {
    let mut sockets: Vec<SocketSnapshot> = Vec::new();
    for instance in &mut snapshot.instances {
        let config = instance.config.clone();
        let ipv6 = config.family == Family::Inet6;
        let ah = matches!(config.authentication, Authentication::Ah(_));
        let unicast: Option<IpAddr> = instance.source.filter(|_| config.unicast);
        let interface = match &config.vmac {
            Some(vmac) if !vmac.xmit_base => vmac.name.clone(),
            _ => config.interface.clone(),
        };
        let same = |s: &&mut SocketSnapshot| {
            s.interface == interface && s.ipv6 == ipv6 && s.ah == ah && s.unicast == unicast
        };
        let entry = (config.name.clone(), config.vrid);
        if let Some(socket) = sockets.iter_mut().find(same) {
            socket.instances.push(entry);
            instance.sockets = Some(socket.fds);
            continue;
        }
        instance.sockets = Some((fd, fd + 1));
        sockets.push(SocketSnapshot {
            interface,
            index: instance.interface_index,
            ipv6,
            ah,
            unicast,
            group: Some(config.multicast_group).filter(|_| !config.unicast),
            rx_buffer: config.kernel_rx_buffer.unwrap_or(0),
            fds: (fd, fd + 1),
            instances: vec![entry],
        });
        fd += 2;
    }
    snapshot.sockets = sockets;
    snapshot.static_set.fill(true);
    for group in &mut snapshot.garp_groups {
        (group.garp_next, group.gna_next) = (Some(moment()), Some(moment()));
    }
}

fn forwarding_checked(snapshot: &mut Snapshot, name: &str) {
    let found = snapshot.interfaces.iter_mut().find(|i| i.interface.name == name);
    found.unwrap().settings.ipv6_forwarding = Some((false, moment()));
}

fn firewalled(snapshot: &mut Snapshot) {
    for instance in &mut snapshot.instances {
        instance.firewall_set = true;
    }
    forwarding_checked(snapshot, "eth0");
}

/// Two masters, a script and a file that track.
pub fn tracking(snapshot: &mut Snapshot, sent: u64, weights: [i32; 2], result: u32, value: i64) {
    masters(snapshot, 15, sent);
    add_priority(snapshot, 0, weights[0]);
    add_priority(snapshot, 1, weights[1]);
    let script = &mut snapshot.scripts[0];
    (script.result, script.initialising) = (result, false);
    snapshot.files[0].value = value;
}

/// eth0 has had no carrier since before the start.
fn fault(snapshot: &mut Snapshot) {
    sockets(snapshot, 14);
    let instance = &mut snapshot.instances[0];
    instance.state = VrrpState::Fault;
    instance.wanted = VrrpState::Fault;
    instance.interface_faults = vec!["i/f down".into()];
    instance.last_transition = Some(moment());
    instance.master_down = master_down(instance);
    no_carrier(snapshot);
    snapshot.interfaces[1].seen_up = false;
}

fn no_carrier(snapshot: &mut Snapshot) {
    let mut eth0 = (*snapshot.interfaces[1].interface).clone();
    eth0.flags &= !keepalived_rs::state::interface::IFF_RUNNING;
    snapshot.interfaces[1].interface = Arc::new(eth0);
}

/// Carrier has come and gone again.
fn fault_again(snapshot: &mut Snapshot) {
    fault(snapshot);
    snapshot.interfaces[1].seen_up = true;
    snapshot.interfaces[1].settings.rp_filter = Some(0);
    let instance = &mut snapshot.instances[0];
    instance.last_advert_sent = Some(moment());
    let statistics = &mut instance.statistics;
    (statistics.advert_sent, statistics.become_master) = (5, 1);
    (statistics.release_master, statistics.pri_zero_sent) = (1, 1);
}

/// The VMACs of 07-use-vmac, with these indexes.
fn vmacs(snapshot: &mut Snapshot, indexes: [u32; 3]) {
    add_vmac(snapshot, indexes[0], "vrrp.51", 10, [0, 0, 0x5e, 0, 1, 51]);
    add_vmac(snapshot, indexes[1], "vmac52", 11, [0, 0, 0x5e, 0, 1, 52]);
    add_vmac(snapshot, indexes[2], "vmac53", 10, [0, 0, 0x5e, 0, 2, 53]);
    let last = snapshot.interfaces.last_mut().unwrap();
    last.settings.promote_secondaries = 0;
    let mut interface = (*last.interface).clone();
    interface.addresses = crate::host::interfaces()[1].addresses.clone();
    interface.addresses.retain(|address| address.address.is_ipv6());
    last.interface = Arc::new(interface);
    snapshot.instances[2].interface_index = indexes[2];
    forwarding_checked(snapshot, "eth0");
}

/// The VMACs of 17-all-instance-keywords.
fn more_vmacs(snapshot: &mut Snapshot, indexes: [u32; 2]) {
    add_vmac(snapshot, indexes[0], "vmac52", 11, [0, 0, 0x5e, 0, 1, 52]);
    add_vmac(snapshot, indexes[1], "vrrp.52", 10, [0, 0, 0x5e, 0, 1, 52]);
    let eth0 = &mut snapshot.interfaces[1].settings;
    eth0.promote_secondaries = 1;
}

/// A private macvlan over the interface of index `lower`, and what keepalived sets for it.
fn add_vmac(snapshot: &mut Snapshot, index: u32, name: &str, lower: u32, mac: [u8; 6]) {
    use keepalived_rs::state::interface::{IFF_BROADCAST, IFF_MULTICAST, IFF_RUNNING, IFF_UP};
    let vmac = keepalived_rs::state::Interface {
        index,
        name: name.into(),
        flags: IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST,
        mtu: 1500,
        hardware_type: 1,
        mac: mac.to_vec(),
        mac_broadcast: vec![0xff; 6],
        lower: Some(lower),
        kind: Some("macvlan".into()),
        macvlan_mode: Some(1),
        ..Default::default()
    };
    let mut taken = keepalived_rs::state::snapshot::InterfaceSnapshot::new(&vmac);
    let settings = &mut taken.settings;
    (
        settings.arp_ignore,
        settings.rp_filter,
        settings.promote_secondaries,
    ) = (1, Some(0), 1);
    snapshot.interfaces.push(taken);
    let base = snapshot
        .interfaces
        .iter_mut()
        .find(|i| i.interface.index == lower);
    let settings = &mut base.unwrap().settings;
    (settings.arp_users, settings.arp_ignore, settings.arp_filter) = (1, 1, 1);
    settings.rp_filter = Some(0);
}
