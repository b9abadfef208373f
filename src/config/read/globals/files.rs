//! Files and directories: reloading, saving and dumping.

use super::{invalid, on_off, once, word};
use crate::config::line::Line;
use crate::config::read::field::u32_in;
use crate::config::read::{Context, Flow};

pub(super) fn files(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "reload_check_config" => context.config.globals.reload_check_config = Some(word(line)),
        "reload_time_file" => return once(|g| &mut g.reload_time_file, line, context),
        "reload_repeat" => context.config.globals.reload_repeat = true,
        "reload_file" => context.config.globals.reload_file = Some(word(line)),
        "config_save_dir" => return once(|g| &mut g.config_save_dir, line, context),
        "tmp_config_directory" => return once(|g| &mut g.tmp_config_directory, line, context),
        "data_use_instance" => {
            let message = "Invalid value for data_use_instance specified".to_owned();
            if let Some(on) = on_off(line, message, context) {
                context.config.globals.data_use_instance = on;
            }
        }
        "json_version" => match u32_in(line, 1, 1, 2, context) {
            Some(n) => context.config.globals.json_version = n,
            None => invalid(line, "Invalid json_version", context),
        },
        "iproute_usr_dir" => return once(|g| &mut g.iproute_usr_dir, line, context),
        "iproute_etc_dir" => return once(|g| &mut g.iproute_etc_dir, line, context),
        "state_dump_file" => return once(|g| &mut g.state_dump_file, line, context),
        "stats_dump_file" => {
            in_vain(line, "keepalived.stats", context);
            return once(|g| &mut g.stats_dump_file, line, context);
        }
        "json_dump_file" => {
            in_vain(line, "keepalived.json", context);
            return once(|g| &mut g.json_dump_file, line, context);
        }
        _ => return None,
    }
    Some(Flow::Continue)
}

/// keepalived reads the name of this dump and writes to the usual one, where clients look for it.
fn in_vain(line: &Line, usual: &str, context: &mut Context) {
    let keyword = line.text(0).unwrap_or_default();
    let text =
        format!("{keyword} has no effect, as in keepalived: the file is {usual} in the temporary directory");
    context.diagnostics.hint(Some(line.span), text);
}
