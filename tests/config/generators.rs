//! Files that configuration generators write (`generators/`, made by the script there), and what is said about each on
//! a host that has what it names. The lab has the built program beside keepalived for the same files.

use keepalived_rs::config::{self, MemoryHost, ReadOptions};

use crate::FILE;

const ROOT: &str = "SECURITY VIOLATION - scripts are being executed but script_security not enabled.";
const CHECKS_ROOT: &str =
    "SECURITY VIOLATION - check scripts are being executed but script_security not enabled.";
const OWN_INTERFACE: &str = "(VR_51) Ignoring track_interface ha-2f3bcf0c-5a since own interface";

/// What is said.
const SAID: [(&str, &str, &[&str]); 12] = [
    (
        "kolla",
        include_str!("generators/kolla.conf"),
        &["(Line 20) Truncating auth_pass to 8 characters", ROOT],
    ),
    (
        "kolla-unicast-external",
        include_str!("generators/kolla-unicast-external.conf"),
        &["(Line 29) Truncating auth_pass to 8 characters", ROOT],
    ),
    (
        "neutron-auth-and-routes",
        include_str!("generators/neutron-auth-and-routes.conf"),
        &[
            "(Line 14) Truncating auth_pass to 8 characters",
            "(Line 28) Cannot specify scope for IPv6 addresses (fe80::f816:3eff:fe45:6eab/64) - ignoring scope",
            OWN_INTERFACE,
        ],
    ),
    (
        "neutron-ha-router",
        include_str!("generators/neutron-ha-router.conf"),
        &[OWN_INTERFACE],
    ),
    (
        "neutron-health-check",
        include_str!("generators/neutron-health-check.conf"),
        &[ROOT, OWN_INTERFACE],
    ),
    (
        "octavia-lvs-http",
        include_str!("generators/octavia-lvs-http.conf"),
        &[],
    ),
    (
        "octavia-lvs-sctp",
        include_str!("generators/octavia-lvs-sctp.conf"),
        &[CHECKS_ROOT],
    ),
    (
        "octavia-lvs-tcp-check",
        include_str!("generators/octavia-lvs-tcp-check.conf"),
        &[],
    ),
    (
        "octavia-lvs-udp",
        include_str!("generators/octavia-lvs-udp.conf"),
        &[CHECKS_ROOT],
    ),
    (
        // keepalived has no `gateway` in routes: octavia's host routes are lost with it as well.
        "octavia-vrrp",
        include_str!("generators/octavia-vrrp.conf"),
        &[
            "(Line 37) VRRP parsed invalid IP gateway. skipping IP...",
            "(Line 37) unknown route keyword gateway",
            ROOT,
        ],
    ),
    (
        "octavia-vrrp-ipv6",
        include_str!("generators/octavia-vrrp-ipv6.conf"),
        &[
            ROOT,
            "(6bae1dd5c4ec4d3b9a1e) VRRP version 3 does not support authentication. Ignoring.",
        ],
    ),
    (
        "octavia-vrrp-two-families",
        include_str!("generators/octavia-vrrp-two-families.conf"),
        &[ROOT],
    ),
];

#[test]
fn what_generators_write_is_read_as_keepalived_reads_it() {
    let mut differences = Vec::new();
    for (name, text, expected) in SAID {
        let mut host = host();
        host.file(FILE, text);
        let options = ReadOptions {
            test: true,
            ..ReadOptions::default()
        };
        let reading = config::read(&host, &options);
        let said = crate::said(&reading);
        let not_yet = reading.not_yet();
        if said != expected || !not_yet.is_empty() {
            differences.push(format!("{name}: {said:#?} {not_yet:?}"));
        }
        let configuration = reading.configuration;
        let (routers, servers) = (configuration.instances.len(), configuration.lvs.servers.len());
        assert!(routers + servers > 0, "{name} configures something");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// All files are in the table, and the script is not forgotten when there are more.
#[test]
fn no_file_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/generators");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder")
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".conf").map(str::to_owned))
        .collect();
    names.sort();
    assert_eq!(names, SAID.map(|(name, ..)| name));
}

fn host() -> MemoryHost {
    let mut host = crate::host();
    host.interface("ha-2f3bcf0c-5a").interface("qg-8a1f0b3e-9d");
    for n in 1..=25 {
        host.interface(&format!("qr-{n:08x}-1a"));
    }
    // octavia's balancer runs in a namespace; without it nothing below that line is looked at.
    host.file("/run/netns/amphora-haproxy", "");
    for script in [
        "/check_alive.sh",
        "/var/lib/octavia/vrrp/check_script.sh",
        "/var/lib/octavia/lvs/check/udp_check.sh",
        "/var/lib/neutron/ha_confs/r1/ha_check_script_51.sh",
        "/usr/bin/amphora-health-checker",
    ] {
        host.script(script);
    }
    host
}
