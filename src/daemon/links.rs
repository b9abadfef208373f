//! The interfaces as main knows them: what is told of those that are used, and what dumps show of all.

use crate::model::{Instance, SyncGroup};
use crate::state::Interface;
use crate::state::kernel::Made;
use crate::vrrp::plan::Running;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// An interface, and what it was.
#[derive(Debug, Clone)]
pub struct Seen {
    /// As it is.
    pub interface: Arc<Interface>,
    /// It has been up.
    pub was_up: bool,
}

/// All interfaces.
#[derive(Debug, Default)]
pub struct Links {
    interfaces: BTreeMap<u32, Arc<Interface>>,
    were_up: BTreeSet<u32>,
    /// When each was first seen: a number for each index.
    order: BTreeMap<u32, u64>,
    next: u64,
    /// Those whose state matters to an instance.
    used: BTreeSet<String>,
    /// Virtual interfaces that were made and have not been told of: instance, name, ipvlan, how.
    made: Vec<(String, String, bool, Made)>,
}

impl Links {
    /// By index.
    pub fn interfaces(&self) -> &BTreeMap<u32, Arc<Interface>> {
        &self.interfaces
    }

    /// For dumps: in the order in which they were seen first.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = |(index, interface): (&u32, &Arc<Interface>)| Seen {
            interface: interface.clone(),
            was_up: self.were_up.contains(index),
        };
        let mut list: Vec<Seen> = self.interfaces.iter().map(seen).collect();
        list.sort_by_key(|seen| self.order.get(&seen.interface.index).copied());
        list
    }

    /// The instances that run from now on: says which addresses their interfaces have.
    pub fn configure(&mut self, running: &Running) {
        let mut told = BTreeSet::new();
        self.used.clear();
        for group in &running.groups {
            for member in &group.members {
                let config = &member.config;
                // Of those for addresses it is not said that they were there.
                let own = config.own_interface();
                self.made.retain(|(_, name, _, made)| {
                    *made != Made::Found || name == own || !is_for(config, name)
                });
                let made = |how: fn(&Made) -> bool, links: &mut Links| links.tell_made(&config.name, how);
                made(|made| *made == Made::Found, self);
                self.tell_addresses(&config.interface, &mut told);
                made(|_| true, self);
                if config.virtual_interface().is_some() {
                    self.tell_addresses(config.own_interface(), &mut told);
                }
                // keepalived says it of no interface that an instance further up in the file tracks.
                told.extend(config.track_interfaces.iter().map(|tracked| tracked.name.clone()));
                self.used.extend(names(&member.config, group.group.as_deref()));
            }
        }
        self.made.clear();
    }

    fn tell_addresses(&self, name: &str, told: &mut BTreeSet<String>) {
        let found = self.interfaces.values().find(|found| found.name == name);
        if let Some(interface) = found.filter(|_| told.insert(name.to_owned())) {
            for address in addresses(interface).into_iter().flatten() {
                tracing::debug!(target: "vrrp", "Assigned address {address} for interface {name}");
            }
        }
    }

    /// A virtual interface is there; told with the instance's turn.
    pub fn virtual_link(&mut self, name: String, instance: &str, ipvlan: bool, made: Made) {
        self.made.push((instance.to_owned(), name, ipvlan, made));
    }

    fn tell_made(&mut self, instance: &str, which: fn(&Made) -> bool) {
        let now = |made: &(String, String, bool, Made)| made.0 == instance && which(&made.3);
        for (instance, name, ipvlan, made) in self.made.extract_if(.., |made| now(made)) {
            crate::net::virtual_links::tell_made(&instance, &name, ipvlan, made);
        }
    }

    /// An interface is there or has changed; returns what it was.
    pub fn changed(&mut self, interface: &Arc<Interface>) -> Option<Arc<Interface>> {
        if interface.is_up() {
            self.were_up.insert(interface.index);
        }
        // One that was deleted and made again at once is not told to be gone.
        self.interfaces
            .retain(|index, known| *index == interface.index || known.name != interface.name);
        let before = self.interfaces.insert(interface.index, interface.clone());
        if before.is_none() {
            self.next += 1;
            self.order.insert(interface.index, self.next);
        }
        if let Some(before) = before.as_ref().filter(|_| self.used.contains(&interface.name)) {
            tell(before, interface);
        }
        before
    }

    /// An interface is gone.
    pub fn gone(&mut self, index: u32) {
        self.interfaces.remove(&index);
        self.were_up.remove(&index);
        self.order.remove(&index);
    }
}

fn tell(before: &Interface, now: &Interface) {
    let name = &now.name;
    for (was, is) in addresses(before).into_iter().zip(addresses(now)) {
        if was == is {
            continue;
        }
        if let Some(was) = was {
            tracing::debug!(target: "vrrp", "Deassigned address {was} from interface {name}");
        }
        if let Some(is) = is {
            tracing::debug!(target: "vrrp", "Assigned address {is} for interface {name}");
        }
    }
}

/// The addresses that adverts are sent from, IPv4 and IPv6.
fn addresses(interface: &Interface) -> [Option<IpAddr>; 2] {
    [interface.source(false), interface.source(true)]
}

/// An address of the instance is on it.
fn is_for(instance: &Instance, name: &str) -> bool {
    let mut addresses = instance.vips.iter().chain(&instance.excluded_vips);
    addresses.any(|address| address.interface == name)
}

fn names<'a>(instance: &'a Instance, group: Option<&'a SyncGroup>) -> impl Iterator<Item = String> + 'a {
    let of_group = group.into_iter().flat_map(|group| &group.track_interfaces);
    let tracked = instance
        .track_interfaces
        .iter()
        .chain(of_group)
        .map(|tracked| &tracked.name);
    let addresses = instance.vips.iter().chain(&instance.excluded_vips);
    let addressed = addresses.map(|address| &address.interface);
    let own = [&instance.interface, instance.own_interface()].map(str::to_owned);
    tracked.chain(addressed).cloned().chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::InterfaceAddress;
    use crate::state::interface::{IFF_RUNNING, IFF_UP, PROTOCOL_KEEPALIVED};

    fn eth0(flags: u32, addresses: &[(&str, u8)]) -> Arc<Interface> {
        let address = |(address, protocol): &(&str, u8)| InterfaceAddress {
            address: address.parse().unwrap(),
            prefix: 24,
            scope: 0,
            flags: 0,
            protocol: *protocol,
            label: None,
        };
        Arc::new(Interface {
            index: 2,
            name: "eth0".into(),
            flags,
            addresses: addresses.iter().map(address).collect(),
            ..Interface::default()
        })
    }

    #[test]
    fn an_interface_that_was_up_is_remembered_until_it_goes() {
        let mut links = Links::default();
        assert!(links.changed(&eth0(IFF_UP, &[])).is_none());
        assert!(!links.seen()[0].was_up);
        assert!(links.changed(&eth0(IFF_UP | IFF_RUNNING, &[])).is_some());
        links.changed(&eth0(IFF_UP, &[]));
        assert!(links.seen()[0].was_up);
        links.gone(2);
        links.changed(&eth0(IFF_UP, &[]));
        assert!(!links.seen()[0].was_up);
    }

    #[test]
    fn our_own_addresses_are_not_sources() {
        let interface = eth0(
            IFF_UP,
            &[
                ("192.0.2.100", PROTOCOL_KEEPALIVED),
                ("192.0.2.1", 0),
                ("2001:db8::1", 0),
            ],
        );
        assert_eq!(addresses(&interface), [Some("192.0.2.1".parse().unwrap()), None]);
    }
}
