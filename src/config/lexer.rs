//! One line of text to words: comments, quotes, braces.

use super::diagnostic::Span;
use super::line::{Line, Word};
use zeroize::Zeroizing;

/// White space between words.
pub fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0b' | '\x0c' | '\r' | '\n')
}

/// A line without its comment and without blanks at both ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Bare {
    /// What is left.
    pub text: Zeroizing<String>,
    /// Bytes of white space that were taken from the front.
    pub indent: usize,
    /// The text (blanks at the end included) when a quote has no partner.
    pub unterminated: Option<Zeroizing<String>>,
}

/// Takes comments from a line: `!` and `#` start one unless quoted or escaped; `\#` and `\!` become the
/// plain character.
pub fn decomment(line: &str) -> Bare {
    let trimmed = line.trim_start_matches(is_blank);
    let indent = line.len() - trimmed.len();
    if !trimmed.contains(['!', '#', '"']) {
        return Bare {
            text: Zeroizing::new(trimmed.trim_end_matches(is_blank).to_owned()),
            indent,
            unterminated: None,
        };
    }
    let mut text = Zeroizing::new(String::with_capacity(trimmed.len()));
    let mut quoted = false;
    let mut rest = trimmed.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => quoted = !quoted,
            '!' | '#' if !quoted => break,
            '\\' if !quoted => {
                if let Some(next) = rest.next_if(|n| matches!(n, '!' | '#')) {
                    text.push(next);
                    continue;
                }
            }
            _ => {}
        }
        text.push(c);
    }
    let unterminated = quoted.then(|| text.clone());
    let end = text.trim_end_matches(is_blank).len();
    text.truncate(end);
    Bare {
        text,
        indent,
        unterminated,
    }
}

/// What [`split`] finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A line: words, or a single brace.
    Line(Line),
    /// A quote without its partner, in this text.
    UnmatchedQuote(String),
}

/// Splits a line into words, and around braces into lines.
///
/// `at` is the place of the text's first byte, with the length of the text; `exact` says that the text
/// stands there as it is, so that words have columns of their own.
pub fn split(text: &str, at: Span, exact: bool, parts: &mut Vec<Part>) {
    let mut line = Line::default();
    let mut begin = None;
    let place = |from: usize, to: usize| {
        if exact {
            Span {
                column: at.column + to_u32(from),
                length: to_u32(to - from),
                ..at
            }
        } else {
            at
        }
    };
    let finish = |line: &mut Line, begin: &mut Option<usize>, end: usize, parts: &mut Vec<Part>| {
        if let Some(from) = begin.take() {
            let raw = text[from..end].trim_end_matches(is_blank);
            line.raw = raw.to_owned();
            line.span = place(from, from + raw.len());
            parts.push(Part::Line(std::mem::take(line)));
        }
    };

    let mut position = 0;
    while let Some(c) = text[position..].chars().next() {
        match c {
            c if is_blank(c) => position += 1,
            '{' | '}' => {
                finish(&mut line, &mut begin, position, parts);
                let span = place(position, position + 1);
                parts.push(Part::Line(Line {
                    words: vec![Word {
                        text: c.to_string(),
                        span,
                        quoted: false,
                    }],
                    raw: c.to_string(),
                    span,
                }));
                position += 1;
            }
            '"' => {
                begin.get_or_insert(position);
                let inside = position + 1;
                let Some(length) = text[inside..].find('"') else {
                    parts.push(Part::UnmatchedQuote(text.to_owned()));
                    finish(&mut line, &mut begin, text.len(), parts);
                    return;
                };
                line.words.push(Word {
                    text: text[inside..inside + length].to_owned(),
                    span: place(position, inside + length + 1),
                    quoted: true,
                });
                position = inside + length + 1;
            }
            _ => {
                begin.get_or_insert(position);
                let length = text[position..]
                    .find(|c| is_blank(c) || matches!(c, '{' | '}' | '"'))
                    .unwrap_or(text.len() - position);
                line.words.push(Word {
                    text: text[position..position + length].to_owned(),
                    span: place(position, position + length),
                    quoted: false,
                });
                position += length;
            }
        }
    }
    finish(&mut line, &mut begin, text.len(), parts);
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A fault in quoted text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// A quote without its partner.
    #[error("String '{0}': missing terminating {1}")]
    Missing(String, char),
    /// A backslash at the end.
    #[error("Missing escape char at end: '{0}'")]
    Escape(String),
}

/// What a backslash does in [`shell_words`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// Backslash and character are both kept: the command is split again when it is run.
    Keep,
    /// The character alone is kept.
    Plain,
    /// `\n`, `\x41`, `\cA`, `\101` and the like.
    Interpret,
}

/// Splits text by shell-like rules: `'..'` and `".."` quote, adjacent pieces join, a backslash escapes.
pub fn shell_words(text: &str, escapes: Escapes) -> Result<Vec<String>, QuoteError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', q) if q != Some('\'') || escapes == Escapes::Interpret => {
                let Some(next) = rest.next() else {
                    return Err(QuoteError::Escape(text.to_owned()));
                };
                let word = word.get_or_insert_default();
                match escapes {
                    Escapes::Keep => word.extend([c, next]),
                    Escapes::Plain => word.push(next),
                    Escapes::Interpret => word.push(escape(next, &mut rest)),
                }
            }
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if is_blank(c) => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(q) = quote {
        return Err(QuoteError::Missing(text.to_owned(), q));
    }
    words.extend(word);
    Ok(words)
}

/// The character that an escape stands for.
fn escape(c: char, rest: &mut std::iter::Peekable<std::str::Chars>) -> char {
    let mut number = |first: u32, radix: u32, digits: usize| {
        let mut value = first;
        for _ in 0..digits {
            let Some(d) = rest.peek().and_then(|d| d.to_digit(radix)) else {
                break;
            };
            value = value * radix + d;
            rest.next();
        }
        char::from_u32(value & 0xff).unwrap_or('\u{fffd}')
    };
    match c {
        'a' => '\x07',
        'b' => '\x08',
        'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => number(0, 16, 2),
        'c' => match rest.next() {
            Some(control) => char::from_u32(control as u32 & 0x1f).unwrap_or(control),
            None => c,
        },
        '0'..='7' => {
            let first = c.to_digit(8).unwrap_or(0);
            number(first, 8, 2)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        let mut parts = Vec::new();
        let at = Span {
            file: 0,
            line: 1,
            column: 1,
            length: 0,
        };
        split(text, at, true, &mut parts);
        parts
            .into_iter()
            .map(|p| match p {
                Part::Line(l) => l.words.iter().map(|w| w.text.clone()).collect(),
                Part::UnmatchedQuote(t) => vec![format!("unmatched: {t}")],
            })
            .collect()
    }

    #[test]
    fn comments() {
        for (line, expected) in [
            ("  priority 100 # text", "priority 100"),
            ("a \"# no\" ! yes", "a \"# no\""),
            (r"auth_pass a\#b", "auth_pass a#b"),
            (r"x \n \! y", r"x \n ! y"),
            ("#", ""),
        ] {
            assert_eq!(decomment(line).text.as_str(), expected);
        }
        let bare = decomment("vrrp_script \"unterm { ");
        assert_eq!(bare.text.as_str(), "vrrp_script \"unterm {");
        assert_eq!(bare.unterminated.unwrap().as_str(), "vrrp_script \"unterm { ");
    }

    #[test]
    fn words_and_braces() {
        assert_eq!(
            words("a { b \"c d\"e} f"),
            [vec!["a"], vec!["{"], vec!["b", "c d", "e"], vec!["}"], vec!["f"]]
        );
        assert_eq!(words("a \"{\""), [vec!["a", "{"]]);
        assert_eq!(words("k \"open"), [vec!["unmatched: k \"open"], vec!["k"]]);
    }

    #[test]
    fn columns_count_from_one() {
        let mut parts = Vec::new();
        let at = Span {
            file: 0,
            line: 1,
            column: 5,
            length: 0,
        };
        split("priority 300", at, true, &mut parts);
        let Part::Line(line) = &parts[0] else { panic!() };
        assert_eq!((line.words[1].span.column, line.words[1].span.length), (14, 3));
    }

    #[test]
    fn shell_rules() {
        let words = |t| shell_words(t, Escapes::Plain).unwrap();
        assert_eq!(words(r#"/a/b 'c d'"e f" g\ h"#), ["/a/b", "c de f", "g h"]);
        assert_eq!(shell_words(r"a\ b", Escapes::Keep).unwrap(), [r"a\ b"]);
        assert_eq!(shell_words(r"\x41\102\n", Escapes::Interpret).unwrap(), ["AB\n"]);
        assert!(matches!(
            shell_words("'a", Escapes::Plain),
            Err(QuoteError::Missing(_, '\''))
        ));
        assert!(matches!(
            shell_words("a\\", Escapes::Plain),
            Err(QuoteError::Escape(_))
        ));
    }
}
