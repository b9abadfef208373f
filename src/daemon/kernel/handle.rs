//! The other end: what the rest of the daemon holds of the kernel's thread.

use super::{BEFORE_TAKEOVER, NEVER};
use crate::net::adverts::{AdvertSockets, SocketSpec};
use crate::state::kernel::KernelRequest;
use crate::sys::{clock, poll, schedule};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

/// Requests to announce that may wait; more are dropped, since each repeats what is pending anyway.
const MOST_ANNOUNCES: usize = 4096;

/// What the VRRP thread still has to do before this one goes on.
pub(super) const ADVERTS: u8 = 1;
pub(super) const LINES: u8 = 2;

/// No processor.
pub(super) const NOWHERE: usize = usize::MAX;

/// Sockets for one spec, or why there are none.
pub type Opened = (SocketSpec, io::Result<AdvertSockets>);

pub(super) enum Order {
    Request(KernelRequest),
    Open {
        specs: Vec<(SocketSpec, u32)>,
        done: Box<dyn FnOnce(Vec<Opened>) + Send>,
    },
    Close(Vec<AdvertSockets>),
}

/// Talks to the kernel thread. Nothing here waits.
#[derive(Clone)]
pub struct KernelHandle {
    pub(super) orders: Sender<Order>,
    pub(super) waker: Arc<poll::Waker>,
    pub(super) announces: Arc<AtomicUsize>,
    pub(super) expected: Arc<Expected>,
    pub(super) owed: Arc<AtomicU8>,
}

/// When the next takeover is due if no advert arrives before, on CLOCK_MONOTONIC.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) at: AtomicU64,
    /// The thread sleeps until then, or until it is woken.
    pub(super) asleep_until: AtomicU64,
    /// The processor on which the VRRP thread awaits it, or [`NOWHERE`].
    pub(super) processor: AtomicUsize,
}

impl std::fmt::Debug for KernelHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KernelHandle")
    }
}

impl KernelHandle {
    /// Orders something. Orders are begun in the order in which they are given.
    pub fn send(&self, request: KernelRequest) {
        if matches!(request, KernelRequest::Announce { .. })
            && self.announces.fetch_add(1, Ordering::Relaxed) >= MOST_ANNOUNCES
        {
            self.announces.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.order(Order::Request(request));
    }

    /// The thread works, or looks for work: an order costs no system call that matters, and is begun on another
    /// processor than the caller's.
    pub fn is_awake(&self) -> bool {
        self.expected.asleep_until.load(Ordering::SeqCst) <= clock::monotonic()
    }

    /// As [`KernelHandle::send`], before the adverts that belong to the orders have gone out and the lines that
    /// explain them are written. The thread announces nothing before [`KernelHandle::adverts_sent`], and writes
    /// lines of its own after [`KernelHandle::lines_written`].
    pub fn send_ahead(&self, request: KernelRequest) {
        self.owed.store(ADVERTS | LINES, Ordering::Release);
        self.send(request);
    }

    /// See [`KernelHandle::send_ahead`].
    pub fn adverts_sent(&self) {
        self.owed.fetch_and(!ADVERTS, Ordering::Release);
    }

    /// See [`KernelHandle::send_ahead`].
    pub fn lines_written(&self) {
        self.owed.store(0, Ordering::Release);
    }

    /// The moment of the next takeover, unless an advert arrives before: the thread is awake then. Costs a
    /// system call only when the moment is earlier than the thread would wake up by itself.
    pub fn expect(&self, at: Option<u64>) {
        let at = at.unwrap_or(NEVER);
        self.expected.at.store(at, Ordering::SeqCst);
        if at != NEVER
            && at.saturating_sub(BEFORE_TAKEOVER) < self.expected.asleep_until.load(Ordering::SeqCst)
        {
            self.waker.wake();
        }
    }

    /// The calling thread is awake on the processor that it runs on, and does not want to share it.
    pub fn await_here(&self) {
        let here = schedule::processor().unwrap_or(NOWHERE);
        self.expected.processor.store(here, Ordering::Relaxed);
    }

    /// Opens advert sockets and joins their groups, each with its receive buffer in bytes (0 is the kernel's
    /// default); `done` is called on the kernel thread.
    pub fn open_sockets(
        &self,
        specs: Vec<(SocketSpec, u32)>,
        done: impl FnOnce(Vec<Opened>) + Send + 'static,
    ) {
        self.order(Order::Open {
            specs,
            done: Box::new(done),
        });
    }

    /// Closes sockets: leaving a group takes the rtnl lock too, so that dropping them elsewhere can wait.
    pub fn close_sockets(&self, sockets: Vec<AdvertSockets>) {
        self.order(Order::Close(sockets));
    }

    fn order(&self, order: Order) {
        // The thread ends only after Stop; what is asked for later has no one to ask for it.
        let _ = self.orders.send(order);
        self.waker.wake();
    }
}
