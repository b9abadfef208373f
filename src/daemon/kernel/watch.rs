//! What the kernel tells: links, addresses, and that something was lost.

use super::Kernel;
use crate::net::hearing;
use crate::net::links::Change;
use crate::net::monitor::Seen;
use crate::net::objects::Key;
use crate::net::virtual_links;
use crate::state::kernel::KernelReport;
use crate::state::{Interface, InterfaceAddress};
use crate::sys::{clock, poll};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, error, info};

/// When links and addresses cannot be read, they are read again after this, nanoseconds.
const READ_AGAIN: u64 = 100_000_000;

/// Longest wait for the kernel to give a new virtual interface its link-local address, nanoseconds.
const LINK_LOCAL_WAIT: u64 = 200_000_000;

impl Kernel {
    /// Looks at the monitor; true when more is waiting.
    pub(super) fn look(&mut self) -> bool {
        let mut more = self.take_in() | self.take_in_objects();
        if std::mem::take(&mut self.virtual_down) {
            // The kernel says first that an interface that is deleted is down: wait for the rest of it.
            self.virtual_links.settle(&mut self.channel);
            more = self.take_in();
        }
        more |= self.keep_virtual_links(false);
        if !more {
            self.report_changed();
        }
        more
    }

    /// Takes in what the monitor has; true when more is waiting.
    pub(super) fn take_in(&mut self) -> bool {
        match self.monitor.look(&mut self.table) {
            Seen::Changes { changes, more } => {
                for change in changes {
                    self.change(change);
                }
                more
            }
            Seen::Lost => {
                self.resynchronize(false);
                true
            }
        }
    }

    /// Makes virtual interfaces that are missing. `told`: what was made is reported, not logged. True when
    /// something was done.
    pub(super) fn keep_virtual_links(&mut self, told: bool) -> bool {
        let now = clock::monotonic();
        let due = self.virtual_links.deadline().is_some_and(|at| at <= now);
        if !std::mem::replace(&mut self.links_changed, false) && !due {
            return false;
        }
        self.making = true;
        self.virtual_links.create(&mut self.channel, &self.table, now);
        while self.take_in() {}
        // The rules are in force before anything can be sent.
        self.firewall.set_vmacs(self.virtual_links.vmacs(&self.table));
        self.firewall.flush(&self.table);
        let brought = self.virtual_links.raise(&mut self.channel, &self.table);
        while self.take_in() {}
        // The kernel gives an IPv6 address from a work queue; without it an instance has no source.
        let until = clock::monotonic() + LINK_LOCAL_WAIT;
        while self.virtual_links.lacks_address(&self.table) && clock::monotonic() < until {
            let _ = poll::readable(&[self.monitor.as_fd()], Some(Duration::from_millis(10)));
            while self.take_in() {}
        }
        self.making = false;
        for (index, name) in std::mem::take(&mut self.replaced) {
            if self.table.by_name(&name).is_none() {
                (self.report)(KernelReport::InterfaceGone { index, name });
            }
        }
        let worked = !brought.is_empty();
        for link in brought {
            if told {
                (self.report)(KernelReport::VirtualLink {
                    name: link.name,
                    instance: link.instance,
                    ipvlan: link.ipvlan,
                    made: link.made,
                });
            } else {
                virtual_links::tell_made(&link.instance, &link.name, link.ipvlan, link.made);
            }
        }
        self.report_changed();
        worked
    }

    pub(super) fn change(&mut self, change: Change) {
        match change {
            Change::Link {
                index,
                renamed_from,
                new,
                came_up,
                went_down,
            } => {
                let Some(interface) = self.table.get(index).cloned() else {
                    return;
                };
                if let Some(former) = renamed_from {
                    info!(target: "vrrp", "Interface name has changed from {former} to {}", interface.name);
                    self.desired.interface_gone(&former);
                    (self.report)(KernelReport::InterfaceGone { index, name: former });
                }
                self.links_changed |= !self.making && self.virtual_links.concerns(&interface.name);
                let ours = self.making && self.virtual_links.is_wanted(&interface.name);
                self.virtual_down |= went_down && self.virtual_links.is_wanted(&interface.name);
                if new && !ours {
                    self.link_line(&interface.name, "added");
                }
                if ((came_up && !new) || went_down)
                    && !ours
                    && !self.carriers.watches(&interface, &self.table)
                {
                    self.state_line(&interface.name, came_up);
                }
                if came_up {
                    self.listeners
                        .came_up(&interface, clock::monotonic(), clock::since_boot());
                } else if went_down {
                    self.listeners.went_down(index);
                }
                if came_up {
                    self.desired.interface_back(&interface.name, &self.table);
                }
                self.firewall.interfaces_changed();
                self.changed.insert(index);
            }
            Change::LinkGone { interface } => {
                self.link_line(&interface.name, "deleted");
                self.carriers.gone(interface.index);
                self.listeners.went_down(interface.index);
                // One of that name under another index may be there already.
                if self.table.by_name(&interface.name).is_none() {
                    self.desired.interface_gone(&interface.name);
                }
                self.changed.remove(&interface.index);
                self.firewall.interfaces_changed();
                self.links_changed |= self.virtual_links.concerns(&interface.name);
                if self.virtual_links.deleted(&interface.name, &self.table) {
                    self.replaced.push((interface.index, interface.name));
                    return;
                }
                (self.report)(KernelReport::InterfaceGone {
                    index: interface.index,
                    name: interface.name,
                });
            }
            Change::AddressAdded { index, address } => self.address(index, &address, None),
            Change::AddressRemoved { index, address, port } => self.address(index, &address, Some(port)),
        }
    }

    pub(super) fn is_used(&self, name: &str) -> bool {
        self.desired.uses(name) || self.settings.tracked_interfaces.contains(name)
    }

    pub(super) fn state_line(&self, name: &str, up: bool) {
        if self.is_used(name) {
            info!(target: "vrrp", "Netlink reports {name} {}", if up { "up" } else { "down" });
        }
    }

    pub(super) fn link_line(&self, name: &str, what: &str) {
        if self.is_used(name) {
            info!(target: "vrrp", "Interface {name} {what}");
        } else {
            debug!(target: "vrrp", "Interface {name} {what}");
        }
    }

    /// An address was added, or removed through the netlink port `removed`.
    pub(super) fn address(&mut self, index: u32, address: &InterfaceAddress, removed: Option<u32>) {
        let Some(interface) = self.table.get(index) else {
            return;
        };
        let (name, up) = (interface.name.clone(), interface.is_up());
        self.links_changed |= !self.making && address.address.is_ipv6() && self.virtual_links.concerns(&name);
        let key = Key::found(&name, address);
        let what = if removed.is_some() {
            "removed from"
        } else {
            "added to"
        };
        let text = address.address;
        let lost = removed.and_then(|port| Some((self.desired.lost(&key, clock::monotonic(), up)?, port)));
        if self.settings.log_addresses {
            info!(target: "vrrp", "Netlink reflector reports IP {text} {what} {name}");
        } else if lost.is_some() {
            debug!(target: "vrrp", "Netlink reflector reports IP {text} {what} {name}");
        }
        if let Some((loss, port)) = lost {
            self.take_loss(loss, &key, port, false);
        }
        // Our own changes are no news.
        if !self.desired.is_configured(&key) {
            self.changed.insert(index);
        }
    }

    pub(super) fn report_changed(&mut self) {
        let now = clock::monotonic();
        for index in std::mem::take(&mut self.changed) {
            if let Some(interface) = self.table.get(index) {
                let mut view = self.carriers.view(interface, &self.table, now);
                view.interface.hearing = self.listeners.hearing(index);
                if let Some(line) = view.line.filter(|_| self.is_used(&interface.name)) {
                    info!(target: "vrrp", "{line}");
                }
                (self.report)(KernelReport::Interface(Arc::new(view.interface)));
            }
        }
    }

    /// At the machine's start a link that is up came up a moment ago.
    pub(super) fn listen_at_boot(&mut self) {
        let (now, since_boot) = (clock::monotonic(), clock::since_boot());
        if since_boot < hearing::BOOT {
            for link in self.table.iter().filter(|link| link.is_up()) {
                self.listeners.came_up(link, now, since_boot);
            }
        }
    }

    /// Links that are polled or listened on, and changes that have been held back for long enough.
    pub(super) fn look_at_links(&mut self) {
        let now = clock::monotonic();
        let heard = self.listeners.due(now);
        if !heard.is_empty() {
            self.changed.extend(heard);
            self.report_changed();
        }
        if self.carriers.deadline().is_some_and(|at| at <= now) {
            let due = self.carriers.due(&self.table, now);
            self.changed.extend(due);
            self.report_changed();
        }
    }

    /// Reads everything again. `all` reports every interface, else those that differ.
    pub(super) fn resynchronize(&mut self, all: bool) {
        let table = match self.monitor.reread(&mut self.channel) {
            Ok(table) => table,
            Err(error) => {
                error!(target: "vrrp", "netlink: cannot read links and addresses: {error}; trying again");
                self.read_again = Some(clock::monotonic().saturating_add(READ_AGAIN));
                return;
            }
        };
        self.read_again = None;
        let before = std::mem::replace(&mut self.table, table);
        for old in before.iter() {
            if self.table.get(old.index).is_none_or(|new| new.name != old.name) {
                if self.table.by_name(&old.name).is_none() {
                    self.desired.interface_gone(&old.name);
                }
                (self.report)(KernelReport::InterfaceGone {
                    index: old.index,
                    name: old.name.clone(),
                });
            }
        }
        for key in self.desired.resynchronize(&self.table) {
            let up = self.table.iter().any(|link| link.is_up() && key.uses(&link.name));
            if let Some(loss) = self.desired.lost(&key, clock::monotonic(), up) {
                self.take_loss(loss, &key, 0, false);
            }
        }
        let came_up = |new: &&Interface| {
            new.is_up()
                && before
                    .get(new.index)
                    .is_none_or(|old| !old.is_up() || old.name != new.name)
        };
        let names: Vec<String> = self
            .table
            .iter()
            .filter(came_up)
            .map(|new| new.name.clone())
            .collect();
        let now = clock::monotonic();
        for link in self.table.iter().filter(|link| !link.is_up()) {
            self.listeners.went_down(link.index);
        }
        for name in names {
            if let Some(link) = self.table.by_name(&name) {
                self.listeners.came_up(link, now, clock::since_boot());
            }
            self.desired.interface_back(&name, &self.table);
        }
        let changed = self
            .table
            .iter()
            .filter(|new| all || before.get(new.index) != Some(new));
        self.changed.extend(changed.map(|interface| interface.index));
        self.firewall.interfaces_changed();
        self.links_changed = true;
        self.report_changed();
    }
}
