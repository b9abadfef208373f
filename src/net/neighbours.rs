//! The kernel's table of neighbours: who answers on the link, and with which MAC address.

use super::channel::Channel;
use super::message::{attributes, u16_at, u32_at};
use crate::model::globals::Buffer;
use std::io;
use std::net::IpAddr;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const HEADER: usize = 12;
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_FAILED: u16 = 0x20;

/// What the table says of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// It has this MAC address.
    Known([u8; 6]),
    /// It was asked for and does not answer.
    Silent,
}

/// Looks an address up. `None`: the kernel has had no need to know it.
pub fn find(address: IpAddr) -> io::Result<Option<Neighbour>> {
    let mut channel = Channel::open(libc::NETLINK_ROUTE, Buffer::default())?;
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let mut found = None;
    channel.dump(
        libc::RTM_GETNEIGH,
        |writer| {
            let mut header = [0; HEADER];
            header[0] = family as u8;
            writer.put(&header);
        },
        || {},
        |message| {
            if message.kind == libc::RTM_NEWNEIGH {
                found = found.or_else(|| read(message.payload, address));
            }
        },
    )?;
    Ok(found)
}

fn read(payload: &[u8], wanted: IpAddr) -> Option<Neighbour> {
    // ndm_family and padding, ndm_ifindex, ndm_state.
    u32_at(payload, 4)?;
    let state = u16_at(payload, 8)?;
    let (mut ours, mut mac) = (false, None);
    for (kind, value) in attributes(payload, HEADER) {
        match kind {
            NDA_DST => {
                ours = match wanted {
                    IpAddr::V4(address) => value == address.octets(),
                    IpAddr::V6(address) => value == address.octets(),
                };
            }
            NDA_LLADDR => mac = <[u8; 6]>::try_from(value).ok(),
            _ => {}
        }
    }
    if !ours {
        return None;
    }
    if state & (NUD_INCOMPLETE | NUD_FAILED) != 0 {
        return Some(Neighbour::Silent);
    }
    mac.map(Neighbour::Known)
}
