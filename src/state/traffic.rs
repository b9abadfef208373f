//! What IPVS has counted.

use super::lvs::{DestinationKey, ServiceKey};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// What went through a service or to one server of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients; those that do not come through this host are not counted.
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes to clients.
    pub out_bytes: u64,
    /// Connections a second, as the kernel estimates it.
    pub connection_rate: u64,
    /// Packets from clients a second.
    pub in_packet_rate: u64,
    /// Packets to clients a second.
    pub out_packet_rate: u64,
    /// Bytes from clients a second.
    pub in_byte_rate: u64,
    /// Bytes to clients a second.
    pub out_byte_rate: u64,
}

/// What one server of a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerTraffic {
    /// What went to it.
    pub traffic: Traffic,
    /// Connections that are open.
    pub active: u32,
    /// Connections that are closing, or are not of TCP.
    pub inactive: u32,
    /// Templates of persistence.
    pub persistent: u32,
}

/// One virtual server: the sum over its services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VirtualTraffic {
    /// All of it.
    pub total: Traffic,
    /// Real servers, in the order of the settings.
    pub reals: Vec<ServerTraffic>,
    /// Sorry server.
    pub sorry: ServerTraffic,
}

/// The kernel's table of counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Of services.
    pub services: BTreeMap<ServiceKey, Traffic>,
    /// Of their servers.
    pub destinations: BTreeMap<ServiceKey, BTreeMap<DestinationKey, ServerTraffic>>,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        for (sum, number) in [
            (&mut self.connections, other.connections),
            (&mut self.in_packets, other.in_packets),
            (&mut self.out_packets, other.out_packets),
            (&mut self.in_bytes, other.in_bytes),
            (&mut self.out_bytes, other.out_bytes),
            (&mut self.connection_rate, other.connection_rate),
            (&mut self.in_packet_rate, other.in_packet_rate),
            (&mut self.out_packet_rate, other.out_packet_rate),
            (&mut self.in_byte_rate, other.in_byte_rate),
            (&mut self.out_byte_rate, other.out_byte_rate),
        ] {
            *sum = sum.wrapping_add(number);
        }
    }
}

impl AddAssign for ServerTraffic {
    fn add_assign(&mut self, other: ServerTraffic) {
        self.traffic += other.traffic;
        self.active = self.active.saturating_add(other.active);
        self.inactive = self.inactive.saturating_add(other.inactive);
        self.persistent = self.persistent.saturating_add(other.persistent);
    }
}
