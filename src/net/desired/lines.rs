//! keepalived's lines about addresses, and ours.

use super::Owned;
use super::work::Step;
use crate::model::Address;
use crate::net::addresses::Action;
use crate::net::message::Answer;
use tracing::{debug, info};

/// The line about E-VIPs follows what the kernel said about the VIPs.
pub(super) fn setting_lines(owned: &Owned) {
    let name = &owned.config.name;
    if !owned.config.vips.is_empty() {
        debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) setting VIPs.");
    }
}

pub(super) fn setting_excluded(name: &str) {
    debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) setting E-VIPs.");
}

pub(super) fn removing_lines(owned: &Owned) {
    let name = &owned.config.name;
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

/// keepalived's line about a refused request, and one of ours that says which address it was and why.
pub(super) fn complain(step: &Step, address: &Address, result: &Option<Answer>) {
    let Some(answer) = result else { return };
    let (request, number) = match step.action {
        Action::Add => ("RTM_NEWADDR", libc::RTM_NEWADDR),
        Action::Remove => ("RTM_DELADDR", libc::RTM_DELADDR),
    };
    let text = nix::errno::Errno::from_raw(answer.errno).desc();
    info!(target: "vrrp", "Netlink: error: {text}({}), type={request}({number}), seq={}, pid=0",
        answer.errno, answer.sequence);
    let verb = if step.action == Action::Add {
        "add"
    } else {
        "remove"
    };
    let why = answer.text.as_deref().unwrap_or(text);
    info!(target: "vrrp", VRRP_INSTANCE = %step.name, "({}) the kernel refused to {verb} {}/{} on {}: {why}",
        step.name, address.network.address, address.network.prefix, address.interface);
}
