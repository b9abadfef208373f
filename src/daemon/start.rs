//! From the command line to the running daemon.

use super::config_save;
use super::host::Machine;
use super::logging::{Log, Settings};
use super::preflight;
use super::reload;
use super::supervise::{self, Running};
use crate::cli::{self, Options, version};
use crate::config::{self, ReadOptions, Reading, Start};
use crate::model::Configuration;
use crate::model::vrrp::Accept;
use crate::process::core_dump::{self, Pattern};
use crate::process::daemonise::{self, Launcher};
use crate::process::pidfile::{self, Naming, Paths, PidFile, PidFileError};
use crate::process::{namespace, signal};
use crate::sys::schedule;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tracing_subscriber::prelude::*;

/// How long lines may take to reach their sinks at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the daemon until it is told to stop; returns its exit status. To be called while there is one thread.
pub fn run(options: &Options) -> i32 {
    signal::ignore_early();
    // What `chrt` or a unit has given to the process is for the threads that must be in time, not for all.
    let realtime = schedule::realtime().filter(|_| schedule::clear_realtime().is_ok());
    let (log, writer) = Log::new();
    log.set_detail(options.detail);
    if tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log.layer())).is_err() {
        eprintln!("keepalived-rs: a log is already set up");
        return 1;
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |l| format!(" at {l}"));
        tracing::error!(target: "parent", "internal error{place}: {panic}");
    }));
    if let Some(umask) = options.umask {
        set_umask(umask);
    }
    let launcher = if in_foreground(options) {
        None
    } else {
        match daemonise::daemonise() {
            Ok(launcher) => Some(launcher),
            Err(error) => {
                eprintln!("keepalived-rs: cannot go into the background: {error}");
                return 1;
            }
        }
    };
    if let Err(error) = writer.start(log_settings(options, None)) {
        eprintln!("keepalived-rs: cannot start the log: {error}");
    }
    if in_foreground(options) && !options.foreground {
        tracing::info!(target: "parent", "Process 1 stays in the foreground: a container ends with it");
    }
    let status = begin(options, &log, launcher, realtime);
    if let Some(status) = status {
        tracing::info!(target: "parent", "Stopped {}", version::KEEPALIVED);
        log.flush(LAST_WORDS);
        return status;
    }
    tracing::info!(target: "parent", "daemon is already running");
    log.flush(LAST_WORDS);
    0
}

/// Returns the exit status; `None` when another daemon turns out to run.
fn begin(options: &Options, log: &Log, launcher: Option<Launcher>, realtime: Option<u32>) -> Option<i32> {
    introduce(options);
    let _core_pattern = prepare_core_dumps(options);
    let give_up = |launcher: Option<Launcher>, status: i32| {
        if let Some(launcher) = launcher {
            launcher.release(u8::try_from(status).unwrap_or(1));
        }
        Some(status)
    };
    if !enter_namespace(options.namespace.as_deref()) {
        return give_up(launcher, 1);
    }
    let mut reading = read(options, None);
    if let Some(namespace) = reading.configuration.globals.net_namespace.clone() {
        if let Some(given) = &options.namespace {
            if *given != namespace {
                tracing::info!(
                    target: "parent",
                    "Overriding config net_namespace '{namespace}' with command line namespace '{given}'"
                );
            }
        } else {
            if !enter_namespace(Some(&namespace)) {
                return give_up(launcher, 1);
            }
            // Interfaces are those of the namespace.
            reading = read(options, reading.configuration.globals.random_seed);
        }
    }
    tell(options, &reading);
    if let Start::Exit(status) = reading.start {
        let name = if status == 2 { "CONFIG" } else { "FATAL" };
        if !matches!(status, 0 | 6) {
            tracing::info!(
                target: "parent",
                "Keepalived_vrrp exited with permanent error {name}. Terminating"
            );
        }
        return give_up(launcher, status);
    }
    let globals = &reading.configuration.globals;
    set_umask(options.umask.unwrap_or(globals.umask));
    config_save::configuration(globals, &reading.files, 0);
    let configuration = reading.into_configuration();
    let globals = &configuration.globals;
    let paths = self::paths(options, &configuration);
    let settings = log_settings(options, Some(&configuration));
    if !settings.suffix.is_empty() {
        tracing::info!(target: "parent", "Changing syslog ident to Keepalived{}", settings.suffix);
        log.set(settings);
    }
    if globals.max_auto_priority == 0
        && !globals.max_auto_priority_given
        && globals.vrrp_process.realtime.is_none()
    {
        tracing::info!(
            target: "parent",
            "NOTICE: setting config option max_auto_priority should result in better keepalived performance"
        );
    }
    for line in preflight::run(&configuration) {
        tracing::warn!(target: "parent", "{line}");
    }
    signal::remember_terminations();
    let files = match take_pid_files(options, &configuration, &paths) {
        Ok(files) => files,
        Err(PidFileError::Running) => {
            give_up(launcher, 0);
            return None;
        }
        Err(error) => {
            tracing::error!(target: "parent", "{error}");
            return give_up(launcher, 1);
        }
    };
    if let Some(launcher) = launcher {
        launcher.release(0);
    }
    Some(supervise::run(Running {
        options,
        log,
        configuration,
        pid_files: files,
        pid_path: paths.parent,
        bfd_pid_path: paths.bfd,
        checkers_pid_path: paths.checkers,
        realtime,
    }))
}

/// A container ends with its process 1, whatever the command line says.
fn in_foreground(options: &Options) -> bool {
    options.foreground || std::process::id() == 1
}

/// False: it could not be entered.
fn enter_namespace(name: Option<&str>) -> bool {
    let Some(name) = name else {
        return true;
    };
    match namespace::enter(name) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(target: "parent", "Unable to set network namespace {name} - exiting");
            tracing::error!(target: "parent", "{name}: {error} (`ip netns list` names those that there are)");
            for line in preflight::for_namespace() {
                tracing::warn!(target: "parent", "{line}");
            }
            false
        }
    }
}

/// `-m`, `-M`: the kernel's pattern is ours while the result lives.
fn prepare_core_dumps(options: &Options) -> Option<Pattern> {
    if options.core_dump
        && let Err(error) = core_dump::allow()
    {
        tracing::warn!(target: "parent", "core dumps cannot be allowed: {error}");
    }
    match Pattern::set(options.core_pattern.as_deref()?) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            tracing::warn!(target: "parent", "/proc/sys/kernel/core_pattern cannot be set: {error}");
            None
        }
    }
}

fn introduce(options: &Options) {
    tracing::info!(target: "parent", "Starting {}", version::KEEPALIVED);
    tracing::info!(target: "parent", "{}", version::ours());
    if version::kernel_is_older() {
        tracing::info!(
            target: "parent",
            "WARNING - keepalived was built for newer Linux {}, running on {}",
            version::LINUX,
            version::running_kernel()
        );
    } else {
        tracing::info!(
            target: "parent",
            "Running on {} (built for Linux {})",
            version::running_kernel(),
            version::LINUX
        );
    }
    for line in cli::command_line(&options.arguments) {
        tracing::info!(target: "parent", "{line}");
    }
    for note in &options.notes {
        tracing::warn!(target: "parent", "{note}");
    }
}

/// Reads the configuration; at a reload with the seed of the one before.
pub(super) fn read(options: &Options, random_seed: Option<u32>) -> Reading {
    let read = ReadOptions {
        file: options.file.to_string_lossy().into_owned(),
        config_id: options.config_id.clone(),
        test: false,
        all_config: options.all_config,
        umask: options.umask,
        random_seed,
    };
    config::read(&Machine::new(), &read)
}

/// Logs what reading has to say.
pub(super) fn tell(options: &Options, reading: &Reading) {
    for file in &reading.files {
        tracing::debug!(target: "parent", "Opening file '{}'.", file.name);
    }
    if reading.start != Start::Exit(6) {
        tracing::info!(target: "parent", "Configuration file {}", options.file.display());
    }
    let mut said = BTreeSet::new();
    for diagnostic in &reading.diagnostics {
        let line = diagnostic.log_line(&reading.files);
        // What keepalived does not say in its test, each of its processes has said here.
        if diagnostic.start_only && !said.insert(line.clone()) {
            continue;
        }
        // A target must be a constant.
        macro_rules! say {
            ($target:literal) => {
                match diagnostic.start_only {
                    true => tracing::warn!(target: $target, "{line}"),
                    false => tracing::info!(target: $target, "{line}"),
                }
            };
        }
        match diagnostic.pass {
            config::Pass::Parent => say!("parent"),
            config::Pass::Checker => say!("checkers"),
            config::Pass::Vrrp => say!("vrrp"),
            config::Pass::Bfd => say!("bfd"),
        }
    }
    for line in reading.not_yet() {
        tracing::warn!(target: "parent", "{line}");
    }
    for instance in &reading.configuration.instances {
        if instance.strict && instance.accept == Accept::Disabled && instance.priority != 255 {
            tracing::info!(
                target: "vrrp",
                "({}) strict mode drops packets to its addresses, so that clients get no answer from them; \
                 `accept` lets them through",
                instance.name
            );
        }
    }
}

fn paths(options: &Options, configuration: &Configuration) -> Paths {
    Paths::new(&Naming {
        given: [
            &options.pid,
            &options.vrrp_pid,
            &options.checkers_pid,
            &options.bfd_pid,
        ]
        .map(|path| path.as_deref()),
        ..reload::naming(&configuration.globals, options.namespace.as_deref())
    })
}

fn take_pid_files(
    options: &Options,
    configuration: &Configuration,
    paths: &Paths,
) -> Result<Vec<PidFile>, PidFileError> {
    let take = |path: &Path| PidFile::take(path);
    paths.make_directory().map_err(|error| PidFileError::Io {
        path: Path::new(pidfile::RUN_DIRECTORY).join("keepalived"),
        error,
    })?;
    let mut files = vec![take(&paths.parent)?];
    if options.vrrp && (!configuration.instances.is_empty() || options.all) {
        files.push(take(&paths.vrrp)?);
    }
    if options.bfd && (!configuration.bfd.is_empty() || options.all) {
        files.push(take(&paths.bfd)?);
    }
    if options.checkers && (!configuration.lvs.servers.is_empty() || options.all) {
        files.push(take(&paths.checkers)?);
    }
    Ok(files)
}

fn log_settings(options: &Options, configuration: Option<&Configuration>) -> Settings {
    let instance = configuration.and_then(|c| c.globals.instance_name.as_deref());
    let namespace = options
        .namespace
        .as_deref()
        .or_else(|| configuration.and_then(|c| c.globals.net_namespace.as_deref()));
    let suffix: String = [namespace, instance]
        .into_iter()
        .flatten()
        .map(|n| format!("_{n}"))
        .collect();
    Settings {
        stderr: in_foreground(options) && options.log_console,
        syslog: !options.no_syslog,
        facility: u32::from(options.facility) << 3,
        file: options.log_file.as_ref().map(|file| {
            file.as_ref()
                .map_or_else(default_log_file, |f| f.to_string_lossy().into_owned())
        }),
        flush: options.flush_log_file,
        suffix,
        ..Settings::default()
    }
}

/// `$TMPDIR/keepalived.log`, where TMPDIR is an absolute path of a directory.
fn default_log_file() -> String {
    let directory = std::env::var("TMPDIR").ok();
    let directory = directory.filter(|d| d.starts_with('/') && Path::new(d).is_dir());
    format!("{}/keepalived.log", directory.as_deref().unwrap_or("/tmp"))
}

fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}
