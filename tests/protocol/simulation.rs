//! Random networks of three routers: loss, delay, partition, pause, kill, stop, reload, link flaps. Every seed is
//! another story, and the same one each time; a seed that fails prints itself and its story.
//!
//! `SIMULATION_SEED=N` runs that one alone, `SIMULATION_SEEDS=N` so many (10,000 without).

use crate::lab::{MS, Rng, S, group_config, instance};
use crate::network::Net;
use keepalived_rs::model::vrrp::{Instance, Version};
use keepalived_rs::vrrp::{Event, Group, GroupConfig};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const VRIDS: [u8; 2] = [51, 52];

struct Shape {
    members: usize,
    interval: Duration,
    version: Version,
    nopreempt: bool,
    preempt_delay: Duration,
    equal: bool,
}

fn shape(rng: &mut Rng) -> Shape {
    let version = if rng.once_in(2) { Version::V2 } else { Version::V3 };
    let interval = match version {
        Version::V2 => Duration::from_secs(1 + rng.below(2)),
        Version::V3 => Duration::from_millis([10, 100, 250, 1000][rng.below(4) as usize]),
    };
    Shape {
        members: 1 + rng.below(2) as usize,
        interval,
        version,
        nopreempt: rng.once_in(4),
        preempt_delay: if rng.once_in(4) {
            Duration::from_millis(500 + rng.below(3000))
        } else {
            Duration::ZERO
        },
        equal: rng.once_in(5),
    }
}

fn instances(shape: &Shape, priority: u8) -> Vec<Instance> {
    let one = |vrid: &u8| {
        let mut config = instance(&format!("VI_{vrid}"), *vrid, priority);
        config.version = shape.version;
        config.advert_interval = shape.interval;
        config.nopreempt = shape.nopreempt && priority != 255;
        config.preempt_delay = if config.nopreempt {
            Duration::ZERO
        } else {
            shape.preempt_delay
        };
        config
    };
    VRIDS.iter().take(shape.members).map(one).collect()
}

/// Runs one seed. `Err` is what went wrong, with the story when it was asked for.
fn run(seed: u64, story: bool) -> Result<(), String> {
    let mut rng = Rng(seed);
    let shape = shape(&mut rng);
    let interval = shape.interval.as_nanos() as u64;
    let mut net = Net::new(rng.number());
    net.story = story.then(Vec::new);
    net.interval = interval;
    net.delay = [MS / 10, MS, 5 * MS][rng.below(3) as usize].min(interval / 4);
    net.jitter = [0, MS / 10, 2 * MS][rng.below(3) as usize].min(interval / 4);
    for host in 0..3u8 {
        let priority = match (shape.equal, host) {
            (true, _) => 100,
            (false, 2) if rng.once_in(6) => 255,
            (false, _) => 50 * (host + 1),
        };
        net.add(
            host + 1,
            vec![group_config(host + 1, &instances(&shape, priority))],
        );
    }
    for node in 0..3 {
        if !rng.once_in(4) {
            net.start(node);
        }
    }
    for _ in 0..8 + rng.below(8) {
        let pause = net.rng.below(5 * interval);
        net.run(net.now + pause);
        trouble(&mut net, &shape, &mut rng);
    }

    // Everything is mended; soon there is one master, and it stays the only one.
    net.loss = 0;
    net.hears = vec![vec![true; 3]; 3];
    for node in 0..3 {
        if !net.nodes[node].running {
            net.start(node);
        }
        if !net.nodes[node].up {
            net.link(node, true);
        }
        if net.nodes[node].paused {
            net.resume(node);
        }
        net.able_again(node);
    }
    net.tell(|| "all is mended".into());
    let down = 3 * interval + interval.max(S);
    let settled = net.now + 2 * down + net.delay + shape.preempt_delay.as_nanos() as u64 + down;
    net.run(settled);
    let vrids = VRIDS.iter().take(shape.members).map(|vrid| u32::from(*vrid));
    let masters = |net: &Net, vrid: u32| (0..3).filter(|node| net.master(*node, vrid)).collect::<Vec<_>>();
    for _ in 0..20 {
        net.run(net.now + interval / 3);
        for vrid in vrids.clone() {
            let now = masters(&net, vrid);
            if now.len() != 1 {
                net.violations.push(format!(
                    "VRID {vrid}: masters {now:?} in a network without trouble"
                ));
            }
        }
    }
    for node in 0..3 {
        let highest = |node: usize| net.nodes[node].configs[0].members[0].config.priority;
        let best = (0..3).max_by_key(|node| (highest(*node), *node)).unwrap_or(0);
        if !shape.nopreempt && !shape.equal && node == best && !net.master(node, 51) {
            net.violations
                .push(format!("host {node} has the highest priority and is not master"));
        }
        for group in &net.nodes[node].groups {
            let (_, members) = group.snapshot(crate::lab::at(net.now));
            for member in members {
                let s = member.statistics;
                let errors =
                    s.packet_len_err + s.checksum_err + s.version_err + s.ip_ttl_err + s.addr_list_err;
                if errors + s.invalid_type_rcvd + s.advert_interval_err + s.auth_failure + s.discarded > 0 {
                    net.violations
                        .push(format!("host {node} refused a good advert: {s:?}"));
                }
            }
        }
    }
    if net.violations.is_empty() {
        return Ok(());
    }
    let mut text = format!(
        "seed {seed} ({} members, {:?}, {:?})\n",
        shape.members, shape.interval, shape.version
    );
    for line in net.story.into_iter().flatten().chain(net.violations) {
        text.push_str(&line);
        text.push('\n');
    }
    Err(text)
}

/// One thing goes wrong, or right again.
fn trouble(net: &mut Net, shape: &Shape, rng: &mut Rng) {
    let node = rng.below(3) as usize;
    match rng.below(10) {
        0 if net.nodes[node].running => net.kill(node),
        1 if net.nodes[node].running && !net.nodes[node].paused => net.stop(node),
        0 | 1 if !net.nodes[node].running => net.start(node),
        2 => {
            let (a, b) = (node, (node + 1) % 3);
            let hears = rng.once_in(2);
            net.tell(|| format!("host {a} hears {b}: {hears}"));
            net.hears[a][b] = hears;
            if rng.once_in(2) {
                net.hears[b][a] = hears;
            }
        }
        3 => {
            for other in (0..3).filter(|other| *other != node) {
                net.hears[node][other] = false;
                net.hears[other][node] = false;
            }
            net.tell(|| format!("host {node} is alone"));
        }
        4 => {
            net.hears = vec![vec![true; 3]; 3];
            net.tell(|| "all hear each other".into());
        }
        5 => {
            net.loss = [0, 2, 3, 10][rng.below(4) as usize];
            let loss = net.loss;
            net.tell(|| format!("one packet in {loss} is lost"));
        }
        6 if net.nodes[node].running => {
            if net.nodes[node].paused {
                net.resume(node);
            } else {
                net.tell(|| format!("host {node} is paused"));
                net.nodes[node].paused = true;
                net.able_again(node);
            }
        }
        7 if net.nodes[node].running && !net.nodes[node].paused => {
            let up = !net.nodes[node].up;
            net.link(node, up);
        }
        8 if net.nodes[node].running && !net.nodes[node].paused => reload(net, shape, node, rng),
        9 if net.nodes[node].running && !net.nodes[node].paused && shape.members == 2 => {
            regroup(net, shape, node)
        }
        _ => {}
    }
}

/// Another priority, below those of the others or above them; the rank stays the same for all members.
fn reload(net: &mut Net, shape: &Shape, node: usize, rng: &mut Rng) {
    let priority = if shape.equal {
        100
    } else {
        50 * (node as u8 + 1) + rng.below(40) as u8
    };
    if net.nodes[node].configs.len() != 1 {
        return;
    }
    net.tell(|| format!("host {node} is reloaded with priority {priority}"));
    let mut config = group_config(net.nodes[node].host, &instances(shape, priority));
    config.interfaces = net.nodes[node].configs[0].interfaces.clone();
    net.nodes[node].configs = vec![config.clone()];
    net.event(node, |_| Event::Reconfigure(Box::new(config.clone())));
    net.able_again(node);
}

/// A reload that makes two lone instances of a sync group, or a sync group of the two.
fn regroup(net: &mut Net, shape: &Shape, node: usize) {
    net.tell(|| format!("host {node} is regrouped"));
    let priority = net.nodes[node].configs[0].members[0].config.priority;
    let all = instances(shape, priority);
    let host = net.nodes[node].host;
    let interfaces = net.nodes[node].configs[0].interfaces.clone();
    let mut configs: Vec<GroupConfig> = if net.nodes[node].configs.len() == 1 {
        all.iter()
            .map(|one| group_config(host, std::slice::from_ref(one)))
            .collect()
    } else {
        vec![group_config(host, &all)]
    };
    for config in &mut configs {
        config.interfaces = interfaces.clone();
    }
    let mut groups = std::mem::take(&mut net.nodes[node].groups);
    net.nodes[node].configs = configs.clone();
    let mut started = Vec::new();
    for config in configs {
        let ids: Vec<_> = config.members.iter().map(|member| member.id).collect();
        let moving = groups
            .iter_mut()
            .flat_map(|group| ids.iter().filter_map(|id| group.detach(*id)).collect::<Vec<_>>());
        let mut out = Vec::new();
        let moving = moving.collect();
        started.push((
            Group::start_with(config, moving, crate::lab::at(net.now), &mut out),
            out,
        ));
    }
    for (group, out) in started {
        net.nodes[node].groups.push(group);
        let effects = out;
        let at = net.nodes[node].groups.len() - 1;
        net.effects(node, at, effects);
    }
    net.able_again(node);
}

#[test]
fn ten_thousand_stories() {
    if let Some(seed) = std::env::var("SIMULATION_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        if let Err(text) = run(seed, true) {
            panic!("{text}");
        }
        return;
    }
    let seeds: u64 = std::env::var("SIMULATION_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10_000);
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(u64::MAX);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || failed.load(Ordering::Relaxed) != u64::MAX {
                        return;
                    }
                    let outcome = std::panic::catch_unwind(|| run(seed, false));
                    if !matches!(outcome, Ok(Ok(()))) {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seed = failed.load(Ordering::Relaxed);
    if seed != u64::MAX {
        let text = run(seed, true).expect_err("the same seed tells the same story");
        panic!("{text}\nagain: SIMULATION_SEED={seed} cargo test --test protocol ten_thousand");
    }
}
