//! Before the start: what the configuration needs of the system and does not get, each with the line that
//! grants it. Containers keep back capabilities and settings of the kernel; what fails later for want of them
//! says so in other words.

use super::services;
use crate::model::{Configuration, Identity};
use crate::process::privileges::{self, Capability, Need};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::Path;

/// What is missing, and what is in the way.
pub(super) fn run(config: &Configuration) -> Vec<String> {
    let mut lines = privileges::missing(&needs(config));
    lines.extend(settings(config));
    lines
}

/// When a network namespace could not be entered.
pub(super) fn for_namespace() -> Vec<String> {
    privileges::missing(&[Need {
        capability: Capability::SysAdmin,
        why: "network namespaces cannot be entered".to_owned(),
    }])
}

fn needs(config: &Configuration) -> Vec<Need> {
    let identities: Vec<Identity> = services::identities(config).collect();
    let timed = !config.scripts.is_empty();
    let mut needs = Vec::new();
    let mut need = |capability, why: &str| {
        let why = why.to_owned();
        needs.push(Need { capability, why });
    };
    let vrrp = !config.instances.is_empty();
    let addresses = config
        .instances
        .iter()
        .any(|i| !i.vips.is_empty() || !i.excluded_vips.is_empty());
    let lvs = !config.lvs.servers.is_empty();
    if vrrp && addresses {
        need(
            Capability::NetAdmin,
            "virtual addresses, routes and interfaces cannot be set, and a master without them is of no use",
        );
    } else if vrrp || lvs || !config.bfd.is_empty() {
        need(
            Capability::NetAdmin,
            "buffers of sockets, firewall rules and IPVS cannot be set",
        );
    }
    if vrrp {
        need(
            Capability::NetRaw,
            "adverts cannot be sent or received, nor addresses announced",
        );
    }
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    if identities.iter().any(|identity| identity.uid != uid) {
        need(
            Capability::Setuid,
            "scripts cannot be run as their user (`script_user`)",
        );
        if timed {
            need(
                Capability::Kill,
                "scripts of another user cannot be ended at their time limit",
            );
        }
    }
    if identities
        .iter()
        .any(|identity| identity.gid != gid || identity.uid != uid)
    {
        need(
            Capability::Setgid,
            "scripts cannot be run with their group (`script_user`)",
        );
    }
    let globals = &config.globals;
    if globals.vrrp_process.realtime.is_some() || globals.vrrp_process.nice < 0 {
        need(
            Capability::SysNice,
            "`vrrp_rt_priority` and `vrrp_priority` have no effect",
        );
    } else if vrrp {
        need(
            Capability::SysNice,
            "the VRRP thread has no precedence over other programs, and may be late on a busy machine",
        );
    }
    if globals.vrrp_process.no_swap || globals.checker_process.no_swap {
        need(
            Capability::IpcLock,
            "`vrrp_no_swap` and `checker_no_swap` have no effect",
        );
    }
    needs
}

/// Settings of the kernel that are in the way, one line each.
fn settings(config: &Configuration) -> Vec<String> {
    let mut lines = Vec::new();
    let virtual_links = config.instances.iter().any(|i| i.vmac.is_some());
    if virtual_links && !writable(Path::new("/proc/sys/net/ipv4/conf/default/arp_ignore")) {
        lines.push(
            "/proc/sys is read-only: settings of virtual interfaces (`use_vmac`) cannot be written, and neighbours may \
             learn the wrong MAC address. docker run --security-opt systempaths=unconfined; Kubernetes: \
             securityContext: {procMount: Unmasked}; systemd: ProtectKernelTunables=no"
                .to_owned(),
        );
    }
    let mut told = BTreeSet::new();
    for instance in &config.instances {
        for address in instance.vips.iter().chain(&instance.excluded_vips) {
            let interface = address.interface.as_str();
            if address.network.address.is_ipv4() || !told.insert(interface) {
                continue;
            }
            let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
            if fs::read_to_string(path).is_ok_and(|value| value.trim() == "1") {
                lines.push(format!(
                    "({}) IPv6 is off on {interface} (net.ipv6.conf.{interface}.disable_ipv6 is 1): {} cannot be set. \
                     docker run --sysctl net.ipv6.conf.all.disable_ipv6=0; Kubernetes: securityContext: {{sysctls: \
                     [{{name: net.ipv6.conf.all.disable_ipv6, value: \"0\"}}]}}; else sysctl -w \
                     net.ipv6.conf.{interface}.disable_ipv6=0",
                    instance.name, address.network.address
                ));
            }
        }
    }
    lines
}

/// Can be opened for writing; one that does not exist is not in the way.
fn writable(path: &Path) -> bool {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
