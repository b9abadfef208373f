//! A snapshot of the whole daemon, gathered from the threads without stopping them.

use super::links::Seen;
use super::port::Taken;
use crate::model::Configuration;
use crate::state::Interface;
use crate::state::kernel::VirtualKind;
use crate::state::snapshot::{InterfaceSnapshot, Snapshot, SocketSnapshot};
use crate::vrrp::plan::Running;
use std::sync::Arc;
use std::time::SystemTime;

/// Puts together what the threads have told, in the order of the file.
pub fn compose(
    config: Arc<Configuration>,
    running: &Running,
    interfaces: &[Seen],
    sockets: Vec<SocketSnapshot>,
    mut taken: Taken,
) -> Snapshot {
    let mut snapshot = at_start(config.clone(), interfaces);
    for link in super::virtual_links::virtual_links(running) {
        let below = |found: &&mut InterfaceSnapshot| found.interface.name == link.over;
        if let Some(found) = snapshot.interfaces.iter_mut().find(below)
            && link.ipv4
            && matches!(link.kind, VirtualKind::Vmac(_))
        {
            found.settings.arp_users += 1;
        }
    }
    // A group that is being replaced at this moment is missing: what the file says stands in for it.
    let order = |name: &str| config.instances.iter().position(|i| i.name == name);
    let known: Vec<_> = running.members().map(|(_, m)| m.id).collect();
    taken.instances.retain(|i| known.contains(&i.id));
    for instance in taken.instances {
        if let Some(slot) = order(&instance.config.name).and_then(|at| snapshot.instances.get_mut(at)) {
            *slot = instance;
        }
    }
    for group in taken.groups {
        if let Some(slot) = snapshot
            .groups
            .iter_mut()
            .find(|g| g.config.name == group.config.name)
        {
            *slot = group;
        }
    }
    snapshot.sockets = sockets;
    snapshot
}

/// The daemon before anything has happened to its instances.
pub fn at_start(config: Arc<Configuration>, interfaces: &[Seen]) -> Snapshot {
    let known: Vec<Interface> = interfaces.iter().map(|seen| (*seen.interface).clone()).collect();
    let mut snapshot = Snapshot::initial(config, SystemTime::now(), &known);
    for taken in &mut snapshot.interfaces {
        let index = taken.interface.index;
        taken.seen_up = interfaces
            .iter()
            .any(|seen| seen.interface.index == index && seen.was_up);
    }
    snapshot
}
