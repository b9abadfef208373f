//! KEEPALIVED-MIB: rules. The static ones belong to instance 0.

use super::keepalived;
use crate::model::IpNetwork;
use crate::model::route::{Rule, RuleAction};
use crate::serve::snmp::tree::{Table, Tree, address, address_type, gauge, integer, row, truth};
use crate::state::VrrpState;
use crate::state::snapshot::Snapshot;
use crate::wire::agentx::Value;

pub(super) fn put(snapshot: &Snapshot, tree: &mut Tree) {
    let mut table = tree.table(&keepalived(&[2, 8, 1]));
    for (at, rule) in snapshot.config.static_rules.iter().enumerate() {
        one(rule, true, [0, row(at)], &mut table);
    }
    for (at, instance) in snapshot.instances.iter().enumerate() {
        let set = instance.state == VrrpState::Master;
        for (place, rule) in instance.config.rules.iter().enumerate() {
            one(rule, set, [row(at), row(place)], &mut table);
        }
    }
}

fn one(rule: &Rule, set: bool, index: [u32; 2], table: &mut Table<'_>) {
    let direction = match (rule.from_given, rule.to_given) {
        (true, true) => "both",
        (true, false) => "from",
        (false, true) => "to",
        (false, false) => "",
    };
    table.put(2, &index, Value::text(direction));
    if let Some(network) = source(rule).or(rule.to) {
        network_columns([3, 4, 5], &network, index, table);
    }
    if let RuleAction::Table(number) = rule.action {
        table.put(6, &index, gauge(number));
        table.put(24, &index, gauge(number));
    }
    table.put(7, &index, truth(set));
    table.put(8, &index, truth(rule.invert));
    if let Some(network) = rule.to {
        network_columns([9, 10, 11], &network, index, table);
    }
    if let Some(network) = source(rule) {
        network_columns([12, 13, 14], &network, index, table);
    }
    table.put(15, &index, gauge(rule.tos));
    if let Some((mark, mask)) = rule.fwmark {
        table.put(16, &index, gauge(mark));
        table.maybe(17, &index, mask.map(gauge));
    }
    if let Some(realms) = rule.realms {
        table.put(18, &index, gauge(realms & 0xffff));
        table.put(19, &index, gauge(realms >> 16));
    }
    table.maybe(20, &index, rule.input_interface.as_deref().map(Value::text));
    table.maybe(21, &index, rule.output_interface.as_deref().map(Value::text));
    if let RuleAction::Goto(target) = rule.action {
        table.put(22, &index, gauge(target));
    }
    table.put(23, &index, Value::Integer(action(&rule.action)));
    table.put(25, &index, gauge(rule.priority));
    table.maybe(26, &index, rule.suppress_prefix_length.map(gauge));
    let group = rule.suppress_group.map(|group| group.to_string());
    table.maybe(27, &index, group.as_deref().map(Value::text));
    if let Some(id) = rule.tunnel_id {
        table.put(28, &index, gauge(id >> 32));
        table.put(29, &index, gauge(id & u64::from(u32::MAX)));
    }
    if let Some((first, last)) = rule.uid_range {
        table.put(30, &index, gauge(first));
        table.put(31, &index, gauge(last));
    }
    if rule.action == RuleAction::L3Mdev {
        table.put(32, &index, truth(true));
    }
    // Numbered from 1 in the MIB.
    let protocol = rule.protocol.map(|number| i32::from(number) + 1);
    table.maybe(33, &index, protocol.map(integer));
    table.maybe(34, &index, rule.ip_protocol.map(gauge));
    for (columns, ports) in [([35, 36], rule.source_ports), ([37, 38], rule.destination_ports)] {
        if let Some((first, last)) = ports {
            table.put(columns[0], &index, gauge(first));
            table.put(columns[1], &index, gauge(last));
        }
    }
}

/// Where it is from; all of the family where the line says `from all`.
fn source(rule: &Rule) -> Option<IpNetwork> {
    use crate::model::route::Family;
    use std::net::{Ipv4Addr, Ipv6Addr};
    let all = |address| IpNetwork { address, prefix: 0 };
    rule.from.or_else(|| {
        rule.from_given.then(|| match rule.family {
            Family::Inet => all(Ipv4Addr::UNSPECIFIED.into()),
            Family::Inet6 => all(Ipv6Addr::UNSPECIFIED.into()),
        })
    })
}

fn network_columns(columns: [u32; 3], network: &IpNetwork, index: [u32; 2], table: &mut Table<'_>) {
    table.put(columns[0], &index, address_type(&network.address));
    table.put(columns[1], &index, address(&network.address));
    table.put(columns[2], &index, gauge(network.prefix));
}

/// RuleAction.
fn action(action: &RuleAction) -> i32 {
    match action {
        RuleAction::Table(_) | RuleAction::L3Mdev => 1,
        RuleAction::Goto(_) => 2,
        RuleAction::Nop => 3,
        RuleAction::Blackhole => 6,
        RuleAction::Unreachable => 7,
        RuleAction::Prohibit => 8,
    }
}
