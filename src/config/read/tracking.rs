//! What instances and groups track: the objects, and the lines that name them.

mod references;

use super::field::{decimal_milliseconds, decimal_seconds, integer, u32_in};
use super::{Context, Flow, script};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::model::Command;
use crate::model::track::{InitFile, ParamMatch, TrackFile, TrackProcess, TrackScript};
use references::weight;
pub use references::{What, reference};
use std::time::Duration;

/// Longest script interval, milliseconds.
const MOST_INTERVAL: u64 = 4_294_000;

/// `vrrp_script` being read.
#[derive(Debug)]
pub struct ScriptDraft {
    script: TrackScript,
    identity: Option<crate::model::Identity>,
    remove: bool,
}

impl ScriptDraft {
    /// The header.
    pub fn new(name: &str) -> Self {
        ScriptDraft {
            script: TrackScript {
                name: name.to_owned(),
                command: Command::default(),
                interval: Duration::from_secs(1),
                timeout: Duration::ZERO,
                weight: 0,
                reverse: false,
                rise: 1,
                fall: 1,
                init_fail: false,
            },
            identity: None,
            remove: false,
        }
    }

    /// A keyword of the block.
    pub fn keyword(&mut self, keyword: &str, line: &Line, context: &mut Context) -> Flow {
        let name = self.script.name.clone();
        match keyword {
            "script" => {
                if context.parameter(line, 1).is_none() {
                    return Flow::Missing;
                }
                if let Ok(command) = script::command_line(line, context) {
                    self.script.command = command;
                }
            }
            "interval" | "timeout" => {
                if context.parameter(line, 1).is_none() {
                    return Flow::Missing;
                }
                match decimal_milliseconds(line, 1, 0, MOST_INTERVAL, context) {
                    Some(time) => {
                        let mut time = time;
                        if time.is_zero() {
                            context.diagnostics.at(
                                Class::General,
                                line.span_of(1),
                                format!(
                                    "({name}): vrrp script {keyword} must be greater than 0, setting to 1"
                                ),
                            );
                            time = Duration::from_secs(1);
                        }
                        match keyword {
                            "interval" => self.script.interval = time,
                            _ => self.script.timeout = time,
                        }
                    }
                    None => {
                        let value = line.text(1).unwrap_or_default();
                        let text = format!("({name}): vrrp script {keyword} '{value}' invalid - ignoring");
                        // keepalived says this of the timeout only.
                        if keyword == "timeout" {
                            context.diagnostics.at(Class::General, line.span_of(1), text);
                        }
                    }
                }
            }
            "weight" => {
                if context.parameter(line, 1).is_none() {
                    return Flow::Missing;
                }
                let what = format!("vrrp_script {name}");
                if let Some((weight, reverse)) = weight(line, 253, &what, context) {
                    (self.script.weight, self.script.reverse) = (weight, reverse);
                }
            }
            "rise" | "fall" => {
                if context.parameter(line, 1).is_none() {
                    return Flow::Missing;
                }
                let value = match u32_in(line, 1, 1, i32::MAX as u32, context) {
                    Some(n) => n,
                    None => {
                        let value = line.text(1).unwrap_or_default();
                        let text = format!(
                            "({name}): vrrp script {keyword} value '{value}' invalid, defaulting to 1"
                        );
                        context.diagnostics.at(Class::General, line.span_of(1), text);
                        1
                    }
                };
                match keyword {
                    "rise" => self.script.rise = value,
                    _ => self.script.fall = value,
                }
            }
            "user" => {
                if context.parameter(line, 1).is_none() {
                    return Flow::Missing;
                }
                match script::identity(line, 1, context) {
                    Some(identity) => self.identity = Some(identity),
                    None => {
                        let command = self.script.command.argv.join(" ");
                        let text = format!("Unable to set uid/gid for script '{command}'");
                        context
                            .diagnostics
                            .at(Class::General, line.span_of(1), text)
                            .help("there is no such user or group on this host");
                        self.remove = true;
                    }
                }
            }
            "init_fail" => self.script.init_fail = true,
            _ => {}
        }
        Flow::Continue
    }

    /// The end of the block.
    pub fn end(mut self, context: &mut Context) {
        let name = &self.script.name;
        if self.script.command.argv.is_empty() {
            let text = format!("No script set for vrrp_script {name} - removing");
            context.complain(Class::General, text);
            return;
        }
        if self.remove {
            return;
        }
        let identity = match self.identity {
            Some(identity) => identity,
            None => match script::default_identity(context) {
                Some(identity) => identity,
                None => {
                    let text = format!("Unable to set default user for vrrp script {name} - removing");
                    context.complain(Class::General, text);
                    return;
                }
            },
        };
        self.script.command.identity = identity;
        context.config.scripts.push(self.script);
    }
}

/// `track_file` being read.
#[derive(Debug)]
pub struct FileDraft {
    file: TrackFile,
}

impl FileDraft {
    /// The header.
    pub fn new(name: &str) -> Self {
        FileDraft {
            file: TrackFile {
                name: name.to_owned(),
                path: String::new(),
                weight: 1,
                reverse: false,
                init: None,
            },
        }
    }

    /// A keyword of the block.
    pub fn keyword(&mut self, keyword: &str, line: &Line, context: &mut Context) -> Flow {
        let name = self.file.name.clone();
        match keyword {
            "file" => {
                let Some(path) = context.parameter(line, 1) else {
                    return Flow::Missing;
                };
                if self.file.path.is_empty() {
                    self.file.path = path.to_owned();
                } else {
                    let text = format!("File already set for track file {name} - ignoring {path}");
                    context.diagnostics.at(Class::General, line.span_of(1), text);
                }
            }
            "weight" => {
                if line.text(1).is_none() {
                    let text = format!("No weight specified for track file {name} - ignoring");
                    context.diagnostics.at(Class::General, line.span, text);
                    return Flow::Continue;
                }
                let what = format!("Weight for track_file {name}");
                if let Some((weight, reverse)) = weight(line, 254, &what, context) {
                    (self.file.weight, self.file.reverse) = (weight, reverse);
                }
            }
            "init_file" => {
                let mut init = InitFile {
                    value: 0,
                    overwrite: false,
                };
                for (index, word) in line.words.iter().enumerate().skip(1) {
                    if word.text == "overwrite" {
                        init.overwrite = true;
                    } else if let Some(n) = integer(line, index, i32::MIN.into(), i32::MAX.into(), context) {
                        init.value = n;
                    } else {
                        let text = format!("Track file {name} init value {} is invalid", word.text);
                        context.diagnostics.at(Class::General, word.span, text);
                    }
                }
                self.file.init = Some(init);
            }
            _ => {}
        }
        Flow::Continue
    }

    /// The end of the block.
    pub fn end(self, context: &mut Context) {
        if self.file.path.is_empty() {
            let text = format!("No file set for track_file {} - ignoring", self.file.name);
            context.complain(Class::General, text);
            return;
        }
        context.config.files.push(self.file);
    }
}

/// `vrrp_track_process` being read.
#[derive(Debug)]
pub struct ProcessDraft {
    process: TrackProcess,
}

impl ProcessDraft {
    /// The header.
    pub fn new(name: &str) -> Self {
        ProcessDraft {
            process: TrackProcess {
                name: name.to_owned(),
                process: String::new(),
                params: Vec::new(),
                param_match: ParamMatch::None,
                weight: 0,
                reverse: false,
                quorum: 1,
                quorum_max: None,
                fork_delay: Duration::ZERO,
                terminate_delay: Duration::ZERO,
                full_command: false,
            },
        }
    }

    /// A keyword of the block.
    pub fn keyword(&mut self, keyword: &str, line: &Line, context: &mut Context) -> Flow {
        let name = self.process.name.clone();
        match keyword {
            "process" => {
                let Some(process) = context.parameter(line, 1) else {
                    return Flow::Missing;
                };
                self.process.process = process.to_owned();
                let params = line.words.iter().skip(2).map(|w| w.text.clone());
                self.process.params = params.collect();
                if !self.process.params.is_empty() {
                    self.process.full_command = true;
                    if self.process.param_match == ParamMatch::None {
                        self.process.param_match = ParamMatch::Exact;
                    }
                }
            }
            "param_match" => {
                self.process.full_command = true;
                self.process.param_match = match line.text(1) {
                    None => ParamMatch::Exact,
                    Some("initial") => ParamMatch::Initial,
                    Some("partial") => ParamMatch::Partial,
                    Some(other) => {
                        let text = format!("Unknown param_match {other} for track process {name}");
                        context.diagnostics.at(Class::General, line.span_of(1), text);
                        self.process.param_match
                    }
                };
            }
            "weight" => {
                if line.text(1).is_none() {
                    let text = format!("No weight specified for track process {name} - ignoring");
                    context.diagnostics.at(Class::General, line.span, text);
                    return Flow::Continue;
                }
                let what = format!("Weight for track_process {name}");
                if let Some((weight, reverse)) = weight(line, 254, &what, context) {
                    (self.process.weight, self.process.reverse) = (weight, reverse);
                }
            }
            "quorum" | "quorum_max" => {
                let least = u32::from(keyword == "quorum");
                match u32_in(line, 1, least, 65535, context) {
                    Some(n) if keyword == "quorum" => self.process.quorum = n,
                    Some(n) => self.process.quorum_max = Some(n),
                    None => {
                        let value = line.text(1).unwrap_or_default();
                        let text = format!(
                            "Quorum ({value}) for vrrp_track_process {name} must be between {least} and 65535 inclusive"
                        );
                        context.diagnostics.at(Class::General, line.span_of(1), text);
                    }
                }
            }
            "delay" | "terminate_delay" | "fork_delay" => {
                match decimal_seconds(line, 1, 1, 3_600_000_000, context) {
                    Some(time) => {
                        if keyword != "fork_delay" {
                            self.process.terminate_delay = time;
                        }
                        if keyword != "terminate_delay" {
                            self.process.fork_delay = time;
                        }
                    }
                    None => {
                        let value = line.text(1).unwrap_or_default();
                        let text = format!(
                            "{keyword} ({value}) for vrrp_track_process {name} must be between [0.000001..3600] inclusive. Ignoring..."
                        );
                        context.diagnostics.at(Class::General, line.span_of(1), text);
                    }
                }
            }
            "full_command" => self.process.full_command = true,
            _ => {}
        }
        Flow::Continue
    }

    /// The end of the block.
    pub fn end(self, context: &mut Context) {
        let name = &self.process.name;
        if self.process.process.is_empty() {
            let text = format!("track process {name} has no process name - removing");
            context.complain(Class::General, text);
            return;
        }
        if self
            .process
            .quorum_max
            .is_some_and(|m| m != 0 && m < self.process.quorum)
        {
            let text = format!(
                "Quorum max ({}) for vrrp_track_process {name} is less than quorum ({}), ignoring",
                self.process.quorum_max.unwrap_or(0),
                self.process.quorum
            );
            context.complain(Class::General, text);
            let mut process = self.process;
            process.quorum_max = None;
            context.config.processes.push(process);
            return;
        }
        context.config.processes.push(self.process);
    }
}
