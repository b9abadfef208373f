//! Requests to the kernel over netlink: dumps, and batches of which only the last request is acknowledged.
//!
//! The kernel works on a request while it is sent, so that nothing here waits for an event: what it has to
//! say can be received as soon as `send` returns.

use super::message::{Answer, Message, Writer, messages};
use crate::model::globals::Buffer;
use crate::sys::netlink::NetlinkSocket;
use std::io;

/// A dump is repeated this often when the kernel says that it changed meanwhile.
const DUMP_ATTEMPTS: u32 = 5;
const NLM_F_DUMP_INTR: u16 = 0x10;

/// What is sent at once and is longer needs a larger send buffer than the kernel's default, bytes.
const LARGE: usize = 64 * 1024;

/// A socket for requests.
#[derive(Debug)]
pub struct Channel {
    socket: NetlinkSocket,
    sequence: u32,
    writer: Writer,
}

/// Requests that go out with one send.
#[derive(Debug)]
pub struct Batch<'a> {
    writer: &'a mut Writer,
    sequence: &'a mut u32,
    acknowledged: Option<u32>,
}

impl Batch<'_> {
    /// Begins a request; returns the writer for the rest of it, which the caller ends.
    pub fn begin(&mut self, kind: u16, flags: i32) -> &mut Writer {
        *self.sequence = self.sequence.wrapping_add(1);
        self.writer.begin(kind, flags, *self.sequence);
        self.writer
    }

    /// Asks for an acknowledgement of the last request. Without this the last one of the batch has it.
    pub fn acknowledge(&mut self) {
        self.writer.acknowledge();
        self.acknowledged = Some(*self.sequence);
    }

    /// Sequence number of the last request.
    pub fn sequence(&self) -> u32 {
        *self.sequence
    }
}

impl Channel {
    /// Opens it. `buffer` is the receive buffer.
    pub fn open(protocol: i32, buffer: Buffer) -> io::Result<Channel> {
        let socket = NetlinkSocket::open(protocol, &[])?;
        if buffer.size > 0 {
            socket.set_receive_buffer(buffer.size, buffer.force)?;
        }
        Ok(Channel {
            socket,
            sequence: 0,
            writer: Writer::default(),
        })
    }

    /// Port id: notifications of what is changed through this channel carry it.
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Asks for everything of a kind and hands over each message. `header` is the family's header.
    pub fn dump(
        &mut self,
        kind: u16,
        write: impl Fn(&mut Writer),
        mut begin: impl FnMut(),
        mut each: impl FnMut(&Message<'_>),
    ) -> io::Result<()> {
        for attempt in 1..=DUMP_ATTEMPTS {
            begin();
            self.sequence = self.sequence.wrapping_add(1);
            self.writer.clear();
            self.writer.begin(kind, libc::NLM_F_DUMP, self.sequence);
            write(&mut self.writer);
            self.writer.end();
            self.forget_rest();
            self.socket.send(self.writer.bytes())?;
            let mut interrupted = false;
            let sequence = self.sequence;
            let mut done = None;
            while done.is_none() {
                let Some(bytes) = self.socket.receive()? else {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "netlink dump without an end",
                    ));
                };
                for message in messages(bytes).filter(|message| message.sequence == sequence) {
                    interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                    match Answer::read(&message) {
                        Some(answer) => done = Some(answer.errno),
                        None => each(&message),
                    }
                }
            }
            if let Some(errno) = done.filter(|errno| *errno != 0) {
                return Err(io::Error::from_raw_os_error(errno));
            }
            if !interrupted || attempt == DUMP_ATTEMPTS {
                break;
            }
        }
        Ok(())
    }

    /// Sends the requests that `write` writes, one of them with an acknowledgement, and returns the
    /// answers that report an error, by sequence number. An error of the call itself means that it is not
    /// known what was done.
    pub fn batch(&mut self, write: impl FnOnce(&mut Batch<'_>)) -> io::Result<Vec<Answer>> {
        self.ask(write, |_| {})
    }

    /// The same, for requests that are answered with a message: `each` gets the payload of each.
    pub fn ask(
        &mut self,
        write: impl FnOnce(&mut Batch<'_>),
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<Vec<Answer>> {
        self.writer.clear();
        let before = self.sequence;
        let mut batch = Batch {
            writer: &mut self.writer,
            sequence: &mut self.sequence,
            acknowledged: None,
        };
        write(&mut batch);
        if *batch.sequence == before {
            return Ok(Vec::new());
        }
        if batch.acknowledged.is_none() {
            batch.acknowledge();
        }
        let acknowledged = batch.acknowledged;
        self.forget_rest();
        let length = self.writer.bytes().len();
        if length > LARGE {
            self.socket.set_send_buffer(length * 2)?;
        }
        self.socket.send(self.writer.bytes())?;
        let mut errors = Vec::new();
        loop {
            let Some(bytes) = self.socket.receive()? else {
                // nftables answers a batch that it refuses as a whole at its first message only.
                if !errors.is_empty() {
                    return Ok(errors);
                }
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "netlink request without an answer",
                ));
            };
            let mut last = false;
            for message in messages(bytes) {
                // Distance from the first request; what is older belongs to an earlier batch.
                let place = message.sequence.wrapping_sub(before).wrapping_sub(1);
                if place >= self.sequence.wrapping_sub(before) {
                    continue;
                }
                let Some(answer) = Answer::read(&message) else {
                    each(message.payload);
                    continue;
                };
                last |= Some(answer.sequence) == acknowledged;
                if answer.errno != 0 {
                    errors.push(answer);
                }
            }
            if last {
                return Ok(errors);
            }
        }
    }

    /// Answers of an earlier request that ended with an error.
    fn forget_rest(&mut self) {
        while matches!(self.socket.receive(), Ok(Some(_)) | Err(_)) {}
    }
}
