//! Waits for ICMP errors about adverts to unicast peers.

use crate::net::adverts::SocketSpec;
use crate::net::icmp_errors::{ErrorSocket, IcmpError};
use crate::sys::readiness::Readiness;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Errors that are taken from one socket in a second; what the kernel does not keep beyond that is lost.
const MOST: usize = 64;
const PAUSE: Duration = Duration::from_secs(1);

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens for errors about the adverts of these sockets. `None`: there are none, or none can be heard of, which
/// is no reason not to send.
pub fn listen(
    runtime: &Handle,
    spec: &SocketSpec,
    tell: impl Fn(IcmpError) + Send + 'static,
) -> Option<Listening> {
    let socket = match ErrorSocket::open(spec) {
        Ok(socket) => socket?,
        Err(error) => {
            tracing::debug!(target: "vrrp", "cannot hear of ICMP errors on {}: {error}", spec.interface);
            return None;
        }
    };
    let task = runtime.spawn(async move {
        if let Ok(readiness) = Readiness::of(&socket) {
            hear(&socket, &readiness, tell).await;
        }
    });
    Some(Listening(task.abort_handle()))
}

async fn hear(socket: &ErrorSocket, readiness: &Readiness, tell: impl Fn(IcmpError)) {
    while readiness.wait_for_errors().await.is_ok() {
        // At most so many in a second, whoever sends them.
        while {
            let more = take(socket, &tell);
            tokio::time::sleep(PAUSE).await;
            more
        } {}
    }
}

/// Takes what is there. True when there may be more.
fn take(socket: &ErrorSocket, tell: &impl Fn(IcmpError)) -> bool {
    for _ in 0..MOST {
        match socket.next() {
            Ok(Some(error)) => tell(error),
            Ok(None) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
    true
}
