//! Notify FIFOs: their lines beside keepalived's, their scripts, and readers that do not read.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::daemon::{Start, needs_keepalived, ours_only};
use crate::common::{Daemon, Which, secs, wait_until};
use crate::pair::{Single, instance};

const VIP: &str = "192.0.2.100/24";
const SECURE: &str = "    script_user root\n    enable_script_security\n";

/// A reader that has a FIFO open and never waits.
pub struct Tap(File);

impl Tap {
    /// Waits until the daemon has made it.
    pub fn open(path: &Path) -> Self {
        let fifo = |path: &Path| fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_fifo());
        wait_until("the FIFO", secs(5.0), || fifo(path).then_some(()));
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(path);
        Self(file.expect("a FIFO"))
    }

    /// What is in it now.
    pub fn lines(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        // Ends with "would block", or with the end of the file when the daemon is gone.
        let _ = self.0.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text:?}");
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for a line; what came before it is returned with it.
    fn until(&mut self, line: &str) -> Vec<String> {
        let mut all = Vec::new();
        wait_until(line, secs(6.0), || {
            all.extend(self.lines());
            all.iter().any(|l| l == line).then_some(())
        });
        all
    }
}

/// Byte for byte what keepalived writes, into both FIFOs: instances, groups, priorities, the end.
pub fn the_lines_are_those_of_keepalived() {
    needs_keepalived();
    for (all, own) in [
        ("", "notify_priority_changes"),
        ("vrrp_notify_priority_changes", ""),
    ] {
        lines_are_those_of_keepalived(all, own);
    }
}

/// `all` stands in `global_defs`, `own` in what tells of its priority.
fn lines_are_those_of_keepalived(all: &str, own: &str) {
    let of = |which: Which| {
        let single = Single::new("");
        let value = single.host.tmp().join("value");
        fs::write(&value, "0").expect("own file");
        let fast = "advert_int 0.3\n    version 3\n    ";
        let tracked = format!("{fast}track_file {{\n        load\n    }}");
        let instances = format!("{tracked}\n    {own}");
        single.host.write(
            "keepalived.conf",
            &format!(
                "global_defs {{\n{SECURE}    notify_fifo /run/all.fifo\n    vrrp_notify_fifo /run/vrrp.fifo daemon\n    {all}\n    \
                 }}\ntrack_file load {{\n    file {}\n    weight 1\n}}\nvrrp_sync_group G {{\n    \
                 sync_group_tracking_weight\n    {own}\n    group {{\n        M_1\n    }}\n}}\n{}{}",
                value.display(),
                instance("VI_1", 51, 100, &[VIP], &instances),
                instance("M_1", 52, 90, &["192.0.2.101/24"], &tracked),
            ),
        );
        let mut daemon = Start::new(&single.host, which).spawn();
        let path = |name: &str| single.host.run_file(name);
        let (mut all, mut vrrp) = (Tap::open(&path("all.fifo")), Tap::open(&path("vrrp.fifo")));
        let mode = |name: &str| {
            let there = fs::metadata(path(name)).expect("a FIFO");
            (there.permissions().mode() & 0o7777, there.uid(), there.gid())
        };
        let modes = [mode("all.fifo"), mode("vrrp.fifo")];
        let mut lines = all.until("INSTANCE \"VI_1\" MASTER 100");
        if !lines.iter().any(|line| line == "GROUP \"G\" MASTER 0") {
            lines.extend(all.until("GROUP \"G\" MASTER 0"));
        }
        for (number, priority) in [("7", 107), ("-3", 97)] {
            fs::write(&value, number).expect("own file");
            let mut until = |line: String| {
                if !lines.contains(&line) {
                    lines.extend(all.until(&line));
                }
            };
            until(format!("INSTANCE \"VI_1\" MASTER_PRIORITY {priority}"));
            until(format!("INSTANCE \"M_1\" MASTER_PRIORITY {}", priority - 10));
        }
        daemon.stop();
        lines.extend(all.lines());
        assert_eq!(lines, vrrp.lines(), "both FIFOs of {which:?} carry the same");
        for name in ["all.fifo", "vrrp.fifo"] {
            assert!(!path(name).exists(), "{which:?} removes {name}");
        }
        // The two instances run beside each other: their order is a race in both daemons.
        let about = |word: &str| -> Vec<String> {
            let lines = lines.iter().filter(|line| line.contains(word));
            lines.cloned().collect()
        };
        (about("VI_1"), about("M_1"), about("GROUP"), lines.len(), modes)
    };
    let (ours, theirs) = (of(Which::Tested), of(Which::Keepalived));
    assert_eq!(ours, theirs);
}

/// It is started with the path, reads all lines up to the last, is started again when it is killed, and ends
/// with the daemon. A reload that changes neither leaves reader and FIFO alone, and writes the states again.
pub fn a_script_reads_to_the_end() {
    ours_only("a FIFO is made again at each reload, and a script that died stays dead");
    for fifo in ["vrrp_notify_fifo", "notify_fifo"] {
        a_script_of(fifo);
    }
}

fn a_script_of(fifo: &str) {
    let single = Single::new(&format!(
        "global_defs {{\n{SECURE}    {fifo} /run/vrrp.fifo\n    {fifo}_script \"/etc/keepalived/read.sh one\"\n    \
         fifo_write_vrrp_states_on_reload\n}}\n{}",
        instance("VI_1", 51, 100, &[VIP], "advert_int 0.3\n    version 3")
    ));
    single.host.script(
        "read.sh",
        "#!/bin/sh\necho \"started $*\" >>/run/read\necho $$ >/run/read.pid\nwhile read -r line; do echo \"$line\" >>/run/read; done <\"$2\"\n\
         echo ended >>/run/read\n",
    );
    let read = || fs::read_to_string(single.host.run_file("read")).unwrap_or_default();
    let times = |line: &str| read().lines().filter(|l| *l == line).count();
    let wait = |line: &str, count: usize| {
        wait_until(&format!("{line}, {count} times"), secs(6.0), || {
            (times(line) >= count).then_some(())
        });
    };
    let mut daemon = single.start();
    wait("INSTANCE \"VI_1\" MASTER 100", 1);
    assert!(read().starts_with("started one /run/vrrp.fifo\n"), "{}", read());
    let inode = || {
        fs::metadata(single.host.run_file("vrrp.fifo"))
            .expect("a FIFO")
            .ino()
    };
    let before = inode();
    reload(&mut daemon);
    wait("INSTANCE \"VI_1\" MASTER 100", 2);
    assert_eq!(before, inode(), "the FIFO is the same");
    assert_eq!(times("started one /run/vrrp.fifo"), 1, "{}", read());

    let pid = fs::read_to_string(single.host.run_file("read.pid")).expect("written at its start");
    kill(
        Pid::from_raw(pid.trim().parse().expect("a number")),
        Signal::SIGKILL,
    )
    .expect("it runs");
    daemon.expect("notify fifo script terminated", secs(3.0));
    wait("started one /run/vrrp.fifo", 2);
    assert_eq!(daemon.stop(), Some(0));
    wait("ended", 1);
    let text = read();
    assert!(text.ends_with("INSTANCE \"VI_1\" STOP 100\nended\n"), "{text}");
}

/// A FIFO that is full loses lines, with a line in the log, and nothing else waits for it.
pub fn nobody_reads() {
    ours_only("it says nothing of lost lines");
    let single = Single::new(&format!(
        "global_defs {{\n{SECURE}    notify_fifo /run/all.fifo\n}}\n{}",
        instance("VI_1", 51, 100, &[VIP], "advert_int 0.3\n    version 3")
    ));
    let path = single.host.run_file("all.fifo");
    let mut daemon = single.start();
    let mut tap = Tap::open(&path);
    tap.until("INSTANCE \"VI_1\" BACKUP 100");
    let mut writer = OpenOptions::new()
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(&path)
        .expect("a FIFO");
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    single.host.ip("link set eth0 down");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(3.0));
    daemon.expect("notify fifo /run/all.fifo is full", secs(3.0));
    single.host.ip("link set eth0 up");
    daemon.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    assert!(
        tap.lines().iter().all(|line| !line.contains("FAULT")),
        "it was lost"
    );
    daemon.expect("(VI_1) Entering MASTER STATE", secs(4.0));
    tap.until("INSTANCE \"VI_1\" MASTER 100");
    assert_eq!(daemon.stop(), Some(0));
}

/// Real and virtual servers, in the global FIFO and in that of the load balancer; no line of VRRP in the latter.
pub fn servers_go_down() {
    ours_only("without IPVS it does not start");
    let single = Single::new(&format!(
        "global_defs {{\n{SECURE}    notify_fifo /run/all.fifo\n    lvs_notify_fifo /run/lvs.fifo\n}}\n{}virtual_server 192.0.2.100 80 {{\n    \
         protocol TCP\n    delay_loop 1\n    real_server 192.0.2.1 81 {{\n        TCP_CHECK {{\n            \
         connect_timeout 1\n            warmup 0\n        }}\n    }}\n}}\n",
        instance("VI_1", 51, 100, &[VIP], "advert_int 0.3\n    version 3")
    ));
    let mut daemon = single.start();
    let mut all = Tap::open(&single.host.run_file("all.fifo"));
    let mut lvs = Tap::open(&single.host.run_file("lvs.fifo"));
    let down = "VS [192.0.2.100]:tcp:80 DOWN";
    let real = "RS [192.0.2.1]:tcp:81 [192.0.2.100]:tcp:80 DOWN";
    let lines = lvs.until(down);
    assert_eq!(lines, ["VS [192.0.2.100]:tcp:80 UP", real, down]);
    let lines = all.until(down);
    assert!(lines.iter().any(|line| line == real), "{lines:?}");
    assert!(
        lines.iter().any(|line| line == "INSTANCE \"VI_1\" BACKUP 100"),
        "{lines:?}"
    );
    assert_eq!(daemon.stop(), Some(0));
}

/// `lvs_notify_fifo_script` has the lines of the load balancer.
pub fn a_script_reads_of_servers() {
    ours_only("without IPVS it does not start");
    let single = Single::new(&format!(
        "global_defs {{\n{SECURE}    lvs_notify_fifo /run/lvs.fifo\n    lvs_notify_fifo_script \"/etc/keepalived/read.sh two\"\n}}\n\
         virtual_server 192.0.2.100 80 {{\n    protocol TCP\n    delay_loop 1\n    real_server 192.0.2.1 81 {{\n        \
         TCP_CHECK {{\n            connect_timeout 1\n            warmup 0\n        }}\n    }}\n}}\n"
    ));
    single.host.script(
        "read.sh",
        "#!/bin/sh\necho \"started $*\" >>/run/read\nexec cat \"$2\" >>/run/read\n",
    );
    let mut daemon = single.start();
    let read = wait_until("a line of a server", secs(6.0), || {
        let text = fs::read_to_string(single.host.run_file("read")).ok()?;
        text.contains("VS [192.0.2.100]:tcp:80 DOWN\n").then_some(text)
    });
    assert!(read.starts_with("started two /run/lvs.fifo\n"), "{read}");
    assert_eq!(daemon.stop(), Some(0));
}

fn reload(daemon: &mut Daemon) {
    daemon.skip_log();
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(4.0));
}
