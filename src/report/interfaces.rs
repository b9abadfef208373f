//! Interfaces, and the paces of gratuitous ARPs on them.

use super::{LocalText, Text, fraction, full_stamp, line, true_false};
use crate::model::vrrp::Instance;
use crate::model::{Address, Configuration, IpNetwork};
use crate::state::Interface;
use crate::state::interface::{
    IFF_BROADCAST, IFF_LOOPBACK, IFF_MULTICAST, IFF_NOARP, IFF_POINTOPOINT, IFF_RUNNING, IFF_UP, Linkbeat,
};
use crate::state::snapshot::{GarpGroupSnapshot, InterfaceSnapshot, Snapshot};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// keepalived's weight of an interface that is not tracked (`dont_track_primary`).
const NOT_TRACKED: i32 = 255;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_INFINIBAND: u16 = 32;
const ARPHRD_LOOPBACK: u16 = 772;

/// `Gratuitous ARP delays`.
pub(super) fn garp_groups(text: &mut Text, groups: &[GarpGroupSnapshot], local: LocalText) {
    if groups.is_empty() {
        return;
    }
    line!(text, "------< Gratuitous ARP delays >------");
    for group in groups {
        line!(text, "------< GARP delay group >------");
        if let Some(interval) = group.config.garp_interval {
            line!(text, " GARP interval = {}", fraction(interval));
            line!(text, " GARP next time {}", full_stamp(group.garp_next, local));
        }
        if let Some(interval) = group.config.gna_interval {
            line!(text, " GNA interval = {}", fraction(interval));
            line!(text, " GNA next time {}", full_stamp(group.gna_next, local));
        }
        line!(text, " Interfaces");
        for interface in &group.config.interfaces {
            line!(text, "  {interface}");
        }
    }
}

/// `Interfaces`.
pub(super) fn write(text: &mut Text, snapshot: &Snapshot, local: LocalText) {
    if snapshot.interfaces.is_empty() {
        return;
    }
    line!(text, "------< Interfaces >------");
    let config = &snapshot.config;
    let configured = config
        .instances
        .iter()
        .flat_map(addresses)
        .chain(&config.static_addresses);
    let ours: BTreeSet<IpAddr> = configured.map(|address| address.network.address).collect();
    for interface in &snapshot.interfaces {
        write_one(text, snapshot, interface, &ours, local);
    }
}

/// `ours`: addresses that instances bring and take away, and static ones, which are not the interface's own.
fn write_one(
    text: &mut Text,
    snapshot: &Snapshot,
    taken: &InterfaceSnapshot,
    ours: &BTreeSet<IpAddr>,
    local: LocalText,
) {
    let config = &snapshot.config;
    let interface = &*taken.interface;
    line!(text, " Name = {}", interface.name);
    let deleted = if interface.index == 0 { " (deleted)" } else { "" };
    line!(text, "   index = {}{deleted}", interface.index);
    write_addresses(text, interface, ours);
    if interface.hardware_type != ARPHRD_LOOPBACK && !interface.mac.is_empty() {
        line!(text, "   MAC = {}", hexadecimal(&interface.mac));
        line!(
            text,
            "   MAC broadcast = {}",
            hexadecimal(&interface.mac_broadcast)
        );
    }
    line!(text, "   State = {}", state(interface));
    line!(text, "   Seen up = {}", u8::from(taken.seen_up));
    line!(
        text,
        "   Delayed state change running = {}",
        true_false(taken.interface.delayed)
    );
    let delay = config
        .interface_delays
        .iter()
        .rev()
        .find(|delay| delay.interface == interface.name);
    let micros =
        |pick: fn(&crate::model::vrrp::InterfaceDelay) -> Duration| delay.map_or(0, |d| pick(d).as_micros());
    line!(text, "   Up debounce timer = {}us", micros(|delay| delay.up));
    line!(text, "   Down debounce timer = {}us", micros(|delay| delay.down));
    line!(text, "   Group = {}", interface.group);
    if let Some(kind) = virtual_kind(interface) {
        write_lower(text, snapshot, interface, kind);
    }
    if config.globals.dynamic_interfaces == crate::model::globals::DynamicInterfaces::AllowChanges
        && interface.hardware_type != ARPHRD_LOOPBACK
        && interface.index != 0
    {
        line!(text, "   Interface type/base can be changed");
    }
    line!(text, "   MTU = {}", interface.mtu);
    match interface.hardware_type {
        ARPHRD_LOOPBACK => line!(text, "   HW Type = LOOPBACK"),
        ARPHRD_ETHER => line!(text, "   HW Type = ETHERNET"),
        ARPHRD_INFINIBAND => line!(text, "   HW Type = INFINIBAND"),
        other => line!(text, "   HW Type = UNKNOWN ({other})"),
    }
    match interface.linkbeat {
        Some(Linkbeat::Mii) => line!(text, "   NIC support MII"),
        Some(Linkbeat::Ethtool) => line!(text, "   NIC support ETHTOOL GLINK interface"),
        None if interface.index != 0 => line!(text, "   NIC netlink status update"),
        None | Some(Linkbeat::Ioctl) => line!(text, "   NIC ioctl refresh polling"),
    }
    write_vrf(text, snapshot, interface);
    let paced = |group: &&GarpGroupSnapshot| group.config.interfaces.contains(&interface.name);
    if let Some(group) = snapshot.garp_groups.iter().find(paced) {
        if let Some(interval) = group.config.garp_interval {
            line!(text, "   Gratuitous ARP interval {}ms", interval.as_millis());
        }
        if let Some(interval) = group.config.gna_interval {
            line!(text, "   Gratuitous NA interval {}ms", interval.as_millis());
        }
    }
    let settings = &taken.settings;
    line!(text, "   Reset ARP config counter {}", settings.arp_users);
    line!(text, "   Original arp_ignore {}", settings.arp_ignore);
    line!(text, "   Original arp_filter {}", settings.arp_filter);
    if let Some(value) = settings.rp_filter {
        line!(text, "   rp_filter {value}");
    }
    line!(
        text,
        "   Original promote_secondaries {}",
        settings.promote_secondaries
    );
    line!(
        text,
        "   Reset promote_secondaries counter {}",
        settings.promote_users
    );
    if let Some((forwarding, checked)) = settings.ipv6_forwarding {
        let not = if forwarding { "IPv6" } else { "Not IPv6" };
        line!(
            text,
            "   {not} forwarding. Last checked {}",
            full_stamp(Some(checked), local)
        );
    }
    let tracking = tracking(config, &interface.name);
    if !tracking.is_empty() {
        line!(text, "   Tracking VRRP instances :");
        for (name, weight, reverse) in tracking {
            line!(text, "     {name}, weight {weight}{}", super::reverse(reverse));
        }
    }
}

fn write_addresses(text: &mut Text, interface: &Interface, ours: &BTreeSet<IpAddr>) {
    let shown: Vec<IpAddr> = interface
        .addresses
        .iter()
        .map(|address| address.address)
        .filter(|address| !ours.contains(address))
        .collect();
    let mut v4 = shown.iter().filter(|address| address.is_ipv4());
    let link_local = |address: &&IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let mut v6 = shown.iter().filter(link_local);
    let none_or = |address: Option<&IpAddr>| address.map_or("(none)".to_owned(), IpAddr::to_string);
    line!(text, "   IPv4 address = {}", none_or(v4.next()));
    additional(text, "IPv4", v4);
    line!(text, "   IPv6 address = {}", none_or(v6.next()));
    additional(text, "IPv6", v6);
}

fn additional<'a>(text: &mut Text, family: &str, rest: impl Iterator<Item = &'a IpAddr>) {
    let mut rest = rest.peekable();
    if rest.peek().is_some() {
        line!(text, "   Additional {family} addresses :");
        for address in rest {
            line!(text, "     {address}");
        }
    }
}

fn state(interface: &Interface) -> String {
    let has = |flag| interface.flags & flag != 0;
    let not = |flag| if has(flag) { "" } else { "not " };
    let mut state = format!("{}UP, {}RUNNING", not(IFF_UP), not(IFF_RUNNING));
    for (shown, word) in [
        (!has(IFF_BROADCAST), ", no broadcast"),
        (has(IFF_LOOPBACK), ", loopback"),
        (has(IFF_POINTOPOINT), ", point to point"),
        (has(IFF_NOARP), ", no arp"),
        (!has(IFF_MULTICAST), ", no multicast"),
    ] {
        if shown {
            state.push_str(word);
        }
    }
    state
}

/// keepalived's word for a virtual interface that it can run on: `VMAC`, `IPVLAN`.
fn virtual_kind(interface: &Interface) -> Option<String> {
    const MACVLAN_MODES: [(u32, &str); 5] = [
        (1, "private"),
        (2, "vepa"),
        (4, "bridge"),
        (8, "passthru"),
        (16, "source"),
    ];
    match interface.kind.as_deref() {
        Some("macvlan") => {
            let mode = MACVLAN_MODES
                .iter()
                .find(|(number, _)| Some(*number) == interface.macvlan_mode);
            Some(format!("VMAC type {}", mode.map_or("unknown", |(_, word)| word)))
        }
        _ => None,
    }
}

fn write_lower(text: &mut Text, snapshot: &Snapshot, interface: &Interface, kind: String) {
    let below = |taken: &&InterfaceSnapshot| Some(taken.interface.index) == interface.lower;
    match snapshot.interfaces.iter().find(below) {
        Some(taken) => {
            let lower = &*taken.interface;
            let not = |flag| if lower.flags & flag == 0 { "not " } else { "" };
            line!(
                text,
                "   {kind}, underlying interface = {}, state = {}UP, {}RUNNING",
                lower.name,
                not(IFF_UP),
                not(IFF_RUNNING)
            );
        }
        None => line!(text, "   {kind}, underlying interface in different namespace"),
    }
    let named = |name: &String| *name == interface.name;
    let ours = |instance: &Instance| {
        instance.virtual_interface() == Some(interface.name.as_str())
            || addresses(instance).any(|address| address.over.is_some() && named(&address.interface))
    };
    if snapshot.config.instances.iter().any(ours) {
        line!(text, "   I/f created by keepalived");
    }
}

fn write_vrf(text: &mut Text, snapshot: &Snapshot, interface: &Interface) {
    if let Some(table) = interface.vrf_table {
        line!(text, "   VRF master table {table}");
    }
    let master = |taken: &&InterfaceSnapshot| Some(taken.interface.index) == interface.master;
    if let Some(master) = snapshot.interfaces.iter().find(master)
        && master.interface.vrf_table.is_some()
    {
        line!(text, "   VRF slave of {}", master.interface.name);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(":")
}

fn addresses(instance: &Instance) -> impl Iterator<Item = &Address> {
    instance.vips.iter().chain(&instance.excluded_vips)
}

/// Instances that the interface's state matters to: name, weight, reversed. First what the instances
/// say themselves, in the file's order; then what their sync groups say, which overrides a weight.
fn tracking(config: &Configuration, interface: &str) -> Vec<(String, i32, bool)> {
    let mut tracking: Vec<(String, i32, bool)> = Vec::new();
    for instance in &config.instances {
        if let Some((weight, reverse)) = own_tracking(instance, interface) {
            tracking.push((instance.name.clone(), weight, reverse));
        }
    }
    for group in &config.sync_groups {
        for tracked in group
            .track_interfaces
            .iter()
            .filter(|tracked| tracked.name == interface)
        {
            for member in &group.members {
                match tracking.iter_mut().find(|(name, _, _)| name == member) {
                    Some(entry) => (entry.1, entry.2) = (tracked.weight, tracked.reverse),
                    None => tracking.push((member.clone(), tracked.weight, tracked.reverse)),
                }
            }
        }
    }
    tracking
}

fn own_tracking(instance: &Instance, interface: &str) -> Option<(i32, bool)> {
    if let Some(tracked) = instance
        .track_interfaces
        .iter()
        .find(|tracked| tracked.name == interface)
    {
        return Some((tracked.weight, tracked.reverse));
    }
    if instance.own_interface() == interface || instance.interface == interface {
        let weight = if instance.dont_track_primary {
            NOT_TRACKED
        } else {
            0
        };
        return Some((weight, false));
    }
    instance
        .used_interfaces()
        .any(|name| name == interface)
        .then_some((0, false))
}

/// `192.0.2.100/24`, without the length of a single address.
pub(super) fn network(network: &IpNetwork) -> String {
    let full = if network.address.is_ipv4() { 32 } else { 128 };
    if network.prefix == full {
        network.address.to_string()
    } else {
        format!("{}/{}", network.address, network.prefix)
    }
}
