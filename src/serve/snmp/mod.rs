//! SNMP: an AgentX subagent (RFC 2741) of the host's snmpd, on a thread of its own. What it answers comes from
//! snapshots, so that no request and no master agent can hold up anything else; what happens is told to it
//! through a queue that drops and counts rather than block.

mod agent;
pub mod mib;
mod session;
mod trap;
pub mod tree;

pub use mib::Parts;

use crate::model::Configuration;
use crate::model::globals::Globals;
use crate::state::VrrpState;
use crate::state::lvs::LvsNotification;
use crate::state::notice::{Notice, Odd, What};
use crate::state::notify::{Notification, NotifyKind, Subject};
use crate::state::snapshot::Snapshot;
use agent::Agent;
use session::Endpoint;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Events that wait at most; what comes then is dropped and counted.
const QUEUE: usize = 1024;
/// The end of a session waits this long.
const END: Duration = Duration::from_secs(1);

/// Gets a snapshot of the daemon; it is sent, or the sender is dropped.
pub type Ask = Arc<dyn Fn(oneshot::Sender<Snapshot>) + Send + Sync>;

/// A handle to the thread, for any thread. Nothing here blocks.
#[derive(Debug, Clone)]
pub struct Snmp {
    orders: mpsc::Sender<Order>,
    /// Somebody wants to hear of what happens.
    listening: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
}

/// What the thread works with.
#[derive(Clone)]
pub struct Settings {
    /// Running configuration.
    pub config: Arc<Configuration>,
    /// MIBs that are answered for.
    pub parts: Parts,
    /// `snmp_socket`.
    socket: Endpoint,
    /// Our version, in keepalived's form.
    pub version: &'static str,
    /// Where snapshots come from.
    pub ask: Ask,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.parts, self.socket)
    }
}

impl Settings {
    /// From a configuration.
    pub fn new(config: Arc<Configuration>, version: &'static str, ask: Ask) -> Settings {
        let globals = &config.globals;
        Settings {
            parts: parts(globals),
            socket: Endpoint::parse(globals.snmp_socket.as_deref()),
            config,
            version,
            ask,
        }
    }
}

/// MIBs that a configuration enables.
pub fn parts(globals: &Globals) -> Parts {
    Parts {
        vrrp: globals.enable_snmp_vrrp,
        checker: globals.enable_snmp_checker,
        v2: globals.enable_snmp_rfcv2,
        v3: globals.enable_snmp_rfcv3,
    }
}

#[derive(Debug)]
enum Order {
    Configure(Box<Settings>),
    Event(Event),
    Stop(oneshot::Sender<()>),
}

/// Something that the MIBs remember or that is notified.
#[derive(Debug, Clone, PartialEq)]
enum Event {
    Instance(Arc<str>, VrrpState),
    Group(Arc<str>, VrrpState),
    Lvs(Box<LvsNotification>),
    /// A lower or no master was heard: the next transition to master is for this reason.
    Reason(Arc<str>, i32),
    /// It became master, or something else.
    Entering(Arc<str>, VrrpState),
    /// A packet was refused.
    Refused(Arc<str>, Refusal, Option<IpAddr>),
}

/// What was wrong with a packet, as the RFCs' MIBs number it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// vrrpv3StatisticsProtoErrReason.
    Protocol(i32),
    /// vrrpTrapAuthErrorType.
    Authentication(i32),
}

impl Snmp {
    /// Starts the thread.
    pub fn start(settings: Settings) -> io::Result<Snmp> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, waiting) = mpsc::channel(QUEUE);
        let handle = Snmp {
            orders,
            listening: Arc::new(AtomicBool::new(settings.parts.any())),
            dropped: Arc::default(),
        };
        let agent = Agent::new(settings, handle.dropped.clone());
        std::thread::Builder::new()
            .name("snmp".to_owned())
            .spawn(move || {
                runtime.block_on(agent.run(waiting));
                // A look-up of a host name may still run.
                runtime.shutdown_background();
            })?;
        Ok(handle)
    }

    /// Takes a configuration.
    pub async fn configure(&self, settings: Settings) {
        self.listening.store(settings.parts.any(), Ordering::Relaxed);
        let order = self.orders.send(Order::Configure(Box::new(settings)));
        let _ = tokio::time::timeout(END, order).await;
    }

    /// A state of an instance or a group.
    pub fn notification(&self, notification: &Notification) {
        let NotifyKind::State(state) = notification.kind else {
            return;
        };
        match &notification.subject {
            Subject::Instance(name) => self.tell(Event::Instance(name.clone(), state)),
            Subject::Group(name) => self.tell(Event::Group(name.clone(), state)),
            Subject::Lvs(_) => {}
        }
    }

    /// A virtual or a real server.
    pub fn lvs(&self, notification: &LvsNotification) {
        self.tell(Event::Lvs(Box::new(notification.clone())));
    }

    /// What happened to an instance, of which most is nothing for a MIB.
    pub fn notice(&self, notice: &Notice) {
        let Some(name) = &notice.instance else {
            return;
        };
        let event = match &notice.what {
            What::HeardZero => Event::Reason(name.clone(), 1),
            What::Discarding { .. } => Event::Reason(name.clone(), 2),
            What::Entering { state, .. } => Event::Entering(name.clone(), *state),
            What::Odd(odd) => match refusal(odd) {
                Some(refusal) => Event::Refused(name.clone(), refusal, notice.peer),
                None => return,
            },
            _ => return,
        };
        self.tell(event);
    }

    /// Ends the session, after what has been told.
    pub async fn stop(&self) {
        let (done, end) = oneshot::channel();
        let stopped = async {
            if self.orders.send(Order::Stop(done)).await.is_ok() {
                let _ = end.await;
            }
        };
        let _ = tokio::time::timeout(END, stopped).await;
    }

    fn tell(&self, event: Event) {
        if self.listening.load(Ordering::Relaxed) && self.orders.try_send(Order::Event(event)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn refusal(odd: &Odd) -> Option<Refusal> {
    Some(match odd {
        Odd::Ttl(_) => Refusal::Protocol(1),
        Odd::Version { .. } => Refusal::Protocol(2),
        Odd::Checksum { .. } => Refusal::Protocol(3),
        Odd::AuthTypeUnknown(_) => Refusal::Authentication(1),
        Odd::AuthType { .. } | Odd::Ah { .. } => Refusal::Authentication(2),
        Odd::Password | Odd::AhCode => Refusal::Authentication(3),
        _ => return None,
    })
}
