use super::super::lvs::tests::{read, said};
use crate::model::lvs::*;
use std::net::IpAddr;
use std::time::Duration;

/// Reads one checker; complaints with the line counted from the checker's own.
fn check(block: &str) -> (Vec<Checker>, Vec<String>) {
    let reading = read(&format!(
        "bfd_instance b1 {{ neighbor_ip 192.0.2.1 }}\nvirtual_server 10.0.0.3 80 {{\nprotocol TCP\nlvs_sched rr\n\
         lvs_method NAT\nvirtualhost vs\ndelay_loop 7\nreal_server 1.1.1.1 8080 {{\n{block}\n}}\n}}\n"
    ));
    let shift = |text: &String| match text.split_once(' ') {
        Some((number, rest)) if number.parse::<u32>().is_ok() => {
            format!("{} {rest}", number.parse::<u32>().unwrap() - 8)
        }
        _ => text.clone(),
    };
    let messages = said(&reading).iter().map(shift).collect();
    let mut servers = reading.configuration.lvs.servers;
    (std::mem::take(&mut servers[0].real_servers[0].checkers), messages)
}

fn one(block: &str) -> Checker {
    let (checkers, said) = check(block);
    assert_eq!(said, Vec::<String>::new(), "{block}");
    assert_eq!(checkers.len(), 1, "{block}");
    checkers.into_iter().next().unwrap()
}

fn wrong(block: &str) -> Vec<String> {
    check(block).1
}

#[test]
fn what_all_checkers_have() {
    let c = one(
        "TCP_CHECK {\nconnect_ip 1.2.3.4\nconnect_port 81\nbindto 2.3.4.5\nbind_port 1000\nbind_if eth0\n\
         connect_timeout 2.5\nfwmark 5\nretry 0\ndelay_before_retry 4\nwarmup 0\ndelay_loop 3\nalpha\n\
         log_all_failures\n}",
    );
    assert!(c.alpha && c.log_all_failures);
    assert_eq!(
        (c.retry, c.delay_loop, c.warmup),
        (0, Duration::from_secs(3), Duration::ZERO)
    );
    assert_eq!(c.delay_before_retry, Duration::from_secs(4));
    let CheckerKind::Tcp(connection) = c.kind else {
        panic!("{c:?}");
    };
    assert_eq!(
        connection,
        Connection {
            address: IpAddr::from([1, 2, 3, 4]),
            port: 81,
            bind_address: Some(IpAddr::from([2, 3, 4, 5])),
            bind_port: Some(1000),
            bind_interface: Some("eth0".to_owned()),
            timeout: Duration::from_millis(2500),
            mark: 5,
        }
    );
}

#[test]
fn what_a_checker_inherits() {
    let seconds = Duration::from_secs;
    let defaults = |keyword: &str, inner: &str| {
        let c = one(&format!("{keyword} {{\n{inner}\n}}"));
        (c.retry, c.delay_before_retry, c.warmup)
    };
    assert_eq!(defaults("TCP_CHECK", ""), (1, seconds(1), seconds(7)));
    assert_eq!(defaults("PING_CHECK", ""), (1, seconds(1), seconds(7)));
    assert_eq!(defaults("DNS_CHECK", ""), (3, seconds(7), seconds(7)));
    assert_eq!(
        defaults("MISC_CHECK", "misc_path /bin/true"),
        (0, seconds(1), seconds(7))
    );
    assert_eq!(
        defaults("HTTP_GET", "url {\npath /\n}"),
        (1, seconds(3), seconds(7))
    );
    let c = one("alpha\nretry 5\nwarmup 2\nTCP_CHECK {\n}");
    assert_eq!((c.alpha, c.retry, c.warmup), (true, 5, seconds(2)));
    let CheckerKind::Tcp(connection) = one("TCP_CHECK {\n}").kind else {
        panic!();
    };
    assert_eq!((connection.port, connection.timeout), (8080, seconds(5)));
}

#[test]
fn http() {
    let c = one(
        "SSL_GET {\nvirtualhost x\nhttp_protocol 1.1\nenable_sni\nsni_name s\nfast_recovery\ntls_compliant\n\
         url {\npath /a\ndigest 05b629ff4accb994d79e444b43430728\nstatus_code 200-299 302\nvirtualhost y\n\
         regex \"a\\x41|b\"\nregex_no_match\nregex_options caseless nonsense\nregex_min_offset 5\n\
         regex_max_offset 30\nregex_stack 100 200\ntls_compliant off\n}\nurl {\npath /b\n}\n}",
    );
    let CheckerKind::Http(http) = c.kind else {
        panic!();
    };
    assert!(http.tls && http.enable_sni && http.fast_recovery && http.tls_compliant);
    assert_eq!(http.virtual_host.as_deref(), Some("x"));
    assert_eq!(
        (http.protocol, http.sni_name.as_deref()),
        (HttpProtocol::V11, Some("s"))
    );
    let url = &http.urls[0];
    assert_eq!(
        (url.path.as_str(), url.digest.map(|d| (d[0], d[15]))),
        ("/a", Some((0x05, 0x28)))
    );
    assert_eq!(
        url.status,
        [
            StatusRange {
                first: 200,
                last: 299
            },
            StatusRange {
                first: 302,
                last: 302
            }
        ]
    );
    assert_eq!(
        (url.virtual_host.as_deref(), url.tls_compliant),
        (Some("y"), Some(false))
    );
    assert_eq!(
        url.pattern,
        Some(Pattern {
            regex: "aA|b".to_owned(),
            no_match: true,
            options: vec!["caseless".to_owned()],
            min_offset: 5,
            max_offset: 30,
            stack: Some((100, 200)),
        })
    );
    assert_eq!(http.urls[1].pattern, None);
    let CheckerKind::Http(http) = one("HTTP_GET {\nurl {\npath /\n}\n}").kind else {
        panic!();
    };
    assert_eq!((http.tls, http.virtual_host.as_deref()), (false, Some("vs")));
}

#[test]
fn the_other_kinds() {
    let c = one("MISC_CHECK {\nmisc_path \"/bin/x a 'b c'\"\nmisc_timeout 3\nmisc_dynamic\nuser nobody\n}");
    let CheckerKind::Misc {
        command,
        timeout,
        dynamic,
    } = c.kind
    else {
        panic!();
    };
    assert_eq!(command.argv, ["/bin/x", "a", "b c"]);
    assert_eq!(
        (command.identity.uid, timeout, dynamic),
        (65534, Duration::from_secs(3), true)
    );
    let c = one(
        "UDP_CHECK {\npayload 616 2\nrequire_reply 70 6f xx 6X\nmin_reply_length 1\nmax_reply_length 9\n}",
    );
    let CheckerKind::Udp(udp) = c.kind else {
        panic!();
    };
    assert_eq!(udp.payload, Some(vec![0x61, 6, 2]));
    let reply = udp.reply.unwrap();
    assert_eq!(reply.data, [0x70, 0x6f, 0, 0x60]);
    assert_eq!(reply.mask, Some(vec![0xff, 0xff, 0, 0xf0]));
    assert_eq!((udp.min_length, udp.max_length), (1, 9));
    let CheckerKind::Dns(dns) = one("DNS_CHECK {\ntype aaaa\nname example.org\n}").kind else {
        panic!();
    };
    assert_eq!((dns.kind, dns.name.as_str()), (DnsType::Aaaa, "example.org"));
    let CheckerKind::Smtp { helo, .. } = one("SMTP_CHECK {\nhelo_name h\n}").kind else {
        panic!();
    };
    assert_eq!(helo, "h");
    let (hosts, said) = check("SMTP_CHECK {\nhost {\nconnect_port 25\n}\nhost {\nconnect_ip 1.2.3.4\n}\n}");
    assert_eq!((hosts.len(), said), (2, Vec::new()));
    let bfd = CheckerKind::Bfd {
        name: "b1".to_owned(),
    };
    assert_eq!(one("BFD_CHECK {\nname b1\n}").kind, bfd);
}

#[test]
fn wrong_connections() {
    let table: &[(&str, &[&str])] = &[
        ("connect_ip foo", &["2 Invalid connect_ip address foo - ignoring"]),
        (
            "connect_port 0",
            &[
                "2 number '0' outside range [1, 65535]",
                "2 Invalid checker connect_port '0'",
            ],
        ),
        ("bindto foo", &["2 Invalid bindto address foo - ignoring"]),
        (
            "bind_port 99999",
            &[
                "2 number '99999' outside range [1, 65535]",
                "2 Invalid checker bind_port '99999'",
            ],
        ),
        (
            "bind_if averyveryverylonginterface",
            &["2 Interface name averyveryverylonginterface is too long - ignoring"],
        ),
        (
            "connect_timeout 0",
            &[
                "2 number '0' outside range [0.000001, 4294.967295]",
                "2 connect_timeout 0 invalid - ignoring",
            ],
        ),
        (
            "fwmark foo",
            &[
                "2 invalid number 'foo'",
                "2 Invalid fwmark connection value 'foo'",
            ],
        ),
        (
            "retry -1",
            &["2 negative number '-1'", "2 Invalid retry connection value '-1'"],
        ),
        (
            "warmup -1",
            &["2 negative number '-1'", "2 Invalid warmup connection value '-1'"],
        ),
        (
            "delay_before_retry -1",
            &[
                "2 negative number '-1'",
                "2 Invalid delay_before_retry connection value '-1'",
            ],
        ),
        (
            "delay_loop 0",
            &[
                "2 number '0' outside range [0.000001, 18446744073709.551614]",
                "2 delay_loop '0' is invalid - ignoring",
            ],
        ),
        ("alpha foo", &["2 Invalid alpha parameter foo"]),
        (
            "log_all_failures foo",
            &["2 Invalid log_all_failures parameter foo"],
        ),
        (
            "connect_ip fe80::1",
            &["3 Checker link local address fe80::1 requires a bind_if"],
        ),
        (
            "bindto 2001:db8::9\nconnect_ip 1.2.3.4",
            &["3 connect_ip address 1.2.3.4 does not match address family of bindto - skipping"],
        ),
    ];
    for (inner, messages) in table {
        assert_eq!(wrong(&format!("TCP_CHECK {{\n{inner}\n}}")), *messages, "{inner}");
    }
}

#[test]
fn wrong_checkers() {
    let table: &[(&str, &[&str])] = &[
        (
            "MISC_CHECK {\n}",
            &["2 No script path has been specified for MISC_CHECKER - skipping"],
        ),
        (
            "MISC_CHECK {\nmisc_path /bin/x\nmisc_timeout 4295\n}",
            &[
                "3 number '4295' outside range [0, 4294]",
                "3 Invalid misc_timeout value '4295'",
            ],
        ),
        (
            "MISC_CHECK {\nmisc_path /bin/x\nuser nosuch\n}",
            &["3 Failed to set uid/gid for misc checker script '/bin/x' - removing"],
        ),
        (
            "SMTP_CHECK {\nhelo_name a\nhelo_name b\n}",
            &["3 SMTP_CHECK helo name already specified"],
        ),
        (
            "UDP_CHECK {\npayload zz\n}",
            &["2 Invalid hex string for UDP_CHECK payload"],
        ),
        (
            "UDP_CHECK {\nrequire_reply zz\n}",
            &["2 Invalid hex string for UDP_CHECK reply"],
        ),
        (
            "UDP_CHECK {\nmin_reply_length 65536\n}",
            &[
                "2 number '65536' outside range [0, 65535]",
                "2 UDP_CHECK min length 65536 not valid - must be between 0 & 65535",
            ],
        ),
        (
            "UDP_CHECK {\nmin_reply_length 300\n}",
            &["3 UDP_CHECK min_reply length 300 > max_reply_length 255 - will always fail"],
        ),
        (
            "DNS_CHECK {\ntype foo\n}",
            &["2 Unknown DNS check type foo - ignoring"],
        ),
        (
            "DNS_CHECK {\nname a..b\n}",
            &["2 DNS_CHECK name 'a..b' has empty label - ignoring"],
        ),
        (
            "DNS_CHECK {\nname a\nname b\n}",
            &["3 DNS_CHECK name already specified - ignoring"],
        ),
        (
            "FILE_CHECK {\ntrack_file nosuch\n}",
            &[
                "2 track_file nosuch not found",
                "3 FILE_CHECK has no track_file specified - ignoring",
            ],
        ),
        (
            "BFD_CHECK {\n}",
            &["2 ([1.1.1.1]:tcp:8080) No name has been specified for BFD_CHECKER - skipping"],
        ),
        (
            "BFD_CHECK {\nname b2\n}",
            &["2 ([1.1.1.1]:tcp:8080) BFD_CHECK - BFD b2 not configured"],
        ),
        (
            "HTTP_GET {\n}",
            &["2 HTTP/SSL_GET checker has no urls specified - ignoring"],
        ),
        (
            "HTTP_GET {\nurl {\n}\n}",
            &[
                "3 HTTP/SSL_GET checker url has no path - ignoring",
                "4 HTTP/SSL_GET checker has no urls specified - ignoring",
            ],
        ),
    ];
    for (block, messages) in table {
        assert_eq!(wrong(block), *messages, "{block}");
    }
    let url = |inner: &str| wrong(&format!("HTTP_GET {{\nurl {{\npath /\n{inner}\n}}\n}}"));
    assert_eq!(
        url("digest foo"),
        ["4 digest 'foo' character length should be 32 rather than 3"]
    );
    let bad = "05b629ff4accb994d79e444b4343072z";
    assert_eq!(
        url(&format!("digest {bad}")),
        [format!(
            "4 Unable to interpret hex digit in '{bad}' at offset 30/31"
        )]
    );
    for code in ["99", "600", "foo", "200-100", "200-"] {
        assert_eq!(
            url(&format!("status_code {code}")),
            [format!("4 Invalid HTTP_GET status code '{code}'")]
        );
    }
    let http = |inner: &str| wrong(&format!("HTTP_GET {{\nurl {{\npath /\n}}\n{inner}\n}}"));
    assert_eq!(
        http("nb_get_retry 5"),
        ["5 nb_get_retry is deprecated - please use 'retry'"]
    );
    assert_eq!(http("http_protocol 1.2"), ["5 Invalid http_protocol version 1.2"]);
    assert_eq!(http("enable_sni foo"), ["5 Invalid enable_sni parameter foo"]);
}
