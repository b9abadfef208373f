//! Scripts really run, by the spawner process of the built program.

use keepalived_rs::process::spawner::{Ended, Outcome, Run, Spawner, launch_program};
use std::path::Path;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_keepalived-rs");

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

pub fn with_spawner<F: Future>(test: impl FnOnce(Spawner, u32) -> F) -> F::Output {
    let launched = launch_program(PROGRAM).expect("the spawner");
    let pid = launched.pid();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let spawner = Spawner::attach_program(launched, PROGRAM.into()).expect("a link");
        tokio::time::timeout(LIMIT, test(spawner, pid))
            .await
            .expect("an end in time")
    })
}

fn sh(script: &str) -> Run {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    Run {
        argv: ["/bin/sh", "-c", script].map(String::from).to_vec(),
        uid,
        gid,
        groups: vec![gid],
        ..Run::default()
    }
}

fn ended(outcome: &Outcome) -> (&Ended, &str) {
    (&outcome.ended, outcome.stderr.as_str())
}

#[test]
fn an_end_is_told_with_its_reason() {
    with_spawner(|spawner, _| async move {
        let outcome = spawner
            .run(sh("echo first >&2; echo last >&2; exit 3"))
            .wait()
            .await;
        assert_eq!(ended(&outcome), (&Ended::Exited(3), "last"));
        assert!(outcome.pid.is_some());
        let outcome = spawner.run(sh("kill -9 $$")).wait().await;
        assert_eq!(ended(&outcome), (&Ended::Signal(9), ""));
        let missing = Run {
            argv: vec!["/nowhere/script".into()],
            ..sh("")
        };
        let outcome = spawner.run(missing).wait().await;
        assert_eq!(
            ended(&outcome),
            (
                &Ended::Exited(127),
                "cannot execute /nowhere/script: No such file or directory"
            )
        );
        let empty = Run {
            argv: vec![],
            ..sh("")
        };
        let outcome = spawner.run(empty).wait().await;
        assert_eq!(ended(&outcome), (&Ended::NotStarted("no program".into()), ""));
        let long = Run {
            argv: vec!["/bin/true".into(), "x".repeat(1 << 20)],
            ..sh("")
        };
        assert!(matches!(
            spawner.run(long).wait().await.ended,
            Ended::NotStarted(_)
        ));
        let nul = Run {
            argv: vec!["/bin/true".into(), "a\0b".into()],
            ..sh("")
        };
        assert!(matches!(
            spawner.run(nul).wait().await.ended,
            Ended::NotStarted(_)
        ));
    });
}

#[test]
fn a_program_sees_the_name_that_it_was_called_with() {
    with_spawner(|spawner, _| async move {
        let run = Run {
            called: Some("/sbin/mine".into()),
            ..sh("echo $0 >&2; exit 1")
        };
        let outcome = spawner.run(run).wait().await;
        assert_eq!(ended(&outcome), (&Ended::Exited(1), "/sbin/mine"));
    });
}

#[test]
fn a_script_finds_a_clean_process() {
    with_spawner(|spawner, spawner_pid| async move {
        let check = r#"
            cd /proc/self/fd; for fd in *; do [ "$fd" -le 2 ] || [ ! -e "$fd" ] || echo "fd $fd" >&2; done
            set -- $(cut -d' ' -f5 /proc/$$/stat); [ "$1" = $$ ] || echo "process group $1" >&2
            set -- $(cut -d' ' -f4 /proc/$$/stat); [ "$1" = "$PARENT" ] || echo "parent $1" >&2
            grep -E 'Sig(Blk|Ign):' /proc/self/status | grep -v 0000000000000000 >&2
            exit 0"#;
        let run = Run {
            environment: vec![("PARENT".into(), spawner_pid.to_string())],
            ..sh(check)
        };
        let outcome = spawner.run(run).wait().await;
        assert_eq!(ended(&outcome), (&Ended::Exited(0), ""));
    });
}

#[test]
fn a_script_runs_as_its_user() {
    if !nix::unistd::geteuid().is_root()
        || std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|m| !m.contains("4294967295"))
    {
        println!("skipped: needs root of the machine");
        return;
    }
    with_spawner(|spawner, _| async move {
        let run = Run {
            uid: 65534,
            gid: 65533,
            groups: vec![65533, 7],
            ..sh("echo $(id -u) $(id -g) $(id -G) >&2")
        };
        let outcome = spawner.run(run).wait().await;
        assert_eq!(ended(&outcome), (&Ended::Exited(0), "65534 65533 65533 7"));
    });
}

#[test]
fn a_limit_ends_the_whole_group() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    with_spawner(|spawner, _| {
        let pids = pids.clone();
        async move {
            // Neither the shell nor what it started heeds SIGTERM.
            let script = format!(
                "trap '' TERM; sleep 600 & echo $$ $! > {0}.new; mv {0}.new {0}; while :; do wait; sleep 600; done",
                pids.display()
            );
            let mut running = spawner.run(Run {
                limit: Some(Duration::from_millis(300)),
                ..sh(&script)
            });
            let began = Instant::now();
            let outcome = running.wait().await;
            assert_eq!(outcome.ended, Ended::TimedOut);
            // SIGTERM at the limit, SIGKILL two seconds later.
            assert!(began.elapsed() >= Duration::from_millis(2300));
            for pid in std::fs::read_to_string(&pids).expect("pids").split_whitespace() {
                while alive(pid) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    });
}

#[test]
fn a_kill_asked_for_is_polite_first() {
    with_spawner(|spawner, _| async move {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ready");
        let mut running = spawner.run(sh(&format!(
            "trap 'exit 5' TERM; touch {}; while :; do sleep 0.05; done",
            file.display()
        )));
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.kill();
        assert_eq!(running.wait().await.ended, Ended::Exited(5));
    });
}

#[test]
fn a_kill_right_after_the_start_is_not_lost() {
    with_spawner(|spawner, _| async move {
        for _ in 0..300 {
            let mut running = spawner.run(sh("exec sleep 600"));
            running.kill();
            assert_eq!(running.wait().await.ended, Ended::Signal(15));
        }
    });
}

#[test]
fn what_a_script_leaves_running_is_left_alone() {
    with_spawner(|spawner, _| async move {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("alive");
        let began = Instant::now();
        let script = format!(
            "(i=0; while [ ! -e {0}.go ]; do sleep 0.05; done; echo late >&2; echo on > {0}) & exit 0",
            file.display()
        );
        let outcome = spawner.run(sh(&script)).wait().await;
        assert_eq!(outcome.ended, Ended::Exited(0));
        assert!(began.elapsed() < LIMIT / 2, "its end is not waited for");
        std::fs::write(directory.path().join("alive.go"), "").unwrap();
        // Writing to standard error does not kill it.
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn two_hundred_at_once_keep_nobody_waiting() {
    with_spawner(|spawner, _| async move {
        let mut slow: Vec<_> = (0..200).map(|_| spawner.run(sh("sleep 600"))).collect();
        // One more, while they all run, is started and reported.
        assert_eq!(spawner.run(sh("exit 9")).wait().await.ended, Ended::Exited(9));
        for running in &slow {
            running.kill();
        }
        for running in &mut slow {
            assert_eq!(running.wait().await.ended, Ended::Signal(15));
        }
    });
}

#[test]
fn a_flood_on_standard_error_is_taken_and_forgotten() {
    with_spawner(|spawner, pid| async move {
        // Its own standard error is passed on to ours, which is full of it: that stops nobody either.
        let mut flood = spawner.run(sh("i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789 >&2; i=$((i+1)); done; echo end >&2"));
        assert_eq!(spawner.run(sh("exit 1")).wait().await.ended, Ended::Exited(1));
        let outcome = flood.wait().await;
        assert_eq!(ended(&outcome), (&Ended::Exited(0), "end"));
        assert!(Path::new(&format!("/proc/{pid}")).exists());
    });
}

#[test]
fn a_spawner_that_is_killed_comes_back() {
    with_spawner(|spawner, pid| async move {
        let mut lost = spawner.run(Run {
            die_with_us: true,
            ..sh("exec sleep 600")
        });
        assert_eq!(spawner.run(sh("exit 1")).wait().await.ended, Ended::Exited(1));
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        assert!(matches!(lost.wait().await.ended, Ended::NotStarted(_)));
        assert_eq!(spawner.run(sh("exit 2")).wait().await.ended, Ended::Exited(2));
    });
}

#[test]
fn the_spawner_ends_with_the_daemon_and_hides_its_name() {
    let pid = with_spawner(|spawner, pid| async move {
        assert_eq!(spawner.run(sh("exit 0")).wait().await.ended, Ended::Exited(0));
        let name = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        assert_eq!(name, b"(keepalived-rs spawner)\0");
        assert_eq!(
            std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(),
            "vrrp-spawner\n"
        );
        pid.to_string()
    });
    let end = Instant::now() + LIMIT;
    while alive(&pid) {
        assert!(Instant::now() < end, "it stays");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs, and is not just waiting to be reaped.
fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}
