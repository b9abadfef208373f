//! The daemon's side of the spawner: asynchronous, never blocking.

use super::message::{LONGEST, Reply, Request};
use super::{Ended, Launched, Outcome, launch_program};
use crate::model::Command;
use crate::process::helper::Helper;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

/// Requests that wait for the spawner at most.
const QUEUE: usize = 8192;

/// A spawner that ended is started again after this.
const RESTART: Duration = Duration::from_secs(1);

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// argv\[0\] that it sees, if that is not the program's path.
    pub called: Option<String>,
    /// Added to the environment.
    pub environment: Vec<(String, String)>,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// All its groups ([`supplementary_groups`](crate::process::privileges::supplementary_groups)).
    pub groups: Vec<u32>,
    /// It is ended by force after this: SIGTERM to its process group, 2 s later SIGKILL.
    pub limit: Option<Duration>,
    /// It gets SIGTERM when the daemon dies.
    pub die_with_us: bool,
}

impl Run {
    /// A command of the configuration, with further arguments.
    pub fn command(command: &Command, further: &[&str], groups: Vec<u32>) -> Run {
        let argv = if command.shell {
            let mut line = command.argv.join(" ");
            for word in further {
                line.push_str(&format!(" '{}'", word.replace('\'', "'\\''")));
            }
            vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
        } else {
            let further = further.iter().map(|word| (*word).to_owned());
            command.argv.iter().cloned().chain(further).collect()
        };
        Run {
            argv,
            called: command.called.clone(),
            uid: command.identity.uid,
            gid: command.identity.gid,
            groups,
            ..Run::default()
        }
    }
}

/// A handle to the spawner, cheap to clone.
#[derive(Debug, Clone)]
pub struct Spawner {
    requests: mpsc::Sender<Order>,
    next: Arc<AtomicU64>,
}

/// A program that runs, or is about to.
#[derive(Debug)]
pub struct Running {
    id: u64,
    requests: mpsc::Sender<Order>,
    outcome: oneshot::Receiver<Outcome>,
}

#[derive(Debug)]
enum Order {
    Run(u64, Box<Run>, oneshot::Sender<Outcome>),
    Kill(u64),
}

impl Spawner {
    /// Talks to a launched spawner from the current tokio runtime, and starts it again if it ends.
    pub fn attach(launched: Launched) -> io::Result<Spawner> {
        Spawner::attach_program(launched, "/proc/self/exe".into())
    }

    /// The same; `program` is what to start when the spawner has ended.
    pub fn attach_program(launched: Launched, program: std::path::PathBuf) -> io::Result<Spawner> {
        let (requests, orders) = mpsc::channel(QUEUE);
        let link = Link::new(launched)?;
        tokio::spawn(drive(link, orders, program));
        Ok(Spawner {
            requests,
            next: Arc::new(AtomicU64::new(1)),
        })
    }

    /// Starts a program. What came of it is told by [`Running::wait`], also that it could not be started.
    pub fn run(&self, run: Run) -> Running {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, outcome) = oneshot::channel();
        if let Err(rejected) = self.requests.try_send(Order::Run(id, Box::new(run), done)) {
            let why = "too many scripts wait to be started";
            if let Order::Run(_, _, done) = rejected.into_inner() {
                let _ = done.send(not_started(why));
            }
        }
        Running {
            id,
            requests: self.requests.clone(),
            outcome,
        }
    }
}

impl Running {
    /// Waits for its end. May be dropped and called again.
    pub async fn wait(&mut self) -> Outcome {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            Err(_) => not_started("the daemon stops"),
        }
    }

    /// Ends its whole process group: SIGTERM, 2 s later SIGKILL.
    pub fn kill(&self) {
        let _ = self.requests.try_send(Order::Kill(self.id));
    }
}

fn not_started(why: &str) -> Outcome {
    Outcome {
        pid: None,
        ended: Ended::NotStarted(why.to_owned()),
        stderr: String::new(),
    }
}

/// The socket to one spawner, and who waits for what.
struct Link {
    socket: AsyncFd<OwnedFd>,
    child: Helper,
    waiting: HashMap<u64, Waiting>,
}

struct Waiting {
    pid: Option<u32>,
    name: String,
    done: oneshot::Sender<Outcome>,
}

impl Link {
    fn new(launched: Launched) -> io::Result<Link> {
        // SAFETY: the descriptor is owned, and stays inside for as long as it is registered.
        let socket = unsafe { AsyncFd::register(launched.socket) }?;
        Ok(Link {
            socket,
            child: launched.child,
            waiting: HashMap::new(),
        })
    }
}

/// Carries orders to the spawner and outcomes back, until every handle is gone.
async fn drive(mut link: Link, mut orders: mpsc::Receiver<Order>, program: std::path::PathBuf) {
    let mut buffer = vec![0; LONGEST + 1];
    loop {
        let alive = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => link.order(order).await,
                // The daemon stops: closing the socket ends the spawner.
                None => return,
            },
            reply = link.receive(&mut buffer) => match reply {
                Ok(reply) => {
                    link.reply(reply);
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        if let Err(why) = alive {
            let why = link
                .give_up()
                .map_or_else(|| why.to_string(), |status| status.to_string());
            error!(target: "parent", "The process that runs scripts ended ({why}) - starting it again");
            match restart(&program).await {
                Some(next) => link = next,
                None => return,
            }
        }
    }
}

async fn restart(program: &std::path::Path) -> Option<Link> {
    let mut told = false;
    loop {
        tokio::time::sleep(RESTART).await;
        match launch_program(program).and_then(Link::new) {
            Ok(link) => return Some(link),
            Err(error) if !told => {
                told = true;
                error!(target: "parent", "Unable to start the process that runs scripts: {error} - trying again");
            }
            Err(_) => {}
        }
    }
}

impl Link {
    async fn order(&mut self, order: Order) -> io::Result<()> {
        let request = match order {
            Order::Kill(id) if self.waiting.contains_key(&id) => Request::Kill { id },
            Order::Kill(_) => return Ok(()),
            Order::Run(id, run, done) => {
                let name = run.argv.first().cloned().unwrap_or_default();
                self.waiting.insert(
                    id,
                    Waiting {
                        pid: None,
                        name,
                        done,
                    },
                );
                Request::Run {
                    id,
                    argv: run.argv,
                    called: run.called,
                    environment: run.environment,
                    uid: run.uid,
                    gid: run.gid,
                    groups: run.groups,
                    limit_ms: run
                        .limit
                        .map(|l| u64::try_from(l.as_millis()).unwrap_or(u64::MAX)),
                    die_with_us: run.die_with_us,
                }
            }
        };
        let text = serde_json::to_vec(&request).map_err(io::Error::other)?;
        if text.len() > LONGEST {
            if let Request::Run { id, .. } = request {
                self.end(
                    id,
                    Ended::NotStarted("its command line is too long".into()),
                    String::new(),
                );
            }
            return Ok(());
        }
        self.send(&text).await
    }

    async fn send(&mut self, text: &[u8]) -> io::Result<()> {
        let mut buffer = vec![0; LONGEST + 1];
        loop {
            // The spawner answers while it takes requests: a full socket both ways must not be a deadlock.
            tokio::select! {
                biased;
                sent = send_one(&self.socket, text) => return sent,
                reply = receive_one(&self.socket, &mut buffer) => {
                    let reply = reply?;
                    self.reply(reply);
                }
            }
        }
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Reply> {
        receive_one(&self.socket, buffer).await
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Started { id, pid } => {
                if let Some(waiting) = self.waiting.get_mut(&id) {
                    waiting.pid = Some(pid);
                }
            }
            Reply::Stuck { id, pid } => {
                let name = self.waiting.get(&id).map_or("", |w| w.name.as_str());
                warn!(target: "vrrp", "Script {name} child (PID {pid}) failed to terminate after kill");
            }
            Reply::Ended { id, ended, stderr } => self.end(id, ended, stderr),
            Reply::Malformed { why } => {
                error!(target: "parent", "The process that runs scripts did not understand a request: {why}");
            }
        }
    }

    fn end(&mut self, id: u64, ended: Ended, stderr: String) {
        if let Some(waiting) = self.waiting.remove(&id) {
            let _ = waiting.done.send(Outcome {
                pid: waiting.pid,
                ended,
                stderr,
            });
        }
    }

    /// The spawner is gone, and with it whatever knew how its programs end. How it ended itself.
    fn give_up(&mut self) -> Option<ExitStatus> {
        self.child.kill();
        let status = self.child.wait().ok();
        for (_, waiting) in self.waiting.drain() {
            let _ = waiting
                .done
                .send(not_started("the process that runs scripts ended"));
        }
        status
    }
}

async fn send_one(socket: &AsyncFd<OwnedFd>, text: &[u8]) -> io::Result<()> {
    loop {
        let mut ready = socket.writable().await?;
        match send(
            socket.as_raw_fd(),
            text,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        ) {
            Ok(_) => return Ok(()),
            Err(Errno::EAGAIN) => ready.clear_ready(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn receive_one(socket: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> io::Result<Reply> {
    loop {
        let mut ready = socket.readable().await?;
        match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                let message = buffer.get(..length).unwrap_or_default();
                return serde_json::from_slice(message).map_err(io::Error::other);
            }
            Err(Errno::EAGAIN) => ready.clear_ready(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_arguments_reach_a_shell_command_unharmed() {
        let argv = |command: &Command| Run::command(command, &["GROUP", "it's"], vec![]).argv;
        let mut command = Command {
            argv: vec!["/x".into(), "a b".into()],
            ..Command::default()
        };
        assert_eq!(argv(&command), ["/x", "a b", "GROUP", "it's"]);
        command.argv = vec!["/x | cat".into()];
        command.shell = true;
        assert_eq!(argv(&command), ["/bin/sh", "-c", r"/x | cat 'GROUP' 'it'\''s'"]);
    }
}
