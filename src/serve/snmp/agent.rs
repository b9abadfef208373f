//! What the thread does: it keeps a session with the master agent, for ever, answers, and notifies.

use super::mib::{About, History};
use super::session::{Ended, Session};
use super::tree::Tree;
use super::{Event, Order, Refusal, Settings, mib, trap};
use crate::state::VrrpState;
use crate::state::snapshot::Snapshot;
use crate::wire::agentx::{Binding, Header, Heard, Said, error};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

/// A connection and its handshake take this long at most.
const OPENING: Duration = Duration::from_secs(5);
/// Time before the first attempt after a session, and the longest one.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// A session that lasted so long was a good one.
const LASTED: Duration = Duration::from_millis(500);
/// The master agent is asked whether it is there, and given up when it does not say so until the next time.
const PING: Duration = Duration::from_secs(15);
/// A snapshot answers for this long: a walk is many requests.
const FRESH: Duration = Duration::from_millis(250);
/// A snapshot comes within this; the master agent itself waits a second.
const SNAPSHOT: Duration = Duration::from_millis(700);
/// Notifications that are kept for the next session at most, and how long.
const KEPT: usize = 256;
const KEEP: Duration = Duration::from_secs(60);

const DESCRIPTION: &str = "Keepalived";

pub(super) struct Agent {
    settings: Settings,
    /// Events that did not fit the queue.
    dropped: Arc<AtomicU64>,
    /// Of them, how many have been told.
    dropped_told: u64,
    history: BTreeMap<Arc<str>, History>,
    /// Why an instance would become master now.
    reasons: BTreeMap<Arc<str>, i32>,
    tree: Option<(Instant, Tree)>,
    kept: VecDeque<(Instant, Vec<Binding>)>,
    /// The reason why there is no session has been told.
    told: bool,
}

/// What comes after an order.
enum Next {
    Go,
    Again,
    Stop,
}

impl Agent {
    pub fn new(settings: Settings, dropped: Arc<AtomicU64>) -> Agent {
        Agent {
            settings,
            dropped,
            dropped_told: 0,
            history: BTreeMap::new(),
            reasons: BTreeMap::new(),
            tree: None,
            kept: VecDeque::new(),
            told: false,
        }
    }

    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut pause = Duration::ZERO;
        loop {
            if !self.settings.parts.any() {
                match orders.recv().await {
                    None => return,
                    Some(order) => match self.order(order).await {
                        Next::Stop => return,
                        Next::Go | Next::Again => continue,
                    },
                }
            }
            let settings = self.settings.clone();
            let subtrees = settings.parts.subtrees();
            let wait = pause;
            let opening = async {
                tokio::time::sleep(wait).await;
                let open = Session::open(&settings.socket, DESCRIPTION, &subtrees);
                timeout(OPENING, open).await.unwrap_or(Err(Ended::Silent))
            };
            tokio::pin!(opening);
            let opened = loop {
                tokio::select! {
                    biased;
                    order = orders.recv() => match order {
                        None => return,
                        Some(order) => match self.order(order).await {
                            Next::Stop => return,
                            Next::Again => break None,
                            Next::Go => {}
                        },
                    },
                    opened = &mut opening => break Some(opened),
                }
            };
            let ended = match opened {
                None => {
                    pause = Duration::ZERO;
                    continue;
                }
                Some(Err(ended)) => ended,
                Some(Ok(mut session)) => {
                    info!(target: "vrrp", "AgentX subagent connected to {}", self.settings.socket);
                    self.told = false;
                    let begun = Instant::now();
                    let ended = match self.serve(&mut session, &mut orders).await {
                        Ok(Next::Stop) => return,
                        Ok(_) => continue,
                        Err(ended) => ended,
                    };
                    if begun.elapsed() > LASTED {
                        pause = Duration::ZERO;
                    }
                    ended
                }
            };
            self.complain(&ended);
            pause = (pause * 2).clamp(FIRST_RETRY, LAST_RETRY);
        }
    }

    /// Until the session ends, or another is wanted.
    async fn serve(
        &mut self,
        session: &mut Session,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<Next, Ended> {
        self.tree = None;
        let mut ping = Instant::now() + PING;
        let mut asked = false;
        loop {
            self.send_kept(session).await?;
            tokio::select! {
                biased;
                order = orders.recv() => {
                    let Some(order) = order else {
                        return Ok(Next::Stop);
                    };
                    let stopping = match order {
                        Order::Stop(done) => Some(done),
                        order => match self.order(order).await {
                            Next::Go => None,
                            next => {
                                let _ = session.say(Said::Close).await;
                                return Ok(next);
                            }
                        },
                    };
                    if let Some(done) = stopping {
                        let _ = session.say(Said::Close).await;
                        let _ = done.send(());
                        return Ok(Next::Stop);
                    }
                }
                heard = session.hear() => {
                    let (header, heard) = heard?;
                    (asked, ping) = (false, Instant::now() + PING);
                    self.answer(session, &header, heard).await?;
                }
                () = sleep_until(ping) => {
                    if asked {
                        return Err(Ended::Silent);
                    }
                    session.say(Said::Ping).await?;
                    (asked, ping) = (true, Instant::now() + PING);
                }
            }
        }
    }

    async fn order(&mut self, order: Order) -> Next {
        match order {
            Order::Configure(settings) => {
                let before = (self.settings.parts, self.settings.socket.clone());
                self.settings = *settings;
                self.tree = None;
                let instances = &self.settings.config.instances;
                self.history
                    .retain(|name, _| instances.iter().any(|instance| instance.name == **name));
                if before != (self.settings.parts, self.settings.socket.clone()) {
                    self.told = false;
                    return Next::Again;
                }
            }
            Order::Event(event) => self.event(event).await,
            Order::Stop(done) => {
                let _ = done.send(());
                return Next::Stop;
            }
        }
        Next::Go
    }

    async fn event(&mut self, event: Event) {
        self.tree = None;
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped != self.dropped_told {
            let count = dropped - self.dropped_told;
            warn!(target: "vrrp", "SNMP: {count} events came too fast and are not notified");
            self.dropped_told = dropped;
        }
        let (config, parts) = (self.settings.config.clone(), self.settings.parts);
        match event {
            Event::Instance(name, state) => {
                if parts.vrrp {
                    self.notify(trap::instance(&config, &name, state));
                }
                if state == VrrpState::Master && config.globals.enable_traps && (parts.v2 || parts.v3) {
                    self.new_master(&name).await;
                }
            }
            Event::Group(name, state) if parts.vrrp => self.notify(trap::group(&config, &name, state)),
            Event::Group(..) => {}
            Event::Lvs(told) if parts.checker && config.globals.enable_traps => {
                let snapshot = self.snapshot().await;
                let lvs = snapshot.as_ref().and_then(|snapshot| snapshot.lvs.as_ref());
                if let Some(bindings) = lvs.and_then(|lvs| trap::lvs(&config, &told, lvs)) {
                    self.notify(bindings);
                }
            }
            Event::Lvs(_) => {}
            Event::Reason(name, reason) => drop(self.reasons.insert(name, reason)),
            Event::Entering(name, state) => {
                let reason = self.reasons.remove(&name);
                if state == VrrpState::Master {
                    // Nobody was heard: masterNoResponse.
                    self.history.entry(name).or_default().reason = reason.unwrap_or(3);
                }
            }
            Event::Refused(name, refusal, peer) => self.refused(name, refusal, peer).await,
        }
    }

    async fn new_master(&mut self, name: &str) {
        let Some(snapshot) = self.snapshot().await else {
            return;
        };
        let found = snapshot.instances.iter().find(|i| i.config.name == name);
        let Some(instance) = found else {
            return;
        };
        let parts = self.settings.parts;
        if parts.v2 && mib::is_shown2(instance) {
            self.notify(trap::new_master2(instance));
        }
        if parts.v3 {
            let history = self.history.get(name).copied().unwrap_or_default();
            self.notify(trap::new_master3(instance, history));
        }
    }

    async fn refused(&mut self, name: Arc<str>, refusal: Refusal, peer: Option<IpAddr>) {
        let parts = self.settings.parts;
        if let Refusal::Protocol(reason) = refusal {
            self.history.entry(name.clone()).or_default().error = reason;
        }
        let wanted = match refusal {
            Refusal::Protocol(_) => parts.v3,
            Refusal::Authentication(_) => parts.v2,
        };
        if !wanted || !self.settings.config.globals.enable_traps {
            return;
        }
        let snapshot = self.snapshot().await;
        let instances = snapshot.iter().flat_map(|snapshot| &snapshot.instances);
        if let Some(instance) = { instances }.find(|i| *i.config.name == *name) {
            let bindings = trap::refused(instance, refusal, peer);
            self.notify(bindings);
        }
    }

    /// To be sent, now or in the next session.
    fn notify(&mut self, bindings: Vec<Binding>) {
        if !self.settings.config.globals.enable_traps {
            return;
        }
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((Instant::now(), bindings));
    }

    async fn send_kept(&mut self, session: &mut Session) -> Result<(), Ended> {
        while let Some((when, bindings)) = self.kept.front() {
            if when.elapsed() < KEEP {
                session.say(Said::Notify(bindings)).await?;
            }
            self.kept.pop_front();
        }
        Ok(())
    }

    async fn answer(&mut self, session: &mut Session, header: &Header, heard: Heard) -> Result<(), Ended> {
        let refuse = |error, index| Said::Response {
            error,
            index,
            bindings: &[],
        };
        let question = match heard {
            Heard::Close => return Err(Ended::Closed),
            Heard::Response { .. } | Heard::CleanupSet | Heard::Other => return Ok(()),
            Heard::TestSet => return session.answer(header, refuse(error::NOT_WRITABLE, 1)).await,
            Heard::CommitSet | Heard::UndoSet => {
                return session.answer(header, refuse(error::GENERAL, 1)).await;
            }
            Heard::OtherContext => {
                return session
                    .answer(header, refuse(error::UNSUPPORTED_CONTEXT, 0))
                    .await;
            }
            question => question,
        };
        let Some(tree) = self.fresh_tree(session.started).await else {
            return session.answer(header, refuse(error::GENERAL, 1)).await;
        };
        let bindings: Vec<Binding> = match question {
            Heard::Get(ranges) => {
                let get = |name: Vec<u32>| (name.clone(), tree.get(&name));
                ranges.into_iter().map(|range| get(range.start)).collect()
            }
            Heard::GetNext(ranges) => ranges.iter().map(|range| tree.next(range)).collect(),
            Heard::GetBulk {
                non_repeaters,
                repetitions,
                ranges,
            } => tree.bulk(non_repeaters, repetitions, &ranges),
            _ => Vec::new(),
        };
        let said = Said::Response {
            error: error::NONE,
            index: 0,
            bindings: &bindings,
        };
        session.answer(header, said).await
    }

    /// The objects, not older than [`FRESH`]; older ones rather than none.
    async fn fresh_tree(&mut self, started: SystemTime) -> Option<&Tree> {
        let globals = &self.settings.config.globals;
        let mut age = FRESH;
        if self.settings.parts.checker {
            age = age.min(globals.snmp_vs_stats_interval);
            age = age.min(globals.snmp_rs_stats_interval.unwrap_or(age));
        }
        let stale = self.tree.as_ref().is_none_or(|(when, _)| when.elapsed() > age);
        if stale && let Some(snapshot) = self.snapshot().await {
            let about = About {
                version: self.settings.version,
                started,
                history: self.history.clone(),
            };
            let tree = mib::tree(&snapshot, self.settings.parts, &about);
            self.tree = Some((Instant::now(), tree));
        }
        self.tree.as_ref().map(|(_, tree)| tree)
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        let (reply, answer) = oneshot::channel();
        (self.settings.ask)(reply);
        timeout(SNAPSHOT, answer).await.ok()?.ok()
    }

    /// Once, until there has been a session.
    fn complain(&mut self, ended: &Ended) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let socket = &self.settings.socket;
        match ended {
            Ended::Connect(error) => warn!(
                target: "vrrp",
                "SNMP: no AgentX master agent at {socket}: {error}. It is tried for ever; snmpd needs `master agentx` \
                 in its snmpd.conf"
            ),
            ended => {
                warn!(target: "vrrp", "SNMP: the AgentX master agent at {socket}: {ended}. It is tried for ever")
            }
        }
    }
}
