//! One request and its response over a connection that is already there: bounded in time and memory.

use crate::model::lvs::HttpProtocol;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING, USER_AGENT};
use hyper::{Request, Version};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// Longest head of a response, bytes.
const HEAD: usize = 64 * 1024;

/// Longest body, bytes.
pub const BODY: u64 = 64 * 1024 * 1024;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// `path`.
    pub path: String,
    /// Value of the Host header.
    pub host: String,
    /// `http_protocol`.
    pub protocol: HttpProtocol,
}

/// How long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From one piece of the response to the next.
    pub pause: Duration,
    /// All in all.
    pub whole: Duration,
}

/// What came before the body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Status line and headers as they came, where [`Reader::wants_head`] asked for them.
    pub raw: Vec<u8>,
}

/// Takes the response as it comes.
pub trait Reader {
    /// The head.
    fn head(&mut self, head: Head);
    /// A piece of the body.
    fn body(&mut self, bytes: &[u8]);
    /// The bytes of the head are of interest.
    fn wants_head(&self) -> bool {
        false
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The request cannot be written down.
    #[error("the request is not valid: {0}")]
    Request(String),
    /// It could not be sent.
    #[error("the request could not be sent: {0}")]
    Send(String),
    /// Closed without a word.
    #[error("the server closed the connection without a reply")]
    NoData,
    /// Nothing came for too long.
    #[error("nothing came for {:.3} s{}", .0.as_secs_f64(), if *.1 { " in the middle of the reply" } else { "" })]
    Pause(Duration, bool),
    /// It does not come to an end.
    #[error("the reply is not complete after {:.3} s", .0.as_secs_f64())]
    Whole(Duration),
    /// The body ended before it should.
    #[error("the body has {received} bytes, Content-Length says {announced}")]
    Length {
        /// What the head says.
        announced: u64,
        /// What came.
        received: u64,
    },
    /// Too long.
    #[error("the body is longer than {BODY} bytes")]
    TooLong,
    /// Not HTTP, a head that is too long, a reset.
    #[error("{0}")]
    Broken(String),
}

/// Sends the question and reads the whole response.
pub async fn ask<T: AsyncRead + AsyncWrite + Unpin>(
    stream: T,
    question: &Question,
    patience: Patience,
    reader: &mut impl Reader,
) -> Result<(), ExchangeError> {
    let request = request(question)?;
    let received = Arc::new(AtomicU64::new(0));
    let kept = Arc::new(Mutex::new(Vec::new()));
    let io = Io {
        stream,
        received: received.clone(),
        kept: reader.wants_head().then(|| kept.clone()),
    };
    let mut builder = http1::Builder::new();
    builder
        .title_case_headers(true)
        .ignore_invalid_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .max_headers(512)
        .max_buf_size(HEAD);
    let (mut sender, connection) = builder
        .handshake::<_, Nothing>(io)
        .await
        .map_err(|error| ExchangeError::Send(error.to_string()))?;
    let mut connection = Connection(Some(Box::pin(connection)));
    let end = Instant::now() + patience.whole;
    let watch = Watch {
        patience,
        end,
        received: &received,
    };
    let answer = watch
        .wait(connection.beside(sender.send_request(request)))
        .await?;
    let response = answer.map_err(|error| broken(&error, received.load(Ordering::Relaxed)))?;
    let (parts, mut body) = response.into_parts();
    let length = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .filter(|_| !parts.headers.contains_key(TRANSFER_ENCODING));
    reader.head(Head {
        status: parts.status.as_u16(),
        raw: head(std::mem::take(
            &mut *kept.lock().unwrap_or_else(PoisonError::into_inner),
        )),
    });
    let mut bytes = 0;
    loop {
        let frame = watch.wait(connection.beside(next(&mut body))).await?;
        match frame {
            None => return Ok(()),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    bytes += data.len() as u64;
                    if bytes > BODY {
                        return Err(ExchangeError::TooLong);
                    }
                    reader.body(data);
                }
            }
            Some(Err(error)) => {
                return Err(match length {
                    Some(announced) if ended(&error) => ExchangeError::Length {
                        announced,
                        received: bytes,
                    },
                    _ => broken(&error, received.load(Ordering::Relaxed)),
                });
            }
        }
    }
}

/// The head alone, of what came first.
fn head(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n");
    bytes.truncate(end.map_or(bytes.len(), |end| end + 4));
    bytes
}

fn request(question: &Question) -> Result<Request<Nothing>, ExchangeError> {
    let invalid = |error: &dyn std::fmt::Display| ExchangeError::Request(error.to_string());
    let version = match question.protocol {
        HttpProtocol::V11 => Version::HTTP_11,
        HttpProtocol::V10 | HttpProtocol::V10Close => Version::HTTP_10,
    };
    let mut request = Request::builder()
        .version(version)
        .uri(target(&question.path))
        .body(Nothing)
        .map_err(|error| invalid(&error))?;
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("KeepAliveClient"));
    if question.protocol != HttpProtocol::V10 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let host = HeaderValue::from_str(&question.host).map_err(|error| invalid(&error))?;
    headers.insert(HOST, host);
    Ok(request)
}

/// The path as it may stand in a request: what must not is escaped.
fn target(path: &str) -> String {
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'#' => target.push_str(&format!("%{byte:02X}")),
            b'!'..=b'~' => target.push(char::from(byte)),
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
    target
}

fn ended(error: &hyper::Error) -> bool {
    use std::error::Error;
    let eof = |e: &io::Error| e.kind() == io::ErrorKind::UnexpectedEof;
    error.is_incomplete_message() || error.source().and_then(|s| s.downcast_ref()).is_some_and(eof)
}

fn broken(error: &hyper::Error, received: u64) -> ExchangeError {
    use std::error::Error;
    if received == 0 && error.is_incomplete_message() {
        return ExchangeError::NoData;
    }
    let mut text = if error.is_parse() && error.to_string().contains("too large") {
        format!("the head of the reply is longer than {HEAD} bytes")
    } else if error.is_parse() {
        format!("the reply is not HTTP ({error})")
    } else if error.is_incomplete_message() {
        "the connection was closed in the middle of the reply".to_owned()
    } else {
        error.to_string()
    };
    if let Some(source) = error.source() {
        text.push_str(&format!(": {source}"));
    }
    ExchangeError::Broken(text)
}

async fn next(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Ends waiting when nothing has come for too long, or the whole takes too long.
struct Watch<'a> {
    patience: Patience,
    end: Instant,
    received: &'a AtomicU64,
}

impl Watch<'_> {
    async fn wait<F: Future>(&self, future: F) -> Result<F::Output, ExchangeError> {
        let mut future = pin!(future);
        loop {
            let before = self.received.load(Ordering::Relaxed);
            let pause = Instant::now() + self.patience.pause;
            match timeout_at(pause.min(self.end), &mut future).await {
                Ok(output) => return Ok(output),
                Err(_) if Instant::now() >= self.end => {
                    return Err(ExchangeError::Whole(self.patience.whole));
                }
                // Pieces of a head that is not complete.
                Err(_) if self.received.load(Ordering::Relaxed) > before => {}
                Err(_) => return Err(ExchangeError::Pause(self.patience.pause, before > 0)),
            }
        }
    }
}

/// The connection's own work, done while something else is waited for.
struct Connection<T: AsyncRead + AsyncWrite + Unpin>(Option<Driven<T>>);

type Driven<T> = Pin<Box<http1::Connection<Io<T>, Nothing>>>;

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    async fn beside<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Some(connection) = &mut self.0
                && connection.as_mut().poll(context).is_ready()
            {
                self.0 = None;
            }
            future.as_mut().poll(context)
        })
        .await
    }
}

/// No body.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(0)
    }
}

/// A stream of tokio as hyper wants it; counts what comes.
struct Io<T> {
    stream: T,
    received: Arc<AtomicU64>,
    /// Takes the first of it.
    kept: Option<Arc<Mutex<Vec<u8>>>>,
}

impl<T: AsyncRead + Unpin> hyper::rt::Read for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [0; 8192];
        let room = cursor.remaining().min(space.len());
        let mut buffer = ReadBuf::new(space.get_mut(..room).unwrap_or_default());
        match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
            Ok(()) => {}
            // TLS that was closed without a goodbye: many servers do.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
            Err(error) => return Poll::Ready(Err(error)),
        }
        let filled = buffer.filled();
        self.received.fetch_add(filled.len() as u64, Ordering::Relaxed);
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = HEAD.saturating_sub(kept.len()).min(filled.len());
            kept.extend_from_slice(filled.get(..room).unwrap_or_default());
        }
        cursor.put_slice(filled);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> hyper::rt::Write for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    // How the connection ends is the caller's to say.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_stand_in_a_request_is_escaped() {
        assert_eq!(target("/a?b=c&d=%20"), "/a?b=c&d=%20");
        assert_eq!(target("x y\r\nHost: z"), "/x%20y%0D%0AHost:%20z");
        assert_eq!(target("/\u{e4}#"), "/%C3%A4%23");
        for path in ["/a", "*", "//x/y", "/\"<>\\^`{|}[]", "http://h/p"] {
            let question = Question {
                path: path.to_owned(),
                host: "h".to_owned(),
                protocol: HttpProtocol::V10,
            };
            assert!(request(&question).is_ok(), "{path}");
        }
    }
}
