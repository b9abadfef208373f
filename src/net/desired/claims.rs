//! Claims and releases: what a new master wants set, and what it leaves.

use super::{Desired, Outcome, Owned};
use crate::net::desired::lines::{Mark, drop_line, removing_lines, setting_line};
use crate::net::desired::work::Job;
use crate::net::objects::{Action, Key, Object};
use crate::state::InstanceId;

impl Desired {
    /// Adds the addresses of an instance.
    pub fn claim(&mut self, id: InstanceId, epoch: u64, announce: u32, out: &mut Vec<Outcome>) {
        let Some(mut owned) = self.instances.remove(&id) else {
            return;
        };
        if epoch <= owned.epoch {
            self.instances.insert(id, owned);
            return;
        }
        owned.epoch = epoch;
        owned.announce = announce;
        if std::mem::replace(&mut owned.claimed, true) {
            self.claim_again(id, &owned);
            self.instances.insert(id, owned);
            return;
        }
        for object in owned.objects.iter() {
            *self.wanted.entry(Key::of(object)).or_default() += 1;
        }
        if owned.drops() {
            out.push(Outcome::Block {
                objects: owned.objects.clone(),
            });
            self.lines.push(drop_line(&owned));
        }
        self.lines.extend(setting_line(&owned));
        // What a release before it has not removed yet is not removed: it is wanted again.
        self.push_claims(id, &owned);
        self.instances.insert(id, owned);
    }

    /// A claim after a reload: its new configuration has been told, and the work for it has begun or is done.
    pub(super) fn claim_again(&mut self, id: InstanceId, owned: &Owned) {
        let mut pending = false;
        for job in self.claims.iter_mut().filter(|job| job.instance == id) {
            job.epoch = owned.epoch;
            job.announce = owned.announce;
            pending = true;
        }
        if pending {
            return;
        }
        let missing = |object: &&Object| !owned.set.contains(&Key::of(object));
        let (addresses, others): (Vec<&Object>, Vec<&Object>) = owned
            .objects
            .iter()
            .filter(missing)
            .partition(|object| object.address().is_some());
        self.claims.push_back(Job {
            report: true,
            ..Job::new(id, owned, Action::Add, addresses.into_iter().cloned().collect())
        });
        if !others.is_empty() && !self.later.iter().any(|job| job.instance == id) {
            let job = Job::new(id, owned, Action::Add, others.into_iter().cloned().collect());
            self.later.push_back(job);
        }
    }

    /// Puts a claim, from its beginning, in the place of what is left of an earlier one.
    pub(super) fn push_claims(&mut self, id: InstanceId, owned: &Owned) {
        self.forget_claims(id);
        let count = owned.addresses();
        let (of_addresses, of_others): (Vec<_>, Vec<_>) = marks(owned)
            .into_iter()
            .partition(|(_, mark)| *mark == Mark::Excluded);
        self.claims.push_back(Job {
            end: count,
            report: true,
            marks: of_addresses,
            ..Job::new(id, owned, Action::Add, owned.objects.clone())
        });
        if count < owned.objects.len() {
            self.later.push_back(Job {
                next: count,
                marks: of_others,
                ..Job::new(id, owned, Action::Add, owned.objects.clone())
            });
        }
    }

    pub(super) fn forget_claims(&mut self, id: InstanceId) {
        self.claims.retain(|job| job.instance != id);
        self.later.retain(|job| job.instance != id);
    }

    pub(super) fn is_claiming(&self, id: InstanceId) -> bool {
        self.claims
            .iter()
            .chain(&self.later)
            .any(|job| job.instance == id)
    }

    /// Removes them. Overtakes every claim, and ends an unfinished one of the same instance.
    pub fn release(&mut self, id: InstanceId, epoch: u64, out: &mut Vec<Outcome>) {
        let Some(mut owned) = self.instances.remove(&id) else {
            return;
        };
        if epoch <= owned.epoch {
            self.instances.insert(id, owned);
            return;
        }
        owned.epoch = epoch;
        if owned.claimed {
            self.let_go(id, &owned, epoch, true, out);
            owned.claimed = false;
            owned.set.clear();
        } else {
            self.lines.extend(removing_lines(&owned));
            out.push(Outcome::Applied {
                instance: id,
                epoch,
                set: vec![false; owned.addresses()],
            });
        }
        self.instances.insert(id, owned);
    }

    /// Removes the addresses of all instances.
    pub fn release_all(&mut self, out: &mut Vec<Outcome>) {
        let claimed: Vec<(InstanceId, u64)> = self
            .instances
            .iter()
            .filter(|(_, owned)| owned.claimed)
            .map(|(id, owned)| (*id, owned.epoch + 1))
            .collect();
        for (id, epoch) in claimed {
            self.release(id, epoch, out);
        }
    }

    pub(super) fn let_go(
        &mut self,
        id: InstanceId,
        owned: &Owned,
        epoch: u64,
        report: bool,
        out: &mut Vec<Outcome>,
    ) {
        self.lines.extend(removing_lines(owned));
        for object in owned.objects.iter() {
            self.unwant(&Key::of(object));
        }
        self.forget_claims(id);
        self.returns.retain(|(instance, _)| *instance != id);
        out.push(Outcome::Cancel(id));
        let count = owned.addresses();
        if count < owned.objects.len() {
            self.releases.push_back(Job {
                next: count,
                ..Job::new(id, owned, Action::Remove, owned.objects.clone())
            });
        }
        self.releases.push_back(Job {
            epoch,
            end: count,
            report,
            unblock: owned.drops(),
            ..Job::new(id, owned, Action::Remove, owned.objects.clone())
        });
    }
}

/// Where keepalived's lines about what a claim adds belong.
pub(super) fn marks(owned: &Owned) -> Vec<(usize, Mark)> {
    let config = &owned.config;
    if config.id == InstanceId::STATIC {
        return Vec::new();
    }
    let addresses = owned.addresses();
    [
        (config.excluded_vips.is_empty(), config.vips.len(), Mark::Excluded),
        (config.routes.is_empty(), addresses, Mark::Routes),
        (
            config.rules.is_empty(),
            addresses + config.routes.len(),
            Mark::Rules,
        ),
    ]
    .into_iter()
    .filter(|(nothing, ..)| !nothing)
    .map(|(_, place, mark)| (place, mark))
    .collect()
}
