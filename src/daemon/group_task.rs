//! One tokio task per group. It owns the group, awaits nothing but its inbox, and puts what it wants done
//! into the outbox that all groups of the VRRP thread share.
//!
//! A panic in a group stays in the group: what it holds is given back, and it starts anew. A second one
//! within [`SHORT_ORDER`] leaves it in FAULT.

use super::guard::Page;
use super::port::Due;
use crate::model::SyncGroup;
use crate::state::kernel::KernelRequest;
use crate::state::notice::Notice;
use crate::state::notify::Notification;
use crate::state::snapshot::{GroupSnapshot, InstanceSnapshot};
use crate::state::{GroupId, InstanceId, Now, VrrpState};
use crate::vrrp::group::{Datagram, Detached, Reason};
use crate::vrrp::{Effect, Effects, Event, Group, GroupConfig, Member};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;

/// A copy of a larger group takes longer than there is time before a takeover.
const MOST_TO_REHEARSE: usize = 16;

/// Two panics within this time leave a group in FAULT.
const SHORT_ORDER: u64 = 60_000_000_000;

/// What a group is told.
pub(super) enum Message {
    /// Something happened.
    Event(Event),
    /// Put a snapshot into the outbox.
    Snapshot,
    /// Tell the states again.
    TellStates,
    /// The group is about to take over.
    Rehearse,
    /// All counters to zero.
    ClearStatistics,
    /// These members leave for another group: put them into the outbox.
    Detach(Vec<InstanceId>),
    /// This member comes from another group; a `Reconfigure` that names it follows.
    Attach(Box<Detached>),
    /// A fault in the protocol code.
    #[cfg(test)]
    Fail,
}

/// A group as it is at one moment.
pub(super) struct TakenSnapshot {
    /// Group.
    pub group: Option<GroupSnapshot>,
    /// Members.
    pub instances: Vec<InstanceSnapshot>,
}

/// What the groups want done, in the order of the groups' work.
#[derive(Default)]
pub(super) struct Outbox {
    /// Datagrams.
    pub datagrams: Vec<(InstanceId, Datagram)>,
    /// Instances whose adverts the guard has not been told, and which version they are.
    pub untold: Vec<(InstanceId, u32)>,
    /// For the kernel thread.
    pub kernel: Vec<KernelRequest>,
    /// For the services thread.
    pub notifications: Vec<Notification>,
    /// For the log.
    pub notices: Vec<Notice>,
    /// Panics: what the group is, and the cause.
    pub panics: Vec<(String, String)>,
    /// New deadline of a group.
    pub deadlines: Vec<(GroupId, Option<Due>)>,
    /// Snapshots asked for.
    pub snapshots: Vec<TakenSnapshot>,
    /// Members that are on their way to another group.
    pub detached: BTreeMap<InstanceId, Box<Detached>>,
}

/// What the groups share with the port. One thread, no locks.
pub(super) struct Shared {
    /// Time of this round.
    pub now: Cell<Now>,
    /// Messages sent and not handled yet.
    pub pending: Cell<usize>,
    /// What they want done.
    pub outbox: RefCell<Outbox>,
    /// What each instance has asked the kernel thread for.
    pub ledger: RefCell<BTreeMap<InstanceId, Ledger>>,
    /// What the guard reads when this process is dead.
    pub page: RefCell<Page>,
}

/// What an instance has asked the kernel thread for. It outlives the group: a restarted group counts its epochs
/// from the beginning, and must not be taken for a stale one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ledger {
    base: u64,
    last: u64,
    claimed: bool,
}

impl Shared {
    /// Whether this answers the last order of the instance, which was to release.
    fn is_released(&self, instance: InstanceId, epoch: u64) -> bool {
        let ledger = self.ledger.borrow();
        let last = ledger.get(&instance);
        last.is_some_and(|entry| !entry.claimed && entry.last == epoch)
    }
}

/// A group and what is needed to start it anew.
pub(super) struct Task {
    id: GroupId,
    shared: Rc<Shared>,
    inner: Option<Group>,
    config: GroupConfig,
    last_panic: Option<u64>,
    effects: Effects,
}

impl Task {
    /// Starts the group. Members that come from other groups are attached first.
    // The box is what travels between the tasks.
    #[allow(clippy::vec_box)]
    pub fn start(id: GroupId, config: GroupConfig, attached: Vec<Box<Detached>>, shared: Rc<Shared>) -> Task {
        let mut task = Task {
            id,
            shared,
            inner: None,
            config: config.clone(),
            last_panic: None,
            effects: Vec::new(),
        };
        task.guarded(|task, now| {
            task.inner = Some(Group::start_with(config, attached, now, &mut task.effects));
        });
        task.settle();
        task
    }

    /// Runs until the inbox is closed.
    pub async fn run(mut self, mut inbox: UnboundedReceiver<Message>) {
        while let Some(message) = inbox.recv().await {
            let mut handled = 1;
            self.take(message);
            while let Ok(message) = inbox.try_recv() {
                self.take(message);
                handled += 1;
            }
            self.settle();
            self.shared.pending.set(self.shared.pending.get() - handled);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event) => self.event(event),
            Message::Snapshot => self.snapshot(),
            Message::Rehearse => self.rehearse(),
            Message::TellStates => {
                self.guarded(|task, _| {
                    if let Some(group) = &task.inner {
                        group.tell_states(&mut task.effects);
                    }
                });
                self.carry_out();
            }
            Message::ClearStatistics => self.guarded(|task, _| {
                if let Some(group) = &mut task.inner {
                    group.clear_statistics();
                }
            }),
            Message::Detach(ids) => self.guarded(|task, _| {
                let Some(group) = &mut task.inner else { return };
                for id in ids {
                    if let Some(member) = group.detach(id) {
                        task.shared.outbox.borrow_mut().detached.insert(id, member);
                    }
                    task.config.members.retain(|m| m.id != id);
                }
            }),
            #[cfg(test)]
            Message::Fail => self.guarded(|_, _| panic!("a fault")),
            Message::Attach(member) => self.guarded(|task, _| {
                if let Some(group) = &mut task.inner {
                    group.attach(member);
                }
            }),
        }
    }

    fn event(&mut self, event: Event) {
        let event = match event {
            Event::Applied { instance, epoch, set } => {
                let base = self.shared.ledger.borrow().get(&instance).map_or(0, |l| l.base);
                if self.shared.is_released(instance, epoch) {
                    self.shared.page.borrow_mut().gone(instance);
                }
                let Some(epoch) = epoch.checked_sub(base) else {
                    return;
                };
                Event::Applied { instance, epoch, set }
            }
            other => other,
        };
        self.remember(&event);
        self.guarded(|task, now| {
            if let Some(group) = &mut task.inner {
                group.handle(now, event, &mut task.effects);
            }
        });
        self.carry_out();
    }

    /// Keeps what a restart needs up to date.
    fn remember(&mut self, event: &Event) {
        match event {
            Event::Reconfigure(config) => {
                self.config = (**config).clone();
                if self.inner.is_none() {
                    // A new configuration is a new chance.
                    self.last_panic = None;
                    let config = self.config.clone();
                    self.guarded(|task, now| {
                        task.inner = Some(Group::start(config, now, &mut task.effects));
                    });
                }
            }
            Event::Interface(interface) => {
                self.config
                    .interfaces
                    .insert(interface.name.clone(), interface.clone());
            }
            Event::InterfaceGone { name, .. } => {
                self.config.interfaces.remove(name);
            }
            _ => {}
        }
    }

    /// Runs protocol code; a panic in it does not leave the group.
    fn guarded(&mut self, work: impl FnOnce(&mut Task, Now)) {
        let now = self.shared.now.get();
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| work(self, now))) {
            self.recover(now, &describe(cause.as_ref()));
        }
    }

    /// Gives back what the group holds, then starts it anew, or leaves it in FAULT.
    fn recover(&mut self, now: Now, cause: &str) {
        self.effects.clear();
        let mut broken = self.inner.take();
        for member in &self.config.members {
            let instance = member.id;
            let mut entry = self
                .shared
                .ledger
                .borrow()
                .get(&instance)
                .copied()
                .unwrap_or_default();
            if std::mem::take(&mut entry.claimed) {
                if let Some(group) = &mut broken {
                    let _ = catch_unwind(AssertUnwindSafe(|| advertise(&self.shared, group, instance, 0)));
                }
                entry.last += 1;
                self.shared.page.borrow_mut().released(instance);
                self.order(KernelRequest::Release {
                    instance,
                    epoch: entry.last,
                });
            }
            entry.base = entry.last + 1;
            self.shared.ledger.borrow_mut().insert(instance, entry);
        }
        let again = self
            .last_panic
            .is_some_and(|last| now.mono.saturating_sub(last) < SHORT_ORDER);
        self.last_panic = Some(now.mono);
        let names: Vec<&str> = self
            .config
            .members
            .iter()
            .map(|m| m.config.name.as_str())
            .collect();
        let what = format!(
            "({}) internal error, {}",
            names.join(", "),
            if again {
                "the second in short order: it stays in FAULT state until the configuration is read again"
            } else {
                "its addresses are released and it starts anew"
            }
        );
        self.shared
            .outbox
            .borrow_mut()
            .panics
            .push((what, cause.to_owned()));
        if again {
            return;
        }
        let config = self.config.clone();
        self.guarded(|task, now| {
            task.inner = Some(Group::start(config, now, &mut task.effects));
        });
    }

    /// Puts effects into the outbox.
    fn carry_out(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Advertise { instance, priority } => self.guarded(|task, _| {
                    if let Some(group) = &mut task.inner {
                        advertise(&task.shared, group, instance, priority);
                    }
                }),
                Effect::Claim {
                    instance,
                    epoch,
                    announce,
                } => {
                    let epoch = self.epoch(instance, epoch, true);
                    self.order(KernelRequest::Claim {
                        instance,
                        epoch,
                        announce,
                    });
                }
                Effect::Release { instance, epoch } => {
                    let epoch = self.epoch(instance, epoch, false);
                    self.order(KernelRequest::Release { instance, epoch });
                }
                Effect::Announce { instance, repeat } => {
                    self.order(KernelRequest::Announce { instance, repeat });
                }
                Effect::AnnounceSource {
                    instance,
                    source,
                    interface,
                } => self.order(KernelRequest::AnnounceSource {
                    instance,
                    source,
                    interface,
                }),
                Effect::Notify(notification) => {
                    self.shared.outbox.borrow_mut().notifications.push(notification);
                }
                Effect::Report(notice) => self.shared.outbox.borrow_mut().notices.push(notice),
            }
        }
    }

    fn order(&self, request: KernelRequest) {
        self.shared.outbox.borrow_mut().kernel.push(request);
    }

    fn epoch(&self, instance: InstanceId, epoch: u64, claimed: bool) -> u64 {
        let mut ledger = self.shared.ledger.borrow_mut();
        let entry = ledger.entry(instance).or_default();
        entry.last = entry.base + epoch;
        entry.claimed = claimed;
        let mut page = self.shared.page.borrow_mut();
        if claimed {
            page.claimed(instance);
        } else {
            page.released(instance);
        }
        entry.last
    }

    /// Takes over on a copy, for nothing: what this needs of the program is then in memory and in the
    /// processor's caches, and the takeover does not wait for it.
    fn rehearse(&mut self) {
        if self.config.members.len() > MOST_TO_REHEARSE {
            return;
        }
        self.guarded(|task, now| {
            let Some(mut group) = task.inner.clone() else {
                return;
            };
            let Some((at, ..)) = group.deadline() else {
                return;
            };
            let mut effects = Vec::new();
            group.handle(Now { mono: at, ..now }, Event::Tick, &mut effects);
            for effect in effects {
                if let Effect::Advertise { instance, priority } = effect {
                    group.advert(instance, priority);
                }
            }
        });
    }

    /// Effects that are left, and the deadline.
    fn settle(&mut self) {
        self.carry_out();
        let mut deadline = None;
        self.guarded(|task, _| {
            let next = task.inner.as_ref().and_then(|group| group.deadline());
            deadline = next.map(|(at, _, reason)| Due {
                at,
                takeover: reason == Reason::MasterDown,
            });
        });
        self.carry_out();
        self.shared
            .outbox
            .borrow_mut()
            .deadlines
            .push((self.id, deadline));
    }

    fn snapshot(&mut self) {
        let mut taken = None;
        self.guarded(|task, now| taken = task.inner.as_ref().map(|g| g.snapshot(now)));
        let (group, instances) = taken.unwrap_or_else(|| {
            let cause = "internal error".to_owned();
            (
                self.config
                    .group
                    .clone()
                    .map(|g| broken_group(g, self.config.members.len())),
                self.config
                    .members
                    .iter()
                    .map(|m| broken(m, cause.clone()))
                    .collect(),
            )
        });
        self.shared
            .outbox
            .borrow_mut()
            .snapshots
            .push(TakenSnapshot { group, instances });
    }
}

fn advertise(shared: &Shared, group: &mut Group, instance: InstanceId, priority: u8) {
    let outbox = &mut *shared.outbox.borrow_mut();
    for datagram in group.advert(instance, priority) {
        outbox.datagrams.push((instance, datagram.clone()));
    }
    if let Some(sent) = group.sent(instance).filter(|_| priority > 0)
        && shared.page.borrow_mut().advertised(instance, sent)
    {
        outbox.untold.push((instance, sent.version));
    }
}

pub(super) fn describe(cause: &(dyn std::any::Any + Send)) -> String {
    cause
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown cause".to_owned())
}

fn broken_group(config: Arc<SyncGroup>, members: usize) -> GroupSnapshot {
    GroupSnapshot {
        config,
        state: VrrpState::Fault,
        members_fault: u32::try_from(members).unwrap_or(u32::MAX),
        members_init: 0,
    }
}

fn broken(member: &Member, cause: String) -> InstanceSnapshot {
    let mut snapshot = InstanceSnapshot::initial(member.id, &member.config, &[]);
    snapshot.state = VrrpState::Fault;
    snapshot.wanted = VrrpState::Fault;
    snapshot.cause = cause;
    snapshot
}

#[cfg(test)]
mod tests;
