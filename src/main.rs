//! keepalived-rs: the command line, and who does what it asks for.

use keepalived_rs::cli::{self, Invocation};
use keepalived_rs::process::{self, spawner};
use std::process::ExitCode;

fn main() -> ExitCode {
    spawner::run_if_spawner();
    let status = match cli::parse(std::env::args_os().collect()) {
        Invocation::Exit(said, status) => {
            said.print();
            status
        }
        Invocation::Keepalived(options, said) => {
            if options.config_test.is_none() {
                process::take_name(&options.arguments);
            }
            said.print();
            eprintln!("the daemon is not there yet");
            1
        }
        Invocation::Tool(_) => {
            eprintln!("this command is not there yet");
            1
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}
