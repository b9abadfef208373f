//! A netlink socket that never blocks and listens to nobody but the kernel.

use super::option;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

/// NETLINK_ROUTE.
pub const ROUTE: i32 = libc::NETLINK_ROUTE;
/// NETLINK_CONNECTOR.
pub const CONNECTOR: i32 = libc::NETLINK_CONNECTOR;
/// NETLINK_NETFILTER.
pub const NETFILTER: i32 = libc::NETLINK_NETFILTER;
/// NETLINK_GENERIC.
pub const GENERIC: i32 = libc::NETLINK_GENERIC;

/// A bound netlink socket.
#[derive(Debug)]
pub struct NetlinkSocket {
    socket: Socket,
    port: u32,
    buffer: Vec<MaybeUninit<u8>>,
}

impl NetlinkSocket {
    /// Opens it and joins the groups. Strict checking and extended acknowledgements are on where the kernel
    /// has them.
    pub fn open(protocol: i32, groups: &[u32]) -> io::Result<NetlinkSocket> {
        let kind = Type::RAW.cloexec().nonblocking();
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            kind,
            Some(Protocol::from(protocol)),
        )?;
        // An older kernel lacks some of these; nothing depends on them but the text of errors and the
        // size of acknowledgements.
        for name in [
            libc::NETLINK_EXT_ACK,
            libc::NETLINK_CAP_ACK,
            libc::NETLINK_GET_STRICT_CHK,
        ] {
            let _ = option::set_int(&socket, libc::SOL_NETLINK, name, 1);
        }
        socket.bind(&kernel_address())?;
        for group in groups {
            option::set_int(
                &socket,
                libc::SOL_NETLINK,
                libc::NETLINK_ADD_MEMBERSHIP,
                *group as i32,
            )?;
        }
        let port = port_of(&socket.local_addr()?);
        // The kernel sends dumps in pieces of at most 32 KiB, and one message is far smaller.
        let buffer = vec![MaybeUninit::uninit(); 64 * 1024];
        Ok(NetlinkSocket { socket, port, buffer })
    }

    /// Port id of this socket: notifications of changes made through it carry it.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Size of the receive buffer, bytes.
    pub fn set_receive_buffer(&self, bytes: u32, force: bool) -> io::Result<()> {
        option::set_receive_buffer(&self.socket, bytes, force)
    }

    /// Size of the send buffer, bytes. One `send` must be smaller.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        let size = i32::try_from(bytes).unwrap_or(i32::MAX);
        option::set_int(&self.socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, size)
            .or_else(|_| self.socket.set_send_buffer_size(bytes))
    }

    /// Lets only these messages in.
    pub fn set_filter(&self, filter: &option::Filter) -> io::Result<()> {
        filter.attach(&self.socket)
    }

    /// Sends one or several whole requests. The kernel works on them before this returns, so that the
    /// answers are there to be received.
    pub fn send(&self, requests: &[u8]) -> io::Result<()> {
        let sent = self.socket.send_to(requests, &kernel_address())?;
        if sent != requests.len() {
            return Err(io::Error::new(
                io::ErrorKind::WriteZero,
                "netlink request sent in part",
            ));
        }
        Ok(())
    }

    /// What has arrived: one datagram, whole messages. `None` when nothing is there; ENOBUFS when messages
    /// were lost; InvalidData when one was larger than the buffer (also lost).
    pub fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let (length, sender) = match self
                .socket
                .recv_from_with_flags(&mut self.buffer, libc::MSG_DONTWAIT | libc::MSG_TRUNC)
            {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // Any process may send to a netlink port; only the kernel's port id is 0.
            if port_of(&sender) != 0 {
                continue;
            }
            if length > self.buffer.len() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "netlink message too long",
                ));
            }
            // SAFETY: the kernel has written `length` bytes from the start of the buffer.
            return Ok(Some(unsafe {
                std::slice::from_raw_parts(self.buffer.as_ptr().cast::<u8>(), length)
            }));
        }
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The kernel: port 0, no groups. Bound to, it means "choose one for me".
fn kernel_address() -> SockAddr {
    // SAFETY: all bytes of sockaddr_nl may be zero, and it fits into the storage that try_init gives.
    let made = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_nl>();
            address.write(std::mem::zeroed());
            (*address).nl_family = libc::AF_NETLINK as libc::sa_family_t;
            *length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            Ok(())
        })
    };
    match made {
        Ok(((), address)) => address,
        Err(_) => unreachable!("the closure above returns Ok"),
    }
}

/// Port id of a netlink address; `u32::MAX` when it is none.
fn port_of(address: &SockAddr) -> u32 {
    let netlink = address.family() == libc::AF_NETLINK as libc::sa_family_t
        && address.len() as usize >= size_of::<libc::sockaddr_nl>();
    if !netlink {
        return u32::MAX;
    }
    // SAFETY: family and length say that a sockaddr_nl is there; the storage is aligned for every address.
    unsafe { (*address.as_ptr().cast::<libc::sockaddr_nl>()).nl_pid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_known_and_strangers_are_not_heard() {
        let mut first = NetlinkSocket::open(ROUTE, &[]).unwrap();
        let second = NetlinkSocket::open(ROUTE, &[]).unwrap();
        assert!(first.port() != 0 && second.port() != 0 && first.port() != second.port());
        // SAFETY: as in kernel_address.
        let to_first = unsafe {
            let ((), address) = SockAddr::try_init(|storage, length| {
                let address = storage.cast::<libc::sockaddr_nl>();
                address.write(std::mem::zeroed());
                (*address).nl_family = libc::AF_NETLINK as libc::sa_family_t;
                (*address).nl_pid = first.port();
                *length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
                Ok(())
            })
            .unwrap();
            address
        };
        second.socket.send_to(&[0; 16], &to_first).unwrap();
        assert!(first.receive().unwrap().is_none());
    }
}
