//! Each refuses to start beside the other: we and the keepalived of the distribution.

use keepalived_rs::process::pidfile::{PidFile, PidFileError, is_running};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KEEPALIVED: &str = "/usr/sbin/keepalived";
const LIMIT: Duration = Duration::from_secs(30);

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(0)),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.0.wait();
    }
}

fn keepalived(directory: &Path) -> Command {
    let config = directory.join("keepalived.conf");
    std::fs::write(&config, "global_defs {\n  router_id x\n}\n").unwrap();
    let file = |name: &str| -> PathBuf { directory.join(name) };
    let mut command = Command::new(KEEPALIVED);
    command.args(["-n", "-l", "-G", "-f"]).arg(config);
    for (option, name) in [("-p", "p.pid"), ("-r", "v.pid"), ("-c", "c.pid"), ("-b", "b.pid")] {
        command.arg(option).arg(file(name));
    }
    command.stdin(Stdio::null());
    command
}

fn there() -> bool {
    let there = Path::new(KEEPALIVED).exists();
    if !there {
        println!("skipped: {KEEPALIVED} is not installed");
    }
    there
}

#[test]
fn we_do_not_start_beside_keepalived() {
    if !there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.pid");
    let daemon = Daemon(
        keepalived(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let end = Instant::now() + LIMIT;
    while !is_running(&path) {
        assert!(Instant::now() < end, "keepalived does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(matches!(PidFile::take(&path), Err(PidFileError::Running)));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim(), daemon.0.id().to_string(), "its file is untouched");
    drop(daemon);
    assert!(!is_running(&path));
}

#[test]
fn keepalived_does_not_start_beside_us() {
    if !there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let _ours = PidFile::take(&directory.path().join("p.pid")).unwrap();
    let output = Command::new("timeout")
        .arg("20")
        .arg(KEEPALIVED)
        .args(keepalived(directory.path()).get_args())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("daemon is already running"), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_open_file_description_lock_is_enough() {
    // keepalived 2.4 under another name, say: the pid tells nothing, the lock does.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.pid");
    let file = std::fs::File::create(&path).unwrap();
    let lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    assert!(is_running(&path));
    assert!(matches!(PidFile::take(&path), Err(PidFileError::Running)));
    drop(file);
    assert!(!is_running(&path));
}
