//! What others see of a virtual server: its state at a moment, and since when it is so.

use super::server::{Real, Server};
use crate::model::lvs::RealServer;
use crate::state::check::CheckVerdict;
use crate::state::lvs::{CheckerView, RealView, ServerView};
use std::sync::Arc;
use std::time::SystemTime;

impl Server {
    pub fn view(&self) -> ServerView {
        let real = |(real, config): (&Real, &RealServer)| RealView {
            weight: real.weight(config),
            weight_before: real.weight_before,
            alive: real.alive,
            set: real.set,
            failed: u32::try_from(real.failed()).unwrap_or(u32::MAX),
            reloaded: real.reloaded,
            since: real.since,
            checkers: real
                .checks
                .iter()
                .map(|check| CheckerView {
                    id: check.id,
                    checker: check.checker.clone(),
                    enabled: !self.suspended,
                    up: check.up,
                    has_run: check.has_run,
                    weight: check.weight,
                    history: check.history.clone(),
                })
                .collect(),
        };
        ServerView {
            config: self.config.clone(),
            reals: self
                .reals
                .iter()
                .zip(&self.config.real_servers)
                .map(real)
                .collect(),
            sorry: self.sorry,
            quorum_up: self.quorum_up,
            since: self.since,
            weight: self.alive_weight(),
            reloaded: self.reloaded,
        }
    }

    /// Notes since when the quorum and this real server, or all of them, are as they are.
    pub fn look(&mut self, place: Option<usize>, now: SystemTime) {
        self.since.look(self.quorum_up, now);
        match place {
            Some(place) => {
                if let Some(real) = self.reals.get_mut(place) {
                    real.since.look(real.alive, now);
                }
            }
            None => {
                for real in &mut self.reals {
                    real.since.look(real.alive, now);
                }
            }
        }
    }

    /// Notes a verdict.
    pub fn remember(&mut self, (place, check): (usize, usize), verdict: &CheckVerdict, now: SystemTime) {
        let real = self.reals.get_mut(place);
        if let Some(check) = real.and_then(|real| real.checks.get_mut(check)) {
            Arc::make_mut(&mut check.history).take(now, verdict);
        }
    }
}
