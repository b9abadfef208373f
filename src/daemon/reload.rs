//! A reload: what is refused, and why. The way from the old to the new configuration is `vrrp::plan`.

use crate::config::{Class, Reading, Start};
use crate::model::Configuration;

/// Why a configuration is not taken, in one line; `None` when it is.
pub fn refusal(old: &Configuration, reading: &Reading, check_config: bool) -> Option<String> {
    if let Start::Exit(status) = reading.start {
        let cause = root_cause(reading);
        return Some(format!("it would not start (exit status {status}){cause}"));
    }
    if check_config && reading.test_status != 0 {
        let cause = root_cause(reading);
        return Some(format!(
            "reload_check_config: the check ends with status {}{cause}",
            reading.test_status
        ));
    }
    let what = unchangeable(old, &reading.configuration)?;
    Some(format!(
        "Cannot change {what} at a reload - please restart keepalived"
    ))
}

fn root_cause(reading: &Reading) -> String {
    let first = reading
        .diagnostics
        .iter()
        .find(|d| d.class != Class::Ok && d.class != Class::Warning);
    first.map_or_else(String::new, |d| format!(": {}", d.log_line(&reading.files)))
}

/// What the new configuration changes and cannot change while the daemon runs.
fn unchangeable(old: &Configuration, new: &Configuration) -> Option<&'static str> {
    let (old, new) = (&old.globals, &new.globals);
    let table = |g: &crate::model::Globals| g.nftables.clone();
    [
        (old.net_namespace != new.net_namespace, "network namespace"),
        (
            old.net_namespace_ipvs != new.net_namespace_ipvs,
            "IPVS network namespace",
        ),
        (old.instance_name != new.instance_name, "instance name"),
        (
            table(old).is_some() && table(new).is_some() && table(old) != table(new),
            "nftables table name",
        ),
        (
            old.nftables_ipvs.is_some()
                && new.nftables_ipvs.is_some()
                && old.nftables_ipvs != new.nftables_ipvs,
            "IPVS nftables table name",
        ),
        (
            old.tmp_config_directory != new.tmp_config_directory,
            "config_directory",
        ),
        (
            old.disable_local_igmp != new.disable_local_igmp,
            "disable_local_igmp",
        ),
    ]
    .into_iter()
    .find_map(|(changed, what)| changed.then_some(what))
}
