//! `rs_metrics`: the thread is there when a configuration asks for it.

use super::{Supervisor, Told};
use crate::cli::version::KEEPALIVED;
use crate::serve::metrics::Server;
use std::sync::Arc;

impl Supervisor<'_> {
    /// Gives the address to the thread of metrics, which is started when there is one.
    pub(super) fn serve_metrics(&mut self) {
        let address = self.config.globals.metrics.clone();
        if self.metrics.is_none() && address.is_some() {
            let tell = self.tell.clone();
            let ask = Arc::new(move |reply| {
                let _ = tell.send(Told::Snapshot(reply));
            });
            match Server::start(ask, (env!("CARGO_PKG_VERSION"), KEEPALIVED)) {
                Ok(server) => self.metrics = Some(server),
                Err(error) => tracing::error!(target: "parent", "no metrics: cannot start a thread: {error}"),
            }
        }
        if let Some(server) = &self.metrics {
            server.configure(address);
        }
    }
}
