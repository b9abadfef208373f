//! The block engine: lines to keywords in blocks, and keepalived's recovery when braces are wrong.
//!
//! It is fed one logical line after the other and keeps a stack of open blocks. What it does with a brace
//! that is missing or too many is exactly what keepalived does, so that the running configuration is the
//! same.

use super::diagnostic::{Class, Pass, Span};
use super::keyword::{Area, BlockId, Keyword, Kind, Table};
use super::line::{Line, Word};
use super::read::{Context, Flow, Section};
use super::secret::masked;

/// The readers of the parts.
pub struct Sections<'a> {
    /// `global_defs` and what stands beside it.
    pub globals: &'a mut dyn Section,
    /// VRRP, tracked files and processes.
    pub vrrp: &'a mut dyn Section,
    /// Virtual servers.
    pub lvs: &'a mut dyn Section,
    /// BFD.
    pub bfd: &'a mut dyn Section,
}

/// An open block.
struct Frame {
    keyword: &'static Keyword,
    /// `{` has not come yet.
    awaits_brace: bool,
}

/// Passing over a block that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    No,
    /// The block begins if the next line is `{`.
    Perhaps,
    /// Within that many braces.
    Inside(u32),
}

/// A keyword whose effect this version does not have, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    keyword: &'static Keyword,
    /// The first line that has it.
    text: String,
    /// How often it stands in the file.
    times: usize,
}

impl Later {
    /// One line for the log.
    pub fn line(&self) -> String {
        match self.times {
            1 => format!("{}: not yet acted on", self.text),
            n => format!("{} and {} more: not yet acted on", self.text, n - 1),
        }
    }
}

/// The engine of one read.
pub struct Engine<'a> {
    table: &'static Table,
    sections: Sections<'a>,
    later: &'a mut Vec<Later>,
    stack: Vec<Frame>,
    skip: Skip,
    /// The end of what is skipped ends the block around it too.
    leave: bool,
    /// Braces open in the text, whatever the stack thinks.
    depth: u32,
}

impl<'a> Engine<'a> {
    /// At the top of the file.
    pub fn new(sections: Sections<'a>, later: &'a mut Vec<Later>) -> Self {
        Engine {
            table: Table::get(),
            sections,
            later,
            stack: Vec::new(),
            skip: Skip::No,
            leave: false,
            depth: 0,
        }
    }

    /// Takes one line. [`Flow::Missing`]: reading ends here.
    pub fn line(&mut self, line: &Line, context: &mut Context) -> Flow {
        let Some(first) = line.words.first() else {
            return Flow::Continue;
        };
        context.here = line.span;
        let opens = !first.quoted && first.text == "{";
        let closes = !first.quoted && first.text == "}";
        if opens {
            self.depth += 1;
        } else if closes {
            match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => {
                    context
                        .complain(Class::UnexpectedEnd, "Extra '}' found")
                        .help("more blocks are closed here than are open");
                }
            }
        }

        if let Some(Frame {
            keyword,
            awaits_brace,
        }) = self.stack.last_mut()
            && keyword.kind != Kind::Block
        {
            let list = *keyword;
            if std::mem::take(awaits_brace) && opens {
                return Flow::Continue;
            }
            if closes {
                self.close(context);
                return Flow::Continue;
            }
            return self.entry(list, line, context);
        }

        match self.skip {
            Skip::No => {}
            Skip::Perhaps if opens => {
                self.skip = Skip::Inside(1);
                return Flow::Continue;
            }
            Skip::Perhaps => {
                self.skip = Skip::No;
                self.leave = false;
            }
            Skip::Inside(depth) => {
                self.skip = match (opens, closes) {
                    (true, _) => Skip::Inside(depth + 1),
                    (_, true) if depth <= 1 => {
                        if std::mem::take(&mut self.leave) {
                            self.close(context);
                        }
                        Skip::No
                    }
                    (_, true) => Skip::Inside(depth - 1),
                    _ => self.skip,
                };
                return Flow::Continue;
            }
        }

        let awaits = self
            .stack
            .last_mut()
            .is_some_and(|f| std::mem::take(&mut f.awaits_brace));
        if awaits {
            if opens {
                return Flow::Continue;
            }
            let name = self.stack.last().map_or("", |f| f.keyword.name);
            context
                .complain(
                    Class::MissingBlock,
                    "Missing '{' at beginning of configuration block",
                )
                .help(format!("write `{{` after `{name}`"));
        } else if opens {
            context
                .complain(Class::UnexpectedBlock, "Unexpected '{' - ignoring")
                .help("no block begins here; the `}` that belongs to it closes the block around it");
            return Flow::Continue;
        }
        if closes && !self.stack.is_empty() {
            self.close(context);
            return Flow::Continue;
        }
        self.keyword(line, first, context)
    }

    /// The text has ended: blocks that are open are closed as they are.
    pub fn end(&mut self, context: &mut Context) {
        context.here = Span::default();
        while !self.stack.is_empty() {
            self.close(context);
        }
        if self.depth > 0 {
            context
                .diagnostics
                .general(
                    Class::MissingEnd,
                    format!("There are {} missing '}}'s or extra '{{'s", self.depth),
                )
                .help("a block is not closed");
        }
    }

    /// The readers, once the text has ended.
    pub fn into_sections(self) -> Sections<'a> {
        self.sections
    }

    fn keyword(&mut self, line: &Line, first: &Word, context: &mut Context) -> Flow {
        let block = self
            .stack
            .last()
            .and_then(|f| f.keyword.opens)
            .unwrap_or(BlockId::ROOT);
        let Some(keyword) = self.table.find(block, &first.text) else {
            unknown(self.table, block, first, context);
            return Flow::Continue;
        };
        if block == BlockId::ROOT && !active(keyword, context.pass) {
            self.skip = Skip::Perhaps;
            return Flow::Continue;
        }
        if matches!(keyword.kind, Kind::Lines | Kind::Words)
            && !keyword.arguments.starts_with("<name>")
            && let Some(extra) = line.words.get(1)
        {
            context.diagnostics.at(
                Class::General,
                line.span,
                format!("Block {} has extra parameters {} ...", keyword.name, extra.text),
            );
        }
        if !keyword.effective && owner(keyword.area) == context.pass {
            self.remember(keyword, line);
        }
        let flow = self.call(keyword, context, |s, c| s.keyword(keyword, line, c));
        if keyword.kind == Kind::Value {
            if flow == Flow::SkipBlock {
                self.skip = Skip::Perhaps;
                return Flow::Continue;
            }
            return flow;
        }
        match flow {
            Flow::Continue => self.stack.push(Frame {
                keyword,
                awaits_brace: true,
            }),
            Flow::SkipBlock => {
                self.skip = Skip::Perhaps;
                // After a list that it skips, keepalived leaves the block around it too.
                self.leave = keyword.kind != Kind::Block;
            }
            Flow::Missing => {}
        }
        if flow == Flow::Missing {
            Flow::Missing
        } else {
            Flow::Continue
        }
    }

    fn remember(&mut self, keyword: &'static Keyword, line: &Line) {
        if self.stack.iter().any(|f| !f.keyword.effective) {
            return;
        }
        match self.later.iter_mut().find(|l| l.keyword == keyword) {
            Some(later) => later.times += 1,
            None => self.later.push(Later {
                keyword,
                text: masked(&line.raw).into_owned(),
                times: 1,
            }),
        }
    }

    fn entry(&mut self, list: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        if list.kind == Kind::Lines {
            return self.call(list, context, |s, c| s.entry(list, line, c));
        }
        for word in &line.words {
            let single = Line {
                words: vec![word.clone()],
                raw: word.text.clone(),
                span: word.span,
            };
            if self.call(list, context, |s, c| s.entry(list, &single, c)) == Flow::Missing {
                return Flow::Missing;
            }
        }
        Flow::Continue
    }

    fn close(&mut self, context: &mut Context) {
        if let Some(frame) = self.stack.pop() {
            self.call(frame.keyword, context, |s, c| s.end(frame.keyword, c));
        }
    }

    /// Calls the reader of a keyword. BFD instances are read by three processes; only BFD's own tells what
    /// is wrong with them.
    fn call<R>(
        &mut self,
        keyword: &'static Keyword,
        context: &mut Context,
        f: impl FnOnce(&mut dyn Section, &mut Context) -> R,
    ) -> R {
        let section: &mut dyn Section = match keyword.area {
            Area::Global | Area::Parser => self.sections.globals,
            Area::Vrrp | Area::Process => self.sections.vrrp,
            Area::Check => self.sections.lvs,
            Area::Bfd => self.sections.bfd,
        };
        context.diagnostics.muted = keyword.area == Area::Bfd && context.pass != Pass::Bfd;
        let result = f(section, context);
        context.diagnostics.muted = false;
        result
    }
}

/// The process that a part of the language is for.
fn owner(area: Area) -> Pass {
    match area {
        Area::Global | Area::Parser => Pass::Parent,
        Area::Vrrp | Area::Process => Pass::Vrrp,
        Area::Check => Pass::Checker,
        Area::Bfd => Pass::Bfd,
    }
}

/// Whether a process reads a keyword at the top of the file.
fn active(keyword: &Keyword, pass: Pass) -> bool {
    match (keyword.area, pass) {
        (Area::Global, Pass::Parent)
        | (Area::Vrrp | Area::Process, Pass::Vrrp)
        | (Area::Check, Pass::Checker)
        | (Area::Bfd, Pass::Checker | Pass::Vrrp | Pass::Bfd) => true,
        (Area::Vrrp, Pass::Checker) => matches!(keyword.name, "track_file" | "vrrp_track_file"),
        _ => false,
    }
}

fn unknown(table: &'static Table, block: BlockId, word: &Word, context: &mut Context) {
    let diagnostic = context.diagnostics.at(
        Class::UnknownKeyword,
        context.here,
        format!("Unknown keyword '{}'", word.text),
    );
    if let Some(span) = diagnostic.span.as_mut() {
        *span = word.span;
    }
    if word.text == "}" {
        diagnostic.help("no block is open here");
    } else if let Some(near) = table.nearest(block, &word.text) {
        diagnostic.help(format!("did you mean `{}`?", near.name));
    } else if let Some(other) = table.elsewhere(&word.text).next() {
        diagnostic.help(format!(
            "`{}` belongs into {}, here is {}",
            word.text,
            place(other.block),
            place(table.block_name(block))
        ));
    }
}

fn place(block: &str) -> String {
    match block {
        "(root)" => "the top of the file".to_owned(),
        path => format!("`{}`", path.replace('/', " { ")),
    }
}
