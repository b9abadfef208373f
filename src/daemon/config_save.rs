//! `config_save_dir`: the files that each reload has read, and the state before and after it.

use super::dumps;
use crate::config::SourceFile;
use crate::model::Globals;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Writes what was read: `keepalived.conf.PID.NUMBER`, each file under its name.
pub(super) fn configuration(globals: &Globals, files: &[SourceFile], number: u32) {
    let Some(directory) = directory(globals) else {
        return;
    };
    let mut text = String::new();
    for file in files {
        text.push_str(&format!("# {}\n{}", file.name, file.text));
        if !file.text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str("!\n");
    }
    let path = directory.join(format!("keepalived.conf.{}.{number}", std::process::id()));
    if let Err(error) = dumps::write(&path, &text, 0o177) {
        tracing::warn!(target: "parent", "{error}");
    }
}

/// Where the state before (`pre`) or after (`post`) a reload goes.
pub(super) fn state(globals: &Globals, number: u32, moment: &str) -> Option<PathBuf> {
    let name = format!("keepalived_vrrp.{}.{number}.{moment}", std::process::id());
    Some(directory(globals)?.join(name))
}

/// The directory, made if it is not there.
fn directory(globals: &Globals) -> Option<&Path> {
    let path = Path::new(globals.config_save_dir.as_deref()?);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Some(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Some(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            tracing::warn!(
                target: "parent",
                "config_save_dir {} exists and is not a directory", path.display()
            );
            None
        }
        Err(error) => {
            tracing::warn!(
                target: "parent",
                "Unable to create config_save_dir {} (error {} - {error})",
                path.display(), error.raw_os_error().unwrap_or(0)
            );
            None
        }
    }
}
