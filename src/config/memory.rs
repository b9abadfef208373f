//! A host made of maps: for tests, and for trying a configuration of another machine.

use super::host::{FileStatus, Host};
use super::pattern;
use crate::state::Interface;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A host that has only what it is told. Directories are there when something is in them.
#[derive(Debug, Clone, Default)]
pub struct MemoryHost {
    files: BTreeMap<PathBuf, (Vec<u8>, FileStatus)>,
    directories: BTreeMap<PathBuf, FileStatus>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// Users: uid and gid.
    pub users: BTreeMap<String, (u32, u32)>,
    /// Symbolic links: where they lead.
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// Groups: gid.
    pub groups: BTreeMap<String, u32>,
    /// Interfaces.
    pub interfaces: BTreeMap<String, Interface>,
    /// Host names that resolve.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Host name.
    pub name: String,
    /// Uid and gid of the process.
    pub identity: (u32, u32),
}

impl MemoryHost {
    /// Adds a file of mode 0644 that belongs to root.
    pub fn file(&mut self, path: &str, text: &str) -> &mut Self {
        self.file_with(path, text.as_bytes(), 0o644, 0)
    }

    /// Adds a script of mode 0755 that belongs to root.
    pub fn script(&mut self, path: &str) -> &mut Self {
        self.file_with(path, b"#!/bin/sh\n", 0o755, 0)
    }

    /// Adds a file.
    pub fn file_with(&mut self, path: &str, text: &[u8], mode: u32, uid: u32) -> &mut Self {
        let status = FileStatus {
            regular: true,
            directory: false,
            symlink: false,
            mode,
            uid,
            gid: uid,
        };
        self.files.insert(path.into(), (text.to_vec(), status));
        self
    }

    /// Adds a symbolic link; the target is a whole path.
    pub fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.links.insert(path.into(), target.into());
        self
    }

    /// Sets owner and mode of a directory.
    pub fn directory(&mut self, path: &str, mode: u32, uid: u32) -> &mut Self {
        let status = FileStatus {
            regular: false,
            directory: true,
            symlink: false,
            mode,
            uid,
            gid: uid,
        };
        self.directories.insert(path.into(), status);
        self
    }

    /// Adds an interface that is up.
    pub fn interface(&mut self, name: &str) -> &mut Self {
        let index = u32::try_from(self.interfaces.len()).unwrap_or(0) + 2;
        self.interfaces.insert(
            name.to_owned(),
            Interface {
                index,
                name: name.to_owned(),
                flags: 0x1 | 0x2 | 0x40 | 0x1000,
                mtu: 1500,
                hardware_type: 1,
                ..Interface::default()
            },
        );
        self
    }

    fn is_directory(&self, path: &Path) -> bool {
        path == Path::new("/")
            || self.directories.contains_key(path)
            || self
                .files
                .keys()
                .chain(self.links.keys())
                .any(|f| f.starts_with(path) && f != path)
    }
}

impl Host for MemoryHost {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some((text, _)) => Ok(text.clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn status(&self, path: &Path, follow: bool) -> io::Result<FileStatus> {
        if let Some(target) = self.links.get(path) {
            let end = self.status(target, true)?;
            let symlink = !follow;
            return Ok(FileStatus { symlink, ..end });
        }
        if let Some((_, status)) = self.files.get(path) {
            return Ok(*status);
        }
        if let Some(status) = self.directories.get(path) {
            return Ok(*status);
        }
        if self.is_directory(path) {
            return Ok(FileStatus {
                regular: false,
                directory: true,
                symlink: false,
                mode: 0o755,
                uid: 0,
                gid: 0,
            });
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let target = self.links.get(path).cloned();
        target.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    fn glob(&self, wanted: &str) -> io::Result<Vec<PathBuf>> {
        if !pattern::is_pattern(wanted) {
            let path = PathBuf::from(wanted);
            return Ok(if self.files.contains_key(&path) {
                vec![path]
            } else if self.is_directory(&path) {
                vec![PathBuf::from(format!("{}/", wanted.trim_end_matches('/')))]
            } else {
                Vec::new()
            });
        }
        let parts: Vec<&str> = wanted.split('/').filter(|p| !p.is_empty()).collect();
        let found = self.files.keys().filter(|path| {
            let names: Vec<String> = path
                .iter()
                .skip(1)
                .map(|n| n.to_string_lossy().into_owned())
                .collect();
            names.len() == parts.len() && parts.iter().zip(&names).all(|(p, n)| pattern::matches(p, n))
        });
        Ok(found.cloned().collect())
    }

    fn current_directory(&self) -> PathBuf {
        "/".into()
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn host_name(&self) -> String {
        self.name.clone()
    }

    fn user(&self, name: &str) -> Option<(u32, u32)> {
        if name == "root" {
            return Some((0, 0));
        }
        self.users.get(name).copied()
    }

    fn group(&self, name: &str) -> Option<u32> {
        if name == "root" {
            return Some(0);
        }
        self.groups.get(name).copied()
    }

    fn identity(&self) -> (u32, u32) {
        self.identity
    }

    fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.get(name)
    }

    fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.addresses.get(name).copied()
    }

    fn random(&self) -> u32 {
        1
    }
}
