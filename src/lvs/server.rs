//! One virtual server: which of its real servers are up, whether they have the quorum, and what follows for
//! the kernel's table.

mod table;

use super::pool::Pool;
use super::{alert, entries};
use crate::model::checker::{Checker, CheckerKind};
use crate::model::lvs::{RealServer, VirtualServer};
use crate::state::check::{CheckHistory, CheckVerdict, CheckerId};
use crate::state::lvs::{
    CheckerStart, LvsEffect, LvsMail, LvsNotice, LvsNotification, QuorumChange, ServiceKey, Since, SorryView,
};
use std::net::IpAddr;
use std::sync::Arc;

/// Largest weight that IPVS takes.
const MOST: i64 = 65_535;

#[derive(Debug)]
pub(super) struct Server {
    /// Number for as long as it exists: who wants what in the pool.
    pub id: u32,
    pub config: Arc<VirtualServer>,
    pub name: String,
    pub keys: Vec<ServiceKey>,
    /// Addresses of a group that is known by a mark (`nftables_ipvs`).
    pub ranges: Vec<(IpAddr, IpAddr)>,
    pub reals: Vec<Real>,
    pub sorry: SorryView,
    pub quorum_up: bool,
    pub since: Since,
    /// `ha_suspend`: no address of it is on this host.
    pub suspended: bool,
    pub reloaded: bool,
}

#[derive(Debug)]
pub(super) struct Real {
    pub name: String,
    pub alive: bool,
    /// Others have been told that it is down.
    pub told_down: bool,
    pub set: bool,
    pub weight_before: u32,
    pub reloaded: bool,
    pub since: Since,
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone)]
pub(super) struct Check {
    pub id: CheckerId,
    pub checker: Arc<Checker>,
    pub up: bool,
    pub has_run: bool,
    pub weight: i64,
    pub history: Arc<CheckHistory>,
}

impl Check {
    /// `alpha`: counts as failed until it first succeeds.
    pub fn new(id: CheckerId, checker: Arc<Checker>) -> Check {
        let up = !checker.alpha;
        Check {
            id,
            checker,
            up,
            has_run: false,
            weight: 0,
            history: Arc::default(),
        }
    }
}

impl Real {
    pub fn failed(&self) -> usize {
        self.checks.iter().filter(|check| !check.up).count()
    }

    /// Weight of the file and what checkers add to it.
    pub fn weight(&self, config: &RealServer) -> u32 {
        let added = self
            .checks
            .iter()
            .fold(0i64, |sum, check| sum.saturating_add(check.weight));
        let weight = i64::from(config.weight).saturating_add(added).clamp(0, MOST);
        weight as u32
    }
}

impl Server {
    /// Its services and servers enter the table, its quorum is computed, for the first time.
    pub fn begin(&mut self, pool: &mut Pool, init_notifies: bool, out: &mut Vec<LvsEffect>) {
        for key in &self.keys {
            pool.put_service(*key, self.id, &entries::settings(&self.config, key), out);
        }
        for real in &mut self.reals {
            real.alive = real.failed() == 0;
        }
        let weight = self.alive_weight();
        self.quorum_up = weight > 0 && weight >= self.upper();
        if !self.quorum_up && self.config.sorry_server.is_some() {
            self.say_quorum(QuorumChange::DownAtStart, weight, out);
            self.use_sorry(true, pool, out);
        } else if self.quorum_up {
            self.say_quorum(QuorumChange::Gained, weight, out);
        }
        self.sync(pool, out);
        if init_notifies {
            for place in 0..self.reals.len() {
                if self.reals[place].alive {
                    self.notify_real(place, false, out);
                }
            }
        }
        // A quorum that is not there yet (`alpha`) is told only with a sorry server.
        if self.quorum_up || self.sorry.alive {
            let text = if self.quorum_up { "up" } else { "down" };
            self.notify_quorum(format!("Starting with quorum {text}"), weight, false, out);
        }
    }

    /// A verdict of a checker.
    pub fn report(
        &mut self,
        (place, check): (usize, usize),
        verdict: &CheckVerdict,
        pool: &mut Pool,
        out: &mut Vec<LvsEffect>,
    ) {
        let before = self.weight(place);
        let Some(real) = self.reals.get_mut(place) else {
            return;
        };
        let Some(check) = real.checks.get_mut(check) else {
            return;
        };
        let first = !std::mem::replace(&mut check.has_run, true);
        let up;
        (up, check.weight) = match verdict {
            CheckVerdict::Up => (true, 0),
            CheckVerdict::Down { .. } => (false, 0),
            CheckVerdict::Weight(weight) => (true, *weight),
        };
        // With `alpha` it counted as down, and that it is has not been told.
        let confirmed = first && !up && !check.up && check.checker.alpha && !real.told_down;
        let text = (check.up != up).then(|| alert::text(&check.checker.kind, verdict));
        check.up = up;
        let was_alive = real.alive;
        let alive = real.failed() == 0;
        if confirmed {
            real.told_down = true;
            self.notify_real(place, false, out);
        } else if up {
            self.weight_changed(place, before, pool, out);
        }
        self.set_alive(place, alive, pool, out);
        if let Some(text) = text {
            self.mail_real(place, was_alive != alive, text, out);
        }
    }

    /// The weight of a real server is another one now.
    pub fn weight_changed(&mut self, place: usize, before: u32, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        let now = self.weight(place);
        if now == before {
            return;
        }
        out.push(LvsEffect::Notice(LvsNotice::Weight {
            real: self.reals[place].name.clone(),
            server: self.name.clone(),
            active: self.reals[place].alive,
            from: before,
            to: now,
        }));
        self.sync_real(place, pool, out);
        self.update_quorum(pool, out);
    }

    pub fn set_alive(&mut self, place: usize, up: bool, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        let Some(real) = self.reals.get_mut(place).filter(|real| real.alive != up) else {
            return;
        };
        real.alive = up;
        real.told_down = !up;
        out.push(LvsEffect::Notice(LvsNotice::Alive {
            real: real.name.clone(),
            server: self.name.clone(),
            inhibit: self.config.real_servers.get(place).is_some_and(|c| c.inhibit),
            up,
        }));
        self.sync_real(place, pool, out);
        self.notify_real(place, false, out);
        self.update_quorum(pool, out);
    }

    /// Gains or loses the quorum where the weights say so.
    pub fn update_quorum(&mut self, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        let weight = self.alive_weight();
        let gained = !self.quorum_up && weight > 0 && weight >= self.upper();
        let lost = self.quorum_up && (weight == 0 || weight < self.lower());
        if !gained && !lost {
            return;
        }
        self.quorum_up = gained;
        let change = if gained {
            QuorumChange::Gained
        } else {
            QuorumChange::Lost
        };
        self.say_quorum(change, weight, out);
        if gained && self.sorry.alive {
            self.use_sorry(false, pool, out);
        } else if lost && self.config.sorry_server.is_some() {
            self.use_sorry(true, pool, out);
        }
        let word = if gained { "Gained" } else { "Lost" };
        self.notify_quorum(format!("{word} quorum"), weight, false, out);
    }

    /// The sorry server takes the place of the real servers, or gives it back.
    pub fn use_sorry(&mut self, used: bool, pool: &mut Pool, out: &mut Vec<LvsEffect>) {
        let Some(sorry) = &self.config.sorry_server else {
            return;
        };
        let real = self.config.real_server_name(sorry.address, sorry.port);
        out.push(LvsEffect::Notice(LvsNotice::Sorry {
            real,
            server: self.name.clone(),
            inhibit: sorry.inhibit,
            used,
        }));
        self.sorry.alive = used;
        self.sync_sorry(pool, out);
        out.push(LvsEffect::Notice(LvsNotice::Pool {
            server: self.name.clone(),
            used: !used,
        }));
        for place in 0..self.reals.len() {
            self.sync_real(place, pool, out);
        }
    }

    /// Starts what checks one real server.
    pub fn start_checks(&self, place: usize, which: impl Fn(&Check) -> bool, out: &mut Vec<LvsEffect>) {
        let Some(real) = self.reals.get(place) else {
            return;
        };
        for check in real.checks.iter().filter(|check| which(check)) {
            // These follow a file or a session: nothing is started for them, and keepalived has no line.
            let quiet = matches!(check.checker.kind, CheckerKind::File(_) | CheckerKind::Bfd { .. });
            if self.suspended {
                if !quiet {
                    out.push(LvsEffect::Notice(LvsNotice::Deactivating {
                        real: real.name.clone(),
                        server: self.name.clone(),
                    }));
                }
                continue;
            }
            if !quiet {
                out.push(LvsEffect::Notice(LvsNotice::Activating {
                    real: real.name.clone(),
                    server: self.name.clone(),
                }));
            }
            out.push(LvsEffect::Start(self.start(place, real, check)));
        }
    }

    fn start(&self, place: usize, real: &Real, check: &Check) -> CheckerStart {
        CheckerStart {
            id: check.id,
            checker: check.checker.clone(),
            virtual_server: self.name.clone(),
            real_server: real.name.clone(),
            up: check.up,
            weight: self
                .config
                .real_servers
                .get(place)
                .map_or(0, |config| config.weight),
        }
    }

    /// `ha_suspend`: an address of it came to this host, or the last one left.
    pub fn suspend(&mut self, suspended: bool, out: &mut Vec<LvsEffect>) {
        if self.suspended == suspended {
            return;
        }
        self.suspended = suspended;
        if !suspended {
            for place in 0..self.reals.len() {
                self.start_checks(place, |_| true, out);
            }
            return;
        }
        for real in &self.reals {
            for check in &real.checks {
                out.push(LvsEffect::Notice(LvsNotice::Suspending {
                    real: real.name.clone(),
                    server: self.name.clone(),
                }));
                out.push(LvsEffect::Stop(check.id));
            }
        }
    }

    /// The daemon stops. `say`: each server is named.
    pub fn stop(&mut self, say: bool, out: &mut Vec<LvsEffect>) {
        for place in 0..self.reals.len() {
            let real = &self.reals[place];
            if say {
                out.push(LvsEffect::Notice(LvsNotice::ShuttingDown {
                    real: real.name.clone(),
                    server: self.name.clone(),
                    inhibited: self.is_inhibited(place),
                }));
            }
            if self.config.omega && real.alive {
                self.reals[place].alive = false;
                self.notify_real(place, true, out);
            }
        }
        if self.config.omega && self.quorum_up {
            self.quorum_up = false;
            self.notify_quorum("Lost quorum".to_owned(), 0, true, out);
        }
    }

    /// It is in the table with weight 0 because it is down.
    pub fn is_inhibited(&self, place: usize) -> bool {
        let inhibit = self.config.real_servers.get(place).is_some_and(|c| c.inhibit);
        inhibit && self.reals.get(place).is_some_and(|real| !real.alive && real.set)
    }

    pub fn weight(&self, place: usize) -> u32 {
        match (self.reals.get(place), self.config.real_servers.get(place)) {
            (Some(real), Some(config)) => real.weight(config),
            _ => 0,
        }
    }

    pub fn alive_weight(&self) -> u64 {
        let servers = self.reals.iter().zip(&self.config.real_servers);
        servers
            .filter(|(real, _)| real.alive)
            .map(|(real, config)| u64::from(real.weight(config)))
            .sum()
    }

    /// Weight with which the quorum is gained.
    fn upper(&self) -> u64 {
        u64::from(self.config.quorum) + u64::from(self.config.hysteresis)
    }

    /// Weight below which it is lost.
    fn lower(&self) -> u64 {
        u64::from(self.config.quorum.saturating_sub(self.config.hysteresis))
    }

    fn say_quorum(&self, change: QuorumChange, weight: u64, out: &mut Vec<LvsEffect>) {
        out.push(LvsEffect::Notice(LvsNotice::Quorum {
            server: self.name.clone(),
            change,
            quorum: self.config.quorum,
            hysteresis: self.config.hysteresis,
            weight,
        }));
    }

    fn notify_real(&self, place: usize, stopping: bool, out: &mut Vec<LvsEffect>) {
        let (Some(real), Some(config)) = (self.reals.get(place), self.config.real_servers.get(place)) else {
            return;
        };
        let script = if real.alive {
            &config.notify_up
        } else {
            &config.notify_down
        };
        out.push(LvsEffect::Notify(LvsNotification {
            server: self.name.clone(),
            real: Some(real.name.clone()),
            up: real.alive,
            script: script.clone(),
            stopping,
        }));
        if stopping {
            self.mail_real(place, true, "Shutting down".to_owned(), out);
        }
    }

    fn notify_quorum(&self, what: String, weight: u64, stopping: bool, out: &mut Vec<LvsEffect>) {
        let config = &self.config;
        let script = if self.quorum_up {
            &config.quorum_up
        } else {
            &config.quorum_down
        };
        out.push(LvsEffect::Notify(LvsNotification {
            server: self.name.clone(),
            real: None,
            up: self.quorum_up,
            script: script.clone(),
            stopping,
        }));
        if !config.smtp_alert {
            return;
        }
        out.push(LvsEffect::Mail(LvsMail {
            server: self.name.clone(),
            real: None,
            up: self.quorum_up,
            changed: true,
            // keepalived has the same text for both, `+` and `<=` also where it is lost.
            text: match stopping {
                true => "Shutting down".to_owned(),
                false => format!(
                    "{what} {}+{}={} <= {weight}",
                    config.quorum,
                    config.hysteresis,
                    self.upper()
                ),
            },
        }));
    }

    /// `changed`: the state of the server itself, not only of one of its checkers.
    fn mail_real(&self, place: usize, changed: bool, text: String, out: &mut Vec<LvsEffect>) {
        if let (Some(real), Some(config)) = (self.reals.get(place), self.config.real_servers.get(place))
            && config.smtp_alert
        {
            out.push(LvsEffect::Mail(LvsMail {
                server: self.name.clone(),
                real: Some(real.name.clone()),
                up: real.alive,
                changed,
                text,
            }));
        }
    }
}
