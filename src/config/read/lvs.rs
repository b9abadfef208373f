//! `virtual_server`, `virtual_server_group`, `SSL`.

use super::checkers::CheckerDraft;
use super::value::{Strictness, missing, unsigned, unsigned32};
use super::{Class, Context, Flow, Keyword, Line, Section, Word};
use crate::model::lvs::{
    GroupEntry, Method, RealServer, SchedulerFlags, ServerGroup, Service, SorryServer, SslContext, Timing,
    VirtualServer,
};
use crate::model::route::Family;
use crate::model::secret::Secret;
use std::net::IpAddr;

mod complete;
mod group;
mod method;
mod notify;
mod real;
mod security;
mod server;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod timing;

/// The reader.
#[derive(Debug, Default)]
pub struct Lvs {
    server: Option<ServerDraft>,
    group: Option<ServerGroup>,
    ssl: SslContext,
    done: Vec<ServerDraft>,
}

/// A virtual server while it is read: the model, and what is not decided before the end.
#[derive(Debug)]
struct ServerDraft {
    server: VirtualServer,
    method: Option<Method>,
    sorry_method: Option<Method>,
    smtp_alert: Option<bool>,
    real: Option<RealDraft>,
    reals: Vec<RealDraft>,
}

/// A real server while it is read.
#[derive(Debug)]
struct RealDraft {
    server: RealServer,
    weight: Option<u32>,
    method: Option<Method>,
    inhibit: Option<bool>,
    smtp_alert: Option<bool>,
    checker: Option<CheckerDraft>,
    checkers: Vec<CheckerDraft>,
}

impl Section for Lvs {
    fn keyword(&mut self, keyword: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        match (keyword.block, keyword.name) {
            ("(root)", "SSL") => self.begin_ssl(context),
            ("(root)", "virtual_server_group") => self.begin_group(line, context),
            ("(root)", _) => self.begin_server(line, context),
            ("SSL", name) => self.ssl(name, line, context),
            (block, _) => match self.server.as_mut() {
                None => Flow::Continue,
                Some(server) if block == "virtual_server" => server.keyword(keyword.name, line, context),
                Some(server) => match server.real.as_mut() {
                    None => Flow::Continue,
                    Some(real) => {
                        let name = server
                            .server
                            .real_server_name(real.server.address, real.server.port);
                        match real.checker.as_mut() {
                            _ if block == "virtual_server/real_server" => {
                                real.keyword(keyword.name, line, &name, context)
                            }
                            Some(checker) => checker.keyword(keyword, line, &name, context),
                            None => Flow::Continue,
                        }
                    }
                },
            },
        }
    }

    fn entry(&mut self, _list: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        match self.group.as_mut() {
            Some(group) => group::entry(line, group, context),
            None => Flow::Continue,
        }
    }

    fn end(&mut self, block: &'static Keyword, context: &mut Context) {
        match (block.block, block.name) {
            ("(root)", "SSL") => context.config.lvs.ssl = Some(std::mem::take(&mut self.ssl)),
            ("(root)", "virtual_server_group") => {
                if let Some(group) = self.group.take() {
                    group::end(group, context);
                }
            }
            ("(root)", _) => {
                if let Some(server) = self.server.take()
                    && let Some(server) = server.end(context)
                {
                    self.done.push(server);
                }
            }
            (path, name) => {
                let Some(server) = self.server.as_mut() else {
                    return;
                };
                if path == "virtual_server" {
                    server.end_real(context);
                } else if let Some(real) = server.real.as_mut() {
                    let shown = server
                        .server
                        .real_server_name(real.server.address, real.server.port);
                    if path == "virtual_server/real_server" {
                        let checkers = real.checker.take().map(|c| c.end(&shown, context));
                        real.checkers.extend(checkers.into_iter().flatten());
                    } else if let Some(checker) = real.checker.as_mut() {
                        checker.end_inner(name, context);
                    }
                }
            }
        }
    }

    fn finish(&mut self, context: &mut Context) {
        for draft in std::mem::take(&mut self.done) {
            if let Some(server) = complete::server(draft, context) {
                context.config.lvs.servers.push(server);
            }
        }
        security::inspect(context);
    }
}

impl Lvs {
    fn begin_ssl(&mut self, context: &mut Context) -> Flow {
        if context.config.lvs.ssl.is_some() {
            context.complain(Class::General, "SSL context already specified - replacing");
        }
        self.ssl = SslContext::default();
        Flow::Continue
    }

    fn ssl(&mut self, name: &str, line: &Line, context: &mut Context) -> Flow {
        let Some(value) = line.text(1) else {
            return missing(line, 1, context);
        };
        let value = Some(value.to_owned());
        match name {
            "password" => self.ssl.password = value.map(Secret::new),
            "ca" => self.ssl.ca = value,
            "certificate" => self.ssl.certificate = value,
            _ => self.ssl.key = value,
        }
        Flow::Continue
    }

    fn begin_group(&mut self, line: &Line, context: &mut Context) -> Flow {
        let Some(name) = line.text(1) else {
            return missing(line, 1, context);
        };
        self.group = Some(ServerGroup {
            name: name.to_owned(),
            entries: Vec::new(),
        });
        Flow::Continue
    }

    fn begin_server(&mut self, line: &Line, context: &mut Context) -> Flow {
        let Some(first) = line.words.get(1) else {
            return missing(line, 1, context);
        };
        let service = match first.text.as_str() {
            "fwmark" => {
                let Some(value) = line.words.get(2) else {
                    return missing(line, 2, context);
                };
                match unsigned32(value, 0, u32::MAX, Strictness::Lenient, context) {
                    Some(mark) => Service::Mark(mark),
                    None => {
                        let text = format!(
                            "virtual server fwmark '{}' must be in [0, {}] - ignoring",
                            value.text,
                            u32::MAX
                        );
                        context.diagnostics.at(Class::General, value.span, text);
                        return Flow::SkipBlock;
                    }
                }
            }
            "group" => {
                let Some(name) = line.text(2) else {
                    return missing(line, 2, context);
                };
                let before = self
                    .done
                    .iter()
                    .filter(|d| matches!(&d.server.service, Service::Group(group, _) if group == name));
                Service::Group(name.to_owned(), before.count() as u32)
            }
            _ => match address_and_port(first, line.words.get(2), context) {
                Some((address, port)) => Service::Address(address, port),
                None => {
                    let text = format!(
                        "Invalid virtual server IP address/port {}{} - skipping",
                        first.text,
                        slash(line.text(2))
                    );
                    context.diagnostics.at(Class::General, first.span, text);
                    return Flow::SkipBlock;
                }
            },
        };
        let family = match &service {
            Service::Address(address, _) => Some(family_of(*address)),
            Service::Mark(_) => None,
            Service::Group(name, _) => group::family(name, context),
        };
        self.server = Some(ServerDraft::new(service, family));
        Flow::Continue
    }
}

impl ServerDraft {
    fn new(service: Service, family: Option<Family>) -> Self {
        Self {
            server: VirtualServer {
                service,
                protocol: None,
                family,
                timing: Timing::default(),
                inhibit: false,
                scheduler: String::new(),
                flags: SchedulerFlags::default(),
                method: Method::default(),
                persistence_engine: None,
                persistence_timeout: None,
                persistence_granularity: None,
                ha_suspend: false,
                smtp_alert: false,
                virtual_host: None,
                snmp_name: None,
                omega: false,
                quorum_up: None,
                quorum_down: None,
                quorum: 1,
                hysteresis: 0,
                weight: 1,
                sorry_server: None,
                real_servers: Vec::new(),
            },
            method: None,
            sorry_method: None,
            smtp_alert: None,
            real: None,
            reals: Vec::new(),
        }
    }

    /// The block is closed. Without real servers nothing is left of it.
    fn end(self, context: &mut Context) -> Option<Self> {
        if self.reals.is_empty() {
            context
                .complain(
                    Class::General,
                    format!("Virtual server {} has no real servers - ignoring", self.server),
                )
                .help("add a `real_server IP PORT { ... }`");
            return None;
        }
        Some(self)
    }
}

/// `IP [PORT]`. `None`: one of them is wrong; what is wrong with the number has been reported.
fn address_and_port(address: &Word, port: Option<&Word>, context: &mut Context) -> Option<(IpAddr, u16)> {
    let port = match port {
        None => 0,
        Some(word) if word.text == "0" => 0,
        Some(word) => unsigned(word, 1, 65535, Strictness::Lenient, context)
            .and_then(|port| u16::try_from(port).ok())?,
    };
    Some((address.text.parse().ok()?, port))
}

/// `/PORT` as complaints show it.
fn slash(port: Option<&str>) -> String {
    port.map_or_else(String::new, |port| format!("/{port}"))
}

fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Inet,
        IpAddr::V6(_) => Family::Inet6,
    }
}
