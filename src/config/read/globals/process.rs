//! The processes: names, namespaces, priorities, limits, and what they take from the host.

use super::{on_off, say, word};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::field::{integer, u32_in};
use crate::config::read::{Context, Flow};
use crate::model::globals::{DynamicInterfaces, ProcessSettings};
use std::time::Duration;

/// Longest process name.
const PROCESS_NAME: usize = 15;

pub(super) fn basic(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "global_defs" => {}
        "linkbeat_use_polling" => context.config.globals.linkbeat_use_polling = true,
        "net_namespace" => {
            let value = context.parameter(line, 1).map(str::to_owned);
            let Some(value) = value else {
                return Some(Flow::Missing);
            };
            if context.config.globals.net_namespace.is_some() {
                say(
                    line,
                    format!("Duplicate net_namespace definition {value} - ignoring"),
                    context,
                );
            } else {
                context.config.globals.net_namespace = Some(value);
            }
        }
        "net_namespace_ipvs" => context.config.globals.net_namespace_ipvs = Some(word(line)),
        "namespace_with_ipsets" => context.config.globals.namespace_with_ipsets = true,
        "use_pid_dir" => context.config.globals.use_pid_dir = true,
        "instance" => match word(line) {
            None => say(line, "instance name missing - ignoring", context),
            Some(value) if context.config.globals.instance_name.is_some() => say(
                line,
                format!("Duplicate instance definition {value} - ignoring"),
                context,
            ),
            value => context.config.globals.instance_name = value,
        },
        "child_wait_time" => match u32_in(line, 1, 0, u32::MAX, context) {
            Some(n) => context.config.globals.child_wait_time = Duration::from_secs(n.into()),
            None => {
                let value = line.text(1).unwrap_or_default();
                say(line, format!("Invalid child_wait_time {value}"), context);
            }
        },
        "rs_when_removed" | "rs_guard" | "rs_deaf_link" | "rs_metrics" => {
            let value = line.text(1);
            if let Err(wrong) = crate::config::own::set(name, value, &mut context.config.globals) {
                say(line, wrong, context);
            }
        }
        "process_names" => context.config.globals.process_names = true,
        "process_name" => context.config.globals.process_name = process_name(line, context),
        "vrrp_process_name" => {
            context.config.globals.vrrp_process_name = process_name(line, context);
        }
        "lvs_process_name" | "checker_process_name" => {
            if name == "lvs_process_name" {
                context
                    .diagnostics
                    .at(
                        Class::Deprecated,
                        line.span,
                        "\"lvs_process_name\" is deprecated, please use \"checker_process_name\"",
                    )
                    .help("write `checker_process_name`");
            }
            context.config.globals.checker_process_name = process_name(line, context);
        }
        "bfd_process_name" => context.config.globals.bfd_process_name = process_name(line, context),
        "use_symlink_paths" | "set_supplementary_groups" => {
            let message = format!("Invalid value for {name} specified");
            if let Some(on) = on_off(line, message, context) {
                match name {
                    "use_symlink_paths" => context.config.globals.use_symlink_paths = on,
                    _ => context.config.globals.set_supplementary_groups = on,
                }
            }
        }
        "router_id" => match word(line) {
            Some(id) => context.config.globals.router_id = id,
            None => say(line, "routerid name missing - ignoring", context),
        },
        "dynamic_interfaces" => {
            context.config.globals.dynamic_interfaces = match line.text(1) {
                None => DynamicInterfaces::Yes,
                Some("allow_if_changes") => DynamicInterfaces::AllowChanges,
                Some(other) => {
                    let text = format!("Unknown dynamic_interfaces option '{other}'");
                    say(line, text, context);
                    DynamicInterfaces::Yes
                }
            };
        }
        "default_interface" => {
            let Some(interface) = context.parameter(line, 1) else {
                return Some(Flow::Missing);
            };
            context.config.globals.default_interface = interface.to_owned();
        }
        "umask" => umask(line, context),
        "random_seed" => match u32_in(line, 1, 0, u32::MAX, context) {
            Some(seed) => context.config.globals.random_seed = Some(seed),
            None => {
                let value = line.text(1).unwrap_or_default();
                say(line, format!("random_seed {value} invalid"), context);
            }
        },
        "max_auto_priority" => {
            context.config.globals.max_auto_priority_given = true;
            if line.words.len() < 2 {
                context.config.globals.max_auto_priority = 99;
            } else {
                match integer(line, 1, -1, 99, context) {
                    Some(n) => {
                        context.config.globals.max_auto_priority = i32::try_from(n).unwrap_or(0);
                    }
                    None => {
                        let value = line.text(1).unwrap_or_default();
                        say(
                            line,
                            format!(
                                "max_auto_priority '{value}' must be in [0, 99] (or -1 to disable) - ignoring"
                            ),
                            context,
                        );
                    }
                }
            }
        }
        "min_auto_priority_delay" => match u32_in(line, 1, 1, 10_000_000, context) {
            Some(n) => {
                context.config.globals.min_auto_priority_delay = Duration::from_micros(n.into());
            }
            None => {
                let value = line.text(1).unwrap_or_default();
                say(
                    line,
                    format!("min_auto_priority_delay '{value}' must be in [1, 10000000] - ignoring"),
                    context,
                );
            }
        },
        _ => return None,
    }
    Some(Flow::Continue)
}

fn process_name(line: &Line, context: &mut Context) -> Option<String> {
    let name = line.text(1)?;
    if name.len() <= PROCESS_NAME {
        return Some(name.to_owned());
    }
    say(
        line,
        format!("Process name {name} more than {PROCESS_NAME} characters, truncating"),
        context,
    );
    let mut end = PROCESS_NAME;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    Some(name[..end].to_owned())
}

fn umask(line: &Line, context: &mut Context) {
    const BITS: [(&str, u32); 12] = [
        ("IRUSR", 0o400),
        ("IWUSR", 0o200),
        ("IXUSR", 0o100),
        ("IRWXU", 0o700),
        ("IRGRP", 0o040),
        ("IWGRP", 0o020),
        ("IXGRP", 0o010),
        ("IRWXG", 0o070),
        ("IROTH", 0o004),
        ("IWOTH", 0o002),
        ("IXOTH", 0o001),
        ("IRWXO", 0o007),
    ];
    let text: String = line.words.iter().skip(1).map(|w| w.text.as_str()).collect();
    let mut mask = 0;
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        match crate::config::number::any_base(&text).and_then(|n| u32::try_from(n).ok()) {
            Some(n) if n <= 0o777 => mask = n,
            _ => {
                say(line, format!("invalid umask value {text}"), context);
                return;
            }
        }
    } else {
        for bit in text.split('|') {
            match BITS.iter().find(|(name, _)| *name == bit) {
                Some((_, value)) => mask |= value,
                None => {
                    say(line, format!("Unknown umask bit {bit}"), context);
                    return;
                }
            }
        }
    }
    context.config.globals.umask = mask;
    context.config.globals.umask_given = true;
}

pub(super) fn processes(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    let (process, rest) = name.split_once('_')?;
    let settings: fn(&mut crate::model::Globals) -> &mut ProcessSettings = match process {
        "vrrp" => |g| &mut g.vrrp_process,
        "checker" => |g| &mut g.checker_process,
        "bfd" => |g| &mut g.bfd_process,
        _ => return None,
    };
    match rest {
        "priority" => match integer(line, 1, -20, 19, context) {
            Some(n) => settings(&mut context.config.globals).nice = i32::try_from(n).unwrap_or(0),
            None => {
                let text = format!("Invalid {process} process priority specified");
                say(line, text, context);
            }
        },
        "no_swap" => settings(&mut context.config.globals).no_swap = true,
        "rt_priority" => match integer(line, 1, i32::MIN.into(), i32::MAX.into(), context) {
            Some(n) => {
                if !(1..=99).contains(&n) {
                    let text = if n < 1 {
                        format!(
                            "{process} process real-time priority {n} less than minimum 1 - setting to minimum"
                        )
                    } else {
                        format!(
                            "{process} process real-time priority {n} greater than maximum 99 - setting to maximum"
                        )
                    };
                    say(line, text, context);
                }
                let priority = u32::try_from(n.clamp(1, 99)).unwrap_or(1);
                settings(&mut context.config.globals).realtime = Some(priority);
            }
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("{process} process real-time priority '{value}' invalid");
                say(line, text, context);
            }
        },
        "cpu_affinity" => {
            for index in 1..line.words.len() {
                match u32_in(line, index, 0, 1023, context) {
                    Some(cpu) => settings(&mut context.config.globals).affinity.push(cpu),
                    None => {
                        let text = format!("Invalid cpu_id:0 specified for {process} process");
                        context.diagnostics.at(Class::General, line.span_of(index), text);
                    }
                }
            }
        }
        "rlimit_rttime" | "rlimit_rtime" => match u32_in(line, 1, 1, u32::MAX, context) {
            Some(n) => settings(&mut context.config.globals).rlimit_rttime = n.max(2),
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("Invalid {process} real-time limit - {value}");
                say(line, text, context);
            }
        },
        _ => return None,
    }
    Some(Flow::Continue)
}
