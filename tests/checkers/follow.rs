//! FILE_CHECK, BFD_CHECK.

use crate::support::*;
use keepalived_rs::checkers::{Feed, Job};
use keepalived_rs::model::lvs::{CheckerKind, FileCheck};
use tokio::sync::watch;

#[test]
fn a_file() {
    let (value, follows) = watch::channel(None);
    let make = |()| Job {
        feed: Feed::File(follows),
        ..job(checker(CheckerKind::File(FileCheck {
            file: "load".to_owned(),
            weight: 2,
            reverse: false,
        })))
    };
    with(make, |mut watch| async move {
        value.send(Some(5)).expect("a checker");
        assert_eq!(watch.verdict().await, "weight 10");
        value.send(Some(-1)).expect("a checker");
        assert_eq!(watch.verdict().await, "weight -2");
        assert_eq!(watch.standing.lock().expect("no panic").weight, -2);
        value.send(Some(-65535)).expect("a checker");
        assert!(watch.verdict().await.starts_with("down: track_file load"));
        assert_eq!(watch.lines.all(), Vec::<String>::new());
    });
}

#[test]
fn a_bfd_session() {
    let (session, follows) = watch::channel(None);
    let make = |()| Job {
        feed: Feed::Bfd(follows),
        ..job(checker(CheckerKind::Bfd {
            name: "b1".to_owned(),
        }))
    };
    with(make, |mut watch| async move {
        session.send(Some(false)).expect("a checker");
        assert_eq!(watch.verdict().await, "down: BFD session b1 is down");
        session.send(Some(true)).expect("a checker");
        assert_eq!(watch.verdict().await, "up");
        assert_eq!(
            watch.lines.all(),
            [
                format!("BFD check of [b1] RS({RS}) is DOWN"),
                format!("BFD check of [b1] RS({RS}) is UP"),
            ]
        );
    });
}
