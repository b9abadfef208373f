//! Gratuitous ARP and unsolicited neighbour advertisements: who has the address now.
//!
//! A set of several packets goes out in rounds over all addresses, as keepalived sends it. What is still to
//! be sent is bounded by the number of addresses: announcing one again while packets for it are pending
//! only brings them back to a full set.

use super::links::Table;
use crate::model::vrrp::GarpGroup;
use crate::state::interface::IFF_NOARP;
use crate::state::{InstanceId, Interface};
use crate::sys::datagram::{Destination, Outgoing, SendRing};
use crate::wire::{arp, ndp};
use socket2::{Domain, Socket, Type};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info};

/// ARPHRD_ETHER.
const ETHERNET: u16 = 1;
/// Frames of one send.
const BATCH: usize = 64;
/// How long the forwarding setting of an interface is believed.
const FORWARDING_AGE: u64 = 5_000_000_000;

/// Distances that packets keep on an interface.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pacing {
    /// `vrrp_garp_interval`.
    pub garp_interval: Duration,
    /// `vrrp_gna_interval`.
    pub gna_interval: Duration,
    /// `garp_group`.
    pub groups: Vec<GarpGroup>,
}

/// Address on an interface.
type Key = (u32, IpAddr);

#[derive(Debug)]
struct Pending {
    instance: InstanceId,
    remaining: u32,
}

/// Who shares one distance: an interface, or a group of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pace {
    Interface { index: u32, ipv6: bool },
    Group { place: usize, ipv6: bool },
}

#[derive(Debug, Default)]
struct Lane {
    interval: u64,
    next: u64,
    queue: VecDeque<Key>,
}

/// Sends announcements.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
    ring: SendRing,
    pacing: Pacing,
    pending: BTreeMap<Key, Pending>,
    /// What may go out at once, in order.
    unpaced: VecDeque<Key>,
    lanes: BTreeMap<Pace, Lane>,
    /// Frames for the next send, and what the line says when it fails.
    frames: Vec<(Vec<u8>, Key)>,
    forwarding: BTreeMap<u32, (u64, bool)>,
    /// To be written when the frames are out.
    lines: Vec<Line>,
}

/// A line of `-D`.
#[derive(Debug)]
enum Line {
    Queueing(Arc<str>, Key),
    Sending(Key),
}

impl Announcer {
    /// Opens the packet socket.
    pub fn open() -> io::Result<Announcer> {
        let kind = Type::RAW.cloexec().nonblocking();
        Ok(Announcer {
            // Protocol 0: it receives nothing.
            socket: Socket::new(Domain::PACKET, kind, None)?,
            ring: SendRing::new(BATCH),
            pacing: Pacing::default(),
            pending: BTreeMap::new(),
            unpaced: VecDeque::new(),
            lanes: BTreeMap::new(),
            frames: Vec::new(),
            forwarding: BTreeMap::new(),
            lines: Vec::new(),
        })
    }

    /// New distances. What is pending keeps its place.
    pub fn configure(&mut self, pacing: Pacing) {
        if self.pacing == pacing {
            return;
        }
        self.pacing = pacing;
        let waiting: Vec<Key> = self
            .unpaced
            .drain(..)
            .chain(
                std::mem::take(&mut self.lanes)
                    .into_values()
                    .flat_map(|lane| lane.queue),
            )
            .collect();
        // Without the table the name of an interface, and with it its group, is not known here; the lane is
        // found when the packet's turn comes.
        self.unpaced.extend(waiting);
    }

    /// Announces an address with `repeat` packets: the first one with the next [`Announcer::send`] where no
    /// distance is set, the rest in rounds.
    pub fn announce(
        &mut self,
        table: &Table,
        now: u64,
        who: (InstanceId, &Arc<str>),
        index: u32,
        address: IpAddr,
        repeat: u32,
    ) {
        let Some(interface) = table.get(index).filter(|interface| can(interface, address)) else {
            return;
        };
        if repeat == 0 {
            return;
        }
        let (instance, name) = who;
        let key = (index, address);
        self.lines.push(Line::Queueing(name.clone(), key));
        if let Some(pending) = self.pending.get_mut(&key) {
            pending.remaining = pending.remaining.max(repeat);
            pending.instance = instance;
            return;
        }
        let remaining = repeat;
        self.pending.insert(key, Pending { instance, remaining });
        match self.lane(interface, address, now) {
            Some(lane) => lane.queue.push_back(key),
            None => self.send_one(table, now, key),
        }
    }

    /// One packet for our own address, outside all sets.
    pub fn announce_source(&mut self, table: &Table, now: u64, index: u32, address: IpAddr) {
        if let Some(interface) = table.get(index).filter(|interface| can(interface, address)) {
            let frame = self.frame(interface, now, address);
            self.frames.push((frame, (index, address)));
            self.send(table);
        }
    }

    /// Forgets what is pending for an instance.
    pub fn cancel(&mut self, instance: InstanceId) {
        self.pending.retain(|_, pending| pending.instance != instance);
    }

    /// Forgets what is pending for one of its addresses.
    pub fn cancel_address(&mut self, instance: InstanceId, address: IpAddr) {
        self.pending
            .retain(|(_, pending_for), pending| pending.instance != instance || *pending_for != address);
    }

    /// Sends what is due, at most one batch of what has no distance to keep.
    pub fn run(&mut self, table: &Table, now: u64) {
        for _ in 0..BATCH {
            let Some(key) = self.unpaced.pop_front() else {
                break;
            };
            let interface = table.get(key.0);
            match interface.and_then(|interface| self.lane(interface, key.1, now)) {
                Some(lane) => lane.queue.push_back(key),
                None => self.send_one(table, now, key),
            }
        }
        let due: Vec<Pace> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.next <= now)
            .map(|(pace, _)| *pace)
            .collect();
        for pace in due {
            while let Some(key) = self.lanes.get_mut(&pace).and_then(|lane| lane.queue.pop_front()) {
                // What was cancelled meanwhile takes no turn.
                if self.pending.contains_key(&key) {
                    self.send_one(table, now, key);
                    if let Some(lane) = self.lanes.get_mut(&pace) {
                        lane.next = now + lane.interval;
                    }
                    break;
                }
            }
        }
        self.lanes
            .retain(|_, lane| !lane.queue.is_empty() || lane.next > now);
        self.send(table);
    }

    /// When `run` has something to do: 0 is now.
    pub fn deadline(&self) -> Option<u64> {
        if !self.unpaced.is_empty() || !self.frames.is_empty() {
            return Some(0);
        }
        self.lanes
            .values()
            .filter(|lane| !lane.queue.is_empty())
            .map(|lane| lane.next)
            .min()
    }

    /// Nothing is pending.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.frames.is_empty()
    }

    /// There is something to say.
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Writes the lines about what was sent.
    pub fn say(&mut self, table: &Table) {
        for line in self.lines.drain(..) {
            tell(&line, table);
        }
    }

    /// Sends an announcement of the address out of no interface, which the kernel refuses.
    pub fn rehearse(&mut self, address: IpAddr) {
        let (frame, protocol) = match address {
            IpAddr::V4(address) => (gratuitous_arp([0; 6], address), arp::ETHERTYPE),
            IpAddr::V6(address) => (unsolicited_na([0; 6], address, false), ndp::ETHERTYPE),
        };
        let outgoing = Outgoing {
            parts: [&frame, &[], &[]],
            to: Destination::Link { index: 0, protocol },
            source: None,
            hop_limit: None,
        };
        self.ring
            .send(&self.socket, 0, std::iter::once(outgoing), |_, _| {});
    }

    /// Sends the frames that are ready.
    pub fn send(&mut self, table: &Table) {
        if self.frames.is_empty() {
            return;
        }
        let Announcer {
            socket, ring, frames, ..
        } = self;
        let outgoing = frames.iter().map(|(frame, key)| Outgoing {
            parts: [frame, &[], &[]],
            to: Destination::Link {
                index: key.0,
                protocol: if key.1.is_ipv4() {
                    arp::ETHERTYPE
                } else {
                    ndp::ETHERTYPE
                },
            },
            source: None,
            hop_limit: None,
        });
        ring.send(socket, 0, outgoing, |place, errno| {
            if let Some((_, (index, address))) = frames.get(place) {
                let name = table.get(*index).map_or("?", |interface| interface.name.as_str());
                let text = nix::errno::Errno::from_raw(errno).desc();
                match address {
                    IpAddr::V4(_) => info!(target: "vrrp",
                        "Error {errno} ({text}) sending gratuitous ARP on {name} for {address}"),
                    IpAddr::V6(_) => info!(target: "vrrp",
                        "Error {errno} sending ndisc unsolicited neighbour advert on {name} for {address}"),
                }
            }
        });
        self.frames.clear();
    }

    /// Makes the next packet of a set ready; puts the rest of the set at the end.
    fn send_one(&mut self, table: &Table, now: u64, key: Key) {
        let Some(pending) = self.pending.get_mut(&key) else {
            return;
        };
        pending.remaining -= 1;
        let more = pending.remaining > 0;
        if !more {
            self.pending.remove(&key);
        }
        let Some(interface) = table.get(key.0) else {
            self.pending.remove(&key);
            return;
        };
        self.lines.push(Line::Sending(key));
        let frame = self.frame(interface, now, key.1);
        self.frames.push((frame, key));
        if self.frames.len() >= BATCH {
            self.send(table);
        }
        if more {
            match self.lane(interface, key.1, now) {
                Some(lane) => lane.queue.push_back(key),
                None => self.unpaced.push_back(key),
            }
        }
    }

    fn lane(&mut self, interface: &Interface, address: IpAddr, now: u64) -> Option<&mut Lane> {
        let ipv6 = address.is_ipv6();
        let of = |garp: Option<Duration>, gna: Option<Duration>| if ipv6 { gna } else { garp };
        let index = interface.index;
        let group = self
            .pacing
            .groups
            .iter()
            .enumerate()
            .find(|(_, group)| group.interfaces.contains(&interface.name))
            .and_then(|(place, group)| {
                let interval = of(group.garp_interval, group.gna_interval)?;
                let pace = match group.aggregated {
                    true => Pace::Group { place, ipv6 },
                    false => Pace::Interface { index, ipv6 },
                };
                Some((pace, interval))
            });
        let (pace, interval) = group.or_else(|| {
            let interval = of(Some(self.pacing.garp_interval), Some(self.pacing.gna_interval))?;
            Some((Pace::Interface { index, ipv6 }, interval))
        })?;
        if interval.is_zero() {
            return None;
        }
        let lane = self.lanes.entry(pace).or_insert_with(|| Lane {
            next: now,
            ..Lane::default()
        });
        lane.interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Some(lane)
    }

    fn frame(&mut self, interface: &Interface, now: u64, address: IpAddr) -> Vec<u8> {
        let mut mac = [0; 6];
        mac.copy_from_slice(&interface.mac[..6]);
        match address {
            IpAddr::V4(address) => gratuitous_arp(mac, address),
            IpAddr::V6(address) => unsolicited_na(mac, address, self.forwards(interface, now)),
        }
    }

    /// The interface forwards IPv6 packets: neighbours must then take us for a router.
    fn forwards(&mut self, interface: &Interface, now: u64) -> bool {
        if let Some((read, forwards)) = self.forwarding.get(&interface.index)
            && now.saturating_sub(*read) < FORWARDING_AGE
        {
            return *forwards;
        }
        let path = format!("/proc/sys/net/ipv6/conf/{}/forwarding", interface.name);
        let forwards = std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
        self.forwarding.insert(interface.index, (now, forwards));
        forwards
    }
}

fn tell(line: &Line, table: &Table) {
    let name = |index| table.get(index).map_or("?", |interface| interface.name.as_str());
    match line {
        Line::Queueing(instance, (index, address)) => {
            let what = match address {
                IpAddr::V4(_) => "gratuitous ARPs",
                IpAddr::V6(_) => "Unsolicited Neighbour Adverts",
            };
            debug!(target: "vrrp", VRRP_INSTANCE = %instance,
                "({instance}) Sending/queueing {what} on {} for {address}", name(*index));
        }
        Line::Sending((index, IpAddr::V4(address))) => {
            debug!(target: "vrrp", "Sending gratuitous ARP on {} for {address}", name(*index));
        }
        Line::Sending((index, IpAddr::V6(address))) => {
            debug!(target: "vrrp", "Sending unsolicited Neighbour Advert on {} for {address}", name(*index));
        }
    }
}

/// The interface can carry the announcement of this address.
fn can(interface: &Interface, address: IpAddr) -> bool {
    interface.mac.len() == 6 && (address.is_ipv6() || interface.flags & IFF_NOARP == 0)
}

/// With its Ethernet header.
fn gratuitous_arp(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet([0xff; 6], mac, arp::ETHERTYPE);
    arp::Repr::gratuitous(ETHERNET, &mac, &[0xff; 6], address).emit(&mut frame);
    frame
}

/// With its Ethernet header.
fn unsolicited_na(mac: [u8; 6], address: Ipv6Addr, router: bool) -> Vec<u8> {
    let mut frame = ethernet(ndp::ALL_NODES_MAC, mac, ndp::ETHERTYPE);
    ndp::Repr::unsolicited(address, mac, router).emit(&mut frame);
    frame
}

fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(86);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame
}
