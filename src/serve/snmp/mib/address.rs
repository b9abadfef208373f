//! KEEPALIVED-MIB: addresses. The static ones belong to instance 0.

use super::{address_or_zeros, interface_index, keepalived, scope};
use crate::model::Address;
use crate::serve::snmp::tree::{Table, Tree, address, address_type, gauge, integer, row, truth};
use crate::state::snapshot::Snapshot;
use crate::wire::agentx::Value;
use std::net::IpAddr;

pub(super) fn put(snapshot: &Snapshot, tree: &mut Tree) {
    let mut table = tree.table(&keepalived(&[2, 6, 1]));
    for (at, one) in snapshot.config.static_addresses.iter().enumerate() {
        let set = snapshot.static_set.get(at).copied().unwrap_or_default();
        put_one(snapshot, one, [0, row(at)], (set, false), &mut table);
    }
    for (at, instance) in snapshot.instances.iter().enumerate() {
        let config = &instance.config;
        let vips = config.vips.iter().zip(&instance.vips_set);
        let vips = vips.map(|(one, set)| (one, *set, true));
        let excluded = config.excluded_vips.iter().zip(&instance.excluded_set);
        let excluded = excluded.map(|(one, set)| (one, *set, false));
        for (place, (one, set, advertised)) in vips.chain(excluded).enumerate() {
            put_one(
                snapshot,
                one,
                [row(at), row(place)],
                (set, advertised),
                &mut table,
            );
        }
    }
}

fn put_one(
    snapshot: &Snapshot,
    one: &Address,
    index: [u32; 2],
    (set, advertised): (bool, bool),
    table: &mut Table<'_>,
) {
    let value = one.network.address;
    table.put(2, &index, address_type(&value));
    table.put(3, &index, address(&value));
    if value.is_ipv4() {
        table.put(4, &index, address_or_zeros(one.broadcast.map(IpAddr::V4), false));
    }
    table.put(5, &index, gauge(one.network.prefix));
    table.put(6, &index, scope(one.scope));
    table.put(7, &index, integer(interface_index(snapshot, &one.interface)));
    table.put(8, &index, Value::text(&one.interface));
    let interface = snapshot
        .interfaces
        .iter()
        .find(|i| i.interface.name == one.interface);
    let alias = interface.and_then(|found| found.interface.alias.as_deref());
    table.maybe(9, &index, alias.map(Value::text));
    table.put(10, &index, truth(set));
    table.put(11, &index, truth(advertised));
    table.maybe(12, &index, one.peer.map(|peer| address(&peer.address)));
}
