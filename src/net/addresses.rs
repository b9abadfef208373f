//! Virtual addresses: the requests that add and remove them.

use super::channel::Batch;
use super::objects::{Action, PROTOCOL};
use crate::model::{Address, Lifetime};
use std::net::IpAddr;

const IFA_PROTO: u16 = 11;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_HOMEADDRESS: u32 = 0x10;
const IFA_F_MANAGETEMPADDR: u32 = 0x100;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_F_MCAUTOJOIN: u32 = 0x400;
const INFINITY: u32 = u32::MAX;

/// Writes one request. `index` is that of the interface.
pub(super) fn write(batch: &mut Batch<'_>, action: Action, index: u32, address: &Address) {
    let (kind, flags) = match action {
        Action::Add => (libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
        Action::Remove => (libc::RTM_DELADDR, 0),
    };
    let writer = batch.begin(kind, flags);
    let local = address.network.address;
    let (peer, prefix) = match address.peer {
        Some(peer) => (peer.address, peer.prefix),
        None => (local, address.network.prefix),
    };
    let family = if local.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    writer.put(&[family as u8, prefix, 0, address.scope]);
    writer.put(&index.to_ne_bytes());
    writer.attribute_ip(libc::IFA_LOCAL, local);
    writer.attribute_ip(libc::IFA_ADDRESS, peer);
    if action == Action::Add {
        if let (Some(broadcast), IpAddr::V4(_)) = (address.broadcast, local) {
            writer.attribute(libc::IFA_BROADCAST, &broadcast.octets());
        }
        if let (Some(label), IpAddr::V4(_)) = (&address.label, local) {
            writer.attribute_text(libc::IFA_LABEL, label);
        }
        writer.attribute(libc::IFA_FLAGS, &kernel_flags(address).to_ne_bytes());
        if let (Lifetime::Seconds(preferred), IpAddr::V6(_)) = (address.preferred, local) {
            let mut info = [0u8; 16];
            info[0..4].copy_from_slice(&preferred.to_ne_bytes());
            info[4..8].copy_from_slice(&INFINITY.to_ne_bytes());
            writer.attribute(libc::IFA_CACHEINFO, &info);
        }
        writer.attribute(IFA_PROTO, &[PROTOCOL]);
    }
    writer.end();
}

fn kernel_flags(address: &Address) -> u32 {
    let ipv6 = address.network.address.is_ipv6();
    let flags = address.flags;
    [
        (flags.nodad && ipv6, IFA_F_NODAD),
        (flags.home && ipv6, IFA_F_HOMEADDRESS),
        (flags.manage_temporary && ipv6, IFA_F_MANAGETEMPADDR),
        (flags.no_prefix_route, IFA_F_NOPREFIXROUTE),
        (flags.autojoin, IFA_F_MCAUTOJOIN),
    ]
    .iter()
    .filter(|(set, _)| *set)
    .fold(0, |all, (_, flag)| all | flag)
}
