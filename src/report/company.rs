//! What is said about two masters, and about a master that has never heard anybody: who should win, and what to
//! look at.

use super::lines::Peer;
use crate::state::company::{Conflict, Unheard, Unreachable};
use crate::state::notice::Odd;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub(super) fn write_conflict(
    f: &mut fmt::Formatter<'_>,
    n: &str,
    peer: &Peer,
    conflict: &Conflict,
) -> fmt::Result {
    let (ours, vrid) = (conflict.ours, conflict.config.vrid);
    write!(
        f,
        "({n}) two masters: {peer} advertises virtual router {vrid} too"
    )?;
    if !conflict.lasts.is_zero() {
        write!(f, ", for {:.1} s", conflict.lasts.as_secs_f64())?;
    }
    match (&conflict.refused, conflict.theirs) {
        (Some(why), _) => write!(
            f,
            ", but its adverts are refused here ({}), so that neither gives way: {}",
            reason(why),
            remedy(why)
        ),
        (None, theirs) => {
            let theirs = theirs.unwrap_or_default();
            let rank = if theirs == ours {
                "the same priority and the lower address".to_owned()
            } else {
                format!("priority {theirs}, ours is {ours}")
            };
            write!(
                f,
                ", with {rank}: it should give way and has not heard us: look at what drops IP protocol 112 \
                 between us and it (firewalls, IGMP snooping), and in its log for adverts that it refuses"
            )
        }
    }
}

pub(super) fn write_over(
    f: &mut fmt::Formatter<'_>,
    n: &str,
    peer: &Peer,
    lasted: Duration,
    adverts: u64,
) -> fmt::Result {
    write!(
        f,
        "({n}) one master again: {peer} is silent after {:.1} s and {adverts} advert{}; announcing and notifying once more",
        lasted.as_secs_f64(),
        if adverts == 1 { "" } else { "s" }
    )
}

pub(super) fn write_unheard(f: &mut fmt::Formatter<'_>, n: &str, unheard: &Unheard) -> fmt::Result {
    write!(
        f,
        "({n}) master for {:.1} s, and no advert of another router was ever heard",
        unheard.since.as_secs_f64()
    )?;
    unheard_causes(unheard)
        .iter()
        .try_for_each(|cause| write!(f, "; {cause}"))
}

/// Why nobody may have been heard, as far as the instance knows itself.
pub fn unheard_causes(unheard: &Unheard) -> Vec<String> {
    let mut causes = Vec::new();
    for refused in &unheard.refused {
        causes.push(format!(
            "{} of {} refused ({}): {}",
            refused.adverts,
            refused.peer,
            reason(&refused.why),
            remedy(&refused.why)
        ));
    }
    causes.extend(
        unheard
            .unreachable
            .iter()
            .map(|(peer, said)| unreachable(*peer, said)),
    );
    if let Some(errno) = unheard.send_failure {
        let text = nix::errno::Errno::from_raw(errno).desc();
        causes.push(format!("our own cannot be sent ({text}){}", send_remedy(errno)));
    }
    causes
}

fn send_remedy(errno: i32) -> &'static str {
    if errno == nix::errno::Errno::EPERM as i32 {
        ": a firewall rule on this host drops outgoing IP protocol 112 (`nft list ruleset`, `iptables -S OUTPUT`)"
    } else {
        ""
    }
}

/// What an ICMP error about an advert to a unicast peer says.
pub fn unreachable(peer: IpAddr, said: &Unreachable) -> String {
    let by = match said.by {
        Some(by) if by == peer => "it".to_owned(),
        Some(by) => by.to_string(),
        None => "somebody".to_owned(),
    };
    let name = icmp_name(peer.is_ipv6(), said.icmp);
    match icmp_kind(peer.is_ipv6(), said.icmp) {
        Icmp::Protocol => {
            format!("peer {peer} answers that nothing there speaks VRRP ({name}): start it there")
        }
        Icmp::Firewall => format!("a firewall on the way to peer {peer} refuses adverts ({by} says: {name})"),
        Icmp::Host => format!(
            "peer {peer} cannot be reached: {} ({name})",
            match said.by {
                Some(by) if by != peer => format!("{by} says that nobody answers for it"),
                _ => "nobody answers for it".to_owned(),
            }
        ),
        Icmp::Other => format!("adverts to peer {peer} come back ({by} says: {name})"),
    }
}

enum Icmp {
    /// Nobody listens for the protocol.
    Protocol,
    /// Refused on purpose.
    Firewall,
    /// Nobody there, or no way to it.
    Host,
    Other,
}

fn icmp_kind(ipv6: bool, icmp: (u8, u8)) -> Icmp {
    match (ipv6, icmp) {
        (false, (3, 2)) | (true, (4, 1)) => Icmp::Protocol,
        (false, (3, 3 | 9 | 10 | 13)) | (true, (1, 1 | 4 | 5 | 6)) => Icmp::Firewall,
        (false, (3, 0 | 1 | 5 | 6 | 7 | 11 | 12)) | (true, (1, 0 | 2 | 3)) => Icmp::Host,
        _ => Icmp::Other,
    }
}

fn icmp_name(ipv6: bool, icmp: (u8, u8)) -> String {
    let name = match (ipv6, icmp) {
        (false, (3, 0)) => "network unreachable",
        (false, (3, 1)) | (true, (1, 3)) => "host unreachable",
        (false, (3, 2)) => "protocol unreachable",
        (false, (3, 3)) | (true, (1, 4)) => "port unreachable",
        (false, (3, 9 | 10 | 13)) | (true, (1, 1)) => "administratively prohibited",
        (false, (11, _)) | (true, (3, _)) => "TTL exceeded",
        (true, (1, 0)) => "no route",
        (true, (1, 5 | 6)) => "refused by policy",
        (true, (4, 1)) => "unknown next header",
        (_, (kind, code)) => return format!("ICMP type {kind} code {code}"),
    };
    format!("ICMP {name}")
}

/// A MAC address, octets apart.
pub fn write_mac(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// What is wrong with an advert, in a few words.
pub fn reason(why: &Odd) -> String {
    match why {
        Odd::Ah { present: true } => "it has an AH header".to_owned(),
        Odd::Ah { present: false } => "it has no AH header".to_owned(),
        Odd::Ttl(ttl) => format!("TTL {ttl} where 255 is due"),
        Odd::Version { got, want } => format!("VRRP version {got}, ours is {want}"),
        Odd::AuthType { got, want } => format!("authentication type {got}, ours is {want}"),
        Odd::Password => "another password".to_owned(),
        Odd::AhCode => "its AH code is not made with our password".to_owned(),
        Odd::AhSpi { .. } => "its AH header is made for another source address".to_owned(),
        Odd::HmacMissing => "it is not signed".to_owned(),
        Odd::HmacKey(id) => format!("signed with key {id}, which is not known here"),
        Odd::HmacWrong => "not signed with our key".to_owned(),
        Odd::HmacStale { skew, .. } => format!("signed by a clock that differs by {skew} s"),
        Odd::IntervalV2 { ours, theirs } => format!("interval {theirs} s, ours is {ours} s"),
        Odd::IntervalV3 { ours, theirs } => {
            format!(
                "interval {:.2} s, ours is {:.2} s",
                f64::from(*theirs) / 100.0,
                *ours as f64 / 100.0
            )
        }
        Odd::Checksum { .. } => "wrong checksum".to_owned(),
        Odd::Cast { unicast: true } => "multicast, where unicast is configured".to_owned(),
        Odd::Cast { unicast: false } => "unicast, where multicast is configured".to_owned(),
        Odd::NotAPeer => "it is no unicast peer".to_owned(),
        Odd::TtlRange { got, min, max } => format!("TTL {got} is not from {min} to {max}"),
        _ => "it is malformed".to_owned(),
    }
}

/// What to compare or to change.
fn remedy(why: &Odd) -> &'static str {
    match why {
        Odd::Ah { .. } | Odd::AuthType { .. } => "compare auth_type on both",
        Odd::Password | Odd::AhCode => {
            "compare auth_pass on both (its first 8 characters count), and see that nobody else uses this \
             virtual_router_id"
        }
        Odd::AhSpi { .. } => "see whether something between the two translates addresses",
        Odd::Ttl(_) => "it comes through a router, or from something else than VRRP",
        Odd::TtlRange { .. } => "compare min_ttl and max_ttl of the peer with the way to it",
        Odd::Version { .. } => "compare vrrp_version and version on both",
        Odd::HmacMissing | Odd::HmacKey(_) | Odd::HmacWrong => "compare auth_hmac on both",
        Odd::HmacStale { .. } => "set the clocks of both by NTP",
        Odd::IntervalV2 { .. } | Odd::IntervalV3 { .. } => "set the same advert_int on both",
        Odd::Checksum { .. } => {
            "compare v3_checksum_as_v2 and old_unicast_checksum on both; else something changes packets on their way"
        }
        Odd::Cast { .. } => "give unicast_peer on both, or on neither",
        Odd::NotAPeer => "add it to unicast_peer, or use another virtual_router_id",
        _ => "see what sends it (`tcpdump -vni any ip proto 112`)",
    }
}
