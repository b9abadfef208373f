//! Monitoring over SNMP: Prometheus' exporter, and what Checkmk's and Nagios' checks read.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::common::daemon::{Start, ours_only};
use crate::common::{Which, have, runner, secs, wait_until};
use crate::pair::{Single, instance, start};
use crate::snmp::{KEEPALIVED_MIB, needs_snmp, snmpd};

const GLOBALS: &str = "global_defs {\n    snmp_socket unix:/run/agentx\n    enable_snmp_vrrp\n}\n";

fn configuration() -> String {
    let one = instance("VI_1", 51, 150, &["192.0.2.100/24"], "");
    let two = instance(
        "VI_2",
        52,
        100,
        &["192.0.2.110/24"],
        "track_interface {\n        eth1\n    }",
    );
    format!("{GLOBALS}{one}{two}")
}

/// snmp.yml as its generator makes it of the MIB: states by the name of the instance.
const MODULE: &str = r#"
keepalived:
  version: 2
  auth:
    community: public
  walk:
    - 1.3.6.1.4.1.9586.100.5.2.3
  metrics:
    - name: vrrpInstanceState
      oid: 1.3.6.1.4.1.9586.100.5.2.3.1.4
      type: gauge
      help: Current state of this VRRP instance.
      indexes:
        - labelname: vrrpInstanceIndex
          type: gauge
      lookups:
        - labels: [vrrpInstanceIndex]
          labelname: vrrpInstanceName
          oid: 1.3.6.1.4.1.9586.100.5.2.3.1.2
          type: DisplayString
    - name: vrrpInstanceEffectivePriority
      oid: 1.3.6.1.4.1.9586.100.5.2.3.1.8
      type: gauge
      help: Effective priority.
      indexes:
        - labelname: vrrpInstanceIndex
          type: gauge
"#;

/// prometheus-snmp-exporter asks snmpd, and has a number for each instance.
pub fn the_snmp_exporter_of_prometheus() {
    needs_snmp();
    if !have("prometheus-snmp-exporter") {
        runner::skip("prometheus-snmp-exporter is not installed");
    }
    let lab = Single::new(&configuration());
    let far = lab.lab.cable(&lab.host, "eth1", &[]);
    far.pull();
    let _snmpd = snmpd(&lab.host);
    let mut daemon = Start::new(&lab.host, Which::Tested).spawn();
    daemon.expect("(VI_1) Entering MASTER STATE", secs(10.0));
    lab.host.write("snmp.yml", MODULE);
    let mut exporter = Start::bare(&lab.host, "prometheus-snmp-exporter")
        .only_args(&[
            "--config.file=/etc/keepalived/snmp.yml",
            "--web.listen-address=127.0.0.1:9116",
        ])
        .spawn();
    exporter.expect("Listening on", secs(10.0));
    let scrape = || {
        lab.host.space().run(|| -> Option<String> {
            let mut stream = TcpStream::connect("127.0.0.1:9116").ok()?;
            stream.set_read_timeout(Some(secs(10.0))).ok()?;
            let request = "GET /snmp?module=keepalived&target=127.0.0.1:1161 HTTP/1.0\r\n\r\n";
            stream.write_all(request.as_bytes()).ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            Some(text)
        })
    };
    let text = wait_until("the states", secs(15.0), || {
        scrape().filter(|text| text.contains("vrrpInstanceName=\"VI_2\"} 3"))
    });
    for line in [
        "vrrpInstanceState{vrrpInstanceIndex=\"1\",vrrpInstanceName=\"VI_1\"} 2",
        "vrrpInstanceState{vrrpInstanceIndex=\"2\",vrrpInstanceName=\"VI_2\"} 3",
        "vrrpInstanceEffectivePriority{vrrpInstanceIndex=\"1\"} 150",
        "vrrpInstanceEffectivePriority{vrrpInstanceIndex=\"2\"} 100",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    far.plug();
    wait_until("the new state", secs(15.0), || {
        scrape().filter(|text| text.contains("vrrpInstanceName=\"VI_2\"} 2"))
    });
}

/// Checkmk: there is a version; names and states side by side; addresses as octets. check_keepalived_vrrp: the wanted
/// state and the interface besides.
pub fn the_checks_that_walk_a_few_columns() {
    ours_only("its build may have another MIB");
    needs_snmp();
    let lab = Single::new(&configuration());
    lab.lab.cable(&lab.host, "eth1", &[]).pull();
    let _snmpd = snmpd(&lab.host);
    let mut daemon = start(&lab.host);
    daemon.expect("(VI_1) Entering MASTER STATE", secs(10.0));
    // As Checkmk calls it: bulk walks, numbers only, quick, octets in hexadecimal.
    let column = |column: &str| -> Vec<String> {
        let root = format!("{KEEPALIVED_MIB}.{column}");
        let program = if column.ends_with(".0") {
            "snmpget"
        } else {
            "snmpbulkwalk"
        };
        let words = [
            "-v2c",
            "-c",
            "public",
            "-m",
            "",
            "-M",
            "",
            "-Cc",
            "-OQ",
            "-OU",
            "-On",
            "-Ot",
            "127.0.0.1:1161",
            &root,
        ];
        let words: Vec<&str> = words
            .into_iter()
            .filter(|word| program != "snmpget" || *word != "-Cc")
            .collect();
        let text = lab.host.space().tool(program, &words);
        let values = text.lines().filter_map(|line| line.split_once(" = "));
        values
            .map(|(_, value)| value.trim().trim_matches('"').to_owned())
            .collect()
    };
    wait_until("the MIB", secs(15.0), || {
        column("2.3.1.4").iter().any(|state| state == "2").then_some(())
    });
    let version = column("1.1.0");
    assert!(version[0].starts_with("Keepalived v2.4.3"), "{version:?}");
    assert_eq!(column("2.3.1.2"), ["VI_1", "VI_2"]);
    let states = column("2.3.1.4");
    assert_eq!(states, ["2", "3"], "master, and no carrier on eth1");
    assert_eq!(column("2.3.1.10"), ["eth0", "eth0"]);
    assert_eq!(column("2.3.1.6").len(), 2);
    assert_eq!(
        column("2.6.1.3")[0].trim().to_uppercase(),
        "C0 00 02 64",
        "192.0.2.100"
    );
}
