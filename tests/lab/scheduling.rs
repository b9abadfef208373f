//! How the daemon's threads are scheduled, looked at where the kernel shows it.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::daemon::{ours_only, tests_ours};
use crate::common::runner::{skip, unprivileged};
use crate::common::{Daemon, secs, wait_until};
use crate::pair::Single;
use crate::settings::{reload, with};

/// The task of the daemon with this name: a thread of ours, a process of keepalived's.
fn task(daemon: &Daemon, name: &str) -> Option<String> {
    daemon.family().into_iter().find_map(|pid| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        tasks.flatten().map(|entry| entry.path()).find_map(|task| {
            let comm = fs::read_to_string(task.join("comm")).ok()?;
            (comm.trim() == name).then(|| task.to_string_lossy().into_owned())
        })
    })
}

/// Fields of `/proc/.../stat` after the name, from field 3 on.
fn stat(task: &str, field: usize) -> i64 {
    let text = fs::read_to_string(format!("{task}/stat")).expect("the task runs");
    let fields = text.rsplit(')').next().expect("a name").split_whitespace();
    fields
        .skip(1)
        .nth(field - 4)
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

fn status(task: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("{task}/status")).expect("the task runs");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("a line");
    line.trim().to_owned()
}

const NICE: usize = 19;
const RT_PRIORITY: usize = 40;
const POLICY: usize = 41;
const RR: i64 = 2;

fn real_time_limit(task: &str) -> String {
    let limits = fs::read_to_string(format!("{task}/limits")).expect("limits");
    let mut lines = limits.lines();
    lines
        .find(|l| l.starts_with("Max realtime timeout"))
        .expect("a line")
        .to_owned()
}

/// Priority, real-time priority, processors, locked memory, names; and all of it taken back by a reload. `area` begins
/// the keywords, `limit` ends one, `more` stands beside `global_defs`.
fn is_scheduled(area: &str, name: &str, limit: &str, more: &str) {
    if unprivileged() {
        skip("real-time priority needs real root");
    }
    let names = "    process_name main_one\n    vrrp_process_name vrrp_one\n    bfd_process_name bfd_one\n";
    let text = |lines: &str| with(&format!("{names}{lines}")) + more;
    let single = Single::new(&text(&format!(
        "    {area}_priority -7\n    {area}_cpu_affinity 0\n    {area}_no_swap\n"
    )));
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(4.0));
    let its = wait_until("a task of that name", secs(2.0), || task(&daemon, name));
    assert!(
        task(&daemon, "main_one").is_some(),
        "the first process has its name"
    );
    wait_until("its settings", secs(2.0), || {
        let set =
            stat(&its, NICE) == -7 && stat(&its, POLICY) == 0 && status(&its, "Cpus_allowed_list:") == "0";
        (set && status(&its, "VmLck:") != "0 kB").then_some(())
    });
    reload(
        &mut daemon,
        &single,
        &text(&format!(
            "    {area}_rt_priority 20\n    {area}_{limit} 60000000\n"
        )),
    );
    wait_until("real-time, and nothing else", secs(2.0), || {
        let its = task(&daemon, name)?;
        (stat(&its, POLICY) == RR && stat(&its, RT_PRIORITY) == 20).then_some(())
    });
    assert!(
        real_time_limit(&its).contains("60000000"),
        "{}",
        real_time_limit(&its)
    );
    let all = status("/proc/self", "Cpus_allowed_list:");
    if tests_ours() {
        assert_ne!(stat(&its, NICE), -7, "the file says nothing of it any more");
        assert_eq!(status(&its, "Cpus_allowed_list:"), all);
        assert_eq!(status(&its, "VmLck:"), "0 kB");
        reload(&mut daemon, &single, &text(""));
        wait_until("an ordinary thread", secs(2.0), || {
            (stat(&its, POLICY) == 0).then_some(())
        });
    }
}

pub fn the_vrrp_thread_is_scheduled_as_the_file_says() {
    is_scheduled("vrrp", "vrrp_one", "rlimit_rtime", "");
}

const SESSION: &str = "bfd_instance b {\n    neighbor_ip 192.0.2.2\n    source_ip 192.0.2.1\n}\n";

/// What the file says of keepalived's BFD process is said of the thread on which BFD runs, which is VRRP's.
pub fn bfd_is_scheduled_as_the_file_says() {
    let name = if tests_ours() { "vrrp_one" } else { "bfd_one" };
    for limit in ["rlimit_rttime", "rlimit_rtime"] {
        is_scheduled("bfd", name, limit, SESSION);
    }
}

/// One thread for both has the more eager of two settings, and a line says so; its name is BFD's where VRRP has neither
/// name nor instances.
pub fn of_vrrp_and_bfd_the_more_eager_counts() {
    ours_only("it has a process for each");
    if unprivileged() {
        skip("real-time priority needs real root");
    }
    let names = "    vrrp_process_name vrrp_one\n    bfd_process_name bfd_one\n";
    let text = |lines: &str| with(&format!("{names}{lines}")) + SESSION;
    let single = Single::new(&text(
        "    vrrp_priority -3\n    bfd_priority -9\n    bfd_no_swap\n    bfd_cpu_affinity 0\n",
    ));
    let mut daemon = single.start();
    daemon.expect(
        "BFD runs on the VRRP thread, which has priority -9, memory locked, CPUs [0], name vrrp_one",
        secs(4.0),
    );
    let vrrp = wait_until("a task of that name", secs(2.0), || task(&daemon, "vrrp_one"));
    wait_until("BFD's priority", secs(2.0), || {
        (stat(&vrrp, NICE) == -9).then_some(())
    });
    daemon.expect("Startup complete", secs(2.0));
    for (vrrp_priority, bfd_priority) in [(30, 20), (20, 40)] {
        let lines = format!("    vrrp_rt_priority {vrrp_priority}\n    bfd_rt_priority {bfd_priority}\n");
        reload(&mut daemon, &single, &text(&lines));
        wait_until("the higher of the two", secs(2.0), || {
            (stat(&vrrp, RT_PRIORITY) == vrrp_priority.max(bfd_priority)).then_some(())
        });
    }
    assert_eq!(daemon.stop(), Some(0));
    let globals = "global_defs {\n    bfd_process_name bfd_one\n}\n";
    let single = Single::new(&format!("{globals}{SESSION}"));
    let daemon = single.start();
    wait_until("a task with BFD's name", secs(4.0), || task(&daemon, "bfd_one"));
}

/// `max_auto_priority`: who was late once is given more.
pub fn lateness_raises_the_priority() {
    if unprivileged() {
        skip("real-time priority needs real root");
    }
    let single = Single::new(&with(
        "    max_auto_priority 3\n    min_auto_priority_delay 200000\n    vrrp_process_name vrrp_one\n",
    ));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    daemon.never("NOTICE: setting config option max_auto_priority");
    for pid in daemon.family() {
        nix::sys::signal::kill(pid, Signal::SIGSTOP).expect("it runs");
    }
    // Longer than an interval of adverts and the delay: nothing tells when that has passed but the clock.
    std::thread::sleep(secs(1.5));
    for pid in daemon.family() {
        nix::sys::signal::kill(pid, Signal::SIGCONT).expect("it runs");
    }
    daemon.expect("A thread timer expired ", secs(3.0));
    daemon.expect("Set realtime priority 1", secs(3.0));
    let vrrp = task(&daemon, "vrrp_one").expect("a task of that name");
    assert_eq!((stat(&vrrp, RT_PRIORITY), stat(&vrrp, POLICY)), (1, RR));
}

/// The threads of the load balancer and of the others have the settings that keepalived gives to their processes.
pub fn the_load_balancer_is_scheduled_as_the_file_says() {
    ours_only("without IPVS it has no checker process");
    if unprivileged() {
        skip("priorities need real root");
    }
    let service = "virtual_server 192.0.2.100 80 {\n    protocol TCP\n    real_server 192.0.2.1 80 {\n        \
                   TCP_CHECK {\n        }\n    }\n}\n";
    let text = |lines: &str| with(lines) + service;
    let single = Single::new(&text("    process_names\n"));
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(4.0));
    for name in ["keepalived_vrrp", "keepalived_lvs"] {
        wait_until(name, secs(2.0), || task(&daemon, name));
    }
    reload(
        &mut daemon,
        &single,
        &text(
            "    checker_process_name lvs_one\n    checker_priority -9\n    checker_cpu_affinity 0\n    checker_no_swap\n",
        ),
    );
    let lvs = wait_until("a task of that name", secs(2.0), || task(&daemon, "lvs_one"));
    wait_until("its settings", secs(2.0), || {
        let set =
            stat(&lvs, NICE) == -9 && stat(&lvs, POLICY) == 0 && status(&lvs, "Cpus_allowed_list:") == "0";
        (set && status(&lvs, "VmLck:") != "0 kB").then_some(())
    });
    for (limit, value) in [("rlimit_rttime", "80000000"), ("rlimit_rtime", "70000000")] {
        reload(
            &mut daemon,
            &single,
            &text(&format!(
                "    lvs_process_name lvs_one\n    checker_rt_priority 7\n    checker_{limit} {value}\n"
            )),
        );
        wait_until("real-time", secs(2.0), || {
            let lvs = task(&daemon, "lvs_one")?;
            let limited = real_time_limit(&lvs).contains(value);
            (limited && stat(&lvs, POLICY) == RR && stat(&lvs, RT_PRIORITY) == 7).then_some(())
        });
    }
}
