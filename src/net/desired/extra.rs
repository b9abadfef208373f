//! `garp_extra_if`: a switch learns where a MAC address is from what is sent with it. An interface that no adverts
//! leave, though addresses of a master are on it, announces one of them from time to time.

use super::{Desired, Key, Object, Outcome, Owned};
use crate::model::Address;
use crate::net::links::Table;
use crate::state::InstanceId;
use std::collections::BTreeSet;

impl Desired {
    /// Announces what is due.
    pub fn announce_extra(&mut self, now: u64, table: &Table, out: &mut Vec<Outcome>) {
        if self.extra.is_empty() && !self.instances.values().any(wants) {
            return;
        }
        let instances = &self.instances;
        self.extra.retain(|id, _| instances.get(id).is_some_and(wants));
        for (id, owned) in self.instances.iter().filter(|(_, owned)| wants(owned)) {
            let period = u64::try_from(owned.config.extra.period.as_nanos()).unwrap_or(u64::MAX);
            let due = self
                .extra
                .entry(*id)
                .or_insert_with(|| now.saturating_add(period));
            // A reload may have made it shorter.
            *due = (*due).min(now.saturating_add(period));
            if *due > now {
                continue;
            }
            *due = now.saturating_add(period);
            announce(*id, owned, table, out);
        }
    }

    pub(super) fn extra_deadline(&self) -> Option<u64> {
        self.extra.values().copied().min()
    }
}

fn wants(owned: &Owned) -> bool {
    owned.claimed && !owned.config.extra.period.is_zero()
}

/// The first address of each interface.
fn announce(id: InstanceId, owned: &Owned, table: &Table, out: &mut Vec<Outcome>) {
    let extra = &owned.config.extra;
    let mut done = BTreeSet::from([extra.adverts_on.as_str()]);
    let set = |address: &&Address| owned.set.contains(&Key::of_address(address));
    let addresses = owned.objects.iter().filter_map(Object::address).filter(set);
    for address in addresses.filter(|address| extra.all || address.over.is_some()) {
        let Some(interface) = table.by_name(&address.interface) else {
            continue;
        };
        if done.insert(&address.interface) {
            out.push(Outcome::Announce {
                instance: id,
                name: owned.config.name.clone(),
                index: interface.index,
                address: address.network.address,
                repeat: 1,
            });
        }
    }
}
