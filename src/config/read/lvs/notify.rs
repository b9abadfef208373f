//! `notify_up`, `notify_down`, `quorum_up`, `quorum_down`.

use super::{Class, Context, Line};
use crate::config::lexer::{Escapes, shell_words};
use crate::model::{Command, Identity};

/// Reads a script: the command in one quoted string, then perhaps a user and a group. The first of a kind
/// wins; `owner` is whose it is.
pub(in super::super) fn script(line: &Line, owner: &str, slot: &mut Option<Command>, context: &mut Context) {
    let keyword = line.text(0).unwrap_or_default();
    let words = match line.arguments(Escapes::Keep) {
        Ok(words) => words,
        Err(error) => {
            context.complain(Class::UnmatchedQuote, error.to_string());
            return;
        }
    };
    let Some(whole) = words.first() else {
        return;
    };
    if slot.is_some() {
        let text = format!("({owner}) {keyword} script already specified - ignoring {whole}");
        context.diagnostics.at(Class::General, line.span_of(1), text);
        return;
    }
    let argv = match shell_words(whole, Escapes::Plain) {
        Ok(argv) if !argv.is_empty() => argv,
        Ok(_) => return,
        Err(error) => {
            context.complain(Class::UnmatchedQuote, error.to_string());
            return;
        }
    };
    let Some(identity) = identity(words.get(1), words.get(2), context) else {
        let text = format!("Invalid user/group for {keyword} script {whole} - ignoring");
        context.diagnostics.at(Class::General, line.span_of(2), text);
        return;
    };
    *slot = Some(Command {
        argv,
        identity,
        ..Command::default()
    });
}

/// Who runs a script: as named, else `script_user`, else this process's user.
pub(in super::super) fn identity(
    user: Option<&String>,
    group: Option<&String>,
    context: &Context,
) -> Option<Identity> {
    let Some(user) = user else {
        let (uid, gid) = context.host.identity();
        return Some(
            context
                .config
                .globals
                .script_user
                .unwrap_or(Identity { uid, gid }),
        );
    };
    let (uid, primary) = context.host.user(user)?;
    let gid = match group {
        None => primary,
        Some(group) => context.host.group(group)?,
    };
    Some(Identity { uid, gid })
}
