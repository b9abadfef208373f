//! `bfd_instance`. VRRP and the checkers read the names (and VRRP the weights), BFD reads the rest, each
//! with complaints of its own.

use super::value::{Strictness, milliseconds, missing, signed, unsigned32};
use super::{Class, Context, Flow, Keyword, Line, Section, Word};
use crate::config::diagnostic::Pass;
use crate::config::number;
use crate::model::bfd::BfdInstance;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Longest name.
const NAME_MAX: usize = 31;
/// Largest interval, microseconds.
const INTERVAL_MAX: u64 = 4_294_967_000;
/// Least interval, microseconds.
const INTERVAL_MIN: u64 = 1_000;
/// Least interval while idle, microseconds.
const IDLE_MIN: u64 = 1_000_000;

/// The reader.
#[derive(Debug, Default)]
pub struct Bfd {
    open: Option<Draft>,
}

/// An instance while its block is read.
#[derive(Debug)]
struct Draft {
    instance: BfdInstance,
    has_neighbor: bool,
    /// Its neighbour's address is none: reported, and it will not be kept.
    malformed: bool,
}

impl Section for Bfd {
    fn keyword(&mut self, keyword: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        if keyword.name == "bfd_instance" {
            return self.begin(line, context);
        }
        let Some(draft) = self.open.as_mut() else {
            return Flow::Continue;
        };
        // Each process complains about what concerns it.
        let owner = match keyword.name {
            "weight" => Pass::Vrrp,
            _ => Pass::Bfd,
        };
        context.diagnostics.muted = context.pass != owner;
        let flow = draft.keyword(keyword.name, line, context);
        if context.pass == owner {
            flow
        } else {
            Flow::Continue
        }
    }

    fn entry(&mut self, _list: &'static Keyword, _line: &Line, _context: &mut Context) -> Flow {
        Flow::Continue
    }

    fn end(&mut self, _block: &'static Keyword, context: &mut Context) {
        if let Some(draft) = self.open.take() {
            draft.end(context);
        }
    }

    fn finish(&mut self, _context: &mut Context) {}
}

impl Bfd {
    fn begin(&mut self, line: &Line, context: &mut Context) -> Flow {
        context.diagnostics.muted = false;
        let Some(name) = line.words.get(1) else {
            return missing(line, 1, context);
        };
        let bfd = context.pass == Pass::Bfd;
        if name.text.len() > NAME_MAX {
            let text = if bfd {
                format!(
                    "Configuration error: BFD instance {} name too long (maximum length is {NAME_MAX} characters) - ignoring",
                    name.text
                )
            } else {
                format!("BFD name {} too long", name.text)
            };
            context.diagnostics.muted = context.pass == Pass::Checker;
            context.diagnostics.at(Class::General, name.span, text);
            return Flow::SkipBlock;
        }
        if context.config.bfd.iter().any(|b| b.name == name.text) {
            let text = if bfd {
                format!(
                    "Configuration error: BFD instance {} already configured - ignoring",
                    name.text
                )
            } else {
                format!("BFD {} already specified", name.text)
            };
            context.diagnostics.at(Class::General, name.span, text);
            return Flow::SkipBlock;
        }
        self.open = Some(Draft {
            instance: BfdInstance {
                name: name.text.clone(),
                source: None,
                neighbor: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                min_rx: Duration::from_millis(10),
                min_tx: Duration::from_millis(10),
                idle_tx: Duration::from_millis(1000),
                multiplier: 5,
                passive: false,
                ttl: None,
                max_hops: 0,
                multihop: false,
                weight: 0,
                reverse: false,
                vrrp: false,
                checker: false,
            },
            has_neighbor: false,
            malformed: false,
        });
        Flow::Continue
    }
}

impl Draft {
    fn keyword(&mut self, keyword: &str, line: &Line, context: &mut Context) -> Flow {
        match keyword {
            "passive" => self.instance.passive = true,
            "vrrp" => self.instance.vrrp = true,
            "checker" => self.instance.checker = true,
            "multihop" => self.multihop(line.words.get(1), context),
            _ => {
                let Some(value) = line.words.get(1) else {
                    return missing(line, 1, context);
                };
                self.value(keyword, value, line, context);
            }
        }
        Flow::Continue
    }

    fn value(&mut self, keyword: &str, value: &Word, line: &Line, context: &mut Context) {
        match keyword {
            "source_ip" => self.source(value, context),
            "neighbor_ip" | "neighbour_ip" => self.neighbor(value, context),
            "min_rx" => {
                let interval = self.interval(keyword, value, INTERVAL_MIN, context);
                self.instance.min_rx = interval.unwrap_or(self.instance.min_rx);
            }
            "min_tx" => {
                let interval = self.interval(keyword, value, INTERVAL_MIN, context);
                self.instance.min_tx = interval.unwrap_or(self.instance.min_tx);
            }
            "idle_tx" => {
                let interval = self.interval(keyword, value, IDLE_MIN, context);
                self.instance.idle_tx = interval.unwrap_or(self.instance.idle_tx);
            }
            "multiplier" => {
                if let Some(n) = self.integer("multiplier", value, 1, 255, context) {
                    self.instance.multiplier = n as u8;
                }
            }
            "ttl" | "hoplimit" => {
                if let Some(n) = self.integer("ttl/hoplimit", value, 1, 255, context) {
                    self.instance.ttl = Some(n as u8);
                }
            }
            "max_hops" => {
                if let Some(n) = self.integer("max_hops", value, -1, 255, context) {
                    self.instance.max_hops = n as i32;
                }
            }
            "weight" => {
                if let Some(n) = self.integer("weight", value, -253, 253, context) {
                    self.instance.weight = n as i32;
                }
                self.weight_option(line.words.get(2), context);
            }
            _ => {}
        }
    }

    fn source(&mut self, value: &Word, context: &mut Context) {
        match value.text.parse() {
            Ok(address) => self.instance.source = Some(address),
            Err(_) => self.complain(
                value,
                format!("has malformed source address {}, ignoring", value.text),
                context,
            ),
        }
    }

    fn neighbor(&mut self, value: &Word, context: &mut Context) {
        match value.text.parse() {
            Ok(address) => {
                self.instance.neighbor = address;
                self.has_neighbor = true;
            }
            Err(_) => {
                self.malformed = true;
                self.complain(
                    value,
                    format!("has malformed neighbor address {}, ignoring instance", value.text),
                    context,
                );
            }
        }
    }

    fn interval(&self, keyword: &str, value: &Word, least: u64, context: &mut Context) -> Option<Duration> {
        let read = milliseconds(value, least, INTERVAL_MAX, context);
        if read.is_none() {
            let text = format!(
                "{keyword} value {} is not valid (must be in range [{}-{}]), ignoring",
                value.text,
                least / 1000,
                INTERVAL_MAX / 1000
            );
            self.complain(value, text, context);
        }
        read
    }

    fn integer(
        &self,
        shown: &str,
        value: &Word,
        least: i64,
        most: i64,
        context: &mut Context,
    ) -> Option<i64> {
        let read = if least < 0 {
            signed(value, least, most, Strictness::Lenient, context)
        } else {
            unsigned32(value, least as u32, most as u32, Strictness::Lenient, context).map(i64::from)
        };
        if read.is_none() {
            let text = format!(
                "{shown} value {} not valid (must be in range [{least}-{most}]), ignoring",
                value.text
            );
            self.complain(value, text, context);
        }
        read
    }

    fn weight_option(&mut self, option: Option<&Word>, context: &mut Context) {
        match option {
            None => {}
            Some(word) if word.text == "reverse" => self.instance.reverse = true,
            Some(word) => {
                self.complain(word, format!("unknown weight option {}", word.text), context);
            }
        }
    }

    fn multihop(&mut self, value: Option<&Word>, context: &mut Context) {
        match value.map(|w| (w, number::boolean(&w.text))) {
            None => self.instance.multihop = true,
            Some((_, Some(on))) => self.instance.multihop = on,
            Some((word, None)) => {
                self.complain(word, format!("multihop value {} invalid", word.text), context);
            }
        }
    }

    fn complain(&self, word: &Word, text: String, context: &mut Context) {
        let text = format!("Configuration error: BFD instance {} {text}", self.instance.name);
        context.diagnostics.at(Class::General, word.span, text);
    }

    /// The block is closed.
    fn end(mut self, context: &mut Context) {
        let instance = &mut self.instance;
        if !instance.vrrp && !instance.checker {
            (instance.vrrp, instance.checker) = (true, true);
        }
        // The others only want the names, also of those that BFD itself does not run.
        if context.pass != Pass::Bfd {
            context.config.bfd.push(self.instance);
            return;
        }
        if self.malformed {
            return;
        }
        let name = &instance.name;
        let error = |text: String| format!("Configuration error: BFD instance {name} {text}");
        if !self.has_neighbor {
            context.complain(
                Class::General,
                error("has no neighbor address set, disabling instance".to_owned()),
            );
            return;
        }
        let neighbor = instance.neighbor;
        if let Some(source) = instance.source.filter(|s| s.is_ipv4() != neighbor.is_ipv4()) {
            let text = format!(
                "source address {source} and neighbor address {neighbor} are not of the same family, disabling instance"
            );
            context.complain(Class::General, error(text));
            return;
        }
        if let Some(other) = context.config.bfd.iter().find(|b| b.neighbor == neighbor) {
            let text = match instance.source {
                Some(source) if other.source.is_none_or(|s| s == source) => Some(format!(
                    "has duplicate source/neighbor address {source}/{neighbor}, ignoring instance"
                )),
                Some(_) => None,
                None => Some(format!(
                    "has duplicate neighbor address {neighbor}, ignoring instance"
                )),
            };
            if let Some(text) = text {
                context.complain(Class::General, error(text));
                return;
            }
        }
        let ttl = i32::from(instance.ttl.unwrap_or(if neighbor.is_ipv4() { 255 } else { 64 }));
        if instance.max_hops > ttl {
            let text =
                format!("BFD instance {name}: max_hops exceeds ttl/hoplimit - setting to ttl/hoplimit");
            context.complain(Class::General, text);
            instance.max_hops = ttl;
        }
        context.config.bfd.push(self.instance);
    }
}
