//! From one set of groups to the next, in one step.

use super::super::group_task::{Message, Task};
use super::message::Change;
use super::traffic::{InstanceEntry, unregister};
use super::{GroupEntry, Port};
use crate::state::track::{TrackSource, Verdict};
use crate::state::{GroupId, InstanceId};
use crate::vrrp::group::Detached;
use crate::vrrp::plan::{Fate, Plan, PlannedGroup};
use crate::vrrp::{Event, GroupConfig};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc::unbounded_channel;

/// Names that a group wants to hear of.
pub(super) struct Interests {
    pub(super) interfaces: BTreeSet<String>,
    pub(super) trackers: BTreeSet<TrackSource>,
}

impl Port {
    /// From the present groups to those of the plan. Members move first, then groups change, then new ones
    /// start: all before anything is sent, so that there is no moment at which half of it is done.
    pub(super) fn apply(&mut self, change: Change) {
        let plan = &change.plan;
        self.log_unknown = change.log_unknown;
        // Even what the plan keeps is held as long as all others.
        let held = std::mem::replace(&mut self.hold_until, change.hold_until) != change.hold_until;
        let mut leaving: BTreeMap<GroupId, Vec<InstanceId>> = BTreeMap::new();
        for (instance, (from, _)) in &plan.moved {
            leaving.entry(*from).or_default().push(*instance);
        }
        for (group, instances) in leaving {
            self.tell(group, Message::Detach(instances));
        }
        self.run_groups();
        let mut detached = std::mem::take(&mut self.shared.outbox.borrow_mut().detached);

        let mut ended = Vec::new();
        for id in &plan.ended {
            // Members that are neither moved nor named are removed by it.
            self.tell(
                *id,
                Message::Event(Event::Reconfigure(Box::new(self.config(None, &change)))),
            );
            ended.push(*id);
        }
        for (group, fate) in plan.running.groups.iter().zip(&plan.groups) {
            if *fate == Fate::Change || held && *fate == Fate::Keep {
                for member in &group.members {
                    if let Some(member) = detached.remove(&member.id) {
                        self.tell(group.id, Message::Attach(member));
                    }
                }
                let config = Box::new(self.config(Some(group), &change));
                self.tell(group.id, Message::Event(Event::Reconfigure(config)));
            }
        }
        if change.tell_states {
            for (group, fate) in plan.running.groups.iter().zip(&plan.groups) {
                if *fate != Fate::Add {
                    self.tell(group.id, Message::TellStates);
                }
            }
        }
        self.run_groups();
        for id in ended {
            let deadline = self.groups.remove(&id).and_then(|e| e.deadline);
            self.deadlines.change(id, deadline, None);
        }
        self.forget(plan);
        for (group, fate) in plan.running.groups.iter().zip(&plan.groups) {
            self.remember(group);
            if *fate == Fate::Add {
                let attached = group
                    .members
                    .iter()
                    .filter_map(|m| detached.remove(&m.id))
                    .collect();
                self.add(group, self.config(Some(group), &change), attached);
            }
            if *fate != Fate::Keep {
                self.tell_verdicts(group.id);
            }
        }
        self.run_groups();
        self.flush_with(change.kernel);
        self.turn();
        self.obey_bfd(change.bfd);
        (change.done)();
    }

    pub(super) fn config(&self, group: Option<&PlannedGroup>, change: &Change) -> GroupConfig {
        GroupConfig {
            group: group.and_then(|g| g.group.clone()),
            members: group.map(PlannedGroup::members).unwrap_or_default(),
            interfaces: self.interfaces.clone(),
            verdicts: self.standing(),
            detail: change.detail,
            hold_until: change.hold_until,
        }
    }

    #[allow(clippy::vec_box)]
    pub(super) fn add(&mut self, group: &PlannedGroup, config: GroupConfig, attached: Vec<Box<Detached>>) {
        let (inbox, messages) = unbounded_channel();
        let entry = GroupEntry {
            inbox,
            deadline: None,
            interests: interests(group),
            members: group.members.iter().map(|m| m.id).collect(),
        };
        self.groups.insert(group.id, entry);
        let task = Task::start(group.id, config, attached, self.shared.clone());
        self.local.spawn_local(task.run(messages));
    }

    /// What is known of files and processes, which is not waited for.
    fn standing(&self) -> BTreeMap<TrackSource, Verdict> {
        let known = self.verdicts.iter();
        known
            .filter(|(source, _)| matches!(source, TrackSource::File(_) | TrackSource::Process(_)))
            .map(|(source, verdict)| (source.clone(), *verdict))
            .collect()
    }

    pub(super) fn tell_verdicts(&self, group: GroupId) {
        let Some(entry) = self.groups.get(&group) else {
            return;
        };
        for source in &entry.interests.trackers {
            if let Some(verdict) = self.verdicts.get(source) {
                self.tell(
                    group,
                    Message::Event(Event::Track {
                        source: source.clone(),
                        verdict: *verdict,
                    }),
                );
            }
        }
    }

    pub(super) fn forget(&mut self, plan: &Plan) {
        for instance in &plan.removed {
            self.shared.page.borrow_mut().forget(*instance);
            // Its last advert is still to be sent: it keeps its socket until the flush that follows.
            if let Some(entry) = self.instances.get(instance)
                && let Some(socket) = entry.socket
                && let Some(socket) = self.sockets.get_mut(&socket)
            {
                unregister(socket, *instance);
            }
        }
    }

    pub(super) fn remember(&mut self, group: &PlannedGroup) {
        for member in &group.members {
            let socket = self.wanted_sockets.get(&member.id).copied();
            self.instances.insert(
                member.id,
                InstanceEntry {
                    group: group.id,
                    vrid: member.config.vrid,
                    peers: member.config.peers.iter().map(|p| p.address).collect(),
                    socket: None,
                },
            );
            self.attach(member.id, socket);
        }
        if let Some(entry) = self.groups.get_mut(&group.id) {
            entry.interests = interests(group);
            entry.members = group.members.iter().map(|m| m.id).collect();
        }
    }
}

pub(super) fn interests(group: &PlannedGroup) -> Interests {
    let mut interfaces = BTreeSet::new();
    let mut trackers = BTreeSet::new();
    let mut track = |scripts: &[crate::model::Tracked],
                     files: &[crate::model::Tracked],
                     processes: &[crate::model::Tracked],
                     bfd: &[crate::model::Tracked]| {
        trackers.extend(
            scripts
                .iter()
                .map(|t| TrackSource::Script(t.name.as_str().into())),
        );
        trackers.extend(files.iter().map(|t| TrackSource::File(t.name.as_str().into())));
        trackers.extend(
            processes
                .iter()
                .map(|t| TrackSource::Process(t.name.as_str().into())),
        );
        trackers.extend(bfd.iter().map(|t| TrackSource::Bfd(t.name.as_str().into())));
    };
    if let Some(sync) = &group.group {
        interfaces.extend(sync.track_interfaces.iter().map(|t| t.name.clone()));
        track(
            &sync.track_scripts,
            &sync.track_files,
            &sync.track_processes,
            &sync.track_bfd,
        );
    }
    for member in &group.members {
        let config = &member.config;
        interfaces.insert(config.interface.clone());
        interfaces.insert(config.own_interface().to_owned());
        interfaces.insert(config.advert_interface().to_owned());
        interfaces.extend(config.track_interfaces.iter().map(|t| t.name.clone()));
        let addresses = config.vips.iter().chain(&config.excluded_vips);
        interfaces.extend(addresses.map(|a| a.interface.clone()));
        interfaces.extend(config.used_interfaces().map(str::to_owned));
        track(
            &config.track_scripts,
            &config.track_files,
            &config.track_processes,
            &config.track_bfd,
        );
    }
    Interests { interfaces, trackers }
}
