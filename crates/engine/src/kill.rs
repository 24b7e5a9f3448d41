//! `kill`, and what `delete` needs of it.

use log::debug;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::error::{Error, Result};
use crate::messages;
use crate::process::Process;
use crate::store::{Record, Store};

/// Sends a signal to the container's init; with `all`, or to end a container that has no pid
/// namespace of its own, to every process in its cgroup.
pub fn kill(store: &Store, id: &str, signal: i32, all: bool) -> Result<()> {
    let dir = store.container(id)?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    let init = Process::open(record.pid, record.start_time)?;
    let sigkill = signal == Signal::SIGKILL as i32;
    match init {
        // containerd sends `kill --all ID 9` to what has stopped long ago, and expects 0.
        None if all => kill_leftovers(&record),
        None if sigkill && has_leftovers(&record) => kill_leftovers(&record),
        None => Err(Error::State(messages::NOT_RUNNING)),
        // Without a cgroup there is nobody else to be found.
        Some(_) if all && !record.cgroup().is_empty() => signal_all(&record, signal),
        Some(init) => {
            debug!("signal {signal} to process {}", record.pid);
            init.signal(signal)?;
            if sigkill {
                after_sigkill(&record)?;
            }
            Ok(())
        }
    }
}

fn signal_all(record: &Record<'_>, signal: i32) -> Result<()> {
    debug!("signal {signal} to all processes of the cgroup");
    let cgroup = record.cgroup();
    if signal == Signal::SIGKILL as i32 {
        // It also thaws.
        cgroup.kill(Signal::SIGKILL)?;
    } else {
        cgroup.signal_each(&mut |pid| signal_one(pid, signal))?;
    }
    Ok(())
}

/// A frozen process dies only when it is thawed; and without a pid namespace the init's death is not
/// the others'.
fn after_sigkill(record: &Record<'_>) -> Result<()> {
    let cgroup = record.cgroup();
    if !record.has_namespace("pid") {
        cgroup.kill(Signal::SIGKILL)?;
    }
    if cgroup.is_frozen().unwrap_or(false) {
        cgroup.thaw()?;
    }
    Ok(())
}

fn has_leftovers(record: &Record<'_>) -> bool {
    !record.has_namespace("pid")
        && record.owns_cgroup()
        && record.cgroup().pids().is_ok_and(|pids| !pids.is_empty())
}

/// Ends what is left in the cgroup of a container whose init has ended, if it is still the container's.
pub(crate) fn kill_leftovers(record: &Record<'_>) -> Result<()> {
    let cgroup = record.cgroup();
    if !record.owns_cgroup() {
        return Ok(());
    }
    match cgroup.pids() {
        Ok(pids) if pids.is_empty() => Ok(()),
        _ => Ok(cgroup.kill(Signal::SIGKILL)?),
    }
}

fn signal_one(pid: i32, signal: i32) -> cgroup::Result<()> {
    let process = Process::find(Pid::from_raw(pid));
    match process.and_then(|process| process.map_or(Ok(()), |process| process.signal(signal))) {
        Err(error) if error.errno != sys::Errno::ESRCH => {
            Err(cgroup::Error::Call { call: "kill", path: pid.to_string(), errno: error.errno })
        }
        _ => Ok(()),
    }
}
