//! What can be found out on the spot about two masters, or about having heard nobody. A thread of its own looks
//! for a few seconds, and then writes the one line about it.

use super::links::Seen;
use crate::model::route::Family;
use crate::net::neighbours::{self, Neighbour};
use crate::net::overheard::{self, Overheard};
use crate::report::company::write_mac;
use crate::report::{self, lines};
use crate::state::company::{Conflict, Unheard};
use crate::state::interface::IFF_RUNNING;
use crate::state::notice::{Notice, What};
use crate::state::snapshot::InstanceSnapshot;
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Threads that look at the same time. What comes beyond is told without a look.
const MOST: usize = 4;
/// Longest look.
const LONGEST: Duration = Duration::from_secs(4);
/// Unicast peers and other virtual routers that are named.
const NAMED: usize = 4;

/// Instances, and others of each, about which something found is remembered.
const REMEMBERED: usize = 4096;
const MACS: usize = 16;

/// What was found, for dumps.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings(Arc<Mutex<BTreeMap<Arc<str>, Found>>>);

#[derive(Debug, Default)]
struct Found {
    macs: BTreeMap<IpAddr, [u8; 6]>,
    /// Why nobody was heard.
    causes: Vec<String>,
}

impl Findings {
    /// Puts what was found into a snapshot.
    pub(super) fn put(&self, instances: &mut [InstanceSnapshot]) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for instance in instances {
            let Some(found) = all.get(instance.config.name.as_str()) else {
                continue;
            };
            for conflict in &mut instance.company.conflicts {
                conflict.mac = found.macs.get(&conflict.peer).copied();
            }
            if let Some(unheard) = &mut instance.company.unheard {
                unheard.causes.clone_from(&found.causes);
            }
        }
    }

    fn causes(&self, notice: &Notice, causes: Vec<String>) {
        self.change(notice, |found| found.causes.extend(causes));
    }

    fn mac(&self, notice: &Notice, peer: IpAddr, mac: Option<[u8; 6]>) {
        self.change(notice, |found| {
            if found.macs.len() >= MACS {
                found.macs.clear();
            }
            found.macs.extend(mac.map(|mac| (peer, mac)));
        });
    }

    fn change(&self, notice: &Notice, change: impl FnOnce(&mut Found)) {
        let Some(name) = &notice.instance else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < REMEMBERED || all.contains_key(name) {
            change(all.entry(name.clone()).or_default());
        }
    }
}

static LOOKING: AtomicUsize = AtomicUsize::new(0);

/// Looks, and logs the notice with what was found.
pub(super) fn look(notice: Notice, interfaces: Vec<Seen>, findings: Findings) {
    let at_once = |notice: &Notice| lines::log(notice);
    if let What::Unheard(unheard) = &notice.what {
        findings.causes(&notice, report::company::unheard_causes(unheard));
    }
    if LOOKING.fetch_add(1, Ordering::Relaxed) >= MOST {
        LOOKING.fetch_sub(1, Ordering::Relaxed);
        return at_once(&notice);
    }
    let copy = notice.clone();
    let thread = std::thread::Builder::new().name("look".into()).spawn(move || {
        let found = match (&notice.what, notice.peer) {
            (What::Conflict(conflict), Some(peer)) => {
                let mac = of_conflict(conflict, peer);
                findings.mac(&notice, peer, mac);
                let said = mac.map(|mac| format!("its MAC address is {}", write_mac(mac)));
                said.into_iter().collect()
            }
            (What::Unheard(unheard), _) => {
                let found = of_unheard(unheard, &interfaces);
                findings.causes(&notice, found.clone());
                found
            }
            _ => Vec::new(),
        };
        let more: String = found.iter().map(|text| format!("; {text}")).collect();
        lines::log_with(&notice, &more);
        LOOKING.fetch_sub(1, Ordering::Relaxed);
    });
    if thread.is_err() {
        LOOKING.fetch_sub(1, Ordering::Relaxed);
        at_once(&copy);
    }
}

/// The other's MAC address.
fn of_conflict(conflict: &Conflict, peer: IpAddr) -> Option<[u8; 6]> {
    let mut mac = None;
    let time = (conflict.config.advert_interval * 2).min(LONGEST);
    let ipv6 = conflict.config.family == Family::Inet6;
    let _ = overheard::listen(conflict.interface, ipv6, time, |advert| {
        if advert.source == peer && advert.vrid == conflict.config.vrid {
            mac = advert.mac;
        }
        mac.is_some()
    });
    if mac.is_none()
        && let Ok(Some(Neighbour::Known(known))) = neighbours::find(peer)
    {
        mac = Some(known);
    }
    mac
}

/// The likely causes, each tested now.
fn of_unheard(unheard: &Unheard, interfaces: &[Seen]) -> Vec<String> {
    let config = &*unheard.config;
    let interface = interfaces
        .iter()
        .map(|seen| &seen.interface)
        .find(|interface| interface.index == unheard.interface);
    let name = interface.map_or(config.advert_interface(), |interface| interface.name.as_str());
    let mut found = Vec::new();
    if interface.is_some_and(|interface| interface.flags & IFF_RUNNING == 0) {
        found.push(format!("{name} has no carrier"));
    }
    let dropped = || counter("/proc/thread-self/net/netstat", "TcpExt:", "IPReversePathFilter");
    let before = dropped();
    let mut passing: BTreeMap<(u8, IpAddr), Overheard> = BTreeMap::new();
    let time = (config.advert_interval * 4).min(LONGEST);
    let ipv6 = config.family == Family::Inet6;
    let listening = overheard::listen(unheard.interface, ipv6, time, |advert| {
        if passing.len() < 256 {
            passing.insert((advert.vrid, advert.source), advert.clone());
        }
        false
    });
    if let Err(error) = listening {
        found.push(format!("cannot look at what passes on {name}: {error}"));
    }
    let refused = |source: IpAddr| unheard.refused.iter().any(|refused| refused.peer == source);
    let ours = passing.values().filter(|advert| advert.vrid == config.vrid);
    let lost: Vec<&Overheard> = ours.clone().filter(|advert| !refused(advert.source)).collect();
    for advert in lost.iter().take(NAMED) {
        let by = if dropped() > before {
            format!(
                "rp_filter drops them (net.ipv4.conf.{name}.rp_filter is {}): give this host a route to \
                 {} by {name}, or set it to 2",
                reverse_path(name),
                advert.source
            )
        } else {
            "a firewall rule on this host drops incoming IP protocol 112 (`nft list ruleset`, \
             `iptables -S INPUT`)"
                .to_owned()
        };
        let mac = advert
            .mac
            .map(|mac| format!(" (MAC {})", write_mac(mac)))
            .unwrap_or_default();
        found.push(format!(
            "adverts of {}{mac} arrive on {name} and do not get through: {by}",
            advert.source
        ));
    }
    if ours.count() == 0 {
        let others = passing
            .values()
            .take(NAMED)
            .map(|advert| format!("{} of {}", advert.vrid, advert.source));
        let others: Vec<String> = others.collect();
        if !others.is_empty() {
            found.push(format!(
                "on {name} there are adverts of other virtual routers only ({}): compare virtual_router_id",
                others.join(", ")
            ));
        }
    }
    if config.unicast {
        found.extend(silent_peers(unheard));
    }
    let known =
        !unheard.refused.is_empty() || !unheard.unreachable.is_empty() || unheard.send_failure.is_some();
    if found.is_empty() && !known {
        found.push(format!(
            "no advert arrives on {name}, and nothing is wrong on this host: either there is no other router \
             yet, or something between the two drops IP protocol 112{}",
            if config.unicast { "" } else { " or multicast" }
        ));
    }
    found
}

/// Unicast peers that are not there, as the kernel has found when it sent to them.
fn silent_peers(unheard: &Unheard) -> Vec<String> {
    let told = |peer: &IpAddr| unheard.unreachable.iter().any(|(known, _)| known == peer);
    let peers = unheard.config.peers.iter().map(|peer| peer.address);
    let peers = peers.filter(|peer| !told(peer)).take(64);
    let silent = peers.filter(|peer| matches!(neighbours::find(*peer), Ok(Some(Neighbour::Silent))));
    let silent: Vec<String> = silent.take(NAMED).map(|peer| peer.to_string()).collect();
    if silent.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "nobody answers for the address of peer {}: it is down, or not on this link",
        silent.join(", ")
    )]
}

fn reverse_path(interface: &str) -> u32 {
    let read = |name: &str| -> Option<u32> {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    read("all").max(read(interface)).unwrap_or_default()
}

/// A counter of a table with a line of names above each line of numbers.
fn counter(path: &str, group: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let place = names.split_ascii_whitespace().position(|word| word == name);
    let number = place.and_then(|place| numbers.split_ascii_whitespace().nth(place));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
