//! Mounts by file descriptor (Linux 5.2 and 5.12), and the few classic calls beside them.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::mount::MsFlags;

use crate::{Context, Error, Result};

/// How [`open_tree`] copies.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenTree {
    /// Copy the mounts below it, too (`AT_RECURSIVE`).
    pub recursive: bool,
    /// Don't follow a symbolic link at the path's end.
    pub no_follow: bool,
}

/// A detached copy of the mount at `path` below `dir` (open_tree(2) with `OPEN_TREE_CLONE`, Linux 5.2).
///
/// An empty path means `dir` itself. `ENOSYS` is also what it is where a filter doesn't know the call.
pub fn open_tree(dir: BorrowedFd<'_>, path: &CStr, how: OpenTree) -> Result<OwnedFd> {
    let mut flags = (libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC) as i32;
    if how.recursive {
        flags |= libc::AT_RECURSIVE;
    }
    if how.no_follow {
        flags |= libc::AT_SYMLINK_NOFOLLOW;
    }
    if path.count_bytes() == 0 {
        flags |= libc::AT_EMPTY_PATH;
    }
    // SAFETY: `path` is a terminated string that outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) };
    if fd < 0 {
        let error = Error::last("open_tree", path.to_string_lossy());
        return match error.errno {
            Errno::EPERM if !knows_open_tree() => Err(Error { errno: Errno::ENOSYS, ..error }),
            _ => Err(error),
        };
    }
    // SAFETY: the kernel returned a new descriptor that nobody owns yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether the call comes to the kernel: filters that don't know it may say `EPERM`. The kernel looks at the
/// flags before all else.
fn knows_open_tree() -> bool {
    // SAFETY: the path is the empty, terminated string, and nothing is opened with such flags.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, -1, c"".as_ptr(), u32::MAX) };
    fd < 0 && Errno::last() == Errno::EINVAL
}

/// Attaches a detached mount on the very object behind `target` (move_mount(2), Linux 5.2).
pub fn move_mount(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    const F_EMPTY_PATH: u32 = 0x4;
    const T_EMPTY_PATH: u32 = 0x40;
    // SAFETY: both paths are the empty, terminated string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            F_EMPTY_PATH | T_EMPTY_PATH,
        )
    };
    if result < 0 {
        return Err(Error::last("move_mount", ""));
    }
    Ok(())
}

/// Attaches a mount over `name`, which must be no link, in `directory` (move_mount(2), Linux 5.2).
pub fn move_mount_into(
    mount: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    name: &CStr,
) -> Result<()> {
    // SAFETY: both paths are terminated strings, and both descriptors are open.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            directory.as_raw_fd(),
            name.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if result < 0 {
        return Err(Error::last("move_mount", name.to_string_lossy()));
    }
    Ok(())
}

/// Mount attributes to set and to clear (mount_setattr(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
}

impl Attributes {
    /// `MOUNT_ATTR_RDONLY` and no other.
    pub const READ_ONLY: Attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, clear: 0 };
}

fn mount_setattr(mount: BorrowedFd<'_>, attr: &libc::mount_attr, recursive: bool) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let size = std::mem::size_of::<libc::mount_attr>();
    // SAFETY: the path is empty and terminated, `attr` is valid for `size` bytes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size,
        )
    };
    if result < 0 {
        return Err(Error::last("mount_setattr", ""));
    }
    Ok(())
}

/// Changes the attributes of the mount behind `mount`, with `recursive` of all below it, at once
/// (mount_setattr(2), Linux 5.12).
pub fn change_attributes(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    recursive: bool,
) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: 0,
        userns_fd: 0,
    };
    mount_setattr(mount, &attr, recursive)
}

/// Maps the ids of a detached mount by a user namespace (`MOUNT_ATTR_IDMAP`, Linux 5.12).
pub fn map_ids(
    mount: BorrowedFd<'_>,
    user_namespace: BorrowedFd<'_>,
    recursive: bool,
) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: user_namespace.as_raw_fd() as u64,
    };
    mount_setattr(mount, &attr, recursive)
}

/// Changes the propagation of the mount behind `mount`: one of `MS_SHARED`, `MS_SLAVE`,
/// `MS_PRIVATE`, `MS_UNBINDABLE`.
pub fn set_propagation(mount: BorrowedFd<'_>, kind: MsFlags, recursive: bool) -> Result<()> {
    let attr =
        libc::mount_attr { attr_set: 0, attr_clr: 0, propagation: kind.bits(), userns_fd: 0 };
    mount_setattr(mount, &attr, recursive)
}

/// Swaps the root for the working directory and stacks the old root on top of it, to be unmounted
/// (pivot_root(2), "pivot_root(".", ".")").
pub fn pivot_root_here() -> Result<()> {
    // SAFETY: both paths are terminated strings.
    let result = unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) };
    if result < 0 {
        return Err(Error::last("pivot_root", "."));
    }
    Ok(())
}

/// Gives the working directory an SELinux context (setxattr(2), `security.selinux`).
pub fn set_label_here(label: &str) -> Result<()> {
    // SAFETY: both names are terminated strings, and `label` is valid for its length.
    let result = unsafe {
        libc::setxattr(
            c".".as_ptr(),
            c"security.selinux".as_ptr(),
            label.as_ptr().cast(),
            label.len(),
            0,
        )
    };
    if result < 0 {
        return Err(Error::last("setxattr security.selinux", label));
    }
    Ok(())
}

/// `PROC_SUPER_MAGIC` (linux/magic.h): what [`magic`] is of procfs.
pub const PROC_MAGIC: i64 = 0x9fa0;

/// The magic number of the file system behind a descriptor (fstatfs(2)).
pub fn magic(fd: BorrowedFd<'_>) -> Result<i64> {
    let stat = nix::sys::statfs::fstatfs(fd).at("fstatfs", "")?;
    #[allow(clippy::unnecessary_cast, reason = "the field's type differs between libcs")]
    Ok(stat.filesystem_type().0 as i64)
}

/// The attributes of the mount behind a descriptor (`MOUNT_ATTR_*`), by what fstatvfs(3) says of it. What the file
/// system itself is, such as read-only, it says of the mount, too.
pub fn attributes(mount: BorrowedFd<'_>) -> Result<u64> {
    // SAFETY: statvfs is plain data for which all zeroes is a valid value.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is a valid place for the answer.
    if unsafe { libc::fstatvfs(mount.as_raw_fd(), &raw mut stat) } < 0 {
        return Err(Error::last("fstatvfs", ""));
    }
    Ok(present_attributes(stat.f_flag))
}

/// Attributes beside that of access times: `MOUNT_ATTR_*`, the flag of mount(2), and what statvfs(3) says.
const ATTRIBUTES: [(u64, MsFlags, u64); 6] = [
    (libc::MOUNT_ATTR_RDONLY, MsFlags::MS_RDONLY, libc::ST_RDONLY),
    (libc::MOUNT_ATTR_NOSUID, MsFlags::MS_NOSUID, libc::ST_NOSUID),
    (libc::MOUNT_ATTR_NODEV, MsFlags::MS_NODEV, libc::ST_NODEV),
    (libc::MOUNT_ATTR_NOEXEC, MsFlags::MS_NOEXEC, libc::ST_NOEXEC),
    (libc::MOUNT_ATTR_NODIRATIME, MsFlags::MS_NODIRATIME, libc::ST_NODIRATIME),
    (libc::MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW, ST_NOSYMFOLLOW),
];

/// Linux 5.10; before, the kernel passes over it.
const MS_NOSYMFOLLOW: MsFlags = MsFlags::from_bits_retain(256);
const ST_NOSYMFOLLOW: u64 = 0x2000;
/// linux/statfs.h; not every libc has it.
const ST_RELATIME: u64 = 0x1000;

fn present_attributes(flags: u64) -> u64 {
    let named =
        ATTRIBUTES.iter().filter(|(.., st)| flags & st != 0).map(|(attribute, ..)| attribute);
    let times = match flags {
        _ if flags & libc::ST_NOATIME != 0 => libc::MOUNT_ATTR_NOATIME,
        _ if flags & ST_RELATIME != 0 => libc::MOUNT_ATTR_RELATIME,
        _ => libc::MOUNT_ATTR_STRICTATIME,
    };
    named.fold(times, |all, attribute| all | attribute)
}

/// The flags of mount(2) that give a mount these attributes and no others.
pub fn remount_flags(attributes: u64) -> MsFlags {
    let named = ATTRIBUTES.iter().filter(|(attribute, ..)| attributes & attribute != 0);
    let times = match attributes & libc::MOUNT_ATTR__ATIME {
        libc::MOUNT_ATTR_NOATIME => MsFlags::MS_NOATIME,
        libc::MOUNT_ATTR_STRICTATIME => MsFlags::MS_STRICTATIME,
        _ => MsFlags::MS_RELATIME,
    };
    named.fold(times, |all, (_, flag, _)| all | *flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_set_nor_cleared_stays() {
        for (st, flags) in [
            (0, MsFlags::MS_STRICTATIME),
            (ST_RELATIME | libc::ST_NOSUID, MsFlags::MS_RELATIME | MsFlags::MS_NOSUID),
            (libc::ST_NOATIME | libc::ST_NODIRATIME, MsFlags::MS_NOATIME | MsFlags::MS_NODIRATIME),
            (ST_NOSYMFOLLOW | ST_RELATIME, MS_NOSYMFOLLOW | MsFlags::MS_RELATIME),
        ] {
            assert_eq!(remount_flags(present_attributes(st)), flags, "{st:#x}");
        }
    }
}
