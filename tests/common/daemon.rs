//! A daemon under test, or its peer, running on a lab host, with what it logs.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::net::Host;
use super::{now_ns, wait_until};

/// Debian's keepalived: the peer in interoperation tests, and what timings are compared with.
pub const KEEPALIVED: &str = "/usr/sbin/keepalived";

/// Which program a daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The daemon under test: ours, unless `DAEMON` names another (to prove a test on the original).
    Tested,
    /// Debian's keepalived.
    Keepalived,
}

impl Which {
    pub fn path(self) -> PathBuf {
        match self {
            Self::Tested => std::env::var_os("DAEMON")
                .map_or_else(|| env!("CARGO_BIN_EXE_keepalived-rs").into(), PathBuf::from),
            Self::Keepalived => KEEPALIVED.into(),
        }
    }
}

/// True when the daemon under test is ours.
pub fn tests_ours() -> bool {
    std::env::var_os("DAEMON").is_none_or(|path| Path::new(&path).ends_with("keepalived-rs"))
}

/// Skips a test that the original is known to fail, when it is the original that is being tested.
pub fn ours_only(why: &str) {
    if !tests_ours() {
        super::runner::skip(format!("the original differs: {why}"));
    }
}

/// Skips when Debian's keepalived is not installed.
pub fn needs_keepalived() {
    if !Path::new(KEEPALIVED).exists() {
        super::runner::skip("Debian's keepalived is not installed");
    }
}

/// How a daemon is started.
pub struct Start<'a> {
    host: &'a Host,
    program: PathBuf,
    name: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    log_read: bool,
    log_file: bool,
    real_time: bool,
}

impl<'a> Start<'a> {
    /// `keepalived -n -l -D -G`, reading the host's /etc/keepalived/keepalived.conf.
    pub fn new(host: &'a Host, which: Which) -> Self {
        let args = ["-n", "-l", "-D", "-G"].map(str::to_owned).to_vec();
        Self {
            args,
            ..Self::bare(host, which.path())
        }
    }

    /// Any program, without arguments.
    pub fn bare(host: &'a Host, program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        let name = program
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = format!("{} on {}", name, host.name);
        Self {
            host,
            program,
            name,
            args: Vec::new(),
            env: Vec::new(),
            log_read: true,
            log_file: false,
            real_time: false,
        }
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    pub fn only_args(mut self, args: &[&str]) -> Self {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its standard error is a pipe of one page that nobody reads until [`Daemon::read_log`].
    pub fn log_unread(mut self) -> Self {
        self.log_read = false;
        self
    }

    /// Its standard error is a file: a sink that takes its lines as fast as it writes them.
    pub fn log_to_file(mut self) -> Self {
        self.log_file = true;
        self
    }

    /// At the lowest real-time priority.
    pub fn real_time(mut self) -> Self {
        self.real_time = true;
        self
    }

    #[track_caller]
    pub fn spawn(self) -> Daemon {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let path = self.host.dir.join(format!("log-{}", now_ns()));
        if self.log_file {
            command.stderr(File::create(&path).expect("own file"));
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let unread = child.stderr.take();
        let mut daemon = Daemon {
            name: self.name,
            child,
            log: Log::default(),
            cursor: 0,
            unread,
            status: None,
        };
        if self.log_file {
            daemon.log.follow(Tail {
                file: File::open(&path).expect("just made"),
                ended: Arc::clone(&daemon.log.ended),
            });
        } else if self.log_read {
            daemon.read_log();
        } else if let Some(pipe) = &daemon.unread {
            fcntl(pipe, FcntlArg::F_SETPIPE_SZ(4096)).expect("a pipe of one page");
        }
        daemon
    }

    /// Runs it to its end: status, and what it wrote to stdout and stderr.
    pub fn output(self) -> (Option<i32>, String) {
        let out = self
            .command()
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        (out.status.code(), text)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.host.space().name,
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--",
        ]);
        if self.real_time {
            command.args(["chrt", "-r", "1"]);
        }
        command
            .args(["sh", "-c", ENTER, "lab"])
            .arg(&self.host.dir)
            .arg(&self.program)
            .args(&self.args);
        command.env("TMPDIR", self.host.tmp()).env_remove("NOTIFY_SOCKET");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// In the mount namespace that `ip netns exec` made: the host's own /etc/keepalived, /run and programs.
const ENTER: &str = r#"
set -e
dir=$1; shift
if [ ! -d /etc/keepalived ]; then
    mkdir -p "$dir/etc/keepalived"
    mount -t overlay overlay -o "lowerdir=$dir/etc:/etc" /etc
fi
mount --bind "$dir/keepalived" /etc/keepalived
for top in "$dir"/files/usr/*; do
    [ ! -d "$top" ] || mount -t overlay overlay -o "lowerdir=$top:/usr/${top##*/}" "/usr/${top##*/}"
done
mount --bind "$dir/run" /run
date +%s%N >"$dir/started"
exec "$@"
"#;

/// KiB.
pub struct Memory {
    pub resident: u64,
    /// Pages that several share are divided among them.
    pub proportional: u64,
    /// What no file holds.
    pub anonymous: u64,
}

/// A running daemon; it is killed when this goes.
pub struct Daemon {
    name: String,
    child: Child,
    log: Log,
    cursor: usize,
    unread: Option<std::process::ChildStderr>,
    status: Option<ExitStatus>,
}

impl Daemon {
    /// Begins to read its standard error.
    pub fn read_log(&mut self) {
        if let Some(stderr) = self.unread.take() {
            self.log.follow(stderr);
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// Stops it until SIGCONT; returns when none of its threads runs any more.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        let stopped = |task: &str| {
            let stat = std::fs::read_to_string(task).unwrap_or_default();
            stat.rsplit_once(") ")
                .is_none_or(|(_, rest)| rest.starts_with('T'))
        };
        let tasks = format!("/proc/{}/task", self.pid());
        wait_until("its threads stop", Duration::from_secs(2), || {
            let mut tasks = std::fs::read_dir(&tasks).expect("it lives").flatten();
            tasks
                .all(|task| stopped(&format!("{}/stat", task.path().display())))
                .then_some(())
        });
    }

    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            kill(self.pid(), signal).unwrap_or_else(|error| panic!("{}: {signal}: {error}", self.name));
        }
    }

    /// Sends a signal by its number: the real-time signals have no name.
    pub fn signal_number(&self, number: i32) {
        super::tool("kill", &["-s", &number.to_string(), &self.pid().to_string()]);
    }

    /// SIGTERM, and waits for its end; returns the exit status.
    #[track_caller]
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.wait_exit(super::secs(8.0))
    }

    /// SIGKILL to it and to every process that it started: what a crash of the host's daemon leaves behind.
    #[track_caller]
    pub fn crash(&mut self) -> i64 {
        let (at, all) = self.kill();
        // Its children are init's now, and keepalived takes a zombie for a daemon that runs.
        let gone = |pid: &Pid| !Path::new(&format!("/proc/{pid}")).exists();
        wait_until("what was killed to go", super::secs(20.0), || {
            all.iter().all(gone).then_some(())
        });
        at
    }

    fn kill(&mut self) -> (i64, Vec<Pid>) {
        let all = self.family();
        let at = now_ns();
        // Children first: a parent that lives would see one die and start another, a stopped one cannot.
        let _ = kill(self.pid(), Signal::SIGSTOP);
        for pid in all.iter().rev() {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        self.status = self.child.wait().ok();
        (at, all)
    }

    #[track_caller]
    pub fn wait_exit(&mut self, bound: Duration) -> Option<i32> {
        let child = &mut self.child;
        let status = wait_until(&format!("{}: its end", self.name), bound, || {
            child.try_wait().ok().flatten()
        });
        self.status = Some(status);
        status.code()
    }

    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for a line that holds `text`, after the last one that was found this way.
    #[track_caller]
    pub fn expect(&mut self, text: &str, bound: Duration) -> Line {
        match self.log.find(self.cursor, text, bound) {
            Some((index, line)) => {
                self.cursor = index + 1;
                line
            }
            None => panic!(
                "{}: no line with {text:?} within {bound:?}; since the last match:\n{}",
                self.name,
                self.log.text(self.cursor)
            ),
        }
    }

    /// Lines with this text, from the start on.
    pub fn count(&self, text: &str) -> usize {
        self.log
            .lines()
            .iter()
            .filter(|line| line.text.contains(text))
            .count()
    }

    /// Fails when a line with this text was ever logged.
    #[track_caller]
    pub fn never(&self, text: &str) {
        assert_eq!(
            self.count(text),
            0,
            "{} logged {text:?}:\n{}",
            self.name,
            self.log.text(0)
        );
    }

    /// Fails unless a line with this text was logged, at any time so far.
    #[track_caller]
    pub fn logged(&self, text: &str) {
        assert!(
            self.count(text) > 0,
            "{} never logged {text:?}:\n{}",
            self.name,
            self.log.text(0)
        );
    }

    /// [`Daemon::expect`] only looks at lines from now on.
    pub fn skip_log(&mut self) {
        self.cursor = self.log.lines().len();
    }

    /// All it logged so far.
    pub fn log_text(&self) -> String {
        self.log.text(0)
    }

    /// Processor time used so far by it and its children (living ones), in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.family().iter().map(|pid| cpu_of(*pid)).sum()
    }

    /// Memory of it and its children.
    pub fn memory(&self) -> Memory {
        let texts = self
            .family()
            .into_iter()
            .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok());
        let texts: Vec<String> = texts.collect();
        let sum = |name: &str| {
            let values = texts
                .iter()
                .flat_map(|text| text.lines())
                .filter_map(|line| line.strip_prefix(name));
            values
                .filter_map(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
                .sum()
        };
        Memory {
            resident: sum("Rss:"),
            proportional: sum("Pss:"),
            anonymous: sum("Anonymous:"),
        }
    }

    /// It and its children, oldest first.
    pub fn family(&self) -> Vec<Pid> {
        let mut all = vec![self.pid()];
        let mut next = 0;
        while next < all.len() {
            all.extend(children(all[next]));
            next += 1;
        }
        all
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.status.is_none() && matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
        self.log.ended.store(true, Ordering::Relaxed);
        if thread::panicking() {
            eprintln!("---- log of {} ----\n{}----", self.name, self.log.text(0));
        }
    }
}

fn children(pid: Pid) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|n| n.parse().ok())
                .collect::<Vec<i32>>()
        })
        .map(Pid::from_raw)
        .collect()
}

/// From the scheduler's own account, which counts in nanoseconds.
fn cpu_of(pid: Pid) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    stats
        .filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .sum::<f64>()
        / 1e9
}

/// A line of the log, without the date before it.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was read: wall clock, nanoseconds.
    pub at: i64,
    pub text: String,
}

#[derive(Clone, Default)]
struct Log {
    shared: Arc<(Mutex<Vec<Line>>, Condvar)>,
    /// The daemon is gone: no more will be written.
    ended: Arc<AtomicBool>,
}

/// Reads a file that still grows, until its writer is gone.
struct Tail {
    file: File,
    ended: Arc<AtomicBool>,
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let ended = self.ended.load(Ordering::Relaxed);
            let length = self.file.read(buffer)?;
            if length > 0 || ended {
                return Ok(length);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Log {
    fn follow(&self, source: impl Read + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut bytes = Vec::new();
            while matches!(source.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&bytes);
                let line = Line {
                    at: now_ns(),
                    text: without_date(text.trim_end()).to_owned(),
                };
                shared.0.lock().unwrap_or_else(|e| e.into_inner()).push(line);
                shared.1.notify_all();
                bytes.clear();
            }
        });
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.shared.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn find(&self, from: usize, text: &str, bound: Duration) -> Option<(usize, Line)> {
        let end = Instant::now() + bound;
        let mut lines = self.lines();
        let mut next = from;
        loop {
            while let Some(line) = lines.get(next) {
                if line.text.contains(text) {
                    return Some((next, line.clone()));
                }
                next += 1;
            }
            let left = end.checked_duration_since(Instant::now())?;
            lines = self
                .shared
                .1
                .wait_timeout(lines, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
    }

    fn text(&self, from: usize) -> String {
        let lines = self.lines();
        let mut text = String::new();
        for line in lines.iter().skip(from) {
            let second = line.at.rem_euclid(1_000_000_000_000) as f64 / 1e9;
            text.push_str(&format!("{second:10.4} {}\n", line.text));
        }
        text
    }
}

/// `Tue Nov 24 20:22:23 2026: text` without its date.
fn without_date(line: &str) -> &str {
    match line.get(24..26) {
        Some(": ") if line.as_bytes().get(13) == Some(&b':') => &line[26..],
        _ => line,
    }
}
