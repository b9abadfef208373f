//! Addresses with a prefix length, as address, route and rule lines have them.

use super::Word;
use super::value::{Strictness, unsigned};
use crate::config::{Class, read::Context};
use crate::model::IpNetwork;
use std::net::IpAddr;

/// `IP[/PREFIX]`. A wrong prefix length is reported and replaced by the whole length.
///
/// `allow_default` accepts `default`, `any` and `all`, which are 0/0 (`Some(None)`).
pub(super) fn network(word: &Word, allow_default: bool, context: &mut Context) -> Option<Option<IpNetwork>> {
    if allow_default && matches!(word.text.as_str(), "default" | "any" | "all") {
        return Some(None);
    }
    let (address, prefix) = match word.text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (word.text.as_str(), None),
    };
    let whole = if address.contains(':') { 128 } else { 32 };
    let prefix = match prefix {
        None => whole,
        Some("") => 0,
        Some(text) => prefix_length(word, text, whole, context),
    };
    match address.parse::<IpAddr>() {
        Ok(address) => Some(Some(IpNetwork { address, prefix })),
        Err(_) => {
            invalid(word, context);
            None
        }
    }
}

/// An address without prefix length.
pub(super) fn address(word: &Word, context: &mut Context) -> Option<IpAddr> {
    let parsed = word.text.parse().ok();
    if parsed.is_none() {
        invalid(word, context);
    }
    parsed
}

/// Prefix length of a whole address: 32 or 128.
pub(super) fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn invalid(word: &Word, context: &mut Context) {
    let text = format!("VRRP parsed invalid IP {}. skipping IP...", word.text);
    context.diagnostics.at(Class::General, word.span, text);
}

fn prefix_length(word: &Word, text: &str, whole: u8, context: &mut Context) -> u8 {
    let mut part = word.clone();
    part.text = text.to_owned();
    let behind = (word.text.len() - text.len()) as u32;
    if word.span.length as usize == word.text.len() {
        part.span.column += behind;
        part.span.length -= behind;
    }
    let read = unsigned(&part, 0, u64::from(whole), Strictness::Lenient, context);
    match read.and_then(|n| u8::try_from(n).ok()) {
        Some(prefix) => prefix,
        None => {
            context.diagnostics.at(
                Class::InvalidNumber,
                part.span,
                format!(
                    "Invalid address prefix len {text} for address {} - using {whole}",
                    word.text
                ),
            );
            whole
        }
    }
}
