//! keepalived's lines about addresses, routes and rules, and ours.

use super::work::Step;
use super::{Desired, Owned};
use crate::model::{Address, IpNetwork};
use crate::net::message::Answer;
use crate::net::objects::{Action, Key, Object};
use crate::state::InstanceId;
use std::sync::Arc;
use tracing::{debug, info};

/// A line that is not written yet: announcements go out first.
#[derive(Debug)]
pub(super) struct Line {
    instance: Option<Arc<str>>,
    /// Only with `-D`.
    detail: bool,
    text: String,
}

impl Line {
    /// With `-D`.
    pub(super) fn detail(instance: &Arc<str>, text: String) -> Line {
        Line {
            instance: Some(instance.clone()),
            detail: true,
            text,
        }
    }

    /// Always.
    fn always(instance: Option<&Arc<str>>, text: String) -> Line {
        Line {
            instance: instance.cloned(),
            detail: false,
            text,
        }
    }

    fn write(&self) {
        let instance = self.instance.as_ref().map(tracing::field::display);
        match self.detail {
            true => debug!(target: "vrrp", VRRP_INSTANCE = instance, "{}", self.text),
            false => info!(target: "vrrp", VRRP_INSTANCE = instance, "{}", self.text),
        }
    }
}

impl Desired {
    /// There is something to say.
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Writes the lines about what was done, or is about to be done.
    pub fn say(&mut self) {
        for line in self.lines.drain(..) {
            line.write();
        }
    }
}

/// The lines about the rest follow what the kernel said about the VIPs.
pub(super) fn setting_line(owned: &Owned) -> Option<Line> {
    let name = &owned.config.name;
    let any = !owned.config.vips.is_empty() && owned.config.id != InstanceId::STATIC;
    any.then(|| Line::detail(name, format!("({name}) setting VIPs.")))
}

pub(super) fn drop_line(owned: &Owned) -> Line {
    let name = &owned.config.name;
    Line::detail(name, format!("({name}) setting firewall drop rule"))
}

/// A place in a claim's list at which keepalived has a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Excluded,
    Routes,
    Rules,
}

impl Mark {
    pub(super) fn line(self, name: &Arc<str>) -> Line {
        let what = match self {
            Mark::Excluded => "E-VIPs.",
            Mark::Routes => "Virtual Routes",
            Mark::Rules => "Virtual Rules",
        };
        Line::detail(name, format!("({name}) setting {what}"))
    }
}

/// What a reload takes away.
pub(super) fn gone_line(name: &Arc<str>, object: &Object) -> Line {
    let network = |network: Option<IpNetwork>, none: &str| match network {
        Some(network) => format!("{}/{}", network.address, network.prefix),
        None => none.to_owned(),
    };
    match object {
        Object::Address(address) => Line::always(
            Some(name),
            format!(
                "({name}) ip address {}{} dev {}, no longer exist",
                address.network.address,
                length(address),
                address.interface
            ),
        ),
        Object::Route(route) => {
            let to = network(route.destination, "default");
            Line::always(None, format!("Removing route {to}"))
        }
        Object::Rule(rule) => {
            let from = network(rule.from, "all");
            let to = rule
                .to
                .map_or_else(String::new, |to| format!(" to {}", network(Some(to), "")));
            Line::always(None, format!("ip rule from {from}{to} removed"))
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

pub(super) fn removing_lines(owned: &Owned) -> Vec<Line> {
    if owned.config.id == InstanceId::STATIC {
        return Vec::new();
    }
    let config = &owned.config;
    [
        (!config.rules.is_empty(), "Virtual Rules"),
        (!config.routes.is_empty(), "Virtual Routes"),
        (!config.vips.is_empty(), "VIPs."),
        (!config.excluded_vips.is_empty(), "E-VIPs."),
        (owned.drops(), "firewall drop rule"),
    ]
    .into_iter()
    .filter(|(any, _)| *any)
    .map(|(_, what)| Line::detail(&config.name, format!("({}) removing {what}", config.name)))
    .collect()
}

/// keepalived's line about a refused request, and one of ours that says which object it was and why.
pub(super) fn complaint(step: &Step, object: &Object, answer: &Answer) -> [Line; 2] {
    let (request, number) = match (step.action, object) {
        (Action::Add, Object::Address(_)) => ("RTM_NEWADDR", libc::RTM_NEWADDR),
        (Action::Remove, Object::Address(_)) => ("RTM_DELADDR", libc::RTM_DELADDR),
        (Action::Add, Object::Route(_)) => ("RTM_NEWROUTE", libc::RTM_NEWROUTE),
        (Action::Remove, Object::Route(_)) => ("RTM_DELROUTE", libc::RTM_DELROUTE),
        (Action::Add, Object::Rule(_)) => ("RTM_NEWRULE", libc::RTM_NEWRULE),
        (Action::Remove, Object::Rule(_)) => ("RTM_DELRULE", libc::RTM_DELRULE),
    };
    let text = nix::errno::Errno::from_raw(answer.errno).desc();
    let netlink = format!(
        "Netlink: error: {text}({}), type={request}({number}), seq={}, pid=0",
        answer.errno, answer.sequence
    );
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
    let refused = format!("({}) the kernel refused to {verb} {what}: {why}", step.name);
    [
        Line::always(None, netlink),
        Line::always(Some(&step.name), refused),
    ]
}
