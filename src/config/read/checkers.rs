//! Checkers: the blocks in `real_server`.

use super::lvs::timing::{Level, timing};
use super::value::missing;
use super::{Class, Context, Flow, Keyword, Line, Word};
use crate::config::number;
use crate::model::lvs::{
    Checker, CheckerKind, Connection, DnsCheck, FileCheck, HttpCheck, RealServer, Timing, UdpCheck,
    VirtualServer,
};
use std::time::Duration;

mod connection;
mod hex;
mod http;
mod kinds;
#[cfg(test)]
mod tests;

use connection::ConnectionDraft;
use http::HttpDraft;
use kinds::{DnsDraft, FileDraft, MiscDraft, UdpDraft};

/// `helo_name` where nothing sets it.
const HELO: &str = "smtpchecker.keepalived.org";

/// A checker while it is read.
#[derive(Debug)]
pub(super) struct CheckerDraft {
    timing: Timing,
    log_all_failures: bool,
    connection: ConnectionDraft,
    kind: KindDraft,
}

#[derive(Debug)]
enum KindDraft {
    Tcp,
    Ping,
    Http(HttpDraft),
    Smtp {
        helo: Option<String>,
        host: Option<ConnectionDraft>,
        hosts: Vec<ConnectionDraft>,
    },
    Dns(DnsDraft),
    Misc(MiscDraft),
    Udp(UdpDraft),
    File(FileDraft),
    Bfd(Option<BfdName>),
}

/// `name` of a BFD_CHECK.
#[derive(Debug)]
struct BfdName {
    name: String,
    /// There is such an instance above; else it was reported.
    known: bool,
}

impl CheckerDraft {
    /// A checker by its keyword.
    pub(super) fn new(keyword: &str) -> Option<Self> {
        let kind = match keyword {
            "TCP_CHECK" => KindDraft::Tcp,
            "PING_CHECK" => KindDraft::Ping,
            "HTTP_GET" => KindDraft::Http(HttpDraft::new(false)),
            "SSL_GET" => KindDraft::Http(HttpDraft::new(true)),
            "SMTP_CHECK" => KindDraft::Smtp {
                helo: None,
                host: None,
                hosts: Vec::new(),
            },
            "DNS_CHECK" => KindDraft::Dns(DnsDraft::default()),
            "MISC_CHECK" => KindDraft::Misc(MiscDraft::default()),
            "UDP_CHECK" => KindDraft::Udp(UdpDraft::default()),
            "FILE_CHECK" => KindDraft::File(FileDraft::default()),
            "BFD_CHECK" => KindDraft::Bfd(None),
            _ => return None,
        };
        Some(Self {
            timing: Timing::default(),
            log_all_failures: false,
            connection: ConnectionDraft::default(),
            kind,
        })
    }

    /// A keyword in its block, or in a block in that.
    /// `server` is the name of its real server.
    pub(super) fn keyword(
        &mut self,
        keyword: &'static Keyword,
        line: &Line,
        server: &str,
        context: &mut Context,
    ) -> Flow {
        let name = keyword.name;
        if let KindDraft::Smtp { host, .. } = &mut self.kind {
            if name == "host" {
                *host = Some(ConnectionDraft::default());
                return Flow::Continue;
            }
            if let Some(host) = host {
                return common(
                    name,
                    line,
                    &mut self.timing,
                    &mut self.log_all_failures,
                    host,
                    context,
                );
            }
        }
        if let KindDraft::Http(http) = &mut self.kind
            && http.owns(keyword)
        {
            return http.keyword(name, line, context);
        }
        let own = match &mut self.kind {
            KindDraft::Smtp { helo, .. } if name == "helo_name" => {
                return helo_name(helo, line, context);
            }
            KindDraft::Http(_) if name == "nb_get_retry" => {
                let text = "nb_get_retry is deprecated - please use 'retry'";
                context.complain(Class::Deprecated, text);
                timing("retry", line, Level::Checker, &mut self.timing, context);
                return Flow::Continue;
            }
            KindDraft::Dns(dns) => dns.keyword(name, line, context),
            KindDraft::Misc(misc) => misc.keyword(name, line, context),
            KindDraft::Udp(udp) => udp.keyword(name, line, context),
            KindDraft::File(file) => file.keyword(name, line, context),
            KindDraft::Bfd(bfd) if name == "name" => match line.text(1) {
                None => Some(missing(line, 1, context)),
                Some(text) => {
                    *bfd = Some(bfd_name(text, server, context));
                    Some(Flow::Continue)
                }
            },
            _ => None,
        };
        own.unwrap_or_else(|| {
            common(
                name,
                line,
                &mut self.timing,
                &mut self.log_all_failures,
                &mut self.connection,
                context,
            )
        })
    }

    /// A block in the checker's block is closed.
    pub(super) fn end_inner(&mut self, block: &str, context: &mut Context) {
        match &mut self.kind {
            KindDraft::Smtp { host, hosts, .. } if block == "host" => hosts.extend(host.take()),
            KindDraft::Http(http) if block == "url" => http.end_url(context),
            _ => {}
        }
    }

    /// The block is closed: what is left of it (SMTP_CHECK has one for each host). `server` is the name of
    /// its real server.
    pub(super) fn end(mut self, server: &str, context: &mut Context) -> Vec<Self> {
        let keep = match &mut self.kind {
            KindDraft::Tcp | KindDraft::Ping | KindDraft::Dns(_) => true,
            KindDraft::Smtp { hosts, helo, .. } => {
                let hosts = std::mem::take(hosts);
                if !hosts.is_empty() {
                    let helo = helo.take();
                    return hosts
                        .into_iter()
                        .filter(|host| host.check(context))
                        .map(|connection| Self {
                            timing: self.timing,
                            log_all_failures: self.log_all_failures,
                            connection,
                            kind: KindDraft::Smtp {
                                helo: helo.clone(),
                                host: None,
                                hosts: Vec::new(),
                            },
                        })
                        .collect();
                }
                true
            }
            KindDraft::Http(http) => http.end(context),
            KindDraft::Misc(misc) => misc.end(context),
            KindDraft::Udp(udp) => udp.end(context),
            KindDraft::File(file) => file.end(context),
            KindDraft::Bfd(Some(bfd)) => bfd.known,
            KindDraft::Bfd(None) => {
                let text = format!("({server}) No name has been specified for BFD_CHECKER - skipping");
                context.complain(Class::General, text);
                false
            }
        };
        if keep && self.connection.check(context) {
            vec![self]
        } else {
            Vec::new()
        }
    }

    /// With everything that it inherits.
    pub(super) fn complete(self, real: &RealServer, server: &VirtualServer, context: &Context) -> Checker {
        let own = self.timing;
        let all = own.or(real.timing);
        let delay_loop = all.delay_loop.unwrap_or_default();
        let timeout = all.connect_timeout.unwrap_or_default();
        let connection = self.connection.complete(real, timeout);
        let (retry, delay_before_retry) = match self.kind {
            KindDraft::Dns(_) => (3, delay_loop),
            KindDraft::Misc(_) => (0, Duration::from_secs(1)),
            KindDraft::Http(_) => (1, Duration::from_secs(3)),
            _ => (1, Duration::from_secs(1)),
        };
        let kind = match self.kind {
            KindDraft::Tcp => CheckerKind::Tcp(connection),
            KindDraft::Ping => CheckerKind::Ping(connection),
            KindDraft::Http(http) => CheckerKind::Http(Box::new(http.complete(connection, real, server))),
            KindDraft::Smtp { helo, .. } => CheckerKind::Smtp {
                connection,
                helo: helo.unwrap_or_else(|| HELO.to_owned()),
            },
            KindDraft::Dns(dns) => CheckerKind::Dns(dns.complete(connection)),
            KindDraft::Misc(misc) => misc.complete(delay_loop),
            KindDraft::Udp(udp) => CheckerKind::Udp(udp.complete(connection)),
            KindDraft::File(file) => CheckerKind::File(file.complete(context)),
            KindDraft::Bfd(bfd) => CheckerKind::Bfd {
                name: bfd.map_or_else(String::new, |bfd| bfd.name),
            },
        };
        Checker {
            alpha: all.alpha.unwrap_or(false),
            delay_loop,
            warmup: all.warmup.unwrap_or(delay_loop),
            retry: all.retry.unwrap_or(retry),
            delay_before_retry: all.delay_before_retry.unwrap_or(delay_before_retry),
            log_all_failures: self.log_all_failures,
            kind,
        }
    }
}

/// The keywords that all checkers have.
fn common(
    name: &str,
    line: &Line,
    times: &mut Timing,
    log_all_failures: &mut bool,
    connection: &mut ConnectionDraft,
    context: &mut Context,
) -> Flow {
    match name {
        "alpha" => {
            timing(name, line, Level::Checker, times, context);
        }
        "log_all_failures" => {
            if let Some(on) = switch(name, line, context) {
                *log_all_failures = on;
            }
        }
        _ => {
            let Some(word) = line.words.get(1) else {
                return missing(line, 1, context);
            };
            if !timing(name, line, Level::Checker, times, context) {
                connection.keyword(name, word, context);
            }
        }
    }
    Flow::Continue
}

/// `[on|off]`: nothing is on; `None` has been reported.
fn switch(name: &str, line: &Line, context: &mut Context) -> Option<bool> {
    let Some(word) = line.words.get(1) else {
        return Some(true);
    };
    let on = number::boolean(&word.text);
    if on.is_none() {
        let text = format!("Invalid {name} parameter {}", word.text);
        context.diagnostics.at(Class::General, word.span, text);
    }
    on
}

fn helo_name(helo: &mut Option<String>, line: &Line, context: &mut Context) -> Flow {
    let Some(name) = line.text(1) else {
        return missing(line, 1, context);
    };
    if helo.is_some() {
        context.complain(Class::General, "SMTP_CHECK helo name already specified");
    } else {
        *helo = Some(name.to_owned());
    }
    Flow::Continue
}

fn bfd_name(name: &str, server: &str, context: &mut Context) -> BfdName {
    let known = context.config.bfd.iter().any(|b| b.name == name);
    if !known {
        let text = format!("({server}) BFD_CHECK - BFD {name} not configured");
        context.complain(Class::General, text);
    }
    BfdName {
        name: name.to_owned(),
        known,
    }
}
