//! The host that the recorded cases ran on.

use keepalived_rs::state::interface::{IFF_BROADCAST, IFF_LOOPBACK, IFF_MULTICAST, IFF_RUNNING, IFF_UP};
use keepalived_rs::state::{Interface, InterfaceAddress};

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
