use crate::config::{MemoryHost, ReadOptions, Reading};
use crate::model::lvs::*;
use crate::model::route::Family;
use std::net::Ipv4Addr;
use std::time::Duration;

pub(in crate::config::read) fn read(text: &str) -> Reading {
    let mut host = MemoryHost::default();
    host.file("/etc/keepalived/keepalived.conf", text);
    host.users.insert("nobody".to_owned(), (65534, 65534));
    let options = ReadOptions {
        test: true,
        ..ReadOptions::default()
    };
    crate::config::read(&host, &options)
}

/// The complaints; those with a place begin with the line.
pub(in crate::config::read) fn said(reading: &Reading) -> Vec<String> {
    let show = |d: &crate::config::Diagnostic| match d.span {
        Some(span) => format!("{} {}", span.line, d.text),
        None => d.text.clone(),
    };
    reading
        .diagnostics
        .iter()
        .filter(|d| !d.start_only)
        .map(show)
        .collect()
}

fn server(body: &str) -> (Option<VirtualServer>, Vec<String>) {
    let reading = read(&format!("virtual_server 10.0.0.3 80 {{\n{body}\n}}\n"));
    let messages = said(&reading);
    (reading.configuration.lvs.servers.into_iter().next(), messages)
}

/// What makes a virtual server complete.
pub(super) const WHOLE: &str = "protocol TCP\nlvs_sched rr\nlvs_method NAT\nreal_server 1.1.1.1 80 {\n}\n";

fn good(body: &str) -> VirtualServer {
    let (server, said) = server(&format!("{WHOLE}{body}"));
    assert_eq!(said, Vec::<String>::new(), "{body}");
    server.expect(body)
}

fn wrong(body: &str) -> Vec<String> {
    let (_, said) = server(&format!("{WHOLE}{body}"));
    said.into_iter()
        .map(|s| s.strip_prefix("7 ").map(str::to_owned).unwrap_or(s))
        .collect()
}

#[test]
fn every_keyword_of_a_virtual_server_reaches_the_model() {
    let s = good(
        "retry 3\ndelay_before_retry 1.5\nwarmup 2\nconnect_timeout 4\ndelay_loop 6\ninhibit_on_failure\n\
         persistence_engine sip\npersistence_timeout 50\npersistence_granularity 255.255.255.0\nha_suspend\n\
         smtp_alert\nvirtualhost www\nsnmp_name n\nalpha\nomega\nquorum_up \"/bin/up a b\" nobody\n\
         quorum_down \"/bin/down\"\nquorum 1\nweight 5\nsorry_server 1.1.1.9 81\nsorry_server_inhibit\n\
         sorry_server_lvs_method NAT\nip_family inet\nflag-1\nflag-2\nflag-3",
    );
    assert_eq!(s.service, Service::Address(Ipv4Addr::new(10, 0, 0, 3).into(), 80));
    assert_eq!((s.protocol, s.family), (Some(Protocol::Tcp), Some(Family::Inet)));
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(
        s.timing,
        Timing {
            alpha: Some(true),
            delay_loop: seconds(6),
            retry: Some(3),
            delay_before_retry: Some(Duration::from_millis(1500)),
            warmup: seconds(2),
            connect_timeout: seconds(4),
        }
    );
    assert!(s.inhibit && s.ha_suspend && s.smtp_alert && s.omega);
    assert_eq!((s.scheduler.as_str(), s.method), ("rr", Method::Nat));
    assert!(s.flags.flag1 && s.flags.flag2 && s.flags.flag3 && !s.flags.one_packet);
    assert_eq!(s.persistence_engine.as_deref(), Some("sip"));
    assert_eq!(s.persistence_timeout, Some(50));
    assert_eq!(
        s.persistence_granularity,
        Some(Granularity::Mask(Ipv4Addr::new(255, 255, 255, 0)))
    );
    assert_eq!(
        (s.virtual_host.as_deref(), s.snmp_name.as_deref()),
        (Some("www"), Some("n"))
    );
    let up = s.quorum_up.unwrap();
    assert_eq!(
        (up.argv, up.identity.uid),
        (vec!["/bin/up".to_owned(), "a".into(), "b".into()], 65534)
    );
    assert!(s.quorum_down.is_some());
    assert_eq!((s.quorum, s.hysteresis, s.weight), (1, 0, 5));
    let sorry = s.sorry_server.unwrap();
    assert_eq!((sorry.port, sorry.inhibit, sorry.method), (81, true, Method::Nat));
    let real = &s.real_servers[0];
    assert_eq!((real.weight, real.inhibit, real.timing), (5, true, s.timing));
    assert!(real.smtp_alert);
}

#[test]
fn every_keyword_of_a_real_server_reaches_the_model() {
    let s = good(
        "delay_loop 9\nreal_server 1.1.1.2 80 {\nweight 0\nlvs_method DR\nuthreshold 100\nlthreshold 50\n\
         inhibit_on_failure on\nnotify_up \"/bin/up\" root root\nnotify_down \"/bin/down\"\nalpha\nretry 2\n\
         delay_before_retry 3\nwarmup 4\nconnect_timeout 5\nsmtp_alert no\nvirtualhost x\nsnmp_name y\n}",
    );
    let real = &s.real_servers[1];
    assert_eq!((real.weight, real.method), (0, Method::Dr));
    assert_eq!((real.upper_threshold, real.lower_threshold), (100, 50));
    assert!(real.inhibit && !real.smtp_alert);
    assert!(real.notify_up.is_some() && real.notify_down.is_some());
    assert_eq!(real.timing.alpha, Some(true));
    assert_eq!(
        (real.timing.retry, real.timing.delay_loop),
        (Some(2), Some(Duration::from_secs(9)))
    );
    assert_eq!(
        (real.virtual_host.as_deref(), real.snmp_name.as_deref()),
        (Some("x"), Some("y"))
    );
}

#[test]
fn defaults() {
    let s = good("");
    assert_eq!(s.timing.delay_loop, Some(Duration::from_secs(60)));
    assert_eq!(s.timing.connect_timeout, Some(Duration::from_secs(5)));
    assert_eq!(
        (s.timing.alpha, s.timing.retry, s.timing.warmup),
        (Some(false), None, None)
    );
    assert_eq!((s.quorum, s.smtp_alert), (1, false));
    let real = &s.real_servers[0];
    assert!(real.smtp_alert && !real.inhibit);
    assert_eq!(real.weight, 1);
    assert_eq!(good("persistence_timeout").persistence_timeout, Some(360));
    assert_eq!(
        good("persistence_granularity 255.255.0.0").persistence_timeout,
        Some(360)
    );
}

#[test]
fn forwarding_methods() {
    let method = |text: &str| {
        let (s, said) = server(&format!(
            "protocol TCP\nlvs_sched rr\nlvs_method {text}\nreal_server 1.1.1.1 80 {{\n}}"
        ));
        assert_eq!(said, Vec::<String>::new(), "{text}");
        s.map(|s| s.real_servers[0].method)
    };
    let tunnel = |kind, port, checksum| Some(Method::Tun(Tunnel { kind, port, checksum }));
    assert_eq!(method("NAT"), Some(Method::Nat));
    assert_eq!(method("DR"), Some(Method::Dr));
    assert_eq!(method("TUN"), tunnel(TunnelKind::Ipip, 0, TunnelChecksum::None));
    assert_eq!(
        method("TUN type gue port 5555 remcsum"),
        tunnel(TunnelKind::Gue, 5555, TunnelChecksum::Remote)
    );
    assert_eq!(
        method("TUN type gre csum"),
        tunnel(TunnelKind::Gre, 0, TunnelChecksum::Checksum)
    );
}

#[test]
fn wrong_values_and_what_is_said() {
    let table: &[(&str, &[&str])] = &[
        ("ip_family foo", &["unknown address family foo"]),
        (
            "ip_family inet6",
            &["Virtual server specified family inet6 conflicts with server family"],
        ),
        (
            "retry 0",
            &[
                "number '0' outside range [1, 4294967295]",
                "retry value invalid - 0",
            ],
        ),
        ("delay_before_retry foo", &["invalid number 'foo'"]),
        (
            "delay_before_retry -1",
            &[
                "negative number '-1'",
                "virtual server delay before retry '-1' invalid - ignoring",
            ],
        ),
        (
            "warmup -1",
            &[
                "negative number '-1'",
                "virtual server warmup '-1' invalid - ignoring",
            ],
        ),
        (
            "connect_timeout 0",
            &[
                "number '0' outside range [0.000001, 4294.967295]",
                "virtual server connect_timeout 0 invalid - ignoring",
            ],
        ),
        (
            "delay_loop 0",
            &[
                "number '0' outside range [0.000001, 18446744073709.551614]",
                "virtual server delay loop '0' invalid - ignoring",
            ],
        ),
        ("lb_algo foo", &["Invalid lvs_scheduler 'foo' - ignoring"]),
        ("hashed", &["hashed only applies to sh scheduler - ignoring"]),
        ("sh-port", &["sh-port only applies to sh scheduler - ignoring"]),
        (
            "lb_kind foo",
            &["PARSER : unknown [foo] routing method for virtual server."],
        ),
        (
            "lvs_method TUN type foo",
            &["Unknown tunnel type foo for virtual server."],
        ),
        (
            "lvs_method TUN type gue",
            &["gue tunnels require port, otherwise cannot have port."],
        ),
        (
            "lvs_method TUN type ipip csum",
            &["ipip tunnels do not support checksum option."],
        ),
        (
            "lvs_method TUN type gre remcsum",
            &["gre tunnels do not support remote checksum option."],
        ),
        (
            "lvs_method TUN type gue port 0",
            &[
                "number '0' outside range [1, 65535]",
                "Invalid gue tunnel port 0 for virtual server.",
            ],
        ),
        (
            "lvs_method DR foo",
            &["Invalid tunnel option foo for virtual server."],
        ),
        (
            "persistence_engine averyveryverylongname",
            &["persistence_name too long, truncating - averyveryverylongname"],
        ),
        (
            "persistence_timeout 2678401",
            &[
                "number '2678401' outside range [1, 2678400]",
                "persistence_timeout invalid",
            ],
        ),
        (
            "persistence_granularity foo",
            &["Invalid IPv4 persistence_granularity specified - foo"],
        ),
        ("protocol foo", &["Unknown protocol foo - ignoring"]),
        (
            "smtp_alert foo",
            &["Invalid virtual_server smtp_alert parameter foo"],
        ),
        (
            "quorum 0",
            &[
                "number '0' outside range [1, 4294967295]",
                "Quorum 0 must be in [1, 4294967295]. Setting to 1.",
            ],
        ),
        (
            "hysteresis foo",
            &[
                "invalid number 'foo'",
                "Hysteresis foo must be in [0, 4294967295] - ignoring",
            ],
        ),
        (
            "weight 0",
            &[
                "number '0' outside range [1, 65535]",
                "Virtual server weight 0 is outside range 1-65535",
            ],
        ),
        (
            "sorry_server_inhibit",
            &["Ignoring sorry_server inhibit used before or without sorry_server"],
        ),
        (
            "sorry_server_lvs_method DR",
            &["sorry_server forwarding used without sorry_server"],
        ),
        (
            "sorry_server foo 80",
            &["Invalid sorry server IP address foo - skipping"],
        ),
        (
            "real_server foo 80 {\nweight 5\n}",
            &["Invalid real server ip address/port foo/80 - skipping"],
        ),
        (
            "real_server 2001:db8::1 80 {\n}",
            &[
                "8 Address family of virtual server and real server 2001:db8::1 don't match - skipping real server.",
            ],
        ),
    ];
    for (body, messages) in table {
        assert_eq!(wrong(body), *messages, "{body}");
    }
    let real: &[(&str, &[&str])] = &[
        (
            "weight -1",
            &[
                "negative number '-1'",
                "Real server weight -1 is outside range 0-65535",
            ],
        ),
        (
            "lvs_method foo",
            &["PARSER : unknown [foo] routing method for real server."],
        ),
        (
            "uthreshold foo",
            &[
                "invalid number 'foo'",
                "Invalid real_server uthreshold 'foo' - ignoring",
            ],
        ),
        (
            "inhibit_on_failure foo",
            &["Invalid inhibit_on_failure parameter foo"],
        ),
        ("alpha foo", &["Invalid alpha parameter foo"]),
        (
            "smtp_alert foo",
            &["Invalid real_server smtp_alert parameter foo"],
        ),
        (
            "delay_before_retry -1",
            &[
                "negative number '-1'",
                "real server delay_before_retry '-1' invalid - ignoring",
            ],
        ),
    ];
    for (line, messages) in real {
        let body = format!("{WHOLE}real_server 1.1.1.2 80 {{\n{line}\n}}");
        let (_, said) = server(&body);
        let said: Vec<_> = said.iter().map(|s| s.strip_prefix("8 ").unwrap_or(s)).collect();
        assert_eq!(said, *messages, "{line}");
    }
}

#[test]
fn headers() {
    let reading = read(
        "virtual_server foo 80 {\nreal_server 1.1.1.1 80 {\n}\n}\nvirtual_server 10.0.0.1 99999 {\n}\n\
         virtual_server fwmark foo {\n}\nvirtual_server 10.0.0.2 80 {\nprotocol TCP\n}\n",
    );
    assert_eq!(
        said(&reading),
        [
            "1 Invalid virtual server IP address/port foo/80 - skipping",
            "5 number '99999' outside range [1, 65535]",
            "5 Invalid virtual server IP address/port 10.0.0.1/99999 - skipping",
            "7 invalid number 'foo'",
            "7 virtual server fwmark 'foo' must be in [0, 4294967295] - ignoring",
            "11 Virtual server [10.0.0.2]:tcp:80 has no real servers - ignoring",
        ]
    );
    assert_eq!(read("virtual_server\n").test_status, 2);
}

#[test]
fn groups() {
    let reading = read(
        "virtual_server_group G {\n192.0.2.101 80\n192.0.2.102-100 80\n192.0.2.103-105\n\
         192.0.2.106-192.0.2.110 8080\n192.0.2.0/30 80\n192.0.2.1/30 80\n192.0.2.300 80\n192.0.2.111 70000\n\
         fwmark 5\nfwmark foo\nfwmark 7 foo\n192.0.2.103-300\n192.0.2.0/33 80\n}\n\
         virtual_server_group S {\n2001:db8::1-a 80\n2001:db8::1-g 80\n2001:db8::/120\n}\n\
         virtual_server_group E {\n}\nvirtual_server_group M {\n10.0.0.1 80\n2001:db8::1 80\nfwmark 1\n}\n",
    );
    assert_eq!(
        said(&reading),
        [
            "3 Address range end is not greater than address range start - 192.0.2.102-100 - skipping",
            "7 Address mask bits not empty - 192.0.2.1/30 - skipping",
            "8 Invalid virtual server group IP address 192.0.2.300 /port/80 - skipping",
            "9 number '70000' outside range [1, 65535]",
            "9 Invalid virtual server group IP address 192.0.2.111 /port/70000 - skipping",
            "11 invalid number 'foo'",
            "11 (G): fwmark 'foo' must be in [0, 4294967295] - ignoring",
            "12 (G): fwmark '7' family foo unknown - ignoring",
            "13 Virtual server group range '192.0.2.103-300' end '300' too large",
            "14 Invalid netmask - 192.0.2.0/33 - skipping",
            "18 Virtual server group range '2001:db8::1-g' has extra characters at end 'g'",
            "22 virtual server group E has no entries - removing",
            "27 virtual server group M cannot have IPv4, IPv6 and fwmark without family - removing",
        ]
    );
    let groups = &reading.configuration.lvs.groups;
    let addresses = |first: &str, last: &str, port| GroupEntry::Addresses {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        port,
    };
    assert_eq!(
        groups[0].entries,
        [
            addresses("192.0.2.101", "192.0.2.101", 80),
            addresses("192.0.2.103", "192.0.2.105", 0),
            addresses("192.0.2.106", "192.0.2.110", 8080),
            addresses("192.0.2.0", "192.0.2.3", 80),
            GroupEntry::Mark {
                mark: 5,
                family: None
            },
        ]
    );
    assert_eq!(
        groups[1].entries,
        [
            addresses("2001:db8::1", "2001:db8::a", 80),
            addresses("2001:db8::", "2001:db8::ff", 0),
        ]
    );
}

#[test]
fn what_is_completed_and_said() {
    let reading = read(
        "virtual_server fwmark 10 {\nprotocol TCP\nha_suspend\nlvs_method DR\nsorry_server 1.1.1.9 80\n\
         real_server 1.1.1.1 80 {\n}\n}\n\
         virtual_server 10.0.0.1 0 {\nprotocol TCP\nlvs_sched rr\nops\nquorum 5\nhysteresis 6\n\
         sorry_server 1.1.1.9 81\nreal_server 1.1.1.1 80 {\n}\nreal_server 1.1.1.1 80 {\n}\n\
         real_server 1.1.1.9 81 {\ninhibit_on_failure\n}\nreal_server 1.1.1.3 81 {\nlvs_method DR\n}\n}\n\
         virtual_server 10.0.0.2 80 {\nlvs_sched rr\nlvs_method DR\nsorry_server 1.1.1.9 81\n\
         real_server 1.1.1.1 81 {\n}\nreal_server 1.1.1.2 {\n}\n}\n",
    );
    assert_eq!(
        said(&reading),
        [
            "Virtual server FWM 10: cannot use ha_suspend with fwmarks - clearing ha_suspend",
            "Warning: Virtual server FWM 10: protocol specified for fwmark - protocol will be ignored",
            "Virtual server FWM 10: no scheduler set, setting default 'wlc'",
            "WARNING - fwmark virtual server FWM 10, real server [1.1.1.1]:none:80 has port specified - clearing",
            "WARNING - virtual server FWM 10, sorry server has port specified - clearing",
            "Virtual server [10.0.0.1]:tcp:0: one packet scheduling requires UDP - resetting",
            "Virtual server [10.0.0.1]:tcp:0: zero port only valid for persistent services - setting",
            "Virtual server [10.0.0.1]:tcp:0: no forwarding method set, setting default NAT",
            "VS [10.0.0.1]:tcp:0: real server [1.1.1.1]:tcp:80 is duplicated - removing second rs",
            "Virtual server [10.0.0.1]:tcp:0: real server [1.1.1.9]:tcp:81 matches sorry server, but inhibit setting differs, setting on sorry server",
            "Warning - quorum 5 for [10.0.0.1]:tcp:0 exceeds total weight of real servers 3, reducing quorum to 3",
            "Virtual server [10.0.0.1]:tcp:0: hysteresis 6 >= quorum 3; setting hysteresis to 2",
            "WARNING - virtual server [10.0.0.1]:tcp:0 and real server [1.1.1.3]:tcp:81 ports don't match - resetting",
            "Virtual server [10.0.0.2]:none:80: no protocol set - defaulting to UDP",
            "WARNING - virtual server [10.0.0.2]:udp:80 and real server [1.1.1.1]:udp:81 ports don't match - resetting",
            "WARNING - virtual server [10.0.0.2]:udp:80 and sorry server ports don't match - resetting",
        ]
    );
    let servers = &reading.configuration.lvs.servers;
    assert_eq!((servers[0].protocol, servers[0].real_servers[0].port), (None, 0));
    assert_eq!(servers[1].real_servers.len(), 3);
    assert_eq!((servers[1].quorum, servers[1].hysteresis), (3, 2));
    assert_eq!(servers[1].sorry_server.as_ref().map(|s| s.inhibit), Some(true));
    assert_eq!(servers[1].persistence_timeout, Some(360));
    let ports: Vec<_> = servers[2].real_servers.iter().map(|r| r.port).collect();
    assert_eq!((servers[2].protocol, ports), (Some(Protocol::Udp), vec![80, 80]));
}

#[test]
fn groups_report_ports_for_each_entry() {
    let reading = read(
        "virtual_server_group G {\n192.0.2.101 80\n192.0.2.103-105 90\n}\nvirtual_server_group F {\nfwmark 5\n}\n\
         virtual_server group G {\nprotocol TCP\nlvs_sched rr\nlvs_method DR\nsorry_server 1.1.1.9 80\n\
         real_server 1.1.1.1 80 {\n}\n}\n\
         virtual_server group F {\nlvs_sched rr\nlvs_method DR\nsorry_server 1.1.1.9 80\n\
         real_server 1.1.1.1 80 {\n}\n}\n\
         virtual_server group F {\nlvs_sched rr\nlvs_method NAT\nreal_server 1.1.1.1 80 {\n}\n}\n",
    );
    assert_eq!(
        said(&reading),
        [
            "virtual server [G]:0:[192.0.2.103-192.0.2.105,90] and real server [1.1.1.1]:tcp:80 ports don't match",
            "WARNING - virtual server [G]:0, sorry server has port specified - port will be ignored",
            "WARNING - fwmark virtual server [F]:0, real server [1.1.1.1]:none:80 has port specified - port will be ignored",
            "WARNING - fwmark virtual server [F]:0, sorry server has port specified - port will be ignored",
        ]
    );
    let servers = &reading.configuration.lvs.servers;
    assert_eq!(servers[2].service, Service::Group("F".to_owned(), 1));
    assert_eq!(servers[0].family, Some(Family::Inet));
}

#[test]
fn ssl_context() {
    let reading = read("SSL {\npassword a\nca b\ncertificate c\nkey d\n}\nSSL {\nca x\n}\n");
    assert_eq!(said(&reading), ["7 SSL context already specified - replacing"]);
    let ssl = reading.configuration.lvs.ssl.unwrap();
    assert_eq!((ssl.ca.as_deref(), ssl.key), (Some("x"), None));
}
