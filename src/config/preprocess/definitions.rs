//! Definitions (`$NAME`), sequences (`~SEQ`, `~LST`), and what stands for a reference to one.

use super::{Definition, MOST_LINES, Pending, Preprocessor, Values};
use crate::config::diagnostic::{Class, Span};
use crate::config::lexer::{self};
use crate::config::number::{SequenceError, parse_list, parse_sequence};
use zeroize::Zeroizing;

impl<'h> Preprocessor<'h> {
    /// `$NAME=text`.
    pub(super) fn definition(&mut self, text: &str, at: Span) -> bool {
        let Some(rest) = text.strip_prefix('$') else {
            return false;
        };
        let Some((name, value)) = rest.split_once('=') else {
            return false;
        };
        if !is_name(name) {
            return false;
        }
        let value = value.trim_start_matches(lexer::is_blank);
        match value.strip_suffix('\\') {
            Some(first) => {
                let first = first.trim_end_matches(lexer::is_blank);
                let lines = if first.is_empty() {
                    Vec::new()
                } else {
                    vec![first.to_owned()]
                };
                self.open_definition = Some((name.to_owned(), lines, at));
            }
            None => self.define(name.to_owned(), vec![value.to_owned()]),
        }
        true
    }

    pub(super) fn define(&mut self, name: String, lines: Vec<String>) {
        self.definitions.insert(name, Definition::Text(lines));
    }

    /// `~SEQ(...) rest`, `~SEQx(...) rest`, `~LST(...) rest`.
    pub(super) fn sequence(&mut self, text: &str, at: Span) -> bool {
        let hexadecimal = text.starts_with("~SEQx");
        let list = text.starts_with("~LST");
        if !hexadecimal && !list && !text.starts_with("~SEQ") {
            return false;
        }
        let resolve = |word: &str| -> Result<String, SequenceError> {
            let name = word
                .strip_prefix('$')
                .map(|n| n.strip_prefix('{').and_then(|n| n.strip_suffix('}')).unwrap_or(n));
            match name.and_then(|n| self.definitions.get(n)) {
                None => Ok(word.to_owned()),
                Some(Definition::Text(lines)) if lines.len() <= 1 => {
                    Ok(lines.first().cloned().unwrap_or_default())
                }
                Some(_) => Err(SequenceError::Multiline),
            }
        };
        let parsed = if list {
            parse_list(text).map(|(names, rows, rest)| {
                let rows = rows.into();
                (Values::List { names, rows }, rest)
            })
        } else {
            parse_sequence(text, &resolve).and_then(|(sequence, rest)| {
                if hexadecimal && (sequence.start < 0 || sequence.end < 0) {
                    return Err(SequenceError::Negative);
                }
                Ok((
                    Values::Sequence {
                        name: sequence.name,
                        next: sequence.start,
                        end: sequence.end,
                        step: sequence.step,
                        hexadecimal,
                    },
                    rest,
                ))
            })
        };
        match parsed {
            Ok((values, rest)) => {
                if let Some(queue) = self.queues.last_mut() {
                    queue.push_front(Pending::Each { values, rest, at });
                }
            }
            Err(error) => {
                let kind = if list { "~LST" } else { "~SEQ" };
                let text = error.message(kind, text);
                self.note(Class::General, at, text.clone(), Some(text));
            }
        }
        true
    }

    /// One round of a sequence: the definition is set, the line goes through, the rest waits.
    pub(super) fn each(&mut self, values: Values, rest: String, at: Span) {
        if self.too_many(at) {
            return;
        }
        let remaining = match values {
            Values::Sequence {
                name,
                next,
                end,
                step,
                hexadecimal,
            } => {
                if step == 0 || (step > 0 && next > end) || (step < 0 && next < end) {
                    return;
                }
                let value = if hexadecimal {
                    format!("{next:x}")
                } else {
                    next.to_string()
                };
                self.define(name.clone(), vec![value]);
                next.checked_add(step).map(|next| Values::Sequence {
                    name,
                    next,
                    end,
                    step,
                    hexadecimal,
                })
            }
            Values::List { names, mut rows } => {
                let Some(row) = rows.pop_front() else {
                    return;
                };
                for (name, value) in names.iter().zip(row) {
                    self.define(name.clone(), vec![value]);
                }
                Some(Values::List { names, rows })
            }
        };
        self.made += 1;
        if let (Some(queue), Some(values)) = (self.queues.last_mut(), remaining) {
            queue.push_front(Pending::Each {
                values,
                rest: rest.clone(),
                at,
            });
        }
        if !rest.is_empty() {
            self.line(Zeroizing::new(rest), at, false);
        }
    }

    /// One round of substitution: the changed line, and the lines that follow it.
    pub(super) fn substitute(&mut self, text: &str, at: Span) -> Option<(String, Vec<String>)> {
        let mut changed = String::with_capacity(text.len() + 32);
        let mut more = Vec::new();
        let mut any = false;
        let mut position = 0;
        while let Some(found) = text[position..].find('$') {
            let dollar = position + found;
            changed.push_str(&text[position..dollar]);
            let Some(reference) = reference(&text[dollar..]) else {
                changed.push('$');
                position = dollar + 1;
                continue;
            };
            let end = dollar + reference.length;
            let last = text[end..].chars().all(lexer::is_blank);
            let value = match self.definitions.get(reference.name) {
                None => None,
                Some(Definition::Text(lines)) if lines.len() > 1 => last.then(|| {
                    more = lines[1..].to_vec();
                    lines[0].clone()
                }),
                Some(Definition::Text(lines)) => Some(lines.first().cloned().unwrap_or_default()),
                Some(Definition::Directory) => Some(self.source.directory().to_string_lossy().into_owned()),
                Some(Definition::Random) => Some(self.random_number(reference.parameters, at)),
                Some(Definition::Environment) => {
                    let mut words = reference.parameters.split_whitespace();
                    match (words.next(), words.next()) {
                        (Some(name), None) => Some(self.host.environment(name).unwrap_or_default()),
                        (first, _) => {
                            let n = if first.is_none() {
                                0
                            } else {
                                reference.parameters.split_whitespace().count()
                            };
                            let text = format!(
                                "Definition _ENV requires between 1 and 1 parameters, {n} specified."
                            );
                            self.note(Class::General, at, text.clone(), Some(text));
                            Some(String::new())
                        }
                    }
                }
            };
            match value {
                Some(value) => {
                    changed.push_str(&value);
                    any = true;
                }
                None => changed.push_str(&text[dollar..end]),
            }
            position = end;
        }
        changed.push_str(&text[position..]);
        (any && changed != text || !more.is_empty()).then_some((changed, more))
    }

    pub(super) fn random_number(&mut self, parameters: &str, at: Span) -> String {
        let words: Vec<&str> = parameters.split_whitespace().collect();
        if words.len() > 2 {
            let text = format!(
                "Definition _RANDOM requires between 0 and 2 parameters, {} specified.",
                words.len()
            );
            self.note(Class::General, at, text.clone(), Some(text));
            return String::new();
        }
        let numbers: Vec<u32> = words.iter().filter_map(|w| w.parse().ok()).collect();
        if numbers.len() != words.len() {
            let text = "Definition _RANDOM requires numeric parameters only.".to_owned();
            self.note(Class::General, at, text.clone(), Some(text));
            return String::new();
        }
        let least = numbers.first().copied().unwrap_or(0);
        let most = numbers.get(1).copied().unwrap_or(32767);
        if least > most {
            let text = format!("Definition _RANDOM: minimum {least} is greater than maximum {most}");
            self.note(Class::General, at, text.clone(), Some(text));
            return least.to_string();
        }
        // xorshift: the numbers only need to differ from host to host.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.random;
        x ^= x >> 30;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 27;
        let range = u64::from(most - least) + 1;
        (u64::from(least) + x % range).to_string()
    }

    pub(super) fn too_many(&mut self, at: Span) -> bool {
        if self.made <= MOST_LINES {
            return false;
        }
        if self.made != usize::MAX {
            self.made = usize::MAX;
            let text = format!("Definitions make more than {MOST_LINES} lines - ignoring the rest");
            self.note(Class::General, at, text.clone(), Some(text));
        }
        for queue in &mut self.queues {
            queue.clear();
        }
        true
    }
}

/// A reference to a definition.
pub(super) struct Reference<'t> {
    name: &'t str,
    parameters: &'t str,
    length: usize,
}

/// `$NAME` before a blank, `,`, `)` or the end; `${NAME parameters}` anywhere.
pub(super) fn reference(text: &str) -> Option<Reference<'_>> {
    let rest = text.strip_prefix('$')?;
    if let Some(inside) = rest.strip_prefix('{') {
        let close = inside.find('}')?;
        let content = &inside[..close];
        let end = content.find(lexer::is_blank).unwrap_or(content.len());
        let (name, parameters) = content.split_at(end);
        return is_name(name).then_some(Reference {
            name,
            parameters,
            length: close + 3,
        });
    }
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let ends = after
        .chars()
        .next()
        .is_none_or(|c| matches!(c, ' ' | '\t' | ',' | ')'));
    (ends && is_name(name)).then_some(Reference {
        name,
        parameters: "",
        length: end + 1,
    })
}

/// A letter or `_`, then letters, digits, `_`.
pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
