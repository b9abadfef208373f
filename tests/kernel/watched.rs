//! Static objects, and what becomes of routes and rules that another program removes.

use crate::routes::{routes, rules, two_links, with_routes};
use crate::support::*;
use keepalived_rs::state::InstanceId;
use keepalived_rs::state::kernel::{KernelInstance, KernelReport, KernelSettings};
use std::time::Duration;

const ADDRESSES: &str = "192.0.2.100/24";
const ROUTES: &str = "203.0.113.0/28 via 192.0.2.2 dev eth0\n\
    203.0.113.16/28 via 192.0.2.2 dev eth0 no_track\n\
    src 192.0.2.100 to 203.0.113.32/28 dev eth0\n\
    203.0.113.48/28 nexthop via 192.0.2.2 dev eth0 nexthop via 198.51.100.2 dev eth1\n\
    blackhole 203.0.113.64/28\n\
    2001:db8:9::/64 via 2001:db8:1::2 dev eth0";
const RULES: &str = "from 192.0.2.100 table 7 priority 9\nfrom 2001:db8:9::/64 table 7 priority 10\n\
    from 192.0.2.101 table 7 priority 11 no_track";

fn count() -> usize {
    routes().len() + rules().len()
}

fn has(command: &str, text: &str) -> bool {
    run(command).contains(text)
}

#[test]
fn what_another_program_removes_comes_back() {
    in_namespace("watched::what_another_program_removes_comes_back", || {
        two_links();
        let kernel = Kernel::start(KernelSettings::default());
        kernel.configure(
            vec![with_routes(ADDRESSES, ROUTES, RULES)],
            KernelSettings::default(),
            true,
        );
        kernel.claim(1, 1, 0);
        wait_for("all are there", || count() == 9);
        for (removal, look, text) in [
            ("ip route del 203.0.113.0/28", "ip route", "203.0.113.0/28 via"),
            ("ip route del 203.0.113.48/28", "ip route", "203.0.113.48/28"),
            ("ip route del 203.0.113.64/28", "ip route", "203.0.113.64/28"),
            (
                "ip -6 route del 2001:db8:9::/64",
                "ip -6 route",
                "2001:db8:9::/64",
            ),
            ("ip rule del priority 9", "ip rule", "9:\tfrom 192.0.2.100"),
            (
                "ip -6 rule del priority 10",
                "ip -6 rule",
                "10:\tfrom 2001:db8:9::",
            ),
        ] {
            run(removal);
            wait_for(removal, || has(look, text));
        }
        // Another route in its place.
        run("ip route replace 203.0.113.0/28 via 192.0.2.9");
        wait_for("replaced", || has("ip route", "203.0.113.0/28 via 192.0.2.2"));
        // What leans on an address goes with it, and comes with it.
        run("ip addr del 192.0.2.100/24 dev eth0");
        wait_for("the source's route", || {
            has("ip addr", "192.0.2.100/24") && has("ip route", "203.0.113.32/28")
        });
        // Down and up again: the kernel removes IPv4 routes without a word.
        run("ip link set eth0 down");
        assert!(!has("ip route", "203.0.113.0/28 via"));
        run("ip link set eth0 up");
        wait_for("the IPv4 one is back at once", || {
            has("ip route", "203.0.113.0/28 via")
        });
        // It waits for the network of its gateway.
        run("ip addr add 2001:db8:1::1/64 dev eth0");
        wait_for("after the link is up", || {
            has("ip route", "203.0.113.0/28 via") && has("ip -6 route", "2001:db8:9::/64")
        });
        // Nobody watches these: what comes after them is back, they are not.
        wait_for("all are there again", || count() == 9);
        run("ip route del 203.0.113.16/28");
        run("ip rule del priority 11");
        run("ip route del 203.0.113.64/28");
        wait_for("the watched one", || has("ip route", "203.0.113.64/28"));
        assert_eq!(count(), 7);
        kernel.release(1, 2);
        kernel.applied(1, 2);
        assert_eq!(count(), 0);
        kernel.stop(false);
    });
}

#[test]
fn what_is_removed_is_given_up_in_keepaliveds_way() {
    in_namespace("watched::what_is_removed_is_given_up_in_keepaliveds_way", || {
        two_links();
        let settings = || KernelSettings {
            give_up: true,
            ..KernelSettings::default()
        };
        let kernel = Kernel::start(settings());
        kernel.configure(vec![with_routes(ADDRESSES, ROUTES, RULES)], settings(), true);
        kernel.claim(1, 1, 0);
        wait_for("all are there", || count() == 9);
        for removal in [
            "ip route del 203.0.113.0/28",
            "ip rule del priority 9",
            "ip addr del 192.0.2.100/24 dev eth0",
        ] {
            run(removal);
            let told = kernel.reports.recv_timeout(Duration::from_secs(10));
            let told = std::iter::once(told).chain(std::iter::from_fn(|| {
                Some(kernel.reports.recv_timeout(Duration::from_secs(10)))
            }));
            let removed = KernelReport::Removed {
                instance: InstanceId(1),
            };
            assert!(
                told.take_while(Result::is_ok)
                    .any(|report| report == Ok(removed.clone())),
                "{removal}"
            );
        }
        assert!(!has("ip route", "203.0.113.0/28 via"), "it stays away");
        kernel.stop(false);
    });
}

fn statics(addresses: &str, routes: &str, rules: &str) -> KernelInstance {
    KernelInstance {
        id: InstanceId::STATIC,
        ..with_routes(addresses, routes, rules)
    }
}

#[test]
fn static_objects_are_there_from_the_start_to_the_end() {
    in_namespace(
        "watched::static_objects_are_there_from_the_start_to_the_end",
        || {
            two_links();
            let kernel = Kernel::start(KernelSettings::default());
            let settings = KernelSettings::default;
            let first = statics(
                "198.51.100.50/24 dev eth1\n192.0.2.200/32\n192.0.2.201/32 no_track",
                "203.0.113.0/28 via 192.0.2.2 dev eth0",
                "from 192.0.2.200 table 7 priority 9",
            );
            kernel.configure(vec![first], settings(), true);
            // They are there before the configuration is in force.
            assert_eq!(count(), 2);
            assert!(has("ip addr show dev eth1", "198.51.100.50/24"));
            for (removal, look, text) in [
                ("ip route del 203.0.113.0/28", "ip route", "203.0.113.0/28"),
                ("ip rule del priority 9", "ip rule", "9:\tfrom 192.0.2.200"),
                ("ip addr del 192.0.2.200/32 dev eth0", "ip addr", "192.0.2.200/32"),
            ] {
                run(removal);
                wait_for(removal, || has(look, text));
            }
            let second = statics(
                "198.51.100.50/24 dev eth1\n192.0.2.202/32",
                "203.0.113.16/28 via 192.0.2.2 dev eth0",
                "from 192.0.2.200 table 7 priority 9",
            );
            kernel.configure(vec![second], settings(), false);
            wait_for("the differences", || {
                let addresses = run("ip addr");
                !addresses.contains("192.0.2.200/32")
                    && addresses.contains("192.0.2.202/32")
                    && has("ip route", "203.0.113.16/28")
                    && !has("ip route", "203.0.113.0/28")
            });
            kernel.configure(vec![instance(1, vec![])], settings(), false);
            wait_for("none is configured any more", || {
                count() == 0 && !has("ip addr", "198.51.100.50/24")
            });
            kernel.configure(vec![statics("192.0.2.203/32", "", "")], settings(), false);
            wait_for("one again", || has("ip addr", "192.0.2.203/32"));
            kernel.stop(false);
            assert!(!has("ip addr", "192.0.2.203/32"));
        },
    );
}
