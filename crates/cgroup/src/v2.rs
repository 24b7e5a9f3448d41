//! Limits and controllers on cgroup v2 (Documentation/admin-guide/cgroup-v2.rst).

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use crate::cgroup::{Cgroup, Dir};
use crate::error::{Error, Result};
use crate::file;
use crate::path;
use crate::resources::{BlockIo, Cpu, Memory, io_weight_of_blkio, swap_max, weight_of_shares};
use crate::target::{Target, write, write_either, write_lines, write_related};
use crate::v1::{self, ignore_missing};

const CONTROLLERS: &str = "cgroup.controllers";
const SUBTREE_CONTROL: &str = "cgroup.subtree_control";

/// What a container has on v2 without asking for it, so that it is counted: all controllers up to
/// Linux 5.13. Another one is enabled when a limit needs it.
const ALWAYS: [&str; 8] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];

/// Enables on the way down to `dir` the controllers that the top has and `dir` lacks.
///
/// What is not delegated, or cannot be enabled where it is, is left: a limit that needs it says
/// so later. What was opened becomes `spent`.
pub(crate) fn enable_controllers(dir: &Dir, spent: &mut Vec<OwnedFd>) -> Result<()> {
    let (has, read) = file::get(&dir.path, CONTROLLERS)?;
    spent.push(read);
    if dir.mount >= dir.path.len() || ALWAYS.iter().all(|name| contains(&has, name)) {
        return Ok(());
    }
    let (top, inner) = dir.path.split_at(dir.mount);
    let wanted = file::read(top, CONTROLLERS)?;
    if wanted.split_whitespace().all(|name| contains(&has, name)) {
        return Ok(());
    }
    for (at, _) in inner.match_indices('/') {
        let parent = &dir.path[..dir.mount + at];
        let enabled = file::read(parent, SUBTREE_CONTROL)?;
        let lacking: Vec<String> = wanted
            .split_whitespace()
            .filter(|name| !contains(&enabled, name))
            .map(|name| format!("+{name}"))
            .collect();
        // All or nothing; so after a refusal each by itself.
        if !lacking.is_empty() && file::write(parent, SUBTREE_CONTROL, &lacking.join(" ")).is_err()
        {
            for name in &lacking {
                let _ = file::write(parent, SUBTREE_CONTROL, name);
            }
        }
    }
    Ok(())
}

/// Sets a limit; if its file is not there, enables its controller first.
pub(crate) fn enabling(
    dir: Target<'_>,
    controller: &str,
    limit: &str,
    set: impl Fn() -> Result<()>,
) -> Result<()> {
    let missing = |error: &Error| error.errno() == Some(Errno::ENOENT);
    let has = || dir.controllers().is_ok_and(|list| contains(&list, controller));
    let result = match set() {
        Err(error) if missing(&error) && !has() && dir.enable(controller) => set(),
        result => result,
    };
    match result {
        Err(error) if missing(&error) && !has() => Err(v1::no_controller(controller, limit)),
        result => result,
    }
}

/// Enables one controller for the cgroup `dir`, and for those above it as far as need be.
pub(crate) fn enable(dir: &str, controller: &str) -> bool {
    let parent = path::parent(dir);
    let Ok(list) = file::read(parent, CONTROLLERS) else {
        // That is the top.
        return false;
    };
    (contains(&list, controller) || enable(parent, controller))
        && file::write(parent, SUBTREE_CONTROL, &format!("+{controller}")).is_ok()
}

/// Whether a list of controllers has this one.
pub(crate) fn contains(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|other| other == name)
}

impl Cgroup {
    /// Gives the cgroup to `uid`, so that a container in a user namespace of its own may make
    /// cgroups below: the directory, and the files that the kernel names for it, never its
    /// limits (cgroup-v2.rst, "Model of Delegation"). v2 only: on v1 it would be unsafe, and
    /// nothing is done.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn delegate(&self, uid: u32) -> Result<()> {
        let (true, Some(dir)) = (self.is_unified(), self.v2_dir()) else {
            return Ok(());
        };
        chown(dir, uid)?;
        // Linux 4.15; before it these three.
        let names = file::read("/sys/kernel/cgroup", "delegate")
            .unwrap_or_else(|_| "cgroup.procs\ncgroup.subtree_control\ncgroup.threads".to_owned());
        for name in names.lines().filter(|name| path::is_file_name(name)) {
            match chown(&file::join(dir, name), uid) {
                Err(error) if error.is_gone() => {}
                result => result?,
            }
        }
        Ok(())
    }
}

fn chown(path: &str, uid: u32) -> Result<()> {
    std::os::unix::fs::chown(path, Some(uid), None).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        file::call_error("chown", path, errno)
    })
}

/// -1 is `max`.
fn max_or(value: i64) -> String {
    match value {
        -1 => "max".to_owned(),
        value => value.to_string(),
    }
}

pub(crate) fn set_memory(dir: Target<'_>, memory: &Memory) -> Result<()> {
    let limit = memory.limit.filter(|&limit| limit != 0);
    if memory.check_before_update {
        check_usage(dir, "memory+swap", memory.swap)?;
        check_usage(dir, "memory", limit)?;
    }
    if let Some(swap) = swap_max(limit, memory.swap)? {
        let result = write(dir, "memory.swap.max", &max_or(swap));
        match swap {
            // Without swap, or its accounting, there is nothing to lift or to forbid.
            0 | -1 => ignore_missing(result, "memory.swap.max")?,
            _ => result?,
        }
    }
    if let Some(limit) = limit {
        write(dir, "memory.max", &max_or(limit))?;
    }
    match memory.reservation.filter(|&value| value != 0) {
        Some(value) => write(dir, "memory.low", &max_or(value)),
        None => Ok(()),
    }
}

/// `memory.max` below the usage makes the kernel reclaim and, if that is not enough, kill. As in
/// runc the limit of memory and swap is compared with the memory in use, too: there is no need to
/// swap in what is out.
fn check_usage(dir: Target<'_>, what: &'static str, limit: Option<i64>) -> Result<()> {
    let Some(limit @ 1..) = limit else { return Ok(()) };
    let usage = dir.read("memory.current", "0").ok();
    match usage.and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(usage) if usage >= limit.unsigned_abs() => {
            Err(Error::BelowUsage { what, limit, usage })
        }
        _ => Ok(()),
    }
}

pub(crate) fn set_cpu(dir: Target<'_>, cpu: &Cpu<'_>) -> Result<()> {
    // An idle cgroup refuses a weight: stop idling before, start after.
    if cpu.idle == Some(0) {
        write(dir, "cpu.idle", "0")?;
    }
    if let Some(shares) = cpu.asked_shares() {
        write(dir, "cpu.weight", &weight_of_shares(shares).to_string())?;
    }
    let mut values = Vec::with_capacity(2);
    values.extend(cpu_max(dir, cpu)?.map(|max| ("cpu.max", max)));
    values.extend(cpu.burst.map(|burst| ("cpu.max.burst", burst.to_string())));
    write_related(dir, &values, v1::may_lack_burst(cpu, "cpu.max.burst"))?;
    match cpu.idle {
        Some(idle) if idle != 0 => write(dir, "cpu.idle", &idle.to_string()),
        _ => Ok(()),
    }
}

/// What to write to `cpu.max`: it takes the quota alone, and leaves the period as it is, but
/// not the period alone.
fn cpu_max(dir: Target<'_>, cpu: &Cpu<'_>) -> Result<Option<String>> {
    let quota = match cpu.quota {
        None | Some(0) => None,
        Some(..0) => Some("max".to_owned()),
        Some(quota) => Some(quota.to_string()),
    };
    Ok(match (quota, cpu.period.filter(|&period| period != 0)) {
        (quota, None) => quota,
        (Some(quota), Some(period)) => Some(format!("{quota} {period}")),
        (None, Some(period)) => {
            let now = dir.read("cpu.max", "max 100000")?;
            let quota = now.split_whitespace().next().unwrap_or("max");
            Some(format!("{quota} {period}"))
        }
    })
}

pub(crate) fn set_cpuset(dir: Target<'_>, cpu: &Cpu<'_>) -> Result<()> {
    for (name, value) in [("cpuset.cpus", cpu.cpus), ("cpuset.mems", cpu.mems)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            write(dir, name, value)?;
        }
    }
    Ok(())
}

pub(crate) fn set_io(dir: Target<'_>, io: &BlockIo) -> Result<()> {
    // BFQ takes the weight as it is; io.cost's file has its own scale.
    if let Some(weight) = io.weight.filter(|&weight| weight != 0) {
        let other = io_weight_of_blkio(weight).to_string();
        write_either(dir, ("io.bfq.weight", &weight.to_string()), ("io.weight", other))?;
    }
    for device in &io.weight_devices {
        let Some(weight) = device.weight.filter(|&weight| weight != 0) else {
            continue;
        };
        let line = |weight: u64| format!("{}:{} {weight}", device.major, device.minor);
        let other = line(io_weight_of_blkio(weight));
        write_either(dir, ("io.bfq.weight", &line(weight.into())), ("io.weight", other))?;
    }
    let throttles = [
        ("rbps", &io.throttle_read_bps),
        ("wbps", &io.throttle_write_bps),
        ("riops", &io.throttle_read_iops),
        ("wiops", &io.throttle_write_iops),
    ];
    let lines = throttles.iter().flat_map(|(key, rates)| {
        rates.iter().map(move |t| match t.rate {
            0 => format!("{}:{} {key}=max", t.major, t.minor),
            rate => format!("{}:{} {key}={rate}", t.major, t.minor),
        })
    });
    write_lines(dir, "io.max", lines)
}

/// Writes files by their names.
pub(crate) fn set_unified(dir: Target<'_>, files: &[(&str, &str)]) -> Result<()> {
    let invalid = |name: &str, reason| {
        Err(Error::Value { name: "unified".to_owned(), value: name.to_owned(), reason })
    };
    for (name, value) in files {
        if !path::is_file_name(name) {
            return invalid(name, "not the name of a file");
        }
        // The kernel takes one device a write.
        let lines = || value.split_inclusive('\n').chain(value.is_empty().then_some(""));
        let set = || write_lines(dir, name, lines());
        match name.split_once('.') {
            None => {
                if set().is_err() {
                    return invalid(name, "must be in the form CONTROLLER.PARAMETER");
                }
            }
            Some(("cgroup", _)) => set()?,
            Some((controller, _)) => {
                enabling(dir, controller, &format!("unified resource {name}"), set)?;
            }
        }
    }
    Ok(())
}
