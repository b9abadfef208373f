//! Walks of keepalived 2.4.3 with snmpwalk, met line by line, but for what is listed here.

use super::{Checked, folder, host, moment, recorded, settled};
use keepalived_rs::serve::snmp::mib::{self, About, History, Parts};
use keepalived_rs::serve::snmp::tree::Tree;
use keepalived_rs::state::VrrpState;
use keepalived_rs::state::snapshot::Snapshot;
use keepalived_rs::wire::agentx::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const VERSION: &str = "Keepalived v2.4.3 (07/20,2026)";

/// Case, ending of its files' names, how to get there.
type Walk = (&'static str, &'static str, fn(&mut Snapshot));

/// Moments of the walks.
const WALKS: &[Walk] = &[
    ("01-v2-master-pass", "", masters),
    ("01-v2-master-pass", ".fault", fault),
    ("02-v2-backup", "", |s| settled::backup(s, 14, 3)),
    ("02-v2-backup", ".after-failover", |s| {
        settled::failed_over(s, 14, 0, 6)
    }),
    ("04-v3-ipv6-master", "", masters),
    ("06-sync-group-tracking", "", |s| tracking(s, [25, 10], true, 5)),
    ("06-sync-group-tracking", ".script-failed", |s| {
        tracking(s, [-1, -10], false, 3)
    }),
    ("08-routes-rules-static", "", masters),
    ("18-stats-bad-packets", "", |s| settled::backup(s, 14, 0)),
];

/// Objects that are not as keepalived has them, and why.
const DIFFERENT: &[(&str, &str)] = &[
    // keepalived: the master that was heard last, also while it is master itself.
    ("", "1.3.6.1.2.1.68.1.3.1.7."),
    // Columns of keepalived's routes of IPv6: never set.
    ("08-routes-rules-static", "1.3.6.1.4.1.9586.100.5.2.7.1.14.0.4"),
    ("08-routes-rules-static", "1.3.6.1.4.1.9586.100.5.2.7.1.14.1.7"),
    // The weight of the file, not the one that the instance gives it.
    ("06-sync-group-tracking", "1.3.6.1.4.1.9586.100.5.2.12.1.3.1.1"),
    // Advertised it is.
    ("06-sync-group-tracking", "1.3.6.1.4.1.9586.100.5.2.6.1.11.2.1"),
    // advmss of a route that has only an rtt; the one that has an advmss does not show it.
    ("08-routes-rules-static", "1.3.6.1.4.1.9586.100.5.2.7.1.25.1.6"),
    // Counts of adverts, which depend on the time of the walk.
    ("", "1.3.6.1.2.1.68.2.4.1.2."),
    ("", "1.3.6.1.2.1.207.1.2.5.1.3."),
];

fn masters(snapshot: &mut Snapshot) {
    settled::masters(snapshot, 14, 3);
}

/// A master whose interface went down.
fn fault(snapshot: &mut Snapshot) {
    masters(snapshot);
    for instance in &mut snapshot.instances {
        (instance.state, instance.wanted) = (VrrpState::Fault, VrrpState::Fault);
        instance.vips_set.fill(false);
        instance.statistics.pri_zero_sent = 1;
    }
}

fn tracking(snapshot: &mut Snapshot, weights: [i32; 2], up: bool, value: i64) {
    settled::tracking(snapshot, 3, weights, 3, value);
    snapshot.scripts[0].up = Some(up);
}

/// As `snmpwalk -On` shows it.
fn show(value: &Value) -> String {
    match value {
        Value::Integer(number) => format!("INTEGER: {number}"),
        Value::Octets(octets) if octets.is_empty() => "\"\"".into(),
        Value::Octets(octets) => match std::str::from_utf8(octets) {
            Ok(text) if text.chars().all(|c| (' '..='~').contains(&c)) => format!("STRING: \"{text}\""),
            _ => {
                let bytes: Vec<String> = octets.iter().map(|byte| format!("{byte:02X}")).collect();
                format!("Hex-STRING: {}", bytes.join(" "))
            }
        },
        Value::IpAddress([a, b, c, d]) => format!("IpAddress: {a}.{b}.{c}.{d}"),
        Value::Counter32(count) => format!("Counter32: {count}"),
        Value::Counter64(count) => format!("Counter64: {count}"),
        Value::Gauge32(number) => format!("Gauge32: {number}"),
        Value::TimeTicks(_) => "Timeticks: <TICKS>".into(),
        other => format!("{other:?}"),
    }
}

fn lines(tree: &Tree) -> BTreeMap<String, String> {
    let name = |oid: &[u32]| oid.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    tree.iter().map(|(oid, value)| (name(oid), show(value))).collect()
}

/// Each object of keepalived's is ours, with its value.
pub fn compare(
    case: &str,
    suffix: &str,
    snapshot: &Snapshot,
    parts: Parts,
    except: &[&str],
    checked: &mut Checked,
) {
    // Who became master without hearing anybody, and after priority 0.
    let reason = match suffix {
        ".after-failover" => 1,
        _ if snapshot.instances[0].statistics.become_master == 0 => 0,
        _ => 3,
    };
    let names = snapshot
        .instances
        .iter()
        .map(|instance| instance.config.name.as_str().into());
    let history = names
        .map(|name: Arc<str>| (name, History { reason, error: 0 }))
        .collect();
    let about = About {
        version: VERSION,
        started: moment(),
        history,
    };
    let ours = lines(&mib::tree(snapshot, parts, &about));
    for mib in ["keepalived", "vrrp", "vrrpv3"] {
        let file = format!("snmp/walk-{mib}{suffix}.txt");
        checked.files += 1;
        for line in recorded(case, &file).lines() {
            let Some((name, value)) = line.split_once(" = ") else {
                continue;
            };
            let (name, value) = (name.trim_start_matches('.'), value.trim_end());
            let excepted =
                |(of, start): &(&str, &str)| (of.is_empty() || *of == case) && name.starts_with(start);
            if DIFFERENT.iter().any(excepted) || except.iter().any(|start| name.starts_with(start)) {
                continue;
            }
            let found = ours.get(name).map_or("(none)", String::as_str);
            if found != value {
                checked.differences.push(format!(
                    "{case}/{file} {name}\n  ours:       {found}\n  keepalived: {value}"
                ));
            }
        }
    }
}

pub fn parts(checker: bool) -> Parts {
    Parts {
        vrrp: true,
        checker,
        v2: true,
        v3: true,
    }
}

#[test]
fn walks_are_as_keepalived_s() {
    let mut checked = Checked {
        differences: Vec::new(),
        files: 0,
    };
    for (case, suffix, settle) in WALKS {
        assert!(folder(case).join("snmp").exists());
        let config = Arc::new(host::configuration(case, "snmp/node1.conf"));
        let mut snapshot = Snapshot::initial(config, moment(), &host::interfaces());
        settle(&mut snapshot);
        compare(case, suffix, &snapshot, parts(false), &[], &mut checked);
    }
    assert_eq!(checked.files as usize, WALKS.len() * 3);
    assert!(
        checked.differences.is_empty(),
        "{} differences:\n{}",
        checked.differences.len(),
        checked.differences.join("\n")
    );
}
