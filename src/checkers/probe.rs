//! What all checkers of one question have in common: ask, count, tell, wait.

use super::schedule::{Step, Turn};
use super::{Desk, random};
use crate::state::check::CheckVerdict;
use tokio::time::Instant;
use tracing::info;

/// A question to a server, and keepalived's words for the answers.
pub(super) trait Probe {
    /// The next attempt counts from the start of this one, not from its end.
    const FROM_START: bool = false;

    /// Asks once. Bounded in time and memory.
    async fn attempt(&mut self, desk: &Desk) -> Attempt;

    /// The line when the server is up: first verdict or change.
    fn up(&self, desk: &Desk) -> Option<String>;

    /// The line about one failed attempt, with `log_all_failures`; `turn` is what it came to.
    fn attempt_failed(&self, desk: &Desk, failure: &Failure, turn: Turn) -> Option<String>;

    /// What is reported of a failure.
    fn reason(&self, failure: &Failure) -> String {
        failure.reason.clone()
    }

    /// The line when it is down.
    fn down(&self, desk: &Desk, failure: &Failure, retries: Option<u32>) -> String;
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The service answers; with what this adds to the weight of the real server.
    Good(Option<i64>),
    /// It does not.
    Bad(Failure),
    /// Nothing was learned about the server.
    Postponed {
        /// keepalived's line, if it has one.
        line: Option<&'static str>,
        /// Why.
        why: String,
    },
}

/// The text of a failure that keepalived tells nothing of.
pub(super) const UNTOLD: &str = "";

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
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
pub(super) async fn repeat<P: Probe>(mut desk: Box<Desk>, mut probe: P) {
    tokio::time::sleep(desk.schedule.first(random())).await;
    let mut postponed = None;
    while !desk.reports.is_closed() {
        let start = Instant::now();
        // What an attempt needs is there only while it runs.
        let attempt = Box::pin(probe.attempt(&desk)).await;
        let step = match &attempt {
            Attempt::Good(weight) => good(&mut desk, &probe, *weight),
            Attempt::Bad(failure) => bad(&mut desk, &probe, failure),
            Attempt::Postponed { line, why } => {
                if postponed.as_ref() != Some(why) {
                    postpone(&desk, *line, why);
                }
                Step {
                    delay: desk.schedule.delay_loop,
                    turn: Turn::Same,
                }
            }
        };
        postponed = match attempt {
            Attempt::Postponed { why, .. } => Some(why),
            _ => None,
        };
        if P::FROM_START && !matches!(step.turn, Turn::Retry { .. }) {
            tokio::time::sleep_until(start + step.delay).await;
        } else {
            tokio::time::sleep(step.delay).await;
        }
    }
}

fn good(desk: &mut Desk, probe: &impl Probe, weight: Option<i64>) -> Step {
    let schedule = desk.schedule;
    let step = {
        let mut standing = desk.standing();
        standing.weight = weight.unwrap_or(0);
        schedule.take(&mut standing, true)
    };
    if step.turn == Turn::Up
        && let Some(line) = probe.up(desk)
    {
        info!(target: "checkers", "{line}");
    }
    desk.report(weight.map_or(CheckVerdict::Up, CheckVerdict::Weight));
    step
}

fn bad(desk: &mut Desk, probe: &impl Probe, failure: &Failure) -> Step {
    let tells_all = desk.tells_all();
    let schedule = desk.schedule;
    let step = schedule.take(&mut desk.standing(), false);
    if tells_all
        && failure.text != UNTOLD
        && let Some(line) = probe.attempt_failed(desk, failure, step.turn)
    {
        info!(target: "checkers", "{line}");
    }
    if let Turn::Down { retries } = step.turn {
        desk.standing().weight = 0;
        info!(target: "checkers", "{}", probe.down(desk, failure, retries));
        desk.report(CheckVerdict::Down {
            reason: probe.reason(failure),
        });
    }
    step
}

/// Says why nothing was learned about the server.
fn postpone(desk: &Desk, line: Option<&'static str>, why: &str) {
    if let Some(line) = line {
        info!(target: "checkers", "{line}");
    }
    let job = &desk.job;
    let keyword = job.checker.kind.keyword();
    info!(target: "checkers", "{keyword} of {} could not run: {why}", job.real_server);
}
