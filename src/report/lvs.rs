//! Virtual and real servers in the checkers' data file.

use super::{Text, command, enabled, fraction, line, yes_no};
use crate::model::checker::CheckerKind;
use crate::model::lvs::{
    Granularity, GroupEntry, Method, Protocol, RealServer, ServerGroup, Service, Timing, Tunnel,
    TunnelChecksum, TunnelKind, VirtualServer,
};
use crate::model::route::Family;
use crate::model::{Command, Configuration};
use crate::state::lvs::{LvsSnapshot, RealView, ServerView};
use std::time::Duration;

/// Version of IPVS that the layout belongs to.
const VERSION: &str = "1.2.1";

pub(super) fn topology(text: &mut Text, config: &Configuration, lvs: &LvsSnapshot) {
    if lvs.servers.is_empty() {
        return;
    }
    line!(text, "------< LVS Topology >------");
    line!(text, " System is compiled with LVS v{VERSION}");
    if !config.lvs.groups.is_empty() {
        line!(text, " ------< Virtual server group >------");
        for group in &config.lvs.groups {
            write_group(text, group, lvs);
        }
    }
    for server in &lvs.servers {
        write_server(text, server);
    }
}

fn write_group(text: &mut Text, group: &ServerGroup, lvs: &LvsSnapshot) {
    line!(
        text,
        " Virtual Server Group = {}, IPv4 = {}, IPv6 = {}",
        group.name,
        yes_no(group.has_family(Family::Inet)),
        yes_no(group.has_family(Family::Inet6))
    );
    let mark = |protocol| {
        lvs.marks
            .get(&(group.name.clone(), protocol))
            .copied()
            .unwrap_or(0)
    };
    let marks = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(mark);
    let mapped = marks.iter().any(|mark| *mark != 0);
    if mapped {
        let [tcp, udp, sctp] = marks;
        line!(text, "  Fwmark TCP: {tcp} UDP: {udp} SCTP: {sctp}");
    }
    let used: Vec<&ServerView> = lvs
        .servers
        .iter()
        .filter(|server| matches!(&server.config.service, Service::Group(name, _) if *name == group.name))
        .collect();
    let alive = |of: &dyn Fn(&VirtualServer) -> bool| -> usize {
        // keepalived counts what is in the kernel's table for the line, and nothing is.
        let servers = used.iter().filter(|server| !mapped && of(&server.config));
        servers
            .flat_map(|server| &server.reals)
            .filter(|real| real.alive)
            .count()
    };
    let reloaded = used.iter().any(|server| server.reloaded);
    for entry in &group.entries {
        match entry {
            GroupEntry::Addresses { first, last, port } => {
                if first == last {
                    line!(text, "   VIP = {first}, VPORT = {port}");
                } else {
                    line!(text, "   VIP Range = {first}-{last}, VPORT = {port}");
                }
                let of = |protocol| alive(&|server| server.protocol == Some(protocol));
                line!(
                    text,
                    "     Alive: {} tcp, {} udp, {} sctp",
                    of(Protocol::Tcp),
                    of(Protocol::Udp),
                    of(Protocol::Sctp)
                );
            }
            GroupEntry::Mark { mark, family } => {
                line!(text, "   FWMARK = {mark}");
                let of = |wanted| alive(&|server| family.or(server.family).unwrap_or_default() == wanted);
                line!(
                    text,
                    "     Alive: {} IPv4, {} IPv6",
                    of(Family::Inet),
                    of(Family::Inet6)
                );
            }
        }
        line!(
            text,
            "     reloaded = {}",
            if reloaded { "True" } else { "False" }
        );
    }
}

fn write_server(text: &mut Text, view: &ServerView) {
    let server = &*view.config;
    line!(text, " ------< Virtual server >------");
    match &server.service {
        Service::Address(address, port) => line!(text, " VS VIP = {address}, VPORT = {port}"),
        Service::Mark(mark) => line!(text, " VS FWMARK = {mark}"),
        Service::Group(name, number) => line!(text, " VS GROUP = [{name}]:{number}"),
    }
    if let Some(host) = &server.virtual_host {
        line!(text, "   VirtualHost = {host}");
    }
    if let Some(name) = &server.snmp_name {
        line!(text, "   SNMP name = '{name}'");
    }
    if let Some(family) = server.family {
        let family = if family == Family::Inet { "inet" } else { "inet6" };
        line!(text, "   Address family = {family}");
    }
    let seconds = |time: Option<Duration>| fraction(time.unwrap_or_default());
    line!(
        text,
        "   connection timeout = {}",
        seconds(server.timing.connect_timeout)
    );
    line!(text, "   delay_loop = {}", seconds(server.timing.delay_loop));
    line!(text, "   lvs_sched = {}", server.scheduler);
    // The keyword has no effect.
    line!(text, "   Hashed = disabled");
    match server.scheduler.as_str() {
        name @ ("sh" | "mh") => {
            line!(text, "   {name}-port = {}", enabled(server.flags.flag2));
            line!(text, "   {name}-fallback = {}", enabled(server.flags.flag1));
        }
        _ => {
            line!(text, "   flag-1 = {}", enabled(server.flags.flag1));
            line!(text, "   flag-2 = {}", enabled(server.flags.flag2));
            line!(text, "   flag-3 = {}", enabled(server.flags.flag3));
        }
    }
    line!(
        text,
        "   One packet scheduling = {}",
        enabled(server.flags.one_packet)
    );
    if let Some(engine) = &server.persistence_engine {
        line!(text, "   persistence engine = {engine}");
    }
    if let Some(timeout) = server.persistence_timeout {
        line!(text, "   persistence timeout = {timeout}");
    }
    match server.persistence_granularity {
        Some(Granularity::Mask(mask)) => line!(text, "   persistence granularity = {mask}"),
        Some(Granularity::Prefix(length)) => line!(text, "   persistence granularity = {length}"),
        None => {}
    }
    let protocol = match server.protocol {
        Some(_) => Protocol::name(server.protocol).to_uppercase(),
        None => "none".to_owned(),
    };
    line!(text, "   protocol = {protocol}");
    line!(
        text,
        "   alpha is {}",
        on_off(server.timing.alpha.unwrap_or_default())
    );
    line!(text, "   omega is {}", on_off(server.omega));
    timing(text, &server.timing);
    line!(text, "   Inhibit on failure is {}", on_off(server.inhibit));
    line!(
        text,
        "   quorum = {}, hysteresis = {}",
        server.quorum,
        server.hysteresis
    );
    script(text, "Quorum up", server.quorum_up.as_ref());
    script(text, "Quorum down", server.quorum_down.as_ref());
    if server.ha_suspend {
        line!(text, "   Using HA suspend");
    }
    line!(text, "   Using smtp notification = {}", yes_no(server.smtp_alert));
    line!(text, "   default forwarding method = {}", method(server.method));
    if let Some(sorry) = &server.sorry_server {
        line!(
            text,
            "   sorry server = {}",
            server.real_server_name(sorry.address, sorry.port)
        );
        line!(text, "     forwarding method = {}", method(sorry.method));
        line!(text, "     Inhibit on failure is {}", on_off(sorry.inhibit));
        line!(text, "     set = {}", u8::from(view.sorry.set));
        line!(text, "     alive = {}", u8::from(view.sorry.alive));
    }
    line!(text, "   VS alive = 1");
    line!(text, "   quorum_state_up = {}", u8::from(view.quorum_up));
    line!(text, "   reloaded = {}", u8::from(view.reloaded));
    for (real, state) in server.real_servers.iter().zip(&view.reals) {
        write_real(text, real, state);
    }
}

fn write_real(text: &mut Text, real: &RealServer, state: &RealView) {
    line!(text, "   ------< Real server >------");
    line!(
        text,
        "   RIP = {}, RPORT = {}, WEIGHT = {} EFF WEIGHT = {}",
        real.address,
        real.port,
        state.weight,
        state.weight
    );
    line!(text, "   forwarding method = {}", method(real.method));
    line!(
        text,
        "   Alpha is {}",
        on_off(real.timing.alpha.unwrap_or_default())
    );
    let seconds = |time: Option<Duration>| fraction(time.unwrap_or_default());
    line!(
        text,
        "   connection timeout = {}",
        seconds(real.timing.connect_timeout)
    );
    line!(
        text,
        "   connection limit range = {} -> {}",
        real.lower_threshold,
        real.upper_threshold
    );
    line!(text, "   Delay loop = {}", seconds(real.timing.delay_loop));
    timing(text, &real.timing);
    line!(text, "   Inhibit on failure is {}", on_off(real.inhibit));
    script(text, "RS up", real.notify_up.as_ref());
    script(text, "RS down", real.notify_down.as_ref());
    if let Some(host) = &real.virtual_host {
        line!(text, "   VirtualHost = '{host}'");
    }
    if let Some(name) = &real.snmp_name {
        line!(text, "   SNMP name = {name}");
    }
    line!(text, "   Using smtp notification = {}", yes_no(real.smtp_alert));
    line!(text, "   initial weight = {}", real.weight);
    line!(text, "   effective weight = {}", state.weight);
    line!(text, "   previous effective_weight = {}", state.weight_before);
    line!(text, "   alive = {}", u8::from(state.alive));
    line!(text, "   num failed checkers = {}", state.failed);
    line!(text, "   RS set = {}", u8::from(state.set));
    line!(text, "   reloaded = {}", u8::from(state.reloaded));
    let files = || {
        real.checkers.iter().filter_map(|checker| match &checker.kind {
            CheckerKind::File(file) => Some(file),
            _ => None,
        })
    };
    if files().next().is_some() {
        line!(text, "   Tracked Files");
        for file in files() {
            line!(
                text,
                "     {}, weight {}{}",
                file.file,
                file.weight,
                super::reverse(file.reverse)
            );
        }
    }
}

fn timing(text: &mut Text, timing: &Timing) {
    if let Some(retry) = timing.retry {
        line!(text, "   Retry count = {retry}");
    }
    if let Some(delay) = timing.delay_before_retry {
        line!(text, "   Retry delay = {}", fraction(delay));
    }
    if let Some(warmup) = timing.warmup {
        line!(text, "   Warmup = {}", fraction(warmup));
    }
}

fn script(text: &mut Text, title: &str, script: Option<&Command>) {
    if let Some(script) = script {
        line!(
            text,
            "   {title} notify script = {}, uid:gid {}:{}",
            command(script),
            script.identity.uid,
            script.identity.gid
        );
    }
}

fn method(method: Method) -> String {
    match method {
        Method::Nat => "NAT".to_owned(),
        Method::Dr => "DR".to_owned(),
        Method::Tun(Tunnel { kind, port, checksum }) => {
            let checksum = match checksum {
                TunnelChecksum::None => ", no checksum",
                TunnelChecksum::Checksum => ", checksum",
                TunnelChecksum::Remote => ", remote checksum",
            };
            match kind {
                TunnelKind::Ipip => "TUN, type = IPIP".to_owned(),
                TunnelKind::Gue => format!("TUN, type = GUE, port = {port}{checksum}"),
                TunnelKind::Gre => format!("TUN, type = GRE{checksum}"),
            }
        }
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}
