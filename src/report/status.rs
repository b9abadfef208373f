//! `keepalived-rs status`: who is master of what, why and since when, as somebody reads it on a terminal.

use super::company::{reason, write_mac};
use super::interfaces::network;
use super::{LocalText, Text, line};
use crate::model::address::Address;
use crate::state::VrrpState;
use crate::state::company::{ConflictSnapshot, PeerSnapshot};
use crate::state::history::{RunEnd, ScriptHistory};
use crate::state::lvs::LvsSnapshot;
use crate::state::snapshot::{InstanceSnapshot, Snapshot};
use std::time::{Duration, SystemTime};

/// All of it; nothing in it is secret.
pub fn status(snapshot: &Snapshot, local: LocalText) -> String {
    let mut text = Text::default();
    let count = |state| snapshot.instances.iter().filter(|i| i.state == state).count();
    line!(
        text,
        "{}: {} master, {} backup, {} fault",
        counted(snapshot.instances.len(), "instance"),
        count(VrrpState::Master),
        count(VrrpState::Backup),
        count(VrrpState::Fault)
    );
    for taken in &snapshot.instances {
        instance(&mut text, taken, snapshot.wall, local);
    }
    for group in &snapshot.groups {
        line!(text, "");
        line!(text, "group {}  {}", group.config.name, group.state.as_str());
        row(&mut text, "members", &group.config.members.join(", "));
    }
    trackers(&mut text, snapshot);
    if let Some(lvs) = &snapshot.lvs {
        servers(&mut text, lvs, snapshot.wall);
    }
    text.0
}

fn instance(text: &mut Text, taken: &InstanceSnapshot, now: SystemTime, local: LocalText) {
    let config = &*taken.config;
    line!(text, "");
    line!(
        text,
        "{}  {}  virtual router {} on {}",
        config.name,
        taken.state.as_str(),
        config.vrid,
        if config.interface.is_empty() {
            "no interface"
        } else {
            &config.interface
        }
    );
    row(text, "why", &taken.cause);
    if let Some(since) = taken.last_transition {
        let lasts = length(ago(now, since));
        row(text, "since", &format!("{}, {lasts}", local(since)));
    }
    if taken.wanted != taken.state {
        row(text, "wants", taken.wanted.as_str());
    }
    let mut priority = taken.effective_priority.to_string();
    let sum: Vec<_> = taken
        .contributions
        .iter()
        .map(|(from, value)| format!("{from} {value:+}"))
        .collect();
    if !sum.is_empty() {
        priority = format!("{priority} ({})", sum.join(", "));
    }
    row(text, "priority", &priority);
    if taken.state != VrrpState::Master
        && let Some(master) = taken.master
    {
        row(
            text,
            "master",
            &format!("{master}, priority {}", taken.master_priority),
        );
    }
    if let Some(next) = taken.read_timeout.and_then(|at| at.duration_since(now).ok()) {
        let what = match taken.state {
            VrrpState::Master => "advert",
            _ => "takes over unless it hears the master",
        };
        row(text, "next", &format!("{what}, in {:.2} s", next.as_secs_f64()));
    }
    if !taken.interface_faults.is_empty() {
        row(text, "interface", &taken.interface_faults.join(", "));
    }
    if taken.tracker_faults > 0 {
        row(
            text,
            "trackers",
            &format!("{} hold it in FAULT", taken.tracker_faults),
        );
    }
    addresses(text, "addresses", &config.vips, &taken.vips_set);
    addresses(text, "excluded", &config.excluded_vips, &taken.excluded_set);
    for peer in &taken.company.peers {
        row(text, "peer", &self::peer(peer, now));
    }
    for conflict in &taken.company.conflicts {
        row(text, "conflict", &self::conflict(conflict, now));
    }
    if let Some(unheard) = &taken.company.unheard {
        let lasts = length(ago(now, unheard.since));
        row(
            text,
            "unheard",
            &format!("master {lasts}, and nobody was ever heard"),
        );
        for cause in &unheard.causes {
            row(text, "", cause);
        }
    }
}

/// So many of them by name; the rest is counted.
const NAMED: usize = 8;

fn addresses(text: &mut Text, name: &str, all: &[Address], set: &[bool]) {
    let set_ones = set.iter().filter(|set| **set).count();
    for (at, address) in all.iter().enumerate().take(NAMED) {
        let here = if set.get(at) == Some(&true) {
            "set"
        } else {
            "not set"
        };
        let name = if at == 0 { name } else { "" };
        row(
            text,
            name,
            &format!("{} on {}, {here}", network(&address.network), address.interface),
        );
    }
    if all.len() > NAMED {
        let rest = all.len() - NAMED;
        row(
            text,
            "",
            &format!("and {rest} more; {set_ones} of all {} are set", all.len()),
        );
    }
}

fn peer(peer: &PeerSnapshot, now: SystemTime) -> String {
    let mut said = vec![match peer.last_accepted {
        Some(last) => format!(
            "{}, last heard {} ago",
            counted64(peer.accepted, "advert"),
            short(ago(now, last))
        ),
        None => "never heard".to_owned(),
    }];
    said.extend(
        peer.refused
            .iter()
            .map(|(why, adverts)| format!("{adverts} refused: {}", reason(why))),
    );
    if let Some(errno) = peer.send_failure {
        let text = nix::errno::Errno::from_raw(errno).desc();
        said.push(format!(
            "{} could not be sent: {text}",
            counted64(peer.send_failures, "advert")
        ));
    }
    format!("{}: {}", peer.address, said.join("; "))
}

fn conflict(conflict: &ConflictSnapshot, now: SystemTime) -> String {
    let mac = conflict
        .mac
        .map(|mac| format!(" ({})", write_mac(mac)))
        .unwrap_or_default();
    let theirs = match conflict.priority {
        Some(priority) => format!("priority {priority}, ours {}", conflict.ours),
        None => format!("our priority {}", conflict.ours),
    };
    let when = match conflict.over {
        true => format!(
            "over, {} ago, lasted {}",
            short(ago(now, conflict.since)),
            short(conflict.lasts)
        ),
        false => format!("for {}", short(ago(now, conflict.since))),
    };
    format!("{}{mac} is master too: {theirs}; {when}", conflict.peer)
}

fn trackers(text: &mut Text, snapshot: &Snapshot) {
    let (scripts, files) = (&snapshot.scripts, &snapshot.files);
    let (processes, bfd) = (&snapshot.processes, &snapshot.bfd);
    if scripts.is_empty() && files.is_empty() && processes.is_empty() && bfd.is_empty() {
        return;
    }
    line!(text, "");
    line!(text, "tracked");
    for script in scripts {
        let up = match script.up {
            Some(true) => "succeeds",
            Some(false) => "fails",
            None => "has not run yet",
        };
        row(
            text,
            "script",
            &format!("{}: {up}{}", script.config.name, last_run(&script.history)),
        );
    }
    for file in files {
        row(text, "file", &format!("{}: {}", file.config.name, file.value));
    }
    for process in processes {
        let have = if process.have_quorum {
            "enough"
        } else {
            "not enough"
        };
        row(
            text,
            "process",
            &format!("{}: {} run, {have}", process.config.name, process.current),
        );
    }
    for session in bfd {
        row(
            text,
            "bfd",
            &format!("{}: {}", session.config.name, up_down(session.up)),
        );
    }
}

fn last_run(history: &ScriptHistory) -> String {
    let Some(run) = history.last.back() else {
        return String::new();
    };
    let ended = match &run.end {
        RunEnd::Exited(status) => format!("status {status}"),
        RunEnd::Signal(signal) => format!("signal {signal}"),
        RunEnd::TimedOut => "timed out".to_owned(),
        RunEnd::NotStarted(why) => format!("not started: {why}"),
    };
    let stderr = if run.stderr.is_empty() {
        String::new()
    } else {
        format!(", `{}`", run.stderr)
    };
    format!("; last {ended} after {:.3} s{stderr}", run.duration.as_secs_f64())
}

/// All virtual servers, and of real servers those that are down.
fn servers(text: &mut Text, lvs: &LvsSnapshot, now: SystemTime) {
    for server in &lvs.servers {
        let up = server.reals.iter().filter(|real| real.alive).count();
        line!(text, "");
        line!(
            text,
            "virtual server {}  {}  {up} of {} up",
            server.config,
            up_down(server.quorum_up),
            counted(server.reals.len(), "real server")
        );
        if server.sorry.alive {
            row(text, "sorry", "the sorry server is in use");
        }
        for (real, state) in server.config.real_servers.iter().zip(&server.reals) {
            if state.alive {
                continue;
            }
            let name = server.config.real_server_name(real.address, real.port);
            let lasts = state
                .since
                .at
                .map(|at| format!(" {}", length(ago(now, at))))
                .unwrap_or_default();
            let failures = state
                .checkers
                .iter()
                .filter_map(|checker| checker.history.last_failure());
            let why = failures
                .max_by_key(|(_, at)| *at)
                .map(|(why, _)| format!(": {why}"))
                .unwrap_or_default();
            row(text, "down", &format!("{name}{lasts}{why}"));
        }
    }
}

fn row(text: &mut Text, name: &str, value: &str) {
    // What scripts and configurations say stays on its line, and moves no cursor.
    let value: String = value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    line!(text, "  {name:<10} {value}");
}

fn counted(number: usize, what: &str) -> String {
    counted64(number as u64, what)
}

fn counted64(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn up_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

/// A clock that was set back counts as none.
fn ago(now: SystemTime, then: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

fn length(lasts: Duration) -> String {
    format!("for {}", short(lasts))
}

/// `3.2 s`, `5 min`, `7 h 12 min`, `12 d 3 h`.
fn short(lasts: Duration) -> String {
    let seconds = lasts.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{:.1} s", lasts.as_secs_f64()),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_in_what_people_count_in() {
        for (seconds, said) in [
            (0, "0.0 s"),
            (119, "119.0 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h 0 min"),
            (172_799, "47 h 59 min"),
            (183_600, "2 d 3 h"),
        ] {
            assert_eq!(short(Duration::from_secs(seconds)), said);
        }
    }
}
