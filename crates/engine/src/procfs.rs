//! The procfs of the host's, proven to be one: for what is written there in the container's name, and
//! would do harm, or nothing, if it went elsewhere (CVE-2019-16884, CVE-2025-52881).

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, fstat};
use sys::Context;

/// f_type of procfs (statfs(2)).
pub(crate) const MAGIC: i64 = 0x9fa0;
/// The number of its root (`PROC_ROOT_INO`): no other directory of a procfs has it.
const ROOT: u64 = 1;

/// Opens a file below `/proc`, which must be the root of a procfs, with nothing mounted on the way.
pub(crate) fn open(path: &str, flags: OFlag) -> Result<OwnedFd, sys::Error> {
    let name = format!("/proc/{path}");
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = openat(AT_FDCWD, "/proc", directory, Mode::empty()).at("open", "/proc")?;
    if sys::magic(root.as_fd())? != MAGIC || fstat(&root).at("fstat", "/proc")?.st_ino != ROOT {
        return Err(sys::Error::new("open", "/proc, which is no procfs", Errno::ENOTSUP));
    }
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_XDEV
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let flags = flags | OFlag::O_CLOEXEC;
    match openat2(&root, path, OpenHow::new().flags(flags).resolve(resolve)) {
        // A filter that doesn't know the call; what is open is looked at.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let file = openat(&root, path, flags, Mode::empty()).at("open", &name)?;
            match sys::magic(file.as_fd())? {
                MAGIC => Ok(file),
                _ => Err(sys::Error::new("open", name, Errno::ENOTSUP)),
            }
        }
        other => other.at("openat2", &name),
    }
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
