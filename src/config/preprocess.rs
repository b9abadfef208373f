//! Raw lines to logical lines: includes, conditions, definitions, sequences, braces.

mod definitions;

use super::ReadOptions;
use super::diagnostic::{Class, Span};
use super::host::Host;
use super::lexer::{self, Part, decomment};
use super::line::Line;
use super::secret::masked;
use super::source::{Check, FileFault, MAX_LINE, Next, Source, SourceFile};
use std::collections::{BTreeMap, VecDeque};
use zeroize::Zeroizing;

/// Most lines that definitions and sequences may make.
const MOST_LINES: usize = 500_000;
/// Most rounds of substitution on one line.
const MOST_ROUNDS: usize = 200;

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A line for the block engine.
    Line(Line),
    /// A complaint, in its place among the lines.
    Note(Note),
    /// The files end here.
    End,
}

/// A complaint of the preprocessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Kind.
    pub class: Class,
    /// Place.
    pub span: Span,
    /// Words.
    pub text: String,
    /// Words for the reads after the first, which see comments gone; `None`: they do not say it.
    pub again: Option<String>,
    /// A file that must be there could not be read.
    pub fatal: bool,
}

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Definition {
    Text(Vec<String>),
    Directory,
    Random,
    Environment,
}

/// A line on its way through.
enum Pending {
    Text {
        text: String,
        at: Span,
        exact: bool,
    },
    /// The rest of a `~SEQ` or `~LST`: made line by line.
    Each {
        values: Values,
        rest: String,
        at: Span,
    },
}

/// The values of a sequence that are still to come.
enum Values {
    Sequence {
        name: String,
        next: i64,
        end: i64,
        step: i64,
        hexadecimal: bool,
    },
    List {
        names: Vec<String>,
        rows: VecDeque<Vec<String>>,
    },
}

/// The preprocessor. [`Preprocessor::next_piece`] gives one piece after the other.
pub struct Preprocessor<'h> {
    host: &'h dyn Host,
    source: Source<'h>,
    config_id: String,
    definitions: BTreeMap<String, Definition>,
    /// One queue for each open file, so that an include among generated lines comes before the rest.
    queues: Vec<VecDeque<Pending>>,
    out: VecDeque<Piece>,
    open_definition: Option<(String, Vec<String>, Span)>,
    random: u64,
    made: usize,
    ended: bool,
    /// What keepalived's later processes read: the consolidated copy, in which a line that was all
    /// comment is an empty one.
    copy: bool,
    differs: bool,
}

impl<'h> Preprocessor<'h> {
    /// Opens the main pattern.
    pub fn new(host: &'h dyn Host, options: &ReadOptions, config_id: &str, seed: u32, copy: bool) -> Self {
        let text = |t: &str| Definition::Text(vec![t.to_owned()]);
        let mut definitions = BTreeMap::new();
        definitions.insert("_PWD".to_owned(), Definition::Directory);
        definitions.insert("_INSTANCE".to_owned(), text(config_id));
        definitions.insert("_RANDOM".to_owned(), Definition::Random);
        definitions.insert("_ENV".to_owned(), Definition::Environment);
        definitions.insert("_HASH".to_owned(), text("#"));
        definitions.insert("_BANG".to_owned(), text("!"));
        let mut this = Preprocessor {
            host,
            source: Source::new(host, options, copy),
            config_id: config_id.to_owned(),
            definitions,
            queues: Vec::new(),
            out: VecDeque::new(),
            open_definition: None,
            random: u64::from(seed),
            made: 0,
            ended: false,
            copy,
            differs: false,
        };
        let faults = this.source.open(&options.file, Check::MAIN);
        this.say_faults(faults, Span::default());
        this.sync_queues();
        this
    }

    /// The next piece; [`Piece::End`] at the end, and ever after.
    pub fn next_piece(&mut self) -> Piece {
        loop {
            if let Some(piece) = self.out.pop_front() {
                return piece;
            }
            if self.ended {
                return Piece::End;
            }
            match self.queues.last_mut().and_then(VecDeque::pop_front) {
                Some(Pending::Text { text, at, exact }) => self.line(Zeroizing::new(text), at, exact),
                Some(Pending::Each { values, rest, at }) => self.each(values, rest, at),
                None => self.read(),
            }
        }
    }

    /// Sets what later plain includes check (`include_check`).
    pub fn set_check(&mut self, check: Check) {
        self.source.set_check(check);
    }

    /// What plain includes check now.
    pub fn check(&self) -> Check {
        self.source.check()
    }

    /// The later processes read something else than the first one.
    pub fn differs(&self) -> bool {
        self.differs || self.source.had_unended_line()
    }

    /// Files read, and the consolidated copy.
    pub fn finish(self) -> (Vec<SourceFile>, Zeroizing<String>) {
        self.source.finish()
    }

    /// The file that was read although it is executable.
    pub fn executable(&self) -> Option<&str> {
        self.source.executable()
    }

    /// Files read so far.
    pub fn files(&self) -> &[SourceFile] {
        self.source.files()
    }

    fn sync_queues(&mut self) {
        self.queues.truncate(self.source.depth());
        while self.queues.len() < self.source.depth() {
            self.queues.push(VecDeque::new());
        }
    }

    fn read(&mut self) {
        let mut faults = Vec::new();
        let next = self.source.next(&mut faults);
        match next {
            Next::Line(raw) => {
                self.say_faults(faults, raw.at);
                self.raw(raw.text, raw.at);
            }
            Next::FileEnd => {
                self.say_faults(faults, Span::default());
                // The next match of the same pattern takes the queue's place: it is empty here.
                self.queues.pop();
                self.sync_queues();
            }
            Next::End => {
                self.ended = true;
                if let Some((name, _, at)) = self.open_definition.take() {
                    let text = format!("Multi-line definition of {name} is not ended");
                    self.note(Class::General, at, text.clone(), Some(text));
                }
            }
        }
    }

    /// A line of a file: comments go, multi-line definitions are collected.
    fn raw(&mut self, text: String, at: Span) {
        let text = Zeroizing::new(text);
        let mut bare = decomment(&text);
        if self.copy
            && let Some(line) = bare.text.strip_suffix('\\')
        {
            // The copy has a continuation mark right behind the text.
            bare.text = Zeroizing::new(format!("{}\\", line.trim_end_matches(lexer::is_blank)));
        }
        if let Some(quote) = bare.unterminated {
            self.note(
                Class::UnmatchedQuote,
                at,
                format!("Unterminated quote '{}'", masked(&quote)),
                Some(format!("Unterminated quote '{}'", masked(&bare.text))),
            );
        }
        let at = Span {
            column: at.column + u32::try_from(bare.indent).unwrap_or(0),
            length: u32::try_from(bare.text.len()).unwrap_or(0),
            ..at
        };
        self.source.keep(&bare.text);
        if let Some((name, mut lines, begin)) = self.open_definition.take() {
            if bare.text.is_empty() {
                // An empty line ends the definition; a comment does not, until it has become one.
                if bare.indent == text.len() || self.copy {
                    self.define(name, lines);
                } else {
                    self.differs = true;
                    self.open_definition = Some((name, lines, begin));
                }
                return;
            }
            match bare.text.strip_suffix('\\') {
                Some(line) => {
                    let line = line.trim_end_matches(lexer::is_blank);
                    if !line.is_empty() {
                        lines.push(line.to_owned());
                    }
                    self.open_definition = Some((name, lines, begin));
                }
                None => {
                    lines.push(bare.text.to_string());
                    self.define(name, lines);
                }
            }
            return;
        }
        if !bare.text.is_empty() {
            // `\#` and `\!` are a byte shorter now: what follows them has no exact column.
            let exact = text.get(bare.indent..bare.indent + bare.text.len()) == Some(&bare.text);
            self.line(bare.text, at, exact);
        }
    }

    /// A line without comment, from a file, a definition or a sequence.
    fn line(&mut self, mut text: Zeroizing<String>, mut at: Span, mut exact: bool) {
        let mut substituted = false;
        for round in 0.. {
            // `@ID rest` and `@^ID rest`
            if let Some(condition) = text.strip_prefix('@') {
                let (wanted, negated) = match condition.strip_prefix('^') {
                    Some(id) => (id, true),
                    None => (condition, false),
                };
                let end = wanted.find(lexer::is_blank).unwrap_or(wanted.len());
                let (id, rest) = wanted.split_at(end);
                let rest = rest.trim_start_matches(lexer::is_blank);
                if rest.is_empty() || (id == self.config_id) == negated {
                    return;
                }
                if exact {
                    let taken = u32::try_from(text.len() - rest.len()).unwrap_or(0);
                    at.column += taken;
                    at.length = at.length.saturating_sub(taken);
                }
                text = Zeroizing::new(rest.to_owned());
                continue;
            }
            // What a substitution puts at the front is no definition or sequence any more.
            let fresh = !substituted && (self.definition(&text, at) || self.sequence(&text, at));
            if fresh || self.include(&text, at) {
                return;
            }
            if round >= MOST_ROUNDS || !text.contains('$') {
                break;
            }
            let Some((changed, more)) = self.substitute(&text, at) else {
                break;
            };
            if changed.len() > MAX_LINE {
                let text = masked(&text);
                let text =
                    format!("Parameter substitution on line '{text}' would exceed maximum line length");
                self.note(Class::General, at, text.clone(), Some(text));
                return;
            }
            exact = false;
            substituted = true;
            if !more.is_empty() {
                self.made += more.len();
                if let Some(queue) = self.queues.last_mut() {
                    for line in more.into_iter().rev() {
                        queue.push_front(Pending::Text {
                            text: line,
                            at,
                            exact: false,
                        });
                    }
                }
            }
            let bare = decomment(&Zeroizing::new(changed));
            if let Some(quote) = bare.unterminated {
                let text = format!("Unterminated quote '{}'", masked(&quote));
                self.note(Class::UnmatchedQuote, at, text.clone(), Some(text));
            }
            text = bare.text;
            if text.is_empty() || self.too_many(at) {
                return;
            }
        }

        let mut parts = Vec::new();
        lexer::split(&text, at, exact, &mut parts);
        for part in parts {
            match part {
                Part::Line(line) => self.out.push_back(Piece::Line(line)),
                Part::UnmatchedQuote(text) => {
                    let text = format!("Unmatched quote: '{}'", masked(&text));
                    self.note(Class::UnmatchedQuote, at, text.clone(), Some(text));
                }
            }
        }
    }

    /// `include` and its kin.
    fn include(&mut self, text: &str, at: Span) -> bool {
        let Some(rest) = text.strip_prefix("include") else {
            return false;
        };
        let end = rest.find(lexer::is_blank).unwrap_or(rest.len());
        let (kind, pattern) = rest.split_at(end);
        let mut check = self.source.check();
        match kind {
            "" => {}
            "r" => check.read = true,
            "m" => (check.read, check.matches) = (true, true),
            "w" => (check.read, check.matches, check.wildcard) = (true, true, true),
            "b" => (check.read, check.brace) = (true, true),
            "a" => check = Check::ALL,
            _ => return false,
        }
        let pattern = pattern.trim_matches(lexer::is_blank);
        if pattern.is_empty() {
            return false;
        }
        let faults = self.source.open(pattern, check);
        self.say_faults(faults, at);
        self.sync_queues();
        true
    }

    fn say_faults(&mut self, faults: Vec<FileFault>, at: Span) {
        for fault in faults {
            self.out.push_back(Piece::Note(Note {
                class: fault.class,
                span: at,
                text: fault.text,
                again: None,
                fatal: fault.fatal,
            }));
        }
    }

    fn note(&mut self, class: Class, span: Span, text: String, again: Option<String>) {
        self.out.push_back(Piece::Note(Note {
            class,
            span,
            text,
            again,
            fatal: false,
        }));
    }
}
