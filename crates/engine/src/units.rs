//! The container's cgroup as a unit of systemd's, on the runtime's side.
//!
//! The unit is asked for when the container's process is in its cgroup already, and waited for when
//! something depends on it: see [`cgroup::systemd`]. The connection exists only with this driver.

use cgroup::systemd::{
    Instance, Job, Property, Systemd, Unit, device_properties, limit_properties, unit_properties,
};
use cgroup::{Cgroup, Join, Layout, Resources};
use nix::errno::Errno;
use plan::UnitPlan;
use sys::{Clone3, Forked};

use crate::error::{Error, Result};
use crate::store::{Record, UnitRecord};
use crate::{device_rules, limits};

/// The unit of a container that is being made.
#[derive(Debug)]
pub(crate) struct NewUnit {
    systemd: Systemd,
    unit: Unit,
    properties: Vec<Property>,
    job: Option<Job>,
    /// Whether it is there, and this container's.
    owned: bool,
}

impl NewUnit {
    /// Connects to systemd, and says where the unit's cgroup will be. Nothing is changed yet.
    pub(crate) fn connect(plan: &plan::Create<'_>, unit: &UnitPlan) -> Result<(Cgroup, NewUnit)> {
        let UnitPlan { unit, annotations } = unit;
        let systemd = Systemd::connect(unit.instance())?;
        let place = unit.place(&Layout::probe()?, systemd.control_group())?;
        let unified = place.is_unified();
        let mut properties = unit_properties(unit, unified, &format!("container {}", plan.id));
        properties.extend_from_slice(annotations);
        properties.extend(limit_properties(&plan.cgroup.resources, unified, systemd.version())?);
        if !unified {
            device_rules::with_lines(plan, |rules| properties.extend(device_properties(rules)))?;
        }
        Ok((place, NewUnit { systemd, unit: unit.clone(), properties, job: None, owned: false }))
    }

    /// What systemd will be asked for.
    pub(crate) fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// What `delete` needs to find it.
    pub(crate) fn record(&self) -> UnitRecord<'static> {
        UnitRecord {
            name: self.unit.name().to_owned().into(),
            user: self.unit.instance() == Instance::User,
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
/// systemd that moves it. On v1 systemd denies all devices for a moment. And what a stage clones is
/// where systemd found the stage.
pub(crate) fn clone_into(
    unit: Option<&NewUnit>,
    flags: u64,
    join: &Join,
    staged: bool,
) -> Result<(Forked, bool)> {
    let denied = |errno| matches!(errno, Errno::EACCES | Errno::EPERM);
    match limits::clone_into(flags, join, None) {
        Err(Error::Kernel { error, .. }) if unit.is_some() && denied(error.errno) => {
            Ok((sys::clone3(Clone3 { flags, into_cgroup: None })?, true))
        }
        cloned => Ok((cloned?, unit.is_some() && (staged || !join.files().is_empty()))),
    }
}

/// Stops the unit of a container that is deleted. Systemd may be gone, or have forgotten it: what is
/// left of the cgroup is removed all the same.
pub(crate) fn stop(record: &Record<'_>, warn: &dyn Fn(&str)) {
    let Some((unit, instance)) = unit_of(record) else {
        return;
    };
    let stopped = Systemd::connect(instance).and_then(|mut systemd| systemd.stop(&unit));
    if let Err(error) = stopped {
        warn(&error.to_string());
    }
}

/// Has systemd know limits that were changed, so that it doesn't put the old ones back. It writes
/// those files then that it knows: the caller writes all of them once more.
pub(crate) fn set_limits(record: &Record<'_>, limits: &Resources<'_>) -> Result<bool> {
    let Some((unit, instance)) = unit_of(record) else {
        return Ok(false);
    };
    let mut systemd = Systemd::connect(instance)?;
    let unified = record.cgroup().is_unified();
    let properties = limit_properties(limits, unified, systemd.version())?;
    systemd.set_properties(&unit, &properties)?;
    Ok(true)
}

fn unit_of(record: &Record<'_>) -> Option<(Unit, Instance)> {
    let unit = record.unit.as_ref()?;
    let instance = if unit.user { Instance::User } else { Instance::System };
    Some((Unit::stored(&unit.name, instance), instance))
}

/// Whose systemd makes this process's containers.
///
/// Root of a user namespace has its own user's outside, unless a whole system runs inside: which one
/// it is shows in the slice that it is in, `user-1000.slice` or none.
pub(crate) fn instance() -> Instance {
    if !nix::unistd::geteuid().is_root() {
        return Instance::User;
    }
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    match crate::probe::is_rootless() && is_in_a_users_slice(&own) {
        true => Instance::User,
        false => Instance::System,
    }
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
