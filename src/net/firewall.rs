//! `no_accept` and strict mode: nftables rules that drop packets to and from the addresses, in the very table,
//! sets and chains that keepalived makes.
//!
//! Every change is one transaction. The table of a family exists as long as it has an address.

use super::channel::{Batch, Channel};
use super::links::Table;
use super::message::{Answer, Writer};
use crate::model::Address;
use crate::model::globals::Buffer;
use crate::sys::netlink;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tracing::error;

const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;
const SUBSYSTEM: u16 = 10;

/// nft's numbers of data types, six bits each where two are concatenated.
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
const IFACE_INDEX: u32 = 20;
const ICMPV6_TYPE: u32 = 29;
const IFNAME: u32 = 41;

const META_IIF: u32 = 4;
const META_OIF: u32 = 5;
const META_OIFNAME: u32 = 7;
const META_L4PROTO: u32 = 16;
const META_OIFKIND: u32 = 27;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const SET_CONSTANT: u32 = 2;
const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;
const NFT_GOTO: i32 = -4;
const HOOK_INPUT: u32 = 1;
const HOOK_OUTPUT: u32 = 3;
const NEIGHBOUR_SOLICIT: u8 = 135;
const NEIGHBOUR_ADVERT: u8 = 136;
/// Elements of one message: an attribute is at most 64 KiB long.
const ELEMENTS: usize = 500;

/// What is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Element {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// A link-local address on this interface only.
    LinkLocal(Ipv6Addr, u32),
}

impl Element {
    fn family(self) -> Family {
        match self {
            Element::V4(_) => Family::Ip,
            Element::V6(_) | Element::LinkLocal(..) => Family::Ip6,
        }
    }

    fn set(self) -> &'static str {
        match self {
            Element::V4(_) | Element::V6(_) => "vips",
            Element::LinkLocal(..) => "vips_link_local",
        }
    }

    fn key(self) -> Vec<u8> {
        match self {
            Element::V4(address) => address.octets().to_vec(),
            Element::V6(address) => address.octets().to_vec(),
            Element::LinkLocal(address, index) => [&address.octets()[..], &index.to_ne_bytes()].concat(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Ip,
    Ip6,
}

impl Family {
    fn number(self) -> u8 {
        match self {
            Family::Ip => libc::NFPROTO_IPV4 as u8,
            Family::Ip6 => libc::NFPROTO_IPV6 as u8,
        }
    }
}

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
        self.transaction("remove old drop rules", |batch, settings| {
            for family in [Family::Ip, Family::Ip6] {
                delete_table(batch, family, settings);
            }
        });
    }

    /// Drops packets to and from these addresses as of the next `flush`.
    pub fn block(&mut self, addresses: &[Address]) {
        for address in addresses {
            *self
                .wanted
                .entry((address.network.address, address.interface.clone()))
                .or_default() += 1;
        }
        self.changed = true;
    }

    /// Takes `block` back.
    pub fn unblock(&mut self, addresses: &[Address]) {
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
        if wanted == self.present {
            return;
        }
        let present = std::mem::take(&mut self.present);
        let done = self.transaction("change the drop rules", |batch, settings| {
            for family in [Family::Ip, Family::Ip6] {
                let of = |set: &BTreeSet<Element>| -> BTreeSet<Element> {
                    set.iter()
                        .filter(|element| element.family() == family)
                        .copied()
                        .collect()
                };
                let (now, then) = (of(&present), of(&wanted));
                match (now.is_empty(), then.is_empty()) {
                    (true, true) => {}
                    (_, true) => delete_table(batch, family, settings),
                    (true, false) => {
                        // One that is there is not ours any more: a killed predecessor's.
                        delete_table(batch, family, settings);
                        create_table(batch, family, settings, &then);
                    }
                    (false, false) => {
                        elements(
                            batch,
                            DELSETELEM,
                            family,
                            settings,
                            now.difference(&then).copied(),
                        );
                        elements(
                            batch,
                            NEWSETELEM,
                            family,
                            settings,
                            then.difference(&now).copied(),
                        );
                    }
                }
            }
        });
        self.present = if done { wanted } else { present };
    }

    /// Removes the tables.
    pub fn remove(&mut self) {
        let present = std::mem::take(&mut self.present);
        if present.is_empty() {
            return;
        }
        let families: BTreeSet<Family> = present.iter().map(|element| element.family()).collect();
        self.transaction("remove the drop rules", |batch, settings| {
            for family in &families {
                delete_table(batch, *family, settings);
            }
        });
    }

    fn transaction(&mut self, what: &str, write: impl FnOnce(&mut Batch<'_>, &Settings)) -> bool {
        match self.try_transaction(write) {
            Ok(answers) => match answers.first() {
                None => true,
                Some(answer) => {
                    let text = nix::errno::Errno::from_raw(answer.errno).desc();
                    let more = answer
                        .text
                        .as_deref()
                        .map(|text| format!(": {text}"))
                        .unwrap_or_default();
                    error!(target: "vrrp", "nftables: cannot {what}: {text}{more}; table {}, request {}",
                        self.settings.table, answer.request & 0xff);
                    false
                }
            },
            Err(error) => {
                error!(target: "vrrp", "nftables: cannot {what}: {error}; table {}", self.settings.table);
                false
            }
        }
    }

    fn try_transaction(&mut self, write: impl FnOnce(&mut Batch<'_>, &Settings)) -> io::Result<Vec<Answer>> {
        let channel = match &mut self.channel {
            Some(channel) => channel,
            none => none.insert(Channel::open(netlink::NETFILTER, Buffer::default())?),
        };
        let settings = &self.settings;
        channel.batch(|batch| {
            marker(batch, libc::NFNL_MSG_BATCH_BEGIN as u16);
            write(batch, settings);
            // The end of the transaction is not acknowledged.
            batch.acknowledge();
            marker(batch, libc::NFNL_MSG_BATCH_END as u16);
        })
    }
}

fn marker(batch: &mut Batch<'_>, kind: u16) {
    let writer = batch.begin(kind, 0);
    header(writer, libc::NFPROTO_UNSPEC as u8, SUBSYSTEM);
    writer.end();
}

fn header(writer: &mut Writer, family: u8, resource: u16) {
    let [high, low] = resource.to_be_bytes();
    writer.put(&[family, 0, high, low]);
}

fn request(batch: &mut Batch<'_>, kind: u16, flags: i32, family: Family, write: impl FnOnce(&mut Writer)) {
    let writer = batch.begin(SUBSYSTEM << 8 | kind, flags);
    header(writer, family.number(), 0);
    write(writer);
    writer.end();
}

/// Creates it first, so that removing it cannot fail.
fn delete_table(batch: &mut Batch<'_>, family: Family, settings: &Settings) {
    for (kind, flags) in [(NEWTABLE, libc::NLM_F_CREATE), (DELTABLE, 0)] {
        request(batch, kind, flags, family, |writer| {
            writer.attribute_text(1, &settings.table)
        });
    }
}

fn create_table(batch: &mut Batch<'_>, family: Family, settings: &Settings, content: &BTreeSet<Element>) {
    request(batch, NEWTABLE, libc::NLM_F_CREATE, family, |writer| {
        writer.attribute_text(1, &settings.table);
    });
    let mut maker = Maker {
        batch,
        family,
        settings,
    };
    match family {
        Family::Ip => {
            maker.set("vips", 1, IPV4_ADDR, 4, 0);
            maker.chain("out", Some(HOOK_OUTPUT));
            maker.chain("in", Some(HOOK_INPUT));
        }
        Family::Ip6 => {
            let (kind, length) = if settings.by_index {
                (IFACE_INDEX, 20)
            } else {
                (IFNAME, 32)
            };
            maker.set("parent_link_local", 1, IPV6_ADDR << 6 | kind, length, 0);
            maker.set("vips", 2, IPV6_ADDR, 16, 0);
            maker.set("neighbor-discovery", 3, ICMPV6_TYPE, 1, SET_CONSTANT);
            maker.set("vips_link_local", 4, IPV6_ADDR << 6 | IFACE_INDEX, 20, 0);
            maker.neighbour_types();
            maker.chain("out", Some(HOOK_OUTPUT));
            maker.chain("in", Some(HOOK_INPUT));
            maker.chain("in_link_local", None);
            maker.chain("out_link_local", None);
        }
    }
    elements(maker.batch, NEWSETELEM, family, settings, content.iter().copied());
    match family {
        Family::Ip => {
            maker.rule("out", |rule| {
                rule.address(12, 4).in_set("vips").verdict(NF_DROP, None)
            });
            maker.rule("in", |rule| {
                rule.address(16, 4).in_set("vips").verdict(NF_DROP, None)
            });
        }
        Family::Ip6 => {
            let interface = if settings.by_index { META_OIF } else { META_OIFNAME };
            maker.rule("out", |rule| {
                rule.icmpv6_type()
                    .equals(&[NEIGHBOUR_ADVERT])
                    .meta(META_OIFKIND, 1)
                    .equals(b"macvlan\0\0\0\0\0\0\0\0\0")
                    .address(8, 16)
                    .meta(interface, 2)
                    .in_set("parent_link_local")
                    .verdict(NF_DROP, None);
            });
            for (chain, link_local, offset) in [("out", "out_link_local", 8), ("in", "in_link_local", 24)] {
                maker.rule(chain, |rule| {
                    rule.icmpv6_type()
                        .in_set("neighbor-discovery")
                        .verdict(NF_ACCEPT, None);
                });
                maker.rule(chain, |rule| {
                    rule.address(offset, 16)
                        .link_local()
                        .verdict(NFT_GOTO, Some(link_local))
                });
                maker.rule(chain, |rule| {
                    rule.address(offset, 16).in_set("vips").verdict(NF_DROP, None)
                });
            }
            for (chain, offset, interface) in
                [("in_link_local", 24, META_IIF), ("out_link_local", 8, META_OIF)]
            {
                maker.rule(chain, |rule| {
                    rule.address(offset, 16)
                        .meta(interface, 2)
                        .in_set("vips_link_local")
                        .verdict(NF_DROP, None);
                });
            }
        }
    }
}

fn elements(
    batch: &mut Batch<'_>,
    kind: u16,
    family: Family,
    settings: &Settings,
    list: impl Iterator<Item = Element>,
) {
    let mut sets: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for element in list {
        sets.entry(element.set()).or_default().push(element.key());
    }
    for (set, keys) in sets {
        for keys in keys.chunks(ELEMENTS) {
            element_request(batch, kind, family, settings, set, keys);
        }
    }
}

fn element_request(
    batch: &mut Batch<'_>,
    kind: u16,
    family: Family,
    settings: &Settings,
    set: &str,
    keys: &[Vec<u8>],
) {
    let flags = if kind == NEWSETELEM { libc::NLM_F_CREATE } else { 0 };
    request(batch, kind, flags, family, |writer| {
        writer.attribute_text(1, &settings.table);
        writer.attribute_text(2, set);
        let list = writer.nest(3);
        for key in keys {
            let element = writer.nest(1);
            let outer = writer.nest(1);
            writer.attribute(1, key);
            writer.close(outer);
            writer.close(element);
        }
        writer.close(list);
    });
}

struct Maker<'a, 'b> {
    batch: &'a mut Batch<'b>,
    family: Family,
    settings: &'a Settings,
}

impl Maker<'_, '_> {
    fn set(&mut self, name: &str, id: u32, kind: u32, length: u32, flags: u32) {
        let table = &self.settings.table;
        request(self.batch, NEWSET, libc::NLM_F_CREATE, self.family, |writer| {
            writer.attribute_text(1, table);
            writer.attribute_text(2, name);
            writer.attribute(3, &flags.to_be_bytes());
            writer.attribute(4, &kind.to_be_bytes());
            writer.attribute(5, &length.to_be_bytes());
            writer.attribute(10, &id.to_be_bytes());
        });
    }

    fn neighbour_types(&mut self) {
        let keys = [vec![NEIGHBOUR_SOLICIT], vec![NEIGHBOUR_ADVERT]];
        element_request(
            self.batch,
            NEWSETELEM,
            self.family,
            self.settings,
            "neighbor-discovery",
            &keys,
        );
    }

    fn chain(&mut self, name: &str, hook: Option<u32>) {
        let settings = self.settings;
        request(self.batch, NEWCHAIN, libc::NLM_F_CREATE, self.family, |writer| {
            writer.attribute_text(1, &settings.table);
            writer.attribute_text(3, name);
            if let Some(hook) = hook {
                let nest = writer.nest(4);
                writer.attribute(1, &hook.to_be_bytes());
                writer.attribute(2, &settings.priority.to_be_bytes());
                writer.close(nest);
                writer.attribute(5, &NF_ACCEPT.to_be_bytes());
                writer.attribute_text(7, "filter");
            }
        });
    }

    fn rule(&mut self, chain: &str, write: impl FnOnce(&mut Rule<'_>)) {
        let settings = self.settings;
        let flags = libc::NLM_F_CREATE | libc::NLM_F_APPEND;
        request(self.batch, NEWRULE, flags, self.family, |writer| {
            writer.attribute_text(1, &settings.table);
            writer.attribute_text(2, chain);
            let nest = writer.nest(4);
            write(&mut Rule {
                writer,
                counters: settings.counters,
            });
            writer.close(nest);
        });
    }
}

/// Expressions of one rule, in nft's own encoding, so that `nft list ruleset` shows them as rules.
struct Rule<'a> {
    writer: &'a mut Writer,
    counters: bool,
}

impl Rule<'_> {
    fn expression(&mut self, name: &str, write: impl FnOnce(&mut Writer)) -> &mut Self {
        let element = self.writer.nest(1);
        self.writer.attribute_text(1, name);
        let data = self.writer.nest(2);
        write(self.writer);
        self.writer.close(data);
        self.writer.close(element);
        self
    }

    fn numbers(&mut self, name: &str, numbers: &[(u16, u32)]) -> &mut Self {
        self.expression(name, |writer| {
            for (kind, number) in numbers {
                writer.attribute(*kind, &number.to_be_bytes());
            }
        })
    }

    fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.numbers("meta", &[(1, register), (2, key)])
    }

    fn address(&mut self, offset: u32, length: u32) -> &mut Self {
        self.numbers(
            "payload",
            &[(1, 1), (2, NETWORK_HEADER), (3, offset), (4, length)],
        )
    }

    fn icmpv6_type(&mut self) -> &mut Self {
        self.meta(META_L4PROTO, 1)
            .equals(&[libc::IPPROTO_ICMPV6 as u8])
            .numbers("payload", &[(1, 1), (2, TRANSPORT_HEADER), (3, 0), (4, 1)])
    }

    fn equals(&mut self, value: &[u8]) -> &mut Self {
        self.expression("cmp", |writer| {
            writer.attribute(1, &1u32.to_be_bytes());
            writer.attribute(2, &0u32.to_be_bytes());
            data(writer, 3, value);
        })
    }

    /// fe80::/10
    fn link_local(&mut self) -> &mut Self {
        let (mut mask, mut prefix) = ([0; 16], [0; 16]);
        mask[..2].copy_from_slice(&[0xff, 0xc0]);
        prefix[..2].copy_from_slice(&[0xfe, 0x80]);
        self.expression("bitwise", |writer| {
            writer.attribute(1, &1u32.to_be_bytes());
            writer.attribute(2, &1u32.to_be_bytes());
            writer.attribute(3, &16u32.to_be_bytes());
            data(writer, 4, &mask);
            data(writer, 5, &[0; 16]);
        })
        .equals(&prefix)
    }

    fn in_set(&mut self, set: &str) -> &mut Self {
        self.expression("lookup", |writer| {
            writer.attribute_text(1, set);
            writer.attribute(2, &1u32.to_be_bytes());
        })
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) {
        if self.counters {
            self.expression("counter", |_| {});
        }
        self.expression("immediate", |writer| {
            writer.attribute(1, &0u32.to_be_bytes());
            let outer = writer.nest(2);
            let verdict = writer.nest(2);
            writer.attribute(1, &code.to_be_bytes());
            if let Some(chain) = chain {
                writer.attribute_text(2, chain);
            }
            writer.close(verdict);
            writer.close(outer);
        });
    }
}

fn data(writer: &mut Writer, kind: u16, value: &[u8]) {
    let nest = writer.nest(kind);
    writer.attribute(1, value);
    writer.close(nest);
}
