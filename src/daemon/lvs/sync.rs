//! `lvs_sync_daemon`: the kernel's daemons that tell connections to the other director, or learn them from it.
//! With a VRRP instance the one that runs follows its state; without one both run.

use crate::model::Configuration;
use crate::net::ipvs::{Ipvs, errors};
use crate::state::VrrpState;
use crate::state::lvs::SyncDaemon;
use std::io;
use tracing::info;

/// The daemons that are to run.
pub(super) fn wanted(config: &Configuration, state: impl Fn(&str) -> Option<VrrpState>) -> Vec<SyncDaemon> {
    let Some(settings) = &config.globals.lvs_sync_daemon else {
        return Vec::new();
    };
    let instance = config
        .instances
        .iter()
        .find(|instance| instance.name == settings.instance);
    let daemon = |master| SyncDaemon {
        master,
        interface: settings.interface.clone(),
        id: settings
            .id
            .unwrap_or_else(|| instance.map_or(0, |instance| instance.vrid)),
        max_length: settings.max_length,
        group: settings.group,
        port: settings.port,
        ttl: settings.ttl,
    };
    if settings.instance.is_empty() {
        return vec![daemon(true), daemon(false)];
    }
    match instance {
        Some(instance) => vec![daemon(state(&instance.name) == Some(VrrpState::Master))],
        None => Vec::new(),
    }
}

/// Makes it so: what runs and is not wanted, or not like this, ends first.
pub(super) fn apply(ipvs: &mut Ipvs, wanted: &[SyncDaemon]) -> io::Result<()> {
    let running = ipvs.daemons()?;
    for daemon in running
        .iter()
        .filter(|daemon| !wanted.iter().any(|w| same(w, daemon)))
    {
        if let Err(problem) = ipvs.stop_daemon(daemon.master, daemon.id) {
            tell(false, &problem);
        }
    }
    for daemon in wanted
        .iter()
        .filter(|wanted| !running.iter().any(|r| same(wanted, r)))
    {
        if let Err(problem) = ipvs.start_daemon(daemon) {
            tell(true, &problem);
            if problem.raw_os_error() == Some(libc::ENODEV) {
                info!(target: "checkers", "lvs_sync_daemon: interface {} does not exist or is down", daemon.interface);
            }
        }
    }
    Ok(())
}

fn tell(start: bool, problem: &io::Error) {
    let errno = problem.raw_os_error().unwrap_or(0);
    info!(target: "checkers", "{}", errors::daemon_line(start, errno));
}

/// What the file does not say is the kernel's choice.
fn same(wanted: &SyncDaemon, running: &SyncDaemon) -> bool {
    fn chosen<T: PartialEq>(wanted: &Option<T>, running: &Option<T>) -> bool {
        wanted.is_none() || wanted == running
    }
    wanted.master == running.master
        && wanted.id == running.id
        && wanted.interface == running.interface
        && chosen(&wanted.max_length, &running.max_length)
        && chosen(&wanted.group, &running.group)
        && chosen(&wanted.port, &running.port)
        && chosen(&wanted.ttl, &running.ttl)
}
