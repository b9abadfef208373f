//! Two masters, seen from the better one and from each of two that refuse each other; and nobody ever heard.

use crate::lab::{MS, S, Solo, advert_of, group_config, instance};
use keepalived_rs::model::secret::Password;
use keepalived_rs::model::vrrp::{Authentication, InitialState, Instance};
use keepalived_rs::state::notify::{NotifyKind, Subject};
use keepalived_rs::state::{InstanceId, VrrpState};
use keepalived_rs::vrrp::{Effect, Effects, Event};

fn master(config: &Instance, host: u8) -> Solo {
    let mut solo = Solo::start(group_config(host, std::slice::from_ref(config)));
    solo.pass(5 * S);
    assert_eq!(
        solo.group.snapshot(crate::lab::at(solo.now)).1[0].state,
        VrrpState::Master
    );
    solo
}

fn about(effects: &Effects, words: &str) -> Vec<String> {
    let lines = crate::lab::lines(effects);
    lines.into_iter().filter(|line| line.contains(words)).collect()
}

fn announced(effects: &Effects) -> usize {
    let announce = |effect: &&Effect| matches!(effect, Effect::Announce { .. });
    effects.iter().filter(announce).count()
}

fn notified_master(effects: &Effects) -> Vec<Subject> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Notify(told) if told.kind == NotifyKind::State(VrrpState::Master) => {
            Some(told.subject.clone())
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn the_winner_tells_it_once_and_announces_again_when_the_other_is_silent() {
    let ours = instance("VI_1", 51, 150);
    let mut solo = master(&ours, 2);
    let other = advert_of(&instance("VI_1", 51, 100), 3);
    let mut told = Vec::new();
    for _ in 0..40 {
        solo.packet(other.clone());
        told.extend(about(&solo.effects, "two masters"));
        solo.pass(S);
        assert_eq!(notified_master(&solo.effects), [], "while it lasts");
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with(
            "(VI_1) two masters: 192.0.2.3 advertises virtual router 51 too, with priority 100, ours is 150: it \
             should give way"
        ),
        "{told:?}"
    );
    // A minute after the first time it is told again, with how long.
    for _ in 0..25 {
        solo.packet(other.clone());
        told.extend(about(&solo.effects, "two masters"));
        solo.pass(S);
    }
    assert_eq!(told.len(), 2);
    assert!(told[1].contains(", for 60.0 s"), "{told:?}");

    // Second bursts of what was heard before are over in five seconds; the end comes after three and a bit.
    solo.pass(4 * S);
    let over = about(&solo.effects, "one master again");
    assert_eq!(
        over,
        [
            "(VI_1) one master again: 192.0.2.3 is silent after 62.0 s and 63 adverts; announcing and notifying once more"
        ]
    );
    assert!(announced(&solo.effects) > 0);
    assert_eq!(notified_master(&solo.effects), [Subject::Instance("VI_1".into())]);
    solo.pass(60 * S);
    assert_eq!(notified_master(&solo.effects), [], "once");
}

#[test]
fn a_takeover_that_crosses_the_last_adverts_of_the_other_is_no_conflict() {
    let ours = instance("VI_1", 51, 150);
    let mut solo = Solo::start(group_config(2, &[ours]));
    let other = advert_of(&instance("VI_1", 51, 100), 3);
    for _ in 0..40 {
        solo.pass(100 * MS);
        solo.packet(other.clone());
        assert_eq!(about(&solo.effects, "two masters"), Vec::<String>::new());
        if solo.now > 5 * S {
            break;
        }
    }
    solo.pass(10 * S);
    assert_eq!(about(&solo.effects, "one master"), Vec::<String>::new());
}

#[test]
fn two_that_refuse_each_other_are_named_with_the_reason() {
    let password = |word: [u8; 8]| Authentication::Pass(Password::new(word));
    let mut ours = instance("VI_1", 51, 150);
    ours.authentication = password(*b"one\0\0\0\0\0");
    let mut theirs = instance("VI_1", 51, 200);
    theirs.authentication = password(*b"two\0\0\0\0\0");
    let mut solo = master(&ours, 2);
    let other = advert_of(&theirs, 3);
    solo.packet(other.clone());
    assert_eq!(
        about(&solo.effects, "two masters"),
        Vec::<String>::new(),
        "it may be its last"
    );
    solo.pass(S);
    solo.packet(other.clone());
    let told = about(&solo.effects, "two masters");
    assert_eq!(
        told,
        [
            "(VI_1) two masters: 192.0.2.3 advertises virtual router 51 too, for 1.0 s, but its adverts are refused here \
          (another password), so that neither gives way: compare auth_pass on both (its first 8 characters count), and \
          see that nobody else uses this virtual_router_id"
        ]
    );
    // What was never accepted was never heard.
    solo.pass(S);
    let mut unheard = Vec::new();
    for _ in 0..10 {
        solo.packet(other.clone());
        solo.pass(S);
        unheard.extend(about(&solo.effects, "ever heard"));
    }
    assert_eq!(unheard.len(), 1, "{unheard:?}");
    assert!(
        unheard[0].contains("master for 10.0 s, and no advert of another router was ever heard; ")
            && unheard[0].contains(" of 192.0.2.3 refused (another password): compare auth_pass"),
        "{unheard:?}"
    );
}

#[test]
fn forged_senders_fill_neither_log_nor_memory() {
    let ours = instance("VI_1", 51, 150);
    let mut solo = master(&ours, 2);
    let mut lines = 0;
    for n in 0..20_000_u32 {
        let mut forged = advert_of(&instance("VI_1", 51, 100), 3);
        forged.source = std::net::Ipv4Addr::from(0xc633_0000 + n).into();
        solo.pass(MS);
        let passing = about(&solo.effects, "master").len();
        solo.packet(forged);
        lines += passing + about(&solo.effects, "two masters").len();
        if n == 2000 {
            let size = format!("{:?}", solo.group).len();
            assert!(size < 100_000, "{size}");
        }
    }
    assert!(lines < 12, "{lines} lines in 20 s");
}

#[test]
fn a_sync_group_is_told_of_once() {
    let both = [instance("VI_1", 51, 150), instance("VI_2", 52, 150)];
    let mut solo = Solo::start(group_config(2, &both));
    solo.pass(5 * S);
    for _ in 0..3 {
        solo.packet(advert_of(&instance("VI_1", 51, 100), 3));
        solo.packet(advert_of(&instance("VI_2", 52, 100), 3));
        solo.pass(S);
    }
    solo.pass(5 * S);
    let told = notified_master(&solo.effects);
    let groups = told.iter().filter(|subject| matches!(subject, Subject::Group(_)));
    assert_eq!(groups.count(), 1, "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn nobody_ever_heard_is_told_where_somebody_is_expected() {
    let backup = instance("VI_1", 51, 150);
    let mut first = instance("VI_1", 51, 150);
    first.initial_state = InitialState::Master;
    let told = |config: &Instance, event: Option<Event>| {
        let mut solo = master(config, 2);
        if let Some(event) = event {
            solo.handle(event);
        }
        solo.pass(30 * S);
        let told = about(&solo.effects, "ever heard");
        // A second mastership does not tell it again.
        solo.packet(advert_of(&instance("VI_1", 51, 200), 3));
        solo.pass(40 * S);
        assert_eq!(about(&solo.effects, "ever heard"), Vec::<String>::new());
        told
    };
    assert_eq!(
        told(&first, None),
        Vec::<String>::new(),
        "it may well be the only one"
    );
    let line = "(VI_1) master for 10.0 s, and no advert of another router was ever heard";
    assert_eq!(told(&backup, None), [line]);
    let refused = Event::SendFailed {
        instance: InstanceId(51),
        destination: "224.0.0.18".parse().unwrap(),
        errno: 1,
    };
    let lines = told(&first, Some(refused));
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with(&format!(
            "{line}; our own cannot be sent (Operation not permitted): a firewall rule on this host drops outgoing"
        )),
        "{lines:?}"
    );

    // Whoever has been heard is no stranger later.
    let mut solo = Solo::start(group_config(2, &[backup]));
    solo.packet(advert_of(&instance("VI_1", 51, 200), 3));
    solo.pass(60 * S);
    assert_eq!(about(&solo.effects, "ever heard"), Vec::<String>::new());
}
