//! The real world as the configuration sees it.

use crate::config::host::{FileStatus, Host};
use crate::config::pattern;
use crate::net::links;
use crate::state::Interface;
use nix::unistd::{self, Group, User};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// This machine. Interfaces are asked for once, when the first one is looked up.
#[derive(Debug, Default)]
pub struct Machine {
    interfaces: OnceCell<BTreeMap<String, Interface>>,
}

impl Machine {
    /// This machine, nothing looked at yet.
    pub fn new() -> Self {
        Machine::default()
    }

    fn interfaces(&self) -> &BTreeMap<String, Interface> {
        self.interfaces.get_or_init(|| match links::interfaces() {
            Ok(list) => list.into_iter().map(|i| (i.name.clone(), i)).collect(),
            Err(error) => {
                tracing::error!(target: "vrrp", "Unable to read the host's interfaces - {error}");
                BTreeMap::new()
            }
        })
    }
}

impl Host for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn status(&self, path: &Path, follow: bool) -> io::Result<FileStatus> {
        let data = if follow {
            fs::metadata(path)?
        } else {
            fs::symlink_metadata(path)?
        };
        Ok(FileStatus {
            regular: data.is_file(),
            directory: data.is_dir(),
            symlink: data.file_type().is_symlink(),
            mode: data.mode() & 0o7777,
            uid: data.uid(),
            gid: data.gid(),
        })
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn glob(&self, wanted: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::from(if wanted.starts_with('/') { "/" } else { "" })];
        for part in wanted.split('/').filter(|p| !p.is_empty()) {
            let mut next = Vec::new();
            for directory in found {
                if !pattern::is_pattern(part) {
                    let path = directory.join(part);
                    if fs::symlink_metadata(&path).is_ok() {
                        next.push(path);
                    }
                    continue;
                }
                let here = if directory.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    &directory
                };
                let Ok(entries) = fs::read_dir(here) else {
                    continue;
                };
                let mut names: Vec<_> = entries
                    .filter_map(|e| e.ok().map(|e| e.file_name()))
                    .filter(|n| pattern::matches(part, &n.to_string_lossy()))
                    .collect();
                names.sort();
                next.extend(names.into_iter().map(|n| directory.join(n)));
            }
            found = next;
        }
        for path in &mut found {
            if path.is_dir() {
                path.as_mut_os_string().push("/");
            }
        }
        Ok(found)
    }

    fn current_directory(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| "/".into())
    }

    fn environment(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|v| v.to_string_lossy().into_owned())
    }

    fn host_name(&self) -> String {
        unistd::gethostname()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    fn user(&self, name: &str) -> Option<(u32, u32)> {
        let user = User::from_name(name).ok()??;
        Some((user.uid.as_raw(), user.gid.as_raw()))
    }

    fn group(&self, name: &str) -> Option<u32> {
        Some(Group::from_name(name).ok()??.gid.as_raw())
    }

    fn identity(&self) -> (u32, u32) {
        (unistd::geteuid().as_raw(), unistd::getegid().as_raw())
    }

    fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces().get(name)
    }

    fn resolve(&self, name: &str) -> Option<IpAddr> {
        (name, 25).to_socket_addrs().ok()?.next().map(|a| a.ip())
    }

    fn random(&self) -> u32 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |t| t.subsec_nanos() ^ (t.as_secs() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_files_in_order() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d.txt"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("e.conf")).unwrap();
        let base = directory.path().to_string_lossy().into_owned();
        let found: Vec<String> = Machine::new()
            .glob(&format!("{base}/*.conf"))
            .unwrap()
            .iter()
            .map(|p| p.to_string_lossy().replace(&base, ""))
            .collect();
        assert_eq!(found, ["/a.conf", "/b.conf", "/e.conf/"]);
    }

    #[test]
    fn loopback_is_an_interface() {
        assert!(Machine::new().interface("lo").is_some());
        assert!(Machine::new().interface("no-such-if").is_none());
    }
}
