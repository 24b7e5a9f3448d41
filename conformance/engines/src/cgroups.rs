//! A cgroup for each cage in every hierarchy of the machine, v1 or v2.
//!
//! With a cgroup namespace on top, the engine takes it for the whole tree: what the engine leaves
//! in it can be counted, and what else runs on the machine is not disturbed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use crate::error::{Doing, Result};

/// How the cage is told its directories: the environment of the `--cage` stage.
pub(crate) const VARIABLE: &str = "ENGINES_CGROUPS";

/// The directories are named so, with the driver's pid and the engine behind it.
const PREFIX: &str = "engines-";

/// Where the hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// One mounted hierarchy: where, `cgroup` or `cgroup2`, and with which controllers.
struct Hierarchy {
    place: PathBuf,
    kind: String,
    options: String,
}

/// The hierarchies below `/sys/fs/cgroup`.
fn hierarchies() -> Result<Vec<Hierarchy>> {
    let text = fs::read_to_string("/proc/self/mountinfo").doing("read /proc/self/mountinfo")?;
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in text.lines() {
        let Some((head, tail)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(place), mut tail) = (head.split(' ').nth(4), tail.split(' ')) else {
            continue;
        };
        let (Some(kind), Some(options)) = (tail.next(), tail.nth(1)) else {
            continue;
        };
        if kind.starts_with("cgroup") && place.starts_with(ROOT) {
            let ours = |option: &&str| {
                !matches!(*option, "rw" | "ro") && !option.starts_with("release_agent=")
            };
            let options = options.split(',').filter(ours).collect::<Vec<_>>().join(",");
            found.push(Hierarchy { place: place.into(), kind: kind.to_owned(), options });
        }
    }
    Ok(found)
}

/// The directories of one cage. They are removed with the value.
pub(crate) struct Groups(Vec<PathBuf>);

impl Groups {
    /// Makes a directory in each hierarchy, named after this process and the engine.
    pub(crate) fn make(engine: &str) -> Result<Self> {
        let name = format!("{PREFIX}{}-{engine}", std::process::id());
        let mut made = Self(Vec::new());
        for hierarchy in hierarchies()? {
            if hierarchy.kind == "cgroup2" {
                delegate(&hierarchy.place);
            }
            sweep(&hierarchy.place);
            let group = hierarchy.place.join(&name);
            fs::create_dir(&group).doing(format!("make {}", group.display()))?;
            // A new v1 cpuset is empty, and takes no process before it is filled.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read(hierarchy.place.join(file)) {
                    let file = group.join(file);
                    fs::write(&file, value).doing(format!("write {}", file.display()))?;
                }
            }
            made.0.push(group);
        }
        Ok(made)
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self.0.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&paths.join(" "))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.0.iter().for_each(|group| remove(group));
    }
}

/// Removes a cgroup and all that are in it.
fn remove(group: &Path) {
    for directory in below(group).iter().rev() {
        // A process of the cage that is still dying holds its directory for a moment.
        for _ in 0..50 {
            if fs::remove_dir(directory).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Removes what a driver that was killed has left.
fn sweep(hierarchy: &Path) {
    for entry in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&entry.path());
        }
    }
}

/// `directory` and all that are below it, parents first.
pub(crate) fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(directory) = found.get(next) {
        let inside = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut inside: Vec<PathBuf> = inside
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        inside.sort();
        found.append(&mut inside);
        next += 1;
    }
    found
}

/// All cgroups of the cage, as paths from its root: `cpu/docker/0123...`.
pub(crate) fn all() -> Vec<String> {
    let found = below(Path::new(ROOT));
    let inner = found.iter().filter_map(|path| path.strip_prefix(ROOT).ok());
    inner.map(|path| path.display().to_string()).collect()
}

/// The directories that [`VARIABLE`] lists.
fn listed() -> Vec<PathBuf> {
    let listed = std::env::var(VARIABLE).unwrap_or_default();
    listed.split_whitespace().map(PathBuf::from).collect()
}

/// Moves this process into the cage's directories.
pub(crate) fn join() -> Result<()> {
    listed().iter().try_for_each(|group| enter(group))
}

fn enter(group: &Path) -> Result<()> {
    let file = group.join("cgroup.procs");
    fs::write(&file, "0").doing(format!("write {}", file.display()))
}

/// In v2 a cgroup with children that have controllers can hold no process: this one, with those that
/// it starts, goes to a leaf, so that the engine can use the controllers.
pub(crate) fn leave_the_root() -> Result<()> {
    let is_unified = |group: &PathBuf| group.parent() == Some(Path::new(ROOT));
    for group in listed().into_iter().filter(is_unified) {
        let leaf = group.join("driver");
        fs::create_dir(&leaf).doing("make the driver's cgroup")?;
        enter(&leaf)?;
        delegate(&group);
    }
    Ok(())
}

/// Mounts every hierarchy again at the same place below a new `/sys`. Each shows the cage's own
/// cgroup as its root, because the mount is made in the cage's cgroup namespace.
pub(crate) fn mount_again() -> Result<()> {
    let hierarchies = hierarchies()?;
    let none = None::<&str>;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).doing("mount /sys")?;
    if hierarchies.iter().all(|hierarchy| hierarchy.place != Path::new(ROOT)) {
        mount(Some("cgroup"), ROOT, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .doing(format!("mount {ROOT}"))?;
    }
    for Hierarchy { place, kind, options } in hierarchies {
        fs::create_dir_all(&place).doing(format!("make {}", place.display()))?;
        let options = (kind == "cgroup").then_some(options.as_str());
        mount(Some("cgroup"), &place, Some(kind.as_str()), MsFlags::empty(), options)
            .doing(format!("mount {}", place.display()))?;
    }
    Ok(())
}

/// Gives the controllers of a v2 cgroup to its children; those that are not there (a hybrid
/// machine has them in v1) are not missed.
fn delegate(group: &Path) {
    let listed = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in listed.split_whitespace() {
        let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}
