//! Datagrams in and out: which socket, which instance.

use super::super::group_task::{Message, Outbox};
use super::super::guard::Packets;
use super::{KEY_SOCKETS, Port, SocketId};
use crate::net::adverts::{AdvertSockets, Cast};
use crate::state::{GroupId, InstanceId};
use crate::vrrp::group::Datagram;
use crate::vrrp::{Event, Received};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::AsFd;

pub(super) struct InstanceEntry {
    pub(super) group: GroupId,
    pub(super) vrid: u8,
    pub(super) peers: Vec<IpAddr>,
    pub(super) socket: Option<SocketId>,
}

pub(super) struct SocketEntry {
    pub(super) socket: Box<AdvertSockets>,
    /// By VRID. Several when unicast instances share a source address.
    pub(super) instances: BTreeMap<u8, Vec<InstanceId>>,
    pub(super) unknown: u64,
    pub(super) unknown_logged: BTreeSet<u8>,
}

impl Port {
    pub(super) fn receive(&mut self, id: SocketId, most: usize) {
        let Some(entry) = self.sockets.get_mut(&id) else {
            return;
        };
        let SocketEntry {
            socket,
            instances,
            unknown,
            unknown_logged,
        } = entry;
        let mut packets: Vec<(InstanceId, Received)> = Vec::new();
        let mut strangers: Vec<(u8, IpAddr)> = Vec::new();
        let result = socket.receive(&mut self.buffers, most, |packet| {
            let offset = if packet.ah { 25 } else { 1 };
            let Some(&vrid) = packet.message.get(offset) else {
                return;
            };
            match choose(instances.get(&vrid), packet.source, &self.instances) {
                Some(instance) => packets.push((instance, packet.into())),
                None => {
                    *unknown += 1;
                    if unknown_logged.insert(vrid) {
                        strangers.push((vrid, packet.source));
                    }
                }
            }
        });
        if let Err(error) = result {
            tracing::debug!(target: "vrrp", "cannot receive on {}: {error}", socket.spec().interface);
        }
        if self.log_unknown {
            for (vrid, source) in strangers {
                let place = match socket.spec().cast {
                    Cast::Multicast(_) => format!("on interface({})", socket.spec().interface),
                    Cast::Unicast(_) => format!("from {source}"),
                };
                tracing::info!(target: "vrrp", VRRP_PEER = %source, "Unknown VRID({vrid}) received {place}. ignoring...");
            }
        }
        for (instance, packet) in packets {
            if let Some(group) = self.instances.get(&instance).map(|i| i.group) {
                self.tell(group, Message::Event(Event::Packet { instance, packet }));
            }
        }
    }

    pub(super) fn send_datagrams(&mut self, outbox: &mut Outbox) {
        let socket_of = |instance: &InstanceId| self.instances.get(instance).and_then(|i| i.socket);
        let mut batches: BTreeMap<SocketId, Vec<&(InstanceId, Datagram)>> = BTreeMap::new();
        for datagram in &outbox.datagrams {
            match socket_of(&datagram.0).filter(|s| self.sockets.contains_key(s)) {
                Some(socket) => batches.entry(socket).or_default().push(datagram),
                None => self.failures.push(failure(datagram, libc::ENODEV)),
            }
        }
        for (socket, batch) in batches {
            let Some(entry) = self.sockets.get_mut(&socket) else {
                continue;
            };
            let failures = &mut self.failures;
            entry
                .socket
                .send(&mut self.buffers, batch.iter().map(|d| &d.1), |at, errno| {
                    // No room now: the next advert follows soon enough.
                    if let Some(datagram) = batch.get(at)
                        && !matches!(errno, libc::ENOBUFS | libc::EAGAIN)
                    {
                        failures.push(failure(datagram, errno));
                    }
                });
        }
    }

    /// The guard hears of adverts that it does not know, when everybody else has heard of everything.
    pub(super) fn tell_guard(&mut self, outbox: &mut Outbox) {
        for (instance, version) in outbox.untold.drain(..) {
            let socket = self.instances.get(&instance).and_then(|i| i.socket);
            let Some(entry) = socket.and_then(|s| self.sockets.get(&s)) else {
                continue;
            };
            let datagrams = outbox.datagrams.iter().filter(|(whose, _)| *whose == instance);
            let packets = Packets {
                instance,
                spec: entry.socket.spec().clone(),
                datagrams: datagrams.map(|(_, datagram)| datagram.clone()).collect(),
            };
            if !packets.datagrams.is_empty() && (self.outputs.guard)(packets) {
                self.shared.page.borrow_mut().told(instance, version);
            }
        }
    }

    pub(super) fn attach(&mut self, instance: InstanceId, socket: Option<SocketId>) {
        match socket {
            Some(socket) => self.wanted_sockets.insert(instance, socket),
            None => self.wanted_sockets.remove(&instance),
        };
        for entry in self.sockets.values_mut() {
            unregister(entry, instance);
        }
        let Some(entry) = self.instances.get_mut(&instance) else {
            return;
        };
        if entry.socket != socket {
            self.shared.page.borrow_mut().untold(instance);
        }
        entry.socket = socket;
        if let Some(socket) = socket.and_then(|s| self.sockets.get_mut(&s)) {
            socket.instances.entry(entry.vrid).or_default().push(instance);
        }
    }

    pub(super) fn open(&mut self, id: SocketId, socket: Box<AdvertSockets>) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, KEY_SOCKETS + u64::from(id.0));
        if let Err(error) = self.epoll.add(socket.as_fd(), event) {
            tracing::error!(target: "vrrp", "cannot wait for packets on {}: {error}", socket.spec().interface);
            return;
        }
        self.sockets.insert(
            id,
            SocketEntry {
                socket,
                instances: BTreeMap::new(),
                unknown: 0,
                unknown_logged: BTreeSet::new(),
            },
        );
    }

    pub(super) fn close(&mut self, id: SocketId) {
        if let Some(entry) = self.sockets.remove(&id) {
            let _ = self.epoll.delete(entry.socket.as_fd());
            (self.outputs.close)(*entry.socket);
        }
    }
}

pub(super) fn failure((instance, datagram): &(InstanceId, Datagram), errno: i32) -> Event {
    Event::SendFailed {
        instance: *instance,
        destination: datagram.destination,
        errno,
    }
}

pub(super) fn unregister(socket: &mut SocketEntry, instance: InstanceId) {
    socket.instances.retain(|_, list| {
        list.retain(|i| *i != instance);
        !list.is_empty()
    });
}

/// The instance of a VRID on a socket; unicast instances that share both are told apart by their peers.
pub(super) fn choose(
    candidates: Option<&Vec<InstanceId>>,
    source: IpAddr,
    instances: &BTreeMap<InstanceId, InstanceEntry>,
) -> Option<InstanceId> {
    let candidates = candidates?;
    if let [only] = candidates.as_slice() {
        return Some(*only);
    }
    candidates
        .iter()
        .find(|id| instances.get(id).is_some_and(|i| i.peers.contains(&source)))
        .or_else(|| candidates.first())
        .copied()
}
