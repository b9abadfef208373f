//! Values of a line, with keepalived's complaints: numbers, timers, booleans.

use super::Context;
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::number::{self, Fault, Number};
use std::time::Duration;

/// Says what is wrong with a number; the value where there is one.
fn tell<T>(result: Result<Number<T>, Fault>, line: &Line, index: usize, context: &mut Context) -> Option<T> {
    let span = line.span_of(index);
    let masked = |message: String| match line.text(index) {
        Some(word) if line.shown(index) != word => message.replace(word, line.shown(index)),
        _ => message,
    };
    match result {
        Ok(number) => {
            if let Some(warning) = number.warning {
                context
                    .diagnostics
                    .at(Class::InvalidNumber, span, masked(warning));
            }
            Some(number.value)
        }
        Err(fault) => {
            context
                .diagnostics
                .at(Class::InvalidNumber, span, masked(fault.message));
            None
        }
    }
}

/// An integer of a word within a range; complaints are made.
pub fn integer(line: &Line, index: usize, least: i64, most: i64, context: &mut Context) -> Option<i64> {
    let result = number::integer(line.text(index)?, least, most, !context.test);
    tell(result, line, index, context)
}

/// An integer that is not negative.
pub fn unsigned(line: &Line, index: usize, least: u64, most: u64, context: &mut Context) -> Option<u64> {
    let result = number::unsigned(line.text(index)?, least, most, !context.test);
    tell(result, line, index, context)
}

/// An integer of 32 bits that is not negative.
pub fn u32_in(line: &Line, index: usize, least: u32, most: u32, context: &mut Context) -> Option<u32> {
    unsigned(line, index, least.into(), most.into(), context).and_then(|n| u32::try_from(n).ok())
}

/// An integer of 8 bits.
pub fn u8_in(line: &Line, index: usize, least: u8, most: u8, context: &mut Context) -> Option<u8> {
    unsigned(line, index, least.into(), most.into(), context).and_then(|n| u8::try_from(n).ok())
}

/// Whole seconds.
pub fn seconds(line: &Line, index: usize, least: u32, most: u32, context: &mut Context) -> Option<Duration> {
    u32_in(line, index, least, most, context).map(|s| Duration::from_secs(s.into()))
}

/// Decimal seconds with six places; the limits are in microseconds.
pub fn decimal_seconds(
    line: &Line,
    index: usize,
    least: u64,
    most: u64,
    context: &mut Context,
) -> Option<Duration> {
    let result = number::decimal(line.text(index)?, 6, least, most, !context.test);
    tell(result, line, index, context).map(Duration::from_micros)
}

/// Decimal seconds with three places; the limits are in milliseconds.
pub fn decimal_milliseconds(
    line: &Line,
    index: usize,
    least: u64,
    most: u64,
    context: &mut Context,
) -> Option<Duration> {
    let result = number::decimal(line.text(index)?, 3, least, most, !context.test);
    tell(result, line, index, context).map(Duration::from_millis)
}

/// A switch: without a value it is on; `None` is a value that is none (the caller says so).
pub fn switch(line: &Line) -> Option<bool> {
    match line.text(1) {
        None => Some(true),
        Some(text) => number::boolean(text),
    }
}
