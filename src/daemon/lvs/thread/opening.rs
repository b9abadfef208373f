//! IPVS: found, its module loaded where it is missing, and what is set for the whole of it.

use super::Thread;
use crate::daemon::lvs::{counters, sync};
use crate::model::globals::LvsTimeouts;
use crate::process::spawner::Run;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tracing::{error, info};

/// The module is loaded within this.
const LOADING: Duration = Duration::from_secs(10);

impl Thread {
    /// Opens IPVS; loads its module where it is missing.
    pub(super) async fn open(&mut self) {
        let mut opened = self.try_open();
        if missing(&opened) && !self.without {
            self.load_module().await;
            opened = self.try_open();
        }
        match opened {
            Ok(namespace) => {
                self.left = self.record.open(namespace);
                self.timeouts = self.timeouts.or(self.left.timeouts.take());
                if std::mem::take(&mut self.without) {
                    info!(target: "checkers", "IPVS is there now: the virtual servers are set up");
                    self.set_timeouts();
                    self.sync_daemons();
                    self.remember(&[]);
                    self.sweep();
                }
            }
            Err(_) if self.without => {}
            Err(problem) => {
                self.without = true;
                if missing::<()>(&Err(io::Error::from_raw_os_error(
                    problem.raw_os_error().unwrap_or(0),
                ))) {
                    error!(target: "checkers", "IPVS: Can't initialize ipvs: Protocol not available");
                    error!(
                        target: "checkers",
                        "The kernel has no IPVS: the module ip_vs is not loaded and could not be loaded. Load it with \
                         `modprobe ip_vs`, or build or install a kernel that has it. Real servers are checked all the \
                         same, and VRRP is not affected; the virtual servers are set up when IPVS is there"
                    );
                } else {
                    error!(target: "checkers", "IPVS: Can't initialize ipvs: {problem}");
                }
            }
        }
    }

    /// Returns the number of the network namespace.
    pub(super) fn try_open(&mut self) -> io::Result<u64> {
        counters::within_namespace(&self.config, || {
            self.keeper
                .open(self.config.globals.netlink_buffers.lvs_command)?;
            Ok(std::fs::metadata("/proc/thread-self/ns/net")?.ino())
        })
    }

    pub(super) async fn load_module(&self) {
        let Some(services) = &self.services else {
            return;
        };
        let run = Run {
            argv: vec!["/sbin/modprobe".into(), "-q".into(), "ip_vs".into()],
            groups: vec![0],
            limit: Some(LOADING),
            ..Run::default()
        };
        services.spawner().run(run).wait().await;
    }

    pub(super) fn set_timeouts(&mut self) {
        let wanted = self.config.globals.lvs_timeouts;
        let Some(ipvs) = self.keeper.ipvs() else {
            return;
        };
        if wanted == LvsTimeouts::default() && self.timeouts.is_none() {
            return;
        }
        if self.timeouts.is_none() {
            self.timeouts = ipvs.timeouts().ok();
        }
        // What the file does not set any more goes back to what it was.
        let before = self.timeouts.unwrap_or_default();
        let timeouts = LvsTimeouts {
            tcp: wanted.tcp.or(before.tcp),
            tcp_fin: wanted.tcp_fin.or(before.tcp_fin),
            udp: wanted.udp.or(before.udp),
        };
        if let Err(problem) = ipvs.set_timeouts(&timeouts) {
            error!(target: "checkers", "lvs_timeouts cannot be set: {problem}");
        } else if wanted == LvsTimeouts::default() {
            self.timeouts = None;
        }
    }

    pub(super) fn sync_daemons(&mut self) {
        let left = std::mem::take(&mut self.left.daemons);
        if self.config.globals.lvs_sync_daemon.is_none() && !self.started && !left {
            return;
        }
        let wanted = sync::wanted(&self.config, |name| self.states.get(name).copied());
        if let Some(ipvs) = self.keeper.ipvs()
            && let Err(problem) = sync::apply(ipvs, &wanted)
        {
            error!(target: "checkers", "lvs_sync_daemon: {problem}");
        }
    }
}

fn missing<T>(opened: &io::Result<T>) -> bool {
    matches!(opened, Err(problem) if problem.raw_os_error() == Some(libc::ENOENT))
}
