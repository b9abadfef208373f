//! A line of configuration after preprocessing: comments gone, definitions substituted, split into words.

use super::diagnostic::Span;
use super::lexer::{Escapes, QuoteError, is_blank, shell_words};
use zeroize::Zeroize;

/// One word of a line, quotes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
    /// It stood in `"..."`.
    pub quoted: bool,
}

/// One logical line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// Words; never empty when a reader sees it.
    pub words: Vec<Word>,
    /// The line as text, for keywords that split it again by shell-like rules ([`Line::arguments`]).
    pub raw: String,
    /// The whole line.
    pub span: Span,
}

/// A word may be a password.
impl Drop for Word {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.raw.zeroize();
    }
}

impl Line {
    /// Text of a word, if it is there.
    pub fn text(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(|w| w.text.as_str())
    }

    /// Place of a word, else of the line.
    pub fn span_of(&self, index: usize) -> Span {
        self.words.get(index).map_or(self.span, |w| w.span)
    }

    /// The text after the keyword, as it stands: for keywords whose value is read by shell-like rules.
    pub fn rest(&self) -> &str {
        let end = self.raw.find(is_blank).unwrap_or(self.raw.len());
        self.raw[end..].trim_start_matches(is_blank)
    }

    /// The words after the keyword by shell-like rules: `'..'` and `".."` quote, adjacent pieces join.
    pub fn arguments(&self, escapes: Escapes) -> Result<Vec<String>, QuoteError> {
        shell_words(self.rest(), escapes)
    }
}
