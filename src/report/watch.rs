//! `keepalived-rs watch`: a line for each change of state.

use super::LocalText;
use crate::state::VrrpState;
use crate::state::notice::Notice;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// A line for each instance: how it is when somebody begins to watch.
pub fn present(states: &BTreeMap<Arc<str>, VrrpState>, now: SystemTime, local: LocalText) -> String {
    let lines = states
        .iter()
        .map(|(name, state)| format!("{}  {name}  {}\n", local(now), state.as_str()));
    lines.collect()
}

/// An instance has a new state; `before` is none at the start.
pub fn change(
    name: &str,
    before: Option<VrrpState>,
    notice: &Notice,
    now: SystemTime,
    local: LocalText,
) -> String {
    let mut line = format!("{}  {name}  ", local(now));
    if let Some(before) = before.filter(|before| *before != notice.state) {
        let _ = write!(line, "{} -> ", before.as_str());
    }
    let _ = write!(line, "{}, priority {}", notice.state.as_str(), notice.priority);
    if !notice.cause.is_empty() {
        let _ = write!(line, ": {}", notice.cause);
    }
    line
}

/// A reload has removed an instance.
pub fn removed(name: &str, now: SystemTime, local: LocalText) -> String {
    format!("{}  {name}  removed by a reload", local(now))
}

/// The daemon begins to stop.
pub fn stopping(now: SystemTime, local: LocalText) -> String {
    format!("{}  the daemon stops", local(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::notice::What;

    #[test]
    fn the_state_before_and_the_reason_are_told_where_there_are_any() {
        let notice = |state, cause: &str| Notice {
            instance: Some("VI_1".into()),
            group: None,
            state,
            priority: 130,
            peer: None,
            cause: cause.into(),
            what: What::Entering { state, init: false },
        };
        let now = SystemTime::UNIX_EPOCH;
        let local = |_| "NOW".to_owned();
        let line = |before, state, cause| change("VI_1", before, &notice(state, cause), now, &local);
        assert_eq!(
            line(Some(VrrpState::Backup), VrrpState::Master, "the master is silent"),
            "NOW  VI_1  BACKUP -> MASTER, priority 130: the master is silent"
        );
        assert_eq!(
            line(None, VrrpState::Backup, ""),
            "NOW  VI_1  BACKUP, priority 130"
        );
        assert_eq!(
            line(Some(VrrpState::Fault), VrrpState::Fault, ""),
            "NOW  VI_1  FAULT, priority 130"
        );
        let states = BTreeMap::from([("A".into(), VrrpState::Master), ("B".into(), VrrpState::Fault)]);
        assert_eq!(present(&states, now, &local), "NOW  A  MASTER\nNOW  B  FAULT\n");
    }
}
