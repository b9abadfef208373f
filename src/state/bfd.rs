//! What BFD sessions report.

use crate::model::bfd::BfdInstance;
use crate::wire::bfd::{Diagnostic, State};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One thing that happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BfdNotice {
    /// A packet has changed the detection time.
    Parameters(Parameters),
    /// A new state.
    Entering {
        /// State.
        state: State,
        /// State before.
        from: State,
        /// Why this side last went down.
        local: Diagnostic,
        /// Why the other side last went down.
        remote: Diagnostic,
    },
    /// The neighbour is asked to confirm new intervals.
    PollStarted,
    /// The instances have been told that it is up or down.
    Delivered {
        /// Up.
        up: bool,
        /// After this time.
        within: Duration,
    },
    /// Nothing was heard for the detection time.
    Expired {
        /// Time since the last packet.
        after: Duration,
        /// How long ago the detection time had passed.
        overdue: Duration,
    },
}

/// The table of the session's intervals, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// This side.
    pub local: Side,
    /// The neighbour.
    pub remote: Side,
    /// Detection time before.
    pub before: u64,
}

/// One side of a session, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Desired min TX interval.
    pub min_tx: u64,
    /// Required min RX interval.
    pub min_rx: u64,
    /// Interval in which it sends.
    pub interval: u64,
    /// Detection multiplier.
    pub multiplier: u8,
    /// After this time without a packet it takes the session for down.
    pub detection: u64,
}

/// One session as it is at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSnapshot {
    /// Configuration.
    pub config: Arc<BfdInstance>,
    /// State.
    pub state: State,
    /// The neighbour's state.
    pub remote_state: State,
    /// Our discriminator.
    pub discriminator: u32,
    /// The neighbour's; 0 when it is not known.
    pub remote_discriminator: u32,
    /// Why this side last went down.
    pub diagnostic: Diagnostic,
    /// Why the other side last went down.
    pub remote_diagnostic: Diagnostic,
    /// The neighbour wishes no periodic packets.
    pub remote_demand: bool,
    /// A poll sequence runs.
    pub polling: bool,
    /// This side, as it is now.
    pub local: Side,
    /// The neighbour, as last heard; zero before.
    pub remote: Side,
    /// When a packet was last heard.
    pub last_seen: Option<SystemTime>,
    /// When the next packet goes out; `None` when none does.
    pub next_transmit: Option<SystemTime>,
    /// When the session expires; `None` when that timer does not run.
    pub expires: Option<SystemTime>,
    /// When what is known of a neighbour that fell silent is forgotten.
    pub forgets: Option<SystemTime>,
    /// Descriptor of the socket that listens for it.
    pub listening: Option<i32>,
    /// Descriptor of the socket that it sends from.
    pub socket: Option<i32>,
    /// The last packet could not be sent.
    pub send_error: bool,
    /// Packets received and taken.
    pub received: u64,
    /// Packets of the neighbour that were refused: malformed, wrong hop limit, wrong discriminator.
    pub refused: u64,
    /// Packets sent.
    pub sent: u64,
}

/// What a session says to those who watch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdVerdict {
    /// Name of the `bfd_instance`.
    pub name: Arc<str>,
    /// The session is up.
    pub up: bool,
}
