//! A host that pings an address at a steady rate and counts what comes back.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::net::Host;

pub struct Ping {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Count>>,
}

/// How many echo requests were sent, and how many of them answered.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    pub sent: usize,
    pub answered: usize,
}

impl Count {
    pub fn lost(self) -> usize {
        self.sent - self.answered
    }
}

impl Ping {
    /// Pings from now on, once every `interval`.
    pub fn start(host: &Host, address: &str, interval: Duration) -> Self {
        let address: Ipv4Addr = address.parse().expect("an IPv4 address");
        let socket = host.space().run(|| {
            Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).expect("a raw socket (needs root)")
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || ping(&socket, address, interval, &stopped));
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// So many pings, one every `interval`.
    pub fn times(host: &Host, address: &str, interval: Duration, times: u32) -> Count {
        let ping = Self::start(host, address, interval);
        thread::sleep(interval * times); // the pings are paced by the clock: there is no event to wait for
        ping.finish()
    }

    /// Stops sending, gives the last one a moment, and counts.
    pub fn finish(mut self) -> Count {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .expect("the pinging thread")
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ping(socket: &Socket, address: Ipv4Addr, interval: Duration, stop: &AtomicBool) -> Count {
    let target = SocketAddrV4::new(address, 0).into();
    let mut sent = 0_u16;
    let mut answered = BTreeSet::new();
    let mut due = Instant::now();
    let grace = Duration::from_millis(500);
    let mut end = None;
    while end.is_none_or(|end| Instant::now() < end) {
        if end.is_none() && stop.load(Ordering::Relaxed) {
            end = Some(Instant::now() + grace);
        }
        if end.is_none() && Instant::now() >= due {
            sent += 1;
            // A host without a route or a neighbour loses the ping like any other.
            let _ = socket.send_to(&request(sent), &target);
            due += interval;
        }
        let _ = socket.set_read_timeout(Some(Duration::from_millis(10)));
        let mut buffer = [MaybeUninit::<u8>::uninit(); 256];
        let Ok((length, _)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        // SAFETY: the kernel has written the first `length` bytes.
        let packet: Vec<u8> = buffer[..length]
            .iter()
            .map(|byte| unsafe { byte.assume_init() })
            .collect();
        if packet.get(12..16) == Some(&address.octets())
            && packet.get(20) == Some(&0)
            && let Some(&[high, low]) = packet.get(26..28)
        {
            answered.insert(u16::from_be_bytes([high, low]));
        }
    }
    Count {
        sent: usize::from(sent),
        answered: answered.len(),
    }
}

fn request(number: u16) -> [u8; 8] {
    let mut packet = [8, 0, 0, 0, 0x4b, 0x52, 0, 0];
    packet[6..8].copy_from_slice(&number.to_be_bytes());
    let mut sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    sum = (sum & 0xffff) + (sum >> 16);
    packet[2..4].copy_from_slice(&(!u16::try_from(sum).unwrap_or(0)).to_be_bytes());
    packet
}
