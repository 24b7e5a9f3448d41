//! What limits were before they are changed, so that a change which fails halfway is taken back.
//!
//! A snapshot holds the whole text of every file that [`Cgroup::set`] would write, and puts back
//! what is different, line by line where a file has a line for each device. Not put back is what
//! the kernel lets nobody undo (`memory.use_hierarchy`), and what `unified` says to v2's own files
//! (`cgroup.subtree_control`, `cgroup.type`), but for `cgroup.max.*` and `cgroup.freeze`.

use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::file;
use crate::path;
use crate::resources::{BlockIo, Cpu, Memory, OomKiller, Resources};
use crate::v1::OOM_CONTROL;

/// Values of control files, from [`Cgroup::snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    groups: Vec<Group>,
}

/// Files of a directory that the kernel checks against each other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    dir: String,
    /// Name and text.
    files: Vec<(String, String)>,
}

/// Files with a line for each device, and what to write after the device to have no such line.
const BY_DEVICE: [(&str, &str); 15] = [
    ("io.max", "rbps=max wbps=max riops=max wiops=max"),
    ("io.weight", "default"),
    ("io.bfq.weight", "default"),
    ("io.latency", "target=0"),
    ("rdma.max", "hca_handle=max hca_object=max"),
    ("blkio.weight_device", "default"),
    ("blkio.leaf_weight_device", "default"),
    ("blkio.bfq.weight_device", "default"),
    ("blkio.throttle.read_bps_device", "0"),
    ("blkio.throttle.write_bps_device", "0"),
    ("blkio.throttle.read_iops_device", "0"),
    ("blkio.throttle.write_iops_device", "0"),
    // These have all of theirs always.
    ("net_prio.ifpriomap", ""),
    ("misc.max", ""),
    ("dmem.max", ""),
];

impl Cgroup {
    /// The present values of what [`set`](Cgroup::set) would change. A file that isn't there, or
    /// can't be read, is left out: `set` says what is wrong with it.
    pub fn snapshot(&self, resources: &Resources<'_>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.take_v1(self, resources);
        snapshot.take_either(self, resources);
        snapshot.take_v2(self, resources);
        snapshot
    }

    /// A quota or a period, with the other of the two as it is: for who needs both.
    pub fn complete_cpu<'c>(&self, cpu: Cpu<'c>) -> Cpu<'c> {
        let given = |value: Option<u64>| value.is_some_and(|value| value != 0);
        let (quota, period) = (given(cpu.quota.map(i64::unsigned_abs)), given(cpu.period));
        if quota == period {
            return cpu;
        }
        let now = |dir: Option<&str>, name| file::read(dir?, name).ok();
        let now = match self.v2_dir_of("cpu") {
            dir @ Some(_) => now(dir, "cpu.max"),
            None => {
                let dir = self.v1_dir("cpu");
                let both = now(dir, "cpu.cfs_quota_us").zip(now(dir, "cpu.cfs_period_us"));
                both.map(|(quota, period)| format!("{} {period}", quota.trim()))
            }
        };
        let Some((quota, period)) = now.as_deref().and_then(|text| text.trim().split_once(' '))
        else {
            return cpu;
        };
        Cpu {
            quota: cpu.quota.filter(|quota| *quota != 0).or(Some(quota.parse().unwrap_or(-1))),
            period: cpu.period.filter(|period| *period != 0).or(period.parse().ok()),
            ..cpu
        }
    }

    /// The limits of an update in full.
    ///
    /// The specification's limit on swap is one on memory and swap together, as v1 has it. v2
    /// keeps swap apart; so there a new limit on one of the two means something only beside the
    /// present one on the other: memory alone leaves the sum as it is, the sum alone the memory.
    /// What else is not given is left alone.
    pub fn complete(&self, memory: Memory) -> Memory {
        let Some(dir) = self.v2_dir_of("memory") else { return memory };
        let now = |name| -> Option<i64> { file::read(dir, name).ok()?.trim().parse().ok() };
        match (memory.limit.unwrap_or(0), memory.swap.unwrap_or(0)) {
            (1.., 0) => {
                let swap = now("memory.swap.max").zip(now("memory.max"));
                let swap = swap.and_then(|(swap, limit)| swap.checked_add(limit));
                Memory { swap: swap.or(memory.swap), ..memory }
            }
            (0, 1..) => Memory { limit: now("memory.max").or(memory.limit), ..memory },
            _ => memory,
        }
    }
}

impl Snapshot {
    /// Puts everything back that has changed, as far as possible.
    ///
    /// # Errors
    /// The first value that could not be put back; the others are tried all the same.
    pub fn restore(&self) -> Result<()> {
        let mut result = Ok(());
        for group in &self.groups {
            result = result.and(group.restore());
        }
        result
    }

    /// The files, and what they had.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups.iter().flat_map(|group| &group.files).map(|(name, text)| (&name[..], &text[..]))
    }

    fn take_v1(&mut self, cgroup: &Cgroup, resources: &Resources<'_>) {
        let Resources { memory, cpu, block_io, network, .. } = resources;
        if let (Some(dir), true) = (cgroup.v1_dir("memory"), *memory != Memory::default()) {
            self.take(dir, &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]);
            self.take(dir, &["memory.soft_limit_in_bytes"]);
            if memory.oom_killer != OomKiller::Unchanged {
                self.take(dir, &[OOM_CONTROL]);
            }
            if memory.swappiness.is_some() {
                self.take(dir, &["memory.swappiness"]);
            }
        }
        if let (Some(dir), true) = (cgroup.v1_dir("cpu"), *cpu != Cpu::default()) {
            self.weight(dir, "cpu.shares");
            self.take(dir, &["cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.cfs_burst_us"]);
            self.take(dir, &["cpu.rt_period_us", "cpu.rt_runtime_us"]);
        }
        if let (Some(dir), true) = (cgroup.v1_dir("blkio"), *block_io != BlockIo::default()) {
            self.each(dir, &["blkio.weight", "blkio.bfq.weight", "blkio.leaf_weight"]);
            let by_device = BY_DEVICE.iter().map(|(file, _)| *file);
            let by_device: Vec<&str> = by_device.filter(|f| f.starts_with("blkio.")).collect();
            self.each(dir, &by_device);
        }
        if let Some(dir) = cgroup.v1_dir("hugetlb") {
            self.hugepages(dir, resources, "limit_in_bytes");
        }
        if let (Some(dir), true) = (cgroup.v1_dir("net_cls"), network.class_id.is_some()) {
            self.take(dir, &["net_cls.classid"]);
        }
        if let (Some(dir), false) = (cgroup.v1_dir("net_prio"), network.priorities.is_empty()) {
            self.take(dir, &["net_prio.ifpriomap"]);
        }
    }

    /// What has the same files on v1 and on v2.
    fn take_either(&mut self, cgroup: &Cgroup, resources: &Resources<'_>) {
        let Resources { cpu, pids, rdma, .. } = resources;
        if let (Some(dir), true) = (cgroup.dir_of("cpuset"), cpu.cpus.or(cpu.mems).is_some()) {
            self.each(dir, &["cpuset.cpus", "cpuset.mems"]);
        }
        if let (Some(dir), true) = (cgroup.dir_of("pids"), pids.is_some()) {
            self.take(dir, &["pids.max"]);
        }
        if let (Some(dir), false) = (cgroup.dir_of("rdma"), rdma.is_empty()) {
            self.take(dir, &["rdma.max"]);
        }
    }

    fn take_v2(&mut self, cgroup: &Cgroup, resources: &Resources<'_>) {
        let Resources { memory, cpu, block_io, .. } = resources;
        if let (Some(dir), true) = (cgroup.v2_dir_of("memory"), *memory != Memory::default()) {
            self.each(dir, &["memory.swap.max", "memory.max", "memory.low"]);
        }
        if let (Some(dir), true) = (cgroup.v2_dir_of("cpu"), *cpu != Cpu::default()) {
            self.weight(dir, "cpu.weight");
            self.take(dir, &["cpu.max", "cpu.max.burst"]);
        }
        if let (Some(dir), true) = (cgroup.v2_dir_of("blkio"), *block_io != BlockIo::default()) {
            self.each(dir, &["io.bfq.weight", "io.weight", "io.max"]);
        }
        if let Some(dir) = cgroup.v2_dir_of("hugetlb") {
            self.hugepages(dir, resources, "max");
        }
        let Some(dir) = cgroup.v2_dir() else { return };
        for (name, _) in &resources.unified {
            let own = name.starts_with("cgroup.");
            let value = name.starts_with("cgroup.max.") || *name == "cgroup.freeze";
            if path::is_file_name(name) && (!own || value) {
                self.take(dir, &[name]);
            }
        }
    }

    fn hugepages(&mut self, dir: &str, resources: &Resources<'_>, suffix: &str) {
        let sizes = resources.hugepages.iter().map(|page| page.page_size);
        for size in sizes.filter(|size| path::is_file_name(size)) {
            self.take(dir, &[&format!("hugetlb.{size}.{suffix}")]);
            self.take(dir, &[&format!("hugetlb.{size}.rsvd.{suffix}")]);
        }
    }

    /// The share of the processor, and whether it is idle: an idle one has no share to put back.
    fn weight(&mut self, dir: &str, weight: &str) {
        match file::read(dir, "cpu.idle").as_deref().map(str::trim) {
            Ok("1") => self.take(dir, &["cpu.idle"]),
            _ => self.take(dir, &[weight, "cpu.idle"]),
        }
    }

    /// Files that have nothing to do with each other.
    fn each(&mut self, dir: &str, files: &[&str]) {
        for file in files {
            self.take(dir, &[file]);
        }
    }

    /// Files which belong together.
    fn take(&mut self, dir: &str, files: &[&str]) {
        // What was remembered first is from before.
        let known = |file: &&&str| {
            let mut all = self.groups.iter().filter(|group| group.dir == dir);
            !all.any(|group| group.files.iter().any(|(name, _)| name == **file))
        };
        let read = |file: &&str| Some(((*file).to_owned(), file::read(dir, file).ok()?));
        let files: Vec<(String, String)> = files.iter().filter(known).filter_map(read).collect();
        if !files.is_empty() {
            self.groups.push(Group { dir: dir.to_owned(), files });
        }
    }
}

impl Group {
    fn restore(&self) -> Result<()> {
        let mut values = Vec::new();
        for (name, before) in &self.files {
            // What is gone since is nobody's limit.
            let Ok(now) = file::read(&self.dir, name) else { continue };
            values.extend(back(name, before, &now).into_iter().map(|value| (&name[..], value)));
        }
        file::write_related(&self.dir, &values, "")
    }
}

/// What to write so that a file that has the text `now` gets the one from `before`.
fn back(name: &str, before: &str, now: &str) -> Vec<String> {
    if name == OOM_CONTROL {
        let disabled = |text| file::keyed(text, "oom_kill_disable");
        let before = disabled(before).filter(|before| disabled(now) != Some(*before));
        return before.iter().map(u64::to_string).collect();
    }
    let Some((_, none)) = BY_DEVICE.iter().find(|(file, _)| *file == name) else {
        return match before == now {
            true => Vec::new(),
            // No text at all would be no write; the kernel takes a line feed for nothing.
            false if before.trim().is_empty() => vec!["\n".to_owned()],
            false => vec![before.trim_end().to_owned()],
        };
    };
    let device = |line: &'_ str| line.split(' ').next().map(str::to_owned);
    let devices: Vec<Option<String>> = before.lines().map(device).collect();
    let new = now.lines().map(device).filter(|device| !devices.contains(device)).flatten();
    let changed = before.lines().filter(|line| !now.lines().any(|other| other == *line));
    new.filter(|_| !none.is_empty())
        .map(|device| format!("{device} {none}"))
        .chain(changed.map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{Hugepage, Rdma, Throttle, WeightDevice, swap_max};
    use std::fs;
    use std::path::PathBuf;

    /// A directory of plain files in the place of a v2 cgroup.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str, files: &[(&str, &str)]) -> Files {
            let dir = format!("tare-snapshot-{}-{name}", std::process::id());
            let dir = std::env::temp_dir().join(dir);
            fs::create_dir_all(&dir).unwrap();
            for (file, text) in files {
                fs::write(dir.join(file), text).unwrap();
            }
            Files(dir)
        }

        fn cgroup(&self) -> Cgroup {
            Cgroup::from_paths([("", self.0.to_str().unwrap())])
        }

        fn read(&self, file: &str) -> String {
            fs::read_to_string(self.0.join(file)).unwrap()
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_failed_change_did_is_undone() {
        let files = Files::new(
            "undone",
            &[("pids.max", "max\n"), ("memory.max", "4096\n"), ("cpu.max", "max 100000\n")],
        );
        let cgroup = files.cgroup();
        let resources = Resources {
            pids: Some(5),
            memory: Memory { limit: Some(8192), ..Memory::default() },
            // There is no such file, so that this fails last.
            unified: vec![("memory.high", "1")],
            ..Resources::default()
        };
        let before = cgroup.snapshot(&resources);
        assert!(cgroup.set(&resources).is_err());
        // Plain files are not truncated as the kernel's are: shorter text over longer.
        assert_eq!(files.read("pids.max"), "5ax\n");
        assert_eq!(files.read("memory.max"), "8192\n");
        assert_eq!(before.restore(), Ok(()));
        assert_eq!(files.read("pids.max"), "max\n");
        assert_eq!(files.read("memory.max"), "4096\n");
        assert_eq!(files.read("cpu.max"), "max 100000\n");
    }

    #[test]
    fn lines_of_devices_come_back_one_by_one() {
        for (name, before, now, values) in [
            (
                "io.max",
                "8:0 rbps=5 wbps=max riops=max wiops=max\n8:32 rbps=1 wbps=max riops=max wiops=max\n",
                "8:16 rbps=max wbps=7 riops=max wiops=max\n8:32 rbps=1 wbps=max riops=max wiops=max\n",
                &[
                    "8:16 rbps=max wbps=max riops=max wiops=max",
                    "8:0 rbps=5 wbps=max riops=max wiops=max",
                ][..],
            ),
            (
                "io.weight",
                "default 100\n8:0 300\n",
                "default 200\n8:0 300\n8:16 5\n",
                &["8:16 default", "default 100"],
            ),
            ("blkio.throttle.read_bps_device", "", "8:0 5\n", &["8:0 0"]),
            ("blkio.bfq.weight_device", "8:0 5\n", "8:0 6\n", &["8:0 5"]),
            ("net_prio.ifpriomap", "lo 0\neth0 0\n", "lo 0\neth0 3\n", &["eth0 0"]),
            (
                "rdma.max",
                "",
                "mlx4_0 hca_handle=2 hca_object=max\n",
                &["mlx4_0 hca_handle=max hca_object=max"],
            ),
            (
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\n",
                "oom_kill_disable 1\n",
                &["0"],
            ),
            ("memory.oom_control", "oom_kill_disable 0\noom_kill 1\n", "oom_kill_disable 0\n", &[]),
            ("pids.max", "max\n", "5\n", &["max"]),
            ("pids.max", "max\n", "max\n", &[]),
            ("cpuset.cpus", "\n", "0-1\n", &["\n"]),
        ] {
            assert_eq!(back(name, before, now), values, "{name}: {now}");
        }
    }

    #[test]
    fn everything_that_set_writes_is_remembered() {
        let names = [
            "pids.max",
            "memory.swap.max",
            "memory.max",
            "memory.low",
            "io.bfq.weight",
            "io.max",
            "cpu.weight",
            "cpu.max",
            "cpu.max.burst",
            "cpuset.cpus",
            "cpuset.mems",
            "hugetlb.2MB.max",
            "hugetlb.2MB.rsvd.max",
            "rdma.max",
            "memory.high",
            "cgroup.max.depth",
        ];
        let files = Files::new("all", &names.map(|name| (name, "before\n")));
        fs::write(files.0.join("memory.current"), "1\n").unwrap();
        let throttle = vec![Throttle { major: 8, minor: 0, rate: 7 }];
        let resources = Resources {
            memory: Memory {
                limit: Some(1 << 20),
                swap: Some(1 << 21),
                reservation: Some(5),
                ..Memory::default()
            },
            cpu: Cpu {
                shares: Some(5),
                quota: Some(5000),
                burst: Some(0),
                cpus: Some("0"),
                mems: Some("0"),
                ..Cpu::default()
            },
            pids: Some(3),
            block_io: BlockIo {
                weight: Some(10),
                weight_devices: vec![WeightDevice {
                    major: 8,
                    minor: 0,
                    weight: Some(10),
                    leaf_weight: None,
                }],
                throttle_read_bps: throttle,
                ..BlockIo::default()
            },
            hugepages: vec![Hugepage { page_size: "2MB", limit: 5 }],
            rdma: vec![Rdma { device: "mlx4_0", hca_handles: Some(1), hca_objects: None }],
            unified: vec![("memory.high", "9"), ("cgroup.max.depth", "8"), ("memory.max", "7")],
            ..Resources::default()
        };
        let cgroup = files.cgroup();
        let snapshot = cgroup.snapshot(&resources);
        let mut remembered: Vec<&str> = Vec::new();
        for group in &snapshot.groups {
            remembered.extend(group.files.iter().map(|(name, _)| &name[..]));
        }
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        remembered.sort_unstable();
        assert_eq!(remembered, sorted);
        cgroup.set(&resources).unwrap();
        for name in names {
            assert_ne!(files.read(name), "before\n", "{name} is written");
        }
    }

    /// Each write of a change fails in turn: the values from before are there again.
    #[test]
    fn whichever_write_fails_is_taken_back() {
        let names = ["pids.max", "memory.swap.max", "memory.max", "memory.low", "cpu.weight"];
        let resources = Resources {
            memory: Memory {
                limit: Some(40),
                swap: Some(90),
                reservation: Some(5),
                ..Memory::default()
            },
            cpu: Cpu { shares: Some(1024), ..Cpu::default() },
            pids: Some(3),
            ..Resources::default()
        };
        for broken in names {
            let files = Files::new(broken, &names.map(|name| (name, "77777\n")));
            // A directory can't be opened for writing.
            fs::remove_file(files.0.join(broken)).unwrap();
            fs::create_dir(files.0.join(broken)).unwrap();
            let cgroup = files.cgroup();
            let before = cgroup.snapshot(&resources);
            let error = cgroup.set(&resources).unwrap_err();
            assert!(error.to_string().contains(broken), "{error}");
            assert_eq!(before.restore(), Ok(()), "{broken}");
            for name in names.iter().filter(|name| **name != broken) {
                assert_eq!(files.read(name), "77777\n", "{name} after a failure of {broken}");
            }
        }
    }

    #[test]
    fn an_idle_cgroup_has_no_weight_to_put_back() {
        let files = Files::new("idle", &[("cpu.idle", "1\n"), ("cpu.weight", "0\n")]);
        let resources =
            Resources { cpu: Cpu { idle: Some(0), ..Cpu::default() }, ..Resources::default() };
        let snapshot = files.cgroup().snapshot(&resources);
        let names = snapshot.groups.iter().flat_map(|group| &group.files);
        assert_eq!(names.map(|(name, _)| &name[..]).collect::<Vec<_>>(), ["cpu.idle"]);
    }

    #[test]
    fn swap_alone_goes_with_the_present_memory() {
        let files = Files::new("swap", &[("memory.max", "4096\n")]);
        let swap = Memory { swap: Some(8192), ..Memory::default() };
        assert_eq!(files.cgroup().complete(swap).limit, Some(4096));
        let both = Memory { limit: Some(1), ..swap };
        assert_eq!(files.cgroup().complete(both), both);
        let unlimited = Files::new("unlimited", &[("memory.max", "max\n")]);
        assert_eq!(unlimited.cgroup().complete(swap), swap);
    }

    #[test]
    fn a_quota_goes_with_the_present_period() {
        let cpu = |quota, period| Cpu { quota, period, ..Cpu::default() };
        let complete = |max: &str, given: Cpu<'static>| {
            Files::new("quota", &[("cpu.max", max)]).cgroup().complete_cpu(given)
        };
        let both = cpu(Some(5), Some(7));
        for (max, given, wanted) in [
            ("20000 50000\n", cpu(Some(10_000), None), cpu(Some(10_000), Some(50_000))),
            ("20000 50000\n", cpu(Some(0), Some(9)), cpu(Some(20_000), Some(9))),
            ("max 50000\n", cpu(None, Some(9)), cpu(Some(-1), Some(9))),
            ("max 50000\n", both, both),
            ("max 50000\n", cpu(None, None), cpu(None, None)),
            ("nonsense", cpu(Some(1), None), cpu(Some(1), None)),
        ] {
            assert_eq!(complete(max, given), wanted, "{max} {given:?}");
        }
    }

    #[test]
    fn memory_alone_leaves_the_sum_as_it_is() {
        let memory = |limit| Memory { limit: Some(limit), ..Memory::default() };
        let files = Files::new("sum", &[("memory.max", "4096\n"), ("memory.swap.max", "8192\n")]);
        let complete = files.cgroup().complete(memory(8192));
        assert_eq!(complete.swap, Some(12288));
        assert_eq!(swap_max(complete.limit, complete.swap), Ok(Some(4096)));
        // As on v1 it has to be raised with what it includes.
        let more = files.cgroup().complete(memory(16384));
        assert!(swap_max(more.limit, more.swap).is_err());
        assert_eq!(files.cgroup().complete(memory(-1)), memory(-1));
        let reservation = Memory { reservation: Some(1), ..Memory::default() };
        assert_eq!(files.cgroup().complete(reservation), reservation);
        let unlimited = [("memory.max", "4096\n"), ("memory.swap.max", "max\n")];
        let files = Files::new("sum-unlimited", &unlimited);
        assert_eq!(files.cgroup().complete(memory(8192)), memory(8192));
    }
}
