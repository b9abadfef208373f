//! Requests that make, change and remove virtual interfaces.

use crate::net::channel::Channel;
use crate::net::message::{Answer, Writer};
use crate::state::kernel::{VirtualKind, VirtualLink};
use std::io;
use std::net::Ipv6Addr;

const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const MACVLAN_MODE: u16 = 1;
/// Frames of one macvlan to another over the same interface are not delivered.
pub(super) const MACVLAN_PRIVATE: u32 = 1;
const IPVLAN_MODE: u16 = 1;
const IPVLAN_FLAGS: u16 = 2;
const IPVLAN_L2: u16 = 0;
/// Requests of one send.
const TOGETHER: usize = 64;
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const IFA_F_NODAD: u32 = 0x02;

/// What the kernel does not take.
#[derive(Debug)]
pub(super) enum Failure {
    /// It refused a request.
    Refused {
        /// RTM_*.
        kind: u16,
        /// Its answer.
        answer: Answer,
    },
    /// The request could not be sent, or nothing was answered.
    Io(io::Error),
}

impl Failure {
    pub(super) fn errno(&self) -> i32 {
        match self {
            Failure::Refused { answer, .. } => answer.errno,
            Failure::Io(error) => error.raw_os_error().unwrap_or(0),
        }
    }
}

type Result = std::result::Result<(), Failure>;

/// Makes it, down, with its address, and so that the kernel gives it no IPv6 address of its own.
pub(super) fn create(
    channel: &mut Channel,
    link: &VirtualLink,
    lower: u32,
    group: u32,
    master: Option<u32>,
    alias: &str,
) -> Result {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    request(channel, libc::RTM_NEWLINK, flags, |writer| {
        header(writer, 0, 0, 0);
        writer.attribute_text(libc::IFLA_IFNAME, &link.name);
        writer.attribute(libc::IFLA_LINK, &lower.to_ne_bytes());
        if let VirtualKind::Vmac(mac) = &link.kind {
            writer.attribute(libc::IFLA_ADDRESS, mac);
        }
        if group != 0 {
            writer.attribute(libc::IFLA_GROUP, &group.to_ne_bytes());
        }
        let info = writer.nest(libc::IFLA_LINKINFO);
        match &link.kind {
            VirtualKind::Vmac(_) => {
                writer.attribute(INFO_KIND, b"macvlan");
                let data = writer.nest(INFO_DATA);
                writer.attribute(MACVLAN_MODE, &MACVLAN_PRIVATE.to_ne_bytes());
                writer.close(data);
            }
            VirtualKind::Ipvlan { flags, .. } => {
                writer.attribute(INFO_KIND, b"ipvlan");
                let data = writer.nest(INFO_DATA);
                writer.attribute(IPVLAN_MODE, &IPVLAN_L2.to_ne_bytes());
                writer.attribute(IPVLAN_FLAGS, &flags.to_ne_bytes());
                writer.close(data);
            }
        }
        writer.close(info);
    })?;
    // The kernel takes these only for one that is there.
    request(channel, libc::RTM_NEWLINK, 0, |writer| {
        header(writer, 0, 0, 0);
        writer.attribute_text(libc::IFLA_IFNAME, &link.name);
        writer.attribute_text(libc::IFLA_IFALIAS, alias);
        let families = writer.nest(libc::IFLA_AF_SPEC);
        let inet6 = writer.nest(libc::AF_INET6 as u16);
        writer.attribute(INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        writer.close(inet6);
        writer.close(families);
        if let Some(master) = master {
            writer.attribute(libc::IFLA_MASTER, &master.to_ne_bytes());
        }
    })
}

/// Changes what can be changed in place.
pub(super) fn update(
    channel: &mut Channel,
    index: u32,
    mac: Option<[u8; 6]>,
    group: Option<u32>,
    master: Option<u32>,
    alias: Option<&str>,
) -> Result {
    request(channel, libc::RTM_NEWLINK, 0, |writer| {
        header(writer, index, 0, 0);
        if let Some(mac) = mac {
            writer.attribute(libc::IFLA_ADDRESS, &mac);
        }
        if let Some(group) = group {
            writer.attribute(libc::IFLA_GROUP, &group.to_ne_bytes());
        }
        if let Some(master) = master {
            writer.attribute(libc::IFLA_MASTER, &master.to_ne_bytes());
        }
        if let Some(alias) = alias {
            writer.attribute_text(libc::IFLA_IFALIAS, alias);
        }
    })
}

/// Sets it up.
pub(super) fn raise(channel: &mut Channel, index: u32) -> Result {
    request(channel, libc::RTM_NEWLINK, 0, |writer| {
        header(writer, index, libc::IFF_UP as u32, libc::IFF_UP as u32);
    })
}

/// Removes it.
pub(super) fn remove(channel: &mut Channel, index: u32) -> Result {
    request(channel, libc::RTM_DELLINK, 0, |writer| {
        header(writer, index, 0, 0)
    })
}

/// Removes several in one step: they get a group of their own, and the kernel removes the group.
pub(super) fn remove_together(channel: &mut Channel, indexes: &[u32], group: u32) -> Result {
    for indexes in indexes.chunks(TOGETHER) {
        let answers = channel.batch(|batch| {
            for index in indexes {
                let writer = batch.begin(libc::RTM_NEWLINK, 0);
                header(writer, *index, 0, 0);
                writer.attribute(libc::IFLA_GROUP, &group.to_ne_bytes());
                writer.end();
            }
        });
        // One that is gone already is no matter.
        let refused = answers.map_err(Failure::Io)?;
        if let Some(answer) = refused.into_iter().find(|answer| answer.errno != libc::ENODEV) {
            let kind = libc::RTM_NEWLINK;
            return Err(Failure::Refused { kind, answer });
        }
    }
    request(channel, libc::RTM_DELLINK, 0, |writer| {
        header(writer, 0, 0, 0);
        writer.attribute(libc::IFLA_GROUP, &group.to_ne_bytes());
    })
}

/// `netlink_notify_msg`: the kernel tells of the interface below once more.
pub(super) fn notify(channel: &mut Channel, index: u32, group: u32) -> Result {
    update(channel, index, None, Some(group), None, None)
}

/// Adds or removes a link-local address. It is the one of the interface below, so that it is no duplicate, and
/// it is deprecated: no other program takes it for a source.
pub(super) fn link_local(channel: &mut Channel, index: u32, address: Ipv6Addr, add: bool) -> Result {
    let (kind, flags) = if add {
        (libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE)
    } else {
        (libc::RTM_DELADDR, 0)
    };
    request(channel, kind, flags, |writer| {
        writer.put(&[libc::AF_INET6 as u8, 64, 0, libc::RT_SCOPE_LINK]);
        writer.put(&index.to_ne_bytes());
        writer.attribute(libc::IFA_LOCAL, &address.octets());
        writer.attribute(libc::IFA_ADDRESS, &address.octets());
        if add {
            writer.attribute(libc::IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes());
            let mut info = [0u8; 16];
            info[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
            writer.attribute(libc::IFA_CACHEINFO, &info);
        }
    })
}

fn header(writer: &mut Writer, index: u32, flags: u32, change: u32) {
    let mut bytes = [0u8; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    writer.put(&bytes);
}

fn request(channel: &mut Channel, kind: u16, flags: i32, write: impl FnOnce(&mut Writer)) -> Result {
    let answers = channel.batch(|batch| {
        let writer = batch.begin(kind, flags);
        write(writer);
        writer.end();
    });
    match answers {
        Ok(answers) => match answers.into_iter().next() {
            None => Ok(()),
            Some(answer) => Err(Failure::Refused { kind, answer }),
        },
        Err(error) => Err(Failure::Io(error)),
    }
}
