//! The words of a route or rule line, one after the other.

use super::{Class, Context, Flow, Line, Word, value};

/// A line while it is being read.
pub(super) struct Words<'a> {
    line: &'a Line,
    next: usize,
}

/// Reading of a line ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was reported, and what the line says is dropped.
    Drop,
    /// A parameter is missing: the whole reading ends.
    Missing,
}

impl Stop {
    /// What the block engine is told.
    pub(super) fn flow(self) -> Flow {
        match self {
            Stop::Drop => Flow::Continue,
            Stop::Missing => Flow::Missing,
        }
    }
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a Line) -> Self {
        Self { line, next: 0 }
    }

    pub(super) fn next(&mut self) -> Option<&'a Word> {
        let word = self.line.words.get(self.next);
        self.next += usize::from(word.is_some());
        word
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.line.text(self.next)
    }

    /// The next word, which must be there.
    pub(super) fn value(&mut self, context: &mut Context) -> Result<&'a Word, Stop> {
        match self.next() {
            Some(word) => Ok(word),
            None => {
                value::missing(self.line, self.next, context);
                Err(Stop::Missing)
            }
        }
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.peek() == Some(text);
        self.next += usize::from(found);
        found
    }
}

/// Reports at a word and drops the line.
pub(super) fn wrong(word: &Word, text: impl Into<String>, context: &mut Context) -> Stop {
    context.diagnostics.at(Class::General, word.span, text);
    Stop::Drop
}
