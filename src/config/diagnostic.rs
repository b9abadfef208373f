//! Complaints about a configuration, each pointed at its place.

use super::source::SourceFile;

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

/// Which of keepalived's processes reads: the file is read once for each, and each tells what concerns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub enum Pass {
    /// `global_defs` and the keywords beside it.
    #[default]
    Parent,
    /// Virtual servers.
    Checker,
    /// VRRP.
    Vrrp,
    /// BFD.
    Bfd,
}

impl Pass {
    /// Log target of the process.
    pub fn target(self) -> &'static str {
        match self {
            Pass::Parent => "parent",
            Pass::Checker => "checkers",
            Pass::Vrrp => "vrrp",
            Pass::Bfd => "bfd",
        }
    }
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
    /// The process whose read it is.
    pub pass: Pass,
    /// Said at a start, not by `--config-test`: keepalived logs it only, or it is advice of our own.
    pub start_only: bool,
}

/// Complaints in the order in which they are made.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// The process that reads now.
    pub pass: Pass,
    /// Another process tells these: nothing is added.
    pub muted: bool,
    /// Exit status of a start with this configuration, when it cannot start.
    pub refusal: Option<i32>,
    ignored: Option<Diagnostic>,
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

    /// Adds what keepalived only logs at a start, or advice of our own about something that it takes in silence.
    pub fn hint(&mut self, span: Option<Span>, text: impl Into<String>) -> &mut Diagnostic {
        let hint = self.push(Class::Ok, span, text.into());
        hint.start_only = true;
        hint
    }

    /// Whether a complaint of a class has been made in the present pass.
    pub fn has(&self, class: Class) -> bool {
        self.list.iter().any(|d| d.class == class && d.pass == self.pass)
    }

    /// All complaints so far.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// All complaints, taken out.
    pub fn into_list(self) -> Vec<Diagnostic> {
        self.list
    }

    /// The configuration cannot start: exit status. The first reason counts.
    pub fn refuse(&mut self, status: i32) {
        self.refusal.get_or_insert(status);
    }

    /// The largest class so far: it decides the exit status of `--config-test`.
    pub fn worst(&self) -> Class {
        self.list.iter().map(|d| d.class).max().unwrap_or(Class::Ok)
    }

    fn push(&mut self, class: Class, span: Option<Span>, text: String) -> &mut Diagnostic {
        let diagnostic = Diagnostic {
            class,
            // A place in no line is the end of the file: keepalived has no prefix for it.
            span: span.filter(|s| s.line != 0),
            text,
            help: None,
            pass: self.pass,
            start_only: false,
        };
        if self.muted {
            return self.ignored.insert(diagnostic);
        }
        self.list.push(diagnostic);
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

    /// The line as keepalived logs it: `(FILE: Line N) text`. The parent names only included files.
    pub fn log_line(&self, files: &[SourceFile]) -> String {
        let Some(span) = self.span else {
            return self.text.clone();
        };
        match files.get(span.file as usize) {
            Some(file) if self.pass != Pass::Parent || file.included => {
                format!("({}: Line {}) {}", file.name, span.line, self.text)
            }
            _ => format!("(Line {}) {}", span.line, self.text),
        }
    }
}
