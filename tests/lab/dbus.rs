//! D-Bus, on private buses with the policy of the package: answers and signals beside keepalived's, who may call
//! what, and a bus that goes and comes back.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, needs_keepalived, ours_only};
use crate::common::{Daemon, Host, Which, have, now_ns, runner, secs, tool, try_tool, wait_until};
use crate::pair::{Single, instance};

const VIP: &str = "192.0.2.100/24";
pub const NAME: &str = "org.keepalived.Vrrp1";
const VRRP: &str = "/org/keepalived/Vrrp1/Vrrp";
pub const ONE: &str = "/org/keepalived/Vrrp1/Instance/eth0/51/IPv4";
const TWO: &str = "/org/keepalived/Vrrp1/Instance/eth1_7/52/IPv4";
const PASSWORD: &str = "s3cr3t77";

/// Methods, properties and signals, for the same file and the same events.
pub fn the_same_as_keepalived() {
    needs();
    needs_keepalived();
    assert_eq!(visit(Which::Tested), visit(Which::Keepalived));
}

/// All that a client sees of one daemon's life.
fn visit(which: Which) -> Vec<String> {
    let two = instance("two", 52, 100, &["198.51.100.9/24"], "").replace("eth0", "eth1.7");
    let password = format!("authentication {{\n auth_type PASS\n auth_pass {PASSWORD}\n }}");
    let one = instance("one", 51, 100, &[VIP], &password);
    let single = Single::new(&format!("{ENABLED}{one}{two}"));
    let port = single.lab.cable(&single.host, "eth1.7", &[]);
    port.pull();
    let bus = Bus::new(&single.host, "");
    let heard = bus.listen();
    let mut daemon = bus.daemon(&single.host, which);
    bus.wait_state(ONE, "Master");
    bus.wait_state(TWO, "Fault");

    let mut seen = Vec::new();
    for path in [ONE, TWO] {
        for property in ["Name", "State"] {
            seen.push(bus.get(path, property));
        }
        let mut all: Vec<String> = bus
            .call(path, PROPERTIES_OF_ALL, &[&format!("string:{NAME}.Instance")])
            .expect("properties")
            .lines()
            .map(|line| line.trim().to_owned())
            .collect();
        all.sort();
        seen.extend(all);
    }
    // Other clients, which look at the types.
    for path in [ONE, TWO] {
        for property in ["Name", "State"] {
            let interface = format!("{NAME}.Instance");
            seen.push(bus.busctl(&["get-property", NAME, path, &interface, property]));
            seen.push(bus.gdbus(
                path,
                "org.freedesktop.DBus.Properties.Get",
                &[&interface, property],
            ));
        }
    }
    for path in [VRRP, ONE] {
        let text = bus
            .call(path, "org.freedesktop.DBus.Introspectable.Introspect", &[])
            .expect("XML");
        seen.extend(members(&text));
    }

    let from = now_ns();
    for path in [ONE, TWO] {
        seen.push(
            bus.call(path, &format!("{NAME}.Instance.SendGarp"), &[])
                .expect("an answer"),
        );
    }
    daemon.expect("Sending garps on one on DBus request", secs(10.0));
    seen.push(bus.gdbus(ONE, &format!("{NAME}.Instance.SendGarp"), &[]));
    seen.push(bus.busctl(&["call", NAME, ONE, &format!("{NAME}.Instance"), "SendGarp"]));
    single.watch.wait("its announcement", from, secs(10.0), |s| {
        s.is_gratuitous_arp("192.0.2.100")
    });
    let problem = bus.call(ONE, &format!("{NAME}.Instance.Nothing"), &[]);
    assert!(
        problem.as_ref().is_err_and(|text| text.contains("UnknownMethod")),
        "{problem:?}"
    );

    for (method, name, word) in [
        ("PrintData", "keepalived.data", " VRRP Instance = one"),
        ("PrintStats", "keepalived.stats", "  Became master: 1"),
        ("PrintStatsClear", "keepalived.stats", "  Became master: 1"),
        ("PrintStats", "keepalived.stats", "  Became master: 0"),
    ] {
        seen.push(
            bus.call(VRRP, &format!("{NAME}.Vrrp.{method}"), &[])
                .expect("an answer"),
        );
        let path = single.host.tmp().join(name);
        let written = || fs::read_to_string(&path).is_ok_and(|text| text.contains(word));
        if which == Which::Tested {
            assert!(written(), "{method} is answered when the file is written");
        } else {
            wait_until(method, secs(10.0), || written().then_some(()));
        }
    }

    single.host.write("keepalived.conf", &format!("{ENABLED}{one}"));
    seen.push(
        bus.call(VRRP, &format!("{NAME}.Vrrp.ReloadConfig"), &[])
            .expect("an answer"),
    );
    heard.wait(&format!("{VRRP} VrrpReloaded"));
    wait_until("the object to go", secs(10.0), || {
        bus.state(TWO).is_err().then_some(())
    });
    daemon.stop();
    heard.wait(&format!("{VRRP} VrrpStopped"));
    let signals = heard.signals();
    assert!(!format!("{seen:?}{signals:?}").contains(PASSWORD));
    assert_eq!(signals.first(), Some(&format!("{VRRP} VrrpStarted")));
    assert_eq!(signals.last(), Some(&format!("{VRRP} VrrpStopped")));
    for path in [VRRP, ONE, TWO] {
        let of_path = signals
            .iter()
            .filter(|signal| signal.starts_with(&format!("{path} ")));
        // Which instance is first is chance with keepalived; and when the bus is quicker than its VRRP thread, it
        // also tells of the state before the first one.
        let before = format!("{path} VrrpStatusChange 0");
        assert!(which == Which::Keepalived || !signals.contains(&before));
        seen.extend(of_path.filter(|signal| **signal != before).cloned());
    }
    seen
}

/// `interface member` of each of keepalived's own in an introspection.
fn members(xml: &str) -> Vec<String> {
    let all = typed_members(xml).into_iter();
    let mut all: Vec<String> = all
        .map(|member| member.split(": ").next().unwrap_or_default().to_owned())
        .collect();
    all.dedup();
    all
}

/// The same with types, which a signal has one of for each argument: `interface member: type`.
fn typed_members(xml: &str) -> Vec<String> {
    let (mut interface, mut member) = (String::new(), String::new());
    let mut found = Vec::new();
    for line in xml.lines() {
        let quoted = |key: &str| {
            let (_, rest) = line.split_once(&format!(" {key}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        let tag = line
            .trim()
            .trim_start_matches('<')
            .split([' ', '>'])
            .next()
            .unwrap_or_default();
        match (tag, quoted("name")) {
            ("interface", Some(name)) => interface = name,
            ("method" | "signal" | "property", Some(name)) if interface.starts_with(NAME) => {
                member = format!("{interface} {tag} {name}");
                found.push(format!("{member}: {}", quoted("type").unwrap_or_default()));
            }
            ("arg", _) if interface.starts_with(NAME) => {
                found.push(format!("{member}: {}", quoted("type").unwrap_or_default()));
            }
            _ => {}
        }
    }
    found.sort();
    found
}

/// A backup takes over: a signal says so. The bus is killed and comes back: VRRP does not notice, and the objects
/// are there again. Objects come and go with reloads.
pub fn a_bus_that_was_killed_is_found_again() {
    needs();
    ours_only("a bus that is lost stays lost");
    let one = instance("one", 51, 100, &[VIP], "");
    let single = Single::new(&format!("{ENABLED}{one}"));
    let better = single.peer("better", 2, &instance("one", 51, 200, &[VIP], ""));
    let mut master = crate::pair::start(&better);
    master.expect("(one) Entering MASTER STATE", secs(6.0));
    let mut bus = Bus::new(&single.host, "");
    let heard = bus.listen();
    let mut daemon = bus.daemon(&single.host, Which::Tested);
    bus.wait_state(ONE, "Backup");
    master.crash();
    heard.wait(&format!("{ONE} VrrpStatusChange 2"));
    assert!(bus.get(ONE, "State").contains("Master"));

    bus.kill();
    daemon.expect("D-Bus: connection lost; trying again", secs(3.0));
    let from = now_ns();
    single
        .watch
        .wait_nth("adverts without a bus", from, 2, secs(4.0), |s| {
            s.is_advert_of(51, "192.0.2.1")
        });
    bus.start();
    let heard = bus.listen();
    daemon.expect("Acquired DBus bus org.keepalived.Vrrp1", secs(10.0));
    bus.wait_state(ONE, "Master");
    heard.wait(&format!("{ONE} VrrpStatusChange 2"));

    assert_eq!(
        bus.busctl(&["get-property", NAME, ONE, &format!("{NAME}.Instance"), "State"]),
        "(us) 2 \"Master\""
    );
    // The types as 2.4.3 describes them; 2.2.7 describes the name as `s`, and answers `(s)` too.
    let described = bus.busctl(&["introspect", NAME, ONE, &format!("{NAME}.Instance")]);
    let described: Vec<Vec<&str>> = described
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for member in [
        vec![".Name", "property", "(s)", "-", "-"],
        vec![".State", "property", "(us)", "-", "-"],
        vec![".SendGarp", "method", "-", "-", "-"],
        vec![".VrrpStatusChange", "signal", "u", "-", "-"],
    ] {
        assert!(described.contains(&member), "{member:?} in {described:?}");
    }
    let described = tool(
        "gdbus",
        &[
            "introspect",
            "--address",
            &bus.address(),
            "--dest",
            NAME,
            "--object-path",
            ONE,
        ],
    );
    assert!(
        described.contains("readonly (us) State = (2, 'Master');"),
        "{described}"
    );
    assert!(described.contains("readonly (s) Name = ('one',);"), "{described}");
    for (path, name) in [(VRRP, "Vrrp"), (ONE, "Instance")] {
        let text = bus
            .call(path, "org.freedesktop.DBus.Introspectable.Introspect", &[])
            .expect("XML");
        let file = format!(
            "{}/packaging/compat/dbus/{NAME}.{name}.xml",
            env!("CARGO_MANIFEST_DIR")
        );
        let packaged = fs::read_to_string(file).expect("the package's description");
        assert_eq!(typed_members(&text), typed_members(&packaged));
        assert!(typed_members(&packaged).len() >= 4, "{packaged}");
    }
    let tree = bus.busctl(&["--list", "tree", NAME]);
    assert!(tree.lines().any(|line| line == ONE), "{tree}");

    // It hangs: nobody waits for it, and it hears of everything afterwards.
    bus.signal(Signal::SIGSTOP);
    let more = instance("more", 77, 100, &["192.0.2.77/24"], "");
    single
        .host
        .write("keepalived.conf", &format!("{ENABLED}{one}{more}"));
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
    let from = now_ns();
    single
        .watch
        .wait_nth("adverts beside a bus that hangs", from, 2, secs(4.0), |s| {
            s.is_advert_of(51, "192.0.2.1")
        });
    bus.signal(Signal::SIGCONT);
    let new = "/org/keepalived/Vrrp1/Instance/eth0/77/IPv4";
    bus.wait_state(new, "Master");
    single.host.write("keepalived.conf", &one);
    daemon.signal(Signal::SIGHUP);
    heard.wait(&format!("{VRRP} VrrpStopped"));
    wait_until("the name to go", secs(10.0), || {
        bus.state(ONE).is_err().then_some(())
    });
    single.host.write("keepalived.conf", &format!("{ENABLED}{one}"));
    daemon.signal(Signal::SIGHUP);
    bus.wait_state(ONE, "Master");
    assert!(bus.state(new).is_err(), "an object of an instance that is gone");
    bus.signal(Signal::SIGSTOP);
    assert_eq!(daemon.stop(), Some(0));
}

/// Another user may read, and nothing else; names are as configured; and the policy opens no other service.
pub fn other_users_may_read_only() {
    needs();
    if runner::unprivileged() {
        runner::skip("there is no second user");
    }
    let single = Single::new(&format!("{ENABLED}{}", instance("one", 51, 100, &[VIP], "")));
    let other = single.peer("other", 2, OTHER);
    let bus = Bus::new(&single.host, "org.example.Other");
    let mut daemon = bus.daemon(&single.host, Which::Tested);
    let mut neighbour = bus.daemon(&other, Which::Tested);
    daemon.expect("Acquired DBus bus", secs(10.0));
    neighbour.expect("Acquired DBus bus org.example.Other", secs(10.0));
    let get = [&*format!("string:{NAME}.Instance"), "string:State"];
    let read = |service| {
        bus.ask(
            Some("nobody"),
            service,
            ONE,
            "org.freedesktop.DBus.Properties.Get",
            &get,
        )
    };
    let settled = |answer: Result<String, String>| {
        let text = answer.ok()?;
        (text.contains("Backup") || text.contains("Master")).then_some(())
    };
    wait_until("a state that others may read", secs(5.0), || settled(read(NAME)));
    let loose = "/org/keepalived/Vrrp1/Instance/any_where/61/IPv4";
    wait_until("the state of the one without interface", secs(5.0), || {
        settled(bus.ask(
            None,
            "org.example.Other",
            loose,
            "org.freedesktop.DBus.Properties.Get",
            &get,
        ))
    });
    let refused = |service: &str, path: &str, method: &str, arguments: &[&str]| {
        let answer = bus.ask(Some("nobody"), service, path, method, arguments);
        assert!(
            answer.as_ref().is_err_and(|text| text.contains("AccessDenied")),
            "{method} of {service}: {answer:?}"
        );
    };
    refused(
        "org.example.Other",
        VRRP,
        "org.freedesktop.DBus.Introspectable.Introspect",
        &[],
    );
    refused(
        "org.example.Other",
        ONE,
        "org.freedesktop.DBus.Properties.Get",
        &get,
    );
    for method in ["PrintData", "PrintStats", "PrintStatsClear", "ReloadConfig"] {
        refused(NAME, VRRP, &format!("{NAME}.Vrrp.{method}"), &[]);
        assert!(bus.call(VRRP, &format!("{NAME}.Vrrp.{method}"), &[]).is_ok());
    }
    refused(NAME, ONE, &format!("{NAME}.Instance.SendGarp"), &[]);
    let own = [&*format!("string:{NAME}"), "uint32:2"];
    let bus_itself = "org.freedesktop.DBus";
    refused(
        bus_itself,
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus.RequestName",
        &own,
    );
    daemon.never("Returning error");
}

/// Under another name, with an instance that has no interface.
const OTHER: &str = "
global_defs {
    enable_dbus
    dbus_service_name org.example.Other
    dbus_no_interface_name any-where
}
vrrp_instance loose {
    virtual_router_id 61
    priority 100
    unicast_src_ip 192.0.2.2
    unicast_peer {
        192.0.2.1
    }
    virtual_ipaddress {
        192.0.2.61/24 dev eth0
    }
}
";
pub const ENABLED: &str = "global_defs {\n    enable_dbus\n}\n";
pub const PROPERTIES_OF_ALL: &str = "org.freedesktop.DBus.Properties.GetAll";

pub fn needs() {
    if !cfg!(feature = "dbus") {
        runner::skip("built without D-Bus: cargo test --features dbus");
    }
    for program in ["dbus-daemon", "dbus-send", "dbus-monitor", "busctl", "gdbus"] {
        if !have(program) {
            runner::skip(format!("{program} is not installed"));
        }
    }
}

/// A bus like that of a system, with the policy file of the package.
pub struct Bus {
    dir: PathBuf,
    child: Child,
}

impl Bus {
    /// `other`: a name that root may own too.
    pub fn new(host: &Host, other: &str) -> Bus {
        let dir = host.dir.clone();
        let other = match other {
            "" => String::new(),
            name => format!("<allow own=\"{name}\"/><allow send_destination=\"{name}\"/>"),
        };
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/dbus/keepalived-rs.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
    {other}
  </policy>
  <include>{policy}</include>
</busconfig>
"#,
            dir.join("bus").display()
        );
        fs::write(dir.join("bus.conf"), text).expect("own file");
        let child = run(&dir);
        let bus = Bus { dir, child };
        bus.wait();
        bus
    }

    fn start(&mut self) {
        self.child = run(&self.dir);
        self.wait();
    }

    fn wait(&self) {
        wait_until("the bus", secs(5.0), || {
            std::os::unix::net::UnixStream::connect(self.dir.join("bus")).ok()
        });
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        fs::remove_file(self.dir.join("bus")).expect("its socket");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it runs");
    }

    #[track_caller]
    fn busctl(&self, words: &[&str]) -> String {
        let address = format!("DBUS_SYSTEM_BUS_ADDRESS={}", self.address());
        let all = [&[&*address, "busctl", "--system"][..], words].concat();
        tool("env", &all).trim().to_owned()
    }

    #[track_caller]
    fn gdbus(&self, path: &str, method: &str, arguments: &[&str]) -> String {
        let words = [
            "call",
            "--address",
            &self.address(),
            "--dest",
            NAME,
            "--object-path",
            path,
            "--method",
            method,
        ];
        tool("gdbus", &[&words[..], arguments].concat()).trim().to_owned()
    }

    pub fn address(&self) -> String {
        format!("unix:path={}", self.dir.join("bus").display())
    }

    pub fn daemon(&self, host: &Host, which: Which) -> Daemon {
        Start::new(host, which)
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address())
            .spawn()
    }

    /// Calls a method of the daemon.
    pub fn call(&self, path: &str, method: &str, arguments: &[&str]) -> Result<String, String> {
        self.ask(None, NAME, path, method, arguments)
    }

    /// Calls a method with dbus-send: what it returns, without the line about the reply; or the error.
    fn ask(
        &self,
        user: Option<&str>,
        service: &str,
        path: &str,
        method: &str,
        arguments: &[&str],
    ) -> Result<String, String> {
        let (bus, destination) = (format!("--bus={}", self.address()), format!("--dest={service}"));
        let mut words = vec![
            "dbus-send",
            &bus,
            "--print-reply",
            "--reply-timeout=5000",
            &destination,
        ];
        words.extend([path, method]);
        words.extend(arguments);
        let answer = match user {
            None => try_tool(words[0], &words[1..]),
            Some(user) => {
                let user = ["--reuid", user, "--regid", "nogroup", "--clear-groups", "--"];
                try_tool("setpriv", &[&user[..], &words].concat())
            }
        };
        answer.map(|text| text.split_once('\n').map_or("", |(_, rest)| rest).to_owned())
    }

    fn get(&self, path: &str, property: &str) -> String {
        let interface = format!("string:{NAME}.Instance");
        let arguments = [&*interface, &*format!("string:{property}")];
        self.call(path, "org.freedesktop.DBus.Properties.Get", &arguments)
            .unwrap_or_else(|error| panic!("{property} of {path}: {error}"))
    }

    fn state(&self, path: &str) -> Result<String, String> {
        let arguments = [&*format!("string:{NAME}.Instance"), "string:State"];
        self.call(path, "org.freedesktop.DBus.Properties.Get", &arguments)
    }

    pub fn wait_state(&self, path: &str, word: &str) {
        wait_until(&format!("{path} in {word}"), secs(10.0), || {
            self.state(path)
                .is_ok_and(|text| text.contains(word))
                .then_some(())
        });
    }

    /// Records the signals from now on.
    fn listen(&self) -> Ears {
        let path = self.dir.join(format!("heard-{}", now_ns()));
        let file = File::create(&path).expect("own file");
        let child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "--",
                "stdbuf",
                "-oL",
                "dbus-monitor",
                "--address",
            ])
            .arg(self.address())
            .arg("type='signal'")
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-monitor");
        let ears = Ears { path, child };
        wait_until("dbus-monitor", secs(5.0), || {
            ears.text().contains("NameLost").then_some(())
        });
        ears
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(dir: &std::path::Path) -> Child {
    Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "--",
            "dbus-daemon",
            "--nofork",
            "--nopidfile",
            "--nosyslog",
        ])
        .arg(format!("--config-file={}", dir.join("bus.conf").display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(dir.join("bus.log")).expect("own file"))
        .spawn()
        .expect("dbus-daemon")
}

/// dbus-monitor, and what it has heard.
struct Ears {
    path: PathBuf,
    child: Child,
}

impl Ears {
    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap_or_default()
    }

    /// keepalived's signals so far: `PATH MEMBER ARGUMENT`.
    fn signals(&self) -> Vec<String> {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let ours = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with("signal ") && line.contains(&format!("interface={NAME}.")));
        let part = |line: &str, key: &str| {
            let (_, rest) = line.split_once(key).unwrap_or_default();
            rest.split([';', ' ']).next().unwrap_or_default().to_owned()
        };
        ours.map(|(at, line)| {
            let argument = lines.get(at + 1).and_then(|next| next.strip_prefix("   uint32 "));
            let said = format!("{} {}", part(line, "path="), part(line, "member="));
            argument.map_or(said.clone(), |argument| format!("{said} {argument}"))
        })
        .collect()
    }

    fn wait(&self, signal: &str) {
        wait_until(&format!("the signal {signal}"), secs(10.0), || {
            self.signals().iter().any(|s| s == signal).then_some(())
        });
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
