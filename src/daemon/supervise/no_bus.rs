//! A build without D-Bus says so.

use super::Supervisor;
use crate::state::notify::Notification;

/// Nothing.
#[derive(Clone, Default)]
pub(super) struct Bus {}

pub(super) fn notify(_: &Bus, _: &Notification) {}

impl Supervisor<'_> {
    pub(super) fn serve_bus(&self) {
        if self.config.globals.enable_dbus {
            tracing::warn!(target: "vrrp", "enable_dbus: this program was built without D-Bus");
        }
    }

    pub(super) fn tell_bus_of_reload(&self) {}

    pub(super) async fn stop_bus(&self) {}
}
