//! What real servers reply to checkers.

use crate::driver::{corpus, run};
use keepalived_rs::checkers::http::exchange::{Head, Patience, Question, Reader, ask};
use keepalived_rs::checkers::smtp::dialogue;
use keepalived_rs::model::lvs::HttpProtocol;
use keepalived_rs::wire::dns;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest head of a reply that the checkers take.
const HEAD: usize = 64 * 1024;

#[derive(Default)]
struct Taken {
    heads: usize,
    head: usize,
    body: usize,
}

impl Reader for Taken {
    fn head(&mut self, head: Head) {
        self.heads += 1;
        self.head = head.raw.len();
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body += bytes.len();
    }

    fn wants_head(&self) -> bool {
        true
    }
}

#[test]
fn replies_of_web_servers() {
    let runtime = runtime();
    let second = Duration::from_secs(1);
    let mut whole = 0;
    run("HTTP", &corpus("http"), 4000, |reply| {
        let mut taken = Taken::default();
        let question = Question {
            path: "/".to_owned(),
            host: "h".to_owned(),
            protocol: HttpProtocol::V11,
        };
        let patience = Patience {
            pause: second,
            whole: second,
        };
        let stream = Server::new(reply, false);
        let result = runtime.block_on(ask(stream, &question, patience, &mut taken));
        whole += usize::from(result.is_ok());
        assert!(taken.heads <= 1 && taken.head <= HEAD && taken.body <= reply.len());
        if let Err(error) = result {
            assert!(taken.head + error.to_string().len() < HEAD + 1024);
        }
    });
    assert!(whole > 100, "{whole} replies that are whole");
}

#[test]
fn answers_of_name_servers() {
    let mut good = 0;
    run("DNS", &corpus("dns"), 20_000, |message| {
        let code = dns::reply(message, 7);
        good += usize::from(code == Some(0));
        assert!(code.is_none_or(|code| code < 16));
    });
    assert!(good > 100, "{good} answers");
    // Names that a file has, or the replies: a query is short, or there is none.
    run("names for DNS", &corpus("dns"), 5000, |name| {
        let query = dns::query(7, &String::from_utf8_lossy(name), 1);
        assert!(query.is_none_or(|query| query.len() <= 12 + 255 + 4));
    });
}

#[test]
fn dialogues_of_mail_servers() {
    let runtime = runtime();
    let (mut good, limit) = (0, Duration::from_secs(1));
    run("SMTP", &corpus("smtp"), 4000, |replies| {
        let mut stream = Server::new(replies, true);
        match runtime.block_on(dialogue(&mut stream, limit, "h")) {
            Ok(()) => good += 1,
            Err(failure) => assert!(failure.reason.len() < 1000, "{failure:?}"),
        }
        let heard = String::from_utf8(stream.heard).expect("what we say");
        assert!("HELO h\r\nQUIT\r\n".starts_with(&heard), "{heard}");
    });
    assert!(good > 100, "{good} dialogues that end well");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

/// A server that says its lines one after the other, whatever it hears.
struct Server<'a> {
    lines: &'a [u8],
    heard: Vec<u8>,
    /// Speaks before it is spoken to.
    first: bool,
    waits: Option<Waker>,
}

impl<'a> Server<'a> {
    fn new(lines: &'a [u8], first: bool) -> Server<'a> {
        Server {
            lines,
            heard: Vec::new(),
            first,
            waits: None,
        }
    }
}

impl AsyncRead for Server<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first && self.heard.is_empty() {
            self.waits = Some(context.waker().clone());
            return Poll::Pending;
        }
        let end = self.lines.iter().position(|byte| *byte == b'\n');
        let length = end
            .map_or(self.lines.len(), |end| end + 1)
            .min(buffer.remaining());
        let (line, rest) = self.lines.split_at(length);
        buffer.put_slice(line);
        self.lines = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Server<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.extend_from_slice(bytes);
        if let Some(reader) = self.waits.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
