//! Adverts as they pass on an interface, before the kernel's firewall and its other rules have seen them: for
//! a short look when something is wrong, never on the VRRP thread.

use crate::sys::option::Filter;
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const VRRP: u8 = 112;
const AH: u8 = 51;
const AH_LENGTH: usize = 24;
const IPV6_HEADER: usize = 40;
/// Packets that are looked at, however much time is left.
const MOST: usize = 1000;

/// An advert of another router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overheard {
    /// Who sent it.
    pub source: IpAddr,
    /// Its virtual router.
    pub vrid: u8,
    /// MAC address of the sender, where the link has one.
    pub mac: Option<[u8; 6]>,
}

/// Listens for this long, or until `each` says that it has enough.
pub fn listen(
    interface: u32,
    ipv6: bool,
    time: Duration,
    mut each: impl FnMut(&Overheard) -> bool,
) -> io::Result<()> {
    let ethertype = if ipv6 { libc::ETH_P_IPV6 } else { libc::ETH_P_IP };
    let protocol = (ethertype as u16).to_be();
    let socket = Socket::new(
        Domain::PACKET,
        Type::DGRAM.cloexec(),
        Some(Protocol::from(i32::from(protocol))),
    )?;
    filter(ipv6).attach(&socket)?;
    let end = Instant::now() + time;
    let mut buffer = [0; 256];
    for _ in 0..MOST {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let (length, sender) = match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok(received) => received,
            Err(nix::Error::EAGAIN) => break,
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let Some(sender) = sender.filter(|sender| {
            sender.ifindex() == interface as usize && sender.pkttype() != libc::PACKET_OUTGOING
        }) else {
            continue;
        };
        let packet = buffer.get(..length).unwrap_or_default();
        if let Some((source, vrid)) = read(packet, ipv6) {
            let mac = sender.addr().filter(|mac| *mac != [0; 6]);
            if each(&Overheard { source, vrid, mac }) {
                break;
            }
        }
    }
    Ok(())
}

fn filter(ipv6: bool) -> Filter {
    let mut filter = Filter::default();
    let wanted = filter.new_label();
    filter.load_byte(if ipv6 { 6 } else { 9 });
    filter.jump_if_equal(u32::from(VRRP), wanted);
    filter.jump_if_equal(u32::from(AH), wanted);
    filter.drop_packet();
    filter.place(wanted);
    filter.accept_packet();
    filter
}

/// Source and virtual router of an IP packet with an advert.
fn read(packet: &[u8], ipv6: bool) -> Option<(IpAddr, u8)> {
    let (protocol, source, mut at) = if ipv6 {
        let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
        (*packet.get(6)?, IpAddr::from(source), IPV6_HEADER)
    } else {
        let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
        let header = usize::from(packet.first()? & 0xf) * 4;
        (*packet.get(9)?, IpAddr::from(source), header)
    };
    match protocol {
        VRRP => {}
        AH if packet.get(at) == Some(&VRRP) => at += AH_LENGTH,
        _ => return None,
    }
    Some((source, *packet.get(at + 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adverts_are_told_from_the_rest() {
        let mut packet = vec![
            0x46, 0, 0, 44, 0, 0, 0, 0, 255, 112, 0, 0, 192, 0, 2, 7, 224, 0, 0, 18,
        ];
        packet.extend([0x94, 4, 0, 0, 0x21, 51, 100]);
        let source: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(read(&packet, false), Some((source, 51)), "with an IP option");
        packet[9] = 51;
        assert_eq!(read(&packet, false), None, "AH with something else inside");
        packet[24] = 112;
        packet.extend([0; 21]);
        packet.extend([0x21, 52]);
        assert_eq!(read(&packet, false), Some((source, 52)), "AH");
        packet[9] = 6;
        assert_eq!(read(&packet, false), None, "TCP");
        for length in 0..22 {
            assert_eq!(read(&packet[..length], false), None);
            assert_eq!(read(&packet[..length], true), None);
        }
    }
}
