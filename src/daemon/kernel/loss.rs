//! What other programs take away: routes and rules that are gone, who has done it, and what is done about it.

use super::Kernel;
use crate::net::desired::Loss;
use crate::net::monitor::suspect;
use crate::net::object_monitor::Seen;
use crate::net::objects::{Key, Object};
use crate::report::routes::{address, route, rule};
use crate::state::InstanceId;
use crate::state::kernel::KernelReport;
use crate::sys::clock;
use tracing::info;

/// Looking through /proc takes time: many removals at once have one author.
const FRESH: u64 = 1_000_000_000;

/// The last one who was looked for.
#[derive(Debug, Default)]
pub(super) struct Suspects(Option<(u32, u64, String)>);

impl Suspects {
    fn find(&mut self, port: u32) -> String {
        let now = clock::monotonic();
        if let Some((known, at, who)) = &self.0
            && *known == port
            && now.saturating_sub(*at) < FRESH
        {
            return who.clone();
        }
        let who = suspect(port);
        self.0 = Some((port, now, who.clone()));
        who
    }
}

impl Kernel {
    /// After a new configuration: watches its routes and rules.
    pub(super) fn watch_objects(&mut self) {
        let buffer = self.settings.monitor_buffer;
        if let Err(error) = self.objects.watch(self.desired.configured(), buffer) {
            info!(target: "vrrp", "netlink: cannot watch routes and rules: {error}; those that are removed stay away");
        }
    }

    /// Takes in what became of routes and rules; true when more is waiting.
    pub(super) fn take_in_objects(&mut self) -> bool {
        let (gone, more) = match self.objects.look(&self.table) {
            Seen::Gone { gone, more } => (gone, more),
            Seen::Lost => {
                self.desired.readd_others();
                return true;
            }
        };
        let ours = self.channel.port();
        for news in gone.iter().filter(|news| news.port != ours) {
            for key in self.desired.gone(news) {
                let down = self
                    .table
                    .iter()
                    .any(|link| !link.is_up() && key.uses(&link.name));
                if let Some(loss) = self.desired.lost(&key, clock::monotonic(), !down) {
                    self.take_loss(loss, &key, news.port, news.replaced);
                }
            }
        }
        more
    }

    /// Says what is gone, and tells the instance if it is to give up.
    pub(super) fn take_loss(&mut self, loss: Loss, key: &Key, port: u32, replaced: bool) {
        // An address that went along with one that we removed ourselves.
        if port == self.channel.port() {
            return;
        }
        let who = self.suspects.find(port);
        let name = self.desired.name(loss.instance).unwrap_or_default();
        let what = match key {
            Key::Address {
                interface, address, ..
            } => format!("{address} was removed from {interface}"),
            other if replaced => format!("{other} was replaced"),
            other => format!("{other} was removed"),
        };
        let then = match loss.restore {
            Some(0) => "putting it back".to_owned(),
            Some(delay) => format!("putting it back in {:.1} s", delay as f64 / 1e9),
            None => "giving up".to_owned(),
        };
        if loss.instance != InstanceId::STATIC {
            info!(target: "vrrp", VRRP_INSTANCE = %name, "({name}) {what} {who}; {then}");
            if loss.restore.is_none() {
                (self.report)(KernelReport::Removed {
                    instance: loss.instance,
                });
            }
            return;
        }
        info!(target: "vrrp", "static {what} {who}; {then}");
        let Some(object) = self.desired.static_object(key) else {
            return;
        };
        let line = match object {
            Object::Address(lost) => format!("address {}", address(lost, &lost.interface, true, false)),
            Object::Route(lost) => format!("route {}", route(lost)),
            Object::Rule(lost) => format!("rule {}", rule(lost)),
        };
        info!(target: "vrrp", "Restoring deleted static {line}");
    }
}
