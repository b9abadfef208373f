//! What monitoring and configuration tools read of keepalived, each with its own reading logic: those that wait
//! for a fixed time, for an event or not at all, that delete files beside the one that they read, and that find
//! the daemon by its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::daemon::{Start, ours_only};
use crate::common::{Daemon, Host, Which, runner, secs};
use crate::pair::{Single, instance};

const VIP: &str = "192.0.2.100/24";

fn configuration(json_version: u32) -> String {
    let more = "version 3\n    advert_int 0.2\n    virtual_ipaddress_excluded {\n        192.0.2.200/32\n    }\n    track_script {\n        \
                chk\n    }";
    format!(
        "global_defs {{\n    script_user root\n    json_version {json_version}\n}}\nvrrp_script chk {{\n    script /bin/true\n    \
         interval 1\n}}\n{}",
        instance("VI_1", 51, 150, &[VIP], more)
    )
}

fn start(json_version: u32) -> (Single, Daemon) {
    let single = Single::new(&configuration(json_version));
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    single.host.wait_address("eth0", VIP, true, secs(3.0));
    (single, daemon)
}

/// `keepalived --signum=WORD`.
fn signum(host: &Host, word: &str) -> i32 {
    let option = format!("--signum={word}");
    let (status, number) = Start::new(host, Which::Tested).only_args(&[&option]).output();
    if status != Some(0) {
        ours_only("Debian builds it without JSON");
    }
    number.trim().parse().expect("a number")
}

/// gen2brain/keepalived_exporter: the first process whose argv[0] is keepalived must be the daemon; signal 36,
/// 100 ms, the file; then everything else that is called like it is deleted.
pub fn the_exporter_that_finds_the_daemon_by_name_and_clears_up() {
    ours_only("Debian builds it without JSON");
    let (single, daemon) = start(1);
    let named = |pid: &nix::unistd::Pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first = line.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        Path::new(&String::from_utf8_lossy(&first).into_owned())
            .file_name()
            .is_some_and(|name| name == "keepalived")
    };
    let found: Vec<_> = daemon.family().into_iter().filter(named).collect();
    assert_eq!(
        found,
        [daemon.pid()],
        "one process of this name, and it takes the signals"
    );

    let scrape = || {
        daemon.signal_number(36);
        // What this client does: it waits for nothing but the time.
        thread::sleep(Duration::from_millis(100));
        let text = fs::read_to_string(single.host.tmp().join("keepalived.json"));
        let files = fs::read_dir(single.host.tmp()).expect("own directory");
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with("keepalived.json") && name != "keepalived.json" {
                let _ = fs::remove_file(file.path());
            }
        }
        let all: Value = serde_json::from_str(&text.expect("the file is there")).expect("whole");
        all[0].clone()
    };
    let seen = scrape();
    let data = &seen["data"];
    assert_eq!(
        (&data["iname"], &data["ifp_ifname"]),
        (&"VI_1".into(), &"eth0".into())
    );
    assert!(
        data["last_transition"].as_f64().is_some_and(|time| time > 1e9),
        "{data}"
    );
    for (key, value) in [("vrid", 51), ("state", 2), ("wantstate", 2)] {
        assert_eq!(data[key].as_i64(), Some(value), "{key}");
    }
    for key in [
        "advert_rcvd",
        "advert_sent",
        "become_master",
        "release_master",
        "packet_len_err",
        "advert_interval_err",
        "ip_ttl_err",
        "invalid_type_rcvd",
        "addr_list_err",
        "invalid_authtype",
        "authtype_mismatch",
        "auth_failure",
        "pri_zero_rcvd",
        "pri_zero_sent",
    ] {
        assert!(seen["stats"][key].as_i64().is_some(), "{key} in {seen}");
    }
    let sent = |seen: &Value| seen["stats"]["advert_sent"].as_i64();
    // An advert is sent each 200 ms.
    assert!((0..20).any(|_| sent(&scrape()) > sent(&seen)), "each is new");

    // It clears up while files are written, and never takes away what is on its way.
    let stop = Arc::new(AtomicBool::new(false));
    let clearing = {
        let (stop, directory) = (stop.clone(), single.host.tmp());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for file in fs::read_dir(&directory).expect("own directory").flatten() {
                    let name = file.file_name().to_string_lossy().into_owned();
                    if name.starts_with("keepalived.json") && name != "keepalived.json" {
                        let _ = fs::remove_file(file.path());
                    }
                }
                thread::yield_now();
            }
        })
    };
    for _ in 0..5 {
        let before = sent(&scrape());
        assert!(sent(&scrape()) >= before);
    }
    stop.store(true, Ordering::Relaxed);
    clearing.join().expect("it clears up");
    daemon.never("Can't write dump file");
}

/// VyOS: watches the directory, sends the signal, waits until a file of this name is closed after writing, reads
/// it and deletes it.
pub fn the_shell_that_waits_for_the_file_to_be_closed() {
    ours_only("keepalived 2.2.7 has no JSON in Debian, and 2.4.3 renames");
    let (single, daemon) = start(1);
    let directory = single.host.tmp();
    let get = |name: &str, signal: i32| -> String {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).expect("inotify");
        inotify
            .add_watch(&directory, AddWatchFlags::IN_ALL_EVENTS)
            .expect("own directory");
        daemon.signal_number(signal);
        crate::common::wait_until(&format!("{name} to be closed"), secs(5.0), || {
            let closed = |event: &nix::sys::inotify::InotifyEvent| {
                event.mask.contains(AddWatchFlags::IN_CLOSE_WRITE)
                    && event.name.as_ref().is_some_and(|seen| seen == name)
            };
            inotify
                .read_events()
                .unwrap_or_default()
                .iter()
                .any(closed)
                .then_some(())
        });
        let path = directory.join(name);
        let text = fs::read_to_string(&path).expect("closed means there");
        fs::remove_file(&path).expect("own file");
        text
    };
    for _ in 0..3 {
        let json: Value = serde_json::from_str(&get("keepalived.json", 36)).expect("whole");
        let data = &json[0]["data"];
        for (key, value) in [("vrid", 51), ("state", 2), ("effective_priority", 150)] {
            assert_eq!(data[key].as_i64(), Some(value), "{key}");
        }
        assert!(data["last_transition"].as_f64().is_some());
        assert!(get("keepalived.data", Signal::SIGUSR1 as i32).contains(" VRRP Instance = VI_1\n"));
        assert!(get("keepalived.stats", Signal::SIGUSR2 as i32).contains("VRRP Instance: VI_1\n"));
    }
}

/// The Checkmk plugin: a shell that sends the signal and reads without waiting, then deletes. It finds the file more
/// often than keepalived's, which has one for it with another signal.
pub fn the_shell_that_does_not_wait() {
    ours_only("Debian builds it without JSON");
    let (single, daemon) = start(1);
    let number = signum(&single.host, "JSON");
    let at_once = |host: &Host, pid: nix::unistd::Pid, number: i32, name: &str| {
        let path = host.tmp().join(name);
        let script = format!(
            "/bin/kill -s {number} {pid}; cat {path}; rm {path}",
            path = path.display()
        );
        Command::new("sh")
            .args(["-c", &script])
            .output()
            .expect("a shell")
            .stdout
    };
    let other = single.peer("two", 2, &instance("VI_2", 52, 150, &["192.0.2.102/24"], ""));
    let theirs = Which::Keepalived.path().exists().then(|| {
        let mut daemon = Start::new(&other, Which::Keepalived).spawn();
        daemon.expect("(VI_2) Entering MASTER STATE", secs(10.0));
        daemon
    });
    let (mut json, mut data, mut keepalived) = (0, 0, 0);
    for _ in 0..20 {
        let bytes = at_once(&single.host, daemon.pid(), number, "keepalived.json");
        let read: Result<Value, _> = serde_json::from_slice(&bytes);
        // Nothing or all of it; never a part.
        assert!(
            read.is_ok() || bytes.is_empty(),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        json += usize::from(read.is_ok_and(|json| json[0]["data"]["iname"] == "VI_1"));
        let usr1 = Signal::SIGUSR1 as i32;
        data += usize::from(!at_once(&single.host, daemon.pid(), usr1, "keepalived.data").is_empty());
        if let Some(theirs) = &theirs {
            keepalived += usize::from(!at_once(&other, theirs.pid(), usr1, "keepalived.data").is_empty());
        }
    }
    let found = format!("JSON {json}, data {data}, keepalived's data {keepalived} of 20");
    // The shell needs a millisecond to start the next program. Without real-time priority it is luck.
    assert!(json >= 3 && data >= 3, "{found}");
    if !runner::unprivileged() {
        // The build under test may be one that is not optimised, and data is the longer text.
        assert!(json + 3 >= keepalived && data + 8 >= keepalived, "{found}");
    }
}

/// mehdy/keepalived-exporter, text: how it reads data and statistics.
pub fn the_exporter_that_reads_text() {
    let (single, daemon) = start(1);
    let fresh = |name: &str, word: &str| -> String {
        let path: PathBuf = single.host.tmp().join(name);
        let _ = fs::remove_file(&path);
        daemon.signal_number(signum(&single.host, word));
        crate::common::wait_until(name, secs(5.0), || {
            fs::read_to_string(&path)
                .ok()
                .filter(|text| text.contains("VRRP Instance"))
        })
    };
    let (mut vrrp, mut vips, mut scripts) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    let (mut in_instance, mut in_script, mut in_vips) = (false, false, false);
    for line in fresh("keepalived.data", "DATA").lines() {
        if let Some(name) = line.strip_prefix(" VRRP Instance = ") {
            assert_eq!(name, "VI_1");
            (in_instance, in_script) = (true, false);
        } else if let Some(name) = line.strip_prefix(" VRRP Script = ") {
            assert_eq!(name, "chk");
            (in_instance, in_script) = (false, true);
        } else if !line.starts_with("   ") {
            (in_instance, in_script) = (false, false);
        } else if let Some(vip) = line.strip_prefix("     ").filter(|_| in_instance && in_vips) {
            let words: Vec<&str> = vip.split(' ').collect();
            vips.push((words[0].to_owned(), words[2].to_owned()));
        } else if in_instance || in_script {
            in_vips = line.starts_with("   Virtual IP (") || line.starts_with("   Virtual IP Excluded");
            if let Some((key, value)) = line.trim().split_once(" = ") {
                let into = if in_instance { &mut vrrp } else { &mut scripts };
                into.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
    }
    let value = |key: &str| vrrp.get(key).map_or("", String::as_str);
    assert_eq!(value("State"), "MASTER");
    assert_eq!(value("Wantstate"), "MASTER");
    assert_eq!(value("Interface"), "eth0");
    assert_eq!(value("Virtual Router ID"), "51");
    assert!(
        value("Gratuitous ARP delay").parse::<u32>().is_ok(),
        "{}",
        value("Gratuitous ARP delay")
    );
    let eth0 = |address: &str| (address.to_owned(), "eth0".to_owned());
    assert!(
        vips.contains(&eth0(VIP)) && vips.contains(&eth0("192.0.2.200")),
        "{vips:?}"
    );
    let script = |key: &str| scripts.get(key).map_or("", String::as_str);
    assert_eq!((script("Status"), script("State")), ("GOOD", "idle"));

    let (mut section, mut numbers) = (String::new(), BTreeMap::new());
    for line in fresh("keepalived.stats", "STATS").lines().map(str::trim) {
        match line.split_once(':') {
            Some((key, "")) => section = key.to_owned(),
            Some((key, value)) if value.trim().parse::<u64>().is_ok() => {
                numbers.insert(format!("{section}/{key}"), value.trim().to_owned());
            }
            _ => {}
        }
    }
    for key in [
        "Advertisements/Received",
        "Advertisements/Sent",
        "Packet Errors/Length",
        "Packet Errors/TTL",
        "Packet Errors/Invalid Type",
        "Packet Errors/Advertisement Interval",
        "Packet Errors/Address List",
        "Authentication Errors/Invalid Type",
        "Authentication Errors/Type Mismatch",
        "Authentication Errors/Failure",
        "Priority Zero/Received",
        "Priority Zero/Sent",
    ] {
        assert!(numbers.contains_key(key), "{key} in {numbers:?}");
    }
}

/// The same exporter with JSON, and the scripts that fill node_exporter's text files and Zabbix: a list, or with
/// `json_version 2` an object; whole numbers where they decode whole numbers; a new time at each writing.
pub fn those_that_read_json() {
    ours_only("Debian builds it without JSON");
    for version in [1, 2] {
        let (single, daemon) = start(version);
        let options = Start::new(&single.host, Which::Tested)
            .only_args(&["--version"])
            .output()
            .1;
        assert!(
            options.contains("--enable-json"),
            "the exporter asks for JSON only then: {options}"
        );
        let path = single.host.tmp().join("keepalived.json");
        let read = |after: Option<std::time::SystemTime>| {
            // Times of files go in ticks of the kernel: a second file within one looks like the first.
            crate::common::wait_until("a new file", secs(5.0), || {
                daemon.signal_number(36);
                let written = fs::metadata(&path).ok()?.modified().ok()?;
                (Some(written) > after).then_some(written)
            })
        };
        let first = read(None);
        let second = read(Some(first));
        assert!(second > first);
        let json: Value =
            serde_json::from_str(&fs::read_to_string(&path).expect("it is there")).expect("whole");
        let list = if version == 1 { &json } else { &json["vrrp"] };
        let data = &list[0]["data"];
        for key in [
            "garp_delay",
            "vrid",
            "state",
            "wantstate",
            "effective_priority",
            "base_priority",
            "version",
            "nopreempt",
        ] {
            let number = data[key].as_i64().is_some() || data[key].is_boolean();
            assert!(number, "{key} in {data}");
        }
        assert!(data["adver_int"].as_f64().is_some(), "{data}");
        let addresses: Vec<&str> = data["vips"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(
            addresses
                .iter()
                .any(|line| line.starts_with("192.0.2.100") && line.contains("eth0")),
            "{data}"
        );
    }
}
