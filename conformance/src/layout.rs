//! Where a cgroup's files are: v1 has a hierarchy for each controller, v2 one for all.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bundle::Bundle;
use crate::verdict::{Verdict, needs};

/// Where the hierarchies are, in a container too.
pub(crate) const TOP: &str = "/sys/fs/cgroup";

/// Is v2 the only layout? A v2 hierarchy beside those of v1 has no controllers.
pub(crate) fn unified() -> bool {
    Path::new(TOP).join("cgroup.controllers").exists()
}

/// What this layout has: the file, or its value.
pub(crate) fn either<T>(v1: T, v2: T) -> T {
    if unified() { v2 } else { v1 }
}

/// The directory of a v1 hierarchy, or v2's.
pub(crate) fn hierarchy(name: &str) -> String {
    either(format!("{TOP}/{name}"), TOP.to_owned())
}

/// A file of a cgroup, in a v1 hierarchy or in v2's.
pub(crate) fn path(name: &str, cgroup: &str, file: &str) -> PathBuf {
    Path::new(&hierarchy(name)).join(cgroup).join(file)
}

/// The text of a file of a cgroup.
#[track_caller]
pub(crate) fn read(name: &str, cgroup: &str, file: &str) -> Verdict<String> {
    has(name)?;
    Ok(fs::read_to_string(path(name, cgroup, file))?.trim().to_owned())
}

/// Skips where there is neither this v1 hierarchy nor v2.
pub(crate) fn has(name: &str) -> Verdict {
    needs(fs::exists(hierarchy(name))?, &format!("cgroup v2, or the v1 hierarchy {name}"))
}

/// The names of the v1 hierarchies, with the unified one and name=systemd; v2's has an empty one.
pub(crate) fn hierarchies() -> Verdict<Vec<String>> {
    if unified() {
        return Ok(vec![String::new()]);
    }
    let dirs = fs::read_dir(TOP)?.flatten();
    let names = dirs.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// The line of `/proc/PID/cgroup` with this controller's place.
pub(crate) fn line<'t>(text: &'t str, controller: &str) -> Option<&'t str> {
    let of = |line: &&str| {
        let names = line.split(':').nth(1).unwrap_or_default();
        either(names.split(',').any(|name| name == controller), line.starts_with("0::"))
    };
    text.lines().find(of)
}

/// With a cgroup namespace on v2, where a mount of the cgroups shows the container's own only then.
pub(crate) fn own(b: Bundle<'_>) -> Bundle<'_> {
    if unified() { b.unshare("cgroup") } else { b }
}
