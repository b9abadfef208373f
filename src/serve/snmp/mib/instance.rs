//! KEEPALIVED-MIB: sync groups, their members, instances.

use super::{command, keepalived, state};
use crate::model::script::NotifyScripts;
use crate::model::vrrp::{Accept, Authentication, InitialState, Version};
use crate::serve::snmp::tree::{Table, Tree, address, address_type, gauge, integer, row, truth};
use crate::state::VrrpState;
use crate::state::snapshot::{InstanceSnapshot, Snapshot};
use crate::wire::agentx::Value;

pub(super) fn put(snapshot: &Snapshot, tree: &mut Tree) {
    groups(snapshot, tree);
    let mut table = tree.table(&keepalived(&[2, 3, 1]));
    for (at, found) in snapshot.instances.iter().enumerate() {
        instance(snapshot, found, &[row(at)], &mut table);
    }
}

fn groups(snapshot: &Snapshot, tree: &mut Tree) {
    let mut table = tree.table(&keepalived(&[2, 1, 1]));
    for (at, group) in snapshot.groups.iter().enumerate() {
        let (index, config) = ([row(at)], &group.config);
        table.put(2, &index, Value::text(&config.name));
        table.put(3, &index, state(group.state));
        table.put(4, &index, truth(config.smtp_alert));
        let scripts = &config.notify;
        table.put(5, &index, truth(has_scripts(scripts)));
        table.maybe(6, &index, scripts.master.as_ref().map(command));
        table.maybe(7, &index, scripts.backup.as_ref().map(command));
        table.maybe(8, &index, scripts.fault.as_ref().map(command));
        table.maybe(9, &index, scripts.generic.as_ref().map(command));
        table.put(10, &index, truth(config.tracking_weight));
        table.maybe(11, &index, scripts.stop.as_ref().map(command));
    }
    let mut members = tree.table(&keepalived(&[2, 2, 1]));
    for (at, group) in snapshot.groups.iter().enumerate() {
        for (place, member) in group.config.members.iter().enumerate() {
            members.put(2, &[row(at), row(place)], Value::text(member));
        }
    }
}

fn instance(snapshot: &Snapshot, found: &InstanceSnapshot, index: &[u32], table: &mut Table<'_>) {
    let config = &found.config;
    table.put(2, index, Value::text(&config.name));
    table.put(3, index, gauge(config.vrid));
    table.put(4, index, state(found.state));
    table.put(5, index, initial_state(config.initial_state));
    table.put(6, index, state(found.wanted));
    table.put(7, index, integer(config.priority));
    table.put(8, index, integer(found.effective_priority));
    table.put(9, index, truth(all_set(found)));
    table.put(10, index, Value::text(&config.interface));
    // keepalived: whether it tracks any interface of its own choice.
    table.put(11, index, truth(!config.track_interfaces.is_empty()));
    // Seconds for VRRPv2, hundredths of a second for VRRPv3.
    let interval = match config.version {
        Version::V2 => u128::from(config.advert_interval.as_secs()),
        Version::V3 => config.advert_interval.as_millis() / 10,
    };
    table.put(12, index, gauge(interval));
    table.put(13, index, truth(!config.nopreempt));
    table.put(14, index, gauge(config.preempt_delay.as_secs()));
    let authentication = match config.authentication {
        Authentication::None => 0,
        Authentication::Pass(_) => 1,
        Authentication::Ah(_) => 2,
    };
    table.put(15, index, Value::Integer(authentication));
    let daemon = snapshot.config.globals.lvs_sync_daemon.as_ref();
    let daemon = daemon.filter(|daemon| daemon.instance == config.name);
    table.put(16, index, truth(daemon.is_some()));
    table.maybe(17, index, daemon.map(|daemon| Value::text(&daemon.interface)));
    table.maybe(18, index, config.sync_group.as_deref().map(Value::text));
    table.put(19, index, gauge(config.garp.master_delay.as_secs()));
    table.put(20, index, truth(config.smtp_alert));
    scripts(&config.notify, index, table);
    // VRRPv2 has no accept mode.
    let accept = match (config.version, config.accept) {
        (Version::V2, _) => Value::Integer(0),
        (Version::V3, accept) => truth(accept == Accept::Enabled),
    };
    table.put(27, index, accept);
    table.put(28, index, truth(config.promote_secondaries));
    table.put(29, index, truth(config.linkbeat_polling));
    table.put(30, index, integer(config.version.number()));
    table.put(33, index, truth(config.notify_deleted));
    if !config.unicast {
        table.put(34, index, address_type(&config.multicast_group));
        table.put(35, index, address(&config.multicast_group));
    }
    table.put(36, index, truth(config.v3_checksum_as_v2));
}

fn scripts(scripts: &NotifyScripts, index: &[u32], table: &mut Table<'_>) {
    table.put(21, index, truth(has_scripts(scripts)));
    table.maybe(22, index, scripts.master.as_ref().map(command));
    table.maybe(23, index, scripts.backup.as_ref().map(command));
    table.maybe(24, index, scripts.fault.as_ref().map(command));
    table.maybe(25, index, scripts.stop.as_ref().map(command));
    table.maybe(26, index, scripts.generic.as_ref().map(command));
    let lower = scripts.master_rx_lower_priority.as_ref();
    table.maybe(31, index, lower.map(command));
    table.maybe(32, index, scripts.deleted.as_ref().map(command));
}

fn has_scripts(scripts: &NotifyScripts) -> bool {
    *scripts != NotifyScripts::default()
}

/// VrrpState that the configuration asks for.
pub(in super::super) fn initial_state(initial: InitialState) -> Value {
    state(match initial {
        InitialState::Master => VrrpState::Master,
        InitialState::Backup => VrrpState::Backup,
    })
}

/// vrrpInstanceVipsStatus.
fn all_set(found: &InstanceSnapshot) -> bool {
    found.vips_set.iter().chain(&found.excluded_set).all(|set| *set)
}
