//! What instances and groups track, and with which weight.

use crate::config::diagnostic::Class;
use crate::config::read::Context;
use crate::config::read::draft::Draft;
use crate::model::track::Tracked;
use crate::model::vrrp::{Instance, SyncGroup};

/// Trackers of an instance: its own interface, weights of an address owner or a group member.
pub(super) fn tracking(instance: &mut Instance, group: Option<&SyncGroup>, context: &mut Context) {
    let name = instance.name.clone();
    let owner = instance.priority == 255;
    let no_weights = match group {
        Some(group) if !group.tracking_weight => Some("SYNC group"),
        _ if owner => Some("address_owner"),
        _ => None,
    };
    let mut say = |text: String| {
        context.diagnostics.general(Class::General, text);
    };
    let own = instance.interface.clone();
    instance.track_interfaces.retain(|t| {
        if t.name == own {
            say(format!("({name}) Ignoring track_interface {own} since own interface"));
            return false;
        }
        if let Some(group) = group
            && group.track_interfaces.iter().any(|g| g.name == t.name)
        {
            say(format!(
                "({name}) track_interface {} is configured on VRRP instance and sync group. Remove vrrp instance or sync group config",
                t.name
            ));
            // It stays listed; the group's weight is the one that counts.
            return true;
        }
        if t.weight != 0
            && let Some(reason) = no_weights
        {
            say(format!(
                "({name}) ignoring {} tracked interface weight due to {reason}",
                t.name
            ));
        }
        true
    });
    if owner && no_weights == Some("address_owner") {
        for tracked in &mut instance.track_interfaces {
            tracked.weight = 0;
        }
    }
    type Lists<'a> = (&'a str, &'a mut Vec<Tracked>, Option<&'a Vec<Tracked>>);
    let lists: [Lists; 4] = [
        (
            "script",
            &mut instance.track_scripts,
            group.map(|g| &g.track_scripts),
        ),
        ("file", &mut instance.track_files, group.map(|g| &g.track_files)),
        (
            "process",
            &mut instance.track_processes,
            group.map(|g| &g.track_processes),
        ),
        ("bfd", &mut instance.track_bfd, group.map(|g| &g.track_bfd)),
    ];
    for (word, list, of_group) in lists {
        list.retain(|t| {
            if t.weight != 0
                && let Some(reason) = no_weights
            {
                let weight = match word {
                    "script" => "weights".to_owned(),
                    _ => format!("weight {}", t.weight),
                };
                say(format!(
                    "({name}) ignoring tracked {word} {} with {weight} due to {reason}",
                    t.name
                ));
                return false;
            }
            if !of_group.is_some_and(|g| g.iter().any(|g| g.name == t.name)) {
                return true;
            }
            // Of processes and BFD sessions keepalived says nothing.
            if !matches!(word, "process" | "bfd") {
                say(format!(
                    "({name}) track_{word} {} is configured on VRRP instance and sync group. Remove vrrp instance config",
                    t.name
                ));
            }
            false
        });
    }
}

/// Weights of a group's trackers when a member is the address owner.
pub(super) fn group_weights(group: &mut SyncGroup, drafts: &[Draft], context: &mut Context) {
    let owners = drafts
        .iter()
        .filter(|d| d.instance.sync_group.as_ref() == Some(&group.name))
        .filter(|d| d.instance.priority == 255)
        .count();
    if owners != 0 && owners != group.members.len() {
        let text = format!(
            "Sync group {} has some member(s) as address owner and some not as address owner. This won't work.",
            group.name
        );
        context.diagnostics.general(Class::General, text);
    }
    if owners == 0 {
        return;
    }
    let name = &group.name;
    let lists = [
        ("interface", &mut group.track_interfaces),
        ("script", &mut group.track_scripts),
        ("file", &mut group.track_files),
        ("process", &mut group.track_processes),
        ("bfd", &mut group.track_bfd),
    ];
    for (word, list) in lists {
        let action = match word {
            "file" | "process" => "setting weight 0",
            _ => "clearing weight",
        };
        for tracked in list.iter_mut().filter(|t| t.weight != 0) {
            let text = format!(
                "({name}) Cannot have weighted track {word} '{}' with member having priority 255 - {action}",
                tracked.name
            );
            context.diagnostics.general(Class::General, text);
            tracked.weight = 0;
        }
    }
}
