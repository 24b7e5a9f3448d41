//! The container's mounts and root. Runs in the container's init, before the user's program, in the
//! container's mount namespace, with all the capabilities that its user namespace has.
//!
//! Every destination is opened inside the root ([`resolve`]) and mounted upon by descriptor: the
//! working directory is moved there (`fchdir`) for the classic mount(2), or move_mount(2) takes the
//! descriptor. No path of the container is ever handed to the kernel as text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{chdir, chroot, fchdir, symlinkat};
use plan::{Attributes, BindAttributes, Mount, MountLabel, NamespaceKind, Propagation, What};
use sys::{Context, OpenTree};

use crate::error::{Error, Result, Step};
use crate::idmap::NEEDS_IDMAP;
use crate::resolve::{self, Missing};
use crate::tree::{Tree, Trees};
use crate::{copy_up, devices, trace};

/// Files of procfs that a mount may cover, as in runc: what lxcfs and the like replace.
const PROC_FILES: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// The container's root while it is made, before the pivot.
#[derive(Debug)]
pub(crate) struct Rootfs {
    /// The mount that becomes the root.
    tree: OwnedFd,
    /// Bind sources that were opened early, by place in `mounts`.
    sources: HashMap<usize, Tree>,
    /// What they, and all other binds, are made with.
    trees: Trees,
    /// File systems that are to be read-only once they are filled, with their destinations.
    read_only_later: Vec<(OwnedFd, String)>,
    /// The SELinux label of new file systems.
    label: MountLabel<String>,
}

impl Rootfs {
    /// Cuts this mount namespace off the host's, and opens and attaches what becomes the root: what is mounted
    /// below it has a place then.
    ///
    /// With `sources_too` the sources of all binds are opened as well: in a user namespace that must
    /// happen while the process still has the user id that may reach them.
    pub(crate) fn open(
        plan: &plan::Create<'_>,
        extra: Option<&Mount<'_>>,
        sources_too: bool,
    ) -> Result<Rootfs> {
        if plan.namespaces.has(NamespaceKind::Mount) {
            cut_off(&plan.root)?;
        }
        match Rootfs::open_with(Trees::default(), plan, extra, sources_too) {
            // A filter that knows open_tree(2), and not what a tree is attached with.
            Err(Error::Kernel { error, .. })
                if error.errno == Errno::ENOSYS && error.call == "move_mount" =>
            {
                Rootfs::open_with(Trees::classic(), plan, extra, sources_too)
            }
            other => other,
        }
    }

    fn open_with(
        trees: Trees,
        plan: &plan::Create<'_>,
        extra: Option<&Mount<'_>>,
        sources_too: bool,
    ) -> Result<Rootfs> {
        let _step = trace::step("open the root", &plan.root.path);
        let how = OpenTree { recursive: true, no_follow: true };
        let path = c_string(&plan.root.path)?;
        let mut tree = trees.take(AT_FDCWD, &path, how).step(|| "root".to_owned())?;
        if plan.root.propagation.is_none() {
            // As runc: what the host mounts below it later is not the container's.
            tree.propagate(&trees, MsFlags::MS_PRIVATE, false)?;
        }
        let mut sources = HashMap::new();
        for mount in plan.mounts.iter().chain(extra) {
            match &mount.what {
                What::Bind { source, recursive, .. }
                    if sources_too && !is_below(source, &plan.root.path) =>
                {
                    let tree =
                        open_source(&trees, source, *recursive).step(|| mount_name(mount))?;
                    sources.insert(mount.index, tree);
                }
                _ => {}
            }
        }
        let label = plan.mount_label;
        Ok(Rootfs {
            tree: attach_root(&trees, tree, plan)?,
            sources,
            trees,
            read_only_later: Vec::new(),
            label: MountLabel { context: label.context.to_owned(), option: label.option },
        })
    }

    /// The root of a container that lives, as this process's own: for further mounts, whose sources are
    /// open already.
    pub(crate) fn of_running(tree: OwnedFd, sources: HashMap<usize, Tree>, trees: Trees) -> Rootfs {
        let label = MountLabel { context: String::new(), option: "context" };
        Rootfs { tree, sources, trees, read_only_later: Vec::new(), label }
    }

    /// The root's descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }

    /// What binds are made with.
    pub(crate) fn trees(&self) -> &Trees {
        &self.trees
    }

    /// Makes one mount of the plan. Its ids are mapped by `map`, detached as it then is: they can't be any
    /// more where the mount can be reached.
    pub(crate) fn mount(
        &mut self,
        mount: &Mount<'_>,
        cgroup: &cgroup::Cgroup,
        map: &MapIds<'_>,
    ) -> Result<()> {
        let _step = trace::step("mount", &mount.destination);
        let mapped = if mount.id_map.is_some() { ", ids mapped" } else { "" };
        debug!("init: mount {}: {}{mapped}", mount.destination, Described(&mount.what));
        match &mount.what {
            What::Bind { source, recursive, attributes, .. } => {
                self.bind(mount, source, *recursive, *attributes, map)
            }
            What::Filesystem { .. } => self.filesystem(mount, map),
            What::Cgroup { flags } => self.cgroup(mount, *flags, cgroup),
            What::Remount { flags, data } => self.remount(mount, *flags, data),
        }
        .and_then(|mounted| self.adjust(mount, mounted))
        .step(|| mount_name(mount))
    }

    fn remount(&self, mount: &Mount<'_>, flags: u64, data: &str) -> Result<Mounted> {
        let target = self.target(mount, Missing::Fail)?;
        fchdir(&target).at("fchdir", &mount.destination)?;
        let flags = MsFlags::from_bits_retain(flags) | MsFlags::MS_REMOUNT;
        mount_at(".", Some(data), flags)?;
        Ok(Mounted::Is(target))
    }

    /// Opens a mount's destination; what is inside procfs is only for the few files that may be.
    fn target(&self, mount: &Mount<'_>, missing: Missing) -> Result<OwnedFd> {
        let target = resolve::open(self.tree.as_fd(), &mount.destination, missing)
            .map_err(|error| circle(error, mount))?;
        let textual = PROC_FILES.contains(&&*mount.destination);
        if !textual
            && sys::magic(target.as_fd())? == sys::PROC_MAGIC
            && mount.destination != "/proc"
        {
            return Err(Error::Escape {
                path: mount.destination.clone().into_owned(),
                why: "cannot be mounted because it is inside /proc",
            });
        }
        Ok(target)
    }

    fn bind(
        &mut self,
        mount: &Mount<'_>,
        source: &str,
        recursive: bool,
        attributes: BindAttributes,
        map: &MapIds<'_>,
    ) -> Result<Mounted> {
        let mut tree = match self.sources.remove(&mount.index) {
            Some(tree) => tree,
            None => open_source(&self.trees, source, recursive)?,
        };
        let missing = match resolve::is_directory(tree.as_fd())? {
            true => Missing::MakeDirectory,
            false => Missing::MakeFile,
        };
        let target = self.target(mount, missing)?;
        let directory = missing == Missing::MakeDirectory;
        if resolve::is_directory(target.as_fd())? != directory {
            let errno = if directory { Errno::ENOTDIR } else { Errno::EISDIR };
            return Err(sys::Error::new("mount", &*mount.destination, errno).into());
        }
        tree.change_bind(&self.trees, attributes)?;
        if mount.id_map.is_some() {
            map_detached(mount, &tree, map)?;
        }
        let root = self.tree.as_fd();
        let mounted = self.trees.attach(tree, target.as_fd(), root);
        Ok(Mounted::Is(mounted.map_err(|error| match error {
            Error::Kernel { step, error } => Error::Kernel {
                step,
                error: sys::Error { object: mount.destination.to_string(), ..error },
            },
            other => other,
        })?))
    }

    fn filesystem(&mut self, mount: &Mount<'_>, map: &MapIds<'_>) -> Result<Mounted> {
        let mut mounted = self.new_filesystem(mount)?;
        if mount.id_map.is_some() {
            mounted = self.map_filesystem(mount, mounted, map)?;
        }
        if is_filled_first(&mount.what) {
            let root = match &mounted {
                Mounted::Is(root) => root.try_clone().at("dup", &mount.destination)?,
                Mounted::On(place) => self.mounted_on(place, mount)?,
            };
            self.read_only_later.push((root, mount.destination.clone().into_owned()));
        }
        Ok(mounted)
    }

    fn new_filesystem(&self, mount: &Mount<'_>) -> Result<Mounted> {
        let What::Filesystem { kind, source, flags, data, copy_up } = &mount.what else {
            return Err(sys::Error::new("mount", &*mount.destination, Errno::EINVAL).into());
        };
        let mut data = Cow::Borrowed(data.as_str());
        let target = match *kind {
            "proc" | "sysfs" => self.ordinary_directory(mount)?,
            "tmpfs" if !data.contains("mode=") => {
                let (target, mode) = self.target_with_mode(mount)?;
                if let Some(mode) = mode {
                    let comma = if data.is_empty() { "" } else { "," };
                    data = Cow::Owned(format!("mode={mode:o}{comma}{data}"));
                }
                target
            }
            _ => self.target(mount, Missing::MakeDirectory)?,
        };
        let mut flags = MsFlags::from_bits_retain(*flags);
        if is_filled_first(&mount.what) {
            flags.remove(MsFlags::MS_RDONLY);
        }
        let hidden = if *copy_up { Some(copy_up::open(target.as_fd())?) } else { None };
        fchdir(&target).at("fchdir", &mount.destination)?;
        mount_new(kind, source, flags, &data, &mount.destination)?;
        if *kind == "mqueue" && !self.label.context.is_empty() {
            // It takes no option for it.
            fchdir(&self.mounted_on(&target, mount)?).at("fchdir", &mount.destination)?;
            sys::set_label_here(&self.label.context).step(|| "linux.mountLabel".to_owned())?;
        }
        if let Some(hidden) = hidden {
            copy_up::copy(hidden, self.mounted_on(&target, mount)?)?;
        }
        Ok(Mounted::On(target))
    }

    fn mounted_on(&self, place: &OwnedFd, mount: &Mount<'_>) -> Result<OwnedFd> {
        Ok(resolve::mounted_on(place.as_fd(), &mount.destination)?)
    }

    /// Puts a mount of the new file system whose ids are mapped in the place of the one that was made.
    fn map_filesystem(
        &self,
        mount: &Mount<'_>,
        mounted: Mounted,
        map: &MapIds<'_>,
    ) -> Result<Mounted> {
        let Mounted::On(place) = mounted else { return Ok(mounted) };
        let made = self.mounted_on(&place, mount)?;
        let tree = self.trees.take(made.as_fd(), c"", ALONE)?;
        fchdir(&made).at("fchdir", &mount.destination)?;
        umount2(".", MntFlags::MNT_DETACH).at("umount2", &mount.destination)?;
        map_detached(mount, &tree, map)?;
        Ok(Mounted::Is(self.trees.attach(tree, place.as_fd(), self.tree.as_fd())?))
    }

    /// A destination, with the permissions that it has if it exists already: as in runc a tmpfs takes
    /// them over from the directory that it covers.
    fn target_with_mode(&self, mount: &Mount<'_>) -> Result<(OwnedFd, Option<u32>)> {
        let existing = resolve::open(self.tree.as_fd(), &mount.destination, Missing::Fail).is_ok();
        let target = self.target(mount, Missing::MakeDirectory)?;
        let stat = nix::sys::stat::fstat(&target).at("fstat", &mount.destination)?;
        Ok((target, existing.then_some(stat.st_mode & 0o7777)))
    }

    /// The place of procfs and sysfs: a directory, and no link on the way (CVE-2019-19921,
    /// CVE-2023-27561).
    fn ordinary_directory(&self, mount: &Mount<'_>) -> Result<OwnedFd> {
        let root = self.tree.as_fd();
        let handle = match resolve::open_without_links(root, &mount.destination) {
            Err(Errno::ENOENT) => {
                let made = resolve::open(root, &mount.destination, Missing::MakeDirectory);
                made.and_then(|_| {
                    resolve::open_without_links(root, &mount.destination)
                        .at("open", &mount.destination)
                })?
            }
            Err(Errno::ELOOP | Errno::ENOTDIR) => return Err(not_ordinary(mount)),
            other => other.at("open", &mount.destination)?,
        };
        if resolve::is_directory(handle.as_fd())? { Ok(handle) } else { Err(not_ordinary(mount)) }
    }

    /// The container's own cgroups, as a tree of the host's shape.
    fn cgroup(
        &mut self,
        mount: &Mount<'_>,
        flags: u64,
        cgroup: &cgroup::Cgroup,
    ) -> Result<Mounted> {
        let target = self.target(mount, Missing::MakeDirectory)?;
        let flags = MsFlags::from_bits_truncate(flags);
        fchdir(&target).at("fchdir", &mount.destination)?;
        if cgroup.is_unified() || cgroup.is_empty() {
            return self.cgroup2(mount, target, flags, cgroup);
        }
        let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let data = self.label.with("mode=755");
        mount_new("tmpfs", "tmpfs", safe, &data, &mount.destination)?;
        let top = self.mounted_on(&target, mount)?;
        // Nobody else can reach this file system yet: names in it are what they were made as.
        for (directory, names, path) in hierarchies(cgroup) {
            mkdirat(&top, directory.as_str(), Mode::from_bits_truncate(0o755))
                .at("mkdir", &directory)?;
            let tree = self.trees.take(AT_FDCWD, &c_string(path)?, ALONE)?;
            self.trees.cover_in(tree, top.as_fd(), &c_string(&directory)?)?;
            for name in names.iter().filter(|name| **name != directory) {
                match symlinkat(directory.as_str(), &top, *name) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => Err(errno).at("symlink", name)?,
                }
            }
        }
        let attributes = Attributes { set: mount_attributes(flags), clear: 0 };
        self.trees.change(top.as_fd(), attributes, true)?;
        if flags.contains(MsFlags::MS_RDONLY) {
            // Later mounts may need places in it.
            let writable = Attributes { set: 0, clear: READ_ONLY.set };
            self.trees.change(top.as_fd(), writable, false)?;
            self.read_only_later.push((top, mount.destination.clone().into_owned()));
        }
        Ok(Mounted::On(target))
    }

    fn cgroup2(
        &self,
        mount: &Mount<'_>,
        target: OwnedFd,
        flags: MsFlags,
        cgroup: &cgroup::Cgroup,
    ) -> Result<Mounted> {
        match mount_new("cgroup2", "cgroup", flags, "", &mount.destination) {
            // Not ours to mount: in a user namespace without a cgroup namespace of its own.
            Err(Error::Kernel {
                error: sys::Error { errno: Errno::EPERM | Errno::EBUSY, .. },
                ..
            }) => {
                let path = cgroup.paths().next().map_or("/sys/fs/cgroup", |(_, path)| path);
                // Recursive: mounts that a user namespace has inherited come together or not at all.
                let mut tree = self.trees.take(AT_FDCWD, &c_string(path)?, RECURSIVE)?;
                // Those of the host are not for a container that has none of its own (CVE-2023-25809).
                let foreign = if cgroup.is_empty() { READ_ONLY.set } else { 0 };
                let attributes = Attributes { set: mount_attributes(flags) | foreign, clear: 0 };
                tree.change(&self.trees, attributes, true)?;
                Ok(Mounted::Is(self.trees.attach(tree, target.as_fd(), self.tree.as_fd())?))
            }
            other => other.map(|()| Mounted::On(target)),
        }
    }

    /// Propagation and recursive attributes, once the mount is in its place.
    fn adjust(&self, mount: &Mount<'_>, mounted: Mounted) -> Result<()> {
        if mount.propagation.is_empty() && mount.recursive == Attributes::default() {
            return Ok(());
        }
        let mounted = match mounted {
            Mounted::Is(mounted) => mounted,
            Mounted::On(place) => self.mounted_on(&place, mount)?,
        };
        self.trees.change(mounted.as_fd(), mount.recursive, true)?;
        self.propagate(mounted.as_fd(), mount)
    }

    /// Gives a mount the propagation that it has in the configuration.
    fn propagate(&self, mounted: BorrowedFd<'_>, mount: &Mount<'_>) -> Result<()> {
        for Propagation { kind, recursive } in &mount.propagation {
            self.trees.propagate(mounted, MsFlags::from_bits_truncate(*kind), *recursive)?;
        }
        Ok(())
    }

    /// Makes it the root of this mount namespace, and the host's tree unreachable.
    pub(crate) fn pivot(&self, plan: &plan::Create<'_>) -> Result<()> {
        let _step = trace::step("pivot the root", "");
        if !plan.namespaces.has(NamespaceKind::Mount) {
            fchdir(&self.tree).at("fchdir", "root")?;
            return Ok(chroot(".").at("chroot", ".")?);
        }
        if plan.root.no_pivot {
            return self.move_root(&plan.root);
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let old = openat(AT_FDCWD, "/", flags, Mode::empty()).at("open", "/")?;
        fchdir(&self.tree).at("fchdir", "root")?;
        sys::pivot_root_here()?;
        fchdir(&old).at("fchdir", "old root")?;
        if may_have_peers(&plan.root) {
            // Else unmounting it here would unmount the host's, too.
            mount_at(".", None, MsFlags::MS_SLAVE | MsFlags::MS_REC)?;
        }
        umount2(".", MntFlags::MNT_DETACH).at("umount2", "old root")?;
        Ok(chdir("/").at("chdir", "/")?)
    }

    /// For a root on a ramdisk, which can't be pivoted (`--no-pivot`).
    fn move_root(&self, root: &plan::Root<'_>) -> Result<()> {
        // The host's procfs and sysfs would stay mounted behind the new root, and uncovered.
        let table = std::fs::read_to_string("/proc/self/mountinfo").at("read", "mountinfo")?;
        fchdir(&self.tree).at("fchdir", "root")?;
        for place in kernel_mounts(&table) {
            let inside =
                nix::unistd::getcwd().is_ok_and(|cwd| std::path::Path::new(place).starts_with(cwd));
            if !inside {
                if may_have_peers(root) {
                    let _ = mount_at(place, None, MsFlags::MS_SLAVE | MsFlags::MS_REC);
                }
                // Covered ones can't be unmounted by name; the root hides them all the same.
                let _ = umount2(place, MntFlags::MNT_DETACH);
            }
        }
        mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)
            .at("mount MS_MOVE", "root")?;
        chroot(".").at("chroot", ".")?;
        Ok(chdir("/").at("chdir", "/")?)
    }

    /// File systems that had to be written to first.
    pub(crate) fn make_filled_read_only(&self) -> Result<()> {
        for (mounted, destination) in &self.read_only_later {
            self.trees.change(mounted.as_fd(), READ_ONLY, false).step(|| destination.clone())?;
        }
        Ok(())
    }

    /// What has to wait until the container's root is `/`.
    pub(crate) fn seal(&self, plan: &plan::Create<'_>) -> Result<()> {
        let _step = trace::step("make read-only, mask", "");
        self.make_filled_read_only()?;
        self.share(plan)?;
        for path in plan.readonly_paths {
            self.make_read_only(path).step(|| format!("readonlyPaths {path}"))?;
        }
        self.mask(plan.masked_paths)?;
        if plan.root.readonly {
            self.trees.change(self.tree.as_fd(), READ_ONLY, false).step(|| "root".to_owned())?;
        }
        Ok(())
    }

    /// The root's propagation, if it is one that the root can't have had from the start: a private root
    /// and a slave are that since they were cut off. What mounts say of themselves stays.
    fn share(&self, plan: &plan::Create<'_>) -> Result<()> {
        let Some(Propagation { kind, recursive }) = plan.root.propagation else {
            return Ok(());
        };
        let kind = MsFlags::from_bits_truncate(kind);
        if kind.intersects(CUT_OFF) {
            return Ok(());
        }
        self.trees.propagate(self.tree.as_fd(), kind, recursive)?;
        for mount in plan.mounts.iter().filter(|mount| recursive && !mount.propagation.is_empty()) {
            let mounted = resolve::open(self.tree.as_fd(), &mount.destination, Missing::Fail)?;
            self.propagate(mounted.as_fd(), mount).step(|| mount_name(mount))?;
        }
        Ok(())
    }

    fn make_read_only(&self, path: &str) -> Result<()> {
        let target = match resolve::open(self.tree.as_fd(), path, Missing::Fail) {
            Err(sys::Error { errno: Errno::ENOENT | Errno::ENOTDIR, .. }) => return Ok(()),
            other => other?,
        };
        let mut tree = self.trees.take(target.as_fd(), c"", RECURSIVE)?;
        tree.change(&self.trees, READ_ONLY, false)?;
        self.trees.attach(tree, target.as_fd(), self.tree.as_fd()).map(drop)
    }

    /// Covers files with `/dev/null` and directories with one empty, read-only tmpfs.
    fn mask(&self, paths: &[spec::Text<'_>]) -> Result<()> {
        let mut empty: Option<OwnedFd> = None;
        let mut null: Option<OwnedFd> = None;
        for (n, path) in paths.iter().enumerate() {
            if paths[..n].contains(path) {
                continue;
            }
            let target = match resolve::open(self.tree.as_fd(), path, Missing::Fail) {
                Err(sys::Error { errno: Errno::ENOENT | Errno::ENOTDIR, .. }) => continue,
                other => other?,
            };
            let step = || format!("maskedPaths {path}");
            let directory = resolve::is_directory(target.as_fd())?;
            if directory && empty.is_none() {
                fchdir(&target).at("fchdir", path).step(step)?;
                let data = self.label.with("nr_blocks=1,nr_inodes=2");
                mount_new("tmpfs", "tmpfs", MsFlags::MS_RDONLY, &data, path).step(step)?;
                empty = Some(resolve::mounted_on(target.as_fd(), path)?);
                continue;
            }
            let cover = match (directory, &empty, &null) {
                (true, Some(empty), _) => empty,
                (_, _, Some(null)) => null,
                _ => null.insert(open_null(self.tree.as_fd())?),
            };
            let tree = self.trees.take(cover.as_fd(), c"", ALONE).step(step)?;
            self.trees.cover(tree, target.as_fd()).step(step)?;
        }
        Ok(chdir("/").at("chdir", "/")?)
    }
}

/// Whether it is made writable, and read-only later: later mounts and the device nodes need places in it.
fn is_filled_first(what: &What<'_>) -> bool {
    matches!(what, What::Filesystem { kind: "tmpfs", flags, .. }
        if MsFlags::from_bits_retain(*flags).contains(MsFlags::MS_RDONLY))
}

/// Who maps the ids of the mount with that place in the plan, which is detached.
type MapIds<'m> = dyn Fn(usize, OwnedFd) -> Result<()> + 'm;

/// What has been mounted, for what is left to do with it.
enum Mounted {
    /// Its root.
    Is(OwnedFd),
    /// It covers this directory.
    On(OwnedFd),
}

const ALONE: OpenTree = OpenTree { recursive: false, no_follow: false };
const RECURSIVE: OpenTree = OpenTree { recursive: true, no_follow: false };
const READ_ONLY: Attributes = Attributes { set: sys::Attributes::READ_ONLY.set, clear: 0 };

/// A mount as `--debug` shows it.
struct Described<'a>(&'a What<'a>);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            What::Bind { source, recursive, attributes } => {
                let deep = if *recursive { ", with what is below" } else { "" };
                let Attributes { set, clear } = attributes.named;
                write!(f, "bind of {source}{deep}, attributes +{set:#x} -{clear:#x}")
            }
            What::Filesystem { kind, source, flags, data, .. } => {
                write!(f, "{kind} of {source}, flags {flags:#x}, data {data:?}")
            }
            What::Cgroup { flags } => write!(f, "the container's cgroups, flags {flags:#x}"),
            What::Remount { flags, data } => write!(f, "remount, flags {flags:#x}, data {data:?}"),
        }
    }
}

/// What a mount is called in messages.
pub(crate) fn mount_name(mount: &Mount<'_>) -> String {
    let to = &mount.destination;
    match &mount.what {
        What::Bind { source, .. } => {
            format!("error mounting {source:?} to rootfs at {to:?} (mounts[{}])", mount.index)
        }
        What::Filesystem { kind, .. } => {
            format!("error mounting {kind:?} to rootfs at {to:?} (mounts[{}])", mount.index)
        }
        _ => format!("error mounting to rootfs at {to:?} (mounts[{}])", mount.index),
    }
}

/// A link of procfs leads anywhere, and is never followed; the kernel has one number for it and for links
/// that lead in a circle.
fn circle(error: sys::Error, mount: &Mount<'_>) -> Error {
    match error.errno {
        Errno::ELOOP => {
            let why =
                "leads in a circle, or through a link of procfs, which may lead out of the root";
            Error::Escape { path: mount.destination.clone().into_owned(), why }
        }
        _ => error.into(),
    }
}

fn not_ordinary(mount: &Mount<'_>) -> Error {
    let why = "must be mounted on ordinary directory";
    Error::Escape { path: mount.destination.clone().into_owned(), why }
}

/// The container's `/dev/null`, which is the null device and nothing that an image put there
/// (CVE-2025-31133).
fn open_null(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    let null = resolve::open_without_links(root, "/dev/null").at("open", "/dev/null")?;
    let stat = nix::sys::stat::fstat(&null).at("fstat", "/dev/null")?;
    if devices::is_null(&stat) {
        return Ok(null);
    }
    let why = "is not the null device, so nothing can be masked with it";
    Err(Error::Escape { path: "/dev/null".to_owned(), why })
}

pub(crate) fn open_source(trees: &Trees, source: &str, recursive: bool) -> Result<Tree> {
    trees.take(AT_FDCWD, &c_string(source)?, OpenTree { recursive, no_follow: false })
}

/// Attaches the root to its own place.
fn attach_root(trees: &Trees, tree: Tree, plan: &plan::Create<'_>) -> Result<OwnedFd> {
    let _step = trace::step("attach the root", "");
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let target = openat(AT_FDCWD, plan.root.path.as_ref(), flags, Mode::empty())
        .at("open", &plan.root.path)
        .step(|| "root".to_owned())?;
    let path = c_string(&plan.root.path)?;
    let root = trees.attach_at(tree, target.as_fd(), &path).step(|| "root".to_owned())?;
    if !plan.namespaces.has(NamespaceKind::Mount) {
        // It has become as shared as what it is on; what comes below it is the container's alone.
        trees.propagate(root.as_fd(), MsFlags::MS_PRIVATE, true)?;
    }
    Ok(root)
}

/// Has the ids of a mount mapped, while it can't be reached yet.
fn map_detached(mount: &Mount<'_>, tree: &Tree, map: &MapIds<'_>) -> Result<()> {
    if !tree.is_detached() {
        let error = sys::Error::new("open_tree", "", Errno::ENOSYS);
        return Err(error).step(|| NEEDS_IDMAP.to_owned());
    }
    map(mount.index, tree.as_fd().try_clone_to_owned().at("dup", &mount.destination)?)
}

/// Whether a bind's source is in the container's root, where an earlier mount may make it.
pub(crate) fn is_below(source: &str, root: &str) -> bool {
    std::path::Path::new(source).starts_with(root)
}

/// A path as the kernel takes it.
pub(crate) fn c_string(path: &str) -> Result<CString> {
    Ok(CString::new(path).map_err(|_| sys::Error::new("path", path, Errno::EINVAL))?)
}

/// The attributes (mount_setattr(2)) among flags of mount(2).
fn mount_attributes(flags: MsFlags) -> u64 {
    // The first four have the same numbers in both.
    let same = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    (flags & same).bits()
}

/// A new file system on the working directory.
fn mount_new(kind: &str, source: &str, flags: MsFlags, data: &str, place: &str) -> Result<()> {
    let data = (!data.is_empty()).then_some(data);
    mount(Some(source), ".", Some(kind), flags, data).map_err(|errno| {
        let data = data.map_or_else(String::new, |data| format!(", data: {data}"));
        let object = format!("{kind} on {place}, flags: {:#x}{data}", flags.bits());
        sys::Error::new("mount", object, errno)
    })?;
    Ok(())
}

/// New flags or propagation for the mount at a path of this program's own.
fn mount_at(path: &str, data: Option<&str>, flags: MsFlags) -> Result<()> {
    let data = data.filter(|data| !data.is_empty());
    Ok(mount(None::<&str>, path, None::<&str>, flags, data).at("mount", path)?)
}

/// The v1 hierarchies: directory name, names of its controllers, path of the container's cgroup.
pub(crate) fn hierarchies(cgroup: &cgroup::Cgroup) -> Vec<(String, Vec<&str>, &str)> {
    let mut found: Vec<(String, Vec<&str>, &str)> = Vec::new();
    for (name, path) in cgroup.paths() {
        // v2 beside v1 only groups processes: as with runc it is not shown.
        if name.is_empty() {
            continue;
        }
        let name = name.strip_prefix("name=").unwrap_or(name);
        match found.iter_mut().find(|(_, _, other)| *other == path) {
            Some((directory, names, _)) => {
                directory.push(',');
                directory.push_str(name);
                names.push(name);
            }
            None => found.push((name.to_owned(), vec![name], path)),
        }
    }
    found
}

/// Whether mounts that came from the host may still show there what is done to them: `rootfsPropagation` has
/// not cut off all of them.
fn may_have_peers(root: &plan::Root<'_>) -> bool {
    let is_cut_off = |kind| MsFlags::from_bits_truncate(kind).intersects(CUT_OFF);
    root.propagation.is_some_and(|Propagation { kind, recursive }| !(recursive && is_cut_off(kind)))
}

const CUT_OFF: MsFlags = MsFlags::MS_PRIVATE.union(MsFlags::MS_SLAVE);

/// Cuts this mount namespace off the host's, as far as `rootfsPropagation` says.
fn cut_off(root: &plan::Root<'_>) -> Result<()> {
    let Some(Propagation { kind, recursive }) = root.propagation else {
        return mount_at("/", None, MsFlags::MS_SLAVE | MsFlags::MS_REC);
    };
    let kind = MsFlags::from_bits_truncate(kind);
    let deep = if recursive { MsFlags::MS_REC } else { MsFlags::empty() };
    mount_at("/", None, kind | deep)?;
    leave_peers(&root.path, kind)
}

/// Takes the mount that the root is in out of its peers: what is mounted on the root would appear on
/// the host, too, and pivot_root(2) refuses a root whose parent is shared. A slave's root stays one.
fn leave_peers(root: &str, kind: MsFlags) -> Result<()> {
    let kind = if kind == MsFlags::MS_SLAVE { kind } else { MsFlags::MS_PRIVATE };
    let real = std::fs::canonicalize(root).at("realpath", root)?;
    for place in real.ancestors() {
        match mount(None::<&str>, place, None::<&str>, kind, None::<&str>) {
            // No mount is here: it is further up.
            Err(Errno::EINVAL) if place.parent().is_some() => {}
            other => return Ok(other.at("mount", place.to_string_lossy())?),
        }
    }
    Ok(())
}

/// Where the mount table has procfs and sysfs as a whole.
fn kernel_mounts(table: &str) -> Vec<&str> {
    let field = |line: &str, n| line.split(' ').nth(n).map(str::to_owned);
    table
        .lines()
        .filter(|line| {
            let kind = line.split(" - ").nth(1).and_then(|rest| rest.split(' ').next());
            matches!(kind, Some("proc" | "sysfs")) && field(line, 3).as_deref() == Some("/")
        })
        .filter_map(|line| line.split(' ').nth(4))
        .collect()
}
