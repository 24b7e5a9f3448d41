//! What is mounted, and where this process is in it.

use nix::sys::stat::stat;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use crate::cgroup::{Cgroup, Dir};
use crate::error::{Error, Result};
use crate::{file, path};

/// The hierarchies of this machine, as one process sees them. Plain data.
///
/// Where v2 is what is mounted at `/sys/fs/cgroup`, it is all there is, as everybody has it; a v1
/// hierarchy elsewhere, such as the `net_cls` of some VPN, is its maker's.
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

impl Cgroup {
    /// Where a container's cgroup is to be: [`Layout::place`], with no more asked of the kernel
    /// than it takes. Where v2 alone is at its conventional place, an absolute path needs no more
    /// than to know that.
    ///
    /// # Errors
    /// Those of [`Layout::probe`] and [`Layout::place`].
    pub fn place(cgroups_path: Option<&str>, id: &str) -> Result<Cgroup> {
        let absolute = cgroups_path.is_some_and(|path| path.starts_with('/'));
        if !absolute || !is_v2(CONVENTION) {
            return Layout::probe()?.place(cgroups_path, id);
        }
        let mount = Mount { root: "/", point: CONVENTION, fstype: "", options: "" };
        let v2 = Some(mount.hierarchy(Vec::new(), "/"));
        Layout { v1: Vec::new(), v2 }.place(cgroups_path, id)
    }
}

/// Where cgroup file systems are mounted by convention.
const CONVENTION: &str = "/sys/fs/cgroup";

impl Layout {
    /// Asks the kernel about this process.
    ///
    /// Where every hierarchy is at its conventional place, a `stat` of each shows it. Only else,
    /// as in most containers, is the table of mounts read: that grows with the number of
    /// containers on the machine, and reading it waits for whoever mounts.
    ///
    /// # Errors
    /// If `/proc` cannot be read. No cgroup file system at all is not an error: [`Mode::None`].
    pub fn probe() -> Result<Layout> {
        let own_cgroup = file::read("/proc/self", "cgroup")?;
        if let Some(layout) = conventional(&own_cgroup) {
            return Ok(layout);
        }
        let mountinfo = file::read_path("/proc/self/mountinfo")?;
        Ok(Layout::parse(&mountinfo, &own_cgroup))
    }

    /// The same from the texts of `/proc/PID/mountinfo` and `/proc/PID/cgroup`
    /// (proc(5), cgroups(7)). Lines that mean nothing to it are passed over.
    pub fn parse(mountinfo: &str, own_cgroup: &str) -> Layout {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
        let mut layout = Layout::default();
        for (names, own) in memberships(own_cgroup) {
            let fstype = if names.is_empty() { "cgroup2" } else { "cgroup" };
            if let Some(mount) = find(&mounts, fstype, names.first().copied()) {
                layout.add(mount.hierarchy(names, own));
            }
        }
        if layout.v2.as_ref().is_some_and(|v2| v2.mount == CONVENTION) {
            layout.v1.clear();
        }
        layout
    }

    fn add(&mut self, hierarchy: Hierarchy) {
        match hierarchy.names.is_empty() {
            true => self.v2 = Some(hierarchy),
            false => self.v1.push(hierarchy),
        }
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
            return Err(Error::Escape { path: path.to_owned(), base: CONVENTION.to_owned() });
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

/// The names of each hierarchy in `/proc/PID/cgroup` (none for v2), and the path in it.
fn memberships(own_cgroup: &str) -> impl Iterator<Item = (Vec<&str>, &str)> {
    own_cgroup.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, names, own) = (fields.next()?, fields.next()?, fields.next()?);
        if names.is_empty() {
            return (id == "0").then_some((Vec::new(), own));
        }
        // As in runc: of the hierarchies without a controller only systemd's is ours to join.
        let ours = !names.starts_with("name=") || names == "name=systemd";
        ours.then(|| (names.split(',').collect(), own))
    })
}

/// The layout, if each hierarchy is mounted by convention, and whole; `None` if even one is not.
///
/// The top of a hierarchy, and nothing else in it, has the inode number 1 (kernfs); neither has a
/// plain directory on the tmpfs around them. So that is what is mounted at its place. v2 alone
/// is `/sys/fs/cgroup` itself, where a tmpfs would have the same number: its type tells.
fn conventional(own_cgroup: &str) -> Option<Layout> {
    let alone = own_cgroup.starts_with("0::");
    if alone && !is_v2(CONVENTION) {
        return None;
    }
    let mut layout = Layout::default();
    for (names, own) in memberships(own_cgroup) {
        let point = match (names.first(), alone) {
            (None, true) => CONVENTION.to_owned(),
            (None, false) => [CONVENTION, "/unified"].concat(),
            (Some(_), _) => {
                let joined = names.join(",");
                file::join(CONVENTION, joined.trim_start_matches("name="))
            }
        };
        if !stat(&point[..]).is_ok_and(|top| top.st_ino == 1) {
            return None;
        }
        let (root, point) = ("/", &point[..]);
        layout.add(Mount { root, point, fstype: "", options: "" }.hierarchy(names, own));
    }
    Some(layout)
}

fn is_v2(path: &str) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
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
        let mut left = left.split(' ').skip(3);
        Some(Mount { root: left.next()?, point: left.next()?, fstype, options: right.nth(1)? })
    }

    fn hierarchy(&self, names: Vec<&str>, own: &str) -> Hierarchy {
        let root = path::unescape(self.root);
        let top = root.trim_end_matches('/');
        let own = match own.strip_prefix(top) {
            Some(below) if below.is_empty() || below.starts_with('/') => path::clean(below),
            _ => String::new(),
        };
        Hierarchy {
            names: names.into_iter().map(str::to_owned).collect(),
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
    found.find(|mount| mount.point.starts_with(CONVENTION)).or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:9 master:3 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:30 / /sys/fs/cgroup/systemd rw,nosuid shared:10 - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,nosuid shared:12 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/cpuset rw,nosuid shared:13 - cgroup cgroup rw,cpuset,clone_children
37 31 0:34 / /sys/fs/cgroup/openrc rw - cgroup openrc rw,release_agent=/x,name=openrc
38 27 0:31 / /mnt/cpu rw - cgroup cgroup rw,cpu,cpuacct
";
    const HYBRID_OWN: &str = "\
13:rdma:/
12:cpu,cpuacct:/user.slice
7:memory:/user.slice/user-0.slice/session-1.scope
5:cpuset:/
2:name=openrc:/sshd
1:name=systemd:/user.slice/user-0.slice/session-1.scope
0::/user.slice/user-0.slice/session-1.scope
";
    const UNIFIED: &str = "\
23 30 0:22 / /proc rw - proc proc rw
29 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
";

    fn paths(cgroup: &Cgroup) -> Vec<(&str, &str)> {
        cgroup.paths().collect()
    }

    #[test]
    fn hybrid_with_controllers_mounted_together() {
        let layout = Layout::parse(HYBRID, HYBRID_OWN);
        assert_eq!(layout.mode(), Mode::Hybrid);
        assert_eq!(layout.v1.len(), 4);
        assert_eq!(layout.v1[0].names, ["cpu", "cpuacct"]);
        assert_eq!(layout.v1[0].mount, "/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(layout.v1[0].own, "/user.slice");
        assert_eq!(layout.v1[2].own, "");
        let cgroup = layout.place(Some("/docker/web"), "web").unwrap();
        assert_eq!(
            paths(&cgroup),
            [
                ("cpu", "/sys/fs/cgroup/cpu,cpuacct/docker/web"),
                ("cpuacct", "/sys/fs/cgroup/cpu,cpuacct/docker/web"),
                ("memory", "/sys/fs/cgroup/memory/docker/web"),
                ("cpuset", "/sys/fs/cgroup/cpuset/docker/web"),
                ("name=systemd", "/sys/fs/cgroup/systemd/docker/web"),
                ("", "/sys/fs/cgroup/unified/docker/web"),
            ]
        );
        let again = Cgroup::from_paths(cgroup.paths());
        assert_eq!(paths(&again), paths(&cgroup));
        assert_eq!(again.v1.len(), 4);
        assert!(!again.is_unified());
    }

    #[test]
    fn relative_paths_and_none_are_below_our_own() {
        let layout = Layout::parse(HYBRID, HYBRID_OWN);
        for given in [Some("web"), Some("../../web"), Some(""), None] {
            let cgroup = layout.place(given, "web").unwrap();
            let own = "/user.slice/user-0.slice/session-1.scope/web";
            assert_eq!(
                paths(&cgroup),
                [
                    ("cpu", "/sys/fs/cgroup/cpu,cpuacct/user.slice/web"),
                    ("cpuacct", "/sys/fs/cgroup/cpu,cpuacct/user.slice/web"),
                    ("memory", &format!("/sys/fs/cgroup/memory{own}")),
                    ("cpuset", "/sys/fs/cgroup/cpuset/web"),
                    ("name=systemd", &format!("/sys/fs/cgroup/systemd{own}")),
                    ("", &format!("/sys/fs/cgroup/unified{own}")),
                ]
            );
            assert_eq!(cgroup.explicit, given.is_some_and(|path| !path.is_empty()));
        }
    }

    #[test]
    fn paths_that_name_no_cgroup_are_refused() {
        let layout = Layout::parse(HYBRID, HYBRID_OWN);
        for (given, id) in [
            (Some("/"), "web"),
            (Some("."), "web"),
            (Some("a/.."), "web"),
            (Some("/../.."), "web"),
            (None, ".."),
            (None, "a/../b"),
            (None, ""),
        ] {
            let error = layout.place(given, id).unwrap_err();
            assert!(matches!(error, Error::Escape { .. }), "{given:?} {id:?}");
        }
    }

    #[test]
    fn unified() {
        let layout = Layout::parse(UNIFIED, "0::/user.slice/session-1.scope\n");
        assert_eq!(layout.mode(), Mode::Unified);
        let place = |path| layout.place(path, "web").unwrap();
        assert_eq!(paths(&place(Some("/a/b"))), [("", "/sys/fs/cgroup/a/b")]);
        // Beside the session, which has processes.
        assert_eq!(paths(&place(None)), [("", "/sys/fs/cgroup/user.slice/web")]);
        assert!(place(None).is_unified());
        let layout = Layout::parse(UNIFIED, "0::/\n");
        assert_eq!(paths(&layout.place(None, "web").unwrap()), [("", "/sys/fs/cgroup/web")]);
        assert_eq!(paths(&layout.own()), [("", "/sys/fs/cgroup")]);
        // v1 beside it is somebody else's.
        let mounts = [
            UNIFIED,
            "40 29 0:40 / /run/systemd rw - cgroup cgroup rw,name=systemd\n",
            "41 29 0:41 / /opt/vpn/net-cls rw - cgroup net_cls rw,net_cls\n",
        ]
        .concat();
        let layout = Layout::parse(&mounts, "2:net_cls:/\n1:name=systemd:/x\n0::/a/b\n");
        assert_eq!(layout.mode(), Mode::Unified);
        assert_eq!(paths(&layout.own()), [("", "/sys/fs/cgroup/a/b")]);
    }

    #[test]
    fn inside_of_a_container_without_a_cgroup_namespace() {
        let mounts = "\
700 690 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
701 690 0:32 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
702 690 0:33 /docker/abcdef /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu
";
        let own = "3:memory:/docker/abc/inner\n2:pids:/docker/abc\n1:cpu:/docker/abc\n";
        let layout = Layout::parse(mounts, own);
        assert_eq!(layout.mode(), Mode::Legacy);
        assert_eq!(layout.v1[0].root, "/docker/abc");
        let cgroup = layout.place(None, "web").unwrap();
        assert_eq!(
            paths(&cgroup),
            [
                ("memory", "/sys/fs/cgroup/memory/inner/web"),
                ("pids", "/sys/fs/cgroup/pids/web"),
                // What is not shown is as good as the top.
                ("cpu", "/sys/fs/cgroup/cpu/web"),
            ]
        );
    }

    #[test]
    fn inside_of_a_cgroup_namespace() {
        let mounts = "\
500 490 0:26 /../../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw
501 490 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
";
        let layout = Layout::parse(mounts, "0::/\n");
        let v2 = layout.v2.as_ref().unwrap();
        assert_eq!((&v2.root[..], &v2.own[..]), ("/", ""));
        let layout = Layout::parse(mounts, "0::/../other\n");
        assert_eq!(layout.v2.unwrap().own, "/other");
    }

    #[test]
    fn the_short_way_sees_what_the_long_one_does() {
        let read = |path| std::fs::read_to_string(path).unwrap();
        let own = read("/proc/self/cgroup");
        match conventional(&own) {
            Some(layout) => assert_eq!(layout, Layout::parse(&read("/proc/self/mountinfo"), &own)),
            None => println!("skipped: not the conventional layout"),
        }
        assert_eq!(conventional("1:nonsense:/\n0::/\n"), None);
    }

    #[test]
    fn nothing_mounted_and_nonsense() {
        for (mounts, own) in [
            ("", ""),
            ("22 27 0:21 / /proc rw - proc proc rw\n", HYBRID_OWN),
            (HYBRID, ""),
            ("x\n - \n - cgroup\n1 2 3 - cgroup2 x rw\n", "x\n0\n0:\n:::\n"),
        ] {
            let layout = Layout::parse(mounts, own);
            assert_eq!(layout.mode(), Mode::None, "{mounts:?}");
            assert!(layout.place(None, "web").unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_covered_does_not_count() {
        let mounts = [
            UNIFIED,
            "40 24 0:40 / /run/cgroup2 rw - cgroup2 cgroup2 rw\n",
            "41 29 0:41 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n",
        ]
        .concat();
        let layout = Layout::parse(&mounts, "0::/x\n");
        assert_eq!(paths(&layout.own()), [("", "/run/cgroup2/x")]);
    }

    #[test]
    fn mount_points_with_spaces() {
        let mounts = "29 24 0:26 / /a\\040b/cgroup rw - cgroup2 cgroup2 rw\n";
        let layout = Layout::parse(mounts, "0::/x\n");
        assert_eq!(paths(&layout.own()), [("", "/a b/cgroup/x")]);
    }
}
