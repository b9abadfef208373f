//! What this daemon has in IPVS, in a file beside the pid files. The kernel does not say whose a service is; the
//! file tells the next daemon what one that was killed has left, so that what is not configured any more goes
//! and what others made stays.
//!
//! It is written before a service is added and after one has been removed, in one step each time.

use crate::daemon::dumps;
use crate::model::globals::LvsTimeouts;
use crate::model::lvs::Protocol;
use crate::model::route::Family;
use crate::state::lvs::ServiceKey;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// A file that is longer is not ours.
const LONGEST: u64 = 64 << 20;
const HEAD: &str = "# What keepalived-rs has in IPVS.";

/// What is in the kernel and ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ours {
    pub services: BTreeSet<ServiceKey>,
    /// The kernel's timeouts before ours.
    pub timeouts: Option<LvsTimeouts>,
    /// Synchronization daemons.
    pub daemons: bool,
    /// Table of nftables.
    pub table: Option<String>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    /// What is in it.
    written: Option<Ours>,
    /// Namespace of the table, once it is known.
    namespace: Option<u64>,
    failed: bool,
}

impl Record {
    pub fn new(path: PathBuf) -> Record {
        Record {
            path,
            written: None,
            namespace: None,
            failed: false,
        }
    }

    /// IPVS has been opened in this namespace. Returns what a predecessor has left there.
    pub fn open(&mut self, namespace: u64) -> Ours {
        if self.namespace.replace(namespace) == Some(namespace) {
            return Ours::default();
        }
        match read(&self.path) {
            Some(found) if found.namespace == namespace => {
                self.written = Some(found.ours.clone());
                found.ours
            }
            _ => Ours::default(),
        }
    }

    /// This is ours now, or will be in a moment.
    pub fn keep(&mut self, ours: &Ours) {
        let Some(namespace) = self.namespace else {
            return;
        };
        if self.written.as_ref() == Some(ours) || (self.written.is_none() && *ours == Ours::default()) {
            return;
        }
        let done = match *ours == Ours::default() {
            true => fs::remove_file(&self.path).map_err(|error| error.to_string()),
            false => {
                dumps::write(&self.path, &text(ours, &boot(), namespace), 0o133).map_err(|e| e.to_string())
            }
        };
        match done {
            Ok(()) => {
                self.written = Some(ours.clone()).filter(|ours| *ours != Ours::default());
                self.failed = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    warn!(
                        target: "checkers",
                        "{}: {error}. If this daemon is killed, the next one will not know which virtual servers were its own",
                        self.path.display()
                    );
                }
            }
        }
    }
}

/// Whether a daemon that was killed has left something, since this machine was started.
pub(super) fn is_left(path: &Path) -> bool {
    read(path).is_some()
}

#[derive(Debug, PartialEq, Eq)]
struct Found {
    namespace: u64,
    ours: Ours,
}

fn read(path: &Path) -> Option<Found> {
    let text = match load(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            info!(target: "checkers", "{}: {error}: not used", path.display());
            return None;
        }
    };
    parse(&text, &boot())
}

fn load(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.uid() != nix::unistd::geteuid().as_raw() || about.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write to it"));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn text(ours: &Ours, boot: &str, namespace: u64) -> String {
    let mut out = format!("{HEAD}\nboot {boot}\nnamespace {namespace}\n");
    // Writing to a String cannot fail.
    if let Some(t) = ours.timeouts {
        let [tcp, fin, udp] = [t.tcp, t.tcp_fin, t.udp].map(Option::unwrap_or_default);
        let _ = writeln!(out, "timeouts {tcp} {fin} {udp}");
    }
    if ours.daemons {
        out.push_str("daemons\n");
    }
    if let Some(table) = &ours.table {
        let _ = writeln!(out, "nftables {table}");
    }
    for key in &ours.services {
        let _ = match key {
            ServiceKey::Address(protocol, address, port) => {
                writeln!(out, "{} {address} {port}", Protocol::name(Some(*protocol)))
            }
            ServiceKey::Mark(mark, Family::Inet) => writeln!(out, "fwmark {mark} inet"),
            ServiceKey::Mark(mark, Family::Inet6) => writeln!(out, "fwmark {mark} inet6"),
        };
    }
    out.push_str("end\n");
    out
}

/// `None`: not of this start of the machine, or not whole.
fn parse(text: &str, boot: &str) -> Option<Found> {
    let mut lines = text.lines();
    if lines.next()? != HEAD || lines.next()?.strip_prefix("boot ")? != boot {
        return None;
    }
    let namespace = lines.next()?.strip_prefix("namespace ")?.parse().ok()?;
    let mut ours = Ours::default();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["end"] => return Some(Found { namespace, ours }),
            ["nftables", table] => ours.table = Some(table.to_owned()),
            ["daemons"] => ours.daemons = true,
            ["timeouts", tcp, fin, udp] => {
                let seconds = |word: &str| word.parse().ok().filter(|seconds| *seconds > 0);
                ours.timeouts = Some(LvsTimeouts {
                    tcp: seconds(tcp),
                    tcp_fin: seconds(fin),
                    udp: seconds(udp),
                });
            }
            ["fwmark", mark, family] => {
                let family = match family {
                    "inet" => Family::Inet,
                    "inet6" => Family::Inet6,
                    _ => return None,
                };
                ours.services.insert(ServiceKey::Mark(mark.parse().ok()?, family));
            }
            [protocol, address, port] => {
                let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
                    .into_iter()
                    .find(|known| Protocol::name(Some(*known)) == protocol)?;
                let (address, port) = (address.parse().ok()?, port.parse().ok()?);
                ours.services.insert(ServiceKey::Address(protocol, address, port));
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Ours {
        Ours {
            services: BTreeSet::from([
                ServiceKey::Address(Protocol::Tcp, "192.0.2.1".parse().unwrap(), 80),
                ServiceKey::Address(Protocol::Udp, "2001:db8::1".parse().unwrap(), 0),
                ServiceKey::Address(Protocol::Sctp, "192.0.2.1".parse().unwrap(), 9),
                ServiceKey::Mark(u32::MAX, Family::Inet),
                ServiceKey::Mark(7, Family::Inet6),
            ]),
            timeouts: Some(LvsTimeouts {
                tcp: Some(900),
                tcp_fin: Some(120),
                udp: None,
            }),
            daemons: true,
            table: Some("keepalived_ipvs".to_owned()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for ours in [ours(), Ours::default()] {
            let text = text(&ours, "b", 5);
            assert_eq!(parse(&text, "b"), Some(Found { namespace: 5, ours }));
        }
    }

    #[test]
    fn what_is_not_whole_or_from_before_the_start_is_nothing() {
        let text = text(&ours(), "b", 5);
        assert_eq!(parse(&text, "c"), None);
        for end in 0..text.len() - 1 {
            assert_eq!(parse(&text[..end], "b"), None, "{}", &text[..end]);
        }
        for wrong in [
            "tcp 192.0.2.1",
            "tcp here 80",
            "icmp 192.0.2.1 80",
            "fwmark 7 ipx",
            "fwmark -1 inet",
            "",
            "x",
        ] {
            let text = format!("{HEAD}\nboot b\nnamespace 5\n{wrong}\nend\n");
            assert_eq!(parse(&text, "b"), None, "{wrong}");
        }
    }

    #[test]
    fn the_file_is_there_while_something_is_ours() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkers.ipvs");
        let mut record = Record::new(path.clone());
        assert_eq!(record.open(5), Ours::default());
        record.keep(&Ours::default());
        assert!(!path.exists());
        record.keep(&ours());
        assert!(is_left(&path));
        assert_eq!(Record::new(path.clone()).open(6), Ours::default());
        let mut next = Record::new(path.clone());
        assert_eq!(next.open(5), ours());
        assert_eq!(next.open(5), Ours::default());
        next.keep(&Ours::default());
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_others_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkers.ipvs");
        fs::write(&path, text(&ours(), &boot(), 5)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_left(&path));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(!is_left(&path));
    }
}
