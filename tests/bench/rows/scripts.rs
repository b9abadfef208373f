//! Two hundred tracked scripts a second on each of two hosts.

use super::*;

pub fn row() -> Row {
    Row {
        name: "200 tracked scripts, 0.1 s adverts",
        how: "two hosts, each with 200 scripts that run every second; the longest time without an advert of the master \
            in five seconds; SIGKILL to it, and the backup's first advert and ARP beyond the moment at which the protocol \
            lets it act",
        rounds: 5,
        measure: scripts,
    }
}

fn configuration(priority: u8) -> String {
    let scripts: String = (0..200)
        .map(|n| format!("vrrp_script s{n} {{\n    script /etc/keepalived/check.sh\n    interval 1\n}}\n"))
        .collect();
    let tracked: String = (0..200).map(|n| format!("        s{n}\n")).collect();
    let instance = instance(51, priority, 0.1, 0..1).replacen(
        "    virtual_ipaddress {",
        &format!("    track_script {{\n{tracked}    }}\n    virtual_ipaddress {{"),
        1,
    );
    format!("global_defs {{\n    script_user root\n    enable_script_security\n}}\n{scripts}{instance}")
}

fn scripts(which: Which) -> Vec<Value> {
    let net = Net::new();
    let hosts = [(1, 150), (2, 100)].map(|(last, priority)| {
        let host = net.host(&format!("h{last}"), last, &configuration(priority));
        host.script("check.sh", "#!/bin/sh\nexit 0\n");
        host
    });
    let mut first = start(&hosts[0], which);
    first.expect("Entering MASTER STATE", secs(15.0));
    let mut second = start(&hosts[1], which);
    second.expect("Entering BACKUP STATE", secs(10.0));
    let begin = now_ns();
    net.watch.wait_nth("all to settle", begin, 10, secs(10.0), |s| {
        s.is_advert_of(51, ONE)
    });
    let from = now_ns();
    net.watch
        .wait_nth("five seconds", from, 50, secs(20.0), |s| s.is_advert_of(51, ONE));
    let gap = longest_gap(&net.watch, from, now_ns());
    let crashed = first.crash();
    let (advert, due) = backup_advert(&net, crashed, 0.1);
    let announced = all_announced(&net.watch, crashed, 0..1);
    vec![
        value("longest gap", "ms", gap, 1.0),
        value("first advert", "us", (advert - due) as f64 / 1e3, 0.7),
        value("address announced", "us", (announced - due) as f64 / 1e3, 0.7),
    ]
}

/// When the backup's first advert came after a crash, and when it was due.
fn backup_advert(net: &Net, crashed: i64, interval: f64) -> (i64, i64) {
    let advert = net.watch.wait("the backup's advert", crashed, secs(8.0), |s| {
        s.is_advert_of(51, TWO)
    });
    let heard = net.watch.seen_since(0).into_iter();
    let heard = heard.filter(|s| s.is_advert_of(51, ONE)).map(|s| s.at).max();
    (
        advert.at,
        deadline(heard.expect("adverts of the master"), interval),
    )
}
