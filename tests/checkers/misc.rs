use crate::support::*;
use keepalived_rs::checkers::{Job, Means};
use keepalived_rs::model::lvs::CheckerKind;
use keepalived_rs::model::script::{Command, Identity};
use keepalived_rs::process::spawner::{Spawner, launch_program};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_keepalived-rs");

/// A job that runs this as a shell command; `$0` in the lines is `script`.
fn script(text: &str, timeout: Duration, dynamic: bool) -> Job {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let launched = launch_program(PROGRAM).expect("the spawner");
    let checker = checker(CheckerKind::Misc {
        command: Command {
            argv: ["/bin/sh", "-c", text].map(String::from).to_vec(),
            identity: Identity { uid, gid },
            ..Command::default()
        },
        timeout,
        dynamic,
    });
    Job {
        means: Arc::new(Means {
            spawner: Some(Spawner::attach_program(launched, PROGRAM.into()).expect("a link")),
            ..Means::default()
        }),
        ..job(checker)
    }
}

const LONG: Duration = Duration::from_secs(30);

/// A script that exits with what the file says.
fn follows(file: &Path) -> String {
    format!("exit $(cat {})", file.display())
}

/// As an editor does it: the script never sees half of it.
fn write(file: &Path, status: u8) {
    let new = file.with_extension("new");
    std::fs::write(&new, status.to_string()).expect("the file");
    std::fs::rename(new, file).expect("the file");
}

const LINE: &str = "Misc check for [[10.2.0.11]:tcp:80 VS [10.1.0.50]:tcp:80] by [/bin/sh] ";

#[test]
fn the_exit_status_decides() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("status");
    write(&file, 0);
    let make = |()| {
        let mut job = script(&follows(&file), LONG, false);
        (job.log_all_failures, job.weight) = (true, 10);
        let checker = Arc::make_mut(&mut job.checker);
        checker.retry = 2;
        job
    };
    with(make, |mut watch| {
        let file = file.clone();
        async move {
            assert_eq!(watch.verdict().await, "up");
            write(&file, 3);
            assert_eq!(watch.verdict().await, "down: the script exited with status 3");
            write(&file, 0);
            assert_eq!(watch.verdict().await, "up");
            assert_eq!(
                watch.lines.all(),
                [
                    format!("{LINE}succeeded."),
                    format!("{LINE}failed, will do 2 retries (exited with status 3)."),
                    format!("{LINE}failed on retry 1/2 (exited with status 3)."),
                    format!("{LINE}failed after 2 retries (exited with status 3)."),
                    format!("{LINE}succeeded."),
                ]
            );
            let standing = watch.standing.lock().expect("no panic").clone();
            assert_eq!(standing.last_status, 0);
            assert!(standing.last_ran.is_some());
        }
    });
}

#[test]
fn without_retry() {
    let make = |()| {
        let mut job = script("kill -9 $$", LONG, false);
        Arc::make_mut(&mut job.checker).retry = 0;
        job
    };
    with(make, |mut watch| async move {
        assert_eq!(watch.verdict().await, "down: the script was killed by signal 9");
        assert_eq!(
            watch.lines.all(),
            [format!("{LINE}failed with retry disabled (due to signal 9).")]
        );
    });
}

#[test]
fn the_status_sets_the_weight() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("status");
    write(&file, 52);
    with(
        |()| script(&follows(&file), LONG, true),
        |mut watch| {
            let file = file.clone();
            async move {
                // The configured weight is 10: 10 + 40 = 52 - 2.
                assert_eq!(watch.verdict().await, "weight 40");
                write(&file, 2);
                assert_eq!(watch.verdict().await, "weight -10");
                write(&file, 0);
                assert_eq!(watch.verdict().await, "up");
                write(&file, 1);
                assert!(watch.verdict().await.starts_with("down: "));
                write(&file, 255);
                assert_eq!(watch.verdict().await, "weight 243");
                assert_eq!(
                    watch.lines.all(),
                    [
                        format!("{LINE}succeeded."),
                        format!("{LINE}failed after 1 retry (exited with status 1)."),
                        format!("{LINE}succeeded."),
                    ]
                );
            }
        },
    );
}

#[test]
fn a_script_that_hangs_is_a_failure() {
    let make = |()| {
        let mut job = script("exec sleep 600", Duration::from_millis(100), false);
        Arc::make_mut(&mut job.checker).retry = 0;
        job
    };
    with(make, |mut watch| async move {
        assert_eq!(watch.verdict().await, "down: the script ran for more than 0.1 s");
        assert_eq!(
            watch.lines.all(),
            [format!("{LINE}timed out with retry disabled.")]
        );
    });
}

#[test]
fn a_script_does_not_outlive_its_checker() {
    let directory = tempfile::tempdir().expect("a directory");
    let (started, ended) = (directory.path().join("started"), directory.path().join("ended"));
    let text = format!(
        "trap 'echo > {}; exit 0' TERM; echo > {}; while :; do sleep 0.05; done",
        ended.display(),
        started.display()
    );
    let mut spawner = None;
    with(
        |()| {
            let job = script(&text, LONG, false);
            // The spawner stays when the checker goes.
            spawner = job.means.spawner.clone();
            job
        },
        |watch| async move {
            let watch = watch;
            for (file, then) in [(&started, true), (&ended, false)] {
                while !file.exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                if then {
                    watch.handle.abort();
                }
            }
        },
    );
}
