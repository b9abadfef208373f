//! D-Bus, seen from the main thread.

use super::{Supervisor, Told};
use crate::serve::dbus::{Ask, Asked, Handle};
use crate::state::VrrpState;
use crate::state::kernel::KernelRequest;
use crate::state::notify::{Notification, NotifyKind, Subject};
use std::sync::{Arc, OnceLock};
use tracing::info;

/// The bus's thread, when there is one.
pub(super) type Bus = Arc<OnceLock<Handle>>;

/// What clients of the bus are told of a notification. On the VRRP thread: this never waits.
pub(super) fn notify(bus: &Bus, notification: &Notification) {
    if let (Some(bus), Subject::Instance(instance), NotifyKind::State(state)) =
        (bus.get(), &notification.subject, notification.kind)
    {
        bus.state(instance.clone(), state);
    }
}

impl Supervisor<'_> {
    /// Gives the configuration to the bus, whose thread is started when the first one asks for it.
    pub(super) fn serve_bus(&self) {
        if self.bus.get().is_none() && self.config.globals.enable_dbus {
            let tell = self.tell.clone();
            let asks = move |asked| drop(tell.send(Told::Asked(asked)));
            match Handle::start(Arc::new(asks)) {
                Ok(handle) => drop(self.bus.set(handle)),
                Err(error) => {
                    tracing::error!(target: "vrrp", "no D-Bus: cannot start its thread: {error}");
                }
            }
        }
        if let Some(bus) = self.bus.get() {
            let state = |name: &str| self.states.get(name).copied().unwrap_or(VrrpState::Init);
            bus.configure(&self.config, self.options.namespace.as_deref(), state);
        }
    }

    /// A reload is in force.
    pub(super) fn tell_bus_of_reload(&self) {
        if let Some(bus) = self.bus.get() {
            bus.reloaded();
        }
    }

    pub(super) async fn stop_bus(&self) {
        if let Some(bus) = self.bus.get() {
            bus.stop().await;
        }
    }

    /// A client asks.
    pub(super) fn answer(&mut self, Asked { what, done }: Asked) {
        match what {
            Ask::PrintData => {
                info!(target: "vrrp", "Printing VRRP data on DBus request");
                self.dump(
                    move |dumps, snapshot| {
                        dumps.data(snapshot);
                        drop(done);
                    },
                    false,
                );
            }
            Ask::PrintStats => {
                info!(target: "vrrp", "Printing VRRP stats on DBus request");
                self.dump(
                    move |dumps, snapshot| {
                        dumps.stats(snapshot, false);
                        drop(done);
                    },
                    false,
                );
            }
            Ask::PrintStatsClear => {
                info!(target: "vrrp", "Printing and clearing VRRP stats on DBus request");
                self.dump(
                    move |dumps, snapshot| {
                        dumps.stats(snapshot, true);
                        drop(done);
                    },
                    true,
                );
            }
            Ask::Reload => self.ask_reload(),
            Ask::SendGarp(name) => {
                info!(target: "vrrp", "Sending garps on {name} on DBus request");
                let member = self.running.members().find(|(_, m)| m.config.name == *name);
                if let Some((_, member)) = member {
                    self.kernel.send(KernelRequest::Announce {
                        instance: member.id,
                        repeat: 1,
                    });
                }
            }
        }
    }
}
