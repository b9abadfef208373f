//! Virtual servers in our part of the JSON, and metrics over HTTP (`rs_metrics`). The checks run without IPVS too.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::daemon::ours_only;
use crate::common::{Daemon, Host, secs, wait_until};
use crate::pair::{Single, instance};
use crate::told::told;

const VIP: &str = "192.0.2.100/24";
/// Where the metrics are in these tests.
pub const AT: &str = "192.0.2.1:9650";

/// One real server answers as the file `verdict` says, at the other nobody listens.
fn configuration(host: &Host, metrics: &str) -> String {
    let check = host.script("check", "#!/bin/sh\nexit $(cat /run/verdict)\n");
    let globals = format!("script_user root\nenable_script_security\njson_version 2\n{metrics}");
    let server =
        "virtual_server 192.0.2.100 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\ndelay_loop 1\nwarmup 0";
    format!(
        "global_defs {{\n{globals}\n}}\n{}{server}\nquorum 5\nhysteresis 1\nsorry_server 192.0.2.9 80\nreal_server 192.0.2.11 80 {{\n\
         weight 7\nMISC_CHECK {{\nmisc_path \"{}\"\n}}\n}}\nreal_server 192.0.2.1 81 {{\nTCP_CHECK {{\n}}\n}}\n}}\n",
        instance("VI_1", 51, 150, &[VIP], "version 3\n    advert_int 0.1"),
        check.display()
    )
}

fn start(metrics: &str) -> (Single, Daemon) {
    ours_only("keepalived tells nobody");
    let single = Single::new("");
    let text = configuration(&single.host, metrics);
    single.host.write("keepalived.conf", &text);
    fs::write(single.host.run_file("verdict"), "0").expect("own file");
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    (single, daemon)
}

pub fn virtual_servers_in_the_json() {
    let (single, daemon) = start("");
    let ours = told(&daemon, &single.host, "both verdicts", |ours| {
        let reals = &ours["virtual_servers"][0]["real_servers"];
        reals[0]["checkers"][0]["has_run"] == true && reals[1]["up"] == false
    });
    let server = &ours["virtual_servers"][0];
    assert_eq!(
        (&server["virtual_server"], &server["up"], &server["quorum"]),
        (
            &json!("[192.0.2.100]:tcp:80"),
            &json!(true),
            &json!({ "wanted": 5, "hysteresis": 1, "weight": 7 })
        )
    );
    let down = &server["real_servers"][1];
    let check = &down["checkers"][0];
    assert_eq!((&down["changes"], &down["failed_checks"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&check["type"], &check["failures"]),
        (&json!("TCP_CHECK"), &json!(1))
    );
    let reason = down["last_failure"]["reason"].as_str().expect("a reason");
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
    assert_eq!(check["last"][0]["reason"], reason);
    assert_eq!(
        down["since"], down["last_failure"]["time"],
        "down since it failed"
    );
    assert!(down["since"].as_f64() > Some(1e9), "{down}");

    fs::write(single.host.run_file("verdict"), "3").expect("own file");
    let ours = told(&daemon, &single.host, "the quorum is lost", |ours| {
        ours["virtual_servers"][0]["up"] == false
    });
    let server = &ours["virtual_servers"][0];
    assert_eq!(
        (&server["changes"], &server["sorry_server"]["in_use"]),
        (&json!(1), &json!(true))
    );
    fs::write(single.host.run_file("verdict"), "0").expect("own file");
    let ours = told(&daemon, &single.host, "it is back", |ours| {
        ours["virtual_servers"][0]["up"] == true
    });
    let real = &ours["virtual_servers"][0]["real_servers"][0];
    let last = &real["checkers"][0]["last"];
    assert_eq!((&last[0]["up"], &last[0]["reason"]), (&json!(true), &Value::Null));
    assert_eq!(last[1]["up"], false);
    assert_eq!(real["last_failure"]["time"], last[1]["time"]);
    assert!(
        real["last_failure"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains('3')),
        "{real}"
    );
}

pub fn metrics_are_answered_and_hold_up_nothing() {
    let (single, mut daemon) = start(&format!("rs_metrics {AT}"));
    let host = &single.host;
    daemon.logged(&format!("Metrics are at http://{AT}/metrics"));
    let get = |request: &str| {
        host.space()
            .run(|| ask(TcpStream::connect(AT).expect("somebody listens"), request))
    };
    let page = wait_until("the verdict of the check that fails", secs(10.0), || {
        let answer = get("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(
            head.to_lowercase()
                .contains("content-type: text/plain; version=0.0.4"),
            "{head}"
        );
        let failed = "keepalived_checker_failures_total{virtual_server=\"[192.0.2.100]:tcp:80\",real_server=\"[192.0.2.1]:tcp:81\",\
                      checker=\"TCP_CHECK\",number=\"0\"} 1\n";
        body.contains(failed).then(|| body.to_owned())
    });
    let labels = "iname=\"VI_1\",intf=\"eth0\",vrid=\"51\"";
    for line in [
        "keepalived_up 1",
        &format!("keepalived_vrrp_state{{{labels},ip_address=\"192.0.2.100\"}} 2"),
        &format!("keepalived_become_master_total{{{labels}}} 1"),
        &format!("keepalived_vrrp_conflicts{{{labels}}} 0"),
        "keepalived_virtual_server_up{virtual_server=\"[192.0.2.100]:tcp:80\"} 1",
        "keepalived_virtual_server_weight{virtual_server=\"[192.0.2.100]:tcp:80\"} 7",
        "keepalived_real_server_up{virtual_server=\"[192.0.2.100]:tcp:80\",real_server=\"[192.0.2.1]:tcp:81\"} 0",
        "# TYPE keepalived_advertisements_sent_total counter",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line} is not in\n{page}"
        );
    }
    check_form(&page);
    assert!(get("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404 "));
    assert!(get("POST /metrics HTTP/1.0\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.0 405 "));
    assert!(get("\u{16}\u{3}\u{1}nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let endless = format!("GET /metrics HTTP/1.1\r\nx: {}", "y".repeat(100_000));
    assert!(
        !get(&endless).contains("keepalived_up"),
        "a head without end is refused"
    );

    // Who only connects has a place for some seconds, no longer.
    let idle: Vec<TcpStream> = host
        .space()
        .run(|| (0..9).map(|_| TcpStream::connect(AT).expect("room")).collect());
    assert!(get("GET /metrics HTTP/1.0\r\n\r\n").contains("keepalived_up 1"));
    drop(idle);

    let socket = host.tmp().join("metrics");
    let text = configuration(host, &format!("rs_metrics {}", socket.display()));
    host.write("keepalived.conf", &text);
    daemon.signal(Signal::SIGHUP);
    daemon.expect(&format!("Metrics are at {}", socket.display()), secs(8.0));
    let stream = UnixStream::connect(&socket).expect("somebody listens");
    assert!(ask(stream, "GET /metrics HTTP/1.0\r\n\r\n").contains("keepalived_up 1"));
    assert!(
        host.space().run(|| TcpStream::connect(AT).is_err()),
        "no longer there"
    );
    assert_eq!(daemon.count("Entering BACKUP STATE"), 1, "{}", daemon.log_text());
    assert_eq!(daemon.stop(), Some(0));
    assert!(!socket.exists(), "nothing is left behind");
}

/// The page of metrics that a daemon on this host answers with.
pub fn page(host: &Host) -> String {
    let request = "GET /metrics HTTP/1.0\r\n\r\n";
    host.space()
        .run(|| ask(TcpStream::connect(AT).expect("somebody listens"), request))
}

/// Each sample stands below the TYPE of its metric, and no metric comes twice.
fn check_form(page: &str) {
    let mut metrics: Vec<&str> = Vec::new();
    for line in page.lines() {
        if let Some(words) = line.strip_prefix("# TYPE ") {
            let name = words.split(' ').next().expect("a name");
            assert!(!metrics.contains(&name), "{name} comes twice");
            metrics.push(name);
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            assert_eq!(metrics.last(), Some(&name), "{line}");
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(metrics.len() > 30, "{page}");
}

trait Stream: Read + Write {
    fn limit(&self);
}

impl Stream for TcpStream {
    fn limit(&self) {
        self.set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a socket");
    }
}

impl Stream for UnixStream {
    fn limit(&self) {
        self.set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a socket");
    }
}

/// What comes until the other side closes; it may close before it has read everything.
fn ask(mut stream: impl Stream, request: &str) -> String {
    stream.limit();
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_ne!(
            error.kind(),
            std::io::ErrorKind::WouldBlock,
            "no answer to {request:.60}"
        );
    }
    String::from_utf8_lossy(&answer).into_owned()
}
