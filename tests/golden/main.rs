//! keepalived 2.4.3's own output, met byte for byte after its masks (README.md beside this file).

mod host;
mod lvs;
mod settled;
mod snmp;

use keepalived_rs::report;
use keepalived_rs::state::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The moment of every stamp.
fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_795_341_600_123_456)
}

/// `<TIME>` for every stamp, as in the recorded files.
fn mask(text: &str) -> String {
    let local = local(moment());
    text.replace(&format!("1795341600.123456 ({local})"), "<TIME>")
        .replace("1795341600.123456", "<TIME>")
}

fn local(_: SystemTime) -> String {
    "Sun Nov 22 10:00:00.123456 2026".into()
}

fn folder(case: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/cases")
        .join(case)
}

fn recorded(case: &str, file: &str) -> String {
    let path = folder(case).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The dumped part of a log that `-d` wrote.
fn dumped(log: &str) -> String {
    let lines = log
        .lines()
        .map(|line| line.strip_prefix("<TIME>: ").unwrap_or(line));
    let kept = lines
        .skip_while(|line| !line.starts_with("------<"))
        .filter(|line| line.starts_with([' ', '-']));
    kept.flat_map(|line| [line, "\n"]).collect()
}

fn difference(what: &str, ours: &str, theirs: &str) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let (mut left, mut right) = (ours.lines(), theirs.lines());
    for number in 1.. {
        match (left.next(), right.next()) {
            (None, None) => return Some(format!("{what}: the ends differ")),
            (ours, theirs) if ours != theirs => {
                let (ours, theirs) = around(ours.unwrap_or("(end)"), theirs.unwrap_or("(end)"));
                return Some(format!(
                    "{what}, line {number}\n  ours:       {ours}\n  keepalived: {theirs}"
                ));
            }
            _ => {}
        }
    }
    None
}

/// The parts of two lines around the first byte that differs.
fn around<'a>(ours: &'a str, theirs: &'a str) -> (&'a str, &'a str) {
    let same = ours
        .bytes()
        .zip(theirs.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let part = |line: &'a str| {
        let end = (same + 60).min(line.len());
        line.get(same.saturating_sub(40)..end).unwrap_or(line)
    };
    (part(ours), part(theirs))
}

struct Checked {
    differences: Vec<String>,
    files: u32,
}

impl Checked {
    fn compare(&mut self, case: &str, file: &str, ours: &str, theirs: &str) {
        self.files += 1;
        let mut ours = mask(ours);
        if theirs.contains("<N>") {
            // Counts of adverts, in the case that ran in a virtual machine.
            ours = ours
                .replace("    Sent: 3\n", "    Sent: <N>\n")
                .replace("\"advert_sent\":3", "\"advert_sent\":<N>");
        }
        self.differences
            .extend(difference(&format!("{case}/{file}"), &ours, theirs));
    }
}

/// All texts of one case at its moments.
fn check(case: &str, checked: &mut Checked) {
    let moments = settled::moments(case);
    let config = Arc::new(host::configuration(case, "node1.conf"));
    let interfaces = host::interfaces();
    let (data, parent, log) = match case {
        "16-all-global-defs" => (
            "state.gold.data",
            "state_parent.gold.data",
            "dump-conf_vrrp_gold.log",
        ),
        _ => ("keepalived.data", "keepalived_parent.data", "dump-conf_vrrp.log"),
    };
    // `-d` was the last run of a case, after its file had changed.
    let last = Arc::new(host::configuration(case, settled::last_file(case)));
    let start = settled::start(case, Snapshot::initial(last, moment(), &interfaces));
    let ours = report::data::configuration(&start, &local);
    checked.compare(case, log, &ours, &dumped(&recorded(case, log)));
    if case == "12-bfd" {
        let log = "dump-conf_bfd.log";
        let ours = report::data::bfd_configuration(&start);
        checked.compare(case, log, &ours, &dumped(&recorded(case, log)));
    }
    for (suffix, settle) in moments {
        let mut snapshot = Snapshot::initial(config.clone(), moment(), &interfaces);
        settle(&mut snapshot);
        let file = |name: &str| format!("{name}{suffix}");
        checked.compare(
            case,
            &file(data),
            &report::data::vrrp(&snapshot, &local),
            &recorded(case, &file(data)),
        );
        checked.compare(
            case,
            &file(parent),
            &report::data::parent(&snapshot),
            &recorded(case, &file(parent)),
        );
        let stats = file("keepalived.stats");
        checked.compare(case, &stats, &report::stats(&snapshot), &recorded(case, &stats));
        if case == "17-all-instance-keywords" {
            // An advert every half second: one more had been sent when the JSON was asked for.
            snapshot.instances[0].statistics.advert_sent += 1;
        }
        let json = file("keepalived.json");
        checked.compare(case, &json, &report::json(&snapshot, 1), &recorded(case, &json));
    }
    // Recorded in another run.
    let mut snapshot = Snapshot::initial(config, moment(), &interfaces);
    settled::second_run(case, &mut snapshot);
    let json = "keepalived.json-v2";
    checked.compare(case, json, &report::json(&snapshot, 2), &recorded(case, json));
}

#[test]
fn what_is_dumped_is_what_keepalived_dumps() {
    let mut checked = Checked {
        differences: Vec::new(),
        files: 0,
    };
    let mut per_case = BTreeMap::new();
    for case in settled::CASES {
        let before = checked.files;
        check(case, &mut checked);
        per_case.insert(case, checked.files - before);
    }
    assert!(per_case.values().all(|files| *files >= 6), "{per_case:?}");
    assert!(
        checked.differences.is_empty(),
        "{} of {} files differ:\n{}",
        checked.differences.len(),
        checked.files,
        checked.differences.join("\n")
    );
}
