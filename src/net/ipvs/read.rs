//! What IPVS answers. Nothing in an answer can make this fail: what is not understood is left out.

use super::attributes::{self, dest, flag, forward, svc, top};
use crate::model::globals::LvsTimeouts;
use crate::model::lvs::{Method, Protocol, SchedulerFlags, Tunnel, TunnelChecksum, TunnelKind};
use crate::model::route::Family;
use crate::net::message::{attributes, text_of, u16_at, u32_at};
use crate::state::lvs::{DestinationKey, DestinationSettings, ServiceKey, ServiceSettings, SyncDaemon};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of the generic header.
const HEADER: usize = 4;

/// A service in the kernel's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub key: ServiceKey,
    /// How it distributes.
    pub settings: ServiceSettings,
}

/// A synchronization daemon that runs.
pub type FoundDaemon = SyncDaemon;

/// A service.
pub fn service(payload: &[u8]) -> Option<Found> {
    let nested = nested(payload, top::SERVICE)?;
    let mut family = None;
    let (mut protocol, mut address, mut port, mut mark) = (None, None, 0, None);
    let mut settings = ServiceSettings::default();
    let (mut flags, mut timeout, mut mask) = (0, 0, None);
    for (kind, value) in attributes(nested, 0) {
        match kind {
            svc::AF => family = family_of(u16_at(value, 0)?),
            svc::PROTOCOL => protocol = Some(u16_at(value, 0)?),
            svc::ADDR => address = Some(value),
            svc::PORT => port = be16(value)?,
            svc::FWMARK => mark = u32_at(value, 0),
            svc::SCHED_NAME => settings.scheduler = text_of(value),
            svc::PE_NAME => settings.engine = Some(text_of(value)).filter(|name| !name.is_empty()),
            svc::FLAGS => flags = u32_at(value, 0)? & flag::OURS,
            svc::TIMEOUT => timeout = u32_at(value, 0)?,
            svc::NETMASK => mask = Some(value),
            _ => {}
        }
    }
    let family = family?;
    let key = match mark.filter(|mark| *mark != 0) {
        Some(mark) => ServiceKey::Mark(mark, family),
        None => ServiceKey::Address(protocol_of(protocol?)?, address_of(address?, family)?, port),
    };
    settings.persistence = (flags & flag::PERSISTENT != 0).then_some(timeout);
    settings.flags = SchedulerFlags {
        one_packet: flags & flag::ONE_PACKET != 0,
        flag1: flags & flag::FLAG_1 != 0,
        flag2: flags & flag::FLAG_2 != 0,
        flag3: flags & flag::FLAG_3 != 0,
    };
    settings.mask = match family {
        Family::Inet => u32::from_be_bytes(mask?.get(..4)?.try_into().ok()?),
        Family::Inet6 => u32_at(mask?, 0)?,
    };
    Some(Found { key, settings })
}

/// A server of a service. The flag: the kernel delivers to itself, whatever method was asked for.
pub fn destination(
    payload: &[u8],
    service: &ServiceKey,
) -> Option<(DestinationKey, DestinationSettings, bool)> {
    let nested = nested(payload, top::DEST)?;
    // Kernels before 3.18 do not say: it is the service's.
    let mut family = Some(service.family());
    let (mut address, mut port) = (None, 0);
    let mut settings = DestinationSettings::default();
    let (mut method, mut tunnel) = (0, Tunnel::default());
    for (kind, value) in attributes(nested, 0) {
        match kind {
            dest::ADDR_FAMILY => family = family_of(u16_at(value, 0)?),
            dest::ADDR => address = Some(value),
            dest::PORT => port = be16(value)?,
            dest::FWD_METHOD => method = u32_at(value, 0)? & forward::MASK,
            dest::WEIGHT => settings.weight = u32_at(value, 0)?,
            dest::U_THRESH => settings.upper = u32_at(value, 0)?,
            dest::L_THRESH => settings.lower = u32_at(value, 0)?,
            dest::TUN_TYPE => {
                tunnel.kind = match value.first()? {
                    1 => TunnelKind::Gue,
                    2 => TunnelKind::Gre,
                    _ => TunnelKind::Ipip,
                }
            }
            dest::TUN_PORT => tunnel.port = be16(value)?,
            dest::TUN_FLAGS => {
                tunnel.checksum = match u16_at(value, 0)? {
                    1 => TunnelChecksum::Checksum,
                    2 => TunnelChecksum::Remote,
                    _ => TunnelChecksum::None,
                }
            }
            _ => {}
        }
    }
    settings.method = match method {
        forward::TUNNEL => Method::Tun(tunnel),
        forward::ROUTE => Method::Dr,
        _ => Method::Nat,
    };
    let address = address_of(address?, family?)?;
    Some((
        DestinationKey { address, port },
        settings,
        method == forward::LOCAL,
    ))
}

/// The timeouts.
pub fn timeouts(payload: &[u8]) -> LvsTimeouts {
    let mut timeouts = LvsTimeouts::default();
    for (kind, value) in attributes(payload, HEADER) {
        match kind {
            top::TIMEOUT_TCP => timeouts.tcp = u32_at(value, 0),
            top::TIMEOUT_TCP_FIN => timeouts.tcp_fin = u32_at(value, 0),
            top::TIMEOUT_UDP => timeouts.udp = u32_at(value, 0),
            _ => {}
        }
    }
    timeouts
}

/// A synchronization daemon, unless the message says of none that runs.
pub fn daemon(payload: &[u8]) -> Option<SyncDaemon> {
    use attributes::daemon_attribute as attribute;
    let nested = nested(payload, top::DAEMON)?;
    let mut daemon = SyncDaemon {
        master: false,
        interface: String::new(),
        id: 0,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    };
    let mut state = 0;
    for (kind, value) in attributes(nested, 0) {
        match kind {
            attribute::STATE => state = u32_at(value, 0)?,
            attribute::MCAST_IFN => daemon.interface = text_of(value),
            attribute::SYNC_ID => daemon.id = u8::try_from(u32_at(value, 0)?).ok()?,
            attribute::SYNC_MAXLEN => daemon.max_length = u16_at(value, 0),
            attribute::MCAST_GROUP => daemon.group = address_of(value, Family::Inet),
            attribute::MCAST_GROUP6 => daemon.group = address_of(value, Family::Inet6),
            attribute::MCAST_PORT => daemon.port = u16_at(value, 0),
            attribute::MCAST_TTL => daemon.ttl = value.first().copied(),
            _ => {}
        }
    }
    match state {
        attributes::STATE_MASTER => daemon.master = true,
        attributes::STATE_BACKUP => {}
        _ => return None,
    }
    Some(daemon)
}

/// IPVS_INFO_ATTR_VERSION: major, minor, patch; zeros when it does not say.
pub fn version(payload: &[u8]) -> (u8, u8, u8) {
    let version = attributes(payload, HEADER)
        .find(|(kind, _)| *kind == 1)
        .and_then(|(_, value)| u32_at(value, 0))
        .unwrap_or(0);
    let [_, major, minor, patch] = version.to_be_bytes();
    (major, minor, patch)
}

pub(super) fn nested(payload: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(payload, HEADER)
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, value)| value)
}

fn family_of(number: u16) -> Option<Family> {
    [Family::Inet, Family::Inet6]
        .into_iter()
        .find(|family| attributes::family_number(*family) == number)
}

fn protocol_of(number: u16) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|protocol| attributes::protocol_number(*protocol) == number)
}

fn address_of(bytes: &[u8], family: Family) -> Option<IpAddr> {
    match family {
        Family::Inet => {
            let octets: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets).into())
        }
        Family::Inet6 => {
            let octets: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        }
    }
}

fn be16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?))
}
