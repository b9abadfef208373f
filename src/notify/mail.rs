//! Mail about changes of state: keepalived's subjects and texts, sent in order, tried again while the server
//! does not take them, and bounded in number, time and size. Lives on the services thread.

use super::smtp::{self, Envelope, Failure};
use crate::model::Globals;
use crate::model::globals::SmtpServer;
use crate::state::VrrpState;
use crate::state::lvs::LvsMail;
use crate::state::notify::{Notification, NotifyKind, Subject};
use crate::sys::local_time::LocalTime;
use nix::unistd::{User, geteuid, gethostname};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

/// Mails that wait for the server at most.
const QUEUE: usize = 256;

/// A mail is given up after this.
const KEEP: Duration = Duration::from_secs(3600);

/// Pauses between tries: the first one, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Looking up names takes no longer.
const LOOKUP: Duration = Duration::from_secs(3);

/// Longest subject, bytes; a line of a mail has 998 at most (RFC 5322 2.1.1).
const SUBJECT: usize = 900;

/// Sends alerts.
pub struct Mailer {
    settings: watch::Sender<Option<Arc<Settings>>>,
    queue: mpsc::Sender<Mail>,
    /// Mails that are not sent.
    open: Arc<AtomicUsize>,
    /// Dropped since it was last said.
    dropped: usize,
    /// `no_email_faults`.
    no_faults: bool,
    /// `no_checker_emails`.
    no_checkers: bool,
    worker: JoinHandle<()>,
    stopping: watch::Sender<bool>,
}

/// Where mail goes, of one configuration.
#[derive(Debug, Clone, PartialEq)]
struct Settings {
    server: SmtpServer,
    helo: Option<String>,
    from: Option<String>,
    to: Vec<String>,
    limit: Duration,
    router: String,
}

struct Mail {
    /// About a virtual or a real server.
    lvs: bool,
    subject: String,
    text: String,
    made: (Instant, SystemTime),
    _open: Open,
}

/// Counts as open until dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a configuration can send mail.
pub fn wanted(globals: &Globals) -> bool {
    globals.smtp_server.is_some() && !globals.notification_emails.is_empty()
}

impl Mailer {
    /// Within a runtime; nothing is sent before [`Mailer::configure`].
    pub fn start() -> Mailer {
        let (settings, now) = watch::channel(None);
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (stopping, stops) = watch::channel(false);
        let worker = Worker {
            settings: now,
            stopping: stops,
            names: None,
            told: None,
        };
        Mailer {
            settings,
            queue,
            open: Arc::default(),
            dropped: 0,
            no_faults: false,
            no_checkers: false,
            worker: tokio::spawn(worker.run(waiting)),
            stopping,
        }
    }

    /// Takes a configuration; mails that wait go to its server.
    pub fn configure(&mut self, globals: &Globals) {
        self.no_faults = globals.no_email_faults;
        self.no_checkers = globals.no_checker_emails;
        let settings = globals.smtp_server.as_ref().filter(|_| wanted(globals));
        let settings = settings.map(|server| {
            Arc::new(Settings {
                server: server.clone(),
                helo: globals.smtp_helo_name.clone(),
                from: globals.notification_email_from.clone(),
                to: globals.notification_emails.clone(),
                limit: globals.smtp_connect_timeout,
                router: globals.router_id.clone(),
            })
        });
        let _ = self.settings.send(settings);
    }

    /// A state of an instance or a group.
    pub fn notify(&mut self, notification: &Notification) {
        if !notification.smtp_alert {
            return;
        }
        let NotifyKind::State(state) = notification.kind else {
            return;
        };
        if state == VrrpState::Fault && self.no_faults {
            return;
        }
        if let Some((subject, text)) = vrrp_text(&notification.subject, state) {
            self.enqueue(false, subject, text);
        }
    }

    /// A virtual or a real server.
    pub fn notify_lvs(&mut self, mail: &LvsMail) {
        if self.no_checkers && !mail.changed {
            return;
        }
        let state = if mail.up { "UP" } else { "DOWN" };
        let subject = match &mail.real {
            Some(real) => format!("Realserver {real} of virtual server {} - {state}", mail.server),
            None => format!("Virtualserver {} - {state}", mail.server),
        };
        self.enqueue(true, subject, format!("=> {} <=", mail.text));
    }

    fn enqueue(&mut self, lvs: bool, subject: String, text: String) {
        let Some(settings) = self.settings.borrow().clone() else {
            return;
        };
        self.open.fetch_add(1, Ordering::Relaxed);
        let mail = Mail {
            lvs,
            subject: one_line(&format!("[{}] {subject}", settings.router)),
            text,
            made: (Instant::now(), SystemTime::now()),
            _open: Open(self.open.clone()),
        };
        if self.queue.try_send(mail).is_err() {
            self.dropped += 1;
            if self.dropped.is_power_of_two() {
                warn!(
                    target: "parent",
                    "{QUEUE} mails wait for the SMTP server - dropped so far: {}", self.dropped
                );
            }
        } else {
            self.dropped = 0;
        }
    }

    /// Sends what waits, without pauses between tries, `limit` at most.
    pub async fn finish(&mut self, limit: Duration) {
        let (never, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.queue, never));
        let _ = self.stopping.send(true);
        if tokio::time::timeout(limit, &mut self.worker).await.is_err() {
            self.worker.abort();
            say_left(self.open.load(Ordering::Relaxed));
        }
    }
}

/// Subject and body; `None` where keepalived sends none.
fn vrrp_text(subject: &Subject, state: VrrpState) -> Option<(String, String)> {
    let state_name = state.as_str();
    Some(match subject {
        Subject::Instance(name) => {
            let (what, text) = match state {
                VrrpState::Master => ("Entering MASTER state", "now owning VRRP VIPs"),
                VrrpState::Backup => ("Entering BACKUP state", "no longer owning VRRP VIPs"),
                VrrpState::Fault => ("Entering FAULT state", "no longer owning VRRP VIPs"),
                VrrpState::Stop => ("Stopping", "stopping"),
                VrrpState::Deleted => ("Deleted", ""),
                VrrpState::Init => return None,
            };
            let text = match (state, text) {
                (VrrpState::Deleted, _) => "=> VRRP Deleted at reload <=".to_owned(),
                (VrrpState::Stop, text) => format!("=> VRRP Instance {text} <="),
                (_, text) => format!("=> VRRP Instance is {text} <="),
            };
            (format!("VRRP Instance {name} - {what}"), text)
        }
        Subject::Group(name) => match state {
            VrrpState::Master | VrrpState::Backup | VrrpState::Fault => (
                format!("VRRP Group {name} - Entering {state_name} state"),
                format!("=> All VRRP group instances are now in {state_name} state <="),
            ),
            VrrpState::Stop => (
                format!("VRRP Group {name} - Stopping"),
                "=> All VRRP group instances are now stopping <=".to_owned(),
            ),
            VrrpState::Init | VrrpState::Deleted => return None,
        },
        Subject::Lvs(_) => return None,
    })
}

fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    while line.len() > SUBJECT {
        line.pop();
    }
    line
}

/// The address in `Name <address>`.
fn address(text: &str) -> String {
    let inside = text
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or(text, |(inside, _)| inside);
    inside.chars().filter(|c| !c.is_control()).collect()
}

/// `Sun, 22 Nov 2026 08:39:07 +0000`.
fn date(moment: SystemTime) -> String {
    let local = LocalTime::of(moment);
    let seconds = |moment: SystemTime| {
        let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(0)
    };
    let offset = local
        .moment(true)
        .map_or(0, |as_utc| seconds(as_utc) - seconds(moment))
        / 60;
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.abs();
    // `Sun Nov 22 08:39:07 2026`.
    let words = local.ctime();
    let words: Vec<&str> = words.split_whitespace().collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    format!(
        "{}, {:02} {} {} {} {sign}{:02}{:02}",
        word(0),
        local.day,
        word(1),
        local.year,
        word(3),
        offset / 60,
        offset % 60
    )
}

/// Our names, looked up once for a configuration.
#[derive(Clone)]
struct Names {
    of: Arc<Settings>,
    helo: String,
    from: String,
}

struct Worker {
    settings: watch::Receiver<Option<Arc<Settings>>>,
    stopping: watch::Receiver<bool>,
    names: Option<Names>,
    /// The last failure that was told, until a mail gets through.
    told: Option<String>,
}

impl Worker {
    async fn run(mut self, mut mails: mpsc::Receiver<Mail>) {
        while let Some(mail) = mails.recv().await {
            if !self.deliver(&mail).await {
                let mut left = 1;
                while mails.try_recv().is_ok() {
                    left += 1;
                }
                say_left(left);
            }
        }
    }

    /// False: the daemon stops, and the server does not take it now.
    async fn deliver(&mut self, mail: &Mail) -> bool {
        let mut pause = PAUSE.0;
        loop {
            let Some(settings) = self.settings.borrow_and_update().clone() else {
                say(mail.lvs, "a mail is dropped: there is no smtp_server any more");
                return true;
            };
            let failure = match self.attempt(mail, settings).await {
                Ok(()) => {
                    self.told = None;
                    return true;
                }
                Err(failure) => failure,
            };
            let news = self.told.as_ref() != Some(&failure.why);
            if failure.permanent {
                say(mail.lvs, &failure.why);
                say(mail.lvs, &format!("the mail `{}` is dropped", mail.subject));
                return true;
            }
            if news {
                say(mail.lvs, &failure.why);
                self.told = Some(failure.why);
            }
            if *self.stopping.borrow() {
                return false;
            }
            if mail.made.0.elapsed() > KEEP {
                say(
                    mail.lvs,
                    &format!("the mail `{}` could not be sent and is dropped", mail.subject),
                );
                return true;
            }
            if news {
                let seconds = pause.as_secs();
                debug!(target: "parent", "the mail is tried again in {seconds} s, then less often, for an hour");
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Another server, maybe.
                _ = self.settings.changed() => {}
                _ = self.stopping.wait_for(|stopping| *stopping) => {}
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn attempt(&mut self, mail: &Mail, settings: Arc<Settings>) -> Result<(), Failure> {
        let names = match &self.names {
            Some(names) if names.of == settings => names.clone(),
            _ => names(settings.clone()).await,
        };
        self.names = Some(names.clone());
        let server = self.server(&settings).await?;
        let to = settings.to.join(",\r\n ");
        let envelope = Envelope {
            helo: names.helo,
            from: address(&names.from),
            to: settings.to.iter().map(|to| address(to)).collect(),
            text: format!(
                "Date: {}\r\nFrom: {}\r\nSubject: {}\r\nX-Mailer: Keepalived\r\nTo: {to}\r\n\r\n{}\r\n\r\n",
                date(mail.made.1),
                names.from,
                mail.subject,
                mail.text,
            ),
        };
        let lvs = mail.lvs;
        let shown = smtp::show(server);
        let connected = || match lvs {
            true => debug!(target: "checkers", "Remote SMTP server {shown} connected."),
            false => debug!(target: "vrrp", "Remote SMTP server {shown} connected."),
        };
        let sent = smtp::send(server, &envelope, settings.limit, connected).await?;
        match lvs {
            true => debug!(target: "checkers", "SMTP alert successfully sent."),
            false => debug!(target: "vrrp", "SMTP alert successfully sent."),
        }
        for (recipient, reply) in sent.refused {
            say(lvs, &format!("SMTP server {shown} refuses {recipient}: {reply}"));
        }
        Ok(())
    }

    /// The server's address: looked up again after a failure, if it has a name.
    async fn server(&self, settings: &Settings) -> Result<SocketAddr, Failure> {
        let (host, port) = (settings.server.host.as_str(), settings.server.port);
        let known = settings
            .server
            .address
            .map(|address| SocketAddr::new(address, port));
        if let Some(known) = known
            && (self.told.is_none() || host.parse::<std::net::IpAddr>().is_ok())
        {
            return Ok(known);
        }
        let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, port))).await;
        let found = found.ok().and_then(Result::ok).and_then(|mut all| all.next());
        found.or(known).ok_or_else(|| Failure {
            why: format!("smtp_server {host} does not resolve"),
            permanent: false,
        })
    }
}

async fn names(of: Arc<Settings>) -> Names {
    let host = gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let helo = match &of.helo {
        Some(helo) => helo.clone(),
        None => {
            let known = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host.as_str(), 0))).await;
            match known {
                Ok(Ok(_)) => host.clone(),
                // A name that means nothing to anybody; keepalived says the same.
                _ => "localhost".to_owned(),
            }
        }
    };
    let from = match &of.from {
        Some(from) => from.clone(),
        None => {
            let user = tokio::task::spawn_blocking(|| User::from_uid(geteuid()).ok().flatten());
            let user = tokio::time::timeout(LOOKUP, user).await;
            let user = user.ok().and_then(Result::ok).flatten();
            format!(
                "{}@{helo}",
                user.map_or_else(|| "root".to_owned(), |user| user.name)
            )
        }
    };
    Names { of, helo, from }
}

fn say_left(mails: usize) {
    warn!(target: "parent", "mails that could not be sent before the end: {mails}");
}

fn say(lvs: bool, text: &str) {
    match lvs {
        true => info!(target: "checkers", "{text}"),
        false => info!(target: "vrrp", "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_texts() {
        let instance = |state| vrrp_text(&Subject::Instance("N".into()), state).unwrap_or_default();
        let group = |state| vrrp_text(&Subject::Group("G".into()), state).unwrap_or_default();
        let is = |got: (String, String), subject: &str, text: &str| {
            assert_eq!(got, (subject.to_owned(), text.to_owned()));
        };
        is(
            instance(VrrpState::Master),
            "VRRP Instance N - Entering MASTER state",
            "=> VRRP Instance is now owning VRRP VIPs <=",
        );
        is(
            instance(VrrpState::Fault),
            "VRRP Instance N - Entering FAULT state",
            "=> VRRP Instance is no longer owning VRRP VIPs <=",
        );
        is(
            instance(VrrpState::Stop),
            "VRRP Instance N - Stopping",
            "=> VRRP Instance stopping <=",
        );
        is(
            instance(VrrpState::Deleted),
            "VRRP Instance N - Deleted",
            "=> VRRP Deleted at reload <=",
        );
        is(
            group(VrrpState::Backup),
            "VRRP Group G - Entering BACKUP state",
            "=> All VRRP group instances are now in BACKUP state <=",
        );
        is(
            group(VrrpState::Stop),
            "VRRP Group G - Stopping",
            "=> All VRRP group instances are now stopping <=",
        );
    }

    #[test]
    fn what_goes_into_a_mail_is_harmless() {
        assert_eq!(one_line("a\r\nBcc: x"), "a  Bcc: x");
        assert_eq!(one_line(&"ä".repeat(1000)).len(), SUBJECT);
        assert_eq!(address("Name <a@b>"), "a@b");
        assert_eq!(address("a@b\r\nDATA"), "a@bDATA");
    }

    #[test]
    fn dates_as_in_rfc_5322() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_336_747);
        let words = date(moment);
        assert!(words.starts_with("Sun, 22 Nov 2026 "), "{words}");
        let parts: Vec<&str> = words.split(' ').collect();
        assert_eq!(parts.len(), 6, "{words}");
        assert!(parts[5].len() == 5 && parts[5].starts_with(['+', '-']), "{words}");
    }
}
