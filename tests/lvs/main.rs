//! Decisions about virtual servers: verdicts go in, and what is to be done comes out, line by line.

#![allow(missing_docs)]

mod decisions;
mod marks;
mod reload;

use keepalived_rs::config::{self, MemoryHost, ReadOptions};
use keepalived_rs::lvs::{Lvs, LvsSettings};
use keepalived_rs::model::Configuration;
use keepalived_rs::report::lvs_lines::Line;
use keepalived_rs::state::check::{CheckReport, CheckVerdict, CheckerId};
use keepalived_rs::state::lvs::{LvsEffect, LvsMail, Operation, Table};

const FILE: &str = "/etc/keepalived/keepalived.conf";

/// Reads a text as the whole configuration.
pub fn read(text: &str) -> Configuration {
    let mut host = MemoryHost::default();
    host.interface("eth0").script("/bin/s").file(FILE, text);
    config::read(&host, &ReadOptions::default()).configuration
}

/// A virtual server 10.0.0.1:80 with these lines, and real servers 10.1.0.1 and so on with those.
pub fn server(lines: &str, reals: &[&str]) -> String {
    let mut text =
        format!("virtual_server 10.0.0.1 80 {{\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n{lines}\n");
    for (number, lines) in reals.iter().enumerate() {
        text += &format!("real_server 10.1.0.{} 80 {{\n{lines}\n}}\n", number + 1);
    }
    text + "}\n"
}

/// A real server with one check.
pub const CHECKED: &str = "TCP_CHECK {\n}";

/// Decisions under test, and what they say.
pub struct Bench {
    pub lvs: Lvs,
    /// Names of checkers, in the order in which they were started.
    pub checkers: Vec<CheckerId>,
    /// Mails so far.
    pub mails: Vec<LvsMail>,
}

impl Bench {
    pub fn start(text: &str) -> (Bench, Vec<String>) {
        let mut bench = Bench {
            lvs: Lvs::default(),
            checkers: Vec::new(),
            mails: Vec::new(),
        };
        let said = bench.configure(text);
        (bench, said)
    }

    /// The same when nothing of the start matters.
    pub fn running(text: &str) -> Bench {
        Bench::start(text).0
    }

    pub fn configure(&mut self, text: &str) -> Vec<String> {
        let config = read(text);
        let settings = LvsSettings {
            init_notifies: config.globals.rs_init_notifies,
        };
        let mut effects = Vec::new();
        self.lvs.configure(&config.lvs, settings, &mut effects);
        self.said(&effects)
    }

    /// A verdict of the checker that was started as the n-th.
    pub fn verdict(&mut self, checker: usize, verdict: CheckVerdict) -> Vec<String> {
        let mut effects = Vec::new();
        let report = CheckReport {
            checker: self.checkers[checker],
            verdict,
        };
        self.lvs.report(&report, &mut effects);
        self.said(&effects)
    }

    pub fn up(&mut self, checker: usize) -> Vec<String> {
        self.verdict(checker, CheckVerdict::Up)
    }

    pub fn down(&mut self, checker: usize) -> Vec<String> {
        let reason = "no answer".to_owned();
        self.verdict(checker, CheckVerdict::Down { reason })
    }

    pub fn said(&mut self, effects: &[LvsEffect]) -> Vec<String> {
        for effect in effects {
            if let LvsEffect::Start(start) = effect
                && !self.checkers.contains(&start.id)
            {
                self.checkers.push(start.id);
            }
        }
        let mails = effects.iter().filter_map(|effect| match effect {
            LvsEffect::Mail(mail) => Some(mail.clone()),
            _ => None,
        });
        self.mails.extend(mails);
        let others = effects.iter().filter(|e| !matches!(e, LvsEffect::Mail(_)));
        others.map(|effect| self.line(effect)).collect()
    }

    fn line(&self, effect: &LvsEffect) -> String {
        let number = |id: &CheckerId| self.checkers.iter().position(|c| c == id).unwrap_or(usize::MAX);
        match effect {
            LvsEffect::Kernel(operation) => match operation {
                Operation::AddService(key, settings) => format!("+ {key} {}", settings.scheduler),
                Operation::EditService(key, settings) => format!("= {key} {}", settings.scheduler),
                Operation::RemoveService(key) => format!("- {key}"),
                Operation::AddDestination(key, server, settings) => {
                    format!("+ {key} -> {server} {}", settings.weight)
                }
                Operation::EditDestination(key, server, settings) => {
                    format!("= {key} -> {server} {}", settings.weight)
                }
                Operation::RemoveDestination(key, server) => format!("- {key} -> {server}"),
            },
            LvsEffect::Notice(notice) => Line(notice).to_string(),
            LvsEffect::Notify(told) => {
                let subject = told.real.clone().unwrap_or_else(|| told.server.clone());
                let script = if told.script.is_some() { " script" } else { "" };
                format!("tell {subject} {}{script}", if told.up { "UP" } else { "DOWN" })
            }
            LvsEffect::Mail(mail) => format!("mail {}", mail.text),
            LvsEffect::Start(start) => format!("start {}", number(&start.id)),
            LvsEffect::Stop(id) => format!("stop {}", number(id)),
        }
    }
}

/// The table as `address:port -> server weight`.
pub fn table(table: &Table) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, entry) in table {
        lines.push(key.to_string());
        lines.extend(
            entry
                .destinations
                .iter()
                .map(|(server, s)| format!("  {server} {}", s.weight)),
        );
    }
    lines
}
