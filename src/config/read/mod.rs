//! Readers: one for each part of the language. The block engine finds the keyword in the table and calls
//! the reader of its part.

pub mod address;
#[cfg(test)]
mod anything;
pub mod bfd;
mod checkers;
mod complete;
mod draft;
mod field;
pub mod globals;
mod hmac;
mod ip;
pub mod lvs;
mod names;
mod notify;
pub mod route;
pub mod rule;
pub mod script;
#[cfg(test)]
mod testing;
mod tracking;
mod value;
mod virtual_names;
mod vmac;
pub mod vrrp;
mod words;

use super::block::Sections;

use super::diagnostic::{Class, Pass, Span};
use super::{Diagnostics, Host, Keyword, Line, ReadOptions, Word};
use crate::model::Configuration;

/// What a reader needs beside the line.
pub struct Context<'a> {
    /// The outside.
    pub host: &'a dyn Host,
    /// Where complaints go.
    pub diagnostics: &'a mut Diagnostics,
    /// What is remembered from one process's read to the next.
    pub shared: &'a mut Shared,
    /// How the configuration is read.
    pub options: &'a ReadOptions,
    /// `--config-test`: numbers with trailing garbage are errors.
    pub test: bool,
    /// The model being filled. `globals` is complete for what stands above.
    pub config: &'a mut Configuration,
    /// The process that reads.
    pub pass: Pass,
    /// The line that is being read (the closing brace in [`Section::end`]); of line 0 at the end of the
    /// text.
    pub here: Span,
}

/// What is remembered from one process's read to the next.
#[derive(Debug, Default)]
pub struct Shared {
    /// There is no default user for scripts, and it has been said.
    pub script_user_failed: bool,
    /// The file names an interface that does not exist: the start is refused in the end.
    pub missing_interface: bool,
    /// Names of the files, by [`Span::file`].
    pub file_names: Vec<String>,
}

impl Context<'_> {
    /// Adds a complaint about the line being read.
    pub fn complain(&mut self, class: Class, text: impl Into<String>) -> &mut super::Diagnostic {
        self.diagnostics.at(class, self.here, text)
    }

    /// Adds a complaint about an interface that does not exist.
    pub fn missing_interface(&mut self, span: Span, text: String) -> &mut super::Diagnostic {
        self.shared.missing_interface = true;
        self.diagnostics.at(Class::Warning, span, text)
    }

    /// A parameter of a line; without it, keepalived's fatal complaint. The reader then returns
    /// [`Flow::Missing`].
    pub fn parameter<'l>(&mut self, line: &'l Line, index: usize) -> Option<&'l str> {
        let found = line.text(index);
        if found.is_none() {
            let first = line.text(0).unwrap_or_default();
            let last = line.shown(line.words.len().saturating_sub(1));
            self.diagnostics
                .at(
                    Class::MissingParameter,
                    line.span,
                    format!(
                        "*** Configuration line starting `{first}` is missing a parameter after keyword `{last}` at word position {}",
                        index + 1
                    ),
                )
                .help("keepalived stops here: give the keyword its value");
        }
        found
    }
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

/// The readers of one pass.
#[derive(Default)]
pub struct Readers {
    globals: globals::Globals,
    vrrp: vrrp::Vrrp,
    lvs: lvs::Lvs,
    bfd: bfd::Bfd,
}

impl Readers {
    /// The readers as the engine wants them.
    pub fn sections(&mut self) -> Sections<'_> {
        Sections {
            globals: &mut self.globals,
            vrrp: &mut self.vrrp,
            lvs: &mut self.lvs,
            bfd: &mut self.bfd,
        }
    }
}
