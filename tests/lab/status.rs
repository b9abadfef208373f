//! `keepalived-rs status`, asked of real daemons.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::common::daemon::{Start, ours_only};
use crate::common::{Host, Which, secs, wait_until};
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
