//! Which advert sockets there must be, and who uses which. The kernel thread opens and closes them; the VRRP
//! thread is told of an interface only when the sockets on it are there.

use super::icmp::{Listening, listen};
use super::kernel::{KernelHandle, Opened};
use super::links::{Links, Seen};
use super::port::{Command, Handle, SocketId};
use crate::model::Instance;
use crate::model::globals::{Globals, RxBufferPolicy};
use crate::model::route::Family;
use crate::model::vrrp::{Authentication, Version};
use crate::net::adverts::{Cast, SocketSpec};
use crate::net::icmp_errors::IcmpError;
use crate::state::kernel::Made;
use crate::state::snapshot::SocketSnapshot;
use crate::state::{InstanceId, Interface};
use crate::vrrp::Event;
use crate::vrrp::plan::Running;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an instance needs to know of its sockets.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    name: String,
    vrid: u8,
    family: Family,
    interface: String,
    ah: bool,
    multicast: IpAddr,
    /// Unicast: the source address of the file, if it has one.
    unicast: Option<Option<IpAddr>>,
    buffer: u32,
}

#[derive(Debug)]
struct Known {
    id: SocketId,
    fds: Option<(i32, i32)>,
    buffer: u32,
    /// Hears of ICMP errors, until it is dropped.
    errors: Option<Listening>,
}

#[derive(Default)]
struct State {
    wanted: BTreeMap<InstanceId, Wanted>,
    links: Links,
    sockets: BTreeMap<SocketSpec, Known>,
    attached: BTreeMap<InstanceId, SocketId>,
    next: u32,
    /// Being opened; what waits for that.
    opening: usize,
    waiting: Vec<Waiting>,
    detail: bool,
}

enum Waiting {
    Event(Event),
    Then(Box<dyn FnOnce() + Send>),
}

/// Keeps the sockets that the instances need. Shared by the kernel thread and main, never by the VRRP thread.
#[derive(Clone)]
pub struct Sockets {
    state: Arc<Mutex<State>>,
    port: Handle,
    kernel: Arc<std::sync::OnceLock<KernelHandle>>,
    /// Where ICMP errors are waited for.
    runtime: tokio::runtime::Handle,
}

impl Sockets {
    /// None yet. ICMP errors are waited for on the runtime of the caller.
    pub fn new(port: Handle) -> Sockets {
        Sockets {
            runtime: tokio::runtime::Handle::current(),
            state: Arc::default(),
            port,
            kernel: Arc::default(),
        }
    }

    /// Who opens them: known only after the kernel thread, which reports to this, has started.
    pub fn set_kernel(&self, kernel: KernelHandle) {
        let _ = self.kernel.set(kernel);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instances that run from now on. `then` is called when their sockets are open, as far as they can be.
    pub fn configure(
        &self,
        running: &Running,
        globals: &Globals,
        detail: bool,
        then: impl FnOnce() + Send + 'static,
    ) {
        let mut state = self.lock();
        state.detail = detail;
        let before = std::mem::take(&mut state.wanted);
        state.wanted = running
            .members()
            .map(|(_, m)| (m.id, wanted(&m.config, globals)))
            .collect();
        // A master that is removed says so through its socket: it leaves after the step has been ordered.
        let mut leaving = Vec::new();
        for (id, wanted) in before {
            if let std::collections::btree_map::Entry::Vacant(entry) = state.wanted.entry(id) {
                entry.insert(wanted);
                leaving.push(id);
            }
        }
        state.links.configure(running);
        if detail {
            for (spec, known) in &state.sockets {
                known.fds.into_iter().for_each(|fds| tell(spec, fds));
            }
        }
        self.reconcile(&mut state);
        let this = self.clone();
        let then = move || {
            then();
            this.leave(&leaving);
        };
        if state.opening == 0 {
            // Not under the lock: it comes back here.
            drop(state);
            then();
        } else {
            state.waiting.push(Waiting::Then(Box::new(then)));
        }
    }

    fn leave(&self, leaving: &[InstanceId]) {
        if leaving.is_empty() {
            return;
        }
        let mut state = self.lock();
        for id in leaving {
            state.wanted.remove(id);
        }
        self.reconcile(&mut state);
    }

    /// An interface is there, or has changed.
    pub fn interface(&self, interface: Arc<Interface>) {
        let mut state = self.lock();
        let before = state.links.changed(&interface);
        let sockets_matter = before.is_none_or(|b| {
            b.name != interface.name || b.addresses != interface.addresses || b.flags != interface.flags
        });
        if sockets_matter {
            self.reconcile(&mut state);
        }
        self.wait(&mut state, Waiting::Event(Event::Interface(interface)));
    }

    /// A virtual interface of an instance is there.
    pub fn virtual_link(&self, name: String, instance: &str, ipvlan: bool, made: Made) {
        self.lock().links.virtual_link(name, instance, ipvlan, made);
    }

    /// An ICMP error about an advert on these sockets.
    fn unreachable(&self, socket: SocketId, said: IcmpError) {
        let state = self.lock();
        for (instance, wanted) in &state.wanted {
            if wanted.vrid == said.vrid && state.attached.get(instance) == Some(&socket) {
                self.port.send(Command::Event(Event::Unreachable {
                    instance: *instance,
                    peer: said.peer,
                    error: said.error,
                }));
            }
        }
    }

    /// An interface is gone.
    pub fn interface_gone(&self, index: u32, name: String) {
        let mut state = self.lock();
        state.links.gone(index);
        self.reconcile(&mut state);
        self.wait(&mut state, Waiting::Event(Event::InterfaceGone { index, name }));
    }

    /// All interfaces.
    pub fn interfaces(&self) -> Vec<Seen> {
        self.lock().links.seen()
    }

    /// All sockets, in the order of the instances that use them.
    pub fn snapshot(&self) -> Vec<SocketSnapshot> {
        let state = self.lock();
        let mut list = Vec::new();
        for (spec, known) in &state.sockets {
            let Some(fds) = known.fds else { continue };
            let instances: Vec<(InstanceId, &Wanted)> = state
                .attached
                .iter()
                .filter(|(_, socket)| **socket == known.id)
                .filter_map(|(id, _)| state.wanted.get(id).map(|w| (*id, w)))
                .collect();
            let first = instances.first().map(|i| i.0);
            let (group, unicast) = match spec.cast {
                Cast::Multicast(group) => (Some(group), None),
                Cast::Unicast(source) => (None, Some(source)),
            };
            list.push((
                first,
                SocketSnapshot {
                    interface: spec.interface.clone(),
                    index: spec.index,
                    ipv6: spec.family == Family::Inet6,
                    ah: spec.ah,
                    unicast,
                    group,
                    rx_buffer: known.buffer,
                    fds,
                    instances: instances.iter().map(|(_, w)| (w.name.clone(), w.vrid)).collect(),
                },
            ));
        }
        list.sort_by_key(|(first, _)| *first);
        list.into_iter().map(|(_, socket)| socket).collect()
    }

    /// Does it now, or when the sockets that are being opened are there.
    fn wait(&self, state: &mut State, what: Waiting) {
        if state.opening == 0 {
            self.go(what);
        } else {
            state.waiting.push(what);
        }
    }

    fn go(&self, what: Waiting) {
        match what {
            Waiting::Event(event) => self.port.send(Command::Event(event)),
            Waiting::Then(then) => then(),
        }
    }

    /// Opens what is missing, closes what nobody uses, attaches the instances.
    fn reconcile(&self, state: &mut State) {
        let mut specs: BTreeMap<SocketSpec, u32> = BTreeMap::new();
        let mut users: BTreeMap<InstanceId, SocketSpec> = BTreeMap::new();
        for (id, wanted) in &state.wanted {
            if let Some(spec) = spec(wanted, state.links.interfaces()) {
                *specs.entry(spec.clone()).or_default() += wanted.buffer;
                users.insert(*id, spec);
            }
        }
        let unused: Vec<SocketSpec> = state
            .sockets
            .keys()
            .filter(|s| !specs.contains_key(s))
            .cloned()
            .collect();
        let mut missing = Vec::new();
        for (spec, buffer) in specs {
            if state.sockets.contains_key(&spec) {
                continue;
            }
            state.next += 1;
            let id = SocketId(state.next);
            let known = Known {
                id,
                fds: None,
                buffer,
                errors: None,
            };
            state.sockets.insert(spec.clone(), known);
            missing.push((spec, buffer));
        }
        let gone: BTreeSet<InstanceId> = state
            .attached
            .keys()
            .filter(|id| !users.contains_key(id))
            .copied()
            .collect();
        for id in gone {
            state.attached.remove(&id);
            self.port.send(Command::Attach(id, None));
        }
        for (instance, spec) in users {
            let Some(socket) = state.sockets.get(&spec).map(|k| k.id) else {
                continue;
            };
            if state.attached.insert(instance, socket) != Some(socket) {
                self.port.send(Command::Attach(instance, Some(socket)));
            }
        }
        for spec in unused {
            if let Some(known) = state.sockets.remove(&spec) {
                self.port.send(Command::Close(known.id));
            }
        }
        if missing.is_empty() {
            return;
        }
        let Some(kernel) = self.kernel.get() else { return };
        state.opening += 1;
        let this = self.clone();
        kernel.open_sockets(missing, move |opened| this.opened(opened));
    }

    fn opened(&self, opened: Vec<Opened>) {
        let mut state = self.lock();
        for (spec, result) in opened {
            let detail = state.detail;
            let Some(known) = state.sockets.get_mut(&spec) else {
                continue;
            };
            match result {
                Ok(sockets) => {
                    known.fds = Some(sockets.fds());
                    if detail {
                        tell(&spec, sockets.fds());
                    }
                    let id = known.id;
                    self.port.send(Command::Open(id, Box::new(sockets)));
                    let this = self.clone();
                    known.errors = listen(&self.runtime, &spec, move |error| this.unreachable(id, error));
                }
                Err(error) => {
                    tracing::error!(
                        target: "vrrp",
                        "cannot open advert sockets on {}: {error}{}",
                        spec.interface,
                        advice(&error),
                    );
                    let id = known.id;
                    state.sockets.remove(&spec);
                    state.attached.retain(|_, socket| *socket != id);
                }
            }
        }
        state.opening = state.opening.saturating_sub(1);
        if state.opening == 0 {
            for what in std::mem::take(&mut state.waiting) {
                // Never under the lock: it may come back here.
                if let Waiting::Then(then) = what {
                    drop(state);
                    then();
                    state = self.lock();
                } else {
                    self.go(what);
                }
            }
        }
    }
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (CAP_NET_RAW is needed: run it as root)",
        Some(libc::ENOBUFS) => {
            " (net.ipv4.igmp_max_memberships is too low: each interface and group takes one)"
        }
        _ => "",
    }
}

fn tell(spec: &SocketSpec, fds: (i32, i32)) {
    let family = match spec.family {
        Family::Inet => "IPv4",
        Family::Inet6 => "IPv6",
    };
    let protocol = if spec.ah { 51 } else { 112 };
    // The comma after the descriptors of a unicast socket is keepalived's.
    let cast = match spec.cast {
        Cast::Multicast(group) => format!("multicast, address({group})"),
        Cast::Unicast(source) => format!(", unicast, address({source})"),
    };
    tracing::debug!(
        target: "vrrp",
        "VRRP sockpool: [ifindex({:3}), family({family}), proto({protocol}), fd({},{}) {cast}]",
        spec.index, fds.0, fds.1,
    );
}

fn wanted(instance: &Instance, globals: &Globals) -> Wanted {
    Wanted {
        name: instance.name.clone(),
        vrid: instance.vrid,
        family: instance.family,
        interface: instance.advert_interface().to_owned(),
        ah: matches!(instance.authentication, Authentication::Ah(_)),
        multicast: instance.multicast_group,
        unicast: instance.unicast.then_some(instance.source),
        buffer: buffer(instance, globals),
    }
}

/// `vrrp_rx_bufs_policy`, `kernel_rx_buf_size`.
fn buffer(instance: &Instance, globals: &Globals) -> u32 {
    if let Some(bytes) = instance.kernel_rx_buffer {
        return bytes;
    }
    let advert = || {
        let (header, address) = match instance.family {
            Family::Inet => (20, 4),
            Family::Inet6 => (0, 16),
        };
        let authentication = if instance.version == Version::V2 { 8 } else { 0 };
        let addresses = u32::try_from(instance.vips.len()).unwrap_or(255).min(255);
        let trailer = if instance.auth_hmac.is_some() { 28 } else { 0 };
        header + 8 + addresses * address + authentication + trailer
    };
    let one = match globals.rx_buffers_policy {
        RxBufferPolicy::Default => return 0,
        RxBufferPolicy::Mtu => 1500,
        RxBufferPolicy::Advert => advert(),
        RxBufferPolicy::Size(bytes) => return bytes,
    };
    one.saturating_mul(globals.rx_buffers_multiplier)
}

/// The sockets of an instance as things are; `None` when it cannot have any now.
fn spec(wanted: &Wanted, interfaces: &BTreeMap<u32, Arc<Interface>>) -> Option<SocketSpec> {
    let interface = interfaces.values().find(|i| i.name == wanted.interface);
    let (index, name) = match interface {
        Some(interface) => (interface.index, interface.name.clone()),
        // A unicast instance with a source address needs no interface.
        None if wanted.interface.is_empty() => (0, String::new()),
        None => return None,
    };
    let cast = match wanted.unicast {
        None => Cast::Multicast(wanted.multicast),
        Some(Some(source)) => Cast::Unicast(source),
        Some(None) => Cast::Unicast(interface?.source(wanted.family == Family::Inet6)?),
    };
    Some(SocketSpec {
        family: wanted.family,
        ah: wanted.ah,
        index,
        interface: name,
        cast,
    })
}
