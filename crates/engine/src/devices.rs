//! Device nodes and the links of `/dev`. Runs in the container's init, before the pivot.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, Mode, SFlag, makedev, mknodat, umask};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use plan::{DeviceNode, DeviceSource};
use sys::{Context, OpenTree};

use crate::error::{Result, Step};
use crate::resolve::{self, Missing};
use crate::rootfs::c_string;
use crate::tree::Trees;

/// The links of every `/dev` (config-linux.md, "Default Devices"; "Dev symbolic links").
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];

/// Makes the nodes and links of the plan below `root`.
pub(crate) fn make(root: BorrowedFd<'_>, plan: &plan::Create<'_>, trees: &Trees) -> Result<()> {
    if plan.device_source == DeviceSource::Host {
        return Ok(());
    }
    let _step = crate::trace::step("make the devices", "");
    let dev = resolve::open(root, "/dev", Missing::MakeDirectory)?;
    let mask = umask(Mode::empty());
    for device in &plan.devices {
        match plan.device_source {
            DeviceSource::Bind => bind_node(root, device, trees),
            _ => make_node(root, &dev, device),
        }
        .step(|| format!("device {}", device.path))?;
    }
    umask(mask);
    for (target, name) in LINKS {
        link(&dev, target, name)?;
    }
    if has_kcore() {
        link(&dev, "/proc/kcore", "core")?;
    }
    // Whatever the image has there, the container's ptmx is that of its own devpts.
    match symlinkat("pts/ptmx", &dev, "ptmx") {
        Err(Errno::EEXIST) => {
            unlinkat(&dev, "ptmx", UnlinkatFlags::NoRemoveDir).at("unlink", "/dev/ptmx")?;
            link(&dev, "pts/ptmx", "ptmx")
        }
        other => Ok(other.at("symlink", "/dev/ptmx")?),
    }
}

/// Whether it is the character device of these numbers.
pub(crate) fn is_character_device(stat: &FileStat, major: u64, minor: u64) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits()
        && stat.st_rdev == makedev(major, minor)
}

/// Whether it is the null device (null(4)).
pub(crate) fn is_null(stat: &FileStat) -> bool {
    is_character_device(stat, 1, 3)
}

fn has_kcore() -> bool {
    let access = nix::unistd::AccessFlags::F_OK;
    nix::unistd::faccessat(AT_FDCWD, "/proc/kcore", access, AtFlags::empty()).is_ok()
}

fn link(dev: &OwnedFd, target: &str, name: &str) -> Result<()> {
    match symlinkat(target, dev, name) {
        // The image's own stays.
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Ok(Err(errno).at("symlink", format!("/dev/{name}"))?),
    }
}

fn make_node(root: BorrowedFd<'_>, dev: &OwnedFd, device: &DeviceNode<'_>) -> Result<()> {
    // Nearly all are right in /dev, which is open already.
    match device.path.strip_prefix("/dev/").filter(|name| !name.contains('/')) {
        Some(name) if name != ".." => make_in(dev.as_fd(), name, device),
        _ => {
            let (parent, name) = device.path.rsplit_once('/').unwrap_or(("", device.path));
            let parent = resolve::open(root, parent, Missing::MakeDirectory)?;
            make_in(parent.as_fd(), name, device)
        }
    }
}

fn make_in(parent: BorrowedFd<'_>, name: &str, device: &DeviceNode<'_>) -> Result<()> {
    let kind = SFlag::from_bits_truncate(device.kind);
    let mode = Mode::from_bits_truncate(device.mode);
    match mknodat(parent, name, kind, mode, makedev(device.major.into(), device.minor.into())) {
        // As runc: a node that the image or a volume brought is used as it is.
        Err(Errno::EEXIST) => return Ok(()),
        other => other.at("mknod", device.path)?,
    }
    if device.uid != 0 || device.gid != 0 {
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        fchownat(parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .at("chown", device.path)?;
    }
    Ok(())
}

fn bind_node(root: BorrowedFd<'_>, device: &DeviceNode<'_>, trees: &Trees) -> Result<()> {
    let tree = trees.take(AT_FDCWD, &c_string(device.path)?, OpenTree::default())?;
    let target = resolve::open(root, device.path, Missing::MakeFile)?;
    trees.cover(tree, target.as_fd())
}
