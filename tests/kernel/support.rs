//! Namespaces, captures, and a kernel thread to drive.

use keepalived_rs::daemon::kernel::{KernelHandle, spawn};
use keepalived_rs::model::vrrp::Accept;
use keepalived_rs::model::{Address, AddressFlags, IpNetwork, Lifetime};
use keepalived_rs::state::InstanceId;
use keepalived_rs::state::kernel::{KernelInstance, KernelReport, KernelRequest, KernelSettings};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nothing here takes so long unless it hangs.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Runs a test in a network namespace of its own. Without root it runs itself again in a user namespace.
pub fn in_namespace(name: &str, test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        let program = std::env::current_exe().expect("own path");
        let status = Command::new("unshare")
            .args(["-Urn", "--"])
            .arg(program)
            .args(["--exact", name, "--nocapture"])
            .status()
            .expect("unshare");
        assert!(status.success(), "{name} failed in its user namespace");
        return;
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a command of several words; its output.
pub fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().expect("a command"))
        .args(words)
        .output()
        .expect(command);
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// eth0 with 192.0.2.1/24 and a link-local address, and its other end peer0.
pub fn veth() {
    for command in [
        "ip link set lo up",
        "ip link add eth0 index 10 address 02:00:00:00:01:00 type veth peer name peer0",
        "sysctl -qw net.ipv6.conf.eth0.accept_dad=0",
        "sysctl -qw net.ipv6.conf.peer0.disable_ipv6=1",
        "ip link set eth0 up",
        "ip link set peer0 up",
        "ip addr add 192.0.2.1/24 dev eth0",
    ] {
        run(command);
    }
}

/// What `ip -j addr show` says of addresses on an interface: address, prefix length.
pub fn addresses(interface: &str) -> Vec<(String, u64)> {
    let text = run(&format!("ip -j addr show dev {interface}"));
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let list = value[0]["addr_info"].as_array().expect("a list");
    let mut found: Vec<(String, u64)> = list
        .iter()
        .map(|entry| {
            (
                entry["local"].as_str().unwrap().to_owned(),
                entry["prefixlen"].as_u64().unwrap(),
            )
        })
        .collect();
    found.sort();
    found
}

/// Waits until something holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An address line of a configuration.
pub fn address(text: &str, interface: &str) -> Address {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let address: std::net::IpAddr = address.parse().expect("an address");
    let whole = if address.is_ipv4() { 32 } else { 128 };
    Address {
        network: IpNetwork {
            address,
            prefix: prefix.parse().unwrap_or(whole),
        },
        peer: None,
        broadcast: None,
        scope: 0,
        label: None,
        interface: interface.to_owned(),
        interface_given: false,
        flags: AddressFlags {
            nodad: address.is_ipv6(),
            ..AddressFlags::default()
        },
        no_track: false,
        preferred: Lifetime::Forever,
        preferred_given: false,
        over: None,
        use_vmac: false,
        track_group: None,
    }
}

/// An instance on eth0 with these addresses.
pub fn instance(id: u32, vips: Vec<Address>) -> KernelInstance {
    KernelInstance {
        id: InstanceId(id),
        name: format!("VI_{id}").into(),
        interface: "eth0".into(),
        vips: vips.into(),
        excluded_vips: Vec::new().into(),
        routes: Vec::new().into(),
        rules: Vec::new().into(),
        accept: Accept::Enabled,
        promote_secondaries: false,
        owner: false,
        extra: Default::default(),
    }
}

/// A kernel thread under test.
pub struct Kernel {
    pub handle: KernelHandle,
    pub reports: Receiver<KernelReport>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Kernel {
    pub fn start(settings: KernelSettings) -> Kernel {
        let (sender, reports) = channel();
        let (handle, thread) =
            spawn(settings, move |report| drop(sender.send(report))).expect("a kernel thread");
        Kernel {
            handle,
            reports,
            thread: Some(thread),
        }
    }

    pub fn configure(&self, instances: Vec<KernelInstance>, settings: KernelSettings, clean: bool) {
        self.handle.send(KernelRequest::Configure {
            instances,
            settings: Box::new(settings),
            clean,
        });
        self.wait("Configured", |report| *report == KernelReport::Configured);
    }

    pub fn claim(&self, id: u32, epoch: u64, announce: u32) {
        self.handle.send(KernelRequest::Claim {
            instance: InstanceId(id),
            epoch,
            announce,
        });
    }

    pub fn release(&self, id: u32, epoch: u64) {
        self.handle.send(KernelRequest::Release {
            instance: InstanceId(id),
            epoch,
        });
    }

    /// Which addresses are set, once this claim or release is done.
    pub fn applied(&self, id: u32, wanted: u64) -> Vec<bool> {
        let report = self.wait("Applied", |report| {
            matches!(report, KernelReport::Applied { instance, epoch, .. }
                if *instance == InstanceId(id) && *epoch == wanted)
        });
        match report {
            KernelReport::Applied { set, .. } => set,
            _ => unreachable!(),
        }
    }

    pub fn wait(&self, what: &str, matches: impl Fn(&KernelReport) -> bool) -> KernelReport {
        let start = Instant::now();
        loop {
            let rest = LIMIT.saturating_sub(start.elapsed());
            let report = self
                .reports
                .recv_timeout(rest)
                .unwrap_or_else(|_| panic!("no report: {what}"));
            if matches(&report) {
                return report;
            }
        }
    }

    pub fn stop(mut self, keep: bool) {
        self.handle.send(KernelRequest::Stop { keep });
        self.wait("Stopped", |report| *report == KernelReport::Stopped);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Captures frames that arrive on an interface.
pub struct Capture(Socket);

impl Capture {
    pub fn on(interface: &str) -> Capture {
        const ALL: i32 = 0x0003;
        let protocol = Protocol::from(i32::from((ALL as u16).to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a packet socket");
        let index = nix::net::if_::if_nametoindex(interface).expect("an index");
        let address = nix::sys::socket::LinkAddr::from_parts(index);
        socket.bind(&address).expect("bind");
        socket.set_read_timeout(Some(LIMIT)).expect("a time out");
        let _ = socket.set_recv_buffer_size(8 << 20);
        Capture(socket)
    }

    /// The next frame of this EtherType, unless none comes for so long.
    pub fn try_next(&mut self, ethertype: u16, wait: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + wait;
        let mut buffer = [0; 2048];
        loop {
            let rest = end
                .checked_duration_since(Instant::now())
                .filter(|rest| !rest.is_zero())?;
            self.0.set_read_timeout(Some(rest)).expect("a time out");
            let read = (&self.0).read(&mut buffer);
            self.0.set_read_timeout(Some(LIMIT)).expect("a time out");
            let frame = &buffer[..read.ok()?];
            if frame.len() > 14 && frame[12..14] == ethertype.to_be_bytes() {
                return Some(frame.to_vec());
            }
        }
    }

    /// The next frame of this EtherType that is wanted.
    pub fn next(&mut self, ethertype: u16, keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut buffer = [0; 2048];
        loop {
            let length = (&self.0).read(&mut buffer).expect("a frame in time");
            let frame = &buffer[..length];
            if frame.len() > 14 && frame[12..14] == ethertype.to_be_bytes() && keep(frame) {
                return frame.to_vec();
            }
        }
    }
}

/// The bytes of an address for AF_PACKET, which neither nix nor socket2 builds.
trait FromParts {
    fn from_parts(index: u32) -> socket2::SockAddr;
}

impl FromParts for nix::sys::socket::LinkAddr {
    fn from_parts(index: u32) -> socket2::SockAddr {
        // SAFETY: sockaddr_ll fits into the storage, and all its bytes may be zero.
        let made = unsafe {
            socket2::SockAddr::try_init(|storage, length| {
                let address = storage.cast::<libc::sockaddr_ll>();
                address.write(std::mem::zeroed());
                (*address).sll_family = libc::AF_PACKET as _;
                (*address).sll_protocol = 0x0003u16.to_be();
                (*address).sll_ifindex = index as i32;
                *length = size_of::<libc::sockaddr_ll>() as _;
                Ok(())
            })
        };
        made.expect("an address").1
    }
}
