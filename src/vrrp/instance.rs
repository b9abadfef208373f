//! One virtual router: its state, what it knows of the master, its timers and counters.
//!
//! ```text
//!            start                      timer expired, group permits
//!   INIT ------------> BACKUP ------------------------------------> MASTER
//!     |   verdicts      ^  |  <------------------------------------   |
//!     |   are there     |  |      higher priority heard               |
//!     v                 |  v                                          |
//!   FAULT <-------------+---- something tracked is down <-------------+
//! ```
//!
//! An instance does not move alone: [`super::Group`] moves all its members in one step. What is here is each
//! member's part of such a step.

use super::advert::Prebuilt;
use super::ah;
use super::announce::AnswerLimit;
use super::company::Company;
use super::event::{Effect, Effects};
use super::farewell::Sent;
use super::group::{Datagram, Member, Reason};
use super::hmac::Sequence;
use super::priority::{self, Contribution, OWNER};
use super::receive::Memory;
use super::timers::Timers;
use super::tracking::{self, Tracker, World};
use crate::model;
use crate::model::script::NotifyScripts;
use crate::model::vrrp::{InitialState, Version};
use crate::state::notice::{Fault, What};
use crate::state::notify::NotifyKind;
use crate::state::{InstanceId, Now, Statistics, VrrpState};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One virtual router.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub id: InstanceId,
    pub config: Arc<model::Instance>,
    pub name: Arc<str>,
    pub scripts: Arc<NotifyScripts>,
    pub state: VrrpState,
    /// What it wants to be; a sync group may hold it back.
    pub wanted: VrrpState,
    /// Has not been anything but INIT: its first state is told as such.
    pub fresh: bool,
    /// Why it is in its state.
    pub cause: Arc<str>,
    pub trackers: Vec<Tracker>,
    /// `notify_priority_changes` of its sync group.
    pub group_tells_priority: bool,
    pub faults: Vec<Fault>,
    /// Trackers whose first verdict it waits for.
    pub waiting: u32,
    pub contributions: Vec<Contribution>,
    pub total: i32,
    pub effective: u8,
    /// Another address owner is louder: 254 instead of 255.
    pub owner_reduced: bool,
    /// While the rogue timer runs: the other owner, and whether it was heard since.
    pub rogue: Option<(IpAddr, bool)>,
    pub timers: Timers,
    pub preempt: Preempt,
    pub master: Option<IpAddr>,
    /// Of the master that was last obeyed.
    pub master_priority: u8,
    /// Highest priority heard from a master that was obeyed in this state.
    pub highest_other: u8,
    /// Nanoseconds.
    pub master_interval: u64,
    /// When an advert was last obeyed.
    pub last_heard: Option<u64>,
    /// The master gave up with priority 0.
    pub gave_up: bool,
    /// The last timer was the skew time, after priority 0.
    pub skewed: bool,
    pub last_sent: Option<(u64, SystemTime)>,
    pub last_transition: Option<SystemTime>,
    pub source: Option<IpAddr>,
    /// The last advert, with priority 0, still goes out from an address that has just gone.
    last_source: Option<IpAddr>,
    pub interface_index: u32,
    /// Kinds of [`Odd`] that have been told since the state or the master changed.
    pub told: u32,
    pub told_send_failure: bool,
    pub told_conflict: bool,
    /// It was said that its link has received nothing.
    pub told_deaf: bool,
    /// When its link came up; 0 at the start.
    pub link_up_at: u64,
    pub epoch: u64,
    /// Which of `vips`, then of `excluded_vips`, are set.
    pub set: Vec<bool>,
    pub statistics: Statistics,
    pub prebuilt: Prebuilt,
    pub memory: Memory,
    pub sequence: Sequence,
    pub answers: AnswerLimit,
    pub company: Company,
}

/// `preempt_delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preempt {
    /// No lower master was heard.
    Idle,
    /// One was heard; it is obeyed until the timer.
    Waiting,
    /// The delay is over.
    Over,
}

impl Instance {
    /// A member as the configuration has it, in INIT.
    pub fn new(member: &Member, group: Option<&model::SyncGroup>, awaited: bool) -> Instance {
        let config = member.config.clone();
        Instance {
            id: member.id,
            name: config.name.as_str().into(),
            scripts: Arc::new(config.notify.clone()),
            state: VrrpState::Init,
            wanted: VrrpState::Init,
            fresh: true,
            cause: "starting".into(),
            trackers: tracking::trackers(&config, group, awaited),
            group_tells_priority: group.is_some_and(|group| group.notify_priority_changes),
            faults: Vec::new(),
            waiting: 0,
            contributions: Vec::new(),
            total: i32::from(config.priority),
            effective: config.priority,
            owner_reduced: false,
            rogue: None,
            timers: Timers::default(),
            preempt: Preempt::Idle,
            master: None,
            master_priority: 0,
            highest_other: 0,
            master_interval: nanos(config.advert_interval),
            last_heard: None,
            gave_up: false,
            skewed: false,
            last_sent: None,
            last_transition: None,
            source: None,
            last_source: None,
            interface_index: 0,
            told: 0,
            told_send_failure: false,
            told_conflict: false,
            told_deaf: false,
            link_up_at: 0,
            epoch: 0,
            set: vec![false; config.vips.len() + config.excluded_vips.len()],
            statistics: Statistics::default(),
            prebuilt: Prebuilt::default(),
            memory: Memory::default(),
            sequence: Sequence::default(),
            answers: AnswerLimit::default(),
            company: Company::default(),
            config,
        }
    }

    /// Puts a changed configuration in its place. State, statistics and timers stay; a backup's deadline moves
    /// with its master down interval, a master's next advert comes no later than its new interval.
    pub fn reconfigure(
        &mut self,
        member: &Member,
        group: Option<&model::SyncGroup>,
        now: Now,
        out: &mut Effects,
    ) {
        let before = std::mem::replace(&mut self.config, member.config.clone());
        let config = self.config.clone();
        self.group_tells_priority = group.is_some_and(|group| group.notify_priority_changes);
        let trackers = tracking::trackers(&config, group, false);
        self.trackers = trackers
            .into_iter()
            .map(|mut tracker| {
                tracker.awaited = self
                    .trackers
                    .iter()
                    .any(|old| old.awaited && old.same_subject(&tracker));
                tracker
            })
            .collect();
        if *before == *config {
            return;
        }
        self.name = config.name.as_str().into();
        self.scripts = Arc::new(config.notify.clone());
        self.prebuilt.invalidate();
        if before.unicast_checksum != config.unicast_checksum || before.unicast != config.unicast {
            self.memory.old_checksum = false;
        }
        if before.priority != config.priority {
            self.owner_reduced = false;
            self.total = priority::total(config.priority, &self.contributions);
        }
        let old_down = priority::master_down(
            before.version,
            self.effective,
            self.master_interval,
            before.down_timer_adverts,
        );
        if self.state != VrrpState::Backup || self.master.is_none() || config.version == Version::V2 {
            self.master_interval = nanos(config.advert_interval);
        }
        if before.priority != config.priority {
            // The file says so: not a change that tracking made.
            self.effective = priority::effective(config.priority, self.total);
        }
        match self.state {
            VrrpState::Backup => {
                self.move_deadline(old_down, self.master_down(), now);
                if config.preempt_delay.is_zero() {
                    self.preempt = Preempt::Idle;
                    self.timers.stop(Reason::Preempt);
                }
            }
            VrrpState::Master => {
                let latest = now.mono.saturating_add(self.interval());
                if self.timers.get(Reason::Advert).is_none_or(|due| due > latest) {
                    self.timers.set(Reason::Advert, latest);
                }
                if before.garp.refresh != config.garp.refresh {
                    self.start_refresh(now);
                }
            }
            _ => {}
        }
        if before.vips != config.vips || before.excluded_vips != config.excluded_vips {
            self.set = kept(&before, &self.set, &config);
            if self.state == VrrpState::Master {
                self.claim(now, out);
            }
        }
    }

    /// Looks at the world again: source address, faults, priority. A change of priority is told, and moves a
    /// running deadline by the difference that it makes to the skew time.
    pub fn look(&mut self, world: &World, now: Now, out: &mut Effects) {
        self.source = tracking::source(&self.config, world);
        self.last_source = self.source.or(self.last_source);
        self.interface_index = world
            .interfaces
            .get(self.config.advert_interface())
            .map_or(0, |i| i.index);
        self.faults = tracking::faults(&self.config, &self.trackers, world, self.source);
        self.waiting = self
            .trackers
            .iter()
            .filter(|tracker| tracker.waiting(world))
            .count() as u32;
        self.contributions = tracking::contributions(self.config.priority, &self.trackers, world);
        self.total = priority::total(self.config.priority, &self.contributions);
        let effective = if self.owner_reduced && self.config.priority == OWNER {
            OWNER - 1
        } else {
            priority::effective(self.config.priority, self.total)
        };
        self.set_effective(effective, now, out);
    }

    /// Changes the effective priority, if it does change, and says so.
    pub fn set_effective(&mut self, effective: u8, now: Now, out: &mut Effects) {
        let before = self.effective;
        if before == effective {
            return;
        }
        let down = self.master_down();
        self.effective = effective;
        self.report(
            What::Priority {
                from: before,
                to: effective,
            },
            None,
            out,
        );
        if self.config.notify_priority_changes || self.group_tells_priority {
            // keepalived names the state that it is about to start in.
            let state = if self.state == VrrpState::Init {
                VrrpState::Backup
            } else {
                self.state
            };
            self.notify(NotifyKind::Priority(state), out);
        }
        self.move_deadline(down, self.master_down(), now);
    }

    /// Nanoseconds between two of our adverts.
    pub fn interval(&self) -> u64 {
        nanos(self.config.advert_interval).max(1)
    }

    /// Master down interval with the priority and the master's interval of this moment, nanoseconds.
    pub fn master_down(&self) -> u64 {
        let config = &self.config;
        priority::master_down(
            config.version,
            self.effective,
            self.master_interval,
            config.down_timer_adverts,
        )
    }

    /// Skew time, nanoseconds.
    pub fn skew(&self) -> u64 {
        priority::skew(self.config.version, self.effective, self.master_interval)
    }

    fn move_deadline(&mut self, before: u64, after: u64, now: Now) {
        if let (VrrpState::Backup, Some(due)) = (self.state, self.timers.get(Reason::MasterDown)) {
            let moved = due.saturating_add(after).saturating_sub(before);
            self.timers.set(Reason::MasterDown, moved.max(now.mono.min(due)));
        }
    }

    /// The startup delay ends at another moment: a deadline that counts from its end moves along.
    pub fn move_hold(&mut self, before: u64, after: u64) {
        if let Some(due) = self
            .timers
            .get(Reason::MasterDown)
            .filter(|due| *due >= before && before != after)
        {
            self.timers.set(
                Reason::MasterDown,
                due.saturating_sub(before).saturating_add(after),
            );
        }
    }

    /// BACKUP: from the start, from FAULT, or beaten as master. `hold`: nothing happens before.
    pub fn become_backup(&mut self, init: bool, cause: &str, hold: u64, now: Now, out: &mut Effects) {
        let before = self.state;
        self.enter(VrrpState::Backup, cause, now);
        // A master that was beaten has learned by whom, and counts from when it heard it.
        let heard = self.last_heard.filter(|_| before == VrrpState::Master);
        if heard.is_none() {
            self.master = None;
            self.master_interval = nanos(self.config.advert_interval);
            self.last_heard = None;
        }
        let owner = self.effective == OWNER;
        let wait = if owner && before != VrrpState::Master {
            0
        } else if before == VrrpState::Init && self.config.initial_state == InitialState::Master {
            self.master_interval + priority::skew(self.config.version, OWNER, self.master_interval)
        } else {
            self.master_down()
        };
        self.timers.set(
            Reason::MasterDown,
            heard.unwrap_or(now.mono).max(hold).saturating_add(wait),
        );
        if owner && before != VrrpState::Master {
            // On its way to MASTER: neither said nor notified.
            return;
        }
        self.report(
            What::Entering {
                state: VrrpState::Backup,
                init,
            },
            self.master,
            out,
        );
        if before == VrrpState::Master {
            self.release(out);
        }
        self.notify(NotifyKind::State(VrrpState::Backup), out);
    }

    /// MASTER: the advert has been ordered already.
    pub fn become_master(&mut self, cause: &str, now: Now, out: &mut Effects) {
        self.enter(VrrpState::Master, cause, now);
        self.statistics.become_master += 1;
        let ours = nanos(self.config.advert_interval);
        self.report(
            What::Entering {
                state: VrrpState::Master,
                init: false,
            },
            None,
            out,
        );
        if self.config.version == Version::V3 && self.master_interval != ours {
            let (from, to) = (
                Duration::from_nanos(self.master_interval),
                self.config.advert_interval,
            );
            self.report(What::IntervalRestored { from, to }, None, out);
        }
        self.master_interval = ours;
        self.master = self.source;
        self.last_heard = None;
        self.timers
            .set(Reason::Advert, now.mono.saturating_add(self.interval()));
        self.claim(now, out);
        self.start_refresh(now);
        self.wait_for_company(now);
        self.notify(NotifyKind::State(VrrpState::Master), out);
    }

    /// FAULT. A master has sent priority 0 before.
    pub fn become_fault(&mut self, init: bool, cause: &str, now: Now, out: &mut Effects) {
        let before = self.state;
        self.enter(VrrpState::Fault, cause, now);
        self.master = None;
        self.master_interval = nanos(self.config.advert_interval);
        if init {
            self.report(What::FaultAtStart, None, out);
        } else if before != VrrpState::Init || !self.faults.iter().all(Fault::is_first_verdict) {
            self.report(
                What::Entering {
                    state: VrrpState::Fault,
                    init: false,
                },
                None,
                out,
            );
        }
        if before == VrrpState::Master {
            self.report(What::SentZero, None, out);
            self.release(out);
        }
        self.notify(NotifyKind::State(VrrpState::Fault), out);
    }

    /// The end: by a reload that takes it away (DELETED), or with the daemon (STOP). Priority 0 has been
    /// ordered already.
    pub fn end(&mut self, state: VrrpState, keep: bool, cause: &str, now: Now, out: &mut Effects) {
        let before = self.state;
        self.enter(state, cause, now);
        if before == VrrpState::Master && !keep {
            self.report(What::SentZero, None, out);
            self.release(out);
        }
        let told = match state {
            VrrpState::Deleted if !self.config.notify_deleted && self.config.notify.deleted.is_none() => {
                // keepalived tells the generic script of a fault, and does not run that of a fault.
                Arc::make_mut(&mut self.scripts).fault = None;
                VrrpState::Fault
            }
            other => other,
        };
        self.notify(NotifyKind::State(told), out);
    }

    fn enter(&mut self, state: VrrpState, cause: &str, now: Now) {
        if self.state == VrrpState::Master {
            self.statistics.release_master += 1;
        }
        self.state = state;
        self.wanted = state;
        self.cause = cause.into();
        self.last_transition = Some(now.wall);
        self.timers.stop_all();
        self.preempt = Preempt::Idle;
        self.rogue = None;
        self.gave_up = false;
        self.highest_other = 0;
        self.answers = AnswerLimit::default();
        self.company.enter(now);
        self.forget_told();
    }

    /// Orders one advert.
    pub fn advertise(&mut self, priority: u8, now: Now, out: &mut Effects) {
        self.statistics.advert_sent += 1;
        if priority == 0 {
            self.statistics.pri_zero_sent += 1;
        }
        self.last_sent = Some((now.mono, now.wall));
        out.push(Effect::Advertise {
            instance: self.id,
            priority,
        });
    }

    /// The packets of one advert.
    pub fn datagrams(&mut self, priority: u8) -> &[Datagram] {
        let Instance {
            config,
            prebuilt,
            sequence,
            memory,
            ..
        } = self;
        prebuilt.build(config, self.last_source, memory.old_checksum, priority);
        if let (Some(hmac), Some((_, wall))) = (&config.auth_hmac, self.last_sent) {
            prebuilt.sign(|source, message| sequence.sign(hmac, wall, source, message));
        }
        if let Some(password) = ah::password(config) {
            memory.ah_sequence = memory.ah_sequence.saturating_add(1);
            prebuilt.sign_ah(config.unicast, password, memory.ah_sequence);
        }
        prebuilt.datagrams()
    }

    /// How far signing has come, and which version of the packets this is ([`super::farewell`]).
    pub fn sent(&self) -> Sent {
        let sequence = match (&self.config.auth_hmac, ah::password(&self.config)) {
            (Some(_), _) => self.sequence.last(),
            (None, Some(_)) => self.memory.ah_sequence.into(),
            (None, None) => 0,
        };
        Sent {
            sequence,
            version: self.prebuilt.version(),
        }
    }

    fn claim(&mut self, now: Now, out: &mut Effects) {
        self.epoch += 1;
        let garp = self.config.garp;
        out.push(Effect::Claim {
            instance: self.id,
            epoch: self.epoch,
            announce: garp.master_repeat,
        });
        if !garp.master_delay.is_zero() {
            self.timers.set(
                Reason::Announce,
                now.mono.saturating_add(nanos(garp.master_delay)),
            );
        }
    }

    fn release(&mut self, out: &mut Effects) {
        self.epoch += 1;
        out.push(Effect::Release {
            instance: self.id,
            epoch: self.epoch,
        });
    }

    /// The next refresh, from now on.
    pub fn start_refresh(&mut self, now: Now) {
        match nanos(self.config.garp.refresh) {
            0 => self.timers.stop(Reason::Refresh),
            period => self.timers.set(Reason::Refresh, now.mono.saturating_add(period)),
        }
    }
}

/// Nanoseconds; anything above 584 years is that.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn addresses(config: &model::Instance) -> impl Iterator<Item = &model::Address> {
    config.vips.iter().chain(&config.excluded_vips)
}

/// Which addresses of `after` are set, when those of `before` are set as `set` says.
fn kept(before: &model::Instance, set: &[bool], after: &model::Instance) -> Vec<bool> {
    let key = |address: &model::Address| (address.network, address.interface.clone());
    let was_set: BTreeSet<_> = addresses(before)
        .zip(set)
        .filter(|(_, set)| **set)
        .map(|(address, _)| key(address))
        .collect();
    addresses(after)
        .map(|address| was_set.contains(&key(address)))
        .collect()
}
