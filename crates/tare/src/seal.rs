//! The container can never reach this program's file.
//!
//! A process in a container can look at the runtime through `/proc/PID/exe` while it enters, and
//! have itself executed again (`#!/proc/self/exe`); were that file writable, the next container would
//! be started by the attacker (CVE-2019-5736). So the commands that enter containers run from a
//! detached, read-only mount of the file, made at start; where mounts may not be made (a user's own
//! container), from a sealed copy in memory.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, SealFlag, fcntl, openat};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::FsFlags;
use sys::{Attributes, Context, OpenTree};

const SELF: &str = "/proc/self/exe";

/// The variable that says when this program was started first, for a timeline (`--trace`).
pub(crate) const STARTED: &str = "TARE_STARTED";

/// Goes on from a file that nobody can write: returns only in a process that does so already. If the
/// start is `timed`, that process learns when this one was here.
pub(crate) fn ensure(timed: bool) -> Result<(), sys::Error> {
    if is_sealed()? {
        return Ok(());
    }
    let file = read_only_mount().or_else(|_| sealed_copy())?;
    let arguments = sys::arguments().iter().filter_map(|word| CString::new(word.as_bytes()).ok());
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let mut variable = name.into_vec();
        variable.push(b'=');
        variable.extend(value.into_vec());
        CString::new(variable).ok()
    });
    let started = timed.then(|| CString::new(format!("{STARTED}={}", engine::trace_time())));
    let environment = environment.chain(started.and_then(Result::ok));
    let again = sys::Exec::new(c"".to_owned(), arguments.collect(), environment.collect());
    match again.exec_fd(file.as_fd())? {}
}

fn is_sealed() -> Result<bool, sys::Error> {
    let mount = statfs(SELF).at("statfs", SELF)?;
    if mount.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(true);
    }
    // Only files in memory have seals.
    if mount.filesystem_type() != TMPFS_MAGIC {
        return Ok(false);
    }
    let file = openat(AT_FDCWD, SELF, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .at("open", SELF)?;
    let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_truncate);
    Ok(seals.is_ok_and(|seals| seals.contains(SealFlag::F_SEAL_WRITE)))
}

fn read_only_mount() -> Result<OwnedFd, sys::Error> {
    let mount = sys::open_tree(AT_FDCWD, c"/proc/self/exe", OpenTree::default())?;
    sys::change_attributes(mount.as_fd(), Attributes::READ_ONLY, false)?;
    Ok(mount)
}

fn sealed_copy() -> Result<OwnedFd, sys::Error> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let copy = memfd_create(c"tare", flags).at("memfd_create", "tare")?;
    let mut copy = File::from(copy);
    std::io::copy(&mut File::open(SELF).at("open", SELF)?, &mut copy).at("copy", SELF)?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals)).at("fcntl F_ADD_SEALS", "tare")?;
    Ok(copy.into())
}
