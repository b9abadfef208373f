//! Old configuration + new configuration -> what to keep, change, add and remove. Pure.
//!
//! Instances are matched as keepalived matches them: by VRID, family and interface (and source address when
//! they are unicast), not by name. Sync groups are matched by name.

use super::group::Member;
use crate::model::route::Family;
use crate::model::{Configuration, Instance, SyncGroup};
use crate::state::{GroupId, InstanceId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A group that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedGroup {
    /// Id.
    pub id: GroupId,
    /// The sync group; `None` for an instance on its own.
    pub group: Option<Arc<SyncGroup>>,
    /// Members, in the order of the file.
    pub members: Vec<PlannedMember>,
}

/// One member of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedMember {
    /// Id.
    pub id: InstanceId,
    /// Configuration.
    pub config: Arc<Instance>,
}

impl PlannedGroup {
    /// Members as a group wants them.
    pub fn members(&self) -> Vec<Member> {
        self.members
            .iter()
            .map(|m| Member {
                id: m.id,
                config: m.config.clone(),
            })
            .collect()
    }
}

/// What becomes of a group or an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// As it was: it is not touched.
    Keep,
    /// Its configuration changes in place.
    Change,
    /// New.
    Add,
}

/// Groups and instances that run, and the ids given so far.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// In the order of the file: sync groups stand where their first member stands.
    pub groups: Vec<PlannedGroup>,
    next_group: u32,
    next_instance: u32,
}

/// The way from what runs to what shall run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What runs afterwards.
    pub running: Running,
    /// Fate of each group of `running`, in its order.
    pub groups: Vec<Fate>,
    /// Fate of each instance.
    pub instances: BTreeMap<InstanceId, Fate>,
    /// Groups that end. An instance in one of them is either in `removed` or in `moved`.
    pub ended: Vec<GroupId>,
    /// Instances that end.
    pub removed: BTreeSet<InstanceId>,
    /// Instances that stay and change their group: old group, new group.
    pub moved: BTreeMap<InstanceId, (GroupId, GroupId)>,
}

impl Running {
    /// Every member with its group.
    pub fn members(&self) -> impl Iterator<Item = (GroupId, &PlannedMember)> {
        self.groups
            .iter()
            .flat_map(|g| g.members.iter().map(move |m| (g.id, m)))
    }
}

/// Plans the way from `old` to `new`.
pub fn plan(old: &Running, new: &Configuration) -> Plan {
    let mut plan = Plan {
        running: Running {
            groups: Vec::new(),
            next_group: old.next_group,
            next_instance: old.next_instance,
        },
        ..Plan::default()
    };
    let members = match_instances(old, new, &mut plan);
    let old_group: BTreeMap<InstanceId, GroupId> = old.members().map(|(g, m)| (m.id, g)).collect();
    let was: BTreeMap<GroupId, &PlannedGroup> = old.groups.iter().map(|g| (g.id, g)).collect();
    let mut placed = vec![false; members.len()];
    for index in 0..members.len() {
        if placed[index] {
            continue;
        }
        let sync = members[index]
            .config
            .sync_group
            .as_deref()
            .and_then(|name| new.sync_groups.iter().find(|g| g.name == name));
        let mut inside = Vec::new();
        for (at, member) in members.iter().enumerate().skip(index) {
            let belongs = match sync {
                Some(group) => member.config.sync_group.as_deref() == Some(&group.name),
                None => at == index,
            };
            if belongs && !placed[at] {
                placed[at] = true;
                inside.push(member.clone());
            }
        }
        let id = match_group(&was, sync, &inside, &old_group).unwrap_or_else(|| {
            plan.running.next_group += 1;
            GroupId(plan.running.next_group)
        });
        for member in &inside {
            match old_group.get(&member.id) {
                Some(from) if *from != id => {
                    plan.moved.insert(member.id, (*from, id));
                }
                _ => {}
            }
        }
        let mut group = PlannedGroup {
            id,
            group: sync.map(|g| Arc::new(g.clone())),
            members: inside,
        };
        plan.groups.push(match was.get(&id) {
            None => Fate::Add,
            Some(before) if same_group(before, &group) => {
                // The very same objects: what is kept is not even looked at.
                group = PlannedGroup::clone(before);
                Fate::Keep
            }
            Some(_) => Fate::Change,
        });
        plan.running.groups.push(group);
    }
    let stay: BTreeSet<GroupId> = plan.running.groups.iter().map(|g| g.id).collect();
    plan.ended = old
        .groups
        .iter()
        .map(|g| g.id)
        .filter(|id| !stay.contains(id))
        .collect();
    let stay: BTreeSet<InstanceId> = members.iter().map(|m| m.id).collect();
    plan.removed = old
        .members()
        .map(|(_, m)| m.id)
        .filter(|id| !stay.contains(id))
        .collect();
    plan
}

/// What makes an instance the same one after a reload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    vrid: u8,
    ipv6: bool,
    interface: String,
    vmac: bool,
    unicast: Option<Option<IpAddr>>,
}

fn key(instance: &Instance) -> Key {
    Key {
        vrid: instance.vrid,
        ipv6: matches!(instance.family, Family::Inet6),
        interface: instance.interface.clone(),
        vmac: instance.vmac.is_some(),
        unicast: instance.unicast.then_some(instance.source),
    }
}

/// Gives every instance of the new configuration its id, in the order of the file.
fn match_instances(old: &Running, new: &Configuration, plan: &mut Plan) -> Vec<PlannedMember> {
    let mut free: BTreeMap<Key, Vec<&PlannedMember>> = BTreeMap::new();
    for (_, member) in old.members() {
        free.entry(key(&member.config)).or_default().push(member);
    }
    // Two instances can share a key (unicast, told apart by their peers): the name decides first.
    let mut found: Vec<Option<&PlannedMember>> = new
        .instances
        .iter()
        .map(|instance| {
            let list = free.get_mut(&key(instance))?;
            let at = list.iter().position(|m| m.config.name == instance.name)?;
            Some(list.remove(at))
        })
        .collect();
    for (slot, instance) in found.iter_mut().zip(&new.instances) {
        if slot.is_none() {
            *slot = free
                .get_mut(&key(instance))
                .filter(|l| !l.is_empty())
                .map(|l| l.remove(0));
        }
    }
    let mut members = Vec::with_capacity(found.len());
    for (before, instance) in found.into_iter().zip(&new.instances) {
        let (member, fate) = match before {
            Some(before) if same_instance(&before.config, instance) => (before.clone(), Fate::Keep),
            Some(before) => (
                PlannedMember {
                    id: before.id,
                    config: Arc::new(instance.clone()),
                },
                Fate::Change,
            ),
            None => {
                plan.running.next_instance += 1;
                (
                    PlannedMember {
                        id: InstanceId(plan.running.next_instance),
                        config: Arc::new(instance.clone()),
                    },
                    Fate::Add,
                )
            }
        };
        plan.instances.insert(member.id, fate);
        members.push(member);
    }
    members
}

/// The running group that this one continues: one that its members come from, and a sync group of the same name
/// or none at all.
fn match_group(
    was: &BTreeMap<GroupId, &PlannedGroup>,
    sync: Option<&SyncGroup>,
    inside: &[PlannedMember],
    old_group: &BTreeMap<InstanceId, GroupId>,
) -> Option<GroupId> {
    inside
        .iter()
        .filter_map(|member| old_group.get(&member.id))
        .find(|id| was.get(id).is_some_and(|g| same_name(g.group.as_deref(), sync)))
        .copied()
}

fn same_name(before: Option<&SyncGroup>, after: Option<&SyncGroup>) -> bool {
    before.map(|g| &g.name) == after.map(|g| &g.name)
}

/// The same but for where it stands in the file.
fn same_instance(before: &Instance, after: &Instance) -> bool {
    if before.line == after.line && before.file == after.file {
        return before == after;
    }
    let mut moved = before.clone();
    moved.line = after.line;
    moved.file.clone_from(&after.file);
    moved == *after
}

fn same_group(before: &PlannedGroup, after: &PlannedGroup) -> bool {
    before.group == after.group
        && before.members.len() == after.members.len()
        && before
            .members
            .iter()
            .zip(&after.members)
            .all(|(a, b)| a.id == b.id && Arc::ptr_eq(&a.config, &b.config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, DEFAULT_FILE, MemoryHost, ReadOptions, Start};

    fn configuration(text: &str) -> Configuration {
        let mut host = MemoryHost::default();
        for name in ["eth0", "eth1"] {
            host.interface(name);
        }
        host.file(DEFAULT_FILE, text);
        let reading = config::read(&host, &ReadOptions::default());
        assert_eq!(reading.start, Start::Go, "{:?}", reading.diagnostics);
        reading.configuration
    }

    fn instance(name: &str, vrid: u8, more: &str) -> String {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n \
             virtual_ipaddress {{\n  192.0.2.{vrid}\n }}\n{more}\n}}\n"
        )
    }

    fn group(name: &str, members: &[&str]) -> String {
        format!(
            "vrrp_sync_group {name} {{\n group {{\n  {}\n }}\n}}\n",
            members.join("\n  ")
        )
    }

    fn reload(old: &str, new: &str) -> (Plan, Plan) {
        let first = plan(&Running::default(), &configuration(old));
        let second = plan(&first.running, &configuration(new));
        (first, second)
    }

    fn id(plan: &Plan, name: &str) -> InstanceId {
        let found = plan.running.members().find(|(_, m)| m.config.name == name);
        found.expect("an instance of that name").1.id
    }

    fn group_of(plan: &Plan, name: &str) -> GroupId {
        let found = plan.running.members().find(|(_, m)| m.config.name == name);
        found.expect("an instance of that name").0
    }

    #[test]
    fn the_same_file_keeps_everything_wherever_its_lines_stand() {
        let text = instance("A", 1, "") + &instance("B", 2, "");
        let (first, second) = reload(&text, &format!("\n# a line more\n\n{text}"));
        assert_eq!(second.groups, [Fate::Keep, Fate::Keep]);
        assert!(second.instances.values().all(|fate| *fate == Fate::Keep));
        assert!(second.ended.is_empty() && second.removed.is_empty() && second.moved.is_empty());
        // The very objects that ran before.
        for ((_, before), (_, after)) in first.running.members().zip(second.running.members()) {
            assert!(Arc::ptr_eq(&before.config, &after.config));
        }
    }

    #[test]
    fn a_change_touches_the_changed_one_only() {
        let old = instance("A", 1, "priority 150") + &instance("B", 2, "");
        let new = instance("A", 1, "priority 140") + &instance("B", 2, "");
        let (first, second) = reload(&old, &new);
        assert_eq!(second.groups, [Fate::Change, Fate::Keep]);
        assert_eq!(id(&first, "A"), id(&second, "A"));
        assert_eq!(second.instances[&id(&second, "A")], Fate::Change);
        assert_eq!(second.instances[&id(&second, "B")], Fate::Keep);
    }

    #[test]
    fn another_name_is_the_same_instance_and_another_vrid_is_not() {
        let (first, second) = reload(
            &(instance("A", 1, "") + &instance("B", 2, "")),
            &(instance("RENAMED", 1, "") + &instance("B", 3, "")),
        );
        assert_eq!(id(&first, "A"), id(&second, "RENAMED"));
        assert_eq!(second.groups, [Fate::Change, Fate::Add]);
        assert_eq!(second.removed, BTreeSet::from([id(&first, "B")]));
        assert_eq!(second.ended, [group_of(&first, "B")]);
        assert_ne!(id(&first, "B"), id(&second, "B"));
    }

    #[test]
    fn ids_are_never_given_twice() {
        let (first, second) = reload(&instance("A", 1, ""), &instance("B", 2, ""));
        let third = plan(&second.running, &configuration(&instance("A", 1, "")));
        assert_ne!(id(&first, "A"), id(&third, "A"));
    }

    #[test]
    fn members_move_into_a_group_and_out_of_it_with_their_state() {
        let singles = instance("A", 1, "") + &instance("B", 2, "");
        let grouped = singles.clone() + &group("G", &["A", "B"]);
        let (first, second) = reload(&singles, &grouped);
        assert_eq!(second.running.groups.len(), 1);
        let new = group_of(&second, "A");
        assert_eq!(second.groups, [Fate::Add]);
        for name in ["A", "B"] {
            let moved = second.moved[&id(&second, name)];
            assert_eq!(moved, (group_of(&first, name), new));
        }
        assert!(second.removed.is_empty());
        assert_eq!(second.ended.len(), 2);

        let third = plan(&second.running, &configuration(&singles));
        assert_eq!(third.ended, [new]);
        assert_eq!(third.moved.len(), 2);
        assert_eq!(id(&third, "A"), id(&first, "A"));
    }

    #[test]
    fn a_group_that_loses_a_member_stays_the_same_group() {
        let all = instance("A", 1, "") + &instance("B", 2, "") + &instance("C", 3, "");
        let (first, second) = reload(
            &(all.clone() + &group("G", &["A", "B", "C"])),
            &(all + &group("G", &["A", "B"])),
        );
        assert_eq!(group_of(&first, "A"), group_of(&second, "A"));
        assert_eq!(second.groups, [Fate::Change, Fate::Add]);
        assert_eq!(
            second.moved.keys().copied().collect::<Vec<_>>(),
            [id(&second, "C")]
        );
    }
}
