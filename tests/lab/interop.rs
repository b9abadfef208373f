//! Working together with Debian's keepalived and with FRR, as master and as backup.

use std::os::unix::fs::PermissionsExt;

use crate::common::daemon::{Start, needs_keepalived};
use crate::common::{Daemon, Host, Lab, Observer, Which, now_ns, secs, wait_until};

pub const FRR: &str = "/usr/lib/frr";

struct Kind {
    /// Lines of the instance besides priority and addresses.
    instance: &'static str,
    vip: &'static str,
    vip_with_length: &'static str,
    ipv6: bool,
    unicast: bool,
    /// Interface that has the address.
    device: &'static str,
}

pub fn version_2_with_password() {
    with_keepalived(&Kind {
        instance: "version 2\n authentication {\n auth_type PASS\n auth_pass s3cret12\n }",
        vip: "192.0.2.100",
        vip_with_length: "192.0.2.100/24",
        ipv6: false,
        unicast: false,
        device: "eth0",
    });
}

/// IPsec AH: sequence numbers go on over a takeover, from one program to the other.
pub fn version_2_with_ah() {
    let kind = Kind {
        instance: "authentication {\n auth_type AH\n auth_pass ahsecret\n }",
        vip: "192.0.2.100",
        vip_with_length: "192.0.2.100/24",
        ipv6: false,
        unicast: false,
        device: "eth0",
    };
    each_as_master(&kind, |kind, watch, high, low| {
        drop(hand_over_and_back(kind, watch, high, low))
    });
}

/// Between unicast peers the TTL is not signed.
pub fn unicast_with_ah() {
    let kind = Kind {
        instance: "authentication {\n auth_type AH\n auth_pass ahsecret\n }",
        vip: "192.0.2.100",
        vip_with_length: "192.0.2.100/24",
        ipv6: false,
        unicast: true,
        device: "eth0",
    };
    each_as_master(&kind, |kind, watch, high, low| {
        drop(hand_over_and_back(kind, watch, high, low))
    });
}

pub fn version_3_ipv4() {
    with_keepalived(&Kind {
        instance: "version 3\n advert_int 0.5",
        vip: "192.0.2.100",
        vip_with_length: "192.0.2.100/24",
        ipv6: false,
        unicast: false,
        device: "eth0",
    });
}

pub fn version_3_ipv6() {
    with_keepalived(&Kind {
        instance: "version 3\n advert_int 0.5",
        vip: "fe80::1:100",
        vip_with_length: "fe80::1:100/64",
        ipv6: true,
        unicast: false,
        device: "eth0",
    });
}

pub fn unicast() {
    with_keepalived(&Kind {
        instance: "authentication {\n auth_type PASS\n auth_pass s3cret12\n }",
        vip: "192.0.2.100",
        vip_with_length: "192.0.2.100/24",
        ipv6: false,
        unicast: true,
        device: "eth0",
    });
}

pub fn vmac() {
    with_keepalived(&Kind {
        instance: "use_vmac",
        vip: "192.0.2.100",
        vip_with_length: "192.0.2.100/24",
        ipv6: false,
        unicast: false,
        device: "vrrp.51",
    });
}

pub fn vmac_ipv6() {
    with_keepalived(&Kind {
        instance: "version 3\n advert_int 0.5\n use_vmac",
        vip: "fe80::1:100",
        vip_with_length: "fe80::1:100/64",
        ipv6: true,
        unicast: false,
        device: "vrrp.51",
    });
}

struct Node {
    host: Host,
    which: Which,
    /// Whence its adverts come.
    source: String,
}

/// Ours as master beside keepalived as backup, and the reverse: who is master, who follows, who takes over
/// after a stop and after a crash, and that the first returns.
fn with_keepalived(kind: &Kind) {
    each_as_master(kind, follow);
}

fn each_as_master(kind: &Kind, how: fn(&Kind, &Observer, &Node, &Node)) {
    needs_keepalived();
    for master in [Which::Tested, Which::Keepalived] {
        let lab = Lab::new();
        let lan = lab.segment();
        let node = |name: &str, last: u8, which| {
            let host = lab.host(name);
            lab.connect(&host, "eth0", &lan, &[&format!("192.0.2.{last}/24")]);
            let source = if kind.ipv6 {
                host.link_local("eth0")
            } else {
                format!("192.0.2.{last}")
            };
            Node { host, which, source }
        };
        let other = if master == Which::Tested {
            Which::Keepalived
        } else {
            Which::Tested
        };
        let (high, low) = (node("high", 1, master), node("low", 2, other));
        high.host.write(
            "keepalived.conf",
            &configuration(kind, 150, &high.source, &low.source),
        );
        low.host.write(
            "keepalived.conf",
            &configuration(kind, 100, &low.source, &high.source),
        );
        eprintln!("master: {master:?}");
        how(kind, &lab.watch(&lan), &high, &low);
    }
}

fn configuration(kind: &Kind, priority: u8, source: &str, peer: &str) -> String {
    let unicast = if kind.unicast {
        format!(" unicast_src_ip {source}\n unicast_peer {{\n {peer}\n }}\n")
    } else {
        String::new()
    };
    format!(
        "vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
         {}\n{unicast} virtual_ipaddress {{\n {}\n }}\n}}\n",
        kind.instance, kind.vip_with_length
    )
}

fn begin(node: &Node) -> Daemon {
    Start::new(&node.host, node.which).spawn()
}

/// The lower one follows, takes over at a stop, and gives back.
fn hand_over_and_back(kind: &Kind, watch: &Observer, high: &Node, low: &Node) -> (Daemon, Daemon) {
    let has = |node: &Node, present| {
        node.host
            .wait_address(kind.device, kind.vip_with_length, present, secs(2.0))
    };

    let mut one = begin(high);
    one.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut two = begin(low);
    two.expect("(VI_1) Entering BACKUP STATE", secs(4.0));
    stays_backup(watch, high, &two);
    has(high, true);
    has(low, false);

    // A stop hands over; a start takes back.
    let stopped = now_ns();
    assert_eq!(one.stop(), Some(0));
    two.expect("(VI_1) Entering MASTER STATE", secs(3.0));
    announced(kind, watch, stopped);
    has(low, true);
    let again = now_ns();
    let mut one = begin(high);
    one.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    two.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    announced(kind, watch, again);
    has(high, true);
    has(low, false);
    (one, two)
}

fn follow(kind: &Kind, watch: &Observer, high: &Node, low: &Node) {
    let has = |node: &Node, present| {
        node.host
            .wait_address(kind.device, kind.vip_with_length, present, secs(2.0))
    };
    let (mut one, mut two) = hand_over_and_back(kind, watch, high, low);
    stays_backup(watch, high, &two);

    // A crash is noticed by silence.
    let crashed = one.crash();
    two.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    announced(kind, watch, crashed);
    has(low, true);
    assert!(
        high.host.has(kind.device, kind.vip_with_length),
        "a crashed daemon leaves its address"
    );
    let mut one = begin(high);
    one.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    two.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    has(low, false);
    has(high, true);
    let copies = high
        .host
        .addresses(kind.device)
        .iter()
        .filter(|a| *a == kind.vip_with_length)
        .count();
    assert_eq!(copies, 1);

    assert_eq!(two.stop(), Some(0));
    assert_eq!(one.stop(), Some(0));
    has(high, false);
    has(low, false);
}

/// Through five adverts of the master the other sends none.
fn stays_backup(watch: &Observer, master: &Node, backup: &Daemon) {
    let from = now_ns();
    let masters = backup.count("Entering MASTER STATE");
    let last = watch.wait_nth("five adverts of the master", from, 5, secs(8.0), |s| {
        s.is_advert_of(51, &master.source)
    });
    let others = watch
        .seen_since(from)
        .into_iter()
        .filter(|s| s.at <= last.at && s.is_advert(51));
    for advert in others {
        assert_eq!(advert.source(), master.source, "{advert:?}");
    }
    assert_eq!(
        backup.count("Entering MASTER STATE"),
        masters,
        "the backup became master"
    );
}

fn announced(kind: &Kind, watch: &Observer, from: i64) {
    watch.wait("the address announced", from, secs(3.0), |s| {
        if kind.ipv6 {
            s.is_neighbour_advert(kind.vip)
        } else {
            s.is_gratuitous_arp(kind.vip)
        }
    });
}

pub fn frr_version_3_ipv4() {
    with_frr("192.0.2.100", "192.0.2.100/24", false);
}

pub fn frr_version_3_ipv6() {
    with_frr("fe80::1:100", "fe80::1:100/64", true);
}

/// FRR's vrrpd keeps its addresses on a macvlan interface that the operator makes.
struct Frr {
    zebra: Daemon,
    vrrpd: Daemon,
}

impl Frr {
    fn start(host: &Host, priority: u8, vip: &str, ipv6: bool) -> Self {
        let family = if ipv6 { "ipv6" } else { "ip" };
        let (mac, device) = if ipv6 {
            ("00:00:5e:00:02:33", "vrrp6-2-1")
        } else {
            ("00:00:5e:00:01:33", "vrrp4-2-1")
        };
        let length = if ipv6 { 64 } else { 24 };
        host.ip(&format!("link add {device} link eth0 type macvlan mode bridge"));
        host.ip(&format!("link set {device} address {mac} addrgenmode none"));
        host.ip(&format!("address add {vip}/{length} dev {device} nodad"));
        host.ip(&format!("link set {device} up"));
        let text = format!(
            "interface eth0\n vrrp 51 version 3\n vrrp 51 priority {priority}\n vrrp 51 advertisement-interval 500\n \
             vrrp 51 {family} {vip}\n"
        );
        let (zebra, vrrpd) = start_frr(host, "vrrpd", &text);
        Self { zebra, vrrpd }
    }

    fn crash(&mut self) -> i64 {
        let at = self.vrrpd.crash();
        self.zebra.crash();
        at
    }
}

/// Zebra, and one of FRR's daemons with this configuration.
pub fn start_frr(host: &Host, program: &str, text: &str) -> (Daemon, Daemon) {
    host.write("zebra.conf", "");
    host.write(&format!("{program}.conf"), text);
    // FRR becomes its own user, which must be able to write here.
    let folder = host.tmp();
    for folder in [folder.clone(), host.run_file("frr")] {
        std::fs::create_dir_all(&folder).expect("own folder");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("own folder");
    }
    let folder = folder.to_string_lossy();
    let run = |program: &str| {
        let socket = format!("{folder}/zserv.api");
        let pid = format!("{folder}/{program}.pid");
        let conf = format!("/etc/keepalived/{program}.conf");
        let args = ["-f", &conf, "-i", &pid, "-z", &socket, "-P", "0"];
        let args = [&args[..], &["--vty_socket", &folder]].concat();
        Start::bare(host, format!("{FRR}/{program}"))
            .only_args(&args)
            .spawn()
    };
    let zebra = run("zebra");
    wait_until("zebra's socket", secs(10.0), || {
        host.tmp().join("zserv.api").exists().then_some(())
    });
    (zebra, run(program))
}

/// The one under test as master over FRR, and as its backup.
fn with_frr(vip: &str, vip_with_length: &str, ipv6: bool) {
    if !std::path::Path::new(FRR).join("vrrpd").exists() {
        crate::common::runner::skip("frr is not installed");
    }
    if crate::common::runner::unprivileged() {
        crate::common::runner::skip("FRR changes to a user of its own, which needs real root");
    }
    for frr_priority in [100, 200] {
        let lab = Lab::new();
        let lan = lab.segment();
        let (ours, theirs) = (lab.host("ours"), lab.host("frr"));
        lab.connect(&ours, "eth0", &lan, &["192.0.2.1/24"]);
        lab.connect(&theirs, "eth0", &lan, &["192.0.2.2/24"]);
        let our_source = if ipv6 {
            ours.link_local("eth0")
        } else {
            "192.0.2.1".to_owned()
        };
        ours.write(
            "keepalived.conf",
            &format!(
                "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority 150\n version 3\n \
                 advert_int 0.5\n virtual_ipaddress {{\n {vip_with_length}\n }}\n}}\n"
            ),
        );
        let watch = lab.watch(&lan);
        let begin = now_ns();
        let mut frr = Frr::start(&theirs, frr_priority, vip, ipv6);
        let from_frr = |s: &crate::common::Seen| {
            s.advert().is_some_and(|a| {
                a.vrid == 51 && a.priority == frr_priority && a.source.to_string() != our_source
            })
        };
        watch.wait("FRR as master", begin, secs(15.0), from_frr);
        let mut daemon = Start::new(&ours, Which::Tested).spawn();
        daemon.expect("(VI_1) Entering BACKUP STATE", secs(4.0));
        if frr_priority < 150 {
            daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
            ours.wait_address("eth0", vip_with_length, true, secs(2.0));
            let settled = now_ns() + 1_000_000_000;
            watch.wait_nth("our adverts", settled, 5, secs(8.0), |s| {
                s.is_advert_of(51, &our_source)
            });
            let its = watch.seen_since(settled).into_iter().filter(from_frr).count();
            assert_eq!(its, 0, "FRR follows a higher priority");
            let stopped = now_ns();
            assert_eq!(daemon.stop(), Some(0));
            watch.wait("FRR after our stop", stopped, secs(4.0), from_frr);
        } else {
            let from = now_ns();
            watch.wait_nth("FRR's adverts", from, 6, secs(8.0), from_frr);
            daemon.never("Entering MASTER STATE");
            frr.crash();
            daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
            ours.wait_address("eth0", vip_with_length, true, secs(2.0));
        }
    }
}
