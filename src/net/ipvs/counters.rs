//! What IPVS counts: of services, and of their servers.

use super::attributes::{dest, svc, top};
use super::read;
use crate::net::message::{attributes, u32_at};
use crate::state::lvs::{DestinationKey, ServiceKey};
use crate::state::traffic::{ServerTraffic, Traffic};

/// A service and what went through it.
pub fn service(payload: &[u8]) -> Option<(ServiceKey, Traffic)> {
    let found = read::service(payload)?;
    let nested = read::nested(payload, top::SERVICE)?;
    Some((found.key, traffic(nested, svc::STATS, svc::STATS64)))
}

/// A server of a service and what went to it.
pub fn destination(payload: &[u8], service: &ServiceKey) -> Option<(DestinationKey, ServerTraffic)> {
    let (key, ..) = read::destination(payload, service)?;
    let nested = read::nested(payload, top::DEST)?;
    let mut server = ServerTraffic {
        traffic: traffic(nested, dest::STATS, dest::STATS64),
        ..ServerTraffic::default()
    };
    for (kind, value) in attributes(nested, 0) {
        let count = match kind {
            dest::ACTIVE_CONNS => &mut server.active,
            dest::INACT_CONNS => &mut server.inactive,
            dest::PERSIST_CONNS => &mut server.persistent,
            _ => continue,
        };
        *count = u32_at(value, 0)?;
    }
    Some((key, server))
}

/// The counters of 64 bits; kernels before 4.1 have those of 32 only.
fn traffic(nested: &[u8], narrow: u16, wide: u16) -> Traffic {
    let find = |wanted| {
        let mut all = attributes(nested, 0);
        all.find(|(kind, _)| *kind == wanted)
    };
    let mut traffic = Traffic::default();
    let Some((_, stats)) = find(wide).or_else(|| find(narrow)) else {
        return traffic;
    };
    for (kind, value) in attributes(stats, 0) {
        let count = match kind {
            1 => &mut traffic.connections,
            2 => &mut traffic.in_packets,
            3 => &mut traffic.out_packets,
            4 => &mut traffic.in_bytes,
            5 => &mut traffic.out_bytes,
            6 => &mut traffic.connection_rate,
            7 => &mut traffic.in_packet_rate,
            8 => &mut traffic.out_packet_rate,
            9 => &mut traffic.in_byte_rate,
            10 => &mut traffic.out_byte_rate,
            _ => continue,
        };
        *count = number(value);
    }
    traffic
}

/// Of 64 bits or of 32.
fn number(value: &[u8]) -> u64 {
    match value.first_chunk() {
        Some(bytes) => u64::from_ne_bytes(*bytes),
        None => u32_at(value, 0).unwrap_or_default().into(),
    }
}
