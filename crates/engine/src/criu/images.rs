//! Images of a container in a user namespace. CRIU reads most of them as that namespace's root, who may
//! not search a directory that is the host's root's alone, as those of images are.
//!
//! So they are shown once more, in the mount namespace that is CRIU's own: bound into a file system of
//! memory, whose directories anybody may search. On the host nobody may read more than before.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use sys::{Context, OpenTree};

use super::options;
use crate::error::Result;
use crate::store::ContainerDir;
use crate::tree::Trees;

/// The directory in the state directory on which they are shown.
const DIRECTORY: &str = "images";
/// What a dump has of an earlier one: a link, by this name.
const PARENT: &CStr = c"parent";
/// More dumps than anybody makes one upon the other; a link to itself has no end.
const MOST: usize = 1024;

/// Makes the place on which they are shown, for a container that has a user namespace.
pub(crate) fn make_place(
    dir: &ContainerDir,
    namespaces: &plan::Namespaces<'_>,
) -> Result<Option<PathBuf>> {
    if !namespaces.has(plan::NamespaceKind::User) {
        return Ok(None);
    }
    let place = dir.path().join(DIRECTORY);
    std::fs::create_dir(&place).at("mkdir", place.to_string_lossy())?;
    Ok(Some(place))
}

/// Shows the images of a directory, and those of its parents, on `place`; returns what CRIU is to open.
pub(crate) fn show(images: BorrowedFd<'_>, place: &Path) -> Result<OwnedFd> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), place, Some("tmpfs"), flags, Some("mode=755"))
        .at("mount", place.to_string_lossy())?;
    let shown = options::open(place)?;
    let (trees, mut last) = (Trees::default(), shown.try_clone().at("dup", "images")?);
    let mut parent = bind_all(images, last.as_fd(), &trees)?;
    for _ in 0..MOST {
        let Some(images) = parent else { return Ok(shown) };
        mkdirat(&last, PARENT, Mode::from_bits_truncate(0o755)).at("mkdir", "parent")?;
        last = open(last.as_fd(), PARENT)?;
        parent = bind_all(images.as_fd(), last.as_fd(), &trees)?;
    }
    Err(sys::Error::new("open", "parent", Errno::ELOOP).into())
}

/// Binds the files of one directory into another. Returns the directory of the images before them.
fn bind_all(
    images: BorrowedFd<'_>,
    shown: BorrowedFd<'_>,
    trees: &Trees,
) -> Result<Option<OwnedFd>> {
    let mut parent = None;
    for entry in Dir::from_fd(open(images, c".")?).at("opendir", "images")?.iter() {
        let entry = entry.at("readdir", "images")?;
        let name = entry.file_name();
        let object = name.to_string_lossy();
        let stat = fstatat(images, name, AtFlags::AT_SYMLINK_NOFOLLOW).at("fstatat", &object)?;
        match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
                let target = openat(shown, name, flags, Mode::empty()).at("open", &object)?;
                let file = OpenTree { recursive: false, no_follow: true };
                trees.cover(trees.take(images, name, file)?, target.as_fd())?;
            }
            SFlag::S_IFLNK | SFlag::S_IFDIR if name == PARENT => {
                parent = Some(open(images, name)?);
            }
            _ => {}
        }
    }
    Ok(parent)
}

fn open(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty()).at("open", name.to_string_lossy())?)
}
