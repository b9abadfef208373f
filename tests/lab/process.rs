//! The daemon as a process: pid files and their locks, background mode, crash and restart, dumps.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::daemon::{Start, needs_keepalived, ours_only};
use crate::common::{Host, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";

/// Each refuses to start beside the other, says so, and leaves the other undisturbed.
pub fn refuses_to_start_beside_a_running_one() {
    needs_keepalived();
    for (first, second) in [
        (Which::Tested, Which::Keepalived),
        (Which::Keepalived, Which::Tested),
        (Which::Tested, Which::Tested),
    ] {
        let single = Single::new(&instance("VI_1", 51, 100, &[VIP], ""));
        let mut running = Start::new(&single.host, first).spawn();
        running.expect("(VI_1) Entering MASTER STATE", secs(6.0));
        let mut refused = Start::new(&single.host, second).spawn();
        refused.wait_exit(secs(5.0));
        refused.expect("daemon is already running", secs(1.0));
        let from = now_ns();
        single
            .watch
            .wait_nth("two adverts more", from, 2, secs(4.0), |s| {
                s.is_advert_of(51, "192.0.2.1")
            });
        assert!(
            running.running() && single.host.has("eth0", VIP),
            "{first:?} was disturbed by {second:?}"
        );
        assert!(
            single.host.run_file("keepalived.pid").exists(),
            "{second:?} removed the pid file of {first:?}"
        );
    }
}

/// Without `-n`: the launcher ends well once the pid files are there, and any of them stops the daemon.
pub fn background_mode_writes_pid_files_first() {
    let single = Single::new(&instance("VI_1", 51, 100, &[VIP], ""));
    let (status, text) = Start::new(&single.host, Which::Tested)
        .only_args(&["-D"])
        .output();
    assert_eq!(status, Some(0), "{text}");
    let read = |name: &str| -> Option<i32> {
        std::fs::read_to_string(single.host.run_file(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let pid = read("keepalived.pid").expect("the pid file stands when the launcher ends");
    single.host.wait_address("eth0", VIP, true, secs(6.0));
    let vrrp = read("vrrp.pid").expect("a pid file for VRRP");
    assert!(
        !single.host.run_file("checkers.pid").exists(),
        "no checkers without virtual servers"
    );
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("a daemon with this pid");
    single.host.wait_address("eth0", VIP, false, secs(5.0));
    for pid in [pid, vrrp] {
        wait_until("its end", secs(5.0), || (!running(pid)).then_some(()));
    }
    for name in ["keepalived.pid", "vrrp.pid"] {
        assert!(!single.host.run_file(name).exists(), "{name} was left behind");
    }
}

/// Runs and is no zombie: the launcher's child is nobody's to wait for here.
fn running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next())
        .is_some_and(|state| state != 'Z')
}

/// After SIGKILL and a start the addresses are there once; under a better master they are gone.
pub fn killed_and_restarted_leaves_no_address_twice() {
    let vips = ["192.0.2.100/24", "192.0.2.101/32", "198.51.100.7/24"];
    let single = Single::new(&instance("VI_1", 51, 100, &vips, ""));
    let all = |host: &Host, times: usize| {
        let held = host.addresses("eth0");
        vips.iter()
            .all(|vip| held.iter().filter(|a| a == vip).count() == times)
    };
    let mut daemon = single.start();
    wait_until("all addresses", secs(6.0), || all(&single.host, 1).then_some(()));
    daemon.crash();
    assert!(all(&single.host, 1), "a crash leaves the addresses");

    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    wait_until("all addresses once", secs(2.0), || {
        all(&single.host, 1).then_some(())
    });
    daemon.crash();

    let better = single.peer("better", 2, &instance("VI_1", 51, 200, &vips, ""));
    let mut master = start(&better);
    master.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    wait_until("what the killed one left to go", secs(2.0), || {
        all(&single.host, 0).then_some(())
    });
    assert!(
        single.host.has("eth0", "192.0.2.1/24"),
        "the host's own address stays"
    );
}

/// What keepalived only logs, and what it takes in silence, is in the log of a start, once; the test does not print it.
pub fn what_a_file_has_no_effect_for_is_logged() {
    ours_only("it takes some of it in silence");
    let more = "notify /bin/true nobody_at_all";
    let text = format!(
        "global_defs {{\n    script_user root\n}}\nvrrp_script twice {{\n    script /bin/true\n}}\n\
         vrrp_script twice {{\n    script /bin/false\n}}\n{}",
        instance("VI_1", 51, 100, &[VIP], more)
    );
    let single = Single::new(&text);
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(4.0));
    let (_, tested) = Start::new(&single.host, Which::Tested).args(&["-t"]).output();
    for line in [
        "vrrp_script twice is defined twice; the first one is used",
        "Invalid user/group for notify script /bin/true - ignoring",
        "Warning - script twice is not used",
    ] {
        assert_eq!(daemon.count(line), 1, "{line}:\n{}", daemon.log_text());
        assert!(!tested.contains(line), "{line}: {tested}");
    }
}

/// How a notify script ended, and the last that it said of it, is in the log: one line, however much it says.
pub fn failed_notify_scripts_are_told() {
    ours_only("keepalived does not look at them");
    let single = Single::new("");
    let script = single.host.script(
        "noisy",
        "#!/bin/sh\nseq 1 20000 >&2\necho 'no route to the cloud' >&2\nexit 3\n",
    );
    let more = format!(
        "version 3\n    advert_int 0.2\n    notify_master {}",
        script.display()
    );
    single.host.write(
        "keepalived.conf",
        &format!(
            "global_defs {{\n    script_user root\n}}\n{}",
            instance("VI_1", 51, 100, &[VIP], &more)
        ),
    );
    let mut daemon = single.start();
    let line = daemon.expect("(VI_1) notify script ", secs(8.0));
    assert!(
        line.text.ends_with(&format!(
            "{} exited with status 3: no route to the cloud",
            script.display()
        )),
        "{}",
        line.text
    );
    assert_eq!(daemon.count("(VI_1) notify script "), 1);
}

/// SIGUSR1, SIGUSR2 and the JSON signal write files that can be read, for root alone.
pub fn dumps_on_signals() {
    let single = Single::new(&instance("VI_1", 51, 150, &[VIP], ""));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let dump = |name: &str, words: &[&str]| -> String {
        let path = single.host.tmp().join(name);
        let text = wait_until(&format!("{name} with {words:?}"), secs(3.0), || {
            let text = std::fs::read_to_string(&path).ok()?;
            words.iter().all(|word| text.contains(word)).then_some(text)
        });
        let mode = std::fs::metadata(&path)
            .expect("it was read")
            .permissions()
            .mode()
            & 0o7777;
        assert_eq!(mode, 0o600, "{name}");
        text
    };
    daemon.signal(Signal::SIGUSR1);
    daemon.expect("Printing VRRP data for process(", secs(2.0));
    dump(
        "keepalived.data",
        &[
            " VRRP Instance = VI_1",
            "   State = MASTER",
            "   Virtual Router ID = 51",
            VIP,
        ],
    );
    daemon.signal(Signal::SIGUSR2);
    daemon.expect("Printing VRRP stats for process(", secs(2.0));
    let stats = dump("keepalived.stats", &["VRRP Instance: VI_1", "  Priority Zero:"]);
    assert!(stats.contains("  Became master: 1"), "{stats}");

    // A second time over the first: renamed into place.
    daemon.signal(Signal::SIGUSR2);
    daemon.expect("Printing VRRP stats for process(", secs(2.0));
    dump("keepalived.stats", &["VRRP Instance: VI_1", "  Priority Zero:"]);

    let (status, number) = Start::new(&single.host, Which::Tested)
        .only_args(&["--signum=JSON"])
        .output();
    if status != Some(0) {
        ours_only("Debian builds it without JSON; the other dumps were as they should be");
    }
    daemon.signal_number(number.trim().parse().expect("--signum prints a number"));
    let json = wait_until("keepalived.json", secs(3.0), || {
        let text = std::fs::read_to_string(single.host.tmp().join("keepalived.json")).ok()?;
        serde_json::from_str::<serde_json::Value>(&text).ok()
    });
    assert_eq!(json[0]["data"]["iname"], "VI_1", "{json}");
    assert_eq!(json[0]["data"]["state"], 2, "{json}");
}
