//! One container's cgroup: the same place in every hierarchy.

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::error::{Error, Result};
use crate::file;
use crate::path;
use crate::remove;

/// One container's cgroup. [`Layout::place`](crate::Layout::place) says where it is to be,
/// [`Cgroup::from_paths`] where it was put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    pub(crate) v1: Vec<Dir>,
    pub(crate) v2: Option<Dir>,
    /// Did the configuration name the path?
    pub(crate) explicit: bool,
}

/// The directory in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dir {
    /// The controllers of the hierarchy; empty on v2.
    pub(crate) names: Vec<String>,
    /// Absolute, no trailing slash.
    pub(crate) path: String,
    /// How much of `path` is the mount point. All of it where that is not known.
    pub(crate) mount: usize,
}

/// What to do with a hierarchy where we may not make a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDenied {
    /// Fail: we are root.
    Fail,
    /// Do without it, if the configuration names no `cgroupsPath`: we are rootless. Limits which
    /// need it fail later, in [`Cgroup::set`].
    Skip,
}

/// How a process gets into a cgroup: through all of these, in any order.
#[derive(Debug, Default)]
pub struct Join {
    files: Vec<OwnedFd>,
    dir: Option<OwnedFd>,
    /// The v2 file, where nobody can be born in the directory.
    procs: OnceCell<OwnedFd>,
    /// What was opened on the way, and has served.
    pub(crate) spent: Vec<OwnedFd>,
}

impl Join {
    /// The v1 `tasks` files, open for writing and close-on-exec. A process which writes `0` to
    /// each has joined, alone and at once; writing its number to `cgroup.procs` would wait for
    /// an RCU grace period first, 7 to 11 ms.
    pub fn files(&self) -> &[OwnedFd] {
        &self.files
    }

    /// The v2 `cgroup.procs`, once it is open: to be written to like those.
    pub fn procs(&self) -> Option<&OwnedFd> {
        self.procs.get()
    }

    /// For a process that can't be born in the v2 directory (Linux before 5.7), and has to join by
    /// itself: opens [`Join::procs`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open_procs(&self) -> Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let procs = openat(dir, "cgroup.procs", flags, Mode::empty());
        let procs =
            procs.map_err(|errno| Error::Join { path: "cgroup.procs".to_owned(), errno })?;
        let _ = self.procs.set(procs);
        Ok(())
    }

    /// The v2 directory, open for reading: for `clone3` with `CLONE_INTO_CGROUP`, and to attach
    /// a device program to. Present in hybrid mode too.
    pub fn dir(&self) -> Option<BorrowedFd<'_>> {
        self.dir.as_ref().map(AsFd::as_fd)
    }

    /// All descriptors, these and others that have served, to close them: their numbers are mostly
    /// in a row, which close_range(2) closes by one call. Dropped, each is closed by its own.
    pub fn into_fds(self) -> Vec<OwnedFd> {
        let Join { mut files, dir, procs, mut spent } = self;
        files.append(&mut spent);
        files.extend(dir);
        files.extend(procs.into_inner());
        files
    }
}

/// A cgroup that [`Cgroup::create`] made.
#[derive(Debug, Default)]
pub struct Created {
    /// How to join it.
    pub join: Join,
    /// The directories that were not there before, parents first.
    pub(crate) made: Vec<String>,
}

impl Created {
    /// Whether this directory was not there before.
    pub fn is_new(&self, path: &str) -> bool {
        self.made.iter().any(|made| made == path)
    }

    /// Whether none of the cgroup's directories was there before.
    pub fn is_all_new(&self, cgroup: &Cgroup) -> bool {
        cgroup.v1.iter().chain(&cgroup.v2).all(|dir| self.is_new(&dir.path))
    }

    /// Removes the directories that were made, and no others: the empty ones among them.
    ///
    /// # Errors
    /// The first directory which could not be removed; the others are tried all the same.
    pub fn undo(&self) -> Result<()> {
        undo(&self.made)
    }
}

pub(crate) fn undo(made: &[String]) -> Result<()> {
    let deadline = remove::deadline();
    let mut result = Ok(());
    for (at, path) in made.iter().enumerate().rev() {
        let below = |next: &String| path::parent(next) == path;
        let removed = match made.get(at + 1).is_some_and(below) {
            // One further up, where others may be by now.
            true => remove::rmdir_unless_busy(path).map(drop),
            false => remove::remove_tree(path, deadline),
        };
        result = result.and(removed);
    }
    result
}

impl Cgroup {
    /// The cgroup whose [`paths`](Cgroup::paths) were stored.
    pub fn from_paths<'a>(paths: impl IntoIterator<Item = (&'a str, &'a str)>) -> Cgroup {
        let mut cgroup = Cgroup::default();
        for (name, path) in paths {
            if name.is_empty() || name == "unified" {
                cgroup.v2 =
                    Some(Dir { names: Vec::new(), path: path.to_owned(), mount: path.len() });
                continue;
            }
            match cgroup.v1.iter_mut().find(|dir| dir.path == path) {
                Some(dir) => dir.names.push(name.to_owned()),
                None => cgroup.v1.push(Dir {
                    names: vec![name.to_owned()],
                    path: path.to_owned(),
                    mount: path.len(),
                }),
            }
        }
        cgroup
    }

    /// Controller (`memory`, `name=systemd`; `""` is v2) and absolute path of the directory, as
    /// in `cgroup_paths` of runc's `state.json`. Co-mounted controllers are named one by one.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &str)> {
        let v1 =
            self.v1.iter().flat_map(|dir| dir.names.iter().map(|name| (&name[..], &dir.path[..])));
        v1.chain(self.v2.iter().map(|dir| ("", &dir.path[..])))
    }

    /// Puts a v2 cgroup into threaded mode, where processes can be in spite of being in a cgroup
    /// whose parent has processes: what to do when `clone3` fails with `EOPNOTSUPP`, if no
    /// limit on memory or IO is wanted (cgroup-v2.rst, "Threads").
    ///
    /// # Errors
    /// What the kernel says.
    pub fn make_threaded(&self) -> Result<()> {
        match self.v2_dir() {
            Some(dir) => file::write(dir, "cgroup.type", "threaded"),
            None => Ok(()),
        }
    }

    /// The number of the directory, by which the kernel tells it from any other that had its path
    /// before, or gets it later: that of v2, or where v1 is alone, in a hierarchy that every unit of
    /// systemd's is in. `None` if it isn't there.
    pub fn number(&self) -> Option<u64> {
        let dir = self.v2_dir().or_else(|| self.v1_dir("name=systemd"));
        let dir = dir.or_else(|| self.process_dir())?;
        let found = std::fs::symlink_metadata(dir).ok()?;
        Some(std::os::unix::fs::MetadataExt::ino(&found))
    }

    /// Is it in v2 alone? Else each limit is set where its controller is, which is mostly v1.
    pub fn is_unified(&self) -> bool {
        self.v1.is_empty() && self.v2.is_some()
    }

    /// Has v1 the device controller? Else a program on v2's directory decides about devices.
    pub fn has_v1_devices(&self) -> bool {
        self.v1_dir("devices").is_some()
    }

    /// Is there no hierarchy at all: none mounted, or none that a rootless user may use?
    pub fn is_empty(&self) -> bool {
        self.v1.is_empty() && self.v2.is_none()
    }

    /// The v1 hierarchy which has this controller.
    pub(crate) fn v1_entry(&self, controller: &str) -> Option<&Dir> {
        self.v1.iter().find(|dir| dir.names.iter().any(|name| name == controller))
    }

    /// The v1 directory which has this controller.
    pub(crate) fn v1_dir(&self, controller: &str) -> Option<&str> {
        self.v1_entry(controller).map(|dir| &dir.path[..])
    }

    pub(crate) fn v2_dir(&self) -> Option<&str> {
        self.v2.as_ref().map(|dir| &dir.path[..])
    }

    /// v2, if this controller can only be there.
    pub(crate) fn v2_entry_of(&self, controller: &str) -> Option<&Dir> {
        match self.v1_entry(controller) {
            Some(_) => None,
            None => self.v2.as_ref(),
        }
    }

    /// The v2 directory, if this controller can only be there.
    pub(crate) fn v2_dir_of(&self, controller: &str) -> Option<&str> {
        self.v2_entry_of(controller).map(|dir| &dir.path[..])
    }

    /// The directory where this controller is, or can only be.
    pub(crate) fn dir_of(&self, controller: &str) -> Option<&str> {
        self.v1_dir(controller).or_else(|| self.v2_dir())
    }

    /// The directory whose list of processes stands for all: that of `devices`, as in runc.
    pub(crate) fn process_dir(&self) -> Option<&str> {
        self.v1_dir("devices")
            .or_else(|| self.v1_dir("freezer"))
            .or_else(|| self.v1.first().map(|dir| &dir.path[..]))
            .or_else(|| self.v2_dir())
    }

    /// Opens what a further process needs to join this existing cgroup.
    ///
    /// `below` are the arguments of `exec --cgroup`: controller and path below the container's
    /// cgroup, which has to exist; `""` is the v2 hierarchy.
    ///
    /// # Errors
    /// [`Error::Escape`] for a path that would leave the container's cgroup,
    /// [`Error::UnknownController`], and what the kernel says.
    pub fn join(&self, below: &[(&str, &str)]) -> Result<Join> {
        for (name, _) in below {
            let known = match *name {
                "" => self.v2.is_some(),
                name => self.v1_dir(name).is_some(),
            };
            if !known {
                return Err(Error::UnknownController { name: (*name).to_owned() });
            }
        }
        let mut join = Join::default();
        for dir in &self.v1 {
            let path = dir.below(below)?;
            join.files.push(open_tasks(&path)?);
        }
        if let Some(dir) = &self.v2 {
            join.dir = Some(open_dir(&dir.below(below)?)?);
        }
        Ok(join)
    }
}

impl Join {
    pub(crate) fn add(&mut self, dir: &Dir) -> Result<()> {
        match dir.names.is_empty() {
            true => self.dir = Some(open_dir(&dir.path)?),
            false => self.files.push(open_tasks(&dir.path)?),
        }
        Ok(())
    }
}

impl Dir {
    /// Whether systemd has a use for the hierarchy where v1 is mounted: for its controllers, or to know
    /// its units' processes.
    pub(crate) fn is_systemds(&self) -> bool {
        const OWN: [&str; 7] =
            ["name=systemd", "cpu", "cpuacct", "blkio", "memory", "devices", "pids"];
        self.names.is_empty() || self.names.iter().any(|name| OWN.contains(&&name[..]))
    }

    /// The sub-cgroup which the request names for this hierarchy, or the cgroup itself.
    fn below(&self, requests: &[(&str, &str)]) -> Result<String> {
        let ours = |name: &str| match name {
            "" => self.names.is_empty(),
            name => self.names.iter().any(|own| own == name),
        };
        let Some((_, given)) = requests.iter().find(|(name, _)| ours(name)) else {
            return Ok(self.path.clone());
        };
        if given.split('/').any(|component| component == "..") || given.contains('\0') {
            return Err(Error::Escape { path: (*given).to_owned(), base: self.path.clone() });
        }
        Ok([&self.path[..], &path::clean(given)].concat())
    }
}

fn open_tasks(dir: &str) -> Result<OwnedFd> {
    let path = file::join(dir, "tasks");
    file::open(&path, OFlag::O_WRONLY).map_err(|errno| Error::Join { path, errno })
}

fn open_dir(path: &str) -> Result<OwnedFd> {
    file::open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
        .map_err(|errno| Error::Join { path: path.to_owned(), errno })
}
