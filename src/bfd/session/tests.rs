use super::*;
use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn config(min: u64, multiplier: u8) -> BfdInstance {
    BfdInstance {
        name: "b".into(),
        source: None,
        neighbor: "192.0.2.2".parse().unwrap(),
        min_rx: Duration::from_millis(min),
        min_tx: Duration::from_millis(min),
        idle_tx: Duration::from_secs(1),
        multiplier,
        passive: false,
        ttl: None,
        max_hops: 0,
        multihop: false,
        weight: 0,
        reverse: false,
        vrrp: true,
        checker: true,
    }
}

fn at(mono: u64) -> Now {
    Now {
        mono,
        wall: UNIX_EPOCH + Duration::from_nanos(mono),
    }
}

/// A session on one end of a line, and what came of it.
struct End {
    session: Session,
    sent: Vec<(u64, Repr)>,
    verdicts: Vec<(u64, bool)>,
    notices: Vec<(u64, BfdNotice)>,
}

type Loses = Box<dyn FnMut(u64, usize, &mut Random) -> bool>;

/// Two sessions and a line between them.
struct Pair {
    now: u64,
    ends: [Option<End>; 2],
    under_way: BTreeMap<(u64, u64), (usize, Repr)>,
    count: u64,
    random: Random,
    /// Least and most time under way.
    delay: (u64, u64),
    /// Whether a packet to this end is lost.
    loses: Loses,
}

impl Pair {
    fn new(seed: u64, configs: [BfdInstance; 2]) -> Pair {
        let mut pair = Pair {
            now: SECOND,
            ends: [None, None],
            under_way: BTreeMap::new(),
            count: 0,
            random: Random::new(seed),
            delay: (MS / 10, MS / 5),
            loses: Box::new(|_, _, _| false),
        };
        for (end, config) in configs.into_iter().enumerate() {
            pair.begin(end, config);
        }
        pair
    }

    fn begin(&mut self, end: usize, config: BfdInstance) {
        let mut out = Vec::new();
        let seed = self.random.next();
        let session = Session::start(Arc::new(config), at(self.now), seed, true, &mut out);
        self.ends[end] = Some(End {
            session,
            sent: Vec::new(),
            verdicts: Vec::new(),
            notices: Vec::new(),
        });
        self.carry(end, out);
    }

    fn end(&mut self, end: usize) -> &mut End {
        self.ends[end].as_mut().unwrap()
    }

    fn carry(&mut self, from: usize, out: Vec<Effect>) {
        for effect in out {
            let now = self.now;
            match effect {
                Effect::Send(packet) => {
                    self.end(from).sent.push((now, packet));
                    let to = 1 - from;
                    if !(self.loses)(now, to, &mut self.random) {
                        let (least, most) = self.delay;
                        let arrives = now + least + self.random.next() % (most - least + 1);
                        self.count += 1;
                        // What is written must be readable.
                        let packet = Repr::parse(&packet.emit()).unwrap();
                        self.under_way.insert((arrives, self.count), (to, packet));
                    }
                }
                Effect::Verdict { up } => self.end(from).verdicts.push((now, up)),
                Effect::Report(notice) => self.end(from).notices.push((now, notice)),
            }
        }
    }

    fn give(&mut self, end: usize, event: Event) {
        let now = at(self.now);
        let mut out = Vec::new();
        if let Some(end) = &mut self.ends[end] {
            end.session.handle(now, event, &mut out);
        }
        self.carry(end, out);
    }

    fn packet(&mut self, end: usize, packet: Repr) {
        let arrival = self.now;
        let known = self.ends[end].as_ref().map(|e| e.session.discriminator());
        // As the driver does: what carries another discriminator is nobody's.
        if packet.yours == 0 || Some(packet.yours) == known {
            self.give(end, Event::Packet { packet, arrival });
        }
    }

    /// Goes on until then.
    fn until(&mut self, end: u64) {
        loop {
            let arrives = self.under_way.first_key_value().map(|(key, _)| key.0);
            let timers = self.ends.iter().flatten();
            let due = timers.filter_map(|e| e.session.deadline().map(|d| d.0)).min();
            let Some(next) = arrives.into_iter().chain(due).min().filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            assert!(next >= self.now, "a deadline in the past");
            self.now = next;
            while let Some(first) = self.under_way.first_entry().filter(|first| first.key().0 <= next) {
                let (to, packet) = first.remove();
                self.packet(to, packet);
            }
            for end in 0..2 {
                self.give(end, Event::Tick);
            }
        }
    }

    fn run(&mut self, time: u64) {
        self.until(self.now + time);
    }

    fn up(&self) -> [bool; 2] {
        [0, 1].map(|end| self.ends[end].as_ref().is_some_and(|e| e.session.is_up()))
    }

    fn falls(&self) -> usize {
        let all = self.ends.iter().flatten().flat_map(|e| &e.verdicts);
        // The first verdict of each is that it is down.
        all.filter(|(_, up)| !up).count() - self.ends.iter().flatten().count()
    }
}

#[test]
fn a_pair_comes_up_within_milliseconds_and_then_keeps_to_the_interval() {
    let mut pair = Pair::new(1, [config(50, 3), config(100, 5)]);
    pair.run(20 * MS);
    assert_eq!(pair.up(), [true, true]);
    pair.run(60 * SECOND);
    for end in 0..2 {
        let sent = &pair.end(end).sent;
        let late: Vec<_> = sent.iter().skip_while(|(at, _)| *at < 2 * SECOND).collect();
        let gaps: Vec<u64> = late.windows(2).map(|two| two[1].0 - two[0].0).collect();
        // Both keep to the slower side's 100 ms: 75 to 90 of them.
        assert!(gaps.len() > 500);
        assert!(
            gaps.iter().all(|gap| (75 * MS..=90 * MS).contains(gap)),
            "{gaps:?}"
        );
    }
    let [a, b] = [0, 1].map(|end| pair.end(end).session.snapshot(at(0)));
    assert_eq!((a.local.detection, b.local.detection), (500_000, 300_000));
    assert_eq!((a.remote.detection, b.remote.detection), (300_000, 500_000));
    assert!(!a.polling && !b.polling);
    assert_eq!(a.local.interval, 100_000);
    assert_eq!(pair.falls(), 0);
}

#[test]
fn who_is_awake_sends_what_may_go_out_and_nothing_before() {
    let mut pair = Pair::new(7, [config(50, 3), config(50, 3)]);
    pair.run(2 * SECOND);
    for _ in 0..100 {
        // Just after a packet, and long after it.
        let sent = pair.end(0).sent.len();
        while pair.end(0).sent.len() == sent {
            pair.run(MS / 10);
        }
        let (last, _) = *pair.end(0).sent.last().unwrap();
        let (first, due) = (pair.end(0).session.may_send(), pair.end(0).session.deadline());
        let (first, due) = (first.unwrap(), due.unwrap().0);
        assert!(first >= last + 75 * 50 * MS / 100 && due <= last + 90 * 50 * MS / 100 && first < due);
        let sent = pair.end(0).sent.len();
        pair.until(first - 1);
        pair.give(0, Event::Awake);
        assert_eq!(pair.end(0).sent.len(), sent);
        pair.until(first);
        pair.give(0, Event::Awake);
        assert_eq!(pair.end(0).sent.len(), sent + 1);
        assert!(pair.end(0).session.may_send().is_some_and(|next| next > first));
    }
    assert_eq!(pair.falls(), 0);
}

#[test]
fn silence_is_told_at_the_detection_time_after_the_last_packet() {
    let mut pair = Pair::new(2, [config(50, 3), config(50, 3)]);
    pair.run(2 * SECOND);
    let cut = pair.now;
    pair.loses = Box::new(move |now, _, _| now >= cut);
    let arrived = pair.under_way.keys().map(|key| key.0).max();
    pair.run(3 * SECOND);
    assert_eq!(pair.up(), [false, false]);
    for end in 0..2 {
        let end = pair.end(end);
        let (when, up) = *end.verdicts.last().unwrap();
        assert!(!up && when > cut + 50 * MS && when <= arrived.unwrap_or(cut) + 150 * MS);
        let expired = BfdNotice::Expired {
            after: Duration::from_millis(150),
            overdue: Duration::ZERO,
        };
        assert!(end.notices.contains(&(when, expired)));
        assert_eq!(end.session.snapshot(at(0)).diagnostic, Diagnostic::Expired);
        // Down, it sends once a second at most, and knows no neighbour.
        let (_, last) = *end.sent.last().unwrap();
        assert_eq!((last.state, last.yours, last.min_tx), (State::Down, 0, 1_000_000));
        assert!(end.sent.iter().filter(|(at, _)| *at > when).count() <= 5);
    }
}

#[test]
fn losses_and_jitter_below_the_detection_time_are_no_failure() {
    for seed in 0..60 {
        let mut pair = Pair::new(seed, [config(50, 3), config(50, 3)]);
        // Half of the packets are lost, but never three in a row, and they are up to 10 ms under way.
        pair.delay = (MS, 10 * MS);
        let mut row = [0; 2];
        pair.loses = Box::new(move |now, to, random| {
            let lost = now > 2 * SECOND && row[to] < 2 && random.next().is_multiple_of(2);
            row[to] = if lost { row[to] + 1 } else { 0 };
            lost
        });
        pair.run(120 * SECOND);
        assert_eq!((pair.up(), pair.falls()), ([true, true], 0), "seed {seed}");
    }
}

#[test]
fn a_pair_comes_up_through_heavy_loss_and_again_after_every_cut() {
    for seed in 0..60 {
        let mut pair = Pair::new(seed, [config(50, 3), config(20, 4)]);
        pair.loses = Box::new(|now, _, random| {
            let cut = (now / (5 * SECOND)) % 2 == 1 && now < 30 * SECOND;
            cut || (now < 30 * SECOND && random.next().is_multiple_of(3))
        });
        pair.run(40 * SECOND);
        assert_eq!(pair.up(), [true, true], "seed {seed}");
        assert!(pair.falls() >= 4, "seed {seed}: the cuts were noticed");
    }
}

#[test]
fn a_line_that_is_dead_in_one_direction_takes_both_ends_down() {
    let mut pair = Pair::new(3, [config(50, 3), config(50, 3)]);
    pair.run(2 * SECOND);
    let cut = pair.now;
    pair.loses = Box::new(move |now, to, _| now >= cut && to == 0);
    pair.run(200 * MS);
    assert_eq!(pair.up(), [false, false]);
    let diagnostic = |pair: &mut Pair, end| pair.end(end).session.snapshot(at(0)).diagnostic;
    assert_eq!(diagnostic(&mut pair, 0), Diagnostic::Expired);
    pair.loses = Box::new(|_, _, _| false);
    pair.run(3 * SECOND);
    assert_eq!(pair.up(), [true, true]);
}

#[test]
fn a_neighbour_that_starts_anew_is_noticed_and_taken_again() {
    let mut pair = Pair::new(4, [config(300, 3), config(300, 3)]);
    pair.run(3 * SECOND);
    let before = pair.end(0).session.discriminator();
    pair.begin(1, config(300, 3));
    pair.run(2 * SECOND);
    assert_eq!(pair.up(), [true, true]);
    assert_ne!(
        pair.end(0).session.discriminator(),
        before,
        "another one after a fall"
    );
    assert!(
        pair.end(0)
            .verdicts
            .iter()
            .map(|v| v.1)
            .eq([false, true, false, true])
    );
}

#[test]
fn a_passive_session_speaks_when_it_is_spoken_to() {
    let passive = || BfdInstance {
        passive: true,
        ..config(50, 3)
    };
    let mut both = Pair::new(5, [passive(), passive()]);
    both.run(10 * SECOND);
    assert!(both.end(0).sent.is_empty() && both.end(1).sent.is_empty());

    let mut one = Pair::new(5, [config(50, 3), passive()]);
    one.run(SECOND);
    assert_eq!(one.up(), [true, true]);
    one.ends[0] = None;
    one.run(SECOND);
    let sent = one.end(1).sent.len();
    one.run(10 * SECOND);
    assert_eq!(
        (one.up()[1], one.end(1).sent.len()),
        (false, sent),
        "silent again"
    );
}

#[test]
fn what_the_neighbours_administrator_does_is_no_failure() {
    let mut pair = Pair::new(6, [config(50, 3), config(50, 3)]);
    pair.run(SECOND);
    let packet = Repr {
        state: State::AdminDown,
        ..pair.end(1).sent.last().unwrap().1
    };
    pair.ends[1] = None;
    pair.packet(0, packet);
    pair.run(5 * SECOND);
    assert!(!pair.end(0).session.is_up());
    assert_eq!(
        pair.end(0).session.snapshot(at(0)).diagnostic,
        Diagnostic::NeighborDown
    );
    assert_eq!(
        pair.end(0).verdicts.last().map(|v| v.1),
        Some(true),
        "watchers are not told"
    );
}

#[test]
fn a_session_that_cannot_send_is_down_until_it_can() {
    let mut pair = Pair::new(7, [config(50, 3), config(50, 3)]);
    pair.run(SECOND);
    pair.give(0, Event::Disable);
    let sent = pair.end(0).sent.len();
    assert_eq!(pair.end(0).verdicts.last().map(|v| v.1), Some(false));
    pair.run(5 * SECOND);
    assert_eq!((pair.up(), pair.end(0).sent.len()), ([false, false], sent));
    assert_eq!(pair.end(0).session.deadline(), None);
    pair.give(0, Event::Enable);
    pair.run(2 * SECOND);
    assert_eq!(pair.up(), [true, true]);
}

#[test]
fn new_intervals_come_into_force_when_the_neighbour_has_confirmed_them() {
    let mut pair = Pair::new(8, [config(50, 3), config(50, 3)]);
    pair.run(2 * SECOND);
    // No answer arrives for a while: it goes on in the old interval, and asks again.
    let begun = pair.now;
    let slow = BfdInstance {
        min_rx: Duration::from_millis(40),
        ..config(400, 3)
    };
    pair.loses = Box::new(move |now, to, _| to == 0 && now < begun + 50 * MS);
    pair.give(0, Event::Reconfigure(Arc::new(slow)));
    pair.run(50 * MS);
    let asked: Vec<_> = pair.end(0).sent.iter().filter(|(at, _)| *at >= begun).collect();
    assert!(
        asked.len() >= 2 && asked.iter().all(|(_, p)| p.poll && p.min_tx == 400_000),
        "{asked:?}"
    );
    let snapshot = pair.end(0).session.snapshot(at(0));
    assert!(snapshot.polling);
    assert_eq!(
        (snapshot.local.interval, snapshot.local.detection),
        (50_000, 150_000)
    );

    pair.run(5 * SECOND);
    let snapshot = pair.end(0).session.snapshot(at(0));
    assert!(!snapshot.polling);
    assert_eq!(
        (snapshot.local.interval, snapshot.local.detection),
        (400_000, 150_000)
    );
    assert_eq!(pair.end(1).session.snapshot(at(0)).local.detection, 1_200_000);
    assert_eq!((pair.up(), pair.falls()), ([true, true], 0));
}

#[test]
fn a_reload_without_a_change_does_nothing() {
    let mut pair = Pair::new(9, [config(50, 3), config(50, 3)]);
    pair.run(2 * SECOND);
    let (sent, deadline) = (pair.end(0).sent.len(), pair.end(0).session.deadline());
    pair.give(0, Event::Reconfigure(Arc::new(config(50, 3))));
    assert_eq!(
        (pair.end(0).sent.len(), pair.end(0).session.deadline()),
        (sent, deadline)
    );
}

#[test]
fn a_neighbour_in_demand_mode_gets_answers_only() {
    let mut pair = Pair::new(10, [config(50, 3), config(50, 3)]);
    pair.run(2 * SECOND);
    let packet = Repr {
        demand: true,
        ..pair.end(1).sent.last().unwrap().1
    };
    pair.ends[1] = None;
    let sent = pair.end(0).sent.len();
    for _ in 0..20 {
        pair.packet(0, packet);
        pair.run(40 * MS);
    }
    assert_eq!(pair.end(0).sent.len(), sent);
    pair.packet(0, Repr { poll: true, ..packet });
    assert_eq!(pair.end(0).sent.len(), sent + 1);
    assert!(pair.end(0).sent.last().unwrap().1.final_);
}

#[test]
fn a_neighbour_that_wants_no_packets_gets_none() {
    let mut pair = Pair::new(11, [config(50, 3), config(50, 3)]);
    pair.run(2 * SECOND);
    let packet = Repr {
        min_rx: 0,
        ..pair.end(1).sent.last().unwrap().1
    };
    pair.ends[1] = None;
    pair.packet(0, packet);
    let sent = pair.end(0).sent.len();
    pair.run(100 * MS);
    assert_eq!(pair.end(0).sent.len(), sent);
    // Gone, it is a neighbour like any other again.
    pair.run(5 * SECOND);
    assert!(pair.end(0).sent.len() > sent);
}

#[test]
fn a_flood_of_polls_is_answered_once_a_millisecond() {
    let mut pair = Pair::new(12, [config(50, 3), config(50, 3)]);
    pair.run(2 * SECOND);
    let poll = Repr {
        poll: true,
        ..pair.end(1).sent.last().unwrap().1
    };
    let sent = pair.end(0).sent.len();
    for _ in 0..10_000 {
        pair.packet(0, poll);
        pair.run(10_000);
    }
    let answers = pair.end(0).sent.len() - sent;
    assert!((90..=103).contains(&answers), "{answers} in 100 ms");
    assert!(pair.end(0).sent[sent..].iter().all(|(_, p)| p.final_ && !p.poll));
}

#[test]
fn nothing_that_arrives_can_disturb_more_than_the_session() {
    for seed in 0..50 {
        let mut pair = Pair::new(seed, [config(50, 3), config(50, 3)]);
        let mut random = Random::new(seed ^ 0xabcd);
        pair.run(SECOND);
        for _ in 0..2_000 {
            let mut bytes = pair.end(1).sent.last().unwrap().1.emit();
            for _ in 0..random.next() % 4 {
                let place = (random.next() % 24) as usize;
                bytes[place] = random.next() as u8;
            }
            if random.next().is_multiple_of(2) {
                let own = pair.end(0).session.discriminator();
                bytes[8..12].copy_from_slice(&own.to_be_bytes());
            }
            if let Ok(packet) = Repr::parse(&bytes) {
                pair.packet(0, packet);
            }
            pair.run(random.next() % (20 * MS));
        }
        // Both sides are themselves again when it is over; what was said of intervals is forgotten by then.
        for end in 0..2 {
            pair.begin(end, config(50, 3));
        }
        pair.run(3 * SECOND);
        assert_eq!(pair.up(), [true, true], "seed {seed}");
    }
}

#[test]
fn the_lines_come_in_keepalived_order() {
    let mut pair = Pair::new(13, [config(100, 3), config(100, 3)]);
    pair.run(5 * SECOND);
    let notices: Vec<BfdNotice> = pair.end(1).notices.iter().map(|n| n.1.clone()).collect();
    let entering = |notice: &BfdNotice| match notice {
        BfdNotice::Entering { state, .. } => Some(*state),
        _ => None,
    };
    let detection = |notice: &BfdNotice| match notice {
        BfdNotice::Parameters(table) => Some((table.before, table.local.detection)),
        _ => None,
    };
    assert_eq!(detection(&notices[0]), Some((0, 3_000_000)));
    assert_eq!(notices.iter().filter_map(entering).next_back(), Some(State::Up));
    let up = notices
        .iter()
        .position(|n| entering(n) == Some(State::Up))
        .unwrap();
    assert_eq!(notices[up + 1], BfdNotice::PollStarted);
    assert_eq!(
        notices.iter().filter_map(detection).next_back(),
        Some((3_000_000, 300_000))
    );
}
