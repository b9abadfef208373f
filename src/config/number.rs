//! Numbers, timers, booleans, and the parameters of `~SEQ` and `~LST`.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, digit1, multispace0, one_of};
use nom::combinator::{opt, recognize, rest};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};
use std::fmt::Display;

/// Why a number was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// keepalived's words.
    pub message: String,
}

/// A number read, with what was wrong with it but can be lived with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number<T> {
    /// Value.
    pub value: T,
    /// A complaint that leaves the value in force.
    pub warning: Option<String>,
}

fn fault<T>(message: String) -> Result<Number<T>, Fault> {
    Err(Fault { message })
}

fn sign(text: &str) -> IResult<&str, Option<char>> {
    opt(one_of("+-")).parse(text)
}

/// A decimal integer within a range. `loose` accepts what follows the digits, with a warning.
pub fn integer(text: &str, least: i64, most: i64, loose: bool) -> Result<Number<i64>, Fault> {
    let trimmed = text.trim_start();
    let digits: IResult<&str, &str> = recognize((sign, digit1)).parse(trimmed);
    let Ok((after, number)) = digits else {
        return fault(format!("invalid number '{text}'"));
    };
    let value: i128 = number.parse().unwrap_or(if number.starts_with('-') {
        i128::MIN
    } else {
        i128::MAX
    });
    if value < i128::from(least) || value > i128::from(most) {
        if !after.is_empty() {
            return fault(format!("invalid number '{text}'"));
        }
        // keepalived reads into an int or an unsigned first, and tests the range after that.
        if least >= i64::from(i32::MIN)
            && most <= i64::from(i32::MAX)
            && i32::try_from(value).is_err()
            && least < 0
        {
            return fault(format!("number '{text}' outside integer range"));
        }
        if least >= 0 && most <= i64::from(u32::MAX) && value > i128::from(u32::MAX) {
            return fault(format!("number '{text}' outside unsigned integer range"));
        }
        return fault(format!("number '{text}' outside range [{least}, {most}]"));
    }
    let value = i64::try_from(value).unwrap_or(least);
    if !after.is_empty() {
        if !loose {
            return fault(format!("invalid number '{text}'"));
        }
        return Ok(Number {
            value,
            warning: Some(format!("WARNING - invalid number '{text}'")),
        });
    }
    Ok(Number { value, warning: None })
}

/// A decimal integer that is not negative, within a range.
pub fn unsigned(text: &str, least: u64, most: u64, loose: bool) -> Result<Number<u64>, Fault> {
    if text.trim_start().starts_with('-') {
        let digits: IResult<&str, &str> = digit1(text.trim_start().trim_start_matches('-'));
        return fault(if digits.is_ok() {
            format!("negative number '{text}'")
        } else {
            format!("invalid number '{text}'")
        });
    }
    let clip = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let number = integer(text, clip(least), clip(most), loose)?;
    Ok(Number {
        value: u64::try_from(number.value).unwrap_or(0),
        warning: number.warning,
    })
}

/// A decimal number of seconds (or other unit) as fixed point with `decimals` places, within a range
/// given in units of the last place.
pub fn decimal(text: &str, decimals: u32, least: u64, most: u64, loose: bool) -> Result<Number<u64>, Fault> {
    let scale = 10u128.pow(decimals);
    let trimmed = text.trim_start();
    if trimmed.starts_with('-') {
        return fault(format!("negative number '{text}'"));
    }
    let parsed: IResult<&str, (&str, Option<&str>)> = (
        take_while(|c: char| c.is_ascii_digit()),
        opt(preceded(char('.'), take_while(|c: char| c.is_ascii_digit()))),
    )
        .parse(trimmed);
    let (after, (whole, fraction)) = match parsed {
        Ok((after, (whole, fraction))) if !(whole.is_empty() && fraction.is_none_or(str::is_empty)) => {
            (after, (whole, fraction.unwrap_or("")))
        }
        _ => return fault(format!("invalid number '{text}'")),
    };
    let mut warning = None;
    let mut value: u128 = whole
        .parse()
        .unwrap_or(if whole.is_empty() { 0 } else { u128::from(u64::MAX) });
    value = value.saturating_mul(scale);
    let kept: String = fraction.chars().take(decimals as usize).collect();
    let mut part: u128 = kept.parse().unwrap_or(0);
    part *= 10u128.pow(decimals.saturating_sub(u32::try_from(kept.len()).unwrap_or(decimals)));
    value = value.saturating_add(part);
    if fraction.len() > decimals as usize {
        if fraction
            .as_bytes()
            .get(decimals as usize)
            .is_some_and(|d| *d >= b'5')
        {
            value = value.saturating_add(1);
        }
        warning = Some(format!("number '{text}' has too many decimal places"));
    }
    if !after.is_empty() {
        if !loose {
            return fault(format!("invalid number '{text}'"));
        }
        warning = Some(format!("WARNING - invalid number '{text}'"));
    }
    if value < u128::from(least) || value > u128::from(most) {
        return fault(format!(
            "number '{text}' outside range [{}, {}]",
            fixed(least, decimals),
            fixed(most, decimals)
        ));
    }
    Ok(Number {
        value: u64::try_from(value).unwrap_or(u64::MAX),
        warning,
    })
}

/// Fixed point with all its places.
fn fixed(value: u64, decimals: u32) -> impl Display {
    let scale = 10u64.pow(decimals);
    format!(
        "{}.{:0width$}",
        value / scale,
        value % scale,
        width = decimals as usize
    )
}

/// `on true yes`, `off false no`.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// A number in decimal, `0x` or octal.
pub fn any_base(text: &str) -> Option<i64> {
    fn body(text: &str) -> IResult<&str, i64> {
        let hexadecimal = preceded(
            alt((tag("0x"), tag("0X"))),
            take_while1(|c: char| c.is_ascii_hexdigit()),
        )
        .map_opt(|d: &str| i64::from_str_radix(d, 16).ok());
        let octal = preceded(char('0'), take_while1(|c: char| c.is_digit(8)))
            .map_opt(|d: &str| i64::from_str_radix(d, 8).ok());
        let plain = digit1.map_opt(|d: &str| d.parse().ok());
        alt((hexadecimal, octal, plain)).parse(text)
    }
    let (digits, sign) = sign(text.trim()).ok()?;
    match body(digits) {
        Ok(("", value)) => Some(if sign == Some('-') { -value } else { value }),
        _ => None,
    }
}

/// What is wrong with a `~SEQ` or `~LST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceError {
    /// No name, no parenthesis.
    Definition,
    /// No `)`.
    Unterminated,
    /// More than about 62 characters.
    TooLong,
    /// A parameter is a definition of several lines.
    Multiline,
    /// A value that is no number, a step of 0 or in the wrong direction.
    Values,
    /// `~SEQx` with a negative number.
    Negative,
    /// Too many parameters.
    Specification,
}

impl SequenceError {
    /// keepalived's words. `kind` is `~SEQ` or `~LST`.
    pub fn message(self, kind: &str, text: &str) -> String {
        match self {
            SequenceError::Definition => format!("Invalid {kind} definition '{text}'"),
            SequenceError::Unterminated => format!("{kind} missing terminating ')' '{text}'"),
            SequenceError::TooLong => format!("{kind} parameter strings too long '{text}'"),
            SequenceError::Multiline => {
                format!("{kind} parameter is multiline definition '{text}'")
            }
            SequenceError::Values => format!("Invalid {kind} values '{text}'"),
            SequenceError::Negative => {
                format!("{kind}x is only valid for positive numbers '{text}'")
            }
            SequenceError::Specification => format!("Invalid {kind} specification '{text}'"),
        }
    }
}

/// `~SEQ(name, start, step, end)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Name that is defined.
    pub name: String,
    /// First value.
    pub start: i64,
    /// Step.
    pub step: i64,
    /// Last value at most.
    pub end: i64,
}

fn blank(text: &str) -> IResult<&str, &str> {
    multispace0(text)
}

/// Reads `~SEQ(...)` or `~SEQx(...)`; the text after it is the second half of the result.
pub fn parse_sequence(
    text: &str,
    resolve: &dyn Fn(&str) -> Result<String, SequenceError>,
) -> Result<(Sequence, String), SequenceError> {
    let start: IResult<&str, _> = (alt((tag("~SEQx"), tag("~SEQ"))), blank, char('(')).parse(text);
    let (inside, _) = start.map_err(|_| SequenceError::Definition)?;
    let Some((inside, after)) = inside.split_once(')') else {
        return Err(SequenceError::Unterminated);
    };
    if inside.len() > 62 {
        return Err(SequenceError::TooLong);
    }
    let word = delimited(blank, take_while(|c: char| c != ',' && !c.is_whitespace()), blank);
    let words: IResult<&str, Vec<&str>> = separated_list1(char(','), word).parse(inside);
    let Ok(("", words)) = words else {
        return Err(SequenceError::Values);
    };
    let number = |word: &str| any_base(&resolve(word)?).ok_or(SequenceError::Values);
    let numbers: Result<Vec<i64>, _> = words.iter().skip(1).map(|w| number(w)).collect();
    if words.len() < 2 || words.len() > 4 || words.first().is_some_and(|w| w.is_empty()) {
        return Err(SequenceError::Specification);
    }
    let (start, step, end) = match numbers?[..] {
        [end] if end < 0 => (-1, -1, end),
        [end] if end < 1 => (1, -1, end),
        [end] => (1, 1, end),
        [start, end] => (start, if end < start { -1 } else { 1 }, end),
        [start, step, end] => (start, step, end),
        _ => return Err(SequenceError::Specification),
    };
    if step == 0 || (start < end && step < 0) || (start > end && step > 0) {
        return Err(SequenceError::Values);
    }
    let name = words.first().map(|n| n.trim_start_matches('$').to_owned());
    Ok((
        Sequence {
            name: name.unwrap_or_default(),
            start,
            step,
            end,
        },
        after.trim_start().to_owned(),
    ))
}

/// Names and rows of `~LST(...)`, and the text after it.
type List = (Vec<String>, Vec<Vec<String>>, String);

/// Reads `~LST(...)`.
pub fn parse_list(text: &str) -> Result<List, SequenceError> {
    fn word(text: &str) -> IResult<&str, String> {
        delimited(
            blank,
            alt((
                delimited(char('"'), take_while(|c| c != '"'), char('"')),
                take_while1(|c: char| !matches!(c, ',' | '}' | ')' | '{') && !c.is_whitespace()),
            )),
            blank,
        )
        .map(str::to_owned)
        .parse(text)
    }
    fn group(text: &str) -> IResult<&str, Vec<String>> {
        delimited(
            (blank, char('{')),
            separated_list1(char(','), word),
            (char('}'), blank),
        )
        .parse(text)
    }
    fn element(text: &str) -> IResult<&str, Vec<String>> {
        alt((group, word.map(|w| vec![w]))).parse(text)
    }
    let parsed: IResult<&str, (Vec<Vec<String>>, &str)> = preceded(
        (tag("~LST"), blank, char('(')),
        (
            separated_list1(char(','), element),
            preceded((blank, char(')'), blank), rest),
        ),
    )
    .parse(text);
    let Ok((_, (mut elements, after))) = parsed else {
        return Err(if text.contains(')') {
            SequenceError::Specification
        } else {
            SequenceError::Unterminated
        });
    };
    let names = elements.remove(0);
    if elements.is_empty() || elements.iter().any(|e| e.len() != names.len()) {
        return Err(SequenceError::Specification);
    }
    Ok((names, elements, after.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        assert_eq!(integer("-5", -10, 10, false).unwrap().value, -5);
        let message = |t, a, b| integer(t, a, b, false).unwrap_err().message;
        assert_eq!(message("300", 1, 255), "number '300' outside range [1, 255]");
        assert_eq!(message("x", 1, 255), "invalid number 'x'");
        assert_eq!(message("1x", 1, 255), "invalid number '1x'");
        assert!(integer("1x", 1, 255, true).unwrap().warning.is_some());
        assert_eq!(
            unsigned("-1", 0, 9, false).unwrap_err().message,
            "negative number '-1'"
        );
    }

    #[test]
    fn decimals() {
        let value = |t| decimal(t, 6, 0, 4_294_967_295, false).unwrap();
        assert_eq!(value("1").value, 1_000_000);
        assert_eq!(value("0.25").value, 250_000);
        assert_eq!(value(".5").value, 500_000);
        assert_eq!(value("1.0000005").value, 1_000_001);
        assert!(value("1.0000005").warning.is_some());
        assert_eq!(
            decimal("0", 6, 1, 4_294_967_295, false).unwrap_err().message,
            "number '0' outside range [0.000001, 4294.967295]"
        );
        assert!(decimal(".", 6, 1, 10, false).is_err());
    }

    #[test]
    fn sequences() {
        let read = |t: &str| parse_sequence(t, &|w| Ok(w.to_owned()));
        let (s, rest) = read("~SEQ(n, 10, 5, 30) 192.0.2.${n}/24").unwrap();
        assert_eq!(
            (s.start, s.step, s.end, rest.as_str()),
            (10, 5, 30, "192.0.2.${n}/24")
        );
        assert_eq!(read("~SEQ(n, 0x10)").unwrap().0.end, 16);
        assert_eq!(read("~SEQ(n, -3)").unwrap().0.start, -1);
        assert_eq!(read("~SEQ(n, 1, 0, 3) x"), Err(SequenceError::Values));
        assert_eq!(read("~SEQ(n, 1 x"), Err(SequenceError::Unterminated));
        assert_eq!(read("~SEQ n"), Err(SequenceError::Definition));
    }

    #[test]
    fn lists() {
        let (names, rows, rest) = parse_list("~LST({a, d}, {1, x}, {2, y}) $a dev $d").unwrap();
        assert_eq!(names, ["a", "d"]);
        assert_eq!(rows, [["1", "x"], ["2", "y"]]);
        assert_eq!(rest, "$a dev $d");
        let (names, rows, _) = parse_list("~LST(v, a, b) $v").unwrap();
        assert_eq!((names.len(), rows.len()), (1, 2));
        assert!(parse_list("~LST({a, d}, {1}) x").is_err());
    }
}
