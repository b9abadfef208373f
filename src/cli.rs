//! The command line: keepalived's options as it reads them, and subcommands of our own.

mod genhash;
mod getopt;
mod help;
mod options;
pub mod version;

pub use genhash::Genhash;
pub use options::Options;

use clap::{CommandFactory, Parser, Subcommand};
use getopt::{Argument, Item, Opt, Problem};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Configuration file when none is named.
pub const DEFAULT_FILE: &str = "/etc/keepalived/keepalived.conf";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Run the daemon, or its configuration test; first say what there is to say.
    Keepalived(Box<Options>, Said),
    /// genhash: the digest of a page.
    Genhash(Box<Genhash>),
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
    /// Write keepalived's configuration for an ldirectord.cf, and say what it cannot carry over
    Convert {
        /// ldirectord's file
        file: PathBuf,
    },
    /// Say what a keyword means, where it may stand, what it takes, and its default
    Explain {
        /// Keywords, as they are or with their block: virtual_server/real_server/weight
        #[arg(required = true)]
        keywords: Vec<String>,
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
    /// Say who is master of what, why and since when, as the running daemon has it
    Status {
        /// Its pid file
        #[arg(long, short = 'p', value_name = "FILE", default_value = "/run/keepalived.pid")]
        pid: PathBuf,
        /// All that is known, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Follow a running daemon: each change of state on a line, until it ends
    Watch {
        /// Its pid file
        #[arg(long, short = 'p', value_name = "FILE", default_value = "/run/keepalived.pid")]
        pid: PathBuf,
    },
}

#[derive(Debug, Parser)]
#[command(name = "keepalived-rs", disable_version_flag = true)]
struct Tools {
    #[command(subcommand)]
    tool: Tool,
}

/// Our own commands, for what describes them.
pub fn commands() -> clap::Command {
    Tools::command()
}

/// Reads the command line; the first word is the program's name.
pub fn parse(words: Vec<OsString>) -> Invocation {
    let name = words.first().map(|w| base_name(w)).unwrap_or_default();
    if name == "genhash" {
        return genhash::parse(words.get(1..).unwrap_or_default());
    }
    if name == "keepalived" {
        return keepalived(words);
    }
    match words.get(1).and_then(|w| w.to_str()) {
        Some("keepalived") => keepalived(words.into_iter().skip(1).collect()),
        Some("genhash") => genhash::parse(words.get(2..).unwrap_or_default()),
        Some("check" | "convert" | "explain" | "reload" | "status" | "watch" | "help") => tool(words),
        _ => keepalived(words),
    }
}

fn base_name(word: &OsStr) -> String {
    let name = Path::new(word).file_name().unwrap_or(word);
    name.to_string_lossy().into_owned()
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

fn keepalived(words: Vec<OsString>) -> Invocation {
    // Only as the first option.
    if words
        .get(1)
        .is_some_and(|word| word == "-T" || word == "--genhash")
    {
        return genhash::parse(words.get(2..).unwrap_or_default());
    }
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
            Item::Option(Flag::Genhash, _) => {
                stderr.push_str("-T (--genhash) must be the first option\n");
                return exit(stdout, stderr, 1);
            }
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
            Flag::KeepIpvs => self.keep_ipvs = true,
            Flag::NoRespawn => self.no_respawn = true,
            Flag::Foreground => self.foreground = true,
            Flag::DumpConfig => self.dump_config = true,
            Flag::Pid => self.pid = path(&value),
            Flag::VrrpPid => self.vrrp_pid = path(&value),
            Flag::CheckersPid => self.checkers_pid = path(&value),
            Flag::BfdPid => self.bfd_pid = path(&value),
            Flag::AddressMonitoring => self.address_monitoring = true,
            Flag::Snmp => self.snmp = true,
            Flag::SnmpSocket => self.snmp_socket = Some(text(&value)),
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
mod tests;
