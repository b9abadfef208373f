//! Makes the kernel's table hold what is wanted, and keeps it so: changes go out at once, and from time to time
//! the table is read back, piece by piece, and what another program changed is put right.

use super::{Ipvs, errors};
use crate::model::globals::Buffer;
use crate::model::lvs::Method;
use crate::state::lvs::{
    DestinationKey, DestinationSettings, Operation, ServiceKey, ServiceSettings, Table, TableEntry,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use tracing::{error, info};

/// Services whose servers are read in one step of a round.
const STEP: usize = 32;
/// Differences that are told one by one in a round.
const TOLD: usize = 20;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Keeper {
    ipvs: Option<Ipvs>,
    wanted: Table,
    /// The round under way.
    round: Option<Round>,
}

#[derive(Debug, Default)]
struct Round {
    /// Services up to here have been looked at.
    after: Option<ServiceKey>,
    there: BTreeMap<ServiceKey, ServiceSettings>,
    differences: usize,
}

impl Keeper {
    /// Opens IPVS, in the namespace of the calling thread. What is wanted already goes into its table with the
    /// next round.
    pub fn open(&mut self, buffer: Buffer) -> io::Result<()> {
        self.ipvs = Some(Ipvs::open(buffer)?);
        Ok(())
    }

    /// The open connection.
    pub fn ipvs(&mut self) -> Option<&mut Ipvs> {
        self.ipvs.as_mut()
    }

    /// Makes changes.
    pub fn apply(&mut self, operations: Vec<Operation>) {
        for operation in &operations {
            note(&mut self.wanted, operation);
        }
        self.send(operations);
    }

    /// Services that are wanted.
    pub fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.wanted.keys()
    }

    /// Takes out those of these services that are there and are not wanted.
    pub fn remove_left(&mut self, mut left: BTreeSet<ServiceKey>) {
        left.retain(|key| !self.wanted.contains_key(key));
        let Some(ipvs) = self.ipvs.as_mut().filter(|_| !left.is_empty()) else {
            return;
        };
        match ipvs.services() {
            Ok(there) => left.retain(|key| there.iter().any(|found| found.key == *key)),
            Err(problem) => error!(target: "checkers", "IPVS: its table cannot be read: {problem}"),
        }
        for key in &left {
            info!(
                target: "checkers",
                "IPVS: virtual server {key} of a daemon that was killed is not in the configuration: removed"
            );
        }
        self.send(left.into_iter().map(Operation::RemoveService).collect());
    }

    /// One step of a round through the table; true when the round is done.
    pub fn check(&mut self) -> bool {
        if self.ipvs.is_none() {
            return true;
        }
        match self.step() {
            Ok(done) => done,
            Err(problem) => {
                error!(target: "checkers", "IPVS: its table cannot be read: {problem}");
                self.round = None;
                true
            }
        }
    }

    fn step(&mut self) -> io::Result<bool> {
        let Some(ipvs) = self.ipvs.as_mut() else {
            return Ok(true);
        };
        let mut round = match self.round.take() {
            Some(round) => round,
            None => Round {
                there: ipvs
                    .services()?
                    .into_iter()
                    .map(|found| (found.key, found.settings))
                    .collect(),
                ..Round::default()
            },
        };
        let start = round.after.map_or(Bound::Unbounded, Bound::Excluded);
        let slice: Vec<(ServiceKey, &TableEntry)> = self
            .wanted
            .range((start, Bound::Unbounded))
            .take(STEP)
            .map(|(key, entry)| (*key, entry))
            .collect();
        let mut operations = Vec::new();
        for (key, entry) in &slice {
            round.after = Some(*key);
            let mut tell = |text: std::fmt::Arguments<'_>| {
                round.differences += 1;
                if round.differences <= TOLD {
                    info!(target: "checkers", "IPVS: {text}");
                }
            };
            let there = match round.there.get(key) {
                None => {
                    tell(format_args!(
                        "virtual server {key} was not in the table: put back"
                    ));
                    operations.push(Operation::AddService(*key, entry.settings.clone()));
                    None
                }
                Some(settings) => {
                    if *settings != entry.settings {
                        tell(format_args!(
                            "virtual server {key} was changed by another program: set again"
                        ));
                        operations.push(Operation::EditService(*key, entry.settings.clone()));
                    }
                    match ipvs.destinations(key) {
                        Ok(there) => Some(there),
                        // It went meanwhile: the next round puts it back.
                        Err(problem) if gone(problem.raw_os_error()) => continue,
                        Err(problem) => return Err(problem),
                    }
                }
            };
            compare(*key, entry, there.as_deref(), &mut operations, &mut tell);
        }
        let done = slice.len() < STEP;
        self.send(operations);
        if !done {
            self.round = Some(round);
        } else if round.differences > TOLD {
            info!(target: "checkers", "IPVS: {} further differences put right", round.differences - TOLD);
        }
        Ok(done)
    }

    fn send(&mut self, operations: Vec<Operation>) {
        let Some(ipvs) = self.ipvs.as_mut() else {
            return;
        };
        if operations.is_empty() {
            return;
        }
        let refused = match ipvs.apply(&operations) {
            Ok(refused) => refused,
            Err(problem) => {
                error!(target: "checkers", "IPVS: its table cannot be changed: {problem}");
                return;
            }
        };
        let mut again = Vec::new();
        for refused in refused {
            let Some(operation) = operations.get(refused.place) else {
                continue;
            };
            match (operation, refused.errno) {
                // Left by a predecessor, or put there by somebody else: it is to be as the file says.
                (Operation::AddService(key, settings), libc::EEXIST) => {
                    again.push(Operation::EditService(*key, settings.clone()));
                }
                (Operation::AddDestination(key, server, settings), libc::EEXIST) => {
                    again.push(Operation::EditDestination(*key, *server, *settings));
                }
                (Operation::EditDestination(key, server, settings), libc::ENOENT) => {
                    again.push(Operation::AddDestination(*key, *server, *settings));
                }
                (Operation::EditService(key, settings), libc::ESRCH) => {
                    again.push(Operation::AddService(*key, settings.clone()));
                }
                (Operation::RemoveService(_) | Operation::RemoveDestination(..), errno)
                    if gone(Some(errno)) => {}
                (operation, errno) => {
                    info!(target: "checkers", "{}", errors::line(operation, errno, refused.text.as_deref()));
                }
            }
        }
        if again.is_empty() {
            return;
        }
        match ipvs.apply(&again) {
            Ok(refused) => {
                for refused in refused {
                    if let Some(operation) = again.get(refused.place) {
                        info!(
                            target: "checkers",
                            "{}",
                            errors::line(operation, refused.errno, refused.text.as_deref())
                        );
                    }
                }
            }
            Err(problem) => error!(target: "checkers", "IPVS: its table cannot be changed: {problem}"),
        }
    }
}

/// There is no such service, or no such server in it.
fn gone(errno: Option<i32>) -> bool {
    matches!(errno, Some(libc::ENOENT | libc::ESRCH))
}

/// `there` is `None` where the service itself was missing.
fn compare(
    key: ServiceKey,
    entry: &TableEntry,
    there: Option<&[(DestinationKey, DestinationSettings, bool)]>,
    operations: &mut Vec<Operation>,
    tell: &mut impl FnMut(std::fmt::Arguments<'_>),
) {
    // A service that was not there has just been told.
    let (there, fresh) = (there.unwrap_or_default(), there.is_none());
    for (server, found, local) in there {
        match entry.destinations.get(server) {
            None => {
                tell(format_args!(
                    "real server {server} of {key} is not wanted there: removed"
                ));
                operations.push(Operation::RemoveDestination(key, *server));
            }
            Some(wanted) if same(wanted, found, *local) => {}
            Some(wanted) => {
                if wanted.weight == found.weight {
                    tell(format_args!(
                        "real server {server} of {key} was changed by another program: set again"
                    ));
                } else {
                    tell(format_args!(
                        "real server {server} of {key} has weight {}: set to {}",
                        found.weight, wanted.weight
                    ));
                }
                operations.push(Operation::EditDestination(key, *server, *wanted));
            }
        }
    }
    for (server, wanted) in &entry.destinations {
        if !there.iter().any(|(found, ..)| found == server) {
            if !fresh {
                tell(format_args!(
                    "real server {server} of {key} was not in the table: put back"
                ));
            }
            operations.push(Operation::AddDestination(key, *server, *wanted));
        }
    }
}

/// An address of this host is delivered locally, whatever method was asked for.
fn same(wanted: &DestinationSettings, found: &DestinationSettings, local: bool) -> bool {
    let method = |settings: &DestinationSettings| match (local, settings.method) {
        (true, _) => Method::Nat,
        (false, method) => method,
    };
    method(wanted) == method(found)
        && (wanted.weight, wanted.upper, wanted.lower) == (found.weight, found.upper, found.lower)
}

fn note(table: &mut Table, operation: &Operation) {
    match operation {
        Operation::AddService(key, settings) | Operation::EditService(key, settings) => {
            table.entry(*key).or_default().settings = settings.clone();
        }
        Operation::RemoveService(key) => {
            table.remove(key);
        }
        Operation::AddDestination(key, server, settings)
        | Operation::EditDestination(key, server, settings) => {
            if let Some(entry) = table.get_mut(key) {
                entry.destinations.insert(*server, *settings);
            }
        }
        Operation::RemoveDestination(key, server) => {
            if let Some(entry) = table.get_mut(key) {
                entry.destinations.remove(server);
            }
        }
    }
}
