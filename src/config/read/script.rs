//! Commands: their words, who runs them, and whether it is safe to run them.

use super::Context;
use crate::config::diagnostic::Class;
use crate::config::host::FileStatus;
use crate::config::lexer::{Escapes, shell_words};
use crate::config::line::Line;
use crate::model::{Command, Identity};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Who runs scripts when nothing says so: `script_user`, else the user keepalived_script, else the process.
/// Without security, that is; with it there must be one. `None`: there is none, said once.
pub fn default_identity(context: &mut Context) -> Option<Identity> {
    if let Some(identity) = context.config.globals.script_user {
        return Some(identity);
    }
    if context.shared.script_user_failed {
        return None;
    }
    let identity = match context.host.user("keepalived_script") {
        Some((uid, gid)) => Identity { uid, gid },
        None if context.config.globals.script_security => {
            context
                .complain(
                    Class::General,
                    "Unable to set default user keepalived_script for script",
                )
                .help(
                    "make the user (`useradd --system --no-create-home --shell /usr/sbin/nologin keepalived_script`) or name one with `script_user`",
                );
            context.shared.script_user_failed = true;
            return None;
        }
        None => {
            let (uid, gid) = context.host.identity();
            Identity { uid, gid }
        }
    };
    context.config.globals.script_user = Some(identity);
    Some(identity)
}

/// A user and perhaps a group by name (numbers are names too); complaints are made.
pub fn identity(line: &Line, index: usize, context: &mut Context) -> Option<Identity> {
    let user = line.text(index)?;
    named_identity(user, line.text(index + 1), context)
}

/// As [`identity`], from names.
pub fn named_identity(user: &str, group: Option<&str>, context: &mut Context) -> Option<Identity> {
    let (uid, primary) = context
        .host
        .user(user)
        .or_else(|| user.parse().ok().map(|uid| (uid, uid)))?;
    let gid = match group {
        None => primary,
        Some(name) => context.host.group(name).or_else(|| name.parse().ok())?,
    };
    Some(Identity { uid, gid })
}

/// Why a line has no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCommand {
    /// No words.
    Missing,
    /// Quotes are wrong; said.
    Quotes,
}

/// The command of `script`, `misc_path`, `startup_script`: the words of the line are the command and its
/// arguments, or one quoted string is all of them.
pub fn command_line(line: &Line, context: &mut Context) -> Result<Command, NoCommand> {
    let words = words(line, context)?;
    match &words[..] {
        [] => Err(NoCommand::Missing),
        [whole] => split(whole, context),
        _ => Ok(Command {
            argv: words,
            ..Command::default()
        }),
    }
}

/// The words of a line by the rules of quoted commands, backslashes kept.
pub fn words(line: &Line, context: &mut Context) -> Result<Vec<String>, NoCommand> {
    line.arguments(Escapes::Keep).map_err(|error| {
        context.complain(Class::UnmatchedQuote, error.to_string());
        NoCommand::Quotes
    })
}

/// One string to a command.
pub fn split(whole: &str, context: &mut Context) -> Result<Command, NoCommand> {
    let shell = whole.contains(['|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '~']);
    let argv = shell_words(whole, Escapes::Plain).map_err(|error| {
        context.complain(Class::UnmatchedQuote, error.to_string());
        NoCommand::Quotes
    })?;
    if argv.is_empty() {
        return Err(NoCommand::Missing);
    }
    Ok(Command {
        argv: if shell { vec![whole.to_owned()] } else { argv },
        shell,
        ..Command::default()
    })
}

/// The program of a command: what is looked at for security.
pub fn program(command: &Command) -> &str {
    let first = command.argv.first().map_or("", String::as_str);
    if command.shell {
        first.split_whitespace().next().unwrap_or_default()
    } else {
        first
    }
}

/// What a look at a command's path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Safe,
    /// It runs as root and somebody else may change it.
    Insecure,
    /// A directory of its path is a symbolic link: keepalived does not run it, we do.
    Linked,
    /// It is not there, or nobody may run it.
    Unusable,
    /// A redirection for a shell: there is no program to look at.
    Unknown,
}

/// Where PATH is not set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Looks at the path of a command: that the program exists and can be run by its user, and, if it is run as
/// root, that nobody but root can change it. A name without `/` is looked for in PATH.
pub fn inspect(command: &mut Command, context: &mut Context) -> Verdict {
    let name = program(command).to_owned();
    if name.is_empty() {
        return Verdict::Unusable;
    }
    if name.starts_with('<') {
        return Verdict::Unknown;
    }
    let path = if name.contains('/') {
        context.host.current_directory().join(&name)
    } else {
        match search(&name, context) {
            Some(path) => {
                context.diagnostics.hint(
                    None,
                    format!(
                        "WARNING - script `{name}` resolved by path search to `{}`. Please specify full path.",
                        path.display()
                    ),
                );
                path
            }
            None => {
                return Verdict::Unusable;
            }
        }
    };
    let Ok(status) = context.host.status(&path, true) else {
        return Verdict::Unusable;
    };
    if !status.regular {
        return Verdict::Unusable;
    }
    let Identity { uid, gid } = command.identity;
    let executable = if uid == 0 {
        status.mode & 0o111 != 0
    } else if uid == status.uid {
        status.mode & 0o100 != 0
    } else if gid == status.gid {
        status.mode & 0o010 != 0
    } else {
        status.mode & 0o001 != 0
    };
    if !executable {
        let text = format!(
            "WARNING - script '{}' is not executable for uid:gid {uid}:{gid} - disabling.",
            name
        );
        context
            .diagnostics
            .general(Class::Warning, text)
            .help(format!("mend it with `chmod a+x {}`", path.display()));
        return Verdict::Unusable;
    }
    if linked_directory(&path, context) {
        return Verdict::Linked;
    }
    if uid != 0 && gid != 0 {
        return Verdict::Safe;
    }
    match weak_component(&path, context) {
        None => Verdict::Safe,
        Some(weakness) => {
            command.insecure = true;
            let disabled = context.config.globals.script_security;
            context
                .diagnostics
                .general(
                    Class::Security,
                    format!(
                        "Unsafe permissions found for script '{name}'{}",
                        if disabled { " - disabling." } else { "." }
                    ),
                )
                .help(weakness);
            Verdict::Insecure
        }
    }
}

/// Whether a directory on the way to a program is a symbolic link.
fn linked_directory(path: &Path, context: &Context) -> bool {
    path.ancestors()
        .skip(1)
        .filter(|d| d.as_os_str().len() > 1)
        .any(|d| context.host.status(d, false).is_ok_and(|s| s.symlink))
}

/// Looks at many commands, each program once.
#[derive(Debug, Default)]
pub(super) struct Inspection {
    seen: BTreeMap<(String, u32, u32), (Verdict, Option<String>)>,
    running: bool,
    insecure: bool,
}

impl Inspection {
    /// Looks at one, and disables it where it must not run.
    pub(super) fn look(&mut self, command: &mut Command, context: &mut Context) -> Verdict {
        let key = (
            program(command).to_owned(),
            command.identity.uid,
            command.identity.gid,
        );
        let (verdict, path) = self.seen.entry(key).or_insert_with_key(|(program, ..)| {
            let verdict = inspect(command, context);
            (verdict, real_path(program, context))
        });
        let verdict = *verdict;
        if let (Some(path), Some(program)) = (path, command.argv.first_mut())
            && !command.shell
            && path != program
        {
            command.called = Some(std::mem::replace(program, path.clone()));
        }
        match verdict {
            Verdict::Safe | Verdict::Linked => self.running = true,
            Verdict::Insecure => {
                self.running = true;
                self.insecure = true;
                command.insecure = true;
                command.disabled = context.config.globals.script_security;
            }
            Verdict::Unusable => command.disabled = true,
            Verdict::Unknown => {}
        }
        verdict
    }

    /// keepalived's line when scripts run without `enable_script_security`. `what` is empty or `check `.
    pub(super) fn finish(&self, what: &str, context: &mut Context) {
        if !self.running || context.config.globals.script_security {
            return;
        }
        let insecure = if self.insecure {
            " There are insecure scripts."
        } else {
            ""
        };
        let text = format!(
            "SECURITY VIOLATION - {what}scripts are being executed but script_security not enabled.{insecure}"
        );
        context
            .diagnostics
            .general(Class::Security, text)
            .help("set `enable_script_security` in global_defs, and `script_user` to a user of its own");
    }
}

fn search(name: &str, context: &Context) -> Option<PathBuf> {
    let path = context
        .host
        .environment("PATH")
        .unwrap_or_else(|| DEFAULT_PATH.to_owned());
    path.split(':')
        .filter(|d| !d.is_empty())
        .map(|d| Path::new(d).join(name))
        .find(|candidate| {
            context
                .host
                .status(candidate, true)
                .is_ok_and(|s| s.regular && s.mode & 0o111 != 0)
        })
}

/// Where the links of a program's path lead; a last one that stays in its directory is kept (`sh` for `dash`). `None`:
/// nowhere, or they all stay (`use_symlink_paths`).
fn real_path(program: &str, context: &Context) -> Option<String> {
    if context.config.globals.use_symlink_paths || program.is_empty() {
        return None;
    }
    let path = if program.contains('/') {
        context.host.current_directory().join(program)
    } else {
        search(program, context)?
    };
    let end = |path: &Path| follow(path, context, |_, _| None::<()>).ok();
    let (real, directory) = (end(&path)?, end(path.parent()?)?);
    let kept = (real.parent() == Some(&directory))
        .then(|| path.file_name())
        .flatten();
    let shown = kept.map_or_else(|| real.clone(), |name| directory.join(name));
    shown.to_str().map(str::to_owned)
}

/// Most symbolic links on the way to a script.
const MOST_LINKS: usize = 40;

/// Goes along a path, links followed, and shows each component that is no link to `look`, until that finds something.
/// The end of the path, or `Err` with what was found; nothing if the way does not lead anywhere.
fn follow<T>(
    path: &Path,
    context: &Context,
    look: impl Fn(&Path, &FileStatus) -> Option<T>,
) -> Result<PathBuf, Option<T>> {
    let mut todo = components(path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(next) = todo.pop() {
        if next == Path::new("..") {
            at.pop();
            continue;
        }
        let here = at.join(&next);
        let status = context.host.status(&here, false).map_err(|_| None)?;
        if !status.symlink {
            at = here;
            if let Some(found) = look(&at, &status) {
                return Err(Some(found));
            }
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(None);
        }
        let target = context.host.read_link(&here).map_err(|_| None)?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        todo.extend(components(&target));
    }
    Ok(at)
}

/// The first component of a path (links followed) that somebody other than root may change, with the
/// command that mends it.
fn weak_component(path: &Path, context: &Context) -> Option<String> {
    follow(path, context, |at, status| {
        let shown = at.display();
        if status.uid != 0 {
            return Some(format!(
                "{shown} belongs to uid {} (mode {:04o}), who may change what runs as root: mend it with `chown root {shown}`",
                status.uid,
                status.mode & 0o7777
            ));
        }
        // In a directory with the sticky bit only the owner may rename or remove.
        let sticky = status.directory && status.mode & 0o1000 != 0;
        if status.mode & 0o002 != 0 && !sticky {
            return Some(format!(
                "{shown} is writable by everybody (owner uid 0, mode {:04o}): mend it with `chmod o-w {shown}`",
                status.mode & 0o7777
            ));
        }
        if status.mode & 0o020 != 0 && status.gid != 0 && !sticky {
            return Some(format!(
                "{shown} is writable by group {} (owner uid 0, mode {:04o}): mend it with `chmod g-w {shown}`",
                status.gid,
                status.mode & 0o7777
            ));
        }
        None
    })
    .err()
    .flatten()
}

/// The components of a path, the first one last.
fn components(path: &Path) -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = path
        .components()
        .filter_map(|c| match c {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some(PathBuf::from("..")),
            _ => None,
        })
        .collect();
    list.reverse();
    list
}
