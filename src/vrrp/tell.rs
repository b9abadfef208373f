//! What an instance tells: notices for the log, and notifications.

use super::event::{Effect, Effects};
use super::instance::Instance;
use crate::state::VrrpState;
use crate::state::notice::{Fault, Notice, Odd, What};
use crate::state::notify::{Notification, NotifyKind, Subject};
use std::net::IpAddr;

impl Instance {
    /// Reports something.
    pub fn report(&self, what: What, peer: Option<IpAddr>, out: &mut Effects) {
        let cause = match what {
            What::Entering { .. } | What::FaultAtStart => self.cause.clone(),
            What::Priority { .. } => self.sum().into(),
            _ => "".into(),
        };
        out.push(Effect::Report(Notice {
            instance: Some(self.name.clone()),
            group: None,
            state: self.state,
            priority: self.effective,
            peer,
            cause,
            what,
        }));
    }

    /// Where the priority comes from: `base 100, script chk -20`.
    fn sum(&self) -> String {
        let mut sum = format!("base {}", self.config.priority);
        for part in &self.contributions {
            sum.push_str(&format!(", {} {:+}", part.name, part.value));
        }
        sum
    }

    /// Reports what is odd about a packet, once per kind.
    pub fn report_odd(&mut self, odd: Odd, peer: IpAddr, out: &mut Effects) {
        let bit = 1u32 << (odd.kind() & 31);
        if self.told & bit == 0 {
            self.told |= bit;
            self.report(What::Odd(odd), Some(peer), out);
        }
    }

    /// Reports a failed send, once until the state changes. That the last advert of a link that is down does not
    /// get out is no news.
    pub fn report_send_failure(&mut self, destination: IpAddr, errno: i32, out: &mut Effects) {
        self.send_failed(destination, errno);
        if !self.told_send_failure && self.state != VrrpState::Fault {
            self.told_send_failure = true;
            self.report(
                What::SendFailed {
                    errno,
                    unicast: self.config.unicast,
                },
                Some(destination),
                out,
            );
        }
    }

    /// Reports another address owner, once.
    pub fn report_conflict(&mut self, peer: IpAddr, out: &mut Effects) {
        if !self.told_conflict {
            self.told_conflict = true;
            self.report(What::OwnerConflict, Some(peer), out);
        }
    }

    /// Tells others.
    pub fn notify(&self, kind: NotifyKind, out: &mut Effects) {
        out.push(Effect::Notify(Notification {
            subject: Subject::Instance(self.name.clone()),
            kind,
            priority: self.effective,
            scripts: self.scripts.clone(),
            smtp_alert: self.config.smtp_alert,
        }));
    }

    /// Faults that were not there before, in keepalived's words where it has some for this moment.
    pub fn report_faults(&self, before: &[Fault], out: &mut Effects) {
        for fault in self.faults.iter().filter(|fault| !before.contains(fault)) {
            let said = match fault {
                fault if self.state == VrrpState::Init && !self.fresh && fault.is_first_verdict() => None,
                Fault::File(name, _) if !self.fresh => {
                    let known = before
                        .iter()
                        .any(|f| matches!(f, Fault::File(old, _) if old == name));
                    (!known).then(|| What::TrackedFile {
                        name: name.clone(),
                        fault: true,
                    })
                }
                Fault::InterfaceDown(_) | Fault::InterfaceMissing(_) | Fault::Configuration
                    if !self.fresh =>
                {
                    None
                }
                // At start every session is down; `entering FAULT state` follows.
                Fault::Bfd(_) if self.fresh => None,
                Fault::Member(_) => None,
                other => Some(What::Fault(other.clone())),
            };
            if let Some(what) = said {
                self.report(what, None, out);
            }
        }
        for fault in before.iter().filter(|fault| !self.faults.contains(fault)) {
            match fault {
                Fault::File(name, _)
                    if !self
                        .faults
                        .iter()
                        .any(|f| matches!(f, Fault::File(now, _) if now == name)) =>
                {
                    self.report(
                        What::TrackedFile {
                            name: name.clone(),
                            fault: false,
                        },
                        None,
                        out,
                    );
                }
                Fault::Bfd(name) => self.report(What::BfdUp(name.clone()), None, out),
                _ => {}
            }
        }
    }

    /// What has been told once may be told again: the state or the master changed.
    pub fn forget_told(&mut self) {
        self.told = 0;
        self.told_send_failure = false;
        self.told_conflict = false;
    }
}
