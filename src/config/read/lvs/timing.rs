//! The settings that virtual servers, real servers and checkers share.

use super::{Class, Context, Line};
use crate::config::number;
use crate::config::read::value::{Strictness, seconds, unsigned32};
use crate::model::lvs::Timing;

/// Largest time, microseconds.
const MOST: u64 = u64::MAX - 1;
/// Largest connect timeout, microseconds.
const CONNECT_MOST: u64 = 4_294_967_295;

/// Whose settings they are; the complaints' words differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Level {
    Server,
    Real,
    Checker,
}

/// Reads one of the shared keywords. `false`: it is none of them.
pub(in super::super) fn timing(
    keyword: &str,
    line: &Line,
    level: Level,
    timing: &mut Timing,
    context: &mut Context,
) -> bool {
    if keyword == "alpha" {
        match line.text(1).map(number::boolean) {
            _ if level == Level::Server => timing.alpha = Some(true),
            None => timing.alpha = Some(true),
            Some(Some(on)) => timing.alpha = Some(on),
            Some(None) => {
                let text = format!("Invalid alpha parameter {}", line.text(1).unwrap_or_default());
                context.diagnostics.at(Class::General, line.span_of(1), text);
            }
        }
        return true;
    }
    let Some(word) = line.words.get(1) else {
        return false;
    };
    let value = word.text.as_str();
    let owner = match level {
        Level::Server => "virtual server",
        Level::Real => "real server",
        Level::Checker => "",
    };
    let complaint = match (keyword, level) {
        ("retry", Level::Checker) => {
            let read = unsigned32(word, 0, u32::MAX, Strictness::Lenient, context);
            timing.retry = read.or(timing.retry);
            read.is_none()
                .then(|| format!("Invalid retry connection value '{value}'"))
        }
        ("retry", _) => {
            let read = retry(word, context);
            timing.retry = read.or(timing.retry);
            read.is_none().then(|| format!("retry value invalid - {value}"))
        }
        ("delay_before_retry", _) => {
            let read = seconds(word, 0, MOST, context);
            timing.delay_before_retry = read.or(timing.delay_before_retry);
            read.is_none().then(|| match level {
                Level::Server => format!("virtual server delay before retry '{value}' invalid - ignoring"),
                Level::Real => format!("real server delay_before_retry '{value}' invalid - ignoring"),
                Level::Checker => format!("Invalid delay_before_retry connection value '{value}'"),
            })
        }
        ("warmup", _) => {
            let read = seconds(word, 0, MOST, context);
            timing.warmup = read.or(timing.warmup);
            read.is_none().then(|| match level {
                Level::Checker => format!("Invalid warmup connection value '{value}'"),
                _ => format!("{owner} warmup '{value}' invalid - ignoring"),
            })
        }
        ("connect_timeout", _) => {
            let read = seconds(word, 1, CONNECT_MOST, context);
            timing.connect_timeout = read.or(timing.connect_timeout);
            read.is_none().then(|| match level {
                Level::Checker => format!("connect_timeout {value} invalid - ignoring"),
                _ => format!("{owner} connect_timeout {value} invalid - ignoring"),
            })
        }
        ("delay_loop", _) => {
            let read = seconds(word, 1, MOST, context);
            timing.delay_loop = read.or(timing.delay_loop);
            read.is_none().then(|| match level {
                Level::Server => format!("virtual server delay loop '{value}' invalid - ignoring"),
                Level::Real => format!("real server delay_loop '{value}' invalid - ignoring"),
                Level::Checker => format!("delay_loop '{value}' is invalid - ignoring"),
            })
        }
        _ => return false,
    };
    if let Some(text) = complaint {
        context.diagnostics.at(Class::InvalidNumber, word.span, text);
    }
    true
}

fn retry(word: &crate::config::Word, context: &mut Context) -> Option<u32> {
    unsigned32(word, 1, u32::MAX, Strictness::Lenient, context)
}
