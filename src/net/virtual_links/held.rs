//! One virtual interface that is wanted: what is there of it, how it is made, and what is said of it.

use super::Brought;
use super::requests::{self, Failure, MACVLAN_PRIVATE};
use crate::model::{Address, IpNetwork, Lifetime};
use crate::net::channel::Channel;
use crate::net::links::Table;
use crate::net::objects::{self, Action, Object, Operation};
use crate::state::Interface;
use crate::state::kernel::{Made, VirtualKind, VirtualLink};
use std::net::{IpAddr, Ipv6Addr};
use tracing::{info, warn};

/// Begin of the alias of every interface that is made here; the process id follows.
const ALIAS: &str = "keepalived-rs ";
pub(super) const FIRST_DELAY: u64 = 100_000_000;
pub(super) const LONGEST_DELAY: u64 = 10_000_000_000;

/// One that is wanted.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) link: VirtualLink,
    /// Index, once it is there as it shall be.
    pub(super) index: Option<u32>,
    /// It has been prepared and set up.
    pub(super) raised: bool,
    /// It is missing, and made when its time has come.
    pub(super) waiting: bool,
    /// When it was last made, or tried (monotonic, nanoseconds).
    pub(super) last: u64,
    /// Nothing is tried before.
    pub(super) not_before: u64,
    pub(super) delay: u64,
    /// It could not be made, and that has been said.
    pub(super) failed: bool,
    pub(super) link_local: Option<Ipv6Addr>,
}

impl Held {
    pub(super) fn new(link: VirtualLink) -> Held {
        Held {
            link,
            index: None,
            raised: false,
            waiting: false,
            last: 0,
            not_before: 0,
            delay: 0,
            failed: false,
            link_local: None,
        }
    }

    /// The first time at once, then after 0.1 to 10 s.
    pub(super) fn back_off(&mut self, now: u64) {
        self.delay = if now.saturating_sub(self.last) > LONGEST_DELAY {
            FIRST_DELAY
        } else {
            (self.delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY)
        };
        self.last = now;
        self.not_before = now.saturating_add(self.delay);
    }

    pub(super) fn is_ipvlan(&self) -> bool {
        matches!(self.link.kind, VirtualKind::Ipvlan { .. })
    }

    pub(super) fn brought(&self, made: Made) -> Brought {
        Brought {
            name: self.link.name.clone(),
            instance: self.link.instance.clone(),
            ipvlan: self.is_ipvlan(),
            made,
        }
    }

    /// The interface is just this one.
    pub(super) fn is_it(&self, found: &Interface, lower: &Interface, master: Option<u32>) -> bool {
        let mac = match self.link.kind {
            VirtualKind::Vmac(mac) => found.mac == mac,
            VirtualKind::Ipvlan { .. } => true,
        };
        let group = self.link.group.is_none_or(|group| group == found.group);
        self.is_like(found, lower) && mac && group && found.master == master
    }

    /// The interface can be made into this one.
    pub(super) fn is_like(&self, found: &Interface, lower: &Interface) -> bool {
        let kind = found.kind.as_deref();
        let same_kind = match self.link.kind {
            VirtualKind::Vmac(_) => kind == Some("macvlan") && found.macvlan_mode == Some(MACVLAN_PRIVATE),
            VirtualKind::Ipvlan { .. } => kind == Some("ipvlan"),
        };
        same_kind && found.lower == Some(lower.index)
    }

    pub(super) fn make(
        &mut self,
        found: Option<&Interface>,
        lower: &Interface,
        master: Option<u32>,
        channel: &mut Channel,
    ) -> Result<Made, Failure> {
        let group = self.link.group.unwrap_or(lower.group);
        if let Some(found) = found.filter(|found| self.is_like(found, lower)) {
            let mac = match self.link.kind {
                VirtualKind::Vmac(mac) => Some(mac),
                VirtualKind::Ipvlan { .. } => None,
            };
            let master = Some(master.unwrap_or(0));
            requests::update(channel, found.index, mac, Some(group), master, Some(&alias()))?;
            return Ok(Made::Updated);
        }
        self.raised = false;
        self.link_local = None;
        if let Some(found) = found.filter(|found| found.alias.as_deref().is_some_and(is_alias)) {
            requests::remove(channel, found.index)?;
        }
        requests::create(channel, &self.link, lower.index, group, master, &alias())?;
        Ok(Made::Created)
    }

    /// The link-local address of the interface below, as long as adverts need it.
    pub(super) fn share_link_local(&mut self, channel: &mut Channel, found: &Interface, lower: &Interface) {
        let wanted = self.link.link_local.then(|| shared_address(lower)).flatten();
        if let Some(old) = self.link_local.filter(|old| Some(*old) != wanted) {
            let _ = requests::link_local(channel, found.index, old, false);
        }
        self.link_local = wanted;
        let there = |address: Ipv6Addr| found.addresses.iter().any(|known| known.address == address);
        if let Some(address) = wanted.filter(|address| !there(*address))
            && let Err(failure) = requests::link_local(channel, found.index, address, true)
        {
            // Nothing to wait for: an interface without IPv6, say.
            self.link_local = None;
            self.complain(&failure);
        }
    }

    pub(super) fn remove(self, channel: &mut Channel) {
        let (name, instance) = (&self.link.name, &self.link.instance);
        let Some(index) = self.index else { return };
        let kind = kind_name(self.is_ipvlan());
        match requests::remove(channel, index) {
            Ok(()) => self.tell_removed(),
            Err(failure) if failure.errno() == libc::ENODEV => {}
            Err(failure) => {
                info!(target: "vrrp", VRRP_INSTANCE = %instance, "({instance}) Error removing {kind} interface {name}");
                self.explain(&failure);
            }
        }
    }

    pub(super) fn tell_removed(&self) {
        if self.index.is_some() {
            let (name, instance) = (&self.link.name, &self.link.instance);
            let kind = kind_name(self.is_ipvlan());
            info!(target: "vrrp", VRRP_INSTANCE = %instance, "({instance}) Success removing {kind} interface {name}");
        }
    }

    /// keepalived's lines, and one of ours that says why.
    pub(super) fn complain(&self, failure: &Failure) {
        let (name, instance) = (&self.link.name, &self.link.instance);
        if let Failure::Refused { kind, answer } = failure {
            let text = nix::errno::Errno::from_raw(answer.errno).desc();
            let request = match *kind {
                libc::RTM_NEWADDR => "RTM_NEWADDR",
                libc::RTM_DELLINK => "RTM_DELLINK",
                _ => "RTM_NEWLINK",
            };
            info!(target: "vrrp", "Netlink: error: {text}({}), type={request}({kind}), seq={}, pid=0",
                answer.errno, answer.sequence);
        }
        let what = kind_name(self.is_ipvlan());
        info!(target: "vrrp", VRRP_INSTANCE = %instance, "({instance}): Unable to create {what} interface {name}");
        self.explain(failure);
    }

    pub(super) fn explain(&self, failure: &Failure) {
        let link = &self.link;
        let why = match failure {
            Failure::Refused { answer, .. } => {
                let text = nix::errno::Errno::from_raw(answer.errno).desc();
                answer.text.clone().unwrap_or_else(|| text.to_owned())
            }
            Failure::Io(error) => error.to_string(),
        };
        let hint = match (failure.errno(), self.is_ipvlan()) {
            (libc::EOPNOTSUPP, true) => "; the kernel has no ipvlan",
            (libc::EOPNOTSUPP, false) => "; the kernel has no macvlan",
            (libc::EBUSY, _) => "; an interface cannot have macvlans and ipvlans over it",
            (libc::EEXIST, _) => "; another interface has that name",
            _ => "",
        };
        warn!(target: "vrrp", VRRP_INSTANCE = %link.instance, "({}) interface {} over {}: {why}{hint}",
            link.instance, link.name, link.over);
    }
}

pub(super) fn kind_name(ipvlan: bool) -> &'static str {
    if ipvlan { "ipvlan" } else { "VMAC" }
}

/// The link-local address of an interface; where it has none, the one that its MAC address makes.
pub(super) fn shared_address(lower: &Interface) -> Option<Ipv6Addr> {
    if let Some(IpAddr::V6(address)) = lower.source(true) {
        return Some(address);
    }
    let [a, b, c, d, e, f] = *lower.mac.as_slice() else {
        return None;
    };
    let octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    Some(octets.into())
}

pub(super) fn add_address(channel: &mut Channel, index: u32, network: IpNetwork) {
    let address = Address {
        network,
        peer: None,
        broadcast: None,
        scope: 0,
        label: None,
        interface: String::new(),
        interface_given: true,
        flags: crate::model::address::AddressFlags {
            nodad: true,
            ..Default::default()
        },
        no_track: false,
        preferred: Lifetime::Forever,
        preferred_given: false,
        over: None,
        use_vmac: false,
        track_group: None,
    };
    let operation = Operation {
        action: Action::Add,
        index,
        object: &Object::Address(address),
    };
    match objects::apply(channel, &Table::default(), &[operation]) {
        Ok(answers) => {
            for answer in answers.into_iter().flatten().filter(|a| a.errno != libc::EEXIST) {
                let text = nix::errno::Errno::from_raw(answer.errno).desc();
                warn!(target: "vrrp", "cannot add {} to an ipvlan: {text}", network.address);
            }
        }
        Err(error) => warn!(target: "vrrp", "cannot add {} to an ipvlan: {error}", network.address),
    }
}

pub(super) fn alias() -> String {
    format!("{ALIAS}{}", std::process::id())
}

fn is_alias(alias: &str) -> bool {
    alias.starts_with(ALIAS)
}

/// Made by a daemon that does not run any more.
pub(super) fn is_abandoned(alias: &str) -> bool {
    let Some(pid) = alias.strip_prefix(ALIAS).and_then(|pid| pid.parse::<u32>().ok()) else {
        return false;
    };
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    pid == std::process::id() || comm.is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_and_start_anew_after_a_while() {
        let mut held = Held::new(VirtualLink {
            name: "vrrp.1".into(),
            over: "eth0".into(),
            kind: VirtualKind::Vmac([0, 0, 0x5e, 0, 1, 1]),
            group: None,
            ipv4: true,
            ipv6: false,
            link_local: false,
            notify: false,
            instance: "A".into(),
        });
        let mut now = 20 * LONGEST_DELAY;
        let mut delays = Vec::new();
        for _ in 0..10 {
            held.back_off(now);
            delays.push((held.not_before - now) / 1_000_000);
            now = held.not_before;
        }
        assert_eq!(
            delays,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]
        );
        held.back_off(now + LONGEST_DELAY + 1);
        assert_eq!(held.delay, FIRST_DELAY);
    }

    #[test]
    fn the_shared_address_is_that_of_the_interface_below_or_made_from_its_mac() {
        let lower = Interface {
            mac: vec![2, 0, 0, 0, 1, 0],
            ..Interface::default()
        };
        assert_eq!(shared_address(&lower), Some("fe80::ff:fe00:100".parse().unwrap()));
        assert_eq!(shared_address(&Interface::default()), None);
    }

    #[test]
    fn only_interfaces_of_ended_daemons_are_abandoned() {
        assert!(!is_abandoned("keepalived-rs 1"));
        assert!(is_abandoned("keepalived-rs 4294967294"));
        assert!(!is_abandoned("somebody's") && !is_abandoned("keepalived-rs x"));
    }
}
