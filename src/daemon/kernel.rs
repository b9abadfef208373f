//! The kernel thread: whatever takes the kernel's rtnl lock is done here, so that the VRRP thread never waits
//! for it. It decides nothing: it makes the kernel hold what the instances claim, and reports.

mod handle;
mod loss;
mod watch;

pub use handle::{KernelHandle, Opened};

use crate::model::globals::Buffer;
use crate::net::adverts::{AdvertSockets, SocketSpec};
use crate::net::announce::{Announcer, Pacing};
use crate::net::carrier::Carriers;
use crate::net::channel::Channel;
use crate::net::desired::{Desired, Outcome};
use crate::net::firewall::Firewall;
use crate::net::hearing::Listeners;
use crate::net::links::Table;
use crate::net::monitor::Monitor;
use crate::net::object_monitor::ObjectMonitor;
use crate::net::objects::{self, Action, Object, Operation};
use crate::net::virtual_links::VirtualLinks;
use crate::state::kernel::{KernelInstance, KernelReport, KernelRequest, KernelSettings};
use crate::sys::{clock, netlink, poll, schedule};
use handle::{ADVERTS, Expected, LINES, NOWHERE, Order};
use loss::Suspects;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tracing::{debug, error, info};

/// Requests of one send: about a millisecond of the kernel's time.
const SLICE: usize = 64;
/// Awake this long before a takeover that may come, and this long after it while it does not: to be woken on
/// a processor that sleeps takes longer than to set an address.
const BEFORE_TAKEOVER: u64 = 250_000;
const AFTER_TAKEOVER: u64 = 300_000;
/// The adverts and lines of the VRRP thread are waited for this long at most.
const OWED_WAIT: u64 = 1_000_000;
/// No takeover is expected.
const NEVER: u64 = u64::MAX;

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
    let owed = Arc::new(AtomicU8::new(0));
    let expected = Arc::new(Expected {
        at: AtomicU64::new(NEVER),
        asleep_until: AtomicU64::new(0),
        processor: AtomicUsize::new(NOWHERE),
    });
    let handle = KernelHandle {
        orders,
        waker: waker.clone(),
        announces: announces.clone(),
        expected: expected.clone(),
        owed: owed.clone(),
    };
    let mut kernel = Kernel {
        inbox,
        waker,
        announces,
        expected,
        owed,
        rehearsed: NEVER,
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
        listeners: Listeners::default(),
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
        kernel.listen_at_boot();
        kernel.run();
    })?;
    Ok((handle, thread))
}

struct Kernel {
    inbox: Receiver<Order>,
    waker: Arc<poll::Waker>,
    announces: Arc<AtomicUsize>,
    expected: Arc<Expected>,
    owed: Arc<AtomicU8>,
    /// The takeover that was rehearsed for.
    rehearsed: u64,
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
    /// Links that have come up and have received nothing yet.
    listeners: Listeners,
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
            self.say();
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

    fn wait(&mut self) -> io::Result<()> {
        let deadlines = [
            self.announcer.deadline(),
            self.desired.deadline(),
            self.virtual_links.deadline(),
            self.carriers.deadline(),
            self.listeners.deadline(),
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
                if std::mem::replace(&mut self.rehearsed, takeover) != takeover {
                    self.rehearse();
                }
                self.step_aside();
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
        let sockets: Vec<_> = sockets
            .into_iter()
            .flatten()
            .chain(self.listeners.descriptors())
            .collect();
        poll::readable(&sockets, timeout)?;
        Ok(())
    }

    /// Asks for an address on no interface, which the kernel refuses, and announces it there: what a takeover
    /// needs of the program and of the kernel is then at hand.
    fn rehearse(&mut self) {
        let Some(object) = self.desired.unclaimed_address() else {
            return;
        };
        let operation = Operation {
            action: Action::Add,
            index: 0,
            object: &object,
        };
        let _ = objects::apply(&mut self.channel, &self.table, &[operation]);
        if let Some(address) = object.address() {
            self.announcer.rehearse(address.network.address);
        }
    }

    /// Both threads were woken at the same moment, and the scheduler may have left them on one processor; then
    /// each would wait for the other.
    fn step_aside(&self) {
        let taken = self.expected.processor.load(Ordering::Relaxed);
        if taken != NOWHERE && schedule::processor() == Some(taken) {
            self.expected.processor.store(NOWHERE, Ordering::Relaxed);
            // Without another processor, or without the right, it stays where it is.
            let _ = schedule::leave_processor(taken);
        }
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
        let claim = matches!(request, KernelRequest::Claim { .. });
        if !claim {
            self.say();
        }
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
                self.say();
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
        if !claim {
            self.say();
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
        self.changed
            .extend(self.listeners.configure(settings.deaf.clone()));
        self.desired.set_give_up(settings.give_up);
        self.settings = settings;
    }

    /// What the VRRP thread sends and says comes before what this one sends and says about it.
    fn await_vrrp(&self, what: u8) {
        let until = clock::monotonic() + OWED_WAIT;
        while self.owed.load(Ordering::Acquire) & what != 0 && clock::monotonic() < until {
            std::thread::yield_now();
        }
    }

    /// Everything is announced; now it can be said.
    fn say(&mut self) {
        if !self.desired.has_lines() && !self.announcer.has_lines() {
            return;
        }
        self.await_vrrp(LINES);
        self.desired.say();
        self.announcer.say(&self.table);
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
        self.say();
        worked
    }

    fn carry_out(&mut self, outcomes: Vec<Outcome>) {
        if outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Announce { .. }))
        {
            self.await_vrrp(ADVERTS);
        }
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
                    self.announcer.send(&self.table);
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
        self.announcer.send(&self.table);
        self.firewall.flush(&self.table);
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
