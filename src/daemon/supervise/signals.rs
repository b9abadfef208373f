//! The signals that the daemon hears.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) struct Signals {
    pub(super) hangup: Signal,
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) data: Signal,
    pub(super) statistics: Signal,
    pub(super) clear: Signal,
    pub(super) json: Signal,
    pub(super) child: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        let raw = |number| signal(SignalKind::from_raw(number));
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            data: signal(SignalKind::user_defined1())?,
            statistics: signal(SignalKind::user_defined2())?,
            clear: raw(libc::SIGRTMAX() - 1)?,
            json: raw(libc::SIGRTMIN() + 2)?,
            child: signal(SignalKind::child())?,
        })
    }
}
