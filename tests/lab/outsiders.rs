//! Programs that others have written, on the same link: ucarp, which speaks another protocol under the same number,
//! and scapy, which makes and takes apart packets by a description of its own.

use std::fs;

use keepalived_rs::wire::checksum::Sum;
use serde_json::Value;

use crate::common::daemon::Start;
use crate::common::{have, now_ns, runner, secs, wait_until};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";

/// ucarp's adverts have VRRP's protocol number, group, version and type, and may have our number: they are refused,
/// counted, told once, and change nothing.
pub fn ucarp_with_our_number_changes_nothing() {
    if !have("ucarp") {
        runner::skip("ucarp is not installed");
    }
    let two = instance("VI_2", 52, 100, &["192.0.2.102/24"], "version 3");
    let lab = Single::new(&format!(
        "{}{two}",
        instance("VI_1", 51, 100, &[VIP], "version 2")
    ));
    let other = lab.peer("two", 2, "");
    let mut daemon = lab.start();
    for name in ["VI_1", "VI_2"] {
        daemon.expect(&format!("({name}) Entering MASTER STATE"), secs(8.0));
    }
    let from = now_ns();
    let _both: Vec<_> = ["51", "52"]
        .iter()
        .map(|number| {
            let address = format!("192.0.2.2{number}");
            let words = [
                "-i",
                "eth0",
                "-s",
                "192.0.2.2",
                "-v",
                number,
                "-p",
                "secret",
                "-a",
                &address,
            ];
            let more = ["-u", "/bin/true", "-d", "/bin/true", "-b", "1", "-k", "0", "-z"];
            Start::bare(&other, "ucarp")
                .only_args(&[&words[..], &more].concat())
                .spawn()
        })
        .collect();
    for number in [51, 52] {
        // Their priority is 0: a router that gives up, if it were one.
        let its = |seen: &crate::common::Seen| {
            seen.advert().is_some_and(|advert| {
                advert.vrid == number && advert.priority == 0 && advert.source.to_string() == "192.0.2.2"
            })
        };
        lab.watch.wait_nth("its adverts", from, 2, secs(12.0), its);
        let since = now_ns();
        let ours = |seen: &crate::common::Seen| seen.is_advert_of(number, "192.0.2.1");
        lab.watch.wait_nth("ours go on", since, 2, secs(5.0), ours);
    }
    assert_eq!(daemon.count("Entering BACKUP STATE"), 2, "at the start");
    daemon.logged("(VI_1) vrrp packet from 192.0.2.2 too short");
    daemon.logged("(VI_2) wrong VRRP version from 192.0.2.2. Received 2 and expect 3");
    assert_eq!(daemon.count("too short"), 1, "once");
    daemon.signal(nix::sys::signal::Signal::SIGUSR2);
    let path = lab.host.tmp().join("keepalived.stats");
    let text = wait_until("the counters", secs(5.0), || fs::read_to_string(&path).ok());
    let length = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Length: ")?.parse::<u64>().ok());
    assert!(length >= Some(2), "{text}");
}

/// failover_vr, a router of version 2 from crates.io. Its adverts leave with a TTL of 1 and a checksum of 0, and are
/// refused; with both mended on their way, each takes over from the other, follows it and gives way to it. It refuses
/// adverts unless their number of addresses is a multiple of four.
pub fn failover_vr_takes_over_and_gives_way() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin/failover");
    if !std::path::Path::new(program).exists() {
        runner::skip("failover_vr is not installed: tests/run does it");
    }
    for its_priority in [200, 50] {
        let vips = [VIP, "192.0.2.101/24", "192.0.2.102/24", "192.0.2.103/24"];
        let lab = Single::new(&instance("VI_1", 51, 100, &vips, "version 2"));
        let other = lab.peer("two", 2, "");
        let begin = || {
            let priority = its_priority.to_string();
            let words = [
                "run",
                "cli-mode",
                "--name",
                "VR_1",
                "--vrid",
                "51",
                "--interface-name",
                "eth0",
            ];
            let more = ["--preempt-mode", "--priority", &priority, "--ip-address"];
            Start::bare(&other, program)
                .only_args(&[&words[..], &more, &vips].concat())
                .spawn()
        };
        let mend = |what: &str| {
            let rule = format!("ip daddr 224.0.0.18 {what}");
            let hook = "type filter hook output priority mangle;";
            other.space().tool(
                "nft",
                &[&format!("table ip mend {{ chain out {{ {hook} {rule}; }}; }}")],
            );
        };
        let its = |seen: &crate::common::Seen| {
            seen.advert()
                .is_some_and(|advert| advert.vrid == 51 && advert.source.to_string() == "192.0.2.2")
        };
        let ours = |seen: &crate::common::Seen| seen.is_advert_of(51, "192.0.2.1");
        let mut daemon = lab.start();
        daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
        let mut from = now_ns();
        if its_priority > 100 {
            let mut peer = begin();
            lab.watch.wait_nth("its adverts", from, 2, secs(12.0), its);
            daemon.expect("Received 1 and expect 255", secs(3.0));
            mend("ip ttl set 255");
            daemon.expect("(VI_1) Invalid VRRPv2 checksum", secs(3.0));
            assert_eq!(daemon.count("Entering BACKUP STATE"), 1, "at the start");
            mend(&format!("@th,48,16 set {:#x}", checksum_of(its_priority)));
            daemon.expect("(VI_1) Entering BACKUP STATE", secs(4.0));
            lab.host.wait_address("eth0", VIP, false, secs(2.0));
            other.wait_address("eth0", VIP, true, secs(2.0));
            from = now_ns();
            lab.watch.wait_nth("it goes on", from, 5, secs(12.0), its);
            assert_eq!(daemon.count("Entering MASTER STATE"), 1, "ours follows");

            peer.crash();
            daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
            lab.host.wait_address("eth0", VIP, true, secs(2.0));
            let _peer = begin();
            daemon.expect("(VI_1) Entering BACKUP STATE", secs(8.0));
            lab.host.wait_address("eth0", VIP, false, secs(2.0));
        } else {
            mend("ip ttl set 255");
            mend(&format!("@th,48,16 set {:#x}", checksum_of(its_priority)));
            let _peer = begin();
            lab.watch.wait_nth("ours go on", from, 6, secs(10.0), ours);
            assert!(!other.has("eth0", VIP), "it follows");

            from = now_ns();
            assert_eq!(daemon.stop(), Some(0));
            lab.watch.wait("it takes over", from, secs(4.0), its);
            other.wait_address("eth0", VIP, true, secs(2.0));
            let mut daemon = lab.start();
            daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
            other.wait_address("eth0", VIP, false, secs(3.0));
            from = now_ns();
            lab.watch.wait_nth("ours go on", from, 4, secs(8.0), ours);
            assert!(!lab.watch.seen_since(from).iter().any(its), "it follows");
            daemon.never("hecksum");
        }
    }
}

/// Of a version 2 advert for virtual router 51 with four addresses from [`VIP`] on, each second.
fn checksum_of(priority: u8) -> u16 {
    let head = Sum::new().bytes(&[0x21, 51, priority, 4, 0, 1]);
    (100..104)
        .fold(head, |sum, last| sum.bytes(&[192, 0, 2, last]))
        .finish()
}

/// scapy's adverts of a better router are obeyed; it finds nothing wrong in ours, in either version.
pub fn scapy_makes_and_takes_apart() {
    if crate::common::try_tool("/usr/bin/python3", &["-c", "import scapy"]).is_err() {
        runner::skip("scapy is not installed");
    }
    for (version, ipv6, interval) in [(2, false, 1.0), (3, false, 0.3), (3, true, 0.3)] {
        let vip = if ipv6 { "fe80::100/64" } else { VIP };
        let lab = Single::new(&instance(
            "VI_1",
            51,
            100,
            &[vip],
            &format!("version {version}\n advert_int {interval}"),
        ));
        let other = lab.peer("two", 2, "");
        let source = if ipv6 {
            lab.host.link_local("eth0")
        } else {
            "192.0.2.1".to_owned()
        };
        let mut daemon = start(&lab.host);
        daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
        let python = |program: &str| {
            let source = if ipv6 {
                other.link_local("eth0")
            } else {
                "192.0.2.2".to_owned()
            };
            let source = source.split('/').next().unwrap_or_default();
            let ipv6 = if ipv6 { "True" } else { "False" };
            let text = format!(
                "OURS, SIX, SOURCE = {version}, {ipv6}, '{source}'
{PRELUDE}{program}"
            );
            other.space().tool("/usr/bin/python3", &["-c", &text])
        };
        let seen: Value = serde_json::from_str(&python(TAKE_APART)).expect("what it has seen");
        assert_eq!(
            seen["source"],
            source.split('/').next().unwrap_or_default(),
            "{seen}"
        );
        assert_eq!(
            (&seen["version"], &seen["vrid"]),
            (&version.into(), &51.into()),
            "{seen}"
        );
        assert_eq!(
            (&seen["priority"], &seen["hops"]),
            (&100.into(), &255.into()),
            "{seen}"
        );
        assert_eq!(
            seen["addresses"][0],
            vip.split('/').next().unwrap_or_default(),
            "{seen}"
        );
        assert_eq!(seen["sum"], seen["right_sum"], "{seen}");
        let from = now_ns();
        python(MAKE);
        let its = |seen: &crate::common::Seen| {
            seen.advert()
                .is_some_and(|advert| advert.priority == 200 && advert.version == version)
        };
        lab.watch.wait("its advert", from, secs(3.0), its);
        daemon.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
        daemon.never("hecksum");
    }
}

const PRELUDE: &str = r#"
import json
from scapy.all import *
from scapy.layers.vrrp import VRRP, VRRPv3
GROUP = "ff02::12" if SIX else "224.0.0.18"
LAYER = VRRPv3 if OURS == 3 else VRRP
"#;

const TAKE_APART: &str = r#"
def ours(packet):
    ip = packet.getlayer(IPv6 if SIX else IP)
    return ip is not None and (ip.nh if SIX else ip.proto) == 112

packet = sniff(iface="eth0", count=1, timeout=5, lfilter=ours)[0]
ip = packet[IPv6 if SIX else IP]
vrrp = ip.payload
again = vrrp.copy()
del again.chksum
bare = ip.copy()
bare.remove_payload()
rebuilt = ip.__class__(bytes(bare / again)).payload
print(json.dumps({
    "source": ip.src, "hops": ip.hlim if SIX else ip.ttl, "layer": vrrp.name, "version": vrrp.version,
    "vrid": vrrp.vrid, "priority": vrrp.priority, "addresses": vrrp.addrlist, "sum": vrrp.chksum,
    "right_sum": rebuilt.chksum,
}))
"#;

const MAKE: &str = r#"
if SIX:
    packet = Ether(src=get_if_hwaddr("eth0"), dst="33:33:00:00:00:12") / IPv6(src=SOURCE, dst=GROUP, hlim=255, nh=112) / LAYER(
        vrid=51, priority=200, adv=30, addrlist=["fe80::100"])
elif OURS == 3:
    packet = Ether(src=get_if_hwaddr("eth0"), dst="01:00:5e:00:00:12") / IP(src=SOURCE, dst=GROUP, ttl=255, proto=112) / LAYER(
        vrid=51, priority=200, adv=30, addrlist=["192.0.2.100"])
else:
    packet = Ether(src=get_if_hwaddr("eth0"), dst="01:00:5e:00:00:12") / IP(src=SOURCE, dst=GROUP, ttl=255, proto=112) / LAYER(
        vrid=51, priority=200, adv=1, addrlist=["192.0.2.100"])
sendp(packet, iface="eth0", count=3, inter=0.2, verbose=False)
"#;
