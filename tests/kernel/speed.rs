//! Batches against one request at a time, side by side in one run.

use crate::support::*;
use keepalived_rs::state::kernel::KernelSettings;
use std::time::{Duration, Instant};

const COUNT: u32 = 1000;
/// The best of several rounds counts: what else the machine does only ever makes them slower.
const ROUNDS: u64 = 15;

#[test]
fn a_thousand_addresses_are_set_and_announced_about_as_fast_as_ip_batch_sets_them() {
    in_namespace(
        "speed::a_thousand_addresses_are_set_and_announced_about_as_fast_as_ip_batch_sets_them",
        || {
            veth();
            let text = |n: u32| format!("10.1.{}.{}", n / 250, n % 250 + 1);
            let lines = |verb: &str| -> tempfile::NamedTempFile {
                let file = tempfile::NamedTempFile::new().unwrap();
                let text: String = (0..COUNT)
                    .map(|n| format!("addr {verb} {}/32 dev eth0\n", text(n)))
                    .collect();
                std::fs::write(file.path(), text).unwrap();
                file
            };
            let (add, remove) = (lines("add"), lines("del"));
            let mut capture = Capture::on("peer0");
            let kernel = Kernel::start(KernelSettings::default());
            let vips = (0..COUNT).map(|n| address(&text(n), "eth0")).collect();
            kernel.configure(vec![instance(1, vips)], KernelSettings::default(), true);
            let last: std::net::Ipv4Addr = text(COUNT - 1).parse().unwrap();
            let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
            for round in 0..ROUNDS {
                let start = Instant::now();
                run(&format!("ip -batch {}", add.path().display()));
                theirs = theirs.min(start.elapsed());
                run(&format!("ip -batch {}", remove.path().display()));
                let start = Instant::now();
                kernel.claim(1, 2 * round + 1, 1);
                capture.next(0x0806, |frame| frame[38..42] == last.octets());
                ours = ours.min(start.elapsed());
                assert!(kernel.applied(1, 2 * round + 1).iter().all(|set| *set));
                kernel.release(1, 2 * round + 2);
                kernel.applied(1, 2 * round + 2);
                // Ours is a test build and has sent a thousand frames as well.
                if ours < theirs * 3 / 2 {
                    break;
                }
            }
            println!("{COUNT} addresses: ours, announced, {ours:?}; ip -batch, not announced, {theirs:?}");
            assert!(ours < theirs * 3 / 2, "ours {ours:?}, ip -batch {theirs:?}");
            kernel.stop(false);
        },
    );
}
