//! The only place that makes system calls on control files.
//!
//! Paths are absolute. A directory descriptor per hierarchy would cost an `openat` and a `close`
//! to save walking four cached components, and most hierarchies see one `mkdir` and one `open`:
//! so there is none. There are no symbolic links inside a cgroup file system that could lead
//! such a path astray.
//! `openat` is used where `open` would do: musl's `open` adds an `fcntl` to each call.

use std::os::fd::OwnedFd;

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, read as read_fd, unlinkat, write as write_fd};

use crate::error::{Error, Result};

/// `dir/file`.
pub(crate) fn join(dir: &str, file: &str) -> String {
    let mut path = String::with_capacity(dir.len() + 1 + file.len());
    path.push_str(dir);
    path.push('/');
    path.push_str(file);
    path
}

pub(crate) fn call_error(call: &'static str, path: &str, errno: Errno) -> Error {
    Error::Call { call, path: path.to_owned(), errno }
}

/// Opens with close-on-exec.
pub(crate) fn open(path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, Mode::empty())
}

/// Makes one directory, 0755 but for the umask. `Ok(false)`: it is there already.
pub(crate) fn mkdir(path: &str) -> nix::Result<bool> {
    debug!("mkdir {path}");
    match mkdirat(AT_FDCWD, path, Mode::from_bits_truncate(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn rmdir(path: &str) -> nix::Result<()> {
    debug!("rmdir {path}");
    unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir)
}

/// Writes one value with one `write`, as control files want it.
pub(crate) fn write(dir: &str, file: &str, value: &str) -> Result<()> {
    put(dir, file, value).map(drop)
}

/// The same; returns the file, for whoever closes several at once.
pub(crate) fn put(dir: &str, file: &str, value: &str) -> Result<OwnedFd> {
    let path = join(dir, file);
    debug!("write {path}: {value}");
    let written =
        open(&path, OFlag::O_WRONLY).and_then(|fd| write_fd(&fd, value.as_bytes()).map(|_| fd));
    written.map_err(|errno| Error::Write { file: path, value: value.to_owned(), errno })
}

/// Writes several values to one file, one `write` each; without any it does not open it.
pub(crate) fn write_lines<L: AsRef<str>>(
    dir: &str,
    file: &str,
    values: impl Iterator<Item = L>,
) -> Result<()> {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let path = join(dir, file);
    let fd = open(&path, OFlag::O_WRONLY).map_err(|errno| call_error("open", &path, errno))?;
    for value in values {
        let value = value.as_ref();
        debug!("write {path}: {value}");
        write_fd(&fd, value.as_bytes()).map_err(|errno| Error::Write {
            file: path.clone(),
            value: value.to_owned(),
            errno,
        })?;
    }
    Ok(())
}

/// Reads a whole control file.
pub(crate) fn read(dir: &str, file: &str) -> Result<String> {
    get(dir, file).map(|(text, _)| text)
}

/// The same; returns the file, too, for whoever closes several at once.
///
/// The records of control files are short, so an answer that leaves most of the kernel's one-page
/// buffer unused is the whole file: the second `read`, which would only say so, is saved.
pub(crate) fn get(dir: &str, file: &str) -> Result<(String, OwnedFd)> {
    read_until(&join(dir, file), 1024)
}

/// Reads a whole file by its path, whatever the length of its records.
pub(crate) fn read_path(path: &str) -> Result<String> {
    read_until(path, 1).map(|(text, _)| text)
}

/// Reads until an answer is shorter than `short`.
fn read_until(path: &str, short: usize) -> Result<(String, OwnedFd)> {
    let fd = open(path, OFlag::O_RDONLY).map_err(|errno| call_error("open", path, errno))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        match read_fd(&fd, &mut chunk) {
            Ok(n) => {
                bytes.extend_from_slice(&chunk[..n]);
                if n < short {
                    break;
                }
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(call_error("read", path, errno)),
        }
    }
    Ok((String::from_utf8_lossy(&bytes).into_owned(), fd))
}

/// The number after `key ` in a file of such lines (`cgroup.events`, `memory.events`, ...).
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

/// Writes values that the kernel checks against each other, so that one may be refused until
/// another is there: a quota against its burst, memory against memory and swap. Those refused
/// with `EINVAL` are tried again after the others; on a new cgroup, whose values are at their
/// widest, the first round does. `may_lack` is a file that is passed over if it is not there.
pub(crate) fn write_related(dir: &str, values: &[(&str, String)], may_lack: &str) -> Result<()> {
    let mut pending: Vec<&(&str, String)> = values.iter().collect();
    loop {
        let before = pending.len();
        let mut refused = None;
        let mut again = Vec::new();
        for entry in pending {
            match write(dir, entry.0, &entry.1) {
                Ok(()) => {}
                Err(error) if error.errno() == Some(Errno::ENOENT) && entry.0 == may_lack => {}
                Err(error) if error.errno() == Some(Errno::EINVAL) => {
                    refused.get_or_insert(error);
                    again.push(entry);
                }
                Err(error) => return Err(error),
            }
        }
        match refused {
            None => return Ok(()),
            Some(error) if again.len() == before => return Err(error),
            Some(_) => pending = again,
        }
    }
}
