//! Two masters, and nobody ever heard: what the log says of it, with real packets and real obstacles.

use std::fs;

use crate::common::daemon::ours_only;
use crate::common::forward::{Direction, Forwarder};
use crate::common::{Lab, now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";
const ONLY_OURS: &str = "keepalived says nothing about it";

fn quick(priority: u8, more: &str) -> String {
    let more = format!("version 3\n    advert_int 0.2\n    {more}");
    instance("VI_1", 51, priority, &[VIP], &more)
}

/// The cable carries only the adverts of the worse router: both are masters, the better one names the other,
/// and announces and notifies again when the cable is whole.
pub fn one_direction_is_lost() {
    ours_only(ONLY_OURS);
    let lab = Lab::new();
    let (one, two) = (lab.host("one"), lab.host("two"));
    let ports = [
        lab.cable(&one, "eth0", &["192.0.2.1/24"]),
        lab.cable(&two, "eth0", &["192.0.2.2/24"]),
    ];
    let script = one.script("notify", "#!/bin/sh\necho \"$3\" >> /run/notified\n");
    one.write(
        "keepalived.conf",
        &format!(
            "global_defs {{\n    script_user root\n}}\n{}",
            quick(150, &format!("notify {}", script.display()))
        ),
    );
    two.write("keepalived.conf", &quick(100, ""));
    let forwarder = Forwarder::start(lab.hub(), &ports[0], &ports[1]);
    let watch = lab.watch_port(&ports[1]);
    let mut first = start(&one);
    first.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut second = start(&two);
    second.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    forwarder.lose(|_, direction| direction == Direction::LeftToRight);
    second.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mac = two.mac("eth0").map(|octet| format!("{octet:02x}")).join(":");
    let line = first.expect(
        "(VI_1) two masters: 192.0.2.2 advertises virtual router 51 too, with priority 100, ours is 150",
        secs(6.0),
    );
    assert!(
        line.text.contains(&format!("its MAC address is {mac}")),
        "{}",
        line.text
    );

    let healed = now_ns();
    forwarder.lose(|_, _| false);
    second.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    first.expect("(VI_1) one master again: 192.0.2.2 is silent after", secs(5.0));
    watch.wait("an announcement", healed, secs(3.0), |seen| {
        seen.is_gratuitous_arp("192.0.2.100")
    });
    wait_until("the second notification", secs(5.0), || {
        let told = fs::read_to_string(one.run_file("notified")).ok()?;
        (told.lines().filter(|state| *state == "MASTER").count() == 2).then_some(())
    });
    assert_eq!(first.count("two masters"), 1);
    assert_eq!(
        second.count("two masters"),
        0,
        "the loser gave way to the first advert that it heard"
    );
}

/// With another password on each, both are masters, and both say why.
pub fn another_password() {
    ours_only(ONLY_OURS);
    let with = |word: &str, priority| {
        let password = format!("authentication {{\nauth_type PASS\nauth_pass {word}\n}}");
        instance("VI_1", 51, priority, &[VIP], &password)
    };
    let lab = Single::new(&with("first", 150));
    let other = lab.peer("two", 2, &with("second", 100));
    let mut one = lab.start();
    let mut two = start(&other);
    for (daemon, peer) in [(&mut one, 2), (&mut two, 1)] {
        let line = daemon.expect(
            &format!("(VI_1) two masters: 192.0.2.{peer} advertises virtual router 51 too"),
            secs(12.0),
        );
        assert!(
            line.text
                .contains("refused here (another password), so that neither gives way: compare auth_pass"),
            "{}",
            line.text
        );
    }
}

/// Nobody was ever heard, each time for another reason, and each is found.
pub fn nobody_ever_heard() {
    ours_only(ONLY_OURS);
    let lab = Single::new(&quick(150, ""));
    let other = lab.peer("two", 2, &quick(100, ""));
    // A host without a daemon, and one that is not there.
    let _three = lab.peer("three", 3, "");
    let said = |host: &crate::common::Host| {
        let mut daemon = start(host);
        let line = daemon.expect("(VI_1) master for ", secs(12.0));
        assert!(
            line.text.contains("no advert of another router was ever heard; "),
            "{}",
            line.text
        );
        assert_eq!(daemon.stop(), Some(0));
        line.text
    };
    let nft = |host: &crate::common::Host, hook: &str| {
        host.space().tool("nft", &["flush", "ruleset"]);
        if !hook.is_empty() {
            let rules = format!(
                "table inet t {{ chain c {{ type filter hook {hook} priority 0; ip protocol 112 drop\n}}\n}}\n"
            );
            let path = host.write("rules", &rules);
            host.space().tool("nft", &["-f", &path.display().to_string()]);
        }
    };

    // Our own do not leave.
    nft(&lab.host, "output");
    let line = said(&lab.host);
    assert!(
        line.contains(
            "our own cannot be sent (Operation not permitted): a firewall rule on this host drops outgoing"
        ),
        "{line}"
    );

    // Theirs do not come in. The other hears ours, and is silent: another one speaks that cannot hear either.
    let mut two = start(&other);
    two.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    nft(&lab.host, "input");
    nft(&other, "input");
    let line = said(&lab.host);
    let mac = other.mac("eth0").map(|octet| format!("{octet:02x}")).join(":");
    assert!(
        line.contains(&format!(
            "adverts of 192.0.2.2 (MAC {mac}) arrive on eth0 and do not get through: a firewall rule on this host \
             drops incoming"
        )),
        "{line}"
    );
    nft(&lab.host, "");

    // The kernel would not answer them by this interface.
    lab.host
        .space()
        .tool("sysctl", &["-qw", "net.ipv4.conf.eth0.rp_filter=1"]);
    lab.host.ip("link add away type veth peer name far");
    lab.host.ip("link set far up");
    lab.host.ip("link set away up");
    lab.host.ip("route add 192.0.2.2/32 dev away");
    let line = said(&lab.host);
    assert!(
        line.contains("rp_filter drops them (net.ipv4.conf.eth0.rp_filter is 1)"),
        "{line}"
    );
    lab.host.ip("link del away");
    two.stop();

    // Another number.
    other.write(
        "keepalived.conf",
        &quick(100, "").replace("router_id 51", "router_id 52"),
    );
    let mut two = start(&other);
    two.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let line = said(&lab.host);
    assert!(
        line.contains("adverts of other virtual routers only (52 of 192.0.2.2): compare virtual_router_id"),
        "{line}"
    );
    two.stop();

    // Unicast to an address that nobody has.
    lab.host.write(
        "keepalived.conf",
        &quick(150, "unicast_peer {\n192.0.2.3\n192.0.2.77\n}"),
    );
    let line = said(&lab.host);
    assert!(
        line.contains("nobody answers for the address of peer 192.0.2.77: it is down, or not on this link"),
        "{line}"
    );

    // And no reason at all.
    lab.host.write("keepalived.conf", &quick(150, ""));
    let line = said(&lab.host);
    assert!(
        line.contains("no advert arrives on eth0, and nothing is wrong on this host"),
        "{line}"
    );
}
