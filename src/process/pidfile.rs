//! Pid files: one process, up to four files with the same pid.
//!
//! keepalived up to 2.2 takes a file with the pid of a living process for a running daemon; 2.4 holds a write
//! lock (an open file description lock) on it. We do both, so that each refuses to start beside the other.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Where pid files lie.
pub const RUN_DIRECTORY: &str = "/run";

/// The four files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `keepalived.pid`, always there.
    pub parent: PathBuf,
    /// `vrrp.pid`, when VRRP runs.
    pub vrrp: PathBuf,
    /// `checkers.pid`, when checkers run.
    pub checkers: PathBuf,
    /// `bfd.pid`, when BFD runs.
    pub bfd: PathBuf,
}

/// What the names of the files depend on.
#[derive(Debug, Clone, Default)]
pub struct Naming<'a> {
    /// `use_pid_dir`: `/run/keepalived/`.
    pub directory: bool,
    /// `net_namespace`, `-s`: `/run/keepalived/NAMESPACE/`. keepalived mounts this over `/run/keepalived` for itself.
    pub namespace: Option<&'a str>,
    /// `instance`: in `/run/keepalived/`, and part of the names.
    pub instance: Option<&'a str>,
    /// `-p`, `-r`, `-c`, `-b`.
    pub given: [Option<&'a Path>; 4],
}

impl Naming<'_> {
    /// Where the files lie that no option names.
    pub fn run_directory(&self) -> PathBuf {
        let directory = Path::new(RUN_DIRECTORY);
        match self.namespace {
            // A path is as good as a name: its end.
            Some(namespace) => {
                let name = Path::new(namespace).file_name().unwrap_or_default();
                directory.join("keepalived").join(name)
            }
            None if self.directory || self.instance.is_some() => directory.join("keepalived"),
            None => directory.to_owned(),
        }
    }
}

impl Paths {
    /// The names that keepalived would use.
    pub fn new(naming: &Naming<'_>) -> Paths {
        let [parent, vrrp, checkers, bfd] = [("keepalived", 0), ("vrrp", 1), ("checkers", 2), ("bfd", 3)]
            .map(|(name, index)| {
                if let Some(given) = naming.given[index] {
                    return given.to_owned();
                }
                let suffix = naming.instance.map(|i| format!("_{i}")).unwrap_or_default();
                naming.run_directory().join(format!("{name}{suffix}.pid"))
            });
        Paths {
            parent,
            vrrp,
            checkers,
            bfd,
        }
    }

    /// Makes `/run/keepalived` and what is below if a file is to lie there.
    pub fn make_directory(&self) -> io::Result<()> {
        let directory = Path::new(RUN_DIRECTORY).join("keepalived");
        let files = [&self.parent, &self.vrrp, &self.checkers, &self.bfd];
        let parents = files.into_iter().filter_map(|path| path.parent());
        for wanted in parents.filter(|parent| parent.starts_with(&directory)) {
            std::fs::DirBuilder::new()
                .mode(0o755)
                .recursive(true)
                .create(wanted)?;
        }
        Ok(())
    }
}

/// Why a pid file could not be had.
#[derive(Debug, Error)]
pub enum PidFileError {
    /// Another daemon runs.
    #[error("daemon is already running")]
    Running,
    /// The file could not be opened, locked or written.
    #[error("cannot write pid file {path}: {error}")]
    Io {
        /// Path.
        path: PathBuf,
        /// What failed.
        error: io::Error,
    },
}

/// The lock of a daemon that was killed is waited for this long.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// A pid file that is ours: locked until dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

/// Says whether the file belongs to a daemon that runs. Takes nothing, changes nothing.
pub fn is_running(path: &Path) -> bool {
    // O_NONBLOCK: somebody might have put a FIFO there.
    let Ok(mut file) = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
    else {
        return false;
    };
    let mut lock = write_lock();
    let locked = fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut lock)).is_ok()
        && lock.l_type != libc::F_UNLCK as libc::c_short;
    locked || holds_other_pid(&mut file)
}

impl PidFile {
    /// Takes the file for this process: opens, locks and writes it. To be called in the process that stays.
    pub fn take(path: &Path) -> Result<PidFile, PidFileError> {
        let failed = |error: io::Error| PidFileError::Io {
            path: path.to_owned(),
            error,
        };
        let give_up = Instant::now() + LAST_BREATH;
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)
                .map_err(failed)?;
            match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&write_lock())) {
                Ok(_) => {}
                Err(Errno::EACCES | Errno::EAGAIN)
                    if Instant::now() < give_up && named_pid(&mut file).is_some_and(is_dead) =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(Errno::EACCES | Errno::EAGAIN) => return Err(PidFileError::Running),
                Err(error) => return Err(failed(error.into())),
            }
            // Between opening and locking, a daemon that stops may have removed the file.
            if !is_same(path, &file).map_err(failed)? {
                continue;
            }
            if holds_other_pid(&mut file) {
                return Err(PidFileError::Running);
            }
            let mut pid_file = PidFile {
                path: path.to_owned(),
                file,
            };
            pid_file.write().map_err(failed)?;
            return Ok(pid_file);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        // keepalived's mode whatever the umask is: tools of other users read it.
        self.file
            .set_permissions(std::fs::Permissions::from_mode(0o644))?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{}", std::process::id())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    /// Removes it, unless somebody has put another file in its place.
    fn drop(&mut self) {
        if is_same(&self.path, &self.file).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn is_same(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_lock() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// The file names a living process that is not this one, and that is a keepalived: an older one locks nothing.
/// Any other process has got its pid by chance, since a daemon of that pid was killed.
fn holds_other_pid(file: &mut File) -> bool {
    let Some(pid) = named_pid(file).filter(|pid| *pid != std::process::id() && !is_dead(*pid)) else {
        return false;
    };
    let argv0 = first_word(pid, "cmdline");
    let comm = first_word(pid, "comm");
    comm == super::NAME || Path::new(&argv0).file_name().is_some_and(|n| n == super::NAME)
}

fn named_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

/// A process that is gone, or that has been killed and is not gone yet: its locks are let go of last, and its name
/// stays for as long as nobody asks how it ended.
fn is_dead(pid: u32) -> bool {
    first_word(pid, "cmdline").is_empty()
}

fn first_word(pid: u32, file: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let word = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(word).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &Path) -> &str {
        path.to_str().unwrap()
    }

    #[test]
    fn names_follow_keepalived() {
        let plain = Paths::new(&Naming::default());
        assert_eq!(name(&plain.parent), "/run/keepalived.pid");
        assert_eq!(name(&plain.checkers), "/run/checkers.pid");
        let instance = Paths::new(&Naming {
            instance: Some("gold"),
            given: [None, Some(Path::new("/x/v.pid")), None, None],
            ..Naming::default()
        });
        assert_eq!(name(&instance.parent), "/run/keepalived/keepalived_gold.pid");
        assert_eq!(name(&instance.vrrp), "/x/v.pid");
        let directory = Paths::new(&Naming {
            directory: true,
            ..Naming::default()
        });
        assert_eq!(name(&directory.bfd), "/run/keepalived/bfd.pid");
        for namespace in ["red", "/run/netns/red"] {
            let namespace = Paths::new(&Naming {
                namespace: Some(namespace),
                instance: Some("gold"),
                ..Naming::default()
            });
            assert_eq!(name(&namespace.vrrp), "/run/keepalived/red/vrrp_gold.pid");
        }
    }

    #[test]
    fn one_daemon_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        assert!(!is_running(&path));
        let first = PidFile::take(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        assert!(is_running(&path));
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Running)));
        drop(first);
        assert!(!path.exists());
        assert!(PidFile::take(&path).is_ok());
    }

    #[test]
    fn a_pid_of_somebody_else_is_stale() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        for text in ["1\n", "junk", "", "99999999\n", "-5"] {
            std::fs::write(&path, text).unwrap();
            assert!(!is_running(&path), "{text}");
        }
        assert!(PidFile::take(&path).is_ok());
    }

    #[test]
    fn a_replaced_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pid");
        let first = PidFile::take(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "other").unwrap();
        drop(first);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "other");
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        let path = directory.path().join("x.pid");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Io { .. })));
        assert!(!target.exists());
    }
}
