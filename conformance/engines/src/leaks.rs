//! What an engine leaves behind: the state of its containers while it still runs, and everything
//! else once it is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cgroups;
use crate::error::{Doing, Result};

/// What was there before the engine started.
pub(crate) struct Before {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
}

impl Before {
    /// Looks at the cage.
    pub(crate) fn look() -> Result<Self> {
        Ok(Self { mounts: mounts()?, cgroups: cgroups::all().into_iter().collect() })
    }

    /// Mounts that are new, and not one of the engine's own: below one of `own`.
    pub(crate) fn mounts(&self, own: &[&str]) -> Result<Vec<String>> {
        let new = mounts()?.into_iter().filter(|place| !self.mounts.contains(place));
        Ok(new.filter(|place| !own.iter().any(|own| place.starts_with(own))).collect())
    }

    /// Cgroups that are new. `own` are the directories that the engine keeps for its containers'.
    pub(crate) fn cgroups(&self, own: &[&str]) -> Vec<String> {
        let new = cgroups::all().into_iter().filter(|group| !self.cgroups.contains(group));
        new.filter(|group| !own.iter().any(|own| group == own || is_in_a_hierarchy(group, own)))
            .collect()
    }
}

/// Whether a path of v1, which begins with the hierarchy's name, is `own` in it. In `own`, `#` as a
/// name stands for an id of 64 digits.
fn is_in_a_hierarchy(path: &str, own: &str) -> bool {
    let is = |name: &str, own: &str| match own {
        "#" => name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()),
        own => name == own,
    };
    let (path, own): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), own.split('/').collect());
    let rest = match own.contains(&"#") {
        true => Some(path.as_slice()),
        false => path.get(1..),
    };
    rest.is_some_and(|rest| rest.len() == own.len() && rest.iter().zip(own).all(|(n, o)| is(n, o)))
}

/// The mount points of the cage.
fn mounts() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo").doing("read /proc/self/mountinfo")?;
    Ok(text.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect())
}

/// What is in the directories where the runtime keeps a directory for each container. Names that
/// begin with a dot are not containers.
pub(crate) fn states(roots: &[&str]) -> Vec<String> {
    let entries = roots.iter().flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten());
    let containers = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    containers.map(|entry| entry.path().display().to_string()).collect()
}

/// The processes of the cage, `pid name`, without its init and this one.
pub(crate) fn processes() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").doing("list /proc")?.flatten() {
        let name = entry.file_name();
        let pid = name.to_string_lossy().parse::<u32>();
        let Ok(pid) = pid else { continue };
        if pid == 1 || pid == std::process::id() {
            continue;
        }
        let command = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        found.push(format!("{pid} {}", command.trim()));
    }
    Ok(found)
}

/// Looks again until nothing is left, or for three seconds: a process that was just killed takes a
/// moment to go, and so does its cgroup.
pub(crate) fn settle(mut look: impl FnMut() -> Result<Vec<String>>) -> Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let left = look()?;
        if left.is_empty() || start.elapsed() > Duration::from_secs(3) {
            return Ok(left);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether the machine's limits are in v1 hierarchies.
pub(crate) fn v1() -> bool {
    Path::new("/sys/fs/cgroup/memory").is_dir()
}
