//! Routes and rules, virtual and static: the same as keepalived's, and what becomes of them when they are removed.

use crate::common::daemon::{Start, needs_keepalived, ours_only, tests_ours};
use crate::common::{Host, Lab, Which, secs, wait_until};

/// Two interfaces, of which the daemon owns nothing.
fn host(lab: &Lab) -> Host {
    let host = lab.host("one");
    lab.connect(
        &host,
        "eth0",
        &lab.segment(),
        &["192.0.2.1/24", "2001:db8:1::1/64"],
    );
    lab.connect(
        &host,
        "eth1",
        &lab.segment(),
        &["198.51.100.1/24", "2001:db8:2::1/64"],
    );
    host
}

fn configuration(globals: &str) -> String {
    format!(
        "
global_defs {{
    {globals}
}}
static_ipaddress {{
    198.51.100.50/24 brd + dev eth1
    198.51.100.51/32 dev eth1 scope link
    198.51.100.52/32 dev eth1 preferred_lft 0
    198.51.100.53/32
    198.51.100.54/32 broadcast 198.51.100.255 dev eth1 label eth1:two
    198.51.100.57/24 dev eth1 noprefixroute
    198.51.100.58/32 dev eth1 scope host
    239.1.2.3/32 dev eth1 autojoin
    2001:db8:2::50/64 dev eth1
    2001:db8:2::51/128 dev eth1
    2001:db8:2::52/64 dev eth1 preferred_lft 3000
    2001:db8:2::53/64 dev eth1 home
    2001:db8:2::54/64 dev eth1 -nodad
    2001:db8:2::55/64 dev eth1 mngtmpaddr
    2001:db8:2::56/64 dev eth1 noprefixroute
}}
static_routes {{
    203.0.112.0/28 via 198.51.100.2 dev eth1
    203.0.112.16/28 via 198.51.100.2 dev eth1 metric 20
    blackhole 203.0.112.128/28
    2001:db8:90::/64 via 2001:db8:2::2 dev eth1
}}
static_rules {{
    from 198.51.100.0/24 table 100 priority 1001
    to 203.0.113.0/24 iif eth1 lookup 100 preference 1002
}}
vrrp_instance VI_1 {{
    interface eth0
    virtual_router_id 51
    priority 150
    virtual_ipaddress {{
        192.0.2.100/24
        192.0.2.101/32 preferred_lft 0
        192.0.2.102 peer 192.0.2.103 dev eth0
    }}
    virtual_ipaddress_excluded {{
        198.51.100.100/24 dev eth1
    }}
    virtual_routes {{
        src 192.0.2.100 to 203.0.113.32/28 via 192.0.2.2 dev eth0
        203.0.113.48/28 via 192.0.2.2 dev eth0 table 200 metric 7 scope global mtu 1400 advmss 1300 window 1000 tos 4
        203.0.113.64/28 dev eth0 scope link no_track
        203.0.113.65/32 dev eth0 no_track protocol 33
        203.0.113.80/28 nexthop via 192.0.2.2 dev eth0 weight 1 nexthop via 198.51.100.2 dev eth1 weight 3
        unreachable 203.0.113.96/28
        prohibit 203.0.113.97
        throw 203.0.113.98 table 200
        203.0.113.112/28 via 192.0.2.2 rtt 200ms rttvar 300ms initcwnd 10 initrwnd 10 hoplimit 60 quickack 1 features ecn congctl reno onlink dev eth0
        203.0.113.128/28 via 192.0.2.2 dev eth0 mtu lock 1400 cwnd lock 9
        203.0.113.144/28 via 192.0.2.2 or 192.0.2.3
        203.0.113.160/28 via 192.0.2.2 table 70000
        add 203.0.113.176/28 via 192.0.2.2 dev eth0
        append 203.0.113.192/28 via 192.0.2.2 dev eth0
        prepend 203.0.113.208/28 via 192.0.2.2 dev eth0 reordering 5 ssthresh 8 fastopen_no_cookie 1
        default via 192.0.2.2 dev eth0 metric 300
        2001:db8:91::/64 via 2001:db8:1::2 dev eth0 pref high
        2001:db8:92::/64 dev eth0 metric 6 mtu 1400
        203.0.113.224/28 gw 192.0.2.2 oif eth0 dsfield 8 realms 3/4
        203.0.113.240/28 via 192.0.2.2 dev eth0 preference 9 ttl-propagate enabled
        2001:db8:95::/64 via 2001:db8:1::2 dev eth0 expires 4000
        unreachable 2001:db8:93::/64
        2001:db8:94::/64 nexthop via 2001:db8:1::2 dev eth0 nexthop via 2001:db8:2::2 dev eth1 weight 2
    }}
    virtual_rules {{
        from 192.0.2.100 table 200 priority 2001
        not to 203.0.113.32/28 iif eth0 lookup main preference 2002
        fwmark 0x10/0xff dev eth1 blackhole priority 2003
        from 192.0.2.0/24 tos 4 table 200 suppress_prefixlength 0 priority 2004
        from all ipproto tcp sport 1000-2000 dport 80-81 uidrange 1-10 table 200 priority 2005
        from 2001:db8:1::/64 table 200 priority 2006
        goto 32766 from 192.0.2.9 priority 2007 no_track
        from 192.0.2.10 unreachable priority 2008
        from 192.0.2.11 prohibit priority 2009
        oif eth1 nop priority 2010
        fwmark 7 table 70000 priority 2011
        tunnel-id 12 table 9 priority 2012
        from 192.0.2.12 dsfield 8 table 200 sup_pl 4 order 2013
        from 192.0.2.13 table 200 realms 3/4 order 2014
        from 192.0.2.14 table 200 suppress_ifgroup 5 order 2015
        from 192.0.2.15 table 200 sup_group 6 order 2016
        from 192.0.2.16 l3mdev order 2017
    }}
}}
"
    )
}

/// All that the kernel has, except what changes by itself.
fn kernel(host: &Host) -> Vec<String> {
    let mut lines = Vec::new();
    for what in [
        "-d -4 route show table all",
        "-d -6 route show table all",
        "-d -4 rule",
        "-d -6 rule",
        "-d -o addr show dev eth0",
        "-d -o addr show dev eth1",
    ] {
        // Counting down, and of this moment.
        let lines_of = host.ip(what);
        let masked = lines_of.lines().map(|line| {
            let words: Vec<&str> = line
                .split_whitespace()
                .filter(|word| *word != "tentative")
                .collect();
            let masked = words.iter().map(|word| match word.strip_suffix("sec") {
                Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => "<SECONDS>",
                _ => word,
            });
            masked.collect::<Vec<&str>>().join(" ")
        });
        lines.extend(masked.map(|line| format!("{what}: {line}")));
    }
    lines.sort();
    lines
}

fn is_virtual(host: &Host) -> bool {
    host.ip("rule").contains("2012:") && host.ip("-6 route").contains("2001:db8:94::/64")
}

/// Each line of the grammar, by Debian's keepalived and by ours.
pub fn the_same_as_keepalived() {
    needs_keepalived();
    ours_only("compares the two");
    let seen = [Which::Keepalived, Which::Tested].map(|which| {
        let lab = Lab::new();
        let host = host(&lab);
        host.write("keepalived.conf", &configuration("default_interface eth1"));
        let before = kernel(&host);
        let mut daemon = Start::new(&host, which).spawn();
        daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
        wait_until("routes and rules", secs(4.0), || is_virtual(&host).then_some(()));
        let during = kernel(&host);
        assert_eq!(daemon.stop(), Some(0));
        let mut after = kernel(&host);
        if which == Which::Keepalived {
            // 2.2.7 does not remove an address with a peer.
            after.retain(|line| !line.contains("192.0.2.102"));
        }
        assert_eq!(after, before, "nothing stays behind");
        let new = during.into_iter().filter(|line| !before.contains(line));
        new.collect::<Vec<String>>()
    });
    let [theirs, ours] = seen;
    assert!(theirs.len() > 45, "{theirs:#?}");
    let missing: Vec<&String> = theirs.iter().filter(|line| !ours.contains(line)).collect();
    let more: Vec<&String> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "only keepalived: {missing:#?}\nonly ours: {more:#?}"
    );
}

/// Words that 2.2.7 refuses where its manual has them: the family at the beginning, `type` of a rule.
pub fn family_and_type_may_be_said() {
    ours_only("it refuses these lines");
    let lab = Lab::new();
    let host = host(&lab);
    host.write(
        "keepalived.conf",
        "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 255\n \
         virtual_ipaddress {\n 192.0.2.100/24\n }\n \
         virtual_routes {\n inet 203.0.113.0/28 dev eth0\n inet6 default via 2001:db8:1::2 dev eth0\n }\n \
         virtual_rules {\n inet from all iif eth1 type unreachable order 2001\n \
         inet6 from all iif eth1 prohibit order 2002\n }\n}\n",
    );
    let _daemon = Start::new(&host, Which::Tested).spawn();
    for (look, line) in [
        ("-4 route", "203.0.113.0/28 dev eth0"),
        ("-6 route", "default via 2001:db8:1::2 dev eth0"),
        ("-4 rule", "2001:\tfrom all iif eth1 unreachable"),
        ("-6 rule", "2002:\tfrom all iif eth1 prohibit"),
    ] {
        wait_until(line, secs(6.0), || {
            host.ip(look).lines().any(|l| l.starts_with(line)).then_some(())
        });
    }
    for (look, order) in [("-6 rule", "2001:"), ("-4 rule", "2002:")] {
        assert!(!host.ip(look).contains(order), "of one family only");
    }
}

/// A hand takes a route and a rule away: they return, the hand is named, and the master stays.
pub fn what_is_removed_returns_and_the_remover_is_named() {
    ours_only("keepalived gives up");
    let lab = Lab::new();
    let host = host(&lab);
    host.write("keepalived.conf", &configuration(""));
    let mut daemon = Start::new(&host, Which::Tested).spawn();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    wait_until("routes and rules", secs(4.0), || is_virtual(&host).then_some(()));
    // A batch: the process is there until its last line is done.
    let batch = host.write(
        "batch",
        "route del 203.0.113.32/28\nrule del priority 2001\nroute del 203.0.112.0/28\n",
    );
    host.ip(&format!("-batch {}", batch.display()));
    daemon.expect(
        "(VI_1) route 203.0.113.32/28 via 192.0.2.2 dev eth0 was removed by ",
        secs(2.0),
    );
    for (look, text) in [
        ("route", "203.0.113.32/28"),
        ("rule", "2001:"),
        ("route", "203.0.112.0/28"),
    ] {
        wait_until(text, secs(3.0), || host.ip(look).contains(text).then_some(()));
    }
    daemon.expect(
        "Restoring deleted static route prepend 203.0.112.0/28 via inet 198.51.100.2 dev eth1 proto 18",
        secs(2.0),
    );
    assert_eq!(
        daemon.count("(VI_1) Entering MASTER STATE"),
        1,
        "{}",
        daemon.log_text()
    );
    daemon.never("sent 0 priority");
    assert_eq!(daemon.stop(), Some(0));
}

/// `rs_when_removed release`, which is what keepalived does: priority 0, and master again a moment later.
pub fn what_is_removed_is_given_up_if_asked_for() {
    let lab = Lab::new();
    let host = host(&lab);
    let globals = if tests_ours() {
        "rs_when_removed release"
    } else {
        ""
    };
    host.write("keepalived.conf", &configuration(globals));
    let mut daemon = Start::new(&host, Which::Tested).spawn();
    for removal in ["route del 203.0.113.32/28", "rule del priority 2001"] {
        daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
        wait_until("routes and rules", secs(4.0), || is_virtual(&host).then_some(()));
        host.ip(removal);
        daemon.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
        daemon.expect("(VI_1) sent 0 priority", secs(1.0));
    }
    daemon.expect("(VI_1) Entering MASTER STATE", secs(3.0));
    wait_until("routes and rules", secs(4.0), || is_virtual(&host).then_some(()));
}

/// Interfaces of routes, next hops, rules, and of static objects in a track group: each one down is FAULT.
pub fn interfaces_of_what_is_used_are_tracked() {
    let lab = Lab::new();
    let host = lab.host("one");
    lab.connect(&host, "eth0", &lab.segment(), &["192.0.2.1/24"]);
    let used = ["eth1", "eth2", "eth3", "eth4", "eth5"];
    for name in used.into_iter().chain(["eth6"]) {
        lab.connect(&host, name, &lab.segment(), &[]);
    }
    host.write(
        "keepalived.conf",
        "track_group tg {\n group {\n VI_1\n }\n}\n\
         static_ipaddress {\n 198.51.100.7/24 dev eth1 track_group tg\n 198.51.100.8/24 dev eth6\n}\n\
         static_routes {\n 198.18.0.0/24 dev eth2 track_group tg\n}\n\
         static_rules {\n from 198.18.0.0/24 iif eth3 table 100 priority 9 track_group tg\n}\n\
         vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n 192.0.2.100/24\n }\n \
         virtual_routes {\n 198.18.1.0/24 dev eth4\n 198.18.2.0/24 dev eth6 no_track\n }\n \
         virtual_rules {\n from 198.18.3.0/24 iif eth5 table 100 priority 10\n }\n}\n",
    );
    let mut daemon = Start::new(&host, Which::Tested).spawn();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    // Nobody asked for this one.
    host.ip("link set eth6 down");
    for name in used {
        host.ip(&format!("link set {name} down"));
        daemon.expect(&format!("Netlink reports {name} down"), secs(2.0));
        daemon.expect("(VI_1) Entering FAULT STATE", secs(2.0));
        host.ip(&format!("link set {name} up"));
        daemon.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
    }
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    wait_until("the tracked route", secs(2.0), || {
        host.ip("route").contains("198.18.1.0/24").then_some(())
    });
    let faults = daemon.count("(VI_1) Entering FAULT STATE");
    assert_eq!(faults, used.len(), "{}", daemon.log_text());
}
