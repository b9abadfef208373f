//! A master that is not alone, or that has never heard anybody: what is known of it, for the one line about it.

use super::notice::Odd;
use crate::model;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
    /// Unicast peers about which ICMP errors came.
    pub unreachable: Vec<(IpAddr, Unreachable)>,
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

/// Other routers of the same virtual router, as one instance has met them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CompanySnapshot {
    /// An advert of another router was accepted since the start.
    pub heard: bool,
    /// Master, and nobody was ever heard although somebody should be: since when, and what was found.
    pub unheard: Option<UnheardSnapshot>,
    /// Others that were master beside it: those of now, then the last ones, the newest first.
    pub conflicts: Vec<ConflictSnapshot>,
    /// Unicast peers of the file, then others that were heard.
    pub peers: Vec<PeerSnapshot>,
}

/// Nobody was ever heard.
#[derive(Debug, Clone, PartialEq)]
pub struct UnheardSnapshot {
    /// Since when it is master.
    pub since: SystemTime,
    /// The likely causes that were found.
    pub causes: Vec<String>,
}

/// Two masters, now or before.
#[derive(Debug, Clone, PartialEq)]
pub struct ConflictSnapshot {
    /// The other.
    pub peer: IpAddr,
    /// Its MAC address, where it was found.
    pub mac: Option<[u8; 6]>,
    /// Its priority; `None` where its adverts are refused.
    pub priority: Option<u8>,
    /// Ours, when it was last heard.
    pub ours: u8,
    /// Why its adverts are refused.
    pub refused: Option<Odd>,
    /// Its first advert.
    pub since: SystemTime,
    /// From its first advert to its last.
    pub lasts: Duration,
    /// Its adverts.
    pub adverts: u64,
    /// It is silent again, or we are master no more.
    pub over: bool,
}

/// What was heard of one other router, and what became of what was sent to it.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerSnapshot {
    /// Its address.
    pub address: IpAddr,
    /// It is a unicast peer of the file.
    pub configured: bool,
    /// Adverts of it that were accepted.
    pub accepted: u64,
    /// When the last one was.
    pub last_accepted: Option<SystemTime>,
    /// Adverts of it that were refused, by reason.
    pub refused: Vec<(Odd, u64)>,
    /// Adverts that could not be sent to it, and errno of the last one.
    pub send_failures: u64,
    /// errno of the last one.
    pub send_failure: Option<i32>,
    /// ICMP errors about adverts to it; those that this host's kernel makes are among them.
    pub unreachable: u64,
    /// The last one.
    pub unreachable_last: Option<(Unreachable, SystemTime)>,
}

/// An ICMP error about an advert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable {
    /// Who sent it: the peer, a router on the way, or this host.
    pub by: Option<IpAddr>,
    /// errno that the kernel makes of it.
    pub errno: i32,
    /// ICMP type and code.
    pub icmp: (u8, u8),
}
