//! Virtual routes and rules: what a line of the configuration becomes, as `ip` tells it.

use crate::support::*;
use keepalived_rs::config::{self, MemoryHost, ReadOptions};
use keepalived_rs::model::Configuration;
use keepalived_rs::state::kernel::{KernelInstance, KernelSettings};
use serde_json::{Value, json};

/// Reads an instance on eth0 with these lines.
pub fn configuration(addresses: &str, routes: &str, rules: &str) -> Configuration {
    let mut host = MemoryHost::default();
    host.name = "node".to_owned();
    host.interface("eth0").interface("eth1");
    host.file(
        "/etc/keepalived/keepalived.conf",
        &format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n{addresses}\n}}\n \
             virtual_routes {{\n{routes}\n}}\n virtual_rules {{\n{rules}\n}}\n}}\n"
        ),
    );
    config::read(&host, &ReadOptions::default()).configuration
}

/// The kernel's part of it.
pub fn with_routes(addresses: &str, routes: &str, rules: &str) -> KernelInstance {
    let configuration = configuration(addresses, routes, rules);
    let config = &configuration.instances[0];
    KernelInstance {
        routes: config.routes.as_slice().into(),
        rules: config.rules.as_slice().into(),
        ..instance(1, config.vips.clone())
    }
}

/// eth0 with 192.0.2.1/24 and eth1 with 198.51.100.1/24, both with 2001:db8::/64 networks.
pub fn two_links() {
    veth();
    for command in [
        "ip link add eth1 index 11 type veth peer name peer1",
        "sysctl -qw net.ipv6.conf.eth1.accept_dad=0",
        "ip link set eth1 up",
        "ip link set peer1 up",
        "ip addr add 198.51.100.1/24 dev eth1",
        "ip addr add 2001:db8:1::1/64 dev eth0",
        "ip addr add 2001:db8:2::1/64 dev eth1",
    ] {
        run(command);
    }
}

fn json_of(command: &str) -> Vec<Value> {
    let text = run(command);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    value.as_array().expect("a list").clone()
}

/// Routes of keepalived's protocol, of all tables and both families.
pub fn routes() -> Vec<Value> {
    let mut all = json_of("ip -j -d -N -4 route show table all proto 18");
    all.extend(json_of("ip -j -d -N -6 route show table all proto 18"));
    all
}

/// Rules that are not the kernel's own.
pub fn rules() -> Vec<Value> {
    let mut all = json_of("ip -j -d -N -4 rule");
    all.extend(json_of("ip -j -d -N -6 rule"));
    let kernels = |rule: &Value| [0, 32766, 32767].contains(&rule["priority"].as_u64().unwrap_or(0));
    all.retain(|rule| !kernels(rule));
    all
}

/// `found` says at least what `expected` says.
fn says(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| says(found, value))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, value)| says(found, value))
        }
        _ => found == expected,
    }
}

/// Each line alone: the kernel holds what is expected, and nothing any more after the release.
fn each(lines: &[(&str, Value)], is_rule: bool) {
    let kernel = Kernel::start(KernelSettings::default());
    for (epoch, (line, expected)) in lines.iter().enumerate() {
        let (routes_of, rules_of) = if is_rule { ("", *line) } else { (*line, "") };
        let one = with_routes("192.0.2.100/24", routes_of, rules_of);
        assert_eq!(one.routes.len() + one.rules.len(), 1, "{line} is read");
        kernel.configure(vec![one], KernelSettings::default(), epoch == 0);
        let list = || if is_rule { rules() } else { routes() };
        kernel.claim(1, 2 * epoch as u64 + 1, 0);
        let mut found = Vec::new();
        wait_for(line, || {
            found = list();
            !found.is_empty()
        });
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(
            says(&found[0], expected),
            "{line}: {} is not {expected}",
            found[0]
        );
        kernel.release(1, 2 * epoch as u64 + 2);
        kernel.applied(1, 2 * epoch as u64 + 2);
        assert_eq!(list(), Vec::<Value>::new(), "{line} is gone");
    }
    kernel.stop(false);
}

#[test]
fn each_attribute_of_an_ipv4_route() {
    in_namespace("routes::each_attribute_of_an_ipv4_route", || {
        two_links();
        each(
            &[
                (
                    "203.0.113.0/28 via 192.0.2.2 dev eth0",
                    json!({"dst": "203.0.113.0/28", "gateway": "192.0.2.2", "dev": "eth0"}),
                ),
                (
                    "203.0.113.0/28 via 192.0.2.2",
                    json!({"gateway": "192.0.2.2", "dev": "eth0"}),
                ),
                (
                    "src 192.0.2.100 to 203.0.113.0/28 dev eth0",
                    json!({"prefsrc": "192.0.2.100"}),
                ),
                (
                    "203.0.113.7 dev eth0",
                    json!({"dst": "203.0.113.7", "scope": "0"}),
                ),
                ("203.0.113.0/28 dev eth0 scope link", json!({"scope": "253"})),
                ("203.0.113.0/28 dev eth0 table 200", json!({"table": "200"})),
                ("203.0.113.0/28 dev eth0 table 70000", json!({"table": "70000"})),
                ("203.0.113.0/28 dev eth0 metric 7", json!({"metric": 7})),
                ("203.0.113.0/28 dev eth0 tos 4", json!({"tos": "0x04"})),
                (
                    "default via 192.0.2.2",
                    json!({"dst": "default", "gateway": "192.0.2.2"}),
                ),
                ("blackhole 203.0.113.0/28", json!({"type": "6"})),
                ("unreachable 203.0.113.0/28", json!({"type": "7"})),
                ("prohibit 203.0.113.0/28", json!({"type": "8"})),
                ("throw 203.0.113.0/28 table 200", json!({"type": "9"})),
                (
                    "local 203.0.113.0/28 dev eth0",
                    json!({"type": "2", "scope": "254"}),
                ),
                (
                    "203.0.113.0/28 via 10.9.9.9 dev eth0 onlink",
                    json!({"gateway": "10.9.9.9", "flags": ["onlink"]}),
                ),
                (
                    "203.0.113.0/28 dev eth0 mtu 1400 advmss 1300 window 1000",
                    json!({"metrics": [{"mtu": 1400, "window": 1000, "advmss": 1300}]}),
                ),
                (
                    "203.0.113.0/28 dev eth0 mtu lock 1400",
                    json!({"metrics": [{"mtu": 1400}]}),
                ),
                (
                    "203.0.113.0/28 dev eth0 rtt 200ms rttvar 300ms rto_min 40ms",
                    json!({"metrics": [{"rtt": 200, "rttvar": 300, "rto_min": 40}]}),
                ),
                (
                    "203.0.113.0/28 dev eth0 cwnd 8 ssthresh 9 reordering 5",
                    json!({"metrics": [{"cwnd": 8, "ssthresh": 9, "reordering": 5}]}),
                ),
                (
                    "203.0.113.0/28 dev eth0 initcwnd 10 initrwnd 11 hoplimit 60 quickack 1",
                    json!({"metrics": [{"initcwnd": 10, "initrwnd": 11, "hoplimit": 60, "quickack": 1}]}),
                ),
                (
                    "203.0.113.0/28 dev eth0 features ecn congctl reno",
                    json!({"metrics": [{"congestion": "reno", "ecn": null}]}),
                ),
                (
                    "203.0.113.0/28 dev eth0 fastopen_no_cookie 1",
                    json!({"metrics": [{"fastopen_no_cookie": 1}]}),
                ),
                (
                    "203.0.113.0/28 nexthop via 192.0.2.2 dev eth0 weight 1 nexthop via 198.51.100.2 dev eth1 weight 3",
                    json!({"nexthops": [{"gateway": "192.0.2.2", "dev": "eth0", "weight": 1}, {"gateway": "198.51.100.2", "dev": "eth1", "weight": 3}]}),
                ),
                (
                    "203.0.113.0/28 via 192.0.2.2 or 192.0.2.3 dev eth0",
                    json!({"nexthops": [{"gateway": "192.0.2.2"}, {"gateway": "192.0.2.3"}]}),
                ),
                (
                    "add 203.0.113.0/28 via 192.0.2.2",
                    json!({"dst": "203.0.113.0/28"}),
                ),
                (
                    "append 203.0.113.0/28 via 192.0.2.2",
                    json!({"dst": "203.0.113.0/28"}),
                ),
                (
                    "prepend 203.0.113.0/28 via 192.0.2.2",
                    json!({"dst": "203.0.113.0/28"}),
                ),
                ("203.0.113.5/28 via 192.0.2.2", json!({"dst": "203.0.113.0/28"})),
            ],
            false,
        );
    });
}

#[test]
fn each_attribute_of_an_ipv6_route() {
    in_namespace("routes::each_attribute_of_an_ipv6_route", || {
        two_links();
        each(
            &[
                (
                    "2001:db8:9::/64 via 2001:db8:1::2 dev eth0",
                    json!({"dst": "2001:db8:9::/64", "gateway": "2001:db8:1::2", "metric": 1024}),
                ),
                (
                    "2001:db8:9::/64 via fe80::2 dev eth0 pref high",
                    json!({"gateway": "fe80::2", "pref": "high"}),
                ),
                (
                    "2001:db8:9::/64 dev eth0 expires 3000 metric 5",
                    json!({"metric": 5}),
                ),
                ("inet6 default via fe80::2 dev eth0", json!({"dst": "default"})),
                ("blackhole 2001:db8:9::/64", json!({"type": "6"})),
                (
                    "2001:db8:9::/64 dev eth1 table 70000 mtu 1400 hoplimit 3",
                    json!({"table": "70000", "metrics": [{"mtu": 1400, "hoplimit": 3}]}),
                ),
                (
                    "2001:db8:9::/64 nexthop via 2001:db8:1::2 dev eth0 nexthop via 2001:db8:2::2 dev eth1 weight 2",
                    json!({"nexthops": [{"gateway": "2001:db8:1::2"}, {"gateway": "2001:db8:2::2", "weight": 2}]}),
                ),
            ],
            false,
        );
    });
}

/// A kernel without a kind of tunnel refuses `ip route add` too: then there is nothing to see.
fn kernel_has(encap: &str) -> bool {
    let add = format!("route add 203.0.113.64/28 {encap} via 192.0.2.2 dev eth0");
    let output = std::process::Command::new("ip").args(add.split(' ')).output();
    let output = output.expect("ip");
    if output.status.success() {
        run("ip route del 203.0.113.64/28");
    } else {
        eprintln!(
            "skipped: {encap}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    output.status.success()
}

#[test]
fn each_kind_of_tunnel() {
    in_namespace("routes::each_kind_of_tunnel", || {
        two_links();
        // The last `dst` in the text of `ip` is that of the tunnel.
        let kinds = [
            (
                "encap ip id 5 dst 192.0.2.9 src 192.0.2.1 ttl 3 tos 4",
                json!({"encap": "ip", "id": 5, "dst": "192.0.2.9", "src": "192.0.2.1", "ttl": 3, "tos": 4, "gateway": "192.0.2.2"}),
            ),
            (
                "encap ip6 id 7 dst 2001:db8:1::9 src 2001:db8:1::1 hoplimit 9 tc 2",
                json!({"encap": "ip6", "id": 7, "dst": "2001:db8:1::9", "src": "2001:db8:1::1", "hoplimit": 9, "tc": 2}),
            ),
            (
                "encap mpls 100/200",
                json!({"encap": "mpls", "gateway": "192.0.2.2"}),
            ),
        ];
        let lines: Vec<(String, Value)> = kinds
            .into_iter()
            .filter(|(encap, _)| kernel_has(encap))
            .flat_map(|(encap, expected)| {
                let one = format!("203.0.113.0/28 {encap} via 192.0.2.2 dev eth0");
                let two = format!(
                    "203.0.113.0/28 nexthop via 192.0.2.2 dev eth0 {encap} nexthop via 198.51.100.2 dev eth1"
                );
                let kind = expected["encap"].clone();
                let of_two = json!({"nexthops": [{"encap": kind}, {"gateway": "198.51.100.2"}]});
                [(one, expected), (two, of_two)]
            })
            .collect();
        let lines: Vec<(&str, Value)> = lines
            .iter()
            .map(|(line, expected)| (line.as_str(), expected.clone()))
            .collect();
        each(&lines, false);
    });
}

#[test]
fn each_attribute_of_a_rule() {
    in_namespace("routes::each_attribute_of_a_rule", || {
        two_links();
        each(
            &[
                (
                    "from 192.0.2.100 table 200 priority 2001",
                    json!({"priority": 2001, "src": "192.0.2.100", "table": "200", "protocol": "18"}),
                ),
                (
                    "from 192.0.2.0/24 to 203.0.113.0/24 lookup 70000 preference 5",
                    json!({"src": "192.0.2.0", "srclen": 24, "dst": "203.0.113.0", "dstlen": 24, "table": "70000"}),
                ),
                ("not from 192.0.2.0/24 table 200 priority 7", json!({"not": null})),
                (
                    "fwmark 0x10/0xff dev eth1 blackhole priority 2003",
                    json!({"fwmark": "0x10", "fwmask": "0xff", "iif": "eth1", "action": "6"}),
                ),
                (
                    "fwmark 16 oif eth0 table 9 priority 8",
                    json!({"fwmark": "0x10", "oif": "eth0"}),
                ),
                (
                    "tos 4 table 200 suppress_prefixlength 0 priority 9",
                    json!({"tos": "0x04", "suppress_prefixlen": 0}),
                ),
                (
                    "from all ipproto tcp sport 1000-2000 dport 80-81 uidrange 1-10 table 200 priority 9",
                    json!({"ipproto": "ipproto-6", "sport_start": 1000, "sport_end": 2000, "dport_start": 80, "dport_end": 81, "uid_start": 1, "uid_end": 10}),
                ),
                ("goto 32766 from 192.0.2.9 priority 2007", json!({"goto": 32766})),
                ("nop from 192.0.2.9 priority 2007", json!({"nop": null})),
                ("unreachable from 192.0.2.9 priority 2007", json!({"action": "7"})),
                ("prohibit from 192.0.2.9 priority 2007", json!({"action": "8"})),
                ("tunnel-id 77 table 9 priority 8", json!({"tun_id": 77})),
                (
                    "from 2001:db8:1::/64 table 200 priority 2006",
                    json!({"src": "2001:db8:1::", "srclen": 64}),
                ),
                ("inet6 from all table 200 priority 2006", json!({"src": "all"})),
            ],
            true,
        );
    });
}

#[test]
fn leftovers_of_a_killed_predecessor_go_at_the_start() {
    in_namespace(
        "routes::leftovers_of_a_killed_predecessor_go_at_the_start",
        || {
            two_links();
            let one = || {
                with_routes(
                    "192.0.2.100/24",
                    "203.0.113.0/28 via 192.0.2.2",
                    "from 192.0.2.100 table 7 priority 9",
                )
            };
            let killed = Kernel::start(KernelSettings::default());
            killed.configure(vec![one()], KernelSettings::default(), true);
            killed.claim(1, 1, 0);
            wait_for("both are there", || routes().len() + rules().len() == 2);
            killed.stop(true);
            // Somebody else's is not ours to remove.
            run("ip route add 203.0.113.16/28 via 192.0.2.2");
            assert_eq!(routes().len() + rules().len(), 2);
            let kernel = Kernel::start(KernelSettings::default());
            kernel.configure(vec![one()], KernelSettings::default(), true);
            assert_eq!(routes().len() + rules().len(), 0);
            assert!(run("ip route").contains("203.0.113.16/28"));
            kernel.stop(false);
        },
    );
}

#[test]
fn a_reload_changes_the_differences_only() {
    in_namespace("routes::a_reload_changes_the_differences_only", || {
        two_links();
        let kernel = Kernel::start(KernelSettings::default());
        let settings = KernelSettings::default;
        let first = with_routes(
            "192.0.2.100/24",
            "203.0.113.0/28 via 192.0.2.2\n203.0.113.16/28 via 192.0.2.2\nadd 203.0.113.32/28 via 192.0.2.2 mtu 1400",
            "from 192.0.2.100 table 7 priority 9",
        );
        kernel.configure(vec![first], settings(), true);
        kernel.claim(1, 1, 0);
        wait_for("all are there", || routes().len() + rules().len() == 4);
        let mut watch = keepalived_rs::sys::netlink::NetlinkSocket::open(
            keepalived_rs::sys::netlink::ROUTE,
            &[libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV4_RULE],
        )
        .expect("a monitor");
        let second = with_routes(
            "192.0.2.100/24",
            "203.0.113.0/28 via 192.0.2.2\n203.0.113.16/28 via 192.0.2.3\nadd 203.0.113.32/28 via 192.0.2.2 mtu 1300\n203.0.113.48/28 via 192.0.2.2",
            "from 192.0.2.101 table 7 priority 9",
        );
        kernel.configure(vec![second], settings(), false);
        wait_for("the new ones", || {
            let found = routes();
            found.len() == 4 && rules().len() == 1 && rules()[0]["src"] == "192.0.2.101"
        });
        let found = routes();
        let at = |dst: &str| {
            found
                .iter()
                .find(|route| route["dst"] == dst)
                .cloned()
                .unwrap_or_default()
        };
        assert_eq!(at("203.0.113.16/28")["gateway"], "192.0.2.3");
        assert_eq!(at("203.0.113.32/28")["metrics"][0]["mtu"], 1300);
        // What stays was not touched.
        let kept = [203, 0, 113, 0];
        while let Ok(Some(bytes)) = watch.receive() {
            let touched = keepalived_rs::net::message::messages(bytes).any(|message| {
                keepalived_rs::net::message::attributes(message.payload, 12)
                    .any(|(kind, value)| kind == libc::RTA_DST && value == kept)
            });
            assert!(!touched, "203.0.113.0/28 was changed");
        }
        kernel.release(1, 2);
        kernel.applied(1, 2);
        assert_eq!(routes().len() + rules().len(), 0);
        kernel.stop(false);
    });
}
