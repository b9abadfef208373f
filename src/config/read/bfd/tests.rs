use super::*;
use crate::config::{MemoryHost, ReadOptions, Reading};

fn read(text: &str) -> Reading {
    let mut host = MemoryHost::default();
    host.file("/etc/keepalived/keepalived.conf", text);
    let options = ReadOptions {
        test: true,
        ..ReadOptions::default()
    };
    crate::config::read(&host, &options)
}

fn said(reading: &Reading) -> Vec<(u32, String)> {
    reading
        .diagnostics
        .iter()
        .map(|d| (d.span.map_or(0, |s| s.line), d.text.clone()))
        .collect()
}

#[test]
fn every_keyword_reaches_the_model() {
    let reading = read(
        "bfd_instance b1 {\nsource_ip 192.0.2.1\nneighbor_ip 192.0.2.2\nmin_rx 1.5\nmin_tx 20\nidle_tx 2000\n\
         multiplier 3\npassive\nttl 200\nmax_hops 2\nmultihop\nweight -30 reverse\nvrrp\n}\n\
         bfd_instance b2 {\nneighbour_ip 2001:db8::1\nhoplimit 20\nmax_hops -1\nmultihop off\nchecker\n}\n",
    );
    assert_eq!(said(&reading), []);
    let ms = |n| Duration::from_micros(n);
    assert_eq!(
        reading.configuration.bfd,
        [
            BfdInstance {
                name: "b1".to_owned(),
                source: "192.0.2.1".parse().ok(),
                neighbor: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
                min_rx: ms(1500),
                min_tx: ms(20_000),
                idle_tx: ms(2_000_000),
                multiplier: 3,
                passive: true,
                ttl: Some(200),
                max_hops: 2,
                multihop: true,
                weight: -30,
                reverse: true,
                vrrp: true,
                checker: false,
            },
            BfdInstance {
                name: "b2".to_owned(),
                source: None,
                neighbor: "2001:db8::1".parse().unwrap(),
                min_rx: ms(10_000),
                min_tx: ms(10_000),
                idle_tx: ms(1_000_000),
                multiplier: 5,
                passive: false,
                ttl: Some(20),
                max_hops: -1,
                multihop: false,
                weight: 0,
                reverse: false,
                vrrp: false,
                checker: true,
            },
        ]
    );
}

#[test]
fn what_is_wrong_and_who_says_so() {
    let error = |text: &str| format!("Configuration error: BFD instance {text}");
    let reading = read(
        "bfd_instance a {\n}\nbfd_instance b {\nneighbor_ip foo\n}\nbfd_instance d {\nneighbor_ip 192.0.2.2\n}\n\
         bfd_instance d {\n}\nbfd_instance e {\nneighbor_ip 192.0.2.2\n}\nbfd_instance f {\n\
         neighbor_ip 192.0.2.4\nsource_ip foo\nmin_rx 0\nidle_tx 10\nmultiplier 0\nttl 0\nmax_hops 256\n\
         weight 300\n}\nbfd_instance g {\nneighbor_ip 192.0.2.5\nsource_ip fe80::1\n}\nbfd_instance h {\n\
         neighbor_ip 192.0.2.6\nttl 20\nmax_hops 30\nmin_tx 1.2345\n}\nbfd_instance j {\n\
         neighbor_ip 192.0.2.2\nsource_ip 192.0.2.1\n}\n",
    );
    let number = |n: &str, range: &str| format!("number '{n}' outside range {range}");
    assert_eq!(
        said(&reading),
        [
            (9, "BFD d already specified".to_owned()),
            (9, "BFD d already specified".to_owned()),
            (22, number("300", "[-253, 253]")),
            (
                22,
                error("f weight value 300 not valid (must be in range [-253-253]), ignoring")
            ),
            (2, error("a has no neighbor address set, disabling instance")),
            (
                4,
                error("b has malformed neighbor address foo, ignoring instance")
            ),
            (9, error("d already configured - ignoring")),
            (
                13,
                error("e has duplicate neighbor address 192.0.2.2, ignoring instance")
            ),
            (16, error("f has malformed source address foo, ignoring")),
            (17, number("0", "[1.000, 4294967.000]")),
            (
                17,
                error("f min_rx value 0 is not valid (must be in range [1-4294967]), ignoring")
            ),
            (18, number("10", "[1000.000, 4294967.000]")),
            (
                18,
                error("f idle_tx value 10 is not valid (must be in range [1000-4294967]), ignoring")
            ),
            (19, number("0", "[1, 255]")),
            (
                19,
                error("f multiplier value 0 not valid (must be in range [1-255]), ignoring")
            ),
            (20, number("0", "[1, 255]")),
            (
                20,
                error("f ttl/hoplimit value 0 not valid (must be in range [1-255]), ignoring")
            ),
            (21, number("256", "[-1, 255]")),
            (
                21,
                error("f max_hops value 256 not valid (must be in range [-1-255]), ignoring")
            ),
            (
                27,
                error(
                    "g source address fe80::1 and neighbor address 192.0.2.5 are not of the same family, disabling instance"
                )
            ),
            (32, "number '1.2345' has too many decimal places".to_owned()),
            (
                33,
                "BFD instance h: max_hops exceeds ttl/hoplimit - setting to ttl/hoplimit".to_owned()
            ),
            (
                37,
                error("j has duplicate source/neighbor address 192.0.2.1/192.0.2.2, ignoring instance")
            ),
        ]
    );
    let names: Vec<_> = reading
        .configuration
        .bfd
        .iter()
        .map(|b| b.name.as_str())
        .collect();
    assert_eq!(names, ["d", "f", "h"]);
    assert_eq!(reading.configuration.bfd[2].max_hops, 20);
    assert_eq!(reading.configuration.bfd[2].min_tx, Duration::from_micros(1235));
    assert_eq!(reading.test_status, 5);
}

#[test]
fn a_long_name_is_told_by_vrrp_and_bfd() {
    let name = "c".repeat(32);
    let reading = read(&format!("bfd_instance {name} {{\nneighbor_ip 192.0.2.2\n}}\n"));
    assert_eq!(
        said(&reading),
        [
            (1, format!("BFD name {name} too long")),
            (
                1,
                format!(
                    "Configuration error: BFD instance {name} name too long (maximum length is 31 characters) - ignoring"
                )
            ),
        ]
    );
}

#[test]
fn a_value_that_is_missing_ends_the_reading() {
    let reading = read("bfd_instance b {\nttl\n}\n");
    let last =
        "*** Configuration line starting `ttl` is missing a parameter after keyword `ttl` at word position 2";
    assert_eq!(said(&reading), [(2, last.to_owned())]);
    assert_eq!(reading.test_status, 2);
}
