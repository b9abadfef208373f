//! The processes that are tracked, by what `/proc` says of them.

use super::pattern::{self, Process};
use crate::model::TrackProcess;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// Longer command lines are compared as far as this.
const LONGEST: u64 = 64 * 1024;

/// Which processes match which configuration.
#[derive(Debug, Default)]
pub(super) struct Table {
    configs: Vec<Arc<TrackProcess>>,
    /// Command lines are looked at.
    arguments: bool,
    /// Places in `configs`, of those that match any.
    matching: BTreeMap<i32, Vec<usize>>,
}

impl Table {
    /// Nothing is known yet: [`Table::scan`] follows.
    pub fn new(configs: Vec<Arc<TrackProcess>>) -> Table {
        Table {
            arguments: configs.iter().any(|config| config.full_command),
            configs,
            matching: BTreeMap::new(),
        }
    }

    /// Reads all of `/proc`.
    pub fn scan(&mut self) -> io::Result<()> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let places = self.places(pid);
            if !places.is_empty() {
                found.insert(pid, places);
            }
        }
        self.matching = found;
        Ok(())
    }

    /// A new process, still the same as its parent. True, here and below: what matches has changed.
    pub fn fork(&mut self, parent: i32, child: i32) -> bool {
        let places = self.matching.get(&parent).cloned();
        places.is_some_and(|places| self.set(child, places))
    }

    /// It runs another program, or has another name.
    pub fn changed(&mut self, pid: i32) -> bool {
        let places = self.places(pid);
        self.set(pid, places)
    }

    /// It has ended.
    pub fn exit(&mut self, pid: i32) -> bool {
        self.matching.remove(&pid).is_some()
    }

    fn set(&mut self, pid: i32, places: Vec<usize>) -> bool {
        if places.is_empty() {
            return self.exit(pid);
        }
        self.matching.insert(pid, places.clone()) != Some(places)
    }

    /// How many match each configuration.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.configs.len()];
        for place in self.matching.values().flatten() {
            if let Some(count) = counts.get_mut(*place) {
                *count += 1;
            }
        }
        counts
    }

    fn places(&self, pid: i32) -> Vec<usize> {
        let Some(process) = read(pid, self.arguments) else {
            return Vec::new();
        };
        let configs = self.configs.iter().enumerate();
        configs
            .filter(|(_, config)| pattern::matches(config, &process))
            .map(|(place, _)| place)
            .collect()
    }
}

/// `None`: there is no such process, or it is only a zombie.
fn read(pid: i32, arguments: bool) -> Option<Process> {
    let stat = contents(&format!("/proc/{pid}/stat"))?;
    let name = name(&stat)?.to_vec();
    let arguments = if arguments {
        contents(&format!("/proc/{pid}/cmdline"))?
    } else {
        Vec::new()
    };
    Some(Process { name, arguments })
}

fn contents(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(LONGEST)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

/// From `PID (NAME) STATE ...`, where the name may hold anything.
fn name(stat: &[u8]) -> Option<&[u8]> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let state = stat.get(close + 2)?;
    (!matches!(state, b'Z' | b'X' | b'x'))
        .then(|| stat.get(open + 1..close))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything_and_zombies_do_not_count() {
        assert_eq!(name(b"12 (a) S 1 2"), Some(&b"a"[..]));
        assert_eq!(name(b"12 (a ) b) R 1 2"), Some(&b"a ) b"[..]));
        for nothing in [&b"12 (a) Z 1"[..], b"12 (a)", b"12 )a( S", b""] {
            assert_eq!(name(nothing), None);
        }
    }

    #[test]
    fn this_process_is_found() {
        let own = read(std::process::id() as i32, true).unwrap();
        let line = std::fs::read("/proc/self/cmdline").unwrap();
        assert_eq!(own.arguments, line);
        assert!(read(0, false).is_none());
    }
}
