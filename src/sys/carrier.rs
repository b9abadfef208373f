//! Asking a link whether it has a carrier, by the ways that keepalived has. Each takes the kernel's rtnl lock or
//! reads from the hardware: it can wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// A question: name of the link, and the request's 24 bytes.
fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeros are a valid ifreq: an array of bytes, and a union of plain numbers and a null pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0.
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn ask(socket: &impl AsFd, code: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call. The kernel reads and writes one ifreq; what a pointer in it
    // leads to, the caller keeps alive until this returns.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), code as _, request) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The link status bit of the transceiver's basic status register (`mii-tool`).
pub fn by_mii(socket: &impl AsFd, name: &str) -> io::Result<bool> {
    const SIOCGMIIPHY: libc::c_ulong = 0x8947;
    const SIOCGMIIREG: libc::c_ulong = 0x8948;
    const STATUS: u16 = 1;
    const LINK: u16 = 0x0004;
    // `struct mii_ioctl_data`.
    type Mii = [u16; 4];
    let mut request = request(name)?;
    ask(socket, SIOCGMIIPHY, &mut request)?;
    let mii = std::ptr::from_mut(&mut request.ifr_ifru).cast::<Mii>();
    // A link that was lost meanwhile is shown once: the second reading is the present.
    for _ in 0..2 {
        // SAFETY: the union has 24 bytes and the alignment of a pointer, so four u16 fit at its start, and any
        // bytes are valid ones. Nothing else refers to it meanwhile.
        unsafe { (*mii)[1] = STATUS };
        ask(socket, SIOCGMIIREG, &mut request)?;
    }
    let mii = std::ptr::from_ref(&request.ifr_ifru).cast::<Mii>();
    // SAFETY: as above.
    let status = unsafe { (*mii)[3] };
    if status == 0xffff {
        return Err(io::Error::other("no transceiver answers"));
    }
    Ok(status & LINK != 0)
}

/// ETHTOOL_GLINK.
pub fn by_ethtool(socket: &impl AsFd, name: &str) -> io::Result<bool> {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    const ETHTOOL_GLINK: u32 = 0x0a;
    // `struct ethtool_value`: command and data.
    let mut value = [ETHTOOL_GLINK, 0u32];
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    ask(socket, SIOCETHTOOL, &mut request)?;
    Ok(value[1] != 0)
}

/// IFF_RUNNING of SIOCGIFFLAGS.
pub fn by_flags(socket: &impl AsFd, name: &str) -> io::Result<bool> {
    let mut request = request(name)?;
    ask(socket, libc::SIOCGIFFLAGS as libc::c_ulong, &mut request)?;
    // SAFETY: the kernel has written the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(i32::from(flags) & libc::IFF_RUNNING != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn the_loopback_link() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(by_flags(&socket, "lo").unwrap());
        assert!(by_ethtool(&socket, "lo").unwrap());
        assert!(by_mii(&socket, "lo").is_err());
        for missing in ["", "nosuch0", "a-name-that-is-too-long-for-a-link"] {
            assert!(by_flags(&socket, missing).is_err());
            assert!(by_ethtool(&socket, missing).is_err());
            assert!(by_mii(&socket, missing).is_err());
        }
    }
}
