//! What a mail says about the verdict of a checker, in keepalived's words.

use crate::model::checker::CheckerKind;
use crate::state::check::CheckVerdict;

/// The text between the arrows.
pub fn text(kind: &CheckerKind, verdict: &CheckVerdict) -> String {
    let reason = match verdict {
        CheckVerdict::Down { reason } => Some(reason),
        CheckVerdict::Up | CheckVerdict::Weight(_) => None,
    };
    let outcome = if reason.is_none() { "succeed" } else { "failed" };
    let longer = if reason.is_none() { "succeeded" } else { "failed" };
    match (kind, reason) {
        (CheckerKind::Tcp(_), _) => format!("TCP CHECK {outcome} on service"),
        (CheckerKind::Udp(_), _) => format!("UDP CHECK {outcome} on service"),
        (CheckerKind::Ping(_), _) => format!("ICMP CHECK {outcome} on service"),
        (CheckerKind::Dns(_), _) => format!("DNS_CHECK: {outcome} on service"),
        (CheckerKind::Misc { .. }, _) => format!("MISC CHECK {longer} on service"),
        (CheckerKind::Bfd { .. }, _) => format!("BFD CHECK {longer} on service"),
        (_, None) => "CHECK succeed on service".to_owned(),
        (CheckerKind::Http(_), _) => "CHECK failed on service : HTTP/SSL request failed".to_owned(),
        (CheckerKind::Smtp { .. }, Some(reason)) => format!("CHECK failed on service : {reason}"),
        _ => "CHECK failed on service".to_owned(),
    }
}
