//! What the running daemon looks like at one moment: what dumps, JSON, and status are rendered from.

use super::track::ScriptResult;
use super::{InstanceId, Interface, Statistics, VrrpState};
use crate::model::{Configuration, Instance, SyncGroup, TrackScript};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The whole daemon.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Running configuration.
    pub config: Arc<Configuration>,
    /// Taken at.
    pub wall: SystemTime,
    /// Instances, in the order of the file.
    pub instances: Vec<InstanceSnapshot>,
    /// Sync groups, in the order of the file.
    pub groups: Vec<GroupSnapshot>,
    /// Advert sockets.
    pub sockets: Vec<SocketSnapshot>,
    /// Tracked scripts.
    pub scripts: Vec<ScriptSnapshot>,
    /// Interfaces, by index.
    pub interfaces: Vec<InterfaceSnapshot>,
}

/// One instance.
#[derive(Debug, Clone)]
pub struct InstanceSnapshot {
    /// Id.
    pub id: InstanceId,
    /// Configuration that it runs with.
    pub config: Arc<Instance>,
    /// State.
    pub state: VrrpState,
    /// State that it wants (a sync group may hold it back).
    pub wanted: VrrpState,
    /// Effective priority, 1 to 254, or 255.
    pub effective_priority: u8,
    /// Sum before clamping.
    pub total_priority: i32,
    /// Where the priority comes from, in words: `base 100`, `script chk -20`.
    pub contributions: Vec<(String, i32)>,
    /// Master that it obeys.
    pub master: Option<IpAddr>,
    /// Priority of that master.
    pub master_priority: u8,
    /// Interval of that master (its own when it is master).
    pub master_interval: Duration,
    /// Master down interval.
    pub master_down: Duration,
    /// When the state last changed.
    pub last_transition: Option<SystemTime>,
    /// When the next timer runs out.
    pub read_timeout: Option<SystemTime>,
    /// When the last advert was sent.
    pub last_advert_sent: Option<SystemTime>,
    /// Trackers that hold it in FAULT.
    pub tracker_faults: u32,
    /// `Flags of interface faults`: words, empty when none.
    pub interface_faults: Vec<String>,
    /// Scripts whose first result it waits for.
    pub scripts_init: u32,
    /// Source address in use.
    pub source: Option<IpAddr>,
    /// Index of its interface; 0 when it does not exist.
    pub interface_index: u32,
    /// Which of `vips` are set.
    pub vips_set: Vec<bool>,
    /// Which of `excluded_vips` are set.
    pub excluded_set: Vec<bool>,
    /// Firewall rules for its addresses are in place.
    pub firewall_set: bool,
    /// Descriptors of its sockets.
    pub sockets: Option<(i32, i32)>,
    /// Counters.
    pub statistics: Statistics,
    /// Why it is in its state, in one sentence.
    pub cause: String,
}

/// One sync group.
#[derive(Debug, Clone)]
pub struct GroupSnapshot {
    /// Configuration.
    pub config: Arc<SyncGroup>,
    /// State.
    pub state: VrrpState,
    /// Members in FAULT.
    pub members_fault: u32,
    /// Members in INIT.
    pub members_init: u32,
}

/// One pair of advert sockets.
#[derive(Debug, Clone)]
pub struct SocketSnapshot {
    /// Interface name.
    pub interface: String,
    /// Interface index.
    pub index: u32,
    /// IPv6.
    pub ipv6: bool,
    /// Protocol 51 rather than 112.
    pub ah: bool,
    /// Unicast source address; `None` is multicast.
    pub unicast: Option<IpAddr>,
    /// Multicast group.
    pub group: Option<IpAddr>,
    /// Receive buffer asked for, bytes; 0 is the kernel's default.
    pub rx_buffer: u32,
    /// Descriptors.
    pub fds: (i32, i32),
    /// Instances on it: name and VRID.
    pub instances: Vec<(String, u8)>,
}

/// One tracked script.
#[derive(Debug, Clone)]
pub struct ScriptSnapshot {
    /// Configuration.
    pub config: Arc<TrackScript>,
    /// Counter, 0 to rise + fall - 1.
    pub result: u32,
    /// `None` until the first result.
    pub up: Option<bool>,
    /// `Init state` still open.
    pub initialising: bool,
    /// A run is in progress.
    pub running: bool,
    /// Last result.
    pub last: Option<ScriptResult>,
}

/// One interface.
#[derive(Debug, Clone)]
pub struct InterfaceSnapshot {
    /// As the kernel reports it.
    pub interface: Arc<Interface>,
    /// Instances that track it, and with which weight (`VI_1, weight 0`).
    pub tracking: Vec<(String, i32, bool)>,
}
