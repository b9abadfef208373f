//! When things happen: schedules, deadlines, holds.

use crate::alone::*;
use crate::lab::{MS, S, Solo, advert_of, group_config, instance};
use keepalived_rs::model::vrrp::{InitialState, Version};
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::{Effect, Event, Received};
use std::time::Duration;

#[test]
fn a_late_advert_does_not_move_those_after_it() {
    let mut solo = master(&instance("VI_1", 51, 100));
    let first = due(&solo);
    for n in 0..100 {
        solo.now = first + n * S + 3 * MS;
        solo.handle(Event::Tick);
        assert_eq!(adverts(&solo), [100]);
        assert_eq!(due(&solo), first + (n + 1) * S);
    }
}

#[test]
fn missed_adverts_are_not_made_up_for() {
    let mut solo = master(&instance("VI_1", 51, 100));
    let first = due(&solo);
    solo.now = first + 7 * S + 300 * MS;
    solo.handle(Event::Tick);
    assert_eq!(adverts(&solo), [100]);
    assert_eq!(due(&solo), first + 8 * S);
}

#[test]
fn a_backup_counts_from_the_arrival() {
    let mut solo = start(&instance("VI_1", 51, 100));
    solo.now += 500 * MS;
    let packet = Received {
        arrival: solo.now - 40 * MS,
        ..advert_of(&instance("VI_1", 51, 150), 3)
    };
    let arrival = packet.arrival;
    solo.handle(Event::Packet {
        instance: InstanceId(51),
        packet,
    });
    assert_eq!(due(&solo), arrival + 3 * S + SKEW_100);
    // A clock that says "later than now" is not believed.
    let packet = Received {
        arrival: u64::MAX,
        ..advert_of(&instance("VI_1", 51, 150), 3)
    };
    solo.handle(Event::Packet {
        instance: InstanceId(51),
        packet,
    });
    assert_eq!(due(&solo), solo.now + 3 * S + SKEW_100);
}

#[test]
fn a_beaten_master_counts_from_the_arrival() {
    let mut solo = master(&instance("VI_1", 51, 100));
    let packet = Received {
        arrival: solo.now - 5 * MS,
        ..advert_of(&instance("VI_1", 51, 150), 3)
    };
    solo.handle(Event::Packet {
        instance: InstanceId(51),
        packet,
    });
    assert_eq!(due(&solo), solo.now - 5 * MS + 3 * S + SKEW_100);
    assert_eq!(now(&solo).master, Some("192.0.2.3".parse().expect("address")));
}

#[test]
fn the_first_timer() {
    let mut config = instance("VI_1", 51, 100);
    assert_eq!(due(&start(&config)), S + 3 * S + SKEW_100);
    // MASTER below 255: one interval and the skew time of an owner.
    config.initial_state = InitialState::Master;
    assert_eq!(due(&start(&config)), S + S + S / 256);
    // An owner at once.
    assert_eq!(due(&start(&instance("VI_1", 51, 255))), S);
    // down_timer_adverts, version 3, the interval of the file.
    config.initial_state = InitialState::Backup;
    config.version = Version::V3;
    config.advert_interval = Duration::from_millis(10);
    config.down_timer_adverts = 5;
    assert_eq!(due(&start(&config)), S + 50 * MS + 156 * 10 * MS / 256);
}

#[test]
fn nothing_happens_during_the_startup_delay() {
    let mut config = group_config(2, &[instance("VI_1", 51, 255)]);
    config.hold_until = 10 * S;
    let mut solo = Solo::start(config);
    solo.packet(advert_of(&instance("VI_1", 51, 255), 3));
    assert!(solo.effects.is_empty());
    assert_eq!(now(&solo).statistics.advert_rcvd, 0);
    assert_eq!(due(&solo), 10 * S);
    solo.pass(9 * S + MS);
    assert_eq!(now(&solo).state, VrrpState::Master);
}

#[test]
fn a_reload_moves_the_end_of_the_startup_delay() {
    let mut config = group_config(2, &[instance("VI_1", 51, 255)]);
    config.hold_until = 10 * S;
    let mut solo = Solo::start(config.clone());
    solo.now = 3 * S;
    config.hold_until = 12 * S;
    solo.handle(Event::Reconfigure(Box::new(config.clone())));
    assert_eq!(due(&solo), 12 * S);
    config.hold_until = 0;
    solo.handle(Event::Reconfigure(Box::new(config.clone())));
    assert_eq!(due(&solo), solo.now);
    // When it is over, a reload moves nothing.
    let mut config = group_config(2, &[instance("VI_1", 51, 100)]);
    config.hold_until = 10 * S;
    let mut solo = Solo::start(config.clone());
    solo.now = 11 * S;
    let before = due(&solo);
    config.hold_until = 0;
    solo.handle(Event::Reconfigure(Box::new(config)));
    assert_eq!(due(&solo), before);
}

#[test]
fn announcements_second_burst_and_refresh() {
    let mut config = instance("VI_1", 51, 100);
    config.garp.refresh = Duration::from_secs(60);
    config.garp.refresh_repeat = 2;
    let mut solo = start(&config);
    let mut bursts = Vec::new();
    for second in 0..130 {
        for effect in solo.pass(S).clone() {
            match effect {
                Effect::Claim { announce, .. } => bursts.push((second, announce)),
                Effect::Announce { repeat, .. } => bursts.push((second, repeat)),
                _ => {}
            }
        }
    }
    assert_eq!(bursts, [(3, 5), (8, 5), (63, 2), (123, 2)]);
}

#[test]
fn priority_0_shortens_the_wait_to_the_skew_time() {
    let mut solo = start(&instance("VI_1", 51, 100));
    solo.packet(advert_of(&instance("VI_1", 51, 150), 3));
    let mut sender = master(&instance("VI_1", 51, 150));
    let last = crate::lab::received(&sender.group.advert(InstanceId(51), 0)[0].clone(), 0);
    solo.packet(Received {
        source: "192.0.2.3".parse().expect("address"),
        ..last.clone()
    });
    // The checksum of version 2 does not cover the source.
    assert_eq!(solo.lines(), ["(VI_1) Backup received priority 0 advertisement"]);
    assert_eq!(due(&solo), solo.now + SKEW_100);
    solo.pass(SKEW_100);
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) Receive advertisement timeout",
            "(VI_1) Entering MASTER STATE"
        ]
    );
    assert_eq!(now(&solo).cause, "192.0.2.3 gave up (priority 0)");
}

#[test]
fn a_master_with_timer_expired_backup_steps_down_when_it_is_much_too_late() {
    let mut config = instance("VI_1", 51, 100);
    config.nopreempt = true;
    config.timer_expired_backup = Some(100);
    let mut solo = master(&config);
    solo.now = due(&solo) + 2 * S;
    solo.handle(Event::Tick);
    assert_eq!(now(&solo).state, VrrpState::Master);
    solo.now = due(&solo) + 3 * S;
    solo.handle(Event::Tick);
    assert_eq!(now(&solo).state, VrrpState::Backup);
    assert_eq!(adverts(&solo), Vec::<u8>::new());
    assert_eq!(solo.lines()[0], "VRRP thread timer expired 3.000000 seconds ago");
}
