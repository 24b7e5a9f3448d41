//! Programs for the kernel: the filter of system calls, and the device program of cgroup v2.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::{Error, Result};

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

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgAttach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// Loads a `BPF_PROG_TYPE_CGROUP_DEVICE` program (bpf(2), Linux 4.15): instructions as bytes.
pub fn load_device_program(instructions: &[u8]) -> Result<OwnedFd> {
    let request = ProgLoad {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: (instructions.len() / 8) as u32,
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..ProgLoad::default()
    };
    let size = std::mem::size_of::<ProgLoad>();
    // SAFETY: `request` is valid for `size` bytes, and what it points to outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const request, size) };
    if fd < 0 {
        let object = format!("device program of {} instructions", request.insn_cnt);
        return Err(Error::last("bpf BPF_PROG_LOAD", object));
    }
    // SAFETY: the kernel returned a new descriptor that nobody owns yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Attaches a device program to a cgroup v2 directory (bpf(2), `BPF_PROG_ATTACH`).
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let request = ProgAttach {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
        ..ProgAttach::default()
    };
    let size = std::mem::size_of::<ProgAttach>();
    // SAFETY: `request` is valid for `size` bytes.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const request, size) };
    if result < 0 {
        return Err(Error::last("bpf BPF_PROG_ATTACH", "cgroup device program"));
    }
    Ok(())
}
