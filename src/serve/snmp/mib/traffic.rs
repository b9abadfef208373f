//! KEEPALIVED-MIB: what IPVS counts for virtual and real servers.

use crate::serve::snmp::tree::{Table, counter, gauge, row};
use crate::state::lvs::ServerView;
use crate::state::traffic::{ServerTraffic, Traffic, VirtualTraffic};
use crate::wire::agentx::Value;

/// Columns where the counters of one of the two tables begin.
struct Columns {
    /// Connections.
    connections: u32,
    /// Packets, bytes, rates.
    narrow: u32,
    /// Connections and packets of 64 bits.
    wide: u32,
    /// Rates in two halves.
    halves: u32,
    /// Rates of 64 bits.
    wide_rates: u32,
}

const SERVER: Columns = Columns {
    connections: 27,
    narrow: 28,
    wide: 38,
    halves: 41,
    wide_rates: 74,
};

const REAL: Columns = Columns {
    connections: 14,
    narrow: 18,
    wide: 27,
    halves: 30,
    wide_rates: 58,
};

/// One virtual server.
pub(super) fn server(traffic: &Traffic, index: &[u32], table: &mut Table<'_>) {
    put(traffic, &SERVER, index, table);
}

/// Its real servers; the sorry server has the first row.
pub(super) fn reals(view: &ServerView, traffic: &VirtualTraffic, at: u32, table: &mut Table<'_>) {
    let sorry = view.config.sorry_server.as_ref().map(|_| &traffic.sorry);
    let none = ServerTraffic::default();
    let reals = (0..view.reals.len()).map(|place| traffic.reals.get(place).unwrap_or(&none));
    for (place, server) in sorry.into_iter().chain(reals).enumerate() {
        let index = [at, row(place)];
        put(&server.traffic, &REAL, &index, table);
        for (column, count) in [
            (15, server.active),
            (16, server.inactive),
            (17, server.persistent),
        ] {
            table.put(column, &index, gauge(count));
        }
    }
}

fn put(traffic: &Traffic, columns: &Columns, index: &[u32], table: &mut Table<'_>) {
    // Called a gauge, though it counts.
    let connections = traffic.connections & u64::from(u32::MAX);
    table.put(columns.connections, index, gauge(connections));
    let rates = [
        traffic.connection_rate,
        traffic.in_packet_rate,
        traffic.out_packet_rate,
        traffic.in_byte_rate,
        traffic.out_byte_rate,
    ];
    let narrow = [
        counter(traffic.in_packets),
        counter(traffic.out_packets),
        Value::Counter64(traffic.in_bytes),
        Value::Counter64(traffic.out_bytes),
    ];
    let narrow = narrow.into_iter().chain(rates.map(gauge));
    let wide = [traffic.connections, traffic.in_packets, traffic.out_packets];
    let halves = rates
        .into_iter()
        .flat_map(|rate| [rate & u64::from(u32::MAX), rate >> 32]);
    row_of(columns.narrow, narrow, index, table);
    row_of(columns.wide, wide.into_iter().map(Value::Counter64), index, table);
    row_of(columns.halves, halves.map(gauge), index, table);
    row_of(
        columns.wide_rates,
        rates.into_iter().map(Value::Counter64),
        index,
        table,
    );
}

/// Columns beside each other.
fn row_of(first: u32, values: impl Iterator<Item = Value>, index: &[u32], table: &mut Table<'_>) {
    for (column, value) in (first..).zip(values) {
        table.put(column, index, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::snmp::tree::Tree;

    #[test]
    fn large_numbers_are_given_in_full_and_in_halves() {
        let traffic = Traffic {
            connections: (1 << 32) + 5,
            in_packets: (1 << 32) + 6,
            out_bytes: 1 << 40,
            in_byte_rate: (3 << 32) + 7,
            ..Traffic::default()
        };
        let mut tree = Tree::default();
        server(&traffic, &[1], &mut tree.table(&[3, 3, 1]));
        let get = |column| tree.get(&[3, 3, 1, column, 1]);
        assert_eq!(get(27), Value::Gauge32(5));
        assert_eq!(get(28), Value::Counter32(6));
        assert_eq!(get(31), Value::Counter64(1 << 40));
        assert_eq!(get(35), Value::Gauge32(u32::MAX));
        assert_eq!(get(38), Value::Counter64((1 << 32) + 5));
        assert_eq!((get(47), get(48)), (Value::Gauge32(7), Value::Gauge32(3)));
        assert_eq!(get(77), Value::Counter64((3 << 32) + 7));
        assert_eq!(tree.iter().count(), 1 + 9 + 3 + 10 + 5);
    }
}
