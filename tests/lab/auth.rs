//! Who may speak: adverts that are signed with `auth_hmac`; and that what they are signed with is kept secret.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};

use nix::sys::signal::Signal;

use crate::common::daemon::{Start, ours_only};
use crate::common::observe::packet_socket;
use crate::common::{Daemon, Host, Which, now_ns, secs, wait_until};
use crate::dbus::{self, Bus};
use crate::metrics;
use crate::pair::{Single, instance, start};
use crate::snmp;
use crate::timing::send;

const ETHERNET_AND_IP: usize = 34;
const TRAILER: usize = 28;

/// An instance that advertises each half second; `hmac` are the lines of the block.
fn signed(priority: u8, hmac: &str) -> String {
    let more = format!("version 3\n    advert_int 0.5\n    auth_hmac {{\n{hmac}\n    }}");
    instance("VI_1", 51, priority, &["192.0.2.100/24"], &more)
}

const OLD: &str = "key 1 0123456789abcdef0123456789abcdef";
const NEW: &str = "key 2 file:/run/vrrp-key";

/// The file of the new key, as systemd places a credential: for its owner only.
fn key_file(host: &Host) {
    let path = host.run_file("vrrp-key");
    fs::write(&path, "a key from a file, of some 40 characters\n").expect("own file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("own file");
}

fn reload(host: &Host, daemon: &mut Daemon, configuration: &str) {
    host.write("keepalived.conf", configuration);
    daemon.skip_log();
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(5.0));
}

/// The trailers that this host has sent since then.
fn trailers(lab: &Single, source: [u8; 4], from: i64) -> Vec<Vec<u8>> {
    let frames = lab.watch.frames();
    let ours = frames.iter().filter(|frame| {
        frame.at >= from && frame.bytes.get(26..30) == Some(&source) && frame.bytes.get(23) == Some(&112)
    });
    ours.map(|frame| {
        let total = usize::from(frame.bytes[16]) << 8 | usize::from(frame.bytes[17]);
        assert_eq!(total, 20 + 12 + TRAILER, "total length");
        frame.bytes[ETHERNET_AND_IP + 12..][..TRAILER].to_vec()
    })
    .collect()
}

pub fn statistic(host: &Host, daemon: &Daemon, line: &str) -> u64 {
    let path = host.tmp().join("keepalived.stats");
    let _ = fs::remove_file(&path);
    daemon.signal(Signal::SIGUSR2);
    let text = wait_until("the statistics", secs(3.0), || {
        fs::read_to_string(&path)
            .ok()
            .filter(|text| text.contains("Priority Zero"))
    });
    let value = text
        .lines()
        .find_map(|l| l.trim().strip_prefix(line)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {line:?} in:\n{text}"))
}

/// Two that share a key are not moved by a third with another key and a higher priority, nor by their own adverts
/// sent again; the key is changed on both, one after the other, and nothing moves.
pub fn hmac_wrong_key_replay_and_rotation() {
    ours_only("Debian's keepalived has no auth_hmac");
    let both = format!("{OLD}\n{NEW}");
    let lab = Single::new(&signed(150, &format!("{both}\nactive_key 1")));
    let two = lab.peer("two", 2, &signed(100, &format!("{both}\nactive_key 1")));
    let other = "key 1 fedcba9876543210fedcba9876543210\nactive_key 1";
    let stranger = lab.peer("stranger", 3, &signed(200, other));
    key_file(&lab.host);
    key_file(&two);

    let begun = now_ns();
    let mut master = lab.start();
    master.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut backup = start(&two);
    backup.expect("(VI_1) master set to 192.0.2.1", secs(4.0));

    // Another key: both sides refuse the other.
    let mut third = start(&stranger);
    third.expect("(VI_1) invalid authentication HMAC from 192.0.2.1", secs(4.0));
    third.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    master.expect("(VI_1) invalid authentication HMAC from 192.0.2.3", secs(4.0));
    backup.expect("(VI_1) invalid authentication HMAC from 192.0.2.3", secs(4.0));
    assert!(statistic(&lab.host, &master, "Invalid HMAC:") > 0);
    assert_eq!(third.stop(), Some(0));

    // What was heard before, sent again by somebody else.
    let frames = lab.watch.frames();
    let old = frames
        .iter()
        .find(|frame| frame.bytes.get(26..30) == Some(&[192, 0, 2, 1]) && frame.bytes.get(23) == Some(&112))
        .expect("an advert of the master");
    stranger.space().run(|| {
        let socket = packet_socket("eth0");
        socket.send(&old.bytes).expect("it is sent");
    });
    backup.expect("(VI_1) replayed authentication trailer from 192.0.2.1", secs(3.0));
    assert_eq!(statistic(&two, &backup, "Replay:"), 1);

    // The new key becomes the active one on each, then the old one goes. Each sender's stamps grow all the time.
    for step in [format!("{both}\nactive_key 2"), format!("{NEW}\nactive_key 2")] {
        reload(&two, &mut backup, &signed(100, &step));
        reload(&lab.host, &mut master, &signed(150, &step));
    }
    let changed = now_ns();
    let sent = wait_until("adverts with the new key", secs(4.0), || {
        Some(trailers(&lab, [192, 0, 2, 1], changed)).filter(|sent| sent.len() > 2)
    });
    assert!(
        sent.iter().all(|trailer| trailer[..4] == [1, 2, 0, 0]),
        "{sent:?}"
    );
    let mut all = trailers(&lab, [192, 0, 2, 1], begun);
    all.retain(|trailer| *trailer != old.bytes[ETHERNET_AND_IP + 12..][..TRAILER]);
    assert!(
        all.windows(2).all(|pair| pair[0][4..12] < pair[1][4..12]),
        "{all:?}"
    );

    assert_eq!(master.count("Entering"), 2, "{}", master.log_text());
    assert_eq!(backup.count("Entering"), 1, "{}", backup.log_text());
    master.never("unknown authentication key");
    backup.never("unknown authentication key");
    for (daemon, host) in [(&mut backup, &two), (&mut master, &lab.host)] {
        assert_eq!(statistic(host, daemon, "Unknown Key:"), 0);
        assert_eq!(daemon.stop(), Some(0));
    }
}

/// While some sign and some do not yet: `permissive` obeys both, `enforce` only those that sign.
pub fn hmac_permissive_obeys_who_does_not_sign() {
    ours_only("Debian's keepalived has no auth_hmac");
    let plain = instance(
        "VI_1",
        51,
        150,
        &["192.0.2.100/24"],
        "version 3\n    advert_int 0.5",
    );
    let lab = Single::new(&plain);
    let block = |mode: &str| signed(100, &format!("{OLD}\nactive_key 1\nmode {mode}"));
    let two = lab.peer("two", 2, &block("permissive"));

    let mut master = lab.start();
    master.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    let mut backup = start(&two);
    backup.expect("(VI_1) master set to 192.0.2.1", secs(4.0));
    assert_eq!(statistic(&two, &backup, "Missing:"), 0);

    // Receiving only: it signs nothing, so that the plain one understands it.
    reload(&two, &mut backup, &block("receive-only"));
    assert_eq!(master.stop(), Some(0));
    backup.expect("(VI_1) Entering MASTER STATE", secs(4.0));
    let mut master = lab.start();
    master.expect(
        "received lower priority (100) advert from 192.0.2.2 - discarding",
        secs(4.0),
    );
    master.expect("(VI_1) Entering MASTER STATE", secs(8.0));
    backup.expect("(VI_1) Entering BACKUP STATE", secs(3.0));
    master.never("too long");

    // Required: the one that does not sign is nobody.
    reload(&two, &mut backup, &block("enforce"));
    backup.expect("(VI_1) missing authentication trailer from 192.0.2.1", secs(3.0));
    backup.expect("(VI_1) Entering MASTER STATE", secs(4.0));
    master.expect(
        "(VI_1) vrrp packet from 192.0.2.2 too long, length 60 and expect 32",
        secs(3.0),
    );
    assert!(statistic(&two, &backup, "Missing:") > 0);
}

/// `time_window` and `anti_replay`: how old an advert may be, by the sender's clock; or by none, so long as it is newer
/// than the last one. None is heard twice.
pub fn hmac_old_adverts_are_refused_or_not() {
    ours_only("Debian's keepalived has no auth_hmac");
    let lab = Single::new(&signed(150, &format!("{OLD}\nactive_key 1")));
    let mut master = lab.start();
    let sent = lab.watch.wait("an advert", 0, secs(8.0), |s| {
        s.advert().is_some_and(|a| a.vrid == 51 && a.priority == 150)
    });
    assert_eq!(master.stop(), Some(0));
    let frames = lab.watch.frames();
    let old = frames
        .iter()
        .find(|frame| frame.at == sent.at)
        .expect("what was seen");
    wait_until("the advert to be older than a second", secs(4.0), || {
        (now_ns() - old.at > 2_000_000_000).then_some(())
    });
    let replayer = lab.peer("replayer", 66, "");
    let replay = || send(&replayer, &old.bytes);
    let stale = "(VI_1) stale authentication trailer from 192.0.2.1";
    let replayed = "(VI_1) replayed authentication trailer from 192.0.2.1";
    for (number, (lines, taken)) in (2..).zip([
        ("time_window 1", false),
        ("time_window 1\nanti_replay time", false),
        ("time_window 120", true),
        ("anti_replay monotonic", true),
        ("time_window 1\nanti_replay monotonic", true),
    ]) {
        let name = format!("two{number}");
        let two = lab.peer(
            &name,
            number,
            &signed(100, &format!("{OLD}\nactive_key 1\n{lines}")),
        );
        let mut backup = start(&two);
        backup.expect("(VI_1) Entering BACKUP STATE (init)", secs(4.0));
        replay();
        if taken {
            backup.expect("(VI_1) master set to 192.0.2.1", secs(1.0));
            replay();
            backup.expect(replayed, secs(1.0));
            assert_eq!(statistic(&two, &backup, "Replay:"), 1, "{lines}");
            assert_eq!(statistic(&two, &backup, "Stale:"), 0, "{lines}");
        } else {
            backup.expect(stale, secs(1.0));
            backup.never("master set to 192.0.2.1");
            assert_eq!(statistic(&two, &backup, "Stale:"), 1, "{lines}");
        }
        assert_eq!(backup.stop(), Some(0));
    }
}

/// What may be seen nowhere: password, what of it is too long to be sent, keys.
const SECRETS: [&str; 6] = [
    "sEcReT01",
    "tail-of-it",
    "sEcReT-key-of-thirty-two-letters",
    "a key from a file",
    "sEcReT-of-ssl",
    "73456352",
];

fn with_secrets() -> String {
    let pass = instance(
        "VI_1",
        51,
        150,
        &["192.0.2.100/24"],
        "authentication {\n auth_type PASS\n auth_pass sEcReT01tail-of-it\n }",
    );
    let ah = instance(
        "VI_2",
        52,
        150,
        &["192.0.2.101/24"],
        "authentication {\n auth_type AH\n auth_pass sEcReT01\n }",
    );
    let hmac = signed(
        150,
        &format!(
            "key 1 sEcReT-key-of-thirty-two-letters\n{NEW}\nkey 3 hex:{}\nactive_key 1",
            "73456352".repeat(8)
        ),
    );
    let hmac = hmac
        .replace("virtual_router_id 51", "virtual_router_id 53")
        .replace("VI_1", "VI_3")
        .replace("192.0.2.100", "192.0.2.102");
    format!("SSL {{\n password sEcReT-of-ssl\n}}\n{pass}{ah}{hmac}")
}

/// The same with a mistake in every line that holds a secret.
fn with_mistakes() -> String {
    with_secrets()
        .replace("auth_pass", "auth_pas")
        .replace("key 1 ", "key ")
        .replace("key 3 ", "kye 3 ")
        .replace("password ", "passwrd ")
        .replace("auth_type AH\n auth_pas", "auth_type AH\n auth_pass \"")
}

#[track_caller]
fn nothing_secret(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what} is empty");
    for secret in SECRETS {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{what} shows {secret:?}");
    }
}

/// Where in the memory of a process a text is.
fn in_memory(daemon: &Daemon, text: &str) -> usize {
    let pid = daemon.pid();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("its maps");
    let memory = fs::File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let writable = maps.lines().filter(|line| line.contains(" rw"));
    let mut found = 0;
    for line in writable {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |hex| u64::from_str_radix(hex, 16).expect("an address");
        let (from, to) = range
            .map(|(from, to)| (number(from), number(to)))
            .expect("a range");
        let mut bytes = vec![0; usize::try_from(to - from).expect("a size")];
        let read = memory.read_at(&mut bytes, from).unwrap_or(0);
        found += bytes[..read]
            .windows(text.len())
            .filter(|part| *part == text.as_bytes())
            .count();
    }
    found
}

/// Nothing that is written shows a secret: test, `check`, log, dumps; nor does the text of the file stay in memory.
pub fn secrets_are_shown_nowhere_and_do_not_stay() {
    ours_only("it tells the truth about the others");
    let lab = Single::new(&with_secrets());
    key_file(&lab.host);
    for configuration in [with_mistakes(), with_secrets()] {
        lab.host.write("keepalived.conf", &configuration);
        for args in [&["-t"][..], &["check", "/etc/keepalived/keepalived.conf"]] {
            let (_, text) = Start::new(&lab.host, Which::Tested).only_args(args).output();
            nothing_secret(&args.join(" "), &text);
        }
    }

    let mut daemon = Start::new(&lab.host, Which::Tested).args(&["-D", "-d"]).spawn();
    for name in ["VI_1", "VI_2", "VI_3"] {
        let line = format!("({name}) Entering MASTER STATE");
        wait_until(&line, secs(8.0), || (daemon.count(&line) > 0).then_some(()));
    }
    // A reload that is refused, and one that is not.
    lab.host.write("keepalived.conf", &with_mistakes());
    daemon.skip_log();
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Unknown keyword 'auth_pas'", secs(5.0));
    daemon.expect("Reload refused", secs(5.0));
    reload(&lab.host, &mut daemon, &with_secrets());
    for signal in [Signal::SIGUSR1 as i32, Signal::SIGUSR2 as i32, 36] {
        daemon.signal_number(signal);
    }
    for name in [
        "keepalived.data",
        "keepalived_parent.data",
        "keepalived.stats",
        "keepalived.json",
    ] {
        let path = lab.host.tmp().join(name);
        let text = wait_until(name, secs(3.0), || fs::read_to_string(&path).ok());
        nothing_secret(name, &text);
    }
    nothing_secret("the log", &daemon.log_text());

    let seen = in_memory(&daemon, "192.0.2.102");
    assert!(seen > 0, "its memory can be searched");
    for secret in ["tail-of-it", "73456352", "auth_pass sEcReT"] {
        assert_eq!(in_memory(&daemon, secret), 0, "{secret:?} is in its memory");
    }
    assert_eq!(daemon.stop(), Some(0));
}

/// Nothing that is answered shows a secret either: SNMP, D-Bus, `status`, metrics.
pub fn secrets_are_in_no_answer() {
    ours_only("it has neither status nor metrics");
    dbus::needs();
    snmp::needs_snmp();
    let globals = format!(
        "global_defs {{\n    enable_dbus\n    rs_metrics {}\n}}\n",
        metrics::AT
    );
    let text = format!("{}{globals}{}", snmp::GLOBALS, with_secrets());
    let lab = Single::new(&text);
    key_file(&lab.host);
    let _snmpd = snmp::snmpd(&lab.host);
    let bus = Bus::new(&lab.host, "");
    let daemon = bus.daemon(&lab.host, Which::Tested);
    for name in ["VI_1", "VI_2", "VI_3"] {
        let line = format!("({name}) Entering MASTER STATE");
        wait_until(&line, secs(8.0), || (daemon.count(&line) > 0).then_some(()));
    }
    for root in [snmp::KEEPALIVED_MIB, snmp::VRRP_MIB, snmp::VRRPV3_MIB] {
        let all = wait_until("its objects", secs(10.0), || {
            Some(snmp::walk(&lab.host, root)).filter(|walk| walk.len() > 10)
        });
        nothing_secret(root, &format!("{all:?}"));
    }
    bus.wait_state(dbus::ONE, "Master");
    let interface = format!("string:{}.Instance", dbus::NAME);
    for (method, arguments) in [
        (dbus::PROPERTIES_OF_ALL, &[&*interface][..]),
        ("org.freedesktop.DBus.Introspectable.Introspect", &[]),
    ] {
        nothing_secret(
            method,
            &bus.call(dbus::ONE, method, arguments).expect("an answer"),
        );
    }
    for args in [&["status"][..], &["status", "--json"]] {
        let (_, text) = Start::new(&lab.host, Which::Tested).only_args(args).output();
        assert!(text.contains("VI_3"), "{text}");
        nothing_secret(&args.join(" "), &text);
    }
    nothing_secret("metrics", &metrics::page(&lab.host));
}
