//! What a process is: its ids, capabilities, limits, keyring, signals, and the program it becomes.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::{Error, Result};

/// The highest capability that has a name in this program (`CAP_CHECKPOINT_RESTORE`, Linux 5.9).
pub const LAST_CAPABILITY: u8 = 40;

fn prctl(call: &'static str, option: i32, arguments: [u64; 2]) -> Result<i32> {
    // SAFETY: only options that take numbers are passed by the functions of this module.
    let result = unsafe { libc::prctl(option, arguments[0], arguments[1], 0u64, 0u64) };
    if result < 0 {
        return Err(Error::last(call, arguments[0].to_string()));
    }
    Ok(result)
}

/// Forbids gaining privileges by execve (prctl(2), `PR_SET_NO_NEW_PRIVS`).
pub fn set_no_new_privileges() -> Result<()> {
    prctl("prctl PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS, [1, 0]).map(|_| ())
}

/// Whether others may look into the process (prctl(2), `PR_SET_DUMPABLE`).
pub fn set_dumpable(on: bool) -> Result<()> {
    prctl("prctl PR_SET_DUMPABLE", libc::PR_SET_DUMPABLE, [on.into(), 0]).map(|_| ())
}

/// Keeps the permitted set when all user ids leave 0 (prctl(2), `PR_SET_KEEPCAPS`).
pub fn keep_capabilities(on: bool) -> Result<()> {
    prctl("prctl PR_SET_KEEPCAPS", libc::PR_SET_KEEPCAPS, [on.into(), 0]).map(|_| ())
}

/// The signal that the process gets when its parent ends; 0: none (`PR_SET_PDEATHSIG`).
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    prctl("prctl PR_SET_PDEATHSIG", libc::PR_SET_PDEATHSIG, [signal as u64, 0]).map(|_| ())
}

/// Drops every capability from the bounding set that `keep` lacks (`PR_CAPBSET_DROP`).
///
/// Capabilities that only a newer kernel knows are dropped, too.
pub fn drop_bounding(keep: u64) -> Result<()> {
    for capability in 0..64u64 {
        if keep & (1 << capability) != 0 {
            continue;
        }
        match prctl("prctl PR_CAPBSET_DROP", libc::PR_CAPBSET_DROP, [capability, 0]) {
            Ok(_) => {}
            // Past the kernel's last one.
            Err(error) if error.errno == Errno::EINVAL => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Empties the ambient set (`PR_CAP_AMBIENT_CLEAR_ALL`, Linux 4.3).
pub fn clear_ambient() -> Result<()> {
    let operation = libc::PR_CAP_AMBIENT_CLEAR_ALL as u64;
    match prctl("prctl PR_CAP_AMBIENT_CLEAR_ALL", libc::PR_CAP_AMBIENT, [operation, 0]) {
        Err(error) if error.errno != Errno::EINVAL => Err(error),
        _ => Ok(()),
    }
}

/// Raises one capability in the ambient set; it must be permitted and inheritable.
pub fn raise_ambient(capability: u8) -> Result<()> {
    let operation = libc::PR_CAP_AMBIENT_RAISE as u64;
    let arguments = [operation, capability.into()];
    prctl("prctl PR_CAP_AMBIENT_RAISE", libc::PR_CAP_AMBIENT, arguments)
        .map_err(|error| Error { object: format!("capability {capability}"), ..error })
        .map(|_| ())
}

/// The three sets of capset(2), bit N for capability N.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilitySets {
    /// Effective set.
    pub effective: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Inheritable set.
    pub inheritable: u64,
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Sets the calling process's capability sets (capset(2)).
pub fn set_capabilities(sets: CapabilitySets) -> Result<()> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let word = |half: u32| {
        [sets.effective, sets.permitted, sets.inheritable].map(|set| (set >> (32 * half)) as u32)
    };
    let data = [word(0), word(1)];
    // SAFETY: the header is of version 3, for which the kernel reads two triples.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    if result < 0 {
        return Err(Error::last("capset", format!("permitted {:#x}", sets.permitted)));
    }
    Ok(())
}

/// The calling process's permitted set (capget(2)): what it can give to others.
pub fn permitted_capabilities() -> Result<u64> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [[0u32; 3]; 2];
    // SAFETY: the header is of version 3, for which the kernel writes two triples.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) };
    if result < 0 {
        return Err(Error::last("capget", ""));
    }
    let [[_, low, _], [_, high, _]] = data;
    Ok(u64::from(high) << 32 | u64::from(low))
}

/// Sets all user and group ids (setresuid(2), setresgid(2)); supplementary groups are untouched.
///
/// The raw calls, which concern the calling thread: there is only one.
pub fn set_ids(uid: u32, gid: u32) -> Result<()> {
    // SAFETY: the call takes plain numbers.
    if unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) } < 0 {
        return Err(Error::last("setresgid", gid.to_string()));
    }
    // SAFETY: the call takes plain numbers.
    if unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) } < 0 {
        return Err(Error::last("setresuid", uid.to_string()));
    }
    Ok(())
}

/// Sends a signal to the process that has this number (kill(2)), 0 to none: `signal` is a number, since
/// realtime signals have no name.
pub fn kill(pid: Pid, signal: i32) -> Result<()> {
    // SAFETY: the call takes plain numbers.
    if unsafe { libc::kill(pid.as_raw(), signal) } < 0 {
        return Err(Error::last("kill", pid.to_string()));
    }
    Ok(())
}

/// Sets the supplementary groups (setgroups(2)).
///
/// The raw call: a C library's has all threads make it, and asks and tells its signals for that.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the list is valid for as many group ids as are named.
    if unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) } < 0 {
        return Err(Error::last("setgroups", format!("{groups:?}")));
    }
    Ok(())
}

/// Sets one resource limit of a process (prlimit(2)); `u64::MAX` means no limit.
pub fn set_rlimit(pid: Pid, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let none = std::ptr::null::<libc::rlimit64>();
    // SAFETY: `limit` is the kernel's rlimit64, and no old value is asked for.
    let result = unsafe {
        libc::syscall(libc::SYS_prlimit64, pid.as_raw(), resource, &raw const limit, none)
    };
    if result < 0 {
        return Err(Error::last("prlimit", format!("{resource}: {soft}:{hard}")));
    }
    Ok(())
}

/// Joins a new session keyring of that name (keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`) and lets its
/// owner search it; returns its serial number.
pub fn join_session_keyring(name: &CStr) -> Result<i32> {
    // SAFETY: `name` is a terminated string that outlives the call.
    let serial = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING as libc::c_long,
            name.as_ptr(),
        )
    };
    if serial < 0 {
        return Err(Error::last("keyctl JOIN_SESSION_KEYRING", name.to_string_lossy()));
    }
    Ok(serial as i32)
}

/// Sets the NIS domain name of the UTS namespace (setdomainname(2)).
pub fn set_domain_name(name: &str) -> Result<()> {
    // SAFETY: `name` is valid for as many bytes as are named.
    let result = unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) };
    if result < 0 {
        return Err(Error::last("setdomainname", name));
    }
    Ok(())
}

/// Gives the calling process the signal state of a fresh one: none blocked, and the default action for
/// each. Ignoring outlives execve(2): SIGPIPE, which a program's start ignores, and what the caller did,
/// such as SIGHUP under nohup(1), would be ignored in the container.
pub fn reset_signals() -> Result<()> {
    unblock_signals().map_err(|_| Error::last("sigprocmask", ""))?;
    let all = libc::SIGHUP..=libc::SIGSYS;
    for signal in all.filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: the default action is no function of this program.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(Error::last("signal", signal.to_string()));
        }
    }
    Ok(())
}

/// Has a program that is started find no signal blocked, whichever this process holds back.
pub fn unblock_signals_of(command: &mut std::process::Command) {
    // SAFETY: between fork and execve it only makes one call, which allocates nothing.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, unblock_signals) };
}

/// One call, which allocates nothing.
fn unblock_signals() -> std::io::Result<()> {
    // SAFETY: sigset_t is plain data, and zeroed it is the empty set.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `none` is a valid set, and the old one is not asked for.
    match unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// A program with its arguments and environment, ready for execve(2): nothing is allocated between
/// a filter that may forbid it and the call.
#[derive(Debug)]
pub struct Exec {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    argument_pointers: Vec<*const libc::c_char>,
    environment_pointers: Vec<*const libc::c_char>,
}

impl Exec {
    /// Prepares the execution of the program at `path`.
    pub fn new(path: CString, arguments: Vec<CString>, environment: Vec<CString>) -> Self {
        let pointers = |strings: &[CString]| {
            strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let argument_pointers = pointers(&arguments);
        let environment_pointers = pointers(&environment);
        Exec { path, arguments, environment, argument_pointers, environment_pointers }
    }

    /// What the program finds in its environment.
    pub fn environment(&self) -> &[CString] {
        &self.environment
    }

    /// Becomes the program; returns only when that failed.
    pub fn exec(&self) -> Result<Infallible> {
        debug_assert_eq!(self.arguments.len() + 1, self.argument_pointers.len());
        debug_assert_eq!(self.environment.len() + 1, self.environment_pointers.len());
        // SAFETY: both arrays end in a null pointer and point to strings that `self` owns; a
        // CString's bytes stay where they are when the vector that owns it moves.
        unsafe {
            libc::execve(
                self.path.as_ptr(),
                self.argument_pointers.as_ptr(),
                self.environment_pointers.as_ptr(),
            )
        };
        Err(Error::last("execve", self.path.to_string_lossy()))
    }

    /// Becomes the program behind a descriptor (execveat(2), `AT_EMPTY_PATH`); the path is unused.
    pub fn exec_fd(&self, program: BorrowedFd<'_>) -> Result<Infallible> {
        // SAFETY: as in `exec`; the path is the empty, terminated string.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                program.as_raw_fd(),
                c"".as_ptr(),
                self.argument_pointers.as_ptr(),
                self.environment_pointers.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        Err(Error::last("execveat", self.path.to_string_lossy()))
    }
}
