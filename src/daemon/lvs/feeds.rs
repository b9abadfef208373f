//! What FILE_CHECK and BFD_CHECK follow: numbers and sessions that other threads look at.

use crate::checkers::Feed;
use crate::model::checker::CheckerKind;
use crate::state::track::{TrackSource, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

#[derive(Debug, Default)]
pub(super) struct Feeds {
    files: BTreeMap<Arc<str>, watch::Sender<Option<i64>>>,
    sessions: BTreeMap<Arc<str>, watch::Sender<Option<bool>>>,
}

impl Feeds {
    /// Something has changed.
    pub fn tell(&mut self, source: TrackSource, verdict: Verdict) {
        match (source, verdict) {
            (TrackSource::File(name), Verdict::Value(value)) => {
                set(self.files.entry(name).or_default(), value);
            }
            (TrackSource::Bfd(name), verdict) => {
                set(self.sessions.entry(name).or_default(), verdict == Verdict::Up);
            }
            _ => {}
        }
    }

    /// What a checker of this kind follows.
    pub fn of(&mut self, kind: &CheckerKind) -> Feed {
        match kind {
            CheckerKind::File(file) => Feed::File(
                self.files
                    .entry(file.file.as_str().into())
                    .or_default()
                    .subscribe(),
            ),
            CheckerKind::Bfd { name } => {
                Feed::Bfd(self.sessions.entry(name.as_str().into()).or_default().subscribe())
            }
            _ => Feed::None,
        }
    }
}

fn set<T: PartialEq>(sender: &watch::Sender<Option<T>>, value: T) {
    sender.send_if_modified(|held| {
        let new = held.as_ref() != Some(&value);
        *held = Some(value);
        new
    });
}
