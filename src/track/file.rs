//! `track_file`: the number in a file, read anew whenever the file changes.
//!
//! The directory is watched, so that a file may be deleted, made again, or replaced. A directory that is not
//! there is looked for each second. Each file is read on a thread that may wait, so that a file system that
//! hangs holds up its own files only.

use super::number::{self, Content};
use super::script::Verdicts;
use super::watch::{self, Directories, Happened};
use crate::model::TrackFile;
use crate::state::snapshot::FileSnapshot;
use crate::state::track::{TrackSource, Verdict};
use nix::sys::inotify::{Inotify, WatchDescriptor};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{info, warn};

/// A directory that could not be watched is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// All files are read after this even without an event: a change made on another host gives none.
const EVEN_SO: Duration = Duration::from_secs(10);

/// A view of all files, for any thread.
#[derive(Debug, Clone, Default)]
pub struct FileStates(Arc<Mutex<Vec<FileSnapshot>>>);

impl FileStates {
    /// As they are now, in the order of the file.
    pub fn snapshot(&self) -> Vec<FileSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All tracked files. Lives on the services thread.
#[derive(Debug)]
pub struct FileTracker {
    orders: mpsc::UnboundedSender<Order>,
    states: FileStates,
}

#[derive(Debug)]
struct Order {
    files: Vec<TrackFile>,
    reload: bool,
    known: oneshot::Sender<()>,
}

impl FileTracker {
    /// Without any file. To be called within a runtime.
    pub fn new(verdicts: Verdicts) -> FileTracker {
        let (orders, waiting) = mpsc::unbounded_channel();
        let states = FileStates::default();
        let (looks, looked) = mpsc::unbounded_channel();
        let task = Task {
            verdicts,
            states: states.clone(),
            files: BTreeMap::new(),
            order: Vec::new(),
            directories: None,
            looks,
            waiting: Vec::new(),
        };
        tokio::spawn(task.run(waiting, looked));
        FileTracker { orders, states }
    }

    /// For dumps.
    pub fn states(&self) -> FileStates {
        self.states.clone()
    }

    /// Takes the files of a configuration. What is returned resolves when each has been read once.
    pub fn configure(&self, files: &[TrackFile], reload: bool) -> oneshot::Receiver<()> {
        let (known, told) = oneshot::channel();
        let _ = self.orders.send(Order {
            files: files.to_vec(),
            reload,
            known,
        });
        told
    }
}

struct File {
    config: Arc<TrackFile>,
    value: i64,
    /// It has been read.
    known: bool,
    /// A thread reads it now, and whether it is to be read again afterwards and is whole then.
    looking: bool,
    again: Option<bool>,
    link: bool,
    watches: Vec<WatchDescriptor>,
    /// Its directory could not be watched.
    blind: bool,
    /// What was last said about it.
    said: Option<String>,
}

/// What a thread has found.
struct Looked {
    name: String,
    path: String,
    whole: bool,
    content: Content,
    link: bool,
    watches: Vec<WatchDescriptor>,
    watched: io::Result<()>,
    initialised: io::Result<()>,
}

struct Task {
    verdicts: Verdicts,
    states: FileStates,
    files: BTreeMap<String, File>,
    /// Names in the order of the file.
    order: Vec<String>,
    directories: Option<Directories>,
    looks: mpsc::UnboundedSender<Looked>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Task {
    async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut looked: mpsc::UnboundedReceiver<Looked>,
    ) {
        let mut timer = std::pin::pin!(tokio::time::sleep(EVEN_SO));
        let mut all_due = Instant::now() + EVEN_SO;
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.configure(order),
                    None => return,
                },
                Some(looked) = looked.recv() => self.take(looked),
                events = events(self.directories.as_ref()) => {
                    for happened in events {
                        self.hear(&happened);
                    }
                    continue;
                }
                () = &mut timer, if !self.files.is_empty() => {
                    let all = Instant::now() >= all_due;
                    if all {
                        all_due = Instant::now() + EVEN_SO;
                    }
                    for name in self.order.clone() {
                        if all || self.files.get(&name).is_some_and(|file| file.blind) {
                            self.look(&name, false, None);
                        }
                    }
                }
            }
            let blind = self.files.values().any(|file| file.blind);
            timer.as_mut().reset(if blind {
                Instant::now() + AGAIN
            } else {
                all_due.max(Instant::now() + AGAIN)
            });
        }
    }

    fn configure(&mut self, order: Order) {
        if self.directories.is_none() && !order.files.is_empty() {
            self.directories = Directories::new()
                .inspect_err(|error| {
                    warn!(target: "vrrp", "Tracked files are read each second: cannot watch directories: {error}");
                })
                .ok();
        }
        let mut before = std::mem::take(&mut self.files);
        self.order = order.files.iter().map(|file| file.name.clone()).collect();
        self.waiting.push(order.known);
        for config in &order.files {
            let kept = before
                .remove(&config.name)
                .filter(|file| file.config.path == config.path);
            let kept = kept.map(|file| File {
                config: Arc::new(config.clone()),
                ..file
            });
            let new = kept.is_none();
            let file = kept.unwrap_or_else(|| File {
                config: Arc::new(config.clone()),
                value: 0,
                known: false,
                looking: false,
                again: None,
                link: false,
                watches: Vec::new(),
                blind: false,
                said: None,
            });
            self.files.insert(config.name.clone(), file);
            if new {
                let initialise = config.init.is_some().then_some(order.reload);
                self.look(&config.name, true, initialise);
            }
        }
        self.settle();
    }

    fn hear(&mut self, happened: &Happened) {
        for name in self.order.clone() {
            let concerned = self.files.get(&name).is_some_and(|file| {
                let directory = happened
                    .directory
                    .is_none_or(|watch| file.watches.iter().any(|own| own.as_raw() == watch));
                let path = Path::new(&file.config.path);
                directory && watch::concerns(path, file.link, happened.name.as_ref().map(|n| n.as_os_str()))
            });
            if concerned {
                self.look(&name, happened.whole, None);
            }
        }
    }

    /// Reads a file on another thread; `initialise`: writes it before, and whether this is a reload.
    fn look(&mut self, name: &str, whole: bool, initialise: Option<bool>) {
        let inotify = self.directories.as_ref().map(Directories::inotify);
        let Some(file) = self.files.get_mut(name) else {
            return;
        };
        if file.looking {
            file.again = Some(whole || file.again == Some(true));
            return;
        }
        file.looking = true;
        let (name, config, looks) = (name.to_owned(), file.config.clone(), self.looks.clone());
        tokio::task::spawn_blocking(move || {
            let _ = looks.send(look(name, &config, inotify.as_deref(), whole, initialise));
        });
    }

    fn take(&mut self, looked: Looked) {
        if let Some(directories) = &mut self.directories {
            directories.add(&looked.watches);
        }
        let Some(file) = self
            .files
            .get_mut(&looked.name)
            .filter(|file| file.config.path == looked.path)
        else {
            return;
        };
        file.looking = false;
        file.link = looked.link;
        file.watches = looked.watches;
        file.blind = looked.watched.is_err();
        let before = (file.known, file.value);
        let (value, said) = judge(file, looked.content, looked.whole);
        let said = match (looked.initialised, &looked.watched) {
            (Err(error), _) => Some(format!(
                "Track file {} cannot be initialised: {}: {error}",
                looked.name, looked.path
            )),
            (Ok(()), Err(error)) if said.is_none() => Some(format!(
                "Track file directory for {} cannot be watched, {} is looked for each second: {error}",
                looked.name, looked.path
            )),
            _ => said,
        };
        if said != file.said {
            if let Some(said) = &said {
                info!(target: "vrrp", "{said}");
            }
            file.said = said;
        }
        (file.known, file.value) = (true, value);
        if before != (true, value) {
            (self.verdicts)(
                TrackSource::File(Arc::from(looked.name.as_str())),
                Verdict::Value(value),
            );
        }
        if let Some(whole) = file.again.take() {
            self.look(&looked.name, whole, None);
        }
        self.settle();
    }

    /// Publishes what is known, and tells those who wait for it.
    fn settle(&mut self) {
        let snapshots = self.order.iter().filter_map(|name| self.files.get(name));
        *self.states.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshots
            .map(|file| FileSnapshot {
                config: file.config.clone(),
                value: file.value,
            })
            .collect();
        if self.files.values().all(|file| file.known) {
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
        // What a thread is about to watch is not known yet.
        if let Some(directories) = &mut self.directories
            && !self.files.values().any(|file| file.looking)
        {
            let used: BTreeSet<WatchDescriptor> = self
                .files
                .values()
                .flat_map(|file| file.watches.iter().copied())
                .collect();
            directories.keep(&used);
        }
    }
}

/// The value that follows, and what is to be said.
fn judge(file: &File, content: Content, whole: bool) -> (i64, Option<String>) {
    let path = &file.config.path;
    match content {
        Content::Number(value) => (value, None),
        Content::Missing => (0, None),
        // Somebody has opened it and is about to write.
        Content::Empty if file.known && !whole => (file.value, file.said.clone()),
        Content::Empty => (0, None),
        Content::Words(words) => (0, Some(format!("No number in {path}, taken as 0: `{words}`"))),
        Content::TooLarge(number) => (
            file.value,
            Some(format!("Invalid number {number} read from {path} - ignoring")),
        ),
        Content::Unreadable(error) => (
            file.value,
            Some(format!(
                "Track file {path} cannot be read, its value stays {}: {error}",
                file.value
            )),
        ),
    }
}

/// Watches, writes, reads; in this order, so that no change is missed.
fn look(
    name: String,
    config: &TrackFile,
    inotify: Option<&Inotify>,
    whole: bool,
    initialise: Option<bool>,
) -> Looked {
    let path = Path::new(&config.path);
    let link = watch::is_link(path);
    let (watches, watched) = match inotify {
        Some(inotify) => watch::watch(inotify, path),
        None => (Vec::new(), Err(io::Error::other("no inotify"))),
    };
    let initialised = match (config.init, initialise) {
        (Some(init), Some(reload)) => number::initialise(path, init, init.overwrite && !reload),
        _ => Ok(()),
    };
    Looked {
        name,
        path: config.path.clone(),
        whole,
        content: number::read(path),
        link,
        watches,
        watched,
        initialised,
    }
}

async fn events(directories: Option<&Directories>) -> Vec<Happened> {
    match directories {
        Some(directories) => match directories.wait().await {
            Ok(()) => directories.events(),
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
