//! What instances track: files and processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::daemon::{Start, ours_only};
use crate::common::{Daemon, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance};

const VIP: &str = "192.0.2.100/24";

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file of the test's own");
}

/// The number in a file is part of the priority, whatever way it gets there; the lines are keepalived's.
pub fn a_file_is_part_of_the_priority() {
    let single = Single::new("");
    let directory = single.host.tmp().join("tracked");
    fs::create_dir(&directory).expect("a directory");
    let (value, fault) = (directory.join("value"), directory.join("fault"));
    write(&value, "5\n");
    write(&fault, "1");
    single.host.write(
        "keepalived.conf",
        &format!(
            "track_file weighted {{\n    file {}\n    weight 2\n}}\ntrack_file plain {{\n    file {}\n    weight 0\n}}\n{}",
            value.display(),
            fault.display(),
            instance(
                "VI_1",
                51,
                100,
                &[VIP],
                "track_file {\n        weighted\n        plain\n    }"
            )
        ),
    );
    let mut daemon = single.start();
    daemon.expect("(VI_1) Changing effective priority from 100 to 110", secs(3.0));
    daemon.never("(VI_1) Entering BACKUP STATE");
    daemon.expect("(VI_1) entering FAULT state", secs(1.0));
    daemon.logged("(VI_1): entering FAULT state (tracked file plain has status -254)");
    fs::remove_file(&fault).expect("it is there");
    daemon.expect("(VI_1): tracked file plain leaving FAULT state", secs(2.0));
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
    let mut priority = |from: u8, to: u8| {
        daemon.expect(
            &format!("(VI_1) Changing effective priority from {from} to {to}"),
            secs(2.0),
        );
    };
    write(&value, "0x10");
    priority(110, 132);
    let other = directory.join("other");
    write(&other, " -3 and more");
    fs::rename(&other, &value).expect("renamed");
    priority(132, 94);
    fs::remove_file(&value).expect("it is there");
    priority(94, 100);
    write(&value, "4");
    priority(100, 108);
    write(&value, "99999999999999999999");
    daemon.expect("Invalid number 9223372036854775807 read from ", secs(2.0));
    write(&value, "-127");
    daemon.expect("(VI_1): tracked file weighted now FAULT state", secs(2.0));
    daemon.expect("(VI_1) Entering FAULT STATE", secs(2.0));
    write(&value, "1");
    daemon.expect("(VI_1): tracked file weighted leaving FAULT state", secs(2.0));
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.watch.wait("priority 102 on the wire", 0, secs(3.0), |s| {
        s.advert().is_some_and(|a| a.priority == 102)
    });
}

/// A directory that is not there yet, that moves away and is made again; a link that is pointed elsewhere.
pub fn a_file_is_found_again_where_its_directory_was() {
    ours_only("keepalived removes a tracker without a directory, and stays with one that has moved");
    let single = Single::new("");
    let tmp = single.host.tmp();
    let (late, link) = (tmp.join("late"), tmp.join("link"));
    for version in ["1", "2"] {
        fs::create_dir(tmp.join(version)).expect("a directory");
        write(&tmp.join(version).join("value"), version);
    }
    let point = |version: &str| {
        let next = tmp.join("next");
        std::os::unix::fs::symlink(tmp.join(version), &next).expect("a link");
        fs::rename(&next, tmp.join("current")).expect("renamed");
    };
    point("1");
    std::os::unix::fs::symlink("current/value", &link).expect("a link");
    single.host.write(
        "keepalived.conf",
        &format!(
            "track_file late {{\n    file {}/value\n    weight 10\n}}\ntrack_file link {{\n    file {}\n}}\n{}",
            late.display(),
            link.display(),
            instance("VI_1", 51, 100, &[VIP], "track_file {\n        late\n        link weight 1 reverse\n    }")
        ),
    );
    let mut daemon = single.start();
    let mut priority = |from: u8, to: u8| {
        daemon.expect(
            &format!("(VI_1) Changing effective priority from {from} to {to}"),
            secs(4.0),
        );
    };
    priority(100, 99);
    fs::create_dir(&late).expect("a directory");
    write(&late.join("value"), "3");
    priority(99, 129);
    fs::rename(&late, tmp.join("moved")).expect("renamed");
    priority(129, 99);
    fs::create_dir(&late).expect("a directory");
    write(&late.join("value"), "1");
    priority(99, 109);
    point("2");
    priority(109, 108);
    write(&tmp.join("2/value"), "5");
    priority(108, 105);
}

/// `init_file`: written at the start where there is none, or over what is there; never over it at a reload.
pub fn an_initial_value_is_written() {
    for keyword in ["track_file", "vrrp_track_file"] {
        an_initial_value_of(keyword);
    }
}

fn an_initial_value_of(keyword: &str) {
    let single = Single::new("");
    let tmp = single.host.tmp();
    let (missing, present, kept) = (tmp.join("missing"), tmp.join("present"), tmp.join("kept"));
    write(&present, "9");
    write(&kept, "1");
    let file = |name: &str, init: &str| {
        format!(
            "{keyword} {name} {{\n    file {}/{name}\n    {init}\n}}\n",
            tmp.display()
        )
    };
    let text = |more: &str, names: &str| {
        format!(
            "{}{}{}{more}{}",
            file("missing", "init_file 4"),
            file("present", "init_file 6 overwrite"),
            file("kept", "init_file 8"),
            instance(
                "VI_1",
                51,
                100,
                &[VIP],
                &format!("track_file {{\n        {names}\n    }}")
            ),
        )
    };
    let names = "missing\n        present\n        kept";
    single.host.write("keepalived.conf", &text("", names));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Changing effective priority from 100 to 111", secs(3.0));
    daemon.expect("Startup complete", secs(3.0));
    for (path, expected) in [(&missing, "4"), (&present, "6"), (&kept, "1")] {
        assert_eq!(
            fs::read_to_string(path).expect("it is there").trim(),
            expected,
            "{}",
            path.display()
        );
    }
    write(&tmp.join("later"), "20");
    single.host.write(
        "keepalived.conf",
        &text(
            &file("later", "init_file 2 overwrite"),
            &format!("{names}\n        later"),
        ),
    );
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    // keepalived counts from 100 again.
    daemon.expect(" to 131", secs(3.0));
    assert_eq!(fs::read_to_string(tmp.join("later")).expect("it is there"), "20");
}

/// What a group tracks moves all its members: link, script and file.
pub fn a_group_tracks_for_its_members() {
    let single = Single::new("");
    let port = single.lab.cable(&single.host, "eth1", &[]);
    let tmp = single.host.tmp();
    let (fails, value) = (tmp.join("fails"), tmp.join("value"));
    write(&value, "0");
    single
        .host
        .script("chk", &format!("#!/bin/sh\n[ ! -e {} ]\n", fails.display()));
    let fast = "version 3\n    advert_int 0.2";
    single.host.write(
        "keepalived.conf",
        &format!(
            "global_defs {{\n    script_user root\n}}\nvrrp_script chk {{\n    script /etc/keepalived/chk\n    interval 1\n}}\n\
             track_file f {{\n    file {}\n    weight 0\n}}\nvrrp_sync_group G {{\n    group {{\n        VI_1\n        VI_2\n    }}\n    \
             track_interface {{\n        eth1\n    }}\n    track_script {{\n        chk\n    }}\n    track_file {{\n        f\n    }}\n}}\n{}{}",
            value.display(),
            instance("VI_1", 51, 100, &[VIP], fast),
            instance("VI_2", 52, 100, &["192.0.2.101/24"], fast),
        ),
    );
    let daemon = single.start();
    let all = |state: &str, times: usize| {
        for name in ["VI_1", "VI_2"] {
            let line = format!("({name}) Entering {state} STATE");
            wait_until(&format!("{line}, {times} times"), secs(8.0), || {
                (daemon.count(&line) == times).then_some(())
            });
        }
    };
    all("MASTER", 1);
    let fail: [(&dyn Fn(), &dyn Fn()); 3] = [
        (&|| port.pull(), &|| port.plug()),
        (&|| write(&fails, ""), &|| {
            fs::remove_file(&fails).expect("own file");
        }),
        (&|| write(&value, "1"), &|| write(&value, "0")),
    ];
    for (round, (begins, ends)) in (1..).zip(fail) {
        begins();
        all("FAULT", round);
        ends();
        all("MASTER", round + 1);
    }
}

/// Weights of a group's own trackers count for all its members; those of a member only with
/// `sync_group_tracking_weight`, or `global_tracking` of old.
pub fn trackers_of_a_group_have_weights() {
    for (more, of_file, of_script) in [
        ("", 7, 0),
        ("sync_group_tracking_weight", 7, 20),
        ("global_tracking", 7, 20),
    ] {
        let single = Single::new("");
        let _port = single.lab.cable(&single.host, "eth1", &[]);
        let value = single.host.tmp().join("value");
        write(&value, "7");
        let member = "track_script {\n        chk weight 20\n    }";
        single.host.write(
            "keepalived.conf",
            &format!(
                "global_defs {{\n    script_user root\n}}\nvrrp_script chk {{\n    script /bin/true\n    interval 1\n}}\n\
                 track_file f {{\n    file {}\n    weight 1\n}}\nvrrp_sync_group G {{\n    {more}\n    group {{\n        VI_1\n        \
                 VI_2\n    }}\n    track_file {{\n        f\n    }}\n    track_interface {{\n        eth1 weight 40\n    }}\n}}\n{}{}",
                value.display(),
                instance("VI_1", 51, 100, &[VIP], member),
                instance("VI_2", 52, 100, &["192.0.2.101/24"], ""),
            ),
        );
        let _daemon = single.start();
        for (vrid, priority) in [(51, 140 + of_file + of_script), (52, 140 + of_file)] {
            single.watch.wait(
                &format!("{more}: VRID {vrid} with {priority}"),
                0,
                secs(8.0),
                |s| {
                    s.advert()
                        .is_some_and(|a| a.vrid == vrid && a.priority == priority)
                },
            );
        }
    }
}

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
pub fn processes_are_counted() {
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
pub fn processes_are_known_by_their_arguments() {
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
            one("later", &sleepers.name, "delay 3"),
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
    wait(&daemon, "later");
    assert!(now_ns() - begin > 2_800_000_000, "before its time");
    assert_eq!(gained(&daemon, "exactly"), 0, "{}", daemon.log_text());
    sleepers.start(&["300"]);
    wait(&daemon, "exactly");
    daemon.expect("(VI_1) Changing effective priority from 140 to 150", secs(2.0));
}

/// In a process namespace of its own the kernel tells nothing: all processes are read each second.
pub fn processes_are_counted_without_events() {
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
pub fn a_process_may_be_restarted() {
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
