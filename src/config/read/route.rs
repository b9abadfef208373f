//! Route lines: `virtual_routes`, `static_routes`.

use super::names::{Names, unsigned_base};
use super::value::{Strictness, interface, unsigned32};
use super::words::{Stop, Words, wrong};
use super::{Class, Context, Line, Word, ip};
use crate::model::IpNetwork;
use crate::model::route::{Encap, Family, Metric, NextHop, Route, RouteAction};
use std::net::IpAddr;

mod encap;
#[cfg(test)]
mod tests;

/// keepalived's number in `rt_protos`.
pub(super) const RTPROT_KEEPALIVED: u8 = 18;

/// Names of `RTN_*`.
const KINDS: &[(&str, u8)] = &[
    ("unicast", 1),
    ("local", 2),
    ("broadcast", 3),
    ("anycast", 4),
    ("multicast", 5),
    ("blackhole", 6),
    ("unreachable", 7),
    ("prohibit", 8),
    ("throw", 9),
    ("nat", 10),
    ("xresolve", 11),
];

/// A metric that is a plain number: keyword, `RTAX_*`, whether `lock` may precede it, how a complaint
/// names it, and the largest value.
const METRICS: &[(&str, u16, bool, &str, u32)] = &[
    ("mtu", 2, true, "MTU", u32::MAX),
    ("window", 3, false, "window value", u32::MAX),
    ("ssthresh", 6, true, "ssthresh value", u32::MAX),
    ("cwnd", 7, true, "cwnd value", u32::MAX),
    ("advmss", 8, true, "advmss", u32::MAX),
    ("reordering", 9, true, "reordering value", u32::MAX),
    ("hoplimit", 10, false, "hoplimit", 255),
    ("initcwnd", 11, false, "initcwnd value", u32::MAX),
    ("initrwnd", 14, false, "initrwnd value", u32::MAX),
    ("quickack", 15, false, "quickack value", 1),
    ("fastopen_no_cookie", 17, false, "fastopen_no_cookie value", 1),
];

/// `RTAX_FEATURE_ECN`.
const FEATURE_ECN: u32 = 1;

/// Reads one route line of an instance, or a static one. `Err`: it was reported, and there is no route.
pub fn read(line: &Line, fixed: bool, context: &mut Context) -> Result<Route, super::Flow> {
    let mut reader = Reader {
        route: Route {
            kind: 1,
            ..Route::default()
        },
        family: None,
        fixed,
        has_destination: false,
    };
    reader
        .line(line, context)
        .map(|()| reader.route)
        .map_err(Stop::flow)
}

struct Reader {
    route: Route,
    family: Option<Family>,
    fixed: bool,
    has_destination: bool,
}

impl Reader {
    fn line(&mut self, line: &Line, context: &mut Context) -> Result<(), Stop> {
        let mut words = Words::new(line);
        while let Some(word) = words.next() {
            if word.text == "nexthop" {
                self.next_hops(word, &mut words, context)?;
                break;
            }
            self.word(word, &mut words, context)?;
        }
        self.finish(line, context)
    }

    fn word(&mut self, word: &Word, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        match word.text.as_str() {
            "inet" => self.force(Family::Inet, word, context)?,
            "inet6" => self.force(Family::Inet6, word, context)?,
            "add" => self.route.action = RouteAction::Add,
            "prepend" => self.route.action = RouteAction::Prepend,
            "append" => self.route.action = RouteAction::Append,
            "onlink" => self.route.hop.onlink = true,
            "no_track" => self.route.no_track = true,
            "src" => self.source(words.value(context)?, context)?,
            "from" => self.from(words.value(context)?, context)?,
            "via" => self.gateway(words, context)?,
            "gw" => {
                let text = r#""gw" for routes is deprecated. Please use "via""#;
                context.diagnostics.at(Class::Deprecated, word.span, text);
                self.gateway(words, context)?;
            }
            "or" => {
                let text = r#""or" for routes is deprecated. Please use "nexthop""#;
                context.diagnostics.at(Class::Deprecated, word.span, text);
                self.second_gateway(words.value(context)?, context)?;
            }
            "as" => {
                words.take("to");
                words.value(context)?;
                let text = r#""as to" for MPLS only - ignoring"#;
                context.diagnostics.at(Class::General, word.span, text);
            }
            "dev" | "oif" => {
                let name = words.value(context)?;
                let found = interface(name, "VROUTE nexthop", context).ok_or(Stop::Drop)?;
                self.route.hop.interface = Some(found);
            }
            "encap" => self.route.hop.encap = encap::read(words, context)?,
            "nexthop" => {}
            "to" => self.to(words.value(context)?, words, context)?,
            other if METRICS.iter().any(|m| m.0 == other) || TIMES.iter().any(|t| t.0 == other) => {
                self.metric(other, words, context)?;
            }
            _ => self.attribute(word, words, context)?,
        }
        Ok(())
    }

    fn attribute(&mut self, word: &Word, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        match word.text.as_str() {
            "tos" | "dsfield" => {
                let value = words.value(context)?;
                self.route.tos = tos(value, context)?;
            }
            "table" => {
                let value = words.value(context)?;
                let table = Names::Tables.lookup(context, &value.text).ok_or_else(|| {
                    wrong(
                        value,
                        format!("Routing table {} not found for route", value.text),
                        context,
                    )
                })?;
                self.route.table = Some(table);
            }
            "protocol" => {
                let value = words.value(context)?;
                self.route.protocol = Some(self.small(Names::Protocols, "Protocol", value, context)?);
            }
            "scope" => {
                let value = words.value(context)?;
                self.route.scope = Some(self.small(Names::Scopes, "Scope", value, context)?);
            }
            "metric" | "priority" | "preference" => {
                let value = words.value(context)?;
                self.route.metric = Some(number(value, u32::MAX, "metric", context)?);
            }
            "expires" => {
                let value = words.value(context)?;
                self.only_ipv6("expires", value, context)?;
                self.route.expires = Some(number(value, u32::MAX, "expires time", context)?);
            }
            "realms" => {
                let value = words.value(context)?;
                self.ipv4_family("realms", value, context)?;
                self.route.hop.realms = Some(realms(value, context).ok_or_else(|| {
                    wrong(value, format!("Invalid realms {} for route", value.text), context)
                })?);
            }
            "features" => {
                let value = words.value(context)?;
                if value.text == "ecn" {
                    self.route.features |= FEATURE_ECN;
                } else {
                    wrong(value, format!("feature {} not supported", value.text), context);
                }
            }
            "congctl" => {
                let locked = words.take("lock");
                self.route.congctl = Some((words.value(context)?.text.clone(), locked));
            }
            "pref" => {
                let value = words.value(context)?;
                self.only_ipv6("pref", value, context)?;
                self.route.preference = Some(preference(value, context)?);
            }
            "ttl-propagate" => {
                let value = words.value(context)?;
                self.route.ttl_propagate = Some(value.text == "enabled");
                if !matches!(value.text.as_str(), "enabled" | "disabled") {
                    let text = format!("ttl-propagate value {} not recognised", value.text);
                    wrong(value, text, context);
                }
            }
            "vrf" => self.vrf(words.value(context)?, context)?,
            "track_group" if self.fixed => {
                let value = words.value(context)?;
                self.route.track_group = super::address::track_group(value, context);
            }
            _ => self.to(word, words, context)?,
        }
        Ok(())
    }

    /// `[TYPE] DESTINATION`, with or without `to`.
    fn to(&mut self, word: &Word, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        if let Some(kind) = kind(&word.text) {
            self.route.kind = kind;
            return match words.peek() {
                Some("to") => Ok(()),
                Some(_) => {
                    let destination = words.value(context)?;
                    self.destination(destination, context)
                }
                None => Ok(()),
            };
        }
        self.destination(word, context)
    }

    fn destination(&mut self, word: &Word, context: &mut Context) -> Result<(), Stop> {
        if word.text == "default6" {
            let text = r#""default6" for routes is deprecated. Please use "inet6 default""#;
            context.diagnostics.at(Class::Deprecated, word.span, text);
            self.force(Family::Inet6, word, context)?;
            self.route.destination = None;
        } else {
            let network = ip::network(word, true, context)
                .ok_or_else(|| wrong(word, format!("unknown route keyword {}", word.text), context))?;
            if let Some(network) = network {
                self.same(network.address, word, context)?;
            }
            self.route.destination = network;
        }
        self.has_destination = true;
        Ok(())
    }

    fn source(&mut self, word: &Word, context: &mut Context) -> Result<(), Stop> {
        let Some(Some(IpNetwork { address, .. })) = ip::network(word, false, context) else {
            return Err(wrong(
                word,
                format!("invalid route src address {}", word.text),
                context,
            ));
        };
        self.same(address, word, context)?;
        self.route.source = Some(address);
        Ok(())
    }

    fn from(&mut self, word: &Word, context: &mut Context) -> Result<(), Stop> {
        let Some(network) = ip::network(word, true, context) else {
            return Err(wrong(
                word,
                format!("invalid route from address {}", word.text),
                context,
            ));
        };
        if network.is_some_and(|n| n.address.is_ipv4()) {
            let text = format!("route from address only supported with IPv6 ({})", word.text);
            return Err(wrong(word, text, context));
        }
        self.force(Family::Inet6, word, context)?;
        self.route.from = network;
        Ok(())
    }

    fn gateway(&mut self, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        let family = words.take("inet");
        let family6 = !family && words.take("inet6");
        let word = words.value(context)?;
        let Some(address) = ip::address(word, context) else {
            return Err(wrong(
                word,
                format!("invalid route via address {}", word.text),
                context,
            ));
        };
        if (family && address.is_ipv6()) || (family6 && address.is_ipv4()) {
            return Err(mixed(word, context));
        }
        self.same(address, word, context)?;
        self.route.hop.via = Some(address);
        Ok(())
    }

    /// `or`: both gateways become next hops.
    fn second_gateway(&mut self, word: &Word, context: &mut Context) -> Result<(), Stop> {
        let Some(address) = ip::address(word, context) else {
            return Err(wrong(
                word,
                format!("invalid \"or\" address {}", word.text),
                context,
            ));
        };
        self.same(address, word, context)?;
        let first = std::mem::take(&mut self.route.hop.via);
        for via in first.into_iter().chain([address]) {
            self.route.next_hops.push(NextHop {
                via: Some(via),
                ..NextHop::default()
            });
        }
        Ok(())
    }

    fn next_hops(&mut self, word: &Word, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        let mut hop = NextHop::default();
        let mut any = false;
        while let Some(word) = words.next() {
            any = true;
            match word.text.as_str() {
                "nexthop" => self.route.next_hops.push(std::mem::take(&mut hop)),
                "via" => hop.via = Some(self.hop_gateway(words, context)?),
                "dev" | "oif" => {
                    let name = words.value(context)?;
                    hop.interface = Some(interface(name, "VROUTE nexthop", context).ok_or(Stop::Drop)?);
                }
                "weight" => {
                    let value = words.value(context)?;
                    let read = unsigned32(value, 0, 256, Strictness::Lenient, context);
                    hop.weight = read.filter(|w| *w > 0).ok_or_else(|| {
                        wrong(
                            value,
                            format!("Invalid weight {} specified for route", value.text),
                            context,
                        )
                    })?;
                }
                "onlink" => hop.onlink = true,
                "encap" => hop.encap = encap::read(words, context)?,
                "realms" => {
                    let value = words.value(context)?;
                    hop.realms = Some(realms(value, context).ok_or_else(|| {
                        wrong(value, format!("Invalid realms {} for route", value.text), context)
                    })?);
                }
                "as" => {
                    words.take("to");
                    words.value(context)?;
                    wrong(word, r#""as to" for MPLS only - ignoring"#, context);
                }
                other => {
                    let text = format!("Route has trailing nonsense after nexthops - {other}");
                    wrong(word, text, context);
                    break;
                }
            }
        }
        if !any {
            return Err(wrong(word, "nexthop without a gateway or an interface", context));
        }
        self.route.next_hops.push(hop);
        Ok(())
    }

    fn hop_gateway(&mut self, words: &mut Words, context: &mut Context) -> Result<IpAddr, Stop> {
        let family = words.take("inet");
        let family6 = !family && words.take("inet6");
        let word = words.value(context)?;
        let Some(address) = ip::address(word, context) else {
            return Err(wrong(
                word,
                format!("invalid nexthop address {}", word.text),
                context,
            ));
        };
        let wanted = self.family.get_or_insert(family_of(address));
        let wanted6 = *wanted == Family::Inet6;
        if (family || family6) && family6 != wanted6 {
            return Err(wrong(word, "IPv4/6 mismatch for nexthop", context));
        }
        if address.is_ipv6() != wanted6 {
            return Err(wrong(word, "Address family mismatch for next hop", context));
        }
        Ok(address)
    }

    fn metric(&mut self, keyword: &str, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        if let Some((_, kind, lock, shown, most)) = METRICS.iter().find(|m| m.0 == keyword) {
            let locked = *lock && words.take("lock");
            let value = words.value(context)?;
            let value = number(value, *most, shown, context)?;
            self.route.metrics.push(Metric {
                kind: *kind,
                value,
                locked,
            });
        } else if let Some((_, kind, scale, shown)) = TIMES.iter().find(|t| t.0 == keyword) {
            let locked = words.take("lock");
            let value = words.value(context)?;
            let value = time(value, *scale, shown, context)?;
            self.route.metrics.push(Metric {
                kind: *kind,
                value,
                locked,
            });
        }
        Ok(())
    }

    fn vrf(&mut self, word: &Word, context: &mut Context) -> Result<(), Stop> {
        let name = &word.text;
        let Some(found) = context.host.interface(name) else {
            return Err(wrong(word, format!("VRF {name} not found for route"), context));
        };
        if found.vrf_table.is_none() {
            let text = format!("Route specified VRF {name} is not a VRF");
            return Err(wrong(word, text, context));
        }
        self.route.vrf = Some(name.clone());
        self.route.table = found.vrf_table;
        Ok(())
    }

    fn small(&self, names: Names, shown: &str, word: &Word, context: &mut Context) -> Result<u8, Stop> {
        names
            .lookup(context, &word.text)
            .and_then(|n| u8::try_from(n).ok())
            .ok_or_else(|| {
                let text = format!("{shown} {} not found or invalid for route", word.text);
                wrong(word, text, context)
            })
    }

    fn only_ipv6(&mut self, shown: &str, word: &Word, context: &mut Context) -> Result<(), Stop> {
        if self.family == Some(Family::Inet) {
            return Err(wrong(word, format!("{shown} is only valid for IPv6"), context));
        }
        self.family = Some(Family::Inet6);
        Ok(())
    }

    fn ipv4_family(&mut self, shown: &str, word: &Word, context: &mut Context) -> Result<(), Stop> {
        if self.family == Some(Family::Inet6) {
            return Err(wrong(word, format!("{shown} is only valid for IPv4"), context));
        }
        self.family = Some(Family::Inet);
        Ok(())
    }

    fn same(&mut self, address: IpAddr, word: &Word, context: &mut Context) -> Result<(), Stop> {
        self.force(family_of(address), word, context)
    }

    fn force(&mut self, family: Family, word: &Word, context: &mut Context) -> Result<(), Stop> {
        if *self.family.get_or_insert(family) == family {
            Ok(())
        } else {
            Err(mixed(word, context))
        }
    }

    fn finish(&mut self, line: &Line, context: &mut Context) -> Result<(), Stop> {
        let route = &mut self.route;
        route.family = self.family.unwrap_or_default();
        if !self.has_destination {
            context
                .diagnostics
                .at(Class::General, line.span, "Route must have a destination");
            return Err(Stop::Drop);
        }
        if !route.no_track {
            if route.protocol.is_some_and(|p| p != RTPROT_KEEPALIVED) {
                context.diagnostics.at(
                    Class::General,
                    line.span,
                    "Route cannot be tracked if protocol is not RTPROT_KEEPALIVED(18), resetting protocol",
                );
            }
            route.protocol = Some(RTPROT_KEEPALIVED);
        }
        if route.track_group.is_some() && route.hop.interface.is_none() && route.next_hops.is_empty() {
            context.diagnostics.at(
                Class::General,
                line.span,
                "Static route cannot have track group if no oif specified",
            );
            route.track_group = None;
        }
        Ok(())
    }
}

/// A metric that is a time: keyword, `RTAX_*`, kernel units in a millisecond, how a complaint names it.
const TIMES: &[(&str, u16, u32, &str)] = &[
    ("rtt", 4, 8, "rtt %s for"),
    ("rttvar", 5, 4, "rttvar value %s specified for"),
    ("rto_min", 13, 1, "rto_min value %s specified for"),
];

/// A time with `s` or `ms`, in kernel units; a number without a unit is in kernel units already.
fn time(word: &Word, scale: u32, shown: &str, context: &mut Context) -> Result<u32, Stop> {
    let text = word.text.as_str();
    let (digits, thousandths) = if let Some(digits) = text.strip_suffix("ms") {
        (digits, Some(u64::from(scale)))
    } else if let Some(digits) = text.strip_suffix('s') {
        (digits, Some(u64::from(scale) * 1000))
    } else {
        (text, None)
    };
    let parsed = crate::config::number::decimal(digits, 6, 0, u64::from(u32::MAX) * 1_000_000, false);
    let units = parsed.ok().map(|n| match thousandths {
        Some(factor) => n.value.saturating_mul(factor).div_ceil(1_000_000),
        None => n.value / 1_000_000,
    });
    match units.and_then(|n| u32::try_from(n).ok()) {
        Some(units) => Ok(units),
        None => {
            let text = format!("invalid number '{}'", word.text);
            context.diagnostics.at(Class::InvalidNumber, word.span, text);
            let text = format!("Invalid {} route", shown.replace("%s", &word.text));
            Err(wrong(word, text, context))
        }
    }
}

fn number(word: &Word, most: u32, shown: &str, context: &mut Context) -> Result<u32, Stop> {
    unsigned32(word, 0, most, Strictness::Lenient, context).ok_or_else(|| {
        let text = format!("Invalid {shown} {} specified for route", word.text);
        wrong(word, text, context)
    })
}

fn preference(word: &Word, context: &mut Context) -> Result<u8, Stop> {
    // ICMPV6_ROUTER_PREF_*
    match word.text.as_str() {
        "low" => Ok(3),
        "medium" => Ok(0),
        "high" => Ok(1),
        _ => number(word, 255, "pref value", context).map(|n| n as u8),
    }
}

/// `tos` of a route or rule.
pub(super) fn tos(word: &Word, context: &mut Context) -> Result<u8, Stop> {
    Names::DsField
        .lookup(context, &word.text)
        .and_then(|n| u8::try_from(n).ok())
        .ok_or_else(|| wrong(word, format!("TOS value {} is invalid", word.text), context))
}

/// `REALM[/REALM]`: the first, if there are two, in the upper half.
pub(super) fn realms(word: &Word, context: &mut Context) -> Option<u32> {
    let lookup = |text| Names::Realms.lookup(context, text);
    match word.text.split_once('/') {
        Some((from, to)) => Some(lookup(from)? << 16 | lookup(to)?),
        None => lookup(&word.text),
    }
}

fn kind(text: &str) -> Option<u8> {
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == text) {
        return Some(*kind);
    }
    unsigned_base(text, 0)
        .filter(|n| *n <= 255)
        .and_then(|n| u8::try_from(n).ok())
}

fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Inet,
        IpAddr::V6(_) => Family::Inet6,
    }
}

fn mixed(word: &Word, context: &mut Context) -> Stop {
    wrong(word, "Cannot mix IPv4 and IPv6 addresses for route", context)
}
