//! keepalived-rs: the command line, and who does what it asks for.

use keepalived_rs::cli::{self, Invocation, Tool};
use keepalived_rs::daemon;
use keepalived_rs::process::{self, spawner};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    spawner::run_if_spawner();
    let status = match cli::parse(std::env::args_os().collect()) {
        Invocation::Exit(said, status) => {
            said.print();
            status
        }
        Invocation::Keepalived(options, said) => {
            said.print();
            process::take_name(&options.arguments);
            daemon::run(&options)
        }
        Invocation::Tool(Tool::Reload { pid, timeout }) => {
            daemon::control::reload(&pid, Duration::from_secs(timeout))
        }
        Invocation::Tool(_) => {
            eprintln!("this command is not there yet");
            1
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}
