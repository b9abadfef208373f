//! The outside as the configuration sees it.

use crate::state::Interface;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// A regular file.
    pub regular: bool,
    /// A directory.
    pub directory: bool,
    /// A symbolic link (of the path itself, not of what it leads to).
    pub symlink: bool,
    /// Permission bits, with set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The outside: files, environment, users, interfaces. The daemon has the real one, tests have a map.
pub trait Host {
    /// Contents of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What a path is, following symbolic links or not.
    fn status(&self, path: &Path, follow: bool) -> io::Result<FileStatus>;
    /// Target of a symbolic link.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// glob(3) with GLOB_MARK, sorted; braces are expanded before.
    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;
    /// Working directory.
    fn current_directory(&self) -> PathBuf;
    /// Environment variable.
    fn environment(&self, name: &str) -> Option<String>;
    /// Host name.
    fn host_name(&self) -> String;
    /// A user by name: uid, and its primary gid.
    fn user(&self, name: &str) -> Option<(u32, u32)>;
    /// A group by name.
    fn group(&self, name: &str) -> Option<u32>;
    /// Uid and gid of this process.
    fn identity(&self) -> (u32, u32);
    /// An interface by name.
    fn interface(&self, name: &str) -> Option<&Interface>;
    /// Address of a host name (`smtp_server`), where it resolves.
    fn resolve(&self, name: &str) -> Option<IpAddr>;
    /// A random number, from `random_seed` or the time (`${_RANDOM}`).
    fn random(&self) -> u32;
}
