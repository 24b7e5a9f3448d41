//! What a container is doing: asked of the kernel each time, never remembered.

use spec::ContainerStatus;

use crate::error::Result;
use crate::process::{self, ProcessStat};
use crate::start_socket;
use crate::store::{ContainerDir, Phase, Record};

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
    let Some(init) = process::living(record.pid, record.start_time)? else {
        return Ok(ContainerStatus::Stopped);
    };
    if may_be_frozen(record, init) && record.freezer().is_frozen().unwrap_or(false) {
        return Ok(ContainerStatus::Paused);
    }
    Ok(match start_socket::is_waited_at(dir) {
        true => ContainerStatus::Created,
        false => ContainerStatus::Running,
    })
}

/// Whether the freezer has to be asked, which is dear on v1: whom that one has stopped can't be
/// interrupted (`D`), or was stopped already, and so neither runs nor sleeps as others do.
fn may_be_frozen(record: &Record<'_>, init: ProcessStat) -> bool {
    !(record.has_v1_freezer() && matches!(init.state, b'R' | b'S'))
}
