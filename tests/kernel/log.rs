//! The lines about kernel work, compared with what keepalived 2.4.3 logs for the same addresses.

use crate::support::*;
use keepalived_rs::model::{Address, IpNetwork, Lifetime};
use keepalived_rs::state::kernel::{KernelReport, KernelSettings};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};

/// Keeps the message of every event. It is the process's subscriber: the test has a process of its own.
struct Lines(Arc<Mutex<Vec<String>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

const MARK: &str = "KEEPALIVED_RS_KERNEL_TEST";

/// Runs the test in a process of its own, with a list of the lines that are logged there.
fn with_lines(name: &str, test: impl FnOnce(Arc<Mutex<Vec<String>>>) + Send + 'static) {
    if std::env::var_os(MARK).is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(MARK, "1")
            .status()
            .unwrap();
        assert!(status.success(), "{name} failed in its process");
        return;
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    let _ = tracing::subscriber::set_global_default(Lines(lines.clone()));
    in_namespace(name, move || test(lines));
}

/// The addresses of the recorded case: every option of an address line.
fn vips() -> (Vec<Address>, Vec<Address>) {
    let mut first = address("192.0.2.100/24", "eth0");
    first.broadcast = Some("192.0.2.255".parse().unwrap());
    first.label = Some("eth0:1".into());
    let mut refused = address("192.0.2.101/24", "eth0");
    refused.broadcast = Some("192.0.2.0".parse().unwrap());
    refused.scope = 253;
    refused.label = Some("eth0:vip2".into());
    let mut other = address("198.51.100.100/24", "eth1");
    other.broadcast = Some("198.51.100.255".parse().unwrap());
    other.label = Some("eth1:1".into());
    let mut peer = address("192.0.2.110", "eth0");
    peer.peer = Some(IpNetwork {
        address: "192.0.2.111".parse().unwrap(),
        prefix: 32,
    });
    let mut labelled = address("192.0.2.102/24", "eth0");
    labelled.label = Some("eth0:3".into());
    let mut home = address("2001:db8:0:1::102/64", "eth0");
    home.flags.home = true;
    home.flags.nodad = false;
    let forever = address("2001:db8:0:2::103", "eth1");
    let mut untracked = address("192.0.2.104", "eth0");
    untracked.flags.no_prefix_route = true;
    untracked.no_track = true;
    untracked.preferred = Lifetime::Seconds(1000);
    let mut no_route = address("2001:db8:0:1::105/64", "eth0");
    no_route.flags.no_prefix_route = true;
    (
        vec![first, refused, other, peer],
        vec![labelled, home, forever, untracked, no_route],
    )
}

#[test]
fn addresses_with_every_option_and_their_lines_are_keepaliveds() {
    with_lines(
        "log::addresses_with_every_option_and_their_lines_are_keepaliveds",
        |lines| {
            for (name, index, network) in [("eth0", 10, 0), ("eth1", 11, 1)] {
                let (v4, v6) = (["192.0.2.1", "198.51.100.1"][network], network + 1);
                run(&format!(
                    "ip link add {name} index {index} address 02:00:00:00:01:0{network} type veth peer name p{index}"
                ));
                run(&format!("sysctl -qw net.ipv6.conf.{name}.accept_dad=0"));
                run(&format!("ip link set p{index} up"));
                run(&format!("ip link set {name} up"));
                run(&format!("ip addr add {v4}/24 dev {name}"));
                run(&format!("ip addr add 2001:db8:0:{v6}::1/64 dev {name} nodad"));
            }
            let recorded = include_str!("excluded-labels.addresses");
            let before = shown();
            let (vips, excluded) = vips();
            let mut configured = instance(1, vips);
            configured.excluded_vips = excluded.into();
            configured.promote_secondaries = true;
            let kernel = Kernel::start(KernelSettings::default());
            kernel.configure(vec![configured], KernelSettings::default(), true);
            assert_eq!(
                run("sysctl -n net.ipv4.conf.eth0.promote_secondaries").trim(),
                "1"
            );
            kernel.claim(1, 1, 5);
            assert_eq!(
                kernel.applied(1, 1),
                [true, false, true, true, true, true, true, true, true]
            );
            let sent = |line: &&String| line.starts_with("Sending ");
            wait_for("five rounds", || {
                lines.lock().unwrap().iter().filter(sent).count() == 45
            });
            assert_eq!(shown(), recorded);
            // Removed by hand: the line that tools look for, and one that says more.
            run("ip addr del 192.0.2.102/24 dev eth0");
            kernel.wait("AddressRestored", |report| {
                matches!(report, KernelReport::AddressRestored { .. })
            });
            {
                let lines = lines.lock().unwrap();
                let at = lines
                    .iter()
                    .position(|line| line == "Netlink reflector reports IP 192.0.2.102 removed from eth0")
                    .expect("the line about the removal");
                assert!(
                    lines[at + 1].starts_with("(VI_1) 192.0.2.102 was removed from eth0 by "),
                    "{}",
                    lines[at + 1]
                );
                assert!(lines[at + 1].ends_with("; putting it back"));
            }
            let count = lines.lock().unwrap().len();
            kernel.release(1, 2);
            kernel.applied(1, 2);
            let mut logged: Vec<String> = lines.lock().unwrap().clone();
            let tail: Vec<String> = logged
                .drain(count..)
                .filter(|line| line.contains("removing"))
                .collect();
            let end = logged
                .iter()
                .position(|line| line.starts_with("Netlink reflector"))
                .unwrap();
            logged.truncate(end);
            // keepalived does not say which address the kernel refused.
            let refused: Vec<String> = logged
                .extract_if(.., |line| line.contains("the kernel refused to add"))
                .collect();
            let why = "ipv4: Invalid scope value";
            assert_eq!(
                refused,
                [format!(
                    "(VI_1) the kernel refused to add 192.0.2.101/24 on eth0: {why}"
                )]
            );
            logged.retain(|line| !line.starts_with("Registering"));
            logged.extend(tail);
            let masked: Vec<String> = logged.iter().map(|line| mask(line)).collect();
            let expected: Vec<&str> = include_str!("excluded-labels.log").lines().collect();
            assert_eq!(masked, expected);
            kernel.stop(false);
            assert_eq!(shown(), before);
            assert_eq!(
                run("sysctl -n net.ipv4.conf.eth0.promote_secondaries").trim(),
                "0"
            );
        },
    );
}

fn mask(line: &str) -> String {
    match line.split_once("seq=") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}seq=<SEQ>{rest}")
        }
        None => line.to_owned(),
    }
}

/// The address lines of `ip addr show`, each with its interface.
fn shown() -> String {
    // The kernel ends duplicate address detection on a work queue.
    wait_for("no address is tentative", || {
        !run("ip addr show").contains("tentative")
    });
    let mut text = String::new();
    for name in ["eth0", "eth1"] {
        for line in run(&format!("ip addr show dev {name}")).lines() {
            let line = line.trim();
            if line.starts_with("inet") {
                let line = line
                    .replace(" proto keepalived", "")
                    .replace(" proto kernel_ll", "");
                text.push_str(&format!("{name}: {}\n", line.trim()));
            }
        }
    }
    text
}
