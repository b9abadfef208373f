//! From the number of processes to a verdict, with delays.

use crate::model::TrackProcess;
use std::time::{Duration, Instant};

/// What is known of one `vrrp_track_process`.
#[derive(Debug, Clone)]
pub(super) struct Quorum {
    /// Processes now.
    pub count: u32,
    /// What was last told.
    pub up: bool,
    /// When a change that came with a new process is believed.
    pub fork: Option<Instant>,
    /// When a change that came with the end of one is believed.
    pub terminate: Option<Instant>,
}

impl Quorum {
    /// At the start nothing is delayed.
    pub fn new(config: &TrackProcess, count: u32) -> Quorum {
        Quorum {
            count,
            up: enough(config, count),
            fork: None,
            terminate: None,
        }
    }

    /// Takes another number. `Some` when the verdict changes at once.
    pub fn take(&mut self, config: &TrackProcess, count: u32, now: Instant) -> Option<bool> {
        let more = count > self.count;
        if count == self.count {
            return None;
        }
        self.count = count;
        if enough(config, count) == self.up {
            // It was nothing.
            (self.fork, self.terminate) = (None, None);
            return None;
        }
        if self.fork.is_some() || self.terminate.is_some() {
            return None;
        }
        let (timer, delay) = if more {
            (&mut self.fork, config.fork_delay)
        } else {
            (&mut self.terminate, config.terminate_delay)
        };
        if delay > Duration::ZERO {
            *timer = Some(now + delay);
            return None;
        }
        self.up = !self.up;
        Some(self.up)
    }

    /// A reload may have changed the limits and the delays. `Some` when the verdict changes at once.
    pub fn reconsider(&mut self, config: &TrackProcess, count: u32, now: Instant) -> Option<bool> {
        if count != self.count {
            return self.take(config, count, now);
        }
        let up = enough(config, count);
        (self.fork, self.terminate) = (None, None);
        (up != self.up).then(|| {
            self.up = up;
            up
        })
    }

    /// What the number says, without delays.
    pub fn would_be_up(&self, config: &TrackProcess) -> bool {
        enough(config, self.count)
    }

    /// When [`Quorum::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.fork.into_iter().chain(self.terminate).min()
    }

    /// The delay is over. `Some` when the verdict changes.
    pub fn tick(&mut self, config: &TrackProcess, now: Instant) -> Option<bool> {
        if self.deadline().is_none_or(|at| at > now) {
            return None;
        }
        (self.fork, self.terminate) = (None, None);
        let up = enough(config, self.count);
        (up != self.up).then(|| {
            self.up = up;
            up
        })
    }
}

fn enough(config: &TrackProcess, count: u32) -> bool {
    // `quorum_max 0`: it must not run at all.
    match config.quorum_max {
        Some(0) => count == 0,
        Some(most) => (config.quorum..=most).contains(&count),
        None => count >= config.quorum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::track::ParamMatch;

    fn config(quorum: u32, quorum_max: Option<u32>, fork: u64, terminate: u64) -> TrackProcess {
        TrackProcess {
            name: "p".into(),
            process: "p".into(),
            params: Vec::new(),
            param_match: ParamMatch::None,
            weight: 0,
            reverse: false,
            quorum,
            quorum_max,
            fork_delay: Duration::from_millis(fork),
            terminate_delay: Duration::from_millis(terminate),
            full_command: false,
        }
    }

    #[test]
    fn limits() {
        let ups = |config: &TrackProcess| (0..5).filter(|n| enough(config, *n)).collect::<Vec<u32>>();
        assert_eq!(ups(&config(1, None, 0, 0)), [1, 2, 3, 4]);
        assert_eq!(ups(&config(2, Some(3), 0, 0)), [2, 3]);
        assert_eq!(ups(&config(1, Some(0), 0, 0)), [0]);
    }

    #[test]
    fn a_short_absence_is_not_told() {
        let (config, start) = (config(1, None, 500, 200), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut quorum = Quorum::new(&config, 1);
        assert!(quorum.up);
        assert_eq!(quorum.take(&config, 0, at(0)), None);
        assert_eq!(quorum.deadline(), Some(at(200)));
        assert_eq!(quorum.take(&config, 1, at(100)), None);
        assert_eq!(quorum.deadline(), None);
        assert_eq!(quorum.take(&config, 0, at(1000)), None);
        assert_eq!(quorum.tick(&config, at(1199)), None);
        assert_eq!(quorum.tick(&config, at(1200)), Some(false));
        assert_eq!(quorum.take(&config, 1, at(2000)), None);
        assert_eq!((quorum.fork, quorum.terminate), (Some(at(2500)), None));
        // Another one changes nothing about that.
        assert_eq!(quorum.take(&config, 2, at(2400)), None);
        assert_eq!(quorum.tick(&config, at(2500)), Some(true));
    }

    #[test]
    fn too_many_is_delayed_by_the_fork_and_fewer_by_the_end() {
        let (config, start) = (config(1, Some(1), 500, 0), Instant::now());
        let mut quorum = Quorum::new(&config, 1);
        assert_eq!(quorum.take(&config, 2, start), None);
        assert_eq!(quorum.take(&config, 1, start), None);
        assert_eq!(quorum.deadline(), None);
        assert_eq!(quorum.take(&config, 2, start), None);
        assert_eq!(
            quorum.tick(&config, start + Duration::from_millis(500)),
            Some(false)
        );
        assert_eq!(
            quorum.take(&config, 1, start + Duration::from_secs(1)),
            Some(true)
        );
    }
}
