//! TCP_CHECK: a connection is opened, and closed at once.

use super::Desk;
use super::connect::{self, ConnectError};
use super::probe::{Attempt, Failure, Probe, UNTOLD};
use super::schedule::Turn;
use crate::model::lvs::Connection;

pub(super) struct Tcp<'a>(pub &'a Connection);

impl Probe for Tcp<'_> {
    async fn attempt(&mut self, _: &Desk) -> Attempt {
        match connect::tcp(self.0).await {
            Ok(_) => Attempt::Good(None),
            Err(ConnectError::Socket(error)) => Attempt::Postponed {
                line: Some("TCP connect fail to create socket. Rescheduling."),
                why: error.to_string(),
            },
            Err(error @ ConnectError::Unreachable) => Attempt::Bad(Failure::new(UNTOLD, error.to_string())),
            Err(error @ ConnectError::Timeout(_)) => Attempt::Bad(Failure::new("timeout", error.to_string())),
            Err(error) => Attempt::Bad(Failure::new("failed", error.to_string())),
        }
    }

    fn up(&self, desk: &Desk) -> Option<String> {
        Some(format!("TCP connection to {} success.", desk.job.real_server))
    }

    fn attempt_failed(&self, desk: &Desk, failure: &Failure, _: Turn) -> Option<String> {
        Some(format!(
            "TCP connection to {} {}.",
            desk.job.real_server, failure.text
        ))
    }

    fn down(&self, desk: &Desk, _: &Failure, retries: Option<u32>) -> String {
        let server = &desk.job.real_server;
        match retries {
            Some(n) => format!("TCP_CHECK on service {server} failed after {n} retries."),
            None => format!("TCP_CHECK on service {server} failed."),
        }
    }
}
