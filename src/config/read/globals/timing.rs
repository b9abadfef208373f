//! Gratuitous ARP and the other timings of VRRP.

use super::{MOST_SECONDS, invalid, on_off, say};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::field::{decimal_seconds, seconds, u32_in};
use crate::config::read::{Context, Flow};
use std::time::Duration;

/// As [`MOST_SECONDS`], in microseconds.
const MOST_MICROSECONDS: u64 = 4_294_967_295;

pub(super) fn timers(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
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
