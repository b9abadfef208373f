//! BFD: beside Debian's keepalived and FRR's bfdd, as what moves a master, through a reload, and under fire.

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, needs_keepalived, ours_only};
use crate::common::net::{Port, Segment};
use crate::common::observe::packet_socket;
use crate::common::{Daemon, Host, Lab, Which, now_ns, secs, wait_until};
use crate::interop::FRR;

/// A session from `source` to `neighbor`, in intervals of 100 ms, three of which may be lost.
fn session(name: &str, source: &str, neighbor: &str, more: &str) -> String {
    format!(
        "bfd_instance {name} {{\n source_ip {source}\n neighbor_ip {neighbor}\n min_rx 100\n min_tx 100\n \
         multiplier 3\n{more}}}\n"
    )
}

fn instance(priority: u8, track: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
         virtual_ipaddress {{\n 192.0.2.100/24\n }}\n{track}}}\n"
    )
}

/// Two hosts on a LAN; the one with the higher priority also has a line to a gateway, and watches it.
struct Site {
    _lab: Lab,
    lan: Segment,
    high: Host,
    low: Host,
    gateway: Host,
    line: Port,
}

impl Site {
    fn new() -> Self {
        let lab = Lab::new();
        let (lan, wan) = (lab.segment(), lab.segment());
        let (high, low, gateway) = (lab.host("high"), lab.host("low"), lab.host("gateway"));
        lab.connect(&high, "eth0", &lan, &["192.0.2.1/24"]);
        lab.connect(&low, "eth0", &lan, &["192.0.2.2/24"]);
        lab.connect(&high, "eth1", &wan, &["198.51.100.1/24"]);
        let line = lab.connect(&gateway, "eth0", &wan, &["198.51.100.9/24"]);
        gateway.write(
            "keepalived.conf",
            &session("high", "198.51.100.9", "198.51.100.1", ""),
        );
        low.write("keepalived.conf", &instance(100, ""));
        Self {
            _lab: lab,
            lan,
            high,
            low,
            gateway,
            line,
        }
    }

    fn configure(&self, more: &str, track: &str) {
        let text = session("gw", "198.51.100.1", "198.51.100.9", more) + &instance(150, track);
        self.high.write("keepalived.conf", &text);
    }

    fn start(&self, host: &Host) -> Daemon {
        Start::new(host, Which::Tested).spawn()
    }
}

/// Without weight a session that is down is a fault, from the start on. The line dies, no interface goes down, and
/// the other host is master within the detection time and its skew.
pub fn neighbour_lost_moves_the_master() {
    let site = Site::new();
    site.configure("", " track_bfd {\n gw\n }\n");
    let mut low = site.start(&site.low);
    let mut high = site.start(&site.high);
    low.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    high.logged("(VI_1) entering FAULT state");
    let _gateway = site.start(&site.gateway);
    high.expect("(gw) Entering Up state", secs(5.0));
    high.expect("VRRP_Instance(VI_1) Tracked BFD instance gw is UP", secs(1.0));
    high.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    low.expect("(VI_1) Entering BACKUP STATE", secs(2.0));

    let watch = site._lab.watch(&site.lan);
    let pulled = now_ns();
    site.line.pull();
    high.expect("(gw) Expired after 3", secs(2.0));
    high.expect("VRRP_Instance(VI_1) Tracked BFD instance gw is DOWN", secs(1.0));
    high.expect("(VI_1) Entering FAULT STATE", secs(1.0));
    low.expect("(VI_1) Entering MASTER STATE", secs(3.0));
    let first = watch.wait("the other master", pulled, secs(3.0), |s| {
        s.is_advert_of(51, "192.0.2.2")
    });
    let took = Duration::from_nanos(u64::try_from(first.at - pulled).unwrap_or(0));
    // The detection time, the skew of priority 100, and room for a slow machine. Silence would take 3 s more.
    assert!(took < Duration::from_millis(300 + 610 + 700), "{took:?}");
    site.high.wait_address("eth0", "192.0.2.100/24", false, secs(1.0));

    site.line.plug();
    high.expect("(VI_1) Entering MASTER STATE", secs(12.0));
}

/// With a weight it counts: while it is up, or with `reverse` the other way round; in a group as in an instance.
pub fn weights_count() {
    ours_only("reverse has another meaning in older versions");
    let site = Site::new();
    site.configure(" weight -30\n", " track_bfd {\n gw\n }\n");
    let mut high = site.start(&site.high);
    high.expect("(VI_1) Changing effective priority from 150 to 120", secs(4.0));
    let mut gateway = site.start(&site.gateway);
    high.expect("(VI_1) Changing effective priority from 120 to 150", secs(5.0));
    // A reload changes what it weighs, and the session stays.
    site.configure(" weight 20 reverse\n", " track_bfd {\n gw\n }\n");
    high.signal(Signal::SIGHUP);
    high.expect("(VI_1) Changing effective priority from 150 to 130", secs(5.0));
    gateway.crash();
    high.expect("(VI_1) Changing effective priority from 130 to 150", secs(3.0));
    assert_eq!(high.count("(gw) Entering Up state"), 1);

    let group = "vrrp_sync_group G {\n group {\n VI_1\n }\n track_bfd {\n gw\n }\n}\n";
    let text = session("gw", "198.51.100.1", "198.51.100.9", "") + group + &instance(150, "");
    site.high.write("keepalived.conf", &text);
    high.signal(Signal::SIGHUP);
    high.expect("(VI_1) Entering FAULT STATE", secs(5.0));
    let _gateway = site.start(&site.gateway);
    high.expect("(VI_1) Entering MASTER STATE", secs(9.0));
}

/// Another interval is agreed on without a fall; another neighbour is another session.
pub fn a_reload_keeps_the_session() {
    ours_only("it notices more than keepalived");
    let site = Site::new();
    site.configure("", " track_bfd {\n gw\n }\n");
    let mut gateway = site.start(&site.gateway);
    let mut high = site.start(&site.high);
    high.expect("(gw) Entering Up state", secs(5.0));
    gateway.expect("(high) Entering Up state", secs(5.0));
    assert!(site.high.run_file("bfd.pid").exists());
    let slower = session("gw", "198.51.100.1", "198.51.100.9", " min_tx 400\n") + &instance(150, "");
    site.high.write("keepalived.conf", &slower);
    high.signal(Signal::SIGHUP);
    high.expect("(gw) Starting poll sequence", secs(5.0));
    gateway.expect("Detection time is 1200000 us (was 300000 us)", secs(3.0));
    let agreed = [
        "   local state = Up\n",
        "   !poll, !final\n",
        "   local tx intv = 400000 us\n",
    ];
    let dump = site.high.tmp().join("keepalived_bfd.data");
    wait_until("the agreed interval in the dump", secs(3.0), || {
        high.signal(Signal::SIGUSR1);
        let text = std::fs::read_to_string(&dump).ok()?;
        agreed.iter().all(|line| text.contains(line)).then_some(())
    });
    high.never("(gw) Entering Down state");
    gateway.never("(high) Entering Down state");

    let other = session("gw", "198.51.100.1", "198.51.100.77", "") + &instance(150, "");
    site.high.write("keepalived.conf", &other);
    high.signal(Signal::SIGHUP);
    gateway.expect("(high) Expired after", secs(5.0));
    assert_eq!(high.stop(), Some(0));
    assert!(!site.high.run_file("bfd.pid").exists());
}

/// A source address that is not there yet, and another daemon on the port: said, and tried again.
pub fn what_cannot_be_opened_is_tried_again() {
    ours_only("its lines say more");
    let site = Site::new();
    site.high.ip("address del 198.51.100.1/24 dev eth1");
    site.configure("", "");
    let mut high = site.start(&site.high);
    let _gateway = site.start(&site.gateway);
    high.expect("(gw) Unable to open output socket, disabling instance", secs(4.0));
    high.expect("198.51.100.1 is no address of this host", secs(1.0));
    site.high.ip("address add 198.51.100.1/24 dev eth1");
    high.expect("(gw) Entering Up state", secs(5.0));
}

struct Line {
    lab: Lab,
    lan: Segment,
    ours: Host,
    theirs: Host,
    cable: Port,
}

impl Line {
    fn new(ipv6: bool) -> (Self, [&'static str; 2]) {
        let lab = Lab::new();
        let lan = lab.segment();
        let (ours, theirs) = (lab.host("ours"), lab.host("theirs"));
        let addresses = if ipv6 {
            ["2001:db8::1", "2001:db8::2"]
        } else {
            ["192.0.2.1", "192.0.2.2"]
        };
        let length = if ipv6 { 64 } else { 24 };
        let connect = |host, address| lab.connect(host, "eth0", &lan, &[&format!("{address}/{length}")]);
        let cable = connect(&ours, addresses[0]);
        connect(&theirs, addresses[1]);
        (
            Self {
                lab,
                lan,
                ours,
                theirs,
                cable,
            },
            addresses,
        )
    }

    /// Several detection times pass, and many packets.
    fn steady(&self) {
        let watch = self.lab.watch_port(&self.cable);
        wait_until("packets", secs(6.0), || {
            (watch.frames().len() >= 30).then_some(())
        });
    }
}

pub fn with_keepalived() {
    needs_keepalived();
    for (ipv6, passive) in [(false, false), (false, true), (true, false)] {
        eprintln!("ipv6: {ipv6}, passive: {passive}");
        let (line, [one, two]) = Line::new(ipv6);
        let more = if passive { " passive\n" } else { "" };
        line.ours.write("keepalived.conf", &session("b", one, two, more));
        line.theirs.write("keepalived.conf", &session("b", two, one, ""));
        let mut ours = Start::new(&line.ours, Which::Tested).spawn();
        let mut theirs = Start::new(&line.theirs, Which::Keepalived).spawn();
        for daemon in [&mut ours, &mut theirs] {
            daemon.expect("(b) Entering Up state", secs(8.0));
        }
        let agreed = "Detection time is 300000 us";
        wait_until("the agreed intervals", secs(4.0), || {
            (ours.count(agreed) > 0 && theirs.count(agreed) > 0).then_some(())
        });
        // Several detection times, in which nothing happens.
        line.steady();
        for daemon in [&ours, &theirs] {
            daemon.never("(b) Entering Down state");
        }
        theirs.crash();
        ours.expect("(b) Expired after 3", secs(2.0));
        let mut theirs = Start::new(&line.theirs, Which::Keepalived).spawn();
        for daemon in [&mut ours, &mut theirs] {
            daemon.expect("(b) Entering Up state", secs(8.0));
        }
        wait_until("the agreed intervals", secs(4.0), || {
            (theirs.count(agreed) > 0).then_some(())
        });
        ours.crash();
        theirs.expect("(b) Expired after 3", secs(2.0));
    }
}

pub fn with_frr() {
    if !Path::new(FRR).join("bfdd").exists() {
        crate::common::runner::skip("frr is not installed");
    }
    if crate::common::runner::unprivileged() {
        crate::common::runner::skip("FRR changes to a user of its own, which needs real root");
    }
    for (ipv6, multihop) in [(false, false), (true, false), (false, true)] {
        eprintln!("ipv6: {ipv6}, multihop: {multihop}");
        let (line, [one, two]) = Line::new(ipv6);
        let kind = match (ipv6, multihop) {
            (_, true) => format!("peer {one} multihop local-address {two}"),
            (true, _) => format!("peer {one} local-address {two}"),
            _ => format!("peer {one}"),
        };
        let text = format!(
            "bfd\n {kind}\n  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n  no shutdown\n \
             exit\nexit\n"
        );
        let (_zebra, mut frr) = crate::interop::start_frr(&line.theirs, "bfdd", &text);
        // The hop limit of IPv6 must be 255 for FRR.
        let more = if multihop { " multihop on\n" } else { "" };
        line.ours.write("keepalived.conf", &session("b", one, two, more));
        let mut ours = Start::new(&line.ours, Which::Tested).spawn();
        ours.expect("(b) Entering Up state", secs(10.0));
        ours.expect("Detection time is 300000 us", secs(5.0));
        line.steady();
        ours.never("(b) Entering Down state");
        frr.crash();
        ours.expect("(b) Expired after 3", secs(2.0));
    }
}

/// `ttl`, `hoplimit`, `max_hops`: what a session sends with, and what it takes.
pub fn packets_from_too_far_are_refused() {
    // Of a neighbour that sends with this, by a session with these lines.
    let cases = [
        ("near", "ttl 255", "", true),
        ("beyond", "ttl 250", "", false),
        ("far", "ttl 250", "max_hops 5", true),
        ("too_far", "ttl 249", "max_hops 5", false),
        ("any", "hoplimit 3", "max_hops -1", true),
        ("modest", "hoplimit 250", "ttl 240", true),
    ];
    let (line, _) = Line::new(false);
    let (mut ours, mut theirs) = (String::new(), String::new());
    for (number, (name, sends, takes, _)) in (10..).zip(cases) {
        let (one, two) = (format!("192.0.2.{number}"), format!("192.0.2.{}", number + 100));
        line.ours.ip(&format!("address add {one}/24 dev eth0"));
        line.theirs.ip(&format!("address add {two}/24 dev eth0"));
        ours += &session(name, &one, &two, &format!(" {takes}\n"));
        theirs += &session(name, &two, &one, &format!(" {sends}\n max_hops -1\n"));
    }
    line.ours.write("keepalived.conf", &ours);
    line.theirs.write("keepalived.conf", &theirs);
    let watch = line.lab.watch(&line.lan);
    let from = now_ns();
    let theirs = Start::new(&line.theirs, Which::Tested).spawn();
    let mut ours = Start::new(&line.ours, Which::Tested).spawn();
    ours.expect("Startup complete", secs(4.0));
    // Their TTLs.
    let sent = |last: u8| -> Vec<u8> {
        let frames = watch.frames().into_iter();
        let its = frames.filter(|f| f.at >= from && f.bytes.get(26..30) == Some(&[192, 0, 2, last]));
        its.filter(|f| f.bytes.get(23) == Some(&17) && f.bytes.get(36..38) == Some(&3784_u16.to_be_bytes()))
            .map(|f| f.bytes[22])
            .collect()
    };
    for (number, (name, sends, _, taken)) in (10..).zip(cases) {
        let up = format!("({name}) Entering Up state");
        if taken {
            wait_until(&up, secs(8.0), || (ours.count(&up) > 0).then_some(()));
        } else {
            wait_until("packets that are not taken", secs(8.0), || {
                (sent(number + 100).len() >= 4).then_some(())
            });
            ours.never(&up);
            theirs.never(&up);
        }
        let ttl = sends.rsplit(' ').next().and_then(|n| n.parse().ok());
        let with = sent(number + 100);
        assert!(with.iter().all(|t| Some(*t) == ttl), "{name}: {with:?}");
        let with = sent(number);
        let ttl = if name == "modest" { 240 } else { 255 };
        assert!(
            !with.is_empty() && with.iter().all(|t| *t == ttl),
            "{name}: {with:?}"
        );
    }
}

/// `idle_tx`: how long between two packets while the session is down, less up to a quarter of it; and none at all of one
/// that is `passive`.
pub fn it_sends_as_often_as_told_while_nobody_answers() {
    let (line, [one, two]) = Line::new(false);
    line.ours.ip("address add 192.0.2.11/24 dev eth0");
    line.ours.ip("address add 192.0.2.12/24 dev eth0");
    let text = session("often", one, two, "")
        + &session("passive", "192.0.2.12", two, " passive\n")
        + &session("seldom", "192.0.2.11", two, " idle_tx 2500\n");
    line.ours
        .write("keepalived.conf", &text.replace("neighbor_ip", "neighbour_ip"));
    let watch = line.lab.watch_port(&line.cable);
    let _ours = Start::new(&line.ours, Which::Tested).spawn();
    let sent = |last: u8| -> Vec<i64> {
        let frames = watch.frames().into_iter();
        let its = frames.filter(|f| f.bytes.get(23) == Some(&17));
        let its = its.filter(|f| f.bytes.get(26..30) == Some(&[192, 0, 2, last]));
        its.map(|f| f.at).collect()
    };
    for (last, interval) in [(1, 1.0), (11, 2.5)] {
        let times = wait_until("four packets", secs(20.0), || {
            let times = sent(last);
            (times.len() >= 4).then_some(times)
        });
        let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64 / 1e9).collect();
        let fits = |gap: &f64| (interval * 0.75 - 0.1..interval + 0.5).contains(gap);
        assert!(gaps.iter().all(fits), "{interval}: {gaps:?}");
    }
    assert!(sent(12).is_empty(), "passive");
}

/// `vrrp` and `checker`: who hears of a session.
pub fn a_session_is_for_whom_it_says() {
    for (whom, heard) in [(" vrrp\n", true), (" checker\n", false), ("", true)] {
        let site = Site::new();
        site.configure(&format!(" weight 20\n{whom}"), " track_bfd {\n gw\n }\n");
        let mut high = site.start(&site.high);
        let _gateway = site.start(&site.gateway);
        high.expect("(gw) Entering Up state", secs(8.0));
        high.expect("(VI_1) Entering MASTER STATE", secs(8.0));
        let changed = high.count("(VI_1) Changing effective priority from 150 to 170");
        assert_eq!(changed, usize::from(heard), "{whom:?}:\n{}", high.log_text());
    }
}

/// Spoofed, malformed and strange packets, a hundred thousand of them: the session stays, and the adverts go on.
pub fn hostile_packets_do_not_disturb() {
    ours_only("it stands more");
    let (line, [one, two]) = Line::new(false);
    let attacker = line.lab.host("attacker");
    line.lab.connect(&attacker, "eth0", &line.lan, &["192.0.2.66/24"]);
    let text =
        session("b", one, two, "") + &instance(150, " advert_int 0.1\n version 3\n track_bfd {\n b\n }\n");
    line.ours.write("keepalived.conf", &text);
    line.theirs.write("keepalived.conf", &session("b", two, one, ""));
    let mut theirs = Start::new(&line.theirs, Which::Tested).spawn();
    let mut ours = Start::new(&line.ours, Which::Tested).spawn();
    ours.expect("(b) Entering Up state", secs(8.0));
    ours.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    theirs.expect("(b) Entering Up state", secs(4.0));
    let watch = line.lab.watch(&line.lan);
    let begin = now_ns();
    watch.wait_nth("our adverts", begin, 5, secs(4.0), |s| s.is_advert_of(51, one));
    let mac = line.ours.mac("eth0");
    let forge = |source: &str, ttl: u8, body: &[u8]| {
        frame(
            mac,
            source.parse().expect("an address"),
            one.parse().expect("an address"),
            ttl,
            body,
        )
    };
    let down = |yours: u32, flags: u8, multiplier: u8| {
        let mut body = vec![0x20, flags, multiplier, 24, 0xde, 0xad, 0xbe, 0xef];
        body.extend(yours.to_be_bytes());
        body.extend([0, 0x0f, 0x42, 0x40, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0]);
        body
    };
    let frames = vec![
        // From beyond a router: down, admin down.
        forge(two, 254, &down(0, 0x40, 3)),
        forge(two, 1, &down(0, 0x00, 3)),
        // A discriminator that is not ours.
        forge(two, 255, &down(0x0102_0304, 0x40, 3)),
        forge(two, 255, &down(0x0102_0304, 0xe0, 3)),
        // Malformed.
        forge(two, 255, &down(0, 0x40, 0)),
        forge(two, 255, &down(0, 0xc4, 3)),
        forge(two, 255, &[0x20, 0x40, 3, 24, 1]),
        forge(two, 255, &[]),
        // Strangers.
        forge("192.0.2.66", 255, &down(0, 0x40, 3)),
        forge("192.0.2.67", 255, &vec![0xff; 1400]),
    ];
    attacker.space().run(move || {
        let socket = packet_socket("eth0");
        for _ in 0..1000 {
            for frame in frames.iter().cycle().take(100) {
                let _ = socket.send(frame);
            }
            thread::sleep(Duration::from_millis(2));
        }
    });
    let end = now_ns();
    ours.never("(b) Entering Down state");
    theirs.never("(b) Entering Down state");
    ours.never("(VI_1) Entering FAULT STATE");
    let gap = watch.longest_gap(51, one, begin, end);
    assert!(gap < Duration::from_millis(300), "{gap:?} without an advert");
    let log = ours
        .log_text()
        .lines()
        .filter(|line| line.contains("refused"))
        .count();
    assert!(log <= 1000, "{log} lines");
    theirs.crash();
    ours.expect("(b) Expired after 3", secs(2.0));
}

/// A UDP datagram to port 3784, without a checksum.
fn frame(mac: [u8; 6], source: Ipv4Addr, target: Ipv4Addr, ttl: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + body.len()).expect("a short body");
    let mut header = vec![0x45, 0];
    header.extend((20 + length).to_be_bytes());
    header.extend([0, 1, 0, 0, ttl, 17, 0, 0]);
    header.extend(source.octets());
    header.extend(target.octets());
    let sum: u32 = header
        .chunks(2)
        .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = mac.to_vec();
    frame.extend([2, 0, 0, 0, 0, 0x66, 0x08, 0x00]);
    frame.extend(header);
    frame.extend(50_000_u16.to_be_bytes());
    frame.extend(3784_u16.to_be_bytes());
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(body);
    frame
}
