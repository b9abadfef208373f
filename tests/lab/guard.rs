//! A daemon that is killed: its guard says goodbye for it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::daemon::{Start, ours_only};
use crate::common::{Daemon, Host, Seen, Which, now_ns, secs, wait_until};
use crate::pair::{Single, instance, start};

const WHY: &str = "keepalived has no guard";
const VIP: &str = "192.0.2.100/24";
const ONE: &str = "192.0.2.1";
const TWO: &str = "192.0.2.2";

/// Seconds at the default interval: what a backup of priority 100 waits after priority 0, and without it.
const SKEW: f64 = 156.0 / 256.0;
const MASTER_DOWN: f64 = 3.0 + SKEW;

/// The process that guards this daemon.
fn guard(daemon: &Daemon) -> Option<Pid> {
    let comm = |pid: &Pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    daemon
        .family()
        .into_iter()
        .find(|pid| comm(pid).trim() == "vrrp-guard")
}

fn wait_guard(daemon: &Daemon, other_than: Option<Pid>) -> Pid {
    wait_until("a guard", secs(5.0), || {
        guard(daemon).filter(|pid| Some(*pid) != other_than)
    })
}

fn wait_gone(pid: Pid) {
    wait_until("the guard's end", secs(5.0), || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let dead = stat.is_none_or(|stat| stat.contains(") Z "));
        dead.then_some(())
    });
}

/// Ten instances: without authentication, with each kind of it, to peers, and of version 3.
fn ten(priority: u8, own: &str, peer: &str, globals: &str) -> String {
    let unicast = format!("unicast_src_ip {own}\n unicast_peer {{\n {peer}\n }}\n");
    let ah = "authentication {\n auth_type AH\n auth_pass secret\n }\n";
    let hmac = "version 3\n auth_hmac {\n key 1 0123456789abcdef0123456789abcdef\n active_key 1\n }\n";
    let kinds = [
        String::new(),
        "authentication {\n auth_type PASS\n auth_pass secret\n }\n".to_owned(),
        ah.to_owned(),
        hmac.to_owned(),
        "version 3\n".to_owned(),
        unicast.clone(),
        format!("{unicast} {ah}"),
        format!("{hmac} {unicast}"),
        "use_vmac\n".to_owned(),
    ];
    let more = kinds.into_iter().enumerate().map(|(n, kind)| {
        let vips = [
            format!("198.51.100.{}/32", n + 1),
            format!("198.51.100.{}/32", n + 101),
        ];
        let vips: Vec<&str> = vips.iter().map(String::as_str).collect();
        instance(&format!("VI_{n}"), 51 + n as u8, priority, &vips, &kind)
    });
    let text: String = more.collect();
    let six = "vrrp_instance VI_IPV6 {\n interface eth0\n virtual_router_id 60\n";
    format!(
        "global_defs {{\n{globals}\n}}\n{text}{six} priority {priority}\n virtual_ipaddress {{\n fe80::60/64\n \
         2001:db8::60/64\n }}\n}}\n"
    )
}

const VRIDS: std::ops::RangeInclusive<u8> = 51..=60;

fn virtual_addresses(host: &Host) -> usize {
    let all: serde_json::Value = serde_json::from_str(&host.ip("-j addr show")).expect("addresses as JSON");
    let links = all.as_array().expect("links").iter();
    let addresses = links.flat_map(|link| link["addr_info"].as_array().into_iter().flatten());
    addresses
        .filter_map(|address| address["local"].as_str())
        .filter(|local| local.starts_with("198.51.100.") || local.ends_with("::60"))
        .count()
}

/// Of one virtual router: the last advert of host one, its priority 0, and the first advert of host two.
struct Takeover {
    last: Option<i64>,
    zero: Option<i64>,
    taken: i64,
}

fn takeover(single: &Single, vrid: u8, killed: i64) -> Takeover {
    let from_two = |seen: &Seen| {
        let advert = seen
            .advert()
            .filter(|advert| advert.vrid == vrid && advert.priority == 100);
        advert.is_some()
    };
    let taken = single
        .watch
        .wait("the other's advert", killed, secs(MASTER_DOWN + 5.0), from_two)
        .at;
    let seen = single.watch.seen_since(0);
    let of_one = |zero: bool| {
        let adverts = seen.iter().filter(|seen| seen.at < taken);
        let adverts = adverts.filter(|seen| {
            seen.advert()
                .is_some_and(|advert| advert.vrid == vrid && advert.priority == if zero { 0 } else { 255 })
        });
        adverts.map(|seen| seen.at).next_back()
    };
    Takeover {
        last: of_one(false),
        zero: of_one(true).filter(|at| *at > killed),
        taken,
    }
}

fn seconds(from: i64, to: i64) -> f64 {
    (to - from) as f64 / 1e9
}

/// Ten instances, SIGKILL: the peer waits for the skew time and has them all, whatever they are signed with, and no
/// address is left. Without the guard it waits for the master down interval, and the addresses stay.
pub fn killed_master_costs_the_skew_time() {
    ours_only(WHY);
    let single = Single::new(&ten(255, ONE, TWO, ""));
    let peer = single.peer("two", 2, &ten(100, TWO, ONE, ""));
    let mut backup = start(&peer);
    backup.expect("Startup complete", secs(5.0));
    for with in [true, false] {
        if !with {
            single
                .host
                .write("keepalived.conf", &ten(255, ONE, TWO, "rs_guard off"));
        }
        let begun = now_ns();
        let mut master = single.start();
        for vrid in VRIDS {
            single.watch.wait_nth("its adverts", begun, 2, secs(8.0), |seen| {
                seen.advert()
                    .is_some_and(|advert| advert.vrid == vrid && advert.priority == 255)
            });
        }
        wait_until("all addresses", secs(5.0), || {
            (virtual_addresses(&single.host) == 20).then_some(())
        });
        assert_eq!(guard(&master).is_some(), with);
        let killed = now_ns();
        master.signal(Signal::SIGKILL);
        master.wait_exit(secs(5.0));
        for vrid in VRIDS {
            let Takeover { last, zero, taken } = takeover(&single, vrid, killed);
            let last = last.expect("adverts of the master");
            // The peer counts from what it has heard, never less than the protocol says.
            if with {
                let zero = zero.unwrap_or_else(|| panic!("no priority 0 of {vrid}"));
                assert!(
                    seconds(zero, taken) > SKEW - 0.01,
                    "{vrid}: {}",
                    seconds(zero, taken)
                );
                assert!(
                    seconds(last, taken) < MASTER_DOWN,
                    "{vrid}: {}",
                    seconds(last, taken)
                );
            } else {
                assert_eq!(zero, None, "{vrid}");
                assert!(
                    seconds(last, taken) > MASTER_DOWN - 0.01,
                    "{vrid}: {}",
                    seconds(last, taken)
                );
            }
        }
        if with {
            wait_until("no address", secs(3.0), || {
                (virtual_addresses(&single.host) == 0).then_some(())
            });
            master.expect("removed 20 addresses, routes and rules", secs(2.0));
            master.logged("died without saying goodbye: sent 10 adverts of priority 0");
            backup.never("invalid");
            backup.never("replay");
        } else {
            assert_eq!(virtual_addresses(&single.host), 20, "nobody removes them");
        }
    }
}

/// The guard is killed: it is said, and made again, and knows everything again, also what a reload has changed. It
/// ignores SIGTERM. At an orderly stop it ends and says nothing.
pub fn it_is_made_again_and_hears_of_reloads() {
    ours_only(WHY);
    let single = Single::new(&instance("VI_1", 51, 255, &[VIP], ""));
    let mut daemon = single.start();
    single.host.wait_address("eth0", VIP, true, secs(6.0));
    let first = wait_guard(&daemon, None);
    kill(first, Signal::SIGKILL).expect("it runs");
    daemon.expect(
        "The guard ended (signal: 9 (SIGKILL)) - starting it again",
        secs(3.0),
    );
    let second = wait_guard(&daemon, Some(first));

    let more = "192.0.2.101/24";
    single
        .host
        .write("keepalived.conf", &instance("VI_1", 51, 255, &[VIP, more], ""));
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
    single.host.wait_address("eth0", more, true, secs(3.0));
    // An advert with the new address, and one more: by then everybody knows it.
    single.watch.wait_nth("adverts", now_ns(), 2, secs(4.0), |seen| {
        seen.advert().is_some_and(|advert| advert.addresses == 2)
    });
    kill(second, Signal::SIGTERM).expect("it runs");
    let died = now_ns();
    daemon.signal(Signal::SIGABRT);
    daemon.wait_exit(secs(5.0));
    let zero = single.watch.wait("priority 0", died, secs(3.0), |seen| {
        seen.advert().is_some_and(|advert| advert.priority == 0)
    });
    assert_eq!(zero.advert().map(|advert| advert.addresses), Some(2));
    for vip in [VIP, more] {
        single.host.wait_address("eth0", vip, false, secs(3.0));
    }
    wait_gone(second);

    let mut daemon = single.start();
    single.host.wait_address("eth0", VIP, true, secs(6.0));
    let third = wait_guard(&daemon, None);
    let stopped = now_ns();
    assert_eq!(daemon.stop(), Some(0));
    wait_gone(third);
    daemon.never("The guard ended");
    daemon.never("without saying goodbye");
    let zeros = single.watch.seen_since(stopped);
    let zeros = zeros
        .iter()
        .filter(|seen| seen.advert().is_some_and(|a| a.priority == 0));
    assert_eq!(zeros.count(), 1);
}

/// A daemon that is started while the guard of the one before still has work waits for it, so that nothing that it
/// sets is taken away.
pub fn the_next_daemon_waits_for_it() {
    ours_only(WHY);
    let single = Single::new(&instance("VI_1", 51, 255, &[VIP], ""));
    // Who has the name is the guard, for whoever waits.
    let busy = single.host.space().run(|| {
        let name = SocketAddr::from_abstract_name("keepalived-rs-guard:/run/keepalived.pid");
        UnixListener::bind_addr(&name.expect("a name")).expect("nobody has it")
    });
    let mut daemon = single.start();
    daemon.expect("Waiting for the guard of the daemon before to end", secs(5.0));
    assert!(!single.host.has("eth0", VIP));
    daemon.never("Entering MASTER STATE");
    drop(busy);
    daemon.expect("(VI_1) Entering MASTER STATE", secs(2.0));
    daemon.never("has not ended");
    single.host.wait_address("eth0", VIP, true, secs(3.0));
    let guard = wait_guard(&daemon, None);
    single
        .watch
        .wait_nth("adverts", now_ns(), 2, secs(4.0), |seen| seen.is_advert(51));

    let killed = now_ns();
    daemon.signal(Signal::SIGKILL);
    daemon.wait_exit(secs(5.0));
    let mut next = single.start();
    next.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("eth0", VIP, true, secs(3.0));
    wait_gone(guard);
    single
        .watch
        .wait_nth("adverts", killed, 2, secs(4.0), |seen| seen.is_advert(51));
    let seen = single.watch.seen_since(killed);
    let mut priorities: Vec<u8> = seen.iter().filter_map(|s| Some(s.advert()?.priority)).collect();
    priorities.dedup();
    assert_eq!(
        priorities,
        [0, 255],
        "the old one says goodbye before the new one speaks"
    );
    assert!(single.host.has("eth0", VIP));
}

/// `--dont-release-vrrp`: what is to stay at a stop stays at a death, too.
pub fn what_is_to_stay_stays() {
    ours_only(WHY);
    let single = Single::new(&instance("VI_1", 51, 255, &[VIP], ""));
    let mut daemon = Start::new(&single.host, Which::Tested)
        .args(&["--dont-release-vrrp"])
        .spawn();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(6.0));
    single.host.wait_address("eth0", VIP, true, secs(3.0));
    assert_eq!(guard(&daemon), None);
    let killed = now_ns();
    daemon.signal(Signal::SIGKILL);
    daemon.wait_exit(secs(5.0));
    assert!(single.host.has("eth0", VIP));
    let zero = |seen: &Seen| seen.advert().is_some_and(|advert| advert.priority == 0);
    assert!(!single.watch.seen_since(killed).iter().any(zero));
}
