//! Keywords of an instance that show nowhere but in its packets, its sockets and what it tells, beside keepalived's.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, needs_keepalived, ours_only, tests_ours};
use crate::common::packet::Forged;
use crate::common::{Daemon, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance};
use crate::timing::{forge, send};

/// What is in a VRRP frame, without what differs from packet to packet.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    to_mac: Vec<u8>,
    header: Vec<u8>,
    body: Vec<u8>,
}

/// The frame's number of the virtual router, and the frame.
fn sent(frame: &[u8]) -> Option<(u8, Sent)> {
    let packet = frame.get(14..)?;
    let (header, body) = match frame.get(12..14)? {
        [0x08, 0x00] if *packet.get(9)? == 112 => packet.split_at_checked(20)?,
        [0x86, 0xdd] if *packet.get(6)? == 112 => packet.split_at_checked(40)?,
        _ => return None,
    };
    let mut header = header.to_vec();
    if header[0] >> 4 == 4 {
        header[4..6].fill(0); // identification
        header[10..12].fill(0); // checksum
    } else {
        header[1..4].fill(0); // the kernel's flow label
    }
    let sent = Sent {
        to_mac: frame.get(..6)?.to_vec(),
        header,
        body: body.to_vec(),
    };
    Some((*sent.body.get(1)?, sent))
}

/// The first advert of each virtual router.
fn first_adverts(which: Which, single: &Single, vrids: u8) -> BTreeMap<u8, Sent> {
    let from = now_ns();
    let mut daemon = Start::new(&single.host, which).spawn();
    let all = wait_until("an advert of each", secs(12.0), || {
        let mut first = BTreeMap::new();
        for frame in single.watch.frames().iter().filter(|frame| frame.at >= from) {
            if let Some((vrid, sent)) = sent(&frame.bytes) {
                first.entry(vrid).or_insert(sent);
            }
        }
        (first.len() == usize::from(vrids)).then_some(first)
    });
    assert_eq!(daemon.stop(), Some(0));
    all
}

pub fn owner(vrid: u8, vip: &str, more: &str) -> String {
    instance(&format!("VI_{vrid}"), vrid, 255, &[vip], more)
}

/// Sources, groups, peers, TTLs, versions and checksums: each advert is the one that keepalived sends.
pub fn adverts_are_keepalived_s() {
    needs_keepalived();
    let on = |vrid: u8, more: &str| owner(vrid, &format!("192.0.2.{}", 100 + u16::from(vrid)), more);
    let on_6 = |vrid: u8, more: &str| owner(vrid, &format!("fe80::1:{vrid}"), more);
    let texts = [
        on(1, ""),
        on(2, "mcast_src_ip 192.0.2.50"),
        on(3, "mcast_dst_ip 224.0.0.77"),
        on(4, "version 3\n    advert_int 0.25"),
        on_6(5, ""),
        on_6(6, "mcast_src_ip fe80::66\n    advert_int 2.5"),
        on_6(7, "mcast_dst_ip ff02::77\n    native_ipv6"),
        on(
            8,
            "unicast_src_ip 192.0.2.50\n    unicast_ttl 64\n    unicast_peer {\n        192.0.2.2\n    }",
        ),
        on(
            9,
            "version 3\n    old_unicast_checksum\n    unicast_peer {\n        192.0.2.2 min_ttl 3 max_ttl 255\n    }",
        ),
        on(
            10,
            "version 3\n    old_unicast_checksum never\n    unicast_peer {\n        192.0.2.2\n    }",
        ),
        on_6(
            11,
            "unicast_src_ip 2001:db8::1\n    unicast_peer {\n        2001:db8::2\n    }",
        ),
        on(
            12,
            "advert_int 3\n    authentication {\n        auth_type PASS\n        auth_pass secret99\n    }",
        ),
        on(13, "virtual_ipaddress_excluded {\n        192.0.2.213\n    }"),
    ];
    let vrids = u8::try_from(texts.len()).expect("a few");
    let single = Single::new(&format!(
        "global_defs {{\n    vrrp_mcast_group4 224.0.0.99\n    vrrp_mcast_group6 ff02::99\n}}\n{}",
        texts.concat()
    ));
    for address in ["192.0.2.50/24", "fe80::66/64 nodad", "2001:db8::1/64 nodad"] {
        single.host.ip(&format!("address add {address} dev eth0"));
    }
    single.host.link_local("eth0");
    let peer = single.peer("two", 2, "");
    peer.ip("address add 2001:db8::2/64 dev eth0 nodad");
    let ours = first_adverts(Which::Tested, &single, vrids);
    let theirs = first_adverts(Which::Keepalived, &single, vrids);
    for (vrid, advert) in &ours {
        assert_eq!(Some(advert), theirs.get(vrid), "VRID {vrid}");
    }
    assert_eq!(ours.len(), theirs.len());
    // The one of old covers another pseudo header, or none.
    for (vrid, as_now) in [(4, true), (9, false), (10, true)] {
        assert_eq!(covered(&ours[&vrid], true) == 0xffff, as_now, "VRID {vrid}");
    }
}

/// RFC 1071: with its own checksum in it, what is covered sums up to all ones.
fn covered(sent: &Sent, pseudo: bool) -> u32 {
    let length = u16::try_from(sent.body.len()).expect("short").to_be_bytes();
    let mut bytes = sent.body.clone();
    if pseudo {
        bytes.extend_from_slice(&sent.header[12..20]);
        bytes.extend_from_slice(&[0, 112, length[0], length[1]]);
    }
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    (sum & 0xffff) + (sum >> 16)
}

/// What 2.2.7 does not have yet: version 3 checksums without the pseudo header, and instances without addresses.
pub fn adverts_of_later_versions() {
    ours_only("2.2.7 does not know these keywords");
    let on = |vrid: u8, more: &str| owner(vrid, &format!("192.0.2.{}", 100 + u16::from(vrid)), more);
    let none = |vrid: u8, more: &str| {
        format!(
            "vrrp_instance VI_{vrid} {{\n    interface eth0\n    virtual_router_id {vrid}\n    priority 255\n    {more}\n    \
             no_virtual_ipaddress\n}}\n"
        )
    };
    let single = Single::new(&format!(
        "global_defs {{\n    v3_checksum_as_v2\n}}\n{}{}{}{}{}",
        on(1, "version 3"),
        on(2, "version 3\n    v3_checksum_as_v2 off"),
        none(3, "version 3"),
        none(4, "version 2"),
        none(5, "native_ipv6"),
    ));
    single.host.link_local("eth0");
    let all = first_adverts(Which::Tested, &single, 5);
    assert_eq!(all[&5].header[0] >> 4, 6, "native_ipv6");
    for (vrid, pseudo) in [(1, false), (2, true), (3, false), (4, false)] {
        assert_eq!(covered(&all[&vrid], pseudo), 0xffff, "VRID {vrid}");
        assert_ne!(covered(&all[&vrid], !pseudo), 0xffff, "VRID {vrid}");
    }
    // Number of addresses; version 2 ends with eight bytes for a password.
    assert_eq!((all[&3].body[3], all[&3].body.len()), (0, 8));
    assert_eq!((all[&4].body[3], all[&4].body.len()), (0, 16));
}

/// `vrrp_version` counts where an instance does not say.
pub fn the_version_is_the_one_for_all_unless_an_instance_says_another() {
    needs_keepalived();
    for (all, own, versions) in [("", "version 3", [2, 3]), ("vrrp_version 3", "version 2", [3, 2])] {
        let single = Single::new(&format!(
            "global_defs {{\n    {all}\n}}\n{}{}",
            owner(1, "192.0.2.101", ""),
            owner(2, "192.0.2.102", own)
        ));
        let ours = first_adverts(Which::Tested, &single, 2);
        assert_eq!([1, 2].map(|vrid| ours[&vrid].body[0] >> 4), versions, "{all}");
        assert_eq!(ours, first_adverts(Which::Keepalived, &single, 2), "{all}");
    }
}

/// `promote_secondaries`: set on the instance's interface while the daemon runs, so that an address that goes takes
/// none with it.
pub fn secondaries_are_promoted_when_told_so() {
    for (more, set) in [("promote_secondaries", "1"), ("", "0")] {
        let vip = "198.51.100.101/24";
        let single = Single::new(&owner(1, vip, more));
        let key = "net.ipv4.conf.eth0.promote_secondaries";
        single.host.space().tool("sysctl", &["-qw", &format!("{key}=0")]);
        single.host.ip("address add 198.51.100.1/24 dev eth0");
        let value = || single.host.space().tool("sysctl", &["-n", key]).trim().to_owned();
        let mut daemon = single.start();
        single.host.wait_address("eth0", vip, true, secs(5.0));
        assert_eq!(value(), set, "{more}");
        if set == "1" {
            single.host.ip("address del 198.51.100.1/24 dev eth0");
            assert!(single.host.has("eth0", vip));
        }
        assert_eq!(daemon.stop(), Some(0));
        if tests_ours() {
            assert_eq!(value(), "0", "as it was");
        }
    }
}

/// `dont_track_primary`: the link of the instance's own interface does not count.
pub fn the_own_link_does_not_count_when_told_so() {
    for (more, counts) in [("", true), ("dont_track_primary", false)] {
        let single = Single::new("");
        let port = single.lab.cable(&single.host, "eth1", &["198.51.100.1/24"]);
        let text = instance("VI_1", 51, 100, &["198.51.100.100"], more).replace("eth0", "eth1");
        single.host.write("keepalived.conf", &text);
        let mut daemon = single.start();
        daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
        port.pull();
        daemon.expect("Netlink reports eth1 down", secs(3.0));
        if counts {
            daemon.expect("(VI_1) Entering FAULT STATE", secs(2.0));
        } else {
            port.plug();
            daemon.expect("Netlink reports eth1 up", secs(3.0));
            daemon.never("FAULT");
            assert!(single.host.has("eth1", "198.51.100.100/32"));
        }
    }
}

fn reload(daemon: &mut Daemon, single: &Single, text: &str) {
    single.host.write("keepalived.conf", text);
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(4.0));
}

/// `track_src_ip` and `unicast_fault_no_peer`: FAULT while the source address, or every peer, is missing.
pub fn a_source_or_all_peers_are_missing() {
    let with = "unicast_peer {\n        192.0.2.2\n    }";
    let text = |peers: &str| {
        let on = |number: u8, more: &str| {
            let more = format!("version 3\n    advert_int 0.2\n    {more}");
            let (name, vip) = (format!("VI_{number}"), format!("192.0.2.{}", 99 + number));
            instance(&name, 50 + number, 150, &[&vip], &more)
        };
        on(
            1,
            &format!("unicast_src_ip 192.0.2.50\n    track_src_ip\n    {with}"),
        ) + &on(2, &format!("unicast_fault_no_peer\n    {peers}"))
    };
    let single = Single::new(&text(with));
    let _peer = single.peer("peer", 2, "");
    single.host.ip("address add 192.0.2.50/24 dev eth0");
    let mut daemon = single.start();
    for name in ["VI_1", "VI_2"] {
        let line = format!("({name}) Entering MASTER STATE");
        wait_until(&line, secs(5.0), || (daemon.count(&line) > 0).then_some(()));
    }
    daemon.skip_log();
    let lost = |vip: &str| single.host.wait_address("eth0", vip, false, secs(2.0));
    single.host.ip("address delete 192.0.2.50/24 dev eth0");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(3.0));
    lost("192.0.2.100/32");
    single.host.ip("address add 192.0.2.50/24 dev eth0");
    daemon.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    single.host.write("keepalived.conf", &text(""));
    let tested = Start::new(&single.host, Which::Tested).args(&["-t"]).output();
    assert_eq!(tested.0, Some(0), "no mistake of the file: {}", tested.1);
    ours_only("2.2.7 takes a reload as a new start");
    let from = now_ns();
    reload(&mut daemon, &single, &text(""));
    let fault = "(VI_2) Entering FAULT STATE";
    wait_until(fault, secs(3.0), || (daemon.count(fault) > 0).then_some(()));
    lost("192.0.2.101/32");
    let multicast = single.watch.seen_since(from);
    let multicast = multicast
        .iter()
        .filter_map(|s| s.advert())
        .filter(|a| a.vrid == 52 && a.priority > 0 && a.target.is_multicast());
    assert_eq!(multicast.count(), 0, "never to everybody instead");
    reload(&mut daemon, &single, &text(with));
    let master = "(VI_2) Entering MASTER STATE";
    wait_until(master, secs(5.0), || (daemon.count(master) > 1).then_some(()));
    assert_eq!(daemon.count("(VI_1) Entering FAULT STATE"), 1);
}

/// `check_unicast_src`: adverts of who is no peer are not obeyed; `vrrp_check_unicast_src` makes it the default.
pub fn adverts_of_strangers_are_not_obeyed_when_told_so() {
    let one = |vrid: u8, more: &str| {
        let more = format!(
            "version 3\n    advert_int 0.2\n    {more}\n    unicast_src_ip 192.0.2.1\n    unicast_peer {{\n        192.0.2.2\n    }}"
        );
        instance(
            &format!("VI_{vrid}"),
            vrid,
            100,
            &[&format!("192.0.2.{}", 100 + u16::from(vrid))],
            &more,
        )
    };
    for (global, instances, checked) in [
        ("", ["check_unicast_src", ""], [true, false]),
        ("vrrp_check_unicast_src", ["", ""], [true, true]),
    ] {
        let single = Single::new(&format!(
            "global_defs {{\n    {global}\n}}\n{}{}",
            one(1, instances[0]),
            one(2, instances[1])
        ));
        let _peer = single.peer("peer", 2, "");
        let them = single.peer("stranger", 66, "");
        let mut daemon = single.start();
        for vrid in [1, 2] {
            let line = format!("(VI_{vrid}) Entering MASTER STATE");
            wait_until(&line, secs(5.0), || (daemon.count(&line) > 0).then_some(()));
        }
        daemon.skip_log();
        for vrid in [1, 2] {
            let vip = Ipv4Addr::new(192, 0, 2, 100 + vrid);
            let mut forged = Forged::new(Ipv4Addr::new(192, 0, 2, 66), vrid, 200, vip).version_3(20);
            forged.target = Ipv4Addr::new(192, 0, 2, 1);
            let mut frame = single.host.mac("eth0").to_vec();
            frame.extend_from_slice(&forged.frame()[6..]);
            let at = send(&them, &frame);
            let beaten = format!("(VI_{vrid}) Entering BACKUP STATE");
            let beaten_at_init = 1;
            if checked[usize::from(vrid) - 1] {
                let advert = |s: &crate::common::Seen| s.is_advert_of(vrid, "192.0.2.1");
                single
                    .watch
                    .wait_nth("it goes on as master", at, 3, secs(2.0), advert);
                assert_eq!(
                    daemon.count(&beaten),
                    beaten_at_init,
                    "{global}, VRID {vrid}:\n{}",
                    daemon.log_text()
                );
            } else {
                wait_until(&beaten, secs(2.0), || {
                    (daemon.count(&beaten) > beaten_at_init).then_some(())
                });
            }
        }
    }
}

/// Scripts at the end, of an instance that is taken away, of a master that hears a lower one; with and without FIFO
/// lines about priorities.
pub fn scripts_of_every_occasion() {
    let of = |which: Which| {
        let single = Single::new("");
        let said = single.host.tmp().join("said");
        fs::write(&said, "").expect("own file");
        let script = single
            .host
            .script("say", &format!("#!/bin/sh\necho \"$*\" >>{}\n", said.display()));
        let script = format!(
            "/etc/keepalived/{}",
            script.file_name().expect("a name").to_string_lossy()
        );
        let all = |more: &str| {
            format!(
                "version 3\n    advert_int 0.2\n    {more}\n    notify_master \"{script} master\"\n    notify_backup \"{script} backup\"\n    \
                 notify_fault \"{script} fault\"\n    notify_stop \"{script} stop\"\n    notify_master_rx_lower_pri \"{script} lower\"\n    notify {script}"
            )
        };
        let globals = "global_defs {\n    script_user root\n    enable_script_security\n}\n";
        let group = format!(
            "vrrp_sync_group G {{\n    group {{\n        VI_1\n    }}\n    notify_master \"{script} group_master\"\n    \
             notify_backup \"{script} group_backup\"\n    notify_fault \"{script} group_fault\"\n    notify {script}\n    notify_stop \"{script} group_stop\"\n    \
             notify_master_rx_lower_pri \"{script} group_lower\"\n}}\n"
        );
        let one = instance("VI_1", 1, 150, &["192.0.2.101"], &all(""));
        let two = instance(
            "VI_2",
            2,
            150,
            &["192.0.2.102"],
            &all(&format!("notify_deleted \"{script} deleted\"")),
        );
        let three = instance("VI_3", 3, 150, &["192.0.2.103"], &all("notify_deleted"));
        let four = instance("VI_4", 4, 150, &["192.0.2.104"], &all(""));
        let text = [globals, &group, &one, &two, &three, &four].concat();
        single.host.write("keepalived.conf", &text);
        let them = single.peer("them", 66, "");
        let mut daemon = Start::new(&single.host, which).spawn();
        let lines = || -> Vec<String> {
            let text = fs::read_to_string(&said).expect("own file");
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let until = |what: &str, count: usize| {
            wait_until(what, secs(8.0), || (lines().len() >= count).then_some(()));
            let now = lines();
            fs::write(&said, "").expect("own file");
            now
        };
        // Backup and master, each with two scripts, of four instances and a group.
        let mut told = vec![until("all masters", 20)];
        forge(
            &them,
            &Forged::new(Ipv4Addr::new(192, 0, 2, 66), 2, 50, Ipv4Addr::new(192, 0, 2, 102)).version_3(20),
        );
        told.push(until("the lower one", 1));
        single
            .host
            .write("keepalived.conf", &[globals, &group, &one].concat());
        daemon.signal(Signal::SIGHUP);
        daemon.expect("Reload complete", secs(4.0));
        // Two says so with its script, three by its ordinary ones, four as a fault.
        told.push(until("the end of three", 4));
        single.host.ip("link set eth0 down");
        told.push(until("the fault", 4));
        single.host.ip("link set eth0 up");
        told.push(until("the end of the fault", 8));
        assert_eq!(daemon.stop(), Some(0));
        told.push(until("the end", 1));
        told
    };
    let ours = of(Which::Tested);
    assert!(ours.iter().all(|lines| !lines.is_empty()), "{ours:#?}");
    needs_keepalived();
    assert_eq!(ours, of(Which::Keepalived));
}

/// `log_unknown_vrids`: a line for a virtual router that nobody configured.
pub fn unknown_virtual_routers_are_logged_when_told_so() {
    ours_only("2.2.7 does not know the keyword");
    for wanted in [true, false] {
        let global = if wanted { "log_unknown_vrids" } else { "" };
        let single = Single::new(&format!(
            "global_defs {{\n    {global}\n}}\n{}",
            owner(1, "192.0.2.101", "")
        ));
        let them = single.peer("them", 66, "");
        let mut daemon = single.start();
        single.watch.wait("its advert", 0, secs(5.0), |s| s.is_advert(1));
        let forged = Forged::new(
            Ipv4Addr::new(192, 0, 2, 66),
            77,
            50,
            Ipv4Addr::new(192, 0, 2, 177),
        );
        let at = forge(&them, &forged);
        if wanted {
            daemon.expect("Unknown VRID(77) received on interface(eth0)", secs(3.0));
        } else {
            single
                .watch
                .wait_nth("two more adverts", at, 2, secs(4.0), |s| s.is_advert(1));
            daemon.never("Unknown VRID");
        }
    }
}
