//! What the instances claim, and what must be done so that the kernel holds just that. No system calls: the
//! kernel thread carries out the slices and tells what became of them.
//!
//! An object (an address, a route or a rule) is wanted as long as one claimed instance has it; it is removed
//! when the last one has let it go. A slice is a few dozen requests, so that what comes in between (a release
//! above all) waits for no more than that. Routes and rules are added after the addresses of all claims, so
//! that no announcement waits for them, and removed before the addresses that they lean on.

mod claims;
mod extra;
mod lines;
mod restore;
mod work;

pub use work::Step;

use self::claims::marks;
use self::lines::{Line, drop_line, gone_line, removing_lines, setting_line};
use self::restore::Restore;
use self::work::Job;
use super::links::Table;
use super::objects::{Action, Key, Object};
use crate::model::vrrp::Accept;
use crate::state::InstanceId;
use crate::state::kernel::KernelInstance;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Debug)]
struct Owned {
    config: KernelInstance,
    /// `vips`, `excluded_vips`, `routes`, `rules`.
    objects: Arc<[Object]>,
    epoch: u64,
    claimed: bool,
    /// Packets per address of the last claim.
    announce: u32,
    set: BTreeSet<Key>,
}

impl Owned {
    fn new(config: KernelInstance) -> Owned {
        let addresses = config.vips.iter().chain(config.excluded_vips.iter());
        let objects = addresses
            .cloned()
            .map(Object::Address)
            .chain(config.routes.iter().cloned().map(Box::new).map(Object::Route))
            .chain(config.rules.iter().cloned().map(Box::new).map(Object::Rule))
            .collect();
        Owned {
            config,
            objects,
            epoch: 0,
            claimed: false,
            announce: 0,
            set: BTreeSet::new(),
        }
    }

    /// How many of the objects are addresses; they come first.
    fn addresses(&self) -> usize {
        self.config.vips.len() + self.config.excluded_vips.len()
    }

    fn drops(&self) -> bool {
        self.config.accept == Accept::Disabled && !self.config.owner && self.addresses() > 0
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
    /// Packets to the addresses among these are dropped from now on; before they are added.
    Block {
        /// Addresses, and other objects.
        objects: Arc<[Object]>,
    },
    /// And no longer; after they are removed.
    Unblock {
        /// Addresses, and other objects.
        objects: Arc<[Object]>,
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
    /// Addresses.
    claims: VecDeque<Job>,
    /// Routes and rules, when all addresses are there.
    later: VecDeque<Job>,
    returns: VecDeque<(InstanceId, Key)>,
    restores: BTreeMap<Key, Restore>,
    /// Removals of ours that the monitor has not told of yet.
    expected: BTreeMap<Key, u32>,
    /// When the next `garp_extra_if` announcement of an instance is due.
    extra: BTreeMap<InstanceId, u64>,
    started: bool,
    /// Time of the last slice.
    now: u64,
    /// keepalived's way: an instance gives up what another program has taken from it.
    give_up: bool,
    /// To be written.
    lines: Vec<Line>,
}

/// What another program has taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Whose it is.
    pub instance: InstanceId,
    /// Nanoseconds until it is put back; `None`: it is not, its instance gives up.
    pub restore: Option<u64>,
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
            match self.instances.remove(&config.id) {
                Some(before) => self.reconfigure(before, config, out),
                None => {
                    fresh.push(config.id);
                    self.instances.insert(config.id, Owned::new(config));
                }
            }
        }
        self.configured = self
            .instances
            .values()
            .flat_map(|owned| owned.objects.iter().map(Key::of))
            .collect();
        self.claim_static(out);
        // keepalived removes what an earlier run has left behind when it has read its configuration, and once
        // more when an instance starts other than as address owner.
        for id in &fresh {
            if let Some(owned) = self.instances.get(id) {
                self.lines.extend(removing_lines(owned));
            }
        }
        for id in &fresh {
            let Some(owned) = self.instances.get(id) else {
                continue;
            };
            if owned.config.owner || *id == InstanceId::STATIC {
                continue;
            }
            if first && clean {
                self.lines.extend(removing_lines(owned));
            }
            self.remove_leftovers(*id, table);
        }
    }

    /// Static objects belong to no instance: they are claimed as long as they are configured.
    fn claim_static(&mut self, out: &mut Vec<Outcome>) {
        if let Some(owned) = self
            .instances
            .get(&InstanceId::STATIC)
            .filter(|owned| !owned.claimed)
        {
            let epoch = owned.epoch + 1;
            self.claim(InstanceId::STATIC, epoch, 0, out);
        }
    }

    /// What to do about removals by others from now on.
    pub fn set_give_up(&mut self, give_up: bool) {
        self.give_up = give_up;
    }

    fn reconfigure(&mut self, before: Owned, config: KernelInstance, out: &mut Vec<Outcome>) {
        let id = config.id;
        let was_dropping = before.drops();
        let old = before.objects.clone();
        let mut owned = Owned {
            epoch: before.epoch,
            claimed: before.claimed,
            announce: before.announce,
            set: before.set,
            ..Owned::new(config)
        };
        if !owned.claimed {
            self.instances.insert(id, owned);
            return;
        }
        let objects = owned.objects.clone();
        // By their keys: there may be thousands.
        let (then, now) = (by_key(&old), by_key(&objects));
        let same = |list: &BTreeMap<Key, Vec<&Object>>, object: &Object| {
            list.get(&Key::of(object))
                .is_some_and(|found| found.iter().any(|other| object.same(other)))
        };
        let removed: Vec<&Object> = old.iter().filter(|object| !same(&now, object)).collect();
        let added = objects.iter().any(|object| !same(&then, object));
        for object in old.iter() {
            self.unwant(&Key::of(object));
        }
        for object in objects.iter() {
            *self.wanted.entry(Key::of(object)).or_default() += 1;
        }
        let name = owned.config.name.clone();
        for object in &removed {
            owned.set.remove(&Key::of(object));
            self.lines.push(gone_line(&name, object));
        }
        if owned.drops() {
            self.lines.push(drop_line(&owned));
            out.push(Outcome::Block {
                objects: objects.clone(),
            });
        }
        if was_dropping {
            out.push(Outcome::Unblock { objects: old.clone() });
        }
        self.lines.extend(setting_line(&owned));
        if !removed.is_empty() {
            out.extend(
                removed
                    .iter()
                    .filter_map(|object| object.address())
                    .map(|address| Outcome::CancelAddress {
                        instance: id,
                        address: address.network.address,
                    }),
            );
            // What stays in other words is removed although it is wanted, and added again; unless adding it
            // replaces it.
            let stays = |old: &Object| now.get(&Key::of(old)).and_then(|found| found.first().copied());
            let (changed, gone): (Vec<&Object>, Vec<&Object>) =
                removed.into_iter().partition(|old| stays(old).is_some());
            let changed: Vec<&Object> = changed
                .into_iter()
                .filter(|old| stays(old).is_some_and(|new| !new.replaces()))
                .collect();
            for (list, force) in [(changed, true), (gone, false)] {
                // Routes and rules before the addresses that they lean on.
                let (addresses, others): (Vec<&Object>, Vec<&Object>) =
                    list.into_iter().partition(|object| object.address().is_some());
                let list: Arc<[Object]> = others.into_iter().chain(addresses).cloned().collect();
                self.releases.push_back(Job {
                    force,
                    ..Job::new(id, &owned, Action::Remove, list)
                });
            }
        }
        // A claim that is under way counts with the new list from its beginning.
        let pending = self.is_claiming(id);
        if added || pending {
            self.push_claims(id, &owned);
        } else {
            for (_, mark) in marks(&owned) {
                self.lines.push(mark.line(&name));
            }
            // Who has the same list as before knows what is set.
            let unchanged =
                old.len() == objects.len() && old.iter().zip(objects.iter()).all(|(a, b)| a.same(b));
            if !unchanged {
                out.push(Outcome::Applied {
                    instance: id,
                    epoch: owned.epoch,
                    set: flags(&owned),
                });
            }
        }
        self.instances.insert(id, owned);
    }

    fn remove_leftovers(&mut self, id: InstanceId, table: &Table) {
        let Some(owned) = self.instances.get(&id) else {
            return;
        };
        // Routes and rules are not looked for first: the kernel says at once which of them are not there.
        let (addresses, others): (Vec<&Object>, Vec<&Object>) = owned
            .objects
            .iter()
            .partition(|object| object.address().is_some());
        let left: Arc<[Object]> = others
            .into_iter()
            .chain(
                addresses
                    .into_iter()
                    .filter(|object| Key::of(object).is_address_of(table)),
            )
            .cloned()
            .collect();
        if !left.is_empty() {
            let job = Job::new(id, owned, Action::Remove, left);
            self.releases.push_back(job);
        }
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
            .objects
            .iter()
            .filter_map(Object::address)
            .filter(|address| owned.set.contains(&Key::of_address(address)))
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

    /// An address that could be claimed.
    pub fn unclaimed_address(&self) -> Option<Object> {
        let mut unclaimed = self.instances.values().filter(|owned| !owned.claimed);
        unclaimed.find_map(|owned| {
            owned
                .objects
                .first()
                .filter(|first| first.address().is_some())
                .cloned()
        })
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

    /// It is one that an instance has, claimed or not. A static address can be an instance's source address:
    /// it is none of these.
    pub fn is_configured(&self, key: &Key) -> bool {
        self.configured.contains(key) && !self.is_static(key)
    }

    fn is_static(&self, key: &Key) -> bool {
        let owned = self.instances.get(&InstanceId::STATIC);
        owned.is_some_and(|owned| owned.objects.iter().any(|object| Key::of(object) == *key))
    }

    /// All that is configured.
    pub fn configured(&self) -> impl Iterator<Item = &Key> {
        self.configured.iter()
    }

    /// What is wanted, from this key on.
    pub(in crate::net) fn wanted_from(&self, key: &Key) -> impl Iterator<Item = &Key> {
        self.wanted.range(key..).map(|(key, _)| key)
    }

    /// A static object.
    pub fn static_object(&self, key: &Key) -> Option<&Object> {
        let owned = self.instances.get(&InstanceId::STATIC)?;
        owned.objects.iter().find(|object| Key::of(object) == *key)
    }

    /// Some instance uses the interface.
    pub fn uses(&self, interface: &str) -> bool {
        self.configured.iter().any(|key| key.names(interface))
            || self
                .instances
                .values()
                .any(|owned| owned.config.interface == interface)
    }

    /// Nothing is left to be done now.
    pub fn is_idle(&self) -> bool {
        self.releases.is_empty() && self.claims.is_empty() && self.later.is_empty() && self.returns.is_empty()
    }

    /// When the next removed object is to be put back.
    pub fn deadline(&self) -> Option<u64> {
        let restores = self.restores.values().filter_map(|restore| restore.due);
        restores.chain(self.extra_deadline()).min()
    }

    fn owner(&self, key: &Key) -> Option<InstanceId> {
        self.wanted.get(key)?;
        self.instances
            .iter()
            .find(|(_, owned)| owned.claimed && owned.objects.iter().any(|object| Key::of(object) == *key))
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

/// Which of the addresses are set.
fn by_key(list: &[Object]) -> BTreeMap<Key, Vec<&Object>> {
    let mut map: BTreeMap<Key, Vec<&Object>> = BTreeMap::new();
    for object in list {
        map.entry(Key::of(object)).or_default().push(object);
    }
    map
}

fn flags(owned: &Owned) -> Vec<bool> {
    owned
        .objects
        .iter()
        .take(owned.addresses())
        .map(|object| owned.set.contains(&Key::of(object)))
        .collect()
}

#[cfg(test)]
mod tests;
