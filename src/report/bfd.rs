//! BFD sessions in the data file.

use super::tracking::{Kind, tracking_instances};
use super::{Text, line, reverse};
use crate::state::snapshot::Snapshot;

/// `VRRP Track BFDs`: the sessions that instances track.
pub(super) fn tracked(text: &mut Text, snapshot: &Snapshot) {
    if snapshot.bfd.is_empty() {
        return;
    }
    line!(text, "------< VRRP Track BFDs >------");
    for bfd in &snapshot.bfd {
        line!(text, " VRRP Track BFD = {}", bfd.config.name);
        line!(
            text,
            "   Weight = {}{}",
            bfd.config.weight,
            reverse(bfd.config.reverse)
        );
        line!(text, "   Bfd is {}", if bfd.up { "up" } else { "down" });
        line!(text, "   Tracking VRRP instances :");
        tracking_instances(text, &snapshot.config, Kind::Bfd, &bfd.config.name);
    }
}
