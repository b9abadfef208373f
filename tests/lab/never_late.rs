//! What goes on beside it costs a master no advert: logs and disks that take nothing, hundreds of scripts, thousands of
//! addresses, a huge file; and a daemon that was stopped hears what has arrived before it acts.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, ours_only};
use crate::common::{Daemon, Which, now_ns, secs, tool, wait_until};
use crate::pair::{Single, instance, start};

const US: &str = "192.0.2.1";
const INTERVAL: f64 = 0.1;
const ADVERTS: &str = "version 3\n    advert_int 0.1\n    garp_master_delay 0";

fn master(more: &str) -> String {
    instance(
        "VI_1",
        51,
        100,
        &["192.0.2.100/24"],
        &format!("{ADVERTS}\n    {more}"),
    )
}

/// A master, and its longest silence while nothing happens.
struct Measured {
    single: Single,
    quiet: Duration,
}

impl Measured {
    fn new(single: Single, begin: i64) -> Self {
        single
            .watch
            .wait_nth("it as master", begin, 3, secs(8.0), |s| s.is_advert_of(51, US));
        let from = now_ns();
        let quiet = silence(&single, from, 20);
        Self { single, quiet }
    }

    /// No advert since `from` was later than two intervals, or what the machine does by itself: a backup waits for more
    /// than three.
    #[track_caller]
    fn on_time(&self, what: &str, from: i64) {
        let gap = self.single.watch.longest_gap(51, US, from, 0);
        eprintln!("{what}: longest gap {gap:?}, without it {:?}", self.quiet);
        let bound = secs(2.0 * INTERVAL).max(self.quiet.mul_f64(1.5));
        assert!(
            gap <= bound,
            "{what}: an advert was late: {gap:?}; without it {:?}",
            self.quiet
        );
    }

    fn reload(&self, daemon: &mut Daemon, text: &str) {
        self.single.host.write("keepalived.conf", text);
        daemon.signal(Signal::SIGHUP);
        daemon.expect("Reload complete", secs(30.0));
    }
}

/// The longest gap in the time of so many adverts.
fn silence(single: &Single, from: i64, adverts: usize) -> Duration {
    single
        .watch
        .wait_nth("adverts", from, adverts, secs(10.0), |s| s.is_advert_of(51, US));
    single.watch.longest_gap(51, US, from, 0)
}

/// A journal that takes nothing: lines are lost, adverts are not.
pub fn a_dead_journal() {
    ours_only("it writes its log from the thread that sends adverts");
    let single = Single::new(&master(""));
    let socket = single.host.run_file("systemd/journal/socket");
    std::fs::create_dir_all(socket.parent().expect("a folder")).expect("own folder");
    let _nobody_reads = UnixDatagram::bind(&socket).expect("a socket");
    let begin = now_ns();
    let mut daemon = Start::new(&single.host, Which::Tested)
        .only_args(&["-n", "-D"])
        .spawn();
    let measured = Measured::new(single, begin);
    let from = now_ns();
    for priority in [101, 102, 103, 104, 105] {
        let text = master("").replace("priority 100", &format!("priority {priority}"));
        measured.single.host.write("keepalived.conf", &text);
        let since = now_ns();
        daemon.signal(Signal::SIGHUP);
        measured.single.watch.wait("the reload", since, secs(5.0), |s| {
            s.advert().is_some_and(|a| a.vrid == 51 && a.priority == priority)
        });
    }
    silence(&measured.single, from, 20);
    measured.on_time("a dead journal", from);
    assert_eq!(daemon.stop(), Some(0));
}

/// A file system of a few pages, which is gone with this.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(path: PathBuf) -> Self {
        let text = path.to_str().expect("a plain path").to_owned();
        tool("mount", &["-t", "tmpfs", "-o", "size=16k", "tmpfs", &text]);
        Self(path)
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Log file and dumps on a full disk.
pub fn a_full_disk() {
    let others: String = (60..110)
        .map(|vrid| {
            instance(
                &format!("VI_{vrid}"),
                vrid,
                100,
                &[&format!("192.0.2.{vrid}")],
                ADVERTS,
            )
        })
        .collect();
    let single = Single::new(&(master("") + &others));
    let tiny = Tiny::mount(single.host.tmp());
    let log = tiny.0.join("keepalived.log");
    let begin = now_ns();
    let mut daemon = Start::new(&single.host, Which::Tested)
        .args(&["-g", log.to_str().expect("a plain path"), "--flush-log-file"])
        .spawn();
    let measured = Measured::new(single, begin);
    let from = now_ns();
    for _ in 0..3 {
        daemon.signal(Signal::SIGUSR1);
        daemon.signal(Signal::SIGUSR2);
        daemon.signal_number(36);
        silence(&measured.single, now_ns(), 5);
    }
    measured.on_time("a full disk", from);
    assert!(daemon.running());
    daemon.expect("No space left on device", secs(2.0));
    let path = tiny.0.to_str().expect("a plain path");
    tool("mount", &["-o", "remount,size=16m", path]);
    // And when there is room again, it writes.
    daemon.signal(Signal::SIGUSR1);
    let data = measured.single.host.tmp().join("keepalived.data");
    wait_until("a dump", secs(3.0), || {
        std::fs::read_to_string(&data)
            .ok()
            .filter(|text| text.contains("VI_109"))
    });
}

/// Two hundred scripts that start in the same moment, again and again.
pub fn two_hundred_scripts_at_once() {
    let scripts: String = (0..200)
        .map(|n| {
            format!(
                "vrrp_script s{n} {{\n    script /etc/keepalived/check.sh\n    interval 1\n    weight 1\n}}\n"
            )
        })
        .collect();
    let tracked: String = (0..200).map(|n| format!("        s{n}\n")).collect();
    let globals = "global_defs {\n    script_user root\n    enable_script_security\n}\n";
    let with = globals.to_owned() + &scripts + &master(&format!("track_script {{\n{tracked}    }}"));
    let single = Single::new(&master(""));
    let check = single.host.script("check.sh", "#!/bin/sh\nexit 0\n");
    let begin = now_ns();
    let mut daemon = single.start();
    let mut measured = Measured::new(single, begin);
    measured.quiet = beside_two_hundred(&measured.single, &check);
    let from = now_ns();
    measured.reload(&mut daemon, &with);
    silence(&measured.single, now_ns(), 30);
    measured.on_time("200 scripts", from);
    measured
        .single
        .watch
        .wait("all of them succeeding", from, secs(10.0), |s| {
            s.advert().is_some_and(|a| a.vrid == 51 && a.priority == 254)
        });
}

/// What so many processes do to the machine when somebody else starts them.
fn beside_two_hundred(single: &Single, program: &Path) -> Duration {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let running: Vec<_> = (0..200)
                    .filter_map(|_| Command::new(program).stdin(Stdio::null()).spawn().ok())
                    .collect();
                for mut child in running {
                    let _ = child.wait();
                }
            }
        });
        let quiet = silence(single, now_ns(), 20);
        done.store(true, Ordering::Relaxed);
        quiet
    })
}

/// A hundred instances leave their state in the same moment, and each has two scripts for that.
pub fn two_hundred_notify_scripts_at_once() {
    let others: String = (60..160)
        .map(|vrid| {
            let more = "version 3\n    track_file {\n        f\n    }\n    notify /etc/keepalived/notify.sh\n    \
                notify_fault \"/etc/keepalived/notify.sh FAULT\"\n    notify_backup \"/etc/keepalived/notify.sh BACKUP\"";
            let vip = format!("192.0.2.{vrid}");
            instance(&format!("VI_{vrid}"), vrid, 100, &[&vip], more)
        })
        .collect();
    let globals = "global_defs {\n    script_user root\n    enable_script_security\n}\n\
        track_file f {\n    file /run/f\n    weight 0\n}\n";
    let single = Single::new(&(globals.to_owned() + &master("") + &others));
    let notify = single
        .host
        .script("notify.sh", "#!/bin/sh\necho $* >>/run/notified\n");
    let file = single.host.run_file("f");
    std::fs::write(&file, "0\n").expect("own file");
    let begin = now_ns();
    let mut daemon = single.start();
    let mut measured = Measured::new(single, begin);
    let last = "(VI_159) Entering MASTER STATE";
    wait_until(last, secs(10.0), || (daemon.count(last) > 0).then_some(()));
    measured.quiet = beside_two_hundred(&measured.single, &notify);
    for (value, state) in [("1", "FAULT"), ("0", "BACKUP")] {
        let from = now_ns();
        std::fs::write(&file, value).expect("own file");
        let told = measured.single.host.run_file("notified");
        wait_until("all scripts", secs(20.0), || {
            let text = std::fs::read_to_string(&told).ok()?;
            let told = text.lines().filter(|line| line.contains(state));
            (told.count() >= 200).then_some(())
        });
        silence(&measured.single, now_ns(), 5);
        measured.on_time(&format!("200 notify scripts, {state}"), from);
    }
    assert_eq!(daemon.stop(), Some(0));
}

/// Ten thousand addresses go in, and out again.
pub fn ten_thousand_addresses() {
    ours_only("it is silent until all are set");
    let excluded: String = (0..10_000)
        .map(|n| format!("        10.{}.{}.{}/32\n", n / 40_000, n / 200, n % 200 + 1))
        .collect();
    let few = master("garp_master_repeat 1");
    let many = few.replacen(
        "virtual_ipaddress",
        &format!("virtual_ipaddress_excluded {{\n{excluded}    }}\n    virtual_ipaddress"),
        1,
    );
    let single = Single::new(&few);
    let begin = now_ns();
    let mut daemon = Start::new(&single.host, Which::Tested).log_to_file().spawn();
    let measured = Measured::new(single, begin);
    let from = now_ns();
    measured.reload(&mut daemon, &many);
    measured.single.watch.wait("the last one", from, secs(60.0), |s| {
        s.is_gratuitous_arp("10.0.49.200")
    });
    measured.on_time("10,000 addresses added", from);
    let from = now_ns();
    measured.reload(&mut daemon, &few);
    measured
        .single
        .host
        .wait_address("eth0", "10.0.49.200/32", false, secs(60.0));
    measured.on_time("10,000 addresses removed", from);
    assert_eq!(daemon.count("Entering"), 2);
}

/// Five thousand instances that are for another host, all to be read.
pub fn a_huge_file() {
    ours_only("it reads in the thread that sends adverts");
    let others: String = (0..5000)
        .flat_map(|n| {
            let text = instance(&format!("OTHER_{n}"), 52, 100, &["192.0.2.101"], "");
            text.lines()
                .map(|line| format!("@elsewhere {line}\n"))
                .collect::<Vec<_>>()
        })
        .collect();
    let single = Single::new(&master(""));
    let begin = now_ns();
    let mut daemon = single.start();
    let measured = Measured::new(single, begin);
    let from = now_ns();
    let huge = master("").replace("priority 100", "priority 101") + &others;
    measured.reload(&mut daemon, &huge);
    silence(&measured.single, now_ns(), 5);
    measured.on_time("a huge file", from);
    measured.single.watch.wait("what it says", from, secs(3.0), |s| {
        s.advert().is_some_and(|a| a.vrid == 51 && a.priority == 101)
    });
}

/// Stopped for ten times the master down interval and continued: a backup hears what has arrived before it believes
/// its timer, and both say how late they were, and why.
pub fn stopped_and_continued() {
    ours_only("its processes are stopped one by one");
    let single = Single::new(&master(""));
    let two = single.peer("two", 2, &instance("VI_1", 51, 50, &["192.0.2.100/24"], ADVERTS));
    let mut first = single.start();
    first.expect("(VI_1) Entering MASTER STATE", secs(5.0));
    let mut second = start(&two);
    second.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    second.expect("(VI_1) master set to 192.0.2.1", secs(3.0));
    let from = now_ns();
    second.signal(Signal::SIGSTOP);
    single
        .watch
        .wait_nth("thirty adverts", from, 30, secs(8.0), |s| s.is_advert_of(51, US));
    let woken = now_ns();
    second.signal(Signal::SIGCONT);
    second.expect("A thread timer expired ", secs(3.0));
    let late = second.expect("Late: ", secs(2.0));
    single
        .watch
        .wait_nth("ten more adverts", woken, 10, secs(8.0), |s| {
            s.is_advert_of(51, US)
        });
    second.never("Entering MASTER STATE");
    assert!(
        late.text.contains("process was stopped") || late.text.contains("since the last look"),
        "{}",
        late.text
    );

    // The master: the other one takes over meanwhile, and gives way.
    let from = now_ns();
    first.signal(Signal::SIGSTOP);
    single.watch.wait_nth("the other one", from, 10, secs(8.0), |s| {
        s.is_advert_of(51, "192.0.2.2")
    });
    let woken = now_ns();
    first.signal(Signal::SIGCONT);
    let back = single
        .watch
        .wait("the first one", woken, secs(2.0), |s| s.is_advert_of(51, US));
    first.expect("A thread timer expired ", secs(3.0));
    second.expect("(VI_1) Entering BACKUP STATE", secs(2.0));
    let both: Vec<String> = single
        .watch
        .seen_since(back.at + 150_000_000)
        .iter()
        .filter(|s| s.is_advert(51))
        .map(|s| s.source())
        .collect();
    assert!(both.iter().all(|source| source == US), "{both:?}");
    assert_eq!(first.count("Entering MASTER STATE"), 1);
}

/// The /etc/resolv.conf of one host's daemons.
struct NameServer(PathBuf);

impl NameServer {
    fn of(host: &crate::common::Host, text: &str) -> Self {
        let folder = PathBuf::from("/etc/netns").join(&host.space().name);
        if std::fs::create_dir_all(&folder).is_err() {
            crate::common::runner::skip("no right to write to /etc/netns");
        }
        std::fs::write(folder.join("resolv.conf"), text).expect("own file");
        // Where /etc is laid over.
        let laid_over = host.dir.join("etc");
        std::fs::create_dir_all(&laid_over).expect("own folder");
        std::fs::write(laid_over.join("resolv.conf"), text).expect("own file");
        Self(folder)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0.join("resolv.conf"));
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A reload whose file names a mail server, and a name server that does not answer.
pub fn a_silent_name_server() {
    ours_only("it resolves in the thread that sends adverts");
    let single = Single::new(&master(""));
    // It is there, and takes the questions.
    let deaf = single.peer("deaf", 53, "");
    let _silent = deaf
        .space()
        .run(|| std::net::UdpSocket::bind("192.0.2.53:53").expect("a socket"));
    let _names = NameServer::of(
        &single.host,
        "nameserver 192.0.2.53\noptions timeout:2 attempts:1\n",
    );
    let begin = now_ns();
    let mut daemon = single.start();
    let measured = Measured::new(single, begin);
    let from = now_ns();
    let text = master("").replace("priority 100", "priority 101");
    measured.reload(
        &mut daemon,
        &format!("global_defs {{\n    smtp_server mail.example.org\n}}\n{text}"),
    );
    let took = (now_ns() - from) as f64 / 1e9;
    measured.on_time("a silent name server", from);
    assert!(took > 1.0, "nobody was asked: the reload took {took:.1} s");
    measured.single.watch.wait("what it says", from, secs(3.0), |s| {
        s.advert().is_some_and(|a| a.vrid == 51 && a.priority == 101)
    });
}
