//! A new configuration beside the one that runs: what stays keeps its state, its verdicts and its checkers.
//!
//! Everything is found by index, so that the work grows with what there is and not with its square.

use super::entries::{self, Identity};
use super::server::{Check, Real, Server};
use super::{Lvs, is_suspended, marks};
use crate::model::lvs::Lvs as Config;
use crate::model::lvs::{RealServer, Service, VirtualServer};
use crate::state::check::CheckerId;
use crate::state::lvs::{LvsEffect, LvsNotice, ServiceKey};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

impl Lvs {
    /// Takes out what is gone and applies what is different. Returns, for each new virtual server, the one that
    /// it goes on from.
    pub(super) fn take_differences(
        &mut self,
        config: &Config,
        out: &mut Vec<LvsEffect>,
    ) -> Vec<Option<Server>> {
        let mut wanted: BTreeMap<Identity, VecDeque<usize>> = BTreeMap::new();
        for (place, server) in config.servers.iter().enumerate() {
            wanted.entry(Identity::of(server)).or_default().push_back(place);
        }
        self.tell_groups(config, out);
        let mut kept: Vec<Option<Server>> = config.servers.iter().map(|_| None).collect();
        for mut server in std::mem::take(&mut self.servers) {
            let place = wanted
                .get_mut(&Identity::of(&server.config))
                .and_then(VecDeque::pop_front);
            let new = place.and_then(|place| Some((place, config.servers.get(place)?)));
            match new {
                Some((place, new)) => {
                    self.change(&mut server, new, config, out);
                    if let Some(slot) = kept.get_mut(place) {
                        *slot = Some(server);
                    }
                }
                None => self.remove(&server, out),
            }
        }
        kept
    }

    fn remove(&mut self, server: &Server, out: &mut Vec<LvsEffect>) {
        let group = match &server.config.service {
            Service::Group(name, _) => Some(name.clone()),
            _ => None,
        };
        out.push(LvsEffect::Notice(LvsNotice::ServerGone {
            server: server.name.clone(),
            group,
        }));
        for (place, real) in server.reals.iter().enumerate() {
            stop_checks(real, out);
            out.push(removing(server, place));
        }
        for key in &server.keys {
            self.pool.take_service(*key, server.id, out);
        }
    }

    fn change(&mut self, server: &mut Server, new: &VirtualServer, all: &Config, out: &mut Vec<LvsEffect>) {
        server.reloaded = true;
        for real in &mut server.reals {
            real.reloaded = true;
        }
        for place in 0..server.reals.len() {
            server.reals[place].weight_before = server.weight(place);
        }
        let keys = self.services(new, all);
        let ranges = match self.marks.from {
            Some(_) => marks::ranges(new, all),
            None => Vec::new(),
        };
        let moved = std::mem::replace(&mut server.ranges, ranges) != server.ranges;
        if keys == server.keys && !moved && *server.config == *new {
            return;
        }
        let old = std::mem::replace(&mut server.config, Arc::new(new.clone()));
        server.name = new.to_string();
        self.change_services(server, keys, out);
        self.change_sorry(server, &old, out);
        let begun = self.change_reals(server, &old, new, out);
        server.sync(&mut self.pool, out);
        server.update_quorum(&mut self.pool, out);
        let suspended = is_suspended(server, &self.local);
        let started: BTreeSet<CheckerId> = begun.into_iter().collect();
        if server.suspended == suspended {
            for place in 0..server.reals.len() {
                server.start_checks(place, |check| started.contains(&check.id), out);
            }
        } else {
            server.suspend(suspended, out);
        }
    }

    fn change_services(&mut self, server: &mut Server, keys: Vec<ServiceKey>, out: &mut Vec<LvsEffect>) {
        if keys != server.keys {
            let stay: BTreeSet<ServiceKey> = keys.iter().copied().collect();
            for key in server.keys.iter().filter(|key| !stay.contains(key)) {
                self.pool.take_service(*key, server.id, out);
            }
            server.keys = keys;
        }
        for key in &server.keys {
            let settings = entries::settings(&server.config, key);
            self.pool.put_service(*key, server.id, &settings, out);
        }
    }

    fn change_sorry(&mut self, server: &mut Server, old: &VirtualServer, out: &mut Vec<LvsEffect>) {
        let (before, now) = (&old.sorry_server, server.config.sorry_server.clone());
        if *before == now {
            return;
        }
        let place = |sorry: &crate::model::lvs::SorryServer| (sorry.address, sorry.port);
        let used = server.sorry.alive;
        if let Some(before) = before
            && now.as_ref().map(place) != Some(place(before))
        {
            if used {
                out.push(LvsEffect::Notice(LvsNotice::Sorry {
                    real: old.real_server_name(before.address, before.port),
                    server: server.name.clone(),
                    inhibit: false,
                    used: false,
                }));
            }
            server.take_sorry(old, &mut self.pool, out);
            server.sorry = Default::default();
        }
        if now.is_some() && !server.quorum_up && !server.sorry.alive {
            server.use_sorry(true, &mut self.pool, out);
        }
    }

    /// Returns the checkers that are new.
    fn change_reals(
        &mut self,
        server: &mut Server,
        old: &VirtualServer,
        new: &VirtualServer,
        out: &mut Vec<LvsEffect>,
    ) -> Vec<CheckerId> {
        let key = |real: &RealServer| (real.address, real.port);
        let places: BTreeMap<(IpAddr, u16), usize> = new
            .real_servers
            .iter()
            .enumerate()
            .map(|(place, real)| (key(real), place))
            .collect();
        let mut kept: Vec<Option<(Real, &RealServer)>> = new.real_servers.iter().map(|_| None).collect();
        for (real, config) in std::mem::take(&mut server.reals)
            .into_iter()
            .zip(&old.real_servers)
        {
            match places.get(&key(config)).and_then(|place| kept.get_mut(*place)) {
                Some(slot) if slot.is_none() => *slot = Some((real, config)),
                _ => {
                    out.push(LvsEffect::Notice(LvsNotice::RealGone {
                        real: real.name.clone(),
                    }));
                    stop_checks(&real, out);
                    out.push(LvsEffect::Notice(LvsNotice::Removing {
                        real: real.name.clone(),
                        server: server.name.clone(),
                        inhibited: config.inhibit && !real.alive && real.set,
                    }));
                    server.take_real(config, &mut self.pool, out);
                }
            }
        }
        let mut begun = Vec::new();
        let mut changed = Vec::new();
        for (place, (config, slot)) in new.real_servers.iter().zip(kept).enumerate() {
            let real = match slot {
                None => {
                    let mut real = self.new_real(new, config);
                    real.alive = real.failed() == 0;
                    begun.extend(real.checks.iter().map(|check| check.id));
                    real
                }
                Some((mut real, before)) => {
                    real.name = new.real_server_name(config.address, config.port);
                    let moved = before.method != config.method
                        && server.keys.iter().any(|k| {
                            let at = |c: &RealServer| entries::destination(k, c.address, c.port, c.method);
                            at(before) != at(config)
                        });
                    if moved {
                        server.take_real(before, &mut self.pool, out);
                    }
                    let weight = real.weight(before);
                    self.change_checks(&mut real, before, config, &mut begun, out);
                    changed.push((place, weight));
                    real
                }
            };
            server.reals.push(real);
        }
        for (place, weight) in changed {
            server.weight_changed(place, weight, &mut self.pool, out);
            let alive = server.reals.get(place).is_some_and(|real| real.failed() == 0);
            server.set_alive(place, alive, &mut self.pool, out);
        }
        begun
    }

    /// Checkers that are the same go on. A new one says what the server is, until it has run: a server that is
    /// down does not come back because its checker was changed.
    fn change_checks(
        &mut self,
        real: &mut Real,
        before: &RealServer,
        config: &RealServer,
        begun: &mut Vec<CheckerId>,
        out: &mut Vec<LvsEffect>,
    ) {
        if before.checkers == config.checkers {
            return;
        }
        let mut old: Vec<Option<Check>> = std::mem::take(&mut real.checks).into_iter().map(Some).collect();
        let mut checks = Vec::with_capacity(config.checkers.len());
        for checker in &config.checkers {
            let same = old
                .iter_mut()
                .find(|check| check.as_ref().is_some_and(|check| *check.checker == *checker));
            match same.and_then(Option::take) {
                Some(check) => checks.push(check),
                None => {
                    self.next_check = self.next_check.wrapping_add(1);
                    let check = Check::new(CheckerId(self.next_check), Arc::new(checker.clone()));
                    begun.push(check.id);
                    checks.push(check);
                }
            }
        }
        for gone in old.into_iter().flatten() {
            out.push(LvsEffect::Stop(gone.id));
        }
        let new = |check: &Check| begun.contains(&check.id);
        let fails = checks.iter().any(|check| !new(check) && !check.up);
        for check in &mut checks {
            if begun.contains(&check.id) {
                check.up = real.alive || (fails && !check.checker.alpha);
            }
        }
        real.checks = checks;
    }

    fn tell_groups(&self, config: &Config, out: &mut Vec<LvsEffect>) {
        for group in &config.groups {
            let Some(before) = self.groups.get(&group.name) else {
                continue;
            };
            if *before == group.entries {
                continue;
            }
            let protocol = config
                .servers
                .iter()
                .find(|s| matches!(&s.service, Service::Group(name, _) if *name == group.name))
                .and_then(|s| s.protocol);
            let mut tell = |entry, added| {
                out.push(LvsEffect::Notice(LvsNotice::GroupEntry {
                    entry: entries::entry_name(entry, protocol),
                    group: group.name.clone(),
                    added,
                }));
            };
            for entry in before.iter().filter(|e| !group.entries.contains(e)) {
                tell(*entry, false);
            }
            for entry in group.entries.iter().filter(|e| !before.contains(e)) {
                tell(*entry, true);
            }
        }
    }
}

fn removing(server: &Server, place: usize) -> LvsEffect {
    let real = server
        .reals
        .get(place)
        .map(|real| real.name.clone())
        .unwrap_or_default();
    LvsEffect::Notice(LvsNotice::Removing {
        real,
        server: server.name.clone(),
        inhibited: server.is_inhibited(place),
    })
}

fn stop_checks(real: &Real, out: &mut Vec<LvsEffect>) {
    out.extend(real.checks.iter().map(|check| LvsEffect::Stop(check.id)));
}
