//! HTTP_GET and SSL_GET: one url after the other, each over a connection of its own.

pub mod exchange;
pub mod judge;
pub mod tls;

use super::connect::{self, ConnectError};
use super::schedule::Turn;
use super::{Desk, random};
use crate::model::lvs::{Connection, HttpCheck, Url};
use crate::state::check::CheckVerdict;
use exchange::{ExchangeError, Patience, Question, ask};
use judge::{Fault, Judge, Wanted};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tls::Tls;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tracing::info;

/// A failed attempt.
enum Trouble {
    /// The server is not as it should be.
    Fault(Fault),
    /// The socket could not be made: nothing was learned.
    Postponed(String),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

/// Runs the checker until nobody listens.
pub(super) async fn run(mut desk: Box<Desk>, http: &HttpCheck) {
    let mut urls: Vec<Wanted> = http.urls.iter().map(Wanted::new).collect();
    let mut session = Session {
        http,
        tls: desk.job.means.tls.clone(),
        whole: desk.schedule.delay_loop.max(http.connection.timeout * 4),
        told: None,
        lengths: vec![None; urls.len()],
    };
    tokio::time::sleep(desk.schedule.first(random())).await;
    let mut postponed = None;
    while !desk.reports.is_closed() {
        let number = desk.standing().url;
        let Some(wanted) = urls.get_mut(number) else {
            // Fewer urls than the predecessor had; there is at least one.
            desk.standing().url = 0;
            if urls.is_empty() {
                return;
            }
            continue;
        };
        let delay = match Box::pin(session.attempt(&desk, number, wanted)).await {
            Ok(()) => {
                postponed = None;
                good(&mut desk, http, wanted)
            }
            Err(Trouble::Fault(fault)) => {
                postponed = None;
                bad(&mut desk, http, &fault)
            }
            Err(Trouble::Postponed(why)) => {
                if postponed.as_ref() != Some(&why) {
                    info!(target: "checkers", "WEB connection fail to create socket. Rescheduling.");
                    let server = &desk.job.real_server;
                    let keyword = desk.job.checker.kind.keyword();
                    info!(target: "checkers", "{keyword} of {server} could not run: {why}");
                }
                postponed = Some(why);
                desk.schedule.delay_loop
            }
        };
        tokio::time::sleep(delay).await;
    }
}

fn good(desk: &mut Desk, http: &HttpCheck, wanted: &Wanted<'_>) -> Duration {
    let schedule = desk.schedule;
    let was_up = desk.standing().up;
    let count = http.urls.len();
    let step = schedule.take_url(&mut desk.standing(), true, count, http.fast_recovery);
    let server = desk.job.real_server.clone();
    if !was_up {
        info!(target: "checkers", "{} success to {server} url({})", wanted.success(), wanted.url.path);
    }
    if step.turn == Turn::Up {
        info!(target: "checkers", "Remote Web server {server} succeed on service.");
        desk.report(CheckVerdict::Up);
    }
    step.delay
}

fn bad(desk: &mut Desk, http: &HttpCheck, fault: &Fault) -> Duration {
    let schedule = desk.schedule;
    let tells_all = desk.tells_all();
    let count = http.urls.len();
    let step = schedule.take_url(&mut desk.standing(), false, count, http.fast_recovery);
    let server = &desk.job.real_server;
    if tells_all {
        info!(target: "checkers", "{} server {server}.", fault.what);
    }
    if let Turn::Down { retries } = step.turn {
        let word = if http.tls { "SSL_CHECK" } else { "HTTP_CHECK" };
        match retries {
            Some(n) => info!(target: "checkers", "{word} on service {server} failed after {n} retries."),
            None => info!(target: "checkers", "{word} on service {server} failed."),
        }
        desk.report(CheckVerdict::Down {
            reason: fault.reason.clone(),
        });
    }
    step.delay
}

/// What lasts from check to check.
struct Session<'a> {
    http: &'a HttpCheck,
    tls: Option<Tls>,
    /// For a whole response.
    whole: Duration,
    /// The trouble with TLS that was explained last.
    told: Option<String>,
    /// The wrong length of each url that was told last.
    lengths: Vec<Option<(u64, u64)>>,
}

impl Session<'_> {
    async fn attempt(&mut self, desk: &Desk, number: usize, wanted: &mut Wanted<'_>) -> Result<(), Trouble> {
        let connection = &self.http.connection;
        let mut stream = connect::tcp(connection).await.map_err(refused)?;
        let mut judge = Judge::new(wanted);
        let question = self.question(wanted.url);
        let patience = Patience {
            pause: connection.timeout,
            whole: self.whole,
        };
        let asked = if self.http.tls {
            let handshake = self.handshake(desk, stream, wanted.url).await;
            let mut stream = handshake?;
            let asked = ask(&mut stream, &question, patience, &mut judge).await;
            if wanted.url.tls_compliant.unwrap_or(self.http.tls_compliant) {
                let _ = timeout(connection.timeout, stream.shutdown()).await;
            }
            asked
        } else {
            ask(&mut stream, &question, patience, &mut judge).await
        };
        match asked {
            Ok(()) => self.set_length(number, None),
            Err(error) => return Err(self.unanswered(desk, number, &question, error).into()),
        };
        Ok(judge.verdict(wanted)?)
    }

    fn question(&self, url: &Url) -> Question {
        let virtual_host = url.virtual_host.as_ref().or(self.http.virtual_host.as_ref());
        Question {
            path: url.path.clone(),
            host: virtual_host
                .cloned()
                .unwrap_or_else(|| host(&self.http.connection)),
            protocol: self.http.protocol,
        }
    }

    async fn handshake(
        &mut self,
        desk: &Desk,
        stream: tokio::net::TcpStream,
        url: &Url,
    ) -> Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>, Trouble> {
        let http = self.http;
        let Some(tls) = &self.tls else {
            return Err(Trouble::Postponed("the SSL block could not be used".to_owned()));
        };
        let indicated = http.enable_sni || http.sni_name.is_some();
        let hosts = [&http.sni_name, &url.virtual_host, &http.virtual_host];
        let name = hosts.into_iter().flatten().next().filter(|_| indicated);
        let name = name.map(|name| without_port(name));
        let shaking = tls.connect(stream, http.connection.address, name);
        match timeout(http.connection.timeout, shaking).await {
            Ok(Ok(stream)) => {
                self.told = None;
                Ok(stream)
            }
            Ok(Err(reason)) => {
                // keepalived's words do not say what to do about it.
                if self.told.as_ref() != Some(&reason) {
                    info!(target: "checkers", "SSL_GET of {}: {reason}", desk.job.real_server);
                }
                self.told = Some(reason.clone());
                Err(Trouble::Fault(Fault {
                    what: "SSL handshake/communication error",
                    reason,
                }))
            }
            Err(_) => Err(Trouble::Fault(Fault {
                what: "Timeout connecting",
                reason: format!(
                    "the TLS handshake is not complete after {:.3} s",
                    http.connection.timeout.as_secs_f64()
                ),
            })),
        }
    }

    fn unanswered(&mut self, desk: &Desk, number: usize, question: &Question, error: ExchangeError) -> Fault {
        let tls = self.http.tls;
        if let ExchangeError::Length { announced, received } = error
            && self.set_length(number, Some((announced, received)))
        {
            let job = &desk.job;
            // Only where it is configured.
            let host = if self.host_is_named(number) {
                question.host.as_str()
            } else {
                ""
            };
            info!(
                target: "checkers",
                "http_check for RS {} VS {} url {}{}: content_length ({announced}) does not match received bytes ({received})",
                job.real_server, job.virtual_server, host, question.path
            );
        }
        let what = match &error {
            ExchangeError::Request(_) | ExchangeError::Send(_) => "Cannot send get request to",
            ExchangeError::NoData => "Read, no data received from ",
            ExchangeError::Pause(_, false) => "Timeout WEB read",
            ExchangeError::Pause(_, true) | ExchangeError::Whole(_) if tls => "Timeout SSL read",
            ExchangeError::Pause(_, true) | ExchangeError::Whole(_) => "Timeout HTTP read",
            _ if tls => "SSL read error from",
            _ => "Read error with",
        };
        Fault {
            what,
            reason: error.to_string(),
        }
    }

    fn host_is_named(&self, number: usize) -> bool {
        let url = self.http.urls.get(number);
        self.http.virtual_host.is_some() || url.is_some_and(|url| url.virtual_host.is_some())
    }

    /// Remembers the wrong length of a url; true when it differs from the one before.
    fn set_length(&mut self, number: usize, length: Option<(u64, u64)>) -> bool {
        match self.lengths.get_mut(number) {
            Some(last) if *last != length => {
                *last = length;
                true
            }
            _ => false,
        }
    }
}

fn refused(error: ConnectError) -> Trouble {
    let what = match &error {
        ConnectError::Socket(error) => return Trouble::Postponed(error.to_string()),
        ConnectError::Unreachable => "HTTP/SSL_CHECK - network unreachable",
        ConnectError::Timeout(_) => "Timeout connecting",
        ConnectError::Failed(_) => "Connection failed",
    };
    Trouble::Fault(Fault {
        what,
        reason: error.to_string(),
    })
}

/// The Host header without a `virtualhost`.
pub fn host(connection: &Connection) -> String {
    match connection.address {
        IpAddr::V4(_) => SocketAddr::new(connection.address, connection.port).to_string(),
        IpAddr::V6(v6) => format!("[{v6}]:{}", connection.port),
    }
}

fn without_port(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => name,
    }
}
