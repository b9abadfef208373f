//! Command lines and what they mean.

use super::*;

fn run(text: &str) -> Invocation {
    parse(text.split(' ').map(OsString::from).collect())
}

fn options(text: &str) -> Options {
    match run(text) {
        Invocation::Keepalived(options, _) => *options,
        other => panic!("{text}: {other:?}"),
    }
}

fn exits(text: &str) -> (String, String, i32) {
    match run(text) {
        Invocation::Exit(said, status) => (said.stdout, said.stderr, status),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_option_is_taken() {
    let o = options(
        "keepalived -f /c -P -B --all -l -D -D -S local3 -g/l --flush-log-file -G -u 022 -X -V -I -R -n -d \
         -p /p -r /r -c /c -b /b -a -x -A unix:/x -s ns -m -M -e -i id --ignore-sigint -t/t --config-fd=5",
    );
    let expected = Options {
        file: "/c".into(),
        checkers: false,
        bfd: false,
        all: true,
        log_console: true,
        detail: 2,
        facility: 19,
        log_file: Some(Some("/l".into())),
        flush_log_file: true,
        no_syslog: true,
        umask: Some(0o22),
        release_vips: true,
        keep_vips: true,
        keep_ipvs: true,
        no_respawn: true,
        foreground: true,
        dump_config: true,
        pid: Some("/p".into()),
        vrrp_pid: Some("/r".into()),
        checkers_pid: Some("/c".into()),
        bfd_pid: Some("/b".into()),
        address_monitoring: true,
        snmp: true,
        snmp_socket: Some("unix:/x".into()),
        namespace: Some("ns".into()),
        core_dump: true,
        core_pattern: Some("core".into()),
        all_config: true,
        config_id: Some("id".into()),
        ignore_sigint: true,
        config_test: Some(Some("/t".into())),
        config_fd: Some(5),
        notes: o.notes.clone(),
        ..Options::new(o.arguments.clone())
    };
    assert_eq!(o, expected);
    assert_eq!(o.notes.len(), 1, "{:?}", o.notes);
}

#[test]
fn parts_are_chosen_as_in_keepalived() {
    let parts = |text: &str| {
        let o = options(text);
        (o.vrrp, o.checkers, o.bfd)
    };
    assert_eq!(parts("keepalived"), (true, true, true));
    assert_eq!(parts("keepalived -P"), (true, false, true));
    assert_eq!(parts("keepalived -C -B"), (false, true, false));
    assert_eq!(parts("keepalived -PC"), (false, false, true));
}

#[test]
fn what_other_programs_call_is_understood() {
    let kolla = options("keepalived -nld -p /run/keepalived.pid");
    assert!(kolla.foreground && kolla.log_console && kolla.dump_config);
    let ansible = options("keepalived --use-file=/x --check --all-config --config-test");
    assert_eq!((ansible.config_test, ansible.vrrp), (Some(None), false));
    let octavia = options("keepalived --log-facility=1 -f x -p y -r z -c w");
    assert_eq!(octavia.facility, 17);
}

#[test]
fn the_daemon_is_meant_unless_a_command_is_named() {
    assert!(options("/usr/sbin/keepalived-rs keepalived --dont-fork").foreground);
    assert!(options("/usr/sbin/keepalived-rs -n").foreground);
    assert!(matches!(
        run("keepalived-rs check /x"),
        Invocation::Tool(Tool::Check { .. })
    ));
    assert!(matches!(
        run("keepalived-rs reload"),
        Invocation::Tool(Tool::Reload { .. })
    ));
    // A program that is called keepalived has no commands: the word is an unexpected argument.
    assert!(matches!(run("keepalived check"), Invocation::Keepalived(..)));
    assert_eq!(exits("keepalived-rs check --bogus").2, 2);
    assert_eq!(exits("genhash -s x").2, 1);
    assert_eq!(exits("keepalived -T").2, 1);
}

#[test]
fn complaints_are_keepalived_s() {
    assert_eq!(
        exits("keepalived -Z"),
        (String::new(), "Unknown option -Z\n".into(), 1)
    );
    assert_eq!(
        exits("keepalived foo -S 99 bar -f"),
        (
            "Unexpected argument(s): foo bar \n".into(),
            "Invalid log facility '99'\nMissing parameter for option -f\n".into(),
            1
        )
    );
    assert_eq!(
        exits("keepalived --signum=FOO"),
        (String::new(), "Unknown sigfunc FOO\n".into(), 1)
    );
    assert_eq!(exits("keepalived --log").1, "Unknown option --log\n");
}

#[test]
fn a_long_command_line_goes_on_below() {
    let lines = |text: &str| command_line(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
    let many = format!("keepalived -nlG -f /none{}", " a".repeat(38));
    let lengths: Vec<usize> = lines(&many).iter().map(String::len).collect();
    assert_eq!(lengths, [102, 101, 21]);
    assert!(lines(&many)[1].starts_with("              'a' 'a'"));
    let long = format!("keepalived -nlG -f /none {} it's", "x".repeat(200));
    let lengths: Vec<usize> = lines(&long).iter().map(String::len).collect();
    assert_eq!(lengths, [46, 102, 102, 47]);
    assert_eq!(lines("keepalived"), ["Command line: 'keepalived'"]);
}

#[test]
fn signal_numbers() {
    let number = |name: &str| exits(&format!("keepalived --signum={name}"));
    for (name, expected) in [
        ("STOP", 15),
        ("RELOAD", 1),
        ("DATA", 10),
        ("STATS", 12),
        ("STATS_CLEAR", 63),
        ("JSON", 36),
    ] {
        assert_eq!(number(name), (format!("{expected}\n"), String::new(), 0));
    }
}

#[test]
fn version_and_help_go_to_stderr() {
    let (stdout, stderr, status) = exits("keepalived -Z -v");
    assert_eq!((stdout.as_str(), status), ("", 0));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], "Unknown option -Z");
    assert_eq!(lines[1], "Keepalived v2.4.3 (07/20,2026)");
    assert!(lines[2].starts_with("keepalived-rs "));
    assert!(stderr.contains("--enable-json"));
    let (stdout, stderr, status) = exits("keepalived --help");
    assert_eq!((stdout.as_str(), status), ("", 0));
    for option in OPTIONS {
        if !matches!(
            option.id,
            Flag::MemoryCheck | Flag::Perf | Flag::Debug | Flag::ConfigFd
        ) {
            assert!(stderr.contains(&format!("--{}", option.long)), "{}", option.long);
        }
    }
}
