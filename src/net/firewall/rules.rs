//! The rule sets as nftables messages, in nft's own encoding, so that `nft list ruleset` shows keepalived's.

use super::Settings;
use super::vmac::VirtualMac;
use crate::net::channel::Batch;
use crate::net::message::Writer;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
pub(super) const NEWSET: u16 = 9;
pub(super) const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;
const SUBSYSTEM: u16 = 10;

/// nft's numbers of data types, six bits each where two are concatenated.
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
pub(super) const IFACE_INDEX: u32 = 20;
pub(super) const ICMPV6_TYPE: u32 = 29;
const IFNAME: u32 = 41;

const META_IIF: u32 = 4;
pub(super) const META_OIF: u32 = 5;
const META_OIFNAME: u32 = 7;
const META_L4PROTO: u32 = 16;
pub(super) const META_OIFKIND: u32 = 27;
pub(super) const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
pub(super) const SET_CONSTANT: u32 = 2;
pub(super) const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;
const NFT_GOTO: i32 = -4;
pub(super) const NFT_RETURN: i32 = -5;
pub(super) const HOOK_INPUT: u32 = 1;
const HOOK_OUTPUT: u32 = 3;
const NEIGHBOUR_SOLICIT: u8 = 135;
const NEIGHBOUR_ADVERT: u8 = 136;
/// Elements of one message: an attribute is at most 64 KiB long.
pub(super) const ELEMENTS: usize = 500;

/// What is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// A link-local address on this interface only.
    LinkLocal(Ipv6Addr, u32),
}

impl Element {
    pub(super) fn family(self) -> Family {
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
pub(super) enum Family {
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

/// Begins a transaction.
pub(super) fn begin(batch: &mut Batch<'_>) {
    marker(batch, libc::NFNL_MSG_BATCH_BEGIN as u16);
}

/// Ends it. The last request before the end is the one that is acknowledged; the end itself is not.
pub(super) fn end(batch: &mut Batch<'_>) {
    batch.acknowledge();
    marker(batch, libc::NFNL_MSG_BATCH_END as u16);
}

/// Adds elements to their sets.
pub(super) fn add_elements(
    batch: &mut Batch<'_>,
    family: Family,
    settings: &Settings,
    list: impl Iterator<Item = Element>,
) {
    elements(batch, NEWSETELEM, family, settings, list);
}

/// Removes elements from their sets.
pub(super) fn remove_elements(
    batch: &mut Batch<'_>,
    family: Family,
    settings: &Settings,
    list: impl Iterator<Item = Element>,
) {
    elements(batch, DELSETELEM, family, settings, list);
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

pub(super) fn request(
    batch: &mut Batch<'_>,
    kind: u16,
    flags: i32,
    family: Family,
    write: impl FnOnce(&mut Writer),
) {
    let writer = batch.begin(SUBSYSTEM << 8 | kind, flags);
    header(writer, family.number(), 0);
    write(writer);
    writer.end();
}

/// Creates it first, so that removing it cannot fail.
pub(super) fn delete_table(batch: &mut Batch<'_>, family: Family, settings: &Settings) {
    for (kind, flags) in [(NEWTABLE, libc::NLM_F_CREATE), (DELTABLE, 0)] {
        request(batch, kind, flags, family, |writer| {
            writer.attribute_text(1, &settings.table)
        });
    }
}

pub(super) fn create_empty_table(batch: &mut Batch<'_>, family: Family, settings: &Settings) {
    request(batch, NEWTABLE, libc::NLM_F_CREATE, family, |writer| {
        writer.attribute_text(1, &settings.table);
    });
}

/// With what is wanted of both: addresses that are dropped, and VMACs.
pub(super) fn create_table(
    batch: &mut Batch<'_>,
    family: Family,
    settings: &Settings,
    content: &BTreeSet<Element>,
    vmacs: &[&VirtualMac],
) {
    create_empty_table(batch, family, settings);
    let mut maker = Maker {
        batch,
        family,
        settings,
    };
    let drops = !content.is_empty();
    if family == Family::Ip6 {
        let (kind, length) = if settings.by_index {
            (IFACE_INDEX, 20)
        } else {
            (IFNAME, 32)
        };
        maker.set("parent_link_local", 1, IPV6_ADDR << 6 | kind, length, 0);
        maker.shared_link_local(vmacs);
    }
    maker.vmac_sets(vmacs);
    if drops {
        maker.drop_sets();
    }
    maker.chain("out", Some(HOOK_OUTPUT));
    if drops {
        maker.chain("in", Some(HOOK_INPUT));
        if family == Family::Ip6 {
            maker.chain("in_link_local", None);
            maker.chain("out_link_local", None);
        }
    }
    elements(maker.batch, NEWSETELEM, family, settings, content.iter().copied());
    if family == Family::Ip6 {
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
    }
    maker.vmac_rules(vmacs);
    if drops {
        maker.drop_rules();
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

pub(super) struct Maker<'a, 'b> {
    pub(super) batch: &'a mut Batch<'b>,
    pub(super) family: Family,
    pub(super) settings: &'a Settings,
}

impl Maker<'_, '_> {
    pub(super) fn set(&mut self, name: &str, id: u32, kind: u32, length: u32, flags: u32) {
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

    pub(super) fn elements(&mut self, set: &str, keys: &[Vec<u8>]) {
        for keys in keys.chunks(ELEMENTS) {
            element_request(self.batch, NEWSETELEM, self.family, self.settings, set, keys);
        }
    }

    /// The sets of addresses that are dropped.
    fn drop_sets(&mut self) {
        match self.family {
            Family::Ip => self.set("vips", 2, IPV4_ADDR, 4, 0),
            Family::Ip6 => {
                self.set("vips", 2, IPV6_ADDR, 16, 0);
                self.set("neighbor-discovery", 3, ICMPV6_TYPE, 1, SET_CONSTANT);
                self.set("vips_link_local", 4, IPV6_ADDR << 6 | IFACE_INDEX, 20, 0);
                self.elements(
                    "neighbor-discovery",
                    &[vec![NEIGHBOUR_SOLICIT], vec![NEIGHBOUR_ADVERT]],
                );
            }
        }
    }

    fn drop_rules(&mut self) {
        if self.family == Family::Ip {
            self.rule("out", |rule| {
                rule.address(12, 4).in_set("vips").verdict(NF_DROP, None)
            });
            self.rule("in", |rule| {
                rule.address(16, 4).in_set("vips").verdict(NF_DROP, None)
            });
            return;
        }
        for (chain, link_local, offset) in [("out", "out_link_local", 8), ("in", "in_link_local", 24)] {
            self.rule(chain, |rule| {
                rule.icmpv6_type()
                    .in_set("neighbor-discovery")
                    .verdict(NF_ACCEPT, None);
            });
            self.rule(chain, |rule| {
                rule.address(offset, 16)
                    .link_local()
                    .verdict(NFT_GOTO, Some(link_local))
            });
            self.rule(chain, |rule| {
                rule.address(offset, 16).in_set("vips").verdict(NF_DROP, None)
            });
        }
        for (chain, offset, interface) in [("in_link_local", 24, META_IIF), ("out_link_local", 8, META_OIF)] {
            self.rule(chain, |rule| {
                rule.address(offset, 16)
                    .meta(interface, 2)
                    .in_set("vips_link_local")
                    .verdict(NF_DROP, None);
            });
        }
    }

    pub(super) fn chain(&mut self, name: &str, hook: Option<u32>) {
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

    pub(super) fn rule(&mut self, chain: &str, write: impl FnOnce(&mut Rule<'_>)) {
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
pub(super) struct Rule<'a> {
    writer: &'a mut Writer,
    counters: bool,
}

impl Rule<'_> {
    pub(super) fn expression(&mut self, name: &str, write: impl FnOnce(&mut Writer)) -> &mut Self {
        let element = self.writer.nest(1);
        self.writer.attribute_text(1, name);
        let data = self.writer.nest(2);
        write(self.writer);
        self.writer.close(data);
        self.writer.close(element);
        self
    }

    pub(super) fn numbers(&mut self, name: &str, numbers: &[(u16, u32)]) -> &mut Self {
        self.expression(name, |writer| {
            for (kind, number) in numbers {
                writer.attribute(*kind, &number.to_be_bytes());
            }
        })
    }

    pub(super) fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.numbers("meta", &[(1, register), (2, key)])
    }

    pub(super) fn address(&mut self, offset: u32, length: u32) -> &mut Self {
        self.numbers(
            "payload",
            &[(1, 1), (2, NETWORK_HEADER), (3, offset), (4, length)],
        )
    }

    pub(super) fn icmpv6_type(&mut self) -> &mut Self {
        self.meta(META_L4PROTO, 1)
            .equals(&[libc::IPPROTO_ICMPV6 as u8])
            .numbers("payload", &[(1, 1), (2, TRANSPORT_HEADER), (3, 0), (4, 1)])
    }

    pub(super) fn equals(&mut self, value: &[u8]) -> &mut Self {
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

    pub(super) fn in_set(&mut self, set: &str) -> &mut Self {
        self.expression("lookup", |writer| {
            writer.attribute_text(1, set);
            writer.attribute(2, &1u32.to_be_bytes());
        })
    }

    pub(super) fn verdict(&mut self, code: i32, chain: Option<&str>) {
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

pub(super) fn data(writer: &mut Writer, kind: u16, value: &[u8]) {
    let nest = writer.nest(kind);
    writer.attribute(1, value);
    writer.close(nest);
}
