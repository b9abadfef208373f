//! Runs checkers against servers of the test, and takes down what they say and report.

use keepalived_rs::checkers::{self, Feed, Job};
use keepalived_rs::model::lvs::{Checker, CheckerKind, Connection};
use keepalived_rs::state::check::{CheckReport, CheckVerdict, CheckerId, Standing};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Where servers listen.
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A checker with short times.
pub fn checker(kind: CheckerKind) -> Checker {
    Checker {
        alpha: false,
        delay_loop: Duration::from_millis(60),
        warmup: Duration::ZERO,
        retry: 1,
        delay_before_retry: Duration::from_millis(20),
        log_all_failures: false,
        kind,
    }
}

/// To a port of this machine.
pub fn to(port: u16) -> Connection {
    Connection {
        address: HERE,
        port,
        bind_address: None,
        bind_port: None,
        bind_interface: None,
        timeout: Duration::from_secs(5),
        mark: 0,
    }
}

/// What it is called in the lines.
pub const RS: &str = "[10.2.0.11]:tcp:80";
/// Its virtual server.
pub const VS: &str = "[10.1.0.50]:tcp:80";

/// A checker that runs, and everything that it said.
pub struct Watch {
    pub reports: UnboundedReceiver<CheckReport>,
    pub lines: Lines,
    pub standing: Arc<Mutex<Standing>>,
    pub handle: tokio::task::AbortHandle,
}

impl Watch {
    /// The next verdict: `up`, `down: REASON`, `weight N`.
    pub async fn verdict(&mut self) -> String {
        let report = self.reports.recv().await.expect("a checker that runs");
        match report.verdict {
            CheckVerdict::Up => "up".to_owned(),
            CheckVerdict::Down { reason } => format!("down: {reason}"),
            CheckVerdict::Weight(weight) => format!("weight {weight}"),
        }
    }

    /// Waits for a line that has this text.
    pub async fn line(&self, text: &str) {
        while !self.lines.all().iter().any(|line| line.contains(text)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// How a job starts.
pub fn job(checker: Checker) -> Job {
    Job {
        id: CheckerId(7),
        log_all_failures: checker.log_all_failures,
        standing: Arc::new(Mutex::new(Standing::new(!checker.alpha))),
        checker: Arc::new(checker),
        virtual_server: VS.to_owned(),
        real_server: RS.to_owned(),
        means: Arc::default(),
        weight: 10,
        feed: Feed::None,
    }
}

/// Runs a checker, and the test beside it, on a runtime of one thread.
pub fn watch<F: Future>(checker: Checker, test: impl FnOnce(Watch) -> F) -> F::Output {
    with(move |_| job(checker), test)
}

/// The same with a job that needs the runtime.
pub fn with<F: Future>(job: impl FnOnce(()) -> Job, test: impl FnOnce(Watch) -> F) -> F::Output {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (reports, received) = mpsc::unbounded_channel();
        let job = job(());
        let standing = job.standing.clone();
        let handle = checkers::start(job, reports);
        let watch = Watch {
            reports: received,
            lines,
            standing,
            handle,
        };
        tokio::time::timeout(LIMIT, test(watch))
            .await
            .expect("an end in time")
    })
}

/// The log lines of the checkers.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        if event.metadata().target() == "checkers" {
            let mut message = Message(String::new());
            event.record(&mut message);
            self.0.lock().expect("no panic").push(message.0);
        }
    }
}
