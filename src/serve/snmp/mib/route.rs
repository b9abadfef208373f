//! KEEPALIVED-MIB: routes and their next hops. The static ones belong to instance 0.

use super::{interface_index, keepalived, scope};
use crate::model::route::{Encap, Metric, NextHop, Route};
use crate::serve::snmp::tree::{Table, Tree, address, address_type, gauge, integer, row, truth};
use crate::state::VrrpState;
use crate::state::snapshot::Snapshot;
use crate::wire::agentx::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RTAX_* with their column, the column that says whether it is locked (0: none), and how many units of the
/// kernel are one of the MIB's.
const METRICS: [(u16, u32, u32, u32); 12] = [
    (2, 22, 23, 1),
    (10, 24, 0, 1),
    (8, 25, 26, 1),
    (4, 27, 28, 8),
    (5, 29, 30, 4),
    (9, 31, 32, 1),
    (3, 33, 0, 1),
    (7, 34, 35, 1),
    (6, 36, 37, 1),
    (13, 38, 39, 1),
    (11, 40, 0, 1),
    (14, 41, 0, 1),
];
const RTAX_QUICKACK: u16 = 15;
const RTAX_FASTOPEN_NO_COOKIE: u16 = 17;
const FEATURE_ECN: u32 = 1;
const TABLE_MAIN: u32 = 254;

pub(super) fn put(snapshot: &Snapshot, tree: &mut Tree) {
    let fixed = snapshot.config.static_routes.iter().enumerate();
    let fixed = fixed.map(|(at, route)| (route, true, [0, row(at)]));
    let own = snapshot.instances.iter().enumerate().flat_map(|(at, instance)| {
        let set = instance.state == VrrpState::Master;
        let routes = instance.config.routes.iter().enumerate();
        routes.map(move |(place, route)| (route, set, [row(at), row(place)]))
    });
    let all: Vec<_> = fixed.chain(own).collect();
    let mut table = tree.table(&keepalived(&[2, 7, 1]));
    for (route, set, index) in &all {
        one(snapshot, route, *set, *index, &mut table);
    }
    let mut table = tree.table(&keepalived(&[2, 11, 1]));
    for (route, _, [owner, number]) in all {
        for (at, hop) in route.next_hops.iter().enumerate() {
            next_hop(snapshot, hop, [owner, number, row(at)], &mut table);
        }
    }
}

fn one(snapshot: &Snapshot, route: &Route, set: bool, index: [u32; 2], table: &mut Table<'_>) {
    let all: IpAddr = match route.family {
        crate::model::route::Family::Inet => Ipv4Addr::UNSPECIFIED.into(),
        crate::model::route::Family::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    let destination = route.destination.map_or(all, |network| network.address);
    table.put(2, &index, address_type(&destination));
    table.put(3, &index, address(&destination));
    let prefix = route.destination.map_or(0, |network| network.prefix);
    table.put(4, &index, gauge(prefix));
    table.maybe(5, &index, route.hop.via.as_ref().map(address));
    table.maybe(7, &index, route.source.as_ref().map(address));
    table.put(8, &index, gauge(route.metric.unwrap_or_default()));
    table.put(9, &index, scope(route.scope.unwrap_or_default()));
    table.put(10, &index, Value::Integer(kind(route)));
    if let Some(name) = &route.hop.interface {
        table.put(11, &index, integer(interface_index(snapshot, name)));
        table.put(12, &index, Value::text(name));
    }
    table.put(13, &index, gauge(route.table.unwrap_or(TABLE_MAIN)));
    table.put(14, &index, truth(set));
    if let Some(from) = &route.from {
        table.put(15, &index, address(&from.address));
        table.put(16, &index, gauge(from.prefix));
    }
    table.maybe(17, &index, (route.tos != 0).then(|| gauge(route.tos)));
    // Numbered from 1 in the MIB.
    let protocol = route.protocol.map(|number| i32::from(number) + 1);
    table.maybe(18, &index, protocol.map(integer));
    let metric = |kind| route.metrics.iter().find(|metric| metric.kind == kind);
    let is_on = |found: Option<&Metric>| truth(found.is_some_and(|metric| metric.value != 0));
    table.put(19, &index, truth(route.features & FEATURE_ECN != 0));
    table.put(20, &index, is_on(metric(RTAX_QUICKACK)));
    table.maybe(21, &index, route.expires.map(integer));
    for (kind, column, lock, unit) in METRICS {
        if let Some(found) = metric(kind) {
            table.put(column, &index, gauge(found.value / unit));
            if lock != 0 {
                table.put(lock, &index, truth(found.locked));
            }
        }
    }
    let congestion = route.congctl.as_ref().map(|(name, _)| Value::text(name));
    table.maybe(42, &index, congestion);
    // ICMPV6_ROUTER_PREF_*: 0 medium, 1 high, 3 low.
    let preference = route.preference.map(|preference| match preference {
        3 => 1,
        1 => 3,
        _ => 2,
    });
    table.maybe(43, &index, preference.map(Value::Integer));
    if let Some(realms) = route.hop.realms {
        table.put(44, &index, gauge(realms & 0xffff));
        table.put(45, &index, gauge(realms >> 16));
    }
    if let Some(encap) = &route.hop.encap {
        encapsulation(encap, 46, &index, table);
    }
    let cookie = metric(RTAX_FASTOPEN_NO_COOKIE);
    table.maybe(55, &index, cookie.map(|found| is_on(Some(found))));
}

fn next_hop(snapshot: &Snapshot, hop: &NextHop, index: [u32; 3], table: &mut Table<'_>) {
    if let Some(via) = &hop.via {
        table.put(2, &index, address_type(via));
        table.put(3, &index, address(via));
    }
    if let Some(name) = &hop.interface {
        table.put(4, &index, integer(interface_index(snapshot, name)));
        table.put(5, &index, Value::text(name));
    }
    table.put(6, &index, gauge(hop.weight));
    table.put(7, &index, truth(hop.onlink));
    if let Some(realms) = hop.realms {
        table.put(8, &index, gauge(realms & 0xffff));
        table.put(9, &index, gauge(realms >> 16));
    }
    if let Some(encap) = &hop.encap {
        encapsulation(encap, 10, &index, table);
    }
}

/// EncapType and the eight columns after it.
fn encapsulation(encap: &Encap, first: u32, index: &[u32], table: &mut Table<'_>) {
    match encap {
        Encap::Mpls(labels) => {
            table.put(first, index, Value::Integer(1));
            let labels: Vec<String> = labels.iter().map(u32::to_string).collect();
            table.put(first + 1, index, Value::text(&labels.join("/")));
        }
        Encap::Ip {
            id,
            destination,
            source,
            tos,
            ttl,
            flags,
            ipv6,
        } => {
            table.put(first, index, Value::Integer(if *ipv6 { 4 } else { 2 }));
            table.maybe(first + 2, index, id.map(Value::Counter64));
            table.maybe(first + 3, index, destination.as_ref().map(address));
            table.maybe(first + 4, index, source.as_ref().map(address));
            table.maybe(first + 5, index, tos.map(gauge));
            table.maybe(first + 6, index, ttl.map(gauge));
            table.maybe(first + 7, index, flags.map(gauge));
        }
        Encap::Ila(locator) => {
            table.put(first, index, Value::Integer(3));
            table.put(first + 8, index, Value::Counter64(*locator));
        }
    }
}

/// RouteType; RTN_* in the kernel's order.
fn kind(route: &Route) -> i32 {
    match route.kind {
        _ if !route.next_hops.is_empty() => 2,
        3 => 6,
        4 => 4,
        5 => 5,
        6 => 3,
        kind @ 7..=11 => i32::from(kind),
        _ => 1,
    }
}
