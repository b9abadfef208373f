//! What passes on a segment: every frame with the kernel's receive stamp, our own reading of it for times and
//! counts, and tcpdump's reading of the same frames for what operators would see.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::net::Namespace;
use super::now_ns;
pub use super::packet::Seen;

/// One frame from the wire.
#[derive(Clone)]
pub struct Frame {
    /// The kernel's receive stamp: wall clock, nanoseconds.
    pub at: i64,
    pub bytes: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    frames: Mutex<Vec<Frame>>,
    news: Condvar,
    stop: AtomicBool,
}

/// Records until it goes.
pub struct Observer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    dir: PathBuf,
}

impl Observer {
    pub fn start(space: &Namespace, interface: &str, dir: &Path) -> Self {
        let socket = space.run(|| packet_socket(interface));
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("receive stamps");
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20));
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a time-out");
        let shared = Arc::new(Shared::default());
        let to = Arc::clone(&shared);
        let thread = thread::spawn(move || record(&socket, &to));
        Self {
            shared,
            thread: Some(thread),
            dir: dir.to_owned(),
        }
    }

    pub fn frames(&self) -> Vec<Frame> {
        self.shared
            .frames
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .clone()
    }

    /// What was seen since `from` (0: since the start), as far as it is of interest.
    pub fn seen_since(&self, from: i64) -> Vec<Seen> {
        let frames = self.shared.frames.lock().unwrap_or_else(|e| e.into_inner());
        frames
            .iter()
            .filter(|frame| frame.at >= from)
            .filter_map(|frame| Seen::read(frame.at, &frame.bytes))
            .collect()
    }

    /// Waits until a frame that came at or after `from` is what `wanted` looks for.
    #[track_caller]
    pub fn wait(&self, what: &str, from: i64, bound: Duration, wanted: impl FnMut(&Seen) -> bool) -> Seen {
        self.wait_nth(what, from, 1, bound, wanted)
    }

    /// As [`Observer::wait`], for the `nth` such frame.
    #[track_caller]
    pub fn wait_nth(
        &self,
        what: &str,
        from: i64,
        nth: usize,
        bound: Duration,
        mut wanted: impl FnMut(&Seen) -> bool,
    ) -> Seen {
        let end = Instant::now() + bound;
        let mut frames = self.shared.frames.lock().unwrap_or_else(|e| e.into_inner());
        let (mut next, mut count) = (0, 0);
        loop {
            while let Some(frame) = frames.get(next) {
                next += 1;
                if frame.at < from {
                    continue;
                }
                if let Some(seen) = Seen::read(frame.at, &frame.bytes).filter(|seen| wanted(seen)) {
                    count += 1;
                    if count == nth {
                        return seen;
                    }
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(frames);
                panic!(
                    "not seen within {bound:?}: {what} ({count} of {nth}); the last frames:\n{}",
                    self.tail()
                );
            }
            frames = self
                .shared
                .news
                .wait_timeout(frames, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
    }

    /// Longest time between two adverts of `vrid` from `source` within a period; `until` 0 is now. The time
    /// from the last advert to the end of the period counts too.
    pub fn longest_gap(&self, vrid: u8, source: &str, from: i64, until: i64) -> Duration {
        let until = if until == 0 { now_ns() } else { until };
        let mut last = from;
        let mut longest = 0;
        for seen in self.seen_since(from) {
            if seen.at <= until && seen.is_advert(vrid) && seen.source() == source {
                longest = longest.max(seen.at - last);
                last = seen.at;
            }
        }
        Duration::from_nanos(u64::try_from(longest.max(until - last)).unwrap_or(0))
    }

    /// tcpdump's reading of the frames since `from`, one line a frame (more with `-v`).
    pub fn tcpdump(&self, from: i64, args: &[&str]) -> Vec<String> {
        let path = self.dir.join(format!("capture-{}.pcap", now_ns()));
        std::fs::write(&path, self.pcap(from)).expect("own file");
        let out = Command::new("tcpdump")
            .args(["-n", "-r"])
            .arg(&path)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("tcpdump: {error}"));
        assert!(
            out.status.success(),
            "tcpdump: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8_lossy(&out.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn tail(&self) -> String {
        let seen = self.seen_since(0);
        seen.iter()
            .rev()
            .take(30)
            .rev()
            .map(|seen| format!("    {seen:?}\n"))
            .collect()
    }

    /// The pcap file format, with nanoseconds and link type Ethernet.
    fn pcap(&self, from: i64) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [0xa1b2_3c4d_u32, 4 << 16 | 2, 0, 0, 65535, 1] {
            let _ = out.write_all(&word.to_le_bytes());
        }
        for frame in self.frames().iter().filter(|frame| frame.at >= from) {
            let length = u32::try_from(frame.bytes.len()).unwrap_or(0);
            let second = u32::try_from(frame.at / 1_000_000_000).unwrap_or(0);
            let nano = u32::try_from(frame.at % 1_000_000_000).unwrap_or(0);
            for word in [second, nano, length, length] {
                let _ = out.write_all(&word.to_le_bytes());
            }
            out.extend_from_slice(&frame.bytes);
        }
        out
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn record(socket: &Socket, shared: &Shared) {
    let mut buffer = vec![0_u8; 2048];
    let mut control = nix::cmsg_space!(TimeSpec);
    while !shared.stop.load(Ordering::Relaxed) {
        let mut parts = [std::io::IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<LinkAddr>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        );
        let Ok(message) = received else { continue };
        let stamps = message.cmsgs().into_iter().flatten();
        let stamp = stamps
            .filter_map(|c| {
                if let ControlMessageOwned::ScmTimestampns(t) = c {
                    Some(t)
                } else {
                    None
                }
            })
            .next();
        let at = stamp.map_or_else(now_ns, |t| t.tv_sec() * 1_000_000_000 + t.tv_nsec());
        let length = message.bytes;
        let frame = Frame {
            at,
            bytes: buffer[..length].to_vec(),
        };
        shared
            .frames
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(frame);
        shared.news.notify_all();
    }
}

/// A packet socket on one interface of the calling thread's namespace, hearing everything there.
pub fn packet_socket(interface: &str) -> Socket {
    let every = u16::to_be(0x0003); // ETH_P_ALL
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))
        .expect("a packet socket (needs root)");
    let index =
        nix::net::if_::if_nametoindex(interface).unwrap_or_else(|error| panic!("{interface}: {error}"));
    let index = i32::try_from(index).expect("an interface index");
    // SAFETY: a sockaddr_ll is smaller than the zeroed storage, and its length is what is set.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let link = libc::sockaddr_ll {
                sll_family: libc::AF_PACKET as u16,
                sll_protocol: every,
                sll_ifindex: index,
                sll_hatype: 0,
                sll_pkttype: 0,
                sll_halen: 0,
                sll_addr: [0; 8],
            };
            storage.cast::<libc::sockaddr_ll>().write(link);
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    }
    .expect("a link address");
    // Promiscuous before it hears: an otherwise deaf bridge passes up what is for others too.
    let member = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    // SAFETY: the option's value is a packet_mreq, of which pointer and size are given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const member).cast(),
            size_of::<libc::packet_mreq>() as libc::socklen_t,
        )
    };
    assert_eq!(done, 0, "{interface}: promiscuous mode");
    socket
        .bind(&address)
        .unwrap_or_else(|error| panic!("{interface}: {error}"));
    socket
}
