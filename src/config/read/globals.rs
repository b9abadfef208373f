//! `global_defs`, and the keywords that stand beside it.

use super::field::{decimal_seconds, integer, seconds, switch, u8_in, u32_in, unsigned};
use super::{Context, Flow, Section, script};
use crate::config::diagnostic::Class;
use crate::config::keyword::Keyword;
use crate::config::line::Line;
use crate::config::source::Check;
use crate::model::globals::{
    Buffer, DynamicInterfaces, Iptables, LvsFlushOnStop, LvsSyncDaemon, NotifyFifo, ProcessSettings,
    RxBufferPolicy, SmtpServer,
};
use crate::model::vrrp::Version;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Longest delay in whole seconds: it must fit in 32 bits as microseconds.
const MOST_SECONDS: u32 = 4294;
/// As [`MOST_SECONDS`], in microseconds.
const MOST_MICROSECONDS: u64 = 4_294_967_295;
/// Longest process name.
const PROCESS_NAME: usize = 15;

/// The reader.
#[derive(Debug, Default)]
pub struct Globals {
    emails: usize,
    include_check: Option<Check>,
    garp_lower_repeat_given: bool,
    vrrp_ipsets_off: bool,
}

impl Section for Globals {
    fn keyword(&mut self, keyword: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        match keyword.name {
            "notification_email" => self.emails = 0,
            "include_check" => self.include_check(line, context),
            "vrrp_garp_lower_prio_repeat" => {
                self.garp_lower_repeat_given = true;
                match u32_in(line, 1, 0, i32::MAX as u32, context) {
                    Some(n) => context.config.globals.garp_lower_prio_repeat = Some(n),
                    None => invalid(line, "Invalid vrrp_garp_lower_prio_repeat", context),
                }
            }
            "vrrp_ipsets" => {
                self.vrrp_ipsets_off = line.words.len() < 2;
                ipsets(line, context);
            }
            _ => {
                return [
                    basic as Reader,
                    mail,
                    scripts,
                    timers,
                    vrrp,
                    processes,
                    firewall,
                    load_balancer,
                    interfaces_to_others,
                    files,
                ]
                .iter()
                .find_map(|reader| reader(keyword.name, line, context))
                .unwrap_or(Flow::Continue);
            }
        }
        Flow::Continue
    }

    fn entry(&mut self, _: &'static Keyword, line: &Line, context: &mut Context) -> Flow {
        self.emails += 1;
        if let Some(address) = line.text(0) {
            context
                .config
                .globals
                .notification_emails
                .push(address.to_owned());
        }
        Flow::Continue
    }

    fn end(&mut self, block: &'static Keyword, context: &mut Context) {
        if block.name == "notification_email" && self.emails == 0 {
            context.complain(Class::General, "Warning - empty notification_email block");
        }
    }

    fn finish(&mut self, context: &mut Context) {
        if context.config.globals.router_id.is_empty() {
            context.config.globals.router_id = context.host.host_name();
        }
        let globals = &mut context.config.globals;
        if globals.instance_name.is_some() || globals.net_namespace.is_some() {
            globals.use_pid_dir = true;
        }
        if let Some(umask) = context.options.umask {
            globals.umask = umask;
            globals.umask_given = true;
        }
        if globals.iptables.is_some() && globals.nftables.is_some() {
            globals.iptables = None;
            globals.ipsets = None;
            context.diagnostics.hint(
                None,
                "Both iptables and nftables have been specified - ignoring iptables",
            );
        }
    }
}

impl Globals {
    fn include_check(&mut self, line: &Line, context: &mut Context) {
        let mut check = match line.words.len() {
            0 | 1 => Check::ALL,
            _ => Check::from_bits(context.config.globals.include_check),
        };
        let mut first = true;
        for word in line.words.iter().skip(1) {
            let (name, on, signed) = match word.text.as_bytes().first() {
                Some(b'+') => (&word.text[1..], true, true),
                Some(b'-') => (&word.text[1..], false, true),
                _ => (word.text.as_str(), true, false),
            };
            let bit = match name {
                "read" => &mut check.read,
                "match" => &mut check.matches,
                "wildcard_match" => &mut check.wildcard,
                "brace_match" => &mut check.brace,
                _ => {
                    context.diagnostics.at(
                        Class::General,
                        word.span,
                        format!("Unknown include_check type '{name}' - ignoring"),
                    );
                    continue;
                }
            };
            if !first && !signed {
                context
                    .diagnostics
                    .at(
                        Class::General,
                        word.span,
                        format!("Duplicate include_check '{name}' specified - ignoring"),
                    )
                    .help(format!("words after the first need a sign: `+{name}`"));
                continue;
            }
            *bit = on;
            first = false;
        }
        self.include_check = Some(check);
        context.config.globals.include_check = check.bits();
    }
}

/// Reads its keywords; `None` for those of others.
type Reader = fn(&str, &Line, &mut Context) -> Option<Flow>;

/// `MESSAGE 'value'`.
fn invalid(line: &Line, message: &str, context: &mut Context) {
    let value = line.text(1).unwrap_or_default();
    context
        .diagnostics
        .at(Class::General, line.span_of(1), format!("{message} '{value}'"));
}

fn say(line: &Line, text: impl Into<String>, context: &mut Context) {
    context
        .diagnostics
        .at(Class::General, line.span_of(1), text.into());
}

/// A switch into a field.
fn on_off(line: &Line, message: String, context: &mut Context) -> Option<bool> {
    let value = switch(line);
    if value.is_none() {
        say(line, message, context);
    }
    value
}

/// A word into an optional field.
fn word(line: &Line) -> Option<String> {
    line.text(1).map(str::to_owned)
}

/// Text that may be given once.
fn once(
    field: fn(&mut crate::model::Globals) -> &mut Option<String>,
    line: &Line,
    context: &mut Context,
) -> Option<Flow> {
    let value = word(line);
    if value.is_none() {
        let name = line.text(0).unwrap_or_default().to_owned();
        say(line, format!("{name} missing - ignoring"), context);
        return Some(Flow::Continue);
    }
    *field(&mut context.config.globals) = value;
    Some(Flow::Continue)
}

fn basic(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
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

fn mail(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "notification_email_from" => match word(line) {
            Some(from) => {
                context.config.globals.notification_email_from = Some(from);
                if line.words.len() > 2 {
                    let text = "Extra characters after notification_email_from - ignoring";
                    context.diagnostics.at(Class::General, line.span_of(2), text);
                }
            }
            None => say(line, "notification_email_from missing - ignoring", context),
        },
        "smtp_server" => smtp_server(line, context),
        "smtp_helo_name" => match word(line) {
            Some(helo) => context.config.globals.smtp_helo_name = Some(helo),
            None => say(line, "SMTP HELO name missing - ignoring", context),
        },
        "smtp_connect_timeout" => match u32_in(line, 1, 0, MOST_SECONDS, context) {
            Some(0) => {
                say(
                    line,
                    "smtp_conect_timeout must be greater than 0, setting to 1",
                    context,
                );
                context.config.globals.smtp_connect_timeout = Duration::from_secs(1);
            }
            Some(n) => context.config.globals.smtp_connect_timeout = Duration::from_secs(n.into()),
            None => {
                let value = line.text(1).unwrap_or_default();
                say(
                    line,
                    format!("smtp_connect_timeout '{value}' must be in [0, {MOST_SECONDS}] - ignoring"),
                    context,
                );
            }
        },
        "smtp_alert" | "smtp_alert_vrrp" | "smtp_alert_checker" => {
            let value = line.text(1).unwrap_or_default();
            let message = format!("Invalid value '{value}' for global {name} specified");
            let on = on_off(line, message, context);
            let globals = &mut context.config.globals;
            let field = match name {
                "smtp_alert" => &mut globals.smtp_alert,
                "smtp_alert_vrrp" => &mut globals.smtp_alert_vrrp,
                _ => &mut globals.smtp_alert_checker,
            };
            *field = on.or(*field);
        }
        "no_email_faults" => context.config.globals.no_email_faults = true,
        "no_checker_emails" | "rs_init_notifies" | "checker_log_all_failures" => {
            let message = format!("Invalid value for {name} specified");
            if let Some(on) = on_off(line, message, context) {
                let globals = &mut context.config.globals;
                match name {
                    "no_checker_emails" => globals.no_checker_emails = on,
                    "rs_init_notifies" => globals.rs_init_notifies = on,
                    _ => globals.checker_log_all_failures = on,
                }
            }
        }
        _ => return None,
    }
    Some(Flow::Continue)
}

fn smtp_server(line: &Line, context: &mut Context) {
    let Some(host) = word(line) else {
        say(line, "SMTP server address missing - ignoring", context);
        return;
    };
    let port = match line.text(2) {
        None => Some(25),
        Some(_) => u32_in(line, 2, 1, 65535, context).and_then(|p| u16::try_from(p).ok()),
    };
    let address = host.parse().ok().or_else(|| context.host.resolve(&host));
    match (port, address) {
        (Some(port), Some(address)) => {
            context.config.globals.smtp_server = Some(SmtpServer {
                host,
                address: Some(address),
                port,
            });
        }
        _ => {
            let port = line.text(2).unwrap_or("25");
            context
                .diagnostics
                .at(
                    Class::General,
                    line.span_of(1),
                    format!("Invalid smtp server {host} {port}"),
                )
                .help("the name does not resolve, or the port is none; no mail will be sent");
        }
    }
}

fn scripts(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
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

fn timers(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "vrrp_garp_master_delay" | "vrrp_garp_lower_prio_delay" => {
            match seconds(line, 1, 0, MOST_SECONDS, context) {
                Some(time) if name == "vrrp_garp_master_delay" => {
                    context.config.globals.garp_master_delay = time;
                }
                Some(time) => context.config.globals.garp_lower_prio_delay = Some(time),
                None => {
                    let value = line.text(1).unwrap_or_default();
                    say(line, format!("{name} '{value}' invalid - ignoring"), context);
                }
            }
        }
        "vrrp_garp_master_refresh" => match seconds(line, 1, 0, u32::MAX, context) {
            Some(time) => context.config.globals.garp_master_refresh = time,
            None => {
                let value = line.text(1).unwrap_or_default();
                say(line, format!("Invalid {name} '{value}' - ignoring"), context);
            }
        },
        "vrrp_garp_master_repeat" | "vrrp_garp_master_refresh_repeat" => {
            match u32_in(line, 1, 0, u32::MAX, context) {
                Some(n) => {
                    if n == 0 {
                        let text = format!("{name} must be greater than 0, setting to 1");
                        say(line, text, context);
                    }
                    let globals = &mut context.config.globals;
                    match name {
                        "vrrp_garp_master_repeat" => globals.garp_master_repeat = n.max(1),
                        _ => globals.garp_master_refresh_repeat = n.max(1),
                    }
                }
                None => {
                    let value = line.text(1).unwrap_or_default();
                    say(line, format!("{name} '{value}' invalid - ignoring"), context);
                }
            }
        }
        "vrrp_garp_interval" | "vrrp_gna_interval" => {
            match decimal_seconds(line, 1, 1, MOST_MICROSECONDS, context) {
                Some(time) => {
                    if time >= Duration::from_secs(1) {
                        let value = line.text(1).unwrap_or_default();
                        context.diagnostics.hint(
                            Some(line.span_of(1)),
                            format!("The {name} is very large - {value} seconds"),
                        );
                    }
                    match name {
                        "vrrp_garp_interval" => context.config.globals.garp_interval = time,
                        _ => context.config.globals.gna_interval = time,
                    }
                }
                None => {
                    let value = line.text(1).unwrap_or_default();
                    say(line, format!("{name} '{value}' is invalid"), context);
                }
            }
        }
        "vrrp_min_garp" => {
            let message = "Invalid value for vrrp_min_garp specified".to_owned();
            if let Some(on) = on_off(line, message, context) {
                let globals = &mut context.config.globals;
                globals.min_garp = on;
                if on {
                    if globals.garp_master_repeat == 5 {
                        globals.garp_master_repeat = 1;
                    }
                    if globals.garp_master_refresh_repeat == 1 {
                        globals.garp_master_refresh_repeat = 0;
                    }
                    if globals.garp_master_delay == Duration::from_secs(5) {
                        globals.garp_master_delay = Duration::ZERO;
                    }
                }
            }
        }
        "vrrp_garp_extra_if" | "vrrp_vmac_garp_intvl" => {
            if name == "vrrp_vmac_garp_intvl" {
                context.diagnostics.at(
                    Class::Deprecated,
                    line.span,
                    "\"vrrp_vmac_garp_intvl\" is deprecated. Please use \"vrrp_garp_extra_if\"",
                );
            }
            let all = line.text(1) == Some("all");
            match seconds(line, 1 + usize::from(all), 1, 86400, context) {
                Some(time) => {
                    context.config.globals.garp_extra_interface = time;
                    context.config.globals.garp_extra_interface_all = all;
                }
                None => {
                    let value = line.text(1).unwrap_or_default();
                    let text = format!("{name} '{value}' invalid - ignoring");
                    say(line, text, context);
                }
            }
        }
        "vrrp_down_timer_adverts" => match u32_in(line, 1, 1, 100, context) {
            Some(n) => context.config.globals.down_timer_adverts = n,
            None => invalid(line, "Invalid vrrp_down_timer_adverts [1:100]", context),
        },
        "vrrp_startup_delay" | "vrrp_delay_after_boot" => {
            match decimal_seconds(line, 1, 1000, MOST_MICROSECONDS, context) {
                Some(time) => {
                    if time >= Duration::from_secs(60) {
                        let value = line.text(1).unwrap_or_default();
                        context.diagnostics.hint(
                            Some(line.span_of(1)),
                            format!("The {name} is very large - {value} seconds"),
                        );
                    }
                    match name {
                        "vrrp_startup_delay" => context.config.globals.startup_delay = time,
                        _ => context.config.globals.delay_after_boot = time,
                    }
                }
                None => {
                    let value = line.text(1).unwrap_or_default();
                    say(line, format!("{name} '{value}' is invalid"), context);
                }
            }
        }
        _ => return None,
    }
    Some(Flow::Continue)
}

fn vrrp(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "vrrp_mcast_group4" => match line.text(1).map(str::parse::<Ipv4Addr>) {
            Some(Ok(group)) if group.is_multicast() => {
                context.config.globals.vrrp_mcast_group4 = group;
            }
            Some(Ok(group)) => {
                let text = format!("vrrp_mcast_group4 [{group}] is not multicast. Skipping");
                say(line, text, context);
            }
            _ => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("Configuration error: Cant parse vrrp_mcast_group4 [{value}]. Skipping");
                say(line, text, context);
            }
        },
        "vrrp_mcast_group6" => match line.text(1).map(str::parse::<Ipv6Addr>) {
            Some(Ok(group)) if group.is_multicast() => {
                context.config.globals.vrrp_mcast_group6 = group;
                if group.segments()[0] & 0xf != 2 {
                    context.diagnostics.at(
                        Class::Warning,
                        line.span_of(1),
                        format!("vrrp_mcast_group6 [{group}] should be link-local multicast."),
                    );
                }
            }
            Some(Ok(group)) => {
                let text = format!("vrrp_mcast_group6 [{group}] is not multicast. Skipping");
                say(line, text, context);
            }
            _ => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("Configuration error: Cant parse vrrp_mcast_group6 [{value}]. Skipping");
                say(line, text, context);
            }
        },
        "vrrp_version" => match u8_in(line, 1, 2, 3, context) {
            Some(2) => context.config.globals.vrrp_version = Version::V2,
            Some(_) => context.config.globals.vrrp_version = Version::V3,
            None => say(line, "VRRP Error: Version must be either 2 or 3", context),
        },
        "vrrp_lower_prio_no_advert"
        | "vrrp_higher_prio_send_advert"
        | "vrrp_skip_check_adv_addr"
        | "vrrp_strict"
        | "vrrp_owner_ignore_adverts"
        | "vrrp_notify_priority_changes" => {
            let message = format!("Invalid value for {name} specified");
            if let Some(on) = on_off(line, message, context) {
                let globals = &mut context.config.globals;
                *match name {
                    "vrrp_lower_prio_no_advert" => &mut globals.lower_prio_no_advert,
                    "vrrp_higher_prio_send_advert" => &mut globals.higher_prio_send_advert,
                    "vrrp_skip_check_adv_addr" => &mut globals.skip_check_adv_addr,
                    "vrrp_strict" => &mut globals.strict,
                    "vrrp_owner_ignore_adverts" => &mut globals.owner_ignore_adverts,
                    _ => &mut globals.notify_priority_changes,
                } = on;
            }
        }
        "vrrp_check_unicast_src" => context.config.globals.check_unicast_source = true,
        "v3_checksum_as_v2" => context.config.globals.v3_checksum_as_v2 = true,
        "disable_local_igmp" => context.config.globals.disable_local_igmp = true,
        "log_unknown_vrids" => context.config.globals.log_unknown_vrids = true,
        "vrrp_rx_bufs_policy" => rx_policy(line, context),
        "vrrp_rx_bufs_multiplier" => match u32_in(line, 1, 1, u32::MAX, context) {
            Some(n) => context.config.globals.rx_buffers_multiplier = n,
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("Invalid vrrp_rx_bufs_multiplier {value}");
                say(line, text, context);
            }
        },
        "vmac_prefix" | "vmac_addr_prefix" => {
            let value = match word(line) {
                Some(prefix) if prefix.len() < 12 => prefix,
                Some(prefix) => {
                    let text = format!("{name} '{prefix}' too long - ignoring");
                    say(line, text, context);
                    return Some(Flow::Continue);
                }
                None => {
                    say(line, format!("{name} missing - ignoring"), context);
                    return Some(Flow::Continue);
                }
            };
            match name {
                "vmac_prefix" => context.config.globals.vmac_prefix = Some(value),
                _ => context.config.globals.vmac_addr_prefix = Some(value),
            }
        }
        _ => return None,
    }
    Some(Flow::Continue)
}

fn rx_policy(line: &Line, context: &mut Context) {
    let mut policy = None;
    for (index, word) in line.words.iter().enumerate().skip(1) {
        let found = if word.text.eq_ignore_ascii_case("MTU") {
            Some(RxBufferPolicy::Mtu)
        } else if word.text.eq_ignore_ascii_case("ADVERT") {
            Some(RxBufferPolicy::Advert)
        } else {
            match u32_in(line, index, 0, i32::MAX as u32, context) {
                Some(size) if line.words.len() == 2 => Some(RxBufferPolicy::Size(size)),
                _ => {
                    context.diagnostics.at(
                        Class::General,
                        word.span,
                        format!("Invalid vrrp_rx_bufs_policy {}", word.text),
                    );
                    return;
                }
            }
        };
        // MTU wins over ADVERT.
        if policy != Some(RxBufferPolicy::Mtu) {
            policy = found;
        }
    }
    if let Some(policy) = policy {
        context.config.globals.rx_buffers_policy = policy;
    }
}

fn processes(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
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

fn firewall(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    match name {
        "vrrp_iptables" => {
            let long = line.words.iter().skip(1).find(|w| w.text.len() > 28);
            if let Some(word) = long {
                let text = format!(
                    "VRRP Error : iptables chain name too long - ignored: {}",
                    word.text
                );
                context.diagnostics.at(Class::General, word.span, text);
                return Some(Flow::Continue);
            }
            let input = line.text(1).unwrap_or("INPUT").to_owned();
            let output = match (line.text(1), line.text(2)) {
                (None, _) => Some("OUTPUT".to_owned()),
                (_, second) => second.map(str::to_owned),
            };
            if output.as_ref() == Some(&input) {
                say(
                    line,
                    "VRRP Error : iptables in and out chain names must be different",
                    context,
                );
                return Some(Flow::Continue);
            }
            context.config.globals.iptables = Some(Iptables { input, output });
        }
        "nftables" | "nftables_ipvs" => {
            let globals = &context.config.globals;
            let (already, default) = match name {
                "nftables" => (globals.nftables.is_some(), "keepalived"),
                _ => (globals.nftables_ipvs.is_some(), "keepalived_ipvs"),
            };
            let table = line.text(1).unwrap_or(default).to_owned();
            if already {
                say(line, format!("{name} already specified - ignoring"), context);
            } else if table.len() > 254 {
                say(line, format!("{name} table name too long - ignoring"), context);
            } else if name == "nftables" {
                context.config.globals.nftables = Some(table);
            } else {
                context.config.globals.nftables_ipvs = Some(table);
            }
        }
        "nftables_priority" | "nftables_ipvs_priority" => {
            match integer(line, 1, i32::MIN.into(), i32::MAX.into(), context) {
                Some(n) => {
                    let n = i32::try_from(n).unwrap_or(-1);
                    match name {
                        "nftables_priority" => context.config.globals.nftables_priority = n,
                        _ => context.config.globals.nftables_ipvs_priority = n,
                    }
                }
                None => invalid(line, "invalid nftables chain priority", context),
            }
        }
        "nftables_ifindex" => context.config.globals.nftables_ifindex = true,
        "nftables_ipvs_start_fwmark" => match u32_in(line, 1, 1, u32::MAX, context) {
            Some(mark) => context.config.globals.nftables_ipvs_start_fwmark = mark,
            None => invalid(line, "invalid nftables_ipvs_start_fwmark", context),
        },
        "nftables_counters" => context.config.globals.nftables_counters = true,
        _ => return None,
    }
    Some(Flow::Continue)
}

fn ipsets(line: &Line, context: &mut Context) {
    const DEFAULTS: [&str; 6] = [
        "keepalived",
        "keepalived6",
        "keepalived_if6",
        "keepalived_igmp",
        "keepalived_mld",
        "keepalived_nd",
    ];
    const SUFFIXES: [&str; 6] = ["", "6", "_if6", "_igmp", "_mld", "_nd"];
    if line.words.len() < 2 {
        context.config.globals.ipsets = None;
        return;
    }
    if let Some(word) = line.words.iter().skip(1).find(|w| w.text.len() > 30) {
        let text = format!("VRRP Error : ipset name too long - ignored: {}", word.text);
        context.diagnostics.at(Class::General, word.span, text);
        return;
    }
    let first = line.text(1).unwrap_or(DEFAULTS[0]);
    let sets: Vec<String> = SUFFIXES
        .iter()
        .enumerate()
        .map(|(i, suffix)| match line.text(i + 1) {
            Some(name) => name.to_owned(),
            None => format!("{first}{suffix}"),
        })
        .collect();
    for (i, name) in sets.iter().enumerate() {
        if sets[..i].contains(name) {
            let text = format!("VRRP Error : ipset names must be different ({name})");
            say(line, text, context);
            return;
        }
    }
    context.config.globals.ipsets = Some(sets);
}

fn load_balancer(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
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

fn interfaces_to_others(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
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

fn files(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
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
        "stats_dump_file" => return once(|g| &mut g.stats_dump_file, line, context),
        "json_dump_file" => return once(|g| &mut g.json_dump_file, line, context),
        _ => return None,
    }
    Some(Flow::Continue)
}
