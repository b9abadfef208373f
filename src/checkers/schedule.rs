//! When a checker checks, and what its results come to: retries, delays, the round through the urls. No
//! clock and no I/O; the standing is the caller's.

use crate::model::lvs::Checker;
use crate::state::check::Standing;
use std::time::Duration;

/// From the start of a checker to its first check, before the random part.
pub const BOOTSTRAP: Duration = Duration::from_secs(1);

/// How a checker counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// From check to check.
    pub delay_loop: Duration,
    /// Further attempts after a failure.
    pub retry: u32,
    /// From a failure that is lived with to the next attempt.
    pub delay_before_retry: Duration,
    /// The first check starts after [`BOOTSTRAP`] and a random part of this.
    pub warmup: Duration,
    /// A first result that is a failure has its retries (SMTP_CHECK); else it counts at once.
    pub patient: bool,
}

/// What a result came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Until the next attempt.
    pub delay: Duration,
    /// What changed.
    pub turn: Turn,
}

/// What changed by a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Same,
    /// It is up: a change, or the first verdict.
    Up,
    /// It failed, and there is another attempt before this counts.
    Retry {
        /// Attempts after the first failure so far.
        made: u32,
    },
    /// It is down: a change, or the first verdict.
    Down {
        /// The retries that were made before, where the line names them.
        retries: Option<u32>,
    },
}

impl Schedule {
    /// Of a checker.
    pub fn of(checker: &Checker, patient: bool) -> Schedule {
        Schedule {
            delay_loop: checker.delay_loop,
            retry: checker.retry,
            delay_before_retry: checker.delay_before_retry,
            warmup: checker.warmup,
            patient,
        }
    }

    /// Until the first check. `random` is a number from the whole range.
    pub fn first(&self, random: u64) -> Duration {
        let part = u128::from(random) * self.warmup.as_nanos() / (u128::from(u64::MAX) + 1);
        BOOTSTRAP + Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
    }

    /// Takes the result of an attempt.
    pub fn take(&self, standing: &mut Standing, good: bool) -> Step {
        standing.checks += 1;
        standing.bad += u64::from(!good);
        let deciding = standing.up || !standing.has_run;
        if good {
            let first = !standing.has_run;
            standing.iterations = Some(0);
            let turn = if standing.up && !first {
                Turn::Same
            } else {
                Turn::Up
            };
            (standing.up, standing.has_run) = (true, true);
            return self.step(self.delay_loop, turn);
        }
        let made = standing.iterations.unwrap_or(self.start());
        if !deciding {
            return self.step(self.delay_loop, Turn::Same);
        }
        if made < self.retry {
            standing.iterations = Some(made + 1);
            return self.step(self.delay_before_retry, Turn::Retry { made });
        }
        let told = self.retry > 0 && (standing.has_run || self.patient);
        let retries = told.then_some(self.retry);
        (standing.up, standing.has_run, standing.iterations) = (false, true, Some(0));
        self.step(self.delay_loop, Turn::Down { retries })
    }

    /// Takes the result of one of `urls` urls, which are asked one after the other.
    pub fn take_url(&self, standing: &mut Standing, good: bool, urls: usize, fast_recovery: bool) -> Step {
        standing.checks += 1;
        standing.bad += u64::from(!good);
        let deciding = standing.up || !standing.has_run;
        if good {
            standing.iterations = Some(0);
            let resumed = standing.failed_url.take().is_some();
            standing.url = if resumed { 0 } else { standing.url + 1 };
            let complete = standing.url >= urls;
            if complete {
                standing.url = 0;
                let turn = if standing.up && standing.has_run {
                    Turn::Same
                } else {
                    Turn::Up
                };
                (standing.up, standing.has_run) = (true, true);
                return self.step(self.delay_loop, turn);
            }
            let delay = if fast_recovery && (!standing.up || !standing.has_run) {
                Duration::ZERO
            } else {
                self.delay_loop
            };
            return self.step(delay, Turn::Same);
        }
        standing.failed_url = Some(standing.url);
        if !deciding {
            return self.step(self.delay_loop.max(self.delay_before_retry), Turn::Same);
        }
        let made = standing.iterations.unwrap_or(self.start());
        standing.iterations = Some(made.saturating_add(1));
        if made < self.retry {
            return self.step(self.delay_before_retry, Turn::Retry { made });
        }
        (standing.up, standing.has_run) = (false, true);
        let retries = (self.retry > 0).then_some(self.retry);
        self.step(
            self.delay_loop.max(self.delay_before_retry),
            Turn::Down { retries },
        )
    }

    fn start(&self) -> u32 {
        if self.patient { 0 } else { self.retry }
    }

    fn step(&self, delay: Duration, turn: Turn) -> Step {
        Step { delay, turn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(retry: u32) -> Schedule {
        Schedule {
            delay_loop: Duration::from_secs(5),
            retry,
            delay_before_retry: Duration::from_secs(2),
            warmup: Duration::from_secs(4),
            patient: false,
        }
    }

    fn word(step: Step) -> String {
        let turn = match step.turn {
            Turn::Same => "=".to_owned(),
            Turn::Up => "U".to_owned(),
            Turn::Retry { made } => format!("r{made}"),
            Turn::Down { retries: None } => "D".to_owned(),
            Turn::Down { retries: Some(n) } => format!("D{n}"),
        };
        format!("{turn}@{}", step.delay.as_secs())
    }

    /// One letter a result: `+` good, `-` bad. What each came to, and the delay after it.
    fn plain(schedule: Schedule, up: bool, results: &str) -> String {
        let mut standing = Standing::new(up);
        let words: Vec<String> = results
            .chars()
            .map(|result| word(schedule.take(&mut standing, result == '+')))
            .collect();
        words.join(" ")
    }

    fn urls(schedule: Schedule, up: bool, count: usize, fast: bool, results: &str) -> String {
        let mut standing = Standing::new(up);
        let words: Vec<String> = results
            .chars()
            .map(|result| {
                let url = standing.url;
                let step = schedule.take_url(&mut standing, result == '+', count, fast);
                format!("{url}{}", word(step))
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn retries_and_delays() {
        let patient = |retry| Schedule {
            patient: true,
            ..schedule(retry)
        };
        let table: &[(Schedule, bool, &str, &str)] = &[
            // The first good result is told, later ones are not.
            (schedule(2), true, "++", "U@5 =@5"),
            (schedule(2), false, "++", "U@5 =@5"),
            // The first failure counts at once, whatever `retry` says.
            (schedule(2), true, "--+", "D@5 =@5 U@5"),
            (schedule(2), false, "--+", "D@5 =@5 U@5"),
            (schedule(2), true, "+---", "U@5 r0@2 r1@2 D2@5"),
            (schedule(2), true, "+--+-", "U@5 r0@2 r1@2 =@5 r0@2"),
            (schedule(0), true, "+-+-", "U@5 D@5 U@5 D@5"),
            // A server that is down is checked each `delay_loop`; one good result brings it back.
            (
                schedule(1),
                true,
                "+----+--",
                "U@5 r0@2 D1@5 =@5 =@5 U@5 r0@2 D1@5",
            ),
            (patient(1), true, "--", "r0@2 D1@5"),
            (patient(0), true, "--", "D@5 =@5"),
        ];
        for (schedule, up, results, steps) in table {
            assert_eq!(plain(*schedule, *up, results), *steps, "{results}");
        }
    }

    #[test]
    fn the_round_of_the_urls() {
        let table: &[(u32, bool, usize, bool, &str, &str)] = &[
            (1, true, 2, false, "++++", "0=@5 1U@5 0=@5 1=@5"),
            (1, true, 1, false, "-", "0D1@5"),
            (0, true, 1, false, "-", "0D@5"),
            // The url that failed is asked until it is good, then all are, from the first.
            (1, true, 2, false, "++-+++", "0=@5 1U@5 0r0@2 0=@5 0=@5 1=@5"),
            (
                1,
                true,
                2,
                false,
                "+++---+++",
                "0=@5 1U@5 0=@5 1r0@2 1D1@5 1=@5 1=@5 0=@5 1U@5",
            ),
            // So one url needs two good answers.
            (1, true, 1, false, "+--++", "0U@5 0r0@2 0D1@5 0=@5 0U@5"),
            (1, false, 3, true, "++++", "0=@0 1=@0 2U@5 0=@5"),
            (0, false, 2, true, "+-+++", "0=@0 1D@5 1=@0 0=@0 1U@5"),
            // Without `alpha` a second url that fails in the first round has its retries.
            (1, true, 2, false, "+--", "0=@5 1r0@2 1D1@5"),
        ];
        for (retry, up, count, fast, results, steps) in table {
            assert_eq!(
                urls(schedule(*retry), *up, *count, *fast, results),
                *steps,
                "{results}"
            );
        }
        let slow = Schedule {
            delay_before_retry: Duration::from_secs(9),
            ..schedule(0)
        };
        assert_eq!(urls(slow, true, 1, false, "--"), "0D@9 0=@9");
    }

    #[test]
    fn the_first_check_is_spread() {
        let first = |random| schedule(0).first(random).as_millis();
        assert_eq!(first(0), 1000);
        assert_eq!(first(u64::MAX / 2), 2999);
        assert_eq!(first(u64::MAX), 4999);
        let at_once = Schedule {
            warmup: Duration::ZERO,
            ..schedule(0)
        };
        assert_eq!(at_once.first(u64::MAX), BOOTSTRAP);
    }
}
