//! `update`: other limits for a container that lives.

use cgroup::{Cgroup, Resources, Snapshot};
use spec::ContainerStatus;

use crate::device_rules::{Undo, Update};
use crate::error::{Error, Result};
use crate::messages;
use crate::resctrl::{ResctrlRecord, Schemata};
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
    schemata: &Schemata<'_>,
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
    let schemata = schemata.of(record.resctrl.as_ref())?;
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
    let groups = record.resctrl.clone();
    let shares = Shares { groups: groups.as_ref(), schemata: &schemata, before: None };
    let mut change = Change { cgroup, limits, devices, before, shares, unit, undo: None };
    let made = change.make(warn).and_then(|()| {
        let Some(devices) = devices else { return Ok(()) };
        record.devices = devices.record().into();
        dir.publish(&record)
    });
    made.inspect_err(|_| change.take_back(warn))
}

/// Other shares of caches and bandwidth, and those from before.
struct Shares<'u> {
    groups: Option<&'u ResctrlRecord<'u>>,
    schemata: &'u [String],
    before: Option<String>,
}

impl Shares<'_> {
    fn set(&mut self) -> Result<()> {
        if let Some(groups) = self.groups.filter(|_| !self.schemata.is_empty()) {
            self.before = Some(groups.set(self.schemata)?);
        }
        Ok(())
    }

    fn take_back(&mut self) -> Result<()> {
        match (self.groups, self.before.take()) {
            (Some(groups), Some(before)) => groups.set(&[before]).map(drop),
            _ => Ok(()),
        }
    }
}

/// A change of limits, shares and device rules that is being made.
struct Change<'u> {
    cgroup: &'u Cgroup,
    limits: &'u Resources<'u>,
    devices: Option<&'u Update>,
    before: Snapshot,
    shares: Shares<'u>,
    unit: Option<LiveUnit<'u>>,
    undo: Option<Undo<'u>>,
}

impl Change<'_> {
    fn make(&mut self, warn: &dyn Fn(&str)) -> Result<()> {
        // The kernel's word is the last one: what it refuses systemd never hears of.
        self.cgroup.set(self.limits)?;
        self.shares.set()?;
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
        if let Err(left) = self.shares.take_back() {
            warn(&format!("the shares from before could not be put back: {left}"));
        }
        if let Err(left) = self.before.restore() {
            warn(&format!("the limits from before could not all be put back: {left}"));
        }
    }
}
