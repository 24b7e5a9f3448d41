//! A process by its number, so that a number that was given to another is never mistaken for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use plan::NamespaceKind;
use sys::{Clone3, Context};

use crate::error::Result;

/// What `/proc/PID/stat` says of a process (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// Field 3, such as `R` or `Z`.
    pub(crate) state: u8,
    /// Field 22: when it started, in clock ticks since boot.
    pub(crate) start_time: u64,
}

impl ProcessStat {
    /// Whether nothing of it runs any more, waited for or not.
    fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// Asks about a process; `None` if there is none.
pub(crate) fn stat(pid: i32) -> Result<Option<ProcessStat>> {
    let path = format!("/proc/{pid}/stat");
    Ok(read_stat(AT_FDCWD, &path).at("read", path)?)
}

fn read_stat(directory: BorrowedFd<'_>, path: &str) -> nix::Result<Option<ProcessStat>> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    // A line of some 300 bytes, which procfs gives in one piece.
    let mut line = [0; 4096];
    let read = openat(directory, path, flags, Mode::empty())
        .and_then(|file| nix::unistd::read(&file, &mut line));
    match read {
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        other => Ok(parse(line.get(..other?).unwrap_or_default())),
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
    let is_it = |found: &ProcessStat| found.start_time == start_time && !found.has_ended();
    Ok(stat(pid)?.filter(is_it))
}

/// Whether the process still runs.
pub(crate) fn is_alive(pid: i32, start_time: u64) -> Result<bool> {
    Ok(living(pid, start_time)?.is_some())
}

/// Who returned from [`clone`].
#[derive(Debug)]
pub(crate) enum Forked {
    /// The caller, with the new process.
    Parent(Process),
    /// The new process.
    Child,
}

/// Makes a child ([`sys::clone3`]).
pub(crate) fn clone(request: Clone3<'_>) -> Result<Forked> {
    Ok(match sys::clone3(request)? {
        sys::Forked::Child => Forked::Child,
        sys::Forked::Parent { pid, pidfd: Some(pidfd) } => {
            Forked::Parent(Process { pid, handle: Handle::Pidfd(pidfd) })
        }
        sys::Forked::Parent { pid, pidfd: None } => match Process::of_child(pid) {
            Ok(process) => Forked::Parent(process),
            Err(error) => {
                // The first error is on its way to the user; nobody has waited for the child yet.
                let _ = sys::kill(pid, Signal::SIGKILL as i32);
                let _ = reap(pid);
                return Err(error);
            }
        },
    })
}

/// A process that is never taken for another which got its number later.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    /// pidfd_open(2), Linux 5.3.
    Pidfd(OwnedFd),
    /// Without that its directory in procfs: once it has ended nothing is found in that any more,
    /// whoever has the number. Between a look into it and a signal to the number a moment is left.
    Directory(OwnedFd),
}

impl Process {
    /// The process that has this number, and started then, if it still runs.
    pub(crate) fn open(pid: i32, start_time: u64) -> Result<Option<Process>> {
        if pid <= 0 {
            return Ok(None);
        }
        // First the descriptor, then the question: what answers is what was opened.
        let Some(process) = Process::find(Pid::from_raw(pid))? else { return Ok(None) };
        Ok(is_alive(pid, start_time)?.then_some(process))
    }

    /// A child that nobody has waited for yet, or another process that can't end now.
    pub(crate) fn of_child(pid: Pid) -> Result<Process> {
        let gone = || sys::Error::new("pidfd_open", pid.to_string(), Errno::ESRCH);
        Ok(Process::find(pid)?.ok_or_else(gone)?)
    }

    /// The process that has this number now.
    pub(crate) fn find(pid: Pid) -> std::result::Result<Option<Process>, sys::Error> {
        let handle = match sys::pidfd_open(pid) {
            Ok(pidfd) => Ok(Handle::Pidfd(pidfd)),
            // Kernels before 5.3, and filters that don't know the call.
            Err(error) if matches!(error.errno, Errno::ENOSYS | Errno::EPERM) => {
                directory(pid).map(Handle::Directory)
            }
            Err(error) => Err(error),
        };
        match handle {
            Err(error) if matches!(error.errno, Errno::ESRCH | Errno::ENOENT) => Ok(None),
            other => Ok(Some(Process { pid, handle: other? })),
        }
    }

    /// Its number, in this process's pid namespace.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Its descriptor, to give it to another or to take something out of it; before Linux 5.3 none has.
    pub(crate) fn pidfd(&self) -> Result<BorrowedFd<'_>> {
        match &self.handle {
            Handle::Pidfd(pidfd) => Ok(pidfd.as_fd()),
            Handle::Directory(_) => {
                Err(sys::Error::new("pidfd_open", self.pid.to_string(), Errno::ENOSYS).into())
            }
        }
    }

    /// What has to stay open for it to be used, in a process that closes what isn't needed.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        match &self.handle {
            Handle::Pidfd(fd) | Handle::Directory(fd) => fd.as_fd(),
        }
    }

    /// Sends it a signal; `ESRCH` if it has ended and was waited for.
    pub(crate) fn signal(&self, signal: i32) -> std::result::Result<(), sys::Error> {
        match &self.handle {
            Handle::Pidfd(pidfd) => match sys::pidfd_send_signal(pidfd.as_fd(), signal) {
                Err(error) if error.errno == Errno::ENOSYS => {}
                other => return other,
            },
            Handle::Directory(_) => {}
        }
        if self.stat().at("kill", self.pid.to_string())?.is_none() {
            return Err(sys::Error::new("kill", self.pid.to_string(), Errno::ESRCH));
        }
        sys::kill(self.pid, signal)
    }

    /// What its directory says; `None` once it was waited for.
    fn stat(&self) -> nix::Result<Option<ProcessStat>> {
        match &self.handle {
            Handle::Directory(directory) => read_stat(directory.as_fd(), "stat"),
            // The number is its own for as long as its descriptor isn't at its end.
            Handle::Pidfd(_) => read_stat(AT_FDCWD, &format!("/proc/{}/stat", self.pid)),
        }
    }

    /// Waits for its end, for one of `others`, or until it is time (poll(2)); whether it has ended.
    pub(crate) fn poll<'p>(
        &'p self,
        others: &mut [PollFd<'p>],
        timeout: PollTimeout,
    ) -> nix::Result<bool> {
        let pidfd = match &self.handle {
            Handle::Pidfd(pidfd) => PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
            Handle::Directory(_) => return self.look_again(others, timeout),
        };
        let mut polled: Vec<PollFd<'_>> = others.iter().cloned().chain([pidfd]).collect();
        poll(&mut polled, timeout)?;
        let ended = polled.pop().is_some_and(|pidfd| pidfd.any().unwrap_or(false));
        others.iter_mut().zip(polled).for_each(|(other, polled)| *other = polled);
        Ok(ended)
    }

    /// The same where its end can't be polled: looks again after pauses.
    fn look_again(&self, others: &mut [PollFd<'_>], timeout: PollTimeout) -> nix::Result<bool> {
        // (PollTimeout::as_millis panics where there is no timeout.)
        let mut left = u32::try_from(i32::from(timeout)).ok();
        loop {
            let ended = self.stat()?.is_none_or(|stat| stat.has_ended());
            let pause = if ended { 0 } else { left.map_or(PAUSE, |left| left.min(PAUSE)) };
            let ready = poll(others, PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO))?;
            left = left.map(|left| left - left.min(pause));
            if ended || ready > 0 || left == Some(0) {
                return Ok(ended);
            }
        }
    }

    /// Waits until it has ended; it need not be a child. `false` if it took too long.
    pub(crate) fn wait_for_end(&self, timeout: PollTimeout) -> Result<bool> {
        loop {
            match self.poll(&mut [], timeout) {
                Err(Errno::EINTR) => {}
                other => return Ok(other.at("poll", "pidfd")?),
            }
        }
    }

    /// Reaps it, a child, and says how it ended as a shell does: its status, or 128 and the signal.
    pub(crate) fn reap(&self) -> Result<i32> {
        reap(self.pid)
    }

    /// Ends it, a child, and reaps it.
    pub(crate) fn end(&self) {
        // The first error is on its way to the user.
        let _ = self.signal(Signal::SIGKILL as i32);
        let _ = self.reap();
    }

    /// Enters its namespaces of these kinds.
    pub(crate) fn enter(&self, kinds: CloneFlags) -> Result<()> {
        let Handle::Pidfd(pidfd) = &self.handle else {
            return self.enter_each(kinds);
        };
        match setns(pidfd, kinds) {
            // Before Linux 5.8 it takes no process.
            Err(Errno::EINVAL) => self.enter_each(kinds),
            other => Ok(other.at("setns", "container init")?),
        }
    }

    /// The same, one after another: what belongs to a user namespace is joined with root's power over that,
    /// and by another than root from inside it.
    fn enter_each(&self, kinds: CloneFlags) -> Result<()> {
        let directory = match &self.handle {
            Handle::Directory(directory) => directory.try_clone().at("dup", "container init")?,
            Handle::Pidfd(_) => directory(self.pid)?,
        };
        let mut files = Vec::new();
        for kind in NamespaceKind::ALL {
            let flag = CloneFlags::from_bits_retain(kind.clone_flag() as i32);
            if kinds.contains(flag) {
                let path = format!("ns/{}", kind.file());
                let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
                let file = openat(&directory, path.as_str(), flags, Mode::empty());
                files.push((kind, flag, file.at("open", format!("/proc/{}/{path}", self.pid))?));
            }
        }
        if let Handle::Pidfd(pidfd) = &self.handle {
            // What was opened by the number was its own if it still runs.
            sys::pidfd_send_signal(pidfd.as_fd(), 0)?;
        }
        let root = nix::unistd::geteuid().is_root();
        files.sort_by_key(|(kind, ..)| (*kind == NamespaceKind::User) == root);
        for (kind, flag, file) in files {
            setns(file, flag).at("setns", format!("container init, {}", kind.file()))?;
        }
        Ok(())
    }
}

/// How long nobody looks whether a process has ended whose end can't be polled, in milliseconds.
const PAUSE: u32 = 10;

/// A process's directory in procfs.
fn directory(pid: Pid) -> std::result::Result<OwnedFd, sys::Error> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let path = format!("/proc/{pid}");
    openat(AT_FDCWD, path.as_str(), flags, Mode::empty()).at("open", path)
}

fn reap(pid: Pid) -> Result<i32> {
    loop {
        match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::__WALL) {
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
    fn a_directory_does_what_a_descriptor_does() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        let by = |handle| Process { pid, handle };
        let both = [
            by(Handle::Pidfd(sys::pidfd_open(pid).unwrap())),
            by(Handle::Directory(directory(pid).unwrap())),
        ];
        for process in &both {
            process.signal(0).unwrap();
            assert!(!process.wait_for_end(PollTimeout::from(30u16)).unwrap());
        }
        child.kill().unwrap();
        for process in &both {
            assert!(process.wait_for_end(PollTimeout::NONE).unwrap());
            // A zombie may still be sent signals.
            process.signal(0).unwrap();
        }
        child.wait().unwrap();
        for process in &both {
            assert!(process.wait_for_end(PollTimeout::NONE).unwrap());
            assert_eq!(process.signal(0).unwrap_err().errno, Errno::ESRCH);
        }
    }

    #[test]
    fn a_name_with_parentheses_confuses_nobody() {
        let line = b"7 (a) R (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9\n";
        assert_eq!(parse(line), Some(ProcessStat { state: b'S', start_time: 4711 }));
    }
}
