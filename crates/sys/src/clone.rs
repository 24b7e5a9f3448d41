//! clone3(2) and process descriptors.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::unistd::Pid;

use crate::{Error, Result};

/// libc has it in 32 bits, which it does not fit.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What a new process gets; everything else it shares as after fork(2).
#[derive(Debug, Default, Clone, Copy)]
pub struct Clone3<'fd> {
    /// `CLONE_NEW*` of the namespaces to make, and `CLONE_PARENT`.
    pub flags: u64,
    /// The cgroup v2 directory that the process is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub into_cgroup: Option<BorrowedFd<'fd>>,
}

/// Who returned from [`clone3`].
#[derive(Debug)]
pub enum Forked {
    /// The caller, with the new process.
    Parent {
        /// The new process, in the caller's pid namespace.
        pid: Pid,
        /// Its descriptor.
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

/// Makes a process with its own copy of the memory (clone3(2), Linux 5.3).
///
/// The caller must have one thread only, as every program of this workspace does: the child then
/// may allocate and return through ordinary code.
pub fn clone3(request: Clone3<'_>) -> Result<Forked> {
    let mut pidfd: RawFd = -1;
    let into_cgroup = request.into_cgroup.map(|fd| fd.as_raw_fd());
    // SAFETY: clone_args is plain data for which all zeroes is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = request.flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    // With CLONE_PARENT the exit signal is the caller's own, and naming one is an error.
    if request.flags & libc::CLONE_PARENT as u64 == 0 {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(fd) = into_cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd as u64;
    }
    let size = std::mem::size_of::<libc::clone_args>();
    // SAFETY: `args` is valid for `size` bytes, and asks for no shared memory and no own stack, so
    // that the child is a copy of this single-threaded process, as after fork(2).
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) };
    match pid {
        -1 => Err(Error::last("clone3", format!("flags {:#x}", args.flags))),
        0 => Ok(Forked::Child),
        _ => {
            // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor that nobody owns yet.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid: Pid::from_raw(pid as i32), pidfd })
        }
    }
}

/// A descriptor for a process (pidfd_open(2), Linux 5.3).
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: the call takes plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    if fd < 0 {
        return Err(Error::last("pidfd_open", pid.to_string()));
    }
    // SAFETY: the kernel returned a new descriptor that nobody owns yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A copy of descriptor `number` of the process behind `pidfd` (pidfd_getfd(2), Linux 5.6).
///
/// Needs the right to trace that process.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: RawFd) -> Result<OwnedFd> {
    // SAFETY: the call takes plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) };
    if fd < 0 {
        return Err(Error::last("pidfd_getfd", number.to_string()));
    }
    // SAFETY: the kernel returned a new descriptor that nobody owns yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends a signal to the process behind a descriptor (pidfd_send_signal(2), Linux 5.1).
///
/// `signal` is a number, since realtime signals have no name; 0 only asks whether it is alive.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed, the rest are plain numbers.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0)
    };
    if result < 0 {
        return Err(Error::last("pidfd_send_signal", signal.to_string()));
    }
    Ok(())
}
