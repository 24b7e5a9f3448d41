//! What a container is doing: asked of the kernel each time, never remembered.

use spec::ContainerStatus;

use crate::error::Result;
use crate::store::{ContainerDir, Phase, Record, START_SOCKET};
use crate::{process, start_socket};

/// The status of a container.
///
/// Frozen comes before everything else, as in runc: a paused container whose init can't answer is
/// paused.
pub fn status(dir: &ContainerDir, record: &Record<'_>) -> Result<ContainerStatus> {
    if record.phase == Phase::Creating {
        // Its `create` holds the lock for as long as it lives.
        return Ok(match dir.is_locked() {
            true => ContainerStatus::Creating,
            false => ContainerStatus::Stopped,
        });
    }
    if !process::is_alive(record.pid, record.start_time)? {
        return Ok(ContainerStatus::Stopped);
    }
    if record.cgroup().is_frozen().unwrap_or(false) {
        return Ok(ContainerStatus::Paused);
    }
    Ok(match waits_for_start(dir) {
        true => ContainerStatus::Created,
        false => ContainerStatus::Running,
    })
}

/// Whether the init still waits: somebody listens on its socket. A `start` that was killed may have
/// left the file, but never the listener.
fn waits_for_start(dir: &ContainerDir) -> bool {
    dir.has(START_SOCKET) && start_socket::knock(dir).is_ok()
}
