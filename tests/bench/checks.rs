//! VRRP with many checks of real servers beside it, on the host's own kernel, which need not have IPVS.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Host, Which, now_ns, secs, wait_until};
use crate::rows::{Net, ONE, Value, instance, longest_gap, start, value};

/// Every one is checked ten times a second.
const REAL_SERVERS: usize = 500;
const PORT: u16 = 8080;
const PERIOD: i64 = 10_000_000_000;

/// Virtual servers whose real servers are all addresses of the loopback: so many, so that no address runs out of
/// ports for connections that are gone but not forgotten.
fn virtual_servers() -> String {
    let mut text = String::new();
    for v in 0..REAL_SERVERS / 50 {
        text += &format!(
            "virtual_server 10.200.0.{} {PORT} {{\n delay_loop 0.1\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n",
            v + 1
        );
        for r in 1..=50 {
            text += &format!(
                " real_server 127.1.{v}.{r} {PORT} {{\n  TCP_CHECK {{\n   connect_timeout 2\n  }}\n }}\n"
            );
        }
        text += "}\n";
    }
    text
}

/// Takes every connection and ends it; counts them.
fn listen(host: &Host) -> Arc<AtomicU64> {
    let listener = host.space().run(|| {
        crate::common::tool("ip", &["link", "set", "lo", "up"]);
        TcpListener::bind(("0.0.0.0", PORT)).expect("a port of a new namespace")
    });
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    // It ends with the process: the listener is all that it holds.
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    count
}

/// Ours with the checks, and in place of keepalived ours without them.
pub fn beside(which: Which) -> Vec<Value> {
    let net = Net::new();
    let checked = which == Which::Tested;
    let mut text = instance(51, 255, 0.01, 0..1);
    if checked {
        text += &virtual_servers();
    }
    let one = net.host("one", 1, &text);
    let count = listen(&one);
    let from = now_ns();
    let daemon = start(&one, Which::Tested);
    net.watch.wait(
        "the second burst of ARP to pass",
        from + 7_000_000_000,
        secs(20.0),
        |s| s.is_advert_of(51, ONE),
    );
    if checked {
        wait_until("every server checked", secs(20.0), || {
            (count.load(Ordering::Relaxed) > 2 * REAL_SERVERS as u64).then_some(())
        });
    }
    let (from, before, cpu) = (now_ns(), count.load(Ordering::Relaxed), daemon.cpu_seconds());
    net.watch
        .wait("the period to pass", from + PERIOD, secs(20.0), |s| {
            s.is_advert_of(51, ONE)
        });
    let until = now_ns();
    let seconds = (until - from) as f64 / 1e9;
    let checks = count.load(Ordering::Relaxed) - before;
    let sent = net.watch.seen_since(from);
    let sent = sent
        .iter()
        .filter(|s| s.at <= until && s.is_advert_of(51, ONE))
        .count();
    vec![
        value(
            "longest silence beyond 10 ms",
            "ms",
            longest_gap(&net.watch, from, until) - 10.0,
            1.0,
        ),
        value(
            "adverts not sent of those due",
            "%",
            (1.0 - sent as f64 / (seconds * 100.0)).max(0.0) * 100.0,
            1.0,
        ),
        value("checks a second", "", checks as f64 / seconds, None),
        value(
            "processor time a second",
            "ms",
            (daemon.cpu_seconds() - cpu) / seconds * 1e3,
            None,
        ),
    ]
}
