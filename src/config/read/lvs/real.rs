//! The keywords of `real_server`.

use super::method::method;
use super::notify::script;
use super::server::WEIGHT_MAX;
use super::timing::{Level, timing};
use super::{CheckerDraft, Class, Context, Flow, Line, Method, RealDraft, RealServer, Timing, Word, missing};
use crate::config::number;
use crate::config::read::value::{Strictness, unsigned32};
use std::net::IpAddr;

impl RealDraft {
    pub(super) fn new(address: IpAddr, port: u16) -> Self {
        Self {
            server: RealServer {
                address,
                port,
                weight: 1,
                method: Method::default(),
                upper_threshold: 0,
                lower_threshold: 0,
                inhibit: false,
                notify_up: None,
                notify_down: None,
                timing: Timing::default(),
                smtp_alert: false,
                virtual_host: None,
                snmp_name: None,
                checkers: Vec::new(),
            },
            weight: None,
            method: None,
            inhibit: None,
            smtp_alert: None,
            checker: None,
            checkers: Vec::new(),
        }
    }

    pub(super) fn keyword(&mut self, keyword: &str, line: &Line, name: &str, context: &mut Context) -> Flow {
        if let Some(checker) = CheckerDraft::new(keyword) {
            self.checker = Some(checker);
            return Flow::Continue;
        }
        match keyword {
            "inhibit_on_failure" => switch(line, &mut self.inhibit, "inhibit_on_failure", context),
            "smtp_alert" => switch(line, &mut self.smtp_alert, "real_server smtp_alert", context),
            "alpha" => {
                timing(keyword, line, Level::Real, &mut self.server.timing, context);
            }
            _ => {
                let Some(word) = line.words.get(1) else {
                    return missing(line, 1, context);
                };
                self.value(keyword, word, line, name, context);
            }
        }
        Flow::Continue
    }

    fn value(&mut self, keyword: &str, word: &Word, line: &Line, name: &str, context: &mut Context) {
        let server = &mut self.server;
        let value = word.text.as_str();
        match keyword {
            "weight" => match unsigned32(word, 0, WEIGHT_MAX, Strictness::Lenient, context) {
                Some(weight) => self.weight = Some(weight),
                None => {
                    let text = format!("Real server weight {value} is outside range 0-{WEIGHT_MAX}");
                    context.diagnostics.at(Class::InvalidNumber, word.span, text);
                }
            },
            "lvs_method" => {
                if let Some(read) = method(line, "real server", context) {
                    self.method = Some(read);
                }
            }
            "uthreshold" | "lthreshold" => {
                match unsigned32(word, 0, u32::MAX, Strictness::Lenient, context) {
                    Some(n) if keyword == "uthreshold" => server.upper_threshold = n,
                    Some(n) => server.lower_threshold = n,
                    None => {
                        let text = format!("Invalid real_server {keyword} '{value}' - ignoring");
                        context.diagnostics.at(Class::InvalidNumber, word.span, text);
                    }
                }
            }
            "notify_up" => script(line, name, &mut server.notify_up, context),
            "notify_down" => script(line, name, &mut server.notify_down, context),
            "virtualhost" => server.virtual_host = Some(value.to_owned()),
            "snmp_name" => server.snmp_name = Some(value.to_owned()),
            _ => {
                timing(keyword, line, Level::Real, &mut server.timing, context);
            }
        }
    }
}

/// `[on|off]`: nothing is on.
fn switch(line: &Line, slot: &mut Option<bool>, shown: &str, context: &mut Context) {
    match line.text(1).map(number::boolean) {
        None => *slot = Some(true),
        Some(Some(on)) => *slot = Some(on),
        Some(None) => {
            let text = format!("Invalid {shown} parameter {}", line.text(1).unwrap_or_default());
            context.diagnostics.at(Class::General, line.span_of(1), text);
        }
    }
}
