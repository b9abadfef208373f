//! What goes into a group, and what comes out.

use crate::state::company::Unreachable;
use crate::state::notify::Notification;
use crate::state::track::{TrackSource, Verdict};
use crate::state::{InstanceId, Interface};
use std::net::IpAddr;
use std::sync::Arc;

/// A datagram of protocol 112 (or 51) from an advert socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Source address.
    pub source: IpAddr,
    /// Destination address, where the kernel told it.
    pub destination: Option<IpAddr>,
    /// TTL or hop limit, where the kernel told it.
    pub ttl: Option<u8>,
    /// IPv4: total length of the IP header.
    pub total_length: Option<u16>,
    /// IPv4: identification in the IP header.
    pub identification: Option<u16>,
    /// Bytes received after the IP header.
    pub message: Box<[u8]>,
    /// Protocol 51: `message` begins with the AH header.
    pub ah: bool,
    /// When it arrived, CLOCK_MONOTONIC in nanoseconds.
    pub arrival: u64,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A datagram whose VRID is that of this instance.
    Packet {
        /// Instance.
        instance: InstanceId,
        /// Datagram.
        packet: Received,
    },
    /// A deadline is reached.
    Tick,
    /// An interface that a member uses or tracks is there, or has changed.
    Interface(Arc<Interface>),
    /// An interface is gone.
    InterfaceGone {
        /// Its index.
        index: u32,
        /// Its name.
        name: String,
    },
    /// A tracker has a verdict. Sent at the first one, and then at each change.
    Track {
        /// Tracker.
        source: TrackSource,
        /// Verdict.
        verdict: Verdict,
    },
    /// The kernel thread has finished a claim or a release.
    Applied {
        /// Instance.
        instance: InstanceId,
        /// Epoch.
        epoch: u64,
        /// Which of `vips`, then of `excluded_vips`, are set.
        set: Vec<bool>,
    },
    /// Something of a master was removed by another program, and stays away: it gives up, and lets another
    /// take over, or itself again.
    Removed {
        /// Instance.
        instance: InstanceId,
    },
    /// A send failed for good (not "no buffer").
    SendFailed {
        /// Instance.
        instance: InstanceId,
        /// Destination.
        destination: IpAddr,
        /// errno.
        errno: i32,
    },
    /// An ICMP error about an advert: from the peer, a router on the way, or this host's kernel.
    Unreachable {
        /// Instance.
        instance: InstanceId,
        /// To whom the advert was.
        peer: IpAddr,
        /// The error.
        error: Unreachable,
    },
    /// New configuration of the same group, from a reload.
    Reconfigure(Box<super::GroupConfig>),
    /// The daemon stops.
    Stop {
        /// `--dont-release-vrrp`: no priority 0, addresses stay.
        keep: bool,
    },
}

/// What the group wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send one advert of this instance now, with this priority.
    Advertise {
        /// Instance.
        instance: InstanceId,
        /// 0 to 255.
        priority: u8,
    },
    /// Add its addresses and announce them.
    Claim {
        /// Instance.
        instance: InstanceId,
        /// Epoch.
        epoch: u64,
        /// Announcements per address.
        announce: u32,
    },
    /// Remove its addresses.
    Release {
        /// Instance.
        instance: InstanceId,
        /// Epoch.
        epoch: u64,
    },
    /// Announce its addresses again.
    Announce {
        /// Instance.
        instance: InstanceId,
        /// Packets per address.
        repeat: u32,
    },
    /// Announce its own source address.
    AnnounceSource {
        /// Instance.
        instance: InstanceId,
        /// Address.
        source: IpAddr,
        /// Interface index.
        interface: u32,
    },
    /// Tell others.
    Notify(Notification),
    /// Something to log.
    Report(crate::state::notice::Notice),
}

/// Effects, in the order in which they must be carried out.
pub type Effects = Vec<Effect>;
