//! The bookkeeping alone, with a table of links that no kernel has.

use super::*;
use crate::model::{Address, AddressFlags, IpNetwork, Lifetime};
use crate::net::message::{Answer, Writer, messages};

fn table() -> Table {
    let mut writer = Writer::default();
    writer.begin(libc::RTM_NEWLINK, 0, 1);
    writer.put(&[0, 0, 1, 0]);
    writer.put(&2u32.to_ne_bytes());
    writer.put(&0x1043u32.to_ne_bytes());
    writer.put(&[0; 4]);
    writer.attribute_text(libc::IFLA_IFNAME, "eth0");
    writer.end();
    let mut table = Table::default();
    for message in messages(writer.bytes()) {
        table.apply(&message);
    }
    assert!(table.by_name("eth0").is_some_and(|link| link.index == 2));
    table
}

fn address(last: u8) -> Address {
    Address {
        network: IpNetwork {
            address: IpAddr::from([192, 0, 2, last]),
            prefix: 24,
        },
        peer: None,
        broadcast: None,
        scope: 0,
        label: None,
        interface: "eth0".into(),
        interface_given: false,
        flags: AddressFlags::default(),
        no_track: false,
        preferred: Lifetime::Forever,
        preferred_given: false,
        over: None,
        use_vmac: false,
        track_group: None,
    }
}

fn instance(id: u32, hosts: std::ops::Range<u8>) -> KernelInstance {
    KernelInstance {
        id: InstanceId(id),
        name: format!("VI_{id}").into(),
        interface: "eth0".into(),
        vips: hosts.map(address).collect::<Vec<_>>().into(),
        excluded_vips: Vec::new().into(),
        routes: Vec::new().into(),
        rules: Vec::new().into(),
        accept: Accept::Enabled,
        promote_secondaries: false,
        owner: false,
        extra: Default::default(),
    }
}

/// Takes one slice and says that the kernel did it all: what was asked for.
fn work(desired: &mut Desired, most: usize, now: u64) -> (Vec<(Action, String)>, Vec<Outcome>) {
    let (table, mut after, mut out) = (table(), Vec::new(), Vec::new());
    let steps = desired.slice(most, now, &table, &mut after);
    desired.done(&steps, &vec![None; steps.len()], &mut out);
    out.extend(after);
    let asked = steps.iter().map(|step| {
        let operation = step.operation();
        (
            operation.action,
            operation.object.address().unwrap().network.address.to_string(),
        )
    });
    let out = out
        .into_iter()
        .filter_map(|outcome| desired.complete(outcome))
        .collect();
    (asked.collect(), out)
}

fn applied(outcomes: &[Outcome]) -> Vec<(u32, u64, usize)> {
    let applied = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Applied { instance, epoch, set } => {
            Some((instance.0, *epoch, set.iter().filter(|set| **set).count()))
        }
        _ => None,
    });
    applied.collect()
}

fn started(instances: Vec<KernelInstance>) -> Desired {
    let mut desired = Desired::default();
    desired.configure(instances, true, &table(), &mut Vec::new());
    desired
}

#[test]
fn a_claim_goes_in_slices_and_a_release_ends_it() {
    let mut desired = started(vec![instance(1, 0..10), instance(2, 100..102)]);
    let mut out = Vec::new();
    desired.claim(InstanceId(1), 1, 5, &mut out);
    desired.claim(InstanceId(2), 1, 5, &mut out);
    let (asked, outcomes) = work(&mut desired, 4, 0);
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|(action, _)| *action == Action::Add));
    assert_eq!(
        outcomes.len(),
        4,
        "each is announced with its slice: {outcomes:?}"
    );
    desired.release(InstanceId(1), 2, &mut out);
    assert!(out.contains(&Outcome::Cancel(InstanceId(1))));
    let (asked, outcomes) = work(&mut desired, 64, 0);
    let removed = asked
        .iter()
        .filter(|(action, _)| *action == Action::Remove)
        .count();
    assert_eq!(
        (removed, asked.len()),
        (10, 12),
        "then the other claim, and nothing of the ended one"
    );
    assert_eq!(applied(&outcomes), [(1, 2, 0), (2, 1, 2)]);
    assert!(desired.is_idle());
}

#[test]
fn stale_epochs_change_nothing() {
    let mut desired = started(vec![instance(1, 0..1)]);
    let mut out = Vec::new();
    desired.claim(InstanceId(1), 7, 5, &mut out);
    assert_eq!(applied(&work(&mut desired, 64, 0).1), [(1, 7, 1)]);
    out.clear();
    desired.release(InstanceId(1), 6, &mut out);
    desired.claim(InstanceId(1), 7, 5, &mut out);
    desired.release(InstanceId(9), 99, &mut out);
    assert!(out.is_empty() && desired.is_idle());
}

#[test]
fn only_changed_lists_are_reported_at_a_reload() {
    let mut desired = started(vec![instance(1, 0..3), instance(2, 10..12)]);
    let mut out = Vec::new();
    desired.claim(InstanceId(1), 1, 5, &mut out);
    desired.claim(InstanceId(2), 1, 5, &mut out);
    work(&mut desired, 64, 0);
    out.clear();
    let lists = vec![instance(1, 0..2), instance(2, 10..12)];
    desired.configure(lists, false, &table(), &mut out);
    let out: Vec<_> = out
        .into_iter()
        .filter_map(|outcome| desired.complete(outcome))
        .collect();
    assert_eq!(applied(&out), [(1, 1, 2)]);
}

#[test]
fn a_reload_announces_once_whenever_the_claim_that_follows_comes() {
    for slices_before in [0, 1, 8] {
        let mut desired = started(vec![instance(1, 0..4)]);
        let mut out = Vec::new();
        desired.claim(InstanceId(1), 1, 5, &mut out);
        work(&mut desired, 64, 0);
        desired.configure(vec![instance(1, 0..6)], false, &table(), &mut out);
        let mut outcomes = Vec::new();
        for _ in 0..slices_before {
            outcomes.extend(work(&mut desired, 2, 0).1);
        }
        desired.claim(InstanceId(1), 2, 5, &mut out);
        while !desired.is_idle() {
            outcomes.extend(work(&mut desired, 2, 0).1);
        }
        let announced = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Announce { .. }))
            .count();
        assert_eq!(announced, 6, "{slices_before} slices before the claim");
        assert_eq!(applied(&outcomes).last(), Some(&(1, 2, 6)));
    }
}

#[test]
fn an_address_goes_with_the_last_instance_that_has_it() {
    let mut desired = started(vec![instance(1, 0..2), instance(2, 1..3)]);
    let mut out = Vec::new();
    desired.claim(InstanceId(1), 1, 1, &mut out);
    desired.claim(InstanceId(2), 1, 1, &mut out);
    work(&mut desired, 64, 0);
    desired.release(InstanceId(1), 2, &mut out);
    assert_eq!(
        work(&mut desired, 64, 0).0,
        [(Action::Remove, "192.0.2.0".to_owned())]
    );
    desired.release(InstanceId(2), 2, &mut out);
    let asked = work(&mut desired, 64, 0).0;
    assert_eq!(
        asked.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
        ["192.0.2.1", "192.0.2.2"]
    );
}

#[test]
fn what_is_removed_again_and_again_is_put_back_with_growing_patience() {
    let mut desired = started(vec![instance(1, 5..6)]);
    desired.claim(InstanceId(1), 1, 1, &mut Vec::new());
    work(&mut desired, 64, 0);
    let key = Key::of_address(&address(5));
    let mut now = 1_000_000_000;
    let mut delays = Vec::new();
    for _ in 0..10 {
        let loss = desired.lost(&key, now, true).unwrap();
        let delay = loss.restore.unwrap();
        assert_eq!(loss.instance, InstanceId(1));
        assert_eq!(desired.deadline(), Some(now + delay));
        if delay > 0 {
            assert!(work(&mut desired, 64, now).0.is_empty(), "not yet");
        }
        now += delay;
        let (asked, outcomes) = work(&mut desired, 64, now);
        assert_eq!(asked, [(Action::Add, "192.0.2.5".to_owned())]);
        let restored = Outcome::Restored {
            instance: InstanceId(1),
            address: IpAddr::from([192, 0, 2, 5]),
        };
        assert!(outcomes.contains(&restored));
        delays.push(delay / 1_000_000);
    }
    assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    now += 61_000_000_000;
    assert_eq!(
        desired.lost(&key, now, true),
        Some(Loss {
            instance: InstanceId(1),
            restore: Some(0)
        }),
        "after a calm minute at once again"
    );
    // The interface is down: its addresses are nobody's fault.
    work(&mut desired, 64, now);
    assert_eq!(desired.lost(&key, now, false), None);
}

#[test]
fn our_own_removal_that_is_told_late_is_no_loss() {
    let mut desired = started(vec![instance(1, 5..6)]);
    let mut out = Vec::new();
    desired.claim(InstanceId(1), 1, 1, &mut out);
    work(&mut desired, 64, 0);
    desired.release(InstanceId(1), 2, &mut out);
    work(&mut desired, 64, 0);
    desired.claim(InstanceId(1), 3, 1, &mut out);
    work(&mut desired, 64, 0);
    let key = Key::of_address(&address(5));
    assert_eq!(desired.lost(&key, 1, true), None);
    assert_eq!(
        desired.lost(&key, 2, true),
        Some(Loss {
            instance: InstanceId(1),
            restore: Some(0)
        }),
        "the next one is somebody else's"
    );
}

#[test]
fn what_the_kernel_refuses_is_not_set() {
    let mut desired = started(vec![instance(1, 0..3)]);
    desired.claim(InstanceId(1), 1, 1, &mut Vec::new());
    let (table, mut out, mut after) = (table(), Vec::new(), Vec::new());
    let steps = desired.slice(64, 0, &table, &mut after);
    let refuse = |errno| {
        Some(Answer {
            sequence: 1,
            request: libc::RTM_NEWADDR,
            errno,
            text: None,
        })
    };
    desired.done(
        &steps,
        &[refuse(libc::EEXIST), refuse(libc::EINVAL), None],
        &mut out,
    );
    let set = after
        .into_iter()
        .find_map(|outcome| match desired.complete(outcome) {
            Some(Outcome::Applied { set, .. }) => Some(set),
            _ => None,
        });
    assert_eq!(
        set,
        Some(vec![true, false, true]),
        "there already, refused, added"
    );
}

#[test]
fn whatever_the_order_what_is_claimed_stays_and_the_rest_goes() {
    for seed in 0..50_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |end: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % end
        };
        let mut lists: Vec<Vec<u8>> = vec![vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9], vec![3, 10]];
        let make = |lists: &[Vec<u8>]| -> Vec<KernelInstance> {
            let one = |(id, list): (usize, &Vec<u8>)| KernelInstance {
                vips: list.iter().copied().map(address).collect::<Vec<_>>().into(),
                ..instance(id as u32, 0..0)
            };
            lists.iter().enumerate().map(one).collect()
        };
        let mut desired = started(make(&lists));
        let (mut claimed, mut epochs) = ([false; 4], [0_u64; 4]);
        let mut kernel: BTreeSet<String> = BTreeSet::new();
        for _ in 0..80 {
            let mut out = Vec::new();
            let id = below(4) as usize;
            match below(4) {
                0 => {
                    // An address leaves, moves, or is new.
                    let from = lists[id].clone();
                    let moved = from.get(below(4) as usize).copied();
                    lists[id].retain(|n| Some(*n) != moved);
                    let to = below(4) as usize;
                    let number = moved.filter(|_| below(3) > 0).unwrap_or(11 + below(20) as u8);
                    if !lists[to].contains(&number) {
                        lists[to].push(number);
                    }
                    desired.configure(make(&lists), false, &table(), &mut out);
                    for id in 0..4 {
                        if claimed[id] && below(2) == 0 {
                            epochs[id] += 1;
                            desired.claim(InstanceId(id as u32), epochs[id], 1, &mut out);
                        }
                    }
                }
                1 => {
                    epochs[id] += 1;
                    claimed[id] = !claimed[id];
                    match claimed[id] {
                        true => desired.claim(InstanceId(id as u32), epochs[id], 1, &mut out),
                        false => desired.release(InstanceId(id as u32), epochs[id], &mut out),
                    }
                }
                _ => {}
            }
            let wanted: BTreeSet<String> = (0..4)
                .filter(|id| claimed[*id])
                .flat_map(|id| lists[id].iter().map(|n| format!("192.0.2.{n}")))
                .collect();
            let drain = below(5) == 0;
            for _ in 0..if drain { 40 } else { below(3) } {
                for (action, address) in work(&mut desired, 1 + below(3) as usize, 0).0 {
                    match action {
                        Action::Add => drop(kernel.insert(address)),
                        Action::Remove => {
                            assert!(!wanted.contains(&address), "seed {seed}: {address} is claimed");
                            kernel.remove(&address);
                        }
                    }
                }
            }
            if drain {
                assert!(desired.is_idle());
                assert_eq!(kernel, wanted, "seed {seed}");
            }
        }
    }
}
