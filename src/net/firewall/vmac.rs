//! VMACs must not let a switch learn their MAC address from a host that is not master: membership reports of
//! theirs leave through the interface below with its own address, router solicitations do not leave at all, and
//! nobody is answered for the link-local address that they share with the interface below. keepalived's rules.

use super::rules::{
    ELEMENTS, Family, ICMPV6_TYPE, IFACE_INDEX, META_OIF, META_OIFKIND, Maker, NETWORK_HEADER, NEWSET,
    NEWSETELEM, NF_DROP, Rule, SET_CONSTANT, data, request,
};
use std::net::Ipv6Addr;

const NFT_SET_MAP: u32 = 8;
const IGMP: u8 = 2;
const ROUTER_SOLICIT: u8 = 133;
const MLD_REPORTS: [u8; 2] = [131, 143];
/// A kind of link, padded as the kernel compares it.
const MACVLAN: &[u8; 16] = b"macvlan\0\0\0\0\0\0\0\0\0";

/// A VMAC that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualMac {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Index of the interface below.
    pub lower: u32,
    /// It has to do with IPv4, with IPv6.
    pub families: (bool, bool),
    /// The link-local address that it has from the interface below.
    pub link_local: Option<Ipv6Addr>,
}

impl VirtualMac {
    pub(super) fn concerns(&self, family: Family) -> bool {
        match family {
            Family::Ip => self.families.0,
            Family::Ip6 => self.families.1,
        }
    }
}

impl Maker<'_, '_> {
    /// Maps and sets, with their elements.
    pub(super) fn vmac_sets(&mut self, vmacs: &[&VirtualMac]) {
        if vmacs.is_empty() {
            return;
        }
        self.indexes("vmac_map", 11, true, vmacs);
        if self.family == Family::Ip6 {
            self.indexes("vmac_set", 12, false, vmacs);
            self.icmpv6_set("mld-report", 13, &MLD_REPORTS);
        }
    }

    /// The link-local addresses that VMACs share with the interface below.
    pub(super) fn shared_link_local(&mut self, vmacs: &[&VirtualMac]) {
        let by_index = self.settings.by_index;
        let key = |vmac: &&VirtualMac| {
            let address = vmac.link_local?.octets();
            let interface = if by_index {
                vmac.index.to_ne_bytes().to_vec()
            } else {
                let mut name = vmac.name.as_bytes().to_vec();
                name.resize(16, 0);
                name
            };
            Some([&address[..], &interface].concat())
        };
        let keys: Vec<Vec<u8>> = vmacs.iter().filter_map(key).collect();
        self.elements("parent_link_local", &keys);
    }

    /// The rules, in the chain `out`.
    pub(super) fn vmac_rules(&mut self, vmacs: &[&VirtualMac]) {
        if vmacs.is_empty() {
            return;
        }
        match self.family {
            Family::Ip => self.rule("out", |rule| {
                rule.numbers("payload", &[(1, 1), (2, NETWORK_HEADER), (3, 9), (4, 1)])
                    .equals(&[IGMP])
                    .of_macvlan()
                    .address(16, 4)
                    .duplicate_below()
                    .verdict(NF_DROP, None);
            }),
            Family::Ip6 => {
                self.rule("out", |rule| {
                    rule.icmpv6_type()
                        .in_set("mld-report")
                        .of_macvlan()
                        .address(24, 16)
                        .duplicate_below()
                        .verdict(NF_DROP, None);
                });
                self.rule("out", |rule| {
                    rule.icmpv6_type()
                        .equals(&[ROUTER_SOLICIT])
                        .of_macvlan()
                        .meta(META_OIF, 1)
                        .in_set("vmac_set")
                        .verdict(NF_DROP, None);
                });
            }
        }
    }

    /// A set of the VMACs' indexes, or a map from them to those of the interfaces below.
    fn indexes(&mut self, name: &str, id: u32, map: bool, vmacs: &[&VirtualMac]) {
        let table = &self.settings.table;
        request(self.batch, NEWSET, libc::NLM_F_CREATE, self.family, |writer| {
            writer.attribute_text(1, table);
            writer.attribute_text(2, name);
            let mut numbers = vec![(3, 0), (4, IFACE_INDEX), (5, 4)];
            if map {
                numbers = vec![
                    (3, NFT_SET_MAP),
                    (4, IFACE_INDEX),
                    (5, 4),
                    (6, IFACE_INDEX),
                    (7, 4),
                ];
            }
            for (kind, number) in numbers.into_iter().chain([(10, id)]) {
                writer.attribute(kind, &number.to_be_bytes());
            }
            // nft's own notes: keys and values are numbers of this host's byte order.
            const NOTES: [u8; 12] = [0, 4, 1, 0, 0, 0, 1, 4, 1, 0, 0, 0];
            writer.attribute(13, if map { &NOTES } else { &NOTES[..6] });
        });
        for vmacs in vmacs.chunks(ELEMENTS) {
            request(
                self.batch,
                NEWSETELEM,
                libc::NLM_F_CREATE,
                self.family,
                |writer| {
                    writer.attribute_text(1, table);
                    writer.attribute_text(2, name);
                    let list = writer.nest(3);
                    for vmac in vmacs {
                        let element = writer.nest(1);
                        data(writer, 1, &vmac.index.to_ne_bytes());
                        if map {
                            data(writer, 2, &vmac.lower.to_ne_bytes());
                        }
                        writer.close(element);
                    }
                    writer.close(list);
                },
            );
        }
    }

    fn icmpv6_set(&mut self, name: &str, id: u32, types: &[u8]) {
        self.set(name, id, ICMPV6_TYPE, 1, SET_CONSTANT);
        let keys: Vec<Vec<u8>> = types.iter().map(|kind| vec![*kind]).collect();
        self.elements(name, &keys);
    }
}

impl Rule<'_> {
    fn of_macvlan(&mut self) -> &mut Self {
        self.meta(META_OIFKIND, 1).equals(MACVLAN)
    }

    /// `dup to ADDRESS device oif map @vmac_map`; the address is in register 1.
    fn duplicate_below(&mut self) -> &mut Self {
        self.meta(META_OIF, 2);
        self.expression("lookup", |writer| {
            writer.attribute_text(1, "vmac_map");
            writer.attribute(2, &2u32.to_be_bytes());
            writer.attribute(3, &2u32.to_be_bytes());
        });
        self.numbers("dup", &[(1, 1), (2, 2)])
    }
}
