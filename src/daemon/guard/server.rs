//! The guard process: one thread that waits.

use super::message::Message;
use super::page::{self, Found};
use crate::model::globals::Buffer;
use crate::net::adverts::{Sender, SocketSpec};
use crate::net::channel::Channel;
use crate::net::links::Table;
use crate::net::objects::{self, Action, Object, Operation};
use crate::process::{idle, pidfd, signal};
use crate::state::InstanceId;
use crate::sys::datagram::SendRing;
use crate::sys::shared::Words;
use crate::sys::{netlink, poll};
use crate::vrrp::farewell::{Signing, farewell};
use crate::vrrp::group::Datagram;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Requests to remove something that are sent at once.
const SLICE: usize = 64;
/// Datagrams sent with one call.
const AT_ONCE: usize = 16;
/// LOG_WARNING.
const WARNING: u32 = 4;

/// Guards the process that started this one, over the socket on descriptor 0 and the memory on descriptor 1.
pub(super) fn run(name: &[u8]) -> i32 {
    // The end of the whole service must not be that of the guard: it ends when its work is done.
    signal::ignore_all();
    match Server::new(name).and_then(Server::guard) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "keepalived-rs guard: {error}");
            1
        }
    }
}

#[derive(Default)]
struct Instance {
    name: String,
    signing: Option<Signing>,
    objects: Vec<Object>,
    sender: Option<Rc<Sender>>,
    datagrams: Vec<Datagram>,
}

struct Server {
    socket: UnixStream,
    daemon: OwnedFd,
    words: Words,
    channel: Channel,
    ring: SendRing,
    instances: BTreeMap<InstanceId, Instance>,
    senders: BTreeMap<SocketSpec, Rc<Sender>>,
    stderr: bool,
    facility: Option<u32>,
    /// There for as long as this process: who comes after the daemon waits for that.
    _presence: Option<UnixListener>,
}

enum Told {
    Something,
    Act,
    /// Nothing more will come.
    Nothing,
    Goodbye,
}

impl Server {
    fn new(name: &[u8]) -> io::Result<Server> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let words = Words::map(&File::from(io::stdout().as_fd().try_clone_to_owned()?))?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        nix::unistd::dup2_stdout(&null)?;
        let _ = std::env::set_current_dir("/");
        // The socket tells of a death that was earlier than this.
        let daemon = pidfd::open(nix::unistd::getppid())?;
        let presence = SocketAddr::from_abstract_name(name).and_then(|a| UnixListener::bind_addr(&a));
        Ok(Server {
            socket,
            daemon,
            words,
            channel: Channel::open(netlink::ROUTE, Buffer::default())?,
            ring: SendRing::new(AT_ONCE),
            instances: BTreeMap::new(),
            senders: BTreeMap::new(),
            stderr: false,
            facility: None,
            _presence: presence.ok(),
        })
    }

    fn guard(mut self) -> io::Result<()> {
        let mut quiet = false;
        loop {
            let timeout = (!quiet).then_some(idle::QUIET);
            let ready = poll::readable(&[self.socket.as_fd(), self.daemon.as_fd()], timeout)?;
            quiet = !ready.contains(&true);
            if quiet {
                idle::let_go_of_text();
                continue;
            }
            if ready.first() == Some(&true) {
                match self.hear() {
                    Told::Something => continue,
                    Told::Goodbye => return Ok(()),
                    Told::Act | Told::Nothing => break,
                }
            }
            if ready.get(1) == Some(&true) {
                break;
            }
        }
        // What the daemon has said before it died is still to be heard.
        loop {
            match self.hear() {
                Told::Something | Told::Act => {}
                Told::Goodbye => return Ok(()),
                Told::Nothing => break,
            }
            let ready = poll::readable(&[self.socket.as_fd()], Some(Duration::ZERO))?;
            if ready.first() != Some(&true) {
                break;
            }
        }
        self.act();
        Ok(())
    }

    fn hear(&mut self) -> Told {
        match Message::read(&mut self.socket) {
            Ok(Some(Message::Goodbye)) => return Told::Goodbye,
            Ok(Some(Message::Act)) => return Told::Act,
            Ok(Some(message)) => self.take(message),
            Ok(None) => return Told::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // Only a daemon of another version could say what is not understood.
                let _ = writeln!(io::stderr(), "keepalived-rs guard: {error}");
                return Told::Nothing;
            }
        }
        Told::Something
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Configure { stderr, facility } => {
                self.stderr = stderr;
                self.facility = facility;
            }
            Message::Instance { id, name, signature } => {
                let instance = self.instances.entry(InstanceId(id)).or_default();
                instance.name = name;
                instance.signing = Some(signature.signing());
                instance.objects.clear();
            }
            Message::Forget { id } => {
                self.instances.remove(&InstanceId(id));
                self.close_unused();
            }
            Message::Objects { id, objects } => {
                if let Some(instance) = self.instances.get_mut(&InstanceId(id)) {
                    instance.objects.extend(objects);
                }
            }
            Message::Packets { id, spec, datagrams } => {
                let sender = self.sender(spec);
                let instance = self.instances.entry(InstanceId(id)).or_default();
                instance.sender = sender;
                instance.datagrams = datagrams;
                self.close_unused();
            }
            Message::Act | Message::Goodbye => {}
        }
    }

    /// Sockets that no instance sends by any more.
    fn close_unused(&mut self) {
        self.senders.retain(|_, sender| Rc::strong_count(sender) > 1);
    }

    fn sender(&mut self, spec: SocketSpec) -> Option<Rc<Sender>> {
        if let Some(sender) = self.senders.get(&spec) {
            return Some(sender.clone());
        }
        match Sender::open(spec.clone()) {
            Ok(sender) => {
                let sender = Rc::new(sender);
                self.senders.insert(spec, sender.clone());
                Some(sender)
            }
            Err(error) => {
                self.say(&format!(
                    "The guard could not say goodbye on {}: {error}",
                    spec.interface
                ));
                None
            }
        }
    }

    /// The daemon is dead. All last adverts first: the addresses follow.
    fn act(&mut self) {
        let found = page::read(&self.words);
        let wall = SystemTime::now();
        let (mut farewells, mut masters) = (0, Vec::new());
        for Found {
            instance, sequence, ..
        } in found.iter().filter(|found| found.master)
        {
            let Some(Instance {
                name,
                signing: Some(signing),
                sender: Some(sender),
                datagrams,
                ..
            }) = self.instances.get_mut(instance)
            else {
                continue;
            };
            let last = farewell(std::mem::take(datagrams), signing, *sequence, wall);
            farewells += sender.send(&mut self.ring, &last);
            masters.push(name.clone());
        }
        let removed = self.remove(&found);
        if found.is_empty() {
            return;
        }
        const NAMES: usize = 8;
        let more = masters.len().saturating_sub(NAMES);
        masters.truncate(NAMES);
        let names = match (masters.is_empty(), more) {
            (true, _) => String::new(),
            (false, 0) => format!(" ({})", masters.join(", ")),
            (false, more) => format!(" ({} and {more} more)", masters.join(", ")),
        };
        self.say(&match removed {
            Ok(count) => format!(
                "The daemon died without saying goodbye: sent {farewells} adverts of priority 0{names}, \
                 removed {count} addresses, routes and rules"
            ),
            Err(error) => format!(
                "The daemon died without saying goodbye: sent {farewells} adverts of priority 0{names}; \
                 its addresses could not be removed: {error}"
            ),
        });
    }

    fn remove(&mut self, found: &[Found]) -> io::Result<usize> {
        let table = Table::read(&mut self.channel)?;
        let mut operations = Vec::new();
        for found in found {
            let Some(instance) = self.instances.get(&found.instance) else {
                continue;
            };
            operations.extend(instance.objects.iter().filter_map(|object| {
                Some(Operation {
                    action: Action::Remove,
                    index: object.can_be_removed(&table)?,
                    object,
                })
            }));
        }
        let mut removed = 0;
        for slice in operations.chunks(SLICE) {
            let results = objects::apply(&mut self.channel, &table, slice)?;
            removed += results.iter().filter(|result| result.is_none()).count();
        }
        Ok(removed)
    }

    fn say(&self, text: &str) {
        if self.stderr {
            let _ = writeln!(io::stderr(), "Keepalived_vrrp: {text}");
        }
        if let Some(facility) = self.facility
            && let Ok(socket) = UnixDatagram::unbound()
        {
            let _ = socket.set_nonblocking(true);
            let line = format!(
                "<{}>Keepalived_vrrp[{}]: {text}",
                facility | WARNING,
                std::process::id()
            );
            let _ = socket.send_to(line.as_bytes(), "/dev/log");
        }
    }
}
