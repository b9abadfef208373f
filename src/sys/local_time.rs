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
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or(0);
        // SAFETY: an all-zero tm is a valid value of the plain C struct.
        let mut tm: libc::tm = unsafe { std::mem::zeroed() };
        // SAFETY: both point to live values of the right type; localtime_r keeps neither.
        unsafe { libc::localtime_r(&raw const seconds, &raw mut tm) };
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
    fn the_epoch_is_a_thursday_or_the_day_before() {
        let time = LocalTime::of(UNIX_EPOCH);
        assert!(time.weekday == 4 || time.weekday == 3);
    }
}
