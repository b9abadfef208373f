//! Links and their addresses: a dump at the start, kept up to date by the monitor's messages.

use super::channel::Channel;
use super::message::{Message, attributes, text_of, u32_at};
use crate::model::globals::Buffer;
use crate::state::{Interface, InterfaceAddress};
use crate::sys::netlink;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// IFLA_EXT_MASK: leave the counters out.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const IFA_F_SECONDARY: u32 = 1;
const IFA_PROTO: u16 = 11;

/// All interfaces of this network namespace with their addresses, by index.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut channel = Channel::open(netlink::ROUTE, Buffer::default())?;
    Ok(Table::read(&mut channel)?.links.into_values().collect())
}

/// What the kernel has said about links and addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    links: BTreeMap<u32, Interface>,
}

/// What a message changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A link is there, or has changed.
    Link {
        /// Its index.
        index: u32,
        /// Its former name, when it has another one now.
        renamed_from: Option<String>,
        /// It was not there before.
        new: bool,
        /// It is up, and was not there, not up, or had another name before.
        came_up: bool,
        /// It is down, and was up before.
        went_down: bool,
    },
    /// A link is gone.
    LinkGone {
        /// What it was.
        interface: Interface,
    },
    /// An address was added, or its flags have changed.
    AddressAdded {
        /// Index of the link.
        index: u32,
        /// Address.
        address: InterfaceAddress,
    },
    /// An address was removed.
    AddressRemoved {
        /// Index of the link.
        index: u32,
        /// Address.
        address: InterfaceAddress,
        /// Port id of who asked for it; 0 is the kernel itself, or not told (IPv6).
        port: u32,
    },
}

impl Table {
    /// A fresh dump.
    pub fn read(channel: &mut Channel) -> io::Result<Table> {
        let table = std::cell::RefCell::new(Table::default());
        channel.dump(
            libc::RTM_GETLINK,
            |writer| {
                writer.put(&[0; LINK_HEADER]);
                writer.attribute(libc::IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
            },
            || table.borrow_mut().links.clear(),
            |message| {
                table.borrow_mut().apply(message);
            },
        )?;
        channel.dump(
            libc::RTM_GETADDR,
            |writer| writer.put(&[0; ADDRESS_HEADER]),
            || {
                table
                    .borrow_mut()
                    .links
                    .values_mut()
                    .for_each(|link| link.addresses.clear())
            },
            |message| {
                // In the kernel's order, which is not that in which they were added.
                if let Some((index, address)) = read_address(message)
                    && let Some(link) = table.borrow_mut().links.get_mut(&index)
                {
                    link.addresses.push(address);
                }
            },
        )?;
        Ok(table.into_inner())
    }

    /// All interfaces, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.links.values()
    }

    /// An interface by its index.
    pub fn get(&self, index: u32) -> Option<&Interface> {
        self.links.get(&index)
    }

    /// An interface by its name.
    pub fn by_name(&self, name: &str) -> Option<&Interface> {
        self.links.values().find(|link| link.name == name)
    }

    /// Takes in one message of the monitor. `None` when it says nothing new or nothing that we look at.
    pub fn apply(&mut self, message: &Message<'_>) -> Option<Change> {
        match message.kind {
            libc::RTM_NEWLINK => {
                let mut link = read_link(message)?;
                let before = self.links.get_mut(&link.index);
                let new = before.is_none();
                let mut renamed_from = None;
                let mut came_up = link.is_up();
                let went_down = before.as_ref().is_some_and(|before| before.is_up()) && !came_up;
                if let Some(before) = before {
                    link.addresses = std::mem::take(&mut before.addresses);
                    if *before
                        == (Interface {
                            addresses: Vec::new(),
                            ..link.clone()
                        })
                    {
                        before.addresses = link.addresses;
                        return None;
                    }
                    came_up &= !before.is_up() || before.name != link.name;
                    if before.name != link.name {
                        renamed_from = Some(before.name.clone());
                    }
                }
                let index = link.index;
                self.links.insert(index, link);
                Some(Change::Link {
                    index,
                    renamed_from,
                    new,
                    came_up,
                    went_down,
                })
            }
            libc::RTM_DELLINK => {
                let index = read_link(message)?.index;
                let interface = self.links.remove(&index)?;
                Some(Change::LinkGone { interface })
            }
            libc::RTM_NEWADDR => {
                let (index, address) = read_address(message)?;
                let list = &mut self.links.get_mut(&index)?.addresses;
                let known = list.iter_mut().find(|known| same(known, &address));
                match known {
                    Some(known) if *known == address => return None,
                    Some(known) => *known = address.clone(),
                    None => insert(list, address.clone()),
                }
                Some(Change::AddressAdded { index, address })
            }
            libc::RTM_DELADDR => {
                let (index, address) = read_address(message)?;
                let list = &mut self.links.get_mut(&index)?.addresses;
                // The kernel tells of a new IPv6 address from a work queue: it can be gone before that.
                list.retain(|known| !same(known, &address));
                Some(Change::AddressRemoved {
                    index,
                    address,
                    port: message.port,
                })
            }
            _ => None,
        }
    }
}

fn same(a: &InterfaceAddress, b: &InterfaceAddress) -> bool {
    a.address == b.address && a.prefix == b.prefix
}

/// Puts an address where the kernel has it: a primary IPv4 address before the secondary ones, a secondary at
/// the end, an IPv6 one before those of the same or a narrower scope.
fn insert(list: &mut Vec<InterfaceAddress>, address: InterfaceAddress) {
    let place = match address.address {
        IpAddr::V4(_) => {
            let primary = address.flags & IFA_F_SECONDARY == 0;
            list.iter()
                .position(|known| known.address.is_ipv6() || (primary && known.flags & IFA_F_SECONDARY != 0))
        }
        IpAddr::V6(_) => {
            let width = width(&address);
            list.iter()
                .position(|known| known.address.is_ipv6() && self::width(known) <= width)
        }
    };
    list.insert(place.unwrap_or(list.len()), address);
}

fn width(address: &InterfaceAddress) -> u8 {
    match i32::from(address.scope) {
        0 => 3,
        scope if scope == i32::from(libc::RT_SCOPE_SITE) => 2,
        scope if scope == i32::from(libc::RT_SCOPE_LINK) => 1,
        _ => 0,
    }
}

fn read_link(message: &Message<'_>) -> Option<Interface> {
    let payload = message.payload;
    // Other families tell of a bridge's port, not of a link.
    if *payload.first()? != libc::AF_UNSPEC as u8 {
        return None;
    }
    let mut link = Interface {
        hardware_type: super::message::u16_at(payload, 2)?,
        index: u32_at(payload, 4)?,
        flags: u32_at(payload, 8)?,
        ..Interface::default()
    };
    let (mut other_namespace, mut lower) = (false, None);
    for (kind, value) in attributes(payload, LINK_HEADER) {
        match kind {
            libc::IFLA_ADDRESS => link.mac = value.to_vec(),
            libc::IFLA_BROADCAST => link.mac_broadcast = value.to_vec(),
            libc::IFLA_IFNAME => link.name = text_of(value),
            libc::IFLA_IFALIAS => link.alias = Some(text_of(value)),
            libc::IFLA_MTU => link.mtu = u32_at(value, 0)?,
            libc::IFLA_LINK => lower = u32_at(value, 0),
            libc::IFLA_LINK_NETNSID => other_namespace = true,
            libc::IFLA_MASTER => link.master = u32_at(value, 0),
            libc::IFLA_GROUP => link.group = u32_at(value, 0)?,
            libc::IFLA_LINKINFO => read_link_info(value, &mut link),
            _ => {}
        }
    }
    let stacked = link
        .kind
        .as_deref()
        .is_some_and(|kind| matches!(kind, "vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap"));
    link.lower = lower.filter(|_| stacked && !other_namespace);
    Some(link)
}

fn read_link_info(info: &[u8], link: &mut Interface) {
    const INFO_KIND: u16 = 1;
    const INFO_DATA: u16 = 2;
    const MACVLAN_MODE: u16 = 1;
    const VRF_TABLE: u16 = 1;
    let first = |kind| {
        attributes(info, 0)
            .find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    };
    link.kind = first(INFO_KIND).map(text_of);
    let number = |wanted| {
        let data = first(INFO_DATA)?;
        let (_, value) = attributes(data, 0).find(|(kind, _)| *kind == wanted)?;
        u32_at(value, 0)
    };
    match link.kind.as_deref() {
        Some("macvlan" | "macvtap") => link.macvlan_mode = number(MACVLAN_MODE),
        Some("vrf") => link.vrf_table = number(VRF_TABLE),
        _ => {}
    }
}

fn read_address(message: &Message<'_>) -> Option<(u32, InterfaceAddress)> {
    let payload = message.payload;
    let family = i32::from(*payload.first()?);
    let (mut local, mut address, mut label, mut protocol) = (None, None, None, 0);
    let mut flags = u32::from(*payload.get(2)?);
    for (kind, value) in attributes(payload, ADDRESS_HEADER) {
        match kind {
            libc::IFA_LOCAL => local = read_ip(family, value),
            libc::IFA_ADDRESS => address = read_ip(family, value),
            libc::IFA_LABEL => label = Some(text_of(value)),
            libc::IFA_FLAGS => flags = u32_at(value, 0)?,
            IFA_PROTO => protocol = *value.first()?,
            _ => {}
        }
    }
    let found = InterfaceAddress {
        address: local.or(address)?,
        prefix: *payload.get(1)?,
        scope: *payload.get(3)?,
        flags,
        protocol,
        label,
    };
    Some((u32_at(payload, 4)?, found))
}

fn read_ip(family: i32, value: &[u8]) -> Option<IpAddr> {
    match family {
        libc::AF_INET => Some(Ipv4Addr::from(*value.first_chunk::<4>()?).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(*value.first_chunk::<16>()?).into()),
        _ => None,
    }
}
