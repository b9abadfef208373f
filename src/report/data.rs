//! The data files of SIGUSR1, and what `-d` prints.

use super::{LocalText, Text, bfd, checkers, globals, interfaces, lvs, routes, tracking, vrrp};
use crate::state::lvs::LvsSnapshot;
use crate::state::snapshot::Snapshot;

/// When a text is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// The daemon runs (SIGUSR1).
    Running,
    /// It has just read its configuration (`-d`): states and counters are not shown.
    Start,
}

/// `keepalived.data`: what keepalived's VRRP process writes.
pub fn vrrp(snapshot: &Snapshot, local: LocalText) -> String {
    render(snapshot, local, Moment::Running)
}

/// What `-d` prints of the VRRP side, made of [`Snapshot::initial`].
pub fn configuration(snapshot: &Snapshot, local: LocalText) -> String {
    render(snapshot, local, Moment::Start)
}

/// `keepalived_parent.data`: the global definitions as keepalived's parent process knows them,
/// before the VRRP process has completed them.
pub fn parent(snapshot: &Snapshot) -> String {
    let mut text = Text::default();
    globals::write(&mut text, &snapshot.config, globals::View::Parent);
    text.0
}

/// `keepalived_bfd.data`: what keepalived's BFD process writes.
pub fn bfd(snapshot: &Snapshot, local: LocalText) -> String {
    let mut text = Text::default();
    globals::write(&mut text, &snapshot.config, globals::View::Parent);
    bfd::topology(&mut text, snapshot, local);
    text.0
}

/// What `-d` prints of the BFD side, made of [`Snapshot::initial`].
pub fn bfd_configuration(snapshot: &Snapshot) -> String {
    let mut text = Text::default();
    globals::write(&mut text, &snapshot.config, globals::View::Parent);
    bfd::configured(&mut text, snapshot);
    text.0
}

/// `keepalived_check.data`: what keepalived's checker process writes.
pub fn checkers(snapshot: &Snapshot, lvs: &LvsSnapshot, local: LocalText) -> String {
    let mut text = Text::default();
    globals::write(&mut text, &snapshot.config, globals::View::Parent);
    lvs::topology(&mut text, &snapshot.config, lvs);
    checkers::write(&mut text, lvs, local);
    checkers::files(&mut text, snapshot, lvs);
    text.0
}

fn render(snapshot: &Snapshot, local: LocalText, moment: Moment) -> String {
    let mut text = Text::default();
    globals::write(&mut text, &snapshot.config, globals::View::Vrrp);
    interfaces::garp_groups(&mut text, &snapshot.garp_groups, local);
    routes::write_static(&mut text, snapshot);
    vrrp::track_groups(&mut text, &snapshot.config);
    vrrp::instances(&mut text, snapshot, local, moment);
    vrrp::sockets(&mut text, snapshot);
    vrrp::sync_groups(&mut text, snapshot);
    tracking::scripts(&mut text, snapshot);
    tracking::files(&mut text, snapshot);
    tracking::processes(&mut text, snapshot, moment);
    bfd::tracked(&mut text, snapshot);
    interfaces::write(&mut text, snapshot, local);
    text.0
}
