//! MISC_CHECK: a script says how the server is.

use super::Desk;
use super::probe::{Attempt, Failure, Probe};
use super::schedule::Turn;
use crate::model::Command;
use crate::process::spawner::{Ended, Outcome, Run, Running};
use std::time::{Duration, SystemTime};

pub(super) struct Misc<'a> {
    command: &'a Command,
    timeout: Duration,
    dynamic: bool,
}

impl<'a> Misc<'a> {
    pub(super) fn new(command: &'a Command, timeout: Duration, dynamic: bool) -> Misc<'a> {
        Misc {
            command,
            timeout,
            dynamic,
        }
    }

    fn line(&self, desk: &Desk, what: &str, message: &str, reason: &str) -> String {
        let script = self.command.argv.first().map_or("", String::as_str);
        let (server, service) = (&desk.job.real_server, &desk.job.virtual_server);
        format!("Misc check for [{server} VS {service}] by [{script}] {what}{message}{reason}.")
    }

    fn failed(&self, desk: &Desk, failure: &Failure, message: &str) -> String {
        if failure.text == TIMED_OUT {
            self.line(desk, TIMED_OUT, message, "")
        } else {
            self.line(desk, "failed", message, &format!(" ({})", failure.text))
        }
    }

    fn judge(&self, desk: &Desk, outcome: Outcome) -> Attempt {
        match outcome.ended {
            Ended::Exited(status) => {
                desk.standing().last_status = status;
                match status {
                    0 => Attempt::Good(None),
                    2..=255 if self.dynamic => {
                        Attempt::Good(Some(i64::from(status) - 2 - i64::from(desk.job.weight)))
                    }
                    _ => {
                        let text = outcome.ended.to_string();
                        let reason = if outcome.stderr.is_empty() {
                            format!("the script {text}")
                        } else {
                            format!("the script {text}: {}", outcome.stderr)
                        };
                        Attempt::Bad(Failure::new(text, reason))
                    }
                }
            }
            Ended::Signal(signal) => Attempt::Bad(Failure::new(
                outcome.ended.to_string(),
                format!("the script was killed by signal {signal}"),
            )),
            Ended::TimedOut => Attempt::Bad(Failure::new(
                TIMED_OUT,
                format!("the script ran for more than {} s", self.timeout.as_secs_f64()),
            )),
            Ended::NotStarted(why) => Attempt::Postponed { line: None, why },
        }
    }
}

const TIMED_OUT: &str = "timed out";

fn retries(n: u32) -> String {
    let word = if n == 1 { "retry" } else { "retries" };
    format!("{n} {word}")
}

impl Probe for Misc<'_> {
    const FROM_START: bool = true;

    async fn attempt(&mut self, desk: &Desk) -> Attempt {
        let Some(spawner) = &desk.job.means.spawner else {
            let why = "there is no process that runs scripts".to_owned();
            return Attempt::Postponed { line: None, why };
        };
        let groups = desk.job.means.groups.get(self.command.identity);
        let run = Run {
            limit: Some(self.timeout),
            die_with_us: true,
            ..Run::command(self.command, &[], groups)
        };
        desk.standing().last_ran = Some(SystemTime::now());
        let mut running = Guard(Some(spawner.run(run)));
        let outcome = running.wait().await;
        self.judge(desk, outcome)
    }

    fn up(&self, desk: &Desk) -> Option<String> {
        Some(self.line(desk, "succeeded", "", ""))
    }

    fn attempt_failed(&self, desk: &Desk, failure: &Failure, turn: Turn) -> Option<String> {
        let Turn::Retry { made } = turn else {
            return None;
        };
        let all = desk.schedule.retry;
        let message = if made == 0 {
            format!(", will do {}", retries(all))
        } else {
            format!(" on retry {made}/{all}")
        };
        Some(self.failed(desk, failure, &message))
    }

    fn down(&self, desk: &Desk, failure: &Failure, _: Option<u32>) -> String {
        // Also where the first run failed, and none were made.
        let message = match desk.schedule.retry {
            0 => " with retry disabled".to_owned(),
            n => format!(" after {}", retries(n)),
        };
        self.failed(desk, failure, &message)
    }
}

/// A script does not outlive its checker.
struct Guard(Option<Running>);

impl Guard {
    async fn wait(&mut self) -> Outcome {
        let outcome = match &mut self.0 {
            Some(running) => running.wait().await,
            None => std::future::pending().await,
        };
        self.0 = None;
        outcome
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.kill();
        }
    }
}
