//! `no_accept` and strict mode: nftables rules that drop packets to and from the addresses, in the very table,
//! sets and chains that keepalived makes.
//!
//! Every change is one transaction. The table of a family exists as long as it has an address.

pub mod marks;
mod rules;
mod vmac;

pub use self::vmac::VirtualMac;

use self::rules::{Element, Family, add_elements, begin, create_table, delete_table, end, remove_elements};
use super::channel::{Batch, Channel};
use super::links::Table;
use crate::model::Address;
use crate::model::globals::Buffer;
use crate::sys::netlink;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use tracing::error;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    table: String,
    priority: i32,
    by_index: bool,
    counters: bool,
}

/// The drop rules.
#[derive(Debug)]
pub struct Firewall {
    settings: Settings,
    channel: Option<Channel>,
    /// How many claimed instances want it dropped: address and interface name.
    wanted: BTreeMap<(IpAddr, String), u32>,
    present: BTreeSet<Element>,
    /// VMACs that there are, and those of which the kernel has the rules.
    vmacs: Vec<VirtualMac>,
    present_vmacs: Vec<VirtualMac>,
    changed: bool,
}

impl Default for Firewall {
    fn default() -> Self {
        Firewall {
            settings: Settings {
                table: "keepalived".into(),
                priority: -1,
                by_index: false,
                counters: false,
            },
            channel: None,
            wanted: BTreeMap::new(),
            present: BTreeSet::new(),
            vmacs: Vec::new(),
            present_vmacs: Vec::new(),
            changed: false,
        }
    }
}

impl Firewall {
    /// Settings; the name of the table does not change while something is dropped (a reload refuses that).
    pub fn configure(&mut self, table: &str, priority: i32, by_index: bool, counters: bool) {
        let table = if table.is_empty() { "keepalived" } else { table };
        let settings = Settings {
            table: table.to_owned(),
            priority,
            by_index,
            counters,
        };
        if settings != self.settings {
            self.remove();
            self.settings = settings;
            self.changed = true;
        }
    }

    /// Removes the tables that a killed predecessor has left.
    pub fn clean(&mut self) {
        let ours = |family| self.present_vmacs.iter().any(|vmac| vmac.concerns(family));
        let left = [Family::Ip, Family::Ip6].map(|family| (family, ours(family)));
        self.transaction("remove old drop rules", |batch, settings| {
            for (family, _) in left.iter().filter(|(_, ours)| !ours) {
                delete_table(batch, *family, settings);
            }
        });
    }

    /// Drops packets to and from these addresses as of the next `flush`.
    pub fn block<'a>(&mut self, addresses: impl IntoIterator<Item = &'a Address>) {
        for address in addresses {
            *self
                .wanted
                .entry((address.network.address, address.interface.clone()))
                .or_default() += 1;
        }
        self.changed = true;
    }

    /// Takes `block` back.
    pub fn unblock<'a>(&mut self, addresses: impl IntoIterator<Item = &'a Address>) {
        for address in addresses {
            let key = (address.network.address, address.interface.clone());
            if let Some(count) = self.wanted.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(&key);
                }
            }
        }
        self.changed = true;
    }

    /// The VMACs that there are, as of the next `flush`.
    pub fn set_vmacs(&mut self, vmacs: Vec<VirtualMac>) {
        self.changed |= vmacs != self.vmacs;
        self.vmacs = vmacs;
    }

    /// Interfaces have come or gone: link-local addresses are dropped by index.
    pub fn interfaces_changed(&mut self) {
        self.changed |= !self.wanted.is_empty();
    }

    /// Makes the kernel have what is wanted, in one transaction.
    pub fn flush(&mut self, table: &Table) {
        if !std::mem::replace(&mut self.changed, false) {
            return;
        }
        let wanted: BTreeSet<Element> = self
            .wanted
            .keys()
            .filter_map(|(address, interface)| match address {
                IpAddr::V4(v4) => Some(Element::V4(*v4)),
                IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                    Some(Element::LinkLocal(*v6, table.by_name(interface)?.index))
                }
                IpAddr::V6(v6) => Some(Element::V6(*v6)),
            })
            .collect();
        if wanted == self.present && self.vmacs == self.present_vmacs {
            return;
        }
        let (present, present_vmacs) = (
            std::mem::take(&mut self.present),
            std::mem::take(&mut self.present_vmacs),
        );
        let vmacs = self.vmacs.clone();
        let done = self.transaction("change the drop rules", |batch, settings| {
            for family in [Family::Ip, Family::Ip6] {
                let elements = |set: &BTreeSet<Element>| -> BTreeSet<Element> {
                    set.iter()
                        .filter(|element| element.family() == family)
                        .copied()
                        .collect()
                };
                let of = |list: &'_ [VirtualMac]| -> Vec<VirtualMac> {
                    list.iter()
                        .filter(|vmac| vmac.concerns(family))
                        .cloned()
                        .collect()
                };
                let (now, then) = (elements(&present), elements(&wanted));
                let (vmacs_now, vmacs_then) = (of(&present_vmacs), of(&vmacs));
                let nothing_now = now.is_empty() && vmacs_now.is_empty();
                match (nothing_now, then.is_empty() && vmacs_then.is_empty()) {
                    (true, true) => {}
                    (_, true) => delete_table(batch, family, settings),
                    _ if now.is_empty() != then.is_empty() || vmacs_now != vmacs_then || nothing_now => {
                        // Made anew in the same transaction: there is no moment without it. One that is there
                        // and is not ours is a killed predecessor's.
                        delete_table(batch, family, settings);
                        let vmacs: Vec<&VirtualMac> = vmacs_then.iter().collect();
                        create_table(batch, family, settings, &then, &vmacs);
                    }
                    _ => {
                        remove_elements(batch, family, settings, now.difference(&then).copied());
                        add_elements(batch, family, settings, then.difference(&now).copied());
                    }
                }
            }
        });
        (self.present, self.present_vmacs) = if done {
            (wanted, vmacs)
        } else {
            (present, present_vmacs)
        };
    }

    /// Removes the tables.
    pub fn remove(&mut self) {
        let present = std::mem::take(&mut self.present);
        let vmacs = std::mem::take(&mut self.present_vmacs);
        if present.is_empty() && vmacs.is_empty() {
            return;
        }
        let there = |family: &Family| {
            present.iter().any(|element| element.family() == *family)
                || vmacs.iter().any(|vmac| vmac.concerns(*family))
        };
        let families: Vec<Family> = [Family::Ip, Family::Ip6].into_iter().filter(there).collect();
        self.transaction("remove the drop rules", |batch, settings| {
            for family in &families {
                delete_table(batch, *family, settings);
            }
        });
    }

    fn transaction(&mut self, what: &str, write: impl FnOnce(&mut Batch<'_>, &Settings)) -> bool {
        let settings = &self.settings;
        let done = attempt(&mut self.channel, |batch| write(batch, settings));
        if let Err(problem) = &done {
            error!(target: "vrrp", "nftables: cannot {what}: {problem}; table {}", settings.table);
        }
        done.is_ok()
    }
}

/// One transaction. The error says what the kernel says.
fn attempt(channel: &mut Option<Channel>, write: impl FnOnce(&mut Batch<'_>)) -> Result<(), String> {
    let channel = match channel {
        Some(channel) => channel,
        none => none.insert(Channel::open(netlink::NETFILTER, Buffer::default()).map_err(|e| e.to_string())?),
    };
    let answers = channel.batch(|batch| {
        begin(batch);
        write(batch);
        end(batch);
    });
    match answers.map_err(|error| error.to_string())?.first() {
        None => Ok(()),
        Some(answer) => {
            let text = nix::errno::Errno::from_raw(answer.errno).desc();
            let more = answer.text.as_deref().map(|text| format!(": {text}"));
            Err(format!(
                "{text}{}, request {}",
                more.unwrap_or_default(),
                answer.request & 0xff
            ))
        }
    }
}
