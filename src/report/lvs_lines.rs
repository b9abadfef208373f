//! What happens to virtual and real servers, in keepalived's words. Log monitors match these texts.

use crate::state::lvs::{LvsNotice, QuorumChange};
use std::fmt;

/// Logs a notice through `tracing`. keepalived tells all of them without `-D`.
pub fn log(notice: &LvsNotice) {
    tracing::info!(target: "checkers", "{}", Line(notice));
}

/// The line of a notice.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a>(pub &'a LvsNotice);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            LvsNotice::Activating { real, server } => {
                write!(f, "Activating healthchecker for service {real} for VS {server}")
            }
            LvsNotice::Deactivating { real, server } => {
                write!(f, "Deactivating healthchecker for service {real} for VS {server}")
            }
            LvsNotice::Suspending { real, server } => {
                write!(f, "Suspending healthchecker for service {real} for VS {server}")
            }
            LvsNotice::Alive {
                real,
                server,
                inhibit,
                up,
            } => {
                let (verb, word) = match (inhibit, up) {
                    (true, true) => ("Enabling", "of"),
                    (true, false) => ("Disabling", "of"),
                    (false, true) => ("Adding", "to"),
                    (false, false) => ("Removing", "from"),
                };
                write!(f, "{verb} service {real} {word} VS {server}")
            }
            LvsNotice::Weight {
                real,
                server,
                active,
                from,
                to,
            } => {
                let kind = if *active { "active" } else { "inactive" };
                write!(
                    f,
                    "Changing weight from {from} to {to} for {kind} service {real} of VS {server}"
                )
            }
            LvsNotice::Quorum {
                server,
                change,
                quorum,
                hysteresis,
                weight,
            } => {
                let upper = u64::from(*quorum) + u64::from(*hysteresis);
                match change {
                    QuorumChange::Gained => write!(
                        f,
                        "Gained quorum {quorum}+{hysteresis}={upper} <= {weight} for VS {server}"
                    ),
                    QuorumChange::Lost => {
                        let lower = quorum.saturating_sub(*hysteresis);
                        write!(
                            f,
                            "Lost quorum {quorum}-{hysteresis}={lower} > {weight} for VS {server}"
                        )
                    }
                    // keepalived prints the sum here too.
                    QuorumChange::DownAtStart => write!(
                        f,
                        "Starting with quorum down {quorum}-{hysteresis}={upper} > {weight} for VS {server}"
                    ),
                }
            }
            LvsNotice::Sorry {
                real,
                server,
                inhibit,
                used,
            } => {
                let (verb, word) = match (inhibit, used) {
                    (true, true) => ("Enabling", "to"),
                    (true, false) => ("Disabling", "from"),
                    (false, true) => ("Adding", "to"),
                    (false, false) => ("Removing", "from"),
                };
                write!(f, "{verb} sorry server {real} {word} VS {server}")
            }
            LvsNotice::Pool { server, used: true } => {
                write!(f, "Adding alive servers to the pool for VS {server}")
            }
            LvsNotice::Pool { server, used: false } => {
                write!(f, "Removing alive servers from the pool for VS {server}")
            }
            LvsNotice::ShuttingDown {
                real,
                server,
                inhibited,
            } => {
                let inhibited = if *inhibited { "(inhibited) " } else { "" };
                write!(f, "Shutting down {inhibited}service {real} from VS {server}")
            }
            LvsNotice::Removing {
                real,
                server,
                inhibited,
            } => {
                let inhibited = if *inhibited { "(inhibited) " } else { "" };
                write!(f, "Removing {inhibited}service {real} from VS {server}")
            }
            LvsNotice::ServerGone {
                group: Some(group), ..
            } => write!(f, "Removing Virtual Server Group [{group}]"),
            LvsNotice::ServerGone { server, group: None } => write!(f, "Removing Virtual Server {server}"),
            LvsNotice::RealGone { real } => write!(f, "service {real} no longer exist"),
            LvsNotice::GroupEntry {
                entry,
                group,
                added: true,
            } => write!(f, "VS [{entry}] added into group {group}"),
            LvsNotice::GroupEntry {
                entry,
                group,
                added: false,
            } => write!(f, "VS [{entry}] in group {group} no longer exists"),
        }
    }
}
