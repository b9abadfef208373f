//! What belongs to an instance: addresses, peers, routes, what it tracks, scripts.

use crate::model::script::NotifyScripts;
use crate::model::vrrp::{Instance, UnicastChecksum};
use crate::model::{Address, Tracked};
use crate::report::routes::{address, route, rule};
use crate::report::{Text, command, line, reverse, true_false, yes_no};
use crate::state::snapshot::InstanceSnapshot;
use std::net::IpAddr;

pub(super) fn owned_addresses(text: &mut Text, taken: &InstanceSnapshot) {
    let vips = vips(taken);
    if !vips.is_empty() {
        line!(text, "   Virtual IP ({}):", vips.len());
        for vip in vips {
            line!(text, "     {vip}");
        }
    }
    let excluded = excluded_vips(taken);
    if !excluded.is_empty() {
        line!(text, "   Virtual IP Excluded :");
        for vip in excluded {
            line!(text, "     {vip}");
        }
    }
}

/// The lines of `virtual_ipaddress`.
pub(in crate::report) fn vips(taken: &InstanceSnapshot) -> Vec<String> {
    address_lines(taken, &taken.config.vips, &taken.vips_set)
}

/// The lines of `virtual_ipaddress_excluded`.
pub(in crate::report) fn excluded_vips(taken: &InstanceSnapshot) -> Vec<String> {
    address_lines(taken, &taken.config.excluded_vips, &taken.excluded_set)
}

pub(super) fn address_lines(taken: &InstanceSnapshot, addresses: &[Address], set: &[bool]) -> Vec<String> {
    let set = set.iter().copied().chain(std::iter::repeat(false));
    let lines = addresses.iter().zip(set);
    lines
        .map(|(line, set)| address(line, &device(line), set, taken.firewall_set))
        .collect()
}

/// The interface that an address goes to, `vmac@base` where that is a VMAC.
pub(super) fn device(address: &Address) -> String {
    match &address.over {
        Some(base) => format!("{}@{base}", address.interface),
        None => address.interface.clone(),
    }
}

pub(super) fn unicast(text: &mut Text, config: &Instance) {
    if !config.unicast {
        return;
    }
    line!(text, "   Unicast TTL = {}", config.unicast_ttl.unwrap_or(255));
    line!(
        text,
        "   Check unicast src : {}",
        yes_no(config.check_unicast_source)
    );
    if !config.peers.is_empty() {
        line!(text, "   Unicast Peer :");
        for peer in &config.peers {
            line!(
                text,
                "     {} min_ttl {} max_ttl {}",
                peer.address,
                peer.min_ttl,
                peer.max_ttl
            );
        }
    }
    let compatibility = match config.unicast_checksum {
        UnicastChecksum::Auto => "no",
        UnicastChecksum::Old => "config",
        UnicastChecksum::Never => "never",
    };
    line!(text, "   Unicast checksum compatibility = {compatibility}");
}

pub(super) fn tracked(text: &mut Text, taken: &InstanceSnapshot) {
    let config = &*taken.config;
    if !config.routes.is_empty() {
        line!(text, "   Virtual Routes :");
        for virtual_route in virtual_routes(taken) {
            line!(text, "     {virtual_route}");
        }
    }
    if !config.rules.is_empty() {
        line!(text, "   Virtual Rules :");
        for virtual_rule in &config.rules {
            line!(text, "     {}", rule(virtual_rule));
        }
    }
    tracked_lists(
        text,
        "processes",
        [
            &config.track_interfaces,
            &config.track_scripts,
            &config.track_files,
            &config.track_processes,
            &config.track_bfd,
        ],
    );
    line!(text, "   Using smtp notification = {}", yes_no(config.smtp_alert));
    let deleted = if notifies_deleted(config) {
        "Deleted"
    } else {
        "Fault"
    };
    line!(text, "   Notify deleted = {deleted}");
    notify(text, &config.notify);
    line!(
        text,
        "   Notify priority changes = {}",
        true_false(config.notify_priority_changes)
    );
}

/// The lines of `virtual_routes`.
pub(in crate::report) fn virtual_routes(taken: &InstanceSnapshot) -> Vec<String> {
    let devices = taken
        .route_devices
        .iter()
        .map(Option::as_deref)
        .chain(std::iter::repeat(None));
    let lines = taken.config.routes.iter().zip(devices);
    lines
        .map(|(virtual_route, device)| match device {
            Some(device) => format!("{} [dev {device}]", route(virtual_route)),
            None => route(virtual_route),
        })
        .collect()
}

/// The instance reports its removal as DELETED.
pub(in crate::report) fn notifies_deleted(config: &Instance) -> bool {
    config.notify_deleted || config.notify.deleted.is_some()
}

pub(super) fn tracked_lists(text: &mut Text, processes: &str, lists: [&Vec<Tracked>; 5]) {
    let titles = ["interfaces", "scripts", "files", processes, "BFDs"];
    let separators = [" weight", " weight", ", weight", ", weight", ": weight"];
    for ((list, title), separator) in lists.into_iter().zip(titles).zip(separators) {
        if list.is_empty() {
            continue;
        }
        line!(text, "   Tracked {title} :");
        for tracked in list {
            let reverse = reverse(tracked.reverse);
            line!(
                text,
                "     {}{separator} {}{reverse}",
                tracked.name,
                tracked.weight
            );
        }
    }
}

pub(super) fn notify(text: &mut Text, notify: &NotifyScripts) {
    for (title, script) in [
        ("Backup", &notify.backup),
        ("Master", &notify.master),
        ("Fault", &notify.fault),
        ("Stop", &notify.stop),
        ("Deleted", &notify.deleted),
        ("Generic", &notify.generic),
        ("Master rx lower pri", &notify.master_rx_lower_priority),
    ] {
        if let Some(script) = script.as_ref().filter(|script| !script.disabled) {
            line!(
                text,
                "   {title} state transition script = {}, uid:gid {}:{}",
                command(script),
                script.identity.uid,
                script.identity.gid
            );
        }
    }
}

pub(super) fn none_or(address: Option<IpAddr>) -> String {
    address.map_or("(none)".into(), |address| address.to_string())
}
