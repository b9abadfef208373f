use crate::support::*;
use keepalived_rs::model::lvs::{CheckerKind, HttpCheck, HttpProtocol, Pattern, StatusRange, Url};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

pub fn url(path: &str) -> Url {
    Url {
        path: path.to_owned(),
        digest: None,
        status: Vec::new(),
        virtual_host: None,
        pattern: None,
        tls_compliant: None,
    }
}

pub fn get(port: u16, urls: Vec<Url>) -> HttpCheck {
    HttpCheck {
        connection: to(port),
        tls: false,
        virtual_host: None,
        protocol: HttpProtocol::V10,
        enable_sni: false,
        sni_name: None,
        fast_recovery: false,
        tls_compliant: false,
        urls,
    }
}

/// A server: each connection's request is read, and the function answers.
pub fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let request = request(&mut stream);
            answer(&request, &mut stream);
        }
    });
    port
}

fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        request.push(byte[0]);
    }
    String::from_utf8_lossy(&request).into_owned()
}

fn says(text: &str) -> impl Fn(&str, &mut TcpStream) + Send + 'static {
    let text = text.to_owned();
    move |_, stream| {
        let _ = stream.write_all(text.as_bytes());
    }
}

fn http(check: HttpCheck) -> keepalived_rs::model::lvs::Checker {
    checker(CheckerKind::Http(Box::new(check)))
}

/// The first verdict, and what was told of the failed attempt.
fn first(check: HttpCheck) -> (String, Vec<String>) {
    let mut checker = http(check);
    (checker.retry, checker.log_all_failures) = (0, true);
    watch(checker, |mut watch| async move {
        let verdict = watch.verdict().await;
        (verdict, watch.lines.all())
    })
}

#[test]
fn the_request_byte_for_byte() {
    let (requests, asked) = mpsc::channel();
    let port = serve(move |request, stream| {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        let _ = requests.send(request.to_owned());
    });
    let ask = |change: &dyn Fn(&mut HttpCheck)| {
        let mut check = get(port, vec![url("/health?a=b")]);
        change(&mut check);
        assert_eq!(first(check).0, "up");
        asked.recv_timeout(LIMIT).expect("a request")
    };
    let agent = "User-Agent: KeepAliveClient\r\n";
    let close = "Connection: close\r\n";
    assert_eq!(
        ask(&|_| ()),
        format!("GET /health?a=b HTTP/1.0\r\n{agent}Host: 127.0.0.1:{port}\r\n\r\n")
    );
    assert_eq!(
        ask(&|check| {
            check.protocol = HttpProtocol::V10Close;
            check.virtual_host = Some("www.example.net".to_owned());
        }),
        format!("GET /health?a=b HTTP/1.0\r\n{agent}{close}Host: www.example.net\r\n\r\n")
    );
    assert_eq!(
        ask(&|check| {
            check.protocol = HttpProtocol::V11;
            check.virtual_host = Some("www.example.net".to_owned());
            check.urls[0].virtual_host = Some("url.example.net".to_owned());
        }),
        format!("GET /health?a=b HTTP/1.1\r\n{agent}{close}Host: url.example.net\r\n\r\n")
    );
}

#[test]
fn a_round_of_urls_fails_and_comes_back() {
    let (send, receive) = mpsc::channel::<&'static str>();
    let port = serve(move |request, stream| {
        // The status of /b is what was said last.
        let status = if request.starts_with("GET /b") {
            receive.try_iter().last().unwrap_or("")
        } else {
            ""
        };
        static STATUS: std::sync::Mutex<&str> = std::sync::Mutex::new("200 OK");
        let mut last = STATUS.lock().expect("no panic");
        if !status.is_empty() {
            *last = status;
        }
        let status = if request.starts_with("GET /b") {
            *last
        } else {
            "200 OK"
        };
        let _ = write!(stream, "HTTP/1.0 {status}\r\n\r\nok");
    });
    let mut checker = http(get(port, vec![url("/a"), url("/b")]));
    (checker.retry, checker.log_all_failures) = (2, true);
    watch(checker, |mut watch| async move {
        assert_eq!(watch.verdict().await, "up");
        send.send("503 No").expect("a server");
        assert_eq!(watch.verdict().await, "down: HTTP status 503 for /b");
        assert_eq!(watch.standing.lock().expect("no panic").failed_url, Some(1));
        send.send("200 OK").expect("a server");
        assert_eq!(watch.verdict().await, "up");
        let error = format!("HTTP status code error to server {RS}.");
        let success = |path| format!("HTTP status code success to {RS} url({path})");
        assert_eq!(
            watch.lines.all(),
            [
                format!("Remote Web server {RS} succeed on service."),
                error.clone(),
                error.clone(),
                error,
                format!("HTTP_CHECK on service {RS} failed after 2 retries."),
                success("/b"),
                success("/a"),
                success("/b"),
                format!("Remote Web server {RS} succeed on service."),
            ]
        );
    });
}

#[test]
fn status_digest_and_pattern() {
    let range = |first, last| StatusRange { first, last };
    let pattern = |regex: &str, options: &str| Pattern {
        regex: regex.to_owned(),
        options: options.split_whitespace().map(str::to_owned).collect(),
        ..Pattern::default()
    };
    let digest = |hex: &str| {
        let mut digest = [0; 16];
        for (n, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).expect("hex");
        }
        Some(digest)
    };
    // `echo -n 'golden body /' | md5sum`
    let golden = digest("05b629ff4accb994d79e444b43430728");
    let body = |status: &str| format!("HTTP/1.1 {status}\r\nServer: x\r\n\r\ngolden body /");
    let moved = "301 Moved\r\nLocation: http://192.0.2.1/";
    let table: Vec<(String, Url, &str)> = vec![
        (body("200 OK"), url("/"), "up"),
        (body("299"), url("/"), "up"),
        (body("302 Found"), url("/"), "HTTP status code error to"),
        (body(moved), url("/"), "HTTP status code error to"),
        (
            body("404 Not"),
            Url {
                status: vec![range(200, 299), range(404, 404)],
                ..url("/")
            },
            "up",
        ),
        (
            body("200 OK"),
            Url {
                status: vec![range(404, 404)],
                ..url("/")
            },
            "HTTP status code error to",
        ),
        (
            body("200 OK"),
            Url {
                digest: golden,
                ..url("/")
            },
            "up",
        ),
        (
            body("200 OK") + "x",
            Url {
                digest: golden,
                ..url("/")
            },
            "MD5 digest error to",
        ),
        // Not more than Content-Length counts.
        (
            body("200 OK\r\nContent-Length: 13") + "x",
            Url {
                digest: golden,
                ..url("/")
            },
            "up",
        ),
        (
            body("200 OK"),
            Url {
                pattern: Some(pattern("BODY", "caseless")),
                ..url("/")
            },
            "up",
        ),
        (
            body("200 OK"),
            Url {
                pattern: Some(pattern("BODY", "")),
                ..url("/")
            },
            "Regex match failed",
        ),
        (
            body("200 OK"),
            Url {
                pattern: Some(Pattern {
                    no_match: true,
                    ..pattern("body", "")
                }),
                ..url("/")
            },
            "Regex match failed",
        ),
        (
            body("200 OK"),
            Url {
                pattern: Some(Pattern {
                    min_offset: 8,
                    ..pattern("body", "")
                }),
                ..url("/")
            },
            "Regex match failed",
        ),
        (
            body("200 OK"),
            Url {
                pattern: Some(Pattern {
                    max_offset: 7,
                    min_offset: 7,
                    ..pattern("body", "")
                }),
                ..url("/")
            },
            "up",
        ),
        // A pattern that is wrong is said, and the url is checked without it.
        (
            body("200 OK"),
            Url {
                pattern: Some(pattern("a(b", "")),
                ..url("/")
            },
            "up",
        ),
    ];
    std::thread::scope(|scope| {
        for (answer, url, expected) in table {
            scope.spawn(move || decides(&answer, url, expected));
        }
    });
}

fn decides(answer: &str, url: Url, expected: &str) {
    let told = format!("{answer} {url:?}");
    let (verdict, lines) = first(get(serve(says(answer)), vec![url]));
    if expected == "up" {
        assert_eq!(verdict, "up", "{told}");
        assert_eq!(
            lines.last().map(String::as_str),
            Some("Remote Web server [10.2.0.11]:tcp:80 succeed on service.")
        );
    } else {
        assert_eq!(lines[0], format!("{expected} server {RS}."), "{told}");
        assert_eq!(lines[1], format!("HTTP_CHECK on service {RS} failed."));
    }
    if told.contains("a(b") {
        assert_eq!(
            lines[0],
            "Invalid regex: 'a(b' at offset 3: missing closing parenthesis"
        );
    }
}

/// Memory of this process that is in use, KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let word = line.and_then(|line| line.split_whitespace().nth(1));
    word.and_then(|word| word.parse().ok()).expect("a number")
}

type Answer = Box<dyn Fn(&str, &mut TcpStream) + Send>;

/// A reset in place of an end.
pub fn reset(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).expect("an option");
}

/// Sends the same again and again until nobody takes it.
fn endlessly(start: &'static str, piece: &'static str, pause: u64) -> Answer {
    Box::new(move |_, stream| {
        let mut sent = stream.write_all(start.as_bytes());
        let piece = if pause == 0 {
            piece.repeat(1000)
        } else {
            piece.to_owned()
        };
        while sent.is_ok() {
            sent = stream.write_all(piece.as_bytes());
            std::thread::sleep(Duration::from_millis(pause));
        }
    })
}

#[test]
fn hostile_servers_fail_with_a_reason_and_cost_nothing() {
    let no_end: Answer = Box::new(|_, stream| {
        let _ = stream.read(&mut [0; 8]);
    });
    let reset_at = |text: &'static str| -> Answer {
        Box::new(move |_, stream| {
            let _ = stream.write_all(text.as_bytes());
            // What is there is read before the reset comes.
            std::thread::sleep(Duration::from_millis(50));
            reset(stream);
        })
    };
    let table: Vec<(Answer, &str, &str)> = vec![
        (
            endlessly("HTTP/1.0 200 OK\r\n", "X-Filler: 0123456789\r\n", 0),
            "Read error with",
            "the head of the reply is longer than 65536 bytes",
        ),
        (
            endlessly("HTTP/1.0 200 OK\r\nX: ", "0123456789", 0),
            "Read error with",
            "the head of the reply is longer than 65536 bytes",
        ),
        (
            endlessly("HTTP/1.0 200 OK\r\n", "X", 20),
            "Timeout HTTP read",
            "the reply is not complete after",
        ),
        (
            endlessly("HTTP/1.0 200 OK\r\n\r\n", "X", 20),
            "Timeout HTTP read",
            "the reply is not complete after",
        ),
        (
            endlessly("HTTP/1.0 200 OK\r\n\r\n", "0123456789", 0),
            "Read error with",
            "the body is longer than",
        ),
        (
            endlessly(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "1\r\nx\r\n",
                20,
            ),
            "Timeout HTTP read",
            "the reply is not complete after",
        ),
        (
            Box::new(says(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            )),
            "Read error with",
            "",
        ),
        (no_end, "Timeout WEB read", "nothing came for 0.400 s"),
        (
            Box::new(says("")),
            "Read, no data received from ",
            "without a reply",
        ),
        (reset_at(""), "Read error with", "reset"),
        (reset_at("HTTP/1.0 200 O"), "Read error with", "reset"),
        (reset_at("HTTP/1.0 200 OK\r\n\r\nbod"), "Read error with", "reset"),
        (
            Box::new(says("HTTP/1.0 200 OK\r\nX: y")),
            "Read error with",
            "in the middle",
        ),
        (
            Box::new(says("\u{0}\u{1}\u{2}HTTP/1.0 999999")),
            "Read error with",
            "not HTTP",
        ),
        (
            Box::new(says("HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nshort")),
            "Read error with",
            "the body has 5 bytes, Content-Length says 10",
        ),
        (
            Box::new(says("HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\nx")),
            "Read error with",
            "not HTTP",
        ),
        (
            Box::new(says(
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
            )),
            "Read error with",
            "not HTTP",
        ),
    ];
    let before = memory();
    let most = std::sync::atomic::AtomicU64::new(before);
    let run = |number: usize, answer: Answer, what: &str, reason: &str| {
        let mut check = get(serve(answer), vec![url("/")]);
        check.connection.timeout = Duration::from_millis(400);
        let (verdict, lines) = first(check);
        assert!(
            verdict.starts_with("down: ") && verdict.contains(reason),
            "{number}: {verdict} {lines:?}"
        );
        let line = format!("{what} server {RS}.");
        assert!(lines.contains(&line), "{number}: {verdict} {lines:?}");
        most.fetch_max(memory(), std::sync::atomic::Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        for (number, (answer, what, reason)) in table.into_iter().enumerate() {
            let run = &run;
            scope.spawn(move || run(number, answer, what, reason));
        }
    });
    // Seventeen at once, one of which sends as fast as it can.
    let more = most.into_inner() - before;
    assert!(more < 64 * 1024, "{more} KiB more");
}

/// Each round a head and a body that take more than a round may leave behind.
#[test]
fn hostile_rounds_leave_nothing_behind() {
    let (rounds, done) = mpsc::channel();
    let head = format!("HTTP/1.0 200 OK\r\nX: {}", "0123456789".repeat(100_000));
    let body = format!(
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n{}",
        "0123456789".repeat(100_000)
    );
    let short = format!(
        "HTTP/1.0 200 OK\r\nContent-Length: 2000000\r\n\r\n{}",
        "0123456789".repeat(100_000)
    );
    let answers = [head, body, short, "\u{0}".repeat(1_000_000)];
    let round = std::cell::Cell::new(0);
    let port = serve(move |_, stream| {
        let _ = stream.write_all(answers[round.get()].as_bytes());
        round.set((round.get() + 1) % answers.len());
        let _ = rounds.send(());
    });
    let mut checker = http(get(port, vec![url("/")]));
    (checker.retry, checker.delay_loop) = (0, Duration::from_millis(1));
    let wait = move |count: usize| {
        for _ in 0..count {
            done.recv_timeout(LIMIT).expect("a round");
        }
        memory()
    };
    let (early, late) = std::thread::scope(|scope| {
        let measured = scope.spawn(move || (wait(40), wait(200)));
        // The checker ends with its `Watch`.
        watch(checker, |watch| async {
            let running = watch;
            while !measured.is_finished() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            drop(running);
        });
        measured.join().expect("every round")
    });
    // Every fourth reply is read whole: 50 MB. Other tests run beside this one.
    assert!(late < early + 32 * 1024, "{early} KiB, then {late} KiB");
}

#[test]
fn a_wrong_length_is_told_once() {
    let answer = "HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nshort";
    let mut check = get(serve(says(answer)), vec![url("/x")]);
    check.virtual_host = Some("h".to_owned());
    let mut checker = http(check);
    (checker.retry, checker.log_all_failures) = (0, true);
    watch(checker, |mut watch| async move {
        assert!(watch.verdict().await.starts_with("down: "));
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(
            watch.lines.all(),
            [
                format!(
                    "http_check for RS {RS} VS {VS} url h/x: content_length (10) does not match received bytes (5)"
                ),
                format!("Read error with server {RS}."),
                format!("HTTP_CHECK on service {RS} failed."),
            ]
        );
    });
}
