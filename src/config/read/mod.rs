//! Readers: one for each part of the language. The block engine finds the keyword in the table and calls
//! the reader of its part.

use super::{Diagnostics, Host, Keyword, Line};
use crate::model::Configuration;

/// What a reader needs beside the line.
pub struct Context<'a> {
    /// The outside.
    pub host: &'a dyn Host,
    /// Where complaints go.
    pub diagnostics: &'a mut Diagnostics,
    /// `--config-test`: numbers with trailing garbage are errors.
    pub test: bool,
    /// The model being filled. `globals` is complete for what stands above.
    pub config: &'a mut Configuration,
}

/// What the block engine does after a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Goes on. A block keyword's block is read.
    Continue,
    /// Skips the block that follows as a whole, unknown keywords in it included.
    SkipBlock,
    /// A parameter is missing: reading ends, exit status 2.
    Missing,
}

/// A reader of one part of the language.
pub trait Section {
    /// A keyword; for a block keyword, its header.
    fn keyword(&mut self, keyword: &'static Keyword, line: &Line, context: &mut Context) -> Flow;
    /// One line (or, for lists of words, one word) of a list block.
    fn entry(&mut self, list: &'static Keyword, line: &Line, context: &mut Context) -> Flow;
    /// A block is closed.
    fn end(&mut self, block: &'static Keyword, context: &mut Context);
    /// The whole text has been read: check and complete.
    fn finish(&mut self, context: &mut Context);
}
