//! The cgroups that a run leaves behind: the one thing that a room's end does not take away.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// Where the hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// The cgroups that were there before a run.
#[derive(Debug)]
pub(crate) struct Before(BTreeSet<PathBuf>);

impl Before {
    /// Looks around.
    pub(crate) fn now() -> Self {
        Self(tops().into_iter().collect())
    }

    /// Removes the cgroups that the suites' tests made and left; others may be at work beside them.
    pub(crate) fn restore(&self) {
        for top in tops() {
            let name = top.file_name().unwrap_or_default().to_string_lossy();
            if !self.0.contains(&top) && is_a_suites(&name) {
                remove(&top);
            }
        }
    }
}

/// Whether a cgroup's name is one that the suites' tests give.
fn is_a_suites(name: &str) -> bool {
    let uuid = name.len() == 36 && name.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let known = ["runc-cgroups-integration-test", "cgrouptest", "testdir", "test_"];
    uuid || known.iter().any(|prefix| name.starts_with(prefix))
}

/// The cgroups right below the hierarchies' roots (on v2, the hierarchy itself: its controllers'
/// mounts are missing, and what is found one level deeper is of no interest).
fn tops() -> Vec<PathBuf> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let mut tops = below(Path::new(ROOT));
    tops.extend(tops.clone().iter().flat_map(|top| below(top)));
    tops
}

/// Thaws every cgroup that holds a process which this one can see, by either version's file.
pub(crate) fn thaw() {
    for (file, frozen, thawed) in [
        ("freezer.state", "FROZEN", "THAWED"),
        ("freezer.state", "FREEZING", "THAWED"),
        ("cgroup.freeze", "1", "0"),
    ] {
        for top in tops() {
            walk(&top, &|cgroup| {
                let is_frozen =
                    |path| fs::read_to_string(path).is_ok_and(|now| now.trim() == frozen);
                let file = cgroup.join(file);
                if is_frozen(&file) && holds_a_visible_process(cgroup) {
                    let _ = fs::write(file, thawed);
                }
            });
        }
    }
}

/// Whether a cgroup has a process of this pid namespace; those of others are left out or are 0.
fn holds_a_visible_process(cgroup: &Path) -> bool {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    processes.lines().any(|pid| pid != "0")
}

/// Does something to a cgroup and to all below it.
fn walk(cgroup: &Path, visit: &impl Fn(&Path)) {
    visit(cgroup);
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
}

/// Removes a cgroup and those below it, so far as they are empty.
fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // What was killed with its room may take a moment; a cgroup that stays busy is somebody's.
    for _ in 0..10 {
        match fs::remove_dir(cgroup) {
            Err(why) if why.kind() == ErrorKind::ResourceBusy => sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
}
