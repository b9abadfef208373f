//! One connection to the bus after the other.

use super::Asks;
use super::objects::{Desk, InstanceObject, VrrpObject};
use super::table::{Known, Say, Table};
use crate::state::VrrpState;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};
use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo::RequestNameReply;
use zbus::object_server::SignalEmitter;

/// A bus that takes longer for anything is given up.
const LIMIT: Duration = Duration::from_secs(10);

/// Between attempts: first, and at most.
const DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Why a connection has ended.
enum End {
    /// Nobody is to be served, or under another name.
    Changed,
    /// The daemon stops.
    Stopped,
}

/// Serves the bus as long as the table has something for it.
pub async fn serve(table: &Table, asks: &Asks) {
    let desk = Desk::new(asks.clone());
    let mut first = true;
    let mut delay = DELAYS.0;
    let mut told = String::new();
    loop {
        let Some((service, path)) = table.names() else {
            table.changed().await;
            continue;
        };
        let mut session = Session {
            table,
            desk: &desk,
            service,
            path,
            served: BTreeMap::new(),
            acquired: false,
        };
        let end = session.run(&mut first).await;
        table.set_connected(false);
        if session.acquired {
            delay = DELAYS.0;
            told.clear();
        }
        match end {
            Ok(End::Changed) => {}
            Ok(End::Stopped) => std::future::pending().await,
            Err(error) => {
                let reason = error.to_string();
                if reason != told {
                    warn!(target: "vrrp", "D-Bus: {reason}; trying again");
                    told = reason;
                }
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = table.changed() => {}
                }
                delay = (delay * 2).min(DELAYS.1);
            }
        }
    }
}

struct Session<'a> {
    table: &'a Table,
    desk: &'a Desk,
    service: String,
    path: String,
    served: BTreeMap<String, Arc<Known>>,
    acquired: bool,
}

impl Session<'_> {
    async fn run(&mut self, first: &mut bool) -> Result<End, Error> {
        let connection = limited(async { Builder::system()?.build().await }).await?;
        let desk = self.desk.clone();
        let object = VrrpObject { desk };
        limited(connection.object_server().at(self.path.as_str(), object)).await?;
        self.objects(&connection, false).await?;
        self.take_name(&connection).await?;
        self.acquired = true;
        // What has happened so far is told now, what happens from here on waits in the queue: nothing twice.
        self.table.set_connected(true);
        let states: Vec<(String, VrrpState)> = self
            .table
            .instances()
            .into_iter()
            .map(|(path, known)| (path, known.state()))
            .collect();
        if !self.is_current() {
            return Ok(End::Changed);
        }
        self.objects(&connection, false).await?;
        self.greet(&connection, states, first).await?;
        loop {
            let say = tokio::select! {
                () = connection.closed() => return Err(Error::Lost),
                say = self.table.next() => say,
            };
            match say {
                Say::State(path, state) => self.tell(&connection, &path, state).await?,
                Say::Objects => {
                    if !self.is_current() {
                        self.leave(&connection).await?;
                        return Ok(End::Changed);
                    }
                    self.objects(&connection, true).await?;
                }
                Say::Reloaded => {
                    let emitter = SignalEmitter::new(&connection, self.path.as_str())?;
                    limited(VrrpObject::vrrp_reloaded(&emitter)).await?;
                }
                Say::Stopped(done) => {
                    self.leave(&connection).await?;
                    drop(done);
                    return Ok(End::Stopped);
                }
            }
        }
    }

    /// The names are still those of the configuration.
    fn is_current(&self) -> bool {
        let names = self.table.names();
        names.as_ref().map(|(s, p)| (s, p)) == Some((&self.service, &self.path))
    }

    /// After the objects: who sees the name finds them.
    async fn take_name(&self, connection: &Connection) -> Result<(), Error> {
        let asked = connection.request_name_with_flags(self.service.as_str(), Default::default());
        match limited(asked).await {
            Ok(RequestNameReply::InQueue) => {
                warn!(
                    target: "vrrp",
                    "D-Bus: another program has the name {} - waiting for it", self.service
                );
                Ok(())
            }
            Ok(_) => {
                info!(target: "vrrp", "Acquired DBus bus {}", self.service);
                Ok(())
            }
            Err(Error::Bus(error)) => Err(Error::Name(self.service.clone(), error)),
            Err(other) => Err(other),
        }
    }

    /// The first signals on a connection: the states as they are.
    async fn greet(
        &self,
        connection: &Connection,
        states: Vec<(String, VrrpState)>,
        first: &mut bool,
    ) -> Result<(), Error> {
        if std::mem::take(first) {
            let emitter = SignalEmitter::new(connection, self.path.as_str())?;
            limited(VrrpObject::vrrp_started(&emitter)).await?;
        }
        for (path, state) in states.iter().filter(|(_, state)| *state != VrrpState::Init) {
            self.tell(connection, path, *state).await?;
        }
        Ok(())
    }

    async fn tell(&self, connection: &Connection, path: &str, state: VrrpState) -> Result<(), Error> {
        let emitter = SignalEmitter::new(connection, path)?;
        limited(InstanceObject::vrrp_status_change(&emitter, state as u32)).await
    }

    /// Objects that are to be there are, others are not.
    async fn objects(&mut self, connection: &Connection, log: bool) -> Result<(), Error> {
        let wanted = self.table.instances();
        let server = connection.object_server();
        for (path, known) in &self.served {
            if wanted.get(path).is_none_or(|now| !Arc::ptr_eq(now, known)) {
                limited(server.remove::<InstanceObject, _>(path.as_str())).await?;
                if log {
                    info!(target: "vrrp", "Deleted DBus object for instance {}", known.name);
                }
            }
        }
        for (path, known) in &wanted {
            if self.served.get(path).is_none_or(|was| !Arc::ptr_eq(was, known)) {
                let object = InstanceObject {
                    known: known.clone(),
                    desk: self.desk.clone(),
                };
                limited(server.at(path.as_str(), object)).await?;
                if log {
                    info!(target: "vrrp", "Added DBus object for instance {}", known.name);
                }
            }
        }
        self.served = wanted;
        Ok(())
    }

    async fn leave(&self, connection: &Connection) -> Result<(), Error> {
        let emitter = SignalEmitter::new(connection, self.path.as_str())?;
        limited(VrrpObject::vrrp_stopped(&emitter)).await?;
        limited(connection.release_name(self.service.as_str())).await?;
        info!(target: "vrrp", "Released DBus");
        Ok(())
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Bus(#[from] zbus::Error),
    #[error("may not have the name {0}: {1} (the policy file must allow it: the guide shows one)")]
    Name(String, zbus::Error),
    #[error("the bus does not answer")]
    Silent,
    #[error("connection lost")]
    Lost,
}

/// A bus that hangs is as good as none.
async fn limited<T>(asked: impl Future<Output = zbus::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Silent),
    }
}
