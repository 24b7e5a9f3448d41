//! clone3(2) and process descriptors.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::{Error, Result};

/// libc has it in 32 bits, which it does not fit.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The first `struct clone_args`: kernels that know no other take a longer one only with zeroes behind it.
const CLONE_ARGS_SIZE_VER0: usize = 64;

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
        /// Its descriptor; none where clone(2) had to do.
        pidfd: Option<OwnedFd>,
    },
    /// The new process.
    Child,
}

/// Makes a process with its own copy of the memory (clone3(2), Linux 5.3; without it, clone(2)).
///
/// The caller must have one thread only, as every program of this workspace does: the child then
/// may allocate and return through ordinary code. Into a cgroup only clone3 makes it: where there is none
/// that is `ENOSYS`, and before Linux 5.7 `E2BIG`.
pub fn clone3(request: Clone3<'_>) -> Result<Forked> {
    let mut pidfd: RawFd = -1;
    let into_cgroup = request.into_cgroup.map(|fd| fd.as_raw_fd());
    // SAFETY: clone_args is plain data for which all zeroes is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = request.flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = exit_signal(request.flags) as u64;
    let mut size = CLONE_ARGS_SIZE_VER0;
    if let Some(fd) = into_cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd as u64;
        size = std::mem::size_of::<libc::clone_args>();
    }
    // SAFETY: `args` is valid for `size` bytes, and asks for no shared memory and no own stack, so
    // that the child is a copy of this single-threaded process, as after fork(2).
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) };
    match pid {
        -1 => {
            let error = Error::last("clone3", format!("flags {:#x}", args.flags));
            match (lacks_clone3(error.errno), into_cgroup) {
                (false, _) => Err(error),
                (true, None) => clone(request.flags),
                (true, Some(_)) => Err(Error { errno: Errno::ENOSYS, ..error }),
            }
        }
        0 => Ok(Forked::Child),
        _ => {
            // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor that nobody owns yet.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid: Pid::from_raw(pid as i32), pidfd: Some(pidfd) })
        }
    }
}

/// With `CLONE_PARENT` the exit signal is the caller's own, and naming one is an error.
fn exit_signal(flags: u64) -> i32 {
    if flags & libc::CLONE_PARENT as u64 == 0 { libc::SIGCHLD } else { 0 }
}

/// Whether it is for want of the call: filters that don't know it say `EPERM`, too. The kernel looks at the
/// size before all else.
fn lacks_clone3(errno: Errno) -> bool {
    let no_args = std::ptr::null::<libc::clone_args>();
    // SAFETY: nothing is read of arguments that are too short, and nothing is made.
    errno == Errno::ENOSYS
        || errno == Errno::EPERM
            && unsafe { libc::syscall(libc::SYS_clone3, no_args, 0usize) } < 0
            && Errno::last() != Errno::EINVAL
}

/// The same by clone(2). What no descriptor came with is found by its number: nobody else gets that before
/// the child has been waited for.
fn clone(flags: u64) -> Result<Forked> {
    let all = flags | exit_signal(flags) as u64;
    // SAFETY: as above: no shared memory and no own stack. All that comes behind the flags is 0, in whatever
    // order the machine has it.
    match unsafe { libc::syscall(libc::SYS_clone, all, 0usize, 0usize, 0usize, 0usize) } {
        -1 => Err(Error::last("clone", format!("flags {all:#x}"))),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent { pid: Pid::from_raw(pid as i32), pidfd: None }),
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
