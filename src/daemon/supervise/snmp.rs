//! SNMP: the thread is there when a configuration asks for it, and is told what happens.

use super::{Supervisor, Told};
use crate::cli::version::KEEPALIVED;
use crate::serve::snmp::{self, Settings, Snmp};
use std::sync::Arc;

impl Supervisor<'_> {
    /// Gives the configuration to the SNMP thread, which is started when one asks for it.
    pub(super) async fn serve_snmp(&self) {
        let tell = self.tell.clone();
        let ask = Arc::new(move |reply| {
            let _ = tell.send(Told::Snapshot(reply));
        });
        let settings = Settings::new(self.config.clone(), KEEPALIVED, ask);
        if let Some(snmp) = self.snmp.get() {
            snmp.configure(settings).await;
        } else if snmp::parts(&self.config.globals).any() {
            match Snmp::start(settings) {
                Ok(snmp) => drop(self.snmp.set(snmp)),
                Err(error) => tracing::error!(target: "parent", "no SNMP: cannot start a thread: {error}"),
            }
        }
    }
}
