//! The lines about two masters, and about a master that has never heard anybody: who should win, and what to
//! look at.

use super::lines::Peer;
use crate::state::company::{Conflict, Unheard};
use crate::state::notice::Odd;
use std::fmt;
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
    for refused in &unheard.refused {
        write!(
            f,
            "; {} of {} refused ({}): {}",
            refused.adverts,
            refused.peer,
            reason(&refused.why),
            remedy(&refused.why)
        )?;
    }
    if let Some(errno) = unheard.send_failure {
        let text = nix::errno::Errno::from_raw(errno).desc();
        write!(f, "; our own cannot be sent ({text})")?;
        if errno == nix::errno::Errno::EPERM as i32 {
            f.write_str(
                ": a firewall rule on this host drops outgoing IP protocol 112 (`nft list ruleset`, \
                 `iptables -S OUTPUT`)",
            )?;
        }
    }
    Ok(())
}

/// What is wrong with an advert, in a few words.
fn reason(why: &Odd) -> String {
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
