//! Who is master, in memory that the guard shares. The VRRP thread writes, with plain stores; the guard reads once,
//! when the writer is dead: nobody ever sees half of a change that is still being made.
//!
//! Two words an instance: its id with two flags, and how far its sequence has come.

use crate::state::InstanceId;
use crate::sys::shared::Words;
use crate::vrrp::farewell::Sent;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Instances that can be guarded: 64 KiB.
pub(super) const MOST: usize = 4096;

const MASTER: u64 = 1;
const HOLDS: u64 = 2;
const ID: u32 = 2;

/// The VRRP thread's view.
#[derive(Debug)]
pub struct Page {
    words: Arc<Words>,
    slots: BTreeMap<InstanceId, Slot>,
    free: Vec<usize>,
    next: usize,
}

#[derive(Debug)]
struct Slot {
    at: usize,
    flags: u64,
    /// Version of the packets that the guard was told.
    told: Option<u32>,
}

/// What the guard finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub instance: InstanceId,
    /// It was master.
    pub master: bool,
    /// Its addresses may be set.
    pub holds: bool,
    pub sequence: u64,
}

impl Page {
    /// Makes it; the descriptor is for the guard.
    pub fn create() -> io::Result<(Page, OwnedFd)> {
        let (words, file) = Words::create("keepalived-rs-guard", MOST * 2)?;
        let page = Page {
            words: Arc::new(words),
            slots: BTreeMap::new(),
            free: Vec::new(),
            next: 0,
        };
        Ok((page, file))
    }

    /// It is master and claims its addresses.
    pub fn claimed(&mut self, instance: InstanceId) {
        self.change(instance, |flags| flags | MASTER | HOLDS);
    }

    /// It is not master any more, and its addresses are being removed.
    pub fn released(&mut self, instance: InstanceId) {
        self.change(instance, |flags| flags & !MASTER);
        // What starts anew counts its versions from the beginning.
        self.untold(instance);
    }

    /// They are removed.
    pub fn gone(&mut self, instance: InstanceId) {
        self.change(instance, |_| 0);
    }

    /// It has sent an advert as master, which it does before it claims anything. True: the guard has not been told
    /// these packets.
    pub fn advertised(&mut self, instance: InstanceId, sent: Sent) -> bool {
        let Some((at, told)) = self.slot(instance).map(|slot| (slot.at, slot.told)) else {
            return false;
        };
        self.write(at * 2 + 1, sent.sequence);
        self.change(instance, |flags| flags | MASTER);
        told != Some(sent.version)
    }

    /// The guard is being told these packets.
    pub fn told(&mut self, instance: InstanceId, version: u32) {
        if let Some(slot) = self.slots.get_mut(&instance) {
            slot.told = Some(version);
        }
    }

    /// It has another socket, or the guard could not be told.
    pub fn untold(&mut self, instance: InstanceId) {
        if let Some(slot) = self.slots.get_mut(&instance) {
            slot.told = None;
        }
    }

    /// There is no such instance any more.
    pub fn forget(&mut self, instance: InstanceId) {
        if let Some(slot) = self.slots.remove(&instance) {
            self.write(slot.at * 2, 0);
            self.free.push(slot.at);
        }
    }

    /// Its slot; none when there is no room.
    fn slot(&mut self, instance: InstanceId) -> Option<&mut Slot> {
        if !self.slots.contains_key(&instance) {
            let at = self.free.pop().unwrap_or(self.next);
            if at >= MOST {
                return None;
            }
            self.next = self.next.max(at + 1);
            let (flags, told) = (0, None);
            self.slots.insert(instance, Slot { at, flags, told });
        }
        self.slots.get_mut(&instance)
    }

    fn change(&mut self, instance: InstanceId, change: impl FnOnce(u64) -> u64) {
        let Some(slot) = self.slot(instance) else {
            return;
        };
        slot.flags = change(slot.flags);
        let (at, word) = (slot.at, (u64::from(instance.0) + 1) << ID | slot.flags);
        self.write(at * 2, word);
    }

    fn write(&self, at: usize, value: u64) {
        if let Some(word) = self.words.get().get(at) {
            word.store(value, Ordering::Release);
        }
    }
}

/// Reads all that has flags.
pub(super) fn read(words: &Words) -> Vec<Found> {
    let pairs = words.get().chunks_exact(2);
    let values = pairs.map(|pair| (pair[0].load(Ordering::Acquire), pair[1].load(Ordering::Acquire)));
    values
        .filter_map(|(word, sequence)| {
            let id = (word >> ID).checked_sub(1)?;
            let found = Found {
                instance: InstanceId(u32::try_from(id).ok()?),
                master: word & MASTER != 0,
                holds: word & HOLDS != 0,
                sequence,
            };
            (found.master || found.holds).then_some(found)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: InstanceId = InstanceId(0);
    const B: InstanceId = InstanceId(7);

    fn sent(sequence: u64, version: u32) -> Sent {
        Sent { sequence, version }
    }

    #[test]
    fn the_guard_finds_masters_and_who_holds_addresses() {
        let (mut page, file) = Page::create().unwrap();
        let theirs = Words::map(&file.into()).unwrap();
        assert_eq!(read(&theirs), []);
        page.claimed(A);
        page.claimed(B);
        page.advertised(B, sent(9, 1));
        page.released(A);
        let found = |instance, master, sequence| Found {
            instance,
            master,
            holds: true,
            sequence,
        };
        assert_eq!(read(&theirs), [found(A, false, 0), found(B, true, 9)]);
        page.advertised(A, sent(3, 1));
        assert_eq!(read(&theirs), [found(A, true, 3), found(B, true, 9)]);
        page.released(A);
        page.gone(A);
        assert_eq!(read(&theirs), [found(B, true, 9)]);
        page.forget(B);
        assert_eq!(read(&theirs), []);
    }

    #[test]
    fn packets_are_told_when_they_are_others_or_leave_elsewhere() {
        let (mut page, _file) = Page::create().unwrap();
        assert!(page.advertised(A, sent(0, 1)));
        page.told(A, 1);
        assert!(!page.advertised(A, sent(0, 1)));
        assert!(page.advertised(A, sent(0, 2)));
        page.told(A, 2);
        page.untold(A);
        assert!(page.advertised(A, sent(0, 2)));
        page.told(A, 2);
        page.released(A);
        assert!(page.advertised(A, sent(0, 2)), "it may be another group's 2");
    }

    #[test]
    fn more_instances_than_there_is_room_for_do_no_harm() {
        let (mut page, file) = Page::create().unwrap();
        for id in 0..MOST as u32 + 10 {
            page.claimed(InstanceId(id));
        }
        page.forget(InstanceId(5));
        page.claimed(InstanceId(5000));
        let found = read(&Words::map(&file.into()).unwrap());
        assert_eq!(found.len(), MOST);
        assert_eq!(found[5].instance, InstanceId(5000));
    }
}
