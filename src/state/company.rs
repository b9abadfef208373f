//! A master that is not alone, or that has never heard anybody: what is known of it, for the one line about it.

use super::notice::Odd;
use crate::model;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Another router advertises for our virtual router while we are its master.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Priority that it advertises; `None` where its adverts are refused.
    pub theirs: Option<u8>,
    /// Ours.
    pub ours: u8,
    /// Why its adverts are refused; neither gives way then.
    pub refused: Option<Odd>,
    /// How long it has lasted.
    pub lasts: Duration,
    /// Adverts of it.
    pub adverts: u64,
    /// Index of the interface that they come in on.
    pub interface: u32,
    /// Our configuration.
    pub config: Arc<model::Instance>,
}

/// Master, and no advert of another router was ever accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Unheard {
    /// How long it has been master.
    pub since: Duration,
    /// Whose adverts were refused.
    pub refused: Vec<Refused>,
    /// errno of the last failed send.
    pub send_failure: Option<i32>,
    /// Index of the interface for adverts.
    pub interface: u32,
    /// Our configuration.
    pub config: Arc<model::Instance>,
}

/// A sender whose adverts are refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Sender.
    pub peer: IpAddr,
    /// How many.
    pub adverts: u64,
    /// Why the last one was.
    pub why: Odd,
}
