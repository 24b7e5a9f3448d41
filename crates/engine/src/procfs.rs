//! The procfs of the host's, proven to be one: for what is written there in the container's name, and
//! would do harm, or nothing, if it went elsewhere (CVE-2019-16884, CVE-2025-52881).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, fstat};
use sys::{Context, OpenTree};

use crate::error::{Error, Result};
use crate::store;

/// The number of its root (`PROC_ROOT_INO`): no other directory of a procfs has it.
pub(crate) const ROOT: u64 = 1;

/// Opens a file below `/proc`, which must be the root of a procfs, with nothing mounted on the way.
pub(crate) fn open(path: &str, flags: OFlag) -> Result<OwnedFd> {
    let name = format!("/proc/{path}");
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = openat(AT_FDCWD, "/proc", directory, Mode::empty()).at("open", "/proc")?;
    if sys::magic(root.as_fd())? != sys::PROC_MAGIC
        || fstat(&root).at("fstat", "/proc")?.st_ino != ROOT
    {
        return Err(Error::Escape { path: "/proc".to_owned(), why: "is not the root of a procfs" });
    }
    match open_beneath(root.as_fd(), path, flags) {
        // What a caller has mounted over its files (/proc/sys/net, in LXC) is not in a copy of procfs alone.
        Err(Errno::EXDEV) => {
            let alone = OpenTree { recursive: false, no_follow: true };
            let tree = sys::open_tree(root.as_fd(), c"", alone);
            let tree = tree.map_err(|_| covered(&name))?;
            match open_beneath(tree.as_fd(), path, flags) {
                Err(Errno::EXDEV) => Err(covered(&name)),
                other => Ok(other.at("openat2", &name)?),
            }
        }
        // A filter that doesn't know the call; what is open is looked at.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let flags = flags | OFlag::O_CLOEXEC;
            let file = openat(&root, path, flags, Mode::empty()).at("open", &name)?;
            let device = |file: BorrowedFd<'_>| fstat(file).map(|stat| stat.st_dev);
            match device(file.as_fd()) == device(root.as_fd()) {
                true => Ok(file),
                false => Err(covered(&name)),
            }
        }
        other => Ok(other.at("openat2", &name)?),
    }
}

/// Writes to a file below `/proc`, found as by [`open`].
pub(crate) fn write(path: &str, text: &str) -> Result<()> {
    let file = open(path, OFlag::O_WRONLY)?;
    let shown = text.trim_end().replace('\n', ", ");
    Ok(store::write_all(file.as_fd(), text.as_bytes())
        .at("write", format!("/proc/{path}: {shown}"))?)
}

fn open_beneath(root: BorrowedFd<'_>, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_XDEV
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve))
}

fn covered(path: &str) -> Error {
    let why = "is not procfs's own file: something is mounted over it";
    Error::Escape { path: path.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_procfs_itself_is_opened() {
        for path in ["thread-self/status", "self/attr/current", "version"] {
            assert!(open(path, OFlag::O_RDONLY).is_ok(), "{path}");
        }
        for path in ["self/root/etc/passwd", "self/cwd", "../etc/passwd", "self/no-such"] {
            assert!(open(path, OFlag::O_RDONLY).is_err(), "{path}");
        }
    }
}
