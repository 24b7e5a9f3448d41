//! All that a container can leave on a machine, counted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Result;
use crate::room::{self, Room};

/// Who is dying may take this long.
const DYING: Duration = Duration::from_secs(2);

/// The source of a tmpfs that this program has mounted itself: it is not counted.
pub(crate) const OWN_MOUNT: &str = "of-the-sweep";

/// What is there, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Census(BTreeSet<String>);

impl Census {
    /// Counts. Mounts and network devices are those of the namespaces that this program is in, where
    /// it is alone; processes its descendants.
    pub(crate) fn take(room: &Room) -> Census {
        room::reap();
        let mut all = BTreeSet::new();
        for pid in descendants() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            all.insert(format!("process {pid} {}", name.trim_end()));
        }
        for hierarchy in hierarchies() {
            directories(&hierarchy.join(&room.cgroup), &mut all);
        }
        for place in ["state", "out"] {
            files(&room.path(place), &mut all);
        }
        files(Path::new("/sys/fs/bpf"), &mut all);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        // Without the number and what it is, which are the same for what was mounted anew.
        let own = format!(" - tmpfs {OWN_MOUNT} ");
        let mounts = mounts.lines().filter(|line| !line.contains(&own));
        all.extend(mounts.map(|line| format!("mount {line}")));
        let devices = fs::read_to_string("/proc/net/dev").unwrap_or_default();
        let names = devices.lines().skip(2).filter_map(|line| line.split_once(':'));
        all.extend(names.map(|(name, _)| format!("network device {}", name.trim())));
        Census(all)
    }

    /// Whether all is as it was; who dies may take a moment.
    pub(crate) fn is_back(&self, room: &Room) -> Result<()> {
        room::patiently(DYING, || {
            let now = Census::take(room);
            if now == *self { Ok(()) } else { Err(self.difference(&now)) }
        })
    }

    fn difference(&self, now: &Census) -> String {
        let left = now.0.difference(&self.0).map(|line| format!("left: {line}"));
        let gone = self.0.difference(&now.0).map(|line| format!("gone: {line}"));
        let all: Vec<String> = left.chain(gone).take(4).collect();
        all.join(", ")
    }
}

/// Puts everything back by force, so that the next point starts as this one did.
pub(crate) fn clean(room: &Room) {
    let deadline = Instant::now() + DYING;
    for pid in descendants() {
        room::end(pid);
    }
    let mut cgroups = BTreeSet::new();
    for hierarchy in hierarchies() {
        let _ =
            fs::write(hierarchy.join(&room.cgroup).join(room::ID).join("freezer.state"), "THAWED");
        directories(&hierarchy.join(&room.cgroup), &mut cgroups);
    }
    let state = room.path("state");
    let _ = fs::remove_dir_all(&state);
    let _ = fs::create_dir(&state);
    room.clear();
    while Instant::now() < deadline {
        room::reap();
        let below = format!("/{}/", room.cgroup);
        let containers = cgroups.iter().rev().filter(|line| line.contains(&below));
        let paths = containers.filter_map(|line| line.strip_prefix("cgroup "));
        let mut left =
            paths.filter(|path| fs::remove_dir(path).is_err() && Path::new(path).exists());
        if left.next().is_none() && descendants().is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Where cgroups are: each hierarchy's mount.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    if top.join("cgroup.controllers").exists() {
        return vec![top.to_owned()];
    }
    let inner = fs::read_dir(top).into_iter().flatten().flatten();
    inner
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|e| e.path())
        .collect()
}

fn directories(place: &Path, all: &mut BTreeSet<String>) {
    if !place.is_dir() {
        return;
    }
    all.insert(format!("cgroup {}", place.display()));
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directories(&entry.path(), all);
        }
    }
}

fn files(place: &Path, all: &mut BTreeSet<String>) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        all.insert(format!("file {}", entry.path().display()));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&entry.path(), all);
        }
    }
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let numbers = |list: String| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>();
    lists.flat_map(numbers).collect()
}

/// All processes that this one has, or that came to it.
pub(crate) fn descendants() -> Vec<i32> {
    let mut all = children(std::process::id());
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let more = children(*pid as u32);
        all.extend(more);
        next += 1;
    }
    all
}
