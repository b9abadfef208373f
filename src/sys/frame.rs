//! A socket that hears every frame of one interface that a filter lets pass.

use super::option::Filter;
use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::AsRawFd;

/// SKF_AD_OFF + SKF_AD_PKTTYPE: where a filter finds `PACKET_OUTGOING` and the like.
pub const PACKET_TYPE: u32 = 0xffff_f004;

/// An AF_PACKET socket on the interface, not blocking; frames come with their link layer header. Nothing is in it
/// that the filter has not seen.
pub fn listen(interface: u32, filter: &Filter) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec().nonblocking(), None)?;
    filter.attach(&socket)?;
    let index = i32::try_from(interface).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: all bytes of this C structure may be zero.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as _;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    // SAFETY: the address lives for the time of the call and is as long as it is said to be; the descriptor is open.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}
