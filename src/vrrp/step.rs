//! The steps that a group takes as a whole: to MASTER, to BACKUP, to FAULT and out of it.

use super::event::{Effect, Effects};
use super::group::{Group, Reason};
use super::instance::Instance;
use crate::state::notice::{Fault, Notice, What};
use crate::state::notify::{Notification, NotifyKind, Subject};
use crate::state::{Now, VrrpState};
use std::sync::Arc;

impl Group {
    pub(super) fn all_to_master(&mut self, first: usize, cause: &str, now: Now, out: &mut Effects) {
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
    pub(super) fn all_to_backup(&mut self, first: usize, beaten: Option<&str>, now: Now, out: &mut Effects) {
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

    /// Masters of which something was taken away: priority 0, then BACKUP for no longer than the skew time.
    pub(super) fn all_give_up(&mut self, first: usize, now: Now, out: &mut Effects) {
        let order = self.order(first, |member| member.state == VrrpState::Master);
        let follow = self.following(first);
        for at in &order {
            if let Some(member) = self.members.get_mut(*at) {
                member.advertise(0, now, out);
            }
        }
        for (turn, at) in order.iter().enumerate() {
            if turn == 1 {
                self.report(What::Syncing(VrrpState::Backup), VrrpState::Backup, &follow, out);
            }
            let hold = self.hold_until;
            if let Some(member) = self.members.get_mut(*at) {
                let cause = match turn {
                    0 => "another program has removed what belongs to it",
                    _ => &follow,
                };
                member.become_backup(false, cause, hold, now, out);
                member.report(What::SentZero, None, out);
                let skew = member.skew();
                member
                    .timers
                    .set(Reason::MasterDown, now.mono.saturating_add(skew));
            }
        }
        self.notify_group(out);
    }

    /// Brings the members to what they may be now: FAULT together, or out of INIT and FAULT together.
    pub(super) fn settle(&mut self, now: Now, out: &mut Effects) {
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
                if before == VrrpState::Fault || member.is_deaf(&self.world) {
                    member.announce_source(&self.world, out);
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
    fn order(&self, first: usize, wanted: impl Fn(&Instance) -> bool) -> Vec<usize> {
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

    pub(super) fn notify_group(&mut self, out: &mut Effects) {
        let state = self.state();
        let before = std::mem::replace(&mut self.told, state);
        if before != state && state != VrrpState::Init {
            self.tell_group(NotifyKind::State(state), out);
        }
    }

    /// Notifies of the group, news or not.
    pub(super) fn tell_group(&self, kind: NotifyKind, out: &mut Effects) {
        if let Some(group) = &self.group {
            out.push(Effect::Notify(Notification {
                subject: Subject::Group(group.name.as_str().into()),
                kind,
                priority: 0,
                scripts: Arc::new(group.notify.clone()),
                smtp_alert: group.smtp_alert,
            }));
        }
    }
}

fn join(faults: &[Fault]) -> Option<String> {
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join(", "))
}
