//! `start`: the word that a created container waits for.

use log::debug;
use plan::HookKind;
use spec::ContainerStatus;

use crate::agent::{self, Agent};
use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::hooks::{self, HookFiles, Place};
use crate::process::Process;
use crate::status::status;
use crate::store::{Record, Store};
use crate::{messages, notify, start_socket};

/// Starts a created container, and returns once the user's program runs.
///
/// Failures after the word, of `startContainer` hooks and of execve itself, come back as errors.
pub fn start(store: &Store, id: &str, warn: &dyn Fn(&str)) -> Result<()> {
    let dir = store.container(id)?;
    let lock = dir.lock()?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    match status(&dir, &record)? {
        ContainerStatus::Created if record.without_process => {
            return Err(Error::State(plan::names::NO_PROCESS));
        }
        ContainerStatus::Created => {}
        ContainerStatus::Stopped => return Err(Error::State(messages::START_STOPPED)),
        ContainerStatus::Paused => return Err(Error::State(messages::START_PAUSED)),
        _ => return Err(Error::State(messages::START_RUNNING)),
    }
    let listener = notify::listen(&dir)?;
    let init = Process::open(record.pid, record.start_time)?
        .ok_or(Error::State(messages::START_STOPPED))?;
    let state = record.state(ContainerStatus::Created, Some(record.pid));
    let agent = Agent::connect(record.agent.as_ref(), state)?;
    debug!("knock at {}", dir.path().display());
    let channel = Channel::from_socket(start_socket::knock(&dir)?);
    let running = agent::let_go(&channel, &init, agent.as_ref());
    // An init that was not reached waits on.
    running?;
    start_socket::remove(&dir)?;
    let started = run_poststart(&record);
    drop(lock);
    if started.is_err() {
        // A container whose hooks failed is stopped and removed (runtime.md, "Lifecycle", 9).
        crate::delete::delete(store, id, true, warn)?;
    }
    match listener {
        Some(listener) if started.is_ok() => listener.wait(&init),
        _ => started,
    }
}

/// Runs the hooks for a container that has just been started.
pub(crate) fn run_poststart(record: &Record<'_>) -> Result<()> {
    if record.poststart.is_empty() {
        return Ok(());
    }
    let state = record.state(ContainerStatus::Running, Some(record.pid));
    let files = HookFiles::open(&record.annotations, &record.bundle)?;
    let place = Place::of_runtime(&record.bundle, &files);
    hooks::run(HookKind::Poststart, &record.poststart, &state, place)
}
