//! Runs a command under ptrace(2) and, at one system call of one of its processes, ends processes or
//! makes the call fail.
//!
//! A process is traced from its first call on: the command's own from its execve, the others from
//! their birth until they become another program, which is the container's and not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, raise, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Result;
use crate::calls::{self, Object};

/// The first word of a command line that asks this program to be traced, and then to be another one.
pub(crate) const DOOR: &str = "--be-traced";
/// No command takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// What nix calls `PTRACE_EVENT_STOP`.
const EVENT_STOP: i32 = 128;

/// A process of a command, in the order of their births; for `start` the container's init is the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Role(pub(crate) usize);

impl Role {
    /// The command itself.
    pub(crate) const PARENT: Role = Role(0);
    const NAMES: [&str; 3] = ["parent", "child", "second"];

    /// The role with this name.
    pub(crate) fn parse(name: &str) -> Option<Role> {
        Role::NAMES.iter().position(|known| *known == name).map(Role)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Role::NAMES.get(self.0).unwrap_or(&"further"))
    }
}

/// What is done at a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// SIGKILL to the processes in these roles, before the call.
    Kill(Vec<Role>),
    /// The call isn't made, but for close(2), and fails with this.
    Fail(Errno),
    /// SIGSTOP to the process, behind the call. From there on nobody is traced.
    Stop,
}

/// Where what is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// Whose call.
    pub(crate) caller: Role,
    /// Which one, from 0.
    pub(crate) index: usize,
    /// What is done there.
    pub(crate) act: Act,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a status.
    Exited(i32),
    /// By a signal.
    Killed(Signal),
    /// Not in time: it was killed.
    Hung,
    /// It goes on, or stands still.
    Left,
}

/// What was seen of a command.
#[derive(Debug)]
pub(crate) struct Traced {
    /// How it ended.
    pub(crate) ended: Ended,
    /// The call at the point, with its object; nothing if it was not reached.
    pub(crate) hit: Option<String>,
    /// The numbers of all calls, up to the point.
    pub(crate) calls: BTreeMap<Role, Vec<i64>>,
    /// The command, if it has not ended.
    pub(crate) left: Option<Child>,
}

/// Becomes the program in `words`, once somebody traces this process.
pub(crate) fn be_traced(words: &[String]) -> ExitCode {
    let Some((program, arguments)) = words.split_first() else { return ExitCode::from(2) };
    let stopped = raise(Signal::SIGSTOP);
    let error = Command::new(program).args(arguments).exec();
    eprintln!("sweep: {program}: {error} {stopped:?}");
    ExitCode::from(2)
}

/// Holds SIGCHLD back for [`Tracer::wait`], once for the whole program. Children have it back.
pub(crate) fn hold_child_signals() -> Result<SignalFd> {
    let mut child = SigSet::empty();
    child.add(Signal::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&child), None).map_err(|e| e.to_string())?;
    SignalFd::with_flags(&child, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|e| format!("signalfd: {e}"))
}

/// Runs `command`, whose first word is this program and its second [`DOOR`], and does what `point`
/// says. `init` is traced with it, as the child.
pub(crate) fn run(
    command: &mut Command,
    init: Option<i32>,
    point: Option<&Point>,
    signals: &SignalFd,
) -> Result<Traced> {
    let child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let parent = Pid::from_raw(i32::try_from(child.id()).map_err(|e| e.to_string())?);
    let traced = Traced { ended: Ended::Hung, hit: None, calls: BTreeMap::new(), left: None };
    let deadline = Instant::now() + PATIENCE;
    let mut tracer = Tracer {
        parent,
        started: false,
        free: false,
        born: 0,
        tracees: BTreeMap::new(),
        point,
        signals,
        deadline,
        traced,
    };
    waitpid(parent, Some(WaitPidFlag::WUNTRACED)).map_err(|e| format!("waitpid: {e}"))?;
    tracer.seize(parent)?;
    if let Some(init) = init {
        tracer.seize(Pid::from_raw(init))?;
        ptrace::interrupt(Pid::from_raw(init)).map_err(|e| format!("interrupt: {e}"))?;
    }
    kill(parent, Signal::SIGCONT).map_err(|e| format!("kill: {e}"))?;
    tracer.follow()?;
    tracer.let_go();
    let mut traced = tracer.traced;
    traced.left = Some(child).filter(|_| traced.ended == Ended::Left);
    Ok(traced)
}

struct Tracee {
    role: Role,
    /// Between a call's entry and its exit.
    inside: bool,
    failing: Option<Errno>,
}

struct Tracer<'t> {
    parent: Pid,
    /// The command is itself by now.
    started: bool,
    /// Calls are no longer looked at.
    free: bool,
    born: usize,
    tracees: BTreeMap<Pid, Tracee>,
    point: Option<&'t Point>,
    signals: &'t SignalFd,
    deadline: Instant,
    traced: Traced,
}

impl Tracer<'_> {
    fn seize(&mut self, pid: Pid) -> Result<()> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).map_err(|e| format!("seize {pid}: {e}"))?;
        self.adopt(pid);
        Ok(())
    }

    fn adopt(&mut self, pid: Pid) {
        let born = &mut self.born;
        self.tracees.entry(pid).or_insert_with(|| {
            let role = Role(*born);
            *born += 1;
            Tracee { role, inside: false, failing: None }
        });
    }

    /// Until the command has ended, and a call that was made to fail has failed.
    fn follow(&mut self) -> Result<()> {
        let mut ended = false;
        let is_failing = |tracee: &Tracee| tracee.failing.is_some();
        while self.traced.ended != Ended::Left && (!ended || self.tracees.values().any(is_failing))
        {
            match self.wait()? {
                None => {
                    self.traced.ended = Ended::Hung;
                    return Ok(());
                }
                Some(WaitStatus::Exited(pid, status)) => {
                    ended |= self.has_ended(pid, Ended::Exited(status));
                }
                Some(WaitStatus::Signaled(pid, signal, _)) => {
                    ended |= self.has_ended(pid, Ended::Killed(signal));
                }
                Some(WaitStatus::PtraceSyscall(pid)) => self.at_call(pid)?,
                Some(WaitStatus::PtraceEvent(pid, _, event)) => self.at_event(pid, event),
                Some(WaitStatus::Stopped(pid, signal)) => self.resume(pid, Some(signal)),
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn has_ended(&mut self, pid: Pid, how: Ended) -> bool {
        self.tracees.remove(&pid);
        if pid == self.parent {
            self.traced.ended = how;
        }
        pid == self.parent
    }

    /// The next that a process has to say; nothing after the deadline.
    fn wait(&self) -> Result<Option<WaitStatus>> {
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {}
                Ok(status) => return Ok(Some(status)),
                // A signal that nix has no name for.
                Err(Errno::EINVAL) => continue,
                Err(errno) => return Err(format!("waitpid: {errno}")),
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            let mut polled = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(format!("poll: {errno}")),
            }
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
    }

    /// Lets a stopped process go on. One that was killed meanwhile will say so itself.
    fn resume(&self, pid: Pid, signal: Option<Signal>) {
        let _ = match self.started && !self.free {
            true => ptrace::syscall(pid, signal),
            false => ptrace::cont(pid, signal),
        };
    }

    fn at_event(&mut self, pid: Pid, event: i32) {
        if event == Event::PTRACE_EVENT_EXEC as i32 {
            match self.tracees.get_mut(&pid) {
                // What comes next is the exit of its execve.
                Some(tracee) if tracee.role == Role::PARENT => tracee.inside = true,
                _ => {
                    self.tracees.remove(&pid);
                    let _ = ptrace::detach(pid, None);
                    return;
                }
            }
            self.started = true;
        } else if let Some(new) = newborn(pid, event) {
            self.adopt(new);
        } else if event == EVENT_STOP {
            // The first that is heard of a process may be its own stop, before its parent's word.
            self.adopt(pid);
        }
        self.resume(pid, None);
    }

    fn at_call(&mut self, pid: Pid) -> Result<()> {
        let Some(tracee) = self.tracees.get_mut(&pid) else {
            self.resume(pid, None);
            return Ok(());
        };
        tracee.inside = !tracee.inside;
        if !tracee.inside {
            if let Some(errno) = tracee.failing.take() {
                answer(pid, errno);
                self.free = true;
            }
            self.resume(pid, None);
            return Ok(());
        }
        let role = tracee.role;
        // One that was killed meanwhile has no registers.
        let Ok(registers) = ptrace::getregs(pid) else { return Ok(()) };
        let number = registers.orig_rax as i64;
        let calls = self.traced.calls.entry(role).or_default();
        calls.push(number);
        let index = calls.len() - 1;
        let here = |point: &&Point| point.caller == role && point.index == index;
        if let Some(point) = self.point.filter(here).filter(|_| self.traced.hit.is_none()) {
            self.traced.hit = Some(describe(pid, &registers));
            self.act(pid, &point.act)?;
        }
        self.resume(pid, None);
        Ok(())
    }

    fn act(&mut self, pid: Pid, act: &Act) -> Result<()> {
        match act {
            Act::Kill(victims) => {
                self.free = true;
                for (pid, tracee) in &self.tracees {
                    if victims.contains(&tracee.role) {
                        let _ = kill(*pid, Signal::SIGKILL);
                    }
                }
            }
            Act::Stop => {
                self.traced.ended = Ended::Left;
                self.tracees.remove(&pid);
                let stopped = kill(pid, Signal::SIGSTOP).and_then(|()| ptrace::detach(pid, None));
                stopped.map_err(|errno| format!("stop: {errno}"))?;
            }
            Act::Fail(errno) => {
                let mut registers = ptrace::getregs(pid).map_err(|e| format!("getregs: {e}"))?;
                // The one call that has done its work also when it says that it has not (close(2)).
                if registers.orig_rax != libc::SYS_close as u64 {
                    registers.orig_rax = u64::MAX;
                    ptrace::setregs(pid, registers).map_err(|e| format!("setregs: {e}"))?;
                }
                if let Some(tracee) = self.tracees.get_mut(&pid) {
                    tracee.failing = Some(*errno);
                }
            }
        }
        Ok(())
    }

    /// Of what goes on without the command; what hangs is ended.
    fn let_go(&mut self) {
        let hung = self.traced.ended == Ended::Hung;
        let mut seen: BTreeSet<Pid> = std::mem::take(&mut self.tracees).into_keys().collect();
        let mut left: Vec<Pid> = seen.iter().copied().collect();
        while let Some(pid) = left.pop() {
            if hung {
                let _ = kill(pid, Signal::SIGKILL);
            } else {
                let _ = ptrace::interrupt(pid);
            }
            while let Ok(status) = waitpid(pid, Some(WaitPidFlag::__WALL)) {
                let signal = match status {
                    WaitStatus::Exited(..) | WaitStatus::Signaled(..) => break,
                    WaitStatus::Stopped(_, signal) => Some(signal),
                    // At this very moment it has made another, which is traced as well.
                    WaitStatus::PtraceEvent(_, _, event) => {
                        left.extend(newborn(pid, event).filter(|new| seen.insert(*new)));
                        None
                    }
                    _ => None,
                };
                if !hung && ptrace::detach(pid, signal).is_ok() {
                    break;
                }
            }
        }
    }
}

/// The process that another has made, if that is the event at which it stands.
fn newborn(pid: Pid, event: i32) -> Option<Pid> {
    let births = [Event::PTRACE_EVENT_CLONE, Event::PTRACE_EVENT_FORK, Event::PTRACE_EVENT_VFORK];
    if !births.iter().any(|birth| *birth as i32 == event) {
        return None;
    }
    let new = ptrace::getevent(pid).ok()?;
    i32::try_from(new).ok().map(Pid::from_raw)
}

/// Makes a call that was not made look as if it had failed.
fn answer(pid: Pid, errno: Errno) {
    if let Ok(mut registers) = ptrace::getregs(pid) {
        registers.rax = -i64::from(errno as i32) as u64;
        let _ = ptrace::setregs(pid, registers);
    }
}

/// The call that a process is about to make.
fn describe(pid: Pid, registers: &libc::user_regs_struct) -> String {
    let number = registers.orig_rax as i64;
    let Some(call) = calls::by_number(number) else {
        return format!("call-{number}");
    };
    let r = registers;
    let argument = |at: usize| [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9].get(at).copied();
    let object = match call.object {
        Object::Path(at) => argument(at).and_then(|address| text_at(pid, address)),
        Object::File(at) => argument(at).and_then(|fd| file_at(pid, fd)),
        Object::None => None,
    };
    object.map_or_else(|| call.name().to_owned(), |object| format!("{} {object}", call.name()))
}

fn text_at(pid: Pid, address: u64) -> Option<String> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut bytes = [0; 256];
    // Up to the end of the page, if there is nothing behind it.
    let first = usize::try_from(4096 - address % 4096).ok()?.min(256);
    let read = memory.read_at(&mut bytes, address).or_else(|_| {
        let first = bytes.get_mut(..first).unwrap_or_default();
        memory.read_at(first, address)
    });
    let read = read.ok()?;
    let text = bytes.get(..read)?.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned()).filter(|text| !text.is_empty())
}

fn file_at(pid: Pid, fd: u64) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{pid}/fd/{}", fd as i32)).ok()?;
    Some(link.to_string_lossy().into_owned())
}
