//! The program called as genhash; the outputs are genhash's own.

use crate::http::serve;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

fn genhash(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keepalived-rs"))
        .arg0("genhash")
        .args(words)
        .output()
        .expect("the program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn page() -> String {
    let port = serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nX-Case: Kept\r\n\r\ngolden body /");
    });
    port.to_string()
}

#[test]
fn the_digest_of_a_page() {
    let output = genhash(&["-s", "127.0.0.1", "-p", &page(), "-u", "/"]);
    assert_eq!(text(&output.stdout), "05b629ff4accb994d79e444b43430728\n");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn all_of_it() {
    let output = genhash(&["-v", "-s", "127.0.0.1", "-p", &page(), "-u", "/"]);
    let (said, time) = {
        let text = text(&output.stdout);
        let at = text.find("Global response time for [/] = ").expect("the time");
        (text[..at].to_owned(), text[at..].to_owned())
    };
    assert!(time.ends_with(" usecs\n"), "{time}");
    assert_eq!(
        said,
        "\
-----------------------[    HTTP Header Buffer    ]-----------------------
0000  48 54 54 50 2f 31 2e 30 - 20 32 30 30 20 4f 4b 0d   HTTP/1.0 200 OK.
0016  0a 58 2d 43 61 73 65 3a - 20 4b 65 70 74 0d 0a 0d   .X-Case: Kept...
0032  0a                      -                           .               
-----------------------[ HTTP Header Ascii Buffer ]-----------------------
HTTP/1.0 200 OK\r
X-Case: Kept\r
\r

-----------------------[        HTML Buffer        ]-----------------------
0000  67 6f 6c 64 65 6e 20 62 - 6f 64 79 20 2f            golden body /   

-----------------------[    HTML hash resulting    ]-----------------------
0000  05 b6 29 ff 4a cc b9 94 - d7 9e 44 4b 43 43 07 28   ..).J.....DKCC.(
-----------------------[ HTML hash final resulting ]-----------------------
05b629ff4accb994d79e444b43430728

"
    );
}

#[test]
fn a_server_without_a_word() {
    let port = serve(|_, _| ()).to_string();
    let output = genhash(&["-s", "127.0.0.1", "-p", &port, "-u", "/"]);
    assert_eq!(text(&output.stderr), "no data received from remote webserver\n");
    assert_eq!(output.status.code(), Some(1));
}
