//! A process by its number, so that a number that was given to another is never mistaken for it.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use sys::Context;

use crate::error::Result;

/// What `/proc/PID/stat` says of a process (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// Field 3, such as `R` or `Z`.
    pub(crate) state: u8,
    /// Field 22: when it started, in clock ticks since boot.
    pub(crate) start_time: u64,
}

/// Asks about a process; `None` if there is none.
pub(crate) fn stat(pid: i32) -> Result<Option<ProcessStat>> {
    let path = format!("/proc/{pid}/stat");
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    // A line of some 300 bytes, which procfs gives in one piece.
    let mut line = [0; 4096];
    let read = openat(AT_FDCWD, path.as_str(), flags, Mode::empty())
        .and_then(|file| nix::unistd::read(&file, &mut line));
    match read {
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        other => Ok(parse(line.get(..other.at("read", path)?).unwrap_or_default())),
    }
}

fn parse(stat: &[u8]) -> Option<ProcessStat> {
    // The name, in parentheses, may hold anything, parentheses and spaces included.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 2;
    let text = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = text.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(ProcessStat { state, start_time })
}

/// The process, if it still runs: the same one, and neither zombie nor dead.
pub(crate) fn living(pid: i32, start_time: u64) -> Result<Option<ProcessStat>> {
    if pid <= 0 {
        return Ok(None);
    }
    let is_it =
        |found: &ProcessStat| found.start_time == start_time && !matches!(found.state, b'Z' | b'X');
    Ok(stat(pid)?.filter(is_it))
}

/// Whether the process still runs.
pub(crate) fn is_alive(pid: i32, start_time: u64) -> Result<bool> {
    Ok(living(pid, start_time)?.is_some())
}

/// A descriptor for the process, if it still runs.
pub(crate) fn open(pid: i32, start_time: u64) -> Result<Option<OwnedFd>> {
    if pid <= 0 {
        return Ok(None);
    }
    // First the descriptor, then the question: what answers is what was opened.
    match sys::pidfd_open(Pid::from_raw(pid)) {
        Err(error) if error.errno == Errno::ESRCH => Ok(None),
        Err(error) => Err(error.into()),
        Ok(pidfd) => Ok(is_alive(pid, start_time)?.then_some(pidfd)),
    }
}

/// Waits until the process has ended; it need not be a child. `false` if it took too long.
pub(crate) fn wait_for_end(pidfd: &OwnedFd, timeout: PollTimeout) -> Result<bool> {
    loop {
        let mut polled = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Err(Errno::EINTR) => {}
            other => return Ok(other.at("poll", "pidfd")? > 0),
        }
    }
}

/// Reaps a child, and says how it ended as a shell does: its status, or 128 and the signal.
pub(crate) fn reap(pidfd: &OwnedFd) -> Result<i32> {
    loop {
        match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::__WALL) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, code)) => return Ok(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) => {}
            Err(errno) => return Ok(Err(errno).at("waitid", "")?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_confuses_nobody() {
        let line = b"7 (a) R (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9\n";
        assert_eq!(parse(line), Some(ProcessStat { state: b'S', start_time: 4711 }));
    }
}
