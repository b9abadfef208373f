//! The daemon as a process: scripts, pid files beside the real keepalived, the command line.

mod command_line;
mod daemon;
mod pid_files;
mod scripts;
mod spawner;
