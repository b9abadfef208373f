//! UDP_CHECK: a datagram is sent; no ICMP error comes, or a reply that is as wanted.

use super::Desk;
use super::connect::{self, ConnectError};
use super::probe::{Attempt, Failure, Probe};
use super::schedule::Turn;
use crate::model::lvs::{UdpCheck, UdpReply};
use std::io;
use tokio::net::UdpSocket;
use tokio::time::timeout;

pub(super) struct Udp<'a>(pub &'a UdpCheck);

/// Longest reply that is looked at: as long as a datagram can be.
const LONGEST: usize = 65535;

impl Udp<'_> {
    async fn ask(&self, socket: &UdpSocket) -> Result<(), Failure> {
        let payload = self.0.payload.as_deref().unwrap_or_default();
        let failed = |error: io::Error| Failure::new(FAILED, error.to_string());
        socket.send(payload).await.map_err(failed)?;
        let mut reply = vec![0; LONGEST];
        let limit = self.0.connection.timeout;
        match (timeout(limit, socket.recv(&mut reply)).await, &self.0.reply) {
            (Ok(Err(error)), _) => Err(failed(error)),
            (Err(_), Some(_)) => Err(Failure::new(
                FAILED,
                format!("no reply within {:.3} s", limit.as_secs_f64()),
            )),
            (Ok(Ok(length)), Some(wanted)) => self
                .judge(reply.get(..length).unwrap_or_default(), wanted)
                .map_err(|reason| Failure::new(MISMATCH, reason)),
            (Ok(Ok(_)) | Err(_), None) => Ok(()),
        }
    }

    fn judge(&self, reply: &[u8], wanted: &UdpReply) -> Result<(), String> {
        let (least, most) = (self.0.min_length, self.0.max_length);
        if wanted.data.is_empty() {
            return Ok(());
        }
        if reply.len() < usize::from(least) || reply.len() > usize::from(most) {
            return Err(format!(
                "the reply has {} bytes, not {least} to {most}",
                reply.len()
            ));
        }
        let mask = |n: usize| {
            let mask = wanted.mask.as_ref();
            mask.and_then(|mask| mask.get(n)).copied().unwrap_or(0xff)
        };
        let differs = |(n, (got, want)): (usize, (&u8, &u8))| (got ^ want) & mask(n) != 0;
        match reply.iter().zip(&wanted.data).enumerate().position(differs) {
            Some(at) => Err(format!("the reply differs at byte {at}")),
            None => Ok(()),
        }
    }
}

const FAILED: &str = "failed";
const MISMATCH: &str = "mismatch";
const UNREACHABLE: &str = "unreachable";

impl Probe for Udp<'_> {
    async fn attempt(&mut self, _: &Desk) -> Attempt {
        let asked = match connect::udp(&self.0.connection) {
            Ok(socket) => self.ask(&socket).await,
            Err(ConnectError::Socket(error)) => {
                return Attempt::Postponed {
                    line: Some("UDP connect fail to create socket. Rescheduling."),
                    why: error.to_string(),
                };
            }
            Err(error @ ConnectError::Unreachable) => Err(Failure::new(UNREACHABLE, error.to_string())),
            Err(error) => Err(Failure::new(FAILED, error.to_string())),
        };
        match asked {
            Ok(()) => Attempt::Good(None),
            Err(failure) => Attempt::Bad(failure),
        }
    }

    fn up(&self, desk: &Desk) -> Option<String> {
        Some(format!("UDP connection to {} success.", desk.job.real_server))
    }

    fn attempt_failed(&self, desk: &Desk, failure: &Failure, _: Turn) -> Option<String> {
        let server = &desk.job.real_server;
        Some(match failure.text.as_str() {
            UNREACHABLE => {
                let error = nix::errno::Errno::ENETUNREACH;
                format!("UDP connect error {} - {}", error as i32, error.desc())
            }
            MISMATCH => format!("UDP check to {server} reply data mismatch."),
            _ => format!("UDP connection to {server} failed."),
        })
    }

    fn down(&self, desk: &Desk, _: &Failure, retries: Option<u32>) -> String {
        let server = &desk.job.real_server;
        match retries {
            Some(n) => format!("UDP_CHECK on service {server} failed after {n} retries."),
            None => format!("UDP_CHECK on service {server} failed."),
        }
    }
}
