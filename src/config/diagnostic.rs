//! Complaints about a configuration, each pointed at its place.

/// Kind of a complaint, in keepalived's order of severity (the largest one of a read decides the exit
/// status of `--config-test`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing that counts: information that keepalived prints too.
    Ok,
    /// A configuration file is not there, or not readable.
    FileNotFound,
    /// An interface does not exist.
    BadInterface,
    /// Would not start.
    Fatal,
    /// The main pattern matches several files.
    MultipleFiles,
    /// `Unknown keyword`.
    UnknownKeyword,
    /// `Unexpected '{'`.
    UnexpectedBlock,
    /// `Missing '{'`.
    MissingBlock,
    /// `Extra '}'`.
    UnexpectedEnd,
    /// `There are N missing '}'s`.
    MissingEnd,
    /// A quote without its partner.
    UnmatchedQuote,
    /// A keyword without its argument: fatal, exit status 2.
    MissingParameter,
    /// A number that is none, or out of range.
    InvalidNumber,
    /// Anything else.
    General,
    /// Accepted, but probably not what was meant.
    Warning,
    /// An old keyword, still accepted.
    Deprecated,
    /// Script security.
    Security,
}

/// A place in a file. Columns count bytes from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Span {
    /// Index into the list of files read.
    pub file: u32,
    /// Line from 1; 0 is no place.
    pub line: u32,
    /// Column of the offending text, from 1.
    pub column: u32,
    /// Length of the offending text, bytes.
    pub length: u32,
}

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Kind.
    pub class: Class,
    /// Place; `None` for complaints about the whole (keepalived prints those without a prefix).
    pub span: Option<Span>,
    /// keepalived's words, without prefix.
    pub text: String,
    /// What is expected, what to do, the nearest keyword: our own further lines.
    pub help: Option<String>,
}

/// Complaints in the order in which they are made.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a complaint at a place.
    pub fn at(&mut self, class: Class, span: Span, text: impl Into<String>) -> &mut Diagnostic {
        self.push(class, Some(span), text.into())
    }

    /// Adds a complaint about the whole.
    pub fn general(&mut self, class: Class, text: impl Into<String>) -> &mut Diagnostic {
        self.push(class, None, text.into())
    }

    /// All complaints so far.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    fn push(&mut self, class: Class, span: Option<Span>, text: String) -> &mut Diagnostic {
        self.list.push(Diagnostic {
            class,
            span,
            text,
            help: None,
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }
}

impl Diagnostic {
    /// Adds a line of help.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }
}
