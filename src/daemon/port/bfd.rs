//! BFD's place in the loop.

use super::super::bfd::{Order, World};
use super::{KEY_BFD, Port};
use crate::state::track::{TrackSource, Verdict};
use crate::sys::clock;
use crate::vrrp::Event;
use std::time::Duration;

impl Port {
    /// When the timer must fire.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let first = self.deadlines.first();
        first.into_iter().chain(self.bfd.deadline()).min()
    }

    /// Does what is due in BFD, and tells the groups.
    pub(super) fn work_on_bfd(&mut self) {
        let now = self.shared.now.get();
        let world = World {
            epoll: &self.epoll,
            key: KEY_BFD,
            interfaces: &self.interfaces,
        };
        self.bfd.work(now, &world);
        self.tell_bfd();
    }

    pub(super) fn obey_bfd(&mut self, order: Order) {
        let world = World {
            epoll: &self.epoll,
            key: KEY_BFD,
            interfaces: &self.interfaces,
        };
        self.bfd.obey(order, self.shared.now.get(), &world);
        self.tell_bfd();
        self.turn();
    }

    fn tell_bfd(&mut self) {
        for name in self.bfd.take_removed() {
            self.verdicts.remove(&TrackSource::Bfd(name));
        }
        for verdict in self.bfd.take_verdicts() {
            let heard = if verdict.up { Verdict::Up } else { Verdict::Down };
            (self.outputs.bfd)(TrackSource::Bfd(verdict.name.clone()), heard);
            if !self.groups.is_empty() {
                let since = clock::monotonic().saturating_sub(self.shared.now.get().mono);
                self.bfd.delivered(&verdict, Duration::from_nanos(since));
            }
            self.dispatch(Event::Track {
                source: TrackSource::Bfd(verdict.name),
                verdict: heard,
            });
        }
    }
}
