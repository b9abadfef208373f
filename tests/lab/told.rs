//! What our part of the JSON says (`json_version 2`): other masters, nobody ever heard, unicast peers that do not
//! take adverts, and what came of scripts.

use std::fs;

use serde_json::{Value, json};

use crate::common::daemon::ours_only;
use crate::common::forward::{Direction, Forwarder};
use crate::common::{Daemon, Host, Lab, secs, wait_until};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";
const GLOBALS: &str = "global_defs {\n    script_user root\n    json_version 2\n}\n";

fn quick(priority: u8, more: &str) -> String {
    let more = format!("version 3\n    advert_int 0.2\n    {more}");
    format!("{GLOBALS}{}", instance("VI_1", 51, priority, &[VIP], &more))
}

/// Our part of a new JSON file, when it is as `wanted` says.
pub fn told(daemon: &Daemon, host: &Host, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = host.tmp().join("keepalived.json");
    let mut last = String::new();
    let found = wait_until(what, secs(10.0), || {
        let _ = fs::remove_file(&path);
        daemon.signal_number(36);
        wait_until("the file", secs(5.0), || path.exists().then_some(()));
        last = fs::read_to_string(&path).ok()?;
        let all: Value = serde_json::from_str(&last).expect("whole");
        assert_eq!(
            all["vrrp"][0]["data"]["iname"], "VI_1",
            "keepalived's part is there"
        );
        Some(all["keepalived_rs"].clone()).filter(|ours| wanted(ours))
    });
    // What a reader of keepalived's form finds before it.
    let (theirs, _) = last.split_once(",\"keepalived_rs\":").expect("ours is last");
    assert!(theirs.starts_with("{\"vrrp\":[{\"data\":{\"iname\":\"VI_1\",\"dont_track_primary\":0,"));
    found
}

/// A conflict with the other's address, MAC address, priority and duration, while it lasts and afterwards.
pub fn conflicts() {
    ours_only("keepalived says nothing about it");
    let lab = Lab::new();
    let (one, two) = (lab.host("one"), lab.host("two"));
    let ports = [
        lab.cable(&one, "eth0", &["192.0.2.1/24"]),
        lab.cable(&two, "eth0", &["192.0.2.2/24"]),
    ];
    one.write("keepalived.conf", &quick(150, ""));
    two.write("keepalived.conf", &quick(100, ""));
    let forwarder = Forwarder::start(lab.hub(), &ports[0], &ports[1]);
    let mut first = start(&one);
    first.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut second = start(&two);
    second.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    let before = told(&first, &one, "a master alone", |_| true);
    assert_eq!(before["instances"][0]["conflicts"], json!([]));
    assert_eq!(before["instances"][0]["unheard"], Value::Null);
    forwarder.lose(|_, direction| direction == Direction::LeftToRight);
    first.expect("(VI_1) two masters: 192.0.2.2", secs(12.0));
    let mac = two.mac("eth0").map(|octet| format!("{octet:02x}")).join(":");
    let during = told(&first, &one, "a conflict", |ours| {
        let conflict = &ours["instances"][0]["conflicts"][0];
        conflict["duration"].as_f64() > Some(0.5)
    });
    let conflict = &during["instances"][0]["conflicts"][0];
    assert_eq!(
        [
            &conflict["peer"],
            &conflict["mac"],
            &conflict["priority"],
            &conflict["our_priority"]
        ],
        [&json!("192.0.2.2"), &json!(mac), &json!(100), &json!(150)]
    );
    assert_eq!(
        [&conflict["over"], &conflict["refused"]],
        [&json!(false), &Value::Null]
    );
    assert!(conflict["since"].as_f64() > Some(1e9) && conflict["adverts"].as_u64() > Some(2));
    let peers = &during["instances"][0]["peers"];
    assert_eq!(
        (&peers[0]["address"], &peers[0]["configured"]),
        (&json!("192.0.2.2"), &json!(false))
    );
    assert!(peers[0]["advert_rcvd"].as_u64() > Some(2), "{peers}");
    forwarder.lose(|_, _| false);
    let after = told(&first, &one, "its end", |ours| {
        ours["instances"][0]["conflicts"][0]["over"] == true
    });
    let over = &after["instances"][0]["conflicts"][0];
    assert_eq!(over["peer"], conflict["peer"]);
    // It is kept as a moment of the monotonic clock; the two clocks are not read at the very same time.
    let since = |of: &Value| of["since"].as_f64().expect("a number");
    assert!((since(over) - since(conflict)).abs() < 0.01, "{over} {conflict}");
    assert!(over["duration"].as_f64() >= conflict["duration"].as_f64());
    assert_eq!(after["instances"][0]["ever_heard"], true);
}

/// Unicast peers that do not take adverts, each for a reason of its own: the log and the JSON name peer and
/// reason, and each has its own counters.
pub fn unicast_peers_that_answer_nothing() {
    ours_only("keepalived does not look at ICMP errors");
    let peers = "unicast_peer {\n192.0.2.2\n192.0.2.4\n192.0.2.77\n198.51.100.8\n198.51.100.9\n}";
    let ipv6 = "version 3\n advert_int 0.2\n unicast_src_ip 2001:db8::1\n unicast_peer {\n2001:db8::2\n2001:db8::77\n}";
    let ipv6 = instance("VI_6", 61, 150, &["2001:db8::100/64"], ipv6);
    let lab = Single::new(&format!("{}{ipv6}", quick(150, peers)));
    lab.host.ip("address add 2001:db8::1/64 dev eth0 nodad");
    // Without a daemon; with another version; a router that is not to let one through and knows no way to another.
    let two = lab.peer("two", 2, "");
    two.ip("address add 2001:db8::2/64 dev eth0 nodad");
    let ours = "unicast_peer {\n192.0.2.1\n}";
    let other_version = format!("{GLOBALS}{}", instance("VI_1", 51, 100, &[VIP], ours));
    let four = lab.peer("four", 4, &other_version);
    let router = lab.peer("five", 5, "");
    router.space().tool("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    router.ip("route add prohibit 198.51.100.8");
    lab.host.ip("route add 198.51.100.0/24 via 192.0.2.5");
    let mut other = start(&four);
    other.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut daemon = lab.start();
    let line = daemon.expect("(VI_1) master for ", secs(15.0)).text;
    for said in [
        "peer 192.0.2.2 answers that nothing there speaks VRRP (ICMP protocol unreachable): start it there",
        "of 192.0.2.4 refused (VRRP version 2, ours is 3): compare vrrp_version and version on both",
        "192.0.2.77",
        "a firewall on the way to peer 198.51.100.8 refuses adverts (192.0.2.5 says: ICMP administratively prohibited)",
        "peer 198.51.100.9 cannot be reached: 192.0.2.5 says that nobody answers for it (ICMP network unreachable)",
    ] {
        assert!(line.contains(said), "{said}\nin {line}");
    }
    // The kernel asks three times for a neighbour before it gives up.
    let ours = told(&daemon, &lab.host, "the condition", |ours| {
        let silent = &ours["instances"][0]["peers"][2]["last_icmp_error"];
        !silent.is_null()
            && ours["instances"][0]["unheard"]["causes"]
                .as_array()
                .is_some_and(|causes| causes.len() >= 4)
    });
    let one = &ours["instances"][0];
    assert_eq!(one["ever_heard"], false);
    let causes = one["unheard"]["causes"].to_string();
    assert!(
        causes.contains("192.0.2.77") && causes.contains("VRRP version 2"),
        "{causes}"
    );
    let peers = one["peers"].as_array().expect("a list");
    let seen: Vec<_> = peers
        .iter()
        .map(|peer| {
            let error = &peer["last_icmp_error"];
            assert_eq!(peer["configured"], true);
            json!([
                peer["address"],
                error["from"],
                error["type"],
                error["code"],
                peer["refused"][0]["reason"]
            ])
        })
        .collect();
    let nothing = Value::Null;
    assert_eq!(
        seen,
        [
            json!(["192.0.2.2", "192.0.2.2", 3, 2, nothing]),
            json!(["192.0.2.4", null, null, null, "VRRP version 2, ours is 3"]),
            json!(["192.0.2.77", "192.0.2.1", 3, 1, nothing]),
            json!(["198.51.100.8", "192.0.2.5", 3, 13, nothing]),
            json!(["198.51.100.9", "192.0.2.5", 3, 0, nothing]),
        ]
    );
    assert!(peers[1]["refused"][0]["adverts"].as_u64() > Some(0));

    let seen: Vec<_> = ours["instances"][1]["peers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|peer| {
            let error = &peer["last_icmp_error"];
            json!([peer["address"], error["from"], error["type"], error["code"]])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!(["2001:db8::2", "2001:db8::2", 4, 1]),
            json!(["2001:db8::77", "2001:db8::1", 1, 3]),
        ]
    );

    // It hears the one that is mended, and nobody is unheard any more.
    other.stop();
    four.write("keepalived.conf", &quick(100, "unicast_peer {\n192.0.2.1\n}"));
    let mut other = start(&four);
    other.expect("(VI_1) Entering BACKUP STATE", secs(8.0));
    lab.host
        .write("keepalived.conf", &quick(50, "unicast_peer {\n192.0.2.4\n}"));
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    let ours = told(&daemon, &lab.host, "an advert of the other", |ours| {
        ours["instances"][0]["ever_heard"] == true
    });
    assert_eq!(ours["instances"][0]["unheard"], Value::Null);
}

/// Runs of track scripts and notify scripts: status, last line, moment, duration, counts; the last few of them.
pub fn what_came_of_scripts() {
    ours_only("keepalived keeps no history");
    let lab = Single::new("");
    let check = lab.host.script(
        "check",
        "#!/bin/sh\necho first >&2\necho \"secondly $(cat /run/verdict)\" >&2\nexit $(cat /run/verdict)\n",
    );
    let slow = lab.host.script("slow", "#!/bin/sh\nexec sleep 20\n");
    let notify = lab.host.script(
        "notify",
        "#!/bin/sh\necho \"no $3 here\" >&2\nsleep 0.1\nexit 7\n",
    );
    fs::write(lab.host.run_file("verdict"), "0").expect("own file");
    let more = format!(
        "track_script {{\nchk weight 1\nslow weight 1\n}}\nnotify {}",
        notify.display()
    );
    lab.host.write(
        "keepalived.conf",
        &format!(
            "vrrp_script chk {{\nscript {}\ninterval 0.2\ntimeout 10\n}}\nvrrp_script slow {{\nscript {}\ninterval 60\ntimeout 1\n\
             }}\n{}",
            check.display(),
            slow.display(),
            quick(150, &more)
        ),
    );
    let mut daemon = lab.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(12.0));
    let ours = told(&daemon, &lab.host, "many runs", |ours| {
        ours["track_scripts"][0]["runs"].as_u64() > Some(9) && ours["track_scripts"][1]["runs"] == 1
    });
    let scripts = &ours["track_scripts"];
    assert_eq!(
        (&scripts[0]["name"], &scripts[0]["up"]),
        (&json!("chk"), &json!(true))
    );
    assert_eq!(
        (&scripts[0]["failures"], &scripts[0]["timeouts"]),
        (&json!(0), &json!(0))
    );
    let last = scripts[0]["last"].as_array().expect("a list");
    assert_eq!(last.len(), 8, "bounded");
    assert_eq!(last[0]["stderr"], "secondly 0");
    assert_eq!(
        (&last[0]["ended"], &last[0]["status"]),
        (&json!("exited"), &json!(0))
    );
    assert!(
        last[0]["started"].as_f64() > last[1]["started"].as_f64(),
        "the newest first"
    );
    assert!(
        last[0]["duration"]
            .as_f64()
            .is_some_and(|time| time > 0.0 && time <= scripts[0]["longest"].as_f64().unwrap_or(0.0))
    );
    assert_eq!(
        (
            &scripts[1]["timeouts"],
            &scripts[1]["failures"],
            &scripts[1]["up"]
        ),
        (&json!(1), &json!(1), &json!(false))
    );
    assert_eq!(
        (&scripts[1]["last"][0]["ended"], &scripts[1]["last"][0]["status"]),
        (&json!("timed out"), &Value::Null)
    );

    let notified = ours["notify_scripts"].as_array().expect("a list");
    let master = notified
        .iter()
        .find(|told| told["event"] == "MASTER")
        .expect("it was told");
    assert_eq!(
        [
            &master["type"],
            &master["name"],
            &master["script"],
            &master["runs"],
            &master["failures"]
        ],
        [
            &json!("INSTANCE"),
            &json!("VI_1"),
            &json!(notify.display().to_string()),
            &json!(1),
            &json!(1)
        ]
    );
    let run = &master["last"][0];
    assert_eq!(
        [&run["status"], &run["stderr"]],
        [&json!(7), &json!("no MASTER here")]
    );
    assert!(run["duration"].as_f64() >= Some(0.1), "{run}");

    fs::write(lab.host.run_file("verdict"), "3").expect("own file");
    let ours = told(&daemon, &lab.host, "a failure", |ours| {
        ours["track_scripts"][0]["up"] == false
    });
    let last = &ours["track_scripts"][0]["last"][0];
    assert_eq!(
        [&last["status"], &last["stderr"]],
        [&json!(3), &json!("secondly 3")]
    );
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
    let after = told(&daemon, &lab.host, "the same script", |_| true);
    assert!(after["track_scripts"][0]["runs"].as_u64() >= ours["track_scripts"][0]["runs"].as_u64());
}
