//! `global_defs`, and the keywords that stand beside it.

mod channels;
mod files;
mod firewall;
mod lvs;
mod mail;
mod process;
mod scripts;
mod timing;
mod vrrp;

use crate::config::diagnostic::Class;
use crate::config::keyword::Keyword;
use crate::config::line::Line;
use crate::config::read::field::{switch, u32_in};
use crate::config::read::{Context, Flow, Section};
use crate::config::source::Check;
use channels::interfaces_to_others;
use files::files;
use firewall::{firewall, ipsets};
use lvs::load_balancer;
use mail::mail;
use process::{basic, processes};
use scripts::scripts;
use timing::timers;
use vrrp::vrrp;

/// Longest delay in whole seconds: it must fit in 32 bits as microseconds.
const MOST_SECONDS: u32 = 4294;

/// The reader.
#[derive(Debug, Default)]
pub struct Globals {
    emails: usize,
    include_check: Option<Check>,
    garp_lower_repeat_given: bool,
    vrrp_ipsets_off: bool,
}

impl Section for Globals {
    fn keyword(&mut self, keyword: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        match keyword.name {
            "notification_email" => self.emails = 0,
            "include_check" => self.include_check(line, context),
            "vrrp_garp_lower_prio_repeat" => {
                self.garp_lower_repeat_given = true;
                match u32_in(line, 1, 0, i32::MAX as u32, context) {
                    Some(n) => context.config.globals.garp_lower_prio_repeat = Some(n),
                    None => invalid(line, "Invalid vrrp_garp_lower_prio_repeat", context),
                }
            }
            "vrrp_ipsets" => {
                self.vrrp_ipsets_off = line.words.len() < 2;
                ipsets(line, context);
            }
            _ => {
                return [
                    basic as Reader,
                    mail,
                    scripts,
                    timers,
                    vrrp,
                    processes,
                    firewall,
                    load_balancer,
                    interfaces_to_others,
                    files,
                ]
                .iter()
                .find_map(|reader| reader(keyword.name, line, context))
                .unwrap_or(Flow::Continue);
            }
        }
        Flow::Continue
    }

    fn entry(&mut self, _: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        self.emails += 1;
        if let Some(address) = line.text(0) {
            context
                .config
                .globals
                .notification_emails
                .push(address.to_owned());
        }
        Flow::Continue
    }

    fn end(&mut self, block: &'static Keyword, context: &mut Context) {
        if block.name == "notification_email" && self.emails == 0 {
            context.complain(Class::General, "Warning - empty notification_email block");
        }
    }

    fn finish(&mut self, context: &mut Context) {
        if context.config.globals.router_id.is_empty() {
            context.config.globals.router_id = context.host.host_name();
        }
        let globals = &mut context.config.globals;
        if globals.instance_name.is_some() || globals.net_namespace.is_some() {
            globals.use_pid_dir = true;
        }
        if let Some(umask) = context.options.umask {
            globals.umask = umask;
            globals.umask_given = true;
        }
        if globals.iptables.is_some() && globals.nftables.is_some() {
            globals.iptables = None;
            globals.ipsets = None;
            context.diagnostics.hint(
                None,
                "Both iptables and nftables have been specified - ignoring iptables",
            );
        }
    }
}

impl Globals {
    fn include_check(&mut self, line: &Line, context: &mut Context) {
        let mut check = match line.words.len() {
            0 | 1 => Check::ALL,
            _ => Check::from_bits(context.config.globals.include_check),
        };
        let mut first = true;
        for word in line.words.iter().skip(1) {
            let (name, on, signed) = match word.text.as_bytes().first() {
                Some(b'+') => (&word.text[1..], true, true),
                Some(b'-') => (&word.text[1..], false, true),
                _ => (word.text.as_str(), true, false),
            };
            let bit = match name {
                "read" => &mut check.read,
                "match" => &mut check.matches,
                "wildcard_match" => &mut check.wildcard,
                "brace_match" => &mut check.brace,
                _ => {
                    context.diagnostics.at(
                        Class::General,
                        word.span,
                        format!("Unknown include_check type '{name}' - ignoring"),
                    );
                    continue;
                }
            };
            if !first && !signed {
                context
                    .diagnostics
                    .at(
                        Class::General,
                        word.span,
                        format!("Duplicate include_check '{name}' specified - ignoring"),
                    )
                    .help(format!("words after the first need a sign: `+{name}`"));
                continue;
            }
            *bit = on;
            first = false;
        }
        self.include_check = Some(check);
        context.config.globals.include_check = check.bits();
    }
}

/// Reads its keywords; `None` for those of others.
type Reader = fn(&str, &Line, &mut Context) -> Option<Flow>;

/// `MESSAGE 'value'`.
fn invalid(line: &Line, message: &str, context: &mut Context) {
    let value = line.text(1).unwrap_or_default();
    context
        .diagnostics
        .at(Class::General, line.span_of(1), format!("{message} '{value}'"));
}

fn say(line: &Line, text: impl Into<String>, context: &mut Context) {
    context
        .diagnostics
        .at(Class::General, line.span_of(1), text.into());
}

/// A switch into a field.
fn on_off(line: &Line, message: String, context: &mut Context) -> Option<bool> {
    let value = switch(line);
    if value.is_none() {
        say(line, message, context);
    }
    value
}

/// A word into an optional field.
fn word(line: &Line) -> Option<String> {
    line.text(1).map(str::to_owned)
}

/// Text that may be given once.
fn once(
    field: fn(&mut crate::model::Globals) -> &mut Option<String>,
    line: &Line,
    context: &mut Context,
) -> Option<Flow> {
    let value = word(line);
    if value.is_none() {
        let name = line.text(0).unwrap_or_default().to_owned();
        say(line, format!("{name} missing - ignoring"), context);
        return Some(Flow::Continue);
    }
    *field(&mut context.config.globals) = value;
    Some(Flow::Continue)
}
