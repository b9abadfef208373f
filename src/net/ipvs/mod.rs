//! IPVS, the kernel's load balancer, over generic netlink: services, their servers, timeouts, and the
//! daemons that synchronize connections.

mod attributes;
pub mod counters;
pub mod errors;
pub mod keeper;
pub mod read;
#[cfg(test)]
mod tests;

pub use read::{Found, FoundDaemon};

use super::channel::Channel;
use super::message::{Answer, Writer, attributes, text_of, u16_at};
use crate::model::globals::{Buffer, LvsTimeouts};
use crate::state::lvs::{DestinationKey, DestinationSettings, Operation, ServiceKey, SyncDaemon};
use crate::state::traffic::{ServerTraffic, Traffic};
use crate::sys::netlink::GENERIC;
use attributes::{Command, cmd};
use std::collections::BTreeMap;
use std::io;

/// Requests that go out with one send: below the socket's send buffer, and their errors below its receive
/// buffer.
const SLICE: usize = 128;
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const FAMILY: &str = "IPVS";
const VERSION: u8 = 1;

/// An open connection to IPVS. It belongs to the network namespace in which it was opened.
#[derive(Debug)]
pub struct Ipvs {
    channel: Channel,
    family: u16,
}

/// An operation that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Place in the slice of operations.
    pub place: usize,
    /// errno.
    pub errno: i32,
    /// What the kernel says about it.
    pub text: Option<String>,
}

impl Ipvs {
    /// Opens it. ENOENT: the kernel has no IPVS (the module ip_vs is not loaded).
    pub fn open(buffer: Buffer) -> io::Result<Ipvs> {
        let mut channel = Channel::open(GENERIC, buffer)?;
        let family = family(&mut channel)?;
        Ok(Ipvs { channel, family })
    }

    /// Makes the changes, in order; one that is refused does not stop the rest.
    pub fn apply(&mut self, operations: &[Operation]) -> io::Result<Vec<Refused>> {
        let mut refused = Vec::new();
        let mut place = 0;
        for slice in operations.chunks(SLICE) {
            let (family, mut sequences) = (self.family, Vec::with_capacity(slice.len()));
            let errors = self.channel.batch(|batch| {
                for operation in slice {
                    let writer = batch.begin(family, 0);
                    attributes::operation(writer, operation);
                    writer.end();
                    sequences.push(batch.sequence());
                }
            })?;
            for answer in errors {
                if let Some(at) = sequences.iter().position(|s| *s == answer.sequence) {
                    refused.push(Refused {
                        place: place + at,
                        errno: answer.errno,
                        text: answer.text,
                    });
                }
            }
            place += slice.len();
        }
        Ok(refused)
    }

    /// All services, each with its settings, without their servers.
    pub fn services(&mut self) -> io::Result<Vec<Found>> {
        let found = std::cell::RefCell::new(Vec::new());
        self.channel.dump(
            self.family,
            |writer| command(writer, cmd::GET_SERVICE),
            || found.borrow_mut().clear(),
            |message| found.borrow_mut().extend(read::service(message.payload)),
        )?;
        Ok(found.into_inner())
    }

    /// Servers of a service. ENOENT or ESRCH: there is no such service.
    pub fn destinations(
        &mut self,
        service: &ServiceKey,
    ) -> io::Result<Vec<(DestinationKey, DestinationSettings, bool)>> {
        let found = std::cell::RefCell::new(Vec::new());
        self.channel.dump(
            self.family,
            |writer| {
                command(writer, cmd::GET_DEST);
                attributes::service(writer, service);
            },
            || found.borrow_mut().clear(),
            |message| {
                found
                    .borrow_mut()
                    .extend(read::destination(message.payload, service));
            },
        )?;
        Ok(found.into_inner())
    }

    /// What went through each service.
    pub fn service_counters(&mut self) -> io::Result<BTreeMap<ServiceKey, Traffic>> {
        let found = std::cell::RefCell::new(BTreeMap::new());
        self.channel.dump(
            self.family,
            |writer| command(writer, cmd::GET_SERVICE),
            || found.borrow_mut().clear(),
            |message| found.borrow_mut().extend(counters::service(message.payload)),
        )?;
        Ok(found.into_inner())
    }

    /// What went to each server of a service. ENOENT or ESRCH: there is no such service.
    pub fn server_counters(
        &mut self,
        service: &ServiceKey,
    ) -> io::Result<BTreeMap<DestinationKey, ServerTraffic>> {
        let found = std::cell::RefCell::new(BTreeMap::new());
        self.channel.dump(
            self.family,
            |writer| {
                command(writer, cmd::GET_DEST);
                attributes::service(writer, service);
            },
            || found.borrow_mut().clear(),
            |message| {
                found
                    .borrow_mut()
                    .extend(counters::destination(message.payload, service));
            },
        )?;
        Ok(found.into_inner())
    }

    /// Removes all services of the namespace, others' too.
    pub fn flush(&mut self) -> io::Result<()> {
        self.one(cmd::FLUSH, |_| {})
    }

    /// Timeouts of connections, seconds.
    pub fn timeouts(&mut self) -> io::Result<LvsTimeouts> {
        let answer = std::cell::Cell::new(LvsTimeouts::default());
        self.ask(cmd::GET_CONFIG, |payload| answer.set(read::timeouts(payload)))?;
        Ok(answer.get())
    }

    /// Sets timeouts of connections; the kernel keeps those that are not given.
    pub fn set_timeouts(&mut self, timeouts: &LvsTimeouts) -> io::Result<()> {
        self.one(cmd::SET_CONFIG, |writer| attributes::timeouts(writer, timeouts))
    }

    /// Starts a synchronization daemon. EEXIST: one of its kind runs.
    pub fn start_daemon(&mut self, daemon: &SyncDaemon) -> io::Result<()> {
        self.one(cmd::NEW_DAEMON, |writer| attributes::daemon(writer, daemon))
    }

    /// Ends one. ESRCH: it does not run.
    pub fn stop_daemon(&mut self, master: bool, id: u8) -> io::Result<()> {
        self.one(cmd::DEL_DAEMON, |writer| {
            attributes::daemon_state(writer, master, id);
        })
    }

    /// Synchronization daemons that run.
    pub fn daemons(&mut self) -> io::Result<Vec<FoundDaemon>> {
        let found = std::cell::RefCell::new(Vec::new());
        self.channel.dump(
            self.family,
            |writer| command(writer, cmd::GET_DAEMON),
            || found.borrow_mut().clear(),
            |message| found.borrow_mut().extend(read::daemon(message.payload)),
        )?;
        Ok(found.into_inner())
    }

    /// Version of IPVS as the kernel has it: major, minor, patch.
    pub fn version(&mut self) -> io::Result<(u8, u8, u8)> {
        let answer = std::cell::Cell::new((0, 0, 0));
        self.ask(cmd::GET_INFO, |payload| answer.set(read::version(payload)))?;
        Ok(answer.get())
    }

    fn one(&mut self, which: Command, write: impl FnOnce(&mut Writer)) -> io::Result<()> {
        let family = self.family;
        let errors = self.channel.batch(|batch| {
            let writer = batch.begin(family, 0);
            command(writer, which);
            write(writer);
            writer.end();
        })?;
        first_error(&errors)
    }

    fn ask(&mut self, which: Command, answer: impl FnMut(&[u8])) -> io::Result<()> {
        let family = self.family;
        let errors = self.channel.ask(
            |batch| {
                let writer = batch.begin(family, 0);
                command(writer, which);
                writer.end();
            },
            answer,
        )?;
        first_error(&errors)
    }
}

fn first_error(errors: &[Answer]) -> io::Result<()> {
    match errors.first() {
        Some(answer) => Err(io::Error::from_raw_os_error(answer.errno)),
        None => Ok(()),
    }
}

fn command(writer: &mut Writer, Command(number): Command) {
    writer.put(&[number, VERSION, 0, 0]);
}

/// Number of the family; the kernel loads the module for it where it may.
fn family(channel: &mut Channel) -> io::Result<u16> {
    let mut family = None;
    let errors = channel.ask(
        |batch| {
            let writer = batch.begin(GENL_ID_CTRL, 0);
            writer.put(&[CTRL_CMD_GETFAMILY, 1, 0, 0]);
            writer.attribute_text(CTRL_ATTR_FAMILY_NAME, FAMILY);
            writer.end();
        },
        |payload| {
            for (kind, value) in attributes(payload, 4) {
                match kind {
                    CTRL_ATTR_FAMILY_ID => family = u16_at(value, 0),
                    CTRL_ATTR_FAMILY_NAME if text_of(value) != FAMILY => return,
                    _ => {}
                }
            }
        },
    )?;
    first_error(&errors)?;
    family.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
}
