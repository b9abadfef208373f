//! How the daemon's threads are scheduled, looked at where the kernel shows it.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::daemon::ours_only;
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

/// Priority, real-time priority, processors, locked memory, names; and all of it taken back by a reload.
pub fn the_vrrp_thread_is_scheduled_as_the_file_says() {
    if unprivileged() {
        skip("real-time priority needs real root");
    }
    let names = "    process_name main_one\n    vrrp_process_name vrrp_one\n";
    let single = Single::new(&with(&format!(
        "{names}    vrrp_priority -7\n    vrrp_cpu_affinity 0\n    vrrp_no_swap\n"
    )));
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(4.0));
    let vrrp = wait_until("a task of that name", secs(2.0), || task(&daemon, "vrrp_one"));
    assert!(
        task(&daemon, "main_one").is_some(),
        "the first process has its name"
    );
    const NICE: usize = 19;
    const RT_PRIORITY: usize = 40;
    const POLICY: usize = 41;
    wait_until("its settings", secs(2.0), || {
        let set =
            stat(&vrrp, NICE) == -7 && stat(&vrrp, POLICY) == 0 && status(&vrrp, "Cpus_allowed_list:") == "0";
        (set && status(&vrrp, "VmLck:") != "0 kB").then_some(())
    });
    reload(
        &mut daemon,
        &single,
        &with(&format!(
            "{names}    vrrp_rt_priority 20\n    vrrp_rlimit_rtime 60000000\n"
        )),
    );
    wait_until("real-time, and nothing else", secs(2.0), || {
        let vrrp = task(&daemon, "vrrp_one")?;
        const RR: i64 = 2;
        (stat(&vrrp, POLICY) == RR && stat(&vrrp, RT_PRIORITY) == 20).then_some(())
    });
    let limits = fs::read_to_string(format!("{vrrp}/limits")).expect("limits");
    let limit = limits
        .lines()
        .find(|l| l.starts_with("Max realtime timeout"))
        .expect("a line");
    assert!(limit.contains("60000000"), "{limit}");
    let all = status("/proc/self", "Cpus_allowed_list:");
    if crate::common::daemon::tests_ours() {
        assert_ne!(stat(&vrrp, NICE), -7, "the file says nothing of it any more");
        assert_eq!(status(&vrrp, "Cpus_allowed_list:"), all);
        assert_eq!(status(&vrrp, "VmLck:"), "0 kB");
        reload(&mut daemon, &single, &with(names));
        wait_until("an ordinary thread", secs(2.0), || {
            (stat(&vrrp, POLICY) == 0).then_some(())
        });
    }
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
    assert_eq!((stat(&vrrp, 40), stat(&vrrp, 41)), (1, 2));
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
        let set = stat(&lvs, 19) == -9 && stat(&lvs, 41) == 0 && status(&lvs, "Cpus_allowed_list:") == "0";
        (set && status(&lvs, "VmLck:") != "0 kB").then_some(())
    });
    reload(
        &mut daemon,
        &single,
        &text(
            "    lvs_process_name lvs_one\n    checker_rt_priority 7\n    checker_rlimit_rttime 70000000\n",
        ),
    );
    wait_until("real-time", secs(2.0), || {
        let lvs = task(&daemon, "lvs_one")?;
        (stat(&lvs, 41) == 2 && stat(&lvs, 40) == 7).then_some(())
    });
}
