//! The command line: keepalived's options as it reads them, and subcommands of our own.

mod getopt;
mod help;
pub mod version;

use clap::{Parser, Subcommand};
use getopt::{Argument, Item, Opt, Problem};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Configuration file when none is named.
pub const DEFAULT_FILE: &str = "/etc/keepalived/keepalived.conf";

/// keepalived's options, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The words of the command line, the program's name first.
    pub arguments: Vec<OsString>,
    /// `-f`: configuration file, a glob pattern.
    pub file: PathBuf,
    /// VRRP runs (`-C` alone turns it off).
    pub vrrp: bool,
    /// Health checkers run (`-P` alone turns them off).
    pub checkers: bool,
    /// BFD runs (`-B` turns it off).
    pub bfd: bool,
    /// `--all`: also what has no configuration.
    pub all: bool,
    /// `-l`: log to the console, with `-n` to stderr.
    pub log_console: bool,
    /// `-D`: 0, 1 or 2 (and more).
    pub detail: u8,
    /// `-S`: syslog facility number, 3 is daemon.
    pub facility: u8,
    /// `-g`: log to a file; the inner `None` is the default name.
    pub log_file: Option<Option<PathBuf>>,
    /// `--flush-log-file`.
    pub flush_log_file: bool,
    /// `-G`.
    pub no_syslog: bool,
    /// `-u`.
    pub umask: Option<u32>,
    /// `-X`: accepted; addresses are always dropped on a transition.
    pub release_vips: bool,
    /// `-V`: addresses stay, no priority 0 at stop.
    pub keep_vips: bool,
    /// `-I`.
    pub keep_ipvs: bool,
    /// `-R`: end instead of starting a failed part again.
    pub no_respawn: bool,
    /// `-n`.
    pub foreground: bool,
    /// `-d`.
    pub dump_config: bool,
    /// `-p`.
    pub pid: Option<PathBuf>,
    /// `-r`.
    pub vrrp_pid: Option<PathBuf>,
    /// `-c`.
    pub checkers_pid: Option<PathBuf>,
    /// `-b`.
    pub bfd_pid: Option<PathBuf>,
    /// `-a`.
    pub address_monitoring: bool,
    /// `-x`.
    pub snmp: bool,
    /// `-A`.
    pub snmp_socket: Option<String>,
    /// `-s`.
    pub namespace: Option<String>,
    /// `-m`.
    pub core_dump: bool,
    /// `-M`.
    pub core_pattern: Option<String>,
    /// `-e`.
    pub all_config: bool,
    /// `-i`; else the host name up to its first dot.
    pub config_id: Option<String>,
    /// `--ignore-sigint`.
    pub ignore_sigint: bool,
    /// `-t`; the inner path is the file that gets the messages.
    pub config_test: Option<Option<PathBuf>>,
    /// `--config-fd`.
    pub config_fd: Option<i32>,
    /// What to say about options whose part of the program is not there yet: logged at start.
    pub notes: Vec<String>,
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Run the daemon, or its configuration test; first say what there is to say.
    Keepalived(Box<Options>, Said),
    /// One of our own commands.
    Tool(Tool),
    /// Say it, and end with a status.
    Exit(Said, i32),
}

/// Text for the two outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// For stdout.
    pub stdout: String,
    /// For stderr.
    pub stderr: String,
}

impl Said {
    /// Writes it; a closed output is nobody's fault.
    pub fn print(&self) {
        let _ = std::io::stdout().write_all(self.stdout.as_bytes());
        let _ = std::io::stderr().write_all(self.stderr.as_bytes());
    }
}

/// Our own commands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Tool {
    /// Read configuration files and explain every complaint; changes nothing
    Check {
        /// Files, as keepalived's -f takes them
        #[arg(default_value = DEFAULT_FILE)]
        files: Vec<PathBuf>,
        /// Skip lines for other configuration ids (keepalived's -i)
        #[arg(long, short = 'i', value_name = "ID")]
        config_id: Option<String>,
        /// Name only what keepalived names; no advice
        #[arg(long)]
        quiet: bool,
    },
    /// Have a running daemon read its configuration again, and wait for the verdict
    Reload {
        /// Its pid file
        #[arg(long, short = 'p', value_name = "FILE", default_value = "/run/keepalived.pid")]
        pid: PathBuf,
        /// Seconds to wait for the verdict
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        timeout: u64,
    },
}

#[derive(Debug, Parser)]
#[command(name = "keepalived-rs", disable_version_flag = true)]
struct Tools {
    #[command(subcommand)]
    tool: Tool,
}

/// Reads the command line; the first word is the program's name.
pub fn parse(words: Vec<OsString>) -> Invocation {
    let name = words.first().map(|w| base_name(w)).unwrap_or_default();
    if name == "genhash" {
        return later("genhash");
    }
    if name == "keepalived" {
        return keepalived(words);
    }
    match words.get(1).and_then(|w| w.to_str()) {
        Some("keepalived") => keepalived(words.into_iter().skip(1).collect()),
        Some("genhash") => later("genhash"),
        Some("check" | "reload" | "help") => tool(words),
        _ => keepalived(words),
    }
}

fn base_name(word: &OsStr) -> String {
    let name = Path::new(word).file_name().unwrap_or(word);
    name.to_string_lossy().into_owned()
}

fn later(part: &str) -> Invocation {
    exit(
        String::new(),
        format!("{part} is not yet part of keepalived-rs\n"),
        1,
    )
}

fn tool(words: Vec<OsString>) -> Invocation {
    match Tools::try_parse_from(words) {
        Ok(tools) => Invocation::Tool(tools.tool),
        Err(error) => {
            let text = error.render().to_string();
            let (stdout, stderr) = if error.use_stderr() {
                (String::new(), text)
            } else {
                (text, String::new())
            };
            exit(stdout, stderr, error.exit_code())
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    File,
    Vrrp,
    Check,
    NoBfd,
    All,
    LogConsole,
    LogDetail,
    LogFacility,
    LogFile,
    FlushLogFile,
    NoSyslog,
    Umask,
    ReleaseVips,
    KeepVips,
    KeepIpvs,
    NoRespawn,
    Foreground,
    DumpConfig,
    Pid,
    VrrpPid,
    CheckersPid,
    BfdPid,
    Genhash,
    AddressMonitoring,
    Snmp,
    SnmpSocket,
    Namespace,
    CoreDump,
    CorePattern,
    MemoryCheck,
    AllConfig,
    ConfigId,
    IgnoreSigint,
    Signum,
    ConfigTest,
    ConfigFd,
    Perf,
    Debug,
    Version,
    Help,
}

macro_rules! options {
    ($($flag:ident $short:literal $long:literal $argument:ident;)*) => {
        &[$(Opt {
            id: Flag::$flag,
            short: letter($short),
            long: $long,
            argument: Argument::$argument,
        }),*]
    };
}

const fn letter(letter: &str) -> Option<u8> {
    match letter.as_bytes() {
        [byte] => Some(*byte),
        _ => None,
    }
}

const OPTIONS: &[Opt<Flag>] = options! {
    File "f" "use-file" Required;
    Vrrp "P" "vrrp" None;
    Check "C" "check" None;
    NoBfd "B" "no_bfd" None;
    All "" "all" None;
    LogConsole "l" "log-console" None;
    LogDetail "D" "log-detail" None;
    LogFacility "S" "log-facility" Required;
    LogFile "g" "log-file" Optional;
    FlushLogFile "" "flush-log-file" None;
    NoSyslog "G" "no-syslog" None;
    Umask "u" "umask" Required;
    ReleaseVips "X" "release-vips" None;
    KeepVips "V" "dont-release-vrrp" None;
    KeepIpvs "I" "dont-release-ipvs" None;
    NoRespawn "R" "dont-respawn" None;
    Foreground "n" "dont-fork" None;
    DumpConfig "d" "dump-conf" None;
    Pid "p" "pid" Required;
    VrrpPid "r" "vrrp_pid" Required;
    CheckersPid "c" "checkers_pid" Required;
    BfdPid "b" "bfd_pid" Required;
    Genhash "T" "genhash" None;
    AddressMonitoring "a" "address-monitoring" None;
    Snmp "x" "snmp" None;
    SnmpSocket "A" "snmp-agent-socket" Required;
    Namespace "s" "namespace" Required;
    CoreDump "m" "core-dump" None;
    CorePattern "M" "core-dump-pattern" Optional;
    MemoryCheck "" "no-mem-check" None;
    MemoryCheck "L" "mem-check-log" None;
    MemoryCheck "O" "openssl-mem-check" None;
    AllConfig "e" "all-config" None;
    ConfigId "i" "config-id" Required;
    IgnoreSigint "" "ignore-sigint" None;
    Signum "" "signum" Required;
    ConfigTest "t" "config-test" Optional;
    ConfigFd "" "config-fd" Required;
    Perf "" "perf" Optional;
    Debug "" "debug" Optional;
    Version "v" "version" None;
    Help "h" "help" None;
};

impl Options {
    /// What an empty command line means.
    pub fn new(arguments: Vec<OsString>) -> Options {
        Options {
            arguments,
            file: DEFAULT_FILE.into(),
            vrrp: true,
            checkers: true,
            bfd: true,
            all: false,
            log_console: false,
            detail: 0,
            facility: 3,
            log_file: None,
            flush_log_file: false,
            no_syslog: false,
            umask: None,
            release_vips: false,
            keep_vips: false,
            keep_ipvs: false,
            no_respawn: false,
            foreground: false,
            dump_config: false,
            pid: None,
            vrrp_pid: None,
            checkers_pid: None,
            bfd_pid: None,
            address_monitoring: false,
            snmp: false,
            snmp_socket: None,
            namespace: None,
            core_dump: false,
            core_pattern: None,
            all_config: false,
            config_id: None,
            ignore_sigint: false,
            config_test: None,
            config_fd: None,
            notes: Vec::new(),
        }
    }
}

fn keepalived(words: Vec<OsString>) -> Invocation {
    let mut options = Options::new(words);
    let mut stdout = String::new();
    let mut stderr = String::new();
    let mut bad = false;
    let mut operands = Vec::new();
    let mut only = (false, false);
    let items = getopt::read(OPTIONS, options.arguments.get(1..).unwrap_or_default());
    for item in items {
        match item {
            Item::Option(Flag::Version, _) => {
                stderr.push_str(&version::text());
                return exit(stdout, stderr, 0);
            }
            Item::Option(Flag::Help, _) => {
                let name = options.arguments.first().map(|w| w.to_string_lossy());
                stderr.push_str(&help::text(name.as_deref().unwrap_or("keepalived")));
                return exit(stdout, stderr, 0);
            }
            Item::Option(Flag::Signum, name) => {
                let name = name.unwrap_or_default();
                let name = name.to_string_lossy();
                return match signal_number(&name) {
                    Some(number) => {
                        stdout.push_str(&format!("{number}\n"));
                        exit(stdout, stderr, 0)
                    }
                    None => {
                        stderr.push_str(&format!("Unknown sigfunc {name}\n"));
                        exit(stdout, stderr, 1)
                    }
                };
            }
            Item::Option(Flag::Genhash, _) => return later("genhash (-T)"),
            Item::Option(Flag::Vrrp, _) => only.0 = true,
            Item::Option(Flag::Check, _) => only.1 = true,
            Item::Option(id, value) => {
                if let Err(text) = options.set(id, value) {
                    stderr.push_str(&text);
                }
            }
            Item::Operand(word) => operands.push(word),
            Item::Problem(Problem::Unknown(name)) => {
                bad = true;
                stderr.push_str(&format!("Unknown option {name}\n"));
            }
            Item::Problem(Problem::Missing(name)) => {
                bad = true;
                stderr.push_str(&format!("Missing parameter for option {name}\n"));
            }
        }
    }
    (options.vrrp, options.checkers) = (only.0 || !only.1, only.1 || !only.0);
    if only == (true, true) {
        (options.vrrp, options.checkers) = (false, false);
    }
    if !operands.is_empty() {
        stdout.push_str("Unexpected argument(s): ");
        for word in operands {
            stdout.push_str(&word.to_string_lossy());
            stdout.push(' ');
        }
        stdout.push('\n');
    }
    if bad {
        return exit(stdout, stderr, 1);
    }
    Invocation::Keepalived(Box::new(options), Said { stdout, stderr })
}

fn exit(stdout: String, stderr: String, status: i32) -> Invocation {
    Invocation::Exit(Said { stdout, stderr }, status)
}

impl Options {
    /// Takes one option; an error is a text to print, after which the reading goes on as in keepalived.
    fn set(&mut self, id: Flag, value: Option<OsString>) -> Result<(), String> {
        let text = |v: &Option<OsString>| {
            v.as_ref()
                .map(|v| v.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let path = |v: &Option<OsString>| v.as_ref().map(PathBuf::from);
        match id {
            Flag::File => self.file = path(&value).unwrap_or_default(),
            Flag::NoBfd => self.bfd = false,
            Flag::All => self.all = true,
            Flag::LogConsole => self.log_console = true,
            Flag::LogDetail => self.detail = self.detail.saturating_add(1),
            Flag::LogFacility => {
                let text = text(&value);
                self.facility = facility(&text).ok_or_else(|| format!("Invalid log facility '{text}'\n"))?;
            }
            Flag::LogFile => self.log_file = Some(path(&value)),
            Flag::FlushLogFile => self.flush_log_file = true,
            Flag::NoSyslog => self.no_syslog = true,
            Flag::Umask => {
                let text = text(&value);
                let mask = number(&text).filter(|mask| *mask <= 0o777);
                self.umask = Some(mask.ok_or_else(|| format!("Invalid --umask option {text}\n"))?);
            }
            Flag::ReleaseVips => self.release_vips = true,
            Flag::KeepVips => self.keep_vips = true,
            Flag::KeepIpvs => {
                self.keep_ipvs = true;
                self.not_yet("-I (--dont-release-ipvs)", "there is no IPVS part");
            }
            Flag::NoRespawn => self.no_respawn = true,
            Flag::Foreground => self.foreground = true,
            Flag::DumpConfig => self.dump_config = true,
            Flag::Pid => self.pid = path(&value),
            Flag::VrrpPid => self.vrrp_pid = path(&value),
            Flag::CheckersPid => self.checkers_pid = path(&value),
            Flag::BfdPid => self.bfd_pid = path(&value),
            Flag::AddressMonitoring => self.address_monitoring = true,
            Flag::Snmp => {
                self.snmp = true;
                self.not_yet("-x (--snmp)", "there is no SNMP part");
            }
            Flag::SnmpSocket => {
                self.snmp_socket = Some(text(&value));
                self.not_yet("-A (--snmp-agent-socket)", "there is no SNMP part");
            }
            Flag::Namespace => self.namespace = Some(text(&value)),
            Flag::CoreDump => self.core_dump = true,
            Flag::CorePattern => {
                self.core_dump = true;
                self.core_pattern = Some(match value {
                    Some(pattern) => pattern.to_string_lossy().into_owned(),
                    None => "core".into(),
                });
            }
            Flag::AllConfig => self.all_config = true,
            Flag::ConfigId => self.config_id = Some(text(&value)),
            Flag::IgnoreSigint => self.ignore_sigint = true,
            Flag::ConfigTest => self.config_test = Some(path(&value)),
            Flag::ConfigFd => {
                self.config_fd = text(&value).parse().ok();
                self.not_yet("--config-fd", "a reload is checked in the daemon itself");
            }
            Flag::MemoryCheck => self.not_yet("-L, -O, --no-mem-check", "memory is not counted here"),
            Flag::Perf => self.not_yet("--perf", "profile the program with perf(1)"),
            Flag::Debug => self.not_yet("--debug", "use -D -D"),
            Flag::Vrrp | Flag::Check | Flag::Genhash | Flag::Signum | Flag::Version | Flag::Help => {}
        }
        Ok(())
    }

    fn not_yet(&mut self, option: &str, why: &str) {
        self.notes.push(format!("option {option} has no effect: {why}"));
    }
}

/// The command line as keepalived logs it: words in quotes, lines of 102 characters at most.
pub fn command_line(words: &[OsString]) -> Vec<String> {
    const FIRST: &str = "Command line:";
    const WIDTH: usize = 102;
    let room = WIDTH - FIRST.len() - 1;
    let mut lines = Vec::new();
    let mut line = FIRST.to_owned();
    let mut empty = true;
    for word in words {
        let word: Vec<char> = format!("'{}'", word.to_string_lossy()).chars().collect();
        // A word that fits into no line is broken.
        for piece in word.chunks(room) {
            if !empty && line.chars().count() + 1 + piece.len() > WIDTH {
                lines.push(std::mem::replace(&mut line, " ".repeat(FIRST.len())));
            }
            line.push(' ');
            line.extend(piece);
            empty = false;
        }
    }
    lines.push(line);
    lines
}

/// A syslog facility: `0` to `7` and `local0` to `local7`, `user`, `daemon`.
fn facility(text: &str) -> Option<u8> {
    let digit = text.strip_prefix("local").unwrap_or(text);
    match (text, digit.as_bytes()) {
        ("daemon", _) => Some(3),
        ("user", _) => Some(1),
        (_, [digit @ b'0'..=b'7']) => Some(16 + (digit - b'0')),
        _ => None,
    }
}

/// A number as strtol(3) with base 0 reads it.
fn number(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        u32::from_str_radix(hex, 16).ok()
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(text, 8).ok()
    } else {
        text.parse().ok()
    }
}

/// `--signum`: the number of the signal for a function.
pub fn signal_number(name: &str) -> Option<i32> {
    match name {
        "STOP" => Some(libc::SIGTERM),
        "RELOAD" => Some(libc::SIGHUP),
        "DATA" => Some(libc::SIGUSR1),
        "STATS" => Some(libc::SIGUSR2),
        "STATS_CLEAR" => Some(libc::SIGRTMAX() - 1),
        "JSON" => Some(libc::SIGRTMIN() + 2),
        "TDUMP" => Some(libc::SIGRTMAX()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(o.notes.len(), 4, "{:?}", o.notes);
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
}
