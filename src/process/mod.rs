//! What makes this a well-behaved process: its name, its pid files, its children. Beside `sys` the only room
//! with `unsafe`; each one says what makes it sound.

pub mod core_dump;
pub mod daemonise;
pub mod helper;
pub mod idle;
pub mod namespace;
pub mod pidfd;
pub mod pidfile;
pub mod privileges;
pub mod signal;
pub mod spawner;

use std::ffi::{CString, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;

/// Name of the process, for whoever looks for keepalived.
const NAME: &str = "keepalived";

/// Sees to it that argv\[0\] and comm read `keepalived`. A program that was started under another name
/// replaces itself by itself, once, under the right one; `arguments` is the command line to keep, its first
/// word the name. Where that fails (no /proc), only comm is set.
pub fn take_name(arguments: &[OsString]) {
    let named = std::env::args_os()
        .next()
        .is_some_and(|name| Path::new(&name).file_name().is_some_and(|n| n == NAME));
    if !named {
        let _ = std::process::Command::new("/proc/self/exe")
            .arg0(NAME)
            .args(arguments.iter().skip(1))
            .exec();
    }
    set_comm(NAME);
}

/// Sets the name of the calling thread, which for the main thread is the process's comm: 15 bytes.
pub fn set_comm(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}
