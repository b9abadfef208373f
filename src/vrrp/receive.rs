//! What is checked of a received advert, in keepalived's order, and what of it is counted.

use super::advert::{centiseconds, seconds};
use super::event::Received;
use super::hmac::{Marks, Signed};
use crate::model::Instance;
use crate::model::route::Family;
use crate::model::vrrp::{Authentication, UnicastChecksum, Version};
use crate::state::Statistics;
use crate::state::notice::Odd;
use crate::wire::vrrp::{HEADER, Packet, TYPE_ADVERTISEMENT};
use crate::wire::{ah, auth, ipv4, trailer};
use std::net::IpAddr;
use std::time::SystemTime;

/// What the checks depend on beside the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// Our source address.
    pub source: Option<IpAddr>,
    /// The address list is compared with ours.
    pub check_addresses: bool,
    /// The wall clock when the packet arrived.
    pub wall: SystemTime,
}

/// What packets have taught us that later ones depend on.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// A peer uses the old unicast checksum.
    pub old_checksum: bool,
    /// `auth_type AH`: the highest sequence number, sent or heard.
    pub ah_sequence: u32,
    /// `auth_hmac`: when each sender last signed.
    pub marks: Marks,
}

/// An advert that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Advert {
    /// Sender.
    pub source: IpAddr,
    /// Priority; 0 gives up.
    pub priority: u8,
    /// Interval in nanoseconds.
    pub interval: u64,
    /// When it arrived.
    pub arrival: u64,
}

/// Checks a packet. What is odd goes to `odd`, also when the packet is accepted. `Err` leaves state and
/// timers as they are.
pub(super) fn check(
    config: &Instance,
    context: Context,
    received: &Received,
    statistics: &mut Statistics,
    memory: &mut Memory,
    odd: &mut Vec<Odd>,
) -> Result<Advert, ()> {
    let ipv6 = config.family == Family::Inet6;
    let mut refuse = |reason: Odd, counter: &mut u64| {
        *counter += 1;
        odd.push(reason);
        Err(())
    };

    // 1. AH if and only if AH is configured.
    let ah_password = super::ah::password(config);
    if received.ah != ah_password.is_some() {
        let present = received.ah;
        return refuse(Odd::Ah { present }, &mut statistics.discarded);
    }

    // 2. Length. keepalived judges a packet of another version by that version's length; here it is the
    // version that is told and counted (4).
    let (ip, mut message) = match (ipv6, ah_password) {
        (true, _) => (0, &*received.message),
        (false, None) => (ipv4::LENGTH, &*received.message),
        (false, Some(_)) => (
            ipv4::LENGTH + ah::LENGTH,
            received.message.get(ah::LENGTH..).unwrap_or_default(),
        ),
    };
    let mut trailer = None;
    let Ok(packet) = Packet::new(message) else {
        let length = Odd::Length {
            got: ip + message.len(),
            want: ip + HEADER,
        };
        return refuse(length, &mut statistics.packet_len_err);
    };
    if packet.version() == config.version.number() {
        let want = packet.expected_length(ipv6);
        // An Ethernet frame has at least 46 bytes of payload: what fills it up is no error.
        let padded = !ipv6
            && ip + message.len() <= 46
            && message.len() > want
            && received
                .total_length
                .is_some_and(|total| usize::from(total) == ip + want);
        if padded {
            message = message.get(..want).unwrap_or(message);
        } else if let Some((front, last)) = message.split_last_chunk::<{ trailer::LENGTH }>()
            && config.auth_hmac.is_some()
            && front.len() == want
        {
            message = front;
            trailer = Some(last);
        } else if message.len() != want {
            let length = Odd::Length {
                got: ip + message.len(),
                want: ip + want,
            };
            return refuse(length, &mut statistics.packet_len_err);
        }
    }
    let Ok(packet) = Packet::new(message) else {
        return Err(());
    };

    // 3. TTL.
    if let Some(ttl) = received.ttl.filter(|ttl| *ttl != 255 && !config.unicast) {
        return refuse(Odd::Ttl(ttl), &mut statistics.ip_ttl_err);
    }

    // 4. Version.
    if packet.version() != config.version.number() {
        let version = Odd::Version {
            got: packet.version(),
            want: config.version.number(),
        };
        return refuse(version, &mut statistics.version_err);
    }

    // 5. The trailer of auth_hmac.
    let mut drift = None;
    if let Some(hmac) = &config.auth_hmac {
        let signed = Signed {
            source: received.source,
            message,
            trailer,
            wall: context.wall,
        };
        let peers = config.unicast.then_some(&*config.peers);
        match super::hmac::check(hmac, signed, peers, &mut memory.marks) {
            Ok(odd) => drift = odd,
            Err(reason) => {
                let counter = super::hmac::counter(&reason, statistics);
                return refuse(reason, counter);
            }
        }
    }

    // 6. Authentication.
    if config.version == Version::V2 && !ipv6 {
        let (want, password) = match &config.authentication {
            Authentication::None => (auth::TYPE_NONE, None),
            Authentication::Pass(password) => (auth::TYPE_PASS, Some(password)),
            Authentication::Ah(_) => (auth::TYPE_AH, None),
        };
        let got = packet.auth_type();
        if got > auth::TYPE_AH {
            return refuse(Odd::AuthTypeUnknown(got), &mut statistics.invalid_authtype);
        }
        if got != want {
            return refuse(Odd::AuthType { got, want }, &mut statistics.authtype_mismatch);
        }
        if password.is_some_and(|password| !auth::same(password.expose(), packet.auth_data())) {
            return refuse(Odd::Password, &mut statistics.auth_failure);
        }
        if let Some(password) = ah_password
            && let Err(reason) = super::ah::check(config, password, received, &mut memory.ah_sequence)
        {
            let counter = super::ah::counter(&reason, statistics);
            return refuse(reason, counter);
        }
    }

    // 7. Interval of version 2.
    let mut interval = config.advert_interval.as_nanos() as u64;
    if config.version == Version::V2 {
        let ours = seconds(config.advert_interval);
        if packet.seconds() != ours {
            let interval = Odd::IntervalV2 {
                ours: u64::from(ours),
                theirs: packet.seconds(),
            };
            return refuse(interval, &mut statistics.advert_interval_err);
        }
    }

    // 8. Type.
    if packet.kind() != TYPE_ADVERTISEMENT {
        return refuse(Odd::Type(packet.kind()), &mut statistics.invalid_type_rcvd);
    }

    // 9. IPv4 total length.
    if let Some(header) = received.total_length.filter(|total| {
        !ipv6 && usize::from(*total) != ip + message.len() + trailer.map_or(0, |trailer| trailer.len())
    }) {
        let length = Odd::TotalLength {
            header,
            got: ip + received.message.len(),
        };
        return refuse(length, &mut statistics.packet_len_err);
    }

    // 10. Interval of version 3: learned, not refused; but none at all would have us expire at once.
    if config.version == Version::V3 {
        let (ours, theirs) = (
            u64::from(centiseconds(config.advert_interval)),
            packet.centiseconds(),
        );
        interval = u64::from(theirs) * 10_000_000;
        if theirs == 0 {
            return refuse(
                Odd::IntervalV3 { ours, theirs },
                &mut statistics.advert_interval_err,
            );
        }
        if u64::from(theirs) != ours {
            odd.push(Odd::IntervalV3 { ours, theirs });
        }
    }

    odd.extend(drift);

    // 11. Checksum; the kernel does IPv6.
    let unicast_destination = received
        .destination
        .or(if config.unicast { context.source } else { None });
    let destination = unicast_destination.unwrap_or(config.multicast_group);
    if !ipv6
        && !checksum_ok(
            config,
            packet,
            received.source,
            destination,
            &mut memory.old_checksum,
            odd,
        )
    {
        statistics.checksum_err += 1;
        odd.push(Odd::Checksum {
            version: config.version.number(),
            without_pseudo: config.version == Version::V3
                && packet.checksum_ok(received.source, destination, true),
        });
        return Err(());
    }

    let mut refuse = |reason: Odd, counter: &mut u64| {
        *counter += 1;
        odd.push(reason);
        Err(())
    };

    // 12. Multicast for multicast.
    if received
        .destination
        .is_some_and(|destination| destination.is_multicast() == config.unicast)
    {
        return refuse(
            Odd::Cast {
                unicast: config.unicast,
            },
            &mut statistics.discarded,
        );
    }

    // 13.
    if config.owner_ignore_adverts && config.priority == super::priority::OWNER {
        return refuse(Odd::Owner, &mut statistics.discarded);
    }

    // 14.
    statistics.advert_rcvd += 1;

    // 15. A wrong address list is told, and the advert obeyed.
    if context.check_addresses {
        let ours = config
            .vips
            .iter()
            .map(|vip| vip.network.address)
            .filter(|address| address.is_ipv6() == ipv6);
        let count = ours.clone().count();
        let differs = if packet.count() != count {
            Some(Odd::VipCount {
                ours: count,
                theirs: packet.count(),
            })
        } else {
            let mut missing = ours.filter(|address| !packet.addresses(ipv6).any(|theirs| theirs == *address));
            missing.next().map(|address| Odd::VipMissing {
                vrid: config.vrid,
                address,
            })
        };
        if let Some(differs) = differs {
            statistics.addr_list_err += 1;
            odd.push(differs);
        }
    }

    // 16, 17. Who sent it, and from how far.
    if config.unicast && config.check_unicast_source {
        let Some(peer) = config.peers.iter().find(|peer| peer.address == received.source) else {
            statistics.discarded += 1;
            odd.push(Odd::NotAPeer);
            return Err(());
        };
        if let Some(got) = received
            .ttl
            .filter(|ttl| *ttl < peer.min_ttl || *ttl > peer.max_ttl)
        {
            statistics.ip_ttl_err += 1;
            odd.push(Odd::TtlRange {
                got,
                min: peer.min_ttl,
                max: peer.max_ttl,
            });
            return Err(());
        }
    }

    // 18.
    if packet.priority() == 0 {
        statistics.pri_zero_rcvd += 1;
    }
    Ok(Advert {
        source: received.source,
        priority: packet.priority(),
        interval,
        arrival: received.arrival,
    })
}

fn checksum_ok(
    config: &Instance,
    packet: Packet<'_>,
    source: IpAddr,
    destination: IpAddr,
    old_checksum: &mut bool,
    odd: &mut Vec<Odd>,
) -> bool {
    let right = |destination: IpAddr| packet.checksum_ok(source, destination, false);
    if config.version == Version::V2 {
        return right(destination);
    }
    if config.v3_checksum_as_v2 {
        return true;
    }
    let group = config.multicast_group;
    if config.unicast && config.unicast_checksum == UnicastChecksum::Old {
        return right(group) || right(destination);
    }
    if right(destination) {
        return true;
    }
    let old = config.unicast && config.unicast_checksum == UnicastChecksum::Auto && right(group);
    if old && !*old_checksum {
        *old_checksum = true;
        odd.push(Odd::OldChecksum);
    }
    old
}
