//! Virtual addresses: the requests that add and remove them.

use super::channel::{Batch, Channel};
use super::message::Answer;
use crate::model::{Address, Lifetime};
use std::io;
use std::net::IpAddr;

/// keepalived's number in the kernel's table of protocols: who owns an address (Linux 5.18) or a route.
pub const PROTOCOL: u8 = 18;

const IFA_PROTO: u16 = 11;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_HOMEADDRESS: u32 = 0x10;
const IFA_F_MANAGETEMPADDR: u32 = 0x100;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_F_MCAUTOJOIN: u32 = 0x400;
const INFINITY: u32 = u32::MAX;

/// Add or remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// RTM_NEWADDR. One that is there already stays as it is (EEXIST).
    Add,
    /// RTM_DELADDR.
    Remove,
}

/// One address to add or remove.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// What to do.
    pub action: Action,
    /// Interface index.
    pub index: u32,
    /// The address.
    pub address: &'a Address,
}

/// Does the operations in their order with one send. One result each: `None` is done, else what the kernel
/// says. An error of the whole means that it is not known which were done.
pub fn apply(channel: &mut Channel, operations: &[Operation<'_>]) -> io::Result<Vec<Option<Answer>>> {
    let mut first = 0;
    let answers = channel.batch(|batch| {
        first = batch.sequence().wrapping_add(1);
        for operation in operations {
            write(batch, operation);
        }
    })?;
    let mut results = vec![None; operations.len()];
    for answer in answers {
        if let Some(result) = results.get_mut(answer.sequence.wrapping_sub(first) as usize) {
            *result = Some(answer);
        }
    }
    Ok(results)
}

fn write(batch: &mut Batch<'_>, operation: &Operation<'_>) {
    let Operation {
        action,
        index,
        address,
    } = operation;
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
    put_ip(writer, libc::IFA_LOCAL, local);
    put_ip(writer, libc::IFA_ADDRESS, peer);
    if *action == Action::Add {
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

fn put_ip(writer: &mut super::message::Writer, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => writer.attribute(kind, &v4.octets()),
        IpAddr::V6(v6) => writer.attribute(kind, &v6.octets()),
    }
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
