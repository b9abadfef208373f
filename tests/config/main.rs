//! The configuration language: small files with what is said about them and what the model becomes.

mod generators;
mod keywords;
mod language;
mod messages;
mod nonsense;

use keepalived_rs::config::{self, MemoryHost, ReadOptions, Reading};

/// Where the file under test is.
pub const FILE: &str = "/etc/keepalived/keepalived.conf";

/// A host with two interfaces and one script.
pub fn host() -> MemoryHost {
    let mut host = MemoryHost::default();
    host.name = "node.example.org".to_owned();
    host.interface("eth0").interface("eth1").script("/bin/check");
    host
}

/// Reads a text as the whole configuration, as `--config-test` does.
pub fn test(text: &str) -> Reading {
    let mut host = host();
    host.file(FILE, text);
    config::read(
        &host,
        &ReadOptions {
            test: true,
            ..ReadOptions::default()
        },
    )
}

/// What keepalived would say, with the file's name left out.
pub fn said(reading: &Reading) -> Vec<String> {
    reading
        .log_lines()
        .map(|(_, line)| line.replace(&format!("{FILE}: "), ""))
        .collect()
}
