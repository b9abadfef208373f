//! The keywords of an instance.

use super::{INTERFACE_NAME, MOST_SECONDS, family_of, plain_address, say};
use crate::config::diagnostic::Class;
use crate::config::line::Line;
use crate::config::read::draft::{Draft, Given};
use crate::config::read::field::{decimal_seconds, seconds, u8_in, u32_in};
use crate::config::read::{Context, Flow, notify};
use crate::model::globals::DynamicInterfaces;
use crate::model::route::Family;
use crate::model::secret::Password;
use crate::model::vrrp::{Accept, InitialState, UnicastChecksum, Version};
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroize;

pub(super) fn authentication(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Flow {
    let name = &draft.instance.name;
    let Some(value) = context.parameter(line, 1) else {
        return Flow::Missing;
    };
    match keyword {
        "auth_type" => match value {
            "PASS" => draft.given.auth_type = Some(crate::config::read::draft::AuthType::Pass),
            "AH" => draft.given.auth_type = Some(crate::config::read::draft::AuthType::Ah),
            _ => {
                let text = format!("({name}) unknown authentication type '{value}'");
                context
                    .diagnostics
                    .at(Class::General, line.span_of(1), text)
                    .help("expected PASS or AH");
            }
        },
        _ => {
            let bytes = value.as_bytes();
            if bytes.len() > 8 {
                context
                    .diagnostics
                    .at(
                        Class::General,
                        line.span_of(1),
                        "Truncating auth_pass to 8 characters",
                    )
                    .help("VRRPv2 sends eight bytes of it, in the clear");
            }
            let mut password = [0; 8];
            for (to, from) in password.iter_mut().zip(bytes) {
                *to = *from;
            }
            draft.given.auth_pass = Some(Password::new(password));
            password.zeroize();
        }
    }
    Flow::Continue
}

/// A keyword of an instance.
pub(super) fn instance(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Flow {
    if let Some(flow) = switches(draft, keyword, line, context) {
        return flow;
    }
    if let Some(flow) = garp(draft, keyword, line, context) {
        return flow;
    }
    if let Some(flow) = crate::config::read::vmac::keyword(draft, keyword, line, context) {
        return flow;
    }
    if keyword.starts_with("notify") {
        let name = draft.instance.name.clone();
        if keyword == "notify_deleted" {
            draft.instance.notify_deleted = true;
            if line.words.len() < 2 {
                return Flow::Continue;
            }
        }
        let owner = notify::Owner::Instance(&name);
        return notify::keyword(&mut draft.instance.notify, owner, keyword, line, context);
    }
    let takes_value = !matches!(
        keyword,
        "authentication"
            | "auth_hmac"
            | "unicast_peer"
            | "virtual_ipaddress"
            | "virtual_ipaddress_excluded"
            | "virtual_routes"
            | "virtual_rules"
            | "timer_expired_backup"
            | "thread_timer_expired"
            | "old_unicast_checksum"
    ) && !keyword.starts_with("track_");
    if takes_value && context.parameter(line, 1).is_none() {
        return Flow::Missing;
    }
    let value = line.text(1).unwrap_or_default();
    let name = draft.instance.name.clone();
    let Draft { instance, given, .. } = draft;
    match keyword {
        "unicast_peer" => given.unicast = true,
        "state" => state(draft, line, context),
        "interface" => interface(draft, line, context),
        "vrf" => instance.vrf = Some(value.to_owned()),
        "virtual_router_id" => match u8_in(line, 1, 1, 255, context) {
            Some(vrid) => instance.vrid = vrid,
            None => say(
                line,
                1,
                format!("({name}): VRID '{value}' not valid - must be between 1 & 255"),
                context,
            ),
        },
        "priority" => match u8_in(line, 1, 1, 255, context) {
            Some(priority) => given.priority = Some(priority),
            None => {
                say(
                    line,
                    1,
                    format!("({name}) Priority not valid! must be between 1 & 255. Using default 100"),
                    context,
                );
                given.priority = Some(100);
            }
        },
        "advert_int" => match decimal_seconds(line, 1, 10_000, 255_000_000, context) {
            Some(interval) => given.advert_interval = interval,
            None => say(
                line,
                1,
                format!("({name}) Advert interval ({value}) not valid! Must be > 0 - ignoring"),
                context,
            ),
        },
        "version" => version(draft, line, context),
        "unicast_ttl" => match u8_in(line, 1, 0, 255, context) {
            Some(ttl) => given.unicast_ttl = Some(ttl),
            None => say(
                line,
                1,
                format!("({name}): TTL '{value}' not valid - must be between 0 & 255"),
                context,
            ),
        },
        "mcast_src_ip" | "unicast_src_ip" => source(draft, keyword, line, context),
        "mcast_dst_ip" => match value.parse::<IpAddr>() {
            Ok(group) if !group.is_multicast() => say(
                line,
                1,
                format!("({name}) mcast_dst_ip {value} not multicast. Skipping..."),
                context,
            ),
            Ok(group) => given.multicast_group = Some(group),
            Err(_) => say(
                line,
                1,
                format!("({name}) malformed mcast dest address {value}. Skipping..."),
                context,
            ),
        },
        "preempt_delay" => match decimal_seconds(line, 1, 0, 1_000_000_000, context) {
            Some(delay) => instance.preempt_delay = delay,
            None => {
                say(
                    line,
                    1,
                    format!("({name}) Preempt_delay not valid! must be between 0-1000"),
                    context,
                );
                instance.preempt_delay = Duration::ZERO;
            }
        },
        "debug" => match u32_in(line, 1, 0, 4, context) {
            Some(level) => instance.debug = level,
            None => say(
                line,
                1,
                format!("({name}) Debug value '{value}' not valid; must be between 0-4"),
                context,
            ),
        },
        "lvs_sync_daemon_interface" => {
            let text = format!("({name}) Specifying lvs_sync_daemon_interface against a vrrp is deprecated.");
            context.diagnostics.at(Class::Deprecated, line.span, text);
            let blanks = " ".repeat(name.len() + 4);
            let text = format!("{blanks}Please use global lvs_sync_daemon");
            context.diagnostics.at(Class::Deprecated, line.span, text);
            match &context.config.globals.lvs_sync_daemon {
                Some(daemon) => {
                    let text = format!(
                        "({name}) lvs_sync_daemon_interface has already been specified as {} - ignoring",
                        daemon.interface
                    );
                    context.diagnostics.at(Class::General, line.span_of(1), text);
                }
                None => {
                    context.config.globals.lvs_sync_daemon = Some(crate::model::globals::LvsSyncDaemon {
                        interface: value.to_owned(),
                        instance: name,
                        id: None,
                        max_length: None,
                        port: None,
                        ttl: None,
                        group: None,
                    });
                }
            }
        }
        "down_timer_adverts" => match u32_in(line, 1, 1, 100, context) {
            Some(n) => given.down_timer_adverts = Some(n),
            None => say(
                line,
                1,
                format!("({name}): Invalid down_timer_adverts [1:100] '{value}'"),
                context,
            ),
        },
        "timer_expired_backup" | "thread_timer_expired" => {
            if keyword == "thread_timer_expired" {
                let text = format!(
                    "({name}) thread_timer_expired is deprecated, please replace with timer_expired_backup"
                );
                context.diagnostics.at(Class::General, line.span_of(0), text);
            }
            if line.words.len() < 2 {
                instance.timer_expired_backup = Some(254);
            } else if let Some(n) = u8_in(line, 1, 1, 254, context) {
                instance.timer_expired_backup = Some(n);
            } else {
                say(
                    line,
                    1,
                    format!("({name}) invalid {keyword} '{value}' - ignoring"),
                    context,
                );
            }
        }
        "kernel_rx_buf_size" => match u32_in(line, 1, 0, i32::MAX as u32, context) {
            Some(size) => instance.kernel_rx_buffer = Some(size),
            None => say(
                line,
                1,
                format!("({name}) invalid kernel_rx_buf_size specified"),
                context,
            ),
        },
        "old_unicast_checksum" => match line.text(1) {
            None => instance.unicast_checksum = UnicastChecksum::Old,
            Some("never") => instance.unicast_checksum = UnicastChecksum::Never,
            Some(other) => say(
                line,
                1,
                format!("({name}) Unknown old_unicast_chksum mode {other} - ignoring"),
                context,
            ),
        },
        _ => {}
    }
    Flow::Continue
}

pub(super) fn state(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = &draft.instance.name;
    let value = line.text(1).unwrap_or_default();
    let wanted = match value {
        "MASTER" => InitialState::Master,
        "BACKUP" => InitialState::Backup,
        _ => {
            let text = format!("({name}) unknown state '{value}', defaulting to BACKUP");
            context
                .diagnostics
                .at(Class::General, line.span_of(1), text)
                .help("expected MASTER or BACKUP");
            InitialState::Backup
        }
    };
    if wanted == InitialState::Backup && draft.given.state == Some(InitialState::Master) {
        let text = format!("({name}) state previously set as MASTER - ignoring BACKUP");
        say(line, 1, text, context);
        return;
    }
    draft.given.state = Some(wanted);
}

pub(super) fn interface(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    let value = line.text(1).unwrap_or_default();
    if value.len() > INTERFACE_NAME {
        let text = format!("Interface name '{value}' too long - ignoring");
        say(line, 1, text, context);
        return;
    }
    match context.host.interface(value) {
        None if context.config.globals.dynamic_interfaces == DynamicInterfaces::No => {
            let text = format!("WARNING - interface {value} for vrrp_instance {name} doesn't exist");
            context
                .missing_interface(line.span_of(1), text)
                .help("the daemon will not start; if the interface comes later, set `dynamic_interfaces` in global_defs");
        }
        Some(found) if found.flags & crate::state::interface::IFF_LOOPBACK != 0 => {
            let text = format!("({name}) cannot use a loopback interface ({value}) for vrrp - ignoring");
            say(line, 1, text, context);
            return;
        }
        _ => {}
    }
    draft.instance.interface = value.to_owned();
}

pub(super) fn version(draft: &mut Draft, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    let value = match u8_in(line, 1, 2, 3, context) {
        Some(2) => Version::V2,
        Some(_) => Version::V3,
        None => {
            let text = format!("({name}): Version must be either 2 or 3");
            say(line, 1, text, context);
            return;
        }
    };
    let conflict = draft.given.version.is_some_and(|v| v != value)
        || value == Version::V2 && draft.given.family == Some(Family::Inet6);
    if conflict {
        let deduced = draft.given.version.map_or(0, Version::number);
        let text = format!(
            "({name}) vrrp_version {} conflicts with configured or deduced version {deduced}; ignoring.",
            value.number()
        );
        say(line, 1, text, context);
        return;
    }
    draft.given.version = Some(value);
}

pub(super) fn source(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) {
    let name = draft.instance.name.clone();
    let value = line.text(1).unwrap_or_default();
    if keyword == "unicast_src_ip" {
        draft.given.unicast = true;
    }
    let Some(address) = plain_address(value) else {
        let text =
            format!("Configuration error: VRRP instance[{name}] malformed src address[{value}]. Skipping...");
        say(line, 1, text, context);
        return;
    };
    let family = family_of(address);
    match draft.given.family {
        Some(f) if f != family => {
            let text = format!(
                "Configuration error: VRRP instance[{name}] and src address[{value}] MUST be of the same family !!! Skipping..."
            );
            say(line, 1, text, context);
            return;
        }
        _ => draft.given.family = Some(family),
    }
    draft.instance.source = Some(address);
}

/// Keywords that are a switch.
pub(super) fn switches(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    let name = draft.instance.name.clone();
    let Draft { instance, given, .. } = draft;
    match keyword {
        "unicast_fault_no_peer" => instance.unicast_fault_no_peer = true,
        "check_unicast_src" => instance.check_unicast_source = true,
        "native_ipv6" => {
            instance.native_ipv6 = true;
            if given.family == Some(Family::Inet) {
                let text = format!("({name}) Cannot specify native_ipv6 with IPv4 addresses");
                say(line, 0, text, context);
                instance.native_ipv6 = false;
            } else {
                given.family = Some(Family::Inet6);
            }
        }
        "dont_track_primary" => instance.dont_track_primary = true,
        "track_src_ip" => instance.track_source = true,
        "no_virtual_ipaddress" => instance.no_vips = true,
        "promote_secondaries" => instance.promote_secondaries = true,
        "linkbeat_use_polling" => {
            let text = format!(
                "({name}) 'linkbeat_use_polling' in vrrp instance deprecated - use linkbeat_interfaces block"
            );
            context.diagnostics.at(Class::Deprecated, line.span, text);
            instance.linkbeat_polling = true;
        }
        "accept" => given.accept = Some(Accept::Enabled),
        "no_accept" => given.accept = Some(Accept::Disabled),
        "preempt" => instance.nopreempt = false,
        "nopreempt" => instance.nopreempt = true,
        "smtp_alert" => match crate::config::read::field::switch(line) {
            Some(on) => given.smtp_alert = Some(on),
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("Invalid vrrp_instance smtp_alert parameter {value}");
                say(line, 1, text, context);
            }
        },
        "notify_priority_changes" => match crate::config::read::field::switch(line) {
            Some(on) => given.notify_priority_changes = Some(on),
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("({name}) Invalid value '{value}' for notify_priority_changes specified");
                say(line, 1, text, context);
            }
        },
        "v3_checksum_as_v2"
        | "skip_check_adv_addr"
        | "strict_mode"
        | "lower_prio_no_advert"
        | "higher_prio_send_advert"
        | "owner_ignore_adverts" => match crate::config::read::field::switch(line) {
            Some(on) => {
                *match keyword {
                    "v3_checksum_as_v2" => &mut given.v3_checksum_as_v2,
                    "skip_check_adv_addr" => &mut given.skip_check_adv_addr,
                    "strict_mode" => &mut given.strict,
                    "lower_prio_no_advert" => &mut given.lower_prio_no_advert,
                    "higher_prio_send_advert" => &mut given.higher_prio_send_advert,
                    _ => &mut given.owner_ignore_adverts,
                } = Some(on);
                // keepalived turns it on whatever the value.
                if keyword == "skip_check_adv_addr" {
                    given.skip_check_adv_addr = Some(true);
                }
            }
            None => {
                let value = line.text(1).unwrap_or_default();
                let text = format!("({name}) invalid {keyword} {value} specified");
                say(line, 1, text, context);
            }
        },
        _ => return None,
    }
    Some(Flow::Continue)
}

/// Gratuitous ARP.
pub(super) fn garp(draft: &mut Draft, keyword: &str, line: &Line, context: &mut Context) -> Option<Flow> {
    if !keyword.starts_with("garp_") && keyword != "vmac_garp_intvl" {
        return None;
    }
    if context.parameter(line, 1).is_none() {
        return Some(Flow::Missing);
    }
    let name = draft.instance.name.clone();
    let value = line.text(1).unwrap_or_default().to_owned();
    let Given { garp, .. } = &mut draft.given;
    match keyword {
        "garp_master_delay" | "garp_lower_prio_delay" => match seconds(line, 1, 0, MOST_SECONDS, context) {
            Some(time) if keyword == "garp_master_delay" => garp.master_delay = Some(time),
            Some(time) => garp.lower_prio_delay = Some(time),
            None => {
                let text = format!("({name}): {keyword} '{value}' invalid - ignoring");
                say(line, 1, text, context);
            }
        },
        "garp_master_refresh" => match seconds(line, 1, 0, u32::MAX, context) {
            Some(time) => garp.refresh = Some(time),
            None => {
                let text = format!("({name}): Invalid {keyword} '{value}' - ignoring");
                say(line, 1, text, context);
            }
        },
        "garp_master_repeat" | "garp_master_refresh_repeat" => match u32_in(line, 1, 0, u32::MAX, context) {
            Some(n) => {
                if n == 0 {
                    let text = format!("({name}): {keyword} must be greater than 0, setting to 1");
                    say(line, 1, text, context);
                }
                match keyword {
                    "garp_master_repeat" => garp.master_repeat = Some(n.max(1)),
                    _ => garp.refresh_repeat = Some(n.max(1)),
                }
            }
            None => {
                let text = format!("({name}): {keyword} '{value}' invalid - ignoring");
                say(line, 1, text, context);
            }
        },
        "garp_lower_prio_repeat" => match u32_in(line, 1, 0, i32::MAX as u32, context) {
            Some(n) => garp.lower_prio_repeat = Some(n),
            None => {
                let text = format!("({name}): Invalid {keyword} '{value}'");
                say(line, 1, text, context);
            }
        },
        _ => {
            if keyword == "vmac_garp_intvl" {
                context.diagnostics.at(
                    Class::Deprecated,
                    line.span_of(0),
                    "Keyword \"vmac_garp_intvl\" is deprecated - please use \"garp_extra_if\"",
                );
            }
            let all = value == "all";
            match seconds(line, 1 + usize::from(all), 0, 86400, context) {
                Some(time) => garp.extra_interface = Some((time, all)),
                None => {
                    let text = format!("({name}): {keyword} '{value}' invalid - ignoring");
                    say(line, 1, text, context);
                }
            }
        }
    }
    Some(Flow::Continue)
}
