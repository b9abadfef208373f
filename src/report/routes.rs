//! Addresses, routes and rules, one line each.

use super::interfaces::network;
use super::{Text, line};
use crate::model::route::{Encap, Metric, NextHop, Route, RouteAction, Rule, RuleAction};
use crate::model::{Address, Lifetime};
use crate::state::snapshot::Snapshot;
use std::fmt::Write;
use std::net::IpAddr;

/// Static addresses, routes and rules.
pub(super) fn write_static(text: &mut Text, snapshot: &Snapshot) {
    let config = &snapshot.config;
    if !config.static_addresses.is_empty() {
        line!(text, "------< Static Addresses >------");
        for (index, static_address) in config.static_addresses.iter().enumerate() {
            let set = snapshot.static_set.get(index).copied().unwrap_or(false);
            let shown = address(static_address, &static_address.interface, set, false);
            line!(text, "     {shown}");
        }
    }
    if !config.static_routes.is_empty() {
        line!(text, "------< Static Routes >------");
        for static_route in &config.static_routes {
            line!(text, "     {}", route(static_route));
        }
    }
    if !config.static_rules.is_empty() {
        line!(text, "------< Static Rules >------");
        for static_rule in &config.static_rules {
            line!(text, "     {}", rule(static_rule));
        }
    }
}

/// `192.0.2.100/24 brd 192.0.2.255 dev eth0 scope global label eth0:1 set`.
pub fn address(address: &Address, device: &str, set: bool, firewall: bool) -> String {
    let mut words = Words::default();
    match address.peer {
        Some(_) => words.add(format_args!("{}", address.network.address)),
        None => words.add(format_args!("{}", network(&address.network))),
    }
    if let Some(broadcast) = address.broadcast {
        words.add(format_args!("brd {broadcast}"));
    }
    words.add(format_args!("dev {device}"));
    match address.scope {
        0 => words.add(format_args!("scope global")),
        200 => words.add(format_args!("scope site")),
        253 => words.add(format_args!("scope link")),
        254 => words.add(format_args!("scope host")),
        255 => words.add(format_args!("scope nowhere")),
        number => words.add(format_args!("scope {number}")),
    }
    if let Some(label) = &address.label {
        words.add(format_args!("label {label}"));
    }
    if let Some(peer) = address.peer {
        words.add(format_args!("peer {}/{}", peer.address, peer.prefix));
    }
    let ipv6 = address.network.address.is_ipv6();
    words.add_if(address.flags.home, "home");
    words.add_if(ipv6 && !address.flags.nodad, "-nodad");
    words.add_if(address.flags.manage_temporary, "mngtmpaddr");
    words.add_if(address.flags.no_prefix_route, "noprefixroute");
    words.add_if(address.flags.autojoin, "autojoin");
    words.add_if(address.no_track, "no_track");
    if let Some(group) = &address.track_group {
        words.add(format_args!("track_group {group}"));
    }
    match address.preferred {
        _ if !ipv6 => {}
        Lifetime::Forever => words.add(format_args!("preferred_lft forever")),
        Lifetime::Seconds(0) => words.add(format_args!("deprecated")),
        Lifetime::Seconds(seconds) => words.add(format_args!("preferred_lft {seconds}")),
    }
    words.add_if(set, "set");
    words.add_if(set && firewall, "nftable_set");
    words.0
}

/// `prepend 203.0.113.0/28 via inet 198.51.100.2 dev eth1 proto 18`.
pub fn route(route: &Route) -> String {
    let mut words = Words::default();
    words.add(format_args!(
        "{}",
        match route.action {
            RouteAction::Replace => "prepend",
            RouteAction::Add => "add",
            RouteAction::Prepend => "prepend",
            RouteAction::Append => "append",
        }
    ));
    if let Some(kind) = route_type(route.kind) {
        words.add(format_args!("{kind}"));
    }
    match &route.destination {
        Some(destination) => words.add(format_args!("{}", network(destination))),
        None if route.family == crate::model::route::Family::Inet => words.add(format_args!("0.0.0.0/0")),
        None => words.add(format_args!("::/0")),
    }
    if let Some(from) = &route.from {
        words.add(format_args!("from {}", network(from)));
    }
    if let Some(source) = route.source {
        words.add(format_args!("src {source}"));
    }
    if route.tos != 0 {
        words.add(format_args!("tos {}", route.tos));
    }
    hop(&mut words, &route.hop);
    if let Some(table) = route.table {
        words.add(format_args!("table {table}"));
    }
    if let Some(protocol) = protocol(route.protocol, route.no_track && route.next_hops.is_empty()) {
        words.add(format_args!("proto {protocol}"));
    }
    if let Some(scope) = route.scope {
        words.add(format_args!("scope {scope}"));
    }
    if let Some(metric) = route.metric {
        words.add(format_args!("metric {metric}"));
    }
    if let Some(expires) = route.expires {
        words.add(format_args!("expires {expires}"));
    }
    words.add_if(route.hop.onlink, "onlink");
    realms(&mut words, route.hop.realms);
    metrics(&mut words, route);
    if let Some(preference) = route.preference {
        let word = match preference {
            1 => "high",
            3 => "low",
            _ => "medium",
        };
        words.add(format_args!("pref {word}"));
    }
    if let Some(propagate) = route.ttl_propagate {
        words.add(format_args!("ttl-propagate {}", super::enabled(propagate)));
    }
    for next in &route.next_hops {
        words.add(format_args!("nexthop"));
        hop(&mut words, next);
        if next.weight != 0 {
            words.add(format_args!("weight {}", next.weight));
        }
        words.add_if(next.onlink, "onlink");
        realms(&mut words, next.realms);
    }
    words.add_if(route.no_track, "no_track");
    if let Some(group) = &route.track_group {
        words.add(format_args!("track_group {group}"));
    }
    words.0
}

fn hop(words: &mut Words, hop: &NextHop) {
    if let Some(encap) = &hop.encap {
        words.add(format_args!("{}", encapsulation(encap)));
    }
    if let Some(via) = hop.via {
        let family = if via.is_ipv4() { "inet" } else { "inet6" };
        words.add(format_args!("via {family} {via}"));
    }
    if let Some(interface) = &hop.interface {
        words.add(format_args!("dev {interface}"));
    }
}

fn encapsulation(encap: &Encap) -> String {
    let mut words = Words::default();
    match encap {
        Encap::Mpls(labels) => {
            let labels: Vec<_> = labels.iter().map(|label| format!("{label:x}")).collect();
            words.add(format_args!("encap mpls {}", labels.join("/")));
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
            let (tos_word, ttl_word) = if *ipv6 { ("tc", "hoplimit") } else { ("tos", "ttl") };
            words.add(format_args!("encap {}", if *ipv6 { "ip6" } else { "ip" }));
            words.option("id", id);
            words.option("dst", destination);
            words.option("src", source);
            words.option(tos_word, tos);
            words.option(ttl_word, ttl);
            if let Some(flags) = flags {
                words.add(format_args!("flags 0x{flags:x}"));
            }
        }
        Encap::Ila(locator) => words.add(format_args!("encap ila {locator}")),
    }
    words.0
}

fn realms(words: &mut Words, realms: Option<u32>) {
    if let Some(realms) = realms {
        words.add(format_args!("realms {}/{}", realms >> 16, realms & 0xffff));
    }
}

/// `RTAX_*` numbers in the order in which they are printed, with the kernel's units per millisecond
/// where the value is a time.
const METRICS: [(u16, &str, u32); 15] = [
    (4, "rtt", 8),
    (5, "rttvar", 4),
    (13, "rto_min", 1),
    (12, "features", 0),
    (2, "mtu", 0),
    (3, "window", 0),
    (6, "ssthresh", 0),
    (7, "cwnd", 0),
    (8, "advmss", 0),
    (9, "reordering", 0),
    (10, "hoplimit", 0),
    (11, "initcwnd", 0),
    (14, "initrwnd", 0),
    (15, "quickack", 0),
    (17, "fastopen_no_cookie", 0),
];
const RTAX_FEATURES: u16 = 12;
const RTAX_FEATURE_ECN: u32 = 1;

fn metrics(words: &mut Words, route: &Route) {
    if let Some((name, locked)) = &route.congctl {
        words.add(format_args!("congctl {}{name}", lock(*locked)));
    }
    for (kind, name, per_millisecond) in METRICS {
        if kind == RTAX_FEATURES {
            words.add_if(route.features & RTAX_FEATURE_ECN != 0, "features ecn");
            continue;
        }
        let Some(Metric { value, locked, .. }) = route.metrics.iter().find(|metric| metric.kind == kind)
        else {
            continue;
        };
        let lock = lock(*locked);
        match value.checked_div(per_millisecond) {
            Some(millis) if millis != 0 && millis % 1000 == 0 => {
                words.add(format_args!("{name} {lock}{}s", millis / 1000));
            }
            Some(millis) => words.add(format_args!("{name} {lock}{millis}ms")),
            None => words.add(format_args!("{name} {lock}{value}")),
        }
    }
}

fn lock(locked: bool) -> &'static str {
    if locked { "lock " } else { "" }
}

/// keepalived's word for `RTN_*`; none for a unicast route.
fn route_type(kind: u8) -> Option<&'static str> {
    Some(match kind {
        2 => "local",
        3 => "broadcast",
        4 => "anycast",
        5 => "multicast",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        9 => "throw",
        10 => "nat",
        11 => "xresolve",
        _ => return None,
    })
}

/// What nobody watches carries no protocol of ours.
fn protocol(given: Option<u8>, no_track: bool) -> Option<u8> {
    given.or((!no_track).then_some(crate::state::interface::PROTOCOL_KEEPALIVED))
}

/// `from 198.51.100.0/24 priority 1001 tos 0x0 protocol 18 lookup 100`.
pub fn rule(rule: &Rule) -> String {
    let mut words = Words::default();
    words.add_if(rule.invert, "not");
    match &rule.from {
        Some(from) => words.add(format_args!("from {}", network(from))),
        None if rule.from_given => words.add(format_args!("from {}", any(rule))),
        None => words.add(format_args!("from all")),
    }
    match &rule.to {
        Some(to) => words.add(format_args!("to {}", network(to))),
        None if rule.to_given => words.add(format_args!("to {}", any(rule))),
        None => {}
    }
    words.add(format_args!("priority {}", rule.priority));
    words.add(format_args!("tos 0x{:x}", rule.tos));
    match rule.fwmark {
        Some((mark, Some(mask))) => words.add(format_args!("fwmark 0x{mark:x}/0x{mask:x}")),
        Some((mark, None)) => words.add(format_args!("fwmark 0x{mark:x}")),
        None => {}
    }
    words.option("iif", &rule.input_interface);
    words.add_if(rule.action == RuleAction::L3Mdev, "l3mdev");
    words.option("oif", &rule.output_interface);
    words.option("suppress_prefixlen", &rule.suppress_prefix_length);
    words.option("suppress_ifgroup", &rule.suppress_group);
    words.option("tunnel-id", &rule.tunnel_id);
    words.range("uidrange", &rule.uid_range);
    if let Some(protocol) = protocol(rule.protocol, rule.no_track) {
        words.add(format_args!("protocol {protocol}"));
    }
    words.option("ipproto", &rule.ip_protocol);
    words.range("sport", &rule.source_ports);
    words.range("dport", &rule.destination_ports);
    realms(&mut words, rule.realms);
    match &rule.action {
        RuleAction::Table(table) => words.add(format_args!("lookup {table}")),
        RuleAction::Goto(target) => words.add(format_args!("goto {target}")),
        RuleAction::Nop => words.add(format_args!("nop")),
        RuleAction::Blackhole => words.add(format_args!("type blackhole")),
        RuleAction::Unreachable => words.add(format_args!("type unreachable")),
        RuleAction::Prohibit => words.add(format_args!("type prohibit")),
        RuleAction::L3Mdev => words.add(format_args!("lookup 0")),
    }
    words.add_if(rule.no_track, "no_track");
    if let Some(group) = &rule.track_group {
        words.add(format_args!("track_group {group}"));
    }
    words.0
}

fn any(rule: &Rule) -> String {
    let zero = match rule.family {
        crate::model::route::Family::Inet => IpAddr::from([0u8; 4]),
        crate::model::route::Family::Inet6 => IpAddr::from([0u8; 16]),
    };
    format!("{zero}/0")
}

/// Words with a space between.
#[derive(Default)]
struct Words(String);

impl Words {
    fn add(&mut self, word: std::fmt::Arguments) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(word);
    }

    fn add_if(&mut self, condition: bool, word: &str) {
        if condition {
            self.add(format_args!("{word}"));
        }
    }

    fn option<T: std::fmt::Display>(&mut self, name: &str, value: &Option<T>) {
        if let Some(value) = value {
            self.add(format_args!("{name} {value}"));
        }
    }

    fn range<T: std::fmt::Display>(&mut self, name: &str, range: &Option<(T, T)>) {
        if let Some((first, last)) = range {
            self.add(format_args!("{name} {first}-{last}"));
        }
    }
}
