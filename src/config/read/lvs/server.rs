//! The keywords of `virtual_server`.

use super::method::method;
use super::notify::script;
use super::timing::{Level, timing};
use super::{
    Class, Context, Family, Flow, Line, Method, RealDraft, ServerDraft, SorryServer, Word, address_and_port,
    family_of, missing, slash,
};
use crate::config::number;
use crate::config::read::value::{Strictness, unsigned, unsigned32};
use crate::model::lvs::{Granularity, Protocol};

/// Schedulers of IPVS.
const SCHEDULERS: [&str; 14] = [
    "rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos",
];
/// `persistence_timeout` without a value, seconds.
pub(super) const PERSISTENCE_DEFAULT: u32 = 360;
/// Largest `persistence_timeout`, seconds: 31 days.
const PERSISTENCE_MAX: u32 = 31 * 24 * 3600;
/// Largest weight.
pub(super) const WEIGHT_MAX: u32 = 65535;
/// Longest name of a persistence engine.
const ENGINE_MAX: usize = 15;

impl ServerDraft {
    pub(super) fn keyword(&mut self, keyword: &str, line: &Line, context: &mut Context) -> Flow {
        let server = &mut self.server;
        match keyword {
            "real_server" => return self.begin_real(line, context),
            "inhibit_on_failure" => server.inhibit = true,
            "hashed" | "ops" | "flag-1" | "flag-2" | "flag-3" | "sh-port" | "sh-fallback" | "mh-port"
            | "mh-fallback" => self.flag(keyword, context),
            "ha_suspend" => server.ha_suspend = true,
            "omega" => server.omega = true,
            "persistence_timeout" => self.persistence_timeout(line.words.get(1), context),
            "smtp_alert" => match line.words.get(1) {
                None => self.smtp_alert = Some(true),
                Some(word) => match number::boolean(&word.text) {
                    Some(on) => self.smtp_alert = Some(on),
                    None => {
                        let text = format!("Invalid virtual_server smtp_alert parameter {}", word.text);
                        context.diagnostics.at(Class::General, word.span, text);
                    }
                },
            },
            "sorry_server_inhibit" => match server.sorry_server.as_mut() {
                Some(sorry) => sorry.inhibit = true,
                None => {
                    let text = "Ignoring sorry_server inhibit used before or without sorry_server";
                    context.complain(Class::General, text);
                }
            },
            "alpha" => {
                timing(keyword, line, Level::Server, &mut server.timing, context);
            }
            _ => {
                let Some(word) = line.words.get(1) else {
                    return missing(line, 1, context);
                };
                self.value(keyword, word, line, context);
            }
        }
        Flow::Continue
    }

    fn value(&mut self, keyword: &str, word: &Word, line: &Line, context: &mut Context) {
        let server = &mut self.server;
        let value = word.text.as_str();
        match keyword {
            "ip_family" => self.family(word, context),
            "lb_algo" | "lvs_sched" => {
                if SCHEDULERS.contains(&value) {
                    value.clone_into(&mut server.scheduler);
                } else {
                    let text = format!("Invalid lvs_scheduler '{value}' - ignoring");
                    context
                        .diagnostics
                        .at(Class::General, word.span, text)
                        .help(format!("schedulers: {}", SCHEDULERS.join(" ")));
                }
            }
            "lb_kind" | "lvs_method" => {
                if let Some(read) = method(line, "virtual server", context) {
                    self.method = Some(read);
                }
            }
            "persistence_engine" => {
                let mut name = value.to_owned();
                if name.len() > ENGINE_MAX {
                    let text = format!("persistence_name too long, truncating - {value}");
                    context.diagnostics.at(Class::General, word.span, text);
                    while name.len() > ENGINE_MAX {
                        name.pop();
                    }
                }
                server.persistence_engine = Some(name);
            }
            "persistence_granularity" => self.granularity(word, context),
            "protocol" => match value.to_ascii_uppercase().as_str() {
                "TCP" => server.protocol = Some(Protocol::Tcp),
                "UDP" => server.protocol = Some(Protocol::Udp),
                "SCTP" => server.protocol = Some(Protocol::Sctp),
                _ => {
                    let text = format!("Unknown protocol {value} - ignoring");
                    context.diagnostics.at(Class::General, word.span, text);
                }
            },
            "virtualhost" => server.virtual_host = Some(value.to_owned()),
            "snmp_name" => server.snmp_name = Some(value.to_owned()),
            "quorum_up" => {
                let name = server.to_string();
                script(line, &name, &mut server.quorum_up, context);
            }
            "quorum_down" => {
                let name = server.to_string();
                script(line, &name, &mut server.quorum_down, context);
            }
            "quorum" => {
                server.quorum =
                    unsigned32(word, 1, u32::MAX, Strictness::Lenient, context).unwrap_or_else(|| {
                        let text = format!("Quorum {value} must be in [1, {}]. Setting to 1.", u32::MAX);
                        context.diagnostics.at(Class::InvalidNumber, word.span, text);
                        1
                    });
            }
            "hysteresis" => match unsigned32(word, 0, u32::MAX, Strictness::Lenient, context) {
                Some(hysteresis) => server.hysteresis = hysteresis,
                None => {
                    let text = format!("Hysteresis {value} must be in [0, {}] - ignoring", u32::MAX);
                    context.diagnostics.at(Class::InvalidNumber, word.span, text);
                }
            },
            "weight" => match unsigned32(word, 1, WEIGHT_MAX, Strictness::Lenient, context) {
                Some(weight) => server.weight = weight,
                None => {
                    let text = format!("Virtual server weight {value} is outside range 1-{WEIGHT_MAX}");
                    context.diagnostics.at(Class::InvalidNumber, word.span, text);
                }
            },
            "sorry_server" => match address_and_port(word, line.words.get(2), context) {
                Some((address, port)) => {
                    server.sorry_server = Some(SorryServer {
                        address,
                        port,
                        inhibit: false,
                        method: Method::default(),
                    });
                }
                None => {
                    let text = format!("Invalid sorry server IP address {value} - skipping");
                    context.diagnostics.at(Class::General, word.span, text);
                }
            },
            "sorry_server_lvs_method" => {
                if server.sorry_server.is_none() {
                    let text = "sorry_server forwarding used without sorry_server";
                    context.complain(Class::General, text);
                } else if let Some(read) = method(line, "sorry server", context) {
                    self.sorry_method = Some(read);
                }
            }
            _ => {
                timing(keyword, line, Level::Server, &mut server.timing, context);
            }
        }
    }

    fn flag(&mut self, keyword: &str, context: &mut Context) {
        let flags = &mut self.server.flags;
        match keyword {
            "ops" => flags.one_packet = true,
            "flag-1" => flags.flag1 = true,
            "flag-2" => flags.flag2 = true,
            "flag-3" => flags.flag3 = true,
            _ => {
                let needs = &keyword[..2];
                let scheduler = self.server.scheduler.as_str();
                let fits = match keyword {
                    "hashed" => matches!(scheduler, "sh" | "mh"),
                    _ => scheduler == needs,
                };
                if !fits {
                    let text = format!("{keyword} only applies to sh scheduler - ignoring");
                    context.complain(Class::General, text);
                } else if keyword.ends_with("fallback") {
                    flags.flag1 = true;
                } else if keyword.ends_with("port") {
                    flags.flag2 = true;
                }
            }
        }
    }

    fn family(&mut self, word: &Word, context: &mut Context) {
        let family = match word.text.as_str() {
            "inet" => Family::Inet,
            "inet6" => Family::Inet6,
            other => {
                let text = format!("unknown address family {other}");
                context.diagnostics.at(Class::General, word.span, text);
                return;
            }
        };
        if self.server.family.is_some_and(|f| f != family) {
            let text = format!(
                "Virtual server specified family {} conflicts with server family",
                word.text
            );
            context.diagnostics.at(Class::General, word.span, text);
            return;
        }
        self.server.family = Some(family);
    }

    fn persistence_timeout(&mut self, word: Option<&Word>, context: &mut Context) {
        let Some(word) = word else {
            self.server.persistence_timeout = Some(PERSISTENCE_DEFAULT);
            return;
        };
        match unsigned32(word, 1, PERSISTENCE_MAX, Strictness::Lenient, context) {
            Some(seconds) => self.server.persistence_timeout = Some(seconds),
            None => {
                let text = "persistence_timeout invalid";
                context.diagnostics.at(Class::InvalidNumber, word.span, text);
            }
        }
    }

    fn granularity(&mut self, word: &Word, context: &mut Context) {
        let read = if self.server.family == Some(Family::Inet6) {
            let read = unsigned(word, 1, 128, Strictness::Lenient, context);
            read.map(|prefix| Granularity::Prefix(prefix as u8))
        } else {
            mask(&word.text).map(Granularity::Mask)
        };
        match read {
            Some(granularity) => {
                self.server.persistence_granularity = Some(granularity);
                self.server.persistence_timeout.get_or_insert(PERSISTENCE_DEFAULT);
            }
            None => {
                let family = if self.server.family == Some(Family::Inet6) {
                    6
                } else {
                    4
                };
                let text = format!(
                    "Invalid IPv{family} persistence_granularity specified - {}",
                    word.text
                );
                context.diagnostics.at(Class::General, word.span, text);
            }
        }
    }

    fn begin_real(&mut self, line: &Line, context: &mut Context) -> Flow {
        let Some(first) = line.words.get(1) else {
            return missing(line, 1, context);
        };
        let Some((address, port)) = address_and_port(first, line.words.get(2), context) else {
            let text = format!(
                "Invalid real server ip address/port {}{} - skipping",
                first.text,
                slash(line.text(2))
            );
            context.diagnostics.at(Class::General, first.span, text);
            return Flow::SkipBlock;
        };
        self.real = Some(RealDraft::new(address, port));
        Flow::Continue
    }

    /// The block of a real server is closed. Only tunnels lead to the other address family.
    pub(super) fn end_real(&mut self, context: &mut Context) {
        let Some(real) = self.real.take() else {
            return;
        };
        let address = real.server.address;
        let family = *self.server.family.get_or_insert(family_of(address));
        let method = real.method.or(self.method);
        if family != family_of(address) && !matches!(method, Some(Method::Tun(_))) {
            let text = format!(
                "Address family of virtual server and real server {address} don't match - skipping real server."
            );
            context.complain(Class::General, text);
            return;
        }
        self.reals.push(real);
    }
}

/// A mask as inet_aton(3) reads it: with one to four numbers.
fn mask(text: &str) -> Option<std::net::Ipv4Addr> {
    if let Ok(mask) = text.parse() {
        return Some(mask);
    }
    text.parse::<u32>().ok().map(std::net::Ipv4Addr::from)
}
