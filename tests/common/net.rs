//! Hosts (network namespaces), the segments (bridges) and cables that join them.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::observe::Observer;
use super::{tool, try_tool};

const PREFIX: &str = "krlab-";
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// One experiment: a folder, and namespaces that all carry its name.
pub struct Lab {
    name: String,
    dir: PathBuf,
    hub: Namespace,
    segments: AtomicU32,
    ports: AtomicU32,
}

impl Lab {
    pub fn new() -> Self {
        let name = format!(
            "{PREFIX}{}-{}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed)
        );
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("own folder");
        let hub = Namespace::new(&format!("{name}-hub"));
        hub.run(|| quiet_ipv6(true));
        Self {
            name,
            dir,
            hub,
            segments: AtomicU32::new(0),
            ports: AtomicU32::new(0),
        }
    }

    /// A host that is connected to nothing yet.
    pub fn host(&self, name: &str) -> Host {
        let space = Namespace::new(&format!("{}-{name}", self.name));
        space.run(|| quiet_ipv6(false));
        space.ip("link set lo up");
        let dir = self.dir.join(name);
        for part in ["", "keepalived", "run", "tmp", "files"] {
            fs::create_dir(dir.join(part)).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        }
        Host {
            name: name.to_owned(),
            dir,
            space,
            hub: self.hub.name.clone(),
        }
    }

    /// A broadcast segment: every host connected to it hears every other.
    pub fn segment(&self) -> Segment {
        let bridge = format!("br{}", self.segments.fetch_add(1, Ordering::Relaxed));
        self.hub
            .ip(&format!("link add {bridge} type bridge mcast_snooping 0"));
        self.hub.ip(&format!("link set {bridge} up"));
        Segment {
            bridge,
            hub: self.hub.name.clone(),
        }
    }

    /// Puts `interface` into `host`; the other end of the cable lies in the hub, joined to nothing.
    pub fn cable(&self, host: &Host, interface: &str, addresses: &[&str]) -> Port {
        let port = format!("p{}", self.ports.fetch_add(1, Ordering::Relaxed));
        self.hub.ip(&format!(
            "link add {port} type veth peer name {interface} netns {}",
            host.space.name
        ));
        self.hub.ip(&format!("link set {port} up"));
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            host.ip(&format!("address add {address} dev {interface}{nodad}"));
        }
        host.ip(&format!("link set {interface} up"));
        Port {
            name: port,
            hub: self.hub.name.clone(),
        }
    }

    /// Puts `interface` into `host` and joins it to the segment.
    pub fn connect(&self, host: &Host, interface: &str, segment: &Segment, addresses: &[&str]) -> Port {
        let port = self.cable(host, interface, addresses);
        port.join(segment);
        port
    }

    /// Records what passes on a segment, from now on.
    pub fn watch(&self, segment: &Segment) -> Observer {
        Observer::start(&self.hub, &segment.bridge, &self.dir)
    }

    /// Records what passes on one cable, in both directions, from now on.
    pub fn watch_port(&self, port: &Port) -> Observer {
        Observer::start(&self.hub, &port.name, &self.dir)
    }

    pub fn hub(&self) -> &Namespace {
        &self.hub
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.hub.remove();
        if thread::panicking() && std::env::var_os("KEEPALIVED_RS_LAB_KEEP").is_some() {
            eprintln!("kept: {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A bridge in the hub.
pub struct Segment {
    pub bridge: String,
    hub: String,
}

/// The hub's end of a host's cable.
pub struct Port {
    pub name: String,
    hub: String,
}

impl Port {
    /// Pulls the cable: the host's interface stays up and loses its carrier.
    pub fn pull(&self) {
        tool("ip", &["-n", &self.hub, "link", "set", &self.name, "down"]);
    }

    pub fn plug(&self) {
        tool("ip", &["-n", &self.hub, "link", "set", &self.name, "up"]);
    }

    /// From now on nothing that is sent into it comes out anywhere, and the other way round; the carrier stays.
    pub fn leave(&self) {
        tool("ip", &["-n", &self.hub, "link", "set", &self.name, "nomaster"]);
    }

    /// Joins it to a segment.
    pub fn join(&self, segment: &Segment) {
        let args = [
            "-n",
            &self.hub,
            "link",
            "set",
            &self.name,
            "master",
            &segment.bridge,
        ];
        tool("ip", &args);
    }
}

/// A host: its network, and the folders that its daemons see as /etc/keepalived, /run and TMPDIR.
pub struct Host {
    pub name: String,
    pub dir: PathBuf,
    space: Namespace,
    hub: String,
}

impl Host {
    pub fn space(&self) -> &Namespace {
        &self.space
    }

    /// `ip ARGS` in this host; the words are split at blanks.
    #[track_caller]
    pub fn ip(&self, args: &str) -> String {
        self.space.ip(args)
    }

    /// Writes a file of /etc/keepalived.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join("keepalived").join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("own file");
        path
    }

    /// Writes a script of /etc/keepalived.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own file");
        path
    }

    /// A program that this host's daemons find at `path`, which must be absolute.
    pub fn program(&self, path: &str, text: &str) {
        let path = self.dir.join("files").join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("an absolute path")).expect("own folder");
        fs::write(&path, text).expect("own file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own file");
    }

    /// The folder that this host's daemons have as TMPDIR.
    pub fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// When a daemon was last started on this host (its program about to be loaded): wall clock, nanoseconds.
    pub fn started(&self) -> i64 {
        let text = std::fs::read_to_string(self.dir.join("started")).unwrap_or_default();
        text.trim().parse().expect("written at every start")
    }

    /// A file of the /run that this host's daemons see.
    pub fn run_file(&self, name: &str) -> PathBuf {
        self.dir.join("run").join(name)
    }

    /// Addresses on an interface as `ADDRESS/LENGTH`, in the kernel's order; empty when there is no interface.
    pub fn addresses(&self, interface: &str) -> Vec<String> {
        self.address_details(interface)
            .iter()
            .map(|a| format!("{}/{}", text(&a["local"]), a["prefixlen"]))
            .collect()
    }

    /// As `ip -j address` tells them.
    pub fn address_details(&self, interface: &str) -> Vec<serde_json::Value> {
        let Ok(out) = try_tool(
            "ip",
            &["-n", &self.space.name, "-j", "address", "show", "dev", interface],
        ) else {
            return Vec::new();
        };
        let links: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap_or_default();
        links
            .iter()
            .filter_map(|link| link["addr_info"].as_array().cloned())
            .flatten()
            .collect()
    }

    pub fn has(&self, interface: &str, address: &str) -> bool {
        self.addresses(interface).iter().any(|a| a == address)
    }

    /// Waits until the interface has the address (or has it no longer).
    #[track_caller]
    pub fn wait_address(&self, interface: &str, address: &str, present: bool, bound: std::time::Duration) {
        let what = format!(
            "{} {address} on {} {interface}",
            if present { "having" } else { "losing" },
            self.name
        );
        super::wait_until(&what, bound, || {
            (self.has(interface, address) == present).then_some(())
        });
    }

    /// Waits until an IPv6 link-local address is usable, and returns it.
    #[track_caller]
    pub fn link_local(&self, interface: &str) -> String {
        super::wait_until("a link-local address", super::secs(5.0), || {
            let details = self.address_details(interface);
            let usable = details
                .iter()
                .find(|a| a["scope"] == "link" && a["tentative"] != true);
            usable.map(|a| text(&a["local"]).to_owned())
        })
    }

    pub fn mac(&self, interface: &str) -> [u8; 6] {
        let out = self.ip(&format!("-j link show dev {interface}"));
        let links: serde_json::Value = serde_json::from_str(&out).expect("ip writes JSON");
        let mut mac = [0; 6];
        for (byte, digits) in mac.iter_mut().zip(text(&links[0]["address"]).split(':')) {
            *byte = u8::from_str_radix(digits, 16).expect("a MAC address");
        }
        mac
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A named network namespace; what runs in it is ended and it is removed with this value.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    fn new(name: &str) -> Self {
        tool("ip", &["netns", "add", name]);
        Self {
            name: name.to_owned(),
        }
    }

    #[track_caller]
    pub fn ip(&self, args: &str) -> String {
        let mut words = vec!["-n", &self.name];
        words.extend(args.split_whitespace());
        tool("ip", &words)
    }

    /// Runs a closure on a thread that lives in this namespace. A socket made there stays in it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = Path::new("/run/netns").join(&self.name);
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                setns(file, CloneFlags::CLONE_NEWNET).expect("entering a namespace that this program made");
                work()
            });
            inside
                .join()
                .unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        })
    }

    /// Runs a tool in this namespace and returns what it printed.
    #[track_caller]
    pub fn tool(&self, program: &str, args: &[&str]) -> String {
        let mut words = vec!["netns", "exec", self.name.as_str(), program];
        words.extend(args);
        tool("ip", &words)
    }

    fn remove(&self) {
        remove_namespace(&self.name);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.remove();
    }
}

fn remove_namespace(name: &str) {
    for pid in try_tool("ip", &["netns", "pids", name])
        .unwrap_or_default()
        .split_whitespace()
    {
        if let Some(pid) = pid.parse().ok().filter(|pid| *pid > 1) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    if Path::new("/run/netns").join(name).exists() {
        let _ = try_tool("ip", &["netns", "del", name]);
    }
}

/// Removes namespaces and folders of runners that no longer live.
pub fn remove_left_overs() {
    let of_the_dead = |name: &str| {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
            .map(str::to_owned);
        owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
    };
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    };
    for name in names(Path::new("/run/netns"))
        .iter()
        .filter(|name| of_the_dead(name))
    {
        remove_namespace(name);
    }
    let temporary = std::env::temp_dir();
    for name in names(&temporary).iter().filter(|name| of_the_dead(name)) {
        let _ = fs::remove_dir_all(temporary.join(name));
    }
}

/// IPv6 off (in the hub, which must be silent), or on without duplicate address detection (in hosts).
fn quiet_ipv6(off: bool) {
    for which in ["all", "default"] {
        let dir = Path::new("/proc/sys/net/ipv6/conf").join(which);
        let _ = if off {
            fs::write(dir.join("disable_ipv6"), "1")
        } else {
            fs::write(dir.join("accept_dad"), "0")
        };
    }
}
