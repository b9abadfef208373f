//! Links: when a change is believed, and who is asked for it.

use std::fs;

use crate::common::{now_ns, secs, wait_until};
use crate::pair::{Single, instance};

const VIP: &str = "192.0.2.100/24";

/// `interface_up_down_delays`: a link that is back in time was never away; one that is not is down, and up only after
/// the other delay.
pub fn a_short_interruption_of_a_link_is_not_believed() {
    let text = format!(
        "interface_up_down_delays {{\n    eth0 1 1.2\n}}\n{}",
        instance("VI_1", 51, 100, &[VIP], "")
    );
    let single = Single::new("");
    let port = single.lab.cable(&single.host, "eth1", &["198.51.100.1/24"]);
    single
        .host
        .write("keepalived.conf", &text.replace("eth0", "eth1"));
    let watch = single.lab.watch_port(&port);
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering BACKUP STATE (init)", secs(3.0));
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    port.pull();
    daemon.expect(
        "eth1: Adding flags change from 0x11043 to 0x1003 delay by 1000000",
        secs(2.0),
    );
    port.plug();
    let from = now_ns();
    watch.wait_nth("adverts go on", from, 3, secs(5.0), |s| {
        s.is_advert_of(51, "198.51.100.1")
    });
    daemon.never("Netlink reports eth1");
    let pulled = now_ns();
    port.pull();
    let down = daemon.expect("Netlink reports eth1 down", secs(4.0)).at;
    daemon.expect("(VI_1) Entering FAULT STATE", secs(1.0));
    let plugged = now_ns();
    port.plug();
    let up = daemon.expect("Netlink reports eth1 up", secs(4.0)).at;
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(1.0));
    assert!(down - pulled >= 1_000_000_000, "down after {} ns", down - pulled);
    assert!(up - plugged >= 1_200_000_000, "up after {} ns", up - plugged);
}

/// `linkbeat_interfaces`: the link is asked each second; what it says is believed, and the dump shows how.
pub fn a_link_is_asked_for_its_carrier() {
    let single = Single::new("");
    let port = single.lab.cable(&single.host, "eth1", &["198.51.100.1/24"]);
    single.host.write(
        "keepalived.conf",
        &format!(
            "linkbeat_interfaces {{\n    eth1 MII\n    eth0 ETHTOOL\n}}\n{}",
            instance(
                "VI_1",
                51,
                100,
                &[VIP],
                "track_interface {\n        eth0 weight 10\n    }"
            )
            .replace("eth0\n", "eth1\n")
        ),
    );
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    daemon.logged("(eth1): Configured linkbeat type MII not supported, using ETHTOOL");
    daemon.logged("Using MII-BMSR/ETHTOOL NIC polling thread(s)...");
    daemon.signal(nix::sys::signal::Signal::SIGUSR1);
    wait_until("the dump", secs(3.0), || {
        let data = fs::read_to_string(single.host.tmp().join("keepalived.data")).ok()?;
        let part = data.split(" Name = eth1\n").nth(1)?;
        let line = part.lines().find(|line| line.starts_with("   NIC "))?.to_owned();
        (line == "   NIC support ETHTOOL GLINK interface").then_some(())
    });
    port.pull();
    daemon.expect("Linkbeat reports eth1 down", secs(4.0));
    daemon.expect("(VI_1) Entering FAULT STATE", secs(1.0));
    port.plug();
    daemon.expect("Linkbeat reports eth1 up", secs(4.0));
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(1.0));
    daemon.never("Netlink reports");
}

/// `linkbeat_use_polling` at the top of the file asks all links that are used, in an instance its own one.
pub fn all_links_are_asked_when_told_so() {
    for (all, own) in [
        ("linkbeat_use_polling\n", ""),
        ("", "linkbeat_use_polling"),
        ("", ""),
    ] {
        let single = Single::new("");
        let port = single.lab.cable(&single.host, "eth1", &["198.51.100.1/24"]);
        let text = instance("VI_1", 51, 100, &[VIP], own).replace("eth0", "eth1");
        single.host.write("keepalived.conf", &format!("{all}{text}"));
        let mut daemon = single.start();
        daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
        port.pull();
        let (said, never) = if all.is_empty() && own.is_empty() {
            ("Netlink reports eth1 down", "Linkbeat reports")
        } else {
            ("Linkbeat reports eth1 down", "Netlink reports")
        };
        daemon.expect(said, secs(4.0));
        daemon.expect("(VI_1) Entering FAULT STATE", secs(1.0));
        daemon.never(never);
        let advice = daemon.count("'linkbeat_use_polling' in vrrp instance deprecated");
        assert_eq!(advice > 0, !own.is_empty(), "{}", daemon.log_text());
    }
}

/// Weights of links: what is up adds, or with a negative weight what is down takes away; with `reverse` the sign is the
/// other one.
pub fn links_have_weights() {
    let single = Single::new("");
    let cable = |name: &str| single.lab.cable(&single.host, name, &[]);
    let (plus, minus, reverse) = (cable("eth1"), cable("eth2"), cable("eth3"));
    let tracked = "track_interface {\n        eth1 weight 10\n        eth2 weight -20\n        eth3 weight 15 reverse\n    }";
    single
        .host
        .write("keepalived.conf", &instance("VI_1", 51, 100, &[VIP], tracked));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let priority = |expected: u8| {
        single
            .watch
            .wait(&format!("priority {expected}"), now_ns(), secs(4.0), |s| {
                s.advert().is_some_and(|a| a.priority == expected)
            });
    };
    priority(95);
    plus.pull();
    priority(85);
    minus.pull();
    priority(65);
    reverse.pull();
    priority(80);
    plus.plug();
    minus.plug();
    reverse.plug();
    priority(95);
    daemon.never("FAULT");
}
