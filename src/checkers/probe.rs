//! What all checkers of one question have in common: ask, count, tell, wait.

use super::schedule::{Step, Turn};
use super::{Desk, random};
use crate::state::check::CheckVerdict;
use tracing::info;

/// A question to a server, and keepalived's words for the answers.
pub(super) trait Probe {
    /// Asks once. Bounded in time and memory.
    async fn attempt(&mut self, desk: &Desk) -> Attempt;

    /// The line when the server is up: first verdict or change.
    fn up(&self, desk: &Desk) -> Option<String>;

    /// The line about one failed attempt, with `log_all_failures`. `last`: it counts.
    fn attempt_failed(&self, desk: &Desk, failure: &Failure, last: bool) -> Option<String>;

    /// The line when it is down.
    fn down(&self, desk: &Desk, failure: &Failure, retries: Option<u32>) -> String;
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The service answers.
    Good,
    /// It does not.
    Bad(Failure),
    /// Nothing was learned about the server.
    Postponed {
        /// keepalived's line.
        line: &'static str,
        /// Why.
        why: String,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// In keepalived's words.
    pub text: String,
    /// For people.
    pub reason: String,
}

impl Failure {
    pub(super) fn new(text: impl Into<String>, reason: impl Into<String>) -> Failure {
        Failure {
            text: text.into(),
            reason: reason.into(),
        }
    }
}

/// Runs a checker until nobody listens.
pub(super) async fn repeat(mut desk: Desk, mut probe: impl Probe) {
    tokio::time::sleep(desk.schedule.first(random())).await;
    let mut postponed = None;
    while !desk.reports.is_closed() {
        let delay = match probe.attempt(&desk).await {
            Attempt::Good => {
                postponed = None;
                take(&mut desk, &probe, None)
            }
            Attempt::Bad(failure) => {
                postponed = None;
                take(&mut desk, &probe, Some(&failure))
            }
            Attempt::Postponed { line, why } => {
                if postponed.as_ref() != Some(&why) {
                    info!(target: "checkers", "{line}");
                    let job = &desk.job;
                    let keyword = job.checker.kind.keyword();
                    info!(target: "checkers", "{keyword} of {} could not run: {why}", job.real_server);
                }
                postponed = Some(why);
                desk.schedule.delay_loop
            }
        };
        tokio::time::sleep(delay).await;
    }
}

fn take(desk: &mut Desk, probe: &impl Probe, failure: Option<&Failure>) -> std::time::Duration {
    let tells_all = desk.tells_all();
    let schedule = desk.schedule;
    let Step { delay, turn } = schedule.take(&mut desk.standing(), failure.is_none());
    if let (true, Some(failure)) = (tells_all, failure) {
        let last = matches!(turn, Turn::Down { .. });
        if let Some(line) = probe.attempt_failed(desk, failure, last) {
            info!(target: "checkers", "{line}");
        }
    }
    match (turn, failure) {
        (Turn::Up, _) => {
            if let Some(line) = probe.up(desk) {
                info!(target: "checkers", "{line}");
            }
            desk.report(CheckVerdict::Up);
        }
        (Turn::Down { retries }, Some(failure)) => {
            info!(target: "checkers", "{}", probe.down(desk, failure, retries));
            desk.report(CheckVerdict::Down {
                reason: failure.reason.clone(),
            });
        }
        _ => {}
    }
    delay
}
