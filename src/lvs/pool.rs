//! The part of the kernel's table that is ours: who wants what in it, and the changes that follow.
//!
//! Virtual servers of one group share its services, and a sorry server may be a real server too. So each
//! entry knows who wants it; it leaves when nobody does.

use crate::state::lvs::{
    DestinationKey, DestinationSettings, LvsEffect, Operation, ServiceKey, ServiceSettings, Table, TableEntry,
};
use std::collections::BTreeMap;

/// Who wants an entry: a virtual server, and its sorry server apart from its real servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner(pub u32, pub bool);

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Pool {
    services: BTreeMap<ServiceKey, Service>,
}

#[derive(Debug, Default)]
struct Service {
    wanted: Vec<(u32, ServiceSettings)>,
    destinations: BTreeMap<DestinationKey, Vec<(Owner, DestinationSettings)>>,
}

impl Pool {
    /// A virtual server wants a service with these settings.
    pub fn put_service(
        &mut self,
        key: ServiceKey,
        owner: u32,
        settings: &ServiceSettings,
        out: &mut Vec<LvsEffect>,
    ) {
        let service = self.services.entry(key).or_default();
        let before = service.settings().cloned();
        match service.wanted.iter_mut().find(|(id, _)| *id == owner) {
            Some((_, wanted)) => settings.clone_into(wanted),
            None => service.wanted.push((owner, settings.clone())),
        }
        let Some(now) = service.settings() else {
            return;
        };
        match before {
            None => out.push(LvsEffect::Kernel(Operation::AddService(key, now.clone()))),
            Some(before) if before != *now => {
                out.push(LvsEffect::Kernel(Operation::EditService(key, now.clone())));
            }
            Some(_) => {}
        }
    }

    /// It does not want it any more, nor anything behind it.
    pub fn take_service(&mut self, key: ServiceKey, owner: u32, out: &mut Vec<LvsEffect>) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let before = service.settings().cloned();
        service.wanted.retain(|(id, _)| *id != owner);
        let Some(now) = service.settings().cloned() else {
            self.services.remove(&key);
            out.push(LvsEffect::Kernel(Operation::RemoveService(key)));
            return;
        };
        if before.is_some_and(|before| before != now) {
            out.push(LvsEffect::Kernel(Operation::EditService(key, now)));
        }
        let behind: Vec<DestinationKey> = service.destinations.keys().copied().collect();
        for destination in behind {
            for sorry in [false, true] {
                self.take(key, destination, Owner(owner, sorry), out);
            }
        }
    }

    /// A server is wanted behind a service.
    pub fn put(
        &mut self,
        key: ServiceKey,
        destination: DestinationKey,
        owner: Owner,
        settings: DestinationSettings,
        out: &mut Vec<LvsEffect>,
    ) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let wanted = service.destinations.entry(destination).or_default();
        let before = effective(wanted);
        match wanted.iter_mut().find(|(id, _)| *id == owner) {
            Some((_, wanted)) => *wanted = settings,
            None => wanted.push((owner, settings)),
        }
        change(key, destination, before, effective(wanted), out);
    }

    /// It is not wanted by this owner any more.
    pub fn take(
        &mut self,
        key: ServiceKey,
        destination: DestinationKey,
        owner: Owner,
        out: &mut Vec<LvsEffect>,
    ) {
        let Some(service) = self.services.get_mut(&key) else {
            return;
        };
        let Some(wanted) = service.destinations.get_mut(&destination) else {
            return;
        };
        let before = effective(wanted);
        wanted.retain(|(id, _)| *id != owner);
        let now = effective(wanted);
        if wanted.is_empty() {
            service.destinations.remove(&destination);
        }
        change(key, destination, before, now, out);
    }

    /// What the kernel is to hold.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        for (key, service) in &self.services {
            let Some(settings) = service.settings() else {
                continue;
            };
            let destinations = service
                .destinations
                .iter()
                .filter_map(|(destination, wanted)| Some((*destination, effective(wanted)?)))
                .collect();
            table.insert(
                *key,
                TableEntry {
                    settings: settings.clone(),
                    destinations,
                },
            );
        }
        table
    }
}

impl Service {
    fn settings(&self) -> Option<&ServiceSettings> {
        self.wanted.first().map(|(_, settings)| settings)
    }
}

/// Of several that want the same server, the one that gives it the most weight.
fn effective(wanted: &[(Owner, DestinationSettings)]) -> Option<DestinationSettings> {
    let mut best: Option<DestinationSettings> = None;
    for (_, settings) in wanted {
        if best.is_none_or(|best| best.weight < settings.weight) {
            best = Some(*settings);
        }
    }
    best
}

fn change(
    key: ServiceKey,
    destination: DestinationKey,
    before: Option<DestinationSettings>,
    now: Option<DestinationSettings>,
    out: &mut Vec<LvsEffect>,
) {
    let operation = match (before, now) {
        (None, Some(now)) => Operation::AddDestination(key, destination, now),
        (Some(_), None) => Operation::RemoveDestination(key, destination),
        (Some(before), Some(now)) if before != now => Operation::EditDestination(key, destination, now),
        _ => return,
    };
    out.push(LvsEffect::Kernel(operation));
}
