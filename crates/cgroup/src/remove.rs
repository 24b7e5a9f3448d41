//! Removing a cgroup.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::cgroup::{Cgroup, Dir};
use crate::error::Result;
use crate::file;
use crate::wait::{self, Events};

/// How long killed processes may take to leave, all together.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Removes the directory in every hierarchy, and all below it. The processes must be dead or
    /// dying: their leaving is waited for, up to five seconds in all. A directory which is not
    /// there is fine.
    ///
    /// # Errors
    /// The first directory which could not be removed; the others are tried all the same.
    pub fn delete(&self) -> Result<()> {
        let deadline = deadline();
        let mut result = Ok(());
        for dir in self.dirs() {
            result = result.and(remove_tree(&dir.path, deadline));
        }
        result
    }

    /// Removes the directory in every hierarchy if there is nobody in it and nothing below, and
    /// says whether all are gone. It costs one call a hierarchy: to be tried before it is asked
    /// who is in there.
    ///
    /// # Errors
    /// What the kernel says, but for a directory in use.
    pub fn delete_unused(&self) -> Result<bool> {
        let mut gone = true;
        for dir in self.dirs() {
            gone &= rmdir_unless_busy(&dir.path)?;
        }
        Ok(gone)
    }

    /// v2 first: only there does the kernel tell when the last process has left, and it leaves all
    /// hierarchies at once.
    fn dirs(&self) -> impl Iterator<Item = &Dir> {
        self.v2.iter().chain(&self.v1)
    }
}

/// When those who leave now must have left.
pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// Removes a directory and those below, also such as are made meanwhile, as soon as those who are
/// in there have left.
pub(crate) fn remove_tree(path: &str, deadline: Instant) -> Result<()> {
    let mut pause = wait::Pause::default();
    while !rmdir_unless_busy(path)? {
        if Instant::now() >= deadline {
            return Err(file::call_error("rmdir", path, Errno::EBUSY));
        }
        for child in children(path)? {
            remove_tree(&child, deadline)?;
        }
        if !wait_until_empty(path, deadline)? {
            pause.sleep();
        }
    }
    Ok(())
}

/// Waits until the last process has left. Is there anything new? On v1 there is no event to wait
/// for.
fn wait_until_empty(path: &str, deadline: Instant) -> Result<bool> {
    match Events::open(path) {
        Ok(events) => Ok(events.until("populated", 0, deadline)? == wait::Was::Waited),
        Err(_) => Ok(false),
    }
}

/// Removes one directory if nobody uses it. Is it gone?
pub(crate) fn rmdir_unless_busy(path: &str) -> Result<bool> {
    match file::rmdir(path) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::EBUSY | Errno::ENOTEMPTY) => Ok(false),
        Err(errno) => Err(file::call_error("rmdir", path, errno)),
    }
}

/// The cgroups right below one; none if that is gone meanwhile.
pub(crate) fn children(path: &str) -> Result<Vec<String>> {
    let failed = |error: std::io::Error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        file::call_error("readdir", path, errno)
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut children = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => break,
            Err(error) => return Err(failed(error)),
        };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if let Some(name) = entry.file_name().to_str() {
                children.push(file::join(path, name));
            }
        }
    }
    Ok(children)
}
