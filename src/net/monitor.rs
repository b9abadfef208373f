//! The netlink monitor: what changes on links and addresses, by whomever.

use super::channel::Channel;
use super::links::{Change, Table};
use super::message::messages;
use crate::model::globals::Buffer;
use crate::sys::netlink::{self, NetlinkSocket};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use tracing::info;

/// Large enough for a few thousand addresses that come or go at once.
const RECEIVE_BUFFER: u32 = 1 << 20;
/// Datagrams of one look, so that a flood of changes keeps nothing else waiting.
const MOST: usize = 256;

/// What a look at the monitor found.
#[derive(Debug)]
pub enum Seen {
    /// These changes, already taken into the table; `more` may be waiting.
    Changes {
        /// In their order.
        changes: Vec<Change>,
        /// The look ended at its limit.
        more: bool,
    },
    /// Messages were lost: everything must be read again.
    Lost,
}

/// The monitor's socket.
#[derive(Debug)]
pub struct Monitor {
    socket: NetlinkSocket,
}

impl Monitor {
    /// Opens it. From now on no change is missed in silence: dump after this.
    pub fn open() -> io::Result<Monitor> {
        const GROUPS: [u32; 3] = [
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
        ];
        let monitor = Monitor {
            socket: NetlinkSocket::open(netlink::ROUTE, &GROUPS)?,
        };
        monitor.configure(Buffer::default());
        Ok(monitor)
    }

    /// Receive buffer; the default is ours, not the kernel's.
    pub fn configure(&self, buffer: Buffer) {
        let size = if buffer.size == 0 {
            RECEIVE_BUFFER
        } else {
            buffer.size
        };
        let force = buffer.force || buffer.size == 0;
        let result = self
            .socket
            .set_receive_buffer(size, force)
            .or_else(|_| self.socket.set_receive_buffer(size, false));
        if let Err(error) = result {
            info!(target: "vrrp", "netlink monitor: cannot set a receive buffer of {size} bytes: {error}");
        }
    }

    /// Takes in what has arrived.
    pub fn look(&mut self, table: &mut Table) -> Seen {
        let mut changes = Vec::new();
        for _ in 0..MOST {
            match self.socket.receive() {
                Ok(Some(bytes)) => {
                    changes.extend(messages(bytes).filter_map(|message| table.apply(&message)));
                }
                Ok(None) => return Seen::Changes { changes, more: false },
                Err(error) => {
                    let text = match error.raw_os_error() {
                        Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_owned(),
                        None => error.to_string(),
                    };
                    info!(target: "vrrp",
                        "Netlink: Receive buffer overrun on monitor socket - ({text}) - increase the relevant \
                         netlink_rcv_bufs global parameter and/or set force");
                    return Seen::Lost;
                }
            }
        }
        Seen::Changes { changes, more: true }
    }

    /// After messages were lost: forgets the rest, and reads everything again.
    pub fn reread(&mut self, channel: &mut Channel) -> io::Result<Table> {
        // At most a buffer full; what arrives while the dump is made comes after it.
        for _ in 0..1 << 16 {
            if let Ok(None) = self.socket.receive() {
                break;
            }
        }
        Table::read(channel)
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Who removed something, as far as it can still be told: the process with this netlink port, else the
/// programs that run here and manage addresses.
pub fn suspect(port: u32) -> String {
    const MANAGERS: [&str; 8] = [
        "systemd-network",
        "NetworkManager",
        "dhclient",
        "dhcpcd",
        "ifplugd",
        "connmand",
        "wickedd",
        "keepalived",
    ];
    let name = |pid: &str| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(name.trim_end().to_owned())
    };
    // A process's first netlink socket has its process id as port.
    if port != 0
        && let Some(name) = name(&port.to_string())
    {
        return format!("by {name} (process {port})");
    }
    let mut found: Vec<String> = Vec::new();
    let ours = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid != ours
            && pid.bytes().all(|byte| byte.is_ascii_digit())
            && let Some(name) = name(&pid)
            && MANAGERS.contains(&name.as_str())
            && !found.contains(&name)
        {
            found.push(name);
        }
    }
    match (port, found.is_empty()) {
        (0, true) => "by another program or the kernel".to_owned(),
        (_, true) => format!("by a process that has ended (netlink port {port})"),
        (_, false) => format!("by another program; running here: {}", found.join(", ")),
    }
}
