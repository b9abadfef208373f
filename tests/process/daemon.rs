//! The built daemon from start to stop, without any instance: it touches no network.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

struct Place(tempfile::TempDir);

impl Place {
    fn new(config: &str) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.path("k.conf"), config).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The daemon's command line with all its files here, ended by force after a while.
    fn daemon(&self, program: &str, options: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--foreground", "60", program]).args(options);
        command.arg("-f").arg(self.path("k.conf"));
        for (option, name) in [("-p", "p.pid"), ("-r", "v.pid"), ("-c", "c.pid"), ("-b", "b.pid")] {
            command.arg(option).arg(self.path(name));
        }
        command
    }

    fn ours(&self, options: &[&str]) -> Command {
        self.daemon(env!("CARGO_BIN_EXE_keepalived-rs"), options)
    }

    fn pid(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.path("p.pid")).ok()?;
        Some(text.trim().to_owned()).filter(|t| !t.is_empty())
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(pid: &str, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.parse().unwrap()), signal).unwrap();
}

/// What it said, without the time.
fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .map(|line| line.get(26..).unwrap_or(line).to_owned())
        .collect()
}

fn position(lines: &[String], start: &str) -> usize {
    let found = lines.iter().position(|line| line.starts_with(start));
    found.unwrap_or_else(|| panic!("no line {start:?} in {lines:#?}"))
}

const EMPTY: &str = "global_defs {\n  router_id x\n}\n";

#[test]
fn into_the_background_and_out_of_it() {
    let place = Place::new(EMPTY);
    let started = place.ours(&["-D", "-G"]).output().unwrap();
    assert_eq!(started.status.code(), Some(0));
    // The launcher has ended: the pid file is there, and names the daemon.
    let pid = place.pid().expect("a pid file");
    let proc = PathBuf::from(format!("/proc/{pid}"));
    assert_eq!(
        std::fs::read_to_string(proc.join("comm")).unwrap(),
        "keepalived\n"
    );
    let command_line = std::fs::read(proc.join("cmdline")).unwrap();
    assert!(command_line.starts_with(b"keepalived\0-D\0-G\0-f\0"));
    assert!(std::fs::read_link(proc.join("fd/2")).unwrap() == Path::new("/dev/null"));

    let second = place.ours(&["-n", "-l", "-G"]).output().unwrap();
    assert_eq!(second.status.code(), Some(0));
    let said = lines(&second);
    assert_eq!(
        said.first().map(String::as_str),
        Some("Starting Keepalived v2.4.3 (07/20,2026)")
    );
    assert_eq!(said.last().map(String::as_str), Some("daemon is already running"));
    if Path::new("/usr/sbin/keepalived").exists() {
        let real = place
            .daemon("/usr/sbin/keepalived", &["-n", "-l", "-G"])
            .output()
            .unwrap();
        assert_eq!(
            lines(&real).last().map(String::as_str),
            Some("daemon is already running")
        );
    }
    assert_eq!(
        place.pid().as_deref(),
        Some(pid.as_str()),
        "its file is untouched"
    );

    signal(&pid, nix::sys::signal::Signal::SIGTERM);
    until("it ends", || !proc.exists());
    assert!(!place.path("p.pid").exists());
}

#[test]
fn lines_of_a_whole_life() {
    let place = Place::new("");
    let script = place.path("script");
    let told = place.path("told");
    std::fs::write(
        &script,
        format!("#!/bin/sh\necho $1 >> {}\n[ $1 = up ]\n", told.display()),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = format!(
        "global_defs {{\n  script_user {}\n  startup_script \"{1} up\"\n  shutdown_script \"{1} down\"\n}}\n",
        nix::unistd::User::from_uid(nix::unistd::geteuid())
            .unwrap()
            .unwrap()
            .name,
        script.display()
    );
    std::fs::write(place.path("k.conf"), config).unwrap();
    let mut command = place.ours(&["-n", "-l", "-D", "-G"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    until("startup_script has run", || {
        told.exists() && place.pid().is_some()
    });
    let pid = place.pid().unwrap();
    // Set-up may still go on: a reload is not lost, and does not end it.
    signal(&pid, nix::sys::signal::Signal::SIGHUP);
    let ready = Instant::now() + Duration::from_secs(1);
    until("it lives on", || Instant::now() > ready);
    signal(&pid, nix::sys::signal::Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = lines(&output);
    let order = [
        "Starting Keepalived v2.4.3 (07/20,2026)",
        "keepalived-rs ",
        "Running on Linux ",
        "Command line: 'keepalived' '-n' '-l' '-D' '-G' '-f' ",
        "Opening file '",
        "Configuration file ",
        "NOTICE: setting config option max_auto_priority should",
        "Running startup script ",
        "startup script script succeeded",
        "Startup complete",
        "Stopping",
        "Running shutdown script ",
        "shutdown script script failed, status 1",
        "Stopped - used (self/children) ",
        "CPU usage (self/children) user: ",
        "Stopped Keepalived v2.4.3 (07/20,2026)",
    ];
    let places: Vec<usize> = order.iter().map(|start| position(&said, start)).collect();
    assert!(places.is_sorted(), "{said:#?}");
    assert_eq!(std::fs::read_to_string(told).unwrap(), "up\ndown\n");
}

#[test]
fn exits_are_keepalived_s() {
    let place = Place::new(EMPTY);
    let missing = place.path("missing.conf");
    let run = |options: &[&str], name: Option<&Path>| {
        let mut command = place.ours(options);
        if let Some(name) = name {
            command.arg("-f").arg(name);
        }
        let output = command.output().unwrap();
        (output.status.code(), lines(&output))
    };
    assert_eq!(run(&["-n", "-l", "-G"], Some(&missing)).0, Some(6));
    let (status, said) = run(&["-n", "-l", "-G", "-s", "no-such-namespace-here"], None);
    assert_eq!(status, Some(1));
    position(
        &said,
        "Unable to set network namespace no-such-namespace-here - exiting",
    );
    let (status, said) = run(&["-n", "-l", "-G", "-Z"], None);
    assert_eq!((status, said[0].as_str()), (Some(1), "Unknown option -Z"));
    assert!(!place.path("p.pid").exists());
}

#[test]
fn options_without_effect_say_so() {
    let place = Place::new(EMPTY);
    let mut command = place.ours(&["-n", "-l", "-G", "--perf", "--debug"]);
    // Its configuration is missing: it says all this and ends.
    let output = command.arg("-f").arg("/nowhere").output().unwrap();
    let said = lines(&output);
    for option in ["--perf", "--debug"] {
        position(&said, &format!("option {option} has no effect: "));
    }
}
