//! Desired kernel state, and what the kernel reports.
//!
//! Messages between the VRRP thread and the kernel thread. The VRRP thread says which instance claims
//! its addresses and when they are announced; the kernel thread makes it so, and reports.

use super::{InstanceId, Interface};
use crate::model::Address;
use crate::model::vrrp::Accept;
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
    /// `no_accept`, strict mode: packets to the addresses are dropped while they are claimed.
    pub accept: Accept,
    /// `promote_secondaries`.
    pub promote_secondaries: bool,
    /// Its base priority is 255: never dropped.
    pub owner: bool,
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
    /// `-a`: log every address change seen.
    pub log_addresses: bool,
}

/// Ordered by the VRRP thread. A request never waits for another.
#[derive(Debug, Clone, PartialEq)]
pub enum KernelRequest {
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
    /// Add the instance's addresses, announcing each slice as soon as the kernel has it.
    Claim {
        /// Instance.
        instance: InstanceId,
        /// Grows with each claim or release of the instance; a stale one is ignored.
        epoch: u64,
        /// Gratuitous ARPs or unsolicited NAs per address.
        announce: u32,
    },
    /// Remove the instance's addresses. Overtakes the unfinished rest of a claim.
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
    /// All is done; nothing follows.
    Stopped,
}
