//! `nftables_ipvs`: a group of addresses is one service of the kernel for each protocol, known by a firewall mark
//! that nftables sets. A mark stays with its group for as long as both are there.

use super::entries;
use crate::model::lvs::Lvs as Config;
use crate::model::lvs::{GroupEntry, Protocol, ServerGroup, Service, VirtualServer};
use crate::model::route::Family;
use crate::state::lvs::{Marked, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Marks by group and protocol.
pub(super) type Given = BTreeMap<(String, Protocol), u32>;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// `nftables_ipvs_start_fwmark`; `None`: each address is a service of its own.
    pub from: Option<u32>,
    given: Given,
}

impl Marks {
    /// Gives marks to the groups of a configuration, in the order of its virtual servers: the lowest that are free.
    pub fn assign(&mut self, config: &Config) {
        let Some(from) = self.from else {
            self.given.clear();
            return;
        };
        let used: Vec<(String, Protocol)> = config
            .servers
            .iter()
            .filter_map(|server| {
                let group = mapped(server, config)?;
                Some((group.name.clone(), server.protocol?))
            })
            .collect();
        let wanted: BTreeSet<&(String, Protocol)> = used.iter().collect();
        self.given.retain(|key, _| wanted.contains(key));
        // Those of the file are somebody else's.
        let mut taken: BTreeSet<u32> = self.given.values().copied().collect();
        taken.extend(config.servers.iter().filter_map(|server| match server.service {
            Service::Mark(mark) => Some(mark),
            _ => None,
        }));
        let entries = config.groups.iter().flat_map(|group| &group.entries);
        taken.extend(entries.filter_map(|entry| match entry {
            GroupEntry::Mark { mark, .. } => Some(*mark),
            GroupEntry::Addresses { .. } => None,
        }));
        let mut free = (from..=u32::MAX).filter(|mark| !taken.contains(mark));
        for key in used {
            if !self.given.contains_key(&key)
                && let Some(mark) = free.next()
            {
                self.given.insert(key, mark);
            }
        }
    }

    /// What nftables is to mark.
    pub fn marked(&self, config: &Config) -> Vec<Marked> {
        let mut all = Vec::new();
        for ((name, protocol), mark) in &self.given {
            let entries = entries::group(name, config)
                .into_iter()
                .flat_map(|group| &group.entries);
            all.extend(entries.filter_map(|entry| match *entry {
                GroupEntry::Addresses { first, last, port } => Some(Marked {
                    mark: *mark,
                    protocol: *protocol,
                    first,
                    last,
                    port,
                }),
                GroupEntry::Mark { .. } => None,
            }));
        }
        all
    }

    /// Marks by group and protocol.
    pub fn given(&self) -> &Given {
        &self.given
    }
}

/// Services of the kernel for a virtual server, in the order of the file, with these marks of groups.
pub(super) fn services(given: &Given, server: &VirtualServer, config: &Config) -> Vec<ServiceKey> {
    let marked = || {
        let group = mapped(server, config)?;
        let mark = *given.get(&(group.name.clone(), server.protocol?))?;
        let families = [Family::Inet, Family::Inet6];
        let there = families.into_iter().filter(|family| group.has_family(*family));
        Some(there.map(|family| ServiceKey::Mark(mark, family)).collect())
    };
    match given.is_empty() {
        true => entries::services(server, config),
        false => marked().unwrap_or_else(|| entries::services(server, config)),
    }
}

/// Addresses of a virtual server that is known by a mark, for `ha_suspend`.
pub(super) fn ranges(server: &VirtualServer, config: &Config) -> Vec<(IpAddr, IpAddr)> {
    let entries = mapped(server, config)
        .into_iter()
        .flat_map(|group| &group.entries);
    entries
        .filter_map(|entry| match *entry {
            GroupEntry::Addresses { first, last, .. } => Some((first, last)),
            GroupEntry::Mark { .. } => None,
        })
        .collect()
}

/// The group, where it has no marks of its own.
fn mapped<'a>(server: &VirtualServer, config: &'a Config) -> Option<&'a ServerGroup> {
    match &server.service {
        Service::Group(name, _) => entries::group(name, config).filter(|group| !group.has_marks()),
        _ => None,
    }
}
