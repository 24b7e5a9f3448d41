//! `update`: other limits for a container that lives.

use cgroup::{Cgroup, Resources, Snapshot};
use spec::ContainerStatus;

use crate::device_rules::{Undo, Update};
use crate::error::{Error, Result};
use crate::messages;
use crate::status::status;
use crate::store::Store;
use crate::units::LiveUnit;

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
    let unit = LiveUnit::of(&record, &cgroup);
    if unit.is_some() {
        limits.cpu = cgroup.complete_cpu(limits.cpu);
        cgroup::systemd::round_quota(&mut limits.cpu);
    }
    let before = cgroup.snapshot(&limits);
    let (cgroup, limits, devices) = (&cgroup, &limits, devices.as_ref());
    let mut change = Change { cgroup, limits, devices, before, unit, undo: None };
    let made = change.make(warn).and_then(|()| {
        let Some(devices) = devices else { return Ok(()) };
        record.devices = devices.record().into();
        dir.publish(&record)
    });
    made.inspect_err(|_| change.take_back(warn))
}

/// A change of limits and device rules that is being made.
struct Change<'u> {
    cgroup: &'u Cgroup,
    limits: &'u Resources<'u>,
    devices: Option<&'u Update>,
    before: Snapshot,
    unit: Option<LiveUnit<'u>>,
    undo: Option<Undo<'u>>,
}

impl Change<'_> {
    fn make(&mut self, warn: &dyn Fn(&str)) -> Result<()> {
        // The kernel's word is the last one: what it refuses systemd never hears of.
        self.cgroup.set(self.limits)?;
        if let Some(devices) = self.devices {
            self.undo = Some(devices.apply(self.cgroup, warn)?);
        }
        let list = self.devices.and_then(Update::list);
        self.unit.as_mut().map_or(Ok(()), |unit| unit.tell(self.limits, list))
    }

    /// Puts everything back, as far as possible.
    fn take_back(&mut self, warn: &dyn Fn(&str)) {
        if let Some(left) = self.undo.take().and_then(|undo| undo.undo(self.cgroup).err()) {
            warn(&format!("the device rules from before could not be put back: {left}"));
        }
        if let Some(left) = self.unit.as_mut().and_then(|unit| unit.take_back(&self.before).err()) {
            warn(&format!("the unit's properties from before could not be put back: {left}"));
        }
        if let Err(left) = self.before.restore() {
            warn(&format!("the limits from before could not all be put back: {left}"));
        }
    }
}
