//! Core dumps (`-m`, `-M`).

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use std::io;

const PATTERN: &str = "/proc/sys/kernel/core_pattern";

/// Lets the process leave a core dump of any size.
pub fn allow() -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)?)
}

/// The kernel's pattern for the names of core dumps, ours until dropped.
#[derive(Debug)]
pub struct Pattern {
    before: Vec<u8>,
}

impl Pattern {
    /// Sets it.
    pub fn set(pattern: &str) -> io::Result<Pattern> {
        let before = std::fs::read(PATTERN)?;
        std::fs::write(PATTERN, pattern)?;
        Ok(Pattern { before })
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        let _ = std::fs::write(PATTERN, &self.before);
    }
}
