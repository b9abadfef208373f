//! A reload: what is refused, and why. The way from the old to the new configuration is `vrrp::plan`.

use crate::config::{Class, Reading, Start};
use crate::model::{Configuration, Globals};
use crate::process::pidfile::Naming;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why a configuration is not taken, in one line; `None` when it is.
pub fn refusal(old: &Configuration, reading: &Reading, check_config: bool) -> Option<String> {
    // A namespace that is not there: reading ends with `global_defs`, and it is another one than ours.
    if reading.start == Start::Exit(0) {
        return Some(cannot_change("network namespace"));
    }
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
    Some(cannot_change(what))
}

fn cannot_change(what: &str) -> String {
    format!("Cannot change {what} at a reload - please restart keepalived")
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

/// Where the files of this daemon lie; `-s` goes before the file.
pub fn naming<'a>(globals: &'a Globals, namespace: Option<&'a str>) -> Naming<'a> {
    Naming {
        directory: globals.use_pid_dir,
        namespace: namespace.or(globals.net_namespace.as_deref()),
        instance: globals.instance_name.as_deref(),
        ..Naming::default()
    }
}

/// `reload_file`: the file that is there while the configuration is read.
pub fn marker(globals: &Globals, namespace: Option<&str>) -> Option<PathBuf> {
    let given = globals.reload_file.as_ref()?;
    let default = || {
        let instance = globals.instance_name.as_ref().map(|name| format!("_{name}"));
        let name = format!("keepalived{}.reload", instance.unwrap_or_default());
        naming(globals, namespace).run_directory().join(name)
    };
    Some(given.as_ref().map_or_else(default, PathBuf::from))
}

/// Makes the file. A link in its place is not followed.
pub fn mark(path: &Path) {
    if let Err(error) = create(path, 0o644) {
        tracing::warn!(target: "parent", "cannot make reload_file {}: {error}", path.display());
    }
}

/// Removes the file.
pub fn unmark(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(target: "parent", "cannot remove reload_file {}: {error}", path.display());
        }
        _ => {}
    }
}

/// `reload_check_config FILE`: the complaints go there. Says where they can be read.
pub fn save_complaints(globals: &Globals, reading: &Reading) -> String {
    let Some(Some(path)) = &globals.reload_check_config else {
        return "the log".to_owned();
    };
    let text: String = reading.log_lines().map(|(_, line)| line + "\n").collect();
    match create(Path::new(path), 0o600).and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => path.clone(),
        Err(error) => {
            tracing::warn!(target: "parent", "cannot write {path}: {error}");
            "the log".to_owned()
        }
    }
}

fn create(path: &Path, mode: u32) -> io::Result<std::fs::File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, DEFAULT_FILE, MemoryHost, ReadOptions};

    fn read(text: &str) -> Reading {
        let mut host = MemoryHost::default();
        host.interface("eth0");
        host.file(DEFAULT_FILE, text);
        config::read(&host, &ReadOptions::default())
    }

    const INSTANCE: &str = "vrrp_instance A {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n \
                            192.0.2.1/24\n }\n}\n";

    #[test]
    fn what_keepalived_lives_with_is_taken_unless_the_check_is_asked_for() {
        let old = read(INSTANCE).configuration;
        let complaint = read(&format!("{INSTANCE}no_such_keyword\n"));
        assert_eq!(refusal(&old, &complaint, false), None);
        let reason = refusal(&old, &complaint, true).unwrap();
        assert!(reason.contains("no_such_keyword"), "{reason}");
        assert_eq!(refusal(&old, &read(INSTANCE), true), None);
    }

    #[test]
    fn what_would_not_start_is_refused_with_its_first_cause() {
        let old = read(INSTANCE).configuration;
        let reason = refusal(&old, &read("vrrp_instance A {\n interface eth0\n}\n"), false).unwrap();
        assert!(
            reason.contains("would not start") && reason.contains("virtual router id"),
            "{reason}"
        );
    }

    #[test]
    fn what_cannot_change_while_running_is_refused_by_name() {
        let old = read(INSTANCE).configuration;
        for (line, what) in [
            ("net_namespace other\n", "network namespace"),
            ("instance other\n", "instance name"),
            ("global_defs {\n disable_local_igmp\n}\n", "disable_local_igmp"),
        ] {
            let reason = refusal(&old, &read(&format!("{line}{INSTANCE}")), false).unwrap();
            let expected = format!("Cannot change {what} at a reload - please restart keepalived");
            assert_eq!(reason, expected);
        }
    }
}
