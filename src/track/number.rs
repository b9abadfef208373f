//! The number in a tracked file: how it is read and written.

use crate::model::track::InitFile;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Longer numbers do not exist.
const MOST: u64 = 128;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// There is no such file: 0.
    Missing,
    /// Nothing: 0, unless somebody is about to write.
    Empty,
    /// A number.
    Number(i64),
    /// Words, which keepalived takes as 0.
    Words(String),
    /// A number that no priority can follow, cut to 64 bits: the one from before stays.
    TooLarge(i64),
    /// Cannot be read: the number from before stays.
    Unreadable(String),
}

/// Reads a file. Does not wait for a pipe's other end.
pub(super) fn read(path: &Path) -> Content {
    let mut text = Vec::new();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let read = file.and_then(|file| file.take(MOST).read_to_end(&mut text));
    match read {
        Ok(_) => parse(&String::from_utf8_lossy(&text)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Content::Missing
        }
        Err(error) => Content::Unreadable(error.to_string()),
    }
}

/// As C's `strtol` with base 0: blanks, a sign, `0x` or `0` in front; what follows the number does not matter.
fn parse(text: &str) -> Content {
    if text.is_empty() {
        return Content::Empty;
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    let (negative, rest) = match rest.as_bytes().first() {
        Some(b'-') => (true, &rest[1..]),
        Some(b'+') => (false, &rest[1..]),
        _ => (false, rest),
    };
    let hexadecimal = rest
        .strip_prefix("0x")
        .or_else(|| rest.strip_prefix("0X"))
        .filter(|digits| digits.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, base) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if rest.starts_with('0') => (rest, 8),
        None => (rest, 10),
    };
    let mut number: Option<i64> = None;
    for digit in digits.chars().map_while(|c| c.to_digit(base)) {
        let so_far = number.unwrap_or(0);
        let digit = i64::from(digit) * if negative { -1 } else { 1 };
        number = Some(so_far.saturating_mul(i64::from(base)).saturating_add(digit));
    }
    match number {
        Some(number) if i32::try_from(number).is_err() => Content::TooLarge(number),
        Some(number) => Content::Number(number),
        None => Content::Words(text.lines().next().unwrap_or_default().trim().to_owned()),
    }
}

/// `init_file`: writes the value where there is no file, or over what is there. A link is not followed: the
/// directory may be another user's.
pub(super) fn initialise(path: &Path, init: InitFile, overwrite: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if overwrite {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(path) {
        Ok(mut file) => writeln!(file, "{}", init.value),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_keepalived_reads_them() {
        for (text, expected) in [
            ("7\n", Content::Number(7)),
            ("-3\n7\n", Content::Number(-3)),
            (" \t\n 9 foo", Content::Number(9)),
            ("+12", Content::Number(12)),
            ("0x10", Content::Number(16)),
            ("-0x1f", Content::Number(-31)),
            ("010", Content::Number(8)),
            ("08", Content::Number(0)),
            ("0x", Content::Number(0)),
            ("", Content::Empty),
            ("\n", Content::Words(String::new())),
            ("abc\nd", Content::Words("abc".into())),
            ("2147483648", Content::TooLarge(2_147_483_648)),
            ("99999999999999999999", Content::TooLarge(i64::MAX)),
            ("-99999999999999999999", Content::TooLarge(i64::MIN)),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn init_file_spares_what_is_there_and_follows_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        let init = |value, overwrite| InitFile { value, overwrite };
        initialise(&path, init(5, false), false).unwrap();
        assert_eq!(read(&path), Content::Number(5));
        initialise(&path, init(6, false), false).unwrap();
        assert_eq!(read(&path), Content::Number(5));
        initialise(&path, init(-6, true), true).unwrap();
        assert_eq!(read(&path), Content::Number(-6));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(initialise(&link, init(9, true), true).is_err());
        assert_eq!(read(&link), Content::Number(-6));
        assert_eq!(read(&directory.path().join("none")), Content::Missing);
        assert_eq!(read(&path.join("none")), Content::Missing);
    }
}
