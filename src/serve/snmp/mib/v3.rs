//! VRRPV3-MIB (RFC 6527): all instances, as keepalived has it.

use super::v2::{mac, master, state};
use super::{About, address_or_zeros, ticks, vrrp3};
use crate::model::route::Family;
use crate::model::vrrp::Accept;
use crate::serve::snmp::tree::{Tree, counter, gauge, integer, truth};
use crate::state::Statistics;
use crate::state::snapshot::{InstanceSnapshot, Snapshot};
use crate::wire::agentx::Value;
use std::net::IpAddr;

pub(super) fn put(snapshot: &Snapshot, about: &About, tree: &mut Tree) {
    let sum = |of: fn(&Statistics) -> u64| {
        Value::Counter64(snapshot.instances.iter().map(|i| of(&i.statistics)).sum())
    };
    tree.put(vrrp3(&[1, 2, 1, 0]), sum(|s| s.checksum_err));
    tree.put(vrrp3(&[1, 2, 2, 0]), sum(|s| s.version_err));
    tree.put(vrrp3(&[1, 2, 3, 0]), sum(|s| s.vrid_err));
    // No counter has lost its count since the start.
    tree.put(vrrp3(&[1, 2, 4, 0]), Value::TimeTicks(0));
    for instance in &snapshot.instances {
        operations(snapshot, instance, about, tree);
        statistics(instance, about, tree);
    }
}

fn operations(snapshot: &Snapshot, found: &InstanceSnapshot, about: &About, tree: &mut Tree) {
    let config = &found.config;
    let ipv6 = config.family == Family::Inet6;
    let index = index(found);
    let mut table = tree.table(&vrrp3(&[1, 1, 1, 1]));
    table.put(3, &index, address_or_zeros(master(found), ipv6));
    table.put(4, &index, address_or_zeros(found.source, ipv6));
    table.put(5, &index, mac(snapshot, found));
    table.put(6, &index, state(found.state));
    table.put(7, &index, gauge(config.priority));
    table.put(8, &index, integer(config.vips.len()));
    table.put(9, &index, integer(config.advert_interval.as_millis() / 10));
    table.put(10, &index, truth(!config.nopreempt));
    table.put(11, &index, truth(config.accept == Accept::Enabled));
    table.put(12, &index, ticks(found.last_transition, about.started));
    // Row: active.
    table.put(13, &index, Value::Integer(1));
    let mut addresses = tree.table(&vrrp3(&[1, 1, 2, 1]));
    for address in &config.vips {
        let octets: Vec<u32> = match address.network.address {
            IpAddr::V4(v4) => v4.octets().map(u32::from).to_vec(),
            IpAddr::V6(v6) => v6.octets().map(u32::from).to_vec(),
        };
        addresses.put(2, &[&index[..], &octets].concat(), Value::Integer(1));
    }
}

fn statistics(found: &InstanceSnapshot, about: &About, tree: &mut Tree) {
    let history = about.history.get(found.config.name.as_str()).copied();
    let history = history.unwrap_or_default();
    let counted = &found.statistics;
    let index = index(found);
    let mut table = tree.table(&vrrp3(&[1, 2, 5, 1]));
    table.put(1, &index, counter(counted.become_master));
    table.put(2, &index, Value::Integer(history.reason));
    table.put(3, &index, Value::Counter64(counted.advert_rcvd));
    table.put(4, &index, Value::Counter64(counted.advert_interval_err));
    table.put(5, &index, Value::Counter64(counted.ip_ttl_err));
    table.put(6, &index, Value::Integer(history.error));
    table.put(7, &index, Value::Counter64(counted.pri_zero_rcvd));
    table.put(8, &index, Value::Counter64(counted.pri_zero_sent));
    table.put(9, &index, Value::Counter64(counted.invalid_type_rcvd));
    table.put(10, &index, Value::Counter64(counted.addr_list_err));
    table.put(11, &index, Value::Counter64(counted.packet_len_err));
    table.put(12, &index, Value::TimeTicks(0));
    // Counters are read as they are; a new advert may change them after this time, milliseconds.
    table.put(13, &index, gauge(found.config.advert_interval.as_millis()));
}

/// Interface, VRID and type of its addresses.
pub(in super::super) fn index(found: &InstanceSnapshot) -> [u32; 3] {
    let family = match found.config.family {
        Family::Inet => 1,
        Family::Inet6 => 2,
    };
    [found.interface_index, found.config.vrid.into(), family]
}
