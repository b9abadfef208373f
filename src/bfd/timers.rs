//! The timers of one session: a fixed table.

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// A packet that cannot wait for its turn: an answer to a poll, a new state.
    Urgent = 0,
    /// The next periodic packet.
    Transmit = 1,
    /// The neighbour has been silent for the detection time.
    Detect = 2,
    /// It has been silent for as long again: what is known of it is forgotten.
    Forget = 3,
}

const ALL: [Timer; 4] = [Timer::Detect, Timer::Forget, Timer::Urgent, Timer::Transmit];

/// Deadlines on CLOCK_MONOTONIC, nanoseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers([Option<u64>; ALL.len()]);

impl Timers {
    /// Sets or moves one, or stops it.
    pub fn set(&mut self, timer: Timer, at: Option<u64>) {
        self.0[timer as usize] = at;
    }

    /// When one is due.
    pub fn get(&self, timer: Timer) -> Option<u64> {
        self.0[timer as usize]
    }

    /// The earliest; of several that are due together, the one that changes the state.
    pub fn next(&self) -> Option<(u64, Timer)> {
        ALL.into_iter()
            .filter_map(|timer| Some((self.get(timer)?, timer)))
            .min_by_key(|(at, _)| *at)
    }
}
