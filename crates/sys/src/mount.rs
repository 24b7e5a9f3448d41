//! Mounts by file descriptor (Linux 5.2 and 5.12), and the few classic calls beside them.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::mount::MsFlags;

use crate::{Context, Error, Result};

/// How [`open_tree`] opens.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenTree {
    /// Make a detached copy of the mount (`OPEN_TREE_CLONE`) instead of a mere handle.
    pub clone: bool,
    /// With `clone`: copy the mounts below it, too (`AT_RECURSIVE`).
    pub recursive: bool,
    /// Don't follow a symbolic link at the path's end.
    pub no_follow: bool,
}

/// A handle to, or a detached copy of, the mount at `path` below `dir` (open_tree(2), Linux 5.2).
///
/// An empty path means `dir` itself.
pub fn open_tree(dir: BorrowedFd<'_>, path: &CStr, how: OpenTree) -> Result<OwnedFd> {
    let mut flags = libc::OPEN_TREE_CLOEXEC as i32;
    if how.clone {
        flags |= libc::OPEN_TREE_CLONE as i32;
    }
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
        return Err(Error::last("open_tree", path.to_string_lossy()));
    }
    // SAFETY: the kernel returned a new descriptor that nobody owns yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
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

    /// Whether nothing is to be changed.
    pub fn is_empty(self) -> bool {
        self.set == 0 && self.clear == 0
    }
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
