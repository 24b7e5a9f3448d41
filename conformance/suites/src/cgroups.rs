//! The cgroups that a run leaves behind: the one thing that a room's end does not take away.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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
    let known = [
        "runc-cgroups-integration-test",
        "cgrouptest",
        "testdir",
        "test_",
    ];
    uuid || known.iter().any(|prefix| name.starts_with(prefix))
}

/// The cgroups right below the hierarchies' roots (on v2, the hierarchy itself: its controllers'
/// mounts are missing, and what is found one level deeper is of no interest).
fn tops() -> Vec<PathBuf> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect()
    };
    let mut tops = below(Path::new(ROOT));
    tops.extend(tops.clone().iter().flat_map(|top| below(top)));
    tops
}

/// Removes a cgroup and those below it, so far as they are empty.
fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // A cgroup with processes can't be removed, and is somebody's.
    let _ = fs::remove_dir(cgroup);
}
