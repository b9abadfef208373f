//! When which group is due. Takeovers are kept apart: for them the thread is awake before the moment comes.

use crate::state::GroupId;
use std::collections::BTreeSet;

/// When a group wants to be told that time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Due {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub at: u64,
    /// The group takes over then, unless an advert arrives before.
    pub takeover: bool,
}

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    takeovers: BTreeSet<(u64, GroupId)>,
    others: BTreeSet<(u64, GroupId)>,
}

impl Deadlines {
    /// From one deadline of a group to its next one.
    pub(super) fn change(&mut self, group: GroupId, before: Option<Due>, after: Option<Due>) {
        if let Some(due) = before {
            self.of(due.takeover).remove(&(due.at, group));
        }
        if let Some(due) = after {
            self.of(due.takeover).insert((due.at, group));
        }
    }

    /// The earliest.
    pub(super) fn first(&self) -> Option<u64> {
        let first = [self.takeovers.first(), self.others.first()];
        first.into_iter().flatten().map(|(at, _)| *at).min()
    }

    /// The earliest takeover.
    pub(super) fn takeover(&self) -> Option<u64> {
        self.first_takeover().map(|(at, _)| at)
    }

    /// The same, and whose it is.
    pub(super) fn first_takeover(&self) -> Option<(u64, GroupId)> {
        self.takeovers.first().copied()
    }

    /// Takes out a group that is due: the earliest first.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<GroupId> {
        let at = self.first().filter(|at| *at <= now)?;
        let takeover = self.takeover() == Some(at);
        self.of(takeover).pop_first().map(|(_, group)| group)
    }

    fn of(&mut self, takeover: bool) -> &mut BTreeSet<(u64, GroupId)> {
        if takeover {
            &mut self.takeovers
        } else {
            &mut self.others
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_due_in_the_order_of_time_whatever_they_wait_for() {
        let due = |at, takeover| Some(Due { at, takeover });
        let mut deadlines = Deadlines::default();
        deadlines.change(GroupId(1), None, due(30, true));
        deadlines.change(GroupId(2), None, due(20, false));
        deadlines.change(GroupId(3), None, due(10, true));
        deadlines.change(GroupId(3), due(10, true), due(40, false));
        assert_eq!((deadlines.first(), deadlines.takeover()), (Some(20), Some(30)));
        assert_eq!(deadlines.pop_due(19), None);
        assert_eq!(deadlines.pop_due(35), Some(GroupId(2)));
        assert_eq!(deadlines.pop_due(35), Some(GroupId(1)));
        assert_eq!(deadlines.pop_due(35), None);
        assert_eq!((deadlines.first(), deadlines.takeover()), (Some(40), None));
    }
}
