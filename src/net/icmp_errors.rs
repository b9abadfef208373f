//! What the network says of adverts to unicast peers that do not arrive: ICMP errors of the peer, of a router on
//! the way, and of this host's own kernel when nobody answers for the peer's address.
//!
//! They are taken from the error queue of a socket of its own: one that is pending on a socket fails the next send
//! or receive there, and would cost an advert.

use super::adverts::{Cast, SocketSpec, bind_address, open_raw};
use crate::model::route::Family;
use crate::state::company::Unreachable;
use crate::sys::option;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use socket2::Socket;
use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Length of an AH header before a VRRP message.
const AH_LENGTH: usize = 24;

/// An error about an advert of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// To whom the advert was.
    pub peer: IpAddr,
    /// Its virtual router.
    pub vrid: u8,
    /// What is said of it.
    pub error: Unreachable,
}

/// Hears of errors about what is sent from one unicast source address; sends and receives nothing.
#[derive(Debug)]
pub struct ErrorSocket {
    socket: Socket,
    ah: bool,
}

impl ErrorSocket {
    /// For the adverts of these sockets. `None`: they are multicast, about which there are no errors.
    pub fn open(spec: &SocketSpec) -> io::Result<Option<ErrorSocket>> {
        let Cast::Unicast(source) = spec.cast else {
            return Ok(None);
        };
        // On every interface: what this host's kernel says itself comes by the loopback interface.
        let socket = open_raw(spec)?;
        option::drop_all(&socket)?;
        let (level, all, free) = match spec.family {
            Family::Inet => (libc::IPPROTO_IP, libc::IP_RECVERR, libc::IP_FREEBIND),
            Family::Inet6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, libc::IPV6_FREEBIND),
        };
        option::set_int(&socket, level, all, 1)?;
        // Linux 4.15 for IPv6: without it the address must be there already.
        let _ = option::set_int(&socket, level, free, 1);
        socket.bind(&bind_address(source, spec.index))?;
        Ok(Some(ErrorSocket { socket, ah: spec.ah }))
    }

    /// The next error; `WouldBlock` when there is none. `None`: one that says nothing of a peer.
    pub fn next(&self) -> io::Result<Option<IcmpError>> {
        let mut bytes = [0; 64];
        let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        let peer = message.address.as_ref().and_then(address);
        let mut error = None;
        for control in message.cmsgs().map_err(io::Error::from)? {
            match control {
                ControlMessageOwned::Ipv4RecvErr(said, by) => {
                    let by = by.map(|by| IpAddr::from(u32::from_be(by.sin_addr.s_addr).to_be_bytes()));
                    error = read(&said, libc::SO_EE_ORIGIN_ICMP, by);
                }
                ControlMessageOwned::Ipv6RecvErr(said, by) => {
                    let by = by.map(|by| IpAddr::from(by.sin6_addr.s6_addr));
                    error = read(&said, libc::SO_EE_ORIGIN_ICMP6, by);
                }
                _ => {}
            }
        }
        let length = message.bytes;
        let at = if self.ah { AH_LENGTH + 1 } else { 1 };
        let vrid = bytes.get(..length).and_then(|bytes| bytes.get(at));
        Ok(match (peer, vrid, error) {
            (Some(peer), Some(&vrid), Some(error)) => Some(IcmpError { peer, vrid, error }),
            _ => None,
        })
    }
}

impl AsFd for ErrorSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for ErrorSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn address(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn read(said: &libc::sock_extended_err, origin: u8, by: Option<IpAddr>) -> Option<Unreachable> {
    (said.ee_origin == origin && said.ee_errno != Errno::EMSGSIZE as u32).then(|| Unreachable {
        by: by.filter(|by| !by.is_unspecified()),
        errno: i32::try_from(said.ee_errno).unwrap_or_default(),
        icmp: (said.ee_type, said.ee_code),
    })
}
