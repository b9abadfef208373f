//! What a master knows of other routers that speak beside it, and of having never heard one.
//!
//! Two masters are seen from both sides: the better one hears adverts of lower priority although it has been
//! master for long enough to have been heard; and where adverts are refused (another password, another
//! interval), each hears the other and neither gives way. When the other is silent again, the addresses are
//! announced and the scripts told once more: what they reach (switches, a cloud's address table) may have
//! followed the other router.

use super::event::{Effect, Effects};
use super::group::Reason;
use super::instance::{Instance, nanos};
use super::peers::{Peers, wall};
use crate::model::vrrp::InitialState;
use crate::state::company::{
    CompanySnapshot, Conflict, ConflictSnapshot, Unheard, UnheardSnapshot, Unreachable,
};
use crate::state::notice::{Odd, What};
use crate::state::notify::NotifyKind;
use crate::state::{Now, VrrpState};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Others that are remembered, now and of before: whoever forges senders fills no memory.
const MOST: usize = 8;
/// Between two lines about the beginning of a conflict.
const BETWEEN_LINES: u64 = 10_000_000_000;
/// A conflict that lasts is told again after this, and then each ten times as long.
const REMIND: u64 = 60_000_000_000;
/// Adverts of ours that nobody answers before it is said that nobody was ever heard; but not in less than
/// [`SHORTEST`].
const UNANSWERED: u64 = 10;
const SHORTEST: u64 = 2_000_000_000;

/// Others of the same virtual router, as a master meets them.
#[derive(Debug, Clone, Default)]
pub(super) struct Company {
    beside: Vec<Beside>,
    /// An advert was accepted since the start.
    heard: bool,
    told_unheard: bool,
    /// Conflicts that are over, the newest first.
    past: VecDeque<Beside>,
    peers: Peers,
    send_failure: Option<i32>,
    /// When the state was entered.
    entered: u64,
    /// No line about the beginning of a conflict before.
    next_line: u64,
}

/// Another master.
#[derive(Debug, Clone)]
struct Beside {
    peer: IpAddr,
    priority: Option<u8>,
    refused: Option<Odd>,
    since: u64,
    last: u64,
    adverts: u64,
    /// Our priority at the last.
    ours: u8,
    /// When it is told again; `None`: not told yet.
    remind: Option<(u64, u64)>,
}

impl Company {
    /// A new state.
    pub fn enter(&mut self, now: Now) {
        self.entered = now.mono;
        for beside in std::mem::take(&mut self.beside) {
            self.over(beside);
        }
        self.send_failure = None;
    }

    fn over(&mut self, beside: Beside) {
        if beside.remind.is_some() {
            self.past.truncate(MOST - 1);
            self.past.push_front(beside);
        }
    }

    /// An advert of another router was accepted since the start.
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// Nobody speaks beside it.
    pub fn is_alone(&self) -> bool {
        self.beside.is_empty()
    }
}

impl Instance {
    /// A master hears an advert that is to give way to its own.
    pub fn hears_beside(&mut self, peer: IpAddr, priority: u8, now: Now, out: &mut Effects) {
        // A router that takes over crosses the last adverts of the one before.
        if now.mono.saturating_sub(self.company.entered) > self.master_down() {
            self.beside(peer, Some(priority), None, now, out);
        }
    }

    /// An advert was accepted.
    pub fn accepts(&mut self, peer: IpAddr, now: Now) {
        if self.source != Some(peer) {
            self.company.heard = true;
            self.company.peers.accepted(peer, &self.config, now);
        }
    }

    /// A send failed.
    pub fn send_failed(&mut self, destination: IpAddr, errno: i32) {
        self.company.send_failure = Some(errno);
        if self.config.unicast {
            self.company.peers.send_failed(destination, errno, &self.config);
        }
    }

    /// An ICMP error about an advert to a unicast peer.
    pub fn unreachable(&mut self, peer: IpAddr, error: Unreachable, now: Now) {
        if self.config.peers.iter().any(|known| known.address == peer) {
            self.company.peers.unreachable(peer, error, &self.config, now);
        }
    }

    /// An advert was refused.
    pub fn refuses(&mut self, why: &Odd, peer: IpAddr, now: Now, out: &mut Effects) {
        if self.source != Some(peer) {
            self.company.peers.refused(peer, why, &self.config);
        }
        if !of_another_router(why) {
            return;
        }
        if self.state == VrrpState::Master && self.source != Some(peer) {
            self.beside(peer, None, Some(why.clone()), now, out);
        }
    }

    fn beside(
        &mut self,
        peer: IpAddr,
        priority: Option<u8>,
        refused: Option<Odd>,
        now: Now,
        out: &mut Effects,
    ) {
        let (interval, ours) = (self.interval(), self.effective);
        let all = &mut self.company.beside;
        let at = match all.iter().position(|beside| beside.peer == peer) {
            Some(at) => at,
            None if all.len() >= MOST => return,
            None => {
                all.push(Beside {
                    peer,
                    priority,
                    refused: None,
                    since: now.mono,
                    last: now.mono,
                    adverts: 0,
                    ours,
                    remind: None,
                });
                all.len() - 1
            }
        };
        let Some(beside) = all.get_mut(at) else { return };
        beside.priority = priority;
        beside.refused = refused;
        beside.last = now.mono;
        beside.ours = ours;
        beside.adverts = beside.adverts.saturating_add(1);
        // One that is refused may be the last of a router that stops, or no router's.
        let sure = beside.priority.is_some() || beside.last.saturating_sub(beside.since) >= interval;
        let tell = match beside.remind {
            None => sure && now.mono >= self.company.next_line,
            Some((at, _)) => now.mono >= at,
        };
        if tell {
            let wait = beside.remind.map_or(REMIND, |(_, wait)| wait.saturating_mul(10));
            beside.remind = Some((now.mono.saturating_add(wait), wait));
            let beside = beside.clone();
            self.company.next_line = now.mono.saturating_add(BETWEEN_LINES);
            self.report(self.conflict(&beside), Some(peer), out);
        }
        self.timers
            .set(Reason::Company, now.mono.saturating_add(self.silence()));
    }

    fn conflict(&self, beside: &Beside) -> What {
        What::Conflict(Arc::new(Conflict {
            theirs: beside.priority,
            ours: self.effective,
            refused: beside.refused.clone(),
            lasts: Duration::from_nanos(beside.last.saturating_sub(beside.since)),
            adverts: beside.adverts,
            interface: self.interface_index,
            config: self.config.clone(),
        }))
    }

    /// Whoever has said nothing for so long is no master any more.
    fn silence(&self) -> u64 {
        self.master_down().max(1_000_000_000)
    }

    /// Some of the others may be silent by now. True when the last of them is, and somebody was told of it:
    /// the winner announces and notifies again.
    pub fn company_due(&mut self, now: Now, out: &mut Effects) -> bool {
        let silence = self.silence();
        let mut told = false;
        for beside in std::mem::take(&mut self.company.beside) {
            if now.mono.saturating_sub(beside.last) < silence {
                self.company.beside.push(beside);
            } else if beside.remind.is_some() {
                told = true;
                let over = What::ConflictOver {
                    lasted: Duration::from_nanos(beside.last.saturating_sub(beside.since)),
                    adverts: beside.adverts,
                };
                self.report(over, Some(beside.peer), out);
                self.company.over(beside);
            }
        }
        if let Some(last) = self.company.beside.iter().map(|beside| beside.last).max() {
            self.timers.set(Reason::Company, last.saturating_add(silence));
        }
        let won = told && self.state == VrrpState::Master && self.company.is_alone();
        if won {
            let repeat = self.config.garp.lower_prio_repeat;
            if repeat > 0 {
                out.push(Effect::Announce {
                    instance: self.id,
                    repeat,
                });
            }
            self.notify(NotifyKind::State(VrrpState::Master), out);
        }
        won
    }

    /// A new master waits for a sign of another router, once.
    pub fn wait_for_company(&mut self, now: Now) {
        if !self.company.heard && !self.company.told_unheard {
            let wait = nanos(self.config.advert_interval)
                .saturating_mul(UNANSWERED)
                .max(SHORTEST);
            self.timers.set(Reason::Unheard, now.mono.saturating_add(wait));
        }
    }

    /// The wait is over.
    pub fn unheard_due(&mut self, now: Now, out: &mut Effects) {
        let company = &self.company;
        let refused = company.peers.all_refused(of_another_router);
        let expected = self.config.unicast && !self.config.peers.is_empty()
            || self.config.initial_state == InitialState::Backup
            || !refused.is_empty()
            || company.send_failure.is_some();
        if company.heard || !expected || self.state != VrrpState::Master {
            return;
        }
        let unheard = Unheard {
            since: Duration::from_nanos(now.mono.saturating_sub(company.entered)),
            refused,
            unreachable: company.peers.all_unreachable(company.entered),
            send_failure: company.send_failure,
            interface: self.interface_index,
            config: self.config.clone(),
        };
        self.company.told_unheard = true;
        self.report(What::Unheard(Arc::new(unheard)), None, out);
    }

    /// As it is now.
    pub fn company_snapshot(&self, now: Now) -> CompanySnapshot {
        let company = &self.company;
        let conflict = |beside: &Beside, over| ConflictSnapshot {
            peer: beside.peer,
            mac: None,
            priority: beside.priority,
            ours: beside.ours,
            refused: beside.refused.clone(),
            since: wall(beside.since, now),
            lasts: Duration::from_nanos(beside.last.saturating_sub(beside.since)),
            adverts: beside.adverts,
            over,
        };
        let present = company.beside.iter().filter(|beside| beside.remind.is_some());
        let past = company.past.iter().map(|beside| conflict(beside, true));
        let unheard = company.told_unheard && !company.heard && self.state == VrrpState::Master;
        CompanySnapshot {
            heard: company.heard,
            unheard: unheard.then(|| UnheardSnapshot {
                since: wall(company.entered, now),
                causes: Vec::new(),
            }),
            conflicts: present
                .map(|beside| conflict(beside, false))
                .chain(past)
                .collect(),
            peers: company.peers.snapshot(&self.config, now),
        }
    }
}

/// Whether a router of our virtual router may have sent it, one that is configured differently. Bytes without
/// sense, what is sent again by somebody, and what we are told to ignore are nobody's adverts.
fn of_another_router(why: &Odd) -> bool {
    !matches!(
        why,
        Odd::Length { .. }
            | Odd::TotalLength { .. }
            | Odd::Type(_)
            | Odd::AuthTypeUnknown(_)
            | Odd::AhNext(_)
            | Odd::AhReplayed { .. }
            | Odd::HmacReplayed
            | Odd::HmacMalformed
            | Odd::Owner
    )
}
