//! Runs a list of tests, each on a thread of its own: several at once where only the outcome matters, one at
//! a time, after the others, where times are measured. Prints libtest's lines, so that a reader and a script
//! find the same closing line as for every other test; skipped tests are counted there as ignored.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// No test of the lab needs longer; one that does is stuck. `LAB_LONGEST=SECONDS` is for those that are asked to do more.
fn longest() -> Duration {
    let asked = std::env::var("LAB_LONGEST").ok();
    Duration::from_secs(asked.and_then(|text| text.parse().ok()).unwrap_or(150))
}

pub struct Test {
    pub name: &'static str,
    pub run: fn(),
    /// Measures times: nothing else runs beside it.
    pub alone: bool,
}

/// Why a test did not run: the panic payload by which [`skip`] leaves it.
struct Skipped(String);

enum Outcome {
    Passed,
    Failed,
    Skipped(String),
}

/// Leaves the running test; it is counted as skipped, with the reason.
pub fn skip(reason: impl Into<String>) -> ! {
    panic::resume_unwind(Box::new(Skipped(reason.into())))
}

/// In CI a test that is skipped is a failure: the machine there has all that is needed.
pub fn in_ci() -> bool {
    ["KEEPALIVED_RS_CI", "CI"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|v| v == "1" || v == "true"))
}

/// Set in the copy of this program that runs as root of a user namespace of its own.
pub const UNPRIVILEGED: &str = "KEEPALIVED_RS_LAB_UNPRIVILEGED";

/// True when this is root of a user namespace only: no other users, no real-time priority.
pub fn unprivileged() -> bool {
    std::env::var_os(UNPRIVILEGED).is_some()
}

pub fn run(tests: &[Test]) -> ExitCode {
    let mut options = Options::read();
    let chosen: Vec<&Test> = tests.iter().filter(|test| options.chooses(test.name)).collect();
    if options.list {
        for test in &chosen {
            println!("{}: test", test.name);
        }
        return ExitCode::SUCCESS;
    }
    if !nix::unistd::geteuid().is_root() && !unprivileged() {
        return in_user_namespace();
    }
    super::net::remove_left_overs();
    if options.jobs == 0 {
        options.jobs = 6;
    }
    println!("\nrunning {} tests", chosen.len());
    let began = Instant::now();
    let (alone, together): (Vec<&Test>, Vec<&Test>) = chosen.iter().partition(|test| test.alone);
    let mut outcomes = run_at_once(&together, options.jobs);
    outcomes.extend(run_at_once(&alone, 1));
    close(&outcomes, tests.len() - chosen.len(), began.elapsed())
}

fn close(outcomes: &[(&'static str, Outcome)], filtered: usize, took: Duration) -> ExitCode {
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, o)| matches!(o, Outcome::Failed))
        .map(|(name, _)| *name)
        .collect();
    let skipped: Vec<(&str, &String)> = outcomes
        .iter()
        .filter_map(|(name, o)| {
            if let Outcome::Skipped(reason) = o {
                Some((*name, reason))
            } else {
                None
            }
        })
        .collect();
    let passed = outcomes.len() - failed.len() - skipped.len();
    if !failed.is_empty() {
        println!("\nfailures:");
        for name in &failed {
            println!("    {name}");
        }
    }
    let skip_fails = in_ci() && !skipped.is_empty();
    if !skipped.is_empty() {
        println!("\nskipped{}:", if skip_fails { " (a failure in CI)" } else { "" });
        for (name, reason) in &skipped {
            println!("    {name}: {reason}");
        }
    }
    let good = failed.is_empty() && !skip_fails;
    println!(
        "\ntest result: {}. {passed} passed; {} failed; {} ignored; 0 measured; {filtered} filtered out; finished in {:.2}s\n",
        if good { "ok" } else { "FAILED" },
        failed.len(),
        skipped.len(),
        took.as_secs_f64()
    );
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

fn run_at_once(tests: &[&Test], jobs: usize) -> Vec<(&'static str, Outcome)> {
    let next = Mutex::new(tests.iter());
    let (done, results) = mpsc::channel();
    let mut outcomes = Vec::new();
    thread::scope(|scope| {
        for _ in 0..jobs.min(tests.len()) {
            let (next, done) = (&next, done.clone());
            scope.spawn(move || {
                loop {
                    let Some(test) = next.lock().unwrap_or_else(|e| e.into_inner()).next() else {
                        return;
                    };
                    let began = Instant::now();
                    let outcome = run_one(test);
                    if done.send((test.name, outcome, began.elapsed())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        for (name, outcome, took) in results {
            match &outcome {
                Outcome::Passed => println!("test {name} ... ok ({:.1}s)", took.as_secs_f64()),
                Outcome::Failed => println!("test {name} ... FAILED ({:.1}s)", took.as_secs_f64()),
                Outcome::Skipped(reason) => println!("test {name} ... ignored, {reason}"),
            }
            outcomes.push((name, outcome));
        }
    });
    outcomes
}

/// Runs one test on a thread that carries its name, so that panics name it.
fn run_one(test: &Test) -> Outcome {
    let run = test.run;
    let (done, ended) = mpsc::channel();
    let thread = thread::Builder::new().name(test.name.to_owned()).spawn(move || {
        let result = panic::catch_unwind(AssertUnwindSafe(run));
        let _ = done.send(());
        result
    });
    let Ok(thread) = thread else {
        return Outcome::Failed;
    };
    if ended.recv_timeout(longest()).is_err() && !thread.is_finished() {
        // The thread cannot be stopped. Its daemons die with this process, its namespaces go at the next start.
        eprintln!(
            "test {}: still running after {:?}: giving up",
            test.name,
            longest()
        );
        println!("\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
        std::process::exit(101);
    }
    match thread.join() {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(payload)) | Err(payload) => outcome_of(payload),
    }
}

fn outcome_of(payload: Box<dyn Any + Send>) -> Outcome {
    match payload.downcast::<Skipped>() {
        Ok(skipped) => Outcome::Skipped(skipped.0),
        Err(_) => Outcome::Failed,
    }
}

/// Without root: again, as root of a user namespace with network and mounts of its own.
fn in_user_namespace() -> ExitCode {
    let Ok(program) = std::env::current_exe() else {
        return ExitCode::from(101);
    };
    let status = Command::new("unshare")
        .args([
            "-Urnm",
            "sh",
            "-c",
            "mount -t tmpfs -o mode=755 run /run && exec \"$@\"",
            "lab",
        ])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(UNPRIVILEGED, "1")
        .status();
    match status {
        Ok(status) => ExitCode::from(u8::try_from(status.code().unwrap_or(101)).unwrap_or(101)),
        Err(error) => {
            eprintln!("these tests need root, or user namespaces and unshare(1): {error}");
            ExitCode::from(101)
        }
    }
}

/// What libtest understands and what makes sense here; anything else that begins with a dash is passed over.
struct Options {
    filters: Vec<String>,
    exact: bool,
    list: bool,
    none: bool,
    jobs: usize,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            filters: Vec::new(),
            exact: false,
            list: false,
            none: false,
            jobs: 0,
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "--ignored" => options.none = true,
                "--test-threads" | "-j" => {
                    options.jobs = args.next().and_then(|n| n.parse().ok()).unwrap_or(1);
                }
                "--format" | "--color" | "--logfile" | "--skip" | "-Z" => {
                    args.next();
                }
                flag if flag.starts_with('-') => {
                    if let Some(n) = flag.strip_prefix("--test-threads=") {
                        options.jobs = n.parse().unwrap_or(1);
                    }
                }
                _ => options.filters.push(arg),
            }
        }
        options
    }

    fn chooses(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        !self.none && (self.filters.is_empty() || self.filters.iter().any(matches))
    }
}
