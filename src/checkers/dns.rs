//! DNS_CHECK: a name server answers a question without an error.

use super::connect::{self, ConnectError};
use super::probe::{Attempt, Failure, Probe};
use super::schedule::Turn;
use super::{Desk, random};
use crate::model::lvs::{Connection, DnsCheck, DnsType};
use crate::wire::dns;
use std::io;
use tokio::net::UdpSocket;
use tokio::time::timeout;

pub(super) struct Dns<'a>(pub &'a DnsCheck);

impl Dns<'_> {
    fn query(&self, id: u16) -> Option<Vec<u8>> {
        let kind = DnsType::ALL.iter().find(|(kind, ..)| *kind == self.0.kind);
        dns::query(id, &self.0.name, kind.map_or(6, |(.., number)| *number))
    }

    async fn ask(&self, socket: &UdpSocket) -> Result<(), Failure> {
        let [a, b, ..] = random().to_be_bytes();
        let id = u16::from_be_bytes([a, b]);
        let Some(query) = self.query(id) else {
            let reason = format!("'{}' cannot be asked for", self.0.name);
            return Err(Failure::new("failed to write socket.", reason));
        };
        socket.send(&query).await.map_err(|error| unwritten(&error))?;
        let limit = self.0.connection.timeout;
        match timeout(limit, answer(socket, id)).await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(code)) => Err(Failure::new(
                format!("read error occurred. (rcode = {code})"),
                format!("the server answers with response code {code}"),
            )),
            Ok(Err(error)) => Err(unread(&error)),
            Err(_) => Err(Failure::new(
                "read timeout from socket",
                format!("no answer within {:.3} s", limit.as_secs_f64()),
            )),
        }
    }

    fn line(&self, desk: &Desk, failure: &Failure, retries: Option<u32>) -> String {
        let (server, text) = (&desk.job.real_server, &failure.text);
        match retries {
            Some(n) => format!("DNS_CHECK ({server}) {text} after {n} retries"),
            None => format!("DNS_CHECK ({server}) {text}"),
        }
    }
}

/// Waits for the answer to this question; what is no answer to it is not looked at.
async fn answer(socket: &UdpSocket, id: u16) -> io::Result<u8> {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(code) = dns::reply(buffer.get(..length).unwrap_or_default(), id) {
            return Ok(code);
        }
    }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::new("failed to write socket.", error.to_string())
}

fn unread(error: &io::Error) -> Failure {
    let number = error.raw_os_error().unwrap_or(0);
    let name = nix::errno::Errno::from_raw(number).desc();
    Failure::new(
        format!("failed to read socket; errno {number} ({name})"),
        error.to_string(),
    )
}

impl Probe for Dns<'_> {
    async fn attempt(&mut self, _: &Desk) -> Attempt {
        let asked = match connect::udp(&self.0.connection) {
            Ok(socket) => self.ask(&socket).await,
            Err(ConnectError::Socket(error)) => {
                return Attempt::Postponed {
                    line: None,
                    why: error.to_string(),
                };
            }
            Err(error @ ConnectError::Unreachable) => {
                let Connection { address, port, .. } = &self.0.connection;
                Err(Failure::new(
                    format!("network unreachable for [{address}]:{port}"),
                    error.to_string(),
                ))
            }
            Err(error) => Err(Failure::new("connection failure.", error.to_string())),
        };
        match asked {
            Ok(()) => Attempt::Good(None),
            Err(failure) => Attempt::Bad(failure),
        }
    }

    fn up(&self, _: &Desk) -> Option<String> {
        None
    }

    fn attempt_failed(&self, desk: &Desk, failure: &Failure, turn: Turn) -> Option<String> {
        matches!(turn, Turn::Retry { .. }).then(|| self.line(desk, failure, None))
    }

    fn down(&self, desk: &Desk, failure: &Failure, retries: Option<u32>) -> String {
        self.line(desk, failure, retries)
    }
}
