//! Packets that no honest neighbour sends, a few and very many: each kind is counted and logged once, nothing
//! changes, and the adverts of the master stay on time.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::daemon::ours_only;
use crate::common::observe::packet_socket;
use crate::common::packet::{Forged, ethernet_ipv4};
use crate::common::{Host, now_ns, secs, wait_until};
use crate::pair::{Single, instance};

const VRID: u8 = 51;
const US: &str = "192.0.2.1";
const THEM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 66);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

/// A kind of bad packet: the frame, the line that it draws, and the counter that it moves.
struct Bad {
    frame: Vec<u8>,
    line: &'static str,
    counter: &'static str,
}

/// Every kind, as seen by an instance of version 2 with the password `s3cret12`.
fn kinds() -> Vec<Bad> {
    let good = || Forged::new(THEM, VRID, 50, VIP).password("s3cret12");
    let bad = |forged: Forged, line, counter| Bad {
        frame: forged.frame(),
        line,
        counter,
    };
    vec![
        bad(
            Forged { ttl: 100, ..good() },
            "invalid TTL/HL from 192.0.2.66. Received 100 and expect 255",
            "    TTL:",
        ),
        bad(
            Forged {
                extra: 1300,
                ..good()
            },
            "vrrp packet from 192.0.2.66 too long",
            "    Length:",
        ),
        bad(Forged { cut: 12, ..good() }, "", "    Length:"),
        bad(
            Forged {
                wrong_checksum: true,
                ..good()
            },
            "Invalid VRRPv2 checksum from 192.0.2.66",
            "",
        ),
        bad(
            Forged { kind: 2, ..good() },
            "Invalid packet type from 192.0.2.66. 2 and expect 1",
            "    Invalid Type:",
        ),
        bad(
            Forged {
                interval: 3,
                ..good()
            },
            "advertisement interval mismatch with 192.0.2.66",
            "",
        ),
        bad(
            good().password("wrong"),
            "received an invalid passwd from 192.0.2.66!",
            "    Failure:",
        ),
        bad(
            Forged {
                auth_type: 0,
                ..good()
            },
            "received a 0 auth from 192.0.2.66, expecting 1!",
            "    Type Mismatch:",
        ),
        bad(
            Forged {
                auth_type: 9,
                ..good()
            },
            "Invalid auth type from 192.0.2.66: 9",
            "",
        ),
        bad(
            Forged {
                version: 3,
                cut: 8,
                ..good()
            },
            "",
            "",
        ),
        bad(Forged { vrid: 99, ..good() }, "", ""),
        bad(
            Forged {
                count: Some(200),
                ..good()
            },
            "",
            "",
        ),
        Bad {
            frame: ethernet_ipv4(
                [2, 0, 0, 0, 0, 0x66],
                THEM,
                Ipv4Addr::new(224, 0, 0, 18),
                255,
                &[],
            ),
            line: "",
            counter: "",
        },
        Bad {
            frame: ethernet_ipv4(
                [2, 0, 0, 0, 0, 0x66],
                THEM,
                Ipv4Addr::new(224, 0, 0, 18),
                255,
                &[0x21, VRID, 9],
            ),
            line: "",
            counter: "",
        },
        Bad {
            frame: ethernet_ipv4(
                [2, 0, 0, 0, 0, 0x66],
                THEM,
                Ipv4Addr::new(224, 0, 0, 18),
                255,
                &noise(),
            ),
            line: "",
            counter: "",
        },
    ]
}

/// Bytes of no meaning, the same every time.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    (0..333).map(byte).collect()
}

/// Sends frames in turn, so many a second, until it goes.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Flood {
    fn start(from: &Host, frames: Vec<Vec<u8>>, rate: f64) -> Self {
        let socket = from.space().run(|| packet_socket("eth0"));
        // It only sends: what it hears is thrown away.
        let _ = socket.set_recv_buffer_size(2048);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let began = Instant::now();
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                let due = (began.elapsed().as_secs_f64() * rate) as usize + 1;
                while sent < due {
                    let _ = socket.send(&frames[sent % frames.len()]);
                    sent += 1;
                }
                // Paced by the clock: there is no event to wait for.
                thread::sleep(Duration::from_millis(1));
            }
            sent
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn finish(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .expect("the sending thread")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub fn a_few_bad_packets() {
    flooded(1.25, 15.0);
}

pub fn very_many_bad_packets() {
    flooded(50_000.0, 5.0);
}

fn flooded(rate: f64, seconds: f64) {
    ours_only("it is silent as long as bad packets come");
    let authentication = "authentication {\n        auth_type PASS\n        auth_pass s3cret12\n    }";
    let single = Single::new(&instance("VI_1", VRID, 100, &["192.0.2.100/24"], authentication));
    let attacker = single.peer("attacker", 66, "");
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    // Past the second burst of ARP, then as long without as with: what the machine itself does to the times.
    let quiet_from = now_ns();
    let adverts = (seconds.ceil() as usize).max(6);
    single
        .watch
        .wait_nth("quiet adverts", quiet_from, adverts, secs(seconds + 8.0), |s| {
            s.is_advert_of(VRID, US)
        });
    let quiet = single.watch.longest_gap(VRID, US, quiet_from, 0);

    let kinds = kinds();
    let from = now_ns();
    let flood = Flood::start(
        &attacker,
        kinds.iter().map(|bad| bad.frame.clone()).collect(),
        rate,
    );
    thread::sleep(secs(seconds)); // the length of the attack
    let sent = flood.finish();
    let until = now_ns();
    let gap = single.watch.longest_gap(VRID, US, from, until);
    eprintln!("{sent} bad packets in {seconds} s: longest gap {gap:?}, without them {quiet:?}");
    assert!(
        sent as f64 > rate * seconds / 2.0,
        "the sender did not keep its rate: {sent}"
    );
    assert!(
        gap <= secs(1.5).max(quiet.mul_f64(1.5)),
        "an advert was late: {gap:?}, without bad packets {quiet:?}"
    );

    assert_eq!(
        daemon.count("Entering"),
        2,
        "a state changed:\n{}",
        daemon.log_text()
    );
    for bad in &kinds {
        if !bad.line.is_empty() {
            assert_eq!(
                daemon.count(bad.line),
                1,
                "{:?} is logged once:\n{}",
                bad.line,
                daemon.log_text()
            );
        }
    }
    daemon.signal(Signal::SIGUSR2);
    let stats = wait_until("statistics", secs(3.0), || {
        let text = std::fs::read_to_string(single.host.tmp().join("keepalived.stats")).ok()?;
        text.contains("  Priority Zero:").then_some(text)
    });
    for bad in kinds.iter().filter(|bad| !bad.counter.is_empty()) {
        let value = stats
            .lines()
            .find_map(|line| line.strip_prefix(bad.counter)?.trim().parse::<usize>().ok());
        assert!(
            value.is_some_and(|n| n > 0),
            "{} is {value:?} after {:?}:\n{stats}",
            bad.counter,
            bad.line
        );
    }
}

/// A log that nobody reads: lines are lost, adverts are not.
pub fn dead_log_sink_costs_no_advert() {
    ours_only("it writes to its log from the thread that sends adverts");
    let single = Single::new(&instance("VI_1", VRID, 100, &["192.0.2.100/24"], ""));
    let attacker = single.peer("attacker", 66, "");
    let mut daemon = crate::common::daemon::Start::new(&single.host, crate::common::Which::Tested)
        .log_unread()
        .spawn();
    let begin = now_ns();
    single
        .watch
        .wait_nth("it as master", begin, 2, secs(8.0), |s| s.is_advert_of(VRID, US));
    // The pipe holds a page, which is full since the start; lower adverts draw some lines more.
    let lower = Forged::new(THEM, VRID, 50, VIP).frame();
    let flood = Flood::start(&attacker, vec![lower], 2000.0);
    thread::sleep(secs(3.0)); // the length of the attack
    assert!(flood.finish() > 2000);
    let from = now_ns();
    single.watch.wait_nth("adverts on time", from, 4, secs(8.0), |s| {
        s.is_advert_of(VRID, US)
    });
    let gap = single.watch.longest_gap(VRID, US, from, 0);
    assert!(gap <= secs(1.5), "an advert was late: {gap:?}");
    assert!(daemon.running());
    // What the pipe did not take is counted, and told as soon as somebody reads again.
    daemon.read_log();
    daemon.expect("log lines lost: the log did not take them in time", secs(3.0));
    assert_eq!(daemon.stop(), Some(0));
}
