//! Kernel settings (sysctl) of virtual interfaces and of those below them. Nothing that concerns other interfaces
//! (`conf/all`, `conf/default`) is ever changed.

use crate::state::kernel::{VirtualKind, VirtualLink};
use std::collections::BTreeMap;
use tracing::info;

/// What an interface below has instead of its own value while a VMAC is over it: it answers ARP requests for its
/// own addresses only, and does not say a virtual address with its own MAC address.
const BELOW: [(&str, u32); 3] = [("arp_ignore", 1), ("arp_filter", 1), ("arp_announce", 2)];

/// Sets what a virtual interface must have before it is up.
pub(super) fn prepare(link: &VirtualLink) {
    let name = &link.name;
    let mut ipv4 = vec![("arp_notify", 0)];
    if let VirtualKind::Vmac(_) = link.kind {
        // The larger of the values of `all` and of the interface counts: 2 (loose) lets packets to the addresses
        // in where `all` is 1, without a change of `all`.
        let strict = get("ipv4", "all", "rp_filter").is_some_and(|all| all != 0);
        ipv4.extend([("arp_ignore", 1), ("rp_filter", if strict { 2 } else { 0 })]);
        if link.ipv4 {
            ipv4.extend([("accept_local", 1), ("promote_secondaries", 1)]);
        }
    }
    for (key, value) in ipv4 {
        set("ipv4", name, key, value);
    }
    if get("ipv6", name, "disable_ipv6").is_none() {
        // There is no IPv6 on this host.
        return;
    }
    if !link.ipv6 {
        set("ipv6", name, "disable_ipv6", 1);
        return;
    }
    for key in ["autoconf", "accept_ra", "router_solicitations", "ndisc_notify"] {
        set("ipv6", name, key, 0);
    }
    set("ipv6", name, "disable_ipv6", 0);
}

/// Settings of interfaces below that have been changed, and what they were.
#[derive(Debug, Default)]
pub(super) struct Below {
    saved: BTreeMap<String, Vec<(&'static str, u32)>>,
}

impl Below {
    /// Changes them. `left_over`: a killed predecessor had changed them, so that what was before is not known;
    /// it was the default.
    pub(super) fn change(&mut self, name: &str, left_over: bool) {
        if self.saved.contains_key(name) {
            return;
        }
        let mut saved = Vec::new();
        for (key, value) in BELOW {
            let Some(before) = get("ipv4", name, key) else {
                continue;
            };
            let original = match get("ipv4", "default", key) {
                Some(default) if left_over && before == value => default,
                _ => before,
            };
            saved.push((key, original));
            // A setting that is stricter than ours is somebody's own.
            if before < value {
                set("ipv4", name, key, value);
            }
        }
        self.saved.insert(name.to_owned(), saved);
    }

    /// Gives back what no VMAC is over any more.
    pub(super) fn restore(&mut self, still: impl Fn(&str) -> bool) {
        let (keep, back): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.saved)
            .into_iter()
            .partition(|(name, _)| still(name));
        self.saved = keep;
        for (name, saved) in back {
            for (key, value) in saved {
                set("ipv4", &name, key, value);
            }
        }
    }

    /// The interface is gone, and its settings with it.
    pub(super) fn forget(&mut self, name: &str) {
        self.saved.remove(name);
    }
}

fn path(family: &str, interface: &str, key: &str) -> String {
    format!("/proc/sys/net/{family}/conf/{interface}/{key}")
}

fn get(family: &str, interface: &str, key: &str) -> Option<u32> {
    let text = std::fs::read_to_string(path(family, interface, key)).ok()?;
    text.trim().parse().ok()
}

fn set(family: &str, interface: &str, key: &str, value: u32) {
    if get(family, interface, key) == Some(value) {
        return;
    }
    let path = path(family, interface, key);
    match std::fs::write(&path, value.to_string()) {
        Ok(()) => {}
        // Gone meanwhile, or a kernel without this setting.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => info!(target: "vrrp", "cannot set {path} to {value}: {error}"),
    }
}
