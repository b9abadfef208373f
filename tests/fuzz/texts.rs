//! Configurations, keepalived's and ldirectord's: the real ones of the other tests, damaged.

use crate::driver::{Corpus, files, run};
use keepalived_rs::config::{self, MemoryHost, ReadOptions};
use keepalived_rs::tools::{check, convert};
use std::path::Path;

/// The files of a folder of tests/ whose names end so.
fn texts(folder: &str, end: &str) -> Corpus {
    let all = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder));
    let all: Corpus = all
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(end))
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("a file")))
        .collect();
    assert!(!all.is_empty());
    all
}

#[test]
fn configurations() {
    const FILE: &str = "/etc/keepalived/keepalived.conf";
    let mut corpus = texts("golden/cases", ".conf");
    corpus.extend(texts("lab/scenarios", ".conf"));
    corpus.extend(texts("checkers/ldirectord", ".conf"));
    run("configuration", &corpus, 400, |text| {
        let mut host = MemoryHost::default();
        host.interface("eth0").interface("eth1").script("/bin/check");
        host.file_with(FILE, text, 0o644, 0);
        let options = ReadOptions {
            test: true,
            ..ReadOptions::default()
        };
        let reading = config::read(&host, &options);
        let said = reading.diagnostics.len();
        // A word can set off more than one, but not many.
        assert!(
            said <= 64 + text.len(),
            "{said} complaints about {} bytes",
            text.len()
        );
        let _ = check::explain(&reading, false);
    });
}

#[test]
fn configurations_of_ldirectord() {
    run(
        "ldirectord.cf",
        &texts("checkers/ldirectord", ".cf"),
        3000,
        |text| {
            let converted = convert::ldirectord(&String::from_utf8_lossy(text));
            let most = 4096 + 64 * text.len();
            assert!(converted.text.len() <= most, "{}", converted.text);
            assert!(converted.notes.iter().map(String::len).sum::<usize>() <= most);
        },
    );
}
