//! The container's cgroup as a unit of systemd's, on the runtime's side.
//!
//! The unit is asked for when the container's process is in its cgroup already, and waited for when
//! something depends on it: see [`cgroup::systemd`]. The connection exists only with this driver.

use bpf::devices::List;
use cgroup::systemd::{
    Instance, Job, Property, Systemd, Unit, device_properties, former_properties, limit_properties,
    unit_properties,
};
use cgroup::{Cgroup, Join, Layout, Resources, Snapshot};
use nix::errno::Errno;
use plan::UnitPlan;
use sys::{Clone3, Context};

use crate::error::{Error, Result};
use crate::process::{self, Forked};
use crate::store::{Record, UnitRecord};
use crate::{device_rules, limits, messages};

/// The unit of a container that is being made.
#[derive(Debug)]
pub(crate) struct NewUnit {
    systemd: Systemd,
    unit: Unit,
    /// The cgroup below it that is the container's; empty: its own is.
    subgroup: String,
    properties: Vec<Property>,
    job: Option<Job>,
    /// Whether it is there, and this container's.
    owned: bool,
    memory_limit: Option<i64>,
}

impl NewUnit {
    /// Connects to systemd, and says where the unit's cgroup will be. Nothing is changed yet.
    pub(crate) fn connect(plan: &plan::Create<'_>, unit: &UnitPlan) -> Result<(Cgroup, NewUnit)> {
        let UnitPlan { unit, annotations, subgroup } = unit;
        let systemd = Systemd::connect(unit.instance())?;
        let place = unit.place(&Layout::probe()?, systemd.control_group(), subgroup)?;
        let unified = place.is_unified();
        if !subgroup.is_empty() && (!unified || unit.is_slice()) {
            return Err(Error::State(messages::NO_SUBGROUP));
        }
        let mut properties = unit_properties(unit, unified, &format!("container {}", plan.id));
        properties.extend_from_slice(annotations);
        properties.extend(limit_properties(&plan.cgroup.resources, unified, systemd.version())?);
        if place.has_v1_devices() {
            device_rules::with_lines(plan, |rules| properties.extend(device_properties(rules)))?;
        }
        let memory_limit = plan.cgroup.resources.memory.limit.filter(|limit| *limit > 0);
        let (unit, subgroup, job, owned) = (unit.clone(), (*subgroup).to_owned(), None, false);
        Ok((place, NewUnit { systemd, unit, subgroup, properties, job, owned, memory_limit }))
    }

    /// What systemd will be asked for.
    pub(crate) fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// Whether systemd will put the container's process into it.
    pub(crate) fn is_scope(&self) -> bool {
        !self.unit.is_slice()
    }

    /// Whether the container's cgroup is one below it.
    pub(crate) fn has_subgroup(&self) -> bool {
        !self.subgroup.is_empty()
    }

    /// Whether it is there, and this container's.
    pub(crate) fn is_owned(&self) -> bool {
        self.owned
    }

    /// The limit of the container's memory.
    pub(crate) fn memory_limit(&self) -> Option<i64> {
        self.memory_limit
    }

    /// What `delete` needs to find it.
    pub(crate) fn record(&self) -> UnitRecord<'static> {
        UnitRecord {
            name: self.unit.name().to_owned().into(),
            user: self.unit.instance() == Instance::User,
            subgroup: self.subgroup.clone().into(),
        }
    }

    /// Asks for the unit, with a process in it; doesn't wait.
    pub(crate) fn start(&mut self, pid: i32) -> Result<()> {
        let properties = std::mem::take(&mut self.properties);
        self.job = Some(self.systemd.start(&self.unit, pid.unsigned_abs(), properties)?);
        Ok(())
    }

    /// Waits for the unit, if that was not done before: `true` then.
    pub(crate) fn wait(&mut self) -> Result<bool> {
        let Some(job) = self.job.take() else {
            return Ok(false);
        };
        let waited = self.systemd.wait(job);
        self.owned = matches!(waited, Ok(()) | Err(cgroup::Error::JobTimeout { .. }));
        waited?;
        Ok(true)
    }

    /// Stops it, if it is this container's: one of the same name may be somebody else's.
    pub(crate) fn undo(&mut self) {
        let _ = self.wait();
        if self.owned {
            let _ = self.systemd.stop(&self.unit);
        }
    }
}

/// Clones the container's process; the second says whether it must ask before it goes on.
///
/// A user may not move a process into the cgroups of the user's systemd from everywhere: there it is
/// systemd that moves it. `must_wait`: so it is on v1, where systemd also denies all devices for a moment;
/// and what a stage clones is where systemd found the stage.
pub(crate) fn clone_into(
    unit: Option<&NewUnit>,
    flags: u64,
    join: &Join,
    must_wait: bool,
) -> Result<(Forked, bool)> {
    match limits::clone_into(flags, join, None) {
        Err(Error::Kernel { error, .. }) if unit.is_some() && is_denied(error.errno) => {
            Ok((process::clone(Clone3 { flags, into_cgroup: None })?, true))
        }
        cloned => Ok((cloned?, unit.is_some() && must_wait)),
    }
}

/// Clones another process into the cgroup of a container that runs; the second says whether systemd
/// must move it there ([`attach`]) before it goes on. With `just_there` it is that cgroup or none.
pub(crate) fn clone_beside(
    record: &Record<'_>,
    join: &Join,
    just_there: bool,
) -> Result<(Forked, bool)> {
    match limits::clone_into(0, join, (!just_there).then_some(record.pid)) {
        Err(Error::Kernel { error, .. }) if just_there && error.errno == Errno::EBUSY => {
            let path = record.cgroup().paths().map(|(_, path)| path.to_owned()).collect();
            Err(cgroup::Error::Join { path, errno: error.errno }.into())
        }
        Err(Error::Kernel { error, .. }) if record.unit.is_some() && is_denied(error.errno) => {
            Ok((process::clone(Clone3 { flags: 0, into_cgroup: None })?, true))
        }
        cloned => Ok((cloned?, false)),
    }
}

fn is_denied(errno: Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM)
}

/// Stops the unit of a container that is deleted, if it is the one that the container's cgroup is.
/// Systemd may be gone, or have forgotten it: what is left of the cgroup is removed all the same.
pub(crate) fn stop(record: &Record<'_>, warn: &dyn Fn(&str)) {
    let Some(unit) = unit_of(record) else {
        return;
    };
    let stop = || -> cgroup::Result<()> {
        let mut systemd = Systemd::connect(unit.instance())?;
        let group = systemd.control_group_of(&unit)?;
        if group.is_empty() {
            systemd.reset_failed(&unit);
            return Ok(());
        }
        let ours = Layout::probe()?.shows(&(group + &subgroup_of(record)), &record.cgroup());
        if ours { systemd.stop(&unit) } else { Ok(()) }
    };
    if let Err(error) = stop() {
        warn(&error.to_string());
    }
}

/// From the unit's cgroup to the container's: `/NAME`, or nothing.
fn subgroup_of(record: &Record<'_>) -> String {
    let subgroup = record.unit.as_ref().map_or("", |unit| &*unit.subgroup);
    if subgroup.is_empty() { String::new() } else { format!("/{subgroup}") }
}

fn unit_of(record: &Record<'_>) -> Option<Unit> {
    let unit = record.unit.as_ref()?;
    let instance = if unit.user { Instance::User } else { Instance::System };
    Some(Unit::stored(&unit.name, instance))
}

/// The unit of a container that lives, when its limits change.
#[derive(Debug)]
pub(crate) struct LiveUnit<'u> {
    unit: Unit,
    cgroup: &'u Cgroup,
    /// Its device rules: v1's systemd writes those when it writes anything.
    devices: Option<List>,
    systemd: Option<Systemd>,
}

impl<'u> LiveUnit<'u> {
    /// That of the container of this record, if systemd makes its cgroup.
    pub(crate) fn of(record: &Record<'_>, cgroup: &'u Cgroup) -> Option<LiveUnit<'u>> {
        let devices =
            cgroup.has_v1_devices().then(|| device_rules::present(record, cgroup)).flatten();
        Some(LiveUnit { unit: unit_of(record)?, cgroup, devices, systemd: None })
    }

    /// Has systemd know limits that were changed, and new device rules, so that it doesn't put the
    /// old ones back. It writes what it knows to the files; so all that it can't say is written
    /// behind it.
    pub(crate) fn tell(&mut self, limits: &Resources<'_>, devices: Option<&List>) -> Result<()> {
        let systemd = match &mut self.systemd {
            Some(systemd) => systemd,
            none => none.insert(Systemd::connect(self.unit.instance())?),
        };
        let unified = self.cgroup.is_unified();
        let mut properties = limit_properties(limits, unified, systemd.version())?;
        if let (Some(list), true) = (devices, self.cgroup.has_v1_devices()) {
            properties.extend(device_rules::properties(list));
        }
        if properties.is_empty() {
            return Ok(());
        }
        self.set(&properties, devices)?;
        Ok(self.cgroup.set(limits)?)
    }

    /// Puts back what systemd was told.
    pub(crate) fn take_back(&mut self, before: &Snapshot) -> Result<()> {
        let Some(systemd) = &mut self.systemd else {
            return Ok(());
        };
        let unified = self.cgroup.is_unified();
        let mut properties = former_properties(before, unified, systemd.version())?;
        properties.extend(self.devices.iter().flat_map(device_rules::properties));
        self.set(&properties, None)
    }

    /// On v1 systemd denies all devices before it allows some: meanwhile the container stands still.
    fn set(&mut self, properties: &[Property], devices: Option<&List>) -> Result<()> {
        let Some(systemd) = &mut self.systemd else {
            return Ok(());
        };
        let devices = devices.or(self.devices.as_ref()).filter(|_| self.cgroup.has_v1_devices());
        let Some(devices) = devices else {
            return Ok(systemd.set_properties(&self.unit, properties)?);
        };
        let freeze = !self.cgroup.is_frozen()?;
        if freeze {
            self.cgroup.freeze()?;
        }
        let set = systemd.set_properties(&self.unit, properties).map_err(Error::from);
        let set = set.and(device_rules::reset(self.cgroup, devices));
        let thawed = if freeze { self.cgroup.thaw().map_err(Error::from) } else { Ok(()) };
        set.and(thawed)
    }
}

/// Has the user's systemd put a process into the container's cgroup, which may be out of reach for
/// the user alone: into the one that `below` names, or else where the container's init is.
pub(crate) fn attach(record: &Record<'_>, below: Option<&str>, pid: u32) -> Result<()> {
    let Some(unit) = unit_of(record) else {
        return Ok(());
    };
    let mut systemd = Systemd::connect(unit.instance())?;
    let below = match below {
        Some(below) => format!("{}/{}", subgroup_of(record), below.trim_start_matches('/')),
        None => {
            let group = systemd.control_group_of(&unit)?;
            let path = format!("/proc/{}/cgroup", record.pid);
            let own = std::fs::read_to_string(&path).at("read", path)?;
            let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
            own.strip_prefix(&group).unwrap_or_default().to_owned()
        }
    };
    Ok(systemd.attach(&unit, &below, pid)?)
}

/// Whose systemd makes this process's containers.
///
/// Root of a user namespace has its own user's outside, unless a whole system runs inside: which one
/// it is shows in the slice that it is in, `user-1000.slice` or none.
pub(crate) fn instance() -> Instance {
    if !nix::unistd::geteuid().is_root() {
        return Instance::User;
    }
    if !crate::probe::is_rootless() {
        return Instance::System;
    }
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if is_in_a_users_slice(&own) { Instance::User } else { Instance::System }
}

fn is_in_a_users_slice(own_cgroup: &str) -> bool {
    let number = |name: &str| name.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok();
    own_cgroup.split(['/', '\n']).any(|name| number(name).is_some_and(|uid: u32| uid != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_slice_this_is() {
        for (own, users) in [
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope\n", true),
            ("0::/user.slice/user-0.slice/session-1.scope\n", false),
            ("0::/system.slice/user-x.slice\n", false),
            ("1:name=systemd:/user.slice/user-7.slice\n0::/\n", true),
            ("0::/\n", false),
        ] {
            assert_eq!(is_in_a_users_slice(own), users, "{own}");
        }
    }
}
