//! Mounts by descriptor: a tree is taken from somewhere, changed, and attached. Runs in who owns the mount
//! namespace, with all the capabilities that its user namespace has.
//!
//! A tree is detached (open_tree(2), mount_setattr(2), move_mount(2)) where the kernel can do that; nobody reaches
//! it before it is what it is to be. Otherwise mount(2) has to do, with the same promises:
//!
//! - Paths are numbers in a procfs's `/proc/self/fd`, which is the working directory meanwhile: nothing of the
//!   container's is named, and no link followed.
//! - Before Linux 5.2 a tree is a mere handle, and is bound to a place in a file system that is made for it, on top of the
//!   container's root, where no path leads; it is changed there, and moved.
//! - Before Linux 5.12 a detached tree can't be changed, and is once it is attached: in a mount namespace that nobody else
//!   is in. Only `mounts add` does that beside others, to whom the mount may show without its attributes for a moment.

use std::cell::{Cell, OnceCell};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{chdir, fchdir};
use plan::{Attributes, BindAttributes};
use sys::{Context, OpenTree};

use crate::error::Result;
use crate::resolve::{self, Missing};
use crate::{mount_table, procfs};

/// What trees are made and changed with; which calls there are is decided by the first that fails.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    /// A procfs's `/proc/self/fd`, once mount(2) has to do.
    descriptors: OnceCell<OwnedFd>,
    /// Whether there are no detached trees.
    only_classic: Cell<bool>,
}

/// A tree that is not attached yet.
#[derive(Debug)]
pub(crate) struct Tree {
    fd: OwnedFd,
    /// `None` if it is detached; otherwise it is yet to be bound, and with what is below it or without.
    unbound: Option<bool>,
    /// What could not be changed yet.
    later: Vec<Change>,
}

/// What a mount is to become.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// Attributes, with `true` of all below it, too.
    Attributes(Attributes, bool),
    /// Those of a bind: what is not named goes, unless it is locked.
    Bind(BindAttributes),
    /// This propagation, with `true` of all below it, too.
    Propagation(MsFlags, bool),
}

impl Change {
    fn is_nothing(self) -> bool {
        match self {
            Change::Attributes(attributes, _) => attributes == Attributes::default(),
            Change::Bind(attributes) => attributes.unlocked() == Attributes::default(),
            Change::Propagation(..) => false,
        }
    }
}

impl Trees {
    /// As for a process that will leave the mount namespace in which `/proc` is the host's.
    pub(crate) fn with(descriptors: OwnedFd) -> Trees {
        Trees { descriptors: OnceCell::from(descriptors), only_classic: Cell::new(false) }
    }

    /// Without detached trees.
    pub(crate) fn classic() -> Trees {
        Trees { descriptors: OnceCell::new(), only_classic: Cell::new(true) }
    }

    /// Takes a copy of the mount at `path` below `dir`, with `recursive` of those below it; an empty path means
    /// `dir` itself.
    pub(crate) fn take(&self, dir: BorrowedFd<'_>, path: &CStr, how: OpenTree) -> Result<Tree> {
        if !self.only_classic.get() {
            match sys::open_tree(dir, path, how) {
                Err(error) if error.errno == Errno::ENOSYS => {
                    debug!("no detached trees here");
                    self.only_classic.set(true);
                }
                tree => return Ok(Tree { fd: tree?, unbound: None, later: Vec::new() }),
            }
        }
        // While its `/proc` is there.
        self.descriptors()?;
        let fd = match path.count_bytes() {
            0 => dir.try_clone_to_owned().at("dup", "")?,
            _ => {
                let mut flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
                flags.set(OFlag::O_NOFOLLOW, how.no_follow);
                openat(dir, path, flags, Mode::empty()).at("open", path.to_string_lossy())?
            }
        };
        Ok(Tree { fd, unbound: Some(how.recursive), later: Vec::new() })
    }

    /// Attaches a tree on the very object behind `target`; returns its root. `root` is the container's, of which
    /// `target` is a part.
    pub(crate) fn attach(
        &self,
        tree: Tree,
        target: BorrowedFd<'_>,
        root: BorrowedFd<'_>,
    ) -> Result<OwnedFd> {
        let Tree { fd, unbound, later } = tree;
        match unbound {
            None => {
                sys::move_mount(fd.as_fd(), target)?;
                self.apply_all(fd.as_fd(), &later).inspect_err(|_| self.detach(fd.as_fd()))?;
                Ok(fd)
            }
            Some(recursive) => {
                let stage = self.stage(root)?;
                let mounted = self
                    .bind_at(stage.as_fd(), fd.as_fd(), recursive)
                    .and_then(|mounted| self.apply_all(mounted.as_fd(), &later).map(|()| mounted))
                    .and_then(|mounted| self.move_to(mounted, target));
                self.detach(stage.as_fd());
                mounted
            }
        }
    }

    /// The same of a tree that nothing is left to be done with.
    pub(crate) fn cover(&self, tree: Tree, target: BorrowedFd<'_>) -> Result<()> {
        match tree.unbound {
            None => Ok(sys::move_mount(tree.fd.as_fd(), target)?),
            Some(recursive) => self.bind(tree.fd.as_fd(), target, recursive),
        }
    }

    /// The same over `name`, which must be no link, in `directory`.
    pub(crate) fn cover_in(
        &self,
        tree: Tree,
        directory: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<()> {
        if tree.unbound.is_none() {
            return Ok(sys::move_mount_into(tree.fd.as_fd(), directory, name)?);
        }
        self.cover(tree, open_below(directory, name)?.as_fd())
    }

    /// Attaches a tree on `path`, which is of the host's: what is at the root's place must be the same before and
    /// after.
    pub(crate) fn attach_at(
        &self,
        tree: Tree,
        target: BorrowedFd<'_>,
        path: &CStr,
    ) -> Result<OwnedFd> {
        let Some(recursive) = tree.unbound else { return self.attach(tree, target, target) };
        self.bind(tree.fd.as_fd(), target, recursive)?;
        let mounted = open_below(AT_FDCWD, path)?;
        self.apply_all(mounted.as_fd(), &tree.later)?;
        Ok(mounted)
    }

    /// Changes the attributes of a mount that is attached, with `recursive` of all below it.
    pub(crate) fn change(
        &self,
        mount: BorrowedFd<'_>,
        attributes: Attributes,
        recursive: bool,
    ) -> Result<()> {
        self.apply(mount, Change::Attributes(attributes, recursive))
    }

    /// Gives a mount that is attached this propagation.
    pub(crate) fn propagate(
        &self,
        mount: BorrowedFd<'_>,
        kind: MsFlags,
        recursive: bool,
    ) -> Result<()> {
        self.apply(mount, Change::Propagation(kind, recursive))
    }

    fn apply(&self, mount: BorrowedFd<'_>, change: Change) -> Result<()> {
        match self.at_once(mount, change) {
            Err(error) if error.errno() == Some(Errno::ENOSYS) => self.by_mount(mount, change),
            other => other,
        }
    }

    /// By mount_setattr(2), which detached mounts take, too.
    fn at_once(&self, mount: BorrowedFd<'_>, change: Change) -> Result<()> {
        let set = |Attributes { set, clear }, recursive| {
            Ok(sys::change_attributes(mount, sys::Attributes { set, clear }, recursive)?)
        };
        match change {
            change if change.is_nothing() => Ok(()),
            _ if self.only_classic.get() => {
                Err(sys::Error::new("mount_setattr", "", Errno::ENOSYS).into())
            }
            Change::Attributes(attributes, recursive) => set(attributes, recursive),
            Change::Bind(attributes) => unless_locked(attributes, |these| set(these, false)),
            Change::Propagation(kind, recursive) => {
                Ok(sys::set_propagation(mount, kind, recursive)?)
            }
        }
    }

    /// By mount(2), which only mounts take that are attached.
    fn by_mount(&self, mount: BorrowedFd<'_>, change: Change) -> Result<()> {
        match change {
            Change::Attributes(attributes, recursive) => {
                self.remount(mount, attributes)?;
                let below = if recursive { self.below(mount)? } else { Vec::new() };
                below.iter().try_for_each(|mount| self.remount(mount.as_fd(), attributes))
            }
            Change::Bind(attributes) => {
                unless_locked(attributes, |these| self.remount(mount, these))
            }
            Change::Propagation(kind, recursive) => {
                let deep = if recursive { MsFlags::MS_REC } else { MsFlags::empty() };
                self.by_numbers(None, mount, kind | deep)
            }
        }
    }

    fn apply_all(&self, mount: BorrowedFd<'_>, changes: &[Change]) -> Result<()> {
        changes.iter().try_for_each(|change| self.apply(mount, *change))
    }

    fn descriptors(&self) -> Result<BorrowedFd<'_>> {
        if let Some(descriptors) = self.descriptors.get() {
            return Ok(descriptors.as_fd());
        }
        let opened = procfs::open("self/fd", OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        Ok(self.descriptors.get_or_init(|| opened).as_fd())
    }

    /// mount(2), of descriptors.
    fn by_numbers(
        &self,
        source: Option<BorrowedFd<'_>>,
        target: BorrowedFd<'_>,
        flags: MsFlags,
    ) -> Result<()> {
        fchdir(self.descriptors()?).at("fchdir", "/proc/self/fd")?;
        let source = source.map(|fd| fd.as_raw_fd().to_string());
        let target = target.as_raw_fd().to_string();
        let none = None::<&str>;
        let done = mount(source.as_deref(), target.as_str(), none, flags, none);
        chdir("/").at("chdir", "/")?;
        Ok(done.at("mount", format!("flags {:#x}", flags.bits()))?)
    }

    fn bind(&self, source: BorrowedFd<'_>, target: BorrowedFd<'_>, recursive: bool) -> Result<()> {
        let deep = if recursive { MsFlags::MS_REC } else { MsFlags::empty() };
        self.by_numbers(Some(source), target, MsFlags::MS_BIND | deep)
    }

    /// Takes a mount away again, with what is on it.
    fn detach(&self, mount: BorrowedFd<'_>) {
        // Nobody but this process sees it; and the first error is on its way to the user.
        let number = mount.as_raw_fd().to_string();
        let there = self.descriptors().is_ok_and(|descriptors| fchdir(descriptors).is_ok());
        let _ = there.then(|| umount2(number.as_str(), MntFlags::MNT_DETACH));
        let _ = chdir("/");
    }

    /// A file system of nobody's on top of the root, where no path leads: what is looked up begins below it.
    fn stage(&self, root: BorrowedFd<'_>) -> Result<OwnedFd> {
        fchdir(root).at("fchdir", "root")?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), ".", Some("tmpfs"), flags, Some("mode=700")).at("mount", "stage")?;
        let stage = resolve::mounted_on(root, "/")?;
        // From a shared mount nothing can be moved; and it is not for a bind of what the root is in.
        self.by_numbers(None, stage.as_fd(), MsFlags::MS_UNBINDABLE)?;
        Ok(stage)
    }

    /// Binds a tree to a place that is made for it there.
    fn bind_at(
        &self,
        stage: BorrowedFd<'_>,
        source: BorrowedFd<'_>,
        recursive: bool,
    ) -> Result<OwnedFd> {
        match resolve::is_directory(source)? {
            true => mkdirat(stage, c"tree", Mode::S_IRWXU).at("mkdir", "stage")?,
            false => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                openat(stage, c"tree", flags, Mode::S_IRWXU).at("open", "stage").map(drop)?;
            }
        }
        self.bind(source, open_below(stage, c"tree")?.as_fd(), recursive)?;
        open_below(stage, c"tree")
    }

    fn move_to(&self, mounted: OwnedFd, target: BorrowedFd<'_>) -> Result<OwnedFd> {
        self.by_numbers(Some(mounted.as_fd()), target, MsFlags::MS_MOVE)?;
        Ok(mounted)
    }

    /// New attributes of one mount; what is neither set nor cleared stays.
    fn remount(&self, mount: BorrowedFd<'_>, attributes: Attributes) -> Result<()> {
        let wanted = sys::attributes(mount)? & !attributes.clear | attributes.set;
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | sys::remount_flags(wanted);
        self.by_numbers(None, mount, flags)
    }

    /// The mounts below a mount. One that another is mounted over can't be reached, and is left out.
    fn below(&self, top: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
        let table = self.read("mountinfo")?;
        let table = mount_table::parse(&table);
        let number = self.mount_number(top)?;
        let lost = || sys::Error::new("open", "mountinfo", Errno::ENOENT);
        let base = &table.iter().find(|mount| mount.number == number).ok_or_else(lost)?.place;
        let mut found = Vec::new();
        for mount in mount_table::below(&table, number) {
            let path = mount.place.strip_prefix(base.trim_end_matches('/')).unwrap_or_default();
            let opened = resolve::open(top, path, Missing::Fail)?;
            let is_covered = || table.iter().any(|other| other.covers(mount));
            if self.mount_number(opened.as_fd())? == mount.number {
                found.push(opened);
            } else if !is_covered() {
                return Err(sys::Error::new("mount", path, Errno::EBUSY).into());
            }
        }
        Ok(found)
    }

    /// The number of the mount that a descriptor is in.
    fn mount_number(&self, fd: BorrowedFd<'_>) -> Result<u32> {
        let info = self.read(&format!("fdinfo/{}", fd.as_raw_fd()))?;
        let line = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
        let number = line.and_then(|number| number.trim().parse().ok());
        Ok(number.ok_or_else(|| sys::Error::new("read", "fdinfo", Errno::EINVAL))?)
    }

    /// A file of this process's directory in procfs.
    fn read(&self, name: &str) -> Result<String> {
        let path = format!("../{name}");
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = openat(self.descriptors()?, path.as_str(), flags, Mode::empty());
        let file = file.at("open", name)?;
        Ok(String::from_utf8_lossy(&crate::store::read_all(file.as_fd()).at("read", name)?)
            .into_owned())
    }
}

impl Tree {
    /// Whether its ids can be mapped: only while it is detached.
    pub(crate) fn is_detached(&self) -> bool {
        self.unbound.is_none()
    }

    /// Changes its attributes.
    pub(crate) fn change(
        &mut self,
        trees: &Trees,
        attributes: Attributes,
        recursive: bool,
    ) -> Result<()> {
        self.apply(trees, Change::Attributes(attributes, recursive))
    }

    /// Gives a bind its attributes: what is not named goes, unless it is locked.
    pub(crate) fn change_bind(&mut self, trees: &Trees, attributes: BindAttributes) -> Result<()> {
        self.apply(trees, Change::Bind(attributes))
    }

    /// Gives it this propagation.
    pub(crate) fn propagate(
        &mut self,
        trees: &Trees,
        kind: MsFlags,
        recursive: bool,
    ) -> Result<()> {
        self.apply(trees, Change::Propagation(kind, recursive))
    }

    /// Now, or where that can't be as soon as it is attached.
    fn apply(&mut self, trees: &Trees, change: Change) -> Result<()> {
        match trees.at_once(self.fd.as_fd(), change) {
            Err(error) if error.errno() == Some(Errno::ENOSYS) => self.later.push(change),
            other => other?,
        }
        Ok(())
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_below(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(directory, name, flags, Mode::empty()).at("open", name.to_string_lossy())?)
}

/// Gives a bind all that differs; where some of that is locked, what is named.
fn unless_locked(
    bind: BindAttributes,
    mut give: impl FnMut(Attributes) -> Result<()>,
) -> Result<()> {
    match give(bind.unlocked()) {
        Err(error) if error.errno() == Some(Errno::EPERM) && bind.others != 0 => {
            debug!("init: locked attributes stay");
            if bind.named == Attributes::default() { Ok(()) } else { give(bind.named) }
        }
        other => other,
    }
}
