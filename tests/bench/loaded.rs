//! Much for the load balancer to do: many checks on a kernel that has IPVS, and a large reload on any kernel.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::daemon::Start;
use crate::common::{Host, Which, now_ns, secs, wait_until};
use crate::rows::{Net, ONE, Row, Value, instance, longest_gap, start, value};

const TCP: u16 = 8080;
const HTTP: u16 = 8081;
const PERIOD: Duration = Duration::from_secs(20);

pub fn rows() -> Vec<Row> {
    let mut rows = vec![Row {
        name: "reload, 2,000 virtual servers x 20, 10 ms adverts",
        how: "ours with 2,000 virtual servers of 20 real servers each against ours without them, which stands in \
            keepalived's column: SIGHUP with the weight of one real server changed, until that is told and two seconds \
            more; the processor time of the reload, and the longest time between adverts; without IPVS where the kernel \
            has none",
        rounds: 5,
        measure: reload,
    }];
    // keepalived ends where the kernel has no IPVS.
    if Path::new("/proc/net/ip_vs").exists() {
        rows.push(Row {
            name: "1,000 TCP and 200 HTTP checks each second",
            how: "in a guest with IPVS: `tests/vm/lvs-load`; 1,200 real servers on the loopback, for twenty seconds \
                after each has been checked twice: processor time of all processes and threads, memory, and how far \
                the time between two checks of one real server is from the delay of one second",
            rounds: 3,
            measure: checks,
        });
    }
    rows
}

/// When each address was connected to.
type Times = Arc<Mutex<BTreeMap<(IpAddr, u16), Vec<i64>>>>;

fn listen(host: &Host, times: &Times, port: u16) {
    let listener = host.space().run(|| {
        crate::common::tool("ip", &["link", "set", "lo", "up"]);
        TcpListener::bind(("0.0.0.0", port)).expect("a port of a new namespace")
    });
    let times = times.clone();
    // It ends with the process: the listener is all that it holds.
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let at = now_ns();
            if let Ok(address) = connection.local_addr() {
                let key = (address.ip(), port);
                times
                    .lock()
                    .expect("no panic holds it")
                    .entry(key)
                    .or_default()
                    .push(at);
            }
            if port == HTTP {
                let _ = answer(connection);
            }
        }
    });
}

fn answer(mut connection: TcpStream) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut request = [0; 512];
    let _ = connection.read(&mut request)?;
    connection.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
}

fn checked(virtual_servers: usize, port: u16, checker: &str, net: u8) -> String {
    let mut text = String::new();
    for v in 0..virtual_servers {
        text += &format!(
            "virtual_server 10.200.{net}.{} {port} {{\n delay_loop 1\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n",
            v + 1
        );
        for r in 1..=50 {
            text += &format!(" real_server 127.{net}.{v}.{r} {port} {{\n  {checker}\n }}\n");
        }
        text += "}\n";
    }
    text
}

fn checks(which: Which) -> Vec<Value> {
    let net = Net::new();
    let text = checked(20, TCP, "TCP_CHECK {\n   connect_timeout 2\n  }", 1)
        + &checked(
            4,
            HTTP,
            "HTTP_GET {\n   url {\n    path /\n    status_code 200\n   }\n   connect_timeout 2\n  }",
            2,
        );
    let one = net.host("one", 1, &text);
    let times = Times::default();
    listen(&one, &times, TCP);
    listen(&one, &times, HTTP);
    let daemon = Start::new(&one, which).log_to_file().spawn();
    wait_until("every real server checked twice", secs(60.0), || {
        let times = times.lock().expect("no panic holds it");
        (times.len() == 1200 && times.values().all(|seen| seen.len() > 1)).then_some(())
    });
    let (from, cpu) = (now_ns(), daemon.cpu_seconds());
    std::thread::sleep(PERIOD);
    let (until, used) = (now_ns(), daemon.cpu_seconds() - cpu);
    let memory = daemon.memory();
    let seconds = (until - from) as f64 / 1e9;
    let mut count = 0;
    let mut off: Vec<f64> = Vec::new();
    for seen in times.lock().expect("no panic holds it").values() {
        let within: Vec<i64> = seen
            .iter()
            .copied()
            .filter(|at| (from..=until).contains(at))
            .collect();
        count += within.len();
        off.extend(within.windows(2).map(|two| (two[1] - two[0]) as f64 / 1e6 - 1e3));
    }
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    let mut far: Vec<f64> = off.iter().map(|off| off.abs()).collect();
    far.sort_by(f64::total_cmp);
    let part = |part: f64| far[((far.len() - 1) as f64 * part) as usize];
    vec![
        value("processor time a check", "us", used / count as f64 * 1e6, 1.0),
        value(
            "checks not made of those due",
            "%",
            (1.0 - count as f64 / (seconds * 1200.0)).max(0.0) * 100.0,
            1.0,
        ),
        value("mean interval beyond 1 s", "ms", mean, 1.0),
        value("half of the intervals within", "ms", part(0.5), 1.0),
        value("99 % of the intervals within", "ms", part(0.99), 1.0),
        value("resident", "KiB", memory.resident as f64, 1.0),
        value("proportional (PSS)", "KiB", memory.proportional as f64, None),
    ]
}

fn many(weight: u32) -> String {
    let mut text = String::new();
    for v in 0..2000 {
        text += &format!(
            "virtual_server 10.201.{}.{} 80 {{\n delay_loop 600\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n",
            v / 250,
            v % 250 + 1
        );
        for r in 1..=20 {
            let weight = if (v, r) == (1999, 20) { weight } else { 1 };
            text += &format!(
                " real_server 127.{}.{}.{r} 80 {{\n  weight {weight}\n  TCP_CHECK {{\n  }}\n }}\n",
                v / 250 + 1,
                v % 250 + 1
            );
        }
        text += "}\n";
    }
    text
}

fn reload(which: Which) -> Vec<Value> {
    let net = Net::new();
    let large = which == Which::Tested;
    let text = |weight| {
        let mut text = instance(51, 255, 0.01, 0..1);
        if large {
            text += &many(weight);
        }
        text
    };
    let one = net.host("one", 1, &text(1));
    let from = now_ns();
    let mut daemon = start(&one, Which::Tested);
    net.watch.wait(
        "the second burst of ARP to pass",
        from + 7_000_000_000,
        secs(60.0),
        |s| s.is_advert_of(51, ONE),
    );
    one.write("keepalived.conf", &text(2));
    daemon.skip_log();
    let (from, cpu) = (now_ns(), daemon.cpu_seconds());
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(60.0));
    if large {
        daemon.expect("Changing weight from 1 to 2", secs(60.0));
    }
    let done = now_ns();
    net.watch
        .wait("two seconds to pass", done + 2_000_000_000, secs(20.0), |s| {
            s.is_advert_of(51, ONE)
        });
    let until = now_ns();
    vec![
        value("processor time", "ms", (daemon.cpu_seconds() - cpu) * 1e3, None),
        value(
            "longest silence beyond 10 ms",
            "ms",
            longest_gap(&net.watch, from, until) - 10.0,
            1.0,
        ),
        value("SIGHUP to told", "ms", (done - from) as f64 / 1e6, None),
    ]
}
