//! How often a master answers adverts of lower priority with announcements and notifications.
//!
//! keepalived sends two bursts for every such advert; whoever forges them at rate makes it flood the network.
//! Here each of them is answered with an advert, as the protocol wants, and the rest has a bound.

/// Answers in one window.
const ANSWERS: u32 = 4;
/// Shortest window, nanoseconds.
const WINDOW: u64 = 1_000_000_000;

/// Counts the answers of a window: an advert interval, but at least a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AnswerLimit {
    window_ends: u64,
    given: u32,
}

impl AnswerLimit {
    /// Whether one more may be given now.
    pub fn allow(&mut self, now: u64, interval: u64) -> bool {
        if now >= self.window_ends {
            *self = AnswerLimit {
                window_ends: now.saturating_add(interval.max(WINDOW)),
                given: 0,
            };
        }
        self.given = self.given.saturating_add(1);
        self.given <= ANSWERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_answered_four_times_a_window() {
        let mut limit = AnswerLimit::default();
        let interval = 10_000_000;
        // 2,000 a second for three seconds.
        let answered = (0..6000u64)
            .filter(|n| limit.allow(n * 500_000, interval))
            .count();
        assert_eq!(answered, 3 * ANSWERS as usize);
    }

    #[test]
    fn a_few_are_all_answered() {
        let mut limit = AnswerLimit::default();
        assert!((0..20u64).all(|n| limit.allow(n * 300_000_000, 1_000_000_000)));
    }
}
