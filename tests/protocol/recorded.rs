//! What keepalived sent and logged, and what ours makes of the same configuration.

use crate::lab::{MS, S, Solo, advert_of, at, group_config, instance, instance6, interface, lines, vip};
use keepalived_rs::model::secret::Password;
use keepalived_rs::model::vrrp::{Authentication, InitialState, Instance, UnicastPeer, Version};
use keepalived_rs::state::notify::{NotifyKind, Subject};
use keepalived_rs::state::track::{TrackSource, Verdict};
use keepalived_rs::state::{InstanceId, Interface, VrrpState};
use keepalived_rs::vrrp::{Effect, Effects, Event, Group};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
        .collect()
}

/// Our advert, with identification and header checksum, which the kernel fills in, as recorded.
fn ours(config: &Instance, priority: u8, recorded: &[u8], link: Arc<Interface>) -> Vec<u8> {
    let mut group = group_config(1, std::slice::from_ref(config));
    group.interfaces.insert("eth0".into(), link);
    let mut out = Vec::new();
    let mut group = Group::start(group, at(S), &mut out);
    let id = InstanceId(u32::from(config.vrid));
    // Built for its own priority first: what is compared is the patched one.
    group.advert(id, config.priority);
    let mut sent = group.advert(id, priority)[0].bytes.clone();
    if config.vips[0].network.address.is_ipv4() {
        sent[4..6].copy_from_slice(&recorded[4..6]);
        sent[10..12].copy_from_slice(&recorded[10..12]);
    }
    sent
}

fn link() -> Arc<Interface> {
    let mut link = (*interface("eth0", 10, 1, true)).clone();
    link.addresses[1].address = "fe80::ff:fe00:100".parse().expect("address");
    link.into()
}

#[test]
fn adverts_byte_for_byte() {
    let mut v2 = instance("V2", 51, 150);
    v2.authentication = Authentication::Pass(Password::new(*b"s3cret12"));
    v2.vips = vec![vip("192.0.2.100"), vip("192.0.2.101")];
    let mut v3 = instance("V3", 61, 150);
    v3.version = Version::V3;
    v3.advert_interval = Duration::from_millis(500);
    v3.vips = vec![vip("192.0.2.111")];
    let mut v6 = crate::lab::instance6("V6", 62, 150);
    v6.vips = vec![vip("fe80::100"), vip("2001:db8:0:1::100")];
    let recorded = [
        (
            &v2,
            150,
            "45c0002c00010000ff70188dc0000201e000001221339602010155b2c0000264c00002657333637265743132",
        ),
        (
            &v2,
            0,
            "45c0002c00050000ff701889c0000201e0000012213300020101ebb2c0000264c00002657333637265743132",
        ),
        (
            &v3,
            150,
            "45c0002000010000ff701899c0000201e0000012313d96010032d38ec000026f",
        ),
        (
            &v3,
            0,
            "45c00020000c0000ff70188ec0000201e0000012313d00010032698fc000026f",
        ),
        // After the IPv6 header.
        (
            &v6,
            150,
            "313e960200640bf2fe80000000000000000000000000010020010db8000000010000000000000100",
        ),
        (
            &v6,
            0,
            "313e00020064a1f2fe80000000000000000000000000010020010db8000000010000000000000100",
        ),
    ];
    for (config, priority, hex) in recorded {
        let recorded = bytes(hex);
        assert_eq!(
            ours(config, priority, &recorded, link()),
            recorded,
            "{} priority {priority}",
            config.name
        );
    }
}

#[test]
fn one_datagram_for_each_peer() {
    let mut config = instance("U3", 63, 150);
    config.version = Version::V3;
    config.unicast = true;
    config.unicast_ttl = Some(64);
    config.source = Some(IpAddr::from([192, 0, 2, 1]));
    let peer = |host: u8| UnicastPeer {
        address: IpAddr::from([192, 0, 2, host]),
        min_ttl: 0,
        max_ttl: 255,
    };
    config.peers = vec![peer(2), peer(3)];
    let mut solo = Solo::start(group_config(1, &[config]));
    let sent = solo.group.advert(InstanceId(63), 150);
    assert_eq!(sent.len(), 2);
    let (a, b) = (&sent[0].bytes, &sent[1].bytes);
    // TTL, then the message: the same but for the checksum, whose pseudo header has the destination.
    assert_eq!((a[8], b[8]), (64, 64));
    assert_eq!((&a[20..26], &a[28..]), (&b[20..26], &b[28..]));
    assert_ne!(a[26..28], b[26..28]);
}

/// 255 to a group and over IPv4; keepalived leaves IPv6 adverts to peers to the kernel, whose default is 64.
#[test]
fn ttl_and_hop_limit() {
    let ttl = |ipv6: bool, given: Option<Option<u8>>| {
        let (mut config, peer): (Instance, IpAddr) = if ipv6 {
            (
                instance6("U", 63, 150),
                IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 9]),
            )
        } else {
            (instance("U", 63, 150), IpAddr::from([192, 0, 2, 9]))
        };
        if let Some(ttl) = given {
            config.unicast = true;
            config.unicast_ttl = ttl;
            config.peers = vec![UnicastPeer {
                address: peer,
                min_ttl: 0,
                max_ttl: 255,
            }];
        }
        let mut solo = Solo::start(group_config(1, &[config]));
        solo.group.advert(InstanceId(63), 150)[0].ttl
    };
    assert_eq!([ttl(false, None), ttl(true, None)], [255, 255]);
    assert_eq!([ttl(false, Some(None)), ttl(true, Some(None))], [255, 64]);
    assert_eq!([ttl(false, Some(Some(9))), ttl(true, Some(Some(9)))], [9, 9]);
}

/// Words of what is told others, as keepalived writes them to a FIFO.
fn fifo(effects: &Effects) -> Vec<String> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Notify(n) => Some(n),
        _ => None,
    });
    told.map(|n| {
        let (kind, name) = match &n.subject {
            Subject::Instance(name) => ("INSTANCE", name),
            Subject::Group(name) => ("GROUP", name),
            Subject::Lvs(name) => ("LVS", name),
        };
        let state = match n.kind {
            NotifyKind::State(state) => state.as_str().to_owned(),
            NotifyKind::Priority(state) => format!("{}_PRIORITY", state.as_str()),
            NotifyKind::Still(state) => format!("{} still", state.as_str()),
            NotifyKind::MasterRxLowerPriority => "MASTER_RX_LOWER_PRI".to_owned(),
        };
        format!("{kind} \"{name}\" {state} {}", n.priority)
    })
    .collect()
}

/// What was logged and told between two moments; the kernel's and the trackers' lines are not the protocol's.
struct Story {
    solo: Solo,
    lines: Vec<String>,
    fifo: Vec<String>,
}

impl Story {
    fn start(config: keepalived_rs::vrrp::GroupConfig) -> Story {
        let solo = Solo::start(config);
        let (lines, fifo) = (lines(&solo.effects), fifo(&solo.effects));
        Story { solo, lines, fifo }
    }

    fn take(&mut self) {
        self.lines.extend(lines(&self.solo.effects));
        self.fifo.extend(fifo(&self.solo.effects));
    }

    fn handle(&mut self, event: Event) {
        self.solo.handle(event);
        self.take();
    }

    fn pass(&mut self, time: u64) {
        self.solo.pass(time);
        self.take();
    }
}

#[test]
fn a_master_from_start_to_stop() {
    let mut config = instance("VI_1", 51, 150);
    config.initial_state = InitialState::Master;
    let mut story = Story::start(group_config(1, &[config]));
    story.pass(6 * S);
    story.handle(Event::Stop { keep: false });
    assert_eq!(
        story.lines,
        [
            "(VI_1) Entering BACKUP STATE (init)",
            "(VI_1) Receive advertisement timeout",
            "(VI_1) Entering MASTER STATE",
            "(VI_1) sent 0 priority",
        ]
    );
    assert_eq!(
        story.fifo,
        [
            "INSTANCE \"VI_1\" BACKUP 150",
            "INSTANCE \"VI_1\" MASTER 150",
            "INSTANCE \"VI_1\" STOP 150"
        ]
    );
}

#[test]
fn an_owner_begins_without_a_word() {
    let mut story = Story::start(group_config(1, &[instance("VI_1", 61, 255)]));
    story.pass(MS);
    assert_eq!(
        story.lines,
        [
            "(VI_1) Receive advertisement timeout",
            "(VI_1) Entering MASTER STATE"
        ]
    );
    assert_eq!(story.fifo, ["INSTANCE \"VI_1\" MASTER 255"]);
}

#[test]
fn a_backup_takes_over_and_gives_back() {
    let config = instance("VI_1", 51, 100);
    let peer = instance("VI_1", 51, 200);
    let mut story = Story::start(group_config(1, &[config]));
    story.solo.packet(advert_of(&peer, 2));
    story.take();
    let mut stopping = Solo::start(group_config(2, std::slice::from_ref(&peer)));
    let goodbye = stopping.group.advert(InstanceId(51), 0)[0].clone();
    story.solo.packet(crate::lab::received(&goodbye, 0));
    story.take();
    story.pass(8 * S);
    story.solo.packet(advert_of(&peer, 2));
    story.take();
    story.handle(Event::Stop { keep: false });
    assert_eq!(
        story.lines,
        [
            "(VI_1) Entering BACKUP STATE (init)",
            "(VI_1) master set to 192.0.2.2",
            "(VI_1) Backup received priority 0 advertisement",
            "(VI_1) Receive advertisement timeout",
            "(VI_1) Entering MASTER STATE",
            "(VI_1) Master received advert from 192.0.2.2 with higher priority 200, ours 100",
            "(VI_1) Entering BACKUP STATE",
        ]
    );
    assert_eq!(
        story.fifo,
        [
            "INSTANCE \"VI_1\" BACKUP 100",
            "INSTANCE \"VI_1\" MASTER 100",
            "INSTANCE \"VI_1\" BACKUP 100",
            "INSTANCE \"VI_1\" STOP 100"
        ]
    );
}

#[test]
fn a_link_that_is_down_up_and_down() {
    let mut config = group_config(1, &[instance("VI_1", 51, 120)]);
    config
        .interfaces
        .insert("eth0".into(), interface("eth0", 10, 1, false));
    let mut story = Story::start(config);
    story.handle(Event::Interface(interface("eth0", 10, 1, true)));
    story.pass(5 * S);
    story.handle(Event::Interface(interface("eth0", 10, 1, false)));
    story.handle(Event::Stop { keep: false });
    assert_eq!(
        story.lines,
        [
            "(VI_1): entering FAULT state (interface eth0 down)",
            "(VI_1) entering FAULT state",
            "(VI_1) Entering BACKUP STATE",
            "(VI_1) Receive advertisement timeout",
            "(VI_1) Entering MASTER STATE",
            "(VI_1) Entering FAULT STATE",
            "(VI_1) sent 0 priority",
        ]
    );
    let states = ["FAULT", "BACKUP", "MASTER", "FAULT", "STOP"];
    assert_eq!(
        story.fifo,
        states.map(|state| format!("INSTANCE \"VI_1\" {state} 120"))
    );
}

#[test]
fn a_sync_group_with_weights() {
    let tracked = |name: &str, weight: i32, reverse: bool| keepalived_rs::model::Tracked {
        name: name.into(),
        weight,
        reverse,
    };
    let mut first = instance("VI_1", 51, 100);
    first.track_files = vec![tracked("tf", 3, false)];
    first.notify_priority_changes = true;
    let mut second = instance("VI_2", 52, 120);
    second.track_interfaces = vec![tracked("eth1", -5, true)];
    second.notify_priority_changes = true;
    let mut config = group_config(1, &[first, second]);
    let mut group = (**config.group.as_ref().expect("a group")).clone();
    group.track_scripts = vec![tracked("chk", -20, false)];
    group.track_interfaces = vec![tracked("eth1", 10, false)];
    group.tracking_weight = true;
    config.group = Some(Arc::new(group));
    config
        .interfaces
        .insert("eth1".into(), interface("eth1", 11, 1, true));
    let mut story = Story::start(config);
    let file = |value: i64| Event::Track {
        source: TrackSource::File("tf".into()),
        verdict: Verdict::Value(value),
    };
    let chk = |verdict: Verdict| Event::Track {
        source: TrackSource::Script("chk".into()),
        verdict,
    };
    story.handle(file(5));
    story.handle(chk(Verdict::Up));
    story.pass(5 * S);
    story.handle(file(3));
    story.handle(chk(Verdict::Down));
    story.handle(chk(Verdict::Up));
    story.handle(Event::Interface(interface("eth1", 11, 1, false)));
    story.handle(Event::Interface(interface("eth1", 11, 1, true)));
    story.handle(Event::Stop { keep: false });
    assert_eq!(
        story.lines,
        [
            "(VI_1) Changing effective priority from 100 to 110",
            "(VI_2) Changing effective priority from 120 to 130",
            "(VI_1) Entering BACKUP STATE (init)",
            "(VI_2) Entering BACKUP STATE (init)",
            // keepalived reads the file before it starts.
            "(VI_1) Changing effective priority from 110 to 125",
            "(VI_2) Receive advertisement timeout",
            "(VI_1) Receive advertisement timeout",
            "(VI_1) Entering MASTER STATE",
            "VRRP_Group(VG_1) Syncing instances to MASTER state",
            "(VI_2) Entering MASTER STATE",
            "(VI_1) Changing effective priority from 125 to 119",
            "(VI_1) Changing effective priority from 119 to 99",
            "(VI_2) Changing effective priority from 130 to 110",
            "(VI_1) Changing effective priority from 99 to 119",
            "(VI_2) Changing effective priority from 110 to 130",
            "(VI_1) Changing effective priority from 119 to 109",
            "(VI_2) Changing effective priority from 130 to 120",
            "(VI_1) Changing effective priority from 109 to 119",
            "(VI_2) Changing effective priority from 120 to 130",
            "(VI_1) sent 0 priority",
            "(VI_2) sent 0 priority",
        ]
    );
    assert_eq!(
        story.fifo[2..9],
        [
            "GROUP \"VG_1\" BACKUP 0",
            "INSTANCE \"VI_1\" BACKUP 110",
            "INSTANCE \"VI_2\" BACKUP 130",
            "INSTANCE \"VI_1\" BACKUP_PRIORITY 125",
            "INSTANCE \"VI_1\" MASTER 125",
            "INSTANCE \"VI_2\" MASTER 130",
            "GROUP \"VG_1\" MASTER 0",
        ]
    );
    assert_eq!(
        story.fifo[story.fifo.len() - 3..],
        [
            "INSTANCE \"VI_1\" STOP 119",
            "INSTANCE \"VI_2\" STOP 130",
            "GROUP \"VG_1\" STOP 0"
        ]
    );
    let (group, members) = story.solo.group.snapshot(at(story.solo.now));
    assert_eq!(group.map(|group| group.state), Some(VrrpState::Stop));
    assert_eq!(members.len(), 2);
}
