//! Settings that keepalived does not have: `rs_*` lines, in `global_defs` or in a file of their own, which
//! keepalived never reads, so that the way back stays open.

use super::host::Host;
use crate::model::Globals;
use crate::model::globals::{MetricsAddress, WhenRemoved};
use std::path::Path;
use std::time::Duration;

/// The file of their own.
pub const FILE: &str = "/etc/keepalived/keepalived-rs.conf";

/// Takes in one setting. `Err`: what is wrong with it.
pub fn set(name: &str, value: Option<&str>, globals: &mut Globals) -> Result<(), String> {
    match (name, value) {
        ("rs_when_removed", Some("restore")) => globals.when_removed = WhenRemoved::Restore,
        ("rs_when_removed", Some("release")) => globals.when_removed = WhenRemoved::Release,
        ("rs_when_removed", other) => {
            let other = other.unwrap_or("nothing");
            return Err(format!("rs_when_removed must be restore or release, not {other}"));
        }
        ("rs_guard", Some("on")) => globals.guard = true,
        ("rs_guard", Some("off")) => globals.guard = false,
        ("rs_guard", other) => {
            let other = other.unwrap_or("nothing");
            return Err(format!("rs_guard must be on or off, not {other}"));
        }
        ("rs_deaf_link", value) => match value.and_then(|value| value.parse().ok()) {
            Some(seconds @ 0..=3600) => globals.deaf_link = Duration::from_secs(seconds),
            _ => {
                let other = value.unwrap_or("nothing");
                return Err(format!(
                    "rs_deaf_link must be a number of seconds from 0 (off) to 3600, not {other}"
                ));
            }
        },
        ("rs_metrics", Some("off")) => globals.metrics = None,
        ("rs_metrics", Some(path)) if path.starts_with('/') => {
            globals.metrics = Some(MetricsAddress::Unix(path.to_owned()));
        }
        ("rs_metrics", address) => {
            let address = address.unwrap_or_default();
            let Ok(address) = address.parse() else {
                return Err(format!(
                    "rs_metrics must be an address with a port (127.0.0.1:9650, [::1]:9650), the path of a socket, or off, not {}",
                    if address.is_empty() { "nothing" } else { address }
                ));
            };
            globals.metrics = Some(MetricsAddress::Tcp(address));
        }
        _ => return Err(format!("{name} is not a setting of keepalived-rs")),
    }
    Ok(())
}

/// Reads the file, if there is one, and returns what is wrong in it. Lines in `global_defs` win over it.
pub(super) fn read(host: &dyn Host, globals: &mut Globals) -> Vec<String> {
    let mut complaints = Vec::new();
    let Ok(bytes) = host.read(Path::new(FILE)) else {
        return complaints;
    };
    for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let line = line.split(['#', '!']).next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        if let Err(wrong) = set(name, words.next(), globals) {
            complaints.push(format!("({FILE}: Line {}) {wrong}", number + 1));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MemoryHost, ReadOptions, read};

    fn reading(own: &str, globals: &str) -> (WhenRemoved, Vec<String>) {
        let mut host = MemoryHost::default();
        host.file(FILE, own);
        host.file(
            "/etc/keepalived/keepalived.conf",
            &format!("global_defs {{\n{globals}\n}}\n"),
        );
        let reading = read(&host, &ReadOptions::default());
        let hints = reading.diagnostics.iter().map(|d| d.text.clone()).collect();
        (reading.configuration.globals.when_removed, hints)
    }

    #[test]
    fn both_places_and_what_is_wrong() {
        assert_eq!(reading("", ""), (WhenRemoved::Restore, vec![]));
        assert_eq!(
            reading("# ours\nrs_when_removed release\n", "").0,
            WhenRemoved::Release
        );
        assert_eq!(reading("", "rs_when_removed release").0, WhenRemoved::Release);
        assert_eq!(
            reading("rs_when_removed release", "rs_when_removed restore").0,
            WhenRemoved::Restore
        );
        let (value, hints) = reading("rs_when_removed maybe\n\nrs_else 1", "");
        assert_eq!(value, WhenRemoved::Restore);
        assert_eq!(
            hints,
            [
                format!("({FILE}: Line 1) rs_when_removed must be restore or release, not maybe"),
                format!("({FILE}: Line 3) rs_else is not a setting of keepalived-rs"),
            ]
        );
        assert!(!reading("", "rs_when_removed maybe").1.is_empty());
    }

    #[test]
    fn the_guard_is_on_unless_it_is_turned_off() {
        let mut globals = Globals::default();
        assert!(globals.guard);
        set("rs_guard", Some("off"), &mut globals).unwrap();
        assert!(!globals.guard);
        assert!(set("rs_guard", Some("maybe"), &mut globals).is_err());
        set("rs_guard", Some("on"), &mut globals).unwrap();
        assert!(globals.guard);
        assert_eq!(globals.deaf_link, Duration::from_secs(40));
        set("rs_deaf_link", Some("0"), &mut globals).unwrap();
        assert_eq!(globals.deaf_link, Duration::ZERO);
        for wrong in [None, Some("-1"), Some("3601"), Some("off")] {
            assert!(set("rs_deaf_link", wrong, &mut globals).is_err());
        }
        assert!(reading("", "rs_deaf_link 10").1.is_empty());
        assert!(reading("", "rs_guard off").1.is_empty());
        assert!(!reading("", "rs_guard").1.is_empty());
    }
}
