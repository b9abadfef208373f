//! The work of reaching the desired state: slices of requests, and what became of them.

use super::lines::{Line, Mark, complaint};
use super::{Desired, Key, Outcome, Owned, flags};
use crate::net::links::Table;
use crate::net::message::Answer;
use crate::net::objects::{Action, Object, Operation};
use crate::state::InstanceId;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) instance: InstanceId,
    pub(super) name: Arc<str>,
    pub(super) epoch: u64,
    pub(super) action: Action,
    pub(super) objects: Arc<[Object]>,
    /// From here ...
    pub(super) next: usize,
    /// ... up to here.
    pub(super) end: usize,
    pub(super) announce: u32,
    /// Remove although it is wanted: it is added again with other properties.
    pub(super) force: bool,
    pub(super) report: bool,
    /// Firewall elements go when this is done.
    pub(super) unblock: bool,
    /// Lines that are to be logged before the request at this place.
    pub(super) marks: Vec<(usize, Mark)>,
}

/// One request of a slice.
#[derive(Debug, Clone)]
pub struct Step {
    instance: InstanceId,
    pub(super) name: Arc<str>,
    pub(super) action: Action,
    objects: Arc<[Object]>,
    place: usize,
    index: u32,
    announce: u32,
    why: Why,
    /// Lines that are logged before what the kernel has said about it.
    marks: Vec<Mark>,
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
            object: &self.objects[self.place],
        }
    }
}

impl Desired {
    /// The next requests, at most `most`: releases, then what others have removed, then claims; in a slice that
    /// has none of these, routes and rules. Jobs that need no request are done on the way.
    pub fn slice(&mut self, most: usize, now: u64, table: &Table, out: &mut Vec<Outcome>) -> Vec<Step> {
        self.now = now;
        let mut steps = Vec::new();
        while steps.len() < most {
            let Some(mut job) = self.releases.pop_front() else {
                break;
            };
            while steps.len() < most && job.next < job.end {
                let object = &job.objects[job.next];
                let wanted = !job.force && self.wanted.contains_key(&Key::of(object));
                match (wanted, object.can_be_removed(table)) {
                    (false, Some(index)) => steps.push(job.step(index)),
                    _ => job.next += 1,
                }
            }
            if job.next < job.end {
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
            job.add(most, table, &mut steps, &mut self.lines);
            if job.next < job.end {
                self.claims.push_front(job);
                return steps;
            }
            self.finish_when_done(job, out);
        }
        if steps.is_empty() && out.is_empty() {
            let mut weight = 0;
            while weight < most {
                let Some(mut job) = self.later.pop_front() else {
                    break;
                };
                while weight < most && job.next < job.end {
                    let before = steps.len();
                    weight += job.objects[job.next].weight();
                    job.add(before + 1, table, &mut steps, &mut self.lines);
                }
                if job.next < job.end {
                    self.later.push_front(job);
                    return steps;
                }
                self.finish_when_done(job, out);
            }
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
        let place = owned.objects.iter().position(|object| Key::of(object) == *key);
        let Some(place) = place else { return };
        if let Some(index) = owned.objects[place].can_be_added(table) {
            steps.push(Step {
                instance: id,
                name: owned.config.name.clone(),
                action: Action::Add,
                objects: owned.objects.clone(),
                place,
                index,
                announce: owned.announce,
                why,
                marks: Vec::new(),
            });
        }
    }

    /// The job's last request is in the slice that is being made: what follows from its end is told with the
    /// slice's results, since `done` is called before anything else happens.
    fn finish_when_done(&mut self, job: Job, out: &mut Vec<Outcome>) {
        for (_, mark) in &job.marks {
            self.lines.push(mark.line(&job.name));
        }
        if job.unblock {
            out.push(Outcome::Unblock {
                objects: job.objects.clone(),
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
            let object = &step.objects[step.place];
            let errno = result.as_ref().map_or(0, |answer| answer.errno);
            match step.action {
                Action::Remove => self.removed(step, object, errno, result),
                Action::Add => {
                    for mark in &step.marks {
                        self.lines.push(mark.line(&step.name));
                    }
                    self.added(step, object, errno, result, out)
                }
            }
        }
    }

    fn removed(&mut self, step: &Step, object: &Object, errno: i32, result: &Option<Answer>) {
        match (errno, object) {
            // Notifications of routes and rules tell whose request it was, whatever their family.
            (0, Object::Address(_)) => *self.expected.entry(Key::of(object)).or_default() += 1,
            (0, _) => {}
            // It is not there, nor is its interface.
            (libc::EADDRNOTAVAIL | libc::ENODEV | libc::ESRCH | libc::ENOENT, _) => {}
            // There is no IPv6 at all.
            (libc::EAFNOSUPPORT | libc::EOPNOTSUPP, Object::Route(_) | Object::Rule(_)) => {}
            _ => self.complain(step, object, result),
        }
    }

    fn complain(&mut self, step: &Step, object: &Object, result: &Option<Answer>) {
        if let Some(answer) = result {
            self.lines.extend(complaint(step, object, answer));
        }
    }

    fn added(
        &mut self,
        step: &Step,
        object: &Object,
        errno: i32,
        result: &Option<Answer>,
        out: &mut Vec<Outcome>,
    ) {
        let key = Key::of(object);
        let is_set = matches!(errno, 0 | libc::EEXIST);
        let missing = matches!(
            errno,
            libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::ENODEV
        );
        let again = missing && matches!(object, Object::Route(_)) && self.wanted.contains_key(&key);
        if is_set {
            self.accepted(&key);
        } else if !again || self.try_again(&key) {
            self.complain(step, object, result);
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
        let Object::Address(address) = object else {
            return;
        };
        // What was put back and is there all the same was not gone: no need to tell anybody.
        if step.why != Why::Job && errno != 0 {
            return;
        }
        if step.why != Why::Job {
            self.put_back_others(step.instance);
        }
        if step.why == Why::Restore {
            out.push(Outcome::Restored {
                instance: step.instance,
                address: address.network.address,
            });
        }
        if step.instance == InstanceId::STATIC {
            return;
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

    /// An address has come back: routes that had it as source, or reached their gateway by it, went with it
    /// without a word from the kernel.
    fn put_back_others(&mut self, id: InstanceId) {
        let Some(owned) = self.instances.get(&id) else {
            return;
        };
        for object in owned
            .objects
            .iter()
            .filter(|object| matches!(object, Object::Route(_)))
        {
            let entry = (id, Key::of(object));
            if !self.returns.contains(&entry) {
                self.returns.push_back(entry);
            }
        }
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
    /// All of these objects, and nothing said or reported about it.
    pub(super) fn new(id: InstanceId, owned: &Owned, action: Action, objects: Arc<[Object]>) -> Job {
        Job {
            instance: id,
            name: owned.config.name.clone(),
            epoch: owned.epoch,
            action,
            next: 0,
            end: objects.len(),
            objects,
            announce: owned.announce,
            force: false,
            report: false,
            unblock: false,
            marks: Vec::new(),
        }
    }

    /// The next requests of a claim, until there are so many.
    fn add(&mut self, most: usize, table: &Table, steps: &mut Vec<Step>, lines: &mut Vec<Line>) {
        while steps.len() < most && self.next < self.end {
            let object = &self.objects[self.next];
            match object.can_be_added(table) {
                Some(index) => {
                    let step = self.step(index);
                    steps.push(step);
                }
                None => {
                    let what = Key::of(object);
                    let text = format!(
                        "({}) an interface for {what} does not exist now; it is added when it does",
                        self.name
                    );
                    lines.push(Line::detail(&self.name, text));
                    self.next += 1;
                }
            }
        }
    }

    /// The next request.
    fn step(&mut self, index: u32) -> Step {
        let place = self.next;
        self.next += 1;
        let due = self.marks.iter().take_while(|(at, _)| *at <= place).count();
        Step {
            instance: self.instance,
            name: self.name.clone(),
            action: self.action,
            objects: self.objects.clone(),
            place,
            index,
            announce: self.announce,
            why: Why::Job,
            marks: self.marks.drain(..due).map(|(_, mark)| mark).collect(),
        }
    }
}
