//! Ours and Debian's keepalived side by side: every figure is the median of rounds in which both run one after
//! the other, so that what else the machine does meets both. The ratio counts, not the figure.

#[path = "../common/mod.rs"]
mod common;

mod bfd;
mod checks;
mod loaded;
mod rows;
mod table;

use std::panic;
use std::process::ExitCode;

use common::Which;
use table::Result;

fn main() -> ExitCode {
    let options = Options::read();
    let chosen: Vec<_> = rows::all()
        .into_iter()
        .filter(|row| options.chooses(row.name))
        .collect();
    if options.list {
        for row in &chosen {
            println!("{}", row.name);
        }
        return ExitCode::SUCCESS;
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("tests/bench/run: needs root: namespaces, and real-time priority for both daemons");
        return ExitCode::FAILURE;
    }
    common::net::remove_left_overs();
    let mut results = Vec::new();
    for row in &chosen {
        let mut result = Result::new(row);
        for round in 0..options.rounds.unwrap_or(row.rounds) {
            // Each goes first every other time.
            let order = [Which::Tested, Which::Keepalived];
            for which in if round % 2 == 0 {
                order
            } else {
                [order[1], order[0]]
            } {
                match panic::catch_unwind(|| (row.measure)(which)) {
                    Ok(values) => result.add(which, values),
                    Err(_) => eprintln!("{}: a run of {which:?} failed", row.name),
                }
            }
        }
        print!("{}", result.lines());
        results.push(result);
    }
    let text = table::page(&results);
    println!("\n{text}");
    if options.write {
        std::fs::write("docs/benchmarks.md", text).expect("docs/ is writable");
    }
    if results.iter().all(Result::complete) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

struct Options {
    words: Vec<String>,
    rounds: Option<usize>,
    list: bool,
    write: bool,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            words: Vec::new(),
            rounds: None,
            list: false,
            write: false,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => options.rounds = Some(1),
                "--rounds" => options.rounds = args.next().and_then(|n| n.parse().ok()),
                "--list" => options.list = true,
                "--write" => options.write = true,
                "--bench" => {} // cargo's own
                _ => options.words.push(arg),
            }
        }
        options
    }

    fn chooses(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }
}
