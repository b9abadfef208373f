//! Renderings of a [`Snapshot`](crate::state::snapshot::Snapshot) in keepalived's text. No I/O, no clock.
//!
//! Tools parse these texts, so that every line, its order and its oddities are keepalived 2.4.3's.

pub mod bfd;
pub mod data;
pub mod globals;
pub mod interfaces;
pub mod json;
pub mod routes;
pub mod stats;
pub mod version;
pub mod vrrp;

pub use json::json;
pub use stats::stats;
pub use version::version;

use crate::model::script::Command;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds east of UTC of the local time at a moment. The caller knows the time zone, we do not.
pub type UtcOffset<'a> = &'a dyn Fn(SystemTime) -> i32;

/// A text being put together, line by line.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Adds one line.
    fn line(&mut self, line: fmt::Arguments) {
        // Writing to a String cannot fail.
        let _ = fmt::Write::write_fmt(&mut self.0, line);
        self.0.push('\n');
    }
}

/// Adds one formatted line to a [`Text`].
macro_rules! line {
    ($text:expr, $($argument:tt)*) => { $text.line(format_args!($($argument)*)) };
}
use line;

/// `seconds.micro`, as in `Last advert sent`; zero when it never was.
fn stamp(time: Option<SystemTime>) -> String {
    let since = since_epoch(time);
    format!("{}.{:06}", since.as_secs(), since.subsec_micros())
}

/// `seconds.micro (Sun Nov 22 10:00:00.123456 2026)`.
fn full_stamp(time: Option<SystemTime>, offset: UtcOffset) -> String {
    let since = since_epoch(time);
    let east = i64::from(offset(time.unwrap_or(UNIX_EPOCH)));
    let local = i64::try_from(since.as_secs())
        .unwrap_or(i64::MAX)
        .saturating_add(east);
    let (day, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let (year, month, day_of_month) = civil(day);
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    format!(
        "{} ({} {} {:2} {:02}:{:02}:{:02}.{:06} {year})",
        stamp(time),
        WEEKDAYS[usize::try_from(day.rem_euclid(7)).unwrap_or(0)],
        MONTHS[month],
        day_of_month,
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros(),
    )
}

/// Year, month (0 to 11) and day of the month of a day counted from 1970-01-01 (Gregorian).
fn civil(day: i64) -> (i64, usize, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 2
    } else {
        from_march - 10
    };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let month = usize::try_from(month).unwrap_or(0).min(11);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

fn since_epoch(time: Option<SystemTime>) -> Duration {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default()
}

/// Seconds without needless zeros, as C's `%g`: `1`, `0.5`, `1.25`.
fn seconds(duration: Duration) -> String {
    let micros = duration.subsec_micros();
    if micros == 0 {
        return duration.as_secs().to_string();
    }
    let text = format!("{}.{micros:06}", duration.as_secs());
    text.trim_end_matches('0').to_owned()
}

/// Seconds with six decimals, as C's `%f`.
fn fraction(duration: Duration) -> String {
    format!("{}.{:06}", duration.as_secs(), duration.subsec_micros())
}

/// A command as its words in quotes: `'/run/notify.sh' 'master'`.
fn command(command: &Command) -> String {
    quoted(command.argv.iter())
}

fn quoted<'a>(words: impl Iterator<Item = &'a String>) -> String {
    words
        .map(|word| format!("'{word}'"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn true_false(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn enabled(value: bool) -> &'static str {
    if value { "enabled" } else { "disabled" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_seconds_and_the_local_date() {
        let time = UNIX_EPOCH + Duration::from_micros(1_795_552_175_750_869);
        assert_eq!(
            full_stamp(Some(time), &|_| 0),
            "1795552175.750869 (Tue Nov 24 20:29:35.750869 2026)"
        );
        assert_eq!(
            full_stamp(Some(time), &|_| 4 * 3600),
            "1795552175.750869 (Wed Nov 25 00:29:35.750869 2026)"
        );
        assert_eq!(
            full_stamp(None, &|_| 0),
            "0.000000 (Thu Jan  1 00:00:00.000000 1970)"
        );
        assert_eq!(
            full_stamp(None, &|_| -3600),
            "0.000000 (Wed Dec 31 23:00:00.000000 1969)"
        );
    }

    #[test]
    fn leap_days_are_counted() {
        assert_eq!(civil(11_016), (2000, 1, 29));
        assert_eq!(civil(11_017), (2000, 2, 1));
        assert_eq!(civil(20_453), (2025, 11, 31));
        assert_eq!(civil(20_454), (2026, 0, 1));
    }

    #[test]
    fn seconds_lose_their_zeros() {
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5");
        assert_eq!(seconds(Duration::from_secs(10)), "10");
        assert_eq!(fraction(Duration::from_millis(20)), "0.020000");
    }
}
