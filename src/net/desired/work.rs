//! The work of reaching the desired state: slices of requests, and what became of them.

use super::lines::{complain, setting_excluded};
use super::{Desired, Key, Outcome, Owned, flags};
use crate::model::Address;
use crate::net::addresses::{Action, Operation};
use crate::net::links::Table;
use crate::net::message::Answer;
use crate::state::InstanceId;
use std::sync::Arc;
use tracing::debug;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) instance: InstanceId,
    pub(super) name: Arc<str>,
    pub(super) epoch: u64,
    pub(super) action: Action,
    pub(super) addresses: Arc<[Address]>,
    pub(super) next: usize,
    pub(super) announce: u32,
    /// Remove although it is wanted: it is added again with other properties.
    pub(super) force: bool,
    pub(super) report: bool,
    /// Firewall elements go when this is done.
    pub(super) unblock: bool,
    /// Where `excluded_vips` begin; `None` once their line is logged, or when there are none.
    pub(super) excluded_from: Option<usize>,
}

/// One request of a slice.
#[derive(Debug, Clone)]
pub struct Step {
    instance: InstanceId,
    pub(super) name: Arc<str>,
    pub(super) action: Action,
    addresses: Arc<[Address]>,
    place: usize,
    index: u32,
    announce: u32,
    why: Why,
    /// The first one of `excluded_vips`.
    excluded_begin: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Job,
    /// It was removed by somebody else.
    Restore,
    /// Its interface has come back.
    Return,
}

impl Step {
    /// The request.
    pub fn operation(&self) -> Operation<'_> {
        Operation {
            action: self.action,
            index: self.index,
            address: &self.addresses[self.place],
        }
    }
}

impl Desired {
    /// The next requests, at most `most`: releases, then what others have removed, then claims. Jobs that need
    /// no request are done on the way.
    pub fn slice(&mut self, most: usize, now: u64, table: &Table, out: &mut Vec<Outcome>) -> Vec<Step> {
        let mut steps = Vec::new();
        while steps.len() < most {
            let Some(mut job) = self.releases.pop_front() else {
                break;
            };
            while steps.len() < most && job.next < job.addresses.len() {
                let key = Key::of(&job.addresses[job.next]);
                let wanted = !job.force && self.wanted.contains_key(&key);
                if let Some(interface) = table.by_name(&key.interface).filter(|_| !wanted) {
                    steps.push(job.step(interface.index));
                }
                job.next += 1;
            }
            if job.next < job.addresses.len() {
                self.releases.push_front(job);
                return steps;
            }
            self.finish_when_done(job, out);
        }
        if steps.is_empty() {
            self.take_restores(most, now, table, &mut steps);
        }
        while steps.len() < most {
            let Some(mut job) = self.claims.pop_front() else {
                break;
            };
            while steps.len() < most && job.next < job.addresses.len() {
                let key = Key::of(&job.addresses[job.next]);
                match table.by_name(&key.interface) {
                    Some(interface) => steps.push(job.step(interface.index)),
                    None => debug!(target: "vrrp", VRRP_INSTANCE = %job.name,
                        "({}) interface {} for address {} does not exist now; the address is added when it does",
                        job.name, key.interface, key.address),
                }
                job.next += 1;
            }
            if job.next < job.addresses.len() {
                self.claims.push_front(job);
                return steps;
            }
            self.finish_when_done(job, out);
        }
        steps
    }

    fn take_restores(&mut self, most: usize, now: u64, table: &Table, steps: &mut Vec<Step>) {
        while steps.len() < most {
            let Some((id, key)) = self.returns.pop_front() else {
                break;
            };
            self.push_one(id, &key, Why::Return, table, steps);
        }
        let due: Vec<Key> = self
            .restores
            .iter()
            .filter(|(_, restore)| restore.due.is_some_and(|due| due <= now))
            .map(|(key, _)| key.clone())
            .take(most.saturating_sub(steps.len()))
            .collect();
        for key in due {
            if let Some(restore) = self.restores.get_mut(&key) {
                restore.due = None;
                restore.last = now;
            }
            if let Some(id) = self.owner(&key) {
                self.push_one(id, &key, Why::Restore, table, steps);
            }
        }
    }

    fn push_one(&self, id: InstanceId, key: &Key, why: Why, table: &Table, steps: &mut Vec<Step>) {
        let Some(owned) = self.instances.get(&id).filter(|owned| owned.claimed) else {
            return;
        };
        let place = owned
            .addresses
            .iter()
            .position(|address| Key::of(address) == *key);
        if let (Some(place), Some(interface)) = (place, table.by_name(&key.interface)) {
            steps.push(Step {
                instance: id,
                name: owned.config.name.clone(),
                action: Action::Add,
                addresses: owned.addresses.clone(),
                place,
                index: interface.index,
                announce: owned.announce,
                why,
                excluded_begin: false,
            });
        }
    }

    /// The job's last request is in the slice that is being made: what follows from its end is told with the
    /// slice's results, since `done` is called before anything else happens.
    fn finish_when_done(&mut self, job: Job, out: &mut Vec<Outcome>) {
        if job.excluded_from.is_some() {
            setting_excluded(&job.name);
        }
        if job.unblock {
            out.push(Outcome::Unblock {
                addresses: job.addresses.clone(),
            });
        }
        if job.report {
            // `set` is filled in by `complete`, after the results are known.
            out.push(Outcome::Applied {
                instance: job.instance,
                epoch: job.epoch,
                set: Vec::new(),
            });
        }
    }

    /// Takes in what became of a slice. `results` are as long as `steps`.
    pub fn done(&mut self, steps: &[Step], results: &[Option<Answer>], out: &mut Vec<Outcome>) {
        for (step, result) in steps.iter().zip(results) {
            let address = &step.addresses[step.place];
            let errno = result.as_ref().map_or(0, |answer| answer.errno);
            match step.action {
                Action::Remove => self.removed(step, address, errno, result),
                Action::Add => {
                    if step.excluded_begin {
                        setting_excluded(&step.name);
                    }
                    self.added(step, address, errno, result, out)
                }
            }
        }
    }

    fn removed(&mut self, step: &Step, address: &Address, errno: i32, result: &Option<Answer>) {
        match errno {
            0 => *self.expected.entry(Key::of(address)).or_default() += 1,
            libc::EADDRNOTAVAIL | libc::ENODEV => {}
            _ => complain(step, address, result),
        }
    }

    fn added(
        &mut self,
        step: &Step,
        address: &Address,
        errno: i32,
        result: &Option<Answer>,
        out: &mut Vec<Outcome>,
    ) {
        let key = Key::of(address);
        let is_set = matches!(errno, 0 | libc::EEXIST);
        if !is_set {
            complain(step, address, result);
        }
        let Some(owned) = self
            .instances
            .get_mut(&step.instance)
            .filter(|owned| owned.claimed)
        else {
            return;
        };
        if is_set {
            owned.set.insert(key);
        } else {
            owned.set.remove(&key);
        }
        // What was put back and is there all the same was not gone: no need to tell anybody.
        if step.why != Why::Job && errno != 0 {
            return;
        }
        if step.why == Why::Restore {
            out.push(Outcome::Restored {
                instance: step.instance,
                address: address.network.address,
            });
        }
        // keepalived announces also what the kernel has refused.
        out.push(Outcome::Announce {
            instance: step.instance,
            name: step.name.clone(),
            index: step.index,
            address: address.network.address,
            repeat: step.announce,
        });
    }

    /// Fills in which addresses are set, after the results of the slice were taken in.
    pub fn complete(&self, outcome: Outcome) -> Option<Outcome> {
        match outcome {
            Outcome::Applied { instance, epoch, .. } => {
                let owned = self.instances.get(&instance)?;
                // Overtaken: the newer one will report.
                (owned.epoch == epoch).then(|| Outcome::Applied {
                    instance,
                    epoch,
                    set: flags(owned),
                })
            }
            other => Some(other),
        }
    }
}

impl Job {
    fn step(&mut self, index: u32) -> Step {
        let excluded_begin = self.excluded_from.is_some_and(|from| self.next >= from);
        if excluded_begin {
            self.excluded_from = None;
        }
        Step {
            instance: self.instance,
            name: self.name.clone(),
            action: self.action,
            addresses: self.addresses.clone(),
            place: self.next,
            index,
            announce: self.announce,
            why: Why::Job,
            excluded_begin,
        }
    }
}

pub(super) fn claim_job(id: InstanceId, owned: &Owned) -> Job {
    Job {
        instance: id,
        name: owned.config.name.clone(),
        epoch: owned.epoch,
        action: Action::Add,
        addresses: owned.addresses.clone(),
        next: 0,
        announce: owned.announce,
        force: false,
        report: true,
        unblock: false,
        excluded_from: (!owned.config.excluded_vips.is_empty()).then_some(owned.config.vips.len()),
    }
}
