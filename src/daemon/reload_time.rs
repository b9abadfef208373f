//! `reload_time_file`: a file that holds the time of the next reload, so that several hosts take a new
//! configuration in the same moment.

use crate::model::Globals;
use crate::sys::local_time::LocalTime;
use crate::track::watch::{self, Directories};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The clock is looked at this often: it can be set. So is the file, in case its directory moved.
const LOOK: Duration = Duration::from_secs(10);
/// A longer line is no time.
const LONGEST: usize = 64;

/// When the next reload is due. Lives on the main thread.
#[derive(Debug, Default)]
pub(super) struct ReloadTime {
    path: Option<PathBuf>,
    repeat: bool,
    directories: Option<Directories>,
    scheduled: Option<SystemTime>,
    /// First line of the file when it was last read.
    line: Option<String>,
}

impl ReloadTime {
    /// At the start and after each reload that was taken: the file is looked at anew.
    pub fn configure(&mut self, globals: &Globals) {
        let path = globals.reload_time_file.as_ref().map(PathBuf::from);
        if path.is_none() {
            self.cancel();
            *self = ReloadTime::default();
            return;
        }
        self.repeat = globals.reload_repeat;
        if path != self.path {
            self.path = path;
            self.line = None;
            self.directories = Directories::new()
                .inspect_err(|error| {
                    tracing::warn!(target: "parent", "reload_time_file is looked at every 10 s only: {error}");
                })
                .ok();
        }
        self.look();
    }

    /// Returns when a reload is due.
    pub async fn due(&mut self) {
        if self.path.is_none() {
            std::future::pending().await
        }
        loop {
            let now = SystemTime::now();
            let left = self
                .scheduled
                .map(|at| at.duration_since(now).unwrap_or_default());
            if left.is_some_and(|left| left.is_zero()) {
                self.fire();
                return;
            }
            let sleep = tokio::time::sleep(left.unwrap_or(LOOK).min(LOOK));
            let changed = async {
                match &self.directories {
                    Some(directories) if directories.wait().await.is_ok() => directories.events(),
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                events = changed => {
                    let name = self.path.as_deref().and_then(Path::file_name);
                    if events.iter().any(|e| e.whole && e.name.as_deref().is_none_or(|n| Some(n.as_os_str()) == name)
                        || e.name.as_deref().map(Path::as_os_str) == name)
                    {
                        self.look();
                    }
                }
                () = sleep => self.look(),
            }
        }
    }

    /// The time has come: without `reload_repeat` the file has done its work.
    fn fire(&mut self) {
        self.scheduled = None;
        if !self.repeat
            && let Some(path) = &self.path
        {
            self.line = None;
            if let Err(error) = std::fs::remove_file(path) {
                tracing::warn!(target: "parent", "cannot remove {}: {error}", path.display());
            }
        }
    }

    fn look(&mut self) {
        let Some(path) = self.path.clone() else { return };
        if let Some(directories) = &self.directories {
            let _ = watch::watch(&directories.inotify(), &path);
        }
        let text = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(text.get(..LONGEST).unwrap_or(&text));
        let line = text
            .lines()
            .next()
            .filter(|line| !line.is_empty())
            .map(str::to_owned);
        let Some(line) = line else {
            self.line = None;
            self.cancel();
            return;
        };
        // What a line of old has led to stays, but for a daily time that has passed.
        let news = self.line.as_deref() != Some(&line);
        if !news && self.scheduled.is_some() {
            return;
        }
        match parse(&line, SystemTime::now()) {
            Ok(at) => self.schedule(at),
            Err(what) if news => tracing::info!(target: "parent", "Reload time {line} {what} - ignoring"),
            Err(_) => {}
        }
        self.line = Some(line);
    }

    fn schedule(&mut self, at: SystemTime) {
        let text = |at| LocalTime::of(at).date_and_time();
        match self.scheduled {
            Some(before) if before == at => {}
            Some(before) => {
                tracing::info!(target: "parent", "Reload time updated from {} to {}", text(before), text(at));
            }
            None => tracing::info!(target: "parent", "Scheduling reload for {}", text(at)),
        }
        self.scheduled = Some(at);
    }

    fn cancel(&mut self) {
        if let Some(at) = self.scheduled.take() {
            let at = LocalTime::of(at).date_and_time();
            tracing::info!(target: "parent", "Cancelling reload scheduled for {at}");
        }
    }
}

/// `HH:MM:SS`, `YY-MM-DD HH:MM:SS` or `YYYY-MM-DD HH:MM:SS`, with `Z` in UTC. A time without a date is the next one.
fn parse(line: &str, now: SystemTime) -> Result<SystemTime, &'static str> {
    const FORMAT: &str = "format is incorrect";
    const INVALID: &str = "is not valid";
    let (text, utc) = match line.strip_suffix('Z') {
        Some(text) => (text, true),
        None => (line, false),
    };
    let (date, time) = match text.split_once(' ') {
        Some((date, time)) => (Some(date), time),
        None => (None, text),
    };
    let [hour, minute, second] = numbers(time, ':').ok_or(FORMAT)?;
    let pieces = if utc { LocalTime::in_utc } else { LocalTime::of };
    let today = pieces(now);
    let at = LocalTime {
        hour,
        minute,
        second,
        nanosecond: 0,
        ..today
    };
    let Some(date) = date else {
        let at = at.moment(utc).ok_or(INVALID)?;
        if at > now {
            return Ok(at);
        }
        // The same time tomorrow, whatever the length of the day.
        let tomorrow = now + Duration::from_secs(24 * 3600);
        let tomorrow = pieces(tomorrow);
        let at = LocalTime {
            hour,
            minute,
            second,
            nanosecond: 0,
            ..tomorrow
        };
        return at.moment(utc).ok_or(INVALID);
    };
    let (century, date) = match date.len() {
        8 => (2000, date),
        10 => (
            date.get(..2).and_then(|c| c.parse::<i32>().ok()).ok_or(FORMAT)? * 100,
            date.get(2..).ok_or(FORMAT)?,
        ),
        _ => return Err(FORMAT),
    };
    let [year, month, day] = numbers(date, '-').ok_or(FORMAT)?;
    let year = i32::try_from(year).map_err(|_| FORMAT)? + century;
    let at = LocalTime {
        year,
        month,
        day,
        ..at
    };
    let at = at.moment(utc).ok_or(INVALID)?;
    if at <= now { Err("is in the past") } else { Ok(at) }
}

/// Three numbers of two digits.
fn numbers(text: &str, separator: char) -> Option<[u32; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn utc(year: i32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> SystemTime {
        let time = LocalTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..LocalTime::of(UNIX_EPOCH)
        };
        time.moment(true).unwrap()
    }

    #[test]
    fn times_as_keepalived_takes_them() {
        let now = utc(2026, 11, 25, 0, 3, 15);
        for (line, expected) in [
            ("02:03:12Z", Ok(utc(2026, 11, 25, 2, 3, 12))),
            ("00:03:15Z", Ok(utc(2026, 11, 26, 0, 3, 15))),
            ("00:00:00Z", Ok(utc(2026, 11, 26, 0, 0, 0))),
            ("30-01-01 10:00:00Z", Ok(utc(2030, 1, 1, 10, 0, 0))),
            ("2030-12-31 23:59:59Z", Ok(utc(2030, 12, 31, 23, 59, 59))),
            ("2020-01-01 10:00:00Z", Err("is in the past")),
            ("25:00:00Z", Err("is not valid")),
            ("2030-02-30 10:00:00Z", Err("is not valid")),
            ("garbage", Err("format is incorrect")),
            ("2030-01-01 10:00:00 Z", Err("format is incorrect")),
            ("10:00", Err("format is incorrect")),
            ("2:3:4", Err("format is incorrect")),
            ("2030-1-1 02:03:04", Err("format is incorrect")),
            (" 10:00:00", Err("format is incorrect")),
            ("10:00:00:00", Err("format is incorrect")),
            ("+1:00:00", Err("format is incorrect")),
        ] {
            assert_eq!(parse(line, now), expected, "{line}");
        }
        let local = LocalTime::of(now + Duration::from_secs(60)).date_and_time();
        assert_eq!(parse(&local, now), Ok(now + Duration::from_secs(60)));
        assert_eq!(parse(&local[11..], now), Ok(now + Duration::from_secs(60)));
    }
}
