//! keepalived-rs: the command line, and who does what it asks for.

use keepalived_rs::cli::{self, Invocation, Options, Tool};
use keepalived_rs::config::ReadOptions;
use keepalived_rs::daemon;
use keepalived_rs::daemon::host::Machine;
use keepalived_rs::process::{self, spawner};
use keepalived_rs::tools;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    spawner::run_if_spawner();
    daemon::guard::run_if_guard();
    let status = match cli::parse(std::env::args_os().collect()) {
        Invocation::Exit(said, status) => {
            said.print();
            status
        }
        Invocation::Keepalived(options, said) if options.config_test.is_some() => {
            said.print();
            let output = options.config_test.as_ref().and_then(Option::as_deref);
            tools::check::run(&Machine::new(), &read_options(&options), output)
        }
        Invocation::Keepalived(options, said) => {
            said.print();
            process::take_name(&options.arguments);
            daemon::run(&options)
        }
        Invocation::Genhash(wanted) => tools::genhash::run(&wanted),
        Invocation::Tool(Tool::Convert { file }) => tools::convert::run(&file),
        Invocation::Tool(Tool::Explain { keywords }) => tools::explain::run(&keywords),
        Invocation::Tool(Tool::Reload { pid, timeout }) => {
            daemon::control::reload(&pid, Duration::from_secs(timeout))
        }
        Invocation::Tool(Tool::Status { pid, json }) => daemon::control::status(&pid, json),
        Invocation::Tool(Tool::Watch { pid }) => daemon::control::watch(&pid),
        Invocation::Tool(Tool::Check {
            files,
            config_id,
            quiet,
        }) => tools::check::files(&Machine::new(), &files, config_id, quiet),
    };
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}

/// What the command line says about reading the configuration.
fn read_options(options: &Options) -> ReadOptions {
    ReadOptions {
        file: options.file.to_string_lossy().into_owned(),
        config_id: options.config_id.clone(),
        all_config: options.all_config,
        umask: options.umask,
        ..ReadOptions::default()
    }
}
