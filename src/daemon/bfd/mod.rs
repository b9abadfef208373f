//! BFD on the VRRP thread: sessions, their sockets, and who is told of them.
//!
//! It has the thread's own rules: nothing here waits, and each turn takes a bounded number of datagrams, so that a
//! flood disturbs neither the adverts nor the sessions.

use super::dumps::unguessable;
use crate::bfd::{Effect, Event, Session, Timer};
use crate::model::bfd::BfdInstance;
use crate::net::bfd::{ListenSpec, Listener, Sender};
use crate::report::bfd as lines;
use crate::state::bfd::{BfdNotice, BfdVerdict, SessionSnapshot};
use crate::state::{Interface, Now};
use crate::sys::clock;
use crate::sys::datagram::ReceiveRing;
use crate::wire::bfd::Repr;
use nix::sys::epoll::Epoll;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

mod sockets;

use sockets::{least_hops, listen_spec, number, ttl};

/// Datagrams taken from one socket before the adverts and the timer have their turn.
const AT_ONCE: usize = 64;
/// Most datagrams read from one socket before it is believed that a neighbour is silent.
const MOST_WHEN_DUE: usize = 4096;
/// Sockets that could not be opened are tried again after this time, nanoseconds.
const RETRY: u64 = 1_000_000_000;
/// Longest packet that is looked at. What is behind the first 24 bytes does not count.
const LONGEST: usize = 64;

/// What BFD is told.
pub enum Order {
    /// The sessions that there are from now on, at start or from a reload. Those that there were go on.
    Configure(Vec<Arc<BfdInstance>>),
    /// From now on what sessions with `checker` do goes there too, and first how each of them is.
    Watch(UnboundedSender<BfdVerdict>),
    /// How the sessions are.
    Snapshot(mpsc::Sender<Vec<SessionSnapshot>>),
}

/// What BFD needs of the thread that it runs on.
pub struct World<'a> {
    /// What the thread waits with.
    pub epoll: &'a Epoll,
    /// Listening sockets are known there by numbers from this one on.
    pub key: u64,
    /// Interfaces by name.
    pub interfaces: &'a BTreeMap<String, Arc<Interface>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SessionId(u32);

struct Entry {
    session: Session,
    name: Arc<str>,
    listen: ListenSpec,
    sender: Option<Sender>,
    deadline: Option<u64>,
    may_send: Option<u64>,
    falls: Option<u64>,
    /// Said already, so that it is not said again.
    said: Said,
    received: u64,
    refused: u64,
    sent: u64,
}

#[derive(Default)]
struct Said {
    no_socket: bool,
    send_error: bool,
    refusal: bool,
}

#[derive(Default)]
struct Listening {
    /// `None`: it could not be opened.
    listener: Option<Listener>,
}

/// All sessions.
#[derive(Default)]
pub struct Bfd {
    sessions: BTreeMap<SessionId, Entry>,
    next: u32,
    deadlines: BTreeSet<(u64, SessionId)>,
    /// From when on which session may send.
    may_send: BTreeSet<(u64, SessionId)>,
    /// Which session falls when, if nothing arrives.
    falls: BTreeSet<(u64, SessionId)>,
    discriminators: BTreeMap<u32, SessionId>,
    listening: BTreeMap<ListenSpec, Listening>,
    ring: Option<ReceiveRing>,
    retry: Option<u64>,
    /// From whom packets are taken has changed.
    readmit: bool,
    verdicts: Vec<BfdVerdict>,
    removed: Vec<Arc<str>>,
    /// There have been sessions before: what comes now is a reload.
    configured: bool,
    watchers: Vec<UnboundedSender<BfdVerdict>>,
    effects: Vec<Effect>,
    notices: Vec<(Arc<str>, BfdNotice)>,
}

impl Bfd {
    /// When it must be called again, CLOCK_MONOTONIC in nanoseconds.
    pub fn deadline(&self) -> Option<u64> {
        let first = self.deadlines.first().map(|d| d.0);
        first.into_iter().chain(self.retry).min()
    }

    /// When a session falls if nothing arrives before: the earliest.
    pub fn next_fall(&self) -> Option<u64> {
        self.falls.first().map(|(at, _)| *at)
    }

    /// What has happened since it was last asked, for VRRP.
    pub fn take_verdicts(&mut self) -> Vec<BfdVerdict> {
        std::mem::take(&mut self.verdicts)
    }

    /// The groups have been told of this.
    pub fn delivered(&mut self, verdict: &BfdVerdict, within: Duration) {
        let up = verdict.up;
        self.notices
            .push((verdict.name.clone(), BfdNotice::Delivered { up, within }));
    }

    /// Logs what has happened. To be called when what follows from it has been sent.
    pub fn say(&mut self) {
        for (name, notice) in self.notices.drain(..) {
            lines::log(&name, &notice);
        }
    }

    /// Names of sessions that are gone since it was last asked.
    pub fn take_removed(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.removed)
    }

    /// Does what it is told.
    pub fn obey(&mut self, order: Order, now: Now, world: &World<'_>) {
        match order {
            Order::Configure(configs) => self.configure(configs, now, world),
            Order::Watch(watcher) => {
                for entry in self.sessions.values().filter(|e| e.session.config().checker) {
                    let _ = watcher.send(BfdVerdict {
                        name: entry.name.clone(),
                        up: entry.session.is_up(),
                    });
                }
                self.watchers.push(watcher);
            }
            Order::Snapshot(reply) => {
                let _ = reply.send(
                    self.sessions
                        .values()
                        .map(|entry| self.snapshot(entry, now))
                        .collect(),
                );
            }
        }
    }

    /// A listening socket is readable.
    pub fn receive(&mut self, number: u64, now: Now) {
        let found = self.listening.keys().find(|spec| self::number(**spec) == number);
        if let Some(&spec) = found {
            self.drain(spec, AT_ONCE, now);
        }
    }

    /// Does what is due. Before it believes that a neighbour is silent it reads what has arrived.
    pub fn work(&mut self, now: Now, world: &World<'_>) {
        if self.retry.is_some_and(|at| at <= now.mono) {
            self.open(now, world);
        }
        let due = |(at, id): &(u64, SessionId)| (*at <= now.mono).then_some(*id);
        let silent = |id: SessionId| {
            let deadline = self.sessions.get(&id).and_then(|e| e.session.deadline());
            deadline.is_some_and(|(_, timer)| timer == Timer::Detect)
        };
        if self.deadlines.iter().map_while(due).any(silent) {
            let specs: Vec<ListenSpec> = self.listening.keys().copied().collect();
            for spec in specs {
                self.drain(spec, MOST_WHEN_DUE, now);
            }
        }
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.handle(id, now, Event::Tick);
        }
        while let Some((_, id)) = self.may_send.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.handle(id, now, Event::Awake);
        }
        if std::mem::take(&mut self.readmit) {
            self.admit();
        }
    }

    fn configure(&mut self, configs: Vec<Arc<BfdInstance>>, now: Now, world: &World<'_>) {
        if configs.is_empty() && self.sessions.is_empty() {
            return;
        }
        if self.configured {
            tracing::info!(target: "bfd", "Reloading");
        }
        let mut present = std::mem::take(&mut self.sessions);
        self.deadlines.clear();
        self.may_send.clear();
        self.falls.clear();
        self.discriminators.clear();
        let mut fresh = Vec::new();
        for config in configs {
            let kept = present
                .iter()
                .find(|(_, entry)| continues(entry.session.config(), &config));
            self.next += 1;
            // In the order of the file, kept or not.
            let id = SessionId(self.next);
            match kept.map(|(id, _)| *id).and_then(|before| present.remove(&before)) {
                Some(mut entry) => {
                    if let Some(sender) = &entry.sender
                        && let Err(error) = sender.set_ttl(ttl(&config))
                    {
                        tracing::warn!(target: "bfd", "({}) cannot set the TTL: {error}", entry.name);
                    }
                    (entry.deadline, entry.may_send, entry.falls) = (None, None, None);
                    self.discriminators.insert(entry.session.discriminator(), id);
                    self.tell_new_watchers(&entry, &config);
                    let before = self.sessions.insert(id, entry);
                    debug_assert!(before.is_none(), "ids are used once");
                    self.handle(id, now, Event::Reconfigure(config));
                }
                None => fresh.push((id, config)),
            }
        }
        for entry in present.into_values() {
            self.removed.push(entry.name);
        }
        let wanted: BTreeSet<ListenSpec> = fresh
            .iter()
            .map(|(_, config)| listen_spec(config))
            .chain(self.sessions.values().map(|e| e.listen))
            .collect();
        self.listening.retain(|spec, _| wanted.contains(spec));
        for spec in wanted {
            self.listening.entry(spec).or_default();
        }
        for (id, config) in fresh {
            self.begin(id, config, now);
        }
        self.readmit = true;
        self.open(now, world);
        if std::mem::replace(&mut self.configured, true) {
            let took = clock::monotonic().saturating_sub(now.mono) / 1000;
            tracing::info!(target: "bfd", "Reload finished in {took} usec");
        }
    }

    /// Who watches it only now has not heard yet how it is.
    fn tell_new_watchers(&mut self, entry: &Entry, config: &BfdInstance) {
        let verdict = BfdVerdict {
            name: entry.name.clone(),
            up: entry.session.is_up(),
        };
        let old = entry.session.config();
        if config.checker && !old.checker {
            self.watchers
                .retain(|watcher| watcher.send(verdict.clone()).is_ok());
        }
        if config.vrrp && !old.vrrp {
            self.verdicts.push(verdict);
        }
    }

    /// It begins without a socket, and sends when it is given one.
    fn begin(&mut self, id: SessionId, config: Arc<BfdInstance>, now: Now) {
        let mut effects = Vec::new();
        let mut session = Session::start(config.clone(), now, unguessable(), false, &mut effects);
        while self.discriminators.contains_key(&session.discriminator()) {
            session.choose_discriminator();
        }
        self.discriminators.insert(session.discriminator(), id);
        let entry = Entry {
            session,
            name: config.name.as_str().into(),
            listen: listen_spec(&config),
            sender: None,
            deadline: None,
            may_send: None,
            falls: None,
            said: Said::default(),
            received: 0,
            refused: 0,
            sent: 0,
        };
        self.sessions.insert(id, entry);
        self.effects = self.carry_out(id, effects);
    }

    fn packet(
        &mut self,
        spec: ListenSpec,
        packet: &crate::net::bfd::Packet<'_>,
        message: Result<Repr, crate::wire::Error>,
        now: Now,
    ) {
        let concerns = |entry: &Entry| {
            let config = entry.session.config();
            let here = config
                .source
                .is_none_or(|own| packet.destination.is_none_or(|to| to == own));
            entry.listen == spec && config.neighbor == packet.source && here
        };
        let yours = message.as_ref().map_or(0, |m| m.yours);
        let known = self.discriminators.get(&yours).copied();
        let known = known.filter(|id| self.sessions.get(id).is_some_and(concerns));
        let by_address = || {
            self.sessions
                .iter()
                .find(|(_, entry)| concerns(entry))
                .map(|(id, _)| *id)
        };
        let Some(id) = known.or_else(by_address) else {
            return;
        };
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        let least = least_hops(entry.session.config());
        let refusal = match (&message, packet.ttl) {
            (_, Some(ttl)) if ttl < least => Some(format!("TTL or hop limit {ttl} is below {least}")),
            (Err(error), _) => Some(error.to_string()),
            (Ok(message), _) if yours != 0 && known.is_none() => {
                // A packet from before our last fall, or of a neighbour that takes us for what we were.
                Some(format!("discriminator {:#x} is not ours", message.yours))
            }
            _ => None,
        };
        match (message, refusal) {
            (Ok(message), None) => {
                entry.received += 1;
                entry.said.refusal = false;
                let arrival = packet.arrival;
                self.handle(
                    id,
                    now,
                    Event::Packet {
                        packet: message,
                        arrival,
                    },
                );
            }
            (_, reason) => {
                entry.refused += 1;
                if !std::mem::replace(&mut entry.said.refusal, true) {
                    let reason = reason.unwrap_or_default();
                    tracing::debug!(target: "bfd", "({}) packet of {} refused: {reason}", entry.name, packet.source);
                }
            }
        }
    }

    fn handle(&mut self, id: SessionId, now: Now, event: Event) {
        let mut effects = std::mem::take(&mut self.effects);
        let Some(entry) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = (entry.session.discriminator(), entry.session.is_up());
        let work = AssertUnwindSafe(|| entry.session.handle(now, event, &mut effects));
        if let Err(cause) = catch_unwind(work) {
            let cause = super::group_task::describe(cause.as_ref());
            tracing::error!(target: "bfd", "({}) internal error, it starts anew: {cause}", entry.name);
            effects.clear();
            entry.session = Session::start(
                entry.session.config().clone(),
                now,
                unguessable(),
                entry.sender.is_some(),
                &mut effects,
            );
        }
        self.readmit |= before.1 != entry.session.is_up();
        if before.0 != entry.session.discriminator() {
            self.discriminators.remove(&before.0);
            while self.discriminators.contains_key(&entry.session.discriminator()) {
                entry.session.choose_discriminator();
            }
            self.discriminators.insert(entry.session.discriminator(), id);
        }
        self.effects = self.carry_out(id, effects);
    }

    fn snapshot(&self, entry: &Entry, now: Now) -> SessionSnapshot {
        let listening = self
            .listening
            .get(&entry.listen)
            .and_then(|l| l.listener.as_ref());
        SessionSnapshot {
            listening: listening.map(AsRawFd::as_raw_fd),
            socket: entry.sender.as_ref().map(AsRawFd::as_raw_fd),
            send_error: entry.said.send_error,
            received: entry.received,
            refused: entry.refused,
            sent: entry.sent,
            ..entry.session.snapshot(now)
        }
    }

    /// Does what a session wants done, and returns the emptied list.
    fn carry_out(&mut self, id: SessionId, mut effects: Vec<Effect>) -> Vec<Effect> {
        let Some(entry) = self.sessions.get_mut(&id) else {
            return effects;
        };
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(packet) => send(entry, &packet),
                Effect::Report(notice) => self.notices.push((entry.name.clone(), notice)),
                Effect::Verdict { up } => {
                    let verdict = BfdVerdict {
                        name: entry.name.clone(),
                        up,
                    };
                    let config = entry.session.config();
                    if config.checker {
                        self.watchers
                            .retain(|watcher| watcher.send(verdict.clone()).is_ok());
                    }
                    if config.vrrp {
                        self.verdicts.push(verdict);
                    }
                }
            }
        }
        let deadline = entry.session.deadline().map(|d| d.0);
        reorder(&mut self.deadlines, id, &mut entry.deadline, deadline);
        reorder(
            &mut self.may_send,
            id,
            &mut entry.may_send,
            entry.session.may_send(),
        );
        reorder(&mut self.falls, id, &mut entry.falls, entry.session.falls());
        effects
    }
}

fn reorder(times: &mut BTreeSet<(u64, SessionId)>, id: SessionId, known: &mut Option<u64>, at: Option<u64>) {
    if *known == at {
        return;
    }
    if let Some(before) = std::mem::replace(known, at) {
        times.remove(&(before, id));
    }
    if let Some(at) = at {
        times.insert((at, id));
    }
}

fn send(entry: &mut Entry, packet: &Repr) {
    let Some(sender) = &entry.sender else {
        return;
    };
    match sender.send(&packet.emit()) {
        Ok(()) => {
            entry.sent += 1;
            entry.said.send_error = false;
        }
        Err(error) => {
            // The next packet follows soon; if none gets through, the session says so itself.
            if !std::mem::replace(&mut entry.said.send_error, true) {
                tracing::error!(target: "bfd", "({}) Error sending packet - {error}", entry.name);
            }
        }
    }
}

/// Whether a session of the old configuration goes on as one of the new.
fn continues(old: &BfdInstance, new: &BfdInstance) -> bool {
    old.name == new.name
        && old.neighbor == new.neighbor
        && old.source == new.source
        && old.multihop == new.multihop
}

#[cfg(test)]
mod tests;
