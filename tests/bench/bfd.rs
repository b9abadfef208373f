//! VRRP with BFD sessions at 50 ms beside it, on both hosts.

use crate::common::net::Port;
use crate::common::{Daemon, Host, Which, now_ns, secs};
use crate::rows::{Net, ONE, TWO, Value, deadline, instance, longest_gap, start, value};

const SESSIONS: usize = 10;
/// Three of 50 ms.
const DETECTION: i64 = 150_000_000;

/// A host with its sessions to the other one; the instance watches the first of them.
fn host(net: &Net, own: u8, other: u8, priority: u8, watches: bool) -> (Host, Port) {
    let host = net.lab.host(if own == 1 { "one" } else { "two" });
    let address = format!("192.0.2.{own}/24");
    let port = net.lab.connect(&host, "eth0", &net.segment, &[&address]);
    let mut text = String::new();
    for n in 1..=SESSIONS {
        host.ip(&format!("address add 10.9.{own}.{n}/16 dev eth0"));
        text += &format!(
            "bfd_instance b{n} {{\n source_ip 10.9.{own}.{n}\n neighbor_ip 10.9.{other}.{n}\n min_rx 50\n min_tx 50\n \
             multiplier 3\n}}\n"
        );
    }
    let track = if watches {
        " track_bfd {\n b1\n }\n}\n"
    } else {
        "}\n"
    };
    let of_vrrp = instance(51, priority, 0.01, 0..1);
    text += of_vrrp.trim_end().strip_suffix('}').expect("an instance");
    text += track;
    host.write("keepalived.conf", &text);
    (host, port)
}

/// Both run, all sessions are up, and the first is the master.
fn settled(net: &Net, which: Which, watches: bool) -> ((Host, Daemon), (Host, Daemon), Port) {
    let (one, port) = host(net, 1, 2, 150, watches);
    let (two, _) = host(net, 2, 1, 100, false);
    let mut second = start(&two, which);
    let mut first = start(&one, which);
    first.expect("Entering MASTER STATE", secs(15.0));
    for daemon in [&mut first, &mut second] {
        crate::common::wait_until("all sessions up", secs(10.0), || {
            (daemon.count("Entering Up state") >= SESSIONS).then_some(())
        });
    }
    let from = now_ns();
    let steady = from + 6_000_000_000;
    net.watch
        .wait("the bursts of ARP to pass", steady, secs(10.0), |s| {
            s.is_advert_of(51, ONE)
        });
    ((one, first), (two, second), port)
}

pub fn steady(which: Which) -> Vec<Value> {
    let net = Net::new();
    let ((_one, first), (_two, mut second), port) = settled(&net, which, true);
    let line = net.lab.watch_port(&port);
    let (from, cpu) = (now_ns(), first.cpu_seconds());
    let end = from + 5_000_000_000;
    net.watch.wait("five seconds to pass", end, secs(8.0), |s| {
        s.is_advert_of(51, ONE)
    });
    let (until, used) = (now_ns(), first.cpu_seconds() - cpu);
    let sent = net.watch.seen_since(from);
    let sent = sent
        .iter()
        .filter(|s| s.at <= until && s.is_advert_of(51, ONE))
        .count();
    let gap = longest_gap(&net.watch, from, until) - 10.0;
    assert_eq!(first.count("Entering Down state"), 0, "no session has gone down");
    let crashed = second.crash();
    let zero = net.watch.wait("priority 0", crashed, secs(3.0), |s| {
        s.advert()
            .is_some_and(|a| a.priority == 0 && a.source.to_string() == ONE)
    });
    let heard = line.frames().into_iter().rev().find(|frame| {
        // UDP over IPv4 from the first session's neighbour.
        frame.at < zero.at
            && frame.bytes.get(23) == Some(&17)
            && frame.bytes.get(26..30) == Some(&[10, 9, 2, 1])
    });
    let expires = heard.expect("packets of the neighbour").at + DETECTION;
    vec![
        value(
            "mean interval beyond 10 ms",
            "us",
            ((until - from) as f64 / sent as f64 - 1e7) / 1e3,
            1.0,
        ),
        value("longest silence beyond 10 ms", "ms", gap, 1.0),
        value("processor time a second", "ms", used / 5.0 * 1e3, 1.0),
        value(
            "priority 0 after the detection time",
            "us",
            (zero.at - expires) as f64 / 1e3,
            1.0,
        ),
    ]
}

pub fn takeover(which: Which) -> Vec<Value> {
    let net = Net::new();
    let ((_one, mut first), (_two, _second), _) = settled(&net, which, false);
    let crashed = first.crash();
    let advert = net.watch.wait("the backup's advert", crashed, secs(8.0), |s| {
        s.is_advert_of(51, TWO)
    });
    let heard = net.watch.seen_since(0).into_iter();
    let heard = heard.filter(|s| s.is_advert_of(51, ONE)).map(|s| s.at).max();
    let due = deadline(heard.expect("adverts of the master"), 0.01);
    vec![value("first advert", "us", (advert.at - due) as f64 / 1e3, 1.0)]
}
