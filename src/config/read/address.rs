//! Address lines: `virtual_ipaddress`, `virtual_ipaddress_excluded`, `static_ipaddress`.

use super::names::Names;
use super::value::{Strictness, interface, unsigned};
use super::{Class, Context, Line, Word, ip};
use crate::model::{Address, AddressFlags, IpNetwork, Lifetime};
use std::net::{IpAddr, Ipv4Addr};

/// Longest address label (IFNAMSIZ - 1).
const LABEL_MAX: usize = 15;

/// Where an address line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In an instance: its interface is used where the line has no `dev`.
    Instance {
        /// Interface of the instance; empty when it has none (yet).
        interface: &'a str,
    },
    /// `static_ipaddress`: `default_interface` is used where the line has no `dev`.
    Static,
}

/// Reads one address line. `None`: it was reported, and the address is dropped.
pub fn read(line: &Line, place: Place, context: &mut Context) -> Option<Address> {
    let first = line.words.first()?;
    let network = ip::network(first, false, context)??;
    let mut reader = Reader::new(first, network);
    let mut words = line.words[1..].iter();
    while let Some(word) = words.next() {
        if !reader.word(word, &mut words, place, context) {
            return None;
        }
    }
    reader.finish(place, context)
}

/// `brd`, until the prefix length is known.
enum Broadcast {
    /// `+`: host bits set.
    Ones,
    /// `-`: host bits clear.
    Zeros,
    Given(Ipv4Addr),
}

struct Reader<'a> {
    first: &'a Word,
    address: Address,
    preferred: Option<Lifetime>,
    broadcast: Option<(&'a Word, Broadcast)>,
}

impl<'a> Reader<'a> {
    fn new(first: &'a Word, network: IpNetwork) -> Self {
        Self {
            first,
            address: Address {
                network,
                peer: None,
                broadcast: None,
                scope: 0,
                label: None,
                interface: String::new(),
                interface_given: false,
                flags: AddressFlags {
                    nodad: true,
                    ..AddressFlags::default()
                },
                no_track: false,
                preferred: Lifetime::Forever,
                preferred_given: false,
                over: None,
                use_vmac: false,
                track_group: None,
            },
            preferred: None,
            broadcast: None,
        }
    }

    /// One word with what belongs to it; false drops the address.
    fn word(
        &mut self,
        word: &'a Word,
        words: &mut std::slice::Iter<'a, Word>,
        place: Place,
        context: &mut Context,
    ) -> bool {
        let flags = &mut self.address.flags;
        match word.text.as_str() {
            "home" => flags.home = true,
            "-nodad" => flags.nodad = false,
            "mngtmpaddr" => flags.manage_temporary = true,
            "noprefixroute" => flags.no_prefix_route = true,
            "autojoin" => flags.autojoin = true,
            "no_track" => self.address.no_track = true,
            "use_vmac" if place != Place::Static => self.address.use_vmac = true,
            "dev" | "scope" | "brd" | "broadcast" | "label" | "peer" | "preferred_lft" => {
                return self.parameter(word, words.next(), context);
            }
            "track_group" if place == Place::Static => {
                return self.parameter(word, words.next(), context);
            }
            other => {
                let text = format!("Unknown configuration entry '{other}' for ip address - ignoring");
                context.diagnostics.at(Class::General, word.span, text);
            }
        }
        true
    }

    fn parameter(&mut self, word: &Word, value: Option<&'a Word>, context: &mut Context) -> bool {
        let Some(value) = value else {
            let text = format!("No {} parameter specified for {}", word.text, self.first.text);
            context.diagnostics.at(Class::General, word.span, text);
            return false;
        };
        match word.text.as_str() {
            "dev" => self.device(value, context),
            "scope" => self.scope(value, context),
            "label" => self.label(value, context),
            "peer" => self.peer(value, context),
            "preferred_lft" => self.preferred_lifetime(value, context),
            "track_group" => self.track_group(value, context),
            keyword => self.broadcast(keyword, value, context),
        }
    }

    fn device(&mut self, value: &Word, context: &mut Context) -> bool {
        if self.address.interface_given {
            let text = format!(
                "Cannot specify ipaddress device more than once for {}",
                self.first.text
            );
            context.diagnostics.at(Class::General, value.span, text);
            return false;
        }
        let whose = format!("ip address {}", self.first.text);
        let Some(name) = interface(value, &whose, context) else {
            return false;
        };
        self.address.interface = name;
        self.address.interface_given = true;
        true
    }

    fn scope(&mut self, value: &Word, context: &mut Context) -> bool {
        let name = &self.first.text;
        if self.address.network.address.is_ipv6() {
            let text = format!("Cannot specify scope for IPv6 addresses ({name}) - ignoring scope");
            context.diagnostics.at(Class::General, value.span, text);
            return true;
        }
        match Names::Scopes.lookup(context, &value.text) {
            Some(scope) => self.address.scope = scope as u8,
            None => {
                let text = format!("Invalid scope '{}' specified for {name} - ignoring", value.text);
                context.diagnostics.at(Class::General, value.span, text);
            }
        }
        true
    }

    fn label(&mut self, value: &Word, context: &mut Context) -> bool {
        if self.address.network.address.is_ipv6() {
            let text = format!(
                "Cannot specify label for IPv6 addresses ({}) - ignoring label",
                self.first.text
            );
            context.diagnostics.at(Class::General, value.span, text);
            return true;
        }
        if value.text.len() > LABEL_MAX {
            let text = format!(
                "Address label {} is longer than maximum length {LABEL_MAX} - removing address",
                value.text
            );
            context.diagnostics.at(Class::General, value.span, text);
            return false;
        }
        self.address.label = Some(value.text.clone());
        true
    }

    fn broadcast(&mut self, keyword: &str, value: &'a Word, context: &mut Context) -> bool {
        if self.address.network.address.is_ipv6() {
            let text = format!(
                "VRRP is trying to assign a broadcast {keyword} to the IPv6 address {} !!?? WTF... skipping VIP...",
                self.first.text
            );
            context.diagnostics.at(Class::General, value.span, text);
            return false;
        }
        let broadcast = match value.text.as_str() {
            "+" => Broadcast::Ones,
            "-" => Broadcast::Zeros,
            other => match other.parse() {
                Ok(address) => Broadcast::Given(address),
                Err(_) => {
                    let text = format!("VRRP is trying to assign invalid broadcast {other}. skipping VIP...");
                    context.diagnostics.at(Class::General, value.span, text);
                    return false;
                }
            },
        };
        self.broadcast = Some((value, broadcast));
        true
    }

    fn peer(&mut self, value: &Word, context: &mut Context) -> bool {
        let Some(Some(peer)) = ip::network(value, false, context) else {
            let text = format!("Invalid peer address {}", value.text);
            context.diagnostics.at(Class::General, value.span, text);
            return true;
        };
        let own = &mut self.address.network;
        if peer.address.is_ipv4() != own.address.is_ipv4() {
            let text = format!("Peer address {} does not match address family", value.text);
            context.diagnostics.at(Class::General, value.span, text);
            return true;
        }
        if own.prefix != ip::full(own.address) {
            let text = "Cannot specify address prefix when specifying peer address - ignoring";
            context
                .diagnostics
                .at(Class::General, self.first.span, text)
                .help("the prefix length that counts is the peer's");
            own.prefix = ip::full(own.address);
        }
        self.address.peer = Some(peer);
        true
    }

    fn preferred_lifetime(&mut self, value: &Word, context: &mut Context) -> bool {
        if value.text == "forever" {
            self.preferred = Some(Lifetime::Forever);
        } else {
            let max = u64::from(u32::MAX);
            match unsigned(value, 0, max, Strictness::Lenient, context) {
                Some(seconds) => {
                    self.preferred = Some(match u32::try_from(seconds) {
                        Ok(u32::MAX) | Err(_) => Lifetime::Forever,
                        Ok(seconds) => Lifetime::Seconds(seconds),
                    });
                }
                None => {
                    let text = format!("preferred_lft {} is invalid", value.text);
                    context.diagnostics.at(Class::InvalidNumber, value.span, text);
                }
            }
        }
        true
    }

    fn track_group(&mut self, value: &Word, context: &mut Context) -> bool {
        self.address.track_group = track_group(value, context);
        true
    }

    fn finish(mut self, place: Place, context: &mut Context) -> Option<Address> {
        let address = &mut self.address;
        if let Some((word, broadcast)) = self.broadcast {
            let span = word.span;
            if address.peer.is_some() {
                let text = "Cannot specify broadcast and peer addresses - ignoring broadcast address";
                context.diagnostics.at(Class::General, span, text);
            } else {
                address.broadcast = work_out(&broadcast, address.network).or_else(|| {
                    let text = format!(
                        "Address prefix length {} too long for broadcast",
                        address.network.prefix
                    );
                    context.diagnostics.at(Class::General, span, text);
                    None
                });
            }
        }
        let IpNetwork { address: ip, prefix } = address.network;
        address.preferred_given = self.preferred.is_some();
        address.preferred = self.preferred.unwrap_or({
            if ip.is_ipv6() && prefix == 128 {
                Lifetime::Seconds(0)
            } else {
                Lifetime::Forever
            }
        });
        if !address.interface_given {
            match place {
                Place::Instance { interface } => address.interface = interface.to_owned(),
                Place::Static => {
                    let default = &context.config.globals.default_interface;
                    if context.host.interface(default).is_none() {
                        let text = format!(
                            "Static address {} requires either an interface or default interface must exist",
                            self.first.text
                        );
                        context
                            .diagnostics
                            .at(Class::BadInterface, self.first.span, text)
                            .help(format!(
                                "add `dev INTERFACE`, or set default_interface (now {default})"
                            ));
                        return None;
                    }
                    address.interface = default.clone();
                }
            }
        }
        Some(self.address)
    }
}

/// Broadcast address; `None` when the prefix leaves no room for one.
fn work_out(broadcast: &Broadcast, network: IpNetwork) -> Option<Ipv4Addr> {
    let IpAddr::V4(own) = network.address else {
        return None;
    };
    if let Broadcast::Given(address) = broadcast {
        return Some(*address);
    }
    if network.prefix > 30 {
        return None;
    }
    let host_bits = u32::MAX.checked_shr(u32::from(network.prefix)).unwrap_or(0);
    Some(match broadcast {
        Broadcast::Ones => Ipv4Addr::from(u32::from(own) | host_bits),
        _ => Ipv4Addr::from(u32::from(own) & !host_bits),
    })
}

/// `track_group NAME` of a static address, route or rule: the group stands above it.
pub(super) fn track_group(value: &Word, context: &mut Context) -> Option<String> {
    let known = context.config.track_groups.iter().any(|g| g.name == value.text);
    if !known {
        let text = format!("track_group {} not found", value.text);
        context.diagnostics.at(Class::General, value.span, text);
    }
    known.then(|| value.text.clone())
}

#[cfg(test)]
mod tests;
