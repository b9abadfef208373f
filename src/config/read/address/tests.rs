use super::super::testing::{one, world};
use super::*;
use crate::model::Configuration;
use crate::model::vrrp::TrackGroup;

const VIP: Place = Place::Instance { interface: "eth0" };

fn read_at(text: &str, place: Place) -> (Option<Address>, Vec<String>) {
    let mut config = Configuration::default();
    config.globals.default_interface = "eth0".to_owned();
    config.track_groups.push(TrackGroup {
        name: "tg".to_owned(),
        members: Vec::new(),
    });
    one(&world(), &mut config, text, |line, context| {
        read(line, place, context)
    })
}

fn good(text: &str, place: Place) -> Address {
    let (address, said) = read_at(text, place);
    assert_eq!(said, Vec::<String>::new(), "{text}");
    address.expect(text)
}

#[test]
fn every_word_reaches_the_model() {
    let a = good(
        "192.0.2.1/24 dev eth1 scope link brd + label eth1:1 home -nodad mngtmpaddr \
         noprefixroute autojoin no_track preferred_lft 5 use_vmac",
        VIP,
    );
    assert_eq!(a.network.address.to_string(), "192.0.2.1");
    assert_eq!(a.network.prefix, 24);
    assert_eq!((a.interface.as_str(), a.interface_given), ("eth1", true));
    assert_eq!(a.scope, 253);
    assert_eq!(a.broadcast, Some(Ipv4Addr::new(192, 0, 2, 255)));
    assert_eq!(a.label.as_deref(), Some("eth1:1"));
    assert_eq!(
        a.flags,
        AddressFlags {
            home: true,
            nodad: false,
            manage_temporary: true,
            no_prefix_route: true,
            autojoin: true
        }
    );
    assert!(a.no_track && a.use_vmac && a.preferred_given);
    assert_eq!(a.preferred, Lifetime::Seconds(5));
}

#[test]
fn defaults_follow_the_family_and_the_place() {
    let a = good("192.0.2.1", VIP);
    assert_eq!((a.network.prefix, a.interface_given), (32, false));
    assert_eq!((a.interface.as_str(), a.preferred), ("eth0", Lifetime::Forever));
    assert_eq!(good("2001:db8::1", VIP).preferred, Lifetime::Seconds(0));
    assert_eq!(good("2001:db8::1/64", VIP).preferred, Lifetime::Forever);
    let forever = good("2001:db8::1 preferred_lft forever", VIP);
    assert_eq!(forever.preferred, Lifetime::Forever);
    let fixed = good("198.51.100.51/32 scope 200 track_group tg", Place::Static);
    assert_eq!((fixed.interface.as_str(), fixed.scope), ("eth0", 200));
    assert_eq!(fixed.track_group.as_deref(), Some("tg"));
}

#[test]
fn broadcast_forms() {
    let brd = |text| good(text, VIP).broadcast.map(|b| b.to_string());
    assert_eq!(brd("192.0.2.21/24 brd -").as_deref(), Some("192.0.2.0"));
    assert_eq!(brd("192.0.2.21/28 broadcast +").as_deref(), Some("192.0.2.31"));
    assert_eq!(brd("192.0.2.21/0 brd +").as_deref(), Some("255.255.255.255"));
    assert_eq!(
        brd("192.0.2.21/24 brd + brd 192.0.2.9").as_deref(),
        Some("192.0.2.9")
    );
}

#[test]
fn peer_takes_the_place_of_the_prefix() {
    let a = good("192.0.2.1 peer 192.0.2.2", VIP);
    assert_eq!(a.peer.map(|p| p.prefix), Some(32));
    assert_eq!(
        good("192.0.2.1 peer 192.0.2.2/24", VIP).peer.map(|p| p.prefix),
        Some(24)
    );
    let (a, said) = read_at("192.0.2.1/24 peer 192.0.2.2", VIP);
    assert_eq!(a.map(|a| a.network.prefix), Some(32));
    assert_eq!(
        said,
        ["Cannot specify address prefix when specifying peer address - ignoring"]
    );
}

#[test]
fn wrong_lines_and_what_is_said() {
    let invalid = |p: &str| format!("VRRP parsed invalid IP {p}. skipping IP...");
    let table: &[(&str, bool, &[&str])] = &[
        (
            "192.0.2.10/33",
            true,
            &[
                "number '33' outside range [0, 32]",
                "Invalid address prefix len 33 for address 192.0.2.10/33 - using 32",
            ],
        ),
        (
            "192.0.2.11/24x",
            true,
            &[
                "invalid number '24x'",
                "Invalid address prefix len 24x for address 192.0.2.11/24x - using 32",
            ],
        ),
        ("192.0.2.12/", true, &[]),
        ("foo/24", false, &[&invalid("foo/24")]),
        ("default", false, &[&invalid("default")]),
        (
            "192.0.2.13 dev nosuch",
            false,
            &["WARNING - interface nosuch for ip address 192.0.2.13 doesn't exist"],
        ),
        (
            "192.0.2.14 dev",
            false,
            &["No dev parameter specified for 192.0.2.14"],
        ),
        (
            "192.0.2.15/24 dev eth0 dev eth1",
            false,
            &["Cannot specify ipaddress device more than once for 192.0.2.15/24"],
        ),
        (
            "192.0.2.16 scope foo",
            true,
            &["Invalid scope 'foo' specified for 192.0.2.16 - ignoring"],
        ),
        (
            "192.0.2.17 scope 300",
            true,
            &["Invalid scope '300' specified for 192.0.2.17 - ignoring"],
        ),
        (
            "2001:db8::7 scope link",
            true,
            &["Cannot specify scope for IPv6 addresses (2001:db8::7) - ignoring scope"],
        ),
        (
            "192.0.2.19 brd foo",
            false,
            &["VRRP is trying to assign invalid broadcast foo. skipping VIP..."],
        ),
        (
            "192.0.2.20/31 brd +",
            true,
            &["Address prefix length 31 too long for broadcast"],
        ),
        (
            "2001:db8::3/64 brd +",
            false,
            &[
                "VRRP is trying to assign a broadcast brd to the IPv6 address 2001:db8::3/64 !!?? WTF... skipping VIP...",
            ],
        ),
        (
            "192.0.2.23 label eth0:thisisaverylonglabel",
            false,
            &["Address label eth0:thisisaverylonglabel is longer than maximum length 15 - removing address"],
        ),
        (
            "2001:db8::6 label eth0:1",
            true,
            &["Cannot specify label for IPv6 addresses (2001:db8::6) - ignoring label"],
        ),
        (
            "192.0.2.24 peer foo",
            true,
            &[&invalid("foo"), "Invalid peer address foo"],
        ),
        (
            "192.0.2.27 peer fe80::1",
            true,
            &["Peer address fe80::1 does not match address family"],
        ),
        (
            "192.0.2.28 peer 192.0.2.29 brd +",
            true,
            &["Cannot specify broadcast and peer addresses - ignoring broadcast address"],
        ),
        (
            "192.0.2.35 preferred_lft foo",
            true,
            &["invalid number 'foo'", "preferred_lft foo is invalid"],
        ),
        (
            "192.0.2.36 preferred_lft -1",
            true,
            &["negative number '-1'", "preferred_lft -1 is invalid"],
        ),
        (
            "192.0.2.37 preferred_lft 4294967296",
            true,
            &[
                "number '4294967296' outside unsigned integer range",
                "preferred_lft 4294967296 is invalid",
            ],
        ),
        (
            "192.0.2.41 track_group tg",
            true,
            &[
                "Unknown configuration entry 'track_group' for ip address - ignoring",
                "Unknown configuration entry 'tg' for ip address - ignoring",
            ],
        ),
    ];
    for (text, kept, messages) in table {
        let (address, said) = read_at(text, VIP);
        assert_eq!(said, *messages, "{text}");
        assert_eq!(address.is_some(), *kept, "{text}");
    }
}

#[test]
fn static_lines_have_words_of_their_own() {
    let (a, said) = read_at("192.0.2.1/24 use_vmac track_group nog", Place::Static);
    assert_eq!(
        said,
        [
            "Unknown configuration entry 'use_vmac' for ip address - ignoring",
            "track_group nog not found"
        ]
    );
    assert_eq!(a.map(|a| (a.use_vmac, a.track_group)), Some((false, None)));
    let mut config = Configuration::default();
    config.globals.default_interface = "wlan0".to_owned();
    let (a, said) = one(&world(), &mut config, "10.0.0.1/24", |l, c| {
        read(l, Place::Static, c)
    });
    assert!(a.is_none());
    assert_eq!(
        said,
        ["Static address 10.0.0.1/24 requires either an interface or default interface must exist"]
    );
}

#[test]
fn a_complaint_points_at_the_word() {
    let mut config = Configuration::default();
    let mut diagnostics = crate::config::Diagnostics::default();
    let world = world();
    let mut context = Context {
        host: &world,
        shared: &mut crate::config::read::Shared::default(),
        diagnostics: &mut diagnostics,
        options: &crate::config::ReadOptions::default(),
        test: true,
        pass: crate::config::Pass::Vrrp,
        here: crate::config::Span::default(),
        config: &mut config,
    };
    let line = crate::config::read::testing::line("192.0.2.1/40 scope foo", 7);
    read(&line, VIP, &mut context);
    let spans: Vec<_> = diagnostics
        .list()
        .iter()
        .map(|d| d.span.map(|s| (s.line, s.column, s.length)))
        .collect();
    assert_eq!(spans, [Some((7, 11, 2)), Some((7, 11, 2)), Some((7, 20, 3))]);
}
