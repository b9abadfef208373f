//! The kernel's process events. They reach the first network namespace only: where this is another one, the
//! socket is opened in that of process 1.

use crate::model::globals::Buffer;
use crate::process::namespace;
use crate::sys::netlink::{self, NetlinkSocket};
use crate::sys::poll;
use crate::wire::process_event::{self, ProcessEvent};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The kernel answers at once, or not at all: in another process or user namespace, or without the feature.
const ANSWER: Duration = Duration::from_millis(500);

/// A socket that hears what processes do.
#[derive(Debug)]
pub(super) struct Events(NetlinkSocket);

impl Events {
    /// Begins to listen, and waits for the kernel's confirmation.
    pub fn open(buffer: Buffer) -> io::Result<Events> {
        match Events::here(buffer) {
            Ok(events) => Ok(events),
            Err(error) => {
                // A thread of its own: a namespace is a property of the thread.
                let elsewhere = std::thread::Builder::new()
                    .name("namespace".to_owned())
                    .spawn(move || namespace::enter("/proc/1/ns/net").and_then(|()| Events::here(buffer)))?;
                // What is said is why it does not work here.
                elsewhere.join().ok().and_then(Result::ok).ok_or(error)
            }
        }
    }

    fn here(buffer: Buffer) -> io::Result<Events> {
        let socket = NetlinkSocket::open(netlink::CONNECTOR, &[process_event::CN_IDX_PROC])?;
        let mut events = Events(socket);
        events.set_buffer(buffer);
        events.0.send(&process_event::listen())?;
        events.confirmed()?;
        Ok(events)
    }

    /// `process_monitor_rcv_bufs`.
    pub fn set_buffer(&self, buffer: Buffer) {
        if buffer.size > 0
            && let Err(error) = self.0.set_receive_buffer(buffer.size, buffer.force)
        {
            tracing::warn!(target: "vrrp", "Cannot set process_monitor_rcv_bufs {}: {error}", buffer.size);
        }
    }

    fn confirmed(&mut self) -> io::Result<()> {
        let end = Instant::now() + ANSWER;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the kernel does not confirm them",
                ));
            }
            poll::readable(&[self.0.as_fd()], Some(left))?;
            while let Some(datagram) = self.0.receive()? {
                for event in process_event::parse(datagram) {
                    match event {
                        ProcessEvent::Confirmed(0) => return Ok(()),
                        ProcessEvent::Confirmed(error) => {
                            return Err(io::Error::from_raw_os_error(error.cast_signed()));
                        }
                        // All processes are read afterwards.
                        _ => {}
                    }
                }
            }
        }
    }

    /// The next events; `None` when there are no more. ENOBUFS: some were lost.
    pub fn receive(&mut self) -> io::Result<Option<Vec<ProcessEvent>>> {
        Ok(self.0.receive()?.map(process_event::parse))
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
