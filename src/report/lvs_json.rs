//! Virtual servers in our part of the JSON: state, since when, and what the checks have found.

use super::ours::moment;
use crate::model::globals::Globals;
use crate::model::lvs::{Method, RealServer, VirtualServer};
use crate::state::check::CheckChange;
use crate::state::lvs::{CheckerView, LvsSnapshot, RealView, ServerView, Since};
use serde_json::{Value, json};

/// All virtual servers, in the order of the file.
pub(super) fn servers(lvs: &LvsSnapshot) -> Value {
    lvs.servers.iter().map(|server| one(lvs, server)).collect()
}

fn one(lvs: &LvsSnapshot, server: &ServerView) -> Value {
    let config = &*server.config;
    let reals = config.real_servers.iter().zip(&server.reals);
    json!({
        "virtual_server": config.to_string(),
        "snmp_name": config.snmp_name,
        "up": server.quorum_up,
        "since": since(server.since),
        "changes": server.since.changes,
        "quorum": { "wanted": config.quorum, "hysteresis": config.hysteresis, "weight": server.weight },
        "scheduler": config.scheduler,
        "sorry_server": config.sorry_server.as_ref().map(|sorry| json!({
            "address": sorry.address.to_string(),
            "port": sorry.port,
            "in_use": server.sorry.alive,
        })),
        "real_servers": reals.map(|(real, state)| real_server(lvs, config, real, state)).collect::<Vec<_>>(),
    })
}

fn real_server(lvs: &LvsSnapshot, server: &VirtualServer, config: &RealServer, state: &RealView) -> Value {
    let failures = state
        .checkers
        .iter()
        .filter_map(|checker| checker.history.last_failure());
    let last = failures.max_by_key(|(_, at)| *at);
    json!({
        "real_server": server.real_server_name(config.address, config.port),
        "address": config.address.to_string(),
        "port": config.port,
        "method": match config.method {
            Method::Nat => "NAT",
            Method::Dr => "DR",
            Method::Tun(_) => "TUN",
        },
        "up": state.alive,
        "since": since(state.since),
        "changes": state.since.changes,
        "in_table": state.set,
        "weight": state.weight,
        "configured_weight": config.weight,
        "failed_checks": state.failed,
        "last_failure": last.map(|(reason, at)| json!({ "time": moment(at), "reason": reason })),
        "checkers": state.checkers.iter().map(|view| checker(lvs, view)).collect::<Vec<_>>(),
    })
}

fn checker(lvs: &LvsSnapshot, view: &CheckerView) -> Value {
    let standing = lvs.standings.get(&view.id);
    json!({
        "type": view.checker.kind.keyword(),
        "enabled": view.enabled,
        "up": view.up,
        "has_run": view.has_run,
        "weight": view.weight,
        "checks": standing.map_or(0, |standing| standing.checks),
        "bad_checks": standing.map_or(0, |standing| standing.bad),
        "failures": view.history.failures,
        // The newest first.
        "last": view.history.last.iter().rev().map(change).collect::<Vec<_>>(),
    })
}

fn change(change: &CheckChange) -> Value {
    json!({ "time": moment(change.at), "up": change.down.is_none(), "reason": change.down })
}

fn since(since: Since) -> Option<Value> {
    since.at.map(moment)
}

/// Whether there is a JSON file at all where no instance is configured: keepalived writes none then.
pub fn is_wanted(globals: &Globals, lvs: Option<&LvsSnapshot>) -> bool {
    globals.json_version >= 2 && lvs.is_some_and(|lvs| !lvs.servers.is_empty())
}
