//! `vrrp_track_process`: processes are counted, by events of the kernel or without.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::common::daemon::{Start, ours_only};
use crate::common::{Daemon, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance};

const VIP: &str = "192.0.2.100/24";

/// Processes of the test's own, by a name that nothing else on this machine has.
struct Sleepers {
    program: PathBuf,
    name: String,
    running: Vec<Child>,
}

impl Sleepers {
    fn new(single: &Single) -> Self {
        let name = format!(
            "sl{}",
            single
                .host
                .space()
                .name
                .bytes()
                .fold(0u32, |n, b| n.wrapping_mul(31) + u32::from(b))
        );
        let program = single.host.tmp().join(&name);
        fs::copy("/bin/sleep", &program).expect("a copy of sleep");
        Self {
            program,
            name,
            running: Vec::new(),
        }
    }

    fn start(&mut self, arguments: &[&str]) {
        let mut command = Command::new(&self.program);
        let child = command.args(arguments).stdin(Stdio::null()).spawn();
        self.running.push(child.expect("it starts"));
    }

    fn end(&mut self) {
        let mut last = self.running.pop().expect("one runs");
        last.kill().expect("it is ours");
        last.wait().expect("it is ours");
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        while !self.running.is_empty() {
            self.end();
        }
    }
}

fn three_kinds(sleepers: &Sleepers) -> String {
    let (name, program) = (&sleepers.name, sleepers.program.display());
    format!(
        "global_defs {{\n    json_version 2\n}}\nvrrp_track_process some {{\n    process {name}\n    weight 20\n    quorum 2\n    quorum_max 3\n}}\n\
         vrrp_track_process exactly {{\n    process {program} 300\n    weight -5\n}}\n\
         vrrp_track_process none {{\n    process {name}\n    quorum_max 0\n    weight 40 reverse\n}}\n{}",
        instance(
            "VI_1",
            51,
            100,
            &[VIP],
            "track_process {\n        some\n        exactly\n        none\n    }"
        )
    )
}

fn follow(daemon: &mut Daemon, sleepers: &mut Sleepers) {
    // None runs: `exactly` fails, `none` holds and is reversed.
    daemon.expect("(VI_1) Changing effective priority from 100 to 55", secs(10.0));
    daemon.never("Quorum");
    sleepers.start(&["300"]);
    daemon.expect("Quorum gained for tracked process exactly", secs(3.0));
    daemon.expect("Quorum lost for tracked process none", secs(1.0));
    daemon.expect("to 100", secs(2.0));
    sleepers.start(&["300", "301"]);
    daemon.expect("Quorum gained for tracked process some", secs(3.0));
    daemon.expect("(VI_1) Changing effective priority from 100 to 120", secs(2.0));
    sleepers.start(&["200"]);
    sleepers.start(&["200"]);
    daemon.expect("Quorum lost for tracked process some", secs(3.0));
    daemon.expect("(VI_1) Changing effective priority from 120 to 100", secs(2.0));
    sleepers.end();
    daemon.expect("Quorum gained for tracked process some", secs(3.0));
    daemon.expect("(VI_1) Changing effective priority from 100 to 120", secs(2.0));
}

/// Set where the kernel is known to tell of processes: a machine of its own.
pub const EVENTS: &str = "KEEPALIVED_RS_PROCESS_EVENTS";

/// Quorum and its maximum, the whole command, weights and `reverse`; the dump shows the numbers.
pub fn are_counted() {
    ours_only("in a network namespace it counts nothing");
    let single = Single::new("");
    let mut sleepers = Sleepers::new(&single);
    single.host.write("keepalived.conf", &three_kinds(&sleepers));
    let mut daemon = single.start();
    follow(&mut daemon, &mut sleepers);
    if std::env::var_os(EVENTS).is_some() {
        daemon.logged("proc_events has confirmed it is configured");
        daemon.never("Process events are not available");
    }
    daemon.signal(nix::sys::signal::Signal::SIGUSR1);
    daemon.expect("Printing VRRP data for process(", secs(2.0));
    let data = wait_until("the dump", secs(3.0), || {
        fs::read_to_string(single.host.tmp().join("keepalived.data")).ok()
    });
    let of_some = data
        .split(" VRRP Track process = some\n")
        .nth(1)
        .expect("a part about it");
    for line in [
        "   Current processes = 3",
        "   Have quorum = true",
        "   Max processes = 3",
    ] {
        assert!(of_some.lines().take(12).any(|l| l == line), "{line}:\n{of_some}");
    }
    let (_, number) = Start::new(&single.host, Which::Tested)
        .only_args(&["--signum=JSON"])
        .output();
    daemon.signal_number(number.trim().parse().expect("--signum prints a number"));
    let json = wait_until("the JSON", secs(3.0), || {
        let text = fs::read_to_string(single.host.tmp().join("keepalived.json")).ok()?;
        serde_json::from_str::<serde_json::Value>(&text).ok()
    });
    let some = &json["track_process"][0];
    assert_eq!(
        (&some["current_processes"], &some["have_quorum"]),
        (&3.into(), &true.into()),
        "{json}"
    );
    assert_eq!(json["vrrp"][0]["data"]["effective_priority"], 120, "{json}");
}

/// `full_command` and `param_match`: by the path with any arguments, by how the arguments begin, by exactly these; and
/// one that has to run for `fork_delay`, or `delay`, before it counts.
pub fn are_known_by_their_arguments() {
    ours_only("in a network namespace it counts nothing");
    let single = Single::new("");
    let mut sleepers = Sleepers::new(&single);
    let program = sleepers.program.display().to_string();
    let one = |name: &str, command: &str, more: &str| {
        format!("vrrp_track_process {name} {{\n    process {command}\n    weight 10\n    {more}\n}}\n")
    };
    let tracked =
        "track_process {\n        any\n        begins\n        exactly\n        slow\n        later\n    }";
    single.host.write(
        "keepalived.conf",
        &[
            one("any", &program, "full_command"),
            one("begins", &format!("{program} 300"), "param_match initial"),
            one("exactly", &format!("{program} 300"), "param_match"),
            one("slow", &sleepers.name, "fork_delay 2"),
            one("later", &sleepers.name, "delay 4"),
            instance("VI_1", 51, 100, &[VIP], tracked),
        ]
        .concat(),
    );
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering BACKUP STATE (init)", secs(3.0));
    let gained =
        |daemon: &Daemon, name: &str| daemon.count(&format!("Quorum gained for tracked process {name}"));
    let wait = |daemon: &Daemon, name: &str| {
        wait_until(name, secs(5.0), || (gained(daemon, name) == 1).then_some(()));
    };
    let begin = now_ns();
    sleepers.start(&["300", "301"]);
    wait(&daemon, "any");
    wait(&daemon, "begins");
    assert_eq!(gained(&daemon, "slow"), 0);
    wait(&daemon, "slow");
    assert!(now_ns() - begin > 1_800_000_000, "before its time");
    assert_eq!(gained(&daemon, "later"), 0);
    wait(&daemon, "later");
    assert!(now_ns() - begin > 3_800_000_000, "before its time");
    assert_eq!(gained(&daemon, "exactly"), 0, "{}", daemon.log_text());
    sleepers.start(&["300"]);
    wait(&daemon, "exactly");
    daemon.expect("(VI_1) Changing effective priority from 140 to 150", secs(2.0));
}

/// In a process namespace of its own the kernel tells nothing: all processes are read each second.
pub fn are_counted_without_events() {
    ours_only("it counts nothing");
    let single = Single::new("");
    let mut sleepers = Sleepers::new(&single);
    single.host.write("keepalived.conf", &three_kinds(&sleepers));
    let program = Which::Tested.path();
    let mut daemon = Start::bare(&single.host, "unshare")
        .args(&["--pid", "--fork", "--kill-child", "--"])
        .args(&[&program.to_string_lossy(), "-n", "-l", "-D", "-G"])
        .spawn();
    follow(&mut daemon, &mut sleepers);
    assert_eq!(
        daemon.count("Process events are not available"),
        1,
        "{}",
        daemon.log_text()
    );
}

/// A process that is started again in time is not missed; one that is not in time is.
pub fn may_be_restarted() {
    ours_only("in a network namespace it counts nothing");
    let single = Single::new("");
    let mut sleepers = Sleepers::new(&single);
    let text = |delay: &str| {
        format!(
            "vrrp_track_process server {{\n    process {}\n    {delay}\n}}\n{}",
            sleepers.name,
            instance("VI_1", 51, 100, &[VIP], "track_process {\n        server\n    }")
        )
    };
    single.host.write("keepalived.conf", &text("terminate_delay 60"));
    let at_once = text("");
    sleepers.start(&["300"]);
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering BACKUP STATE (init)", secs(3.0));
    let current = |daemon: &mut Daemon, number: u32| {
        wait_until(&format!("{number} in the dump"), secs(4.0), || {
            daemon.signal(nix::sys::signal::Signal::SIGUSR1);
            daemon.expect("Printing VRRP data for process(", secs(2.0));
            let data = fs::read_to_string(single.host.tmp().join("keepalived.data")).ok()?;
            data.contains(&format!("   Current processes = {number}\n"))
                .then_some(data)
        })
    };
    sleepers.end();
    let data = current(&mut daemon, 0);
    assert!(
        data.contains("   Terminate delay timer running") && data.contains("   Have quorum = true"),
        "{data}"
    );
    sleepers.start(&["300"]);
    let data = current(&mut daemon, 1);
    assert!(data.contains("   Terminate delay timer not running"), "{data}");
    daemon.never("Quorum");
    single.host.write("keepalived.conf", &at_once);
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.expect("Reload complete", secs(3.0));
    sleepers.end();
    daemon.expect("Quorum lost for tracked process server", secs(3.0));
    daemon.expect("(VI_1) Entering FAULT STATE", secs(2.0));
    sleepers.start(&["300"]);
    daemon.expect("Quorum gained for tracked process server", secs(3.0));
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
}
