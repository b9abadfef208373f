//! Metrics in the text format of Prometheus. Where the exporters that read keepalived's files have a metric, it has
//! their name, labels and numbers, so that dashboards go on; all others follow Prometheus' conventions.

use crate::state::VrrpState;
use crate::state::lvs::{LvsSnapshot, Since};
use crate::state::snapshot::{InstanceSnapshot, Snapshot};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the answer is declared as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics. `versions`: ours, and that of keepalived whose place it takes.
pub fn metrics(snapshot: &Snapshot, versions: (&str, &str)) -> String {
    let mut out = Metrics::default();
    out.gauge("keepalived_up", "The daemon answers", &[], 1);
    let build = [("version", versions.0), ("keepalived_version", versions.1)];
    out.gauge("keepalived_rs_build_info", "Versions; always 1", &build, 1);
    for instance in &snapshot.instances {
        vrrp(&mut out, instance);
    }
    for group in &snapshot.groups {
        let labels = [("group", group.config.name.as_str())];
        let help = "State of a sync group: 0 init, 1 backup, 2 master, 3 fault";
        out.gauge(
            "keepalived_vrrp_sync_group_state",
            help,
            &labels,
            state(group.state),
        );
    }
    for script in &snapshot.scripts {
        let labels = [("name", script.config.name.as_str())];
        if let Some(up) = script.up {
            out.gauge(
                "keepalived_track_script_up",
                "The script succeeds",
                &labels,
                u8::from(up),
            );
        }
        let history = &script.history;
        for (name, help, count) in [
            (
                "keepalived_track_script_runs_total",
                "Runs of the script",
                history.runs,
            ),
            (
                "keepalived_track_script_failures_total",
                "Runs that failed",
                history.failures,
            ),
            (
                "keepalived_track_script_timeouts_total",
                "Runs that took too long",
                history.timeouts,
            ),
        ] {
            out.counter(name, help, &labels, count);
        }
    }
    for session in &snapshot.bfd {
        let labels = [("name", session.config.name.as_str())];
        out.gauge(
            "keepalived_bfd_up",
            "The BFD session is up",
            &labels,
            u8::from(session.up),
        );
    }
    if let Some(lvs) = &snapshot.lvs {
        servers(&mut out, lvs);
    }
    out.text()
}

fn vrrp(out: &mut Metrics, taken: &InstanceSnapshot) {
    let config = &*taken.config;
    let vrid = config.vrid.to_string();
    let labels = [
        ("iname", config.name.as_str()),
        ("intf", config.virtual_interface().unwrap_or(&config.interface)),
        ("vrid", vrid.as_str()),
    ];
    let help = "State of an instance: 0 init, 1 backup, 2 master, 3 fault; once for each address";
    for (name, addresses) in [
        ("keepalived_vrrp_state", &config.vips),
        ("keepalived_vrrp_excluded_state", &config.excluded_vips),
    ] {
        for address in addresses {
            let ip = address.network.address.to_string();
            let labels = [labels[0], labels[1], labels[2], ("ip_address", ip.as_str())];
            out.gauge(name, help, &labels, state(taken.state));
        }
    }
    let count = &taken.statistics;
    for (name, help, count) in [
        (
            "advertisements_received",
            "Advertisements received",
            count.advert_rcvd,
        ),
        ("advertisements_sent", "Advertisements sent", count.advert_sent),
        ("become_master", "Transitions to master", count.become_master),
        ("release_master", "Transitions from master", count.release_master),
        (
            "packet_length_errors",
            "Advertisements of a wrong length",
            count.packet_len_err,
        ),
        (
            "advertisements_interval_errors",
            "Advertisements with another interval",
            count.advert_interval_err,
        ),
        (
            "ip_ttl_errors",
            "Advertisements whose TTL is not 255",
            count.ip_ttl_err,
        ),
        (
            "invalid_type_received",
            "Packets that are no advertisements",
            count.invalid_type_rcvd,
        ),
        (
            "address_list_errors",
            "Advertisements with other addresses",
            count.addr_list_err,
        ),
        (
            "authentication_invalid",
            "Unknown kinds of authentication",
            count.invalid_authtype,
        ),
        (
            "authentication_mismatch",
            "Another kind of authentication",
            count.authtype_mismatch,
        ),
        (
            "authentication_failure",
            "Failed authentications",
            count.auth_failure,
        ),
        (
            "priority_zero_received",
            "Priority 0 received",
            count.pri_zero_rcvd,
        ),
        ("priority_zero_sent", "Priority 0 sent", count.pri_zero_sent),
        (
            "vrrp_checksum_errors",
            "Advertisements with a wrong checksum",
            count.checksum_err,
        ),
        (
            "vrrp_version_errors",
            "Advertisements of another version",
            count.version_err,
        ),
        (
            "vrrp_discarded",
            "Advertisements refused for another reason",
            count.discarded,
        ),
        (
            "vrrp_hmac_missing",
            "Advertisements without the trailer of auth_hmac",
            count.auth_ext_missing,
        ),
        (
            "vrrp_hmac_malformed",
            "Trailers that make no sense",
            count.auth_ext_malformed,
        ),
        (
            "vrrp_hmac_unknown_key",
            "Trailers with an unknown key",
            count.auth_ext_unknown_key,
        ),
        (
            "vrrp_hmac_invalid",
            "Trailers with a wrong HMAC",
            count.auth_ext_invalid_hmac,
        ),
        (
            "vrrp_hmac_stale",
            "Trailers outside the time window",
            count.auth_ext_stale,
        ),
        (
            "vrrp_hmac_replayed",
            "Trailers that came before",
            count.auth_ext_replay,
        ),
    ] {
        out.counter(&format!("keepalived_{name}_total"), help, &labels, count);
    }
    out.gauge(
        "keepalived_vrrp_priority",
        "Effective priority",
        &labels,
        taken.effective_priority,
    );
    out.gauge(
        "keepalived_vrrp_master_priority",
        "Priority of the master, as last heard",
        &labels,
        taken.master_priority,
    );
    time(
        out,
        "keepalived_vrrp_last_transition_timestamp_seconds",
        "When the state last changed",
        &labels,
        taken.last_transition,
    );
    let conflicts = taken.company.conflicts.iter().filter(|conflict| !conflict.over);
    out.gauge(
        "keepalived_vrrp_conflicts",
        "Other masters of the virtual router",
        &labels,
        conflicts.count(),
    );
    let unheard = u8::from(taken.company.unheard.is_some());
    out.gauge(
        "keepalived_vrrp_unheard",
        "1: master, and nobody was ever heard although somebody should be",
        &labels,
        unheard,
    );
    for peer in &taken.company.peers {
        let address = peer.address.to_string();
        let labels = [labels[0], labels[1], labels[2], ("peer", address.as_str())];
        let refused: u64 = peer.refused.iter().map(|(_, adverts)| adverts).sum();
        for (name, help, count) in [
            (
                "advertisements_received",
                "Advertisements of a peer",
                peer.accepted,
            ),
            (
                "advertisements_refused",
                "Advertisements of a peer that were refused",
                refused,
            ),
            (
                "send_errors",
                "Advertisements that could not be sent to a peer",
                peer.send_failures,
            ),
            (
                "icmp_errors",
                "ICMP errors about advertisements to a peer",
                peer.unreachable,
            ),
        ] {
            out.counter(
                &format!("keepalived_vrrp_peer_{name}_total"),
                help,
                &labels,
                count,
            );
        }
    }
}

fn servers(out: &mut Metrics, lvs: &LvsSnapshot) {
    for server in &lvs.servers {
        let name = server.config.to_string();
        let labels = [("virtual_server", name.as_str())];
        out.gauge(
            "keepalived_virtual_server_up",
            "It has its quorum",
            &labels,
            u8::from(server.quorum_up),
        );
        out.gauge(
            "keepalived_virtual_server_quorum",
            "Weight that it asks for",
            &labels,
            server.config.quorum,
        );
        out.gauge(
            "keepalived_virtual_server_weight",
            "Weight of the real servers that are up",
            &labels,
            server.weight,
        );
        if server.config.sorry_server.is_some() {
            let used = u8::from(server.sorry.alive);
            out.gauge(
                "keepalived_virtual_server_sorry",
                "The sorry server is in use",
                &labels,
                used,
            );
        }
        changes(out, "keepalived_virtual_server", &labels, server.since);
        for (config, real) in server.config.real_servers.iter().zip(&server.reals) {
            let name = server.config.real_server_name(config.address, config.port);
            let labels = [labels[0], ("real_server", name.as_str())];
            out.gauge(
                "keepalived_real_server_up",
                "No check of it fails",
                &labels,
                u8::from(real.alive),
            );
            out.gauge(
                "keepalived_real_server_weight",
                "Weight, with what checks add",
                &labels,
                real.weight,
            );
            changes(out, "keepalived_real_server", &labels, real.since);
            for (number, checker) in real.checkers.iter().enumerate() {
                let number = number.to_string();
                let kind = ("checker", checker.checker.kind.keyword());
                let labels = [labels[0], labels[1], kind, ("number", number.as_str())];
                let standing = lvs.standings.get(&checker.id);
                out.gauge(
                    "keepalived_checker_up",
                    "The check succeeds",
                    &labels,
                    u8::from(checker.up),
                );
                for (name, help, count) in [
                    (
                        "checks",
                        "Checks that were made",
                        standing.map_or(0, |s| s.checks),
                    ),
                    (
                        "bad_checks",
                        "Checks that failed, retries too",
                        standing.map_or(0, |s| s.bad),
                    ),
                    ("failures", "Failures after all retries", checker.history.failures),
                ] {
                    out.counter(&format!("keepalived_checker_{name}_total"), help, &labels, count);
                }
            }
        }
    }
}

fn changes(out: &mut Metrics, what: &str, labels: &[(&str, &str)], since: Since) {
    out.counter(
        &format!("{what}_changes_total"),
        "How often it came up or went down",
        labels,
        since.changes,
    );
    let name = format!("{what}_last_change_timestamp_seconds");
    time(out, &name, "Since when it is up or down", labels, since.at);
}

fn time(out: &mut Metrics, name: &str, help: &'static str, labels: &[(&str, &str)], at: Option<SystemTime>) {
    if let Some(since) = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
        out.gauge(
            name,
            help,
            labels,
            format_args!("{}.{:03}", since.as_secs(), since.subsec_millis()),
        );
    }
}

/// As the exporters number it.
fn state(state: VrrpState) -> u8 {
    state as u8
}

/// Samples, gathered by metric: those of one metric stand together, in the order in which they came.
#[derive(Default)]
struct Metrics(BTreeMap<String, Family>);

struct Family {
    kind: &'static str,
    help: &'static str,
    samples: String,
}

impl Metrics {
    fn gauge(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: impl Display) {
        self.sample(name, ("gauge", help), labels, value);
    }

    fn counter(&mut self, name: &str, help: &'static str, labels: &[(&str, &str)], value: u64) {
        self.sample(name, ("counter", help), labels, value);
    }

    fn sample(
        &mut self,
        name: &str,
        (kind, help): (&'static str, &'static str),
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        if !self.0.contains_key(name) {
            let samples = String::new();
            self.0.insert(name.to_owned(), Family { kind, help, samples });
        }
        let Some(family) = self.0.get_mut(name) else {
            return;
        };
        let out = &mut family.samples;
        out.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            // Writing to a String cannot fail.
            let _ = write!(out, "{before}{label}=\"");
            escape(out, text);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
    }

    fn text(self) -> String {
        let mut text = String::new();
        for (name, family) in self.0 {
            let _ = write!(
                text,
                "# HELP {name} {}\n# TYPE {name} {}\n{}",
                family.help, family.kind, family.samples
            );
        }
        text
    }
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_stand_together_and_labels_are_escaped() {
        let mut out = Metrics::default();
        out.gauge("b", "B", &[("name", "a\"\\\n")], 1);
        out.counter("a_total", "A", &[], 2);
        out.gauge("b", "B", &[("name", "x"), ("y", "\u{e9}")], "1.5");
        assert_eq!(
            out.text(),
            "# HELP a_total A\n# TYPE a_total counter\na_total 2\n\
             # HELP b B\n# TYPE b gauge\nb{name=\"a\\\"\\\\\\n\"} 1\nb{name=\"x\",y=\"\u{e9}\"} 1.5\n"
        );
    }
}
