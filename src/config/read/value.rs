//! Words of a line as values: what is wrong with one is reported at its place, in keepalived's words.

use super::{Class, Context, Flow, Line, Word};
use crate::config::number::{self, Fault, Number};
use crate::model::globals::DynamicInterfaces;
use std::time::Duration;

/// How a number is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Outside `--config-test`, a number in range with something behind it is taken with a warning.
    Lenient,
}

/// An unsigned number within a range; `None` has been reported.
pub(super) fn unsigned(
    word: &Word,
    least: u64,
    most: u64,
    strictness: Strictness,
    context: &mut Context,
) -> Option<u64> {
    let loose = strictness == Strictness::Lenient && !context.test;
    let read = number::unsigned(&word.text, least, most, loose);
    reported(read, word, loose, context)
}

/// As [`unsigned`], in 32 bits.
pub(super) fn unsigned32(
    word: &Word,
    least: u32,
    most: u32,
    strictness: Strictness,
    context: &mut Context,
) -> Option<u32> {
    unsigned(word, least.into(), most.into(), strictness, context).and_then(|n| u32::try_from(n).ok())
}

/// A signed number within a range; `None` has been reported.
pub(super) fn signed(
    word: &Word,
    least: i64,
    most: i64,
    strictness: Strictness,
    context: &mut Context,
) -> Option<i64> {
    let loose = strictness == Strictness::Lenient && !context.test;
    let read = number::integer(&word.text, least, most, loose);
    reported(read, word, loose, context)
}

/// A decimal number of seconds, six places, as a time; the range is in microseconds. What stands behind
/// the number is reported, and the number taken all the same if it is in range, as keepalived does.
pub(super) fn seconds(word: &Word, least: u64, most: u64, context: &mut Context) -> Option<Duration> {
    let loose = !context.test;
    let read = number::decimal(&word.text, 6, least, most, loose);
    let garbage = matches!(&read, Err(fault) if fault.message.starts_with("invalid number"));
    if garbage && least == 0 {
        reported(read, word, loose, context);
        let end = word
            .text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(0);
        let number = number::decimal(&word.text[..end], 6, least, most, false);
        return Some(Duration::from_micros(number.map_or(0, |n| n.value)));
    }
    reported(read, word, loose, context).map(Duration::from_micros)
}

/// A decimal number of milliseconds, three places, as a time; the range is in microseconds.
pub(super) fn milliseconds(word: &Word, least: u64, most: u64, context: &mut Context) -> Option<Duration> {
    let loose = !context.test;
    let read = number::decimal(&word.text, 3, least, most, loose);
    reported(read, word, loose, context).map(Duration::from_micros)
}

/// `*** Configuration line starting ...`: the word at `index` is not there, and reading ends.
pub(super) fn missing(line: &Line, index: usize, context: &mut Context) -> Flow {
    context.parameter(line, index);
    Flow::Missing
}

/// An interface that the configuration names. Unless it may appear later (`dynamic_interfaces`), it must
/// exist: `None` has been reported.
pub(super) fn interface(word: &Word, whose: &str, context: &mut Context) -> Option<String> {
    if context.host.interface(&word.text).is_none()
        && context.config.globals.dynamic_interfaces == DynamicInterfaces::No
    {
        let text = format!("WARNING - interface {} for {whose} doesn't exist", word.text);
        context.missing_interface(word.span, text);
        return None;
    }
    Some(word.text.clone())
}

fn reported<T>(read: Result<Number<T>, Fault>, word: &Word, loose: bool, context: &mut Context) -> Option<T> {
    match read {
        Ok(number) => {
            if let Some(warning) = number.warning {
                context.diagnostics.at(Class::InvalidNumber, word.span, warning);
            }
            Some(number.value)
        }
        Err(fault) => {
            let text = if loose {
                format!("WARNING - {}", fault.message)
            } else {
                fault.message
            };
            context.diagnostics.at(Class::InvalidNumber, word.span, text);
            None
        }
    }
}
