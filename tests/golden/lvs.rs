//! The checkers' data file: virtual servers that run through the verdicts of the recorded case.

use super::{Checked, host, moment, recorded, settled, snmp};
use keepalived_rs::lvs::{Lvs, LvsSettings};
use keepalived_rs::model::Configuration;
use keepalived_rs::report;
use keepalived_rs::state::check::{CheckReport, CheckVerdict, CheckerId, Standing};
use keepalived_rs::state::lvs::{LvsEffect, LvsSnapshot};
use keepalived_rs::state::snapshot::{FileSnapshot, Snapshot};
use std::sync::Arc;

const CASE: &str = "22-lvs";
/// The ping's sequence number, which is masked in the file.
const SEQUENCE: u16 = 4711;

/// Checkers in the order of the file.
enum Check {
    Tcp2,
    Http3,
    Misc4,
    Tcp5,
    GroupTcp2,
    GroupFile3,
    MarkPing2,
    Udp2,
    Dns3,
}
use Check::*;

struct Bench {
    lvs: Lvs,
    ids: Vec<CheckerId>,
}

impl Bench {
    fn tell(&mut self, check: Check, verdict: CheckVerdict) {
        let report = CheckReport {
            checker: self.ids[check as usize],
            verdict,
        };
        self.lvs.report(&report, &mut Vec::new());
    }

    fn up(&mut self, checks: impl IntoIterator<Item = Check>) {
        for check in checks {
            self.tell(check, CheckVerdict::Up);
        }
    }

    fn down(&mut self, checks: impl IntoIterator<Item = Check>) {
        for check in checks {
            let reason = String::new();
            self.tell(check, CheckVerdict::Down { reason });
        }
    }

    fn snapshot(&self, down: bool) -> LvsSnapshot {
        let mut snapshot = self.lvs.snapshot();
        for server in &snapshot.servers {
            for view in server.reals.iter().flat_map(|real| &real.checkers) {
                let mut standing = Standing {
                    iterations: Some(0),
                    last_ran: Some(moment()),
                    sequence: SEQUENCE,
                    ..Standing::new(view.up)
                };
                let place = self.ids.iter().position(|id| *id == view.id);
                if down && place == Some(Http3 as usize) {
                    (standing.iterations, standing.failed_url) = (Some(3), Some(0));
                }
                if down && place == Some(Misc4 as usize) {
                    standing.last_status = 1;
                }
                snapshot.standings.insert(view.id, standing);
            }
        }
        snapshot
    }
}

/// The walk was recorded without the sorry server, with which keepalived crashes.
fn walk(config: &Configuration, bench: &Bench, suffix: &str, walked: &mut Checked) {
    let walked_config = Arc::new(host::configuration(CASE, "snmp/node1.conf"));
    let mut snapshot = Snapshot::initial(walked_config.clone(), moment(), &host::interfaces());
    settled::masters(&mut snapshot, 14, 3);
    let mut lvs = bench.snapshot(false);
    assert_eq!(config.lvs.servers.len(), lvs.servers.len());
    for (view, config) in lvs.servers.iter_mut().zip(&walked_config.lvs.servers) {
        view.config = Arc::new(config.clone());
    }
    snapshot.lvs = Some(lvs);
    snmp::compare(CASE, suffix, &snapshot, snmp::parts(true), SERVERS, walked);
}

/// What is not compared: a prefix length that keepalived gives to IPv4.
const SERVERS: &[&str] = &["1.3.6.1.4.1.9586.100.5.3.3.1.51."];

#[test]
fn virtual_servers_are_dumped_as_keepalived_dumps_them() {
    let config = Arc::new(host::configuration(CASE, "node1.conf"));
    let mut whole = Snapshot::initial(config.clone(), moment(), &host::interfaces());
    whole.files = config
        .files
        .iter()
        .map(|file| FileSnapshot {
            config: Arc::new(file.clone()),
            value: 5,
        })
        .collect();
    let mut bench = Bench {
        lvs: Lvs::default(),
        ids: Vec::new(),
    };
    let settings = LvsSettings { init_notifies: true };
    let mut effects = Vec::new();
    bench.lvs.configure(&config.lvs, settings, &mut effects);
    let here = ["192.0.2.100".parse().unwrap()].into();
    bench.lvs.addresses(here, &mut effects);
    bench.ids = effects
        .iter()
        .filter_map(|effect| match effect {
            LvsEffect::Start(start) => Some(start.id),
            _ => None,
        })
        .collect();
    assert_eq!(bench.ids.len(), 9);
    bench.down([Tcp5]);
    bench.up([Misc4, Tcp2, GroupTcp2, MarkPing2, Http3, Udp2]);
    bench.tell(GroupFile3, CheckVerdict::Weight(10));
    bench.down([Dns3]);

    let mut checked = Checked {
        differences: Vec::new(),
        files: 0,
    };
    let mut walked = Checked {
        differences: Vec::new(),
        files: 0,
    };
    let mut compare = |bench: &Bench, suffix: &str, down: bool| {
        let file = format!("keepalived_check.data{suffix}");
        let ours = report::data::checkers(&whole, &bench.snapshot(down), &super::local);
        let ours = ours.replace(&format!("seq no = {SEQUENCE}"), "seq no = <N>");
        checked.compare(CASE, &file, &ours, &recorded(CASE, &file));
    };
    compare(&bench, "", false);
    walk(&config, &bench, "", &mut walked);
    bench.down([Misc4, Tcp2, Udp2, GroupTcp2, Http3]);
    compare(&bench, ".servers-down", true);
    walk(&config, &bench, ".servers-down", &mut walked);
    bench.up([Misc4, Udp2, GroupTcp2, Tcp2, Http3]);
    compare(&bench, ".servers-back", false);
    bench.lvs.configure(&config.lvs, settings, &mut Vec::new());
    compare(&bench, ".after-reload", false);
    assert!(
        checked.differences.is_empty(),
        "{}",
        checked.differences.join("\n")
    );
    assert_eq!(checked.files, 4);
    assert!(walked.differences.is_empty(), "{}", walked.differences.join("\n"));
    assert_eq!(walked.files, 6);
}
