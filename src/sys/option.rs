//! Socket options that socket2 and nix do not have.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

/// Sets an option whose value is an int.
pub fn set_int(fd: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set(fd, level, name, &value)
}

/// SO_RCVBUF, or SO_RCVBUFFORCE which goes past the system's limit (CAP_NET_ADMIN).
pub fn set_receive_buffer(fd: &impl AsFd, bytes: u32, force: bool) -> io::Result<()> {
    let value = i32::try_from(bytes).unwrap_or(i32::MAX);
    let name = if force {
        libc::SO_RCVBUFFORCE
    } else {
        libc::SO_RCVBUF
    };
    set_int(fd, libc::SOL_SOCKET, name, value)
}

/// IP_MULTICAST_IF by interface index.
pub fn set_multicast_interface_v4(fd: &impl AsFd, index: u32) -> io::Result<()> {
    set(
        fd,
        libc::IPPROTO_IP,
        libc::IP_MULTICAST_IF,
        &mreqn(Ipv4Addr::UNSPECIFIED, index),
    )
}

/// IP_ADD_MEMBERSHIP by interface index. Takes the kernel's rtnl lock: it can wait for long.
pub fn join_v4(fd: &impl AsFd, group: Ipv4Addr, index: u32) -> io::Result<()> {
    set(
        fd,
        libc::IPPROTO_IP,
        libc::IP_ADD_MEMBERSHIP,
        &mreqn(group, index),
    )
}

/// IPV6_ADD_MEMBERSHIP. Takes the kernel's rtnl lock: it can wait for long.
pub fn join_v6(fd: &impl AsFd, group: Ipv6Addr, index: u32) -> io::Result<()> {
    let request = libc::ipv6_mreq {
        ipv6mr_multiaddr: libc::in6_addr {
            s6_addr: group.octets(),
        },
        ipv6mr_interface: index,
    };
    set(fd, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request)
}

/// SO_ATTACH_FILTER with a program that drops every packet, for a socket that only sends.
pub fn drop_all(fd: &impl AsFd) -> io::Result<()> {
    const BPF_RET_K: u16 = 0x06;
    attach_filter(
        fd,
        &mut [libc::sock_filter {
            code: BPF_RET_K,
            jt: 0,
            jf: 0,
            k: 0,
        }],
    )
}

/// SO_ATTACH_FILTER, in place of the program before. The kernel checks it; at most 4096 instructions.
pub fn attach_filter(fd: &impl AsFd, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        filter: program.as_mut_ptr(),
    };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

/// A classic BPF program: jumps go forward to labels. Loads beyond the packet's end drop it.
#[derive(Default)]
pub struct Filter {
    steps: Vec<(libc::sock_filter, Option<Label>)>,
    labels: Vec<usize>,
}

/// A place in a filter.
#[derive(Debug, Clone, Copy)]
pub struct Label(usize);

impl Filter {
    /// A label, to be placed later.
    pub fn new_label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    /// The next instruction is where the label is.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = self.steps.len();
    }

    /// Loads 16 bits in network byte order.
    pub fn load_half(&mut self, at: u32) {
        self.push(0x28, at, None);
    }

    /// Loads a byte.
    pub fn load_byte(&mut self, at: u32) {
        self.push(0x30, at, None);
    }

    /// Goes there if what was loaded is the value.
    pub fn jump_if_equal(&mut self, value: u32, to: Label) {
        self.push(0x15, value, Some(to));
    }

    /// Goes there if any of the bits is set.
    pub fn jump_if_set(&mut self, bits: u32, to: Label) {
        self.push(0x45, bits, Some(to));
    }

    /// Drops the packet.
    pub fn drop_packet(&mut self) {
        self.push(0x06, 0, None);
    }

    /// Takes the whole packet.
    pub fn accept_packet(&mut self) {
        self.push(0x06, u32::MAX, None);
    }

    fn push(&mut self, code: u16, k: u32, to: Option<Label>) {
        let step = libc::sock_filter {
            code,
            jt: 0,
            jf: 0,
            k,
        };
        self.steps.push((step, to));
    }

    /// SO_ATTACH_FILTER; in the place of an earlier one. A jump further than 255 instructions is an error.
    pub fn attach(&self, fd: &impl AsFd) -> io::Result<()> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "filter too long");
        let mut program = Vec::with_capacity(self.steps.len());
        for (at, (step, to)) in self.steps.iter().enumerate() {
            let jt = match to {
                None => 0,
                Some(label) => {
                    let distance = self.labels[label.0].checked_sub(at + 1).ok_or_else(too_long)?;
                    u8::try_from(distance).map_err(|_| too_long())?
                }
            };
            program.push(libc::sock_filter { jt, ..*step });
        }
        let filter = libc::sock_fprog {
            len: u16::try_from(program.len()).map_err(|_| too_long())?,
            filter: program.as_mut_ptr(),
        };
        set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
    }
}

fn mreqn(group: Ipv4Addr, index: u32) -> libc::ip_mreqn {
    libc::ip_mreqn {
        imr_multiaddr: libc::in_addr {
            s_addr: u32::from_ne_bytes(group.octets()),
        },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: index as i32,
    }
}

fn set<T: Copy>(fd: &impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: value points to size_of::<T>() readable bytes for the time of the call; the descriptor is
    // borrowed, so it is open. SO_ATTACH_FILTER copies the program, which the caller borrows for the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
