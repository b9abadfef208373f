//! A deadline that was missed: by how much, and why.

use super::port::Scheduling;
use crate::sys::{clock, schedule};
use std::fs;

/// How late it was, and what the clocks and counters said before.
#[derive(Debug, Clone)]
pub struct Lateness {
    /// Nanoseconds.
    pub late: u64,
    /// Time that the machine was suspended meanwhile, nanoseconds.
    pub suspended: u64,
    /// New real-time priority (`max_auto_priority`).
    pub raised: Option<u32>,
}

/// Watches for missed deadlines, on the VRRP thread.
#[derive(Debug)]
pub(super) struct Watch {
    threshold: u64,
    most: i32,
    priority: u32,
    suspended: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Watch {
            threshold: 1_000_000_000,
            most: 0,
            priority: 0,
            suspended: suspended(),
        }
    }
}

impl Watch {
    pub fn configure(&mut self, scheduling: &Scheduling) {
        self.threshold = scheduling.late;
        self.most = scheduling.max_auto_priority;
        // What it was raised to stays.
        self.priority = scheduling.settings.realtime.unwrap_or(self.priority);
    }

    /// To be called with the age of the oldest deadline that is due.
    pub fn check(&mut self, late: u64) -> Option<Lateness> {
        if late < self.threshold {
            return None;
        }
        let before = self.suspended;
        self.suspended = suspended();
        let mut raised = None;
        let next = self.priority + 1;
        if i32::try_from(next).is_ok_and(|n| n <= self.most) && schedule::set_realtime(next).is_ok() {
            self.priority = next;
            raised = Some(next);
        }
        Some(Lateness {
            late,
            suspended: self.suspended.saturating_sub(before),
            raised,
        })
    }
}

fn suspended() -> u64 {
    clock::since_boot().saturating_sub(clock::monotonic())
}

/// Counters of the machine and of our control group; they grow while somebody keeps us from running. Read on
/// another thread than the one that was late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Time that the control group was throttled, microseconds.
    pub throttled: u64,
    /// Time that the hypervisor gave to others, ticks of 10 ms.
    pub steal: u64,
    /// Time that some task waited for a processor, microseconds.
    pub cpu: u64,
    /// Time that some task waited for memory, microseconds.
    pub memory: u64,
    /// Time that some task waited for a disk, microseconds.
    pub io: u64,
}

impl Pressure {
    /// Reads them; what this machine does not have stays 0.
    pub fn read() -> Pressure {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let group = text("/proc/self/cgroup");
        let group = group.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or("");
        let throttled = text(&format!("/sys/fs/cgroup{group}/cpu.stat"));
        let some = |path: &str| {
            text(path)
                .split_ascii_whitespace()
                .find_map(|w| w.strip_prefix("total="))
                .and_then(|n| n.parse().ok())
                .unwrap_or(0)
        };
        Pressure {
            throttled: throttled
                .lines()
                .find_map(|l| l.strip_prefix("throttled_usec "))
                .and_then(|n| n.trim().parse().ok())
                .unwrap_or(0),
            steal: text("/proc/stat")
                .lines()
                .next()
                .and_then(|l| l.split_ascii_whitespace().nth(8))
                .and_then(|n| n.parse().ok())
                .unwrap_or(0),
            cpu: some("/proc/pressure/cpu"),
            memory: some("/proc/pressure/memory"),
            io: some("/proc/pressure/io"),
        }
    }

    /// Why we may have been late, from what grew since `before`.
    pub fn explain(self, before: Pressure, lateness: &Lateness) -> String {
        let mut causes = Vec::new();
        let mut add = |amount: u64, unit: f64, text: &str| {
            if amount > 0 {
                causes.push(format!("{text} {:.3} s", amount as f64 * unit));
            }
        };
        add(lateness.suspended / 1_000_000, 1e-3, "machine suspended");
        let since = |a: u64, b: u64| a.saturating_sub(b);
        add(
            since(self.throttled, before.throttled),
            1e-6,
            "control group throttled (CPUQuota)",
        );
        add(
            since(self.steal, before.steal),
            1e-2,
            "processor time taken by the hypervisor",
        );
        add(since(self.cpu, before.cpu), 1e-6, "waiting for a processor");
        add(since(self.memory, before.memory), 1e-6, "waiting for memory");
        add(since(self.io, before.io), 1e-6, "waiting for disks");
        if causes.is_empty() {
            "no cause found: the process was stopped, or the virtual machine was".to_owned()
        } else {
            format!("since the last look: {}", causes.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explanation_names_what_grew_and_nothing_else() {
        let lateness = Lateness {
            late: 2_000_000_000,
            suspended: 0,
            raised: None,
        };
        let before = Pressure::default();
        let after = Pressure {
            throttled: 1_500_000,
            ..before
        };
        let text = after.explain(before, &lateness);
        assert_eq!(
            text,
            "since the last look: control group throttled (CPUQuota) 1.500 s"
        );
        assert!(before.explain(before, &lateness).starts_with("no cause found"));
    }
}
