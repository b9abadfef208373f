//! systemd-networkd removes routes and rules that it has not made, unless it is told not to: says so before it does.

use super::host::Host;
use crate::model::Configuration;
use std::collections::BTreeMap;
use std::path::Path;

/// There as long as it runs.
const STATE: &str = "/run/systemd/netif/state";
/// Its settings: a file in an earlier folder hides one of the same name in a later one.
const FOLDERS: [&str; 4] = [
    "/etc/systemd/networkd.conf.d",
    "/run/systemd/networkd.conf.d",
    "/usr/local/lib/systemd/networkd.conf.d",
    "/usr/lib/systemd/networkd.conf.d",
];

/// What networkd is going to do to routes and rules of the configuration.
pub(super) fn advice(host: &dyn Host, config: &Configuration) -> Option<String> {
    let instances = &config.instances;
    let routes = !config.static_routes.is_empty() || instances.iter().any(|i| !i.routes.is_empty());
    let rules = !config.static_rules.is_empty() || instances.iter().any(|i| !i.rules.is_empty());
    if !(routes || rules) || host.status(Path::new(STATE), true).is_err() {
        return None;
    }
    let settings = settings(host);
    let kept = |name: &str| {
        let value = settings.get(name).map(String::as_str);
        matches!(value, Some("no" | "false" | "off" | "0" | "n" | "f"))
    };
    let mut taken = Vec::new();
    if routes && !kept("ManageForeignRoutes") {
        taken.push("routes");
    }
    if rules && !kept("ManageForeignRoutingPolicyRules") {
        taken.push("rules");
    }
    let folder = "/usr/share/doc/keepalived-rs/examples/networkd";
    (!taken.is_empty()).then(|| {
        format!(
            "systemd-networkd runs and removes {} that it has not made; {folder}/50-keepalived-rs.conf keeps it from that",
            taken.join(" and ")
        )
    })
}

fn settings(host: &dyn Host) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS {
        for path in host.glob(&format!("{folder}/*.conf")).unwrap_or_default() {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            files
                .entry(name)
                .or_insert_with(|| path.to_string_lossy().into_owned());
        }
    }
    let mut found = BTreeMap::new();
    for path in ["/usr/lib/systemd/networkd.conf", "/etc/systemd/networkd.conf"]
        .into_iter()
        .chain(files.values().map(String::as_str))
    {
        let Ok(bytes) = host.read(Path::new(path)) else {
            continue;
        };
        for line in String::from_utf8_lossy(&bytes).lines() {
            if let Some((name, value)) = line.split_once('=') {
                found.insert(name.trim().to_owned(), value.trim().to_ascii_lowercase());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::config::{MemoryHost, ReadOptions, read};

    fn advice(networkd: bool, settings: &str, lines: &str) -> Vec<String> {
        let mut host = MemoryHost::default();
        host.interface("eth0");
        if networkd {
            host.file(super::STATE, "");
        }
        host.file(
            "/etc/systemd/networkd.conf",
            "[Network]\n#ManageForeignRoutes=yes\n",
        );
        host.file("/etc/systemd/networkd.conf.d/50-keepalived-rs.conf", settings);
        host.file("/etc/keepalived/keepalived.conf", lines);
        read(&host, &ReadOptions::default()).advice
    }

    #[test]
    fn says_it_when_there_is_something_to_lose() {
        const ROUTE: &str = "static_routes {\n 203.0.113.0/24 dev eth0\n}\n";
        const RULE: &str = "static_rules {\n from 192.0.2.0/24 table 7 priority 9\n}\n";
        let shipped = include_str!("../../packaging/networkd/50-keepalived-rs.conf");
        assert_eq!(advice(false, "", ROUTE), Vec::<String>::new());
        assert_eq!(advice(true, "", ""), Vec::<String>::new());
        assert!(advice(true, "", ROUTE)[0].contains("removes routes that"));
        let both = advice(true, "", &format!("{ROUTE}{RULE}"));
        assert!(both[0].contains("removes routes and rules that"), "{both:?}");
        let half = advice(
            true,
            "[Network]\nManageForeignRoutes=no\n",
            &format!("{ROUTE}{RULE}"),
        );
        assert!(half[0].contains("removes rules that"), "{half:?}");
        assert_eq!(
            advice(true, shipped, &format!("{ROUTE}{RULE}")),
            Vec::<String>::new()
        );
    }
}
