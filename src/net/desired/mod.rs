//! What the instances claim, and what must be done so that the kernel holds just that. No system calls: the
//! kernel thread carries out the slices and tells what became of them.
//!
//! An address is wanted as long as one claimed instance has it; it is removed when the last one has let it
//! go. A slice is a few dozen requests, so that what comes in between (a release above all) waits for no more
//! than that.

mod lines;
mod restore;
mod work;

pub use work::Step;

use self::lines::{removing_lines, setting_excluded, setting_lines};
use self::restore::Restore;
use self::work::{Job, claim_job};
use super::addresses::Action;
use super::links::Table;
use crate::model::Address;
use crate::model::vrrp::Accept;
use crate::state::kernel::KernelInstance;
use crate::state::{InstanceId, InterfaceAddress};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use tracing::{debug, info};

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Interface name.
    pub interface: String,
    /// Address.
    pub address: IpAddr,
    /// Prefix length, of the peer when there is one.
    pub prefix: u8,
}

impl Key {
    /// Of a configured address.
    pub fn of(address: &Address) -> Key {
        Key {
            interface: address.interface.clone(),
            address: address.network.address,
            prefix: address.peer.map_or(address.network.prefix, |peer| peer.prefix),
        }
    }

    /// Of an address that the kernel told of.
    pub fn found(interface: &str, address: &InterfaceAddress) -> Key {
        Key {
            interface: interface.to_owned(),
            address: address.address,
            prefix: address.prefix,
        }
    }
}

#[derive(Debug)]
struct Owned {
    config: KernelInstance,
    /// `vips`, then `excluded_vips`.
    addresses: Arc<[Address]>,
    epoch: u64,
    claimed: bool,
    /// Packets per address of the last claim.
    announce: u32,
    set: BTreeSet<Key>,
}

impl Owned {
    fn drops(&self) -> bool {
        self.config.accept == Accept::Disabled && !self.config.owner && !self.addresses.is_empty()
    }
}

/// What follows from what was done.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Announce the address.
    Announce {
        /// Instance.
        instance: InstanceId,
        /// Its name.
        name: Arc<str>,
        /// Interface index.
        index: u32,
        /// Address.
        address: IpAddr,
        /// Packets.
        repeat: u32,
    },
    /// A claim or release is done.
    Applied {
        /// Instance.
        instance: InstanceId,
        /// Epoch.
        epoch: u64,
        /// Which addresses are set.
        set: Vec<bool>,
    },
    /// An address that somebody else had removed is there again.
    Restored {
        /// Instance.
        instance: InstanceId,
        /// Address.
        address: IpAddr,
    },
    /// Packets to these addresses are dropped from now on; before they are added.
    Block {
        /// Addresses.
        addresses: Arc<[Address]>,
    },
    /// And no longer; after they are removed.
    Unblock {
        /// Addresses.
        addresses: Arc<[Address]>,
    },
    /// What is pending for the instance is not to be announced any more.
    Cancel(InstanceId),
    /// ... for one of its addresses.
    CancelAddress {
        /// Instance.
        instance: InstanceId,
        /// Address.
        address: IpAddr,
    },
}

/// The desired state.
#[derive(Debug, Default)]
pub struct Desired {
    instances: BTreeMap<InstanceId, Owned>,
    wanted: BTreeMap<Key, u32>,
    configured: BTreeSet<Key>,
    releases: VecDeque<Job>,
    claims: VecDeque<Job>,
    returns: VecDeque<(InstanceId, Key)>,
    restores: BTreeMap<Key, Restore>,
    /// Removals of ours that the monitor has not told of yet.
    expected: BTreeMap<Key, u32>,
    started: bool,
}

impl Desired {
    /// The whole set of instances.
    pub fn configure(
        &mut self,
        instances: Vec<KernelInstance>,
        clean: bool,
        table: &Table,
        out: &mut Vec<Outcome>,
    ) {
        let first = !std::mem::replace(&mut self.started, true);
        let keep: BTreeSet<InstanceId> = instances.iter().map(|instance| instance.id).collect();
        let gone: Vec<InstanceId> = self
            .instances
            .keys()
            .filter(|id| !keep.contains(id))
            .copied()
            .collect();
        for id in gone {
            if let Some(owned) = self.instances.remove(&id)
                && owned.claimed
            {
                self.let_go(id, &owned, 0, false, out);
            }
        }
        let mut fresh = Vec::new();
        for config in instances {
            let addresses: Arc<[Address]> = config
                .vips
                .iter()
                .chain(config.excluded_vips.iter())
                .cloned()
                .collect();
            match self.instances.remove(&config.id) {
                Some(before) => self.reconfigure(before, config, addresses, out),
                None => {
                    fresh.push(config.id);
                    let owned = Owned {
                        config,
                        addresses,
                        epoch: 0,
                        claimed: false,
                        announce: 0,
                        set: BTreeSet::new(),
                    };
                    self.instances.insert(owned.config.id, owned);
                }
            }
        }
        self.configured = self
            .instances
            .values()
            .flat_map(|owned| owned.addresses.iter().map(Key::of))
            .collect();
        // keepalived removes what an earlier run has left behind when it has read its configuration, and once
        // more when an instance starts other than as address owner.
        for id in &fresh {
            self.instances.get(id).inspect(|owned| removing_lines(owned));
        }
        for id in &fresh {
            let Some(owned) = self.instances.get(id) else {
                continue;
            };
            if owned.config.owner {
                continue;
            }
            if first && clean {
                removing_lines(owned);
            }
            self.remove_leftovers(*id, table);
        }
    }

    fn reconfigure(
        &mut self,
        before: Owned,
        config: KernelInstance,
        addresses: Arc<[Address]>,
        out: &mut Vec<Outcome>,
    ) {
        let id = config.id;
        let mut owned = Owned {
            config,
            addresses,
            set: before.set.clone(),
            ..before
        };
        if !owned.claimed {
            self.instances.insert(id, owned);
            return;
        }
        let was_dropping = Owned {
            config: before.config,
            addresses: before.addresses.clone(),
            set: BTreeSet::new(),
            ..owned
        }
        .drops();
        let old = &before.addresses;
        let same = |a: &Address, b: &Address| {
            Address {
                interface_given: false,
                ..a.clone()
            } == Address {
                interface_given: false,
                ..b.clone()
            }
        };
        let removed: Vec<Address> = old
            .iter()
            .filter(|a| !owned.addresses.iter().any(|b| same(a, b)))
            .cloned()
            .collect();
        let added = owned.addresses.iter().any(|a| !old.iter().any(|b| same(a, b)));
        for address in old.iter() {
            self.unwant(&Key::of(address));
        }
        for address in owned.addresses.iter() {
            *self.wanted.entry(Key::of(address)).or_default() += 1;
        }
        let name = owned.config.name.clone();
        for address in &removed {
            owned.set.remove(&Key::of(address));
            let network = address.network;
            info!(target: "vrrp", VRRP_INSTANCE = %name,
                "({name}) ip address {}{} dev {}, no longer exist",
                network.address, length(address), address.interface);
        }
        if owned.drops() {
            debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) setting firewall drop rule");
            out.push(Outcome::Block {
                addresses: owned.addresses.clone(),
            });
        }
        if was_dropping {
            out.push(Outcome::Unblock {
                addresses: before.addresses.clone(),
            });
        }
        setting_lines(&owned);
        if !removed.is_empty() {
            out.extend(removed.iter().map(|address| Outcome::CancelAddress {
                instance: id,
                address: address.network.address,
            }));
            // What stays in other words is removed although it is wanted, and added again.
            let (changed, gone): (Vec<Address>, Vec<Address>) = removed
                .into_iter()
                .partition(|old| owned.addresses.iter().any(|new| Key::of(new) == Key::of(old)));
            for (addresses, force) in [(changed, true), (gone, false)] {
                self.releases.push_back(Job {
                    instance: id,
                    name: name.clone(),
                    epoch: owned.epoch,
                    action: Action::Remove,
                    addresses: addresses.into(),
                    next: 0,
                    announce: 0,
                    force,
                    report: false,
                    unblock: false,
                    excluded_from: None,
                });
            }
        }
        // A claim that is under way counts with the new list from its beginning.
        let pending = self.claims.iter().any(|job| job.instance == id);
        self.claims.retain(|job| job.instance != id);
        if added || pending {
            self.claims.push_back(claim_job(id, &owned));
        } else {
            if !owned.config.excluded_vips.is_empty() {
                setting_excluded(&name);
            }
            out.push(Outcome::Applied {
                instance: id,
                epoch: owned.epoch,
                set: flags(&owned),
            });
        }
        self.instances.insert(id, owned);
    }

    /// Adds the addresses of an instance.
    pub fn claim(&mut self, id: InstanceId, epoch: u64, announce: u32, out: &mut Vec<Outcome>) {
        let Some(owned) = self.instances.get_mut(&id) else {
            return;
        };
        if epoch <= owned.epoch {
            return;
        }
        owned.epoch = epoch;
        owned.announce = announce;
        if std::mem::replace(&mut owned.claimed, true) {
            self.claim_again(id, epoch, announce);
            return;
        }
        for address in owned.addresses.iter() {
            *self.wanted.entry(Key::of(address)).or_default() += 1;
        }
        if owned.drops() {
            let name = &owned.config.name;
            out.push(Outcome::Block {
                addresses: owned.addresses.clone(),
            });
            debug!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) setting firewall drop rule");
        }
        setting_lines(owned);
        // What a release before it has not removed yet is not removed: it is wanted again.
        self.claims.push_back(claim_job(id, owned));
    }

    /// A claim after a reload: its new configuration has been told, and the work for it has begun or is done.
    fn claim_again(&mut self, id: InstanceId, epoch: u64, announce: u32) {
        if let Some(job) = self.claims.iter_mut().find(|job| job.instance == id) {
            job.epoch = epoch;
            job.announce = announce;
            return;
        }
        let Some(owned) = self.instances.get(&id) else {
            return;
        };
        let missing = |address: &&Address| !owned.set.contains(&Key::of(address));
        let job = Job {
            addresses: owned.addresses.iter().filter(missing).cloned().collect(),
            excluded_from: None,
            ..claim_job(id, owned)
        };
        self.claims.push_back(job);
    }

    /// Removes them. Overtakes every claim, and ends an unfinished one of the same instance.
    pub fn release(&mut self, id: InstanceId, epoch: u64, out: &mut Vec<Outcome>) {
        let Some(mut owned) = self.instances.remove(&id) else {
            return;
        };
        if epoch <= owned.epoch {
            self.instances.insert(id, owned);
            return;
        }
        owned.epoch = epoch;
        if owned.claimed {
            self.let_go(id, &owned, epoch, true, out);
            owned.claimed = false;
            owned.set.clear();
        } else {
            removing_lines(&owned);
            out.push(Outcome::Applied {
                instance: id,
                epoch,
                set: vec![false; owned.addresses.len()],
            });
        }
        self.instances.insert(id, owned);
    }

    /// Removes the addresses of all instances.
    pub fn release_all(&mut self, out: &mut Vec<Outcome>) {
        let claimed: Vec<(InstanceId, u64)> = self
            .instances
            .iter()
            .filter(|(_, owned)| owned.claimed)
            .map(|(id, owned)| (*id, owned.epoch + 1))
            .collect();
        for (id, epoch) in claimed {
            self.release(id, epoch, out);
        }
    }

    fn let_go(&mut self, id: InstanceId, owned: &Owned, epoch: u64, report: bool, out: &mut Vec<Outcome>) {
        removing_lines(owned);
        for address in owned.addresses.iter() {
            self.unwant(&Key::of(address));
        }
        self.claims.retain(|job| job.instance != id);
        self.returns.retain(|(instance, _)| *instance != id);
        out.push(Outcome::Cancel(id));
        self.releases.push_back(Job {
            instance: id,
            name: owned.config.name.clone(),
            epoch,
            action: Action::Remove,
            addresses: owned.addresses.clone(),
            next: 0,
            announce: 0,
            force: false,
            report,
            unblock: owned.drops(),
            excluded_from: None,
        });
    }

    fn remove_leftovers(&mut self, id: InstanceId, table: &Table) {
        let Some(owned) = self.instances.get(&id) else {
            return;
        };
        let left: Arc<[Address]> = owned
            .addresses
            .iter()
            .filter(|address| is_there(table, &Key::of(address)))
            .cloned()
            .collect();
        if left.is_empty() {
            return;
        }
        self.releases.push_back(Job {
            instance: id,
            name: owned.config.name.clone(),
            epoch: 0,
            action: Action::Remove,
            addresses: left,
            next: 0,
            announce: 0,
            force: false,
            report: false,
            unblock: false,
            excluded_from: None,
        });
    }

    /// Announces the claimed addresses again.
    pub fn announce(&self, id: InstanceId, repeat: u32, table: &Table, out: &mut Vec<Outcome>) {
        let Some(owned) = self.instances.get(&id).filter(|owned| owned.claimed) else {
            return;
        };
        // The unfinished claim announces what it adds.
        if self.claims.iter().any(|job| job.instance == id) {
            return;
        }
        for address in owned
            .addresses
            .iter()
            .filter(|address| owned.set.contains(&Key::of(address)))
        {
            if let Some(interface) = table.by_name(&address.interface) {
                out.push(Outcome::Announce {
                    instance: id,
                    name: owned.config.name.clone(),
                    index: interface.index,
                    address: address.network.address,
                    repeat,
                });
            }
        }
    }

    /// Name of an instance.
    pub fn name(&self, id: InstanceId) -> Option<Arc<str>> {
        self.instances.get(&id).map(|owned| owned.config.name.clone())
    }

    /// Interfaces of which secondary addresses are to stay when the first one goes.
    pub fn promote_secondaries(&self) -> BTreeSet<String> {
        self.instances
            .values()
            .filter(|owned| owned.config.promote_secondaries)
            .map(|owned| owned.config.interface.clone())
            .collect()
    }

    /// The address is one that an instance has, claimed or not.
    pub fn is_configured(&self, key: &Key) -> bool {
        self.configured.contains(key)
    }

    /// Some instance uses the interface.
    pub fn uses(&self, interface: &str) -> bool {
        self.configured.iter().any(|key| key.interface == interface)
            || self
                .instances
                .values()
                .any(|owned| owned.config.interface == interface)
    }

    /// Nothing is left to be done now.
    pub fn is_idle(&self) -> bool {
        self.releases.is_empty() && self.claims.is_empty() && self.returns.is_empty()
    }

    /// When the next removed address is to be put back.
    pub fn deadline(&self) -> Option<u64> {
        self.restores.values().filter_map(|restore| restore.due).min()
    }

    fn owner(&self, key: &Key) -> Option<InstanceId> {
        self.wanted.get(key)?;
        self.instances
            .iter()
            .find(|(_, owned)| {
                owned.claimed && owned.addresses.iter().any(|address| Key::of(address) == *key)
            })
            .map(|(id, _)| *id)
    }

    fn unwant(&mut self, key: &Key) {
        if let Some(count) = self.wanted.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.wanted.remove(key);
                self.restores.remove(key);
            }
        }
    }
}

fn flags(owned: &Owned) -> Vec<bool> {
    owned
        .addresses
        .iter()
        .map(|address| owned.set.contains(&Key::of(address)))
        .collect()
}

fn is_there(table: &Table, key: &Key) -> bool {
    table.by_name(&key.interface).is_some_and(|interface| {
        interface
            .addresses
            .iter()
            .any(|found| found.address == key.address && found.prefix == key.prefix)
    })
}

/// keepalived prints a prefix length only when the address is not alone in its network.
fn length(address: &Address) -> String {
    let whole = if address.network.address.is_ipv4() {
        32
    } else {
        128
    };
    match address.network.prefix {
        prefix if prefix == whole => String::new(),
        prefix => format!("/{prefix}"),
    }
}

#[cfg(test)]
mod tests;
