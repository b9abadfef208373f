//! `nftables_ipvs`: packets to the addresses and ports of a virtual server group get its firewall mark, in the very
//! table, maps and chain that keepalived makes.
//!
//! Every change is one transaction that makes the table anew: there is no moment without it.

use super::rules::{
    Family, HOOK_INPUT, Maker, NEWSETELEM, NFT_RETURN, create_empty_table, data, delete_table, request,
};
use super::{Settings, attempt};
use crate::model::globals::Buffer;
use crate::model::lvs::Protocol;
use crate::net::channel::{Batch, Channel};
use crate::state::lvs::Marked;
use crate::sys::netlink;
use std::io;
use std::net::IpAddr;
use tracing::{error, info, warn};

const INET_SERVICE: u32 = 13;
const MARK: u32 = 19;
const META_MARK: u32 = 3;
const INTERVAL_MAP: u32 = 0x4 | 0x8 | 0x80;
const TRANSPORT_HEADER: u32 = 2;
/// Elements of one message: an attribute is at most 64 KiB long.
const ELEMENTS: usize = 400;

/// The rules.
#[derive(Debug, Default)]
pub struct Marks {
    channel: Option<Channel>,
    settings: Option<Settings>,
    present: Vec<Marked>,
}

impl Marks {
    /// Opens the way to nftables, in the network namespace of the calling thread.
    pub fn open(&mut self) -> io::Result<()> {
        if self.channel.is_none() {
            self.channel = Some(Channel::open(netlink::NETFILTER, Buffer::default())?);
        }
        Ok(())
    }

    /// Makes the table mark this and nothing else; without anything to mark there is no table.
    pub fn set(&mut self, table: &str, priority: i32, counters: bool, wanted: Vec<Marked>) {
        let settings = Settings {
            table: table.to_owned(),
            priority,
            by_index: false,
            counters,
        };
        let wanted = without_overlaps(wanted);
        if self.settings.as_ref() == Some(&settings) && self.present == wanted {
            return;
        }
        if self
            .settings
            .as_ref()
            .is_some_and(|before| before.table != settings.table)
        {
            self.remove();
        }
        if self.write(&settings, &wanted) {
            self.settings = Some(settings).filter(|_| !wanted.is_empty());
            self.present = wanted;
        }
    }

    /// Removes the table.
    pub fn remove(&mut self) {
        if let Some(settings) = self.settings.take() {
            self.write(&settings, &[]);
            self.present.clear();
        }
    }

    /// Removes the table that a killed daemon has left.
    pub fn remove_left(&mut self, table: &str) {
        let settings = Settings {
            table: table.to_owned(),
            priority: 0,
            by_index: false,
            counters: false,
        };
        self.write(&settings, &[]);
    }

    /// Name of the table that is there.
    pub fn table(&self) -> Option<&str> {
        self.settings.as_ref().map(|settings| settings.table.as_str())
    }

    /// Puts the table back that another program has removed (`flush ruleset`).
    pub fn check(&mut self) {
        const GETTABLE: u16 = 1;
        let Some(settings) = self.settings.clone() else {
            return;
        };
        let Some(channel) = &mut self.channel else {
            return;
        };
        let gone = families(&self.present).into_iter().any(|family| {
            let answers = channel.batch(|batch| {
                request(batch, GETTABLE, 0, family, |writer| {
                    writer.attribute_text(1, &settings.table);
                });
            });
            answers.is_ok_and(|errors| errors.iter().any(|answer| answer.errno == libc::ENOENT))
        });
        if gone {
            info!(
                target: "checkers",
                "nftables: table {} was removed by another program: put back", settings.table
            );
            let wanted = self.present.clone();
            self.write(&settings, &wanted);
        }
    }

    fn write(&mut self, settings: &Settings, wanted: &[Marked]) -> bool {
        let there = families(wanted);
        let done = attempt(&mut self.channel, |batch| {
            for family in [Family::Ip, Family::Ip6] {
                delete_table(batch, family, settings);
                if there.contains(&family) {
                    let of: Vec<&Marked> = wanted
                        .iter()
                        .filter(|marked| family_of(marked) == family)
                        .collect();
                    create(batch, family, settings, &of);
                }
            }
        });
        if let Err(problem) = &done {
            error!(
                target: "checkers",
                "nftables: the addresses of virtual server groups cannot be marked: {problem}; table {}",
                settings.table
            );
        }
        done.is_ok()
    }
}

/// nftables refuses ranges that overlap; the first one counts.
fn without_overlaps(wanted: Vec<Marked>) -> Vec<Marked> {
    let mut kept: Vec<Marked> = Vec::with_capacity(wanted.len());
    for marked in wanted {
        match kept.iter().find(|other| overlap(other, &marked)) {
            // Of one group it changes nothing.
            Some(other)
                if other.mark == marked.mark && (other.first, other.last) == (marked.first, marked.last) => {}
            Some(other) => warn!(
                target: "checkers",
                "nftables_ipvs: [{}-{}]:{}:{} overlaps [{}-{}]:{}, which comes first: left out",
                marked.first, marked.last, Protocol::name(Some(marked.protocol)), marked.port,
                other.first, other.last, other.port
            ),
            None => kept.push(marked),
        }
    }
    kept
}

fn overlap(one: &Marked, two: &Marked) -> bool {
    let (from, to) = ports(one.port);
    let (other_from, other_to) = ports(two.port);
    one.protocol == two.protocol
        && one.first.is_ipv4() == two.first.is_ipv4()
        && one.first <= two.last
        && two.first <= one.last
        && from <= other_to
        && other_from <= to
}

/// Port 0 is all of them.
fn ports(port: u16) -> (u16, u16) {
    match port {
        0 => (0, u16::MAX),
        port => (port, port),
    }
}

fn family_of(marked: &Marked) -> Family {
    match marked.first {
        IpAddr::V4(_) => Family::Ip,
        IpAddr::V6(_) => Family::Ip6,
    }
}

fn families(wanted: &[Marked]) -> Vec<Family> {
    let all = [Family::Ip, Family::Ip6].into_iter();
    all.filter(|family| wanted.iter().any(|marked| family_of(marked) == *family))
        .collect()
}

fn create(batch: &mut Batch<'_>, family: Family, settings: &Settings, wanted: &[&Marked]) {
    create_empty_table(batch, family, settings);
    let mut maker = Maker {
        batch,
        family,
        settings,
    };
    maker.chain("in", Some(HOOK_INPUT));
    for (id, protocol) in (1..).zip([Protocol::Tcp, Protocol::Udp, Protocol::Sctp]) {
        let of: Vec<&Marked> = wanted
            .iter()
            .filter(|marked| marked.protocol == protocol)
            .copied()
            .collect();
        if of.is_empty() {
            continue;
        }
        let name = format!("{}_map", Protocol::name(Some(protocol)));
        maker.mark_map(&name, id);
        for marked in of.chunks(ELEMENTS) {
            maker.mark_elements(&name, marked);
        }
        maker.mark_rule(&name, protocol);
    }
}

impl Maker<'_, '_> {
    /// Address and port, as ranges, to a mark.
    fn mark_map(&mut self, name: &str, id: u32) {
        let (kind, length) = match self.family {
            Family::Ip => (7, 4),
            Family::Ip6 => (8, 16),
        };
        let settings = self.settings;
        request(
            self.batch,
            super::rules::NEWSET,
            libc::NLM_F_CREATE,
            self.family,
            |writer| {
                writer.attribute_text(1, &settings.table);
                writer.attribute_text(2, name);
                for (attribute, number) in [
                    (3, INTERVAL_MAP),
                    (4, kind << 6 | INET_SERVICE),
                    // Fields are padded to four bytes.
                    (5, length + 4),
                    (6, MARK),
                    (7, 4),
                ] {
                    writer.attribute(attribute, &number.to_be_bytes());
                }
                let description = writer.nest(9);
                let fields = writer.nest(2);
                for length in [length, 2] {
                    let field = writer.nest(1);
                    writer.attribute(1, &length.to_be_bytes());
                    writer.close(field);
                }
                writer.close(fields);
                writer.close(description);
                writer.attribute(10, &id.to_be_bytes());
                // nft's own note: marks are numbers of this host's byte order.
                writer.attribute(13, &[0, 4, 0, 0, 0, 0, 1, 4, 1, 0, 0, 0]);
                if settings.counters {
                    let expression = writer.nest(17);
                    writer.attribute_text(1, "counter");
                    writer.close(expression);
                }
            },
        );
    }

    fn mark_elements(&mut self, name: &str, list: &[&Marked]) {
        let settings = self.settings;
        request(
            self.batch,
            NEWSETELEM,
            libc::NLM_F_CREATE,
            self.family,
            |writer| {
                writer.attribute_text(1, &settings.table);
                writer.attribute_text(2, name);
                let elements = writer.nest(3);
                for marked in list {
                    let (from, to) = ports(marked.port);
                    let element = writer.nest(1);
                    data(writer, 1, &key(marked.first, from));
                    data(writer, 10, &key(marked.last, to));
                    data(writer, 2, &marked.mark.to_ne_bytes());
                    writer.close(element);
                }
                writer.close(elements);
            },
        );
    }

    /// `meta mark set ip daddr . tcp dport map @tcp_map return`
    fn mark_rule(&mut self, name: &str, protocol: Protocol) {
        let number = match protocol {
            Protocol::Tcp => libc::IPPROTO_TCP,
            Protocol::Udp => libc::IPPROTO_UDP,
            Protocol::Sctp => libc::IPPROTO_SCTP,
        };
        // The port goes behind the address: the second word of the first register, or the second register.
        let (offset, length, register) = match self.family {
            Family::Ip => (16, 4, 9),
            Family::Ip6 => (24, 16, 2),
        };
        const META_L4PROTO: u32 = 16;
        self.rule("in", |rule| {
            rule.meta(META_L4PROTO, 1)
                .equals(&[number as u8])
                .address(offset, length)
                .numbers("payload", &[(1, register), (2, TRANSPORT_HEADER), (3, 2), (4, 2)])
                .expression("lookup", |writer| {
                    writer.attribute_text(1, name);
                    writer.attribute(2, &1u32.to_be_bytes());
                    writer.attribute(3, &1u32.to_be_bytes());
                })
                .numbers("meta", &[(2, META_MARK), (3, 1)])
                .verdict(NFT_RETURN, None);
        });
    }
}

fn key(address: IpAddr, port: u16) -> Vec<u8> {
    let mut key = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    key.extend(port.to_be_bytes());
    key.extend([0, 0]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(mark: u32, first: &str, last: &str, port: u16) -> Marked {
        Marked {
            mark,
            protocol: Protocol::Tcp,
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            port,
        }
    }

    #[test]
    fn the_first_of_those_that_overlap_counts() {
        let first = marked(1, "10.0.0.1", "10.0.0.9", 80);
        let kept = [
            first,
            marked(2, "10.0.0.10", "10.0.0.10", 80),
            marked(2, "10.0.0.1", "10.0.0.9", 81),
            marked(2, "fd00::1", "fd00::1", 0),
            Marked {
                protocol: Protocol::Udp,
                ..first
            },
        ];
        let mut all = kept.to_vec();
        all.insert(1, marked(2, "10.0.0.9", "10.0.0.10", 80));
        all.push(marked(2, "10.0.0.5", "10.0.0.5", 0));
        all.push(marked(2, "fd00::1", "fd00::1", 443));
        assert_eq!(without_overlaps(all), kept);
    }
}
