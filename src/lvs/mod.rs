//! The load balancer's decisions: which real servers are up, whether a virtual server has its quorum, who is
//! in the kernel's table and with what weight. No I/O and no clock: verdicts of checkers go in, changes of the
//! table, lines of the log and notifications come out, in the order in which they are to happen.

mod alert;
mod entries;
mod marks;
mod pool;
mod reload;
mod server;
pub mod traffic;
mod view;

pub use entries::LARGEST_RANGE;

use crate::model::lvs::Lvs as Config;
use crate::model::lvs::{GroupEntry, Service, VirtualServer};
use crate::state::check::{CheckReport, CheckerId};
use crate::state::lvs::{LvsEffect, LvsSnapshot, Marked, Operation, ServiceKey, Table};
use marks::Marks;
use pool::Pool;
use server::{Check, Real, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// Settings from `global_defs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LvsSettings {
    /// `rs_init_notifies`.
    pub init_notifies: bool,
}

/// What happens to the table when the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LvsStop {
    /// Each virtual server is taken out, with a line for each of its real servers.
    Remove,
    /// The same without lines (`lvs_flush_on_stop VS`).
    RemoveQuietly,
    /// Nothing here: the table is flushed (`lvs_flush_on_stop`) or kept (`--dont-release-ipvs`).
    Leave,
}

/// All virtual servers.
#[derive(Debug, Default)]
pub struct Lvs {
    settings: LvsSettings,
    servers: Vec<Server>,
    /// Lines of groups, to tell what a reload changes.
    groups: BTreeMap<String, Vec<GroupEntry>>,
    pool: Pool,
    checks: BTreeMap<CheckerId, (usize, usize, usize)>,
    /// Addresses of this host; asked for with `ha_suspend` only.
    local: BTreeSet<IpAddr>,
    next_server: u32,
    next_check: u32,
    now: Option<SystemTime>,
    marks: Marks,
}

impl Lvs {
    /// Takes a configuration: the first one, or a new one at a reload, where everything that stays keeps its
    /// state.
    pub fn configure(&mut self, config: &Config, settings: LvsSettings, out: &mut Vec<LvsEffect>) {
        self.settings = settings;
        self.marks.assign(config);
        let kept = self.take_differences(config, out);
        let mut begun = BTreeSet::new();
        let mut servers = Vec::with_capacity(config.servers.len());
        for (new, old) in config.servers.iter().zip(kept) {
            let server = match old {
                Some(server) => server,
                None => {
                    let mut server = self.new_server(new, config);
                    server.begin(&mut self.pool, settings.init_notifies, out);
                    begun.insert(server.id);
                    server
                }
            };
            servers.push(server);
        }
        self.servers = servers;
        self.groups = config
            .groups
            .iter()
            .map(|g| (g.name.clone(), g.entries.clone()))
            .collect();
        self.index();
        if let Some(now) = self.now {
            for server in &mut self.servers {
                server.look(None, now);
            }
        }
        for server in &self.servers {
            if begun.contains(&server.id) {
                for place in 0..server.reals.len() {
                    server.start_checks(place, |_| true, out);
                }
            }
        }
    }

    /// A verdict.
    pub fn report(&mut self, report: &CheckReport, out: &mut Vec<LvsEffect>) {
        let Some((server, real, check)) = self.checks.get(&report.checker) else {
            return;
        };
        let place = (*real, *check);
        if let Some(server) = self.servers.get_mut(*server) {
            server.report(place, &report.verdict, &mut self.pool, out);
            if let Some(now) = self.now {
                server.look(Some(place.0), now);
                server.remember(place, &report.verdict, now);
            }
        }
    }

    /// The moment of what comes next, for those who ask since when something is so.
    pub fn at(&mut self, now: SystemTime) {
        self.now = Some(now);
    }

    /// The addresses of this host have changed.
    pub fn addresses(&mut self, local: BTreeSet<IpAddr>, out: &mut Vec<LvsEffect>) {
        self.local = local;
        for server in &mut self.servers {
            let suspended = is_suspended(server, &self.local);
            server.suspend(suspended, out);
        }
    }

    /// Whether [`Lvs::addresses`] makes a difference.
    pub fn asks_for_addresses(&self) -> bool {
        self.servers.iter().any(|server| server.config.ha_suspend)
    }

    /// The daemon stops.
    pub fn stop(&mut self, how: LvsStop, out: &mut Vec<LvsEffect>) {
        for server in &mut self.servers {
            server.stop(how == LvsStop::Remove, out);
            if how != LvsStop::Leave {
                for key in std::mem::take(&mut server.keys) {
                    self.pool.take_service(key, server.id, out);
                }
            }
        }
        out.extend(self.checks.keys().map(|id| LvsEffect::Stop(*id)));
        self.checks.clear();
    }

    /// `nftables_ipvs`: as of the next configuration, groups of addresses are known by marks from this one on.
    pub fn map_groups(&mut self, from: Option<u32>) {
        self.marks.from = from;
    }

    /// What nftables is to mark.
    pub fn marked(&self, config: &Config) -> Vec<Marked> {
        self.marks.marked(config)
    }

    /// Whether a checker belongs to a real server still.
    pub fn has_checker(&self, id: CheckerId) -> bool {
        self.checks.contains_key(&id)
    }

    /// What the kernel is to hold.
    pub fn table(&self) -> Table {
        self.pool.table()
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> LvsSnapshot {
        LvsSnapshot {
            servers: self.servers.iter().map(Server::view).collect(),
            marks: self.marks.given().clone(),
            standings: BTreeMap::new(),
            traffic: Vec::new(),
        }
    }

    fn new_server(&mut self, config: &VirtualServer, all: &Config) -> Server {
        self.next_server = self.next_server.wrapping_add(1);
        let reals = config.real_servers.iter();
        let mut server = Server {
            id: self.next_server,
            name: config.to_string(),
            keys: self.services(config, all),
            ranges: match self.marks.from {
                Some(_) => marks::ranges(config, all),
                None => Vec::new(),
            },
            reals: reals.map(|real| self.new_real(config, real)).collect(),
            config: Arc::new(config.clone()),
            sorry: Default::default(),
            quorum_up: false,
            since: Default::default(),
            suspended: false,
            reloaded: false,
        };
        server.suspended = is_suspended(&server, &self.local);
        server
    }

    /// Its services in the kernel, in the order of the file.
    fn services(&self, server: &VirtualServer, all: &Config) -> Vec<ServiceKey> {
        marks::services(self.marks.given(), server, all)
    }

    fn new_real(&mut self, server: &VirtualServer, config: &crate::model::lvs::RealServer) -> Real {
        let checks = config.checkers.iter().map(|checker| {
            self.next_check = self.next_check.wrapping_add(1);
            Check::new(CheckerId(self.next_check), Arc::new(checker.clone()))
        });
        Real {
            name: server.real_server_name(config.address, config.port),
            checks: checks.collect(),
            alive: false,
            told_down: false,
            set: false,
            weight_before: 0,
            reloaded: false,
            since: Default::default(),
        }
    }

    fn index(&mut self) {
        self.checks.clear();
        for (s, server) in self.servers.iter().enumerate() {
            for (r, real) in server.reals.iter().enumerate() {
                for (c, check) in real.checks.iter().enumerate() {
                    self.checks.insert(check.id, (s, r, c));
                }
            }
        }
    }
}

fn is_suspended(server: &Server, local: &BTreeSet<IpAddr>) -> bool {
    server.config.ha_suspend
        && !matches!(server.config.service, Service::Mark(_))
        && match server.ranges.is_empty() {
            true => !entries::holds_address(&server.keys, |address| local.contains(&address)),
            false => !server
                .ranges
                .iter()
                .any(|(first, last)| first <= last && local.range(first..=last).next().is_some()),
        }
}

/// Whether a change of the kernel's table is one of these effects.
pub fn operations(effects: &[LvsEffect]) -> impl Iterator<Item = &Operation> {
    effects.iter().filter_map(|effect| match effect {
        LvsEffect::Kernel(operation) => Some(operation),
        _ => None,
    })
}
