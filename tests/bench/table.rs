//! Medians, ratios, and the page that shows them.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::common::{Which, try_tool};
use crate::rows::{Row, Value};

/// What the rounds of one row gave.
pub struct Result {
    name: &'static str,
    how: &'static str,
    figures: Vec<Figure>,
}

struct Figure {
    what: &'static str,
    unit: &'static str,
    goal: Option<f64>,
    values: BTreeMap<bool, Vec<f64>>,
}

impl Result {
    pub fn new(row: &Row) -> Self {
        Self {
            name: row.name,
            how: row.how,
            figures: Vec::new(),
        }
    }

    pub fn add(&mut self, which: Which, values: Vec<Value>) {
        for value in values {
            let figure = match self.figures.iter_mut().find(|figure| figure.what == value.what) {
                Some(figure) => figure,
                None => {
                    let new = Figure {
                        what: value.what,
                        unit: value.unit,
                        goal: value.goal,
                        values: BTreeMap::new(),
                    };
                    self.figures.push(new);
                    self.figures.last_mut().expect("just pushed")
                }
            };
            figure
                .values
                .entry(which == Which::Tested)
                .or_default()
                .push(value.value);
        }
    }

    /// Both daemons gave figures.
    pub fn complete(&self) -> bool {
        !self.figures.is_empty() && self.figures.iter().all(|figure| figure.values.len() == 2)
    }

    pub fn lines(&self) -> String {
        let mut text = String::new();
        if self.figures.is_empty() {
            let _ = writeln!(text, "| {} | no figures | | | | | |", self.name);
        }
        for figure in &self.figures {
            let (ours, theirs) = (figure.median(true), figure.median(false));
            let ratio = ours
                .zip(theirs)
                .filter(|(_, theirs)| *theirs > 0.0)
                .map(|(ours, theirs)| ours / theirs);
            let rounds = figure.values.values().map(Vec::len).min().unwrap_or(0);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {rounds} |",
                self.name,
                figure.what,
                show(theirs, figure.unit),
                show(ours, figure.unit),
                ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
                figure.goal.map_or("-".into(), |goal| format!("{goal:.2}")),
            );
        }
        text
    }
}

impl Figure {
    fn median(&self, ours: bool) -> Option<f64> {
        let mut values = self.values.get(&ours)?.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

fn show(value: Option<f64>, unit: &str) -> String {
    match value {
        None => "-".into(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0} {unit}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1} {unit}"),
        Some(value) => format!("{value:.2} {unit}"),
    }
}

/// docs/benchmarks.md.
pub fn page(results: &[Result]) -> String {
    let machine = try_tool("uname", &["-srm"]).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let version = |path: std::path::PathBuf| {
        let out = std::process::Command::new(path).arg("--version").output();
        out.map(|out| {
            String::from_utf8_lossy(&out.stderr)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .unwrap_or_default()
    };
    let mut text = format!(
        "# Benchmarks\n\nMade by `tests/bench/run` on {processors} processors, {}. Theirs: {}. \
         Figures are medians; ours and theirs ran in turn, in one run, in network namespaces of one machine, both \
         with `-n -l -D -G`, logging into a file, at SCHED_RR 1 unless the row says otherwise. Absolute figures hold for this machine only; \
         what counts is the ratio ours / theirs, and the goal is for the ratio. Times on the wire are the kernel's \
         receive stamps, taken where both hosts meet.\n\n\
         | row | figure | keepalived | keepalived-rs | ratio | goal | rounds |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        machine.trim(),
        version(Which::Keepalived.path()),
    );
    for result in results {
        text.push_str(&result.lines());
    }
    text.push_str("\n## How each row is measured\n\n");
    for result in results {
        let _ = writeln!(text, "- **{}**: {}", result.name, result.how);
    }
    text
}
