//! When a link's change of state is believed: `interface_up_down_delays` holds it back for a while, and
//! `linkbeat_interfaces` asks the link itself instead of the kernel.

use super::links::Table;
use crate::state::Interface;
use crate::state::interface::{IFF_RUNNING, IFF_UP, Linkbeat};
use crate::state::kernel::LinkWatch;
use crate::sys::carrier;
use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::time::Duration;
use tracing::{debug, info};

/// keepalived's interval between two questions, nanoseconds.
const POLL: u64 = 1_000_000_000;

/// Links that are not simply believed.
#[derive(Debug, Default)]
pub struct Carriers {
    watch: LinkWatch,
    /// By name: polled links.
    polled: BTreeMap<String, Polled>,
    /// By index: what was last told.
    believed: BTreeMap<u32, Believed>,
    socket: Option<UdpSocket>,
    next_poll: Option<u64>,
}

#[derive(Debug)]
struct Polled {
    /// Settled with the first answer.
    method: Option<Linkbeat>,
    carrier: bool,
}

#[derive(Debug)]
struct Believed {
    up: bool,
    /// The other state is believed then.
    pending: Option<u64>,
    flags: u32,
}

/// A link as it is told, and what is to be logged of it.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    /// The link.
    pub interface: Interface,
    /// It has gone up or down: the line.
    pub line: Option<String>,
}

impl Carriers {
    /// Settings from the start or a reload, at `now`. What was told stays believed.
    pub fn configure(&mut self, watch: LinkWatch, now: u64) {
        self.polled.retain(|name, _| watch.polled.contains_key(name));
        for (name, method) in &watch.polled {
            let before = self.watch.polled.get(name);
            if before != Some(method) || !self.polled.contains_key(name) {
                self.polled.insert(
                    name.clone(),
                    Polled {
                        method: None,
                        carrier: true,
                    },
                );
            }
        }
        if watch.polled.is_empty() {
            (self.socket, self.next_poll) = (None, None);
        } else if self.next_poll.is_none() {
            debug!(target: "vrrp", "Using MII-BMSR/ETHTOOL NIC polling thread(s)...");
            self.next_poll = Some(now);
        }
        self.watch = watch;
        self.poll();
    }

    /// Whether the line about a change of this link is made here.
    pub fn watches(&self, interface: &Interface, table: &Table) -> bool {
        self.polled.contains_key(&interface.name) || self.delay(interface, table).is_some()
    }

    /// What is believed of a link.
    pub fn view(&mut self, interface: &Interface, table: &Table, now: u64) -> View {
        let delay = self.delay(interface, table);
        let polled = self.polled.get(&interface.name);
        if delay.is_none() && polled.is_none() {
            self.believed.remove(&interface.index);
            return View {
                interface: interface.clone(),
                line: None,
            };
        }
        let up = match polled {
            Some(polled) => interface.flags & IFF_UP != 0 && polled.carrier,
            None => interface.is_up(),
        };
        let believed = self.believed.entry(interface.index).or_insert(Believed {
            up,
            pending: None,
            flags: interface.flags,
        });
        let mut line = None;
        if up == believed.up {
            believed.pending = None;
        } else {
            let (down_delay, up_delay) = delay.unwrap_or_default();
            let delay = nanoseconds(if up { up_delay } else { down_delay });
            let at = believed.pending.unwrap_or_else(|| now.saturating_add(delay));
            if at <= now {
                (believed.up, believed.pending) = (up, None);
                let who = if polled.is_some() { "Linkbeat" } else { "Netlink" };
                line = Some(format!(
                    "{who} reports {} {}",
                    interface.name,
                    if up { "up" } else { "down" }
                ));
            } else if believed.pending.is_none() {
                believed.pending = Some(at);
                debug!(
                    target: "vrrp",
                    "{}: Adding flags change from 0x{:x} to 0x{:x} delay by {}",
                    interface.name, believed.flags, interface.flags, delay / 1000
                );
            }
        }
        let running = IFF_UP | IFF_RUNNING;
        let flags = if believed.up {
            interface.flags | running
        } else if up {
            interface.flags & !IFF_RUNNING
        } else {
            interface.flags & !(if polled.is_some() { IFF_RUNNING } else { 0 })
        };
        believed.flags = flags;
        View {
            interface: Interface {
                flags,
                delayed: believed.pending.is_some(),
                linkbeat: polled.and_then(|polled| polled.method),
                ..interface.clone()
            },
            line,
        }
    }

    /// A link is gone.
    pub fn gone(&mut self, index: u32) {
        self.believed.remove(&index);
    }

    /// When [`Carriers::due`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        let pending = self.believed.values().filter_map(|believed| believed.pending);
        pending.chain(self.next_poll).min()
    }

    /// Links to be looked at again at `now`.
    pub fn due(&mut self, table: &Table, now: u64) -> Vec<u32> {
        let mut due: Vec<u32> = self
            .believed
            .iter()
            .filter(|(_, believed)| believed.pending.is_some_and(|at| at <= now))
            .map(|(index, _)| *index)
            .collect();
        if self.next_poll.is_some_and(|at| at <= now) {
            self.next_poll = Some(now.saturating_add(POLL));
            let changed = self.poll();
            let index = |name: &String| table.by_name(name).map(|interface| interface.index);
            due.extend(changed.iter().filter_map(index));
        }
        due
    }

    /// Asks all polled links; returns those with another answer than before.
    fn poll(&mut self) -> Vec<String> {
        let mut changed = Vec::new();
        if self.polled.is_empty() {
            return changed;
        }
        if self.socket.is_none() {
            match UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => {
                    info!(target: "vrrp", "Links cannot be polled: no socket: {error}");
                    return changed;
                }
            }
        }
        let Some(socket) = &self.socket else {
            return changed;
        };
        for (name, polled) in &mut self.polled {
            let wanted = self.watch.polled.get(name).copied().flatten();
            let answer = match polled.method {
                Some(method) => ask(socket, name, method).ok().map(|carrier| (method, carrier)),
                None => first_answer(socket, name, wanted),
            };
            let before = (polled.method, polled.carrier);
            // A link that does not answer has gone: the kernel says that by itself.
            if let Some((method, carrier)) = answer {
                (polled.method, polled.carrier) = (Some(method), carrier);
            }
            if before != (polled.method, polled.carrier) {
                changed.push(name.clone());
            }
        }
        changed
    }

    /// Delays down and up. A link over another, that is of the same host, has those of the one below.
    fn delay(&self, interface: &Interface, table: &Table) -> Option<(Duration, Duration)> {
        let own = self.watch.delays.get(&interface.name);
        let virtual_link = || matches!(interface.kind.as_deref(), Some("macvlan" | "ipvlan"));
        own.copied().or_else(|| {
            let lower = interface.lower.filter(|_| virtual_link())?;
            self.watch.delays.get(&table.get(lower)?.name).copied()
        })
    }
}

fn ask(socket: &UdpSocket, name: &str, method: Linkbeat) -> io::Result<bool> {
    match method {
        Linkbeat::Mii => carrier::by_mii(socket, name),
        Linkbeat::Ethtool => carrier::by_ethtool(socket, name),
        Linkbeat::Ioctl => carrier::by_flags(socket, name),
    }
}

/// The way that was asked for, else the first one that works.
fn first_answer(socket: &UdpSocket, name: &str, wanted: Option<Linkbeat>) -> Option<(Linkbeat, bool)> {
    let all = [Linkbeat::Mii, Linkbeat::Ethtool, Linkbeat::Ioctl];
    let order = wanted
        .into_iter()
        .chain(all.into_iter().filter(|method| Some(*method) != wanted));
    let (method, carrier) = order
        .filter_map(|method| Some((method, ask(socket, name, method).ok()?)))
        .next()?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != method) {
        info!(
            target: "vrrp",
            "({name}): Configured linkbeat type {} not supported, using {}", wanted.as_str(), method.as_str()
        );
    }
    Some((method, carrier))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: u32 = IFF_UP | IFF_RUNNING;
    const MS: u64 = 1_000_000;

    fn delayed(down: u64, up: u64) -> Carriers {
        let mut carriers = Carriers::default();
        let delays = (Duration::from_millis(down), Duration::from_millis(up));
        carriers.configure(
            LinkWatch {
                delays: BTreeMap::from([("eth0".to_owned(), delays)]),
                polled: BTreeMap::new(),
            },
            0,
        );
        carriers
    }

    fn link(flags: u32) -> Interface {
        Interface {
            index: 2,
            name: "eth0".into(),
            flags,
            ..Interface::default()
        }
    }

    /// Whether it is told as up, and the line.
    fn at(carriers: &mut Carriers, flags: u32, ms: u64) -> (bool, Option<String>) {
        let view = carriers.view(&link(flags), &Table::default(), ms * MS);
        (view.interface.is_up(), view.line)
    }

    #[test]
    fn a_short_interruption_is_not_told() {
        let mut carriers = delayed(500, 1500);
        assert_eq!(at(&mut carriers, UP, 0), (true, None));
        assert_eq!(at(&mut carriers, IFF_UP, 100), (true, None));
        assert_eq!(carriers.deadline(), Some(600 * MS));
        // Another message about it does not begin anew.
        assert_eq!(at(&mut carriers, 0, 300), (true, None));
        assert_eq!(carriers.deadline(), Some(600 * MS));
        assert_eq!(at(&mut carriers, UP, 500), (true, None));
        assert_eq!(carriers.deadline(), None);
        assert_eq!(at(&mut carriers, IFF_UP, 1000), (true, None));
        assert_eq!(carriers.due(&Table::default(), 1500 * MS), [2]);
        let down = Some("Netlink reports eth0 down".to_owned());
        assert_eq!(at(&mut carriers, IFF_UP, 1500), (false, down));
        assert_eq!(at(&mut carriers, UP, 2000), (false, None));
        assert_eq!(carriers.deadline(), Some(3500 * MS));
        let up = Some("Netlink reports eth0 up".to_owned());
        assert_eq!(at(&mut carriers, UP, 3500), (true, up));
    }

    #[test]
    fn without_a_delay_at_once_and_down_at_the_start_is_down() {
        let mut carriers = delayed(0, 1000);
        assert_eq!(at(&mut carriers, IFF_UP, 0), (false, None));
        assert!(!at(&mut carriers, UP, 10).0);
        assert!(at(&mut carriers, UP, 1010).0);
        assert!(!at(&mut carriers, IFF_UP, 1020).0);
        carriers.gone(2);
        assert_eq!(at(&mut carriers, UP, 1030), (true, None));
    }

    #[test]
    fn others_are_told_as_they_are() {
        let mut carriers = delayed(500, 500);
        let other = Interface {
            name: "eth1".into(),
            ..link(UP)
        };
        let view = carriers.view(&other, &Table::default(), 0);
        assert_eq!((view.interface, view.line), (other, None));
    }
}
