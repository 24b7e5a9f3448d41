//! `--pid-file`: the pid in decimal, no newline, whole or not at all.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::{AccessFlags, Pid, access};
use sys::Context;

use crate::error::{Result, Step};

/// Looks whether it can be written: before anything is done that would have to be undone.
pub(crate) fn check(path: Option<&Path>) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK)
        .at("open", path.to_string_lossy())
        .step(|| "pid file".to_owned())
}

/// Writes `pid` to a file beside `path` and renames it there.
pub(crate) fn write(path: &Path, pid: Pid) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let new = path.with_file_name(format!(".{name}"));
    let step = || "pid file".to_owned();
    // As `write` of std, but never through a link, wherever somebody has made it lead.
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&new)
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .at("write", new.to_string_lossy());
    let renamed = written
        .and_then(|()| std::fs::rename(&new, path).at("rename", path.to_string_lossy()))
        .step(step);
    renamed.inspect_err(|_| {
        // The first error is on its way to the user.
        let _ = std::fs::remove_file(&new);
    })
}
