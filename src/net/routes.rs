//! Routes: the requests that add and remove them, and what the kernel tells of them.

use super::channel::Batch;
use super::links::Table;
use super::message::{Message, Writer, attributes, u16_at, u32_at};
use super::objects::{Action, PROTOCOL};
use crate::model::IpNetwork;
use crate::model::route::{Encap, Family, NextHop, Route, RouteAction};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTN_UNICAST`.
pub(super) const UNICAST: u8 = 1;

const HEADER: usize = 12;
const NEXT_HOP_HEADER: usize = 8;
const RTNH_F_ONLINK: u32 = 4;
const RT_TABLE_UNSPEC: u8 = 0;
const RT_TABLE_MAIN: u32 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_HOST: u8 = 254;
const RT_SCOPE_NOWHERE: u8 = 255;
const RTA_PREF: u16 = 20;
const RTA_VIA: u16 = 18;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_EXPIRES: u16 = 23;
const RTA_TTL_PROPAGATE: u16 = 26;
const RTAX_LOCK: u16 = 1;
const RTAX_FEATURES: u16 = 12;
const RTAX_CC_ALGO: u16 = 16;
/// The metric of an IPv6 route that is given none.
const IP6_RT_PRIO_USER: u32 = 1024;

/// What makes a route the same one: where it stands in the tables, and what it does there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// Family.
    pub family: Family,
    /// Table.
    pub table: u32,
    /// Destination, without host bits.
    pub destination: IpNetwork,
    /// IPv6: source.
    pub from: Option<IpNetwork>,
    /// Type of service.
    pub tos: u8,
    /// Metric, with the kernel's default.
    pub metric: u32,
    /// `RTN_*`.
    pub kind: u8,
    /// Next hops; none for a route that leads nowhere.
    pub hops: Vec<HopKey>,
}

/// A next hop: what is given of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HopKey {
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Interface name.
    pub interface: Option<String>,
}

impl RouteKey {
    /// Of a configured route.
    pub fn of(route: &Route) -> RouteKey {
        let unspecified = match route.family {
            Family::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::Inet6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let hop = |hop: &NextHop| HopKey {
            via: hop.via,
            interface: hop.interface.clone().or_else(|| route.hop.interface.clone()),
        };
        let hops = match (route.kind, route.next_hops.is_empty()) {
            (UNICAST, true) => vec![hop(&route.hop)],
            (UNICAST, false) => route.next_hops.iter().map(hop).collect(),
            _ => Vec::new(),
        };
        RouteKey {
            family: route.family,
            table: route.table.unwrap_or(RT_TABLE_MAIN),
            destination: route.destination.map_or(
                IpNetwork {
                    address: unspecified,
                    prefix: 0,
                },
                masked,
            ),
            from: route.from.map(masked).filter(|from| from.prefix > 0),
            tos: route.tos,
            metric: metric(route.family, route.metric),
            kind: route.kind,
            hops,
        }
    }

    /// It stands at the same place: one of the two can take the place of the other.
    pub fn same_place(&self, other: &RouteKey) -> bool {
        let place = |key: &RouteKey| {
            (
                key.family,
                key.table,
                key.destination,
                key.from,
                key.tos,
                key.metric,
            )
        };
        place(self) == place(other)
    }

    /// The smallest key at this place.
    pub fn lowest(&self) -> RouteKey {
        RouteKey {
            kind: 0,
            hops: Vec::new(),
            ..self.clone()
        }
    }

    /// A configured route: the one that the kernel tells of is this one, or one of its next hops.
    pub fn is(&self, found: &RouteKey) -> bool {
        self.same_place(found)
            && self.kind == found.kind
            && (self.hops.is_empty()
                || found
                    .hops
                    .iter()
                    .all(|found| self.hops.iter().any(|hop| hop.is(found))))
    }
}

impl HopKey {
    fn is(&self, found: &HopKey) -> bool {
        (self.via.is_none() || self.via == found.via)
            && (self.interface.is_none() || self.interface == found.interface)
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.destination.prefix == 0 {
            write!(
                f,
                "{}",
                if self.family == Family::Inet {
                    "default"
                } else {
                    "inet6 default"
                }
            )?;
        } else {
            write!(f, "{}/{}", self.destination.address, self.destination.prefix)?;
        }
        let several = self.hops.len() > 1;
        for hop in &self.hops {
            if several {
                f.write_str(" nexthop")?;
            }
            if let Some(via) = hop.via {
                write!(f, " via {via}")?;
            }
            if let Some(interface) = &hop.interface {
                write!(f, " dev {interface}")?;
            }
        }
        if self.table != RT_TABLE_MAIN {
            write!(f, " table {}", self.table)?;
        }
        if self.metric != metric(self.family, None) {
            write!(f, " metric {}", self.metric)?;
        }
        Ok(())
    }
}

/// What the monitor tells of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteNews {
    /// The route that is gone, or the one that has taken the place of another.
    pub route: RouteKey,
    /// Another one stands where it did.
    pub replaced: bool,
    /// `RTPROT_*` of the route in the message.
    pub protocol: u8,
    /// Port id of who asked for it; 0 is the kernel itself.
    pub port: u32,
}

/// Reads what the monitor tells; `None` when no route is lost by it.
pub fn read(message: &Message<'_>, table: &Table) -> Option<RouteNews> {
    let replaced = match message.kind {
        libc::RTM_DELROUTE => false,
        libc::RTM_NEWROUTE if i32::from(message.flags) & libc::NLM_F_REPLACE != 0 => true,
        _ => return None,
    };
    let payload = message.payload;
    let family = family(*payload.first()?)?;
    let (to, from, tos) = (*payload.get(1)?, *payload.get(2)?, *payload.get(3)?);
    let mut route = RouteKey {
        family,
        table: u32::from(*payload.get(4)?),
        destination: network(family, &[], to),
        from: None,
        tos,
        metric: 0,
        kind: *payload.get(7)?,
        hops: Vec::new(),
    };
    for (kind, value) in attributes(payload, HEADER) {
        match kind {
            libc::RTA_DST => route.destination = network(family, value, to),
            libc::RTA_SRC => route.from = Some(network(family, value, from)),
            libc::RTA_TABLE => route.table = u32_at(value, 0)?,
            libc::RTA_PRIORITY => route.metric = u32_at(value, 0)?,
            libc::RTA_MULTIPATH => route.hops = read_hops(family, value, table),
            _ => {}
        }
    }
    route.from = route.from.filter(|from| from.prefix > 0);
    if route.hops.is_empty() {
        route
            .hops
            .push(read_hop(family, payload.get(HEADER..)?, None, table));
    }
    Some(RouteNews {
        route,
        replaced,
        protocol: *payload.get(5)?,
        port: message.port,
    })
}

fn read_hops(family: Family, mut bytes: &[u8], table: &Table) -> Vec<HopKey> {
    let mut hops = Vec::new();
    while let (Some(length), Some(index)) = (u16_at(bytes, 0), u32_at(bytes, 4)) {
        let Some(attributes) = bytes.get(NEXT_HOP_HEADER..usize::from(length)) else {
            break;
        };
        hops.push(read_hop(family, attributes, Some(index), table));
        bytes = bytes
            .get(usize::from(length).next_multiple_of(4)..)
            .unwrap_or(&[]);
    }
    hops
}

fn read_hop(family: Family, bytes: &[u8], mut index: Option<u32>, table: &Table) -> HopKey {
    let mut via = None;
    for (kind, value) in attributes(bytes, 0) {
        match kind {
            libc::RTA_OIF => index = u32_at(value, 0),
            libc::RTA_GATEWAY => via = ip(family, value),
            RTA_VIA => {
                via = match u16_at(value, 0).map(i32::from) {
                    Some(libc::AF_INET) => ip(Family::Inet, &value[2..]),
                    Some(libc::AF_INET6) => ip(Family::Inet6, &value[2..]),
                    _ => None,
                }
            }
            _ => {}
        }
    }
    HopKey {
        via,
        interface: index
            .and_then(|index| table.get(index))
            .map(|link| link.name.clone()),
    }
}

/// Writes one request. Next hops whose interface does not exist are left out when the route is removed.
pub(super) fn write(batch: &mut Batch<'_>, action: Action, route: &Route, table: &Table) {
    let add = action == Action::Add;
    let (kind, flags) = match (add, route.action) {
        (false, _) => (libc::RTM_DELROUTE, 0),
        (_, RouteAction::Replace) => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE),
        (_, RouteAction::Add) => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
        (_, RouteAction::Prepend) => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE),
        (_, RouteAction::Append) => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_APPEND),
    };
    let writer = batch.begin(kind, flags);
    let key = RouteKey::of(route);
    let single = route.next_hops.is_empty();
    writer.put(&[
        family_number(route.family),
        key.destination.prefix,
        key.from.map_or(0, |from| from.prefix),
        route.tos,
        u8::try_from(key.table).unwrap_or(RT_TABLE_UNSPEC),
        route.protocol.unwrap_or(PROTOCOL),
        if add { scope(route) } else { RT_SCOPE_NOWHERE },
        route.kind,
    ]);
    let onlink = add && single && route.hop.onlink;
    writer.put(&(if onlink { RTNH_F_ONLINK } else { 0 }).to_ne_bytes());
    if key.destination.prefix > 0 {
        writer.attribute_ip(libc::RTA_DST, key.destination.address);
    }
    if let Some(from) = key.from {
        writer.attribute_ip(libc::RTA_SRC, from.address);
    }
    writer.attribute(libc::RTA_TABLE, &key.table.to_ne_bytes());
    if let Some(metric) = route.metric {
        writer.attribute(libc::RTA_PRIORITY, &metric.to_ne_bytes());
    }
    if let Some(source) = route.source {
        writer.attribute_ip(libc::RTA_PREFSRC, source);
    }
    if add {
        write_properties(writer, route);
    }
    let all_there = route.interfaces().all(|name| table.by_name(name).is_some());
    if single {
        write_gateway(writer, route.family, &route.hop, add);
        if let Some(link) = route
            .hop
            .interface
            .as_deref()
            .and_then(|name| table.by_name(name))
        {
            writer.attribute(libc::RTA_OIF, &link.index.to_ne_bytes());
        }
    } else if add || all_there {
        let hops = writer.nest(libc::RTA_MULTIPATH);
        for hop in &route.next_hops {
            let device = hop.interface.as_deref().or(route.hop.interface.as_deref());
            let index = device
                .and_then(|name| table.by_name(name))
                .map_or(0, |link| link.index);
            write_hop(writer, route.family, hop, index, add);
        }
        writer.close(hops);
    }
    writer.end();
}

fn write_properties(writer: &mut Writer, route: &Route) {
    let locks = route
        .metrics
        .iter()
        .filter(|metric| metric.locked)
        .map(|metric| metric.kind)
        .chain(
            route
                .congctl
                .iter()
                .filter(|(_, locked)| *locked)
                .map(|_| RTAX_CC_ALGO),
        )
        .fold(0u32, |all, kind| all | 1 << kind);
    if !route.metrics.is_empty() || route.features != 0 || route.congctl.is_some() {
        let metrics = writer.nest(libc::RTA_METRICS);
        if locks != 0 {
            writer.attribute(RTAX_LOCK, &locks.to_ne_bytes());
        }
        for metric in &route.metrics {
            writer.attribute(metric.kind, &metric.value.to_ne_bytes());
        }
        if route.features != 0 {
            writer.attribute(RTAX_FEATURES, &route.features.to_ne_bytes());
        }
        if let Some((name, _)) = &route.congctl {
            writer.attribute_text(RTAX_CC_ALGO, name);
        }
        writer.close(metrics);
    }
    if let Some(seconds) = route.expires {
        writer.attribute(RTA_EXPIRES, &seconds.to_ne_bytes());
    }
    if let Some(preference) = route.preference {
        writer.attribute(RTA_PREF, &[preference]);
    }
    if let Some(propagate) = route.ttl_propagate {
        writer.attribute(RTA_TTL_PROPAGATE, &[u8::from(propagate)]);
    }
}

fn write_hop(writer: &mut Writer, family: Family, hop: &NextHop, index: u32, add: bool) {
    let begin = writer.bytes().len();
    let weight = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    let flags = if hop.onlink { RTNH_F_ONLINK as u8 } else { 0 };
    writer.put(&[0, 0, flags, weight]);
    writer.put(&index.to_ne_bytes());
    write_gateway(writer, family, hop, add);
    writer.set_length_at(begin);
}

fn write_gateway(writer: &mut Writer, family: Family, hop: &NextHop, add: bool) {
    match hop.via {
        Some(via) if family_of(via) == family => writer.attribute_ip(libc::RTA_GATEWAY, via),
        Some(IpAddr::V4(via)) => {
            let family = (libc::AF_INET as u16).to_ne_bytes();
            writer.attribute(RTA_VIA, &[&family[..], &via.octets()].concat());
        }
        Some(IpAddr::V6(via)) => {
            let family = (libc::AF_INET6 as u16).to_ne_bytes();
            writer.attribute(RTA_VIA, &[&family[..], &via.octets()].concat());
        }
        None => {}
    }
    if !add {
        return;
    }
    if let Some(realms) = hop.realms {
        writer.attribute(libc::RTA_FLOW, &realms.to_ne_bytes());
    }
    if let Some(encap) = &hop.encap {
        write_encap(writer, encap);
    }
}

/// `LWTUNNEL_ENCAP_*` and its attributes.
fn write_encap(writer: &mut Writer, encap: &Encap) {
    let number: u16 = match encap {
        Encap::Mpls(_) => 1,
        Encap::Ip { ipv6: false, .. } => 2,
        Encap::Ila(_) => 3,
        Encap::Ip { ipv6: true, .. } => 4,
    };
    writer.attribute(RTA_ENCAP_TYPE, &number.to_ne_bytes());
    let nest = writer.nest(RTA_ENCAP);
    match encap {
        Encap::Mpls(labels) => {
            const BOTTOM: u32 = 1 << 8;
            let last = labels.len().saturating_sub(1);
            let entry = |(place, label): (usize, &u32)| {
                let bottom = if place == last { BOTTOM } else { 0 };
                (label << 12 | bottom).to_be_bytes()
            };
            let stack: Vec<u8> = labels.iter().enumerate().flat_map(entry).collect();
            writer.attribute(1, &stack);
        }
        Encap::Ila(locator) => writer.attribute(1, &locator.to_be_bytes()),
        Encap::Ip {
            id,
            destination,
            source,
            tos,
            ttl,
            flags,
            ..
        } => {
            if let Some(id) = id {
                writer.attribute(1, &id.to_be_bytes());
            }
            if let Some(destination) = destination {
                writer.attribute_ip(2, *destination);
            }
            if let Some(source) = source {
                writer.attribute_ip(3, *source);
            }
            if let Some(ttl) = ttl {
                writer.attribute(4, &[*ttl]);
            }
            if let Some(tos) = tos {
                writer.attribute(5, &[*tos]);
            }
            if let Some(flags) = flags {
                writer.attribute(6, &flags.to_be_bytes());
            }
        }
    }
    writer.close(nest);
}

/// keepalived gives a route that says nothing the widest scope that its type may have.
fn scope(route: &Route) -> u8 {
    const LOCAL: u8 = 2;
    const BROADCAST: u8 = 3;
    const ANYCAST: u8 = 4;
    const MULTICAST: u8 = 5;
    const NAT: u8 = 10;
    match (route.scope, route.kind) {
        (Some(scope), _) => scope,
        (None, LOCAL | NAT) => RT_SCOPE_HOST,
        (None, BROADCAST | ANYCAST | MULTICAST) => RT_SCOPE_LINK,
        (None, _) => RT_SCOPE_UNIVERSE,
    }
}

fn metric(family: Family, given: Option<u32>) -> u32 {
    match (family, given.unwrap_or(0)) {
        (Family::Inet6, 0) => IP6_RT_PRIO_USER,
        (_, metric) => metric,
    }
}

pub(super) fn family_number(family: Family) -> u8 {
    match family {
        Family::Inet => libc::AF_INET as u8,
        Family::Inet6 => libc::AF_INET6 as u8,
    }
}

pub(super) fn family(number: u8) -> Option<Family> {
    match i32::from(number) {
        libc::AF_INET => Some(Family::Inet),
        libc::AF_INET6 => Some(Family::Inet6),
        _ => None,
    }
}

fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Inet,
        IpAddr::V6(_) => Family::Inet6,
    }
}

fn ip(family: Family, value: &[u8]) -> Option<IpAddr> {
    match family {
        Family::Inet => Some(Ipv4Addr::from(*value.first_chunk::<4>()?).into()),
        Family::Inet6 => Some(Ipv6Addr::from(*value.first_chunk::<16>()?).into()),
    }
}

/// A network as the kernel tells it; without an address it is the default route.
pub(super) fn network(family: Family, value: &[u8], prefix: u8) -> IpNetwork {
    let unspecified = match family {
        Family::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Family::Inet6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    IpNetwork {
        address: ip(family, value).unwrap_or(unspecified),
        prefix,
    }
}

/// Without host bits.
pub(super) fn masked(network: IpNetwork) -> IpNetwork {
    let prefix = u32::from(network.prefix);
    let address = match network.address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & mask).into()
        }
    };
    IpNetwork { address, ..network }
}
