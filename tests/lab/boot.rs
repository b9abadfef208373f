//! The start beside a living master, and links that come and go.

use nix::sys::signal::Signal;

use crate::common::daemon::ours_only;
use crate::common::{now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

const VIP: &str = "192.0.2.100/24";
const ADVERTS: &str = "version 3\n    advert_int 0.1\n    garp_master_delay 0";

/// A better one with `nopreempt` that starts without its link, and loses it again and again, takes nothing away.
pub fn nopreempt_with_a_late_link() {
    let nopreempt = format!("{ADVERTS}\n    nopreempt");
    let single = Single::new(&instance("VI_1", 51, 50, &[VIP], ADVERTS));
    let mut master = single.start();
    master.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    let two = single.lab.host("two");
    let port = single
        .lab
        .connect(&two, "eth0", &single.segment, &["192.0.2.2/24"]);
    two.write("keepalived.conf", &instance("VI_1", 51, 200, &[VIP], &nopreempt));
    port.pull();
    let mut late = start(&two);
    late.expect("Startup complete", secs(5.0));
    let mut from = now_ns();
    for _ in 0..4 {
        port.plug();
        late.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
        single
            .watch
            .wait_nth("the master's adverts", from, 8, secs(5.0), |s| {
                s.is_advert_of(51, "192.0.2.1")
            });
        port.pull();
        late.expect("(VI_1) Entering FAULT STATE", secs(3.0));
        from = now_ns();
    }
    port.plug();
    late.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    late.never("Entering MASTER STATE");
    assert_eq!(master.count("Entering"), 2, "{}", master.log_text());
    // It is not deaf: when the other one leaves, it takes over.
    master.stop();
    late.expect("(VI_1) Entering MASTER STATE", secs(3.0));
    two.wait_address("eth0", VIP, true, secs(2.0));
}

/// A link that flaps faster than anybody can follow: what counts is how it ends.
pub fn a_flapping_link_leaves_nobody_in_fault() {
    let single = Single::new(&instance("VI_1", 51, 100, &[VIP], ADVERTS));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    let flaps = |last: &str| {
        let up_and_down = "link set eth0 down\nlink set eth0 up\n".repeat(25);
        let batch = single
            .host
            .write("flaps", &format!("{up_and_down}link set eth0 {last}\n"));
        single
            .host
            .ip(&format!("-batch {}", batch.to_str().expect("a plain path")));
    };
    for _ in 0..3 {
        flaps("down");
        let faults = || daemon.log_text().rfind("Entering FAULT STATE");
        let others = || daemon.log_text().rfind("Entering BACKUP STATE");
        wait_until("FAULT at last", secs(5.0), || (faults() > others()).then_some(()));
        let from = now_ns();
        flaps("up");
        single.watch.wait("it as master again", from, secs(5.0), |s| {
            s.is_advert_of(51, "192.0.2.1")
        });
        single.host.wait_address("eth0", VIP, true, secs(3.0));
    }
}

/// More news than the netlink socket holds: what was lost is read again, whatever it was.
pub fn lost_news_are_read_again() {
    ours_only("its children are stopped one by one");
    let globals = "global_defs {\n    vrrp_netlink_monitor_rcv_bufs 4096\n}\n";
    let tracking = format!("{ADVERTS}\n    track_interface {{\n        eth1\n    }}");
    let single = Single::new(&(globals.to_owned() + &instance("VI_1", 51, 100, &[VIP], &tracking)));
    single
        .lab
        .connect(&single.host, "eth1", &single.segment, &["198.51.100.1/24"]);
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    single.host.wait_address("eth0", VIP, true, secs(2.0));
    let burst = |add: &str| -> String {
        (0..600)
            .map(|n| format!("address {add} 10.9.{}.{}/32 dev lo\n", n / 200, n % 200 + 1))
            .collect()
    };
    let batch = |name: &str, text: &str| {
        let path = single.host.write(name, text);
        single
            .host
            .ip(&format!("-batch {}", path.to_str().expect("a plain path")));
    };
    // What matters comes last, when nothing more fits; it is stopped, so that it cannot read in between.
    for (add, link, line) in [
        ("add", "down", "(VI_1) Entering FAULT STATE"),
        ("del", "up", "(VI_1) Entering MASTER STATE"),
    ] {
        daemon.pause();
        batch("burst", &format!("{}link set eth1 {link}\n", burst(add)));
        daemon.signal(Signal::SIGCONT);
        daemon.expect("Netlink: Receive buffer overrun on monitor socket", secs(3.0));
        daemon.expect(line, secs(4.0));
    }
    // A virtual address that goes meanwhile is missed, and put back.
    daemon.pause();
    batch("burst", &format!("{}address del {VIP} dev eth0\n", burst("add")));
    daemon.signal(Signal::SIGCONT);
    daemon.expect("Netlink: Receive buffer overrun on monitor socket", secs(3.0));
    single.host.wait_address("eth0", VIP, true, secs(3.0));
    assert_eq!(daemon.count("Entering FAULT STATE"), 1);
}
