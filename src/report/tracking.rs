//! What instances track, in the data file: scripts, files, processes; and who tracks it.

use super::data::Moment;
use super::{Text, command, fraction, line, reverse, seconds, true_false, yes_no};
use crate::model::track::ParamMatch;
use crate::model::vrrp::Instance;
use crate::model::{Configuration, SyncGroup, Tracked};
use crate::state::snapshot::{FileSnapshot, ScriptSnapshot, Snapshot};
use std::time::Duration;

/// `VRRP Scripts`.
pub(super) fn scripts(text: &mut Text, snapshot: &Snapshot) {
    if snapshot.scripts.is_empty() {
        return;
    }
    line!(text, "------< VRRP Scripts >------");
    for script in &snapshot.scripts {
        write_script(text, &snapshot.config, script);
    }
}

fn write_script(text: &mut Text, config: &Configuration, taken: &ScriptSnapshot) {
    let script = &*taken.config;
    line!(text, " VRRP Script = {}", script.name);
    line!(text, "   Command = {}", command(&script.command));
    line!(text, "   Interval = {} sec", seconds(script.interval));
    line!(text, "   Timeout = {} sec", seconds(script.timeout));
    line!(text, "   Weight = {}{}", script.weight, reverse(script.reverse));
    line!(text, "   Rise = {}", script.rise);
    line!(text, "   Fall = {}", script.fall);
    line!(text, "   Result = {}", taken.result);
    line!(text, "   Insecure = {}", yes_no(script.command.insecure));
    line!(
        text,
        "   Init state = {}",
        if taken.initialising { "INIT" } else { "unknown" }
    );
    line!(
        text,
        "   Status = {}",
        if taken.result >= script.rise {
            "GOOD"
        } else {
            "BAD"
        }
    );
    let identity = script.command.identity;
    line!(text, "   Script uid:gid = {}:{}", identity.uid, identity.gid);
    line!(text, "   VRRP instances :");
    tracking_instances(text, config, Kind::Script, &script.name);
    line!(
        text,
        "   State = {}",
        if taken.running { "running" } else { "idle" }
    );
}

/// `VRRP Track files`.
pub(super) fn files(text: &mut Text, snapshot: &Snapshot) {
    // Those that only real servers use are in the checkers' file.
    let config = &snapshot.config;
    let used = |file: &&FileSnapshot| !trackers(config, Kind::File, &file.config.name).is_empty();
    let mut files = snapshot.files.iter().filter(used).peekable();
    if files.peek().is_none() {
        return;
    }
    line!(text, "------< VRRP Track files >------");
    for file in files {
        line!(text, " Track file = {}", file.config.name);
        line!(text, "   File = {}", file.config.path);
        line!(text, "   Status = {}", file.value);
        line!(
            text,
            "   Weight = {}{}",
            file.config.weight,
            reverse(file.config.reverse)
        );
        tracking_instances(text, &snapshot.config, Kind::File, &file.config.name);
    }
}

/// `VRRP Track processes`.
pub(super) fn processes(text: &mut Text, snapshot: &Snapshot, moment: Moment) {
    if snapshot.processes.is_empty() {
        return;
    }
    line!(text, "------< VRRP Track processes >------");
    let seconds = |delay: Duration| format!("{}s", fraction(delay));
    let not = |running: bool| if running { "" } else { "not " };
    for process in &snapshot.processes {
        let config = &*process.config;
        line!(text, " VRRP Track process = {}", config.name);
        line!(text, "   Process = {}", config.process);
        if !config.params.is_empty() {
            line!(text, "   Parameters = {}", config.params.join(" "));
        }
        if config.param_match != ParamMatch::None {
            line!(text, "   Param match = {}", param_match(config.param_match));
        }
        line!(text, "   Min processes = {}", config.quorum);
        if let Some(most) = config.quorum_max {
            line!(text, "   Max processes = {most}");
        }
        line!(text, "   Current processes = {}", process.current);
        line!(text, "   Have quorum = {}", true_false(process.have_quorum));
        line!(text, "   Weight = {}{}", config.weight, reverse(config.reverse));
        line!(text, "   Terminate delay = {}", seconds(config.terminate_delay));
        line!(text, "   Fork delay = {}", seconds(config.fork_delay));
        if moment == Moment::Running {
            line!(text, "   Fork delay timer {}running", not(process.fork_timer));
            line!(
                text,
                "   Terminate delay timer {}running",
                not(process.terminate_timer)
            );
        }
        line!(text, "   Full command = {}", true_false(config.full_command));
        tracking_instances(text, &snapshot.config, Kind::Process, &config.name);
    }
}

/// keepalived's word for `param_match`.
pub(super) fn param_match(kind: ParamMatch) -> &'static str {
    match kind {
        ParamMatch::None => "none",
        ParamMatch::Exact => "exact",
        ParamMatch::Partial => "partial",
        ParamMatch::Initial => "initial",
    }
}

/// What is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `vrrp_script`.
    Script,
    /// `track_file`.
    File,
    /// `vrrp_track_process`.
    Process,
    /// `bfd_instance`.
    Bfd,
}

/// `Tracking instances`: the instances that `name` matters to, themselves or by their sync group.
pub(super) fn tracking_instances(text: &mut Text, config: &Configuration, kind: Kind, name: &str) {
    line!(text, "   Tracking instances :");
    for (instance, tracked) in trackers(config, kind, name) {
        let reverse = reverse(tracked.reverse);
        line!(text, "     {}, weight {}{reverse}", instance.name, tracked.weight);
    }
}

fn trackers<'a>(config: &'a Configuration, kind: Kind, name: &str) -> Vec<(&'a Instance, &'a Tracked)> {
    let mut found = Vec::new();
    for instance in &config.instances {
        let own = match kind {
            Kind::Script => &instance.track_scripts,
            Kind::File => &instance.track_files,
            Kind::Process => &instance.track_processes,
            Kind::Bfd => &instance.track_bfd,
        };
        let group = config
            .sync_groups
            .iter()
            .find(|group| group.members.contains(&instance.name));
        let of_group = group.map_or(&[][..], |group| group_list(group, kind));
        let tracked = own.iter().chain(of_group).find(|tracked| tracked.name == name);
        found.extend(tracked.map(|tracked| (instance, tracked)));
    }
    found
}

fn group_list(group: &SyncGroup, kind: Kind) -> &[Tracked] {
    match kind {
        Kind::Script => &group.track_scripts,
        Kind::File => &group.track_files,
        Kind::Process => &group.track_processes,
        Kind::Bfd => &group.track_bfd,
    }
}
