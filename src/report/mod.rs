//! Renderings of a [`Snapshot`](crate::state::snapshot::Snapshot) in keepalived's text. No I/O, no clock.
//!
//! Tools parse these texts, so that every line, its order and its oddities are keepalived 2.4.3's.

pub mod bfd;
pub mod checkers;
pub mod company;
pub mod data;
pub mod globals;
pub mod interfaces;
pub mod json;
pub mod lines;
pub mod lvs;
pub mod lvs_json;
pub mod lvs_lines;
pub mod metrics;
pub mod ours;
pub mod routes;
pub mod stats;
pub mod status;
pub mod tracking;
pub mod vrrp;
pub mod watch;

pub use json::{json, json_with_ours};
pub use stats::stats;

use crate::model::script::Command;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Writes a moment as people read it, `Sun Nov 22 10:00:00.123456 2026`. The caller knows the time zone.
pub type LocalText<'a> = &'a dyn Fn(SystemTime) -> String;

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
fn full_stamp(time: Option<SystemTime>, local: LocalText) -> String {
    format!("{} ({})", stamp(time), local(time.unwrap_or(UNIX_EPOCH)))
}

fn since_epoch(time: Option<SystemTime>) -> Duration {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default()
}

/// Seconds without needless zeros, as C's `%g`: `1`, `0.5`, `1.25`.
pub fn seconds(duration: Duration) -> String {
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

/// ` reverse`, where a weight counts the other way round.
fn reverse(reverse: bool) -> &'static str {
    if reverse { " reverse" } else { "" }
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
        let time = UNIX_EPOCH + Duration::from_micros(1_795_552_175_050_869);
        let local = |_| "Tue Nov 24 20:29:35.050869 2026".to_owned();
        assert_eq!(stamp(Some(time)), "1795552175.050869");
        assert_eq!(
            full_stamp(Some(time), &local),
            "1795552175.050869 (Tue Nov 24 20:29:35.050869 2026)"
        );
        assert_eq!(stamp(None), "0.000000");
    }

    #[test]
    fn seconds_lose_their_zeros() {
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5");
        assert_eq!(seconds(Duration::from_secs(10)), "10");
        assert_eq!(fraction(Duration::from_millis(20)), "0.020000");
    }
}
