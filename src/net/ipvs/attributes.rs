//! Requests to IPVS as attributes (linux/ip_vs.h).

use crate::model::globals::LvsTimeouts;
use crate::model::lvs::{Method, Protocol, SchedulerFlags, TunnelChecksum, TunnelKind};
use crate::model::route::Family;
use crate::net::message::Writer;
use crate::state::lvs::{
    DestinationKey, DestinationSettings, Operation, ServiceKey, ServiceSettings, SyncDaemon,
};
use std::net::IpAddr;

/// A command of the family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command(pub u8);

/// IPVS_CMD_*.
pub(super) mod cmd {
    use super::Command;
    pub const NEW_SERVICE: Command = Command(1);
    pub const SET_SERVICE: Command = Command(2);
    pub const DEL_SERVICE: Command = Command(3);
    pub const GET_SERVICE: Command = Command(4);
    pub const NEW_DEST: Command = Command(5);
    pub const SET_DEST: Command = Command(6);
    pub const DEL_DEST: Command = Command(7);
    pub const GET_DEST: Command = Command(8);
    pub const NEW_DAEMON: Command = Command(9);
    pub const DEL_DAEMON: Command = Command(10);
    pub const GET_DAEMON: Command = Command(11);
    pub const SET_CONFIG: Command = Command(12);
    pub const GET_CONFIG: Command = Command(13);
    pub const GET_INFO: Command = Command(15);
    pub const FLUSH: Command = Command(17);
}

/// IPVS_CMD_ATTR_*.
pub(super) mod top {
    pub const SERVICE: u16 = 1;
    pub const DEST: u16 = 2;
    pub const DAEMON: u16 = 3;
    pub const TIMEOUT_TCP: u16 = 4;
    pub const TIMEOUT_TCP_FIN: u16 = 5;
    pub const TIMEOUT_UDP: u16 = 6;
}

/// IPVS_SVC_ATTR_*.
pub(super) mod svc {
    pub const AF: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const ADDR: u16 = 3;
    pub const PORT: u16 = 4;
    pub const FWMARK: u16 = 5;
    pub const SCHED_NAME: u16 = 6;
    pub const FLAGS: u16 = 7;
    pub const TIMEOUT: u16 = 8;
    pub const NETMASK: u16 = 9;
    pub const STATS: u16 = 10;
    pub const PE_NAME: u16 = 11;
    pub const STATS64: u16 = 12;
}

/// IPVS_DEST_ATTR_*.
pub(super) mod dest {
    pub const ADDR: u16 = 1;
    pub const PORT: u16 = 2;
    pub const FWD_METHOD: u16 = 3;
    pub const WEIGHT: u16 = 4;
    pub const U_THRESH: u16 = 5;
    pub const L_THRESH: u16 = 6;
    pub const ACTIVE_CONNS: u16 = 7;
    pub const INACT_CONNS: u16 = 8;
    pub const PERSIST_CONNS: u16 = 9;
    pub const STATS: u16 = 10;
    pub const ADDR_FAMILY: u16 = 11;
    pub const STATS64: u16 = 12;
    pub const TUN_TYPE: u16 = 13;
    pub const TUN_PORT: u16 = 14;
    pub const TUN_FLAGS: u16 = 15;
}

/// IPVS_DAEMON_ATTR_*.
pub(super) mod daemon_attribute {
    pub const STATE: u16 = 1;
    pub const MCAST_IFN: u16 = 2;
    pub const SYNC_ID: u16 = 3;
    pub const SYNC_MAXLEN: u16 = 4;
    pub const MCAST_GROUP: u16 = 5;
    pub const MCAST_GROUP6: u16 = 6;
    pub const MCAST_PORT: u16 = 7;
    pub const MCAST_TTL: u16 = 8;
}

/// IP_VS_SVC_F_*.
pub(super) mod flag {
    pub const PERSISTENT: u32 = 0x1;
    pub const ONE_PACKET: u32 = 0x4;
    pub const FLAG_1: u32 = 0x8;
    pub const FLAG_2: u32 = 0x10;
    pub const FLAG_3: u32 = 0x20;
    /// Those that are set from outside.
    pub const OURS: u32 = PERSISTENT | ONE_PACKET | FLAG_1 | FLAG_2 | FLAG_3;
}

/// IP_VS_CONN_F_*: how packets are forwarded.
pub(super) mod forward {
    pub const MASK: u32 = 7;
    pub const MASQ: u32 = 0;
    pub const LOCAL: u32 = 1;
    pub const TUNNEL: u32 = 2;
    pub const ROUTE: u32 = 3;
}

/// IP_VS_STATE_*.
pub(super) const STATE_MASTER: u32 = 1;
pub(super) const STATE_BACKUP: u32 = 2;

/// Command and attributes of a change.
pub(super) fn operation(writer: &mut Writer, operation: &Operation) {
    match operation {
        Operation::AddService(key, settings) => {
            super::command(writer, cmd::NEW_SERVICE);
            whole_service(writer, key, settings);
        }
        Operation::EditService(key, settings) => {
            super::command(writer, cmd::SET_SERVICE);
            whole_service(writer, key, settings);
        }
        Operation::RemoveService(key) => {
            super::command(writer, cmd::DEL_SERVICE);
            service(writer, key);
        }
        Operation::AddDestination(key, server, settings) => {
            super::command(writer, cmd::NEW_DEST);
            service(writer, key);
            destination(writer, server, Some(settings));
        }
        Operation::EditDestination(key, server, settings) => {
            super::command(writer, cmd::SET_DEST);
            service(writer, key);
            destination(writer, server, Some(settings));
        }
        Operation::RemoveDestination(key, server) => {
            super::command(writer, cmd::DEL_DEST);
            service(writer, key);
            destination(writer, server, None);
        }
    }
}

/// A service, as far as it must be known to be found.
pub(super) fn service(writer: &mut Writer, key: &ServiceKey) {
    let nest = writer.nest(top::SERVICE);
    service_key(writer, key);
    writer.close(nest);
}

fn whole_service(writer: &mut Writer, key: &ServiceKey, settings: &ServiceSettings) {
    let nest = writer.nest(top::SERVICE);
    service_key(writer, key);
    writer.attribute_text(svc::SCHED_NAME, &settings.scheduler);
    if let Some(engine) = &settings.engine {
        writer.attribute_text(svc::PE_NAME, engine);
    }
    let mut flags = flag_bits(settings.flags);
    if settings.persistence.is_some() {
        flags |= flag::PERSISTENT;
    }
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&flags.to_ne_bytes());
    bytes[4..].copy_from_slice(&u32::MAX.to_ne_bytes());
    writer.attribute(svc::FLAGS, &bytes);
    let timeout = settings.persistence.unwrap_or(0);
    writer.attribute(svc::TIMEOUT, &timeout.to_ne_bytes());
    writer.attribute(svc::NETMASK, &mask_bytes(key, settings.mask));
    writer.close(nest);
}

fn service_key(writer: &mut Writer, key: &ServiceKey) {
    writer.attribute(svc::AF, &family_number(key.family()).to_ne_bytes());
    match key {
        ServiceKey::Mark(mark, _) => writer.attribute(svc::FWMARK, &mark.to_ne_bytes()),
        ServiceKey::Address(protocol, address, port) => {
            writer.attribute(svc::PROTOCOL, &protocol_number(*protocol).to_ne_bytes());
            writer.attribute(svc::ADDR, &address_bytes(*address));
            writer.attribute(svc::PORT, &port.to_be_bytes());
        }
    }
}

fn destination(writer: &mut Writer, server: &DestinationKey, settings: Option<&DestinationSettings>) {
    let nest = writer.nest(top::DEST);
    let family = match server.address {
        IpAddr::V4(_) => Family::Inet,
        IpAddr::V6(_) => Family::Inet6,
    };
    writer.attribute(dest::ADDR_FAMILY, &family_number(family).to_ne_bytes());
    writer.attribute(dest::ADDR, &address_bytes(server.address));
    writer.attribute(dest::PORT, &server.port.to_be_bytes());
    if let Some(settings) = settings {
        let forward = match settings.method {
            Method::Nat => forward::MASQ,
            Method::Dr => forward::ROUTE,
            Method::Tun(_) => forward::TUNNEL,
        };
        writer.attribute(dest::FWD_METHOD, &forward.to_ne_bytes());
        writer.attribute(dest::WEIGHT, &settings.weight.to_ne_bytes());
        writer.attribute(dest::U_THRESH, &settings.upper.to_ne_bytes());
        writer.attribute(dest::L_THRESH, &settings.lower.to_ne_bytes());
        if let Method::Tun(tunnel) = settings.method {
            let kind: u8 = match tunnel.kind {
                TunnelKind::Ipip => 0,
                TunnelKind::Gue => 1,
                TunnelKind::Gre => 2,
            };
            let checksum: u16 = match tunnel.checksum {
                TunnelChecksum::None => 0,
                TunnelChecksum::Checksum => 1,
                TunnelChecksum::Remote => 2,
            };
            writer.attribute(dest::TUN_TYPE, &[kind]);
            writer.attribute(dest::TUN_PORT, &tunnel.port.to_be_bytes());
            writer.attribute(dest::TUN_FLAGS, &checksum.to_ne_bytes());
        }
    }
    writer.close(nest);
}

pub(super) fn timeouts(writer: &mut Writer, timeouts: &LvsTimeouts) {
    // The kernel takes 0 as "leave it", and wants all three.
    for (kind, value) in [
        (top::TIMEOUT_TCP, timeouts.tcp),
        (top::TIMEOUT_TCP_FIN, timeouts.tcp_fin),
        (top::TIMEOUT_UDP, timeouts.udp),
    ] {
        writer.attribute(kind, &value.unwrap_or(0).to_ne_bytes());
    }
}

pub(super) fn daemon(writer: &mut Writer, daemon: &SyncDaemon) {
    use daemon_attribute as attribute;
    let nest = writer.nest(top::DAEMON);
    daemon_key(writer, daemon.master, daemon.id);
    writer.attribute_text(attribute::MCAST_IFN, &daemon.interface);
    if let Some(length) = daemon.max_length {
        writer.attribute(attribute::SYNC_MAXLEN, &length.to_ne_bytes());
    }
    match daemon.group {
        Some(IpAddr::V4(group)) => writer.attribute(attribute::MCAST_GROUP, &group.octets()),
        Some(IpAddr::V6(group)) => writer.attribute(attribute::MCAST_GROUP6, &group.octets()),
        None => {}
    }
    if let Some(port) = daemon.port {
        // The one port of this interface that is in the machine's byte order.
        writer.attribute(attribute::MCAST_PORT, &port.to_ne_bytes());
    }
    if let Some(ttl) = daemon.ttl {
        writer.attribute(attribute::MCAST_TTL, &[ttl]);
    }
    writer.close(nest);
}

/// What a daemon is found by.
pub(super) fn daemon_state(writer: &mut Writer, master: bool, id: u8) {
    let nest = writer.nest(top::DAEMON);
    daemon_key(writer, master, id);
    writer.close(nest);
}

fn daemon_key(writer: &mut Writer, master: bool, id: u8) {
    let state = if master { STATE_MASTER } else { STATE_BACKUP };
    writer.attribute(daemon_attribute::STATE, &state.to_ne_bytes());
    writer.attribute(daemon_attribute::SYNC_ID, &u32::from(id).to_ne_bytes());
}

fn flag_bits(flags: SchedulerFlags) -> u32 {
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    bit(flags.one_packet, flag::ONE_PACKET)
        | bit(flags.flag1, flag::FLAG_1)
        | bit(flags.flag2, flag::FLAG_2)
        | bit(flags.flag3, flag::FLAG_3)
}

/// A network mask in the network's byte order; a prefix length in the machine's.
fn mask_bytes(key: &ServiceKey, mask: u32) -> [u8; 4] {
    match key.family() {
        Family::Inet => mask.to_be_bytes(),
        Family::Inet6 => mask.to_ne_bytes(),
    }
}

pub(super) fn family_number(family: Family) -> u16 {
    match family {
        Family::Inet => libc::AF_INET as u16,
        Family::Inet6 => libc::AF_INET6 as u16,
    }
}

pub(super) fn protocol_number(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP as u16,
        Protocol::Udp => libc::IPPROTO_UDP as u16,
        Protocol::Sctp => libc::IPPROTO_SCTP as u16,
    }
}

/// Always 16 bytes.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
    }
}
