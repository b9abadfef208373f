//! `vrrp_garp_interval`: packets keep their distance, in rounds, and a release ends them.

use crate::support::*;
use keepalived_rs::model::vrrp::GarpGroup;
use keepalived_rs::state::InstanceId;
use keepalived_rs::state::kernel::{KernelRequest, KernelSettings};
use std::time::{Duration, Instant};

const DISTANCE: Duration = Duration::from_millis(20);

#[test]
fn packets_keep_their_distance() {
    in_namespace("pacing::packets_keep_their_distance", || {
        veth();
        let group = GarpGroup {
            garp_interval: Some(DISTANCE),
            gna_interval: None,
            interfaces: vec!["eth0".into()],
            aggregated: true,
        };
        let settings = KernelSettings {
            garp_groups: vec![group],
            ..KernelSettings::default()
        };
        let mut capture = Capture::on("peer0");
        let kernel = Kernel::start(settings.clone());
        let vips = vec![
            address("192.0.2.100/24", "eth0"),
            address("192.0.2.101/24", "eth0"),
        ];
        kernel.configure(vec![instance(1, vips)], settings, true);
        let start = Instant::now();
        kernel.claim(1, 1, 3);
        // Announced again while packets are pending: not a packet more.
        kernel.handle.send(KernelRequest::Announce {
            instance: InstanceId(1),
            repeat: 3,
        });
        let order: Vec<u8> = (0..6).map(|_| capture.next(0x0806, |_| true)[41]).collect();
        assert_eq!(order, [100, 101, 100, 101, 100, 101]);
        assert!(start.elapsed() >= DISTANCE * 5, "{:?}", start.elapsed());
        // A release in the middle of a set: what follows is the next claim's first packet.
        kernel.handle.send(KernelRequest::Announce {
            instance: InstanceId(1),
            repeat: 50,
        });
        assert_eq!(capture.next(0x0806, |_| true)[41], 100);
        kernel.release(1, 2);
        kernel.applied(1, 2);
        kernel.claim(1, 3, 1);
        kernel.applied(1, 3);
        let rest = Instant::now();
        // At most what went out before the release was heard, and one for each address.
        let mut count = 0;
        while rest.elapsed() < DISTANCE * 10 && capture.try_next(0x0806, DISTANCE * 3).is_some() {
            count += 1;
        }
        assert!(count <= 4, "{count} packets");
        kernel.stop(false);
    });
}
