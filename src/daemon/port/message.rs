//! What the VRRP thread is told, and where it puts what others must do.

use super::super::bfd::Order;
use super::super::guard::Packets;
use super::super::late::Lateness;
use super::Scheduling;
use crate::net::adverts::AdvertSockets;
use crate::state::InstanceId;
use crate::state::kernel::KernelRequest;
use crate::state::notice::Notice;
use crate::state::notify::Notification;
use crate::state::snapshot::{GroupSnapshot, InstanceSnapshot};
use crate::state::track::{TrackSource, Verdict};
use crate::sys::poll::Waker;
use crate::vrrp::Event;
use crate::vrrp::plan::Plan;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

/// A socket pair of the VRRP thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// What the VRRP thread is told.
pub enum Command {
    /// A new set of groups, at start or from a reload.
    Apply(Box<Change>),
    /// A socket has been opened.
    Open(SocketId, Box<AdvertSockets>),
    /// A socket is no longer wanted.
    Close(SocketId),
    /// The instance uses this socket, or none.
    Attach(InstanceId, Option<SocketId>),
    /// An interface, a tracker's verdict, or an answer of the kernel thread.
    Event(Event),
    /// Take a snapshot of all groups.
    Snapshot(mpsc::Sender<Taken>),
    /// Take a snapshot of all groups, then set their counters to zero.
    SnapshotAndClear(mpsc::Sender<Taken>),
    /// Scheduling of this thread.
    Schedule(Box<Scheduling>),
    /// Something for BFD.
    Bfd(Box<Order>),
    /// Answer: I am alive.
    Beat,
    /// Stop: priority 0 and release, then the sender is dropped.
    Stop {
        /// `--dont-release-vrrp`.
        keep: bool,
        /// Dropped when all is sent.
        done: mpsc::Sender<()>,
    },
    /// The thread ends.
    End,
}

/// From a set of groups to the next one, in one step.
pub struct Change {
    /// The plan.
    pub plan: Plan,
    /// Goes to the kernel thread after the adverts and before the groups' own orders; at the start it has it
    /// already.
    pub kernel: Option<KernelRequest>,
    /// `-D`.
    pub detail: bool,
    /// See [`crate::vrrp::GroupConfig::hold_until`].
    pub hold_until: u64,
    /// `fifo_write_vrrp_states_on_reload`, at a reload.
    pub tell_states: bool,
    /// `log_unknown_vrids`.
    pub log_unknown: bool,
    /// The BFD sessions from now on. After the groups: those that track a new session begin in FAULT, as with
    /// keepalived.
    pub bfd: Order,
    /// Called when the step is done.
    pub done: Box<dyn FnOnce() + Send>,
}

/// Groups and instances at one moment, in no particular order.
#[derive(Debug, Default)]
pub struct Taken {
    /// Sync groups.
    pub groups: Vec<GroupSnapshot>,
    /// Instances.
    pub instances: Vec<InstanceSnapshot>,
}

/// Where the VRRP thread puts what others must do. None of these may wait.
pub struct Outputs {
    /// To the kernel thread.
    pub kernel: Box<dyn Fn(KernelRequest) + Send>,
    /// The kernel thread is awake.
    pub awake: Box<dyn Fn() -> bool + Send>,
    /// For the kernel thread: this one awaits a takeover on its processor.
    pub here: Box<dyn Fn() + Send>,
    /// To the kernel thread, ahead of the adverts and the lines that belong to it.
    pub claim: Box<dyn Fn(KernelRequest) + Send>,
    /// Those adverts are sent.
    pub sent: Box<dyn Fn() + Send>,
    /// Those lines are written.
    pub written: Box<dyn Fn() + Send>,
    /// When the next takeover is due, for the kernel thread to be awake.
    pub expect: Box<dyn Fn(Option<u64>) + Send>,
    /// Sockets to close: leaving a group takes the kernel's rtnl lock.
    pub close: Box<dyn Fn(AdvertSockets) + Send>,
    /// To the services thread.
    pub notify: Box<dyn Fn(Notification) + Send>,
    /// To the guard: false when it cannot be told now.
    pub guard: Box<dyn Fn(Packets) -> bool + Send>,
    /// To the log.
    pub report: Box<dyn Fn(&Notice) + Send>,
    /// A BFD session is up or down, for those who are on other threads.
    pub bfd: Box<dyn Fn(TrackSource, Verdict) + Send>,
    /// It was late, or a deadline was: somebody else finds out why.
    pub late: Box<dyn Fn(Lateness) + Send>,
    /// The thread has ended, for whatever reason.
    pub ended: Box<dyn Fn() + Send>,
}

/// Tells the VRRP thread something. Never waits.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) waker: Arc<Waker>,
    pub(super) beat: Arc<AtomicU64>,
}

impl Handle {
    /// Sends a command. A thread that has ended takes none; whoever supervises notices that by its own means.
    pub fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }

    /// Answers to [`Command::Beat`] so far.
    pub fn beats(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }
}
