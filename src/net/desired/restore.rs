//! What others take away: put back at once the first time, then with growing patience.

use super::{Desired, Key, Loss};
use crate::net::links::Table;
use crate::state::InstanceId;

/// Removals by others: the first is put right at once, the next after this, then twice as long, up to the last.
const FIRST_DELAY: u64 = 100_000_000;
const LAST_DELAY: u64 = 10_000_000_000;
/// An address that has stayed for so long starts from the beginning.
const CALM: u64 = 60_000_000_000;
#[derive(Debug, Clone, Copy)]
pub(super) struct Restore {
    delay: u64,
    pub(super) last: u64,
    pub(super) due: Option<u64>,
    /// The kernel has refused it before, and this was said.
    refused: bool,
}

impl Desired {
    /// An object was removed. When an instance wants it, tells whose it is and after how long it will be put
    /// back; `None` when it was removed by ourselves, nobody wants it, or it is not watched.
    pub fn lost(&mut self, key: &Key, now: u64, interface_up: bool) -> Option<Loss> {
        if let Some(count) = self.expected.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.expected.remove(key);
            }
            if !self.wanted.contains_key(key) {
                return None;
            }
            // Removed by us and wanted again since: the claim has added it, or is about to.
            return None;
        }
        let id = self.owner(key)?;
        let owned = self.instances.get_mut(&id)?;
        if !owned.set.remove(key) {
            return None;
        }
        let watched = owned
            .objects
            .iter()
            .any(|object| !object.no_track() && Key::of(object) == *key);
        if !watched || !interface_up {
            return None;
        }
        let restore = (!self.give_up || id == InstanceId::STATIC).then(|| self.schedule(key, now));
        Some(Loss {
            instance: id,
            restore,
        })
    }

    fn schedule(&mut self, key: &Key, now: u64) -> u64 {
        let before = self
            .restores
            .get(key)
            .filter(|restore| now.saturating_sub(restore.last) < CALM);
        let delay = match before {
            None => 0,
            Some(Restore { delay: 0, .. }) => FIRST_DELAY,
            Some(Restore { delay, .. }) => (delay * 2).min(LAST_DELAY),
        };
        let restore = Restore {
            delay,
            last: now,
            due: Some(now + delay),
            refused: false,
        };
        self.restores.insert(key.clone(), restore);
        delay
    }

    /// The kernel has refused a route because what it needs (a gateway's network) is not there: it is tried
    /// again with the same patience. False when this was said before.
    pub(super) fn try_again(&mut self, key: &Key) -> bool {
        let before = self.restores.get(key).copied().filter(|restore| restore.refused);
        let delay = before.map_or(FIRST_DELAY, |restore| (restore.delay * 2).min(LAST_DELAY));
        let restore = Restore {
            delay,
            last: self.now,
            due: Some(self.now + delay),
            refused: true,
        };
        self.restores.insert(key.clone(), restore);
        before.is_none()
    }

    /// It is there.
    pub(super) fn accepted(&mut self, key: &Key) {
        if self.restores.get(key).is_some_and(|restore| restore.refused) {
            self.restores.remove(key);
        }
    }

    /// Messages about routes and rules were lost: all that are claimed are added again.
    pub fn readd_others(&mut self) {
        for (id, owned) in self.instances.iter().filter(|(_, owned)| owned.claimed) {
            for object in owned.objects.iter().filter(|object| object.address().is_none()) {
                let entry = (*id, Key::of(object));
                if !object.no_track() && owned.set.contains(&entry.1) && !self.returns.contains(&entry) {
                    self.returns.push_back(entry);
                }
            }
        }
    }

    /// An interface is there, or is up, and was not: what is claimed on it and not there is added.
    pub fn interface_back(&mut self, name: &str, table: &Table) {
        for (id, owned) in self.instances.iter().filter(|(_, owned)| owned.claimed) {
            if self.is_claiming(*id) {
                continue;
            }
            for object in owned.objects.iter().filter(|object| object.depends_on(name)) {
                let key = Key::of(object);
                let waiting = self
                    .restores
                    .get(&key)
                    .is_some_and(|restore| restore.due.is_some())
                    || self.returns.contains(&(*id, key.clone()));
                if !waiting && !key.is_address_of(table) {
                    self.returns.push_back((*id, key));
                }
            }
        }
    }

    /// An interface is gone, and with it what was on it.
    pub fn interface_gone(&mut self, name: &str) {
        for owned in self.instances.values_mut() {
            owned.set.retain(|key| !key.uses(name));
        }
        self.restores.retain(|key, _| !key.uses(name));
        self.expected.retain(|key, _| !key.uses(name));
    }

    /// Messages of the monitor were lost; `table` is fresh. Returns what is claimed, was set, and is gone.
    pub fn resynchronize(&mut self, table: &Table) -> Vec<Key> {
        self.expected.clear();
        self.instances
            .values()
            .flat_map(|owned| owned.set.iter())
            .filter(|key| matches!(key, Key::Address { .. }) && !key.is_address_of(table))
            .cloned()
            .collect()
    }
}
