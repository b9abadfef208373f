//! What is counted of each other router of a virtual router: its adverts, and what became of ours on their way
//! to it.

use crate::model::Instance;
use crate::state::Now;
use crate::state::company::{PeerSnapshot, Refused, Unreachable};
use crate::state::notice::Odd;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// Senders that the file does not name: whoever forges senders fills no memory.
const STRANGERS: usize = 8;

#[derive(Debug, Clone, Default)]
pub(super) struct Peers {
    all: BTreeMap<IpAddr, Peer>,
}

#[derive(Debug, Clone, Default)]
struct Peer {
    configured: bool,
    accepted: u64,
    last_accepted: Option<u64>,
    /// By kind, in the order in which they came.
    refused: Vec<(Odd, u64)>,
    send_failures: u64,
    send_failure: Option<i32>,
    unreachable: u64,
    unreachable_last: Option<(Unreachable, u64)>,
}

impl Peers {
    pub fn accepted(&mut self, peer: IpAddr, config: &Instance, now: Now) {
        if let Some(peer) = self.entry(peer, config) {
            peer.accepted = peer.accepted.saturating_add(1);
            peer.last_accepted = Some(now.mono);
        }
    }

    pub fn refused(&mut self, peer: IpAddr, why: &Odd, config: &Instance) {
        let Some(peer) = self.entry(peer, config) else {
            return;
        };
        match peer
            .refused
            .iter_mut()
            .find(|(known, _)| known.kind() == why.kind())
        {
            Some(known) => *known = (why.clone(), known.1.saturating_add(1)),
            None => peer.refused.push((why.clone(), 1)),
        }
    }

    pub fn send_failed(&mut self, peer: IpAddr, errno: i32, config: &Instance) {
        if let Some(peer) = self.entry(peer, config) {
            peer.send_failures = peer.send_failures.saturating_add(1);
            peer.send_failure = Some(errno);
        }
    }

    pub fn unreachable(&mut self, peer: IpAddr, error: Unreachable, config: &Instance, now: Now) {
        if let Some(peer) = self.entry(peer, config) {
            peer.unreachable = peer.unreachable.saturating_add(1);
            peer.unreachable_last = Some((error, now.mono));
        }
    }

    /// Whose adverts are refused for one of these reasons, and none accepted.
    pub fn all_refused(&self, counts: fn(&Odd) -> bool) -> Vec<Refused> {
        let never = self.all.iter().filter(|(_, peer)| peer.accepted == 0);
        let refused = never.filter_map(|(address, peer)| {
            let counted = || peer.refused.iter().filter(|(why, _)| counts(why));
            Some(Refused {
                peer: *address,
                adverts: counted().map(|(_, adverts)| adverts).sum(),
                why: counted().max_by_key(|(_, adverts)| *adverts)?.0.clone(),
            })
        });
        refused.collect()
    }

    /// Unicast peers about which an ICMP error came after `since`.
    pub fn all_unreachable(&self, since: u64) -> Vec<(IpAddr, Unreachable)> {
        let silent = self.all.iter().filter_map(|(address, peer)| {
            let (error, at) = peer.unreachable_last?;
            (peer.configured && peer.accepted == 0 && at >= since).then_some((*address, error))
        });
        silent.collect()
    }

    pub fn snapshot(&self, config: &Instance, now: Now) -> Vec<PeerSnapshot> {
        let of_file = config.peers.iter().map(|peer| peer.address);
        let named = |address: &IpAddr| config.peers.iter().any(|peer| peer.address == *address);
        let others = self.all.keys().copied().filter(|address| !named(address));
        let unknown = Peer::default();
        let all = of_file
            .map(|address| (address, true))
            .chain(others.map(|a| (a, false)));
        all.map(|(address, configured)| {
            let peer = self.all.get(&address).unwrap_or(&unknown);
            PeerSnapshot {
                address,
                configured,
                accepted: peer.accepted,
                last_accepted: peer.last_accepted.map(|at| wall(at, now)),
                refused: peer.refused.clone(),
                send_failures: peer.send_failures,
                send_failure: peer.send_failure,
                unreachable: peer.unreachable,
                unreachable_last: peer.unreachable_last.map(|(error, at)| (error, wall(at, now))),
            }
        })
        .collect()
    }

    fn entry(&mut self, address: IpAddr, config: &Instance) -> Option<&mut Peer> {
        if !self.all.contains_key(&address) {
            let configured = config.peers.iter().any(|peer| peer.address == address);
            let strangers = || self.all.values().filter(|peer| !peer.configured).count();
            if !configured && strangers() >= STRANGERS {
                return None;
            }
            let peer = Peer {
                configured,
                ..Peer::default()
            };
            self.all.insert(address, peer);
        }
        self.all.get_mut(&address)
    }
}

/// The wall clock at a moment of the past.
pub(super) fn wall(mono: u64, now: Now) -> SystemTime {
    let ago = Duration::from_nanos(now.mono.saturating_sub(mono));
    now.wall.checked_sub(ago).unwrap_or(now.wall)
}
