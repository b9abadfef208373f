//! Keywords about the files that the daemon reads.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;

use crate::common::daemon::{ours_only, tests_ours};
use crate::common::{secs, wait_until};
use crate::pair::{Single, instance};
use crate::settings::{reload, with};

const VIP: &str = "192.0.2.100/24";

/// `reload_file`: the file is there while the configuration is read, and none is left from an earlier time.
pub fn a_file_is_there_while_the_configuration_is_read() {
    for (given, name) in [
        ("reload_file /run/is_read", "is_read"),
        ("reload_file", "keepalived.reload"),
    ] {
        let text = with(&format!("    {given}\n"));
        let single = Single::new(&text);
        let file = single.host.run_file(name);
        fs::write(&file, "").expect("own file");
        let mut daemon = single.start();
        daemon.expect("Startup complete", secs(4.0));
        assert!(!file.exists(), "{given}: it is from an earlier time");
        ours_only("2.2.7 makes none at a reload");
        let events = Inotify::init(InitFlags::IN_NONBLOCK).expect("inotify");
        let both = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE;
        events
            .add_watch(&single.host.run_file(""), both)
            .expect("own folder");
        reload(&mut daemon, &single, &text);
        let mut seen = Vec::new();
        wait_until("the file to come and go", secs(2.0), || {
            let news = events.read_events().unwrap_or_default();
            let news = news
                .into_iter()
                .filter(|e| e.name.as_deref() == Some(OsStr::new(name)));
            seen.extend(news.map(|event| event.mask));
            (seen == [AddWatchFlags::IN_CREATE, AddWatchFlags::IN_DELETE]).then_some(())
        });
    }
}

/// `include_check`: which includes that find nothing keep the daemon from starting.
pub fn includes_that_find_nothing_are_mistakes_when_told_so() {
    let (missing, pattern) = ("/etc/keepalived/missing.conf", "/etc/keepalived/missing.d/*.conf");
    let single = Single::new("");
    for (check, include, refused) in [
        ("", missing, false),
        ("", pattern, false),
        ("include_check match", missing, true),
        ("include_check match", pattern, true),
        ("include_check wildcard_match", pattern, true),
        ("include_check", pattern, true),
        ("include_check +match -match", missing, false),
    ] {
        if check.ends_with("wildcard_match") && !tests_ours() {
            continue; // 2.2.7 lives with this one
        }
        let text = with(&format!("    {check}\n")) + &format!("include {include}\n");
        single.host.write("keepalived.conf", &text);
        let mut daemon = single.start();
        if refused {
            assert_eq!(daemon.wait_exit(secs(4.0)), Some(6), "{check}, include {include}");
            daemon.never("Startup complete");
        } else {
            daemon.expect("Startup complete", secs(4.0));
            assert_eq!(daemon.stop(), Some(0));
        }
        daemon.logged(include);
    }
}

/// `use_symlink_paths`: a script is known by the path in the file, not by where its links lead.
pub fn links_of_scripts_stay_when_told_so() {
    ours_only("2.2.7 does not know the keyword");
    for (keyword, shown) in [("", "chk"), ("use_symlink_paths", "folder/link")] {
        let single = Single::new("");
        let script = single.host.script("chk", "#!/bin/sh\nexit 0\n");
        let folder = script.with_file_name("folder");
        fs::create_dir(&folder).expect("own folder");
        symlink("../chk", folder.join("link")).expect("own folder");
        single.host.write(
            "keepalived.conf",
            &format!(
                "global_defs {{\n    script_user root\n    {keyword}\n}}\nvrrp_script chk {{\n    script /etc/keepalived/folder/link\n}}\n{}",
                instance("VI_1", 51, 100, &[VIP], "track_script {\n        chk\n    }")
            ),
        );
        let mut daemon = single.start();
        daemon.expect("VRRP_Script(chk) succeeded", secs(4.0));
        daemon.signal(Signal::SIGUSR1);
        let line = format!("   Command = '/etc/keepalived/{shown}'");
        wait_until(&line, secs(3.0), || {
            let text = fs::read_to_string(single.host.tmp().join("keepalived.data")).ok()?;
            text.lines().any(|l| l == line).then_some(())
        });
    }
}

/// `iproute_usr_dir` and `iproute_etc_dir`: where the names of routing tables are looked for.
pub fn names_of_tables_are_looked_for_where_told() {
    ours_only("2.2.7 does not know these keywords");
    let route = "    virtual_routes {\n        203.0.113.0/28 dev eth0 table of_the_lab\n    }";
    let single = Single::new("");
    for (folder, number) in [("usr", 301), ("etc", 302)] {
        let path = single.host.dir.join("keepalived").join(folder);
        fs::create_dir(&path).expect("own folder");
        fs::write(path.join("rt_tables"), format!("{number} of_the_lab\n")).expect("own file");
    }
    for (globals, table) in [
        ("iproute_usr_dir /etc/keepalived/usr", "301"),
        ("iproute_etc_dir /etc/keepalived/etc", "302"),
    ] {
        single.host.write(
            "keepalived.conf",
            &format!(
                "global_defs {{\n    {globals}\n}}\n{}",
                instance("VI_1", 51, 255, &[VIP], route)
            ),
        );
        let mut daemon = single.start();
        wait_until(table, secs(5.0), || {
            let routes = single.host.ip("route show table all");
            let its = format!("table {table} ");
            routes
                .lines()
                .any(|l| l.starts_with("203.0.113.0/28") && format!("{l} ").contains(&its))
                .then_some(())
        });
        assert_eq!(daemon.stop(), Some(0));
    }
}
