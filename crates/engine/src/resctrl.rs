//! The container's groups in the resctrl file system (`linux.intelRdt`; the kernel's
//! Documentation/filesystems/resctrl.rst): shares of caches and of memory bandwidth, and counters.
//!
//! In the runtime's process. A process's children are born into its groups, so that the init is put
//! there once there is no stage before it any more, and before it runs the user's program. Removing a
//! group with processes in it gives them back to the group above.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::statfs;
use nix::unistd::{Pid, mkdir};
use plan::{HostResctrl, Resctrl, ResctrlMount};
use serde::{Deserialize, Serialize};
use spec::Text;
use sys::Context;

use crate::error::{Error, Result};
use crate::store::{read_path, write_all};
use crate::{messages, mount_table};

/// Where it belongs. The kernel makes this directory if the machine has what resctrl shares out.
const PLACE: &str = "/sys/fs/resctrl";
/// `RDTGROUP_SUPER_MAGIC` (linux/magic.h).
const MAGIC: u64 = 0x0765_5821;

/// The groups that a container is in, and what is removed with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ResctrlRecord<'a> {
    /// Where the file system is mounted.
    #[serde(borrow)]
    mount: Text<'a>,
    /// The directory of the group.
    #[serde(borrow)]
    group: Text<'a>,
    /// Whether the group is the container's own.
    own: bool,
    /// The directory of the monitoring group.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    monitor: Option<Text<'a>>,
}

impl<'a> ResctrlRecord<'a> {
    /// What there will be.
    pub(crate) fn new(plan: &'a Resctrl) -> ResctrlRecord<'a> {
        ResctrlRecord {
            mount: Text::new(&plan.mount),
            group: Text::new(&plan.group),
            own: plan.removes,
            monitor: plan.monitor.as_deref().map(Text::new),
        }
    }

    /// Puts a process into the groups: into the monitoring group last, which takes only what is in the
    /// group above it.
    pub(crate) fn join(&self, pid: Pid) -> Result<()> {
        for group in [Some(&self.group), self.monitor.as_ref()].into_iter().flatten() {
            write(&self.mount, &format!("{group}/tasks"), &pid.to_string())?;
        }
        Ok(())
    }

    /// Removes what is the container's own.
    pub(crate) fn remove(&self) -> Result<()> {
        let group = Some(&self.group).filter(|_| self.own);
        for directory in [self.monitor.as_ref(), group].into_iter().flatten() {
            match std::fs::remove_dir(directory.as_str()) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => other.at("rmdir", directory.as_str())?,
            }
        }
        Ok(())
    }

    /// Writes other shares; returns those from before, to be written back.
    pub(crate) fn set(&self, schemata: &[String]) -> Result<String> {
        let file = format!("{}/schemata", self.group);
        let before = read(&file)?;
        for lines in schemata {
            if let Err(error) = write(&self.mount, &file, lines) {
                // The error to tell is the first one.
                let _ = write(&self.mount, &file, &before);
                return Err(error);
            }
        }
        Ok(before)
    }
}

/// What the plan has to know of the file system, for a container with that id.
pub(crate) fn host(linux: Option<&spec::Linux<'_>>, id: &str) -> Result<HostResctrl> {
    let Some(rdt) = linux.and_then(|linux| linux.intel_rdt.as_ref()) else {
        return Ok(HostResctrl::None);
    };
    let place = match statfs(PLACE) {
        Err(Errno::ENOENT) => return Ok(HostResctrl::None),
        Ok(found) if found.filesystem_type().0 as u64 == MAGIC => PLACE.to_owned(),
        // The host may have it elsewhere.
        _ => match mount_table::own()?.into_iter().find(is_resctrl) {
            None => return Ok(HostResctrl::Unmounted),
            Some(mount) => mount.place,
        },
    };
    let group = format!("{place}/{}", plan::resctrl_group(rdt, id));
    Ok(HostResctrl::Mounted(mount(place, &group)))
}

fn is_resctrl(mount: &mount_table::Entry) -> bool {
    mount.kind == "resctrl"
}

fn mount(place: String, group: &str) -> ResctrlMount {
    let has = |name: &str| Path::new(&place).join("info").join(name).is_dir();
    ResctrlMount {
        cache: has("L3"),
        bandwidth: has("MB").then(|| number(&format!("{place}/info/MB/bandwidth_gran"))),
        monitors: has("L3_MON"),
        group: read(&format!("{group}/schemata")).ok(),
        place,
    }
}

/// Groups that are there for a container being made. Dropped, it removes them, and gives a group that
/// was there before its shares back; unless they are to [stay](Self::stay).
#[derive(Debug)]
pub(crate) struct Joined<'p> {
    plan: &'p Resctrl,
    /// The directories that were made.
    made: Vec<&'p str>,
    /// The group's shares from before.
    before: Option<String>,
}

/// Makes the groups, sets the shares, puts the process there.
pub(crate) fn join_new(plan: &Resctrl, pid: Pid) -> Result<Joined<'_>> {
    let mut joined = Joined { plan, made: Vec::new(), before: None };
    let record = ResctrlRecord::new(plan);
    if plan.makes {
        joined.make(&plan.group)?;
    }
    if !plan.schemata.is_empty() {
        joined.before = Some(record.set(&plan.schemata)?);
    }
    if let Some(monitor) = &plan.monitor {
        joined.make(monitor)?;
    }
    record.join(pid)?;
    Ok(joined)
}

impl<'p> Joined<'p> {
    fn make(&mut self, directory: &'p str) -> Result<()> {
        let made = mkdir(directory, Mode::from_bits_truncate(0o755)).at("mkdir", directory);
        made.map_err(|error| refused(&self.plan.mount, error))?;
        self.made.push(directory);
        Ok(())
    }

    /// They are the container's from here on.
    pub(crate) fn stay(mut self) {
        self.made.clear();
        self.before = None;
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        // The first error is on its way to the user.
        if let Some(before) = self.before.take().filter(|_| !self.plan.makes) {
            let _ = write(&self.plan.mount, &format!("{}/schemata", self.plan.group), &before);
        }
        for directory in self.made.drain(..).rev() {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// Other shares for a container that lives: `update --l3-cache-schema` and `--mem-bw-schema`.
#[derive(Debug, Default)]
pub struct Schemata<'a> {
    /// Of the L3 cache; empty: they stay.
    pub cache: &'a str,
    /// Of the bandwidth; empty: they stay.
    pub bandwidth: &'a str,
}

impl Schemata<'_> {
    /// What is to be written, if that can be done to the container's group.
    pub(crate) fn of(&self, record: Option<&ResctrlRecord<'_>>) -> Result<Vec<String>> {
        if self.cache.is_empty() && self.bandwidth.is_empty() {
            return Ok(Vec::new());
        }
        let has = |name: &str| match record {
            Some(record) => Path::new(&*record.mount).join("info").join(name).is_dir(),
            None => Path::new(PLACE).join("info").join(name).is_dir(),
        };
        for (schema, name, sentence) in [
            (self.cache, "L3", messages::NO_CACHE_SHARES),
            (self.bandwidth, "MB", messages::NO_BANDWIDTH_SHARES),
        ] {
            if !schema.is_empty() && !has(name) {
                return Err(Error::State(sentence));
            }
        }
        if record.is_none() {
            return Err(Error::State(messages::NO_RESCTRL_GROUP));
        }
        let given = [self.cache, self.bandwidth].into_iter().filter(|schema| !schema.is_empty());
        Ok(given.map(|schema| format!("{schema}\n")).collect())
    }
}

/// What `events` tells of a container's groups.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ResctrlStats {
    /// `info/L3`, by the names of its files: mask, least bits, number of groups.
    pub cache: Option<(String, u64, u64)>,
    /// `info/MB`: step, whether it is linear, the least, number of groups.
    pub bandwidth: Option<[u64; 4]>,
    /// The root's `schemata`.
    pub root: Vec<String>,
    /// The group's.
    pub group: Vec<String>,
    /// What was counted, by domain; of the whole group if the container is not counted by itself.
    pub counted: Vec<Counted>,
}

/// The counters of one domain, so far as there are such.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Bytes to and from all memory.
    pub total: Option<u64>,
    /// Bytes to and from the domain's own memory.
    pub local: Option<u64>,
    /// Bytes of the L3 cache that are in use.
    pub occupancy: Option<u64>,
}

impl ResctrlRecord<'_> {
    /// What the groups have and have used.
    pub(crate) fn stats(&self) -> Result<ResctrlStats> {
        let info = |file: &str| format!("{}/info/{file}", self.mount);
        let numbers = |files: [&str; 4]| files.map(|file| number(&info(&format!("MB/{file}"))));
        let lines = |group: &str| {
            let text = read(&format!("{group}/schemata"))?;
            Ok::<_, sys::Error>(text.lines().map(|line| line.trim().to_owned()).collect())
        };
        let counted = self.monitor.as_ref().unwrap_or(&self.group);
        Ok(ResctrlStats {
            cache: read(&info("L3/cbm_mask")).ok().map(|mask| {
                let [bits, groups] = ["L3/min_cbm_bits", "L3/num_closids"];
                (mask.trim().to_owned(), number(&info(bits)), number(&info(groups)))
            }),
            bandwidth: Path::new(&info("MB")).is_dir().then(|| {
                numbers(["bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"])
            }),
            root: lines(&self.mount)?,
            group: lines(&self.group)?,
            counted: counters(&format!("{counted}/mon_data")),
        })
    }
}

/// The counters of all domains, in the order of their names.
fn counters(directory: &str) -> Vec<Counted> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut domains: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    domains.sort_unstable();
    let one = |domain: &PathBuf| {
        // A counter that can't be read at present says so in words.
        let count =
            |name: &str| read(&domain.join(name).to_string_lossy()).ok()?.trim().parse().ok();
        let [total, local] = ["mbm_total_bytes", "mbm_local_bytes"].map(count);
        Counted { total, local, occupancy: count("llc_occupancy") }
    };
    domains.iter().map(one).collect()
}

fn read(file: &str) -> std::result::Result<String, sys::Error> {
    Ok(String::from_utf8_lossy(&read_path(file).at("read", file)?).into_owned())
}

/// A number that the kernel has; 0 if it has none.
fn number(file: &str) -> u64 {
    read(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// One write(2), as the kernel wants it. The file is there, or it is none of resctrl's.
fn write(mount: &str, file: &str, text: &str) -> Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let written = openat(AT_FDCWD, file, flags, Mode::empty())
        .at("open", file)
        .and_then(|fd| write_all(fd.as_fd(), text.as_bytes()).at("write", file));
    written.map_err(|error| refused(mount, error))
}

/// The kernel has words of its own for what it refuses here.
fn refused(mount: &str, error: sys::Error) -> Error {
    let said = read(&format!("{mount}/info/last_cmd_status")).unwrap_or_default();
    let said = Some(said.trim()).filter(|said| *said != "ok").unwrap_or_default().to_owned();
    Error::Resctrl { error, said }
}

/// The kernel's part can't be had without the hardware. What is tested here is what is written where,
/// with plain directories, which have the files only if a test has made them.
#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Tree {
            let name = format!("tare-resctrl-{name}-{}", std::process::id());
            let tree = Tree(std::env::temp_dir().join(name));
            for (file, text) in [
                ("tasks", ""),
                ("schemata", "    MB:0=100\n    L3:0=fffff\n"),
                ("info/last_cmd_status", "Duplicate domain 0\n"),
                ("info/L3/cbm_mask", "fffff\n"),
                ("info/L3/min_cbm_bits", "1\n"),
                ("info/L3/num_closids", "16\n"),
                ("info/MB/bandwidth_gran", "10\n"),
                ("info/L3_MON/mon_features", "llc_occupancy\n"),
                ("web/tasks", ""),
                ("web/schemata", "    MB:0= 50\n    L3:0=000ff\n"),
                ("web/mon_groups/own/tasks", ""),
                ("web/mon_groups/own/mon_data/mon_L3_01/llc_occupancy", "Unavailable\n"),
                ("web/mon_groups/own/mon_data/mon_L3_00/llc_occupancy", "4096\n"),
                ("web/mon_groups/own/mon_data/mon_L3_00/mbm_total_bytes", "7\n"),
            ] {
                tree.put(file, text);
            }
            tree
        }

        fn put(&self, file: &str, text: &str) {
            let path = self.0.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn text(&self, file: &str) -> String {
            std::fs::read_to_string(self.0.join(file)).unwrap()
        }

        fn plan(&self, group: &str, schemata: &[&str]) -> Resctrl {
            let mount = self.0.to_string_lossy().into_owned();
            Resctrl {
                group: format!("{mount}/{group}"),
                mount,
                makes: false,
                removes: false,
                schemata: schemata.iter().map(ToString::to_string).collect(),
                monitor: None,
            }
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_process_is_written_to_both_groups_and_the_shares_to_the_first() {
        let tree = Tree::new("join");
        let mut plan = tree.plan("web", &["L3:0=f\n"]);
        ResctrlRecord::new(&plan).join(Pid::from_raw(42)).unwrap();
        assert_eq!((tree.text("web/tasks"), tree.text("tasks")), ("42".into(), String::new()));
        plan.monitor = Some(format!("{}/mon_groups/own", plan.group));
        ResctrlRecord::new(&plan).join(Pid::from_raw(43)).unwrap();
        assert_eq!(tree.text("web/tasks"), "43");
        assert_eq!(tree.text("web/mon_groups/own/tasks"), "43");
        assert!(tree.text("web/schemata").contains("000ff"));
        plan.monitor = None;
        join_new(&plan, Pid::from_raw(44)).unwrap().stay();
        assert!(tree.text("web/schemata").starts_with("L3:0=f\n"));
    }

    #[test]
    fn what_was_made_is_removed_again_and_shares_come_back() {
        let tree = Tree::new("undo");
        let before = tree.text("web/schemata");
        drop(join_new(&tree.plan("web", &["L3:0=f\n"]), Pid::from_raw(1)).unwrap());
        assert_eq!(tree.text("web/schemata"), before);
        // A plain directory has no files of its own: that is where it ends.
        let plan = Resctrl { makes: true, ..tree.plan("new", &[]) };
        let error = join_new(&plan, Pid::from_raw(1)).unwrap_err().to_string();
        assert!(error.contains("new/tasks") && error.contains("Duplicate domain 0"), "{error}");
        assert!(!tree.0.join("new").exists());
        // Nor is a group of somebody else's taken for a new one.
        let plan = Resctrl { makes: true, ..tree.plan("web", &[]) };
        assert!(join_new(&plan, Pid::from_raw(1)).is_err());
        assert!(tree.0.join("web").exists());
    }

    #[test]
    fn only_what_is_the_containers_own_is_removed() {
        let tree = Tree::new("remove");
        std::fs::create_dir_all(tree.0.join("mine/mon_groups")).unwrap();
        std::fs::remove_dir(tree.0.join("mine/mon_groups")).unwrap();
        ResctrlRecord::new(&tree.plan("mine", &[])).remove().unwrap();
        assert!(tree.0.join("mine").exists());
        let own = Resctrl { removes: true, ..tree.plan("mine", &[]) };
        for _ in 0..2 {
            ResctrlRecord::new(&own).remove().unwrap();
            assert!(!tree.0.join("mine").exists());
        }
    }

    #[test]
    fn numbers_are_those_of_the_files() {
        let tree = Tree::new("stats");
        let mut plan = tree.plan("web", &[]);
        plan.monitor = Some(format!("{}/mon_groups/own", plan.group));
        let stats = ResctrlRecord::new(&plan).stats().unwrap();
        assert_eq!(stats.cache, Some(("fffff".to_owned(), 1, 16)));
        assert_eq!(stats.bandwidth, Some([10, 0, 0, 0]));
        assert_eq!(stats.root, ["MB:0=100", "L3:0=fffff"]);
        assert_eq!(stats.group, ["MB:0= 50", "L3:0=000ff"]);
        let first = Counted { total: Some(7), occupancy: Some(4096), local: None };
        assert_eq!(stats.counted, [first, Counted::default()]);
    }

    #[test]
    fn the_host_is_what_its_files_say() {
        let tree = Tree::new("host");
        let place = tree.0.to_string_lossy().into_owned();
        let found = mount(place.clone(), &format!("{place}/web"));
        let group = Some(tree.text("web/schemata"));
        let expected =
            ResctrlMount { place, cache: true, bandwidth: Some(10), monitors: true, group };
        assert_eq!(found, expected);
        assert_eq!(
            mount("/no/such".into(), "/no/such/web"),
            ResctrlMount { place: "/no/such".into(), ..ResctrlMount::default() }
        );
    }

    #[test]
    fn an_update_needs_a_group_and_what_it_has_shares_of() {
        let tree = Tree::new("update");
        let plan = tree.plan("web", &[]);
        let record = ResctrlRecord::new(&plan);
        let both = Schemata { cache: "L3:0=1", bandwidth: "MB:0=20" };
        assert_eq!(both.of(Some(&record)).unwrap(), ["L3:0=1\n", "MB:0=20\n"]);
        assert_eq!(Schemata::default().of(None).unwrap(), Vec::<String>::new());
        std::fs::remove_dir_all(tree.0.join("info/MB")).unwrap();
        let error = both.of(Some(&record)).unwrap_err().to_string();
        assert_eq!(error, messages::NO_BANDWIDTH_SHARES);
    }
}
