//! `pause` and `resume`.

use spec::ContainerStatus;

use crate::error::{Error, Result};
use crate::messages;
use crate::status::status;
use crate::store::Store;

/// Freezes all processes of a container.
pub fn pause(store: &Store, id: &str) -> Result<()> {
    let dir = store.container(id)?;
    let _lock = dir.lock()?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    match status(&dir, &record)? {
        ContainerStatus::Created | ContainerStatus::Running => Ok(record.cgroup().freeze()?),
        status => Err(Error::CannotPause { status }),
    }
}

/// Thaws them.
pub fn resume(store: &Store, id: &str) -> Result<()> {
    let dir = store.container(id)?;
    let _lock = dir.lock()?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    match status(&dir, &record)? {
        ContainerStatus::Paused => Ok(record.cgroup().thaw()?),
        _ => Err(Error::State(messages::NOT_PAUSED)),
    }
}
