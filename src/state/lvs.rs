//! The load balancer: what the kernel's table is to hold, and what is told about virtual and real servers.

use super::check::{CheckHistory, CheckerId, Standing};
use super::traffic::VirtualTraffic;
use crate::model::checker::Checker;
use crate::model::lvs::{Method, Protocol, SchedulerFlags, VirtualServer};
use crate::model::route::Family;
use crate::model::script::NotifyScript;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// A service of IPVS: what packets are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// An address and a port; port 0 is all.
    Address(Protocol, IpAddr, u16),
    /// A firewall mark.
    Mark(u32, Family),
}

impl ServiceKey {
    /// Address family.
    pub fn family(&self) -> Family {
        match self {
            ServiceKey::Address(_, IpAddr::V4(_), _) => Family::Inet,
            ServiceKey::Address(_, IpAddr::V6(_), _) => Family::Inet6,
            ServiceKey::Mark(_, family) => *family,
        }
    }
}

/// As virtual servers are named: `[192.0.2.1]:tcp:80`, `FWM 7`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Address(protocol, address, port) => {
                write!(f, "[{address}]:{}:{port}", Protocol::name(Some(*protocol)))
            }
            ServiceKey::Mark(mark, _) => write!(f, "FWM {mark}"),
        }
    }
}

/// How a service distributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceSettings {
    /// `lvs_sched`.
    pub scheduler: String,
    /// Flags of the scheduler, one packet scheduling.
    pub flags: SchedulerFlags,
    /// `persistence_engine`.
    pub engine: Option<String>,
    /// `persistence_timeout`, seconds; `None` is not persistent.
    pub persistence: Option<u32>,
    /// `persistence_granularity`: network mask of IPv4 as a number (0xffffff00), prefix length of IPv6.
    pub mask: u32,
}

/// A server behind a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationKey {
    /// Address; its family may differ from the service's with tunnels.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

impl fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]:{}", self.address, self.port)
    }
}

/// How a server is reached and how much it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DestinationSettings {
    /// `lvs_method`.
    pub method: Method,
    /// Weight, 0 to 65535; 0 takes no new connections.
    pub weight: u32,
    /// `uthreshold`; 0 is no limit.
    pub upper: u32,
    /// `lthreshold`.
    pub lower: u32,
}

/// One service with its servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableEntry {
    /// How it distributes.
    pub settings: ServiceSettings,
    /// Servers.
    pub destinations: BTreeMap<DestinationKey, DestinationSettings>,
}

/// The table of the kernel, or the part of it that is ours.
pub type Table = BTreeMap<ServiceKey, TableEntry>;

/// One change of the kernel's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A new service.
    AddService(ServiceKey, ServiceSettings),
    /// Other settings.
    EditService(ServiceKey, ServiceSettings),
    /// The service and its servers leave.
    RemoveService(ServiceKey),
    /// A new server.
    AddDestination(ServiceKey, DestinationKey, DestinationSettings),
    /// Other settings; connections stay.
    EditDestination(ServiceKey, DestinationKey, DestinationSettings),
    /// The server leaves.
    RemoveDestination(ServiceKey, DestinationKey),
}

/// `nftables_ipvs`: packets that get a firewall mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// The mark.
    pub mark: u32,
    /// Protocol.
    pub protocol: Protocol,
    /// First destination address.
    pub first: IpAddr,
    /// Last one.
    pub last: IpAddr,
    /// Destination port; 0 is all.
    pub port: u16,
}

/// `lvs_sync_daemon`: one daemon of the kernel that tells or learns connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDaemon {
    /// It sends (master), else it receives (backup).
    pub master: bool,
    /// `interface`.
    pub interface: String,
    /// `id`.
    pub id: u8,
    /// `maxlen`.
    pub max_length: Option<u16>,
    /// `group`.
    pub group: Option<IpAddr>,
    /// `port`.
    pub port: Option<u16>,
    /// `ttl`.
    pub ttl: Option<u8>,
}

/// A checker that is to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckerStart {
    /// Its number.
    pub id: CheckerId,
    /// What it does.
    pub checker: Arc<Checker>,
    /// Name of the virtual server in log lines.
    pub virtual_server: String,
    /// Name of the real server in log lines.
    pub real_server: String,
    /// Verdict that it starts with.
    pub up: bool,
    /// `weight` of the real server.
    pub weight: u32,
}

/// Something that an operator reads about. The texts are in `report::lvs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LvsNotice {
    /// A checker starts. `real` and `server` are the names in log lines, here and below.
    Activating {
        /// Real server.
        real: String,
        /// Virtual server.
        server: String,
    },
    /// `ha_suspend` at the start: the address is not on this host.
    Deactivating {
        /// Real server.
        real: String,
        /// Virtual server.
        server: String,
    },
    /// `ha_suspend`: the address left this host.
    Suspending {
        /// Real server.
        real: String,
        /// Virtual server.
        server: String,
    },
    /// A real server came up or went down.
    Alive {
        /// Real server.
        real: String,
        /// Virtual server.
        server: String,
        /// It stays in the table (`inhibit_on_failure`).
        inhibit: bool,
        /// Up.
        up: bool,
    },
    /// A checker changed the weight.
    Weight {
        /// Real server.
        real: String,
        /// Virtual server.
        server: String,
        /// The server is up.
        active: bool,
        /// Before.
        from: u32,
        /// Now.
        to: u32,
    },
    /// Quorum gained or lost.
    Quorum {
        /// Virtual server.
        server: String,
        /// Which.
        change: QuorumChange,
        /// `quorum`.
        quorum: u32,
        /// `hysteresis`.
        hysteresis: u32,
        /// Weight of all servers that are up.
        weight: u64,
    },
    /// The sorry server is put in or taken out.
    Sorry {
        /// Sorry server.
        real: String,
        /// Virtual server.
        server: String,
        /// It stays in the table (`sorry_server_inhibit`).
        inhibit: bool,
        /// In.
        used: bool,
    },
    /// The servers that are up are put in or taken out because of the sorry server.
    Pool {
        /// Virtual server.
        server: String,
        /// In.
        used: bool,
    },
    /// The daemon stops.
    ShuttingDown {
        /// Real server.
        real: String,
        /// Virtual server.
        server: String,
        /// It is in the table with weight 0.
        inhibited: bool,
    },
    /// A real server leaves because a reload removed it, or its virtual server.
    Removing {
        /// Real server.
        real: String,
        /// Virtual server.
        server: String,
        /// It is in the table with weight 0.
        inhibited: bool,
    },
    /// A reload removed a virtual server.
    ServerGone {
        /// Virtual server.
        server: String,
        /// Name of its group.
        group: Option<String>,
    },
    /// A reload removed a real server.
    RealGone {
        /// Real server.
        real: String,
    },
    /// A reload changed a group.
    GroupEntry {
        /// Entry.
        entry: String,
        /// Group.
        group: String,
        /// Added.
        added: bool,
    },
}

/// What became of a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuorumChange {
    /// Gained.
    Gained,
    /// Lost.
    Lost,
    /// Not there at the start.
    DownAtStart,
}

/// A virtual or a real server came up or went down: for scripts, FIFOs, mail and SNMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LvsNotification {
    /// Name of the virtual server.
    pub server: String,
    /// Name of the real server; `None`: it is about the virtual server.
    pub real: Option<String>,
    /// Up.
    pub up: bool,
    /// Script for it.
    pub script: Option<NotifyScript>,
    /// The daemon stops (`omega`).
    pub stopping: bool,
}

/// A mail about a virtual or a real server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LvsMail {
    /// Name of the virtual server.
    pub server: String,
    /// Name of the real server; `None`: it is about the virtual server.
    pub real: Option<String>,
    /// Up.
    pub up: bool,
    /// The server's own state changed, not only that of one of its checkers (`no_checker_emails`).
    pub changed: bool,
    /// Its text, without the arrows.
    pub text: String,
}

/// What the decisions want done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum LvsEffect {
    /// Change the kernel's table.
    Kernel(Operation),
    /// Tell the operator.
    Notice(LvsNotice),
    /// Tell others.
    Notify(LvsNotification),
    /// Send a mail (`smtp_alert`).
    Mail(LvsMail),
    /// Start a checker.
    Start(CheckerStart),
    /// End a checker.
    Stop(CheckerId),
}

/// A checker as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckerView {
    /// Its number.
    pub id: CheckerId,
    /// What it does.
    pub checker: Arc<Checker>,
    /// It runs (`ha_suspend`).
    pub enabled: bool,
    /// Verdict.
    pub up: bool,
    /// It has given a verdict.
    pub has_run: bool,
    /// What it adds to the weight.
    pub weight: i64,
    /// Its verdicts so far.
    pub history: Arc<CheckHistory>,
}

/// Since when something is up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Since {
    /// Up, when it was last looked at; `None` before the first time.
    up: Option<bool>,
    /// Since when; `None` before the first time.
    pub at: Option<SystemTime>,
    /// How often it has changed.
    pub changes: u64,
}

impl Since {
    /// It is this at this moment.
    pub fn look(&mut self, up: bool, now: SystemTime) {
        if let Some(before) = self.up.replace(up) {
            if before == up {
                return;
            }
            self.changes += 1;
        }
        self.at = Some(now);
    }
}

/// A real server as it is now; its settings are those of the same place in the virtual server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RealView {
    /// Weight with what checkers add.
    pub weight: u32,
    /// The weight before the last reload; 0 before the first.
    pub weight_before: u32,
    /// Up.
    pub alive: bool,
    /// In the table.
    pub set: bool,
    /// Checkers that fail.
    pub failed: u32,
    /// It was there before the last reload.
    pub reloaded: bool,
    /// Since when it is up or down.
    pub since: Since,
    /// Checkers.
    pub checkers: Vec<CheckerView>,
}

/// The sorry server as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SorryView {
    /// In the table.
    pub set: bool,
    /// In use.
    pub alive: bool,
}

/// A virtual server as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerView {
    /// Its settings.
    pub config: Arc<VirtualServer>,
    /// Real servers, in the order of the settings.
    pub reals: Vec<RealView>,
    /// Sorry server.
    pub sorry: SorryView,
    /// It has its quorum.
    pub quorum_up: bool,
    /// Since when it has or lacks it.
    pub since: Since,
    /// Weight of the real servers that are up.
    pub weight: u64,
    /// It was there before the last reload.
    pub reloaded: bool,
}

/// Everything about virtual servers, for dumps.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LvsSnapshot {
    /// In the order of the file.
    pub servers: Vec<ServerView>,
    /// `nftables_ipvs`: marks of groups, by group and protocol.
    pub marks: BTreeMap<(String, Protocol), u32>,
    /// Where each checker stands.
    pub standings: BTreeMap<CheckerId, Standing>,
    /// What the kernel has counted for each of them; empty where nobody asked.
    pub traffic: Vec<VirtualTraffic>,
}
