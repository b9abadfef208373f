//! `auth_type AH`: what we sign adverts with, and which ones we take. One sequence number serves both: it is the
//! highest that was sent or heard.

use super::event::Received;
use crate::model::Instance;
use crate::model::vrrp::{Authentication, Version};
use crate::state::Statistics;
use crate::state::notice::Odd;
use crate::wire::ah::{Header, LENGTH, Outer};
use crate::wire::{PROTOCOL_VRRP, ipv4};
use std::net::IpAddr;

/// The password of an instance with AH.
pub(super) fn password(config: &Instance) -> Option<&[u8; 8]> {
    match &config.authentication {
        Authentication::Ah(password) if config.version == Version::V2 => Some(password.expose()),
        _ => None,
    }
}

/// Signs a whole packet, IP header first, in which there is room for the AH header.
pub(super) fn sign(packet: &mut [u8], unicast: bool, password: &[u8; 8], sequence: u32) {
    let Ok(ip) = ipv4::Repr::parse(packet) else {
        return;
    };
    // The identification is signed, and thus not the socket's to choose. Never 0: the kernel would change that.
    let identification = (sequence as u16).max(1);
    let outer = Outer {
        total_length: ip.total_length,
        identification,
        ttl: (!unicast).then_some(ip.ttl),
        source: ip.source,
        destination: ip.destination,
    };
    let Some((header, rest)) = packet.split_first_chunk_mut::<{ ipv4::LENGTH }>() else {
        return;
    };
    let Some((place, message)) = rest.split_first_chunk_mut::<LENGTH>() else {
        return;
    };
    header[ipv4::field::ID].copy_from_slice(&identification.to_be_bytes());
    *place = Header::sign(password, &outer, sequence, message).bytes();
}

/// Checks an authentication header; `last` is the sequence number to be exceeded, and then is that of the packet.
pub(super) fn check(
    config: &Instance,
    password: &[u8; 8],
    received: &Received,
    last: &mut u32,
) -> Result<(), Odd> {
    let Some((header, message)) = Header::parse(&received.message) else {
        return Err(Odd::AhCode);
    };
    if header.next != PROTOCOL_VRRP {
        return Err(Odd::AhNext(header.next));
    }
    let (IpAddr::V4(source), Some(IpAddr::V4(destination))) = (received.source, received.destination) else {
        return Err(Odd::AhCode);
    };
    let outer = Outer {
        total_length: received.total_length.unwrap_or(0),
        identification: received.identification.unwrap_or(0),
        ttl: received.ttl.filter(|_| !config.unicast),
        source,
        destination,
    };
    if !header.verify(password, &outer, message) {
        return Err(Odd::AhCode);
    }
    let want = u32::from(source);
    if header.spi != want {
        return Err(Odd::AhSpi {
            got: header.spi,
            want,
        });
    }
    if header.sequence <= *last {
        return Err(Odd::AhReplayed {
            got: header.sequence,
            last: *last,
        });
    }
    *last = header.sequence;
    Ok(())
}

/// Where a refusal is counted.
pub(super) fn counter<'a>(reason: &Odd, statistics: &'a mut Statistics) -> &'a mut u64 {
    match reason {
        Odd::AhNext(_) => &mut statistics.discarded,
        _ => &mut statistics.auth_failure,
    }
}
