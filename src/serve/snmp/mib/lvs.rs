//! KEEPALIVED-MIB: virtual servers.

use super::{command, keepalived, path, traffic};
use crate::model::lvs::{
    Granularity, GroupEntry, Method, Protocol, Service, TunnelChecksum, TunnelKind, VirtualServer,
};
use crate::model::route::Family;
use crate::serve::snmp::tree::{Table, Tree, address, address_type, gauge, integer, row, truth};
use crate::state::lvs::{LvsSnapshot, RealView, ServerView};
use crate::state::snapshot::Snapshot;
use crate::wire::agentx::Value;
use std::net::Ipv4Addr;
use std::time::Duration;

pub(super) fn put(snapshot: &Snapshot, lvs: &LvsSnapshot, tree: &mut Tree) {
    groups(snapshot, tree);
    for (at, view) in lvs.servers.iter().enumerate() {
        let traffic = lvs.traffic.get(at).cloned().unwrap_or_default();
        let mut table = tree.table(&keepalived(&[3, 3, 1]));
        server(view, row(at), &mut table);
        traffic::server(&traffic.total, &[row(at)], &mut table);
        let mut table = tree.table(&keepalived(&[3, 4, 1]));
        reals(view, row(at), &mut table);
        traffic::reals(view, &traffic, row(at), &mut table);
    }
    sync_daemon(snapshot, tree);
    let timeouts = &snapshot.config.globals.lvs_timeouts;
    for (number, timeout) in [(1, timeouts.tcp), (2, timeouts.tcp_fin), (3, timeouts.udp)] {
        if let Some(seconds) = timeout {
            tree.put(keepalived(&[3, 7, number, 0]), integer(seconds));
        }
    }
}

fn groups(snapshot: &Snapshot, tree: &mut Tree) {
    let groups = &snapshot.config.lvs.groups;
    let mut table = tree.table(&keepalived(&[3, 1, 1]));
    for (at, group) in groups.iter().enumerate() {
        table.put(2, &[row(at)], Value::text(&group.name));
    }
    let mut table = tree.table(&keepalived(&[3, 2, 1]));
    for (at, group) in groups.iter().enumerate() {
        for (place, entry) in group.entries.iter().enumerate() {
            group_entry(entry, [row(at), row(place)], &mut table);
        }
    }
}

fn group_entry(entry: &GroupEntry, index: [u32; 2], table: &mut Table<'_>) {
    match entry {
        GroupEntry::Mark { mark, .. } => {
            table.put(2, &index, Value::Integer(1));
            table.put(3, &index, gauge(*mark));
        }
        GroupEntry::Addresses { first, last, port } => {
            table.put(2, &index, Value::Integer(if first == last { 2 } else { 3 }));
            table.put(4, &index, address_type(first));
            if first == last {
                table.put(5, &index, address(first));
            } else {
                table.put(6, &index, address(first));
                table.put(7, &index, address(last));
            }
            table.put(8, &index, gauge(*port));
        }
    }
}

fn server(view: &ServerView, at: u32, table: &mut Table<'_>) {
    let (config, index) = (&view.config, &[at][..]);
    for (column, value) in identity(config) {
        table.put(column, index, value);
    }
    if let Some(family) = config.family {
        table.put(
            5,
            index,
            Value::Integer(if family == Family::Inet { 1 } else { 2 }),
        );
    }
    let protocol = config.protocol.map(|found| Value::Integer(protocol(Some(found))));
    table.maybe(8, index, protocol);
    table.put(9, index, Value::Integer(scheduler(&config.scheduler)));
    table.put(10, index, method(config.method));
    // Alive: it is there, with its quorum or without.
    table.put(11, index, truth(true));
    table.maybe(12, index, config.virtual_host.as_deref().map(Value::text));
    table.put(13, index, truth(config.persistence_timeout.is_some()));
    table.maybe(14, index, config.persistence_timeout.map(gauge));
    match (config.family, config.persistence_granularity) {
        (Some(Family::Inet6), granularity) => {
            let prefix = match granularity {
                Some(Granularity::Prefix(prefix)) => prefix,
                _ => 128,
            };
            table.put(51, index, gauge(prefix));
        }
        (_, granularity) => {
            let mask = match granularity {
                Some(Granularity::Mask(mask)) => mask,
                _ => Ipv4Addr::BROADCAST,
            };
            table.put(15, index, address(&mask.into()));
        }
    }
    table.put(17, index, truth(config.ha_suspend));
    table.put(18, index, truth(config.timing.alpha.unwrap_or_default()));
    table.put(19, index, truth(config.omega));
    table.put(20, index, gauge(view.reals.len()));
    table.put(21, index, gauge(up(view)));
    table.put(22, index, gauge(config.quorum));
    table.put(23, index, truth(view.quorum_up));
    table.maybe(24, index, config.quorum_up.as_ref().map(command));
    table.maybe(25, index, config.quorum_down.as_ref().map(command));
    table.put(26, index, gauge(config.hysteresis));
    let flags = &config.flags;
    table.put(37, index, truth(flags.one_packet));
    for (column, flag) in [
        (53, flags.flag1),
        (54, flags.flag2),
        (55, flags.flag3),
        (62, flags.flag1),
        (63, flags.flag2),
    ] {
        table.put(column, index, truth(flag));
    }
    // The kernel has it in its hash table.
    table.put(52, index, truth(false));
    // remove(1), inhibit(2)
    table.put(56, index, truth(!config.inhibit));
    let timing = &config.timing;
    table.put(57, index, gauge(timing.retry.unwrap_or_default()));
    table.put(60, index, integer(config.weight));
    table.put(61, index, truth(config.smtp_alert));
    times(timing.delay_loop, Some(16), 64, index, table);
    times(timing.delay_before_retry, Some(58), 65, index, table);
    times(timing.warmup, Some(59), 66, index, table);
    times(timing.connect_timeout, None, 67, index, table);
    tunnel(config.method, 68, index, table);
    table.maybe(71, index, config.snmp_name.as_deref().map(Value::text));
    table.maybe(72, index, config.quorum_up.as_ref().map(path));
    table.maybe(73, index, config.quorum_down.as_ref().map(path));
}

/// What it is: column and value. For traps too.
pub(in super::super) fn identity(config: &VirtualServer) -> Vec<(u32, Value)> {
    match &config.service {
        Service::Mark(mark) => vec![(2, Value::Integer(1)), (4, gauge(*mark))],
        Service::Address(found, port) => vec![
            (2, Value::Integer(2)),
            (5, address_type(found)),
            (6, address(found)),
            (7, gauge(*port)),
        ],
        Service::Group(name, _) => vec![(2, Value::Integer(3)), (3, Value::text(name))],
    }
}

/// virtualServerProtocol. Notifications about a firewall mark that has none say UDP.
pub(in super::super) fn protocol(protocol: Option<Protocol>) -> i32 {
    match protocol {
        Some(Protocol::Tcp) => 1,
        Some(Protocol::Udp) | None => 2,
        Some(Protocol::Sctp) => 3,
    }
}

/// Real servers that are up.
pub(in super::super) fn up(view: &ServerView) -> usize {
    view.reals.iter().filter(|real| real.alive).count()
}

fn reals(view: &ServerView, at: u32, table: &mut Table<'_>) {
    let sorry = view.config.sorry_server.as_ref();
    if let Some(sorry) = sorry {
        let index = &[at, 1][..];
        table.put(2, index, Value::Integer(2));
        table.put(3, index, address_type(&sorry.address));
        table.put(4, index, address(&sorry.address));
        table.put(5, index, gauge(sorry.port));
        table.put(6, index, truth(view.sorry.alive));
        table.put(10, index, truth(!sorry.inhibit));
        table.put(40, index, method(sorry.method));
        tunnel(sorry.method, 52, index, table);
    }
    let first = usize::from(sorry.is_some());
    for (place, real) in view.reals.iter().enumerate() {
        real_server(view, place, real, &[at, row(place + first)], table);
    }
}

fn real_server(view: &ServerView, place: usize, real: &RealView, index: &[u32], table: &mut Table<'_>) {
    let Some(config) = view.config.real_servers.get(place) else {
        return;
    };
    table.put(2, index, Value::Integer(1));
    table.put(3, index, address_type(&config.address));
    table.put(4, index, address(&config.address));
    table.put(5, index, gauge(config.port));
    table.put(6, index, truth(real.alive));
    table.put(7, index, integer(real.weight));
    let limit = |limit: u32| (limit != 0).then(|| gauge(limit));
    table.maybe(8, index, limit(config.upper_threshold));
    table.maybe(9, index, limit(config.lower_threshold));
    table.put(10, index, truth(!config.inhibit));
    table.maybe(11, index, config.notify_up.as_ref().map(command));
    table.maybe(12, index, config.notify_down.as_ref().map(command));
    table.put(13, index, gauge(real.failed));
    table.put(40, index, method(config.method));
    table.maybe(41, index, config.virtual_host.as_deref().map(Value::text));
    let timing = &config.timing;
    table.put(42, index, truth(timing.alpha.unwrap_or_default()));
    table.put(43, index, gauge(timing.retry.unwrap_or_default()));
    table.put(47, index, truth(config.smtp_alert));
    times(timing.delay_before_retry, Some(44), 48, index, table);
    times(timing.warmup, Some(45), 49, index, table);
    times(timing.delay_loop, Some(46), 50, index, table);
    times(timing.connect_timeout, None, 51, index, table);
    tunnel(config.method, 52, index, table);
    table.maybe(55, index, config.snmp_name.as_deref().map(Value::text));
    table.maybe(56, index, config.notify_up.as_ref().map(path));
    table.maybe(57, index, config.notify_down.as_ref().map(path));
    let waiting = real.checkers.iter().filter(|checker| !checker.has_run);
    table.put(63, index, gauge(waiting.count()));
}

/// A time in whole seconds and in microseconds; 0 where none is set.
fn times(time: Option<Duration>, seconds: Option<u32>, micros: u32, index: &[u32], table: &mut Table<'_>) {
    let time = time.unwrap_or_default();
    table.maybe(
        seconds.unwrap_or_default(),
        index,
        seconds.map(|_| gauge(time.as_secs())),
    );
    table.put(micros, index, gauge(time.as_micros()));
}

fn sync_daemon(snapshot: &Snapshot, tree: &mut Tree) {
    let mut scalar = |number, value| tree.put(keepalived(&[3, 6, number, 0]), value);
    let Some(daemon) = &snapshot.config.globals.lvs_sync_daemon else {
        scalar(1, truth(false));
        return;
    };
    scalar(1, truth(true));
    scalar(2, Value::text(&daemon.interface));
    scalar(3, Value::text(&daemon.instance));
    let instances = &snapshot.config.instances;
    let instance = instances.iter().find(|i| i.name == daemon.instance);
    if let Some(id) = daemon.id.or(instance.map(|i| i.vrid)) {
        scalar(4, integer(id));
    }
    // 0 is the kernel's own choice.
    let numbers = [
        (5, Some(integer(daemon.max_length.unwrap_or_default()))),
        (6, Some(integer(daemon.port.unwrap_or_default()))),
        (7, Some(integer(daemon.ttl.unwrap_or_default()))),
        (8, daemon.group.as_ref().map(address_type)),
        (9, daemon.group.as_ref().map(address)),
    ];
    for (number, value) in numbers {
        if let Some(value) = value {
            scalar(number, value);
        }
    }
}

fn method(method: Method) -> Value {
    Value::Integer(match method {
        Method::Nat => 1,
        Method::Dr => 2,
        Method::Tun(_) => 3,
    })
}

fn tunnel(method: Method, first: u32, index: &[u32], table: &mut Table<'_>) {
    let Method::Tun(tunnel) = method else {
        return;
    };
    let kind = match tunnel.kind {
        TunnelKind::Ipip => 1,
        TunnelKind::Gue => 2,
        TunnelKind::Gre => 3,
    };
    table.put(first, index, Value::Integer(kind));
    if tunnel.kind == TunnelKind::Gue {
        table.put(first + 1, index, gauge(tunnel.port));
    }
    if tunnel.kind != TunnelKind::Ipip {
        let checksum = match tunnel.checksum {
            TunnelChecksum::None => 1,
            TunnelChecksum::Checksum => 2,
            TunnelChecksum::Remote => 3,
        };
        table.put(first + 2, index, Value::Integer(checksum));
    }
}

/// virtualServerLoadBalancingAlgo.
fn scheduler(name: &str) -> i32 {
    const NAMES: [&str; 14] = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
    ];
    let found = (1..).zip(NAMES).find(|(_, known)| *known == name);
    found.map_or(99, |(number, _)| number)
}
