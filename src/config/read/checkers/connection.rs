//! Where a checker connects to: `connect_ip`, `bindto` and their like.

use super::{Class, Connection, Context, RealServer, Word};
use crate::config::read::value::{Strictness, unsigned, unsigned32};
use std::net::IpAddr;
use std::time::Duration;

/// Longest interface name.
const INTERFACE_MAX: usize = 15;

/// A connection while it is read.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionDraft {
    address: Option<IpAddr>,
    port: Option<u16>,
    bind_address: Option<IpAddr>,
    bind_port: Option<u16>,
    bind_interface: Option<String>,
    mark: u32,
}

impl ConnectionDraft {
    pub(super) fn keyword(&mut self, keyword: &str, word: &Word, context: &mut Context) {
        let value = word.text.as_str();
        let mut complain = |text: String| {
            context.diagnostics.at(Class::General, word.span, text);
        };
        match keyword {
            "connect_ip" => match value.parse::<IpAddr>() {
                Err(_) => complain(format!("Invalid connect_ip address {value} - ignoring")),
                Ok(address)
                    if self
                        .bind_address
                        .is_some_and(|b| b.is_ipv4() != address.is_ipv4()) =>
                {
                    complain(format!(
                        "connect_ip address {value} does not match address family of bindto - skipping"
                    ));
                }
                Ok(address) => self.address = Some(address),
            },
            "bindto" => match value.parse::<IpAddr>() {
                Err(_) => complain(format!("Invalid bindto address {value} - ignoring")),
                Ok(address) if self.address.is_some_and(|a| a.is_ipv4() != address.is_ipv4()) => {
                    complain(format!(
                        "bindto address {value} does not match address family of connect_ip - skipping"
                    ));
                }
                Ok(address) => self.bind_address = Some(address),
            },
            "connect_port" | "bind_port" => {
                let port = unsigned(word, 1, 65535, Strictness::Lenient, context);
                match port.and_then(|p| u16::try_from(p).ok()) {
                    Some(port) if keyword == "connect_port" => self.port = Some(port),
                    Some(port) => self.bind_port = Some(port),
                    None => {
                        let text = format!("Invalid checker {keyword} '{value}'");
                        context.diagnostics.at(Class::InvalidNumber, word.span, text);
                    }
                }
            }
            "bind_if" => {
                if value.len() > INTERFACE_MAX {
                    complain(format!("Interface name {value} is too long - ignoring"));
                } else {
                    self.bind_interface = Some(value.to_owned());
                }
            }
            "fwmark" => match unsigned32(word, 0, u32::MAX, Strictness::Lenient, context) {
                Some(mark) => self.mark = mark,
                None => {
                    let text = format!("Invalid fwmark connection value '{value}'");
                    context.diagnostics.at(Class::InvalidNumber, word.span, text);
                }
            },
            _ => {}
        }
    }

    /// Checks the whole at the end of the block; false drops the checker.
    pub(super) fn check(&self, context: &mut Context) -> bool {
        match self.address {
            Some(IpAddr::V6(address)) if address.is_unicast_link_local() && self.bind_interface.is_none() => {
                let text = format!("Checker link local address {address} requires a bind_if");
                context.complain(Class::General, text);
                false
            }
            _ => true,
        }
    }

    pub(super) fn complete(self, real: &RealServer, timeout: Duration) -> Connection {
        Connection {
            address: self.address.unwrap_or(real.address),
            port: self.port.unwrap_or(real.port),
            bind_address: self.bind_address,
            bind_port: self.bind_port,
            bind_interface: self.bind_interface,
            timeout,
            mark: self.mark,
        }
    }
}
