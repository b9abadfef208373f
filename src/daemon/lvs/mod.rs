//! The load balancer's thread: it decides, runs the checkers, and keeps the kernel's table. It shares nothing
//! with the VRRP thread, and what it does takes no time from it.

mod counters;
mod feeds;
mod record;
mod sync;
mod thread;

pub use counters::Counters;

use super::services::Services;
use crate::model::Configuration;
use crate::process::privileges::ScriptGroups;
use crate::serve::snmp::Snmp;
use crate::state::lvs::LvsSnapshot;
use crate::state::track::{TrackSource, Verdict};
use crate::state::{InstanceId, Interface, VrrpState};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// A handle to the thread. Nothing here blocks.
#[derive(Debug, Clone)]
pub struct Handle {
    orders: UnboundedSender<Order>,
    counters: Counters,
}

/// A configuration that comes into force.
#[derive(Debug)]
pub struct Change {
    /// All of it.
    pub config: Arc<Configuration>,
    /// Who tells others and starts scripts.
    pub services: Option<Services>,
    /// Who notifies over SNMP.
    pub snmp: Option<Snmp>,
    /// Groups of the users that scripts run as.
    pub groups: ScriptGroups,
    /// Addresses that the instances claim, in the order in which the kernel thread reports them.
    pub vips: BTreeMap<InstanceId, Vec<IpAddr>>,
    /// `--dont-release-ipvs`.
    pub keep: bool,
}

#[derive(Debug)]
enum Order {
    Configure(Box<Change>),
    Interface(Arc<Interface>),
    InterfaceGone(u32),
    Claimed(InstanceId, Vec<bool>),
    Instance(Arc<str>, VrrpState),
    Follow(TrackSource, Verdict),
    Snapshot(mpsc::Sender<LvsSnapshot>),
    Stop(oneshot::Sender<()>),
}

/// Whether a configuration has work for this thread.
pub fn is_needed(config: &Configuration) -> bool {
    !config.lvs.servers.is_empty() || config.globals.lvs_sync_daemon.is_some()
}

/// The file that tells the next daemon what is ours, beside the pid file of the checkers.
pub fn record(checkers_pid: &Path) -> PathBuf {
    checkers_pid.with_extension("ipvs")
}

/// Whether a daemon that was killed has left something in IPVS, as its file says.
pub fn has_left(record: &Path) -> bool {
    record::is_left(record)
}

impl Handle {
    /// Starts the thread, which keeps this file.
    pub fn start(record: PathBuf) -> io::Result<Handle> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, waiting) = unbounded_channel();
        std::thread::Builder::new()
            .name("lvs".to_owned())
            .spawn(move || {
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, thread::Thread::new(record).run(waiting));
            })?;
        Ok(Handle {
            orders,
            counters: Counters::default(),
        })
    }

    /// Takes a configuration, at start or at a reload.
    pub fn configure(&self, change: Change) {
        self.send(Order::Configure(Box::new(change)));
    }

    /// An interface is there or has changed.
    pub fn interface(&self, interface: Arc<Interface>) {
        self.send(Order::Interface(interface));
    }

    /// An interface is gone.
    pub fn interface_gone(&self, index: u32) {
        self.send(Order::InterfaceGone(index));
    }

    /// Which of the addresses of an instance are on their interface now.
    pub fn claimed(&self, instance: InstanceId, set: Vec<bool>) {
        self.send(Order::Claimed(instance, set));
    }

    /// A VRRP instance has a new state.
    pub fn instance(&self, name: Arc<str>, state: VrrpState) {
        self.send(Order::Instance(name, state));
    }

    /// A tracked file has another number, a BFD session is up or down.
    pub fn follow(&self, source: TrackSource, verdict: Verdict) {
        self.send(Order::Follow(source, verdict));
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> mpsc::Receiver<LvsSnapshot> {
        let (reply, answer) = mpsc::channel();
        self.send(Order::Snapshot(reply));
        answer
    }

    /// What the kernel counts for its table.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Ends the checks and gives the kernel's table back as the configuration says; the answer comes when that
    /// is done and told.
    pub fn stop(&self) -> oneshot::Receiver<()> {
        let (done, end) = oneshot::channel();
        self.send(Order::Stop(done));
        end
    }

    fn send(&self, order: Order) {
        // The thread ends after Stop only: nobody is left to be told.
        let _ = self.orders.send(order);
    }
}
