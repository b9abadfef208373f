//! Channels to others: FIFOs, SNMP, D-Bus, and the buffers of netlink.

use super::{on_off, once, say, word};
use crate::config::line::Line;
use crate::config::read::field::{decimal_seconds, u32_in};
use crate::config::read::{Context, Flow, script};
use crate::model::globals::{Buffer, NotifyFifo};

pub(super) fn interfaces_to_others(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    if let Some(kind) = name.strip_suffix("_fifo_script") {
        fifo_script(name, kind, line, context);
        return Some(Flow::Continue);
    }
    if name.ends_with("notify_fifo") {
        fifo(name, line, context);
        return Some(Flow::Continue);
    }
    if let Some(rest) = name.strip_suffix("_force")
        && buffer(rest, context).is_some()
    {
        let value = line.text(1).unwrap_or_default();
        let message = format!("Invalid value '{value}' for global {name} specified");
        if let Some(on) = on_off(line, message, context)
            && let Some(buffer) = buffer(rest, context)
        {
            buffer.force = on;
        }
        return Some(Flow::Continue);
    }
    if buffer(name, context).is_some() {
        match u32_in(line, 1, 0, i32::MAX as u32, context) {
            Some(size) => {
                if let Some(buffer) = buffer(name, context) {
                    buffer.size = size;
                }
            }
            None => {
                let value = line.text(1).unwrap_or_default();
                say(line, format!("{name} size ({value}) invalid"), context);
            }
        }
        return Some(Flow::Continue);
    }
    match name {
        "snmp_socket" => match (&context.config.globals.snmp_socket, word(line)) {
            (Some(socket), _) => {
                let text = format!("SNMP socket already set to {socket} - ignoring");
                say(line, text, context);
            }
            (None, None) => say(line, "snmp_socket missing - ignoring", context),
            (None, socket) => context.config.globals.snmp_socket = socket,
        },
        "enable_traps" => context.config.globals.enable_traps = true,
        "enable_snmp_vrrp" => context.config.globals.enable_snmp_vrrp = true,
        "enable_snmp_keepalived" => {
            context.diagnostics.hint(
                Some(line.span),
                "enable_snmp_keepalived is deprecated, please use enable_snmp_vrrp",
            );
            context.config.globals.enable_snmp_vrrp = true;
        }
        "enable_snmp_rfc" => {
            context.config.globals.enable_snmp_rfcv2 = true;
            context.config.globals.enable_snmp_rfcv3 = true;
        }
        "enable_snmp_rfcv2" => context.config.globals.enable_snmp_rfcv2 = true,
        "enable_snmp_rfcv3" => context.config.globals.enable_snmp_rfcv3 = true,
        "enable_snmp_checker" => context.config.globals.enable_snmp_checker = true,
        "snmp_vs_stats_update_interval" | "snmp_rs_stats_update_interval" => {
            match decimal_seconds(line, 1, 1000, 30_000_000, context) {
                Some(time) if name == "snmp_vs_stats_update_interval" => {
                    context.config.globals.snmp_vs_stats_interval = time;
                }
                Some(time) => context.config.globals.snmp_rs_stats_interval = Some(time),
                None => {
                    let value = line.text(1).unwrap_or_default();
                    say(line, format!("{name} '{value}' is invalid"), context);
                }
            }
        }
        "enable_dbus" => context.config.globals.enable_dbus = true,
        "dbus_service_name" => return once(|g| &mut g.dbus_service_name, line, context),
        "dbus_no_interface_name" => {
            if let Some(name) = word(line) {
                context.config.globals.dbus_no_interface_name = name;
            }
        }
        "fifo_write_vrrp_states_on_reload" => {
            context.config.globals.fifo_write_states_on_reload = true;
        }
        _ => return None,
    }
    Some(Flow::Continue)
}

fn buffer<'c>(name: &str, context: &'c mut Context) -> Option<&'c mut Buffer> {
    let buffers = &mut context.config.globals.netlink_buffers;
    Some(match name {
        "vrrp_netlink_cmd_rcv_bufs" => &mut buffers.vrrp_command,
        "vrrp_netlink_monitor_rcv_bufs" => &mut buffers.vrrp_monitor,
        "process_monitor_rcv_bufs" => &mut buffers.process_monitor,
        "lvs_netlink_cmd_rcv_bufs" => &mut buffers.lvs_command,
        "lvs_netlink_monitor_rcv_bufs" => &mut buffers.lvs_monitor,
        _ => return None,
    })
}

fn fifo_field<'c>(kind: &str, context: &'c mut Context) -> &'c mut Option<NotifyFifo> {
    let globals = &mut context.config.globals;
    match kind {
        "vrrp_notify" => &mut globals.vrrp_notify_fifo,
        "lvs_notify" => &mut globals.lvs_notify_fifo,
        _ => &mut globals.notify_fifo,
    }
}

fn fifo(name: &str, line: &Line, context: &mut Context) {
    let Some(path) = word(line) else {
        say(line, format!("No {name} name specified"), context);
        return;
    };
    let kind = name.trim_end_matches("_fifo");
    if fifo_field(kind, context)
        .as_ref()
        .is_some_and(|f| !f.path.is_empty())
    {
        let text = format!("{name} already specified - ignoring {path}");
        say(line, text, context);
        return;
    }
    let owner = if line.words.len() > 2 {
        match script::identity(line, 2, context) {
            Some(owner) => owner,
            None => {
                let text = format!("Invalid user/group for {name} fifo {path} - ignoring");
                say(line, text, context);
                return;
            }
        }
    } else {
        let (uid, gid) = context.host.identity();
        crate::model::Identity { uid, gid }
    };
    let fifo = fifo_field(kind, context).get_or_insert_default();
    fifo.path = path;
    fifo.owner = owner;
}

fn fifo_script(name: &str, kind: &str, line: &Line, context: &mut Context) {
    if line.words.len() < 2 {
        say(line, format!("No {name} specified"), context);
        return;
    }
    if fifo_field(kind, context)
        .as_ref()
        .is_some_and(|f| f.script.is_some())
    {
        say(line, format!("{name} already specified - ignoring"), context);
        return;
    }
    let command = script::command_line(line, context).ok();
    let identity = script::default_identity(context);
    if let (Some(mut command), Some(identity)) = (command, identity) {
        command.identity = identity;
        fifo_field(kind, context).get_or_insert_default().script = Some(command);
    } else {
        let text = format!("Invalid {name} - ignoring");
        context.diagnostics.hint(Some(line.span_of(1)), text);
    }
}
