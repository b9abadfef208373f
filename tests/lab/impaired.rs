//! Two nodes on a cable that loses what a test picks.

use crate::common::forward::Forwarder;
use crate::common::net::Port;
use crate::common::{Host, Lab, now_ns, secs};
use crate::pair::{instance, start};

const VIP: &str = "192.0.2.100/24";

struct Nodes {
    one: Host,
    two: Host,
    ports: [Port; 2],
    forwarder: Forwarder,
    lab: Lab,
}

fn nodes() -> Nodes {
    let lab = Lab::new();
    let (one, two) = (lab.host("one"), lab.host("two"));
    let ports = [
        lab.cable(&one, "eth0", &["192.0.2.1/24"]),
        lab.cable(&two, "eth0", &["192.0.2.2/24"]),
    ];
    one.write("keepalived.conf", &instance("VI_1", 51, 150, &[VIP], ""));
    two.write("keepalived.conf", &instance("VI_1", 51, 100, &[VIP], ""));
    let forwarder = Forwarder::start(lab.hub(), &ports[0], &ports[1]);
    Nodes {
        one,
        two,
        ports,
        forwarder,
        lab,
    }
}

/// Cut apart there are two masters; joined again, one within an interval or so.
pub fn partition_and_heal() {
    let Nodes {
        one,
        two,
        ports: _ports,
        forwarder,
        lab: _lab,
    } = nodes();
    let mut first = start(&one);
    first.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut second = start(&two);
    second.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    forwarder.lose(|_, _| true);
    second.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    two.wait_address("eth0", VIP, true, secs(1.0));
    assert!(one.has("eth0", VIP));
    forwarder.lose(|_, _| false);
    second.expect(
        "(VI_1) Master received advert from 192.0.2.1 with higher priority 150, ours 100",
        secs(2.5),
    );
    second.expect("(VI_1) Entering BACKUP STATE", secs(1.0));
    two.wait_address("eth0", VIP, false, secs(1.0));
    assert!(one.has("eth0", VIP));
    assert_eq!(
        first.count("(VI_1) Entering MASTER STATE"),
        1,
        "the better one never wavers"
    );
}

/// Two adverts of three lost move nothing; all lost, the backup takes over after three intervals and its skew.
pub fn lost_adverts() {
    let Nodes {
        one,
        two,
        ports,
        forwarder,
        lab,
    } = nodes();
    let watch = lab.watch_port(&ports[1]);
    let mut first = start(&one);
    first.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut second = start(&two);
    second.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    let mut number = 0;
    forwarder.lose(move |seen, _| {
        let advert = seen.is_some_and(|s| s.is_advert(51));
        number += usize::from(advert);
        advert && number % 3 != 0
    });
    let from = now_ns();
    watch.wait_nth("three adverts that got through", from, 3, secs(12.0), |s| {
        s.is_advert_of(51, "192.0.2.1")
    });
    second.never("Entering MASTER STATE");

    forwarder.lose(|seen, _| seen.is_some_and(|s| s.is_advert(51)));
    let first_of_two = watch.wait("the backup's advert", from, secs(8.0), |s| {
        s.is_advert_of(51, "192.0.2.2")
    });
    let heard = watch
        .seen_since(from)
        .into_iter()
        .filter(|s| s.is_advert_of(51, "192.0.2.1"))
        .map(|s| s.at)
        .max();
    let silence = (first_of_two.at - heard.expect("three at least")) as f64 / 1e9;
    // (256 - 100) / 256 s of skew; the upper bound allows for a busy machine.
    assert!(
        (3.0 + 0.609..3.0 + 0.609 + 0.5).contains(&silence),
        "took over after {silence:.3} s"
    );
}
