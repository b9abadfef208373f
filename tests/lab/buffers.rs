//! Receive buffers of sockets, as the kernel has them.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;
use nix::unistd::Pid;
use socket2::{Domain, Socket};

use crate::common::daemon::{Start, needs_keepalived, ours_only};
use crate::common::{Which, secs, wait_until};
use crate::keywords::owner;
use crate::pair::Single;
use crate::processes::EVENTS;

/// Of a process's sockets of this domain and protocol, in bytes, as the kernel counts them.
fn receive_buffers_of(pid: Pid, domain: Domain, protocol: i32) -> Vec<usize> {
    let own = |number: libc::c_long| {
        let fd = RawFd::try_from(number).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the kernel has just made it for nobody else.
        Some(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    // SAFETY: takes numbers, makes a descriptor.
    let Some(process) = own(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) }) else {
        return Vec::new();
    };
    let fds = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let numbers = fds.filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    let sockets = numbers.filter_map(|number| {
        // SAFETY: as before.
        own(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) }).map(Socket::from)
    });
    let its = |socket: &Socket| {
        let is = socket.protocol().ok().flatten().map_or(0, i32::from);
        is == protocol && socket.domain().is_ok_and(|is| is == domain)
    };
    sockets
        .filter(its)
        .filter_map(|socket| socket.recv_buffer_size().ok())
        .collect()
}

/// Receive buffers of the sockets that hear adverts.
pub fn of_adverts() {
    let rows = |which: Which, globals: &str, more: [&str; 2]| {
        let single = Single::new(&format!(
            "global_defs {{\n{globals}\n}}\n{}{}",
            owner(1, "192.0.2.101", more[0]),
            owner(2, "192.0.2.102", more[1]),
        ));
        let daemon = Start::new(&single.host, which).spawn();
        let adverts = |vrid| single.watch.wait("adverts", 0, secs(5.0), |s| s.is_advert(vrid));
        adverts(1);
        adverts(2);
        let of = |pid| receive_buffers_of(pid, Domain::IPV4, 112);
        let sizes = daemon.family().into_iter().flat_map(of);
        sizes.max().expect("a socket for adverts")
    };
    let plain = rows(Which::Tested, "", ["", ""]);
    let summed = rows(
        Which::Tested,
        "",
        ["kernel_rx_buf_size 300000", "kernel_rx_buf_size 40000"],
    );
    assert!(summed > plain, "{summed} after {plain}");
    ours_only("2.2.7 has no kernel_rx_buf_size");
    for (globals, more) in [
        ("    vrrp_rx_bufs_policy 100000", ["", ""]),
        (
            "    vrrp_rx_bufs_policy MTU\n    vrrp_rx_bufs_multiplier 90",
            ["", ""],
        ),
        (
            "    vrrp_rx_bufs_policy ADVERT\n    vrrp_rx_bufs_multiplier 9000",
            ["", ""],
        ),
    ] {
        let ours = rows(Which::Tested, globals, more);
        assert_ne!(ours, plain, "{globals}");
        needs_keepalived();
        assert_eq!(ours, rows(Which::Keepalived, globals, more), "{globals}");
    }
}

/// Those of netlink sockets with `keyword` set to a size: as large as the kernel permits, or with `_force` larger.
fn netlink_buffer(which: Which, keyword: &str, protocol: i32, more: &str) {
    let most = fs::read_to_string("/proc/sys/net/core/rmem_max").expect("a setting of the kernel");
    let most: usize = most.trim().parse().expect("a number");
    let (small, large) = (most / 3 - 100, most * 2 + 4096);
    for (size, force, granted) in [
        (small, "", Some(small * 2)),
        (large, "", Some(most * 2)),
        (large, "force", Some(large * 2)),
        (0, "", None),
    ] {
        let mut lines = String::new();
        if size > 0 {
            lines += &format!("    {keyword} {size}\n");
        }
        if !force.is_empty() {
            lines += &format!("    {keyword}_{force}\n");
        }
        let single = Single::new(&format!(
            "global_defs {{\n{lines}}}\n{more}{}",
            owner(1, "192.0.2.101", TRACKS)
        ));
        let mut daemon = Start::new(&single.host, which).spawn();
        daemon.expect("Startup complete", secs(20.0));
        let sizes = || -> Vec<usize> {
            let of = |pid| receive_buffers_of(pid, libc::AF_NETLINK.into(), protocol);
            daemon.family().into_iter().flat_map(of).collect()
        };
        match granted {
            Some(granted) => wait_until(&format!("{granted} bytes with {lines}"), secs(5.0), || {
                sizes().contains(&granted).then_some(())
            }),
            None => {
                let sizes = sizes();
                let ours = [small * 2, most * 2, large * 2];
                assert!(
                    !sizes.is_empty() && sizes.iter().all(|size| !ours.contains(size)),
                    "{sizes:?}"
                );
            }
        }
        assert_eq!(daemon.stop(), Some(0));
    }
}

const TRACKS: &str = "track_process {\n        none\n    }";
const PROCESS: &str =
    "vrrp_track_process none {\n    process no_such_process\n    quorum_max 0\n    weight 1\n}\n";

/// Of the sockets that tell the kernel what to do, and that hear from it of links and addresses.
pub fn of_netlink() {
    for which in [Which::Tested, Which::Keepalived] {
        for keyword in ["vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_monitor_rcv_bufs"] {
            netlink_buffer(which, keyword, libc::NETLINK_ROUTE, PROCESS);
        }
        needs_keepalived();
    }
}

/// Of the socket that hears of processes; where the kernel tells nothing of them there is none, and a line says so.
pub fn of_process_events() {
    ours_only("in a network namespace it hears nothing");
    let text = format!("{PROCESS}{}", owner(1, "192.0.2.101", TRACKS));
    let single = Single::new(&text);
    let daemon = Start::new(&single.host, Which::Tested).spawn();
    let heard = wait_until("what the kernel tells", secs(20.0), || {
        let said = |line| daemon.count(line) > 0;
        let heard = said("proc_events has confirmed it is configured");
        (heard || said("Process events are not available")).then_some(heard)
    });
    drop(daemon);
    assert!(
        heard || std::env::var_os(EVENTS).is_none(),
        "it should hear of them here"
    );
    if heard {
        netlink_buffer(
            Which::Tested,
            "process_monitor_rcv_bufs",
            libc::NETLINK_CONNECTOR,
            PROCESS,
        );
    }
}
