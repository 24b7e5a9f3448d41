//! Mounts that are the host's: binds, masked files, device nodes of a user namespace, v1 cgroups. They
//! are not in the images; a dump names them, and a restore says what comes in their place.
//!
//! The names are runc's (the place inside, with its links resolved; `/dev/null` for what masks files),
//! so that either can restore what the other has dumped.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use cgroup::Cgroup;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::chdir;
use plan::{DEFAULT_DEVICES, DeviceSource, Mount, What};
use sys::{Context, OpenTree};

use super::rpc::{self, opts};
use super::wire::Message;
use crate::error::{Error, Result, Step};
use crate::resolve::{self, Missing};
use crate::rootfs::{c_string, hierarchies, mount_name};
use crate::store::{Outside, Record};
use crate::tree::Trees;
use crate::{mount_table, notify};

const NULL: &str = "/dev/null";

/// Tells a dump which mounts of the container are left out. Only what is mounted there now counts.
pub(crate) fn leave_out(
    options: &mut Message,
    outside: &Outside<'_>,
    record: &Record<'_>,
) -> Result<()> {
    if let Some((index, destination)) = &outside.mapped {
        return Err(mapped_ids(*index, destination));
    }
    let root = open_directory(&format!("/proc/{}/root", record.pid))?;
    let table = mount_table::of(record.pid)?;
    let mounted: HashSet<&str> = table.iter().map(|entry| entry.place.as_str()).collect();
    let mut leave = |place: &str, name: Option<&str>| {
        let place = resolved(root.as_fd(), "", place);
        if mounted.contains(place.as_str()) {
            check_key(&place)?;
            options.message(opts::EXT_MNT, &rpc::pair(&place, name.unwrap_or(&place)));
        }
        Ok::<(), Error>(())
    };
    for destination in &outside.binds {
        leave(inside(destination, &record.rootfs), None)?;
    }
    leave(notify::INSIDE, None)?;
    // v2 is a file system of the container's own.
    for place in table.iter().filter(|entry| entry.kind == "cgroup").map(|entry| &entry.place) {
        leave(place, None)?;
    }
    for path in &outside.masked {
        let masked = resolve::open(root.as_fd(), path, Missing::Fail);
        if masked.is_ok_and(|masked| resolve::is_directory(masked.as_fd()).is_ok_and(|is| !is)) {
            leave(path, Some(NULL))?;
        }
    }
    let devices = outside.devices.iter().map(|path| path.as_str());
    for path in DEFAULT_DEVICES.iter().map(|(path, ..)| *path).chain(devices) {
        leave(path, None)?;
    }
    Ok(())
}

/// Tells a restore what comes in the place of mounts that were left out. What they are mounted on must
/// be there.
pub(crate) fn describe(
    options: &mut Message,
    plan: &plan::Create<'_>,
    extra: Option<&Mount<'_>>,
    cgroup: &Cgroup,
) -> Result<()> {
    let root = open_directory(&plan.root.path)?;
    let base = path_of(root.as_fd());
    let mut put = |place: &str, source: &str| {
        let place = resolved(root.as_fd(), &base, place);
        check_key(&place)?;
        options.message(opts::EXT_MNT, &rpc::pair(&place, source));
        Ok::<(), Error>(())
    };
    for mount in plan.mounts.iter().chain(extra) {
        match &mount.what {
            What::Bind { source, .. } => put(&mount.destination, source)?,
            What::Cgroup { .. } if !cgroup.is_unified() => {
                for (directory, _, path) in hierarchies(cgroup) {
                    put(&format!("{}/{directory}", mount.destination), path)?;
                }
            }
            _ => {}
        }
    }
    put(NULL, NULL)?;
    if plan.device_source == DeviceSource::Bind {
        plan.devices.iter().try_for_each(|device| put(device.path, device.path))?;
    }
    Ok(())
}

/// CRIU keeps a name and what comes in its place as one text, `mnt[NAME]:PLACE`, and takes the first `]` for
/// the name's end: a directory of the image's may not choose the place (CVE-2026-115520,
/// CVE-2026-119101).
fn check_key(place: &str) -> Result<()> {
    match place.contains(']') {
        false => Ok(()),
        true => {
            let why = "has a bracket in it, which CRIU would take for the end of the name";
            Err(Error::Escape { path: place.to_owned(), why })
        }
    }
}

/// In the process that becomes CRIU: makes a mount namespace of its own, in which the container's root
/// is a mount, and makes in the root what is mounted on. What is in the root is the container's, so
/// places are found by descriptor; nothing of it shows on the host, whatever ends this process.
/// `reopen` is for what CRIU has open.
pub(crate) fn set_up_root(
    plan: &plan::Create<'_>,
    extra: Option<&Mount<'_>>,
    reopen: impl FnOnce() -> Result<()>,
) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).at("unshare", "mount namespace")?;
    let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).at("mount", "/")?;
    reopen()?;
    let trees = Trees::default();
    let path = c_string(&plan.root.path)?;
    let root = trees.take(AT_FDCWD, &path, RECURSIVE).step(|| "root".to_owned())?;
    let target = open_directory(&plan.root.path)?;
    let root = trees.attach_at(root, target.as_fd(), &path).step(|| "root".to_owned())?;
    let mut covers = Vec::new();
    for mount in plan.mounts.iter().chain(extra) {
        if !is_on_file_system(mount, &plan.mounts) {
            make_place(root.as_fd(), mount, &trees, &mut covers).step(|| mount_name(mount))?;
        }
    }
    // CRIU finds the root as the container's init did.
    while let Some(cover) = covers.pop() {
        let place = format!("/proc/self/fd/{}", cover.as_raw_fd());
        umount2(place.as_str(), MntFlags::MNT_DETACH).at("umount2", place)?;
    }
    Ok(chdir("/").at("chdir", "/")?)
}

/// Makes what `mount` is mounted on. A bind is then mounted there, for what is mounted inside it.
fn make_place(
    root: BorrowedFd<'_>,
    mount: &Mount<'_>,
    trees: &Trees,
    covers: &mut Vec<OwnedFd>,
) -> Result<()> {
    match &mount.what {
        What::Bind { source, attributes, .. } => {
            let mut cover = trees.take(AT_FDCWD, &c_string(source)?, RECURSIVE)?;
            // Also here nothing is made in what is bound read-only.
            cover.change_bind(trees, *attributes)?;
            let missing = match resolve::is_directory(cover.as_fd())? {
                true => Missing::MakeDirectory,
                false => Missing::MakeFile,
            };
            let target = resolve::open(root, &mount.destination, missing)?;
            covers.push(trees.attach(cover, target.as_fd(), root)?);
        }
        What::Filesystem { .. } => {
            resolve::open(root, &mount.destination, Missing::MakeDirectory)?;
        }
        What::Cgroup { .. } | What::Remount { .. } => {}
    }
    Ok(())
}

/// Whether CRIU, which restores file systems with all that is in them, makes the place.
fn is_on_file_system(mount: &Mount<'_>, all: &[Mount<'_>]) -> bool {
    all.iter().filter(|other| matches!(other.what, What::Filesystem { .. })).any(|other| {
        let below = mount.destination.strip_prefix(&*other.destination);
        below.is_some_and(|rest| rest.starts_with('/'))
    })
}

/// A mount whose ids are mapped would come back without the map.
pub(crate) fn refuse_mapped_plan(plan: &plan::Create<'_>) -> Result<()> {
    match plan.mapped_mount() {
        None => Ok(()),
        Some(mount) => Err(mapped_ids(mount.index, &mount.destination)),
    }
}

fn mapped_ids(index: usize, destination: &str) -> Error {
    let why = "CRIU can't restore a mount whose ids are mapped";
    Error::Usage(format!("mounts[{index}] {destination}: {why}"))
}

/// A destination that may be the host's name for a place in the root.
fn inside<'d>(destination: &'d str, rootfs: &str) -> &'d str {
    destination.strip_prefix(rootfs).filter(|rest| rest.starts_with('/')).unwrap_or(destination)
}

/// A path inside `root`, with its links resolved as far as it exists; `base` is the root's own path.
fn resolved(root: BorrowedFd<'_>, base: &str, path: &str) -> String {
    let path = path.trim_end_matches('/');
    if let Ok(found) = resolve::open(root, path, Missing::Fail) {
        let whole = path_of(found.as_fd());
        return whole.strip_prefix(base.trim_end_matches('/')).unwrap_or(&whole).to_owned();
    }
    match path.rsplit_once('/') {
        Some((above, name)) => {
            format!("{}/{name}", resolved(root, base, above).trim_end_matches('/'))
        }
        None => format!("/{path}"),
    }
}

/// What the kernel calls the file behind a descriptor: its path in the mount namespace that it is in.
fn path_of(fd: BorrowedFd<'_>) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    link.unwrap_or_default().to_string_lossy().into_owned()
}

const RECURSIVE: OpenTree = OpenTree { recursive: true, no_follow: false };

fn open_directory(path: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, path, flags, Mode::empty()).at("open", path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_are_paths_inside_with_links_resolved() {
        let dir = std::env::temp_dir().join(format!("criu-mounts-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("root/run")).unwrap();
        std::fs::create_dir_all(dir.join("root/var")).unwrap();
        symlink("/run", dir.join("root/var/run")).unwrap();
        let root = open_directory(dir.join("root").to_str().unwrap()).unwrap();
        let base = path_of(root.as_fd());
        for (path, inside) in [
            ("/var/run", "/run"),
            ("/var/run/new/file", "/run/new/file"),
            ("/run/", "/run"),
            ("/none", "/none"),
            ("/../run", "/run"),
        ] {
            assert_eq!(resolved(root.as_fd(), &base, path), inside, "{path}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_name_that_criu_would_cut_short_is_an_attack() {
        assert!(check_key("/data/a b[0").is_ok());
        for place in ["/data]:/etc", "/data]"] {
            assert!(matches!(check_key(place), Err(Error::Escape { .. })), "{place}");
        }
    }

    #[test]
    fn a_destination_may_be_the_hosts_name_for_it() {
        assert_eq!(inside("/b/rootfs/data", "/b/rootfs"), "/data");
        assert_eq!(inside("/b/rootfs2", "/b/rootfs"), "/b/rootfs2");
        assert_eq!(inside("/data", "/b/rootfs"), "/data");
    }
}
