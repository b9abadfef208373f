//! Rule lines: `virtual_rules`, `static_rules`.

use super::names::{Names, unsigned_base};
use super::route::{RTPROT_KEEPALIVED, realms, tos};
use super::value::{Strictness, interface, unsigned32};
use super::words::{Stop, Words, wrong};
use super::{Class, Context, Line, Word, ip};
use crate::model::IpNetwork;
use crate::model::route::{Family, Rule, RuleAction};

#[cfg(test)]
mod tests;

/// Where rules without a preference start; each further one gets the next lower number.
const FIRST_PREFERENCE: u32 = 16384;

/// Numbers for rules without `preference`, over all rules of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Preferences {
    next: u32,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            next: FIRST_PREFERENCE,
        }
    }
}

/// Reads one rule line of an instance, or a static one. `Err`: it was reported, and there is no rule.
pub fn read(
    line: &Line,
    fixed: bool,
    preferences: &mut Preferences,
    context: &mut Context,
) -> Result<Rule, super::Flow> {
    let mut reader = Reader {
        rule: Rule::default(),
        family: None,
        fixed,
        priority: None,
        action: None,
    };
    reader
        .line(line, preferences, context)
        .map(|()| reader.rule)
        .map_err(Stop::flow)
}

struct Reader {
    rule: Rule,
    family: Option<Family>,
    fixed: bool,
    priority: Option<u32>,
    action: Option<RuleAction>,
}

impl Reader {
    fn line(
        &mut self,
        line: &Line,
        preferences: &mut Preferences,
        context: &mut Context,
    ) -> Result<(), Stop> {
        let mut words = Words::new(line);
        while let Some(word) = words.next() {
            self.word(word, &mut words, context)?;
        }
        self.finish(line, preferences, context)
    }

    fn word(&mut self, word: &Word, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        let keyword = word.text.as_str();
        match keyword {
            "inet" => self.force(Family::Inet, word, context)?,
            "inet6" => self.force(Family::Inet6, word, context)?,
            "not" => self.rule.invert = true,
            "no_track" => self.rule.no_track = true,
            "from" => {
                self.rule.from = self.network("from", words.value(context)?, context)?;
                self.rule.from_given = true;
            }
            "to" => {
                self.rule.to = self.network("to", words.value(context)?, context)?;
                self.rule.to_given = true;
            }
            "preference" | "order" | "priority" => {
                let value = words.value(context)?;
                self.priority = Some(preference(value, keyword, context)?);
            }
            "tos" | "dsfield" => self.rule.tos = tos(words.value(context)?, context)?,
            "fwmark" => {
                let value = words.value(context)?;
                let mark = firewall_mark(&value.text).ok_or_else(|| {
                    wrong(
                        value,
                        format!("Invalid rule fwmark {} specified", value.text),
                        context,
                    )
                })?;
                self.rule.fwmark = Some(mark);
            }
            "realms" => {
                let value = words.value(context)?;
                if self.family == Some(Family::Inet6) {
                    return Err(wrong(value, "realms is only valid for IPv4", context));
                }
                let read = realms(value, context).ok_or_else(|| {
                    wrong(value, format!("invalid realms {} for rule", value.text), context)
                })?;
                self.rule.realms = Some(read);
            }
            "suppress_prefixlength" | "sup_pl" => {
                let value = words.value(context)?;
                let most = i32::MAX as u32;
                let read = unsigned32(value, 0, most, Strictness::Lenient, context).ok_or_else(|| {
                    let text = format!("Invalid suppress_prefixlength {keyword} specified");
                    wrong(value, text, context)
                })?;
                self.rule.suppress_prefix_length = Some(read);
            }
            "suppress_ifgroup" | "sup_group" => {
                let value = words.value(context)?;
                let group = Names::Groups.lookup(context, &value.text).ok_or_else(|| {
                    wrong(
                        value,
                        format!("suppress_group {} is invalid", value.text),
                        context,
                    )
                })?;
                self.rule.suppress_group = Some(group);
            }
            "dev" | "iif" => {
                let name = words.value(context)?;
                let found = interface(name, "rule", context).ok_or(Stop::Drop)?;
                self.rule.input_interface = Some(found);
            }
            "oif" => {
                let name = words.value(context)?;
                let found = interface(name, "rule", context).ok_or(Stop::Drop)?;
                self.rule.output_interface = Some(found);
            }
            _ => self.selector(word, words, context)?,
        }
        Ok(())
    }

    fn selector(&mut self, word: &Word, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        let keyword = word.text.as_str();
        match keyword {
            "tunnel-id" => {
                let value = words.value(context)?;
                match crate::config::number::unsigned(&value.text, 0, u64::MAX, false) {
                    Ok(number) => self.rule.tunnel_id = Some(number.value),
                    Err(fault) => {
                        context
                            .diagnostics
                            .at(Class::InvalidNumber, value.span, fault.message);
                        let text = format!("Invalid tunnel-id {keyword} specified");
                        return Err(wrong(value, text, context));
                    }
                }
            }
            "uidrange" => {
                let value = words.value(context)?;
                let range = range::<u32>(&value.text)
                    .ok_or_else(|| wrong(value, format!("Invalid uidrange {keyword} specified"), context))?;
                self.rule.uid_range = Some(range);
            }
            "protocol" => {
                let value = words.value(context)?;
                match unsigned32(value, 0, 255, Strictness::Lenient, context) {
                    Some(protocol) => self.rule.protocol = Some(protocol as u8),
                    None => {
                        wrong(value, format!("Invalid protocol {}", value.text), context);
                    }
                }
            }
            "ipproto" => {
                let value = words.value(context)?;
                self.rule.ip_protocol = ip_protocol(context, &value.text);
                if self.rule.ip_protocol.is_none() {
                    wrong(value, format!("Invalid ipproto {}", value.text), context);
                }
            }
            "sport" | "dport" => {
                let value = words.value(context)?;
                let ports = range::<u16>(&value.text);
                if ports.is_none() {
                    wrong(value, format!("invalid {keyword} range {}", value.text), context);
                }
                if keyword == "sport" {
                    self.rule.source_ports = ports;
                } else {
                    self.rule.destination_ports = ports;
                }
            }
            "track_group" if self.fixed => {
                let value = words.value(context)?;
                self.rule.track_group = super::address::track_group(value, context);
            }
            "type" => {
                let value = words.value(context)?;
                self.action(value, words, context)?;
            }
            _ => self.action(word, words, context)?,
        }
        Ok(())
    }

    fn action(&mut self, word: &Word, words: &mut Words, context: &mut Context) -> Result<(), Stop> {
        let keyword = word.text.as_str();
        let action = match keyword {
            "table" | "lookup" => {
                let value = words.value(context)?;
                match Names::Tables.lookup(context, &value.text) {
                    Some(0) => {
                        return Err(wrong(
                            value,
                            format!("Table {} is not valid", value.text),
                            context,
                        ));
                    }
                    Some(table) => RuleAction::Table(table),
                    None => {
                        let text = format!("Routing table {} not found for rule", value.text);
                        return Err(wrong(value, text, context));
                    }
                }
            }
            "goto" => {
                let value = words.value(context)?;
                let most = u32::MAX;
                let target = unsigned32(value, 0, most, Strictness::Lenient, context)
                    .ok_or_else(|| wrong(value, format!("Invalid target {keyword} specified"), context))?;
                RuleAction::Goto(target)
            }
            "nop" => RuleAction::Nop,
            "blackhole" => RuleAction::Blackhole,
            "unreachable" => RuleAction::Unreachable,
            "prohibit" => RuleAction::Prohibit,
            "l3mdev" => RuleAction::L3Mdev,
            other => {
                return Err(wrong(word, format!("Unknown rule option {other}"), context));
            }
        };
        if self.action.is_some() {
            let text =
                "Cannot specify more than one of table/nop/goto/blackhole/prohibit/unreachable for rule";
            return Err(wrong(word, text, context));
        }
        self.action = Some(action);
        Ok(())
    }

    fn network(
        &mut self,
        keyword: &str,
        word: &Word,
        context: &mut Context,
    ) -> Result<Option<IpNetwork>, Stop> {
        let Some(network) = ip::network(word, true, context) else {
            let text = format!("Invalid rule {keyword} address {}", word.text);
            return Err(wrong(word, text, context));
        };
        if let Some(network) = network {
            let family = if network.address.is_ipv4() {
                Family::Inet
            } else {
                Family::Inet6
            };
            self.force(family, word, context)?;
        }
        Ok(network)
    }

    fn force(&mut self, family: Family, word: &Word, context: &mut Context) -> Result<(), Stop> {
        if *self.family.get_or_insert(family) == family {
            Ok(())
        } else {
            let text = "rule specification has mixed IPv4 and IPv6";
            Err(wrong(word, text, context))
        }
    }

    fn finish(
        &mut self,
        line: &Line,
        preferences: &mut Preferences,
        context: &mut Context,
    ) -> Result<(), Stop> {
        let mut say = |class, text: String| {
            context.diagnostics.at(class, line.span, text);
        };
        let rule = &mut self.rule;
        rule.family = self.family.unwrap_or_default();
        let Some(action) = self.action.take() else {
            say(
                Class::General,
                "No action specified for rule - ignoring".to_owned(),
            );
            return Err(Stop::Drop);
        };
        let only_table =
            rule.realms.is_some() || rule.suppress_prefix_length.is_some() || rule.suppress_group.is_some();
        if only_table && !matches!(action, RuleAction::Table(_)) {
            let text = "suppressor/realm specified for non table action - skipping";
            say(Class::General, text.to_owned());
            return Err(Stop::Drop);
        }
        if let (RuleAction::Goto(target), Some(own)) = (&action, self.priority)
            && own >= *target
        {
            let text = format!("Invalid rule - preference {own} >= goto target {target}");
            say(Class::General, text);
            return Err(Stop::Drop);
        }
        rule.action = action;
        rule.priority = self.priority.unwrap_or_else(|| {
            let given = preferences.next;
            preferences.next = preferences.next.saturating_sub(1);
            say(
                Class::General,
                format!(
                    "Rule has no preference specified - setting to {given}. This is probably not what you want."
                ),
            );
            given
        });
        if !rule.no_track {
            if rule.protocol.is_some_and(|p| p != RTPROT_KEEPALIVED) {
                let text =
                    "Rule cannot be tracked if protocol is not RTPROT_KEEPALIVED(18), resetting protocol";
                say(Class::General, text.to_owned());
            }
            rule.protocol = Some(RTPROT_KEEPALIVED);
        }
        if rule.track_group.is_some() && rule.input_interface.is_none() {
            let text = "Static rule cannot have track_group if dev/iif not specified";
            say(Class::General, text.to_owned());
            rule.track_group = None;
        }
        Ok(())
    }
}

fn preference(word: &Word, keyword: &str, context: &mut Context) -> Result<u32, Stop> {
    if word.text.starts_with("0x") || word.text.starts_with("0X") {
        if let Some(n) = unsigned_base(&word.text, 0).and_then(|n| u32::try_from(n).ok()) {
            return Ok(n);
        }
    } else if word.text.len() > 1
        && word.text.starts_with('0')
        && let Some(n) = unsigned_base(&word.text, 0).and_then(|n| u32::try_from(n).ok())
    {
        return Ok(n);
    }
    unsigned32(word, 0, u32::MAX, Strictness::Lenient, context).ok_or_else(|| {
        let text = format!("Invalid rule preference {keyword} specified");
        wrong(word, text, context)
    })
}

/// `MARK[/MASK]`.
fn firewall_mark(text: &str) -> Option<(u32, Option<u32>)> {
    let number = |t: &str| unsigned_base(t, 0).and_then(|n| u32::try_from(n).ok());
    match text.split_once('/') {
        None => Some((number(text)?, None)),
        Some((mark, "")) => Some((number(mark)?, Some(0))),
        Some((mark, mask)) => Some((number(mark)?, Some(number(mask)?))),
    }
}

/// `A-B`, both needed.
fn range<T: std::str::FromStr>(text: &str) -> Option<(T, T)> {
    let (first, last) = text.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// A protocol by number, or by its name in /etc/protocols.
fn ip_protocol(context: &Context, text: &str) -> Option<u8> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let known = [
        ("icmp", 1),
        ("igmp", 2),
        ("tcp", 6),
        ("udp", 17),
        ("gre", 47),
        ("esp", 50),
    ];
    let known = known
        .iter()
        .chain(&[("ah", 51), ("ipv6-icmp", 58), ("vrrp", 112), ("sctp", 132)]);
    if let Some((_, number)) = known.into_iter().find(|(name, _)| *name == text) {
        return Some(*number);
    }
    let bytes = context.host.read(std::path::Path::new("/etc/protocols")).ok()?;
    String::from_utf8_lossy(&bytes).lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let name = words.next()?;
        let number = words.next()?.parse().ok()?;
        (name == text || words.any(|alias| alias == text)).then_some(number)
    })
}
