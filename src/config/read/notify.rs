//! `notify*` scripts of instances and groups.

use super::{Context, Flow, script};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::model::script::{NotifyScript, NotifyScripts};

/// Whose script it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    Instance(&'a str),
    Group(&'a str),
}

impl Owner<'_> {
    fn words(self) -> String {
        match self {
            Owner::Instance(name) => format!("({name})"),
            Owner::Group(name) => format!("vrrp group {name}:"),
        }
    }
}

/// A `notify*` keyword: one quoted string is the command with its arguments, after it user and group.
pub(super) fn keyword(
    scripts: &mut NotifyScripts,
    owner: Owner,
    keyword: &str,
    line: &Line,
    context: &mut Context,
) -> Flow {
    let field: &mut Option<NotifyScript> = match keyword {
        "notify_backup" => &mut scripts.backup,
        "notify_master" => &mut scripts.master,
        "notify_fault" => &mut scripts.fault,
        "notify_stop" => &mut scripts.stop,
        "notify_deleted" => &mut scripts.deleted,
        "notify" => &mut scripts.generic,
        "notify_master_rx_lower_pri" => &mut scripts.master_rx_lower_priority,
        _ => return Flow::Continue,
    };
    if context.parameter(line, 1).is_none() {
        return Flow::Missing;
    }
    let Ok(words) = script::words(line, context) else {
        return Flow::Continue;
    };
    let Some(whole) = words.first() else {
        return Flow::Continue;
    };
    if field.is_some() {
        context
            .diagnostics
            .at(
                Class::General,
                line.span_of(1),
                format!(
                    "{} {keyword} script already specified - ignoring {whole}",
                    owner.words()
                ),
            )
            .help("the first one in the file is used");
        return Flow::Continue;
    }
    let identity = match words.get(1) {
        Some(user) => {
            let group = words.get(2).map(String::as_str);
            match script::named_identity(user, group, context) {
                Some(identity) => Some(identity),
                None => {
                    context
                        .diagnostics
                        .hint(
                            Some(line.span_of(2)),
                            format!("Invalid user/group for {keyword} script {whole} - ignoring"),
                        )
                        .help("there is no such user or group on this host; quote the command if these words belong to it");
                    return Flow::Continue;
                }
            }
        }
        None => script::default_identity(context),
    };
    let Some(identity) = identity else {
        return Flow::Continue;
    };
    if let Ok(mut command) = script::split(whole, context) {
        command.identity = identity;
        *field = Some(command);
    }
    Flow::Continue
}
