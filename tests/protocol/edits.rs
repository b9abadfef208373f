//! A thousand edits of a file, each read, planned and applied while its instances are masters: what an edit does not
//! touch goes on as if nothing had happened.
//!
//! `EDITS_SEED=N` starts from another seed.

#[path = "../common/edits.rs"]
mod story;

use self::story::{Dice, Edited, File, INTERFACES, Key};
use crate::lab::{MS, S, at, interface, lines};
use keepalived_rs::config::{self, DEFAULT_FILE, MemoryHost, ReadOptions, Start};
use keepalived_rs::model::Configuration;
use keepalived_rs::state::track::{TrackSource, Verdict};
use keepalived_rs::state::{GroupId, InstanceId, Interface, VrrpState};
use keepalived_rs::vrrp::plan::{Fate, PlannedGroup, Running, plan};
use keepalived_rs::vrrp::{Effect, Effects, Event, Group, GroupConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const EDITS: usize = 1000;

fn read(text: &str) -> Configuration {
    let mut host = MemoryHost::default();
    host.users.insert("root".into(), (0, 0));
    host.groups.insert("root".into(), 0);
    for name in INTERFACES.into_iter().chain(["lo"]) {
        host.interface(name);
    }
    host.script("/bin/check");
    host.file(DEFAULT_FILE, text);
    let reading = config::read(&host, &ReadOptions::default());
    assert_eq!(reading.start, Start::Go, "{:?}\n{text}", reading.diagnostics);
    reading.configuration
}

/// The groups, driven as the port of the daemon drives them.
struct Host {
    now: u64,
    running: Running,
    groups: BTreeMap<GroupId, Group>,
    interfaces: BTreeMap<String, Arc<Interface>>,
    /// Claimed addresses: last epoch of the instance.
    claims: BTreeMap<InstanceId, bool>,
    effects: Vec<(InstanceId, Effect)>,
    told: Vec<String>,
}

impl Host {
    fn config(&self, group: Option<&PlannedGroup>) -> GroupConfig {
        GroupConfig {
            group: group.and_then(|g| g.group.clone()),
            members: group.map(PlannedGroup::members).unwrap_or_default(),
            interfaces: self.interfaces.clone(),
            verdicts: BTreeMap::new(),
            detail: true,
            hold_until: 0,
        }
    }

    fn take(&mut self, effects: Effects) {
        self.told.extend(lines(&effects));
        for effect in effects {
            let id = match &effect {
                Effect::Claim { instance, .. } => {
                    self.claims.insert(*instance, true);
                    *instance
                }
                Effect::Release { instance, .. } => {
                    self.claims.insert(*instance, false);
                    *instance
                }
                Effect::Advertise { instance, .. } => *instance,
                _ => continue,
            };
            self.effects.push((id, effect));
        }
    }

    fn handle(&mut self, group: GroupId, event: Event) {
        let mut out = Vec::new();
        if let Some(group) = self.groups.get_mut(&group) {
            group.handle(at(self.now), event, &mut out);
        }
        self.take(out);
    }

    fn apply(&mut self, configuration: &Configuration) -> BTreeSet<InstanceId> {
        let plan = plan(&self.running, configuration);
        let mut detached = BTreeMap::new();
        for (instance, (from, _)) in &plan.moved {
            let moving = self
                .groups
                .get_mut(from)
                .and_then(|group| group.detach(*instance));
            detached.insert(*instance, moving.expect("a member of its group"));
        }
        for id in &plan.ended {
            let nothing = Box::new(self.config(None));
            self.handle(*id, Event::Reconfigure(nothing));
        }
        for (group, fate) in plan.running.groups.iter().zip(&plan.groups) {
            if *fate != Fate::Change {
                continue;
            }
            for member in &group.members {
                if let Some(member) = detached.remove(&member.id) {
                    self.groups.get_mut(&group.id).expect("a group").attach(member);
                }
            }
            let config = Box::new(self.config(Some(group)));
            self.handle(group.id, Event::Reconfigure(config));
        }
        for id in &plan.ended {
            self.groups.remove(id);
        }
        for (group, fate) in plan.running.groups.iter().zip(&plan.groups) {
            if *fate == Fate::Add {
                let moving = group.members.iter().filter_map(|m| detached.remove(&m.id));
                let mut out = Vec::new();
                let started =
                    Group::start_with(self.config(Some(group)), moving.collect(), at(self.now), &mut out);
                self.groups.insert(group.id, started);
                self.take(out);
            }
            if *fate != Fate::Keep {
                let verdict = Event::Track {
                    source: TrackSource::Script("check".into()),
                    verdict: Verdict::Up,
                };
                self.handle(group.id, verdict);
            }
        }
        assert!(detached.is_empty(), "somebody was left between two groups");
        self.running = plan.running;
        self.running.members().map(|(_, m)| m.id).collect()
    }

    fn pass(&mut self, time: u64) {
        let end = self.now + time;
        loop {
            let next = self
                .groups
                .iter()
                .filter_map(|(id, group)| Some((group.deadline()?.0, *id)))
                .filter(|(due, _)| *due <= end)
                .min();
            let Some((due, group)) = next else { break };
            self.now = self.now.max(due);
            self.handle(group, Event::Tick);
        }
        self.now = end;
    }

    fn masters(&self) -> BTreeSet<InstanceId> {
        let all = self.groups.values().flat_map(|g| g.snapshot(at(self.now)).1);
        all.filter(|i| i.state == VrrpState::Master)
            .map(|i| i.id)
            .collect()
    }

    fn ids(&self) -> BTreeMap<Key, InstanceId> {
        let key = |vrid: u8, name: &str| {
            let interface = INTERFACES.into_iter().find(|i| *i == name);
            (vrid, interface.expect("one of ours"))
        };
        self.running
            .members()
            .map(|(_, m)| (key(m.config.vrid, &m.config.interface), m.id))
            .collect()
    }
}

#[test]
fn a_thousand_edits_touch_nothing_but_what_they_edit() {
    let seed = std::env::var("EDITS_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    for seed in seed..seed + 3 {
        one_story(seed);
    }
}

fn one_story(seed: u64) {
    let mut dice = Dice(seed);
    let mut file = File::new(&mut dice);
    let up = |name: &str, index: u32| (name.to_owned(), interface(name, index, 1, true));
    let mut host = Host {
        now: S,
        running: Running::default(),
        groups: BTreeMap::new(),
        interfaces: BTreeMap::from([up("eth0", 2), up("eth1", 3), up("lo", 1)]),
        claims: BTreeMap::new(),
        effects: Vec::new(),
        told: Vec::new(),
    };
    host.apply(&read(&file.text("/bin/check")));
    host.pass(5 * S);
    let mut last_advert: BTreeMap<InstanceId, u64> = BTreeMap::new();
    let mut flown = 0;
    for number in 0..EDITS {
        let before: BTreeMap<Key, Edited> = file.by_key().into_iter().map(|(k, i)| (k, i.clone())).collect();
        let (masters, ids) = (host.masters(), host.ids());
        let what: Vec<String> = (0..1 + dice.below(3)).map(|_| file.edit(&mut dice)).collect();
        let text = file.text("/bin/check");
        let say = |problem: String, told: &[String]| -> ! {
            panic!(
                "seed {seed}, edit {number} ({}): {problem}\n{}\n{text}",
                what.join(", "),
                told.join("\n")
            )
        };
        host.effects.clear();
        host.told.clear();
        let now_there = host.apply(&read(&text));
        for (key, id) in &ids {
            let stays = file.by_key().contains_key(key);
            if stays != now_there.contains(id) {
                say(format!("{key:?} is another instance now"), &host.told);
            }
            if !masters.contains(id) {
                continue;
            }
            let farewell = host
                .effects
                .iter()
                .any(|(i, effect)| i == id && matches!(effect, Effect::Advertise { priority: 0, .. }));
            if farewell == stays || host.claims[id] != stays {
                say(
                    format!("{key:?} stays: {stays}, says farewell: {farewell}"),
                    &host.told,
                );
            }
            flown += usize::from(stays);
        }
        if let Some(line) = host.told.iter().find(|line| line.contains("FAULT")) {
            say(line.clone(), &host.told);
        }
        let (kept, names) = (host.masters(), host.ids());
        for id in masters.iter().filter(|id| now_there.contains(id)) {
            if !kept.contains(id) {
                say(format!("{id:?} is no master any more"), &host.told);
            }
        }
        // Until the next edit each master sends on, never later than an interval, the old one at the change.
        host.effects.clear();
        let steps = 1 + dice.below(12);
        for _ in 0..steps {
            host.pass(50 * MS);
            for (id, effect) in host.effects.drain(..) {
                if matches!(effect, Effect::Advertise { priority, .. } if priority > 0) {
                    last_advert.insert(id, host.now);
                }
            }
            for (key, id) in &names {
                let Some(one) = file.by_key().get(key).map(|i| i.interval) else {
                    continue;
                };
                let longest = before.get(key).map_or(0, |i| i.interval).max(one);
                let silent = last_advert.get(id).map(|last| host.now - last);
                if masters.contains(id) && silent.is_some_and(|s| s > u64::from(longest + 50) * MS) {
                    say(format!("{key:?} is silent for {silent:?} ns"), &host.told);
                }
            }
        }
    }
    // Else it has shown nothing.
    assert!(flown > EDITS, "masters that went through an edit: {flown}");
}
