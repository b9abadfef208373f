//! Scripts: how often they run, for how long, as whom, and when their results count.

use std::fs;
use std::path::PathBuf;

use crate::common::daemon::ours_only;
use crate::common::runner::{skip, unprivileged};
use crate::common::{Daemon, now_ns, secs, tool, wait_until};
use crate::pair::{Single, instance};
use crate::settings::reload;

const VIP: &str = "192.0.2.100/24";

/// A host whose instance tracks one script, which fails while a file is there.
struct Tracked {
    single: Single,
    fails: PathBuf,
    hangs: PathBuf,
    runs: PathBuf,
}

impl Tracked {
    fn new() -> Self {
        let single = Single::new("");
        let tmp = single.host.tmp();
        let (fails, hangs, runs) = (tmp.join("fails"), tmp.join("hangs"), tmp.join("runs"));
        single.host.script(
            "chk",
            &format!(
                "#!/bin/sh\nid -un >>{runs}\n[ ! -e {hangs} ] || {{ date +%s%N >>{hangs}; exec sleep 60; }}\n[ ! -e {fails} ]\n",
                runs = runs.display(),
                hangs = hangs.display(),
                fails = fails.display()
            ),
        );
        fs::write(&runs, "").expect("own file");
        Self {
            single,
            fails,
            hangs,
            runs,
        }
    }

    fn text(&self, lines: &str) -> String {
        format!(
            "global_defs {{\n    script_user root\n}}\nvrrp_script chk {{\n    script /etc/keepalived/chk\n    \
                 {lines}\n}}\n{}",
            instance(
                "VI_1",
                51,
                100,
                &[VIP],
                "version 3\n    advert_int 0.2\n    track_script {\n        chk\n    }"
            )
        )
    }

    fn start(&self, lines: &str) -> Daemon {
        self.single.host.write("keepalived.conf", &self.text(lines));
        self.single.start()
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.runs).expect("own file");
        text.lines().map(str::to_owned).collect()
    }
}

/// `rise` and `fall`: so many results of a kind, one after the other, count; one of the other kind begins anew.
pub fn results_count_when_there_are_as_many_as_told() {
    let tracked = Tracked::new();
    let mut daemon = tracked.start("interval 1\n    rise 3\n    fall 2");
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let changed = |daemon: &mut Daemon, status: u8, line: &str| {
        let first = daemon.expect(&format!("Script `chk` now returning {status}"), secs(4.0));
        let counted = daemon.expect(line, secs(6.0));
        (counted.at - first.at) as f64 / 1e9
    };
    fs::write(&tracked.fails, "").expect("own file");
    let took = changed(&mut daemon, 1, "(VI_1) Entering FAULT STATE");
    assert!((0.8..1.8).contains(&took), "the second failure: {took:.3} s");
    fs::remove_file(&tracked.fails).expect("own file");
    let took = changed(&mut daemon, 0, "(VI_1) Entering BACKUP STATE");
    assert!((1.8..2.8).contains(&took), "the third success: {took:.3} s");
    // One failure between successes is none.
    daemon.expect("(VI_1) Entering MASTER STATE", secs(3.0));
    fs::write(&tracked.fails, "").expect("own file");
    daemon.expect("Script `chk` now returning 1", secs(4.0));
    fs::remove_file(&tracked.fails).expect("own file");
    daemon.expect("Script `chk` now returning 0", secs(4.0));
    let runs = tracked.runs().len();
    wait_until("three more runs", secs(6.0), || {
        (tracked.runs().len() > runs + 2).then_some(())
    });
    assert_eq!(
        daemon.count("(VI_1) Entering FAULT STATE"),
        1,
        "{}",
        daemon.log_text()
    );
}

/// `init_fail`: a script that has not ended yet counts as one that has failed.
pub fn a_script_fails_at_first_when_told_so() {
    ours_only("2.2.7 does so for scripts without weight only, which hold the instance anyway");
    for (init_fail, priority) in [("init_fail", 80), ("", 100)] {
        let tracked = Tracked::new();
        fs::write(&tracked.hangs, "").expect("own file");
        let slow = format!("interval 30\n    timeout 30\n    {init_fail}");
        let mut daemon = tracked.start(&format!("{slow}\n    weight -20"));
        let seen = tracked
            .single
            .watch
            .wait("an advert", 0, secs(6.0), |s| s.is_advert(51));
        let advert = seen.advert().expect("an advert");
        assert_eq!(advert.priority, priority, "{init_fail}:\n{}", daemon.log_text());
        // One that a reload brings, without weight.
        let before = tracked.text(&format!("{slow}\n    weight -20"));
        let after = before
            .replace(
                "vrrp_script chk {",
                &format!(
                    "vrrp_script new {{\n    script /etc/keepalived/chk\n    {slow}\n}}\nvrrp_script chk {{"
                ),
            )
            .replace("        chk\n", "        chk\n        new\n");
        reload(&mut daemon, &tracked.single, &after);
        if init_fail.is_empty() {
            let from = now_ns();
            tracked
                .single
                .watch
                .wait_nth("it goes on", from, 4, secs(3.0), |s| s.is_advert(51));
            daemon.never("Entering FAULT STATE");
        } else {
            let fault = "(VI_1) Entering FAULT STATE";
            wait_until(fault, secs(2.0), || (daemon.count(fault) == 1).then_some(()));
        }
    }
}

/// A weight adds while the script is good, or takes away while it is not; a line of `track_script` may say another one.
pub fn scripts_have_weights() {
    for (own, line, good, bad) in [
        ("weight 10", "", 110, 100),
        ("weight -10", "", 100, 90),
        ("weight 10 reverse", "", 90, 100),
        ("", "weight 30", 130, 100),
        ("weight 10", "weight -30", 100, 70),
    ] {
        let tracked = Tracked::new();
        let text = tracked.text(&format!("interval 1\n    {own}"));
        let text = text.replace("        chk\n", &format!("        chk {line}\n"));
        tracked.single.host.write("keepalived.conf", &text);
        let _daemon = tracked.single.start();
        let priority = |expected: u8| {
            let what = format!("{own}, {line}: {expected}");
            tracked.single.watch.wait(&what, now_ns(), secs(6.0), |s| {
                s.advert().is_some_and(|a| a.priority == expected)
            });
        };
        priority(good);
        fs::write(&tracked.fails, "").expect("own file");
        priority(bad);
        fs::remove_file(&tracked.fails).expect("own file");
        priority(good);
    }
}

/// `interval`, `timeout` and `user`.
pub fn a_script_runs_as_often_as_long_and_as_whom_told() {
    if unprivileged() {
        skip("other users need real root");
    }
    let tracked = Tracked::new();
    let tmp = tracked.single.host.tmp();
    tool("chmod", &["666", &tracked.runs.to_string_lossy()]);
    tool("chmod", &["755", &tmp.to_string_lossy()]);
    let mut daemon = tracked.start("interval 2\n    timeout 1\n    user nobody");
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let runs = tracked.runs().len();
    let more = |count: usize| {
        wait_until("more runs", secs(9.0), || {
            (tracked.runs().len() >= runs + count).then(now_ns)
        })
    };
    let first = more(1);
    let took = (more(3) - first) as f64 / 1e9;
    assert!((3.5..5.0).contains(&took), "two intervals: {took:.3} s");
    let users = tracked.runs();
    assert!(users.iter().all(|user| user == "nobody"), "{users:?}");
    // It is there with its rights at once.
    let next = tmp.join("next");
    fs::write(&next, "").expect("own file");
    tool("chmod", &["666", &next.to_string_lossy()]);
    fs::rename(&next, &tracked.hangs).expect("own file");
    let fault = daemon.expect("(VI_1) Entering FAULT STATE", secs(4.0)).at;
    let began = fs::read_to_string(&tracked.hangs).expect("own file");
    let began: i64 = began
        .lines()
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a time");
    let took = (fault - began) as f64 / 1e9;
    assert!((0.7..1.8).contains(&took), "the timeout: {took:.3} s");
    daemon.logged("VRRP_Script(chk) timed_out");
}

/// `enable_script_security`: a script that others than root can change is not run.
pub fn scripts_of_everybody_are_not_run_when_told_so() {
    if unprivileged() {
        skip("the owner of files is another one");
    }
    for (more, runs) in [("", true), ("enable_script_security", false)] {
        let single = Single::new("");
        let say = |name: &str| {
            single
                .host
                .script(name, &format!("#!/bin/sh\necho {name} >>/run/said\n"))
        };
        say("safe");
        tool("chmod", &["777", &say("open").to_string_lossy()]);
        let notify = "version 3\n    advert_int 0.2\n    notify_backup /etc/keepalived/open\n    \
                      notify_master /etc/keepalived/safe";
        single.host.write(
            "keepalived.conf",
            &format!(
                "global_defs {{\n    script_user root\n    {more}\n}}\n{}",
                instance("VI_1", 51, 100, &[VIP], notify)
            ),
        );
        let daemon = single.start();
        let said = || fs::read_to_string(single.host.run_file("said")).unwrap_or_default();
        wait_until("the safe one", secs(6.0), || {
            said().contains("safe").then_some(())
        });
        assert_eq!(said().contains("open"), runs, "{more}");
        daemon.logged("Unsafe permissions found for script '/etc/keepalived/open'");
    }
}

/// User and group behind the command of a notify script, for an instance and for a group.
pub fn notify_scripts_run_as_whom_told() {
    if unprivileged() {
        skip("other users need real root");
    }
    let single = Single::new("");
    let said = single.host.run_file("said");
    fs::write(&said, "").expect("own file");
    tool("chmod", &["666", &said.to_string_lossy()]);
    single
        .host
        .script("who", "#!/bin/sh\necho \"$1 $(id -un) $(id -gn)\" >>/run/said\n");
    let more = "version 3\n    advert_int 0.2\n    notify_backup \"/etc/keepalived/who backup\"\n    \
                notify_master \"/etc/keepalived/who master\" nobody daemon";
    single.host.write(
        "keepalived.conf",
        &format!(
            "global_defs {{\n    script_user root\n}}\nvrrp_sync_group G {{\n    group {{\n        VI_1\n    }}\n    \
             notify_master \"/etc/keepalived/who group\" daemon\n}}\n{}",
            instance("VI_1", 51, 100, &[VIP], more)
        ),
    );
    let _daemon = single.start();
    let lines = wait_until("three lines", secs(6.0), || {
        let text = fs::read_to_string(&said).ok()?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        (lines.len() >= 3).then_some(lines)
    });
    assert_eq!(
        lines,
        ["backup root root", "group daemon daemon", "master nobody daemon"]
    );
}
