//! `notify_up`, `notify_down`, `quorum_up`, `quorum_down`.

use super::{Class, Context, Line};
use crate::config::read::script;
use crate::model::Command;

/// Reads a script: the command in one quoted string, then perhaps a user and a group. The first of a kind
/// wins; `owner` is whose it is.
pub(super) fn script(line: &Line, owner: &str, slot: &mut Option<Command>, context: &mut Context) {
    let keyword = line.text(0).unwrap_or_default();
    let Ok(words) = script::words(line, context) else {
        return;
    };
    let Some(whole) = words.first() else {
        return;
    };
    if slot.is_some() {
        let text = format!("({owner}) {keyword} script already specified - ignoring {whole}");
        context
            .diagnostics
            .at(Class::General, line.span_of(1), text)
            .help("the first one in the file is used");
        return;
    }
    let identity = match words.get(1) {
        None => script::default_identity(context),
        Some(user) => {
            let identity = script::named_identity(user, words.get(2).map(String::as_str), context);
            if identity.is_none() {
                let text = format!("Invalid user/group for {keyword} script {whole} - ignoring");
                context
                    .diagnostics
                    .hint(Some(line.span_of(2)), text)
                    .help("there is no such user or group on this host; quote the command if these words belong to it");
            }
            identity
        }
    };
    let Some(identity) = identity else {
        return;
    };
    if let Ok(mut command) = script::split(whole, context) {
        command.identity = identity;
        *slot = Some(command);
    }
}
