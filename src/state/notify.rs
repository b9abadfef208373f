//! What others are told when a state changes.

use super::VrrpState;
use crate::model::script::NotifyScripts;
use std::sync::Arc;

/// Whom a notification is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A VRRP instance.
    Instance(Arc<str>),
    /// A sync group.
    Group(Arc<str>),
    /// A virtual server, or a real server of one.
    Lvs(Arc<str>),
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyKind {
    /// A new state: the state's script, then the generic one.
    State(VrrpState),
    /// Master heard an advert of lower priority.
    MasterRxLowerPriority,
    /// The effective priority changed (`notify_priority_changes`); FIFO only.
    Priority(VrrpState),
    /// A reload did not change the state (`fifo_write_vrrp_states_on_reload`); FIFO only.
    Still(VrrpState),
}

/// One notification. The order of those with the same subject is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Whom it is about.
    pub subject: Subject,
    /// What happened.
    pub kind: NotifyKind,
    /// Effective priority; 0 for a group.
    pub priority: u8,
    /// Scripts of the subject.
    pub scripts: Arc<NotifyScripts>,
    /// `smtp_alert`.
    pub smtp_alert: bool,
}
