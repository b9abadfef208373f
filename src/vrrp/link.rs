//! An instance whose own link comes up: whom it cannot have heard, it does not take for dead.
//!
//! A port of a switch is up long before it passes anything where spanning tree or link aggregation have to make up
//! their minds, and for that time there is no telling whether another router is master. So a backup waits until the
//! link has received one frame, from whomever, and counts its master down interval from then. Somebody who could use
//! the virtual address would be heard, if only asking for it; and two backups that wait make themselves heard to each
//! other. An instance that has never met another router waits at the machine's start only, and an address owner never.

use super::event::Effects;
use super::group::Reason;
use super::instance::Instance;
use super::priority::OWNER;
use super::tracking::World;
use crate::state::interface::Hearing;
use crate::state::notice::What;
use crate::state::{Now, VrrpState};

/// A backup that waits looks, and makes itself heard, after this each time, nanoseconds.
const AGAIN: u64 = 1_000_000_000;

impl Instance {
    /// Its link is there again. While it was not, nothing could be heard: a backup whose link is not tracked
    /// counts from now, as one that comes out of FAULT does.
    pub fn link_came_up(&mut self, interface: &str, now: Now) {
        if self.config.interface != interface {
            return;
        }
        self.link_up_at = now.mono;
        self.told_deaf = false;
        if self.effective == OWNER {
            return;
        }
        if let (VrrpState::Backup, Some(due)) = (self.state, self.timers.get(Reason::MasterDown)) {
            let wait = now.mono.saturating_add(self.master_down());
            self.timers.set(Reason::MasterDown, due.max(wait));
        }
    }

    /// Its link has received something. Nobody was master as far as it can know before: it counts from now, unless
    /// it was an advert to it.
    pub fn link_hears(&mut self, interface: &str, before: Hearing, now: Now) {
        if self.config.interface != interface || !self.minds(before) {
            return;
        }
        let waited = std::mem::take(&mut self.told_deaf);
        let heard = self.gave_up || self.last_heard.is_some_and(|at| at >= self.link_up_at.max(1));
        if let (VrrpState::Backup, Some(due), false) =
            (self.state, self.timers.get(Reason::MasterDown), heard)
        {
            // One that has waited looks again later than this, perhaps.
            let due = if waited { 0 } else { due };
            let wait = now.mono.saturating_add(self.master_down());
            self.timers.set(Reason::MasterDown, due.max(wait));
        }
    }

    /// Its link is up, and another router on it could not have been heard.
    pub fn is_deaf(&self, world: &World) -> bool {
        let link = world.interfaces.get(&self.config.interface);
        link.is_some_and(|link| self.minds(link.hearing))
    }

    /// Its timer has expired: whether it waits until its link has received something.
    pub fn waits_to_hear(&mut self, world: &World, now: Now, out: &mut Effects) -> bool {
        if !self.is_deaf(world) {
            return false;
        }
        self.timers
            .set(Reason::MasterDown, now.mono.saturating_add(AGAIN));
        self.announce_source(world, out);
        if !std::mem::replace(&mut self.told_deaf, true) {
            let interface = self.config.interface.as_str().into();
            self.cause = format!("{interface} has received nothing since it came up").into();
            self.report(What::Deaf { interface }, None, out);
        }
        true
    }

    fn minds(&self, hearing: Hearing) -> bool {
        let others = || self.company.has_heard() || !self.config.peers.is_empty();
        self.effective != OWNER
            && match hearing {
                Hearing::Something => false,
                Hearing::Nothing => others(),
                Hearing::NothingSinceBoot => true,
            }
    }
}
