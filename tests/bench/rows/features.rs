//! Takeovers and many masters with a feature on: virtual MAC addresses, signed adverts, AH.

use super::*;

const VMAC: Feature = Feature {
    version: 3,
    ours: "use_vmac",
    keepalived: "use_vmac",
};
/// Debian's keepalived 2.2.7 has none: it is measured without.
const HMAC: Feature = Feature {
    version: 3,
    ours: "auth_hmac {\n        key 1 0123456789abcdef0123456789abcdef\n        active_key 1\n    }",
    keepalived: "",
};
const AH: Feature = Feature {
    version: 2,
    ours: "authentication {\n        auth_type AH\n        auth_pass secret\n    }",
    keepalived: "authentication {\n        auth_type AH\n        auth_pass secret\n    }",
};

const MANY: &str = "one host, each instance on a virtual interface of its own; processor time per advert sent over five seconds, all processes and threads; adverts sent \
    of those due; the mean of the intervals beyond 10 ms";
const MANY_HMAC: &str = "the same on one interface; ours signs every advert (`auth_hmac`), keepalived 2.2.7, which cannot, sends them \
    unsigned";
const SIGNED: &str = "as the takeovers above; ours signs and verifies every advert (`auth_hmac`), keepalived 2.2.7, which \
    cannot, sends them unsigned";
const ON_VMACS: &str = "as the takeovers above, with `use_vmac` on both hosts: adverts and ARP come from the virtual MAC \
    address";

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "takeover, 0.1 s, 1 address, use_vmac",
            how: ON_VMACS,
            rounds: 7,
            measure: |which| takeover(which, 0.1, &VMAC),
        },
        Row {
            name: "250 instances, 10 ms adverts, use_vmac",
            how: MANY,
            rounds: 3,
            measure: |which| many_masters(which, &VMAC),
        },
        Row {
            name: "takeover, 0.1 s, 1 address, auth_hmac",
            how: SIGNED,
            rounds: 7,
            measure: |which| takeover(which, 0.1, &HMAC),
        },
        Row {
            name: "250 instances, 10 ms adverts, auth_hmac",
            how: MANY_HMAC,
            rounds: 3,
            measure: |which| many_masters(which, &HMAC),
        },
        Row {
            name: "takeover, 1 s, 1 address, AH",
            how: "as the takeovers above, with VRRP version 2 and `auth_type AH` on both hosts",
            rounds: 5,
            measure: |which| takeover(which, 1.0, &AH),
        },
    ]
}

/// The lines of an instance with it, of either daemon.
struct Feature {
    version: u8,
    ours: &'static str,
    keepalived: &'static str,
}

impl Feature {
    fn on(&self, which: Which, instances: &str) -> String {
        let lines = match which {
            Which::Tested => self.ours,
            Which::Keepalived => self.keepalived,
        };
        instances.replace("version 3\n", &format!("version {}\n    {lines}\n", self.version))
    }
}

fn takeover(which: Which, interval: f64, feature: &Feature) -> Vec<Value> {
    takeover_of(
        which,
        interval,
        1,
        &|instance| feature.on(which, &instance),
        start,
        1.0,
    )
}

fn many_masters(which: Which, feature: &Feature) -> Vec<Value> {
    steady_of(which, &feature.on(which, &many(100)), 1.0)
}
