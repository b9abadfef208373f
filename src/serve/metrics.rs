//! Metrics over HTTP (`rs_metrics`), on a thread of their own: `GET /metrics` on a TCP address or a Unix socket.
//!
//! Nothing here can hold up anything else: what is answered comes from a snapshot, one at most each second; so
//! many connections at once, and each for so long.

use super::snmp::Ask;
use crate::model::globals::MetricsAddress;
use crate::report::metrics;
use crate::state::snapshot::Snapshot;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Mutex, Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info};

/// Connections at once; others wait in the kernel's queue.
const CONNECTIONS: usize = 8;
/// A connection lasts so long at most.
const CONNECTION: Duration = Duration::from_secs(5);
/// A snapshot is there within this, or there is no answer.
const SNAPSHOT: Duration = Duration::from_secs(4);
/// An answer is good for so long.
const FRESH: Duration = Duration::from_secs(1);
/// Longest head of a request, bytes; not below what hyper allows.
const HEAD: usize = 8192;
/// An address that cannot be had is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// A handle to the thread.
#[derive(Debug)]
pub struct Server {
    address: watch::Sender<Option<MetricsAddress>>,
}

/// What the answers are made of.
struct Source {
    ask: Ask,
    versions: (&'static str, &'static str),
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Server {
    /// Starts the thread. `versions`: ours and keepalived's.
    pub fn start(ask: Ask, versions: (&'static str, &'static str)) -> io::Result<Server> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (address, wanted) = watch::channel(None);
        std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                let source = Source {
                    ask,
                    versions,
                    last: Mutex::default(),
                };
                tokio::task::LocalSet::new().block_on(&runtime, run(wanted, Rc::new(source)));
            })?;
        Ok(Server { address })
    }

    /// Answers there from now on; `None`: nowhere.
    pub fn configure(&self, address: Option<MetricsAddress>) {
        self.address.send_if_modified(|now| {
            let other = *now != address;
            *now = address;
            other
        });
    }

    /// The end: no socket file stays.
    pub fn stop(&self) {
        if let Some(MetricsAddress::Unix(path)) = &*self.address.borrow() {
            remove_socket(Path::new(path));
        }
    }
}

async fn run(mut wanted: watch::Receiver<Option<MetricsAddress>>, source: Rc<Source>) {
    let mut told = None;
    loop {
        let address = wanted.borrow_and_update().clone();
        let changed = match &address {
            None => wanted.changed().await,
            Some(address) => tokio::select! {
                changed = wanted.changed() => changed,
                () = serve(address, &source, &mut told) => continue,
            },
        };
        if let Some(MetricsAddress::Unix(path)) = address {
            remove_socket(Path::new(&path));
        }
        told = None;
        if changed.is_err() {
            return;
        }
    }
}

/// Returns some time after the address could not be had.
async fn serve(address: &MetricsAddress, source: &Rc<Source>, told: &mut Option<String>) {
    let done = match address {
        MetricsAddress::Tcp(at) => match TcpListener::bind(at).await {
            Ok(listener) => {
                begin(address, told);
                let accept = async || listener.accept().await.map(|(stream, _)| stream);
                answer_all(accept, source).await
            }
            Err(error) => error,
        },
        MetricsAddress::Unix(path) => match bind_unix(Path::new(path)) {
            Ok(listener) => {
                begin(address, told);
                let accept = async || listener.accept().await.map(|(stream, _)| stream);
                answer_all(accept, source).await
            }
            Err(error) => error,
        },
    };
    let text = format!("rs_metrics {address}: {done}");
    if told.as_ref() != Some(&text) {
        error!(target: "parent", "{text}; tried again every {} seconds", AGAIN.as_secs());
        *told = Some(text);
    }
    sleep(AGAIN).await;
}

fn begin(address: &MetricsAddress, told: &mut Option<String>) {
    *told = None;
    info!(target: "parent", "Metrics are at {address}");
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // Of a daemon that was killed, unless somebody answers.
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            remove_socket(path);
            UnixListener::bind(path)
        }
        other => other,
    }
}

fn remove_socket(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket()) {
        let _ = fs::remove_file(path);
    }
}

async fn answer_all<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    accept: impl AsyncFn() -> io::Result<S>,
    source: &Rc<Source>,
) -> io::Error {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return io::ErrorKind::Other.into();
        };
        let stream = match accept().await {
            Ok(stream) => stream,
            // A peer that is gone already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return error,
        };
        let source = source.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let source = source.clone();
                async move { Ok::<_, Infallible>(answer(&request, &source).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(HEAD)
                .serve_connection(Io(stream), service);
            // What goes wrong is the client's.
            let _ = timeout(CONNECTION, connection).await;
            drop(place);
        });
    }
}

async fn answer(request: &Request<Incoming>, source: &Source) -> Response<Whole> {
    let plain = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Whole(Some(Bytes::from_static(text.as_bytes()))));
        *response.status_mut() = status;
        response
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    match source.text().await {
        Some(text) => {
            let mut response = Response::new(Whole(Some(text)));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            response
        }
        None => plain(StatusCode::SERVICE_UNAVAILABLE, "the daemon does not answer\n"),
    }
}

impl Source {
    async fn text(&self) -> Option<Bytes> {
        let mut last = self.last.lock().await;
        if let Some((taken, text)) = &*last
            && taken.elapsed() < FRESH
        {
            return Some(text.clone());
        }
        let snapshot = self.snapshot().await?;
        let text = Bytes::from(metrics::metrics(&snapshot, self.versions));
        *last = Some((Instant::now(), text.clone()));
        Some(text)
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        let (reply, answer) = oneshot::channel();
        (self.ask)(reply);
        timeout(SNAPSHOT, answer).await.ok()?.ok()
    }
}

/// A body that is there as a whole.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// A connection as hyper takes it.
struct Io<S>(S);

impl<S: AsyncRead + Unpin> hyper::rt::Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [0; 2048];
        let room = cursor.remaining().min(space.len());
        let mut buffer = ReadBuf::new(space.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer))?;
        cursor.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
