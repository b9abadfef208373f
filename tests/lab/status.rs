//! `keepalived-rs status`, asked of real daemons.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::daemon::{Start, ours_only};
use crate::common::{Host, Which, runner, secs, wait_until};
use crate::pair::{Single, instance, start};

fn status(host: &Host, more: &[&str]) -> (Option<i32>, String) {
    let mut words = vec!["status"];
    words.extend(more);
    Start::bare(host, Which::Tested.path()).only_args(&words).output()
}

/// The words behind the name of each row of one instance.
fn rows(text: &str, head: &str) -> Vec<(String, String)> {
    let lines = text.lines().skip_while(|line| !line.starts_with(head)).skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| (line[..12].trim().to_owned(), line[12..].trim().to_owned()))
        .collect()
}

fn row<'a>(rows: &'a [(String, String)], name: &str) -> &'a str {
    let found = rows.iter().find(|(found, _)| found == name);
    found.map_or_else(|| panic!("no {name}: {rows:?}"), |(_, value)| value)
}

pub fn status_says_who_is_master_and_why() {
    ours_only("keepalived has no such command");
    let single = Single::new("");
    let check = single
        .host
        .script("check", "#!/bin/sh\necho no good >&2\nexit 3\n");
    let script = format!(
        "global_defs {{\nscript_user root\nenable_script_security\n}}\nvrrp_script chk {{\nscript \"{}\"\ninterval 1\nfall 1\nweight -20\n}}\n",
        check.display()
    );
    let tracked = "authentication {\nauth_type PASS\nauth_pass geheim1\n}\n    track_script {\nchk\n}";
    let text = script
        + &instance(
            "VI_1",
            51,
            150,
            &["192.0.2.100/24"],
            &format!("advert_int 1\n    {tracked}"),
        );
    single.host.write("keepalived.conf", &text);
    let (code, said) = status(&single.host, &[]);
    assert!(
        code == Some(1) && said.contains("no daemon runs"),
        "{code:?} {said}"
    );

    let mut one = single.start();
    one.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let told = wait_until("the script's first run", secs(5.0), || {
        let (code, told) = status(&single.host, &[]);
        assert_eq!(code, Some(0), "{told}");
        told.contains("no good").then_some(told)
    });
    assert!(
        told.starts_with("1 instance: 1 master, 0 backup, 0 fault\n"),
        "{told}"
    );
    let said = rows(&told, "VI_1  MASTER  virtual router 51 on eth0");
    assert!(row(&said, "priority").starts_with("130 ("), "{told}");
    assert!(row(&said, "priority").contains("chk -20"), "{told}");
    assert_eq!(row(&said, "addresses"), "192.0.2.100/24 on eth0, set");
    assert!(row(&said, "next").starts_with("advert, in "), "{told}");
    assert!(
        !row(&said, "why").is_empty() && row(&said, "since").contains(", for "),
        "{told}"
    );
    assert!(
        row(&rows(&told, "tracked"), "script").starts_with("chk: fails; last status 3"),
        "{told}"
    );

    let better = instance(
        "VI_1",
        51,
        200,
        &["192.0.2.100/24"],
        "authentication {\nauth_type PASS\nauth_pass geheim1\n}",
    );
    let peer = single.peer("two", 2, &better);
    let mut two = start(&peer);
    two.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    one.expect("(VI_1) Entering BACKUP STATE", secs(4.0));
    let (_, told) = status(&single.host, &[]);
    let said = rows(&told, "VI_1  BACKUP");
    assert_eq!(row(&said, "master"), "192.0.2.2, priority 200", "{told}");
    assert_eq!(row(&said, "addresses"), "192.0.2.100/24 on eth0, not set");
    assert!(row(&said, "peer").starts_with("192.0.2.2: "), "{told}");

    let (code, json) = status(&single.host, &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(
        (code, &json["keepalived_rs"]["instances"][0]["iname"]),
        (Some(0), &Value::from("VI_1"))
    );
    assert!(!told.contains("geheim1") && !json.to_string().contains("geheim1"));
    one.stop();
    let (code, said) = status(&single.host, &[]);
    assert!(
        code == Some(1) && said.contains("no daemon runs"),
        "{code:?} {said}"
    );
}

/// One instance in each state that there is, a group, and the line of counts.
pub fn status_shows_every_state() {
    ours_only("keepalived has no such command");
    let waits = "vrrp_script waits {\nscript \"/bin/sleep 60\"\ninterval 70\ntimeout 65\n}\n";
    let script = "track_script {\nwaits\n}";
    let text = [
        "global_defs {\nscript_user root\n}\n".to_owned(),
        waits.to_owned(),
        "vrrp_sync_group BOTH {\ngroup {\nVI_M\nVI_N\n}\n}\n".to_owned(),
        instance("VI_M", 51, 150, &["192.0.2.101/24"], ""),
        instance("VI_N", 52, 150, &["192.0.2.102/24"], ""),
        instance("VI_B", 53, 100, &["192.0.2.103/24"], ""),
        instance("VI_F", 54, 150, &["192.0.2.104/24"], "").replace("interface eth0", "interface eth1"),
        instance("VI_I", 55, 150, &["192.0.2.105/24"], script),
    ];
    let single = Single::new(&text.concat());
    single.lab.cable(&single.host, "eth1", &[]).pull();
    let peer = single.peer("two", 2, &instance("VI_B", 53, 200, &["192.0.2.103/24"], ""));
    let mut two = start(&peer);
    two.expect("(VI_B) Entering MASTER STATE", secs(8.0));
    let mut one = single.start();
    one.expect("(VI_N) Entering MASTER STATE", secs(8.0));
    let told = wait_until("all states", secs(8.0), || {
        let (code, told) = status(&single.host, &[]);
        assert_eq!(code, Some(0), "{told}");
        told.starts_with("5 instances: 2 master, 1 backup, 1 fault\n")
            .then_some(told)
    });
    for (head, why) in [
        ("VI_M  MASTER  virtual router 51 on eth0", ""),
        ("VI_N  MASTER  virtual router 52 on eth0", ""),
        ("VI_B  BACKUP  virtual router 53 on eth0", "started"),
        ("VI_F  FAULT  virtual router 54 on eth1", "eth1"),
        ("VI_I  INIT  virtual router 55 on eth0", "starting"),
    ] {
        let said = rows(&told, head);
        let cause = row(&said, "why");
        assert!(
            !cause.is_empty() && cause.contains(why),
            "{head}: {cause:?}\n{told}"
        );
        let set = if head.contains("MASTER") { "set" } else { "not set" };
        assert!(
            row(&said, "addresses").ends_with(&format!(", {set}")),
            "{head}\n{told}"
        );
    }
    assert_eq!(row(&rows(&told, "group BOTH  MASTER"), "members"), "VI_M, VI_N");
    let backup = rows(&told, "VI_B  BACKUP");
    assert_eq!(row(&backup, "master"), "192.0.2.2, priority 200");
    assert_eq!(row(&backup, "priority"), "100 (base +100)");
    assert!(row(&rows(&told, "tracked"), "script").starts_with("waits: has not run yet"));
}

/// Another user reads nothing, and is told what to do.
pub fn others_are_sent_to_root() {
    ours_only("keepalived has no such command");
    if runner::unprivileged() {
        runner::skip("other users need real root");
    }
    let single = Single::new(&instance("VI_1", 51, 150, &["192.0.2.100/24"], ""));
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(8.0));
    // Others may not look into the folder of the program under test.
    let program = single.host.dir.join("keepalived-rs");
    fs::copy(Which::Tested.path(), &program).expect("own file");
    let program = program.display().to_string();
    let identity = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--",
        &program,
    ];
    for command in ["status", "watch", "reload"] {
        let words = [&identity[..], &[command]].concat();
        let (code, said) = Start::bare(&single.host, "setpriv").only_args(&words).output();
        assert_eq!(code, Some(1), "{said}");
        let told = "keepalived-rs: /run/keepalived.sock: Permission denied (os error 13): only root may ask the daemon: run \
                    this with sudo\n";
        assert_eq!(said, told);
    }
    assert_eq!(daemon.count("Reloading"), 0);
}

/// Each change of state on a line, with its reason, for all who watch; then the end of the daemon.
pub fn watch_follows_until_the_end() {
    ours_only("keepalived has no such command");
    let vips = ["192.0.2.100/24"];
    let two = instance("VI_2", 52, 150, &["192.0.2.102/24"], "");
    let text = instance("VI_1", 51, 100, &vips, "") + &two;
    let single = Single::new(&text);
    let mut daemon = single.start();
    wait_until("both masters", secs(8.0), || {
        (daemon.count("Entering MASTER STATE") == 2).then_some(())
    });
    let watch = || {
        let command = "exec \"$0\" watch >&2";
        let program = Which::Tested.path().display().to_string();
        Start::bare(&single.host, "sh")
            .only_args(&["-c", command, &program])
            .spawn()
    };
    let mut watchers = [watch(), watch()];
    for watcher in &mut watchers {
        watcher.expect("  VI_1  MASTER", secs(5.0));
        watcher.expect("  VI_2  MASTER", secs(5.0));
    }
    let better = instance("VI_1", 51, 200, &vips, "");
    let peer = single.peer("two", 2, &better);
    let mut other = start(&peer);
    for watcher in &mut watchers {
        let line = watcher.expect("  VI_1  MASTER -> BACKUP, priority 100: ", secs(8.0));
        assert!(line.text.contains("192.0.2.2"), "{}", line.text);
    }
    other.crash();
    for watcher in &mut watchers {
        watcher.expect("  VI_1  BACKUP -> MASTER, priority 100: ", secs(8.0));
    }
    watchers[1].crash();
    single
        .host
        .write("keepalived.conf", &instance("VI_1", 51, 100, &vips, ""));
    daemon.signal(Signal::SIGHUP);
    watchers[0].expect("  VI_2  removed by a reload", secs(5.0));
    single.host.ip("link set eth0 down");
    let line = watchers[0].expect("  VI_1  MASTER -> FAULT, priority 100: ", secs(5.0));
    assert!(line.text.contains("eth0"), "{}", line.text);
    daemon.stop();
    watchers[0].expect("the daemon stops", secs(5.0));
    watchers[0].expect("keepalived-rs: the daemon has ended", secs(5.0));
    assert_eq!(watchers[0].wait_exit(secs(5.0)), Some(1));
}

/// Clients that say nothing, nonsense, or do not read: all others are answered, and no advert is late.
pub fn status_is_held_up_by_nobody() {
    ours_only("keepalived has no such command");
    let single = Single::new(&instance(
        "VI_1",
        51,
        150,
        &["192.0.2.100/24"],
        "version 3\n    advert_int 0.1",
    ));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let socket = single.host.run_file("keepalived.sock");
    assert_eq!(
        fs::metadata(&socket).expect("the socket").permissions().mode() & 0o777,
        0o600
    );
    let connect = || UnixStream::connect(&socket).expect("a listener");
    let silent: Vec<_> = (0..8).map(|_| connect()).collect();
    for nonsense in [
        "status",
        "what\n",
        "status\nstatus\nstatus\n",
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut client = connect();
        client.write_all(nonsense.as_bytes()).expect("taken");
        client.set_read_timeout(Some(secs(5.0))).expect("a time");
        let mut answer = String::new();
        // Closed before it was all read: a reset.
        let _ = client.read_to_string(&mut answer);
        assert_eq!(answer, "", "{nonsense:?}");
    }
    for _ in 0..20 {
        connect().write_all(b"status\n").expect("taken");
    }
    wait_until("an answer after those who went", secs(5.0), || {
        let (code, told) = status(&single.host, &[]);
        (code == Some(0) && told.contains("VI_1  MASTER")).then_some(())
    });
    drop(silent);
    assert_eq!(daemon.count("Entering BACKUP STATE"), 1, "the one of the start");
    daemon.stop();
    assert!(fs::metadata(&socket).is_err(), "the socket went with the daemon");
}
