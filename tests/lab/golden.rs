//! The recorded cases of tests/golden on real daemons: what ours dumps and logs on the same host, with the
//! same files, is what keepalived 2.4.3 dumped and logged.
//!
//! Compared byte for byte after the masks of tests/golden/README.md, and these: counts of adverts (they belong
//! to the moment of the dump), descriptors, the kernel's settings of interfaces, and what ours counts elsewhere
//! (a wrong version is no wrong length, a wrong interval is counted).

mod mask;

use self::mask::{counted, differences, mask};
use super::common::daemon::{Start, ours_only};
use super::common::{Daemon, Host, Lab, Which, secs, wait_until};
use super::fifo::Tap;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// `SIGRTMIN+2`, which asks for the JSON file.
const JSON: i32 = 36;
/// `SIGRTMAX-1`: statistics, and clear them.
const STATS_CLEAR: i32 = 63;

/// A recorded case, and two hosts as it had them.
struct Case {
    name: &'static str,
    _lab: Lab,
    node1: Host,
    node2: Host,
    problems: Vec<String>,
    fifos: Vec<(&'static str, Tap)>,
}

impl Case {
    fn new(name: &'static str) -> Self {
        ours_only("its version is another one");
        let lab = Lab::new();
        let (node1, node2) = (lab.host("node1"), lab.host("node2"));
        for (interface, net, number) in [("eth0", "192.0.2", 0), ("eth1", "198.51.100", 1)] {
            let index = 10 + number;
            let other = &node2.space().name;
            node1.ip(&format!(
                "link add {interface} index {index} address 02:00:00:00:01:0{number} type veth peer name {interface} \
                 address 02:00:00:00:02:0{number} netns {other}"
            ));
            for (host, last) in [(&node1, 1), (&node2, 2)] {
                host.ip(&format!("address add {net}.{last}/24 dev {interface}"));
                host.ip(&format!(
                    "address add 2001:db8:0:{}::{last}/64 dev {interface} nodad",
                    number + 1
                ));
                host.ip(&format!("link set {interface} up"));
            }
        }
        for host in [&node1, &node2] {
            fs::create_dir_all(host.run_file("golden/tmp1")).expect("own folder");
            for file in inputs(name) {
                let to = host.run_file("golden").join(file.file_name().expect("a file"));
                fs::copy(&file, &to).expect("own file");
                if to.extension().is_some_and(|extension| extension == "sh") {
                    executable(&to);
                }
                if to.extension().is_some_and(|extension| extension == "key") {
                    fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("own file");
                }
            }
            for script in ["notify.sh", "fifo.sh"] {
                let path = host.run_file("golden").join(script);
                fs::write(&path, "#!/bin/sh\nexit 0\n").expect("own file");
                executable(&path);
            }
        }
        for interface in ["eth0", "eth1"] {
            node1.link_local(interface);
            node2.link_local(interface);
        }
        Self {
            name,
            _lab: lab,
            node1,
            node2,
            problems: Vec::new(),
            fifos: Vec::new(),
        }
    }

    fn start(&mut self) -> Daemon {
        let daemon = start(&self.node1, "/run/golden/node1.conf");
        for name in ["vrrp.fifo", "all.fifo"] {
            if folder(self.name).join(format!("{name}.lines")).exists() {
                let path = self.node1.run_file("golden").join(name);
                self.fifos.push((name, Tap::open(&path)));
            }
        }
        daemon
    }

    /// What the FIFOs had, from the start to the end, is what was recorded.
    fn compare_fifos(&mut self) {
        for (name, tap) in &mut self.fifos {
            let recorded = fs::read_to_string(folder(self.name).join(format!("{name}.lines")));
            let recorded = recorded.expect("a recorded file");
            let theirs: Vec<&str> = recorded.lines().filter(|line| !line.starts_with('#')).collect();
            let ours = tap.lines();
            if ours != theirs {
                self.problems
                    .push(format!("{name}: {ours:#?} instead of {theirs:#?}"));
            }
        }
    }

    fn start_node2(&self) -> Daemon {
        let mut daemon = start(&self.node2, "/run/golden/node2.conf");
        daemon.expect("Startup complete", secs(5.0));
        daemon
    }

    /// Asks for all files, and compares them.
    fn dump(&mut self, daemon: &mut Daemon, suffix: &str) {
        let golden = self.node1.run_file("golden/tmp1");
        for entry in fs::read_dir(&golden).expect("own folder").flatten() {
            fs::remove_file(entry.path()).expect("own file");
        }
        daemon.signal(Signal::SIGUSR1);
        daemon.signal(Signal::SIGUSR2);
        daemon.signal_number(JSON);
        let (data, parent) = match self.name {
            "16-all-global-defs" => ("state.gold.data", "state_parent.gold.data"),
            _ => ("keepalived.data", "keepalived_parent.data"),
        };
        for name in [data, parent, "keepalived.stats", "keepalived.json"] {
            self.compare(name, suffix);
        }
        if self.name == "12-bfd" {
            self.compare("keepalived_bfd.data", suffix);
        }
    }

    /// Waits for a file and compares it with the recorded one.
    fn compare(&mut self, name: &str, suffix: &str) {
        let path = self.node1.run_file("golden/tmp1").join(name);
        let ours = wait_until(name, secs(3.0), || fs::read_to_string(&path).ok());
        let recorded = format!("{name}{suffix}");
        let theirs = fs::read_to_string(folder(self.name).join(&recorded)).expect("a recorded file");
        let (ours, theirs) = (mask(&ours, suffix), mask(&theirs, suffix));
        self.problems.extend(differences(&recorded, &ours, &theirs));
    }

    /// Stops the daemon, compares its log, and fails the test if anything differed.
    #[track_caller]
    fn finish(self, daemon: Daemon) {
        self.finish_but_for(daemon, &[]);
    }

    /// The same; how often lines with these words stand in the log is not compared.
    #[track_caller]
    fn finish_but_for(mut self, mut daemon: Daemon, words: &[&str]) {
        assert_eq!(daemon.stop(), Some(0), "exit status");
        self.compare_fifos();
        let recorded = fs::read_to_string(folder(self.name).join("node1.log")).expect("a recorded log");
        let theirs = recorded.lines().filter_map(|line| line.strip_prefix("<TIME>: "));
        let theirs = counted(theirs);
        let log = daemon.log_text();
        // Each line has its time before it.
        let texts = log.lines().filter_map(|line| line.trim_start().split_once(' '));
        // What ours concludes from adverts that go on; it may or may not come before the end of the case.
        let concluded = ["two masters: ", "one master again: ", "was ever heard"];
        let texts = texts.filter(|(_, text)| !concluded.iter().any(|words| text.contains(words)));
        let ours = counted(texts.map(|(_, text)| text));
        for line in ours
            .keys()
            .chain(theirs.keys().filter(|line| !ours.contains_key(*line)))
        {
            let times = |log: &BTreeMap<String, usize>| log.get(line).copied().unwrap_or(0);
            let (ours, theirs) = (times(&ours), times(&theirs));
            if ours != theirs && !words.iter().any(|words| line.contains(words)) {
                self.problems
                    .push(format!("log: {ours} times instead of {theirs}: {line}"));
            }
        }
        assert!(
            self.problems.is_empty(),
            "{}:\n{}",
            self.name,
            self.problems.join("\n")
        );
    }
}

fn start(host: &Host, file: &str) -> Daemon {
    Start::new(host, Which::Tested)
        .args(&["-f", file])
        .env("TMPDIR", "/run/golden/tmp1")
        .spawn()
}

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/cases")
        .join(case)
}

/// Configuration, scripts and the files that they read.
fn inputs(case: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(case)).expect("a recorded case").flatten();
    let input = |path: &PathBuf| {
        let extension = path.extension().and_then(|e| e.to_str());
        matches!(extension, Some("conf" | "sh" | "val" | "key"))
    };
    entries.map(|entry| entry.path()).filter(input).collect()
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("own file");
}

/// All instances of the file are masters.
fn wait_masters(daemon: &mut Daemon, names: &[&str]) {
    for name in names {
        let line = format!("({name}) Entering MASTER STATE");
        wait_until(&line, secs(8.0), || (daemon.count(&line) > 0).then_some(()));
    }
}

/// One case whose instances become masters and are asked once.
fn masters(case: &'static str, names: &[&str]) {
    let mut golden = Case::new(case);
    let mut daemon = golden.start();
    wait_masters(&mut daemon, names);
    settle(&daemon);
    golden.dump(&mut daemon, "");
    golden.finish(daemon);
}

/// Addresses are announced when they are set: after this many lines about them they all are.
fn settle(daemon: &Daemon) {
    let mut before = usize::MAX;
    wait_until("a quiet log", secs(5.0), || {
        let lines = daemon.log_text().lines().count();
        std::mem::replace(&mut before, lines).eq(&lines).then_some(())
    });
}

/// The same, and a reload of the unchanged file.
fn masters_reloaded(case: &'static str, names: &[&str]) {
    let mut golden = Case::new(case);
    let mut daemon = golden.start();
    wait_masters(&mut daemon, names);
    settle(&daemon);
    golden.dump(&mut daemon, "");
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".after-reload");
    golden.finish(daemon);
}

/// `garp_master_delay` after the first, all addresses are announced again.
fn second_burst(daemon: &Daemon) {
    let burst = "(VI_1) Sending/queueing gratuitous ARPs on eth0 for 192.0.2.100";
    wait_until("the second burst", secs(8.0), || {
        (daemon.count(burst) == 2).then_some(())
    });
    settle(daemon);
}

/// 01-v2-master-pass.
pub fn version_2_with_password() {
    masters_reloaded("01-v2-master-pass", &["VI_1"]);
}

/// `-d` of 01-v2-master-pass: the configuration stands in the log.
pub fn configuration_in_the_log() {
    let golden = Case::new("01-v2-master-pass");
    let mut daemon = Start::new(&golden.node1, Which::Tested)
        .args(&["-d", "-f", "/run/golden/node1.conf"])
        .spawn();
    wait_masters(&mut daemon, &["VI_1"]);
    let recorded =
        fs::read_to_string(folder(golden.name).join("dump-conf_vrrp.log")).expect("a recorded log");
    let theirs: String = dumped(recorded.lines().filter_map(|line| line.strip_prefix("<TIME>: ")));
    let log = daemon.log_text();
    let texts = log.lines().filter_map(|line| line.trim_start().split_once(' '));
    let ours = dumped(texts.map(|(_, text)| text));
    let found = differences("-d", &mask(&ours, ""), &mask(&theirs, ""));
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(daemon.stop(), Some(0), "exit status");
}

/// The lines of a log that belong to the dump, without blanks at their ends, as the log is read here.
fn dumped<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let dump = lines.skip_while(|line| !line.starts_with("------<"));
    let dump = dump.filter(|line| line.starts_with([' ', '-']));
    dump.flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// 02-v2-backup.
pub fn version_2_backup() {
    let mut golden = Case::new("02-v2-backup");
    let mut peer = golden.start_node2();
    wait_masters(&mut peer, &["VI_1"]);
    let mut daemon = golden.start();
    daemon.expect("(VI_1) master set to 192.0.2.2", secs(5.0));
    golden.dump(&mut daemon, "");
    peer.stop();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".after-failover");
    second_burst(&daemon);
    let _peer = golden.start_node2();
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(8.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".after-return");
    golden.finish(daemon);
}

/// 03-v3-ipv4-master: the address owner.
pub fn version_3_owner() {
    masters("03-v3-ipv4-master", &["VI_1"]);
}

/// 04-v3-ipv6-master.
pub fn version_3_ipv6() {
    masters_reloaded("04-v3-ipv6-master", &["VI_6"]);
}

/// 05-unicast.
pub fn unicast() {
    masters("05-unicast", &["VI_1"]);
}

/// 08-routes-rules-static.
pub fn routes_rules_and_static_objects() {
    masters_reloaded("08-routes-rules-static", &["VI_1"]);
}

/// 09-excluded-labels.
pub fn labels_and_excluded_addresses() {
    masters("09-excluded-labels", &["VI_1"]);
}

/// 12-bfd: a session comes up, and its neighbour is killed.
pub fn bfd() {
    let mut golden = Case::new("12-bfd");
    let mut neighbour = golden.start_node2();
    let mut daemon = golden.start();
    wait_masters(&mut daemon, &["VI_1"]);
    settle(&daemon);
    golden.dump(&mut daemon, "");
    // It may have begun in this state, before the session was up.
    daemon.skip_log();
    neighbour.crash();
    daemon.expect("(VI_1) Entering FAULT STATE", secs(5.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".bfd-down");
    golden.finish(daemon);
}

/// 14-fault-link-down.
pub fn link_down() {
    let mut golden = Case::new("14-fault-link-down");
    golden.node2.ip("link set eth0 down");
    let mut daemon = golden.start();
    daemon.expect("Startup complete", secs(5.0));
    settle(&daemon);
    golden.dump(&mut daemon, "");
    golden.node2.ip("link set eth0 up");
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".link-up");
    golden.node2.ip("link set eth0 down");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(3.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".link-down-again");
    golden.finish(daemon);
}

/// 15-30-vips.
pub fn thirty_addresses() {
    masters("15-30-vips", &["VI_1"]);
}

/// 18-stats-bad-packets.
pub fn bad_packets() {
    let mut golden = Case::new("18-stats-bad-packets");
    let mut peer = golden.start_node2();
    wait_masters(&mut peer, &["VI_1"]);
    let mut daemon = golden.start();
    daemon.expect("(VI_1) master set to 192.0.2.2", secs(5.0));
    golden.dump(&mut daemon, "");
    peer.stop();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    settle(&daemon);
    second_burst(&daemon);
    golden.dump(&mut daemon, ".after-failover");
    let script = folder(golden.name).join("bad.py");
    golden
        .node2
        .space()
        .tool("python3", &[script.to_str().expect("a plain path")]);
    settle(&daemon);
    golden.dump(&mut daemon, ".after-bad-packets");
    for (signal, suffix) in [
        (STATS_CLEAR, ".stats-clear"),
        (Signal::SIGUSR2 as i32, ".after-clear"),
    ] {
        let path = golden.node1.run_file("golden/tmp1/keepalived.stats");
        fs::remove_file(&path).expect("the one before");
        daemon.signal_number(signal);
        golden.compare("keepalived.stats", suffix);
    }
    golden.finish(daemon);
}

/// What some keywords do is not there yet, so that only the dumps are compared.
fn dumps_of_masters(case: &'static str, names: &[&str]) {
    let mut golden = Case::new(case);
    let mut daemon = golden.start();
    wait_masters(&mut daemon, names);
    settle(&daemon);
    golden.dump(&mut daemon, "");
    assert_eq!(daemon.stop(), Some(0), "exit status");
    golden.compare_fifos();
    assert!(
        golden.problems.is_empty(),
        "{case}:\n{}",
        golden.problems.join("\n")
    );
}

/// 16-all-global-defs: the files have names of their own.
pub fn all_global_definitions() {
    dumps_of_masters("16-all-global-defs", &["VI_1"]);
}

/// 19-groups-delays-linkbeat.
pub fn paces_and_delays() {
    dumps_of_masters("19-groups-delays-linkbeat", &["VI_1"]);
}

/// 10-auth-ah: the other one has another password, and becomes master too.
pub fn ah() {
    let mut golden = Case::new("10-auth-ah");
    let mut daemon = golden.start();
    let other = golden.start_node2();
    wait_masters(&mut daemon, &["VI_1"]);
    daemon.expect("(VI_1) IPSEC-AH : invalid IPSEC HMAC-MD5 value", secs(8.0));
    golden.dump(&mut daemon, "");
    golden.finish(daemon);
    drop(other);
}

/// 11-auth-hmac.
pub fn hmac() {
    masters("11-auth-hmac", &["VI_1"]);
}

/// 20-strict.
pub fn strict_mode() {
    masters_reloaded("20-strict", &["VI_1", "VI_6"]);
}

/// 17-all-instance-keywords.
pub fn all_keywords_of_an_instance() {
    let mut golden = Case::new("17-all-instance-keywords");
    let mut daemon = golden.start();
    wait_masters(&mut daemon, &["VI_1", "VI_2", "VI_3", "VI_4"]);
    second_burst(&daemon);
    golden.dump(&mut daemon, "");
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".after-reload");
    // keepalived counts the priority anew at a reload, and announces the first one's addresses once more.
    let anew = [
        "(VI_1) Changing effective priority from 100 to 120",
        "on eth0 for 192.0.2.100",
        "on eth0 for 2001:db8:0:1::100",
    ];
    golden.finish_but_for(daemon, &anew);
}

/// 07-use-vmac, with the rules that keep switches from learning of VMACs.
pub fn virtual_macs() {
    let mut golden = Case::new("07-use-vmac");
    let mut daemon = golden.start();
    wait_masters(&mut daemon, &["VI_1", "VI_2", "VI_3"]);
    settle(&daemon);
    golden.dump(&mut daemon, "");
    let rules = fs::read_to_string(folder("07-use-vmac").join("nftables")).expect("recorded rules");
    let ours = golden.node1.space().tool("nft", &["list", "ruleset"]);
    golden.problems.extend(differences("nftables", &ours, &rules));
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".after-reload");
    golden.finish(daemon);
}

/// 21-reload-changes.
pub fn changes_at_a_reload() {
    let mut golden = Case::new("21-reload-changes");
    let mut daemon = golden.start();
    wait_masters(&mut daemon, &["VI_1", "VI_2"]);
    settle(&daemon);
    golden.dump(&mut daemon, "");
    let folder = golden.node1.run_file("golden");
    fs::rename(folder.join("node1-after-reload.conf"), folder.join("node1.conf")).expect("own file");
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
    settle(&daemon);
    golden.dump(&mut daemon, ".after-reload");
    golden.finish(daemon);
}
