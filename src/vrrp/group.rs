//! A sync group, or an instance that is in none.

use super::event::{Effects, Event};
use crate::model::{Instance, SyncGroup};
use crate::state::snapshot::{GroupSnapshot, InstanceSnapshot};
use crate::state::{InstanceId, Interface, Now};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What a group is made from.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The sync group; `None` for an instance on its own.
    pub group: Option<Arc<SyncGroup>>,
    /// Members, in the order of the file.
    pub members: Vec<Member>,
    /// All interfaces at this moment, by name.
    pub interfaces: BTreeMap<String, Arc<Interface>>,
    /// `-D` given: some lines are only made then.
    pub detail: bool,
    /// `vrrp_startup_delay`, `vrrp_delay_after_boot`: nothing is sent or believed before this moment
    /// (CLOCK_MONOTONIC, nanoseconds).
    pub hold_until: u64,
}

/// One member.
#[derive(Debug, Clone)]
pub struct Member {
    /// Id; a member with a known id keeps its state in [`Event::Reconfigure`].
    pub id: InstanceId,
    /// Configuration.
    pub config: Arc<Instance>,
}

/// One datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Source address.
    pub source: IpAddr,
    /// Destination: the group, or a peer.
    pub destination: IpAddr,
    /// IPv6: hop limit.
    pub ttl: u8,
    /// IPv4: a whole IP packet (IP_HDRINCL; id is filled in by the sender at bytes 4 and 5).
    /// IPv6: the VRRP message.
    pub bytes: Vec<u8>,
}

/// Why a deadline is there, the earliest of the table of timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Next advert of a master.
    Advert,
    /// Master down interval, or skew time after priority 0.
    MasterDown,
    /// `preempt_delay`.
    Preempt,
    /// Second burst of announcements.
    Announce,
    /// `garp_master_refresh`.
    Refresh,
    /// Second burst after an advert of lower priority.
    LowerPriority,
    /// Wait for another address owner to go away.
    RogueOwner,
}

/// A sync group, or an instance that is in none.
#[derive(Debug)]
pub struct Group {}

impl Group {
    /// Takes its members out of INIT: called once, at start or when a reload adds the group.
    pub fn start(config: GroupConfig, now: Now, out: &mut Effects) -> Group {
        let _ = (config, now, out);
        Group {}
    }

    /// Does what an event asks for. Never blocks, never fails, never panics.
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Effects) {
        let _ = (now, event, out);
    }

    /// The earliest timer: CLOCK_MONOTONIC in nanoseconds, the instance, and what it is for.
    pub fn deadline(&self) -> Option<(u64, InstanceId, Reason)> {
        None
    }

    /// The packets of one advert with this priority, ready to be sent: one, or one per unicast peer.
    /// Prebuilt; a change of priority patches the checksum.
    pub fn advert(&mut self, instance: InstanceId, priority: u8) -> &[Datagram] {
        let _ = (instance, priority);
        &[]
    }

    /// Members as they are now.
    pub fn snapshot(&self, now: Now) -> (Option<GroupSnapshot>, Vec<InstanceSnapshot>) {
        let _ = now;
        (None, Vec::new())
    }

    /// Sets all counters to zero (SIGRTMAX-1).
    pub fn clear_statistics(&mut self) {}
}
