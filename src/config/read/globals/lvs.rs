//! The load balancer: timeouts, flushing, and the synchronization daemon.

use super::say;
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::field::{u8_in, u32_in, unsigned};
use crate::config::read::{Context, Flow};
use crate::model::globals::{LvsFlushOnStop, LvsSyncDaemon};
use std::net::IpAddr;

pub(super) fn load_balancer(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "lvs_timeouts" => lvs_timeouts(line, context),
        "lvs_flush" => context.config.globals.lvs_flush = true,
        "lvs_flush_on_stop" | "lvs_flush_onstop" => match line.text(1) {
            None => context.config.globals.lvs_flush_on_stop = LvsFlushOnStop::All,
            Some("VS") => {
                context.config.globals.lvs_flush_on_stop = LvsFlushOnStop::VirtualServers;
            }
            Some(other) => {
                let text = format!("Unknown lvs_flush_on_stop type {other}");
                say(line, text, context);
            }
        },
        "lvs_sync_daemon" => lvs_sync_daemon(line, context),
        _ => return None,
    }
    Some(Flow::Continue)
}

fn lvs_timeouts(line: &Line, context: &mut Context) {
    if line.words.len() < 3 {
        say(line, "lvs_timeouts requires at least one option", context);
        return;
    }
    let mut index = 1;
    while let Some(option) = line.text(index) {
        if !matches!(option, "tcp" | "tcpfin" | "udp") {
            let text = format!("Unknown option {option} specified for lvs_timeouts");
            context.diagnostics.at(Class::General, line.span_of(index), text);
            index += 1;
            continue;
        }
        if line.text(index + 1).is_none() {
            let text = format!("No value specified for lvs_timout {option} - ignoring");
            context.diagnostics.at(Class::General, line.span_of(index), text);
            return;
        }
        match u32_in(line, index + 1, 0, 2_678_400, context) {
            Some(n) => {
                let timeouts = &mut context.config.globals.lvs_timeouts;
                match option {
                    "tcp" => timeouts.tcp = Some(n),
                    "tcpfin" => timeouts.tcp_fin = Some(n),
                    _ => timeouts.udp = Some(n),
                }
            }
            None => {
                let value = line.text(index + 1).unwrap_or_default();
                let text = format!("Invalid lvs_timeouts {option} ({value}) - ignoring");
                context
                    .diagnostics
                    .at(Class::General, line.span_of(index + 1), text);
            }
        }
        index += 2;
    }
}

fn lvs_sync_daemon(line: &Line, context: &mut Context) {
    if context.config.globals.lvs_sync_daemon.is_some() {
        say(
            line,
            "lvs_sync_daemon has already been specified as - ignoring",
            context,
        );
        return;
    }
    let Some(interface) = line.text(1) else {
        say(line, "lvs_sync_daemon missing interface and instance", context);
        return;
    };
    if interface.len() > 15 {
        let text = format!("lvs_sync_daemon interface name {interface} too long - ignoring");
        say(line, text, context);
        return;
    }
    let mut daemon = LvsSyncDaemon {
        interface: interface.to_owned(),
        instance: String::new(),
        id: None,
        max_length: None,
        port: None,
        ttl: None,
        group: None,
    };
    let mut index = 2;
    while let Some(option) = line.text(index) {
        let known = matches!(option, "inst" | "id" | "maxlen" | "port" | "ttl" | "group");
        if !known {
            match index {
                2 => daemon.instance = option.to_owned(),
                3 if option.bytes().all(|b| b.is_ascii_digit()) => {
                    daemon.id = u8_in(line, 3, 0, 255, context);
                }
                _ => {
                    let text = format!("Unknown option '{option}' specified for lvs_sync_daemon");
                    context.diagnostics.at(Class::General, line.span_of(index), text);
                }
            }
            index += 1;
            continue;
        }
        let Some(value) = line.text(index + 1) else {
            let text = format!("No value specified for lvs_sync_daemon {option} - ignoring");
            context.diagnostics.at(Class::General, line.span_of(index), text);
            break;
        };
        let span = line.span_of(index + 1);
        let complaint = match option {
            "inst" => {
                daemon.instance = value.to_owned();
                None
            }
            "id" => {
                daemon.id = u8_in(line, index + 1, 0, 255, context);
                daemon
                    .id
                    .is_none()
                    .then(|| format!("Invalid syncid ({value}) - defaulting to vrid"))
            }
            "maxlen" => {
                daemon.max_length =
                    unsigned(line, index + 1, 1, 65507, context).and_then(|n| u16::try_from(n).ok());
                daemon
                    .max_length
                    .is_none()
                    .then(|| format!("Invalid lvs_sync_daemon maxlen ({value}) - ignoring"))
            }
            "port" => {
                daemon.port =
                    unsigned(line, index + 1, 1, 65535, context).and_then(|n| u16::try_from(n).ok());
                daemon
                    .port
                    .is_none()
                    .then(|| format!("Invalid lvs_sync_daemon port ({value}) - ignoring"))
            }
            "ttl" => {
                daemon.ttl = u8_in(line, index + 1, 1, 255, context);
                daemon
                    .ttl
                    .is_none()
                    .then(|| format!("Invalid lvs_sync_daemon ttl ({value}) - ignoring"))
            }
            _ => match value.parse::<IpAddr>() {
                Ok(group) if group.is_multicast() => {
                    daemon.group = Some(group);
                    None
                }
                _ => Some(format!("Invalid lvs_sync_daemon group ({value}) - ignoring")),
            },
        };
        if let Some(text) = complaint {
            context.diagnostics.at(Class::General, span, text);
        }
        index += 2;
    }
    context.config.globals.lvs_sync_daemon = Some(daemon);
}
