//! getopt_long(3)'s reading of a command line: combined short options, attached optional arguments,
//! unambiguous abbreviations, options and other arguments in any order.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// Nothing.
    None,
    /// A value, attached or as the next word.
    Required,
    /// A value only when attached: `-gFILE`, `--log-file=FILE`.
    Optional,
}

/// One option: its identity, its names and what follows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opt<I> {
    pub id: I,
    pub short: Option<u8>,
    pub long: &'static str,
    pub argument: Argument,
}

/// What was wrong with a word, as keepalived names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// No such option, or an abbreviation of several; the name with its dashes.
    Unknown(String),
    /// An option without its argument; the name with its dashes.
    Missing(String),
}

/// One step of the reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item<I> {
    /// An option with its argument.
    Option(I, Option<OsString>),
    /// A word that is no option.
    Operand(OsString),
    /// Something wrong.
    Problem(Problem),
}

/// Reads all words (without the program's name) in the order in which they stand.
pub(super) fn read<I: Copy>(table: &[Opt<I>], words: &[OsString]) -> Vec<Item<I>> {
    let mut items = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            items.extend(rest.by_ref().cloned().map(Item::Operand));
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            items.push(read_long(table, long, &mut rest));
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            read_short(table, &bytes[1..], &mut rest, &mut items);
        } else {
            items.push(Item::Operand(word.clone()));
        }
    }
    items
}

fn read_long<'a, I: Copy>(
    table: &[Opt<I>],
    word: &[u8],
    rest: &mut impl Iterator<Item = &'a OsString>,
) -> Item<I> {
    let (name, value) = match word.iter().position(|b| *b == b'=') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    let shown = || format!("--{}", String::from_utf8_lossy(name));
    let exact = table.iter().find(|o| o.long.as_bytes() == name);
    let found = exact.or_else(|| {
        let mut candidates = table.iter().filter(|o| o.long.as_bytes().starts_with(name));
        let first = candidates.next()?;
        candidates.next().is_none().then_some(first)
    });
    let Some(option) = found else {
        return Item::Problem(Problem::Unknown(shown()));
    };
    let value = value.map(|v| OsString::from_vec(v.to_vec()));
    match (option.argument, value) {
        (Argument::None, Some(_)) => Item::Problem(Problem::Unknown(shown())),
        (Argument::Required, Some(value)) if value.is_empty() => {
            Item::Problem(Problem::Missing(format!("--{}", option.long)))
        }
        (Argument::Required, None) => match rest.next() {
            Some(value) => Item::Option(option.id, Some(value.clone())),
            None => Item::Problem(Problem::Missing(format!("--{}", option.long))),
        },
        (_, value) => Item::Option(option.id, value),
    }
}

fn read_short<'a, I: Copy>(
    table: &[Opt<I>],
    letters: &[u8],
    rest: &mut impl Iterator<Item = &'a OsString>,
    items: &mut Vec<Item<I>>,
) {
    for (at, letter) in letters.iter().enumerate() {
        let shown = || format!("-{}", char::from(*letter));
        let Some(option) = table.iter().find(|o| o.short == Some(*letter)) else {
            items.push(Item::Problem(Problem::Unknown(shown())));
            continue;
        };
        if option.argument == Argument::None {
            items.push(Item::Option(option.id, None));
            continue;
        }
        let attached = &letters[at + 1..];
        if !attached.is_empty() {
            let value = OsStr::from_bytes(attached).to_owned();
            items.push(Item::Option(option.id, Some(value)));
        } else if option.argument == Argument::Optional {
            items.push(Item::Option(option.id, None));
        } else if let Some(value) = rest.next() {
            items.push(Item::Option(option.id, Some(value.clone())));
        } else {
            items.push(Item::Problem(Problem::Missing(shown())));
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [Opt<char>; 5] = [
        Opt {
            id: 'f',
            short: Some(b'f'),
            long: "use-file",
            argument: Argument::Required,
        },
        Opt {
            id: 'l',
            short: Some(b'l'),
            long: "log-console",
            argument: Argument::None,
        },
        Opt {
            id: 'D',
            short: Some(b'D'),
            long: "log-detail",
            argument: Argument::None,
        },
        Opt {
            id: 'g',
            short: Some(b'g'),
            long: "log-file",
            argument: Argument::Optional,
        },
        Opt {
            id: 'C',
            short: Some(b'C'),
            long: "check",
            argument: Argument::None,
        },
    ];

    fn words(text: &str) -> Vec<Item<char>> {
        let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        read(&TABLE, &words)
    }

    fn option(id: char, value: Option<&str>) -> Item<char> {
        Item::Option(id, value.map(OsString::from))
    }

    #[test]
    fn reads_as_getopt_long_does() {
        assert_eq!(
            words("-lDf a -fb --use-file c --use-file=d"),
            [
                option('l', None),
                option('D', None),
                option('f', Some("a")),
                option('f', Some("b")),
                option('f', Some("c")),
                option('f', Some("d")),
            ]
        );
        assert_eq!(
            words("-g x -gx --log-file x --log-file=x"),
            [
                option('g', None),
                Item::Operand("x".into()),
                option('g', Some("x")),
                option('g', None),
                Item::Operand("x".into()),
                option('g', Some("x")),
            ]
        );
        assert_eq!(words("--log-c --c"), [option('l', None), option('C', None)]);
        assert_eq!(
            words("x -- -l"),
            [Item::Operand("x".into()), Item::Operand("-l".into())]
        );
        assert_eq!(words("-"), [Item::Operand("-".into())]);
    }

    #[test]
    fn names_what_is_wrong() {
        let unknown = |name: &str| Item::Problem(Problem::Unknown(name.into()));
        let missing = |name: &str| Item::Problem(Problem::Missing(name.into()));
        assert_eq!(words("--log"), [unknown("--log")]);
        assert_eq!(words("--bogus=1"), [unknown("--bogus")]);
        assert_eq!(words("--check=1"), [unknown("--check")]);
        assert_eq!(
            words("-lZD"),
            [option('l', None), unknown("-Z"), option('D', None)]
        );
        assert_eq!(words("-f"), [missing("-f")]);
        assert_eq!(words("--use-file"), [missing("--use-file")]);
        assert_eq!(words("--use-file="), [missing("--use-file")]);
    }
}
