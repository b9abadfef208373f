//! The log: keepalived's lines, under keepalived's identifiers, never in the way of whoever writes them.
//!
//! An event becomes a record in a bounded queue; a thread of its own writes it to the journal (with
//! structured fields), else to syslog, and to standard error and files as asked. A sink that is dead, full or
//! missing costs lines, which are counted and told; it never costs time.

mod journal;
mod layer;
mod writer;

pub use layer::LogLayer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

/// Lines that wait for the writer at most.
const QUEUE: usize = 16_384;

/// Bytes of one line at most.
const LONGEST: usize = 4096;

/// Part of the program that a line comes from: keepalived's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// `Keepalived`.
    Parent,
    /// `Keepalived_vrrp`.
    Vrrp,
    /// `Keepalived_healthcheckers`.
    Checkers,
    /// `Keepalived_bfd`.
    Bfd,
}

impl Area {
    fn of_target(target: &str) -> Area {
        match target {
            "vrrp" => Area::Vrrp,
            "checkers" => Area::Checkers,
            "bfd" => Area::Bfd,
            _ => Area::Parent,
        }
    }

    fn identifier(self) -> &'static str {
        match self {
            Area::Parent => "Keepalived",
            Area::Vrrp => "Keepalived_vrrp",
            Area::Checkers => "Keepalived_healthcheckers",
            Area::Bfd => "Keepalived_bfd",
        }
    }

    /// What the file of `-g` gets before its suffix.
    fn file_part(self) -> &'static str {
        match self {
            Area::Parent => "",
            Area::Vrrp => "_vrrp",
            Area::Checkers => "_check",
            Area::Bfd => "_bfd",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    time: SystemTime,
    /// Syslog priority, 0 to 7.
    priority: u8,
    area: Area,
    text: String,
    fields: Vec<(&'static str, String)>,
}

enum Entry {
    Line(Box<Record>),
    Settings(Box<Settings>),
    Flush(SyncSender<()>),
}

/// Where lines go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// To standard error (`-n -l`).
    pub stderr: bool,
    /// To journal or syslog (not with `-G`).
    pub syslog: bool,
    /// Syslog facility, shifted (`-S`).
    pub facility: u32,
    /// `-g`: the file.
    pub file: Option<String>,
    /// `--flush-log-file`.
    pub flush: bool,
    /// Added to identifiers and file names: `_<namespace>_<instance>`.
    pub suffix: String,
    /// Where journald listens.
    pub journal_socket: PathBuf,
    /// Where syslogd listens.
    pub syslog_socket: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            stderr: false,
            syslog: true,
            facility: libc::LOG_DAEMON.cast_unsigned(),
            file: None,
            flush: false,
            suffix: String::new(),
            journal_socket: "/run/systemd/journal/socket".into(),
            syslog_socket: "/dev/log".into(),
        }
    }
}

/// What emitters share with the writer.
#[derive(Debug)]
struct Shared {
    queue: SyncSender<Entry>,
    detail: AtomicU8,
    lost: AtomicU64,
}

/// The log of the running program.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// A log whose writer is not started yet: lines wait in the queue.
    pub fn new() -> (Log, Writer) {
        let (queue, entries) = sync_channel(QUEUE);
        let log = Log {
            shared: Arc::new(Shared {
                queue,
                detail: AtomicU8::new(0),
                lost: AtomicU64::new(0),
            }),
        };
        let shared = Arc::clone(&log.shared);
        (log, Writer { entries, shared })
    }

    /// The layer for `tracing`.
    pub fn layer(&self) -> LogLayer {
        LogLayer::new(self.clone())
    }

    /// `-D`, counted: 0, 1 or 2.
    pub fn set_detail(&self, detail: u8) {
        self.shared.detail.store(detail, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// `-D`, counted.
    pub fn detail(&self) -> u8 {
        self.shared.detail.load(Ordering::Relaxed)
    }

    /// Other sinks from here on. Waits for room in the queue no longer than `limit`.
    pub fn set(&self, settings: Settings) {
        let _ = self.shared.queue.try_send(Entry::Settings(Box::new(settings)));
    }

    /// Waits until everything so far is written, `limit` at most. Says whether it was.
    pub fn flush(&self, limit: Duration) -> bool {
        let end = std::time::Instant::now() + limit;
        let (done, written) = sync_channel(1);
        let mut entry = Entry::Flush(done);
        loop {
            match self.shared.queue.try_send(entry) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => entry = back,
            }
            if std::time::Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        written
            .recv_timeout(end.saturating_duration_since(std::time::Instant::now()))
            .is_ok()
    }

    /// Lines lost so far and not yet told.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    fn emit(&self, mut record: Record) {
        if record.text.len() > LONGEST {
            let mut end = LONGEST;
            while !record.text.is_char_boundary(end) {
                end -= 1;
            }
            record.text.truncate(end);
        }
        if self.shared.queue.try_send(Entry::Line(Box::new(record))).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The writing side, until [`Writer::start`].
pub struct Writer {
    entries: Receiver<Entry>,
    shared: Arc<Shared>,
}

impl Writer {
    /// Starts the thread that writes. After daemonising: threads do not survive a fork.
    pub fn start(self, settings: Settings) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer::run(&self.entries, &self.shared, settings))
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::prelude::*;

    #[test]
    fn a_queue_without_a_writer_costs_lines_not_time() {
        let (log, _writer) = Log::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
            for number in 0..QUEUE + 10 {
                tracing::info!(target: "vrrp", "line {number}");
            }
        });
        assert_eq!(log.lost(), 10);
        assert!(!log.flush(Duration::from_millis(5)));
    }

    #[test]
    fn detail_decides_what_is_made() {
        let (log, writer) = Log::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
            tracing::debug!("not yet");
            log.set_detail(1);
            tracing::debug!(target: "vrrp", VRRP_INSTANCE = "VI_1", "detail {}", 1);
            tracing::trace!("never");
            tracing::error!("wrong");
        });
        let records: Vec<Record> = writer
            .entries
            .try_iter()
            .filter_map(|e| match e {
                Entry::Line(record) => Some(*record),
                _ => None,
            })
            .collect();
        let seen: Vec<_> = records
            .iter()
            .map(|r| (r.priority, r.area, r.text.as_str()))
            .collect();
        assert_eq!(seen, [(6, Area::Vrrp, "detail 1"), (3, Area::Parent, "wrong")]);
        assert_eq!(records[0].fields, [("VRRP_INSTANCE", "VI_1".to_owned())]);
    }

    #[test]
    fn a_huge_line_is_cut() {
        let (log, writer) = Log::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), || {
            tracing::info!("{}", "ä".repeat(LONGEST));
        });
        let Some(Entry::Line(record)) = writer.entries.try_iter().next() else {
            panic!("no line")
        };
        assert!(record.text.len() <= LONGEST);
    }

    /// A log whose journal is a socket of the test's.
    fn with_journal(test: impl FnOnce(&Log, &std::path::Path)) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("journal");
        let (log, writer) = Log::new();
        let settings = Settings {
            journal_socket: socket.clone(),
            syslog_socket: directory.path().join("none"),
            ..Settings::default()
        };
        writer.start(settings).unwrap();
        let layer = log.layer();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || test(&log, &socket));
    }

    fn message(journal: &std::os::unix::net::UnixDatagram) -> String {
        let mut buffer = [0; 8192];
        let length = journal.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let line = text.lines().next().unwrap_or_default();
        line.strip_prefix("MESSAGE=").unwrap_or_default().to_owned()
    }

    #[test]
    fn a_sink_that_nobody_reads_costs_lines_which_are_told() {
        with_journal(|log, socket| {
            let journal = std::os::unix::net::UnixDatagram::bind(socket).unwrap();
            journal.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let began = std::time::Instant::now();
            let lines = QUEUE + 2000;
            for number in 0..lines {
                tracing::info!(target: "vrrp", "line {number}");
            }
            // A sink that is waited for would have cost half a second a line.
            assert!(began.elapsed() < Duration::from_secs(60));
            assert!(log.lost() > 0);
            let (mut seen, mut told) = (0, 0);
            while seen + told < lines {
                let text = message(&journal);
                match text.strip_suffix(" log lines lost: the log did not take them in time") {
                    Some(number) => told += number.parse::<usize>().unwrap(),
                    None => seen += 1,
                }
            }
            assert_eq!(seen + told, lines);
            assert!(told > 0);
        });
    }

    #[test]
    fn a_sink_that_comes_back_is_used_again() {
        with_journal(|log, socket| {
            let open = || {
                let _ = std::fs::remove_file(socket);
                let journal = std::os::unix::net::UnixDatagram::bind(socket).unwrap();
                journal.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                journal
            };
            let first = open();
            tracing::info!("one");
            assert_eq!(message(&first), "one");
            drop(first);
            let second = open();
            tracing::info!("two");
            assert_eq!(message(&second), "two");
            assert!(log.flush(Duration::from_secs(20)));
        });
    }
}
