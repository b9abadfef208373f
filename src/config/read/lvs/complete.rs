//! What is checked and completed when the whole text has been read.

use super::server::PERSISTENCE_DEFAULT;
use super::{Class, Context, GroupEntry, RealDraft, ServerDraft, Service, Timing, VirtualServer};
use crate::model::lvs::{Method, Protocol, RealServer};
use std::time::Duration;

/// `delay_loop` where nothing sets it.
const DELAY_LOOP: Duration = Duration::from_secs(60);
/// `connect_timeout` where nothing sets it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// `lvs_sched` where nothing sets it.
const SCHEDULER: &str = "wlc";

/// A virtual server with everything that it inherits; `None`: it is ignored.
pub(super) fn server(draft: ServerDraft, context: &mut Context) -> Option<VirtualServer> {
    let ServerDraft {
        mut server,
        method,
        sorry_method,
        smtp_alert,
        mut reals,
        ..
    } = draft;
    if let Service::Group(name, _) = &server.service
        && !context.config.lvs.groups.iter().any(|g| g.name == *name)
    {
        let text = format!("Virtual server group {name} is not configured - ignoring virtual server");
        context.diagnostics.hint(None, text);
        return None;
    }
    protocol_and_flags(&mut server, context);
    if server.scheduler.is_empty() {
        say(
            context,
            format!("Virtual server {server}: no scheduler set, setting default '{SCHEDULER}'"),
        );
        SCHEDULER.clone_into(&mut server.scheduler);
    }
    server.method = method.unwrap_or_else(|| {
        say(
            context,
            format!("Virtual server {server}: no forwarding method set, setting default NAT"),
        );
        Method::Nat
    });
    if let Some(sorry) = server.sorry_server.as_mut() {
        sorry.method = sorry_method.unwrap_or(server.method);
    }
    let global = context.config.globals.smtp_alert_checker;
    let global = global.or(context.config.globals.smtp_alert);
    server.smtp_alert = smtp_alert.or(global).unwrap_or(false);
    server.timing = server.timing.or(Timing {
        alpha: Some(false),
        delay_loop: Some(DELAY_LOOP),
        connect_timeout: Some(CONNECT_TIMEOUT),
        ..Timing::default()
    });

    without_duplicates(&server, &mut reals, context);
    server.real_servers.reserve_exact(reals.len());
    for draft in reals {
        let alert = draft.smtp_alert.or(smtp_alert).or(global).unwrap_or(true);
        let mut real = real(draft, &server, context);
        real.smtp_alert = alert;
        server.real_servers.push(real);
    }
    sorry_server(&mut server, context);
    quorum(&mut server, context);
    ports(&mut server, context);
    Some(server)
}

/// Firewall marks have no protocol; others have one, UDP if none is said.
fn protocol_and_flags(server: &mut VirtualServer, context: &mut Context) {
    let marks_only = match &server.service {
        Service::Mark(_) => true,
        Service::Address(..) => false,
        Service::Group(name, _) => context
            .config
            .lvs
            .groups
            .iter()
            .any(|g| g.name == *name && g.entries.iter().all(|e| matches!(e, GroupEntry::Mark { .. }))),
    };
    if marks_only {
        if server.ha_suspend {
            say(
                context,
                format!("Virtual server {server}: cannot use ha_suspend with fwmarks - clearing ha_suspend"),
            );
            server.ha_suspend = false;
        }
        if server.protocol.is_some() {
            say(
                context,
                format!(
                    "Warning: Virtual server {server}: protocol specified for fwmark - protocol will be ignored"
                ),
            );
            server.protocol = None;
        }
    } else if server.protocol.is_none() {
        say(
            context,
            format!("Virtual server {server}: no protocol set - defaulting to UDP"),
        );
        server.protocol = Some(Protocol::Udp);
    }
    if server.flags.one_packet && !matches!(server.protocol, Some(Protocol::Udp) | None) {
        say(
            context,
            format!("Virtual server {server}: one packet scheduling requires UDP - resetting"),
        );
        server.flags.one_packet = false;
    }
    let zero_port = match &server.service {
        Service::Mark(_) => false,
        Service::Address(_, port) => *port == 0,
        Service::Group(name, _) => context.config.lvs.groups.iter().any(|g| {
            g.name == *name
                && g.entries
                    .iter()
                    .any(|e| matches!(e, GroupEntry::Addresses { port: 0, .. }))
        }),
    };
    if zero_port && server.persistence_timeout.is_none() {
        say(
            context,
            format!("Virtual server {server}: zero port only valid for persistent services - setting"),
        );
        server.persistence_timeout = Some(PERSISTENCE_DEFAULT);
    }
}

fn without_duplicates(server: &VirtualServer, reals: &mut Vec<RealDraft>, context: &mut Context) {
    let mut seen = std::collections::BTreeSet::new();
    reals.retain(|draft| {
        let real = &draft.server;
        let new = seen.insert((real.address, real.port));
        if !new {
            let name = server.real_server_name(real.address, real.port);
            say(
                context,
                format!("VS {server}: real server {name} is duplicated - removing second rs"),
            );
        }
        new
    });
}

fn real(draft: RealDraft, server: &VirtualServer, context: &mut Context) -> RealServer {
    let mut real = draft.server;
    real.weight = draft.weight.unwrap_or(server.weight);
    real.method = draft.method.unwrap_or(server.method);
    real.inhibit = draft.inhibit.unwrap_or(server.inhibit);
    real.timing = real.timing.or(server.timing);
    if real.port == 0
        && let Service::Address(_, port) = server.service
    {
        real.port = port;
    }
    real.checkers.reserve_exact(draft.checkers.len());
    for checker in draft.checkers {
        let completed = checker.complete(&real, server, context);
        real.checkers.push(completed);
    }
    real
}

/// A real server that is the sorry server too decides whether it is inhibited.
fn sorry_server(server: &mut VirtualServer, context: &mut Context) {
    let Some(sorry) = &server.sorry_server else {
        return;
    };
    let same = server
        .real_servers
        .iter()
        .find(|r| (r.address, r.port) == (sorry.address, sorry.port) && r.inhibit != sorry.inhibit);
    if let Some(real) = same {
        let name = server.real_server_name(real.address, real.port);
        let inhibit = real.inhibit;
        let verb = if inhibit { "setting" } else { "clearing" };
        say(
            context,
            format!(
                "Virtual server {server}: real server {name} matches sorry server, but inhibit setting differs, {verb} on sorry server"
            ),
        );
        if let Some(sorry) = server.sorry_server.as_mut() {
            sorry.inhibit = inhibit;
        }
    }
}

fn quorum(server: &mut VirtualServer, context: &mut Context) {
    let total = server
        .real_servers
        .iter()
        .fold(0_u32, |sum, real| sum.saturating_add(real.weight));
    if server.quorum > total {
        say(
            context,
            format!(
                "Warning - quorum {} for {server} exceeds total weight of real servers {total}, reducing quorum to {total}",
                server.quorum
            ),
        );
        server.quorum = total;
    }
    if server.hysteresis > 0 && server.hysteresis >= server.quorum {
        let lower = server.quorum.saturating_sub(1);
        say(
            context,
            format!(
                "Virtual server {server}: hysteresis {} >= quorum {}; setting hysteresis to {lower}",
                server.hysteresis, server.quorum
            ),
        );
        server.hysteresis = lower;
    }
}

/// Only NAT can change ports.
fn ports(server: &mut VirtualServer, context: &mut Context) {
    match server.service.clone() {
        Service::Address(_, port) => {
            let mut complaints = Vec::new();
            let name = server.to_string();
            let shown = Protocol::name(server.protocol);
            for real in &mut server.real_servers {
                if real.method != Method::Nat && real.port != port {
                    complaints.push(format!(
                        "WARNING - virtual server {name} and real server [{}]:{shown}:{} ports don't match - resetting",
                        real.address, real.port
                    ));
                    real.port = port;
                }
            }
            if let Some(sorry) = server.sorry_server.as_mut() {
                if sorry.port == 0 {
                    sorry.port = port;
                } else if sorry.method != Method::Nat && sorry.port != port {
                    complaints.push(format!(
                        "WARNING - virtual server {name} and sorry server ports don't match - resetting"
                    ));
                    sorry.port = port;
                }
            }
            for text in complaints {
                say(context, text);
            }
        }
        Service::Mark(_) => mark_ports(server, true, context),
        Service::Group(group, _) => {
            let entries = context
                .config
                .lvs
                .groups
                .iter()
                .find(|g| g.name == group)
                .map(|g| g.entries.clone())
                .unwrap_or_default();
            if entries.iter().any(|e| matches!(e, GroupEntry::Mark { .. })) {
                mark_ports(server, false, context);
            }
            for entry in entries {
                if let GroupEntry::Addresses { first, last, port } = entry {
                    let range = if first == last {
                        first.to_string()
                    } else {
                        format!("{first}-{last}")
                    };
                    entry_ports(server, &range, port, context);
                }
            }
        }
    }
}

/// Ports of the servers of one entry of a group: reported, but they stay.
fn entry_ports(server: &VirtualServer, range: &str, port: u16, context: &mut Context) {
    for real in &server.real_servers {
        if real.method != Method::Nat && real.port != 0 && real.port != port {
            let name = server.real_server_name(real.address, real.port);
            say(
                context,
                format!("virtual server {server}:[{range},{port}] and real server {name} ports don't match"),
            );
        }
    }
    if let Some(sorry) = &server.sorry_server
        && sorry.method != Method::Nat
        && sorry.port != 0
        && sorry.port != port
    {
        say(
            context,
            format!(
                "WARNING - virtual server {server}, sorry server has port specified - port will be ignored"
            ),
        );
    }
}

/// Behind a firewall mark there are no ports, except with NAT.
fn mark_ports(server: &mut VirtualServer, clear: bool, context: &mut Context) {
    let what = if clear { "clearing" } else { "port will be ignored" };
    let name = server.to_string();
    let shown = Protocol::name(server.protocol);
    let mut complaints = Vec::new();
    for real in &mut server.real_servers {
        if real.method != Method::Nat && real.port != 0 {
            complaints.push(format!(
                "WARNING - fwmark virtual server {name}, real server [{}]:{shown}:{} has port specified - {what}",
                real.address, real.port
            ));
            if clear {
                real.port = 0;
            }
        }
    }
    if let Some(sorry) = server.sorry_server.as_mut()
        && sorry.method != Method::Nat
        && sorry.port != 0
    {
        let kind = if clear { "" } else { "fwmark " };
        complaints.push(format!(
            "WARNING - {kind}virtual server {name}, sorry server has port specified - {what}"
        ));
        if clear {
            sorry.port = 0;
        }
    }
    for text in complaints {
        say(context, text);
    }
}

fn say(context: &mut Context, text: String) {
    context.diagnostics.general(Class::General, text);
}
