//! The filter of system calls.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::{Error, Result};

/// Whether the kernel knows these flags of `SECCOMP_SET_MODE_FILTER`. Nothing is loaded: it looks at
/// the flags before it finds that there is no filter.
pub fn seccomp_knows(flags: u32) -> bool {
    let none = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: a null pointer is no filter: the kernel answers EFAULT.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, none) };
    result < 0 && Errno::last() == Errno::EFAULT
}

/// Puts the calling process under a filter (seccomp(2), `SECCOMP_SET_MODE_FILTER`).
///
/// `program` is an array of `struct sock_filter` as bytes, in the host's byte order. The caller
/// needs `CAP_SYS_ADMIN` or no_new_privs. With `SECCOMP_FILTER_FLAG_NEW_LISTENER` in `flags` the
/// notification descriptor is returned.
pub fn seccomp_set_filter(program: &[u8], flags: u32) -> Result<Option<OwnedFd>> {
    let size = std::mem::size_of::<libc::sock_filter>();
    let Ok(len) = u16::try_from(program.len() / size) else {
        return Err(Error::new("seccomp", format!("{} bytes", program.len()), Errno::EINVAL));
    };
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `program` points to `len` instructions that outlive the call, and the kernel only
    // copies them, at any alignment.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    match result {
        0 => Ok(None),
        // SAFETY: a positive result is a new listener descriptor that nobody owns yet.
        fd if fd > 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })),
        _ => Err(Error::last("seccomp", format!("SET_MODE_FILTER of {len} instructions"))),
    }
}
