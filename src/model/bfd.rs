//! `bfd_instance`.

use std::net::IpAddr;
use std::time::Duration;

/// One BFD session as configured (RFC 5880).
#[derive(Debug, Clone, PartialEq)]
pub struct BfdInstance {
    /// Name, 31 characters at most.
    pub name: String,
    /// `source_ip`.
    pub source: Option<IpAddr>,
    /// `neighbor_ip`.
    pub neighbor: IpAddr,
    /// `min_rx`.
    pub min_rx: Duration,
    /// `min_tx`.
    pub min_tx: Duration,
    /// `idle_tx`.
    pub idle_tx: Duration,
    /// `multiplier`, 1 to 255.
    pub multiplier: u8,
    /// `passive`.
    pub passive: bool,
    /// `ttl`, `hoplimit`; `None` is the family's default (255, 64).
    pub ttl: Option<u8>,
    /// `max_hops`; -1 is any.
    pub max_hops: i32,
    /// `multihop`.
    pub multihop: bool,
    /// `weight`, -253 to 253.
    pub weight: i32,
    /// `weight N reverse`.
    pub reverse: bool,
    /// VRRP watches it.
    pub vrrp: bool,
    /// Checkers watch it.
    pub checker: bool,
}
