//! What the running daemon looks like at one moment: what dumps, JSON, and status are rendered from.

use super::bfd::SessionSnapshot;
use super::company::CompanySnapshot;
use super::history::{NotifyHistory, ScriptHistory};
use super::lvs::LvsSnapshot;
use super::track::ScriptResult;
use super::{InstanceId, Interface, Statistics, VrrpState};
use crate::model::bfd::BfdInstance;
use crate::model::route::Family;
use crate::model::vrrp::{GarpGroup, InitialState};
use crate::model::{Configuration, Instance, SyncGroup, TrackFile, TrackProcess, TrackScript};
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
    /// Which of the configuration's static addresses are set.
    pub static_set: Vec<bool>,
    /// Instances, in the order of the file.
    pub instances: Vec<InstanceSnapshot>,
    /// Sync groups, in the order of the file.
    pub groups: Vec<GroupSnapshot>,
    /// Advert sockets.
    pub sockets: Vec<SocketSnapshot>,
    /// Tracked scripts.
    pub scripts: Vec<ScriptSnapshot>,
    /// What came of notify scripts, in the order of subjects and occasions.
    pub notify_scripts: Vec<NotifyHistory>,
    /// Tracked files.
    pub files: Vec<FileSnapshot>,
    /// Tracked processes.
    pub processes: Vec<ProcessSnapshot>,
    /// BFD sessions that instances track.
    pub bfd: Vec<BfdSnapshot>,
    /// All BFD sessions, in the order of the file.
    pub bfd_sessions: Vec<SessionSnapshot>,
    /// Descriptor of the socket that BFD listens on; the first one, where there are several.
    pub bfd_listen: Option<i32>,
    /// `garp_group`, and the groups that `vrrp_garp_interval` makes.
    pub garp_groups: Vec<GarpGroupSnapshot>,
    /// Interfaces, by index; those that are configured but do not exist (index 0) last.
    pub interfaces: Vec<InterfaceSnapshot>,
    /// Virtual servers, where the load balancer runs.
    pub lvs: Option<LvsSnapshot>,
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
    /// Priority of the master that was last obeyed; 0 when there was none.
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
    /// Highest priority heard from others, for `nopreempt`.
    pub highest_other_priority: u8,
    /// Kinds of receive errors already logged since the master last changed, one bit each.
    pub logged_errors: u32,
    /// Which of `vips` are set.
    pub vips_set: Vec<bool>,
    /// Which of `excluded_vips` are set.
    pub excluded_set: Vec<bool>,
    /// For each of `routes`: the interface that the kernel has chosen for one that names none.
    pub route_devices: Vec<Option<String>>,
    /// Firewall rules for its addresses are in place.
    pub firewall_set: bool,
    /// Descriptors of its sockets.
    pub sockets: Option<(i32, i32)>,
    /// Counters.
    pub statistics: Statistics,
    /// Why it is in its state, in one sentence.
    pub cause: String,
    /// Other routers of the same virtual router, as it has met them.
    pub company: CompanySnapshot,
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
    /// Its runs.
    pub history: ScriptHistory,
}

/// One tracked file.
#[derive(Debug, Clone)]
pub struct FileSnapshot {
    /// Configuration.
    pub config: Arc<TrackFile>,
    /// Number in the file; 0 when there is none.
    pub value: i64,
}

/// One tracked process.
#[derive(Debug, Clone)]
pub struct ProcessSnapshot {
    /// Configuration.
    pub config: Arc<TrackProcess>,
    /// Processes that match now.
    pub current: u32,
    /// As many as `quorum` asks for, and no more than `quorum_max`.
    pub have_quorum: bool,
    /// `fork_delay` runs.
    pub fork_timer: bool,
    /// `terminate_delay` runs.
    pub terminate_timer: bool,
}

/// One BFD session, as the instances that track it see it.
#[derive(Debug, Clone)]
pub struct BfdSnapshot {
    /// Configuration.
    pub config: Arc<BfdInstance>,
    /// The session is up.
    pub up: bool,
}

/// One pace of gratuitous ARPs and unsolicited NAs.
#[derive(Debug, Clone)]
pub struct GarpGroupSnapshot {
    /// Configuration; made up where `vrrp_garp_interval` or `vrrp_gna_interval` is the reason.
    pub config: GarpGroup,
    /// No gratuitous ARP before; `None` when none was sent yet.
    pub garp_next: Option<SystemTime>,
    /// No unsolicited NA before.
    pub gna_next: Option<SystemTime>,
}

/// One interface.
#[derive(Debug, Clone, Default)]
pub struct InterfaceSnapshot {
    /// As the kernel reports it; index 0 when it does not exist.
    pub interface: Arc<Interface>,
    /// It has been up since it was first seen.
    pub seen_up: bool,
    /// Kernel settings that were found, where instances change them.
    pub settings: InterfaceSettings,
}

/// Kernel settings of an interface, as found before anything was changed.
#[derive(Debug, Clone, Default)]
pub struct InterfaceSettings {
    /// How many users need the ARP settings changed (VMACs).
    pub arp_users: u32,
    /// `arp_ignore`.
    pub arp_ignore: u32,
    /// `arp_filter`.
    pub arp_filter: u32,
    /// `rp_filter`, where it has been looked at.
    pub rp_filter: Option<u32>,
    /// `promote_secondaries`.
    pub promote_secondaries: u32,
    /// How many users need `promote_secondaries` set.
    pub promote_users: u32,
    /// IPv6 `forwarding` and when it was looked at (the router flag of NAs).
    pub ipv6_forwarding: Option<(bool, SystemTime)>,
}

impl Snapshot {
    /// The daemon at its start: nothing has happened yet. `interfaces` are those that exist, in their order;
    /// configured ones that do not are added.
    pub fn initial(config: Arc<Configuration>, wall: SystemTime, interfaces: &[Interface]) -> Self {
        let mut taken: Vec<InterfaceSnapshot> = interfaces.iter().map(InterfaceSnapshot::new).collect();
        for instance in &config.instances {
            let name = &instance.interface;
            if instance.promote_secondaries
                && let Some(found) = taken.iter_mut().find(|found| found.interface.name == *name)
            {
                found.settings.promote_users += 1;
            }
            if !name.is_empty() && !taken.iter().any(|found| found.interface.name == *name) {
                taken.push(InterfaceSnapshot::missing(name));
            }
        }
        let instances = (0u32..).zip(&config.instances);
        let instances =
            instances.map(|(id, instance)| InstanceSnapshot::initial(InstanceId(id), instance, interfaces));
        let scripts = config.scripts.iter().map(|script| ScriptSnapshot {
            config: Arc::new(script.clone()),
            result: 0,
            up: None,
            initialising: true,
            running: false,
            last: None,
            history: ScriptHistory::default(),
        });
        let files = config.files.iter().map(|file| FileSnapshot {
            config: Arc::new(file.clone()),
            value: 0,
        });
        let processes = config.processes.iter().map(|process| ProcessSnapshot {
            config: Arc::new(process.clone()),
            current: 0,
            have_quorum: false,
            fork_timer: false,
            terminate_timer: false,
        });
        let bfd = config.bfd.iter().filter(|bfd| bfd.vrrp).map(|bfd| BfdSnapshot {
            config: Arc::new(bfd.clone()),
            up: false,
        });
        let groups = config.sync_groups.iter().map(|group| GroupSnapshot {
            config: Arc::new(group.clone()),
            state: start_state(
                config
                    .instances
                    .iter()
                    .filter(|i| group.members.contains(&i.name)),
            ),
            members_fault: 0,
            members_init: 0,
        });
        Snapshot {
            wall,
            static_set: vec![false; config.static_addresses.len()],
            instances: instances.collect(),
            groups: groups.collect(),
            sockets: Vec::new(),
            scripts: scripts.collect(),
            notify_scripts: Vec::new(),
            files: files.collect(),
            processes: processes.collect(),
            bfd: bfd.collect(),
            bfd_sessions: Vec::new(),
            bfd_listen: None,
            garp_groups: garp_groups(&config),
            lvs: None,
            interfaces: taken,
            config,
        }
    }
}

impl InstanceSnapshot {
    /// An instance to which nothing has happened yet.
    pub fn initial(id: InstanceId, config: &Instance, interfaces: &[Interface]) -> Self {
        let interface = interfaces.iter().find(|i| i.name == config.interface);
        InstanceSnapshot {
            id,
            config: Arc::new(config.clone()),
            state: VrrpState::Init,
            wanted: start_state(std::iter::once(config)),
            effective_priority: config.priority,
            total_priority: i32::from(config.priority),
            contributions: Vec::new(),
            master: None,
            master_priority: 0,
            master_interval: config.advert_interval,
            master_down: Duration::ZERO,
            last_transition: None,
            read_timeout: None,
            last_advert_sent: None,
            tracker_faults: 0,
            interface_faults: Vec::new(),
            scripts_init: 0,
            source: config
                .source
                .or_else(|| interface.and_then(|i| i.source(config.family == Family::Inet6))),
            interface_index: interface.map_or(0, |i| i.index),
            highest_other_priority: 0,
            logged_errors: 0,
            vips_set: vec![false; config.vips.len()],
            excluded_set: vec![false; config.excluded_vips.len()],
            route_devices: Vec::new(),
            firewall_set: false,
            sockets: None,
            statistics: Statistics::default(),
            cause: "not started yet".into(),
            company: CompanySnapshot::default(),
        }
    }
}

impl InterfaceSnapshot {
    /// An interface as the kernel reports it.
    pub fn new(interface: &Interface) -> Self {
        InterfaceSnapshot {
            seen_up: interface.is_up(),
            interface: Arc::new(interface.clone()),
            ..InterfaceSnapshot::default()
        }
    }

    /// An interface that is configured but does not exist.
    pub fn missing(name: &str) -> Self {
        InterfaceSnapshot {
            interface: Arc::new(Interface {
                name: name.to_owned(),
                ..Interface::default()
            }),
            settings: InterfaceSettings {
                rp_filter: Some(0),
                ..InterfaceSettings::default()
            },
            ..InterfaceSnapshot::default()
        }
    }
}

/// State that all of `instances` want at the start.
fn start_state<'a>(mut instances: impl Iterator<Item = &'a Instance>) -> VrrpState {
    if instances.all(|instance| instance.initial_state == InitialState::Master) {
        VrrpState::Master
    } else {
        VrrpState::Backup
    }
}

/// `garp_group`s as configured, and one more for each interface that only the global intervals pace.
fn garp_groups(config: &Configuration) -> Vec<GarpGroupSnapshot> {
    let mut groups = config.garp_groups.clone();
    let globals = &config.globals;
    if !globals.garp_interval.is_zero() || !globals.gna_interval.is_zero() {
        for instance in &config.instances {
            let name = &instance.interface;
            if !name.is_empty() && !groups.iter().any(|group| group.interfaces.contains(name)) {
                groups.push(GarpGroup {
                    garp_interval: Some(globals.garp_interval).filter(|interval| !interval.is_zero()),
                    gna_interval: Some(globals.gna_interval).filter(|interval| !interval.is_zero()),
                    interfaces: vec![name.clone()],
                    aggregated: false,
                });
            }
        }
    }
    let group = |config| GarpGroupSnapshot {
        config,
        garp_next: None,
        gna_next: None,
    };
    groups.into_iter().map(group).collect()
}
