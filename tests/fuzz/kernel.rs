//! What the kernel tells over netlink: links, addresses, routes, rules, answers, and the tables of IPVS.

use crate::driver::{corpus, run};
use keepalived_rs::model::lvs::Protocol;
use keepalived_rs::model::route::Family;
use keepalived_rs::net::ipvs::{counters, read};
use keepalived_rs::net::links::Table;
use keepalived_rs::net::message::{Answer, messages};
use keepalived_rs::net::routes;
use keepalived_rs::net::rules::RuleKey;
use keepalived_rs::state::lvs::ServiceKey;
use keepalived_rs::wire::process_event;

#[test]
fn links_addresses_routes_and_rules() {
    let (mut table, mut told) = (Table::default(), [0; 3]);
    run("netlink", &corpus("netlink"), 20_000, |datagram| {
        let mut count = 0;
        for message in messages(datagram) {
            count += 1;
            told[0] += usize::from(table.apply(&message).is_some());
            if let Some(news) = routes::read(&message, &table) {
                told[1] += 1;
                assert!(news.route.hops.len() <= datagram.len());
                let _ = news.route.lowest().is(&news.route);
            }
            if let Some(rule) = RuleKey::read(&message) {
                told[2] += 1;
                let _ = (rule.to_string(), rule.names("eth0"));
            }
            if let Some(answer) = Answer::read(&message) {
                assert!(answer.text.is_none_or(|text| text.len() <= 3 * datagram.len()));
            }
        }
        assert!(count <= datagram.len() / 16);
        // The kernel would tell of a link only once; here each damaged index is another one.
        if table.iter().count() > 1000 {
            table = Table::default();
        }
        let _ = process_event::parse(datagram);
    });
    assert!(told.iter().all(|n| *n > 100), "what was understood: {told:?}");
}

#[test]
fn tables_of_ipvs() {
    let services = [
        ServiceKey::Address(Protocol::Tcp, "10.1.0.50".parse().expect("an address"), 80),
        ServiceKey::Address(Protocol::Tcp, "2001:db8::1".parse().expect("an address"), 443),
        ServiceKey::Mark(7, Family::Inet),
    ];
    let mut told = [0; 4];
    run("IPVS", &corpus("ipvs"), 20_000, |datagram| {
        for message in messages(datagram) {
            let payload = message.payload;
            if let Some(found) = read::service(payload) {
                told[0] += 1;
                assert!(found.settings.scheduler.len() <= 3 * payload.len());
            }
            for service in &services {
                told[1] += usize::from(read::destination(payload, service).is_some());
                let _ = counters::destination(payload, service);
            }
            told[2] += usize::from(read::daemon(payload).is_some());
            told[3] += usize::from(counters::service(payload).is_some());
            let _ = (read::timeouts(payload), read::version(payload));
        }
    });
    assert!(told.iter().all(|n| *n > 100), "what was understood: {told:?}");
}
