//! Who holds a container's lock, for `delete --force`, which waits for nobody for ever: a command whose
//! hook hangs, or whose process was stopped, or that was stopped itself.
//!
//! The kernel shows a lock with the open file that has it (proc_pid_fdinfo(5)), in each process that has
//! that file: the command, and a process that it has just cloned.

use std::time::{Duration, Instant};

use log::debug;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::error::{Error, Result};
use crate::messages;
use crate::process::{self, Process, ProcessStat};
use crate::store::{ContainerDir, Lock};

/// How long a command may take to see that what it waits for has ended, and to undo what it has begun.
const UNDOING: Duration = Duration::from_millis(200);
/// The same, once all that it has started has been ended.
const GIVING_UP: Duration = Duration::from_secs(2);
/// How long a killed process may take.
const DYING: Duration = Duration::from_secs(10);

/// Takes the lock from whoever has it. What is ended first is what the holder waits for, so that it undoes
/// what it has begun; only one that doesn't is ended itself. What it leaves is found by its record.
pub(crate) fn take_lock(dir: &ContainerDir) -> Result<Lock> {
    if let Some(lock) = lock_within(dir, UNDOING)? {
        return Ok(lock);
    }
    holders(dir).iter().for_each(Holder::interrupt);
    if let Some(lock) = lock_within(dir, GIVING_UP)? {
        return Ok(lock);
    }
    holders(dir).iter().for_each(Holder::end);
    lock_within(dir, DYING)?.ok_or(Error::State(messages::HELD))
}

fn lock_within(dir: &ContainerDir, patience: Duration) -> Result<Option<Lock>> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_micros(100);
    loop {
        match dir.try_lock()? {
            None if Instant::now() < deadline => std::thread::sleep(pause),
            tried => return Ok(tried),
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// A process that has the lock.
struct Holder(Process);

impl Holder {
    /// Ends what it waits for. One that was stopped undoes nothing.
    fn interrupt(&self) {
        match process::stat(self.pid()) {
            Ok(Some(ProcessStat { state: b'T', .. })) => self.end(),
            _ => self.end_children(),
        }
    }

    fn pid(&self) -> i32 {
        self.0.pid().as_raw()
    }

    /// Ends its hook, its stage, its init: whatever it has started.
    fn end_children(&self) {
        // First the handles, then the question once more: what answers is what was opened.
        let opened: Vec<Process> = children(self.pid()).into_iter().filter_map(open).collect();
        let present = children(self.pid());
        for child in opened.iter().filter(|child| present.contains(&child.pid().as_raw())) {
            debug!("SIGKILL to {}, a child of {}, which holds the lock", child.pid(), self.pid());
            let _ = child.signal(Signal::SIGKILL as i32);
        }
    }

    fn end(&self) {
        self.end_children();
        debug!("SIGKILL to process {}, which holds the lock", self.pid());
        let _ = self.0.signal(Signal::SIGKILL as i32);
    }
}

/// All but this process, which may have it by now.
fn holders(dir: &ContainerDir) -> Vec<Holder> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let all = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let holder = |pid| {
        let process = (pid != own && holds(pid, dir)).then(|| open(pid)).flatten()?;
        // As above.
        holds(pid, dir).then_some(Holder(process))
    };
    pids.filter_map(holder).collect()
}

/// Whether one of its open files is this directory, and has the lock.
fn holds(pid: i32, dir: &ContainerDir) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut same = files.filter(|file| dir.is_at(&file.path()));
    same.any(|file| {
        let number = file.file_name();
        let path = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
        std::fs::read_to_string(path).is_ok_and(|info| info.contains("FLOCK"))
    })
}

fn children(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    list.unwrap_or_default().split_whitespace().flat_map(str::parse).collect()
}

fn open(pid: i32) -> Option<Process> {
    Process::find(Pid::from_raw(pid)).ok().flatten()
}
