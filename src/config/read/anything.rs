//! Any text can be read: keywords in their blocks with any words behind them never panic, and what is said
//! has a place in the text.

use crate::config::keyword::{Kind, Table};
use crate::config::{MemoryHost, ReadOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Words that mean something somewhere, or nearly.
const WORDS: &[&str] = &[
    "192.0.2.1",
    "192.0.2.1/24",
    "192.0.2.1/",
    "192.0.2.1-9",
    "192.0.2.0/30",
    "2001:db8::1",
    "2001:db8::/64",
    "fe80::1-f",
    "::-",
    "-",
    "/",
    "80",
    "0",
    "-1",
    "4294967296",
    "99999999999999999999",
    "0x10",
    "0x",
    "1.5",
    ".",
    "1.12345678",
    "inet",
    "inet6",
    "default",
    "default6",
    "any",
    "to",
    "from",
    "via",
    "dev",
    "eth0",
    "nosuch",
    "nexthop",
    "weight",
    "table",
    "main",
    "goto",
    "type",
    "blackhole",
    "encap",
    "mpls",
    "1/2",
    "ip",
    "id",
    "dst",
    "ila",
    "1:2:3:4",
    "realms",
    "5/6",
    "fwmark",
    "5/",
    "uidrange",
    "1-2",
    "2-1",
    "sport",
    "dport",
    "rtt",
    "1s",
    "5ms",
    "lock",
    "mtu",
    "brd",
    "+",
    "label",
    "peer",
    "preferred_lft",
    "forever",
    "scope",
    "link",
    "group",
    "G",
    "TUN",
    "DR",
    "NAT",
    "gue",
    "port",
    "csum",
    "on",
    "off",
    "foo",
    "\"a b\"",
    "'",
    "\"",
    "\\x4",
    "\\",
    "é",
    "x",
    "6x",
    "zz",
    "200-299",
    "a..b",
    "no_track",
    "use_vmac",
    "track_group",
    "priority",
    "1.0",
    "sh",
    "reverse",
];

/// A line of a block: a word of the pool, or a keyword, and words behind it.
fn line(keywords: Vec<&'static str>) -> impl Strategy<Value = String> {
    (select(keywords), vec(select(WORDS), 0..6)).prop_map(|(keyword, words)| {
        std::iter::once(keyword)
            .chain(words)
            .collect::<Vec<_>>()
            .join(" ")
    })
}

/// A path of blocks with lines in the innermost.
fn block() -> impl Strategy<Value = String> {
    let blocks: Vec<_> = Table::get()
        .rows()
        .iter()
        .filter(|row| !matches!(row.kind, Kind::Value | Kind::Word))
        .collect();
    select(blocks).prop_flat_map(|row| {
        let inside: Vec<&'static str> = match row.opens {
            Some(opens) => Table::get().in_block(opens).map(|k| k.name).collect(),
            None => WORDS.to_vec(),
        };
        let inside = if inside.is_empty() { WORDS.to_vec() } else { inside };
        let around = row.block.replace("(root)", "");
        (vec(line(inside), 0..6), vec(select(WORDS), 0..3)).prop_map(move |(lines, header)| {
            let mut text = String::new();
            let mut open = 0;
            for outer in around.split('/').filter(|o| !o.is_empty()) {
                let header = match outer {
                    "virtual_server" | "real_server" => " 192.0.2.9 80",
                    _ => " V",
                };
                text += &format!("{outer}{header} {{\n");
                open += 1;
            }
            text += &format!("{} {} {{\n{}\n", row.name, header.join(" "), lines.join("\n"));
            text + &"}\n".repeat(open + 1)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn any_text_can_be_read(blocks in vec(block(), 1..5), test: bool) {
        let text = blocks.concat();
        let lines = text.lines().count() as u32;
        let mut host = MemoryHost::default();
        host.interface("eth0").file("/etc/keepalived/keepalived.conf", &text);
        let options = ReadOptions { test, ..ReadOptions::default() };
        let reading = crate::config::read(&host, &options);
        for said in &reading.diagnostics {
            prop_assert!(!said.text.is_empty());
            if let Some(span) = said.span {
                prop_assert!(span.line <= lines, "{said:?}\n{text}");
            }
        }
    }
}
