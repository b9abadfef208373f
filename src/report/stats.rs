//! The statistics file of SIGUSR2.

use super::{Text, line};
use crate::state::snapshot::Snapshot;

/// `keepalived.stats`.
pub fn stats(snapshot: &Snapshot) -> String {
    let mut text = Text::default();
    for instance in &snapshot.instances {
        let counts = &instance.statistics;
        line!(text, "VRRP Instance: {}", instance.config.name);
        line!(text, "  Advertisements:");
        line!(text, "    Received: {}", counts.advert_rcvd);
        line!(text, "    Sent: {}", counts.advert_sent);
        line!(text, "  Became master: {}", counts.become_master);
        line!(text, "  Released master: {}", counts.release_master);
        line!(text, "  Packet Errors:");
        line!(text, "    Length: {}", counts.packet_len_err);
        line!(text, "    TTL: {}", counts.ip_ttl_err);
        line!(text, "    Invalid Type: {}", counts.invalid_type_rcvd);
        line!(text, "    Advertisement Interval: {}", counts.advert_interval_err);
        line!(text, "    Address List: {}", counts.addr_list_err);
        line!(text, "  Authentication Errors:");
        line!(text, "    Invalid Type: {}", counts.invalid_authtype);
        line!(text, "    Type Mismatch: {}", counts.authtype_mismatch);
        line!(text, "    Failure: {}", counts.auth_failure);
        line!(text, "  Authentication Extension Errors:");
        line!(text, "    Missing: {}", counts.auth_ext_missing);
        line!(text, "    Malformed: {}", counts.auth_ext_malformed);
        line!(text, "    Unknown Key: {}", counts.auth_ext_unknown_key);
        line!(text, "    Invalid HMAC: {}", counts.auth_ext_invalid_hmac);
        line!(text, "    Stale: {}", counts.auth_ext_stale);
        line!(text, "    Replay: {}", counts.auth_ext_replay);
        line!(text, "  Priority Zero:");
        line!(text, "    Received: {}", counts.pri_zero_rcvd);
        line!(text, "    Sent: {}", counts.pri_zero_sent);
    }
    text.0
}
