//! The host and the lines that tests of readers work with.

use super::{Context, Line, Word};
use crate::config::{Diagnostics, MemoryHost, Pass, ReadOptions, Span};
use crate::model::Configuration;

/// A host with `lo`, `eth0` and `eth1`.
pub(crate) fn world() -> MemoryHost {
    let mut host = MemoryHost::default();
    host.interface("lo").interface("eth0").interface("eth1");
    host
}

/// A line as the engine hands it over: words at white space, `"..."` one word.
pub(crate) fn line(text: &str, number: u32) -> Line {
    let mut words = Vec::new();
    let mut rest = text;
    let mut column = 1;
    while let Some(start) = rest.find(|c: char| !c.is_ascii_whitespace()) {
        let quoted = rest[start..].starts_with('"');
        let from = start + usize::from(quoted);
        let length = rest[from..]
            .find(|c: char| if quoted { c == '"' } else { c.is_ascii_whitespace() })
            .unwrap_or(rest.len() - from);
        words.push(Word {
            text: rest[from..from + length].to_owned(),
            span: Span {
                file: 0,
                line: number,
                column: (column + from) as u32,
                length: length as u32,
            },
            quoted,
        });
        let next = from + length + usize::from(quoted);
        rest = rest.get(next..).unwrap_or("");
        column += next;
    }
    Line {
        words,
        raw: text.to_owned(),
        span: Span {
            file: 0,
            line: number,
            column: 1,
            length: text.len() as u32,
        },
    }
}

/// Runs a reader over one line; what it made, and its complaints.
pub(crate) fn one<T>(
    world: &MemoryHost,
    config: &mut Configuration,
    text: &str,
    reader: impl FnOnce(&Line, &mut Context) -> T,
) -> (T, Vec<String>) {
    let mut diagnostics = Diagnostics::default();
    let mut context = Context {
        host: world,
        shared: &mut crate::config::read::Shared::default(),
        diagnostics: &mut diagnostics,
        options: &ReadOptions::default(),
        test: true,
        config,
        pass: Pass::Vrrp,
        here: Span::default(),
    };
    let made = reader(&line(text, 1), &mut context);
    let said = diagnostics.list().iter().map(|d| d.text.clone()).collect();
    (made, said)
}
