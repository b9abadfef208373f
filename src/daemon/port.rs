//! The VRRP thread: one timer, the advert sockets, the groups. Nothing on it can wait.
//!
//! Each time it wakes: (1) what has arrived on the sockets, at most `AT_ONCE` datagrams each, so that a flood
//! cannot starve the timer; (2) adverts, then due deadlines, go to the groups' inboxes, and the groups run;
//! (3) the outbox goes out: datagrams first, one call for each socket, then the log's queue, the kernel thread's
//! orders and the notifications.

use super::group_task::{Ledger, Message, Outbox, Shared, TakenSnapshot, Task};
use super::late::{Lateness, Watch};
use crate::model::globals::ProcessSettings;
use crate::net::adverts::{AdvertSockets, Buffers, Cast};
use crate::state::kernel::KernelRequest;
use crate::state::notice::Notice;
use crate::state::notify::Notification;
use crate::state::snapshot::{GroupSnapshot, InstanceSnapshot};
use crate::state::track::{TrackSource, Verdict};
use crate::state::{GroupId, InstanceId, Interface};
use crate::sys::poll::Waker;
use crate::sys::timer::Deadline;
use crate::sys::{clock, schedule};
use crate::vrrp::group::{Datagram, Detached};
use crate::vrrp::plan::{Fate, Plan, PlannedGroup};
use crate::vrrp::{Event, GroupConfig, Received};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

/// Datagrams taken from one socket before the others and the timer have their turn.
const AT_ONCE: usize = 64;
/// A deadline missed by more than this: everything that has arrived is read before it is believed.
const LATE: u64 = 5_000_000;
/// Most datagrams read from one socket then.
const MOST_WHEN_LATE: usize = 8192;

const KEY_WAKER: u64 = 0;
const KEY_TIMER: u64 = 1;
const KEY_SOCKETS: u64 = 2;

/// A socket pair of the VRRP thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// What the VRRP thread is told.
pub enum Command {
    /// A new set of groups, at start or from a reload.
    Apply(Box<Change>),
    /// A socket has been opened.
    Open(SocketId, Box<AdvertSockets>),
    /// A socket is no longer wanted.
    Close(SocketId),
    /// The instance uses this socket, or none.
    Attach(InstanceId, Option<SocketId>),
    /// An interface, a tracker's verdict, or an answer of the kernel thread.
    Event(Event),
    /// Take a snapshot of all groups.
    Snapshot(mpsc::Sender<Taken>),
    /// Take a snapshot of all groups, then set their counters to zero.
    SnapshotAndClear(mpsc::Sender<Taken>),
    /// Scheduling of this thread.
    Schedule(Box<Scheduling>),
    /// Answer: I am alive.
    Beat,
    /// Stop: priority 0 and release, then the sender is dropped.
    Stop {
        /// `--dont-release-vrrp`.
        keep: bool,
        /// Dropped when all is sent.
        done: mpsc::Sender<()>,
    },
    /// The thread ends.
    End,
}

/// From a set of groups to the next one, in one step.
pub struct Change {
    /// The plan.
    pub plan: Plan,
    /// Goes to the kernel thread after the adverts and before the groups' own orders.
    pub kernel: KernelRequest,
    /// `-D`.
    pub detail: bool,
    /// See [`GroupConfig::hold_until`].
    pub hold_until: u64,
    /// `log_unknown_vrids`.
    pub log_unknown: bool,
    /// Dropped when the step is done.
    pub done: mpsc::Sender<()>,
}

/// How the thread is scheduled.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduling {
    /// `vrrp_*`.
    pub settings: ProcessSettings,
    /// Name of the thread, where the file gives one.
    pub name: Option<String>,
    /// `max_auto_priority`.
    pub max_auto_priority: i32,
    /// `min_auto_priority_delay`, nanoseconds.
    pub late: u64,
}

/// Groups and instances at one moment, in no particular order.
#[derive(Debug, Default)]
pub struct Taken {
    /// Sync groups.
    pub groups: Vec<GroupSnapshot>,
    /// Instances.
    pub instances: Vec<InstanceSnapshot>,
}

/// Where the VRRP thread puts what others must do. None of these may wait.
pub struct Outputs {
    /// To the kernel thread.
    pub kernel: Box<dyn Fn(KernelRequest) + Send>,
    /// Sockets to close: leaving a group takes the kernel's rtnl lock.
    pub close: Box<dyn Fn(AdvertSockets) + Send>,
    /// To the services thread.
    pub notify: Box<dyn Fn(Notification) + Send>,
    /// To the log.
    pub report: Box<dyn Fn(&Notice) + Send>,
    /// It was late, or a deadline was: somebody else finds out why.
    pub late: Box<dyn Fn(Lateness) + Send>,
    /// The thread has ended, for whatever reason.
    pub ended: Box<dyn Fn() + Send>,
}

/// Says at its end, panic or not, that the thread has ended.
struct Obituary(Box<dyn Fn() + Send>);

impl Drop for Obituary {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Tells the VRRP thread something. Never waits.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
    beat: Arc<AtomicU64>,
}

impl Handle {
    /// Sends a command. A thread that has ended takes none; whoever supervises notices that by its own means.
    pub fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }

    /// Answers to [`Command::Beat`] so far.
    pub fn beats(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }
}

/// Starts the thread.
pub fn start(mut outputs: Outputs) -> io::Result<Handle> {
    let (commands, inbox) = mpsc::channel();
    let waker = Arc::new(Waker::new()?);
    let beat = Arc::new(AtomicU64::new(0));
    let handle = Handle {
        commands,
        waker: waker.clone(),
        beat: beat.clone(),
    };
    let (ready, told) = mpsc::channel();
    std::thread::Builder::new().name("vrrp".into()).spawn(move || {
        let _obituary = Obituary(std::mem::replace(&mut outputs.ended, Box::new(|| {})));
        match Port::new(inbox, waker, beat, outputs) {
            Ok(port) => {
                drop(ready);
                port.run();
            }
            Err(error) => {
                let _ = ready.send(error);
            }
        }
    })?;
    match told.recv() {
        Ok(error) => Err(error),
        Err(_) => Ok(handle),
    }
}

struct GroupEntry {
    inbox: UnboundedSender<Message>,
    deadline: Option<u64>,
    interests: Interests,
    members: Vec<InstanceId>,
}

/// Names that a group wants to hear of.
struct Interests {
    interfaces: BTreeSet<String>,
    trackers: BTreeSet<TrackSource>,
}

struct InstanceEntry {
    group: GroupId,
    vrid: u8,
    peers: Vec<IpAddr>,
    socket: Option<SocketId>,
}

struct SocketEntry {
    socket: Box<AdvertSockets>,
    /// By VRID. Several when unicast instances share a source address.
    instances: BTreeMap<u8, Vec<InstanceId>>,
    unknown: u64,
    unknown_logged: BTreeSet<u8>,
}

struct Port {
    epoll: Epoll,
    commands: mpsc::Receiver<Command>,
    waker: Arc<Waker>,
    beat: Arc<AtomicU64>,
    timer: Deadline,
    outputs: Outputs,
    runtime: tokio::runtime::Runtime,
    local: LocalSet,
    shared: Rc<Shared>,
    groups: BTreeMap<GroupId, GroupEntry>,
    instances: BTreeMap<InstanceId, InstanceEntry>,
    sockets: BTreeMap<SocketId, SocketEntry>,
    wanted_sockets: BTreeMap<InstanceId, SocketId>,
    deadlines: BTreeSet<(u64, GroupId)>,
    interfaces: BTreeMap<String, Arc<Interface>>,
    verdicts: HashMap<TrackSource, Verdict>,
    buffers: Buffers,
    failures: Vec<Event>,
    watch: Watch,
    log_unknown: bool,
    ended: bool,
}

impl Port {
    fn new(
        commands: mpsc::Receiver<Command>,
        waker: Arc<Waker>,
        beat: Arc<AtomicU64>,
        outputs: Outputs,
    ) -> io::Result<Port> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = Deadline::new()?;
        epoll.add(waker.as_ref(), EpollEvent::new(EpollFlags::EPOLLIN, KEY_WAKER))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, KEY_TIMER))?;
        // It only runs the groups' tasks: readiness and time come from the loop below.
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let shared = Rc::new(Shared {
            now: Cell::new(clock::now()),
            pending: Cell::new(0),
            outbox: RefCell::new(Outbox::default()),
            ledger: RefCell::new(BTreeMap::<InstanceId, Ledger>::new()),
        });
        Ok(Port {
            epoll,
            commands,
            waker,
            beat,
            timer,
            outputs,
            runtime,
            local: LocalSet::new(),
            shared,
            groups: BTreeMap::new(),
            instances: BTreeMap::new(),
            sockets: BTreeMap::new(),
            wanted_sockets: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            interfaces: BTreeMap::new(),
            verdicts: HashMap::new(),
            buffers: Buffers::default(),
            failures: Vec::new(),
            watch: Watch::default(),
            log_unknown: false,
            ended: false,
        })
    }

    fn run(mut self) {
        let mut events = [EpollEvent::empty(); 64];
        while !self.ended {
            if let Err(error) = self.timer.set(self.deadlines.first().map(|d| d.0)) {
                tracing::error!(target: "vrrp", "cannot set the timer: {error}");
            }
            let ready = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => {
                    tracing::error!(target: "vrrp", "cannot wait for packets: {error}");
                    return;
                }
            };
            self.shared.now.set(clock::now());
            let mut told = false;
            for event in &events[..ready] {
                match event.data() {
                    KEY_WAKER => told = true,
                    KEY_TIMER => {
                        self.timer.expired();
                    }
                    key => self.receive(SocketId((key - KEY_SOCKETS) as u32), AT_ONCE),
                }
            }
            self.believe_deadlines();
            self.turn();
            if told {
                self.waker.clear();
                self.obey();
            }
        }
    }

    /// The groups work, and what they want done is done.
    fn turn(&mut self) {
        self.run_groups();
        self.flush();
        while !self.failures.is_empty() {
            for event in std::mem::take(&mut self.failures) {
                self.dispatch(event);
            }
            self.run_groups();
            self.flush();
        }
    }

    /// Deadlines that are reached go to their groups. After a late wake-up everything that has arrived
    /// meanwhile is read first: an advert that lies in a socket has kept its time.
    fn believe_deadlines(&mut self) {
        let Some(&(first, _)) = self.deadlines.first() else {
            return;
        };
        let now = self.shared.now.get().mono;
        if first > now {
            return;
        }
        let late = now - first;
        if late > LATE {
            let all: Vec<SocketId> = self.sockets.keys().copied().collect();
            for socket in all {
                self.receive(socket, MOST_WHEN_LATE);
            }
        }
        if let Some(lateness) = self.watch.check(late) {
            (self.outputs.late)(lateness);
        }
        while let Some(&(at, group)) = self.deadlines.first() {
            if at > now {
                break;
            }
            self.deadlines.pop_first();
            if let Some(entry) = self.groups.get_mut(&group) {
                entry.deadline = None;
            }
            self.tell(group, Message::Event(Event::Tick));
        }
    }

    fn receive(&mut self, id: SocketId, most: usize) {
        let Some(entry) = self.sockets.get_mut(&id) else {
            return;
        };
        let SocketEntry {
            socket,
            instances,
            unknown,
            unknown_logged,
        } = entry;
        let mut packets: Vec<(InstanceId, Received)> = Vec::new();
        let mut strangers: Vec<(u8, IpAddr)> = Vec::new();
        let result = socket.receive(&mut self.buffers, most, |packet| {
            let offset = if packet.ah { 25 } else { 1 };
            let Some(&vrid) = packet.message.get(offset) else {
                return;
            };
            match choose(instances.get(&vrid), packet.source, &self.instances) {
                Some(instance) => packets.push((instance, packet.into())),
                None => {
                    *unknown += 1;
                    if unknown_logged.insert(vrid) {
                        strangers.push((vrid, packet.source));
                    }
                }
            }
        });
        if let Err(error) = result {
            tracing::debug!(target: "vrrp", "cannot receive on {}: {error}", socket.spec().interface);
        }
        if self.log_unknown {
            for (vrid, source) in strangers {
                let place = match socket.spec().cast {
                    Cast::Multicast(_) => format!("on interface({})", socket.spec().interface),
                    Cast::Unicast(_) => format!("from {source}"),
                };
                tracing::info!(target: "vrrp", VRRP_PEER = %source, "Unknown VRID({vrid}) received {place}. ignoring...");
            }
        }
        for (instance, packet) in packets {
            if let Some(group) = self.instances.get(&instance).map(|i| i.group) {
                self.tell(group, Message::Event(Event::Packet { instance, packet }));
            }
        }
    }

    fn tell(&self, group: GroupId, message: Message) {
        if let Some(entry) = self.groups.get(&group)
            && entry.inbox.send(message).is_ok()
        {
            self.shared.pending.set(self.shared.pending.get() + 1);
        }
    }

    fn run_groups(&mut self) {
        if self.shared.pending.get() == 0 {
            return;
        }
        let shared = self.shared.clone();
        self.local.block_on(&self.runtime, async move {
            while shared.pending.get() > 0 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Datagrams first.
    fn flush(&mut self) {
        self.flush_with(None);
    }

    fn flush_with(&mut self, configure: Option<KernelRequest>) {
        let mut outbox = self.shared.outbox.take();
        self.send_datagrams(&mut outbox);
        for notice in outbox.notices.drain(..) {
            (self.outputs.report)(&notice);
        }
        // After the lines: those that the kernel thread writes about an order follow the one that explains it.
        for request in configure.into_iter().chain(outbox.kernel.drain(..)) {
            (self.outputs.kernel)(request);
        }
        for notification in outbox.notifications.drain(..) {
            (self.outputs.notify)(notification);
        }
        for (group, deadline) in outbox.deadlines.drain(..) {
            let Some(entry) = self.groups.get_mut(&group) else {
                continue;
            };
            if entry.deadline == deadline {
                continue;
            }
            if let Some(before) = entry.deadline {
                self.deadlines.remove(&(before, group));
            }
            if let Some(at) = deadline {
                self.deadlines.insert((at, group));
            }
            entry.deadline = deadline;
        }
        for (what, cause) in outbox.panics.drain(..) {
            tracing::error!(target: "vrrp", VRRP_CAUSE = cause.as_str(), "{what}: {cause}");
        }
        outbox.datagrams.clear();
        // The room that the vectors have grown to is kept for the next round.
        self.shared.outbox.replace(outbox);
    }

    fn send_datagrams(&mut self, outbox: &mut Outbox) {
        let socket_of = |instance: &InstanceId| self.instances.get(instance).and_then(|i| i.socket);
        let mut batches: BTreeMap<SocketId, Vec<&(InstanceId, Datagram)>> = BTreeMap::new();
        for datagram in &outbox.datagrams {
            match socket_of(&datagram.0).filter(|s| self.sockets.contains_key(s)) {
                Some(socket) => batches.entry(socket).or_default().push(datagram),
                None => self.failures.push(failure(datagram, libc::ENODEV)),
            }
        }
        for (socket, batch) in batches {
            let Some(entry) = self.sockets.get_mut(&socket) else {
                continue;
            };
            let failures = &mut self.failures;
            entry
                .socket
                .send(&mut self.buffers, batch.iter().map(|d| &d.1), |at, errno| {
                    // No room now: the next advert follows soon enough.
                    if let Some(datagram) = batch.get(at)
                        && !matches!(errno, libc::ENOBUFS | libc::EAGAIN)
                    {
                        failures.push(failure(datagram, errno));
                    }
                });
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.shared.now.set(clock::now());
            match command {
                Command::Apply(change) => self.apply(*change),
                Command::Open(id, socket) => self.open(id, socket),
                Command::Close(id) => self.close(id),
                Command::Attach(instance, socket) => self.attach(instance, socket),
                Command::Event(event) => {
                    self.dispatch(event);
                    self.turn();
                }
                Command::Snapshot(reply) => {
                    let _ = reply.send(self.snapshot());
                }
                Command::SnapshotAndClear(reply) => {
                    let taken = self.snapshot();
                    for group in self.groups.keys() {
                        self.tell(*group, Message::ClearStatistics);
                    }
                    self.turn();
                    let _ = reply.send(taken);
                }
                Command::Schedule(scheduling) => {
                    self.watch.configure(&scheduling);
                    if let Some(name) = &scheduling.name {
                        crate::process::set_comm(name);
                    }
                    set_scheduling(&scheduling);
                }
                Command::Beat => {
                    self.beat.fetch_add(1, Ordering::Relaxed);
                }
                Command::Stop { keep, done } => {
                    for group in self.groups.keys() {
                        self.tell(*group, Message::Event(Event::Stop { keep }));
                    }
                    self.turn();
                    drop(done);
                }
                Command::End => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    /// Events that concern several groups are remembered for those that come later.
    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Applied { instance, .. }
            | Event::Packet { instance, .. }
            | Event::SendFailed { instance, .. } => {
                if let Some(group) = self.instances.get(&instance).map(|i| i.group) {
                    self.tell(group, Message::Event(event));
                }
            }
            Event::Interface(interface) => {
                self.interfaces.insert(interface.name.clone(), interface.clone());
                for (group, entry) in &self.groups {
                    if entry.interests.interfaces.contains(&interface.name) {
                        self.tell(*group, Message::Event(Event::Interface(interface.clone())));
                    }
                }
            }
            Event::InterfaceGone { index, name } => {
                self.interfaces.remove(&name);
                for (group, entry) in &self.groups {
                    if entry.interests.interfaces.contains(&name) {
                        let name = name.clone();
                        self.tell(*group, Message::Event(Event::InterfaceGone { index, name }));
                    }
                }
            }
            Event::Track { source, verdict } => {
                self.verdicts.insert(source.clone(), verdict);
                for (group, entry) in &self.groups {
                    if entry.interests.trackers.contains(&source) {
                        let source = source.clone();
                        self.tell(*group, Message::Event(Event::Track { source, verdict }));
                    }
                }
            }
            Event::Tick | Event::Reconfigure(_) | Event::Stop { .. } => {}
        }
    }

    /// From the present groups to those of the plan. Members move first, then groups change, then new ones
    /// start: all before anything is sent, so that there is no moment at which half of it is done.
    fn apply(&mut self, change: Change) {
        let plan = &change.plan;
        self.log_unknown = change.log_unknown;
        let mut leaving: BTreeMap<GroupId, Vec<InstanceId>> = BTreeMap::new();
        for (instance, (from, _)) in &plan.moved {
            leaving.entry(*from).or_default().push(*instance);
        }
        for (group, instances) in leaving {
            self.tell(group, Message::Detach(instances));
        }
        self.run_groups();
        let mut detached = std::mem::take(&mut self.shared.outbox.borrow_mut().detached);

        let mut ended = Vec::new();
        for id in &plan.ended {
            // Members that are neither moved nor named are removed by it.
            self.tell(
                *id,
                Message::Event(Event::Reconfigure(Box::new(self.config(None, &change)))),
            );
            ended.push(*id);
        }
        for (group, fate) in plan.running.groups.iter().zip(&plan.groups) {
            if *fate == Fate::Change {
                for member in &group.members {
                    if let Some(member) = detached.remove(&member.id) {
                        self.tell(group.id, Message::Attach(member));
                    }
                }
                let config = Box::new(self.config(Some(group), &change));
                self.tell(group.id, Message::Event(Event::Reconfigure(config)));
            }
        }
        self.run_groups();
        for id in ended {
            if let Some(deadline) = self.groups.remove(&id).and_then(|e| e.deadline) {
                self.deadlines.remove(&(deadline, id));
            }
        }
        self.forget(plan);
        for (group, fate) in plan.running.groups.iter().zip(&plan.groups) {
            self.remember(group);
            if *fate == Fate::Add {
                let attached = group
                    .members
                    .iter()
                    .filter_map(|m| detached.remove(&m.id))
                    .collect();
                self.add(group, self.config(Some(group), &change), attached);
            }
            if *fate != Fate::Keep {
                self.tell_verdicts(group.id);
            }
        }
        self.run_groups();
        self.flush_with(Some(change.kernel));
        self.turn();
        drop(change.done);
    }

    fn config(&self, group: Option<&PlannedGroup>, change: &Change) -> GroupConfig {
        GroupConfig {
            group: group.and_then(|g| g.group.clone()),
            members: group.map(PlannedGroup::members).unwrap_or_default(),
            interfaces: self.interfaces.clone(),
            detail: change.detail,
            hold_until: change.hold_until,
        }
    }

    #[allow(clippy::vec_box)]
    fn add(&mut self, group: &PlannedGroup, config: GroupConfig, attached: Vec<Box<Detached>>) {
        let (inbox, messages) = unbounded_channel();
        let entry = GroupEntry {
            inbox,
            deadline: None,
            interests: interests(group),
            members: group.members.iter().map(|m| m.id).collect(),
        };
        self.groups.insert(group.id, entry);
        let task = Task::start(group.id, config, attached, self.shared.clone());
        self.local.spawn_local(task.run(messages));
    }

    fn tell_verdicts(&self, group: GroupId) {
        let Some(entry) = self.groups.get(&group) else {
            return;
        };
        for source in &entry.interests.trackers {
            if let Some(verdict) = self.verdicts.get(source) {
                self.tell(
                    group,
                    Message::Event(Event::Track {
                        source: source.clone(),
                        verdict: *verdict,
                    }),
                );
            }
        }
    }

    fn forget(&mut self, plan: &Plan) {
        for instance in &plan.removed {
            // Its last advert is still to be sent: it keeps its socket until the flush that follows.
            if let Some(entry) = self.instances.get(instance)
                && let Some(socket) = entry.socket
                && let Some(socket) = self.sockets.get_mut(&socket)
            {
                unregister(socket, *instance);
            }
        }
    }

    fn remember(&mut self, group: &PlannedGroup) {
        for member in &group.members {
            let socket = self.wanted_sockets.get(&member.id).copied();
            self.instances.insert(
                member.id,
                InstanceEntry {
                    group: group.id,
                    vrid: member.config.vrid,
                    peers: member.config.peers.iter().map(|p| p.address).collect(),
                    socket: None,
                },
            );
            self.attach(member.id, socket);
        }
        if let Some(entry) = self.groups.get_mut(&group.id) {
            entry.interests = interests(group);
            entry.members = group.members.iter().map(|m| m.id).collect();
        }
    }

    fn attach(&mut self, instance: InstanceId, socket: Option<SocketId>) {
        match socket {
            Some(socket) => self.wanted_sockets.insert(instance, socket),
            None => self.wanted_sockets.remove(&instance),
        };
        for entry in self.sockets.values_mut() {
            unregister(entry, instance);
        }
        let Some(entry) = self.instances.get_mut(&instance) else {
            return;
        };
        entry.socket = socket;
        if let Some(socket) = socket.and_then(|s| self.sockets.get_mut(&s)) {
            socket.instances.entry(entry.vrid).or_default().push(instance);
        }
    }

    fn open(&mut self, id: SocketId, socket: Box<AdvertSockets>) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, KEY_SOCKETS + u64::from(id.0));
        if let Err(error) = self.epoll.add(socket.as_fd(), event) {
            tracing::error!(target: "vrrp", "cannot wait for packets on {}: {error}", socket.spec().interface);
            return;
        }
        self.sockets.insert(
            id,
            SocketEntry {
                socket,
                instances: BTreeMap::new(),
                unknown: 0,
                unknown_logged: BTreeSet::new(),
            },
        );
    }

    fn close(&mut self, id: SocketId) {
        if let Some(entry) = self.sockets.remove(&id) {
            let _ = self.epoll.delete(entry.socket.as_fd());
            (self.outputs.close)(*entry.socket);
        }
    }

    fn snapshot(&mut self) -> Taken {
        for group in self.groups.keys() {
            self.tell(*group, Message::Snapshot);
        }
        self.run_groups();
        let taken: Vec<TakenSnapshot> = std::mem::take(&mut self.shared.outbox.borrow_mut().snapshots);
        self.turn();
        let mut all = Taken::default();
        for group in taken {
            all.groups.extend(group.group);
            all.instances.extend(group.instances);
        }
        for instance in &mut all.instances {
            let socket = self.instances.get(&instance.id).and_then(|i| i.socket);
            if let Some(entry) = socket.and_then(|s| self.sockets.get(&s)) {
                instance.sockets = Some(entry.socket.fds());
                instance.statistics.vrid_err = entry.unknown;
            }
        }
        all
    }
}

fn failure((instance, datagram): &(InstanceId, Datagram), errno: i32) -> Event {
    Event::SendFailed {
        instance: *instance,
        destination: datagram.destination,
        errno,
    }
}

fn unregister(socket: &mut SocketEntry, instance: InstanceId) {
    socket.instances.retain(|_, list| {
        list.retain(|i| *i != instance);
        !list.is_empty()
    });
}

/// The instance of a VRID on a socket; unicast instances that share both are told apart by their peers.
fn choose(
    candidates: Option<&Vec<InstanceId>>,
    source: IpAddr,
    instances: &BTreeMap<InstanceId, InstanceEntry>,
) -> Option<InstanceId> {
    let candidates = candidates?;
    if let [only] = candidates.as_slice() {
        return Some(*only);
    }
    candidates
        .iter()
        .find(|id| instances.get(id).is_some_and(|i| i.peers.contains(&source)))
        .or_else(|| candidates.first())
        .copied()
}

fn interests(group: &PlannedGroup) -> Interests {
    let mut interfaces = BTreeSet::new();
    let mut trackers = BTreeSet::new();
    let mut track = |scripts: &[crate::model::Tracked],
                     files: &[crate::model::Tracked],
                     processes: &[crate::model::Tracked],
                     bfd: &[crate::model::Tracked]| {
        trackers.extend(
            scripts
                .iter()
                .map(|t| TrackSource::Script(t.name.as_str().into())),
        );
        trackers.extend(files.iter().map(|t| TrackSource::File(t.name.as_str().into())));
        trackers.extend(
            processes
                .iter()
                .map(|t| TrackSource::Process(t.name.as_str().into())),
        );
        trackers.extend(bfd.iter().map(|t| TrackSource::Bfd(t.name.as_str().into())));
    };
    if let Some(sync) = &group.group {
        interfaces.extend(sync.track_interfaces.iter().map(|t| t.name.clone()));
        track(
            &sync.track_scripts,
            &sync.track_files,
            &sync.track_processes,
            &sync.track_bfd,
        );
    }
    for member in &group.members {
        let config = &member.config;
        interfaces.insert(config.interface.clone());
        interfaces.extend(config.track_interfaces.iter().map(|t| t.name.clone()));
        let addresses = config.vips.iter().chain(&config.excluded_vips);
        interfaces.extend(addresses.map(|a| a.interface.clone()));
        track(
            &config.track_scripts,
            &config.track_files,
            &config.track_processes,
            &config.track_bfd,
        );
    }
    Interests { interfaces, trackers }
}

fn set_scheduling(scheduling: &Scheduling) {
    let settings = &scheduling.settings;
    let failed = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            tracing::warn!(target: "vrrp", "Unable to set {what} of the VRRP thread - {error}");
        }
    };
    match settings.realtime {
        Some(priority) => failed("real-time priority", schedule::set_realtime(priority)),
        None => failed("scheduling", schedule::clear_realtime()),
    }
    if settings.nice != 0 {
        failed("priority", schedule::set_nice(settings.nice));
    }
    if !settings.affinity.is_empty() {
        failed("CPU affinity", schedule::set_affinity(&settings.affinity));
    }
    if settings.no_swap
        && let Err(error) = schedule::lock_memory()
    {
        tracing::info!(target: "vrrp", "Unable to lock process in memory - {error}");
    }
    // The default is not set: keepalived's parent starts a killed child again, here the kernel would end it all
    // because of a burst of work.
    if settings.realtime.is_some() && settings.rlimit_rttime != ProcessSettings::default().rlimit_rttime {
        failed(
            "real-time limit",
            schedule::limit_realtime(settings.rlimit_rttime),
        );
    }
}
