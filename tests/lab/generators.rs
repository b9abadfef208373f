//! Programs that write configurations and start the daemon: neutron, octavia, kolla-ansible, and Ansible's
//! `validate`, with the command lines that they use.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::daemon::{Start, needs_keepalived, ours_only};
use crate::common::{Host, Lab, PYTHON, PYTHON_PACKAGES, Which, python_package, secs, tool, wait_until};
use crate::pair::{Single, instance};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/generators");
const VIP: &str = "192.0.2.100/24";

/// `-t` on what each writes: status and lines are keepalived's, also with the scripts that are named not there.
pub fn the_test_of_files_says_what_keepalived_s_does() {
    needs_keepalived();
    let lab = Lab::new();
    let host = lab.host("one");
    for name in ["eth0", "eth1", "ha-2f3bcf0c-5a", "qg-8a1f0b3e-9d"] {
        lab.cable(&host, name, &[]);
    }
    for n in 1..=25 {
        host.ip(&format!("link add qr-{n:08x}-1a type veth peer name far{n}"));
    }
    let files = configurations(Path::new(FILES));
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        // Without a namespace of that name neither looks further.
        let text = fs::read_to_string(&file).expect("the file");
        let place = host.write(
            "generated.conf",
            &text.replace("net_namespace amphora-haproxy", ""),
        );
        let place = Path::new("/etc/keepalived").join(place.file_name().expect("a name"));
        for path in [&file, &place] {
            let said = |which| {
                let arguments = ["-t", "-f", &path.display().to_string()];
                Start::new(&host, which).only_args(&arguments).output()
            };
            let (ours, theirs) = (said(Which::Tested), said(Which::Keepalived));
            assert_eq!(ours, theirs, "{}", file.display());
            assert!(matches!(ours.0, Some(0 | 5)), "{ours:?}");
        }
    }
}

/// The installed packages, at work: neutron's writer, octavia's drivers and the template of kolla-ansible write the files
/// that are tested here, to the byte.
pub fn what_they_write_is_what_is_tested() {
    for name in [
        "neutron",
        "neutron-lib",
        "octavia",
        "octavia-lib",
        "kolla-ansible",
    ] {
        python_package(name);
    }
    let lab = Lab::new();
    let folder = lab.host("one").dir.join("written");
    fs::create_dir(&folder).expect("own folder");
    let script = format!("{FILES}/render.py");
    let into = folder.display().to_string();
    tool(PYTHON, &[&script, "--into", &into, PYTHON_PACKAGES]);
    let (written, tested) = (configurations(&folder), configurations(Path::new(FILES)));
    assert_eq!(written.len(), tested.len());
    for (written, tested) in written.iter().zip(&tested) {
        assert_eq!(written.file_name(), tested.file_name());
        let text = |path| fs::read_to_string(path).expect("the file");
        assert_eq!(text(written), text(tested), "{}", tested.display());
    }
}

fn configurations(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder")
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    files
}

/// Ansible puts the new file beside no other, under a name without an extension, and takes any status but 0 for a
/// refusal: both command lines that are in use.
pub fn ansible_validates() {
    needs_keepalived();
    let single = Single::new("");
    let folder = single
        .host
        .tmp()
        .join(".ansible/tmp/ansible-tmp-1764041000.1-77-1234");
    fs::create_dir_all(&folder).expect("own folder");
    let file = folder.join("source");
    let path = file.display().to_string();
    let good = instance("VI_1", 51, 100, &[VIP], "");
    let wrong = good.replace("priority", "priorty");
    let cut_off = good.trim_end().trim_end_matches('}').to_owned();
    let elsewhere = good.replace("eth0", "eth7");
    for (text, accepted) in [
        (&good, true),
        (&wrong, false),
        (&cut_off, false),
        (&elsewhere, false),
    ] {
        fs::write(&file, text).expect("own file");
        for arguments in [
            &["-t", "-f", &path][..],
            &[
                &format!("--use-file={path}"),
                "--check",
                "--all-config",
                "--config-test",
            ],
        ] {
            let run = |which| Start::new(&single.host, which).only_args(arguments).output();
            let (ours, theirs) = (run(Which::Tested), run(Which::Keepalived));
            assert_eq!(
                ours.0, theirs.0,
                "{arguments:?}: {ours:?}, keepalived {theirs:?}\n{text}"
            );
            assert_eq!(ours.0 == Some(0), accepted, "{ours:?}\n{text}");
            let lines = |text: &str| {
                text.lines()
                    .filter(|line| line.starts_with("(/"))
                    .map(str::to_owned)
                    .collect()
            };
            let (ours, theirs): (Vec<_>, Vec<_>) = (lines(&ours.1), lines(&theirs.1));
            assert_eq!(ours, theirs, "{arguments:?}");
        }
    }
}

/// What a program was started as, as psutil tells it; nothing when it is not there.
fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn read_pid(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Kills what a failed test would leave behind.
struct Killed(Option<i32>);

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// neutron's L3 agent: into the background, both pid files, SIGHUP for a new file, SIGTERM and at most five seconds. It
/// takes a process for its own when the router's id is in the command line.
pub fn neutron_starts_and_stops() {
    ours_only("neutron has its own tests for it");
    let router = "4a4ca0d9-5c63-4a0c-9b0b-0a7b8c1d2e3f";
    let single = Single::new("");
    let folder = single.host.tmp().join(router);
    fs::create_dir(&folder).expect("own folder");
    let place = |name: &str| folder.join(name);
    let (config, pid_file) = (
        place("keepalived.conf"),
        single.host.tmp().join(format!("{router}.pid.keepalived")),
    );
    let vrrp_file = PathBuf::from(format!("{}-vrrp", pid_file.display()));
    let text = fs::read_to_string(format!("{FILES}/neutron-ha-router.conf")).expect("the file");
    let text = text
        .replace("ha-2f3bcf0c-5a", "eth0")
        .replace("qg-8a1f0b3e-9d", "eth0")
        .replace("advert_int 2", "advert_int 1");
    // Only the first of its networks.
    let text: String = text
        .lines()
        .filter(|line| !line.contains("dev qr-"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&config, &text).expect("own file");
    let path = |path: &Path| path.display().to_string();
    let arguments = [
        "-P",
        "-f",
        &path(&config),
        "-p",
        &path(&pid_file),
        "-r",
        &path(&vrrp_file),
        "-D",
    ];
    let active = |file: &Path| read_pid(file).is_some_and(|pid| command_line(pid).contains(router));

    for round in 0..2 {
        let (status, said) = Start::new(&single.host, Which::Tested)
            .only_args(&arguments)
            .output();
        assert_eq!(status, Some(0), "{said}");
        let pid = read_pid(&pid_file);
        let _killed = Killed(pid);
        assert!(
            active(&pid_file) && active(&vrrp_file),
            "both at once, round {round}"
        );
        let pid = pid.expect("a number");
        single
            .host
            .wait_address("eth0", "192.0.2.17/24", true, secs(15.0));
        single
            .host
            .wait_address("eth0", "169.254.0.51/24", true, secs(3.0));
        wait_until("the route", secs(3.0), || {
            let routes = single.host.ip("route show default");
            routes.contains("via 192.0.2.1").then_some(())
        });

        // A floating IP more; the agent sends SIGHUP to the process of the first file.
        fs::write(
            &config,
            text.replace(
                "192.0.2.17/24 dev",
                "192.0.2.18/32 dev eth0\n        192.0.2.17/24 dev",
            ),
        )
        .expect("own file");
        kill(Pid::from_raw(pid), Signal::SIGHUP).expect("it runs");
        single.host.wait_address("eth0", "192.0.2.18/32", true, secs(5.0));

        if round == 0 {
            kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
            wait_until("its end", secs(5.0), || {
                (!active(&pid_file) && !active(&vrrp_file)).then_some(())
            });
            assert!(
                single
                    .host
                    .addresses("eth0")
                    .iter()
                    .all(|address| !address.starts_with("169.254."))
            );
            assert!(!pid_file.exists() && !vrrp_file.exists());
        } else {
            // It is killed, and the agent starts it again, with the old files there.
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
            wait_until("its end", secs(5.0), || (!active(&pid_file)).then_some(()));
            let (status, said) = Start::new(&single.host, Which::Tested)
                .only_args(&arguments)
                .output();
            assert_eq!(status, Some(0), "{said}");
            let again = read_pid(&pid_file);
            let _killed = Killed(again);
            assert!(
                again != Some(pid) && active(&pid_file) && active(&vrrp_file),
                "{again:?} {pid} {} {}",
                active(&pid_file),
                active(&vrrp_file)
            );
            kill(Pid::from_raw(again.expect("a number")), Signal::SIGTERM).expect("it runs");
            wait_until("its end", secs(5.0), || (!active(&pid_file)).then_some(()));
        }
        fs::write(&config, &text).expect("own file");
    }
}

/// octavia's unit: into the background with three pid files, of which it looks at the age of that of the checkers.
/// kolla-ansible's image: in the foreground with `-nld`.
pub fn octavia_and_kolla_start() {
    ours_only("there is no IPVS here, without which keepalived ends");
    let single = Single::new("");
    let host: &Host = &single.host;
    let text = fs::read_to_string(format!("{FILES}/octavia-lvs-tcp-check.conf")).expect("the file");
    host.write(
        "keepalived.conf",
        &text.replace("net_namespace amphora-haproxy", ""),
    );
    let paths = ["keepalived.pid", "vrrp.pid", "check.pid"].map(|name| host.tmp().join(name));
    let [pid, vrrp, check] = paths.each_ref().map(|path| path.display().to_string());
    let config = "/etc/keepalived/keepalived.conf";
    let arguments = [
        "--log-facility=1",
        "-f",
        config,
        "-p",
        &pid,
        "-r",
        &vrrp,
        "-c",
        &check,
    ];
    let (status, said) = Start::new(host, Which::Tested).only_args(&arguments).output();
    assert_eq!(status, Some(0), "{said}");
    let daemon = read_pid(&paths[0]);
    let _killed = Killed(daemon);
    let written = fs::metadata(&paths[2]).and_then(|file| file.modified());
    assert!(written.is_ok(), "it looks at its age");
    assert_eq!(read_pid(&paths[2]), daemon);
    assert!(!paths[1].exists(), "no VRRP without an instance");
    let daemon = daemon.expect("a number");
    kill(Pid::from_raw(daemon), Signal::SIGTERM).expect("it runs");
    wait_until("its end", secs(6.0), || {
        command_line(daemon).is_empty().then_some(())
    });
    assert!(!paths[0].exists() && !paths[2].exists());

    let text = fs::read_to_string(format!("{FILES}/kolla.conf")).expect("the file");
    host.write("keepalived.conf", &text.replace("192.0.2.10 ", "192.0.2.100 "));
    let mut daemon = Start::new(host, Which::Tested)
        .only_args(&["-nld", "-p", "/run/keepalived.pid"])
        .spawn();
    daemon.expect("(kolla_internal_vip_51) Entering MASTER STATE", secs(10.0));
    daemon.logged(" VRRP Instance = kolla_internal_vip_51");
    host.wait_address("eth0", "192.0.2.100/32", true, secs(3.0));
    assert_eq!(
        read_pid(&host.run_file("keepalived.pid")),
        Some(daemon.pid().as_raw())
    );
    assert_eq!(daemon.stop(), Some(0));
}
