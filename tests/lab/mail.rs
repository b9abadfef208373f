//! Alerts, received by an SMTP server of the test's own, which may stall or refuse where it is told to.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;

use crate::common::daemon::ours_only;
use crate::common::{Host, secs, wait_until};
use crate::pair::{Single, instance};

/// What one connection meets: a server that says nothing from this command on (the empty word is the greeting), or
/// one that does its work.
type Trouble = Option<&'static str>;

/// An SMTP server.
struct Sink {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What clients said, one text a connection that came to its end.
    mails: Mutex<Vec<String>>,
    /// Still to come.
    troubles: Mutex<Vec<Trouble>>,
}

impl Sink {
    /// Listens on port 2525 of the host.
    fn start(host: &Host, troubles: &[Trouble]) -> Self {
        let listener = host
            .space()
            .run(|| TcpListener::bind("0.0.0.0:2525").expect("a free port"));
        let shared = Arc::new(Shared::default());
        *shared.troubles.lock().expect("own lock") = troubles.to_vec();
        let served = shared.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = served.clone();
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { shared }
    }

    fn mails(&self) -> Vec<String> {
        self.raw().iter().map(|mail| mail.replace("\r\n", "\n")).collect()
    }

    /// Byte for byte.
    fn raw(&self) -> Vec<String> {
        self.shared.mails.lock().expect("own lock").clone()
    }

    fn left(&self) -> usize {
        self.shared.troubles.lock().expect("own lock").len()
    }

    /// Waits for a mail with this text in it.
    fn wait(&self, text: &str) -> String {
        wait_until(&format!("a mail with {text:?}"), secs(20.0), || {
            self.mails().into_iter().find(|mail| mail.contains(text))
        })
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut troubles = self.troubles.lock().expect("own lock");
        let trouble = (!troubles.is_empty()).then(|| troubles.remove(0)).flatten();
        drop(troubles);
        let mut lines = BufReader::new(stream).split(b'\n');
        let mut writer = stream;
        let mut said = String::new();
        let mut answer = |text: &str| writer.write_all(text.as_bytes()).is_ok();
        // The client gives up by closing.
        let stall = |lines: &mut dyn Iterator<Item = std::io::Result<Vec<u8>>>| {
            while lines.next().is_some_and(|line| line.is_ok()) {}
        };
        if trouble == Some("") {
            return stall(&mut lines);
        }
        answer("220-sink\r\n220 ready\r\n");
        let mut data = false;
        while let Some(Ok(line)) = lines.next() {
            let raw = String::from_utf8(line).expect("text");
            said.push_str(&raw);
            said.push('\n');
            let line = raw.trim_end_matches('\r');
            let command = if data {
                if line == "." { "." } else { continue }
            } else {
                line.split([' ', ':']).next().unwrap_or_default()
            };
            let stalls = trouble == Some(command);
            if stalls && command != "QUIT" {
                return stall(&mut lines);
            }
            data = command == "DATA";
            if command == "QUIT" {
                self.mails.lock().expect("own lock").push(said);
                if stalls {
                    return stall(&mut lines);
                }
                answer("221 bye\r\n");
                return;
            }
            answer(match command {
                "DATA" => "354 go on\r\n",
                _ => "250-fine\r\n250 fine\r\n",
            });
        }
    }
}

fn globals(more: &str) -> String {
    format!(
        "global_defs {{\n    smtp_server 192.0.2.1 2525\n    smtp_helo_name localhost\n    notification_email_from ka@example.org\n    \
         notification_email {{\n        one@example.org\n        two@example.org\n    }}\n    router_id LVS_GOLDEN\n    {more}\n}}\n"
    )
}

/// Dates are not those of the recording.
fn undated(mail: &str) -> String {
    let lines = mail
        .split_inclusive('\n')
        .map(|line| match line.strip_prefix("Date: ") {
            Some(date) => {
                let shape: String = date
                    .chars()
                    .map(|c| match c {
                        '0'..='9' => '9',
                        'a'..='z' => 'a',
                        'A'..='Z' => 'A',
                        other => other,
                    })
                    .collect();
                let shape = shape.replace('-', "+");
                assert_eq!(shape, "Aaa, 99 Aaa 9999 99:99:99 +9999\r\n", "{date}");
                "Date: <TIME>\r\n"
            }
            None => line,
        });
    lines.collect()
}

/// A sync group of two, beside what keepalived 2.4.3 sent for one: the whole dialogue, byte for byte.
pub fn the_mails_recorded_of_keepalived() {
    ours_only("Debian's writes the To line in another way, and mail at the stop is cut off");
    let fast = "advert_int 0.3\n    version 3";
    let single = Single::new(&format!(
        "{}vrrp_sync_group VG_1 {{\n    group {{\n        VI_1\n        VI_2\n    }}\n}}\n{}{}",
        globals("smtp_alert"),
        instance("VI_1", 51, 100, &["192.0.2.100"], fast),
        instance("VI_2", 52, 120, &["192.0.2.101"], fast),
    ));
    let sink = Sink::start(&single.host, &[]);
    let mut daemon = single.start();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mail/06-sync-group.txt");
    let recorded = fs::read_to_string(path).expect("a recorded file");
    let mut theirs: Vec<&str> = recorded
        .split("=== one connection, client lines ===\n")
        .skip(1)
        .collect();
    theirs.sort_unstable();
    let ours = wait_until("six mails", secs(8.0), || {
        Some(sink.raw()).filter(|mails| mails.len() >= 6)
    });
    let mut ours: Vec<String> = ours.iter().map(|mail| undated(mail)).collect();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
    daemon.logged("Remote SMTP server [192.0.2.1]:2525 connected.");
    daemon.logged("SMTP alert successfully sent.");

    assert_eq!(daemon.stop(), Some(0));
    for text in [
        "Subject: [LVS_GOLDEN] VRRP Instance VI_2 - Stopping\n",
        "\n=> VRRP Instance stopping <=\n",
        "Subject: [LVS_GOLDEN] VRRP Group VG_1 - Stopping\n",
        "\n=> All VRRP group instances are now stopping <=\n",
    ] {
        assert!(sink.mails().iter().any(|mail| mail.contains(text)), "{text}");
    }
}

/// Real and virtual servers; FAULT is not told with `no_email_faults`.
pub fn servers_go_down() {
    ours_only("without IPVS it does not start");
    let single = Single::new(&format!(
        "{}virtual_server 10.1.0.50 80 {{\n    protocol TCP\n    delay_loop 1\n    smtp_alert\n    real_server 192.0.2.1 81 {{\n        \
         TCP_CHECK {{\n            connect_timeout 1\n            warmup 0\n        }}\n    }}\n}}\n{}",
        globals("no_email_faults"),
        instance(
            "VI_1",
            51,
            100,
            &["192.0.2.100"],
            "smtp_alert\n    advert_int 0.3\n    version 3"
        ),
    ));
    let sink = Sink::start(&single.host, &[]);
    let mut daemon = single.start();
    let real = sink.wait(
        "Subject: [LVS_GOLDEN] Realserver [192.0.2.1]:tcp:81 of virtual server [10.1.0.50]:tcp:80 - DOWN\n",
    );
    assert!(
        real.contains("\n\n=> TCP CHECK failed on service <=\n\n.\n"),
        "{real}"
    );
    let service = sink.wait("Subject: [LVS_GOLDEN] Virtualserver [10.1.0.50]:tcp:80 - DOWN\n");
    assert!(service.contains("\n=> Lost quorum 1+0=1 <= 0 <=\n"), "{service}");
    sink.wait("VRRP Instance VI_1 - Entering MASTER state\n");
    single.host.ip("address add 192.0.2.77/24 dev eth0");
    single.host.ip("link set eth0 down");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(3.0));
    single.host.ip("link set eth0 up");
    let masters = || {
        let mails = sink.mails().into_iter();
        mails
            .filter(|m| m.contains("VI_1 - Entering MASTER state"))
            .count()
    };
    wait_until("a second mail of a master", secs(8.0), || {
        (masters() == 2).then_some(())
    });
    assert!(
        sink.mails().iter().all(|mail| !mail.contains("FAULT state")),
        "no_email_faults"
    );
    assert_eq!(daemon.stop(), Some(0));
}

/// `smtp_alert`, `smtp_alert_vrrp`, `smtp_alert_checker`: the defaults of instances, real and virtual servers. Of real
/// servers there is mail unless something says otherwise.
pub fn of_what_there_is_mail_by_default() {
    ours_only("without IPVS it does not start");
    for (more, expected) in [
        ("smtp_alert", [true, true, true]),
        ("smtp_alert_vrrp", [true, true, false]),
        ("smtp_alert_checker", [false, true, true]),
        ("smtp_alert\n    smtp_alert_vrrp off", [false, true, true]),
        ("smtp_alert\n    smtp_alert_checker off", [true, false, false]),
        ("smtp_alert off", [false, false, false]),
        ("", [false, true, false]),
    ] {
        let fast = "advert_int 0.3\n    version 3";
        let single = Single::new(&format!(
            "{}virtual_server 10.1.0.50 80 {{\n    protocol TCP\n    delay_loop 1\n    real_server 192.0.2.1 81 {{\n        \
             TCP_CHECK {{\n            connect_timeout 1\n            warmup 0\n        }}\n    }}\n}}\n{}",
            globals(more),
            instance("VI_1", 51, 100, &["192.0.2.100"], fast),
        ));
        let sink = Sink::start(&single.host, &[]);
        let daemon = &mut single.start();
        for line in ["(VI_1) Entering MASTER STATE", "Lost quorum 1-0=1 > 0 for VS"] {
            wait_until(line, secs(6.0), || (daemon.count(line) > 0).then_some(()));
        }
        // What there is to be sent is sent before the end.
        assert_eq!(daemon.stop(), Some(0));
        let about = |text: &str| sink.mails().iter().any(|mail| mail.contains(text));
        let found = [
            "VRRP Instance VI_1 - Entering MASTER",
            "Realserver ",
            "Virtualserver ",
        ]
        .map(about);
        assert_eq!(found, expected, "{more}");
    }
}

/// `no_checker_emails`: of a server with two checks that fail there is one mail, not two.
pub fn a_check_that_changes_nothing_is_no_mail_when_told_so() {
    ours_only("without IPVS it does not start");
    for (more, mails) in [("", 2), ("no_checker_emails", 1)] {
        let check = "        TCP_CHECK {\n            connect_timeout 1\n            warmup 0\n            connect_port ";
        let single = Single::new(&format!(
            "{}virtual_server 10.1.0.50 80 {{\n    protocol TCP\n    delay_loop 1\n    smtp_alert\n    real_server 192.0.2.1 81 {{\n\
             {check}81\n        }}\n{check}82\n        }}\n    }}\n}}\n",
            globals(more),
        ));
        let sink = Sink::start(&single.host, &[]);
        let mut daemon = single.start();
        let failed = "TCP_CHECK on service [192.0.2.1]:tcp:8";
        wait_until("both checks to fail", secs(6.0), || {
            (daemon.count(failed) >= 2).then_some(())
        });
        assert_eq!(daemon.stop(), Some(0));
        let of_checks = sink.mails();
        let of_checks = of_checks
            .iter()
            .filter(|mail| mail.contains("=> TCP CHECK failed on service <="));
        assert_eq!(of_checks.count(), mails, "{more}:\n{}", daemon.log_text());
    }
}

/// One that is not there, then stalls: every mail comes in the end, in order, once. The
/// instance does not wait for it, neither does the end.
pub fn a_server_that_stalls_and_one_that_is_dead() {
    ours_only("it tries once, and loses the mail");
    let fast = "smtp_alert\n    advert_int 0.3\n    version 3";
    let text = globals("smtp_connect_timeout 1") + &instance("VI_1", 51, 100, &["192.0.2.100"], fast);
    let single = Single::new(&text);
    let mut daemon = single.start();
    daemon.expect("SMTP connection ERROR to [192.0.2.1]:2525.", secs(4.0));
    let troubles = [Some("RCPT")];
    let sink = Sink::start(&single.host, &troubles);
    daemon.expect("(VI_1) Entering MASTER STATE", secs(4.0));
    daemon.expect(
        "Timeout reading data to remote SMTP server [192.0.2.1]:2525.",
        secs(8.0),
    );
    sink.wait("Entering MASTER state\n");
    assert_eq!(sink.left(), 0);
    let subjects: Vec<String> = sink
        .mails()
        .iter()
        .flat_map(|mail| mail.lines())
        .filter(|line| line.starts_with("Subject:"))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        subjects,
        [
            "Subject: [LVS_GOLDEN] VRRP Instance VI_1 - Entering BACKUP state",
            "Subject: [LVS_GOLDEN] VRRP Instance VI_1 - Entering MASTER state"
        ]
    );
    // A reload to a server that swallows everything; the end does not wait for it.
    let hole = Sink::start(&single.peer("hole", 9, ""), &[Some(""); 8]);
    single.host.write(
        "keepalived.conf",
        &text.replace("192.0.2.1 2525", "192.0.2.9 2525"),
    );
    daemon.skip_log();
    daemon.signal(Signal::SIGHUP);
    daemon.expect("Reload complete", secs(4.0));
    single.host.ip("link set eth0 down");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(3.0));
    single.host.ip("link set eth0 up");
    wait_until("a connection", secs(6.0), || (hole.left() < 8).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    daemon.logged("mails that could not be sent before the end: ");
}

/// Each phase of the dialogue in turn: what was not acknowledged is sent again, what was is not; in order, once.
pub fn a_server_that_stalls_in_each_phase() {
    ours_only("it tries once, and loses the mail");
    let fast = "smtp_alert\n    advert_int 0.3\n    version 3";
    let text = globals("smtp_connect_timeout 1") + &instance("VI_1", 51, 100, &["192.0.2.100"], fast);
    let single = Single::new(&text);
    // Two tries in vain for each mail but the last two.
    let troubles = [
        Some(""),
        Some("HELO"),
        None,
        Some("MAIL"),
        Some("DATA"),
        None,
        Some("RCPT"),
        Some("."),
        None,
        Some("QUIT"),
    ];
    let sink = Sink::start(&single.host, &troubles);
    let mut daemon = single.start();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(4.0));
    single.host.ip("link set eth0 down");
    daemon.expect("(VI_1) Entering FAULT STATE", secs(4.0));
    single.host.ip("link set eth0 up");
    // The mails about it wait meanwhile.
    daemon.expect("(VI_1) Entering MASTER STATE", secs(4.0));
    let subjects = || -> Vec<String> {
        let mails = sink.mails();
        let lines = mails.iter().flat_map(|mail| mail.lines());
        let subject = "Subject: [LVS_GOLDEN] VRRP Instance VI_1 - Entering ";
        lines
            .filter_map(|line| line.strip_prefix(subject).map(str::to_owned))
            .collect()
    };
    wait_until("five mails", secs(40.0), || (subjects().len() >= 5).then_some(()));
    assert_eq!(sink.left(), 0);
    assert_eq!(
        subjects(),
        [
            "BACKUP state",
            "MASTER state",
            "FAULT state",
            "BACKUP state",
            "MASTER state"
        ]
    );
    let timeouts = daemon.count("Timeout reading data to remote SMTP server [192.0.2.1]:2525.");
    assert!((6..=7).contains(&timeouts), "{timeouts} of them");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(subjects().len(), 5, "none twice");
}
