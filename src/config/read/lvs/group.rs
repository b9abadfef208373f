//! Lines of a `virtual_server_group`.

use super::{Class, Context, Family, Flow, GroupEntry, Line, ServerGroup, Word, family_of, missing};
use crate::config::read::lvs::slash;
use crate::config::read::value::{Strictness, unsigned, unsigned32};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One line.
pub(super) fn entry(line: &Line, group: &mut ServerGroup, context: &mut Context) -> Flow {
    let Some(first) = line.words.first() else {
        return Flow::Continue;
    };
    if first.text == "fwmark" {
        let Some(value) = line.words.get(1) else {
            return missing(line, 1, context);
        };
        group
            .entries
            .extend(mark(value, line.words.get(2), &group.name, context));
        return Flow::Continue;
    }
    group.entries.extend(addresses(first, line.words.get(1), context));
    Flow::Continue
}

/// The block is closed.
pub(super) fn end(group: ServerGroup, context: &mut Context) {
    if group.entries.is_empty() {
        let text = format!("virtual server group {} has no entries - removing", group.name);
        context.complain(Class::General, text);
        return;
    }
    let plain_mark = |e: &GroupEntry| matches!(e, GroupEntry::Mark { family: None, .. });
    let both = group.has_family(Family::Inet) && group.has_family(Family::Inet6);
    if both && group.entries.iter().any(plain_mark) {
        context.complain(
            Class::General,
            format!(
                "virtual server group {} cannot have IPv4, IPv6 and fwmark without family - removing",
                group.name
            ),
        );
        return;
    }
    context.config.lvs.groups.push(group);
}

/// Address family of a group that has only one.
pub(super) fn family(name: &str, context: &Context) -> Option<Family> {
    let group = context.config.lvs.groups.iter().find(|g| g.name == name)?;
    match (group.has_family(Family::Inet), group.has_family(Family::Inet6)) {
        (true, false) => Some(Family::Inet),
        (false, true) => Some(Family::Inet6),
        _ => None,
    }
}

fn mark(value: &Word, family: Option<&Word>, group: &str, context: &mut Context) -> Option<GroupEntry> {
    let Some(mark) = unsigned32(value, 0, u32::MAX, Strictness::Lenient, context) else {
        let text = format!(
            "({group}): fwmark '{}' must be in [0, {}] - ignoring",
            value.text,
            u32::MAX
        );
        context.diagnostics.at(Class::General, value.span, text);
        return None;
    };
    let family = match family.map(|w| (w, w.text.as_str())) {
        None => None,
        Some((_, "inet")) => Some(Family::Inet),
        Some((_, "inet6")) => Some(Family::Inet6),
        Some((word, other)) => {
            let text = format!(
                "({group}): fwmark '{}' family {other} unknown - ignoring",
                value.text
            );
            context.diagnostics.at(Class::General, word.span, text);
            return None;
        }
    };
    Some(GroupEntry::Mark { mark, family })
}

fn addresses(word: &Word, port: Option<&Word>, context: &mut Context) -> Option<GroupEntry> {
    let text = word.text.as_str();
    let (start, rest) = match text.find(['-', '/']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let address: Option<IpAddr> = start.parse().ok();
    let number = match port {
        None => Some(0),
        Some(word) if word.text == "0" => Some(0),
        Some(word) => {
            unsigned(word, 1, 65535, Strictness::Lenient, context).and_then(|p| u16::try_from(p).ok())
        }
    };
    let (Some(address), Some(number)) = (address, number) else {
        let shown = port.map_or_else(String::new, |p| {
            format!(" {}", slash(Some("port")) + &slash(Some(&p.text)))
        });
        let text = format!("Invalid virtual server group IP address {text}{shown} - skipping");
        context.diagnostics.at(Class::General, word.span, text);
        return None;
    };
    let range = match rest {
        None => Ok((address, address)),
        Some((b'/', mask)) => network(address, mask, text),
        Some((_, end)) => range(address, end, text),
    };
    match range {
        Ok((first, last)) => Some(GroupEntry::Addresses {
            first,
            last,
            port: number,
        }),
        Err(complaint) => {
            context.diagnostics.at(Class::General, word.span, complaint);
            None
        }
    }
}

/// `IP/BITS`: the host bits must be zero.
fn network(address: IpAddr, mask: &str, text: &str) -> Result<(IpAddr, IpAddr), String> {
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let bits = mask
        .parse::<u32>()
        .ok()
        .filter(|bits| (1..=whole).contains(bits))
        .ok_or_else(|| format!("Invalid netmask - {text} - skipping"))?;
    let host = u128::MAX.checked_shr(128 - whole + bits).unwrap_or(0);
    let number = as_number(address);
    if number & host != 0 {
        return Err(format!("Address mask bits not empty - {text} - skipping"));
    }
    Ok((address, from_number(number | host, address)))
}

/// `IP-END`: END is a whole address, or the last part of one.
fn range(address: IpAddr, end: &str, text: &str) -> Result<(IpAddr, IpAddr), String> {
    let name = "Virtual server group range";
    let last = if let Ok(last) = end.parse::<IpAddr>() {
        if family_of(last) != family_of(address) {
            return Err(format!("{name} '{text}' has addresses of both families"));
        }
        last
    } else {
        let (base, bits, most) = match address {
            IpAddr::V4(_) => (10, 8, 0xff_u128),
            IpAddr::V6(_) => (16, 16, 0xffff),
        };
        let digits = end.find(|c: char| !c.is_digit(base)).unwrap_or(end.len());
        let (part, extra) = end.split_at(digits);
        if !extra.is_empty() {
            return Err(format!("{name} '{text}' has extra characters at end '{extra}'"));
        }
        let part = u128::from_str_radix(part, base).unwrap_or(u128::MAX);
        if part > most {
            return Err(format!("{name} '{text}' end '{end}' too large"));
        }
        from_number(as_number(address) >> bits << bits | part, address)
    };
    if as_number(last) <= as_number(address) {
        return Err(format!(
            "Address range end is not greater than address range start - {text} - skipping"
        ));
    }
    Ok((address, last))
}

fn as_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// An address of the same family as another.
fn from_number(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}
