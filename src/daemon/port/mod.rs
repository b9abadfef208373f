//! The VRRP thread: one timer, the advert sockets, the groups. Nothing on it can wait.
//!
//! Each time it wakes: (1) what has arrived on the sockets, at most `AT_ONCE` datagrams each, so that a flood
//! cannot starve the timer; (2) adverts, then due deadlines, go to the groups' inboxes, and the groups run;
//! (3) the outbox goes out: datagrams first, one call for each socket, then the log's queue, the kernel thread's
//! orders and the notifications.
use super::bfd::Bfd;
use super::group_task::{Ledger, Message, Outbox, Shared, TakenSnapshot};
use super::guard::Page;
use super::late::Watch;
use crate::net::adverts::Buffers;
use crate::state::kernel::KernelRequest;
use crate::state::track::{TrackSource, Verdict};
use crate::state::{GroupId, InstanceId, Interface};
use crate::sys::clock;
use crate::sys::poll::Waker;
use crate::sys::timer::Deadline;
use crate::vrrp::Event;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::LocalSet;

mod bfd;
mod change;
mod deadlines;
mod message;
mod scheduling;
mod traffic;

use change::Interests;
use deadlines::Deadlines;
pub(super) use deadlines::Due;
pub use message::{Change, Command, Handle, Outputs, SocketId, Taken};
use traffic::{InstanceEntry, SocketEntry};

pub(super) use scheduling::Scheduler;
pub use scheduling::Scheduling;

/// Datagrams taken from one socket before the others and the timer have their turn.
const AT_ONCE: usize = 64;
/// Awake this long before a takeover, and before a BFD session falls.
const AWAKE_BEFORE: u64 = 250_000;
/// A deadline missed by more than this: everything that has arrived is read before it is believed.
const LATE: u64 = 5_000_000;
/// Most datagrams read from one socket then.
const MOST_WHEN_LATE: usize = 8192;

const KEY_WAKER: u64 = 0;
const KEY_TIMER: u64 = 1;
const KEY_SOCKETS: u64 = 2;
/// Behind all numbers of advert sockets.
const KEY_BFD: u64 = 1 << 40;

/// Says at its end, panic or not, that the thread has ended.
struct Obituary(Box<dyn Fn() + Send>);

impl Drop for Obituary {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Starts the thread. The page is for it to keep.
pub fn start(mut outputs: Outputs, page: Page) -> io::Result<Handle> {
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
        match Port::new(inbox, waker, beat, outputs, page) {
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
    deadline: Option<Due>,
    interests: Interests,
    members: Vec<InstanceId>,
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
    deadlines: Deadlines,
    /// What the kernel thread knows of the next takeover.
    expected: Option<u64>,
    /// The takeover that was rehearsed.
    rehearsed: Option<(u64, GroupId)>,
    interfaces: BTreeMap<String, Arc<Interface>>,
    verdicts: HashMap<TrackSource, Verdict>,
    buffers: Buffers,
    failures: Vec<Event>,
    watch: Watch,
    bfd: Bfd,
    scheduler: Scheduler,
    log_unknown: bool,
    hold_until: u64,
    ended: bool,
}

impl Port {
    fn new(
        commands: mpsc::Receiver<Command>,
        waker: Arc<Waker>,
        beat: Arc<AtomicU64>,
        outputs: Outputs,
        page: Page,
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
            page: RefCell::new(page),
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
            deadlines: Deadlines::default(),
            expected: None,
            rehearsed: None,
            interfaces: BTreeMap::new(),
            verdicts: HashMap::new(),
            buffers: Buffers::default(),
            failures: Vec::new(),
            watch: Watch::default(),
            bfd: Bfd::default(),
            scheduler: Scheduler::default(),
            log_unknown: false,
            hold_until: 0,
            ended: false,
        })
    }

    fn run(mut self) {
        let mut events = [EpollEvent::empty(); 64];
        while !self.ended {
            let timeout = self.prepare_to_wait();
            let ready = match self.epoll.wait(&mut events, timeout) {
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
                    key if key >= KEY_BFD => self.bfd.receive(key - KEY_BFD, self.shared.now.get()),
                    key => self.receive(SocketId((key - KEY_SOCKETS) as u32), AT_ONCE),
                }
            }
            self.work_on_bfd();
            self.believe_deadlines();
            self.turn();
            if told {
                self.waker.clear();
                self.obey();
            }
        }
    }

    /// Sets the timer. It wakes the thread a little before a takeover or the fall of a BFD session: what is left of
    /// the time is spent with looking at the sockets, since being woken takes as long as the rest of a takeover.
    fn prepare_to_wait(&mut self) -> EpollTimeout {
        let takeover = self.deadlines.takeover();
        if self.expected != takeover {
            self.expected = takeover;
            (self.outputs.expect)(takeover);
        }
        let now = clock::monotonic();
        let early = [takeover, self.bfd.next_fall()].map(|at| Some(at?.saturating_sub(AWAKE_BEFORE)));
        if early[0].is_some_and(|early| early <= now) {
            self.rehearse();
        }
        let early = early.into_iter().flatten().min();
        if early.is_some_and(|early| early <= now) {
            return EpollTimeout::ZERO;
        }
        let wake = early.into_iter().chain(self.next_deadline()).min();
        if let Err(error) = self.timer.set(wake) {
            tracing::error!(target: "vrrp", "cannot set the timer: {error}");
        }
        EpollTimeout::NONE
    }

    /// The group that is about to take over does so on a copy of itself.
    fn rehearse(&mut self) {
        let first = self.deadlines.first_takeover();
        if self.rehearsed == first {
            return;
        }
        self.rehearsed = first;
        (self.outputs.here)();
        if let Some((_, group)) = first {
            self.tell(group, Message::Rehearse);
            self.turn();
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
        let Some(first) = self.deadlines.first() else {
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
        while let Some(group) = self.deadlines.pop_due(now) {
            if let Some(entry) = self.groups.get_mut(&group) {
                entry.deadline = None;
            }
            self.tell(group, Message::Event(Event::Tick));
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
        // A takeover does not wait for its lines; and if the kernel thread is awake it sets the addresses while the
        // advert goes out, but announces them after it.
        let claims = |request: &KernelRequest| matches!(request, KernelRequest::Claim { .. });
        let claims = configure.is_none() && outbox.kernel.iter().all(claims);
        if claims && (self.outputs.awake)() {
            outbox.kernel.drain(..).for_each(&self.outputs.claim);
        }
        self.send_datagrams(&mut outbox);
        if claims {
            outbox.kernel.drain(..).for_each(&self.outputs.claim);
        }
        (self.outputs.sent)();
        self.bfd.say();
        for notice in outbox.notices.drain(..) {
            (self.outputs.report)(&notice);
        }
        (self.outputs.written)();
        for request in configure.into_iter().chain(outbox.kernel.drain(..)) {
            (self.outputs.kernel)(request);
        }
        for notification in outbox.notifications.drain(..) {
            (self.outputs.notify)(notification);
        }
        self.tell_guard(&mut outbox);
        for (group, deadline) in outbox.deadlines.drain(..) {
            let Some(entry) = self.groups.get_mut(&group) else {
                continue;
            };
            if entry.deadline == deadline {
                continue;
            }
            self.deadlines.change(group, entry.deadline, deadline);
            entry.deadline = deadline;
        }
        for (what, cause) in outbox.panics.drain(..) {
            tracing::error!(target: "vrrp", VRRP_CAUSE = cause.as_str(), "{what}: {cause}");
        }
        outbox.datagrams.clear();
        // The room that the vectors have grown to is kept for the next round.
        self.shared.outbox.replace(outbox);
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
                    self.scheduler.apply(&scheduling.settings);
                }
                Command::Bfd(order) => self.obey_bfd(*order),
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
            | Event::Removed { instance }
            | Event::SendFailed { instance, .. }
            | Event::Unreachable { instance, .. } => {
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
