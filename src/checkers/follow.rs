//! FILE_CHECK and BFD_CHECK: they follow what others look at.

use super::{Desk, Feed};
use crate::model::lvs::FileCheck;
use crate::state::check::CheckVerdict;
use tokio::sync::watch;
use tracing::info;

/// A file that would take more than this from the weight of a real server takes it down.
const LIMIT: i64 = 65535;

/// FILE_CHECK: the value times the weight is added to the weight of the real server; a weight of 0 makes any
/// value but 0 a failure.
pub(super) async fn file(mut desk: Box<Desk>, check: &FileCheck) {
    let Feed::File(mut value) = std::mem::take(&mut desk.job.feed) else {
        return std::future::pending().await;
    };
    loop {
        let now = *value.borrow_and_update();
        if let Some(number) = now {
            let verdict = judge(check, number);
            let weight = match verdict {
                CheckVerdict::Weight(weight) => weight,
                _ => 0,
            };
            settle(&desk, !matches!(verdict, CheckVerdict::Down { .. }), weight);
            desk.report(verdict);
        }
        changed(&desk, &mut value).await;
    }
}

/// BFD_CHECK: up when the session is.
pub(super) async fn bfd(mut desk: Box<Desk>, name: &str) {
    let Feed::Bfd(mut session) = std::mem::take(&mut desk.job.feed) else {
        return std::future::pending().await;
    };
    loop {
        let now = *session.borrow_and_update();
        if let Some(up) = now {
            let was_up = desk.standing().up;
            settle(&desk, up, 0);
            if up != was_up {
                let word = if up { "UP" } else { "DOWN" };
                info!(target: "checkers", "BFD check of [{name}] RS({}) is {word}", desk.job.real_server);
            }
            desk.report(if up {
                CheckVerdict::Up
            } else {
                CheckVerdict::Down {
                    reason: format!("BFD session {name} is down"),
                }
            });
        }
        changed(&desk, &mut session).await;
    }
}

fn judge(check: &FileCheck, value: i64) -> CheckVerdict {
    let down = |reason: String| CheckVerdict::Down { reason };
    if check.weight == 0 {
        return if (value == 0) == check.reverse {
            down(format!("track_file {} has {value}", check.file))
        } else {
            CheckVerdict::Up
        };
    }
    let weight = value.saturating_mul(i64::from(check.weight));
    let weight = if check.reverse {
        weight.saturating_neg()
    } else {
        weight
    };
    if weight < -LIMIT {
        return down(format!(
            "track_file {} has {value}: it takes all weight",
            check.file
        ));
    }
    CheckVerdict::Weight(weight.min(LIMIT))
}

fn settle(desk: &Desk, up: bool, weight: i64) {
    let mut standing = desk.standing();
    (standing.up, standing.has_run, standing.weight) = (up, true, weight);
}

async fn changed<T>(desk: &Desk, value: &mut watch::Receiver<T>) {
    tokio::select! {
        changed = value.changed() => if changed.is_err() {
            // Nobody looks any more: nothing will change.
            desk.reports.closed().await;
            std::future::pending::<()>().await;
        },
        () = desk.reports.closed() => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_comes_to() {
        let word = |weight, reverse, value| {
            let check = FileCheck {
                file: "f".to_owned(),
                weight,
                reverse,
            };
            match judge(&check, value) {
                CheckVerdict::Up => "up".to_owned(),
                CheckVerdict::Down { .. } => "down".to_owned(),
                CheckVerdict::Weight(weight) => weight.to_string(),
            }
        };
        assert_eq!([word(0, false, 0), word(0, false, 5)], ["up", "down"]);
        assert_eq!([word(0, true, 0), word(0, true, -5)], ["down", "up"]);
        assert_eq!([word(2, false, 5), word(2, true, 5)], ["10", "-10"]);
        assert_eq!([word(-1, false, 7), word(1, false, -7)], ["-7", "-7"]);
        assert_eq!(
            [word(1, false, -65535), word(1, false, -65536)],
            ["-65535", "down"]
        );
        assert_eq!(word(253, false, i64::MAX), "65535");
        assert_eq!(word(253, true, i64::MIN), "65535");
    }
}
