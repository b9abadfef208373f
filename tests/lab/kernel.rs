//! What others do to addresses and interfaces while the daemon runs.

use nix::sys::signal::Signal;

use crate::common::daemon::tests_ours;
use crate::common::{Daemon, Lab, now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";

/// Somebody deletes the address: it returns, and the master stays master.
pub fn deleted_address_is_put_back() {
    let single = Single::new(&instance("VI_1", 51, 100, &[VIP, "192.0.2.101/24"], ""));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("eth0", VIP, true, secs(1.0));
    single
        .host
        .wait_address("eth0", "192.0.2.101/24", true, secs(1.0));
    let deleted = now_ns();
    single.host.ip(&format!("address del {VIP} dev eth0"));
    single.host.wait_address("eth0", VIP, true, secs(6.0));
    single.watch.wait("ARP for it again", deleted, secs(2.0), |s| {
        s.is_gratuitous_arp("192.0.2.100")
    });
    daemon.logged("Netlink reflector reports IP 192.0.2.100 removed from eth0");
    if tests_ours() {
        let later = now_ns();
        single
            .watch
            .wait_nth("two adverts more", later, 2, secs(4.0), |s| {
                s.is_advert_of(51, "192.0.2.1")
            });
        assert_eq!(
            daemon.count("(VI_1) Entering MASTER STATE"),
            1,
            "it stayed master:\n{}",
            daemon.log_text()
        );
        let zero = |s: &crate::common::Seen| s.advert().is_some_and(|a| a.priority == 0);
        assert!(
            !single.watch.seen_since(deleted).iter().any(zero),
            "no priority 0"
        );
    }
    assert!(single.host.has("eth0", VIP) && single.host.has("eth0", "192.0.2.101/24"));
}

/// The interface taken down and up again.
pub fn interface_down_and_up() {
    let single = Single::new(&instance("VI_1", 51, 100, &[VIP], ""));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.ip("link set eth0 down");
    daemon.expect("Netlink reports eth0 down", secs(2.0));
    daemon.expect("(VI_1) Entering FAULT STATE", secs(2.0));
    single.host.wait_address("eth0", VIP, false, secs(2.0));
    let up = now_ns();
    single.host.ip("link set eth0 up");
    daemon.expect("Netlink reports eth0 up", secs(2.0));
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("eth0", VIP, true, secs(1.0));
    single.watch.wait("adverts again", up, secs(2.0), |s| {
        s.is_advert_of(51, "192.0.2.1")
    });
}

/// `no_track`: an address, a route, a rule that somebody takes away stays away, and the master stays.
pub fn what_is_not_tracked_stays_away() {
    let text = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 150\n \
                virtual_ipaddress {\n 192.0.2.100/24\n 192.0.2.101/24 no_track\n }\n \
                virtual_routes {\n 203.0.113.0/28 dev eth0 no_track\n }\n \
                virtual_rules {\n from 203.0.113.0/28 table 100 priority 2001 no_track\n }\n}\n";
    let single = Single::new(text);
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let host = &single.host;
    let there = || {
        (
            host.has("eth0", "192.0.2.101/24"),
            host.ip("route").contains("203.0.113.0/28"),
            host.ip("rule").contains("2001:"),
        )
    };
    wait_until("address, route and rule", secs(3.0), || {
        (there() == (true, true, true)).then_some(())
    });
    let from = now_ns();
    host.ip("address del 192.0.2.101/24 dev eth0");
    host.ip("route del 203.0.113.0/28");
    host.ip("rule del priority 2001");
    single
        .watch
        .wait_nth("it goes on as master", from, 3, secs(6.0), |s| {
            s.is_advert_of(51, "192.0.2.1")
        });
    assert_eq!(there(), (false, false, false));
    assert_eq!(daemon.count("Entering"), 2, "{}", daemon.log_text());
}

/// The interface deleted, and made again with another index.
pub fn interface_deleted_and_made_again() {
    let text = format!(
        "global_defs {{\n    dynamic_interfaces\n}}\n{}",
        instance("VI_1", 51, 100, &[VIP], "")
    );
    let single = Single::new(&text);
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let index = |host: &crate::common::Host| -> i64 {
        let links: serde_json::Value = serde_json::from_str(&host.ip("-j link show dev eth0")).expect("JSON");
        links[0]["ifindex"].as_i64().expect("an index")
    };
    let before = index(&single.host);
    single.host.ip("link del eth0");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(2.0));
    // Another thread says this: before the line above, or after it.
    wait_until("the line about the interface", secs(2.0), || {
        (daemon.count("Interface eth0 deleted") > 0).then_some(())
    });
    // Something else may have the index meanwhile.
    single.host.ip("link add spare type bridge");
    let again = now_ns();
    single
        .lab
        .connect(&single.host, "eth0", &single.segment, &["192.0.2.1/24"]);
    assert_ne!(index(&single.host), before);
    daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    single.host.wait_address("eth0", VIP, true, secs(1.0));
    single.watch.wait("adverts again", again, secs(2.0), |s| {
        s.is_advert_of(51, "192.0.2.1")
    });
    assert_eq!(daemon.stop(), Some(0));
    assert!(!single.host.has("eth0", VIP));
}

/// `dynamic_interfaces`: one that is not there at the start is waited for, and may be made again as another kind, whether
/// the file says `allow_if_changes` or not. Without it the daemon does not start.
pub fn missing_interfaces_are_waited_for_when_told_so() {
    for keyword in ["", "dynamic_interfaces", "dynamic_interfaces allow_if_changes"] {
        let single = Single::new(&format!(
            "global_defs {{\n    {keyword}\n}}\n{}",
            instance("VI_1", 51, 100, &["198.51.100.100/24"], "").replace("eth0", "lan1")
        ));
        let mut daemon = single.start();
        if keyword.is_empty() {
            assert_eq!(daemon.wait_exit(secs(4.0)), Some(2));
            continue;
        }
        daemon.expect("Startup complete", secs(4.0));
        let becomes_master = |daemon: &mut Daemon| {
            daemon.expect("(VI_1) Entering MASTER STATE", secs(9.0));
            let vip = "198.51.100.100/24";
            single.host.wait_address("lan1", vip, true, secs(2.0));
        };
        single.lab.cable(&single.host, "lan1", &["198.51.100.1/24"]);
        becomes_master(&mut daemon);
        single.host.ip("link del lan1");
        daemon.expect("(VI_1) Entering FAULT STATE", secs(2.0));
        single.host.ip("link add lan1 link eth0 type macvlan");
        single.host.ip("address add 198.51.100.1/24 dev lan1");
        single.host.ip("link set lan1 up");
        becomes_master(&mut daemon);
        assert_eq!(daemon.stop(), Some(0));
    }
}

/// One member of a group loses its link: both move, and both return.
pub fn sync_group_moves_together() {
    let lab = Lab::new();
    let (outer, inner) = (lab.segment(), lab.segment());
    let (one, two) = (lab.host("one"), lab.host("two"));
    let mut ports = Vec::new();
    for (host, last, priority) in [(&one, 1, 150), (&two, 2, 100)] {
        ports.push(lab.connect(host, "eth0", &outer, &[&format!("192.0.2.{last}/24")]));
        lab.connect(host, "eth1", &inner, &[&format!("198.51.100.{last}/24")]);
        let inside = instance("VI_in", 52, priority, &["198.51.100.100/24"], "").replace("eth0", "eth1");
        let outside = instance("VI_out", 51, priority, &[VIP], "");
        host.write(
            "keepalived.conf",
            &format!("vrrp_sync_group G1 {{\n    group {{\n        VI_out\n        VI_in\n    }}\n}}\n{outside}{inside}"),
        );
    }
    let holds = |host: &crate::common::Host, present: bool, bound: f64| {
        host.wait_address("eth0", VIP, present, secs(bound));
        host.wait_address("eth1", "198.51.100.100/24", present, secs(bound));
    };
    let mut first = start(&one);
    first.expect("VRRP_Group(G1) Syncing instances to MASTER state", secs(8.0));
    let mut second = start(&two);
    second.expect("Entering BACKUP STATE", secs(4.0));
    holds(&one, true, 2.0);
    ports[0].pull();
    first.expect("VRRP_Group(G1) Syncing instances to FAULT state", secs(3.0));
    second.expect("VRRP_Group(G1) Syncing instances to MASTER state", secs(8.0));
    holds(&two, true, 3.0);
    holds(&one, false, 2.0);
    ports[0].plug();
    first.expect("VRRP_Group(G1) Syncing instances to MASTER state", secs(10.0));
    holds(&one, true, 3.0);
    holds(&two, false, 3.0);
    first.signal(Signal::SIGTERM);
    second.expect("VRRP_Group(G1) Syncing instances to MASTER state", secs(4.0));
    holds(&two, true, 2.0);
}
