//! Takes good inputs from `corpus/`, damages them in ways that repeat themselves, and gives each to a reader.
//!
//! `FUZZ_ROUNDS` says how many per reader and `FUZZ_SEED` where to begin, for a long run by hand.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub use crate::lab::Rng;

/// Longest input: what grows beyond it is cut.
const LONGEST: usize = 1 << 16;

/// Inputs, each with its name.
pub type Corpus = Vec<(String, Vec<u8>)>;

/// A folder of `corpus/`: files of hexadecimal lines, an input each, or of text.
pub fn corpus(name: &str) -> Corpus {
    let mut all = Vec::new();
    for path in files(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fuzz/corpus")
            .join(name),
    ) {
        let text = std::fs::read(&path).expect("a file of the corpus");
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".hex") {
            let text = String::from_utf8(text).expect("hexadecimal digits");
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            all.extend(
                lines
                    .enumerate()
                    .map(|(n, line)| (format!("{name}:{n}"), bytes(line))),
            );
        } else {
            all.push((name, text));
        }
    }
    assert!(!all.is_empty(), "corpus/{name} has inputs");
    all
}

/// The files below a folder, in the order of their names.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the corpus") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a hexadecimal digit") as u8;
    hex.trim()
        .as_bytes()
        .chunks(2)
        .map(|two| digit(two[0]) << 4 | digit(two[1]))
        .collect()
}

/// Gives every input, and `rounds` damaged ones, to a reader. One that panics is shown with the seed that made it.
pub fn run(name: &str, corpus: &Corpus, rounds: u64, mut reader: impl FnMut(&[u8])) {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let rounds = setting("FUZZ_ROUNDS").unwrap_or(rounds);
    let first: u64 = setting("FUZZ_SEED").unwrap_or(0);
    let mut give = |input: &[u8], what: &str| {
        if catch_unwind(AssertUnwindSafe(|| reader(input))).is_err() {
            panic!("{name}: {what} is too much for the reader:\n{}", shown(input));
        }
    };
    for (from, input) in corpus {
        give(input, from);
    }
    for seed in first..first.saturating_add(rounds) {
        let mut random = Rng(seed);
        let (from, input) = damaged(corpus, &mut random);
        give(&input, &format!("{from} with FUZZ_SEED={seed}"));
    }
}

fn shown(input: &[u8]) -> String {
    let mut hex = String::new();
    for byte in input {
        let _ = write!(hex, "{byte:02x}");
    }
    format!("{hex}\n{}", input.escape_ascii())
}

/// One of the inputs, with one to eight things wrong with it.
pub fn damaged<'a>(corpus: &'a Corpus, random: &mut Rng) -> (&'a str, Vec<u8>) {
    let (name, input) = &corpus[random.below(corpus.len() as u64) as usize];
    let mut input = input.clone();
    for _ in 0..=random.below(8) {
        damage(&mut input, corpus, random);
        input.truncate(LONGEST);
    }
    (name, input)
}

fn damage(input: &mut Vec<u8>, corpus: &Corpus, random: &mut Rng) {
    const NUMBERS: [u32; 10] = [0, 1, 3, 4, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, u32::MAX];
    let mut place = |end: usize| random.below(end as u64 + 1) as usize;
    let at = place(input.len());
    let until = at + place((input.len() - at).min(64));
    match place(9) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..until)),
        // A piece twice, or many times.
        2 => {
            let times = if place(15) == 0 { 300 } else { 1 };
            let piece = input[at..until].repeat(times);
            input.splice(at..at, piece);
        }
        // A piece of another input.
        3 => {
            let other = &corpus[place(corpus.len() - 1)].1;
            let from = place(other.len());
            let to = from + place((other.len() - from).min(64));
            input.splice(at..until, other[from..to].iter().copied());
        }
        4 => input.insert(at, place(255) as u8),
        // A length or a number that lies, in this machine's byte order.
        5 | 6 => {
            let number = NUMBERS[place(NUMBERS.len() - 1)];
            let width = [1, 2, 4][place(2)];
            for (place, byte) in input.iter_mut().skip(at).zip(number.to_le_bytes()).take(width) {
                *place = byte;
            }
        }
        7 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << place(7);
            }
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte = place(255) as u8;
            }
        }
    }
}

#[test]
fn damage_repeats_itself_and_does_not_leave_things_as_they_are() {
    let corpus = vec![("a".to_owned(), (0..64).collect::<Vec<u8>>())];
    let make = |seed| damaged(&corpus, &mut Rng(seed)).1;
    assert!((0..100).all(|seed| make(seed) == make(seed)));
    assert!((0..100).filter(|seed| make(*seed) != corpus[0].1).count() > 90);
}

#[test]
#[should_panic(expected = "FUZZ_SEED=")]
fn an_input_that_is_too_much_is_shown() {
    let corpus = vec![("a".to_owned(), vec![1; 16])];
    run("reader", &corpus, 1000, |input| {
        assert!(input.iter().all(|byte| *byte < 200))
    });
}
