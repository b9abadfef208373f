//! A sync group, or an instance that is in none.

use super::event::{Effects, Event, Received};
use super::farewell::Sent;
use super::instance::Instance as Router;
use super::tracking::World;
use crate::model::{Instance, SyncGroup};
use crate::state::interface::Hearing;
use crate::state::notify::NotifyKind;
use crate::state::snapshot::{GroupSnapshot, InstanceSnapshot};
use crate::state::track::{TrackSource, Verdict};
use crate::state::{InstanceId, Interface, Now, Statistics, VrrpState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What a group is made from.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The sync group; `None` for an instance on its own.
    pub group: Option<Arc<SyncGroup>>,
    /// Members, in the order of the file.
    pub members: Vec<Member>,
    /// All interfaces at this moment, by name.
    pub interfaces: BTreeMap<String, Arc<Interface>>,
    /// What is known already of trackers: the members begin with it. Others may be among them.
    pub verdicts: BTreeMap<TrackSource, Verdict>,
    /// `-D` given: some lines are only made then.
    pub detail: bool,
    /// `vrrp_startup_delay`, `vrrp_delay_after_boot`: nothing is sent or believed before this moment
    /// (CLOCK_MONOTONIC, nanoseconds).
    pub hold_until: u64,
}

/// One member.
#[derive(Debug, Clone)]
pub struct Member {
    /// Id; a member with a known id keeps its state in [`Event::Reconfigure`].
    pub id: InstanceId,
    /// Configuration.
    pub config: Arc<Instance>,
}

/// One datagram to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datagram {
    /// Source address.
    pub source: IpAddr,
    /// Destination: the group, or a peer.
    pub destination: IpAddr,
    /// IPv6: hop limit.
    pub ttl: u8,
    /// IPv4: a whole IP packet (IP_HDRINCL; id is filled in by the sender at bytes 4 and 5).
    /// IPv6: the VRRP message.
    pub bytes: Vec<u8>,
}

/// Why a deadline is there, the earliest of the table of timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Next advert of a master.
    Advert,
    /// Master down interval, or skew time after priority 0.
    MasterDown,
    /// `preempt_delay`.
    Preempt,
    /// Second burst of announcements.
    Announce,
    /// `garp_master_refresh`.
    Refresh,
    /// Second burst after an advert of lower priority.
    LowerPriority,
    /// Wait for another address owner to go away.
    RogueOwner,
    /// Another master may be silent by now.
    Company,
    /// A master that has heard nobody since the start.
    Unheard,
}

/// A member on its way from one group to another, with all its state.
#[derive(Debug)]
pub struct Detached {
    router: Router,
    verdicts: BTreeMap<TrackSource, Verdict>,
}

/// A sync group, or an instance that is in none. Its members move in one step: there is no moment at which half
/// of it has moved, but for a group that a reload has put together from members in different states. Such a
/// group comes to one state as soon as its members know what there is: when the last of them wants to be
/// master, or when one of them obeys another master.
#[derive(Debug, Clone)]
pub struct Group {
    pub(super) group: Option<Arc<SyncGroup>>,
    pub(super) members: Vec<Router>,
    /// Taken away by the last event; their last adverts may still be asked for.
    departed: Vec<Router>,
    pub(super) world: World,
    pub(super) hold_until: u64,
    /// State that the group was last notified of.
    pub(super) told: VrrpState,
}

impl Group {
    /// Takes its members out of INIT: called once, at start or when a reload adds the group.
    pub fn start(config: GroupConfig, now: Now, out: &mut Effects) -> Group {
        Group::start_with(config, Vec::new(), now, out)
    }

    /// As [`Group::start`]; some of the members come from other groups and keep their state.
    // The box is what travels between the tasks.
    #[allow(clippy::vec_box)]
    pub fn start_with(
        config: GroupConfig,
        members: Vec<Box<Detached>>,
        now: Now,
        out: &mut Effects,
    ) -> Group {
        let mut group = Group {
            group: config.group.clone(),
            members: Vec::new(),
            departed: Vec::new(),
            world: World::default(),
            hold_until: 0,
            told: VrrpState::Init,
        };
        for member in members {
            group.attach(member);
        }
        group.configure(config, now, out);
        group
    }

    /// Takes a member out with all its state. It stays what it is; nothing is sent.
    pub fn detach(&mut self, instance: InstanceId) -> Option<Box<Detached>> {
        let at = self.members.iter().position(|member| member.id == instance)?;
        Some(Box::new(Detached {
            router: self.members.remove(at),
            verdicts: self.world.verdicts.clone(),
        }))
    }

    /// Takes in a member from another group. An [`Event::Reconfigure`] that names it follows.
    pub fn attach(&mut self, member: Box<Detached>) {
        let Detached { router, verdicts } = *member;
        self.members.push(router);
        self.world.verdicts.extend(verdicts);
    }

    /// Does what an event asks for. Never blocks, never fails, never panics.
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Effects) {
        self.departed.clear();
        if self.members.iter().any(|member| member.state == VrrpState::Stop) {
            return;
        }
        match event {
            Event::Packet { instance, packet } => self.packet(instance, &packet, now, out),
            Event::Tick => self.tick(now, out),
            Event::Interface(interface) => {
                let before = self.world.interfaces.get(&interface.name);
                let was_up = before.is_some_and(|i| i.is_up());
                let was_deaf = before.map_or(Hearing::Something, |i| i.hearing);
                for member in &mut self.members {
                    if interface.is_up() && !was_up {
                        member.link_came_up(&interface.name, now);
                    } else if interface.hearing == Hearing::Something {
                        member.link_hears(&interface.name, was_deaf, now);
                    }
                }
                // A renamed one goes by its new name only.
                self.world
                    .interfaces
                    .retain(|_, known| known.index != interface.index);
                self.world.interfaces.insert(interface.name.clone(), interface);
                self.look(now, out);
            }
            Event::InterfaceGone { index, .. } => {
                self.world.interfaces.retain(|_, known| known.index != index);
                self.look(now, out);
            }
            Event::Track { source, verdict } => self.track(source, verdict, now, out),
            Event::Applied { instance, epoch, set } => {
                if let Some(member) = self.member(instance).filter(|member| member.epoch == epoch) {
                    for (slot, is) in member.set.iter_mut().zip(set) {
                        *slot = is;
                    }
                }
            }
            Event::Removed { instance } => {
                let master = |member: &Router| member.id == instance && member.state == VrrpState::Master;
                if let Some(at) = self.members.iter().position(master) {
                    self.all_give_up(at, now, out);
                }
            }
            Event::SendFailed {
                instance,
                destination,
                errno,
            } => {
                if let Some(member) = self.member(instance) {
                    member.report_send_failure(destination, errno, out);
                }
            }
            Event::Unreachable {
                instance,
                peer,
                error,
            } => {
                if let Some(member) = self.member(instance) {
                    member.unreachable(peer, error, now);
                }
            }
            Event::Reconfigure(config) => self.configure(*config, now, out),
            Event::Stop { keep } => self.stop(keep, now, out),
        }
    }

    /// The earliest timer: CLOCK_MONOTONIC in nanoseconds, the instance, and what it is for.
    pub fn deadline(&self) -> Option<(u64, InstanceId, Reason)> {
        let timers = self
            .members
            .iter()
            .filter_map(|member| member.timers.next().map(|(at, why)| (at, member.id, why)));
        timers.min_by_key(|(at, ..)| *at)
    }

    /// The packets of one advert with this priority, ready to be sent: one, or one per unicast peer.
    /// Prebuilt; a change of priority patches the checksum. A member that the last event took away still has
    /// its last one.
    pub fn advert(&mut self, instance: InstanceId, priority: u8) -> &[Datagram] {
        let mut all = self.members.iter_mut().chain(&mut self.departed);
        all.find(|member| member.id == instance)
            .map_or(&[], |member| member.datagrams(priority))
    }

    /// How far the adverts of a member have come.
    pub fn sent(&self, instance: InstanceId) -> Option<Sent> {
        let member = self.members.iter().find(|member| member.id == instance);
        member.map(Router::sent)
    }

    /// Members as they are now.
    pub fn snapshot(&self, now: Now) -> (Option<GroupSnapshot>, Vec<InstanceSnapshot>) {
        let group = self.group.as_ref().map(|config| GroupSnapshot {
            config: config.clone(),
            state: self.state(),
            members_fault: self
                .members
                .iter()
                .filter(|member| !member.faults.is_empty())
                .count() as u32,
            members_init: self.members.iter().filter(|member| member.waiting > 0).count() as u32,
        });
        (
            group,
            self.members.iter().map(|member| member.snapshot(now)).collect(),
        )
    }

    /// Tells the states of the members and of the group again (`fifo_write_vrrp_states_on_reload`).
    pub fn tell_states(&self, out: &mut Effects) {
        for member in &self.members {
            if member.state != VrrpState::Init {
                member.notify(NotifyKind::Still(member.state), out);
            }
        }
        if self.told != VrrpState::Init {
            self.tell_group(NotifyKind::Still(self.told), out);
        }
    }

    /// Sets all counters to zero (SIGRTMAX-1).
    pub fn clear_statistics(&mut self) {
        for member in &mut self.members {
            member.statistics = Statistics::default();
        }
    }

    fn member(&mut self, instance: InstanceId) -> Option<&mut Router> {
        self.members.iter_mut().find(|member| member.id == instance)
    }

    /// State of the whole.
    pub(super) fn state(&self) -> VrrpState {
        let all = |state: VrrpState| self.members.iter().all(|member| member.state == state);
        let any = |state: VrrpState| self.members.iter().any(|member| member.state == state);
        if self.members.is_empty() || any(VrrpState::Init) {
            VrrpState::Init
        } else if any(VrrpState::Fault) {
            VrrpState::Fault
        } else if all(VrrpState::Master) {
            VrrpState::Master
        } else if all(VrrpState::Stop) {
            VrrpState::Stop
        } else {
            VrrpState::Backup
        }
    }

    // Packets.

    fn packet(&mut self, instance: InstanceId, packet: &Received, now: Now, out: &mut Effects) {
        if now.mono < self.hold_until {
            return;
        }
        let Some(at) = self.members.iter().position(|member| member.id == instance) else {
            return;
        };
        let alone = self.group.is_none();
        let Some(member) = self.members.get_mut(at) else {
            return;
        };
        match member.receive(packet, now, out) {
            Heard::Nothing => {}
            // Half of a group cannot be master while another router is master of the rest.
            Heard::Obeyed
                if !alone
                    && self
                        .members
                        .iter()
                        .any(|member| member.state == VrrpState::Master) =>
            {
                self.all_to_backup(at, None, now, out);
            }
            Heard::Obeyed => {}
            Heard::Beaten(cause) => self.all_to_backup(at, Some(&cause), now, out),
            Heard::Lower => {
                for member in self
                    .members
                    .iter_mut()
                    .filter(|member| member.state == VrrpState::Master)
                {
                    member.announce_lower(now, out);
                }
            }
        }
    }

    // Timers.

    fn tick(&mut self, now: Now, out: &mut Effects) {
        // What fires is stopped or moved beyond `now`; the bound is for the day when it is not.
        for _ in 0..64 * (self.members.len() + 1) {
            let due = self.deadline().filter(|(at, ..)| *at <= now.mono);
            let Some((at, instance, reason)) = due else { return };
            let Some(place) = self.members.iter().position(|member| member.id == instance) else {
                return;
            };
            match reason {
                Reason::MasterDown => self.timeout(place, now, out),
                Reason::Advert => {
                    let late = self
                        .members
                        .get_mut(place)
                        .and_then(|member| member.advert_due(at, now, out));
                    if let Some(cause) = late {
                        self.all_to_backup(place, Some(&cause), now, out);
                    }
                }
                Reason::Company => {
                    if let Some(member) = self.members.get_mut(place) {
                        member.timers.stop(Reason::Company);
                        let won = member.company_due(now, out);
                        if won && self.members.iter().all(|member| member.company.is_alone()) {
                            self.tell_group(NotifyKind::State(self.told), out);
                        }
                    }
                }
                other => {
                    if let Some(member) = self.members.get_mut(place) {
                        member.timer(other, at, now, out);
                    }
                }
            }
        }
    }

    /// A backup heard nothing for long enough.
    fn timeout(&mut self, at: usize, now: Now, out: &mut Effects) {
        let Some(member) = self.members.get_mut(at) else {
            return;
        };
        if member.waits_to_hear(&self.world, now, out) {
            return;
        }
        let cause = member.timed_out(now, out);
        if self
            .members
            .iter()
            .all(|member| member.wanted == VrrpState::Master)
        {
            self.all_to_master(at, &cause, now, out);
            return;
        }
        let held = self
            .members
            .iter()
            .find(|member| member.wanted != VrrpState::Master)
            .map(|member| member.name.clone());
        if let (Some(member), Some(other)) = (self.members.get_mut(at), held) {
            member.cause = format!("{cause}, but {other} of its sync group is not to be master").into();
        }
    }

    // The world.

    fn look(&mut self, now: Now, out: &mut Effects) {
        for member in &mut self.members {
            let before = std::mem::take(&mut member.faults);
            member.look(&self.world, now, out);
            member.report_faults(&before, out);
        }
        self.settle(now, out);
    }

    fn track(&mut self, source: TrackSource, verdict: Verdict, now: Now, out: &mut Effects) {
        let used = self
            .members
            .iter()
            .any(|member| member.trackers.iter().any(|tracker| tracker.is(&source)));
        if used {
            self.world.verdicts.insert(source, verdict);
            self.look(now, out);
        }
    }

    // Reload and end.

    fn configure(&mut self, config: GroupConfig, now: Now, out: &mut Effects) {
        let same_group = match (&self.group, &config.group) {
            (Some(before), Some(after)) => before.name == after.name,
            (None, None) => true,
            _ => false,
        };
        if !same_group {
            self.told = VrrpState::Init;
        }
        self.group = config.group;
        let held = std::mem::replace(&mut self.hold_until, config.hold_until).max(now.mono);
        let holds = config.hold_until.max(now.mono);
        self.world.interfaces = config.interfaces;
        self.world.verdicts.extend(config.verdicts);
        let addresses = config
            .members
            .iter()
            .flat_map(|m| m.config.vips.iter().chain(&m.config.excluded_vips));
        self.world.virtual_addresses = addresses.map(|address| address.network.address).collect();

        let group = self.group.clone();
        let mut before = std::mem::take(&mut self.members);
        for member in &config.members {
            match before.iter().position(|known| known.id == member.id) {
                Some(at) => {
                    let mut kept = before.remove(at);
                    kept.move_hold(held, holds);
                    kept.reconfigure(member, group.as_deref(), now, out);
                    self.members.push(kept);
                }
                None => self.members.push(Router::new(member, group.as_deref(), true)),
            }
        }
        self.end_all(
            before,
            VrrpState::Deleted,
            false,
            "taken away by a reload",
            now,
            out,
        );

        let members = &self.members;
        let used = |source: &TrackSource| {
            members
                .iter()
                .any(|m| m.trackers.iter().any(|tracker| tracker.is(source)))
        };
        self.world.verdicts.retain(|source, _| used(source));
        for member in &mut self.members {
            let before = std::mem::take(&mut member.faults);
            member.look(&self.world, now, out);
            member.report_faults(&before, out);
        }
        self.settle(now, out);
        // Who was held back may not be any more.
        for member in self
            .members
            .iter_mut()
            .filter(|member| member.state == VrrpState::Backup)
        {
            if member.timers.get(Reason::MasterDown).is_none() {
                member.timers.set(Reason::MasterDown, now.mono);
            }
        }
    }

    fn stop(&mut self, keep: bool, now: Now, out: &mut Effects) {
        let members = std::mem::take(&mut self.members);
        self.end_all(members, VrrpState::Stop, keep, "the daemon stops", now, out);
        self.members = std::mem::take(&mut self.departed);
        self.notify_group(out);
    }

    /// All last adverts first: the addresses follow.
    fn end_all(
        &mut self,
        mut members: Vec<Router>,
        state: VrrpState,
        keep: bool,
        cause: &str,
        now: Now,
        out: &mut Effects,
    ) {
        for member in members
            .iter_mut()
            .filter(|member| member.state == VrrpState::Master && !keep)
        {
            member.advertise(0, now, out);
        }
        for member in &mut members {
            member.end(state, keep, cause, now, out);
        }
        self.departed.extend(members);
    }
}

/// What a packet leads to, beyond the member that heard it.
pub(super) enum Heard {
    /// Nothing.
    Nothing,
    /// A backup obeys.
    Obeyed,
    /// A master gives way; why.
    Beaten(String),
    /// A master heard a lower one, and the addresses of the whole group are to be announced.
    Lower,
}
