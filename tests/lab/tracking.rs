//! What instances and groups track: files, and how much each counts.

use std::fs;
use std::path::Path;

use crate::common::daemon::ours_only;
use crate::common::{secs, wait_until};
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
    type Turn<'a> = &'a dyn Fn();
    let fail: [(Turn, Turn); 3] = [
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
