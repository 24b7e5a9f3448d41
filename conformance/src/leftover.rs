//! What a test has left on the machine, and its removal.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::layout;

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = tasks.flatten().filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    lists.flat_map(|l| l.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect()
}

/// All descendants of a process.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut all = children(pid);
    let mut next = 0;
    while next < all.len() {
        all.extend(children(all[next]));
        next += 1;
    }
    all
}

/// The cgroups, in every hierarchy, whose name starts with `tag`; a scope's, after its prefix.
pub(crate) fn cgroups(tag: &str) -> impl Iterator<Item = PathBuf> {
    let mut found = Vec::new();
    collect(Path::new(layout::TOP), tag, 7, &mut found);
    found.into_iter()
}

fn collect(dir: &Path, tag: &str, depth: u32, found: &mut Vec<PathBuf>) {
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), tag, depth - 1, found);
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.strip_prefix(layout::SCOPE).unwrap_or(&name).starts_with(tag) {
                found.push(entry.path());
            }
        }
    }
}

/// The mount points below `dir`, the innermost first.
pub(crate) fn mounts(dir: &Path) -> Vec<String> {
    let below = format!("{}/", dir.display());
    let info = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = info.lines().filter_map(|line| line.split(' ').nth(4));
    let mut found: Vec<String> =
        points.filter(|point| point.starts_with(&below)).map(str::to_owned).collect();
    found.reverse();
    found
}

/// Says what is there of the case `tag` in `scratch`; `known` are processes that belong there.
pub(crate) fn find(tag: &str, scratch: &Path, known: &BTreeSet<u32>) -> Vec<String> {
    let mut left: Vec<String> = Vec::new();
    for pid in descendants(std::process::id()) {
        let ours = known.iter().any(|kept| *kept == pid || descendants(*kept).contains(&pid));
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !ours && !line.is_empty() {
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            left.push(format!("process {pid} ({})", line.trim()));
        }
    }
    left.extend(cgroups(tag).map(|dir| format!("cgroup {}", dir.display())));
    left.extend(mounts(scratch).into_iter().map(|point| format!("mount {point}")));
    left
}

/// Removes what is there, whatever the runtime made of it.
pub(crate) fn clean(tag: &str, scratch: &Path) {
    let groups: Vec<PathBuf> = cgroups(tag).collect();
    for group in &groups {
        let (file, thawed) = layout::either(("freezer.state", "THAWED"), ("cgroup.freeze", "0"));
        let _ = fs::write(group.join(file), thawed);
        for pid in fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
            end(pid.parse().unwrap_or(0));
        }
    }
    for pid in descendants(std::process::id()) {
        end(pid);
    }
    for point in mounts(scratch) {
        let _ = umount2(point.as_str(), MntFlags::MNT_DETACH);
    }
    for _ in 0..50 {
        if groups.iter().all(|group| fs::remove_dir(group).is_ok() || !group.exists()) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A pid as the kernel's calls take it; one that no process has, if it can't be one.
pub(crate) fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// Ends one process that a test started.
pub(crate) fn end(pid: u32) {
    if pid > 1 && pid != std::process::id() {
        let _ = kill(raw(pid), Signal::SIGKILL);
    }
}
