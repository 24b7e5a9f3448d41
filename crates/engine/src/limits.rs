//! The container's cgroup and the limits of its process, on the runtime's side.

use cgroup::{Cgroup, Join, Layout};
use nix::errno::Errno;
use nix::unistd::Pid;
use plan::CgroupDriver;
use sys::{Clone3, Context};

use crate::error::{Error, Result, Step};
use crate::messages;
use crate::process::{self, Forked};
use crate::units::NewUnit;
use crate::{procfs, trace};

/// Where the container's cgroup is to be, and the unit that it is with systemd.
pub(crate) fn place(plan: &plan::Create<'_>) -> Result<(Cgroup, Option<NewUnit>)> {
    let _step = trace::step("find the cgroup's place", "");
    let (place, unit) = match &plan.cgroup.driver {
        CgroupDriver::Files => {
            let path = Some(plan.cgroup.path).filter(|path| !path.is_empty());
            (Cgroup::place(path, plan.id)?, None)
        }
        CgroupDriver::Systemd(unit) => {
            let (place, unit) = NewUnit::connect(plan, unit)?;
            (place, Some(unit))
        }
        CgroupDriver::Disabled => (Cgroup::default(), None),
    };
    match plan.cgroup.delegated.is_empty() || place.is_unified() {
        true => Ok((place, unit)),
        false => Err(Error::State(messages::NO_DELEGATION)),
    }
}

/// Gives the container's cgroup to its owner.
pub(crate) fn give_to_owner(place: &Cgroup, plan: &plan::Create<'_>) -> Result<()> {
    Ok(plan.cgroup.owner.map_or(Ok(()), |owner| place.delegate(owner))?)
}

/// The same; and moves the process into the cgroup below it that it is to manage: that becomes the
/// container's root's.
pub(crate) fn delegate(place: &Cgroup, plan: &plan::Create<'_>, pid: Pid) -> Result<()> {
    give_to_owner(place, plan)?;
    if plan.cgroup.delegated.is_empty() {
        return Ok(());
    }
    let uid = plan.namespaces.host_uid(0).unwrap_or(nix::unistd::geteuid().as_raw());
    Ok(place.delegate_below(plan.cgroup.delegated, pid.as_raw(), uid)?)
}

/// Says what can't be had here of the limits that were asked for, and hinders nothing: runc passes
/// over it.
pub(crate) fn warn_of_ignored(
    cgroup: &Cgroup,
    limits: &cgroup::Resources<'_>,
    warn: &dyn Fn(&str),
) {
    for ignored in cgroup.ignored(limits) {
        warn(&format!("linux.resources.{ignored}"));
    }
}

/// Clones a process into the cgroup.
///
/// On v1 the child joins by itself, and v2 beside it only groups processes: there the kernel may say
/// no. Before Linux 5.7 the child joins v2 by itself, too. On v2 alone the kernel says `EBUSY` when the
/// cgroup has become an inner one, since the container's init has made cgroups below and moved
/// (runc#2356): the new process then goes where `neighbour` is.
pub(crate) fn clone_into(flags: u64, join: &Join, neighbour: Option<i32>) -> Result<Forked> {
    let clone = |into_cgroup| process::clone(Clone3 { flags, into_cgroup });
    match (clone(join.dir()), neighbour) {
        (Err(_), _) if join.dir().is_some() && !join.files().is_empty() => clone(None),
        (Err(error), _) if error.errno().is_some_and(cannot_be_born_there) => {
            join.open_procs()?;
            clone(None)
        }
        (Err(error), Some(pid)) if error.errno() == Some(Errno::EBUSY) => {
            clone(join_of(pid)?.dir())
        }
        (cloned, _) => cloned,
    }
}

/// What kernels say that have no clone3, or no `CLONE_INTO_CGROUP`, whose descriptor is behind the end of the
/// arguments that they know.
fn cannot_be_born_there(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::E2BIG)
}

/// How to get to where a process is on v2.
pub(crate) fn join_of(pid: i32) -> Result<Join> {
    let read = |path: &str| std::fs::read_to_string(path).at("read", path);
    let own = read(&format!("/proc/{pid}/cgroup"))?;
    Ok(Layout::parse(&read("/proc/self/mountinfo")?, &own).own().join(&[])?)
}

/// What is set on the container's process from outside: its OOM score, and with `rlimits` its
/// resource limits.
pub(crate) fn set_on_process(pid: Pid, process: &plan::Process<'_>, rlimits: bool) -> Result<()> {
    if rlimits {
        set_rlimits(pid, process)?;
    }
    if let Some(score) = process.oom_score_adj {
        procfs::write(&format!("{pid}/oom_score_adj"), &score.to_string())
            .step(|| "process.oomScoreAdj".to_owned())?;
    }
    Ok(())
}

/// Sets the resource limits of a process; pid 0 is the calling one.
pub(crate) fn set_rlimits(pid: Pid, process: &plan::Process<'_>) -> Result<()> {
    for plan::Rlimit { resource, soft, hard } in &process.rlimits {
        sys::set_rlimit(pid, *resource, *soft, *hard).step(|| "process.rlimits".to_owned())?;
    }
    Ok(())
}
