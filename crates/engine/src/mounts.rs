//! `mounts add` and `mounts remove`: mounts of a container that lives, as in crun.
//!
//! What is bound is opened here, where the caller sees it. The rest happens in a process of its own
//! which enters the container's mount namespace with the runtime's powers: as in `create`
//! ([`rootfs`](crate::rootfs)) each place is found inside the root and used by descriptor, whatever the
//! container's processes do to it meanwhile. All mounts are made, or none.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, fstat};
use nix::unistd::fchdir;
use plan::{Mount, NamespaceKind, What};
use spec::ContainerStatus;
use sys::Context;

use crate::error::{Error, Result, Step};
use crate::process::Process;
use crate::resolve::{self, Missing};
use crate::rootfs::{self, Rootfs, mount_name};
use crate::status::status;
use crate::store::{Record, Store};
use crate::tree::{Tree, Trees};
use crate::{aside, bundle, messages};

/// Makes the mounts of a list in the form of `config.json`; `file` is what it was read from.
pub fn add_mounts(store: &Store, id: &str, file: &str, bytes: &[u8]) -> Result<()> {
    let list: Vec<spec::Mount<'_>> = bundle::parse(file, bytes)?;
    with_container(store, id, |record, init| {
        let mounts = plan::more_mounts(&list, &record.bundle)?;
        let sources = open_sources(&mounts)?;
        aside::run(|| {
            let inside = Inside::enter(record, init)?;
            inside.add(&mounts, sources)
        })
    })
}

/// Takes the mounts away that are at the destinations of such a list.
pub fn remove_mounts(store: &Store, id: &str, file: &str, bytes: &[u8]) -> Result<()> {
    let list: Vec<spec::Mount<'_>> = bundle::parse(file, bytes)?;
    with_container(store, id, |record, init| {
        aside::run(|| {
            let inside = Inside::enter(record, init)?;
            for (n, mount) in list.iter().enumerate() {
                inside.remove(&mount.destination).step(|| format!("mounts[{n}]"))?;
            }
            Ok(())
        })
    })
}

fn with_container(
    store: &Store,
    id: &str,
    act: impl FnOnce(&Record<'_>, &Process) -> Result<()>,
) -> Result<()> {
    let dir = store.container(id)?;
    let _lock = dir.lock()?;
    let bytes = dir.read_record()?;
    let record = bytes.record()?;
    match status(&dir, &record)? {
        ContainerStatus::Created | ContainerStatus::Running | ContainerStatus::Paused => {}
        _ => return Err(Error::State(messages::NOT_RUNNING)),
    }
    let init =
        Process::open(record.pid, record.start_time)?.ok_or(Error::State(messages::NOT_RUNNING))?;
    act(&record, &init)
}

/// What is bound, detached, and cut off from the host: what is mounted there later shows inside, as
/// with the binds of `create`, and never the other way round.
fn open_sources(mounts: &[Mount<'_>]) -> Result<HashMap<usize, Tree>> {
    let trees = Trees::default();
    let mut sources = HashMap::new();
    for mount in mounts {
        if let What::Bind { source, recursive, .. } = &mount.what {
            let mut tree =
                rootfs::open_source(&trees, source, *recursive).step(|| mount_name(mount))?;
            if !tree.is_detached() {
                // mount(2) binds nothing of another mount namespace.
                let error = sys::Error::new("open_tree", &**source, Errno::ENOSYS);
                return Err(error).step(|| mount_name(mount));
            }
            tree.propagate(&trees, MsFlags::MS_SLAVE, true)?;
            sources.insert(mount.index, tree);
        }
    }
    Ok(sources)
}

/// The calling process, once it is in the container's mount namespace.
struct Inside {
    root: OwnedFd,
    /// This process's descriptors, by the host's procfs: what the container has at `/proc` is not it.
    descriptors: OwnedFd,
}

impl Inside {
    /// Enters. A file system of its own is made in the namespaces that this process is in.
    fn enter(record: &Record<'_>, init: &Process) -> Result<Inside> {
        let handle = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let open = |path: &str| openat(AT_FDCWD, path, handle, Mode::empty()).at("open", path);
        let descriptors = open("/proc/self/fd")?;
        let mut kinds = CloneFlags::CLONE_NEWNS;
        for kind in [NamespaceKind::Network, NamespaceKind::Ipc, NamespaceKind::Cgroup] {
            if record.has_namespace(kind.file()) {
                kinds |= CloneFlags::from_bits_retain(kind.clone_flag() as i32);
            }
        }
        init.enter(kinds).step(|| "namespaces".to_owned())?;
        Ok(Inside { root: open("/")?, descriptors })
    }

    fn add(&self, mounts: &[Mount<'_>], sources: HashMap<usize, Tree>) -> Result<()> {
        let root = self.root.try_clone().at("dup", "root")?;
        let descriptors = self.descriptors.try_clone().at("dup", "/proc/self/fd")?;
        let mut rootfs = Rootfs::of_running(root, sources, Trees::with(descriptors));
        for (n, mount) in mounts.iter().enumerate() {
            // The plan has refused what would need a map.
            let made = rootfs.mount(mount, &cgroup::Cgroup::default(), &|_, _| Ok(()));
            let sealed = made.and_then(|()| rootfs.make_filled_read_only());
            if let Err(error) = sealed {
                // The first error is on its way to the user.
                for mount in mounts[..n].iter().rev() {
                    let _ = self.remove(&mount.destination);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes away what is mounted at a place, however it is used; `EINVAL` if nothing is.
    fn remove(&self, destination: &str) -> Result<()> {
        let mounted = resolve::open(self.root.as_fd(), destination, Missing::Fail)?;
        let same = |a: &OwnedFd, b: &OwnedFd| match (fstat(a), fstat(b)) {
            (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
            _ => true,
        };
        if same(&mounted, &self.root) {
            let why = "is the container's root";
            return Err(Error::Escape { path: destination.to_owned(), why });
        }
        fchdir(&self.descriptors).at("fchdir", "/proc/self/fd")?;
        let number = mounted.as_raw_fd().to_string();
        Ok(umount2(number.as_str(), MntFlags::MNT_DETACH).at("umount2", destination)?)
    }
}
