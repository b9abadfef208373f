//! The JSON file of SIGRTMIN+2. Keys, their order and the form of numbers are keepalived's.

use super::tracking::param_match;
use super::vrrp::{excluded_vips, notifies_deleted, vips, virtual_routes};
use super::{command, ours, routes, seconds};
use crate::model::script::Command;
use crate::model::vrrp::{Accept, Authentication, Instance, Version};
use crate::model::{Configuration, Tracked};
use crate::state::Statistics;
use crate::state::snapshot::{InstanceSnapshot, ProcessSnapshot, Snapshot};
use std::fmt::{Display, Write};
use std::time::UNIX_EPOCH;

/// `keepalived.json`. `version` 1 is the list of instances; 2 (`json_version 2`) puts it beside the
/// tracked processes.
pub fn json(snapshot: &Snapshot, version: u32) -> String {
    let mut out = String::new();
    if version >= 2 {
        out.push_str("{\"vrrp\":");
    }
    list(&mut out, &snapshot.instances, |out, taken| {
        instance(out, &snapshot.config, taken)
    });
    if version >= 2 {
        if !snapshot.processes.is_empty() {
            out.push_str(",\"track_process\":");
            list(&mut out, &snapshot.processes, process);
        }
        out.push('}');
    }
    out.push('\n');
    out
}

/// The same with what keepalived has no place for. Version 1 is a list and stays as it is.
pub fn json_with_ours(snapshot: &Snapshot, version: u32) -> String {
    let mut out = json(snapshot, version);
    if version >= 2 && out.ends_with("}\n") {
        out.truncate(out.len() - 2);
        let _ = write!(out, ",\"{}\":{}}}", ours::KEY, ours::ours(snapshot));
        out.push('\n');
    }
    out
}

fn instance(out: &mut String, config: &Configuration, taken: &InstanceSnapshot) {
    out.push_str("{\"data\":");
    data(out, config, taken);
    out.push_str(",\"stats\":");
    stats(out, &taken.statistics);
    out.push('}');
}

fn data(out: &mut String, all: &Configuration, taken: &InstanceSnapshot) {
    let config = &*taken.config;
    let vmac = config.virtual_interface();
    let mut object = Object::open(out);
    object.string("iname", &config.name);
    object.value("dont_track_primary", u8::from(config.dont_track_primary));
    object.value("skip_check_adv_addr", u8::from(config.skip_check_adv_addr));
    object.value("strict_mode", u8::from(config.strict));
    object.string("vmac_ifname", vmac.unwrap_or_default());
    let interface = vmac.unwrap_or(&config.interface);
    if !interface.is_empty() {
        object.string("ifp_ifname", interface);
    }
    object.value("master_priority", taken.master_priority);
    object.value("last_transition", {
        let since = taken
            .last_transition
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        seconds(since.unwrap_or_default())
    });
    object.value("garp_delay", seconds(config.garp.master_delay));
    object.value("garp_refresh", config.garp.refresh.as_secs());
    object.value("garp_rep", config.garp.master_repeat);
    object.value("garp_refresh_rep", config.garp.refresh_repeat);
    object.value("garp_lower_prio_delay", config.garp.lower_prio_delay.as_secs());
    object.value("garp_lower_prio_rep", config.garp.lower_prio_repeat);
    object.value("lower_prio_no_advert", u8::from(config.lower_prio_no_advert));
    object.value(
        "higher_prio_send_advert",
        u8::from(config.higher_prio_send_advert),
    );
    object.value("vrid", config.vrid);
    object.value("base_priority", config.priority);
    object.value("effective_priority", taken.effective_priority);
    object.value(
        "vipset",
        taken.vips_set.iter().chain(&taken.excluded_set).any(|set| *set) || vipset(taken),
    );
    object.value("promote_secondaries", config.promote_secondaries);
    object.value("adver_int", seconds(config.advert_interval));
    object.value("master_adver_int", seconds(taken.master_interval));
    object.value("accept", u8::from(config.accept == Accept::Enabled));
    object.value("nopreempt", config.nopreempt);
    object.value("preempt_delay", config.preempt_delay.as_secs());
    object.value("state", taken.state as u8);
    object.value("wantstate", taken.wanted as u8);
    object.value("version", config.version.number());
    object.value("smtp_alert", config.smtp_alert);
    object.value("notify_deleted", notifies_deleted(config));
    scripts(&mut object, config);
    object.strings("vips", &vips(taken));
    object.strings("evips", &excluded_vips(taken));
    object.strings("vroutes", &virtual_routes(taken));
    object.strings(
        "vrules",
        &config.rules.iter().map(routes::rule).collect::<Vec<_>>(),
    );
    let names = |list: &[Tracked]| {
        list.iter()
            .map(|tracked| tracked.name.clone())
            .collect::<Vec<_>>()
    };
    object.strings("track_ifp", &names(&config.track_interfaces));
    let commands = config.track_scripts.iter().filter_map(|tracked| {
        let script = all.scripts.iter().find(|script| script.name == tracked.name)?;
        Some(command(&script.command))
    });
    object.strings("track_script", &commands.collect::<Vec<_>>());
    object.strings("track_process", &names(&config.track_processes));
    let kind = match config.authentication {
        _ if config.version == Version::V3 => 0,
        Authentication::None => 0,
        Authentication::Pass(_) => 1,
        Authentication::Ah(_) => 2,
    };
    object.value("auth_type", kind);
    if kind != 0 {
        object.string("auth_data", "********");
    }
    object.close();
}

/// A master without addresses counts as one whose addresses are set.
fn vipset(taken: &InstanceSnapshot) -> bool {
    taken.state == crate::state::VrrpState::Master
        && taken.config.vips.is_empty()
        && taken.config.excluded_vips.is_empty()
}

fn scripts(object: &mut Object, config: &Instance) {
    let notify = &config.notify;
    let scripts: [(&str, &Option<Command>); 7] = [
        ("script_backup", &notify.backup),
        ("script_master", &notify.master),
        ("script_fault", &notify.fault),
        ("script_stop", &notify.stop),
        ("script_deleted", &notify.deleted),
        ("script", &notify.generic),
        ("script_master_rx_lower_pri", &notify.master_rx_lower_priority),
    ];
    for (key, script) in scripts {
        if let Some(script) = script.as_ref().filter(|script| !script.disabled) {
            object.string(key, &command(script));
        }
    }
}

fn stats(out: &mut String, counts: &Statistics) {
    let mut object = Object::open(out);
    for (key, count) in [
        ("advert_rcvd", counts.advert_rcvd),
        ("advert_sent", counts.advert_sent),
        ("become_master", counts.become_master),
        ("release_master", counts.release_master),
        ("packet_len_err", counts.packet_len_err),
        ("advert_interval_err", counts.advert_interval_err),
        ("ip_ttl_err", counts.ip_ttl_err),
        ("invalid_type_rcvd", counts.invalid_type_rcvd),
        ("addr_list_err", counts.addr_list_err),
        ("invalid_authtype", counts.invalid_authtype),
        ("authtype_mismatch", counts.authtype_mismatch),
        ("auth_failure", counts.auth_failure),
        ("auth_ext_missing", counts.auth_ext_missing),
        ("auth_ext_malformed", counts.auth_ext_malformed),
        ("auth_ext_unknown_key", counts.auth_ext_unknown_key),
        ("auth_ext_invalid_hmac", counts.auth_ext_invalid_hmac),
        ("auth_ext_stale", counts.auth_ext_stale),
        ("auth_ext_replay", counts.auth_ext_replay),
        ("pri_zero_rcvd", counts.pri_zero_rcvd),
        ("pri_zero_sent", counts.pri_zero_sent),
    ] {
        object.value(key, count);
    }
    object.close();
}

fn process(out: &mut String, taken: &ProcessSnapshot) {
    let config = &*taken.config;
    let mut object = Object::open(out);
    object.string("process", &config.name);
    if !config.params.is_empty() {
        object.string("parameters", &config.params.join(" "));
    }
    object.string("param_match", param_match(config.param_match));
    object.value("min_processes", config.quorum);
    if let Some(most) = config.quorum_max {
        object.value("max_processes", most);
    }
    object.value("current_processes", taken.current);
    object.value("have_quorum", taken.have_quorum);
    object.value("weight", config.weight);
    object.value("terminate_delay", seconds(config.terminate_delay));
    object.value("fork_delay", seconds(config.fork_delay));
    object.value("fork_delay_timer_running", taken.fork_timer);
    object.value("terminate_delay_timer_running", taken.terminate_timer);
    object.value("full_command", config.full_command);
    object.close();
}

/// A JSON object being written. serde_json has another order of keys, form of numbers and escape of `/`.
struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut String) -> Self {
        out.push('{');
        Object { out, empty: true }
    }

    fn key(&mut self, key: &str) {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        string(self.out, key);
        self.out.push(':');
    }

    /// A number or a boolean.
    fn value(&mut self, key: &str, value: impl Display) {
        self.key(key);
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        string(self.out, value);
    }

    /// A list of strings; an empty one is left out.
    fn strings(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.key(key);
            list(self.out, values, |out, value| string(out, value));
        }
    }

    fn close(self) {
        self.out.push('}');
    }
}

fn list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn string(out: &mut String, value: &str) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_keepalived_does() {
        let mut out = String::new();
        string(&mut out, "'/run/a' \"b\"\\\t\u{1}\u{e9}");
        assert_eq!(out, "\"'\\/run\\/a' \\\"b\\\"\\\\\\t\\u0001\u{e9}\"");
        assert_eq!(
            serde_json::from_str::<String>(&out).unwrap(),
            "'/run/a' \"b\"\\\t\u{1}\u{e9}"
        );
    }
}
