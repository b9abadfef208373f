//! Nothing that a file may hold makes the reader fall over or go on for ever.

use super::{FILE, host};
use keepalived_rs::config::keyword::Table;
use keepalived_rs::config::{self, ReadOptions};
use proptest::prelude::*;

fn read(bytes: &[u8]) {
    let mut host = host();
    host.file_with(FILE, bytes, 0o644, 0);
    for test in [false, true] {
        let reading = config::read(
            &host,
            &ReadOptions {
                test,
                ..ReadOptions::default()
            },
        );
        assert!((0..=6).contains(&reading.test_status));
        let _ = keepalived_rs::tools::check::explain(&reading, false);
    }
}

/// Pieces that a file is made of, right and wrong.
fn piece() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = Table::get().rows().iter().map(|r| r.name).collect();
    prop_oneof![
        proptest::sample::select(names).prop_map(str::to_owned),
        proptest::sample::select(vec![
            "{",
            "}",
            "{\n",
            "}\n",
            "\n",
            "\"",
            "'",
            "\\\n",
            "#",
            "!",
            "@node ",
            "@^node ",
            "$A=",
            "$A",
            "${A}",
            "~SEQ(A,1,3) ",
            "~LST(A, a, b) ",
            "include keepalived.conf\n",
            "${_RANDOM}",
            "${_ENV X}",
            "eth0",
            "10.0.0.1",
            "10.0.0.1/24",
            "fe80::1",
            "255",
            "-1",
            "4294967296",
            "0.5",
            "weight",
            "reverse",
            "dev",
            "on",
            "MASTER",
            "é",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
    ]
}

#[test]
fn a_sequence_without_end_is_cut_off() {
    let mut host = host();
    host.file(FILE, "~SEQ(A, 1, 1000000000) ~SEQ(B, 1, 1000000000) $C=$A\n");
    let reading = config::read(&host, &ReadOptions::default());
    assert!(
        reading.diagnostics[0]
            .text
            .starts_with("Definitions make more than")
    );
}

#[test]
fn a_file_that_includes_itself_is_read_once() {
    let mut host = host();
    host.file(FILE, "include keepalived.conf\ninclude keepalived.conf\n");
    let reading = config::read(&host, &ReadOptions::default());
    assert_eq!(reading.files.len(), 1);
    assert!(
        reading
            .diagnostics
            .iter()
            .any(|d| d.text.ends_with("includes itself - skipping"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        read(&bytes);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(piece(), 0..80)) {
        read(pieces.join(" ").as_bytes());
    }
}
