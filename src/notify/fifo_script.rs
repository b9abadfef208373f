//! The script that reads a notify FIFO: started once, again when it fails, ended with the FIFO.

use crate::model::Command;
use crate::process::spawner::{Ended, Outcome, Run, Spawner};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::info;

/// A script that failed is started again after this; the pause doubles with each failure.
const SOON: Duration = Duration::from_secs(1);

/// Longest pause; a script that ran longer than this starts with a short one again.
const LATE: Duration = Duration::from_secs(60);

/// Which of the FIFOs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// `notify_fifo`.
    Global,
    /// `vrrp_notify_fifo`.
    Vrrp,
    /// `lvs_notify_fifo`.
    Lvs,
}

impl Who {
    /// Before `notify_fifo` in the keyword.
    pub fn prefix(self) -> &'static str {
        match self {
            Who::Global => "",
            Who::Vrrp => "vrrp_",
            Who::Lvs => "lvs_",
        }
    }
}

/// A script that runs, or waits to be started again.
pub struct Reader {
    /// Carries how long it may go on; it sees the end of the file meanwhile.
    stop: oneshot::Sender<Duration>,
    task: JoinHandle<()>,
}

impl Reader {
    /// Starts it; the path is its last argument.
    pub fn start(spawner: Spawner, script: &Command, path: &str, groups: Vec<u32>, who: Who) -> Reader {
        let (stop, stopped) = oneshot::channel();
        let run = Run {
            die_with_us: true,
            ..Run::command(script, &[path], groups)
        };
        let task = match script.disabled {
            true => tokio::spawn(async {}),
            false => tokio::spawn(supervise(spawner, run, who, stopped)),
        };
        Reader { stop, task }
    }

    /// It has not ended for good.
    pub fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }

    /// Waits for its end; after `grace` it gets SIGTERM, 2 s later SIGKILL.
    pub async fn stop(self, grace: Duration) {
        let _ = self.stop.send(grace);
        let _ = self.task.await;
    }
}

async fn supervise(spawner: Spawner, run: Run, who: Who, mut stopped: oneshot::Receiver<Duration>) {
    let mut pause = SOON;
    loop {
        let begun = Instant::now();
        let mut running = spawner.run(run.clone());
        let outcome = tokio::select! {
            outcome = running.wait() => outcome,
            grace = &mut stopped => {
                let grace = grace.unwrap_or_default();
                if tokio::time::timeout(grace, running.wait()).await.is_err() {
                    running.kill();
                    running.wait().await;
                }
                return;
            }
        };
        say(who, &outcome);
        if outcome.ended == Ended::Exited(0) {
            // It may have put itself into the background.
            return;
        }
        if begun.elapsed() > LATE {
            pause = SOON;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = &mut stopped => return,
        }
        pause = (pause * 2).min(LATE);
    }
}

fn say(who: Who, outcome: &Outcome) {
    let stderr = match outcome.stderr.as_str() {
        "" => String::new(),
        said => format!(": {said}"),
    };
    // The line of keepalived, then what it does not say.
    match who {
        Who::Lvs => {
            info!(target: "checkers", "lvs notify fifo script terminated");
            info!(target: "checkers", "lvs_notify_fifo_script {}{stderr}", outcome.ended);
        }
        Who::Global | Who::Vrrp => {
            info!(target: "vrrp", "vrrp notify fifo script terminated");
            info!(target: "vrrp", "{}notify_fifo_script {}{stderr}", who.prefix(), outcome.ended);
        }
    }
}
