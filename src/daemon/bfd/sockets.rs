//! The sockets of the sessions: opened, admitted to, drained.

use super::super::dumps::unguessable;
use super::{Bfd, Entry, LONGEST, RETRY, SessionId, World};
use crate::bfd::Event;
use crate::model::bfd::BfdInstance;
use crate::model::route::Family;
use crate::net::bfd::{Admitted, ListenSpec, Listener, Sender};
use crate::state::{Interface, Now};
use crate::sys::datagram::ReceiveRing;
use crate::wire::bfd::{PORT_MULTIHOP, PORT_SINGLE_HOP, Repr};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

impl Bfd {
    /// Opens what is missing, and tries again later what could not be opened.
    pub(super) fn open(&mut self, now: Now, world: &World<'_>) {
        let mut missing = false;
        for (spec, listening) in &mut self.listening {
            if listening.listener.is_some() {
                continue;
            }
            let result = Listener::open(*spec).and_then(|listener| {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, world.key + number(*spec));
                world.epoll.add(&listener, event)?;
                Ok(listener)
            });
            match result {
                Ok(listener) => {
                    listening.listener = Some(listener);
                    self.readmit = true;
                }
                Err(error) => {
                    if self.retry.is_none() {
                        tracing::error!(
                            target: "bfd",
                            "Unable to open listening socket: UDP port {}: {error}{}",
                            spec.port,
                            advice(&error)
                        );
                    }
                    missing = true;
                }
            }
        }
        // Before anything is sent: answers come at once.
        if std::mem::take(&mut self.readmit) {
            self.admit();
        }
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            let Some(entry) = self.sessions.get_mut(&id).filter(|e| e.sender.is_none()) else {
                continue;
            };
            match open_sender(entry.session.config(), world) {
                Ok(sender) => {
                    entry.sender = Some(sender);
                    entry.said.no_socket = false;
                    self.handle(id, now, Event::Enable);
                }
                Err(error) => {
                    missing = true;
                    say_no_socket(entry, &error);
                }
            }
        }
        self.retry = missing.then(|| now.mono.saturating_add(RETRY));
    }

    /// Tells the kernel from whom packets are taken. While a session is up, those with too few hops left do not
    /// reach it; before that they do, so that it can be said that they were refused.
    pub(super) fn admit(&mut self) {
        for (spec, listening) in &mut self.listening {
            let Some(listener) = &mut listening.listener else {
                continue;
            };
            let of_socket = self.sessions.values().filter(|e| e.listen == *spec);
            let admitted = of_socket.map(|entry| Admitted {
                source: entry.session.config().neighbor,
                hops: if entry.session.is_up() {
                    least_hops(entry.session.config())
                } else {
                    0
                },
            });
            if let Err(error) = listener.admit(admitted.collect()) {
                tracing::warn!(target: "bfd", "packets cannot be filtered: {error}");
            }
        }
    }

    pub(super) fn drain(&mut self, spec: ListenSpec, most: usize, now: Now) {
        let Some(listening) = self.listening.get_mut(&spec) else {
            return;
        };
        let Some(mut listener) = listening.listener.take() else {
            return;
        };
        let mut ring = self.ring.take().unwrap_or_else(|| ReceiveRing::new(32, LONGEST));
        let result = listener.receive(&mut ring, most, |packet| {
            let message = Repr::parse(packet.message);
            self.packet(spec, &packet, message, now);
        });
        if let Err(error) = result {
            tracing::debug!(target: "bfd", "cannot receive on UDP port {}: {error}", spec.port);
        }
        self.ring = Some(ring);
        if let Some(listening) = self.listening.get_mut(&spec) {
            listening.listener = Some(listener);
        }
    }
}

fn open_sender(config: &BfdInstance, world: &World<'_>) -> std::io::Result<Sender> {
    Sender::open(
        config.source,
        config.neighbor,
        interface_of(config, world.interfaces),
        listen_spec(config).port,
        ttl(config),
        unguessable,
    )
}

fn say_no_socket(entry: &mut Entry, error: &std::io::Error) {
    if std::mem::replace(&mut entry.said.no_socket, true) {
        return;
    }
    let name = &entry.name;
    tracing::error!(target: "bfd", "({name}) Unable to open output socket, disabling instance");
    let source = match (error.raw_os_error(), entry.session.config().source) {
        (Some(libc::EADDRNOTAVAIL), Some(source)) => format!(": {source} is no address of this host"),
        _ => String::new(),
    };
    tracing::error!(target: "bfd", "({name}) {error}{source}; it is tried again every second");
}

/// Number by which a listening socket is known to epoll.
pub(super) fn number(spec: ListenSpec) -> u64 {
    u64::from(spec.family == Family::Inet6) + 2 * u64::from(spec.port == PORT_MULTIHOP)
}

pub(super) fn listen_spec(config: &BfdInstance) -> ListenSpec {
    ListenSpec {
        family: match config.neighbor {
            IpAddr::V4(_) => Family::Inet,
            IpAddr::V6(_) => Family::Inet6,
        },
        port: if config.multihop {
            PORT_MULTIHOP
        } else {
            PORT_SINGLE_HOP
        },
    }
}

/// What it sends with. keepalived's default for IPv6 is 64, which no other implementation takes over one hop
/// (RFC 5881 5).
pub(super) fn ttl(config: &BfdInstance) -> u8 {
    config.ttl.unwrap_or(255)
}

/// What it takes.
pub(super) fn least_hops(config: &BfdInstance) -> u8 {
    let default = if config.neighbor.is_ipv4() { 255 } else { 64 };
    match u8::try_from(config.max_hops) {
        Ok(hops) => config.ttl.unwrap_or(default).saturating_sub(hops),
        Err(_) => 0,
    }
}

/// The interface of link-local addresses: the one that has the source address.
fn interface_of(config: &BfdInstance, interfaces: &BTreeMap<String, Arc<Interface>>) -> u32 {
    let Some(source) = config.source else { return 0 };
    let has = |i: &&Arc<Interface>| i.addresses.iter().any(|a| a.address == source);
    interfaces.values().find(has).map_or(0, |i| i.index)
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => " (another BFD daemon runs here); it is tried again every second",
        _ => "; it is tried again every second",
    }
}
