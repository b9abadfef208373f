//! Claims and releases.

use crate::support::*;
use keepalived_rs::state::InstanceId;
use keepalived_rs::state::kernel::{KernelReport, KernelRequest, KernelSettings};

#[test]
fn a_claim_adds_and_announces_and_a_release_removes() {
    in_namespace(
        "addresses::a_claim_adds_and_announces_and_a_release_removes",
        || {
            veth();
            let before = addresses("eth0");
            let mut capture = Capture::on("peer0");
            let kernel = Kernel::start(KernelSettings::default());
            let vips = vec![address("192.0.2.100/24", "eth0"), address("192.0.2.101", "eth0")];
            kernel.configure(vec![instance(1, vips)], KernelSettings::default(), true);
            kernel.claim(1, 1, 5);
            assert_eq!(kernel.applied(1, 1), [true, true]);
            let mut expected = before.clone();
            expected.extend([("192.0.2.100".into(), 24), ("192.0.2.101".into(), 32)]);
            expected.sort();
            assert_eq!(addresses("eth0"), expected);
            let interfaces = keepalived_rs::net::links::interfaces().unwrap();
            let eth0 = interfaces
                .iter()
                .find(|interface| interface.name == "eth0")
                .unwrap();
            let marks = eth0
                .addresses
                .iter()
                .filter(|address| address.protocol == 18)
                .count();
            assert_eq!(marks, 2, "keepalived's protocol number");
            for round in 0..5 {
                for last in [100, 101] {
                    let frame = capture.next(0x0806, |_| true);
                    let mut arp = vec![
                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 1, 0, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                    ];
                    arp.extend([
                        2, 0, 0, 0, 1, 0, 192, 0, 2, last, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 192, 0, 2,
                        last,
                    ]);
                    assert_eq!(frame[..42], arp, "round {round}");
                }
            }
            kernel.release(1, 2);
            assert_eq!(kernel.applied(1, 2), [false, false]);
            assert_eq!(addresses("eth0"), before);
            kernel.stop(false);
        },
    );
}

#[test]
fn ipv6_addresses_are_announced_by_neighbour_advertisements() {
    in_namespace(
        "addresses::ipv6_addresses_are_announced_by_neighbour_advertisements",
        || {
            veth();
            let mut capture = Capture::on("peer0");
            let kernel = Kernel::start(KernelSettings::default());
            let vips = vec![
                address("fe80::100/64", "eth0"),
                address("2001:db8::100/64", "eth0"),
            ];
            kernel.configure(vec![instance(1, vips)], KernelSettings::default(), true);
            kernel.claim(1, 1, 2);
            assert_eq!(kernel.applied(1, 1), [true, true]);
            let is_advert = |frame: &[u8]| frame[20] == 58 && frame[54] == 136;
            for _ in 0..2 {
                for target in ["fe80::100", "2001:db8::100"] {
                    let frame = capture.next(0x86dd, is_advert);
                    let address: std::net::Ipv6Addr = target.parse().unwrap();
                    assert_eq!(
                        frame[..14],
                        [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0x86, 0xdd]
                    );
                    assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
                    assert_eq!(frame[22..38], address.octets());
                    assert_eq!(
                        frame[38..54],
                        "ff02::1".parse::<std::net::Ipv6Addr>().unwrap().octets()
                    );
                    assert_eq!(frame[58..62], [0x20, 0, 0, 0], "override only");
                    assert_eq!(frame[62..78], address.octets());
                    assert_eq!(frame[78..86], [2, 1, 2, 0, 0, 0, 1, 0]);
                    assert_eq!(checksum(&frame), 0xffff);
                }
            }
            kernel.stop(false);
            assert!(
                !addresses("eth0")
                    .iter()
                    .any(|(address, _)| address.contains("::100"))
            );
        },
    );
}

/// One's complement sum over the ICMPv6 pseudo header and message: all ones when it is right.
fn checksum(frame: &[u8]) -> u32 {
    let mut bytes = frame[22..54].to_vec();
    bytes.extend([0, 0, 0, 32, 0, 0, 0, 58]);
    bytes.extend(&frame[54..86]);
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[test]
fn a_stale_epoch_is_ignored() {
    in_namespace("addresses::a_stale_epoch_is_ignored", || {
        veth();
        let kernel = Kernel::start(KernelSettings::default());
        kernel.configure(
            vec![instance(1, vec![address("192.0.2.100/24", "eth0")])],
            KernelSettings::default(),
            true,
        );
        kernel.claim(1, 5, 1);
        assert_eq!(kernel.applied(1, 5), [true]);
        kernel.release(1, 4);
        kernel.claim(1, 5, 1);
        kernel.claim(1, 6, 1);
        assert_eq!(kernel.applied(1, 6), [true]);
        kernel.release(1, 7);
        assert_eq!(kernel.applied(1, 7), [false]);
        kernel.stop(false);
    });
}

#[test]
fn a_release_overtakes_the_rest_of_a_claim() {
    in_namespace("addresses::a_release_overtakes_the_rest_of_a_claim", || {
        veth();
        let before = addresses("eth0");
        let kernel = Kernel::start(KernelSettings::default());
        let many = (0..2000)
            .map(|n| address(&format!("10.1.{}.{}", n / 250, n % 250 + 1), "eth0"))
            .collect();
        kernel.configure(vec![instance(1, many)], KernelSettings::default(), true);
        kernel.claim(1, 1, 1);
        wait_for("the claim begins", || {
            run("ip -4 addr show dev eth0").contains("10.1.0.")
        });
        kernel.release(1, 2);
        let start = std::time::Instant::now();
        loop {
            let report = kernel.reports.recv_timeout(LIMIT).unwrap();
            if let KernelReport::Applied { epoch, set, .. } = report {
                assert_eq!(epoch, 2, "the overtaken claim reports nothing");
                assert!(set.iter().all(|set| !set));
                break;
            }
        }
        assert!(start.elapsed() < LIMIT);
        assert_eq!(addresses("eth0"), before);
        kernel.stop(false);
    });
}

#[test]
fn what_another_program_removes_comes_back() {
    in_namespace("addresses::what_another_program_removes_comes_back", || {
        veth();
        let kernel = Kernel::start(KernelSettings::default());
        let mut untracked = address("192.0.2.102", "eth0");
        untracked.no_track = true;
        let vips = vec![
            address("192.0.2.100/24", "eth0"),
            address("2001:db8::100/64", "eth0"),
            untracked,
        ];
        kernel.configure(vec![instance(1, vips)], KernelSettings::default(), true);
        kernel.claim(1, 1, 1);
        kernel.applied(1, 1);
        let mut capture = Capture::on("peer0");
        for victim in ["192.0.2.100/24", "2001:db8::100/64", "192.0.2.100/24"] {
            run(&format!("ip addr del {victim} dev eth0"));
            kernel.wait("AddressRestored", |report| {
                matches!(report, KernelReport::AddressRestored { instance: InstanceId(1), address }
                    if victim.starts_with(&address.to_string()))
            });
            let bare = victim.split('/').next().unwrap();
            assert!(addresses("eth0").iter().any(|(found, _)| found == bare));
        }
        let frame = capture.next(0x0806, |_| true);
        assert_eq!(frame[38..42], [192, 0, 2, 100], "what came back is announced");
        // no_track: it stays away. The one removed after it shows that its removal was seen.
        run("ip addr del 192.0.2.102/32 dev eth0");
        run("ip addr del 2001:db8::100/64 dev eth0");
        kernel.wait("AddressRestored", |report| {
            matches!(report, KernelReport::AddressRestored { .. })
        });
        assert!(!addresses("eth0").iter().any(|(found, _)| found == "192.0.2.102"));
        kernel.stop(false);
    });
}

#[test]
fn what_a_predecessor_left_is_removed_and_what_is_claimed_is_adopted() {
    in_namespace(
        "addresses::what_a_predecessor_left_is_removed_and_what_is_claimed_is_adopted",
        || {
            veth();
            run("ip addr add 192.0.2.100/24 dev eth0");
            run("ip addr add 192.0.2.200/24 dev eth0");
            let kernel = Kernel::start(KernelSettings::default());
            let backup = instance(1, vec![address("192.0.2.100/24", "eth0")]);
            let mut owner = instance(2, vec![address("192.0.2.200/24", "eth0")]);
            owner.owner = true;
            kernel.configure(vec![backup, owner], KernelSettings::default(), true);
            let has = |wanted: &str| addresses("eth0").iter().any(|(found, _)| found == wanted);
            assert!(!has("192.0.2.100") && has("192.0.2.200") && has("192.0.2.1"));
            kernel.claim(2, 1, 1);
            assert_eq!(kernel.applied(2, 1), [true]);
            kernel.stop(true);
            assert!(has("192.0.2.200"), "kept at stop");
        },
    );
}

#[test]
fn an_interface_that_comes_back_gets_its_addresses() {
    in_namespace(
        "addresses::an_interface_that_comes_back_gets_its_addresses",
        || {
            veth();
            let create = || {
                run("ip link add dum0 type veth peer name dum1");
                run("ip link set dum1 up");
                run("ip link set dum0 up");
            };
            create();
            let kernel = Kernel::start(KernelSettings::default());
            let vips = vec![address("198.51.100.1", "dum0"), address("2001:db8::1", "dum0")];
            kernel.configure(vec![instance(1, vips)], KernelSettings::default(), true);
            kernel.claim(1, 1, 1);
            assert_eq!(kernel.applied(1, 1), [true, true]);
            run("ip link del dum0");
            kernel.wait(
                "InterfaceGone",
                |report| matches!(report, KernelReport::InterfaceGone { name, .. } if name == "dum0"),
            );
            create();
            wait_for("the addresses", || {
                let there = addresses("dum0");
                there.contains(&("198.51.100.1".into(), 32)) && there.contains(&("2001:db8::1".into(), 128))
            });
            // IPv6 addresses go when a link goes down, and that is nobody's fault.
            run("ip link set dum0 down");
            run("ip link set dum0 up");
            wait_for("the IPv6 address", || {
                addresses("dum0").contains(&("2001:db8::1".into(), 128))
            });
            kernel.stop(false);
        },
    );
}

#[test]
fn lost_messages_of_the_monitor_lose_nothing() {
    in_namespace("addresses::lost_messages_of_the_monitor_lose_nothing", || {
        veth();
        let mut settings = KernelSettings::default();
        settings.monitor_buffer.size = 2304;
        let kernel = Kernel::start(settings.clone());
        kernel.configure(
            vec![instance(1, vec![address("192.0.2.100/24", "eth0")])],
            settings,
            true,
        );
        kernel.claim(1, 1, 1);
        kernel.applied(1, 1);
        // Far more changes at once than the buffer holds, and among them the removal of our address.
        let add = |n: u32| format!("addr add 10.2.{}.{}/32 dev lo\n", n / 250, n % 250 + 1);
        let mut batch: String = (0..1000).map(add).collect();
        batch.push_str("addr del 192.0.2.100/24 dev eth0\n");
        batch.extend((1000..2000).map(add));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), batch).unwrap();
        run(&format!("ip -batch {}", file.path().display()));
        kernel.wait("AddressRestored", |report| {
            matches!(report, KernelReport::AddressRestored { .. })
        });
        kernel.handle.send(KernelRequest::Resync);
        kernel.wait(
            "the last address",
            |report| matches!(report, KernelReport::Interface(interface) if interface.addresses.iter().any(|found| found.address.to_string() == "10.2.7.250")),
        );
        kernel.stop(false);
    });
}

#[test]
fn a_reload_changes_only_what_differs() {
    in_namespace("addresses::a_reload_changes_only_what_differs", || {
        veth();
        let kernel = Kernel::start(KernelSettings::default());
        let list = |hosts: &[u32]| {
            hosts
                .iter()
                .map(|n| address(&format!("192.0.2.{n}/24"), "eth0"))
                .collect()
        };
        let both = |a: &[u32], b: &[u32]| vec![instance(1, list(a)), instance(2, list(b))];
        kernel.configure(both(&[100, 101], &[110]), KernelSettings::default(), true);
        kernel.claim(1, 1, 1);
        kernel.claim(2, 1, 1);
        kernel.applied(1, 1);
        kernel.applied(2, 1);
        // 101 moves to the other instance: it must never leave the interface.
        let mut monitor = std::process::Command::new("ip")
            .args(["-o", "monitor", "address"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        run("ip addr add 203.0.113.1/32 dev eth0");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(monitor.stdout.take().unwrap()));
        // The monitor has no line that says that it listens: a change of ours is repeated until it is seen.
        let (sender, seen) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        wait_for("ip monitor listens", || {
            run("ip addr replace 203.0.113.1/32 dev eth0");
            seen.try_recv().is_ok()
        });
        kernel.configure(both(&[100, 102], &[110, 101]), KernelSettings::default(), false);
        kernel.applied(1, 1);
        kernel.applied(2, 1);
        run("ip addr add 203.0.113.99/32 dev eth0");
        let mut changes = Vec::new();
        loop {
            let line = seen.recv_timeout(LIMIT).expect("a line of ip monitor");
            if line.contains("203.0.113.99") {
                break;
            }
            if line.contains("192.0.2.") {
                changes.push(line);
            }
        }
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].contains("192.0.2.102"), "{changes:?}");
        kernel.configure(both(&[100], &[110, 101]), KernelSettings::default(), false);
        wait_for("102 is gone", || {
            !addresses("eth0").iter().any(|(found, _)| found == "192.0.2.102")
        });
        kernel.stop(false);
        assert_eq!(
            addresses("eth0")
                .iter()
                .filter(|(found, _)| found.starts_with("192.0.2.1"))
                .count(),
            1
        );
    });
}
