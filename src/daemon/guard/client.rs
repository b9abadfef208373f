//! The daemon's side: starts the guard, tells it what it must know, and starts it again when it ends.

use super::message::Message;
use super::{Known, NAME, Packets, page, socket_name};
use crate::process::helper::Helper;
use crate::state::InstanceId;
use crate::sys::poll;
use nix::sys::socket::{getsockopt, sockopt};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

/// A guard that ended is started again after this.
const RESTART: Duration = Duration::from_secs(1);
/// A guard that does not read for so long is none.
const STUCK: Duration = Duration::from_secs(5);
/// The guard of the daemon before is waited for this long.
const PREDECESSOR: Duration = Duration::from_secs(2);
/// The guard has so long to end at a stop.
const GOODBYE: Duration = Duration::from_secs(1);
/// What the VRRP thread tells may wait; more is told again with the next advert.
const QUEUE: usize = 4096;
/// It is told about so many bytes with one call.
const AT_ONCE: usize = 1 << 16;

/// How the guard reports what it did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// On standard error.
    pub stderr: bool,
    /// To syslog, with this facility.
    pub facility: Option<u32>,
}

/// A handle to the guard.
#[derive(Debug)]
pub struct Guard {
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    /// What to guard, if anything.
    Configure(Option<Vec<Known>>),
    Act(oneshot::Sender<()>),
    Goodbye(oneshot::Sender<()>),
}

impl Guard {
    /// Waits for the guard of a daemon that was killed, if there is one: it may still be removing addresses. Then
    /// prepares this daemon's own, which starts when there is something to guard. The sender is for the VRRP
    /// thread, the descriptor that of its page.
    pub fn new(pid_file: &Path, page: OwnedFd, settings: Settings) -> (Guard, mpsc::Sender<Packets>) {
        let name = socket_name(pid_file);
        wait_for_predecessor(&name);
        let (orders, ordered) = mpsc::unbounded_channel();
        let (packets, told) = mpsc::channel(QUEUE);
        let keeper = Keeper {
            name,
            page,
            settings,
            known: None,
            packets: BTreeMap::new(),
            link: None,
            retry: None,
            complained: false,
        };
        tokio::spawn(keeper.run(ordered, told));
        (Guard { orders }, packets)
    }

    /// A configuration comes into force. `None`: nothing is guarded.
    pub fn configure(&self, known: Option<Vec<Known>>) {
        let _ = self.orders.send(Order::Configure(known));
    }

    /// The VRRP thread is dead: the guard does what it would do at the daemon's death.
    pub async fn act(&self) {
        self.last_order(Order::Act).await;
    }

    /// All is given back: the guard ends.
    pub async fn goodbye(&self) {
        self.last_order(Order::Goodbye).await;
    }

    async fn last_order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, ended) = oneshot::channel();
        if self.orders.send(order(done)).is_ok() {
            let _ = tokio::time::timeout(GOODBYE, ended).await;
        }
    }
}

struct Link {
    socket: UnixStream,
    child: Helper,
}

struct Keeper {
    name: Vec<u8>,
    page: OwnedFd,
    settings: Settings,
    known: Option<Vec<Known>>,
    packets: BTreeMap<u32, Packets>,
    link: Option<Link>,
    retry: Option<Instant>,
    complained: bool,
}

impl Keeper {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>, mut told: mpsc::Receiver<Packets>) {
        loop {
            let retry = self.retry;
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Configure(known)) => self.configure(known).await,
                    Some(Order::Act(done)) => {
                        self.end(Message::Act).await;
                        drop(done);
                        return;
                    }
                    Some(Order::Goodbye(done)) => {
                        self.end(Message::Goodbye).await;
                        drop(done);
                        return;
                    }
                    // Its socket closes with this: the guard takes it for the daemon's death.
                    None => return,
                },
                why = ended(&mut self.link) => self.lost(&why),
                Some(packets) = told.recv() => {
                    let message = Message::packets(&packets);
                    self.packets.insert(packets.instance.0, packets);
                    self.tell(vec![message]).await;
                }
                () = until(retry) => {
                    self.retry = None;
                    self.launch().await;
                }
            }
        }
    }

    async fn configure(&mut self, known: Option<Vec<Known>>) {
        if let Some(known) = &known
            && known.len() > page::MOST
        {
            tracing::warn!(
                target: "parent",
                "The guard has room for {} masters; if this process dies while it has more, the rest is lost as \
                 without a guard",
                page::MOST
            );
        }
        let before = std::mem::replace(&mut self.known, known);
        match (before, &self.known) {
            (_, None) => {
                self.retry = None;
                self.end(Message::Goodbye).await;
            }
            (before, Some(known)) => {
                let there: BTreeSet<u32> = known.iter().map(|known| known.id.0).collect();
                self.packets.retain(|id, _| there.contains(id));
                if self.link.is_some() {
                    let changes = changes(&before.unwrap_or_default(), known);
                    self.tell(changes).await;
                } else {
                    self.launch().await;
                }
            }
        }
    }

    async fn launch(&mut self) {
        match launch(&self.page, &self.name) {
            Ok(link) => {
                self.link = Some(link);
                self.complained = false;
                self.tell_all().await;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::error!(target: "parent", "Unable to start the guard: {error} - trying again");
                }
                self.retry = Some(Instant::now() + RESTART);
            }
        }
    }

    async fn tell_all(&mut self) {
        let Some(known) = &self.known else {
            return;
        };
        let mut messages = vec![Message::Configure {
            stderr: self.settings.stderr,
            facility: self.settings.facility,
        }];
        messages.extend(known.iter().flat_map(Message::instance));
        messages.extend(self.packets.values().map(Message::packets));
        self.tell(messages).await;
    }

    /// A guard that does not read what it is told is given up.
    async fn tell(&mut self, messages: Vec<Message>) {
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() && self.link.is_some() {
            let (mut parts, mut length) = (Vec::new(), 0);
            while length < AT_ONCE
                && let Some(message) = messages.next()
            {
                match message.into_bytes() {
                    Ok(part) => {
                        length += part.len();
                        parts.push(part);
                    }
                    Err(error) => {
                        tracing::error!(target: "parent", "The guard cannot be told something: {error}");
                    }
                }
            }
            // One that grew would leave secrets behind.
            let mut bytes = Zeroizing::new(Vec::with_capacity(length));
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            self.send(&bytes).await;
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        let Some(link) = &mut self.link else {
            return;
        };
        let why = match tokio::time::timeout(STUCK, link.socket.write_all(bytes)).await {
            Ok(Ok(())) => return,
            // It has ended: how, is told by who waits for that.
            Ok(Err(error)) if is_gone(&error) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not listen".to_owned(),
        };
        self.lost(&why);
    }

    fn lost(&mut self, why: &str) {
        if let Some(mut link) = self.link.take() {
            // It may be one that hangs. Before the socket closes, which it would take for our death.
            link.child.kill();
            let _ = link.child.wait();
            tracing::error!(target: "parent", "The guard ended ({why}) - starting it again");
            self.retry = Some(Instant::now() + RESTART);
        }
    }

    /// The last message; waits for the guard's end.
    async fn end(&mut self, message: Message) {
        self.tell(vec![message]).await;
        self.retry = None;
        if let Some(mut link) = self.link.take() {
            let end = async { while matches!(link.socket.read(&mut [0; 16]).await, Ok(1..)) {} };
            if tokio::time::timeout(GOODBYE, end).await.is_err() {
                link.child.kill();
            }
            let _ = link.child.wait();
        }
    }
}

/// What a guard that knows `before` must be told to know `after`.
fn changes(before: &[Known], after: &[Known]) -> Vec<Message> {
    let was: BTreeMap<InstanceId, &Known> = before.iter().map(|known| (known.id, known)).collect();
    let stay: BTreeSet<InstanceId> = after.iter().map(|known| known.id).collect();
    let gone = was.keys().filter(|id| !stay.contains(id));
    let changed = after.iter().filter(|known| was.get(&known.id) != Some(known));
    gone.map(|id| Message::Forget { id: id.0 })
        .chain(changed.flat_map(Message::instance))
        .collect()
}

/// Waits until there is no guard any more.
async fn ended(link: &mut Option<Link>) -> String {
    let Some(link) = link else {
        return std::future::pending().await;
    };
    loop {
        match link.socket.read(&mut [0; 16]).await {
            Ok(0) => break,
            Ok(_) => {}
            // It had not read everything.
            Err(error) if is_gone(&error) => break,
            Err(error) => return error.to_string(),
        }
    }
    // Its socket closes a moment before it can be taken leave of.
    match link.child.wait() {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The other end of the socket is closed.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn launch(page: &OwnedFd, name: &[u8]) -> io::Result<Link> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(NAME)
        .arg(OsStr::from_bytes(name))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(File::from(page.try_clone()?)))
        // Not in the terminal's foreground group: Ctrl-C is for the daemon.
        .process_group(0);
    let child = Helper::start(&mut command)?;
    let socket = UnixStream::from_std(ours)?;
    Ok(Link { socket, child })
}

/// The socket of a guard that is still there closes when it ends.
fn wait_for_predecessor(name: &[u8]) {
    let connect = || {
        let address = SocketAddr::from_abstract_name(name)?;
        std::os::unix::net::UnixStream::connect_addr(&address)
    };
    let Ok(socket) = connect() else {
        return;
    };
    // The name is anybody's: who is not us is not waited for.
    let ours = getsockopt(&socket, sockopt::PeerCredentials)
        .is_ok_and(|peer| peer.uid() == nix::unistd::geteuid().as_raw());
    if !ours {
        return;
    }
    tracing::info!(target: "parent", "Waiting for the guard of the daemon before to end");
    if let Ok(ended) = poll::readable(&[socket.as_fd()], Some(PREDECESSOR))
        && ended.first() != Some(&true)
    {
        tracing::warn!(
            target: "parent",
            "The guard of the daemon before has not ended in {} s: going on",
            PREDECESSOR.as_secs()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::farewell::Signing;

    fn known(id: u32, name: &str) -> Known {
        Known {
            id: InstanceId(id),
            name: name.to_owned(),
            signing: Signing::None,
            objects: Vec::new(),
        }
    }

    #[test]
    fn only_changes_are_told() {
        let before = [known(1, "A"), known(2, "B"), known(3, "C")];
        let after = [known(1, "A"), known(3, "D"), known(4, "E")];
        let told: Vec<String> = changes(&before, &after)
            .iter()
            .map(|message| match message {
                Message::Forget { id } => format!("-{id}"),
                Message::Instance { id, name, .. } => format!("{id}{name}"),
                _ => "?".to_owned(),
            })
            .collect();
        assert_eq!(told, ["-2", "3D", "4E"]);
    }
}
