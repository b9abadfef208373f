//! Links that have come up, until they have received something: a port that passes nothing yet is up all the same.

use crate::state::Interface;
use crate::state::interface::{Hearing, IFF_LOOPBACK};
use crate::state::kernel::DeafLinks;
use crate::sys::frame;
use crate::sys::option::Filter;
use crate::sys::poll;
use socket2::Socket;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;
use tracing::info;

/// A machine that has been up for less than this has just been started, nanoseconds.
pub const BOOT: u64 = 90_000_000_000;

/// Interfaces on top of each other: a VMAC on a VLAN on a bridge on a bond, and one more.
const MOST_LAYERS: u32 = 6;

/// Listens on links that have just come up.
#[derive(Debug, Default)]
pub struct Listeners {
    links: DeafLinks,
    /// By index.
    open: BTreeMap<u32, Listener>,
}

#[derive(Debug)]
struct Listener {
    name: String,
    socket: Socket,
    until: u64,
    hearing: Hearing,
}

impl Listeners {
    /// Settings from the start or a reload. Returns links that are no longer listened on.
    pub fn configure(&mut self, links: DeafLinks) -> Vec<u32> {
        let over = |listener: &Listener| links.limit.is_zero() || !links.interfaces.contains(&listener.name);
        let gone: Vec<u32> = self
            .open
            .iter()
            .filter(|(_, l)| over(l))
            .map(|(index, _)| *index)
            .collect();
        for index in &gone {
            self.open.remove(index);
        }
        self.links = links;
        gone
    }

    /// A link has come up at `now`, this long after the machine was started (nanoseconds).
    pub fn came_up(&mut self, link: &Interface, now: u64, since_boot: u64) {
        let wanted = !self.links.limit.is_zero() && self.links.interfaces.contains(&link.name);
        // Nobody else is on these.
        let alone = link.flags & IFF_LOOPBACK != 0 || link.kind.as_deref() == Some("dummy");
        if !wanted || alone {
            return;
        }
        let limit = u64::try_from(self.links.limit.as_nanos()).unwrap_or(u64::MAX);
        match frame::listen(link.index, &frames_of_others()) {
            Ok(socket) => {
                let listener = Listener {
                    name: link.name.clone(),
                    socket,
                    until: now.saturating_add(limit),
                    hearing: if since_boot < BOOT && leads_outside(&link.name, MOST_LAYERS) {
                        Hearing::NothingSinceBoot
                    } else {
                        Hearing::Nothing
                    },
                };
                self.open.insert(link.index, listener);
            }
            Err(error) => info!(target: "vrrp",
                "{}: cannot find out whether it receives anything, and takes it for granted: {error}", link.name),
        }
    }

    /// A link is down, or gone.
    pub fn went_down(&mut self, index: u32) {
        self.open.remove(&index);
    }

    /// What is known of a link.
    pub fn hearing(&self, index: u32) -> Hearing {
        self.open
            .get(&index)
            .map_or(Hearing::Something, |listener| listener.hearing)
    }

    /// Readable when there is something to do.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.open.values().map(|listener| listener.socket.as_fd())
    }

    /// When the next link has been listened on for long enough.
    pub fn deadline(&self) -> Option<u64> {
        self.open.values().map(|listener| listener.until).min()
    }

    /// Links that have received something, or have been listened on for long enough.
    pub fn due(&mut self, now: u64) -> Vec<u32> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let sockets: Vec<_> = self.descriptors().collect();
        let readable = poll::readable(&sockets, Some(Duration::ZERO)).unwrap_or_default();
        let mut over = Vec::new();
        for ((index, listener), heard) in self
            .open
            .iter()
            .zip(readable.into_iter().chain(std::iter::repeat(false)))
        {
            if !heard && listener.until <= now {
                info!(target: "vrrp",
                    "{} has received nothing in {} s; not waiting for it any longer",
                    listener.name, self.links.limit.as_secs());
            }
            if heard || listener.until <= now {
                over.push(*index);
            }
        }
        for index in &over {
            self.open.remove(index);
        }
        over
    }
}

/// A card is at the bottom of it (also a virtual machine's): its other end is a switch, and not this machine's own,
/// which passes everything at once.
fn leads_outside(name: &str, layers: u32) -> bool {
    let path = Path::new("/sys/class/net").join(name);
    if path.join("device").exists() {
        return true;
    }
    let Some((entries, layers)) = std::fs::read_dir(&path).ok().zip(layers.checked_sub(1)) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let entry = entry.file_name();
        let lower = entry.to_str().and_then(|entry| entry.strip_prefix("lower_"));
        lower.is_some_and(|lower| leads_outside(lower, layers))
    })
}

/// Frames that have come through the other end's port: not our own, and not those that a switch's port itself sends
/// while it passes nothing (01:80:c2:00:00:0X: spanning tree, LACP, LLDP; 01:00:0c:cc:cc:cc and :cd: CDP, PVST+).
fn frames_of_others() -> Filter {
    let mut filter = Filter::default();
    let [standard, vendor, unheard, heard] = std::array::from_fn(|_| filter.new_label());
    let [standard_2, vendor_2] = std::array::from_fn(|_| filter.new_label());
    filter.load_byte(frame::PACKET_TYPE);
    filter.jump_if_equal(u32::from(libc::PACKET_OUTGOING), unheard);
    filter.jump_if_equal(u32::from(libc::PACKET_LOOPBACK), unheard);
    filter.load_half(0);
    filter.jump_if_equal(0x0180, standard);
    filter.jump_if_equal(0x0100, vendor);
    filter.accept_packet();
    filter.place(standard);
    filter.load_half(2);
    filter.jump_if_equal(0xc200, standard_2);
    filter.accept_packet();
    filter.place(standard_2);
    filter.load_half(4);
    filter.jump_if_set(0xfff0, heard);
    filter.drop_packet();
    filter.place(vendor);
    filter.load_half(2);
    filter.jump_if_equal(0x0ccc, vendor_2);
    filter.accept_packet();
    filter.place(vendor_2);
    filter.load_half(4);
    filter.jump_if_equal(0xcccc, unheard);
    filter.jump_if_equal(0xcccd, unheard);
    filter.place(heard);
    filter.accept_packet();
    filter.place(unheard);
    filter.drop_packet();
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_card_below_it_leads_outside() {
        assert!(!leads_outside("lo", MOST_LAYERS));
        assert!(!leads_outside("no-such-if", MOST_LAYERS));
        for entry in std::fs::read_dir("/sys/class/net").unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let card = entry.path().join("device").exists();
            assert!(!card || leads_outside(&name, 0), "{name}");
        }
    }
}
