//! What the daemon owns in the kernel's tables: addresses, routes and rules, and the requests that add and
//! remove them.

use super::addresses;
use super::channel::Channel;
use super::links::Table;
use super::message::Answer;
use super::routes::{self, RouteKey};
use super::rules::{self, RuleKey};
use crate::model::Address;
use crate::model::route::{Route, Rule};
use crate::state::InterfaceAddress;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::net::IpAddr;

/// keepalived's number in the kernel's table of protocols: who owns an address (Linux 5.18), a route or a rule.
pub const PROTOCOL: u8 = 18;

/// One of them, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Object {
    /// An address.
    Address(Address),
    /// A route.
    Route(Box<Route>),
    /// A rule.
    Rule(Box<Rule>),
}

/// What makes it the same one for the kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An address on an interface.
    Address {
        /// Interface name.
        interface: String,
        /// Address.
        address: IpAddr,
        /// Prefix length, of the peer when there is one.
        prefix: u8,
    },
    /// A route.
    Route(Box<RouteKey>),
    /// A rule.
    Rule(Box<RuleKey>),
}

/// Add or remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// One that is there already stays as it is (EEXIST), or is replaced (most routes).
    Add,
    /// Remove.
    Remove,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// What to do.
    pub action: Action,
    /// Interface index of an address.
    pub index: u32,
    /// With what.
    pub object: &'a Object,
}

/// Does the operations in their order with one send. One result each: `None` is done, else what the kernel
/// says. An error of the whole means that it is not known which were done.
pub fn apply(
    channel: &mut Channel,
    table: &Table,
    operations: &[Operation<'_>],
) -> io::Result<Vec<Option<Answer>>> {
    let mut first = 0;
    let answers = channel.batch(|batch| {
        first = batch.sequence().wrapping_add(1);
        for operation in operations {
            let action = operation.action;
            match operation.object {
                Object::Address(address) => addresses::write(batch, action, operation.index, address),
                Object::Route(route) => routes::write(batch, action, route, table),
                Object::Rule(rule) => rules::write(batch, action, rule),
            }
        }
    })?;
    let mut results = vec![None; operations.len()];
    for answer in answers {
        if let Some(result) = results.get_mut(answer.sequence.wrapping_sub(first) as usize) {
            *result = Some(answer);
        }
    }
    Ok(results)
}

impl Object {
    /// The address, if it is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Object::Address(address) => Some(address),
            _ => None,
        }
    }

    /// Interfaces that must exist before it can be added.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        let (address, route) = match self {
            Object::Address(address) => (Some(address.interface.as_str()), None),
            Object::Route(route) => (None, Some(route)),
            Object::Rule(_) => (None, None),
        };
        address
            .into_iter()
            .chain(route.into_iter().flat_map(|route| route.interfaces()))
    }

    /// Index of the interface of an address, 0 for other objects; `None` when an interface does not exist.
    pub fn can_be_added(&self, table: &Table) -> Option<u32> {
        match self {
            Object::Address(address) => table.by_name(&address.interface).map(|link| link.index),
            other => other
                .interfaces()
                .all(|name| table.by_name(name).is_some())
                .then_some(0),
        }
    }

    /// The same; a route with several next hops can stay when one of their interfaces goes.
    pub fn can_be_removed(&self, table: &Table) -> Option<u32> {
        match self {
            Object::Route(route) if !route.next_hops.is_empty() => Some(0),
            other => other.can_be_added(table),
        }
    }

    /// It may have gone with this interface's state: it is on it, or goes out of whichever leads there.
    pub fn depends_on(&self, interface: &str) -> bool {
        match self {
            Object::Address(address) => address.interface == interface,
            Object::Route(route) => {
                route.interfaces().any(|name| name == interface)
                    || (route.kind == routes::UNICAST && route.interfaces().next().is_none())
            }
            Object::Rule(_) => false,
        }
    }

    /// `no_track`: its removal by somebody else is nobody's business.
    pub fn no_track(&self) -> bool {
        match self {
            Object::Address(address) => address.no_track,
            Object::Route(route) => route.no_track,
            Object::Rule(rule) => rule.no_track,
        }
    }

    /// Adding it takes the place of what is there under the same key.
    pub fn replaces(&self) -> bool {
        matches!(self, Object::Route(route) if route.action == crate::model::route::RouteAction::Replace)
    }

    /// In the kernel the two are the same.
    pub fn same(&self, other: &Object) -> bool {
        match (self, other) {
            (Object::Address(a), Object::Address(b)) => {
                let plain = |a: &Address| Address {
                    interface_given: false,
                    ..a.clone()
                };
                a.network == b.network && (a == b || plain(a) == plain(b))
            }
            (a, b) => a == b,
        }
    }

    /// How much of a slice it takes: 1, more for a route with many next hops.
    pub fn weight(&self) -> usize {
        match self {
            Object::Route(route) => 1 + route.next_hops.len() / 4,
            _ => 1,
        }
    }
}

impl Key {
    /// Of a configured object.
    pub fn of(object: &Object) -> Key {
        match object {
            Object::Address(address) => Key::of_address(address),
            Object::Route(route) => Key::Route(Box::new(RouteKey::of(route))),
            Object::Rule(rule) => Key::Rule(Box::new(RuleKey::of(rule))),
        }
    }

    /// Of a configured address.
    pub fn of_address(address: &Address) -> Key {
        Key::Address {
            interface: address.interface.clone(),
            address: address.network.address,
            prefix: address.peer.map_or(address.network.prefix, |peer| peer.prefix),
        }
    }

    /// Of an address that the kernel told of.
    pub fn found(interface: &str, address: &InterfaceAddress) -> Key {
        Key::Address {
            interface: interface.to_owned(),
            address: address.address,
            prefix: address.prefix,
        }
    }

    /// It is on this interface, or goes out of it.
    pub fn uses(&self, name: &str) -> bool {
        match self {
            Key::Address { interface, .. } => interface == name,
            Key::Route(route) => route
                .hops
                .iter()
                .any(|hop| hop.interface.as_deref() == Some(name)),
            Key::Rule(_) => false,
        }
    }

    /// It is on this interface, goes out of it, or asks for it: a rule stays when its interface goes.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Key::Rule(rule) => rule.names(name),
            other => other.uses(name),
        }
    }

    /// An address that is there.
    pub fn is_address_of(&self, table: &Table) -> bool {
        let Key::Address {
            interface,
            address,
            prefix,
        } = self
        else {
            return false;
        };
        table.by_name(interface).is_some_and(|link| {
            link.addresses
                .iter()
                .any(|found| found.address == *address && found.prefix == *prefix)
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Address {
                interface, address, ..
            } => write!(f, "{address} on {interface}"),
            Key::Route(route) => write!(f, "route {route}"),
            Key::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}
