//! Advert sockets: one pair (receive, send) for each family, protocol, interface, and group or unicast
//! source, shared by the instances on it.
//!
//! They are opened on the kernel thread, because joining a group and leaving it (which closing does) take
//! the kernel's rtnl lock; the VRRP thread receives and sends, and nothing there allocates or blocks.

use super::drain::{Drained, drain};
use crate::model::route::Family;
use crate::sys::datagram::{Arrived, Destination, Outgoing, ReceiveRing, SendRing};
use crate::sys::{clock, option};
use crate::vrrp::event::Received;
use crate::vrrp::group::Datagram;
use crate::wire::{PROTOCOL_AH, PROTOCOL_VRRP};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// VRRP's protocol number.
const VRRP: u8 = PROTOCOL_VRRP;
/// IPsec AH's protocol number.
const AH: u8 = PROTOCOL_AH;
/// Precedence "internetwork control", as keepalived sets it.
const TRAFFIC_CLASS: u32 = 0xc0;
/// Offset of the checksum in a VRRP message: IPv6's is made and checked by the kernel.
const CHECKSUM_OFFSET: i32 = 6;

/// What the adverts of a socket pair have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SocketSpec {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Protocol 51 (AH) instead of 112.
    pub ah: bool,
    /// Interface index; 0 for unicast without an interface.
    pub index: u32,
    /// Interface name; empty when there is none.
    pub interface: String,
    /// Where adverts come from and go to.
    pub cast: Cast,
}

/// Multicast or unicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cast {
    /// The group.
    Multicast(IpAddr),
    /// Our source address.
    Unicast(IpAddr),
}

/// A datagram from an advert socket, in the socket's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Source address.
    pub source: IpAddr,
    /// Destination address, where the kernel told it.
    pub destination: Option<IpAddr>,
    /// TTL or hop limit, where the kernel told it.
    pub ttl: Option<u8>,
    /// IPv4: total length that the IP header says.
    pub total_length: Option<u16>,
    /// IPv4: identification in the IP header.
    pub identification: Option<u16>,
    /// What follows the IP header.
    pub message: &'a [u8],
    /// `message` begins with an AH header.
    pub ah: bool,
    /// When it arrived, CLOCK_MONOTONIC in nanoseconds.
    pub arrival: u64,
}

impl From<Packet<'_>> for Received {
    fn from(packet: Packet<'_>) -> Received {
        Received {
            source: packet.source,
            destination: packet.destination,
            ttl: packet.ttl,
            total_length: packet.total_length,
            identification: packet.identification,
            message: packet.message.into(),
            ah: packet.ah,
            arrival: packet.arrival,
        }
    }
}

/// Buffers of a thread for all its advert sockets.
#[derive(Debug)]
pub struct Buffers {
    receive: ReceiveRing,
    send: SendRing,
}

impl Default for Buffers {
    /// 32 datagrams a call in, 64 out. The longest VRRP message has 255 IPv6 addresses: 4,088 bytes, and 28
    /// more for an authentication trailer.
    fn default() -> Self {
        Buffers {
            receive: ReceiveRing::new(32, 4224),
            send: SendRing::new(64),
        }
    }
}

/// A pair of sockets.
#[derive(Debug)]
pub struct AdvertSockets {
    spec: SocketSpec,
    receive: Socket,
    send: Socket,
    /// Last IPv4 identification: 1 to 65535, never 0 (the kernel would choose one).
    identification: u16,
    /// When the receive socket was last empty, CLOCK_MONOTONIC.
    last_empty: u64,
}

impl AdvertSockets {
    /// Opens, joins and binds both. Takes the rtnl lock: not for the VRRP thread. `receive_buffer` is in
    /// bytes; 0 leaves the kernel's default.
    pub fn open(spec: SocketSpec, receive_buffer: u32) -> io::Result<AdvertSockets> {
        let receive = open_receive(&spec)?;
        let send = open_send(&spec)?;
        let sockets = AdvertSockets {
            spec,
            receive,
            send,
            identification: 0,
            last_empty: clock::monotonic(),
        };
        sockets.set_receive_buffer(receive_buffer)?;
        Ok(sockets)
    }

    /// What they were opened for.
    pub fn spec(&self) -> &SocketSpec {
        &self.spec
    }

    /// Descriptors, for `VRRP sockpool` lines and dumps.
    pub fn fds(&self) -> (i32, i32) {
        (self.receive.as_raw_fd(), self.send.as_raw_fd())
    }

    /// Receive buffer in bytes; 0 leaves it as it is. More than the system allows is asked for with
    /// privileges first.
    pub fn set_receive_buffer(&self, bytes: u32) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        option::set_receive_buffer(&self.receive, bytes, true)
            .or_else(|_| option::set_receive_buffer(&self.receive, bytes, false))
    }

    /// Takes what has arrived, at most `most` datagrams, and hands each over. An error (an ICMP answer to
    /// an advert of ours, the interface gone down) concerns no datagram; what follows it comes at the next call.
    pub fn receive(
        &mut self,
        buffers: &mut Buffers,
        most: usize,
        mut each: impl FnMut(Packet<'_>),
    ) -> io::Result<Drained> {
        let spec = &self.spec;
        let take = |arrived: &Arrived<'_>, arrival| {
            if let Some(packet) = dissect(spec, arrived, arrival) {
                each(packet);
            }
        };
        drain(
            &mut buffers.receive,
            &self.receive,
            most,
            &mut self.last_empty,
            take,
        )
    }

    /// Sends them all, as few calls as possible, never waiting. One that the kernel refuses is reported with
    /// its place in the sequence and its errno (ENOBUFS and EAGAIN: no room now); the rest is sent all the
    /// same. Returns how many were sent.
    pub fn send<'a>(
        &mut self,
        buffers: &mut Buffers,
        datagrams: impl IntoIterator<Item = &'a Datagram>,
        failed: impl FnMut(usize, i32),
    ) -> usize {
        let AdvertSockets {
            spec,
            send,
            identification,
            ..
        } = self;
        let outgoing = datagrams.into_iter().map(|datagram| {
            *identification = identification.checked_add(1).unwrap_or(1);
            prepare(spec, datagram, &IDENTIFICATIONS[usize::from(*identification)])
        });
        buffers.send.send(send, flags(spec), outgoing, failed)
    }
}

/// A send socket alone, for who only has last words to say. Opening it takes no lock that others may hold.
#[derive(Debug)]
pub struct Sender {
    spec: SocketSpec,
    socket: Socket,
}

impl Sender {
    /// Opens it.
    pub fn open(spec: SocketSpec) -> io::Result<Sender> {
        let socket = open_send(&spec)?;
        Ok(Sender { spec, socket })
    }

    /// Sends them all, never waiting; the kernel chooses the identification of those that have none. Returns
    /// how many were sent.
    pub fn send<'a>(&self, ring: &mut SendRing, datagrams: impl IntoIterator<Item = &'a Datagram>) -> usize {
        let outgoing = datagrams
            .into_iter()
            .map(|datagram| prepare(&self.spec, datagram, &IDENTIFICATIONS[0]));
        ring.send(&self.socket, flags(&self.spec), outgoing, |_, _| {})
    }
}

impl AsFd for AdvertSockets {
    /// The receive socket: readable when adverts are there.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receive.as_fd()
    }
}

fn dissect<'a>(spec: &SocketSpec, arrived: &Arrived<'a>, arrival: u64) -> Option<Packet<'a>> {
    match spec.family {
        Family::Inet6 => Some(Packet {
            source: arrived.source?,
            destination: arrived.destination,
            ttl: arrived.ttl,
            total_length: None,
            identification: None,
            message: arrived.data,
            ah: spec.ah,
            arrival,
        }),
        Family::Inet => {
            // The kernel delivers nothing with a shorter header than it says; asked all the same.
            let header = arrived.data.first_chunk::<20>()?;
            let length = usize::from(header[0] & 0x0f) * 4;
            let [.., a, b, c, d] = *header;
            Some(Packet {
                source: arrived.source?,
                destination: Some(Ipv4Addr::new(a, b, c, d).into()),
                ttl: Some(header[8]),
                total_length: Some(u16::from_be_bytes([header[2], header[3]])),
                identification: Some(u16::from_be_bytes([header[4], header[5]])),
                message: arrived.data.get(length..)?,
                ah: header[9] == AH,
                arrival,
            })
        }
    }
}

/// All values of the IPv4 identification field, in network byte order, so that a prebuilt packet can be sent
/// without being copied or changed.
static IDENTIFICATIONS: [[u8; 2]; 65536] = {
    let mut table = [[0; 2]; 65536];
    let mut id = 0;
    while id < table.len() {
        table[id] = (id as u16).to_be_bytes();
        id += 1;
    }
    table
};

/// A group's route may lead elsewhere; the interface is the one that we say.
fn flags(spec: &SocketSpec) -> i32 {
    match spec.cast {
        Cast::Multicast(_) => libc::MSG_DONTROUTE,
        Cast::Unicast(_) => 0,
    }
}

fn prepare<'a>(spec: &SocketSpec, datagram: &'a Datagram, identification: &'static [u8; 2]) -> Outgoing<'a> {
    let bytes = datagram.bytes.as_slice();
    match datagram.destination {
        IpAddr::V4(to) => {
            let (before, rest) = bytes.split_at_checked(4).unwrap_or((bytes, &[]));
            let parts = match rest.get(2..) {
                // One that is there already has been signed.
                Some(after) if rest.starts_with(&[0, 0]) => [before, identification, after],
                _ => [bytes, &[], &[]],
            };
            Outgoing {
                parts,
                to: Destination::Ip(SocketAddr::from((to, 0))),
                source: None,
                hop_limit: None,
            }
        }
        IpAddr::V6(to) => Outgoing {
            parts: [bytes, &[], &[]],
            to: Destination::Ip(SocketAddr::V6(SocketAddrV6::new(to, 0, 0, scope(to, spec.index)))),
            source: match datagram.source {
                IpAddr::V6(source) => Some((source, spec.index)),
                IpAddr::V4(_) => None,
            },
            hop_limit: matches!(spec.cast, Cast::Unicast(_)).then_some(datagram.ttl),
        },
    }
}

fn open_receive(spec: &SocketSpec) -> io::Result<Socket> {
    let socket = open_on_interface(spec)?;
    option::set_int(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    if spec.family == Family::Inet6 {
        option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
        option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    }
    let address = match spec.cast {
        Cast::Multicast(group @ IpAddr::V4(v4)) => {
            option::set_int(&socket, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0)?;
            option::join_v4(&socket, v4, spec.index)?;
            group
        }
        Cast::Multicast(group @ IpAddr::V6(v6)) => {
            // Linux 4.20; an older kernel hands over what others have joined, and the bind leaves that out.
            let _ = option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL, 0);
            option::join_v6(&socket, v6, spec.index)?;
            group
        }
        Cast::Unicast(source @ IpAddr::V4(_)) => {
            option::set_int(&socket, libc::IPPROTO_IP, libc::IP_FREEBIND, 1)?;
            source
        }
        Cast::Unicast(source @ IpAddr::V6(_)) => {
            // Linux 4.15.
            let _ = option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, 1);
            source
        }
    };
    socket.bind(&bind_address(address, spec.index))?;
    Ok(socket)
}

pub(super) fn bind_address(address: IpAddr, index: u32) -> SockAddr {
    match address {
        IpAddr::V4(v4) => SockAddr::from(SocketAddr::from((v4, 0))),
        IpAddr::V6(v6) => SockAddr::from(SocketAddrV6::new(v6, 0, 0, scope(v6, index))),
    }
}

fn open_send(spec: &SocketSpec) -> io::Result<Socket> {
    let socket = open_on_interface(spec)?;
    match spec.family {
        Family::Inet => {
            option::set_int(&socket, libc::IPPROTO_IP, libc::IP_HDRINCL, 1)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
            if let Cast::Multicast(_) = spec.cast {
                option::set_multicast_interface_v4(&socket, spec.index)?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4(255)?;
            }
        }
        Family::Inet6 => {
            option::set_int(
                &socket,
                libc::IPPROTO_IPV6,
                libc::IPV6_TCLASS,
                TRAFFIC_CLASS as i32,
            )?;
            if let Cast::Multicast(_) = spec.cast {
                socket.set_multicast_if_v6(spec.index)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6(255)?;
            }
        }
    }
    // The kernel copies every VRRP packet to every raw socket of the protocol; this one wants none.
    option::drop_all(&socket)?;
    option::set_receive_buffer(&socket, 0, false)?;
    Ok(socket)
}

fn open_on_interface(spec: &SocketSpec) -> io::Result<Socket> {
    let socket = open_raw(spec)?;
    if !spec.interface.is_empty() {
        socket.bind_device(Some(spec.interface.as_bytes()))?;
    }
    Ok(socket)
}

/// A raw socket of the protocol, on every interface.
pub(super) fn open_raw(spec: &SocketSpec) -> io::Result<Socket> {
    let domain = match spec.family {
        Family::Inet => Domain::IPV4,
        Family::Inet6 => Domain::IPV6,
    };
    let protocol = if spec.ah { AH } else { VRRP };
    let kind = Type::RAW.cloexec().nonblocking();
    let socket = Socket::new(domain, kind, Some(Protocol::from(i32::from(protocol))))?;
    if spec.family == Family::Inet6 && !spec.ah {
        option::set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_CHECKSUM, CHECKSUM_OFFSET)?;
    }
    Ok(socket)
}

/// Scope id of an address: only those of one link have one.
pub(super) fn scope(address: Ipv6Addr, index: u32) -> u32 {
    let link_local = address.is_unicast_link_local();
    let link_group = address.is_multicast() && matches!(address.octets()[1] & 0x0f, 1 | 2);
    if link_local || link_group { index } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identification_is_put_in_without_touching_the_packet() {
        let spec = SocketSpec {
            family: Family::Inet,
            ah: false,
            index: 1,
            interface: "lo".into(),
            cast: Cast::Multicast("224.0.0.18".parse().unwrap()),
        };
        let datagram = Datagram {
            source: "192.0.2.1".parse().unwrap(),
            destination: "224.0.0.18".parse().unwrap(),
            ttl: 255,
            bytes: (0..40)
                .map(|at| if at == 4 || at == 5 { 0 } else { at })
                .collect(),
        };
        let outgoing = prepare(&spec, &datagram, &IDENTIFICATIONS[0x1234]);
        let mut expected: Vec<u8> = (0..40).collect();
        expected[4..6].copy_from_slice(&[0x12, 0x34]);
        assert_eq!(outgoing.parts.concat(), expected);
        let signed = Datagram {
            bytes: expected.clone(),
            ..datagram.clone()
        };
        assert_eq!(
            prepare(&spec, &signed, &IDENTIFICATIONS[1]).parts.concat(),
            expected
        );
        // Too short for a header: sent as it is, for the kernel to refuse.
        let short = Datagram {
            bytes: vec![1, 2, 3, 4, 5],
            ..datagram
        };
        assert_eq!(
            prepare(&spec, &short, &IDENTIFICATIONS[1]).parts.concat(),
            [1, 2, 3, 4, 5]
        );
    }

    #[test]
    fn a_truncated_header_is_dropped() {
        let spec = SocketSpec {
            family: Family::Inet,
            ah: false,
            index: 1,
            interface: "lo".into(),
            cast: Cast::Multicast("224.0.0.18".parse().unwrap()),
        };
        let mut data = [0u8; 32];
        data[0] = 0x4f;
        let arrived = Arrived {
            data: &data,
            truncated: false,
            source: Some("192.0.2.1".parse().unwrap()),
            destination: None,
            ttl: None,
            stamp: None,
        };
        assert_eq!(dissect(&spec, &arrived, 0), None);
        assert_eq!(
            dissect(
                &spec,
                &Arrived {
                    data: &data[..19],
                    ..arrived
                },
                0
            ),
            None
        );
        let mut whole = data;
        whole[0] = 0x45;
        assert_eq!(
            dissect(
                &spec,
                &Arrived {
                    data: &whole,
                    ..arrived
                },
                0
            )
            .unwrap()
            .message
            .len(),
            12
        );
    }
}
