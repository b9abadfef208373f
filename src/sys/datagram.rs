//! Batches of datagrams: recvmmsg and sendmmsg with buffers that are made once. Nothing here allocates per
//! packet, and nothing blocks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// Room for control messages, aligned as CMSG_FIRSTHDR wants it.
type Control = [u64; 32];

/// A datagram that has arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// What was received; on a raw IPv4 socket it begins with the IP header.
    pub data: &'a [u8],
    /// It was longer than the buffer, and `data` is only its beginning.
    pub truncated: bool,
    /// Sender.
    pub source: Option<IpAddr>,
    /// Where it was sent to (IP_PKTINFO, IPV6_PKTINFO).
    pub destination: Option<IpAddr>,
    /// Hop limit (IPV6_RECVHOPLIMIT) or TTL (IP_RECVTTL).
    pub ttl: Option<u8>,
    /// When the kernel received it (SO_TIMESTAMPNS): CLOCK_REALTIME, nanoseconds.
    pub stamp: Option<u64>,
}

/// Buffers to receive several datagrams with one call. One serves all sockets of a thread.
pub struct ReceiveRing {
    size: usize,
    data: Vec<u8>,
    names: Vec<libc::sockaddr_storage>,
    control: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl ReceiveRing {
    /// Room for `slots` datagrams of `size` bytes each.
    pub fn new(slots: usize, size: usize) -> ReceiveRing {
        // SAFETY: all bytes of these C structures may be zero.
        let (name, header, vector) = unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        ReceiveRing {
            size,
            data: vec![0; slots * size],
            names: vec![name; slots],
            control: vec![[0; 32]; slots],
            vectors: vec![vector; slots],
            headers: vec![header; slots],
        }
    }

    /// Datagrams that one call can take.
    pub fn slots(&self) -> usize {
        self.headers.len()
    }

    /// Receives at most `most` datagrams with one call, and hands each over. Returns their number; 0 when
    /// nothing is there.
    pub fn receive(
        &mut self,
        fd: &impl AsFd,
        most: usize,
        mut each: impl FnMut(Arrived<'_>),
    ) -> io::Result<usize> {
        let count = most.min(self.headers.len());
        let (data, names, control, vectors) = (
            self.data.as_mut_ptr(),
            self.names.as_mut_ptr(),
            self.control.as_mut_ptr(),
            self.vectors.as_mut_ptr(),
        );
        for (slot, header) in self.headers.iter_mut().enumerate().take(count) {
            // SAFETY: slot is below the length that all five vectors (the data counted in pieces of `size`)
            // were made with. They are not resized, so the pointers hold for the call below.
            unsafe {
                *vectors.add(slot) = libc::iovec {
                    iov_base: data.add(slot * self.size).cast(),
                    iov_len: self.size,
                };
                header.msg_hdr.msg_iov = vectors.add(slot);
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_name = names.add(slot).cast();
                header.msg_hdr.msg_control = control.add(slot).cast();
            }
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
            header.msg_hdr.msg_flags = 0;
            header.msg_len = 0;
        }
        // SAFETY: the first `count` headers point to buffers of the lengths that they say, owned by self.
        let received = unsafe {
            libc::recvmmsg(
                fd.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        if received < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        let received = received as usize;
        for (slot, header) in self.headers.iter().enumerate().take(received) {
            let length = (header.msg_len as usize).min(self.size);
            let start = slot * self.size;
            let mut arrived = Arrived {
                data: &self.data[start..start + length],
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                source: address_of(&self.names[slot], header.msg_hdr.msg_namelen),
                destination: None,
                ttl: None,
                stamp: None,
            };
            read_control(&header.msg_hdr, &mut arrived);
            each(arrived);
        }
        Ok(received)
    }
}

impl std::fmt::Debug for ReceiveRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiveRing({} x {} bytes)", self.headers.len(), self.size)
    }
}

// SAFETY: the pointers in the headers lead into vectors that move along with self (their heap memory stays
// where it is), and every call sets them anew before it uses them.
unsafe impl Send for ReceiveRing {}

fn address_of(storage: &libc::sockaddr_storage, length: libc::socklen_t) -> Option<IpAddr> {
    let storage_at = ptr::from_ref(storage);
    match i32::from(storage.ss_family) {
        libc::AF_INET if length as usize >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the family says what it is, the length that it is whole; the storage is aligned for all.
            let address = unsafe { &*storage_at.cast::<libc::sockaddr_in>() };
            Some(Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 if length as usize >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let address = unsafe { &*storage_at.cast::<libc::sockaddr_in6>() };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

fn read_control(header: &libc::msghdr, arrived: &mut Arrived<'_>) {
    // SAFETY: the kernel has written msg_controllen bytes of whole control messages at msg_control. CMSG_NXTHDR
    // stays inside. Each payload is read unaligned, and only when the message is long enough to hold it.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            let message = &*at;
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    arrived.ttl = payload::<i32>(at).and_then(|v| u8::try_from(v).ok());
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    arrived.destination = payload::<libc::in_pktinfo>(at)
                        .map(|v| Ipv4Addr::from(v.ipi_addr.s_addr.to_ne_bytes()).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    arrived.destination =
                        payload::<libc::in6_pktinfo>(at).map(|v| Ipv6Addr::from(v.ipi6_addr.s6_addr).into());
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    arrived.stamp = payload::<libc::timespec>(at)
                        .and_then(|v| Some(u64::try_from(v.tv_sec).ok()? * 1_000_000_000 + v.tv_nsec as u64));
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
}

/// Payload of a control message.
///
/// # Safety
/// `at` points to a whole control message, and any bytes make a valid `T`.
unsafe fn payload<T>(at: *const libc::cmsghdr) -> Option<T> {
    // SAFETY: cmsg_len counts the header and the payload; the read is within it and may be unaligned.
    unsafe {
        let long_enough = (*at).cmsg_len >= libc::CMSG_LEN(size_of::<T>() as u32) as usize;
        long_enough.then(|| ptr::read_unaligned(libc::CMSG_DATA(at).cast::<T>()))
    }
}

/// Where a datagram goes.
#[derive(Debug, Clone, Copy)]
pub enum Destination {
    /// An IP address, with a scope id for IPv6.
    Ip(SocketAddr),
    /// A frame that goes out of an AF_PACKET socket: interface index and EtherType.
    Link {
        /// Interface index.
        index: u32,
        /// EtherType.
        protocol: u16,
    },
}

/// A datagram to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Its bytes, in pieces; empty ones are allowed.
    pub parts: [&'a [u8]; 3],
    /// Where it goes.
    pub to: Destination,
    /// IPv6: source address and interface index (IPV6_PKTINFO).
    pub source: Option<(Ipv6Addr, u32)>,
    /// IPv6: hop limit of a unicast packet.
    pub hop_limit: Option<u8>,
}

/// Buffers to send several datagrams with one call. One serves all sockets of a thread.
pub struct SendRing {
    names: Vec<libc::sockaddr_storage>,
    control: Vec<Control>,
    vectors: Vec<[libc::iovec; 3]>,
    headers: Vec<libc::mmsghdr>,
}

impl SendRing {
    /// Room for `slots` datagrams a call.
    pub fn new(slots: usize) -> SendRing {
        // SAFETY: all bytes of these C structures may be zero.
        let (name, header, vector) = unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        SendRing {
            names: vec![name; slots],
            control: vec![[0; 32]; slots],
            vectors: vec![vector; slots],
            headers: vec![header; slots],
        }
    }

    /// Sends all the datagrams, as few calls as possible. One that the kernel refuses is reported with its
    /// place in the sequence and its errno, and the rest is sent all the same. Returns how many went out.
    pub fn send<'a>(
        &mut self,
        fd: &impl AsFd,
        flags: i32,
        datagrams: impl IntoIterator<Item = Outgoing<'a>>,
        mut failed: impl FnMut(usize, i32),
    ) -> usize {
        let mut datagrams = datagrams.into_iter();
        let (mut sent, mut done) = (0, 0);
        loop {
            let count = self.fill(&mut datagrams);
            if count == 0 {
                return sent;
            }
            let mut first = 0;
            while first < count {
                // SAFETY: headers first..count were filled just now: they point to names, control and vectors
                // owned by self, and to parts that the datagrams borrow for 'a, which outlives this call.
                let result = unsafe {
                    libc::sendmmsg(
                        fd.as_fd().as_raw_fd(),
                        self.headers.as_mut_ptr().add(first),
                        (count - first) as libc::c_uint,
                        (flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
                    )
                };
                if result > 0 {
                    sent += result as usize;
                    first += result as usize;
                    continue;
                }
                // The error is that of the first one: sendmmsg returns a count as soon as one was sent.
                let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
                if errno != libc::EINTR {
                    failed(done + first, errno);
                    first += 1;
                }
            }
            done += count;
        }
    }

    fn fill<'a>(&mut self, datagrams: &mut impl Iterator<Item = Outgoing<'a>>) -> usize {
        let mut count = 0;
        while count < self.headers.len() {
            let Some(datagram) = datagrams.next() else { break };
            let vectors = &mut self.vectors[count];
            for (vector, part) in vectors.iter_mut().zip(datagram.parts) {
                vector.iov_base = part.as_ptr().cast_mut().cast();
                vector.iov_len = part.len();
            }
            let name = &mut self.names[count];
            let length = write_address(name, datagram.to);
            let header = &mut self.headers[count].msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = length;
            header.msg_iov = vectors.as_mut_ptr();
            header.msg_iovlen = 3;
            header.msg_flags = 0;
            write_control(header, &mut self.control[count], &datagram);
            count += 1;
        }
        count
    }
}

impl std::fmt::Debug for SendRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SendRing({})", self.headers.len())
    }
}

// SAFETY: as for ReceiveRing: pointers are set anew before each use.
unsafe impl Send for SendRing {}

fn write_address(storage: &mut libc::sockaddr_storage, to: Destination) -> libc::socklen_t {
    // SAFETY: sockaddr_storage is as large as every address and aligned for it; zero is valid for all.
    unsafe {
        *storage = std::mem::zeroed();
        let at = ptr::from_mut(storage);
        match to {
            Destination::Ip(SocketAddr::V4(v4)) => {
                let address = &mut *at.cast::<libc::sockaddr_in>();
                address.sin_family = libc::AF_INET as _;
                address.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                size_of::<libc::sockaddr_in>() as _
            }
            Destination::Ip(SocketAddr::V6(v6)) => {
                let address = &mut *at.cast::<libc::sockaddr_in6>();
                address.sin6_family = libc::AF_INET6 as _;
                address.sin6_addr.s6_addr = v6.ip().octets();
                address.sin6_scope_id = v6.scope_id();
                size_of::<libc::sockaddr_in6>() as _
            }
            Destination::Link { index, protocol } => {
                let address = &mut *at.cast::<libc::sockaddr_ll>();
                address.sll_family = libc::AF_PACKET as _;
                address.sll_protocol = protocol.to_be();
                address.sll_ifindex = index as i32;
                size_of::<libc::sockaddr_ll>() as _
            }
        }
    }
}

fn write_control(header: &mut libc::msghdr, control: &mut Control, datagram: &Outgoing<'_>) {
    header.msg_control = ptr::null_mut();
    header.msg_controllen = 0;
    if datagram.source.is_none() && datagram.hop_limit.is_none() {
        return;
    }
    control.fill(0);
    header.msg_control = control.as_mut_ptr().cast();
    let mut used = 0;
    if let Some((address, index)) = datagram.source {
        let info = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr {
                s6_addr: address.octets(),
            },
            ipi6_ifindex: index as _,
        };
        used += put_control(control, used, libc::IPV6_PKTINFO, &info);
    }
    if let Some(limit) = datagram.hop_limit {
        used += put_control(control, used, libc::IPV6_HOPLIMIT, &i32::from(limit));
    }
    header.msg_controllen = used as _;
}

/// Writes one IPv6 control message `used` bytes into the buffer; returns its length with padding.
fn put_control<T: Copy>(control: &mut Control, used: usize, kind: i32, value: &T) -> usize {
    // SAFETY: takes a number only.
    let (space, length) = unsafe {
        let size = size_of::<T>() as u32;
        (libc::CMSG_SPACE(size) as usize, libc::CMSG_LEN(size))
    };
    assert!(
        used + space <= size_of::<Control>(),
        "room for all control messages that we send"
    );
    // SAFETY: the assertion says that header and payload lie inside the buffer; `used` is a sum of
    // CMSG_SPACE, so the header is aligned; the payload is written unaligned.
    unsafe {
        let at = control
            .as_mut_ptr()
            .cast::<u8>()
            .add(used)
            .cast::<libc::cmsghdr>();
        (*at).cmsg_level = libc::IPPROTO_IPV6;
        (*at).cmsg_type = kind;
        (*at).cmsg_len = length as _;
        ptr::write_unaligned(libc::CMSG_DATA(at).cast::<T>(), *value);
    }
    space
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn outgoing<'a>(parts: [&'a [u8]; 3], to: SocketAddr) -> Outgoing<'a> {
        Outgoing {
            parts,
            to: Destination::Ip(to),
            source: None,
            hop_limit: None,
        }
    }

    #[test]
    fn datagrams_arrive_whole_in_order_and_stamped() {
        let (a, b) = (
            UdpSocket::bind("[::1]:0").unwrap(),
            UdpSocket::bind("[::1]:0").unwrap(),
        );
        super::super::option::set_int(&b, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1).unwrap();
        super::super::option::set_int(&b, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1).unwrap();
        super::super::option::set_int(&b, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1).unwrap();
        a.connect(b.local_addr().unwrap()).unwrap();
        for text in ["one", "two", "three", "longer than eight"] {
            a.send(text.as_bytes()).unwrap();
        }
        let mut ring = ReceiveRing::new(3, 8);
        let mut seen = Vec::new();
        while ring
            .receive(&b, 3, |packet| {
                assert_eq!(packet.source, Some("::1".parse().unwrap()));
                assert_eq!(packet.destination, Some("::1".parse().unwrap()));
                assert_eq!(packet.ttl, Some(64));
                let age = super::super::clock::realtime() - packet.stamp.unwrap();
                assert!(age < 10_000_000_000);
                seen.push((String::from_utf8(packet.data.to_vec()).unwrap(), packet.truncated));
            })
            .unwrap()
            > 0
        {}
        let expected = [
            ("one", false),
            ("two", false),
            ("three", false),
            ("longer t", true),
        ];
        assert_eq!(seen, expected.map(|(text, cut)| (text.to_string(), cut)));
    }

    #[test]
    fn one_refused_datagram_does_not_keep_back_the_others() {
        // A raw socket, since sockaddr_in of a UDP one would need the port.
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let target: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let wrong: SocketAddr = "[::1]:0".parse().unwrap();
        let mut ring = SendRing::new(2);
        let mut failures = Vec::new();
        let list = [target, wrong, target].map(|to| outgoing([b"a", b"", b"b"], to));
        let sent = ring.send(&sender, 0, list, |at, errno| failures.push((at, errno)));
        // Port 0 is refused as well: what is looked at is that each failure is reported in its place.
        assert_eq!(sent, 0);
        assert_eq!(failures.iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(
            failures
                .iter()
                .all(|f| f.1 == libc::EINVAL || f.1 == libc::EAFNOSUPPORT)
        );
    }
}
