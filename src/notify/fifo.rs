//! Notify FIFOs: one line for each change of state, and the scripts that read them.
//!
//! The pipe in the kernel is the queue (64 KiB): what nobody reads in time is lost, counted and said. Writing
//! never waits.

use super::fifo_script::{Reader, Who};
use crate::model::Globals;
use crate::model::globals::NotifyFifo;
use crate::process::privileges::ScriptGroups;
use crate::process::spawner::Spawner;
use crate::state::lvs::LvsNotification;
use crate::state::notify::{Notification, NotifyKind, Subject};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown, mkfifo};
use std::fs::{File, OpenOptions, symlink_metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Longest line that the kernel writes whole or not at all (PIPE_BUF), bytes.
const LONGEST: usize = 4096;

/// What is lost is said at most this often.
const SAY: Duration = Duration::from_secs(10);

/// All notify FIFOs. Lives on the services thread.
pub struct Fifos {
    spawner: Spawner,
    global: Option<Fifo>,
    vrrp: Option<Fifo>,
    lvs: Option<Fifo>,
}

/// An open FIFO.
struct Fifo {
    config: NotifyFifo,
    file: File,
    /// Made by us, so removed by us.
    made: bool,
    reader: Option<Reader>,
    lost: Lost,
}

/// Lines that found the pipe full.
#[derive(Default)]
struct Lost {
    /// Since it was last said.
    lines: u64,
    said: Option<Instant>,
}

impl Fifos {
    /// None yet.
    pub fn new(spawner: Spawner) -> Fifos {
        Fifos {
            spawner,
            global: None,
            vrrp: None,
            lvs: None,
        }
    }

    /// Makes and opens what the configuration names and starts the scripts. At a reload, what has not changed
    /// stays open, so that no reader goes deaf.
    pub fn configure(&mut self, globals: &Globals, groups: &ScriptGroups) {
        let global = given(&globals.notify_fifo, Who::Global);
        let mut vrrp = given(&globals.vrrp_notify_fifo, Who::Vrrp);
        let mut lvs = given(&globals.lvs_notify_fifo, Who::Lvs);
        if same(&global, &vrrp) {
            say_same(&mut vrrp, "vrrp");
        }
        if same(&global, &lvs) {
            say_same(&mut lvs, "LVS");
        }
        if same(&vrrp, &lvs)
            && let Some(lvs) = &mut lvs
            && lvs.script.is_some()
            && vrrp.as_ref().is_some_and(|vrrp| vrrp.script.is_some())
        {
            info!(
                target: "parent",
                "LVS notify FIFO and vrrp FIFO are the same both with scripts - ignoring LVS FIFO script"
            );
            lvs.script = None;
        }
        let wanted = [
            (Who::Global, &mut self.global, global),
            (Who::Vrrp, &mut self.vrrp, vrrp),
            (Who::Lvs, &mut self.lvs, lvs),
        ];
        for (who, slot, wanted) in wanted {
            let kept = match (slot.take(), &wanted) {
                (Some(open), Some(wanted)) if open.config.path == wanted.path && open.is_there() => {
                    Some(open)
                }
                (Some(open), _) => {
                    tokio::spawn(open.close());
                    None
                }
                (None, _) => None,
            };
            let Some(wanted) = wanted else { continue };
            let Some(mut fifo) = kept.or_else(|| open(&wanted, who)) else {
                continue;
            };
            if fifo.made && fifo.config.owner != wanted.owner {
                give(&fifo.file, &wanted);
            }
            let unchanged = fifo.config.script == wanted.script
                && fifo.reader.as_ref().is_some_and(Reader::is_alive) == wanted.script.is_some();
            if !unchanged {
                if let Some(reader) = fifo.reader.take() {
                    tokio::spawn(reader.stop(Duration::ZERO));
                }
                fifo.reader = wanted.script.as_ref().map(|script| {
                    let groups = groups.get(script.identity);
                    Reader::start(self.spawner.clone(), script, &wanted.path, groups, who)
                });
            }
            fifo.config = wanted;
            *slot = Some(fifo);
        }
    }

    /// Writes the line of a notification.
    pub fn notify(&mut self, notification: &Notification) {
        if self.global.is_some() || self.vrrp.is_some() {
            let line = line(notification);
            put(&mut self.global, &line);
            put(&mut self.vrrp, &line);
        }
    }

    /// The same for a virtual or a real server.
    pub fn notify_lvs(&mut self, notification: &LvsNotification) {
        if self.global.is_some() || self.lvs.is_some() {
            let line = lvs_line(notification);
            put(&mut self.global, &line);
            put(&mut self.lvs, &line);
        }
    }

    /// Closes and removes them. Their scripts see the end of the file, and have `grace` until they are told to end.
    pub async fn finish(&mut self, grace: Duration) {
        let open = [self.global.take(), self.vrrp.take(), self.lvs.take()];
        let readers: Vec<Reader> = open.into_iter().flatten().filter_map(Fifo::shut).collect();
        let ends: Vec<_> = readers
            .into_iter()
            .map(|reader| tokio::spawn(reader.stop(grace)))
            .collect();
        for end in ends {
            let _ = end.await;
        }
    }
}

impl Fifo {
    /// The path still leads to it.
    fn is_there(&self) -> bool {
        match (self.file.metadata(), symlink_metadata(&self.config.path)) {
            (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }

    fn put(&mut self, line: &str) {
        if line.len() > LONGEST {
            warn!(target: "vrrp", "notify fifo {}: a line of {} bytes is too long and is lost", self.config.path, line.len());
            return;
        }
        match (&self.file).write(line.as_bytes()) {
            Ok(_) => self.say_lost(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.lost.lines += 1;
                self.say_lost();
            }
            Err(error) => warn!(target: "vrrp", "notify fifo write error: {error}"),
        }
    }

    fn say_lost(&mut self) {
        if self.lost.lines > 0 && self.lost.said.is_none_or(|said| said.elapsed() >= SAY) {
            self.say_lost_now();
        }
    }

    fn say_lost_now(&mut self) {
        let lines = std::mem::take(&mut self.lost.lines);
        if lines == 0 {
            return;
        }
        self.lost.said = Some(Instant::now());
        warn!(
            target: "vrrp",
            "notify fifo {} is full: nobody reads it, or not fast enough; lines lost: {lines}", self.config.path
        );
    }

    /// Closes and removes it; what reads it is left.
    fn shut(mut self) -> Option<Reader> {
        self.say_lost_now();
        if self.made && self.is_there() {
            let _ = std::fs::remove_file(&self.config.path);
        }
        self.reader.take()
    }

    async fn close(self) {
        if let Some(reader) = self.shut() {
            reader.stop(Duration::ZERO).await;
        }
    }
}

fn put(fifo: &mut Option<Fifo>, line: &str) {
    if let Some(fifo) = fifo {
        fifo.put(line);
    }
}

/// `INSTANCE "VI_1" MASTER 150`.
fn line(notification: &Notification) -> String {
    let (kind, name, priority) = match &notification.subject {
        Subject::Instance(name) => ("INSTANCE", name, notification.priority),
        Subject::Group(name) | Subject::Lvs(name) => ("GROUP", name, 0),
    };
    let (state, suffix) = match notification.kind {
        NotifyKind::State(state) | NotifyKind::Still(state) => (state.as_str(), ""),
        NotifyKind::Priority(state) => (state.as_str(), "_PRIORITY"),
        NotifyKind::MasterRxLowerPriority => ("MASTER_RX_LOWER_PRI", ""),
    };
    format!("{kind} \"{name}\" {state}{suffix} {priority}\n")
}

/// `VS [192.0.2.1]:tcp:80 UP`, `RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN`.
fn lvs_line(notification: &LvsNotification) -> String {
    let state = if notification.up { "UP" } else { "DOWN" };
    match &notification.real {
        Some(real) => format!("RS {real} {} {state}\n", notification.server),
        None => format!("VS {} {state}\n", notification.server),
    }
}

fn given(fifo: &Option<NotifyFifo>, who: Who) -> Option<NotifyFifo> {
    let fifo = fifo.as_ref()?;
    if fifo.path.is_empty() {
        let kind = who.prefix();
        warn!(target: "parent", "{kind}notify_fifo_script has no {kind}notify_fifo to read - not started");
        return None;
    }
    Some(fifo.clone())
}

fn same(one: &Option<NotifyFifo>, other: &Option<NotifyFifo>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.path == other.path)
}

fn say_same(fifo: &mut Option<NotifyFifo>, kind: &str) {
    if let Some(fifo) = fifo.take() {
        info!(
            target: "parent",
            "notify FIFO {} has been specified for global and {kind} FIFO - ignoring {kind} FIFO", fifo.path
        );
    }
}

fn open(wanted: &NotifyFifo, who: Who) -> Option<Fifo> {
    let (kind, path) = (who.prefix(), &wanted.path);
    let made = match mkfifo(Path::new(path), Mode::from_bits_truncate(0o644)) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(error) => {
            warn!(target: "parent", "Unable to create {kind}notify fifo {path}: {error}");
            return None;
        }
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
        .open(path)
        .and_then(|file| match file.metadata()?.file_type().is_fifo() {
            true => Ok(file),
            false => Err(io::Error::other("there is something else, that is no FIFO")),
        });
    match file {
        Ok(file) => {
            if made {
                give(&file, wanted);
            }
            Some(Fifo {
                config: NotifyFifo {
                    script: None,
                    ..wanted.clone()
                },
                file,
                made,
                reader: None,
                lost: Lost::default(),
            })
        }
        Err(error) => {
            warn!(target: "parent", "Unable to open {kind}notify fifo {path}: {error}");
            None
        }
    }
}

fn give(file: &File, wanted: &NotifyFifo) {
    let owner = wanted.owner;
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    if let Err(error) = fchown(file, Some(uid), Some(gid)) {
        warn!(target: "parent", "Failed to set uid:gid for fifo {}: {error}", wanted.path);
    }
}
