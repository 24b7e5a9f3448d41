//! Descriptors that were inherited, and which of them live on.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, FdFlag, OFlag, fcntl, openat};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;

use crate::{Context, Error, Result};

/// Marks every descriptor from `first` on as close-on-exec (close_range(2), Linux 5.11), so that
/// none of them reaches the program that is executed next.
pub fn close_from(first: u32) -> Result<()> {
    // SAFETY: setting close-on-exec invalidates no descriptor that anybody owns.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        return Ok(());
    }
    match Errno::last() {
        // Before 5.11 (EINVAL) and under filters that don't know the call (ENOSYS, EPERM).
        Errno::ENOSYS | Errno::EINVAL | Errno::EPERM => mark_one_by_one(first),
        errno => Err(Error::new("close_range", first.to_string(), errno)),
    }
}

/// Closes every descriptor from `first` on, but for those in `keep` (close_range(2), Linux 5.9).
///
/// For a cloned process that never returns to the frames in which it was cloned: what their owners
/// hold is closed under them.
pub fn close_all_but(first: u32, keep: &[BorrowedFd<'_>]) -> Result<()> {
    let mut keep: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).collect();
    keep.sort_unstable();
    let mut from = first;
    for kept in keep.into_iter().filter(|kept| *kept >= first) {
        if kept > from {
            close_between(from, kept - 1)?;
        }
        from = kept + 1;
    }
    close_between(from, u32::MAX)
}

/// Closes descriptors that nobody needs any more, those with numbers in a row by one call
/// (close_range(2), Linux 5.9).
pub fn close_all(fds: impl IntoIterator<Item = OwnedFd>) -> Result<()> {
    let mut numbers: Vec<u32> = fds.into_iter().map(|fd| fd.into_raw_fd() as u32).collect();
    numbers.sort_unstable();
    for row in numbers.chunk_by(|one, next| one + 1 == *next) {
        close_between(row[0], row[row.len() - 1])?;
    }
    Ok(())
}

fn close_between(first: u32, last: u32) -> Result<()> {
    // SAFETY: by the contracts of its callers nobody uses these descriptors any more.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return Ok(());
    }
    match Errno::last() {
        Errno::ENOSYS | Errno::EPERM => {}
        errno => return Err(Error::new("close_range", format!("{first} to {last}"), errno)),
    }
    for number in open_descriptors().into_iter().filter(|n| (first..=last).contains(n)) {
        // SAFETY: as above; the listing's own descriptor is gone already, which only fails.
        unsafe { libc::close(number as RawFd) };
    }
    Ok(())
}

/// The numbers of this process's descriptors: as procfs has them, or by asking for each that there may be.
fn open_descriptors() -> Vec<u32> {
    listed_descriptors().unwrap_or_else(|_| {
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((MOST_NUMBERS, 0));
        (0..soft.min(MOST_NUMBERS) as u32).filter(|n| check_open(*n as i32).is_ok()).collect()
    })
}

/// As many descriptors as the kernel gives a process if nobody has told it otherwise (`fs.nr_open`).
const MOST_NUMBERS: u64 = 1 << 20;

/// What is at `/proc` in a mount namespace that was joined may be no procfs, and hide some.
fn listed_descriptors() -> Result<Vec<u32>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = openat(AT_FDCWD, "/proc/self/fd", flags, Mode::empty());
    let directory = directory.at("open", "/proc/self/fd")?;
    if crate::magic(directory.as_fd())? != crate::PROC_MAGIC {
        return Err(Error::new("open", "/proc/self/fd, which is no procfs", Errno::ENOTSUP));
    }
    let mut entries = Dir::from_fd(directory).at("opendir", "/proc/self/fd")?;
    let numbers =
        entries.iter().filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok());
    Ok(numbers.collect())
}

fn mark_one_by_one(first: u32) -> Result<()> {
    for number in open_descriptors().into_iter().filter(|number| *number >= first) {
        // SAFETY: the number comes from the directory of open descriptors; it is only borrowed.
        let fd = unsafe { BorrowedFd::borrow_raw(number as RawFd) };
        // The directory's own descriptor is gone by now.
        let _ = set_close_on_exec(fd, true);
    }
    Ok(())
}

/// Sets or clears a descriptor's close-on-exec flag.
pub fn set_close_on_exec(fd: BorrowedFd<'_>, on: bool) -> Result<()> {
    let flags = if on { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flags)).at("fcntl F_SETFD", fd.as_raw_fd().to_string()).map(|_| ())
}

/// Makes what is open as `new` open under the number of `old`, too, also across execve (dup3(2)). The
/// owner of `old` has that instead from now on.
pub fn replace(old: BorrowedFd<'_>, new: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: both are open; the number stays one that its owner may use and will close.
    if unsafe { libc::dup3(new.as_raw_fd(), old.as_raw_fd(), 0) } < 0 {
        return Err(Error::last("dup3", old.as_raw_fd().to_string()));
    }
    Ok(())
}

/// Lets descriptor `number`, which the caller of this program passed in, live on across execve.
///
/// Fails with `EBADF` when there is no such descriptor.
pub fn keep_on_exec(number: i32) -> Result<()> {
    // SAFETY: the descriptor is only borrowed, for one call that fails when it isn't open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    set_close_on_exec(fd, false)
}

/// Whether descriptor `number` is open (fcntl(2), `F_GETFD`).
pub fn check_open(number: i32) -> Result<()> {
    // SAFETY: F_GETFD on a number that isn't open fails and touches nothing.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(Error::last("fcntl F_GETFD", number.to_string()));
    }
    Ok(())
}

/// Takes over descriptor `number`, which the caller of this program passed in.
///
/// Only for descriptors that nothing else in this process owns.
pub fn take_inherited(number: i32) -> Result<OwnedFd> {
    check_open(number)?;
    // SAFETY: it is open, and by this function's contract nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes over descriptor `number`, which the caller of this program passed in, whatever the number is:
/// what this program has opened itself is close-on-exec, and refused (`EBADF`).
pub fn take_passed(number: i32) -> Result<OwnedFd> {
    // SAFETY: F_GETFD on a number that isn't open fails and touches nothing.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(Error::last("fcntl F_GETFD", number.to_string()));
    }
    if number < 3 || flags & libc::FD_CLOEXEC != 0 {
        return Err(Error::new("fcntl F_GETFD", number.to_string(), Errno::EBADF));
    }
    let fd = take_inherited(number)?;
    set_close_on_exec(fd.as_fd(), true)?;
    Ok(fd)
}

/// The `CLONE_NEW*` flag of the namespace behind a descriptor of one of the files in
/// `/proc/PID/ns` (ioctl_ns(2), `NS_GET_NSTYPE`, Linux 4.11); `ENOTTY` if it is none.
pub fn namespace_kind(namespace: BorrowedFd<'_>) -> Result<u64> {
    const NS_GET_NSTYPE: u64 = 0xb703;
    // SAFETY: NS_GET_NSTYPE takes no argument.
    let flag = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE as _) };
    if flag < 0 {
        return Err(Error::last("ioctl NS_GET_NSTYPE", ""));
    }
    Ok(flag as u64)
}

/// Locks the file behind a descriptor (flock(2)), alone or with others; the lock belongs to the open
/// file, and ends when its last descriptor is closed. Without `wait` it fails with `EWOULDBLOCK`.
pub fn lock_file(file: BorrowedFd<'_>, exclusive: bool, wait: bool) -> Result<()> {
    let kind = if exclusive { libc::LOCK_EX } else { libc::LOCK_SH };
    let operation = if wait { kind } else { kind | libc::LOCK_NB };
    // SAFETY: the call takes plain numbers.
    while unsafe { libc::flock(file.as_raw_fd(), operation) } < 0 {
        let error = Error::last("flock", "");
        if error.errno != Errno::EINTR {
            return Err(error);
        }
    }
    Ok(())
}
