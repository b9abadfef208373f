//! Who asks for a reload learns what came of it: a socket beside the pid file. Whoever connects is told the
//! verdict of each reload that begins afterwards, one line each: `done`, or `refused: REASON`. Who writes a
//! [`Question`] on a line is answered at once instead.

use std::future::poll_fn;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Stream;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

/// Clients at once; more are turned away.
const MOST: usize = 16;
/// Who asks takes the answer within this, or does without.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read, bytes.
const ANSWER: u64 = 256 << 20;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The status as text.
    Status,
    /// All that is known, as JSON.
    Json,
    /// The states, and then each change of them as long as the client stays.
    Watch,
}

impl Question {
    fn word(self) -> &'static str {
        match self {
            Question::Status => "status\n",
            Question::Json => "json\n",
            Question::Watch => "watch\n",
        }
    }

    fn read(line: &[u8]) -> Option<Question> {
        [Question::Status, Question::Json, Question::Watch]
            .into_iter()
            .find(|question| question.word().as_bytes() == line)
    }
}

/// The socket of a daemon with this pid file.
pub fn path(pid_file: &Path) -> PathBuf {
    pid_file.with_extension("sock")
}

/// The daemon's side.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    listener: UnixListener,
    clients: Vec<UnixStream>,
}

impl Control {
    /// Listens. What a killed predecessor left is replaced: the pid file says that it does not run.
    pub fn open(pid_file: &Path) -> io::Result<Control> {
        let path = path(pid_file);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Control {
            path,
            listener,
            clients: Vec::new(),
        })
    }

    /// Takes clients in until one of them asks something.
    pub async fn asked(&mut self) -> (Question, Stream) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => self.take_in(accepted).await,
                at = spoken(&self.clients) => {
                    // Something else than a question, or the end.
                    let client = self.clients.swap_remove(at);
                    let mut line = [0; 16];
                    match client.try_read(&mut line) {
                        // It was told ready in vain.
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.clients.push(client),
                        Err(_) => {}
                        Ok(read) => {
                            if let Some(asked) = hear(client, line.get(..read).unwrap_or_default()) {
                                return asked;
                            }
                        }
                    }
                }
            }
        }
    }

    async fn take_in(&mut self, accepted: io::Result<(UnixStream, tokio::net::unix::SocketAddr)>) {
        match accepted {
            Ok((client, _)) if self.clients.len() < MOST => self.clients.push(client),
            Ok(_) => tracing::warn!(target: "parent", "too many wait for the verdict of a reload"),
            // Out of descriptors, say: not in a busy loop.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }

    /// Tells those who wait.
    pub async fn tell(&mut self, verdict: &str) {
        let line = format!("{}\n", verdict.replace('\n', " "));
        for mut client in std::mem::take(&mut self.clients) {
            let _ = tokio::time::timeout(Duration::from_secs(1), client.write_all(line.as_bytes())).await;
        }
    }
}

/// Position of a client that has written something, or is gone.
async fn spoken(clients: &[UnixStream]) -> usize {
    poll_fn(|context| {
        let ready = |client: &UnixStream| client.poll_read_ready(context).is_ready();
        match clients.iter().position(ready) {
            Some(at) => Poll::Ready(at),
            None => Poll::Pending,
        }
    })
    .await
}

/// What it has asked. The stream blocks, but not for long: it is for a thread of its own.
fn hear(client: UnixStream, line: &[u8]) -> Option<(Question, Stream)> {
    let question = Question::read(line)?;
    let stream = client.into_std().ok()?;
    stream.set_nonblocking(false).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some((question, stream))
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// `keepalived-rs reload`: sends SIGHUP to the daemon and waits for its verdict. Returns the exit status; the
/// reason goes to standard error.
pub fn reload(pid_file: &Path, limit: Duration) -> i32 {
    match ask(pid_file, limit) {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("keepalived-rs: {reason}");
            1
        }
    }
}

/// `keepalived-rs status`: prints the answer. Returns the exit status.
pub fn status(pid_file: &Path, json: bool) -> i32 {
    let question = if json { Question::Json } else { Question::Status };
    let answer = connect(pid_file).and_then(|(_, stream)| {
        answer(stream, question).map_err(|error| format!("the daemon does not answer: {error}"))
    });
    match answer {
        Ok(text) => {
            // Whoever has closed the pipe has read enough.
            let _ = io::stdout().write_all(text.as_bytes());
            0
        }
        Err(reason) => {
            eprintln!("keepalived-rs: {reason}");
            1
        }
    }
}

/// `keepalived-rs watch`: prints each change of state until the daemon ends or nobody reads. Returns the exit status.
pub fn watch(pid_file: &Path) -> i32 {
    match connect(pid_file).and_then(|(_, stream)| follow(stream).map_err(|error| error.to_string())) {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("keepalived-rs: {reason}");
            1
        }
    }
}

fn follow(mut stream: Stream) -> io::Result<()> {
    stream.write_all(Question::Watch.word().as_bytes())?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    let mut out = io::stdout().lock();
    let mut heard = false;
    while lines.read_line(&mut line)? > 0 {
        if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
            // Whoever has closed the pipe has read enough.
            return Ok(());
        }
        heard = true;
        line.clear();
    }
    Err(io::Error::other(match heard {
        true => "the daemon has ended",
        false => "the daemon has ended, or too many watch it at once",
    }))
}

fn answer(mut stream: Stream, question: Question) -> io::Result<String> {
    stream.set_read_timeout(Some(2 * PATIENCE))?;
    stream.write_all(question.word().as_bytes())?;
    let mut text = String::new();
    stream.take(ANSWER).read_to_string(&mut text)?;
    if text.is_empty() {
        return Err(io::Error::other("it ended, or too many ask at once"));
    }
    Ok(text)
}

/// The daemon's process id, and a connection to it.
fn connect(pid_file: &Path) -> Result<(i32, Stream), String> {
    let text = std::fs::read_to_string(pid_file)
        .map_err(|e| format!("no daemon runs: cannot read {}: {e}", pid_file.display()))?;
    let pid = text
        .trim()
        .parse()
        .map_err(|_| format!("{} holds no process id", pid_file.display()))?;
    let socket = path(pid_file);
    let stream = Stream::connect(&socket).map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(
                "{}: {e}: only root may ask the daemon: run this with sudo",
                socket.display()
            )
        }
        io::ErrorKind::ConnectionRefused => {
            format!("no daemon runs: nobody answers at {}", socket.display())
        }
        _ => format!("cannot reach the daemon at {}: {e}", socket.display()),
    })?;
    Ok((pid, stream))
}

fn ask(pid_file: &Path, limit: Duration) -> Result<(), String> {
    let (pid, stream) = connect(pid_file)?;
    stream.set_read_timeout(Some(limit)).map_err(|e| e.to_string())?;
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP)
        .map_err(|e| format!("cannot signal process {pid}: {e}"))?;
    let mut verdict = String::new();
    let read = BufReader::new(stream).read_line(&mut verdict);
    match (read, verdict.trim_end()) {
        (Err(error), _) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Err(format!("no verdict after {} s", limit.as_secs()))
        }
        (Err(error), _) => Err(format!("no verdict: {error}")),
        (Ok(_), "done") => Ok(()),
        (Ok(_), "") => Err("the daemon ended before its verdict".into()),
        (Ok(_), refused) => Err(format!("reload {refused}")),
    }
}
