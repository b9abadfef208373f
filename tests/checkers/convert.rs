//! `convert` writes what the configuration beside its own file says.

use keepalived_rs::model::lvs::VirtualServer;
use keepalived_rs::tools::convert::ldirectord;
use std::path::Path;

fn servers(text: &str) -> Vec<VirtualServer> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keepalived.conf");
    std::fs::write(&file, text).expect("the file");
    let options = keepalived_rs::config::ReadOptions {
        file: file.to_string_lossy().into_owned(),
        ..keepalived_rs::config::ReadOptions::default()
    };
    let machine = keepalived_rs::daemon::host::Machine::new();
    keepalived_rs::config::read(&machine, &options)
        .configuration
        .lvs
        .servers
}

fn beside(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkers/ldirectord");
    std::fs::read_to_string(folder.join(name)).expect("a file of the test")
}

#[test]
fn the_result_is_what_a_person_wrote() {
    let converted = ldirectord(&beside("ldirectord.cf"));
    let mut wanted = servers(&beside("ld1.conf"));
    // The person chose to keep the second server with weight 0, which `quiescent=no` is not.
    wanted[0].real_servers[1].inhibit = false;
    assert_eq!(servers(&converted.text), wanted, "{}", converted.text);
    let notes = converted.notes.join("\n");
    for note in ["vrrp_instance", "autoreload", "failurecount"] {
        assert!(notes.contains(note), "{notes}");
    }
}

#[test]
fn every_kind_of_check() {
    let converted = ldirectord(
        r#"
checkinterval=7
quiescent=yes
emailalert=a@example.net, b@example.net
emailalertfrom=lb@example.net
failurecount=3
virtual=192.0.2.1:443
    real=192.0.2.10->192.0.2.12:443 masq 5 "/a \"b", "up \d+"
    real=192.0.2.13:8443 ipip
    service=https
    virtualhost=www.example.net
    persistent=600
    netmask=255.255.255.0
    scheduler=wlc
virtual=192.0.2.1:25
    real=192.0.2.10:25 gate
    checktype=connect
    checkport=2525
    fallback=192.0.2.99 masq
virtual=192.0.2.1:53
    protocol=udp
    real=192.0.2.10:53 gate
    request=example.net
    service=dns
virtual=7
    protocol=fwm
    real=192.0.2.10 gate
    checktype=external
    checkcommand=/usr/local/bin/check
    checktimeout=4
virtual=192.0.2.1:3306
    real=192.0.2.10:3306 gate
    service=mysql
    login=x
virtual=[2001:db8::1]:80
    real=[2001:db8::2]:80 gate
    checktype=ping
virtual=www.example.net:80
    real=192.0.2.10:80 gate
"#,
    );
    println!("{}", converted.text);
    let notes = converted.notes.join("\n");
    for note in [
        "line 31: there is no check that speaks mysql",
        "line 34: login has no counterpart",
        "'www.example.net' is a name",
    ] {
        assert!(notes.contains(note), "{notes}");
    }
    let servers = servers(&converted.text);
    assert_eq!(servers.len(), 6);
    let kinds: Vec<&str> = servers
        .iter()
        .flat_map(|server| server.real_servers.iter().flat_map(|real| &real.checkers))
        .map(|checker| checker.kind.keyword())
        .collect();
    assert_eq!(
        kinds,
        [
            "SSL_GET",
            "SSL_GET",
            "SSL_GET",
            "SSL_GET",
            "TCP_CHECK",
            "DNS_CHECK",
            "MISC_CHECK",
            "TCP_CHECK",
            "PING_CHECK"
        ]
    );
    assert_eq!(servers[0].real_servers[0].checkers[0].retry, 2);
    assert!(servers[0].real_servers[0].inhibit);
}
