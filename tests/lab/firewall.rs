//! Packets to the addresses are dropped with `no_accept`, by whatever name the file calls the firewall.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpStream};

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, needs_keepalived, ours_only};
use crate::common::{Host, Which, secs, try_tool, wait_until};
use crate::pair::{Single, instance};

fn inside(host: &Host, command: &str) -> Result<String, String> {
    let args = format!("netns exec {} {command}", host.space().name);
    try_tool("ip", &args.split(' ').collect::<Vec<_>>())
}

/// A port on which nobody listens says so, unless packets to the address are dropped.
fn answers(host: &Host, address: &str) -> bool {
    let address = match address.parse::<IpAddr>().expect("an address") {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, 9, 0, index(host)).into(),
        address => SocketAddr::new(address, 9),
    };
    let result = host
        .space()
        .run(|| TcpStream::connect_timeout(&address, secs(0.7)).map(drop));
    result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn index(host: &Host) -> u32 {
    let text = host.ip("-o link show eth0");
    text.split(':')
        .next()
        .and_then(|n| n.trim().parse().ok())
        .expect("an index")
}

fn local_igmp(host: &Host) -> String {
    let value = host
        .space()
        .run(|| fs::read_to_string("/proc/sys/net/ipv4/igmp_link_local_mcast_reports"));
    value.expect("the setting").trim().to_owned()
}

/// `vrrp_iptables` and `vrrp_ipsets` are done by nftables, and the log says so; neighbour discovery goes on; all is
/// given back at the end.
pub fn iptables_keywords_are_done_by_nftables() {
    ours_only("it has iptables");
    let four = instance("VI_1", 51, 255, &["192.0.2.100/24"], "no_accept");
    let six = instance(
        "VI_6",
        52,
        150,
        &["fe80::1:100/64", "2001:db8::100/64"],
        "version 3\n    advert_int 0.2\n    no_accept",
    );
    let owner = four.replace("priority 255", "priority 150\n    version 3\n    advert_int 0.2");
    let lab = Single::new(&format!(
        "namespace_with_ipsets\nglobal_defs {{\n    vrrp_iptables MY_IN MY_OUT\n    vrrp_ipsets mine\n    \
         disable_local_igmp\n}}\n{owner}{six}"
    ));
    let other = lab.peer("other", 9, "");
    lab.host.ip("address add 2001:db8::1/64 dev eth0 nodad");
    other.ip("address add 2001:db8::9/64 dev eth0 nodad");
    assert_eq!(local_igmp(&lab.host), "1");

    let mut daemon = lab.start();
    daemon.expect(
        "vrrp_iptables and vrrp_ipsets: nftables is used instead, table keepalived",
        secs(4.0),
    );
    daemon.expect("(VI_6) Entering MASTER STATE", secs(8.0));
    lab.host.wait_address("eth0", "192.0.2.100/24", true, secs(4.0));
    lab.host.wait_address("eth0", "2001:db8::100/64", true, secs(4.0));
    assert_eq!(local_igmp(&lab.host), "0");
    let rules = |family: &str| inside(&lab.host, &format!("nft list table {family} keepalived"));
    wait_until("the rules", secs(3.0), || {
        rules("ip").ok().filter(|r| r.contains("192.0.2.100"))
    });
    wait_until("the rules", secs(3.0), || {
        rules("ip6").ok().filter(|r| r.contains("fe80::1:100"))
    });

    assert!(answers(&other, "192.0.2.1"), "its own address answers");
    assert!(answers(&other, "2001:db8::1"), "its own address answers");
    for address in ["192.0.2.100", "2001:db8::100", "fe80::1:100"] {
        assert!(!answers(&other, address), "{address} answers");
    }
    // Who asks for the MAC address of a dropped address is told it.
    let neighbours = inside(&other, "ip -6 neigh show dev eth0").expect("neighbours");
    for address in ["2001:db8::100", "fe80::1:100"] {
        let known = neighbours
            .lines()
            .any(|l| l.starts_with(&format!("{address} ")) && l.contains("lladdr"));
        assert!(known, "{address} is not in:\n{neighbours}");
    }

    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(local_igmp(&lab.host), "1");
    assert!(
        rules("ip").is_err() && rules("ip6").is_err(),
        "rules are left behind"
    );
}

/// With `use_vmac` too, where the addresses are on interfaces of their own: `no_accept` and strict mode drop what is
/// sent to them, and nothing else; clients are told the virtual MAC address; `accept` accepts.
pub fn dropped_on_virtual_macs() {
    ours_only("the rules of the two differ");
    let adverts = "version 3\n    advert_int 0.2\n    use_vmac";
    let one =
        |name, vrid, vips: &[&str], more| instance(name, vrid, 150, vips, &format!("{adverts}\n    {more}"));
    let lab = Single::new(
        &[
            one("DROPS", 51, &["192.0.2.100/24"], "no_accept"),
            one("STRICT", 52, &["192.0.2.101/24"], "strict_mode on"),
            one(
                "DROPS_6",
                53,
                &["fe80::1:100/64", "2001:db8::100/64"],
                "no_accept",
            ),
            one("ACCEPTS", 54, &["192.0.2.102/24"], "accept"),
        ]
        .concat(),
    );
    let other = lab.peer("other", 9, "");
    lab.host.ip("address add 2001:db8::1/64 dev eth0 nodad");
    other.ip("address add 2001:db8::9/64 dev eth0 nodad");
    let mut daemon = lab.start();
    for (name, interface, address) in [
        ("DROPS", "vrrp.51", "192.0.2.100/24"),
        ("STRICT", "vrrp.52", "192.0.2.101/24"),
        ("DROPS_6", "vrrp.53", "2001:db8::100/64"),
        ("ACCEPTS", "vrrp.54", "192.0.2.102/24"),
    ] {
        let line = format!("({name}) Entering MASTER STATE");
        wait_until(&line, secs(8.0), || (daemon.count(&line) > 0).then_some(()));
        lab.host.wait_address(interface, address, true, secs(4.0));
    }

    assert!(answers(&other, "192.0.2.1"), "its own address answers");
    assert!(answers(&other, "192.0.2.102"), "what is accepted answers");
    for address in ["192.0.2.100", "192.0.2.101", "2001:db8::100", "fe80::1:100"] {
        assert!(!answers(&other, address), "{address} answers");
    }
    for (family, address, mac) in [
        ("-4", "192.0.2.100", "00:00:5e:00:01:33"),
        ("-4", "192.0.2.101", "00:00:5e:00:01:34"),
        ("-6", "2001:db8::100", "00:00:5e:00:02:35"),
    ] {
        let known =
            inside(&other, &format!("ip {family} neigh show {address} dev eth0")).expect("neighbours");
        assert!(known.contains(mac), "{address}: {known}");
    }

    // Addresses that are no longer dropped after a reload answer.
    lab.host.write(
        "keepalived.conf",
        &one("DROPS", 51, &["192.0.2.100/24"], "accept"),
    );
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
    wait_until("an answer", secs(5.0), || {
        answers(&other, "192.0.2.100").then_some(())
    });

    assert_eq!(daemon.stop(), Some(0));
    let left = inside(&lab.host, "nft list ruleset").expect("rules");
    assert_eq!(left, "", "rules are left behind");
}

/// `nftables_ifindex`: what belongs to a VMAC is known by the number of its interface, not by its name. The set of
/// link-local addresses holds numbers in any case, as keepalived's.
pub fn interfaces_by_their_numbers() {
    needs_keepalived();
    let rules = |which: Which, more: &str, vmac: &str| {
        let one = instance(
            "VI_6",
            52,
            150,
            &["fe80::1:100/64", "2001:db8::100/64"],
            &format!("version 3\n    no_accept\n    advert_int 0.2\n    {vmac}"),
        );
        let lab = Single::new(&format!(
            "global_defs {{\n    nftables mine\n    nftables_priority 7\n    {more}\n}}\n{one}"
        ));
        let mut daemon = Start::new(&lab.host, which).spawn();
        daemon.expect("(VI_6) Entering MASTER STATE", secs(8.0));
        wait_until("the rules", secs(3.0), || {
            inside(&lab.host, "nft -n list table ip6 mine")
                .ok()
                .filter(|rules| rules.contains("2001:db8::100") && rules.contains("fe80::1:100"))
        })
    };
    let set = |text: &str, name: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let lines = lines.skip_while(|line| *line != format!("set {name} {{"));
        lines.take_while(|line| *line != "}").map(str::to_owned).collect()
    };
    for more in ["", "nftables_ifindex"] {
        let (ours, theirs) = (rules(Which::Tested, more, ""), rules(Which::Keepalived, more, ""));
        let name = "vips_link_local";
        assert!(set(&ours, name).len() > 2, "{ours}");
        assert_eq!(set(&ours, name), set(&theirs, name), "{more}");
    }
    ours_only("2.2.7 has no such set");
    for (more, kind, rule) in [
        ("", "ifname", "oifname @parent_link_local"),
        ("nftables_ifindex", "iface_index", "oif @parent_link_local"),
    ] {
        let text = rules(Which::Tested, more, "use_vmac");
        let found = set(&text, "parent_link_local").join(" ");
        assert!(found.contains(&format!("ipv6_addr . {kind} ")), "{text}");
        assert!(found.contains("vrrp.52") && text.contains(rule), "{text}");
    }
}
