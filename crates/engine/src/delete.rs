//! `delete`: nothing of the container remains.

use log::debug;
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use plan::HookKind;
use spec::ContainerStatus;

use crate::error::{Error, Result};
use crate::hooks::{self, HookFiles, Place};
use crate::process::Process;
use crate::resctrl::ResctrlRecord;
use crate::store::{ContainerDir, Record, RecordBytes, Store, cgroup_of};
use crate::{holders, host_mounts, kill, messages, status, units};

/// As long as runc waits for a killed init, in milliseconds.
const PATIENCE: u16 = 10_000;

/// Deletes a stopped or created container; with `force` any, and one that isn't there is fine.
///
/// Failing `poststop` hooks are told to `warn`, and hinder nothing (runtime.md, "Lifecycle", 13).
pub fn delete(store: &Store, id: &str, force: bool, warn: &dyn Fn(&str)) -> Result<()> {
    let missing = |error: &Error| matches!(error, Error::State(messages::DOES_NOT_EXIST));
    let dir = match store.container(id) {
        Err(error) if force && missing(&error) => return Ok(()),
        other => other?,
    };
    let _lock = match dir.try_lock()? {
        Some(lock) => lock,
        None if force => {
            interrupt(&dir);
            holders::take_lock(&dir)?
        }
        None => dir.lock()?,
    };
    if !dir.exists()? {
        // Another `delete` was faster.
        return if force { Ok(()) } else { Err(Error::State(messages::DOES_NOT_EXIST)) };
    }
    let bytes = match dir.read_record() {
        // A `create` that was ended before it had anything to record.
        Err(error) if force && missing(&error) => return dir.remove(),
        other => other?,
    };
    let record = match bytes.record() {
        Err(error @ Error::Damaged { .. }) if force => {
            warn(&error.to_string());
            return remove_damaged(&dir);
        }
        other => other?,
    };
    end(&dir, &record, force)?;
    remove(&dir, &record, warn)
}

/// Deletes a container of which only files are wanted any more; the caller has its lock.
pub(crate) fn destroy(dir: &ContainerDir, record: &Record<'_>, warn: &dyn Fn(&str)) -> Result<()> {
    end(dir, record, true)?;
    remove(dir, record, warn)
}

/// Ends what another command is waiting for, such as a `start` whose hook hangs: it then gives up, and
/// the lock with it.
fn interrupt(dir: &ContainerDir) {
    let Ok(bytes) = dir.read_record() else { return };
    let Ok(record) = bytes.record() else { return };
    let _ = kill_init(&record);
    let _ = kill::kill_leftovers(&record);
}

/// Removes a container whose record can't be read: its cgroup, and all that runs in it, is known
/// from the other file.
fn remove_damaged(dir: &ContainerDir) -> Result<()> {
    let bytes = dir.read_exec();
    if let Ok(Ok(exec)) = bytes.as_ref().map(RecordBytes::exec) {
        let cgroup = cgroup_of(&exec.cgroup);
        cgroup.kill(Signal::SIGKILL)?;
        cgroup.delete()?;
        exec.resctrl.map_or(Ok(()), |groups| groups.remove())?;
    }
    dir.remove()
}

/// Ends the container's init, if that is asked for.
fn end(dir: &ContainerDir, record: &Record<'_>, force: bool) -> Result<()> {
    let status = status(dir, record)?;
    match status {
        ContainerStatus::Stopped => Ok(()),
        ContainerStatus::Created => kill_init(record),
        _ if force => kill_init(record),
        _ => Err(Error::NotStopped { id: record.id.to_string(), status }),
    }
}

fn kill_init(record: &Record<'_>) -> Result<()> {
    let Some(init) = Process::open(record.pid, record.start_time)? else {
        return Ok(());
    };
    debug!("SIGKILL to process {}", record.pid);
    init.signal(Signal::SIGKILL as i32)?;
    let cgroup = record.cgroup();
    if cgroup.is_frozen().unwrap_or(false) {
        cgroup.thaw()?;
    }
    if init.wait_for_end(PollTimeout::from(PATIENCE))? {
        return Ok(());
    }
    Err(Error::State("container init still running"))
}

/// Removes cgroup, resctrl groups and directory, then runs the `poststop` hooks.
fn remove(dir: &ContainerDir, record: &Record<'_>, warn: &dyn Fn(&str)) -> Result<()> {
    remove_cgroup(record, warn)?;
    record.resctrl.as_ref().map_or(Ok(()), ResctrlRecord::remove)?;
    host_mounts::remove(record)?;
    debug!("remove {}", dir.path().display());
    dir.remove()?;
    for error in run_poststop(record) {
        warn(&error.to_string());
    }
    Ok(())
}

/// Removes the cgroup. Who may be in it is only asked where it is in use: without a pid namespace others
/// outlive the init, and after a crashed `create` anything may. With a unit it is systemd's. One that has
/// become somebody else's is left alone.
fn remove_cgroup(record: &Record<'_>, warn: &dyn Fn(&str)) -> Result<()> {
    let cgroup = record.cgroup();
    if record.unit.is_none() && cgroup.delete_unused()? {
        return Ok(());
    }
    if record.owns_cgroup() {
        kill::kill_leftovers(record)?;
        units::stop(record, warn);
        return Ok(cgroup.delete()?);
    }
    if record.cgroup_number != 0 {
        let path = cgroup.paths().next().map(|(_, path)| path.to_owned()).unwrap_or_default();
        warn(&format!("{path}: the cgroup is another's by now, and left alone"));
    }
    cgroup.delete_unused()?;
    Ok(())
}

/// Runs all `poststop` hooks, also behind one that fails.
pub(crate) fn run_poststop(record: &Record<'_>) -> Vec<Error> {
    let state = record.state(ContainerStatus::Stopped, None);
    if record.poststop.is_empty() {
        return Vec::new();
    }
    let files = match HookFiles::open(&record.annotations, &record.bundle) {
        Ok(files) => files,
        Err(error) => return vec![error],
    };
    let place = Place::of_runtime(&record.bundle, &files);
    let run = |hook| {
        let one = std::slice::from_ref(hook);
        hooks::run(HookKind::Poststop, one, &state, place).err()
    };
    record.poststop.iter().filter_map(run).collect()
}
