//! What BFD needs of the main thread. It runs on the VRRP thread, so that what the file says of a BFD process is
//! said of that thread.

use super::super::bfd::Order;
use super::super::port::{Command, Handle};
use super::Supervisor;
use super::settings::vrrp_name;
use crate::model::Configuration;
use crate::model::globals::ProcessSettings;
use crate::process::pidfile::PidFile;
use crate::state::bfd::SessionSnapshot;
use crate::state::snapshot::Snapshot;
use std::sync::mpsc;
use std::time::Duration;

impl Supervisor<'_> {
    /// A reload that brings the first session also brings the pid file.
    pub(super) fn keep_bfd_pid_file(&mut self) {
        let path = &self.bfd_pid_path;
        if self.config.bfd.is_empty() || self.pid_files.iter().any(|file| file.path() == path) {
            return;
        }
        match PidFile::take(path) {
            Ok(file) => self.pid_files.push(file),
            Err(error) => tracing::warn!(target: "bfd", "{error}"),
        }
    }
}

/// Asks for the sessions as they are.
pub(super) fn ask_sessions(port: &Handle) -> mpsc::Receiver<Vec<SessionSnapshot>> {
    let (reply, answer) = mpsc::channel();
    port.send(Command::Bfd(Box::new(Order::Snapshot(reply))));
    answer
}

/// Puts the sessions into a snapshot.
pub(super) fn put_sessions(snapshot: &mut Snapshot, answer: &mpsc::Receiver<Vec<SessionSnapshot>>) {
    let sessions = answer.recv_timeout(Duration::from_secs(10)).unwrap_or_default();
    for tracked in &mut snapshot.bfd {
        let session = sessions.iter().find(|s| s.config.name == tracked.config.name);
        tracked.up = session.is_some_and(|s| s.state == crate::wire::bfd::State::Up);
    }
    snapshot.bfd_listen = sessions.first().and_then(|s| s.listening);
    snapshot.bfd_sessions = sessions;
}

/// How the VRRP thread is scheduled, and its name: of the settings for VRRP and for BFD the more eager ones. The
/// last is a line that says what comes of those for BFD; none where there are none.
pub(super) fn scheduling(config: &Configuration) -> (ProcessSettings, Option<String>, Option<String>) {
    let globals = &config.globals;
    let mut settings = globals.vrrp_process.clone();
    let mut name = vrrp_name(globals);
    if config.bfd.is_empty() {
        return (settings, name, None);
    }
    let bfd = &globals.bfd_process;
    let mut honoured = Vec::new();
    if let Some(priority) = bfd.realtime {
        settings.realtime = settings.realtime.max(Some(priority));
        honoured.push(format!(
            "real-time priority {}",
            settings.realtime.unwrap_or(priority)
        ));
    }
    if bfd.nice != 0 {
        settings.nice = if settings.nice == 0 {
            bfd.nice
        } else {
            settings.nice.min(bfd.nice)
        };
        honoured.push(format!("priority {}", settings.nice));
    }
    if bfd.no_swap {
        settings.no_swap = true;
        honoured.push("memory locked".to_owned());
    }
    if !bfd.affinity.is_empty() {
        if settings.affinity.is_empty() {
            settings.affinity.clone_from(&bfd.affinity);
        }
        honoured.push(format!("CPUs {:?}", settings.affinity));
    }
    if bfd.rlimit_rttime != ProcessSettings::default().rlimit_rttime {
        settings.rlimit_rttime = settings.rlimit_rttime.max(bfd.rlimit_rttime);
        honoured.push(format!("real-time limit {}", settings.rlimit_rttime));
    }
    let own = globals.bfd_process_name.clone();
    if own.is_some() {
        // With instances the thread is VRRP's first.
        name = name.or_else(|| own.filter(|_| config.instances.is_empty()));
        honoured.push(format!("name {}", name.as_deref().unwrap_or("vrrp")));
    }
    let line = (!honoured.is_empty())
        .then(|| format!("BFD runs on the VRRP thread, which has {}", honoured.join(", ")));
    (settings, name, line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, DEFAULT_FILE, MemoryHost, ReadOptions};

    fn read(globals: &str, rest: &str) -> Configuration {
        let mut host = MemoryHost::default();
        host.interface("eth0");
        host.file(DEFAULT_FILE, &format!("global_defs {{\n{globals}\n}}\n{rest}"));
        config::read(&host, &ReadOptions::default()).configuration
    }

    const SESSION: &str = "bfd_instance b {\n neighbor_ip 192.0.2.2\n}\n";
    const INSTANCE: &str =
        "vrrp_instance A {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 192.0.2.9\n }\n}\n";

    #[test]
    fn of_both_settings_the_more_eager_ones_count() {
        let globals = "vrrp_rt_priority 10\nvrrp_priority -5\nbfd_rt_priority 50\nbfd_priority -10\nbfd_no_swap\n\
                       bfd_cpu_affinity 0\nbfd_rlimit_rttime 20000\nbfd_process_name kbfd";
        let (settings, name, line) = scheduling(&read(globals, &format!("{SESSION}{INSTANCE}")));
        assert_eq!(
            (settings.realtime, settings.nice, settings.no_swap),
            (Some(50), -10, true)
        );
        assert_eq!((settings.affinity, settings.rlimit_rttime), (vec![0], 20000));
        assert_eq!(name, None);
        assert_eq!(
            line.unwrap(),
            "BFD runs on the VRRP thread, which has real-time priority 50, priority -10, memory locked, CPUs [0], \
             real-time limit 20000, name vrrp"
        );
        let (settings, name, _) = scheduling(&read(
            "vrrp_rt_priority 60\nbfd_rt_priority 50\nprocess_names",
            SESSION,
        ));
        assert_eq!(
            (settings.realtime, name.as_deref()),
            (Some(60), Some("keepalived_vrrp"))
        );
    }

    #[test]
    fn without_sessions_the_settings_for_them_are_nothing() {
        let (settings, _, line) = scheduling(&read("bfd_rt_priority 50", INSTANCE));
        assert_eq!((settings.realtime, line), (None, None));
        let (_, name, _) = scheduling(&read("bfd_process_name kbfd", SESSION));
        assert_eq!(name.as_deref(), Some("kbfd"));
    }
}
