//! BFD sessions: in the data files, and in the log.

use super::tracking::{Kind, tracking_instances};
use super::{LocalText, Text, full_stamp, line, reverse, true_false};
use crate::model::bfd::BfdInstance;
use crate::state::bfd::{BfdNotice, SessionSnapshot, Side};
use crate::state::snapshot::Snapshot;
use crate::wire::bfd::State;

/// `VRRP Track BFDs`: the sessions that instances track.
pub(super) fn tracked(text: &mut Text, snapshot: &Snapshot) {
    if snapshot.bfd.is_empty() {
        return;
    }
    line!(text, "------< VRRP Track BFDs >------");
    for bfd in &snapshot.bfd {
        line!(text, " VRRP Track BFD = {}", bfd.config.name);
        line!(
            text,
            "   Weight = {}{}",
            bfd.config.weight,
            reverse(bfd.config.reverse)
        );
        line!(text, "   Bfd is {}", if bfd.up { "up" } else { "down" });
        line!(text, "   Tracking VRRP instances :");
        tracking_instances(text, &snapshot.config, Kind::Bfd, &bfd.config.name);
    }
}

/// `BFD Topology` of the running daemon. What stands for pointers to keepalived's timers says whether one runs.
pub(super) fn topology(text: &mut Text, snapshot: &Snapshot, local: LocalText) {
    line!(text, "------< BFD Data >------");
    line!(text, " fd_in = {}", snapshot.bfd_listen.unwrap_or(-1));
    line!(text, " thread_in = {}", thread(snapshot.bfd_listen.is_some()));
    line!(text, "------< BFD Topology >------");
    for session in &snapshot.bfd_sessions {
        settings(text, &session.config);
        running(text, session, local);
    }
}

/// `BFD Topology` as `-d` prints it.
pub(super) fn configured(text: &mut Text, snapshot: &Snapshot) {
    line!(text, "------< BFD Topology >------");
    for bfd in &snapshot.config.bfd {
        settings(text, bfd);
    }
}

fn settings(text: &mut Text, bfd: &BfdInstance) {
    let yes = |value| if value { "Yes" } else { "No" };
    line!(text, " BFD Instance = {}", bfd.name);
    line!(text, "   Neighbor IP = {}", bfd.neighbor);
    if let Some(source) = bfd.source {
        line!(text, "   Source IP = {source}");
    }
    let micros = |duration: std::time::Duration| duration.as_micros();
    line!(text, "   Required min RX interval = {} us", micros(bfd.min_rx));
    line!(text, "   Desired min TX interval = {} us", micros(bfd.min_tx));
    line!(text, "   Desired idle TX interval = {} us", micros(bfd.idle_tx));
    line!(text, "   Detection multiplier = {}", bfd.multiplier);
    let (name, default) = match bfd.neighbor.is_ipv4() {
        true => ("TTL", 255),
        false => ("hoplimit", 64),
    };
    line!(text, "   {name} = {}", bfd.ttl.unwrap_or(default));
    line!(text, "   max_hops = {}", bfd.max_hops);
    line!(text, "   passive = {}", true_false(bfd.passive));
    line!(text, "   send event to VRRP process = {}", yes(bfd.vrrp));
    line!(text, "   send event to checker process = {}", yes(bfd.checker));
}

fn running(text: &mut Text, session: &SessionSnapshot, local: LocalText) {
    line!(text, "   fd_out {}", session.socket.unwrap_or(-1));
    line!(text, "   thread_open_fd_out {}", thread(session.socket.is_none()));
    for (name, at) in [
        ("out", session.next_transmit),
        ("exp", session.expires),
        ("rst", session.forgets),
    ] {
        line!(text, "   thread_{name} {}", thread(at.is_some()));
        line!(text, "   sands_{name} = [disabled]");
    }
    line!(text, "   send error = {}", true_false(session.send_error));
    line!(text, "   local state = {}", session.state);
    line!(text, "   remote state = {}", session.remote_state);
    line!(text, "   local discriminator = {:#x}", session.discriminator);
    line!(
        text,
        "   remote discriminator = {:#x}",
        session.remote_discriminator
    );
    line!(text, "   local diag = {}", session.diagnostic);
    line!(text, "   remote diag = {}", session.remote_diagnostic);
    line!(text, "   remote min tx intv = {} us", session.remote.min_tx);
    line!(text, "   remote min rx intv = {} us", session.remote.min_rx);
    line!(text, "   local demand = 0");
    line!(text, "   remote demand = {}", u8::from(session.remote_demand));
    line!(
        text,
        "   remote detect multiplier = {}",
        session.remote.multiplier
    );
    line!(text, "   {}poll, !final", if session.polling { "" } else { "!" });
    line!(text, "   local tx intv = {} us", session.local.interval);
    line!(text, "   remote tx intv = {} us", session.remote.interval);
    line!(text, "   local detection time = {} us", session.local.detection);
    line!(text, "   remote detection time = {} us", session.remote.detection);
    match session.last_seen {
        Some(at) => line!(text, "   last seen = {}", full_stamp(Some(at), local)),
        None => line!(text, "   last_seen = [never]"),
    }
}

fn thread(runs: bool) -> &'static str {
    if runs { "0x1" } else { "0x(nil)" }
}

/// Logs what happened to a session.
pub fn log(name: &str, notice: &BfdNotice) {
    match notice {
        BfdNotice::Parameters(table) => {
            let (local, remote) = (table.local, table.remote);
            tracing::debug!(target: "bfd", "({name}) ---------------< Session parameters >--------------");
            tracing::debug!(target: "bfd", "              min_tx  min_rx  tx_intv  mult  detect_time");
            tracing::debug!(target: "bfd", "     local  {}", side(&local));
            tracing::debug!(target: "bfd", "     remote {}", side(&remote));
            let (now, before) = (local.detection, table.before);
            tracing::debug!(target: "bfd", "     Detection time is {now} us (was {before} us)");
        }
        BfdNotice::Entering { state: State::Up, .. } => {
            tracing::info!(target: "bfd", "({name}) Entering Up state")
        }
        BfdNotice::Entering {
            state: State::AdminDown,
            ..
        } => tracing::warn!(target: "bfd", "({name}) Entering AdminDown state"),
        BfdNotice::Entering {
            state: State::Init, ..
        } => tracing::trace!(target: "bfd", "({name}) Entering Init state"),
        BfdNotice::Entering {
            state: State::Down,
            from,
            local,
            remote,
        } => {
            let text = format!(
                "({name}) Entering Down state (Local diagnostic - {local}, Remote diagnostic - {remote})"
            );
            match from {
                State::Up | State::Init => tracing::warn!(target: "bfd", "{text}"),
                _ => tracing::trace!(target: "bfd", "{text}"),
            }
        }
        BfdNotice::Delivered { up, within } => tracing::debug!(
            target: "vrrp",
            "Received BFD event: instance {name} is in state {} (delivered in {} usec)",
            if *up { State::Up } else { State::Down },
            within.as_micros()
        ),
        BfdNotice::PollStarted => tracing::debug!(target: "bfd", "({name}) Starting poll sequence"),
        BfdNotice::Expired { after, overdue } => tracing::warn!(
            target: "bfd",
            "({name}) Expired after {} ms ({} usec overdue)",
            after.as_millis(),
            overdue.as_micros()
        ),
    }
}

fn side(side: &Side) -> String {
    format!(
        "{:>8}{:>8}{:>9}{:>6}{:>13}",
        side.min_tx, side.min_rx, side.interval, side.multiplier, side.detection
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_keepaliveds_columns() {
        let own = Side {
            min_tx: 1_000_000,
            min_rx: 100_000,
            interval: 1_000_000,
            multiplier: 3,
            detection: 3_000_000,
        };
        assert_eq!(
            format!("     local  {}", side(&own)),
            "     local   1000000  100000  1000000     3      3000000"
        );
        let other = Side {
            min_tx: 100_000,
            interval: 100_000,
            detection: 300_000,
            ..own
        };
        assert_eq!(
            format!("     remote {}", side(&other)),
            "     remote   100000  100000   100000     3       300000"
        );
    }
}
