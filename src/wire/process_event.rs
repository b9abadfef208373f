//! Messages of the kernel's process connector (linux/cn_proc.h): netlink header, connector header, event.

/// The connector's group and index for processes.
pub const CN_IDX_PROC: u32 = 1;

const NETLINK_HEADER: usize = 16;
const CONNECTOR_HEADER: usize = 20;
/// `what`, `cpu`, `timestamp_ns`.
const EVENT_HEADER: usize = 16;

mod what {
    pub const NONE: u32 = 0;
    pub const FORK: u32 = 1;
    pub const EXEC: u32 = 2;
    pub const COMM: u32 = 0x200;
    pub const EXIT: u32 = 0x8000_0000;
}

/// What a process did. Threads are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEvent {
    /// The kernel's answer to [`listen`]: 0, or an error number.
    Confirmed(u32),
    /// A new process, so far the same as its parent.
    Fork {
        /// Of whom.
        parent: i32,
        /// The new one.
        child: i32,
    },
    /// It runs another program.
    Exec(i32),
    /// It has another name.
    Name(i32),
    /// It has ended.
    Exit(i32),
}

/// The request to be told of events.
pub fn listen() -> Vec<u8> {
    const LISTEN: u32 = 1;
    const NLMSG_DONE: u16 = 3;
    let length = NETLINK_HEADER + CONNECTOR_HEADER + 4;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(NLMSG_DONE.to_ne_bytes());
    // Flags, sequence and port id; then index and value, sequence and acknowledgement of the connector.
    bytes.extend([0; 10]);
    bytes.extend(CN_IDX_PROC.to_ne_bytes());
    bytes.extend(1u32.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(4u16.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(LISTEN.to_ne_bytes());
    bytes
}

/// All events of a datagram. What is not understood is passed over.
pub fn parse(datagram: &[u8]) -> Vec<ProcessEvent> {
    let mut events = Vec::new();
    let mut rest = datagram;
    while let Some(length) = word(rest, 0) {
        let length = length as usize;
        if length < NETLINK_HEADER || length > rest.len() {
            break;
        }
        let (message, after) = rest.split_at(length);
        events.extend(event(&message[NETLINK_HEADER..]));
        // Messages begin at multiples of four.
        rest = after.get((4 - length % 4) % 4..).unwrap_or_default();
    }
    events
}

fn event(message: &[u8]) -> Option<ProcessEvent> {
    if word(message, 0)? != CN_IDX_PROC || word(message, 4)? != 1 {
        return None;
    }
    let event = message.get(CONNECTOR_HEADER..)?;
    let data = event.get(EVENT_HEADER..)?;
    let id = |at: usize| word(data, at).and_then(|id| i32::try_from(id).ok());
    // The main thread stands for its process.
    let process = || id(0).filter(|thread| id(4) == Some(*thread));
    match word(event, 0)? {
        what::NONE => Some(ProcessEvent::Confirmed(word(data, 0)?)),
        what::FORK => {
            let (parent, thread, child) = (id(4)?, id(8)?, id(12)?);
            (thread == child).then_some(ProcessEvent::Fork { parent, child })
        }
        what::EXEC => process().map(ProcessEvent::Exec),
        what::COMM => process().map(ProcessEvent::Name),
        what::EXIT => process().map(ProcessEvent::Exit),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(what: u32, data: &[u32]) -> Vec<u8> {
        let mut body = Vec::new();
        for n in [CN_IDX_PROC, 1, 7, 0, 40, what, 0, 99, 0].iter().chain(data) {
            body.extend(n.to_ne_bytes());
        }
        let mut bytes = ((body.len() + 16) as u32).to_ne_bytes().to_vec();
        bytes.extend([0; 12]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn processes_and_not_their_threads() {
        for (what, data, expected) in [
            (0, vec![0], Some(ProcessEvent::Confirmed(0))),
            (
                1,
                vec![10, 10, 11, 11],
                Some(ProcessEvent::Fork {
                    parent: 10,
                    child: 11,
                }),
            ),
            // By a thread of 10.
            (
                1,
                vec![12, 10, 13, 13],
                Some(ProcessEvent::Fork {
                    parent: 10,
                    child: 13,
                }),
            ),
            (1, vec![10, 10, 14, 10], None),
            (2, vec![11, 11], Some(ProcessEvent::Exec(11))),
            (0x200, vec![11, 11, 0, 0, 0, 0], Some(ProcessEvent::Name(11))),
            (0x200, vec![14, 10, 0, 0, 0, 0], None),
            (0x8000_0000, vec![11, 11, 0, 0], Some(ProcessEvent::Exit(11))),
            (0x8000_0000, vec![14, 10, 0, 0], None),
            (4, vec![11, 11, 0, 0], None),
        ] {
            let seen = parse(&message(what, &data));
            assert_eq!(seen, Vec::from_iter(expected), "{what} {data:?}");
        }
        let mut two = message(2, &[5, 5]);
        two.extend(message(0x8000_0000, &[5, 5, 0, 0]));
        assert_eq!(parse(&two), [ProcessEvent::Exec(5), ProcessEvent::Exit(5)]);
    }

    #[test]
    fn the_request_is_forty_bytes() {
        let request = listen();
        assert_eq!(request.len(), 40);
        assert_eq!(word(&request, 0), Some(40));
        assert_eq!(word(&request, 16), Some(CN_IDX_PROC));
        assert_eq!(word(&request, 36), Some(1));
    }

    proptest! {
        #[test]
        fn anything(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..80) {
            parse(&bytes);
            let whole = message(1, &[1, 1, 2, 2]);
            parse(&whole[..cut.min(whole.len())]);
        }
    }
}
