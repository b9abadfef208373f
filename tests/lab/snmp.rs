//! SNMP through Debian's snmpd: walks beside keepalived's own, notifications as snmptrapd hears them, and an snmpd that
//! comes, goes and hangs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, needs_keepalived, ours_only};
use crate::common::net::Host;
use crate::common::runner::skip;
use crate::common::{Daemon, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

pub const KEEPALIVED_MIB: &str = ".1.3.6.1.4.1.9586.100.5";
pub const VRRP_MIB: &str = ".1.3.6.1.2.1.68";
pub const VRRPV3_MIB: &str = ".1.3.6.1.2.1.207";

pub const GLOBALS: &str = "global_defs {\n    snmp_socket unix:/run/agentx\n    enable_traps\n    enable_snmp_vrrp\n    \
                       enable_snmp_rfc\n    router_id LAB\n}\n";

pub fn needs_snmp() {
    for program in ["/usr/sbin/snmpd", "/usr/sbin/snmptrapd", "/usr/bin/snmpwalk"] {
        if !Path::new(program).exists() {
            skip(format!("{program} is not installed"));
        }
    }
}

/// snmpd with its AgentX socket at /run/agentx.
pub fn snmpd(host: &Host) -> Daemon {
    host.write(
        "snmpd.conf",
        "master agentx\nagentXSocket /run/agentx\nrocommunity public\nrwcommunity private\n\
         agentaddress udp:127.0.0.1:1161\ntrap2sink 127.0.0.1:1162 public\n",
    );
    let mut snmpd = net_snmp(host, "/usr/sbin/snmpd")
        .args(&["-f", "-Le", "-C", "-c", "/etc/keepalived/snmpd.conf"])
        .args(&["-p", "/run/snmpd.pid"])
        .spawn();
    snmpd.expect("NET-SNMP version", secs(10.0));
    snmpd
}

fn snmptrapd(host: &Host) -> Daemon {
    let mut snmptrapd = net_snmp(host, "/usr/sbin/snmptrapd")
        .args(&["-f", "-Le", "-C", "-On", "--disableAuthorization=yes"])
        .args(&["-p", "/run/snmptrapd.pid", "udp:127.0.0.1:1162"])
        .spawn();
    snmptrapd.expect("NET-SNMP version", secs(10.0));
    snmptrapd
}

/// Without the texts of MIBs, which it would look for and miss in hundreds of lines.
fn net_snmp<'a>(host: &'a Host, program: &str) -> Start<'a> {
    Start::bare(host, program)
        .env("MIBS", "")
        .env("SNMP_PERSISTENT_DIR", "/run/net-snmp")
}

/// Objects below `root`, with their values.
pub fn walk(host: &Host, root: &str) -> BTreeMap<String, String> {
    let args = ["-m", "", "-v2c", "-cpublic", "-On", "-t3", "127.0.0.1:1161", root];
    let text = host.space().tool("snmpwalk", &args);
    text.lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(_, value)| !value.starts_with("No Such"))
        .map(|(name, value)| (name.to_owned(), value.trim_end().to_owned()))
        .collect()
}

fn get(host: &Host, name: &str) -> String {
    walk(host, name).remove(name).unwrap_or_default()
}

fn state(host: &Host) -> String {
    get(host, &format!("{KEEPALIVED_MIB}.2.3.1.4.1"))
}

fn configuration() -> String {
    let tracking = "nopreempt\n    track_interface {\n        lo\n    }\n    virtual_ipaddress_excluded {\n        \
                    2001:db8::5/64\n    }";
    let (one, two) = (
        instance("VI_1", 51, 150, &["192.0.2.100/24", "192.0.2.101/32"], ""),
        instance("VI_2", 52, 100, &["192.0.2.110/24"], tracking),
    );
    format!("{GLOBALS}vrrp_sync_group G {{\n    group {{\n        VI_1\n        VI_2\n    }}\n}}\n{one}{two}")
}

/// Each object that keepalived answers with is there, with the same value.
pub fn walks_are_as_keepalived_s() {
    ours_only("it is what is compared with");
    needs_keepalived();
    needs_snmp();
    let single = Single::new(&configuration());
    let host = &single.host;
    let _snmpd = snmpd(host);
    let walks = [Which::Keepalived, Which::Tested].map(|which| {
        let mut daemon = Start::new(host, which).spawn();
        wait_until("all objects", secs(15.0), || {
            let set = format!("{KEEPALIVED_MIB}.2.6.1.10.2.1");
            (state(host) == "INTEGER: 2" && get(host, &set) == "INTEGER: 1").then_some(())
        });
        let walks = [KEEPALIVED_MIB, VRRP_MIB, VRRPV3_MIB].map(|root| walk(host, root));
        daemon.stop();
        walks
    });
    let [theirs, ours] = walks;
    let mut differences = Vec::new();
    let mut same = 0;
    for (name, value) in theirs.iter().flatten() {
        let found = ours.iter().find_map(|walk| walk.get(name));
        match found {
            Some(found) if found == value => same += 1,
            _ if differs_on_purpose(name) => {}
            found => differences.push(format!("{name}: ours {found:?}, keepalived {value:?}")),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(same > 150, "{same}");
}

/// Version 2.2.7 says it is; counts and times go on; keepalived takes the second instance's address for an excluded one
/// and a master's master for the one that it heard last.
fn differs_on_purpose(name: &str) -> bool {
    let keepalived = [".1.1.0", ".2.6.1.11."].map(|rest| format!("{KEEPALIVED_MIB}{rest}"));
    let v2 = [".1.3.1.7.", ".1.3.1.13."].map(|rest| format!("{VRRP_MIB}{rest}"));
    let v3 = [".1.1.1.1.12.", ".1.2.4.0", ".1.2.5.1.12."].map(|rest| format!("{VRRPV3_MIB}{rest}"));
    let all = keepalived.iter().chain(&v2).chain(&v3);
    all.into_iter().any(|start| name.starts_with(start.as_str()))
}

/// Each `enable_snmp_` keyword by itself brings its own MIB, and no other.
pub fn only_what_is_enabled_is_answered() {
    needs_snmp();
    let vrrp = format!("{KEEPALIVED_MIB}.2.3");
    let roots = [&vrrp, VRRP_MIB, VRRPV3_MIB];
    for (keyword, expected) in [
        ("enable_snmp_vrrp", [true, false, false]),
        ("enable_snmp_keepalived", [true, false, false]),
        ("enable_snmp_rfcv2", [false, true, false]),
        ("enable_snmp_rfcv3", [false, false, true]),
        ("enable_snmp_rfc", [false, true, true]),
    ] {
        let single = Single::new(&format!(
            "global_defs {{\n    snmp_socket unix:/run/agentx\n    {keyword}\n}}\n{}",
            instance("VI_1", 51, 150, &["192.0.2.100/24"], "")
        ));
        let _snmpd = snmpd(&single.host);
        let mut daemon = start(&single.host);
        single
            .host
            .wait_address("eth0", "192.0.2.100/24", true, secs(8.0));
        let answered = || roots.map(|root| !walk(&single.host, root).is_empty());
        wait_until(&format!("{keyword}: {expected:?}"), secs(10.0), || {
            (answered() == expected).then_some(())
        });
        daemon.stop();
    }
}

/// Each state is notified in the three MIBs' ways; nothing can be set.
pub fn notifications_are_heard() {
    ours_only("its build may have other MIBs");
    needs_snmp();
    let single = Single::new(&configuration());
    let host = &single.host;
    let mut heard = snmptrapd(host);
    let _snmpd = snmpd(host);
    let mut daemon = start(host);
    host.wait_address("eth0", "192.0.2.100/24", true, secs(10.0));
    let new_master = format!("{VRRP_MIB}.0.1\t");
    let line = heard.expect(&new_master, secs(5.0)).text;
    assert!(line.contains("IpAddress: 192.0.2.1"), "{line}");
    let set = ["-m", "", "-v2c", "-cprivate", "-On", "127.0.0.1:1161"];
    let priority = format!("{KEEPALIVED_MIB}.2.3.1.7.1");
    let refused = host.space().run(|| {
        let mut command = std::process::Command::new("snmpset");
        command.args(set).args([&priority, "i", "99"]);
        command.output().expect("snmpset runs")
    });
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("notWritable"), "{said}");
    assert_eq!(get(host, &priority), "INTEGER: 150");
    daemon.stop();
    let ended = format!("{KEEPALIVED_MIB}.2.3.1.4 = INTEGER: 5");
    let line = heard.expect(&ended, secs(5.0)).text;
    let instance = format!("{KEEPALIVED_MIB}.2.10.0.2\t{KEEPALIVED_MIB}.2.3.1.2 = STRING: \"VI_");
    assert!(line.contains(&instance), "{line}");
    for expected in [
        format!("{KEEPALIVED_MIB}.2.10.0.1\t{KEEPALIVED_MIB}.2.1.1.2 = STRING: \"G\""),
        format!("{KEEPALIVED_MIB}.2.3.1.4 = INTEGER: 1\t{KEEPALIVED_MIB}.2.3.1.5 = INTEGER: 1"),
        format!("{VRRPV3_MIB}.0.1\t"),
        "STRING: \"LAB\"".to_owned(),
    ] {
        heard.logged(&expected);
    }
}

/// An snmpd that is replaced over and over, and one that hangs, cost no advert; the MIBs are there again each time.
pub fn snmpd_comes_goes_and_hangs() {
    ours_only("its MIBs stay dead");
    needs_snmp();
    let fast = "version 3\n    advert_int 0.1\n    garp_master_delay 0";
    let text = format!(
        "{GLOBALS}{}",
        instance("VI_1", 51, 100, &["192.0.2.100/24"], fast)
    );
    let single = Single::new(&text);
    let host = &single.host;
    let mut daemon = start(host);
    host.wait_address("eth0", "192.0.2.100/24", true, secs(8.0));
    let adverts = |from: i64, count: usize| {
        single.watch.wait_nth("adverts", from, count, secs(20.0), |s| {
            s.is_advert_of(51, "192.0.2.1")
        });
        single.watch.longest_gap(51, "192.0.2.1", from, 0)
    };
    let quiet = adverts(now_ns(), 20);
    let bound = Duration::from_millis(200).max(quiet.mul_f64(1.5));
    let from = now_ns();
    let mut served = snmpd(host);
    for round in 0..20 {
        // Killed, ended in order, and replaced.
        served.signal(if round % 2 == 0 {
            Signal::SIGKILL
        } else {
            Signal::SIGTERM
        });
        served.wait_exit(secs(5.0));
        served = snmpd(host);
        if round % 5 == 0 {
            daemon.expect("AgentX subagent connected", secs(12.0));
        }
    }
    wait_until("the state over SNMP", secs(15.0), || {
        (state(host) == "INTEGER: 2").then_some(())
    });
    let gap = single.watch.longest_gap(51, "192.0.2.1", from, 0);
    assert!(
        gap <= bound,
        "snmpd replaced: an advert was late: {gap:?}, without it {quiet:?}"
    );
    served.signal(Signal::SIGSTOP);
    let from = now_ns();
    for priority in [101, 102, 103] {
        host.write(
            "keepalived.conf",
            &text.replace("priority 100", &format!("priority {priority}")),
        );
        daemon.skip_log();
        daemon.signal(Signal::SIGHUP);
        daemon.expect("Reload complete", secs(10.0));
    }
    let gap = adverts(from, 30);
    assert!(
        gap <= bound,
        "snmpd stopped: an advert was late: {gap:?}, without it {quiet:?}"
    );
    served.signal(Signal::SIGCONT);
    wait_until("the new priority over SNMP", secs(15.0), || {
        (get(host, &format!("{KEEPALIVED_MIB}.2.3.1.7.1")) == "INTEGER: 103").then_some(())
    });
}
