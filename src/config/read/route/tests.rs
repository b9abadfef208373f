use super::super::testing::{one, world};
use super::*;
use crate::config::read::Flow;
use crate::model::Configuration;
use crate::model::vrrp::TrackGroup;

fn read_one(text: &str, fixed: bool) -> (Result<Route, Flow>, Vec<String>) {
    let mut host = world();
    host.interface("vrf1");
    if let Some(vrf) = host.interfaces.get_mut("vrf1") {
        vrf.vrf_table = Some(77);
    }
    host.file(
        "/etc/iproute2/rt_tables",
        "# comment\n200 custom\n0x12c other # behind\n",
    );
    let mut config = Configuration::default();
    config.track_groups.push(TrackGroup {
        name: "tg".to_owned(),
        members: Vec::new(),
    });
    one(&host, &mut config, text, |line, context| {
        read(line, fixed, context)
    })
}

fn good(text: &str) -> Route {
    let (route, said) = read_one(text, false);
    assert_eq!(said, Vec::<String>::new(), "{text}");
    route.expect(text)
}

fn metric(text: &str) -> (u16, u32, bool) {
    let route = good(&format!("10.0.0.0/8 dev eth0 {text}"));
    let m = route.metrics.first().expect(text);
    (m.kind, m.value, m.locked)
}

#[test]
fn names_are_read_where_the_file_says() {
    let mut host = world();
    host.file("/opt/etc/rt_tables", "300 mine\n")
        .file("/opt/usr/rt_tables", "301 mine\n302 theirs\n")
        .file("/etc/iproute2/rt_tables", "303 other\n");
    let table = |config: &mut Configuration, name: &str| {
        let text = format!("10.0.0.0/8 dev eth0 table {name}");
        let (route, said) = one(&host, config, &text, |line, context| read(line, false, context));
        route
            .ok()
            .filter(|_| said.is_empty())
            .and_then(|route| route.table)
    };
    let mut config = Configuration::default();
    assert_eq!(table(&mut config, "other"), Some(303));
    assert_eq!(table(&mut config, "mine"), None);
    config.globals.iproute_etc_dir = Some("/opt/etc".into());
    config.globals.iproute_usr_dir = Some("/opt/usr".into());
    assert_eq!(table(&mut config, "other"), None);
    assert_eq!(table(&mut config, "mine"), Some(300));
    assert_eq!(table(&mut config, "theirs"), Some(302));
}

#[test]
fn destinations_and_next_hop() {
    let r = good("src 192.0.2.100 to 203.0.113.32/28 via 192.0.2.2 dev eth0 onlink");
    assert_eq!((r.family, r.kind), (Family::Inet, 1));
    assert_eq!(
        r.destination.map(|d| (d.address.to_string(), d.prefix)),
        Some(("203.0.113.32".into(), 28))
    );
    assert_eq!(r.source.map(|a| a.to_string()).as_deref(), Some("192.0.2.100"));
    assert_eq!(r.hop.via.map(|a| a.to_string()).as_deref(), Some("192.0.2.2"));
    assert_eq!((r.hop.interface.as_deref(), r.hop.onlink), (Some("eth0"), true));
    assert_eq!(r.protocol, Some(18));
    for text in [
        "default via 192.0.2.2",
        "to any via 192.0.2.2",
        "all via inet 192.0.2.2",
    ] {
        assert_eq!(good(text).destination, None, "{text}");
    }
    let six = good("inet6 default via fe80::1 dev eth0");
    assert_eq!((six.family, six.destination), (Family::Inet6, None));
    assert_eq!(good("8 10.0.0.0/8").kind, 8);
    assert_eq!(good("blackhole 203.0.113.128/28").kind, 6);
    assert_eq!(good("unreachable to 203.0.113.128/28").kind, 7);
    let from = good("2001:db8:1::/64 dev eth0 from 2001:db8:2::/64");
    assert_eq!(from.from.map(|n| n.prefix), Some(64));
}

#[test]
fn attributes() {
    let r = good("10.0.0.0/8 dev eth0 table 200 metric 7 scope global tos 4");
    assert_eq!(
        (r.table, r.metric, r.scope, r.tos),
        (Some(200), Some(7), Some(0), 4)
    );
    assert_eq!(good("10.0.0.0/8 dev eth0 table custom").table, Some(200));
    assert_eq!(good("10.0.0.0/8 dev eth0 table other").table, Some(300));
    assert_eq!(good("10.0.0.0/8 dev eth0 table main dsfield 0x10").tos, 16);
    let r = good("10.0.0.0/8 oif eth1 no_track protocol static");
    assert_eq!((r.protocol, r.no_track), (Some(4), true));
    assert_eq!(good("10.0.0.0/8 dev eth0 no_track").protocol, None);
    let r = good("2001:db8:1::/64 dev eth0 pref high expires 30");
    assert_eq!((r.preference, r.expires), (Some(1), Some(30)));
    assert_eq!(
        good("10.0.0.0/8 dev eth0 realms 5/6").hop.realms,
        Some(5 << 16 | 6)
    );
    let r = good("10.0.0.0/8 dev eth0 features ecn congctl lock reno ttl-propagate disabled");
    assert_eq!(r.features, 1);
    assert_eq!(r.congctl, Some(("reno".to_owned(), true)));
    assert_eq!(r.ttl_propagate, Some(false));
    assert_eq!(good("10.0.0.0/8 dev eth0 append").action, RouteAction::Append);
    assert_eq!(good("10.0.0.0/8 dev eth0 add").action, RouteAction::Add);
    assert_eq!(good("10.0.0.0/8 dev eth0 prepend").action, RouteAction::Prepend);
    let r = good("10.0.0.0/8 dev eth0 vrf vrf1");
    assert_eq!((r.vrf.as_deref(), r.table), (Some("vrf1"), Some(77)));
}

#[test]
fn metrics_in_kernel_units() {
    assert_eq!(metric("mtu lock 1400"), (2, 1400, true));
    assert_eq!(metric("window 6"), (3, 6, false));
    assert_eq!(metric("rtt 200ms"), (4, 1600, false));
    assert_eq!(metric("rtt lock 1.5s"), (4, 12000, true));
    assert_eq!(metric("rttvar 300ms"), (5, 1200, false));
    assert_eq!(metric("ssthresh 8"), (6, 8, false));
    assert_eq!(metric("cwnd lock 7"), (7, 7, true));
    assert_eq!(metric("advmss 1300"), (8, 1300, false));
    assert_eq!(metric("reordering 5"), (9, 5, false));
    assert_eq!(metric("hoplimit 60"), (10, 60, false));
    assert_eq!(metric("initcwnd 10"), (11, 10, false));
    assert_eq!(metric("rto_min 5ms"), (13, 5, false));
    assert_eq!(metric("initrwnd 10"), (14, 10, false));
    assert_eq!(metric("quickack 1"), (15, 1, false));
    assert_eq!(metric("fastopen_no_cookie 1"), (17, 1, false));
}

#[test]
fn several_next_hops() {
    let r = good(
        "10.0.0.0/8 nexthop via 192.0.2.2 dev eth0 weight 1 nexthop via inet 192.0.2.3 dev eth1 weight 256 onlink realms 6",
    );
    assert_eq!(r.next_hops.len(), 2);
    assert_eq!((r.next_hops[0].weight, r.next_hops[1].weight), (1, 256));
    assert_eq!((r.next_hops[1].onlink, r.next_hops[1].realms), (true, Some(6)));
    let (r, said) = read_one("10.0.0.0/8 via 192.0.2.2 or 192.0.2.3", false);
    assert_eq!(r.map(|r| r.next_hops.len()), Ok(2));
    assert_eq!(said, [r#""or" for routes is deprecated. Please use "nexthop""#]);
}

#[test]
fn tunnels() {
    let encap = |text: &str| good(&format!("10.0.0.0/8 encap {text} dev eth0")).hop.encap;
    assert_eq!(encap("mpls 100/200"), Some(Encap::Mpls(vec![100, 200])));
    assert_eq!(encap("ila 1:2:3:4"), Some(Encap::Ila(0x0001_0002_0003_0004)));
    assert_eq!(
        encap("ip id 5 dst 1.2.3.4 src 2.3.4.5 tos 4 ttl 5 flags 7"),
        Some(Encap::Ip {
            id: Some(5),
            destination: "1.2.3.4".parse().ok(),
            source: "2.3.4.5".parse().ok(),
            tos: Some(4),
            ttl: Some(5),
            flags: Some(7),
            ipv6: false,
        })
    );
    let six = encap("ip6 dst fe80::1 tc 4 hoplimit 5");
    assert!(matches!(
        six,
        Some(Encap::Ip {
            ipv6: true,
            ttl: Some(5),
            ..
        })
    ));
}

#[test]
fn static_routes_have_track_groups() {
    let (route, said) = read_one("10.0.0.0/8 dev eth0 track_group tg", true);
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(route.map(|r| r.track_group), Ok(Some("tg".to_owned())));
    let (route, said) = read_one("10.0.0.0/8 via 192.0.2.2 track_group tg", true);
    assert_eq!(said, ["Static route cannot have track group if no oif specified"]);
    assert_eq!(route.map(|r| r.track_group), Ok(None));
    let (_, said) = read_one("10.0.0.0/8 dev eth0 track_group nog", true);
    assert_eq!(said, ["track_group nog not found"]);
}

#[test]
fn wrong_lines_and_what_is_said() {
    let invalid = |p: &str| format!("VRRP parsed invalid IP {p}. skipping IP...");
    let on = |rest: &str| format!("10.0.0.0/8 dev eth0 {rest}");
    let table: Vec<(String, bool, Vec<String>)> = [
        (
            "src foo to 10.0.0.0/8",
            false,
            vec![invalid("foo"), "invalid route src address foo".into()],
        ),
        (
            "10.0.0.0/8 via x.x.x.x",
            false,
            vec![invalid("x.x.x.x"), "invalid route via address x.x.x.x".into()],
        ),
        (
            "10.0.0.0/8 via fe80::1",
            false,
            vec!["Cannot mix IPv4 and IPv6 addresses for route".into()],
        ),
        (
            "10.0.0.0/8 via inet6 fe80::1",
            false,
            vec!["Cannot mix IPv4 and IPv6 addresses for route".into()],
        ),
        (
            "10.0.0.0/8 gw 192.0.2.2",
            true,
            vec![r#""gw" for routes is deprecated. Please use "via""#.into()],
        ),
        (
            "10.0.0.0/8 as 5",
            true,
            vec![r#""as to" for MPLS only - ignoring"#.into()],
        ),
        (
            "via 192.0.2.2",
            false,
            vec!["Route must have a destination".into()],
        ),
        (
            "10.0.0.0/8 dev nosuch",
            false,
            vec!["WARNING - interface nosuch for VROUTE nexthop doesn't exist".into()],
        ),
        (
            "10.0.0.0/8 track_group tg",
            false,
            vec![invalid("track_group"), "unknown route keyword track_group".into()],
        ),
        (
            "10.0.0.0/8 dev eth0 from 11.0.0.0/8",
            false,
            vec!["route from address only supported with IPv6 (11.0.0.0/8)".into()],
        ),
        (
            "10.0.0.0/8 nexthop via 192.0.2.2 weight 0",
            false,
            vec!["Invalid weight 0 specified for route".into()],
        ),
        (
            "10.0.0.0/8 nexthop via 192.0.2.2 weight 257",
            false,
            vec![
                "number '257' outside range [0, 256]".into(),
                "Invalid weight 257 specified for route".into(),
            ],
        ),
        (
            "10.0.0.0/8 nexthop via foo",
            false,
            vec![invalid("foo"), "invalid nexthop address foo".into()],
        ),
        (
            "10.0.0.0/8 nexthop via fe80::1",
            false,
            vec!["Address family mismatch for next hop".into()],
        ),
        (
            "10.0.0.0/8 nexthop via inet6 fe80::1",
            false,
            vec!["IPv4/6 mismatch for nexthop".into()],
        ),
        (
            "10.0.0.0/8 nexthop via 192.0.2.2 foo",
            true,
            vec!["Route has trailing nonsense after nexthops - foo".into()],
        ),
    ]
    .into_iter()
    .map(|(t, kept, said)| (t.to_owned(), kept, said))
    .chain(
        [
            ("table foo", false, vec!["Routing table foo not found for route"]),
            (
                "protocol foo",
                false,
                vec!["Protocol foo not found or invalid for route"],
            ),
            (
                "protocol 300",
                false,
                vec!["Protocol 300 not found or invalid for route"],
            ),
            (
                "protocol kernel",
                true,
                vec!["Route cannot be tracked if protocol is not RTPROT_KEEPALIVED(18), resetting protocol"],
            ),
            (
                "scope foo",
                false,
                vec!["Scope foo not found or invalid for route"],
            ),
            (
                "metric -1",
                false,
                vec!["negative number '-1'", "Invalid metric -1 specified for route"],
            ),
            ("tos foo", false, vec!["TOS value foo is invalid"]),
            (
                "mtu foo",
                false,
                vec!["invalid number 'foo'", "Invalid MTU foo specified for route"],
            ),
            (
                "hoplimit 300",
                false,
                vec![
                    "number '300' outside range [0, 255]",
                    "Invalid hoplimit 300 specified for route",
                ],
            ),
            (
                "rtt foo",
                false,
                vec!["invalid number 'foo'", "Invalid rtt foo for route"],
            ),
            (
                "rto_min 5x",
                false,
                vec![
                    "invalid number '5x'",
                    "Invalid rto_min value 5x specified for route",
                ],
            ),
            (
                "cwnd foo",
                false,
                vec![
                    "invalid number 'foo'",
                    "Invalid cwnd value foo specified for route",
                ],
            ),
            ("realms foo", false, vec!["Invalid realms foo for route"]),
            ("features foo", true, vec!["feature foo not supported"]),
            (
                "quickack 2",
                false,
                vec![
                    "number '2' outside range [0, 1]",
                    "Invalid quickack value 2 specified for route",
                ],
            ),
            ("pref high", false, vec!["pref is only valid for IPv6"]),
            ("expires 30", false, vec!["expires is only valid for IPv6"]),
            (
                "ttl-propagate foo",
                true,
                vec!["ttl-propagate value foo not recognised"],
            ),
            ("vrf eth1", false, vec!["Route specified VRF eth1 is not a VRF"]),
            ("vrf nosuch", false, vec!["VRF nosuch not found for route"]),
            (
                "encap mpls foo",
                false,
                vec!["invalid mpls address foo for encapsulation"],
            ),
            ("encap foo 1:2:3:4", true, vec!["Unknown encap type - foo"]),
            (
                "encap ip id foo",
                false,
                vec!["invalid number 'foo'", "encap id foo value is invalid"],
            ),
        ]
        .into_iter()
        .map(|(t, kept, said)| (on(t), kept, said.into_iter().map(str::to_owned).collect())),
    )
    .collect();
    for (text, kept, messages) in table {
        let (route, said) = read_one(&text, false);
        assert_eq!(said, messages, "{text}");
        assert_eq!(route.is_ok(), kept, "{text}");
    }
}

#[test]
fn a_missing_parameter_ends_the_reading() {
    let (route, said) = read_one("10.0.0.0/8 dev", false);
    assert_eq!(route, Err(Flow::Missing));
    assert_eq!(
        said,
        [
            "*** Configuration line starting `10.0.0.0/8` is missing a parameter after keyword `dev` at word position 3"
        ]
    );
}
