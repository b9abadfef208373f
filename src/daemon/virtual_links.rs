//! The virtual interfaces that a configuration needs, in the order of the file.

use crate::model::Instance;
use crate::model::route::Family;
use crate::model::vrrp::virtual_mac;
use crate::state::kernel::{VirtualKind, VirtualLink};
use crate::vrrp::plan::Running;

/// Each instance's own one, then those of its addresses.
pub(super) fn virtual_links(running: &Running) -> Vec<VirtualLink> {
    let mut links: Vec<VirtualLink> = Vec::new();
    for (_, member) in running.members() {
        let config = &*member.config;
        if let Some(own) = own(config) {
            add(&mut links, own);
        }
        for address in config.vips.iter().chain(&config.excluded_vips) {
            let Some(over) = &address.over else { continue };
            let ipv6 = address.network.address.is_ipv6();
            let family = if ipv6 { Family::Inet6 } else { Family::Inet };
            let given = config.vmac.as_ref().and_then(|vmac| vmac.mac);
            let mac = given.unwrap_or_else(|| virtual_mac(family, config.vrid));
            let link = link(config, &address.interface, over, VirtualKind::Vmac(mac));
            add(
                &mut links,
                VirtualLink {
                    ipv4: !ipv6,
                    ipv6,
                    ..link
                },
            );
        }
    }
    links
}

fn own(config: &Instance) -> Option<VirtualLink> {
    let name = config.virtual_interface()?;
    let ipv6 = config.family == Family::Inet6;
    let (kind, group, notify, sends) = match (&config.vmac, &config.ipvlan) {
        (Some(vmac), _) => (
            VirtualKind::Vmac(config.virtual_mac()),
            vmac.group,
            vmac.netlink_notify,
            !vmac.xmit_base,
        ),
        (_, Some(ipvlan)) => (
            VirtualKind::Ipvlan {
                flags: ipvlan.kind,
                address: ipvlan.address,
            },
            ipvlan.group,
            false,
            ipvlan.address.is_none(),
        ),
        _ => return None,
    };
    Some(VirtualLink {
        group,
        notify,
        ipv4: !ipv6,
        ipv6,
        link_local: ipv6 && sends,
        ..link(config, name, &config.interface, kind)
    })
}

fn link(config: &Instance, name: &str, over: &str, kind: VirtualKind) -> VirtualLink {
    VirtualLink {
        name: name.to_owned(),
        over: over.to_owned(),
        kind,
        group: None,
        ipv4: false,
        ipv6: false,
        link_local: false,
        notify: false,
        instance: config.name.as_str().into(),
    }
}

/// Several may use one: it is made once, for all that they need.
fn add(links: &mut Vec<VirtualLink>, link: VirtualLink) {
    match links.iter_mut().find(|known| known.name == link.name) {
        Some(known) => {
            known.ipv4 |= link.ipv4;
            known.ipv6 |= link.ipv6;
            known.link_local |= link.link_local;
        }
        None => links.push(link),
    }
}
