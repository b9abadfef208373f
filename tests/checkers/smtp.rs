use crate::support::*;
use keepalived_rs::model::lvs::CheckerKind;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// A server that says these, each after a line of the client; what it heard comes back.
fn serve(replies: &'static [&'static str]) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (heard, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("a copy"));
            for reply in replies {
                for piece in reply.split('|') {
                    let _ = stream.write_all(piece.as_bytes());
                    std::thread::sleep(Duration::from_millis(5));
                }
                let mut line = String::new();
                let _ = lines.read_line(&mut line);
                let _ = heard.send(line);
            }
        }
    });
    (port, received)
}

fn first(port: u16) -> (String, Vec<String>) {
    let mut connection = to(port);
    connection.timeout = Duration::from_millis(300);
    let mut checker = checker(CheckerKind::Smtp {
        connection,
        helo: "smtpchecker.keepalived.org".to_owned(),
    });
    checker.log_all_failures = true;
    watch(checker, |mut watch| async move {
        let verdict = watch.verdict().await;
        (verdict, watch.lines.all())
    })
}

#[test]
fn a_dialogue() {
    let (port, heard) = serve(&["220-hello\r\n|220 world\r\n", "250 |fine\r\n", "221 bye\r\n"]);
    let (verdict, lines) = first(port);
    assert_eq!(verdict, "up");
    assert_eq!(lines, [format!("Remote SMTP server {RS} succeed on service.")]);
    let said: Vec<String> = heard.iter().take(3).collect();
    assert_eq!(said, ["HELO smtpchecker.keepalived.org\r\n", "QUIT\r\n", ""]);
}

#[test]
fn what_goes_wrong() {
    let long: &'static str = Box::leak("220-x\r\n".repeat(2000).into_boxed_str());
    let table: [(&'static [&'static str], &str); 6] = [
        (&["554 no\r\n"], "Bad greeting banner from server"),
        (&["220 hi\r\n", "501 who\r\n"], "Bad HELO response from server"),
        (&["220 hi"], "Read timeout from server"),
        (&[""], "Read timeout from server"),
        (Box::leak(Box::new([long])), "Read failure from server"),
        (&[], "Read failure from server"),
    ];
    for (replies, text) in table {
        let port = serve(replies).0;
        let (verdict, lines) = first(port);
        assert_eq!(verdict, format!("down: {text}"));
        // Unlike the others its first failure has its retries.
        let line = format!("SMTP_CHECK {text} [127.0.0.1]:{port}");
        assert_eq!(lines, [line.clone(), line]);
    }
}
