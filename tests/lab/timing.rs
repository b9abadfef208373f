//! The keywords that say when: announcements, the down timer, answers to other masters, the start.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, ours_only};
use crate::common::observe::packet_socket;
use crate::common::packet::Forged;
use crate::common::{Host, Observer, Seen, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

const THEM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 66);
/// Packets of one burst follow each other faster than this, bursts do not.
const SAME_BURST: i64 = 300_000_000;

fn vip(vrid: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 100 + vrid)
}

/// An address owner, which is master as soon as it starts.
fn owner(vrid: u8, more: &str) -> String {
    let vip = vip(vrid).to_string();
    instance(&format!("VI_{vrid}"), vrid, 255, &[&vip], more)
}

/// Sends one advert of another router.
pub fn forge(from: &Host, forged: &Forged) -> i64 {
    send(from, &forged.frame())
}

/// Puts a frame on the wire, and says when.
pub fn send(from: &Host, frame: &[u8]) -> i64 {
    let socket = from.space().run(|| packet_socket("eth0"));
    let at = now_ns();
    socket.send(frame).expect("a frame on the wire");
    at
}

/// Gratuitous ARPs for an address as bursts: seconds since the first one, and packets.
fn bursts(watch: &Observer, from: i64, address: &str) -> Vec<(f64, usize)> {
    let mut list: Vec<(i64, i64, usize)> = Vec::new();
    for seen in watch.seen_since(from) {
        if !seen.is_gratuitous_arp(address) {
            continue;
        }
        match list.last_mut() {
            Some((_, last, count)) if seen.at - *last < SAME_BURST => (*last, *count) = (seen.at, *count + 1),
            _ => list.push((seen.at, seen.at, 1)),
        }
    }
    let first = list.first().map_or(0, |burst| burst.0);
    list.into_iter()
        .map(|(at, _, count)| ((at - first) as f64 / 1e9, count))
        .collect()
}

/// Bursts of these sizes at these seconds: never early, and late no more than a busy machine makes it.
#[track_caller]
fn expect_bursts(watch: &Observer, from: i64, vrid: u8, wanted: &[(f64, usize)]) {
    let found = bursts(watch, from, &vip(vrid).to_string());
    let fits = found.len() == wanted.len()
        && found
            .iter()
            .zip(wanted)
            .all(|(f, w)| f.1 == w.1 && f.0 > w.0 - 0.05 && f.0 < w.0 + 0.6);
    assert!(fits, "VRID {vrid}: bursts {found:?}, expected {wanted:?}");
}

/// Bursts at the start, later, on and on, and after an advert of lower priority: by the file's globals, or by the
/// instance's own words.
pub fn announcements() {
    let single = Single::new(
        &("global_defs {\n    vrrp_garp_master_delay 1\n    vrrp_garp_master_repeat 2\n    \
           vrrp_garp_lower_prio_repeat 3\n    vrrp_garp_lower_prio_delay 1\n}\n"
            .to_owned()
            + &owner(1, "advert_int 2")
            + &owner(
                2,
                "advert_int 2\n    garp_master_delay 2\n    garp_master_repeat 4\n    garp_lower_prio_repeat 1\n    \
                 garp_lower_prio_delay 2\n    lower_prio_no_advert",
            )
            + &owner(
                3,
                "garp_master_delay 0\n    garp_master_refresh 1\n    garp_master_refresh_repeat 3",
            )),
    );
    let globals = |more: &str, instances: &str| format!("global_defs {{\n    {more}\n}}\n{instances}");
    let two = single.peer(
        "two",
        2,
        &globals(
            "vrrp_garp_master_delay 0\n    vrrp_garp_master_repeat 1\n    vrrp_garp_master_refresh 1\n    \
             vrrp_garp_master_refresh_repeat 2\n    vrrp_lower_prio_no_advert",
            &owner(4, "advert_int 2"),
        ),
    );
    let three = single.peer("three", 3, &globals("vrrp_min_garp", &owner(5, "advert_int 2")));
    let them = single.peer("them", 66, "");
    let begin = now_ns();
    let mut daemons = [single.start(), start(&two), start(&three)];
    for (daemon, vrid) in daemons.iter_mut().zip([3, 4, 5]) {
        daemon.expect(&format!("(VI_{vrid}) Entering MASTER STATE"), secs(4.0));
    }
    let ours: Vec<Seen> = (1..=5)
        .map(|vrid| {
            let vip = vip(vrid).to_string();
            single
                .watch
                .wait("its first ARP", begin, secs(2.0), |s| s.is_gratuitous_arp(&vip))
        })
        .collect();
    let third = single
        .watch
        .wait_nth("the third refresh", begin, 2 + 9, secs(6.0), |s| {
            s.is_gratuitous_arp(&vip(3).to_string())
        });
    assert!(third.at - ours[0].at > 2_500_000_000);
    expect_bursts(&single.watch, begin, 1, &[(0.0, 2), (1.0, 2)]);
    expect_bursts(&single.watch, begin, 2, &[(0.0, 4), (2.0, 4)]);
    let refreshed = bursts(&single.watch, begin, &vip(3).to_string());
    assert_eq!((refreshed[0].1, refreshed[1].1, refreshed[2].1), (2, 3, 3));
    assert!((refreshed[2].0 - 2.0).abs() < 0.3, "{refreshed:?}");
    single
        .watch
        .wait_nth("the second refresh", begin, 1 + 4, secs(4.0), |s| {
            s.is_gratuitous_arp(&vip(4).to_string())
        });
    let refreshed = bursts(&single.watch, begin, &vip(4).to_string());
    assert_eq!((refreshed[0].1, refreshed[1].1, refreshed[2].1), (1, 2, 2));
    expect_bursts(&single.watch, begin, 5, &[(0.0, 1)]);

    // Adverts of lower priority, in the middle of an interval of 2 s.
    for vrid in [1, 2, 4] {
        let from = now_ns();
        single
            .watch
            .wait("the next advert", from, secs(5.0), |s| s.is_advert(vrid));
        let at = forge(
            &them,
            &Forged {
                interval: 2,
                ..Forged::new(THEM, vrid, 50, vip(vrid))
            },
        );
        if vrid == 1 {
            // It is answered, with an advert and with ARPs, which come once more.
            let answer = single.watch.wait("the answer", at, secs(2.0), |s| {
                s.is_advert(vrid) && s.source() != "192.0.2.66"
            });
            assert!(answer.at - at < 1_000_000_000);
            single.watch.wait_nth("both bursts", at, 6, secs(3.0), |s| {
                s.is_gratuitous_arp(&vip(vrid).to_string())
            });
            expect_bursts(&single.watch, at, vrid, &[(0.0, 3), (1.0, 3)]);
        } else {
            // lower_prio_no_advert: ARPs only.
            single.watch.wait("the ARP", at, secs(2.0), |s| {
                s.is_gratuitous_arp(&vip(vrid).to_string())
            });
            let answered = single
                .watch
                .seen_since(at)
                .iter()
                .filter(|s| s.is_advert(vrid) && s.source() != "192.0.2.66")
                .count();
            assert_eq!(answered, 0, "VRID {vrid}");
        }
        if vrid == 2 {
            single.watch.wait_nth("the second one", at, 2, secs(4.0), |s| {
                s.is_gratuitous_arp(&vip(vrid).to_string())
            });
            expect_bursts(&single.watch, at, vrid, &[(0.0, 1), (2.0, 1)]);
        }
    }
    assert_eq!(daemons[0].count("Entering"), 3, "{}", daemons[0].log_text());
}

/// Distances between the packets of an interface, of one in a `garp_group` of its own, and of two that share one.
pub fn paces() {
    ours_only("it sends two packets of five");
    let on = |interface: &str, vrid: u8, vips: &[&str]| {
        instance(
            &format!("VI_{vrid}"),
            vrid,
            255,
            vips,
            "garp_master_delay 0\n    garp_master_repeat 3",
        )
        .replace("interface eth0", &format!("interface {interface}"))
    };
    let configuration = "global_defs {\n    vrrp_garp_interval 0.06\n    vrrp_gna_interval 0.12\n}\n\
        garp_group {\n    garp_interval 0.15\n    interface eth1\n}\n\
        garp_group {\n    garp_interval 0.09\n    gna_interval 0.2\n    interfaces {\n        eth2\n        eth3\n    }\n}\n"
        .to_owned()
        + &on("eth0", 1, &["192.0.2.101", "192.0.2.102"])
        + &on("eth0", 6, &["fe80::100", "2001:db8::106"]).replace("priority", "version 3\n    priority")
        + &on("eth1", 2, &["192.0.2.111", "192.0.2.112"])
        + &on("eth2", 3, &["192.0.2.121", "192.0.2.122"])
        + &on("eth3", 4, &["192.0.2.131", "192.0.2.132"])
        + &on("eth3", 7, &["fe80::107", "2001:db8::107"]).replace("priority", "version 3\n    priority");
    let single = Single::new(&configuration);
    for (interface, last) in [("eth1", 11), ("eth2", 12), ("eth3", 13)] {
        single.lab.connect(
            &single.host,
            interface,
            &single.segment,
            &[&format!("192.0.2.{last}/24")],
        );
    }
    single.host.link_local("eth0");
    single.host.link_local("eth3");
    let mut daemon = single.start();
    let begin = now_ns();
    for (what, addresses, distance) in [
        ("vrrp_garp_interval", &["192.0.2.101", "192.0.2.102"][..], 0.06),
        ("garp_interval of eth1", &["192.0.2.111", "192.0.2.112"], 0.15),
        (
            "garp_interval of eth2 and eth3",
            &["192.0.2.121", "192.0.2.122", "192.0.2.131", "192.0.2.132"],
            0.09,
        ),
        ("vrrp_gna_interval", &["fe80::100", "2001:db8::106"], 0.12),
        (
            "gna_interval of eth2 and eth3",
            &["fe80::107", "2001:db8::107"],
            0.2,
        ),
    ] {
        let about = |s: &Seen| {
            addresses
                .iter()
                .any(|a| s.is_gratuitous_arp(a) || s.is_neighbour_advert(a))
        };
        let all = 3 * addresses.len();
        single.watch.wait_nth(what, begin, all, secs(8.0), about);
        let times: Vec<i64> = single
            .watch
            .seen_since(begin)
            .into_iter()
            .filter(about)
            .map(|s| s.at)
            .collect();
        assert_eq!(times.len(), all, "{what}: every packet is sent once");
        let shortest = times.windows(2).map(|w| w[1] - w[0]).min().unwrap_or(0) as f64 / 1e9;
        let whole = (times[all - 1] - times[0]) as f64 / 1e9;
        // A packet that was late itself comes nearer to the next one.
        assert!(
            shortest > distance * 0.5 && whole > distance * (all as f64 - 1.5),
            "{what}: {shortest:.3} s at least, {whole:.3} s in all"
        );
        assert!(
            whole < distance * (all as f64 + 4.0),
            "{what}: {whole:.3} s in all"
        );
    }
    daemon.expect("Entering MASTER STATE", secs(1.0));
}

/// How long a backup waits, and whether a master that is beaten says so first.
pub fn beaten_masters_wait_as_long_as_they_are_told() {
    let one = |vrid: u8, more: &str| {
        let vip = vip(vrid).to_string();
        let more = format!("version 3\n    advert_int 0.2\n    {more}");
        instance(&format!("VI_{vrid}"), vrid, 100, &[&vip], &more)
    };
    let single = Single::new(
        &("global_defs {\n    vrrp_down_timer_adverts 5\n    vrrp_higher_prio_send_advert\n}\n".to_owned()
            + &one(1, "")
            + &one(2, "down_timer_adverts 2\n    higher_prio_send_advert off")),
    );
    let them = single.peer("them", 66, "");
    let mut daemon = single.start();
    for (vrid, adverts, last_word) in [(1, 5.0, true), (2, 2.0, false)] {
        let begin = now_ns();
        single
            .watch
            .wait("it as master", begin, secs(5.0), |s| s.is_advert(vrid));
        let entered = format!("(VI_{vrid}) Entering MASTER STATE");
        wait_until(&entered, secs(2.0), || (daemon.count(&entered) > 0).then_some(()));
        daemon.skip_log();
        let forged = Forged::new(THEM, vrid, 200, vip(vrid)).version_3(20);
        forge(&them, &forged);
        let beaten = single.watch.wait("the other master", begin, secs(1.0), |s| {
            s.is_advert_of(vrid, "192.0.2.66")
        });
        daemon.expect(&format!("(VI_{vrid}) Entering BACKUP STATE"), secs(2.0));
        daemon.expect(&entered, secs(5.0));
        single
            .watch
            .wait_nth("it as master again", beaten.at, 2, secs(2.0), |s| {
                s.is_advert_of(vrid, "192.0.2.1")
            });
        // What it sent as master before it heard the other one is not meant.
        let ours: Vec<i64> = single
            .watch
            .seen_since(beaten.at)
            .into_iter()
            .filter(|s| s.is_advert_of(vrid, "192.0.2.1"))
            .map(|s| s.at - beaten.at)
            .collect();
        let wait = adverts * 0.2 + 156.0 / 256.0 * 0.2;
        let first = ours.iter().position(|at| *at as f64 / 1e9 >= wait * 0.5);
        let first = first.expect("an advert of the new master");
        assert_eq!(first, usize::from(last_word), "VRID {vrid}: {ours:?}");
        let waited = ours[first] as f64 / 1e9;
        assert!(
            waited > wait - 0.005 && waited < wait + 0.35,
            "VRID {vrid} waited {waited:.3} s, not {wait:.3}"
        );
    }
}

/// Stopped for longer than a backup waits: with `timer_expired_backup` it gives way, without it goes on.
pub fn a_master_that_was_stopped_gives_way_when_told_so() {
    ours_only("its processes are stopped one by one");
    let one = |vrid: u8, more: &str| {
        let vip = vip(vrid).to_string();
        let more = format!("version 3\n    advert_int 0.2\n    nopreempt\n    {more}");
        instance(&format!("VI_{vrid}"), vrid, 100, &[&vip], &more)
    };
    let single =
        Single::new(&(one(1, "timer_expired_backup 150") + &one(2, "thread_timer_expired") + &one(3, "")));
    let mut daemon = single.start();
    for vrid in 1..=3 {
        let line = format!("(VI_{vrid}) Entering MASTER STATE");
        wait_until(&line, secs(5.0), || (daemon.count(&line) > 0).then_some(()));
    }
    single
        .host
        .wait_address("eth0", &format!("{}/32", vip(3)), true, secs(2.0));
    daemon.skip_log();
    daemon.signal(Signal::SIGSTOP);
    // Nothing can be waited for while it is stopped: three intervals and a skew time, twice.
    std::thread::sleep(secs(1.5));
    let woken = now_ns();
    daemon.signal(Signal::SIGCONT);
    for vrid in [1, 2] {
        daemon.expect("VRRP thread timer expired", secs(2.0));
        let line = format!("(VI_{vrid}) Entering BACKUP STATE");
        wait_until(&line, secs(2.0), || (daemon.count(&line) > 1).then_some(()));
    }
    single
        .watch
        .wait_nth("the third one goes on", woken, 2, secs(2.0), |s| s.is_advert(3));
    assert_eq!(daemon.count("(VI_3) Entering BACKUP STATE"), 1);
    let last_words = single.watch.seen_since(woken);
    let last_words = last_words
        .iter()
        .filter(|s| s.advert().is_some_and(|a| a.priority == 0));
    assert_eq!(last_words.count(), 0, "it gives way in silence");
    for vrid in [1, 2] {
        let again = format!("(VI_{vrid}) Entering MASTER STATE");
        wait_until(&again, secs(4.0), || (daemon.count(&again) > 1).then_some(()));
    }
}

/// Two address owners: the one with the higher address insists, waits, and then is no owner until the other is gone.
pub fn another_address_owner() {
    ours_only("2.2.7 leaves two owners alone");
    let them = Ipv4Addr::new(192, 0, 1, 66);
    let single = Single::new(&instance(
        "VI_1",
        51,
        255,
        &["192.0.2.100"],
        "version 3\n    advert_int 0.2",
    ));
    let peer = single.peer("them", 66, "");
    let mut daemon = single.start();
    let begin = now_ns();
    single
        .watch
        .wait_nth("it as owner", begin, 2, secs(5.0), |s| s.is_advert(51));
    let forged = Forged::new(them, 51, 255, Ipv4Addr::new(192, 0, 2, 100)).version_3(20);
    let first = forge(&peer, &forged);
    single
        .watch
        .wait_nth("two more adverts at once", first, 2, secs(1.0), |s| {
            s.advert().is_some_and(|a| a.vrid == 51 && a.priority == 255) && s.source() == "192.0.2.1"
        });
    // It goes on until ours is not an owner's any more.
    for _ in 0..20 {
        forge(&peer, &forged);
        std::thread::sleep(secs(0.05)); // the other owner's pace
    }
    for line in [
        "192.0.1.66 are both configured as address owner, please resolve",
        "192.0.1.66 is still advertising as address owner, please resolve - reducing our priority",
        "(VI_1) Entering BACKUP STATE",
    ] {
        daemon.expect(line, secs(3.0));
    }
    // Nothing more is heard of the other: it takes over, as the owner that it is.
    let silent = now_ns();
    daemon.expect("Restoring our priority to 255 since", secs(3.0));
    daemon.expect("(VI_1) Entering MASTER STATE", secs(4.0));
    single.watch.wait("the owner again", silent, secs(3.0), |s| {
        s.advert().is_some_and(|a| a.vrid == 51 && a.priority == 255) && s.source() == "192.0.2.1"
    });
}

/// Nothing is sent before `vrrp_startup_delay` is over, nor before `vrrp_delay_after_boot` is; a reload moves the end.
pub fn startup_delays() {
    ours_only("a reload ends its delay");
    let with = |global: &str| format!("global_defs {{\n    {global}\n}}\n{}", owner(1, ""));
    let single = Single::new(&with("vrrp_startup_delay 1"));
    let mut daemon = single.start();
    let log = daemon.expect("Delaying startup for 1 seconds", secs(3.0));
    daemon.expect("Startup complete", secs(3.0));
    single
        .host
        .write("keepalived.conf", &with("vrrp_startup_delay 2"));
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Delaying startup for a further ", secs(1.0));
    let end = daemon.expect("Delayed start completed", secs(4.0));
    let first = single
        .watch
        .wait("its first advert", log.at, secs(3.0), |s| s.is_advert(1));
    let held = |from: i64| (first.at - from) as f64 / 1e9;
    assert!((1.95..3.0).contains(&held(log.at)), "after {:.3} s", held(log.at));
    assert!((end.at - log.at) as f64 / 1e9 > 1.95);
    // Lines from before the start, in their order.
    let text = daemon.log_text();
    let at = |what: &str| {
        text.find(what)
            .unwrap_or_else(|| panic!("no {what:?} in\n{text}"))
    };
    assert!(at("(VI_1) removing VIPs.") < at("Startup complete"));
    // Over is over.
    single
        .host
        .write("keepalived.conf", &with("vrrp_startup_delay 60"));
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(3.0));
    let from = now_ns();
    single
        .watch
        .wait("adverts as before", from, secs(2.5), |s| s.is_advert(1));
    daemon.stop();

    // The time since the boot is told by a time namespace.
    let uptime = std::fs::read_to_string("/proc/uptime").expect("the uptime");
    let uptime = uptime
        .split(['.', ' '])
        .next()
        .and_then(|text| text.parse::<i64>().ok());
    let younger = format!("--boottime={}", 100 - uptime.expect("seconds"));
    single
        .host
        .write("keepalived.conf", &with("vrrp_delay_after_boot 103"));
    let program = Which::Tested.path();
    let begin = now_ns();
    let _daemon = Start::bare(&single.host, "unshare")
        .args(&["-T", "-f", "--kill-child", &younger])
        .args(&[program.to_str().expect("a plain path"), "-n", "-l", "-D", "-G"])
        .spawn();
    let first = single
        .watch
        .wait("its first advert", begin, secs(6.0), |s| s.is_advert(1));
    let after = (first.at - begin) as f64 / 1e9;
    assert!((1.9..4.0).contains(&after), "after {after:.3} s");
}
