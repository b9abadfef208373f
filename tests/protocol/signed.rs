//! Adverts that are signed: AH of version 2, and `auth_hmac`.

use crate::lab::{MS, S, Solo, at, group_config, instance, received};
use keepalived_rs::model::secret::{Key, Password};
use keepalived_rs::model::vrrp::{AuthHmac, Authentication, HmacMode, Instance, Version};
use keepalived_rs::state::{InstanceId, Statistics, VrrpState};
use keepalived_rs::vrrp::{Effect, Event, Received};

const ID: InstanceId = InstanceId(51);

fn with_ah(priority: u8, password: &[u8; 8]) -> Instance {
    let mut config = instance("VI_1", 51, priority);
    config.version = Version::V2;
    config.authentication = Authentication::Ah(Password::new(*password));
    config
}

fn with_hmac(priority: u8, mode: HmacMode) -> Instance {
    let mut config = instance("VI_1", 51, priority);
    config.auth_hmac = Some(AuthHmac {
        keys: vec![(1, Key::new(b"0123456789abcdef0123456789abcdef".to_vec()))],
        active_key: 1,
        time_window: 10,
        monotonic: false,
        mode,
    });
    config
}

fn statistics(solo: &Solo) -> Statistics {
    solo.group.snapshot(at(solo.now)).1[0].statistics
}

fn state(solo: &Solo) -> VrrpState {
    solo.group.snapshot(at(solo.now)).1[0].state
}

fn start(host: u8, config: &Instance) -> Solo {
    Solo::start(group_config(host, std::slice::from_ref(config)))
}

/// One that is master, and the first advert that made it so.
fn master(host: u8, config: &Instance) -> (Solo, Received) {
    let mut solo = start(host, config);
    for _ in 0..100 {
        solo.pass(100 * MS);
        if let Some(first) = sent(&mut solo).pop() {
            assert_eq!(state(&solo), VrrpState::Master);
            return (solo, first);
        }
    }
    panic!("it never became master");
}

/// What the last effects send.
fn sent(solo: &mut Solo) -> Vec<Received> {
    let priorities: Vec<u8> = solo
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Advertise { priority, .. } => Some(*priority),
            _ => None,
        })
        .collect();
    let adverts = priorities
        .into_iter()
        .map(|priority| received(&solo.group.advert(ID, priority)[0].clone(), 0));
    adverts.collect()
}

/// The packet arrives; the lines that it draws.
fn hear(solo: &mut Solo, packet: &Received) -> Vec<String> {
    let arrival = solo.now;
    solo.handle(Event::Packet {
        instance: ID,
        packet: Received {
            arrival,
            ..packet.clone()
        },
    });
    solo.lines()
}

#[test]
fn ah_is_obeyed_once_and_its_sequence_goes_on_after_a_takeover() {
    let (mut one, first) = master(1, &with_ah(150, b"ahsecret"));
    assert!(first.ah);
    let mut two = start(2, &with_ah(100, b"ahsecret"));
    assert_eq!(hear(&mut two, &first), ["(VI_1) master set to 192.0.2.1"]);
    assert_eq!(
        hear(&mut two, &first),
        ["(VI_1) IPSEC-AH : sequence number 1 already processed. Packet dropped. Local(1)"]
    );
    assert_eq!(statistics(&two).auth_failure, 1);

    // Ten more, and the backup takes over: who is left has to believe it.
    for _ in 0..10 {
        one.pass(S);
        let advert = sent(&mut one).remove(0);
        assert!(hear(&mut two, &advert).is_empty());
    }
    two.pass(4 * S);
    assert_eq!(state(&two), VrrpState::Master);
    let theirs = sent(&mut two).remove(0);
    assert_eq!(theirs.message[8..12], 12u32.to_be_bytes());
}

#[test]
fn ah_with_another_password_or_without_ah_is_refused() {
    let (_, good) = master(1, &with_ah(150, b"ahsecret"));
    let mut two = start(2, &with_ah(100, b"wrongone"));
    let before = two.group.deadline();
    two.pass(100 * MS);
    assert_eq!(
        hear(&mut two, &good),
        ["(VI_1) IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !"]
    );
    assert_eq!(two.group.deadline(), before);

    let mut plain = with_ah(150, b"ahsecret");
    plain.authentication = Authentication::None;
    let (_, bare) = master(1, &plain);
    assert_eq!(
        hear(&mut two, &bare),
        ["(VI_1) No AH header but auth type is AH from 192.0.2.1"]
    );
    let mut other = start(3, &plain);
    assert_eq!(
        hear(&mut other, &good),
        ["(VI_1) Received AH header but auth type not AH from 192.0.2.1"]
    );
    for length in 0..good.message.len() {
        let cut = Received {
            message: good.message[..length].into(),
            ..good.clone()
        };
        hear(&mut two, &cut);
    }
    assert_eq!(statistics(&two).advert_rcvd, 0);
}

#[test]
fn a_master_that_counts_behind_a_lower_one_catches_up_with_it() {
    let (mut low, _) = master(2, &with_ah(100, b"ahsecret"));
    low.pass(20 * S);
    let ahead = sent(&mut low).pop().expect("adverts");
    let (mut high, first) = master(1, &with_ah(150, b"ahsecret"));
    assert!(hear(&mut low, &first)[0].contains("already processed"));
    let lines = hear(&mut high, &ahead);
    assert_eq!(lines[0], "(VI_1) IPSEC-AH : Syncing seq_num - Increment seq");
    let answer = sent(&mut high).remove(0);
    hear(&mut low, &answer);
    assert_eq!(state(&low), VrrpState::Backup);
}

#[test]
fn stamps_of_auth_hmac_go_on_through_a_reload() {
    let config = with_hmac(150, HmacMode::Enforce);
    let (mut one, first) = master(1, &config);
    let mut two = start(2, &with_hmac(100, HmacMode::Enforce));
    two.now = one.now;
    assert_eq!(hear(&mut two, &first), ["(VI_1) master set to 192.0.2.1"]);

    let mut changed = config.clone();
    changed.priority = 160;
    one.handle(Event::Reconfigure(Box::new(group_config(1, &[changed]))));
    // The clock stands still: only what it remembers makes the next stamp a new one.
    for priority in [160, 160, 0] {
        let again = received(&one.group.advert(ID, priority)[0].clone(), 0);
        let lines = hear(&mut two, &again);
        assert!(!lines.iter().any(|line| line.contains("replayed")), "{lines:?}");
    }
    assert_eq!(statistics(&two).advert_rcvd, 4);
    assert_eq!(
        hear(&mut two, &first),
        ["(VI_1) replayed authentication trailer from 192.0.2.1"]
    );
}

#[test]
fn an_advert_that_waited_in_the_socket_is_not_stale() {
    let (one, first) = master(1, &with_hmac(150, HmacMode::Enforce));
    let mut two = start(2, &with_hmac(100, HmacMode::Enforce));
    // It is read a minute after it arrived; and one that arrived a minute after it was made.
    two.now = one.now + 60 * S;
    let arrived = Received {
        arrival: one.now,
        ..first.clone()
    };
    two.handle(Event::Packet {
        instance: ID,
        packet: arrived,
    });
    assert_eq!(statistics(&two).auth_ext_stale, 0);
    assert_eq!(statistics(&two).advert_rcvd, 1);
    let mut three = start(3, &with_hmac(100, HmacMode::Enforce));
    three.now = two.now;
    assert_eq!(
        hear(&mut three, &first),
        ["(VI_1) stale authentication trailer from 192.0.2.1, clock skew -60 sec exceeds window 10 sec"]
    );
}
