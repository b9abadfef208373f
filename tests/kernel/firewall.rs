//! The drop rules, compared with what keepalived 2.4.3 makes of the same configuration.

use crate::support::*;
use keepalived_rs::model::vrrp::Accept;
use keepalived_rs::state::kernel::KernelSettings;

const GOLDEN: &str = include_str!("strict.nft");

/// The rule set as `nft` lists it, with counters masked.
fn ruleset() -> String {
    let text = run("nft list ruleset");
    let mut masked = String::new();
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        masked.push_str(word);
        if word == "packets" || word == "bytes" {
            masked.push_str(" <N>");
            words.next();
        }
        if words.peek().is_some() {
            masked.push(' ');
        }
    }
    masked
}

#[test]
fn the_rules_are_keepaliveds() {
    in_namespace("firewall::the_rules_are_keepaliveds", || {
        veth();
        let settings = KernelSettings {
            nftables_table: "ka_golden".into(),
            nftables_priority: -1,
            nftables_counters: true,
            ..KernelSettings::default()
        };
        // Left behind by a killed predecessor.
        run("nft add table ip ka_golden");
        let kernel = Kernel::start(settings.clone());
        let mut v4 = instance(
            1,
            vec![
                address("192.0.2.100/24", "eth0"),
                address("192.0.2.101/24", "eth0"),
            ],
        );
        let mut v6 = instance(
            2,
            vec![
                address("fe80::100/64", "eth0"),
                address("2001:db8:0:1::100/64", "eth0"),
            ],
        );
        v4.accept = Accept::Disabled;
        v6.accept = Accept::Disabled;
        kernel.configure(vec![v4, v6], settings, true);
        assert_eq!(ruleset(), "");
        kernel.claim(1, 1, 1);
        kernel.claim(2, 1, 1);
        kernel.applied(1, 1);
        kernel.applied(2, 1);
        assert_eq!(ruleset(), GOLDEN);
        kernel.release(2, 2);
        kernel.applied(2, 2);
        let first = GOLDEN.split("table ip6").next().unwrap();
        assert_eq!(ruleset(), first);
        kernel.stop(false);
        assert_eq!(ruleset(), "");
    });
}
