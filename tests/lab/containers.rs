//! The daemon as process 1 of a container: with exactly the capabilities that docs/containers.md names, and
//! with each of them missing.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::daemon::{Start, ours_only};
use crate::common::{Daemon, Host, Which, secs, wait_until};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";
const PAGE: &str = include_str!("../../docs/containers.md");

/// A container on this host: a process namespace of its own, and these capabilities alone.
struct Container {
    daemon: Daemon,
}

impl Container {
    fn start(host: &Host, capabilities: &[&str]) -> Container {
        let program = Which::Tested.path().display().to_string();
        let bounding: String = capabilities
            .iter()
            .map(|name| format!(",+{}", name.to_lowercase()))
            .collect();
        let bounding = format!("--bounding-set=-all{bounding}");
        let daemon = Start::bare(host, PathBuf::from("unshare"))
            .only_args(&[
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "setpriv",
                &bounding,
                "--inh-caps=-all",
                &program,
                "-n",
                "-l",
                "-D",
                "-G",
            ])
            .spawn();
        Container { daemon }
    }

    /// Process 1, by its number outside.
    fn first(&self) -> Pid {
        wait_until("process 1", secs(5.0), || {
            let status = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let first = |pid: &Pid| {
                let status = status(pid);
                let inside = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
                inside.and_then(|pids| pids.split_whitespace().nth(1)) == Some("1")
            };
            self.daemon.family().into_iter().find(first)
        })
    }

    fn stop(&mut self) -> Option<i32> {
        kill(self.first(), Signal::SIGTERM).expect("it runs");
        self.daemon.wait_exit(secs(8.0))
    }
}

/// The names in the page's table, with what each is for.
fn named() -> Vec<&'static str> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

fn scripts(host: &Host) -> String {
    // Its child outlives it, and is process 1's to take leave of.
    let script = host.script(
        "notify",
        "#!/bin/sh\nsetsid sh -c 'sleep 0.2' &\nid -u >> /run/notified/users\n",
    );
    fs::create_dir_all(host.run_file("notified")).expect("own directory");
    host.space().tool(
        "chmod",
        &["0777", &host.run_file("notified").display().to_string()],
    );
    format!(
        "global_defs {{\n    script_user nobody nogroup\n    vrrp_no_swap\n}}\nvrrp_script chk {{\n    script /bin/true\n    \
         interval 1\n}}\n{}",
        instance(
            "VI_1",
            51,
            100,
            &[VIP],
            &format!(
                "version 3\n    advert_int 0.2\n    track_script {{\n        chk\n    }}\n    notify_master {}",
                script.display()
            )
        )
    )
}

/// With what the page names everything works: adverts, addresses, scripts as their user; orphans do not stay;
/// SIGTERM takes the addresses away; what a kill left is cleaned at the next start.
pub fn with_exactly_what_is_documented() {
    ours_only("the page is ours");
    let single = Single::new("");
    single.host.write("keepalived.conf", &scripts(&single.host));
    let all = named();
    assert!(all.len() >= 6, "{all:?}");
    let mut container = Container::start(&single.host, &all);
    container.daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    single.host.wait_address("eth0", VIP, true, secs(3.0));
    let users = single.host.run_file("notified").join("users");
    let user = wait_until("the script", secs(5.0), || {
        fs::read_to_string(&users)
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    assert_eq!(user, "65534\n", "nobody");
    container.daemon.never("is missing: ");
    container.daemon.never("Operation not permitted");
    let first = container.first();
    assert!(fs::read_to_string(format!("/proc/{first}/comm")).is_ok_and(|name| name == "keepalived\n"));
    // Our helpers alone stay: neither the script, nor its child as a zombie, which has no command line.
    wait_until("orphans to be gone", secs(5.0), || {
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).ok()?;
        let line = |pid: &str| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let helper = |pid: &str| line(pid).starts_with(b"(keepalived-rs ");
        children.split_whitespace().all(helper).then_some(())
    });

    // SIGKILL to process 1 takes everything with it but what the kernel holds; the guard, which may or may not be
    // quicker, is off.
    assert_eq!(container.stop(), Some(0));
    let unguarded = scripts(&single.host).replacen("{\n", "{\n    rs_guard off\n", 1);
    single.host.write("keepalived.conf", &unguarded);
    let mut container = Container::start(&single.host, &all);
    single.host.wait_address("eth0", VIP, true, secs(8.0));
    let first = container.first();
    kill(first, Signal::SIGKILL).expect("it runs");
    container.daemon.wait_exit(secs(5.0));
    assert!(single.host.has("eth0", VIP), "nobody was left to remove it");
    let better = single.peer(
        "better",
        2,
        &instance("VI_1", 51, 200, &[VIP], "version 3\n    advert_int 0.2"),
    );
    let mut master = start(&better);
    master.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut again = Container::start(&single.host, &all);
    again.daemon.expect("(VI_1) Entering BACKUP STATE", secs(5.0));
    single.host.wait_address("eth0", VIP, false, secs(3.0));
    assert_eq!(master.stop(), Some(0));
    single.host.wait_address("eth0", VIP, true, secs(5.0));
    assert_eq!(again.stop(), Some(0));
    assert!(!single.host.has("eth0", VIP));
}

/// Each of them missing: the log says which, and how to grant it.
pub fn each_missing_capability_is_named() {
    ours_only("the words are ours");
    let single = Single::new("");
    single.host.write("keepalived.conf", &scripts(&single.host));
    let all = named();
    for missing in &all {
        if *missing == "SYS_ADMIN" {
            // The only one without which it does not start: it would work in the wrong namespace.
            let text = format!("net_namespace /proc/self/ns/net\n{}", scripts(&single.host));
            single.host.write("keepalived.conf", &text);
        }
        let rest: Vec<&str> = all.iter().copied().filter(|name| name != missing).collect();
        let mut container = Container::start(&single.host, &rest);
        let line = container
            .daemon
            .expect(&format!("CAP_{missing} is missing: "), secs(5.0));
        for way in [
            format!("docker run --cap-add={missing};"),
            format!("{{capabilities: {{add: [\"{missing}\"]}}}}"),
            format!("CAP_{missing} in CapabilityBoundingSet="),
        ] {
            assert!(line.text.contains(&way), "{}", line.text);
        }
        assert_eq!(container.daemon.count(" is missing: "), 1);
        if *missing == "SYS_ADMIN" {
            assert_ne!(container.daemon.wait_exit(secs(5.0)), Some(0));
            continue;
        }
        let _ = kill(container.first(), Signal::SIGKILL);
        container.daemon.wait_exit(secs(5.0));
        let _ = crate::common::try_tool(
            "ip",
            &["-n", &single.host.space().name, "addr", "del", VIP, "dev", "eth0"],
        );
    }
}

/// Process 1 takes leave of every process, but how its own helpers ended is told; they are made again.
pub fn the_end_of_helpers_is_told() {
    ours_only("it has none");
    let single = Single::new("");
    single.host.write("keepalived.conf", &scripts(&single.host));
    let mut container = Container::start(&single.host, &named());
    single.host.wait_address("eth0", VIP, true, secs(8.0));
    let helper = |container: &Container, name: &str| {
        let line = format!("(keepalived-rs {name})");
        let named = |pid: &Pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|text| text.starts_with(line.as_bytes()))
        };
        wait_until(name, secs(5.0), || {
            container.daemon.family().into_iter().find(named)
        })
    };
    // It is a race that is lost only sometimes.
    for _ in 0..3 {
        for (name, told) in [
            ("guard", "The guard ended (signal: 9 (SIGKILL))"),
            (
                "spawner",
                "The process that runs scripts ended (signal: 9 (SIGKILL))",
            ),
        ] {
            let pid = helper(&container, name);
            container.daemon.skip_log();
            kill(pid, Signal::SIGKILL).expect("it runs");
            container.daemon.expect(told, secs(3.0));
            wait_until("a new one", secs(5.0), || {
                (helper(&container, name) != pid).then_some(())
            });
        }
    }
    assert_eq!(container.stop(), Some(0));
}

/// Without `-n` process 1 would end at once, and the container with it.
pub fn process_1_stays_in_the_foreground() {
    ours_only("keepalived's container ends");
    let single = Single::new(&instance(
        "VI_1",
        51,
        100,
        &[VIP],
        "version 3\n    advert_int 0.2",
    ));
    let program = Which::Tested.path().display().to_string();
    let mut daemon = Start::bare(&single.host, PathBuf::from("unshare"))
        .only_args(&[
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            &program,
            "-l",
            "-D",
            "-G",
        ])
        .spawn();
    single.host.wait_address("eth0", VIP, true, secs(8.0));
    daemon.expect("Process 1 stays in the foreground", secs(3.0));
    assert!(daemon.running());
}
