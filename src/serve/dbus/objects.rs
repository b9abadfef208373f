//! The objects that clients see: interfaces, methods and properties of keepalived.

use super::table::Known;
use super::{Ask, Asked, Asks};
use crate::state::VrrpState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use zbus::fdo;

/// Calls that may wait for the daemon at once.
const MOST: usize = 16;

/// A call waits for what it has asked for this long at most.
const LIMIT: Duration = Duration::from_secs(10);

/// Hands questions to the daemon.
#[derive(Clone)]
pub struct Desk {
    asks: Asks,
    places: Arc<Semaphore>,
}

impl Desk {
    /// Nobody waits yet.
    pub fn new(asks: Asks) -> Desk {
        Desk {
            asks,
            places: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// Asks, and waits until it is done.
    async fn ask(&self, what: Ask) -> fdo::Result<()> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(fdo::Error::LimitsExceeded(format!(
                "{MOST} calls wait already: try again later"
            )));
        };
        let (done, end) = oneshot::channel();
        (self.asks)(Asked { what, done });
        match tokio::time::timeout(LIMIT, end).await {
            Ok(_) => Ok(()),
            Err(_) => Err(fdo::Error::TimedOut(format!(
                "not done after {} s: the log says why",
                LIMIT.as_secs()
            ))),
        }
    }
}

/// The object for the whole program.
pub struct VrrpObject {
    pub desk: Desk,
}

#[zbus::interface(name = "org.keepalived.Vrrp1.Vrrp")]
impl VrrpObject {
    async fn print_data(&self) -> fdo::Result<()> {
        self.desk.ask(Ask::PrintData).await
    }

    async fn print_stats(&self) -> fdo::Result<()> {
        self.desk.ask(Ask::PrintStats).await
    }

    async fn print_stats_clear(&self) -> fdo::Result<()> {
        self.desk.ask(Ask::PrintStatsClear).await
    }

    async fn reload_config(&self) -> fdo::Result<()> {
        self.desk.ask(Ask::Reload).await
    }

    #[zbus(signal)]
    pub async fn vrrp_started(emitter: &zbus::object_server::SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub async fn vrrp_reloaded(emitter: &zbus::object_server::SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub async fn vrrp_stopped(emitter: &zbus::object_server::SignalEmitter<'_>) -> zbus::Result<()>;
}

/// The object for one instance.
pub struct InstanceObject {
    pub known: Arc<Known>,
    pub desk: Desk,
}

#[zbus::interface(name = "org.keepalived.Vrrp1.Instance")]
impl InstanceObject {
    async fn send_garp(&self) -> fdo::Result<()> {
        self.desk.ask(Ask::SendGarp(self.known.name.clone())).await
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn name(&self) -> (String,) {
        (self.known.name.to_string(),)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> (u32, String) {
        let state = self.known.state();
        (state as u32, word(state).to_owned())
    }

    #[zbus(signal)]
    pub async fn vrrp_status_change(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        status: u32,
    ) -> zbus::Result<()>;
}

/// keepalived's words on the bus.
fn word(state: VrrpState) -> &'static str {
    match state {
        VrrpState::Init => "Init",
        VrrpState::Backup => "Backup",
        VrrpState::Master => "Master",
        VrrpState::Fault => "Fault",
        VrrpState::Deleted => "Deleted",
        VrrpState::Stop => "Stop",
    }
}
