//! One mail to one server: the client's side of SMTP (RFC 5321), every phase with a limit of its own.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest line of a reply that is looked at, bytes (RFC 5321 4.5.3.1.5 allows 512).
const LINE: u64 = 4096;

/// Lines of one reply at most.
const LINES: usize = 100;

/// What a mail needs on its way.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Our name.
    pub helo: String,
    /// Sender's address.
    pub from: String,
    /// Recipients' addresses.
    pub to: Vec<String>,
    /// Headers, an empty line, and the text; lines end in CR LF.
    pub text: String,
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// keepalived's line where it has one.
    pub why: String,
    /// The server's answer is that it never will be.
    pub permanent: bool,
}

/// A mail was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Recipients that the server refused, with its reply.
    pub refused: Vec<(String, String)>,
}

/// Sends one mail on a connection of its own; each phase may take `limit`. `connected` is called on the way.
pub async fn send(
    server: SocketAddr,
    envelope: &Envelope,
    limit: Duration,
    connected: impl FnOnce(),
) -> Result<Sent, Failure> {
    let stream = match timeout(limit, TcpStream::connect(server)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return Err(later(format!(
                "SMTP connection ERROR to {}. ({error})",
                show(server)
            )));
        }
        Err(_) => {
            return Err(later(format!("Timeout connecting SMTP server {}.", show(server))));
        }
    };
    connected();
    let mut dialogue = Dialogue {
        stream: BufReader::new(stream),
        server: show(server),
        limit,
    };
    dialogue.expect("connection", &[220]).await?;
    dialogue
        .command("HELO", &format!("HELO {}", envelope.helo), &[250])
        .await?;
    dialogue
        .command("MAIL", &format!("MAIL FROM:<{}>", envelope.from), &[250])
        .await?;
    let mut refused = Vec::new();
    let mut last = None;
    for recipient in &envelope.to {
        let answer = dialogue
            .command("RCPT", &format!("RCPT TO:<{recipient}>"), &[250, 251])
            .await;
        match answer {
            Ok(()) => {}
            Err(Problem::Reply { failure, text }) => {
                refused.push((recipient.clone(), text));
                last = Some(failure);
            }
            Err(Problem::Connection(failure)) => return Err(failure),
        }
    }
    if refused.len() == envelope.to.len() {
        return Err(last.unwrap_or_else(|| later("no recipients".to_owned())));
    }
    dialogue.command("DATA", "DATA", &[354]).await?;
    dialogue.put(&stuffed(&envelope.text)).await?;
    dialogue.expect("DATA", &[250]).await?;
    // It has been taken: what comes of this changes nothing.
    let _ = dialogue.command("QUIT", "QUIT", &[221]).await;
    Ok(Sent { refused })
}

/// `[192.0.2.1]:25`.
pub fn show(server: SocketAddr) -> String {
    format!("[{}]:{}", server.ip(), server.port())
}

fn later(why: String) -> Failure {
    Failure {
        why,
        permanent: false,
    }
}

/// With a dot before each leading dot, and the dot that ends it.
fn stuffed(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for line in text.split_inclusive("\r\n") {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
    }
    if !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out.push_str(".\r\n");
    out
}

enum Problem {
    /// The server answered with something else than was hoped for.
    Reply { failure: Failure, text: String },
    /// There is nobody to talk to any more.
    Connection(Failure),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        match problem {
            Problem::Reply { failure, .. } | Problem::Connection(failure) => failure,
        }
    }
}

struct Dialogue {
    stream: BufReader<TcpStream>,
    server: String,
    limit: Duration,
}

impl Dialogue {
    async fn command(&mut self, name: &str, line: &str, good: &[u16]) -> Result<(), Problem> {
        self.put(&format!("{line}\r\n")).await?;
        self.expect(name, good).await
    }

    async fn put(&mut self, text: &str) -> Result<(), Problem> {
        let written = timeout(self.limit, self.stream.get_mut().write_all(text.as_bytes())).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Problem::Connection(later(format!(
                "Cannot send data to remote SMTP server {}.",
                self.server
            )))),
        }
    }

    async fn expect(&mut self, name: &str, good: &[u16]) -> Result<(), Problem> {
        let server = &self.server;
        let gone = |why: String| Problem::Connection(later(why));
        let (code, text) = match timeout(self.limit, reply(&mut self.stream)).await {
            Ok(Ok(Some(reply))) => reply,
            Ok(Ok(None)) => {
                return Err(gone(format!(
                    "Remote SMTP server {server} has closed the connection."
                )));
            }
            Ok(Err(error)) => {
                return Err(gone(format!(
                    "Error reading data from remote SMTP server {server}. ({error})"
                )));
            }
            Err(_) => {
                return Err(gone(format!(
                    "Timeout reading data to remote SMTP server {server}. (in reply to {name})"
                )));
            }
        };
        if good.contains(&code) {
            return Ok(());
        }
        let why = format!(
            "Error processing {name} cmd on SMTP server {server}. SMTP status code = {code} ({text})"
        );
        Err(Problem::Reply {
            failure: Failure {
                why,
                permanent: (500..600).contains(&code),
            },
            text: format!("{code} {text}"),
        })
    }
}

/// A reply of one or more lines: its code, and the text of its last line. `None`: the connection is closed.
async fn reply(stream: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<(u16, String)>> {
    for _ in 0..LINES {
        let mut line = Vec::new();
        (&mut *stream).take(LINE).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() as u64 == LINE {
            return Err(std::io::Error::other("a line without end"));
        }
        let line = String::from_utf8_lossy(&line);
        let line: String = line.trim_end().chars().filter(|c| !c.is_control()).collect();
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        let Some(code) = code else {
            return Err(std::io::Error::other(format!("`{line}` is no reply")));
        };
        let rest = line.get(3..).unwrap_or_default();
        if !rest.starts_with('-') {
            return Ok(Some((code, rest.trim().to_owned())));
        }
    }
    Err(std::io::Error::other("a reply without end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Option<Option<(u16, String)>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { reply(&mut BufReader::new(text)).await.ok() })
    }

    #[test]
    fn replies_of_any_kind() {
        assert_eq!(read(b"220 mx ready\r\n"), Some(Some((220, "mx ready".into()))));
        assert_eq!(
            read(b"250-mx\r\n250-SIZE\n250 ok\r\n"),
            Some(Some((250, "ok".into())))
        );
        assert_eq!(read(b"250"), Some(Some((250, String::new()))));
        assert_eq!(read(b""), Some(None));
        assert_eq!(read(b"250-more\r\n"), Some(None), "closed within a reply");
        assert_eq!(read(b"no number\r\n"), None);
        assert_eq!(read("äöü\r\n".as_bytes()), None);
        assert_eq!(read(&b"250-x\r\n".repeat(1000)), None, "without end");
        assert_eq!(read(&[b'2'; 100_000]), None);
    }

    #[test]
    fn leading_dots_are_doubled() {
        assert_eq!(stuffed("a\r\n.b\r\n..\r\n"), "a\r\n..b\r\n...\r\n.\r\n");
        assert_eq!(stuffed("a"), "a\r\n.\r\n");
    }

    /// A server that says these lines, one for each that it hears after the first, and then nothing more.
    async fn server(says: Vec<&'static str>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            for text in says {
                stream.get_mut().write_all(text.as_bytes()).await.unwrap();
                let mut line = String::new();
                while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                    // Only the end of the text is answered.
                    if text.starts_with("354") && line != ".\r\n" {
                        line.clear();
                        continue;
                    }
                    break;
                }
            }
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap_or(0) > 0 {}
        });
        address
    }

    fn outcome(says: &[&'static str]) -> Result<Sent, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = server(says.to_vec()).await;
            let envelope = Envelope {
                helo: "me".into(),
                from: "a@b".into(),
                to: vec!["c@d".into(), "e@f".into()],
                text: "Subject: x\r\n\r\nx\r\n".into(),
            };
            let sent = send(server, &envelope, Duration::from_millis(200), || {}).await;
            sent.map_err(|failure| failure.why)
        })
    }

    #[test]
    fn no_phase_waits_longer_than_its_limit() {
        let all = [
            "220 hello\r\n",
            "250\r\n",
            "250\r\n",
            "250\r\n",
            "250\r\n",
            "354\r\n",
            "250\r\n",
        ];
        for phase in 0..all.len() {
            let why = outcome(&all[..phase]).expect_err("the server says nothing more");
            assert!(why.starts_with("Timeout reading data"), "{phase}: {why}");
        }
        // The mail has been taken: that nobody says goodbye is no failure.
        assert_eq!(outcome(&all), Ok(Sent { refused: Vec::new() }));
    }

    #[test]
    fn one_recipient_may_be_refused_but_not_all() {
        let ok = ["220 hello\r\n", "250\r\n", "250\r\n"];
        let end = ["354\r\n", "250\r\n", "221\r\n"];
        let with = |rcpt: &[&'static str]| outcome(&[&ok[..], rcpt, &end[..]].concat());
        let refused = with(&["550 who?\r\n", "250\r\n"]).expect("taken");
        assert_eq!(refused.refused, [("c@d".to_owned(), "550 who?".to_owned())]);
        let why = with(&["550 who?\r\n", "551 no\r\n"]).expect_err("nobody takes it");
        assert!(why.contains("Error processing RCPT cmd on SMTP server"), "{why}");
    }
}
