//! Advert sockets: what one end sends the other one receives.

use crate::support::*;
use keepalived_rs::model::route::Family;
use keepalived_rs::net::adverts::{AdvertSockets, Buffers, Cast, SocketSpec};
use keepalived_rs::sys::{clock, poll};
use keepalived_rs::vrrp::Received;
use keepalived_rs::vrrp::group::Datagram;
use nix::sched::{CloneFlags, unshare};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::mpsc::channel;

fn spec(interface: &str, family: Family, cast: Cast) -> SocketSpec {
    let index = nix::net::if_::if_nametoindex(interface).unwrap();
    SocketSpec {
        family,
        ah: false,
        index,
        interface: interface.into(),
        cast,
    }
}

fn datagram(source: &str, destination: &str, message: &[u8]) -> Datagram {
    let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    let mut bytes = Vec::new();
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (source, destination) {
        bytes.extend([
            0x45,
            0xc0,
            0,
            20 + message.len() as u8,
            0,
            0,
            0,
            0,
            255,
            112,
            0,
            0,
        ]);
        bytes.extend(from.octets());
        bytes.extend(to.octets());
    }
    bytes.extend(message);
    Datagram {
        source,
        destination,
        ttl: 255,
        bytes,
    }
}

/// Two namespaces with a veth between them: a has 192.0.2.1 and fe80::1, b has 192.0.2.2 and fe80::2.
/// Runs `b` in the second one; it says when it is ready.
fn pair(b: impl FnOnce(Box<dyn FnOnce()>) + Send + 'static) -> std::thread::JoinHandle<()> {
    for command in [
        "ip link set lo up",
        "ip link add va address 02:00:00:00:01:00 type veth peer name vb address 02:00:00:00:02:00",
    ] {
        run(command);
    }
    let (tell, told) = channel();
    let (go, went) = channel();
    let (ready, is_ready) = channel();
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        tell.send(nix::unistd::gettid()).unwrap();
        went.recv().unwrap();
        set_up("vb", 2);
        b(Box::new(move || ready.send(()).unwrap()));
    });
    let thread_id = told.recv().unwrap();
    run(&format!("ip link set vb netns {thread_id}"));
    set_up("va", 1);
    go.send(()).unwrap();
    is_ready.recv_timeout(LIMIT).expect("the other end is ready");
    // A link takes packets only some time after the other end is up.
    wait_for("the link is up", || {
        run("ip link show dev va").contains("state UP")
    });
    thread
}

fn set_up(interface: &str, host: u32) {
    for command in [
        format!("sysctl -qw net.ipv6.conf.{interface}.addr_gen_mode=1"),
        format!("ip link set {interface} up"),
        format!("ip addr add 192.0.2.{host}/24 dev {interface}"),
        format!("ip addr add fe80::{host}/64 dev {interface} nodad"),
    ] {
        run(&command);
    }
}

fn receive(sockets: &mut AdvertSockets, count: usize) -> Vec<Received> {
    let mut buffers = Buffers::default();
    let mut packets = Vec::new();
    while packets.len() < count {
        poll::readable(&[sockets.as_fd()], Some(LIMIT)).unwrap();
        let drained = sockets
            .receive(&mut buffers, 100, |packet| packets.push(Received::from(packet)))
            .unwrap();
        assert!(drained.packets > 0, "only {} of {count} datagrams", packets.len());
    }
    packets
}

#[test]
fn multicast_ipv4() {
    in_namespace("adverts::multicast_ipv4", || {
        let group: IpAddr = "224.0.0.18".parse().unwrap();
        let before = clock::monotonic();
        let other = pair(move |ready| {
            let mut sockets =
                AdvertSockets::open(spec("vb", Family::Inet, Cast::Multicast(group)), 0).unwrap();
            let mut capture = Capture::on("vb");
            ready();
            let packets = receive(&mut sockets, 3);
            for (packet, number) in packets.iter().zip(1u8..) {
                assert_eq!(packet.source.to_string(), "192.0.2.1");
                assert_eq!(packet.destination, Some(group));
                assert_eq!((packet.ttl, packet.total_length), (Some(255), Some(24)));
                assert_eq!(*packet.message, [0x21, 51, 100, number]);
                assert!(!packet.ah);
                assert!(packet.arrival >= before && packet.arrival <= clock::monotonic());
            }
            for id in [1u8, 2, 3] {
                let frame = capture.next(0x0800, |frame| frame[23] == 112);
                assert_eq!(frame[..6], [1, 0, 0x5e, 0, 0, 0x12]);
                assert_eq!(
                    (frame[15], frame[18], frame[19]),
                    (0xc0, 0, id),
                    "TOS, identification"
                );
            }
        });
        let mut sockets = AdvertSockets::open(spec("va", Family::Inet, Cast::Multicast(group)), 0).unwrap();
        let list = [1, 2, 3].map(|n| datagram("192.0.2.1", "224.0.0.18", &[0x21, 51, 100, n]));
        let mut buffers = Buffers::default();
        let sent = sockets.send(&mut buffers, &list, |place, errno| panic!("{place}: {errno}"));
        assert_eq!(sent, 3);
        other.join().unwrap();
        // What we send ourselves is not received.
        let drained = sockets
            .receive(&mut buffers, 10, |packet| panic!("{packet:?}"))
            .unwrap();
        assert!(drained.empty && drained.packets == 0);
    });
}

#[test]
fn multicast_ipv6() {
    in_namespace("adverts::multicast_ipv6", || {
        let group: IpAddr = "ff02::12".parse().unwrap();
        let message = [0x31, 51, 100, 0, 0, 100, 0, 0];
        let other = pair(move |ready| {
            let mut sockets =
                AdvertSockets::open(spec("vb", Family::Inet6, Cast::Multicast(group)), 0).unwrap();
            ready();
            let packets = receive(&mut sockets, 1);
            assert_eq!(packets[0].source.to_string(), "fe80::1");
            assert_eq!(packets[0].destination, Some(group));
            assert_eq!(packets[0].ttl, Some(255));
            assert_eq!(packets[0].message[..6], message[..6]);
            assert_ne!(
                packets[0].message[6..],
                [0, 0],
                "the kernel has filled in the checksum"
            );
        });
        let mut sockets = AdvertSockets::open(spec("va", Family::Inet6, Cast::Multicast(group)), 0).unwrap();
        let advert = datagram("fe80::1", "ff02::12", &message);
        let sent = sockets.send(&mut Buffers::default(), [&advert], |place, errno| {
            panic!("{place}: {errno}")
        });
        assert_eq!(sent, 1);
        other.join().unwrap();
    });
}

#[test]
fn unicast_of_both_families() {
    in_namespace("adverts::unicast_of_both_families", || {
        let cast = |text: &str| Cast::Unicast(text.parse().unwrap());
        let other = pair(|ready| {
            let cast = |text: &str| Cast::Unicast(text.parse().unwrap());
            let mut v4 = AdvertSockets::open(spec("vb", Family::Inet, cast("192.0.2.2")), 4096).unwrap();
            let mut v6 = AdvertSockets::open(spec("vb", Family::Inet6, cast("fe80::2")), 4096).unwrap();
            ready();
            let packets = receive(&mut v4, 1);
            assert_eq!(
                (packets[0].destination, packets[0].ttl),
                (Some("192.0.2.2".parse().unwrap()), Some(255))
            );
            let packets = receive(&mut v6, 1);
            assert_eq!(
                (packets[0].destination, packets[0].ttl),
                (Some("fe80::2".parse().unwrap()), Some(64))
            );
        });
        let mut buffers = Buffers::default();
        let mut v4 = AdvertSockets::open(spec("va", Family::Inet, cast("192.0.2.1")), 0).unwrap();
        let message = [0x31, 51, 100, 0, 0, 100, 0, 0];
        let good = datagram("192.0.2.1", "192.0.2.2", &message);
        let lost = Datagram {
            bytes: vec![0x45; 3000],
            ..good.clone()
        };
        let mut failed = Vec::new();
        let sent = v4.send(&mut buffers, [&lost, &good], |place, errno| {
            failed.push((place, errno))
        });
        assert_eq!((sent, failed), (1, vec![(0, libc::EMSGSIZE)]));
        let mut v6 = AdvertSockets::open(spec("va", Family::Inet6, cast("fe80::1")), 0).unwrap();
        let mut advert = datagram("fe80::1", "fe80::2", &message);
        advert.ttl = 64;
        assert_eq!(
            v6.send(&mut buffers, [&advert], |place, errno| panic!("{place}: {errno}")),
            1
        );
        other.join().unwrap();
    });
}
