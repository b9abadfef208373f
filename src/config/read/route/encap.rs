//! `encap`: a lightweight tunnel.

use super::super::value::{Strictness, unsigned32};
use super::super::words::{Stop, Words, wrong};
use super::super::{Context, Word, ip};
use super::{Encap, tos};
use crate::config::read::names::unsigned_base;
use std::net::{IpAddr, Ipv6Addr};

/// Largest MPLS label (20 bits).
const LABEL_MAX: u32 = 0xf_ffff;

/// What follows `encap`. `None`: an unknown kind, reported.
pub(super) fn read(words: &mut Words, context: &mut Context) -> Result<Option<Encap>, Stop> {
    let kind = words.value(context)?;
    match kind.text.as_str() {
        "mpls" => labels(words.value(context)?, context).map(Some),
        "ip" => tunnel(false, words, context).map(Some),
        "ip6" => tunnel(true, words, context).map(Some),
        "ila" => {
            let word = words.value(context)?;
            let locator = locator(&word.text)
                .ok_or_else(|| wrong(word, format!("invalid locator {}", word.text), context))?;
            Ok(Some(Encap::Ila(locator)))
        }
        other => {
            wrong(kind, format!("Unknown encap type - {other}"), context);
            words.next();
            Ok(None)
        }
    }
}

fn labels(word: &Word, context: &mut Context) -> Result<Encap, Stop> {
    let labels: Option<Vec<u32>> = word
        .text
        .split('/')
        .map(|l| {
            unsigned_base(l, 0)
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n <= LABEL_MAX)
        })
        .collect();
    labels.map(Encap::Mpls).ok_or_else(|| {
        let text = format!("invalid mpls address {} for encapsulation", word.text);
        wrong(word, text, context)
    })
}

fn tunnel(ipv6: bool, words: &mut Words, context: &mut Context) -> Result<Encap, Stop> {
    let family = if ipv6 { "ip6" } else { "ip" };
    let (mut id, mut destination, mut source) = (None, None, None);
    let (mut traffic, mut hops, mut flags) = (None, None, None);
    while let Some(keyword) = words.peek().filter(|k| {
        matches!(*k, "id" | "dst" | "src" | "flags")
            || (ipv6 && matches!(*k, "tc" | "hoplimit"))
            || (!ipv6 && matches!(*k, "tos" | "ttl"))
    }) {
        words.next();
        let word = words.value(context)?;
        match keyword {
            "id" => {
                let read = crate::config::number::unsigned(&word.text, 0, u64::MAX, false);
                id = match read {
                    Ok(number) => Some(number.value),
                    Err(fault) => {
                        wrong(word, fault.message, context);
                        let text = format!("encap id {} value is invalid", word.text);
                        return Err(wrong(word, text, context));
                    }
                };
            }
            "dst" | "src" => {
                let address = ip::address(word, context).filter(|a: &IpAddr| a.is_ipv6() == ipv6);
                let Some(address) = address else {
                    let text = format!("Invalid encap {family} {keyword} {}", word.text);
                    return Err(wrong(word, text, context));
                };
                if keyword == "dst" {
                    destination = Some(address);
                } else {
                    source = Some(address);
                }
            }
            "tos" | "tc" => traffic = Some(tos(word, context)?),
            "flags" => flags = Some(small(keyword, word, u16::MAX, context)?),
            _ => hops = Some(small(keyword, word, 255, context)? as u8),
        }
    }
    Ok(Encap::Ip {
        id,
        destination,
        source,
        tos: traffic,
        ttl: hops,
        flags,
        ipv6,
    })
}

fn small(keyword: &str, word: &Word, most: u16, context: &mut Context) -> Result<u16, Stop> {
    if keyword == "flags" {
        if let Some(n) = unsigned_base(&word.text, 0).and_then(|n| u16::try_from(n).ok()) {
            return Ok(n);
        }
    } else if let Some(n) =
        unsigned32(word, 0, most.into(), Strictness::Lenient, context).and_then(|n| u16::try_from(n).ok())
    {
        return Ok(n);
    }
    let text = format!("encap {keyword} {} value is invalid", word.text);
    Err(wrong(word, text, context))
}

/// Four 16-bit groups: the upper half of an IPv6 address.
fn locator(text: &str) -> Option<u64> {
    let full: Ipv6Addr = format!("{text}::").parse().ok()?;
    (text.split(':').count() == 4).then(|| (u128::from(full) >> 64) as u64)
}
