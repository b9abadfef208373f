//! What IPVS counts, for those who ask for it. Read over a connection of its own, by whoever asks, so that neither
//! checkers nor the table wait for it; not more often than the configuration says.

use crate::lvs::traffic;
use crate::model::Configuration;
use crate::net::ipvs::Ipvs;
use crate::process::namespace;
use crate::state::lvs::{DestinationKey, ServiceKey};
use crate::state::snapshot::Snapshot;
use crate::state::traffic::{Counters as Counted, ServerTraffic};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::warn;

/// A handle to what was read last.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<Reader>>);

#[derive(Debug, Default)]
struct Reader {
    ipvs: Option<Ipvs>,
    counted: Counted,
    services_read: Option<Instant>,
    servers_read: Option<Instant>,
    complained: bool,
}

impl Counters {
    /// Puts the counters into a snapshot, read again if they are older than `snmp_vs_stats_update_interval` and
    /// `snmp_rs_stats_update_interval`. Waits for the kernel.
    pub fn put(&self, snapshot: &mut Snapshot) {
        let config = snapshot.config.clone();
        let Some(lvs) = &mut snapshot.lvs else {
            return;
        };
        let mut reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(&config);
        let servers = lvs.servers.iter();
        lvs.traffic = servers
            .map(|server| traffic::of_server(&server.config, &config.lvs, &lvs.marks, &reader.counted))
            .collect();
    }
}

impl Reader {
    fn refresh(&mut self, config: &Configuration) {
        let globals = &config.globals;
        let services = globals.snmp_vs_stats_interval;
        let servers = globals.snmp_rs_stats_interval.unwrap_or(services);
        let is_due = |read: Option<Instant>, age: Duration| read.is_none_or(|read| read.elapsed() >= age);
        let services = is_due(self.services_read, services);
        let servers = is_due(self.servers_read, servers);
        if !services && !servers {
            return;
        }
        match self.read(config, services, servers) {
            Ok(()) => self.complained = false,
            Err(error) => {
                // It is opened anew the next time.
                self.ipvs = None;
                // That there is no IPVS at all has been told at the start.
                let told = error.raw_os_error() == Some(libc::ENOENT) || self.complained;
                if !told {
                    self.complained = true;
                    warn!(target: "checkers", "IPVS: its counters cannot be read: {error}");
                }
            }
        }
    }

    fn read(&mut self, config: &Configuration, services: bool, servers: bool) -> io::Result<()> {
        let ipvs = match &mut self.ipvs {
            Some(ipvs) => ipvs,
            closed => closed.insert(open(config)?),
        };
        let read = ipvs.service_counters()?;
        if servers {
            self.counted.destinations = destinations(ipvs, read.keys())?;
            self.servers_read = Some(Instant::now());
        }
        if services {
            self.counted.services = read;
            self.services_read = Some(Instant::now());
        }
        Ok(())
    }
}

type Destinations = BTreeMap<ServiceKey, BTreeMap<DestinationKey, ServerTraffic>>;

fn destinations<'a>(
    ipvs: &mut Ipvs,
    services: impl Iterator<Item = &'a ServiceKey>,
) -> io::Result<Destinations> {
    let mut all = BTreeMap::new();
    for service in services {
        match ipvs.server_counters(service) {
            Ok(there) => drop(all.insert(*service, there)),
            // It went meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn open(config: &Configuration) -> io::Result<Ipvs> {
    within_namespace(config, || Ipvs::open(config.globals.netlink_buffers.lvs_command))
}

/// Where the daemon's table is: `net_namespace_ipvs`.
pub(super) fn within_namespace<T>(
    config: &Configuration,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    match &config.globals.net_namespace_ipvs {
        None => work(),
        Some(name) => namespace::within(name.as_deref().unwrap_or(namespace::DEFAULT), work)?,
    }
}
