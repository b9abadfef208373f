//! keepalived's lines about addresses, routes and rules, and ours.

use super::Owned;
use super::work::Step;
use crate::model::Address;
use crate::net::message::Answer;
use crate::net::objects::{Action, Key, Object};
use crate::state::InstanceId;
use tracing::{debug, info};

/// The lines about the rest follow what the kernel said about the VIPs.
pub(super) fn setting_lines(owned: &Owned) {
    let name = &owned.config.name;
    if !owned.config.vips.is_empty() && owned.config.id != InstanceId::STATIC {
        debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) setting VIPs.");
    }
}

/// A place in a claim's list at which keepalived has a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Excluded,
    Routes,
    Rules,
}

impl Mark {
    pub(super) fn log(self, name: &str) {
        let what = match self {
            Mark::Excluded => "E-VIPs.",
            Mark::Routes => "Virtual Routes",
            Mark::Rules => "Virtual Rules",
        };
        debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) setting {what}");
    }
}

/// What a reload takes away.
pub(super) fn gone_line(name: &str, object: &Object) {
    match object {
        Object::Address(address) => {
            info!(target: "vrrp", VRRP_INSTANCE = %name,
                "({name}) ip address {}{} dev {}, no longer exist",
                address.network.address, length(address), address.interface);
        }
        Object::Route(route) => {
            let to = route.destination.map_or_else(
                || "default".to_owned(),
                |to| format!("{}/{}", to.address, to.prefix),
            );
            info!(target: "vrrp", "Removing route {to}");
        }
        Object::Rule(rule) => {
            let from = rule.from.map_or_else(
                || "all".to_owned(),
                |from| format!("{}/{}", from.address, from.prefix),
            );
            let to = rule
                .to
                .map_or_else(String::new, |to| format!(" to {}/{}", to.address, to.prefix));
            info!(target: "vrrp", "ip rule from {from}{to} removed");
        }
    }
}

/// keepalived prints a prefix length only when the address is not alone in its network.
fn length(address: &Address) -> String {
    let whole = if address.network.address.is_ipv4() {
        32
    } else {
        128
    };
    match address.network.prefix {
        prefix if prefix == whole => String::new(),
        prefix => format!("/{prefix}"),
    }
}

pub(super) fn removing_lines(owned: &Owned) {
    if owned.config.id == InstanceId::STATIC {
        return;
    }
    let name = &owned.config.name;
    if !owned.config.rules.is_empty() {
        debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) removing Virtual Rules");
    }
    if !owned.config.routes.is_empty() {
        debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) removing Virtual Routes");
    }
    if !owned.config.vips.is_empty() {
        debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) removing VIPs.");
    }
    if !owned.config.excluded_vips.is_empty() {
        debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) removing E-VIPs.");
    }
    if owned.drops() {
        debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) removing firewall drop rule");
    }
}

/// keepalived's line about a refused request, and one of ours that says which object it was and why.
pub(super) fn complain(step: &Step, object: &Object, result: &Option<Answer>) {
    let Some(answer) = result else { return };
    let (request, number) = match (step.action, object) {
        (Action::Add, Object::Address(_)) => ("RTM_NEWADDR", libc::RTM_NEWADDR),
        (Action::Remove, Object::Address(_)) => ("RTM_DELADDR", libc::RTM_DELADDR),
        (Action::Add, Object::Route(_)) => ("RTM_NEWROUTE", libc::RTM_NEWROUTE),
        (Action::Remove, Object::Route(_)) => ("RTM_DELROUTE", libc::RTM_DELROUTE),
        (Action::Add, Object::Rule(_)) => ("RTM_NEWRULE", libc::RTM_NEWRULE),
        (Action::Remove, Object::Rule(_)) => ("RTM_DELRULE", libc::RTM_DELRULE),
    };
    let text = nix::errno::Errno::from_raw(answer.errno).desc();
    info!(target: "vrrp", "Netlink: error: {text}({}), type={request}({number}), seq={}, pid=0",
        answer.errno, answer.sequence);
    let verb = if step.action == Action::Add {
        "add"
    } else {
        "remove"
    };
    let what = match object {
        Object::Address(address) => format!(
            "{}/{} on {}",
            address.network.address, address.network.prefix, address.interface
        ),
        other => Key::of(other).to_string(),
    };
    let why = answer.text.as_deref().unwrap_or(text);
    info!(target: "vrrp", VRRP_INSTANCE = %step.name, "({}) the kernel refused to {verb} {what}: {why}",
        step.name);
}
