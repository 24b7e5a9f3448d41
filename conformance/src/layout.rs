//! Where a cgroup's files are: v1 has a hierarchy for each controller, v2 one for all; and below
//! which cgroup a container's own is, as its maker says: root, an ordinary user, or systemd.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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

static SYSTEMD: OnceLock<bool> = OnceLock::new();

/// What the names of the tests' scopes begin with.
pub(crate) const SCOPE: &str = "conformance-";

/// Says once, at the start, whether systemd makes the cgroups: `--systemd`.
pub(crate) fn choose(systemd: bool) {
    let _ = SYSTEMD.set(systemd);
}

/// Does systemd make the cgroups?
pub(crate) fn systemd() -> bool {
    SYSTEMD.get().copied().unwrap_or(false)
}

/// Do the tests run as an ordinary user?
pub(crate) fn rootless() -> bool {
    !nix::unistd::geteuid().is_root()
}

/// Skips where systemd makes the cgroups: `cgroupsPath` is a unit then, and no path.
pub(crate) fn paths() -> Verdict {
    needs(!systemd(), "cgroups that the runtime makes by their paths")
}

/// Skips where the tests run as an ordinary user.
pub(crate) fn root() -> Verdict {
    needs(!rootless(), "root")
}

/// The `cgroupsPath` of a container with this id.
pub(crate) fn place(id: &str) -> String {
    let scope = SCOPE.trim_end_matches('-');
    match (systemd(), rootless()) {
        (true, false) => format!("system.slice:{scope}:{id}"),
        (true, true) => format!("user.slice:{scope}:{id}"),
        (false, _) => format!("{}/{id}", above()),
    }
}

/// The cgroup of a container whose `cgroupsPath` is `place(id)`, as `/proc/PID/cgroup` shows it.
pub(crate) fn of(id: &str) -> String {
    let (id, below) =
        id.split_once('/').map_or((id, String::new()), |(id, below)| (id, format!("/{below}")));
    match (systemd(), rootless()) {
        (true, false) => format!("/system.slice/{SCOPE}{id}.scope{below}"),
        (true, true) => format!("{}/user.slice/{SCOPE}{id}.scope{below}", above()),
        (false, _) => format!("{}/{id}{below}", above()),
    }
}

/// The cgroup above those of the tests: the root, or the one that was delegated to this user; that
/// of v2, since in v1 nothing is safely delegated. Of a user's systemd it is its own.
fn above() -> String {
    if !rootless() {
        return String::new();
    }
    if systemd() {
        static MANAGER: OnceLock<String> = OnceLock::new();
        let ask = ["--user", "show", "--value", "--property", "ControlGroup"];
        let asked = || std::process::Command::new("systemctl").args(ask).output();
        let told = || asked().map_or_else(|_| Vec::new(), |output| output.stdout);
        return MANAGER.get_or_init(|| String::from_utf8_lossy(&told()).trim().to_owned()).clone();
    }
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let user = nix::unistd::geteuid().as_raw();
    let ours = |place: &&Path| {
        let place = place.strip_prefix("/").unwrap_or(place);
        fs::metadata(Path::new(TOP).join(place)).is_ok_and(|meta| meta.uid() == user)
    };
    let top = Path::new(own).ancestors().take_while(ours).last();
    top.map_or_else(String::new, |place| place.display().to_string())
}

/// The directory of a v1 hierarchy, or v2's.
pub(crate) fn hierarchy(name: &str) -> String {
    either(format!("{TOP}/{name}"), TOP.to_owned())
}

/// A file of a container's cgroup, in a v1 hierarchy or in v2's. `cgroup` is the container's id, or
/// a path that begins with it; or that of a cgroup below the root.
pub(crate) fn path(name: &str, cgroup: &str, file: &str) -> PathBuf {
    let top = hierarchy(name);
    let direct = Path::new(&top).join(cgroup);
    let dir = if direct.exists() { direct } else { PathBuf::from(top + &of(cgroup)) };
    dir.join(file)
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
