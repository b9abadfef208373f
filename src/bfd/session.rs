//! One session (RFC 5880 6.2, 6.8).
//!
//! ```text
//!                 heard Down               heard Init, Up
//!        +------------------------> Init -----------------+
//!        |                           |                    |
//!        |        silence, AdminDown |                    v
//!  +--> Down <-----------------------+                    Up
//!  |     | ^                                              | |
//!  |     | |  silence, heard Down or AdminDown            | |
//!  |     | +----------------------------------------------+ |
//!  |     |            heard Init                            |
//!  |     +--------------------------------------------------> Up
//!  |
//!  |  enabled                                    disabled
//!  +----------- AdminDown <----------------------------------- any
//! ```
//!
//! Not up, it sends in the interval `idle_tx`. Up, it would like to send in the interval `min_tx`, and asks the
//! neighbour to confirm every change of an interval (poll, final). A new state, and the answer to a poll, go out at
//! once, but never more often than once a millisecond: a neighbour cannot make it send a flood.

use super::random::{LATITUDE, Random};
use super::timers::{Timer, Timers};
use crate::model::bfd::BfdInstance;
use crate::state::Now;
use crate::state::bfd::{BfdNotice, Parameters, SessionSnapshot, Side};
use crate::wire::bfd::{Diagnostic, Repr, State};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Least time between two packets, nanoseconds.
const LEAST_GAP: u64 = 1_000_000;
const MICROSECOND: u64 = 1_000;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A packet of this session: from its neighbour, with a hop limit that it accepts, and with its
    /// discriminator or none.
    Packet {
        /// Packet.
        packet: Repr,
        /// When it arrived, CLOCK_MONOTONIC in nanoseconds.
        arrival: u64,
    },
    /// A deadline is reached.
    Tick,
    /// Nothing is due, but we are awake: see [`Session::may_send`].
    Awake,
    /// New configuration of the same session, from a reload.
    Reconfigure(Arc<BfdInstance>),
    /// It can send.
    Enable,
    /// It cannot send.
    Disable,
}

/// What the session wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this packet now.
    Send(Repr),
    /// The session came up, or went down: for those who watch it.
    Verdict {
        /// Up.
        up: bool,
    },
    /// For the log.
    Report(BfdNotice),
}

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    config: Arc<BfdInstance>,
    state: State,
    diagnostic: Diagnostic,
    discriminator: u32,
    polling: bool,
    owes_final: bool,
    /// Desired min TX interval and required min RX interval that are in force, microseconds: what is told to the
    /// neighbour may only come into force when it has confirmed it (RFC 5880 6.8.3).
    min_tx: u64,
    min_rx: u64,
    remote: Remote,
    /// Microseconds; 0 before anything was heard.
    detection: u64,
    remote_detection: u64,
    last_sent: Option<u64>,
    jitter: u64,
    /// From when on the next periodic packet may go out.
    may_send: Option<u64>,
    timers: Timers,
    random: Random,
}

/// What is known of the neighbour.
#[derive(Debug, Clone, Default)]
struct Remote {
    state: State,
    discriminator: u32,
    diagnostic: Diagnostic,
    demand: bool,
    multiplier: u8,
    /// Microseconds.
    min_tx: u64,
    /// Microseconds; `None` before anything was heard.
    min_rx: Option<u64>,
    heard: Option<SystemTime>,
}

impl Session {
    /// A new session. It is down and sends its first packet at once, unless it is passive; where it `can_send`
    /// nothing, it waits for [`Event::Enable`].
    pub fn start(
        config: Arc<BfdInstance>,
        now: Now,
        seed: u64,
        can_send: bool,
        out: &mut Vec<Effect>,
    ) -> Session {
        let mut random = Random::new(seed);
        let mut session = Session {
            state: if can_send { State::Down } else { State::AdminDown },
            diagnostic: Diagnostic::None,
            discriminator: random.discriminator(),
            polling: false,
            owes_final: false,
            min_tx: micros(config.idle_tx),
            min_rx: micros(config.min_rx),
            remote: Remote::default(),
            detection: 0,
            remote_detection: 0,
            last_sent: None,
            jitter: random.jitter(),
            may_send: None,
            timers: Timers::default(),
            random,
            config,
        };
        out.push(Effect::Verdict { up: false });
        session.hurry(now);
        session.tick(now, out);
        session
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Packet { packet, arrival } => self.packet(now, packet, arrival, out),
            Event::Tick => {}
            Event::Awake => {
                if self.may_send.is_some_and(|at| at <= now.mono) {
                    self.send(now, out);
                }
            }
            Event::Reconfigure(config) => self.reconfigure(now, config, out),
            Event::Enable => {
                if self.state == State::AdminDown {
                    self.enter(now, State::Down, Diagnostic::None, true, out);
                }
            }
            Event::Disable => {
                if self.state != State::AdminDown {
                    self.enter(now, State::AdminDown, Diagnostic::AdministrativelyDown, true, out);
                }
            }
        }
        self.tick(now, out);
    }

    /// When it must be called again, CLOCK_MONOTONIC in nanoseconds, and why.
    pub fn deadline(&self) -> Option<(u64, Timer)> {
        self.timers.next()
    }

    /// When the session falls unless a packet arrives before.
    pub fn falls(&self) -> Option<u64> {
        self.timers.get(Timer::Detect)
    }

    /// From when on a periodic packet may go out if we are awake for something else: several sessions that are
    /// served together cost one awakening. At the deadline it goes out in any case.
    pub fn may_send(&self) -> Option<u64> {
        self.may_send
    }

    /// Our discriminator: packets of the neighbour carry it. Another one after each fall.
    pub fn discriminator(&self) -> u32 {
        self.discriminator
    }

    /// Gives it another discriminator: this one is another session's already.
    pub fn choose_discriminator(&mut self) {
        self.discriminator = self.random.discriminator();
    }

    /// Up.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// State.
    pub fn state(&self) -> State {
        self.state
    }

    /// Configuration.
    pub fn config(&self) -> &Arc<BfdInstance> {
        &self.config
    }

    fn packet(&mut self, now: Now, packet: Repr, arrival: u64, out: &mut Vec<Effect>) {
        // RFC 5880 6.8.6. What needs no session has been looked at by the reader.
        if self.state == State::AdminDown || (packet.yours != 0 && packet.yours != self.discriminator) {
            return;
        }
        let arrival = arrival.min(now.mono);
        self.remote = Remote {
            state: packet.state,
            discriminator: packet.mine,
            diagnostic: packet.diagnostic,
            demand: packet.demand,
            multiplier: packet.multiplier,
            min_tx: u64::from(packet.min_tx),
            min_rx: Some(u64::from(packet.min_rx)),
            heard: Some(now.wall),
        };
        if self.polling && packet.final_ {
            self.polling = false;
            (self.min_tx, self.min_rx) = (self.told_min_tx(), self.told_min_rx());
        }
        self.measure(out);
        self.owes_final |= packet.poll;
        match (packet.state, self.state) {
            (State::AdminDown, State::Init | State::Up) => {
                // Somebody's intention is no failure of the path (RFC 5882 3.2): watchers are not told.
                self.enter(now, State::Down, Diagnostic::NeighborDown, false, out);
            }
            (State::Down, State::Down) => self.enter(now, State::Init, Diagnostic::None, true, out),
            (State::Init, State::Down) | (State::Init | State::Up, State::Init) => {
                self.enter(now, State::Up, Diagnostic::None, true, out);
            }
            (State::Down, State::Up) => self.enter(now, State::Down, Diagnostic::NeighborDown, true, out),
            _ => {}
        }
        let silence = arrival.saturating_add(self.detection * MICROSECOND);
        let watched = matches!(self.state, State::Init | State::Up);
        self.timers.set(Timer::Detect, watched.then_some(silence));
        self.timers.set(Timer::Forget, (!watched).then_some(silence));
        if packet.poll {
            self.hurry(now);
        }
        self.schedule(now);
    }

    /// The detection time that follows from what was heard.
    fn measure(&mut self, out: &mut Vec<Effect>) {
        let multiplier = u64::from(self.remote.multiplier);
        let interval = self.remote.min_tx.max(self.min_rx);
        let before = std::mem::replace(&mut self.detection, multiplier * interval);
        // When the neighbour is up, so are we, at the latest after this packet.
        let own = if self.remote.state == State::Up {
            micros(self.config.min_tx).max(self.remote.min_rx.unwrap_or(0))
        } else {
            self.interval()
        };
        self.remote_detection = u64::from(self.config.multiplier) * own;
        if before != self.detection {
            let mut local = self.local();
            local.interval = own;
            out.push(Effect::Report(BfdNotice::Parameters(Parameters {
                local,
                remote: self.remote_side(),
                before,
            })));
        }
    }

    fn reconfigure(&mut self, now: Now, config: Arc<BfdInstance>, out: &mut Vec<Effect>) {
        let told = |s: &Session| (s.told_min_tx(), s.told_min_rx(), s.config.multiplier);
        let before = told(self);
        let same = *self.config == *config;
        self.config = config;
        if same {
            return;
        }
        let after = told(self);
        if before != after {
            if self.state == State::Up {
                // A longer interval, and a shorter wait, only when the neighbour knows (RFC 5880 6.8.3).
                self.min_tx = self.min_tx.min(after.0);
                self.min_rx = self.min_rx.max(after.1);
                if (before.0, before.1) != (after.0, after.1) {
                    self.poll(out);
                }
            } else {
                (self.min_tx, self.min_rx) = (after.0, after.1);
            }
            if !self.waits() {
                self.hurry(now);
            }
        }
        self.schedule(now);
    }

    fn poll(&mut self, out: &mut Vec<Effect>) {
        self.polling = true;
        out.push(Effect::Report(BfdNotice::PollStarted));
    }

    /// A new state. `tell`: whether those who watch hear of it.
    fn enter(&mut self, now: Now, state: State, diagnostic: Diagnostic, tell: bool, out: &mut Vec<Effect>) {
        let from = std::mem::replace(&mut self.state, state);
        self.diagnostic = diagnostic;
        out.push(Effect::Report(BfdNotice::Entering {
            state,
            from,
            local: diagnostic,
            remote: self.remote.diagnostic,
        }));
        self.polling = false;
        (self.min_tx, self.min_rx) = (self.told_min_tx(), self.told_min_rx());
        match (from, state) {
            (_, State::Up) => {
                if self.config.idle_tx != self.config.min_tx {
                    self.poll(out);
                }
                out.push(Effect::Verdict { up: true });
            }
            (State::Up, _) => {
                // What is still under way from before must not count.
                self.choose_discriminator();
                if tell {
                    out.push(Effect::Verdict { up: false });
                }
            }
            _ => {}
        }
        if matches!(state, State::Down | State::AdminDown) {
            self.timers.set(Timer::Detect, None);
        }
        if state == State::AdminDown {
            self.forget();
        }
        self.hurry(now);
        self.schedule(now);
    }

    /// The next packet goes out now, or as soon as it may.
    fn hurry(&mut self, now: Now) {
        let at = self
            .last_sent
            .map_or(now.mono, |last| now.mono.max(last + LEAST_GAP));
        if self.state != State::AdminDown && (self.owes_final || !self.is_silent()) {
            self.timers.set(Timer::Urgent, Some(at));
        }
    }

    /// Sets the time of the next periodic packet.
    fn schedule(&mut self, now: Now) {
        let after = |part: u64| {
            let interval = self.interval() * MICROSECOND * part / 1024;
            self.last_sent
                .map_or(now.mono, |last| last.saturating_add(interval))
        };
        let times = (!self.waits()).then(|| (after(self.jitter), after(self.jitter + LATITUDE)));
        self.may_send = times.map(|(first, _)| first);
        self.timers.set(Timer::Transmit, times.map(|(_, last)| last));
    }

    /// It does not send periodically now.
    fn waits(&self) -> bool {
        let demanded = self.remote.demand && self.is_up() && self.remote.state == State::Up && !self.polling;
        self.is_silent() || demanded
    }

    /// It may not send on its own.
    fn is_silent(&self) -> bool {
        self.state == State::AdminDown
            || (self.config.passive && self.remote.discriminator == 0)
            || self.remote.min_rx == Some(0)
    }

    fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some((at, timer)) = self.timers.next().filter(|(at, _)| *at <= now.mono) {
            self.timers.set(timer, None);
            match timer {
                Timer::Urgent | Timer::Transmit => self.send(now, out),
                Timer::Forget => self.forget(),
                Timer::Detect => {
                    let overdue = Duration::from_nanos(now.mono - at);
                    out.push(Effect::Report(BfdNotice::Expired {
                        after: Duration::from_micros(self.detection) + overdue,
                        overdue,
                    }));
                    self.forget();
                    self.enter(now, State::Down, Diagnostic::Expired, true, out);
                }
            }
        }
    }

    /// The neighbour has been silent for the detection time (RFC 5880 6.8.1, bfd.RemoteDiscr).
    fn forget(&mut self) {
        let remote = &mut self.remote;
        (remote.state, remote.discriminator, remote.demand) = (State::Down, 0, false);
        if remote.min_rx == Some(0) {
            remote.min_rx = None;
        }
        self.owes_final = false;
        self.timers.set(Timer::Forget, None);
        if self.is_silent() {
            self.may_send = None;
            self.timers.set(Timer::Transmit, None);
            self.timers.set(Timer::Urgent, None);
        }
    }

    fn send(&mut self, now: Now, out: &mut Vec<Effect>) {
        let answer = std::mem::take(&mut self.owes_final);
        out.push(Effect::Send(Repr {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polling && !answer,
            final_: answer,
            demand: false,
            multiplier: self.config.multiplier,
            mine: self.discriminator,
            yours: self.remote.discriminator,
            min_tx: wire(self.told_min_tx()),
            min_rx: wire(self.told_min_rx()),
        }));
        self.last_sent = Some(now.mono);
        self.jitter = self.random.jitter();
        self.timers.set(Timer::Urgent, None);
        self.schedule(now);
    }

    /// Desired min TX interval that the neighbour is told, microseconds.
    fn told_min_tx(&self) -> u64 {
        if self.state == State::Up {
            micros(self.config.min_tx)
        } else {
            micros(self.config.idle_tx)
        }
    }

    fn told_min_rx(&self) -> u64 {
        micros(self.config.min_rx)
    }

    /// The interval in which it sends, before jitter, microseconds.
    fn interval(&self) -> u64 {
        self.min_tx.max(self.remote.min_rx.unwrap_or(0))
    }

    fn local(&self) -> Side {
        Side {
            min_tx: self.told_min_tx(),
            min_rx: self.told_min_rx(),
            interval: self.interval(),
            multiplier: self.config.multiplier,
            detection: self.detection,
        }
    }

    fn remote_side(&self) -> Side {
        let remote = &self.remote;
        Side {
            min_tx: remote.min_tx,
            min_rx: remote.min_rx.unwrap_or(0),
            interval: match remote.heard {
                Some(_) => remote.min_tx.max(self.min_rx),
                None => 0,
            },
            multiplier: remote.multiplier,
            detection: self.remote_detection,
        }
    }

    /// The session as it is. What belongs to its sockets is for the caller to fill in.
    pub fn snapshot(&self, now: Now) -> SessionSnapshot {
        let at = |timer| {
            let at: u64 = self.timers.get(timer)?;
            now.wall
                .checked_add(Duration::from_nanos(at.saturating_sub(now.mono)))
        };
        SessionSnapshot {
            config: self.config.clone(),
            state: self.state,
            remote_state: self.remote.state,
            discriminator: self.discriminator,
            remote_discriminator: self.remote.discriminator,
            diagnostic: self.diagnostic,
            remote_diagnostic: self.remote.diagnostic,
            remote_demand: self.remote.demand,
            polling: self.polling,
            local: self.local(),
            remote: self.remote_side(),
            last_seen: self.remote.heard,
            next_transmit: at(Timer::Transmit),
            expires: at(Timer::Detect),
            forgets: at(Timer::Forget),
            listening: None,
            socket: None,
            send_error: false,
            received: 0,
            refused: 0,
            sent: 0,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// An interval as it is written into packets; configured ones fit.
fn wire(micros: u64) -> u32 {
    u32::try_from(micros).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
