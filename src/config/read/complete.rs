//! What keepalived does once all of the text is read: adjustments, inherited defaults, checks between
//! objects.

mod instance;
mod scripts;
mod tracking;

use super::draft::Draft;
use super::vrrp::{GroupDraft, Vrrp};
use super::{Context, virtual_names};
use crate::config::diagnostic::Class;
use crate::model::globals::DynamicInterfaces;
use crate::model::route::Family;
use crate::model::vrrp::SyncGroup;
use instance::{instance, no_peers};
use scripts::{inspect_scripts, unused_scripts};
use std::collections::BTreeMap;
use std::net::IpAddr;
use tracking::{group_weights, tracking};

/// Exit status of a start with a configuration that VRRP cannot live with.
const EXIT_CONFIG: i32 = 2;

/// The checks that keepalived makes at the closing brace of an instance.
pub(super) fn at_end_of_block(mut draft: Draft, context: &mut Context) -> Option<Draft> {
    let name = draft.instance.name.clone();
    let file = context.shared.file_names.get(draft.header.file as usize);
    draft.instance.file = file.cloned().unwrap_or_default();
    let unicast = !draft.instance.peers.is_empty();
    if draft.given.unicast_ttl.is_some() && !unicast {
        let text = format!("({name}): Cannot use unicast_ttl without unicast peers - resetting");
        context.complain(Class::General, text);
        draft.given.unicast_ttl = None;
    }
    if draft.given.xmit_base && draft.instance.vmac.is_none() {
        let text = format!("({name}) vmac_xmit_base is only valid with a vmac");
        context.complain(Class::General, text);
    }
    if let Some(vmac) = &mut draft.instance.vmac {
        vmac.xmit_base |= draft.given.xmit_base;
        if unicast && draft.instance.interface.is_empty() {
            let text =
                format!("({name}): Cannot use VMAC/ipvlan with unicast and no interface - clearing use_vmac");
            context.complain(Class::General, text);
            draft.instance.vmac = None;
        } else if unicast && !vmac.xmit_base {
            vmac.xmit_base = true;
            let text = format!("({name}) unicast with use_vmac requires vmac_xmit_base - setting");
            context.complain(Class::General, text);
        }
    }
    Some(draft)
}

/// All instances and groups.
pub(super) fn finish(reader: &mut Vrrp, context: &mut Context) {
    let mut drafts = std::mem::take(&mut reader.drafts);
    let mut groups = std::mem::take(&mut reader.groups);
    if (context.shared.missing_interface || context.diagnostics.has(Class::BadInterface))
        && context.config.globals.dynamic_interfaces == DynamicInterfaces::No
    {
        context
            .diagnostics
            .general(
                Class::BadInterface,
                "Non-existent interface specified in configuration",
            )
            .help("make the interface, or set `dynamic_interfaces` in global_defs");
        context.diagnostics.refuse(EXIT_CONFIG);
        return;
    }
    inspect_scripts(&mut drafts, &mut groups, context);
    unused_scripts(&drafts, &groups, context);
    let mut groups = sync_groups(groups, &mut drafts, context);

    if !drafts.iter().all(|d| identified(d, context)) {
        context.diagnostics.refuse(EXIT_CONFIG);
        return;
    }
    for draft in &mut drafts {
        if !instance(draft, context) {
            context.diagnostics.refuse(EXIT_CONFIG);
            return;
        }
    }
    virtual_names::assign(&mut drafts, context);
    for draft in &mut drafts {
        let group = groups
            .iter()
            .find(|g| Some(&g.name) == draft.instance.sync_group.as_ref());
        tracking(&mut draft.instance, group, context);
    }
    for group in &mut groups {
        group_weights(group, &drafts, context);
    }
    if !distinct_vrids(&drafts, context) {
        context.diagnostics.refuse(EXIT_CONFIG);
    }

    static_objects(&mut drafts, context);
    context.config.sync_groups = groups;
    context.config.instances = drafts.into_iter().map(|d| d.instance).collect();
}

/// `track_group`: its members track the interfaces of static objects that name it.
fn static_objects(drafts: &mut [Draft], context: &Context) {
    let config = &context.config;
    let addresses = config.static_addresses.iter().filter(|a| !a.no_track);
    let routes = config.static_routes.iter().filter(|r| !r.no_track);
    let rules = config.static_rules.iter().filter(|r| !r.no_track);
    let of_addresses = addresses.map(|a| (&a.track_group, vec![a.interface.as_str()]));
    let of_routes = routes.map(|r| (&r.track_group, r.interfaces().collect()));
    let of_rules = rules.map(|r| (&r.track_group, r.interfaces().collect()));
    for (group, interfaces) in of_addresses.chain(of_routes).chain(of_rules) {
        let group = config
            .track_groups
            .iter()
            .find(|known| Some(&known.name) == group.as_ref());
        let Some(group) = group else { continue };
        for draft in drafts
            .iter_mut()
            .filter(|d| group.members.contains(&d.instance.name))
        {
            let list = &mut draft.instance.static_interfaces;
            for name in &interfaces {
                if !list.iter().any(|known| known == name) {
                    list.push((*name).to_owned());
                }
            }
        }
    }
}

/// Members that exist, each in one group.
fn sync_groups(groups: Vec<GroupDraft>, drafts: &mut [Draft], context: &mut Context) -> Vec<SyncGroup> {
    let mut kept = Vec::new();
    for draft in groups {
        let mut group = draft.group;
        let name = group.name.clone();
        let mut members = Vec::new();
        for member in std::mem::take(&mut group.members) {
            let Some(found) = drafts.iter_mut().find(|d| d.instance.name == member) else {
                context
                    .diagnostics
                    .general(
                        Class::General,
                        format!(
                            "Virtual router {member} specified in sync group {name} doesn't exist - ignoring"
                        ),
                    )
                    .help("there is no vrrp_instance of that name");
                continue;
            };
            match &found.instance.sync_group {
                Some(other) if *other == name => {}
                Some(_) => {
                    context.diagnostics.general(
                        Class::General,
                        format!(
                            "Virtual router {member} cannot exist in more than one sync group; ignoring {name}"
                        ),
                    );
                }
                None => {
                    found.instance.sync_group = Some(name.clone());
                    members.push(member);
                }
            }
        }
        match members.len() {
            0 => {
                context.diagnostics.general(
                    Class::General,
                    format!(
                        "Sync group {name}, no matching virtual router found in group declaration - removing"
                    ),
                );
                continue;
            }
            1 => {
                context.diagnostics.general(
                    Class::Warning,
                    format!(
                        "Sync group {name} has only 1 virtual router(s) - this probably isn't what you want"
                    ),
                );
            }
            _ => {}
        }
        group.members = members;
        let globals = &context.config.globals;
        group.smtp_alert = draft
            .smtp_alert
            .or(globals.smtp_alert_vrrp)
            .or(globals.smtp_alert)
            .unwrap_or(false);
        group.notify_priority_changes = draft
            .notify_priority_changes
            .unwrap_or(globals.notify_priority_changes);
        kept.push(group);
    }
    kept
}

/// Whether an instance has what tells it from others: a VRID, and an interface or a source address.
fn identified(draft: &Draft, context: &mut Context) -> bool {
    let instance = &draft.instance;
    if instance.vrid == 0 {
        let text = format!("({}) the virtual router id must be set", instance.name);
        context
            .diagnostics
            .general(Class::General, text)
            .help("every instance needs a `virtual_router_id` from 1 to 255");
        return false;
    }
    !instance.interface.is_empty() || source_without_interface(draft, context)
}

/// An instance without an interface needs a source address.
fn source_without_interface(draft: &Draft, context: &mut Context) -> bool {
    let name = &draft.instance.name;
    if draft.instance.source.is_some() {
        return true;
    }
    if draft.given.unicast {
        if draft.instance.peers.is_empty() {
            no_peers(name, context);
        }
        let text = format!("({name}): Unicast instances must have unicast_src_ip or interface");
        context.diagnostics.general(Class::General, text);
    } else {
        let text = format!("({name}) Unknown interface!");
        context
            .diagnostics
            .general(Class::General, text)
            .help("every instance needs an `interface`");
    }
    false
}

/// No two instances with the same VRID where a packet could be for both.
fn distinct_vrids(drafts: &[Draft], context: &mut Context) -> bool {
    let mut seen: BTreeMap<(Family, u8, &str, IpAddr), Vec<&Draft>> = BTreeMap::new();
    let mut distinct = true;
    for draft in drafts {
        let instance = &draft.instance;
        if instance.unicast {
            continue;
        }
        let key = (
            instance.family,
            instance.vrid,
            instance.interface.as_str(),
            instance.multicast_group,
        );
        let others = seen.entry(key).or_default();
        if let Some(first) = others.first() {
            let version = if instance.family == Family::Inet { 4 } else { 6 };
            let text = format!(
                "{} and {} both use VRID {} with IPv{version} on interface {}",
                first.instance.name, instance.name, instance.vrid, instance.interface
            );
            context.diagnostics.general(Class::General, text);
            distinct = false;
        }
        others.push(draft);
    }
    distinct
}
