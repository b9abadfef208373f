//! Who asks for a reload learns what came of it: a socket beside the pid file. Whoever connects is told the
//! verdict of each reload that begins afterwards, one line each: `done`, or `refused: REASON`.

use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Stream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

/// Clients at once; more are turned away.
const MOST: usize = 16;

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

    /// Takes a client in.
    pub async fn accept(&mut self) {
        match self.listener.accept().await {
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

fn ask(pid_file: &Path, limit: Duration) -> Result<(), String> {
    let text = std::fs::read_to_string(pid_file)
        .map_err(|e| format!("no daemon runs: cannot read {}: {e}", pid_file.display()))?;
    let pid: i32 = text
        .trim()
        .parse()
        .map_err(|_| format!("{} holds no process id", pid_file.display()))?;
    let socket = path(pid_file);
    let stream = Stream::connect(&socket)
        .map_err(|e| format!("cannot reach the daemon at {}: {e}", socket.display()))?;
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
