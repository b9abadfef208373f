//! What an instance tracks, and what follows from it: the priority's parts, and what keeps it from taking part.
//! Both are functions of what the world looks like, never of how it came to look so.

use super::priority::{Contribution, OWNER};
use crate::model::route::Family;
use crate::model::{Instance, SyncGroup, Tracked};
use crate::state::Interface;
use crate::state::notice::Fault;
use crate::state::track::{TrackSource, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A file's value times its weight that means FAULT.
const FILE_FAULT: i64 = -254;

/// What a group knows of the world around it.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    /// Interfaces by name.
    pub interfaces: BTreeMap<String, Arc<Interface>>,
    /// Last verdict of each tracker that a member uses.
    pub verdicts: BTreeMap<TrackSource, Verdict>,
    /// Virtual addresses of all members: none is a source address.
    pub virtual_addresses: BTreeSet<IpAddr>,
}

/// One thing tracked, with the weight that it has here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tracker {
    subject: Subject,
    weight: i32,
    reverse: bool,
    /// The first verdict is waited for in INIT: at start, not after a reload.
    pub awaited: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Interface(Arc<str>),
    Source(TrackSource),
}

/// The trackers of an instance: its own interface, those of its addresses, its group's, its own. A tracker that
/// both the group and the instance name is the group's.
pub(super) fn trackers(config: &Instance, group: Option<&SyncGroup>, awaited: bool) -> Vec<Tracker> {
    let mut list: Vec<Tracker> = Vec::new();
    let mut add = |subject: Subject, weight: i32, reverse: bool| {
        if !list.iter().any(|known| known.subject == subject) {
            list.push(Tracker {
                subject,
                weight,
                reverse,
                awaited,
            });
        }
    };
    // A virtual interface is up when the one below it is, and both are its own.
    let own = [config.interface.as_str(), config.own_interface()];
    if !config.dont_track_primary {
        for name in own.into_iter().filter(|name| !name.is_empty()) {
            add(Subject::Interface(name.into()), 0, false);
        }
    }
    for name in config.used_interfaces().filter(|name| !own.contains(name)) {
        add(Subject::Interface(name.into()), 0, false);
    }
    if let Some(group) = group {
        let lists = [
            &group.track_interfaces,
            &group.track_scripts,
            &group.track_files,
            &group.track_processes,
            &group.track_bfd,
        ];
        for (subject, tracked) in subjects(lists) {
            if !(own.contains(&&*tracked.name) && config.dont_track_primary) {
                add(subject, tracked.weight, tracked.reverse);
            }
        }
    }
    // What a group tracks weighs the same for all its members; what one of them tracks would part them.
    let weights = group.is_none_or(|group| group.tracking_weight);
    let lists = [
        &config.track_interfaces,
        &config.track_scripts,
        &config.track_files,
        &config.track_processes,
        &config.track_bfd,
    ];
    for (subject, tracked) in subjects(lists) {
        let interface = matches!(subject, Subject::Interface(_));
        if interface && own.contains(&&*tracked.name) {
            continue;
        }
        // keepalived says that it ignores the weight of an interface here, and applies it.
        if tracked.weight == 0 || weights || interface {
            add(subject, tracked.weight, tracked.reverse);
        }
    }
    list
}

fn subjects(lists: [&Vec<Tracked>; 5]) -> impl Iterator<Item = (Subject, &Tracked)> {
    const KINDS: [fn(Arc<str>) -> Subject; 5] = [
        Subject::Interface,
        |name| Subject::Source(TrackSource::Script(name)),
        |name| Subject::Source(TrackSource::File(name)),
        |name| Subject::Source(TrackSource::Process(name)),
        |name| Subject::Source(TrackSource::Bfd(name)),
    ];
    lists
        .into_iter()
        .zip(KINDS)
        .flat_map(|(list, kind)| list.iter().map(move |t| (kind(t.name.as_str().into()), t)))
}

impl Tracker {
    /// Whether this verdict is for it.
    pub fn is(&self, source: &TrackSource) -> bool {
        matches!(&self.subject, Subject::Source(own) if own == source)
    }

    /// Whether both look at the same thing.
    pub fn same_subject(&self, other: &Tracker) -> bool {
        self.subject == other.subject
    }

    /// Waiting for its first verdict, which decides between BACKUP and FAULT.
    pub fn waiting(&self, world: &World) -> bool {
        let Subject::Source(
            source @ (TrackSource::Script(_) | TrackSource::File(_) | TrackSource::Process(_)),
        ) = &self.subject
        else {
            return false;
        };
        self.awaited && self.weight == 0 && !world.verdicts.contains_key(source)
    }

    /// What it adds to the priority now.
    fn contribution(&self, world: &World) -> i32 {
        if self.weight == 0 {
            return 0;
        }
        let up = match &self.subject {
            Subject::Interface(name) => Some(world.interfaces.get(&**name).is_some_and(|i| i.is_up())),
            Subject::Source(source) => match (source, world.verdicts.get(source)) {
                (TrackSource::File(_), Some(Verdict::Value(_))) => {
                    return match self.file_value(world) {
                        // FAULT, rather than a priority.
                        value if value <= FILE_FAULT => 0,
                        value => value.min(253) as i32,
                    };
                }
                (_, Some(Verdict::Up)) => Some(true),
                (TrackSource::Bfd(_), None) | (_, Some(Verdict::Down)) => Some(false),
                _ => None,
            },
        };
        let sign = if self.reverse { -1 } else { 1 };
        match up {
            Some(true) if self.weight > 0 => sign * self.weight,
            Some(false) if self.weight < 0 => sign * self.weight,
            _ => 0,
        }
    }

    /// A file's value times its weight.
    fn file_value(&self, world: &World) -> i64 {
        let Subject::Source(source) = &self.subject else {
            return 0;
        };
        let Some(Verdict::Value(value)) = world.verdicts.get(source) else {
            return 0;
        };
        let weight = i64::from(self.weight) * if self.reverse { -1 } else { 1 };
        value.saturating_mul(weight)
    }

    /// What it keeps the instance from.
    fn fault(&self, world: &World) -> Option<Fault> {
        match &self.subject {
            Subject::Interface(_) if self.weight != 0 => None,
            Subject::Interface(name) => match world.interfaces.get(&**name) {
                None if self.reverse => None,
                None => Some(Fault::InterfaceMissing(name.clone())),
                Some(interface) if interface.is_up() == self.reverse => {
                    Some(Fault::InterfaceDown(name.clone()))
                }
                Some(_) => None,
            },
            Subject::Source(source) => {
                let verdict = world.verdicts.get(source);
                if let (TrackSource::File(name), Some(Verdict::Value(value))) = (source, verdict) {
                    let bad = if self.weight == 0 {
                        (*value != 0) != self.reverse
                    } else {
                        self.file_value(world) <= FILE_FAULT
                    };
                    return bad.then(|| Fault::File(name.clone(), *value));
                }
                let up = match (source, verdict) {
                    _ if self.weight != 0 => return None,
                    (_, Some(Verdict::Up)) => true,
                    (TrackSource::Bfd(_), None) | (_, Some(Verdict::Down)) => false,
                    _ => return None,
                };
                (up == self.reverse).then(|| match source {
                    TrackSource::Script(name) => Fault::Script(name.clone()),
                    TrackSource::File(name) => Fault::File(name.clone(), 0),
                    TrackSource::Process(name) => Fault::Process(name.clone()),
                    TrackSource::Bfd(name) => Fault::Bfd(name.clone()),
                })
            }
        }
    }

    fn describe(&self) -> String {
        match &self.subject {
            Subject::Interface(name) => format!("interface {name}"),
            Subject::Source(TrackSource::Script(name)) => format!("script {name}"),
            Subject::Source(TrackSource::File(name)) => format!("file {name}"),
            Subject::Source(TrackSource::Process(name)) => format!("process {name}"),
            Subject::Source(TrackSource::Bfd(name)) => format!("bfd {name}"),
        }
    }
}

/// The parts of the priority that tracking adds. An address owner has none.
pub(super) fn contributions(base: u8, trackers: &[Tracker], world: &World) -> Vec<Contribution> {
    if base == OWNER {
        return Vec::new();
    }
    let parts = trackers.iter().map(|t| Contribution {
        name: t.describe(),
        value: t.contribution(world),
    });
    parts.filter(|part| part.value != 0).collect()
}

/// Everything that keeps the instance from taking part, in the order in which it is told.
pub(super) fn faults(
    config: &Instance,
    trackers: &[Tracker],
    world: &World,
    source: Option<IpAddr>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    if config.config_faults > 0 {
        faults.push(Fault::Configuration);
    }
    if config.unicast && config.peers.is_empty() && config.unicast_fault_no_peer {
        faults.push(Fault::NoPeer);
    }
    let needed = [
        &config.interface,
        config.own_interface(),
        config.advert_interface(),
    ];
    let missing = needed
        .into_iter()
        .find(|name| !name.is_empty() && !world.interfaces.contains_key(*name));
    if let Some(name) = missing {
        faults.push(Fault::InterfaceMissing(name.into()));
    }
    for fault in trackers.iter().filter_map(|tracker| tracker.fault(world)) {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    match source {
        None if missing.is_none() => faults.push(Fault::NoAddress(if config.family == Family::Inet6 {
            6
        } else {
            4
        })),
        // keepalived does so for a unicast source only.
        Some(source) if config.track_source && config.unicast => {
            let there = |i: &Arc<Interface>| i.addresses.iter().any(|a| a.address == source);
            let found = match world.interfaces.get(&config.interface) {
                Some(interface) => there(interface),
                None => world.interfaces.values().any(there),
            };
            if !found {
                faults.push(Fault::SourceMissing);
            }
        }
        _ => {}
    }
    faults
}

/// The source address of adverts (behaviour: the configured one; else the first IPv4 address of the interface,
/// or its IPv6 link-local one, that is not a virtual address).
pub(super) fn source(config: &Instance, world: &World) -> Option<IpAddr> {
    if config.source.is_some() {
        return config.source;
    }
    /// IFA_PROTO of keepalived's own addresses.
    const KEEPALIVED: u8 = 18;
    let interface = world.interfaces.get(config.source_interface())?;
    let usable = || {
        interface.addresses.iter().filter(|a| match a.address {
            IpAddr::V4(_) => config.family == Family::Inet,
            IpAddr::V6(address) => config.family == Family::Inet6 && address.is_unicast_link_local(),
        })
    };
    let mut free =
        usable().filter(|a| a.protocol != KEEPALIVED && !world.virtual_addresses.contains(&a.address));
    // An address owner's virtual address is the interface's own.
    let owned = || usable().find(|a| config.priority == OWNER && a.protocol != KEEPALIVED);
    free.next().or_else(owned).map(|a| a.address)
}
