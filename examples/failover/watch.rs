//! What is on the wire: adverts and gratuitous ARPs on the bridge, with the time at which they were seen.

use super::Failure;
use keepalived_rs::wire;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// IP protocol number of VRRP.
const VRRP: u8 = 112;

/// One frame.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A VRRP advert.
    Advert {
        /// Since the start.
        at: Duration,
        /// Source address.
        source: Ipv4Addr,
        /// VRRP version.
        version: u8,
        /// Virtual router.
        vrid: u8,
        /// Priority.
        priority: u8,
        /// Addresses.
        addresses: Vec<IpAddr>,
    },
    /// A gratuitous ARP.
    GratuitousArp {
        /// Since the start.
        at: Duration,
        /// Address.
        address: Ipv4Addr,
        /// Hardware address that has it.
        mac: Vec<u8>,
    },
}

impl Frame {
    /// When it was seen, since the start.
    pub fn at(&self) -> Duration {
        match self {
            Frame::Advert { at, .. } | Frame::GratuitousArp { at, .. } => *at,
        }
    }

    fn decode(at: Duration, bytes: &[u8]) -> Option<Frame> {
        let payload = bytes.get(14..)?;
        match bytes.get(12..14)? {
            [0x08, 0x00] => {
                let header = wire::ipv4::Repr::parse(payload).ok()?;
                if header.protocol != VRRP {
                    return None;
                }

                let packet = wire::vrrp::Packet::new(payload.get(header.header_length..)?).ok()?;
                Some(Frame::Advert {
                    at,
                    source: header.source,
                    version: packet.version(),
                    vrid: packet.vrid(),
                    priority: packet.priority(),
                    addresses: packet.addresses(false).collect(),
                })
            }
            [0x08, 0x06] => {
                let arp = wire::arp::Repr::parse(payload).ok()?;
                (arp.sender == arp.target).then_some(Frame::GratuitousArp {
                    at,
                    address: arp.sender,
                    mac: arp.sender_mac,
                })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Frame::Advert {
                at,
                source,
                version,
                vrid,
                priority,
                addresses,
            } => {
                write!(
                    f,
                    "{:8.3} s  {source} > 224.0.0.18: VRRPv{version}, ",
                    at.as_secs_f64()
                )?;
                write!(f, "vrid {vrid}, prio {priority}, addresses {addresses:?}")
            }
            Frame::GratuitousArp { address, mac, .. } => {
                write!(f, "{address} is at ")?;
                for (i, byte) in mac.iter().enumerate() {
                    write!(f, "{}{byte:02x}", if i == 0 { "" } else { ":" })?;
                }
                Ok(())
            }
        }
    }
}

/// Listens on one interface.
pub struct Watcher {
    frames: Receiver<Frame>,
    seen: Arc<Mutex<Vec<Frame>>>,
}

impl Watcher {
    /// Starts to listen; ends with the process.
    pub fn start(interface: &str) -> Result<Watcher, Failure> {
        let index = nix::net::if_::if_nametoindex(interface)? as usize;
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )?;
        let (sender, frames) = channel();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let store = Arc::clone(&seen);
        let start = Instant::now();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            loop {
                let Ok((length, from)) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) else {
                    return;
                };
                if from.is_none_or(|f| f.ifindex() != index) {
                    continue;
                }
                if let Some(frame) = buffer
                    .get(..length)
                    .and_then(|b| Frame::decode(start.elapsed(), b))
                {
                    if let Ok(mut seen) = store.lock() {
                        seen.push(frame.clone());
                    }
                    if sender.send(frame).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Watcher { frames, seen })
    }

    /// The next frame that is wanted, if it comes in time. Those before it are passed over.
    pub fn wait(&self, limit: Duration, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let end = Instant::now() + limit;
        loop {
            match self
                .frames
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(frame) if wanted(&frame) => return Some(frame),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// The last advert from an address so far.
    pub fn last_advert(&self, from: &str) -> Option<Frame> {
        let seen = self.seen.lock().ok()?;
        seen.iter()
            .rev()
            .find(|f| matches!(f, Frame::Advert { source, .. } if source.to_string() == from))
            .cloned()
    }
}
