//! KEEPALIVED-MIB: what is tracked, and who tracks it.

use super::{command, keepalived, path};
use crate::model::Tracked;
use crate::model::track::ParamMatch;
use crate::serve::snmp::tree::{Tree, gauge, integer, row, truth};
use crate::state::snapshot::Snapshot;
use crate::wire::agentx::Value;

pub(super) fn put(snapshot: &Snapshot, tree: &mut Tree) {
    for (at, instance) in snapshot.instances.iter().enumerate() {
        let config = &instance.config;
        let lists = [
            (4, &config.track_interfaces),
            (5, &config.track_scripts),
            (12, &config.track_files),
            (17, &config.track_bfd),
            (20, &config.track_processes),
        ];
        for (number, list) in lists {
            tracked(number, row(at), list, tree);
        }
    }
    for (at, group) in snapshot.groups.iter().enumerate() {
        let config = &group.config;
        let lists = [
            (14, &config.track_interfaces),
            (15, &config.track_scripts),
            (16, &config.track_files),
            (19, &config.track_bfd),
            (22, &config.track_processes),
        ];
        for (number, list) in lists {
            tracked(number, row(at), list, tree);
        }
    }
    scripts(snapshot, tree);
    files(snapshot, tree);
    bfd(snapshot, tree);
    processes(snapshot, tree);
}

/// Name, weight and `reverse`; the tables of interfaces have no column for the index.
fn tracked(number: u32, owner: u32, list: &[Tracked], tree: &mut Tree) {
    let first = if matches!(number, 4 | 14) { 1 } else { 2 };
    let mut table = tree.table(&keepalived(&[2, number, 1]));
    for (at, object) in list.iter().enumerate() {
        let index = [owner, row(at)];
        table.put(first, &index, Value::text(&object.name));
        table.put(first + 1, &index, integer(object.weight));
        table.put(first + 2, &index, truth(object.reverse));
    }
}

fn scripts(snapshot: &Snapshot, tree: &mut Tree) {
    let mut table = tree.table(&keepalived(&[2, 9, 1]));
    for (at, script) in snapshot.scripts.iter().enumerate() {
        let (index, config) = ([row(at)], &script.config);
        table.put(2, &index, Value::text(&config.name));
        table.put(3, &index, command(&config.command));
        table.put(4, &index, integer(config.interval.as_secs()));
        table.put(5, &index, integer(config.weight));
        let result = match script.up {
            None if config.init_fail => 5,
            None => 1,
            Some(false) => 2,
            Some(true) => 3,
        };
        table.put(6, &index, Value::Integer(result));
        table.put(7, &index, gauge(config.rise));
        table.put(8, &index, gauge(config.fall));
        table.put(9, &index, truth(config.reverse));
        table.put(10, &index, path(&config.command));
        table.put(11, &index, gauge(config.interval.as_micros()));
        table.put(12, &index, gauge(config.timeout.as_micros()));
    }
}

fn files(snapshot: &Snapshot, tree: &mut Tree) {
    let mut table = tree.table(&keepalived(&[2, 13, 1]));
    for (at, file) in snapshot.files.iter().enumerate() {
        let (index, config) = ([row(at)], &file.config);
        table.put(2, &index, Value::text(&config.name));
        table.put(3, &index, Value::text(&config.path));
        table.put(4, &index, integer(file.value));
        table.put(5, &index, integer(config.weight));
        table.put(6, &index, truth(config.reverse));
    }
}

fn bfd(snapshot: &Snapshot, tree: &mut Tree) {
    let mut table = tree.table(&keepalived(&[2, 18, 1]));
    for (at, session) in snapshot.bfd.iter().enumerate() {
        let (index, config) = ([row(at)], &session.config);
        table.put(2, &index, Value::text(&config.name));
        table.put(3, &index, integer(u8::from(session.up)));
        table.put(4, &index, integer(config.weight));
        table.put(5, &index, truth(config.reverse));
    }
}

fn processes(snapshot: &Snapshot, tree: &mut Tree) {
    let mut table = tree.table(&keepalived(&[2, 21, 1]));
    for (at, process) in snapshot.processes.iter().enumerate() {
        let (index, config) = ([row(at)], &process.config);
        table.put(2, &index, Value::text(&config.name));
        table.put(3, &index, Value::text(&config.process));
        if !config.params.is_empty() {
            table.put(4, &index, Value::text(&config.params.join(" ")));
        }
        let matching = match config.param_match {
            ParamMatch::None => 0,
            ParamMatch::Exact => 1,
            ParamMatch::Partial => 2,
            ParamMatch::Initial => 3,
        };
        table.put(5, &index, Value::Integer(matching));
        table.put(6, &index, integer(config.weight));
        table.put(7, &index, truth(config.reverse));
        table.put(8, &index, gauge(config.quorum));
        table.put(9, &index, config.quorum_max.map_or(Value::Integer(-1), integer));
        table.put(10, &index, gauge(config.fork_delay.as_micros()));
        table.put(11, &index, gauge(config.terminate_delay.as_micros()));
        table.put(12, &index, truth(config.full_command));
        table.put(13, &index, integer(process.current));
        table.put(14, &index, truth(process.have_quorum));
    }
}
