//! Scheduling, CPUs, I/O priority, memory policy and execution domain of the calling process.

use crate::{Error, Result};

/// Sets the calling process's scheduling policy and attributes (sched_setattr(2), Linux 3.14).
///
/// The parameters are the fields of `struct sched_attr`; times are in nanoseconds.
pub fn set_scheduler(
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    [runtime, deadline, period]: [u64; 3],
) -> Result<()> {
    #[repr(C)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
        /// What `SCHED_FLAG_UTIL_CLAMP_*` (Linux 5.3) want, and older kernels take if it is 0.
        util_clamp: [u32; 2],
    }
    let size = std::mem::size_of::<SchedAttr>() as u32;
    let util_clamp = [0; 2];
    let attr =
        SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period, util_clamp };
    // SAFETY: `attr` is a sched_attr of the size that it names.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    if result < 0 {
        return Err(Error::last("sched_setattr", format!("policy {policy}")));
    }
    Ok(())
}

/// The classes of ioprio_set(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoClass {
    /// `IOPRIO_CLASS_RT`.
    RealTime = 1,
    /// `IOPRIO_CLASS_BE`.
    BestEffort = 2,
    /// `IOPRIO_CLASS_IDLE`.
    Idle = 3,
}

/// Sets the calling process's I/O priority: `level` 0 (first) to 7 (last).
pub fn set_io_priority(class: IoClass, level: u8) -> Result<()> {
    const WHO_PROCESS: i32 = 1;
    let value = (class as i32) << 13 | i32::from(level);
    // SAFETY: the call takes plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) };
    if result < 0 {
        return Err(Error::last("ioprio_set", format!("{class:?} {level}")));
    }
    Ok(())
}

/// Sets the CPUs that the calling process may run on (sched_setaffinity(2)): a bit mask in words, of
/// which the kernel takes as many as it has CPUs for.
pub fn set_cpus(mask: &[u64]) -> Result<()> {
    let size = size_of_val(mask);
    // SAFETY: `mask` is valid for `size` bytes.
    let result = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size, mask.as_ptr()) };
    if result < 0 {
        return Err(Error::last("sched_setaffinity", ""));
    }
    Ok(())
}

/// Sets the calling process's NUMA policy (set_mempolicy(2)): `mode` with its flags, and a bit mask of
/// nodes in words.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel reads one bit fewer than it is told.
    let bits = nodes.len() * 64 + 1;
    // SAFETY: `nodes` holds as many words as `bits` names.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes.as_ptr(), bits) };
    if result < 0 {
        return Err(Error::last("set_mempolicy", format!("mode {mode:#x}")));
    }
    Ok(())
}

/// Sets execution domain and flags (personality(2)).
pub fn set_personality(domain: u32) -> Result<()> {
    // SAFETY: the call takes a plain number.
    let result = unsafe { libc::personality(domain as _) };
    if result < 0 {
        return Err(Error::last("personality", format!("{domain:#x}")));
    }
    Ok(())
}
