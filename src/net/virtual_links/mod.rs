//! The virtual interfaces that instances run on: VMACs (private macvlans with the virtual MAC address) and ipvlans.
//!
//! They are made down, given everything that keeps them silent, and only then set up, when the firewall's rules
//! for them are in force. One that is deleted is made again; one that another program sets down stays down, as any
//! interface does. Those that a killed daemon has left are taken over or removed.

mod requests;
mod settings;

use self::requests::{Failure, MACVLAN_PRIVATE};
use self::settings::Below;
use super::channel::Channel;
use super::firewall::VirtualMac;
use super::links::Table;
use crate::model::{Address, IpNetwork, Lifetime};
use crate::net::objects::{self, Action, Object, Operation};
use crate::state::Interface;
use crate::state::kernel::{Made, VirtualKind, VirtualLink};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use tracing::{info, warn};

/// Begin of the alias of every interface that is made here; the process id follows.
const ALIAS: &str = "keepalived-rs ";
const IFA_F_TENTATIVE: u32 = 0x40;
const FIRST_DELAY: u64 = 100_000_000;
const LONGEST_DELAY: u64 = 10_000_000_000;

/// One that is wanted.
#[derive(Debug)]
struct Held {
    link: VirtualLink,
    /// Index, once it is there as it shall be.
    index: Option<u32>,
    /// It has been prepared and set up.
    raised: bool,
    /// It is missing, and made when its time has come.
    waiting: bool,
    /// When it was last made, or tried (monotonic, nanoseconds).
    last: u64,
    /// Nothing is tried before.
    not_before: u64,
    delay: u64,
    /// It could not be made, and that has been said.
    failed: bool,
    link_local: Option<Ipv6Addr>,
}

/// One that was just brought up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Its name.
    pub name: String,
    /// Instance that it is made for.
    pub instance: Arc<str>,
    /// It is an ipvlan.
    pub ipvlan: bool,
    /// How.
    pub made: Made,
}

/// Those that are wanted, in the order of the file.
#[derive(Debug, Default)]
pub struct VirtualLinks {
    held: Vec<Held>,
    /// No longer wanted, removed with the next `remove_unwanted`.
    leaving: Vec<Held>,
    below: Below,
    /// Made in this round: how.
    fresh: Vec<Brought>,
    started: bool,
}

impl VirtualLinks {
    /// The whole list. At the first time, what killed daemons have left and nobody wants is removed.
    pub fn set(&mut self, links: Vec<VirtualLink>, channel: &mut Channel, table: &Table) {
        let mut before: Vec<Held> = self.held.drain(..).chain(self.leaving.drain(..)).collect();
        for link in links {
            let known = before.iter().position(|held| held.link.name == link.name);
            let held = match known.map(|at| before.remove(at)) {
                Some(held) if same_place(&held.link, &link) => {
                    if held.raised && held.link.kind == link.kind {
                        self.fresh.push(held.brought(Made::Found));
                    }
                    Held {
                        raised: held.raised && held.link.ipv6 == link.ipv6 && held.link.ipv4 == link.ipv4,
                        link,
                        not_before: 0,
                        failed: false,
                        ..held
                    }
                }
                other => {
                    // Another one under the same name: that one goes first.
                    if let Some(index) = other.and_then(|held| held.index) {
                        let _ = requests::remove(channel, index);
                    }
                    Held::new(link)
                }
            };
            self.held.push(held);
        }
        self.leaving = before;
        if !std::mem::replace(&mut self.started, true) {
            self.remove_abandoned(channel, table);
        }
    }

    /// Interfaces that a killed daemon has made, and that nobody wants now.
    fn remove_abandoned(&self, channel: &mut Channel, table: &Table) {
        for found in table.iter() {
            let abandoned = found.alias.as_deref().is_some_and(is_abandoned);
            if abandoned && !self.is_wanted(&found.name) {
                info!(target: "vrrp", "Removing interface {}, which a daemon that was killed has left behind", found.name);
                let _ = requests::remove(channel, found.index);
            }
        }
    }

    /// Makes what is missing, down. `raise` follows when the table knows of it.
    pub fn create(&mut self, channel: &mut Channel, table: &Table, now: u64) {
        let VirtualLinks {
            held, below, fresh, ..
        } = self;
        for held in held {
            held.waiting = false;
            let Some(lower) = table.by_name(&held.link.over) else {
                // Gone along with the interface below.
                held.index = None;
                below.forget(&held.link.over);
                continue;
            };
            let master = lower.master.filter(|master| {
                table
                    .get(*master)
                    .is_some_and(|master| master.vrf_table.is_some())
            });
            let found = table.by_name(&held.link.name);
            if let Some(found) = found.filter(|found| held.is_it(found, lower, master)) {
                if held.index != Some(found.index) {
                    // Left by a predecessor.
                    held.index = Some(found.index);
                    held.raised = false;
                    let _ = requests::update(channel, found.index, None, None, None, Some(&alias()));
                    fresh.push(held.brought(Made::Found));
                    change_below(below, &held.link, true);
                }
                continue;
            }
            if now < held.not_before {
                held.waiting = true;
                continue;
            }
            held.back_off(now);
            let result = held.make(found, lower, master, channel);
            match result {
                Ok(made) => {
                    held.failed = false;
                    fresh.push(held.brought(made));
                    change_below(below, &held.link, false);
                }
                Err(failure) => {
                    held.waiting = true;
                    if !std::mem::replace(&mut held.failed, true) {
                        held.complain(&failure);
                    }
                }
            }
        }
    }

    /// Prepares those that are there and sets them up; the firewall's rules for them are in force. Returns those
    /// that were made since the last time.
    pub fn raise(&mut self, channel: &mut Channel, table: &Table) -> Vec<Brought> {
        for held in &mut self.held {
            let Some(lower) = table.by_name(&held.link.over) else {
                continue;
            };
            let found = table.by_name(&held.link.name);
            let Some(found) = found.filter(|found| found.lower == Some(lower.index)) else {
                continue;
            };
            held.index = Some(found.index);
            if !held.raised {
                settings::prepare(&held.link);
                if let Err(failure) = requests::raise(channel, found.index) {
                    held.complain(&failure);
                    continue;
                }
                held.raised = true;
                if let VirtualKind::Ipvlan {
                    address: Some(address),
                    ..
                } = held.link.kind
                {
                    add_address(channel, found.index, address);
                }
                if held.link.notify {
                    let _ = requests::notify(channel, lower.index, lower.group);
                }
            }
            held.share_link_local(channel, found, lower);
        }
        std::mem::take(&mut self.fresh)
    }

    /// Removes those that are no longer wanted.
    pub fn remove_unwanted(&mut self, channel: &mut Channel) {
        for held in std::mem::take(&mut self.leaving) {
            held.remove(channel);
        }
        let held = &self.held;
        self.below.restore(|name| is_below(held, name));
    }

    /// Removes them all, at the end.
    pub fn remove_all(&mut self, channel: &mut Channel) {
        self.leaving.append(&mut self.held);
        self.remove_unwanted(channel);
    }

    /// Interfaces of these names matter here.
    pub fn concerns(&self, name: &str) -> bool {
        self.held
            .iter()
            .any(|held| held.link.name == name || held.link.over == name)
    }

    /// One of that name is wanted.
    pub fn is_wanted(&self, name: &str) -> bool {
        self.held.iter().any(|held| held.link.name == name)
    }

    /// The interface of this name has been deleted; true when it is wanted and what is below it is there.
    pub fn deleted(&mut self, name: &str, table: &Table) -> bool {
        let Some(held) = self.held.iter_mut().find(|held| held.link.name == name) else {
            return false;
        };
        held.index = None;
        held.raised = false;
        held.link_local = None;
        table.by_name(&held.link.over).is_some()
    }

    /// One that has been set up has not the link-local address that it was given.
    pub fn lacks_address(&self, table: &Table) -> bool {
        self.held.iter().any(|held| {
            let found = table.by_name(&held.link.name).filter(|_| held.raised);
            let lacks = |found: &Interface, address: Ipv6Addr| {
                !found
                    .addresses
                    .iter()
                    .any(|known| known.address == address && known.flags & IFA_F_TENTATIVE == 0)
            };
            found
                .zip(held.link_local)
                .is_some_and(|(found, address)| lacks(found, address))
        })
    }

    /// Returns when what others are doing to interfaces is done: one request that changes nothing waits for the
    /// kernel's lock.
    pub fn settle(&self, channel: &mut Channel) {
        let _ = requests::update(channel, u32::MAX >> 1, None, None, None, None);
    }

    /// When one that could not be made is tried again.
    pub fn deadline(&self) -> Option<u64> {
        self.held
            .iter()
            .filter(|held| held.waiting)
            .map(|held| held.not_before)
            .min()
    }

    /// What the firewall must know of.
    pub fn vmacs(&self, table: &Table) -> Vec<VirtualMac> {
        let vmac = |held: &Held| {
            let found = table.by_name(&held.link.name)?;
            let lower = table.by_name(&held.link.over)?;
            Some(VirtualMac {
                name: found.name.clone(),
                index: found.index,
                lower: lower.index,
                families: (held.link.ipv4, held.link.ipv6),
                link_local: held.link.link_local.then(|| shared_address(lower)).flatten(),
            })
        };
        let is_vmac = |held: &&Held| matches!(held.link.kind, VirtualKind::Vmac(_));
        self.held.iter().filter(is_vmac).filter_map(vmac).collect()
    }
}

/// keepalived's line about a virtual interface that is there.
pub fn tell_made(instance: &str, name: &str, ipvlan: bool, made: Made) {
    let kind = kind_name(ipvlan);
    match made {
        Made::Created => {
            info!(target: "vrrp", VRRP_INSTANCE = instance, "({instance}): Success creating {kind} interface {name}");
        }
        Made::Updated => {
            info!(target: "vrrp", VRRP_INSTANCE = instance, "({instance}): Success updating {kind} interface {name}");
        }
        Made::Found => {
            info!(target: "vrrp", VRRP_INSTANCE = instance, "({instance}) Found matching interface {name}");
        }
    }
}

impl Held {
    fn new(link: VirtualLink) -> Held {
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
    fn back_off(&mut self, now: u64) {
        self.delay = if now.saturating_sub(self.last) > LONGEST_DELAY {
            FIRST_DELAY
        } else {
            (self.delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY)
        };
        self.last = now;
        self.not_before = now.saturating_add(self.delay);
    }

    fn is_ipvlan(&self) -> bool {
        matches!(self.link.kind, VirtualKind::Ipvlan { .. })
    }

    fn brought(&self, made: Made) -> Brought {
        Brought {
            name: self.link.name.clone(),
            instance: self.link.instance.clone(),
            ipvlan: self.is_ipvlan(),
            made,
        }
    }

    /// The interface is just this one.
    fn is_it(&self, found: &Interface, lower: &Interface, master: Option<u32>) -> bool {
        let mac = match self.link.kind {
            VirtualKind::Vmac(mac) => found.mac == mac,
            VirtualKind::Ipvlan { .. } => true,
        };
        let group = self.link.group.is_none_or(|group| group == found.group);
        self.is_like(found, lower) && mac && group && found.master == master
    }

    /// The interface can be made into this one.
    fn is_like(&self, found: &Interface, lower: &Interface) -> bool {
        let kind = found.kind.as_deref();
        let same_kind = match self.link.kind {
            VirtualKind::Vmac(_) => kind == Some("macvlan") && found.macvlan_mode == Some(MACVLAN_PRIVATE),
            VirtualKind::Ipvlan { .. } => kind == Some("ipvlan"),
        };
        same_kind && found.lower == Some(lower.index)
    }

    fn make(
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
    fn share_link_local(&mut self, channel: &mut Channel, found: &Interface, lower: &Interface) {
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

    fn remove(self, channel: &mut Channel) {
        let (name, instance) = (&self.link.name, &self.link.instance);
        let Some(index) = self.index else { return };
        let kind = kind_name(self.is_ipvlan());
        match requests::remove(channel, index) {
            Ok(()) => {
                info!(target: "vrrp", VRRP_INSTANCE = %instance, "({instance}) Success removing {kind} interface {name}");
            }
            Err(failure) if failure.errno() == libc::ENODEV => {}
            Err(failure) => {
                info!(target: "vrrp", VRRP_INSTANCE = %instance, "({instance}) Error removing {kind} interface {name}");
                self.explain(&failure);
            }
        }
    }

    /// keepalived's lines, and one of ours that says why.
    fn complain(&self, failure: &Failure) {
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

    fn explain(&self, failure: &Failure) {
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

fn kind_name(ipvlan: bool) -> &'static str {
    if ipvlan { "ipvlan" } else { "VMAC" }
}

/// A reload can turn one into the other without making it anew.
fn same_place(a: &VirtualLink, b: &VirtualLink) -> bool {
    let vmac = |link: &VirtualLink| matches!(link.kind, VirtualKind::Vmac(_));
    a.over == b.over && (a.kind == b.kind || (vmac(a) && vmac(b)))
}

fn change_below(below: &mut Below, link: &VirtualLink, left_over: bool) {
    if link.ipv4 && matches!(link.kind, VirtualKind::Vmac(_)) {
        below.change(&link.over, left_over);
    }
}

fn is_below(held: &[Held], name: &str) -> bool {
    let over = |held: &&Held| held.link.over == name;
    held.iter()
        .filter(over)
        .any(|held| held.link.ipv4 && matches!(held.link.kind, VirtualKind::Vmac(_)))
}

/// The link-local address of an interface; where it has none, the one that its MAC address makes.
fn shared_address(lower: &Interface) -> Option<Ipv6Addr> {
    if let Some(IpAddr::V6(address)) = lower.source(true) {
        return Some(address);
    }
    let [a, b, c, d, e, f] = *lower.mac.as_slice() else {
        return None;
    };
    let octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    Some(octets.into())
}

fn add_address(channel: &mut Channel, index: u32, network: IpNetwork) {
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

fn alias() -> String {
    format!("{ALIAS}{}", std::process::id())
}

fn is_alias(alias: &str) -> bool {
    alias.starts_with(ALIAS)
}

/// Made by a daemon that does not run any more.
fn is_abandoned(alias: &str) -> bool {
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
