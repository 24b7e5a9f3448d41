//! The processes in a cgroup.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::{file, remove, v1};

/// How often to look for new processes that could not be frozen.
const UNFROZEN_ROUNDS: usize = 100;

impl Cgroup {
    /// The processes in the cgroup and in all below it, by their numbers in our pid namespace; 0
    /// is one which has none there. None if the cgroup is gone.
    ///
    /// In hybrid mode one that was born into v2's may not have come to the others yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = self.settled_pids()?;
        if let Some(dir) = self.v2_dir().filter(|_| !self.is_unified()) {
            let mut born = Vec::new();
            collect(dir, &mut born)?;
            born.retain(|pid| !pids.contains(pid));
            pids.append(&mut born);
        }
        Ok(pids)
    }

    /// Those of the hierarchy that stands for all.
    pub(crate) fn settled_pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        if let Some(dir) = self.process_dir() {
            collect(dir, &mut pids)?;
        }
        Ok(pids)
    }

    /// Sends a signal to every process.
    ///
    /// `SIGKILL` goes through `cgroup.kill` where v2 has it (Linux 5.14), which misses nobody,
    /// not even one that is being forked; and it thaws, since v1's frozen processes cannot die.
    ///
    /// # Errors
    /// What the kernel says; a process that is gone is fine.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        let mut send = |pid| match kill(Pid::from_raw(pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(file::call_error("kill", &format!("process {pid}"), errno)),
        };
        if signal != Signal::SIGKILL {
            return self.signal_each(&mut send);
        }
        let killed = match self.v2_dir() {
            Some(dir) => file::write(dir, "cgroup.kill", "1").is_ok(),
            None => false,
        };
        // In hybrid mode somebody may be in v1's cgroup alone.
        if !killed || (!self.is_unified() && !self.pids()?.is_empty()) {
            self.signal_each(&mut send)?;
        }
        match self.thaw() {
            Err(error) if !error.is_gone() && error.errno().is_some() => Err(error),
            _ => Ok(()),
        }
    }

    /// Calls `send` for every process while all are frozen, so that none escapes by forking.
    /// One which was frozen before stays so. Where nothing can be frozen, it goes on until it
    /// finds nobody new.
    ///
    /// # Errors
    /// The first error of `send`, after it was called for all; and what the kernel says.
    pub fn signal_each(&self, send: &mut dyn FnMut(i32) -> Result<()>) -> Result<()> {
        let frozen_before = self.is_frozen()?;
        let frozen = frozen_before || self.freeze().is_ok();
        let mut result = Ok(());
        let mut seen = Vec::new();
        let rounds = if frozen { 1 } else { UNFROZEN_ROUNDS };
        for _ in 0..rounds {
            let mut pids = match self.pids() {
                Ok(pids) => pids,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            pids.retain(|pid| *pid > 0 && !seen.contains(pid));
            if pids.is_empty() {
                break;
            }
            for &pid in &pids {
                result = result.and(send(pid));
            }
            seen.append(&mut pids);
        }
        if frozen && !frozen_before {
            result = result.and(self.thaw());
        }
        result
    }

    /// How often the kernel killed a process here for want of memory: `oom_kill` of
    /// `memory.events` on v2, of `memory.oom_control` on v1 (Linux 4.13). 0 where nobody counts.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn oom_kills(&self) -> Result<u64> {
        let (dir, name) = match (self.v1_dir("memory"), self.v2_dir()) {
            (Some(dir), _) => (dir, v1::OOM_CONTROL),
            (None, Some(dir)) => (dir, "memory.events"),
            (None, None) => return Ok(0),
        };
        match file::read(dir, name) {
            Ok(text) => Ok(file::keyed(&text, "oom_kill").unwrap_or(0)),
            Err(error) if error.is_gone() => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Appends the processes of `dir` and of all below it.
fn collect(dir: &str, pids: &mut Vec<i32>) -> Result<()> {
    let list = match file::read(dir, "cgroup.procs") {
        // A threaded cgroup of v2 lists threads alone; their processes are listed further up,
        // except to somebody who sees no further up.
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => file::read(dir, "cgroup.threads"),
        list => list,
    };
    match list {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if error.is_gone() => return Ok(()),
        Err(error) => return Err(error),
    }
    for child in remove::children(dir)? {
        collect(&child, pids)?;
    }
    Ok(())
}
