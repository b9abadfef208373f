//! The thread that writes the log.

use super::{Area, Entry, Record, Settings, Shared, journal};
use crate::sys::local_time::LocalTime;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

/// How long one line may wait for a sink.
const PATIENCE: Duration = Duration::from_millis(500);

/// After a burst of lines the thread sleeps for so long, so that the next burst costs those who write it one
/// wake-up, not one a line.
const NAP: Duration = Duration::from_millis(1);

/// What a reader of standard error takes at once, or not at all (PIPE_BUF): lines that come together are
/// written together, as far as they fit.
const AT_ONCE: usize = 4096;

/// A sink that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

pub(super) fn run(entries: &Receiver<Entry>, shared: &Shared, settings: Settings) {
    let mut sinks = Sinks::new(settings);
    loop {
        let entry = entries.try_recv().or_else(|_| {
            sinks.send(shared);
            std::thread::sleep(NAP);
            entries.recv_timeout(RETRY)
        });
        match entry {
            Ok(Entry::Line(record)) => {
                let lost = sinks.write(&record);
                if lost > 0 {
                    shared.lost.fetch_add(lost, Ordering::Relaxed);
                } else if shared.lost.load(Ordering::Relaxed) > 0 {
                    sinks.tell_lost(shared);
                }
            }
            Ok(Entry::Settings(settings)) => {
                sinks.send(shared);
                sinks = Sinks::new(*settings);
            }
            Ok(Entry::Flush(done)) => {
                sinks.tell_lost(shared);
                sinks.flush();
                let _ = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => {
                sinks.tell_lost(shared);
                sinks.flush();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Journal, or syslog.
enum Socket {
    Journal(UnixDatagram),
    Syslog(UnixDatagram),
}

struct Sinks {
    settings: Settings,
    pid: u32,
    socket: Option<Socket>,
    next_try: Instant,
    /// Standard error leads to the journal as well (a unit of systemd's).
    stderr_is_journal: bool,
    stderr_stuck: bool,
    /// Lines for standard error, and how many of them have no other sink.
    batch: (Vec<u8>, u64),
    files: BTreeMap<Area, BufWriter<File>>,
}

impl Sinks {
    fn new(settings: Settings) -> Sinks {
        Sinks {
            settings,
            pid: std::process::id(),
            socket: None,
            next_try: Instant::now(),
            stderr_is_journal: stderr_is_journal(),
            stderr_stuck: false,
            batch: (Vec::new(), 0),
            files: BTreeMap::new(),
        }
    }

    /// Says how many lines no sink has that was asked for. Standard error has them after [`Sinks::send`].
    fn write(&mut self, record: &Record) -> u64 {
        let (mut written, mut lost) = (false, 0);
        if self.settings.syslog {
            written |= self.write_socket(record);
        }
        if self.settings.file.is_some() {
            written |= self.write_file(record).is_ok();
        }
        // Without any sink at all, standard error is better than nothing.
        let nowhere = self.settings.syslog && self.socket.is_none() && self.settings.file.is_none();
        let twice = self.stderr_is_journal && matches!(self.socket, Some(Socket::Journal(_)));
        if (self.settings.stderr && !twice) || nowhere {
            let line = format!("{}: {}\n", LocalTime::of(record.time).ctime(), record.text);
            if self.batch.0.len() + line.len() > AT_ONCE {
                lost = self.send_batch();
            }
            self.batch.0.extend_from_slice(line.as_bytes());
            self.batch.1 += u64::from(!written);
            written = true;
        }
        let asked = self.settings.syslog || self.settings.stderr || self.settings.file.is_some();
        lost + u64::from(asked && !written)
    }

    /// What standard error has still to get. Says whether it has it.
    fn send(&mut self, shared: &Shared) -> bool {
        let lost = self.send_batch();
        shared.lost.fetch_add(lost, Ordering::Relaxed);
        lost == 0
    }

    /// Says how many lines are lost.
    fn send_batch(&mut self) -> u64 {
        let (mut text, alone) = std::mem::take(&mut self.batch);
        let sent = text.is_empty() || self.write_stderr(&text);
        text.clear();
        self.batch.0 = text;
        if sent { 0 } else { alone }
    }

    /// Waits for a reader of standard error a while; one that was not there the last time is not waited for.
    fn write_stderr(&mut self, text: &[u8]) -> bool {
        let stderr = io::stderr();
        let patience = if self.stderr_stuck {
            PollTimeout::ZERO
        } else {
            PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO)
        };
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        self.stderr_stuck = poll(&mut fds, patience) == Ok(0);
        !self.stderr_stuck && stderr.lock().write_all(text).is_ok()
    }

    fn write_socket(&mut self, record: &Record) -> bool {
        for _ in 0..2 {
            if self.socket.is_none() {
                if Instant::now() < self.next_try {
                    return false;
                }
                self.socket = connect(&self.settings);
                if self.socket.is_none() {
                    self.next_try = Instant::now() + RETRY;
                    return false;
                }
            }
            let identifier = format!("{}{}", record.area.identifier(), self.settings.suffix);
            let sent = match &self.socket {
                Some(Socket::Journal(socket)) => socket.send(&journal::encode(
                    record,
                    &identifier,
                    self.settings.facility,
                    self.pid,
                )),
                Some(Socket::Syslog(socket)) => socket.send(
                    format!(
                        "<{}>{} {identifier}[{}]: {}",
                        self.settings.facility | u32::from(record.priority),
                        LocalTime::of(record.time).syslog(),
                        self.pid,
                        record.text
                    )
                    .as_bytes(),
                ),
                None => return false,
            };
            match sent {
                Ok(_) => return true,
                // The sink is there but reads nothing: this line is lost, the next one is tried.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return false;
                }
                Err(_) => self.socket = None,
            }
        }
        false
    }

    fn write_file(&mut self, record: &Record) -> io::Result<()> {
        if !self.files.contains_key(&record.area) {
            let name = self.settings.file.as_deref().unwrap_or_default();
            let path = file_name(name, record.area, &self.settings.suffix);
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o644)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)?;
            self.files.insert(record.area, BufWriter::new(file));
        }
        let Some(file) = self.files.get_mut(&record.area) else {
            return Ok(());
        };
        writeln!(
            file,
            "{}: {}",
            LocalTime::of(record.time).ctime_fraction(9),
            record.text
        )?;
        if self.settings.flush { file.flush() } else { Ok(()) }
    }

    fn flush(&mut self) {
        for file in self.files.values_mut() {
            let _ = file.flush();
        }
    }

    fn tell_lost(&mut self, shared: &Shared) {
        if !self.send(shared) {
            return;
        }
        let lost = shared.lost.swap(0, Ordering::Relaxed);
        if lost == 0 {
            return;
        }
        let untold = self.write(&Record {
            time: SystemTime::now(),
            priority: 4,
            area: Area::Parent,
            text: format!("{lost} log lines lost: the log did not take them in time"),
            fields: Vec::new(),
        }) + self.send_batch();
        if untold > 0 {
            shared.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

fn connect(settings: &Settings) -> Option<Socket> {
    let open = |path: &Path| -> Option<UnixDatagram> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok()?;
        socket.set_write_timeout(Some(PATIENCE)).ok()?;
        Some(socket)
    };
    open(&settings.journal_socket)
        .map(Socket::Journal)
        .or_else(|| open(&settings.syslog_socket).map(Socket::Syslog))
}

/// systemd.exec(5): JOURNAL_STREAM names the device and inode of what it has connected to the journal.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    nix::sys::stat::fstat(io::stderr()).is_ok_and(|s| stream == format!("{}:{}", s.st_dev, s.st_ino))
}

/// `dir/name.log` becomes `dir/name_vrrp_instance.log`.
fn file_name(name: &str, area: Area, suffix: &str) -> String {
    let (directory, file) = name.rsplit_once('/').map_or(("", name), |(d, f)| (d, f));
    let slash = if name.contains('/') { "/" } else { "" };
    let part = area.file_part();
    match file.rsplit_once('.') {
        Some((stem, extension)) => format!("{directory}{slash}{stem}{part}{suffix}.{extension}"),
        None => format!("{name}{part}{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_area_has_its_file() {
        assert_eq!(
            file_name("/run/dump-conf.log", Area::Parent, ""),
            "/run/dump-conf.log"
        );
        assert_eq!(
            file_name("/run/dump-conf.log", Area::Vrrp, "_gold"),
            "/run/dump-conf_vrrp_gold.log"
        );
        assert_eq!(file_name("log", Area::Checkers, ""), "log_check");
    }
}
