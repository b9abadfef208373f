//! Tracked scripts and notify scripts, run for real.

use super::spawner::with_spawner;
use keepalived_rs::model::script::NotifyScripts;
use keepalived_rs::model::{Command, Identity, TrackScript};
use keepalived_rs::notify::script::Notifier;
use keepalived_rs::process::privileges::ScriptGroups;
use keepalived_rs::state::VrrpState;
use keepalived_rs::state::notify::{Notification, NotifyKind, Subject};
use keepalived_rs::state::track::{ScriptResult, TrackSource, Verdict};
use keepalived_rs::track::script::{ScriptTracker, Verdicts};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

fn command(script: &str) -> Command {
    Command {
        argv: ["/bin/sh", "-c", script, "script"].map(String::from).to_vec(),
        identity: Identity {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        },
        ..Command::default()
    }
}

fn track(name: &str, script: &str) -> TrackScript {
    TrackScript {
        name: name.into(),
        command: command(script),
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(20),
        weight: 0,
        reverse: false,
        rise: 1,
        fall: 1,
        init_fail: false,
    }
}

fn verdicts() -> (Verdicts, UnboundedReceiver<(String, Verdict)>) {
    let (sender, receiver) = unbounded_channel();
    let verdicts: Verdicts = Arc::new(move |source, verdict| {
        if let TrackSource::Script(name) = source {
            let _ = sender.send((name.to_string(), verdict));
        }
    });
    (verdicts, receiver)
}

#[test]
fn a_tracked_script_goes_down_and_up() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fail");
    with_spawner(|spawner, _| async move {
        let (report, mut seen) = verdicts();
        let mut tracker = ScriptTracker::new(spawner, report);
        let script = track("chk", &format!("test ! -e {}", file.display()));
        tracker.configure(&[script], &ScriptGroups::default(), false);
        assert_eq!(seen.recv().await, Some(("chk".into(), Verdict::Up)));
        std::fs::write(&file, "").unwrap();
        assert_eq!(seen.recv().await, Some(("chk".into(), Verdict::Down)));
        let state = tracker.states().snapshot().remove(0);
        assert_eq!(
            (state.up, state.last),
            (Some(false), Some(ScriptResult::Exited(1)))
        );
        std::fs::remove_file(&file).unwrap();
        assert_eq!(seen.recv().await, Some(("chk".into(), Verdict::Up)));
    });
}

#[test]
fn a_script_past_its_timeout_is_down() {
    with_spawner(|spawner, _| async move {
        let (report, mut seen) = verdicts();
        let mut tracker = ScriptTracker::new(spawner, report);
        let slow = TrackScript {
            timeout: Duration::from_millis(200),
            ..track("slow", "exec sleep 600")
        };
        // The other one is not kept waiting.
        tracker.configure(&[slow, track("fast", "exit 0")], &ScriptGroups::default(), false);
        assert_eq!(seen.recv().await, Some(("fast".into(), Verdict::Up)));
        assert_eq!(seen.recv().await, Some(("slow".into(), Verdict::Down)));
        assert_eq!(tracker.states().snapshot()[0].last, Some(ScriptResult::TimedOut));
    });
}

#[test]
fn a_reload_keeps_what_it_can() {
    with_spawner(|spawner, _| async move {
        let (report, mut seen) = verdicts();
        let mut tracker = ScriptTracker::new(spawner, report);
        let groups = ScriptGroups::default();
        let failing = TrackScript {
            init_fail: true,
            ..track("chk", "exit 4")
        };
        tracker.configure(std::slice::from_ref(&failing), &groups, false);
        // Before any result, and the first result.
        assert_eq!(seen.recv().await, Some(("chk".into(), Verdict::Down)));
        assert_eq!(seen.recv().await, Some(("chk".into(), Verdict::Down)));
        // Kept: no new verdict. New: up until told otherwise.
        let other = TrackScript {
            interval: Duration::from_secs(3600),
            ..track("new", "exit 0")
        };
        tracker.configure(&[failing.clone(), other], &groups, true);
        assert_eq!(seen.recv().await, Some(("new".into(), Verdict::Up)));
        assert_eq!(seen.recv().await, Some(("new".into(), Verdict::Up)));
        // Another command under the same name is another script.
        tracker.configure(&[track("chk", "exit 0")], &groups, true);
        assert_eq!(seen.recv().await, Some(("chk".into(), Verdict::Up)));
        assert_eq!(tracker.states().snapshot().len(), 1);
        tracker.stop();
    });
}

struct Told(std::path::PathBuf);

impl Told {
    fn script(&self, script: &str) -> Option<Command> {
        Some(command(&script.replace("LOG", &self.0.display().to_string())))
    }

    async fn lines(&self, count: usize) -> Vec<String> {
        loop {
            let text = std::fs::read_to_string(&self.0).unwrap_or_default();
            if text.lines().count() >= count {
                return text.lines().map(String::from).collect();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn notification(name: &str, scripts: &Arc<NotifyScripts>, state: VrrpState) -> Notification {
    Notification {
        subject: if name.starts_with("VG") {
            Subject::Group(name.into())
        } else {
            Subject::Instance(name.into())
        },
        kind: NotifyKind::State(state),
        priority: 100,
        scripts: scripts.clone(),
        smtp_alert: false,
    }
}

#[test]
fn arguments_are_keepalived_s() {
    let directory = tempfile::tempdir().unwrap();
    let told = Told(directory.path().join("log"));
    with_spawner(|spawner, _| async move {
        let scripts = Arc::new(NotifyScripts {
            master: told.script("echo \"own $*\" >> LOG"),
            generic: told.script("sleep 0.2; echo \"$*\" >> LOG"),
            ..NotifyScripts::default()
        });
        let mut notifier = Notifier::new(spawner);
        notifier.notify(&notification("VI_1", &scripts, VrrpState::Master));
        assert_eq!(told.lines(2).await, ["own ", "INSTANCE VI_1 MASTER 100"]);
        notifier.notify(&notification("VG_1", &scripts, VrrpState::Fault));
        assert_eq!(told.lines(3).await[2], "GROUP VG_1 FAULT 0");
    });
}

#[test]
fn states_are_told_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let told = Told(directory.path().join("log"));
    with_spawner(|spawner, _| async move {
        // The earlier, the slower.
        let scripts = Arc::new(NotifyScripts {
            generic: told.script("case $3 in MASTER) sleep 0.3;; BACKUP) sleep 0.1;; esac; echo $3 >> LOG"),
            ..NotifyScripts::default()
        });
        let mut notifier = Notifier::new(spawner);
        for state in [
            VrrpState::Master,
            VrrpState::Backup,
            VrrpState::Fault,
            VrrpState::Backup,
        ] {
            notifier.notify(&notification("VI_1", &scripts, state));
        }
        assert_eq!(told.lines(4).await, ["MASTER", "BACKUP", "FAULT", "BACKUP"]);
    });
}

#[test]
fn a_hanging_script_delays_the_next_one_and_no_other_instance() {
    let directory = tempfile::tempdir().unwrap();
    let told = Told(directory.path().join("log"));
    with_spawner(|spawner, _| async move {
        let scripts = Arc::new(NotifyScripts {
            master: told.script("echo $$ >> LOG.pid; exec sleep 600"),
            backup: told.script("echo backup >> LOG"),
            fault: told.script("echo other >> LOG"),
            ..NotifyScripts::default()
        });
        let mut notifier = Notifier::new(spawner);
        let began = Instant::now();
        notifier.notify(&notification("VI_1", &scripts, VrrpState::Master));
        notifier.notify(&notification("VI_1", &scripts, VrrpState::Backup));
        notifier.notify(&notification("VI_2", &scripts, VrrpState::Fault));
        assert_eq!(told.lines(2).await, ["other", "backup"]);
        assert!(began.elapsed() >= Duration::from_secs(5), "after the grace");
        let pid = std::fs::read_to_string(told.0.with_extension("pid")).unwrap();
        assert!(
            Path::new(&format!("/proc/{}", pid.trim())).exists(),
            "nothing is killed"
        );
        end(pid.trim());
    });
}

#[test]
fn a_stop_is_told_in_time_whatever_hangs() {
    let directory = tempfile::tempdir().unwrap();
    let told = Told(directory.path().join("log"));
    with_spawner(|spawner, _| async move {
        let scripts = Arc::new(NotifyScripts {
            master: told.script("echo $$ >> LOG.pid; exec sleep 600"),
            stop: told.script("sleep 0.3; echo stop >> LOG"),
            ..NotifyScripts::default()
        });
        let mut notifier = Notifier::new(spawner);
        notifier.notify(&notification("VI_2", &scripts, VrrpState::Stop));
        notifier.finish(Duration::from_secs(30)).await;
        assert_eq!(told.lines(1).await, ["stop"], "it was waited for");
        notifier.notify(&notification("VI_1", &scripts, VrrpState::Master));
        notifier.notify(&notification("VI_1", &scripts, VrrpState::Stop));
        let began = Instant::now();
        notifier.finish(Duration::from_millis(3800)).await;
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(told.lines(2).await, ["stop", "stop"]);
        end(std::fs::read_to_string(told.0.with_extension("pid"))
            .unwrap()
            .trim());
    });
}

fn end(pid: &str) {
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
}
