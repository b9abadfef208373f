//! BFD's sockets: one that listens for each family and port, one that sends for each session.
//!
//! What listens lets through what a neighbour has sent, and nothing else: the kernel drops the rest before it takes
//! room in the socket's buffer. None of the calls here waits, or takes the kernel's rtnl lock.

use super::adverts::scope;
use super::drain::{Drained, drain};
use crate::model::route::Family;
use crate::sys::datagram::{Arrived, ReceiveRing};
use crate::sys::{clock, option};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Source ports (RFC 5881 4).
const FIRST_PORT: u16 = 49152;
/// Precedence "internetwork control", as that of adverts.
const TRAFFIC_CLASS: u32 = 0xc0;
/// Instructions that the kernel takes.
const LONGEST_PROGRAM: usize = 4096;

/// What a listening socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenSpec {
    /// IPv4 or IPv6.
    pub family: Family,
    /// 3784 or 4784.
    pub port: u16,
}

/// From whom a listening socket takes packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Admitted {
    /// Source address.
    pub source: IpAddr,
    /// Least TTL or hop limit; 0: any.
    pub hops: u8,
}

/// A datagram, in the ring's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: Option<IpAddr>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// What follows the UDP header.
    pub message: &'a [u8],
    /// When it arrived, CLOCK_MONOTONIC in nanoseconds.
    pub arrival: u64,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    spec: ListenSpec,
    socket: Socket,
    last_empty: u64,
    admitted: Vec<Admitted>,
}

impl Listener {
    /// Opens it. It takes nothing until [`Listener::admit`] says from whom.
    pub fn open(spec: ListenSpec) -> io::Result<Listener> {
        let socket = open(spec.family)?;
        option::drop_all(&socket)?;
        option::set_int(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        let any: IpAddr = match spec.family {
            Family::Inet => {
                option::set_int(&socket, libc::IPPROTO_IP, libc::IP_RECVTTL, 1)?;
                option::set_int(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
                Ipv4Addr::UNSPECIFIED.into()
            }
            Family::Inet6 => {
                option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
                option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
                Ipv6Addr::UNSPECIFIED.into()
            }
        };
        socket.bind(&SocketAddr::new(any, spec.port).into())?;
        Ok(Listener {
            spec,
            socket,
            last_empty: clock::monotonic(),
            admitted: Vec::new(),
        })
    }

    /// What it is for.
    pub fn spec(&self) -> ListenSpec {
        self.spec
    }

    /// From whom it takes packets from now on. More neighbours than the kernel's filter has room for: from all.
    pub fn admit(&mut self, mut admitted: Vec<Admitted>) -> io::Result<()> {
        // Of several for one address the least strict one counts: it comes first.
        admitted.sort();
        admitted.dedup_by_key(|a| a.source);
        if admitted != self.admitted {
            option::attach_filter(&self.socket, &mut program(&admitted))?;
            self.admitted = admitted;
        }
        Ok(())
    }

    /// Takes what has arrived, at most `most` datagrams, and hands each over.
    pub fn receive(
        &mut self,
        ring: &mut ReceiveRing,
        most: usize,
        mut each: impl FnMut(Packet<'_>),
    ) -> io::Result<Drained> {
        let take = |arrived: &Arrived<'_>, arrival| {
            if let Some(source) = arrived.source {
                each(Packet {
                    source,
                    destination: arrived.destination,
                    ttl: arrived.ttl,
                    message: arrived.data,
                    arrival,
                });
            }
        };
        drain(ring, &self.socket, most, &mut self.last_empty, take)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

/// A socket that sends to one neighbour.
#[derive(Debug)]
pub struct Sender {
    socket: Socket,
    to: SockAddr,
}

impl Sender {
    /// Opens it. `index` is the interface of link-local addresses; `random` gives numbers to choose a free port by.
    pub fn open(
        source: Option<IpAddr>,
        neighbor: IpAddr,
        index: u32,
        port: u16,
        ttl: u8,
        mut random: impl FnMut() -> u64,
    ) -> io::Result<Sender> {
        const ATTEMPTS: u32 = 64;
        let family = match neighbor {
            IpAddr::V4(_) => Family::Inet,
            IpAddr::V6(_) => Family::Inet6,
        };
        let socket = open(family)?;
        // Nobody reads what comes back to it.
        option::drop_all(&socket)?;
        let unspecified: IpAddr = match family {
            Family::Inet => {
                socket.set_tos_v4(TRAFFIC_CLASS)?;
                Ipv4Addr::UNSPECIFIED.into()
            }
            Family::Inet6 => {
                let class = TRAFFIC_CLASS as i32;
                option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class)?;
                Ipv6Addr::UNSPECIFIED.into()
            }
        };
        let sender = Sender {
            socket,
            to: address(neighbor, port, index),
        };
        sender.set_ttl(ttl)?;
        let source = source.unwrap_or(unspecified);
        for attempt in 1.. {
            let port = FIRST_PORT + (random() % u64::from(u16::MAX - FIRST_PORT + 1)) as u16;
            match sender.socket.bind(&address(source, port, index)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < ATTEMPTS => {}
                result => {
                    result?;
                    break;
                }
            }
        }
        Ok(sender)
    }

    /// TTL or hop limit of what it sends.
    pub fn set_ttl(&self, ttl: u8) -> io::Result<()> {
        match self.to.is_ipv6() {
            true => self.socket.set_unicast_hops_v6(u32::from(ttl)),
            false => self.socket.set_ttl_v4(u32::from(ttl)),
        }
    }

    /// Sends a packet. Never waits.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.send_to(packet, &self.to).map(drop)
    }
}

impl AsRawFd for Sender {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

fn open(family: Family) -> io::Result<Socket> {
    let domain = match family {
        Family::Inet => Domain::IPV4,
        Family::Inet6 => Domain::IPV6,
    };
    let kind = Type::DGRAM.cloexec().nonblocking();
    let socket = Socket::new(domain, kind, Some(Protocol::UDP))?;
    if family == Family::Inet6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn address(address: IpAddr, port: u16, index: u32) -> SockAddr {
    match address {
        IpAddr::V4(v4) => SocketAddr::from((v4, port)).into(),
        IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope(v6, index))).into(),
    }
}

/// The filter: accepts what comes from one of these with enough hops left, and drops the rest.
fn program(admitted: &[Admitted]) -> Vec<libc::sock_filter> {
    /// Offsets from the beginning of the IP header.
    const NETWORK: i32 = -0x10_0000;
    const LOAD_WORD: u16 = 0x20;
    const LOAD_BYTE: u16 = 0x30;
    const IF_EQUAL: u16 = 0x15;
    const IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ALL: u32 = 0xffff;
    let one = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let at = |offset: i32| (NETWORK + offset) as u32;
    let mut list = Vec::new();
    for Admitted { source, hops } in admitted {
        let (words, source_at, hops_at): (Vec<u32>, _, _) = match source {
            IpAddr::V4(v4) => (vec![v4.to_bits()], 12, 8),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                (
                    vec![
                        (bits >> 96) as u32,
                        (bits >> 64) as u32,
                        (bits >> 32) as u32,
                        bits as u32,
                    ],
                    8,
                    7,
                )
            }
        };
        let count = words.len();
        for (number, word) in (0..).zip(words) {
            list.push(one(LOAD_WORD, 0, 0, at(source_at + 4 * number)));
            // Past the rest of this neighbour: a pair for each word, then four.
            let rest = 2 * (count - 1 - number as usize) + 4;
            list.push(one(IF_EQUAL, 0, rest as u8, word));
        }
        list.push(one(LOAD_BYTE, 0, 0, at(hops_at)));
        list.push(one(IF_AT_LEAST, 0, 1, u32::from(*hops)));
        list.push(one(RETURN, 0, 0, ALL));
        list.push(one(RETURN, 0, 0, 0));
    }
    list.push(one(RETURN, 0, 0, 0));
    if list.len() > LONGEST_PROGRAM {
        return vec![one(RETURN, 0, 0, ALL)];
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll;
    use std::time::Duration;

    fn exchange(
        neighbor: &str,
        others: &[Admitted],
        hops: u8,
        sent: u8,
    ) -> Option<(Option<u8>, Option<IpAddr>)> {
        let address: IpAddr = neighbor.parse().unwrap();
        let family = if address.is_ipv4() {
            Family::Inet
        } else {
            Family::Inet6
        };
        // Any free port: the test must not depend on what else runs here.
        let mut listener = Listener::open(ListenSpec { family, port: 0 }).unwrap();
        let port = listener.socket.local_addr().unwrap().as_socket().unwrap().port();
        let mut admitted = others.to_vec();
        admitted.push(Admitted {
            source: address,
            hops,
        });
        listener.admit(admitted).unwrap();
        let mut number = clock::monotonic();
        let sender = Sender::open(Some(address), address, 0, port, sent, || {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            number >> 33
        });
        let before = clock::monotonic();
        sender.unwrap().send(b"packet").unwrap();
        poll::readable(&[listener.as_fd()], Some(Duration::from_millis(100))).unwrap();
        let mut seen = None;
        let mut ring = ReceiveRing::new(4, 64);
        let drained = listener.receive(&mut ring, 4, |packet| {
            assert_eq!((packet.message, packet.source), (&b"packet"[..], address));
            assert!(packet.arrival >= before && packet.arrival <= clock::monotonic());
            seen = Some((packet.ttl, packet.destination));
        });
        assert!(drained.unwrap().empty);
        seen
    }

    #[test]
    fn the_kernel_lets_neighbours_through_and_nobody_else() {
        for (address, stranger) in [("127.0.0.1", "192.0.2.1"), ("::1", "2001:db8::1")] {
            let here: IpAddr = address.parse().unwrap();
            let other = |hops| Admitted {
                source: stranger.parse().unwrap(),
                hops,
            };
            assert_eq!(
                exchange(address, &[other(0)], 255, 255),
                Some((Some(255), Some(here)))
            );
            assert_eq!(
                exchange(address, &[other(0)], 254, 254),
                Some((Some(254), Some(here)))
            );
            assert_eq!(exchange(address, &[other(0)], 255, 254), None);
            assert_eq!(exchange(address, &[], 0, 1), Some((Some(1), Some(here))));
        }
        let mut listener = Listener::open(ListenSpec {
            family: Family::Inet,
            port: 0,
        })
        .unwrap();
        let stranger = Admitted {
            source: "192.0.2.1".parse().unwrap(),
            hops: 0,
        };
        listener.admit(vec![stranger]).unwrap();
        let port = listener.socket.local_addr().unwrap().as_socket().unwrap().port();
        let here = "127.0.0.1".parse().unwrap();
        let mut number = 0;
        let sender = Sender::open(Some(here), here, 0, port, 255, || {
            number += 1;
            number
        });
        sender.unwrap().send(b"packet").unwrap();
        let ready = poll::readable(&[listener.as_fd()], Some(Duration::from_millis(50))).unwrap();
        assert_eq!(ready, [false]);
    }

    #[test]
    fn a_filter_fits_into_the_kernel_or_lets_all_through() {
        let neighbours = |count: u32| -> Vec<Admitted> {
            let one = |n| Admitted {
                source: Ipv4Addr::from_bits(n).into(),
                hops: 255,
            };
            (0..count).map(one).collect()
        };
        let mut listener = Listener::open(ListenSpec {
            family: Family::Inet,
            port: 0,
        })
        .unwrap();
        listener.admit(neighbours(600)).unwrap();
        listener.admit(neighbours(5000)).unwrap();
        assert_eq!(program(&neighbours(5000)).len(), 1);
    }
}
