//! The processes of a container, for `ps`: asked of the kernel, and never somebody else's.

use plan::NamespaceKind;

use crate::error::Result;
use crate::process;
use crate::store::Record;

/// The container's processes, by their numbers in the pid namespace of the caller.
///
/// They are those of its cgroup, if that is still the container's. Without a cgroup they are those of
/// its pid namespace; where it has neither, nobody knows more than its init.
pub fn pids(record: &Record<'_>) -> Result<Vec<i32>> {
    if !record.cgroup.is_empty() {
        return match record.owns_cgroup() {
            true => Ok(record.cgroup().pids()?),
            false => Ok(Vec::new()),
        };
    }
    if !process::is_alive(record.pid, record.start_time)? {
        return Ok(Vec::new());
    }
    match record.has_namespace(NamespaceKind::Pid.file()) {
        true => Ok(in_namespace_of(record.pid)),
        false => Ok(vec![record.pid]),
    }
}

/// All processes in the same pid namespace as this one.
fn in_namespace_of(init: i32) -> Vec<i32> {
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = namespace(init) else { return vec![init] };
    let all = std::fs::read_dir("/proc").into_iter().flatten();
    let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut pids: Vec<i32> = numbers.filter(|pid| namespace(*pid).as_ref() == Some(&own)).collect();
    pids.sort_unstable();
    pids
}
