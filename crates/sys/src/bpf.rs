//! Device programs of cgroup v2 (bpf(2), `BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).
//!
//! Programs are attached beside others (`BPF_F_ALLOW_MULTI`), of which all must allow an access: a
//! manager such as systemd may have its own on the same cgroup. Names tell them apart.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::{Error, Result};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// How many programs a cgroup may have (`BPF_CGROUP_MAX_PROGS`).
const MOST_PROGRAMS: usize = 64;

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
    prog_name: [u8; 16],
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

#[repr(C)]
#[derive(Default)]
struct ProgQuery {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
}

#[repr(C)]
#[derive(Default)]
struct GetFd {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct ProgInfo {
    before: [u64; 8],
    name: [u8; 16],
}

/// bpf(2) with a request that is only read.
fn bpf<R>(command: libc::c_int, request: &R) -> libc::c_long {
    let size = std::mem::size_of::<R>();
    // SAFETY: `request` is valid for `size` bytes, and what it points to outlives the call.
    unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(request), size) }
}

/// bpf(2) with a request that the kernel answers in.
fn bpf_answered<R>(command: libc::c_int, request: &mut R) -> libc::c_long {
    let size = std::mem::size_of::<R>();
    // SAFETY: `request` is valid for `size` bytes, and so is what it points to, for as much as it
    // says; the kernel writes plain numbers there.
    unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size) }
}

fn owned(fd: libc::c_long, call: &'static str, object: impl Into<String>) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::last(call, object));
    }
    // SAFETY: the kernel returned a new descriptor, close-on-exec, that nobody owns yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Loads a device program: instructions as bytes. The name has at most 15 letters, digits, `_`, `.`.
pub fn load_device_program(instructions: &[u8], name: &str) -> Result<OwnedFd> {
    let mut request = ProgLoad {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: (instructions.len() / 8) as u32,
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..ProgLoad::default()
    };
    // The last byte ends the name.
    for (to, from) in request.prog_name.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    let object = || format!("device program of {} instructions", request.insn_cnt);
    owned(bpf(BPF_PROG_LOAD, &request), "bpf BPF_PROG_LOAD", object())
}

/// Attaches a device program to a cgroup v2 directory: in the place of `old`, without a moment in
/// which neither holds (`BPF_F_REPLACE`, Linux 5.6), or else beside those that are there.
pub fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    old: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let request = ProgAttach {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI | if old.is_some() { BPF_F_REPLACE } else { 0 },
        replace_bpf_fd: old.map_or(0, |old| old.as_raw_fd() as u32),
    };
    if bpf(BPF_PROG_ATTACH, &request) < 0 {
        return Err(Error::last("bpf BPF_PROG_ATTACH", "cgroup device program"));
    }
    Ok(())
}

/// Takes a device program off a cgroup v2 directory.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let request = ProgAttach {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        ..ProgAttach::default()
    };
    if bpf(BPF_PROG_DETACH, &request) < 0 {
        return Err(Error::last("bpf BPF_PROG_DETACH", "cgroup device program"));
    }
    Ok(())
}

/// The device programs that are attached to a cgroup v2 directory itself, with their names.
///
/// One that may not be looked at (an LSM's rule) or has gone meanwhile is left out: it can't be
/// ours. Takes `CAP_SYS_ADMIN`.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> Result<Vec<(String, OwnedFd)>> {
    let mut ids = [0_u32; MOST_PROGRAMS];
    let mut request = ProgQuery {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MOST_PROGRAMS as u32,
        ..ProgQuery::default()
    };
    if bpf_answered(BPF_PROG_QUERY, &mut request) < 0 {
        return Err(Error::last("bpf BPF_PROG_QUERY", "cgroup device programs"));
    }
    let mut programs = Vec::new();
    for id in ids.iter().take(request.prog_cnt as usize) {
        let request = GetFd { prog_id: *id, ..GetFd::default() };
        let object = format!("device program {id}");
        match owned(bpf(BPF_PROG_GET_FD_BY_ID, &request), "bpf BPF_PROG_GET_FD_BY_ID", object) {
            Ok(program) => programs.push((name(&program)?, program)),
            Err(Error { errno: Errno::EPERM | Errno::EACCES | Errno::ENOENT, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(programs)
}

fn name(program: &OwnedFd) -> Result<String> {
    let mut info = ProgInfo::default();
    let mut request = GetInfo {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: std::mem::size_of::<ProgInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    if bpf_answered(BPF_OBJ_GET_INFO_BY_FD, &mut request) < 0 {
        return Err(Error::last("bpf BPF_OBJ_GET_INFO_BY_FD", "cgroup device program"));
    }
    let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}
