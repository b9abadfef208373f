use super::super::testing::{one, world};
use super::*;
use crate::config::read::Flow;
use crate::model::Configuration;
use crate::model::vrrp::TrackGroup;

fn read_one(text: &str, fixed: bool) -> (Result<Rule, Flow>, Vec<String>) {
    let mut host = world();
    host.file("/etc/protocols", "ospf 89 OSPFIGP # comment\n");
    let mut config = Configuration::default();
    config.track_groups.push(TrackGroup {
        name: "tg".to_owned(),
        members: Vec::new(),
    });
    one(&host, &mut config, text, |line, context| {
        read(line, fixed, &mut Preferences::default(), context)
    })
}

fn good(text: &str) -> Rule {
    let (rule, said) = read_one(text, false);
    assert_eq!(said, Vec::<String>::new(), "{text}");
    rule.expect(text)
}

#[test]
fn selectors() {
    let r = good("not from 192.0.2.0/24 to 203.0.113.32/28 iif eth0 oif eth1 lookup main preference 2002");
    assert!(r.invert && r.from_given && r.to_given);
    assert_eq!(r.from.map(|n| n.prefix), Some(24));
    assert_eq!(r.to.map(|n| n.prefix), Some(28));
    assert_eq!(r.input_interface.as_deref(), Some("eth0"));
    assert_eq!(r.output_interface.as_deref(), Some("eth1"));
    assert_eq!(
        (r.action, r.priority, r.protocol),
        (RuleAction::Table(254), 2002, Some(18))
    );
    let r = good("from all ipproto tcp sport 1000-2000 dport 80-81 uidrange 1-10 table 200 priority 5");
    assert_eq!((r.from, r.from_given, r.to_given), (None, true, false));
    assert_eq!(r.ip_protocol, Some(6));
    assert_eq!(r.source_ports, Some((1000, 2000)));
    assert_eq!(r.destination_ports, Some((80, 81)));
    assert_eq!(r.uid_range, Some((1, 10)));
    assert_eq!(good("ipproto OSPFIGP nop priority 1").ip_protocol, Some(89));
    let r = good("from 10.0.0.0/8 tos 4 realms 5/6 tunnel-id 7 table 9 order 0x10");
    assert_eq!(
        (r.tos, r.realms, r.tunnel_id, r.priority),
        (4, Some(5 << 16 | 6), Some(7), 16)
    );
    let r = good("from 10.0.0.0/8 table 9 sup_pl 0 sup_group 5 priority 1");
    assert_eq!((r.suppress_prefix_length, r.suppress_group), (Some(0), Some(5)));
    assert_eq!(
        good("fwmark 0x10/0xff table 1 priority 1").fwmark,
        Some((16, Some(255)))
    );
    assert_eq!(good("fwmark 10 table 1 priority 1").fwmark, Some((10, None)));
    assert_eq!(good("inet6 table 5 priority 1").family, Family::Inet6);
    assert_eq!(
        good("from 2001:db8::/64 table 5 priority 1").family,
        Family::Inet6
    );
}

#[test]
fn actions() {
    let action = |text: &str| good(&format!("from 10.0.0.0/8 {text} priority 7")).action;
    assert_eq!(action("table 100"), RuleAction::Table(100));
    assert_eq!(action("lookup local"), RuleAction::Table(255));
    assert_eq!(action("goto 500"), RuleAction::Goto(500));
    assert_eq!(action("nop"), RuleAction::Nop);
    assert_eq!(action("type blackhole"), RuleAction::Blackhole);
    assert_eq!(action("unreachable"), RuleAction::Unreachable);
    assert_eq!(action("prohibit"), RuleAction::Prohibit);
    assert_eq!(action("l3mdev"), RuleAction::L3Mdev);
}

#[test]
fn preferences_are_given_downwards() {
    let mut preferences = Preferences::default();
    let mut config = Configuration::default();
    for wanted in [16384, 16383] {
        let (rule, said) = one(&world(), &mut config, "from 10.0.0.0/8 table 5", |l, c| {
            read(l, false, &mut preferences, c)
        });
        assert_eq!(rule.map(|r| r.priority), Ok(wanted));
        let text = format!(
            "Rule has no preference specified - setting to {wanted}. This is probably not what you want."
        );
        assert_eq!(said, [text]);
    }
}

#[test]
fn static_rules_have_track_groups() {
    let (rule, said) = read_one("from 10.0.0.0/8 iif eth0 table 5 priority 5 track_group tg", true);
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(rule.map(|r| r.track_group), Ok(Some("tg".to_owned())));
    let (rule, said) = read_one("from 10.0.0.0/8 table 5 priority 5 track_group tg", true);
    assert_eq!(
        said,
        ["Static rule cannot have track_group if dev/iif not specified"]
    );
    assert_eq!(rule.map(|r| r.track_group), Ok(None));
}

#[test]
fn wrong_lines_and_what_is_said() {
    let more = "Cannot specify more than one of table/nop/goto/blackhole/prohibit/unreachable for rule";
    let table: &[(&str, bool, &[&str])] = &[
        (
            "from foo table 1",
            false,
            &[
                "VRRP parsed invalid IP foo. skipping IP...",
                "Invalid rule from address foo",
            ],
        ),
        (
            "from 10.0.0.0/8 to 2001:db8::/64 table 1",
            false,
            &["rule specification has mixed IPv4 and IPv6"],
        ),
        (
            "from 10.0.0.0/8",
            false,
            &["No action specified for rule - ignoring"],
        ),
        ("from 10.0.0.0/8 table 0", false, &["Table 0 is not valid"]),
        (
            "from 10.0.0.0/8 table foo",
            false,
            &["Routing table foo not found for rule"],
        ),
        (
            "table 5 priority foo",
            false,
            &[
                "invalid number 'foo'",
                "Invalid rule preference priority specified",
            ],
        ),
        (
            "table 5 order -1",
            false,
            &["negative number '-1'", "Invalid rule preference order specified"],
        ),
        ("tos 300 table 5", false, &["TOS value 300 is invalid"]),
        (
            "fwmark 0x10/foo table 5",
            false,
            &["Invalid rule fwmark 0x10/foo specified"],
        ),
        ("realms foo table 5", false, &["invalid realms foo for rule"]),
        (
            "from 2001:db8::/64 realms 5 table 7",
            false,
            &["realms is only valid for IPv4"],
        ),
        (
            "suppress_prefixlength foo table 5",
            false,
            &[
                "invalid number 'foo'",
                "Invalid suppress_prefixlength suppress_prefixlength specified",
            ],
        ),
        (
            "suppress_prefixlength 5 blackhole",
            false,
            &["suppressor/realm specified for non table action - skipping"],
        ),
        (
            "suppress_ifgroup foo table 5",
            false,
            &["suppress_group foo is invalid"],
        ),
        (
            "iif nosuch table 5",
            false,
            &["WARNING - interface nosuch for rule doesn't exist"],
        ),
        (
            "tunnel-id foo table 5",
            false,
            &["invalid number 'foo'", "Invalid tunnel-id tunnel-id specified"],
        ),
        (
            "uidrange 5 table 5",
            false,
            &["Invalid uidrange uidrange specified"],
        ),
        ("l3mdev table 5", false, &[more]),
        ("unreachable table 5", false, &[more]),
        (
            "protocol 300 table 5 priority 5",
            true,
            &["number '300' outside range [0, 255]", "Invalid protocol 300"],
        ),
        (
            "protocol 4 table 5 priority 5",
            true,
            &["Rule cannot be tracked if protocol is not RTPROT_KEEPALIVED(18), resetting protocol"],
        ),
        ("ipproto foo table 5 priority 5", true, &["Invalid ipproto foo"]),
        ("sport 80 table 5 priority 5", true, &["invalid sport range 80"]),
        (
            "dport foo-80 table 5 priority 5",
            true,
            &["invalid dport range foo-80"],
        ),
        (
            "goto 5 priority 38",
            false,
            &["Invalid rule - preference 38 >= goto target 5"],
        ),
        (
            "goto foo",
            false,
            &["invalid number 'foo'", "Invalid target goto specified"],
        ),
        ("type foo", false, &["Unknown rule option foo"]),
        (
            "from 10.0.0.0/8 track_group tg table 1",
            false,
            &["Unknown rule option track_group"],
        ),
    ];
    for (text, kept, messages) in table {
        let (rule, said) = read_one(text, false);
        assert_eq!(said, *messages, "{text}");
        assert_eq!(rule.is_ok(), *kept, "{text}");
    }
    let (rule, _) = read_one("table 5 priority", false);
    assert_eq!(rule, Err(Flow::Missing));
}
