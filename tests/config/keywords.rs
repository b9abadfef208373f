//! Every keyword of `global_defs` and of VRRP is read into the model, or is told to be without effect.

use super::{said, test};
use keepalived_rs::config::Reading;
use keepalived_rs::config::keyword::{Area, Kind, Table};
use keepalived_rs::model::Configuration;

/// A value for each keyword, unlike its default.
fn value(block: &str, name: &str) -> String {
    let value = match name {
        "process_name"
        | "vrrp_process_name"
        | "checker_process_name"
        | "lvs_process_name"
        | "bfd_process_name"
        | "router_id"
        | "smtp_helo_name"
        | "dbus_service_name"
        | "dbus_no_interface_name"
        | "net_namespace"
        | "net_namespace_ipvs"
        | "instance"
        | "snmp_socket"
        | "vmac_prefix"
        | "vmac_addr_prefix" => "other",
        "notification_email_from" => "a@example.org",
        "notification_email" => "{ b@example.org }",
        "smtp_server" => "192.0.2.5 2525",
        "vrrp_version" | "version" => "3",
        "vrrp_mcast_group4" => "224.0.0.20",
        "vrrp_mcast_group6" => "ff02::20",
        "dynamic_interfaces" => "allow_if_changes",
        "default_interface" | "interface" | "vrf" => "eth1",
        "lvs_timeouts" => "tcp 7 udp 8",
        "lvs_sync_daemon" => "eth0 inst A id 5",
        "lvs_flush_on_stop" | "lvs_flush_onstop" => "VS",
        "vrrp_iptables" => "IN OUT",
        "vrrp_ipsets" => "sets",
        "nftables" | "nftables_ipvs" => "table",
        "notify_fifo" | "vrrp_notify_fifo" | "lvs_notify_fifo" => "/tmp/fifo",
        "umask" => "0022",
        "include_check" => "read",
        "script_user" => "root root",
        "vrrp_rx_bufs_policy" => "MTU",
        "json_version" => "2",
        "max_auto_priority" | "min_auto_priority_delay" => "42",
        "state" => "MASTER",
        "mcast_src_ip" | "unicast_src_ip" => "192.0.2.9",
        "mcast_dst_ip" => "224.0.0.30",
        "use_vmac" => "vmac0",
        "use_ipvlan" => "ipv0 192.0.2.8/24",
        "old_unicast_checksum" => "never",
        "timer_expired_backup" | "thread_timer_expired" => "9",
        "lvs_sync_daemon_interface" => "eth0",
        "auth_type" => "PASS",
        "auth_pass" => "secret",
        "key" => "1 0123456789012345678901234567890123456789",
        "active_key" => "1",
        "anti_replay" => "monotonic",
        "mode" => "permissive",
        "script" | "startup_script" | "shutdown_script" => "/bin/check",
        "notify_fifo_script" | "vrrp_notify_fifo_script" | "lvs_notify_fifo_script" => "/bin/check",
        "param_match" => "initial",
        "process" => "sshd",
        "file" => "/tmp/file",
        "init_file" => "5 overwrite",
        "user" => "root",
        "group" => "{ A }",
        "interfaces" => "{ eth0 eth1 }",
        "virtual_ipaddress" | "virtual_ipaddress_excluded" => "{ 192.0.2.77 }",
        "virtual_routes" => "{ 198.51.100.0/24 via 192.0.2.1 dev eth0 }",
        "virtual_rules" => "{ from 192.0.2.0/24 table 100 priority 200 }",
        "unicast_peer" => "{ 192.0.2.3 }",
        "track_interface" => "{ eth1 weight 5 }",
        "track_script" => "{ s }",
        "track_file" if block != "(root)" => "{ f }",
        "track_process" => "{ p }",
        "track_bfd" => "{ b }",
        "authentication" => "{ auth_type PASS\n auth_pass x }",
        "auth_hmac" => "{ key 1 0123456789012345678901234567890123456789\n active_key 1 }",
        "static_ipaddress" => "{ 192.0.2.99 dev eth0 }",
        "static_routes" => "{ 198.51.100.0/24 via 192.0.2.1 dev eth0 }",
        "static_rules" => "{ from 192.0.2.0/24 table 100 priority 200 }",
        "linkbeat_interfaces" => "{ eth0 MII }",
        "interface_up_down_delays" => "{ eth0 1.5 2 }",
        "track_group" => "T { group { A } }",
        "vrrp_sync_group" => "G { group { A } }",
        "garp_group" => "{ garp_interval 0.5\n interface eth0 }",
        "vrrp_instance" => "B { interface eth1\n virtual_router_id 9\n virtual_ipaddress { 192.0.2.9 } }",
        "vrrp_script" => "x { script /bin/check }\nvrrp_sync_group G { group { A }\n track_script { x } }",
        "vrrp_track_process" => "x { process y }",
        "track_file" | "vrrp_track_file" => "x { file /tmp/y }",
        "global_defs" => "{ router_id y }",
        n if n.ends_with("_cpu_affinity") => "1 2",
        n if n.starts_with("notify") && !n.contains("priority") => "\"/bin/check a\" root",
        n if n.ends_with("_dir") || n.ends_with("_file") || n.ends_with("_directory") => "/tmp/x",
        _ => "",
    };
    value.to_owned()
}

/// A text with a keyword in its block, and the same without it.
fn texts(block: &str, line: &str) -> (String, String) {
    let objects = "vrrp_script s { script /bin/check }\ntrack_file f { file /tmp/f }\n\
        vrrp_track_process p { process x }\nbfd_instance b { neighbor_ip 192.0.2.2 }\n";
    let instance = |body: &str| {
        format!(
            "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {{ 192.0.2.1 }}\n{body}\n}}\n"
        )
    };
    let with = |body: &str| match block {
        "(root)" => format!("{objects}{}{body}\n", instance("")),
        "global_defs" => format!("global_defs {{\n{body}\n}}\n{objects}{}", instance("")),
        "vrrp_instance" => format!("{objects}{}", instance(body)),
        "vrrp_instance/authentication" => instance(&format!(
            "authentication {{\nauth_type AH\nauth_pass old\n{body}\n}}"
        )),
        "vrrp_instance/auth_hmac" => instance(&format!(
            "version 3\nauth_hmac {{\nkey 2 9999999999012345678901234567890123456789\nactive_key 2\n{body}\n}}"
        )),
        "vrrp_sync_group" => format!(
            "{objects}{}vrrp_sync_group G {{\ngroup {{ A }}\n{body}\n}}\n",
            instance("")
        ),
        "track_group" => format!("{objects}{}track_group T {{\n{body}\n}}\n", instance("")),
        "garp_group" => format!("garp_group {{\ngarp_interval 1\n{body}\n}}\n{}", instance("")),
        "vrrp_script" => format!(
            "vrrp_script q {{\nscript /bin/check\n{body}\n}}\n{}",
            instance("track_script { q }")
        ),
        "vrrp_track_process" => format!("vrrp_track_process q {{\nprocess old\n{body}\n}}\n"),
        "track_file" | "vrrp_track_file" => format!("track_file q {{\n{body}\nfile /tmp/q\n}}\n"),
        other => panic!("no text for a block {other}"),
    };
    (with(line), with(""))
}

/// What a keyword may be without trace for: its value is what stands there anyway, or it only says something.
fn without_trace(name: &str) -> bool {
    matches!(
        name,
        // Back to the default.
        "preempt" | "accept"
            // The host of the test has none: reading ends there.
            | "net_namespace"
    )
}

/// What is tried: a list or block only as it should be.
fn values(block: &str, name: &str, kind: Kind) -> Vec<String> {
    let mut values = vec![value(block, name)];
    if kind == Kind::Value {
        values.extend(["7", "", "off"].map(str::to_owned));
    }
    values
}

#[test]
fn every_keyword_leaves_a_trace() {
    let mut silent = Vec::new();
    for row in Table::get().rows() {
        let ours = matches!(row.area, Area::Global | Area::Vrrp | Area::Process);
        if !ours || row.kind == Kind::Word || row.block.contains("<line>") || without_trace(row.name) {
            continue;
        }
        let mut traces = Vec::new();
        for given in values(row.block, row.name, row.kind) {
            let (with, without) = texts(row.block, &format!("{} {given}", row.name));
            let (with, without) = (test(&with), test(&without));
            let lines = complaints(&with);
            assert!(
                !lines
                    .iter()
                    .any(|l| l.contains(&format!("Unknown keyword '{}'", row.name))),
                "{} {}: {lines:?}",
                row.block,
                row.name
            );
            let changed = plain(&with.configuration) != plain(&without.configuration);
            let complained = lines.len() > complaints(&without).len();
            // A proper value may be told to be without effect; a wrong one is always complained of.
            traces.push(changed || complained && given == value(row.block, row.name));
        }
        if !traces.contains(&true) {
            silent.push(format!("{} {}", row.block, row.name));
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// What is said, but for what the text around the keyword draws.
fn complaints(reading: &Reading) -> Vec<String> {
    said(reading)
        .into_iter()
        .filter(|l| !l.contains("SECURITY") && !l.contains("missing a parameter"))
        .collect()
}

/// Lines are no trace: they move with the text.
fn plain(configuration: &Configuration) -> Configuration {
    let mut copy = configuration.clone();
    for instance in &mut copy.instances {
        instance.line = 0;
    }
    copy
}
