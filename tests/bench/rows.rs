//! What is measured, and how.

mod features;
mod scripts;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::common::daemon::Start;
use crate::common::net::Segment;
use crate::common::observe::packet_socket;
use crate::common::packet::{Forged, What};
use crate::common::{Daemon, Host, Lab, Observer, Seen, Which, now_ns, secs, wait_until};

pub struct Row {
    pub name: &'static str,
    pub how: &'static str,
    pub rounds: usize,
    pub measure: fn(Which) -> Vec<Value>,
}

/// One figure of one run.
pub struct Value {
    pub what: &'static str,
    pub unit: &'static str,
    pub value: f64,
    /// The ratio to reach.
    pub goal: Option<f64>,
}

pub fn value(what: &'static str, unit: &'static str, value: f64, goal: impl Into<Option<f64>>) -> Value {
    Value {
        what,
        unit,
        value,
        goal: goal.into(),
    }
}

const TAKEOVER: &str = "two hosts, VRRP version 3; SIGKILL to the master, all of its processes at once; the backup's first advert, and the first \
    ARP for the last of its addresses, beyond the moment at which the protocol lets it act (three intervals and the \
    skew after the last advert)";

pub fn all() -> Vec<Row> {
    macro_rules! takeover {
        ($name:literal, $interval:literal, $vips:literal) => {
            Row {
                name: $name,
                how: TAKEOVER,
                rounds: 7,
                measure: |which| takeover(which, $interval, $vips),
            }
        };
    }
    let mut rows = vec![
        takeover!("takeover, 1 s, 1 address", 1.0, 1),
        takeover!("takeover, 0.1 s, 1 address", 0.1, 1),
        takeover!("takeover, 0.01 s, 1 address", 0.01, 1),
        takeover!("takeover, 1 s, 200 addresses", 1.0, 200),
        takeover!("takeover, 0.1 s, 200 addresses", 0.1, 200),
        takeover!("takeover, 0.01 s, 200 addresses", 0.01, 200),
        takeover!("takeover, 1 s, 1000 addresses", 1.0, 1000),
        takeover!("takeover, 0.1 s, 1000 addresses", 0.1, 1000),
        Row {
            name: "takeover, 0.1 s, 1 address, normal priority",
            how: "as the takeovers above, both daemons as ordinary processes (SCHED_OTHER)",
            rounds: 7,
            measure: |which| takeover_of(which, 0.1, 1, &|instance| instance, start_ordinary, 0.7),
        },
        takeover!("takeover, 0.01 s, 1000 addresses", 0.01, 1000),
        Row {
            name: "the VRRP process is killed, 1 s, 1 address",
            how: "two hosts, VRRP version 3; SIGKILL to the process of the master that does VRRP, to no other (ours \
                has a guard, keepalived's is started again by its parent): until an advert of either host that is \
                not priority 0, and until the address is announced",
            rounds: 7,
            measure: killed,
        },
        Row {
            name: "1000 addresses go in",
            how: "one host, 10 ms adverts; the longest time between adverts in the second after the first one, beyond the interval, and \
                from the first advert to every address announced once",
            rounds: 7,
            measure: |which| going_in(which, 1, 1000),
        },
        Row {
            name: "255 instances x 10 addresses go in",
            how: "as before, at 0.1 s adverts; the longest time between two adverts of one instance beyond the interval",
            rounds: 5,
            measure: |which| going_in(which, 255, 10),
        },
        Row {
            name: "250 instances, 10 ms adverts",
            how: "one host; processor time per advert sent over five seconds, all processes and threads; adverts sent \
                of those due; the mean of the intervals beyond 10 ms",
            rounds: 5,
            measure: steady,
        },
        Row {
            name: "memory, one instance",
            how: "the master of one address, two seconds after it became that; all its processes",
            rounds: 5,
            measure: memory,
        },
        Row {
            name: "-t, 5000 instances and scripts",
            how: "wall time of `-t` on a file with 5,000 instances on 20 interfaces, each with its own script; not in \
                real time",
            rounds: 5,
            measure: config_test,
        },
        Row {
            name: "start",
            how: "one instance of priority 255: from the program being loaded to its first advert",
            rounds: 7,
            measure: start_up,
        },
        Row {
            name: "stop and hand-over",
            how: "two hosts, 0.1 s adverts; SIGTERM to the master: until its process has ended, and the backup's first \
                advert and ARP beyond the skew after priority 0",
            rounds: 7,
            measure: hand_over,
        },
        Row {
            name: "stop, 255 instances x 10 addresses",
            how: "SIGTERM to the master of 255 instances: from the first priority 0 to the last, and to the end of the \
                process",
            rounds: 5,
            measure: stop_many,
        },
        Row {
            name: "bad packets, 50/s at 0.1 s adverts",
            how: "packets with a wrong checksum for five seconds: the longest time without an advert of the master",
            rounds: 3,
            measure: bad_packets,
        },
        Row {
            name: "10 BFD sessions at 50 ms, 10 ms adverts",
            how: "two hosts with ten sessions between them, 50 ms and multiplier 3 on both sides: the master's adverts \
                over five seconds, its processor time; then SIGKILL to the other: its priority 0 beyond the detection \
                time after the last BFD packet",
            rounds: 5,
            measure: crate::bfd::steady,
        },
        Row {
            name: "takeover, 0.01 s, 1 address, 10 BFD sessions at 50 ms",
            how: "as the takeover above, with ten BFD sessions between the two hosts",
            rounds: 7,
            measure: crate::bfd::takeover,
        },
        Row {
            name: "reload, 250 instances, 10 ms adverts",
            how: "SIGHUP with the priority of one instance changed: the longest time without an advert of one \
                instance beyond the interval, and until the addresses of the last instance are in force again, as \
                its line tells (keepalived's parent says `Reload complete` before that)",
            rounds: 5,
            measure: reload,
        },
        Row {
            name: "5,000 TCP checks a second, 10 ms adverts",
            how: "ours with the checks against ours without them, which stands in keepalived's column: 500 real servers \
                on the loopback, each checked ten times a second, and one instance; over ten seconds the longest time \
                between adverts, and adverts not sent; without IPVS where the kernel has none",
            rounds: 5,
            measure: crate::checks::beside,
        },
        scripts::row(),
    ];
    rows.extend(features::rows());
    rows.extend(crate::loaded::rows());
    rows
}

pub struct Net {
    pub watch: Observer,
    pub segment: Segment,
    pub lab: Lab,
}

impl Net {
    pub fn new() -> Self {
        let lab = Lab::new();
        let segment = lab.segment();
        let watch = lab.watch(&segment);
        Self { watch, segment, lab }
    }

    pub fn host(&self, name: &str, last: u8, configuration: &str) -> Host {
        let host = self.lab.host(name);
        self.lab
            .connect(&host, "eth0", &self.segment, &[&format!("192.0.2.{last}/24")]);
        host.write("keepalived.conf", configuration);
        host
    }
}

type Starter = fn(&Host, Which) -> Daemon;

/// As ordinary processes.
fn start_ordinary(host: &Host, which: Which) -> Daemon {
    Start::new(host, which).log_to_file().spawn()
}

pub fn start(host: &Host, which: Which) -> Daemon {
    Start::new(host, which).log_to_file().real_time().spawn()
}

/// The `n`th of many addresses.
fn vip(n: usize) -> String {
    format!("10.{}.{}.{}", n / 62_500 + 1, n / 250 % 250, n % 250 + 1)
}

pub fn instance(vrid: usize, priority: u8, interval: f64, vips: std::ops::Range<usize>) -> String {
    let address = |n: usize| format!("        {}/32\n", vip(n));
    let split = vips.start + vips.len().min(200);
    let first: String = (vips.start..split).map(address).collect();
    let rest: String = (split..vips.end).map(address).collect();
    let excluded = if rest.is_empty() {
        rest
    } else {
        format!("    virtual_ipaddress_excluded {{\n{rest}    }}\n")
    };
    let state = if priority == 255 { "MASTER" } else { "BACKUP" };
    format!(
        "vrrp_instance VI_{vrid} {{\n    state {state}\n    interface eth0\n    virtual_router_id {vrid}\n    \
         priority {priority}\n    version 3\n    advert_int {interval}\n    virtual_ipaddress {{\n{first}    }}\n\
         {excluded}}}\n"
    )
}

pub const ONE: &str = "192.0.2.1";
pub const TWO: &str = "192.0.2.2";

fn pair(net: &Net, which: Which, interval: f64, vips: usize) -> (Host, Daemon, Host, Daemon) {
    pair_of(net, which, interval, vips, &|instance| instance, start)
}

/// The master of two hosts and its backup, settled; `adapt` has the last word on what they read.
fn pair_of(
    net: &Net,
    which: Which,
    interval: f64,
    vips: usize,
    adapt: &dyn Fn(String) -> String,
    start: Starter,
) -> (Host, Daemon, Host, Daemon) {
    let one = net.host("one", 1, &adapt(instance(51, 150, interval, 0..vips)));
    let two = net.host("two", 2, &adapt(instance(51, 100, interval, 0..vips)));
    let mut first = start(&one, which);
    first.expect("Entering MASTER STATE", secs(10.0));
    let from = now_ns();
    all_announced(&net.watch, from - 1_000_000_000, 0..vips);
    // At 10 ms a thousand addresses are silence enough for the other to take over: not before they are all in,
    // and announced a second time after five seconds.
    if vips > 1 {
        net.watch.wait(
            "the second burst of ARP to pass",
            from + 7_000_000_000,
            secs(12.0),
            |s| s.is_advert_of(51, ONE),
        );
    }
    let mut second = start(&two, which);
    second.expect("Entering BACKUP STATE", secs(5.0));
    let from = now_ns();
    let some = if interval < 0.5 { 20 } else { 2 };
    net.watch
        .wait_nth("the master settled", from, some, secs(10.0), |s| {
            s.is_advert_of(51, ONE)
        });
    (one, first, two, second)
}

/// When the last of these addresses was first announced by ARP, since `from`.
fn all_announced(watch: &Observer, from: i64, vips: std::ops::Range<usize>) -> i64 {
    let mut left: std::collections::BTreeSet<String> = vips.map(vip).collect();
    let last = watch.wait("every address announced", from, secs(20.0), |s| {
        if let What::Arp { sender, target, .. } = &s.what
            && sender == target
        {
            left.remove(&sender.to_string());
        }
        left.is_empty()
    });
    last.at
}

/// When the protocol lets a backup of priority 100 act after a master's last advert.
pub fn deadline(last: i64, interval: f64) -> i64 {
    last + ((3.0 + 156.0 / 256.0) * interval * 1e9) as i64
}

fn takeover(which: Which, interval: f64, vips: usize) -> Vec<Value> {
    let goal = if vips > 200 { 0.5 } else { 0.7 };
    takeover_of(which, interval, vips, &|instance| instance, start, goal)
}

/// `goal` is that of the announcement.
fn takeover_of(
    which: Which,
    interval: f64,
    vips: usize,
    adapt: &dyn Fn(String) -> String,
    start: Starter,
    goal: f64,
) -> Vec<Value> {
    let net = Net::new();
    let (_one, mut first, _two, _second) = pair_of(&net, which, interval, vips, adapt, start);
    let crashed = first.crash();
    let advert = net.watch.wait("the backup's advert", crashed, secs(8.0), |s| {
        s.is_advert_of(51, TWO)
    });
    let heard = net
        .watch
        .seen_since(0)
        .into_iter()
        .filter(|s| s.is_advert_of(51, ONE))
        .map(|s| s.at)
        .max();
    let due = deadline(heard.expect("adverts of the master"), interval);
    let announced = all_announced(&net.watch, crashed, 0..vips);
    vec![
        value(
            "first advert",
            "us",
            (advert.at - due) as f64 / 1e3,
            goal.max(0.7),
        ),
        value(
            "every address announced",
            "us",
            (announced - due) as f64 / 1e3,
            goal,
        ),
    ]
}

fn killed(which: Which) -> Vec<Value> {
    let net = Net::new();
    let (_one, first, _two, _second) = pair(&net, which, 1.0, 1);
    let victim = match which {
        Which::Tested => first.pid(),
        Which::Keepalived => *first.family().get(1).expect("keepalived's VRRP process"),
    };
    let at = now_ns();
    kill(victim, Signal::SIGKILL).expect("it runs");
    let advert = net.watch.wait("a master", at, secs(15.0), |s| {
        s.is_advert_of(51, ONE) || s.is_advert_of(51, TWO)
    });
    let announced = all_announced(&net.watch, at, 0..1);
    vec![
        value(
            "until there is a master",
            "ms",
            (advert.at - at) as f64 / 1e6,
            0.35,
        ),
        value(
            "until the address is announced",
            "ms",
            (announced - at) as f64 / 1e6,
            0.35,
        ),
    ]
}

fn going_in(which: Which, instances: usize, each: usize) -> Vec<Value> {
    let net = Net::new();
    let interval = if instances == 1 { 0.01 } else { 0.1 };
    let text: String = (0..instances)
        .map(|n| instance(n + 1, 255, interval, n * each..(n + 1) * each))
        .collect();
    let one = net.host("one", 1, &text);
    let from = now_ns();
    let _daemon = start(&one, which);
    let first = net
        .watch
        .wait("the first advert", from, secs(10.0), |s| s.advert().is_some());
    let announced = all_announced(&net.watch, from, 0..instances * each);
    let end = first.at
        + if instances == 1 {
            1_000_000_000
        } else {
            3_000_000_000
        };
    net.watch
        .wait("the end of the period", end, secs(10.0), |s| s.advert().is_some());
    let gap = longest_gap(&net.watch, from, end) - interval * 1e3;
    let (silence, announce) = if instances == 1 { (0.2, 0.5) } else { (0.35, 0.7) };
    vec![
        value("longest silence beyond the interval", "ms", gap, silence),
        value(
            "first advert to all announced",
            "ms",
            (announced - first.at) as f64 / 1e6,
            announce,
        ),
    ]
}

/// The longest time between two adverts of one virtual router, in milliseconds.
pub fn longest_gap(watch: &Observer, from: i64, until: i64) -> f64 {
    let mut last = BTreeMap::new();
    let mut longest = 0;
    for seen in watch.seen_since(from).iter().filter(|seen| seen.at <= until) {
        if let Some(advert) = seen.advert()
            && let Some(before) = last.insert(advert.vrid, seen.at)
        {
            longest = longest.max(seen.at - before);
        }
    }
    longest.max(last.values().map(|last| until - last).max().unwrap_or(0)) as f64 / 1e6
}

fn many(priority_of_7: u8) -> String {
    (1..=250_usize)
        .map(|n| instance(n, if n == 7 { priority_of_7 } else { 100 }, 0.01, n..n + 1))
        .collect()
}

/// 250 masters at 10 ms, past both bursts of ARP.
fn many_settled(net: &Net, which: Which, configuration: &str) -> (Host, Daemon) {
    let one = net.host("one", 1, configuration);
    let from = now_ns();
    let daemon = start(&one, which);
    net.watch
        .wait("the last of them as master", from, secs(15.0), |s| {
            s.is_advert(250)
        });
    let settled = now_ns() + 6_000_000_000;
    net.watch
        .wait("the second burst of ARP to pass", settled, secs(8.0), |s| {
            s.is_advert(1)
        });
    (one, daemon)
}

fn steady(which: Which) -> Vec<Value> {
    steady_of(which, &many(100), 0.35)
}

/// `goal` is that of the processor time.
fn steady_of(which: Which, configuration: &str, goal: f64) -> Vec<Value> {
    let net = Net::new();
    let (_one, daemon) = many_settled(&net, which, configuration);
    let (from, cpu) = (now_ns(), daemon.cpu_seconds());
    net.watch
        .wait("five seconds to pass", from + 5_000_000_000, secs(8.0), |s| {
            s.is_advert(1)
        });
    let (until, used) = (now_ns(), daemon.cpu_seconds() - cpu);
    let adverts: Vec<Seen> = net
        .watch
        .seen_since(from)
        .into_iter()
        .filter(|s| s.at <= until && s.advert().is_some())
        .collect();
    let sent = adverts.len() as f64;
    let due = (until - from) as f64 / 1e7 * 250.0;
    vec![
        value("processor time an advert", "us", used / sent * 1e6, goal),
        value(
            "adverts not sent of those due",
            "%",
            (1.0 - sent / due).max(0.0) * 100.0,
            None,
        ),
        value(
            "mean interval beyond 10 ms",
            "us",
            ((until - from) as f64 / (sent / 250.0) - 1e7) / 1e3,
            if goal < 1.0 { 0.1 } else { 1.0 },
        ),
    ]
}

fn memory(which: Which) -> Vec<Value> {
    let net = Net::new();
    let one = net.host("one", 1, &instance(51, 255, 0.1, 0..1));
    let from = now_ns();
    let daemon = Start::new(&one, which).log_to_file().spawn();
    net.watch
        .wait_nth("twenty adverts", from, 20, secs(8.0), |s| s.is_advert(51));
    let memory = daemon.memory();
    vec![
        value("resident", "KiB", memory.resident as f64, 0.55),
        value("proportional (PSS)", "KiB", memory.proportional as f64, None),
        value("of its own (not in files)", "KiB", memory.anonymous as f64, None),
    ]
}

fn config_test(which: Which) -> Vec<Value> {
    let net = Net::new();
    let mut text = String::new();
    for n in 0..5000_usize {
        let (interface, vrid) = (n / 250, n % 250 + 1);
        text.push_str(&format!(
            "vrrp_script check_{n} {{\n    script \"/usr/bin/true {n}\"\n    interval 2\n    weight 5\n}}\n\
             vrrp_instance VI_{n} {{\n    interface eth{interface}\n    virtual_router_id {vrid}\n    priority 100\n    \
             advert_int 1\n    virtual_ipaddress {{\n        {}/32\n    }}\n    track_script {{\n        check_{n}\n    }}\n}}\n",
            vip(n)
        ));
    }
    let one = net.host(
        "one",
        1,
        &format!("global_defs {{\n    script_user root\n    enable_script_security\n}}\n{text}"),
    );
    for n in 1..20 {
        net.lab
            .cable(&one, &format!("eth{n}"), &[&format!("198.51.{n}.1/24")]);
    }
    let began = now_ns();
    let (status, said) = Start::new(&one, which).only_args(&["-t"]).output();
    let took = now_ns() - one.started();
    assert!(took < now_ns() - began + 1);
    assert_eq!(
        status,
        Some(0),
        "{}",
        said.lines().take(5).collect::<Vec<_>>().join("\n")
    );
    vec![value("wall time", "ms", took as f64 / 1e6, 0.3)]
}

fn start_up(which: Which) -> Vec<Value> {
    let net = Net::new();
    let one = net.host("one", 1, &instance(51, 255, 1.0, 0..1));
    let from = now_ns();
    let _daemon = start(&one, which);
    let first = net
        .watch
        .wait("the first advert", from, secs(5.0), |s| s.is_advert(51));
    vec![value(
        "to the first advert",
        "ms",
        (first.at - one.started()) as f64 / 1e6,
        0.65,
    )]
}

fn hand_over(which: Which) -> Vec<Value> {
    let net = Net::new();
    let (_one, mut first, _two, _second) = pair(&net, which, 0.1, 1);
    let began = Instant::now();
    let from = now_ns();
    first.signal(Signal::SIGTERM);
    wait_for_end(&mut first);
    let stopped = began.elapsed();
    let zero = net.watch.wait("priority 0", from, secs(2.0), |s| {
        s.advert().is_some_and(|a| a.priority == 0)
    });
    let due = zero.at + (156.0 / 256.0 * 0.1 * 1e9) as i64;
    let advert = net.watch.wait("the backup's advert", from, secs(4.0), |s| {
        s.is_advert_of(51, TWO)
    });
    let arp = all_announced(&net.watch, zero.at, 0..1);
    vec![
        value("SIGTERM to exit", "ms", stopped.as_secs_f64() * 1e3, 0.2),
        value(
            "hand-over, first advert",
            "us",
            (advert.at - due) as f64 / 1e3,
            0.7,
        ),
        value("hand-over, ARP", "us", (arp - due) as f64 / 1e3, 0.7),
    ]
}

/// As soon as it ends: without the pauses of a wait that looks again.
fn wait_for_end(daemon: &mut Daemon) {
    let end = Instant::now() + secs(10.0);
    while daemon.running() {
        assert!(Instant::now() < end, "it does not stop");
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn stop_many(which: Which) -> Vec<Value> {
    let net = Net::new();
    let text: String = (0..255_usize)
        .map(|n| instance(n + 1, 255, 1.0, n * 10..(n + 1) * 10))
        .collect();
    let one = net.host("one", 1, &text);
    let from = now_ns();
    let mut daemon = start(&one, which);
    all_announced(&net.watch, from, 0..2550);
    // The second burst of ARP, five seconds after the first, is not to fall into the stop.
    net.watch.wait(
        "the second burst of ARP to pass",
        now_ns() + 7_000_000_000,
        secs(12.0),
        |s| s.advert().is_some(),
    );
    let (began, from) = (Instant::now(), now_ns());
    daemon.signal(Signal::SIGTERM);
    wait_for_end(&mut daemon);
    let stopped = began.elapsed();
    let zeros: Vec<i64> = wait_until("all priority 0", secs(3.0), || {
        let seen = net.watch.seen_since(from).into_iter();
        let zeros: Vec<i64> = seen
            .filter(|s| s.advert().is_some_and(|a| a.priority == 0))
            .map(|s| s.at)
            .collect();
        (zeros.len() >= 255).then_some(zeros)
    });
    vec![
        value(
            "first to last priority 0",
            "ms",
            (zeros[zeros.len() - 1] - zeros[0]) as f64 / 1e6,
            0.1,
        ),
        value("SIGTERM to exit", "ms", stopped.as_secs_f64() * 1e3, 0.2),
    ]
}

fn bad_packets(which: Which) -> Vec<Value> {
    let net = Net::new();
    let one = net.host("one", 1, &instance(51, 150, 0.1, 0..1));
    let attacker = net.host("attacker", 66, "");
    let begin = now_ns();
    let _daemon = start(&one, which);
    net.watch
        .wait_nth("the master settled", begin, 60, secs(12.0), |s| {
            s.is_advert_of(51, ONE)
        });
    let socket = attacker.space().run(|| packet_socket("eth0"));
    let source = "192.0.2.66".parse().expect("an address");
    let bad = Forged {
        version: 3,
        ..Forged::new(source, 51, 50, vip(0).parse().expect("an address"))
    }
    .frame();
    let from = now_ns();
    for n in 1..=250 {
        let _ = socket.send(&bad);
        let due = from + n * 20_000_000;
        std::thread::sleep(Duration::from_nanos(u64::try_from(due - now_ns()).unwrap_or(0)));
    }
    let gap = net.watch.longest_gap(51, ONE, from, now_ns());
    vec![value("longest silence", "ms", gap.as_secs_f64() * 1e3, 0.05)]
}

fn reload(which: Which) -> Vec<Value> {
    let net = Net::new();
    let (one, mut daemon) = many_settled(&net, which, &many(100));
    one.write("keepalived.conf", &many(101));
    let from = now_ns();
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reloading ...", secs(10.0));
    let done = daemon.expect("(VI_250) setting VIPs.", secs(10.0));
    net.watch.wait("its new priority", from, secs(5.0), |s| {
        s.advert().is_some_and(|a| a.vrid == 7 && a.priority == 101)
    });
    net.watch
        .wait("half a second more", now_ns() + 500_000_000, secs(3.0), |s| {
            s.is_advert(1)
        });
    vec![
        value(
            "longest silence beyond the interval",
            "ms",
            longest_gap(&net.watch, from, now_ns()) - 10.0,
            0.6,
        ),
        value(
            "SIGHUP to the last instance in force",
            "ms",
            (done.at - from) as f64 / 1e6,
            0.5,
        ),
    ]
}
