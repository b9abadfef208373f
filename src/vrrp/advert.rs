//! The packets of an advert: built once, and patched when only the priority changes.

use super::group::Datagram;
use crate::model::Instance;
use crate::model::route::Family;
use crate::model::vrrp::{Authentication, HmacMode, UnicastChecksum, Version};
use crate::wire::vrrp::{Interval, Repr, field};
use crate::wire::{PROTOCOL_AH, PROTOCOL_VRRP, ah, auth, checksum, ipv4, trailer};
use std::net::IpAddr;
use std::time::Duration;

/// TTL and hop limit of multicast adverts (RFC 9568 5.1.1.3).
const TTL: u8 = 255;
/// Hop limit of IPv6 adverts to peers where none is given: keepalived leaves it to the kernel, whose default it is.
const UNICAST_HOP_LIMIT: u8 = 64;

/// One advert of an instance, as datagrams: one to the group, or one to each peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Prebuilt {
    datagrams: Vec<Datagram>,
    priority: u8,
    /// What they were built from; anything else makes them stale.
    source: Option<IpAddr>,
    old_checksum: bool,
    /// Counts how often they were built.
    version: u32,
}

impl Prebuilt {
    /// Takes over what was built elsewhere, with another priority.
    pub fn taken_over(mut datagrams: Vec<Datagram>, priority: u8) -> Prebuilt {
        for datagram in &mut datagrams {
            patch(datagram, priority);
        }
        Prebuilt {
            datagrams,
            priority,
            ..Prebuilt::default()
        }
    }

    /// To be built anew: the configuration changed.
    pub fn invalidate(&mut self) {
        *self = Prebuilt {
            version: self.version,
            ..Prebuilt::default()
        };
    }

    /// Changes whenever more than priority and signature of the datagrams has changed.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Makes the datagrams with this priority; none without a source address.
    pub fn build(&mut self, config: &Instance, source: Option<IpAddr>, old_checksum: bool, priority: u8) {
        if self.source != source || self.old_checksum != old_checksum || self.datagrams.is_empty() {
            self.source = source;
            self.old_checksum = old_checksum;
            self.priority = priority;
            self.version = self.version.wrapping_add(1);
            self.datagrams =
                source.map_or_else(Vec::new, |source| build(config, source, old_checksum, priority));
        } else if self.priority != priority {
            self.priority = priority;
            for datagram in &mut self.datagrams {
                patch(datagram, priority);
            }
        }
    }

    /// Puts the trailer of this advert behind the message. The trailer does not depend on the destination, and
    /// is the same for all peers.
    pub fn sign(&mut self, trailer: impl FnOnce(IpAddr, &[u8]) -> Option<[u8; trailer::LENGTH]>) {
        let split = |datagram: &Datagram| {
            let start = message_at(datagram);
            (
                start,
                datagram.bytes.len().saturating_sub(trailer::LENGTH).max(start),
            )
        };
        let Some(first) = self.datagrams.first() else {
            return;
        };
        let (start, end) = split(first);
        let Some(trailer) = first
            .bytes
            .get(start..end)
            .and_then(|message| trailer(first.source, message))
        else {
            return;
        };
        for datagram in &mut self.datagrams {
            let (_, end) = split(datagram);
            if let Some(place) = datagram.bytes.get_mut(end..).and_then(<[u8]>::first_chunk_mut) {
                *place = trailer;
            }
        }
    }

    /// Fills in the authentication header of each.
    pub fn sign_ah(&mut self, unicast: bool, password: &[u8; 8], sequence: u32) {
        for datagram in &mut self.datagrams {
            super::ah::sign(&mut datagram.bytes, unicast, password, sequence);
        }
    }

    /// The datagrams, given away.
    pub fn into_datagrams(self) -> Vec<Datagram> {
        self.datagrams
    }

    /// The datagrams as they are now.
    pub fn datagrams(&self) -> &[Datagram] {
        &self.datagrams
    }
}

/// Whole seconds, for version 2: 1 to 255.
pub(super) fn seconds(interval: Duration) -> u8 {
    interval.as_secs().clamp(1, 255) as u8
}

/// Centiseconds, for version 3: 1 to 4095.
pub(super) fn centiseconds(interval: Duration) -> u16 {
    (interval.as_millis() / 10).clamp(1, 4095) as u16
}

fn build(config: &Instance, source: IpAddr, old_checksum: bool, priority: u8) -> Vec<Datagram> {
    let ipv6 = config.family == Family::Inet6;
    let (auth_type, auth_data) = match &config.authentication {
        Authentication::Pass(data) if config.version == Version::V2 => (auth::TYPE_PASS, *data.expose()),
        Authentication::Ah(_) if config.version == Version::V2 => (auth::TYPE_AH, [0; auth::LENGTH]),
        _ => (auth::TYPE_NONE, [0; auth::LENGTH]),
    };
    let repr = Repr {
        interval: match config.version {
            Version::V2 => Interval::Seconds(seconds(config.advert_interval)),
            Version::V3 => Interval::Centiseconds(centiseconds(config.advert_interval)),
        },
        vrid: config.vrid,
        priority,
        addresses: config
            .vips
            .iter()
            .map(|vip| vip.network.address)
            .filter(|a| a.is_ipv6() == ipv6)
            .collect(),
        auth_type,
        auth_data,
    };
    let ah: &[u8] = match super::ah::password(config) {
        Some(_) => &[0; ah::LENGTH],
        None => &[],
    };
    let trailer = match &config.auth_hmac {
        Some(hmac) if hmac.mode != HmacMode::ReceiveOnly => trailer::LENGTH,
        _ => 0,
    };
    let old = old_checksum || config.unicast_checksum == UnicastChecksum::Old;
    let one = |destination: IpAddr, ttl: u8| {
        let pseudo_destination = if config.unicast && old && !ipv6 {
            config.multicast_group
        } else {
            destination
        };
        let plain = !ipv6 && (config.version == Version::V2 || config.v3_checksum_as_v2);
        let mut message = Vec::new();
        repr.emit(
            ipv6,
            (!plain).then_some((source, pseudo_destination)),
            &mut message,
        );
        // Room for what signs it: not part of the checksum, but of the length.
        message.resize(message.len() + trailer, 0);
        let mut bytes = Vec::with_capacity(ipv4::LENGTH + ah.len() + message.len());
        if let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) {
            let header = ipv4::Repr {
                header_length: ipv4::LENGTH,
                total_length: (ipv4::LENGTH + ah.len() + message.len()) as u16,
                ttl,
                protocol: if ah.is_empty() { PROTOCOL_VRRP } else { PROTOCOL_AH },
                source,
                destination,
            };
            header.emit(&mut bytes);
        }
        bytes.extend_from_slice(ah);
        bytes.extend_from_slice(&message);
        Datagram {
            source,
            destination,
            ttl,
            bytes,
        }
    };
    let same_family = |address: &IpAddr| address.is_ipv4() == source.is_ipv4();
    if config.unicast {
        let peers = config.peers.iter().map(|peer| peer.address).filter(same_family);
        let default = if ipv6 { UNICAST_HOP_LIMIT } else { TTL };
        let ttl = config.unicast_ttl.unwrap_or(default);
        peers.map(|peer| one(peer, ttl)).collect()
    } else {
        Some(config.multicast_group)
            .into_iter()
            .filter(same_family)
            .map(|group| one(group, TTL))
            .collect()
    }
}

/// Where the VRRP message begins: the kernel makes the header of IPv6.
fn message_at(datagram: &Datagram) -> usize {
    match datagram.source {
        IpAddr::V6(_) => 0,
        IpAddr::V4(_) if datagram.bytes.get(ipv4::field::PROTOCOL) == Some(&PROTOCOL_AH) => {
            ipv4::LENGTH + ah::LENGTH
        }
        IpAddr::V4(_) => ipv4::LENGTH,
    }
}

/// Puts another priority in; the checksum is brought up to date (RFC 1624).
fn patch(datagram: &mut Datagram, priority: u8) {
    let start = message_at(datagram);
    let Some(message) = datagram
        .bytes
        .get_mut(start..)
        .filter(|message| message.len() >= 8)
    else {
        return;
    };
    let word = |priority: u8, count: u8| u16::from_be_bytes([priority, count]);
    let count = message[field::COUNT];
    let before = u16::from_be_bytes([message[field::CHECKSUM.start], message[field::CHECKSUM.start + 1]]);
    let after = checksum::update(
        before,
        word(message[field::PRIORITY], count),
        word(priority, count),
    );
    message[field::PRIORITY] = priority;
    message[field::CHECKSUM].copy_from_slice(&after.to_be_bytes());
}
