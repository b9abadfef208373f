//! `nftables_ipvs`: groups of addresses known by firewall marks.

use super::{Bench, read, table};
use keepalived_rs::lvs::Lvs;
use keepalived_rs::state::lvs::Marked;

fn group(name: &str, lines: &str) -> String {
    format!("virtual_server_group {name} {{\n{lines}\n}}\n")
}

fn server(group: &str, protocol: &str) -> String {
    format!(
        "virtual_server group {group} {{\nlvs_sched rr\nlvs_method NAT\nprotocol {protocol}\nreal_server 10.1.0.1 80 {{\n}}\n}}\n"
    )
}

fn marked(bench: &Bench, text: &str) -> Vec<String> {
    let line = |m: &Marked| format!("{} {:?} {}-{} {}", m.mark, m.protocol, m.first, m.last, m.port);
    bench.lvs.marked(&read(text).lvs).iter().map(line).collect()
}

fn start(text: &str) -> Bench {
    let mut bench = Bench {
        lvs: Lvs::default(),
        checkers: Vec::new(),
        mails: Vec::new(),
    };
    bench.lvs.map_groups(Some(1000));
    bench.configure(text);
    bench
}

#[test]
fn one_mark_for_each_group_and_protocol() {
    let text = [
        group("G", "10.0.0.1 80\n10.0.0.2-9 81"),
        group("H", "10.0.0.20 80"),
        // A group with marks stays as it is; the marks of the file are not given to others.
        group("F", "fwmark 1001\n10.0.0.30 80"),
        server("G", "TCP"),
        server("G", "UDP"),
        server("H", "TCP"),
        server("F", "TCP"),
    ]
    .concat();
    let bench = start(&text);
    assert_eq!(
        table(&bench.lvs.table()),
        [
            "[10.0.0.30]:tcp:80",
            "  [10.1.0.1]:80 1",
            "FWM 1000",
            "  [10.1.0.1]:80 1",
            "FWM 1001",
            "  [10.1.0.1]:80 1",
            "FWM 1002",
            "  [10.1.0.1]:80 1",
            "FWM 1003",
            "  [10.1.0.1]:80 1",
        ]
    );
    assert_eq!(
        marked(&bench, &text),
        [
            "1000 Tcp 10.0.0.1-10.0.0.1 80",
            "1000 Tcp 10.0.0.2-10.0.0.9 81",
            "1002 Udp 10.0.0.1-10.0.0.1 80",
            "1002 Udp 10.0.0.2-10.0.0.9 81",
            "1003 Tcp 10.0.0.20-10.0.0.20 80",
        ]
    );
}

#[test]
fn a_mark_stays_with_its_group_at_a_reload() {
    let groups = [
        group("G", "10.0.0.1 80"),
        group("H", "10.0.0.20 80"),
        group("I", "10.0.0.40 80"),
    ]
    .concat();
    let first = format!("{groups}{}{}", server("G", "TCP"), server("H", "TCP"));
    let mut bench = start(&first);
    let second = format!("{groups}{}{}", server("I", "TCP"), server("H", "TCP"));
    let said = bench.configure(&second);
    assert_eq!(
        marked(&bench, &second),
        [
            "1001 Tcp 10.0.0.20-10.0.0.20 80",
            "1000 Tcp 10.0.0.40-10.0.0.40 80"
        ]
    );
    assert!(!said.iter().any(|line| line.contains("FWM 1001")), "{said:?}");
    // Other addresses: the same services.
    let third = second.replace("10.0.0.20 80", "10.0.0.20-29 80");
    let said = bench.configure(&third);
    assert!(
        !said.iter().any(|line| line.starts_with(['+', '-', '='])),
        "{said:?}"
    );
    assert_eq!(marked(&bench, &third)[0], "1001 Tcp 10.0.0.20-10.0.0.29 80");
}

#[test]
fn ha_suspend_looks_at_the_addresses() {
    let server = server("G", "TCP")
        .replace("lvs_sched rr", "ha_suspend\nlvs_sched rr")
        .replace("80 {\n}", "80 {\nTCP_CHECK {\n}\n}");
    let text = [group("G", "10.0.0.2-9 81"), server].concat();
    let mut bench = start(&text);
    let mut effects = Vec::new();
    bench
        .lvs
        .addresses(["10.0.0.10".parse().unwrap()].into(), &mut effects);
    assert_eq!(bench.said(&effects), Vec::<String>::new());
    bench
        .lvs
        .addresses(["10.0.0.5".parse().unwrap()].into(), &mut effects);
    let said = bench.said(&effects);
    assert!(said.contains(&"start 0".to_owned()), "{said:?}");
}
