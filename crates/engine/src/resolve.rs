//! Paths inside the container's root, resolved by descriptor so that they never leave it.
//!
//! What an image holds is hostile: any component may be a link to anywhere, and another container
//! on a shared volume may swap it at any moment. So nothing is resolved by text and then used:
//! resolving yields a descriptor, and that is used. openat2(2) with `RESOLVE_IN_ROOT` does it in one
//! call; where something must be made on the way, or the kernel lacks the call, [`Walk`] does the
//! same step by step.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::{chroot, fchdir};
use sys::Context;

use crate::procfs;

/// As many links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// As often the kernel is asked again when something was renamed meanwhile.
const MOST_TRIES: usize = 64;

/// What to make when a path does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing: `ENOENT`.
    Fail,
    /// Directories, all the way.
    MakeDirectory,
    /// Directories on the way, an empty file at its end.
    MakeFile,
}

/// A handle (`O_PATH`) to what `path` names inside `root`; links are followed, within the root.
pub(crate) fn open(
    root: BorrowedFd<'_>,
    path: &str,
    missing: Missing,
) -> Result<OwnedFd, sys::Error> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match open_how(root, path, resolve) {
        Err(Errno::ENOENT) if missing == Missing::MakeDirectory => {
            make_last(root, path, resolve).or_else(|_| Walk::new(root, path, missing).run())
        }
        Err(Errno::ENOENT) if missing != Missing::Fail => Walk::new(root, path, missing).run(),
        // Kernels before 5.6, and filters that don't know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => Walk::new(root, path, missing).run(),
        other => other,
    }
    .at("open", path)
}

/// Makes the directory that alone is missing from a path, which is the rule (`/dev/shm`). Whatever is in
/// the way, a dangling link or somebody faster, is an error here, for [`Walk`] to look into.
fn make_last(root: BorrowedFd<'_>, path: &str, resolve: ResolveFlag) -> Result<OwnedFd, Errno> {
    let (parent, name) = path.rsplit_once('/').ok_or(Errno::EINVAL)?;
    if matches!(name, "" | "." | "..") {
        return Err(Errno::EINVAL);
    }
    let parent = open_how(root, if parent.is_empty() { "/" } else { parent }, resolve)?;
    mkdirat(&parent, name, Mode::from_bits_truncate(0o755))?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(&parent, name, flags, Mode::empty())
}

/// A handle to a directory whose path has no links at all: where a link is an attack.
pub(crate) fn open_without_links(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
    match open_how(root, path, resolve) {
        Err(Errno::ENOSYS | Errno::EPERM) => {
            Walk { links: MOST_LINKS, ..Walk::new(root, path, Missing::Fail) }.run()
        }
        other => other,
    }
}

/// A handle to the root of what is mounted, the last of all, on the very directory behind `place`: found by
/// no name, which may be another directory's by now. `path` is what it was called.
pub(crate) fn mounted_on(place: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, sys::Error> {
    // In a root of its own a directory is what is above it; and going up ends on top of its mounts.
    match open_how(place, "..", ResolveFlag::RESOLVE_IN_ROOT) {
        Err(Errno::ENOSYS | Errno::EPERM) => in_its_own_root(place),
        other => other,
    }
    .at("open", path)
}

/// The same for a process that has the directory as its own root meanwhile, and looks up nothing else.
fn in_its_own_root(place: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = openat(AT_FDCWD, "/", flags, Mode::empty())?;
    fchdir(place)?;
    chroot(".")?;
    let top = openat(AT_FDCWD, "..", flags, Mode::empty());
    fchdir(&root)?;
    chroot(".")?;
    top
}

/// Opens what `path` names inside `root` for use, not only as a handle.
pub(crate) fn open_for_use(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlag,
) -> Result<OwnedFd, sys::Error> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match open_flags(root, path, flags | OFlag::O_CLOEXEC, resolve) {
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let parent = Walk::new(root, parent, Missing::Fail).run().at("open", path)?;
            let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(&parent, name, flags, Mode::empty())
        }
        other => other,
    }
    .at("open", path)
}

fn open_how(root: BorrowedFd<'_>, path: &str, resolve: ResolveFlag) -> Result<OwnedFd, Errno> {
    open_flags(root, path, OFlag::O_PATH | OFlag::O_CLOEXEC, resolve)
}

fn open_flags(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlag,
    resolve: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(flags).resolve(resolve);
    // EAGAIN: something was renamed meanwhile and the kernel could not be sure (openat2(2)). Who renames
    // all the time, to hold us up, is met with [`Walk`], which no rename disturbs.
    let mut tries = (0..MOST_TRIES).map(|_| openat2(root, path, how));
    tries.find(|opened| !matches!(opened, Err(Errno::EAGAIN))).unwrap_or(Err(Errno::ENOSYS))
}

/// Whether a handle is of a directory.
pub(crate) fn is_directory(handle: BorrowedFd<'_>) -> Result<bool, sys::Error> {
    let stat = fstat(handle).at("fstat", "")?;
    Ok(SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFDIR)
}

/// Resolving step by step: `..` is a step back on the stack of open directories, so that moving a
/// directory meanwhile can't lead out.
struct Walk<'r> {
    root: BorrowedFd<'r>,
    stack: Vec<OwnedFd>,
    /// Components still to take, the next one last.
    todo: Vec<OsString>,
    links: usize,
    missing: Missing,
}

impl<'r> Walk<'r> {
    fn new(root: BorrowedFd<'r>, path: &str, missing: Missing) -> Walk<'r> {
        let mut walk = Walk { root, stack: Vec::new(), todo: Vec::new(), links: 0, missing };
        walk.push_components(path.as_bytes());
        walk
    }

    fn push_components(&mut self, path: &[u8]) {
        let components = path.split(|byte| *byte == b'/').rev();
        let components = components.filter(|part| !part.is_empty() && *part != b".");
        self.todo.extend(components.map(|part| OsString::from_vec(part.to_vec())));
    }

    fn current(&self) -> BorrowedFd<'_> {
        self.stack.last().map_or(self.root, AsFd::as_fd)
    }

    fn run(mut self) -> Result<OwnedFd, Errno> {
        while let Some(component) = self.todo.pop() {
            if component == ".." {
                self.stack.pop();
                continue;
            }
            let next = self.step(&component)?;
            let mode = fstat(&next)?.st_mode & SFlag::S_IFMT.bits();
            if mode == SFlag::S_IFLNK.bits() {
                self.follow(&next)?;
            } else {
                self.stack.push(next);
            }
        }
        match self.stack.pop() {
            Some(handle) => Ok(handle),
            None => openat(self.root, ".", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()),
        }
    }

    /// Opens one component, or makes it.
    fn step(&self, component: &OsString) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let open = || openat(self.current(), component.as_os_str(), flags, Mode::empty());
        match open() {
            Err(Errno::ENOENT) if self.missing != Missing::Fail => {}
            other => return other,
        }
        let made = if self.missing == Missing::MakeFile && self.todo.is_empty() {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let mode = Mode::from_bits_truncate(0o755);
            openat(self.current(), component.as_os_str(), flags, mode).map(|_| ())
        } else {
            mkdirat(self.current(), component.as_os_str(), Mode::from_bits_truncate(0o755))
        };
        match made {
            // Somebody else was faster: what is there now is looked at as anything else.
            Ok(()) | Err(Errno::EEXIST) => open(),
            Err(errno) => Err(errno),
        }
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        // Links that lead anywhere (`exe`, `fd/3`) are in the directories of processes; those in the root of
        // procfs (`self`, `mounts`) are as others are.
        let is_procfs = sys::magic(link.as_fd()).map_err(|error| error.errno)? == sys::PROC_MAGIC;
        if is_procfs && fstat(self.current())?.st_ino != procfs::ROOT {
            return Err(Errno::ELOOP);
        }
        let target = readlinkat(link, "")?;
        if target.as_bytes().first() == Some(&b'/') {
            self.stack.clear();
        }
        self.push_components(target.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn farm() -> (std::path::PathBuf, OwnedFd) {
        let dir = std::env::temp_dir().join(format!("resolve-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("root/etc")).unwrap();
        symlink("/etc", dir.join("root/absolute")).unwrap();
        symlink("../../../../..", dir.join("root/climb")).unwrap();
        symlink("/run", dir.join("root/dangling")).unwrap();
        symlink("loop", dir.join("root/loop")).unwrap();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = openat(AT_FDCWD, &dir.join("root"), flags, Mode::empty()).unwrap();
        (dir, root)
    }

    fn same(a: &OwnedFd, path: &std::path::Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        fstat(a).unwrap().st_ino == std::fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn links_of_the_kernel_are_followed_by_nobody() {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let host = openat(AT_FDCWD, "/", flags, Mode::empty()).unwrap();
        let both = |path| {
            let fast = open(host.as_fd(), path, Missing::Fail).map_err(|error| error.errno);
            [fast, Walk::new(host.as_fd(), path, Missing::Fail).run()].map(Result::err)
        };
        for path in
            ["/proc/self/root/etc", "/proc/self/cwd", "/proc/self/fd/0", "/proc/self/ns/mnt"]
        {
            assert_eq!(both(path), [Some(Errno::ELOOP); 2], "{path}");
        }
        for path in ["/proc/self/status", "/proc/mounts", "/proc/thread-self/stat"] {
            assert_eq!(both(path), [None; 2], "{path}");
        }
    }

    #[test]
    fn links_stay_inside_whoever_resolves() {
        let (dir, root) = farm();
        for (path, inside) in [
            ("/absolute", "root/etc"),
            ("climb/etc", "root/etc"),
            ("/../../etc", "root/etc"),
            ("climb", "root"),
        ] {
            let fast = open(root.as_fd(), path, Missing::Fail).unwrap();
            let slow = Walk::new(root.as_fd(), path, Missing::Fail).run().unwrap();
            assert!(same(&fast, &dir.join(inside)), "openat2 {path}");
            assert!(same(&slow, &dir.join(inside)), "walk {path}");
        }
        let made = open(root.as_fd(), "/dangling", Missing::MakeDirectory).unwrap();
        assert!(same(&made, &dir.join("root/run")));
        let made = open(root.as_fd(), "/absolute/new", Missing::MakeDirectory).unwrap();
        assert!(same(&made, &dir.join("root/etc/new")));
        let made = open(root.as_fd(), "/new/..", Missing::MakeDirectory).unwrap();
        assert!(same(&made, &dir.join("root")));
        let made = open(root.as_fd(), "/dangling/a/b", Missing::MakeDirectory).unwrap();
        assert!(same(&made, &dir.join("root/run/a/b")));
        let file = open(root.as_fd(), "/climb/new/file", Missing::MakeFile).unwrap();
        assert!(same(&file, &dir.join("root/new/file")));
        assert!(open(root.as_fd(), "/loop", Missing::MakeDirectory).is_err());
        assert_eq!(open_without_links(root.as_fd(), "/absolute").err(), Some(Errno::ELOOP));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
