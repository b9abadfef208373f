//! The timers of one instance: a fixed table, one deadline for each [`Reason`].

use super::group::Reason;

/// All reasons, in the order in which those that are due together are served.
pub(super) const ALL: [Reason; 9] = [
    Reason::Advert,
    Reason::MasterDown,
    Reason::Preempt,
    Reason::Announce,
    Reason::Refresh,
    Reason::LowerPriority,
    Reason::RogueOwner,
    Reason::Company,
    Reason::Unheard,
];

/// Deadlines on CLOCK_MONOTONIC, nanoseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers([Option<u64>; ALL.len()]);

impl Timers {
    /// Sets or moves one.
    pub fn set(&mut self, reason: Reason, at: u64) {
        self.0[reason as usize] = Some(at);
    }

    /// Stops one.
    pub fn stop(&mut self, reason: Reason) {
        self.0[reason as usize] = None;
    }

    /// Stops all.
    pub fn stop_all(&mut self) {
        *self = Timers::default();
    }

    /// When one is due.
    pub fn get(&self, reason: Reason) -> Option<u64> {
        self.0[reason as usize]
    }

    /// The earliest.
    pub fn next(&self) -> Option<(u64, Reason)> {
        ALL.into_iter()
            .filter_map(|reason| Some((self.get(reason)?, reason)))
            .min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_place_for_each_reason() {
        for (place, reason) in ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }

    #[test]
    fn the_earliest_comes_first_and_ties_in_table_order() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Reason::Refresh, 30);
        timers.set(Reason::Announce, 20);
        timers.set(Reason::MasterDown, 20);
        assert_eq!(timers.next(), Some((20, Reason::MasterDown)));
        timers.stop(Reason::MasterDown);
        assert_eq!(timers.next(), Some((20, Reason::Announce)));
        timers.stop_all();
        assert_eq!(timers.next(), None);
    }
}
