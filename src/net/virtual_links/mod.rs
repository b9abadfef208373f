//! The virtual interfaces that instances run on: VMACs (private macvlans with the virtual MAC address) and ipvlans.
//!
//! They are made down, given everything that keeps them silent, and only then set up, when the firewall's rules
//! for them are in force. One that is deleted is made again; one that another program sets down stays down, as any
//! interface does. Those that a killed daemon has left are taken over or removed.

mod held;
mod requests;
mod settings;

use self::held::{Held, add_address, alias, is_abandoned, kind_name, shared_address};
use self::settings::Below;
use super::channel::Channel;
use super::firewall::VirtualMac;
use super::links::Table;
use crate::state::Interface;
use crate::state::kernel::{Made, VirtualKind, VirtualLink};
use std::net::Ipv6Addr;
use std::sync::Arc;
use tracing::info;

const IFA_F_TENTATIVE: u32 = 0x40;

/// One that was just brought up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Its name.
    pub name: String,
    /// Instance that it is made for.
    pub instance: Arc<str>,
    /// It is an ipvlan.
    pub ipvlan: bool,
    /// How.
    pub made: Made,
}

/// Those that are wanted, in the order of the file.
#[derive(Debug, Default)]
pub struct VirtualLinks {
    held: Vec<Held>,
    /// No longer wanted, removed with the next `remove_unwanted`.
    leaving: Vec<Held>,
    below: Below,
    /// Made in this round: how.
    fresh: Vec<Brought>,
    started: bool,
}

impl VirtualLinks {
    /// The whole list. At the first time, what killed daemons have left and nobody wants is removed.
    pub fn set(&mut self, links: Vec<VirtualLink>, channel: &mut Channel, table: &Table) {
        let mut before: Vec<Held> = self.held.drain(..).chain(self.leaving.drain(..)).collect();
        for link in links {
            let known = before.iter().position(|held| held.link.name == link.name);
            let held = match known.map(|at| before.remove(at)) {
                Some(held) if same_place(&held.link, &link) => {
                    if held.raised && held.link.kind == link.kind {
                        self.fresh.push(held.brought(Made::Found));
                    }
                    Held {
                        raised: held.raised && held.link.ipv6 == link.ipv6 && held.link.ipv4 == link.ipv4,
                        link,
                        not_before: 0,
                        failed: false,
                        ..held
                    }
                }
                other => {
                    // Another one under the same name: that one goes first.
                    if let Some(index) = other.and_then(|held| held.index) {
                        let _ = requests::remove(channel, index);
                    }
                    Held::new(link)
                }
            };
            self.held.push(held);
        }
        self.leaving = before;
        if !std::mem::replace(&mut self.started, true) {
            self.remove_abandoned(channel, table);
        }
    }

    /// Interfaces that a killed daemon has made, and that nobody wants now.
    fn remove_abandoned(&self, channel: &mut Channel, table: &Table) {
        for found in table.iter() {
            let abandoned = found.alias.as_deref().is_some_and(is_abandoned);
            if abandoned && !self.is_wanted(&found.name) {
                info!(target: "vrrp", "Removing interface {}, which a daemon that was killed has left behind", found.name);
                let _ = requests::remove(channel, found.index);
            }
        }
    }

    /// Makes what is missing, down. `raise` follows when the table knows of it.
    pub fn create(&mut self, channel: &mut Channel, table: &Table, now: u64) {
        let VirtualLinks {
            held, below, fresh, ..
        } = self;
        for held in held {
            held.waiting = false;
            let Some(lower) = lower_of(table, &held.link) else {
                // Gone along with the interface below.
                held.index = None;
                below.forget(&held.link.over);
                continue;
            };
            let master = lower.master.filter(|master| {
                table
                    .get(*master)
                    .is_some_and(|master| master.vrf_table.is_some())
            });
            let found = table.by_name(&held.link.name);
            if let Some(found) = found.filter(|found| held.is_it(found, lower, master)) {
                if held.index != Some(found.index) {
                    // Left by a predecessor.
                    held.index = Some(found.index);
                    held.raised = false;
                    let _ = requests::update(channel, found.index, None, None, None, Some(&alias()));
                    fresh.push(held.brought(Made::Found));
                    change_below(below, &held.link, true);
                }
                continue;
            }
            if now < held.not_before {
                held.waiting = true;
                continue;
            }
            held.back_off(now);
            let result = held.make(found, lower, master, channel);
            match result {
                Ok(made) => {
                    held.failed = false;
                    fresh.push(held.brought(made));
                    change_below(below, &held.link, false);
                }
                Err(failure) => {
                    held.waiting = true;
                    if !std::mem::replace(&mut held.failed, true) {
                        held.complain(&failure);
                    }
                }
            }
        }
    }

    /// Prepares those that are there and sets them up; the firewall's rules for them are in force. Returns those
    /// that were made since the last time.
    pub fn raise(&mut self, channel: &mut Channel, table: &Table) -> Vec<Brought> {
        for held in &mut self.held {
            let Some(lower) = lower_of(table, &held.link) else {
                continue;
            };
            let found = table.by_name(&held.link.name);
            let Some(found) = found.filter(|found| found.lower == Some(lower.index)) else {
                continue;
            };
            held.index = Some(found.index);
            if !held.raised {
                settings::prepare(&held.link);
                if let Err(failure) = requests::raise(channel, found.index) {
                    held.complain(&failure);
                    continue;
                }
                held.raised = true;
                if let VirtualKind::Ipvlan {
                    address: Some(address),
                    ..
                } = held.link.kind
                {
                    add_address(channel, found.index, address);
                }
                if held.link.notify {
                    let _ = requests::notify(channel, lower.index, lower.group);
                }
            }
            held.share_link_local(channel, found, lower);
        }
        std::mem::take(&mut self.fresh)
    }

    /// Removes those that are no longer wanted, several at once: the kernel waits some 20 ms for each request.
    pub fn remove_unwanted(&mut self, channel: &mut Channel, table: &Table) {
        let leaving = std::mem::take(&mut self.leaving);
        let indexes: Vec<u32> = leaving.iter().filter_map(|held| held.index).collect();
        let group = unused_group(table);
        let together = indexes.len() > 1 && requests::remove_together(channel, &indexes, group).is_ok();
        for held in leaving {
            if together {
                held.tell_removed();
            } else {
                held.remove(channel);
            }
        }
        let held = &self.held;
        self.below.restore(|name| is_below(held, name));
    }

    /// Removes them all, at the end.
    pub fn remove_all(&mut self, channel: &mut Channel, table: &Table) {
        self.leaving.append(&mut self.held);
        self.remove_unwanted(channel, table);
    }

    /// Interfaces of these names matter here.
    pub fn concerns(&self, name: &str) -> bool {
        self.held
            .iter()
            .any(|held| held.link.name == name || held.link.over == name)
    }

    /// One of that name is wanted.
    pub fn is_wanted(&self, name: &str) -> bool {
        self.held.iter().any(|held| held.link.name == name)
    }

    /// The interface of this name has been deleted; true when it is wanted and what is below it is there.
    pub fn deleted(&mut self, name: &str, table: &Table) -> bool {
        let Some(held) = self.held.iter_mut().find(|held| held.link.name == name) else {
            return false;
        };
        held.index = None;
        held.raised = false;
        held.link_local = None;
        lower_of(table, &held.link).is_some()
    }

    /// One that has been set up has not the link-local address that it was given.
    pub fn lacks_address(&self, table: &Table) -> bool {
        self.held.iter().any(|held| {
            let found = table.by_name(&held.link.name).filter(|_| held.raised);
            let lacks = |found: &Interface, address: Ipv6Addr| {
                !found
                    .addresses
                    .iter()
                    .any(|known| known.address == address && known.flags & IFA_F_TENTATIVE == 0)
            };
            found
                .zip(held.link_local)
                .is_some_and(|(found, address)| lacks(found, address))
        })
    }

    /// Returns when what others are doing to interfaces is done: one request that changes nothing waits for the
    /// kernel's lock.
    pub fn settle(&self, channel: &mut Channel) {
        let _ = requests::update(channel, u32::MAX >> 1, None, None, None, None);
    }

    /// When one that could not be made is tried again.
    pub fn deadline(&self) -> Option<u64> {
        self.held
            .iter()
            .filter(|held| held.waiting)
            .map(|held| held.not_before)
            .min()
    }

    /// What the firewall must know of.
    pub fn vmacs(&self, table: &Table) -> Vec<VirtualMac> {
        let vmac = |held: &Held| {
            let found = table.by_name(&held.link.name)?;
            let lower = lower_of(table, &held.link)?;
            Some(VirtualMac {
                name: found.name.clone(),
                index: found.index,
                lower: lower.index,
                families: (held.link.ipv4, held.link.ipv6),
                link_local: held.link.link_local.then(|| shared_address(lower)).flatten(),
            })
        };
        let is_vmac = |held: &&Held| matches!(held.link.kind, VirtualKind::Vmac(_));
        self.held.iter().filter(is_vmac).filter_map(vmac).collect()
    }
}

/// keepalived's line about a virtual interface that is there.
pub fn tell_made(instance: &str, name: &str, ipvlan: bool, made: Made) {
    let kind = kind_name(ipvlan);
    match made {
        Made::Created => {
            info!(target: "vrrp", VRRP_INSTANCE = instance, "({instance}): Success creating {kind} interface {name}");
        }
        Made::Updated => {
            info!(target: "vrrp", VRRP_INSTANCE = instance, "({instance}): Success updating {kind} interface {name}");
        }
        Made::Found => {
            info!(target: "vrrp", VRRP_INSTANCE = instance, "({instance}) Found matching interface {name}");
        }
    }
}

/// A reload can turn one into the other without making it anew.
fn same_place(a: &VirtualLink, b: &VirtualLink) -> bool {
    let vmac = |link: &VirtualLink| matches!(link.kind, VirtualKind::Vmac(_));
    a.over == b.over && (a.kind == b.kind || (vmac(a) && vmac(b)))
}

fn change_below(below: &mut Below, link: &VirtualLink, left_over: bool) {
    if link.ipv4 && matches!(link.kind, VirtualKind::Vmac(_)) {
        below.change(&link.over, left_over);
    }
}

fn is_below(held: &[Held], name: &str) -> bool {
    let over = |held: &&Held| held.link.over == name;
    held.iter()
        .filter(over)
        .any(|held| held.link.ipv4 && matches!(held.link.kind, VirtualKind::Vmac(_)))
}

/// A group that no interface is in.
fn unused_group(table: &Table) -> u32 {
    let first = 0x6b00_0000 | (std::process::id() & 0x00ff_ffff);
    let free = |group: &u32| !table.iter().any(|link| link.group == *group);
    (first..).find(free).unwrap_or(first)
}

/// The interface that the kernel puts it over: a macvlan over a macvlan is one over the interface below that.
fn lower_of<'a>(table: &'a Table, link: &VirtualLink) -> Option<&'a Interface> {
    let over = table.by_name(&link.over)?;
    let kind = match link.kind {
        VirtualKind::Vmac(_) => "macvlan",
        VirtualKind::Ipvlan { .. } => "ipvlan",
    };
    match over.lower {
        Some(lower) if over.kind.as_deref() == Some(kind) => table.get(lower),
        _ => Some(over),
    }
}
