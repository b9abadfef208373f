//! A group's task: restarts after a fault in the protocol code, and what they give back.

use super::*;
use crate::config::{self, DEFAULT_FILE, MemoryHost, ReadOptions};
use crate::state::interface::{IFF_BROADCAST, IFF_MULTICAST, IFF_RUNNING, IFF_UP};
use crate::state::{Interface, InterfaceAddress};
use crate::vrrp::plan::{Running, plan};
use std::time::SystemTime;

const SECOND: u64 = 1_000_000_000;

fn interface() -> Interface {
    let address = InterfaceAddress {
        address: "192.0.2.1".parse().unwrap(),
        prefix: 24,
        scope: 0,
        flags: 0,
        protocol: 0,
        label: None,
    };
    Interface {
        index: 2,
        name: "eth0".into(),
        flags: IFF_UP | IFF_RUNNING | IFF_BROADCAST | IFF_MULTICAST,
        mtu: 1500,
        hardware_type: 1,
        mac: vec![2, 0, 0, 0, 0, 1],
        mac_broadcast: vec![0xff; 6],
        addresses: vec![address],
        ..Interface::default()
    }
}

fn at(mono: u64) -> Now {
    Now {
        mono,
        wall: SystemTime::UNIX_EPOCH,
    }
}

/// An instance that is master and holds its address.
fn master() -> (Task, Rc<Shared>) {
    let mut host = MemoryHost::default();
    host.interface("eth0");
    let text = "vrrp_instance A {\n interface eth0\n virtual_router_id 1\n priority 255\n state MASTER\n \
                virtual_ipaddress {\n 192.0.2.100/24\n }\n}\n";
    host.file(DEFAULT_FILE, text);
    let reading = config::read(&host, &ReadOptions::default());
    let groups = plan(&Running::default(), &reading.configuration).running.groups;
    let shared = Rc::new(Shared {
        now: Cell::new(at(SECOND)),
        pending: Cell::new(0),
        outbox: RefCell::default(),
        ledger: RefCell::default(),
        page: RefCell::new(Page::create().unwrap().0),
    });
    let config = GroupConfig {
        group: None,
        members: groups[0].members(),
        interfaces: BTreeMap::from([("eth0".to_owned(), Arc::new(interface()))]),
        verdicts: BTreeMap::new(),
        detail: false,
        hold_until: 0,
    };
    let mut task = Task::start(groups[0].id, config, Vec::new(), shared.clone());
    tick(&mut task, &shared, 2 * SECOND);
    (task, shared)
}

fn tick(task: &mut Task, shared: &Shared, mono: u64) {
    shared.now.set(at(mono));
    task.take(Message::Event(Event::Tick));
    task.settle();
}

fn state(task: &mut Task, shared: &Shared) -> VrrpState {
    task.take(Message::Snapshot);
    let taken = shared.outbox.borrow_mut().snapshots.pop().unwrap();
    taken.instances[0].state
}

fn fail(task: &mut Task, shared: &Shared, mono: u64) -> Outbox {
    shared.outbox.take();
    shared.now.set(at(mono));
    task.take(Message::Fail);
    task.settle();
    shared.outbox.take()
}

fn claims(outbox: &Outbox) -> Vec<(bool, u64)> {
    let claim = |request: &KernelRequest| match request {
        KernelRequest::Claim { epoch, .. } => Some((true, *epoch)),
        KernelRequest::Release { epoch, .. } => Some((false, *epoch)),
        _ => None,
    };
    outbox.kernel.iter().filter_map(claim).collect()
}

#[test]
fn a_fault_gives_back_what_the_master_holds_and_starts_it_anew() {
    let (mut task, shared) = master();
    assert_eq!(state(&mut task, &shared), VrrpState::Master);
    let (claimed, before) = *claims(&shared.outbox.borrow()).last().unwrap();
    assert!(claimed);

    let outbox = fail(&mut task, &shared, 3 * SECOND);
    assert_eq!(outbox.panics.len(), 1);
    assert_eq!(outbox.panics[0].1, "a fault");
    let (_, zero) = &outbox.datagrams[0];
    // The priority is the third byte of the VRRP message, behind 20 of the IP header.
    assert_eq!(zero.bytes[22], 0);
    let (claimed, released) = claims(&outbox)[0];
    assert!(!claimed && released > before);

    tick(&mut task, &shared, 4 * SECOND);
    assert_eq!(state(&mut task, &shared), VrrpState::Master);
    let (claimed, again) = *claims(&shared.outbox.borrow()).last().unwrap();
    assert!(
        claimed && again > released,
        "the kernel thread must not take it for a stale one"
    );
}

#[test]
fn a_second_fault_in_short_order_leaves_it_in_fault_and_a_later_one_does_not() {
    let (mut task, shared) = master();
    fail(&mut task, &shared, 3 * SECOND);
    tick(&mut task, &shared, 4 * SECOND);
    let outbox = fail(&mut task, &shared, 70 * SECOND);
    assert!(outbox.panics[0].0.contains("starts anew"));
    tick(&mut task, &shared, 71 * SECOND);
    assert_eq!(state(&mut task, &shared), VrrpState::Master);

    let outbox = fail(&mut task, &shared, 80 * SECOND);
    assert!(outbox.panics[0].0.contains("stays in FAULT"));
    assert_eq!(state(&mut task, &shared), VrrpState::Fault);
    assert_eq!(outbox.deadlines.last().unwrap().1, None);
    tick(&mut task, &shared, 90 * SECOND);
    assert_eq!(state(&mut task, &shared), VrrpState::Fault);
}
