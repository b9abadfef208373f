//! Desired kernel state, and what the kernel reports.
//!
//! Messages between the VRRP thread and the kernel thread. The VRRP thread says which instance claims
//! its addresses, routes and rules and when addresses are announced; the kernel thread makes it so, and reports.

use super::interface::Linkbeat;
use super::{InstanceId, Interface};
use crate::model::Address;
use crate::model::route::{Route, Rule};
use crate::model::vrrp::Accept;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What the kernel thread must know of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelInstance {
    /// Id.
    pub id: InstanceId,
    /// Name, for log lines.
    pub name: Arc<str>,
    /// Interface of the instance.
    pub interface: String,
    /// `virtual_ipaddress`, in the file's order.
    pub vips: Arc<[Address]>,
    /// `virtual_ipaddress_excluded`.
    pub excluded_vips: Arc<[Address]>,
    /// `virtual_routes`.
    pub routes: Arc<[Route]>,
    /// `virtual_rules`.
    pub rules: Arc<[Rule]>,
    /// `no_accept`, strict mode: packets to the addresses are dropped while they are claimed.
    pub accept: Accept,
    /// `promote_secondaries`.
    pub promote_secondaries: bool,
    /// Its base priority is 255: never dropped.
    pub owner: bool,
    /// `garp_extra_if`.
    pub extra: ExtraAnnounce,
}

/// `garp_extra_if`: announcements from interfaces that no adverts leave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtraAnnounce {
    /// Period; zero is none.
    pub period: Duration,
    /// From all interfaces, not only from VMACs.
    pub all: bool,
    /// The interface that adverts leave.
    pub adverts_on: String,
}

/// An interface that is made for an instance, or for addresses of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualLink {
    /// Its name.
    pub name: String,
    /// Interface that it is over.
    pub over: String,
    /// What it is.
    pub kind: VirtualKind,
    /// `group`; `None` is that of the interface below.
    pub group: Option<u32>,
    /// IPv4 is used on it.
    pub ipv4: bool,
    /// IPv6 is used on it.
    pub ipv6: bool,
    /// Adverts go out of it that need a link-local source: it has that of the interface below.
    pub link_local: bool,
    /// `netlink_notify_msg`.
    pub notify: bool,
    /// Instance that it is made for (the first one), for log lines.
    pub instance: Arc<str>,
}

/// Kind of a [`VirtualLink`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VirtualKind {
    /// A private macvlan with this MAC address.
    Vmac([u8; 6]),
    /// An ipvlan of layer 2.
    Ipvlan {
        /// 0 bridge, 1 private, 2 vepa.
        flags: u16,
        /// An address that it has.
        address: Option<crate::model::IpNetwork>,
    },
}

/// How a [`VirtualLink`] came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Created.
    Created,
    /// It was there with other settings.
    Updated,
    /// It was there.
    Found,
}

/// Links whose state is not simply what the kernel says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkWatch {
    /// `interface_up_down_delays`: how long a change to down, and to up, is held back.
    pub delays: BTreeMap<String, (Duration, Duration)>,
    /// `linkbeat_interfaces`, `linkbeat_use_polling`: asked each second, in this way if it works.
    pub polled: BTreeMap<String, Option<Linkbeat>>,
}

/// `rs_deaf_link`: links of which it is told whether they have received anything since they came up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeafLinks {
    /// Interfaces, by name.
    pub interfaces: std::collections::BTreeSet<String>,
    /// After this it makes no difference any more; zero: none is looked at.
    pub limit: Duration,
}

/// Settings of the kernel thread, from `global_defs`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KernelSettings {
    /// `vrrp_garp_interval`, and per interface from `garp_group`.
    pub garp_interval: Duration,
    /// `vrrp_gna_interval`.
    pub gna_interval: Duration,
    /// `garp_group`: interfaces, GARP interval, NA interval; an entry's interfaces share one pace.
    pub garp_groups: Vec<crate::model::vrrp::GarpGroup>,
    /// nftables table name, `keepalived` by default.
    pub nftables_table: String,
    /// `nftables_priority`.
    pub nftables_priority: i32,
    /// `nftables_ifindex`.
    pub nftables_ifindex: bool,
    /// `nftables_counters`.
    pub nftables_counters: bool,
    /// `vrrp_netlink_cmd_rcv_bufs`.
    pub command_buffer: crate::model::globals::Buffer,
    /// `vrrp_netlink_monitor_rcv_bufs`.
    pub monitor_buffer: crate::model::globals::Buffer,
    /// Interfaces that instances and groups track: their changes are logged, as those of the instances' own.
    pub tracked_interfaces: std::collections::BTreeSet<String>,
    /// Links that are polled, or whose changes are delayed.
    pub watch: LinkWatch,
    /// Links that may be up and deaf.
    pub deaf: DeafLinks,
    /// `rs_when_removed release`: an instance gives up what another program has taken from it.
    pub give_up: bool,
    /// `-a`: log every address change seen.
    pub log_addresses: bool,
    /// Real-time priority of the thread.
    pub realtime: Option<u32>,
}

/// Ordered by the VRRP thread. A request never waits for another.
#[derive(Debug, Clone, PartialEq)]
pub enum KernelRequest {
    /// The virtual interfaces that are wanted from now on: they are there, as far as they can be, before the next
    /// request is looked at. Those that are no longer wanted go with the next `Configure`.
    Links(Vec<VirtualLink>),
    /// The whole set of instances, at start and at each reload. An instance that is claimed has its
    /// differences applied at once; one that is gone is released.
    Configure {
        /// Instances.
        instances: Vec<KernelInstance>,
        /// Settings.
        settings: Box<KernelSettings>,
        /// At start: addresses of instances that are not claimed are removed from their interfaces
        /// (left behind by a killed predecessor).
        clean: bool,
    },
    /// Add the instance's addresses, announcing each slice as soon as the kernel has it; then its routes and
    /// rules.
    Claim {
        /// Instance.
        instance: InstanceId,
        /// Grows with each claim or release of the instance; a stale one is ignored.
        epoch: u64,
        /// Gratuitous ARPs or unsolicited NAs per address.
        announce: u32,
    },
    /// Remove the instance's rules, routes and addresses. Overtakes the unfinished rest of a claim.
    Release {
        /// Instance.
        instance: InstanceId,
        /// See `Claim`.
        epoch: u64,
    },
    /// Announce the claimed addresses again.
    Announce {
        /// Instance.
        instance: InstanceId,
        /// Packets per address.
        repeat: u32,
    },
    /// Announce the instance's own source address (unicast, after recovery).
    AnnounceSource {
        /// Instance.
        instance: InstanceId,
        /// Address.
        source: IpAddr,
        /// Interface index.
        interface: u32,
    },
    /// Read all interfaces again and report every one.
    Resync,
    /// Everything asked for before is done; then report `Stopped`.
    Stop {
        /// `--dont-release-vrrp`: leave addresses where they are.
        keep: bool,
    },
}

/// Reported by the kernel thread.
#[derive(Debug, Clone, PartialEq)]
pub enum KernelReport {
    /// An interface is there or has changed.
    Interface(Arc<Interface>),
    /// An interface is gone.
    InterfaceGone {
        /// Its index.
        index: u32,
        /// Its name.
        name: String,
    },
    /// After a `Links` request: a virtual interface is there.
    VirtualLink {
        /// Its name.
        name: String,
        /// Instance that it is made for.
        instance: Arc<str>,
        /// It is an ipvlan.
        ipvlan: bool,
        /// How it came to be there.
        made: Made,
    },
    /// A `Configure` is in force: what was left behind is removed.
    Configured,
    /// A claim or release is done.
    Applied {
        /// Instance.
        instance: InstanceId,
        /// Epoch of the claim or release.
        epoch: u64,
        /// Which of `vips`, then of `excluded_vips`, are on their interface now.
        set: Vec<bool>,
    },
    /// An address of a master was removed by another program, and put back (or is being put back).
    AddressRestored {
        /// Instance.
        instance: InstanceId,
        /// Address.
        address: IpAddr,
    },
    /// Something of a master was removed by another program, and is not put back: the instance is to give up.
    Removed {
        /// Instance.
        instance: InstanceId,
    },
    /// All is done; nothing follows.
    Stopped,
}
