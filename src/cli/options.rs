//! What keepalived's options say.

use super::DEFAULT_FILE;
use std::ffi::OsString;
use std::path::PathBuf;

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
