//! What people do on the day they install it, with the files that they paste.

use crate::common::daemon::Start;
use crate::common::packet::What;
use crate::common::ping::Ping;
use crate::common::{Daemon, Host, Lab, Observer, Which, now_ns, secs, wait_until};

fn start(host: &Host) -> Daemon {
    Start::new(host, Which::Tested).spawn()
}

/// Two nodes, priorities 255 and 254: who has the address, what the adverts say, and that it moves and returns.
pub fn two_nodes_fail_over() {
    const VIP: &str = "192.168.122.200";
    const ONE: &str = "192.168.122.101";
    const TWO: &str = "192.168.122.102";
    let lab = Lab::new();
    let lan = lab.segment();
    let (server1, server2) = (lab.host("server1"), lab.host("server2"));
    lab.connect(&server1, "eth0", &lan, &["192.168.122.101/24"]);
    lab.connect(&server2, "eth0", &lan, &["192.168.122.102/24"]);
    server1.write(
        "keepalived.conf",
        include_str!("scenarios/two-node-failover/server1.conf"),
    );
    server2.write(
        "keepalived.conf",
        include_str!("scenarios/two-node-failover/server2.conf"),
    );
    let watch = lab.watch(&lan);

    let mut one = start(&server1);
    one.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    let mut two = start(&server2);
    two.expect("(VI_1) Entering BACKUP STATE", secs(5.0));
    server1.wait_address("eth0", "192.168.122.200/24", true, secs(1.0));

    // Once a second, in tcpdump's words.
    let settled = now_ns();
    watch.wait_nth("four adverts of server1", settled, 4, secs(6.0), |s| {
        s.is_advert_of(51, ONE)
    });
    let adverts = watch.tcpdump(settled, &["ip", "proto", "112"]);
    for advert in &adverts {
        let words = "VRRPv2, Advertisement, vrid 51, prio 255, authtype simple, intvl 1s, length 20";
        assert!(
            advert.contains(&format!("IP {ONE} > 224.0.0.18: {words}")),
            "{advert}"
        );
    }
    one_a_second(&watch, settled, ONE);
    let brief = server1.ip("-brief address show eth0");
    assert!(brief.contains("192.168.122.200/24"), "{brief}");
    let brief = server2.ip("-brief address show eth0");
    assert!(!brief.contains(VIP), "{brief}");
    two.never("Entering MASTER STATE");

    // Stop on server1: priority 0, then server2 after its skew of 2/256 s, well before a missed advert.
    let stopped = now_ns();
    assert_eq!(one.stop(), Some(0));
    let farewell = watch.wait("priority 0", stopped, secs(1.0), |s| {
        s.advert().is_some_and(|a| a.priority == 0)
    });
    let first = watch.wait("server2's first advert", stopped, secs(5.0), |s| {
        s.is_advert_of(51, TWO)
    });
    assert!(
        first.at - farewell.at < 1_000_000_000,
        "took over {} ms after priority 0",
        (first.at - farewell.at) / 1_000_000
    );
    let arp = watch.wait("ARP for the address", stopped, secs(2.0), |s| {
        s.is_gratuitous_arp(VIP)
    });
    // The address is set while the advert goes out, but nobody is told of it before (RFC 9568 6.4.2).
    assert!(
        arp.at > first.at,
        "ARP {} ns before the advert",
        first.at - arp.at
    );
    two.expect("(VI_1) Backup received priority 0 advertisement", secs(1.0));
    two.expect("(VI_1) Entering MASTER STATE", secs(1.0));
    server2.wait_address("eth0", "192.168.122.200/24", true, secs(1.0));
    assert!(
        !server1.has("eth0", "192.168.122.200/24"),
        "left behind on server1"
    );
    watch.wait_nth("three adverts of server2", stopped, 3, secs(5.0), |s| {
        s.is_advert_of(51, TWO)
    });
    let adverts = watch.tcpdump(first.at, &["ip", "proto", "112"]);
    for advert in &adverts {
        let words = "VRRPv2, Advertisement, vrid 51, prio 254, authtype simple, intvl 1s, length 20";
        assert!(
            advert.contains(&format!("IP {TWO} > 224.0.0.18: {words}")),
            "{advert}"
        );
    }

    // Start on server1 takes it back: the owner of the address does not wait.
    let again = now_ns();
    let mut one = start(&server1);
    one.expect("(VI_1) Entering MASTER STATE", secs(3.0));
    two.expect(
        "(VI_1) Master received advert from 192.168.122.101 with higher priority 255, ours 254",
        secs(3.0),
    );
    two.expect("(VI_1) Entering BACKUP STATE", secs(1.0));
    server1.wait_address("eth0", "192.168.122.200/24", true, secs(1.0));
    server2.wait_address("eth0", "192.168.122.200/24", false, secs(1.0));
    watch.wait_nth("server1 again", again, 2, secs(3.0), |s| s.is_advert_of(51, ONE));
    assert_eq!(two.stop(), Some(0));
    assert_eq!(one.stop(), Some(0));
    assert!(!server1.has("eth0", "192.168.122.200/24"));
    assert!(!server2.has("eth0", "192.168.122.200/24"));
}

/// Adverts of `source` since `from`, a second apart: the sender's clock is right to a tenth, on a busy machine too.
fn one_a_second(watch: &Observer, from: i64, source: &str) {
    let times: Vec<i64> = watch
        .seen_since(from)
        .iter()
        .filter(|s| s.is_advert_of(51, source))
        .map(|s| s.at)
        .collect();
    let seconds = (times[times.len() - 1] - times[0]) as f64 / 1e9;
    let each = seconds / (times.len() - 1) as f64;
    assert!((0.9..1.2).contains(&each), "an advert every {each:.3} s");
}

const R1: &str = include_str!("scenarios/hot-standby-strict/r1.conf");
const R2: &str = include_str!("scenarios/hot-standby-strict/r2.conf");
const STRICT_VIP: &str = "192.168.10.100";

struct Standby {
    r1: Host,
    r2: Host,
    client: Host,
    watch: Observer,
    lab: Lab,
}

fn standby(edit: impl Fn(&str) -> String) -> Standby {
    let lab = Lab::new();
    let lan = lab.segment();
    let (r1, r2, client) = (lab.host("r1"), lab.host("r2"), lab.host("client"));
    lab.connect(&r1, "ens160", &lan, &["192.168.10.101/24"]);
    lab.connect(&r2, "ens160", &lan, &["192.168.10.102/24"]);
    lab.connect(&client, "eth0", &lan, &["192.168.10.9/24"]);
    r1.write("keepalived.conf", &edit(R1));
    r2.write("keepalived.conf", &edit(R2));
    let watch = lab.watch(&lan);
    Standby {
        r1,
        r2,
        client,
        watch,
        lab,
    }
}

/// The stock sample with `vrrp_strict`: what that changes is logged, and packets to the address are dropped.
pub fn strict_hot_standby_drops_packets_to_the_address() {
    let Standby {
        r1,
        r2,
        client,
        watch,
        lab: _lab,
    } = standby(str::to_owned);
    let mut one = start(&r1);
    one.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let mut two = start(&r2);
    two.expect("(VI_1) Entering BACKUP STATE (init)", secs(3.0));

    r1.wait_address("ens160", "192.168.10.100/32", true, secs(1.0));
    one.logged("(VI_1) Strict mode does not support authentication. Ignoring.");
    one.logged("(VI_1) State MASTER must match being address owner");
    two.logged("(VI_1) Strict mode does not support authentication. Ignoring.");
    one.logged("setting firewall drop rule");
    if crate::common::daemon::tests_ours() {
        one.logged("strict");
    }
    // Without authentication, as the log says: tcpdump calls that authtype none.
    let settled = now_ns();
    watch.wait_nth("two adverts", settled, 2, secs(4.0), |s| {
        s.is_advert_of(51, "192.168.10.101")
    });
    for advert in watch.tcpdump(settled, &["ip", "proto", "112"]) {
        let words = "VRRPv2, Advertisement, vrid 51, prio 100, authtype none, intvl 1s, length 20";
        assert!(advert.contains(words), "{advert}");
    }
    rules_hold(&r1, true);
    rules_hold(&r2, false);
    let pings = Ping::times(&client, STRICT_VIP, secs(0.2), 5);
    assert_eq!(pings.answered, 0, "strict mode drops what is sent to the address");

    // The new master answers ARP for the address within the bound: priority 0, then its skew.
    let stopped = now_ns();
    assert_eq!(one.stop(), Some(0));
    rules_hold(&r1, false);
    two.expect("(VI_1) Entering MASTER STATE", secs(4.0));
    let claim = watch.wait("ARP of the new master", stopped, secs(4.0), |s| {
        s.is_gratuitous_arp(STRICT_VIP)
    });
    assert_eq!(claim.from_mac, r2.mac("ens160"));
    rules_hold(&r2, true);
    client.ip("neigh flush dev eth0");
    let asked = now_ns();
    let pings = Ping::times(&client, STRICT_VIP, secs(0.2), 5);
    assert_eq!(pings.answered, 0);
    let mac = r2.mac("ens160");
    watch.wait("an answer to ARP", asked, secs(3.0), |s| {
        matches!(&s.what, What::Arp { request: false, sender, sender_mac, .. }
            if sender.to_string() == STRICT_VIP && *sender_mac == mac)
    });
    assert_eq!(two.stop(), Some(0));
    rules_hold(&r2, false);
}

/// keepalived's table with the address in its set, or nothing at all.
#[track_caller]
fn rules_hold(host: &Host, present: bool) {
    let what = format!(
        "nftables rules {} on {}",
        if present { "there" } else { "gone" },
        host.name
    );
    wait_until(&what, secs(2.0), || {
        let rules = host.space().tool("nft", &["list", "ruleset"]);
        let holds = rules.contains("table ip keepalived") && rules.contains(STRICT_VIP);
        let drops =
            rules.contains("ip daddr @vips") && rules.contains("ip saddr @vips") && rules.contains("drop");
        if present {
            (holds && drops).then_some(())
        } else {
            (!rules.contains(STRICT_VIP)).then_some(())
        }
    });
}

/// Without `vrrp_strict` a client that pings once a second hardly notices a stop and a start of the master.
pub fn hot_standby_without_strict_loses_two_pings_at_most() {
    let Standby {
        r1,
        r2,
        client,
        watch,
        lab: _lab,
    } = standby(|text| {
        text.lines()
            .filter(|line| line.trim() != "vrrp_strict")
            .map(|line| format!("{line}\n"))
            .collect()
    });
    let mut one = start(&r1);
    one.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let mut two = start(&r2);
    two.expect("(VI_1) Entering BACKUP STATE (init)", secs(3.0));
    r1.wait_address("ens160", "192.168.10.100/32", true, secs(1.0));
    let answered = Ping::times(&client, STRICT_VIP, secs(0.2), 2);
    assert!(
        answered.answered > 0,
        "the address answers before anything is stopped: {answered:?}"
    );

    let pings = Ping::start(&client, STRICT_VIP, secs(1.0));
    let stopped = now_ns();
    assert_eq!(one.stop(), Some(0));
    two.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    watch.wait_nth("r2 as master", stopped, 3, secs(5.0), |s| {
        s.is_advert_of(51, "192.168.10.102")
    });
    let again = now_ns();
    let mut one = start(&r1);
    one.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    two.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
    watch.wait_nth("r1 as master again", again, 3, secs(8.0), |s| {
        s.is_advert_of(51, "192.168.10.101")
    });
    let count = pings.finish();
    assert!(count.sent >= 5, "{count:?}");
    assert!(count.lost() <= 2, "{count:?}");
}

const NOTIFY: &str = "#!/bin/sh\necho \"$@\" >>\"$TMPDIR/notified\"\n";
const SQUID: &str =
    "#!/bin/sh\n[ \"$*\" = \"-k check\" ] || exit 99\nexit \"$(cat \"$TMPDIR/squid-status\")\"\n";

struct Proxy {
    host: Host,
    daemon: Option<Daemon>,
}

impl Proxy {
    fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("it was started")
    }

    fn squid(&self, status: u8) {
        std::fs::write(self.host.tmp().join("squid-status"), status.to_string()).expect("own file");
    }

    fn notified(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.host.tmp().join("notified")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn wait_notified(&self, line: &str) {
        let what = format!("notify.sh with {line:?} on {}", self.host.name);
        wait_until(&what, secs(3.0), || {
            self.notified().iter().any(|l| l == line).then_some(())
        });
    }

    fn forget_notified(&self) {
        let _ = std::fs::remove_file(self.host.tmp().join("notified"));
    }

    /// Holds the address, under its label.
    fn holds(&self, address: &str, label: &str) -> bool {
        self.host
            .address_details("eth0")
            .iter()
            .any(|a| a["local"] == address && a["label"] == label)
    }

    #[track_caller]
    fn wait_holds(&self, addresses: &[(&str, &str)], bound: f64) {
        let all = [("192.168.2.101", "eth0:1"), ("192.168.2.102", "eth0:2")];
        wait_until(
            &format!("{} holding exactly {addresses:?}", self.host.name),
            secs(bound),
            || {
                all.iter()
                    .all(|a| self.holds(a.0, a.1) == addresses.contains(a))
                    .then_some(())
            },
        );
    }
}

/// Two hosts, each master of an address of its own; a link or the service lost on one moves its address.
pub fn squid_on_two_active_hosts() {
    const ONE: (&str, &str) = ("192.168.2.101", "eth0:1");
    const TWO: (&str, &str) = ("192.168.2.102", "eth0:2");
    let lab = Lab::new();
    let (lan, inner) = (lab.segment(), lab.segment());
    let mut ports = Vec::new();
    let mut make = |name: &str, last: u8, conf: &str| {
        let host = lab.host(name);
        ports.push(lab.connect(&host, "eth0", &lan, &[&format!("192.168.2.{last}/24")]));
        lab.connect(&host, "eth1", &inner, &[&format!("10.0.0.{last}/24")]);
        host.write("keepalived.conf", conf);
        host.script("notify.sh", NOTIFY);
        host.program("/usr/sbin/squid", SQUID);
        let proxy = Proxy { host, daemon: None };
        proxy.squid(0);
        proxy
    };
    let mut one = make(
        "serv01",
        251,
        include_str!("scenarios/squid-active-active/proxy-serv01.conf"),
    );
    let mut two = make(
        "serv02",
        252,
        include_str!("scenarios/squid-active-active/proxy-serv02.conf"),
    );
    let watch = lab.watch(&lan);
    one.daemon = Some(start(&one.host));
    two.daemon = Some(start(&two.host));

    // Each its own.
    one.wait_holds(&[ONE], 8.0);
    two.wait_holds(&[TWO], 8.0);
    one.daemon()
        .expect("VRRP_Script(chk_squid_service) succeeded", secs(1.0));
    one.daemon().logged("(proxy_ip1) Entering MASTER STATE");
    one.daemon().logged("(proxy_ip2) Entering BACKUP STATE");
    one.wait_notified("INSTANCE proxy_ip1 MASTER 255");
    one.wait_notified("INSTANCE proxy_ip2 BACKUP 100");
    two.wait_notified("INSTANCE proxy_ip2 MASTER 255");
    two.wait_notified("INSTANCE proxy_ip1 BACKUP 100");

    // The cable of eth0: FAULT, and the other takes the address after three missed adverts.
    one.forget_notified();
    one.daemon().skip_log();
    let pulled = now_ns();
    ports[0].pull();
    one.daemon().expect("Netlink reports eth0 down", secs(2.0));
    one.daemon().expect("Entering FAULT STATE", secs(2.0));
    one.wait_notified("INSTANCE proxy_ip1 FAULT 255");
    one.wait_notified("INSTANCE proxy_ip2 FAULT 100");
    two.wait_holds(&[ONE, TWO], 6.0);
    two.wait_notified("INSTANCE proxy_ip1 MASTER 100");
    watch.wait("ARP of serv02", pulled, secs(2.0), |s| {
        s.is_gratuitous_arp("192.168.2.101")
    });
    one.wait_holds(&[], 1.0);
    ports[0].plug();
    one.daemon().expect("Netlink reports eth0 up", secs(2.0));
    one.wait_holds(&[ONE], 8.0);
    two.wait_holds(&[TWO], 3.0);
    one.wait_notified("INSTANCE proxy_ip1 MASTER 255");

    // eth1 taken down: adverts still pass, so priority 0 tells the other at once.
    one.daemon().skip_log();
    let down = now_ns();
    one.host.ip("link set eth1 down");
    one.daemon().expect("Netlink reports eth1 down", secs(2.0));
    one.daemon().expect("Entering FAULT STATE", secs(2.0));
    let farewell = watch.wait("priority 0", down, secs(2.0), |s| {
        s.advert().is_some_and(|a| a.vrid == 1 && a.priority == 0)
    });
    let first = watch.wait("serv02 for proxy_ip1", down, secs(3.0), |s| {
        s.is_advert_of(1, "192.168.2.252")
    });
    assert!(
        first.at - farewell.at < 1_600_000_000,
        "skew of priority 100 is 0.61 s"
    );
    two.wait_holds(&[ONE, TWO], 2.0);
    one.wait_holds(&[], 1.0);
    one.host.ip("link set eth1 up");
    one.daemon().expect("Netlink reports eth1 up", secs(2.0));
    one.wait_holds(&[ONE], 8.0);
    two.wait_holds(&[TWO], 3.0);

    // The check failing.
    one.daemon().skip_log();
    one.forget_notified();
    one.squid(1);
    one.daemon().expect("now returning 1", secs(5.0));
    one.daemon().expect(
        "VRRP_Script(chk_squid_service) failed (exited with status 1)",
        secs(1.0),
    );
    one.daemon().expect("Entering FAULT STATE", secs(1.0));
    one.wait_notified("INSTANCE proxy_ip1 FAULT 255");
    two.wait_holds(&[ONE, TWO], 4.0);
    one.wait_holds(&[], 1.0);
    one.squid(0);
    one.daemon()
        .expect("VRRP_Script(chk_squid_service) succeeded", secs(5.0));
    one.wait_holds(&[ONE], 8.0);
    two.wait_holds(&[TWO], 3.0);
    one.wait_notified("INSTANCE proxy_ip1 MASTER 255");
    one.wait_notified("INSTANCE proxy_ip2 BACKUP 100");

    // Both at once have the address of the one that stops.
    assert_eq!(one.daemon().stop(), Some(0));
    two.wait_holds(&[ONE, TWO], 4.0);
    one.wait_holds(&[], 1.0);
    assert_eq!(two.daemon().stop(), Some(0));
    two.wait_holds(&[], 1.0);
    for line in one.notified() {
        assert_eq!(
            line.split(' ').count(),
            4,
            "keepalived gives notify scripts four arguments: {line}"
        );
    }
}
