//! `interface_up_down_delays` and `linkbeat_interfaces`: what of them applies to the instances that there are.

use crate::model::{Configuration, Instance};
use crate::state::interface::Linkbeat;
use crate::state::kernel::LinkWatch;
use std::collections::BTreeSet;
use std::time::Duration;

/// A delay that is longer than a backup waits for its master would hide a dead link from the election: it is cut.
/// Links that nobody uses are not polled.
pub(super) fn limit(config: &mut Configuration) {
    let Configuration {
        instances,
        interface_delays,
        ..
    } = config;
    for instance in instances.iter() {
        let most = longest(instance);
        for delay in interface_delays
            .iter_mut()
            .filter(|d| d.interface == instance.interface)
        {
            if delay.down > most || delay.up > most {
                tracing::info!(
                    target: "vrrp",
                    "{}: interface {} debounce timer(s) not less that {} * advert_int - resetting",
                    instance.name, delay.interface, instance.down_timer_adverts.saturating_sub(1)
                );
                (delay.down, delay.up) = (delay.down.min(most), delay.up.min(most));
            }
        }
    }
    let used = used(config);
    let unused: BTreeSet<String> = config
        .linkbeat_interfaces
        .iter()
        .map(|linkbeat| linkbeat.interface.clone())
        .filter(|name| !used.contains(name))
        .collect();
    for name in &unused {
        tracing::info!(target: "vrrp", "Turning off linkbeat for {name} since not used for tracking");
    }
    config
        .linkbeat_interfaces
        .retain(|linkbeat| !unused.contains(&linkbeat.interface));
}

/// `(down_timer_adverts - 1) * advert_int`, less the shortest skew time.
fn longest(instance: &Instance) -> Duration {
    let interval = instance.advert_interval;
    (interval * instance.down_timer_adverts.saturating_sub(1)).saturating_sub(interval / 256)
}

fn used(config: &Configuration) -> BTreeSet<String> {
    let of_groups = config
        .sync_groups
        .iter()
        .flat_map(|group| &group.track_interfaces);
    let tracked = config
        .instances
        .iter()
        .flat_map(|instance| &instance.track_interfaces);
    let own = config.instances.iter().map(|instance| instance.interface.clone());
    of_groups
        .chain(tracked)
        .map(|tracked| tracked.name.clone())
        .chain(own)
        .collect()
}

/// For the kernel thread.
pub(super) fn watch(config: &Configuration) -> LinkWatch {
    // The last line of an interface counts.
    let delays = config.interface_delays.iter();
    let delays = delays
        .map(|delay| (delay.interface.clone(), (delay.down, delay.up)))
        .filter(|(_, (down, up))| !(down.is_zero() && up.is_zero()));
    let method = |name: &str| match name {
        "MII" => Some(Linkbeat::Mii),
        "ETHTOOL" => Some(Linkbeat::Ethtool),
        "IOCTL" => Some(Linkbeat::Ioctl),
        _ => None,
    };
    let all = config.globals.linkbeat_use_polling.then(|| used(config));
    let of_instances = config
        .instances
        .iter()
        .filter(|instance| instance.linkbeat_polling);
    let polled = all
        .into_iter()
        .flatten()
        .chain(of_instances.map(|instance| instance.interface.clone()))
        .filter(|name| !name.is_empty())
        .map(|name| (name, None));
    let named = config.linkbeat_interfaces.iter();
    let named = named.map(|l| (l.interface.clone(), l.method.as_deref().and_then(method)));
    LinkWatch {
        delays: delays.collect(),
        polled: polled.chain(named).collect(),
    }
}
