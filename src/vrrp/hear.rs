//! What an instance does with packets and timers: RFC 3768 6.4, RFC 9568 6.4, with keepalived's additions.

use super::ah;
use super::event::{Effect, Effects, Received};
use super::group::{Heard, Reason};
use super::instance::{Instance, Preempt, nanos};
use super::priority::{self, OWNER};
use super::receive::{self, Advert, Context};
use super::tracking::World;
use crate::model::vrrp::Version;
use crate::state::notice::What;
use crate::state::notify::NotifyKind;
use crate::state::{Now, VrrpState};
use std::time::Duration;

impl Instance {
    /// A packet with its VRID. One that is refused changes neither state nor timer.
    pub fn receive(&mut self, packet: &Received, now: Now, out: &mut Effects) -> Heard {
        let master = self.state == VrrpState::Master;
        if !master && self.state != VrrpState::Backup {
            return Heard::Nothing;
        }
        let age = Duration::from_nanos(now.mono.saturating_sub(packet.arrival));
        let context = Context {
            source: self.source,
            wall: now.wall.checked_sub(age).unwrap_or(now.wall),
            check_addresses: master || !self.config.skip_check_adv_addr || self.master != Some(packet.source),
        };
        let mut odd = Vec::new();
        let checked = receive::check(
            &self.config,
            context,
            packet,
            &mut self.statistics,
            &mut self.memory,
            &mut odd,
        );
        let peer = packet.source;
        let Ok(advert) = checked.map(|advert| Advert {
            arrival: advert.arrival.min(now.mono),
            ..advert
        }) else {
            let why = odd.last().cloned();
            for odd in odd {
                self.report_odd(odd, peer, out);
            }
            if let Some(why) = why {
                self.refuses(&why, peer, now, out);
            }
            return Heard::Nothing;
        };
        self.accepts(peer, now);
        if master {
            for odd in odd {
                self.report_odd(odd, peer, out);
            }
            self.master_hears(advert, now, out)
        } else {
            // A new master clears what has been told: of it this is the first to be told.
            let heard = self.backup_hears(advert, now, out);
            for odd in odd {
                self.report_odd(odd, peer, out);
            }
            heard
        }
    }

    fn backup_hears(&mut self, advert: Advert, now: Now, out: &mut Effects) -> Heard {
        if advert.priority == 0 {
            self.report(What::HeardZero, Some(advert.source), out);
            self.gave_up = true;
            self.skewed = true;
            self.timers
                .set(Reason::MasterDown, advert.arrival.saturating_add(self.skew()));
            return Heard::Nothing;
        }
        if self.owner_reduced && advert.priority != OWNER {
            self.restore_owner(true, advert, now, out);
        }
        if !self.obeys(advert, now, out) {
            if self.answers.allow(now.mono, self.interval()) {
                self.report(
                    What::Discarding {
                        theirs: advert.priority,
                    },
                    Some(advert.source),
                    out,
                );
            }
            return Heard::Nothing;
        }
        match self.master {
            Some(before) if before == advert.source => {}
            before => {
                self.forget_told();
                let what = before.map_or(What::MasterSet, |from| What::MasterChanged { from });
                self.report(what, Some(advert.source), out);
            }
        }
        self.learn(advert, out);
        self.wanted = VrrpState::Backup;
        self.timers.set(
            Reason::MasterDown,
            advert.arrival.saturating_add(self.master_down()),
        );
        Heard::Obeyed
    }

    /// Whether a backup takes the sender for its master.
    fn obeys(&mut self, advert: Advert, now: Now, out: &mut Effects) -> bool {
        if advert.priority >= self.effective {
            if std::mem::replace(&mut self.preempt, Preempt::Idle) == Preempt::Waiting {
                self.timers.stop(Reason::Preempt);
                self.report(What::PreemptDelayStopped, Some(advert.source), out);
            }
            return true;
        }
        if self.config.nopreempt {
            return true;
        }
        let delay = self.config.preempt_delay;
        match self.preempt {
            Preempt::Idle if !delay.is_zero() => {
                self.preempt = Preempt::Waiting;
                self.timers
                    .set(Reason::Preempt, now.mono.saturating_add(nanos(delay)));
                self.report(What::PreemptDelayStarted(delay), Some(advert.source), out);
                true
            }
            Preempt::Waiting => true,
            Preempt::Idle | Preempt::Over => false,
        }
    }

    /// Takes down who the master is.
    fn learn(&mut self, advert: Advert, out: &mut Effects) {
        self.master = Some(advert.source);
        self.master_priority = advert.priority;
        self.highest_other = self.highest_other.max(advert.priority);
        self.last_heard = Some(advert.arrival);
        self.gave_up = false;
        self.skewed = false;
        if self.config.version == Version::V3 && self.master_interval != advert.interval {
            let from = Duration::from_nanos(std::mem::replace(&mut self.master_interval, advert.interval));
            self.report(
                What::IntervalLearned {
                    from,
                    to: Duration::from_nanos(advert.interval),
                },
                Some(advert.source),
                out,
            );
        }
    }

    fn master_hears(&mut self, advert: Advert, now: Now, out: &mut Effects) -> Heard {
        let (theirs, ours, peer) = (advert.priority, self.effective, Some(advert.source));
        if theirs == 0 {
            // RFC 9568 6.4.3 (705): send, and start the advert timer anew.
            self.advertise(ours, now, out);
            self.timers
                .set(Reason::Advert, now.mono.saturating_add(self.interval()));
            self.report(What::HeardZero, peer, out);
            return Heard::Nothing;
        }
        if theirs == ours && peer == self.source {
            if self.answers.allow(now.mono, self.interval()) {
                self.report(What::OwnAddress, peer, out);
            }
            return Heard::Nothing;
        }
        if theirs == OWNER && ours == OWNER && self.source > peer {
            return self.other_owner(advert, now, out);
        }
        if theirs < ours || theirs == ours && self.source > peer {
            let heard = self.hears_lower(advert, now, out);
            self.hears_beside(advert.source, theirs, now, out);
            return heard;
        }
        if self.config.higher_prio_send_advert {
            self.advertise(ours, now, out);
        }
        let cause = if theirs > ours {
            self.report(What::HigherPriority { theirs, ours }, peer, out);
            format!(
                "advert from {} with higher priority {theirs}, ours {ours}",
                advert.source
            )
        } else if theirs == OWNER {
            self.report_conflict(advert.source, out);
            format!(
                "{} is configured as address owner too and has the higher address",
                advert.source
            )
        } else {
            self.report(What::HigherAddress { priority: theirs }, peer, out);
            format!(
                "advert from {} with the same priority {theirs} and a higher address",
                advert.source
            )
        };
        self.learn(advert, out);
        Heard::Beaten(cause)
    }

    fn hears_lower(&mut self, advert: Advert, now: Now, out: &mut Effects) -> Heard {
        if ah::password(&self.config).is_some() {
            // It may be ahead of us, and would take us for a replay.
            self.memory.ah_sequence = self.memory.ah_sequence.saturating_add(1);
        }
        let answered = !self.config.lower_prio_no_advert;
        if answered {
            // RFC 9568 6.4.3 (760): at once, and the advert timer stays as it is.
            self.advertise(self.effective, now, out);
        }
        if !self.answers.allow(now.mono, self.interval()) {
            return Heard::Nothing;
        }
        if ah::password(&self.config).is_some() {
            self.report(What::AhSync, Some(advert.source), out);
        }
        let what = What::LowerPriority {
            theirs: advert.priority,
            ours: self.effective,
            answered,
        };
        self.report(what, Some(advert.source), out);
        self.notify(NotifyKind::MasterRxLowerPriority, out);
        Heard::Lower
    }

    /// Two address owners, and we have the higher address: two more adverts for the other to notice, and a wait.
    fn other_owner(&mut self, advert: Advert, now: Now, out: &mut Effects) -> Heard {
        match &mut self.rogue {
            Some((who, again)) => {
                *who = advert.source;
                *again = true;
            }
            None => {
                self.rogue = Some((advert.source, false));
                self.advertise(OWNER, now, out);
                self.advertise(OWNER, now, out);
                self.report_conflict(advert.source, out);
                let longer = self.interval().max(advert.interval);
                let wait = longer.saturating_add(priority::skew(Version::V3, OWNER, longer).max(1_000_000));
                self.timers.set(Reason::RogueOwner, now.mono.saturating_add(wait));
            }
        }
        Heard::Nothing
    }

    fn restore_owner(&mut self, lower: bool, advert: Advert, now: Now, out: &mut Effects) {
        self.owner_reduced = false;
        self.report(What::OwnerRestored { lower }, Some(advert.source), out);
        self.set_effective(OWNER, now, out);
    }

    /// The advert timer: sends, and the next is due one interval after this one was, not after it is sent.
    /// With `timer_expired_backup` a master that comes much too late steps down instead; says why.
    pub fn advert_due(&mut self, due: u64, now: Now, out: &mut Effects) -> Option<String> {
        let interval = self.interval();
        if let (Some(highest), Some((last, _)), true) = (
            self.config.timer_expired_backup,
            self.last_sent,
            self.config.nopreempt,
        ) {
            let limit = priority::master_down(
                self.config.version,
                highest,
                interval,
                self.config.down_timer_adverts,
            );
            if now.mono.saturating_sub(last) > limit {
                let late = Duration::from_nanos(now.mono.saturating_sub(due));
                self.report(What::TimerLate(late), None, out);
                return Some(format!("its timer was served {:.3} s late", late.as_secs_f64()));
            }
        }
        self.advertise(self.effective, now, out);
        let missed = now.mono.saturating_sub(due) / interval;
        self.timers.set(
            Reason::Advert,
            due.saturating_add(interval.saturating_mul(missed + 1)),
        );
        None
    }

    /// A backup's timer expired: it wants to be master. Says why.
    pub fn timed_out(&mut self, now: Now, out: &mut Effects) -> String {
        self.timers.stop(Reason::MasterDown);
        self.wanted = VrrpState::Master;
        self.report(What::Timeout, self.master, out);
        if self.owner_reduced {
            self.owner_reduced = false;
            self.report(What::OwnerRestored { lower: false }, None, out);
            self.effective = OWNER;
        }
        let silence = |since: u64| Duration::from_nanos(now.mono.saturating_sub(since)).as_secs_f64();
        match (self.master, self.last_heard) {
            (Some(master), _) if self.gave_up => format!("{master} gave up (priority 0)"),
            (_, _) if self.gave_up => "the master gave up (priority 0)".to_owned(),
            (Some(master), Some(since)) => format!("no advert from {master} for {:.3} s", silence(since)),
            _ if self.effective == OWNER => "it is the address owner".to_owned(),
            _ => "no master was heard".to_owned(),
        }
    }

    /// Any other timer.
    pub fn timer(&mut self, reason: Reason, due: u64, now: Now, out: &mut Effects) {
        self.timers.stop(reason);
        let garp = self.config.garp;
        match reason {
            Reason::Preempt => self.preempt = Preempt::Over,
            Reason::Announce => self.announce(garp.master_repeat, out),
            Reason::LowerPriority => self.announce(garp.lower_prio_repeat, out),
            Reason::Refresh => {
                self.announce(garp.refresh_repeat, out);
                let next = due.saturating_add(nanos(garp.refresh));
                if next > now.mono {
                    self.timers.set(Reason::Refresh, next)
                } else {
                    self.start_refresh(now)
                }
            }
            Reason::RogueOwner => match self.rogue.take() {
                Some((peer, true)) => {
                    self.report(What::OwnerStillThere, Some(peer), out);
                    self.owner_reduced = true;
                    self.set_effective(OWNER - 1, now, out);
                }
                Some((peer, false)) => self.report(What::OwnerSilent, Some(peer), out),
                None => {}
            },
            Reason::Unheard => self.unheard_due(now, out),
            Reason::Advert | Reason::MasterDown | Reason::Company => {}
        }
    }

    fn announce(&self, repeat: u32, out: &mut Effects) {
        if repeat > 0 && self.state == VrrpState::Master {
            out.push(Effect::Announce {
                instance: self.id,
                repeat,
            });
        }
    }

    /// Announcements after an advert of lower priority, now and once more.
    pub fn announce_lower(&mut self, now: Now, out: &mut Effects) {
        let garp = self.config.garp;
        self.announce(garp.lower_prio_repeat, out);
        if !garp.lower_prio_delay.is_zero() && garp.lower_prio_repeat > 0 {
            self.timers.set(
                Reason::LowerPriority,
                now.mono.saturating_add(nanos(garp.lower_prio_delay)),
            );
        }
    }

    /// Unicast peers may have lost its own address from their tables; others are to hear something.
    pub fn announce_source(&self, world: &World, out: &mut Effects) {
        if let (true, Some(source)) = (self.config.unicast || self.is_deaf(world), self.source) {
            out.push(Effect::AnnounceSource {
                instance: self.id,
                source,
                interface: self.interface_index,
            });
        }
    }
}
