//! Scripts of start and stop, and the user and the safety of all scripts.

use super::say;
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::field::seconds;
use crate::config::read::{Context, Flow, script};

pub(super) fn scripts(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "startup_script" | "shutdown_script" => {
            let kind = name.trim_end_matches("_script");
            let already = match kind {
                "startup" => context.config.globals.startup_script.is_some(),
                _ => context.config.globals.shutdown_script.is_some(),
            };
            if already {
                let text = format!("{kind} script already specified - ignoring");
                say(line, text, context);
                return Some(Flow::Continue);
            }
            let command = script::command_line(line, context).ok();
            let identity = script::default_identity(context);
            match (command, identity) {
                (Some(mut command), Some(identity)) => {
                    command.identity = identity;
                    let globals = &mut context.config.globals;
                    match kind {
                        "startup" => globals.startup_script = Some(command),
                        _ => globals.shutdown_script = Some(command),
                    }
                }
                _ => say(line, format!("Invalid {kind} script"), context),
            }
        }
        "startup_script_timeout" | "shutdown_script_timeout" => match seconds(line, 1, 1, 1000, context) {
            Some(time) if name == "startup_script_timeout" => {
                context.config.globals.startup_script_timeout = time;
            }
            Some(time) => context.config.globals.shutdown_script_timeout = time,
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("{name} '{value}' must be in [1, 1000] - ignoring");
                say(line, text, context);
            }
        },
        "script_user" => {
            if line.words.len() < 2 {
                say(line, "No script username specified", context);
                return Some(Flow::Continue);
            }
            match script::identity(line, 1, context) {
                Some(identity) => {
                    context.config.globals.script_user = Some(identity);
                    context.shared.script_user_failed = false;
                }
                None => {
                    context
                        .diagnostics
                        .at(
                            Class::General,
                            line.span_of(1),
                            "Error setting global script uid/gid",
                        )
                        .help("there is no such user or group on this host; scripts that have no `user` of their own are removed");
                    context.shared.script_user_failed = true;
                }
            }
        }
        "enable_script_security" => context.config.globals.script_security = true,
        _ => return None,
    }
    Some(Flow::Continue)
}
