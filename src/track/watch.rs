//! The directories of tracked files, watched with inotify.

use crate::sys::readiness::Readiness;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// keepalived's events, and those by which a link or a directory changes.
const EVENTS: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// The directory itself has changed: its path may lead elsewhere.
const DIRECTORY_GONE: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_IGNORED)
    .union(AddWatchFlags::IN_UNMOUNT);

/// A watched directory, by its number.
pub type Watch = i32;

/// What happened in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Which; `None`: events were lost, anything may have happened.
    pub directory: Option<Watch>,
    /// Name of the file; `None` when it is about the directory itself.
    pub name: Option<PathBuf>,
    /// The file is whole: it was closed after writing, or moved here.
    pub whole: bool,
}

/// One inotify instance.
#[derive(Debug)]
pub struct Directories {
    inotify: Arc<Inotify>,
    readiness: Readiness,
    known: BTreeSet<WatchDescriptor>,
}

impl Directories {
    /// Watches nothing yet. To be called within a runtime.
    pub fn new() -> io::Result<Directories> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Directories {
            readiness: Readiness::of(&inotify)?,
            inotify: Arc::new(inotify),
            known: BTreeSet::new(),
        })
    }

    /// To watch from another thread with [`watch`].
    pub fn inotify(&self) -> Arc<Inotify> {
        self.inotify.clone()
    }

    /// Waits for events.
    pub async fn wait(&self) -> io::Result<()> {
        self.readiness.wait().await
    }

    /// All events that there are.
    pub fn events(&self) -> Vec<Happened> {
        let mut all = Vec::new();
        while let Ok(events) = self.inotify.read_events() {
            all.extend(events.into_iter().map(|event| {
                let lost = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                let own = event.mask.intersects(DIRECTORY_GONE);
                if event.mask.contains(AddWatchFlags::IN_MOVE_SELF) {
                    // It is watched where its path leads now, if that is anywhere.
                    let _ = self.inotify.rm_watch(event.wd);
                }
                Happened {
                    directory: (!lost).then_some(event.wd.as_raw()),
                    name: event.name.map(PathBuf::from).filter(|_| !own),
                    whole: lost
                        || own
                        || event
                            .mask
                            .intersects(AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO),
                }
            }));
        }
        all
    }

    /// These are watched now.
    pub fn add(&mut self, watches: &[WatchDescriptor]) {
        self.known.extend(watches);
    }

    /// Ends the watches that nobody uses.
    pub fn keep(&mut self, used: &BTreeSet<WatchDescriptor>) {
        for unused in self.known.difference(used) {
            // One whose directory is gone has ended by itself.
            let _ = self.inotify.rm_watch(*unused);
        }
        self.known.retain(|watch| used.contains(watch));
    }
}

/// Watches the directories on which a path depends: its own, and where the file is a link the one that it leads
/// to. May wait for a file system.
pub fn watch(inotify: &Inotify, path: &Path) -> (Vec<WatchDescriptor>, io::Result<()>) {
    let mut watches = Vec::new();
    let mut result = Ok(());
    for directory in directories(path) {
        match inotify.add_watch(&directory, EVENTS) {
            Ok(watch) => watches.push(watch),
            Err(error) => result = Err(error.into()),
        }
    }
    (watches, result)
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let own = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut all = vec![own.to_owned()];
    if is_link(path)
        && let Ok(target) = path.canonicalize()
        && let Some(parent) = target.parent()
    {
        all.push(parent.to_owned());
    }
    all
}

/// Whether events about other names may change what the path leads to.
pub fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_symlink())
}

/// Whether an event about `name` is about this path.
pub fn concerns(path: &Path, link: bool, name: Option<&OsStr>) -> bool {
    link || name.is_none_or(|name| path.file_name() == Some(name))
}
