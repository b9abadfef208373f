//! PING_CHECK: an ICMP echo, over the kernel's datagram sockets for it or, where they are not allowed, a raw one.

use super::connect;
use super::probe::{Attempt, Failure, Probe, UNTOLD};
use super::schedule::Turn;
use super::{Desk, random};
use crate::model::lvs::Connection;
use crate::wire::checksum::Sum;
use socket2::{Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use tokio::time::timeout;

pub(super) struct Ping<'a>(pub &'a Connection);

/// What follows the head of an echo.
const PAYLOAD: [u8; 48] = [0x5a; 48];

struct Echo {
    socket: UdpSocket,
    /// Raw sockets of IPv4 deliver the IP head too, and everybody's replies.
    raw: bool,
    request: Vec<u8>,
}

impl Ping<'_> {
    fn open(&self, sequence: u16) -> io::Result<Echo> {
        let v6 = self.0.address.is_ipv6();
        let protocol = if v6 { Protocol::ICMPV6 } else { Protocol::ICMPV4 };
        let (socket, raw) = match connect::open(self.0, Type::DGRAM, protocol) {
            Ok(socket) => (socket, false),
            // net.ipv4.ping_group_range leaves our group out.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                (connect::open(self.0, Type::RAW, protocol)?, true)
            }
            Err(error) => return Err(error),
        };
        let peer = SocketAddr::new(self.0.address, 0);
        let peer = match connect::peer(self.0)? {
            SocketAddr::V6(mut scoped) => {
                scoped.set_port(0);
                SocketAddr::V6(scoped)
            }
            SocketAddr::V4(_) => peer,
        };
        connected(socket, peer, raw, self.request(sequence))
    }

    fn request(&self, sequence: u16) -> Vec<u8> {
        let kind = if self.0.address.is_ipv6() { 128 } else { 8 };
        let [a, b, ..] = random().to_be_bytes();
        let [high, low] = sequence.to_be_bytes();
        let mut request = vec![kind, 0, 0, 0, a, b, high, low];
        request.extend(PAYLOAD);
        if !self.0.address.is_ipv6() {
            // The kernel fills in ICMPv6's; a datagram socket both.
            let sum = Sum::new().bytes(&request).finish().to_be_bytes();
            for (byte, sum) in request.iter_mut().skip(2).zip(sum) {
                *byte = sum;
            }
        }
        request
    }

    async fn ask(&self, echo: &Echo) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::new(FAILED, error.to_string());
        echo.socket.send(&echo.request).await.map_err(failed)?;
        match timeout(self.0.timeout, self.reply(echo)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(Failure::new(
                TIMEOUT,
                format!("no reply within {:.3} s", self.0.timeout.as_secs_f64()),
            )),
        }
    }

    /// Waits for the reply to this request; late ones to earlier requests are not looked at.
    async fn reply(&self, echo: &Echo) -> io::Result<()> {
        let mut buffer = [0; 2048];
        let v6 = self.0.address.is_ipv6();
        loop {
            let length = echo.socket.recv(&mut buffer).await?;
            let mut packet = buffer.get(..length).unwrap_or_default();
            if echo.raw && !v6 {
                let head = usize::from(packet.first().copied().unwrap_or(0) & 0x0f) * 4;
                packet = packet.get(head..).unwrap_or_default();
            }
            let kind = if v6 { 129 } else { 0 };
            // The kernel gives a datagram socket's requests its own id.
            let from = if echo.raw { 4 } else { 6 };
            if packet.first() == Some(&kind) && packet.get(from..8) == echo.request.get(from..8) {
                return Ok(());
            }
        }
    }
}

fn connected(socket: Socket, peer: SocketAddr, raw: bool, request: Vec<u8>) -> io::Result<Echo> {
    socket.connect(&SockAddr::from(peer))?;
    Ok(Echo {
        // To tokio all sockets of datagrams are the same.
        socket: UdpSocket::from_std(socket.into())?,
        raw,
        request,
    })
}

const FAILED: &str = "failed";
const TIMEOUT: &str = "timeout";

impl Probe for Ping<'_> {
    async fn attempt(&mut self, desk: &Desk) -> Attempt {
        let sequence = {
            let mut standing = desk.standing();
            standing.sequence = standing.sequence.wrapping_add(1);
            standing.sequence
        };
        let asked = match self.open(sequence) {
            Ok(echo) => self.ask(&echo).await,
            Err(error) => match error.kind() {
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                    Err(Failure::new(UNTOLD, error.to_string()))
                }
                _ => {
                    let v6 = self.0.address.is_ipv6();
                    return Attempt::Postponed {
                        line: Some(if v6 {
                            "ICMPv6 connect fail to create socket. Rescheduling."
                        } else {
                            "ICMP connect fail to create socket. Rescheduling."
                        }),
                        why: error.to_string(),
                    };
                }
            },
        };
        match asked {
            Ok(()) => Attempt::Good(None),
            Err(failure) => Attempt::Bad(failure),
        }
    }

    fn up(&self, desk: &Desk) -> Option<String> {
        Some(format!("ICMP connection to {} success.", desk.job.real_server))
    }

    fn attempt_failed(&self, desk: &Desk, failure: &Failure, _: Turn) -> Option<String> {
        let (server, service) = (&desk.job.real_server, &desk.job.virtual_server);
        Some(match failure.text.as_str() {
            TIMEOUT => format!("ICMP connection to address {server} timeout."),
            _ => format!("ICMP connection to {server} of {service} failed."),
        })
    }

    fn down(&self, desk: &Desk, _: &Failure, retries: Option<u32>) -> String {
        let (server, service) = (&desk.job.real_server, &desk.job.virtual_server);
        match retries {
            Some(n) => format!("ICMP CHECK on service {server} of {service} failed after {n} retries."),
            None => format!("ICMP CHECK on service {server} failed."),
        }
    }
}
