//! Two daemons on this machine, one address, and what happens when the master is killed.
//!
//! `cargo run --release --example failover` builds the daemon and shows it with the two-node configuration
//! of every tutorial. Everything happens in network namespaces of its own.

mod host;
mod lab;
mod watch;

use host::Host;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use watch::{Frame, Watcher};

const ADDRESS: &str = "192.168.122.200";
const VRID: u8 = 51;

const SERVER1: &str = "\
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 12345
    }
    virtual_ipaddress {
        192.168.122.200/24
    }
}
";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some(lab::HOST_ARGUMENT) => host::serve(),
        Some("--help" | "-h") => {
            println!(
                "usage: failover\n\nShows two keepalived-rs daemons failing over in network namespaces."
            );
            Ok(())
        }
        Some(other) => Err(format!("unknown argument '{other}'; --help tells what there is").into()),
        None => show(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("failover: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> Result<(), Failure> {
    let daemon = build()?;
    let root = nix::unistd::geteuid().is_root();
    if root {
        install(&["tcpdump", "iproute2"]);
    }
    let tcpdump = which("tcpdump");
    let ip = which("ip");

    lab::enter()?;
    let work = lab::Scratch::new()?;
    let server2 = SERVER1
        .replace("state MASTER", "state BACKUP")
        .replace("priority 150", "priority 100");
    std::fs::write(work.path("server1.conf"), SERVER1)?;
    std::fs::write(work.path("server2.conf"), &server2)?;

    title("The configuration of server1; server2 has state BACKUP and priority 100");
    print!("{SERVER1}");

    let mut one = Host::start("server1", "192.168.122.101", &daemon, &work)?;
    let mut two = Host::start("server2", "192.168.122.102", &daemon, &work)?;
    lab::wire(&[one.wiring(), two.wiring()])?;
    one.configure()?;
    two.configure()?;
    let watcher = Watcher::start(lab::BRIDGE)?;

    title("Both daemons start");
    one.daemon_start()?;
    two.daemon_start()?;
    let first = watcher
        .wait(Duration::from_secs(10), |f| f.advert_from("192.168.122.101"))
        .ok_or("server1 sent no advert within 10 s")?;
    println!("server1 is master: {first}");
    wait_for_address(&mut one, true)?;
    holders(&mut one, &mut two, ip.is_some())?;

    title("Adverts on the wire");
    let captured = tcpdump
        .as_deref()
        .is_some_and(|program| tcpdump_adverts(program, root));
    if !captured {
        for _ in 0..3 {
            let advert = watcher
                .wait(Duration::from_secs(3), |f| f.advert_from("192.168.122.101"))
                .ok_or("no advert for 3 s")?;
            println!("{advert}");
        }
    }

    title("The daemon of server1 is killed (SIGKILL)");
    let last = watcher
        .last_advert("192.168.122.101")
        .ok_or("no advert of server1 seen")?;
    one.daemon_kill()?;
    let last = watcher.last_advert("192.168.122.101").unwrap_or(last);
    let taken = watcher
        .wait(Duration::from_secs(10), |f| f.advert_from("192.168.122.102"))
        .ok_or("server2 did not take over within 10 s")?;
    let announced = watcher
        .wait(Duration::from_secs(2), |f| {
            f.announces(ADDRESS) && f.at() >= taken.at()
        })
        .ok_or("server2 did not announce the address within 2 s")?;
    let skew = (256.0 - 100.0) / 256.0;
    let bound = 3.0 + skew;
    let silence = taken.at() - last.at();
    println!("last advert of server1           0.000 s");
    println!("first advert of server2          {:.3} s", silence.as_secs_f64());
    println!(
        "first gratuitous ARP             {:.3} s  {announced}",
        (announced.at() - last.at()).as_secs_f64()
    );
    println!("the protocol's master down time  {bound:.3} s  (3 x advert_int + (256 - priority) / 256)");
    println!("its skew time                    {skew:.3} s  (what is left to wait after a goodbye)");
    wait_for_address(&mut two, true)?;
    holders(&mut one, &mut two, ip.is_some())?;
    println!(
        "(The daemon's guard has said goodbye for it and removed the address. After a host that died, without \
         a goodbye, the master down time is waited for.)"
    );

    title("The daemon of server1 is started again");
    one.daemon_start()?;
    let back = watcher
        .wait(Duration::from_secs(15), |f| f.advert_from("192.168.122.101"))
        .ok_or("server1 did not come back within 15 s")?;
    println!("server1 is master again: {back}");
    wait_for_address(&mut one, true)?;
    wait_for_address(&mut two, false)?;
    holders(&mut one, &mut two, ip.is_some())?;

    title("Both stop");
    one.daemon_stop()?;
    two.daemon_stop()?;
    println!("The logs of both daemons said, about states:");
    one.print_states();
    two.print_states();
    if !captured {
        println!("\nLeft out: tcpdump (not installed, or not allowed to capture as this user);");
        println!("adverts were shown by the program's own decoder.");
    }
    if ip.is_none() {
        println!("\nLeft out: iproute2 is not installed; addresses were read by the program itself.");
    }
    Ok(())
}

/// The daemon, built with the profile of this example.
fn build() -> Result<PathBuf, Failure> {
    let here = std::env::current_exe()?;
    let directory = here
        .parent()
        .and_then(Path::parent)
        .ok_or("this example is not where cargo puts examples; run it with cargo")?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells a program that it runs would make it build again what asks for it.
    let told = |name: &str| {
        [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_CRATE_",
            "CARGO_BIN_",
            "CARGO_PRIMARY_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(told) {
            command.env_remove(name);
        }
    }
    // Together with this example, so that what both need is not compiled a second time.
    command.args([
        "build",
        "--quiet",
        "--bin",
        "keepalived-rs",
        "--example",
        "failover",
    ]);
    command.args([
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    if directory.ends_with("release") {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err("the daemon does not build; see above".into());
    }
    Ok(directory.join("keepalived-rs"))
}

fn install(packages: &[&str]) {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|p| which(if *p == "iproute2" { "ip" } else { p }).is_none())
        .collect();
    if missing.is_empty() || which("apt-get").is_none() {
        return;
    }
    println!("installing {} ...", missing.join(", "));
    for arguments in [
        vec!["update"],
        [vec!["install", "-y", "--no-install-recommends"], missing].concat(),
    ] {
        let _ = Command::new("apt-get")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status();
    }
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Says whether tcpdump has shown them.
fn tcpdump_adverts(program: &Path, root: bool) -> bool {
    let mut command = Command::new(program);
    command.args(["-l", "-n", "-c", "3", "-i", lab::BRIDGE, "ip proto 112"]);
    if !root {
        command.args(["-Z", "root"]);
    }
    command
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn wait_for_address(host: &mut Host, wanted: bool) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(5);
    while host.holds(ADDRESS)? != wanted {
        if Instant::now() > end {
            return Err(format!(
                "{} {} {ADDRESS} after 5 s",
                host.name(),
                if wanted { "does not hold" } else { "still holds" }
            )
            .into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn holders(one: &mut Host, two: &mut Host, ip: bool) -> Result<(), Failure> {
    for host in [one, two] {
        let addresses = host.addresses(ip)?;
        println!("{}: {addresses}", host.name());
    }
    Ok(())
}

fn title(text: &str) {
    println!("\n== {text}");
}

impl Frame {
    fn advert_from(&self, source: &str) -> bool {
        matches!(self, Frame::Advert { source: s, vrid, priority, .. } if s.to_string() == source && *vrid == VRID && *priority > 0)
    }

    fn announces(&self, address: &str) -> bool {
        matches!(self, Frame::GratuitousArp { address: a, .. } if a.to_string() == address)
    }
}
