//! Clients that are installed by name, each doing what its users do with it: dbus-fast, pysnmp, Ansible, conntrackd's
//! script, pyroute2 and tshark.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::daemon::{Start, ours_only};
use crate::common::{PYTHON, Which, have, now_ns, python_package, runner, secs, try_tool, wait_until};
use crate::dbus::{self, Bus};
use crate::pair::{Single, instance, start};
use crate::snmp;

const VIP: &str = "192.0.2.100/24";

fn needs_module(name: &str) {
    if try_tool(PYTHON, &["-c", &format!("import {name}")]).is_err() {
        runner::skip(format!("{PYTHON} has no {name}"));
    }
}

const ASK: &str = "
import asyncio, functools, sys
print = functools.partial(print, file=sys.stderr)
from dbus_fast.aio import MessageBus
from dbus_fast import BusType
NAME, PATH = 'org.keepalived.Vrrp1', '/org/keepalived/Vrrp1/Instance/eth0/51/IPv4'
async def main():
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    about = await bus.introspect(NAME, PATH)
    here = bus.get_proxy_object(NAME, PATH, about).get_interface(NAME + '.Instance')
    print((await here.get_name())[0], *(await here.get_state()), flush=True)
    changed = asyncio.get_running_loop().create_future()
    here.on_vrrp_status_change(lambda state: changed.done() or changed.set_result(state))
    await here.call_send_garp()
    print('listening', flush=True)
    print('changed', await asyncio.wait_for(changed, 20), flush=True)
asyncio.run(main())
";

/// dbus-fast finds the object by its own description, reads its properties, calls it and hears its signal.
pub fn dbus_fast_asks_and_listens() {
    needs_module("dbus_fast");
    ours_only("the signal of 2.2.7 comes from another object");
    let text = format!("{}{}", dbus::ENABLED, instance("one", 51, 100, &[VIP], ""));
    let single = Single::new(&text);
    let bus = Bus::new(&single.host, "");
    let _daemon = bus.daemon(&single.host, Which::Tested);
    bus.wait_state("/org/keepalived/Vrrp1/Instance/eth0/51/IPv4", "Master");
    let from = now_ns();
    let mut client = Start::bare(&single.host, PYTHON)
        .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address())
        .only_args(&["-c", ASK])
        .spawn();
    client.expect("one 2 Master", secs(10.0));
    client.expect("listening", secs(10.0));
    single.watch.wait("its announcement", from, secs(10.0), |s| {
        s.is_gratuitous_arp("192.0.2.100")
    });
    single.host.ip("link set eth0 down");
    client.expect("changed 3", secs(10.0));
}

const WALK: &str = "
from pysnmp.hlapi import *
target = UdpTransportTarget(('127.0.0.1', 1161), timeout=2, retries=5)
rows = nextCmd(SnmpEngine(), CommunityData('public', mpModel=1), target, ContextData(),
               ObjectType(ObjectIdentity('1.3.6.1.4.1.9586.100.5.2.3.1')), lexicographicMode=False)
for error, status, _, values in rows:
    assert not error and not status, (error, status)
    for name, value in values:
        print(name.prettyPrint().split('9586.100.5.')[1], value.prettyPrint())
";

/// pysnmp walks the table of instances.
pub fn pysnmp_walks() {
    needs_module("pysnmp.hlapi");
    snmp::needs_snmp();
    let two = instance("VI_2", 52, 90, &["192.0.2.110/24"], "");
    let text = format!("{}{}{two}", snmp::GLOBALS, instance("VI_1", 51, 150, &[VIP], ""));
    let single = Single::new(&text);
    let _snmpd = snmp::snmpd(&single.host);
    let mut daemon = start(&single.host);
    for name in ["VI_1", "VI_2"] {
        daemon.expect(&format!("({name}) Entering MASTER STATE"), secs(8.0));
    }
    let walk = || single.host.space().tool(PYTHON, &["-W", "ignore", "-c", WALK]);
    let rows = wait_until("both instances", secs(15.0), || {
        let text = walk();
        text.contains("2.3.1.4.2 2").then_some(text)
    });
    let value = |name: &str| {
        rows.lines()
            .find_map(|row| row.strip_prefix(&format!("2.3.1.{name} ")))
    };
    // Name, VRID, state, interface, effective and base priority.
    for (column, values) in [
        (2, ["VI_1", "VI_2"]),
        (3, ["51", "52"]),
        (4, ["2", "2"]),
        (10, ["eth0", "eth0"]),
        (7, ["150", "90"]),
        (8, ["150", "90"]),
    ] {
        for (row, wanted) in values.into_iter().enumerate() {
            let found = value(&format!("{column}.{}", row + 1));
            assert_eq!(found, Some(wanted), "column {column}\n{rows}");
        }
    }
}

/// Ansible's own template module: a right file is put in place, a wrong one is not, and the messages reach the user.
pub fn ansible_replaces_what_is_right() {
    if !have("ansible-playbook") {
        runner::skip("ansible-core is not installed");
    }
    let single = Single::new("");
    let folder = single.host.dir.join("ansible");
    fs::create_dir_all(folder.join("sbin")).expect("own folder");
    symlink(Which::Tested.path(), folder.join("sbin/keepalived")).expect("own link");
    let at = |name: &str| folder.join(name).display().to_string();
    let good = instance("VI_1", 51, 100, &[VIP], "");
    fs::write(at("good.j2"), &good).expect("own file");
    fs::write(at("wrong.j2"), good.replace("priority", "priorty")).expect("own file");
    let play = |template: &str| {
        format!(
            "- hosts: localhost\n  gather_facts: false\n  connection: local\n  vars:\n    ansible_python_interpreter: \
             {PYTHON}\n  tasks:\n  - template:\n      src: {}\n      dest: {}\n      validate: \"{} --use-file=%s \
             --check --all-config --config-test\"\n",
            at(template),
            at("keepalived.conf"),
            at("sbin/keepalived"),
        )
    };
    let run = |template: &str| {
        fs::write(at("play.yml"), play(template)).expect("own file");
        let home = at("");
        let words = [
            "netns",
            "exec",
            &single.host.space().name,
            "env",
            &format!("HOME={home}"),
            &format!("ANSIBLE_LOCAL_TEMP={home}tmp"),
            "ANSIBLE_NOCOLOR=1",
            "LC_ALL=C.UTF-8",
            "ansible-playbook",
            "-i",
            "localhost,",
            &at("play.yml"),
        ];
        let done = Command::new("ip").args(words).output().expect("ip runs");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() {
            Ok(said)
        } else {
            Err(said)
        }
    };
    let refused = run("wrong.j2").expect_err("a wrong file is refused");
    assert!(refused.contains("failed to validate"), "{refused}");
    assert!(refused.contains("Line 4) Unknown keyword 'priorty'"), "{refused}");
    assert!(!folder.join("keepalived.conf").exists());
    run("good.j2").expect("a right file is taken");
    assert_eq!(
        fs::read_to_string(at("keepalived.conf")).expect("it is there"),
        good
    );
}

/// The script that conntrackd's package ships for keepalived, with a conntrackd that notes what it is asked for: the
/// order of its calls at each change of state is that of the changes.
pub fn conntrackd_changes_sides() {
    let shipped = "/usr/share/doc/conntrackd/examples/sync/primary-backup.sh";
    let Ok(text) = fs::read_to_string(shipped) else {
        runner::skip("conntrackd is not installed");
    };
    let single = Single::new("");
    let folder = single.host.dir.clone();
    let script = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("own file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own file");
        path.display().to_string()
    };
    let calls = folder.join("calls");
    let note = format!("#!/bin/sh\nprintf '%s\\n' \"$3\" >>{}\n", calls.display());
    let daemon = script("conntrackd", &note);
    let sides = script(
        "primary-backup.sh",
        &text.replace("/usr/sbin/conntrackd", &daemon),
    );
    let notify = format!(
        "notify_master \"{sides} primary\"\n notify_backup \"{sides} backup\"\n notify_fault \"{sides} fault\"",
    );
    single
        .host
        .write("keepalived.conf", &instance("VI_1", 51, 100, &[VIP], &notify));
    let mut keepalived = start(&single.host);
    keepalived.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let (backup, primary, fault) = ("-s\n-t\n-n\n", "-c\n-f\n-R\n-B\n", "-t\n");
    let expect = |wanted: &str| {
        let from = Instant::now();
        let heard = || fs::read_to_string(&calls).unwrap_or_default();
        while heard() != wanted && from.elapsed() < secs(10.0) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(heard(), wanted);
    };
    expect(&format!("{backup}{primary}"));
    single.host.ip("link set eth0 down");
    expect(&format!("{backup}{primary}{fault}"));
    single.host.ip("link set eth0 up");
    expect(&format!("{backup}{primary}{fault}{backup}{primary}"));
}

const LIST: &str = "
import json, socket, sys
sys.path.insert(0, sys.argv[1])
from pyroute2 import IPRoute
with IPRoute() as kernel:
    index = kernel.link_lookup(ifname='eth0')[0]
    seen = {
        'addresses': [[a.get_attr('IFA_LOCAL') or a.get_attr('IFA_ADDRESS'), a['prefixlen'], a.get_attr('IFA_PROTO')]
                      for a in kernel.get_addr(index=index) if a['family'] == socket.AF_INET],
        'routes': [[r.get_attr('RTA_DST'), r['dst_len'], r.get_attr('RTA_GATEWAY'), r.get_attr('RTA_TABLE'), r['proto']]
                   for r in kernel.get_routes(family=socket.AF_INET) if r.get_attr('RTA_TABLE') in (254, 100)],
        'rules': [[r.get_attr('FRA_PRIORITY'), r.get_attr('FRA_SRC'), r['src_len'], r.get_attr('FRA_TABLE'),
                   r.get_attr('FRA_PROTOCOL')] for r in kernel.get_rules(family=socket.AF_INET)],
    }
print(json.dumps(seen))
";

/// pyroute2 tells what the daemon has set from what others have by the number that the kernel keeps with each for
/// keepalived, 18; and finds nothing of it when the daemon has ended.
pub fn pyroute2_tells_what_is_keepalived_s() {
    ours_only("2.2.7 marks routes and rules, but no addresses");
    let package = python_package("pyroute2");
    let more = "virtual_routes {
        203.0.113.0/24 via 192.0.2.9
        198.51.100.0/24 via 192.0.2.8 table 100
    }
    virtual_rules {
        from 192.0.2.0/24 table 100 priority 1000
    }";
    let single = Single::new(&instance("VI_1", 51, 100, &[VIP], more));
    single.host.ip("route add 203.0.114.0/24 via 192.0.2.7");
    single
        .host
        .ip("rule add from 192.0.2.0/24 table 101 priority 1001");
    let list = || -> Value {
        let text = single.host.space().tool(PYTHON, &["-c", LIST, &package]);
        serde_json::from_str(&text).expect("its list")
    };
    let ours = |list: &Value, what: &str, proto: usize| -> Vec<Value> {
        let all = list[what].as_array().expect("a list").iter();
        all.filter(|one| one[proto] == 18).cloned().collect()
    };
    let mut daemon = start(&single.host);
    daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let seen = wait_until("the rule", secs(5.0), || {
        let seen = list();
        (!ours(&seen, "rules", 4).is_empty()).then_some(seen)
    });
    assert_eq!(
        ours(&seen, "addresses", 2),
        [json!(["192.0.2.100", 24, 18])],
        "{seen}"
    );
    let routes = ours(&seen, "routes", 4);
    assert_eq!(routes.len(), 2, "{seen}");
    assert!(
        routes.contains(&json!(["203.0.113.0", 24, "192.0.2.9", 254, 18])),
        "{seen}"
    );
    assert!(
        routes.contains(&json!(["198.51.100.0", 24, "192.0.2.8", 100, 18])),
        "{seen}"
    );
    assert_eq!(
        ours(&seen, "rules", 4),
        [json!([1000, "192.0.2.0", 24, 100, 18])],
        "{seen}"
    );
    let all = |list: &Value| {
        ["addresses", "routes", "rules"].map(|what| list[what].as_array().expect("a list").len())
    };
    let with_daemon = all(&seen);
    assert_eq!(daemon.stop(), Some(0));
    let after = list();
    for (what, proto) in [("addresses", 2), ("routes", 4), ("rules", 4)] {
        assert!(ours(&after, what, proto).is_empty(), "{after}");
    }
    assert_eq!(
        all(&after),
        [with_daemon[0] - 1, with_daemon[1] - 2, with_daemon[2] - 1],
        "{after}"
    );
}

/// tshark takes our adverts apart and finds neither a wrong checksum nor anything else to remark.
pub fn tshark_finds_nothing_wrong() {
    if !have("tshark") {
        runner::skip("tshark is not installed");
    }
    for (version, vip) in [(2, VIP), (3, VIP), (3, "fe80::100/64")] {
        let interval = if version == 2 { "1" } else { "0.5" };
        let more = format!("version {version}\n advert_int {interval}");
        let single = Single::new(&instance("VI_1", 51, 123, &[vip], &more));
        let other = single.peer("two", 2, "");
        let mut daemon = start(&single.host);
        daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
        let fields = [
            "vrrp.version",
            "vrrp.virt_rtr_id",
            "vrrp.prio",
            "vrrp.addr_count",
            "vrrp.checksum.status",
            "_ws.expert",
        ];
        let mut words = vec![
            "-q",
            "-l",
            "-n",
            "-i",
            "eth0",
            "-c",
            "2",
            "-a",
            "duration:20",
            "-Y",
            "vrrp",
            "-f",
        ];
        words.extend([
            "proto 112 and not src 192.0.2.2",
            "-o",
            "ip.check_checksum:TRUE",
            "-T",
            "fields",
        ]);
        for field in &fields {
            words.extend(["-e", field]);
        }
        let seen = other.space().tool("tshark", &words);
        let line = seen.lines().find(|line| line.contains('\t')).unwrap_or_default();
        assert_eq!(line, format!("{version}\t51\t123\t1\t1\t"), "{seen}");
        daemon.signal(Signal::SIGTERM);
    }
}
