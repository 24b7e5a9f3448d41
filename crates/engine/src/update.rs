//! `update`: other limits for a container that lives.

use spec::ContainerStatus;

use crate::error::{Error, Result};
use crate::messages;
use crate::status::status;
use crate::store::Store;

/// Changes the limits that are given, all of them or none, and leaves the others as they are.
///
/// Everything of `linux.resources` counts, also what runc takes from a new container alone: huge
/// pages, networks, RDMA, swappiness and the OOM killer. But for device rules, which are passed over
/// without a word, since whoever updates hands over all resources of a container, and plugins allow
/// devices behind the runtime's back.
pub fn update(
    store: &Store,
    id: &str,
    resources: &spec::Resources<'_>,
    warn: &dyn Fn(&str),
) -> Result<()> {
    let dir = store.container(id)?;
    let _lock = dir.lock()?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    match status(&dir, &record)? {
        ContainerStatus::Created | ContainerStatus::Running | ContainerStatus::Paused => {}
        // Creating: its `create`, which would hold the lock, has been killed.
        ContainerStatus::Creating | ContainerStatus::Stopped => {
            return Err(Error::State(messages::NOT_RUNNING));
        }
    }
    let cgroup = record.cgroup();
    let mut limits = plan::resources(resources);
    crate::limits::warn_of_ignored(&cgroup, &limits, warn);
    limits.memory = cgroup.complete(limits.memory);
    let before = cgroup.snapshot(&limits);
    cgroup.set(&limits).map_err(|error| {
        if let Err(left) = before.restore() {
            warn(&format!("the limits from before could not all be put back: {left}"));
        }
        Error::Cgroup(error)
    })
}
