//! Settings of the daemon as a process, each looked at where the kernel shows it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, ours_only};
use crate::common::runner::{skip, unprivileged};
use crate::common::{Daemon, Which, have, now_ns, secs, tool, wait_until};
use crate::pair::{Single, instance};

const VIP: &str = "192.0.2.100/24";

fn global(lines: &str) -> String {
    format!("global_defs {{\n{lines}\n}}\n")
}

pub fn with(lines: &str) -> String {
    global(lines) + &instance("VI_1", 51, 100, &[VIP], "")
}

/// The file's settings, and the file without them again.
pub fn reload(daemon: &mut Daemon, single: &Single, text: &str) {
    single.host.write("keepalived.conf", text);
    daemon.skip_log();
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(4.0));
}

/// The mode of what is written: 0666 less `umask`; `-u` goes before the file.
pub fn files_have_the_mode_that_umask_leaves() {
    let single = Single::new(&with("    umask IRWXO|IWGRP\n"));
    let mode = |daemon: &mut Daemon| {
        let path = single.host.tmp().join("keepalived.data");
        let _ = fs::remove_file(&path);
        daemon.expect("Startup complete", secs(4.0));
        daemon.signal(Signal::SIGUSR1);
        wait_until("the dump", secs(3.0), || fs::metadata(&path).ok()).mode() & 0o777
    };
    let mut daemon = single.start();
    if Start::new(&single.host, Which::Tested)
        .only_args(&["--version"])
        .output()
        .1
        .contains("v2.2.7")
    {
        ours_only("this version makes them for root alone, whatever is set");
    }
    assert_eq!(mode(&mut daemon), 0o640);
    daemon.stop();
    let mut daemon = Start::new(&single.host, Which::Tested)
        .args(&["-u", "0133"])
        .spawn();
    assert_eq!(mode(&mut daemon), 0o644);
}

/// `script_user` with `set_supplementary_groups`; `startup_script` before anything else and `shutdown_script` when all
/// is over, each ended when it takes too long.
pub fn scripts_run_as_their_user_and_at_their_time() {
    if unprivileged() {
        skip("other users need real root");
    }
    ours_only("2.2.7 does not end a start script that hangs");
    let single = Single::new("");
    let tmp = single.host.tmp();
    let said = tmp.join("said");
    fs::write(&said, "").expect("own file");
    tool("chmod", &["666", &said.to_string_lossy()]);
    tool("chmod", &["755", &tmp.to_string_lossy()]);
    let (user, group) = ("nobody", "daemon");
    // A user with more groups than its own.
    let member = fs::read_to_string("/etc/group")
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let (name, members) = (fields.next()?.to_owned(), fields.nth(2)?);
            members
                .split(',')
                .find(|m| !m.is_empty() && *m != "root")
                .map(|m| (m.to_owned(), name))
        });
    let script = single.host.script(
        "say.sh",
        &format!(
            "#!/bin/sh\necho \"$1 $(id -un) $(id -gn) $(id -Gn)\" >>{}\n[ \"$2\" = hang ] && exec sleep 60\nexit 0\n",
            said.display()
        ),
    );
    let script = format!(
        "/etc/keepalived/{}",
        script.file_name().expect("a name").to_string_lossy()
    );
    let text = |globals: &str| {
        format!(
            "{}vrrp_script chk {{\n    script \"{script} chk\"\n    interval 1\n}}\n{}",
            global(globals),
            instance("VI_1", 51, 100, &[VIP], "track_script {\n        chk\n    }")
        )
    };
    let globals = format!(
        "    script_user {user} {group}\n    enable_script_security\n    startup_script \"{script} start hang\"\n    \
         startup_script_timeout 1\n    shutdown_script \"{script} stop hang\"\n    shutdown_script_timeout 1\n"
    );
    single.host.write("keepalived.conf", &text(&globals));
    let lines = || fs::read_to_string(&said).expect("own file");
    let mut daemon = single.start();
    daemon.expect("startup script timed out", secs(4.0));
    daemon.never("Entering");
    assert_eq!(lines(), format!("start {user} {group} {group}\n"));
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("eth0", VIP, true, secs(1.0));
    if let Some((user, group)) = member {
        let more = globals.replace(
            "script_user nobody daemon",
            &format!("script_user {user}\n    set_supplementary_groups"),
        );
        reload(&mut daemon, &single, &text(&more));
        wait_until("a run with all groups", secs(4.0), || {
            let with =
                |l: &str| l.starts_with(&format!("chk {user} ")) && l.split(' ').skip(3).any(|g| g == group);
            lines().lines().any(with).then_some(())
        });
        reload(&mut daemon, &single, &text(&globals));
    }
    daemon.signal(Signal::SIGTERM);
    wait_until("the last script", secs(4.0), || {
        lines().contains("stop ").then_some(())
    });
    assert!(!single.host.has("eth0", VIP), "the address is gone when it runs");
    daemon.expect("shutdown script timed out", secs(4.0));
    assert_eq!(daemon.wait_exit(secs(4.0)), Some(0));
}

/// `instance`, `use_pid_dir`, `net_namespace`: names of pid files, of dumps and of the lines.
pub fn instances_and_namespaces_have_names_of_their_own() {
    let single = Single::new(&format!("instance inst\n{}", with("    data_use_instance\n")));
    let mut daemon = single.start();
    daemon.expect("Changing syslog ident to Keepalived_inst", secs(4.0));
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    for name in ["keepalived/keepalived_inst.pid", "keepalived/vrrp_inst.pid"] {
        let file = fs::metadata(single.host.run_file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(file.mode() & 0o777, 0o644, "{name}");
    }
    // Another one beside it, and not a second of the same name.
    let other = single.host.write(
        "other.conf",
        &format!(
            "instance other\n{}",
            instance("VI_2", 52, 100, &["192.0.2.101/24"], "")
        ),
    );
    let other = format!(
        "/etc/keepalived/{}",
        other.file_name().expect("a name").to_string_lossy()
    );
    let start = || {
        Start::new(&single.host, Which::Tested)
            .args(&["-f", &other])
            .spawn()
    };
    let mut beside = start();
    beside.expect("(VI_2) Entering BACKUP STATE (init)", secs(4.0));
    let mut refused = start();
    refused.wait_exit(secs(4.0));
    refused.expect("daemon is already running", secs(1.0));
    assert_eq!(beside.stop(), Some(0));
    daemon.signal(Signal::SIGUSR1);
    let dump = single.host.tmp().join("keepalived.inst.data");
    wait_until("the dump", secs(3.0), || dump.exists().then_some(()));
    assert_eq!(daemon.stop(), Some(0));

    // From another namespace into this one, by a name as `ip netns` gives them.
    let text = format!("net_namespace other\n{}", instance("VI_1", 51, 100, &[VIP], ""));
    let outside = single.lab.host("outside");
    outside.write("keepalived.conf", &text);
    let inside = Start::bare(&single.host, "sleep").args(&["60"]).spawn();
    let name_it = format!(
        "mkdir /run/netns && : >/run/netns/other && mount --bind /proc/{}/ns/net /run/netns/other && exec \"$@\"",
        inside.pid()
    );
    let program = Which::Tested.path();
    let mut daemon = Start::bare(&outside, "sh")
        .args(&[
            "-c",
            &name_it,
            "sh",
            &program.to_string_lossy(),
            "-n",
            "-l",
            "-D",
            "-G",
        ])
        .spawn();
    daemon.expect("Changing syslog ident to Keepalived_other", secs(4.0));
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("eth0", VIP, true, secs(1.0));
    let pid = outside.run_file("keepalived/other/keepalived.pid");
    let listed = crate::common::tool("find", &[&outside.run_file("").to_string_lossy()]);
    assert!(pid.exists(), "{listed}");
    assert_eq!(daemon.stop(), Some(0));
}

/// `reload_time_file`: a reload at the time that it holds; the file goes with it, or stays with `reload_repeat`.
pub fn a_reload_at_a_given_time() {
    if !have("date") {
        skip("date is missing");
    }
    let single = Single::new("");
    let tmp = single.host.tmp();
    let file = tmp.join("when");
    let text = |more: &str, priority: u8| {
        global(&format!("    reload_time_file {}\n{more}", file.display()))
            + &instance("VI_1", 51, priority, &[VIP], "")
    };
    let write = |when: &str, format: &str| {
        let when = tool("date", &["-d", when, format]);
        fs::write(&file, &when).expect("own file");
        when.trim().to_owned()
    };
    single.host.write("keepalived.conf", &text("", 100));
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(4.0));
    let at = write("+2 hours", "+%Y-%m-%d %H:%M:%S");
    daemon.expect(&format!("Scheduling reload for {at}"), secs(2.0));
    let later = write("+3 hours", "+%Y-%m-%d %H:%M:%S");
    daemon.expect(&format!("Reload time updated from {at} to {later}"), secs(2.0));
    fs::remove_file(&file).expect("it is there");
    daemon.expect(&format!("Cancelling reload scheduled for {later}"), secs(2.0));
    fs::write(&file, "at noon\n").expect("own file");
    daemon.expect("Reload time at noon format is incorrect - ignoring", secs(2.0));
    fs::write(&file, "2020-01-01 10:00:00\n").expect("own file");
    daemon.expect(
        "Reload time 2020-01-01 10:00:00 is in the past - ignoring",
        secs(2.0),
    );

    single
        .host
        .write("keepalived.conf", &text("    reload_repeat\n", 101));
    let at = write("+2 seconds", "+%H:%M:%S");
    daemon.expect("Scheduling reload for ", secs(1.0));
    daemon.expect("Reloading ...", secs(4.0));
    daemon.expect("Reload complete", secs(2.0));
    wait_until("the file to be gone", secs(1.0), || {
        (!file.exists()).then_some(())
    });
    fs::write(&file, &at).expect("own file");
    daemon.expect("Scheduling reload for ", secs(2.0));
    write("+2 seconds", "+%H:%M:%S");
    daemon.expect("Reload time updated from ", secs(2.0));
    daemon.expect("Reloading ...", secs(4.0));
    // That of tomorrow.
    daemon.expect("Scheduling reload for ", secs(2.0));
    assert!(file.exists(), "reload_repeat keeps it");
}

/// `config_save_dir`: what was read, and the state before and after each reload.
pub fn reloads_are_recorded() {
    let single = Single::new("");
    let kept = single.host.tmp().join("kept");
    let text = |priority: u8| {
        global(&format!("    config_save_dir {}\n", kept.display()))
            + &instance("VI_1", 51, priority, &[VIP], "")
    };
    single.host.write("keepalived.conf", &text(100));
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(4.0));
    reload(&mut daemon, &single, &text(101));
    let read = |start: &str, end: &str| {
        let entry = fs::read_dir(&kept).ok()?.flatten().find(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(start) && name.ends_with(end)
        })?;
        fs::read_to_string(entry.path()).ok()
    };
    for (start, end, line) in [
        ("keepalived.conf.", ".0", "priority 100"),
        ("keepalived.conf.", ".1", "priority 101"),
        ("keepalived_vrrp.", ".1.pre", "   Priority = 100"),
        ("keepalived_vrrp.", ".1.post", "   Priority = 101"),
    ] {
        wait_until(&format!("{line:?} in {start}...{end}"), secs(3.0), || {
            read(start, end)?.contains(line).then_some(())
        });
    }
    let mode = fs::metadata(&kept).expect("it is there").mode() & 0o077;
    assert_eq!(mode, 0, "for root alone");
}

/// `tmp_config_directory`: nothing is written there, and it cannot change.
pub fn a_directory_for_temporary_files_cannot_change() {
    ours_only("it reads such a file in another way, and its refusal goes without a verdict");
    let single = Single::new(&with("    tmp_config_directory /tmp\n"));
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(4.0));
    single
        .host
        .write("keepalived.conf", &with("    tmp_config_directory /var/tmp\n"));
    daemon.signal(Signal::SIGHUP);
    daemon.expect(
        "Cannot change config_directory at a reload - please restart keepalived",
        secs(3.0),
    );
}

/// Dumps go where the file says; of what names a file in vain, as with keepalived, a line says so.
pub fn dumps_have_names_of_their_own() {
    ours_only("2.2.7 knows one of the keywords");
    let single = Single::new("");
    let tmp = single.host.tmp();
    let own = tmp.join("own.state");
    single.host.write(
        "keepalived.conf",
        &with(&format!(
            "    state_dump_file {}\n    stats_dump_file {}\n    json_dump_file {}\n",
            own.display(),
            tmp.join("own.stats").display(),
            tmp.join("own.json").display()
        )),
    );
    let mut daemon = single.start();
    for keyword in ["stats_dump_file", "json_dump_file"] {
        daemon.expect(&format!("{keyword} has no effect"), secs(3.0));
    }
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    for signal in [Signal::SIGUSR1 as i32, Signal::SIGUSR2 as i32, 36] {
        daemon.signal_number(signal);
    }
    for path in [own, tmp.join("keepalived.stats"), tmp.join("keepalived.json")] {
        let dump = || {
            fs::read_to_string(&path)
                .ok()
                .filter(|text| text.contains("VI_1"))
        };
        wait_until(&path.to_string_lossy(), secs(3.0), dump);
    }
    assert!(!tmp.join("keepalived.data").exists(), "it has another name");
}

/// `random_seed`: from the reload on, the same numbers each time.
pub fn random_numbers_come_from_the_seed() {
    let read = |seed: &str| {
        let text = with(&format!("    {seed}\n    router_id R${{_RANDOM 0 32767}}\n"));
        let single = Single::new(&text);
        let mut daemon = single.start();
        daemon.expect("Startup complete", secs(4.0));
        reload(&mut daemon, &single, &text);
        let path = single.host.tmp().join("keepalived.data");
        daemon.signal(Signal::SIGUSR1);
        wait_until("the dump", secs(3.0), || {
            let text = fs::read_to_string(&path).ok()?;
            text.lines()
                .find_map(|l| l.trim().strip_prefix("Router ID = ").map(str::to_owned))
        })
    };
    let seeded = read("random_seed 4711");
    assert!(seeded.len() > 1 && seeded[1..].parse::<u16>().is_ok(), "{seeded}");
    assert_eq!(read("random_seed 4711"), seeded);
    assert!((0..4).any(|_| read("") != seeded), "always {seeded}");
}

/// `reload_check_config`: a complaint that a start lives with is a refusal, which changes nothing.
pub fn a_reload_is_checked_when_told_so() {
    let text = |check: &str, more: &str| {
        let globals = format!("    {check}\n");
        let priority = if more.is_empty() { 100 } else { 120 };
        global(&globals) + &instance("VI_1", 51, priority, &[VIP], "") + more
    };
    let single = Single::new(&text("reload_check_config /run/complaints", ""));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let mistake = text("reload_check_config /run/complaints", "no_such_keyword\n");
    single.host.write("keepalived.conf", &mistake);
    daemon.skip_log();
    daemon.signal(Signal::SIGHUP);
    let complaints = single.host.run_file("complaints");
    let said = wait_until("the complaints", secs(4.0), || {
        fs::read_to_string(&complaints)
            .ok()
            .filter(|text| text.contains("no_such_keyword"))
    });
    assert!(said.contains("Unknown keyword"), "{said}");
    let from = now_ns();
    single
        .watch
        .wait_nth("adverts as before", from, 2, secs(4.0), |s| {
            s.advert().is_some_and(|a| a.vrid == 51 && a.priority == 100)
        });
    assert_eq!(daemon.count("Reload complete"), 0, "{}", daemon.log_text());
    // Without the keyword in what runs, the same complaint is lived with.
    single.host.write("keepalived.conf", &text("", ""));
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(4.0));
    reload(&mut daemon, &single, &text("", "no_such_keyword\n"));
    single.watch.wait("the new priority", now_ns(), secs(4.0), |s| {
        s.advert().is_some_and(|a| a.vrid == 51 && a.priority == 120)
    });
}

/// `use_pid_dir`: pid files in a folder of their own.
pub fn pid_files_have_a_folder_when_told_so() {
    for (more, here, not_here) in [
        ("", "keepalived.pid", "keepalived/keepalived.pid"),
        ("use_pid_dir\n", "keepalived/keepalived.pid", "keepalived.pid"),
    ] {
        let single = Single::new(&(more.to_owned() + &with("")));
        let mut daemon = single.start();
        daemon.expect("Startup complete", secs(4.0));
        assert!(single.host.run_file(here).exists(), "{more}");
        assert!(!single.host.run_file(not_here).exists(), "{more}");
    }
}

/// `child_wait_time`: so long a stop waits for what is still being taken away.
pub fn a_stop_waits_as_long_as_told() {
    let addresses: String = (0..2000_u32)
        .map(|n| format!("        10.7.{}.{}/32\n", n / 250, n % 250 + 1))
        .collect();
    let more = format!("virtual_ipaddress_excluded {{\n{addresses}    }}");
    for (wait, patient) in [("child_wait_time 0\n", false), ("", true)] {
        let single = Single::new(&(wait.to_owned() + &instance("VI_1", 51, 255, &[VIP], &more)));
        let mut daemon = single.start();
        single
            .host
            .wait_address("eth0", "10.7.7.250/32", true, secs(20.0));
        assert_eq!(daemon.stop(), Some(0));
        let gave_up = daemon.count("vrrp process failed to die - forcing termination");
        assert_eq!(gave_up == 0, patient, "{}", daemon.log_text());
    }
}
