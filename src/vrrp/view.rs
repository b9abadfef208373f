//! What an instance shows of itself: dumps, JSON and status are rendered from it.

use super::instance::Instance;
use super::priority::OWNER;
use crate::model::vrrp::Accept;
use crate::state::notice::{Fault, Odd};
use crate::state::snapshot::InstanceSnapshot;
use crate::state::{Now, VrrpState};
use std::time::Duration;

impl Instance {
    /// As it is now.
    pub fn snapshot(&self, now: Now) -> InstanceSnapshot {
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
                || matches!(fault, Fault::InterfaceDown(name) | Fault::InterfaceMissing(name) if !is_own(&config, name))
        });
        let mut words: Vec<String> = Vec::new();
        for fault in self.faults.iter().filter(interface_faults) {
            let word = match fault {
                Fault::InterfaceDown(name) | Fault::InterfaceMissing(name) if !is_own(&config, name) => {
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
        if self.faults.iter().any(|fault| matches!(fault, Fault::Bfd(_))) {
            // keepalived's word for what has no flag of its own.
            words.push("unspecified".to_owned());
        }
        InstanceSnapshot {
            id: self.id,
            state: self.state,
            wanted: self.wanted,
            effective_priority: self.effective,
            total_priority: self.total,
            contributions: std::iter::once(("base".to_owned(), i32::from(config.priority)))
                .chain(
                    self.contributions
                        .iter()
                        .map(|part| (part.name.to_string(), part.value)),
                )
                .collect(),
            master: self.master,
            master_priority: self.master_priority,
            master_interval: Duration::from_nanos(self.master_interval),
            // What the timer was last set to: an owner does not wait, a master that gave up is not waited for.
            master_down: if config.priority == OWNER {
                Duration::from_micros(1)
            } else if self.skewed {
                Duration::from_nanos(self.skew())
            } else {
                Duration::from_nanos(self.master_down())
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
            logged_errors: self.told & !Odd::NOT_FLAGGED,
            vips_set: vips.to_vec(),
            excluded_set: excluded.to_vec(),
            route_devices: Vec::new(),
            firewall_set: self.state == VrrpState::Master
                && config.accept == Accept::Disabled
                && config.priority != OWNER,
            sockets: None,
            statistics: self.statistics,
            cause: self.cause.to_string(),
            company: self.company_snapshot(now),
            config,
        }
    }
}

/// The instance's own interface, or the one below it.
fn is_own(config: &crate::model::Instance, name: &str) -> bool {
    name == config.interface || name == config.own_interface()
}
