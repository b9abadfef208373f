//! The files that signals ask for: data (SIGUSR1), statistics (SIGUSR2), JSON (SIGRTMIN+2).
//!
//! They lie in a directory that others may write to. So each is written under a new name that nobody
//! can guess, through no link, and moved into place in one step: a reader sees the old file or the whole
//! new one, and a link that somebody has put there is replaced, not followed.

use crate::model::Globals;
use crate::report;
use crate::state::snapshot::Snapshot;
use crate::sys::local_time::LocalTime;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tracing::{error, info};

/// A file that could not be written. The one before it, if any, is still there.
#[derive(Debug, thiserror::Error)]
#[error("Can't write dump file {}: {source}", path.display())]
pub struct DumpError {
    path: PathBuf,
    source: io::Error,
}

/// Writes the files. Made once, at the start.
#[derive(Debug, Clone)]
pub struct Dumps {
    directory: PathBuf,
}

/// Which data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFile {
    /// What keepalived's VRRP process writes.
    Vrrp,
    /// What keepalived's parent writes.
    Parent,
    /// What keepalived's checker process writes.
    Checkers,
    /// What keepalived's BFD process writes.
    Bfd,
}

impl Dumps {
    /// Files go to TMPDIR when it is the absolute path of a directory, else to /tmp.
    pub fn new() -> Self {
        Self::in_directory(std::env::var_os("TMPDIR").map(PathBuf::from))
    }

    fn in_directory(asked: Option<PathBuf>) -> Self {
        let directory = match asked {
            Some(directory) if directory.is_absolute() && directory.is_dir() => directory,
            Some(directory) if !directory.as_os_str().is_empty() => {
                error!(target: "parent", "Environment TMPDIR={} not a directory", directory.display());
                PathBuf::from("/tmp")
            }
            _ => PathBuf::from("/tmp"),
        };
        Dumps { directory }
    }

    /// SIGUSR1: both data files, and the lines that say so.
    pub fn data(&self, snapshot: &Snapshot) {
        let pid = std::process::id();
        info!(target: "parent", "Printing parent data for process({pid}) on signal");
        info!(target: "vrrp", "Printing VRRP data for process({pid}) on signal");
        // This one is what clients read, some of them without a wait.
        let vrrp = report::data::vrrp(snapshot, &local);
        self.put(
            snapshot,
            &self.data_path(DataFile::Vrrp, &snapshot.config.globals),
            &vrrp,
        );
        let parent = report::data::parent(snapshot);
        self.put(
            snapshot,
            &self.data_path(DataFile::Parent, &snapshot.config.globals),
            &parent,
        );
        if let Some(lvs) = &snapshot.lvs {
            info!(target: "checkers", "Printing checker data for process({pid}) on signal");
            let checkers = report::data::checkers(snapshot, lvs, &local);
            self.put(
                snapshot,
                &self.data_path(DataFile::Checkers, &snapshot.config.globals),
                &checkers,
            );
        }
        if !snapshot.config.bfd.is_empty() {
            info!(target: "bfd", "Printing BFD data for process({pid}) on signal");
            let bfd = report::data::bfd(snapshot, &local);
            self.put(
                snapshot,
                &self.data_path(DataFile::Bfd, &snapshot.config.globals),
                &bfd,
            );
        }
    }

    /// The VRRP data, to a file of this name (`config_save_dir`).
    pub fn state(&self, snapshot: &Snapshot, path: &Path) {
        self.put(snapshot, path, &report::data::vrrp(snapshot, &local));
    }

    /// SIGUSR2, and with `clear` SIGRTMAX-1: the statistics. It is for the caller to clear them.
    pub fn stats(&self, snapshot: &Snapshot, clear: bool) {
        let clearing = if clear { "and clearing " } else { "" };
        let pid = std::process::id();
        info!(target: "vrrp", "Printing {clearing}VRRP stats for process({pid}) on signal");
        let path = self.directory.join("keepalived.stats");
        self.put(snapshot, &path, &report::stats(snapshot));
    }

    /// SIGRTMIN+2: the JSON file; none when there are no instances, nor virtual servers that go into it.
    pub fn json(&self, snapshot: &Snapshot) {
        let servers = report::lvs_json::is_wanted(&snapshot.config.globals, snapshot.lvs.as_ref());
        if snapshot.instances.is_empty() && !servers {
            return;
        }
        let text = report::json_with_ours(snapshot, snapshot.config.globals.json_version);
        self.put(snapshot, &self.directory.join("keepalived.json"), &text);
    }

    /// Path of a data file: `state_dump_file` names the file, its directory, or (with a `/` at the end)
    /// the directory alone; the process and then the instance (`data_use_instance`) go before the last dot.
    pub fn data_path(&self, file: DataFile, globals: &Globals) -> PathBuf {
        let given = globals.state_dump_file.as_deref().unwrap_or_default();
        let (directory, name) = given.rsplit_once('/').unwrap_or(("", given));
        let name = if name.is_empty() { "keepalived.data" } else { name };
        let (stem, extension) = match name.rfind('.') {
            Some(dot) => name.split_at(dot),
            None => (name, ""),
        };
        let process = match file {
            DataFile::Vrrp => "",
            DataFile::Parent => "_parent",
            DataFile::Checkers => "_check",
            DataFile::Bfd => "_bfd",
        };
        let names = [&globals.net_namespace, &globals.instance_name];
        let names: Vec<&str> = names.into_iter().filter_map(Option::as_deref).collect();
        let instance = match names.join("_") {
            joined if globals.data_use_instance && !joined.is_empty() => format!(".{joined}"),
            _ => String::new(),
        };
        let directory = match given.starts_with('/') {
            true => Path::new("/").join(directory),
            false => self.directory.join(directory),
        };
        directory.join(format!("{stem}{process}{instance}{extension}"))
    }

    fn put(&self, snapshot: &Snapshot, path: &Path, text: &str) {
        if let Err(problem) = write(path, text, snapshot.config.globals.umask) {
            error!(target: "vrrp", "{problem}");
        }
    }
}

impl Default for Dumps {
    fn default() -> Self {
        Self::new()
    }
}

/// `-d`: the configuration, a line of the log for each of its lines.
pub fn tell_configuration(snapshot: &Snapshot) {
    for line in report::data::configuration(snapshot, &local).lines() {
        info!(target: "vrrp", "{line}");
    }
    if !snapshot.config.bfd.is_empty() {
        for line in report::data::bfd_configuration(snapshot).lines() {
            info!(target: "bfd", "{line}");
        }
    }
}

pub(super) fn local(time: SystemTime) -> String {
    LocalTime::of(time).ctime_fraction(6)
}

/// Puts a text at a path in one step, with mode 0666 less `umask`.
pub fn write(path: &Path, text: &str, umask: u32) -> Result<(), DumpError> {
    let failed = |source| DumpError {
        path: path.to_owned(),
        source,
    };
    let (temporary, mut file) = create_beside(path).map_err(failed)?;
    // Closed after it has its name: whoever waits for a file of this name to be closed after writing hears of it.
    let result = fill(&mut file, text, umask).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    result.map_err(failed)
}

fn fill(file: &mut File, text: &str, umask: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o666 & !umask))?;
    file.write_all(text.as_bytes())
}

/// Opens a new file in the directory of `path`. Its name begins with a dot, so that the patterns
/// (`keepalived.json*`) with which exporters clear away old files do not match it.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    const ATTEMPTS: u32 = 16;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..ATTEMPTS {
        let temporary = directory.join(format!(".dump.{:016x}", unguessable()));
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&temporary);
        match opened {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// A number that others cannot foretell: the seeds of std's hash maps come from getrandom(2).
pub(super) fn unguessable() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn globals(file: Option<&str>) -> Globals {
        Globals {
            state_dump_file: file.map(str::to_owned),
            ..Globals::default()
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_paths_of_data_files() {
        let dumps = Dumps {
            directory: "/run/t".into(),
        };
        let path = |file, globals: &Globals| dumps.data_path(file, globals).to_str().unwrap().to_owned();
        for (given, vrrp, parent) in [
            (None, "/run/t/keepalived.data", "/run/t/keepalived_parent.data"),
            (
                Some("state.data"),
                "/run/t/state.data",
                "/run/t/state_parent.data",
            ),
            (Some("state"), "/run/t/state", "/run/t/state_parent"),
            (Some("sub/a.b.c"), "/run/t/sub/a.b.c", "/run/t/sub/a.b_parent.c"),
            (Some("/x/state.data"), "/x/state.data", "/x/state_parent.data"),
            (Some("/x/"), "/x/keepalived.data", "/x/keepalived_parent.data"),
            (Some("/s.data"), "/s.data", "/s_parent.data"),
        ] {
            let globals = globals(given);
            assert_eq!(path(DataFile::Vrrp, &globals), vrrp);
            assert_eq!(path(DataFile::Parent, &globals), parent);
        }
    }

    #[test]
    fn the_instance_stands_before_the_last_dot_when_asked_for() {
        let dumps = Dumps {
            directory: "/t".into(),
        };
        let mut globals = globals(Some("/x/state.data"));
        globals.instance_name = Some("gold".into());
        assert_eq!(
            dumps.data_path(DataFile::Vrrp, &globals),
            Path::new("/x/state.data")
        );
        globals.data_use_instance = true;
        assert_eq!(
            dumps.data_path(DataFile::Parent, &globals),
            Path::new("/x/state_parent.gold.data")
        );
        globals.net_namespace = Some("blue".into());
        assert_eq!(
            dumps.data_path(DataFile::Vrrp, &globals),
            Path::new("/x/state.blue_gold.data")
        );
    }

    #[test]
    fn tmpdir_counts_only_when_it_is_an_absolute_directory() {
        let directory = tempfile::tempdir().unwrap();
        let used = |asked: &Path| Dumps::in_directory(Some(asked.to_owned())).directory;
        assert_eq!(used(directory.path()), directory.path());
        assert_eq!(used(&directory.path().join("none")), Path::new("/tmp"));
        assert_eq!(used(Path::new("src")), Path::new("/tmp"));
        assert_eq!(used(Path::new("")), Path::new("/tmp"));
        assert_eq!(Dumps::in_directory(None).directory, Path::new("/tmp"));
    }

    #[test]
    fn a_file_has_its_mode_and_leaves_nothing_else_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keepalived.data");
        write(&path, "one\n", 0o177).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let reader = File::open(&path).unwrap();
        write(&path, "two\n", 0o022).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        assert_eq!(io::read_to_string(reader).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(names(directory.path()), ["keepalived.data"]);
    }

    #[test]
    fn a_link_in_the_way_is_replaced_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("passwd");
        fs::write(&victim, "root\n").unwrap();
        let path = directory.path().join("keepalived.json");
        symlink(&victim, &path).unwrap();
        write(&path, "[]\n", 0o177).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "root\n");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_is_told_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keepalived.data");
        fs::create_dir(&path).unwrap();
        let problem = write(&path, "text", 0o177).unwrap_err().to_string();
        assert!(
            problem.starts_with(&format!("Can't write dump file {}: ", path.display())),
            "{problem}"
        );
        assert_eq!(names(directory.path()), ["keepalived.data"]);
        let missing = directory.path().join("none/keepalived.data");
        let problem = write(&missing, "text", 0o177).unwrap_err().to_string();
        assert!(problem.contains("No such file or directory"), "{problem}");
    }
}
