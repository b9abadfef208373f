//! VRRP-MIB (RFC 2787): instances of VRRPv2 over IPv4.

use super::{About, ticks, vrrp2};
use crate::model::route::Family;
use crate::model::vrrp::{Authentication, Version};
use crate::serve::snmp::tree::{Tree, counter, integer, truth};
use crate::state::snapshot::{InstanceSnapshot, Snapshot};
use crate::state::{Statistics, VrrpState};
use crate::wire::agentx::Value;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn put(snapshot: &Snapshot, about: &About, tree: &mut Tree) {
    tree.put(vrrp2(&[1, 1, 0]), Value::Integer(2));
    tree.put(vrrp2(&[1, 2, 0]), truth(snapshot.config.globals.enable_traps));
    let shown: Vec<_> = snapshot.instances.iter().filter(|i| is_shown(i)).collect();
    let sum =
        |of: fn(&Statistics) -> u64| counter(snapshot.instances.iter().map(|i| of(&i.statistics)).sum());
    tree.put(vrrp2(&[2, 1, 0]), sum(|s| s.checksum_err));
    tree.put(vrrp2(&[2, 2, 0]), sum(|s| s.version_err));
    tree.put(vrrp2(&[2, 3, 0]), sum(|s| s.vrid_err));
    for instance in shown {
        operations(snapshot, instance, about, tree);
        statistics(instance, tree);
    }
}

/// RFC 2787 knows VRRPv2 over IPv4.
pub(in super::super) fn is_shown(instance: &InstanceSnapshot) -> bool {
    instance.config.version == Version::V2 && instance.config.family == Family::Inet
}

fn operations(snapshot: &Snapshot, found: &InstanceSnapshot, about: &About, tree: &mut Tree) {
    let config = &found.config;
    let index = index(found);
    let mut table = tree.table(&vrrp2(&[1, 3, 1]));
    table.put(2, &index, mac(snapshot, found));
    table.put(3, &index, state(found.state));
    // Administratively up.
    table.put(4, &index, truth(true));
    table.put(5, &index, integer(config.priority));
    table.put(6, &index, integer(config.vips.len()));
    table.put(7, &index, ipv4(master(found)));
    table.put(8, &index, ipv4(found.source));
    let authentication = match config.authentication {
        Authentication::None => 1,
        Authentication::Pass(_) => 2,
        Authentication::Ah(_) => 3,
    };
    table.put(9, &index, Value::Integer(authentication));
    table.put(11, &index, integer(config.advert_interval.as_secs()));
    table.put(12, &index, truth(!config.nopreempt));
    table.put(13, &index, ticks(found.last_transition, about.started));
    // Protocol: IP. Row: active.
    table.put(14, &index, Value::Integer(1));
    table.put(15, &index, Value::Integer(1));
    let mut addresses = tree.table(&vrrp2(&[1, 4, 1]));
    for address in &config.vips {
        if let IpAddr::V4(v4) = address.network.address {
            let octets = v4.octets().map(u32::from);
            addresses.put(2, &[&index[..], &octets].concat(), Value::Integer(1));
        }
    }
}

fn statistics(found: &InstanceSnapshot, tree: &mut Tree) {
    let counted = &found.statistics;
    let mut table = tree.table(&vrrp2(&[2, 4, 1]));
    let columns = [
        counted.become_master,
        counted.advert_rcvd,
        counted.advert_interval_err,
        counted.auth_failure,
        counted.ip_ttl_err,
        counted.pri_zero_rcvd,
        counted.pri_zero_sent,
        counted.invalid_type_rcvd,
        counted.addr_list_err,
        counted.invalid_authtype,
        counted.authtype_mismatch,
        counted.packet_len_err,
    ];
    for (column, count) in (1..).zip(columns) {
        table.put(column, &index(found), counter(count));
    }
}

/// Interface and VRID.
pub(in super::super) fn index(found: &InstanceSnapshot) -> [u32; 2] {
    [found.interface_index, found.config.vrid.into()]
}

/// vrrpOperState, vrrpv3OperationsStatus.
pub(super) fn state(state: VrrpState) -> Value {
    Value::Integer(match state {
        VrrpState::Backup => 2,
        VrrpState::Master => 3,
        _ => 1,
    })
}

/// MAC address of the interface of the instance's addresses.
pub(super) fn mac(snapshot: &Snapshot, found: &InstanceSnapshot) -> Value {
    let name = found.config.own_interface();
    let interface = snapshot.interfaces.iter().find(|i| i.interface.name == name);
    let mac = interface
        .map(|found| found.interface.mac.clone())
        .unwrap_or_default();
    Value::Octets(if mac.is_empty() { vec![0; 6] } else { mac })
}

/// The master that this instance knows: itself, or the one that it obeys.
pub(super) fn master(found: &InstanceSnapshot) -> Option<IpAddr> {
    match found.state {
        VrrpState::Master => found.source,
        VrrpState::Backup => found.master,
        _ => None,
    }
}

/// IpAddress, zeros where there is none.
pub(in super::super) fn ipv4(address: Option<IpAddr>) -> Value {
    Value::IpAddress(match address {
        Some(IpAddr::V4(v4)) => v4.octets(),
        _ => Ipv4Addr::UNSPECIFIED.octets(),
    })
}
