//! Waiting in a task until a descriptor can be read.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tells when a descriptor can be read. It keeps a duplicate of its own.
#[derive(Debug)]
pub struct Readiness(AsyncFd<OwnedFd>);

impl Readiness {
    /// Watches a descriptor that does not block. To be called within a runtime.
    pub fn of(descriptor: impl AsFd) -> io::Result<Readiness> {
        let own = descriptor.as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is owned, and stays inside for as long as it is registered.
        let registered = unsafe { AsyncFd::register(own) }?;
        Ok(Readiness(registered))
    }

    /// Returns when there is something to read. Whoever calls it reads until nothing is left, before calling it
    /// again.
    pub async fn wait(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }

    /// Returns when there is something in a socket's error queue, with the same rule.
    pub async fn wait_for_errors(&self) -> io::Result<()> {
        self.0.ready(Interest::ERROR).await?.clear_ready();
        Ok(())
    }
}
