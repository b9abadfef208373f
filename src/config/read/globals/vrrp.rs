//! Defaults of the protocol for all instances.

use super::{on_off, say, word};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::field::{u8_in, u32_in};
use crate::config::read::{Context, Flow};
use crate::model::globals::RxBufferPolicy;
use crate::model::vrrp::Version;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn vrrp(name: &str, line: &Line, context: &mut Context) -> Option<Flow> {
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
