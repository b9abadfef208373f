//! D-Bus (`enable_dbus`): an object for each instance and one for the program, as keepalived has them.
//!
//! On a thread of its own, which no other waits for. A bus that is away or hangs is tried again for ever, at
//! growing distances; what happens meanwhile is not kept: who listens is told the states as they are then.

mod objects;
mod paths;
mod session;
mod table;

use crate::model::Configuration;
use crate::state::VrrpState;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use table::{Objects, Table};
use tokio::sync::{mpsc, oneshot};

/// keepalived's name on the bus.
const SERVICE: &str = "org.keepalived.Vrrp1";

/// The last signals have this long at the end.
const LAST_SIGNALS: Duration = Duration::from_secs(1);

/// What a client asks the daemon for.
#[derive(Debug)]
pub struct Asked {
    /// What.
    pub what: Ask,
    /// Dropped when it is done: then the client has its answer.
    pub done: oneshot::Sender<()>,
}

/// See [`Asked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// As SIGUSR1.
    PrintData,
    /// As SIGUSR2.
    PrintStats,
    /// The same, then all counters to zero.
    PrintStatsClear,
    /// As SIGHUP.
    Reload,
    /// Announce the addresses of this instance, if it has them.
    SendGarp(Arc<str>),
}

/// Where questions go. Must not wait.
pub type Asks = Arc<dyn Fn(Asked) + Send + Sync>;

enum Order {
    Configure(Option<Objects>),
    State(Arc<str>, VrrpState),
    Reloaded,
    Stop(oneshot::Sender<()>),
}

/// A handle to the thread, for any thread. Nothing here waits, except [`Handle::stop`].
#[derive(Debug, Clone)]
pub struct Handle {
    orders: mpsc::UnboundedSender<Order>,
}

impl Handle {
    /// Starts the thread.
    pub fn start(asks: Asks) -> io::Result<Handle> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, waiting) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("dbus".into())
            .spawn(move || runtime.block_on(work(waiting, asks)))?;
        Ok(Handle { orders })
    }

    /// A configuration, before it comes into force. `states` is what is known of its instances. Those that go are
    /// removed at [`Handle::reloaded`], when they have told their end.
    pub fn configure(
        &self,
        config: &Configuration,
        namespace: Option<&str>,
        states: impl Fn(&str) -> VrrpState,
    ) {
        let objects = config.globals.enable_dbus.then(|| Objects {
            service: config
                .globals
                .dbus_service_name
                .clone()
                .unwrap_or_else(|| SERVICE.into()),
            vrrp: paths::vrrp(&config.globals, namespace),
            instances: config
                .instances
                .iter()
                .map(|i| {
                    let path = paths::instance(&config.globals, namespace, i);
                    (path, i.name.as_str().into(), states(&i.name))
                })
                .collect(),
        });
        self.send(Order::Configure(objects));
    }

    /// An instance has a new state.
    pub fn state(&self, instance: Arc<str>, state: VrrpState) {
        self.send(Order::State(instance, state));
    }

    /// A reload is done.
    pub fn reloaded(&self) {
        self.send(Order::Reloaded);
    }

    /// The last words; waits until they are said, for a short time.
    pub async fn stop(&self) {
        let (done, said) = oneshot::channel();
        self.send(Order::Stop(done));
        let _ = tokio::time::timeout(LAST_SIGNALS, said).await;
    }

    fn send(&self, order: Order) {
        // The thread ends when nobody can send any more.
        let _ = self.orders.send(order);
    }
}

/// Takes orders without ever waiting for the bus, and beside that serves it.
async fn work(mut orders: mpsc::UnboundedReceiver<Order>, asks: Asks) {
    let table = Table::default();
    let take = async {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Configure(objects) => table.configure(objects),
                Order::State(instance, state) => table.state(&instance, state),
                Order::Reloaded => table.reloaded(),
                Order::Stop(done) => table.stop(done),
            }
        }
    };
    tokio::select! {
        () = take => {}
        () = session::serve(&table, &asks) => {}
    }
}
