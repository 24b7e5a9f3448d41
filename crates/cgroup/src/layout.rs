//! What is mounted, and where this process is in it.

use crate::cgroup::{Cgroup, Dir};
use crate::error::{Error, Result};
use crate::{file, path};

/// The hierarchies of this machine, as one process sees them. Plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The cgroup v1 hierarchies that are mounted, in the order of `/proc/self/cgroup`.
    pub v1: Vec<Hierarchy>,
    /// The cgroup v2 hierarchy, if it is mounted.
    pub v2: Option<Hierarchy>,
}

/// One hierarchy: one tree of cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// v1: the controllers on it (`cpu`, `cpuacct`), or its name with the prefix `name=`.
    /// v2: empty, since the kernel's list changes at run time.
    pub names: Vec<String>,
    /// Where it is mounted: an absolute path without a trailing slash.
    pub mount: String,
    /// The cgroup that the mount shows as its top (field 4 of mountinfo), `/` but in containers.
    pub root: String,
    /// Where this process is, relative to the mount: `""` for its top, else `/a/b`.
    /// A process outside of what the mount shows counts as at its top.
    pub own: String,
}

/// Who has the controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// cgroup v2 alone.
    Unified,
    /// cgroup v1 has the controllers, and v2 is mounted beside it to group processes.
    Hybrid,
    /// cgroup v1 alone.
    Legacy,
    /// No cgroup file system is mounted.
    None,
}

/// `f_type` is enough to know a machine with cgroup v2 alone; where it is mounted by convention.
const CONVENTION: &str = "/sys/fs/cgroup";

impl Layout {
    /// Asks the kernel about this process.
    ///
    /// # Errors
    /// If `/proc` cannot be read. No cgroup file system at all is not an error: [`Mode::None`].
    pub fn probe() -> Result<Layout> {
        let own_cgroup = file::read_path("/proc/self/cgroup")?;
        let mountinfo = file::read_path("/proc/self/mountinfo")?;
        Ok(Layout::parse(&mountinfo, &own_cgroup))
    }

    /// The same from the texts of `/proc/PID/mountinfo` and `/proc/PID/cgroup`
    /// (proc(5), cgroups(7)). Lines that mean nothing to it are passed over.
    pub fn parse(mountinfo: &str, own_cgroup: &str) -> Layout {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
        let mut layout = Layout::default();
        for line in own_cgroup.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(id), Some(names), Some(own)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if id == "0" && names.is_empty() {
                layout.v2 = find(&mounts, "cgroup2", None).map(|mount| mount.hierarchy(&[], own));
                continue;
            }
            let names: Vec<&str> = names.split(',').collect();
            // As in runc: of the hierarchies without a controller only systemd's is ours to join.
            if names[0].starts_with("name=") && names[0] != "name=systemd" {
                continue;
            }
            if let Some(mount) = find(&mounts, "cgroup", Some(names[0])) {
                layout.v1.push(mount.hierarchy(&names, own));
            }
        }
        layout
    }

    /// Who has the controllers.
    pub fn mode(&self) -> Mode {
        let v1 = self.v1.iter().any(Hierarchy::has_controllers);
        match (v1, self.v2.is_some()) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::Legacy,
            (false, true) => Mode::Unified,
            (false, false) => Mode::None,
        }
    }

    /// Where a container's cgroup is to be; nothing is made yet.
    ///
    /// `cgroups_path` is `linux.cgroupsPath`. An absolute one is below the mount of each
    /// hierarchy; a relative one is below our own cgroup (on v2 alone beside it, since a cgroup
    /// with processes in it cannot have children with controllers); `None` is the relative path
    /// `id`. It is cleaned first, so that `..` cannot leave either.
    ///
    /// # Errors
    /// [`Error::Escape`] for a path which names no cgroup of its own, such as `/` or `a/..`.
    pub fn place(&self, cgroups_path: Option<&str>, id: &str) -> Result<Cgroup> {
        let given = cgroups_path.filter(|path| !path.is_empty());
        let path = given.unwrap_or(id);
        let inner = path::clean(path);
        let absolute = given.is_some_and(|path| path.starts_with('/'));
        if inner.is_empty() || (given.is_none() && inner.len() != id.len() + 1) {
            return Err(Error::Escape {
                path: path.to_owned(),
                base: CONVENTION.to_owned(),
            });
        }
        let unified = self.mode() == Mode::Unified;
        let dir = |hierarchy: &Hierarchy| {
            let below = match (absolute, unified) {
                (true, _) => "",
                (false, false) => &hierarchy.own,
                (false, true) => path::parent(&hierarchy.own),
            };
            Dir {
                names: hierarchy.names.clone(),
                path: [&hierarchy.mount, below, &inner].concat(),
                mount: hierarchy.mount.len(),
            }
        };
        Ok(Cgroup {
            v1: match unified {
                true => Vec::new(),
                false => self.v1.iter().map(dir).collect(),
            },
            v2: self.v2.as_ref().map(dir),
            explicit: given.is_some(),
        })
    }
}

impl Layout {
    /// The cgroup that the process is in whose `/proc/PID/cgroup` this was made from. To join,
    /// when the container's own refuses processes because it has children with controllers.
    pub fn own(&self) -> Cgroup {
        let dir = |hierarchy: &Hierarchy| Dir {
            names: hierarchy.names.clone(),
            path: [&hierarchy.mount[..], &hierarchy.own].concat(),
            mount: hierarchy.mount.len(),
        };
        Cgroup {
            v1: match self.mode() {
                Mode::Unified => Vec::new(),
                _ => self.v1.iter().map(dir).collect(),
            },
            v2: self.v2.as_ref().map(dir),
            explicit: true,
        }
    }
}

impl Hierarchy {
    fn has_controllers(&self) -> bool {
        self.names.iter().any(|name| !name.starts_with("name="))
    }
}

/// A line of mountinfo, as far as it matters here.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    fstype: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// `31 23 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu`
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let fstype = right.next()?;
        if !fstype.starts_with("cgroup") {
            return None;
        }
        let mut left = left.split(' ').skip(3);
        Some(Mount {
            root: left.next()?,
            point: left.next()?,
            fstype,
            options: right.nth(1)?,
        })
    }

    fn hierarchy(&self, names: &[&str], own: &str) -> Hierarchy {
        let root = path::unescape(self.root);
        let top = root.trim_end_matches('/');
        let own = match own.strip_prefix(top) {
            Some(below) if below.is_empty() || below.starts_with('/') => path::clean(below),
            _ => String::new(),
        };
        Hierarchy {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            mount: path::unescape(self.point).trim_end_matches('/').to_owned(),
            root,
            own,
        }
    }
}

/// The mount of a hierarchy: the first below the conventional place, else the first. One at the
/// same place later in the list covers what is there.
fn find<'a, 'b>(
    mounts: &'a [Mount<'b>],
    fstype: &str,
    name: Option<&str>,
) -> Option<&'a Mount<'b>> {
    let fits = |mount: &&Mount<'_>| {
        mount.fstype == fstype
            && name.is_none_or(|name| mount.options.split(',').any(|option| option == name))
    };
    let uncovered = |mount: &&'a Mount<'b>| {
        let last = mounts.iter().rfind(|other| other.point == mount.point);
        last.is_some_and(|last| std::ptr::eq(last, *mount))
    };
    let mut found = mounts.iter().filter(fits).filter(uncovered).peekable();
    let first = found.peek().copied();
    found
        .find(|mount| mount.point.starts_with(CONVENTION))
        .or(first)
}
