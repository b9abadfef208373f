//! Health checkers in the checkers' data file.

use super::{LocalText, Text, command, fraction, full_stamp, line, reverse, yes_no};
use crate::model::checker::{
    Checker, CheckerKind, Connection, DnsType, HttpCheck, HttpProtocol, UdpCheck, Url,
};
use crate::state::check::Standing;
use crate::state::lvs::{CheckerView, LvsSnapshot};
use crate::state::snapshot::{FileSnapshot, Snapshot};
use std::time::Duration;

pub(super) fn write(text: &mut Text, lvs: &LvsSnapshot, local: LocalText) {
    let all = lvs.servers.iter().flat_map(|server| {
        let reals = server.config.real_servers.iter().zip(&server.reals);
        reals.flat_map(move |(real, state)| state.checkers.iter().map(move |checker| (server, real, checker)))
    });
    let mut all = all.peekable();
    if all.peek().is_none() {
        return;
    }
    line!(text, "------< Health checkers >------");
    for (server, real, view) in all {
        let name = server.config.real_server_name(real.address, real.port);
        line!(text, " {} -> {name}", server.config);
        let standing = lvs.standings.get(&view.id).cloned().unwrap_or_else(|| Standing {
            weight: view.weight,
            has_run: view.has_run,
            ..Standing::new(view.up)
        });
        let inherited = real.virtual_host.as_ref().or(server.config.virtual_host.as_ref());
        write_checker(text, view, &standing, inherited, local);
    }
}

/// `Checker track files`: those that real servers follow.
pub(super) fn files(text: &mut Text, snapshot: &Snapshot, lvs: &LvsSnapshot) {
    let followers = |file: &FileSnapshot| -> Vec<String> {
        let servers = lvs.servers.iter().map(|server| &server.config);
        servers
            .flat_map(|server| server.real_servers.iter().map(move |real| (server, real)))
            .flat_map(|(server, real)| real.checkers.iter().map(move |checker| (server, real, checker)))
            .filter_map(|(server, real, checker)| match &checker.kind {
                CheckerKind::File(check) if check.file == file.config.name => Some(format!(
                    "{server} -> {}, weight {}{}",
                    server.real_server_name(real.address, real.port),
                    check.weight,
                    reverse(check.reverse)
                )),
                _ => None,
            })
            .collect()
    };
    let used: Vec<(&FileSnapshot, Vec<String>)> = snapshot
        .files
        .iter()
        .map(|file| (file, followers(file)))
        .filter(|(_, followers)| !followers.is_empty())
        .collect();
    if used.is_empty() {
        return;
    }
    line!(text, "------< Checker track files >------");
    for (file, followers) in used {
        line!(text, " Track file = {}", file.config.name);
        line!(text, "   File = {}", file.config.path);
        line!(text, "   Status = {}", file.value);
        line!(
            text,
            "   Weight = {}{}",
            file.config.weight,
            reverse(file.config.reverse)
        );
        line!(text, "   Tracking instances :");
        for follower in followers {
            line!(text, "     {follower}");
        }
    }
}

fn write_checker(
    text: &mut Text,
    view: &CheckerView,
    standing: &Standing,
    inherited: Option<&String>,
    local: LocalText,
) {
    let checker = &*view.checker;
    line!(text, "   Enabled = {}", yes_no(view.enabled));
    line!(text, "   Up = {}", yes_no(view.up));
    line!(text, "   Has run = {}", yes_no(view.has_run));
    line!(text, "   Current weight = {}", view.weight);
    let follows = matches!(checker.kind, CheckerKind::File(_) | CheckerKind::Bfd { .. });
    if !follows {
        schedule(text, checker, standing);
    }
    line!(text, "   Log all failures = {}", yes_no(checker.log_all_failures));
    if let Some(connection) = connection(&checker.kind) {
        write_connection(text, connection);
    }
    match &checker.kind {
        CheckerKind::Http(http) => write_http(text, checker, http, standing, inherited),
        kind => line!(text, "   Keepalive method = {}", kind.keyword()),
    }
    match &checker.kind {
        CheckerKind::Tcp(_) | CheckerKind::Http(_) => {}
        CheckerKind::Smtp { helo, .. } => line!(text, "   helo = {helo}"),
        CheckerKind::Dns(dns) => {
            let kind = DnsType::ALL.iter().find(|(kind, ..)| *kind == dns.kind);
            line!(text, "   Type = {}", kind.map_or("", |(_, name, _)| name));
            line!(text, "   Name = {}", dns.name);
        }
        CheckerKind::Misc {
            command: script,
            timeout,
            dynamic,
        } => {
            line!(text, "   script = {}", command(script));
            line!(text, "   timeout = {}", timeout.as_secs());
            line!(text, "   dynamic = {}", if *dynamic { "YES" } else { "NO" });
            line!(
                text,
                "   uid:gid = {}:{}",
                script.identity.uid,
                script.identity.gid
            );
            line!(text, "   Last ran = {}", full_stamp(standing.last_ran, local));
            line!(text, "   Last status = {}", standing.last_status);
        }
        CheckerKind::Udp(udp) => write_udp(text, udp),
        CheckerKind::Ping(_) => line!(text, "     ICMP seq no = {}", standing.sequence),
        CheckerKind::File(file) => {
            line!(text, "     Tracked file = {}", file.file);
            line!(text, "     Reloaded = No");
        }
        CheckerKind::Bfd { name } => line!(text, "   Name = {name}"),
    }
}

fn schedule(text: &mut Text, checker: &Checker, standing: &Standing) {
    line!(text, "   Alpha = {}", yes_no(checker.alpha));
    line!(text, "   Delay loop = {} us", checker.delay_loop.as_micros());
    line!(text, "   Warmup = {} us", checker.warmup.as_micros());
    line!(text, "   Retries = {}", checker.retry);
    if checker.retry > 0 {
        line!(
            text,
            "   Delay before retry = {} us",
            checker.delay_before_retry.as_micros()
        );
        // The first failure counts at once.
        line!(
            text,
            "   Retries iterations = {}",
            standing.iterations.unwrap_or(checker.retry)
        );
    }
    let default = match checker.kind {
        CheckerKind::Http(_) => Duration::from_secs(3),
        CheckerKind::Dns(_) => Duration::ZERO,
        _ => Duration::from_secs(1),
    };
    line!(text, "   Default delay before retry = {} us", default.as_micros());
}

fn connection(kind: &CheckerKind) -> Option<&Connection> {
    match kind {
        CheckerKind::Tcp(connection) | CheckerKind::Ping(connection) => Some(connection),
        CheckerKind::Smtp { connection, .. } => Some(connection),
        CheckerKind::Http(http) => Some(&http.connection),
        CheckerKind::Dns(dns) => Some(&dns.connection),
        CheckerKind::Udp(udp) => Some(&udp.connection),
        CheckerKind::Misc { .. } | CheckerKind::File(_) | CheckerKind::Bfd { .. } => None,
    }
}

fn write_connection(text: &mut Text, connection: &Connection) {
    line!(text, "   Connection");
    line!(text, "     Dest = [{}]:{}", connection.address, connection.port);
    if let Some(address) = connection.bind_address {
        line!(
            text,
            "     Bind to = [{address}]:{}",
            connection.bind_port.unwrap_or(0)
        );
    }
    if let Some(interface) = &connection.bind_interface {
        line!(text, "     Bind i/f = {interface}");
    }
    if connection.mark != 0 {
        line!(text, "     Mark = {}", connection.mark);
    }
    line!(text, "     Timeout = {}", fraction(connection.timeout));
}

fn write_http(
    text: &mut Text,
    checker: &Checker,
    http: &HttpCheck,
    standing: &Standing,
    inherited: Option<&String>,
) {
    let protocol = match http.protocol {
        HttpProtocol::V10 => "1.0",
        HttpProtocol::V10Close => "1.0C",
        HttpProtocol::V11 => "1.1",
    };
    line!(
        text,
        "   Keepalive method = {}, http protocol {protocol}",
        checker.kind.keyword()
    );
    if let Some(host) = &http.virtual_host
        && Some(host) != inherited
    {
        line!(text, "   Virtualhost = '{host}'");
    }
    line!(text, "   Enable SNI {}", set_unset(http.enable_sni));
    if let Some(name) = &http.sni_name {
        line!(text, "   SNI name = '{name}'");
    }
    line!(text, "   Fast recovery {}", set_unset(http.fast_recovery));
    if http.tls_compliant {
        line!(text, "   tls_compliant set");
    }
    for url in &http.urls {
        write_url(text, url);
    }
    if let Some(url) = standing.failed_url.and_then(|failed| http.urls.get(failed)) {
        line!(text, "   Failed URL = {}", url.path);
    }
}

fn write_url(text: &mut Text, url: &Url) {
    line!(text, "   Checked url = {}", url.path);
    if let Some(host) = &url.virtual_host {
        line!(text, "     Virtualhost = '{host}'");
    }
    if let Some(digest) = &url.digest {
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        line!(text, "     digest = {digits}");
    }
    line!(
        text,
        "     tls_compliant {}",
        set_unset(url.tls_compliant == Some(true))
    );
    line!(text, "     HTTP Status Code(s)");
    if url.status.is_empty() {
        line!(text, "       200-299");
    }
    for range in &url.status {
        if range.first == range.last {
            line!(text, "       {}", range.first);
        } else {
            line!(text, "       {}-{}", range.first, range.last);
        }
    }
    if let Some(pattern) = &url.pattern {
        line!(text, "     Regex = \"{}\"", pattern.regex);
        if pattern.no_match {
            line!(text, "     Regex no match");
        }
        if !pattern.options.is_empty() {
            line!(text, "     Regex options = {}", pattern.options.join(" "));
        }
        if pattern.min_offset > 0 {
            line!(text, "     Regex min offset = {}", pattern.min_offset);
        }
        if pattern.max_offset > 0 {
            line!(text, "     Regex max offset = {}", pattern.max_offset);
        }
    }
}

fn write_udp(text: &mut Text, udp: &UdpCheck) {
    match &udp.payload {
        Some(payload) => line!(text, "   Payload len = {}", payload.len()),
        None => line!(text, "   Payload specified = no"),
    }
    line!(text, "   Require reply = {}", yes_no(udp.reply.is_some()));
    if let Some(reply) = &udp.reply {
        line!(text, "     Min reply length = {}", udp.min_length);
        line!(text, "     Max reply length = {}", udp.max_length);
        if !reply.data.is_empty() {
            line!(text, "     Reply data len = {}", reply.data.len());
            line!(text, "     Reply data mask = {}", yes_no(reply.mask.is_some()));
        }
    }
}

fn set_unset(set: bool) -> &'static str {
    if set { "set" } else { "unset" }
}
