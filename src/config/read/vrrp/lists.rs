//! The lines of lists: addresses, routes, rules, peers, of instances and static ones.

use super::{family_of, plain_address, say};
use crate::config::line::Line;
use crate::config::read::address::{self, Place};
use crate::config::read::draft::Draft;
use crate::config::read::field::{decimal_seconds, u8_in};
use crate::config::read::rule::Preferences;
use crate::config::read::{Context, Flow, route, rule};
use crate::model::vrrp::{InterfaceDelay, LinkbeatInterface, UnicastPeer};
use std::time::Duration;

/// A line of one of an instance's lists.
pub(super) fn instance_entry(
    draft: &mut Draft,
    list: &str,
    line: &Line,
    preferences: &mut Preferences,
    context: &mut Context,
) -> Flow {
    let name = draft.instance.name.clone();
    match list {
        "unicast_peer" => peer(draft, line, context),
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
            let excluded = list == "virtual_ipaddress_excluded";
            let place = Place::Instance {
                interface: &draft.instance.interface,
            };
            let Some(address) = address::read(line, place, context) else {
                return Flow::Continue;
            };
            let family = family_of(address.network.address);
            let written = line.text(0).unwrap_or_default();
            if !excluded && draft.given.family.is_some_and(|f| f != family) {
                let text =
                    format!("({name}): address family must match VRRP instance [{written}] - ignoring");
                say(line, 0, text, context);
                return Flow::Continue;
            }
            if !excluded {
                draft.given.family = Some(family);
            }
            draft.add_address(address, excluded, line, context);
        }
        "virtual_routes" => match route::read(line, false, context) {
            Ok(route) => draft.instance.routes.push(route),
            Err(flow) => return flow,
        },
        "virtual_rules" => match rule::read(line, false, preferences, context) {
            Ok(rule) => draft.instance.rules.push(rule),
            Err(flow) => return flow,
        },
        _ => {}
    }
    Flow::Continue
}

pub(super) fn peer(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    let value = line.text(0).unwrap_or_default();
    let Some(address) = plain_address(value) else {
        let text = format!(
            "Configuration error: VRRP instance[{name}] malformed unicast peer address[{value}]. Skipping..."
        );
        say(line, 0, text, context);
        return;
    };
    let family = family_of(address);
    match draft.given.family {
        Some(f) if f != family => {
            let text = format!(
                "Configuration error: VRRP instance[{name}] and unicast peer address[{value}] MUST be of the same family !!! Skipping..."
            );
            say(line, 0, text, context);
            return;
        }
        _ => draft.given.family = Some(family),
    }
    let mut peer = UnicastPeer {
        address,
        min_ttl: 0,
        max_ttl: 255,
    };
    let mut index = 1;
    while let Some(option) = line.text(index) {
        if line.text(index + 1).is_none() {
            let text = format!("({name}) {option} is missing a value");
            say(line, index, text, context);
            break;
        }
        let Some(ttl) = u8_in(line, index + 1, 0, 255, context) else {
            break;
        };
        match option {
            "min_ttl" | "max_ttl" => {
                draft.instance.check_unicast_source = true;
                match option {
                    "min_ttl" => peer.min_ttl = ttl,
                    _ => peer.max_ttl = ttl,
                }
            }
            _ => {
                let text = format!("({name}) unknown unicast_peer option {option}");
                say(line, index, text, context);
            }
        }
        index += 2;
    }
    if draft.instance.peers.iter().any(|p| p.address == address) {
        let text = format!("({name}) duplicate unicast peer {value} - ignoring");
        say(line, 0, text, context);
        return;
    }
    draft.instance.peers.push(peer);
}

/// A line of a list at the top of the file.
pub(super) fn static_entry(
    list: &str,
    line: &Line,
    preferences: &mut Preferences,
    context: &mut Context,
) -> Flow {
    match list {
        "static_ipaddress" => {
            if let Some(address) = address::read(line, Place::Static, context) {
                context.config.static_addresses.push(address);
            }
        }
        "static_routes" => match route::read(line, true, context) {
            Ok(route) => context.config.static_routes.push(route),
            Err(flow) => return flow,
        },
        "static_rules" => match rule::read(line, true, preferences, context) {
            Ok(rule) => context.config.static_rules.push(rule),
            Err(flow) => return flow,
        },
        "linkbeat_interfaces" => {
            let interface = line.text(0).unwrap_or_default().to_owned();
            if context.host.interface(&interface).is_none() {
                let text = format!("WARNING - interface {interface} for linkbeat_interfaces doesn't exist");
                context.missing_interface(line.span_of(0), text);
            }
            let method = match line.text(1) {
                None => None,
                Some(m @ ("MII" | "ETHTOOL" | "IOCTL")) => Some(m.to_owned()),
                Some(other) => {
                    let text = format!("Invalid linkbeat type '{other}' for {interface} - ignoring");
                    say(line, 1, text, context);
                    None
                }
            };
            context
                .config
                .linkbeat_interfaces
                .push(LinkbeatInterface { interface, method });
        }
        "interface_up_down_delays" => {
            let interface = line.text(0).unwrap_or_default().to_owned();
            if line.words.len() < 2 {
                let text = format!("No delay specified for interface {interface}");
                context.diagnostics.hint(Some(line.span_of(0)), text);
                return Flow::Continue;
            }
            if context.host.interface(&interface).is_none() {
                let text =
                    format!("WARNING - interface {interface} for interface_up_down_delays doesn't exist");
                context.missing_interface(line.span_of(0), text);
            }
            let delay = |index: usize, context: &mut Context| {
                if line.text(index).is_none() {
                    return Some(Duration::ZERO);
                }
                decimal_seconds(line, index, 0, 255_000_000, context)
            };
            if let (Some(down), Some(up)) = (delay(1, context), delay(2, context)) {
                context
                    .config
                    .interface_delays
                    .push(InterfaceDelay { interface, down, up });
            }
        }
        _ => {}
    }
    Flow::Continue
}
