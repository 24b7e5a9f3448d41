//! `update`: other limits for a container that lives.

use spec::ContainerStatus;

use crate::device_rules::Update;
use crate::error::{Error, Result};
use crate::messages;
use crate::status::status;
use crate::store::Store;
use crate::units;

/// Changes the limits that are given, all of them or none, and leaves the others as they are.
///
/// Everything of `linux.resources` counts, also what runc takes from a new container alone: huge
/// pages, networks, RDMA, swappiness and the OOM killer. Device rules
/// come last: see [`Update::of`].
pub fn update(
    store: &Store,
    id: &str,
    resources: &spec::Resources<'_>,
    warn: &dyn Fn(&str),
) -> Result<()> {
    let dir = store.container(id)?;
    let _lock = dir.lock()?;
    let bytes = dir.read_record()?;
    let mut record = bytes.record()?;
    match status(&dir, &record)? {
        ContainerStatus::Created | ContainerStatus::Running | ContainerStatus::Paused => {}
        // Creating: its `create`, which would hold the lock, has been killed.
        ContainerStatus::Creating | ContainerStatus::Stopped => {
            return Err(Error::State(messages::NOT_RUNNING));
        }
    }
    let cgroup = record.cgroup();
    let devices = Update::of(&record, &cgroup, &resources.devices)?;
    let mut limits = plan::resources(resources);
    crate::limits::warn_of_ignored(&cgroup, &limits, warn);
    limits.memory = cgroup.complete(limits.memory);
    let before = cgroup.snapshot(&limits);
    if record.unit.is_some() {
        cgroup::systemd::round_quota(&mut limits.cpu);
    }
    let mut set = || {
        cgroup.set(&limits)?;
        if units::set_limits(&record, &limits)? {
            cgroup.set(&limits)?;
        }
        let Some(devices) = &devices else { return Ok(()) };
        let undo = devices.apply(&cgroup, warn)?;
        record.devices = devices.record().into();
        dir.publish(&record).inspect_err(|_| {
            if let Err(left) = undo.undo(&cgroup) {
                warn(&format!("the device rules from before could not be put back: {left}"));
            }
        })
    };
    set().inspect_err(|_| {
        if let Err(left) = before.restore() {
            warn(&format!("the limits from before could not all be put back: {left}"));
        }
    })
}
