//! A link that is up and passes nothing, as a switch's port does that has not made up its mind.

use crate::common::daemon::ours_only;
use crate::common::ping::Ping;
use crate::common::{Daemon, Host, now_ns, secs};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";
const ADVERTS: &str = "version 3\n    advert_int 0.1\n    garp_master_delay 0";
const WAITS: &str = "(VI_1) eth0 is up, but has received nothing since it came up";
const MASTER: &str = "(VI_1) Entering MASTER STATE";

fn two_nodes(globals: &str) -> (Single, Daemon, Host, crate::common::net::Port, Daemon) {
    let single = Single::new(&instance("VI_1", 51, 150, &[VIP], ADVERTS));
    let mut one = single.start();
    one.expect(MASTER, secs(5.0));
    let host = single.lab.host("two");
    let port = single
        .lab
        .connect(&host, "eth0", &single.segment, &["192.0.2.2/24"]);
    let vrrp = instance("VI_1", 51, 100, &[VIP], ADVERTS);
    host.write(
        "keepalived.conf",
        &format!("global_defs {{\n{globals}\n}}\n{vrrp}"),
    );
    let mut two = start(&host);
    two.expect("(VI_1) master set to 192.0.2.1", secs(5.0));
    (single, one, host, port, two)
}

/// The link of a backup comes back and is deaf for a while: no second master, then or after. When the master is
/// really gone, and the link alive, nobody is waited for.
pub fn no_second_master_behind_a_deaf_link() {
    ours_only("keepalived becomes master behind a deaf link");
    let (single, mut one, host, port, mut two) = two_nodes("");
    let cable = single.lab.watch_port(&port);
    for _ in 0..2 {
        port.pull();
        two.expect("(VI_1) Entering FAULT STATE", secs(3.0));
        port.leave();
        let from = now_ns();
        port.plug();
        two.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
        two.expect(WAITS, secs(3.0));
        // Others that are deaf as well are to hear it.
        cable.wait_nth("what makes it heard", from, 3, secs(5.0), |s| {
            s.is_gratuitous_arp("192.0.2.2")
        });
        port.join(&single.segment);
        two.expect("(VI_1) master set to 192.0.2.1", secs(3.0));
    }
    assert_eq!(two.count(MASTER), 0, "{}", two.log_text());
    assert!(!host.has("eth0", VIP));
    assert_eq!(one.count("Entering"), 2, "{}", one.log_text());
    // A third host is all that is left to hear.
    let third = single.peer("three", 3, "");
    port.pull();
    two.expect("(VI_1) Entering FAULT STATE", secs(3.0));
    one.stop();
    port.plug();
    let _ping = Ping::start(&third, "192.0.2.2", secs(0.1));
    two.expect(MASTER, secs(5.0));
    host.wait_address("eth0", VIP, true, secs(2.0));
}

/// Nothing is heard, ever: `rs_deaf_link` is for how long that matters, and 0 is keepalived's way.
pub fn a_deaf_link_is_waited_for_so_long() {
    ours_only("keepalived becomes master behind a deaf link");
    for (seconds, waits) in [(1, true), (0, false)] {
        let (_single, _one, host, port, mut two) = two_nodes(&format!("    rs_deaf_link {seconds}"));
        port.pull();
        two.expect("(VI_1) Entering FAULT STATE", secs(3.0));
        port.leave();
        port.plug();
        two.expect(MASTER, secs(5.0));
        host.wait_address("eth0", VIP, true, secs(2.0));
        let gave_up = two.count("eth0 has received nothing in 1 s; not waiting for it any longer");
        assert_eq!(
            (two.count(WAITS), gave_up),
            (waits.into(), waits.into()),
            "{}",
            two.log_text()
        );
    }
}
