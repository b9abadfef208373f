//! Network namespaces (`-s`, `net_namespace`).

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where `ip netns add` keeps them.
const DIRECTORY: &str = "/run/netns";

/// Moves the calling thread, and what it starts from here on, into a network namespace: a name of
/// `ip netns`, or a path.
pub fn enter(name: &str) -> io::Result<()> {
    setns(File::open(path(name)?)?, CloneFlags::CLONE_NEWNET)?;
    Ok(())
}

/// The namespace of the machine, whatever the daemon was moved to.
pub const DEFAULT: &str = "/proc/1/ns/net";

/// Does something in a network namespace, and comes back. Sockets opened there stay there.
pub fn within<T>(name: &str, work: impl FnOnce() -> T) -> io::Result<T> {
    let home = File::open("/proc/thread-self/ns/net")?;
    enter(name)?;
    let result = work();
    setns(home, CloneFlags::CLONE_NEWNET)?;
    Ok(result)
}

fn path(name: &str) -> io::Result<PathBuf> {
    match name {
        "" | "." | ".." => Err(io::ErrorKind::InvalidInput.into()),
        name if name.starts_with('/') => Ok(name.into()),
        name if name.contains('/') => Err(io::ErrorKind::InvalidInput.into()),
        name => Ok(Path::new(DIRECTORY).join(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        assert_eq!(path("red").unwrap(), Path::new("/run/netns/red"));
        assert_eq!(path("/proc/1/ns/net").unwrap(), Path::new("/proc/1/ns/net"));
        for wrong in ["", "..", "../x", "a/b"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
        assert!(enter("no-such-namespace-here").is_err());
    }
}
