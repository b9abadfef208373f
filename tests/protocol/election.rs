//! Who is master: preemption, equal priorities, address owners.

use crate::alone::*;
use crate::lab::{MS, S, Solo, advert_of, group_config, instance};
use keepalived_rs::state::VrrpState;
use std::time::Duration;

#[test]
fn nopreempt_obeys_a_lower_master() {
    let mut config = instance("VI_1", 51, 100);
    config.nopreempt = true;
    let mut solo = start(&config);
    for _ in 0..20 {
        solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
        solo.pass(S);
        assert_eq!(now(&solo).state, VrrpState::Backup);
    }
    // It says so to nobody's surprise: no "discarding".
    assert_eq!(now(&solo).master_priority, 50);
}

#[test]
fn without_it_the_lower_master_is_let_run_out() {
    let mut solo = start(&instance("VI_1", 51, 100));
    let first = due(&solo);
    for n in 0..3 {
        solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
        assert_eq!(
            solo.lines(),
            ["(VI_1) received lower priority (50) advert from 192.0.2.3 - discarding"],
            "{n}"
        );
        solo.pass(S);
    }
    assert_eq!(due(&solo), first);
}

#[test]
fn preempt_delay() {
    let mut config = instance("VI_1", 51, 100);
    config.preempt_delay = Duration::from_millis(4500);
    let mut solo = start(&config);
    let mut story = Vec::new();
    let began = solo.now;
    for _ in 0..12 {
        solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
        let lines = solo.lines();
        let passed = solo.pass(S).clone();
        story.extend(lines.into_iter().chain(crate::lab::lines(&passed)));
        if now(&solo).state == VrrpState::Master {
            break;
        }
    }
    // The last advert obeyed came four seconds after the first one.
    let took = solo.now - began;
    assert!((7 * S..=9 * S).contains(&took), "{took}");
    assert_eq!(story[0], "(VI_1) start preempt delay (4.500000)");
    assert!(story.contains(&"(VI_1) received lower priority (50) advert from 192.0.2.3 - discarding".into()));
    assert_eq!(story.last().expect("a line"), "(VI_1) Entering MASTER STATE");

    // A master that is not lower calls it off.
    let mut solo = start(&config);
    solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
    solo.packet(advert_of(&instance("VI_1", 51, 150), 1));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) stop preempt delay",
            "(VI_1) master changed from 192.0.2.3 to 192.0.2.1"
        ]
    );
    solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
    assert_eq!(solo.lines()[0], "(VI_1) start preempt delay (4.500000)");
}

#[test]
fn what_a_master_says_to_lower_and_higher_ones() {
    let mut config = instance("VI_1", 51, 100);
    config.lower_prio_no_advert = true;
    config.higher_prio_send_advert = true;
    let mut solo = master(&config);
    let before = due(&solo);
    solo.packet(advert_of(&instance("VI_1", 51, 50), 3));
    assert_eq!(
        solo.lines()[0],
        "(VI_1) Received advert from 192.0.2.3 with lower priority 50, ours 100"
    );
    assert_eq!(adverts(&solo), Vec::<u8>::new());
    assert_eq!(due(&solo), before);
    solo.packet(advert_of(&instance("VI_1", 51, 150), 3));
    assert_eq!(adverts(&solo), [100]);
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) Master received advert from 192.0.2.3 with higher priority 150, ours 100",
            "(VI_1) Entering BACKUP STATE"
        ]
    );
}

#[test]
fn equal_priorities_are_decided_by_the_address() {
    let mut solo = master(&instance("VI_1", 51, 100));
    solo.packet(advert_of(&instance("VI_1", 51, 100), 1));
    assert_eq!(now(&solo).state, VrrpState::Master);
    solo.packet(advert_of(&instance("VI_1", 51, 100), 3));
    assert_eq!(
        solo.lines()[0],
        "(VI_1) Master received advert from 192.0.2.3 with same priority 100 but higher IP address than ours"
    );
    // As numbers, not as text: .9 is lower than .10.
    let mut solo = Solo::start(group_config(9, &[instance("VI_1", 51, 100)]));
    solo.pass(4 * S);
    solo.packet(advert_of(&instance("VI_1", 51, 100), 10));
    assert_eq!(now(&solo).state, VrrpState::Backup);
}

#[test]
fn of_two_owners_the_lower_address_gives_way() {
    let owner = instance("VI_1", 51, 255);
    let mut solo = master(&owner);
    solo.packet(advert_of(&owner, 3));
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) CONFIGURATION ERROR: local instance and 192.0.2.3 are both configured as address owner, please resolve",
            "(VI_1) Entering BACKUP STATE"
        ]
    );
    assert!(due(&solo) > solo.now + 3 * S);
}

#[test]
fn of_two_owners_the_higher_address_insists_and_then_steps_down() {
    let owner = instance("VI_1", 51, 255);
    let mut solo = master(&owner);
    solo.packet(advert_of(&owner, 1));
    assert_eq!(adverts(&solo), [255, 255]);
    assert_eq!(solo.lines().len(), 1);
    // It goes on all the same.
    solo.pass(900 * MS);
    solo.packet(advert_of(&owner, 1));
    assert!(solo.effects.is_empty());
    solo.pass(200 * MS);
    assert_eq!(
        solo.lines(),
        [
            "(VI_1) 192.0.2.1 is still advertising as address owner, please resolve - reducing our priority",
            "(VI_1) Changing effective priority from 255 to 254"
        ]
    );
    solo.packet(advert_of(&owner, 1));
    assert_eq!(now(&solo).state, VrrpState::Backup);
    // Until it is gone.
    solo.pass(4 * S);
    assert!(solo.lines().contains(
        &"(VI_1) Restoring our priority to 255 since other address owner has disappeared".to_owned()
    ));
    assert_eq!(
        (now(&solo).state, now(&solo).effective_priority),
        (VrrpState::Master, 255)
    );
}

#[test]
fn an_owner_that_heard_the_other_fall_silent_stays() {
    let owner = instance("VI_1", 51, 255);
    let mut solo = master(&owner);
    solo.packet(advert_of(&owner, 1));
    solo.pass(2 * S);
    assert!(
        solo.lines()
            .contains(&"(VI_1): rogue address owner appears to have stopped advertising".to_owned())
    );
    assert_eq!(
        (now(&solo).state, now(&solo).effective_priority),
        (VrrpState::Master, 255)
    );
}
