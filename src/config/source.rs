//! Files to lines: the main pattern, includes of every kind, limits.

use super::ReadOptions;
use super::diagnostic::{Class, Span};
use super::host::Host;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// Longest line, without its end.
pub const MAX_LINE: usize = 1022;
/// Files within files: beyond this an include is an endless one.
const MAX_DEPTH: usize = 64;
/// Files read in all: includes that include each other twice grow without bound.
const MOST_FILES: usize = 10_000;

/// One file that has been read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceFile {
    /// Name as the pattern gave it: messages have this one.
    pub name: String,
    /// Text, for the marks under a complaint.
    pub text: String,
    /// It was included by another file (the parent's messages name only those).
    pub included: bool,
}

/// The text of a file, without a copy where it is UTF-8.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let bytes = Zeroizing::new(error.into_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The file may hold passwords.
impl Drop for SourceFile {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// What makes reading fail when an include goes wrong (`include_check`, and the letter of the keyword).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Check {
    /// A match is a directory, executable, unreadable, no regular file.
    pub read: bool,
    /// A pattern without wildcards has no match.
    pub matches: bool,
    /// A pattern with wildcards has no match.
    pub wildcard: bool,
    /// An alternative of `{a,b}` has no match.
    pub brace: bool,
}

impl Check {
    /// All of them.
    pub const ALL: Check = Check {
        read: true,
        matches: true,
        wildcard: true,
        brace: true,
    };
    /// Those of the main file.
    pub const MAIN: Check = Check {
        read: true,
        matches: true,
        wildcard: true,
        brace: false,
    };

    /// Bits as in [`crate::model::Globals::include_check`]: read 1, match 2, wildcard_match 4,
    /// brace_match 8.
    pub fn bits(self) -> u32 {
        u32::from(self.read)
            | u32::from(self.matches) << 1
            | u32::from(self.wildcard) << 2
            | u32::from(self.brace) << 3
    }

    /// The reverse of [`Check::bits`].
    pub fn from_bits(bits: u32) -> Check {
        Check {
            read: bits & 1 != 0,
            matches: bits & 2 != 0,
            wildcard: bits & 4 != 0,
            brace: bits & 8 != 0,
        }
    }
}

/// A line as it stands in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct RawLine {
    /// Text without its end.
    pub text: String,
    /// File and line; column 1.
    pub at: Span,
}

/// What reading one more line gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line(RawLine),
    /// A file is done.
    FileEnd,
    /// All files are done.
    End,
}

/// A complaint about files.
#[derive(Debug, PartialEq, Eq)]
pub struct FileFault {
    /// Kind.
    pub class: Class,
    /// Words.
    pub text: String,
    /// Reading fails (exit status 6 at a start).
    pub fatal: bool,
}

struct Open {
    file: u32,
    path: PathBuf,
    /// Where relative patterns start.
    directory: PathBuf,
    position: usize,
    line: u32,
    check: Check,
    /// Further matches of the pattern that led to this file.
    siblings: VecDeque<(String, PathBuf)>,
}

/// The files being read.
pub struct Source<'h> {
    host: &'h dyn Host,
    files: Vec<SourceFile>,
    stack: Vec<Open>,
    consolidated: Zeroizing<String>,
    check_all: bool,
    /// `-t`: the first file may be executable. Programs that have a file tested before they put it in its place
    /// make it so.
    test: bool,
    /// That was the case.
    executable: Option<String>,
    /// Lines are counted as in the consolidated copy, which ends every line.
    copy: bool,
    unended: bool,
}

impl<'h> Source<'h> {
    /// Nothing open yet.
    pub fn new(host: &'h dyn Host, options: &ReadOptions, copy: bool) -> Self {
        Source {
            host,
            files: Vec::new(),
            stack: Vec::new(),
            consolidated: Zeroizing::default(),
            check_all: options.all_config,
            test: options.test,
            executable: None,
            copy,
            unended: false,
        }
    }

    /// A file's last line had no end: keepalived's first read counts it with the line before.
    pub fn had_unended_line(&self) -> bool {
        self.unended
    }

    /// Opens what a pattern matches, the first file at once, the others after it.
    pub fn open(&mut self, pattern: &str, check: Check) -> Vec<FileFault> {
        let mut faults = Vec::new();
        if self.stack.len() >= MAX_DEPTH {
            faults.push(FileFault {
                class: Class::General,
                text: format!("Include of '{pattern}' is nested more than {MAX_DEPTH} deep - ignoring"),
                fatal: true,
            });
            return faults;
        }
        let check = if self.check_all { Check::ALL } else { check };
        let directory = match self.stack.last() {
            Some(open) => open.directory.clone(),
            None => self.host.current_directory(),
        };
        let mut matches = VecDeque::new();
        for alternative in braces(pattern) {
            let absolute = directory.join(&alternative);
            let found = match self.host.glob(&absolute.to_string_lossy()) {
                Ok(found) => found,
                Err(error) => {
                    faults.push(FileFault {
                        class: Class::General,
                        text: format!(
                            "Error reading config file(s): glob(\"{pattern}\") returned {error}, skipping."
                        ),
                        fatal: check.read,
                    });
                    continue;
                }
            };
            if found.is_empty() && alternative != pattern && check.brace {
                faults.push(FileFault {
                    class: Class::General,
                    text: format!("{alternative} - no matching file"),
                    fatal: true,
                });
            }
            for path in found {
                let name = if Path::new(&alternative).is_absolute() {
                    path.to_string_lossy().into_owned()
                } else {
                    let short = path.strip_prefix(&directory).unwrap_or(&path);
                    let mut short = short.to_string_lossy().into_owned();
                    if path.as_os_str().to_string_lossy().ends_with('/') && !short.ends_with('/') {
                        short.push('/');
                    }
                    short
                };
                matches.push_back((name, path));
            }
        }
        if matches.is_empty() && faults.is_empty() {
            let wild = pattern.contains(['*', '?', '[']);
            faults.push(if wild && check.wildcard {
                FileFault {
                    class: Class::FileNotFound,
                    text: format!("No config files matched '{pattern}'."),
                    fatal: check.wildcard,
                }
            } else {
                FileFault {
                    class: Class::FileNotFound,
                    text: format!("Config files missing '{pattern}'."),
                    fatal: check.matches,
                }
            });
        }
        self.open_first(matches, check.read, &mut faults);
        faults
    }

    /// The next line of the innermost file.
    pub fn next(&mut self, faults: &mut Vec<FileFault>) -> Next {
        let Some(open) = self.stack.last_mut() else {
            return Next::End;
        };
        let Some(file) = self.files.get(open.file as usize) else {
            return Next::End;
        };
        let rest = &file.text[open.position..];
        if rest.is_empty() {
            let siblings = std::mem::take(&mut open.siblings);
            let check = open.check;
            self.stack.pop();
            self.keep("!");
            self.open_first(siblings, check.read, faults);
            return Next::FileEnd;
        }
        let (mut text, mut taken) = match rest.find('\n') {
            Some(end) => (&rest[..end], end + 1),
            None => {
                self.unended = true;
                (rest, rest.len())
            }
        };
        if text.len() < taken || self.copy || open.line == 0 {
            open.line += 1;
        }
        if text.len() > MAX_LINE {
            faults.push(FileFault {
                class: Class::General,
                text: "line too long - ignoring".to_owned(),
                fatal: false,
            });
            let mut cut = MAX_LINE;
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            open.position += cut;
            open.line -= 1;
            return Next::Line(RawLine {
                text: String::new(),
                at: Span {
                    file: open.file,
                    line: open.line + 1,
                    column: 1,
                    length: 0,
                },
            });
        }
        if taken > 0 && text.contains('\0') {
            faults.push(FileFault {
                class: Class::General,
                text: "configuration appears to have embedded NULs - ignoring line".to_owned(),
                fatal: false,
            });
            text = "";
        }
        taken = taken.max(1);
        open.position += taken;
        Next::Line(RawLine {
            text: text.trim_end_matches('\r').to_owned(),
            at: Span {
                file: open.file,
                line: open.line,
                column: 1,
                length: 0,
            },
        })
    }

    /// Sets what later plain includes of this file check (`include_check`).
    pub fn set_check(&mut self, check: Check) {
        if let Some(open) = self.stack.last_mut() {
            open.check = check;
        }
    }

    /// What plain includes check here.
    pub fn check(&self) -> Check {
        self.stack.last().map(|o| o.check).unwrap_or_default()
    }

    /// Directory of the innermost file.
    pub fn directory(&self) -> PathBuf {
        match self.stack.last() {
            Some(open) => open.directory.clone(),
            None => self.host.current_directory(),
        }
    }

    /// How many files are open, one within the other.
    pub fn depth(&self) -> usize {
        self.stack.len()
    }

    /// Adds a line to the consolidated copy.
    pub fn keep(&mut self, line: &str) {
        let needed = self.consolidated.len() + line.len() + 1;
        if needed > self.consolidated.capacity() {
            // What a string leaves behind when it grows would not be wiped.
            let mut larger = Zeroizing::new(String::with_capacity(2 * needed));
            larger.push_str(&self.consolidated);
            self.consolidated = larger;
        }
        self.consolidated.push_str(line);
        self.consolidated.push('\n');
    }

    /// Files read, and the consolidated copy.
    pub fn finish(self) -> (Vec<SourceFile>, Zeroizing<String>) {
        (self.files, self.consolidated)
    }

    /// The file that was read although it is executable.
    pub fn executable(&self) -> Option<&str> {
        self.executable.as_deref()
    }

    /// Files read so far.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    fn open_first(
        &mut self,
        mut matches: VecDeque<(String, PathBuf)>,
        fatal: bool,
        faults: &mut Vec<FileFault>,
    ) {
        while let Some((name, path)) = matches.pop_front() {
            let mut fault = |text| {
                faults.push(FileFault {
                    class: Class::FileNotFound,
                    text,
                    fatal,
                });
            };
            if self.stack.iter().any(|open| open.path == path) {
                fault(format!("Configuration file '{name}' includes itself - skipping"));
                continue;
            }
            if self.files.len() >= MOST_FILES {
                fault(format!(
                    "Configuration file '{name}' is one of more than {MOST_FILES} - skipping"
                ));
                continue;
            }
            match self.host.status(&path, true) {
                Ok(status) if status.directory => {
                    fault(format!("Configuration file '{name}' is a directory - skipping"));
                    continue;
                }
                Ok(status) if self.test && status.regular && self.stack.is_empty() => {
                    if status.mode & 0o111 != 0 {
                        self.executable = Some(name.clone());
                    }
                }
                Ok(status) if !status.regular || status.mode & 0o111 != 0 => {
                    fault(format!(
                        "Configuration file '{name}' is not a regular non-executable file - skipping"
                    ));
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    fault(format!(
                        "Configuration file '{name}' open problem ({}) - skipping",
                        reason(&error)
                    ));
                    continue;
                }
            }
            let bytes = match self.host.read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    fault(format!(
                        "Configuration file '{name}' open problem ({}) - skipping",
                        reason(&error)
                    ));
                    continue;
                }
            };
            let included = !self.stack.is_empty();
            let inherited = self.check();
            self.keep(&format!("# {name}"));
            self.files.push(SourceFile {
                name,
                text: text(bytes),
                included,
            });
            self.stack.push(Open {
                file: u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX),
                directory: path.parent().map(Path::to_path_buf).unwrap_or_default(),
                path,
                position: 0,
                line: 0,
                check: if included { inherited } else { Check::default() },
                siblings: matches,
            });
            return;
        }
    }
}

/// The text of an error without Rust's number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// The alternatives of a pattern with `{a,b}`, in order; nested ones too. A pattern without is itself.
fn braces(pattern: &str) -> Vec<String> {
    const MOST: usize = 4096;
    let mut done = Vec::new();
    let mut todo = VecDeque::from([pattern.to_owned()]);
    while let Some(text) = todo.pop_front() {
        if done.len() + todo.len() > MOST {
            done.push(text);
            continue;
        }
        let Some((open, close, commas)) = first_group(&text) else {
            done.push(text);
            continue;
        };
        let mut from = open + 1;
        let mut alternatives = Vec::new();
        for end in commas.into_iter().chain([close]) {
            alternatives.push(format!(
                "{}{}{}",
                &text[..open],
                &text[from..end],
                &text[close + 1..]
            ));
            from = end + 1;
        }
        for alternative in alternatives.into_iter().rev() {
            todo.push_front(alternative);
        }
    }
    done
}

/// Place of the first complete `{...}`, and of its commas.
fn first_group(text: &str) -> Option<(usize, usize, Vec<usize>)> {
    let open = text.find('{')?;
    let mut depth = 0usize;
    let mut commas = Vec::new();
    for (i, c) in text[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some((open, open + i, commas));
                }
            }
            ',' if depth == 1 => commas.push(open + i),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives() {
        assert_eq!(braces("a{b,c{d,e}}f"), ["abf", "acdf", "acef"]);
        assert_eq!(braces("plain*"), ["plain*"]);
        assert_eq!(braces("open{a,b"), ["open{a,b"]);
        assert_eq!(braces("{}"), [""]);
    }

    #[test]
    fn bits_go_both_ways() {
        for bits in 0..16 {
            assert_eq!(Check::from_bits(bits).bits(), bits);
        }
    }
}
