use keepalived_rs::model::globals::*;
use keepalived_rs::model::route::Family;
use keepalived_rs::model::script::*;
use keepalived_rs::model::track::*;
use keepalived_rs::model::vrrp::*;
use keepalived_rs::model::*;
use std::time::Duration;

fn addr(s: &str) -> Address {
    let (a, p) = match s.split_once('/') {
        Some((a, p)) => (a, Some(p.parse().unwrap())),
        None => (s, None),
    };
    let address: std::net::IpAddr = a.parse().unwrap();
    let full = if address.is_ipv4() { 32 } else { 128 };
    Address {
        network: IpNetwork {
            address,
            prefix: p.unwrap_or(full),
        },
        peer: None,
        broadcast: None,
        scope: 0,
        label: None,
        interface: "eth0".into(),
        interface_given: false,
        flags: AddressFlags {
            nodad: true,
            ..Default::default()
        },
        no_track: false,
        preferred: if full == 128 && p.unwrap_or(128) == 128 {
            Lifetime::Seconds(0)
        } else {
            Lifetime::Forever
        },
        preferred_given: false,
        use_vmac: false,
        track_group: None,
    }
}
fn cmd(words: &[&str]) -> Option<Command> {
    Some(Command {
        argv: words.iter().map(|s| s.to_string()).collect(),
        ..Default::default()
    })
}
fn inst(name: &str, interface: &str, vrid: u8, priority: u8, vips: &[&str]) -> Instance {
    let vips: Vec<Address> = vips
        .iter()
        .map(|v| {
            let mut a = addr(v);
            a.interface = interface.into();
            a
        })
        .collect();
    let v6 = vips.first().is_some_and(|v| v.network.address.is_ipv6());
    Instance {
        name: name.into(),
        line: 0,
        file: "".into(),
        version: if v6 { Version::V3 } else { Version::V2 },
        family: if v6 { Family::Inet6 } else { Family::Inet },
        native_ipv6: v6,
        initial_state: InitialState::Master,
        interface: interface.into(),
        vrf: None,
        vrid,
        priority,
        advert_interval: Duration::from_secs(1),
        vips,
        excluded_vips: vec![],
        no_vips: false,
        routes: vec![],
        rules: vec![],
        authentication: Authentication::None,
        auth_hmac: None,
        source: None,
        track_source: false,
        multicast_group: if v6 {
            "ff02::12".parse().unwrap()
        } else {
            "224.0.0.18".parse().unwrap()
        },
        unicast: false,
        peers: vec![],
        unicast_fault_no_peer: false,
        check_unicast_source: false,
        unicast_ttl: 255,
        unicast_checksum: UnicastChecksum::Auto,
        v3_checksum_as_v2: false,
        skip_check_adv_addr: false,
        strict: false,
        accept: Accept::Enabled,
        nopreempt: false,
        preempt_delay: Duration::ZERO,
        down_timer_adverts: 3,
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        timer_expired_backup: None,
        garp: Garp {
            master_delay: Duration::from_secs(5),
            master_repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
            extra_interface: Duration::ZERO,
            extra_interface_all: false,
        },
        kernel_rx_buffer: None,
        vmac: None,
        vmac_addresses: false,
        ipvlan: None,
        dont_track_primary: false,
        track_interfaces: vec![],
        track_scripts: vec![],
        track_files: vec![],
        track_processes: vec![],
        track_bfd: vec![],
        promote_secondaries: false,
        linkbeat_polling: false,
        debug: 0,
        notify: Default::default(),
        notify_deleted: false,
        notify_priority_changes: false,
        smtp_alert: false,
        config_faults: 0,
        sync_group: None,
    }
}
fn fifo(p: &str) -> Option<NotifyFifo> {
    Some(NotifyFifo {
        path: p.into(),
        ..Default::default()
    })
}
fn all(i: &mut Instance) {
    let n = "/run/golden/notify.sh";
    i.notify = NotifyScripts {
        backup: cmd(&[n, "backup"]),
        master: cmd(&[n, "master"]),
        fault: cmd(&[n, "fault"]),
        stop: cmd(&[n, "stop"]),
        deleted: None,
        generic: cmd(&[n, "generic"]),
        master_rx_lower_priority: None,
    };
}
pub fn configuration(case: &str, file: &str) -> Configuration {
    let mut c = Configuration::default();
    c.globals.router_id = "LVS_GOLDEN".into();
    let g = &mut c.globals;
    if matches!(&case[..2], "01" | "02" | "06" | "14" | "16" | "21") {
        g.script_security = true;
        g.script_user = Some(Identity::default());
    }
    if matches!(&case[..2], "01" | "04" | "06" | "14" | "21") {
        g.vrrp_notify_fifo = fifo("/run/golden/vrrp.fifo");
    }
    let mut v = vec![inst("VI_1", "eth0", 51, 150, &["192.0.2.100"])];
    match &case[..2] {
        "01" => {
            v = vec![inst("VI_1", "eth0", 51, 150, &["192.0.2.100/24", "192.0.2.101"])];
            v[0].authentication = Authentication::Pass(*b"s3cret12");
            all(&mut v[0]);
        }
        "02" => {
            g.notify_fifo = fifo("/run/golden/all.fifo");
            v[0].priority = 100;
            v[0].initial_state = InitialState::Backup;
            v[0].notify.generic = cmd(&["/run/golden/notify.sh"]);
        }
        "03" => {
            g.vrrp_version = Version::V3;
            v = vec![inst(
                "VI_1",
                "eth0",
                61,
                255,
                &["192.0.2.111/24", "192.0.2.110/24"],
            )];
            v[0].version = Version::V3;
            v[0].advert_interval = Duration::from_millis(500);
        }
        "04" => {
            v = vec![inst(
                "VI_6",
                "eth0",
                62,
                200,
                &["fe80::100", "2001:db8:0:1::100/64", "2001:db8:0:1::101"],
            )]
        }
        "05" => {
            v[0].unicast = true;
            v[0].source = Some("192.0.2.1".parse().unwrap());
            v[0].unicast_ttl = 64;
            v[0].check_unicast_source = true;
            v[0].peers = vec![
                UnicastPeer {
                    address: "192.0.2.2".parse().unwrap(),
                    min_ttl: 60,
                    max_ttl: 64,
                },
                UnicastPeer {
                    address: "192.0.2.3".parse().unwrap(),
                    min_ttl: 0,
                    max_ttl: 255,
                },
            ];
        }
        "06" => {
            g.notify_priority_changes = true;
            let t = |n: &str, w, r| Tracked {
                name: n.into(),
                weight: w,
                reverse: r,
            };
            v = vec![
                inst("VI_1", "eth0", 51, 100, &["192.0.2.100"]),
                inst("VI_2", "eth0", 52, 120, &["192.0.2.101"]),
            ];
            for i in &mut v {
                i.initial_state = InitialState::Backup;
                i.sync_group = Some("VG_1".into());
                i.notify.generic = cmd(&["/run/golden/notify.sh"]);
                i.notify_priority_changes = true;
            }
            v[0].track_files = vec![t("tf", 3, false)];
            v[1].track_interfaces = vec![t("eth1", -5, true)];
            c.scripts = vec![TrackScript {
                name: "chk".into(),
                command: cmd(&["/run/golden/chk.sh"]).unwrap(),
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(2),
                weight: -20,
                reverse: false,
                rise: 2,
                fall: 2,
                init_fail: false,
            }];
            c.files = vec![TrackFile {
                name: "tf".into(),
                path: "/run/golden/track.val".into(),
                weight: 2,
                reverse: false,
                init: None,
            }];
            c.sync_groups = vec![SyncGroup {
                name: "VG_1".into(),
                members: vec!["VI_1".into(), "VI_2".into()],
                track_interfaces: vec![t("eth1", 10, false)],
                track_scripts: vec![t("chk", -20, false)],
                tracking_weight: true,
                notify: NotifyScripts {
                    generic: cmd(&["/run/golden/notify.sh"]),
                    master: cmd(&["/run/golden/notify.sh", "group-master"]),
                    ..Default::default()
                },
                ..Default::default()
            }];
        }
        "09" => {
            v = vec![inst(
                "VI_1",
                "eth0",
                51,
                150,
                &[
                    "192.0.2.100/24",
                    "192.0.2.101/24",
                    "198.51.100.100/24",
                    "192.0.2.110",
                ],
            )];
            let i = &mut v[0];
            i.promote_secondaries = true;
            i.vips[0].broadcast = Some("192.0.2.255".parse().unwrap());
            i.vips[0].label = Some("eth0:1".into());
            i.vips[1].broadcast = Some("192.0.2.0".parse().unwrap());
            i.vips[1].label = Some("eth0:vip2".into());
            i.vips[1].scope = 253;
            i.vips[2].broadcast = Some("198.51.100.255".parse().unwrap());
            i.vips[2].label = Some("eth1:1".into());
            i.vips[2].interface = "eth1".into();
            i.vips[3].peer = Some(addr("192.0.2.111").network);
            let mut e: Vec<Address> = [
                "192.0.2.102/24",
                "2001:db8:0:1::102/64",
                "2001:db8:0:2::103",
                "192.0.2.104",
                "2001:db8:0:1::105/64",
            ]
            .iter()
            .map(|s| addr(s))
            .collect();
            e[0].label = Some("eth0:3".into());
            e[1].flags.home = true;
            e[1].flags.nodad = false;
            e[2].interface = "eth1".into();
            e[2].preferred = Lifetime::Forever;
            e[3].flags.no_prefix_route = true;
            e[3].no_track = true;
            e[4].flags.no_prefix_route = true;
            i.excluded_vips = e;
        }
        "14" => {
            v = vec![inst("VI_1", "eth0", 51, 120, &["192.0.2.100/24", "192.0.2.101"])];
            all(&mut v[0]);
            v[0].initial_state = InitialState::Backup;
        }
        "15" => {
            let l: Vec<String> = (100..130).map(|n| format!("192.0.2.{n}/24")).collect();
            let l: Vec<&str> = l.iter().map(|s| &s[..]).collect();
            v = vec![inst("VI_1", "eth0", 51, 150, &l)];
        }
        "18" => {
            g.log_unknown_vrids = true;
            v[0].priority = 100;
            v[0].initial_state = InitialState::Backup;
            v[0].authentication = Authentication::Pass(*b"s3cret12");
        }
        "19" => {
            c.garp_groups = vec![GarpGroup {
                garp_interval: Some(Duration::from_millis(20)),
                gna_interval: Some(Duration::from_millis(30)),
                interfaces: vec!["eth0".into(), "eth1".into()],
                aggregated: true,
            }];
            c.interface_delays = vec![
                InterfaceDelay {
                    interface: "eth0".into(),
                    down: Duration::from_millis(500),
                    up: Duration::from_millis(1500),
                },
                InterfaceDelay {
                    interface: "eth1".into(),
                    down: Duration::from_millis(250),
                    up: Duration::ZERO,
                },
            ];
        }
        "20" => {
            g.vrrp_version = Version::V3;
            g.strict = true;
            g.nftables = Some("ka_golden".into());
            g.nftables_counters = true;
            v = vec![
                inst("VI_1", "eth0", 51, 150, &["192.0.2.100/24", "192.0.2.101/24"]),
                inst("VI_6", "eth0", 51, 150, &["fe80::100/64", "2001:db8:0:1::100/64"]),
            ];
            for i in &mut v {
                i.version = Version::V3;
                i.strict = true;
                i.accept = Accept::Disabled;
                i.lower_prio_no_advert = true;
                i.garp.lower_prio_delay = Duration::ZERO;
                i.garp.lower_prio_repeat = 0;
                i.initial_state = InitialState::Backup;
            }
        }
        "21" => {
            v = vec![
                inst("VI_1", "eth0", 51, 150, &["192.0.2.100/24", "192.0.2.101/24"]),
                inst("VI_2", "eth1", 52, 90, &["198.51.100.102/24"]),
            ];
            for i in &mut v {
                i.notify.generic = cmd(&["/run/golden/notify.sh"]);
            }
            v[1].notify_deleted = true;
            if file != "node1.conf" {
                v = vec![
                    inst("VI_1", "eth0", 51, 140, &["192.0.2.100/24", "192.0.2.102/24"]),
                    inst("VI_3", "eth1", 53, 90, &["198.51.100.103/24"]),
                ];
                for i in &mut v {
                    i.notify.generic = cmd(&["/run/golden/notify.sh"]);
                }
                v[1].initial_state = InitialState::Backup;
            }
        }
        _ => {}
    }
    c.instances = v;
    c
}
