//! The command line of the built program: texts, streams and exit status.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keepalived-rs"))
        .arg0("keepalived")
        .args(arguments)
        .output()
        .expect("the program")
}

fn told(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn what_monitoring_asks() {
    assert_eq!(
        told(&run(&["--signum=JSON"])),
        ("36\n".into(), String::new(), Some(0))
    );
    let (stdout, stderr, status) = told(&run(&["-v"]));
    assert_eq!((stdout.as_str(), status), ("", Some(0)));
    // keepalived_exporter: the second word of the first line on stderr.
    let word = stderr.lines().next().and_then(|l| l.split(' ').nth(1));
    assert_eq!(word, Some("v2.4.3"));
    assert!(stderr.lines().any(|l| l.starts_with("Running on Linux ")));
}

#[test]
fn mistakes_end_with_status_1() {
    assert_eq!(
        told(&run(&["-Z"])),
        (String::new(), "Unknown option -Z\n".into(), Some(1))
    );
    assert_eq!(
        told(&run(&["-f"])),
        (String::new(), "Missing parameter for option -f\n".into(), Some(1))
    );
}

#[test]
fn keepalived_says_the_same() {
    if !std::path::Path::new("/usr/sbin/keepalived").exists() {
        println!("skipped: /usr/sbin/keepalived is not installed");
        return;
    }
    for arguments in [
        &["-Z"] as &[&str],
        &["-f"],
        &["--bogus"],
        &["--log"],
        &["--use-file="],
        &["-lDZ", "-u"],
        &["a", "-Z", "b"],
        &["--signum=DATA"],
        &["--signum=STATS_CLEAR"],
        &["--sig=JSON"],
        &["--signum=NO"],
        &["-S", "99", "--signum=STOP"],
    ] {
        let theirs = Command::new("/usr/sbin/keepalived")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(told(&run(arguments)), told(&theirs), "{arguments:?}");
    }
}
