//! The spawner process: one thread, one poll loop.

use super::Ended;
use super::child::{Plan, pointers};
use super::message::{LONGEST, Reply, Request};
use crate::process::idle;
use crate::process::{pidfd, signal};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{ForkResult, Pid, fork, pipe2, read, write};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

/// Programs that run at the same time at most.
const MOST: usize = 4096;

/// Of standard error, this much of the end is kept.
const TAIL: usize = 1024;

/// From SIGTERM to SIGKILL, and until a look whether that helped.
const GRACE: Duration = Duration::from_secs(2);

/// SIGKILL again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// Variables that scripts do not get, as in keepalived.
const UNSET: [&[u8]; 3] = [b"IFS=", b"LD_PRELOAD=", b"LD_LIBRARY_PATH="];

/// Serves on descriptor 0 until the daemon closes its end. Returns the exit status.
pub(super) fn run_on_stdin() -> i32 {
    match Server::on_stdin().and_then(|mut server| server.run()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("keepalived-rs spawner: {error}");
            1
        }
    }
}

/// How far ending a program by force has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Force {
    None,
    Terminated,
    Killed,
    KilledAgain,
}

struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    stderr: Option<OwnedFd>,
    tail: Vec<u8>,
    deadline: Option<Instant>,
    timed_out: bool,
    force: Force,
    /// It has ended and this was reported; it stays unreaped so that its group's number stays taken until
    /// the rest of its group has had its SIGKILL.
    reported: bool,
}

struct Server {
    socket: OwnedFd,
    environment: Vec<CString>,
    children: BTreeMap<u64, Child>,
    /// Standard error of programs that have ended but left it to others.
    lingering: VecDeque<OwnedFd>,
    replies: VecDeque<Reply>,
    /// Nothing has happened for a while, and what was not needed has gone.
    quiet: bool,
}

impl Server {
    fn on_stdin() -> io::Result<Server> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        let null = std::fs::File::options().read(true).open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        // A stop of the whole service must not stop the scripts that tell of it: only the daemon ends us.
        signal::ignore_all();
        // Started a second time, the daemon may have been real-time by then.
        let _ = crate::sys::schedule::clear_realtime();
        Ok(Server {
            socket,
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    let mut text = name.into_vec();
                    text.push(b'=');
                    text.extend(value.into_vec());
                    CString::new(text).ok()
                })
                .filter(|v| !UNSET.iter().any(|u| v.as_bytes().starts_with(u)))
                .collect(),
            children: BTreeMap::new(),
            lingering: VecDeque::new(),
            replies: VecDeque::new(),
            quiet: false,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; LONGEST + 1];
        loop {
            let ready = self.wait()?;
            for id in ready.stderr {
                self.read_stderr(id);
            }
            self.drain_lingering();
            for id in ready.ended {
                self.ended(id);
            }
            self.due();
            if ready.request && !self.receive(&mut buffer)? {
                return Ok(());
            }
            self.answer()?;
        }
    }

    fn wait(&mut self) -> io::Result<Ready> {
        let mut asked = PollFlags::POLLIN;
        if !self.replies.is_empty() {
            asked |= PollFlags::POLLOUT;
        }
        let mut fds = vec![PollFd::new(self.socket.as_fd(), asked)];
        let alive: Vec<u64> = self
            .children
            .iter()
            .filter(|(_, c)| !c.reported)
            .map(|(id, _)| *id)
            .collect();
        let talking: Vec<u64> = self
            .children
            .iter()
            .filter(|(_, c)| c.stderr.is_some())
            .map(|(id, _)| *id)
            .collect();
        fds.extend(
            alive
                .iter()
                .map(|id| PollFd::new(self.children[id].pidfd.as_fd(), PollFlags::POLLIN)),
        );
        fds.extend(
            talking
                .iter()
                .filter_map(|id| self.children[id].stderr.as_ref())
                .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)),
        );
        fds.extend(
            self.lingering
                .iter()
                .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)),
        );
        let timeout = match self.children.values().filter_map(|c| c.deadline).min() {
            // Rounded up: never early.
            Some(at) => {
                let wait = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
                PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
            }
            None if self.children.is_empty() && !self.quiet => {
                PollTimeout::try_from(idle::QUIET).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut fds, timeout) {
            Ok(count) => {
                self.quiet = count == 0 && self.children.is_empty();
                if self.quiet {
                    idle::let_go_of_text();
                }
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut any = fds.iter().map(|fd| fd.any().unwrap_or(false));
        Ok(Ready {
            request: any.next().unwrap_or(false),
            ended: alive
                .into_iter()
                .filter(|_| any.next().unwrap_or(false))
                .collect(),
            stderr: talking
                .into_iter()
                .filter(|_| any.next().unwrap_or(false))
                .collect(),
        })
    }

    /// Takes requests until there are none. False: the daemon is gone.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            let length = match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Ok(false),
                Ok(length) => length,
                Err(Errno::EAGAIN) => return Ok(true),
                Err(Errno::EINTR) => continue,
                Err(Errno::ECONNRESET) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            match serde_json::from_slice(&buffer[..length]) {
                Ok(Request::Kill { id }) => self.terminate(id),
                Ok(request @ Request::Run { .. }) => self.start(request),
                Err(error) => self.replies.push_back(Reply::Malformed {
                    why: error.to_string(),
                }),
            }
        }
    }

    /// Sends what there is to say, as far as the daemon takes it.
    fn answer(&mut self) -> io::Result<()> {
        while let Some(reply) = self.replies.front() {
            let text = serde_json::to_vec(reply).map_err(io::Error::other)?;
            match send(
                self.socket.as_raw_fd(),
                &text,
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            ) {
                Ok(_) => {
                    self.replies.pop_front();
                }
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                // The next read says that the daemon is gone.
                Err(Errno::EPIPE | Errno::ECONNRESET) => self.replies.clear(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn start(&mut self, request: Request) {
        let Request::Run { id, limit_ms, .. } = request else {
            return;
        };
        let started = if self.children.len() >= MOST {
            Err(format!("{MOST} scripts run already"))
        } else if self.children.contains_key(&id) {
            Err("its number is in use".to_owned())
        } else {
            self.fork_and_exec(&request)
        };
        match started {
            Ok((pid, pidfd, stderr)) => {
                self.replies.push_back(Reply::Started {
                    id,
                    pid: pid.as_raw().unsigned_abs(),
                });
                let child = Child {
                    pid,
                    pidfd,
                    stderr: Some(stderr),
                    tail: Vec::new(),
                    deadline: limit_ms.map(|ms| Instant::now() + Duration::from_millis(ms)),
                    timed_out: false,
                    force: Force::None,
                    reported: false,
                };
                self.children.insert(id, child);
            }
            Err(why) => self.replies.push_back(Reply::Ended {
                id,
                ended: Ended::NotStarted(why),
                stderr: String::new(),
            }),
        }
    }

    fn fork_and_exec(&self, request: &Request) -> Result<(Pid, OwnedFd, OwnedFd), String> {
        let Request::Run {
            argv,
            called,
            environment,
            uid,
            gid,
            groups,
            die_with_us,
            ..
        } = request
        else {
            return Err("not a program".to_owned());
        };
        let text = |text: &str| CString::new(text).map_err(|_| "a NUL in an argument".to_owned());
        let mut argv = argv.iter().map(|a| text(a)).collect::<Result<Vec<_>, _>>()?;
        let first = argv.first_mut().ok_or("no program")?;
        let program = first.clone();
        if let Some(called) = called {
            *first = text(called)?;
        }
        let mut environment = environment
            .iter()
            .map(|(n, v)| text(&format!("{n}={v}")))
            .collect::<Result<Vec<_>, _>>()?;
        environment.extend(self.environment.iter().cloned());
        let plan = Plan {
            program: &program,
            argv: pointers(&argv),
            environment: pointers(&environment),
            uid: *uid,
            gid: *gid,
            groups,
            die_with_us: *die_with_us,
            parent: nix::unistd::getpid(),
        };
        let failed = |what: &'static str| move |e: Errno| format!("{what}: {}", e.desc());
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(failed("pipe"))?;
        nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(failed("fcntl"))?;
        // SAFETY: this process has one thread, and the child calls only async-signal-safe functions anyway.
        match unsafe { fork() }.map_err(failed("fork"))? {
            ForkResult::Child => plan.become_program(&theirs),
            ForkResult::Parent { child } => {
                drop(theirs);
                // The child does the same: whoever comes first, its group is there before anybody signals it.
                let _ = nix::unistd::setpgid(child, child);
                match pidfd::open(child) {
                    Ok(pidfd) => Ok((child, pidfd, ours)),
                    Err(error) => {
                        // Without a pidfd its end would never be seen.
                        let _ = nix::sys::signal::kill(child, Signal::SIGKILL);
                        let _ = nix::sys::wait::waitpid(child, None);
                        Err(format!("pidfd_open: {error}"))
                    }
                }
            }
        }
    }

    /// Ends the whole process group, politely first.
    fn terminate(&mut self, id: u64) {
        if let Some(child) = self.children.get_mut(&id)
            && child.force == Force::None
            && !child.reported
        {
            child.signal_group(Signal::SIGTERM);
            child.force = Force::Terminated;
            child.deadline = Some(Instant::now() + GRACE);
        }
    }

    /// Deadlines that have come.
    fn due(&mut self) {
        let now = Instant::now();
        let due: Vec<u64> = self
            .children
            .iter()
            .filter(|(_, c)| c.deadline.is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(child) = self.children.get_mut(&id) else {
                continue;
            };
            match child.force {
                Force::None => {
                    child.timed_out = true;
                    self.terminate(id);
                }
                Force::Terminated => {
                    child.signal_group(Signal::SIGKILL);
                    if child.reported {
                        self.forget(id);
                    } else {
                        child.force = Force::Killed;
                        child.deadline = Some(now + GRACE);
                    }
                }
                Force::Killed | Force::KilledAgain => {
                    if child.force == Force::Killed {
                        let pid = child.pid.as_raw().unsigned_abs();
                        self.replies.push_back(Reply::Stuck { id, pid });
                    }
                    child.signal_group(Signal::SIGKILL);
                    child.force = Force::KilledAgain;
                    child.deadline = Some(now + AGAIN);
                }
            }
        }
    }

    fn ended(&mut self, id: u64) {
        self.read_stderr(id);
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let ended = match waitid(Id::Pid(child.pid), flags) {
            Ok(WaitStatus::Exited(_, status)) => Ended::Exited(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ended::Signal(signal as i32),
            Ok(_) | Err(Errno::EINTR) => return,
            // The kernel has its reasons; a signal number it has no name for is one.
            Err(_) => Ended::Signal(0),
        };
        let ended = if child.timed_out { Ended::TimedOut } else { ended };
        self.replies.push_back(Reply::Ended {
            id,
            ended,
            stderr: last_line(&child.tail),
        });
        child.reported = true;
        if let Some(stderr) = child.stderr.take() {
            // What it left running may still write: closing the pipe would kill that with SIGPIPE.
            self.lingering.push_back(stderr);
            if self.lingering.len() > MOST {
                self.lingering.pop_front();
            }
        }
        if child.force != Force::Terminated {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: u64) {
        if let Some(child) = self.children.remove(&id) {
            let _ = waitid(Id::Pid(child.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
        }
    }

    /// Reads what a program has written to standard error, passes it on to ours, and keeps the end of it.
    fn read_stderr(&mut self, id: u64) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let Some(stderr) = &child.stderr else {
            return;
        };
        let mut buffer = [0; 4096];
        // Bounded: a program that writes without end must not keep the others waiting.
        for _ in 0..16 {
            match read(stderr, &mut buffer) {
                Ok(0) => {
                    child.stderr = None;
                    return;
                }
                Ok(length) => {
                    pass_on(&buffer[..length]);
                    child.tail.extend_from_slice(&buffer[..length]);
                    let excess = child.tail.len().saturating_sub(TAIL);
                    child.tail.drain(..excess);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => {
                    child.stderr = None;
                    return;
                }
            }
        }
    }

    fn drain_lingering(&mut self) {
        let mut buffer = [0; 4096];
        self.lingering.retain(|fd| match read(fd, &mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                pass_on(&buffer[..length]);
                true
            }
            Err(error) => matches!(error, Errno::EAGAIN | Errno::EINTR),
        });
    }
}

struct Ready {
    request: bool,
    ended: Vec<u64>,
    stderr: Vec<u64>,
}

impl Child {
    fn signal_group(&self, signal: Signal) {
        let _ = nix::sys::signal::killpg(self.pid, signal);
    }
}

/// To our own standard error, if it takes it at once.
fn pass_on(bytes: &[u8]) {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::ZERO) == Ok(1) {
        let _ = write(&stderr, bytes);
    }
}

fn last_line(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|l| !l.is_empty())
        .unwrap_or_default();
    line.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something() {
        assert_eq!(last_line(b"one\ntwo \n\n"), "two");
        assert_eq!(last_line(b""), "");
        assert_eq!(last_line(b"a\tb\x1b[0m"), "a b [0m");
        assert_eq!(last_line(&[0xff, b'x']), "\u{fffd}x");
    }
}
