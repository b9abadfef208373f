//! Local time, for what people read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A local time, in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Year.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month.
    pub day: u32,
    /// Day of the week, 0 is Sunday.
    pub weekday: u32,
    /// Hour.
    pub hour: u32,
    /// Minute.
    pub minute: u32,
    /// Second.
    pub second: u32,
    /// Nanosecond.
    pub nanosecond: u32,
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl LocalTime {
    /// Local time (TZ) of a moment.
    pub fn of(moment: SystemTime) -> LocalTime {
        Self::pieces(moment, false)
    }

    /// The same in UTC.
    pub fn in_utc(moment: SystemTime) -> LocalTime {
        Self::pieces(moment, true)
    }

    fn pieces(moment: SystemTime, utc: bool) -> LocalTime {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or(0);
        // SAFETY: an all-zero tm is a valid value of the plain C struct.
        let mut tm: libc::tm = unsafe { std::mem::zeroed() };
        // SAFETY: both point to live values of the right type; neither function keeps them.
        unsafe {
            if utc {
                libc::gmtime_r(&raw const seconds, &raw mut tm);
            } else {
                libc::localtime_r(&raw const seconds, &raw mut tm);
            }
        }
        let small = |n: libc::c_int| u32::try_from(n).unwrap_or(0);
        LocalTime {
            year: tm.tm_year + 1900,
            month: small(tm.tm_mon) + 1,
            day: small(tm.tm_mday),
            weekday: small(tm.tm_wday),
            hour: small(tm.tm_hour),
            minute: small(tm.tm_min),
            second: small(tm.tm_sec),
            nanosecond: since.subsec_nanos(),
        }
    }

    /// The moment of a local time, or with `utc` of one in UTC. `None`: there is none (a 30th of February).
    pub fn moment(&self, utc: bool) -> Option<SystemTime> {
        // SAFETY: an all-zero tm is a valid value of the plain C struct.
        let mut tm: libc::tm = unsafe { std::mem::zeroed() };
        tm.tm_year = self.year.checked_sub(1900)?;
        tm.tm_mon = i32::try_from(self.month).ok()?.checked_sub(1)?;
        tm.tm_mday = i32::try_from(self.day).ok()?;
        tm.tm_hour = i32::try_from(self.hour).ok()?;
        tm.tm_min = i32::try_from(self.minute).ok()?;
        tm.tm_sec = i32::try_from(self.second).ok()?;
        // Summer or not is for the C library to say.
        tm.tm_isdst = -1;
        let asked = (tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        // SAFETY: both take a live tm, put it in order, and keep nothing.
        let seconds = unsafe {
            if utc {
                libc::timegm(&raw mut tm)
            } else {
                libc::mktime(&raw mut tm)
            }
        };
        // In the hour that summer time skips, another one is meant: the C library's.
        let same_day = (tm.tm_mon, tm.tm_mday) == (asked.0, asked.1);
        let in_range = asked.2 < 24 && asked.3 < 60 && asked.4 < 60;
        (same_day && in_range)
            .then(|| u64::try_from(seconds).ok())
            .flatten()
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// `2026-11-22 10:00:00`.
    pub fn date_and_time(&self) -> String {
        format!(
            "{}-{:02}-{:02} {:02}:{:02}:{:02}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )
    }

    /// `Sun Nov 22 10:00:00`.
    fn day_and_time(&self) -> String {
        let name = |names: &[&'static str], index: u32| names.get(index as usize).copied().unwrap_or("???");
        format!(
            "{} {} {:2} {:02}:{:02}:{:02}",
            name(&WEEKDAYS, self.weekday),
            name(&MONTHS, self.month.wrapping_sub(1)),
            self.day,
            self.hour,
            self.minute,
            self.second
        )
    }

    /// As ctime(3): `Sun Nov 22 10:00:00 2026`.
    pub fn ctime(&self) -> String {
        format!("{} {}", self.day_and_time(), self.year)
    }

    /// `Sun Nov 22 10:00:00.123456 2026`, with 6 or 9 decimals.
    pub fn ctime_fraction(&self, decimals: u32) -> String {
        let fraction = if decimals >= 9 {
            format!("{:09}", self.nanosecond)
        } else {
            format!("{:06}", self.nanosecond / 1000)
        };
        format!("{}.{fraction} {}", self.day_and_time(), self.year)
    }

    /// As syslog wants it: `Nov 22 10:00:00`.
    pub fn syslog(&self) -> String {
        self.day_and_time().get(4..).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_ctime_does() {
        let time = LocalTime {
            year: 2026,
            month: 11,
            day: 2,
            weekday: 1,
            hour: 9,
            minute: 5,
            second: 7,
            nanosecond: 12_345_678,
        };
        assert_eq!(time.ctime(), "Mon Nov  2 09:05:07 2026");
        assert_eq!(time.ctime_fraction(6), "Mon Nov  2 09:05:07.012345 2026");
        assert_eq!(time.ctime_fraction(9), "Mon Nov  2 09:05:07.012345678 2026");
        assert_eq!(time.syslog(), "Nov  2 09:05:07");
    }

    #[test]
    fn there_and_back() {
        let moment = UNIX_EPOCH + Duration::from_secs(1_795_341_600);
        let local = LocalTime::of(moment);
        assert_eq!(local.moment(false), Some(moment));
        let utc = LocalTime {
            year: 2026,
            month: 11,
            day: 22,
            hour: 10,
            minute: 0,
            second: 0,
            ..local
        };
        assert_eq!(utc.moment(true), Some(moment));
        assert_eq!(utc.date_and_time(), "2026-11-22 10:00:00");
        for wrong in [
            LocalTime { day: 31, ..utc },
            LocalTime { hour: 24, ..utc },
            LocalTime { month: 0, ..utc },
        ] {
            assert_eq!(wrong.moment(true), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_epoch_is_a_thursday_or_the_day_before() {
        let time = LocalTime::of(UNIX_EPOCH);
        assert!(time.weekday == 4 || time.weekday == 3);
    }
}
