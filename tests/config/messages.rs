//! What is said about instances and groups, and what becomes of them.

use super::{said, test};
use keepalived_rs::config::{MemoryHost, ReadOptions, Start};
use keepalived_rs::model::vrrp::{Accept, Authentication, InitialState, Version};
use std::time::Duration;

/// An instance with a body.
fn instance(body: &str) -> String {
    format!("vrrp_instance A {{\ninterface eth0\nvirtual_router_id 7\n{body}\n}}\n")
}

const VIP: &str = "virtual_ipaddress { 192.0.2.1 }\n";

#[test]
fn what_is_said() {
    for (body, expected) in [
        ("virtual_ipaddress { 192.0.2.1 }", vec![]),
        ("", vec!["(A) No VIP specified; at least one is sensible"]),
        (
            "version 3",
            vec!["(A) No VIP specified; at least one is required"],
        ),
        (
            "virtual_ipaddress { 192.0.2.1 }\npriority 300",
            vec![
                "(Line 5) number '300' outside range [1, 255]",
                "(Line 5) (A) Priority not valid! must be between 1 & 255. Using default 100",
            ],
        ),
        (
            "virtual_ipaddress { 192.0.2.1 }\nauthentication {\nauth_type PASS\nauth_pass 123456789\n}",
            vec!["(Line 7) Truncating auth_pass to 8 characters"],
        ),
        (
            "virtual_ipaddress { 192.0.2.1 }\nstate MASTER\npriority 100\nnopreempt\npreempt_delay 5",
            vec![
                "(A) Warning - nopreempt will not work with initial state MASTER - clearing",
                "(A) Warning - preempt delay will not work with initial state MASTER - clearing",
            ],
        ),
        (
            "virtual_ipaddress { 192.0.2.1 }\ntrack_interface { eth0 }",
            vec!["(A) Ignoring track_interface eth0 since own interface"],
        ),
        (
            "virtual_ipaddress { 192.0.2.1 }\ntrack_script { none }",
            vec!["(Line 5) (A) track script none not found, ignoring..."],
        ),
        (
            "virtual_ipaddress { 192.0.2.1 }\nadvert_int 1.5",
            vec!["(A) VRRPv2 advertisement interval 1.500000s must be an integer. rounding"],
        ),
        (
            "virtual_ipaddress {\n192.0.2.1\nfe80::1\n192.0.2.1\n}",
            vec![
                "(Line 6) (A): address family must match VRRP instance [fe80::1] - ignoring",
                "(Line 7) (A): VIP duplicates a VIP 192.0.2.1 - ignoring",
            ],
        ),
        (
            "virtual_ipaddress { 192.0.2.1 }\nunicast_src_ip 192.0.2.9",
            vec![
                "(A) A unicast keyword has been specified without any unicast peers. Defaulting to multicast. This usage is deprecated - please update your configuration.",
            ],
        ),
    ] {
        let reading = test(&instance(body));
        assert_eq!(said(&reading), expected, "{body}");
        assert_eq!(
            reading.test_status,
            if expected.is_empty() { 0 } else { 5 },
            "{body}"
        );
    }
}

#[test]
fn what_does_not_start() {
    for (text, message) in [
        (
            "vrrp_instance A { interface eth0\n virtual_ipaddress { 192.0.2.1 } }".to_owned(),
            "(A) the virtual router id must be set",
        ),
        (
            "vrrp_instance A { virtual_router_id 1\n virtual_ipaddress { 192.0.2.1 } }".to_owned(),
            "(A) Unknown interface!",
        ),
        (
            format!("{}{}", instance(VIP), instance(VIP).replace(" A ", " B ")),
            "A and B both use VRID 7 with IPv4 on interface eth0",
        ),
        (
            instance(VIP).replace("eth0", "eth9"),
            "Non-existent interface specified in configuration",
        ),
    ] {
        let reading = test(&text);
        assert_eq!(said(&reading).last().map(String::as_str), Some(message), "{text}");
        assert_eq!(reading.start, Start::Exit(2), "{text}");
    }
}

#[test]
fn an_absent_interface_may_come_later() {
    let text = format!(
        "global_defs {{ dynamic_interfaces }}\n{}",
        instance(VIP).replace("eth0", "eth9")
    );
    let reading = test(&text);
    assert_eq!(said(&reading), Vec::<String>::new());
    assert_eq!(reading.configuration.instances[0].interface, "eth9");
}

#[test]
fn defaults_come_from_the_globals() {
    let text = format!(
        "global_defs {{\nvrrp_version 3\nvrrp_garp_master_repeat 2\nvrrp_garp_master_delay 9\nvrrp_down_timer_adverts 4\n}}\n{}",
        instance(&format!("{VIP}garp_master_delay 1\nadvert_int 0.25"))
    );
    let reading = test(&text);
    let instance = &reading.configuration.instances[0];
    assert_eq!(instance.version, Version::V3);
    assert_eq!(instance.garp.master_repeat, 2);
    assert_eq!(instance.garp.master_delay, Duration::from_secs(1));
    assert_eq!(instance.garp.lower_prio_delay, Duration::from_secs(1));
    assert_eq!(instance.down_timer_adverts, 4);
    assert_eq!(instance.advert_interval, Duration::from_millis(250));
}

#[test]
fn the_owner_is_whoever_has_255() {
    for (body, priority, state) in [
        ("", 100, InitialState::Backup),
        ("state MASTER", 255, InitialState::Master),
        ("state MASTER\npriority 90", 90, InitialState::Master),
        ("priority 255", 255, InitialState::Master),
    ] {
        let reading = test(&instance(&format!("{VIP}{body}")));
        let instance = &reading.configuration.instances[0];
        assert_eq!(
            (instance.priority, instance.initial_state),
            (priority, state),
            "{body}"
        );
    }
}

#[test]
fn an_ipv6_address_makes_version_3() {
    let reading = test(&instance("virtual_ipaddress {\nfe80::1\n2001:db8::1/64\n}"));
    let instance = &reading.configuration.instances[0];
    assert_eq!(instance.version, Version::V3);
    assert!(instance.native_ipv6);
    assert_eq!(instance.multicast_group.to_string(), "ff02::12");
}

#[test]
fn strict_mode_changes_much() {
    let body = format!(
        "{VIP}strict_mode\nauthentication {{\nauth_type PASS\nauth_pass x\n}}\ngarp_lower_prio_repeat 3\naccept\nstate MASTER\npriority 100"
    );
    let reading = test(&instance(&body));
    assert_eq!(
        said(&reading),
        [
            "(A) State MASTER must match being address owner",
            "(A) Strict mode does not support authentication. Ignoring.",
            "(A) Strict mode requires no repeat garps. resetting",
            "(A) warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting",
        ]
    );
    let instance = &reading.configuration.instances[0];
    assert_eq!(instance.authentication, Authentication::None);
    assert_eq!(instance.accept, Accept::Disabled);
    assert_eq!(instance.initial_state, InitialState::Backup);
    assert!(instance.lower_prio_no_advert);
    assert_eq!(instance.garp.lower_prio_repeat, 0);
}

#[test]
fn more_addresses_than_fit_are_excluded() {
    let reading = test(&instance(
        "virtual_ipaddress {\n~SEQ(a, 1, 2) ~SEQ(n, 1, 150) 10.0.${a}.${n}\n}",
    ));
    let instance = &reading.configuration.instances[0];
    assert_eq!((instance.vips.len(), instance.excluded_vips.len()), (255, 45));
    assert_eq!(
        said(&reading),
        [
            "(A) Number of VIPs (300) exceeds maximum/space available in packet (max 255 addresses) - excess moved to eVIPs"
        ]
    );
}

#[test]
fn groups_have_members_that_exist_and_scripts_that_run() {
    let text = format!(
        "global_defs {{\nscript_user root\nenable_script_security\n}}\n\
        vrrp_script ok {{\nscript \"/bin/check a 'b c'\"\ninterval 0.5\n}}\n\
        vrrp_script gone {{\nscript /bin/gone\n}}\n\
        {}vrrp_sync_group G {{\ngroup {{\nA\nnobody\n}}\ntrack_script {{\nok\ngone\n}}\n}}\n",
        instance(VIP)
    );
    let reading = test(&text);
    assert_eq!(
        said(&reading),
        [
            "Disabling track script gone since not found/accessible",
            "Virtual router nobody specified in sync group G doesn't exist - ignoring",
            "Sync group G has only 1 virtual router(s) - this probably isn't what you want",
        ]
    );
    let configuration = &reading.configuration;
    let group = &configuration.sync_groups[0];
    assert_eq!(group.members, ["A"]);
    assert_eq!(configuration.instances[0].sync_group.as_deref(), Some("G"));
    let tracked: Vec<&str> = group.track_scripts.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(tracked, ["ok"]);
    let script = &configuration.scripts[0];
    assert_eq!(script.command.argv, ["/bin/check", "a", "b c"]);
    assert_eq!(script.interval, Duration::from_millis(500));
}

#[test]
fn scripts_as_root_without_security_are_a_violation() {
    let text = format!(
        "vrrp_script ok {{\nscript /bin/check\n}}\n{}",
        instance(&format!("{VIP}track_script {{ ok }}"))
    );
    let reading = test(&text);
    assert_eq!(
        said(&reading),
        ["SECURITY VIOLATION - scripts are being executed but script_security not enabled."]
    );
    assert_eq!((reading.test_status, reading.start), (6, Start::Go));
}

#[test]
fn the_links_of_a_script_are_followed_unless_they_are_to_stay() {
    let mut host = super::host();
    host.script("/usr/sbin/many")
        .link("/sbin/one", "/usr/sbin/many")
        .script("/usr/bin/dash")
        .link("/usr/bin/sh", "/usr/bin/dash")
        .script("/opt/plain");
    let text = |global: &str| {
        let scripts = "vrrp_script linked {\nscript \"/sbin/one -x\"\n}\nvrrp_script plain {\nscript /opt/plain\n}\n\
             vrrp_script shell {\nscript \"/usr/bin/sh -c true\"\n}\n";
        let body = format!("{VIP}track_script {{\nlinked\nplain\nshell\n}}\nnotify_master /sbin/one");
        format!(
            "global_defs {{\nscript_user root\nenable_script_security\n{global}\n}}\n{scripts}{}",
            instance(&body)
        )
    };
    let read = |host: &MemoryHost| keepalived_rs::config::read(host, &Default::default()).configuration;
    host.file(super::FILE, &text(""));
    let config = read(&host);
    let command = &config.scripts[0].command;
    assert_eq!(command.argv, ["/usr/sbin/many", "-x"]);
    assert_eq!(
        command.called.as_deref(),
        Some("/sbin/one"),
        "what it is called with"
    );
    assert_eq!(config.scripts[1].command.called, None);
    assert_eq!(
        config.scripts[2].command.argv[0], "/usr/bin/sh",
        "a name that stays in its directory"
    );
    let notify = config.instances[0].notify.master.as_ref();
    assert_eq!(notify.map(|c| c.argv[0].as_str()), Some("/usr/sbin/many"));
    host.file(super::FILE, &text("use_symlink_paths"));
    let config = read(&host);
    assert_eq!(config.scripts[0].command.argv, ["/sbin/one", "-x"]);
    assert_eq!(config.scripts[0].command.called, None);
}

#[test]
fn an_executable_file_is_tested_but_not_started() {
    let mut host = super::host();
    host.file_with(super::FILE, instance(VIP).as_bytes(), 0o755, 0);
    let tested = ReadOptions {
        test: true,
        ..ReadOptions::default()
    };
    let reading = keepalived_rs::config::read(&host, &tested);
    assert_eq!((said(&reading).len(), reading.test_status), (0, 0));
    assert!(
        reading.advice[0].contains("may be executed"),
        "{:?}",
        reading.advice
    );
    let reading = keepalived_rs::config::read(&host, &ReadOptions::default());
    assert_eq!(reading.start, Start::Exit(6));
    assert_eq!(reading.configuration.instances.len(), 0);
}

#[test]
fn an_insecure_script_is_told_with_its_mending_command() {
    let mut host = super::host();
    host.directory("/opt", 0o777, 0).script("/opt/check");
    let text = format!(
        "global_defs {{\nscript_user root\nenable_script_security\n}}\nvrrp_script bad {{\nscript /opt/check\n}}\n{}",
        instance(&format!("{VIP}track_script {{ bad }}"))
    );
    host.file(super::FILE, &text);
    let reading = keepalived_rs::config::read(&host, &Default::default());
    assert_eq!(
        said(&reading),
        [
            "Unsafe permissions found for script '/opt/check' - disabling.",
            "Disabling track script bad due to insecure",
        ]
    );
    let help = reading.diagnostics[0].help.as_deref().unwrap_or_default();
    assert_eq!(
        help,
        "/opt is writable by everybody (owner uid 0, mode 0777): mend it with `chmod o-w /opt`"
    );
    assert!(reading.configuration.instances[0].track_scripts.is_empty());
}

#[test]
fn everything_has_its_effect() {
    let text = format!(
        "global_defs {{\nnftables_ipvs\nlvs_netlink_monitor_rcv_bufs 100000\n}}\n{}",
        instance(VIP)
    );
    assert_eq!(test(&text).not_yet(), Vec::<String>::new());
}
