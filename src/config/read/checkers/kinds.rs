//! MISC_CHECK, DNS_CHECK, UDP_CHECK, FILE_CHECK.

use super::{
    CheckerKind, Class, Connection, Context, DnsCheck, FileCheck, Flow, Line, UdpCheck, hex, missing,
};
use crate::config::read::script::{self, NoCommand};
use crate::config::read::value::{Strictness, signed, unsigned};
use crate::model::lvs::{DnsType, UdpReply};
use crate::model::{Command, Identity};
use std::time::Duration;

/// Longest `misc_timeout`, seconds.
const TIMEOUT_MAX: u64 = 4294;
/// Longest label of a domain name (RFC 1035).
const LABEL_MAX: usize = 63;
/// `max_reply_length` where nothing sets it.
const REPLY_MAX: u16 = 255;
/// Largest weight of a file.
const WEIGHT_MAX: i64 = 65535;

#[derive(Debug, Default)]
pub(super) struct MiscDraft {
    command: Option<Command>,
    timeout: Option<u64>,
    dynamic: bool,
    identity: Option<Identity>,
    /// Its user does not exist.
    dropped: bool,
}

impl MiscDraft {
    pub(super) fn keyword(&mut self, name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
        match name {
            "misc_path" => match script::command_line(line, context) {
                Ok(command) => self.command = Some(command),
                Err(NoCommand::Missing) => return Some(missing(line, 1, context)),
                Err(NoCommand::Quotes) => {}
            },
            "misc_dynamic" => self.dynamic = true,
            "misc_timeout" => {
                let Some(word) = line.words.get(1) else {
                    return Some(missing(line, 1, context));
                };
                match unsigned(word, 0, TIMEOUT_MAX, Strictness::Lenient, context) {
                    Some(seconds) => self.timeout = Some(seconds),
                    None => {
                        let text = format!("Invalid misc_timeout value '{}'", word.text);
                        context.diagnostics.at(Class::InvalidNumber, word.span, text);
                    }
                }
            }
            "user" => {
                let Some(user) = line.text(1) else {
                    return Some(missing(line, 1, context));
                };
                self.identity = script::named_identity(user, line.text(2), context);
                if self.identity.is_none() && !self.dropped {
                    self.dropped = true;
                    let text = format!(
                        "Failed to set uid/gid for misc checker script {} - removing",
                        self.shown()
                    );
                    context.diagnostics.at(Class::General, line.span_of(1), text);
                }
            }
            _ => return None,
        }
        Some(Flow::Continue)
    }

    pub(super) fn end(&mut self, context: &mut Context) -> bool {
        if self.dropped {
            return false;
        }
        if self.command.is_none() {
            let text = "No script path has been specified for MISC_CHECKER - skipping";
            context.complain(Class::General, text);
            return false;
        }
        if self.identity.is_none() {
            self.identity = script::default_identity(context);
        }
        if self.identity.is_none() {
            let text = format!(
                "Unable to set default user for misc script {} - removing",
                self.shown()
            );
            context.complain(Class::General, text);
        }
        self.identity.is_some()
    }

    /// The command as complaints show it.
    fn shown(&self) -> String {
        let argv = self.command.as_ref().map_or(&[][..], |c| &c.argv);
        argv.iter()
            .map(|a| format!("'{a}'"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    pub(super) fn complete(self, delay_loop: Duration) -> CheckerKind {
        CheckerKind::Misc {
            command: Command {
                identity: self.identity.unwrap_or_default(),
                ..self.command.unwrap_or_default()
            },
            timeout: match self.timeout {
                None | Some(0) => delay_loop,
                Some(seconds) => Duration::from_secs(seconds),
            },
            dynamic: self.dynamic,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct DnsDraft {
    kind: DnsType,
    name: Option<String>,
}

impl DnsDraft {
    pub(super) fn keyword(&mut self, name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
        if !matches!(name, "type" | "name") {
            return None;
        }
        let Some(word) = line.words.get(1) else {
            return Some(missing(line, 1, context));
        };
        let value = word.text.as_str();
        let complaint = if name == "type" {
            match DnsType::ALL
                .iter()
                .find(|(_, n, _)| n.eq_ignore_ascii_case(value))
            {
                Some((kind, ..)) => {
                    self.kind = *kind;
                    None
                }
                None => Some(format!("Unknown DNS check type {value} - ignoring")),
            }
        } else {
            self.name(value)
        };
        if let Some(text) = complaint {
            context.diagnostics.at(Class::General, word.span, text);
        }
        Some(Flow::Continue)
    }

    fn name(&mut self, value: &str) -> Option<String> {
        if self.name.is_some() {
            return Some("DNS_CHECK name already specified - ignoring".to_owned());
        }
        let labels = value.strip_suffix('.').unwrap_or(value);
        if value != "." && labels.split('.').any(str::is_empty) {
            return Some(format!("DNS_CHECK name '{value}' has empty label - ignoring"));
        }
        if labels.split('.').any(|l| l.len() > LABEL_MAX) {
            return Some(format!(
                "DNS_CHECK name '{value}' has a label of more than {LABEL_MAX} characters - ignoring"
            ));
        }
        self.name = Some(value.to_owned());
        None
    }

    pub(super) fn complete(self, connection: Connection) -> DnsCheck {
        DnsCheck {
            connection,
            kind: self.kind,
            name: self.name.unwrap_or_else(|| ".".to_owned()),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct UdpDraft {
    payload: Option<Vec<u8>>,
    reply: Option<UdpReply>,
    min_length: u16,
    max_length: Option<u16>,
}

impl UdpDraft {
    pub(super) fn keyword(&mut self, name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
        let groups = line.words.iter().skip(1).map(|w| w.text.as_str());
        match name {
            "payload" => {
                if line.words.len() < 2 {
                    return Some(missing(line, 1, context));
                }
                match hex::read(groups, false) {
                    Some((data, _)) => self.payload = Some(data),
                    None => {
                        let text = "Invalid hex string for UDP_CHECK payload";
                        context.diagnostics.at(Class::General, line.span_of(1), text);
                    }
                }
            }
            "require_reply" => match hex::read(groups, true) {
                Some((data, mask)) => self.reply = Some(UdpReply { data, mask }),
                None => {
                    let text = "Invalid hex string for UDP_CHECK reply";
                    context.diagnostics.at(Class::General, line.span_of(1), text);
                }
            },
            "min_reply_length" | "max_reply_length" => {
                let Some(word) = line.words.get(1) else {
                    return Some(missing(line, 1, context));
                };
                let read = unsigned(word, 0, 65535, Strictness::Lenient, context);
                match read.and_then(|n| u16::try_from(n).ok()) {
                    Some(n) if name == "min_reply_length" => self.min_length = n,
                    Some(n) => self.max_length = Some(n),
                    None => {
                        let text = format!(
                            "UDP_CHECK {} length {} not valid - must be between 0 & 65535",
                            &name[..3],
                            word.text
                        );
                        context.diagnostics.at(Class::InvalidNumber, word.span, text);
                    }
                }
            }
            _ => return None,
        }
        Some(Flow::Continue)
    }

    pub(super) fn end(&mut self, context: &mut Context) -> bool {
        let most = self.max_length.unwrap_or(REPLY_MAX);
        if self.min_length > most {
            let text = format!(
                "UDP_CHECK min_reply length {} > max_reply_length {most} - will always fail",
                self.min_length
            );
            context.complain(Class::General, text);
        }
        true
    }

    pub(super) fn complete(self, connection: Connection) -> UdpCheck {
        UdpCheck {
            connection,
            payload: self.payload,
            reply: self.reply,
            min_length: self.min_length,
            max_length: self.max_length.unwrap_or(REPLY_MAX),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct FileDraft {
    file: Option<String>,
    weight: Option<i32>,
    reverse: Option<bool>,
}

impl FileDraft {
    pub(super) fn keyword(&mut self, name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
        if !matches!(name, "track_file" | "weight") {
            return None;
        }
        let Some(word) = line.words.get(1) else {
            return Some(missing(line, 1, context));
        };
        if name == "track_file" {
            if context.config.files.iter().any(|f| f.name == word.text) {
                self.file = Some(word.text.clone());
            } else {
                let text = format!("track_file {} not found", word.text);
                context.diagnostics.at(Class::General, word.span, text);
            }
            return Some(Flow::Continue);
        }
        match signed(word, -WEIGHT_MAX, WEIGHT_MAX, Strictness::Lenient, context) {
            Some(weight) => self.weight = Some(weight as i32),
            None => {
                let text = format!(
                    "weight for track file must be in [-{WEIGHT_MAX}..{WEIGHT_MAX}] inclusive. Ignoring..."
                );
                context.diagnostics.at(Class::InvalidNumber, word.span, text);
                return Some(Flow::Continue);
            }
        }
        match line.text(2) {
            None => {}
            Some("reverse") => self.reverse = Some(true),
            Some("noreverse") => self.reverse = Some(false),
            Some(other) => {
                let text = format!("unknown track file weight option {other} - ignoring");
                context.diagnostics.at(Class::General, line.span_of(2), text);
            }
        }
        Some(Flow::Continue)
    }

    pub(super) fn end(&mut self, context: &mut Context) -> bool {
        if self.file.is_none() {
            let text = "FILE_CHECK has no track_file specified - ignoring";
            context.complain(Class::General, text);
        }
        self.file.is_some()
    }

    pub(super) fn complete(self, context: &Context) -> FileCheck {
        let file = self.file.unwrap_or_default();
        let tracked = context.config.files.iter().find(|f| f.name == file);
        FileCheck {
            weight: self.weight.or(tracked.map(|f| f.weight)).unwrap_or(0),
            reverse: self.reverse.or(tracked.map(|f| f.reverse)).unwrap_or(false),
            file,
        }
    }
}
