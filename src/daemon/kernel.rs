//! The kernel thread: whatever takes the kernel's rtnl lock is done here, so that the VRRP thread never waits
//! for it. It decides nothing: it makes the kernel hold what the instances claim, and reports.

use crate::model::globals::Buffer;
use crate::net::adverts::{AdvertSockets, SocketSpec};
use crate::net::announce::{Announcer, Pacing};
use crate::net::carrier::Carriers;
use crate::net::channel::Channel;
use crate::net::desired::{Desired, Outcome};
use crate::net::firewall::Firewall;
use crate::net::links::{Change, Table};
use crate::net::monitor::{Monitor, Seen};
use crate::net::object_monitor::ObjectMonitor;
use crate::net::objects::{self, Key, Object};
use crate::net::virtual_links::{self, VirtualLinks};
use crate::state::kernel::{KernelInstance, KernelReport, KernelRequest, KernelSettings};
use crate::state::{Interface, InterfaceAddress};
use crate::sys::{clock, netlink, poll, schedule};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{debug, error, info};

mod loss;

use loss::Suspects;

/// Requests of one send: about a millisecond of the kernel's time.
const SLICE: usize = 64;
/// When links and addresses cannot be read, they are read again after this, nanoseconds.
const READ_AGAIN: u64 = 100_000_000;
/// Awake this long before a takeover that may come, and this long after it while it does not: to be woken on
/// a processor that sleeps takes longer than to set an address.
const BEFORE_TAKEOVER: u64 = 150_000;
const AFTER_TAKEOVER: u64 = 300_000;
/// The lines of the VRRP thread are waited for this long at most.
const LINES_WAIT: u64 = 1_000_000;
/// No takeover is expected.
const NEVER: u64 = u64::MAX;
/// Requests to announce that may wait; more are dropped, since each repeats what is pending anyway.
const MOST_ANNOUNCES: usize = 4096;

/// Longest wait for the kernel to give a new virtual interface its link-local address, nanoseconds.
const LINK_LOCAL_WAIT: u64 = 200_000_000;

/// Sockets for one spec, or why there are none.
pub type Opened = (SocketSpec, io::Result<AdvertSockets>);

enum Order {
    Request(KernelRequest),
    Open {
        specs: Vec<(SocketSpec, u32)>,
        done: Box<dyn FnOnce(Vec<Opened>) + Send>,
    },
    Close(Vec<AdvertSockets>),
}

/// Talks to the kernel thread. Nothing here waits.
#[derive(Clone)]
pub struct KernelHandle {
    orders: Sender<Order>,
    waker: Arc<poll::Waker>,
    announces: Arc<AtomicUsize>,
    expected: Arc<Expected>,
    lines_owed: Arc<AtomicBool>,
}

/// When the next takeover is due if no advert arrives before, on CLOCK_MONOTONIC.
#[derive(Debug)]
struct Expected {
    at: AtomicU64,
    /// The thread sleeps until then, or until it is woken.
    asleep_until: AtomicU64,
}

impl std::fmt::Debug for KernelHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KernelHandle")
    }
}

impl KernelHandle {
    /// Orders something. Orders are begun in the order in which they are given.
    pub fn send(&self, request: KernelRequest) {
        if matches!(request, KernelRequest::Announce { .. })
            && self.announces.fetch_add(1, Ordering::Relaxed) >= MOST_ANNOUNCES
        {
            self.announces.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.order(Order::Request(request));
    }

    /// As [`KernelHandle::send`], before the lines that explain the orders are written: the thread writes lines
    /// of its own after [`KernelHandle::lines_written`].
    pub fn send_before_lines(&self, request: KernelRequest) {
        self.lines_owed.store(true, Ordering::Release);
        self.send(request);
    }

    /// See [`KernelHandle::send_before_lines`].
    pub fn lines_written(&self) {
        self.lines_owed.store(false, Ordering::Release);
    }

    /// The moment of the next takeover, unless an advert arrives before: the thread is awake then. Costs a
    /// system call only when the moment is earlier than the thread would wake up by itself.
    pub fn expect(&self, at: Option<u64>) {
        let at = at.unwrap_or(NEVER);
        self.expected.at.store(at, Ordering::SeqCst);
        if at != NEVER
            && at.saturating_sub(BEFORE_TAKEOVER) < self.expected.asleep_until.load(Ordering::SeqCst)
        {
            self.waker.wake();
        }
    }

    /// Opens advert sockets and joins their groups, each with its receive buffer in bytes (0 is the kernel's
    /// default); `done` is called on the kernel thread.
    pub fn open_sockets(
        &self,
        specs: Vec<(SocketSpec, u32)>,
        done: impl FnOnce(Vec<Opened>) + Send + 'static,
    ) {
        self.order(Order::Open {
            specs,
            done: Box::new(done),
        });
    }

    /// Closes sockets: leaving a group takes the rtnl lock too, so that dropping them elsewhere can wait.
    pub fn close_sockets(&self, sockets: Vec<AdvertSockets>) {
        self.order(Order::Close(sockets));
    }

    fn order(&self, order: Order) {
        // The thread ends only after Stop; what is asked for later has no one to ask for it.
        let _ = self.orders.send(order);
        self.waker.wake();
    }
}

/// Starts the thread. All interfaces are reported before anything else. `report` is called on the thread and
/// must not wait.
pub fn spawn(
    settings: KernelSettings,
    report: impl Fn(KernelReport) + Send + 'static,
) -> io::Result<(KernelHandle, JoinHandle<()>)> {
    let monitor = Monitor::open()?;
    debug!(target: "vrrp", "Registering Kernel netlink reflector");
    let mut channel = Channel::open(netlink::ROUTE, settings.command_buffer)?;
    debug!(target: "vrrp", "Registering Kernel netlink command channel");
    let table = Table::read(&mut channel)?;
    let announcer = Announcer::open()?;
    let (orders, inbox) = self::channel();
    let waker = Arc::new(poll::Waker::new()?);
    let announces = Arc::new(AtomicUsize::new(0));
    let lines_owed = Arc::new(AtomicBool::new(false));
    let expected = Arc::new(Expected {
        at: AtomicU64::new(NEVER),
        asleep_until: AtomicU64::new(0),
    });
    let handle = KernelHandle {
        orders,
        waker: waker.clone(),
        announces: announces.clone(),
        expected: expected.clone(),
        lines_owed: lines_owed.clone(),
    };
    let mut kernel = Kernel {
        inbox,
        waker,
        announces,
        expected,
        lines_owed,
        report: Box::new(report),
        channel,
        monitor,
        table,
        announcer,
        firewall: Firewall::default(),
        virtual_links: VirtualLinks::default(),
        links_changed: false,
        making: false,
        virtual_down: false,
        replaced: Vec::new(),
        desired: Desired::default(),
        carriers: Carriers::default(),
        objects: ObjectMonitor::default(),
        suspects: Suspects::default(),
        settings: KernelSettings::default(),
        promoted: BTreeMap::new(),
        registered: BTreeSet::new(),
        changed: BTreeSet::new(),
        stopping: None,
        read_again: None,
    };
    let thread = std::thread::Builder::new().name("kernel".into()).spawn(move || {
        kernel.set_realtime(settings.realtime);
        kernel.configure(settings);
        kernel.run();
    })?;
    Ok((handle, thread))
}

struct Kernel {
    inbox: Receiver<Order>,
    waker: Arc<poll::Waker>,
    announces: Arc<AtomicUsize>,
    expected: Arc<Expected>,
    lines_owed: Arc<AtomicBool>,
    report: Box<dyn Fn(KernelReport) + Send>,
    channel: Channel,
    monitor: Monitor,
    table: Table,
    announcer: Announcer,
    firewall: Firewall,
    virtual_links: VirtualLinks,
    /// Something has changed that virtual interfaces depend on.
    links_changed: bool,
    /// A virtual interface has gone down.
    virtual_down: bool,
    /// What is seen now is our own doing.
    making: bool,
    /// Virtual interfaces that were deleted, and of which nobody hears if they can be made again at once.
    replaced: Vec<(u32, String)>,
    desired: Desired,
    /// What is believed of links.
    carriers: Carriers,
    objects: ObjectMonitor,
    suspects: Suspects,
    settings: KernelSettings,
    /// Interfaces of which promote_secondaries was set, and what it was.
    promoted: BTreeMap<String, String>,
    /// Families of which the line about the announcement socket is logged (true is IPv6).
    registered: BTreeSet<bool>,
    /// Interfaces to be reported.
    changed: BTreeSet<u32>,
    /// Stop was ordered; keep the addresses?
    stopping: Option<bool>,
    /// News were lost, and could not be made good for yet.
    read_again: Option<u64>,
}

impl Kernel {
    fn run(mut self) {
        self.changed = self.table.iter().map(|interface| interface.index).collect();
        self.report_changed();
        loop {
            self.expected.asleep_until.store(0, Ordering::SeqCst);
            self.waker.clear();
            self.take_orders();
            let more = self.look();
            if self.read_again.is_some_and(|at| at <= clock::monotonic()) {
                self.resynchronize(false);
            }
            let worked = self.slice();
            self.look_at_links();
            if worked || more {
                // On a machine with one processor the VRRP thread has its turn between two slices.
                std::thread::yield_now();
                continue;
            }
            let mut out = Vec::new();
            self.desired
                .announce_extra(clock::monotonic(), &self.table, &mut out);
            self.carry_out(out);
            self.announcer.run(&self.table, clock::monotonic());
            if let Some(keep) = self.stopping
                && self.desired.is_idle()
            {
                self.stop(keep);
                return;
            }
            if let Err(error) = self.wait() {
                error!(target: "vrrp", "kernel thread: cannot wait for events: {error}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let deadlines = [
            self.announcer.deadline(),
            self.desired.deadline(),
            self.virtual_links.deadline(),
            self.carriers.deadline(),
            self.read_again,
        ];
        let until = deadlines.into_iter().flatten().min().unwrap_or(NEVER);
        // First this, then what is expected: whoever changes that in between sees that it must wake us.
        self.expected.asleep_until.store(until, Ordering::SeqCst);
        let takeover = self.expected.at.load(Ordering::SeqCst);
        let now = clock::monotonic();
        let until = match takeover.saturating_sub(BEFORE_TAKEOVER) {
            _ if takeover.saturating_add(AFTER_TAKEOVER) <= now => until,
            from if from <= now => {
                std::thread::yield_now();
                now
            }
            from => until.min(from),
        };
        self.expected.asleep_until.store(until, Ordering::SeqCst);
        let timeout = (until != NEVER).then(|| Duration::from_nanos(until.saturating_sub(now)));
        let sockets = [
            Some(self.waker.as_fd()),
            Some(self.monitor.as_fd()),
            self.objects.descriptor(),
        ];
        let sockets: Vec<_> = sockets.into_iter().flatten().collect();
        poll::readable(&sockets, timeout)?;
        Ok(())
    }

    fn take_orders(&mut self) {
        while let Ok(order) = self.inbox.try_recv() {
            match order {
                Order::Request(request) => self.request(request),
                Order::Open { specs, done } => {
                    let open =
                        |(spec, buffer): (SocketSpec, u32)| (spec.clone(), AdvertSockets::open(spec, buffer));
                    done(specs.into_iter().map(open).collect());
                }
                Order::Close(sockets) => drop(sockets),
            }
        }
    }

    fn request(&mut self, request: KernelRequest) {
        let mut out = Vec::new();
        match request {
            KernelRequest::Links(links) => {
                self.virtual_links.set(links, &mut self.channel, &self.table);
                self.links_changed = true;
                self.keep_virtual_links(true);
                return;
            }
            KernelRequest::Configure {
                instances,
                settings,
                clean,
            } => {
                self.configure(*settings);
                if clean
                    && instances.iter().any(|instance| {
                        instance.accept == crate::model::vrrp::Accept::Disabled && !instance.owner
                    })
                {
                    self.firewall.clean();
                }
                self.channel_lines(&instances);
                self.desired.configure(instances, clean, &self.table, &mut out);
                self.watch_objects();
                self.set_promote_secondaries(self.desired.promote_secondaries());
                self.report_changed();
                self.carry_out(out);
                // What is left over is gone before anybody hears that the configuration is in force.
                while clean && self.slice() {}
                // Addresses on those that go need not be removed one by one.
                self.virtual_links.remove_unwanted(&mut self.channel, &self.table);
                (self.report)(KernelReport::Configured);
                return;
            }
            KernelRequest::Claim {
                instance,
                epoch,
                announce,
            } => {
                self.desired.claim(instance, epoch, announce, &mut out);
            }
            KernelRequest::Release { instance, epoch } => self.desired.release(instance, epoch, &mut out),
            KernelRequest::Announce { instance, repeat } => {
                self.announces.fetch_sub(1, Ordering::Relaxed);
                self.desired.announce(instance, repeat, &self.table, &mut out);
            }
            KernelRequest::AnnounceSource {
                instance,
                source,
                interface,
            } => {
                if let Some(name) = self.desired.name(instance) {
                    let what = if source.is_ipv4() { "gratuitous ARP" } else { "NA" };
                    debug!(target: "vrrp", VRRP_INSTANCE = %name, "{name}: sending {what} for {source}");
                }
                self.announcer
                    .announce_source(&self.table, clock::monotonic(), interface, source);
            }
            KernelRequest::Resync => self.resynchronize(true),
            KernelRequest::Stop { keep } => {
                self.stopping = Some(keep);
                if !keep {
                    self.desired.release_all(&mut out);
                }
            }
        }
        self.carry_out(out);
    }

    /// keepalived opens its announcement sockets when the first address of the family is configured.
    fn channel_lines(&mut self, instances: &[KernelInstance]) {
        let addresses = |instance: &KernelInstance| [instance.vips.clone(), instance.excluded_vips.clone()];
        for (ipv6, what) in [(false, "ARP"), (true, "NDISC")] {
            let any = instances.iter().flat_map(addresses).any(|list| {
                list.iter()
                    .any(|address| address.network.address.is_ipv6() == ipv6)
            });
            if any && self.registered.insert(ipv6) {
                debug!(target: "vrrp", "Registering gratuitous {what} shared channel");
            }
        }
    }

    fn set_realtime(&self, priority: Option<u32>) {
        let set = match priority {
            Some(priority) => schedule::set_realtime(priority),
            None => schedule::clear_realtime(),
        };
        if let Err(error) = set {
            info!(target: "vrrp", "Unable to set the priority of the kernel thread - {error}");
        }
    }

    fn configure(&mut self, settings: KernelSettings) {
        if settings.realtime != self.settings.realtime {
            self.set_realtime(settings.realtime);
        }
        self.announcer.configure(Pacing {
            garp_interval: settings.garp_interval,
            gna_interval: settings.gna_interval,
            groups: settings.garp_groups.clone(),
        });
        if settings.monitor_buffer != Buffer::default()
            && settings.monitor_buffer != self.settings.monitor_buffer
        {
            self.monitor.configure(settings.monitor_buffer);
        }
        self.firewall.configure(
            &settings.nftables_table,
            settings.nftables_priority,
            settings.nftables_ifindex,
            settings.nftables_counters,
        );
        if settings.watch != self.settings.watch {
            self.carriers
                .configure(settings.watch.clone(), clock::monotonic());
            self.changed
                .extend(self.table.iter().map(|interface| interface.index));
        }
        self.desired.set_give_up(settings.give_up);
        self.settings = settings;
    }

    /// What the VRRP thread has to say comes before what this one says about it.
    fn await_lines(&self) {
        let until = clock::monotonic() + LINES_WAIT;
        while self.lines_owed.load(Ordering::Acquire) && clock::monotonic() < until {
            std::thread::yield_now();
        }
    }

    /// Carries out one slice; false when there was nothing to do.
    fn slice(&mut self) -> bool {
        // The drop rules are in force before the first address is, and go after the last one.
        self.firewall.flush(&self.table);
        let mut after = Vec::new();
        let steps = self
            .desired
            .slice(SLICE, clock::monotonic(), &self.table, &mut after);
        let mut out = Vec::new();
        if !steps.is_empty() {
            let operations: Vec<_> = steps.iter().map(|step| step.operation()).collect();
            let applied = objects::apply(&mut self.channel, &self.table, &operations);
            self.await_lines();
            match applied {
                Ok(results) => self.desired.done(&steps, &results, &mut out),
                Err(error) => {
                    error!(target: "vrrp",
                        "netlink: {error} while addresses were set or removed; reading them again");
                    self.desired.done(&steps, &vec![None; steps.len()], &mut out);
                    self.resynchronize(false);
                }
            }
        }
        out.extend(after);
        let worked = !steps.is_empty() || !out.is_empty();
        self.carry_out(out);
        worked
    }

    fn carry_out(&mut self, outcomes: Vec<Outcome>) {
        let now = clock::monotonic();
        for outcome in outcomes {
            match self.desired.complete(outcome) {
                Some(Outcome::Announce {
                    instance,
                    name,
                    index,
                    address,
                    repeat,
                }) => {
                    self.announcer
                        .announce(&self.table, now, (instance, &name), index, address, repeat);
                }
                Some(Outcome::Applied { instance, epoch, set }) => {
                    // The firewall's last change and the announcements are out before anybody hears of it.
                    self.firewall.flush(&self.table);
                    self.announcer.flush(&self.table);
                    (self.report)(KernelReport::Applied { instance, epoch, set });
                }
                Some(Outcome::Restored { instance, address }) => {
                    (self.report)(KernelReport::AddressRestored { instance, address });
                }
                Some(Outcome::Block { objects }) => {
                    self.firewall.block(objects.iter().filter_map(Object::address));
                }
                Some(Outcome::Unblock { objects }) => {
                    self.firewall.unblock(objects.iter().filter_map(Object::address));
                }
                Some(Outcome::Cancel(instance)) => self.announcer.cancel(instance),
                Some(Outcome::CancelAddress { instance, address }) => {
                    self.announcer.cancel_address(instance, address);
                }
                None => {}
            }
        }
        self.announcer.flush(&self.table);
        self.firewall.flush(&self.table);
    }

    /// Looks at the monitor; true when more is waiting.
    fn look(&mut self) -> bool {
        let mut more = self.take_in() | self.take_in_objects();
        if std::mem::take(&mut self.virtual_down) {
            // The kernel says first that an interface that is deleted is down: wait for the rest of it.
            self.virtual_links.settle(&mut self.channel);
            more = self.take_in();
        }
        more |= self.keep_virtual_links(false);
        if !more {
            self.report_changed();
        }
        more
    }

    /// Takes in what the monitor has; true when more is waiting.
    fn take_in(&mut self) -> bool {
        match self.monitor.look(&mut self.table) {
            Seen::Changes { changes, more } => {
                for change in changes {
                    self.change(change);
                }
                more
            }
            Seen::Lost => {
                self.resynchronize(false);
                true
            }
        }
    }

    /// Makes virtual interfaces that are missing. `told`: what was made is reported, not logged. True when
    /// something was done.
    fn keep_virtual_links(&mut self, told: bool) -> bool {
        let now = clock::monotonic();
        let due = self.virtual_links.deadline().is_some_and(|at| at <= now);
        if !std::mem::replace(&mut self.links_changed, false) && !due {
            return false;
        }
        self.making = true;
        self.virtual_links.create(&mut self.channel, &self.table, now);
        while self.take_in() {}
        // The rules are in force before anything can be sent.
        self.firewall.set_vmacs(self.virtual_links.vmacs(&self.table));
        self.firewall.flush(&self.table);
        let brought = self.virtual_links.raise(&mut self.channel, &self.table);
        while self.take_in() {}
        // The kernel gives an IPv6 address from a work queue; without it an instance has no source.
        let until = clock::monotonic() + LINK_LOCAL_WAIT;
        while self.virtual_links.lacks_address(&self.table) && clock::monotonic() < until {
            let _ = poll::readable(&[self.monitor.as_fd()], Some(Duration::from_millis(10)));
            while self.take_in() {}
        }
        self.making = false;
        for (index, name) in std::mem::take(&mut self.replaced) {
            if self.table.by_name(&name).is_none() {
                (self.report)(KernelReport::InterfaceGone { index, name });
            }
        }
        let worked = !brought.is_empty();
        for link in brought {
            if told {
                (self.report)(KernelReport::VirtualLink {
                    name: link.name,
                    instance: link.instance,
                    ipvlan: link.ipvlan,
                    made: link.made,
                });
            } else {
                virtual_links::tell_made(&link.instance, &link.name, link.ipvlan, link.made);
            }
        }
        self.report_changed();
        worked
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Link {
                index,
                renamed_from,
                new,
                came_up,
                went_down,
            } => {
                let Some(interface) = self.table.get(index).cloned() else {
                    return;
                };
                if let Some(former) = renamed_from {
                    info!(target: "vrrp", "Interface name has changed from {former} to {}", interface.name);
                    self.desired.interface_gone(&former);
                    (self.report)(KernelReport::InterfaceGone { index, name: former });
                }
                self.links_changed |= !self.making && self.virtual_links.concerns(&interface.name);
                let ours = self.making && self.virtual_links.is_wanted(&interface.name);
                self.virtual_down |= went_down && self.virtual_links.is_wanted(&interface.name);
                if new && !ours {
                    self.link_line(&interface.name, "added");
                }
                if ((came_up && !new) || went_down)
                    && !ours
                    && !self.carriers.watches(&interface, &self.table)
                {
                    self.state_line(&interface.name, came_up);
                }
                if came_up {
                    self.desired.interface_back(&interface.name, &self.table);
                }
                self.firewall.interfaces_changed();
                self.changed.insert(index);
            }
            Change::LinkGone { interface } => {
                self.link_line(&interface.name, "deleted");
                self.carriers.gone(interface.index);
                // One of that name under another index may be there already.
                if self.table.by_name(&interface.name).is_none() {
                    self.desired.interface_gone(&interface.name);
                }
                self.changed.remove(&interface.index);
                self.firewall.interfaces_changed();
                self.links_changed |= self.virtual_links.concerns(&interface.name);
                if self.virtual_links.deleted(&interface.name, &self.table) {
                    self.replaced.push((interface.index, interface.name));
                    return;
                }
                (self.report)(KernelReport::InterfaceGone {
                    index: interface.index,
                    name: interface.name,
                });
            }
            Change::AddressAdded { index, address } => self.address(index, &address, None),
            Change::AddressRemoved { index, address, port } => self.address(index, &address, Some(port)),
        }
    }

    fn is_used(&self, name: &str) -> bool {
        self.desired.uses(name) || self.settings.tracked_interfaces.contains(name)
    }

    fn state_line(&self, name: &str, up: bool) {
        if self.is_used(name) {
            info!(target: "vrrp", "Netlink reports {name} {}", if up { "up" } else { "down" });
        }
    }

    fn link_line(&self, name: &str, what: &str) {
        if self.is_used(name) {
            info!(target: "vrrp", "Interface {name} {what}");
        } else {
            debug!(target: "vrrp", "Interface {name} {what}");
        }
    }

    /// An address was added, or removed through the netlink port `removed`.
    fn address(&mut self, index: u32, address: &InterfaceAddress, removed: Option<u32>) {
        let Some(interface) = self.table.get(index) else {
            return;
        };
        let (name, up) = (interface.name.clone(), interface.is_up());
        self.links_changed |= !self.making && address.address.is_ipv6() && self.virtual_links.concerns(&name);
        let key = Key::found(&name, address);
        let what = if removed.is_some() {
            "removed from"
        } else {
            "added to"
        };
        let text = address.address;
        let lost = removed.and_then(|port| Some((self.desired.lost(&key, clock::monotonic(), up)?, port)));
        if self.settings.log_addresses {
            info!(target: "vrrp", "Netlink reflector reports IP {text} {what} {name}");
        } else if lost.is_some() {
            debug!(target: "vrrp", "Netlink reflector reports IP {text} {what} {name}");
        }
        if let Some((loss, port)) = lost {
            self.take_loss(loss, &key, port, false);
        }
        // Our own changes are no news.
        if !self.desired.is_configured(&key) {
            self.changed.insert(index);
        }
    }

    fn report_changed(&mut self) {
        let now = clock::monotonic();
        for index in std::mem::take(&mut self.changed) {
            if let Some(interface) = self.table.get(index) {
                let view = self.carriers.view(interface, &self.table, now);
                if let Some(line) = view.line.filter(|_| self.is_used(&interface.name)) {
                    info!(target: "vrrp", "{line}");
                }
                (self.report)(KernelReport::Interface(Arc::new(view.interface)));
            }
        }
    }

    /// Links that are polled, and changes that have been held back for long enough.
    fn look_at_links(&mut self) {
        let now = clock::monotonic();
        if self.carriers.deadline().is_some_and(|at| at <= now) {
            let due = self.carriers.due(&self.table, now);
            self.changed.extend(due);
            self.report_changed();
        }
    }

    /// Reads everything again. `all` reports every interface, else those that differ.
    fn resynchronize(&mut self, all: bool) {
        let table = match self.monitor.reread(&mut self.channel) {
            Ok(table) => table,
            Err(error) => {
                error!(target: "vrrp", "netlink: cannot read links and addresses: {error}; trying again");
                self.read_again = Some(clock::monotonic().saturating_add(READ_AGAIN));
                return;
            }
        };
        self.read_again = None;
        let before = std::mem::replace(&mut self.table, table);
        for old in before.iter() {
            if self.table.get(old.index).is_none_or(|new| new.name != old.name) {
                if self.table.by_name(&old.name).is_none() {
                    self.desired.interface_gone(&old.name);
                }
                (self.report)(KernelReport::InterfaceGone {
                    index: old.index,
                    name: old.name.clone(),
                });
            }
        }
        for key in self.desired.resynchronize(&self.table) {
            let up = self.table.iter().any(|link| link.is_up() && key.uses(&link.name));
            if let Some(loss) = self.desired.lost(&key, clock::monotonic(), up) {
                self.take_loss(loss, &key, 0, false);
            }
        }
        let came_up = |new: &&Interface| {
            new.is_up()
                && before
                    .get(new.index)
                    .is_none_or(|old| !old.is_up() || old.name != new.name)
        };
        let names: Vec<String> = self
            .table
            .iter()
            .filter(came_up)
            .map(|new| new.name.clone())
            .collect();
        for name in names {
            self.desired.interface_back(&name, &self.table);
        }
        let changed = self
            .table
            .iter()
            .filter(|new| all || before.get(new.index) != Some(new));
        self.changed.extend(changed.map(|interface| interface.index));
        self.firewall.interfaces_changed();
        self.links_changed = true;
        self.report_changed();
    }

    /// `promote_secondaries`: without it the kernel removes all addresses of a network along with its first one.
    fn set_promote_secondaries(&mut self, wanted: BTreeSet<String>) {
        let path = |name: &str| format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries");
        self.promoted.retain(|name, before| {
            let keep = wanted.contains(name);
            if !keep {
                let _ = std::fs::write(path(name), before.as_bytes());
            }
            keep
        });
        for name in wanted {
            if self.promoted.contains_key(&name) {
                continue;
            }
            let set = std::fs::read_to_string(path(&name))
                .and_then(|before| std::fs::write(path(&name), "1").map(|()| before));
            match set {
                Ok(before) => drop(self.promoted.insert(name, before)),
                Err(error) => info!(target: "vrrp", "cannot set promote_secondaries of {name}: {error}"),
            }
        }
    }

    fn stop(&mut self, keep: bool) {
        if !keep {
            self.virtual_links.remove_all(&mut self.channel, &self.table);
            self.firewall.remove();
            self.set_promote_secondaries(BTreeSet::new());
        }
        (self.report)(KernelReport::Stopped);
    }
}
