//! The services of the kernel that a virtual server stands for, and how it is found again at a reload.

use crate::model::lvs::Lvs as Config;
use crate::model::lvs::{Granularity, GroupEntry, Method, Protocol, ServerGroup, Service, VirtualServer};
use crate::model::route::Family;
use crate::state::lvs::{DestinationKey, ServiceKey, ServiceSettings};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of one line of a group at most: an IPv6 network has more than a kernel can hold.
pub const LARGEST_RANGE: u128 = 65_536;

/// By what a virtual server is known to be the same at a reload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    Address(Option<Protocol>, IpAddr, u16),
    Mark(u32, Option<Family>),
    Group(String, Option<Protocol>),
}

impl Identity {
    pub fn of(server: &VirtualServer) -> Identity {
        match &server.service {
            Service::Address(address, port) => Identity::Address(server.protocol, *address, *port),
            Service::Mark(mark) => Identity::Mark(*mark, server.family),
            Service::Group(name, _) => Identity::Group(name.clone(), server.protocol),
        }
    }
}

/// Its services, in the order of the file.
pub(super) fn services(server: &VirtualServer, config: &Config) -> Vec<ServiceKey> {
    match &server.service {
        Service::Address(address, port) => {
            let protocol = server.protocol.unwrap_or(Protocol::Udp);
            vec![ServiceKey::Address(protocol, *address, *port)]
        }
        Service::Mark(mark) => vec![ServiceKey::Mark(*mark, server.family.unwrap_or_default())],
        Service::Group(name, _) => group(name, config)
            .map(|group| group.entries.iter().flat_map(|e| of_entry(server, *e)).collect())
            .unwrap_or_default(),
    }
}

pub(super) fn group<'a>(name: &str, config: &'a Config) -> Option<&'a ServerGroup> {
    config.groups.iter().find(|group| group.name == name)
}

/// The name of a line of a group in log lines.
pub(super) fn entry_name(entry: GroupEntry, protocol: Option<Protocol>) -> String {
    match entry {
        GroupEntry::Mark { mark, .. } => format!("FWM {mark}"),
        GroupEntry::Addresses { first, last, port } if first == last => {
            format!("[{first}]:{}:{port}", Protocol::name(protocol))
        }
        GroupEntry::Addresses { first, last, port } => {
            format!("[{first}-{last}]:{}:{port}", Protocol::name(protocol))
        }
    }
}

/// Addresses on this host with which `ha_suspend` lets the checkers run.
pub(super) fn holds_address(keys: &[ServiceKey], local: impl Fn(IpAddr) -> bool) -> bool {
    keys.iter().any(|key| match key {
        ServiceKey::Address(_, address, _) => local(*address),
        ServiceKey::Mark(..) => true,
    })
}

fn of_entry(server: &VirtualServer, entry: GroupEntry) -> Vec<ServiceKey> {
    match entry {
        GroupEntry::Mark { mark, family } => {
            let family = family.or(server.family).unwrap_or_default();
            vec![ServiceKey::Mark(mark, family)]
        }
        GroupEntry::Addresses { first, last, port } => {
            let protocol = server.protocol.unwrap_or(Protocol::Udp);
            addresses(first, last)
                .map(|address| ServiceKey::Address(protocol, address, port))
                .collect()
        }
    }
}

fn addresses(first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    let (start, end) = (number(first), number(last));
    let count = end.saturating_sub(start).saturating_add(1).min(LARGEST_RANGE);
    (0..count).map(move |offset| match first {
        IpAddr::V4(_) => Ipv4Addr::from((start + offset) as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(start + offset).into(),
    })
}

/// Its settings, for one of its services.
pub(super) fn settings(server: &VirtualServer, key: &ServiceKey) -> ServiceSettings {
    let mask = match (key.family(), server.persistence_granularity) {
        (Family::Inet, Some(Granularity::Mask(mask))) => u32::from(mask),
        (Family::Inet, _) => u32::MAX,
        (Family::Inet6, Some(Granularity::Prefix(length))) => u32::from(length),
        (Family::Inet6, _) => 128,
    };
    ServiceSettings {
        scheduler: server.scheduler.clone(),
        flags: server.flags,
        engine: server.persistence_engine.clone(),
        persistence: server.persistence_timeout.filter(|seconds| *seconds > 0),
        mask,
    }
}

/// A server behind a service: only NAT may change the port.
pub(super) fn destination(key: &ServiceKey, address: IpAddr, port: u16, method: Method) -> DestinationKey {
    let port = match (key, method) {
        (ServiceKey::Address(_, _, own), Method::Nat) if port == 0 => *own,
        (_, Method::Nat) => port,
        (ServiceKey::Address(_, _, own), _) => *own,
        (ServiceKey::Mark(..), _) => 0,
    };
    DestinationKey { address, port }
}
