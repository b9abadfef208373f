//! Real daemons on hosts that are network namespaces, seen from outside: addresses, packets, pings, log.
//!
//! `DAEMON=/usr/sbin/keepalived cargo test --test lab` runs the same tests on the original, which proves the
//! tests. Needs root, or user namespaces; iproute2, util-linux, tcpdump and nftables; keepalived and frr for
//! the tests of working together with them.

#[path = "../common/mod.rs"]
mod common;

mod interop;
mod scenarios;

use common::runner::{Test, run};
use std::process::ExitCode;

/// One entry a test; those under `alone` measure times and run with nothing beside them.
macro_rules! tests {
    (together: [$($test:path,)*], alone: [$($measure:path,)*]) => {
        &[
            $(Test { name: stringify!($test), run: $test, alone: false },)*
            $(Test { name: stringify!($measure), run: $measure, alone: true },)*
        ]
    };
}

fn main() -> ExitCode {
    run(tests!(
        together: [
            scenarios::two_nodes_fail_over,
            scenarios::strict_hot_standby_drops_packets_to_the_address,
            scenarios::hot_standby_without_strict_loses_two_pings_at_most,
            scenarios::squid_on_two_active_hosts,
            interop::version_2_with_password,
            interop::version_3_ipv4,
            interop::version_3_ipv6,
            interop::unicast,
            interop::frr_version_3_ipv4,
            interop::frr_version_3_ipv6,
        ],
        alone: []
    ))
}
