//! What keepalived's JSON has no place for: why an instance is in its state, whom it has met, what came of
//! scripts, and virtual servers. It stands under a key of its own behind keepalived's (`json_version 2`), so that whoever reads
//! keepalived's reads this.

use super::company::{reason, unreachable, write_mac};
use super::lvs_json;
use crate::state::company::{ConflictSnapshot, PeerSnapshot};
use crate::state::history::{RunEnd, ScriptHistory, ScriptRun};
use crate::state::notify::Subject;
use crate::state::snapshot::{InstanceSnapshot, Snapshot};
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The key.
pub const KEY: &str = "keepalived_rs";

/// Its value.
pub fn ours(snapshot: &Snapshot) -> Value {
    let mut ours = json!({
        "instances": snapshot.instances.iter().map(instance).collect::<Vec<_>>(),
        "track_scripts": snapshot.scripts.iter().map(|script| {
            let mut object = history(&script.history);
            object.insert("name".into(), script.config.name.clone().into());
            object.insert("up".into(), script.up.into());
            Value::from(object)
        }).collect::<Vec<_>>(),
        "notify_scripts": snapshot.notify_scripts.iter().map(|notify| {
            let mut object = history(&notify.history);
            let (kind, name) = match &notify.subject {
                Subject::Instance(name) => ("INSTANCE", name),
                Subject::Group(name) => ("GROUP", name),
                Subject::Lvs(name) => ("LVS", name),
            };
            object.insert("type".into(), kind.into());
            object.insert("name".into(), (**name).into());
            object.insert("event".into(), notify.what.into());
            object.insert("script".into(), notify.program.clone().into());
            Value::from(object)
        }).collect::<Vec<_>>(),
    });
    if let (Some(lvs), Some(object)) = (&snapshot.lvs, ours.as_object_mut()) {
        object.insert("virtual_servers".into(), lvs_json::servers(lvs));
    }
    ours
}

fn instance(taken: &InstanceSnapshot) -> Value {
    let company = &taken.company;
    let priority = taken.contributions.iter();
    json!({
        "iname": taken.config.name,
        "vrid": taken.config.vrid,
        "cause": taken.cause,
        "priority": priority.map(|(name, value)| json!({ "from": name, "value": value })).collect::<Vec<_>>(),
        "ever_heard": company.heard,
        "unheard": company.unheard.as_ref().map(|unheard| json!({
            "since": moment(unheard.since),
            "causes": unheard.causes,
        })),
        "conflicts": company.conflicts.iter().map(conflict).collect::<Vec<_>>(),
        "peers": company.peers.iter().map(peer).collect::<Vec<_>>(),
    })
}

fn conflict(conflict: &ConflictSnapshot) -> Value {
    json!({
        "peer": conflict.peer.to_string(),
        "mac": conflict.mac.map(write_mac),
        "priority": conflict.priority,
        "our_priority": conflict.ours,
        "refused": conflict.refused.as_ref().map(reason),
        "since": moment(conflict.since),
        "duration": length(conflict.lasts),
        "adverts": conflict.adverts,
        "over": conflict.over,
    })
}

fn peer(peer: &PeerSnapshot) -> Value {
    let refused = peer.refused.iter();
    json!({
        "address": peer.address.to_string(),
        "configured": peer.configured,
        "advert_rcvd": peer.accepted,
        "last_rcvd": peer.last_accepted.map(moment),
        "refused": refused.map(|(why, adverts)| json!({ "reason": reason(why), "adverts": adverts })).collect::<Vec<_>>(),
        "send_errors": peer.send_failures,
        "last_send_error": peer.send_failure.map(|errno| nix::errno::Errno::from_raw(errno).desc()),
        "icmp_errors": peer.unreachable,
        "last_icmp_error": peer.unreachable_last.as_ref().map(|(said, at)| json!({
            "time": moment(*at),
            "from": said.by.map(|by| by.to_string()),
            "type": said.icmp.0,
            "code": said.icmp.1,
            "error": nix::errno::Errno::from_raw(said.errno).desc(),
            "meaning": unreachable(peer.address, said),
        })),
    })
}

fn history(history: &ScriptHistory) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("runs".into(), history.runs.into());
    object.insert("failures".into(), history.failures.into());
    object.insert("timeouts".into(), history.timeouts.into());
    object.insert("longest".into(), length(history.longest));
    // The newest first: what came of the last run is what is looked for.
    let last = history.last.iter().rev().map(run);
    object.insert("last".into(), last.collect());
    object
}

fn run(run: &ScriptRun) -> Value {
    let (status, ended) = match &run.end {
        RunEnd::Exited(status) => (Some(*status), "exited".to_owned()),
        RunEnd::Signal(signal) => (None, format!("signal {signal}")),
        RunEnd::TimedOut => (None, "timed out".to_owned()),
        RunEnd::NotStarted(why) => (None, format!("not started: {why}")),
    };
    json!({
        "started": moment(run.started),
        "duration": length(run.duration),
        "ended": ended,
        "status": status,
        "stderr": run.stderr,
    })
}

/// Seconds since 1970.
pub(super) fn moment(time: SystemTime) -> Value {
    length(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Seconds, to the microsecond.
fn length(duration: Duration) -> Value {
    let micros = u32::try_from(duration.as_micros() % 1_000_000).unwrap_or_default();
    (duration.as_secs() as f64 + f64::from(micros) / 1e6).into()
}
