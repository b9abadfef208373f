//! Watchers, and what is accepted and sent, without a network.

use super::*;
use nix::sys::epoll::EpollCreateFlags;

fn session(name: &str, neighbor: &str, checker: bool) -> Arc<BfdInstance> {
    Arc::new(BfdInstance {
        name: name.into(),
        source: None,
        neighbor: neighbor.parse().unwrap(),
        min_rx: Duration::from_millis(10),
        min_tx: Duration::from_millis(10),
        idle_tx: Duration::from_secs(1),
        multiplier: 5,
        // It sends nothing.
        passive: true,
        ttl: None,
        max_hops: 0,
        multihop: true,
        weight: 0,
        reverse: false,
        vrrp: !checker,
        checker,
    })
}

#[test]
fn watchers_hear_how_it_is_and_what_comes_of_it() {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let world = World {
        epoll: &epoll,
        key: 0,
        interfaces: &BTreeMap::new(),
    };
    let now = clock::now();
    let mut bfd = Bfd::default();
    let first = vec![session("a", "127.0.0.2", true), session("b", "127.0.0.3", false)];
    bfd.obey(Order::Configure(first.clone()), now, &world);
    let verdicts: Vec<_> = bfd.take_verdicts().into_iter().map(|v| (v.name, v.up)).collect();
    assert_eq!(verdicts, [("b".into(), false)]);

    let (watcher, mut heard) = tokio::sync::mpsc::unbounded_channel();
    bfd.obey(Order::Watch(watcher), now, &world);
    let mut next = || heard.try_recv().ok().map(|v: BfdVerdict| (v.name, v.up));
    assert_eq!((next(), next()), (Some(("a".into(), false)), None));

    // Sessions that stay say nothing; another neighbour is another session.
    bfd.obey(Order::Configure(first), now, &world);
    assert_eq!(next(), None);
    let second = vec![session("a", "127.0.0.9", true), session("c", "127.0.0.4", true)];
    bfd.obey(Order::Configure(second), now, &world);
    assert_eq!(next(), Some(("a".into(), false)));
    assert_eq!((next(), next()), (Some(("c".into(), false)), None));
    let removed: Vec<String> = bfd.take_removed().iter().map(ToString::to_string).collect();
    assert_eq!(removed, ["a", "b"]);
}

#[test]
fn what_is_accepted_and_what_is_sent() {
    let with = |neighbor: &str, ttl, max_hops| BfdInstance {
        ttl,
        max_hops,
        ..(*session("a", neighbor, true)).clone()
    };
    for (config, sends, takes) in [
        (with("192.0.2.1", None, 0), 255, 255),
        (with("192.0.2.1", Some(200), 2), 200, 198),
        (with("192.0.2.1", None, -1), 255, 0),
        (with("192.0.2.1", None, 255), 255, 0),
        (with("2001:db8::1", None, 0), 255, 64),
        (with("2001:db8::1", Some(255), 0), 255, 255),
    ] {
        assert_eq!((ttl(&config), least_hops(&config)), (sends, takes), "{config:?}");
    }
}
