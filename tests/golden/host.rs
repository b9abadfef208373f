//! The host that the recorded cases ran on.

use crate::folder;
use keepalived_rs::config::{self, MemoryHost, ReadOptions, Start};
use keepalived_rs::model::Configuration;
use keepalived_rs::state::interface::{IFF_BROADCAST, IFF_LOOPBACK, IFF_MULTICAST, IFF_RUNNING, IFF_UP};
use keepalived_rs::state::{Interface, InterfaceAddress};
use std::fs;

/// What the reader makes of a case's file.
pub fn configuration(case: &str, file: &str) -> Configuration {
    let mut host = MemoryHost::default();
    host.name = "node1".into();
    host.users.insert("root".into(), (0, 0));
    host.groups.insert("root".into(), 0);
    for interface in interfaces() {
        host.interfaces.insert(interface.name.clone(), interface);
    }
    if file.contains('/') {
        let text = fs::read_to_string(folder(case).join(file)).expect("a recorded file");
        host.file(&format!("/run/golden/{file}"), &text);
    }
    for entry in fs::read_dir(folder(case)).expect("a recorded case").flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        if entry.path().is_dir() {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("text");
        let path = format!("/run/golden/{name}");
        match name.ends_with(".sh") {
            true => host.script(&path),
            false => host.file(&path, &text),
        };
    }
    host.script("/run/golden/notify.sh").script("/run/golden/fifo.sh");
    let options = ReadOptions {
        file: format!("/run/golden/{file}"),
        ..ReadOptions::default()
    };
    let reading = config::read(&host, &options);
    let lines: Vec<_> = reading.log_lines().collect();
    assert_eq!(reading.start, Start::Go, "{case}: {lines:?}");
    reading.configuration
}

/// lo, eth0 and eth1 of node1.
pub fn interfaces() -> Vec<Interface> {
    let ethernet = |index: u32, name: &str, last: u8, v4: &str, v6: &str, link_local: &str| Interface {
        index,
        name: name.into(),
        flags: IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST,
        mtu: 1500,
        hardware_type: 1,
        mac: vec![2, 0, 0, 0, 1, last],
        mac_broadcast: vec![0xff; 6],
        addresses: vec![address(v4, 24), address(v6, 64), address(link_local, 64)],
        ..Interface::default()
    };
    vec![
        Interface {
            index: 1,
            name: "lo".into(),
            flags: IFF_UP | IFF_LOOPBACK | IFF_RUNNING,
            mtu: 65536,
            hardware_type: 772,
            mac: vec![0; 6],
            mac_broadcast: vec![0; 6],
            addresses: vec![address("127.0.0.1", 8), address("::1", 128)],
            ..Interface::default()
        },
        ethernet(10, "eth0", 0, "192.0.2.1", "2001:db8:0:1::1", "fe80::ff:fe00:100"),
        ethernet(
            11,
            "eth1",
            1,
            "198.51.100.1",
            "2001:db8:0:2::1",
            "fe80::ff:fe00:101",
        ),
    ]
}

fn address(text: &str, prefix: u8) -> InterfaceAddress {
    InterfaceAddress {
        address: text.parse().unwrap(),
        prefix,
        scope: 0,
        flags: 0,
        protocol: 0,
        label: None,
    }
}
