//! A host: a process in a network namespace of its own that starts and stops its daemon when told.

use super::Failure;
use super::lab::{self, Scratch, Wiring};
use futures_util::TryStreamExt;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A host as the main program sees it.
pub struct Host {
    name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Host {
    /// Starts the process of a host.
    pub fn start(name: &str, address: &str, daemon: &Path, work: &Scratch) -> Result<Host, Failure> {
        let mut child = Command::new("/proc/self/exe")
            .arg(lab::HOST_ARGUMENT)
            .args([name, address])
            .arg(daemon)
            .arg(work.directory())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no pipe to the host")?;
        let output = BufReader::new(child.stdout.take().ok_or("no pipe from the host")?);
        let log = work.path(&format!("{name}.log"));
        let mut host = Host {
            name: name.to_owned(),
            child,
            input,
            output,
            log,
        };
        host.answer()?;
        Ok(host)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its cable goes.
    pub fn wiring(&self) -> Wiring {
        Wiring {
            pid: self.child.id(),
            port: format!("port-{}", &self.name[self.name.len() - 1..]),
        }
    }

    /// Gives eth0 its address.
    pub fn configure(&mut self) -> Result<(), Failure> {
        self.ask("configure").map(drop)
    }

    /// Starts the daemon.
    pub fn daemon_start(&mut self) -> Result<(), Failure> {
        self.ask("start").map(drop)
    }

    /// Kills the daemon with SIGKILL, and returns when it is gone.
    pub fn daemon_kill(&mut self) -> Result<(), Failure> {
        self.ask("kill").map(drop)
    }

    /// Stops the daemon with SIGTERM, and returns when it is gone.
    pub fn daemon_stop(&mut self) -> Result<(), Failure> {
        self.ask("stop").map(drop)
    }

    /// Whether eth0 has this address.
    pub fn holds(&mut self, address: &str) -> Result<bool, Failure> {
        let prefix = format!("{address}/");
        Ok(self
            .ask("addresses")?
            .split_whitespace()
            .any(|a| a.starts_with(&prefix)))
    }

    /// Addresses of eth0, as `ip -brief address` shows them where it is there.
    pub fn addresses(&mut self, ip: bool) -> Result<String, Failure> {
        self.ask(if ip { "ip" } else { "addresses" })
    }

    /// Prints the lines of its daemon's log that are about states.
    pub fn print_states(&self) {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        for line in text.lines().filter(|l| l.contains("STATE")) {
            println!("  {}: {line}", self.name);
        }
    }

    fn ask(&mut self, what: &str) -> Result<String, Failure> {
        writeln!(self.input, "{what}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let line = line.trim_end();
        match line.split_once(' ') {
            Some(("ok", answer)) => Ok(answer.to_owned()),
            Some(("failed", why)) => Err(format!("{}: {why}", self.name).into()),
            _ => Err(format!("{} ended without an answer", self.name).into()),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "end");
        let _ = self.child.wait();
    }
}

/// The host's own side: does what it is told on standard input.
pub fn serve() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let [name, address, daemon, work] = arguments.as_slice() else {
        return Err("a host needs its name, address, daemon and directory".into());
    };
    unshare(CloneFlags::CLONE_NEWNET)?;
    println!("ok here");
    let mut site = Site {
        name,
        address: address.parse()?,
        daemon: Path::new(daemon),
        work: Path::new(work),
        running: None,
    };
    for line in std::io::stdin().lines() {
        let line = line?;
        if line == "end" {
            break;
        }
        match site.obey(&line) {
            Ok(answer) => println!("ok {answer}"),
            Err(failure) => println!("failed {failure}"),
        }
    }
    site.signal(Signal::SIGKILL).map(drop)
}

struct Site<'a> {
    name: &'a str,
    address: Ipv4Addr,
    daemon: &'a Path,
    work: &'a Path,
    running: Option<Child>,
}

impl Site<'_> {
    fn obey(&mut self, command: &str) -> Result<String, Failure> {
        match command {
            "configure" => self.configure(),
            "start" => self.start(),
            "kill" => self.signal(Signal::SIGKILL),
            "stop" => self.signal(Signal::SIGTERM),
            "addresses" => self.addresses(),
            "ip" => {
                let output = Command::new("ip")
                    .args(["-brief", "-4", "address", "show", "eth0"])
                    .output()?;
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            other => Err(format!("unknown command '{other}'").into()),
        }
    }

    fn configure(&self) -> Result<String, Failure> {
        lab::run(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            let task = tokio::spawn(connection);
            for interface in ["lo", "eth0"] {
                let index = index_of(&handle, interface).await?;
                let up = rtnetlink::LinkUnspec::new_with_index(index).up().build();
                handle.link().set(up).execute().await?;
                if interface == "eth0" {
                    handle
                        .address()
                        .add(index, IpAddr::V4(self.address), 24)
                        .execute()
                        .await?;
                }
            }
            task.abort();
            Ok("configured".to_owned())
        })
    }

    fn start(&mut self) -> Result<String, Failure> {
        let path = |suffix: &str| self.work.join(format!("{}{suffix}", self.name));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path(".log"))?;
        let child = Command::new(self.daemon)
            .args(["-n", "-l", "-D", "-G", "-f"])
            .arg(path(".conf"))
            .arg("-p")
            .arg(path(".pid"))
            .arg("-r")
            .arg(path("-vrrp.pid"))
            .arg("-c")
            .arg(path("-checkers.pid"))
            .arg("-b")
            .arg(path("-bfd.pid"))
            .env("TMPDIR", self.work)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let pid = child.id();
        self.running = Some(child);
        Ok(pid.to_string())
    }

    fn signal(&mut self, signal: Signal) -> Result<String, Failure> {
        let Some(mut child) = self.running.take() else {
            return Ok("not running".to_owned());
        };
        kill(Pid::from_raw(child.id().cast_signed()), signal)?;
        Ok(child.wait()?.to_string())
    }

    fn addresses(&self) -> Result<String, Failure> {
        lab::run(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            let task = tokio::spawn(connection);
            let index = index_of(&handle, "eth0").await?;
            let mut found = Vec::new();
            let mut dump = handle.address().get().set_link_index_filter(index).execute();
            while let Some(message) = dump.try_next().await? {
                for attribute in &message.attributes {
                    if let netlink_packet_route::address::AddressAttribute::Local(address) = attribute {
                        found.push(format!("{address}/{}", message.header.prefix_len));
                    }
                }
            }
            task.abort();
            Ok(found.join(" "))
        })
    }
}

/// Index of an interface.
pub async fn index_of(handle: &rtnetlink::Handle, name: &str) -> Result<u32, Failure> {
    let mut dump = handle.link().get().match_name(name.to_owned()).execute();
    match dump.try_next().await? {
        Some(link) => Ok(link.header.index),
        None => Err(format!("interface {name} does not exist").into()),
    }
}
