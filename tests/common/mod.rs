//! What the tests that run real daemons share: namespaces and links, daemons with their logs, what is seen
//! on the wire, and the runner that counts what passed, failed and was skipped.
//!
//! Everything a test makes carries the runner's process id in its name and goes away with the value that
//! made it, also when the test panics; what a killed runner left behind is removed by the next one.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod daemon;
pub mod forward;
pub mod monitor;
pub mod net;
pub mod observe;
pub mod packet;
pub mod ping;
pub mod runner;

use std::process::Command;
use std::time::{Duration, Instant};

pub use daemon::{Daemon, Which};
pub use net::{Host, Lab};
pub use observe::{Observer, Seen};

/// Wall-clock time in nanoseconds: the clock of the kernel's receive stamps.
pub fn now_ns() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

pub fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Looks again until `probe` yields a value; fails the test when it has not within `bound`.
#[track_caller]
pub fn wait_until<T>(what: &str, bound: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + bound;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {bound:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a tool to its end and returns what it printed; a status other than 0 fails the test.
#[track_caller]
pub fn tool(program: &str, args: &[&str]) -> String {
    match try_tool(program, args) {
        Ok(text) => text,
        Err(text) => panic!("{program} {}: {text}", args.join(" ")),
    }
}

/// As [`tool`], for what may fail: the error holds what the tool printed on stderr.
pub fn try_tool(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("cannot run it: {error}"))?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(format!(
            "{}: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        ))
    }
}

/// The Python that has Debian's modules.
pub const PYTHON: &str = "/usr/bin/python3";

/// Where tests/run installs the packages of tests/python.txt, each in a folder of its name.
pub const PYTHON_PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/python");

/// The folder of a package of tests/python.txt; skips the test when it is not installed.
pub fn python_package(name: &str) -> String {
    let folder = format!("{PYTHON_PACKAGES}/{name}");
    if !std::path::Path::new(&folder).is_dir() {
        runner::skip(format!("{name} is not installed: tests/run does it"));
    }
    folder
}

/// Is this tool on the machine?
pub fn have(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|dir| std::path::Path::new(dir).join(program).is_file())
}
