//! Files, conditions, definitions, sequences, braces.

use super::{FILE, host, said, test};
use keepalived_rs::config::{self, ReadOptions, Start};

fn router_id(text: &str) -> String {
    test(text).configuration.globals.router_id
}

#[test]
fn definitions_are_substituted_wherever_they_stand() {
    assert_eq!(router_id("$A=one\nglobal_defs { router_id $A }"), "one");
    assert_eq!(router_id("$A=one\nglobal_defs { router_id x${A}y }"), "xoney");
    assert_eq!(
        router_id("$A=one\n$A=two\nglobal_defs { router_id \"${A} b\" }"),
        "two b"
    );
    assert_eq!(
        router_id("$A=${B}\n$B=late\nglobal_defs { router_id $A }"),
        "late"
    );
    assert_eq!(router_id("global_defs { router_id a$b }"), "a$b");
    assert_eq!(
        router_id("$BODY= \\\n router_id first \\\n router_id second\nglobal_defs {\n $BODY\n}"),
        "second"
    );
}

#[test]
fn standard_definitions() {
    assert_eq!(router_id("global_defs { router_id ${_INSTANCE} }"), "node");
    assert_eq!(router_id("global_defs { router_id ${_PWD} }"), "/etc/keepalived");
    assert_eq!(router_id("global_defs { router_id \"a${_BANG}b\" }"), "a!b");
    assert_eq!(router_id("global_defs { router_id ${_RANDOM 7 7} }"), "7");
    let mut host = host();
    host.environment.insert("WHO".to_owned(), "me".to_owned());
    host.file(FILE, "global_defs { router_id ${_ENV WHO} }");
    let reading = config::read(&host, &ReadOptions::default());
    assert_eq!(reading.configuration.globals.router_id, "me");
}

#[test]
fn conditions_choose_by_the_configuration_id() {
    let text =
        "global_defs {\n@node router_id here\n@other router_id there\n@^other smtp_helo_name not-other\n}";
    let globals = test(text).configuration.globals;
    assert_eq!(globals.router_id, "here");
    assert_eq!(globals.smtp_helo_name.as_deref(), Some("not-other"));
}

#[test]
fn sequences_make_lines() {
    let text = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n\
        ~SEQ(n, 10, 5, 20) 192.0.2.${n}/24\n~SEQx(h, 10, 11) 198.51.100.1${h}\n\
        ~LST({a, d}, {192.0.2.1, eth0}, {192.0.2.2, eth1}) ${a}/24 dev ${d}\n}\n}";
    let reading = test(text);
    let vips: Vec<String> = reading.configuration.instances[0]
        .vips
        .iter()
        .map(|v| format!("{} {}", v.network.address, v.interface))
        .collect();
    assert_eq!(
        vips,
        [
            "192.0.2.10 eth0",
            "192.0.2.15 eth0",
            "192.0.2.20 eth0",
            "192.0.2.1 eth0",
            "192.0.2.2 eth1",
        ]
    );
    assert_eq!(said(&reading).len(), 2, "{:?}", said(&reading));
}

#[test]
fn includes_are_read_in_place_and_in_order() {
    let mut host = host();
    host.file(FILE, "include conf.d/*.conf\nglobal_defs {\n  include ids\n}\n")
        .file("/etc/keepalived/conf.d/b.conf", "bogus_b\n")
        .file("/etc/keepalived/conf.d/a.conf", "bogus_a\n")
        .file("/etc/keepalived/ids", "router_id included\n");
    let reading = config::read(&host, &ReadOptions::default());
    assert_eq!(reading.configuration.globals.router_id, "included");
    let parent: Vec<String> = said(&reading).into_iter().take(2).collect();
    assert_eq!(
        parent,
        [
            "(conf.d/a.conf: Line 1) Unknown keyword 'bogus_a'",
            "(conf.d/b.conf: Line 1) Unknown keyword 'bogus_b'",
        ]
    );
}

#[test]
fn includes_that_must_be_there() {
    for (line, message, start) in [
        (
            "include gone.conf",
            "(Line 1) Config files missing 'gone.conf'.",
            Start::Go,
        ),
        (
            "includer gone.conf",
            "(Line 1) Config files missing 'gone.conf'.",
            Start::Go,
        ),
        (
            "includem gone.conf",
            "(Line 1) Config files missing 'gone.conf'.",
            Start::Exit(6),
        ),
        (
            "includew gone*",
            "(Line 1) No config files matched 'gone*'.",
            Start::Exit(6),
        ),
        (
            "includeb {gone,lost}",
            "(Line 1) gone - no matching file",
            Start::Exit(6),
        ),
        (
            "includea gone",
            "(Line 1) Config files missing 'gone'.",
            Start::Exit(6),
        ),
        (
            "includer dir",
            "(Line 1) Configuration file 'dir/' is a directory - skipping",
            Start::Exit(6),
        ),
        (
            "include x.sh",
            "(Line 1) Configuration file 'x.sh' is not a regular non-executable file - skipping",
            Start::Go,
        ),
    ] {
        let mut host = host();
        host.file(FILE, line)
            .script("/etc/keepalived/x.sh")
            .file("/etc/keepalived/dir/inside", "");
        let reading = config::read(&host, &ReadOptions::default());
        assert_eq!(
            said(&reading).first().map(String::as_str),
            Some(message),
            "{line}"
        );
        assert_eq!(reading.start, start, "{line}");
    }
}

#[test]
fn include_check_holds_for_later_includes() {
    let text = "include gone\nglobal_defs { include_check match }\ninclude lost\n";
    let reading = test(text);
    assert_eq!(reading.start, Start::Exit(6));
    let text = "global_defs { include_check }\nglobal_defs { include_check -match -wildcard_match }\n";
    assert_eq!(test(text).configuration.globals.include_check, 9);
}

#[test]
fn a_missing_file_is_no_configuration() {
    let reading = config::read(&host(), &ReadOptions::default());
    assert_eq!(said(&reading), [format!("Config files missing '{FILE}'.")]);
    assert_eq!((reading.test_status, reading.start), (4, Start::Exit(6)));
}

#[test]
fn long_lines_and_nuls_are_left_out() {
    let long = "x".repeat(3000);
    let text = format!("{long}\nglobal_defs {{ router_id \0 }}\n");
    let said = said(&test(&text));
    assert!(said[0].ends_with("line too long - ignoring"), "{said:?}");
    assert!(
        said.iter()
            .any(|l| l.ends_with("configuration appears to have embedded NULs - ignoring line")),
        "{said:?}"
    );
}

#[test]
fn braces_in_any_place() {
    let text = "global_defs\n{ router_id a } vrrp_sync_group G { group\n{ A B } smtp_alert }\n";
    let reading = test(text);
    assert_eq!(reading.configuration.globals.router_id, "a");
    assert_eq!(
        said(&reading)[0],
        "Virtual router A specified in sync group G doesn't exist - ignoring"
    );
}

/// Each process reads the file and says what it meets: four times at the top, once in a block of its own.
#[test]
fn recovery_after_an_unknown_block() {
    let text = "global_defs {\n bogus {\n  inner\n }\n router_id late\n}\n";
    let reading = test(text);
    assert_eq!(reading.configuration.globals.router_id, "node.example.org");
    let first: Vec<String> = said(&reading).into_iter().take(5).collect();
    assert_eq!(
        first,
        [
            "(Line 2) Unknown keyword 'bogus'",
            "(Line 2) Unexpected '{' - ignoring",
            "(Line 3) Unknown keyword 'inner'",
            "(Line 5) Unknown keyword 'router_id'",
            "(Line 6) Unknown keyword '}'",
        ]
    );
}

#[test]
fn a_missing_parameter_ends_the_reading() {
    let reading = test("vrrp_instance A {\n state\n bogus\n}\n");
    assert_eq!(
        said(&reading),
        [
            "(Line 2) *** Configuration line starting `state` is missing a parameter after keyword `state` at word position 2"
        ]
    );
    assert_eq!((reading.test_status, reading.start), (2, Start::Exit(2)));
}
