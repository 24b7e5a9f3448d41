//! `tmpcopyup`: a new tmpfs starts with a copy of the directory that it hides.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use sys::Context;

use crate::error::Result;

/// Opens the directory that is about to be hidden.
pub(crate) fn open(handle: BorrowedFd<'_>) -> Result<OwnedFd> {
    reopen(handle)
}

fn reopen(handle: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(handle, ".", flags, Mode::empty()).at("open", "tmpcopyup")?)
}

/// Copies everything below `from` to `to`, with owners and modes; sockets are left out, and
/// nothing is followed.
pub(crate) fn copy(from: OwnedFd, to: OwnedFd) -> Result<()> {
    let source = reopen(from.as_fd())?;
    let mut entries = Dir::from_fd(from).at("opendir", "tmpcopyup")?;
    for entry in entries.iter() {
        let entry = entry.at("readdir", "tmpcopyup")?;
        let name = entry.file_name().to_owned();
        if name.as_bytes() == b"." || name.as_bytes() == b".." {
            continue;
        }
        copy_entry(source.as_fd(), to.as_fd(), &name)?;
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<()> {
    let object = name.to_string_lossy();
    let stat = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW).at("fstatat", &object)?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let mode = Mode::from_bits_truncate(stat.st_mode & 0o7777);
    match kind {
        SFlag::S_IFDIR => {
            match mkdirat(to, name, mode) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => Err(errno).at("mkdir", &object)?,
            }
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let below = openat(from, name, flags, Mode::empty()).at("open", &object)?;
            copy(below, openat(to, name, flags, Mode::empty()).at("open", &object)?)?;
        }
        SFlag::S_IFREG => copy_file(from, to, name, mode)?,
        SFlag::S_IFLNK => {
            let target = readlinkat(from, name).at("readlink", &object)?;
            symlinkat(target.as_os_str(), to, name).at("symlink", &object)?;
        }
        SFlag::S_IFCHR | SFlag::S_IFBLK | SFlag::S_IFIFO => {
            mknodat(to, name, kind, mode, stat.st_rdev).at("mknod", &object)?;
        }
        _ => return Ok(()),
    }
    keep_owner(to, name, &stat, kind)
}

fn copy_file(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    mode: Mode,
) -> Result<()> {
    let object = name.to_string_lossy();
    let read = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let write = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let source = openat(from, name, read, Mode::empty()).at("open", &object)?;
    let target = openat(to, name, write, mode).at("open", &object)?;
    std::io::copy(&mut std::fs::File::from(source), &mut std::fs::File::from(target))
        .at("copy", &object)?;
    Ok(())
}

fn keep_owner(
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    stat: &FileStat,
    kind: SFlag,
) -> Result<()> {
    let object = name.to_string_lossy();
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    match fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW) {
        // An id without a mapping here: the copy stays this namespace's.
        Ok(()) | Err(Errno::EINVAL | Errno::EPERM) => {}
        Err(errno) => Err(errno).at("chown", &object)?,
    }
    if kind != SFlag::S_IFLNK {
        let mode = Mode::from_bits_truncate(stat.st_mode & 0o7777);
        fchmodat(to, name, mode, FchmodatFlags::FollowSymlink).at("chmod", &object)?;
    }
    Ok(())
}
