//! What happens to routes and rules, by whomever: a socket of its own, so that a router whose tables change all
//! the time keeps no link and no address waiting.

use super::links::Table;
use super::message::messages;
use super::objects::{Key, PROTOCOL};
use super::routes::{self, RouteKey, family_number};
use super::rules::RuleKey;
use crate::model::globals::Buffer;
use crate::sys::netlink::{self, NetlinkSocket};
use crate::sys::option::Filter;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

const RECEIVE_BUFFER: u32 = 1 << 20;
/// Datagrams of one look.
const MOST: usize = 256;
/// Kinds of places beyond this are not told apart by the kernel.
const MOST_PLACES: usize = 64;

/// A route or a rule is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// What is gone; or the route that has taken the place of another.
    pub key: Key,
    /// Another route stands where one was.
    pub replaced: bool,
    /// Port id of who asked for it; 0 is the kernel itself.
    pub port: u32,
}

/// What a look found.
#[derive(Debug)]
pub enum Seen {
    /// These are gone; `more` may be waiting.
    Gone {
        /// In their order.
        gone: Vec<Gone>,
        /// The look ended at its limit.
        more: bool,
    },
    /// Messages were lost: anything may be gone.
    Lost,
}

/// The socket, once there is a route or a rule to watch.
#[derive(Debug, Default)]
pub struct ObjectMonitor {
    socket: Option<NetlinkSocket>,
}

impl ObjectMonitor {
    /// Watches these from now on.
    pub fn watch<'a>(&mut self, keys: impl Iterator<Item = &'a Key>, buffer: Buffer) -> io::Result<()> {
        let (mut places, mut any) = (BTreeSet::new(), false);
        for key in keys {
            match key {
                Key::Route(route) => {
                    any = true;
                    places.insert(u16::from_be_bytes([
                        family_number(route.family),
                        route.destination.prefix,
                    ]));
                }
                Key::Rule(_) => any = true,
                Key::Address { .. } => {}
            }
        }
        if !any {
            self.socket = None;
            return Ok(());
        }
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(buffer)?,
        };
        socket.set_filter(&filter(&places))?;
        self.socket = Some(socket);
        Ok(())
    }

    /// What is gone since the last look.
    pub fn look(&mut self, table: &Table) -> Seen {
        let mut gone = Vec::new();
        let Some(socket) = &mut self.socket else {
            return Seen::Gone { gone, more: false };
        };
        for _ in 0..MOST {
            match socket.receive() {
                Ok(Some(bytes)) => gone.extend(messages(bytes).filter_map(|message| read(&message, table))),
                Ok(None) => return Seen::Gone { gone, more: false },
                Err(_) => return Seen::Lost,
            }
        }
        Seen::Gone { gone, more: true }
    }

    /// To wait for, if there is anything to watch.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(|socket| socket.as_fd())
    }
}

fn open(buffer: Buffer) -> io::Result<NetlinkSocket> {
    const GROUPS: [u32; 4] = [
        libc::RTNLGRP_IPV4_ROUTE,
        libc::RTNLGRP_IPV6_ROUTE,
        libc::RTNLGRP_IPV4_RULE,
        libc::RTNLGRP_IPV6_RULE,
    ];
    let socket = NetlinkSocket::open(netlink::ROUTE, &GROUPS)?;
    let (size, force) = match buffer.size {
        0 => (RECEIVE_BUFFER, true),
        size => (size, buffer.force),
    };
    // Without the right to go beyond the kernel's limit, up to it.
    let _ = socket
        .set_receive_buffer(size, force)
        .or_else(|_| socket.set_receive_buffer(size, false));
    Ok(socket)
}

fn read(message: &super::message::Message<'_>, table: &Table) -> Option<Gone> {
    if message.kind == libc::RTM_DELRULE {
        return Some(Gone {
            key: Key::Rule(Box::new(RuleKey::read(message)?)),
            replaced: false,
            port: message.port,
        });
    }
    let news = routes::read(message, table)?;
    // What is watched has our number; what takes its place may have any.
    (news.replaced || news.protocol == PROTOCOL).then(|| Gone {
        key: Key::Route(Box::new(news.route)),
        replaced: news.replaced,
        port: news.port,
    })
}

/// Lets through what is removed of our protocol, what replaces a route where one of ours can be (`places`:
/// family and prefix length), and rules.
fn filter(places: &BTreeSet<u16>) -> Filter {
    const TYPE: u32 = 4;
    const FLAGS: u32 = 6;
    const FAMILY_AND_PREFIX: u32 = 16;
    const ROUTE_PROTOCOL: u32 = 21;
    // The machine's byte order in the packet, the network's in the program.
    let swapped = |value: u16| u32::from(value.to_be());
    let mut filter = Filter::default();
    let deleted = filter.new_label();
    let added = filter.new_label();
    let accept = filter.new_label();
    filter.load_half(TYPE);
    filter.jump_if_equal(swapped(libc::RTM_DELROUTE), deleted);
    filter.jump_if_equal(swapped(libc::RTM_NEWROUTE), added);
    filter.jump_if_equal(swapped(libc::RTM_DELRULE), accept);
    filter.drop_packet();
    filter.place(deleted);
    filter.load_byte(ROUTE_PROTOCOL);
    filter.jump_if_equal(PROTOCOL.into(), accept);
    filter.drop_packet();
    filter.place(added);
    filter.load_half(FLAGS);
    let replaced = filter.new_label();
    filter.jump_if_set(swapped(libc::NLM_F_REPLACE as u16), replaced);
    filter.drop_packet();
    filter.place(replaced);
    if places.len() <= MOST_PLACES {
        filter.load_half(FAMILY_AND_PREFIX);
        for place in places {
            filter.jump_if_equal((*place).into(), accept);
        }
        filter.drop_packet();
    }
    filter.place(accept);
    filter.accept_packet();
    filter
}

impl super::desired::Desired {
    /// Watched routes and rules that are gone by this news. A configured route that the new one is as good as
    /// is not.
    pub fn gone(&self, news: &Gone) -> Vec<Key> {
        match &news.key {
            Key::Route(found) => self
                .wanted_from(&Key::Route(Box::new(found.lowest())))
                .take_while(|key| matches!(key, Key::Route(route) if route.same_place(found)))
                .filter(|key| matches!(key, Key::Route(route) if is_gone(route, found, news.replaced)))
                .cloned()
                .collect(),
            rule => self
                .wanted_from(rule)
                .take_while(|key| *key == rule)
                .cloned()
                .collect(),
        }
    }
}

fn is_gone(ours: &RouteKey, found: &RouteKey, replaced: bool) -> bool {
    ours.is(found) != replaced
}
