//! The vocabulary of what happens: what the protocol wants, what the kernel and the trackers report,
//! and what is told about it. Plain data, passed between the rooms above.

pub mod bfd;
pub mod check;
pub mod company;
pub mod history;
pub mod interface;
pub mod kernel;
pub mod lvs;
pub mod notice;
pub mod notify;
pub mod snapshot;
pub mod statistics;
pub mod track;
pub mod traffic;

pub use interface::{Interface, InterfaceAddress};
pub use statistics::Statistics;

use std::time::SystemTime;

/// A moment, on both clocks. The protocol reads no clock: whoever calls it says what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// CLOCK_MONOTONIC, nanoseconds. All deadlines are on this clock.
    pub mono: u64,
    /// Wall clock, for what people read.
    pub wall: SystemTime,
}

/// One virtual router instance, for as long as the daemon runs: it survives a reload that keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub u32);

impl InstanceId {
    /// Whose the static addresses, routes and rules are: no instance's. After all others in order.
    pub const STATIC: InstanceId = InstanceId(u32::MAX);
}

/// One sync group, or an instance that is in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// State of an instance or a group, with keepalived's numbers (JSON, SNMP).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum VrrpState {
    /// Not started, or waiting for the first result of a tracked script.
    #[default]
    Init = 0,
    /// Backup.
    Backup = 1,
    /// Active (RFC 9568), Master (RFC 3768 and keepalived).
    Master = 2,
    /// Cannot take part.
    Fault = 3,
    /// Removed by a reload.
    Deleted = 97,
    /// The daemon stops.
    Stop = 98,
}

impl VrrpState {
    /// keepalived's word, as in dumps, notify arguments and FIFO lines.
    pub fn as_str(self) -> &'static str {
        match self {
            VrrpState::Init => "INIT",
            VrrpState::Backup => "BACKUP",
            VrrpState::Master => "MASTER",
            VrrpState::Fault => "FAULT",
            VrrpState::Deleted => "DELETED",
            VrrpState::Stop => "STOP",
        }
    }
}
