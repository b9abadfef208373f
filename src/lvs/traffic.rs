//! What the kernel has counted, for each virtual server.

use super::{entries, marks};
use crate::model::lvs::Lvs as Config;
use crate::model::lvs::{Protocol, VirtualServer};
use crate::state::traffic::{Counters, ServerTraffic, VirtualTraffic};
use std::collections::BTreeMap;

/// The sums of one virtual server; a group has many services.
pub fn of_server(
    server: &VirtualServer,
    config: &Config,
    marks: &BTreeMap<(String, Protocol), u32>,
    counters: &Counters,
) -> VirtualTraffic {
    let mut sums = VirtualTraffic {
        reals: vec![ServerTraffic::default(); server.real_servers.len()],
        ..VirtualTraffic::default()
    };
    for key in marks::services(marks, server, config) {
        if let Some(traffic) = counters.services.get(&key) {
            sums.total += *traffic;
        }
        let Some(there) = counters.destinations.get(&key) else {
            continue;
        };
        for (sum, real) in sums.reals.iter_mut().zip(&server.real_servers) {
            let name = entries::destination(&key, real.address, real.port, real.method);
            *sum += there.get(&name).copied().unwrap_or_default();
        }
        if let Some(sorry) = &server.sorry_server {
            let name = entries::destination(&key, sorry.address, sorry.port, sorry.method);
            sums.sorry += there.get(&name).copied().unwrap_or_default();
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, DEFAULT_FILE, MemoryHost, ReadOptions};
    use crate::state::lvs::{DestinationKey, ServiceKey};
    use crate::state::traffic::Traffic;

    #[test]
    fn a_group_is_the_sum_of_its_services() {
        let mut host = MemoryHost::default();
        host.file(
            DEFAULT_FILE,
            "virtual_server_group G {\n 192.0.2.1-2 80\n fwmark 7\n}\nvirtual_server group G {\n lvs_method NAT\n protocol TCP\n\
             sorry_server 198.51.100.9 80\n real_server 198.51.100.2 8080 {\n}\n real_server 198.51.100.3 8080 {\n}\n}\n",
        );
        let config = config::read(&host, &ReadOptions::default()).configuration.lvs;
        let server = &config.servers[0];
        let traffic = |connections| Traffic {
            connections,
            ..Traffic::default()
        };
        let mut counters = Counters::default();
        let real = |last: u8, port| DestinationKey {
            address: [198, 51, 100, last].into(),
            port,
        };
        let services = entries::services(server, &config);
        assert_eq!(services.len(), 3);
        for (number, key) in (1..).zip(&services) {
            counters.services.insert(*key, traffic(number));
            let there = counters.destinations.entry(*key).or_default();
            for (last, port, factor) in [(2, 8080, 10), (3, 8080, 100), (9, 80, 1000)] {
                let one = ServerTraffic {
                    traffic: traffic(number * factor),
                    active: 1,
                    ..ServerTraffic::default()
                };
                there.insert(real(last, port), one);
            }
        }
        // Another's.
        let other = ServiceKey::Mark(8, crate::model::route::Family::Inet);
        counters.services.insert(other, traffic(1 << 40));
        let sums = of_server(server, &config, &BTreeMap::new(), &counters);
        assert_eq!(sums.total.connections, 6);
        let reals: Vec<_> = sums
            .reals
            .iter()
            .map(|r| (r.traffic.connections, r.active))
            .collect();
        assert_eq!(reals, [(60, 3), (600, 3)]);
        assert_eq!(sums.sorry.traffic.connections, 6000);
        assert_eq!(
            of_server(server, &config, &BTreeMap::new(), &Counters::default()).total,
            Traffic::default()
        );
    }
}
