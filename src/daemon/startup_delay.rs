//! `vrrp_startup_delay` and `vrrp_delay_after_boot`: nothing is sent or believed before they are over.
//!
//! A reload during the delay does not end it: the new values count from the same start, as far as they still
//! lie in the future.

use crate::model::Globals;
use crate::report::seconds;
use crate::sys::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The delay of this run.
#[derive(Debug, Default)]
pub(super) struct StartupDelay {
    began: Option<Began>,
    /// When the delay ends; 0 is "no delay", or "over".
    until: Arc<AtomicU64>,
}

/// When the daemon started.
#[derive(Debug, Clone, Copy)]
struct Began {
    /// CLOCK_MONOTONIC.
    at: u64,
    /// Time since the boot at that moment.
    since_boot: u64,
}

/// What a configuration makes of it.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// As it was.
    None,
    /// It begins, or ends at another moment: this much is left.
    Left(u64),
    /// It is over earlier than it was to be.
    Over,
}

impl StartupDelay {
    /// Takes in a configuration, at the start and at each reload; returns until when everything is held
    /// (CLOCK_MONOTONIC, nanoseconds; 0: not at all). To be called in a tokio runtime.
    pub fn configure(&mut self, globals: &Globals) -> u64 {
        let now = clock::monotonic();
        let first = self.began.is_none();
        let began = *self.began.get_or_insert_with(|| Began {
            at: now,
            since_boot: clock::since_boot(),
        });
        let before = self.until.load(Ordering::Relaxed);
        let (until, news) = next(globals, began, before, first, now);
        self.until.store(until, Ordering::Relaxed);
        match news {
            News::None => {}
            News::Left(left) => {
                let further = if first { "" } else { "a further " };
                let left_seconds = seconds(Duration::from_nanos(left));
                tracing::info!(target: "vrrp", "Delaying startup for {further}{left_seconds} seconds");
                self.tell_the_end(until, left);
            }
            News::Over => tracing::info!(target: "vrrp", "Reduced delayed start passed"),
        }
        until
    }

    fn tell_the_end(&self, until: u64, left: u64) {
        let current = self.until.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_nanos(left)).await;
            // A reload may have set another end.
            if current.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed) == Ok(until) {
                tracing::info!(target: "vrrp", "Delayed start completed");
            }
        });
    }
}

/// The end of the delay, and what is said of it.
fn next(globals: &Globals, began: Began, before: u64, first: bool, now: u64) -> (u64, News) {
    let running = before > now;
    if !first && !running {
        // What has started is not held again.
        return (0, News::None);
    }
    let nanoseconds = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    let after_boot = nanoseconds(globals.delay_after_boot).saturating_sub(began.since_boot);
    let until = match nanoseconds(globals.startup_delay).max(after_boot) {
        0 => 0,
        delay => began.at.saturating_add(delay),
    };
    match until.checked_sub(now).filter(|left| *left > 0) {
        Some(_) if until == before => (until, News::None),
        Some(left) => (until, News::Left(left)),
        None if running => (0, News::Over),
        None => (0, News::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const BEGAN: Began = Began {
        at: 100 * S,
        since_boot: 100 * S,
    };

    fn globals(startup: u64, after_boot: u64) -> Globals {
        Globals {
            startup_delay: Duration::from_secs(startup),
            delay_after_boot: Duration::from_secs(after_boot),
            ..Globals::default()
        }
    }

    #[test]
    fn the_longer_of_both_counts() {
        let at_start = |globals: &Globals| next(globals, BEGAN, 0, true, 100 * S);
        assert_eq!(at_start(&globals(0, 0)), (0, News::None));
        assert_eq!(at_start(&globals(7, 0)), (107 * S, News::Left(7 * S)));
        // 100 s after the boot, 90 of them are over.
        assert_eq!(at_start(&globals(0, 90)), (0, News::None));
        assert_eq!(at_start(&globals(7, 120)), (120 * S, News::Left(20 * S)));
        assert_eq!(at_start(&globals(70, 120)), (170 * S, News::Left(70 * S)));
    }

    #[test]
    fn a_reload_does_not_end_it_and_counts_from_the_same_start() {
        let reload = |globals: &Globals, before: u64, now: u64| next(globals, BEGAN, before, false, now);
        assert_eq!(reload(&globals(7, 0), 107 * S, 103 * S), (107 * S, News::None));
        assert_eq!(
            reload(&globals(9, 0), 107 * S, 103 * S),
            (109 * S, News::Left(6 * S))
        );
        assert_eq!(reload(&globals(2, 0), 107 * S, 103 * S), (0, News::Over));
        // Over is over.
        assert_eq!(reload(&globals(60, 0), 107 * S, 108 * S), (0, News::None));
        assert_eq!(reload(&globals(60, 0), 0, 108 * S), (0, News::None));
    }
}
