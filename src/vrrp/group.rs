//! A sync group, or an instance that is in none.

use super::event::{Effect, Effects, Event, Received};
use super::instance::Instance as Router;
use super::tracking::World;
use crate::model::{Instance, SyncGroup};
use crate::state::notice::{Fault, Notice, What};
use crate::state::notify::{Notification, NotifyKind, Subject};
use crate::state::snapshot::{GroupSnapshot, InstanceSnapshot};
use crate::state::track::{TrackSource, Verdict};
use crate::state::{InstanceId, Interface, Now, Statistics, VrrpState};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a group is made from.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The sync group; `None` for an instance on its own.
    pub group: Option<Arc<SyncGroup>>,
    /// Members, in the order of the file.
    pub members: Vec<Member>,
    /// All interfaces at this moment, by name.
    pub interfaces: BTreeMap<String, Arc<Interface>>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    group: Option<Arc<SyncGroup>>,
    members: Vec<Router>,
    /// Taken away by the last event; their last adverts may still be asked for.
    departed: Vec<Router>,
    world: World,
    hold_until: u64,
    /// State that the group was last notified of.
    told: VrrpState,
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
            Event::SendFailed {
                instance,
                destination,
                errno,
            } => {
                if let Some(member) = self.member(instance) {
                    member.report_send_failure(destination, errno, out);
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
    fn state(&self) -> VrrpState {
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

    // Steps of the whole.

    fn all_to_master(&mut self, first: usize, cause: &str, now: Now, out: &mut Effects) {
        let order = self.order(first, |member| member.state != VrrpState::Master);
        for at in &order {
            if let Some(member) = self.members.get_mut(*at) {
                member.advertise(member.effective, now, out);
            }
        }
        let follow = self.following(first);
        for (turn, at) in order.iter().enumerate() {
            if turn == 1 {
                self.report(What::Syncing(VrrpState::Master), VrrpState::Master, cause, out);
            }
            if let Some(member) = self.members.get_mut(*at) {
                member.become_master(if *at == first { cause } else { &follow }, now, out);
            }
        }
        self.notify_group(out);
    }

    /// `beaten`: why the first gives way; it sends no advert. `None`: it is a backup already, and the others,
    /// who are masters, follow it and say so with priority 0, since nobody has beaten them.
    fn all_to_backup(&mut self, first: usize, beaten: Option<&str>, now: Now, out: &mut Effects) {
        let order = self.order(first, |member| member.state == VrrpState::Master);
        let follow = self.following(first);
        if beaten.is_none() {
            for at in &order {
                if let Some(member) = self.members.get_mut(*at) {
                    member.advertise(0, now, out);
                }
            }
        }
        let mut synced = false;
        for at in &order {
            if *at != first && !std::mem::replace(&mut synced, true) {
                self.report(What::Syncing(VrrpState::Backup), VrrpState::Backup, &follow, out);
            }
            let hold = self.hold_until;
            if let Some(member) = self.members.get_mut(*at) {
                let cause = beaten.filter(|_| *at == first).unwrap_or(&follow);
                member.become_backup(false, cause, hold, now, out);
            }
        }
        self.notify_group(out);
    }

    /// Brings the members to what they may be now: FAULT together, or out of INIT and FAULT together.
    fn settle(&mut self, now: Now, out: &mut Effects) {
        if let Some(first) = self.members.iter().position(|member| !member.faults.is_empty()) {
            self.all_to_fault(first, now, out);
        } else if self.members.iter().all(|member| member.waiting == 0) {
            let hold = self.hold_until;
            let start = self
                .members
                .iter()
                .any(|member| member.fresh)
                .then_some(out.len());
            let mut moved = 0;
            for at in 0..self.members.len() {
                let Some(member) = self.members.get_mut(at) else {
                    continue;
                };
                let before = member.state;
                if !matches!(before, VrrpState::Init | VrrpState::Fault) {
                    continue;
                }
                let cause = match before {
                    VrrpState::Init => "started",
                    _ => "nothing keeps it from taking part any more",
                };
                let init = member.fresh;
                if moved == 1 && !init {
                    self.report(What::Syncing(VrrpState::Backup), VrrpState::Backup, cause, out);
                }
                moved += 1;
                let Some(member) = self.members.get_mut(at) else {
                    continue;
                };
                member.become_backup(init, cause, hold, now, out);
                if before == VrrpState::Fault {
                    member.announce_source(out);
                }
            }
            self.notify_group_first(start, out);
        }
        for member in &mut self.members {
            member.fresh = false;
        }
    }

    fn all_to_fault(&mut self, first: usize, now: Now, out: &mut Effects) {
        for member in self
            .members
            .iter_mut()
            .filter(|member| member.state == VrrpState::Master)
        {
            member.advertise(0, now, out);
        }
        let order = self.order(first, |_| true);
        let start = self
            .members
            .iter()
            .any(|member| member.fresh)
            .then_some(out.len());
        let culprit = self
            .members
            .get(first)
            .map(|member| member.name.clone())
            .unwrap_or_default();
        let follow = Fault::Member(culprit).to_string();
        let mut synced = false;
        for at in order {
            let Some(member) = self.members.get_mut(at) else {
                continue;
            };
            let cause = join(&member.faults).unwrap_or_else(|| follow.clone());
            if member.state == VrrpState::Fault {
                member.cause = cause.into();
                continue;
            }
            let (fresh, own, name) = (member.fresh, !member.faults.is_empty(), member.name.clone());
            if fresh && !own {
                let what = What::GroupFaultAtStart { member: name };
                self.report(what, VrrpState::Fault, &follow, out);
            } else if at != first && !fresh && !std::mem::replace(&mut synced, true) {
                self.report(What::Syncing(VrrpState::Fault), VrrpState::Fault, &follow, out);
            }
            if let Some(member) = self.members.get_mut(at) {
                member.become_fault(fresh, &cause, now, out);
            }
        }
        self.notify_group_first(start, out);
    }

    /// Places of the members that a step is for, `first` in front.
    fn order(&self, first: usize, wanted: impl Fn(&Router) -> bool) -> Vec<usize> {
        let all = self
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| wanted(member))
            .map(|(at, _)| at);
        let mut order: Vec<usize> = all.collect();
        order.sort_by_key(|at| *at != first);
        order
    }

    fn following(&self, first: usize) -> String {
        let name = self
            .members
            .get(first)
            .map(|member| member.name.clone())
            .unwrap_or_default();
        format!("follows {name} of its sync group")
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
        self.hold_until = config.hold_until;
        self.world.interfaces = config.interfaces;
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

    // What is told about the group.

    fn report(&self, what: What, state: VrrpState, cause: &str, out: &mut Effects) {
        if let Some(group) = &self.group {
            out.push(Effect::Report(Notice {
                instance: None,
                group: Some(group.name.as_str().into()),
                state,
                priority: 0,
                peer: None,
                cause: cause.into(),
                what,
            }));
        }
    }

    /// At the start keepalived tells of the group before its members, later after them.
    fn notify_group_first(&mut self, start: Option<usize>, out: &mut Effects) {
        let mut told = Vec::new();
        self.notify_group(&mut told);
        let at = start.unwrap_or(out.len()).min(out.len());
        out.splice(at..at, told);
    }

    fn notify_group(&mut self, out: &mut Effects) {
        let state = self.state();
        let before = std::mem::replace(&mut self.told, state);
        if let Some(group) = self
            .group
            .as_ref()
            .filter(|_| before != state && state != VrrpState::Init)
        {
            out.push(Effect::Notify(Notification {
                subject: Subject::Group(group.name.as_str().into()),
                kind: NotifyKind::State(state),
                priority: 0,
                scripts: Arc::new(group.notify.clone()),
                smtp_alert: group.smtp_alert,
            }));
        }
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

fn join(faults: &[Fault]) -> Option<String> {
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

impl Router {
    fn snapshot(&self, now: Now) -> InstanceSnapshot {
        let config = self.config.clone();
        let (vips, excluded) = self.set.split_at(config.vips.len().min(self.set.len()));
        let interface_faults = |fault: &&Fault| {
            matches!(
                fault,
                Fault::InterfaceMissing(_)
                    | Fault::InterfaceDown(_)
                    | Fault::NoAddress(_)
                    | Fault::SourceMissing
            )
        };
        let tracked = self.faults.iter().filter(|fault| {
            matches!(fault, Fault::Script(_) | Fault::File(..) | Fault::Process(_) | Fault::Bfd(_))
                || matches!(fault, Fault::InterfaceDown(name) | Fault::InterfaceMissing(name) if **name != *config.interface)
        });
        let mut words: Vec<String> = Vec::new();
        for fault in self.faults.iter().filter(interface_faults) {
            let word = match fault {
                Fault::InterfaceDown(name) | Fault::InterfaceMissing(name) if **name != *config.interface => {
                    continue;
                }
                Fault::InterfaceMissing(_) | Fault::InterfaceDown(_) => "i/f down".to_owned(),
                Fault::NoAddress(version) => format!("no IPv{version} address"),
                other => other.to_string(),
            };
            if !words.contains(&word) {
                words.push(word);
            }
        }
        InstanceSnapshot {
            id: self.id,
            state: self.state,
            wanted: self.wanted,
            effective_priority: self.effective,
            total_priority: self.total,
            contributions: std::iter::once((format!("base {}", config.priority), i32::from(config.priority)))
                .chain(
                    self.contributions
                        .iter()
                        .map(|part| (format!("{} {:+}", part.name, part.value), part.value)),
                )
                .collect(),
            master: self.master,
            master_priority: self.master_priority,
            master_interval: Duration::from_nanos(self.master_interval),
            // What the timer was last set to: an owner does not wait, a master that gave up is not waited for.
            master_down: if config.priority == super::priority::OWNER {
                Duration::from_micros(1)
            } else {
                Duration::from_nanos(if self.skewed {
                    self.skew()
                } else {
                    self.master_down()
                })
            },
            last_transition: self.last_transition,
            read_timeout: self.timers.next().and_then(|(at, _)| {
                now.wall
                    .checked_add(Duration::from_nanos(at.saturating_sub(now.mono)))
            }),
            last_advert_sent: self.last_sent.map(|(_, wall)| wall),
            tracker_faults: tracked.count() as u32,
            interface_faults: words,
            scripts_init: self.waiting,
            source: self.source,
            interface_index: self.interface_index,
            highest_other_priority: self.highest_other,
            logged_errors: self.told,
            vips_set: vips.to_vec(),
            excluded_set: excluded.to_vec(),
            firewall_set: self.state == VrrpState::Master
                && config.accept == crate::model::vrrp::Accept::Disabled
                && config.priority != super::priority::OWNER,
            sockets: None,
            statistics: self.statistics,
            cause: self.cause.to_string(),
            config,
        }
    }
}
