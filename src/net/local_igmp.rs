//! `disable_local_igmp`: no IGMP reports for groups of the local link (224.0.0.0/24), to which that of VRRP belongs.

use tracing::{debug, warn};

const PATH: &str = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";

/// The reports are off; dropping it gives the setting back.
#[derive(Debug)]
pub struct LocalIgmp {
    before: String,
}

impl LocalIgmp {
    /// Turns them off, in the network namespace of the calling thread. To be done before a group is joined.
    /// `None`: they are off already, or cannot be turned off, which is said.
    pub fn disable() -> Option<LocalIgmp> {
        let set = std::fs::read_to_string(PATH).and_then(|before| {
            let on = before.trim() != "0";
            if on {
                std::fs::write(PATH, "0")?;
            }
            Ok(on.then_some(LocalIgmp { before }))
        });
        set.unwrap_or_else(|error| {
            warn!(target: "vrrp", "disable_local_igmp: cannot write {PATH}: {error}");
            None
        })
    }
}

impl Drop for LocalIgmp {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(PATH, &self.before) {
            debug!(target: "vrrp", "cannot give back {PATH}: {error}");
        }
    }
}
