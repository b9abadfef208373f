//! `use_vmac`: one MAC address for clients, silence until master, and interfaces that come back.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, needs_keepalived, ours_only, tests_ours};
use crate::common::observe::Frame;
use crate::common::ping::Ping;
use crate::common::{Host, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";
const VIRTUAL: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];

/// Two hosts fail over and back; a client's neighbour table never has another address than the virtual one, and
/// nobody on the segment says another one, not even when the master looks for the client itself.
pub fn clients_see_one_mac() {
    ours_only("keepalived lets the kernel say the address with the MAC address of the interface below");
    let single = Single::new(&instance("VI_1", 51, 150, &[VIP], "use_vmac"));
    let two = single.peer("two", 2, &instance("VI_1", 51, 100, &[VIP], "use_vmac"));
    let client = single.peer("client", 9, "");
    let mut first = single.start();
    first.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("vrrp.51", VIP, true, secs(2.0));
    let mut second = start(&two);
    second.expect("(VI_1) Entering BACKUP STATE", secs(4.0));
    let master_looks_for_client = |host: &Host| {
        host.ip("neigh flush all");
        wait_until("an answer", secs(4.0), || {
            let count = Ping::times(&client, "192.0.2.100", secs(0.05), 5);
            (count.answered > 0).then_some(())
        });
        assert_eq!(neighbour(&client, "192.0.2.100"), "00:00:5e:00:01:33");
    };
    master_looks_for_client(&single.host);
    let ping = Ping::start(&client, "192.0.2.100", secs(0.05));
    assert_eq!(first.stop(), Some(0));
    second.expect("(VI_1) Entering MASTER STATE", secs(3.0));
    two.wait_address("vrrp.51", VIP, true, secs(2.0));
    let count = ping.finish();
    // Priority 0 and the skew time of the other: well below a second.
    assert!(count.lost() < 40, "{count:?}");
    master_looks_for_client(&two);
    let mut first = single.start();
    first.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    master_looks_for_client(&single.host);
    for frame in single.watch.frames() {
        if let Some((sender, mac)) = arp_sender(&frame)
            && sender == [192, 0, 2, 100]
        {
            assert_eq!(mac, VIRTUAL, "{:02x?}", frame.bytes);
        }
    }
    let links = |host: &Host| host.ip("-br link show type macvlan");
    assert_eq!(first.stop(), Some(0));
    assert_eq!(second.stop(), Some(0));
    assert_eq!(links(&single.host) + &links(&two), "", "nothing stays");
}

/// A backup's virtual addresses are not seen on the segment at all, a master's only in what a master sends.
pub fn silent_until_master() {
    let both = |last: u8, priority| {
        let mac = |family: u8| format!("use_vmac vm{family} 02:00:5e:00:0{family}:{last:02x}");
        instance("V4", 51, priority, &[VIP], &mac(4))
            + &instance(
                "V6",
                52,
                priority,
                &["fe80::1:100"],
                &format!("version 3\n    {}", mac(6)),
            )
    };
    let single = Single::new(&both(1, 150));
    let two = single.peer("two", 2, &both(2, 100));
    let mut first = single.start();
    for name in ["V4", "V6"] {
        first.expect(&format!("({name}) Entering MASTER STATE"), secs(6.0));
    }
    let mut second = start(&two);
    second.expect("(V4) Entering BACKUP STATE", secs(4.0));
    let from = now_ns();
    // Membership reports are repeated within a second or two.
    single
        .watch
        .wait_nth("adverts", from, 5, secs(8.0), |s| s.is_advert_of(51, "192.0.2.1"));
    let of_two = |frame: &Frame| {
        let source = &frame.bytes[6..12];
        source == [2, 0, 0x5e, 0, 4, 2] || source == [2, 0, 0x5e, 0, 6, 2]
    };
    let frames = single.watch.frames();
    let leaked: Vec<_> = frames.iter().filter(|frame| of_two(frame)).collect();
    assert!(leaked.is_empty(), "{:02x?}", leaked[0].bytes);
    assert_eq!(first.stop(), Some(0));
    for name in ["V4", "V6"] {
        second.expect(&format!("({name}) Entering MASTER STATE"), secs(4.0));
    }
    let from = now_ns();
    single
        .watch
        .wait_nth("adverts", from, 3, secs(6.0), |s| s.is_advert_of(51, "192.0.2.2"));
    single.watch.wait("an address", 0, secs(3.0), |s| {
        s.is_neighbour_advert("fe80::1:100") && s.from_mac == [2, 0, 0x5e, 0, 6, 2]
    });
    for frame in single.watch.frames().iter().filter(|frame| of_two(frame)) {
        assert!(a_master_sends(&frame.bytes), "{:02x?}", frame.bytes);
    }
    drop(second);
}

/// `vmac_prefix`, `vmac_addr_prefix`, `use_vmac_addr`: which interfaces there are over which, and with which addresses.
pub fn names_begin_as_the_file_says() {
    let text = |globals: &str| {
        let elsewhere = |last: u8, more: &str| format!("198.51.100.{last}/24 dev eth1{more}");
        format!("global_defs {{\n{globals}\n}}\n")
            + &instance("VI_1", 51, 100, &[VIP, &elsewhere(1, " use_vmac")], "use_vmac")
            + &instance(
                "VI_2",
                52,
                100,
                &["192.0.2.101/24", &elsewhere(2, "")],
                "use_vmac_addr",
            )
            + &instance(
                "VI_3",
                53,
                100,
                &["192.0.2.102/24", &elsewhere(3, "")],
                "use_vmac own3",
            )
    };
    let links = |which: Which, globals: &str| {
        let single = Single::new(&text(globals));
        single
            .lab
            .connect(&single.host, "eth1", &single.lab.segment(), &[]);
        let mut daemon = Start::new(&single.host, which).spawn();
        for name in ["VI_1", "VI_2", "VI_3"] {
            let line = format!("({name}) Entering MASTER STATE");
            wait_until(&line, secs(8.0), || (daemon.count(&line) > 0).then_some(()));
        }
        let all = || -> BTreeMap<String, (String, String, Vec<String>)> {
            let all = single.host.ip("-j address show type macvlan");
            let all: Vec<serde_json::Value> = serde_json::from_str(&all).expect("JSON");
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let one = |link: &serde_json::Value| {
                let name = text(&link["ifname"]);
                let addresses = single.host.addresses(&name);
                let addresses = addresses.into_iter().filter(|a| a.contains('.')).collect();
                (name, (text(&link["link"]), text(&link["address"]), addresses))
            };
            all.iter()
                .filter(|link| link["link"].is_string())
                .map(one)
                .collect()
        };
        let all = wait_until("all addresses", secs(3.0), || {
            let all = all();
            let base = |last| single.host.has("eth1", &format!("198.51.100.{last}/24"));
            let on_links = all
                .values()
                .map(|(_, _, addresses)| addresses.len())
                .sum::<usize>();
            (on_links + usize::from(base(2)) + usize::from(base(3)) >= 5).then_some(all)
        });
        assert_eq!(daemon.stop(), Some(0));
        all
    };
    for (globals, own, address) in [
        ("    vmac_prefix vm\n    vmac_addr_prefix va", "vm.51", "va.52"),
        ("    vmac_prefix vm", "vm.51", "vm.52"),
        ("    vmac_addr_prefix va", "vrrp.51", "va.52"),
        ("", "vrrp.51", "vrrp.52"),
    ] {
        let ours = links(Which::Tested, globals);
        assert_eq!(ours[own].0, "eth0", "{globals}: {ours:?}");
        assert_eq!(
            (&*ours[address].0, &*ours[address].2),
            ("eth1", &["198.51.100.2/24".to_owned()][..]),
            "{globals}: {ours:?}"
        );
        assert_eq!(ours["own3"].0, "eth0", "{globals}: {ours:?}");
        needs_keepalived();
        assert_eq!(ours, links(Which::Keepalived, globals), "{globals}");
    }
}

/// ARP, VRRP, neighbour advertisements.
fn a_master_sends(frame: &[u8]) -> bool {
    match frame[12..14] {
        [0x08, 0x06] => true,
        [0x08, 0x00] => frame[23] == 112,
        [0x86, 0xdd] => frame[20] == 112 || (frame[20] == 58 && frame[54] == 136),
        _ => false,
    }
}

/// Somebody deletes the interface: it is there again at once, and the master stays master.
pub fn deleted_interface_returns() {
    ours_only("keepalived goes into FAULT state");
    let single = Single::new(&instance("VI_1", 51, 100, &[VIP], "use_vmac"));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("vrrp.51", VIP, true, secs(2.0));
    let before = index(&single.host, "vrrp.51");
    let deleted = now_ns();
    single.host.ip("link del vrrp.51");
    single.host.wait_address("vrrp.51", VIP, true, secs(2.0));
    assert_ne!(index(&single.host, "vrrp.51"), before);
    single.watch.wait("its ARP", deleted, secs(2.0), |s| {
        s.is_gratuitous_arp("192.0.2.100") && s.from_mac == VIRTUAL
    });
    single.watch.wait_nth("adverts", now_ns(), 2, secs(4.0), |s| {
        s.is_advert_of(51, "192.0.2.1") && s.from_mac == VIRTUAL
    });
    assert_eq!(
        daemon.count("(VI_1) Entering MASTER STATE"),
        1,
        "{}",
        daemon.log_text()
    );
    daemon.never("FAULT");
    let zero = |s: &crate::common::Seen| s.advert().is_some_and(|a| a.priority == 0);
    assert!(
        !single.watch.seen_since(deleted).iter().any(zero),
        "no priority 0"
    );

    // Down it stays, as any interface.
    single.host.ip("link set vrrp.51 down");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(3.0));
    single.host.ip("link set vrrp.51 up");
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("vrrp.51", VIP, true, secs(2.0));
    assert_eq!(daemon.stop(), Some(0));
}

/// The interface below is deleted and made again.
pub fn interface_below_deleted_and_made_again() {
    let text = format!(
        "global_defs {{\n    dynamic_interfaces\n}}\n{}",
        instance("VI_1", 51, 100, &[VIP], "use_vmac")
    );
    let single = Single::new(&text);
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.ip("link del eth0");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(3.0));
    let again = now_ns();
    single
        .lab
        .connect(&single.host, "eth0", &single.segment, &["192.0.2.1/24"]);
    daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    single.host.wait_address("vrrp.51", VIP, true, secs(2.0));
    single.watch.wait("adverts again", again, secs(2.0), |s| {
        s.is_advert_of(51, "192.0.2.1") && s.from_mac == VIRTUAL
    });
    assert_eq!(daemon.stop(), Some(0));
}

/// A killed daemon leaves its interfaces: the next one takes over those that it needs, removes the others, and
/// gives the interface below its settings back in the end.
pub fn killed_daemon_leaves_nothing_for_long() {
    ours_only("keepalived does not know its interfaces again");
    let one = instance("VI_1", 51, 100, &[VIP], "use_vmac");
    let two = instance("VI_2", 52, 100, &["192.0.2.101/24"], "use_vmac");
    let single = Single::new(&(one.clone() + &two));
    let mut daemon = single.start();
    for name in ["VI_1", "VI_2"] {
        daemon.expect(&format!("({name}) Entering MASTER STATE"), secs(6.0));
    }
    single
        .host
        .wait_address("vrrp.52", "192.0.2.101/24", true, secs(2.0));
    single.host.wait_address("vrrp.51", VIP, true, secs(2.0));
    let index_before = index(&single.host, "vrrp.51");
    daemon.crash();
    assert!(single.host.has("vrrp.51", VIP));
    single.host.write("keepalived.conf", &one);
    let mut daemon = single.start();
    daemon.expect("Removing interface vrrp.52", secs(4.0));
    daemon.expect("(VI_1) Found matching interface vrrp.51", secs(2.0));
    daemon.expect("Startup complete", secs(4.0));
    assert_eq!(index(&single.host, "vrrp.51"), index_before);
    assert!(!single.host.has("vrrp.51", VIP), "a backup has no address");
    assert!(!exists(&single.host, "vrrp.52"));
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("vrrp.51", VIP, true, secs(2.0));
    assert_eq!(setting(&single.host, "eth0", "arp_ignore"), "1");
    assert_eq!(daemon.stop(), Some(0));
    assert!(!exists(&single.host, "vrrp.51"));
    assert_eq!(setting(&single.host, "eth0", "arp_ignore"), "0");
    assert_eq!(single.host.space().tool("nft", &["list", "ruleset"]), "");
}

/// A reload puts an instance on a VMAC, gives that another MAC address, and takes it away.
pub fn reload_adds_changes_and_removes() {
    let with = |more: &str| instance("VI_1", 51, 100, &[VIP], more);
    let single = Single::new(&with(""));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("eth0", VIP, true, secs(2.0));
    let reload = |daemon: &mut crate::common::Daemon, more: &str| {
        single.host.write("keepalived.conf", &with(more));
        daemon.skip_log();
        daemon.signal(Signal::SIGHUP);
        daemon.expect("Reload complete", secs(5.0));
    };
    reload(&mut daemon, "use_vmac");
    single.host.wait_address("vrrp.51", VIP, true, secs(6.0));
    single.host.wait_address("eth0", VIP, false, secs(2.0));
    single.watch.wait("adverts", now_ns(), secs(3.0), |s| {
        s.is_advert_of(51, "192.0.2.1") && s.from_mac == VIRTUAL
    });
    if tests_ours() {
        let masters = daemon.count("(VI_1) Entering MASTER STATE");
        reload(&mut daemon, "use_vmac 02:00:5e:00:01:33");
        single.watch.wait("adverts", now_ns(), secs(3.0), |s| {
            s.is_advert_of(51, "192.0.2.1") && s.from_mac == [2, 0, 0x5e, 0, 1, 0x33]
        });
        assert_eq!(daemon.count("(VI_1) Entering MASTER STATE"), masters);
        reload(&mut daemon, "use_vmac\n    vmac_xmit_base");
        let base = single.host.mac("eth0");
        single.watch.wait("adverts", now_ns(), secs(3.0), |s| {
            s.is_advert_of(51, "192.0.2.1") && s.from_mac == base
        });
        assert_eq!(daemon.count("(VI_1) Entering MASTER STATE"), masters);
    }
    reload(&mut daemon, "");
    single.host.wait_address("eth0", VIP, true, secs(6.0));
    wait_until("the interface to go", secs(3.0), || {
        (!exists(&single.host, "vrrp.51")).then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
    if tests_ours() {
        assert_eq!(setting(&single.host, "eth0", "arp_filter"), "0");
    }
}

/// Where the kernel filters by the reverse path strictly, clients reach the address all the same, and nothing
/// but the daemon's own interfaces is changed for that.
pub fn strict_reverse_path_filter() {
    ours_only("keepalived changes conf/all/rp_filter");
    let single = Single::new(&instance("VI_1", 51, 100, &["203.0.113.1/24"], "use_vmac"));
    let client = single.peer("client", 9, "");
    client.ip("address add 203.0.113.9/24 dev eth0");
    for interface in ["all", "default", "eth0"] {
        let path = format!("net.ipv4.conf.{interface}.rp_filter=1");
        single.host.space().tool("sysctl", &["-qw", &path]);
    }
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single
        .host
        .wait_address("vrrp.51", "203.0.113.1/24", true, secs(2.0));
    let answered = || {
        wait_until("an answer", secs(4.0), || {
            let count = Ping::times(&client, "203.0.113.1", secs(0.05), 5);
            (count.answered > 0).then_some(())
        });
    };
    answered();
    // From an address of a network that the host reaches through eth0.
    client.ip("route replace 203.0.113.0/24 dev eth0 src 192.0.2.9");
    answered();
    for (interface, value) in [("all", "1"), ("default", "1"), ("eth0", "1"), ("vrrp.51", "2")] {
        assert_eq!(
            setting(&single.host, interface, "rp_filter"),
            value,
            "{interface}"
        );
    }
    assert_eq!(daemon.stop(), Some(0));
}

fn neighbour(host: &Host, address: &str) -> String {
    let all = host.ip(&format!("-j neigh show {address}"));
    let list: serde_json::Value = serde_json::from_str(&all).expect("JSON");
    list[0]["lladdr"].as_str().unwrap_or_default().to_owned()
}

/// Sender's addresses of an ARP packet.
fn arp_sender(frame: &Frame) -> Option<([u8; 4], [u8; 6])> {
    let bytes = &frame.bytes;
    if bytes.get(12..14)? != [0x08, 0x06] {
        return None;
    }
    Some((
        bytes.get(28..32)?.try_into().ok()?,
        bytes.get(22..28)?.try_into().ok()?,
    ))
}

fn index(host: &Host, interface: &str) -> i64 {
    let links: serde_json::Value =
        serde_json::from_str(&host.ip(&format!("-j link show dev {interface}"))).expect("JSON");
    links[0]["ifindex"].as_i64().expect("an index")
}

fn exists(host: &Host, interface: &str) -> bool {
    host.ip("-br link show")
        .lines()
        .any(|line| line.starts_with(interface))
}

fn setting(host: &Host, interface: &str, key: &str) -> String {
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/{key}");
    host.space().tool("cat", &[&path]).trim().to_owned()
}

/// An interface that no adverts leave is announced from time to time, so that switches keep its MAC address.
pub fn announced_where_no_adverts_leave() {
    ours_only("2.2.7 sends none");
    for (all, own) in [
        ("", "garp_extra_if 1"),
        ("", "vmac_garp_intvl 1"),
        ("vrrp_garp_extra_if 1", ""),
        ("vrrp_vmac_garp_intvl 1", ""),
    ] {
        announced_by(all, own);
    }
}

fn announced_by(all: &str, own: &str) {
    let more =
        format!("use_vmac\n    vmac_xmit_base\n    garp_master_delay 0\n    garp_master_repeat 1\n    {own}");
    let text = format!(
        "global_defs {{\n    {all}\n}}\n{}",
        instance("VI_1", 51, 100, &[VIP, "192.0.2.101/24"], &more)
    );
    let single = Single::new(&text);
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    let burst = single
        .watch
        .wait("the first", 0, secs(2.0), |s| s.is_gratuitous_arp("192.0.2.101"));
    let extra = |s: &crate::common::Seen| s.is_gratuitous_arp("192.0.2.100") && s.from_mac == VIRTUAL;
    let third = single.watch.wait_nth("three more", burst.at, 3, secs(6.0), extra);
    assert!(third.at - burst.at > 2_000_000_000, "a second apart");
    // One address for each interface is enough.
    let others = single.watch.seen_since(burst.at + 1);
    assert!(!others.iter().any(|s| s.is_gratuitous_arp("192.0.2.101")));
    assert_eq!(daemon.stop(), Some(0));
}

/// With very many of them a stop leaves none: they go in one step, not one by one.
pub fn many_are_gone_at_the_stop() {
    ours_only("keepalived gives up and leaves them");
    let instances = (1..=250).map(|n| {
        let name = format!("V{n}");
        instance(&name, n, 100, &[&format!("192.0.2.{n}/24")], "use_vmac")
    });
    let single = Single::new(&instances.collect::<String>());
    let mut daemon = single.start();
    daemon.expect("Startup complete", secs(10.0));
    let links = || single.host.ip("-br link show type macvlan").lines().count();
    assert_eq!(links(), 250);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(links(), 0, "{}", daemon.log_text());
}

/// The interface below goes down and up: addresses go and return, adverts too, in both families.
pub fn interface_below_down_and_up() {
    let single = Single::new(
        &(instance("V4", 51, 100, &[VIP], "use_vmac")
            + &instance("V6", 52, 100, &["fe80::1:100/64"], "version 3\n    use_vmac vm6")),
    );
    let mut daemon = single.start();
    let masters = |daemon: &mut crate::common::Daemon| {
        for name in ["V4", "V6"] {
            daemon.expect(&format!("({name}) Entering MASTER STATE"), secs(8.0));
        }
        single.host.wait_address("vrrp.51", VIP, true, secs(2.0));
        single.host.wait_address("vm6", "fe80::1:100/64", true, secs(2.0));
    };
    masters(&mut daemon);
    daemon.skip_log();
    single.host.ip("link set eth0 down");
    for name in ["V4", "V6"] {
        wait_until(name, secs(3.0), || {
            (daemon.count(&format!("({name}) Entering FAULT STATE")) > 0).then_some(())
        });
    }
    single.host.wait_address("vrrp.51", VIP, false, secs(2.0));
    daemon.skip_log();
    let up = now_ns();
    single.host.ip("link set eth0 up");
    masters(&mut daemon);
    for (vrid, mac) in [(51, VIRTUAL), (52, [0, 0, 0x5e, 0, 2, 52])] {
        single.watch.wait("adverts again", up, secs(3.0), |s| {
            s.is_advert(vrid) && s.from_mac == mac
        });
    }
    assert_eq!(daemon.stop(), Some(0));
}
