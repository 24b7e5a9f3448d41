//! Scheduling, I/O priority, memory policy and execution domain of the calling process.

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
    }
    let size = std::mem::size_of::<SchedAttr>() as u32;
    let attr = SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period };
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

/// Sets the calling process's NUMA policy (set_mempolicy(2)): `nodes` is a bit mask in words.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> Result<()> {
    // The kernel reads one bit fewer than it is told.
    let bits = nodes.len() * 64 + 1;
    // SAFETY: `nodes` holds as many words as `bits` names.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes.as_ptr(), bits) };
    if result < 0 {
        return Err(Error::last("set_mempolicy", format!("mode {mode}")));
    }
    Ok(())
}

/// Sets the execution domain (personality(2)).
pub fn set_personality(domain: u64) -> Result<()> {
    // SAFETY: the call takes a plain number.
    let result = unsafe { libc::personality(domain as _) };
    if result < 0 {
        return Err(Error::last("personality", format!("{domain:#x}")));
    }
    Ok(())
}
