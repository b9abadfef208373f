//! A cable with faults: carries frames between two hub ports and loses those that a rule picks. The kernel of
//! the test machine need not have netem.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{LinkAddr, recvfrom};
use std::os::fd::AsRawFd;

use super::net::{Namespace, Port};
use super::observe::packet_socket;
use super::packet::Seen;

/// Decides whether a frame is lost: what it is (when it is of a kind that tests know), and the direction.
pub type Rule = Box<dyn FnMut(Option<&Seen>, Direction) -> bool + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    LeftToRight,
    RightToLeft,
}

pub struct Forwarder {
    rule: Arc<Mutex<Rule>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Forwarder {
    pub fn start(hub: &Namespace, left: &Port, right: &Port) -> Self {
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_, _| false)));
        let stop = Arc::new(AtomicBool::new(false));
        let sockets = hub.run(|| (packet_socket(&left.name), packet_socket(&right.name)));
        for socket in [&sockets.0, &sockets.1] {
            socket
                .set_read_timeout(Some(Duration::from_millis(50)))
                .expect("a time-out");
        }
        let clones = (
            sockets.0.try_clone().expect("a socket"),
            sockets.1.try_clone().expect("a socket"),
        );
        let threads = [
            (sockets.0, sockets.1, Direction::LeftToRight),
            (clones.1, clones.0, Direction::RightToLeft),
        ]
        .into_iter()
        .map(|(from, to, direction)| {
            let (rule, stop) = (Arc::clone(&rule), Arc::clone(&stop));
            thread::spawn(move || carry(&from, &to, direction, &rule, &stop))
        })
        .collect();
        Self { rule, stop, threads }
    }

    /// From now on, frames for which `rule` says true are lost.
    pub fn lose(&self, rule: impl FnMut(Option<&Seen>, Direction) -> bool + Send + 'static) {
        *self.rule.lock().unwrap_or_else(|e| e.into_inner()) = Box::new(rule);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn carry(
    from: &socket2::Socket,
    to: &socket2::Socket,
    direction: Direction,
    rule: &Mutex<Rule>,
    stop: &AtomicBool,
) {
    let mut buffer = [0_u8; 2048];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, Some(address))) = recvfrom::<LinkAddr>(from.as_raw_fd(), &mut buffer) else {
            continue;
        };
        if address.pkttype() == libc::PACKET_OUTGOING {
            continue;
        }
        let frame = &buffer[..length];
        let seen = Seen::read(0, frame);
        let lost = rule.lock().unwrap_or_else(|e| e.into_inner())(seen.as_ref(), direction);
        if !lost {
            let _ = to.send(frame);
        }
    }
}
