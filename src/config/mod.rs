//! keepalived.conf(5): text to model, every error pointed at its place.
//!
//! The outside (files, environment, users, interfaces, path security) is seen only through [`Host`].
//!
//! [`read()`] is the one way in, for a start, for a reload and for `--config-test` alike:
//!
//! ```
//! use keepalived_rs::config::{self, MemoryHost, ReadOptions, Start};
//!
//! let mut host = MemoryHost::default();
//! host.file("/etc/keepalived/keepalived.conf", "global_defs { router_id one }\n");
//! let reading = config::read(&host, &ReadOptions::default());
//! assert_eq!(reading.start, Start::Go);
//! assert_eq!(reading.configuration.globals.router_id, "one");
//! for diagnostic in &reading.diagnostics {
//!     println!("{}", diagnostic.log_line(&reading.files));
//! }
//! ```
//!
//! keepalived reads the file once for each of its processes, and what concerns several is said several
//! times. Here the text is preprocessed once and the lines are handed to the readers of each process in
//! turn ([`Pass`]), so that the complaints are the same ones in the same order.

pub mod block;
pub mod diagnostic;
mod foreign;
pub mod host;
pub mod keyword;
pub mod lexer;
pub mod line;
pub mod memory;
pub mod number;
mod own;
pub mod pattern;
pub mod preprocess;
pub mod read;
pub mod secret;
pub mod source;

pub use diagnostic::{Class, Diagnostic, Diagnostics, Pass, Span};
pub use host::Host;
pub use keyword::{Area, Keyword};
pub use line::{Line, Word};
pub use memory::MemoryHost;
pub use source::SourceFile;

use crate::model::Configuration;
use block::{Engine, Later};
use preprocess::{Piece, Preprocessor};
use read::{Context, Flow, Section};
use std::path::Path;
use zeroize::Zeroizing;

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/keepalived/keepalived.conf";

/// What to read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// `-f`: a file, or a pattern of several.
    pub file: String,
    /// `-i`: what `@ID` lines are compared with; the host name up to the first dot if `None`.
    pub config_id: Option<String>,
    /// `-t`: numbers with trailing garbage are errors.
    pub test: bool,
    /// `-e`: every include is checked.
    pub all_config: bool,
    /// `-u`: the umask of the command line, which wins over the file's.
    pub umask: Option<u32>,
    /// Seed of `${_RANDOM}`: the `random_seed` of the configuration before, at a reload.
    pub random_seed: Option<u32>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            file: DEFAULT_FILE.to_owned(),
            config_id: None,
            test: false,
            all_config: false,
            umask: None,
            random_seed: None,
        }
    }
}

/// What a start with the configuration would do. A reload is refused unless it is [`Start::Go`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It starts, whatever the complaints.
    Go,
    /// It ends with this exit status: 1 fatal, 2 configuration, 4 permission, 6 no configuration file.
    Exit(i32),
}

/// The result of reading.
#[derive(Debug)]
pub struct Reading {
    /// The model. It is complete only when `start` is [`Start::Go`].
    pub configuration: Configuration,
    /// Complaints in keepalived's order.
    pub diagnostics: Vec<Diagnostic>,
    /// Files read: [`Span::file`] is an index into them.
    pub files: Vec<SourceFile>,
    /// What a start would do.
    pub start: Start,
    /// Exit status of `--config-test`: 0, 2, 4, 5 or 6.
    pub test_status: i32,
    /// All files in one text, as keepalived's children read it: comments gone, line numbers kept.
    pub consolidated: Zeroizing<String>,
    /// Complaints about our own settings, and about what this host will do; no keepalived has them.
    pub advice: Vec<String>,
    later: Vec<Later>,
}

impl Reading {
    /// The model alone. The texts that it was read from go, and are wiped.
    pub fn into_configuration(self) -> Configuration {
        self.configuration
    }

    /// Keywords of the file whose effect this version does not have yet, one line each.
    pub fn not_yet(&self) -> Vec<String> {
        self.later.iter().map(Later::line).collect()
    }

    /// The complaints as keepalived's test prints them, with the process that says each.
    pub fn log_lines(&self) -> impl Iterator<Item = (Pass, String)> {
        self.diagnostics
            .iter()
            .filter(|d| !d.start_only)
            .map(|d| (d.pass, d.log_line(&self.files)))
    }
}

/// Reads a configuration.
pub fn read(host: &dyn Host, options: &ReadOptions) -> Reading {
    let config_id = options.config_id.clone().unwrap_or_else(|| {
        let name = host.host_name();
        name.split('.').next().unwrap_or_default().to_owned()
    });
    let mut diagnostics = Diagnostics::default();
    let mut configuration = Configuration::default();
    let mut later = Vec::new();
    let mut advice = own::read(host, &mut configuration.globals);
    let seed = options.random_seed.unwrap_or_else(|| host.random());
    let mut preprocessor = Preprocessor::new(host, options, &config_id, seed, false);

    let mut pieces = Vec::new();
    let mut include_failed = false;
    let mut missing = false;
    let mut no_namespace = false;
    let mut shared = read::Shared::default();
    for pass in [Pass::Parent, Pass::Checker, Pass::Vrrp, Pass::Bfd] {
        diagnostics.pass = pass;
        configuration.bfd.clear();
        if pass == Pass::Vrrp {
            configuration.files.clear();
        }
        let mut context = Context {
            host,
            diagnostics: &mut diagnostics,
            shared: &mut shared,
            options,
            test: options.test,
            config: &mut configuration,
            pass,
            here: Span::default(),
        };
        let mut readers = read::Readers::default();
        let mut engine = Engine::new(readers.sections(), &mut later);
        let outcome = if pass == Pass::Parent {
            first_pass(
                &mut preprocessor,
                &mut engine,
                &mut context,
                &mut pieces,
                &mut include_failed,
            )
        } else {
            next_pass(&pieces, &mut engine, &mut context)
        };
        if outcome == Flow::Missing {
            missing = true;
            break;
        }
        engine.end(&mut context);
        let sections = engine.into_sections();
        let owner: &mut dyn Section = match pass {
            Pass::Parent => sections.globals,
            Pass::Checker => sections.lvs,
            Pass::Vrrp => sections.vrrp,
            Pass::Bfd => sections.bfd,
        };
        owner.finish(&mut context);
        if pass == Pass::Parent {
            let files = preprocessor.files();
            if files.is_empty() {
                break;
            }
            shared.file_names = files.iter().map(|f| f.name.clone()).collect();
            if let Some(name) = missing_namespace(host, &configuration) {
                diagnostics
                    .hint(None, format!("Unable to set network namespace {name} - exiting"))
                    .help(format!(
                        "make it with `ip netns add {name}`; nothing below global_defs has been looked at"
                    ));
                no_namespace = true;
                break;
            }
            if preprocessor.differs() {
                pieces = copy(host, options, &config_id, seed);
            }
        }
    }

    advice.extend(foreign::advice(host, &configuration));
    if let Some(name) = preprocessor.executable() {
        advice.push(format!(
            "{name} may be executed: the test reads it all the same, a start does not (`chmod a-x {name}`)"
        ));
    }
    for line in &advice {
        diagnostics.hint(None, line.as_str());
    }
    let (files, consolidated) = preprocessor.finish();
    let start = if no_namespace {
        Start::Exit(0)
    } else if missing {
        Start::Exit(2)
    } else if include_failed {
        Start::Exit(6)
    } else {
        diagnostics.refusal.map_or(Start::Go, Start::Exit)
    };
    let test_status = match diagnostics.worst() {
        _ if missing => 2,
        _ if no_namespace => 0,
        Class::Ok => 0,
        Class::FileNotFound | Class::BadInterface | Class::Fatal => 4,
        Class::Security => 6,
        _ => 5,
    };
    Reading {
        configuration,
        diagnostics: diagnostics.into_list(),
        files,
        start,
        test_status,
        consolidated,
        advice,
        later,
    }
}

/// A network namespace that the configuration wants and this host does not have: keepalived ends there,
/// with status 0.
fn missing_namespace(host: &dyn Host, configuration: &Configuration) -> Option<String> {
    let name = configuration.globals.net_namespace.as_ref()?;
    let path = Path::new("/run/netns").join(name);
    host.status(&path, true).is_err().then(|| name.clone())
}

/// The lines as keepalived's later processes read them.
fn copy(host: &dyn Host, options: &ReadOptions, config_id: &str, seed: u32) -> Vec<Piece> {
    let mut preprocessor = Preprocessor::new(host, options, config_id, seed, true);
    std::iter::from_fn(|| match preprocessor.next_piece() {
        Piece::End => None,
        piece => Some(piece),
    })
    .collect()
}

/// The parent's read: the files are opened as it goes, since `include_check` decides about includes.
fn first_pass(
    preprocessor: &mut Preprocessor,
    engine: &mut Engine,
    context: &mut Context,
    pieces: &mut Vec<Piece>,
    include_failed: &mut bool,
) -> Flow {
    loop {
        let piece = preprocessor.next_piece();
        match &piece {
            Piece::End => return Flow::Continue,
            Piece::Note(note) => {
                *include_failed |= note.fatal;
                context.diagnostics.at(note.class, note.span, note.text.clone());
            }
            Piece::Line(line) => {
                let before = context.config.globals.include_check;
                if engine.line(line, context) == Flow::Missing {
                    return Flow::Missing;
                }
                let after = context.config.globals.include_check;
                if before != after {
                    preprocessor.set_check(source::Check::from_bits(after));
                }
            }
        }
        pieces.push(piece);
    }
}

/// The reads after the first, over the same lines.
fn next_pass(pieces: &[Piece], engine: &mut Engine, context: &mut Context) -> Flow {
    for piece in pieces {
        match piece {
            Piece::End => {}
            Piece::Note(note) => {
                if let Some(again) = &note.again {
                    context.diagnostics.at(note.class, note.span, again.clone());
                }
            }
            Piece::Line(line) => {
                if engine.line(line, context) == Flow::Missing {
                    return Flow::Missing;
                }
            }
        }
    }
    Flow::Continue
}
