//! The keywords that say what is made of another router's adverts.

use std::net::Ipv4Addr;

use crate::auth::statistic;
use crate::common::daemon::ours_only;
use crate::common::packet::Forged;
use crate::common::{Seen, now_ns, secs, wait_until};
use crate::keywords::owner;
use crate::pair::{Single, instance};
use crate::timing::{forge, send};

const THEM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 66);

/// `skip_check_adv_addr`, also for all: of one master's adverts only the first one's addresses are compared.
pub fn addresses_of_every_advert_are_compared_unless_told_otherwise() {
    const ADVERTS: usize = 4;
    for (all, own, compared) in [
        ("", "", ADVERTS),
        ("", "skip_check_adv_addr", 1),
        ("vrrp_skip_check_adv_addr", "", 1),
    ] {
        if compared < ADVERTS {
            ours_only("2.2.7 compares all the same");
        }
        let more = format!("version 3\n    advert_int 2\n    {own}");
        let single = Single::new(&format!(
            "global_defs {{\n    {all}\n}}\n{}",
            instance("VI_1", 51, 100, &["192.0.2.100"], &more)
        ));
        let them = single.peer("them", 66, "");
        let mut daemon = single.start();
        daemon.expect("(VI_1) Entering BACKUP STATE (init)", secs(4.0));
        let other = Ipv4Addr::new(192, 0, 2, 77);
        for _ in 0..ADVERTS {
            forge(&them, &Forged::new(THEM, 51, 200, other).version_3(200));
        }
        daemon.expect("ip address associated with VRID 51 not present in ", secs(2.0));
        let said = |line: &str| usize::try_from(statistic(&single.host, &daemon, line)).expect("a count");
        wait_until("all of them", secs(3.0), || {
            (said("Received:") == ADVERTS).then_some(())
        });
        assert_eq!(said("Address List:"), compared, "{all} {own}");
        daemon.never("(VI_1) Entering MASTER STATE");
    }
}

/// `owner_ignore_adverts`, also for all: an address owner does not give way to another one.
pub fn an_address_owner_ignores_adverts_when_told_so() {
    ours_only("2.2.7 does not know the keyword");
    for (all, own, ignores) in [
        ("", "", false),
        ("", "owner_ignore_adverts", true),
        ("vrrp_owner_ignore_adverts", "", true),
        ("vrrp_owner_ignore_adverts", "owner_ignore_adverts off", false),
    ] {
        let more = format!("version 3\n    advert_int 0.2\n    {own}");
        let single = Single::new(&format!(
            "global_defs {{\n    {all}\n}}\n{}",
            owner(1, "192.0.2.101", &more)
        ));
        let them = single.peer("them", 66, "");
        let mut daemon = single.start();
        daemon.expect("(VI_1) Entering MASTER STATE", secs(4.0));
        let at = forge(
            &them,
            &Forged::new(THEM, 1, 255, Ipv4Addr::new(192, 0, 2, 101)).version_3(20),
        );
        if ignores {
            single
                .watch
                .wait_nth("it goes on", at, 4, secs(3.0), |s| s.is_advert_of(1, "192.0.2.1"));
            daemon.never("(VI_1) Entering BACKUP STATE");
        } else {
            daemon.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
        }
    }
}

/// `min_ttl` and `max_ttl` of a unicast peer: adverts from nearer or farther are not obeyed.
pub fn a_peer_s_adverts_come_from_as_far_as_told() {
    let one = |vrid: u8, limits: &str| {
        let more = format!(
            "version 3\n    advert_int 0.2\n    unicast_src_ip 192.0.2.1\n    unicast_peer {{\n        192.0.2.66 {limits}\n    }}"
        );
        let vip = format!("192.0.2.{}", 100 + u16::from(vrid));
        instance(&format!("VI_{vrid}"), vrid, 100, &[&vip], &more)
    };
    let cases = [
        ("", true),
        ("min_ttl 20", false),
        ("max_ttl 5", false),
        ("min_ttl 5 max_ttl 20", true),
        ("min_ttl 10", true),
        ("max_ttl 10", true),
    ];
    let single = Single::new(
        &(1..)
            .zip(cases)
            .map(|(vrid, (limits, _))| one(vrid, limits))
            .collect::<String>(),
    );
    let them = single.peer("them", 66, "");
    let daemon = single.start();
    let vrids = || (1..=6).zip(cases.map(|(_, obeyed)| obeyed));
    for (vrid, _) in vrids() {
        let line = format!("(VI_{vrid}) Entering MASTER STATE");
        wait_until(&line, secs(5.0), || (daemon.count(&line) > 0).then_some(()));
    }
    for (vrid, obeyed) in vrids() {
        let mut forged = Forged::new(THEM, vrid, 200, Ipv4Addr::new(192, 0, 2, 100 + vrid)).version_3(20);
        forged.target = Ipv4Addr::new(192, 0, 2, 1);
        forged.ttl = 10;
        let mut frame = single.host.mac("eth0").to_vec();
        frame.extend_from_slice(&forged.frame()[6..]);
        let at = send(&them, &frame);
        let beaten = format!("(VI_{vrid}) Entering BACKUP STATE");
        if obeyed {
            wait_until(&beaten, secs(2.0), || (daemon.count(&beaten) > 1).then_some(()));
        } else {
            let advert = |s: &Seen| s.is_advert_of(vrid, "192.0.2.1");
            single.watch.wait_nth("it goes on", at, 3, secs(2.0), advert);
            assert_eq!(daemon.count(&beaten), 1, "{vrid}: {}", daemon.log_text());
        }
    }
}

/// `preempt_delay`: so long a better one leaves the master alone; `preempt` and `state MASTER` take `nopreempt` back.
pub fn a_better_one_waits_as_long_as_told() {
    let all = |priority: u8, more: [&str; 5]| -> String {
        let one = |(vrid, more): (u8, &str)| {
            let more = format!("version 3\n    advert_int 0.2\n    {more}");
            let vip = format!("192.0.2.{}", 100 + u16::from(vrid));
            instance(&format!("VI_{vrid}"), vrid, priority, &[&vip], &more)
        };
        (1..).zip(more).map(one).collect()
    };
    let better = [
        "preempt_delay 3",
        "",
        "nopreempt\n    preempt",
        "nopreempt",
        "state MASTER\n    nopreempt",
    ];
    let single = Single::new(&all(50, [""; 5]));
    let mut master = single.start();
    for vrid in 1..=5 {
        single
            .watch
            .wait("the master", 0, secs(5.0), |s| s.is_advert_of(vrid, "192.0.2.1"));
    }
    let two = single.peer("two", 2, &all(150, better));
    let begin = now_ns();
    let mut daemon = crate::pair::start(&two);
    let preempted = |vrid: u8| {
        let its = |s: &Seen| s.is_advert_of(vrid, "192.0.2.2");
        let at = single.watch.wait("the better one", begin, secs(8.0), its).at;
        (at - two.started()) as f64 / 1e9
    };
    for vrid in [2, 3, 5] {
        let after = preempted(vrid);
        assert!(after < 2.5, "VRID {vrid} after {after:.3} s");
    }
    let after = preempted(1);
    assert!((3.0..5.5).contains(&after), "after {after:.3} s");
    daemon.logged("(VI_1) start preempt delay (3");
    single
        .watch
        .wait_nth("the other one goes on", now_ns(), 4, secs(3.0), |s| {
            s.is_advert_of(4, "192.0.2.1")
        });
    daemon.never("(VI_4) Entering MASTER STATE");
    assert_eq!(master.stop(), Some(0));
    daemon.expect("(VI_4) Entering MASTER STATE", secs(3.0));
}
